//! The disk as we see it: files written at offsets, and what it takes to make bytes and names survive loss of power.
//!
//! Owns:     nothing.
//! Promises: bytes are durable after [`File::sync_data`]; a created, renamed or removed *name* only after [`Disk::sync_dir`] of its directory.
//!           Calls block, so they are made from threads of their own, never from a runtime that serves clients.
//! Never:    retries: an error after a failed sync says nothing about what is on the disk.

use std::io;
use std::path::Path;
use std::sync::Arc;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// An existing file, to read.
    Read,
    /// An existing file, to read and write.
    Write,
    /// To read and write; made if absent, kept as it is if present.
    Create,
    /// To read and write; must not exist.
    CreateNew,
}

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirEntry {
    pub name: String,
    pub is_dir: bool,
    pub len: u64,
}

pub trait Disk: Send + Sync {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>>;
    /// Replaces `to` in one step if it exists.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// The directory and everything under it.
    fn remove_dir_all(&self, dir: &Path) -> io::Result<()>;
    /// Sorted by name.
    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>>;
    fn exists(&self, path: &Path) -> bool;
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;
    /// Resolves once every earlier change of a name in `dir` survives loss of power.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Bytes that an ordinary user may still write on the file system that holds `path`.
    fn free_bytes(&self, path: &Path) -> io::Result<u64>;
    /// All bytes of that file system.
    fn total_bytes(&self, path: &Path) -> io::Result<u64>;
    /// This process alone may use `dir` until the lock is dropped or the process ends, however it ends.
    fn lock_dir(&self, dir: &Path) -> Result<DirLock, LockError>;

    /// The whole file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let file = self.open(path, OpenMode::Read)?;
        let mut bytes = vec![0; usize::try_from(file.len()?).map_err(io::Error::other)?];
        file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    /// `path` holds `bytes`, or what it held before, whatever happens meanwhile: temporary file, sync, rename, sync of the directory.
    fn write_atomically(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let temporary = path.with_extension("tmp");
        let file = self.open(&temporary, OpenMode::Create)?;
        file.truncate(0)?;
        file.write_all_at(bytes, 0)?;
        file.sync_data()?;
        drop(file);
        self.rename(&temporary, path)?;
        match path.parent() {
            Some(dir) => self.sync_dir(dir),
            None => Ok(()),
        }
    }
}

pub trait File: Send + Sync {
    /// Fewer bytes than asked for means the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// All of `bytes`, or an error after some unknown part of them.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Resolves once every earlier write to this file survives loss of power. An error leaves every write since the last sync in doubt for ever.
    fn sync_data(&self) -> io::Result<()>;
    /// The file is at least `len` long and writing inside that length needs no further room.
    fn allocate(&self, len: u64) -> io::Result<()>;
    fn len(&self) -> io::Result<u64>;
    /// Exactly `len` long; what is new reads as zero.
    fn truncate(&self, len: u64) -> io::Result<()>;

    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    fn read_exact_at(&self, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !buffer.is_empty() {
            match self.read_at(buffer, offset)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => (buffer, offset) = (&mut buffer[n..], offset + n as u64),
            }
        }
        Ok(())
    }
    /// Writes at the end; returns where. One appender at a time.
    fn append(&self, bytes: &[u8]) -> io::Result<u64> {
        let at = self.len()?;
        self.write_all_at(bytes, at)?;
        Ok(at)
    }
}

/// Held for as long as the directory is ours.
pub struct DirLock(pub(crate) Box<dyn std::any::Any + Send + Sync>);

impl std::fmt::Debug for DirLock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The payload is what the lock *is* (an open file, a registration); there is nothing in it to show.
        let _ = &self.0;
        f.write_str("DirLock")
    }
}

#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("the directory is in use by {}", match pid { Some(pid) => format!("process {pid}"), None => "another process".to_owned() })]
    Held { pid: Option<u32> },
    #[error("cannot lock the directory")]
    Io(#[from] io::Error),
}

/// No room: on the device, or in the user's quota. The one write error after which going on can make sense.
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
