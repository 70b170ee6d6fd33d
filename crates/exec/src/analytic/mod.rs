//! DataFusion, for queries that read many rows.
//!
//! Owns:     the DataFusion sessions' configuration; the files that queries spill to.
//! Promises: the same rows as the row executor; a query that has no exact lowering is refused before it starts.
//! Never:    runs on a connection's thread: its streams are driven by the query runtime.

mod carrier;
mod lower;
mod lower_expr;
mod pool;
mod scan;
mod udf;

pub use scan::{BatchSource, RowCursor, RowsTaker, ShareRequest};

use crate::rows::{Row, Stream};
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
fn carrier_overflow() -> Fault {
    Fault::Internal { incident: CARRIER_OVERFLOW.into() }
}

/// What all analytic queries of a process share.
#[derive(Debug)]
pub struct Analytic {
    /// Functions, rules and settings: put together once, as that takes longer than a small query.
    state: SessionState,
}

impl Analytic {
    /// `spill`: a directory for what does not fit in a statement's budget; there may be `spill_bytes` in it, of all statements together.
    pub fn new(threads: usize, spill: &Path, spill_bytes: u64) -> Result<Self, Fault> {
        let builder = RuntimeEnvBuilder::new().with_temp_file_path(spill).with_max_temp_directory_size(spill_bytes);
        let runtime = builder.build_arc().map_err(fault_of)?;
        let config = SessionConfig::new().with_target_partitions(threads).with_information_schema(false);
        let state = SessionStateBuilder::new().with_config(config).with_runtime_env(runtime).with_default_features().build();
        Ok(Self { state })
    }

    /// A plan that is ready to run.
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
        let lowering = lower::Lowering { query, statement, params, source, types: HashMap::new().into() };
        let logical = lowering.plan()?;
        // A copy: the optimizer notes the time of the query in it.
        let state = self.state.clone();
        let physical = state.create_physical_plan(&logical).await?;
        let pool = Arc::new(pool::StatementPool::new(statement.clone()));
        let runtime = RuntimeEnvBuilder::from_runtime_env(state.runtime_env()).with_memory_pool(pool).build_arc()?;
        let context = Arc::new(TaskContext::from(&state).with_runtime(runtime));
        Ok(AnalyticPlan { physical, context, types: query.columns.iter().map(|c| c.ty.clone()).collect() })
    }
}

#[derive(Debug)]
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
    /// The physical plan, indented; after a run with `metrics`, with what each operator did.
    pub fn text(&self, metrics: bool) -> String {
        if metrics {
            datafusion::physical_plan::display::DisplayableExecutionPlan::with_metrics(&*self.physical).indent(false).to_string()
        } else {
            displayable(&*self.physical).indent(false).to_string()
        }
    }
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
        cause = c.source();
    }
    Fault::Internal { incident: e.strip_backtrace() }
}
