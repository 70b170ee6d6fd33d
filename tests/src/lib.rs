//! The test hall: a running server seen from outside, through its own door.
//!
//! Owns:     the server processes that it starts, and their data directories; both go when dropped.
//! Promises: uses nothing of the server but its command line and MySQL's protocol, so that the same checks can be pointed at another server.
//! Never:    imports the server's rooms; `weald-wire` is borrowed for its constants and scrambles only.

// A black-box test lives in the outside world: real clock, real files, real processes.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

pub mod client;
pub mod compatibility;
pub mod golden;
pub mod nodes;
pub mod random_query;
pub mod server;
