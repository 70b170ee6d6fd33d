//! MySQL's error numbers, SQLSTATEs and wordings: the only place that knows them.
//!
//! Owns:     nothing.
//! Promises: every fault has a number; the wording is MySQL's, because people search for it and tools match on it.
//! Never:    decides what went wrong.

use weald_types::Fault;

/// Number and SQLSTATE.
pub fn code(fault: &Fault) -> (u16, &str) {
    // No `_` arm: a new fault must choose its number here.
    match fault {
        Fault::Syntax { .. } => (1064, "42000"),
        Fault::NotSupported { .. } => (1235, "42000"),
        Fault::FeatureLocked { .. } => (1706, "HY000"),
        Fault::NoDatabaseSelected => (1046, "3D000"),
        Fault::NoSuchDatabase { .. } => (1049, "42000"),
        Fault::DatabaseExists { .. } => (1007, "HY000"),
        Fault::NoSuchTable { .. } => (1146, "42S02"),
        Fault::UnknownTable { .. } => (1051, "42S02"),
        Fault::TableExists { .. } => (1050, "42S01"),
        Fault::NoSuchColumn { .. } => (1054, "42S22"),
        Fault::AmbiguousColumn { .. } => (1052, "23000"),
        Fault::NoSuchFunction { .. } => (1305, "42000"),
        Fault::WrongArgumentCount { .. } => (1582, "42000"),
        Fault::DuplicateKey { .. } => (1062, "23000"),
        Fault::NullNotAllowed { .. } => (1048, "23000"),
        Fault::NoDefault { .. } => (1364, "HY000"),
        Fault::ColumnCountMismatch { .. } => (1136, "21S01"),
        Fault::OutOfRange { .. } => (1264, "22003"),
        Fault::DataTooLong { .. } => (1406, "22001"),
        Fault::DataTruncated { .. } => (1265, "01000"),
        Fault::IncorrectValue { kind, .. } => match &**kind {
            // Temporal values have a number of their own, in columns as in expressions.
            "date" | "time" | "datetime" => (1292, "22007"),
            _ => (1366, "HY000"),
        },
        Fault::TruncatedWrongValue { .. } => (1292, "22007"),
        Fault::NumericOutOfRange { .. } => (1690, "22003"),
        Fault::DivisionByZero => (1365, "22012"),
        Fault::SubqueryRows => (1242, "21000"),
        Fault::OperandColumns { .. } => (1241, "21000"),
        Fault::Deadlock | Fault::WriteConflict => (1213, "40001"),
        Fault::LockWaitTimeout => (1205, "HY000"),
        Fault::LockNoWait => (3572, "HY000"),
        Fault::Interrupted => (1317, "70100"),
        Fault::QueryTimeout => (3024, "HY000"),
        Fault::OutOfMemory => (1712, "HY000"),
        Fault::TableMemoryFull => (1720, "HY000"),
        Fault::DiskFull => (1021, "HY000"),
        Fault::SchemaChanged | Fault::RebuiltSince => (1412, "HY000"),
        Fault::PartitionUnavailable { .. } => (1777, "HY000"),
        Fault::OutcomeUnknown { .. } => (2013, "HY000"),
        Fault::MySql { number, state, .. } => (*number, state),
        Fault::Internal { .. } => (1105, "HY000"),
    }
}

/// The text the client is shown.
pub fn message(fault: &Fault) -> String {
    match fault {
        Fault::Syntax { near, line } => format!(
            "You have an error in your SQL syntax; check the manual that corresponds to your MySQL server version for the right syntax to use near '{near}' at line {line}"
        ),
        Fault::NotSupported { feature } => format!("This version of Weald doesn't yet support '{feature}'"),
        Fault::FeatureLocked { feature } => format!("Feature '{feature}' is not supported"),
        Fault::NoDatabaseSelected => "No database selected".into(),
        Fault::NoSuchDatabase { name } => format!("Unknown database '{name}'"),
        Fault::DatabaseExists { name } => format!("Can't create database '{name}'; database exists"),
        Fault::NoSuchTable { database, table } => format!("Table '{database}.{table}' doesn't exist"),
        Fault::UnknownTable { name } => format!("Unknown table '{name}'"),
        Fault::TableExists { name } => format!("Table '{name}' already exists"),
        Fault::NoSuchColumn { column, clause } => format!("Unknown column '{column}' in '{clause}'"),
        Fault::AmbiguousColumn { column, clause } => format!("Column '{column}' in {clause} is ambiguous"),
        Fault::NoSuchFunction { name } => format!("FUNCTION {name} does not exist"),
        Fault::WrongArgumentCount { name } => format!("Incorrect parameter count in the call to native function '{name}'"),
        Fault::DuplicateKey { entry, key } => format!("Duplicate entry '{entry}' for key '{key}'"),
        Fault::NullNotAllowed { column } => format!("Column '{column}' cannot be null"),
        Fault::NoDefault { column } => format!("Field '{column}' doesn't have a default value"),
        Fault::ColumnCountMismatch { row } => format!("Column count doesn't match value count at row {row}"),
        Fault::OutOfRange { column, row } => format!("Out of range value for column '{column}' at row {row}"),
        Fault::DataTooLong { column, row } => format!("Data too long for column '{column}' at row {row}"),
        Fault::DataTruncated { column, row } => format!("Data truncated for column '{column}' at row {row}"),
        Fault::IncorrectValue { kind, value, column, row } => format!("Incorrect {kind} value: '{value}' for column '{column}' at row {row}"),
        // MySQL says "Incorrect datetime value" but "Truncated incorrect INTEGER value".
        Fault::TruncatedWrongValue { kind, value } => match &**kind {
            "date" | "time" | "datetime" => format!("Incorrect {kind} value: '{value}'"),
            _ => format!("Truncated incorrect {kind} value: '{value}'"),
        },
        Fault::NumericOutOfRange { kind, expression } => format!("{kind} value is out of range in '{expression}'"),
        Fault::DivisionByZero => "Division by 0".into(),
        Fault::SubqueryRows => "Subquery returns more than 1 row".into(),
        Fault::OperandColumns { columns } => format!("Operand should contain {columns} column(s)"),
        Fault::Deadlock | Fault::WriteConflict => "Deadlock found when trying to get lock; try restarting transaction".into(),
        Fault::LockWaitTimeout => "Lock wait timeout exceeded; try restarting transaction".into(),
        Fault::LockNoWait => "Statement aborted because lock(s) could not be acquired immediately and NOWAIT is set.".into(),
        Fault::Interrupted => "Query execution was interrupted".into(),
        Fault::QueryTimeout => "Query execution was interrupted, maximum statement execution time exceeded".into(),
        Fault::OutOfMemory => "Memory used by Weald has reached the limit for this query or the 'maximum_memory' setting. Free memory, raise the limit, or make the query smaller.".into(),
        Fault::TableMemoryFull => "Memory used for table data has reached the 'maximum_table_memory' setting; inserts and updates are refused until rows are deleted or the setting is raised.".into(),
        Fault::DiskFull => "Disk full; nothing of the transaction was kept. Free some space and run it again.".into(),
        Fault::SchemaChanged | Fault::RebuiltSince => "Table definition has changed, please retry transaction".into(),
        Fault::PartitionUnavailable { partition, reason } => format!("Partition {partition} is not available: {reason}"),
        Fault::OutcomeUnknown { reason } => format!("Lost track of the transaction while it committed ({reason}); it may or may not have been kept: check before you run it again"),
        Fault::MySql { message, .. } => message.clone(),
        Fault::Internal { incident } => format!("Internal error; the server's log has the details under incident {incident}"),
    }
}
