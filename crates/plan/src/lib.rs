//! From a syntax tree to a bound query, and to the fragment a partition runs.
//!
//! Owns:     nothing.
//! Promises: names, types, coercions and MySQL's clause rules are settled here, once, for every executor.
//! Never:    runs anything.

pub mod fragment;
pub mod query;

pub use fragment::Fragment;
pub use query::{Rel, Column};
