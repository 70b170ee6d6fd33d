//! Some rows of each table, for estimates.
//!
//! Owns:     a sample of each table that was lately estimated.
//! Promises: a bounded number of rows, from all over the table, as they were committed when the sample was taken; a table that has grown or shrunk much since
//!           is sampled anew.
//! Never:    matters to an answer; waits.
//!
//! Filters are asked of the sampled rows by the same evaluator that runs the query. How many different values a column has is estimated from rows that do
//! not lie side by side, as those tend to be alike.

use crate::engine::Engine;
use crate::stored::Fields;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use weald_catalog::TableDef;
use weald_catalog::TableRef;
use weald_expr::{EvalContext, Expr, StatementContext, eval, is_true, sorted_list};
use weald_partition::{Cursor, Reading, Step, TableSchema};
use weald_plan::Statistics;
use weald_types::{SchemaVersion, TableId, Value};

/// Places in a table at which rows are taken, and how many at each.
const PLACES: usize = 256;
const ROWS_EACH: usize = 8;
/// A table with fewer rows is not sampled: rules of thumb do.
const LEAST_ROWS: u64 = 1000;
/// Tables whose samples are kept.
const MOST_TABLES: usize = 64;

#[derive(Default)]
pub(crate) struct Samples {
    tables: Mutex<HashMap<TableId, Arc<Sample>>>,
}

struct Sample {
    version: SchemaVersion,
    /// Rows in the table when it was taken.
    of: u64,
    /// Not the table: a sample must not keep a dropped one.
    schema: Arc<TableSchema>,
    rows: Vec<(SchemaVersion, Box<[u8]>)>,
    /// Of the rows, those that begin a place.
    apart: Vec<u32>,
    distinct: Mutex<HashMap<u16, Option<f64>>>,
}

impl Sample {
    fn take(engine: &Engine, table: &TableDef) -> Option<Self> {
        let tables = engine.tables(table).ok()?;
        let snapshot = engine.node.snapshot();
        let places = PLACES.div_ceil(tables.len().max(1));
        let (mut rows, mut apart) = (Vec::new(), Vec::new());
        for (_, t) in &tables {
            for range in t.split(places) {
                let mut cursor = Cursor::rows(range);
                let reading = Reading::new();
                let mut found = Vec::new();
                match t.scan_rows_into(&mut cursor, snapshot.view(), ROWS_EACH, &reading, &mut found) {
                    Step::Done | Step::More | Step::Blocked(_) | Step::IndexGone => (),
                }
                if !found.is_empty() {
                    apart.push(rows.len() as u32);
                }
                rows.extend(found.iter().take(ROWS_EACH).map(|r| (r.version, r.bytes.into())));
            }
        }
        let schema = tables.first()?.1.schema().clone();
        Some(Self { version: table.version, of: engine.size(table).0, schema, rows, apart, distinct: Mutex::default() })
    }

    fn fields<'s>(&'s self, row: &'s (SchemaVersion, Box<[u8]>)) -> Fields<'s> {
        Fields { schema: &self.schema, version: row.0, bytes: &row.1 }
    }

    /// `None`: nearly every row has another one, as far as the sample shows.
    fn distinct(&self, ordinal: u16) -> Option<f64> {
        *self.distinct.lock().entry(ordinal).or_insert_with(|| {
            let mut counts: HashMap<String, u32> = HashMap::new();
            for at in &self.apart {
                let (version, bytes) = &self.rows[*at as usize];
                let value = self.schema.field(*version, bytes, ordinal as usize);
                *counts.entry(format!("{value:?}")).or_default() += 1;
            }
            let (n, once) = (self.apart.len() as f64, counts.values().filter(|c| **c == 1).count() as f64);
            if n < 16.0 || once > 0.6 * n {
                return None;
            }
            // Charikar et al. 2000: those seen once stand for many, the others for themselves.
            Some((self.of as f64 / n).sqrt() * once + (counts.len() as f64 - once))
        })
    }
}

/// What a statement estimates by: see [`Statistics`].
pub struct Sampled<'a> {
    engine: &'a Engine,
    statement: &'a StatementContext,
    params: &'a [Value],
    known: Mutex<Vec<(TableId, Expr, Option<f64>)>>,
}

impl Engine {
    /// Statistics for one statement.
    pub fn sampled<'a>(&'a self, statement: &'a StatementContext, params: &'a [Value]) -> Sampled<'a> {
        Sampled { engine: self, statement, params, known: Mutex::default() }
    }

    fn sample(&self, table: &TableDef) -> Option<Arc<Sample>> {
        let rows = self.size(table).0;
        if rows < LEAST_ROWS {
            return None;
        }
        let known = self.samples.tables.lock().get(&table.id).cloned();
        if let Some(s) = known.filter(|s| s.version == table.version && rows.abs_diff(s.of) <= s.of / 8) {
            return Some(s);
        }
        let new = Arc::new(Sample::take(self, table)?);
        let mut tables = self.samples.tables.lock();
        if tables.len() >= MOST_TABLES {
            tables.clear();
        }
        tables.insert(table.id, new.clone());
        Some(new)
    }
}

impl Statistics for Sampled<'_> {
    fn rows(&self, table: &TableDef) -> Option<u64> {
        Some(self.engine.size(table).0)
    }

    fn passing(&self, table: &TableRef, filter: &Expr) -> Option<f64> {
        if let Some((_, _, known)) = self.known.lock().iter().find(|k| k.0 == table.id && k.1 == *filter) {
            return *known;
        }
        let estimate = || {
            // Where an index finds the rows, the rule of thumb for it is as good, and looking costs more than finding.
            if !matches!(weald_plan::access::choose(table, &weald_expr::walk::conjuncts(filter)).access, weald_plan::fragment::Access::Full) {
                return None;
            }
            let sample = self.engine.sample(table)?;
            let ctx = EvalContext { statement: self.statement, params: self.params, subqueries: &[] };
            let sorted = sorted_list::prepare(filter, &ctx);
            let filter = sorted.as_ref().unwrap_or(filter);
            let mut passed = 0;
            for row in &sample.rows {
                passed += is_true(&eval(filter, &sample.fields(row), &ctx).ok()?) as usize;
            }
            (!sample.rows.is_empty()).then(|| (passed as f64).max(0.5) / sample.rows.len() as f64)
        };
        let found = self.statement.unheard(estimate);
        self.known.lock().push((table.id, filter.clone(), found));
        found
    }

    fn distinct(&self, table: &TableRef, ordinal: u16) -> Option<f64> {
        self.engine.sample(table)?.distinct(ordinal)
    }
}
