//! Snapshots: a partition's state goes to a file, older log goes.
//!
//! Owns:     nothing; the store it is given is held for the length of the writing.
//! Promises: the old snapshot stays until the new one is whole and named in the manifest; writers go on meanwhile.
//! Never:    runs on a connection's thread.
//! See:      docs/format/snapshot.md

use crate::{Error, Held};
use std::path::Path;
use weald_env::Env;
use weald_log::Log;
use weald_types::Lsn;

pub fn take(held: &Held, log: &Log, keep: usize, runtime: &tokio::runtime::Handle) -> Result<(), Error> {
    let bytes = held.log.bytes();
    // Held over IO: snapshots of one partition are taken one after another, and nobody else waits for it.
    let mut store = held.snapshots.lock();
    // The lsn is noted first, then the state is read: see `weald_partition::snapshot`.
    let lsn = held.log.appended();
    let mut writer = store.begin(lsn)?;
    let mut noted = Lsn::ZERO;
    let rows = runtime.block_on(weald_partition::snapshot::write(&held.partition, |at| noted = at, |item| writer.item(item).map_err(Error::from)))?;
    debug_assert!(noted >= lsn, "the state is at least as new as the lsn it is filed under");
    let entry = writer.finish()?;
    store.take(entry, keep)?;
    *held.bytes_at_snapshot.lock() = bytes;
    let trimmed = log.trim(held.partition.id(), store.log_not_needed_before(keep))?;
    tracing::info!(partition = %held.partition.id(), rows, lsn = lsn.raw(), trimmed_bytes = trimmed, "snapshot taken");
    Ok(())
}

/// Files of a dropped partition.
pub fn remove_files(env: &Env, dir: &Path) {
    for file in env.disk.list(dir).unwrap_or_default() {
        if let Err(error) = env.disk.remove(&dir.join(&file.name)) {
            tracing::warn!(%error, file = %file.name, "a snapshot of a dropped partition could not be removed");
        }
    }
}
