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
    pub executions: AtomicU64,
    /// Microseconds since 1970.
    pub last_executed: AtomicU64,
}

pub struct PlanCache {
    plans: Cache<Key, Arc<Entry>>,
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
        Self { plans: Cache::new(CAPACITY), next: AtomicU64::new(1), keys: Mutex::default() }
    }
}

impl PlanCache {
    /// A plan made under this very catalogue.
    pub fn get(&self, key: &KeyRef<'_>, catalog_version: u64) -> Option<Arc<Entry>> {
        self.plans.get(key).filter(|e| e.catalog_version == catalog_version)
    }

    pub fn put(&self, key: Key, catalog_version: u64, plan: Cached) -> Arc<Entry> {
        let entry = Arc::new(Entry {
            id: self.next.fetch_add(1, Ordering::Relaxed),
            catalog_version,
            plan,
            executions: AtomicU64::new(0),
            last_executed: AtomicU64::new(0),
        });
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
