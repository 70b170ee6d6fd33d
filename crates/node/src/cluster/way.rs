//! Requests to other nodes.
//!
//! Owns:     nothing.
//! Promises: what was not run is told apart from what may have been.
//! Never:    asks again by itself.

use super::{Cluster, methods, words};
use bytes::Bytes;
use futures::future::BoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::{Arc, Weak};
use std::time::Duration;
use weald_aggregator::cluster::{Answer, Asked};
use weald_metaraft::{Network, Unreachable};
use weald_rpc::{Ask, CallError, Lane, NotRun};
use weald_types::{Fault, NodeId};

/// Longer than a command takes that a majority does not confirm.
const PROPOSE_WITHIN: Duration = Duration::from_secs(8);
const ASK_WITHIN: Duration = Duration::from_secs(2);
/// The group's own limits are shorter.
const GROUP_WITHIN: Duration = Duration::from_secs(5);
/// A large database takes its time.
const SNAPSHOT_WITHIN: Duration = Duration::from_secs(3600);
const FLUSH_WITHIN: Duration = Duration::from_secs(30);

/// Why there is no answer.
pub enum NoAnswer {
    /// Nobody listens there.
    Gone(String),
    /// It was not run.
    NotRun(String),
    /// It may have been.
    Unknown(String),
}

impl NoAnswer {
    pub fn reason(self) -> String {
        match self {
            NoAnswer::Gone(reason) | NoAnswer::NotRun(reason) | NoAnswer::Unknown(reason) => reason,
        }
    }
    pub fn says_gone(&self) -> bool {
        match self {
            NoAnswer::Gone(_) => true,
            NoAnswer::NotRun(_) | NoAnswer::Unknown(_) => false,
        }
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(c) = cause {
        text = format!("{text}: {c}");
        cause = c.source();
    }
    text
}

impl Cluster {
    async fn call_raw(&self, to: NodeId, lane: Lane, method: u16, body: Bytes, within: Duration) -> Result<Bytes, NoAnswer> {
        let topology = self.metadata().map(|m| m.topology());
        let Some(node) = topology.as_ref().and_then(|t| t.nodes.get(&to)) else {
            return Err(NoAnswer::NotRun(format!("node {to} is not in the cluster")));
        };
        let ask = Ask { method, body, within: Some(within) };
        self.pool.peer(node.identity).call(lane, ask).await.map_err(|e| match &e {
            CallError::NotRun(why @ NotRun::Unreachable(error)) if error.says_gone() => NoAnswer::Gone(chain(why)),
            CallError::NotRun(why) => NoAnswer::NotRun(chain(why)),
            CallError::Unknown(why) => NoAnswer::Unknown(chain(why)),
        })
    }

    pub async fn call<A: DeserializeOwned>(
        &self,
        to: NodeId,
        lane: Lane,
        method: u16,
        message: &impl Serialize,
        within: Duration,
    ) -> Result<A, NoAnswer> {
        let answer = self.call_raw(to, lane, method, words::encode(message), within).await?;
        words::decode(&answer).map_err(NoAnswer::Unknown)
    }

    /// A command, to whom this node takes for the master.
    pub async fn propose_to(&self, master: NodeId, command: Vec<u8>) -> Result<words::Done, NoAnswer> {
        self.call(master, methods::CONTROL_LANE, methods::PROPOSE, &words::Propose { command }, PROPOSE_WITHIN).await
    }

    pub async fn flush_at(&self, node: NodeId) -> Result<(), Fault> {
        let flushed: Result<Result<(), Fault>, _> = self.call(node, methods::CONTROL_LANE, methods::FLUSH, &(), FLUSH_WITHIN).await;
        match flushed {
            Ok(done) => done,
            Err(why) => Err(Fault::PartitionUnavailable { partition: "*".into(), reason: format!("leaf {node}: {}", why.reason()) }),
        }
    }

    pub async fn snapshot_at(&self, node: NodeId, database: &str, keep: usize) -> Result<(), Fault> {
        let asked = (database, keep as u64);
        let taken: Result<Result<(), Fault>, _> = self.call(node, methods::CONTROL_LANE, methods::SNAPSHOT, &asked, SNAPSHOT_WITHIN).await;
        match taken {
            Ok(done) => done,
            Err(why) => Err(Fault::PartitionUnavailable { partition: "*".into(), reason: format!("leaf {node}: {}", why.reason()) }),
        }
    }

    /// Asks another aggregator what it is asked for a client.
    pub async fn ask(&self, node: NodeId, asked: Asked) -> Result<Answer, Fault> {
        let asked = words::Question::from(asked);
        let answered: Result<words::Answered, _> = self.call(node, methods::CONTROL_LANE, methods::ASK, &asked, ASK_WITHIN).await;
        match answered {
            Ok(answered) => answered.into(),
            Err(why) => Err(Fault::mysql(1735, "HY000", format!("Unable to connect to node {node}: {}", why.reason()))),
        }
    }
}

/// The metadata group's way.
pub(crate) struct GroupWay(pub Weak<Cluster>);

impl Network for GroupWay {
    fn call(&self, to: NodeId, message: Vec<u8>) -> BoxFuture<'static, Result<Vec<u8>, Unreachable>> {
        let cluster = self.0.upgrade();
        Box::pin(async move {
            let unreachable = |reason: String| Unreachable { to, reason };
            let cluster: Arc<Cluster> = cluster.ok_or_else(|| unreachable("this node is stopping".into()))?;
            let generation = cluster.metadata().map(|m| m.topology().generation).ok_or_else(|| unreachable("this node is starting".into()))?;
            let body = words::encode(&words::ToGroup { to, generation, message });
            let answer = cluster.call_raw(to, methods::GROUP_LANE, methods::GROUP, body, GROUP_WITHIN).await;
            answer.map(|bytes| bytes.to_vec()).map_err(|why| unreachable(why.reason()))
        })
    }
}
