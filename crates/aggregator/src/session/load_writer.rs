//! The rows of a LOAD DATA, written while the next ones are being read.
//!
//! Owns:     a task with the batches that wait for it.
//! Promises: rows are written in the order of the file, and the warnings of making a row stand before those of writing it. What went wrong first in the file
//!           is what the statement says. Memory holds three batches: one being filled, one waiting, one being written.
//! Never:    ends the transaction. Nothing is written any more once [`Writer::finish`] has returned.

use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use weald_exec::{Engine, Inserted, MadeRow, Snapshot, Transaction, Work};
use weald_expr::StatementContext;
use weald_plan::dml::BoundInsert;
use weald_types::{Fault, Warning};

/// Rows written in one go.
const BATCH: usize = 1000;

/// What the rows are written under.
pub struct Writing {
    pub engine: Arc<Engine>,
    pub insert: Arc<BoundInsert>,
    pub statement: Arc<StatementContext>,
    pub transaction: Arc<Transaction>,
    pub snapshot: Snapshot,
    pub lock_wait: Duration,
}

/// Rows that follow each other in the file. Those that were left out with a warning are not among them.
struct Batch {
    /// Of making the first row. Those of the others are only counted.
    warnings: Vec<Warning>,
    warned: u64,
    rows: Vec<MadeRow>,
}

impl Default for Batch {
    fn default() -> Self {
        Self { warnings: Vec::new(), warned: 0, rows: Vec::with_capacity(BATCH) }
    }
}

pub struct Writer {
    /// Warnings of the row that is being made.
    pub reading: Arc<StatementContext>,
    filling: Batch,
    /// `None`: the last has been sent.
    batches: Option<mpsc::Sender<Batch>>,
    task: JoinHandle<Result<Inserted, Fault>>,
    /// What the task has ended with before its time.
    failed: Option<Fault>,
}

impl Writer {
    /// `reading`: as the statement, with warnings of its own.
    pub fn start(runtime: &tokio::runtime::Handle, reading: Arc<StatementContext>, writing: Writing) -> Self {
        let (batches, waiting) = mpsc::channel(1);
        Self { reading, filling: Batch::default(), batches: Some(batches), task: runtime.spawn(write(writing, waiting)), failed: None }
    }

    /// The next row; `None` if nothing came of it but warnings. An error is the writer's, about an earlier one.
    pub async fn row(&mut self, row: Option<MadeRow>) -> Result<(), Fault> {
        let (warnings, warned) = {
            let mut w = self.reading.warnings.lock();
            let kept = std::mem::take(&mut w.kept);
            // As many as the statement keeps have been handed on: from here on they are counted only.
            w.limit -= kept.len();
            (kept, std::mem::take(&mut w.total))
        };
        if !warnings.is_empty() {
            self.send().await?;
            self.filling.warnings = warnings;
        }
        self.filling.warned += warned;
        self.filling.rows.extend(row);
        if self.filling.rows.len() == BATCH { self.send().await } else { Ok(()) }
    }

    async fn send(&mut self) -> Result<(), Fault> {
        let batch = std::mem::take(&mut self.filling);
        let Some(batches) = self.batches.as_ref().filter(|_| !batch.rows.is_empty() || batch.warned > 0) else { return Ok(()) };
        if batches.send(batch).await.is_ok() {
            return Ok(());
        }
        self.batches = None;
        let fault = joined((&mut self.task).await).err().unwrap_or_else(|| Fault::Internal { incident: "a load's writer left early".into() });
        self.failed = Some(fault.clone());
        Err(fault)
    }

    /// What was written; or what went wrong first: with writing, or, behind all that was written, with `reading`.
    pub async fn finish(mut self, reading: Result<(), Fault>) -> Result<Inserted, Fault> {
        let sent = self.send().await;
        if let Some(fault) = self.failed.take() {
            return Err(fault);
        }
        sent?;
        self.batches = None;
        let done = joined((&mut self.task).await)?;
        reading.map(|()| done)
    }
}

impl Drop for Writer {
    /// The client has gone: what is under way is for nothing.
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn joined(done: Result<Result<Inserted, Fault>, tokio::task::JoinError>) -> Result<Inserted, Fault> {
    done.unwrap_or_else(|e| Err(Fault::Internal { incident: e.to_string() }))
}

async fn write(w: Writing, mut batches: mpsc::Receiver<Batch>) -> Result<Inserted, Fault> {
    let mut all = Inserted::default();
    while let Some(batch) = batches.recv().await {
        {
            let mut to = w.statement.warnings.lock();
            to.total += batch.warned;
            let room = to.limit.saturating_sub(to.kept.len());
            to.kept.extend(batch.warnings.into_iter().take(room));
        }
        let work = Work { statement: &w.statement, params: &[], transaction: &w.transaction, snapshot: &w.snapshot, lock_wait: w.lock_wait };
        let done = w.engine.insert_made(&w.insert, batch.rows, work).await?;
        all.affected += done.affected;
        all.duplicates += done.duplicates;
    }
    Ok(all)
}
