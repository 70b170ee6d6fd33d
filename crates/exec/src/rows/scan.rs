//! Rows of stored and of virtual tables: the only way in.
//!
//! Owns:     nothing.
//! Promises: asks for the columns that are read, by the access path the plan chose, with the filter that goes down; and for the locks the plan wants.
//! Never:    knows where rows live, or at which timestamp they are read: that is the source's.

use super::{BoxStream, Ready, Row, Scope, Stream};
use futures::future::BoxFuture;
use std::sync::Arc;
use weald_catalog::TableRef;
use weald_expr::{Expr, StatementContext};
use weald_plan::fragment::Access;
use weald_plan::query::Locking;
use weald_types::{Fault, Value};

/// One scan of one table. Expressions read the table's columns as `ColumnId(ordinal)`.
#[derive(Clone, Debug)]
pub struct ScanRequest {
    pub table: TableRef,
    pub access: Access,
    pub filter: Option<Expr>,
    /// Columns wanted, in this order.
    pub ordinals: Vec<u16>,
    pub statement: Arc<StatementContext>,
    pub params: Arc<[Value]>,
}

/// One row that is to be locked for the statement's transaction.
#[derive(Clone, Copy, Debug)]
pub struct LockRequest<'a> {
    pub table: &'a TableRef,
    /// As a scan gave it for [`weald_plan::query::ROW_LOCATOR`].
    pub locator: &'a [u8],
    pub locking: Locking,
    pub statement: &'a Arc<StatementContext>,
}

/// Where rows come from: the partitions of a table, at the statement's snapshot.
pub trait TableSource: Send + Sync {
    /// Stored values of the wanted columns; in index order where the access path is a range, within each partition.
    fn scan(&self, request: ScanRequest) -> BoxStream;
    /// All columns of an information_schema table, in order.
    fn virtual_rows<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<Row>, Fault>>;
    /// Whether the row is locked now; not if it is to be passed by. [`Fault::WriteConflict`] if it has changed since it was read.
    fn lock<'a>(&'a self, request: LockRequest<'a>) -> BoxFuture<'a, Result<bool, Fault>>;
    /// About how many rows a table has.
    fn row_count(&self, table: &TableRef) -> u64;
}

#[derive(Debug)]
pub struct Scan {
    pub table: TableRef,
    pub access: Access,
    pub filter: Option<Expr>,
    pub ordinals: Vec<u16>,
}

impl Scan {
    pub fn open(&self, scope: &Scope) -> BoxStream {
        scope.execution.source.scan(ScanRequest {
            table: self.table.clone(),
            access: self.access.clone(),
            filter: self.filter.clone(),
            ordinals: self.ordinals.clone(),
            statement: scope.execution.statement.clone(),
            params: scope.params.clone(),
        })
    }
}

pub struct VirtualStream {
    name: Arc<str>,
    width: usize,
    keep: Vec<usize>,
    scope: Scope,
    rows: Option<Ready>,
}

impl VirtualStream {
    pub fn new(name: Arc<str>, width: usize, keep: Vec<usize>, scope: Scope) -> Self {
        Self { name, width, keep, scope, rows: None }
    }
}

impl Stream for VirtualStream {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Vec<Row>>, Fault>> {
        Box::pin(async {
            if self.rows.is_none() {
                // Made all at once, from a catalogue that may be large.
                let execution = &self.scope.execution;
                let all = execution.statement.aside_if(true, || execution.source.virtual_rows(&self.name)).await?;
                debug_assert!(all.iter().all(|r| r.len() >= self.width), "{} gives short rows", self.name);
                let kept = all.into_iter().map(|r| self.keep.iter().map(|i| r.get(*i).cloned().unwrap_or(Value::Null)).collect()).collect();
                self.rows = Some(Ready::new(kept));
            }
            Ok(self.rows.as_mut().and_then(Ready::take))
        })
    }
}
