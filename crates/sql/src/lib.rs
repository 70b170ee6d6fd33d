//! MySQL's SQL text: tokens, syntax tree, parser, printer, and the normal form that keys the plan cache.
//!
//! Owns:     nothing.
//! Promises: what MySQL 8.0's grammar accepts of the statements in [`ast::Statement`] is parsed; all else is a 1064 that quotes the text from where it went wrong.
//! Never:    looks a name up.

pub mod ast;
mod hint;
pub mod keyword;
pub mod lexer;
pub mod normalise;
mod parser;
pub mod print;
mod statements;

pub use keyword::keywords;
pub use lexer::{count_tokens, not_text, to_utf8, without_secrets};
pub use normalise::{Normalised, normalise};
pub use parser::{ParseOptions, Prepared, parse, parse_expr, parse_normalised, parse_prepared, parse_query};
pub use statements::Statements;
