//! One question to all other nodes, and what they said.
//!
//! Owns:     nothing.
//! Promises: returns within a few seconds; a node that has not answered is named, not passed over.
//! Never:    asks twice.

use super::asking::{Answer, Asked, Event};
use crate::information_schema::Process;
use crate::server::Server;
use std::sync::Arc;
use std::time::Duration;
use weald_catalog::Node;
use weald_types::{Fault, NodeId};

/// A node that is there answers within milliseconds.
const PATIENCE: Duration = Duration::from_secs(2);

/// This node's own is part of it.
#[derive(Debug, Default)]
pub struct Gathered {
    pub processes: Vec<(NodeId, Vec<Process>)>,
    pub events: Vec<(NodeId, Vec<Event>)>,
    /// Why something may be missing.
    pub missing: Vec<Fault>,
}

impl Gathered {
    pub(crate) async fn of(server: &Arc<Server>, asked: Asked) -> Self {
        let (view, me) = (server.metadata.view(), server.metadata.me());
        // A node that is of no cluster yet has clients all the same.
        let mut all = Self::default();
        all.take(me.unwrap_or(NodeId::new(0)), server.answer(asked.clone()));
        let others = view.topology.nodes.iter().filter(|(id, _)| Some(**id) != me);
        let answers = futures::future::join_all(others.map(|(id, node)| ask(server, *id, node, asked.clone()))).await;
        for (node, answer) in answers {
            all.take(node, answer);
        }
        all
    }

    fn take(&mut self, node: NodeId, answer: Result<Answer, Fault>) {
        match answer {
            Ok(Answer::Processes(processes)) => self.processes.push((node, processes)),
            Ok(Answer::Events(events)) => self.events.push((node, events)),
            Ok(Answer::Done) => (),
            Err(fault) => self.missing.push(fault),
        }
    }
}

/// The fault says which node it was.
pub(crate) async fn ask(server: &Server, id: NodeId, node: &Node, asked: Asked) -> (NodeId, Result<Answer, Fault>) {
    let called = || format!("'{}':{}", node.host, node.ports.mysql);
    let answer = match tokio::time::timeout(PATIENCE, server.metadata.ask(id, asked)).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(fault)) => Err(no_answer(format!("Node {} could not be asked: {}", called(), crate::mysql_error::message(&fault)))),
        Err(_) => Err(no_answer(format!("Node {} has not answered", called()))),
    };
    (id, answer)
}

fn no_answer(text: String) -> Fault {
    Fault::mysql(1735, "HY000", text)
}
