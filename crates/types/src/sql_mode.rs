//! `sql_mode`: the set of flags that change what SQL means.
//!
//! Owns:     nothing.
//! Promises: prints and parses MySQL's names, in MySQL's order.
//! Never:    reads a session; it is handed in.

use serde::Serialize;

/// A set of `sql_mode` flags; bit positions are ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct SqlMode(pub u32);

impl SqlMode {
    pub const REAL_AS_FLOAT: u32 = 1 << 0;
    pub const PIPES_AS_CONCAT: u32 = 1 << 1;
    pub const ANSI_QUOTES: u32 = 1 << 2;
    pub const IGNORE_SPACE: u32 = 1 << 3;
    pub const ONLY_FULL_GROUP_BY: u32 = 1 << 4;
    pub const NO_UNSIGNED_SUBTRACTION: u32 = 1 << 5;
    pub const NO_DIR_IN_CREATE: u32 = 1 << 6;
    pub const ANSI: u32 = 1 << 7;
    pub const NO_AUTO_VALUE_ON_ZERO: u32 = 1 << 8;
    pub const NO_BACKSLASH_ESCAPES: u32 = 1 << 9;
    pub const STRICT_TRANS_TABLES: u32 = 1 << 10;
    pub const STRICT_ALL_TABLES: u32 = 1 << 11;
    pub const NO_ZERO_IN_DATE: u32 = 1 << 12;
    pub const NO_ZERO_DATE: u32 = 1 << 13;
    pub const ALLOW_INVALID_DATES: u32 = 1 << 14;
    pub const ERROR_FOR_DIVISION_BY_ZERO: u32 = 1 << 15;
    pub const TRADITIONAL: u32 = 1 << 16;
    pub const HIGH_NOT_PRECEDENCE: u32 = 1 << 17;
    pub const NO_ENGINE_SUBSTITUTION: u32 = 1 << 18;
    pub const PAD_CHAR_TO_FULL_LENGTH: u32 = 1 << 19;
    pub const TIME_TRUNCATE_FRACTIONAL: u32 = 1 << 20;

    /// MySQL 8.0's default.
    pub const DEFAULT: SqlMode = SqlMode(
        Self::ONLY_FULL_GROUP_BY
            | Self::STRICT_TRANS_TABLES
            | Self::NO_ZERO_IN_DATE
            | Self::NO_ZERO_DATE
            | Self::ERROR_FOR_DIVISION_BY_ZERO
            | Self::NO_ENGINE_SUBSTITUTION,
    );

    pub const fn has(self, flag: u32) -> bool {
        self.0 & flag != 0
    }
    pub const fn is_strict(self) -> bool {
        self.0 & (Self::STRICT_TRANS_TABLES | Self::STRICT_ALL_TABLES) != 0
    }

    /// Names of all flags, in MySQL's order, with our bit and the number MySQL gives the flag in `SET sql_mode = <number>`.
    const NAMES: [(&'static str, u32, u8); 21] = [
        ("REAL_AS_FLOAT", Self::REAL_AS_FLOAT, 0),
        ("PIPES_AS_CONCAT", Self::PIPES_AS_CONCAT, 1),
        ("ANSI_QUOTES", Self::ANSI_QUOTES, 2),
        ("IGNORE_SPACE", Self::IGNORE_SPACE, 3),
        ("ONLY_FULL_GROUP_BY", Self::ONLY_FULL_GROUP_BY, 5),
        ("NO_UNSIGNED_SUBTRACTION", Self::NO_UNSIGNED_SUBTRACTION, 6),
        ("NO_DIR_IN_CREATE", Self::NO_DIR_IN_CREATE, 7),
        ("ANSI", Self::ANSI, 18),
        ("NO_AUTO_VALUE_ON_ZERO", Self::NO_AUTO_VALUE_ON_ZERO, 19),
        ("NO_BACKSLASH_ESCAPES", Self::NO_BACKSLASH_ESCAPES, 20),
        ("STRICT_TRANS_TABLES", Self::STRICT_TRANS_TABLES, 21),
        ("STRICT_ALL_TABLES", Self::STRICT_ALL_TABLES, 22),
        ("NO_ZERO_IN_DATE", Self::NO_ZERO_IN_DATE, 23),
        ("NO_ZERO_DATE", Self::NO_ZERO_DATE, 24),
        ("ALLOW_INVALID_DATES", Self::ALLOW_INVALID_DATES, 25),
        ("ERROR_FOR_DIVISION_BY_ZERO", Self::ERROR_FOR_DIVISION_BY_ZERO, 26),
        ("TRADITIONAL", Self::TRADITIONAL, 27),
        ("HIGH_NOT_PRECEDENCE", Self::HIGH_NOT_PRECEDENCE, 29),
        ("NO_ENGINE_SUBSTITUTION", Self::NO_ENGINE_SUBSTITUTION, 30),
        ("PAD_CHAR_TO_FULL_LENGTH", Self::PAD_CHAR_TO_FULL_LENGTH, 31),
        ("TIME_TRUNCATE_FRACTIONAL", Self::TIME_TRUNCATE_FRACTIONAL, 32),
    ];

    /// What the combination modes stand for (MySQL's `expand_sql_mode`).
    fn expanded(self) -> SqlMode {
        let mut mode = self;
        if mode.has(Self::ANSI) {
            mode.0 |= Self::REAL_AS_FLOAT | Self::PIPES_AS_CONCAT | Self::ANSI_QUOTES | Self::IGNORE_SPACE | Self::ONLY_FULL_GROUP_BY;
        }
        if mode.has(Self::TRADITIONAL) {
            mode.0 |= Self::STRICT_TRANS_TABLES | Self::STRICT_ALL_TABLES | Self::NO_ZERO_IN_DATE | Self::NO_ZERO_DATE;
            mode.0 |= Self::ERROR_FOR_DIVISION_BY_ZERO | Self::NO_ENGINE_SUBSTITUTION;
        }
        mode
    }

    /// `SET sql_mode = '…'`: names in any case, separated by commas; the error is the name that is none (1231).
    pub fn parse(text: &str) -> Result<SqlMode, String> {
        let mut mode = SqlMode(0);
        for name in text.split(',').map(str::trim).filter(|n| !n.is_empty()) {
            let flag = Self::NAMES.iter().find(|(n, ..)| n.eq_ignore_ascii_case(name)).ok_or_else(|| name.to_string())?;
            mode.0 |= flag.1;
        }
        Ok(mode.expanded())
    }

    /// `SET sql_mode = <number>`, by MySQL's bits; `None` for a bit that has no name (1231).
    pub fn from_number(number: u64) -> Option<SqlMode> {
        let known = Self::NAMES.iter().fold(0u64, |bits, n| bits | 1 << n.2);
        if number & !known != 0 {
            return None;
        }
        Some(SqlMode(Self::NAMES.iter().filter(|n| number >> n.2 & 1 == 1).fold(0, |bits, n| bits | n.1)).expanded())
    }
    /// `@@sql_mode + 0`
    pub fn to_number(self) -> u64 {
        Self::NAMES.iter().filter(|n| self.has(n.1)).fold(0, |bits, n| bits | 1 << n.2)
    }

    /// `None` for a bit that is no flag of ours.
    pub fn checked(bits: u32) -> Option<SqlMode> {
        let known = Self::NAMES.iter().fold(0, |known, n| known | n.1);
        (bits & !known == 0).then_some(SqlMode(bits))
    }

    pub const fn with(self, flag: u32) -> SqlMode {
        SqlMode(self.0 | flag)
    }
    pub const fn without(self, flag: u32) -> SqlMode {
        SqlMode(self.0 & !flag)
    }
}

impl Default for SqlMode {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl std::fmt::Display for SqlMode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut first = true;
        for (name, ..) in Self::NAMES.iter().filter(|n| self.has(n.1)) {
            f.write_str(if first { "" } else { "," })?;
            f.write_str(name)?;
            first = false;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_print_in_mysqls_order_with_combinations_expanded() {
        let check = |text: &str, printed: &str| assert_eq!(SqlMode::parse(text).unwrap().to_string(), printed);
        check("no_zero_date, STRICT_TRANS_TABLES", "STRICT_TRANS_TABLES,NO_ZERO_DATE");
        check("", "");
        check("ANSI", "REAL_AS_FLOAT,PIPES_AS_CONCAT,ANSI_QUOTES,IGNORE_SPACE,ONLY_FULL_GROUP_BY,ANSI");
        check(
            "traditional",
            "STRICT_TRANS_TABLES,STRICT_ALL_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,TRADITIONAL,NO_ENGINE_SUBSTITUTION",
        );
        assert_eq!(
            SqlMode::DEFAULT.to_string(),
            "ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"
        );
        assert_eq!(SqlMode::parse("ANSI_QUOTES,nonsense"), Err("nonsense".into()));
        assert_eq!(SqlMode::from_number(4), Some(SqlMode(SqlMode::ANSI_QUOTES)));
        assert_eq!(SqlMode::from_number(16), None);
        assert_eq!(SqlMode::from_number(SqlMode::DEFAULT.to_number()), Some(SqlMode::DEFAULT));
    }
}
