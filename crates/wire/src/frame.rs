//! Packets out of a stream of bytes, and into one.
//!
//! Owns:     the sequence number, and the pieces of a packet of 16 MiB and more.
//! Promises: a packet is never larger than the limit; the numbers of a conversation follow each other.
//! Never:    reads or writes a socket.

use crate::Error;
use bytes::{Buf, Bytes, BytesMut};

/// A frame's payload is at most so long; one of exactly this length is followed by another.
pub const MAX_FRAME: usize = 0xFF_FFFF;

#[derive(Debug)]
pub struct Decoder {
    sequence: u8,
    numbers_matter: bool,
    joined: BytesMut,
    pub limit: usize,
}

impl Decoder {
    pub fn new(limit: usize) -> Self {
        Self { sequence: 0, numbers_matter: true, joined: BytesMut::new(), limit }
    }

    /// Within compressed frames, which have numbers of their own, MySQL does not look at those of the packets, and some clients (MariaDB's Connector/J)
    /// count them as they like.
    pub fn take_any_number(&mut self) {
        self.numbers_matter = false
    }
    /// The number our next packet carries.
    pub fn sequence(&self) -> u8 {
        self.sequence
    }
    pub fn set_sequence(&mut self, n: u8) {
        self.sequence = n
    }

    /// Bytes of a packet that goes on in the next frame.
    pub fn held(&self) -> usize {
        self.joined.len()
    }

    /// The next whole packet in `input`; `None`: more bytes are needed. Without copying, where it is one frame.
    pub fn next(&mut self, input: &mut BytesMut) -> Result<Option<Bytes>, Error> {
        loop {
            if input.len() < 4 {
                return Ok(None);
            }
            let len = u32::from_le_bytes([input[0], input[1], input[2], 0]) as usize;
            if self.joined.len() + len > self.limit {
                return Err(Error::TooLarge { limit: self.limit });
            }
            if self.numbers_matter && input[3] != self.sequence {
                return Err(Error::OutOfOrder { expected: self.sequence, got: input[3] });
            }
            if input.len() < 4 + len {
                // Grow once, not by doubling.
                input.reserve(4 + len - input.len());
                return Ok(None);
            }
            self.sequence = input[3].wrapping_add(1);
            input.advance(4);
            let piece = input.split_to(len);
            if len == MAX_FRAME {
                self.joined.unsplit(piece);
                continue;
            }
            if self.joined.is_empty() {
                return Ok(Some(piece.freeze()));
            }
            let mut whole = std::mem::take(&mut self.joined);
            whole.unsplit(piece);
            return Ok(Some(whole.freeze()));
        }
    }
}

/// Opens a packet in `out`; [`close`] fills in its header. Between the two, the payload is appended.
#[must_use]
pub fn open(out: &mut Vec<u8>) -> usize {
    out.extend_from_slice(&[0; 4]);
    out.len() - 4
}

/// Ends the packet opened at `start`, splitting it where it is 16 MiB or more, and counts the sequence on.
pub fn close(out: &mut Vec<u8>, start: usize, sequence: &mut u8) {
    let mut len = out.len() - start - 4;
    let mut at = start;
    while len >= MAX_FRAME {
        header(&mut out[at..at + 4], MAX_FRAME, sequence);
        // The next frame's header goes between: rare, and large anyway.
        let next = at + 4 + MAX_FRAME;
        out.splice(next..next, [0; 4]);
        at = next;
        len -= MAX_FRAME;
    }
    header(&mut out[at..at + 4], len, sequence);
}

fn header(h: &mut [u8], len: usize, sequence: &mut u8) {
    h[..3].copy_from_slice(&(len as u32).to_le_bytes()[..3]);
    h[3] = *sequence;
    *sequence = sequence.wrapping_add(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(payload: &[u8], sequence: &mut u8) -> Vec<u8> {
        let mut out = Vec::new();
        let start = open(&mut out);
        out.extend_from_slice(payload);
        close(&mut out, start, sequence);
        out
    }

    #[test]
    fn packets_of_every_size_come_back_whole() {
        for size in [0, 1, 100, MAX_FRAME - 1, MAX_FRAME, MAX_FRAME + 1, 2 * MAX_FRAME] {
            let payload: Vec<u8> = (0..size).map(|i| i as u8).collect();
            let bytes = packet(&payload, &mut 0);
            let mut d = Decoder::new(1 << 30);
            let mut input = BytesMut::new();
            let mut got = None;
            // In pieces, as a network brings them.
            for piece in bytes.chunks(1_000_003) {
                assert!(got.is_none());
                input.extend_from_slice(piece);
                got = d.next(&mut input).unwrap();
            }
            assert_eq!(got.unwrap(), payload, "{size}");
        }
    }

    #[test]
    fn too_large_and_out_of_order_are_errors_before_anything_is_stored() {
        let mut d = Decoder::new(10);
        assert_eq!(d.next(&mut BytesMut::from(&packet(&[0; 11], &mut 0)[..])), Err(Error::TooLarge { limit: 10 }));
        let mut d = Decoder::new(10);
        assert_eq!(d.next(&mut BytesMut::from(&packet(&[0; 1], &mut 3)[..])), Err(Error::OutOfOrder { expected: 0, got: 3 }));
        d.take_any_number();
        assert_eq!(d.next(&mut BytesMut::from(&packet(&[7; 1], &mut 3)[..])).unwrap().as_deref(), Some(&[7][..]));
        assert_eq!(d.sequence(), 4);
    }
}
