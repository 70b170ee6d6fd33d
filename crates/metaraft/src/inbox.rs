//! What other nodes say to this one.
//!
//! Owns:     the pieces of a state that is being received.
//! Promises: a message of another cluster, or of a generation below the one promised, changes nothing. One of a later generation makes this node begin anew in
//!           it before it is answered.
//! Never:    checks who the sender is: the network lets in only members.

use crate::error::Error;
use crate::format::{At, Head, StoredVote, decode_entry};
use crate::group::{Contact, Group, Shared};
use crate::member::Member;
use crate::msg::{self, Account, Envelope, Reply, Request};
use crate::raft::Snapshot;
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, VoteRequest};
use std::sync::Arc;
use tokio::time::Instant;

/// A state longer than this is not one.
const STATE_MOST: u64 = 1 << 30;

pub(crate) struct Pieces {
    vote: StoredVote,
    head: Head,
    bytes: Vec<u8>,
}

impl Group {
    /// Carries out one message and answers it. An error: the bytes are none of ours.
    pub async fn handle(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let envelope: Envelope = msg::decode(message).map_err(|e| Error::Message { reason: e.to_string() })?;
        let reply = self.shared.answer(envelope).await?;
        Ok(msg::encode(&reply))
    }
}

impl Shared {
    async fn answer(self: &Arc<Self>, envelope: Envelope) -> Result<Reply, Error> {
        let Envelope { cluster, generation, from, body } = envelope;
        if cluster != self.cluster {
            return Ok(Reply::OtherCluster);
        }
        let promised = self.promised();
        match body {
            // These two speak of generations, not in one.
            Request::Inquire => return Ok(Reply::Account(self.account())),
            Request::Promise { generation } => {
                // Whoever hears from a leader does not give up on it.
                let account = self.account();
                if account.leader.is_some() || generation <= promised {
                    return Ok(Reply::Account(account));
                }
                let given = self.promise(generation).await?;
                return Ok(Reply::Account(if given { Account { promised: generation, ..account } } else { account }));
            }
            Request::Append { .. } | Request::Vote { .. } | Request::Piece { .. } | Request::PreVote { .. } | Request::Yield | Request::Lead => (),
        }
        if generation < promised {
            return Ok(Reply::Fenced { promised });
        }
        let mut member = self.member();
        if member.as_ref().is_none_or(|m| m.generation < generation) {
            self.follow_into(generation).await?;
            member = self.member();
        }
        let Some(member) = member.filter(|m| m.generation == generation) else { return Ok(Reply::Absent) };
        self.answer_in(&member, from, body).await
    }

    /// In our own generation.
    async fn answer_in(&self, member: &Member, from: u32, body: Request) -> Result<Reply, Error> {
        match body {
            Request::Append { vote, prev, entries, commit } => {
                let entries: Result<Vec<_>, _> = entries.iter().map(|e| decode_entry(e)).collect();
                let entries = entries.map_err(|e| Error::Message { reason: format!("an entry from node {from}: {e}") })?;
                let request =
                    AppendEntriesRequest { vote: vote.into(), prev_log_id: prev.map(Into::into), entries, leader_commit: commit.map(Into::into) };
                Ok(match member.raft.append_entries(request).await {
                    Ok(AppendEntriesResponse::HigherVote(vote)) => Reply::HigherVote((&vote).into()),
                    Ok(answer) => {
                        self.hear(from);
                        match answer {
                            AppendEntriesResponse::Success => Reply::Appended,
                            AppendEntriesResponse::PartialSuccess(at) => Reply::AppendedUpTo(at.as_ref().map(At::from)),
                            AppendEntriesResponse::Conflict => Reply::Conflict,
                            AppendEntriesResponse::HigherVote(vote) => Reply::HigherVote((&vote).into()),
                        }
                    }
                    Err(error) => absent(&error),
                })
            }
            Request::Vote { vote, last } => {
                let request = VoteRequest { vote: vote.into(), last_log_id: last.map(Into::into) };
                Ok(match member.raft.vote(request).await {
                    Ok(v) => Reply::Voted { vote: (&v.vote).into(), granted: v.vote_granted, last: v.last_log_id.as_ref().map(At::from) },
                    Err(error) => absent(&error),
                })
            }
            Request::Piece { vote, head, offset, total, bytes } => {
                let state = match self.collect(vote, &head, offset, total, bytes) {
                    Ok(Some(state)) => state,
                    Ok(None) => {
                        self.hear(from);
                        return Ok(Reply::PieceTaken);
                    }
                    Err(lost) => return Ok(lost),
                };
                // What cannot be read must not get as far as the state machine, which could only stop.
                weald_meta::decode_state(&state).map_err(|e| Error::Message { reason: format!("a state from node {from}: {e}") })?;
                let snapshot = Snapshot { meta: head.snapshot_meta(), snapshot: Box::new(state.into()) };
                Ok(match member.raft.install_full_snapshot(vote.into(), snapshot).await {
                    Ok(answer) => {
                        self.hear(from);
                        Reply::StateTaken { vote: (&answer.vote).into() }
                    }
                    Err(error) => absent(&error),
                })
            }
            Request::PreVote { last } => {
                let ours = member.store.last().as_ref().map(At::from);
                let leader = self.leader(&member.now(&self.settings));
                Ok(Reply::PreVoted { granted: leader.is_none() && last >= ours })
            }
            Request::Yield => {
                let mut contact = self.contact.lock();
                if contact.leader == Some(from) {
                    contact.yields_until = Some(Instant::now() + self.settings.lease * 2);
                }
                Ok(Reply::Done)
            }
            Request::Lead => {
                // If someone else has come to lead meanwhile, that reign is not to be ended.
                let is_successor = self.contact.lock().leader == Some(from);
                if is_successor && self.may_lead() {
                    *self.contact.lock() = Contact { at: Some(Instant::now()), ..Contact::default() };
                    if let Err(error) = member.raft.trigger().elect().await {
                        return Ok(absent(&error));
                    }
                }
                Ok(Reply::Done)
            }
            Request::Inquire | Request::Promise { .. } => Ok(Reply::Account(self.account())),
        }
    }

    /// A leader has spoken.
    fn hear(&self, leader: u32) {
        let mut contact = self.contact.lock();
        // What it asked for, while it hands over, outlasts what it had sent before.
        *contact = Contact { leader: Some(leader), at: Some(Instant::now()), gone: false, yields_until: contact.yields_until };
    }

    /// Only an aggregator: see `campaign`.
    pub fn may_lead(&self) -> bool {
        let shown = self.shown.borrow();
        shown.state.topology.nodes.get(&weald_types::NodeId::new(self.me)).is_some_and(|n| n.is_aggregator())
    }

    pub fn account(&self) -> Account {
        let promised = self.promised();
        match self.member() {
            Some(member) => Account {
                generation: member.generation,
                promised,
                last: member.store.last().as_ref().map(At::from),
                leader: self.leader(&member.now(&self.settings)),
            },
            None => Account { generation: promised, promised, last: None, leader: None },
        }
    }

    /// The whole, once the last piece is here.
    fn collect(&self, vote: StoredVote, head: &Head, offset: u64, total: u64, bytes: Vec<u8>) -> Result<Option<Vec<u8>>, Reply> {
        let mut pieces = self.pieces.lock();
        if total > STATE_MOST {
            return Err(Reply::PieceLost);
        }
        if offset == 0 {
            *pieces = Some(Pieces { vote, head: head.clone(), bytes: Vec::new() });
        }
        let Some(so_far) = pieces.as_mut().filter(|p| p.vote == vote && p.head == *head && p.bytes.len() as u64 == offset) else {
            return Err(Reply::PieceLost);
        };
        if so_far.bytes.len() as u64 + bytes.len() as u64 > total {
            *pieces = None;
            return Err(Reply::PieceLost);
        }
        so_far.bytes.extend(bytes);
        if (so_far.bytes.len() as u64) < total {
            return Ok(None);
        }
        Ok(pieces.take().map(|p| p.bytes))
    }
}

fn absent(error: &dyn std::error::Error) -> Reply {
    tracing::warn!(%error, "a message of the metadata group could not be carried out");
    Reply::Absent
}
