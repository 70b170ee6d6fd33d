//! The bytes of a snapshot file: header, blocks of items, footer.
//!
//! Owns:     nothing.
//! Promises: everything is under a checksum; a block's covers its number, so that blocks cannot change places.
//! Never:    reads or writes a file.

use crate::format::{u32_at, u64_at};
use crc32fast::Hasher;
use weald_types::{Lsn, PartitionId};

pub const VERSION: u32 = 1;
const MAGIC: [u8; 8] = *b"WEALDSNP";
pub const HEADER: usize = 64;
pub const BLOCK_HEADER: usize = 20;
/// A block is closed when it has reached this length; one item may make it longer.
pub const BLOCK_BYTES: usize = 256 << 10;
/// In front of every item: its length.
pub const ITEM_HEADER: usize = 4;
pub const ITEM_MAX: usize = 1 << 30;

const KIND_ITEMS: u32 = 0x5354_4d49; // "IMTS"
const KIND_FOOTER: u32 = 0x544f_4f46; // "FOOT"

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub partition: PartitionId,
    pub lsn: Lsn,
    pub wall_micros: u64,
}

pub enum HeaderError {
    NotASnapshot,
    Newer(u32),
    Corrupt { expected: u32, actual: u32 },
}

impl Header {
    pub fn encode(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[0..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.partition.raw().to_le_bytes());
        bytes[24..32].copy_from_slice(&self.lsn.raw().to_le_bytes());
        bytes[32..40].copy_from_slice(&self.wall_micros.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..HEADER - 4]);
        bytes[HEADER - 4..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub fn decode(bytes: &[u8; HEADER]) -> Result<Self, HeaderError> {
        let (expected, actual) = (u32_at(bytes, HEADER - 4), crc32fast::hash(&bytes[..HEADER - 4]));
        if expected != actual {
            let alike = bytes.iter().zip(MAGIC).filter(|(a, b)| **a == *b).count();
            return Err(if alike >= 6 { HeaderError::Corrupt { expected, actual } } else { HeaderError::NotASnapshot });
        }
        if bytes[0..8] != MAGIC {
            return Err(HeaderError::NotASnapshot);
        }
        match u32_at(bytes, 8) {
            VERSION => Ok(Self { partition: PartitionId::new(u64_at(bytes, 16)), lsn: Lsn::new(u64_at(bytes, 24)), wall_micros: u64_at(bytes, 32) }),
            newer => Err(HeaderError::Newer(newer)),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Items,
    Footer,
}

/// In front of each block. The footer is a block as well: its payload is [`Footer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockHeader {
    pub kind: Kind,
    pub len: u32,
    pub items: u32,
}

impl BlockHeader {
    pub fn encode(&self, number: u64, payload: &[u8]) -> [u8; BLOCK_HEADER] {
        let mut bytes = [0; BLOCK_HEADER];
        let kind = match self.kind {
            Kind::Items => KIND_ITEMS,
            Kind::Footer => KIND_FOOTER,
        };
        bytes[0..4].copy_from_slice(&kind.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.len.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.items.to_le_bytes());
        // The header has a checksum of its own, so that a wrong length is not believed.
        let crc = head_crc(number, &bytes[..12]);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        bytes[16..20].copy_from_slice(&crc32fast::hash(payload).to_le_bytes());
        bytes
    }

    /// The header and the checksum that its payload has to have; or the checksum found and the one due.
    pub fn decode(number: u64, bytes: &[u8]) -> Result<(Self, u32), (u32, u32)> {
        let (expected, actual) = (u32_at(bytes, 12), head_crc(number, &bytes[..12]));
        let kind = match u32_at(bytes, 0) {
            KIND_ITEMS => Kind::Items,
            KIND_FOOTER => Kind::Footer,
            _ => return Err((expected, actual)),
        };
        if expected != actual {
            return Err((expected, actual));
        }
        Ok((Self { kind, len: u32_at(bytes, 4), items: u32_at(bytes, 8) }, u32_at(bytes, 16)))
    }
}

fn head_crc(number: u64, bytes: &[u8]) -> u32 {
    let mut hasher = Hasher::new();
    hasher.update(&number.to_le_bytes());
    hasher.update(bytes);
    hasher.finalize()
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Footer {
    pub blocks: u64,
    pub items: u64,
    /// Of items, without their lengths.
    pub bytes: u64,
}

impl Footer {
    pub const LEN: usize = 24;

    pub fn encode(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[0..8].copy_from_slice(&self.blocks.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.items.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.bytes.to_le_bytes());
        bytes
    }
    pub fn decode(bytes: &[u8]) -> Self {
        Self { blocks: u64_at(bytes, 0), items: u64_at(bytes, 8), bytes: u64_at(bytes, 16) }
    }
}
