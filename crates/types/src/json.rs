//! JSON as MySQL has it.
//!
//! Owns:     its tree.
//! Promises: prints as MySQL prints; object keys are unique, in MySQL's order (length, then bytes).
//! Never:    nests deeper than [`Json::MAX_DEPTH`] when parsed.

mod binary;
mod compare;
mod modify;
mod parse;
mod path;
mod print;
mod search;
mod storage;
#[cfg(test)]
mod tests;

pub use parse::JsonError;
pub use path::{ArrayIndex, JsonPath, PathLeg};

use crate::{Date, DateTime, Decimal, Time};

#[derive(Clone, Debug)]
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

/// Equal as MySQL compares: 1 and 1.0 are.
impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.compare(other).is_eq()
    }
}

/// Members by key, in MySQL's order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JsonObject {
    entries: Vec<(Box<str>, Json)>,
}

fn key_order(a: &str, b: &str) -> std::cmp::Ordering {
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
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
    fn position(&self, key: &str) -> Result<usize, usize> {
        self.entries.binary_search_by(|(k, _)| key_order(k, key))
    }

    pub fn get(&self, key: &str) -> Option<&Json> {
        self.position(key).ok().map(|i| &self.entries[i].1)
    }
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Json> {
        self.position(key).ok().map(|i| &mut self.entries[i].1)
    }
    /// The value that was there before.
    pub fn insert(&mut self, key: impl Into<Box<str>>, value: Json) -> Option<Json> {
        let key = key.into();
        match self.position(&key) {
            Ok(i) => Some(std::mem::replace(&mut self.entries[i].1, value)),
            Err(i) => {
                self.entries.insert(i, (key, value));
                None
            }
        }
    }
    pub fn remove(&mut self, key: &str) -> Option<Json> {
        self.position(key).ok().map(|i| self.entries.remove(i).1)
    }
    /// These members, and what `merge` makes of each of `other`'s and the one here of its name; `None`: there is none. One pass over both.
    fn merged_with(self, other: Self, mut merge: impl FnMut(Option<Json>, Json) -> Option<Json>) -> Self {
        let mut entries = Vec::with_capacity(self.entries.len().max(other.entries.len()));
        let mut own = self.entries.into_iter().peekable();
        for (key, new) in other.entries {
            while let Some(before) = own.next_if(|(k, _)| key_order(k, &key).is_lt()) {
                entries.push(before);
            }
            let old = own.next_if(|(k, _)| **k == *key).map(|(_, old)| old);
            if let Some(merged) = merge(old, new) {
                entries.push((key, merged));
            }
        }
        entries.extend(own);
        Self { entries }
    }
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Json)> {
        self.entries.iter().map(|(k, v)| (&**k, v))
    }
    pub fn values(&self) -> impl ExactSizeIterator<Item = &Json> {
        self.entries.iter().map(|(_, v)| v)
    }
}

/// Of equal keys the last wins.
impl FromIterator<(Box<str>, Json)> for JsonObject {
    fn from_iter<I: IntoIterator<Item = (Box<str>, Json)>>(members: I) -> Self {
        let mut entries: Vec<(Box<str>, Json)> = members.into_iter().collect();
        // Stable: equal keys stay in the order they came in.
        entries.sort_by(|a, b| key_order(&a.0, &b.0));
        let mut unique: Vec<(Box<str>, Json)> = Vec::with_capacity(entries.len());
        for entry in entries {
            match unique.last_mut() {
                Some(last) if last.0 == entry.0 => *last = entry,
                _ => unique.push(entry),
            }
        }
        Self { entries: unique }
    }
}
impl IntoIterator for JsonObject {
    type Item = (Box<str>, Json);
    type IntoIter = std::vec::IntoIter<(Box<str>, Json)>;
    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

impl Json {
    /// Arrays and objects within each other (3157 beyond).
    pub const MAX_DEPTH: usize = 100;

    pub fn string(text: impl Into<Box<str>>) -> Self {
        Json::String(text.into())
    }

    /// JSON_TYPE: "INTEGER", "OBJECT" …
    pub fn type_name(&self) -> &'static str {
        match self {
            Json::Null => "NULL",
            Json::Bool(_) => "BOOLEAN",
            Json::Int(_) => "INTEGER",
            Json::UInt(_) => "UNSIGNED INTEGER",
            Json::Double(_) => "DOUBLE",
            Json::Decimal(_) => "DECIMAL",
            Json::String(_) => "STRING",
            Json::Array(_) => "ARRAY",
            Json::Object(_) => "OBJECT",
            Json::Date(_) => "DATE",
            Json::Time(_) => "TIME",
            Json::DateTime(_) => "DATETIME",
            Json::Opaque(_) => "BLOB",
        }
    }
    pub fn is_scalar(&self) -> bool {
        !matches!(self, Json::Array(_) | Json::Object(_))
    }
    /// Values directly inside an array or object.
    fn children(&self) -> Box<dyn Iterator<Item = &Json> + '_> {
        match self {
            Json::Array(items) => Box::new(items.iter()),
            Json::Object(members) => Box::new(members.values()),
            _ => Box::new(std::iter::empty()),
        }
    }
    /// JSON_DEPTH: 1 for scalars and what is empty.
    pub fn depth(&self) -> usize {
        1 + self.children().map(Json::depth).max().unwrap_or(0)
    }
    /// Whether arrays and objects lie within each other deeper than [`Json::MAX_DEPTH`] (3157): what a function puts together must be asked.
    pub fn nests_too_deep(&self) -> bool {
        fn deeper_than(value: &Json, allowed: usize) -> bool {
            if value.is_scalar() {
                return false;
            }
            allowed == 0 || value.children().any(|child| deeper_than(child, allowed - 1))
        }
        deeper_than(self, Self::MAX_DEPTH)
    }
    /// JSON_LENGTH: elements, members, or 1.
    pub fn length(&self) -> usize {
        match self {
            Json::Array(items) => items.len(),
            Json::Object(members) => members.len(),
            _ => 1,
        }
    }
    /// Bytes it takes, all told.
    pub fn size_bytes(&self) -> usize {
        std::mem::size_of::<Self>()
            + match self {
                Json::String(s) => s.len(),
                Json::Opaque(b) => b.len(),
                Json::Array(items) => items.iter().map(Json::size_bytes).sum(),
                Json::Object(members) => members.iter().map(|(k, v)| k.len() + 16 + v.size_bytes()).sum(),
                _ => 0,
            }
    }
}
