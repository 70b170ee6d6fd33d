//! Time as the process sees it.
//!
//! Owns:     nothing.
//! Promises: `now` never goes back; `wall_micros` may, when the machine's clock is set.
//! Never:    sleeps: timers belong to the runtime, waits to the condition they wait for.

use std::time::Duration;

pub trait Clock: Send + Sync {
    /// Time since some fixed point of this process. For measuring and for deadlines.
    fn now(&self) -> Duration;
    /// Microseconds since 1970, UTC. For timestamps that others will see.
    fn wall_micros(&self) -> u64;
}
