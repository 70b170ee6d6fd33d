//! The first frame of either side: what it can take.
//!
//! Owns:     the form of the greeting.
//! Promises: a field that a newer release adds is passed over by this one.
//! Never:    says who somebody is: that is proven before.

use crate::Limits;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hello {
    /// The release, for people.
    pub program: String,
    /// Greatest body of one frame, greatest whole message, requests under way on one connection: of the side that says so.
    pub max_frame: u32,
    pub max_message: u64,
    pub max_in_flight: u32,
    /// Asker: bytes of parts that may come of each request before it asks for more.
    pub window: u32,
}

impl Hello {
    pub fn of(limits: &Limits) -> Self {
        let clip = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Self {
            program: env!("CARGO_PKG_VERSION").into(),
            max_frame: clip(limits.max_frame),
            max_message: limits.max_message as u64,
            max_in_flight: clip(limits.max_in_flight),
            window: clip(limits.window),
        }
    }

    pub fn encode(&self) -> Bytes {
        postcard::to_stdvec(self).expect("plain data can be serialised").into()
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        postcard::take_from_bytes(bytes).map(|(hello, _)| hello).map_err(|e| format!("its greeting cannot be understood: {e}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greeting_reads_back_also_with_more_in_it() {
        let hello = Hello::of(&Limits::default());
        let mut bytes = hello.encode().to_vec();
        assert_eq!(Hello::decode(&bytes), Ok(hello.clone()));
        bytes.extend_from_slice(b"something new");
        assert_eq!(Hello::decode(&bytes), Ok(hello));
        assert!(Hello::decode(b"").is_err());
    }
}
