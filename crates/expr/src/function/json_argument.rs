//! What the JSON functions take and give: documents, paths, values, and what is wrong with them.
//!
//! Owns:     nothing.
//! Promises: MySQL's errors in MySQL's order: an argument is looked at when its turn comes, and NULL ends the call there.
//!           A document that a function gives never nests deeper than 100 (3157) nor takes more than max_allowed_packet (1301).
//! Never:    changes a document.

use super::Call;
use super::result_type::{Bound, json_type};
use crate::{EvalContext, coerce};
use std::borrow::Cow;
use std::sync::Arc;
use weald_types::json::{JsonError, JsonPath};
use weald_types::{Collation, Fault, Json, SqlType, TypeKind, Value, sql_type::BlobSize};

/// What the function is called in messages.
fn shown_name(call: &Call<'_>) -> String {
    if call.name == "MEMBER_OF" { "member of".into() } else { call.lower_name() }
}

/// Text that is no JSON, in argument `argument` (from 1).
pub fn invalid_text(e: &JsonError, argument: usize, function: &str) -> Fault {
    if e.too_deep {
        return too_deep();
    }
    let text = format!("Invalid JSON text in argument {argument} to function {function}: \"{}\" at position {}.", e.message, e.offset);
    Fault::mysql(3141, "22032", text)
}

/// The same in a function's first argument.
pub fn invalid_json(e: &JsonError, function: &str) -> Fault {
    invalid_text(e, 1, function)
}

pub fn too_deep() -> Fault {
    Fault::mysql(3157, "22032", "The JSON document exceeds the maximum depth.")
}

/// JSON is text: binary strings are no documents.
pub fn binary_text() -> Fault {
    Fault::mysql(3144, "22032", "Cannot create a JSON value from a string with CHARACTER SET 'binary'.")
}

/// Argument `i` as a document: a JSON value, or a text that is parsed. `None` for NULL.
pub fn document<'v>(call: &Call<'_>, v: &'v [Value], i: usize) -> Result<Option<Cow<'v, Json>>, Fault> {
    document_of(&v[i], i + 1, || shown_name(call))
}

/// The same for a value by itself.
pub fn document_of(value: &Value, argument: usize, function: impl FnOnce() -> String) -> Result<Option<Cow<'_, Json>>, Fault> {
    match value {
        Value::Null => Ok(None),
        Value::Json(j) => Ok(Some(Cow::Borrowed(j))),
        Value::Str(s) => match Json::parse(s) {
            Ok(j) => Ok(Some(Cow::Owned(j))),
            Err(e) => Err(invalid_text(&e, argument, &function())),
        },
        Value::Bytes(_) => Err(binary_text()),
        Value::Int(_) | Value::UInt(_) | Value::Decimal(_) | Value::Double(_) | Value::Date(_) | Value::Time(_) | Value::DateTime(_) => {
            let text =
                format!("Invalid data type for JSON data in argument {argument} to function {}; a JSON string or JSON type is required.", function());
            Err(Fault::mysql(3146, "22032", text))
        }
    }
}

/// Argument `i` as a path. `None` for NULL.
pub fn path(call: &Call<'_>, v: &[Value], i: usize) -> Result<Option<JsonPath>, Fault> {
    match call.text(v, i) {
        Some(text) => parse_path(&text).map(Some),
        None => Ok(None),
    }
}

pub fn parse_path(text: &str) -> Result<JsonPath, Fault> {
    JsonPath::parse(text)
        .map_err(|at| Fault::mysql(3143, "42000", format!("Invalid JSON path expression. The error is around character position {at}.")))
}

/// A path that leads to one place at most.
pub fn plain_path(call: &Call<'_>, v: &[Value], i: usize) -> Result<Option<JsonPath>, Fault> {
    match path(call, v, i)? {
        Some(p) if p.has_wildcard() => {
            let text = "In this situation, path expressions may not contain the * and ** tokens or an array range.";
            Err(Fault::mysql(3149, "42000", text))
        }
        p => Ok(p),
    }
}

/// What 'one' and 'all' mean to JSON_SEARCH and JSON_CONTAINS_PATH.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    One,
    All,
}

pub fn one_or_all(call: &Call<'_>, v: &[Value], i: usize) -> Result<Option<Wanted>, Fault> {
    let Some(word) = call.text(v, i) else { return Ok(None) };
    if word.eq_ignore_ascii_case("one") {
        return Ok(Some(Wanted::One));
    }
    if word.eq_ignore_ascii_case("all") {
        return Ok(Some(Wanted::All));
    }
    let text = format!("The oneOrAll argument to {} may take these values: 'one' or 'all'.", shown_name(call));
    Err(Fault::mysql(3154, "42000", text))
}

/// Argument `i` as a value to be put into a document: NULL is JSON's null, a text is a string.
pub fn value(call: &Call<'_>, v: &[Value], i: usize) -> Json {
    coerce::json(&v[i], call.args[i].ty()).unwrap_or(Json::Null)
}

/// A document as a function's result.
pub fn made(call: &Call<'_>, json: Json, ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    if json.nests_too_deep() {
        return Err(too_deep());
    }
    let most = ctx.statement.max_allowed_packet;
    // Documents can be doubled by putting them into themselves: without a bound a short loop would take all memory.
    if json.storage_size() as u64 > most {
        return Err(Fault::mysql(1301, "HY000", format!("Result of {}() was larger than max_allowed_packet ({most}) - truncated", shown_name(call))));
    }
    Ok(Value::Json(Arc::new(json)))
}

/// 3064
pub fn incorrect_type(call: &Call<'_>) -> Fault {
    Fault::mysql(3064, "HY000", format!("Incorrect type for argument 1 in function {}.", shown_name(call)))
}

/// A text that comes out of a document: `utf8mb4_bin`, as long as it likes.
pub fn text_of_document(nullable: bool) -> Bound {
    Ok((SqlType::string(TypeKind::Text(BlobSize::Long), nullable, Collation::UTF8MB4_BIN), Collation::UTF8MB4_BIN))
}

pub fn json(nullable: bool) -> Bound {
    let ty = json_type(nullable);
    let collation = ty.collation;
    Ok((ty, collation))
}
