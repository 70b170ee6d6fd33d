//! Functions called by name: what each is called, takes and returns.
//!
//! Owns:     the table of all functions.
//! Promises: every function MySQL users call is here once, for all executors; an unknown name is 1305 (as "FUNCTION db.x does not exist").
//! Never:    aggregates: see `aggregate`.

use crate::{EvalContext, Expr};
use weald_types::{Collation, Fault, SqlType, Value};

/// A scalar function. Compared and printed by its name.
pub struct FunctionDef {
    /// Upper case.
    pub name: &'static str,
    pub min_args: usize,
    /// `usize::MAX`: any number.
    pub max_args: usize,
    /// Result type and, for functions that compare, the collation. May wrap arguments in casts.
    pub bind: fn(&mut [Expr], &BindContext) -> Result<(SqlType, Collation), Fault>,
    /// Arguments are evaluated, in order. `call` has their types.
    pub eval: fn(&Call<'_>, &[Value], &EvalContext<'_>) -> Result<Value, Fault>,
    pub volatility: Volatility,
}

/// What the evaluation of a function knows of its own call.
pub struct Call<'a> { pub name: &'static str, pub args: &'a [Expr], pub ty: &'a SqlType, pub collation: Collation }

/// What binding may know of the session.
#[derive(Clone, Copy, Debug)]
pub struct BindContext { pub sql_mode: weald_types::SqlMode, pub collation_connection: Collation, pub div_precision_increment: u8, pub group_concat_max_len: u64 }

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Volatility {
    /// Same arguments, same answer: may be folded when a plan is made.
    Immutable,
    /// Same within one statement (NOW, CONNECTION_ID, time-zone dependent): folded at execution, not in a cached plan.
    Stable,
    /// Every call anew: RAND, UUID, SLEEP, user variables.
    Volatile,
}

impl std::fmt::Debug for FunctionDef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str(self.name) }
}
impl PartialEq for FunctionDef {
    fn eq(&self, other: &Self) -> bool { self.name == other.name }
}
