//! JSON_TABLE: a document as rows.
//!
//! Owns:     the paths and types of its columns.
//! Promises: MySQL's rows in MySQL's order: one for each value the row path leads to; a NESTED PATH gives one for each of its values, or one of NULLs where it
//!           leads nowhere; NESTED PATHs side by side follow each other, each with NULLs for the others.
//! Never:    holds more than one row: rows are handed out as they are made.

use crate::EvalContext;
use crate::function::{convert_json, document_of, parse_path};
use std::sync::Arc;
use weald_types::json::JsonPath;
use weald_types::{Fault, Json, SqlType, TypeKind, Value};

#[derive(Clone, Debug, PartialEq)]
pub struct JsonTable {
    path: JsonPath,
    columns: Vec<Column>,
    /// Columns in all, nested ones too.
    width: usize,
}

#[derive(Clone, Debug, PartialEq)]
enum Column {
    Ordinality,
    Value { name: Arc<str>, ty: SqlType, path: JsonPath, on_empty: OtherwiseJson, on_error: OtherwiseJson },
    Exists { ty: SqlType, path: JsonPath },
    Nested { path: JsonPath, columns: Vec<Column> },
}

/// ON EMPTY and ON ERROR.
#[derive(Clone, Debug, PartialEq)]
pub enum OtherwiseJson {
    Null,
    Error,
    Default(Json),
}

/// What the binder says of a column. Columns are numbered in the order they are written, nested ones in their place.
#[derive(Clone, Debug)]
pub enum ColumnSpec<'a> {
    Ordinality,
    /// A DEFAULT is JSON text.
    Value {
        name: &'a str,
        ty: SqlType,
        path: &'a str,
        on_empty: OtherwiseText<'a>,
        on_error: OtherwiseText<'a>,
    },
    Exists {
        ty: SqlType,
        path: &'a str,
    },
    Nested {
        path: &'a str,
        columns: Vec<ColumnSpec<'a>>,
    },
}

#[derive(Clone, Copy, Debug)]
pub enum OtherwiseText<'a> {
    Null,
    Error,
    Default(&'a str),
}

/// MySQL's bound.
const MAX_NESTED: usize = 16;

impl JsonTable {
    /// `alias` is for messages.
    pub fn new(path: &str, columns: &[ColumnSpec<'_>], alias: &str) -> Result<Self, Fault> {
        let mut nested = 0;
        let columns = compile(columns, alias, &mut nested)?;
        let width = width(&columns);
        Ok(Self { path: parse_path(path)?, columns, width })
    }

    /// Calls `each` with every row of `document`, a JSON value or JSON text. NULL has none.
    pub fn for_each_row(&self, document: &Value, ctx: &EvalContext<'_>, each: &mut dyn FnMut(Vec<Value>) -> Result<(), Fault>) -> Result<(), Fault> {
        let Some(document) = document_of(document, 1, || "json_table".into())? else { return Ok(()) };
        let mut row = vec![Value::Null; self.width];
        for (i, value) in document.lookup(&self.path).into_iter().enumerate() {
            rows_of(&self.columns, 0, value, i as i64 + 1, &mut row, ctx, each)?;
        }
        Ok(())
    }
}

fn compile(columns: &[ColumnSpec<'_>], alias: &str, nested: &mut usize) -> Result<Vec<Column>, Fault> {
    let mut out = Vec::with_capacity(columns.len());
    for c in columns {
        out.push(match c {
            ColumnSpec::Ordinality => Column::Ordinality,
            ColumnSpec::Exists { ty, path } => Column::Exists { ty: ty.clone(), path: parse_path(path)? },
            ColumnSpec::Value { name, ty, path, on_empty, on_error } => Column::Value {
                name: (*name).into(),
                ty: ty.clone(),
                path: parse_path(path)?,
                on_empty: otherwise(*on_empty, name)?,
                on_error: otherwise(*on_error, name)?,
            },
            ColumnSpec::Nested { path, columns } => {
                *nested += 1;
                if *nested >= MAX_NESTED {
                    let text = format!("More than supported {MAX_NESTED} NESTED PATHs were found in JSON_TABLE '{alias}'");
                    return Err(Fault::mysql(3670, "42000", text));
                }
                Column::Nested { path: parse_path(path)?, columns: compile(columns, alias, nested)? }
            }
        });
    }
    Ok(out)
}

fn otherwise(text: OtherwiseText<'_>, column: &str) -> Result<OtherwiseJson, Fault> {
    Ok(match text {
        OtherwiseText::Null => OtherwiseJson::Null,
        OtherwiseText::Error => OtherwiseJson::Error,
        OtherwiseText::Default(text) => match Json::parse(text) {
            Ok(j) => OtherwiseJson::Default(j),
            Err(_) => return Err(Fault::mysql(1067, "42000", format!("Invalid default value for '{column}'"))),
        },
    })
}

fn width(columns: &[Column]) -> usize {
    columns
        .iter()
        .map(|c| match c {
            Column::Ordinality | Column::Value { .. } | Column::Exists { .. } => 1,
            Column::Nested { columns, .. } => width(columns),
        })
        .sum()
}

/// Fills the slots from `at` on for `value`, the `ordinal`th of its kind, and hands out a row, or one for each nested value.
fn rows_of(
    columns: &[Column],
    at: usize,
    value: &Json,
    ordinal: i64,
    row: &mut Vec<Value>,
    ctx: &EvalContext<'_>,
    each: &mut dyn FnMut(Vec<Value>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    ctx.statement.check_interrupted()?;
    let mut slot = at;
    for c in columns {
        match c {
            Column::Ordinality => row[slot] = Value::Int(ordinal),
            Column::Exists { ty, path } => {
                let found = !value.lookup(path).is_empty();
                row[slot] = convert_json(&Json::Int(found as i64), ty, ctx).unwrap_or(Value::Null);
            }
            Column::Value { name, ty, path, on_empty, on_error } => row[slot] = value_at(value, name, ty, path, on_empty, on_error, ctx)?,
            Column::Nested { .. } => (),
        }
        slot += width(std::slice::from_ref(c));
    }
    let mut slot = at;
    let mut any = false;
    for c in columns {
        let own = width(std::slice::from_ref(c));
        if let Column::Nested { path, columns } = c {
            for (i, inner) in value.lookup(path).into_iter().enumerate() {
                any = true;
                rows_of(columns, slot, inner, i as i64 + 1, row, ctx, each)?;
            }
            row[slot..slot + own].fill(Value::Null);
        }
        slot += own;
    }
    if any { Ok(()) } else { each(row.clone()) }
}

fn value_at(
    value: &Json,
    name: &str,
    ty: &SqlType,
    path: &JsonPath,
    on_empty: &OtherwiseJson,
    on_error: &OtherwiseJson,
    ctx: &EvalContext<'_>,
) -> Result<Value, Fault> {
    let found = value.lookup(path);
    let wrapped;
    let json = match found[..] {
        [] => return instead(on_empty, ty, || Fault::mysql(3665, "22035", format!("Missing value for JSON_TABLE column '{name}'")), ctx),
        [one] => one,
        _ => {
            wrapped = Json::Array(found.into_iter().cloned().collect());
            &wrapped
        }
    };
    if !json.is_scalar() && ty.kind != TypeKind::Json {
        let fault = || Fault::mysql(3666, "2203F", format!("Can't store an array or an object in the scalar column '{name}' of JSON_TABLE"));
        return instead(on_error, ty, fault, ctx);
    }
    match convert_json(json, ty, ctx) {
        Some(value) => Ok(value),
        None => instead(on_error, ty, || Fault::mysql(3669, "22003", format!("Value is out of range for JSON_TABLE's column '{name}'")), ctx),
    }
}

fn instead(what: &OtherwiseJson, ty: &SqlType, fault: impl FnOnce() -> Fault, ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    match what {
        OtherwiseJson::Null => Ok(Value::Null),
        OtherwiseJson::Error => Err(fault()),
        // A default that does not convert was refused by MySQL when the statement was bound; here the row is.
        OtherwiseJson::Default(json) => convert_json(json, ty, ctx).ok_or_else(fault),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{shown, statement, unlimited};
    use weald_types::Collation;

    fn rows(document: &str, path: &str, columns: &[ColumnSpec<'_>]) -> String {
        let s = unlimited();
        let table = match JsonTable::new(path, columns, "t") {
            Ok(t) => t,
            Err(fault) => return shown(Err(fault)),
        };
        let mut out = Vec::new();
        let done = table.for_each_row(&Value::str(document), &statement(&s), &mut |row| {
            out.push(row.into_iter().map(|v| shown(Ok(v))).collect::<Vec<_>>().join(","));
            Ok(())
        });
        match done {
            Ok(()) => out.join(" "),
            Err(fault) => shown(Err(fault)),
        }
    }
    fn int() -> SqlType {
        SqlType::bigint(true)
    }
    fn value<'a>(name: &'a str, path: &'a str) -> ColumnSpec<'a> {
        ColumnSpec::Value { name, ty: int(), path, on_empty: OtherwiseText::Null, on_error: OtherwiseText::Null }
    }

    #[test]
    fn a_document_becomes_rows() {
        let doc = r#"[{"a": 3}, {"a": 2}, {"b": 1}, {"a": "x"}, {"a": [1, 2]}]"#;
        let exists = ColumnSpec::Exists { ty: int(), path: "$.b" };
        assert_eq!(rows(doc, "$[*]", &[ColumnSpec::Ordinality, value("a", "$.a"), exists]), "1,3,0 2,2,0 3,NULL,1 4,NULL,0 5,NULL,0");
        let with = |on_empty, on_error| ColumnSpec::Value { name: "a", ty: int(), path: "$.a", on_empty, on_error };
        assert_eq!(rows(doc, "$[*]", &[with(OtherwiseText::Default("111"), OtherwiseText::Default("\"999\""))]), "3 2 111 999 999");
        assert_eq!(rows(doc, "$[*]", &[with(OtherwiseText::Error, OtherwiseText::Null)]), "error 3665");
        assert_eq!(rows(doc, "$[3]", &[with(OtherwiseText::Null, OtherwiseText::Error)]), "error 3669");
        assert_eq!(rows(doc, "$[4]", &[with(OtherwiseText::Null, OtherwiseText::Error)]), "error 3666");
        assert_eq!(rows(doc, "$[0]", &[with(OtherwiseText::Default("x"), OtherwiseText::Null)]), "error 1067");
        let json = ColumnSpec::Value {
            name: "j",
            ty: SqlType::string(TypeKind::Json, true, Collation::UTF8MB4_BIN),
            path: "$[*].a",
            on_empty: OtherwiseText::Null,
            on_error: OtherwiseText::Null,
        };
        assert_eq!(rows(doc, "$", &[json]), r#"[3, 2, "x", [1, 2]]"#);
        assert_eq!(rows("{", "$", &[value("a", "$")]), "error 3141");
        assert_eq!(rows("[]", "$[*]", &[value("a", "$")]), "");
    }

    #[test]
    fn nested_paths_follow_each_other() {
        let doc = r#"[{"a": 1, "b": [11, 111]}, {"a": 2, "b": [22], "c": [5]}, {"a": 3}]"#;
        let nested = |path, name| ColumnSpec::Nested { path, columns: vec![ColumnSpec::Ordinality, value(name, "$")] };
        let columns = [value("a", "$.a"), nested("$.b[*]", "b"), nested("$.c[*]", "c")];
        assert_eq!(rows(doc, "$[*]", &columns), "1,1,11,NULL,NULL 1,2,111,NULL,NULL 2,1,22,NULL,NULL 2,NULL,NULL,1,5 3,NULL,NULL,NULL,NULL");
        let mut deep = value("x", "$");
        for _ in 0..16 {
            deep = ColumnSpec::Nested { path: "$", columns: vec![deep] };
        }
        assert_eq!(rows(doc, "$", &[deep]), "error 3670");
    }
}
