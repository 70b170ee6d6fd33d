//! How the nodes of a cluster speak with each other: who may, and in which frames.
//!
//! Owns:     identity, certificates and joining; connections, frames, limits. Nothing that is said.
//! Promises: only proven members of one cluster speak with each other. A request ends in one of three ways, told apart by type: an answer,
//!           [`CallError::NotRun`] (safe to send again), [`CallError::Unknown`]. A process that is gone is told apart from one that is silent.
//!           Every queue has a bound ([`Limits`]).
//! Never:    knows tables, transactions or Raft; sends a request twice; trusts an address.
//! See:      docs/design/0011-between-nodes.md (why), docs/format/between-nodes.md (bytes).
//!
//! # One port, three protocols
//!
//! ```text
//!                      ┌─ TLS 1.3, ALPN ─┬─ weald/1 ──── frames ────── Service            both sides show a certificate
//!  cluster port ───────┤                 ├─ h2 ───────── the stream ── Http2 (tonic)      of this cluster
//!                      │                 ├─ weald-join ─ adding a node                    both sides prove the secret
//!                      │                 └─ weald-version                                 no version in common: both say theirs
//!                      └─ in the open, in simulations: the same four, each believed
//! ```
//!
//! # A frame
//!
//! ```text
//!  0        4      5       6      8         12        20        28
//!  ┌────────┬──────┬───────┬──────┬─────────┬─────────┬─────────┬──────────────
//!  │ length │ kind │ flags │ code │  extra  │   id    │  stamp  │ body …          little endian; length counts what follows it
//!  └────────┴──────┴───────┴──────┴─────────┴─────────┴─────────┴──────────────
//! ```
//!
//! A connection is asked by the side that opened it and answered by the other.
//!
//! ```text
//!   asker                                     answerer
//!     │ Hello ────────────────────────────────────▶ │   who may not come in gets a Farewell with the reason
//!     │ ◀──────────────────────────────────── Hello │
//!     │ Request 1 ────────────────────────────────▶ │
//!     │ StreamRequest 2 ──────────────────────────▶ │   many at a time, answers in any order
//!     │ ◀──────────────────────────────── Part 2    │
//!     │ ◀──────────────────────────────── Answer 1  │   or Refused: was not run; or Failed: was begun
//!     │ Credit 2 ─────────────────────────────────▶ │   parts never run ahead by more than the window
//!     │ Cancel 2 ─────────────────────────────────▶ │   its future is dropped there
//!     │ Ping / ◀── Pong                             │   after a third of the time after which silence ends it
//! ```
//!
//! # Joining
//!
//! ```text
//!   a member (adds)                           a fresh node (is added)
//!     │ TLS, weald-join; its certificate is its own, and proves no more than a key
//!     │ version, HMAC(secret, "adds", session) ───▶ │   wrong: held back longer and longer
//!     │ ◀─── HMAC(secret, "added", session), identity, certificate request
//!     │  … the cluster decides, the authority signs …
//!     │ cluster, certificate, authorities ────────▶ │   checks them, puts them on disk
//!     │ ◀─────────────────────────────── installed  │
//! ```
//!
//! `session` is exported from the TLS session (RFC 5705): somebody between the two has two sessions, and neither proof fits the other.

mod answerer;
mod arrivals;
mod asker;
mod assembly;
mod authority;
mod certificate;
mod drive;
mod error;
mod frame;
mod hello;
mod home;
mod join;
mod keyring;
mod limits;
mod liveness;
pub mod message;
pub mod network;
mod opening;
mod outbox;
mod pending;
mod pipe;
mod pool;
mod secret;
mod server;
mod service;
mod stamps;
mod talk;
mod tls;

pub use asker::Ask;
pub use authority::{Authority, CERTIFICATE_LIFE};
pub use certificate::Certified;
pub use error::{CallError, ConnectError, CredentialError, JoinError, Lost, NotRun, Refusal};
pub use home::Home;
pub use join::{Candidate, Invited, invite};
pub use keyring::{Keyring, PROTOCOL};
pub use limits::Limits;
pub use opening::Protocol;
pub use pool::{Addresses, Lane, LinkChange, OnChange, Peer, Piece, Pieces, Pool, PoolConfig};
pub use secret::ClusterSecret;
pub use server::{Admission, Http2, Server, ServerConfig};
pub use service::{Answer, PartError, Parts, Refused, Reply, Request, Service};
pub use stamps::{NoStamps, Stamps};
