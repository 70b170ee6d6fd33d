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
    ("rustls", &["aggregator"]),
    ("tokio-rustls", &["aggregator"]),
    ("axum", &["node"]),
    ("clap", &["weald"]),
];

/// These decide and cannot even wait: no async runtime, no IO.
const PURE: &[&str] = &["types", "catalog", "wire", "sql", "expr", "plan", "meta", "txn"];

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
        for file in rust_files(&room.path.join("src")) {
            source(room, &file, &mut findings);
        }
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
    if PURE.contains(&room.name.as_str()) && room.imports.iter().any(|i| i == "tokio" || i == "weald-env") {
        findings.push(format!("{} is pure: it may not import tokio or weald-env", room.name));
    }
}

fn source(room: &Room, file: &Path, findings: &mut Vec<String>) {
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
