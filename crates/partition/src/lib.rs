//! One partition: its tables, its transactions, its place in the log, its snapshot and recovery.
//!
//! Owns:     
//! Promises: 
//! Never:    
