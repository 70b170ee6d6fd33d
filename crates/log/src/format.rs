//! The bytes of a segment file: its header, batches, records. See docs/format/wal.md.
//!
//! Owns:     nothing.
//! Promises: every byte that matters is under a checksum; a batch's checksum is salted with its segment's salt, so that the bytes of an earlier use of
//!           the file are not taken for batches of this one.
//! Never:    reads or writes a file.

use crc32fast::Hasher;
use weald_types::{Lsn, PartitionId};

pub const VERSION: u32 = 1;
const SEGMENT_MAGIC: [u8; 8] = *b"WEALDLOG";
pub const BATCH_MAGIC: [u8; 4] = *b"WBAT";

/// The header has its sector for itself: it is never rewritten together with a batch.
pub const SEGMENT_HEADER: u64 = 512;
const SEGMENT_HEADER_USED: usize = 48;
pub const BATCH_HEADER: usize = 40;
pub const RECORD_HEADER: usize = 28;
/// Batches start at multiples of this, which makes looking for one cheap.
pub const ALIGN: u64 = 8;
/// The longest payload of a record.
pub const RECORD_MAX: usize = 1 << 30;

/// A batch without records, written when the log has been quiet or is closed: it proves that everything before it was synced.
/// It begins at a multiple of [`SEAL_ALIGN`], not right after the batch before: no one bad sector can take both.
pub const FLAG_SEAL: u32 = 1;
pub const SEAL_ALIGN: u64 = 512;

pub fn align(offset: u64) -> u64 {
    offset.next_multiple_of(ALIGN)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    pub number: u64,
    /// Drawn anew each time a file is put to use.
    pub salt: u64,
    /// Length of the file when it was put to use.
    pub len: u64,
}

pub enum SegmentHeaderError {
    NotASegment,
    Newer(u32),
    Corrupt { expected: u32, actual: u32 },
}

impl SegmentHeader {
    pub fn encode(&self) -> [u8; SEGMENT_HEADER as usize] {
        let mut bytes = [0; SEGMENT_HEADER as usize];
        bytes[0..8].copy_from_slice(&SEGMENT_MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&(SEGMENT_HEADER as u32).to_le_bytes());
        bytes[16..24].copy_from_slice(&self.number.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.salt.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.len.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..SEGMENT_HEADER_USED - 4]);
        bytes[SEGMENT_HEADER_USED - 4..SEGMENT_HEADER_USED].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, SegmentHeaderError> {
        if bytes.len() < SEGMENT_HEADER_USED {
            return Err(SegmentHeaderError::NotASegment);
        }
        let (expected, actual) = (u32_at(bytes, SEGMENT_HEADER_USED - 4), crc32fast::hash(&bytes[..SEGMENT_HEADER_USED - 4]));
        if expected != actual {
            // One flipped bit in the magic is corruption of our file; nothing alike is somebody else's file.
            let alike = bytes.iter().zip(SEGMENT_MAGIC).filter(|(a, b)| **a == *b).count();
            return Err(if alike >= 6 { SegmentHeaderError::Corrupt { expected, actual } } else { SegmentHeaderError::NotASegment });
        }
        if bytes[0..8] != SEGMENT_MAGIC {
            return Err(SegmentHeaderError::NotASegment);
        }
        match u32_at(bytes, 8) {
            VERSION => Ok(Self { number: u64_at(bytes, 16), salt: u64_at(bytes, 24), len: u64_at(bytes, 32) }),
            newer => Err(SegmentHeaderError::Newer(newer)),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    pub flags: u32,
    /// Dense over the whole log.
    pub seq: u64,
    /// `crc` of the batch before: a batch that belongs to another history does not fit.
    pub prev: u32,
    pub count: u32,
    pub body_len: u64,
    /// Over the records' checksums, in order.
    pub digest: u32,
    /// Over the salt and everything above.
    pub crc: u32,
}

impl BatchHeader {
    /// Writes the header into `to` (of [`BATCH_HEADER`] bytes) and fills in `crc`.
    pub fn encode(&mut self, salt: u64, to: &mut [u8]) {
        to[0..4].copy_from_slice(&BATCH_MAGIC);
        to[4..8].copy_from_slice(&self.flags.to_le_bytes());
        to[8..16].copy_from_slice(&self.seq.to_le_bytes());
        to[16..20].copy_from_slice(&self.prev.to_le_bytes());
        to[20..24].copy_from_slice(&self.count.to_le_bytes());
        to[24..32].copy_from_slice(&self.body_len.to_le_bytes());
        to[32..36].copy_from_slice(&self.digest.to_le_bytes());
        self.crc = batch_crc(salt, to);
        to[36..40].copy_from_slice(&self.crc.to_le_bytes());
    }

    /// `Err` carries the checksum found in the bytes and the one they should have.
    pub fn decode(salt: u64, bytes: &[u8]) -> Result<Self, (u32, u32)> {
        let (expected, actual) = (u32_at(bytes, 36), batch_crc(salt, bytes));
        if expected != actual || bytes[0..4] != BATCH_MAGIC {
            return Err((expected, actual));
        }
        Ok(Self {
            flags: u32_at(bytes, 4),
            seq: u64_at(bytes, 8),
            prev: u32_at(bytes, 16),
            count: u32_at(bytes, 20),
            body_len: u64_at(bytes, 24),
            digest: u32_at(bytes, 32),
            crc: expected,
        })
    }
}

fn batch_crc(salt: u64, header: &[u8]) -> u32 {
    let mut hasher = Hasher::new();
    hasher.update(&salt.to_le_bytes());
    hasher.update(&header[..36]);
    hasher.finalize()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHeader {
    pub len: u32,
    pub crc: u32,
    pub partition: PartitionId,
    pub lsn: Lsn,
    pub flags: u32,
}

impl RecordHeader {
    /// The header's bytes. `payload` has seen the payload and nothing else: the expensive part of the checksum is made before any lock is taken.
    pub fn encode(len: u32, partition: PartitionId, lsn: Lsn, flags: u32, payload: Hasher) -> ([u8; RECORD_HEADER], u32) {
        let mut bytes = [0; RECORD_HEADER];
        bytes[0..4].copy_from_slice(&len.to_le_bytes());
        bytes[8..16].copy_from_slice(&partition.raw().to_le_bytes());
        bytes[16..24].copy_from_slice(&lsn.raw().to_le_bytes());
        bytes[24..28].copy_from_slice(&flags.to_le_bytes());
        let crc = record_crc(payload, &bytes);
        bytes[4..8].copy_from_slice(&crc.to_le_bytes());
        (bytes, crc)
    }

    pub fn decode(bytes: &[u8]) -> Self {
        Self {
            len: u32_at(bytes, 0),
            crc: u32_at(bytes, 4),
            partition: PartitionId::new(u64_at(bytes, 8)),
            lsn: Lsn::new(u64_at(bytes, 16)),
            flags: u32_at(bytes, 24),
        }
    }
}

/// The checksum that a record's bytes (header and payload) should have.
pub fn checksum_of_record(header: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = Hasher::new();
    hasher.update(payload);
    record_crc(hasher, header)
}

fn record_crc(mut payload: Hasher, header: &[u8]) -> u32 {
    payload.update(&header[0..4]);
    payload.update(&header[8..RECORD_HEADER]);
    payload.finalize()
}

pub fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut array = [0; 4];
    array.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(array)
}

pub fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut array = [0; 8];
    array.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(array)
}
