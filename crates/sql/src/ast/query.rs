//! Queries as written: SELECT, VALUES, TABLE and what joins them.
//!
//! Owns:     its text.
//! Promises: every form the parser accepts is here in full; nothing is dropped on the way.
//! Never:    resolves a name or a type.

use super::*;

/// WITH … body ORDER BY … LIMIT …
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    pub with: Option<With>,
    pub body: SetExpr,
    pub order_by: Vec<OrderItem>,
    pub limit: Option<Limit>,
    /// FOR UPDATE, FOR SHARE, LOCK IN SHARE MODE: as many as there are.
    pub locking: Vec<Locking>,
    pub into: Option<Into>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct With {
    pub recursive: bool,
    pub ctes: Vec<Cte>,
}
#[derive(Clone, Debug, PartialEq)]
pub struct Cte {
    pub name: Ident,
    pub columns: Vec<Ident>,
    pub query: Box<Query>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum SetExpr {
    Select(Box<Select>),
    /// A parenthesised query with its own ORDER BY and LIMIT.
    Query(Box<Query>),
    Values(Vec<Vec<Expr>>),
    Table(ObjectName),
    SetOp {
        op: SetOp,
        all: bool,
        left: Box<SetExpr>,
        right: Box<SetExpr>,
    },
}
impl Query {
    /// The time that the statement is given by its first SELECT's hint.
    pub fn time_limit(&self) -> Option<u64> {
        let mut body = &self.body;
        loop {
            match body {
                SetExpr::Select(s) => return s.time_limit,
                SetExpr::Query(q) => body = &q.body,
                SetExpr::SetOp { left, .. } => body = left,
                SetExpr::Values(_) | SetExpr::Table(_) => return None,
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetOp {
    Union,
    Intersect,
    Except,
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct Select {
    pub distinct: bool,
    pub straight_join: bool,
    pub calc_found_rows: bool,
    /// `/*+ MAX_EXECUTION_TIME(n) */`, in milliseconds.
    pub time_limit: Option<u64>,
    pub items: Vec<SelectItem>,
    /// Comma-separated; each may hold joins. Empty for a SELECT without FROM (or FROM DUAL).
    pub from: Vec<TableRef>,
    pub filter: Option<Expr>,
    pub group_by: Vec<OrderItem>,
    pub rollup: bool,
    pub having: Option<Expr>,
    pub windows: Vec<(Ident, WindowSpec)>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum SelectItem {
    Wildcard,
    QualifiedWildcard(ObjectName),
    /// `span` covers the expression: its text is the column's name where there is no alias.
    Expr {
        expr: Expr,
        alias: Option<Ident>,
        span: Span,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub enum TableRef {
    Table { name: ObjectName, alias: Option<Ident>, hints: Vec<IndexHint> },
    Derived { query: Box<Query>, alias: Option<Ident>, columns: Vec<Ident>, lateral: bool },
    Join { kind: JoinKind, natural: bool, left: Box<TableRef>, right: Box<TableRef>, on: JoinOn },
    JsonTable { doc: Box<Expr>, path: String, columns: Vec<JsonTableColumn>, alias: Ident },
}
#[derive(Clone, Debug, PartialEq)]
pub enum JsonTableColumn {
    Ordinality(Ident),
    Path { name: Ident, data_type: DataType, path: String, exists: bool, on_empty: Option<JsonOn>, on_error: Option<JsonOn> },
    Nested { path: String, columns: Vec<JsonTableColumn> },
}
/// ON EMPTY and ON ERROR of JSON_TABLE and JSON_VALUE.
#[derive(Clone, Debug, PartialEq)]
pub enum JsonOn {
    Null,
    Error,
    Default(Box<Expr>),
}
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinKind {
    Inner,
    Cross,
    Straight,
    Left,
    Right,
    Full,
}
#[derive(Clone, Debug, PartialEq)]
pub enum JoinOn {
    None,
    On(Expr),
    Using(Vec<Ident>),
}
#[derive(Clone, Debug, PartialEq)]
pub struct IndexHint {
    pub kind: IndexHintKind,
    pub indexes: Vec<Ident>,
}
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexHintKind {
    Use,
    Force,
    Ignore,
}

#[derive(Clone, Debug, PartialEq)]
pub struct OrderItem {
    pub expr: Expr,
    pub descending: bool,
}
#[derive(Clone, Debug, PartialEq)]
pub struct Limit {
    pub count: Expr,
    pub offset: Option<Expr>,
}
#[derive(Clone, Debug, PartialEq)]
pub struct Locking {
    pub exclusive: bool,
    pub of: Vec<Ident>,
    pub wait: LockWait,
}
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockWait {
    Default,
    NoWait,
    SkipLocked,
}
#[derive(Clone, Debug, PartialEq)]
pub enum Into {
    Variables(Vec<Ident>),
    Outfile { path: String, charset: Option<String>, format: LoadFormat },
    Dumpfile(String),
}
