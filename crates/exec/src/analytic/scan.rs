//! A table as DataFusion sees it: streams of Arrow batches, one for each share of the rows.
//!
//! Owns:     nothing; reads at the statement's snapshot through [`BatchSource`].
//! Promises: row counts for the join order; never declares a hash partitioning (DataFusion would assume its own hash function).
//! Never:    filters: what the access path does not settle is above the scan.

use super::carrier::{self, Builder};
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result, Statistics};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, ReplaceChildrenOptions};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};
use futures::future::BoxFuture;
use std::fmt;
use std::sync::Arc;
use weald_catalog::TableRef;
use weald_plan::fragment::Access;
use weald_types::row::FieldRef;
use weald_types::{Fault, SqlType};

/// Rows a batch holds at most; DataFusion's own default.
pub const BATCH_ROWS: usize = 8192;

/// One scan, and which share of it.
#[derive(Clone, Debug)]
pub struct ShareRequest {
    pub table: TableRef,
    pub access: Access,
    pub ordinals: Arc<[u16]>,
    pub share: usize,
    pub shares: usize,
}

/// Stored rows by shares, each read by one thread.
pub trait BatchSource: Send + Sync + fmt::Debug {
    /// How many shares `table` falls into.
    fn shares(&self, table: &TableRef) -> usize;
    fn row_count(&self, table: &TableRef) -> u64;
    fn open(&self, request: ShareRequest) -> Box<dyn RowCursor>;
}

/// A position in one share.
pub trait RowCursor: Send {
    /// Calls `each(column, field)` for every wanted column (by its place in `ordinals`) of at most `rows` further rows; gives how many there were, 0 at the end.
    fn next<'a>(&'a mut self, rows: usize, each: &'a mut (dyn FnMut(usize, FieldRef<'_>) + Send))
    -> BoxFuture<'a, std::result::Result<usize, Fault>>;
}

#[derive(Debug)]
pub struct Table {
    pub table: TableRef,
    pub access: Access,
    pub ordinals: Vec<u16>,
    pub schema: SchemaRef,
    pub source: Arc<dyn BatchSource>,
}

impl Table {
    /// `None`: a wanted column has no carrier.
    pub fn new(table: TableRef, access: Access, columns: &[(u16, String, SqlType)], source: Arc<dyn BatchSource>) -> Option<Self> {
        let fields = columns.iter().map(|(_, name, ty)| Some(Field::new(name, carrier::data_type(ty)?, ty.nullable))).collect::<Option<Vec<_>>>()?;
        Some(Self { table, access, ordinals: columns.iter().map(|c| c.0).collect(), schema: Arc::new(Schema::new(fields)), source })
    }

    fn plan(&self, projection: Option<&Vec<usize>>) -> Result<Arc<dyn ExecutionPlan>> {
        let (schema, ordinals) = match projection {
            Some(p) => (Arc::new(self.schema.project(p)?), p.iter().map(|i| self.ordinals[*i]).collect()),
            None => (self.schema.clone(), self.ordinals.clone()),
        };
        let shares = self.source.shares(&self.table).max(1);
        let equivalence = EquivalenceProperties::new(schema.clone());
        let properties = PlanProperties::new(equivalence, Partitioning::UnknownPartitioning(shares), EmissionType::Incremental, Boundedness::Bounded);
        Ok(Arc::new(ScanExec {
            table: self.table.clone(),
            access: self.access.clone(),
            ordinals: ordinals.into(),
            schema,
            shares,
            source: self.source.clone(),
            properties: Arc::new(properties),
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
        _: &'life1 dyn Session,
        projection: Option<&'life2 Vec<usize>>,
        _: &'life3 [Expr],
        _: Option<usize>,
    ) -> BoxFuture<'async_trait, Result<Arc<dyn ExecutionPlan>>>
    where
        'life0: 'async_trait,
        'life1: 'async_trait,
        'life2: 'async_trait,
        'life3: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(std::future::ready(self.plan(projection)))
    }
}

#[derive(Debug)]
struct ScanExec {
    table: TableRef,
    access: Access,
    ordinals: Arc<[u16]>,
    schema: SchemaRef,
    shares: usize,
    source: Arc<dyn BatchSource>,
    properties: Arc<PlanProperties>,
}

impl DisplayAs for ScanExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TableScan {}.{} shares={}", self.table.database_name, self.table.name, self.shares)
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
        let rows = self.source.row_count(&self.table) as usize / partition.map_or(1, |_| self.shares);
        let mut s = Statistics::new_unknown(&self.schema);
        s.num_rows = Precision::Inexact(rows);
        s.total_byte_size = Precision::Inexact(rows * 16 * self.ordinals.len().max(1));
        Ok(Arc::new(s))
    }

    fn execute(&self, partition: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let request = ShareRequest {
            table: self.table.clone(),
            access: self.access.clone(),
            ordinals: self.ordinals.clone(),
            share: partition,
            shares: self.shares,
        };
        let (cursor, schema) = (self.source.open(request), self.schema.clone());
        let batches = futures::stream::try_unfold((cursor, schema), |(mut cursor, schema)| async move {
            Ok(next_batch(&mut cursor, &schema).await?.map(|b| (b, (cursor, schema))))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), batches)))
    }
}

async fn next_batch(cursor: &mut Box<dyn RowCursor>, schema: &SchemaRef) -> Result<Option<RecordBatch>> {
    let carrier_missing = || DataFusionError::Internal("a scanned column has no carrier".into());
    let mut builders =
        schema.fields().iter().map(|f| Builder::new(f.data_type(), BATCH_ROWS).ok_or_else(carrier_missing)).collect::<Result<Vec<_>>>()?;
    let mut push = |column: usize, field: FieldRef<'_>| builders[column].push_field(field);
    let rows = cursor.next(BATCH_ROWS, &mut push).await.map_err(|f| DataFusionError::External(Box::new(f)))?;
    if rows == 0 {
        return Ok(None);
    }
    let arrays = builders.iter_mut().map(Builder::finish).collect();
    Ok(Some(RecordBatch::try_new_with_options(schema.clone(), arrays, &RecordBatchOptions::new().with_row_count(Some(rows)))?))
}
