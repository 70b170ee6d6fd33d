//! Changes of data as written: INSERT, UPDATE, DELETE, LOAD DATA.
//!
//! Owns:     its text.
//! Promises: every form the parser accepts is here in full; nothing is dropped on the way.
//! Never:    resolves a name or a type.

use super::*;

#[derive(Clone, Debug, PartialEq)]
pub struct Insert {
    pub replace: bool,
    /// DELAYED: carried out as if it were not there, with a warning.
    pub delayed: bool,
    pub ignore: bool,
    pub table: ObjectName,
    /// Empty: all columns in order.
    pub columns: Vec<Ident>,
    pub source: InsertSource,
    /// `AS new(a, b)` row alias
    pub row_alias: Option<(Ident, Vec<Ident>)>,
    pub on_duplicate: Vec<(ObjectColumn, Expr)>,
}
#[derive(Clone, Debug, PartialEq)]
pub enum InsertSource {
    /// DEFAULT stands as [`Expr::Default`].
    Values(Vec<Vec<Expr>>),
    Query(Box<Query>),
}
/// `[[database.]table.]column` on the left of an assignment.
#[derive(Clone, Debug, PartialEq)]
pub struct ObjectColumn {
    pub database: Option<Ident>,
    pub table: Option<Ident>,
    pub name: Ident,
}
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    pub with: Option<With>,
    pub ignore: bool,
    pub tables: Vec<TableRef>,
    pub assignments: Vec<(ObjectColumn, Expr)>,
    pub filter: Option<Expr>,
    pub order_by: Vec<OrderItem>,
    pub limit: Option<Expr>,
}
#[derive(Clone, Debug, PartialEq)]
pub struct Delete {
    pub with: Option<With>,
    pub ignore: bool,
    /// Multi-table form: the tables (or aliases) deleted from. Empty for the single-table form, whose table stands in `from`.
    pub targets: Vec<ObjectName>,
    pub from: Vec<TableRef>,
    pub filter: Option<Expr>,
    pub order_by: Vec<OrderItem>,
    pub limit: Option<Expr>,
}
#[derive(Clone, Debug, PartialEq)]
pub struct LoadData {
    pub local: bool,
    pub path: String,
    pub duplicates: LoadDuplicates,
    pub table: ObjectName,
    pub charset: Option<String>,
    pub format: LoadFormat,
    pub ignore_lines: u64,
    pub targets: Vec<LoadTarget>,
    pub set: Vec<(ObjectColumn, Expr)>,
}
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadDuplicates {
    Error,
    Ignore,
    Replace,
}
#[derive(Clone, Debug, PartialEq)]
pub enum LoadTarget {
    Column(Ident),
    Variable(Ident),
}
/// FIELDS and LINES of LOAD DATA and SELECT … INTO OUTFILE.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadFormat {
    pub fields_terminated: Vec<u8>,
    pub fields_enclosed: Option<u8>,
    pub optionally_enclosed: bool,
    pub escaped: Option<u8>,
    pub lines_starting: Vec<u8>,
    pub lines_terminated: Vec<u8>,
}
