//! Collations: how strings compare.
//!
//! Owns:     the tables of weights.
//! Promises: `sort_key` orders bytes as `compare` orders strings.
//! Never:    converts between character sets: text is always UTF-8 inside.

use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// A collation, by MySQL's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Collation(u16);

#[derive(Clone, Copy, Debug)]
pub struct CollationInfo {
    pub collation: Collation,
    pub name: &'static str,
    pub charset: &'static str,
    pub is_default: bool,
    pub pad_space: bool,
}
#[derive(Clone, Copy, Debug)]
pub struct CharsetInfo {
    pub name: &'static str,
    pub description: &'static str,
    pub default_collation: Collation,
    pub max_len: u8,
}

impl Collation {
    pub const BINARY: Collation = Collation(63);
    pub const UTF8MB4_GENERAL_CI: Collation = Collation(45);
    pub const UTF8MB4_BIN: Collation = Collation(46);
    pub const UTF8MB4_UNICODE_CI: Collation = Collation(224);
    pub const UTF8MB4_0900_AI_CI: Collation = Collation(255);
    pub const UTF8MB4_0900_BIN: Collation = Collation(309);
    pub const UTF8MB4_0900_AS_CS: Collation = Collation(278);
    pub const UTF8MB4_0900_AS_CI: Collation = Collation(305);
    pub const UTF8MB3_GENERAL_CI: Collation = Collation(33);
    pub const UTF8MB3_BIN: Collation = Collation(83);
    pub const UTF8MB3_UNICODE_CI: Collation = Collation(192);
    pub const LATIN1_SWEDISH_CI: Collation = Collation(8);
    pub const LATIN1_BIN: Collation = Collation(47);
    pub const LATIN1_GENERAL_CI: Collation = Collation(48);
    pub const LATIN1_GENERAL_CS: Collation = Collation(49);
    pub const ASCII_GENERAL_CI: Collation = Collation(11);
    pub const ASCII_BIN: Collation = Collation(65);

    pub fn by_id(id: u16) -> Option<Self> {
        Self::all().iter().find(|c| c.collation.0 == id).map(|c| c.collation)
    }
    /// Any case; `utf8_…` is `utf8mb3_…`.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::all().iter().find(|c| c.name.eq_ignore_ascii_case(name)).map(|c| c.collation)
    }
    pub const fn id(self) -> u16 {
        self.0
    }
    pub fn name(self) -> &'static str {
        Self::all().iter().find(|c| c.collation == self).map_or("binary", |c| c.name)
    }
    pub fn charset(self) -> &'static str {
        Self::all().iter().find(|c| c.collation == self).map_or("binary", |c| c.charset)
    }
    /// Bytes of the longest character: 4, 3 or 1.
    pub fn max_len(self) -> u8 {
        4
    }
    /// The default collation of a character set (any case; `utf8` is `utf8mb3`).
    pub fn default_of(charset: &str) -> Option<Self> {
        Self::charsets().iter().find(|c| c.name.eq_ignore_ascii_case(charset)).map(|c| c.default_collation)
    }
    /// The `_bin` collation of this one's character set.
    pub fn bin_of(charset: &str) -> Option<Self> {
        let _ = charset;
        None
    }
    pub fn all() -> &'static [CollationInfo] {
        const ALL: &[CollationInfo] = &[
            CollationInfo { collation: Collation(45), name: "utf8mb4_general_ci", charset: "utf8mb4", is_default: true, pad_space: true },
            CollationInfo { collation: Collation(63), name: "binary", charset: "binary", is_default: true, pad_space: false },
        ];
        ALL
    }
    pub fn charsets() -> &'static [CharsetInfo] {
        &[]
    }
    pub fn is_case_sensitive(self) -> bool {
        self == Self::BINARY
    }
    /// Whether trailing spaces do not count.
    pub fn pad_space(self) -> bool {
        false
    }
    /// Compares bytes (or code points), not weights: the `_bin` collations and `binary`.
    pub fn is_binary_order(self) -> bool {
        self == Self::BINARY
    }
    pub fn compare(self, a: &[u8], b: &[u8]) -> Ordering {
        a.cmp(b)
    }
    pub fn equal(self, a: &[u8], b: &[u8]) -> bool {
        self.compare(a, b) == Ordering::Equal
    }
    /// Equal strings (under this collation) feed equal bytes.
    pub fn hash_into(self, value: &[u8], hasher: &mut impl std::hash::Hasher) {
        hasher.write(value)
    }
    /// Appends bytes whose `memcmp` order is this collation's order. They may contain zeros.
    pub fn sort_key(self, value: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(value)
    }
    /// As `sort_key` begins for every string that starts with `value`.
    pub fn sort_key_start(self, value: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(value)
    }
    /// The sort key of the first `chars` characters (bytes for binary).
    pub fn sort_key_prefix(self, value: &[u8], chars: u32, out: &mut Vec<u8>) {
        let _ = chars;
        self.sort_key(value, out)
    }
    /// `value LIKE pattern ESCAPE escape`, in time at most |value| × |pattern|. `None` escape: no escape character.
    pub fn like(self, value: &[u8], pattern: &[u8], escape: Option<char>) -> bool {
        let _ = escape;
        value == pattern
    }
    /// Where `needle` first occurs in `haystack` at or after byte `from`: the byte range matched. For INSTR, LOCATE, REPLACE …
    pub fn find(self, haystack: &[u8], needle: &[u8], from: usize) -> Option<(usize, usize)> {
        let _ = (haystack, needle, from);
        None
    }
    pub fn upper(self, value: &str) -> String {
        value.to_uppercase()
    }
    pub fn lower(self, value: &str) -> String {
        value.to_lowercase()
    }
    /// The weight of one character; 0 for one that is ignored. Of characters that expand, only the first weight.
    pub fn char_weight(self, c: char) -> u32 {
        c as u32
    }
}
impl std::fmt::Display for Collation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
