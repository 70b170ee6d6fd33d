//! Carrying a plan out: fragments over a partition, rows at the aggregator, DataFusion for the large.
//!
//! Owns:     
//! Promises: 
//! Never:    
