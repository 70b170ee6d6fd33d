//! The piece of a plan that one partition runs: reads and writes of one table.
//!
//! Owns:     nothing.
//! Promises: refers to the table's columns as `ColumnId(ordinal)`, to values bound at execution as `Expr::Param`.
//! Never:    crosses partitions; `exec` sends one to each partition concerned and merges.

use crate::dml::RowRules;
use crate::query::{Aggregate, Column, Locking, Need, SortKey};
use serde::{Deserialize, Serialize};
use std::ops::Bound;
use std::sync::Arc;
use weald_catalog::table::TableRef;
use weald_expr::{AggregateFunction, Expr};
use weald_types::{IndexId, SqlType, Warning};

/// One table's work in one partition.
#[derive(Clone, Debug, PartialEq)]
pub struct Fragment {
    pub table: TableRef,
    pub access: Access,
    /// What `access` does not settle already.
    pub filter: Option<Expr>,
    pub action: Action,
}

/// How rows are found. Key expressions read no column: they are evaluated once. Their values order as the index part does but need not lie within its type
/// (1000 for a TINYINT, session time for a TIMESTAMP, text for an ENUM): [`crate::key_values::resolve`] makes keys of them and says what is empty.
/// A key that is NULL finds nothing, but for a literal NULL in the `prefix` of a range, which means IS NULL.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Access {
    Full,
    /// One row, by every part of a unique index.
    Point {
        index: IndexId,
        key: Vec<Expr>,
    },
    /// For each key the row, or where the key is shorter than the index or the index is not unique, all rows equal on it. Keys may turn out equal: each row comes once.
    Points {
        index: IndexId,
        keys: Vec<Vec<Expr>>,
    },
    /// Equal on `prefix`, then a range on the next part; in index order, or backwards. `low` and `high` speak of values, also where the part is descending.
    /// A bound that turns out NULL makes the range empty. Where the next part has a bound, its NULLs are outside the range; with no bound, they are in it.
    Range {
        index: IndexId,
        prefix: Vec<Expr>,
        low: Bound<Expr>,
        high: Bound<Expr>,
        reverse: bool,
    },
    /// Equal on `prefix`, and the next part in one of the ranges, which may overlap: each row comes once. A range that turns out NULL is empty.
    Ranges {
        index: IndexId,
        prefix: Vec<Expr>,
        ranges: Vec<Interval>,
    },
    /// Equal on `prefix`, and the next part begins with what stands before the first wildcard of `pattern`. The LIKE itself remains to be checked.
    Like {
        index: IndexId,
        prefix: Vec<Expr>,
        pattern: Expr,
        escape: Option<char>,
    },
}

/// What lies between two bounds.
pub type Interval = (Bound<Expr>, Bound<Expr>);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Action {
    /// Rows of `exprs`; with `group` or `aggregates`, groups: the group keys then the aggregates over them, and `exprs` is empty.
    /// Order of work: filter, group, `exprs`, distinct, sort, offset, limit. `sort` reads the table's columns; with groups or `distinct` it reads the output, `ColumnId(i)` being output column i.
    /// Where `sort` is empty rows come in the order of `access`.
    Read {
        exprs: Vec<(Expr, SqlType)>,
        group: Vec<Expr>,
        aggregates: Vec<Aggregate>,
        distinct: bool,
        sort: Vec<SortKey>,
        limit: Option<Expr>,
        offset: Option<Expr>,
        lock: Option<Locking>,
    },
    /// Assign `(column ordinal, expression over the old row)` in order; later ones see earlier ones' values. Then `rules` complete and check the row.
    Update {
        assignments: Vec<(u16, Expr)>,
        rules: Arc<RowRules>,
        sort: Vec<SortKey>,
        limit: Option<Expr>,
        ignore: bool,
    },
    Delete {
        sort: Vec<SortKey>,
        limit: Option<Expr>,
    },
    /// One entry of `rows` for each row: a value for every column, in order, complete and checked.
    Insert {
        rows: Arc<[Vec<Expr>]>,
        on_duplicate: OnDuplicate,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum OnDuplicate {
    Error,
    Ignore,
    Replace,
    /// Old row's columns are ColumnId(ordinal), the refused row's are ColumnId(ordinal + number of columns).
    Update(Vec<(u16, Expr)>),
}

/// A whole statement that is one fragment, the same in every partition concerned.
#[derive(Clone, Debug, PartialEq)]
pub struct FragmentPlan {
    pub fragment: Fragment,
    /// Other ways to do the same: which finds the fewest rows is known when the values are.
    pub others: Vec<Fragment>,
    pub target: Target,
    /// Only for reads.
    pub gather: Gather,
    /// What the client is told; empty for writes.
    pub columns: Arc<[Column]>,
    pub params: Vec<SqlType>,
    pub needs: Vec<Need>,
    /// What binding had to say.
    pub warnings: Vec<Warning>,
}

/// Which partitions a fragment goes to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Target {
    /// The one that holds this shard key (a value for each of its columns, in order, cast to the column's type). A NULL among them is a value like others.
    Key(Vec<Expr>),
    /// Those that hold these shard keys. With [`Access::Points`] `keys[i]` belongs to the point `i`: a partition needs to look for its own only.
    Keys(Vec<Vec<Expr>>),
    /// The table is whole in this partition.
    Ordinal(u32),
    /// A reference table: any copy for a read, all for a write.
    Copy,
    All,
}

/// How the answers of several partitions become one. Output columns of the fragment are `ColumnId(i)`. For one partition only `exprs`, `having` and `visible` remain to be done:
/// the fragment itself sorted and limited (with groups: grouped).
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct Gather {
    /// Groups of equal first `group` columns become one, the other columns merged by these.
    pub group: usize,
    pub merge: Vec<AggregateFunction>,
    /// There is one row at the end, even of no input: aggregates without GROUP BY.
    pub single_group: bool,
    pub having: Option<Expr>,
    /// Computed over the merged row; empty: the row as it is.
    pub exprs: Vec<Expr>,
    pub distinct: bool,
    /// Over the row after `exprs`. The partitions' answers come sorted by it unless there are groups.
    pub sort: Vec<SortKey>,
    pub limit: Option<Expr>,
    pub offset: Option<Expr>,
    /// How many of the columns go to the client; the rest served the sort.
    pub visible: usize,
}
