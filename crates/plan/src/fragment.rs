//! The piece of a plan that one partition runs: reads and writes of one table.
//!
//! Owns:     nothing.
//! Promises: refers to the table's columns as `ColumnId(ordinal)`, to values bound at execution as `Expr::Param`.
//! Never:    crosses partitions; `exec` sends one to each partition concerned and merges.

use std::ops::Bound;
use std::sync::Arc;
use weald_catalog::table::TableRef;
use weald_expr::Expr;
use weald_types::{IndexId, SqlType};
use crate::query::{Aggregate, Locking, SortKey};

/// One table's work in one partition.
#[derive(Clone, Debug, PartialEq)]
pub struct Fragment {
    pub table: TableRef,
    pub access: Access,
    /// What `access` does not settle already.
    pub filter: Option<Expr>,
    pub action: Action,
}

/// How rows are found. Key expressions hold literals and params only.
#[derive(Clone, Debug, PartialEq)]
pub enum Access {
    Full,
    /// One row, by every part of a unique index.
    Point { index: IndexId, key: Vec<Expr> },
    /// Several rows by unique keys (`IN`).
    Points { index: IndexId, keys: Vec<Vec<Expr>> },
    /// Equal on `prefix`, then a range on the next part; in index order, or backwards.
    Range { index: IndexId, prefix: Vec<Expr>, low: Bound<Expr>, high: Bound<Expr>, reverse: bool },
}

#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Rows of `exprs`; with `aggregates`, groups: the group keys then the aggregates over them.
    Read { exprs: Vec<(Expr, SqlType)>, group: Vec<Expr>, aggregates: Vec<Aggregate>, distinct: bool, sort: Vec<SortKey>, limit: Option<Expr>, offset: Option<Expr>, lock: Option<Locking> },
    /// Assign `(column ordinal, expression over the old row)` in order; later ones see earlier ones' values.
    Update { assignments: Vec<(u16, Expr)>, sort: Vec<SortKey>, limit: Option<Expr>, ignore: bool },
    Delete { sort: Vec<SortKey>, limit: Option<Expr> },
    /// One entry of `rows` for each row: a value for every column, in order.
    Insert { rows: Arc<[Vec<Expr>]>, on_duplicate: OnDuplicate },
}

#[derive(Clone, Debug, PartialEq)]
pub enum OnDuplicate {
    Error,
    Ignore,
    Replace,
    /// Old row's columns are ColumnId(ordinal), the refused row's are ColumnId(ordinal + number of columns).
    Update(Vec<(u16, Expr)>),
}
