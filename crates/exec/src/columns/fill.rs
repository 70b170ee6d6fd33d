//! Columns out of rows.
//!
//! Owns:     nothing.
//! Promises: the column's values as [`crate::analytic::carrier`] carries them, one for each row given.
//! Never:    keeps a row in place while it waits.

use super::ColumnKey;
use crate::analytic::carrier::Builder;
use arrow::array::{Array, ArrayRef, AsArray, LargeBinaryBuilder};
use arrow::datatypes::DataType;
use std::sync::Arc;
use weald_partition::{StoredRow, TableSchema};
use weald_types::{Collation, Fault};

/// Collects one column of a segment.
pub(super) struct ColumnBuilder {
    key: ColumnKey,
    values: Builder,
}

impl ColumnBuilder {
    /// `to`: what carries the column itself. `None`: nothing does.
    pub fn new(key: ColumnKey, to: &DataType, rows: usize) -> Option<Self> {
        Some(Self { key, values: Builder::new(to, rows)? })
    }
    pub fn push(&mut self, schema: &TableSchema, rows: &[StoredRow<'_>]) -> Result<(), Fault> {
        if self.values.push_rows(schema, self.key.ordinal as usize, rows.iter()) { Ok(()) } else { Err(crate::analytic::carrier_overflow()) }
    }
    pub fn finish(&mut self) -> ArrayRef {
        self.values.finish()
    }
}

/// The weights of texts under a collation.
pub fn weights(texts: &dyn Array, collation: Collation) -> ArrayRef {
    let texts = texts.as_string::<i64>();
    let mut out = LargeBinaryBuilder::with_capacity(texts.len(), texts.len() * 8);
    let (mut key, mut last) = (Vec::new(), None);
    for text in texts {
        match text {
            None => out.append_null(),
            Some(text) => {
                // Rows beside each other often have the same text.
                if last != Some(text) {
                    key.clear();
                    collation.sort_key(text.as_bytes(), &mut key);
                    last = Some(text);
                }
                out.append_value(&key);
            }
        }
    }
    Arc::new(out.finish())
}
