//! Reading a table through its images.
//!
//! Owns:     the images that one scan reads, and the snapshot it fills them at.
//! Promises: every row of the table as the snapshot sees it, once; columns that are not there yet are made, and kept where there is room.
//! Never:    holds the cache's lock while it reads rows.

use super::fill::{ColumnBuilder, weights};
use super::{ColumnCache, ColumnKey, Image};
use crate::analytic::{BATCH_ROWS, RowCursor};
use crate::source::ShareCursor;
use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use weald_expr::StatementContext;
use weald_partition::{Snapshot, StoredRow, Table, TableSchema};
use weald_types::Fault;

/// A column that a scan reads. `to`: what carries the column of the table itself, also where its weight is wanted.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub key: ColumnKey,
    pub to: DataType,
}

/// A table's images, for one scan.
#[derive(Clone, Debug)]
pub struct TableColumns {
    pub(crate) cache: Arc<ColumnCache>,
    pub(crate) parts: Arc<[(Arc<Table>, Arc<Image>)]>,
    pub(crate) snapshot: Snapshot,
    pub(crate) wanted: Arc<[Wanted]>,
}

/// Columns of one segment, in the order in which they were asked for.
#[derive(Debug)]
pub struct SegmentColumns {
    pub arrays: Vec<ArrayRef>,
    pub rows: usize,
}

impl TableColumns {
    pub fn segments(&self) -> usize {
        self.parts.iter().map(|(_, image)| image.segments().len()).sum()
    }
    /// Whether nothing has to be made.
    pub fn is_complete(&self) -> bool {
        self.parts.iter().flat_map(|(_, image)| image.segments()).all(|s| s.rows().is_some() && self.wanted.iter().all(|w| s.column(w.key).is_some()))
    }
    /// About what making the rest will take.
    pub(crate) fn missing_bytes(&self) -> u64 {
        let width = |w: &Wanted| match (&w.to, w.key.weight) {
            (_, Some(_)) | (DataType::LargeUtf8 | DataType::LargeBinary, _) => 32,
            (to, None) => to.primitive_width().unwrap_or(16) as u64,
        };
        let mut bytes = 0;
        for (table, image) in self.parts.iter() {
            let each = table.row_count() / image.segments().len().max(1) as u64;
            for s in image.segments() {
                bytes += self.wanted.iter().filter(|w| s.column(w.key).is_none()).map(|w| width(w) * each).sum::<u64>();
            }
        }
        bytes
    }
    /// One of `shares` about equal shares.
    pub fn share(&self, share: usize, shares: usize, statement: Arc<StatementContext>) -> ShareColumns {
        let all = self.parts.iter().flat_map(|(table, image)| (0..image.segments().len()).map(move |s| (table, image, s)));
        let parts = all.skip(share).step_by(shares.max(1)).map(|(t, i, s)| (t.clone(), i.clone(), s)).collect();
        ShareColumns { cache: self.cache.clone(), parts, snapshot: self.snapshot.clone(), statement, wanted: self.wanted.clone() }
    }
}

/// A position in one share.
pub struct ShareColumns {
    cache: Arc<ColumnCache>,
    parts: VecDeque<(Arc<Table>, Arc<Image>, usize)>,
    snapshot: Snapshot,
    statement: Arc<StatementContext>,
    wanted: Arc<[Wanted]>,
}

impl ShareColumns {
    /// The next segment; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<SegmentColumns>, Fault> {
        let Some((table, image, at)) = self.parts.pop_front() else { return Ok(None) };
        let segment = &image.segments()[at];
        let mut arrays: Vec<Option<ArrayRef>> = self.wanted.iter().map(|w| segment.column(w.key)).collect();
        let found: Vec<ColumnKey> = self.wanted.iter().zip(&arrays).filter(|(_, a)| a.is_some()).map(|(w, _)| w.key).collect();
        self.cache.note_hits(&image, &found);
        if let (Some(rows), true) = (segment.rows(), found.len() == self.wanted.len()) {
            self.statement.cost.rows_examined.fetch_add(rows as u64, Relaxed);
            return Ok(Some(SegmentColumns { arrays: arrays.into_iter().flatten().collect(), rows }));
        }
        // Of what has to be made: which columns of the table must be read for it.
        let mut read: Vec<(ColumnKey, DataType, Option<ArrayRef>)> = Vec::new();
        for (w, array) in self.wanted.iter().zip(&arrays) {
            let own = ColumnKey { weight: None, ..w.key };
            if array.is_none() && !read.iter().any(|r| r.0 == own) {
                read.push((own, w.to.clone(), segment.column(own)));
            }
        }
        let mut builders = Vec::new();
        for (key, to, known) in &read {
            if known.is_none() {
                let rows = segment.rows().unwrap_or(super::SEGMENT_ROWS as usize);
                builders.push(ColumnBuilder::new(*key, to, rows).ok_or(Fault::Internal { incident: "a scanned column has no carrier".into() })?);
            }
        }
        if !builders.is_empty() || segment.rows().is_none() {
            let mut cursor = ShareCursor::of(table.clone(), segment.range.clone(), self.snapshot.clone(), self.statement.clone());
            let mut count = 0;
            let mut take = |schema: &TableSchema, rows: &[StoredRow<'_>]| {
                count += rows.len();
                builders.iter_mut().try_for_each(|b| b.push(schema, rows))
            };
            while cursor.next(BATCH_ROWS, &mut take).await? > 0 {
                // Segments are many rows: others want the thread, too.
                tokio::task::yield_now().await;
            }
            segment.set_rows(count);
            let mut made = builders.iter_mut().map(ColumnBuilder::finish);
            for r in read.iter_mut().filter(|r| r.2.is_none()) {
                r.2 = made.next();
            }
        }
        for (w, array) in self.wanted.iter().zip(&mut arrays).filter(|(_, a)| a.is_none()) {
            let own = ColumnKey { weight: None, ..w.key };
            let values = read.iter().find(|r| r.0 == own).and_then(|r| r.2.clone());
            let values = values.ok_or(Fault::Internal { incident: "a column was not read".into() })?;
            let made = match w.key.weight {
                None => values,
                Some(collation) => weights(&values, collation),
            };
            self.cache.keep(&image, at, w.key, made.clone());
            *array = Some(made);
        }
        let rows = segment.rows().unwrap_or(0);
        Ok(Some(SegmentColumns { arrays: arrays.into_iter().flatten().collect(), rows }))
    }
}
