//! The role that answers clients: connections, sessions, statements, SHOW and information_schema.
//!
//! Owns:     
//! Promises: 
//! Never:    
