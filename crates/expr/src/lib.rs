//! MySQL's scalar and aggregate expressions: the tree, its types, its evaluation.
//!
//! Owns:     nothing; an expression is a value, shared freely.
//! Promises: one implementation of every operator, function, cast and coercion; the row executor calls it directly, the DataFusion path through it.
//! Never:    resolves a name (that is `plan`), reads a clock (it comes in with [`EvalContext`]), touches a table.

pub mod aggregate;
pub mod carried;
pub mod cast;
pub mod coerce;
pub mod compare;
pub mod context;
mod eval;
pub mod format;
pub mod function;
pub mod in_flight;
pub mod interrupt;
pub mod json_table;
pub mod named_locks;
mod operator;
pub mod pattern;
pub mod plain;
pub mod print;
pub mod server;
pub mod sort;
pub mod sorted_list;
pub mod store;
#[cfg(test)]
mod testing;
pub mod time_zone;
pub mod tree;
pub mod typing;
pub mod walk;

pub use coerce::is_true;
pub use context::{EvalContext, NoRow, Row, StatementContext, SubqueryResult};
pub use eval::{enum_text, eval, eval_part, in_form_of, operand_collation, set_text, shown};
pub use function::FunctionDef;
pub use in_flight::InFlight;
pub use tree::{AggregateFunction, Expr, Operator, SubqueryKind};
