//! A bound query: relational algebra over typed columns.
//!
//! Owns:     its inputs.
//! Promises: every [`ColumnId`] is made by exactly one node of the whole query and read only above it (or in a subquery below it, where it stands in `outer`).
//! Never:    names a table or a column by text, except to show it.

use serde::{Deserialize, Serialize};
use std::sync::Arc;
use weald_catalog::{Privilege, TableDef, table::TableRef};
use weald_expr::{AggregateFunction, Expr};
use weald_types::{ColumnId, SqlType, Value, Warning};

/// A column as the client is told of it (result-set metadata) and as the level above refers to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    pub id: ColumnId,
    pub ty: SqlType,
    /// What the result set calls it.
    pub name: Arc<str>,
    /// Where it comes from, for metadata: empty where it is computed.
    pub origin: Option<Arc<Origin>>,
}
#[derive(Clone, Debug, PartialEq)]
pub struct Origin {
    pub database: Box<str>,
    pub table: Box<str>,
    pub table_alias: Box<str>,
    pub column: Box<str>,
    pub flags: OriginFlags,
}
/// For the column-definition packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct OriginFlags {
    pub primary_key: bool,
    pub unique_key: bool,
    pub multiple_key: bool,
    /// Of any key, at any place in it.
    pub part_of_key: bool,
    pub auto_increment: bool,
    pub no_default: bool,
    pub default_now: bool,
    pub on_update_now: bool,
}

/// A relation. `columns()` gives its output, in order.
///
/// Only a [`Rel::Scan`] gives stored forms. Everything above it holds values as expressions make them: an ENUM column that went through a Project is text,
/// a TIMESTAMP is in session time, and their columns' types say VARCHAR and DATETIME. What the client is told stands in [`Query::columns`].
#[derive(Clone, Debug, PartialEq)]
pub enum Rel {
    /// All visible rows of a table. `columns[i]` is the table's column `ordinals[i]`, as it is stored (ENUM as its number, TIMESTAMP in UTC);
    /// an ordinal may be [`ROW_LOCATOR`]. `ordinals` may be empty: then only the number of rows counts.
    Scan {
        table: TableRef,
        ordinals: Vec<u16>,
        columns: Vec<Column>,
    },
    /// A table that the aggregator makes itself (information_schema); rows are asked for by name at execution.
    Virtual {
        name: Arc<str>,
        columns: Vec<Column>,
    },
    /// JSON_TABLE: the rows of a document, which may be made of columns of the surroundings (then it is the right side of a lateral join).
    JsonTable {
        document: Expr,
        table: Arc<weald_expr::json_table::JsonTable>,
        columns: Vec<Column>,
    },
    /// Constant rows; also SELECT without FROM (one row, no columns).
    Values {
        rows: Vec<Vec<Expr>>,
        columns: Vec<Column>,
    },
    Filter {
        input: Box<Rel>,
        predicate: Expr,
    },
    Project {
        input: Box<Rel>,
        exprs: Vec<Expr>,
        columns: Vec<Column>,
    },
    /// `on` may be any condition. For Semi and Anti the output is the left side's. NullAwareAnti is NOT IN.
    Join {
        kind: JoinKind,
        left: Box<Rel>,
        right: Box<Rel>,
        on: Option<Expr>,
        /** right side reads columns of the left (LATERAL) */
        lateral: bool,
    },
    /// Output: the group columns (`group[i].1`), then the aggregates'. With `rollup`, MySQL's WITH ROLLUP; `grouping` then reads a group column's flag.
    /// With `rollup` each group column is NULL where it is rolled up, and `grouping` is one more BIGINT column at the end: bit (number of groups - 1 - i) is set where `group[i]` is rolled up.
    Aggregate {
        input: Box<Rel>,
        group: Vec<(Expr, Column)>,
        aggregates: Vec<(Aggregate, Column)>,
        rollup: bool,
        grouping: Option<Column>,
    },
    /// Output: the input's columns, then one for each window function.
    Window {
        input: Box<Rel>,
        functions: Vec<(WindowFunction, Column)>,
    },
    Sort {
        input: Box<Rel>,
        keys: Vec<SortKey>,
    },
    /// `count` None: no limit.
    Limit {
        input: Box<Rel>,
        count: Option<Expr>,
        offset: Option<Expr>,
    },
    Distinct {
        input: Box<Rel>,
    },
    /// FOR UPDATE and FOR SHARE: as a row passes, the rows of tables that it was made of are locked, in the order of `tables`. One of which a part is to be
    /// passed by (SKIP LOCKED) does not pass. The rows must not be given to anybody before all have passed: a conflict begins the statement again.
    Lock {
        input: Box<Rel>,
        tables: Vec<LockedTable>,
    },
    /// Columns are matched by position; `columns` is the output, of unified types (inputs are already cast to them).
    SetOp {
        op: SetOp,
        all: bool,
        left: Box<Rel>,
        right: Box<Rel>,
        columns: Vec<Column>,
    },
    /// WITH RECURSIVE: `step` reads the rows of the last round through [`Rel::RecursionInput`] of the same `id`.
    Recursive {
        id: u32,
        seed: Box<Rel>,
        step: Box<Rel>,
        all: bool,
        columns: Vec<Column>,
    },
    RecursionInput {
        id: u32,
        columns: Vec<Column>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JoinKind {
    Inner,
    Left,
    Semi,
    Anti,
    NullAwareAnti,
    Cross,
}
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SetOp {
    Union,
    Intersect,
    Except,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SortKey {
    pub expr: Expr,
    pub descending: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Aggregate {
    pub function: AggregateFunction,
    /// Empty for COUNT(*).
    pub args: Vec<Expr>,
    pub distinct: bool,
    pub order_by: Vec<SortKey>,
    pub separator: Arc<str>,
    pub ty: SqlType,
}

#[derive(Clone, Debug, PartialEq)]
pub struct WindowFunction {
    pub kind: WindowKind,
    pub args: Vec<Expr>,
    pub partition_by: Vec<Expr>,
    pub order_by: Vec<SortKey>,
    pub frame: Frame,
    pub ty: SqlType,
}
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WindowKind {
    Aggregate(AggregateFunction),
    RowNumber,
    Rank,
    DenseRank,
    PercentRank,
    CumeDist,
    Ntile,
    Lag,
    Lead,
    FirstValue,
    LastValue,
    NthValue,
}
/// `rows` false: RANGE. The default frame is filled in by the binder.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    pub rows: bool,
    pub start: Bound,
    pub end: Bound,
}
#[derive(Clone, Debug, PartialEq)]
pub enum Bound {
    UnboundedPreceding,
    Preceding(Expr),
    CurrentRow,
    Following(Expr),
    UnboundedFollowing,
}

/// A bound query with its subqueries: `Expr::Subquery { index }` is `subqueries[index]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    pub root: Rel,
    pub subqueries: Vec<Rel>,
    /// What goes to the client; `root` may have more columns after these (hidden sort keys are projected away by the binder, so normally equal).
    pub columns: Vec<Column>,
    /// Literals and `?`, in order.
    pub params: Vec<SqlType>,
    /// Tables read, with the version they were bound at.
    pub tables: Vec<Arc<TableDef>>,
    /// What the client must hold before it runs.
    pub needs: Vec<Need>,
    /// SELECT … INTO
    pub into: Option<weald_sql::ast::Into>,
    /// SQL_CALC_FOUND_ROWS: rows are to be counted as if the outermost [`Rel::Limit`] were not there.
    pub calc_found_rows: bool,
    /// What binding had to say (ambiguous HAVING names and the like).
    pub warnings: Vec<Warning>,
    /// The joins stand in the order that the user asked for (STRAIGHT_JOIN).
    pub fixed_join_order: bool,
    /// Subqueries become joins wherever they can, even where running them for each row costs less: for an executor that has no other way.
    pub joins_only: bool,
    /// The expressions of a [`Rel::Values`] at its root go on into others, or into user variables: they keep all their decimals.
    pub parts: bool,
}

/// An ordinal of [`Rel::Scan`] that stands for no column: an opaque VARBINARY that names the row itself (its partition and its primary index key),
/// for UPDATE and DELETE of rows that a query has found.
pub const ROW_LOCATOR: u16 = u16::MAX;

/// A privilege that a statement needs: on the columns named, or where there are none named on the whole table; SELECT then on any one column of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Need {
    pub privilege: Privilege,
    pub database: Box<str>,
    pub table: Box<str>,
    pub columns: Vec<Box<str>>,
    /// FOR UPDATE: one of UPDATE, DELETE and LOCK TABLES is needed as well.
    pub locks: bool,
    /// The account that must hold it: a view's definer; None is whoever runs the statement.
    pub definer: Option<(Box<str>, Box<str>)>,
    /// The view (database, name) whose text needs it, if it is not the statement itself.
    pub view: Option<(Box<str>, Box<str>)>,
}
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Locking {
    pub exclusive: bool,
    pub no_wait: bool,
    pub skip_locked: bool,
}

impl Locking {
    /// As the statement says it.
    pub fn words(self) -> &'static str {
        match (self.exclusive, self.no_wait, self.skip_locked) {
            (true, true, _) => "for update nowait",
            (true, false, true) => "for update skip locked",
            (true, false, false) => "for update",
            (false, true, _) => "for share nowait",
            (false, false, true) => "for share skip locked",
            (false, false, false) => "for share",
        }
    }
}

/// A table whose rows [`Rel::Lock`] locks.
#[derive(Clone, Debug, PartialEq)]
pub struct LockedTable {
    pub table: TableRef,
    /// The input's column that holds the row's locator; NULL where an outer join found no row.
    pub locator: Expr,
    pub locking: Locking,
}

impl Rel {
    pub fn columns(&self) -> Vec<Column> {
        match self {
            Rel::Scan { columns, .. }
            | Rel::Virtual { columns, .. }
            | Rel::JsonTable { columns, .. }
            | Rel::Values { columns, .. }
            | Rel::Project { columns, .. }
            | Rel::SetOp { columns, .. }
            | Rel::Recursive { columns, .. }
            | Rel::RecursionInput { columns, .. } => columns.clone(),
            Rel::Filter { input, .. } | Rel::Sort { input, .. } | Rel::Limit { input, .. } | Rel::Distinct { input } | Rel::Lock { input, .. } => {
                input.columns()
            }
            Rel::Join { kind: JoinKind::Semi | JoinKind::Anti | JoinKind::NullAwareAnti, left, .. } => left.columns(),
            Rel::Join { left, right, .. } => {
                let mut all = left.columns();
                all.extend(right.columns());
                all
            }
            Rel::Aggregate { group, aggregates, grouping, .. } => {
                group.iter().map(|g| &g.1).chain(aggregates.iter().map(|a| &a.1)).chain(grouping).cloned().collect()
            }
            Rel::Window { input, functions } => {
                let mut all = input.columns();
                all.extend(functions.iter().map(|f| f.1.clone()));
                all
            }
        }
    }
}

/// Values for a query's parameters.
pub type Params = [Value];

impl Query {
    /// Whether it reads nothing and makes one row: SELECT of expressions without FROM, WHERE and the like, SET, DO.
    pub fn reads_nothing(&self) -> bool {
        fn one_row(rel: &Rel) -> bool {
            match rel {
                Rel::Values { rows, .. } => rows.len() == 1,
                Rel::Project { input, .. } | Rel::Limit { input, .. } | Rel::Sort { input, .. } | Rel::Distinct { input } => one_row(input),
                Rel::Scan { .. }
                | Rel::Virtual { .. }
                | Rel::JsonTable { .. }
                | Rel::Filter { .. }
                | Rel::Join { .. }
                | Rel::Aggregate { .. }
                | Rel::Window { .. }
                | Rel::Lock { .. }
                | Rel::SetOp { .. }
                | Rel::Recursive { .. }
                | Rel::RecursionInput { .. } => false,
            }
        }
        self.subqueries.is_empty() && one_row(&self.root)
    }

    /// How it locks rows, wherever it does.
    pub fn lockings(&self) -> Vec<Locking> {
        fn gather(rel: &Rel, out: &mut Vec<Locking>) {
            if let Rel::Lock { tables, .. } = rel {
                out.extend(tables.iter().map(|t| t.locking));
            }
            rel.inputs().into_iter().for_each(|i| gather(i, out));
        }
        let mut out = Vec::new();
        self.subqueries.iter().chain([&self.root]).for_each(|r| gather(r, &mut out));
        out
    }
}
