//! Snapshots: a partition's state goes to a file, older log goes.
//!
//! Owns:     nothing; the store it is given is held for the length of the writing.
//! Promises: the old snapshot stays until the new one is whole and named in the manifest; writers go on meanwhile.
//! Never:    runs on a connection's thread.
//! See:      docs/format/snapshot.md

use crate::{Error, Held};
use std::collections::BTreeSet;
use std::path::Path;
use weald_env::Env;
use weald_log::data_dir::partition_of_dir;
use weald_log::{DataDir, Log};
use weald_types::{Lsn, PartitionId};

/// What a snapshot came to.
pub struct Taken {
    pub bytes: u64,
}

/// Nothing if the newest snapshot has everything.
pub fn take(held: &Held, log: &Log, keep: usize, runtime: &tokio::runtime::Handle) -> Result<Option<Taken>, Error> {
    let bytes = held.log.bytes();
    // Held over IO: snapshots of one partition are taken one after another, and nobody else waits for it.
    let mut store = held.snapshots.lock();
    // The lsn is noted first, then the state is read: see `weald_partition::snapshot`.
    let lsn = weald_partition::snapshot::note(&held.partition);
    if store.is_at(lsn)? {
        return Ok(None);
    }
    let mut writer = store.begin(lsn)?;
    let rows = runtime.block_on(weald_partition::snapshot::write(&held.partition, |item| writer.item(item).map_err(Error::from)))?;
    let entry = writer.finish()?;
    let taken = Taken { bytes: entry.bytes };
    store.take(entry, keep)?;
    *held.bytes_at_snapshot.lock() = bytes;
    held.live.change(|s| s.snapshot_lsn = lsn);
    let trimmed = log.trim(held.partition.id(), store.log_not_needed_before(keep))?;
    tracing::info!(partition = %held.live.name, rows, bytes = taken.bytes, lsn = lsn.raw(), trimmed_bytes = trimmed, "snapshot taken");
    Ok(Some(taken))
}

/// Lets the log forget what the snapshots hold: after a restart it knows of none yet.
pub fn trim(held: &Held, log: &Log, keep: usize) -> Result<(), Error> {
    // Somebody takes a snapshot at this moment, and trims after it.
    let Some(store) = held.snapshots.try_lock() else { return Ok(()) };
    log.trim(held.partition.id(), store.log_not_needed_before(keep))?;
    Ok(())
}

/// For a partition that alone keeps the log from getting shorter, perhaps because nobody writes to it, and whose newest snapshot has everything: the log
/// goes as far as that one allows. Until the next snapshot a damaged one cannot be made up for by the one before.
pub fn catch_up(held: &Held, log: &Log) -> Result<(), Error> {
    let upto = held.snapshots.lock().newest().map_or(Lsn::ZERO, |s| s.lsn);
    let trimmed = log.trim(held.partition.id(), upto)?;
    tracing::info!(partition = %held.live.name, lsn = upto.raw(), trimmed_bytes = trimmed, "the log was too long because of this partition");
    Ok(())
}

/// Files of a dropped partition.
pub fn remove_files(env: &Env, dir: &Path) {
    if !env.disk.exists(dir) {
        return;
    }
    if let Err(error) = env.disk.remove_dir_all(dir) {
        tracing::warn!(%error, dir = %dir.display(), "snapshots of a dropped partition could not be removed; the next start tries again");
    }
}

/// What is left of partitions that are no more: their database was dropped, and the process ended before their files were gone.
pub fn remove_leftovers(env: &Env, dir: &DataDir, known: &BTreeSet<PartitionId>) {
    for entry in env.disk.list(&dir.snapshots()).unwrap_or_default() {
        if let Some(id) = partition_of_dir(&entry.name)
            && !known.contains(&id)
        {
            tracing::info!(database = id.database().raw(), ordinal = id.ordinal(), "removing the snapshots of a partition that was dropped");
            remove_files(env, &dir.snapshots_of(id));
        }
    }
}
