//! JSON as MySQL has it.
//!
//! Owns:     its tree.
//! Promises: prints as MySQL prints; object keys are unique, in MySQL's order (length, then bytes).
//! Never:    nests deeper than 100 when parsed.

use crate::{Date, DateTime, Decimal, Time};
use std::cmp::Ordering;

#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    Null,
    Bool(bool),
    Int(i64),
    UInt(u64),
    Double(f64),
    Decimal(Decimal),
    String(Box<str>),
    Array(Vec<Json>),
    Object(JsonObject),
    Date(Date),
    Time(Time),
    DateTime(DateTime),
    /// A binary string put into JSON; prints as "base64:type253:…".
    Opaque(Box<[u8]>),
}

/// Keys in MySQL's order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JsonObject {
    entries: Vec<(Box<str>, Json)>,
}

impl JsonObject {
    pub fn new() -> Self {
        Self::default()
    }
    pub fn len(&self) -> usize {
        self.entries.len()
    }
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
    pub fn get(&self, key: &str) -> Option<&Json> {
        self.entries.iter().find(|e| &*e.0 == key).map(|e| &e.1)
    }
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Json> {
        self.entries.iter_mut().find(|e| &*e.0 == key).map(|e| &mut e.1)
    }
    /// Replaces what was there.
    pub fn insert(&mut self, key: impl Into<Box<str>>, value: Json) -> Option<Json> {
        self.entries.push((key.into(), value));
        None
    }
    pub fn remove(&mut self, key: &str) -> Option<Json> {
        let _ = key;
        None
    }
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Json)> {
        self.entries.iter().map(|(k, v)| (&**k, v))
    }
}

#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message} at position {offset}")]
pub struct JsonError {
    /** MySQL's words ("Invalid value.") */
    pub message: &'static str,
    pub offset: usize,
    pub too_deep: bool,
}

/// `$.a[0].**`: see [`JsonPath::parse`].
#[derive(Clone, Debug, PartialEq)]
pub struct JsonPath {
    legs: Vec<PathLeg>,
}
#[derive(Clone, Debug, PartialEq)]
pub enum PathLeg {
    Member(Box<str>),
    AnyMember,
    Index(ArrayIndex),
    Range(ArrayIndex, ArrayIndex),
    AnyIndex,
    Descend,
}
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ArrayIndex {
    FromStart(u32),
    FromEnd(u32),
}

impl JsonPath {
    /// The error is the byte offset that MySQL reports in 3143.
    pub fn parse(text: &str) -> Result<Self, usize> {
        let _ = text;
        Err(0)
    }
    pub fn legs(&self) -> &[PathLeg] {
        &self.legs
    }
    /// `*`, `**` or a range: not allowed where a path says where to write (3149).
    pub fn has_wildcard(&self) -> bool {
        false
    }
    /// Whether it is `$` alone (3153 for JSON_REMOVE).
    pub fn is_root(&self) -> bool {
        self.legs.is_empty()
    }
}
impl std::fmt::Display for JsonPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("$")
    }
}

impl Json {
    pub const MAX_DEPTH: usize = 100;
    pub fn parse(text: &str) -> Result<Self, JsonError> {
        let _ = text;
        Err(JsonError { message: "Invalid value.", offset: 0, too_deep: false })
    }
    /// JSON_TYPE: "INTEGER", "OBJECT" …
    pub fn type_name(&self) -> &'static str {
        "NULL"
    }
    pub fn depth(&self) -> usize {
        1
    }
    /// JSON_LENGTH.
    pub fn length(&self) -> usize {
        1
    }
    /// JSON_PRETTY.
    pub fn pretty(&self) -> String {
        self.to_string()
    }
    /// JSON_UNQUOTE of this value: a string's characters, anything else as printed.
    pub fn unquoted(&self) -> std::borrow::Cow<'_, str> {
        self.to_string().into()
    }
    /// JSON_UNQUOTE of a text that need not be JSON: a quoted string is unescaped, all else stays. The error is for a bad escape (3141).
    pub fn unquote(text: &str) -> Result<std::borrow::Cow<'_, str>, JsonError> {
        Ok(text.into())
    }
    /// JSON_QUOTE.
    pub fn quote(text: &str) -> String {
        text.to_string()
    }
    /// MySQL's total order: by type precedence, then value.
    pub fn compare(&self, other: &Json) -> Ordering {
        let _ = other;
        Ordering::Equal
    }
    /// Bytes whose order is (near) that of [`Json::compare`] and whose equality is exactly its equality: for hashing, GROUP BY, DISTINCT.
    pub fn sort_key(&self, out: &mut Vec<u8>) {
        let _ = out;
    }
    /// All that the path leads to; with `**` a value is named once.
    pub fn lookup<'a>(&'a self, path: &JsonPath) -> Vec<&'a Json> {
        let _ = path;
        Vec::new()
    }
    /// The value at a path without wildcards.
    pub fn get(&self, path: &JsonPath) -> Option<&Json> {
        let _ = path;
        None
    }
    /// JSON_SET; true if anything changed. Paths must not have wildcards.
    pub fn set(&mut self, path: &JsonPath, value: Json) -> bool {
        let _ = (path, value);
        false
    }
    /// JSON_INSERT.
    pub fn insert(&mut self, path: &JsonPath, value: Json) -> bool {
        let _ = (path, value);
        false
    }
    /// JSON_REPLACE.
    pub fn replace(&mut self, path: &JsonPath, value: Json) -> bool {
        let _ = (path, value);
        false
    }
    /// JSON_REMOVE.
    pub fn remove(&mut self, path: &JsonPath) -> bool {
        let _ = path;
        false
    }
    /// JSON_ARRAY_APPEND.
    pub fn array_append(&mut self, path: &JsonPath, value: Json) -> bool {
        let _ = (path, value);
        false
    }
    /// JSON_ARRAY_INSERT; the path's last leg must be an index (3165).
    pub fn array_insert(&mut self, path: &JsonPath, value: Json) -> bool {
        let _ = (path, value);
        false
    }
    /// JSON_MERGE_PATCH (RFC 7396).
    pub fn merge_patch(self, patch: Json) -> Json {
        let _ = self;
        patch
    }
    pub fn merge_preserve(self, other: Json) -> Json {
        let _ = self;
        other
    }
    /// JSON_CONTAINS(self, candidate).
    pub fn contains(&self, candidate: &Json) -> bool {
        let _ = candidate;
        false
    }
    /// JSON_OVERLAPS.
    pub fn overlaps(&self, other: &Json) -> bool {
        let _ = other;
        false
    }
    /// Every string in the tree with its path: for JSON_SEARCH. Return false from `visit` to stop.
    pub fn visit_strings(&self, visit: &mut dyn FnMut(&JsonPath, &str) -> bool) {
        let _ = visit;
    }
    /// Bytes on the heap.
    pub fn size_bytes(&self) -> usize {
        0
    }
    /// As stored in a row.
    pub fn to_bytes(&self, out: &mut Vec<u8>) {
        let _ = out;
    }
    /// `None` for bytes that [`Json::to_bytes`] did not write.
    pub fn from_bytes(bytes: &[u8]) -> Option<Json> {
        let _ = bytes;
        None
    }
}

impl std::fmt::Display for Json {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("null")
    }
}
