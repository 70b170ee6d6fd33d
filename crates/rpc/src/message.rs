//! Typed bodies, for who wants them: postcard, as in the other formats of Weald.
//!
//! Owns:     nothing.
//! Promises: what was encoded decodes to the same; anything else is an error, also if bytes are left over.
//! Never:    used by the frames themselves: a body is whatever its two ends agree on.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The body is not what it should be: the two ends do not agree on the method, or one of them is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message between nodes cannot be understood: {0}")]
pub struct BadMessage(String);

pub fn encode<T: Serialize + ?Sized>(message: &T) -> Result<Bytes, BadMessage> {
    postcard::to_stdvec(message).map(Bytes::from).map_err(|e| BadMessage(e.to_string()))
}

pub fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, BadMessage> {
    match postcard::take_from_bytes(body) {
        Ok((message, [])) => Ok(message),
        Ok((_, rest)) => Err(BadMessage(format!("{} bytes are left over", rest.len()))),
        Err(e) => Err(BadMessage(e.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_read_back_and_nothing_else_does() {
        let message = (7u64, "text".to_owned(), vec![Some(1u8), None]);
        let body = encode(&message).unwrap();
        assert_eq!(decode::<(u64, String, Vec<Option<u8>>)>(&body), Ok(message));
        assert!(decode::<(u64, String)>(&body).is_err());
        assert!(decode::<(u64, String, Vec<Option<u8>>)>(&body[..body.len() - 1]).is_err());
    }
}
