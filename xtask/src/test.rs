//! `cargo xtask test`: everything that must hold before a change lands, in the order in which it fails fastest.
//!
//! Owns:     the list of steps.
//! Promises: says what it does, how long each step and each test program took, and what was skipped and why; stops at the first failing step, with its
//!           command, so that a person can run it alone.
//! Never:    depends on what is not in the repository: clients that are not installed are installed where that is possible, and else skipped by name.

use std::io::{BufRead, BufReader};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// One profile for everything: cargo compiles the dependencies once.
const STEPS: &[Step] = &[
    Step { name: "house rules", args: &["run", "--quiet", "--package", "xtask", "--", "tidy"], kind: Kind::Plain },
    Step { name: "format", args: &["fmt", "--all", "--check"], kind: Kind::Plain },
    Step { name: "clippy", args: &["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"], kind: Kind::Plain },
    // The server as well, which the tests start: built by itself it would have other features, and DataFusion be compiled twice.
    Step { name: "build of the server and the tests", args: &["build", "--quiet", "--workspace", "--all-targets"], kind: Kind::Plain },
    Step { name: "tests", args: &["test", "--workspace", "--no-fail-fast", "--", "--show-output"], kind: Kind::Tests },
];

struct Step {
    name: &'static str,
    args: &'static [&'static str],
    kind: Kind,
}

enum Kind {
    Plain,
    /// Its output is read along: one line for each test program, the rest only where something failed.
    Tests,
}

/// Programs that the client tests use, and the Debian packages that have them.
const CLIENTS: &[(&str, &str)] = &[
    ("mariadb", "mariadb-client"),
    ("mariadb-dump", "mariadb-client"),
    ("sysbench", "sysbench"),
    ("python3", "python3-venv"),
    ("node", "nodejs"),
    ("npm", "npm"),
];

pub fn run() -> ExitCode {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let begun = Instant::now();
    install_clients();
    let mut took = Vec::new();
    for step in STEPS {
        println!("== {}: cargo {}", step.name, step.args.join(" "));
        let start = Instant::now();
        let passed = match step.kind {
            Kind::Plain => Command::new(&cargo).args(step.args).status().map(|s| s.success()),
            Kind::Tests => tests(&cargo, step.args),
        };
        match passed {
            Ok(true) => println!("== {}: passed in {} s", step.name, start.elapsed().as_secs()),
            Ok(false) => {
                eprintln!("== {}: FAILED after {} s; alone: cargo {}", step.name, start.elapsed().as_secs(), step.args.join(" "));
                return ExitCode::FAILURE;
            }
            Err(e) => {
                eprintln!("== {}: cannot run {cargo}: {e}", step.name);
                return ExitCode::FAILURE;
            }
        }
        took.push((step.name, start.elapsed()));
    }
    println!("== all passed in {} s", begun.elapsed().as_secs());
    for (name, time) in took {
        println!("   {:>5} s  {name}", time.as_secs());
    }
    ExitCode::SUCCESS
}

fn is_installed(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|d| d.join(program).is_file()))
}

/// Where we may, what is missing is installed; a client that stays missing is skipped by its test, which says so.
fn install_clients() {
    let mut missing: Vec<&str> = CLIENTS.iter().filter(|(program, _)| !is_installed(program)).map(|(_, package)| *package).collect();
    missing.dedup();
    if missing.is_empty() {
        println!("== clients: all installed");
        return;
    }
    let root = Command::new("id").arg("-u").output().is_ok_and(|o| o.stdout == b"0\n");
    if !root || !is_installed("apt-get") {
        println!("== clients: not installed, so their tests will be skipped: {} (apt-get install {})", missing.join(", "), missing.join(" "));
        return;
    }
    println!("== clients: apt-get install {}", missing.join(" "));
    let apt = |args: &[&str]| {
        Command::new("apt-get").args(args).env("DEBIAN_FRONTEND", "noninteractive").stdout(Stdio::null()).status().is_ok_and(|s| s.success())
    };
    // One by one: a package that this release does not have must not keep the others out.
    apt(&["update", "--quiet"]);
    for package in missing {
        if !apt(&["install", "--yes", "--quiet", "--no-install-recommends", package]) {
            println!("== clients: {package} cannot be installed; its tests will be skipped");
        }
    }
}

/// Runs the tests; prints a line for each program, all of a program's output where something in it failed, and what was skipped.
fn tests(cargo: &str, args: &[&str]) -> std::io::Result<bool> {
    // cargo names the programs on stderr, they print to stdout: both in one stream, in order.
    let mut child = Command::new("sh").args(["-c", "exec \"$0\" \"$@\" 2>&1", cargo]).args(args).stdout(Stdio::piped()).spawn()?;
    let out = child.stdout.take().map(BufReader::new).ok_or_else(|| std::io::Error::other("no output"))?;
    let (mut program, mut start, mut lines) = (String::from("cargo"), Instant::now(), Vec::new());
    let mut skipped = std::collections::BTreeSet::new();
    let mut ignored = Vec::new();
    let mut slowest: Vec<(Duration, String)> = Vec::new();
    for line in out.split(b'\n') {
        let line = String::from_utf8_lossy(&line?).into_owned();
        if let Some(next) = line.trim_start().strip_prefix("Running ").or_else(|| line.trim_start().strip_prefix("Doc-tests ")) {
            (program, start) = (next.split(" (target").next().unwrap_or(next).to_string(), Instant::now());
            lines.clear();
            continue;
        }
        if let Some(at) = line.find("SKIPPED ") {
            skipped.insert(line[at + "SKIPPED ".len()..].to_string());
        }
        if let Some((test, why)) = line.split_once(" ... ignored") {
            ignored.push(format!("{program}: {}{why}", test.trim_start_matches("test ")));
        }
        let failed = line.starts_with("test result: FAILED") || line.starts_with("error");
        if line.starts_with("test result:") {
            let counts =
                line.trim_start_matches("test result: ").split("; finished").next().unwrap_or_default().replace("; 0 measured; 0 filtered out", "");
            if !line.contains(" 0 passed; 0 failed") {
                println!("   {:>5.1} s  {program}: {counts}", start.elapsed().as_secs_f64());
                slowest.push((start.elapsed(), program.clone()));
            }
        }
        lines.push(line);
        if failed {
            lines.iter().for_each(|l| println!("{l}"));
            lines.clear();
        }
    }
    let passed = child.wait()?.success();
    slowest.sort_by(|a, b| b.cmp(a));
    println!("   slowest: {}", slowest.iter().take(3).map(|(t, p)| format!("{p} ({} s)", t.as_secs())).collect::<Vec<_>>().join(", "));
    println!("   skipped: {}", if skipped.is_empty() { "nothing".into() } else { skipped.into_iter().collect::<Vec<_>>().join("; ") });
    println!("   ignored: {}", if ignored.is_empty() { "nothing".into() } else { ignored.join("; ") });
    Ok(passed)
}
