//! `cargo xtask test`: everything that must hold before a change lands, in the order in which it fails fastest.
//!
//! Owns:     the list of steps.
//! Promises: stops at the first failing step, with its command, so that a person can run it alone.
//! Never:    depends on what is not in the repository: clients that cannot be installed are skipped by name.

use std::process::{Command, ExitCode};
use std::time::Instant;

/// One profile for everything: cargo compiles the dependencies once.
const STEPS: &[(&str, &[&str])] = &[
    ("house rules", &["run", "--quiet", "--package", "xtask", "--", "tidy"]),
    ("clippy", &["clippy", "--quiet", "--workspace", "--all-targets"]),
    ("tests", &["test", "--workspace", "--quiet"]),
];

pub fn run() -> ExitCode {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    for (name, args) in STEPS {
        println!("== {name}: cargo {}", args.join(" "));
        let start = Instant::now();
        let status = Command::new(&cargo).args(*args).status();
        match status {
            Ok(s) if s.success() => println!("== {name}: passed in {} s", start.elapsed().as_secs()),
            Ok(_) => {
                eprintln!("== {name}: FAILED; alone: cargo {}", args.join(" "));
                return ExitCode::FAILURE;
            }
            Err(e) => {
                eprintln!("== {name}: cannot run {cargo}: {e}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}
