//! From a syntax tree to a bound query, and to the fragment a partition runs.
//!
//! Owns:     nothing.
//! Promises: names, types, coercions and MySQL's clause rules are settled here, once, for every executor.
//! Never:    runs anything.

pub mod access;
pub mod bind;
pub mod carried;
pub mod ddl;
pub mod dml;
pub mod fragment;
pub mod key_values;
pub mod local;
pub mod names;
pub mod query;
pub mod rewrite;
pub mod typing;
pub mod walk;

pub use fragment::{Fragment, FragmentPlan, Gather, Target};
pub use names::{Bindings, Names, NoStatistics, Statistics};
pub use query::{Column, Need, Query, Rel};
