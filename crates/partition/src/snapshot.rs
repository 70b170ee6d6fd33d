//! The committed state at one place of the log, as a stream of rows.
