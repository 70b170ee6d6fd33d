//! MySQL's data types, with all that a value of them needs to be read, compared and shown.
//!
//! Owns:     nothing.
//! Promises: a string type always has a collation.
//! Never:    knows about columns or tables.

use crate::Collation;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// A type and what is said of every value of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct SqlType {
    pub kind: TypeKind,
    pub nullable: bool,
    /// For string, ENUM, SET and JSON kinds the collation values compare under; [`Collation::BINARY`] for all others.
    pub collation: Collation,
}

/// MySQL's data types. Lengths of character types are in characters, of binary types in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TypeKind {
    /// The type of a bare NULL.
    Null,
    /// `zerofill`: the width to fill with zeros; on a signed TINYINT 1 means TINYINT(1), see [`TypeKind::boolean`].
    Int {
        width: IntWidth,
        unsigned: bool,
        zerofill: Option<u8>,
    },
    Decimal {
        precision: u8,
        scale: u8,
        unsigned: bool,
    },
    /// `digits` and `scale` are M and D of `FLOAT(M,D)`, where they are declared; an expression has D only.
    Float {
        unsigned: bool,
        digits: Option<u8>,
        scale: Option<u8>,
    },
    Double {
        unsigned: bool,
        digits: Option<u8>,
        scale: Option<u8>,
    },
    Bit {
        bits: u8,
    },
    Char {
        chars: u32,
    },
    VarChar {
        chars: u32,
    },
    Text(BlobSize),
    Binary {
        bytes: u32,
    },
    VarBinary {
        bytes: u32,
    },
    Blob(BlobSize),
    Date,
    /// `fsp`: decimals of a second, 0 to 6.
    Time {
        fsp: u8,
    },
    DateTime {
        fsp: u8,
    },
    Timestamp {
        fsp: u8,
    },
    Year,
    Json,
    Enum(Arc<[Box<str>]>),
    Set(Arc<[Box<str>]>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum IntWidth {
    Tiny,
    Small,
    Medium,
    Int,
    Big,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum BlobSize {
    Tiny,
    Plain,
    Medium,
    Long,
}

impl SqlType {
    pub fn new(kind: TypeKind, nullable: bool) -> Self {
        Self { kind, nullable, collation: Collation::BINARY }
    }
    pub fn string(kind: TypeKind, nullable: bool, collation: Collation) -> Self {
        Self { kind, nullable, collation }
    }
    pub fn bigint(nullable: bool) -> Self {
        Self::new(TypeKind::Int { width: IntWidth::Big, unsigned: false, zerofill: None }, nullable)
    }
    pub fn bigint_unsigned(nullable: bool) -> Self {
        Self::new(TypeKind::Int { width: IntWidth::Big, unsigned: true, zerofill: None }, nullable)
    }
    pub fn double(nullable: bool) -> Self {
        Self::new(TypeKind::real(None), nullable)
    }
    pub fn varchar(chars: u32, nullable: bool, collation: Collation) -> Self {
        Self::string(TypeKind::VarChar { chars }, nullable, collation)
    }
    pub fn null() -> Self {
        Self::new(TypeKind::Null, true)
    }
    /// The same type, but a truth value is an integer like others: once it is stored or chosen among values, it is no longer told from them.
    pub fn as_number(self) -> Self {
        if self.kind.is_truth() { Self::bigint(self.nullable) } else { self }
    }
    pub fn with_nullable(mut self, nullable: bool) -> Self {
        self.nullable = nullable;
        self
    }
}

impl TypeKind {
    /// DOUBLE with so many decimals, or as many as it takes.
    pub const fn real(scale: Option<u8>) -> Self {
        TypeKind::Double { unsigned: false, digits: None, scale }
    }

    /// M and D of a FLOAT or DOUBLE that has a fixed number of decimals.
    pub fn real_digits(&self) -> Option<(u8, u8)> {
        match *self {
            TypeKind::Float { digits, scale: Some(scale), .. } | TypeKind::Double { digits, scale: Some(scale), .. } => {
                // 15 digits that a double holds, a sign and a point, as MySQL counts.
                Some((digits.unwrap_or_else(|| scale.saturating_add(17)), scale))
            }
            _ => None,
        }
    }

    pub fn is_unsigned(&self) -> bool {
        matches!(
            self,
            TypeKind::Int { unsigned: true, .. }
                | TypeKind::Decimal { unsigned: true, .. }
                | TypeKind::Float { unsigned: true, .. }
                | TypeKind::Double { unsigned: true, .. }
                | TypeKind::Bit { .. }
                | TypeKind::Year
        )
    }
    /// Character strings, ENUM and SET included; not JSON, not binary strings.
    pub fn is_text(&self) -> bool {
        matches!(self, TypeKind::Char { .. } | TypeKind::VarChar { .. } | TypeKind::Text(_) | TypeKind::Enum(_) | TypeKind::Set(_))
    }
    pub fn is_binary(&self) -> bool {
        matches!(self, TypeKind::Binary { .. } | TypeKind::VarBinary { .. } | TypeKind::Blob(_))
    }
    pub fn is_integer(&self) -> bool {
        matches!(self, TypeKind::Int { .. } | TypeKind::Bit { .. } | TypeKind::Year)
    }
    pub fn is_temporal(&self) -> bool {
        matches!(self, TypeKind::Date | TypeKind::Time { .. } | TypeKind::DateTime { .. } | TypeKind::Timestamp { .. })
    }
}

impl TypeKind {
    /// TINYINT(1), which BOOLEAN stands for: a signed TINYINT that shows its width. ZEROFILL makes a type unsigned, so that a signed type with a
    /// width cannot be mistaken for one; and to fill to width 1 changes nothing.
    pub fn boolean() -> Self {
        TypeKind::Int { width: IntWidth::Tiny, unsigned: false, zerofill: Some(1) }
    }
    /// BIGINT(1): what comparisons give, and TRUE and FALSE are. JSON tells it from other integers: in it such a value is true or false.
    pub fn truth() -> Self {
        TypeKind::Int { width: IntWidth::Big, unsigned: false, zerofill: Some(1) }
    }
    pub fn is_truth(&self) -> bool {
        matches!(self, TypeKind::Int { width: IntWidth::Big, unsigned: false, zerofill: Some(1) })
    }
    /// Least and greatest value of an integer type, YEAR and BIT included; `None` for others.
    pub fn integer_range(&self) -> Option<(i128, i128)> {
        match self {
            TypeKind::Int { width, unsigned: true, .. } => Some((0, (1i128 << width.bits()) - 1)),
            TypeKind::Int { width, unsigned: false, .. } => Some((-(1i128 << (width.bits() - 1)), (1i128 << (width.bits() - 1)) - 1)),
            TypeKind::Bit { bits } => Some((0, (1i128 << (*bits).min(64)) - 1)),
            TypeKind::Year => Some((0, 2155)),
            _ => None,
        }
    }
    /// Whether precision, scale, lengths and members are such as the type can have.
    pub(crate) fn is_within_bounds(&self) -> bool {
        match self {
            TypeKind::Decimal { precision, scale, .. } => {
                *precision <= crate::Decimal::MAX_PRECISION && *scale <= crate::Decimal::MAX_SCALE && scale <= precision
            }
            TypeKind::Bit { bits } => *bits <= 64,
            TypeKind::Time { fsp } | TypeKind::DateTime { fsp } | TypeKind::Timestamp { fsp } => *fsp <= 6,
            TypeKind::Enum(members) => members.len() <= u16::MAX as usize,
            TypeKind::Set(members) => members.len() <= 64,
            TypeKind::Null
            | TypeKind::Int { .. }
            | TypeKind::Float { .. }
            | TypeKind::Double { .. }
            | TypeKind::Char { .. }
            | TypeKind::VarChar { .. }
            | TypeKind::Text(_)
            | TypeKind::Binary { .. }
            | TypeKind::VarBinary { .. }
            | TypeKind::Blob(_)
            | TypeKind::Date
            | TypeKind::Year
            | TypeKind::Json => true,
        }
    }
    /// Decimals of a second of a temporal type.
    pub fn fsp(&self) -> Option<u8> {
        match self {
            TypeKind::Time { fsp } | TypeKind::DateTime { fsp } | TypeKind::Timestamp { fsp } => Some(*fsp),
            _ => None,
        }
    }
}

impl IntWidth {
    pub const fn bits(self) -> u32 {
        match self {
            IntWidth::Tiny => 8,
            IntWidth::Small => 16,
            IntWidth::Medium => 24,
            IntWidth::Int => 32,
            IntWidth::Big => 64,
        }
    }
    pub const fn name(self) -> &'static str {
        match self {
            IntWidth::Tiny => "tinyint",
            IntWidth::Small => "smallint",
            IntWidth::Medium => "mediumint",
            IntWidth::Int => "int",
            IntWidth::Big => "bigint",
        }
    }
}

impl BlobSize {
    /// The longest value, in bytes.
    pub const fn max_bytes(self) -> u32 {
        match self {
            BlobSize::Tiny => 255,
            BlobSize::Plain => 65_535,
            BlobSize::Medium => 16_777_215,
            BlobSize::Long => u32::MAX,
        }
    }
}

/// Characters of the longest value of a SET: all members with commas between.
fn set_length(members: &[Box<str>]) -> u64 {
    let characters: usize = members.iter().map(|m| m.chars().count()).sum();
    (characters + members.len().saturating_sub(1)) as u64
}
fn enum_length(members: &[Box<str>]) -> u64 {
    members.iter().map(|m| m.chars().count()).max().unwrap_or(0) as u64
}

impl SqlType {
    /// information_schema.columns.data_type: "bigint", "varchar" …
    pub fn data_type(&self) -> &'static str {
        match &self.kind {
            TypeKind::Null => "null",
            TypeKind::Int { width, .. } => width.name(),
            TypeKind::Decimal { .. } => "decimal",
            TypeKind::Float { .. } => "float",
            TypeKind::Double { .. } => "double",
            TypeKind::Bit { .. } => "bit",
            TypeKind::Char { .. } => "char",
            TypeKind::VarChar { .. } => "varchar",
            TypeKind::Text(BlobSize::Tiny) => "tinytext",
            TypeKind::Text(BlobSize::Plain) => "text",
            TypeKind::Text(BlobSize::Medium) => "mediumtext",
            TypeKind::Text(BlobSize::Long) => "longtext",
            TypeKind::Binary { .. } => "binary",
            TypeKind::VarBinary { .. } => "varbinary",
            TypeKind::Blob(BlobSize::Tiny) => "tinyblob",
            TypeKind::Blob(BlobSize::Plain) => "blob",
            TypeKind::Blob(BlobSize::Medium) => "mediumblob",
            TypeKind::Blob(BlobSize::Long) => "longblob",
            TypeKind::Date => "date",
            TypeKind::Time { .. } => "time",
            TypeKind::DateTime { .. } => "datetime",
            TypeKind::Timestamp { .. } => "timestamp",
            TypeKind::Year => "year",
            TypeKind::Json => "json",
            TypeKind::Enum(_) => "enum",
            TypeKind::Set(_) => "set",
        }
    }

    /// CHARACTER_MAXIMUM_LENGTH: characters of text (bytes for TEXT, as MySQL says), bytes of binary; `None` for other types.
    pub fn character_maximum_length(&self) -> Option<u64> {
        match &self.kind {
            TypeKind::Char { chars } | TypeKind::VarChar { chars } => Some(*chars as u64),
            TypeKind::Binary { bytes } | TypeKind::VarBinary { bytes } => Some(*bytes as u64),
            TypeKind::Text(size) | TypeKind::Blob(size) => Some(size.max_bytes() as u64),
            TypeKind::Enum(members) => Some(enum_length(members)),
            TypeKind::Set(members) => Some(set_length(members)),
            _ => None,
        }
    }
    /// CHARACTER_OCTET_LENGTH.
    pub fn character_octet_length(&self) -> Option<u64> {
        let length = self.character_maximum_length()?;
        Some(match self.kind {
            TypeKind::Char { .. } | TypeKind::VarChar { .. } | TypeKind::Enum(_) | TypeKind::Set(_) => length * self.collation.max_len() as u64,
            _ => length,
        })
    }
    /// NUMERIC_PRECISION.
    pub fn numeric_precision(&self) -> Option<u64> {
        match self.kind {
            TypeKind::Int { width: IntWidth::Tiny, .. } => Some(3),
            TypeKind::Int { width: IntWidth::Small, .. } => Some(5),
            TypeKind::Int { width: IntWidth::Medium, .. } => Some(7),
            TypeKind::Int { width: IntWidth::Int, .. } => Some(10),
            TypeKind::Int { width: IntWidth::Big, unsigned, .. } => Some(if unsigned { 20 } else { 19 }),
            TypeKind::Decimal { precision, .. } => Some(precision as u64),
            TypeKind::Float { digits, .. } => Some(digits.map_or(12, u64::from)),
            TypeKind::Double { digits, .. } => Some(digits.map_or(22, u64::from)),
            TypeKind::Bit { bits } => Some(bits as u64),
            _ => None,
        }
    }
    /// NUMERIC_SCALE.
    pub fn numeric_scale(&self) -> Option<u64> {
        match self.kind {
            TypeKind::Int { .. } => Some(0),
            TypeKind::Decimal { scale, .. } => Some(scale as u64),
            TypeKind::Float { scale, .. } | TypeKind::Double { scale, .. } => scale.map(u64::from),
            _ => None,
        }
    }
    /// DATETIME_PRECISION.
    pub fn datetime_precision(&self) -> Option<u64> {
        self.kind.fsp().map(u64::from)
    }

    /// Characters of the longest value as text: a result set's column length before it is multiplied by the bytes of a character.
    pub fn display_length(&self) -> u32 {
        match &self.kind {
            TypeKind::Null => 0,
            TypeKind::Int { zerofill: Some(width), .. } => *width as u32,
            TypeKind::Int { width, unsigned, .. } => match (width, unsigned) {
                (IntWidth::Tiny, false) => 4,
                (IntWidth::Tiny, true) => 3,
                (IntWidth::Small, false) => 6,
                (IntWidth::Small, true) => 5,
                (IntWidth::Medium, false) => 9,
                (IntWidth::Medium, true) => 8,
                (IntWidth::Int, false) => 11,
                (IntWidth::Int, true) => 10,
                (IntWidth::Big, _) => 20,
            },
            TypeKind::Decimal { precision, scale, unsigned } => *precision as u32 + u32::from(*scale > 0) + u32::from(!*unsigned),
            TypeKind::Float { .. } => self.kind.real_digits().map_or(12, |(digits, _)| digits as u32),
            TypeKind::Double { .. } => self.kind.real_digits().map_or(22, |(digits, _)| digits as u32),
            TypeKind::Bit { bits } => *bits as u32,
            TypeKind::Char { chars } | TypeKind::VarChar { chars } => *chars,
            TypeKind::Binary { bytes } | TypeKind::VarBinary { bytes } => *bytes,
            TypeKind::Text(size) | TypeKind::Blob(size) => size.max_bytes(),
            TypeKind::Date => 10,
            TypeKind::Time { fsp } => 10 + fsp_length(*fsp),
            TypeKind::DateTime { fsp } | TypeKind::Timestamp { fsp } => 19 + fsp_length(*fsp),
            TypeKind::Year => 4,
            TypeKind::Json => u32::MAX,
            TypeKind::Enum(members) => enum_length(members) as u32,
            TypeKind::Set(members) => set_length(members) as u32,
        }
    }

    /// Decimals, as result set metadata has them: 31 where not fixed (FLOAT and DOUBLE without a scale).
    pub fn decimals(&self) -> u8 {
        match self.kind {
            TypeKind::Decimal { scale, .. } => scale,
            TypeKind::Float { scale, .. } | TypeKind::Double { scale, .. } => scale.unwrap_or(31),
            _ => self.kind.fsp().unwrap_or(0),
        }
    }
}

fn fsp_length(fsp: u8) -> u32 {
    if fsp > 0 { fsp as u32 + 1 } else { 0 }
}

/// COLUMN_TYPE: "bigint unsigned", "varchar(20)", "enum('a','b')" …
impl fmt::Display for SqlType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.kind == TypeKind::Null {
            // What CREATE TABLE … SELECT NULL makes.
            return f.write_str("binary(0)");
        }
        f.write_str(self.data_type())?;
        match &self.kind {
            TypeKind::Int { zerofill: Some(width), .. } => write!(f, "({width})")?,
            TypeKind::Decimal { precision, scale, .. } => write!(f, "({precision},{scale})")?,
            TypeKind::Float { .. } | TypeKind::Double { .. } => {
                if let Some((digits, scale)) = self.kind.real_digits() {
                    write!(f, "({digits},{scale})")?
                }
            }
            TypeKind::Bit { bits } => write!(f, "({bits})")?,
            TypeKind::Char { chars: n } | TypeKind::VarChar { chars: n } | TypeKind::Binary { bytes: n } | TypeKind::VarBinary { bytes: n } => {
                write!(f, "({n})")?
            }
            TypeKind::Enum(members) | TypeKind::Set(members) => {
                for (i, member) in members.iter().enumerate() {
                    write!(f, "{}'{}'", if i == 0 { "(" } else { "," }, member.replace('\'', "''"))?;
                }
                f.write_str(")")?;
            }
            _ => {
                if let Some(fsp) = self.kind.fsp().filter(|fsp| *fsp > 0) {
                    write!(f, "({fsp})")?;
                }
            }
        }
        match self.kind {
            TypeKind::Int { unsigned: true, zerofill: Some(_), .. } => f.write_str(" unsigned zerofill"),
            TypeKind::Int { unsigned: true, .. }
            | TypeKind::Decimal { unsigned: true, .. }
            | TypeKind::Float { unsigned: true, .. }
            | TypeKind::Double { unsigned: true, .. } => f.write_str(" unsigned"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_print_as_mysqls_column_type() {
        let int = |width, unsigned, zerofill| TypeKind::Int { width, unsigned, zerofill };
        for (kind, text) in [
            (int(IntWidth::Int, false, None), "int"),
            (int(IntWidth::Big, true, None), "bigint unsigned"),
            (TypeKind::boolean(), "tinyint(1)"),
            (int(IntWidth::Int, true, Some(5)), "int(5) unsigned zerofill"),
            (TypeKind::Decimal { precision: 10, scale: 2, unsigned: false }, "decimal(10,2)"),
            (TypeKind::Decimal { precision: 10, scale: 0, unsigned: true }, "decimal(10,0) unsigned"),
            (TypeKind::real(None), "double"),
            (TypeKind::real(Some(3)), "double(20,3)"),
            (TypeKind::Float { unsigned: true, digits: Some(7), scale: Some(4) }, "float(7,4) unsigned"),
            (TypeKind::VarChar { chars: 20 }, "varchar(20)"),
            (TypeKind::Text(BlobSize::Medium), "mediumtext"),
            (TypeKind::Bit { bits: 1 }, "bit(1)"),
            (TypeKind::DateTime { fsp: 6 }, "datetime(6)"),
            (TypeKind::Timestamp { fsp: 0 }, "timestamp"),
            (TypeKind::Year, "year"),
            (TypeKind::Enum(Arc::from(["a".into(), "it's".into()])), "enum('a','it''s')"),
            (TypeKind::Set(Arc::from(["x".into()])), "set('x')"),
        ] {
            assert_eq!(SqlType::new(kind, true).to_string(), text);
        }
    }

    #[test]
    fn information_schema_lengths_are_mysqls() {
        let varchar = SqlType::varchar(20, true, Collation::UTF8MB4_GENERAL_CI);
        assert_eq!((varchar.character_maximum_length(), varchar.character_octet_length()), (Some(20), Some(80)));
        let text = SqlType::string(TypeKind::Text(BlobSize::Plain), true, Collation::UTF8MB4_GENERAL_CI);
        assert_eq!((text.character_maximum_length(), text.character_octet_length()), (Some(65_535), Some(65_535)));
        let bigint = SqlType::bigint_unsigned(false);
        assert_eq!((bigint.numeric_precision(), bigint.numeric_scale(), bigint.display_length()), (Some(20), Some(0), 20));
        let set = SqlType::string(TypeKind::Set(Arc::from(["ab".into(), "c".into()])), true, Collation::LATIN1_SWEDISH_CI);
        assert_eq!(set.character_octet_length(), Some(4));
        assert_eq!(SqlType::new(TypeKind::Decimal { precision: 10, scale: 2, unsigned: false }, true).display_length(), 12);
        assert_eq!(SqlType::bigint(true).kind.integer_range(), Some((i64::MIN as i128, i64::MAX as i128)));
    }
}
