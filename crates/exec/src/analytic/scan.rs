//! A table as DataFusion sees it: streams of Arrow batches, one for each share of the rows.
//!
//! Owns:     nothing; reads at the statement's snapshot through [`BatchSource`].
//! Promises: row counts for the join order; never declares a hash partitioning (DataFusion would assume its own hash function). A filter is answered here:
//!           columns that only the output needs are made for the rows that pass it. What a join or a top-k finds out while it runs (its dynamic filter)
//!           is used to leave rows out early, as long as that pays; whoever made it still checks every row.
//! Never:    reads a row twice, or holds one in place while it waits.
//!
//! A table that lets a snapshot see a whole edition is read through its cached columns ([`crate::columns`]); else its rows are read, and made into columns.

use super::carrier::{self, Builder};
use super::udf::fault;
use super::{column_scan, fault_of};
use crate::columns::{ColumnKey, TableColumns, Wanted, weights};
use crate::rows::{AccessStep, scan_step};
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::compute::prep_null_mask_filter;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::config::ConfigOptions;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, DataFusionError, Result, Statistics};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_expr::utils::{collect_columns, reassign_expr_columns};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::apply_expression_roots;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, ReplaceChildrenOptions};
use datafusion::physical_plan::filter_pushdown::{ChildPushdownResult, FilterPushdownPhase, FilterPushdownPropagation};
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
use weald_types::{Collation, Fault, SqlType, Value};

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
    /// The table through its cached columns. `None`: it is to be read from its rows.
    fn columns(&self, table: &TableRef, wanted: &[Wanted]) -> Option<TableColumns>;
    /// What estimates are made by.
    fn statistics<'a>(&'a self, statement: &'a StatementContext, params: &'a [Value]) -> Box<dyn weald_plan::Statistics + 'a>;
    fn open(&self, request: ShareRequest) -> Box<dyn RowCursor>;
}

/// Looks at rows where they are stored.
pub type RowsTaker<'t> = dyn FnMut(&TableSchema, &[StoredRow<'_>]) -> std::result::Result<(), Fault> + Send + 't;

/// A position in one share.
pub trait RowCursor: Send {
    /// Calls `take` once with about `rows` further rows; gives how many they were, 0 at the end.
    fn next<'a>(&'a mut self, rows: usize, take: &'a mut RowsTaker<'_>) -> BoxFuture<'a, std::result::Result<usize, Fault>>;
}

/// A column that a scan offers.
#[derive(Clone, Debug)]
pub struct Offered {
    pub ordinal: u16,
    pub name: String,
    pub ty: SqlType,
    /// Its weight under this collation, instead of the text.
    pub weight: Option<Collation>,
}

#[derive(Debug)]
pub struct Table {
    pub table: TableRef,
    pub wanted: Vec<Wanted>,
    pub schema: SchemaRef,
    /// Rows that pass the filter which the query has above this scan, about.
    pub passing: Option<f64>,
    pub source: Arc<dyn BatchSource>,
    pub statement: Arc<StatementContext>,
}

impl Table {
    /// `None`: a wanted column has no carrier.
    pub fn new(
        table: TableRef,
        columns: &[Offered],
        passing: Option<f64>,
        source: Arc<dyn BatchSource>,
        statement: Arc<StatementContext>,
    ) -> Option<Self> {
        let (mut fields, mut wanted) = (Vec::new(), Vec::new());
        for c in columns {
            let to = carrier::data_type(&c.ty)?;
            let shown = if c.weight.is_some() { DataType::LargeBinary } else { to.clone() };
            fields.push(Field::new(&c.name, shown, c.ty.nullable));
            wanted.push(Wanted { key: ColumnKey { ordinal: c.ordinal, weight: c.weight }, to });
        }
        Some(Self { table, wanted, schema: Arc::new(Schema::new(fields)), passing, source, statement })
    }

    fn plan(&self, session: &dyn Session, projection: Option<&Vec<usize>>, filters: &[Expr], limit: Option<usize>) -> Result<Arc<dyn ExecutionPlan>> {
        let output: Vec<usize> = projection.cloned().unwrap_or_else(|| (0..self.wanted.len()).collect());
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
        let columns = Arc::new(ScanColumns { wanted: self.wanted.clone(), output, schema: schema.clone(), filter });
        // A few rows without a condition are not worth making whole columns.
        let few = limit.is_some() && columns.filter.is_none();
        let cached = self.source.columns(&self.table, &columns.read()).filter(|c| !few || c.is_complete());
        let shares = match &cached {
            Some(c) => c.segments().clamp(1, session.config().target_partitions()),
            None => self.source.shares(&self.table).max(1),
        };
        let equivalence = EquivalenceProperties::new(schema);
        let properties = PlanProperties::new(equivalence, Partitioning::UnknownPartitioning(shares), EmissionType::Incremental, Boundedness::Bounded);
        let all = self.source.row_count(&self.table);
        let rows = match (&columns.filter, self.passing) {
            (None, _) => all,
            (Some(_), Some(rows)) => (rows as u64).min(all),
            // DataFusion's own guess for a filter it knows nothing of.
            (Some(_), None) => all.div_ceil(5),
        };
        Ok(Arc::new(ScanExec {
            table: self.table.clone(),
            columns,
            cached,
            dynamic: Vec::new(),
            limit,
            shares,
            rows: rows as usize,
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

/// Which of the table's columns are read, for the filter and for the output. Places count in `wanted`.
#[derive(Debug)]
pub(super) struct ScanColumns {
    wanted: Vec<Wanted>,
    pub output: Vec<usize>,
    pub schema: SchemaRef,
    pub filter: Option<ScanFilter>,
}

#[derive(Debug)]
pub(super) struct ScanFilter {
    predicate: Arc<dyn PhysicalExpr>,
    pub reads: Vec<usize>,
    schema: SchemaRef,
}

impl ScanFilter {
    /// Which rows pass.
    pub fn passing(&self, read: Vec<ArrayRef>, rows: usize) -> Result<BooleanArray> {
        let tested = RecordBatch::try_new_with_options(self.schema.clone(), read, &RecordBatchOptions::new().with_row_count(Some(rows)))?;
        mask(&*self.predicate, &tested)
    }
}

/// What `predicate` says of each row; NULL is no.
fn mask(predicate: &dyn PhysicalExpr, rows: &RecordBatch) -> Result<BooleanArray> {
    let passed = predicate.evaluate(rows)?.into_array(rows.num_rows())?;
    Ok(match passed.as_boolean() {
        b if b.null_count() > 0 => prep_null_mask_filter(b),
        b => b.clone(),
    })
}

/// A filter that an operator above finds out while it runs. Places count in the output.
#[derive(Debug)]
pub(super) struct Dynamic {
    /// As it was given.
    told: Arc<dyn PhysicalExpr>,
    predicate: Arc<dyn PhysicalExpr>,
    pub reads: Vec<usize>,
    schema: SchemaRef,
}

impl Dynamic {
    fn new(told: Arc<dyn PhysicalExpr>, output: &SchemaRef) -> Result<Self> {
        let mut reads: Vec<usize> = collect_columns(&told).iter().map(|c| c.index()).collect();
        reads.sort_unstable();
        let schema = Arc::new(output.project(&reads)?);
        let predicate = reassign_expr_columns(told.clone(), &schema)?;
        Ok(Self { told, predicate, reads, schema })
    }
    pub fn passing(&self, read: Vec<ArrayRef>, rows: usize) -> Result<BooleanArray> {
        let tested = RecordBatch::try_new_with_options(self.schema.clone(), read, &RecordBatchOptions::new().with_row_count(Some(rows)))?;
        mask(&*self.predicate, &tested)
    }
}

#[derive(Debug)]
pub struct ScanExec {
    table: TableRef,
    columns: Arc<ScanColumns>,
    cached: Option<TableColumns>,
    dynamic: Vec<Arc<Dynamic>>,
    /// Rows that suffice, of each share.
    limit: Option<usize>,
    shares: usize,
    /// About how many rows it gives.
    rows: usize,
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
        if let Some(cached) = &self.cached {
            write!(f, " columns={}", if cached.is_complete() { "cached" } else { "to be cached" })?;
        }
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
    fn apply_expressions(&self, f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>) -> Result<TreeNodeRecursion> {
        apply_expression_roots(self.dynamic.iter().map(|d| &d.told), f)
    }
    fn replace_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>, _: ReplaceChildrenOptions) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }
    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    /// Takes dynamic filters in, and says no to all: what is left out here may come to be none, so whoever asks must go on checking.
    fn handle_child_pushdown_result(
        &self,
        phase: FilterPushdownPhase,
        asked: ChildPushdownResult,
        _: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn ExecutionPlan>>> {
        let mut answer = FilterPushdownPropagation::all_unsupported(asked.clone());
        if phase == FilterPushdownPhase::Pre || self.cached.is_none() {
            return Ok(answer);
        }
        let mut dynamic = self.dynamic.clone();
        for filter in asked.parent_filters {
            dynamic.push(Arc::new(Dynamic::new(filter.filter, &self.columns.schema)?));
        }
        if dynamic.len() > self.dynamic.len() {
            let node = Self {
                table: self.table.clone(),
                columns: self.columns.clone(),
                cached: self.cached.clone(),
                dynamic,
                limit: self.limit,
                shares: self.shares,
                rows: self.rows,
                source: self.source.clone(),
                statement: self.statement.clone(),
                properties: self.properties.clone(),
                metrics: ExecutionPlanMetricsSet::new(),
            };
            answer = answer.with_updated_node(Arc::new(node));
        }
        Ok(answer)
    }

    fn partition_statistics(&self, partition: Option<usize>) -> Result<Arc<Statistics>> {
        let schema = &self.columns.schema;
        let rows = self.rows / partition.map_or(1, |_| self.shares);
        let mut s = Statistics::new_unknown(schema);
        s.num_rows = Precision::Inexact(rows);
        s.total_byte_size = Precision::Inexact(rows * 16 * schema.fields().len().max(1));
        Ok(Arc::new(s))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn execute(&self, partition: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let measured = BaselineMetrics::new(&self.metrics, partition);
        let limit = self.limit.unwrap_or(usize::MAX);
        let schema = self.columns.schema.clone();
        if let Some(cached) = &self.cached {
            let share = cached.share(partition, self.shares, self.statement.clone());
            let scan = column_scan::ColumnScan::new(share, self.columns.clone(), self.dynamic.clone(), limit, self.statement.clone(), measured);
            let batches = futures::stream::try_unfold(scan, |mut scan| async move { Ok(scan.next().await?.map(|batch| (batch, scan))) });
            return Ok(Box::pin(RecordBatchStreamAdapter::new(schema, batches)));
        }
        let request = ShareRequest { table: self.table.clone(), share: partition, shares: self.shares, statement: self.statement.clone() };
        let state = (self.source.open(request), self.columns.clone(), limit, self.statement.clone(), measured);
        let at_once = (BATCH_BYTES / self.source.row_bytes(&self.table).max(1)).clamp(1, BATCH_ROWS as u64) as usize;
        let batches = futures::stream::try_unfold(state, move |(mut cursor, columns, left, statement, measured)| async move {
            if left == 0 {
                return Ok(None);
            }
            loop {
                // The one place that every analytic plan comes back to: here it learns that it is to stop.
                statement.check_interrupted().map_err(fault)?;
                let mut batch = None;
                let mut take = |schema: &TableSchema, rows: &[StoredRow<'_>]| {
                    batch = Some(columns.batch(schema, rows).map_err(fault_of)?);
                    Ok(())
                };
                let timer = measured.elapsed_compute().timer();
                let read = cursor.next(at_once, &mut take).await.map_err(fault)?;
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
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, batches)))
    }
}

impl ScanColumns {
    /// What is read: what the filter reads, then what only the output has.
    fn read(&self) -> Vec<Wanted> {
        self.read_places().into_iter().map(|p| self.wanted[p].clone()).collect()
    }
    pub fn read_places(&self) -> Vec<usize> {
        let mut places = self.filter.as_ref().map_or(Vec::new(), |f| f.reads.clone());
        for p in &self.output {
            if !places.contains(p) {
                places.push(*p);
            }
        }
        places
    }

    /// The output columns of those rows that pass the filter.
    fn batch(&self, schema: &TableSchema, rows: &[StoredRow<'_>]) -> Result<RecordBatch> {
        let Some(f) = &self.filter else {
            let arrays = self.output.iter().map(|p| self.made(*p, schema, rows.iter(), rows.len())).collect::<Result<_>>()?;
            return self.record(arrays, rows.len());
        };
        let read = f.reads.iter().map(|p| self.made(*p, schema, rows.iter(), rows.len())).collect::<Result<Vec<_>>>()?;
        let passed = f.passing(read.clone(), rows.len())?;
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
        let wanted = &self.wanted[place];
        let mut b = Builder::new(&wanted.to, count).ok_or_else(|| DataFusionError::Internal("a scanned column has no carrier".into()))?;
        if !b.push_rows(schema, wanted.key.ordinal as usize, rows) {
            return Err(fault(super::carrier_overflow()));
        }
        let values = b.finish();
        Ok(match wanted.key.weight {
            None => values,
            Some(collation) => weights(&values, collation),
        })
    }

    pub fn record(&self, arrays: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
        Ok(RecordBatch::try_new_with_options(self.schema.clone(), arrays, &RecordBatchOptions::new().with_row_count(Some(rows)))?)
    }
}
