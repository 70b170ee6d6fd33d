//! A table as DataFusion sees it: streams of Arrow batches, one for each share of the rows.
//!
//! Owns:     nothing; reads at the statement's snapshot through [`BatchSource`].
//! Promises: row counts for the join order; never declares a hash partitioning (DataFusion would assume its own hash function). A filter is answered here:
//!           columns that only the output needs are made for the rows that pass it.
//! Never:    reads a row twice, or holds one in place while it waits.

use super::carrier::{self, Builder};
use super::fault_of;
use crate::rows::{AccessStep, scan_step};
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::prep_null_mask_filter;
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, DataFusionError, Result, Statistics};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, ReplaceChildrenOptions};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};
use futures::future::BoxFuture;
use std::fmt;
use std::sync::Arc;
use weald_catalog::TableRef;
use weald_expr::StatementContext;
use weald_partition::{StoredRow, TableSchema};
use weald_plan::fragment::Access;
use weald_types::{Fault, SqlType};

/// Rows a batch holds at most; DataFusion's own default.
pub const BATCH_ROWS: usize = 8192;
/// Of large rows fewer: nobody counts what is on its way between two operators.
const BATCH_BYTES: u64 = 16 << 20;

/// One scan, and which share of it.
#[derive(Clone, Debug)]
pub struct ShareRequest {
    pub table: TableRef,
    pub share: usize,
    pub shares: usize,
    pub statement: Arc<StatementContext>,
}

/// Stored rows by shares, each read by one thread.
pub trait BatchSource: Send + Sync + fmt::Debug {
    /// How many shares `table` falls into.
    fn shares(&self, table: &TableRef) -> usize;
    fn row_count(&self, table: &TableRef) -> u64;
    /// About what a row takes.
    fn row_bytes(&self, table: &TableRef) -> u64;
    fn open(&self, request: ShareRequest) -> Box<dyn RowCursor>;
}

/// Looks at rows where they are stored.
pub type RowsTaker<'t> = dyn FnMut(&TableSchema, &[StoredRow<'_>]) -> std::result::Result<(), Fault> + Send + 't;

/// A position in one share.
pub trait RowCursor: Send {
    /// Calls `take` once with about `rows` further rows; gives how many they were, 0 at the end.
    fn next<'a>(&'a mut self, rows: usize, take: &'a mut RowsTaker<'_>) -> BoxFuture<'a, std::result::Result<usize, Fault>>;
}

#[derive(Debug)]
pub struct Table {
    pub table: TableRef,
    pub ordinals: Vec<u16>,
    pub schema: SchemaRef,
    pub source: Arc<dyn BatchSource>,
    pub statement: Arc<StatementContext>,
}

impl Table {
    /// `None`: a wanted column has no carrier.
    pub fn new(table: TableRef, columns: &[(u16, String, SqlType)], source: Arc<dyn BatchSource>, statement: Arc<StatementContext>) -> Option<Self> {
        let fields = columns.iter().map(|(_, name, ty)| Some(Field::new(name, carrier::data_type(ty)?, ty.nullable))).collect::<Option<Vec<_>>>()?;
        Some(Self { table, ordinals: columns.iter().map(|c| c.0).collect(), schema: Arc::new(Schema::new(fields)), source, statement })
    }

    fn plan(&self, session: &dyn Session, projection: Option<&Vec<usize>>, filters: &[Expr], limit: Option<usize>) -> Result<Arc<dyn ExecutionPlan>> {
        let output: Vec<usize> = projection.cloned().unwrap_or_else(|| (0..self.ordinals.len()).collect());
        let filter = match conjunction(filters.iter().cloned()) {
            None => None,
            Some(all) => {
                let mut reads: Vec<usize> = all.column_refs().iter().filter_map(|c| self.schema.index_of(&c.name).ok()).collect();
                reads.sort_unstable();
                let schema = Arc::new(self.schema.project(&reads)?);
                let unqualified = all.transform(|e| {
                    Ok(match e {
                        Expr::Column(c) => Transformed::yes(Expr::Column(Column::new_unqualified(c.name))),
                        e => Transformed::no(e),
                    })
                })?;
                let predicate = session.create_physical_expr(unqualified.data, &DFSchema::try_from(schema.clone())?)?;
                Some(ScanFilter { predicate, reads, schema })
            }
        };
        let schema = Arc::new(self.schema.project(&output)?);
        let shares = self.source.shares(&self.table).max(1);
        let equivalence = EquivalenceProperties::new(schema.clone());
        let properties = PlanProperties::new(equivalence, Partitioning::UnknownPartitioning(shares), EmissionType::Incremental, Boundedness::Bounded);
        let columns = Arc::new(ScanColumns { ordinals: self.ordinals.clone(), all: self.schema.clone(), output, schema, filter });
        Ok(Arc::new(ScanExec {
            table: self.table.clone(),
            columns,
            limit,
            shares,
            source: self.source.clone(),
            statement: self.statement.clone(),
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
        }))
    }
}

// The trait is an async_trait; forwarding to a ready future keeps its cost to the compiler small.
impl TableProvider for Table {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
    fn table_type(&self) -> TableType {
        TableType::Base
    }
    fn scan<'life0, 'life1, 'life2, 'life3, 'async_trait>(
        &'life0 self,
        session: &'life1 dyn Session,
        projection: Option<&'life2 Vec<usize>>,
        filters: &'life3 [Expr],
        limit: Option<usize>,
    ) -> BoxFuture<'async_trait, Result<Arc<dyn ExecutionPlan>>>
    where
        'life0: 'async_trait,
        'life1: 'async_trait,
        'life2: 'async_trait,
        'life3: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(std::future::ready(self.plan(session, projection, filters, limit)))
    }
    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Exact; filters.len()])
    }
}

/// Which of the table's columns are read, for the filter and for the output. Places count in `all`.
#[derive(Debug)]
struct ScanColumns {
    ordinals: Vec<u16>,
    all: SchemaRef,
    output: Vec<usize>,
    schema: SchemaRef,
    filter: Option<ScanFilter>,
}

#[derive(Debug)]
struct ScanFilter {
    predicate: Arc<dyn PhysicalExpr>,
    reads: Vec<usize>,
    schema: SchemaRef,
}

#[derive(Debug)]
pub struct ScanExec {
    table: TableRef,
    columns: Arc<ScanColumns>,
    /// Rows that suffice, of each share.
    limit: Option<usize>,
    shares: usize,
    source: Arc<dyn BatchSource>,
    statement: Arc<StatementContext>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl ScanExec {
    /// For EXPLAIN.
    pub fn access_step(&self) -> AccessStep {
        AccessStep {
            filter: self.columns.filter.as_ref().map(|f| f.predicate.to_string()),
            ..scan_step(&self.table, &Access::Full, None).access.unwrap_or_default()
        }
    }
    pub fn rows(&self) -> u64 {
        self.source.row_count(&self.table)
    }
}

impl DisplayAs for ScanExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TableScan {}.{} shares={}", self.table.database_name, self.table.name, self.shares)?;
        if let Some(filter) = &self.columns.filter {
            write!(f, " filter={}", filter.predicate)?;
        }
        match self.limit {
            Some(n) => write!(f, " limit={n}"),
            None => Ok(()),
        }
    }
}

impl ExecutionPlan for ScanExec {
    fn name(&self) -> &'static str {
        "TableScan"
    }
    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }
    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }
    fn apply_expressions(&self, _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }
    fn replace_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>, _: ReplaceChildrenOptions) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }
    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn partition_statistics(&self, partition: Option<usize>) -> Result<Arc<Statistics>> {
        let schema = &self.columns.schema;
        let mut rows = self.source.row_count(&self.table) as usize / partition.map_or(1, |_| self.shares);
        // DataFusion's own guess for a filter it knows nothing of.
        if self.columns.filter.is_some() {
            rows = rows.div_ceil(5);
        }
        let mut s = Statistics::new_unknown(schema);
        s.num_rows = Precision::Inexact(rows);
        s.total_byte_size = Precision::Inexact(rows * 16 * schema.fields().len().max(1));
        Ok(Arc::new(s))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn execute(&self, partition: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let request = ShareRequest { table: self.table.clone(), share: partition, shares: self.shares, statement: self.statement.clone() };
        let measured = BaselineMetrics::new(&self.metrics, partition);
        let state = (self.source.open(request), self.columns.clone(), self.limit.unwrap_or(usize::MAX), self.statement.clone(), measured);
        let at_once = (BATCH_BYTES / self.source.row_bytes(&self.table).max(1)).clamp(1, BATCH_ROWS as u64) as usize;
        let batches = futures::stream::try_unfold(state, move |(mut cursor, columns, left, statement, measured)| async move {
            if left == 0 {
                return Ok(None);
            }
            loop {
                // The one place that every analytic plan comes back to: here it learns that it is to stop.
                statement.check_interrupted().map_err(super::udf::fault)?;
                let mut batch = None;
                let mut take = |schema: &TableSchema, rows: &[StoredRow<'_>]| {
                    batch = Some(columns.batch(schema, rows).map_err(fault_of)?);
                    Ok(())
                };
                let timer = measured.elapsed_compute().timer();
                let read = cursor.next(at_once, &mut take).await.map_err(|f| DataFusionError::External(Box::new(f)))?;
                drop(timer);
                match batch {
                    Some(b) if b.num_rows() > 0 => {
                        let b = if b.num_rows() > left { b.slice(0, left) } else { b };
                        let left = left - b.num_rows();
                        measured.record_output(b.num_rows());
                        return Ok(Some((b, (cursor, columns, left, statement, measured))));
                    }
                    Some(_) => (),
                    None if read == 0 => return Ok(None),
                    None => (),
                }
            }
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.columns.schema.clone(), batches)))
    }
}

impl ScanColumns {
    /// The output columns of those rows that pass the filter.
    fn batch(&self, schema: &TableSchema, rows: &[StoredRow<'_>]) -> Result<RecordBatch> {
        let Some(f) = &self.filter else {
            let arrays = self.output.iter().map(|p| self.made(*p, schema, rows.iter(), rows.len())).collect::<Result<_>>()?;
            return self.record(arrays, rows.len());
        };
        let read = f.reads.iter().map(|p| self.made(*p, schema, rows.iter(), rows.len())).collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        let tested = RecordBatch::try_new_with_options(f.schema.clone(), read.clone(), &options)?;
        let passed = f.predicate.evaluate(&tested)?.into_array(rows.len())?;
        let passed = match passed.as_boolean() {
            b if b.null_count() > 0 => prep_null_mask_filter(b),
            b => b.clone(),
        };
        let count = passed.true_count();
        let arrays = self
            .output
            .iter()
            .map(|p| match f.reads.iter().position(|r| r == p) {
                Some(i) if count == rows.len() => Ok(read[i].clone()),
                Some(i) => Ok(arrow::compute::filter(&read[i], &passed)?),
                None => self.made(*p, schema, passed.values().set_indices().map(|i| &rows[i]), count),
            })
            .collect::<Result<_>>()?;
        self.record(arrays, count)
    }

    fn made<'r, 'b: 'r>(&self, place: usize, schema: &TableSchema, rows: impl Iterator<Item = &'r StoredRow<'b>>, count: usize) -> Result<ArrayRef> {
        let mut b = Builder::new(self.all.field(place).data_type(), count)
            .ok_or_else(|| DataFusionError::Internal("a scanned column has no carrier".into()))?;
        b.push_rows(schema, self.ordinals[place] as usize, rows);
        Ok(b.finish())
    }

    fn record(&self, arrays: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
        Ok(RecordBatch::try_new_with_options(self.schema.clone(), arrays, &RecordBatchOptions::new().with_row_count(Some(rows)))?)
    }
}
