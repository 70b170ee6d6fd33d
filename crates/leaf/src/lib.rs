//! The role that holds data: the partitions of one node, their log, snapshots and recovery.
//!
//! Owns:     
//! Promises: 
//! Never:    
