//! The role that answers clients: connections, sessions, statements, SHOW and information_schema.
//!
//! Owns:     what all clients share ([`server::Server`]) and what each has ([`session::Session`]).
//! Promises: every statement is checked against the user's privileges, and answered with MySQL's numbers and words.
//! Never:    stores a row or a definition.

/// What clients are told at the handshake and by VERSION().
pub const VERSION: &str = "8.0.36-Weald";

pub mod auth;
pub mod cluster;
pub mod connection;
pub mod deadlines;
pub mod definition_locks;
pub mod global_read_lock;
pub mod information_schema;
mod login;
pub mod metrics;
pub mod mysql_error;
mod pipe;
pub mod plan_cache;
mod rsa_key;
pub mod server;
pub mod session;
mod show;
pub mod slow_log;
mod timer;
pub mod tls;
pub mod variables;
