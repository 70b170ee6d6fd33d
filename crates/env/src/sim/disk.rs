//! A disk in memory that loses what was not synced, tears writes, fills up and fails on order.
//!
//! Owns:     files as the process sees them, files as they are on the platter, and the list of every change made.
//! Promises: [`SimDisk::after_crash_at`] rebuilds the disk as it would be found after a crash between any two changes.
//!           A failed sync behaves as on Linux: what was unsynced is gone for good, though reads still show it and the next sync succeeds.
//! Never:    lets handles from before a crash touch the disk after it: a crash makes a new disk.

use super::SplitMix;
use crate::{DirEntry, DirLock, Disk, File, LockError, OpenMode};
use parking_lot::{Condvar, Mutex};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const SECTOR: usize = 512;

/// What of the unsynced changes a crash leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Survives {
    /// Only what was synced.
    Nothing,
    /// All of it (the process died, the machine did not).
    Everything,
    /// All, but of the last write only this many bytes.
    BytesOfLast(usize),
    /// Each unsynced sector and each unsynced change of a name by the toss of a coin.
    Sectors { seed: u64 },
}

/// The kinds of call that can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    Open,
    Read,
    Write,
    Sync,
    Allocate,
    Rename,
    SyncDir,
}

/// One change of the disk.
#[derive(Clone, Debug)]
enum Change {
    Create {
        path: PathBuf,
        inode: u64,
    },
    MakeDir {
        path: PathBuf,
    },
    Rename {
        from: PathBuf,
        to: PathBuf,
    },
    Remove {
        path: PathBuf,
    },
    RemoveDir {
        path: PathBuf,
    },
    Write {
        inode: u64,
        offset: u64,
        bytes: Arc<[u8]>,
    },
    SetLen {
        inode: u64,
        len: u64,
    },
    Sync {
        inode: u64,
    },
    /// The kernel reported an error and marked the pages clean.
    SyncLost {
        inode: u64,
    },
    SyncDir {
        dir: PathBuf,
    },
}

#[derive(Clone, Debug)]
enum Pending {
    Write { offset: u64, bytes: Arc<[u8]> },
    SetLen(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    File(u64),
    Dir,
}

#[derive(Clone, Debug, Default)]
struct Inode {
    seen: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Pending>,
}

/// Files and names, as seen and as durable.
#[derive(Clone, Default)]
struct Files {
    inodes: BTreeMap<u64, Inode>,
    names: BTreeMap<PathBuf, Node>,
    durable_names: BTreeMap<PathBuf, Node>,
    /// Changes of names that no `sync_dir` has covered, oldest first.
    pending_names: Vec<Change>,
    next_inode: u64,
    /// The inode of the newest write, for [`Survives::BytesOfLast`].
    last_written: Option<u64>,
}

#[derive(Default)]
struct State {
    files: Files,
    /// Before the first change of `history`: what an earlier crash left.
    base: Files,
    history: Vec<Change>,
    capacity: Option<u64>,
    locked: BTreeSet<PathBuf>,
    calls: BTreeMap<Call, u64>,
    failures: Vec<(Call, u64, ErrorKind)>,
    syncs_held: bool,
    /// At that many changes power fails.
    fails_at: Option<(usize, Survives)>,
    /// What it left, once it has.
    left: Option<Files>,
}

#[derive(Clone, Default)]
pub struct SimDisk {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    syncs_released: Condvar,
}

impl SimDisk {
    /// Empty, without limit, without faults.
    pub fn new() -> Self {
        Self::default()
    }

    /// The disk takes at most this many bytes in all its files; writes past it are cut short with ENOSPC.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.shared.state.lock().capacity = bytes;
    }
    /// Bytes in all files that have a name.
    pub fn used_bytes(&self) -> u64 {
        self.shared.state.lock().files.used()
    }
    /// The `nth` call of that kind from now on (0 is the next one) fails.
    pub fn fail(&self, call: Call, nth: u64, kind: ErrorKind) {
        let mut state = self.shared.state.lock();
        let at = state.calls.get(&call).copied().unwrap_or(0) + nth;
        state.failures.push((call, at, kind));
    }
    /// How many calls of that kind there were, failed ones included.
    pub fn calls(&self, call: Call) -> u64 {
        self.shared.state.lock().calls.get(&call).copied().unwrap_or(0)
    }
    /// Syncs stand still until [`SimDisk::release_syncs`].
    pub fn hold_syncs(&self) {
        self.shared.state.lock().syncs_held = true;
    }
    pub fn release_syncs(&self) {
        self.shared.state.lock().syncs_held = false;
        self.shared.syncs_released.notify_all();
    }

    /// How many changes were made so far; a position for [`SimDisk::after_crash_at`].
    pub fn changes(&self) -> usize {
        self.shared.state.lock().history.len()
    }
    /// Whether the change at that position was a write of bytes, and how many.
    pub fn written_at(&self, change: usize) -> Option<usize> {
        match self.shared.state.lock().history.get(change) {
            Some(Change::Write { bytes, .. }) => Some(bytes.len()),
            _ => None,
        }
    }
    /// The disk as the next process finds it when power fails now.
    pub fn after_crash(&self, survives: Survives) -> SimDisk {
        let n = self.changes();
        self.after_crash_at(n, survives)
    }
    /// The disk as found when power fails after the first `changes` changes.
    pub fn after_crash_at(&self, changes: usize, survives: Survives) -> SimDisk {
        let (mut files, history) = {
            let state = self.shared.state.lock();
            (state.base.clone(), state.history[..changes.min(state.history.len())].to_vec())
        };
        for change in history {
            files.apply(change);
        }
        files.crash(survives);
        let state = State { base: files.clone(), files, ..State::default() };
        SimDisk { shared: Arc::new(Shared { state: Mutex::new(state), ..Shared::default() }) }
    }
    /// Power fails at the `nth` change from now on (0: now). The process may go on with this disk, but nobody will hear of it: ask [`SimDisk::left`].
    pub fn fail_power(&self, nth: usize, survives: Survives) {
        let mut state = self.shared.state.lock();
        state.fails_at = Some((state.history.len() + nth, survives));
        state.power();
    }
    /// If power has not failed yet, it does not.
    pub fn keep_power(&self) {
        self.shared.state.lock().fails_at = None;
    }
    /// The disk as the next process finds it, if power has failed.
    pub fn left(&self) -> Option<SimDisk> {
        let files = self.shared.state.lock().left.clone()?;
        let state = State { base: files.clone(), files, ..State::default() };
        Some(SimDisk { shared: Arc::new(Shared { state: Mutex::new(state), ..Shared::default() }) })
    }
    pub fn has_power(&self) -> bool {
        self.shared.state.lock().left.is_none()
    }
    /// Changes bytes behind everyone's back, as a failing platter does.
    pub fn corrupt(&self, path: &Path, offset: u64, flip: u8) {
        let mut state = self.shared.state.lock();
        let state = &mut *state;
        for files in [&mut state.files, &mut state.base] {
            if let Some(Node::File(inode)) = files.names.get(path).copied()
                && let Some(inode) = files.inodes.get_mut(&inode)
            {
                for bytes in [&mut inode.seen, &mut inode.durable] {
                    if let Some(byte) = bytes.get_mut(offset as usize) {
                        *byte ^= flip;
                    }
                }
            }
        }
    }
}

impl State {
    fn enter(&mut self, call: Call) -> io::Result<()> {
        let count = self.calls.entry(call).or_insert(0);
        let now = *count;
        *count += 1;
        match self.failures.iter().position(|(c, at, _)| *c == call && *at == now) {
            Some(i) => Err(self.failures.remove(i).2.into()),
            None => Ok(()),
        }
    }

    fn make(&mut self, change: Change) {
        self.history.push(change.clone());
        self.files.apply(change);
        self.power();
    }

    fn power(&mut self) {
        if let Some((at, survives)) = self.fails_at
            && self.left.is_none()
            && self.history.len() >= at
        {
            let mut files = self.files.clone();
            files.crash(survives);
            self.left = Some(files);
        }
    }
}

impl Files {
    fn used(&self) -> u64 {
        self.names.values().map(|node| if let Node::File(i) = node { self.inodes.get(i).map_or(0, |i| i.seen.len() as u64) } else { 0 }).sum()
    }

    fn apply(&mut self, change: Change) {
        match change {
            Change::Create { ref path, inode } => {
                self.inodes.insert(inode, Inode::default());
                self.next_inode = self.next_inode.max(inode + 1);
                self.names.insert(path.clone(), Node::File(inode));
                self.pending_names.push(change);
            }
            Change::MakeDir { .. } | Change::Rename { .. } | Change::Remove { .. } | Change::RemoveDir { .. } => {
                rename_in(&mut self.names, &change);
                self.pending_names.push(change);
            }
            Change::Write { inode, offset, bytes } => {
                self.last_written = Some(inode);
                let inode = self.inodes.entry(inode).or_default();
                write_to(&mut inode.seen, offset, &bytes);
                inode.pending.push(Pending::Write { offset, bytes });
            }
            Change::SetLen { inode, len } => {
                let inode = self.inodes.entry(inode).or_default();
                inode.seen.resize(len as usize, 0);
                inode.pending.push(Pending::SetLen(len));
            }
            Change::Sync { inode } => {
                let inode = self.inodes.entry(inode).or_default();
                for pending in std::mem::take(&mut inode.pending) {
                    pending.apply(&mut inode.durable);
                }
            }
            Change::SyncLost { inode } => self.inodes.entry(inode).or_default().pending.clear(),
            Change::SyncDir { dir } => {
                let (mine, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut self.pending_names).into_iter().partition(|c| c.touches(&dir));
                for change in mine {
                    rename_in(&mut self.durable_names, &change);
                }
                self.pending_names = rest;
            }
        }
    }

    fn crash(&mut self, survives: Survives) {
        let mut coin = SplitMix(if let Survives::Sectors { seed } = survives { seed } else { 0 });
        for (number, inode) in &mut self.inodes {
            let pending = std::mem::take(&mut inode.pending);
            let last = pending.iter().rposition(|p| matches!(p, Pending::Write { .. }));
            for (i, pending) in pending.into_iter().enumerate() {
                match survives {
                    Survives::Nothing => {}
                    Survives::Everything => pending.apply(&mut inode.durable),
                    Survives::BytesOfLast(n) => match pending {
                        Pending::Write { offset, bytes } if Some(i) == last && self.last_written == Some(*number) => {
                            write_to(&mut inode.durable, offset, &bytes[..n.min(bytes.len())]);
                        }
                        pending => pending.apply(&mut inode.durable),
                    },
                    Survives::Sectors { .. } => match pending {
                        Pending::Write { offset, bytes } => {
                            let mut at = 0;
                            while at < bytes.len() {
                                let to_boundary = SECTOR - (offset as usize + at) % SECTOR;
                                let end = bytes.len().min(at + to_boundary);
                                if coin.next() & 1 == 0 {
                                    write_to(&mut inode.durable, offset + at as u64, &bytes[at..end]);
                                }
                                at = end;
                            }
                        }
                        Pending::SetLen(len) => {
                            if coin.next() & 1 == 0 {
                                inode.durable.resize(len as usize, 0);
                            }
                        }
                    },
                }
            }
            inode.seen.clone_from(&inode.durable);
        }
        for change in std::mem::take(&mut self.pending_names) {
            let keep = match survives {
                Survives::Nothing => false,
                Survives::Everything | Survives::BytesOfLast(_) => true,
                Survives::Sectors { .. } => coin.next() & 1 == 0,
            };
            if keep {
                rename_in(&mut self.durable_names, &change);
            }
        }
        // A name cannot survive the loss of the directory it is in.
        let orphans: Vec<PathBuf> = self
            .durable_names
            .keys()
            .filter(|path| path.ancestors().skip(1).any(|a| !is_root(a) && self.durable_names.get(a) != Some(&Node::Dir)))
            .cloned()
            .collect();
        for path in orphans {
            self.durable_names.remove(&path);
        }
        self.names.clone_from(&self.durable_names);
        self.inodes.retain(|i, _| self.names.values().any(|n| *n == Node::File(*i)));
    }
}

impl Change {
    /// Whether a sync of `dir` makes this change of a name durable.
    fn touches(&self, dir: &Path) -> bool {
        let parent_is = |path: &Path| path.parent().is_some_and(|p| p == dir);
        match self {
            Change::Create { path, .. } | Change::MakeDir { path } | Change::Remove { path } | Change::RemoveDir { path } => parent_is(path),
            Change::Rename { from, to } => parent_is(from) || parent_is(to),
            _ => false,
        }
    }
}

impl Pending {
    fn apply(self, to: &mut Vec<u8>) {
        match self {
            Pending::Write { offset, bytes } => write_to(to, offset, &bytes),
            Pending::SetLen(len) => to.resize(len as usize, 0),
        }
    }
}

fn write_to(file: &mut Vec<u8>, offset: u64, bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    let (start, end) = (offset as usize, offset as usize + bytes.len());
    if file.len() < end {
        file.resize(end, 0);
    }
    file[start..end].copy_from_slice(bytes);
}

fn rename_in(names: &mut BTreeMap<PathBuf, Node>, change: &Change) {
    match change {
        Change::Create { path, inode } => {
            names.insert(path.clone(), Node::File(*inode));
        }
        Change::MakeDir { path } => {
            names.insert(path.clone(), Node::Dir);
        }
        Change::Remove { path } => {
            names.remove(path);
        }
        Change::RemoveDir { path } => names.retain(|p, _| !p.starts_with(path)),
        Change::Rename { from, to } => {
            let moved: Vec<(PathBuf, Node)> = names.iter().filter(|(p, _)| p.starts_with(from)).map(|(p, n)| (p.clone(), *n)).collect();
            if moved.is_empty() {
                return;
            }
            names.retain(|p, _| !p.starts_with(from) && !p.starts_with(to));
            for (path, node) in moved {
                let rest = path.strip_prefix(from).unwrap_or(Path::new(""));
                names.insert(if rest.as_os_str().is_empty() { to.clone() } else { to.join(rest) }, node);
            }
        }
        Change::Write { .. } | Change::SetLen { .. } | Change::Sync { .. } | Change::SyncLost { .. } | Change::SyncDir { .. } => {}
    }
}

fn is_root(path: &Path) -> bool {
    path.as_os_str().is_empty() || path == Path::new("/") || path == Path::new(".")
}

fn not_found(path: &Path) -> io::Error {
    io::Error::new(ErrorKind::NotFound, format!("no such file: {}", path.display()))
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let mut state = self.shared.state.lock();
        state.enter(Call::Open)?;
        let inode = match (state.files.names.get(path).copied(), mode) {
            (Some(Node::Dir), _) => return Err(ErrorKind::IsADirectory.into()),
            (Some(Node::File(_)), OpenMode::CreateNew) => return Err(ErrorKind::AlreadyExists.into()),
            (Some(Node::File(inode)), _) => inode,
            (None, OpenMode::Read | OpenMode::Write) => return Err(not_found(path)),
            (None, OpenMode::Create | OpenMode::CreateNew) => {
                let parent = path.parent().unwrap_or(Path::new(""));
                if !is_root(parent) && state.files.names.get(parent) != Some(&Node::Dir) {
                    return Err(not_found(parent));
                }
                let inode = state.files.next_inode;
                state.make(Change::Create { path: path.to_owned(), inode });
                inode
            }
        };
        Ok(Arc::new(SimFile { disk: self.clone(), inode, writable: mode != OpenMode::Read }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.shared.state.lock();
        state.enter(Call::Rename)?;
        if !state.files.names.contains_key(from) {
            return Err(not_found(from));
        }
        state.make(Change::Rename { from: from.to_owned(), to: to.to_owned() });
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.shared.state.lock();
        match state.files.names.get(path) {
            Some(Node::File(_)) => state.make(Change::Remove { path: path.to_owned() }),
            Some(Node::Dir) => return Err(ErrorKind::IsADirectory.into()),
            None => return Err(not_found(path)),
        }
        Ok(())
    }

    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.shared.state.lock();
        match state.files.names.get(dir) {
            Some(Node::Dir) => state.make(Change::RemoveDir { path: dir.to_owned() }),
            Some(Node::File(_)) => return Err(ErrorKind::NotADirectory.into()),
            None => return Err(not_found(dir)),
        }
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        let state = self.shared.state.lock();
        if !is_root(dir) && state.files.names.get(dir) != Some(&Node::Dir) {
            return Err(not_found(dir));
        }
        let entries = state.files.names.iter().filter(|(path, _)| path.parent() == Some(dir)).filter_map(|(path, node)| {
            let name = path.file_name()?.to_string_lossy().into_owned();
            Some(match node {
                Node::Dir => DirEntry { name, is_dir: true, len: 0 },
                Node::File(inode) => DirEntry { name, is_dir: false, len: state.files.inodes.get(inode).map_or(0, |i| i.seen.len() as u64) },
            })
        });
        Ok(entries.collect())
    }

    fn exists(&self, path: &Path) -> bool {
        self.shared.state.lock().files.names.contains_key(path)
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.shared.state.lock();
        let mut missing: Vec<&Path> = dir.ancestors().filter(|a| !is_root(a) && !state.files.names.contains_key(*a)).collect();
        missing.reverse();
        for path in missing {
            state.make(Change::MakeDir { path: path.to_owned() });
        }
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.shared.state.lock();
        state.enter(Call::SyncDir)?;
        if !is_root(dir) && state.files.names.get(dir) != Some(&Node::Dir) {
            return Err(not_found(dir));
        }
        state.make(Change::SyncDir { dir: dir.to_owned() });
        Ok(())
    }

    fn free_bytes(&self, _path: &Path) -> io::Result<u64> {
        let state = self.shared.state.lock();
        Ok(state.capacity.map_or(u64::MAX, |c| c.saturating_sub(state.files.used())))
    }
    fn total_bytes(&self, _path: &Path) -> io::Result<u64> {
        Ok(self.shared.state.lock().capacity.unwrap_or(u64::MAX))
    }

    fn lock_dir(&self, dir: &Path) -> Result<DirLock, LockError> {
        if !self.shared.state.lock().locked.insert(dir.to_owned()) {
            return Err(LockError::Held { pid: Some(std::process::id()) });
        }
        Ok(DirLock(Box::new(SimLock { disk: self.clone(), dir: dir.to_owned() })))
    }
}

struct SimLock {
    disk: SimDisk,
    dir: PathBuf,
}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.disk.shared.state.lock().locked.remove(&self.dir);
    }
}

struct SimFile {
    disk: SimDisk,
    inode: u64,
    writable: bool,
}

impl SimFile {
    fn check_writable(&self) -> io::Result<()> {
        if self.writable { Ok(()) } else { Err(ErrorKind::PermissionDenied.into()) }
    }
}

impl File for SimFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = self.disk.shared.state.lock();
        state.enter(Call::Read)?;
        let bytes = state.files.inodes.get(&self.inode).map_or(&[][..], |i| &i.seen);
        let start = (offset as usize).min(bytes.len());
        let n = buffer.len().min(bytes.len() - start);
        buffer[..n].copy_from_slice(&bytes[start..start + n]);
        Ok(n)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.check_writable()?;
        let mut state = self.disk.shared.state.lock();
        let refused = state.enter(Call::Write);
        let len = state.files.inodes.get(&self.inode).map_or(0, |i| i.seen.len() as u64);
        let grows = (offset + bytes.len() as u64).saturating_sub(len);
        let room = state.capacity.map_or(u64::MAX, |c| c.saturating_sub(state.files.used()));
        let fits = if grows > room { (bytes.len() as u64).saturating_sub(grows - room) as usize } else { bytes.len() };
        // A write that fails may have written a part.
        let (part, result) = match refused {
            Err(e) => (bytes.len() / 2, Err(e)),
            Ok(()) if fits < bytes.len() => (fits, Err(ErrorKind::StorageFull.into())),
            Ok(()) => (bytes.len(), Ok(())),
        };
        if part > 0 {
            state.make(Change::Write { inode: self.inode, offset, bytes: bytes[..part.min(fits)].into() });
        }
        result
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.disk.shared.state.lock();
        while state.syncs_held {
            self.disk.shared.syncs_released.wait(&mut state);
        }
        match state.enter(Call::Sync) {
            Ok(()) => {
                state.make(Change::Sync { inode: self.inode });
                Ok(())
            }
            Err(e) => {
                state.make(Change::SyncLost { inode: self.inode });
                Err(e)
            }
        }
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.check_writable()?;
        let mut state = self.disk.shared.state.lock();
        state.enter(Call::Allocate)?;
        let have = state.files.inodes.get(&self.inode).map_or(0, |i| i.seen.len() as u64);
        if len <= have {
            return Ok(());
        }
        if state.capacity.is_some_and(|c| state.files.used() + (len - have) > c) {
            return Err(ErrorKind::StorageFull.into());
        }
        state.make(Change::SetLen { inode: self.inode, len });
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.shared.state.lock().files.inodes.get(&self.inode).map_or(0, |i| i.seen.len() as u64))
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.check_writable()?;
        let mut state = self.disk.shared.state.lock();
        state.make(Change::SetLen { inode: self.inode, len });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk_with(bytes: &[u8]) -> (SimDisk, Arc<dyn File>) {
        let disk = SimDisk::new();
        disk.create_dir_all(Path::new("/d")).unwrap();
        let file = disk.open(Path::new("/d/f"), OpenMode::CreateNew).unwrap();
        file.write_all_at(bytes, 0).unwrap();
        file.sync_data().unwrap();
        disk.sync_dir(Path::new("/")).unwrap();
        disk.sync_dir(Path::new("/d")).unwrap();
        (disk, file)
    }

    #[test]
    fn crash_forgets_what_was_not_synced() {
        let (disk, file) = disk_with(b"old");
        file.write_all_at(b"newer", 0).unwrap();
        let read = |survives| disk.after_crash(survives).read(Path::new("/d/f")).unwrap();
        assert_eq!(read(Survives::Nothing), b"old");
        assert_eq!(read(Survives::Everything), b"newer");
        assert_eq!(read(Survives::BytesOfLast(2)), b"ned");
    }

    #[test]
    fn rename_without_directory_sync_is_undone() {
        let (disk, _) = disk_with(b"x");
        disk.rename(Path::new("/d/f"), Path::new("/d/g")).unwrap();
        assert!(disk.after_crash(Survives::Nothing).exists(Path::new("/d/f")));
        disk.sync_dir(Path::new("/d")).unwrap();
        let after = disk.after_crash(Survives::Nothing);
        assert!(!after.exists(Path::new("/d/f")) && after.exists(Path::new("/d/g")));
    }

    #[test]
    fn failed_sync_loses_the_writes_though_the_next_one_succeeds() {
        let (disk, file) = disk_with(b"old");
        file.write_all_at(b"new", 0).unwrap();
        disk.fail(Call::Sync, 0, ErrorKind::Other);
        assert!(file.sync_data().is_err());
        file.sync_data().unwrap();
        assert_eq!(disk.read(Path::new("/d/f")).unwrap(), b"new");
        assert_eq!(disk.after_crash(Survives::Everything).read(Path::new("/d/f")).unwrap(), b"old");
    }

    #[test]
    fn full_disk_cuts_a_write_short() {
        let (disk, file) = disk_with(b"12345");
        disk.set_capacity(Some(8));
        let error = file.write_all_at(b"abcdef", 5).unwrap_err();
        assert!(crate::is_full(&error));
        assert_eq!(disk.read(Path::new("/d/f")).unwrap(), b"12345abc");
        assert!(crate::is_full(&file.allocate(100).unwrap_err()));
        disk.set_capacity(None);
        file.allocate(100).unwrap();
    }

    #[test]
    fn power_fails_in_the_middle_of_what_a_process_does() {
        let (disk, file) = disk_with(b"a");
        disk.fail_power(2, Survives::Nothing);
        file.write_all_at(b"b", 0).unwrap();
        assert!(disk.has_power() && disk.left().is_none());
        file.sync_data().unwrap();
        file.write_all_at(b"c", 0).unwrap();
        file.sync_data().unwrap();
        assert!(!disk.has_power());
        assert_eq!(disk.left().unwrap().read(Path::new("/d/f")).unwrap(), b"b");
    }

    #[test]
    fn every_earlier_moment_can_be_revisited() {
        let (disk, file) = disk_with(b"a");
        let before = disk.changes();
        file.write_all_at(b"b", 0).unwrap();
        file.sync_data().unwrap();
        assert_eq!(disk.after_crash_at(before, Survives::Everything).read(Path::new("/d/f")).unwrap(), b"a");
        assert_eq!(disk.after_crash_at(before + 2, Survives::Nothing).read(Path::new("/d/f")).unwrap(), b"b");
    }
}
