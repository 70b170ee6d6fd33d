//! The snapshots of one partition.
//!
//! Owns:     the partition's directory under `snapshots/`.
//! Promises: [`SnapshotStore::take`] makes a snapshot count in one step, the manifest's rename; files that no longer count go after that.
//! Never:    removes a snapshot that the manifest on disk still names. A corrupt one is set aside under another name, for whoever examines it.

use super::writer::file_name;
use super::{SnapshotReader, SnapshotWriter};
use crate::{Error, Manifest, SnapshotEntry};
use std::path::{Path, PathBuf};
use weald_env::Env;
use weald_types::{Lsn, PartitionId};

pub struct SnapshotStore {
    env: Env,
    dir: PathBuf,
    manifest: Manifest,
    /// The last change of the manifest failed half-way: what the disk says after loss of power may be this one or the one before.
    unsure: bool,
}

impl SnapshotStore {
    /// Opens the directory, making it if it does not exist, and removes what an interrupted snapshot left.
    pub fn open(env: &Env, dir: &Path, partition: PartitionId) -> Result<Self, Error> {
        crate::data_dir::make_durably(env, dir)?;
        let manifest = Manifest::read(env, &dir.join("MANIFEST"), partition)?;
        if !manifest.snapshots.is_empty() {
            // Whoever wrote it may have died before this; what is read from it, the log may be trimmed by.
            env.disk.sync_dir(dir).map_err(Error::io("cannot sync", dir))?;
        }
        let store = Self { env: env.clone(), dir: dir.to_owned(), manifest, unsure: false };
        let mut removed = false;
        for entry in env.disk.list(dir).map_err(Error::io("cannot list", dir))? {
            let counts = store.manifest.snapshots.iter().any(|s| s.file == entry.name);
            if !counts && (entry.name.ends_with(".wsnap") || entry.name.ends_with(".tmp")) {
                let path = dir.join(&entry.name);
                env.disk.remove(&path).map_err(Error::io("cannot remove", &path))?;
                removed = true;
            }
        }
        if removed {
            env.disk.sync_dir(dir).map_err(Error::io("cannot sync", dir))?;
        }
        Ok(store)
    }

    /// Oldest first.
    pub fn snapshots(&self) -> &[SnapshotEntry] {
        &self.manifest.snapshots
    }
    pub fn newest(&self) -> Option<&SnapshotEntry> {
        self.manifest.snapshots.last()
    }
    /// How far the partition's log may go when `keep` snapshots are wanted: the oldest one of them has to be good enough to start from.
    pub fn log_not_needed_before(&self, keep: usize) -> Lsn {
        let snapshots = &self.manifest.snapshots;
        if snapshots.len() < keep.max(1) { Lsn::ZERO } else { snapshots[0].lsn }
    }

    pub fn read(&self, entry: &SnapshotEntry) -> Result<SnapshotReader, Error> {
        let path = self.dir.join(&entry.file);
        let reader = SnapshotReader::open(&self.env, &path)?;
        if reader.partition() != self.manifest.partition || reader.lsn() != entry.lsn || reader.len_bytes() != entry.bytes {
            let (expected, actual) = (entry.bytes as u32, reader.len_bytes() as u32);
            return Err(Error::Corrupt { file: path, offset: 0, what: "it is not the snapshot that the manifest names", expected, actual });
        }
        Ok(reader)
    }

    /// Whether the newest snapshot is of `lsn` already, and certain to be found again. Ask before [`SnapshotStore::begin`]: a second one of the same
    /// lsn would take the file's name from under the manifest.
    pub fn is_at(&mut self, lsn: Lsn) -> Result<bool, Error> {
        if self.newest().is_none_or(|s| s.lsn != lsn) {
            return Ok(false);
        }
        if self.unsure {
            self.write(self.manifest.clone())?;
        }
        Ok(true)
    }

    /// Replaces the manifest. If that fails, it may have happened all the same.
    fn write(&mut self, next: Manifest) -> Result<(), Error> {
        let path = self.dir.join("MANIFEST");
        match next.write(&self.env, &path) {
            Ok(()) => {
                self.manifest = next;
                self.unsure = false;
                Ok(())
            }
            Err(error) => {
                // What the directory shows now is what a restart of the process alone would find; only loss of power can still undo it.
                if let Ok(found) = Manifest::read(&self.env, &path, self.manifest.partition) {
                    self.manifest = found;
                }
                self.unsure = true;
                Err(error)
            }
        }
    }

    /// Begins the snapshot of the state after `lsn`. Several may be under way only if their lsns differ.
    pub fn begin(&self, lsn: Lsn) -> Result<SnapshotWriter, Error> {
        SnapshotWriter::create(&self.env, &self.dir, self.manifest.partition, lsn)
    }

    /// From now on `entry` counts, and of the older ones the newest `keep - 1`.
    pub fn take(&mut self, entry: SnapshotEntry, keep: usize) -> Result<(), Error> {
        let mut snapshots = self.manifest.snapshots.clone();
        snapshots.retain(|s| s.lsn < entry.lsn);
        snapshots.push(entry);
        let first = snapshots.len().saturating_sub(keep.max(1));
        snapshots.drain(..first);
        let next = Manifest { snapshots, ..self.manifest.clone() };
        let before = self.manifest.clone();
        self.write(next)?;
        for gone in before.snapshots.iter().filter(|old| !self.manifest.snapshots.iter().any(|s| s.file == old.file)) {
            let path = self.dir.join(&gone.file);
            // Not worth an error: the snapshot has been taken, and the next opening of the store tries again.
            if let Err(error) = self.env.disk.remove(&path) {
                tracing::warn!(%error, file = %path.display(), "an old snapshot could not be removed");
            }
        }
        Ok(())
    }

    /// `entry` turned out to be corrupt, and an older one served: it does not count any more.
    pub fn set_aside(&mut self, entry: &SnapshotEntry) -> Result<(), Error> {
        let mut next = self.manifest.clone();
        next.snapshots.retain(|s| s.file != entry.file);
        self.write(next)?;
        let path = self.dir.join(&entry.file);
        if self.env.disk.exists(&path) {
            self.env.disk.rename(&path, &path.with_extension("corrupt")).map_err(Error::io("cannot rename", &path))?;
        }
        Ok(())
    }

    /// The file name that a snapshot at `lsn` has.
    pub fn file_name(lsn: Lsn) -> String {
        file_name(lsn)
    }
}
