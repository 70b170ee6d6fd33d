//! Groups of nodes in one thread: stories with a known end, and histories drawn from seeds.

#![allow(clippy::unwrap_used)]

mod generations;
mod oracle;
mod seeds;
mod stories;
mod world;
