//! The partitions of a node, as executors reach them.
//!
//! Owns:     the partitions by database and ordinal; the cache of their tables' columns.
//! Promises: a row's partition is a function of its shard key and the number of partitions alone.
//! Never:    opens or recovers a partition: `leaf` hands them in.

use crate::auto_increment::Counters;
use crate::columns::ColumnCache;
use crate::sample::Samples;
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;
use weald_catalog::{Sharding, TableDef};
use weald_expr::StatementContext;
use weald_partition::{NodeContext, Partition, Snapshot, Table, TableSchema, Transaction};
use weald_plan::Statistics;
use weald_plan::query::{Query, Rel};
use weald_txn::Isolation;
use weald_types::key::{encode_shard_part, shard_hash};
use weald_types::{DatabaseId, Fault, PartitionId, TableId, TxnId, Value};

/// Ids of what the catalogue does not know begin here; its own are counted from 1.
const PRIVATE: u32 = 1 << 31;

pub struct Engine {
    pub node: Arc<NodeContext>,
    databases: RwLock<HashMap<DatabaseId, Arc<[Arc<Partition>]>, foldhash::fast::RandomState>>,
    /// The leaf is still reading its partitions from the disk.
    pub recovering: AtomicBool,
    next_transaction: AtomicU64,
    next_row_partition: AtomicU64,
    next_private: AtomicU32,
    pub(crate) counters: Counters,
    pub columns: Arc<ColumnCache>,
    pub(crate) samples: Samples,
}

/// A table's partitions, each opened when it is needed: most statements need one.
pub(crate) struct Places<'t> {
    table: &'t TableDef,
    all: Arc<[Arc<Partition>]>,
    first: usize,
    count: usize,
}

impl Places<'_> {
    pub fn partitions(&self) -> &[Arc<Partition>] {
        &self.all[self.first..self.first + self.count]
    }
    pub fn len(&self) -> usize {
        self.count
    }
    /// The table in one of them, at the version the plan was made for.
    pub fn open(&self, at: usize) -> Result<(&Arc<Partition>, Arc<Table>), Fault> {
        let partition = self.partitions().get(at).ok_or(Fault::SchemaChanged)?;
        Ok((partition, partition.table(self.table.id, self.table.version)?))
    }
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
        })
    }

    /// The partitions of a database, in order of their ordinals.
    pub fn put_database(&self, id: DatabaseId, partitions: Vec<Arc<Partition>>) {
        self.databases.write().insert(id, partitions.into());
    }
    pub fn remove_database(&self, id: DatabaseId) {
        self.databases.write().remove(&id);
    }

    /// A partition that belongs to one session: its rows are not logged, and it is nobody else's. [`Engine::remove_database`] ends it.
    pub fn open_private_partition(&self) -> (DatabaseId, Arc<Partition>) {
        let id = DatabaseId::new(PRIVATE | self.next_private.fetch_add(1, Ordering::Relaxed));
        let partition = Partition::unlogged(PartitionId::of(id, 0), self.node.clone());
        self.put_database(id, vec![partition.clone()]);
        (id, partition)
    }
    pub fn new_private_table(&self) -> TableId {
        TableId::new(PRIVATE | self.next_private.fetch_add(1, Ordering::Relaxed))
    }

    pub fn partitions(&self, id: DatabaseId) -> Result<Arc<[Arc<Partition>]>, Fault> {
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

    pub fn begin(&self, isolation: Isolation) -> Transaction {
        Transaction::begin(&self.node, self.new_transaction_id(), isolation)
    }
    pub fn new_transaction_id(&self) -> TxnId {
        TxnId::new(self.next_transaction.fetch_add(1, Ordering::Relaxed))
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

    pub fn partitions_of(&self, table: &TableDef) -> Result<Vec<Arc<Partition>>, Fault> {
        Ok(self.places(table)?.partitions().to_vec())
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
        let Ok(partitions) = self.partitions_of(table) else { return (0, 0) };
        partitions.iter().filter_map(|p| p.current_table(table.id)).fold((0, 0), |(r, b), t| (r + t.row_count(), b + t.memory().bytes()))
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
