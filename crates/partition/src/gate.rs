//! Keeping newcomers out of a table while its rows change hands: ALTER by copy, TRUNCATE, DROP.
//!
//! Owns:     the gates it closed, and the transaction in whose name it did.
//! Promises: after [`Gate::emptied`] no transaction has changes or locks in the tables, and none gets any until the gate is dropped; then everyone who waited
//!           goes on: in the table, or to find that it is gone.
//! Never:    keeps a reader out; keeps out a transaction that is in already, in whichever partition; changes a row.
//!
//! Why a pass that finds nobody is the end: to get in, a transaction must be in another partition of the table already. So once every gate is closed the
//! transactions that are in somewhere only become fewer, and each of those that a pass met has been waited for until it ended, which takes it out everywhere.
//!
//! The gate is held by a transaction of its own, which takes part in the waits-for graph like any other: a writer that waits at the gate while the gate waits
//! for somebody who waits for that writer is a deadlock, and found as one.

use crate::context::NodeContext;
use std::sync::Arc;
use std::time::Duration;
use weald_rowstore::Table;
use weald_txn::{Isolation, Txn};
use weald_types::{Fault, TxnId};

pub struct Gate {
    node: Arc<NodeContext>,
    txn: Arc<Txn>,
    tables: Vec<Arc<Table>>,
}

/// How often a wait looks up whether it is still wanted.
const LOOK_UP: Duration = Duration::from_millis(50);

impl Gate {
    /// Closes the tables' gates. [`Fault::SchemaChanged`] if one of them is gone, or is held by somebody else.
    pub fn close(node: &Arc<NodeContext>, id: TxnId, tables: Vec<Arc<Table>>) -> Result<Self, Fault> {
        let txn = Txn::new(id, Isolation::ReadCommitted, node.clock.now(node.wall()));
        let mut gate = Self { node: node.clone(), txn, tables: Vec::with_capacity(tables.len()) };
        for t in tables {
            if !t.hold(&gate.txn) {
                return Err(Fault::SchemaChanged);
            }
            gate.tables.push(t);
        }
        Ok(gate)
    }

    /// Until no transaction has changes or locks in the tables. [`Fault::LockWaitTimeout`] after `timeout`; [`Fault::Deadlock`]; or what `wanted` says.
    pub async fn emptied(&self, timeout: Duration, mut wanted: impl FnMut() -> Result<(), Fault>) -> Result<(), Fault> {
        let until = tokio::time::Instant::now() + timeout;
        while let Some(writer) = self.tables.iter().flat_map(|t| t.open_transactions()).find(|t| !Arc::ptr_eq(t, &self.txn)) {
            let _edge = self.node.waits.wait(self.txn.id(), writer.id()).map_err(|_| Fault::Deadlock)?;
            loop {
                wanted()?;
                let look_up = (tokio::time::Instant::now() + LOOK_UP).min(until);
                if tokio::time::timeout_at(look_up, writer.ended()).await.is_ok() {
                    break;
                }
                if look_up == until {
                    return Err(Fault::LockWaitTimeout);
                }
            }
            // Its end is known a moment before it has left the tables.
            tokio::task::yield_now().await;
        }
        Ok(())
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        for t in &self.tables {
            t.release(&self.txn);
        }
        self.txn.set_aborted();
        self.txn.wake();
    }
}
