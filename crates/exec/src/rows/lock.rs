//! FOR UPDATE and FOR SHARE: the rows that an output row was made of are locked as it passes.
//!
//! Owns:     nothing; locks belong to the transaction, and stay until its end.
//! Promises: locks the rows of what it lets through, no others: with a LIMIT it stops when enough have passed. A row that was passed by (SKIP LOCKED) is not
//!           counted.
//! Never:    gives a row that changed after it was read: that is a conflict.

use super::scan::LockRequest;
use super::sort::Limit;
use super::{BoxStream, Node, Row, Scope, Stream, open};
use futures::future::BoxFuture;
use std::sync::Arc;
use weald_catalog::TableRef;
use weald_plan::query::Locking;
use weald_types::{Fault, Value};

#[derive(Debug)]
pub struct Lock {
    pub input: Arc<Node>,
    pub tables: Vec<LockedTable>,
    pub limit: Option<Limit>,
}

#[derive(Clone, Debug)]
pub struct LockedTable {
    pub table: TableRef,
    /// Where a row has the locator.
    pub slot: usize,
    pub locking: Locking,
}

impl Lock {
    pub fn open(&self, scope: &Scope) -> BoxStream {
        let bounds = if self.limit.is_some() { None } else { Some((0, u64::MAX)) };
        Box::new(LockStream { input: open(&self.input, scope), tables: self.tables.clone(), limit: self.limit.clone(), scope: scope.clone(), bounds })
    }
}

struct LockStream {
    input: BoxStream,
    tables: Vec<LockedTable>,
    limit: Option<Limit>,
    scope: Scope,
    /// Rows still to be skipped and to be given, once the limit has been evaluated.
    bounds: Option<(u64, u64)>,
}

impl LockStream {
    async fn batch(&mut self) -> Result<Option<Vec<Row>>, Fault> {
        let (mut skip, mut give) = match (self.bounds, &self.limit) {
            (Some(bounds), _) => bounds,
            (None, Some(limit)) => limit.bounds(&self.scope).await?,
            (None, None) => (0, u64::MAX),
        };
        let mut out = Vec::new();
        while out.is_empty() && give > 0 {
            let Some(batch) = self.input.next().await? else { break };
            for row in batch {
                if give == 0 {
                    break;
                }
                if !lock(&self.tables, &row, &self.scope).await? {
                    continue;
                }
                // What OFFSET leaves out was read all the same.
                if skip > 0 {
                    skip -= 1;
                    continue;
                }
                give -= 1;
                out.push(row);
            }
        }
        self.bounds = Some((skip, give));
        Ok(if out.is_empty() { None } else { Some(out) })
    }
}

/// False: the row is passed by.
pub(super) async fn lock(tables: &[LockedTable], row: &Row, scope: &Scope) -> Result<bool, Fault> {
    let execution = &scope.execution;
    for t in tables {
        // An outer join that found no row there has nothing to lock.
        let Some(Value::Bytes(locator)) = row.get(t.slot) else { continue };
        let request = LockRequest { table: &t.table, locator, locking: t.locking, statement: &execution.statement };
        if !execution.source.lock(request).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

impl Stream for LockStream {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Vec<Row>>, Fault>> {
        Box::pin(self.batch())
    }
}
