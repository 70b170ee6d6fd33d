//! Writing one snapshot.
//!
//! Owns:     a temporary file, removed if the snapshot is not finished.
//! Promises: after [`SnapshotWriter::finish`] the file is whole, synced, and under its own name. It does not count before the store has taken it.
//! Never:    leaves a large amount unsynced: one sync at the end would hold up the log's syncs for as long as it takes.

use super::format::{BLOCK_BYTES, BlockHeader, Footer, HEADER, Header, ITEM_HEADER, ITEM_MAX, Kind};
use crate::{Error, SnapshotEntry};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use weald_env::{Env, File, OpenMode};
use weald_types::{Lsn, PartitionId};

/// Written and not yet synced, at most.
const UNSYNCED_MAX: u64 = 8 << 20;

pub struct SnapshotWriter {
    env: Env,
    dir: PathBuf,
    temporary: PathBuf,
    file: Arc<dyn File>,
    lsn: Lsn,
    block: Vec<u8>,
    block_items: u32,
    counts: Footer,
    end: u64,
    unsynced: u64,
    finished: bool,
}

pub(super) fn file_name(lsn: Lsn) -> String {
    format!("{:020}.wsnap", lsn.raw())
}

impl SnapshotWriter {
    pub(super) fn create(env: &Env, dir: &Path, partition: PartitionId, lsn: Lsn) -> Result<Self, Error> {
        let temporary = dir.join(format!("{:020}.tmp", lsn.raw()));
        let file = env.disk.open(&temporary, OpenMode::Create).map_err(Error::io("cannot create", &temporary))?;
        file.truncate(0).map_err(Error::io("cannot truncate", &temporary))?;
        let header = Header { partition, lsn, wall_micros: env.clock.wall_micros() };
        file.write_all_at(&header.encode(), 0).map_err(Error::io("cannot write", &temporary))?;
        Ok(Self {
            env: env.clone(),
            dir: dir.to_owned(),
            temporary,
            file,
            lsn,
            block: Vec::with_capacity(BLOCK_BYTES + 4096),
            block_items: 0,
            counts: Footer::default(),
            end: HEADER as u64,
            unsynced: 0,
            finished: false,
        })
    }

    pub fn lsn(&self) -> Lsn {
        self.lsn
    }
    /// Items and their bytes so far.
    pub fn written(&self) -> (u64, u64) {
        (self.counts.items, self.counts.bytes)
    }

    pub fn item(&mut self, item: &[u8]) -> Result<(), Error> {
        if item.len() > ITEM_MAX {
            return Err(Error::RecordTooLong { len: item.len(), max: ITEM_MAX });
        }
        self.block.extend_from_slice(&(item.len() as u32).to_le_bytes());
        self.block.extend_from_slice(item);
        self.block_items += 1;
        self.counts.items += 1;
        self.counts.bytes += item.len() as u64;
        if self.block.len() >= BLOCK_BYTES { self.close_block() } else { Ok(()) }
    }

    /// Makes the file whole and durable under its name.
    pub fn finish(mut self) -> Result<SnapshotEntry, Error> {
        if self.block_items > 0 {
            self.close_block()?;
        }
        let footer = self.counts.encode();
        let header = BlockHeader { kind: Kind::Footer, len: footer.len() as u32, items: 0 };
        self.write(&header.encode(self.counts.blocks, &footer), &footer)?;
        self.file.sync_data().map_err(Error::io("cannot sync", &self.temporary))?;
        let file = file_name(self.lsn);
        self.env.disk.rename(&self.temporary, &self.dir.join(&file)).map_err(Error::io("cannot rename", &self.temporary))?;
        self.finished = true;
        self.env.disk.sync_dir(&self.dir).map_err(Error::io("cannot sync", &self.dir))?;
        Ok(SnapshotEntry { file, lsn: self.lsn, items: self.counts.items, bytes: self.end })
    }

    fn close_block(&mut self) -> Result<(), Error> {
        let payload = std::mem::take(&mut self.block);
        debug_assert!(payload.len() >= ITEM_HEADER);
        let header = BlockHeader { kind: Kind::Items, len: payload.len() as u32, items: self.block_items };
        self.write(&header.encode(self.counts.blocks, &payload), &payload)?;
        self.counts.blocks += 1;
        self.block = payload;
        self.block.clear();
        self.block.shrink_to(BLOCK_BYTES * 2);
        self.block_items = 0;
        Ok(())
    }

    fn write(&mut self, header: &[u8], payload: &[u8]) -> Result<(), Error> {
        self.file.write_all_at(header, self.end).map_err(Error::io("cannot write", &self.temporary))?;
        self.file.write_all_at(payload, self.end + header.len() as u64).map_err(Error::io("cannot write", &self.temporary))?;
        let len = (header.len() + payload.len()) as u64;
        self.end += len;
        self.unsynced += len;
        if self.unsynced >= UNSYNCED_MAX {
            self.file.sync_data().map_err(Error::io("cannot sync", &self.temporary))?;
            self.unsynced = 0;
        }
        Ok(())
    }
}

impl Drop for SnapshotWriter {
    fn drop(&mut self) {
        // Gives the room back at once; a file that stays is removed when the store is opened next.
        if !self.finished
            && let Err(error) = self.env.disk.remove(&self.temporary)
        {
            tracing::debug!(%error, file = %self.temporary.display(), "left behind");
        }
    }
}
