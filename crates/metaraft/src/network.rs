//! The way to the other nodes, and openraft's use of it.
//!
//! Owns:     nothing.
//! Promises: an answer from another generation or cluster is never taken for one of ours. A failure is not reported at once, or openraft would try again at once.
//! Never:    keeps a connection: the owner's [`Network`] does.

use crate::format::{self, At, Head, StoredVote};
use crate::group::Shared;
use crate::msg::{self, Envelope, Reply, Request};
use crate::raft::{Snapshot, Types, Vote};
use futures::future::BoxFuture;
use openraft::error::{Fatal, NetworkError, RPCError, RaftError, RemoteError, ReplicationClosed, StreamingError};
use openraft::network::{RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse};
use openraft::{AnyError, OptionalSend};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use weald_types::{Generation, NodeId};

/// How messages get to other nodes. One request, one answer; either may be lost, and a request whose answer is lost may have been carried out. The owner
/// passes what arrives to [`crate::Group::handle`] of the node it is for, and lets in only members of the cluster.
pub trait Network: Send + Sync {
    fn call(&self, to: NodeId, message: Vec<u8>) -> BoxFuture<'static, Result<Vec<u8>, Unreachable>>;
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("node {to} cannot be reached: {reason}")]
pub struct Unreachable {
    pub to: NodeId,
    pub reason: String,
}

/// Bytes of a state that go in one message.
const PIECE_BYTES: usize = 1 << 20;

/// Why an exchange came to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    #[error("node {0} did not answer in time")]
    Late(u32),
    #[error("node {to} answered {reply}")]
    Answer { to: u32, reply: String },
}

impl Shared {
    /// One request and its answer, in the name of `generation`.
    pub(crate) async fn exchange(&self, to: u32, generation: Generation, within: Duration, body: Request) -> Result<Reply, Failure> {
        let message = msg::encode(&Envelope { cluster: self.cluster, generation, from: self.me, body });
        let answer = tokio::time::timeout(within, self.network.call(NodeId::new(to), message)).await.map_err(|_| Failure::Late(to))??;
        let reply: Reply = msg::decode(&answer).map_err(|e| Failure::Answer { to, reply: e.to_string() })?;
        match &reply {
            Reply::Fenced { promised } => self.fenced(*promised),
            Reply::OtherCluster | Reply::Absent => (),
            _ => self.heard(to),
        }
        Ok(reply)
    }
}

/// openraft's clients, all of one generation.
pub(crate) struct Links {
    pub shared: Arc<Shared>,
    pub generation: Generation,
}

pub(crate) struct Link {
    shared: Arc<Shared>,
    generation: Generation,
    to: u32,
}

impl RaftNetworkFactory<Types> for Links {
    type Network = Link;

    async fn new_client(&mut self, target: u32, _: &()) -> Link {
        Link { shared: self.shared.clone(), generation: self.generation, to: target }
    }
}

type RpcError = RPCError<u32, (), RaftError<u32>>;

impl Link {
    async fn exchange(&self, within: Duration, body: Request) -> Result<Reply, Failure> {
        let answer = self.shared.exchange(self.to, self.generation, within, body).await;
        match answer {
            Ok(reply @ (Reply::Fenced { .. } | Reply::OtherCluster | Reply::Absent)) => {
                tokio::time::sleep(self.shared.settings.heartbeat).await;
                Err(self.odd(reply))
            }
            Err(error) => {
                // openraft tries again at once. Where nobody listens, that would be a loop without an end.
                tokio::time::sleep(self.shared.settings.heartbeat).await;
                Err(error)
            }
            Ok(reply) => Ok(reply),
        }
    }

    fn odd(&self, reply: Reply) -> Failure {
        Failure::Answer { to: self.to, reply: format!("{reply:?}") }
    }

    async fn send_state(&self, vote: &Vote, snapshot: &Snapshot) -> Result<Vote, Failure> {
        let vote = StoredVote::from(vote);
        let head = Head::of(snapshot.meta.last_log_id.as_ref(), &snapshot.meta.last_membership);
        let total = snapshot.snapshot.len();
        let mut offset = 0;
        loop {
            let end = total.min(offset + PIECE_BYTES);
            let bytes = snapshot.snapshot[offset..end].to_vec();
            let piece = Request::Piece { vote, head: head.clone(), offset: offset as u64, total: total as u64, bytes };
            match self.exchange(self.shared.settings.answer, piece).await? {
                Reply::PieceTaken if end < total => offset = end,
                Reply::PieceLost if offset > 0 => offset = 0,
                Reply::StateTaken { vote } => return Ok(vote.into()),
                odd => return Err(self.odd(odd)),
            }
        }
    }
}

fn network(failure: &Failure) -> NetworkError {
    NetworkError::new(&AnyError::new(failure))
}

impl RaftNetwork<Types> for Link {
    async fn append_entries(&mut self, rpc: AppendEntriesRequest<Types>, option: RPCOption) -> Result<AppendEntriesResponse<u32>, RpcError> {
        let body = Request::Append {
            vote: (&rpc.vote).into(),
            prev: rpc.prev_log_id.as_ref().map(At::from),
            entries: rpc.entries.iter().map(format::encode_entry).collect(),
            commit: rpc.leader_commit.as_ref().map(At::from),
        };
        match self.exchange(option.hard_ttl(), body).await {
            Ok(Reply::Appended) => Ok(AppendEntriesResponse::Success),
            Ok(Reply::AppendedUpTo(at)) => Ok(AppendEntriesResponse::PartialSuccess(at.map(Into::into))),
            Ok(Reply::Conflict) => Ok(AppendEntriesResponse::Conflict),
            Ok(Reply::HigherVote(vote)) => Ok(AppendEntriesResponse::HigherVote(vote.into())),
            Ok(odd) => Err(RPCError::Network(network(&self.odd(odd)))),
            Err(failure) => Err(RPCError::Network(network(&failure))),
        }
    }

    async fn vote(&mut self, rpc: VoteRequest<u32>, option: RPCOption) -> Result<VoteResponse<u32>, RpcError> {
        let body = Request::Vote { vote: (&rpc.vote).into(), last: rpc.last_log_id.as_ref().map(At::from) };
        match self.exchange(option.hard_ttl(), body).await {
            Ok(Reply::Voted { vote, granted, last }) => Ok(VoteResponse::new(Vote::from(vote), last.map(Into::into), granted)),
            Ok(odd) => Err(RPCError::Network(network(&self.odd(odd)))),
            Err(failure) => Err(RPCError::Network(network(&failure))),
        }
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _: RPCOption,
    ) -> Result<SnapshotResponse<u32>, StreamingError<Types, Fatal<u32>>> {
        let sending = std::pin::pin!(self.send_state(&vote, &snapshot));
        let cancel = std::pin::pin!(cancel);
        match futures::future::select(cancel, sending).await {
            futures::future::Either::Left((closed, _)) => Err(closed.into()),
            futures::future::Either::Right((Ok(vote), _)) => Ok(SnapshotResponse::new(vote)),
            futures::future::Either::Right((Err(failure), _)) => Err(StreamingError::Network(network(&failure))),
        }
    }

    async fn install_snapshot(
        &mut self,
        rpc: openraft::raft::InstallSnapshotRequest<Types>,
        _: RPCOption,
    ) -> Result<openraft::raft::InstallSnapshotResponse<u32>, RPCError<u32, (), RaftError<u32, openraft::error::InstallSnapshotError>>> {
        // States are sent by `full_snapshot`; with the feature that we turn on, openraft calls nothing else.
        let _ = rpc;
        let fatal: Fatal<u32> = Fatal::Stopped;
        Err(RPCError::RemoteError(RemoteError::new(self.to, RaftError::Fatal(fatal))))
    }
}
