//! What a client may be told has gone wrong.
//!
//! Owns:     nothing.
//! Promises: a closed list without numbers; `aggregator::mysql_error` gives each its MySQL number, SQLSTATE and wording.
//! Never:    carries an internal error's chain: that goes to the log under an incident id.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// A word of ours; owned where another node sent it.
pub type Word = Cow<'static, str>;

/// A statement's failure, as its client sees it.
#[derive(Clone, Debug, PartialEq, thiserror::Error, Serialize, Deserialize)]
pub enum Fault {
    #[error("syntax error near '{near}' at line {line}")]
    Syntax { near: String, line: u32 },
    #[error("{feature} is not supported")]
    NotSupported { feature: String },
    /// MemSQL's 1706, for whole features that are locked (foreign keys).
    #[error("feature '{feature}' is not supported")]
    FeatureLocked { feature: String },
    #[error("no database selected")]
    NoDatabaseSelected,
    #[error("unknown database '{name}'")]
    NoSuchDatabase { name: String },
    #[error("database '{name}' exists")]
    DatabaseExists { name: String },
    #[error("table '{database}.{table}' does not exist")]
    NoSuchTable { database: String, table: String },
    #[error("unknown table '{name}'")]
    UnknownTable { name: String },
    #[error("table '{name}' exists")]
    TableExists { name: String },
    #[error("unknown column '{column}' in '{clause}'")]
    NoSuchColumn { column: String, clause: Word },
    #[error("column '{column}' in {clause} is ambiguous")]
    AmbiguousColumn { column: String, clause: Word },
    #[error("no such function {name}")]
    NoSuchFunction { name: String },
    #[error("wrong number of arguments to {name}")]
    WrongArgumentCount { name: String },
    #[error("duplicate entry '{entry}' for key '{key}'")]
    DuplicateKey { entry: String, key: String },
    #[error("column '{column}' cannot be null")]
    NullNotAllowed { column: String },
    #[error("field '{column}' has no default value")]
    NoDefault { column: String },
    #[error("column count does not match value count at row {row}")]
    ColumnCountMismatch { row: u64 },
    #[error("out of range value for column '{column}' at row {row}")]
    OutOfRange { column: String, row: u64 },
    #[error("data too long for column '{column}' at row {row}")]
    DataTooLong { column: String, row: u64 },
    #[error("data truncated for column '{column}' at row {row}")]
    DataTruncated { column: String, row: u64 },
    #[error("incorrect {kind} value: '{value}' for column '{column}' at row {row}")]
    IncorrectValue { kind: Word, value: String, column: String, row: u64 },
    /// 1292: a value that is wrong in an expression, not in a column.
    #[error("truncated incorrect {kind} value: '{value}'")]
    TruncatedWrongValue { kind: Word, value: String },
    /// 1690: `kind` is "BIGINT", "BIGINT UNSIGNED", "DECIMAL" or "DOUBLE".
    #[error("{kind} value is out of range in '{expression}'")]
    NumericOutOfRange { kind: Word, expression: String },
    #[error("division by 0")]
    DivisionByZero,
    #[error("subquery returns more than 1 row")]
    SubqueryRows,
    #[error("operand should contain {columns} column(s)")]
    OperandColumns { columns: u32 },
    /// 1213 for the chosen victim of a deadlock, and for a write to a row that changed after the snapshot.
    #[error("deadlock found; try restarting transaction")]
    Deadlock,
    /// A row changed after `read_ts`. Never reaches a client as such: the aggregator runs the statement again, or says 1213.
    #[error("write conflict")]
    WriteConflict,
    #[error("lock wait timeout exceeded")]
    LockWaitTimeout,
    #[error("row is locked and NOWAIT is set")]
    LockNoWait,
    #[error("query execution was interrupted")]
    Interrupted,
    #[error("query execution was interrupted, maximum statement execution time exceeded")]
    QueryTimeout,
    #[error("maximum_memory reached")]
    OutOfMemory,
    #[error("maximum_table_memory reached")]
    TableMemoryFull,
    #[error("the disk is full")]
    DiskFull,
    /// The table changed between planning and running. The aggregator plans again; a client sees it only if that keeps failing (1412).
    #[error("table definition has changed")]
    SchemaChanged,
    /// The table's rows were put into a new table after the transaction's snapshot was taken: it has none of that time.
    #[error("the table has been rebuilt since the transaction's snapshot was taken")]
    RebuiltSince,
    #[error("partition {partition} is not available: {reason}")]
    PartitionUnavailable { partition: String, reason: String },
    /// A write that may or may not have happened.
    #[error("the outcome of the transaction is unknown: {reason}")]
    OutcomeUnknown { reason: String },
    /// Anything else that MySQL has a number for. `number` and `state` come from MySQL's manual; use a named variant where callers act differently.
    #[error("{message}")]
    MySql {
        number: u16,
        #[serde(deserialize_with = "crate::carried::sql_state")]
        state: Word,
        message: String,
    },
    #[error("internal error, incident {incident}")]
    Internal { incident: String },
}

impl Fault {
    /// What was read at the snapshot is out of date: the statement may do at a newer one, if nothing was seen at this one yet.
    pub fn is_out_of_date(&self) -> bool {
        matches!(self, Fault::WriteConflict | Fault::RebuiltSince)
    }
    pub fn mysql(number: u16, state: &'static str, message: impl Into<String>) -> Self {
        Fault::MySql { number, state: state.into(), message: message.into() }
    }
    pub fn not_supported(feature: impl Into<String>) -> Self {
        Fault::NotSupported { feature: feature.into() }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WarningLevel {
    Note,
    Warning,
    Error,
}

/// One row of SHOW WARNINGS; its number comes from the same place as an error's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Warning {
    pub level: WarningLevel,
    pub fault: Fault,
}
