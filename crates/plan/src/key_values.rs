//! From an access path's expressions to the keys that are looked up.
//!
//! Owns:     nothing.
//! Promises: what no row can equal finds nothing; a bound that lies outside the column's type is moved to where it means the same.
//! Never:    encodes: see `weald_types::key`.

use crate::access::literal_start;
use crate::fragment::{Access, Target};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::ops::Bound;
use weald_catalog::TableDef;
use weald_expr::Expr;
use weald_types::key::within;
use weald_types::{DateTime, Fault, IndexId, SqlType, TypeKind, Value};

/// What to look up, in values of the index parts' types.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Keys {
    /// No row can be found.
    Nothing,
    All,
    /// The rows equal on these leading parts. Without duplicates among the keys.
    Equal {
        index: IndexId,
        keys: Vec<Vec<Value>>,
    },
    /// A NULL in `prefix` finds NULLs.
    Range {
        index: IndexId,
        prefix: Vec<Value>,
        low: Bound<Value>,
        high: Bound<Value>,
        reverse: bool,
    },
    /// The part after `prefix` lies in one of these, which may overlap.
    Ranges {
        index: IndexId,
        prefix: Vec<Value>,
        ranges: Vec<(Bound<Value>, Bound<Value>)>,
    },
    /// The part after `prefix` begins with `start`, which is not empty (`weald_types::key::encode_like_prefix`).
    StartsWith {
        index: IndexId,
        prefix: Vec<Value>,
        start: String,
    },
}

/// Among more keys than these nobody looks whether one is there twice: whoever looks them up does, by what they are in the index.
const FEW: usize = 16;

/// Evaluates the keys of `access`. `to_utc` turns session time into UTC.
pub fn resolve(
    table: &TableDef,
    access: &Access,
    eval: &mut dyn FnMut(&Expr) -> Result<Value, Fault>,
    to_utc: &dyn Fn(DateTime) -> DateTime,
) -> Result<Keys, Fault> {
    let types = |index: IndexId| {
        let parts = table.indexes.iter().find(|i| i.id == index).map(|i| &i.parts[..]).unwrap_or_default();
        parts.iter().map(|p| &table.columns[p.column as usize].ty)
    };
    Ok(match access {
        Access::Full => Keys::All,
        Access::Point { index, key } => match equal(types(*index), key, eval, to_utc)? {
            Some(key) => Keys::Equal { index: *index, keys: vec![key] },
            None => Keys::Nothing,
        },
        Access::Points { index, keys } => {
            let types = types(*index);
            let mut found: Vec<Vec<Value>> = Vec::with_capacity(keys.len());
            for key in keys {
                if let Some(key) = equal(types.clone(), key, eval, to_utc)?
                    && (found.len() > FEW || !found.contains(&key))
                {
                    found.push(key);
                }
            }
            if found.is_empty() { Keys::Nothing } else { Keys::Equal { index: *index, keys: found } }
        }
        Access::Range { index, prefix, low, high, reverse } => {
            let types = types(*index);
            let Some(values) = prefix_values(types.clone(), prefix, eval, to_utc)? else { return Ok(Keys::Nothing) };
            let next = types.clone().nth(prefix.len());
            let low = match bound(next, low, Side::Low, eval, to_utc)? {
                Some(b) => b,
                None => return Ok(Keys::Nothing),
            };
            let high = match bound(next, high, Side::High, eval, to_utc)? {
                Some(b) => b,
                None => return Ok(Keys::Nothing),
            };
            Keys::Range { index: *index, prefix: values, low, high, reverse: *reverse }
        }
        Access::Ranges { index, prefix, ranges } => {
            let types = types(*index);
            let Some(values) = prefix_values(types.clone(), prefix, eval, to_utc)? else { return Ok(Keys::Nothing) };
            let next = types.clone().nth(prefix.len());
            let mut found = Vec::with_capacity(ranges.len());
            for (low, high) in ranges {
                if let Some(low) = bound(next, low, Side::Low, eval, to_utc)?
                    && let Some(high) = bound(next, high, Side::High, eval, to_utc)?
                {
                    found.push((low, high));
                }
            }
            if found.is_empty() { Keys::Nothing } else { Keys::Ranges { index: *index, prefix: values, ranges: found } }
        }
        Access::Like { index, prefix, pattern, escape } => {
            let Some(values) = prefix_values(types(*index), prefix, eval, to_utc)? else { return Ok(Keys::Nothing) };
            match eval(pattern)? {
                Value::Null => Keys::Nothing,
                Value::Str(p) => match literal_start(&p, *escape) {
                    start if start.is_empty() => {
                        Keys::Range { index: *index, prefix: values, low: Bound::Unbounded, high: Bound::Unbounded, reverse: false }
                    }
                    start => Keys::StartsWith { index: *index, prefix: values, start },
                },
                _ => Keys::Range { index: *index, prefix: values, low: Bound::Unbounded, high: Bound::Unbounded, reverse: false },
            }
        }
    })
}

/// The shard keys of `target`; None where it does not go by keys. A key that no row can have is left out.
pub fn shard_keys(
    table: &TableDef,
    columns: &[u16],
    target: &Target,
    eval: &mut dyn FnMut(&Expr) -> Result<Value, Fault>,
    to_utc: &dyn Fn(DateTime) -> DateTime,
) -> Result<Option<Vec<Vec<Value>>>, Fault> {
    let types = columns.iter().map(|c| &table.columns[*c as usize].ty);
    let keys = match target {
        Target::Key(key) => std::slice::from_ref(key),
        Target::Keys(keys) => &keys[..],
        Target::Ordinal(_) | Target::Copy | Target::All => return Ok(None),
    };
    let mut out: Vec<Vec<Value>> = Vec::with_capacity(keys.len());
    for key in keys {
        if let Some(key) = prefix_values(types.clone(), key, eval, to_utc)?
            && (out.len() > FEW || !out.contains(&key))
        {
            out.push(key);
        }
    }
    Ok(Some(out))
}

fn equal<'t>(
    types: impl Iterator<Item = &'t SqlType>,
    key: &[Expr],
    eval: &mut dyn FnMut(&Expr) -> Result<Value, Fault>,
    to_utc: &dyn Fn(DateTime) -> DateTime,
) -> Result<Option<Vec<Value>>, Fault> {
    let mut out = Vec::with_capacity(key.len());
    for (e, ty) in key.iter().zip(types) {
        match point(eval(e)?, ty, to_utc) {
            Some(v) => out.push(v),
            None => return Ok(None),
        }
    }
    Ok(Some(out))
}

/// As [`equal`], but a literal NULL stands for IS NULL.
fn prefix_values<'t>(
    types: impl Iterator<Item = &'t SqlType>,
    prefix: &[Expr],
    eval: &mut dyn FnMut(&Expr) -> Result<Value, Fault>,
    to_utc: &dyn Fn(DateTime) -> DateTime,
) -> Result<Option<Vec<Value>>, Fault> {
    let mut out = Vec::with_capacity(prefix.len());
    for (e, ty) in prefix.iter().zip(types) {
        if matches!(e, Expr::Literal { value: Value::Null, .. }) {
            if !ty.nullable {
                return Ok(None);
            }
            out.push(Value::Null);
            continue;
        }
        match point(eval(e)?, ty, to_utc) {
            Some(v) => out.push(v),
            None => return Ok(None),
        }
    }
    Ok(Some(out))
}

/// The value of `ty` that equals `value`.
fn point(value: Value, ty: &SqlType, to_utc: &dyn Fn(DateTime) -> DateTime) -> Option<Value> {
    if value.is_null() {
        return None;
    }
    let (value, order) = stored(value, ty, to_utc)?;
    (order == Ordering::Equal).then_some(value)
}

/// The value of `ty` nearest to `value`, as it is stored, and where `value` lies from it.
fn stored(value: Value, ty: &SqlType, to_utc: &dyn Fn(DateTime) -> DateTime) -> Option<(Value, Ordering)> {
    Some(match (&ty.kind, value) {
        (TypeKind::Timestamp { .. }, Value::DateTime(t)) => (Value::DateTime(to_utc(t)), Ordering::Equal),
        (TypeKind::Enum(members), Value::Str(s)) => {
            let at = members.iter().position(|m| ty.collation.equal(m.as_bytes(), s.as_bytes()))?;
            (Value::UInt(at as u64 + 1), Ordering::Equal)
        }
        (_, value) => within(&value, ty),
    })
}

enum Side {
    Low,
    High,
}

fn bound(
    ty: Option<&SqlType>,
    b: &Bound<Expr>,
    side: Side,
    eval: &mut dyn FnMut(&Expr) -> Result<Value, Fault>,
    to_utc: &dyn Fn(DateTime) -> DateTime,
) -> Result<Option<Bound<Value>>, Fault> {
    let (e, included) = match b {
        Bound::Unbounded => return Ok(Some(Bound::Unbounded)),
        Bound::Included(e) => (e, true),
        Bound::Excluded(e) => (e, false),
    };
    let value = eval(e)?;
    if value.is_null() {
        return Ok(None);
    }
    let Some(ty) = ty else { return Ok(Some(Bound::Unbounded)) };
    let Some((value, order)) = stored(value, ty, to_utc) else { return Ok(Some(Bound::Unbounded)) };
    // `< 5.5` where the nearest is 6, from which 5.5 lies below: 6 is outside. `< 1000` where the nearest is 127: 127 is inside.
    let included = match (order, side) {
        (Ordering::Equal, _) => included,
        (Ordering::Less, Side::High) | (Ordering::Greater, Side::Low) => false,
        (Ordering::Greater, Side::High) | (Ordering::Less, Side::Low) => true,
    };
    Ok(Some(if included { Bound::Included(value) } else { Bound::Excluded(value) }))
}
