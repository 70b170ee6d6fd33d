//! The outside world as seams: disk, clock, randomness; the real ones and the simulated disk.
//!
//! Owns:     
//! Promises: 
//! Never:    
