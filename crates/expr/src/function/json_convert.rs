//! A JSON value as a value of another type: for JSON_VALUE and JSON_TABLE.
//!
//! Owns:     nothing.
//! Promises: a value converts as if it were stored in a column of the type in strict mode, or it does not convert: nothing is cut, nothing is warned of.
//! Never:    decides what happens to a value that does not convert: ON ERROR does.

use crate::context::{EvalContext, SessionFacts, StatementContext};
use crate::function::BindContext;
use crate::store::{Target, store};
use std::sync::Arc;
use weald_types::{Json, SqlMode, SqlType, TypeKind, Value};

/// `None`: the value does not convert. JSON's null is NULL.
pub fn convert(json: &Json, ty: &SqlType, ctx: &EvalContext<'_>) -> Option<Value> {
    let kind = &ty.kind;
    let value = match json {
        Json::Null => return Some(Value::Null),
        whole if *kind == TypeKind::Json => return Some(Value::Json(Arc::new(whole.clone()))),
        // Texts of every kind are what JSON_UNQUOTE gives.
        other if kind.is_text() || kind.is_binary() => match other {
            Json::Opaque(bytes) if kind.is_binary() => Value::Bytes(bytes.clone()),
            other => Value::str(other.unquoted()),
        },
        Json::Array(_) | Json::Object(_) | Json::Opaque(_) => return None,
        Json::Date(d) if kind.is_temporal() => Value::Date(*d),
        Json::Time(t) if matches!(kind, TypeKind::Time { .. }) => Value::Time(*t),
        Json::DateTime(d) if kind.is_temporal() => Value::DateTime(*d),
        // A number is read as a date only by its digits.
        other if kind.is_temporal() => Value::str(other.unquoted()),
        Json::Bool(b) => Value::Int(*b as i64),
        Json::Int(n) => Value::Int(*n),
        Json::UInt(n) => Value::UInt(*n),
        Json::Double(d) => Value::Double(*d),
        Json::Decimal(d) => Value::Decimal(d.clone()),
        Json::String(s) => {
            // A whole number from its first to its last character.
            if kind.is_integer() && s.parse::<i128>().is_err() {
                return None;
            }
            Value::str(s)
        }
        Json::Date(_) | Json::Time(_) | Json::DateTime(_) => return None,
    };
    store_strictly(value, ty, ctx)
}

/// `None` where the type does not hold the value.
pub fn store_strictly(value: Value, ty: &SqlType, ctx: &EvalContext<'_>) -> Option<Value> {
    // Most values are of the right form already.
    match (&ty.kind, &value) {
        (TypeKind::VarChar { chars }, Value::Str(s)) if s.len() <= *chars as usize && ty.collation.max_len() == 4 => return Some(value),
        (TypeKind::Double { scale: None, unsigned: false, .. }, Value::Double(_)) => return Some(value),
        (TypeKind::Int { unsigned: false, .. }, Value::Int(n))
            if ty.kind.integer_range().is_some_and(|(low, high)| (low..=high).contains(&(*n as i128))) =>
        {
            return Some(value);
        }
        _ => (),
    }
    let outer = ctx.statement;
    let session = SessionFacts { sql_mode: SqlMode(outer.sql_mode.0 | SqlMode::STRICT_ALL_TABLES), ..SessionFacts::clone(&outer.session) };
    let bind = BindContext {
        sql_mode: session.sql_mode,
        collation_connection: session.collation_connection,
        div_precision_increment: session.div_precision_increment,
        group_concat_max_len: session.group_concat_max_len,
    };
    let session = Arc::new(session);
    let strict = StatementContext { session, now_micros: outer.now_micros, modifies_data: true, ..StatementContext::for_folding(&bind) };
    let strict = EvalContext { statement: &strict, params: &[], subqueries: &[] };
    let ty = ty.clone().with_nullable(true);
    let stored = store(value, &SqlType::null(), Target { column: "", ty: &ty, row: 1 }, &strict).ok()?;
    Some(crate::eval::shown(stored, &ty, ctx))
}
