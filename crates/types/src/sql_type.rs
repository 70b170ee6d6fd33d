//! MySQL's data types, with all that a value of them needs to be read, compared and shown.
//!
//! Owns:     nothing.
//! Promises: a string type always has a collation.
//! Never:    knows about columns or tables.

use crate::Collation;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A type and what is said of every value of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
    /// `scale` is the declared number of decimals (`FLOAT(7,4)`), `None` where not declared.
    Float {
        unsigned: bool,
        scale: Option<u8>,
    },
    Double {
        unsigned: bool,
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
        Self::new(TypeKind::Double { unsigned: false, scale: None }, nullable)
    }
    pub fn varchar(chars: u32, nullable: bool, collation: Collation) -> Self {
        Self::string(TypeKind::VarChar { chars }, nullable, collation)
    }
    pub fn null() -> Self {
        Self::new(TypeKind::Null, true)
    }
    pub fn with_nullable(mut self, nullable: bool) -> Self {
        self.nullable = nullable;
        self
    }
}

impl TypeKind {
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

impl SqlType {
    /// information_schema.columns.data_type: "bigint", "varchar" …
    pub fn data_type(&self) -> &'static str {
        "bigint"
    }
    /// CHARACTER_MAXIMUM_LENGTH: characters of text, bytes of binary; `None` for other types.
    pub fn character_maximum_length(&self) -> Option<u64> {
        None
    }
    pub fn character_octet_length(&self) -> Option<u64> {
        None
    }
    pub fn numeric_precision(&self) -> Option<u64> {
        None
    }
    pub fn numeric_scale(&self) -> Option<u64> {
        None
    }
    pub fn datetime_precision(&self) -> Option<u64> {
        None
    }
    /// Characters of the longest value as text: what result set metadata calls the column's length, before it is multiplied by the bytes of a character.
    pub fn display_length(&self) -> u32 {
        20
    }
    /// Decimals, as result set metadata has them: 31 where not fixed (FLOAT and DOUBLE without a scale).
    pub fn decimals(&self) -> u8 {
        0
    }
}

/// COLUMN_TYPE: "bigint unsigned", "varchar(20)", "enum('a','b')" …
impl std::fmt::Display for SqlType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.data_type())
    }
}
