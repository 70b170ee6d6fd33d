//! What the node is doing, for those outside who decide whether to send it work.
//!
//! Owns:     the node's stage.
//! Promises: "ok" only while statements are answered and writes are taken.
//! Never:    goes from stopping back to serving.

use parking_lot::RwLock;
use std::sync::{Arc, OnceLock};
use weald_aggregator::server::Server;
use weald_leaf::Leaf;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Starting,
    Recovering,
    Serving,
    Stopping,
}

pub(crate) struct Health {
    stage: RwLock<Stage>,
    pub leaf: OnceLock<Arc<Leaf>>,
    pub server: OnceLock<Arc<Server>>,
}

impl Health {
    pub fn new() -> Arc<Self> {
        Arc::new(Self { stage: RwLock::new(Stage::Starting), leaf: OnceLock::new(), server: OnceLock::new() })
    }

    pub fn enter(&self, stage: Stage) {
        *self.stage.write() = stage;
    }
    pub fn stage(&self) -> Stage {
        *self.stage.read()
    }

    /// Whether it is well, and a line that says so or why not.
    pub fn report(&self) -> (bool, String) {
        match self.stage() {
            Stage::Starting => (false, "starting\n".into()),
            Stage::Recovering => match self.leaf.get() {
                Some(leaf) => {
                    let r = leaf.recovery();
                    (false, format!("recovering {}% ({} of {} partitions online)\n", r.percent, r.online, r.partitions))
                }
                None => (false, "recovering\n".into()),
            },
            Stage::Serving => match self.leaf.get().and_then(|l| l.log()).and_then(|log| log.failure()) {
                Some(failure) => (false, format!("read-only: {failure}\n")),
                None => (true, "ok\n".into()),
            },
            Stage::Stopping => (false, "stopping\n".into()),
        }
    }
}
