//! The metadata group's way to other nodes, in a process that has none.
//!
//! Owns:     nothing.
//! Promises: says so.
//! Never:    used where there is a cluster port: see `cluster`.

use futures::future::BoxFuture;
use weald_metaraft::{Network, Unreachable};
use weald_types::NodeId;

/// Where there are no others.
pub(crate) struct Nobody;

impl Network for Nobody {
    fn call(&self, to: NodeId, _: Vec<u8>) -> BoxFuture<'static, Result<Vec<u8>, Unreachable>> {
        Box::pin(std::future::ready(Err(Unreachable { to, reason: "this node has no way to others".into() })))
    }
}
