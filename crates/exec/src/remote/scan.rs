//! Scans of partitions on other nodes.
//!
//! Owns:     the stream of an answer in parts.
//! Promises: rows as a scan here gives them; dropped, the leaf stops reading.
//! Never:    reads ahead of its consumer by more than a connection's window.

use super::ask::{self, CallFault, SCANS, internal};
use super::message::{Answer, Done, ScanKind, ScanRequest as Asked, Scanned, TableAt};
use super::method;
use crate::analytic::RowsTaker;
use crate::engine::{Engine, Work};
use crate::rows::{Row, ScanRequest};
use crate::source::Locker;
use crate::transaction::Transaction;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;
use weald_catalog::TableRef;
use weald_expr::carried::{self, Reach};
use weald_expr::{EvalContext, Expr, StatementContext, eval, is_true};
use weald_partition::{Snapshot, StoredRow};
use weald_rpc::{Ask, Piece, Pieces};
use weald_types::{Fault, NodeId, Value};

/// Values of columns, for the row executor.
pub(crate) struct RemoteScan {
    pieces: Pieces,
    node: NodeId,
    /// What only this node can evaluate is looked at here: over whole rows, of which these columns are wanted.
    filter: Option<(Expr, Vec<u16>, Arc<[Value]>)>,
}

impl RemoteScan {
    pub async fn open(
        engine: &Arc<Engine>,
        node: NodeId,
        r: &ScanRequest,
        ordinals: Vec<u32>,
        snapshot: &Snapshot,
        transaction: Option<&Transaction>,
    ) -> Result<Self, Fault> {
        let at_home = r.filter.as_ref().filter(|f| carried::reach(f) != Reach::Anywhere);
        let columns: Vec<u16> = if at_home.is_some() { (0..r.table.columns.len() as u16).collect() } else { r.ordinals.clone() };
        if at_home.is_some() && r.ordinals.contains(&weald_plan::query::ROW_LOCATOR) {
            return Err(Fault::not_supported("a change over several nodes with a condition that only this node can evaluate"));
        }
        let mut variables = Vec::new();
        r.filter.iter().for_each(|f| carried::variables(f, &mut variables));
        r.access.exprs(&mut |e| carried::variables(e, &mut variables));
        let filter = if at_home.is_some() { None } else { r.filter.as_ref().map(Cow::Borrowed) };
        let kind = ScanKind::Values { access: Cow::Borrowed(&r.access), filter, columns: columns.into() };
        let pieces = open(engine, node, &r.table, ordinals, kind, &variables, &r.params, &r.statement, snapshot, transaction).await?;
        Ok(Self { pieces, node, filter: at_home.map(|f| (f.clone(), r.ordinals.clone(), r.params.clone())) })
    }

    /// None at the end.
    pub async fn next(&mut self, statement: &Arc<StatementContext>) -> Result<Option<Vec<Row>>, Fault> {
        loop {
            let Some(part) = next(&mut self.pieces, self.node, statement).await? else { return Ok(None) };
            let rows = match postcard::from_bytes(&part).map_err(internal)? {
                Scanned::Values(rows) => rows,
                Scanned::Stored(_) => return Err(internal("a scan gave stored rows for values")),
            };
            let Some((filter, ordinals, params)) = &self.filter else { return Ok(Some(rows)) };
            let ctx = EvalContext { statement, params, subqueries: &[] };
            let mut kept = Vec::new();
            for row in rows {
                if is_true(&eval(filter, row.as_slice(), &ctx)?) {
                    kept.push(ordinals.iter().map(|o| row[*o as usize].clone()).collect());
                }
            }
            if !kept.is_empty() {
                return Ok(Some(kept));
            }
        }
    }
}

/// Stored rows of one partition, for the analytic executor.
pub(crate) struct RemoteRows {
    engine: Arc<Engine>,
    node: NodeId,
    table: TableRef,
    ordinal: u32,
    locker: Option<Locker>,
    pieces: Option<Pieces>,
}

impl RemoteRows {
    pub fn new(engine: &Arc<Engine>, node: NodeId, table: &TableRef, ordinal: u32, locker: Option<Locker>) -> Self {
        Self { engine: engine.clone(), node, table: table.clone(), ordinal, locker, pieces: None }
    }

    /// Gives a piece to `take`, and how many rows it has: 0 at the end.
    pub async fn next(&mut self, snapshot: &Snapshot, statement: &Arc<StatementContext>, take: &mut RowsTaker<'_>) -> Result<usize, Fault> {
        let pieces = match &mut self.pieces {
            Some(pieces) => pieces,
            None => {
                let transaction = self.locker.as_ref().and_then(|l| l.transaction.upgrade());
                let ordinals = vec![self.ordinal];
                let opening =
                    open(&self.engine, self.node, &self.table, ordinals, ScanKind::Stored, &[], &[], statement, snapshot, transaction.as_deref());
                self.pieces.insert(opening.await?)
            }
        };
        let Some(part) = next(pieces, self.node, statement).await? else { return Ok(0) };
        let rows = match postcard::from_bytes(&part).map_err(internal)? {
            Scanned::Stored(rows) => rows,
            Scanned::Values(_) => return Err(internal("a scan gave values for stored rows")),
        };
        let rows: Vec<StoredRow<'_>> = rows.into_iter().map(|(version, bytes)| StoredRow::sent(version, bytes)).collect();
        take(&self.engine.schema_of(&self.table), &rows)?;
        Ok(rows.len())
    }
}

#[allow(clippy::too_many_arguments)]
async fn open(
    engine: &Arc<Engine>,
    node: NodeId,
    table: &TableRef,
    ordinals: Vec<u32>,
    kind: ScanKind<'_>,
    variables: &[Arc<str>],
    params: &[Value],
    statement: &Arc<StatementContext>,
    snapshot: &Snapshot,
    transaction: Option<&Transaction>,
) -> Result<Pieces, Fault> {
    let branch = transaction.and_then(|t| t.branch(node, false));
    let alone;
    let transaction = match transaction {
        Some(transaction) => transaction,
        None => {
            alone = engine.begin(weald_txn::Isolation::RepeatableRead);
            &alone
        }
    };
    let work = Work { statement, params, transaction, snapshot, lock_wait: Duration::ZERO };
    let facts = ask::facts(statement)?;
    let head = ask::head(engine, branch, variables, params, work);
    let body = weald_rpc::message::encode(&Asked { facts: &facts, head, table: TableAt::of(table), ordinals, kind }).map_err(internal)?;
    let peer = engine.leaves.peer(node)?;
    peer.call_in_parts(SCANS, Ask { method: method::SCAN, body, within: None }).await.map_err(|e| CallFault::of(node, e).fault())
}

/// The next part of a scan; what it said on the way comes with its end.
async fn next(pieces: &mut Pieces, node: NodeId, statement: &Arc<StatementContext>) -> Result<Option<bytes::Bytes>, Fault> {
    let piece = tokio::select! {
        biased;
        piece = pieces.next() => piece.map_err(|e| CallFault::of(node, e).fault())?,
        fault = statement.interrupted.raised() => return Err(fault),
    };
    match piece {
        Piece::Part(part) => Ok(Some(part)),
        Piece::End(end) => {
            let answer: Answer = weald_rpc::message::decode(&end).map_err(internal)?;
            answer.effects.merge_into(statement)?;
            match answer.done? {
                Done::Rows(_) => Ok(None),
                other => Err(internal(format!("a scan ended as {other:?}"))),
            }
        }
    }
}
