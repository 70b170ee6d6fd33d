//! Restart of one partition: snapshot rows, then log records.
