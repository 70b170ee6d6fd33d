//! Plans by the normal form of a statement's text.
//!
//! Owns:     the cached fragment plans of all sessions, and how often each was used.
//! Promises: a plan is used only for the catalogue, database, sql_mode and collation it was made under; the cache is bounded.
//! Never:    decides what is worth caching beyond single-table statements: everything else is planned each time.

use parking_lot::Mutex;
use quick_cache::sync::Cache;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use weald_plan::FragmentPlan;
use weald_plan::dml::BoundInsert;
use weald_types::{Collation, SqlMode};

/// Plans kept.
const CAPACITY: usize = 4096;
/// As long as they are small: together they may take about so many bytes.
const CAPACITY_BYTES: u64 = 128 << 20;
/// A plan takes so many times as much as the text it was made from, and this for itself.
const PLAN_FACTOR: u64 = 24;
const PLAN_BYTES: u64 = CAPACITY_BYTES / CAPACITY as u64;

#[derive(Clone, Copy, Debug)]
struct Weight;
impl quick_cache::Weighter<Key, Arc<Entry>> for Weight {
    fn weight(&self, key: &Key, _: &Arc<Entry>) -> u64 {
        PLAN_BYTES + key.text.len() as u64 * PLAN_FACTOR
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    pub text: Box<[u8]>,
    pub database: Option<Arc<str>>,
    pub sql_mode: SqlMode,
    pub collation: Collation,
}

/// A [`Key`] to look up, borrowed from the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyRef<'a> {
    pub text: &'a [u8],
    pub database: Option<&'a str>,
    pub sql_mode: SqlMode,
    pub collation: Collation,
}

impl Key {
    /// Tells plans of one text apart that were made under different settings; the same over restarts.
    pub fn digest(&self) -> u64 {
        use std::hash::{Hash, Hasher};
        let mut h = std::hash::DefaultHasher::new();
        self.hash(&mut h);
        h.finish()
    }
    fn borrowed(&self) -> KeyRef<'_> {
        KeyRef { text: &self.text, database: self.database.as_deref(), sql_mode: self.sql_mode, collation: self.collation }
    }
}

impl KeyRef<'_> {
    pub fn owned(self) -> Key {
        Key { text: self.text.into(), database: self.database.map(Into::into), sql_mode: self.sql_mode, collation: self.collation }
    }
}

impl std::hash::Hash for Key {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.borrowed().hash(state)
    }
}

impl quick_cache::Equivalent<Key> for KeyRef<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        *self == key.borrowed()
    }
}

#[derive(Debug)]
pub enum Cached {
    Read(FragmentPlan),
    Change(FragmentPlan),
    Insert(BoundInsert),
    /** not for the fast path: do not try again */
    No,
}

#[derive(Debug)]
pub struct Entry {
    pub id: u64,
    pub catalog_version: u64,
    pub plan: Cached,
    pub used: Usage,
}

/// What the executions of one plan came to, all together.
#[derive(Debug, Default)]
pub struct Usage {
    pub executions: AtomicU64,
    /// Those of them that did not end in an error.
    pub commits: AtomicU64,
    /// Sent or changed.
    pub rows: AtomicU64,
    /// In microseconds, as all times here. Without the time in which the client took its rows.
    pub execution: AtomicU64,
    /// Of that: waited for a commit to be on the disk.
    pub log_flush: AtomicU64,
    /// Of that: waited for rows that others held.
    pub row_lock: AtomicU64,
    pub stream: AtomicU64,
    /// Bytes held for rows, at the end of each.
    pub memory: AtomicU64,
    /// Since 1970.
    pub last_executed: AtomicU64,
}

/// One execution's share.
#[derive(Clone, Copy, Debug, Default)]
pub struct Execution {
    pub failed: bool,
    pub ended_micros: i64,
    pub rows: u64,
    pub execution_micros: u64,
    pub log_flush_micros: u64,
    pub row_lock_micros: u64,
    pub stream_micros: u64,
    pub memory_bytes: u64,
}

impl Usage {
    pub fn count(&self, e: &Execution) {
        // Most executions wait for nothing and hold nothing worth counting: then nothing is written, which other threads would have to read again.
        let add = |to: &AtomicU64, n: u64| {
            if n > 0 {
                to.fetch_add(n, Ordering::Relaxed);
            }
        };
        add(&self.executions, 1);
        add(&self.commits, u64::from(!e.failed));
        add(&self.rows, e.rows);
        add(&self.execution, e.execution_micros);
        add(&self.log_flush, e.log_flush_micros);
        add(&self.row_lock, e.row_lock_micros);
        add(&self.stream, e.stream_micros);
        add(&self.memory, e.memory_bytes);
        self.last_executed.store(e.ended_micros.max(0) as u64, Ordering::Relaxed);
    }
}

pub struct PlanCache {
    plans: Cache<Key, Arc<Entry>, Weight>,
    next: AtomicU64,
    keys: Mutex<Vec<(Key, std::sync::Weak<Entry>)>>,
}

impl std::fmt::Debug for PlanCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PlanCache of {}", self.plans.len())
    }
}

impl Default for PlanCache {
    fn default() -> Self {
        Self { plans: Cache::with_weighter(CAPACITY, CAPACITY_BYTES, Weight), next: AtomicU64::new(1), keys: Mutex::default() }
    }
}

impl PlanCache {
    /// A plan made under this very catalogue.
    pub fn get(&self, key: &KeyRef<'_>, catalog_version: u64) -> Option<Arc<Entry>> {
        self.plans.get(key).filter(|e| e.catalog_version == catalog_version)
    }

    pub fn put(&self, key: Key, catalog_version: u64, plan: Cached) -> Arc<Entry> {
        let entry = Arc::new(Entry { id: self.next.fetch_add(1, Ordering::Relaxed), catalog_version, plan, used: Usage::default() });
        let mut keys = self.keys.lock();
        keys.retain(|(k, e)| e.strong_count() > 0 && *k != key);
        keys.push((key.clone(), Arc::downgrade(&entry)));
        drop(keys);
        self.plans.insert(key, entry.clone());
        entry
    }

    pub fn len(&self) -> usize {
        self.plans.len()
    }
    pub fn is_empty(&self) -> bool {
        self.plans.is_empty()
    }

    /// For SHOW PLANCACHE: (key, entry), in order of their ids.
    pub fn list(&self) -> Vec<(Key, Arc<Entry>)> {
        let mut all: Vec<_> =
            self.keys.lock().iter().filter_map(|(k, e)| e.upgrade().map(|e| (k.clone(), e))).filter(|(_, e)| !matches!(e.plan, Cached::No)).collect();
        all.sort_by_key(|(_, e)| e.id);
        all
    }
}
