//! What this node answers others.
//!
//! Owns:     nothing.
//! Promises: what changes something goes on although its asker is gone; what cannot be understood is refused, and nothing was done.
//! Never:    asks whether the other may: the port lets in only members.

use super::{Cluster, methods, words};
use bytes::Bytes;
use std::sync::{Arc, Weak};
use weald_rpc::{Answer, Refused, Reply, Request};
use weald_types::Fault;

pub(super) fn answer(cluster: &Weak<Cluster>, request: Request) -> Reply {
    let Some(cluster) = cluster.upgrade() else { return Reply::refused("this node is stopping") };
    let body = request.body.clone();
    match request.method {
        methods::GROUP => owned(&cluster.clone(), async move { cluster.take_message(&body).await.map(Bytes::from).map_err(Refused) }),
        methods::PROPOSE => owned(&cluster.clone(), async move {
            let message: words::Propose = words::decode(&body).map_err(Refused)?;
            Ok(words::encode(&cluster.propose_for_another(&message.command).await?))
        }),
        methods::ORDER => owned(&cluster.clone(), async move {
            let order: words::Order = words::decode(&body).map_err(Refused)?;
            Ok(words::encode(&cluster.order_for_another(order).await))
        }),
        methods::PING => match words::decode::<words::Ping>(&body) {
            Ok(ping) => Reply::answer(words::encode(&cluster.pinged(request.from, ping))),
            Err(reason) => Reply::refused(reason),
        },
        methods::REPORT => match cluster.metadata() {
            Some(metadata) => {
                let connections = cluster.sql.get().map_or(0, |s| s.connected() as u64);
                Reply::answer(words::encode(&words::Report::of(&metadata.told(), connections)))
            }
            None => Reply::refused("this node is stopping"),
        },
        methods::ASK => match (words::decode::<words::Question>(&body), cluster.sql.get()) {
            (Ok(question), Some(sql)) => Reply::answer(words::encode(&words::Answered::from(sql.answer(question.into())))),
            (Ok(_), None) => Reply::refused("this node is starting"),
            (Err(reason), _) => Reply::refused(reason),
        },
        methods::FLUSH => owned(&cluster.clone(), async move {
            let flushed = match cluster.leaf.get() {
                Some(leaf) if leaf.is_recovered() => leaf.flushed().await,
                Some(_) | None => Err(Fault::PartitionUnavailable { partition: "*".into(), reason: "the node is recovering".into() }),
            };
            Ok(words::encode(&flushed))
        }),
        methods::SNAPSHOT => owned(&cluster.clone(), async move {
            let (database, keep): (String, u64) = words::decode(&body).map_err(Refused)?;
            let taken = match cluster.metadata() {
                Some(metadata) => metadata.snapshot_here(&database, keep as usize).await,
                None => Err(Fault::Interrupted),
            };
            Ok(words::encode(&taken))
        }),
        methods::REMOVED => owned(&cluster.clone(), async move {
            cluster.was_removed(request.from).await;
            Ok(Bytes::new())
        }),
        number if methods::STATEMENTS.contains(&number) => match cluster.statements.get() {
            Some(answering) => weald_exec::remote::answer(answering, request),
            None => Reply::refused("this node is starting"),
        },
        unknown => Reply::refused(format!("this release knows no method {unknown}")),
    }
}

/// Carried out by a task of its own: the asker may go, and half of it would be worse than nothing.
fn owned(cluster: &Arc<Cluster>, work: impl Future<Output = Answer> + Send + 'static) -> Reply {
    let task = cluster.runtime.spawn(work);
    Reply::later(async move {
        match task.await {
            Ok(answer) => answer,
            // It had begun, so this must not be taken for a refusal: no answer comes, and the asker does not know.
            Err(error) => {
                tracing::error!(%error, "a request of another node panicked");
                std::future::pending().await
            }
        }
    })
}

impl Cluster {
    async fn propose_for_another(&self, command: &[u8]) -> Result<words::Done, Refused> {
        let command = weald_meta::decode_command(command).map_err(|e| Refused(e.to_string()))?;
        let Some(metadata) = self.metadata() else { return Err(Refused("this node is stopping".into())) };
        Ok(metadata.decide_for_another(command).await)
    }
}
