//! The house rules of `ARCHITECTURE.md`, checked.
//!
//! Owns:     nothing.
//! Promises: a rule is stated once, here, next to its check.
//! Never:    fixes what it finds.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// A crate that only some rooms may hold, and those rooms.
const HEAVY_GUESTS: &[(&str, &[&str])] = &[
    ("datafusion", &["exec"]),
    ("arrow", &["exec"]),
    ("openraft", &["metaraft"]),
    ("rustix", &["env"]),
    ("rustls", &["aggregator", "rpc", "tests"]),
    ("tokio-rustls", &["aggregator", "rpc"]),
    ("axum", &["node"]),
    ("clap", &["weald"]),
];

/// These decide and cannot even wait: no async runtime, no IO.
const PURE: &[&str] = &["types", "catalog", "wire", "sql", "expr", "plan", "meta", "txn"];

/// Rooms in which the outside world may be touched directly: the others go through `env`, and clippy's ban list says so.
const OUTSIDE: &[&str] = &["env", "tests", "xtask"];

/// `anyhow` is for programs; a library's errors are types.
const ANYHOW: &[&str] = &["weald", "xtask", "tests"];

struct Room {
    name: String,
    floor: i64,
    wing: String,
    imports: Vec<String>,
    path: PathBuf,
}

pub fn run() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask stands in the workspace").to_path_buf();
    let mut findings = Vec::new();
    let rooms = rooms(&root, &mut findings);
    for room in rooms.values() {
        floors_and_wall(room, &rooms, &mut findings);
        guests(room, &mut findings);
        for dir in ["src", "tests"] {
            for file in rust_files(&room.path.join(dir)) {
                source(&root, room, &file, &mut findings);
            }
        }
    }
    for page in ["ARCHITECTURE.md", "README.md", "docs/glossary.md", "docs/testing.md", "docs/compatibility.md"] {
        links(&root, &root.join(page), &mut findings);
    }
    for f in &findings {
        eprintln!("tidy: {f}");
    }
    println!("tidy: {} crates, {} finding(s)", rooms.len(), findings.len());
    if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn rooms(root: &Path, findings: &mut Vec<String>) -> BTreeMap<String, Room> {
    let mut manifests: Vec<PathBuf> = fs::read_dir(root.join("crates")).map(|d| d.flatten().map(|e| e.path()).collect()).unwrap_or_default();
    manifests.extend([root.join("apps/weald"), root.join("xtask"), root.join("tests")]);
    let mut rooms = BTreeMap::new();
    for path in manifests {
        let Ok(text) = fs::read_to_string(path.join("Cargo.toml")) else { continue };
        let manifest: toml::Table = match text.parse() {
            Ok(m) => m,
            Err(e) => {
                findings.push(format!("{}: {e}", path.display()));
                continue;
            }
        };
        let package = &manifest["package"];
        let name = package["name"].as_str().unwrap_or_default().trim_start_matches("weald-").to_string();
        let house = package.get("metadata").and_then(|m| m.get("house"));
        let floor = house.and_then(|h| h.get("floor")).and_then(|f| f.as_integer());
        let wing = house.and_then(|h| h.get("wing")).and_then(|w| w.as_str());
        let (Some(floor), Some(wing)) = (floor, wing) else {
            findings.push(format!("{}: no [package.metadata.house] with floor and wing", path.display()));
            continue;
        };
        if manifest.get("lints").and_then(|l| l.get("workspace")).and_then(|w| w.as_bool()) != Some(true) {
            findings.push(format!("{}: no [lints] workspace = true", path.display()));
        }
        let imports = manifest.get("dependencies").and_then(|d| d.as_table()).map(|d| d.keys().cloned().collect()).unwrap_or_default();
        rooms.insert(name.clone(), Room { name, floor, wing: wing.into(), imports, path });
    }
    rooms
}

/// A crate imports lower floors only, and nothing of the other wing.
fn floors_and_wall(room: &Room, rooms: &BTreeMap<String, Room>, findings: &mut Vec<String>) {
    for import in room.imports.iter().filter_map(|i| i.strip_prefix("weald-")) {
        let Some(other) = rooms.get(import) else { continue };
        if other.floor >= room.floor {
            findings.push(format!(
                "{} (floor {}) imports {} (floor {}): only lower floors may be imported",
                room.name, room.floor, other.name, other.floor
            ));
        }
        if room.wing != "shared" && other.wing != "shared" && room.wing != other.wing {
            findings
                .push(format!("{} ({} wing) imports {} ({} wing): the wings speak by message only", room.name, room.wing, other.name, other.wing));
        }
    }
}

fn guests(room: &Room, findings: &mut Vec<String>) {
    for (guest, homes) in HEAVY_GUESTS {
        if room.imports.iter().any(|i| i == guest) && !homes.contains(&room.name.as_str()) {
            findings.push(format!("{} imports {guest}, which keeps to {homes:?}", room.name));
        }
    }
    if room.imports.iter().any(|i| i == "anyhow") && !ANYHOW.contains(&room.name.as_str()) {
        findings.push(format!("{} imports anyhow: a library's errors are types", room.name));
    }
    if room.imports.iter().any(|i| i == "async-trait") {
        findings.push(format!("{} imports async-trait, which is absent on purpose", room.name));
    }
    if PURE.contains(&room.name.as_str()) && room.imports.iter().any(|i| i == "tokio" || i == "weald-env") {
        findings.push(format!("{} is pure: it may not import tokio or weald-env", room.name));
    }
}

fn source(root: &Path, room: &Room, file: &Path, findings: &mut Vec<String>) {
    let Ok(text) = fs::read_to_string(file) else {
        findings.push(format!("{}: not readable as UTF-8", file.display()));
        return;
    };
    let is_test = file.ends_with("tests.rs") || file.components().any(|c| c.as_os_str() == "tests") || room.path.ends_with("tests");
    if !is_test {
        for line in ["//! Owns:", "//! Promises:", "//! Never:"] {
            if !text.lines().take(40).any(|l| l.starts_with(line) && l.len() > line.len() + 2) {
                findings.push(format!("{}: the module header has no `{line} …`", file.display()));
            }
        }
    }
    // Also a test says what its file is for.
    if !text.starts_with("//!") {
        findings.push(format!("{}: does not open with what the file is for (`//! …`)", file.display()));
    }
    if !is_test && !OUTSIDE.contains(&room.name.as_str()) && text.contains(concat!("allow(clippy::disallowed", "_methods")) {
        findings.push(format!("{}: goes around the ban list; the outside world is reached through weald_env", file.display()));
    }
    // A page that the source sends its reader to is there.
    for (n, line) in text.lines().enumerate().filter(|(_, l)| l.trim_start().starts_with("//")) {
        for page in line.split(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | '(' | ')' | '`')).filter(|w| w.starts_with("docs/")) {
            let page = page.trim_end_matches(['.', ':']);
            if page.ends_with(".md") && !root.join(page).is_file() {
                findings.push(format!("{}:{}: {page} does not exist", file.display(), n + 1));
            }
        }
    }
    // Written apart, so that this file does not find itself.
    for leftover in [concat!("todo", "!("), concat!("unimplemented", "!("), concat!("FIX", "ME"), concat!("dbg", "!(")] {
        if let Some(n) = text.lines().position(|l| l.contains(leftover)) {
            findings.push(format!("{}:{}: {leftover}", file.display(), n + 1));
        }
    }
    if is_test && text.contains(concat!("thread::", "sleep")) {
        findings.push(format!("{}: a test sleeps; wait for a condition", file.display()));
    }
}

/// Links of a page that lead nowhere.
fn links(root: &Path, page: &Path, findings: &mut Vec<String>) {
    let Ok(text) = fs::read_to_string(page) else {
        findings.push(format!("{} does not exist", page.display()));
        return;
    };
    for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
        let target = target.split('#').next().unwrap_or_default();
        if !target.is_empty() && !target.contains("://") && !page.parent().unwrap_or(root).join(target).exists() {
            findings.push(format!("{}: links to {target}, which does not exist", page.display()));
        }
    }
}

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut open = vec![dir.to_path_buf()];
    while let Some(d) = open.pop() {
        for path in fs::read_dir(&d).into_iter().flatten().flatten().map(|e| e.path()) {
            if path.is_dir() {
                open.push(path)
            } else if path.extension().is_some_and(|e| e == "rs") {
                files.push(path)
            }
        }
    }
    files.sort();
    files
}
