//! What can go wrong with a leaf as a whole.
//!
//! Owns:     nothing.
//! Promises: says what to do next where there is something.
//! Never:    a client's fault: those are `types::Fault`.

use weald_types::Fault;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Log(#[from] weald_log::Error),
    #[error("partition {partition} cannot be recovered: {reason}")]
    Recovery { partition: Box<str>, reason: String },
    #[error("{0}")]
    Fault(Fault),
}

impl From<Fault> for Error {
    fn from(f: Fault) -> Self {
        Error::Fault(f)
    }
}
