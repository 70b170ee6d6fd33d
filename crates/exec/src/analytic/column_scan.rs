//! A share of a table's cached columns as a stream of batches.
//!
//! Owns:     where it stands; whether each dynamic filter still pays.
//! Promises: every row of its segments that passes the filter and may be wanted, once; batches of [`BATCH_ROWS`] rows, about, but for the last.
//! Never:    copies a column that nothing was left out of.

use super::fault_of;
use super::scan::{BATCH_ROWS, Dynamic, ScanColumns};
use super::udf::fault;
use crate::columns::{SegmentColumns, ShareColumns};
use arrow::array::{Array, ArrayRef, BooleanArray};
use arrow::buffer::BooleanBuffer;
use arrow::compute::{BatchCoalescer, filter};
use arrow::record_batch::RecordBatch;
use datafusion::common::Result;
use datafusion::physical_plan::metrics::BaselineMetrics;
use std::sync::Arc;
use weald_expr::StatementContext;

/// A dynamic filter has to have looked at so many rows before it is judged.
const JUDGED_AFTER: usize = 16 * BATCH_ROWS;

pub(super) struct ColumnScan {
    share: ShareColumns,
    columns: Arc<ScanColumns>,
    dynamic: Vec<Trial>,
    statement: Arc<StatementContext>,
    measured: BaselineMetrics,
    left: usize,
    /// The segment that is being given, and how far it has been.
    current: Option<(SegmentColumns, usize)>,
    /// Puts together what filters left of several batches.
    together: BatchCoalescer,
    /// Places, among the arrays of a segment, of what the filter reads, and of the output.
    filter_reads: Vec<usize>,
    output: Vec<usize>,
    ended: bool,
}

/// A dynamic filter, and what came of it so far.
struct Trial {
    filter: Arc<Dynamic>,
    looked_at: usize,
    passed: usize,
}

impl Trial {
    fn pays(&self) -> bool {
        self.looked_at < JUDGED_AFTER || self.passed * 10 < self.looked_at * 9
    }
}

impl ColumnScan {
    pub fn new(
        share: ShareColumns,
        columns: Arc<ScanColumns>,
        dynamic: Vec<Arc<Dynamic>>,
        limit: usize,
        statement: Arc<StatementContext>,
        measured: BaselineMetrics,
    ) -> Self {
        let places = columns.read_places();
        let place = |p: &usize| places.iter().position(|x| x == p);
        let filter_reads = columns.filter.iter().flat_map(|f| &f.reads).filter_map(place).collect();
        let output = columns.output.iter().filter_map(place).collect();
        Self {
            share,
            dynamic: dynamic.into_iter().map(|filter| Trial { filter, looked_at: 0, passed: 0 }).collect(),
            statement,
            measured,
            left: limit,
            current: None,
            together: BatchCoalescer::new(columns.schema.clone(), BATCH_ROWS).with_biggest_coalesce_batch_size(Some(BATCH_ROWS / 2)),
            columns,
            filter_reads,
            output,
            ended: false,
        }
    }

    pub async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if self.left == 0 {
                return Ok(None);
            }
            if let Some(batch) = self.together.next_completed_batch() {
                return Ok(Some(self.given(batch)));
            }
            if self.ended {
                return Ok(None);
            }
            // The one place that every analytic plan comes back to: here it learns that it is to stop.
            self.statement.check_interrupted().map_err(fault)?;
            if self.current.is_none() {
                match self.share.next().await.map_err(fault)? {
                    Some(segment) => self.current = Some((segment, 0)),
                    None => {
                        self.ended = true;
                        self.together.finish_buffered_batch()?;
                        continue;
                    }
                }
            }
            let spent = self.measured.elapsed_compute().clone();
            let timer = spent.timer();
            let batch = self.step();
            drop(timer);
            if let Some(batch) = batch? {
                return Ok(Some(self.given(batch)));
            }
        }
    }

    fn given(&mut self, batch: RecordBatch) -> RecordBatch {
        let batch = if batch.num_rows() > self.left { batch.slice(0, self.left) } else { batch };
        self.left -= batch.num_rows();
        self.measured.record_output(batch.num_rows());
        batch
    }

    /// Looks at the next rows of the current segment. What is left of them is returned, or goes to others of its like.
    fn step(&mut self) -> Result<Option<RecordBatch>> {
        let Some((segment, from)) = &mut self.current else { return Ok(None) };
        let rows = (segment.rows - *from).min(BATCH_ROWS);
        if rows == 0 {
            self.current = None;
            return Ok(None);
        }
        let slice = |i: usize| segment.arrays[i].slice(*from, rows);
        let mut mask: Option<BooleanArray> = None;
        let mut passed = rows;
        if let Some(f) = &self.columns.filter {
            let m = f.passing(self.filter_reads.iter().map(|i| slice(*i)).collect(), rows)?;
            passed = m.true_count();
            mask = (passed < rows).then_some(m);
        }
        for trial in self.dynamic.iter_mut().filter(|t| t.pays()) {
            if passed == 0 {
                break;
            }
            let read = trial.filter.reads.iter().map(|r| slice(self.output[*r]));
            trial.looked_at += passed;
            // Where few rows are left, only they are looked at.
            let m = match &mask {
                Some(m) if passed < rows / 2 => {
                    let read = read.map(|a| Ok(filter(&a, m)?)).collect::<Result<Vec<_>>>()?;
                    spread(m, &trial.filter.passing(read, passed)?)
                }
                Some(m) => BooleanArray::from(m.values() & trial.filter.passing(read.collect(), rows)?.values()),
                None => trial.filter.passing(read.collect(), rows)?,
            };
            passed = m.true_count();
            trial.passed += passed;
            mask = (passed < rows).then_some(m);
        }
        let output: Vec<ArrayRef> = if passed == 0 { Vec::new() } else { self.output.iter().map(|i| slice(*i)).collect() };
        *from += rows;
        if passed == 0 {
            return Ok(None);
        }
        let batch = self.columns.record(output, rows)?;
        match mask {
            None if self.together.is_empty() => Ok(Some(batch)),
            None => {
                self.together.push_batch(batch)?;
                Ok(None)
            }
            Some(mask) if batch.num_columns() == 0 => {
                let none = arrow::compute::filter_record_batch(&batch, &mask).map_err(|e| super::udf::fault(fault_of(e.into())))?;
                Ok(Some(none))
            }
            Some(mask) => {
                self.together.push_batch_with_filter(batch, &mask)?;
                Ok(None)
            }
        }
    }
}

/// The rows of `of` that are also in `among`, which speaks only of the rows of `of`.
fn spread(of: &BooleanArray, among: &BooleanArray) -> BooleanArray {
    let mut out = vec![0u8; of.len().div_ceil(8)];
    for (i, at) in of.values().set_indices().enumerate() {
        if among.value(i) {
            out[at / 8] |= 1 << (at % 8);
        }
    }
    BooleanArray::from(BooleanBuffer::new(out.into(), 0, of.len()))
}
