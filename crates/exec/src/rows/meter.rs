//! What each node of one execution did, for EXPLAIN ANALYZE and PROFILE.
//!
//! Owns:     one counter for each node that was opened.
//! Promises: rows and time of a node are the sums over all its runs; time includes that of the nodes below it.
//! Never:    is there in an ordinary execution: nothing is counted then.

use super::{BoxStream, Node, Row, Stream};
use foldhash::HashMap;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use weald_types::Fault;

/// One node's share of the work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Actual {
    pub rows: u64,
    /// How often the node was started: once for each outer row below a correlated subquery.
    pub runs: u64,
    pub time: Duration,
}

/// Counters by node; a node's address names it, which holds while the plan lives.
pub struct Meter {
    /// Time since a fixed instant.
    clock: Box<dyn Fn() -> Duration + Send + Sync>,
    nodes: Mutex<HashMap<usize, Actual>>,
}

impl std::fmt::Debug for Meter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Meter of {} nodes", self.nodes.lock().len())
    }
}

pub(crate) fn name_of(node: &Arc<Node>) -> usize {
    Arc::as_ptr(node) as usize
}

impl Meter {
    pub fn new(clock: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Self { clock: Box::new(clock), nodes: Mutex::default() }
    }

    /// What the node called `name` did; nothing, if it was never started.
    pub(crate) fn of(&self, name: usize) -> Actual {
        self.nodes.lock().get(&name).copied().unwrap_or_default()
    }

    pub(crate) fn watch(self: &Arc<Self>, node: &Arc<Node>, stream: BoxStream) -> BoxStream {
        let name = name_of(node);
        self.nodes.lock().entry(name).or_default().runs += 1;
        Box::new(Watched { meter: self.clone(), name, stream })
    }
}

struct Watched {
    meter: Arc<Meter>,
    name: usize,
    stream: BoxStream,
}

impl Stream for Watched {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Vec<Row>>, Fault>> {
        Box::pin(async {
            let start = (self.meter.clock)();
            let batch = self.stream.next().await;
            let took = (self.meter.clock)().saturating_sub(start);
            let mut nodes = self.meter.nodes.lock();
            let actual = nodes.entry(self.name).or_default();
            actual.time += took;
            if let Ok(Some(rows)) = &batch {
                actual.rows += rows.len() as u64;
            }
            drop(nodes);
            batch
        })
    }
}
