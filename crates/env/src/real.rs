//! The machine that we run on: std's files, the system's clock and random generator.
//!
//! Owns:     every use of `std::fs`, `Instant`, `SystemTime` and the thread's random generator in the product; what is asked of the machine.
//! Promises: one system call a method, interrupted calls repeated.
//! Never:    caches.

#![allow(clippy::disallowed_methods)]

use crate::{Clock, DirEntry, DirLock, Disk, File, LockError, OpenMode, Random};
use rand::RngCore;
use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

pub struct RealClock {
    start: Instant,
}

impl RealClock {
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Default for RealClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for RealClock {
    fn now(&self) -> Duration {
        self.start.elapsed()
    }
    fn wall_micros(&self) -> u64 {
        // A machine whose clock stands before 1970 is at 1970.
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_micros() as u64)
    }
}

/// Files that this process makes from now on are its user's alone: 0600, directories 0700.
pub fn keep_files_private() {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
}

/// Memory that the process takes now and the machine cannot take back: without its code and other files. 0 where the machine does not say.
pub fn resident_bytes() -> u64 {
    kilobytes("/proc/self/status", "RssAnon:").unwrap_or(0) << 10
}

/// Memory that the process may have: the machine's, or less if it runs in a control group that is given less.
pub fn machine_memory_bytes() -> Option<u64> {
    let machine = kilobytes("/proc/meminfo", "MemTotal:")? << 10;
    // The group that the process sees as its own root (version 2 and 1); where a parent is stricter, the operator says maximum_memory.
    let group = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"]
        .iter()
        .find_map(|path| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok());
    Some(group.map_or(machine, |g| g.min(machine)))
}

fn kilobytes(file: &str, field: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    text.lines().find_map(|line| line.strip_prefix(field)?.trim().strip_suffix(" kB")?.parse().ok())
}

/// A new file for what a child says, which outlives who started it.
pub fn output_file(path: &Path) -> io::Result<fs::File> {
    fs::OpenOptions::new().write(true).create(true).truncate(true).open(path)
}

/// SIGTERM to a child that was not waited for yet: before that, its number is nobody else's.
pub fn ask_to_end(child: u32) -> io::Result<()> {
    let id = i32::try_from(child).ok().and_then(rustix::process::Pid::from_raw);
    let id = id.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    Ok(rustix::process::kill_process(id, rustix::process::Signal::TERM)?)
}

/// SIGTERM to this process.
pub fn ask_oneself_to_end() -> io::Result<()> {
    Ok(rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TERM)?)
}

/// The machine's name.
pub fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

pub struct RealRandom;

impl Random for RealRandom {
    fn fill(&self, bytes: &mut [u8]) {
        rand::rng().fill_bytes(bytes);
    }
}

pub struct RealDisk;

impl Disk for RealDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let mut options = fs::OpenOptions::new();
        options.read(true);
        match mode {
            OpenMode::Read => &mut options,
            OpenMode::Write => options.write(true),
            OpenMode::Create => options.write(true).create(true).truncate(false),
            OpenMode::CreateNew => options.write(true).create_new(true),
        };
        Ok(Arc::new(RealFile(options.open(path)?)))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }
    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        fs::remove_dir_all(dir)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let metadata = match entry.metadata() {
                Ok(metadata) => metadata,
                // Removed between the two calls.
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Err(e) => return Err(e),
            };
            entries.push(DirEntry { name: entry.file_name().to_string_lossy().into_owned(), is_dir: metadata.is_dir(), len: metadata.len() });
        }
        entries.sort();
        Ok(entries)
    }
    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir_all(dir)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        // A path without a directory part has the empty parent, which means the current directory.
        let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
        fs::File::open(dir)?.sync_all()
    }
    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(path)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
    fn total_bytes(&self, path: &Path) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(path)?;
        Ok(stat.f_blocks.saturating_mul(stat.f_frsize))
    }
    fn lock_dir(&self, dir: &Path) -> Result<DirLock, LockError> {
        let file = fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(dir.join("LOCK"))?;
        // The kernel gives the lock back when the process ends, so a lock file left behind by a crash holds nobody up.
        match file.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => {
                let mut bytes = [0; 16];
                let n = file.read_at(&mut bytes, 0)?;
                let pid = std::str::from_utf8(&bytes[..n]).ok().and_then(|text| text.trim().parse().ok());
                return Err(LockError::Held { pid });
            }
            Err(fs::TryLockError::Error(e)) => return Err(e.into()),
        }
        let pid = format!("{}\n", std::process::id());
        file.set_len(0)?;
        file.write_all_at(pid.as_bytes(), 0)?;
        Ok(DirLock(Box::new(file)))
    }
}

struct RealFile(fs::File);

impl File for RealFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        loop {
            match self.0.read_at(buffer, offset) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                result => return result,
            }
        }
    }
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }
    fn allocate(&self, len: u64) -> io::Result<()> {
        match rustix::fs::fallocate(&self.0, rustix::fs::FallocateFlags::empty(), 0, len) {
            Ok(()) => Ok(()),
            // A file system that cannot reserve room (some network and copy-on-write ones): the length alone. ENOSPC may then come at a write.
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {
                if self.0.metadata()?.len() < len {
                    self.0.set_len(len)?;
                }
                Ok(())
            }
            Err(e) => Err(e.into()),
        }
    }
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }
    fn truncate(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_written_listed_renamed_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let (disk, root) = (RealDisk, dir.path());
        let file = disk.open(&root.join("a"), OpenMode::CreateNew).unwrap();
        file.allocate(100).unwrap();
        file.write_all_at(b"weald", 10).unwrap();
        file.sync_data().unwrap();
        assert_eq!(file.len().unwrap(), 100);
        assert_eq!(file.append(b"!").unwrap(), 100);
        disk.rename(&root.join("a"), &root.join("b")).unwrap();
        disk.sync_dir(root).unwrap();
        assert_eq!(&disk.read(&root.join("b")).unwrap()[10..15], b"weald");
        assert_eq!(disk.list(root).unwrap(), vec![DirEntry { name: "b".into(), is_dir: false, len: 101 }]);
        assert!(disk.free_bytes(root).unwrap() > 0);
        assert!(disk.total_bytes(root).unwrap() >= disk.free_bytes(root).unwrap());
        disk.write_atomically(&root.join("c"), b"new").unwrap();
        disk.write_atomically(&root.join("c"), b"newer").unwrap();
        assert_eq!(disk.read(&root.join("c")).unwrap(), b"newer");
        disk.remove(&root.join("b")).unwrap();
        assert!(disk.open(&root.join("b"), OpenMode::Read).is_err());
    }

    #[test]
    fn second_lock_names_the_holder() {
        let dir = tempfile::tempdir().unwrap();
        let held = RealDisk.lock_dir(dir.path()).unwrap();
        match RealDisk.lock_dir(dir.path()) {
            Err(LockError::Held { pid }) => assert_eq!(pid, Some(std::process::id())),
            other => panic!("{other:?}"),
        }
        drop(held);
        RealDisk.lock_dir(dir.path()).unwrap();
    }
}
