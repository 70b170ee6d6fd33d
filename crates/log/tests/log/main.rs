//! The log on a disk that forgets, tears, fills up, fails and rots.
//!
//! Owns:     nothing.
//! Promises: no sleeping, no ports; the disk is `weald_env::sim`, except where threads race for a real one.
//! Never:    looks inside the crate: everything goes through its public interface.

#![allow(clippy::unwrap_used)]

mod corruption;
mod crash;
mod full_and_failed;
mod group_commit;
mod meta;
mod old_bytes;
mod snapshots;
mod world;
