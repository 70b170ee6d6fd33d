//! What this node has promised, and to whom it belongs: the file `meta/group`, and the directory of each generation.
//!
//! A generation's journal lives in `meta/g<generation>`. Another one begins by being written whole in a directory of its own; the moment at which it counts
//! is the replacement of the file `meta/group`. A crash before that leaves a directory that the next opening removes; after it, the node is in
//! the new generation. The generation before is left where it is, for whoever wants to examine what was given up; older ones go.
//!
//! Owns:     the file `meta/group`, the names of directories in `meta/`.
//! Promises: a promise is durable before anyone hears of it, and never becomes lower.
//! Never:    reads a journal.
//! See:      docs/format/metadata-group.md.

use crate::Error;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};
use weald_env::{DirEntry, Env};
use weald_types::{ClusterId, Generation, NodeId};

const MAGIC: &[u8; 8] = b"WEALDGRP";
const VERSION: u8 = 1;

/// What the file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Belonging {
    pub cluster: ClusterId,
    pub me: NodeId,
    pub generation: Generation,
    /// At least `generation`: nothing below it is answered any more.
    pub promised: Generation,
}

pub struct Ground {
    env: Env,
    meta: PathBuf,
    pub belongs: Belonging,
}

impl Ground {
    /// None: the node belongs to no group.
    pub fn open(env: &Env, meta: &Path) -> Result<Option<Self>, Error> {
        let file = meta.join("group");
        if !env.disk.exists(&file) {
            return Ok(None);
        }
        let bytes = env.disk.read(&file).map_err(io_error(&file))?;
        let belongs = decode(&bytes, &file)?;
        let ground = Self { env: env.clone(), meta: meta.to_owned(), belongs };
        ground.clear()?;
        Ok(Some(ground))
    }

    /// The node belongs to `belongs` from now on. `fill` writes the generation's journal in the directory that it is given; without one it begins empty.
    pub fn take(env: &Env, meta: &Path, belongs: Belonging, fill: impl FnOnce(&Path) -> Result<(), Error>) -> Result<Self, Error> {
        let mut ground = Self { env: env.clone(), meta: meta.to_owned(), belongs };
        ground.renew(belongs, fill)?;
        Ok(ground)
    }

    /// As [`Ground::take`], from one generation to a higher one.
    pub fn renew(&mut self, belongs: Belonging, fill: impl FnOnce(&Path) -> Result<(), Error>) -> Result<(), Error> {
        let dir = self.directory(belongs.generation);
        // What an earlier attempt left. Its removal is synced, or some of it could come back under the new one.
        if self.env.disk.exists(&dir) {
            self.env.disk.remove_dir_all(&dir).map_err(io_error(&dir))?;
            self.env.disk.sync_dir(&self.meta).map_err(io_error(&self.meta))?;
        }
        fill(&dir)?;
        self.write(belongs)?;
        self.clear()
    }

    /// The node belongs to no group any more. The file goes first: without it the rest is nothing.
    pub fn erase(env: &Env, meta: &Path) -> Result<(), Error> {
        let file = meta.join("group");
        if env.disk.exists(&file) {
            env.disk.remove(&file).map_err(io_error(&file))?;
            env.disk.sync_dir(meta).map_err(io_error(meta))?;
        }
        for entry in env.disk.list(meta).map_err(io_error(meta))? {
            if generation_of(&entry).is_some() {
                let dir = meta.join(&entry.name);
                env.disk.remove_dir_all(&dir).map_err(io_error(&dir))?;
            }
        }
        env.disk.sync_dir(meta).map_err(io_error(meta))
    }

    pub fn promise(&mut self, generation: Generation) -> Result<(), Error> {
        if generation > self.belongs.promised {
            self.write(Belonging { promised: generation, ..self.belongs })?;
        }
        Ok(())
    }

    /// Where the current generation's journal is.
    pub fn journal(&self) -> PathBuf {
        self.directory(self.belongs.generation)
    }

    fn directory(&self, generation: Generation) -> PathBuf {
        self.meta.join(format!("g{:08}", generation.raw()))
    }

    fn write(&mut self, belongs: Belonging) -> Result<(), Error> {
        let file = self.meta.join("group");
        self.env.disk.write_atomically(&file, &encode(&belongs)).map_err(io_error(&file))?;
        self.belongs = belongs;
        Ok(())
    }

    /// Removes generations that never came to be, and those before the last.
    fn clear(&self) -> Result<(), Error> {
        let mut removed = false;
        let entries = self.env.disk.list(&self.meta).map_err(io_error(&self.meta))?;
        let current = self.belongs.generation;
        let before = entries.iter().filter_map(generation_of).filter(|g| *g < current).max();
        for entry in entries {
            let Some(generation) = generation_of(&entry) else { continue };
            if generation > current || Some(generation) < before {
                let dir = self.meta.join(&entry.name);
                self.env.disk.remove_dir_all(&dir).map_err(io_error(&dir))?;
                removed = true;
            }
        }
        if removed {
            self.env.disk.sync_dir(&self.meta).map_err(io_error(&self.meta))?;
        }
        Ok(())
    }
}

/// Whose journal a directory is.
fn generation_of(entry: &DirEntry) -> Option<Generation> {
    entry.name.strip_prefix('g').filter(|_| entry.is_dir)?.parse().ok().map(Generation::new)
}

fn encode(belongs: &Belonging) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.push(VERSION);
    let mut bytes = postcard::to_extend(belongs, bytes).expect("writing to a vector cannot fail, and our types have no custom serialisation");
    bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
    bytes
}

fn decode(bytes: &[u8], file: &Path) -> Result<Belonging, Error> {
    let broken = |reason: &str| Error::Broken { path: file.to_owned(), reason: reason.to_owned() };
    let (body, sum) = bytes.split_last_chunk::<4>().ok_or_else(|| broken("it is too short"))?;
    if crc32fast::hash(body) != u32::from_le_bytes(*sum) {
        return Err(broken("its checksum is wrong; restore it from a backup, or remove the node from the cluster and add it anew"));
    }
    let body = body.strip_prefix(MAGIC).ok_or_else(|| broken("it does not begin as it should"))?;
    match body.split_first() {
        Some((&VERSION, body)) => postcard::from_bytes(body).map_err(|e| broken(&e.to_string())),
        Some((found, _)) => Err(Error::Newer { path: file.to_owned(), found: *found, known: VERSION }),
        None => Err(broken("it is too short")),
    }
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> Error + '_ {
    move |source| Error::Io { path: path.to_owned(), source }
}
