//! Runs `tests/sql/*.test` against the server.
//!
//! WEALD_GOLDEN=write            writes the answers into the scripts instead of comparing
//! WEALD_GOLDEN=known            writes known_failures.txt: for a large change, to be emptied again
//! WEALD_GOLDEN_MARIADB=h:p      asks that MariaDB 10.11 instead (blocks marked `# mysql:` are left out)
//! WEALD_GOLDEN_ONLY=a,b         these scripts only

#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use weald_tests::golden::{Target, diff, parse, print, run};
use weald_tests::nodes::Nodes;
use weald_tests::server::Server;

/// The same scripts through an aggregator whose tables are on two leaves. What they say of the cluster itself is another matter.
#[test]
fn scripts_answer_the_same_when_the_tables_are_on_other_nodes() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("sql");
    let exchange = tempfile::Builder::new().prefix("weald-files-").tempdir().unwrap();
    let nodes = Nodes::cluster_with(1, 2, &["--secure-file-priv", &exchange.path().to_string_lossy()]);
    let target = Target { host: "127.0.0.1", port: nodes.all[0].port, files: exchange.path() };
    let differs = fs::read_to_string(dir.join("differs_in_a_cluster.txt")).unwrap();
    let differs: BTreeSet<&str> = differs.lines().filter(|l| !l.starts_with('#') && !l.trim().is_empty()).collect();
    let mut failures = Vec::new();
    for file in scripts(&dir) {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let script = parse(&name, &fs::read_to_string(&file).unwrap()).unwrap();
        let answers = match run(&script, &target) {
            Ok(answers) => answers,
            Err(e) => {
                failures.push(format!("{name}: {e}\n"));
                continue;
            }
        };
        for (block, got) in script.blocks.iter().zip(answers) {
            let first = block.statements.first().map(|s| s.source.replace('\n', " ")).unwrap_or_default();
            if block.expected != got && !differs.contains(&*format!("{name}: {first}")) {
                failures.push(format!("{name}.test:{}\n    {first}\n{}", block.line, diff(&block.expected, &got)));
            }
        }
    }
    assert!(failures.is_empty(), "{} blocks differ (- expected, + got):\n\n{}", failures.len(), failures.join("\n"));
}

fn scripts(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(dir).unwrap().flatten().map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "test")).collect();
    files.sort();
    assert!(!files.is_empty(), "no scripts in {}", dir.display());
    files
}

#[test]
fn every_script_answers_as_mysql_does() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("sql");
    let write = std::env::var("WEALD_GOLDEN").is_ok_and(|v| v == "write");
    let mariadb = std::env::var("WEALD_GOLDEN_MARIADB").ok();
    let only: Option<BTreeSet<String>> = std::env::var("WEALD_GOLDEN_ONLY").ok().map(|v| v.split(',').map(Into::into).collect());
    let known: BTreeSet<String> = fs::read_to_string(dir.join("known_failures.txt"))
        .unwrap_or_default()
        .lines()
        .filter(|l| !l.starts_with('#') && !l.trim().is_empty())
        .map(Into::into)
        .collect();
    let files = scripts(&dir);

    let exchange = tempfile::Builder::new().prefix("weald-files-").tempdir().unwrap();
    let server = if mariadb.is_none() { Some(Server::start_with(&["--secure-file-priv", &exchange.path().to_string_lossy()])) } else { None };
    let (host, port) = match (&mariadb, &server) {
        (Some(at), _) => {
            let (host, port) = at.split_once(':').expect("WEALD_GOLDEN_MARIADB=host:port");
            (host.to_string(), port.parse().unwrap())
        }
        (None, Some(s)) => ("127.0.0.1".to_string(), s.port),
        (None, None) => unreachable!(),
    };
    let target = Target { host: &host, port, files: exchange.path() };

    let list = std::env::var("WEALD_GOLDEN").is_ok_and(|v| v == "known");
    let mut listed = BTreeSet::new();
    let (mut failures, mut statements, mut met) = (Vec::new(), 0, BTreeSet::new());
    for file in &files {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        if only.as_ref().is_some_and(|o| !o.contains(&name)) {
            continue;
        }
        let mut script = parse(&name, &fs::read_to_string(file).unwrap()).unwrap();
        statements += script.blocks.iter().map(|b| b.statements.len()).sum::<usize>();
        let answers = match run(&script, &target) {
            Ok(a) => a,
            Err(e) => {
                failures.push(format!("{name}: {e}\n"));
                continue;
            }
        };
        for (block, got) in script.blocks.iter_mut().zip(answers) {
            if mariadb.is_some() && block.is_mysql_only() {
                continue;
            }
            if write {
                block.expected = got;
                continue;
            }
            if block.expected != got {
                let first = block.statements.first().map(|s| s.source.replace('\n', " ")).unwrap_or_default();
                let key = format!("{name}: {first}");
                if list {
                    listed.insert(key);
                    continue;
                }
                if mariadb.is_none() && known.contains(&key) {
                    met.insert(key);
                    continue;
                }
                let all: Vec<&str> = block.statements.iter().map(|s| s.source.as_str()).collect();
                failures.push(format!("{name}.test:{}\n    {}\n{}", block.line, all.join("\n    "), diff(&block.expected, &got)));
            }
        }
        if write {
            fs::write(file, print(&script)).unwrap();
        }
    }
    println!("{} scripts, {statements} statements, {} different", files.len(), failures.len());
    if list {
        let lines: String = listed.iter().map(|k| format!("{k}\n")).collect();
        fs::write(
            dir.join("known_failures.txt"),
            format!("# Blocks that are known to answer otherwise: `script: first statement of the block`. Each is a fault to be mended.\n{lines}"),
        )
        .unwrap();
        return;
    }
    if mariadb.is_none() && only.is_none() && !write {
        failures.extend(known.difference(&met).map(|k| format!("known_failures.txt names what passes: {k}\n")));
    }
    assert!(failures.is_empty(), "{} of {statements} statements differ (- expected, + got):\n\n{}", failures.len(), failures.join("\n"));
}
