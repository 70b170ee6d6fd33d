//! The rows of a LOAD DATA, written while the next ones are being read.
//!
//! Owns:     a few lanes: tasks with the batches that wait for them. Each writes the rows of some of the table's partitions.
//! Promises: rows of a partition are written in the order of the file; rows in each other's way have a unique key in common, so they share a partition.
//!           Warnings stand in the order of the lines, and those of making a row before those of writing it. What went wrong first in the file is what the
//!           statement says. Memory holds so many batches a lane: one being filled, some waiting, one being written.
//! Never:    ends the transaction. Nothing is written any more once [`Writer::finish`] has returned.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use weald_exec::{Engine, Inserted, MadeRows, Snapshot, Transaction, Work};
use weald_expr::StatementContext;
use weald_plan::dml::BoundInsert;
use weald_types::{Fault, Warning};

/// Rows written in one go.
const BATCH: usize = 1000;
/// Batches of a lane that may wait: while it makes late entries, or a part goes to the log, reading goes on.
const WAITING: usize = 16;

/// What the rows are written under.
#[derive(Clone)]
pub struct Writing {
    pub engine: Arc<Engine>,
    pub insert: Arc<BoundInsert>,
    pub transaction: Arc<Transaction>,
    pub snapshot: Snapshot,
    pub lock_wait: Duration,
}

pub struct Writer {
    /// Warnings of the row that is being made.
    pub reading: Arc<StatementContext>,
    statement: Arc<StatementContext>,
    lanes: Vec<Lane>,
    /// A row of this number could not be written: none behind it has to be.
    until: Arc<AtomicU64>,
    written: Written,
}

struct Lane {
    filling: MadeRows,
    /// `None`: the last has been sent.
    batches: Option<mpsc::Sender<MadeRows>>,
    task: JoinHandle<Written>,
}

/// What came of some rows.
#[derive(Default)]
struct Written {
    done: Inserted,
    /// Those that are kept, with the number of the row.
    warnings: Vec<(u64, Warning)>,
    warned: u64,
    failed: Option<(u64, Fault)>,
}

impl Writer {
    /// `statement` gets the warnings. `reading` and each lane's: as the statement, with warnings of their own.
    pub fn start(
        runtime: &Handle,
        statement: Arc<StatementContext>,
        reading: Arc<StatementContext>,
        lanes: Vec<Arc<StatementContext>>,
        writing: Writing,
    ) -> Self {
        let until = Arc::new(AtomicU64::new(u64::MAX));
        let lane = |statement| {
            let (batches, waiting) = mpsc::channel(WAITING);
            let task = runtime.spawn(write(writing.clone(), statement, until.clone(), waiting));
            Lane { filling: MadeRows::default(), batches: Some(batches), task }
        };
        Self { reading, statement, lanes: lanes.into_iter().map(lane).collect(), until, written: Written::default() }
    }

    /// The bytes of row `number`, for the partition at this position; `None` if nothing came of the line but warnings. An error is the writer's, about an
    /// earlier row.
    pub async fn row(&mut self, at: Option<usize>, number: u64, bytes: &[u8]) -> Result<(), Fault> {
        self.written.take_warnings(&self.reading, |_| number);
        let Some(at) = at else { return Ok(()) };
        let n = at % self.lanes.len();
        let lane = &mut self.lanes[n];
        lane.filling.push(at, number, bytes);
        if lane.filling.len() < BATCH {
            return Ok(());
        }
        lane.send().await;
        if self.until.load(Relaxed) == u64::MAX { Ok(()) } else { self.end().await }
    }

    /// All that was made is written, or the first fault stands in `written`, and is given back.
    async fn end(&mut self) -> Result<(), Fault> {
        for lane in &mut self.lanes {
            lane.send().await;
            lane.batches = None;
        }
        for mut lane in self.lanes.drain(..) {
            let fault = |e: tokio::task::JoinError| (0, Fault::Internal { incident: e.to_string() });
            let lane = (&mut lane.task).await.unwrap_or_else(|e| Written { failed: Some(fault(e)), ..Written::default() });
            self.written.add(lane);
        }
        self.written.failed.as_ref().map_or(Ok(()), |(_, fault)| Err(fault.clone()))
    }

    /// What was written; or what went wrong first: with writing, or, behind all that was written, with `reading`.
    pub async fn finish(mut self, reading: Result<(), Fault>) -> Result<Inserted, Fault> {
        let ended = self.end().await;
        let Written { done, mut warnings, warned, .. } = std::mem::take(&mut self.written);
        warnings.sort_by_key(|(number, _)| *number);
        {
            let mut to = self.statement.warnings.lock();
            to.total += warned;
            let room = to.limit.saturating_sub(to.kept.len());
            to.kept.extend(warnings.into_iter().map(|(_, w)| w).take(room));
        }
        ended.and(reading).map(|()| done)
    }
}

impl Lane {
    async fn send(&mut self) {
        let rows = std::mem::take(&mut self.filling);
        if let Some(batches) = self.batches.as_ref().filter(|_| !rows.is_empty()) {
            // It is there until the channel is closed, or has panicked, which shows when it is joined.
            batches.send(rows).await.ok();
        }
    }
}

impl Drop for Lane {
    /// The client has gone: what is under way is for nothing.
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Written {
    fn add(&mut self, other: Written) {
        self.done.affected += other.done.affected;
        self.done.duplicates += other.done.duplicates;
        self.warnings.extend(other.warnings);
        self.warned += other.warned;
        self.failed = [self.failed.take(), other.failed].into_iter().flatten().min_by_key(|(number, _)| *number);
    }
    /// `number`: of the row that each of them is about.
    fn take_warnings(&mut self, from: &StatementContext, number: impl Fn(usize) -> u64) {
        let mut from = from.warnings.lock();
        self.warned += std::mem::take(&mut from.total);
        // As many as the statement keeps are enough: from then on they are only counted.
        from.limit -= from.kept.len();
        self.warnings.extend(from.kept.drain(..).enumerate().map(|(i, w)| (number(i), w)));
    }
}

/// A lane.
async fn write(w: Writing, statement: Arc<StatementContext>, until: Arc<AtomicU64>, mut batches: mpsc::Receiver<MadeRows>) -> Written {
    let mut all = Written::default();
    let mut warned = Vec::new();
    // A partition's rows are written together, so that which warnings are the first is known when the batch is done.
    let most = std::mem::replace(&mut statement.warnings.lock().limit, BATCH);
    while let Some(rows) = batches.recv().await {
        let work = Work { statement: &statement, params: &[], transaction: &w.transaction, snapshot: &w.snapshot, lock_wait: w.lock_wait };
        warned.clear();
        let done = w.engine.insert_made(&w.insert, &rows, until.load(Relaxed), &mut warned, work).await;
        all.take_warnings(&statement, |i| warned.get(i).copied().unwrap_or(u64::MAX));
        statement.warnings.lock().limit = BATCH;
        all.warnings.sort_by_key(|(number, _)| *number);
        all.warnings.truncate(most);
        match done {
            Ok(done) => all.add(Written { done, ..Written::default() }),
            Err((number, fault)) => {
                until.fetch_min(number, Relaxed);
                all.add(Written { failed: Some((number, fault)), ..Written::default() });
            }
        }
    }
    all
}
