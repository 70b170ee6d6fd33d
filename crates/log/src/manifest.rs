//! Which snapshots of a partition count.
//!
//! Owns:     nothing; a value, and its text.
//! Promises: replaced whole or not at all. A snapshot file that no manifest names does not count.
//! Never:    names a file that is not whole and synced.
//! See:      docs/format/snapshot.md.

use crate::Error;
use std::fmt::Write as _;
use std::path::Path;
use weald_env::Env;
use weald_types::{Lsn, PartitionId};

const VERSION: u32 = 1;
const FIRST_WORDS: &str = "weald manifest ";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotEntry {
    pub file: String,
    /// The snapshot holds the records up to this.
    pub lsn: Lsn,
    pub items: u64,
    pub bytes: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    pub partition: PartitionId,
    /// Oldest first.
    pub snapshots: Vec<SnapshotEntry>,
}

impl Manifest {
    /// The manifest at `path`, or one without snapshots if there is none.
    pub fn read(env: &Env, path: &Path, partition: PartitionId) -> Result<Self, Error> {
        if !env.disk.exists(path) {
            return Ok(Self { partition, snapshots: Vec::new() });
        }
        let bytes = env.disk.read(path).map_err(Error::io("cannot read", path))?;
        let manifest = Self::decode(&bytes, path)?;
        if manifest.partition != partition {
            return Err(Error::Foreign { file: path.to_owned(), what: "it is the manifest of another partition" });
        }
        Ok(manifest)
    }

    pub fn write(&self, env: &Env, path: &Path) -> Result<(), Error> {
        env.disk.write_atomically(path, self.encode().as_bytes()).map_err(Error::io("cannot write", path))
    }

    fn encode(&self) -> String {
        let mut text = format!("{FIRST_WORDS}{VERSION}\npartition {}\n", self.partition);
        for s in &self.snapshots {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "snapshot {} lsn {} items {} bytes {}", s.file, s.lsn, s.items, s.bytes);
        }
        let crc = crc32fast::hash(text.as_bytes());
        let _ = writeln!(text, "crc {crc:08x}");
        text
    }

    fn decode(bytes: &[u8], path: &Path) -> Result<Self, Error> {
        let corrupt = |what, expected, actual| Error::Corrupt { file: path.to_owned(), offset: 0, what, expected, actual };
        let shape = || corrupt("a manifest", 0, 0);
        let text = std::str::from_utf8(bytes).map_err(|_| shape())?;
        let body_len = text.rfind("crc ").ok_or_else(shape)?;
        let (body, seal) = text.split_at(body_len);
        let expected = seal.strip_prefix("crc ").and_then(|s| s.strip_suffix('\n')).ok_or_else(shape)?;
        let actual = crc32fast::hash(body.as_bytes());
        if expected != format!("{actual:08x}") {
            return Err(corrupt("a manifest", u32::from_str_radix(expected, 16).unwrap_or(0), actual));
        }
        let mut lines = body.lines();
        let version = lines.next().and_then(|l| l.strip_prefix(FIRST_WORDS)).and_then(|v| v.parse::<u32>().ok()).ok_or_else(shape)?;
        if version != VERSION {
            return Err(Error::Newer { file: path.to_owned(), found: version, known: VERSION });
        }
        let partition = lines.next().and_then(|l| l.strip_prefix("partition ")).and_then(|v| v.parse().ok()).ok_or_else(shape)?;
        let snapshots = lines.map(|l| entry(l).ok_or_else(shape)).collect::<Result<_, _>>()?;
        Ok(Self { partition: PartitionId::new(partition), snapshots })
    }
}

fn entry(line: &str) -> Option<SnapshotEntry> {
    let mut words = line.split(' ');
    let mut value = |name| (words.next() == Some(name)).then(|| words.next()).flatten();
    let file = value("snapshot")?.to_owned();
    let lsn = Lsn::new(value("lsn")?.parse().ok()?);
    let items = value("items")?.parse().ok()?;
    let bytes = value("bytes")?.parse().ok()?;
    Some(SnapshotEntry { file, lsn, items, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_comes_back_and_every_flipped_bit_is_seen() {
        let entry = |n: u64| SnapshotEntry { file: format!("{n:020}.wsnap"), lsn: Lsn::new(n), items: n * 2, bytes: n * 100 };
        let manifest = Manifest { partition: PartitionId::new(77), snapshots: vec![entry(3), entry(9)] };
        let text = manifest.encode();
        let path = Path::new("MANIFEST");
        assert_eq!(Manifest::decode(text.as_bytes(), path).unwrap(), manifest);
        for at in 0..text.len() {
            for bit in 0..8 {
                let mut bytes = text.clone().into_bytes();
                bytes[at] ^= 1 << bit;
                assert!(Manifest::decode(&bytes, path).is_err(), "byte {at} bit {bit}");
            }
        }
    }
}
