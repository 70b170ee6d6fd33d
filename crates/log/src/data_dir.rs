//! The data directory: what is where, which release wrote it, and that it is ours alone.
//!
//! Owns:     the lock on the directory, the file FORMAT.
//! Promises: two processes never use one directory; a directory of a newer release is refused before anything in it is touched.
//! Never:    reads what the other files hold.
//! See:      docs/format/data-directory.md.

use crate::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use weald_env::{DirLock, Env, LockError};
use weald_types::PartitionId;

/// The layout of the directory. Files have versions of their own; this one changes when files move.
const VERSION: u32 = 2;
/// Where the catalogue was in `meta/log` and `meta/state`. It is moved by who owns it; from then on an older release, which would find the old one, must not
/// start here any more.
const WITH_OLD_CATALOGUE: u32 = 1;
const OURS: [&str; 3] = ["log", "meta", "snapshots"];
const FIRST_LINE: &str = "weald data directory";

/// A data directory that is ours until this is dropped.
#[derive(Debug)]
pub struct DataDir {
    root: PathBuf,
    fresh: bool,
    _lock: DirLock,
}

impl DataDir {
    /// Takes the directory, making it if it does not exist. One that holds other things is left alone.
    pub fn open(env: &Env, root: &Path) -> Result<Self, Error> {
        let disk = &env.disk;
        make_durably(env, root)?;
        let format = root.join("FORMAT");
        // Before anything is left in it, the file LOCK included.
        if !disk.exists(&format) {
            let found = disk.list(root).map_err(Error::io("cannot list", root))?;
            if let Some(e) = found.into_iter().find(|e| !may_come_first(&e.name)) {
                return Err(Error::Occupied { dir: root.to_owned(), entry: e.name });
            }
        }
        let lock = disk.lock_dir(root).map_err(|e| match e {
            LockError::Io(source) => Error::io("cannot lock", root)(source),
            held => Error::Locked { path: root.to_owned(), source: Arc::new(held) },
        })?;
        let fresh = !disk.exists(&format);
        if fresh {
            let found = disk.list(root).map_err(Error::io("cannot list", root))?;
            if found.iter().any(|e| OURS.contains(&e.name.as_str())) {
                return Err(Error::Missing { file: format });
            }
            write_format(env, &format)?;
        } else {
            let bytes = disk.read(&format).map_err(Error::io("cannot read", &format))?;
            if check_format(&bytes, &format)? < VERSION {
                write_format(env, &format)?;
            }
        }
        for dir in OURS {
            let dir = root.join(dir);
            disk.create_dir_all(&dir).map_err(Error::io("cannot create", &dir))?;
        }
        disk.sync_dir(root).map_err(Error::io("cannot sync", root))?;
        Ok(Self { root: root.to_owned(), fresh, _lock: lock })
    }

    pub fn root(&self) -> &Path {
        &self.root
    }
    /// Nothing had been stored here before.
    pub fn is_fresh(&self) -> bool {
        self.fresh
    }
    pub fn log(&self) -> PathBuf {
        self.root.join("log")
    }
    pub fn meta(&self) -> PathBuf {
        self.root.join("meta")
    }
    /// Where the snapshots of all partitions are, each in a directory of its own.
    pub fn snapshots(&self) -> PathBuf {
        self.root.join("snapshots")
    }
    pub fn snapshots_of(&self, partition: PartitionId) -> PathBuf {
        self.snapshots().join(partition_dir(partition))
    }
}

/// What a directory may hold that is to become a data directory: what an interrupted first start left, what file systems and shells put there, and what an
/// operator prepares (a certificate, the configuration file).
fn may_come_first(name: &str) -> bool {
    // Ours are there if another process makes its first start at this very moment; without one, their FORMAT is missing. Both are told apart under the lock.
    let ours = OURS.contains(&name) || matches!(name, "spill" | "weald.log" | "slow.log");
    ours || name.starts_with('.')
        || name.starts_with("FORMAT")
        || matches!(name, "LOCK" | "lost+found" | "server-cert.pem" | "server-key.pem" | "weald.toml")
}

/// `dir` exists, and will after loss of power. Synced even when it is there already: whoever made it may have died before its own sync.
pub(crate) fn make_durably(env: &Env, dir: &Path) -> Result<(), Error> {
    // From the outermost that is missing inwards; "" is the parent of a relative path's first part, and cannot be opened under that name.
    let mut made: Vec<&Path> = dir.ancestors().take_while(|a| !a.as_os_str().is_empty() && !env.disk.exists(a)).collect();
    if made.is_empty() {
        made.push(dir);
    }
    env.disk.create_dir_all(dir).map_err(Error::io("cannot create", dir))?;
    for made in made.into_iter().rev() {
        let Some(parent) = made.parent() else { continue };
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        env.disk.sync_dir(parent).map_err(Error::io("cannot sync", parent))?;
    }
    Ok(())
}

/// `<database>_<ordinal>`.
pub fn partition_dir(partition: PartitionId) -> String {
    format!("{}_{}", partition.database(), partition.ordinal())
}

/// The partition whose directory that is.
pub fn partition_of_dir(name: &str) -> Option<PartitionId> {
    let (database, ordinal) = name.split_once('_')?;
    let id = PartitionId::of(weald_types::DatabaseId::new(database.parse().ok()?), ordinal.parse().ok()?);
    (partition_dir(id) == name).then_some(id)
}

fn write_format(env: &Env, path: &Path) -> Result<(), Error> {
    let text = format!("{FIRST_LINE}\nversion {VERSION}\n");
    env.disk.write_atomically(path, text.as_bytes()).map_err(Error::io("cannot write", path))
}

/// Which of the versions that we know.
fn check_format(bytes: &[u8], path: &Path) -> Result<u32, Error> {
    let foreign = || Error::Foreign { file: path.to_owned(), what: "it does not say that this is a data directory" };
    let mut lines = std::str::from_utf8(bytes).map_err(|_| foreign())?.lines();
    if lines.next() != Some(FIRST_LINE) {
        return Err(foreign());
    }
    let version: u32 = lines.next().and_then(|l| l.strip_prefix("version ")).and_then(|v| v.parse().ok()).ok_or_else(foreign)?;
    match version {
        WITH_OLD_CATALOGUE | VERSION => Ok(version),
        found => Err(Error::Newer { file: path.to_owned(), found, known: VERSION }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directory_is_taken_once_and_a_newer_one_is_refused() {
        let env = Env::simulated(1);
        let root = Path::new("/data");
        let taken = DataDir::open(&env, root).unwrap();
        assert!(taken.is_fresh());
        assert!(matches!(DataDir::open(&env, root), Err(Error::Locked { .. })));
        drop(taken);
        assert!(!DataDir::open(&env, root).unwrap().is_fresh());
        let now = env.disk.read(&root.join("FORMAT")).unwrap();
        env.disk.write_atomically(&root.join("FORMAT"), b"weald data directory\nversion 1\n").unwrap();
        assert!(!DataDir::open(&env, root).unwrap().is_fresh());
        assert_eq!(env.disk.read(&root.join("FORMAT")).unwrap(), now, "an older release would find an older catalogue");
        env.disk.write_atomically(&root.join("FORMAT"), b"weald data directory\nversion 7\n").unwrap();
        let error = DataDir::open(&env, root).unwrap_err();
        assert!(error.to_string().contains("newer release"), "{error}");
        env.disk.remove(&root.join("FORMAT")).unwrap();
        assert!(matches!(DataDir::open(&env, root), Err(Error::Missing { .. })));
    }

    #[test]
    fn a_directory_of_somebody_elses_is_left_alone() {
        let env = Env::simulated(1);
        let root = Path::new("/home/me");
        env.disk.create_dir_all(&root.join("documents")).unwrap();
        let error = DataDir::open(&env, root).unwrap_err();
        assert!(error.to_string().contains("documents"), "{error}");
        assert!(!env.disk.exists(&root.join("FORMAT")));
        // A new volume, prepared for us.
        let root = Path::new("/mnt");
        for prepared in ["lost+found", ".hidden"] {
            env.disk.create_dir_all(&root.join(prepared)).unwrap();
        }
        for prepared in ["server-cert.pem", "weald.toml"] {
            env.disk.write_atomically(&root.join(prepared), b"x").unwrap();
        }
        assert!(DataDir::open(&env, root).unwrap().is_fresh());
    }

    #[test]
    fn partition_directories_are_told_by_their_names() {
        let id = PartitionId::of(weald_types::DatabaseId::new(7), 12);
        assert_eq!(partition_dir(id), "7_12");
        assert_eq!(partition_of_dir("7_12"), Some(id));
        assert_eq!(partition_of_dir("7_012"), None);
        assert_eq!(partition_of_dir("lost+found"), None);
    }
}
