//! Ids and positions, each its own type so that one cannot be passed for another.
//!
//! Owns:     nothing.
//! Promises: ordered, hashable, printable; only the arithmetic that has a meaning.
//! Never:    converts from a bare integer silently.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $inner:ty) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name($inner);
        impl $name {
            pub const fn new(raw: $inner) -> Self { Self(raw) }
            pub const fn raw(self) -> $inner { self.0 }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { self.0.fmt(f) }
        }
    };
}

id!(/** A member of a cluster: given when it is added, never reused. */ NodeId, u32);
id!(/** A database; never reused. */ DatabaseId, u32);
id!(/** A table, or a view; never reused. */ TableId, u32);
id!(/** An index within its table; 0 is the primary key. */ IndexId, u16);
id!(/** A column of a bound query: unique in that query, names nothing outside it. */ ColumnId, u32);
id!(/** One partition of one database, unique in the cluster: database in the high half, ordinal in the low half. */ PartitionId, u64);
id!(/** How many times a partition has changed primary. A message with a lower epoch than ours comes from the past. */ Epoch, u64);
id!(/** How many times a table's definition has changed. Travels with every request and every row. */ SchemaVersion, u32);
id!(/** A transaction: unique on its aggregator, for ever. */ TxnId, u64);
id!(/** Position in ONE partition's log: how many records came before. Comparing two partitions' positions means nothing. */ Lsn, u64);
id!(/** A point on the hybrid clock: microseconds since 1970, then 8 bits of a logical counter; below 2^62 until the year 2500. */ Timestamp, u64);

macro_rules! wide_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(u128);
        impl $name {
            pub const fn new(raw: u128) -> Self { Self(raw) }
            pub const fn raw(self) -> u128 { self.0 }
            /// From the 32 hexadecimal digits that it prints as; nothing else.
            pub fn parse(text: &str) -> Option<Self> {
                let digits = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase());
                if digits { u128::from_str_radix(text, 16).ok().map(Self) } else { None }
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { write!(f, "{:032x}", self.0) }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { write!(f, "{:032x}", self.0) }
        }
    };
}

wide_id!(/** A cluster: drawn at random when it is made, so that two never have the same. */ ClusterId);
wide_id!(/** What a data directory says it is: drawn at random at its first start. The cluster gives a [`NodeId`] to each. */ NodeIdentity);

impl NodeIdentity {
    /// Of a node that was made before nodes had identities.
    pub const UNKNOWN: Self = Self(0);
}

/// Which history of the metadata: how many times it was started anew, and who did it last. Two nodes that start it anew at the same time begin
/// two histories, of which everyone in the end follows the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Generation(u64);

impl Generation {
    pub const FIRST: Self = Self(0);
    pub const fn new(raw: u64) -> Self {
        Self(raw)
    }
    pub const fn raw(self) -> u64 {
        self.0
    }
    /// The one that `by` begins, after all that it knows of.
    pub const fn after(self, by: NodeId) -> Self {
        Self((((self.0 >> 32) + 1) << 32) | by.0 as u64)
    }
}
impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0 >> 32, self.0 as u32)
    }
}

impl PartitionId {
    pub const fn of(database: DatabaseId, ordinal: u32) -> Self {
        Self(((database.0 as u64) << 32) | ordinal as u64)
    }
    pub const fn database(self) -> DatabaseId {
        DatabaseId((self.0 >> 32) as u32)
    }
    pub const fn ordinal(self) -> u32 {
        self.0 as u32
    }
}
impl Epoch {
    pub const FIRST: Self = Self(1);
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}
impl SchemaVersion {
    pub const FIRST: Self = Self(1);
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}
impl Lsn {
    pub const ZERO: Self = Self(0);
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}
impl Timestamp {
    pub const ZERO: Self = Self(0);
    /// The greatest timestamp; a read at it sees everything committed.
    pub const MAX: Self = Self((1 << 62) - 1);
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros << 8)
    }
    pub const fn micros(self) -> u64 {
        self.0 >> 8
    }
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}
