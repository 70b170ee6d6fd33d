//! Changing a document at a path, and merging documents.
//!
//! Owns:     nothing.
//! Promises: what JSON_SET, JSON_INSERT, JSON_REPLACE, JSON_REMOVE, JSON_ARRAY_APPEND, JSON_ARRAY_INSERT and the merges do; true if anything changed.
//! Never:    follows a path with wildcards: callers refuse those (3149).

use super::{ArrayIndex, Json, JsonObject, JsonPath, PathLeg};

/// The value that `legs` lead to.
fn get_mut<'a>(mut value: &'a mut Json, legs: &[PathLeg]) -> Option<&'a mut Json> {
    for leg in legs {
        value = match (leg, value) {
            (PathLeg::Member(name), Json::Object(members)) => members.get_mut(name)?,
            (PathLeg::Index(i), Json::Array(items)) => {
                let i = i.within(items.len())?;
                &mut items[i]
            }
            (PathLeg::Index(i), scalar) => {
                i.within(1)?;
                scalar
            }
            _ => return None,
        };
    }
    Some(value)
}

/// Puts `value` at `index` of an array, or at the end nearest to it.
fn insert_at(items: &mut Vec<Json>, index: ArrayIndex, value: Json) {
    let at = index.resolve(items.len()).clamp(0, items.len() as i64) as usize;
    items.insert(at, value);
}

/// Where there is nothing yet: a new member or element, if its parent is there.
fn add(document: &mut Json, legs: &[PathLeg], value: Json) -> bool {
    let Some((last, parents)) = legs.split_last() else { return false };
    let Some(parent) = get_mut(document, parents) else { return false };
    match (last, parent) {
        (PathLeg::Member(name), Json::Object(members)) => {
            members.insert(name.clone(), value);
            true
        }
        (PathLeg::Index(ArrayIndex::FromStart(_)), Json::Array(items)) => {
            items.push(value);
            true
        }
        // Before the first element.
        (PathLeg::Index(ArrayIndex::FromEnd(_)), Json::Array(items)) => {
            items.insert(0, value);
            true
        }
        (PathLeg::Index(index), scalar) => {
            let mut items = vec![std::mem::replace(scalar, Json::Null)];
            match index {
                ArrayIndex::FromStart(_) => items.push(value),
                ArrayIndex::FromEnd(_) => items.insert(0, value),
            }
            *scalar = Json::Array(items);
            true
        }
        _ => false,
    }
}

impl Json {
    /// JSON_SET: replaces what is there, adds what is not.
    pub fn set(&mut self, path: &JsonPath, value: Json) -> bool {
        match get_mut(self, path.legs()) {
            Some(place) => {
                *place = value;
                true
            }
            None => add(self, path.legs(), value),
        }
    }

    /// JSON_INSERT: only what is not there.
    pub fn insert(&mut self, path: &JsonPath, value: Json) -> bool {
        get_mut(self, path.legs()).is_none() && add(self, path.legs(), value)
    }

    /// JSON_REPLACE: only what is there.
    pub fn replace(&mut self, path: &JsonPath, value: Json) -> bool {
        match get_mut(self, path.legs()) {
            Some(place) => {
                *place = value;
                true
            }
            None => false,
        }
    }

    /// JSON_REMOVE.
    pub fn remove(&mut self, path: &JsonPath) -> bool {
        let Some((last, parents)) = path.legs().split_last() else { return false };
        match (last, get_mut(self, parents)) {
            (PathLeg::Member(name), Some(Json::Object(members))) => members.remove(name).is_some(),
            (PathLeg::Index(index), Some(Json::Array(items))) => match index.within(items.len()) {
                Some(i) => {
                    items.remove(i);
                    true
                }
                None => false,
            },
            _ => false,
        }
    }

    /// JSON_ARRAY_APPEND: what is no array becomes one first.
    pub fn array_append(&mut self, path: &JsonPath, value: Json) -> bool {
        match get_mut(self, path.legs()) {
            Some(Json::Array(items)) => items.push(value),
            Some(place) => *place = Json::Array(vec![std::mem::replace(place, Json::Null), value]),
            None => return false,
        }
        true
    }

    /// JSON_ARRAY_INSERT: what stands at the index and behind it moves up. The path's last leg must be an index (3165).
    pub fn array_insert(&mut self, path: &JsonPath, value: Json) -> bool {
        let Some((PathLeg::Index(index), parents)) = path.legs().split_last() else { return false };
        match get_mut(self, parents) {
            Some(Json::Array(items)) => {
                insert_at(items, *index, value);
                true
            }
            _ => false,
        }
    }

    /// JSON_MERGE_PATCH (RFC 7396).
    pub fn merge_patch(self, patch: Json) -> Json {
        let Json::Object(patch) = patch else { return patch };
        let members = match self {
            Json::Object(members) => members,
            _ => JsonObject::new(),
        };
        Json::Object(members.merged_with(patch, |old, new| match new {
            Json::Null => None,
            new => Some(old.unwrap_or(Json::Null).merge_patch(new)),
        }))
    }

    /// JSON_MERGE_PRESERVE: objects are merged by key, all else becomes one array.
    pub fn merge_preserve(self, other: Json) -> Json {
        match (self, other) {
            (Json::Object(a), Json::Object(b)) => Json::Object(a.merged_with(b, |old, new| {
                Some(match old {
                    Some(old) => old.merge_preserve(new),
                    None => new,
                })
            })),
            (a, b) => {
                let items = |v: Json| match v {
                    Json::Array(items) => items,
                    v => vec![v],
                };
                let mut all = items(a);
                all.extend(items(b));
                Json::Array(all)
            }
        }
    }
}
