//! A table in one partition, here or on another node: changes of single rows.
//!
//! Owns:     nothing; writes into the work's transaction.
//! Promises: the same of a row wherever it is; waits for whoever has it.
//! Never:    evaluates an expression.

use crate::engine::{Engine, Work};
use crate::locked_read::{self, Asked};
use crate::remote::{Refused, RowOp, Stop};
use std::borrow::Cow;
use std::sync::Arc;
use weald_catalog::TableDef;
use weald_partition::{Duplicate, Outcome, Partition, RowHandle, Table, TableSchema};
use weald_plan::query::Locking;
use weald_types::{Fault, NodeId, PartitionId, SchemaVersion, Value};

/// Where a partition is.
#[derive(Clone)]
pub enum Home {
    Here(Arc<Partition>),
    There(NodeId),
    /// No copy of it is left, its leaf is detached, or is not known.
    Nowhere,
}

pub(crate) enum Site<'t> {
    Here { partition: &'t Arc<Partition>, table: Arc<Table> },
    There { engine: &'t Engine, node: NodeId, partition: PartitionId, table: &'t TableDef, schema: Arc<TableSchema> },
}

/// What became of a change.
#[must_use]
pub(crate) enum RowDone {
    Done,
    Gone,
    Duplicate(Duplicate),
}

impl Site<'_> {
    pub fn schema(&self) -> &TableSchema {
        match self {
            Site::Here { table, .. } => table.schema(),
            Site::There { schema, .. } => schema,
        }
    }

    pub async fn insert(&self, row: &[u8], work: Work<'_>) -> Result<RowDone, Fault> {
        match self {
            Site::Here { partition, table } => settled(|| partition.insert(work.transaction, table, row), work).await,
            Site::There { .. } => self.one(RowOp::Insert(row.into()), work).await,
        }
    }
    pub async fn update(&self, row: &RowHandle, new: &[u8], work: Work<'_>) -> Result<RowDone, Fault> {
        match self {
            Site::Here { partition, table } => settled(|| partition.update(work.transaction, table, row, new), work).await,
            Site::There { .. } => self.one(RowOp::Update { handle: row.bytes().into(), row: new.into() }, work).await,
        }
    }
    pub async fn delete(&self, row: &RowHandle, work: Work<'_>) -> Result<RowDone, Fault> {
        match self {
            Site::Here { partition, table } => settled(|| partition.delete(work.transaction, table, row), work).await,
            Site::There { .. } => self.one(RowOp::Delete { handle: row.bytes().into() }, work).await,
        }
    }
    /// False: the row is not there, or others hold it and that is to be passed by.
    pub async fn lock(&self, row: &RowHandle, locking: Locking, work: Work<'_>) -> Result<bool, Fault> {
        match self {
            Site::Here { partition, table } => loop {
                let outcome = partition.lock(work.transaction, table, row, locked_read::mode_of(locking))?;
                match locked_read::asked(outcome, locking)? {
                    Asked::Locked => return Ok(true),
                    Asked::PassedBy => return Ok(false),
                    Asked::Wait(lock) => work.wait(lock).await?,
                }
            },
            Site::There { .. } => {
                let stop = self.ops(vec![RowOp::Lock { handle: row.bytes().into(), locking }], work).await?;
                Ok(stop.refused.is_none())
            }
        }
    }

    /// Inserts rows until one is refused: how many were inserted, and what came of the next, which is to be tried again where it is [`RowDone::Gone`].
    /// `load`: their entries in indexes may be made later, as they always are here: see [`weald_partition::Transaction::make_entries`].
    pub async fn insert_all<'r>(&self, rows: Vec<&'r [u8]>, load: bool, work: Work<'_>) -> (usize, Result<RowDone, Fault>) {
        match self {
            Site::Here { partition, table } => match partition.load(work.transaction, table, rows.into_iter()) {
                (n, Ok(Outcome::Done)) => (n, Ok(RowDone::Done)),
                (n, Err(fault)) => (n, Err(fault)),
                (n, Ok(Outcome::Wait(lock))) => {
                    // The next one is tried again, alone.
                    match work.wait(lock).await {
                        Ok(()) => (n, Ok(RowDone::Gone)),
                        Err(fault) => (n, Err(fault)),
                    }
                }
                (n, Ok(Outcome::Duplicate(d))) => (n, Ok(RowDone::Duplicate(d))),
                (n, Ok(Outcome::Conflict | Outcome::Gone)) => (n, Err(Fault::WriteConflict)),
            },
            Site::There { .. } => {
                let op = |row: &'r [u8]| if load { RowOp::Load(row.into()) } else { RowOp::Insert(row.into()) };
                match self.ops(rows.into_iter().map(op).collect(), work).await {
                    Ok(stop) => (stop.made as usize, Ok(row_done(stop.refused))),
                    Err(fault) => (0, Err(fault)),
                }
            }
        }
    }

    async fn one(&self, op: RowOp<'_>, work: Work<'_>) -> Result<RowDone, Fault> {
        self.ops(vec![op], work).await.map(|stop| row_done(stop.refused))
    }

    /// Changes of rows on another node, until one is refused.
    pub async fn ops(&self, ops: Vec<RowOp<'_>>, work: Work<'_>) -> Result<Stop, Fault> {
        match self {
            Site::Here { partition, table } => run_ops(partition, table, &ops, work).await,
            Site::There { engine, node, partition, table, .. } => engine.leaves.rows(engine, *node, *partition, table, ops, work).await,
        }
    }

    /// Of each row its stored bytes, as the snapshot has it.
    pub async fn fetch(&self, handles: &[RowHandle], work: Work<'_>) -> Result<Vec<Option<(SchemaVersion, Vec<u8>)>>, Fault> {
        match self {
            Site::Here { table, .. } => {
                let mut rows = Vec::with_capacity(handles.len());
                for handle in handles {
                    rows.push(weald_partition::read_row(table, handle, work.snapshot, |r| (r.version, r.bytes.to_vec())).await);
                }
                Ok(rows)
            }
            Site::There { engine, node, partition, table, .. } => {
                let handles = handles.iter().map(|h| Cow::Borrowed(h.bytes())).collect();
                engine.leaves.fetch(engine, *node, *partition, table, handles, work).await
            }
        }
    }

    pub fn values(&self, version: SchemaVersion, bytes: &[u8]) -> Vec<Value> {
        self.schema().values(version, bytes)
    }
}

fn row_done(refused: Option<Refused>) -> RowDone {
    match refused {
        None => RowDone::Done,
        Some(Refused::Gone | Refused::PassedBy) => RowDone::Gone,
        Some(Refused::Duplicate { index, handle, version, bytes }) => {
            RowDone::Duplicate(Duplicate { index, row: RowHandle::new(&handle), version, bytes: bytes.into() })
        }
    }
}

/// A change, tried again for as long as it has to wait.
async fn settled(mut change: impl FnMut() -> Result<Outcome, Fault>, work: Work<'_>) -> Result<RowDone, Fault> {
    loop {
        match change()? {
            Outcome::Done => return Ok(RowDone::Done),
            Outcome::Gone => return Ok(RowDone::Gone),
            Outcome::Duplicate(d) => return Ok(RowDone::Duplicate(d)),
            Outcome::Conflict => return Err(Fault::WriteConflict),
            Outcome::Wait(lock) => work.wait(lock).await?,
        }
    }
}

/// What [`Site::ops`] asks for, where the partition is.
pub(crate) async fn run_ops(partition: &Arc<Partition>, table: &Arc<Table>, ops: &[RowOp<'_>], work: Work<'_>) -> Result<Stop, Fault> {
    let turns = crate::turns::Turns::default();
    let mut at = 0;
    while at < ops.len() {
        if at % crate::turns::PIECE_ROWS == crate::turns::PIECE_ROWS - 1 {
            turns.piece(work.statement).await?;
        }
        let by = work.transaction;
        let done = match &ops[at] {
            RowOp::Insert(row) => settled(|| partition.insert(by, table, row), work).await?,
            RowOp::Update { handle, row } => {
                let handle = RowHandle::new(handle);
                settled(|| partition.update(by, table, &handle, row), work).await?
            }
            RowOp::Delete { handle } => {
                let handle = RowHandle::new(handle);
                settled(|| partition.delete(by, table, &handle), work).await?
            }
            RowOp::Lock { handle, locking } => {
                let site = Site::Here { partition, table: table.clone() };
                if !Box::pin(site.lock(&RowHandle::new(handle), *locking, work)).await? {
                    return Ok(Stop { made: at as u64, refused: Some(Refused::PassedBy) });
                }
                RowDone::Done
            }
            RowOp::MakeEntries => {
                by.make_entries();
                RowDone::Done
            }
            RowOp::Load(_) => {
                // All that follow each other, in one go.
                let run = ops[at..].iter().map_while(|op| if let RowOp::Load(row) = op { Some(&**row) } else { None }).collect::<Vec<_>>();
                let site = Site::Here { partition, table: table.clone() };
                let all = run.len();
                let (loaded, done) = Box::pin(site.insert_all(run, true, work)).await;
                at += loaded;
                match done? {
                    RowDone::Done => continue,
                    // It was waited for; or it is gone, and there is room for the row.
                    RowDone::Gone if loaded < all => continue,
                    done => done,
                }
            }
        };
        work.transaction.log_ahead().await?;
        match done {
            RowDone::Done => at += 1,
            RowDone::Gone => return Ok(Stop { made: at as u64, refused: Some(Refused::Gone) }),
            RowDone::Duplicate(d) => {
                let refused = Refused::Duplicate { index: d.index, handle: d.row.bytes().to_vec(), version: d.version, bytes: d.bytes.into() };
                return Ok(Stop { made: at as u64, refused: Some(refused) });
            }
        }
    }
    Ok(Stop { made: at as u64, refused: None })
}
