//! The column cache: whole tables as Arrow arrays, kept from one analytic query to the next.
//!
//! Owns:     the images, and the count of what they take.
//! Promises: a query that reads an image finds exactly the rows that it would find in the table; the cache never takes more than its limit for longer than
//!           it takes to notice, and gives way to rows and statements when the node is short of memory.
//! Never:    is needed for an answer: whatever is not here is read from the rows.
//! See:      docs/design/0009-column-cache.md; `weald_rowstore::edition` for why two readers see the same.
//!
//! # What an image is, and who may read it
//!
//! An [`Image`] belongs to one table under one definition in one partition, at one *edition*: the state after its last commit. The table itself says which
//! edition a snapshot sees ([`weald_partition::Table::edition`]), and says nothing to a snapshot that sees anything else: an older state, its own
//! uncommitted changes, or a state that a writer is changing at this moment. So
//!
//! 1. whoever fills a column of an image, and whoever reads it, was told the same edition, and sees the same rows for as long as its snapshot is open;
//! 2. an image's edition never changes. A commit makes another edition; the next reader that is told of it puts a new, empty image in the place of the old
//!    one. Readers of the old one go on: it is still what their snapshots see;
//! 3. an image names its table by the address of the opened table (kept from being reused by a weak reference). A new definition, a truncated table, a table
//!    that took another's name are other tables.
//!
//! Rows stand in the order of their keys, cut into *segments* by key ranges that are chosen once for an image. So a column that is filled by a later query
//! lines up with those filled before: same rows, same order. That the number of rows agrees is checked at each filling.
//!
//! A table that changed a moment ago will change again soon: its rows are read as they are, until it has been quiet for a while (`column_cache_quiet_time`).

mod fill;
mod image;
mod read;

pub use fill::weights;
pub use image::{ColumnKey, Image, Segment};
pub use read::{SegmentColumns, ShareColumns, TableColumns, Wanted};

use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::Duration;
use weald_partition::{NodeMemory, Snapshot, Table};
use weald_types::{PartitionId, TableId};

/// Rows of a segment, about: small enough to be shared out among threads, large enough to cost little each.
const SEGMENT_ROWS: u64 = 1 << 16;

#[derive(Debug)]
pub struct ColumnCache {
    memory: Arc<NodeMemory>,
    limit: AtomicU64,
    /// How long a table must not have changed before it is worth an image.
    quiet_micros: AtomicU64,
    images: Mutex<HashMap<(PartitionId, TableId), Arc<Image>>>,
    bytes: AtomicI64,
    /// Counts uses of columns; says which was used longest ago.
    uses: AtomicU64,
    pub figures: Figures,
}

/// What came of the cache since the node started.
#[derive(Debug, Default)]
pub struct Figures {
    /// Columns of segments that a query found.
    pub hits: AtomicU64,
    /// Columns of segments that had to be made from rows.
    pub fills: AtomicU64,
    /// Columns given up for room.
    pub evictions: AtomicU64,
}

impl ColumnCache {
    /// One for a node: it gives back what it holds when `memory` asks for it.
    pub fn new(memory: Arc<NodeMemory>) -> Arc<Self> {
        let cache = Arc::new(Self {
            memory: memory.clone(),
            limit: AtomicU64::new(u64::MAX),
            quiet_micros: AtomicU64::new(0),
            images: Mutex::default(),
            bytes: AtomicI64::new(0),
            uses: AtomicU64::new(0),
            figures: Figures::default(),
        });
        let of_memory: Weak<Self> = Arc::downgrade(&cache);
        memory.set_reclaim(move |wanted| of_memory.upgrade().map_or(0, |cache| cache.give_back(wanted)));
        cache
    }

    /// What columns take now.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed).max(0) as u64
    }
    pub fn limit(&self) -> u64 {
        self.limit.load(Relaxed)
    }
    /// 0: nothing is kept.
    pub fn set_limit(&self, bytes: u64) {
        self.limit.store(bytes, Relaxed);
        self.shrink_to(bytes);
    }

    pub fn set_quiet_time(&self, time: Duration) {
        self.quiet_micros.store(u64::try_from(time.as_micros()).unwrap_or(u64::MAX), Relaxed);
    }

    /// The image of what `snapshot` sees of `table`. `None`: it is to be read from the rows.
    pub fn image(&self, partition: PartitionId, table: &Arc<Table>, snapshot: &Snapshot) -> Option<Arc<Image>> {
        if self.limit() == 0 {
            return None;
        }
        let edition = table.edition(snapshot.view())?;
        let place = (partition, table.id());
        if let Some(image) = self.images.lock().get(&place).filter(|i| i.is_of(table, edition)) {
            return Some(image.clone());
        }
        if snapshot.at().micros().saturating_sub(edition.last_change().micros()) < self.quiet_micros.load(Relaxed) {
            return None;
        }
        let parts = (table.row_count().div_ceil(SEGMENT_ROWS)).clamp(1, 1 << 10) as usize;
        let new = Arc::new(Image::new(place, table, edition, table.split(parts)));
        let (image, gone) = {
            let mut images = self.images.lock();
            match images.get(&place).filter(|i| i.is_of(table, edition)) {
                // Somebody else was as quick.
                Some(image) => (image.clone(), None),
                None => (new.clone(), images.insert(place, new)),
            }
        };
        if let Some(gone) = gone {
            self.count(-(gone.detach() as i64));
        }
        Some(image)
    }

    /// Whether there is room for `bytes` more, if need be in the place of others.
    pub(crate) fn has_room_for(&self, bytes: u64) -> bool {
        let most = self.memory.limit();
        bytes <= self.limit() && (most == u64::MAX || self.memory.estimate().saturating_add(bytes) <= most - most / 8)
    }

    fn count(&self, bytes: i64) {
        self.bytes.fetch_add(bytes, Relaxed);
        self.memory.add_kept(bytes);
    }

    /// Columns of a segment were found.
    pub(crate) fn note_hits(&self, image: &Image, keys: &[ColumnKey]) {
        self.figures.hits.fetch_add(keys.len() as u64, Relaxed);
        image.note_use(keys, self.uses.fetch_add(1, Relaxed) + 1);
    }

    /// Keeps a column that was made for `image`, if that is still an image of this cache.
    pub(crate) fn keep(&self, image: &Image, segment: usize, key: ColumnKey, array: arrow::array::ArrayRef) {
        self.figures.fills.fetch_add(1, Relaxed);
        let added = image.keep(segment, key, array, self.uses.fetch_add(1, Relaxed) + 1);
        self.count(added as i64);
        if self.bytes() > self.limit() {
            self.shrink_to(self.limit());
        }
    }

    fn shrink_to(&self, most: u64) {
        let over = self.bytes().saturating_sub(most);
        if over > 0 {
            self.give_back(over);
        }
    }

    /// Forgets the images of tables that are no more. To be called now and then.
    pub fn sweep(&self) {
        let mut images = self.images.lock();
        let freed = forget_dropped(&mut images);
        drop(images);
        self.count(-(freed as i64));
    }

    /// Gives up columns, those of dropped tables first, then those used longest ago, until `wanted` bytes are free or nothing is left. Says how many it was.
    pub fn give_back(&self, wanted: u64) -> u64 {
        let mut images = self.images.lock();
        let mut freed = forget_dropped(&mut images);
        if freed < wanted {
            let mut columns: Vec<(u64, Arc<Image>, ColumnKey)> =
                images.values().flat_map(|i| i.uses().into_iter().map(|(key, used)| (used, i.clone(), key))).collect();
            columns.sort_unstable_by_key(|c| c.0);
            for (_, image, key) in columns {
                if freed >= wanted {
                    break;
                }
                freed += image.forget(key);
                self.figures.evictions.fetch_add(1, Relaxed);
            }
        }
        drop(images);
        self.count(-(freed as i64));
        freed
    }
}

/// Gives the bytes that were counted for images whose tables are no more.
fn forget_dropped(images: &mut HashMap<(PartitionId, TableId), Arc<Image>>) -> u64 {
    let mut freed = 0;
    images.retain(|_, image| {
        let kept = image.has_table();
        if !kept {
            freed += image.detach();
        }
        kept
    });
    freed
}
