//! Chores that only developers run. `cargo xtask tidy` checks what the compiler cannot: floors, the wall, heavy guests, module headers.
//!
//! Owns:     nothing.
//! Promises: prints every finding with its file, and exits 1 if there was one.
//! Never:    changes a file, but for `compatibility`, which writes one page.

// A chore lives in the outside world: real clock, real files, real processes.
#![allow(clippy::disallowed_methods)]

mod test;
mod tidy;

use std::process::ExitCode;

const HELP: &str = "\
cargo xtask test           everything: house rules, format, clippy, all tests
cargo xtask compatibility  write docs/compatibility.md from the golden scripts
cargo xtask tidy           check floors, the wall between the wings, heavy guests, module headers and forbidden leftovers";

/// The page is written by the test that checks it.
fn compatibility() -> ExitCode {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let args = ["test", "--quiet", "--workspace", "--test", "compatibility", "--", "--include-ignored"];
    match std::process::Command::new(cargo).args(args).env("WEALD_COMPATIBILITY", "write").status() {
        Ok(s) if s.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("cannot run cargo: {e}");
            ExitCode::FAILURE
        }
    }
}

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("test") => test::run(),
        Some("compatibility") => compatibility(),
        Some("tidy") => tidy::run(),
        _ => {
            eprintln!("{HELP}");
            ExitCode::from(2)
        }
    }
}
