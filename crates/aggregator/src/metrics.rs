//! What is counted of statements, for /metrics, SHOW STATUS and whoever asks how the server does.
//!
//! Owns:     counters and histograms.
//! Promises: counting a statement costs a few additions to memory that its core has mostly for itself; a reader may see a sum that misses the last few.
//! Never:    allocates, locks, or names anything of a statement but its kind.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

/// Threads count in different places, so that cores do not take each other's cache lines away.
const SHARDS: usize = 8;

thread_local! {
    static SHARD: usize = {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        NEXT.fetch_add(1, Relaxed) % SHARDS
    };
}

fn shard() -> usize {
    SHARD.with(|s| *s)
}

#[derive(Debug, Default)]
#[repr(align(64))]
struct Padded(AtomicU64);

/// A number that many threads add to.
#[derive(Debug, Default)]
pub struct Counter([Padded; SHARDS]);

impl Counter {
    pub fn add(&self, n: u64) {
        self.0[shard()].0.fetch_add(n, Relaxed);
    }
    pub fn value(&self) -> u64 {
        self.0.iter().map(|p| p.0.load(Relaxed)).sum()
    }
}

const BUCKETS: usize = 16;

#[derive(Debug, Default)]
#[repr(align(64))]
struct Shard {
    buckets: [AtomicU64; BUCKETS + 1],
    micros: AtomicU64,
}

/// How long things took.
#[derive(Debug, Default)]
pub struct Histogram([Shard; SHARDS]);

/// A histogram as it stood at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// By [`Histogram::BOUNDS_MICROS`], not cumulated; the last is for what took longer than all.
    pub buckets: [u64; BUCKETS + 1],
    pub total: Duration,
}

impl Seen {
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

impl Histogram {
    pub const BOUNDS_MICROS: [u64; BUCKETS] =
        [20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000, 500_000, 1_000_000, 5_000_000, 30_000_000];

    pub fn add(&self, micros: u64) {
        let at = Self::BOUNDS_MICROS.iter().position(|b| micros <= *b).unwrap_or(BUCKETS);
        let shard = &self.0[shard()];
        shard.buckets[at].fetch_add(1, Relaxed);
        shard.micros.fetch_add(micros, Relaxed);
    }

    pub fn seen(&self) -> Seen {
        let mut seen = Seen::default();
        for shard in &self.0 {
            for (sum, n) in seen.buckets.iter_mut().zip(&shard.buckets) {
                *sum += n.load(Relaxed);
            }
            seen.total += Duration::from_micros(shard.micros.load(Relaxed));
        }
        seen
    }
}

/// As far as they are told apart when they are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Select,
    Insert,
    Update,
    Delete,
    Load,
    Begin,
    Commit,
    Rollback,
    Define,
    Set,
    Show,
    Other,
}

impl Kind {
    pub const ALL: [Kind; 12] = [
        Kind::Select,
        Kind::Insert,
        Kind::Update,
        Kind::Delete,
        Kind::Load,
        Kind::Begin,
        Kind::Commit,
        Kind::Rollback,
        Kind::Define,
        Kind::Set,
        Kind::Show,
        Kind::Other,
    ];
    pub fn name(self) -> &'static str {
        match self {
            Kind::Select => "select",
            Kind::Insert => "insert",
            Kind::Update => "update",
            Kind::Delete => "delete",
            Kind::Load => "load",
            Kind::Begin => "begin",
            Kind::Commit => "commit",
            Kind::Rollback => "rollback",
            Kind::Define => "define",
            Kind::Set => "set",
            Kind::Show => "show",
            Kind::Other => "other",
        }
    }
}

impl Kind {
    /// MySQL's name for how often such statements were run, where it has one.
    pub fn command(self) -> Option<&'static str> {
        match self {
            Kind::Select => Some("Com_select"),
            Kind::Insert => Some("Com_insert"),
            Kind::Update => Some("Com_update"),
            Kind::Delete => Some("Com_delete"),
            Kind::Load => Some("Com_load"),
            Kind::Begin => Some("Com_begin"),
            Kind::Commit => Some("Com_commit"),
            Kind::Rollback => Some("Com_rollback"),
            Kind::Set => Some("Com_set_option"),
            // Many commands of MySQL's are one kind here.
            Kind::Define | Kind::Show | Kind::Other => None,
        }
    }
}

/// A server's.
#[derive(Debug, Default)]
pub struct Metrics {
    statements: [Histogram; Kind::ALL.len()],
    pub rows_sent: Counter,
    /// Transactions that wrote, and were committed; or were taken back.
    pub commits: Counter,
    pub rollbacks: Counter,
    pub plan_hits: Counter,
    pub plan_misses: Counter,
    /// Statements that were ended because the process was at maximum_memory.
    pub memory_stops: AtomicU64,
    pub max_used_connections: AtomicU64,
    pub refused_connections: AtomicU64,
    pub aborted_clients: AtomicU64,
}

impl Metrics {
    pub fn statement(&self, kind: Kind, micros: u64) {
        self.statements[kind as usize].add(micros);
    }
    pub fn statements(&self, kind: Kind) -> Seen {
        self.statements[kind as usize].seen()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_threads_count_is_all_there() {
        let m = Metrics::default();
        std::thread::scope(|s| {
            for _ in 0..4 {
                s.spawn(|| {
                    for n in 0..1000 {
                        m.statement(Kind::Select, n);
                        m.rows_sent.add(2);
                    }
                });
            }
        });
        let seen = m.statements(Kind::Select);
        assert_eq!((seen.count(), m.rows_sent.value()), (4000, 8000));
        assert_eq!(seen.total, Duration::from_micros(4 * 999 * 500));
        assert_eq!(seen.buckets[..3], [4 * 21, 4 * 30, 4 * 50]);
        assert_eq!(m.statements(Kind::Update).count(), 0);
        for (i, kind) in Kind::ALL.iter().enumerate() {
            assert_eq!(*kind as usize, i);
        }
    }
}
