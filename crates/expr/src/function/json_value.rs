//! JSON_VALUE(document, path RETURNING type … ON EMPTY … ON ERROR).
//!
//! Owns:     nothing.
//! Promises: the type is what RETURNING says, VARCHAR(512) without it; a DEFAULT is of that type or the statement is refused.
//! Never:    lets what is wrong with a value become a warning: it is ON ERROR's.

use super::argument::known;
use super::json_argument::{document, parse_path, path};
use super::json_convert::{convert, store_strictly};
use super::json_read::is_convertible;
use super::{BindContext, Call, FunctionDef, bind_call};
use crate::context::StatementContext;
use crate::{EvalContext, Expr};
use std::sync::Arc;
use weald_types::{Fault, Json, SqlType, TypeKind, Value, WarningLevel};

/// A call holds: document, path, a NULL of the type to return, and for ON EMPTY and ON ERROR each a number that says what to do and the default.
pub const FUNCTIONS: &[FunctionDef] = &[FunctionDef::new(
    "JSON_VALUE",
    7,
    7,
    |args, _| {
        let ty = args[2].ty().clone().with_nullable(true);
        let collation = ty.collation;
        Ok((ty, collation))
    },
    json_value,
)
// A TIMESTAMP or a date may depend on the session.
.stable()];

/// ON EMPTY and ON ERROR.
pub enum JsonOtherwise {
    Null,
    Error,
    /// A literal.
    Default(Expr),
}

const NULL: i64 = 0;
const ERROR: i64 = 1;
const DEFAULT: i64 = 2;

/// `ty`: what RETURNING says.
pub fn bind_json_value(
    document: Expr,
    path: &str,
    ty: SqlType,
    on_empty: JsonOtherwise,
    on_error: JsonOtherwise,
    c: &BindContext,
) -> Result<Expr, Fault> {
    if !is_convertible(&document) && !document.ty().kind.is_binary() && !matches!(document, Expr::Param { .. } | Expr::UserVariable { .. }) {
        let text = "Invalid data type for JSON data in argument 1 to function json_value; a JSON string or JSON type is required.";
        return Err(Fault::mysql(3146, "22032", text));
    }
    parse_path(path)?;
    let literal = |value: Value, ty: SqlType| Expr::Literal { value, ty };
    let mut args = vec![
        document,
        literal(Value::str(path), SqlType::varchar(path.chars().count() as u32, false, c.collation_connection)),
        literal(Value::Null, ty.clone().with_nullable(true)),
    ];
    for otherwise in [on_empty, on_error] {
        let (what, default) = match otherwise {
            JsonOtherwise::Null => (NULL, Value::Null),
            JsonOtherwise::Error => (ERROR, Value::Null),
            JsonOtherwise::Default(e) => (DEFAULT, default_value(&e, &ty, c)?),
        };
        args.push(literal(Value::Int(what), SqlType::bigint(false)));
        args.push(literal(default, ty.clone().with_nullable(true)));
    }
    bind_call("JSON_VALUE", args, c)
}

/// A DEFAULT, as strictly converted as a value would be.
fn default_value(e: &Expr, ty: &SqlType, c: &BindContext) -> Result<Value, Fault> {
    let statement = StatementContext::for_folding(c);
    let ctx = EvalContext { statement: &statement, params: &[], subqueries: &[] };
    let value = crate::eval(e, &crate::NoRow, &ctx)?;
    if ty.kind == TypeKind::Json {
        let text = crate::coerce::text(&value, e.ty()).unwrap_or_default();
        return match Json::parse(&text) {
            Ok(j) => Ok(Value::Json(Arc::new(j))),
            Err(_) => Err(Fault::mysql(1067, "42000", "Invalid default value for 'json_value'")),
        };
    }
    store_strictly(value, ty, &ctx)
        .ok_or_else(|| Fault::mysql(1690, "22003", format!("{} DEFAULT value is out of range in 'json_value'", type_word(&ty.kind))))
}

/// The type in MySQL's messages.
fn type_word(kind: &TypeKind) -> &'static str {
    match kind {
        TypeKind::Int { unsigned: true, .. } | TypeKind::Bit { .. } => "UNSIGNED",
        TypeKind::Int { .. } => "SIGNED",
        TypeKind::Decimal { .. } => "DECIMAL",
        TypeKind::Float { .. } => "FLOAT",
        TypeKind::Double { .. } => "DOUBLE",
        TypeKind::Date => "DATE",
        TypeKind::Time { .. } => "TIME",
        TypeKind::DateTime { .. } | TypeKind::Timestamp { .. } => "DATETIME",
        TypeKind::Year => "YEAR",
        TypeKind::Json => "JSON",
        TypeKind::Null
        | TypeKind::Char { .. }
        | TypeKind::VarChar { .. }
        | TypeKind::Text(_)
        | TypeKind::Binary { .. }
        | TypeKind::VarBinary { .. }
        | TypeKind::Blob(_)
        | TypeKind::Enum(_)
        | TypeKind::Set(_) => "STRING",
    }
}

fn json_value(call: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    // What ON EMPTY (3) and ON ERROR (5) want.
    let otherwise = |at: usize, fault: Fault| match v[at] {
        Value::Int(ERROR) => Err(fault),
        Value::Int(DEFAULT) => Ok(v[at + 1].clone()),
        _ => Ok(Value::Null),
    };
    let document = match document(call, v, 0) {
        Ok(d) => known!(d),
        Err(fault) => {
            // Text that is no JSON is warned of, where it is no error.
            if v[5] != Value::Int(ERROR) {
                ctx.statement.warn(WarningLevel::Warning, fault.clone());
            }
            return otherwise(5, fault);
        }
    };
    let path = known!(path(call, v, 1)?);
    let found = document.lookup(&path);
    let json = match found[..] {
        [] => return otherwise(3, Fault::mysql(3966, "22035", "No value was found by 'json_value' on the specified path.")),
        [one] => one,
        _ => return otherwise(5, Fault::mysql(3967, "22034", "More than one value was found by 'json_value' on the specified path.")),
    };
    // JSON_VALUE reads no number as a date.
    let number_as_date =
        call.ty.kind.is_temporal() && !matches!(json, Json::Null | Json::String(_) | Json::Date(_) | Json::Time(_) | Json::DateTime(_));
    match convert(json, call.ty, ctx) {
        Some(value) if !number_as_date => Ok(value),
        _ => {
            let text = format!("{} value is out of range in 'json_value'", type_word(&call.ty.kind));
            otherwise(5, Fault::mysql(1690, "22003", text))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{BIND, literal, shown, statement, take_warnings, unlimited};
    use weald_types::Collation;

    fn text_type(chars: u32) -> SqlType {
        SqlType::varchar(chars, true, Collation::UTF8MB4_GENERAL_CI)
    }
    fn check(doc: &str, path: &str, ty: &SqlType, on_empty: JsonOtherwise, on_error: JsonOtherwise, expected: &str) {
        let s = unlimited();
        let bound = bind_json_value(literal(&Value::str(doc)), path, ty.clone(), on_empty, on_error, &BIND);
        assert_eq!(shown(bound.and_then(|e| crate::eval(&e, &crate::NoRow, &statement(&s)))), expected, "{doc} {path} {ty}");
        assert_eq!(take_warnings(&s).len(), usize::from(expected == "NULL" && Json::parse(doc).is_err()), "{doc} {path}");
    }

    #[test]
    fn a_value_is_returned_in_its_type_or_not_at_all() {
        use JsonOtherwise::{Error, Null};
        let default = |v: Value| JsonOtherwise::Default(literal(&v));
        let (text, signed) = (text_type(512), SqlType::bigint(true));
        let decimal = SqlType::new(TypeKind::Decimal { precision: 4, scale: 2, unsigned: false }, true);
        let date = SqlType::new(TypeKind::Date, true);
        let doc = r#"{"fname": "Joe", "n": 12, "price": "49.95", "list": [1, 2], "z": null, "d": "2024-02-30"}"#;
        check(doc, "$.fname", &text, Null, Null, "Joe");
        check(doc, "$.price", &decimal, Null, Null, "49.95");
        check(doc, "$.list", &text, Null, Null, "[1, 2]");
        check(doc, "$.z", &text, Error, Error, "NULL");
        check(doc, "$.n", &signed, Null, Null, "12");
        check(doc, "$.fname", &signed, Null, Null, "NULL");
        check(doc, "$.fname", &signed, Null, Error, "error 1690");
        check(doc, "$.fname", &signed, Null, default(Value::Int(7)), "7");
        check(doc, "$.fname", &text_type(2), Null, Error, "error 1690");
        check(doc, "$.none", &signed, Error, Null, "error 3966");
        check(doc, "$.none", &signed, default(Value::Int(7)), Null, "7");
        check(doc, "$.none", &signed, default(Value::str("x")), Null, "error 1690");
        check(doc, "$.list[*]", &signed, Null, Error, "error 3967");
        check(doc, "$.d", &date, Null, Error, "error 1690");
        check(doc, "$.n", &date, Null, Error, "error 1690");
        check("{", "$.n", &signed, Null, Null, "NULL");
        check("{", "$.n", &signed, Null, Error, "error 3141");
        check("{", "n", &signed, Null, Error, "error 3143");
    }
}
