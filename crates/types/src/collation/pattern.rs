//! LIKE, and finding one string in another, under a collation.
//!
//! Owns:     nothing.
//! Promises: time at most |value| × |pattern|: only the last `%` is ever tried again.
//! Never:    allocates.

use super::weights::{CharWeights, char_length, decode_char};
use super::{Collation, Method};

/// One step of a pattern.
#[derive(PartialEq)]
enum Step {
    Any,
    One,
    /// A character, by its byte range in the pattern.
    Literal(usize, usize),
}

/// How single characters are compared.
struct Matcher {
    method: Method,
    bytes: bool,
}

impl Matcher {
    fn length(&self, text: &[u8], at: usize) -> usize {
        if self.bytes { 1 } else { char_length(text[at]).min(text.len() - at) }
    }

    /// Whether two characters are equal. A character of several weights equals only one with the same weights.
    #[inline]
    fn same(&self, a: &[u8], b: &[u8]) -> bool {
        if a == b {
            return true;
        }
        let Method::Weights { levels, .. } = self.method else { return false };
        levels.iter().all(|table| match (a, b) {
            ([x], [y]) if table.ascii(*x).is_some() && table.ascii(*y).is_some() => table.ascii(*x) == table.ascii(*y),
            _ => match (table.weights(decode_char(a).0), table.weights(decode_char(b).0)) {
                // A character without weight is equal to itself only: it must not stand in for all others.
                (CharWeights::Many([]), _) => false,
                (x, y) => x == y,
            },
        })
    }

    fn step(&self, pattern: &[u8], at: usize, escape: Option<&[u8]>) -> (Step, usize) {
        let length = self.length(pattern, at);
        if escape == Some(&pattern[at..at + length]) && at + length < pattern.len() {
            let next = self.length(pattern, at + length);
            return (Step::Literal(at + length, at + length + next), length + next);
        }
        match pattern[at] {
            b'%' => (Step::Any, 1),
            b'_' => (Step::One, 1),
            _ => (Step::Literal(at, at + length), length),
        }
    }
}

impl Collation {
    fn matcher(self) -> Matcher {
        Matcher { method: self.method(), bytes: self == Self::BINARY }
    }

    /// `value LIKE pattern ESCAPE escape`. `None`: there is no escape character. An escape character at the very end stands for itself.
    pub fn like(self, value: &[u8], pattern: &[u8], escape: Option<char>) -> bool {
        let matcher = self.matcher();
        let mut buffer = [0; 4];
        let escape = escape.map(|c| &*c.encode_utf8(&mut buffer)).map(str::as_bytes);
        let (mut v, mut p) = (0, 0);
        // Where to go on after the last `%`: the pattern behind it, and the value's next place to try.
        let mut retry: Option<(usize, usize)> = None;
        loop {
            if p < pattern.len() {
                let (step, length) = matcher.step(pattern, p, escape);
                if step == Step::Any {
                    p += length;
                    if p == pattern.len() {
                        return true;
                    }
                    retry = Some((p, v));
                    continue;
                }
                if v < value.len() {
                    let character = matcher.length(value, v);
                    let fits = match step {
                        Step::Literal(from, to) => matcher.same(&value[v..v + character], &pattern[from..to]),
                        Step::One | Step::Any => true,
                    };
                    if fits {
                        v += character;
                        p += length;
                        continue;
                    }
                }
            } else if v == value.len() {
                return true;
            }
            match &mut retry {
                Some((after, from)) if *from < value.len() => {
                    *from += matcher.length(value, *from);
                    (p, v) = (*after, *from);
                }
                _ => return false,
            }
        }
    }

    /// The part of a LIKE pattern before its first wildcard, with escapes undone, and whether that is the whole pattern (LIKE is then an equality
    /// that minds trailing spaces) or is followed by a single `%` only.
    pub fn like_prefix(pattern: &str, escape: Option<char>) -> (String, LikeShape) {
        let mut prefix = String::new();
        let mut chars = pattern.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                c if Some(c) == escape && chars.peek().is_some() => prefix.extend(chars.next()),
                '%' if chars.peek().is_none() => return (prefix, LikeShape::Prefix),
                '%' | '_' => return (prefix, LikeShape::Pattern),
                c => prefix.push(c),
            }
        }
        (prefix, LikeShape::Exact)
    }

    /// Where `needle` first occurs in `haystack` at or after byte `from`: the byte range. For INSTR, LOCATE and the like.
    pub fn find(self, haystack: &[u8], needle: &[u8], from: usize) -> Option<(usize, usize)> {
        if from > haystack.len() {
            return None;
        }
        if needle.is_empty() {
            return Some((from, from));
        }
        if let (true, Ok(text), Ok(part)) = (self.is_binary_order(), std::str::from_utf8(&haystack[from..]), std::str::from_utf8(needle)) {
            return text.find(part).map(|i| (from + i, from + i + needle.len()));
        }
        let matcher = self.matcher();
        let mut start = from;
        while start < haystack.len() {
            if let Some(end) = starts_with(&matcher, haystack, start, needle) {
                return Some((start, end));
            }
            start += matcher.length(haystack, start);
        }
        None
    }

    /// The weight of one character on the first level; 0 for one that is ignored. Of characters with several weights, the first.
    pub fn char_weight(self, c: char) -> u32 {
        match self.method() {
            Method::Bytes | Method::CodePoints { .. } => c as u32,
            Method::Weights { levels, .. } => match levels[0].weights(c as u32) {
                CharWeights::One(w) | CharWeights::Two(w, _) => w as u32,
                CharWeights::Many(many) => many.first().map_or(0, |w| *w as u32),
            },
        }
    }
}

/// What a LIKE pattern is, apart from its literal beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LikeShape {
    /// No wildcard.
    Exact,
    /// One `%`, at the end.
    Prefix,
    Pattern,
}

fn starts_with(matcher: &Matcher, haystack: &[u8], start: usize, needle: &[u8]) -> Option<usize> {
    let (mut h, mut n) = (start, 0);
    while n < needle.len() {
        if h >= haystack.len() {
            return None;
        }
        let (x, y) = (matcher.length(haystack, h), matcher.length(needle, n));
        if !matcher.same(&haystack[h..h + x], &needle[n..n + y]) {
            return None;
        }
        h += x;
        n += y;
    }
    Some(h)
}
