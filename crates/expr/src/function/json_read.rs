//! JSON functions that ask a document: JSON_EXTRACT, JSON_CONTAINS, JSON_SEARCH, JSON_LENGTH …
//!
//! Owns:     nothing.
//! Promises: what the manual's "Functions That Search JSON Values" and "Functions That Return JSON Value Attributes" say.
//! Never:    changes a document: see `json_make`.

use super::argument::{incorrect_arguments, known};
use super::json_argument::{Wanted, document, incorrect_type, json, made, one_or_all, path, plain_path, text_of_document};
use super::result_type::{nullable_int, nullable_json, own_text};
use super::{ANY, Call, FunctionDef};
use crate::{EvalContext, Expr, coerce};
use std::collections::HashSet;
use weald_types::{Collation, Fault, Json, SqlMode, TypeKind, Value};

pub const FUNCTIONS: &[FunctionDef] = &[
    FunctionDef::new("JSON_CONTAINS", 2, 3, nullable_int, contains),
    FunctionDef::new("JSON_CONTAINS_PATH", 3, ANY, nullable_int, contains_path),
    FunctionDef::new("JSON_DEPTH", 1, 1, nullable_int, |call, v, _| Ok(Value::Int(known!(document(call, v, 0)?).depth() as i64))),
    FunctionDef::new("JSON_EXTRACT", 2, ANY, nullable_json, extract),
    FunctionDef::new("JSON_KEYS", 1, 2, nullable_json, keys),
    FunctionDef::new("JSON_LENGTH", 1, 2, nullable_int, length),
    FunctionDef::new("JSON_OVERLAPS", 2, 2, nullable_int, |call, v, _| {
        let (a, b) = (known!(document(call, v, 0)?), known!(document(call, v, 1)?));
        Ok(Value::Int(a.overlaps(&b) as i64))
    }),
    FunctionDef::new("JSON_PRETTY", 1, 1, |_, _| text_of_document(true), |call, v, _| Ok(Value::str(known!(document(call, v, 0)?).pretty()))),
    FunctionDef::new("JSON_SEARCH", 3, ANY, bind_search, search),
    FunctionDef::new("JSON_STORAGE_FREE", 1, 1, nullable_int, |call, v, _| {
        // A changed document is written anew here: there is never room left in it.
        known!(document(call, v, 0)?);
        Ok(Value::Int(0))
    }),
    FunctionDef::new("JSON_STORAGE_SIZE", 1, 1, nullable_int, |call, v, _| Ok(Value::Int(known!(document(call, v, 0)?).storage_size() as i64))),
    FunctionDef::new("JSON_TYPE", 1, 1, |_, c| own_text(51, true, c), |call, v, _| Ok(Value::str(known!(document(call, v, 0)?).type_name()))),
    FunctionDef::new("JSON_UNQUOTE", 1, 1, |args, _| text_of_document(args[0].ty().nullable), unquote),
    FunctionDef::new("JSON_VALID", 1, 1, nullable_int, valid),
    FunctionDef::new("MEMBER_OF", 2, 2, nullable_int, member_of),
];

/// One path gives the value there; a path with wildcards, or several paths, give an array of all they lead to.
fn extract(call: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let document = known!(document(call, v, 0)?);
    let mut paths = Vec::with_capacity(v.len() - 1);
    for i in 1..v.len() {
        paths.push(known!(path(call, v, i)?));
    }
    if let [only] = &paths[..]
        && !only.has_wildcard()
    {
        return match document.get(only) {
            Some(found) => made(call, found.clone(), ctx),
            None => Ok(Value::Null),
        };
    }
    let found: Vec<Json> = paths.iter().flat_map(|p| document.lookup(p)).cloned().collect();
    if found.is_empty() { Ok(Value::Null) } else { made(call, Json::Array(found), ctx) }
}

fn unquote(call: &Call<'_>, v: &[Value], _: &EvalContext<'_>) -> Result<Value, Fault> {
    match &v[0] {
        Value::Null => Ok(Value::Null),
        Value::Json(j) => Ok(Value::str(j.unquoted())),
        Value::Str(s) => match Json::unquote(s) {
            Ok(text) => Ok(Value::str(text)),
            Err(e) => Err(super::json_argument::invalid_text(&e, 1, "json_unquote")),
        },
        Value::Bytes(_) => Ok(Value::str(known!(call.text(v, 0)))),
        Value::Int(_) | Value::UInt(_) | Value::Decimal(_) | Value::Double(_) | Value::Date(_) | Value::Time(_) | Value::DateTime(_) => {
            Err(incorrect_type(call))
        }
    }
}

fn contains(call: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let (target, candidate) = (known!(document(call, v, 0)?), known!(document(call, v, 1)?));
    let target = match v.len() {
        2 => &*target,
        _ => known!(target.get(&known!(plain_path(call, v, 2)?))),
    };
    Ok(Value::Int(target.contains(&candidate, &mut || ctx.statement.check_interrupted())? as i64))
}

fn contains_path(call: &Call<'_>, v: &[Value], _: &EvalContext<'_>) -> Result<Value, Fault> {
    let document = known!(document(call, v, 0)?);
    let wanted = known!(one_or_all(call, v, 1)?);
    for i in 2..v.len() {
        let found = !document.lookup(&known!(path(call, v, i)?)).is_empty();
        match (wanted, found) {
            (Wanted::One, true) => return Ok(Value::TRUE),
            (Wanted::All, false) => return Ok(Value::FALSE),
            (Wanted::One, false) | (Wanted::All, true) => (),
        }
    }
    Ok(Value::Int((wanted == Wanted::All) as i64))
}

fn keys(call: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let document = known!(document(call, v, 0)?);
    let place = match v.len() {
        1 => &*document,
        _ => known!(document.get(&known!(plain_path(call, v, 1)?))),
    };
    let Json::Object(members) = place else { return Ok(Value::Null) };
    made(call, Json::Array(members.iter().map(|(key, _)| Json::string(key)).collect()), ctx)
}

fn length(call: &Call<'_>, v: &[Value], _: &EvalContext<'_>) -> Result<Value, Fault> {
    let document = known!(document(call, v, 0)?);
    let place = match v.len() {
        1 => &*document,
        _ => known!(document.get(&known!(plain_path(call, v, 1)?))),
    };
    Ok(Value::Int(place.length() as i64))
}

fn valid(_: &Call<'_>, v: &[Value], _: &EvalContext<'_>) -> Result<Value, Fault> {
    Ok(match &v[0] {
        Value::Null => Value::Null,
        Value::Json(_) => Value::TRUE,
        Value::Str(s) => Value::Int(Json::parse(s).is_ok() as i64),
        Value::Int(_)
        | Value::UInt(_)
        | Value::Decimal(_)
        | Value::Double(_)
        | Value::Bytes(_)
        | Value::Date(_)
        | Value::Time(_)
        | Value::DateTime(_) => Value::FALSE,
    })
}

/// value MEMBER OF(array)
fn member_of(call: &Call<'_>, v: &[Value], _: &EvalContext<'_>) -> Result<Value, Fault> {
    let value = known!(coerce::json(&v[0], call.args[0].ty()));
    let document = known!(document(call, v, 1)?);
    Ok(Value::Int(match &*document {
        Json::Array(items) => items.contains(&value),
        one => *one == value,
    } as i64))
}

/// The escape character must not change from row to row.
fn bind_search(args: &mut [Expr], _: &super::BindContext) -> Result<(weald_types::SqlType, Collation), Fault> {
    if let Some(escape) = args.get(3)
        && !matches!(escape, Expr::Literal { .. } | Expr::Param { .. })
    {
        return Err(incorrect_arguments("ESCAPE"));
    }
    json(true)
}

/// JSON_SEARCH(document, 'one' | 'all', pattern [, escape [, path …]])
fn search(call: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let document = known!(document(call, v, 0)?);
    let wanted = known!(one_or_all(call, v, 1)?);
    let pattern = known!(call.bytes(v, 2));
    let escape = match v.get(3) {
        // Without one, and for NULL or '', it is the backslash.
        None | Some(Value::Null) if ctx.statement.sql_mode.has(SqlMode::NO_BACKSLASH_ESCAPES) => None,
        None | Some(Value::Null) => Some('\\'),
        Some(_) => {
            let text = call.text(v, 3).unwrap_or_default();
            let mut characters = text.chars();
            match (characters.next(), characters.next()) {
                (first, None) => Some(first.unwrap_or('\\')),
                (_, Some(_)) => return Err(incorrect_arguments("ESCAPE")),
            }
        }
    };
    let mut places = Vec::new();
    for i in 4..v.len() {
        places.push(Some(known!(path(call, v, i)?)));
    }
    if places.is_empty() {
        places.push(None);
    }
    let (mut found, mut seen) = (Vec::new(), HashSet::new());
    for place in &places {
        document.visit_strings(place.as_ref(), &mut |path, text| {
            if Collation::UTF8MB4_BIN.like(text.as_bytes(), &pattern, escape) {
                let path = path.to_string();
                if seen.insert(path.clone()) {
                    found.push(Json::string(path));
                }
            }
            wanted == Wanted::All || found.is_empty()
        });
        if wanted == Wanted::One && !found.is_empty() {
            break;
        }
    }
    match found.len() {
        0 => Ok(Value::Null),
        1 => made(call, found.remove(0), ctx),
        _ => made(call, Json::Array(found), ctx),
    }
}

/// Whether an argument's type can hold a document.
pub fn is_convertible(e: &Expr) -> bool {
    let kind = &e.ty().kind;
    kind.is_text() || matches!(kind, TypeKind::Json | TypeKind::Null)
}

#[cfg(test)]
mod tests {
    use crate::testing::{call, shown};
    use weald_types::Value;

    fn check(name: &str, args: &[&str], expected: &str) {
        let args: Vec<Value> = args.iter().map(|a| if *a == "NULL" { Value::Null } else { Value::str(a) }).collect();
        assert_eq!(shown(call(name, &args)), expected, "{name}{args:?}");
    }

    #[test]
    fn values_are_found_by_their_paths() {
        let extract = |args: &[&str], expected| check("JSON_EXTRACT", args, expected);
        extract(&["[10, 20, [30, 40]]", "$[1]"], "20");
        extract(&["[10, 20, [30, 40]]", "$[1]", "$[0]"], "[20, 10]");
        extract(&["[10, 20, [30, 40]]", "$[2][*]"], "[30, 40]");
        extract(&["[1, 2, 3]", "$[0 to 1]"], "[1, 2]");
        extract(&["[1]", "$[*]"], "[1]");
        extract(&["{\"a\": 1}", "$.b"], "NULL");
        extract(&["{\"a\": null}", "$.a"], "null");
        extract(&["NULL", "$.a"], "NULL");
        extract(&["{}", "NULL"], "NULL");
        extract(&["{", "$.a"], "error 3141");
        extract(&["{}", "a"], "error 3143");
        extract(&[&("[".repeat(101) + &"]".repeat(101)), "$"], "error 3157");
        assert_eq!(shown(call("JSON_EXTRACT", &[Value::Int(1), Value::str("$")])), "error 3146");
        assert_eq!(shown(call("JSON_EXTRACT", &[Value::bytes(*b"{}"), Value::str("$")])), "error 3144");
    }

    #[test]
    fn documents_tell_of_themselves() {
        check("JSON_LENGTH", &["{\"a\": [1, 2, 3]}"], "1");
        check("JSON_LENGTH", &["{\"a\": [1, 2, 3]}", "$.a"], "3");
        check("JSON_LENGTH", &["{\"a\": [1, 2, 3]}", "$.*"], "error 3149");
        check("JSON_LENGTH", &["{}", "$.a"], "NULL");
        check("JSON_DEPTH", &["[10, {\"a\": 20}]"], "3");
        check("JSON_KEYS", &["{\"a\": 1, \"b\": {\"c\": 30}}"], "[\"a\", \"b\"]");
        check("JSON_KEYS", &["{\"a\": 1, \"b\": {\"c\": 30}}", "$.b"], "[\"c\"]");
        check("JSON_KEYS", &["[1]"], "NULL");
        check("JSON_TYPE", &["1.5"], "DOUBLE");
        check("JSON_TYPE", &["x"], "error 3141");
        check("JSON_VALID", &["x"], "0");
        check("JSON_VALID", &["NULL"], "NULL");
        assert_eq!(call("JSON_VALID", &[Value::Int(1)]), Ok(Value::FALSE));
        check("JSON_STORAGE_SIZE", &["[100, \"sakila\", [1, 3, 5], 425.05]"], "45");
        check("JSON_STORAGE_FREE", &["{}"], "0");
        check("JSON_PRETTY", &["[1, {}]"], "[\n  1,\n  {}\n]");
        check("JSON_UNQUOTE", &["\"a\\tb\""], "a\tb");
        check("JSON_UNQUOTE", &["a"], "a");
        check("JSON_UNQUOTE", &["\"\\x\""], "error 3141");
        assert_eq!(shown(call("JSON_UNQUOTE", &[Value::Int(1)])), "error 3064");
    }

    #[test]
    fn documents_are_compared_as_the_manual_says() {
        let doc = "{\"a\": 1, \"b\": 2, \"c\": {\"d\": 4}}";
        check("JSON_CONTAINS", &[doc, "1", "$.a"], "1");
        check("JSON_CONTAINS", &[doc, "1", "$.b"], "0");
        check("JSON_CONTAINS", &[doc, "1", "$.x"], "NULL");
        check("JSON_CONTAINS", &[doc, "{\"d\": 4}", "$.c"], "1");
        check("JSON_CONTAINS_PATH", &[doc, "one", "$.a", "$.e"], "1");
        check("JSON_CONTAINS_PATH", &[doc, "ALL", "$.a", "$.e"], "0");
        check("JSON_CONTAINS_PATH", &[doc, "some", "$.a"], "error 3154");
        // One is enough: what comes after it is not looked at.
        check("JSON_CONTAINS_PATH", &[doc, "one", "$.a", "NULL"], "1");
        check("JSON_OVERLAPS", &["[1, 3, 5]", "[2, 5]"], "1");
        assert_eq!(call("MEMBER_OF", &[Value::Int(17), Value::str("[23, \"abc\", 17]")]), Ok(Value::TRUE));
        assert_eq!(call("MEMBER_OF", &[Value::str("17"), Value::str("[23, \"abc\", 17]")]), Ok(Value::FALSE));
        assert_eq!(call("MEMBER_OF", &[Value::str("abc"), Value::str("\"abc\"")]), Ok(Value::TRUE));
    }

    #[test]
    fn strings_are_searched_by_like() {
        let doc = r#"["abc", [{"k": "10"}, "def"], {"x":"abc"}, {"y":"bcd"}]"#;
        let search = |args: &[&str], expected| check("JSON_SEARCH", &[&[doc], args].concat(), expected);
        search(&["one", "abc"], r#""$[0]""#);
        search(&["all", "abc"], r#"["$[0]", "$[2].x"]"#);
        search(&["all", "ghi"], "NULL");
        search(&["all", "10", "NULL", "$[*][0].k"], r#""$[1][0].k""#);
        search(&["all", "10", "NULL", "$**.k"], r#""$[1][0].k""#);
        search(&["all", "%b%", "", "$[2]"], r#""$[2].x""#);
        search(&["all", "%b%", "", "$[3]", "$"], r#"["$[3].y", "$[0]", "$[2].x"]"#);
        search(&["all", "ABC"], "NULL");
        search(&["all", "a|%", "||"], "error 1210");
    }
}
