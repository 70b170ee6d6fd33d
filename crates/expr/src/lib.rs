//! MySQL's scalar and aggregate expressions: the tree, its types, its evaluation.
//!
//! Owns:     nothing; an expression is a value, shared freely.
//! Promises: one implementation of every operator, function, cast and coercion; the row executor calls it directly, the DataFusion path through it.
//! Never:    resolves a name (that is `plan`), reads a clock (it comes in with [`EvalContext`]), touches a table.

pub mod context;
pub mod function;
pub mod tree;

pub use context::{EvalContext, Row, StatementContext, SubqueryResult};
pub use function::FunctionDef;
pub use tree::{AggregateFunction, Expr, Operator, SubqueryKind};
