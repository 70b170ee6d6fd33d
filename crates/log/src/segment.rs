//! Segment files: made, put to use, recycled.
//!
//! Owns:     the names in the log's directory and the spare files.
//! Promises: a name `NNNNNNNN.wlog` exists only for a file whose header is whole and synced, and numbers have no gap, whatever moment power fails:
//!           a new segment is written under another name and renamed; retired ones go oldest first, one synced rename each.
//! Never:    writes a batch.

use crate::format::{BATCH_HEADER, SEGMENT_HEADER, SegmentHeader, align};
use crate::{Error, Options};
use parking_lot::Mutex;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use weald_env::{Env, File, OpenMode};

/// A segment that batches are written to.
pub(crate) struct Segment {
    pub number: u64,
    pub salt: u64,
    pub path: PathBuf,
    pub file: Arc<dyn File>,
    pub len: u64,
    /// Where the next batch goes.
    pub end: u64,
}

pub(crate) struct Segments {
    env: Env,
    dir: PathBuf,
    options: Options,
    /// Held over IO: only the flusher, the preparer and a trim take it, and each needs the other's file operation to be over anyway.
    inner: Mutex<Inner>,
}

struct Inner {
    /// The number of the newest segment, `ready` included.
    newest: u64,
    ready: Option<Segment>,
    spares: Vec<Spare>,
}

/// By how much the next try is smaller, when a segment finds no room.
const SMALLER: u64 = 4;

struct Spare {
    path: PathBuf,
    len: u64,
}

pub(crate) fn file_name(number: u64) -> String {
    format!("{number:08}.wlog")
}

pub(crate) fn number_of(name: &str) -> Option<u64> {
    name.strip_suffix(".wlog")?.parse().ok()
}

impl Segments {
    /// `newest` is the number of the last segment that is in use; later ones have been retired.
    pub fn new(env: Env, dir: PathBuf, options: Options, newest: u64) -> Result<Self, Error> {
        let mut spares = Vec::new();
        let mut removed = false;
        for entry in env.disk.list(&dir).map_err(Error::io("cannot list", &dir))? {
            let path = dir.join(&entry.name);
            if entry.name.ends_with(".spare") && entry.len >= options.segment_bytes && spares.len() < options.spare_segments {
                spares.push(Spare { path, len: entry.len });
            } else if entry.name.ends_with(".spare") || entry.name.ends_with(".new") {
                env.disk.remove(&path).map_err(Error::io("cannot remove", &path))?;
                removed = true;
            }
        }
        if removed {
            // The name will be used again, and a rename of the new file must not find the old one.
            env.disk.sync_dir(&dir).map_err(Error::io("cannot sync", &dir))?;
        }
        Ok(Self { env, dir, options, inner: Mutex::new(Inner { newest, ready: None, spares }) })
    }

    /// For measuring how long things take.
    pub fn now(&self) -> std::time::Duration {
        self.env.clock.now()
    }

    pub fn path(&self, number: u64) -> PathBuf {
        self.dir.join(file_name(number))
    }

    /// The next segment, with room for a batch of `batch` bytes (header included).
    pub fn next(&self, batch: u64) -> Result<Segment, Error> {
        let mut inner = self.inner.lock();
        if let Some(ready) = &inner.ready {
            let (number, len) = (ready.number, ready.len);
            if ready.end + batch <= len {
                return Ok(inner.ready.take().expect("it was there just now"));
            }
            // The batch is larger than an ordinary segment. The one made ahead has nothing in it and gives its number to a larger one. If it cannot be
            // moved away, it stays ready: a number that is skipped would look like a segment that is lost.
            self.move_away(&mut inner, number, len)?;
            inner.ready = None;
            inner.newest -= 1;
            self.sync_names()?;
        }
        self.make(&mut inner, batch)
    }

    /// Makes the next segment now, so that the flusher finds it ready. A failure is left for the flusher to meet when it needs the segment.
    pub fn prepare(&self) {
        let mut inner = self.inner.lock();
        if inner.ready.is_some() {
            return;
        }
        match self.make(&mut inner, 0) {
            Ok(segment) => inner.ready = Some(segment),
            Err(error) => tracing::warn!(%error, "the next segment of the log could not be prepared"),
        }
    }

    /// Takes a segment out of the log: its records are in snapshots.
    pub fn retire(&self, number: u64, len: u64) -> Result<(), Error> {
        let mut inner = self.inner.lock();
        // The rename is synced before anything else happens: the file's next header must never be found under its old name, and a younger segment
        // must not vanish before an older one.
        self.move_away(&mut inner, number, len)?;
        self.sync_names()
    }

    /// Segments after `newest` have been retired: their numbers are given again.
    pub fn step_back(&self, newest: u64) {
        self.inner.lock().newest = newest;
    }

    fn make(&self, inner: &mut Inner, batch: u64) -> Result<Segment, Error> {
        let number = inner.newest + 1;
        let least = align(SEGMENT_HEADER + batch.max(BATCH_HEADER as u64));
        let wanted = self.options.segment_bytes.max(least);
        let spare = inner.spares.iter().position(|s| s.len >= wanted).map(|i| inner.spares.swap_remove(i));
        let temporary = match &spare {
            Some(spare) => spare.path.clone(),
            None => self.dir.join(format!("{number:08}.new")),
        };
        let mut len = spare.as_ref().map_or(wanted, |s| s.len);
        loop {
            let error = match self.fill(number, &temporary, len) {
                Ok(segment) => {
                    inner.newest = number;
                    return Ok(segment);
                }
                Err(error) => error,
            };
            // Whatever stands there is not part of the log; giving its room back matters when the disk is full.
            // The removal is synced because the name will be used again.
            if let Err(remove) = self.env.disk.remove(&temporary).and_then(|()| self.env.disk.sync_dir(&self.dir)) {
                tracing::debug!(error = %remove, file = %temporary.display(), "left behind");
                return Err(error);
            }
            // Where a whole segment finds no room a smaller one may: the disk is not full before a batch finds none.
            if !matches!(error, Error::DiskFull { .. }) || len <= least {
                return Err(error);
            }
            len = align(len / SMALLER).max(least);
        }
    }

    fn fill(&self, number: u64, temporary: &Path, len: u64) -> Result<Segment, Error> {
        let file = self.env.disk.open(temporary, OpenMode::Create).map_err(Error::io("cannot create", temporary))?;
        file.allocate(len).map_err(Error::io("cannot allocate", temporary))?;
        let header = SegmentHeader { number, salt: self.env.random.next_u64(), len };
        file.write_all_at(&header.encode(), 0).map_err(Error::io("cannot write", temporary))?;
        file.sync_data().map_err(Error::io("cannot sync", temporary))?;
        let path = self.path(number);
        self.env.disk.rename(temporary, &path).map_err(Error::io("cannot rename", temporary))?;
        self.env.disk.sync_dir(&self.dir).map_err(Error::io("cannot sync", &self.dir))?;
        Ok(Segment { number, salt: header.salt, path, file, len, end: SEGMENT_HEADER })
    }

    /// The file is no segment any more, but a spare, or gone. Call [`Segments::sync_names`] before anything else.
    fn move_away(&self, inner: &mut Inner, number: u64, len: u64) -> Result<(), Error> {
        let path = self.path(number);
        let keep = inner.spares.len() < self.options.spare_segments && len == self.options.segment_bytes;
        if keep {
            let spare = self.dir.join(format!("{number:08}.spare"));
            self.env.disk.rename(&path, &spare).map_err(Error::io("cannot rename", &path))?;
            inner.spares.push(Spare { path: spare, len });
        } else {
            self.env.disk.remove(&path).map_err(Error::io("cannot remove", &path))?;
        }
        Ok(())
    }

    fn sync_names(&self) -> Result<(), Error> {
        self.env.disk.sync_dir(&self.dir).map_err(Error::io("cannot sync", &self.dir))
    }
}
