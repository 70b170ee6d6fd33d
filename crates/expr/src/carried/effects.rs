//! What evaluating on another node has done to the statement.
//!
//! Owns:     nothing.
//! Promises: after the merge the statement is as if all had been evaluated here: warnings within their limits, a constant that several nodes warned of warned
//!           of once.
//! Never:    orders the nodes: who asks several merges in an order of his own.

use crate::context::StatementContext;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use weald_types::{Fault, SqlType, Value, Warning, WarningLevel};

/// On its way home with every answer, an error too: what was warned of before it stays.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StatementEffects {
    /// As many as there was room for.
    pub warnings: Vec<Warning>,
    pub warnings_total: u64,
    /// Constants that were warned of: there is a warning for each.
    pub warned_constants: Vec<Box<str>>,
    pub set_last_insert_id: Option<u64>,
    /// User variables that were assigned, with what they are now.
    pub variables: Vec<(Arc<str>, Value, SqlType)>,
    pub rows_examined: u64,
    pub lock_micros: u64,
}

impl StatementEffects {
    /// Takes them out of `statement`: what comes after is the next answer's.
    pub fn of(statement: &StatementContext) -> Self {
        let (warnings, warnings_total) = {
            let mut w = statement.warnings.lock();
            (std::mem::take(&mut w.kept), std::mem::take(&mut w.total))
        };
        Self {
            warnings,
            warnings_total,
            warned_constants: std::mem::take(&mut *statement.warned_constants.lock()).into_iter().collect(),
            set_last_insert_id: statement.set_last_insert_id.lock().take(),
            variables: statement.user_variables.take_assigned(),
            rows_examined: statement.cost.rows_examined.swap(0, Relaxed),
            lock_micros: statement.cost.lock_micros.swap(0, Relaxed),
        }
    }

    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// At home. [`Fault::OutOfMemory`]: there is no room for what a variable holds now.
    pub fn merge_into(mut self, statement: &StatementContext) -> Result<(), Fault> {
        if self.warnings_total > 0 {
            self.forget_repeated(statement);
            let mut w = statement.warnings.lock();
            let mut total = self.warnings_total;
            for warning in self.warnings {
                if w.without_notes && warning.level == WarningLevel::Note {
                    total = total.saturating_sub(1);
                } else if w.kept.len() < w.limit {
                    w.kept.push(warning);
                }
            }
            w.total = w.total.saturating_add(total);
        }
        if self.set_last_insert_id.is_some() {
            *statement.set_last_insert_id.lock() = self.set_last_insert_id;
        }
        // A sum that runs over would count nothing any more.
        statement.cost.rows_examined.fetch_add(self.rows_examined, Relaxed);
        statement.cost.lock_micros.fetch_add(self.lock_micros, Relaxed);
        for (name, value, ty) in self.variables {
            statement.user_variables.set(name, value, ty)?;
        }
        Ok(())
    }

    /// Without the warnings of constants that the statement has been warned of before.
    fn forget_repeated(&mut self, statement: &StatementContext) {
        let mut known = statement.warned_constants.lock();
        for constant in std::mem::take(&mut self.warned_constants) {
            if known.contains(&constant) {
                self.warnings_total = self.warnings_total.saturating_sub(1);
                if let Some(at) = self.warnings.iter().position(|w| is_of(&w.fault, &constant)) {
                    self.warnings.remove(at);
                }
            } else {
                known.insert(constant);
            }
        }
    }
}

/// Whether it says that this constant is no clean value: see `function::constant`.
fn is_of(fault: &Fault, constant: &str) -> bool {
    match fault {
        Fault::TruncatedWrongValue { value, .. } => value == constant,
        Fault::MySql { number: 1292, message, .. } => {
            message.strip_suffix('\'').and_then(|m| m.strip_suffix(constant)).is_some_and(|m| m.ends_with('\''))
        }
        _ => false,
    }
}
