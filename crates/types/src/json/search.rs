//! Looking for one document in another.
//!
//! Owns:     nothing.
//! Promises: JSON_CONTAINS and JSON_OVERLAPS by the manual's rules; every string of a document with its path.
//! Never:    decides what matches a search string: that is LIKE's.

use super::{ArrayIndex, Json, JsonPath, PathLeg};
use std::collections::HashSet;

impl Json {
    /// JSON_CONTAINS(self, candidate). Large arrays of arrays and objects take long: `check` is called all along, and ends it with an error.
    pub fn contains<E>(&self, candidate: &Json, check: &mut dyn FnMut() -> Result<(), E>) -> Result<bool, E> {
        match (self, candidate) {
            (Json::Object(target), Json::Object(wanted)) => {
                if wanted.len() > target.len() {
                    return Ok(false);
                }
                for (key, value) in wanted.iter() {
                    let Some(held) = target.get(key) else { return Ok(false) };
                    if !held.contains(value, check)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            (Json::Object(_), _) => Ok(false),
            (Json::Array(items), Json::Array(wanted)) => Elements::of(items).have_all(wanted, check),
            (Json::Array(items), one) => Elements::of(items).have_all(std::slice::from_ref(one), check),
            _ => Ok(self == candidate),
        }
    }

    /// JSON_OVERLAPS: a common element, a common member, or equality.
    pub fn overlaps(&self, other: &Json) -> bool {
        match (self, other) {
            (Json::Array(a), Json::Array(b)) => {
                let b = sorted(b.iter());
                a.iter().any(|x| b.binary_search_by(|y| y.compare(x)).is_ok())
            }
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

fn sorted<'a>(items: impl Iterator<Item = &'a Json>) -> Vec<&'a Json> {
    let mut items: Vec<&Json> = items.collect();
    items.sort_by(|a, b| a.compare(b));
    items
}

/// An array as JSON_CONTAINS looks into it: scalars are found by search, only what has parts must be gone through.
struct Elements<'a> {
    scalars: Vec<&'a Json>,
    others: Vec<&'a Json>,
}

impl<'a> Elements<'a> {
    fn of(items: &'a [Json]) -> Self {
        Self { scalars: sorted(items.iter().filter(|i| i.is_scalar())), others: items.iter().filter(|i| !i.is_scalar()).collect() }
    }

    fn have_all<E>(&self, wanted: &[Json], check: &mut dyn FnMut() -> Result<(), E>) -> Result<bool, E> {
        for candidate in wanted {
            if !self.have(candidate, check)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn have<E>(&self, candidate: &Json, check: &mut dyn FnMut() -> Result<(), E>) -> Result<bool, E> {
        if candidate.is_scalar() && self.scalars.binary_search_by(|s| s.compare(candidate)).is_ok() {
            return Ok(true);
        }
        for item in &self.others {
            check()?;
            // What is not found here may be inside of an array that is an element; an array's elements must lie in an array.
            if item.contains(candidate, check)? {
                return Ok(true);
            }
        }
        Ok(false)
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
