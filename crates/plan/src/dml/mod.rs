//! INSERT, REPLACE, UPDATE, DELETE and LOAD DATA, bound.
//!
//! Owns:     nothing.
//! Promises: `ColumnId(ordinal)` is a column of the row that is changed or made; what a row must satisfy goes with it as [`RowRules`].
//! Never:    evaluates anything: values, auto-increment numbers and partitions are found at execution.

pub mod copy;
pub mod delete;
pub mod insert;
pub mod load;
pub mod rules;
pub mod update;

pub use copy::{BoundCopy, CopiedColumn, bind_copy};
pub use delete::bind_delete;
pub use insert::bind_insert;
pub use load::bind_load;
pub use rules::row_rules;
pub use update::{bind_update, locator_type};

use crate::fragment::{Access, FragmentPlan};
use crate::query::{Need, Query, Rel};
use crate::walk;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::Arc;
use weald_catalog::TableDef;
use weald_catalog::table::TableRef;
use weald_expr::Expr;
use weald_types::{ColumnId, SqlType, Warning};

/// What every row of a table must be given and must satisfy, over `ColumnId(ordinal)` of the new row.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct RowRules {
    /// Generated columns, in the order in which they can be computed.
    pub generated: Vec<(u16, Expr)>,
    /// ON UPDATE CURRENT_TIMESTAMP columns that the statement does not assign: set to their expression if any other column's value changed.
    pub on_update: Vec<(u16, Expr)>,
    /// CHECK constraints: violated where FALSE (not NULL): 3819 with the name.
    pub checks: Vec<(Box<str>, Expr)>,
}

/// How a column of a new row gets its value where the source has none (or says DEFAULT).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Fill {
    /// A constant, CURRENT_TIMESTAMP, or DEFAULT (expr), which may read columns before it.
    Default(Expr),
    /// The next auto-increment value. (A source value of NULL, or 0 unless NO_AUTO_VALUE_ON_ZERO, asks for one too.)
    AutoIncrement,
    /// From [`RowRules::generated`].
    Generated,
    /// NOT NULL without a default: 1364 in strict mode; otherwise a warning and the type's zero.
    Missing,
}

/// A value in VALUES (…).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Given {
    Expr(Expr),
    /** DEFAULT */
    Default,
}

#[derive(Clone, Debug, PartialEq)]
pub struct BoundInsert {
    pub table: TableRef,
    /// For each column of the table: where the source stands, if it gives it.
    pub source_of: Vec<Option<u16>>,
    /// For each column of the table: its value if the source does not give it.
    pub fill: Vec<Fill>,
    pub source: InsertSource,
    pub rules: Arc<RowRules>,
    pub replace: bool,
    pub ignore: bool,
    pub on_duplicate: BoundOnDuplicate,
    pub params: Vec<SqlType>,
    pub needs: Vec<Need>,
    pub warnings: Vec<Warning>,
    /// Subqueries of expressions in `source` rows and in `on_duplicate`.
    pub subqueries: Vec<crate::query::Rel>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum InsertSource {
    /// Each entry has one value for each column that the statement names, in its order. `ColumnId(ordinal)` in it: the column of the row being made (assigned before, else its default).
    Rows(Arc<[Vec<Given>]>),
    Query(Box<Query>),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum BoundOnDuplicate {
    Error,
    /// REPLACE: every row in the way is deleted.
    Replace,
    /// With n columns in the table: the old row's columns are `ColumnId(ordinal)`, the refused row's `ColumnId(n + ordinal)`, and column i of a source query is
    /// `ColumnId(2 * n + i)`.
    Update {
        assignments: Vec<(u16, Assigned)>,
        rules: Arc<RowRules>,
    },
}

/// The right side of `column = …`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Assigned {
    Expr(Expr),
    /** DEFAULT */
    Fill(Fill),
}

#[derive(Clone, Debug, PartialEq)]
pub enum BoundUpdate {
    /// One table, found and changed in place; the row stays in its partition.
    Fragment(FragmentPlan),
    /// Rows found by a query, then changed by their locators.
    Rows(RowChanges),
}

#[derive(Clone, Debug, PartialEq)]
pub enum BoundDelete {
    Fragment(FragmentPlan),
    Rows(RowChanges),
}

impl BoundUpdate {
    pub fn needs(&self) -> &[Need] {
        match self {
            BoundUpdate::Fragment(plan) => &plan.needs,
            BoundUpdate::Rows(changes) => &changes.query.needs,
        }
    }
    /// Whether what is changed is looked for by a key.
    pub fn finds_by_key(&self) -> bool {
        match self {
            BoundUpdate::Fragment(plan) => plan.fragment.access != Access::Full,
            BoundUpdate::Rows(changes) => changes.find_by_key(),
        }
    }
}

impl BoundDelete {
    pub fn needs(&self) -> &[Need] {
        match self {
            BoundDelete::Fragment(plan) => &plan.needs,
            BoundDelete::Rows(changes) => &changes.query.needs,
        }
    }
    pub fn finds_by_key(&self) -> bool {
        match self {
            BoundDelete::Fragment(plan) => plan.fragment.access != Access::Full,
            BoundDelete::Rows(changes) => changes.find_by_key(),
        }
    }
}

impl RowChanges {
    /// Whether a condition speaks of a key's first column, for every table that is changed.
    fn find_by_key(&self) -> bool {
        self.targets.iter().all(|t| {
            let mut keys = BTreeSet::new();
            key_columns(&self.query.root, &t.table, &mut keys);
            speaks_of(&self.query.root, &keys)
        })
    }
}

/// The columns under `rel` by which rows of `table` can be looked up.
fn key_columns(rel: &Rel, table: &TableDef, found: &mut BTreeSet<ColumnId>) {
    match rel {
        Rel::Scan { table: t, ordinals, columns } if t.id == table.id => {
            let first = |ordinal: u16| t.indexes.iter().any(|i| i.ready && i.parts.first().is_some_and(|p| p.column == ordinal));
            found.extend(ordinals.iter().zip(columns).filter(|(o, _)| first(**o)).map(|(_, c)| c.id));
        }
        other => other.inputs().into_iter().for_each(|r| key_columns(r, table, found)),
    }
}

fn speaks_of(rel: &Rel, keys: &BTreeSet<ColumnId>) -> bool {
    let here = match rel {
        Rel::Filter { predicate, .. } => walk::columns(predicate).iter().any(|c| keys.contains(c)),
        Rel::Join { on: Some(on), .. } => walk::columns(on).iter().any(|c| keys.contains(c)),
        _ => false,
    };
    here || rel.inputs().into_iter().any(|r| speaks_of(r, keys))
}

/// UPDATE or DELETE of what a query finds. A row that the query gives more than once is changed the first time only.
#[derive(Clone, Debug, PartialEq)]
pub struct RowChanges {
    pub query: Query,
    pub targets: Vec<ChangeTarget>,
    pub ignore: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ChangeTarget {
    pub table: TableRef,
    /// The query's output column that holds the row's locator ([`crate::query::ROW_LOCATOR`]); NULL where an outer join found no row.
    pub locator: usize,
    /// Column ordinal, and the query's output column that holds its new value. Empty for DELETE.
    pub values: Vec<(u16, usize)>,
    pub rules: Arc<RowRules>,
    /// An assignment touches the shard key: the row may have to move to another partition.
    pub moves: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct BoundLoad {
    pub table: TableRef,
    /// What each field of the file becomes.
    pub targets: Vec<LoadField>,
    /// SET column = expr: fields are `ColumnId(ordinal)` of the columns they were read into.
    pub set: Vec<(u16, Assigned)>,
    pub source_of: Vec<Option<u16>>,
    pub fill: Vec<Fill>,
    pub rules: Arc<RowRules>,
    pub duplicates: weald_sql::ast::LoadDuplicates,
    pub needs: Vec<Need>,
    pub warnings: Vec<Warning>,
    pub subqueries: Vec<crate::query::Rel>,
}
#[derive(Clone, Debug, PartialEq)]
pub enum LoadField {
    Column(u16),
    Variable(Arc<str>),
}
