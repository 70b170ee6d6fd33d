//! JSON functions that make or change a document: JSON_OBJECT, JSON_ARRAY, JSON_SET, JSON_REMOVE, JSON_MERGE_PATCH …
//!
//! Owns:     nothing.
//! Promises: changes are applied one after the other, each to the outcome of those before it.
//! Never:    gives a document that is too deep or too large: see `json_argument::made`.

use super::argument::known;
use super::json_argument::{binary_text, document, incorrect_type, json, made, plain_path, text_of_document, value};
use super::result_type::nullable_json;
use super::{ANY, BindContext, Call, FunctionDef};
use crate::{EvalContext, Expr};
use weald_types::json::{JsonObject, JsonPath};
use weald_types::{Collation, Fault, Json, SqlType, Value};

pub const FUNCTIONS: &[FunctionDef] = &[
    FunctionDef::new(
        "JSON_ARRAY",
        0,
        ANY,
        |_, _| json(false),
        |call, v, ctx| made(call, Json::Array((0..v.len()).map(|i| value(call, v, i)).collect()), ctx),
    ),
    FunctionDef::new(
        "JSON_ARRAY_APPEND",
        3,
        ANY,
        |args, c| bind_pairs("JSON_ARRAY_APPEND", args, c),
        |call, v, ctx| change(call, v, ctx, Json::array_append),
    ),
    FunctionDef::new("JSON_ARRAY_INSERT", 3, ANY, |args, c| bind_pairs("JSON_ARRAY_INSERT", args, c), array_insert),
    FunctionDef::new("JSON_INSERT", 3, ANY, |args, c| bind_pairs("JSON_INSERT", args, c), |call, v, ctx| change(call, v, ctx, Json::insert)),
    FunctionDef::new("JSON_MERGE_PATCH", 2, ANY, nullable_json, merge_patch),
    FunctionDef::new("JSON_MERGE_PRESERVE", 2, ANY, nullable_json, merge_preserve),
    FunctionDef::new("JSON_OBJECT", 0, ANY, bind_object, object),
    FunctionDef::new("JSON_QUOTE", 1, 1, |args, _| text_of_document(args[0].ty().nullable), quote),
    FunctionDef::new("JSON_REMOVE", 2, ANY, nullable_json, remove),
    FunctionDef::new("JSON_REPLACE", 3, ANY, |args, c| bind_pairs("JSON_REPLACE", args, c), |call, v, ctx| change(call, v, ctx, Json::replace)),
    FunctionDef::new("JSON_SET", 3, ANY, |args, c| bind_pairs("JSON_SET", args, c), |call, v, ctx| change(call, v, ctx, Json::set)),
];

type Bound = Result<(SqlType, Collation), Fault>;

/// A document, then a path and a value each time.
fn bind_pairs(name: &str, args: &mut [Expr], _: &BindContext) -> Bound {
    if args.len().is_multiple_of(2) {
        return Err(Fault::WrongArgumentCount { name: name.into() });
    }
    json(true)
}

fn bind_object(args: &mut [Expr], _: &BindContext) -> Bound {
    if !args.len().is_multiple_of(2) {
        return Err(Fault::WrongArgumentCount { name: "JSON_OBJECT".into() });
    }
    json(false)
}

fn object(call: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let mut members: Vec<(Box<str>, Json)> = Vec::with_capacity(v.len() / 2);
    for i in (0..v.len()).step_by(2) {
        members.push((key(&v[i], call.args[i].ty())?, value(call, v, i + 1)));
    }
    made(call, Json::Object(members.into_iter().collect::<JsonObject>()), ctx)
}

/// A member's name: any value as its text, but neither NULL nor bytes.
pub fn key(v: &Value, ty: &SqlType) -> Result<Box<str>, Fault> {
    if matches!(v, Value::Bytes(_)) {
        return Err(binary_text());
    }
    match crate::coerce::text(v, ty) {
        Some(text) => Ok(text.into()),
        None => Err(Fault::mysql(3158, "22032", "JSON documents may not contain NULL member names.")),
    }
}

fn quote(call: &Call<'_>, v: &[Value], _: &EvalContext<'_>) -> Result<Value, Fault> {
    match &v[0] {
        Value::Null => Ok(Value::Null),
        Value::Str(s) => Ok(Value::str(Json::quote(s))),
        Value::Bytes(_) => Ok(Value::str(Json::quote(&known!(call.text(v, 0))))),
        Value::Int(_)
        | Value::UInt(_)
        | Value::Decimal(_)
        | Value::Double(_)
        | Value::Json(_)
        | Value::Date(_)
        | Value::Time(_)
        | Value::DateTime(_) => Err(incorrect_type(call)),
    }
}

/// A document and its pairs of path and value.
fn change(call: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>, apply: fn(&mut Json, &JsonPath, Json) -> bool) -> Result<Value, Fault> {
    let mut target = known!(document(call, v, 0)?).into_owned();
    for i in (1..v.len()).step_by(2) {
        // A path that leads nowhere changes nothing: that is no error.
        apply(&mut target, &known!(plain_path(call, v, i)?), value(call, v, i + 1));
    }
    made(call, target, ctx)
}

fn array_insert(call: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    for i in (1..v.len()).step_by(2) {
        if let Some(p) = plain_path(call, v, i)?
            && !p.ends_in_index()
        {
            return Err(Fault::mysql(3165, "42000", "A path expression is not a path to a cell in an array."));
        }
    }
    change(call, v, ctx, Json::array_insert)
}

fn remove(call: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let mut target = known!(document(call, v, 0)?).into_owned();
    for i in 1..v.len() {
        let path = known!(plain_path(call, v, i)?);
        if path.is_root() {
            return Err(Fault::mysql(3153, "42000", "The path expression '$' is not allowed in this context."));
        }
        target.remove(&path);
    }
    made(call, target, ctx)
}

fn merge_preserve(call: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let mut whole: Option<Json> = None;
    let mut unknown = false;
    for i in 0..v.len() {
        // Every argument is checked, even where NULL has decided already.
        match (document(call, v, i)?, whole.take()) {
            (None, _) => unknown = true,
            (Some(next), None) => whole = Some(next.into_owned()),
            (Some(next), Some(before)) => whole = Some(before.merge_preserve(next.into_owned())),
        }
    }
    match whole {
        Some(json) if !unknown => made(call, json, ctx),
        _ => Ok(Value::Null),
    }
}

/// What a patch that is no object meets does not matter, NULL included: JSON_MERGE_PATCH(NULL, '1') is 1.
fn merge_patch(call: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let mut whole = document(call, v, 0)?.map(|d| d.into_owned());
    for i in 1..v.len() {
        whole = match (document(call, v, i)?, whole) {
            (None, _) => None,
            (Some(patch), None) if matches!(*patch, Json::Object(_)) => None,
            (Some(patch), None) => Some(patch.into_owned()),
            (Some(patch), Some(before)) => Some(before.merge_patch(patch.into_owned())),
        };
    }
    match whole {
        Some(json) => made(call, json, ctx),
        None => Ok(Value::Null),
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{BIND, call, call_in, decimal, in_session, shown, statement, unlimited};
    use crate::{NoRow, Operator, eval, function, typing};
    use weald_types::{Date, Fault, Value};

    fn check(name: &str, args: &[Value], expected: &str) {
        assert_eq!(shown(call(name, args)), expected, "{name}{args:?}");
    }
    fn s(text: &str) -> Value {
        Value::str(text)
    }

    #[test]
    fn values_become_json_of_their_kind() {
        let date = Value::Date(Date::new(2024, 1, 31).unwrap());
        check("JSON_ARRAY", &[], "[]");
        check("JSON_ARRAY", &[Value::Int(1), s("a\"b"), decimal("3.50"), Value::Double(1.0), Value::Null], r#"[1, "a\"b", 3.50, 1.0, null]"#);
        check("JSON_ARRAY", &[date, Value::UInt(u64::MAX)], r#"["2024-01-31", 18446744073709551615]"#);
        check("JSON_ARRAY", &[Value::bytes([0xCA, 0xFE])], r#"["base64:type253:yv4="]"#);
        check("JSON_OBJECT", &[s("id"), Value::Int(87), s("name"), s("carrot")], r#"{"id": 87, "name": "carrot"}"#);
        check("JSON_OBJECT", &[Value::Int(1), s("x"), s("1"), s("y")], r#"{"1": "y"}"#);
        check("JSON_OBJECT", &[Value::Null, s("x")], "error 3158");
        assert!(matches!(call("JSON_OBJECT", &[s("x")]), Err(Fault::WrongArgumentCount { .. })));
        check("JSON_QUOTE", &[s("a\"b")], r#""a\"b""#);
        check("JSON_QUOTE", &[Value::Int(1)], "error 3064");
        // A comparison is true or false, an integer is not.
        let truth =
            typing::operator(Operator::Eq, vec![crate::testing::literal(&Value::Int(1)), crate::testing::literal(&Value::Int(1))], &BIND).unwrap();
        let array = function::bind_call("JSON_ARRAY", vec![truth], &BIND).unwrap();
        assert_eq!(shown(eval(&array, &NoRow, &statement(&unlimited()))), "[true]");
    }

    #[test]
    fn documents_change_one_step_after_the_other() {
        let doc = || s(r#"{ "a": 1, "b": [2, 3]}"#);
        let pairs = || vec![doc(), s("$.a"), Value::Int(10), s("$.c"), s("[true, false]")];
        check("JSON_SET", &pairs(), r#"{"a": 10, "b": [2, 3], "c": "[true, false]"}"#);
        check("JSON_INSERT", &pairs(), r#"{"a": 1, "b": [2, 3], "c": "[true, false]"}"#);
        check("JSON_REPLACE", &pairs(), r#"{"a": 10, "b": [2, 3]}"#);
        check("JSON_SET", &[doc(), s("$.b"), Value::Null, s("$.b[1]"), Value::Int(1)], r#"{"a": 1, "b": [null, 1]}"#);
        check("JSON_SET", &[doc(), s("$.*"), Value::Int(1)], "error 3149");
        check("JSON_SET", &[Value::Null, s("$.a"), Value::Int(1)], "NULL");
        check("JSON_SET", &[doc(), Value::Null, Value::Int(1)], "NULL");
        assert!(matches!(call("JSON_SET", &[doc(), s("$.a"), Value::Int(1), s("$.b")]), Err(Fault::WrongArgumentCount { .. })));
        check("JSON_REMOVE", &[s(r#"["a", ["b", "c"], "d"]"#), s("$[1]")], r#"["a", "d"]"#);
        check("JSON_REMOVE", &[s("[]"), s("$")], "error 3153");
        check("JSON_ARRAY_APPEND", &[s(r#"["a", ["b", "c"], "d"]"#), s("$[0]"), Value::Int(2)], r#"[["a", 2], ["b", "c"], "d"]"#);
        check("JSON_ARRAY_INSERT", &[s(r#"["a", {"b": [1, 2]}, [3, 4]]"#), s("$[1].b[0]"), s("x")], r#"["a", {"b": ["x", 1, 2]}, [3, 4]]"#);
        check("JSON_ARRAY_INSERT", &[s("[]"), s("$.a"), s("x")], "error 3165");
    }

    #[test]
    fn documents_merge() {
        check("JSON_MERGE_PRESERVE", &[s("[1, 2]"), s("[true, false]")], "[1, 2, true, false]");
        check("JSON_MERGE_PRESERVE", &[s(r#"{"a": 1}"#), s(r#"{"a": 2}"#), s("3")], r#"[{"a": [1, 2]}, 3]"#);
        check("JSON_MERGE", &[s("1"), s("true")], "[1, true]");
        check("JSON_MERGE_PRESERVE", &[s("1"), Value::Null], "NULL");
        check("JSON_MERGE_PRESERVE", &[Value::Null, s("{")], "error 3141");
        check("JSON_MERGE_PATCH", &[s(r#"{"a": {"x": 1}}"#), s(r#"{"a": {"y": 2}}"#)], r#"{"a": {"x": 1, "y": 2}}"#);
        check("JSON_MERGE_PATCH", &[s("{}"), Value::Null], "NULL");
        check("JSON_MERGE_PATCH", &[Value::Null, s("{}")], "NULL");
        check("JSON_MERGE_PATCH", &[Value::Null, s("[1]")], "[1]");
    }

    #[test]
    fn what_is_made_stays_within_bounds() {
        let mut deep = s("[]");
        for _ in 0..99 {
            deep = call(
                "JSON_ARRAY",
                &[match deep {
                    Value::Str(t) => call("JSON_EXTRACT", &[Value::Str(t), s("$")]).unwrap(),
                    j => j,
                }],
            )
            .unwrap();
        }
        check("JSON_ARRAY", &[deep], "error 3157");
        let small = in_session(|s| s.max_allowed_packet = 1024);
        let mut doubled = s("1");
        let last = loop {
            match call_in(&small, "JSON_ARRAY", &[doubled.clone(), doubled]) {
                Ok(v) => doubled = v,
                Err(fault) => break fault,
            }
        };
        assert_eq!(shown(Err(last)), "error 1301");
    }
}
