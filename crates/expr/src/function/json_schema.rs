//! JSON_SCHEMA_VALID and JSON_SCHEMA_VALIDATION_REPORT.
//!
//! Owns:     nothing.
//! Promises: draft 4 of JSON Schema, as MySQL has it; references only within the schema itself. A keyword of the wrong kind demands nothing.
//! Never:    fetches a schema; follows references for ever.
//! Source:   JSON Schema Validation, draft-fge-json-schema-validation-00; MySQL's manual, "JSON Schema Validation Functions".

use super::argument::known;
use super::json_argument::{document, json};
use super::result_type::nullable_int;
use super::{Call, FunctionDef};
use crate::pattern::{self, Mode};
use crate::{EvalContext, StatementContext};
use std::sync::Arc;
use weald_types::json::JsonObject;
use weald_types::{Decimal, Fault, Json, Value};

pub const FUNCTIONS: &[FunctionDef] = &[
    FunctionDef::new("JSON_SCHEMA_VALID", 2, 2, nullable_int, |call, v, ctx| {
        let Some(found) = validate(call, v, ctx)? else { return Ok(Value::Null) };
        Ok(Value::Int(found.is_ok() as i64))
    }),
    FunctionDef::new(
        "JSON_SCHEMA_VALIDATION_REPORT",
        2,
        2,
        |_, _| json(true),
        |call, v, ctx| {
            let mut report = JsonObject::new();
            match known!(validate(call, v, ctx)?) {
                Ok(()) => report.insert("valid", Json::Bool(true)),
                Err(failure) => {
                    let reason = format!(
                        "The JSON document location '{}' failed requirement '{}' at JSON Schema location '{}'",
                        failure.document, failure.keyword, failure.schema
                    );
                    report.insert("reason", Json::string(reason));
                    report.insert("schema-location", Json::string(failure.schema));
                    report.insert("document-location", Json::string(failure.document));
                    report.insert("schema-failed-keyword", Json::string(failure.keyword));
                    report.insert("valid", Json::Bool(false))
                }
            };
            Ok(Value::Json(Arc::new(Json::Object(report))))
        },
    ),
];

/// What a document does not meet, and where: JSON pointers from `#`.
struct Failure {
    document: String,
    schema: String,
    keyword: &'static str,
}

type Checked = Result<Result<(), Failure>, Fault>;

fn validate(call: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Option<Result<(), Failure>>, Fault> {
    let (Some(schema), Some(document)) = (document(call, v, 0)?, document(call, v, 1)?) else { return Ok(None) };
    if !matches!(*schema, Json::Object(_)) {
        let text = format!("Invalid JSON type in argument 1 to function {}; an object is required.", call.lower_name());
        return Err(Fault::mysql(3853, "22032", text));
    }
    let validator = Validator { root: &schema, statement: ctx.statement };
    validator.value(&document, &schema, &mut Place { document: vec!["#".into()], schema: vec!["#".into()], depth: 0 }).map(Some)
}

/// How deep schemas may apply within each other: beyond it lies a reference to itself.
const MAX_DEPTH: usize = 250;

struct Validator<'s> {
    root: &'s Json,
    statement: &'s StatementContext,
}

struct Place {
    document: Vec<String>,
    schema: Vec<String>,
    depth: usize,
}

impl Place {
    fn fail(&self, keyword: &'static str) -> Checked {
        Ok(Err(Failure { document: self.document.join("/"), schema: self.schema.join("/"), keyword }))
    }
}

/// A part of a JSON pointer.
fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// Goes on unless the check failed.
macro_rules! check {
    ($checked:expr) => {
        if let Err(failure) = $checked? {
            return Ok(Err(failure));
        }
    };
}

fn count(schema: &JsonObject, keyword: &str) -> Option<usize> {
    match schema.get(keyword)? {
        Json::Int(n) => usize::try_from(*n).ok(),
        _ => None,
    }
}
fn number(value: &Json) -> Option<Decimal> {
    match value {
        Json::Int(n) => Some(Decimal::from_i64(*n)),
        Json::UInt(n) => Some(Decimal::from_u64(*n)),
        Json::Double(d) => Decimal::from_f64(*d),
        Json::Decimal(d) => Some(d.clone()),
        _ => None,
    }
}
fn is_true(schema: &JsonObject, keyword: &str) -> bool {
    matches!(schema.get(keyword), Some(Json::Bool(true)))
}

impl Validator<'_> {
    /// Checks in the order in which a document is read: its type, what is in it, its size, and then what is said of it as a whole.
    fn value(&self, value: &Json, schema: &Json, place: &mut Place) -> Checked {
        self.statement.check_interrupted()?;
        let Json::Object(rules) = schema else { return Ok(Ok(())) };
        if place.depth >= MAX_DEPTH {
            return Err(Fault::mysql(1436, "HY000", "Thread stack overrun: the JSON schema refers to itself"));
        }
        place.depth += 1;
        let checked = self.rules(value, rules, place);
        place.depth -= 1;
        checked
    }

    fn rules(&self, value: &Json, rules: &JsonObject, place: &mut Place) -> Checked {
        if let Some(Json::String(reference)) = rules.get("$ref") {
            let target = self.referred(reference)?;
            let before = std::mem::replace(&mut place.schema, reference.split('/').map(str::to_string).collect());
            let checked = self.value(value, target, place);
            place.schema = before;
            return checked;
        }
        let of_type = match rules.get("type") {
            Some(Json::String(name)) => is_of_type(value, name),
            Some(Json::Array(names)) => names.iter().any(|n| matches!(n, Json::String(name) if is_of_type(value, name))),
            _ => true,
        };
        if !of_type {
            return place.fail("type");
        }
        match value {
            Json::Object(members) => check!(self.object(members, rules, place)),
            Json::Array(items) => check!(self.array(items, rules, place)),
            Json::String(text) => check!(self.string(text, rules, place)),
            other => {
                if let Some(n) = number(other) {
                    check!(self.number(&n, rules, place));
                }
            }
        }
        self.whole(value, rules, place)
    }

    /// `#/definitions/name`
    fn referred(&self, reference: &str) -> Result<&Json, Fault> {
        let Some(path) = reference.strip_prefix('#') else { return Err(Fault::not_supported("references in JSON Schema")) };
        let mut at = self.root;
        for part in path.split('/').skip(1) {
            let key = part.replace("~1", "/").replace("~0", "~");
            let next = match at {
                Json::Object(members) => members.get(&key),
                Json::Array(items) => key.parse::<usize>().ok().and_then(|i| items.get(i)),
                _ => None,
            };
            // What is not there demands nothing.
            at = next.unwrap_or(&Json::Null);
        }
        Ok(at)
    }

    /// The value against the schema at `keyword` (and below it, `part`).
    fn within(&self, value: &Json, schema: &Json, keyword: &str, part: Option<String>, place: &mut Place) -> Checked {
        place.schema.push(keyword.into());
        let parts = usize::from(part.is_some());
        place.schema.extend(part);
        let checked = self.value(value, schema, place);
        place.schema.truncate(place.schema.len() - 1 - parts);
        checked
    }

    fn object(&self, members: &JsonObject, rules: &JsonObject, place: &mut Place) -> Checked {
        let properties = match rules.get("properties") {
            Some(Json::Object(p)) => Some(p),
            _ => None,
        };
        let patterns = match rules.get("patternProperties") {
            Some(Json::Object(p)) => Some(p),
            _ => None,
        };
        for (key, member) in members.iter() {
            place.document.push(escaped(key));
            let mut known = false;
            if let Some(schema) = properties.and_then(|p| p.get(key)) {
                known = true;
                check!(self.within(member, schema, "properties", Some(escaped(key)), place));
            }
            for (pattern, schema) in patterns.into_iter().flat_map(JsonObject::iter) {
                if matches(pattern, key)? {
                    known = true;
                    check!(self.within(member, schema, "patternProperties", Some(escaped(pattern)), place));
                }
            }
            match rules.get("additionalProperties") {
                Some(Json::Bool(false)) if !known => {
                    place.document.pop();
                    return place.fail("additionalProperties");
                }
                Some(schema) if !known => check!(self.within(member, schema, "additionalProperties", None, place)),
                _ => (),
            }
            place.document.pop();
        }
        if let Some(Json::Array(required)) = rules.get("required")
            && required.iter().any(|r| matches!(r, Json::String(key) if members.get(key).is_none()))
        {
            return place.fail("required");
        }
        if count(rules, "minProperties").is_some_and(|n| members.len() < n) {
            return place.fail("minProperties");
        }
        if count(rules, "maxProperties").is_some_and(|n| members.len() > n) {
            return place.fail("maxProperties");
        }
        if let Some(Json::Object(dependencies)) = rules.get("dependencies") {
            for (key, wanted) in dependencies.iter().filter(|(key, _)| members.get(key).is_some()) {
                match wanted {
                    Json::Array(keys) if keys.iter().any(|k| matches!(k, Json::String(k) if members.get(k).is_none())) => {
                        return place.fail("dependencies");
                    }
                    Json::Object(_) => check!(self.within(&Json::Object(members.clone()), wanted, "dependencies", Some(escaped(key)), place)),
                    _ => (),
                }
            }
        }
        Ok(Ok(()))
    }

    fn array(&self, items: &[Json], rules: &JsonObject, place: &mut Place) -> Checked {
        for (i, item) in items.iter().enumerate() {
            place.document.push(i.to_string());
            match rules.get("items") {
                Some(Json::Array(schemas)) => match (schemas.get(i), rules.get("additionalItems")) {
                    (Some(schema), _) => check!(self.within(item, schema, "items", Some(i.to_string()), place)),
                    (None, Some(Json::Bool(false))) => {
                        place.document.pop();
                        return place.fail("additionalItems");
                    }
                    (None, Some(schema)) => check!(self.within(item, schema, "additionalItems", None, place)),
                    (None, None) => (),
                },
                Some(schema) => check!(self.within(item, schema, "items", None, place)),
                None => (),
            }
            place.document.pop();
        }
        if count(rules, "minItems").is_some_and(|n| items.len() < n) {
            return place.fail("minItems");
        }
        if count(rules, "maxItems").is_some_and(|n| items.len() > n) {
            return place.fail("maxItems");
        }
        if is_true(rules, "uniqueItems") {
            let mut sorted: Vec<&Json> = items.iter().collect();
            sorted.sort_by(|a, b| a.compare(b));
            if sorted.windows(2).any(|pair| pair[0] == pair[1]) {
                return place.fail("uniqueItems");
            }
        }
        Ok(Ok(()))
    }

    fn string(&self, text: &str, rules: &JsonObject, place: &mut Place) -> Checked {
        let characters = text.chars().count();
        if count(rules, "minLength").is_some_and(|n| characters < n) {
            return place.fail("minLength");
        }
        if count(rules, "maxLength").is_some_and(|n| characters > n) {
            return place.fail("maxLength");
        }
        if let Some(Json::String(pattern)) = rules.get("pattern")
            && !matches(pattern, text)?
        {
            return place.fail("pattern");
        }
        Ok(Ok(()))
    }

    fn number(&self, n: &Decimal, rules: &JsonObject, place: &mut Place) -> Checked {
        if let Some(least) = rules.get("minimum").and_then(number)
            && (*n < least || *n == least && is_true(rules, "exclusiveMinimum"))
        {
            return place.fail("minimum");
        }
        if let Some(most) = rules.get("maximum").and_then(number)
            && (*n > most || *n == most && is_true(rules, "exclusiveMaximum"))
        {
            return place.fail("maximum");
        }
        if let Some(unit) = rules.get("multipleOf").and_then(number)
            && n.rem(&unit).is_some_and(|rest| !rest.is_zero())
        {
            return place.fail("multipleOf");
        }
        Ok(Ok(()))
    }

    fn whole(&self, value: &Json, rules: &JsonObject, place: &mut Place) -> Checked {
        if let Some(Json::Array(allowed)) = rules.get("enum")
            && !allowed.contains(value)
        {
            return place.fail("enum");
        }
        // How many of the schemas in a list the value meets, and how many there are.
        let met = |keyword: &'static str, place: &mut Place| -> Result<Option<(usize, usize)>, Fault> {
            let Some(Json::Array(schemas)) = rules.get(keyword) else { return Ok(None) };
            let mut met = 0;
            for (i, schema) in schemas.iter().enumerate() {
                met += usize::from(self.within(value, schema, keyword, Some(i.to_string()), place)?.is_ok());
            }
            Ok(Some((met, schemas.len())))
        };
        if met("allOf", place)?.is_some_and(|(met, all)| met < all) {
            return place.fail("allOf");
        }
        if met("anyOf", place)?.is_some_and(|(met, _)| met == 0) {
            return place.fail("anyOf");
        }
        if met("oneOf", place)?.is_some_and(|(met, _)| met != 1) {
            return place.fail("oneOf");
        }
        if let Some(schema) = rules.get("not")
            && self.within(value, schema, "not", None, place)?.is_ok()
        {
            return place.fail("not");
        }
        Ok(Ok(()))
    }
}

fn is_of_type(value: &Json, name: &str) -> bool {
    match name {
        "null" => matches!(value, Json::Null),
        "boolean" => matches!(value, Json::Bool(_)),
        "object" => matches!(value, Json::Object(_)),
        "array" => matches!(value, Json::Array(_)),
        "string" => matches!(value, Json::String(_) | Json::Date(_) | Json::Time(_) | Json::DateTime(_) | Json::Opaque(_)),
        "number" => number(value).is_some(),
        "integer" => matches!(value, Json::Int(_) | Json::UInt(_)),
        // A type that does not exist demands nothing.
        _ => true,
    }
}

/// A pattern that cannot be read demands nothing.
fn matches(pattern: &str, text: &str) -> Result<bool, Fault> {
    match pattern::compiled(pattern, Mode::of_collation(false)) {
        Ok(p) => Ok(p.find_at(text, 0)?.is_some()),
        Err(_) => Ok(true),
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{call, shown};
    use weald_types::Value;

    fn valid(schema: &str, document: &str) -> String {
        shown(call("JSON_SCHEMA_VALID", &[Value::str(schema), Value::str(document)]))
    }

    #[test]
    fn documents_meet_their_schema_or_not() {
        for (schema, good, bad) in [
            (r#"{"type": "object", "required": ["a"]}"#, r#"{"a": 1}"#, "{}"),
            (r#"{"properties": {"a": {"type": "number", "minimum": -90, "maximum": 90}}}"#, r#"{"a": 63.4}"#, r#"{"a": 91}"#),
            (r#"{"maximum": 3, "exclusiveMaximum": true}"#, "2.9", "3"),
            (r#"{"multipleOf": 0.01}"#, "1.25", "1.255"),
            (r#"{"items": {"type": "integer"}, "minItems": 1, "uniqueItems": true}"#, "[1, 2]", "[1, 1]"),
            (r#"{"items": [{"type": "integer"}], "additionalItems": false}"#, "[1]", "[1, 2]"),
            (r#"{"pattern": "^a+$", "maxLength": 3}"#, "\"aaa\"", "\"aaaa\""),
            (r#"{"additionalProperties": false, "patternProperties": {"^x": {}}}"#, r#"{"xy": 1}"#, r#"{"y": 1}"#),
            (r#"{"enum": [1, "two", null]}"#, "null", "2"),
            (r#"{"anyOf": [{"type": "string"}, {"minimum": 5}]}"#, "6", "4"),
            (r#"{"oneOf": [{"minimum": 1}, {"minimum": 5}]}"#, "2", "6"),
            (r#"{"not": {"type": "array"}}"#, "1", "[]"),
            (r#"{"dependencies": {"a": ["b"]}}"#, r#"{"a": 1, "b": 2}"#, r#"{"a": 1}"#),
            (
                r##"{"definitions": {"t": {"properties": {"next": {"$ref": "#/definitions/t"}, "v": {"type": "integer"}}}}, "$ref": "#/definitions/t"}"##,
                r#"{"v": 1, "next": {"v": 2}}"#,
                r#"{"v": 1, "next": {"v": "x"}}"#,
            ),
        ] {
            assert_eq!((valid(schema, good), valid(schema, bad)), ("1".into(), "0".into()), "{schema}");
        }
        let chain = r##"{"properties": {"a": {"$ref": "#"}}}"##;
        assert_eq!(valid(chain, &("{\"a\":".repeat(99) + "1" + &"}".repeat(99))), "1");
        assert_eq!(valid("[]", "1"), "error 3853");
        assert_eq!(valid(r##"{"$ref": "#"}"##, "1"), "error 1436");
        assert_eq!(valid(r#"{"$ref": "http://example.com"}"#, "1"), r#"NotSupported { feature: "references in JSON Schema" }"#);
    }

    #[test]
    fn a_report_says_where_and_why() {
        let schema = r#"{"type": "object", "properties": {"latitude": {"type": "number", "minimum": -90, "maximum": 90}}}"#;
        let report = |document| shown(call("JSON_SCHEMA_VALIDATION_REPORT", &[Value::str(schema), Value::str(document)]));
        assert_eq!(report(r#"{"latitude": 1}"#), r#"{"valid": true}"#);
        let expected = concat!(
            r#"{"valid": false, "reason": "The JSON document location '#/latitude' failed requirement 'maximum' at JSON Schema location "#,
            r#"'#/properties/latitude'", "schema-location": "#,
            r##""#/properties/latitude", "document-location": "#/latitude", "schema-failed-keyword": "maximum"}"##
        );
        assert_eq!(report(r#"{"latitude": 91}"#), expected);
    }
}
