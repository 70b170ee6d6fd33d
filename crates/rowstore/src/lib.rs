//! Multi-version tables in memory with ordered and hash indexes.
//!
//! Owns:     rows, their versions, the entries that lead to them, and the count of what all that takes.
//! Promises: readers take no lock and see one snapshot; [`Table::apply`] is the only way in for a change.
//! Never:    waits, logs, evaluates: a row is bytes, read through [`TableSchema`] where a key is needed.

mod bulk_read;
mod collect;
mod edition;
mod entries;
pub mod fill;
mod heap;
mod index;
pub mod key;
pub mod memory;
pub mod range;
pub mod read;
pub mod restore;
mod samples;
pub mod schema;
pub mod table;
mod tree;
pub mod write_set;

pub use bulk_read::Reading;
pub use edition::Edition;
pub use fill::{FillPosition, FillStep};
pub use key::{Key, RowHandle};
pub use memory::TableMemory;
pub use range::{Cursor, Direction, KeyRange};
pub use read::{Changed, Read, Step, StoredRow, View};
pub use restore::Again;
pub use schema::TableSchema;
pub use table::{OpenTable, RowChange, Table};
pub use weald_types::memory::NodeMemory;
pub use write_set::{DuplicateRow, LockMode, LoggedChange, Refusal, WriteSet};
