//! What binding asks of its surroundings: names, variables, statistics.
//!
//! Owns:     nothing.
//! Promises: answers do not change while one statement is bound.
//! Never:    blocks: everything comes from the catalogue view and the session that the caller holds.

use std::sync::Arc;
use weald_catalog::{DatabaseDef, TableDef, TableRef, ViewDef};
use weald_expr::Expr;
use weald_expr::function::BindContext;
use weald_sql::ast::VarScope;
use weald_types::{Fault, SqlType, Value};

/// Names as the session sees them: the catalogue, then its own temporary tables before it.
pub trait Names {
    fn current_database(&self) -> Option<&str>;
    /// The account (user, host) that the statement runs as.
    fn current_user(&self) -> (&str, &str);
    fn database(&self, name: &str) -> Option<Arc<DatabaseDef>>;
    /// Case-sensitive, as MySQL is on Linux.
    fn table(&self, database: &str, name: &str) -> Option<Arc<TableDef>>;
    fn view(&self, database: &str, name: &str) -> Option<Arc<ViewDef>>;
    /// The columns of a table that the aggregator makes itself; `database` is `information_schema` and the like.
    fn virtual_table(&self, database: &str, name: &str) -> Option<Vec<(Arc<str>, SqlType)>>;
    /// `@@name`: the value now, and its type. An unknown name is 1193.
    fn system_variable(&self, scope: Option<VarScope>, name: &str) -> Result<(Value, SqlType), Fault>;
    /// The type of the value that `@name` holds now; None: it was never set.
    fn user_variable(&self, name: &str) -> Option<SqlType>;
}

/// What is known of tables' sizes. Estimates choose among plans, never answers.
pub trait Statistics {
    /// Rows in the whole table, about.
    fn rows(&self, table: &TableDef) -> Option<u64>;
    /// Which part of the rows passes `filter`, about. The filter's columns are the table's, `ColumnId(ordinal)`.
    fn passing(&self, _table: &TableRef, _filter: &Expr) -> Option<f64> {
        None
    }
    /// How many different values a column has, about. `None` also where nearly every row has its own.
    fn distinct(&self, _table: &TableRef, _ordinal: u16) -> Option<f64> {
        None
    }
}

/// Nothing is known.
pub struct NoStatistics;
impl Statistics for NoStatistics {
    fn rows(&self, _: &TableDef) -> Option<u64> {
        None
    }
}

/// All that a statement is bound under.
#[derive(Clone, Copy)]
pub struct Bindings<'a> {
    pub names: &'a dyn Names,
    pub session: BindContext,
    /// The statement's text: unaliased columns are named by it.
    pub text: &'a str,
    /// Types of the values bound to `?`, where there are values already; None: inferred from where the `?` stands.
    pub params: &'a [Option<SqlType>],
}
