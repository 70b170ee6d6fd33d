//! MySQL's client/server protocol as a pure codec.
//!
//! Owns:     nothing but the bytes handed to it.
//! Promises: any bytes decode to a value or to an [`Error`], within the memory that `max_allowed_packet` allows; what is encoded is what MySQL 8.0 sends.
//! Never:    does IO, keeps time, knows what a statement means.

pub mod command;
pub mod compress;
pub mod constants;
pub mod frame;
pub mod handshake;
pub mod reply;
pub mod scramble;
pub mod value;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// 1153
    #[error("packet of more than {limit} bytes")]
    TooLarge { limit: usize },
    /// 1156
    #[error("packets out of order: {got} instead of {expected}")]
    OutOfOrder { expected: u8, got: u8 },
    /// 1835
    #[error("malformed packet: {0}")]
    Malformed(&'static str),
    #[error("compressed packet is damaged")]
    Compression,
}
