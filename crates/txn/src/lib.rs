//! Decisions about transactions: the hybrid clock, visibility, who waits for whom.
//!
//! Owns:     
//! Promises: 
//! Never:    
