//! How fast the group is, and how it waits for the disk.
//!
//! The times, and why. A killed master should be replaced in well under a second, and a busy machine must not be taken for a dead one. Two bounds meet:
//! - *below*: a voter must have missed several heartbeats before it thinks the leader gone. A sync takes 0.1–0.2 ms here, 4–10 ms at p99, hundreds on a disk
//!   that stalls; scheduling on a full machine tens of ms. Heartbeats every 75 ms (Raft's timer ticks at one and a half times `heartbeat`) and a
//!   lease of 300 ms are four missed ones.
//! - *above*: `lease` + `spread` + a round for the pre-vote and one for the vote is the outage. 300 + at most 150 + some ms: about 0.4 s after the
//!   last heartbeat, and 0.3 s if the process is known to be gone ([`crate::Group::suspect`]).
//!
//! The lease cannot be much shorter than that without a stalled disk costing a reign. It is also what keeps a node that was cut off from
//! disturbing the others when it comes back: while they hear from a leader they neither vote nor pre-vote.
//!
//! Owns:     nothing.
//! Promises: [`Settings::default`] is what nodes run with; all nodes of a group run with the same lease.
//! Never:    read from the environment here: the owner decides.

use std::time::Duration;

#[derive(Clone, Debug)]
pub struct Settings {
    /// What the leader's timer is made of; also how long it waits for one answer to an append.
    pub heartbeat: Duration,
    /// Whoever has heard from the leader within this neither campaigns nor votes.
    pub lease: Duration,
    /// Candidates wait at random up to this after the lease, so that mostly one of them is the first.
    pub spread: Duration,
    /// After this a command's outcome is said to be unknown. Longer than an election.
    pub propose: Duration,
    /// How long one answer to anything else is waited for.
    pub answer: Duration,
    /// A node that has not answered the leader for so long is starting anew, perhaps.
    pub silent_after: Duration,
    /// … and after this its vote goes to another. Longer than a restart takes, so that a restart moves nothing.
    pub gone_after: Duration,
    /// How often the leader looks at who should vote, and every node at whether to store a checkpoint.
    pub housekeeping: Duration,
    /// Bytes of log after which the state is stored anew.
    pub checkpoint_bytes: u64,
    /// Entries kept behind the newest checkpoint, for those who are a little late: they need not be sent the whole state.
    pub entries_kept: u64,
    /// Of the log's files.
    pub segment_bytes: u64,
    /// Commands are refused when the disk has less than this left: so that votes, and what is under way, still find room.
    pub reserve_bytes: u64,
    pub flush: Flush,
}

/// How a task waits for the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flush {
    /// It lets others run.
    Await,
    /// It holds its thread. For simulations, in which nothing may happen while the (real) thread that writes the log is at work: time would go on, by an
    /// amount that no seed decides.
    Block,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_millis(50),
            lease: Duration::from_millis(300),
            spread: Duration::from_millis(150),
            propose: Duration::from_secs(5),
            answer: Duration::from_millis(500),
            silent_after: Duration::from_secs(1),
            gone_after: Duration::from_secs(30),
            housekeeping: Duration::from_millis(250),
            checkpoint_bytes: 1 << 20,
            entries_kept: 500,
            segment_bytes: 1 << 20,
            reserve_bytes: 4 << 20,
            flush: Flush::Await,
        }
    }
}
