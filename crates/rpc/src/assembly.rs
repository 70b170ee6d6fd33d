//! Puts a message together again that came in several frames.
//!
//! Owns:     the pieces so far.
//! Promises: a message of one frame is passed on as it came; never holds more than the limit.
//! Never:    mixes two messages: that the peer keeps them apart is checked by kind.

use crate::frame::{Frame, Kind};
use bytes::{Bytes, BytesMut};

#[derive(Default)]
pub(crate) struct Assembly {
    kind: Option<Kind>,
    pieces: Vec<Bytes>,
    bytes: usize,
}

impl Assembly {
    /// Takes the next frame. `Some` is the whole body.
    pub fn add(&mut self, frame: Frame, limit: usize) -> Result<Option<Bytes>, String> {
        let kind = frame.head.kind;
        if *self.kind.get_or_insert(kind) != kind {
            return Err(format!("a frame of kind {kind:?} within a message of kind {:?}", self.kind));
        }
        self.bytes += frame.body.len();
        if self.bytes > limit {
            return Err(format!("a message of more than {limit} bytes"));
        }
        if frame.head.more {
            self.pieces.push(frame.body);
            return Ok(None);
        }
        let whole = std::mem::take(self);
        if whole.pieces.is_empty() {
            return Ok(Some(frame.body));
        }
        let mut body = BytesMut::with_capacity(whole.bytes);
        for piece in whole.pieces.iter().chain([&frame.body]) {
            body.extend_from_slice(piece);
        }
        Ok(Some(body.freeze()))
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }
}
