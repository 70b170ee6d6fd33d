//! FOR UPDATE and FOR SHARE: locking what a read gives.
//!
//! Owns:     nothing; locks belong to the transaction, and stay until its end.
//! Promises: every row of the answer is locked and was not changed since the snapshot, or the statement ends with a conflict; with SKIP LOCKED, rows that
//!           others hold are as if they were not there.
//! Never:    waits for a row that NOWAIT or SKIP LOCKED forbid to wait for.

use crate::change::read_locator;
use crate::engine::Work;
use crate::find;
use crate::fragment_read::{Answers, PassedBy, number};
use crate::meter::Meter;
use crate::rows::Row;
use crate::site::Site;
use crate::stored::Fields;
use foldhash::{HashMapExt, HashSet, HashSetExt};
use std::ops::ControlFlow;
use std::sync::Arc;
use weald_expr::{EvalContext, eval, is_true};
use weald_partition::{LockMode, LockWait, Outcome, Partition, RowHandle, Table};
use weald_plan::fragment::{Action, Fragment, FragmentPlan};
use weald_plan::key_values::Keys;
use weald_plan::query::Locking;
use weald_types::{Fault, Value};

pub(crate) fn mode_of(locking: Locking) -> LockMode {
    if locking.exclusive { LockMode::Exclusive } else { LockMode::Shared }
}

/// What became of asking for a row's lock.
pub(crate) enum Asked {
    Locked,
    PassedBy,
    Wait(LockWait),
}

pub(crate) fn asked(outcome: Outcome, locking: Locking) -> Result<Asked, Fault> {
    match outcome {
        Outcome::Done => Ok(Asked::Locked),
        Outcome::Gone => Ok(Asked::PassedBy),
        Outcome::Conflict | Outcome::Duplicate(_) => Err(Fault::WriteConflict),
        Outcome::Wait(_) if locking.no_wait => Err(Fault::LockNoWait),
        Outcome::Wait(_) if locking.skip_locked => Ok(Asked::PassedBy),
        Outcome::Wait(w) => Ok(Asked::Wait(w)),
    }
}

/// How many rows a read without an order of its own takes at most.
fn enough(f: &Fragment, ctx: &EvalContext<'_>) -> Result<Option<u64>, Fault> {
    match &f.action {
        Action::Read { group, aggregates, distinct: false, sort, limit, offset, .. }
            if group.is_empty() && aggregates.is_empty() && sort.is_empty() =>
        {
            let offset = number(offset, ctx)?.unwrap_or(0);
            Ok(number(limit, ctx)?.map(|l| l.saturating_add(offset)))
        }
        Action::Read { .. } | Action::Update { .. } | Action::Delete { .. } | Action::Insert { .. } => Ok(None),
    }
}

/// Locks what a fragment finds in one partition, if it wants that, before it is read. Gives the rows that are not to be read.
pub(crate) async fn lock_rows(
    partition: &Arc<Partition>,
    table: &Arc<Table>,
    f: &Fragment,
    keys: &Keys,
    work: Work<'_>,
) -> Result<HashSet<Vec<u8>>, Fault> {
    let Action::Read { lock: Some(lock), .. } = &f.action else { return Ok(HashSet::new()) };
    let ctx = work.context();
    let schema = table.schema();
    let enough = enough(f, &ctx)?;
    let mut handles: Vec<RowHandle> = Vec::new();
    let mut fault = None;
    let mut meter = Meter::new(&work.statement.memory);
    find::visit(table, schema, keys, work.snapshot, &ctx, &mut |row| {
        let fields = Fields { schema, version: row.version, bytes: row.bytes };
        match f.filter.as_ref().map(|e| eval(e, &fields, &ctx)) {
            Some(Err(e)) => {
                fault = Some(e);
                return ControlFlow::Break(());
            }
            Some(Ok(v)) if !is_true(&v) => (),
            _ => {
                if let Err(full) = meter.keep(|| 32 + row.handle_bytes().len() as u64) {
                    fault = Some(full);
                    return ControlFlow::Break(());
                }
                handles.push(row.handle())
            }
        }
        ControlFlow::Continue(())
    })
    .await?;
    if let Some(f) = fault {
        return Err(f);
    }
    let site = Site::Here { partition, table: table.clone() };
    let mut passed_by = HashSet::new();
    let mut held = 0;
    for handle in handles {
        // A limit without an order reads so many rows and no more: those behind it stay free for others.
        if enough.is_some_and(|n| held >= n) {
            break;
        }
        if site.lock(&handle, *lock, work).await? {
            held += 1;
        } else {
            passed_by.insert(handle.bytes().to_vec());
        }
    }
    Ok(passed_by)
}

/// Whether only the whole answer says which rows are to be locked: a limit, over several partitions or after a sort.
pub(crate) fn locks_what_is_left(f: &Fragment, partitions: usize) -> bool {
    matches!(&f.action, Action::Read { lock: Some(_), limit: Some(_), sort, .. } if partitions > 1 || !sort.is_empty())
}

/// Reads, then locks the rows of the answer. Those that are passed by make room for others: until all are locked.
///
/// A row locked in an earlier round is in the answer of each later one too, as only rows before it in the order go: nothing is locked in vain.
pub(crate) async fn read(plan: &FragmentPlan, alone: bool, from: Answers<'_>, work: Work<'_>) -> Result<Vec<Row>, Fault> {
    let Action::Read { lock: Some(lock), .. } = &plan.fragment.action else {
        return Err(Fault::Internal { incident: "a locking read that locks nothing".into() });
    };
    // Hidden columns and the locator behind them stay until the rows are locked.
    let mut whole = plan.clone();
    whole.gather.visible = usize::MAX;
    let mut passed_by = PassedBy::new();
    let mut locked: HashSet<Vec<u8>> = HashSet::new();
    loop {
        let answers = from.read(alone, Some(&passed_by), work).await?;
        let rows = crate::gather(&whole, answers, alone, work.statement, work.params)?;
        let mut complete = true;
        for row in &rows {
            let Some(Value::Bytes(place)) = row.last() else {
                return Err(Fault::Internal { incident: "a row without its place".into() });
            };
            if locked.contains(&**place) {
                continue;
            }
            let (at, handle) = read_locator(place)?;
            if from.places.site(from.engine, at)?.lock(&handle, *lock, work).await? {
                locked.insert(place.to_vec());
            } else {
                passed_by.entry(at).or_default().insert(handle.bytes().to_vec());
                complete = false;
            }
        }
        if complete {
            let visible = plan.gather.visible;
            return Ok(rows
                .into_iter()
                .map(|mut r| {
                    r.truncate(visible);
                    r
                })
                .collect());
        }
    }
}
