//! What a node does with what it is asked.
//!
//! Owns:     nothing.
//! Promises: a request that is ready at once costs no task; one that is not is a task of its own until it is answered, cancelled or cut off.
//! Never:    decides what a method means.

use crate::answerer::Answerer;
use bytes::Bytes;
use futures::future::BoxFuture;
use std::future::poll_fn;
use std::sync::Arc;
use tokio::time::Instant;
use weald_types::{NodeIdentity, Timestamp};

/// Answers requests. Called on the connection's own task, so it must be quick: what computes for long does so in the future that it returns,
/// after its first `.await` that waits. **The future is dropped** when the asker gives up, its deadline passes, or the connection ends; work that
/// has to be finished is spawned and owned by the service.
pub type Service = Arc<dyn Fn(Request) -> Reply + Send + Sync>;

pub struct Request {
    /// Who asks: proven.
    pub from: NodeIdentity,
    pub method: u16,
    /// The asker's clock; ours has been moved past it.
    pub stamp: Timestamp,
    /// When the asker stops waiting.
    pub deadline: Option<Instant>,
    pub body: Bytes,
    /// Where parts may be sent before the answer, if the asker wants any.
    pub parts: Option<Parts>,
}

/// The answer, or the assurance that nothing was done, and why.
pub type Answer = Result<Bytes, Refused>;

pub enum Reply {
    Now(Answer),
    Later(BoxFuture<'static, Answer>),
}

/// The service did nothing and never will.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused(pub String);

impl Reply {
    pub fn answer(body: impl Into<Bytes>) -> Self {
        Self::Now(Ok(body.into()))
    }
    pub fn refused(reason: impl Into<String>) -> Self {
        Self::Now(Err(Refused(reason.into())))
    }
    pub fn later(future: impl Future<Output = Answer> + Send + 'static) -> Self {
        Self::Later(Box::pin(future))
    }
}

/// Sends parts of an answer. May be used from any task; of no use any more once the request is answered or given up.
pub struct Parts {
    pub(crate) answerer: Arc<Answerer>,
    pub(crate) id: u64,
}

/// Nobody wants the rest: the asker gave up, or the connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PartError {
    #[error("nobody wants more of this answer")]
    Unwanted,
    #[error("a part has {bytes} bytes; the asker takes {limit}")]
    TooLarge { bytes: usize, limit: usize },
}

impl Parts {
    /// Waits until the asker has room for it. Parts arrive in their order. Safe to cancel: a part is sent whole or not at all.
    pub async fn send(&mut self, part: Bytes) -> Result<(), PartError> {
        let mut part = Some(part);
        poll_fn(|cx| self.answerer.poll_part(self.id, &mut part, cx)).await
    }
}
