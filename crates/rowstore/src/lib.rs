//! Multi-version tables in memory with ordered and hash indexes.
//!
//! Owns:     
//! Promises: 
//! Never:    
