//! One process: configuration, start, stop, the HTTP door.
//!
//! Owns:     
//! Promises: 
//! Never:    
