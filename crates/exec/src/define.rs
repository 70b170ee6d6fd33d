//! What a change of a definition needs of a table's partitions, wherever they are: that nobody writes, that an index is filled.
//!
//! Owns:     the gates that this node closed on others, and those that others closed here.
//! Promises: a gate on another node opens only when that node has followed the catalogue as far as whoever closed it had when it let go: no plan of before writes
//!           into a table whose rows have changed hands. If he is gone, after [`GATE_KEPT`].
//! Never:    changes the catalogue.

use crate::engine::Engine;
use crate::remote::GateAsked;
use crate::site::Home;
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use weald_catalog::{TableDef, TableRef};
use weald_expr::StatementContext;
use weald_partition::{FillPosition, Filling};
use weald_types::{Fault, IndexId, NodeId, NodeIdentity, TableId, TxnId};

/// Longer than any command of the catalogue is waited for: whoever closed a gate and is not heard of any more may have one under way.
const GATE_KEPT: Duration = Duration::from_secs(60);
/// A gate that its owner's pulse does not name, and that is no younger, was let go of.
const GATE_NAMED: Duration = Duration::from_secs(5);
/// How often a wait looks up whether it is still wanted.
const LOOK_UP: Duration = Duration::from_millis(50);

#[derive(Default)]
pub struct Gates {
    /// Closed by others, here.
    here: Mutex<HashMap<TxnId, Kept>>,
    /// Closed by this node, on others.
    there: Mutex<BTreeSet<TxnId>>,
}

struct Kept {
    _gate: weald_partition::Gate,
    owner: NodeIdentity,
    since: Duration,
}

/// Keeps newcomers out of tables until it is dropped.
pub struct Gate {
    _here: weald_partition::Gate,
    id: TxnId,
    there: BTreeSet<NodeId>,
    engine: Arc<Engine>,
}

impl Engine {
    /// Closes tables to new writers, on all nodes, and waits for those inside.
    pub async fn close_gate(self: &Arc<Self>, tables: &[TableRef], wait: Duration, statement: &Arc<StatementContext>) -> Result<Gate, Fault> {
        let id = self.new_transaction_id();
        let mut stored = Vec::new();
        let mut there: BTreeSet<NodeId> = BTreeSet::new();
        for t in tables {
            let places = self.places(t)?;
            for home in places.homes() {
                match home {
                    Home::Here(p) => stored.extend(p.current_table(t.id)),
                    Home::There(node) => {
                        there.insert(*node);
                    }
                    Home::Nowhere => (),
                }
            }
        }
        let here = weald_partition::Gate::close(&self.node, id, stored)?;
        here.emptied(wait, || statement.check_interrupted()).await?;
        let gate = Gate { _here: here, id, there, engine: self.clone() };
        if gate.there.is_empty() {
            return Ok(gate);
        }
        self.gates.there.lock().insert(id);
        let tables: Vec<TableId> = tables.iter().map(|t| t.id).collect();
        for node in &gate.there {
            let close = GateAsked::Close { tables: tables.clone(), catalog: self.followed(), wait_millis: wait.as_millis() as u64 };
            self.leaves.gate(*node, id, &close, Some(statement)).await?;
        }
        Ok(gate)
    }

    /// What [`Engine::close_gate`] asks of another node. To be run to its end.
    pub(crate) async fn gate_asked(&self, owner: NodeIdentity, id: TxnId, asked: GateAsked) -> Result<(), Fault> {
        match asked {
            GateAsked::Close { tables, catalog, wait_millis } => {
                self.follows_soon(catalog).await?;
                let of = |p: &Arc<weald_partition::Partition>| tables.iter().filter_map(|t| p.current_table(*t)).collect::<Vec<_>>();
                let stored = self.all_here().iter().flat_map(of).collect();
                let gate = weald_partition::Gate::close(&self.node, id, stored)?;
                gate.emptied(Duration::from_millis(wait_millis), || Ok(())).await?;
                self.gates.here.lock().insert(id, Kept { _gate: gate, owner, since: self.node.env.clock.now() });
                Ok(())
            }
            GateAsked::Open { catalog } => {
                self.follows(catalog).await;
                self.gates.here.lock().remove(&id);
                Ok(())
            }
        }
    }

    pub(crate) fn gates_closed(&self) -> Vec<TxnId> {
        self.gates.there.lock().iter().copied().collect()
    }
    /// Opens what an aggregator has let go of without its word having arrived.
    pub(crate) fn open_gates_of(&self, owner: NodeIdentity, closed: &[TxnId]) {
        let now = self.node.env.clock.now();
        self.gates.here.lock().retain(|id, k| k.owner != owner || closed.contains(id) || now.saturating_sub(k.since) < GATE_NAMED);
    }
    pub(crate) fn open_gates_of_gone(&self, is_gone: impl Fn(NodeIdentity) -> bool) {
        let now = self.node.env.clock.now();
        self.gates.here.lock().retain(|_, k| now.saturating_sub(k.since) < GATE_KEPT || !is_gone(k.owner));
    }

    /// Whether partitions of the table are on other nodes.
    pub fn is_spread(&self, table: &TableDef) -> bool {
        self.places(table).is_ok_and(|p| p.homes().iter().any(|h| matches!(h, Home::There(_))))
    }

    /// Enters the rows that are there into indexes that are not ready, while writers go on.
    pub async fn fill_indexes(&self, table: &TableDef, indexes: &[IndexId], wait: Duration, statement: &Arc<StatementContext>) -> Result<(), Fault> {
        let places = self.places(table)?;
        let all: Vec<usize> = (0..places.len()).collect();
        for (node, _) in places.by_node(&all) {
            match node {
                Some(node) => self.leaves.fill(self, node, table, indexes, wait, statement).await?,
                None => self.fill_indexes_here(table, indexes, wait, statement).await?,
            }
        }
        Ok(())
    }

    pub(crate) async fn fill_indexes_here(
        &self,
        table: &TableDef,
        indexes: &[IndexId],
        wait: Duration,
        statement: &StatementContext,
    ) -> Result<(), Fault> {
        for p in self.partitions_here(table)? {
            for i in indexes {
                let mut position = FillPosition::default();
                loop {
                    statement.check_interrupted()?;
                    match p.fill_index(table.id, *i, &mut position)? {
                        Filling::Done => break,
                        Filling::More => tokio::task::yield_now().await,
                        Filling::Blocked(writer) => {
                            let until = tokio::time::Instant::now() + wait;
                            while tokio::time::timeout(LOOK_UP, writer.ended()).await.is_err() {
                                statement.check_interrupted()?;
                                if tokio::time::Instant::now() >= until {
                                    return Err(Fault::LockWaitTimeout);
                                }
                            }
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        if self.there.is_empty() {
            return;
        }
        self.engine.gates.there.lock().remove(&self.id);
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let catalog = self.engine.followed();
        for node in std::mem::take(&mut self.there) {
            let (engine, id) = (self.engine.clone(), self.id);
            runtime.spawn(async move {
                if let Err(error) = engine.leaves.gate(node, id, &GateAsked::Open { catalog }, None).await {
                    tracing::debug!(%node, %error, "a gate was not opened; the node finds out by the pulse");
                }
            });
        }
    }
}
