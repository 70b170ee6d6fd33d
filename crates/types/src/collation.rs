//! Collations: how strings compare.
//!
//! Owns:     the list of collations and character sets there are; their tables of weights.
//! Promises: `compare`, `equal`, `hash_into` and `sort_key` agree with each other; text that is not UTF-8 has an order, too.
//! Never:    converts between character sets: text is always UTF-8 inside, a latin1 column's as well.
//!
//! Weights come from the tables in [`tables`]. Where they are not MySQL's own: `utf8mb4_0900_ai_ci`, `_as_ci` and `_as_cs` use UCA 14.0.0 as MariaDB's
//! `uca1400_nopad_…` has it, where MySQL has 9.0.0. Letters, accents and case are the same; characters that came after Unicode 9 have an order of
//! their own here. Contractions (a handful of sequences in Thai, Lao and some Indic scripts) are not applied.

mod compare;
mod pattern;
mod tables;
#[cfg(test)]
mod tests;
mod weights;

pub use pattern::{LikePattern, LikeShape};

use serde::Serialize;
use std::sync::LazyLock;
use weights::{Table, Unlisted};

/// A collation, by MySQL's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Collation(u16);

/// A row of information_schema.collations.
#[derive(Clone, Copy, Debug)]
pub struct CollationInfo {
    pub collation: Collation,
    pub name: &'static str,
    pub charset: &'static str,
    pub is_default: bool,
    /// PAD SPACE: trailing spaces do not count.
    pub pad_space: bool,
}

/// A row of information_schema.character_sets.
#[derive(Clone, Copy, Debug)]
pub struct CharsetInfo {
    pub name: &'static str,
    pub description: &'static str,
    pub default_collation: Collation,
    pub max_len: u8,
}

const fn info(id: u16, name: &'static str, charset: &'static str, pad: &str) -> CollationInfo {
    let collation = Collation(id);
    let is_default = matches!(collation, Collation::BINARY | Collation::UTF8MB4_GENERAL_CI | Collation::UTF8MB3_GENERAL_CI)
        || matches!(collation, Collation::LATIN1_SWEDISH_CI | Collation::ASCII_GENERAL_CI);
    CollationInfo { collation, name, charset, is_default, pad_space: matches!(pad.as_bytes(), b"PAD SPACE") }
}

const ALL: &[CollationInfo] = &[
    info(11, "ascii_general_ci", "ascii", "PAD SPACE"),
    info(65, "ascii_bin", "ascii", "PAD SPACE"),
    info(63, "binary", "binary", "NO PAD"),
    info(5, "latin1_german1_ci", "latin1", "PAD SPACE"),
    info(8, "latin1_swedish_ci", "latin1", "PAD SPACE"),
    info(15, "latin1_danish_ci", "latin1", "PAD SPACE"),
    info(47, "latin1_bin", "latin1", "PAD SPACE"),
    info(48, "latin1_general_ci", "latin1", "PAD SPACE"),
    info(49, "latin1_general_cs", "latin1", "PAD SPACE"),
    info(94, "latin1_spanish_ci", "latin1", "PAD SPACE"),
    info(33, "utf8mb3_general_ci", "utf8mb3", "PAD SPACE"),
    info(83, "utf8mb3_bin", "utf8mb3", "PAD SPACE"),
    info(192, "utf8mb3_unicode_ci", "utf8mb3", "PAD SPACE"),
    info(214, "utf8mb3_unicode_520_ci", "utf8mb3", "PAD SPACE"),
    info(45, "utf8mb4_general_ci", "utf8mb4", "PAD SPACE"),
    info(46, "utf8mb4_bin", "utf8mb4", "PAD SPACE"),
    info(224, "utf8mb4_unicode_ci", "utf8mb4", "PAD SPACE"),
    info(246, "utf8mb4_unicode_520_ci", "utf8mb4", "PAD SPACE"),
    info(255, "utf8mb4_0900_ai_ci", "utf8mb4", "NO PAD"),
    info(278, "utf8mb4_0900_as_cs", "utf8mb4", "NO PAD"),
    info(305, "utf8mb4_0900_as_ci", "utf8mb4", "NO PAD"),
    info(309, "utf8mb4_0900_bin", "utf8mb4", "NO PAD"),
];

/// How a collation compares.
#[derive(Clone, Copy)]
enum Method {
    /// Bytes, all of them.
    Bytes,
    /// The bytes of UTF-8, which is the order of code points.
    CodePoints { pad: bool },
    /// The weights of characters, level after level.
    Weights { levels: &'static [&'static LazyLock<Table>], pad: bool },
}

macro_rules! table {
    ($name:ident, $data:ident, $unlisted:expr) => {
        static $name: LazyLock<Table> = LazyLock::new(|| Table::decode(tables::$data, $unlisted));
    };
}
macro_rules! weights {
    ($pad:literal, $($table:ident),+) => {{
        static LEVELS: &[&LazyLock<Table>] = &[$(&$table),+];
        Method::Weights { levels: LEVELS, pad: $pad }
    }};
}
table!(GENERAL_CI, GENERAL_CI, Unlisted::CodePoint);
table!(UNICODE_CI, UNICODE_CI, Unlisted::Uca400);
table!(UNICODE_520_CI, UNICODE_520_CI, Unlisted::Uca520);
table!(UCA1400_PRIMARY, UCA1400_PRIMARY, Unlisted::Uca1400);
table!(UCA1400_SECONDARY, UCA1400_SECONDARY, Unlisted::Weight(0x20));
table!(UCA1400_TERTIARY, UCA1400_TERTIARY, Unlisted::Weight(2));
table!(LATIN1_GERMAN1_CI, LATIN1_GERMAN1_CI, Unlisted::Weight(0xFFFD));
table!(LATIN1_SWEDISH_CI, LATIN1_SWEDISH_CI, Unlisted::Weight(0xFFFD));
table!(LATIN1_DANISH_CI, LATIN1_DANISH_CI, Unlisted::Weight(0xFFFD));
table!(LATIN1_BIN, LATIN1_BIN, Unlisted::Weight(0xFFFD));
table!(LATIN1_GENERAL_CI, LATIN1_GENERAL_CI, Unlisted::Weight(0xFFFD));
table!(LATIN1_GENERAL_CS, LATIN1_GENERAL_CS, Unlisted::Weight(0xFFFD));
table!(LATIN1_SPANISH_CI, LATIN1_SPANISH_CI, Unlisted::Weight(0xFFFD));

impl Collation {
    pub const BINARY: Collation = Collation(63);
    pub const UTF8MB4_GENERAL_CI: Collation = Collation(45);
    pub const UTF8MB4_BIN: Collation = Collation(46);
    pub const UTF8MB4_UNICODE_CI: Collation = Collation(224);
    pub const UTF8MB4_UNICODE_520_CI: Collation = Collation(246);
    pub const UTF8MB4_0900_AI_CI: Collation = Collation(255);
    pub const UTF8MB4_0900_AS_CS: Collation = Collation(278);
    pub const UTF8MB4_0900_AS_CI: Collation = Collation(305);
    pub const UTF8MB4_0900_BIN: Collation = Collation(309);
    pub const UTF8MB3_GENERAL_CI: Collation = Collation(33);
    pub const UTF8MB3_BIN: Collation = Collation(83);
    pub const UTF8MB3_UNICODE_CI: Collation = Collation(192);
    pub const LATIN1_SWEDISH_CI: Collation = Collation(8);
    pub const LATIN1_BIN: Collation = Collation(47);
    pub const LATIN1_GENERAL_CI: Collation = Collation(48);
    pub const LATIN1_GENERAL_CS: Collation = Collation(49);
    pub const ASCII_GENERAL_CI: Collation = Collation(11);
    pub const ASCII_BIN: Collation = Collation(65);

    /// Every collation there is, as information_schema.collations lists them.
    pub fn all() -> &'static [CollationInfo] {
        ALL
    }
    pub fn charsets() -> &'static [CharsetInfo] {
        const CHARSETS: &[CharsetInfo] = &[
            CharsetInfo { name: "ascii", description: "US ASCII", default_collation: Collation::ASCII_GENERAL_CI, max_len: 1 },
            CharsetInfo { name: "binary", description: "Binary pseudo charset", default_collation: Collation::BINARY, max_len: 1 },
            CharsetInfo { name: "latin1", description: "cp1252 West European", default_collation: Collation::LATIN1_SWEDISH_CI, max_len: 1 },
            CharsetInfo { name: "utf8mb3", description: "UTF-8 Unicode", default_collation: Collation::UTF8MB3_GENERAL_CI, max_len: 3 },
            CharsetInfo { name: "utf8mb4", description: "UTF-8 Unicode", default_collation: Collation::UTF8MB4_GENERAL_CI, max_len: 4 },
        ];
        CHARSETS
    }

    pub fn by_id(id: u16) -> Option<Self> {
        ALL.iter().map(|c| c.collation).find(|c| c.0 == id)
    }
    /// The collation with this id; where there is none, the default one of its character set: what a client says at its login decides about no comparison.
    pub fn of_client(id: u16) -> Option<Self> {
        Self::by_id(id).or(match id {
            // No wish; and the ranges that MySQL has given to utf8mb4 and utf8mb3.
            0 | 224..=247 | 255..=323 => Some(Self::UTF8MB4_GENERAL_CI),
            76 | 192..=215 | 223 => Some(Self::UTF8MB3_GENERAL_CI),
            _ => None,
        })
    }
    /// Any case; `utf8_…` is `utf8mb3_…`.
    pub fn by_name(name: &str) -> Option<Self> {
        let of_utf8 = match name.get(..5) {
            Some(start) if start.eq_ignore_ascii_case("utf8_") => Some(format!("utf8mb3_{}", &name[5..])),
            _ => None,
        };
        let name = of_utf8.as_deref().unwrap_or(name);
        ALL.iter().find(|c| c.name.eq_ignore_ascii_case(name)).map(|c| c.collation)
    }
    /// The default collation of a character set (any case; `utf8` is `utf8mb3`).
    pub fn default_of(charset: &str) -> Option<Self> {
        let charset = if charset.eq_ignore_ascii_case("utf8") { "utf8mb3" } else { charset };
        Self::charsets().iter().find(|c| c.name.eq_ignore_ascii_case(charset)).map(|c| c.default_collation)
    }
    /// The collation of a character set that compares code points.
    pub fn bin_of(charset: &str) -> Option<Self> {
        Some(match Self::default_of(charset)?.charset() {
            "utf8mb4" => Self::UTF8MB4_BIN,
            "utf8mb3" => Self::UTF8MB3_BIN,
            "latin1" => Self::LATIN1_BIN,
            "ascii" => Self::ASCII_BIN,
            _ => Self::BINARY,
        })
    }

    pub const fn id(self) -> u16 {
        self.0
    }
    fn info(self) -> &'static CollationInfo {
        ALL.iter().find(|c| c.collation == self).unwrap_or(&ALL[2])
    }
    pub fn name(self) -> &'static str {
        self.info().name
    }
    pub fn charset(self) -> &'static str {
        self.info().charset
    }
    /// Bytes of the longest character of its character set: 4, 3 or 1.
    pub fn max_len(self) -> u8 {
        match self.charset() {
            "utf8mb4" => 4,
            "utf8mb3" => 3,
            _ => 1,
        }
    }
    pub fn is_case_sensitive(self) -> bool {
        matches!(self.method(), Method::Bytes | Method::CodePoints { .. })
            || matches!(self, Self::LATIN1_BIN | Self::LATIN1_GENERAL_CS | Self::UTF8MB4_0900_AS_CS)
    }
    /// Whether trailing spaces do not count.
    pub fn pad_space(self) -> bool {
        self.info().pad_space
    }
    /// Compares bytes or code points, not weights: `binary` and the `_bin` collations of UTF-8.
    pub fn is_binary_order(self) -> bool {
        matches!(self.method(), Method::Bytes | Method::CodePoints { .. })
    }

    fn method(self) -> Method {
        match self.0 {
            45 | 33 | 11 => weights!(true, GENERAL_CI),
            46 | 83 | 65 => Method::CodePoints { pad: true },
            309 => Method::CodePoints { pad: false },
            255 => weights!(false, UCA1400_PRIMARY),
            305 => weights!(false, UCA1400_PRIMARY, UCA1400_SECONDARY),
            278 => weights!(false, UCA1400_PRIMARY, UCA1400_SECONDARY, UCA1400_TERTIARY),
            224 | 192 => weights!(true, UNICODE_CI),
            246 | 214 => weights!(true, UNICODE_520_CI),
            5 => weights!(true, LATIN1_GERMAN1_CI),
            8 => weights!(true, LATIN1_SWEDISH_CI),
            15 => weights!(true, LATIN1_DANISH_CI),
            47 => weights!(true, LATIN1_BIN),
            48 => weights!(true, LATIN1_GENERAL_CI),
            49 => weights!(true, LATIN1_GENERAL_CS),
            94 => weights!(true, LATIN1_SPANISH_CI),
            _ => Method::Bytes,
        }
    }

    /// UPPER(): characters whose upper case is more than one character stay as they are, as in MySQL.
    pub fn upper(self, value: &str) -> String {
        if self == Self::BINARY {
            return value.to_string();
        }
        map_characters(value, |c| single(c, c.to_uppercase()))
    }
    /// LOWER()
    pub fn lower(self, value: &str) -> String {
        if self == Self::BINARY {
            return value.to_string();
        }
        map_characters(value, |c| single(c, c.to_lowercase()))
    }
}

fn map_characters(value: &str, map: impl Fn(char) -> char) -> String {
    value.chars().map(map).collect()
}

fn single(c: char, mut mapped: impl ExactSizeIterator<Item = char>) -> char {
    if mapped.len() == 1 { mapped.next().unwrap_or(c) } else { c }
}

impl std::fmt::Display for Collation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
