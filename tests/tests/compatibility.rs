//! `docs/compatibility.md` says what the scripts show. `cargo xtask compatibility` writes it.

#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use weald_tests::compatibility::page;
use weald_tests::golden::parse;

#[test]
fn the_page_is_what_the_scripts_show() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let dir = root.join("sql");
    let mut files: Vec<_> = fs::read_dir(&dir).unwrap().flatten().map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "test")).collect();
    files.sort();
    let scripts: Vec<_> = files.iter().map(|f| parse(&f.file_stem().unwrap().to_string_lossy(), &fs::read_to_string(f).unwrap()).unwrap()).collect();
    let known: BTreeSet<String> = fs::read_to_string(dir.join("known_failures.txt")).unwrap_or_default().lines().map(Into::into).collect();
    let page = page(&scripts, &known);
    let file = root.join("../docs/compatibility.md");
    if std::env::var("WEALD_COMPATIBILITY").is_ok_and(|v| v == "write") {
        fs::write(&file, page).unwrap();
        return;
    }
    assert!(fs::read_to_string(&file).unwrap_or_default() == page, "docs/compatibility.md is out of date: run `cargo xtask compatibility`");
}
