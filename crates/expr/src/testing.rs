//! What the tests of this crate share: a statement's surroundings.
//!
//! Owns:     nothing.
//! Promises: MySQL's default mode, UTC, the 1st of July 2024 at noon.
//! Never:    compiled outside tests.

use crate::context::{EvalContext, StatementContext, Warnings};
use crate::function::BindContext;
use parking_lot::Mutex;
use weald_types::{Collation, Decimal, SqlMode, Value};

pub const BIND: BindContext = BindContext {
    sql_mode: SqlMode::DEFAULT,
    collation_connection: Collation::UTF8MB4_GENERAL_CI,
    div_precision_increment: 4,
    group_concat_max_len: 1024,
};

/// A statement that reads and keeps all its warnings.
pub fn unlimited() -> StatementContext {
    StatementContext {
        now_micros: 1_719_835_200_000_000,
        warnings: Mutex::new(Warnings { limit: 1024, ..Warnings::default() }),
        ..StatementContext::for_folding(&BIND)
    }
}

/// A strict statement that writes.
pub fn writing() -> StatementContext {
    StatementContext { modifies_data: true, ..unlimited() }
}

pub fn statement(s: &StatementContext) -> EvalContext<'_> {
    EvalContext { statement: s, params: &[], subqueries: &[] }
}

pub fn decimal(text: &str) -> Value {
    Value::Decimal(Decimal::parse(text).expect("a decimal"))
}

/// The warnings so far, as text, and none after that.
pub fn take_warnings(s: &StatementContext) -> Vec<String> {
    let mut w = s.warnings.lock();
    w.total = 0;
    w.kept.drain(..).map(|w| format!("{:?}: {}", w.level, w.fault)).collect()
}
