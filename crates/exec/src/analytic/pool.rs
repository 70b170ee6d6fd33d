//! DataFusion's memory, held against the statement's budget.
//!
//! Owns:     nothing; one pool a query.
//! Promises: an operator that can spill does so at its share of the budget, or when the node as a whole is at its limit; one that cannot fails its statement.
//! Never:    lets one query's sort make another query fail before the node's limit is reached.

use datafusion::common::{DataFusionError, Result};
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::memory_pool::{FairSpillPool, MemoryLimit, MemoryPool, MemoryReservation};
use std::fmt;
use std::sync::Arc;
use weald_expr::StatementContext;

#[derive(Debug)]
pub struct StatementPool {
    shares: FairSpillPool,
    statement: Arc<StatementContext>,
}

impl StatementPool {
    pub fn new(statement: Arc<StatementContext>) -> Self {
        let limit = usize::try_from(statement.memory.limit()).unwrap_or(usize::MAX);
        Self { shares: FairSpillPool::new(limit), statement }
    }
}

impl fmt::Display for StatementPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "statement's budget of {} bytes", self.statement.memory.limit())
    }
}

impl MemoryPool for StatementPool {
    fn name(&self) -> &str {
        "statement"
    }
    fn register(&self, consumer: &MemoryConsumer) {
        self.shares.register(consumer)
    }
    fn unregister(&self, consumer: &MemoryConsumer) {
        self.shares.unregister(consumer)
    }
    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.shares.grow(reservation, additional);
        // It has been allocated whatever we say; whoever asks next is refused.
        let _ = self.statement.memory.take(additional as u64);
    }
    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.shares.shrink(reservation, shrink);
        self.statement.memory.give(shrink as u64);
    }
    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        self.shares.try_grow(reservation, additional)?;
        if self.statement.memory.take(additional as u64).is_err() {
            self.statement.memory.give(additional as u64);
            self.shares.shrink(reservation, additional);
            return Err(DataFusionError::ResourcesExhausted(format!("{additional} more bytes are above the limit of the statement or the node")));
        }
        Ok(())
    }
    fn reserved(&self) -> usize {
        self.shares.reserved()
    }
    fn memory_limit(&self) -> MemoryLimit {
        self.shares.memory_limit()
    }
}
