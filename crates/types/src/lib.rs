//! The words everything else is said in: ids, values, SQL types, collations, row and key bytes, faults.
//!
//! Owns:     nothing; every item is a plain value, save the counters of `memory`.
//! Promises: pure; no IO, no clock, no randomness. Equal inputs give equal outputs on every machine.
//! Never:    knows MySQL's error numbers (`aggregator::mysql_error`), nor how a value travels (`wire`).

pub mod carried;
pub mod charset;
pub mod collation;
pub mod decimal;
pub mod fault;
pub mod ids;
pub mod json;
pub mod key;
pub mod memory;
pub mod number;
pub mod row;
pub mod sql_mode;
pub mod sql_type;
pub mod temporal;
pub mod value;

pub use charset::Charset;
pub use collation::Collation;
pub use decimal::Decimal;
pub use fault::{Fault, Warning, WarningLevel};
pub use ids::{
    ClusterId, ColumnId, DatabaseId, Epoch, Generation, IndexId, Lsn, NodeId, NodeIdentity, PartitionId, SchemaVersion, TableId, Timestamp, TxnId,
};
pub use json::Json;
pub use sql_mode::SqlMode;
pub use sql_type::{SqlType, TypeKind};
pub use temporal::{Date, DateTime, Time};
pub use value::Value;

/// `/*!99000 … */` is read by Weald alone: a comment to MySQL and MariaDB, whatever their version.
pub const OWN_COMMENT: u32 = 99_000;
