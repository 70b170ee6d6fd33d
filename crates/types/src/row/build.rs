//! A row's bytes, put together field after field.
//!
//! Owns:     the row's place at the end of a buffer, until it is finished; dropped before, it leaves the buffer as it was.
//! Promises: a field that is refused puts nothing: another value may be tried for it.
//! Never:    converts values to their columns' types.
//! See:      docs/format/row.md

use super::{Field, NOT_NULL, RowError, RowLayout, Slot, WIDE};
use crate::json::Json;
use crate::{Date, DateTime, Decimal, Time, Value};

/// Takes the values of a row's fields in their order, each in the form in which its column stores it.
pub struct RowBuilder<'a> {
    layout: &'a RowLayout,
    out: &'a mut Vec<u8>,
    start: usize,
    /// Where the variable fields begin. Their ends before it take two bytes each; if that proves too little, the variable part is moved up, which is rare.
    heap: usize,
    next: usize,
    ends: Ends,
    finished: bool,
}

impl<'a> RowBuilder<'a> {
    pub(super) fn new(layout: &'a RowLayout, out: &'a mut Vec<u8>) -> Self {
        let start = out.len();
        let heap = start + layout.fixed_end as usize + layout.variable as usize * 2;
        out.resize(heap, 0);
        Self { layout, out, start, heap, next: 0, ends: Ends::new(layout.variable as usize), finished: false }
    }

    fn field(&self) -> Field {
        self.layout.fields.get(self.next).copied().unwrap_or(Field { slot: Slot::Nothing, null_bit: NOT_NULL })
    }
    fn wrong<T>(&self) -> Result<T, RowError> {
        Err(RowError::WrongType { field: self.next })
    }
    fn fixed(&mut self, at: u32, bytes: &[u8]) -> Result<(), RowError> {
        let at = self.start + at as usize;
        self.out[at..at + bytes.len()].copy_from_slice(bytes);
        self.next += 1;
        Ok(())
    }
    fn variable(&mut self, bytes: &[u8]) -> Result<(), RowError> {
        self.out.extend_from_slice(bytes);
        self.end_variable()
    }
    fn end_variable(&mut self) -> Result<(), RowError> {
        self.ends.push(self.out.len() - self.heap);
        self.next += 1;
        Ok(())
    }

    pub fn null(&mut self) -> Result<(), RowError> {
        let Field { slot, null_bit } = self.field();
        if null_bit != NOT_NULL {
            self.out[self.start + 1 + null_bit as usize / 8] |= 1 << (null_bit % 8);
        } else if slot != Slot::Nothing {
            return self.wrong();
        }
        match slot {
            Slot::Str { .. } | Slot::Bytes { .. } | Slot::Json { .. } => self.end_variable(),
            _ => {
                self.next += 1;
                Ok(())
            }
        }
    }
    /// Of any column of whole numbers that has room for it.
    pub fn int(&mut self, v: i64) -> Result<(), RowError> {
        match self.field().slot {
            Slot::Int { at, width } => {
                let unused = 64 - width as u32 * 8;
                if v << unused >> unused != v {
                    return self.wrong();
                }
                self.fixed(at, &v.to_le_bytes()[..width as usize])
            }
            Slot::UInt { .. } if v >= 0 => self.uint(v as u64),
            _ => self.wrong(),
        }
    }
    /// Of any column of whole numbers that has room for it.
    pub fn uint(&mut self, v: u64) -> Result<(), RowError> {
        match self.field().slot {
            Slot::UInt { at, width } if width == 8 || v >> (width as u32 * 8) == 0 => self.fixed(at, &v.to_le_bytes()[..width as usize]),
            Slot::Int { .. } => i64::try_from(v).or_else(|_| self.wrong()).and_then(|v| self.int(v)),
            _ => self.wrong(),
        }
    }
    pub fn double(&mut self, v: f64) -> Result<(), RowError> {
        match self.field().slot {
            Slot::Float { at } => self.fixed(at, &(v as f32).to_le_bytes()),
            Slot::Double { at } => self.fixed(at, &v.to_le_bytes()),
            _ => self.wrong(),
        }
    }
    pub fn decimal(&mut self, v: &Decimal) -> Result<(), RowError> {
        let Slot::Decimal { at, width, scale } = self.field().slot else { return self.wrong() };
        let scaled = if v.scale() == scale { None } else { Some(v.rescale(scale).ok_or(RowError::WrongType { field: self.next })?) };
        let unscaled = scaled.as_ref().unwrap_or(v).unscaled();
        let unused = 256 - width as u32 * 8;
        if (unscaled << unused) >> unused != unscaled {
            return self.wrong();
        }
        self.fixed(at, &unscaled.to_le_bytes()[..width as usize])
    }
    /// A DECIMAL in units of its last decimal.
    pub fn decimal_units(&mut self, v: i64) -> Result<(), RowError> {
        let Slot::Decimal { at, width, .. } = self.field().slot else { return self.wrong() };
        let unused = 64u32.saturating_sub(width as u32 * 8);
        if v << unused >> unused != v {
            return self.wrong();
        }
        let mut bytes = [if v < 0 { 0xFF } else { 0 }; 32];
        bytes[..8].copy_from_slice(&v.to_le_bytes());
        self.fixed(at, &bytes[..width as usize])
    }
    pub fn date(&mut self, v: Date) -> Result<(), RowError> {
        let Slot::Date { at } = self.field().slot else { return self.wrong() };
        self.fixed(at, &v.packed().to_le_bytes()[..3])
    }
    pub fn time(&mut self, v: Time) -> Result<(), RowError> {
        let Slot::Time { at } = self.field().slot else { return self.wrong() };
        self.fixed(at, &v.micros().to_le_bytes()[..6])
    }
    pub fn datetime(&mut self, v: DateTime) -> Result<(), RowError> {
        let Slot::DateTime { at } = self.field().slot else { return self.wrong() };
        self.fixed(at, &v.packed().to_le_bytes())
    }
    pub fn text(&mut self, v: &str) -> Result<(), RowError> {
        let Slot::Str { trim, .. } = self.field().slot else { return self.wrong() };
        self.variable(if trim { v.trim_end_matches(' ') } else { v }.as_bytes())
    }
    pub fn bytes(&mut self, v: &[u8]) -> Result<(), RowError> {
        let Slot::Bytes { .. } = self.field().slot else { return self.wrong() };
        self.variable(v)
    }
    pub fn json(&mut self, v: &Json) -> Result<(), RowError> {
        let Slot::Json { .. } = self.field().slot else { return self.wrong() };
        v.to_bytes(self.out);
        self.end_variable()
    }
    pub fn value(&mut self, v: &Value) -> Result<(), RowError> {
        match v {
            Value::Null => self.null(),
            Value::Int(v) => self.int(*v),
            Value::UInt(v) => self.uint(*v),
            Value::Double(v) => self.double(*v),
            Value::Decimal(v) => self.decimal(v),
            Value::Str(v) => self.text(v),
            Value::Bytes(v) => self.bytes(v),
            Value::Date(v) => self.date(*v),
            Value::Time(v) => self.time(*v),
            Value::DateTime(v) => self.datetime(*v),
            Value::Json(v) => self.json(v),
        }
    }

    /// The row stands at the buffer's end.
    pub fn finish(mut self) -> Result<(), RowError> {
        let RowLayout { fields, fixed_end, variable, .. } = self.layout;
        if self.next != fields.len() {
            return Err(RowError::WrongCount { given: self.next, expected: fields.len() });
        }
        let (table, heap, out) = (self.start + *fixed_end as usize, self.heap, &mut *self.out);
        let length = out.len() - heap;
        if length <= u16::MAX as usize {
            for (i, end) in self.ends.iter().enumerate() {
                out[table + i * 2..table + i * 2 + 2].copy_from_slice(&(end as u16).to_le_bytes());
            }
        } else if length <= u32::MAX as usize {
            out[self.start] |= WIDE;
            let room = *variable as usize * 2;
            out.resize(out.len() + room, 0);
            out.copy_within(heap..heap + length, heap + room);
            for (i, end) in self.ends.iter().enumerate() {
                out[table + i * 4..table + i * 4 + 4].copy_from_slice(&(end as u32).to_le_bytes());
            }
        } else {
            return Err(RowError::TooLong);
        }
        self.finished = true;
        Ok(())
    }
}

impl Drop for RowBuilder<'_> {
    fn drop(&mut self) {
        if !self.finished {
            self.out.truncate(self.start);
        }
    }
}

/// Ends of the variable fields: most tables have few.
struct Ends {
    few: [usize; 16],
    many: Vec<usize>,
    length: usize,
}

impl Ends {
    fn new(capacity: usize) -> Self {
        Self { few: [0; 16], many: if capacity > 16 { Vec::with_capacity(capacity) } else { Vec::new() }, length: 0 }
    }
    fn push(&mut self, end: usize) {
        match self.few.get_mut(self.length) {
            Some(place) => *place = end,
            None => self.many.push(end),
        }
        self.length += 1;
    }
    fn iter(&self) -> impl Iterator<Item = usize> {
        self.few[..self.length.min(16)].iter().chain(&self.many).copied()
    }
}
