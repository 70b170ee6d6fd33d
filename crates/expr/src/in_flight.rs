//! What an expression, or a row that is being made, holds before anyone keeps it.
//!
//! Owns:     a share of the statement's memory, for as long as it lives.
//! Promises: a statement that holds little between two steps asks for nothing; one that holds much is refused ([`Fault::OutOfMemory`]) a value or two past
//!           its limit, however many of them one expression has.
//! Never:    counts what is borrowed: whoever owns that has counted it.

use crate::StatementContext;
use weald_types::memory::Budget;
use weald_types::{Fault, Value};

/// So much is asked for at a time; less is not counted at all.
const STEP_BYTES: u64 = 256 << 10;

pub struct InFlight<'a> {
    memory: &'a Budget,
    uncounted: u64,
    counted: u64,
}

impl<'a> InFlight<'a> {
    #[inline]
    pub fn new(statement: &'a StatementContext) -> Self {
        Self { memory: &statement.memory, uncounted: 0, counted: 0 }
    }

    /// `v` is held from now on.
    #[inline]
    pub fn hold(&mut self, v: &Value) -> Result<(), Fault> {
        self.uncounted += match v {
            Value::Str(s) => s.len() as u64,
            Value::Bytes(b) => b.len() as u64,
            Value::Json(j) => j.size_bytes() as u64,
            Value::Null
            | Value::Int(_)
            | Value::UInt(_)
            | Value::Decimal(_)
            | Value::Double(_)
            | Value::Date(_)
            | Value::Time(_)
            | Value::DateTime(_) => return Ok(()),
        };
        if self.uncounted < STEP_BYTES { Ok(()) } else { self.count() }
    }

    #[cold]
    fn count(&mut self) -> Result<(), Fault> {
        let bytes = std::mem::take(&mut self.uncounted);
        self.counted += bytes;
        self.memory.take(bytes)
    }

    /// About what is held.
    #[inline]
    pub fn bytes(&self) -> u64 {
        self.counted + self.uncounted
    }

    /// What was counted stays so until the statement ends: the values are kept. Says how much it was.
    pub fn keep(mut self) -> u64 {
        std::mem::take(&mut self.counted)
    }
}

impl Drop for InFlight<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.counted > 0 {
            self.memory.give(self.counted);
        }
    }
}

/// Whether so many bytes could be had now: asked before a large value is made.
#[inline]
pub fn has_room(statement: &StatementContext, bytes: u64) -> Result<(), Fault> {
    if bytes < STEP_BYTES {
        return Ok(());
    }
    let taken = statement.memory.take(bytes);
    statement.memory.give(bytes);
    taken
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::unlimited;
    use weald_types::memory::NodeMemory;

    #[test]
    fn much_is_counted_while_it_is_held_and_little_is_not() {
        let s = StatementContext { memory: Budget::new(NodeMemory::unlimited(), 3 << 20), ..unlimited() };
        let mib = Value::str("x".repeat(1 << 20));
        {
            let mut held = InFlight::new(&s);
            for _ in 0..200 {
                assert_eq!(held.hold(&Value::str("x".repeat(1000))), Ok(()));
            }
            assert_eq!((s.memory.used(), held.bytes()), (0, 200_000));
            assert_eq!((held.hold(&mib), held.hold(&mib)), (Ok(()), Ok(())));
            assert_eq!(has_room(&s, 1 << 20), Err(Fault::OutOfMemory));
            assert_eq!(held.hold(&mib), Err(Fault::OutOfMemory));
        }
        assert_eq!((s.memory.used(), has_room(&s, 1 << 20)), (0, Ok(())));
        let mut held = InFlight::new(&s);
        assert_eq!((held.hold(&mib), held.keep(), s.memory.used()), (Ok(()), 1 << 20, 1 << 20));
    }
}
