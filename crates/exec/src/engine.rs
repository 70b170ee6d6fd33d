//! The partitions of a node, as executors reach them.
//!
//! Owns:     the partitions by database and ordinal; the cache of their tables' columns.
//! Promises: a row's partition is a function of its shard key and the number of partitions alone.
//! Never:    opens or recovers a partition: `leaf` hands them in.

use crate::auto_increment::Counters;
use crate::columns::ColumnCache;
use crate::define::Gates;
use crate::remote::{Branches, Leaves, Readers};
use crate::sample::Samples;
use crate::site::{Home, Site};
use crate::transaction::Transaction;
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use weald_catalog::{Sharding, TableDef, TableRef};
use weald_expr::StatementContext;
use weald_expr::carried::Reach;
use weald_partition::{NodeContext, Partition, Snapshot, Table, TableSchema};
use weald_plan::query::{Query, Rel};
use weald_plan::{FragmentPlan, Statistics};
use weald_txn::Isolation;
use weald_types::key::{encode_shard_part, shard_hash};
use weald_types::{DatabaseId, Fault, NodeId, PartitionId, SchemaVersion, TableId, TxnId, Value};

/// Ids of what the catalogue does not know begin here; its own are counted from 1.
const PRIVATE: u32 = 1 << 31;
/// Between two transactions of a node lie the ids of the other nodes' transactions.
const TXN_STEP: u64 = 1 << 10;
const SCHEMAS_MOST: usize = 1024;
/// A leaf that is behind with the catalogue has so long to catch up before a request is refused.
const CATALOGUE_WAIT: Duration = Duration::from_secs(2);

pub struct Engine {
    pub node: Arc<NodeContext>,
    databases: RwLock<HashMap<DatabaseId, Arc<[Home]>, foldhash::fast::RandomState>>,
    /// The leaf is still reading its partitions from the disk.
    pub recovering: AtomicBool,
    next_transaction: AtomicU64,
    next_row_partition: AtomicU64,
    next_private: AtomicU32,
    pub(crate) counters: Counters,
    pub columns: Arc<ColumnCache>,
    pub(crate) samples: Samples,
    /// The way to partitions on other nodes.
    pub leaves: Leaves,
    /// What transactions of other nodes have done here.
    pub branches: Branches,
    /// The other aggregators, and what they may still read.
    pub readers: Readers,
    pub(crate) gates: Gates,
    /// Layouts of tables whose partitions are elsewhere.
    schemas: RwLock<HashMap<TableId, Arc<TableSchema>>>,
    run: u64,
    /// The version of the catalogue that the partitions here have followed.
    followed: watch::Sender<u64>,
}

/// A table's partitions, each opened when it is needed: most statements need one.
pub(crate) struct Places<'t> {
    table: &'t TableDef,
    all: Arc<[Home]>,
    first: usize,
    count: usize,
}

impl<'t> Places<'t> {
    pub fn homes(&self) -> &[Home] {
        &self.all[self.first..self.first + self.count]
    }
    pub fn len(&self) -> usize {
        self.count
    }
    pub fn ordinal(&self, at: usize) -> u32 {
        (self.first + at) as u32
    }
    pub fn at(&self, ordinal: u32) -> Option<usize> {
        (ordinal as usize).checked_sub(self.first).filter(|at| *at < self.count)
    }
    pub fn id(&self, at: usize) -> PartitionId {
        PartitionId::of(self.table.database, self.ordinal(at))
    }
    /// Whether all of these are on this node, as far as they are anywhere.
    pub fn are_here(&self, targets: &[usize]) -> bool {
        targets.iter().all(|at| !matches!(self.homes().get(*at), Some(Home::There(_))))
    }
    /// The table in one of them that is here, at the version the plan was made for.
    pub fn open(&self, at: usize) -> Result<(&Arc<Partition>, Arc<Table>), Fault> {
        match self.homes().get(at) {
            Some(Home::Here(partition)) => Ok((partition, partition.table(self.table.id, self.table.version)?)),
            Some(Home::There(node)) => Err(unavailable(self.id(at), format!("it is on node {node}"))),
            Some(Home::Nowhere) => Err(unavailable(self.id(at), "no attached leaf has it; see SHOW LEAVES".into())),
            None => Err(Fault::SchemaChanged),
        }
    }
    pub fn site<'s>(&'s self, engine: &'s Engine, at: usize) -> Result<Site<'s>, Fault> {
        match self.homes().get(at) {
            Some(Home::There(node)) => {
                Ok(Site::There { engine, node: *node, partition: self.id(at), table: self.table, schema: engine.schema_of(self.table) })
            }
            _ => self.open(at).map(|(partition, table)| Site::Here { partition, table }),
        }
    }
    /// These positions by the node that they are on; `None`: this one.
    pub fn by_node(&self, targets: &[usize]) -> Vec<(Option<NodeId>, Vec<usize>)> {
        let mut nodes: Vec<(Option<NodeId>, Vec<usize>)> = Vec::new();
        for at in targets {
            let node = match self.homes().get(*at) {
                Some(Home::There(node)) => Some(*node),
                _ => None,
            };
            match nodes.iter_mut().find(|(n, _)| *n == node) {
                Some((_, all)) => all.push(*at),
                None => nodes.push((node, vec![*at])),
            }
        }
        nodes
    }
}

pub(crate) fn unavailable(partition: PartitionId, reason: String) -> Fault {
    Fault::PartitionUnavailable { partition: format!("{} of database number {}", partition.ordinal(), partition.database()), reason }
}

/// A partition, and a table in it.
pub type Place = (Arc<Partition>, Arc<Table>);

/// What every piece of work is done under.
#[derive(Clone, Copy)]
pub struct Work<'a> {
    pub statement: &'a Arc<StatementContext>,
    pub params: &'a [Value],
    pub transaction: &'a Transaction,
    pub snapshot: &'a Snapshot,
    pub lock_wait: Duration,
}

impl<'a> Work<'a> {
    /// Waits for whoever has the row, until the statement must stop.
    pub(crate) async fn wait(&self, lock: weald_partition::LockWait) -> Result<(), Fault> {
        wait(self.statement, self.lock_wait, lock).await
    }

    pub(crate) fn context(&self) -> weald_expr::EvalContext<'a> {
        weald_expr::EvalContext { statement: self.statement, params: self.params, subqueries: &[] }
    }
}

/// Waits for whoever has the row, until the statement must stop.
pub(crate) async fn wait(statement: &StatementContext, lock_wait: Duration, lock: weald_partition::LockWait) -> Result<(), Fault> {
    let (waited, done) = lock.wait(lock_wait, statement.interrupted.raised()).await;
    statement.cost.lock_micros.fetch_add(waited.as_micros() as u64, Ordering::Relaxed);
    done
}

impl Engine {
    pub fn new(node: Arc<NodeContext>) -> Arc<Self> {
        // Transactions of different runs must not share ids, as prepared ones survive a restart: the run's start time leads.
        let columns = ColumnCache::new(node.memory.clone());
        let first = (node.env.clock.wall_micros() & ((1 << 44) - 1)) << 20;
        Arc::new(Self {
            node,
            databases: RwLock::default(),
            recovering: AtomicBool::new(false),
            next_transaction: AtomicU64::new(first),
            next_row_partition: AtomicU64::new(0),
            next_private: AtomicU32::new(0),
            counters: Counters::default(),
            columns,
            samples: Samples::default(),
            leaves: Leaves::default(),
            branches: Branches::default(),
            readers: Readers::default(),
            gates: Gates::default(),
            schemas: RwLock::default(),
            run: first,
            followed: watch::Sender::new(0),
        })
    }
    /// Ids of transactions are those of this node: the last bits are its number. Before the first transaction.
    pub fn set_node(&self, node: NodeId) {
        let number = u64::from(node.raw()) % TXN_STEP;
        let _ = self.next_transaction.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |next| Some(next / TXN_STEP * TXN_STEP + number));
    }
    /// The catalogue is followed here up to this version.
    pub fn set_followed(&self, version: u64) {
        self.followed.send_replace(version);
    }
    pub fn followed(&self) -> u64 {
        *self.followed.borrow()
    }
    /// Resolves once the catalogue is followed up to this version.
    pub(crate) async fn follows(&self, version: u64) {
        let mut followed = self.followed.subscribe();
        // The sender lives as long as this.
        let _ = followed.wait_for(|f| *f >= version).await;
    }
    /// The same, for who does not wait for long.
    pub(crate) async fn follows_soon(&self, version: u64) -> Result<(), Fault> {
        if self.followed() >= version || tokio::time::timeout(CATALOGUE_WAIT, self.follows(version)).await.is_ok() {
            return Ok(());
        }
        Err(Fault::PartitionUnavailable { partition: "*".into(), reason: "the node has not caught up with the catalogue".into() })
    }
    pub(crate) fn schema_of(&self, table: &TableDef) -> Arc<TableSchema> {
        if let Some(known) = self.schemas.read().get(&table.id).filter(|s| s.version() == table.version) {
            return known.clone();
        }
        let schema = Arc::new(TableSchema::new(Arc::new(table.clone())));
        let mut schemas = self.schemas.write();
        if schemas.len() >= SCHEMAS_MOST {
            schemas.clear();
        }
        schemas.insert(table.id, schema.clone());
        schema
    }

    /// The partitions of a database, in order of their ordinals.
    pub fn put_database(&self, id: DatabaseId, partitions: Vec<Home>) {
        self.databases.write().insert(id, partitions.into());
    }
    pub fn remove_database(&self, id: DatabaseId) {
        self.databases.write().remove(&id);
    }

    /// A partition that belongs to one session: its rows are not logged, and it is nobody else's. [`Engine::remove_database`] ends it.
    pub fn open_private_partition(&self) -> (DatabaseId, Arc<Partition>) {
        let id = DatabaseId::new(PRIVATE | self.next_private.fetch_add(1, Ordering::Relaxed));
        let partition = Partition::unlogged(PartitionId::of(id, 0), self.node.clone());
        self.put_database(id, vec![Home::Here(partition.clone())]);
        (id, partition)
    }
    pub fn new_private_table(&self) -> TableId {
        TableId::new(PRIVATE | self.next_private.fetch_add(1, Ordering::Relaxed))
    }

    pub fn partitions(&self, id: DatabaseId) -> Result<Arc<[Home]>, Fault> {
        let found = self.databases.read().get(&id).cloned();
        found.ok_or_else(|| {
            let reason = if self.recovering.load(Ordering::Relaxed) {
                "the node is recovering; wait for it, information_schema.MV_RECOVERY_STATUS shows how far it is"
            } else {
                "its database is not open on this node"
            };
            Fault::PartitionUnavailable { partition: format!("{id}:*"), reason: reason.into() }
        })
    }

    /// A transaction that has to do with this node only.
    pub(crate) fn begin_here(&self) -> weald_partition::Transaction {
        weald_partition::Transaction::begin(&self.node, self.new_transaction_id(), Isolation::RepeatableRead)
    }
    /// Whether a plan's fragment may run where it goes to: on other nodes an expression must not be one that means something here only.
    pub fn takes(&self, plan: &FragmentPlan) -> bool {
        let spread = |places: Places<'_>| places.homes().iter().any(|h| matches!(h, Home::There(_)));
        !self.places(&plan.fragment.table).is_ok_and(spread) || plan.fragment.reach() == Reach::Anywhere
    }
    /// Whether its leaves make a plan's large answer small, so that it is theirs to do however much they read for it.
    pub fn sums_up_elsewhere(&self, plan: &FragmentPlan) -> bool {
        crate::fragment_read::sums_up(&plan.fragment.action) && self.is_spread(&plan.fragment.table)
    }
    pub fn begin(self: &Arc<Self>, isolation: Isolation) -> Transaction {
        Transaction::new(self, weald_partition::Transaction::begin(&self.node, self.new_transaction_id(), isolation))
    }
    pub fn new_transaction_id(&self) -> TxnId {
        TxnId::new(self.next_transaction.fetch_add(TXN_STEP, Ordering::Relaxed))
    }

    /// The node of a partition, `None` if it is this one; nothing if none has it.
    pub(crate) fn node_of(&self, partition: PartitionId) -> Option<Option<NodeId>> {
        match self.databases.read().get(&partition.database())?.get(partition.ordinal() as usize)? {
            Home::Here(_) => Some(None),
            Home::There(node) => Some(Some(*node)),
            Home::Nowhere => None,
        }
    }
    pub(crate) fn is_here(&self, partition: PartitionId) -> bool {
        self.node_of(partition) == Some(None)
    }
    pub(crate) fn has_database(&self, partition: PartitionId) -> bool {
        self.databases.read().contains_key(&partition.database())
    }
    /// Every partition that is on this node and keeps a log.
    pub(crate) fn all_here(&self) -> Vec<Arc<Partition>> {
        let here = |home: &Home| if let Home::Here(p) = home { p.is_logged().then(|| p.clone()) } else { None };
        self.databases.read().values().flat_map(|d| d.iter().filter_map(here)).collect()
    }
    /// A table's definition, as its partitions here have it.
    pub(crate) fn definition_of(&self, table: TableId, version: SchemaVersion) -> Option<TableRef> {
        self.all_here().iter().find_map(|p| p.table(table, version).ok()).map(|t| t.schema().def().clone())
    }
    /// Whether a transaction began on this node.
    pub(crate) fn is_mine(&self, txn: TxnId) -> bool {
        txn.raw() % TXN_STEP == self.next_transaction.load(Ordering::Relaxed) % TXN_STEP
    }
    /// Tells runs of this process apart.
    pub(crate) fn run(&self) -> u64 {
        self.run
    }

    /// The partitions that hold rows of `table`.
    pub(crate) fn places<'t>(&self, table: &'t TableDef) -> Result<Places<'t>, Fault> {
        let all = self.partitions(table.database)?;
        let (first, count) = match &table.sharding {
            Sharding::Hash { .. } | Sharding::RowId => (0, all.len()),
            Sharding::Single { ordinal } => (*ordinal as usize % all.len().max(1), all.len().min(1)),
            Sharding::Reference => (0, all.len().min(1)),
        };
        Ok(Places { table, all, first, count })
    }

    /// The partitions that hold rows of `table`, where all of them are on this node.
    pub fn partitions_of(&self, table: &TableDef) -> Result<Vec<Arc<Partition>>, Fault> {
        let places = self.places(table)?;
        let here = |(at, home): (usize, &Home)| match home {
            Home::Here(partition) => Ok(partition.clone()),
            Home::There(_) => Err(Fault::not_supported("this statement on a table that other nodes hold partitions of")),
            Home::Nowhere => Err(unavailable(places.id(at), "no attached leaf has it; see SHOW LEAVES".into())),
        };
        places.homes().iter().enumerate().map(here).collect()
    }
    /// Those of them that are on this node.
    pub fn partitions_here(&self, table: &TableDef) -> Result<Vec<Arc<Partition>>, Fault> {
        let here = |home: &Home| if let Home::Here(partition) = home { Some(partition.clone()) } else { None };
        Ok(self.places(table)?.homes().iter().filter_map(here).collect())
    }

    /// The table in each of its partitions, at the version the plan was made for.
    pub fn tables(&self, table: &TableDef) -> Result<Vec<Place>, Fault> {
        let places = self.places(table)?;
        (0..places.len()).map(|at| places.open(at).map(|(p, t)| (p.clone(), t))).collect()
    }

    /// Where a shard key's rows are: the position among [`Engine::partitions_of`].
    pub fn partition_of_key(&self, table: &TableDef, columns: &[u16], values: &[Value], partitions: usize) -> usize {
        let mut key = Vec::with_capacity(16);
        for (c, v) in columns.iter().zip(values) {
            encode_shard_part(v, &table.columns[*c as usize].ty, &mut key);
        }
        (shard_hash(&key) % partitions.max(1) as u64) as usize
    }

    /// Where a new row goes: the position among [`Engine::partitions_of`].
    pub fn partition_of_row(&self, table: &TableDef, row: &[Value], partitions: usize) -> usize {
        self.partition_by(table, partitions, |c, key| encode_shard_part(&row[c], &table.columns[c].ty, key))
    }
    /// The same of a row's bytes.
    pub(crate) fn partition_of_bytes(&self, table: &TableDef, schema: &TableSchema, row: &[u8], partitions: usize) -> usize {
        self.partition_by(table, partitions, |c, key| encode_shard_part(&schema.value(schema.version(), row, c), &table.columns[c].ty, key))
    }
    fn partition_by(&self, table: &TableDef, partitions: usize, mut append: impl FnMut(usize, &mut Vec<u8>)) -> usize {
        match &table.sharding {
            Sharding::Hash { columns, .. } => {
                let mut key = Vec::with_capacity(16);
                columns.iter().for_each(|c| append(*c as usize, &mut key));
                (shard_hash(&key) % partitions.max(1) as u64) as usize
            }
            // Runs of rows stay together, so that one statement's rows mostly share a partition.
            Sharding::RowId => (self.next_row_partition.fetch_add(1, Ordering::Relaxed) / 64 % partitions.max(1) as u64) as usize,
            Sharding::Single { .. } | Sharding::Reference => 0,
        }
    }

    /// (rows, bytes)
    pub fn size(&self, table: &TableDef) -> (u64, u64) {
        let Ok(places) = self.places(table) else { return (0, 0) };
        let mut size = (0, 0);
        for home in places.homes() {
            if let Home::Here(partition) = home
                && let Some(t) = partition.current_table(table.id)
            {
                size = (size.0 + t.row_count(), size.1 + t.memory().bytes());
            }
        }
        let elsewhere = self.leaves.size(table.id);
        (size.0 + elsewhere.0, size.1 + elsewhere.1)
    }

    /// About how many rows a query reads.
    pub fn rows_read(&self, query: &Query) -> u64 {
        query.subqueries.iter().chain([&query.root]).map(|r| self.rows_of(r)).sum()
    }

    fn rows_of(&self, rel: &Rel) -> u64 {
        match rel {
            Rel::Scan { table, .. } => self.size(table).0,
            Rel::Filter { input, predicate } => {
                if let Rel::Scan { table, ordinals, columns } = &**input {
                    let over = |e: &weald_expr::Expr| {
                        weald_expr::walk::map_columns(e, |id| {
                            columns.iter().position(|c| c.id == id).map_or(id, |i| weald_types::ColumnId::new(ordinals[i] as u32))
                        })
                    };
                    let own: Vec<_> = weald_expr::walk::conjuncts(predicate).iter().map(over).collect();
                    let choice = weald_plan::access::choose(table, &own);
                    if !matches!(choice.access, weald_plan::fragment::Access::Full) {
                        return self.size(table).0.min(1000);
                    }
                }
                self.rows_of(input)
            }
            other => other.inputs().into_iter().map(|r| self.rows_of(r)).sum(),
        }
    }
}

impl Statistics for Engine {
    fn rows(&self, table: &TableDef) -> Option<u64> {
        Some(self.size(table).0)
    }
}
