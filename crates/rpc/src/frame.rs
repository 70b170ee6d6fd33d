//! One frame: its bytes, and nothing about what it is for.
//!
//! Owns:     the layout, version 1.
//! Promises: decoding gives exactly the frames that were encoded, however the bytes were cut on their way; it never panics and never asks for more
//!           memory than the limit for one frame. A body is a view of the bytes that were read, not a copy.
//! Never:    waits.
//! See:      docs/format/between-nodes.md.

use bytes::{Buf, Bytes, BytesMut};
use weald_types::Timestamp;

/// Bytes of a frame before its body.
pub(crate) const HEAD_BYTES: usize = 28;
/// Of those, what the length field does not count: itself.
const LENGTH_BYTES: usize = 4;
const MORE: u8 = 1;
/// The code of [`Kind::Failed`] when the reason is the request's own deadline.
pub(crate) const FAILED_LATE: u16 = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Both, first: what the sender can take. Body: [`crate::hello::Hello`].
    Hello,
    /// Asker: a request with one answer. `code` is the method, `extra` the deadline in milliseconds from now, 0 for none.
    Request,
    /// Asker: as `Request`, but parts may come before the answer.
    StreamRequest,
    /// Asker: to be run, never answered.
    OneWay,
    /// Asker: the answer to `id` is no longer wanted.
    Cancel,
    /// Asker: `extra` more bytes of parts of `id` may come.
    Credit,
    /// Asker: are you there?
    Ping,
    /// Answerer: the one and only answer.
    Answer,
    /// Answerer: a part that comes before the answer.
    Part,
    /// Answerer: was not run. `code` says why, the body says it in words.
    Refused,
    /// Answerer: was begun and came to no answer. `code` is [`FAILED_LATE`] or 0, the body says it in words.
    Failed,
    /// Answerer: I am.
    Pong,
    /// Both, last: why the connection ends. Body: words.
    Farewell,
}

impl Kind {
    fn byte(self) -> u8 {
        match self {
            Self::Hello => 1,
            Self::Request => 2,
            Self::StreamRequest => 3,
            Self::OneWay => 4,
            Self::Cancel => 5,
            Self::Credit => 6,
            Self::Ping => 7,
            Self::Answer => 16,
            Self::Part => 17,
            Self::Refused => 18,
            Self::Failed => 19,
            Self::Pong => 20,
            Self::Farewell => 32,
        }
    }

    fn of_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Hello,
            2 => Self::Request,
            3 => Self::StreamRequest,
            4 => Self::OneWay,
            5 => Self::Cancel,
            6 => Self::Credit,
            7 => Self::Ping,
            16 => Self::Answer,
            17 => Self::Part,
            18 => Self::Refused,
            19 => Self::Failed,
            20 => Self::Pong,
            32 => Self::Farewell,
            _ => return None,
        })
    }

    /// Kinds whose body may go on in further frames.
    fn may_be_split(self) -> bool {
        match self {
            Self::Request | Self::StreamRequest | Self::OneWay | Self::Answer | Self::Part => true,
            Self::Hello | Self::Cancel | Self::Credit | Self::Ping | Self::Refused | Self::Failed | Self::Pong | Self::Farewell => false,
        }
    }
}

/// A frame without its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub kind: Kind,
    /// The body goes on in the next frame of this kind and id.
    pub more: bool,
    pub code: u16,
    pub extra: u32,
    pub id: u64,
    pub stamp: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub head: Head,
    pub body: Bytes,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("a frame of {bytes} bytes where {limit} are allowed")]
    Length { bytes: usize, limit: usize },
    #[error("a frame of unknown kind {0}")]
    Kind(u8),
    #[error("a frame of kind {kind} with flags {flags}")]
    Flags { kind: u8, flags: u8 },
}

impl Head {
    pub fn new(kind: Kind, id: u64, stamp: Timestamp) -> Self {
        Self { kind, more: false, code: 0, extra: 0, id, stamp }
    }

    /// The head of a frame whose body of `body` bytes follows.
    pub fn encode(&self, body: usize) -> [u8; HEAD_BYTES] {
        let mut bytes = [0; HEAD_BYTES];
        let length = u32::try_from(HEAD_BYTES - LENGTH_BYTES + body).expect("bodies are split long before 4 GiB");
        bytes[0..4].copy_from_slice(&length.to_le_bytes());
        bytes[4] = self.kind.byte();
        bytes[5] = if self.more { MORE } else { 0 };
        bytes[6..8].copy_from_slice(&self.code.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.extra.to_le_bytes());
        bytes[12..20].copy_from_slice(&self.id.to_le_bytes());
        bytes[20..28].copy_from_slice(&self.stamp.raw().to_le_bytes());
        bytes
    }
}

/// The next whole frame of `input`, if it is there; `limit` is for one body.
pub(crate) fn decode(input: &mut BytesMut, limit: usize) -> Result<Option<Frame>, Malformed> {
    if input.len() < HEAD_BYTES {
        // Judged as early as it can be seen: a wrong length would otherwise have us wait for bytes that never come.
        if let Some(length) = input.first_chunk::<LENGTH_BYTES>() {
            check_length(u32::from_le_bytes(*length) as usize, limit)?;
        }
        return Ok(None);
    }
    let mut head = &input[..HEAD_BYTES];
    let body = check_length(head.get_u32_le() as usize, limit)?;
    let (kind, flags) = (head.get_u8(), head.get_u8());
    let (code, extra, id, stamp) = (head.get_u16_le(), head.get_u32_le(), head.get_u64_le(), head.get_u64_le());
    let known = Kind::of_byte(kind).ok_or(Malformed::Kind(kind))?;
    let more = flags & MORE != 0;
    if flags & !MORE != 0 || more && !known.may_be_split() {
        return Err(Malformed::Flags { kind, flags });
    }
    if input.len() < HEAD_BYTES + body {
        input.reserve(HEAD_BYTES + body - input.len());
        return Ok(None);
    }
    input.advance(HEAD_BYTES);
    let body = if body == 0 { Bytes::new() } else { input.split_to(body).freeze() };
    Ok(Some(Frame { head: Head { kind: known, more, code, extra, id, stamp: Timestamp::new(stamp) }, body }))
}

/// The bytes of the body, from what the length field says.
fn check_length(length: usize, limit: usize) -> Result<usize, Malformed> {
    match length.checked_sub(HEAD_BYTES - LENGTH_BYTES) {
        Some(body) if body <= limit => Ok(body),
        _ => Err(Malformed::Length { bytes: length, limit }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BufMut;
    use proptest::prelude::*;

    const KINDS: [Kind; 13] = [
        Kind::Hello,
        Kind::Request,
        Kind::StreamRequest,
        Kind::OneWay,
        Kind::Cancel,
        Kind::Credit,
        Kind::Ping,
        Kind::Answer,
        Kind::Part,
        Kind::Refused,
        Kind::Failed,
        Kind::Pong,
        Kind::Farewell,
    ];

    fn frames() -> impl Strategy<Value = Vec<Frame>> {
        let frame =
            (0..KINDS.len(), any::<bool>(), any::<u16>(), any::<u32>(), any::<u64>(), any::<u64>(), prop::collection::vec(any::<u8>(), 0..300));
        let frame = frame.prop_map(|(kind, more, code, extra, id, stamp, body)| {
            let kind = KINDS[kind];
            Frame { head: Head { kind, more: more && kind.may_be_split(), code, extra, id, stamp: Timestamp::new(stamp) }, body: Bytes::from(body) }
        });
        prop::collection::vec(frame, 0..20)
    }

    fn encode(frames: &[Frame]) -> BytesMut {
        let mut out = BytesMut::new();
        for f in frames {
            out.put_slice(&f.head.encode(f.body.len()));
            out.put_slice(&f.body);
        }
        out
    }

    proptest! {
        #[test]
        fn frames_come_out_as_they_went_in_however_the_bytes_are_cut(sent in frames(), cuts in prop::collection::vec(1usize..400, 1..50)) {
            let bytes = encode(&sent);
            let (mut input, mut got, mut at) = (BytesMut::new(), Vec::new(), 0);
            for n in cuts.iter().cycle() {
                let to = (at + n).min(bytes.len());
                input.put_slice(&bytes[at..to]);
                at = to;
                while let Some(frame) = decode(&mut input, 300).unwrap() {
                    got.push(frame);
                }
                if at == bytes.len() {
                    break;
                }
            }
            prop_assert_eq!(got, sent);
            prop_assert!(input.is_empty());
        }

        #[test]
        fn any_bytes_are_frames_or_refused_and_never_take_more_memory_than_one_frame(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let mut input = BytesMut::from(&bytes[..]);
            while let Ok(Some(frame)) = decode(&mut input, 200) {
                prop_assert!(frame.body.len() <= 200);
            }
            prop_assert!(input.capacity() <= 4096);
        }
    }

    #[test]
    fn bytes_of_version_1_stay_what_they_are() {
        let head = Head {
            kind: Kind::Request,
            more: true,
            code: 0x0102,
            extra: 0x03040506,
            id: 0x0708090a0b0c0d0e,
            stamp: Timestamp::new(0x0f10111213141516),
        };
        let mut out = BytesMut::new();
        out.put_slice(&head.encode(2));
        out.put_slice(b"hi");
        let expected = [26, 0, 0, 0, 2, 1, 2, 1, 6, 5, 4, 3, 14, 13, 12, 11, 10, 9, 8, 7, 22, 21, 20, 19, 18, 17, 16, 15, b'h', b'i'];
        assert_eq!(&out[..], expected);
        assert_eq!(decode(&mut out, 2), Ok(Some(Frame { head, body: Bytes::from_static(b"hi") })));
        let numbers: Vec<u8> = KINDS.iter().map(|k| k.byte()).collect();
        assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 32]);
        assert!(KINDS.iter().all(|k| Kind::of_byte(k.byte()) == Some(*k)));
    }

    #[test]
    fn wrong_length_is_seen_before_the_rest_arrives() {
        assert_eq!(decode(&mut BytesMut::from(&[23u8, 0, 0, 0][..]), 100), Err(Malformed::Length { bytes: 23, limit: 100 }));
        assert_eq!(decode(&mut BytesMut::from(&[255u8, 255, 255, 255][..]), 100), Err(Malformed::Length { bytes: u32::MAX as usize, limit: 100 }));
        assert_eq!(decode(&mut BytesMut::from(&[124u8, 0, 0][..]), 100), Ok(None));
        assert_eq!(decode(&mut BytesMut::from(&[124u8, 0, 0, 0][..]), 100), Ok(None));
    }
}
