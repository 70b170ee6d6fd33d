//! How much, how many and how long.
//!
//! Owns:     nothing.
//! Promises: every queue, buffer and wait of this crate has its bound here or a constant beside it.
//! Never:    read from the environment: the owner's configuration fills it.

use std::time::Duration;

#[derive(Clone, Debug)]
pub struct Limits {
    /// Greatest body of one frame; longer ones are split, and others get between.
    pub max_frame: usize,
    /// Greatest request or answer. A longer one is refused before anything of it is sent.
    pub max_message: usize,
    /// Requests under way on one connection. More are refused: [`crate::NotRun::Busy`] here, [`crate::Refusal::Busy`] there.
    pub max_in_flight: usize,
    /// Memory for requests of one connection that have begun to arrive. What begins beyond it is refused as busy.
    pub max_arriving: usize,
    /// What may wait to be written on one connection before senders wait; the answering side reads no more requests then.
    pub max_queued: usize,
    /// Bytes of parts that one request may send ahead of its reader.
    pub window: usize,
    /// Time for connecting: name, TCP, TLS, greeting.
    pub connect_within: Duration,
    /// A peer from which nothing was heard for so long is given up. Both sides look; the asker asks twice in this time. For a decision about who
    /// is alive, a request with a deadline of its own on a lane of its own says more.
    pub silence: Duration,
    /// Nothing could be written for so long although there is something to write: the peer does not read.
    pub stalled_write: Duration,
    /// How often deadlines and silence are looked at; they are late by at most this.
    pub tick: Duration,
    /// After a failed attempt to connect the next one waits so long, twice as long after each, up to the second.
    pub backoff: (Duration, Duration),
    /// Connections that have not come as far as a proven peer; of one address at most a quarter of them. More are closed.
    pub max_half_open: usize,
    /// Connections that this node answers on. More are closed.
    pub max_connections: usize,
    /// When the server stops: how long requests that are under way may go on.
    pub stop_within: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_frame: 128 << 10,
            max_message: 128 << 20,
            max_in_flight: 100_000,
            max_arriving: 256 << 20,
            max_queued: 8 << 20,
            window: 1 << 20,
            connect_within: Duration::from_secs(3),
            silence: Duration::from_secs(2),
            stalled_write: Duration::from_secs(30),
            tick: Duration::from_millis(20),
            backoff: (Duration::from_millis(20), Duration::from_millis(250)),
            max_half_open: 256,
            max_connections: 4096,
            stop_within: Duration::from_secs(5),
        }
    }
}
