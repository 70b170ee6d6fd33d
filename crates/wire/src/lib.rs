//! MySQL's client/server protocol as a pure codec.
//!
//! Owns:     
//! Promises: 
//! Never:    
