//! Commands and states as bytes: for the log, and for a snapshot of the whole.
//!
//! Owns:     nothing.
//! Promises: a version byte leads; bytes of a newer version are refused by name, not misread.
//! Never:    adds checksums: the log and the snapshot file have them.

use crate::State;
use weald_catalog::Command;

const COMMAND_VERSION: u8 = 1;
const STATE_VERSION: u8 = 1;

#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    #[error("metadata of format version {found}; this program reads up to {known}: it was written by a newer Weald")]
    Newer { found: u8, known: u8 },
    #[error("metadata is not readable")]
    Broken(#[source] postcard::Error),
    #[error("metadata is empty")]
    Empty,
}

pub fn encode_command(c: &Command) -> Vec<u8> {
    encode(COMMAND_VERSION, c)
}
pub fn encode_state(s: &State) -> Vec<u8> {
    encode(STATE_VERSION, s)
}
pub fn decode_command(bytes: &[u8]) -> Result<Command, FormatError> {
    decode(COMMAND_VERSION, bytes)
}
pub fn decode_state(bytes: &[u8]) -> Result<State, FormatError> {
    decode(STATE_VERSION, bytes)
}

fn encode(version: u8, value: &impl serde::Serialize) -> Vec<u8> {
    postcard::to_extend(value, vec![version]).expect("writing to a vector cannot fail, and our types have no custom serialisation")
}

fn decode<T: serde::de::DeserializeOwned>(known: u8, bytes: &[u8]) -> Result<T, FormatError> {
    match bytes.split_first() {
        None => Err(FormatError::Empty),
        Some((found, _)) if *found > known => Err(FormatError::Newer { found: *found, known }),
        Some((_, rest)) => postcard::from_bytes(rest).map_err(FormatError::Broken),
    }
}
