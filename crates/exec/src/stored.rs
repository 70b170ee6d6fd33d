//! A stored row under an expression.
//!
//! Owns:     nothing.
//! Promises: only the fields that are read are decoded.
//! Never:    knows what the expression is for.

use weald_expr::Row;
use weald_partition::TableSchema;
use weald_types::{ColumnId, SchemaVersion, Value};

/// Row bytes as they stand in the table; `ColumnId(ordinal)`.
pub struct Fields<'a> {
    pub schema: &'a TableSchema,
    pub version: SchemaVersion,
    pub bytes: &'a [u8],
}

impl Row for Fields<'_> {
    fn column(&self, id: ColumnId) -> Value {
        self.schema.value(self.version, self.bytes, id.raw() as usize)
    }
}

/// Two rows, the second's columns after the first's `width`: for ON DUPLICATE KEY UPDATE. Further values follow at twice the width.
pub struct Pair<'a> {
    pub old: &'a [Value],
    pub new: &'a [Value],
    pub further: &'a [Value],
}

impl Row for Pair<'_> {
    fn column(&self, id: ColumnId) -> Value {
        let (i, n) = (id.raw() as usize, self.old.len());
        let found = if i < n {
            self.old.get(i)
        } else if i < 2 * n {
            self.new.get(i - n)
        } else {
            self.further.get(i - 2 * n)
        };
        found.cloned().unwrap_or(Value::Null)
    }
}
