//! Reading one snapshot.
//!
//! Owns:     nothing but its place in the file.
//! Promises: items in the order in which they were written; [`Error::Corrupt`] instead of a wrong or missing one.
//! Never:    says "end" before the footer has confirmed how many items there are.

use super::format::{BLOCK_HEADER, BlockHeader, Footer, HEADER, Header, HeaderError, ITEM_HEADER, Kind, VERSION};
use crate::Error;
use crate::format::u32_at;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use weald_env::{Env, File, OpenMode};
use weald_types::{Lsn, PartitionId};

pub struct SnapshotReader {
    path: PathBuf,
    file: Arc<dyn File>,
    len: u64,
    partition: PartitionId,
    lsn: Lsn,
    offset: u64,
    counts: Footer,
    block: Vec<u8>,
    ended: bool,
}

impl SnapshotReader {
    pub fn open(env: &Env, path: &Path) -> Result<Self, Error> {
        let file = env.disk.open(path, OpenMode::Read).map_err(|e| {
            if e.kind() == std::io::ErrorKind::NotFound { Error::Missing { file: path.to_owned() } } else { Error::io("cannot open", path)(e) }
        })?;
        let len = file.len().map_err(Error::io("cannot read", path))?;
        let mut bytes = [0; HEADER];
        let n = file.read_at(&mut bytes, 0).map_err(Error::io("cannot read", path))?;
        let header = match Header::decode(&bytes) {
            Ok(header) => header,
            Err(HeaderError::Newer(found)) => return Err(Error::Newer { file: path.to_owned(), found, known: VERSION }),
            Err(HeaderError::NotASnapshot) if n == HEADER => {
                return Err(Error::Foreign { file: path.to_owned(), what: "it does not begin as a snapshot does" });
            }
            Err(HeaderError::NotASnapshot) => {
                return Err(Error::Corrupt { file: path.to_owned(), offset: 0, what: "the file has been cut short", expected: 0, actual: 0 });
            }
            Err(HeaderError::Corrupt { expected, actual }) => {
                return Err(Error::Corrupt { file: path.to_owned(), offset: 0, what: "the snapshot's header", expected, actual });
            }
        };
        Ok(Self {
            path: path.to_owned(),
            file,
            len,
            partition: header.partition,
            lsn: header.lsn,
            offset: HEADER as u64,
            counts: Footer::default(),
            block: Vec::new(),
            ended: false,
        })
    }

    pub fn partition(&self) -> PartitionId {
        self.partition
    }
    /// The snapshot holds the records up to this.
    pub fn lsn(&self) -> Lsn {
        self.lsn
    }
    pub fn len_bytes(&self) -> u64 {
        self.len
    }
    pub fn read_bytes(&self) -> u64 {
        self.offset
    }

    /// The items of the next block; `None` at the end, which the footer has confirmed.
    pub fn next_block(&mut self) -> Result<Option<Items<'_>>, Error> {
        if self.ended {
            return Ok(None);
        }
        let at = self.offset;
        let mut head = [0; BLOCK_HEADER];
        self.read(&mut head, at)?;
        let (header, expected) = BlockHeader::decode(self.counts.blocks, &head).map_err(|(e, a)| self.corrupt(at, "a block's header", e, a))?;
        if u64::from(header.len) > self.len.saturating_sub(at + BLOCK_HEADER as u64) {
            return Err(self.corrupt(at, "the file has been cut short", 0, 0));
        }
        let mut block = std::mem::take(&mut self.block);
        block.resize(header.len as usize, 0);
        self.read(&mut block, at + BLOCK_HEADER as u64)?;
        let actual = crc32fast::hash(&block);
        if actual != expected {
            return Err(self.corrupt(at, "a block", expected, actual));
        }
        self.block = block;
        self.offset = at + BLOCK_HEADER as u64 + u64::from(header.len);
        match header.kind {
            Kind::Items => {
                let items = Items { block: &self.block };
                let (mut count, mut bytes) = (0, 0);
                for item in items.clone() {
                    count += 1;
                    bytes += item.len() as u64;
                }
                if count != header.items || bytes + u64::from(count) * ITEM_HEADER as u64 != self.block.len() as u64 {
                    return Err(self.corrupt(at, "the number of items in a block", header.items, count));
                }
                self.counts.blocks += 1;
                self.counts.items += u64::from(count);
                self.counts.bytes += bytes;
                Ok(Some(Items { block: &self.block }))
            }
            Kind::Footer => {
                if self.block.len() != Footer::LEN || Footer::decode(&self.block) != self.counts || self.offset != self.len {
                    return Err(self.corrupt(at, "the footer, whose counts do not agree with the blocks", 0, 0));
                }
                self.ended = true;
                Ok(None)
            }
        }
    }

    fn read(&self, bytes: &mut [u8], at: u64) -> Result<(), Error> {
        self.file.read_exact_at(bytes, at).map_err(|e| {
            if e.kind() == std::io::ErrorKind::UnexpectedEof {
                self.corrupt(at, "the file has been cut short", 0, 0)
            } else {
                Error::io("cannot read", &self.path)(e)
            }
        })
    }

    fn corrupt(&self, offset: u64, what: &'static str, expected: u32, actual: u32) -> Error {
        Error::Corrupt { file: self.path.clone(), offset, what, expected, actual }
    }
}

/// The items of one block, in order.
#[derive(Clone)]
pub struct Items<'a> {
    block: &'a [u8],
}

impl<'a> Iterator for Items<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.block.len() < ITEM_HEADER {
            return None;
        }
        let len = u32_at(self.block, 0) as usize;
        let item = self.block.get(ITEM_HEADER..ITEM_HEADER + len)?;
        self.block = &self.block[ITEM_HEADER + len..];
        Some(item)
    }
}
