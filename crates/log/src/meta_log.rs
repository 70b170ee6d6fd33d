//! The catalogue's own log, where it is one node's alone: commands since the newest state, and that state. Where a group of nodes agrees on the catalogue,
//! `weald-metaraft` keeps it in journals of another content.
//!
//! Owns:     `meta/log` and `meta/state` in the data directory.
//! Promises: a command whose append has returned is given back by every later opening, in order, unless a newer state holds it.
//! Never:    looks into a command or a state.

use crate::log::Options;
use crate::{DataDir, Error, Journal, Ticket};
use weald_env::Env;

const SEGMENT_BYTES: u64 = 1 << 20;

pub struct MetaLog(Journal);

/// What the catalogue was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// The newest good state, if one was ever stored.
    pub state: Option<Vec<u8>>,
    /// The commands after it.
    pub commands: Vec<Vec<u8>>,
}

impl MetaLog {
    /// Reads everything, then is ready for more. A corrupt newest state is passed over for the one before, whose commands are still there.
    pub fn open(env: &Env, dir: &DataDir) -> Result<(Self, Recovered), Error> {
        Self::open_with(env, dir, SEGMENT_BYTES)
    }

    /// As [`MetaLog::open`], with segments of another length.
    pub fn open_with(env: &Env, dir: &DataDir, segment_bytes: u64) -> Result<(Self, Recovered), Error> {
        let options = Options { segment_bytes, buffer_bytes: 1 << 20, spare_segments: 1, ..Options::default() };
        let (journal, found) = Journal::open(env, &dir.meta(), options)?;
        let state = found.checkpoint.map(|items| items.concat());
        let commands = found.records.into_iter().map(|(_, command)| command).collect();
        Ok((Self(journal), Recovered { state, commands }))
    }

    /// Queues one command. It counts once the ticket says so.
    pub fn append(&self, command: &[u8]) -> Result<Ticket, Error> {
        self.0.append(0, command)
    }

    /// Bytes of commands since the newest state, those replayed included. When it has grown, store a state.
    pub fn bytes_since_state(&self) -> u64 {
        self.0.bytes_since_checkpoint()
    }

    /// `state` is what all commands appended so far make, and every one of them is durable. Older commands go when two states hold them.
    pub fn store_state(&self, state: &[u8]) -> Result<(), Error> {
        self.0.store(self.0.durable(), &[state])
    }

    /// Ends the log's threads; what was appended is durable.
    pub fn close(&self) {
        self.0.close();
    }
}
