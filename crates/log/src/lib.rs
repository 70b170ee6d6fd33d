//! The node's durable log: segments, group commit, recovery reader; and snapshot files.
//!
//! Owns:     
//! Promises: 
//! Never:    
