//! Rows of one table in one partition, by an access path.
//!
//! Owns:     nothing.
//! Promises: gives each visible row that the path finds once; checks for KILL as it goes.
//! Never:    evaluates a filter.

use crate::turns::{PIECE_ROWS, Turns};
use foldhash::{HashSet, HashSetExt};
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use weald_expr::{EvalContext, NoRow, eval, time_zone};
use weald_partition::{Cursor, Direction, KeyRange, Snapshot, StoredRow, Table, TableSchema};
use weald_plan::fragment::Access;
use weald_plan::key_values::{self, Keys};
use weald_types::key::{KeyPart, encode_like_prefix, encode_part};
use weald_types::{DateTime, Fault, IndexId, Value};

/// The keys of an access path.
pub fn keys(table: &weald_catalog::TableDef, access: &Access, ctx: &EvalContext<'_>) -> Result<Keys, Fault> {
    if matches!(access, Access::Full) {
        return Ok(Keys::All);
    }
    key_values::resolve(table, access, &mut |e| eval(e, &NoRow, ctx), &to_utc(ctx))
}

pub fn to_utc<'a>(ctx: &EvalContext<'a>) -> impl Fn(DateTime) -> DateTime + use<'a> {
    let zone = ctx.statement.time_zone;
    move |d| time_zone::to_utc(d, &zone).unwrap_or(d)
}

/// What is to be read: single rows, or ranges one after the other.
pub enum Lookup {
    /// Keys of a unique index.
    Rows(IndexId, Vec<Vec<u8>>),
    Cursors(Vec<Cursor>),
}

pub fn lookup(schema: &TableSchema, keys: &Keys) -> Lookup {
    let encode = |index: IndexId, values: &[Value], out: &mut Vec<u8>| -> bool {
        let Some(i) = schema.index(index) else { return false };
        let parts = i.encoder().parts();
        for (p, v) in parts.iter().zip(values) {
            encode_part(v, &p.ty, p.descending, p.prefix, out);
        }
        i.unique && values.len() == parts.len() && parts.iter().all(|p| p.prefix.is_none())
    };
    let part_after = |index: IndexId, prefix: &[Value]| schema.index(index).and_then(|i| i.encoder().parts().get(prefix.len()));
    match keys {
        Keys::Nothing => Lookup::Cursors(Vec::new()),
        Keys::All => Lookup::Cursors(vec![Cursor::rows(KeyRange::all())]),
        Keys::Equal { index, keys } => {
            let mut whole = true;
            let mut encoded: Vec<Vec<u8>> = keys
                .iter()
                .map(|k| {
                    let mut out = Vec::with_capacity(16);
                    whole &= encode(*index, k, &mut out);
                    out
                })
                .collect();
            keep_first(&mut encoded);
            if whole {
                return Lookup::Rows(*index, encoded);
            }
            Lookup::Cursors(encoded.into_iter().map(|k| Cursor::index(*index, KeyRange::prefix(&k), Direction::Forward)).collect())
        }
        Keys::Range { index, prefix, low, high, reverse } => {
            let mut start = Vec::with_capacity(16);
            encode(*index, prefix, &mut start);
            let range = key_range(&start, part_after(*index, prefix), low, high);
            Lookup::Cursors(vec![Cursor::index(*index, range, if *reverse { Direction::Backward } else { Direction::Forward })])
        }
        Keys::Ranges { index, prefix, ranges } => {
            let mut start = Vec::with_capacity(16);
            encode(*index, prefix, &mut start);
            let part = part_after(*index, prefix);
            let ranges = apart(ranges.iter().map(|(low, high)| key_range(&start, part, low, high)).collect());
            Lookup::Cursors(ranges.into_iter().map(|r| Cursor::index(*index, r, Direction::Forward)).collect())
        }
        Keys::StartsWith { index, prefix, start } => {
            let mut key = Vec::with_capacity(16 + start.len());
            encode(*index, prefix, &mut key);
            if let Some(p) = schema.index(*index).and_then(|i| i.encoder().parts().get(prefix.len())) {
                encode_like_prefix(start, &p.ty, &mut key);
            }
            Lookup::Cursors(vec![Cursor::index(*index, KeyRange::prefix(&key), Direction::Forward)])
        }
    }
}

/// The entries whose keys begin with `start` and go on between two values of `part`.
fn key_range(start: &[u8], part: Option<&KeyPart>, low: &Bound<Value>, high: &Bound<Value>) -> KeyRange {
    let bound = |b: &Bound<Value>| -> Bound<Vec<u8>> {
        let with = |v: &Value| {
            let mut k = Vec::with_capacity(start.len() + 16);
            k.extend_from_slice(start);
            if let Some(p) = part {
                encode_part(v, &p.ty, p.descending, p.prefix, &mut k);
            }
            k
        };
        match b {
            Bound::Included(v) => Bound::Included(with(v)),
            Bound::Excluded(v) => Bound::Excluded(with(v)),
            Bound::Unbounded => Bound::Unbounded,
        }
    };
    let (mut low, mut high) = (bound(low), bound(high));
    let descending = part.is_some_and(|p| p.descending);
    let bounded = !matches!((&low, &high), (Bound::Unbounded, Bound::Unbounded));
    // NULLs lie before everything; a range with a bound leaves them out.
    if bounded
        && matches!(low, Bound::Unbounded)
        && let Some(p) = part.filter(|p| p.ty.nullable)
    {
        let mut k = start.to_vec();
        encode_part(&Value::Null, &p.ty, p.descending, p.prefix, &mut k);
        low = Bound::Excluded(k);
    }
    if descending {
        std::mem::swap(&mut low, &mut high);
    }
    // Open ends stay within the prefix.
    let within = |b: Bound<Vec<u8>>| match b {
        Bound::Unbounded if !start.is_empty() => Bound::Included(start.to_vec()),
        b => b,
    };
    KeyRange::bounds(within(low), within(high))
}

/// Ranges that do not overlap, of ranges that may: a row is to be found once.
fn apart(mut ranges: Vec<KeyRange>) -> Vec<KeyRange> {
    ranges.retain(|r| !r.is_empty());
    ranges.sort_by(|a, b| a.low.cmp(&b.low));
    let mut out: Vec<KeyRange> = Vec::with_capacity(ranges.len());
    for r in ranges {
        match out.last_mut() {
            // It begins within the last one, or where that ends.
            Some(last) if last.high.as_ref().is_none_or(|h| r.low <= *h) => {
                last.high = match (last.high.take(), r.high) {
                    (Some(a), Some(b)) => Some(a.max(b)),
                    (_, None) | (None, _) => None,
                };
            }
            _ => out.push(r),
        }
    }
    out
}

/// Of keys that are the same (`'a'` and `'A'`, under most collations) one is looked up: rows are to be found once.
fn keep_first(keys: &mut Vec<Vec<u8>>) {
    if keys.len() > 1 {
        let mut seen = HashSet::with_capacity(keys.len());
        keys.retain(|k| seen.insert(k.clone()));
    }
}

/// A table that was made, or whose rows were copied out of another, or truncated, after the snapshot was taken has no rows of that time. Who has seen nothing yet reads again at
/// a newer time; who has must begin his transaction again (1412).
pub fn readable(table: &Table, snapshot: &Snapshot) -> Result<(), Fault> {
    if snapshot.at() < table.readable_from() { Err(Fault::RebuiltSince) } else { Ok(()) }
}

/// Visits the rows until `f` breaks off.
pub async fn visit(
    table: &Arc<Table>,
    schema: &TableSchema,
    keys: &Keys,
    snapshot: &Snapshot,
    ctx: &EvalContext<'_>,
    f: &mut (dyn FnMut(StoredRow<'_>) -> ControlFlow<()> + Send),
) -> Result<(), Fault> {
    readable(table, snapshot)?;
    let turns = Turns::default();
    match lookup(schema, keys) {
        Lookup::Rows(index, keys) => {
            let examined = keys.len() as u64;
            ctx.statement.cost.rows_examined.fetch_add(examined, Relaxed);
            for (n, key) in keys.into_iter().enumerate() {
                if n % PIECE_ROWS == PIECE_ROWS - 1 {
                    turns.piece(ctx.statement).await?;
                }
                let flow = weald_partition::get(table, index, &key, snapshot, &mut *f).await?;
                if flow.is_some_and(|f| f.is_break()) {
                    return Ok(());
                }
            }
        }
        Lookup::Cursors(cursors) => {
            for mut cursor in cursors {
                loop {
                    let mut seen = 0;
                    let mut broken = false;
                    let mut turn = Ok(false);
                    weald_partition::scan(table, &mut cursor, snapshot, &mut |row| {
                        seen += 1;
                        let flow = f(row);
                        broken = flow.is_break();
                        if seen % PIECE_ROWS == 0 {
                            turn = turns.is_over(ctx.statement);
                            if turn != Ok(false) {
                                return ControlFlow::Break(());
                            }
                        }
                        flow
                    })
                    .await?;
                    ctx.statement.cost.rows_examined.fetch_add(seen as u64, Relaxed);
                    if broken {
                        return Ok(());
                    }
                    if !turn? {
                        break;
                    }
                    turns.next(ctx.statement).await;
                    ctx.statement.check_interrupted()?;
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_overlap_become_one() {
        let range = |low: &[u8], high: Option<&[u8]>| KeyRange { low: low.to_vec(), high: high.map(<[u8]>::to_vec) };
        let ranges = vec![
            range(b"m", None),
            range(b"d", Some(b"f")),
            range(b"a", Some(b"c")),
            range(b"b", Some(b"bb")),
            range(b"x", Some(b"x")),
            range(b"f", Some(b"g")),
        ];
        assert_eq!(apart(ranges), vec![range(b"a", Some(b"c")), range(b"d", Some(b"g")), range(b"m", None)]);
        assert_eq!(apart(vec![range(b"", None), range(b"q", Some(b"r"))]), vec![KeyRange::all()]);
    }
}
