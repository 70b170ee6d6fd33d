//! JSON paths: `$.a[0].*`, and what they lead to.
//!
//! Owns:     its legs.
//! Promises: MySQL's grammar (manual, "JSON Path Syntax") and its auto-wrapping: `[0]` of what is no array is the value itself.
//! Never:    changes a document: see `modify`.

use super::Json;
use super::parse::escape;
use super::print::quote;
use std::collections::HashSet;
use std::fmt;

/// A document nests 100 deep at most, and a `**` may stand before each step: a path of more legs leads nowhere, or again to where it was.
const MAX_LEGS: usize = 256;

/// `$` and the steps behind it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct JsonPath {
    legs: Vec<PathLeg>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PathLeg {
    /// `.name`
    Member(Box<str>),
    /// `.*`
    AnyMember,
    /// `[n]`
    Index(ArrayIndex),
    /// `[m to n]`
    Range(ArrayIndex, ArrayIndex),
    /// `[*]`
    AnyIndex,
    /// `**`
    Descend,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ArrayIndex {
    FromStart(u32),
    /// `last` is 0, `last-1` is 1.
    FromEnd(u32),
}

impl ArrayIndex {
    /// The position in an array of `length`; may be at or beyond either end.
    pub(super) fn resolve(self, length: usize) -> i64 {
        match self {
            ArrayIndex::FromStart(n) => n as i64,
            ArrayIndex::FromEnd(n) => length as i64 - 1 - n as i64,
        }
    }
    /// The element's place, if there is one.
    pub(super) fn within(self, length: usize) -> Option<usize> {
        usize::try_from(self.resolve(length)).ok().filter(|i| *i < length)
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> u8 {
        self.text.as_bytes().get(self.at).copied().unwrap_or(0)
    }
    fn skip_space(&mut self) {
        while matches!(self.peek(), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
    }
    /// Takes `byte`, and space after it.
    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == byte;
        if found {
            self.at += 1;
            self.skip_space();
        }
        found
    }
    fn word(&mut self, word: &str) -> bool {
        let found = self.text[self.at..].starts_with(word);
        if found {
            self.at += word.len();
        }
        found
    }

    fn leg(&mut self) -> Result<PathLeg, usize> {
        if self.take(b'.') {
            return self.member();
        }
        if self.take(b'[') {
            return self.index();
        }
        if self.word("**") {
            self.skip_space();
            // What follows must be a step: a path does not end here, nor is there a third star.
            if matches!(self.peek(), b'.' | b'[') || self.text[self.at..].starts_with("**") {
                return Ok(PathLeg::Descend);
            }
        }
        Err(self.at)
    }

    fn member(&mut self) -> Result<PathLeg, usize> {
        if self.take(b'*') {
            return Ok(PathLeg::AnyMember);
        }
        let start = self.at;
        if self.take_quote() {
            let mut name = String::new();
            loop {
                let rest = &self.text[self.at..];
                match rest.chars().next() {
                    Some('"') => break,
                    Some('\\') => {
                        let mut at = self.at;
                        name.push(escape(self.text.as_bytes(), &mut at).map_err(|e| e.offset)?);
                        self.at = at;
                    }
                    Some(c) if c >= ' ' => {
                        name.push(c);
                        self.at += c.len_utf8();
                    }
                    _ => return Err(start),
                }
            }
            self.at += 1;
            return Ok(PathLeg::Member(name.into()));
        }
        // An ECMAScript identifier.
        let rest = &self.text[start..];
        let end = rest.find(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | '$') && (c.is_ascii() || c.is_whitespace())).unwrap_or(rest.len());
        if end == 0 || rest.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(start);
        }
        self.at += end;
        Ok(PathLeg::Member(rest[..end].into()))
    }

    fn take_quote(&mut self) -> bool {
        let found = self.peek() == b'"';
        self.at += usize::from(found);
        found
    }

    fn index(&mut self) -> Result<PathLeg, usize> {
        if self.take(b'*') {
            return if self.take(b']') { Ok(PathLeg::AnyIndex) } else { Err(self.at) };
        }
        let first = self.array_index()?;
        self.skip_space();
        let leg = if self.word("to") {
            self.skip_space();
            let at = self.at;
            let last = self.array_index()?;
            let backwards = match (first, last) {
                (ArrayIndex::FromStart(a), ArrayIndex::FromStart(b)) => a > b,
                (ArrayIndex::FromEnd(a), ArrayIndex::FromEnd(b)) => a < b,
                _ => false,
            };
            if backwards {
                return Err(at);
            }
            PathLeg::Range(first, last)
        } else {
            PathLeg::Index(first)
        };
        self.skip_space();
        if self.take(b']') { Ok(leg) } else { Err(self.at) }
    }

    fn array_index(&mut self) -> Result<ArrayIndex, usize> {
        if !self.word("last") {
            return self.integer().map(ArrayIndex::FromStart);
        }
        let end = self.at;
        self.skip_space();
        if self.take(b'-') {
            return self.integer().map(ArrayIndex::FromEnd);
        }
        self.at = end;
        Ok(ArrayIndex::FromEnd(0))
    }

    fn integer(&mut self) -> Result<u32, usize> {
        let digits = self.text[self.at..].bytes().take_while(u8::is_ascii_digit).count();
        let n = self.text[self.at..self.at + digits].parse().map_err(|_| self.at)?;
        self.at += digits;
        Ok(n)
    }
}

impl JsonPath {
    /// The error is the byte offset around which MySQL's 3143 says the mistake is.
    pub fn parse(text: &str) -> Result<Self, usize> {
        let mut r = Reader { text, at: 0 };
        r.skip_space();
        if !r.take(b'$') {
            return Err(r.at);
        }
        let mut legs = Vec::new();
        r.skip_space();
        while r.at < text.len() {
            if legs.len() == MAX_LEGS {
                return Err(r.at);
            }
            legs.push(r.leg()?);
            r.skip_space();
        }
        Ok(Self { legs })
    }

    pub fn of(legs: Vec<PathLeg>) -> Self {
        Self { legs }
    }
    pub fn legs(&self) -> &[PathLeg] {
        &self.legs
    }
    /// `*`, `**` or a range: not allowed where a path says where to write (3149).
    pub fn has_wildcard(&self) -> bool {
        self.legs.iter().any(|l| matches!(l, PathLeg::AnyMember | PathLeg::AnyIndex | PathLeg::Range(..) | PathLeg::Descend))
    }
    /// Whether it is `$` alone (3153 for JSON_REMOVE).
    pub fn is_root(&self) -> bool {
        self.legs.is_empty()
    }
    /// Whether the last step is an array index (else 3165 for JSON_ARRAY_INSERT).
    pub fn ends_in_index(&self) -> bool {
        matches!(self.legs.last(), Some(PathLeg::Index(_)))
    }
}

/// As JSON_SEARCH prints it: names that are no identifiers in quotes.
impl fmt::Display for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let index = |i: &ArrayIndex| match i {
            ArrayIndex::FromStart(n) => n.to_string(),
            ArrayIndex::FromEnd(0) => "last".to_string(),
            ArrayIndex::FromEnd(n) => format!("last-{n}"),
        };
        f.write_str("$")?;
        for leg in &self.legs {
            match leg {
                PathLeg::Member(name) => {
                    let plain = !name.is_empty()
                        && !name.starts_with(|c: char| c.is_ascii_digit())
                        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'$'));
                    f.write_str(".")?;
                    if plain {
                        f.write_str(name)?;
                    } else {
                        let mut quoted = String::new();
                        quote(name, &mut quoted);
                        f.write_str(&quoted)?;
                    }
                }
                PathLeg::AnyMember => f.write_str(".*")?,
                PathLeg::Index(i) => write!(f, "[{}]", index(i))?,
                PathLeg::Range(a, b) => write!(f, "[{} to {}]", index(a), index(b))?,
                PathLeg::AnyIndex => f.write_str("[*]")?,
                PathLeg::Descend => f.write_str("**")?,
            }
        }
        Ok(())
    }
}

impl Json {
    /// All that the path leads to; each value once.
    pub fn lookup<'a>(&'a self, path: &JsonPath) -> Vec<&'a Json> {
        // Leg by leg over all values reached so far, each kept once: following every way for itself would take forever with many `**`.
        path.legs.iter().fold(vec![self], |reached, leg| {
            let mut next = Vec::new();
            match leg {
                PathLeg::Descend => {
                    let mut seen = HashSet::new();
                    reached.into_iter().for_each(|value| descend(value, &mut seen, &mut next));
                }
                leg => reached.into_iter().for_each(|value| step(value, leg, &mut next)),
            }
            if path.legs.contains(&PathLeg::Descend) && matches!(leg, PathLeg::Index(_) | PathLeg::Range(..)) {
                // An element, and that element wrapped into an array of itself.
                let mut seen = HashSet::new();
                next.retain(|v| seen.insert(*v as *const Json));
            }
            next
        })
    }

    /// The value at a path without wildcards.
    pub fn get(&self, path: &JsonPath) -> Option<&Json> {
        path.legs.iter().try_fold(self, |value, leg| match (leg, value) {
            (PathLeg::Member(name), Json::Object(members)) => members.get(name),
            (PathLeg::Index(i), Json::Array(items)) => items.get(i.within(items.len())?),
            (PathLeg::Index(i), _) => i.within(1).map(|_| value),
            _ => None,
        })
    }
}

/// `value` and all that is in it, but for what was seen before.
fn descend<'a>(value: &'a Json, seen: &mut HashSet<*const Json>, next: &mut Vec<&'a Json>) {
    if seen.insert(value) {
        next.push(value);
        value.children().for_each(|v| descend(v, seen, next));
    }
}

fn step<'a>(value: &'a Json, leg: &PathLeg, next: &mut Vec<&'a Json>) {
    match (leg, value) {
        (PathLeg::Member(name), Json::Object(members)) => next.extend(members.get(name)),
        (PathLeg::AnyMember, Json::Object(members)) => next.extend(members.values()),
        (PathLeg::AnyIndex, Json::Array(items)) => next.extend(items),
        (PathLeg::Index(i), Json::Array(items)) => next.extend(i.within(items.len()).map(|i| &items[i])),
        (PathLeg::Range(a, b), Json::Array(items)) => {
            let (a, b) = (a.resolve(items.len()).max(0), b.resolve(items.len()).min(items.len() as i64 - 1));
            next.extend((a..=b).map(|i| &items[i as usize]));
        }
        // A value that is no array is as good as an array of itself.
        (PathLeg::Index(i), _) if i.within(1).is_some() => next.push(value),
        (PathLeg::Range(a, b), _) if a.resolve(1) <= 0 && b.resolve(1) >= 0 => next.push(value),
        _ => (),
    }
}
