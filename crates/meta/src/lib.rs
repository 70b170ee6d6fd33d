//! The cluster's metadata as one pure state machine.
//!
//! Owns:     
//! Promises: 
//! Never:    
