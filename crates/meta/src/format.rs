//! Commands and states as bytes: for the log, and for a snapshot of the whole.
//!
//! Owns:     nothing.
//! Promises: a version byte leads; bytes of a newer version are refused by name, not misread.
//! Never:    adds checksums: the log and the snapshot file have them.

mod v1;

use crate::State;
use weald_catalog::Command;

/// 2 has more kinds of command at the end of the list; those of 1 are the same bytes.
const COMMAND_VERSION: u8 = 2;
/// 2 has the topology in full. 1 is read by [`v1`].
const STATE_VERSION: u8 = 2;

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
    let (_, body) = body(COMMAND_VERSION, bytes)?;
    decode(body)
}
pub fn decode_state(bytes: &[u8]) -> Result<State, FormatError> {
    match body(STATE_VERSION, bytes)? {
        (0 | 1, body) => decode::<v1::State>(body).map(State::from),
        (_, body) => decode(body),
    }
}

fn encode(version: u8, value: &impl serde::Serialize) -> Vec<u8> {
    postcard::to_extend(value, vec![version]).expect("writing to a vector cannot fail, and our types have no custom serialisation")
}

/// The version, and what follows it.
fn body(known: u8, bytes: &[u8]) -> Result<(u8, &[u8]), FormatError> {
    match bytes.split_first() {
        None => Err(FormatError::Empty),
        Some((found, _)) if *found > known => Err(FormatError::Newer { found: *found, known }),
        Some((found, body)) => Ok((*found, body)),
    }
}

fn decode<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, FormatError> {
    postcard::from_bytes(body).map_err(FormatError::Broken)
}
