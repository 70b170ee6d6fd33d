//! Chores that only developers run. `cargo xtask tidy` checks what the compiler cannot: floors, the wall, heavy guests, module headers.
//!
//! Owns:     nothing.
//! Promises: prints every finding with its file, and exits 1 if there was one.
//! Never:    changes a file.

mod test;
mod tidy;

use std::process::ExitCode;

const HELP: &str = "\
cargo xtask test      everything: house rules, clippy, all tests
cargo xtask tidy      check floors, the wall between the wings, heavy guests, module headers and forbidden leftovers";

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("test") => test::run(),
        Some("tidy") => tidy::run(),
        _ => {
            eprintln!("{HELP}");
            ExitCode::from(2)
        }
    }
}
