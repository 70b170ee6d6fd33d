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

    /// `pattern`, made ready to be asked of many values.
    pub fn like_pattern(self, pattern: &[u8], escape: Option<char>) -> LikePattern {
        let plain = Plain::of(&self.matcher(), pattern, escape);
        LikePattern { collation: self, pattern: pattern.into(), escape, plain }
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

/// A LIKE pattern that is asked of many values: [`Collation::like`], faster where the pattern is simple. Making it costs as much as asking a hundred values.
pub struct LikePattern {
    collation: Collation,
    pattern: Box<[u8]>,
    escape: Option<char>,
    plain: Option<Plain>,
}

impl std::fmt::Debug for LikePattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LIKE {:?} under {}", String::from_utf8_lossy(&self.pattern), self.collation)
    }
}

impl LikePattern {
    pub fn matches(&self, value: &[u8]) -> bool {
        match &self.plain {
            Some(plain) if plain.any_bytes || value.is_ascii() => plain.matches(value),
            _ => self.collation.like(value, &self.pattern, self.escape),
        }
    }
}

/// A pattern of ASCII pieces with `%` between them: of values in ASCII it is answered byte by byte. Each byte stands for all that are equal to it.
struct Plain {
    fold: [u8; 256],
    /// Every value is compared by its bytes, so it need not be ASCII.
    any_bytes: bool,
    pieces: Vec<Piece>,
    at_start: bool,
    at_end: bool,
}

/// A literal part, and the byte in it that is looked for first: one that is rare in texts.
struct Piece {
    folded: Box<[u8]>,
    rare: usize,
    /// The byte, and the other one that is equal to it, if there is one.
    variants: (u8, u8),
}

/// From common to rare in most texts; what is not here is rarer still.
const COMMON: &[u8] = b" etaoinshrdlcumwfgypbvk";

impl Plain {
    fn of(matcher: &Matcher, pattern: &[u8], escape: Option<char>) -> Option<Self> {
        let special = |b: &u8| *b == b'_' || escape.is_some_and(|e| e as u32 == *b as u32);
        let any_bytes = !matches!(matcher.method, Method::Weights { .. });
        if pattern.iter().any(special) || !(any_bytes || pattern.is_ascii()) || escape.is_some_and(|e| !e.is_ascii()) {
            return None;
        }
        let mut fold: [u8; 256] = std::array::from_fn(|b| b as u8);
        for b in 0..128u8 {
            if let Some(least) = (0..b).find(|a| matcher.same(&[*a], &[b])) {
                fold[b as usize] = least;
            }
        }
        let mut pieces = Vec::new();
        for part in pattern.split(|b| *b == b'%').filter(|p| !p.is_empty()) {
            let folded: Box<[u8]> = part.iter().map(|b| fold[*b as usize]).collect();
            let frequency = |b: u8| COMMON.iter().rev().position(|c| *c == b.to_ascii_lowercase()).map_or(0, |p| p + 1);
            let equal = |b: u8| -> Vec<u8> { (0..=255u8).filter(|x| fold[*x as usize] == b).collect() };
            let rare = (0..folded.len()).filter(|i| equal(folded[*i]).len() <= 2).min_by_key(|i| frequency(folded[*i]))?;
            let variants = equal(folded[rare]);
            pieces.push(Piece { variants: (variants[0], *variants.last()?), rare, folded });
        }
        Some(Self { fold, any_bytes, pieces, at_start: !pattern.starts_with(b"%"), at_end: !pattern.ends_with(b"%") })
    }

    fn is_at(&self, piece: &Piece, value: &[u8], at: usize) -> bool {
        value.get(at..at + piece.folded.len()).is_some_and(|v| v.iter().zip(&piece.folded).all(|(v, p)| self.fold[*v as usize] == *p))
    }

    /// Behind the first place of `piece` in `value` from `from` on.
    fn after(&self, piece: &Piece, value: &[u8], from: usize) -> Option<usize> {
        let (a, b) = piece.variants;
        let mut look = from + piece.rare;
        loop {
            let found = look + memchr::memchr2(a, b, value.get(look..)?)?;
            let at = found - piece.rare;
            if self.is_at(piece, value, at) {
                return Some(at + piece.folded.len());
            }
            look = found + 1;
        }
    }

    fn matches(&self, value: &[u8]) -> bool {
        let mut pieces = self.pieces.as_slice();
        let (mut from, mut end) = (0, value.len());
        if self.at_start && self.at_end && pieces.len() <= 1 {
            // No `%`, or only the empty pattern.
            return pieces.first().map_or(value.is_empty(), |p| p.folded.len() == value.len() && self.is_at(p, value, 0));
        }
        if self.at_start
            && let Some((first, rest)) = pieces.split_first()
        {
            if !self.is_at(first, value, 0) {
                return false;
            }
            (from, pieces) = (first.folded.len(), rest);
        }
        if self.at_end
            && let Some((last, rest)) = pieces.split_last()
        {
            let Some(at) = end.checked_sub(last.folded.len()).filter(|at| *at >= from && self.is_at(last, value, *at)) else { return false };
            (end, pieces) = (at, rest);
        }
        for p in pieces {
            match self.after(p, &value[..end], from) {
                Some(after) => from = after,
                None => return false,
            }
        }
        true
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
