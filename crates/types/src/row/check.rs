//! Whether bytes are a row: for bytes that come from a disk or a peer.
//!
//! Owns:     nothing.
//! Promises: what passes reads back as values that [`RowLayout::encode`] would take.
//! Never:    repairs.

use super::{FieldRef, Json, RowError, RowLayout, Slot, WIDE};
use crate::temporal::MICROS_PER_DAY;

impl RowLayout {
    /// Whether `row` can be one that [`RowLayout::encode`] wrote.
    pub fn check(&self, row: &[u8]) -> Result<(), RowError> {
        let damaged = |what| Err(RowError::Damaged(what));
        let Some(flags) = row.first() else { return damaged("no bytes") };
        if flags & !WIDE != 0 {
            return damaged("unknown flags");
        }
        let width = if flags & WIDE == 0 { 2 } else { 4 };
        let heap = self.fixed_end as usize + self.variable as usize * width;
        if row.len() < heap {
            return damaged("too short");
        }
        let used = self.null_bits % 8;
        if used != 0 && row[self.null_bits as usize / 8 + 1] >> used != 0 {
            return damaged("null bits of no field");
        }
        let mut last = 0;
        for i in 0..self.variable as usize {
            let at = self.fixed_end as usize + i * width;
            let end = row[at..at + width].iter().rev().fold(0usize, |n, b| n << 8 | *b as usize);
            if end < last {
                return damaged("ends out of order");
            }
            last = end;
        }
        if heap + last != row.len() {
            return damaged("wrong length");
        }
        for (i, field) in self.fields.iter().enumerate() {
            match (self.field(row, i), field.slot) {
                (FieldRef::Null, slot) if slot != Slot::Nothing && !self.has_null_bit(row, field) => return damaged("unreadable field"),
                (FieldRef::Str(text), _) if std::str::from_utf8(text).is_err() => return damaged("text is not UTF-8"),
                (FieldRef::Str(text), Slot::Str { trim: true, .. }) if text.ends_with(b" ") => return damaged("a CHAR with trailing spaces"),
                (FieldRef::Date(d), _) if d.year() > 9999 || d.month() > 12 => return damaged("impossible date"),
                (FieldRef::DateTime(t), _) if t.date().year() > 9999 || t.date().month() > 12 || t.micros_of_day() >= MICROS_PER_DAY => {
                    return damaged("impossible datetime");
                }
                (FieldRef::Json(bytes), _) if Json::from_bytes(bytes).is_none() => return damaged("JSON bytes"),
                (FieldRef::Double(v), _) if !v.is_finite() => return damaged("number is not finite"),
                _ => (),
            }
        }
        Ok(())
    }
}
