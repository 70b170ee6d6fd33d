//! Looking for one document in another.
//!
//! Owns:     nothing.
//! Promises: JSON_CONTAINS and JSON_OVERLAPS by the manual's rules; every string of a document with its path.
//! Never:    decides what matches a search string: that is LIKE's.

use super::{ArrayIndex, Json, JsonPath, PathLeg};
use std::collections::HashSet;

impl Json {
    /// JSON_CONTAINS(self, candidate).
    pub fn contains(&self, candidate: &Json) -> bool {
        match (self, candidate) {
            (Json::Object(target), Json::Object(wanted)) => {
                wanted.len() <= target.len() && wanted.iter().all(|(key, value)| target.get(key).is_some_and(|v| v.contains(value)))
            }
            (Json::Object(_), _) => false,
            (Json::Array(_), Json::Array(wanted)) => wanted.iter().all(|w| self.has_element(w)),
            (Json::Array(_), _) => self.has_element(candidate),
            _ => self == candidate,
        }
    }

    fn has_element(&self, candidate: &Json) -> bool {
        let Json::Array(items) = self else { return false };
        items.iter().any(|item| match (item, candidate) {
            // An array's elements must lie in an array.
            (Json::Array(_), _) => item.contains(candidate),
            (_, Json::Array(_)) => false,
            _ => item.contains(candidate),
        })
    }

    /// JSON_OVERLAPS: a common element, a common member, or equality.
    pub fn overlaps(&self, other: &Json) -> bool {
        match (self, other) {
            (Json::Array(a), Json::Array(b)) => a.iter().any(|x| b.contains(x)),
            (Json::Array(a), b) | (b, Json::Array(a)) => a.contains(b),
            (Json::Object(a), Json::Object(b)) => a.iter().any(|(key, value)| b.get(key) == Some(value)),
            _ => self == other,
        }
    }

    /// Every string in the tree with its path: for JSON_SEARCH. With `within`, only strings that lie in a value this path leads to.
    /// Return false from `visit` to stop.
    pub fn visit_strings(&self, within: Option<&JsonPath>, visit: &mut dyn FnMut(&JsonPath, &str) -> bool) {
        // Values are told apart by where they stand in memory: a path may lead to many, and equal ones are not the same one.
        let starts: Option<HashSet<*const Json>> = within.map(|path| self.lookup(path).into_iter().map(std::ptr::from_ref).collect());
        walk(self, starts.as_ref(), &mut Vec::new(), visit);
    }
}

/// `starts`: strings count only in these values and below; `None` where all count.
fn walk(value: &Json, starts: Option<&HashSet<*const Json>>, legs: &mut Vec<PathLeg>, visit: &mut dyn FnMut(&JsonPath, &str) -> bool) -> bool {
    let starts = starts.filter(|s| !s.contains(&std::ptr::from_ref(value)));
    match value {
        Json::String(text) => starts.is_some() || visit(&JsonPath::of(legs.clone()), text),
        Json::Array(items) => items.iter().enumerate().all(|(i, item)| {
            legs.push(PathLeg::Index(ArrayIndex::FromStart(i as u32)));
            let go_on = walk(item, starts, legs, visit);
            legs.pop();
            go_on
        }),
        Json::Object(members) => members.iter().all(|(key, item)| {
            legs.push(PathLeg::Member(key.into()));
            let go_on = walk(item, starts, legs, visit);
            legs.pop();
            go_on
        }),
        _ => true,
    }
}
