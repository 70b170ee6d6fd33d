//! What the tests of this crate share: a statement's surroundings.
//!
//! Owns:     nothing.
//! Promises: MySQL's default mode, UTC, the 1st of July 2024 at noon.
//! Never:    compiled outside tests.

use crate::Expr;
use crate::context::{EvalContext, SessionFacts, StatementContext, Warnings};
use crate::function::BindContext;
use parking_lot::Mutex;
use weald_types::{Collation, Decimal, Fault, SqlMode, SqlType, TypeKind, Value};

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

/// The same in a session that differs from the usual one.
pub fn in_session(change: impl FnOnce(&mut SessionFacts)) -> StatementContext {
    let mut s = unlimited();
    let mut session = SessionFacts::clone(&s.session);
    change(&mut session);
    s.session = session.into();
    s
}

pub fn statement(s: &StatementContext) -> EvalContext<'_> {
    EvalContext { statement: s, params: &[], subqueries: &[] }
}

/// A literal of the type that its value has.
pub fn literal(value: &Value) -> Expr {
    let ty = match value {
        Value::Null => SqlType::null(),
        Value::Int(_) => SqlType::bigint(false),
        Value::UInt(_) => SqlType::bigint_unsigned(false),
        Value::Decimal(d) => SqlType::new(TypeKind::Decimal { precision: d.precision(), scale: d.scale(), unsigned: false }, false),
        Value::Double(_) => SqlType::double(false),
        Value::Str(s) => SqlType::varchar(s.chars().count() as u32, false, Collation::UTF8MB4_GENERAL_CI),
        Value::Bytes(b) => SqlType::new(TypeKind::VarBinary { bytes: b.len() as u32 }, false),
        Value::Date(_) => SqlType::new(TypeKind::Date, false),
        Value::Time(_) => SqlType::new(TypeKind::Time { fsp: 6 }, false),
        Value::DateTime(_) => SqlType::new(TypeKind::DateTime { fsp: 6 }, false),
        Value::Json(_) => SqlType::string(TypeKind::Json, false, Collation::UTF8MB4_BIN),
    };
    Expr::Literal { value: value.clone(), ty }
}

/// A function's value for literals.
pub fn call(name: &str, args: &[Value]) -> Result<Value, Fault> {
    call_in(&unlimited(), name, args)
}
pub fn call_in(s: &StatementContext, name: &str, args: &[Value]) -> Result<Value, Fault> {
    let bound = crate::function::bind_call(name, args.iter().map(literal).collect(), &BIND)?;
    crate::eval(&bound, &crate::NoRow, &statement(s))
}

/// What a call gives, as text; an error as its number.
pub fn shown(result: Result<Value, Fault>) -> String {
    match result {
        Ok(Value::Null) => "NULL".into(),
        Ok(Value::Bytes(b)) => b.iter().map(|b| format!("{b:02X}")).collect(),
        Ok(v) => crate::coerce::text(&v, &SqlType::null()).unwrap_or_default().into_owned(),
        Err(Fault::MySql { number, .. }) => format!("error {number}"),
        Err(other) => format!("{other:?}"),
    }
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
