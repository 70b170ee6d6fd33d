//! The metadata group's way to the other nodes.
//!
//! Owns:     nothing.
//! Promises: a message goes to the node that has that number now, or is said not to have got there.
//! Never:    waits for long: the group has its own limits.

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
