//! The command line. (That this test is here makes `cargo test --workspace` build the binary, which the test hall starts.)

use std::process::Command;

fn weald(args: &[&str]) -> (bool, String, String) {
    let out = Command::new(env!("CARGO_BIN_EXE_weald")).args(args).output().expect("the binary runs");
    (out.status.success(), String::from_utf8_lossy(&out.stdout).into_owned(), String::from_utf8_lossy(&out.stderr).into_owned())
}

#[test]
fn the_version_and_the_options_are_told() {
    let (ok, out, _) = weald(&["--version"]);
    assert!(ok && out.contains(env!("CARGO_PKG_VERSION")), "{out}");
    let (ok, out, _) = weald(&["dev", "--help"]);
    assert!(ok, "{out}");
    for option in ["--data-dir", "--mysql-port", "--http-port"] {
        assert!(out.contains(option), "{option} is not in:\n{out}");
    }
}

#[test]
fn a_wrong_option_is_refused_with_words() {
    let (ok, _, err) = weald(&["dev", "--no-such-option"]);
    assert!(!ok && err.contains("--no-such-option"), "{err}");
}
