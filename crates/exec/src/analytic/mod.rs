//! DataFusion, for queries that read many rows.
//!
//! Owns:     the DataFusion sessions' configuration; the files that queries spill to.
//! Promises: the same rows as the row executor; a query that has no exact lowering is refused before it starts.
//! Never:    runs on a connection's thread: its streams are driven by the query runtime.

mod any_value;
pub(crate) mod carrier;
mod column_scan;
mod exact_sum;
mod lower;
mod lower_expr;
mod pool;
mod scan;
mod udf;

pub use scan::{BATCH_ROWS, BatchSource, RowCursor, RowsTaker, ShareRequest};

use crate::rows::{Actual, ColumnNames, Row, Step, Stream};
use datafusion::common::DataFusionError;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::{SendableRecordBatchStream, SessionState, SessionStateBuilder, TaskContext};
use datafusion::physical_plan::{ExecutionPlan, displayable, execute_stream};
use datafusion::prelude::SessionConfig;
use futures::StreamExt;
use futures::future::BoxFuture;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use weald_expr::StatementContext;
use weald_plan::query::Query;
use weald_types::{Fault, SqlType, Value};

/// Why a query is not for DataFusion.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error("{0} is run by the row executor")]
    Feature(&'static str),
    #[error("DataFusion does not plan it: {0}")]
    Plan(#[from] DataFusionError),
}

fn refuse<T>(feature: &'static str) -> Result<T, Refused> {
    Err(Refused::Feature(feature))
}

/// A computed value outgrew its carrier: the caller runs the query again in the row executor, whose numbers are wider.
pub const CARRIER_OVERFLOW: &str = "carrier overflow";
pub(crate) fn carrier_overflow() -> Fault {
    Fault::Internal { incident: CARRIER_OVERFLOW.into() }
}
/// The values of one batch together are too large: the row executor makes fewer at a time. Once rows have been sent it is a want of memory.
pub const BATCH_TOO_LARGE: &str = "batch too large";
fn batch_too_large() -> Fault {
    Fault::Internal { incident: BATCH_TOO_LARGE.into() }
}

/// A join's side of up to so many bytes and rows is collected by one thread.
const COLLECTED_BYTES: usize = 128 << 20;
const COLLECTED_ROWS: usize = 2_000_000;

/// What all analytic queries of a process share.
pub struct Analytic {
    /// Every query's session is a copy of this one: making the tables of functions anew would cost more than most plans.
    session: SessionState,
}

impl std::fmt::Debug for Analytic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Analytic")
    }
}

impl Analytic {
    /// `spill`: a directory for what does not fit in a statement's budget; there may be `spill_bytes` in it, of all statements together.
    pub fn new(threads: usize, spill: &Path, spill_bytes: u64) -> Result<Self, Fault> {
        let builder = RuntimeEnvBuilder::new().with_temp_file_path(spill).with_max_temp_directory_size(spill_bytes);
        let runtime = builder.build_arc().map_err(fault_of)?;
        let mut config = SessionConfig::new().with_target_partitions(threads).with_information_schema(false);
        // Held back by every sort before it has a row, for its last merge: as large as small budgets are whole by default.
        config.options_mut().execution.sort_spill_reservation_bytes = 1 << 20;
        // Which side of a join is kept is the lowering's choice: it has seen samples. One side is collected whole, rather than both dealt out among threads, as
        // long as making its hash table by one thread takes no more than a moment.
        config.options_mut().optimizer.join_reordering = false;
        config.options_mut().optimizer.hash_join_single_partition_threshold = COLLECTED_BYTES;
        config.options_mut().optimizer.hash_join_single_partition_threshold_rows = COLLECTED_ROWS;
        let session = SessionStateBuilder::new().with_config(config).with_runtime_env(runtime).with_default_features().build();
        Ok(Self { session })
    }

    /// A plan that is ready to run, within the statement's budget.
    pub async fn plan(
        &self,
        query: &Query,
        statement: &Arc<StatementContext>,
        params: &Arc<[Value]>,
        source: &Arc<dyn BatchSource>,
    ) -> Result<AnalyticPlan, Refused> {
        if !query.subqueries.is_empty() {
            return refuse("a subquery that is not a join");
        }
        let logical = {
            let statistics = source.statistics(statement, params);
            let (types, weights) = (HashMap::new().into(), HashMap::new().into());
            lower::Lowering { query, statement, params, source, statistics, types, weights }.plan()?
        };
        // A copy: the optimizer notes the time of the query in it.
        let state = self.session.clone();
        let physical = state.create_physical_plan(&logical).await?;
        let pool = Arc::new(pool::StatementPool::new(statement.clone()));
        let runtime = RuntimeEnvBuilder::from_runtime_env(state.runtime_env()).with_memory_pool(pool).build_arc()?;
        let context = Arc::new(TaskContext::from(&state).with_runtime(runtime));
        Ok(AnalyticPlan { physical, context, types: query.columns.iter().map(|c| c.ty.clone()).collect() })
    }
}

#[derive(Debug, Clone)]
pub struct AnalyticPlan {
    physical: Arc<dyn ExecutionPlan>,
    context: Arc<datafusion::execution::TaskContext>,
    types: Arc<[SqlType]>,
}

impl AnalyticPlan {
    pub fn run(&self) -> Result<AnalyticStream, Fault> {
        let batches = execute_stream(self.physical.clone(), self.context.clone()).map_err(fault_of)?;
        Ok(AnalyticStream { batches, types: self.types.clone() })
    }

    /// The physical plan, its columns called as the query calls them; `measured`: with what each operator did.
    pub fn steps(&self, names: &ColumnNames, measured: bool) -> Step {
        step(&*self.physical, names, measured)
    }
}

fn step(plan: &(dyn ExecutionPlan + 'static), names: &ColumnNames, measured: bool) -> Step {
    let line = readable(displayable(plan).one_line().to_string().trim_end(), names);
    let (operator, detail) = match line.split_once(": ") {
        Some((o, d)) => (o.to_string(), d.to_string()),
        None => match line.split_once(' ') {
            Some((o, d)) => (o.to_string(), d.to_string()),
            None => (line, String::new()),
        },
    };
    let actual = plan.metrics().filter(|_| measured).map(|m| Actual {
        rows: m.output_rows().unwrap_or(0) as u64,
        runs: plan.properties().output_partitioning().partition_count() as u64,
        time: std::time::Duration::from_nanos(m.elapsed_compute().unwrap_or(0) as u64),
    });
    let inputs = plan.children().into_iter().map(|c| step(&**c, names, measured)).collect();
    let scan = (plan as &dyn std::any::Any).downcast_ref::<scan::ScanExec>();
    let access = scan.map(|s| s.access_step());
    let estimated_rows = scan.map(|s| s.rows() as f64);
    Step { operator, detail, access, estimated_rows, actual, inputs }
}

/// `c17` is column 17 of the bound query; `compare#3` one of our functions.
fn readable(line: &str, names: &ColumnNames) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    let mut before = ' ';
    while let Some(c) = rest.chars().next() {
        let word = |s: &str| s.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').count();
        if (c.is_ascii_alphabetic() || c == '_') && !before.is_ascii_alphanumeric() && before != '_' {
            let n = word(rest);
            let token = &rest[..n];
            match token.strip_prefix('c').and_then(|d| d.parse::<u32>().ok()) {
                Some(id) => out.push_str(&names.get(weald_types::ColumnId::new(id))),
                None => out.push_str(token),
            }
            before = 'a';
            rest = &rest[n..];
            continue;
        }
        // The number that keeps functions apart says nothing to a reader; nor does the place of a column in its input.
        if let Some(digits) = rest.strip_prefix('#').or(if c == '@' { rest.get(1..) } else { None }) {
            let n = digits.bytes().take_while(u8::is_ascii_digit).count();
            if n > 0 {
                rest = &digits[n..];
                before = 'a';
                continue;
            }
        }
        out.push(c);
        before = c;
        rest = &rest[c.len_utf8()..];
    }
    out
}

/// A running query's rows.
pub struct AnalyticStream {
    batches: SendableRecordBatchStream,
    types: Arc<[SqlType]>,
}

impl Stream for AnalyticStream {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Vec<Row>>, Fault>> {
        Box::pin(async {
            loop {
                let Some(batch) = self.batches.next().await else { return Ok(None) };
                let batch = batch.map_err(fault_of)?;
                if batch.num_rows() == 0 {
                    continue;
                }
                let rows = (0..batch.num_rows())
                    .map(|i| batch.columns().iter().zip(self.types.iter()).map(|(array, ty)| carrier::value(array, i, ty)).collect())
                    .collect();
                return Ok(Some(rows));
            }
        })
    }
}

/// The client's fault inside DataFusion's error: ours, passed through, or one of its own.
fn fault_of(e: DataFusionError) -> Fault {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&e);
    while let Some(c) = cause {
        if let Some(f) = c.downcast_ref::<Fault>() {
            return f.clone();
        }
        if let Some(DataFusionError::ResourcesExhausted(_)) = c.downcast_ref::<DataFusionError>() {
            return Fault::OutOfMemory;
        }
        // A spill that found no room.
        if c.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::StorageFull) {
            return Fault::DiskFull;
        }
        cause = c.source();
    }
    Fault::Internal { incident: e.strip_backtrace() }
}
