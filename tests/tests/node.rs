//! The process: how it starts, what it says, how it ends, what it does at its limits.
//!
//! Every error here is provoked in a real process and read from its standard error: one line, exit code 1.

#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, SystemTime};
use weald_tests::client::{Client, Error};
use weald_tests::server::{Server, binary, free_port, pause};

// ------------------------------------------------------------------ help

fn temporary() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("weald-node-").tempdir().unwrap()
}

/// Waits for something that must come true soon.
fn eventually(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) {
    let deadline = SystemTime::now() + limit;
    while !holds() {
        assert!(SystemTime::now() < deadline, "{what}: not within {limit:?}");
        pause(Duration::from_millis(5));
    }
}

fn wait(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let deadline = SystemTime::now() + limit;
    while SystemTime::now() < deadline {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        pause(Duration::from_millis(10));
    }
    let _ = child.kill();
    let _ = child.wait();
    None
}

fn weald(arguments: &[&str]) -> Command {
    let mut c = Command::new(binary());
    c.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    c
}

fn ports() -> [String; 4] {
    ["--mysql-port".into(), free_port().to_string(), "--http-port".into(), free_port().to_string()]
}

/// What a server that must not start says.
fn refusal(mut command: Command) -> String {
    let mut child = command.spawn().unwrap();
    let status = wait(&mut child, Duration::from_secs(30)).expect("it started, or hangs");
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.starts_with("weald: ") && said.trim_end().lines().count() == 1, "not one line: {said}");
    said.trim_end().to_string()
}

fn refused_in(dir: &Path) -> String {
    let ports = ports();
    let mut c = weald(&["dev", "--data-dir"]);
    c.arg(dir).args(&ports);
    refusal(c)
}

fn get(port: u16, path: &str) -> Option<(u16, String)> {
    let mut s = TcpStream::connect(("127.0.0.1", port)).ok()?;
    s.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    write!(s, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").ok()?;
    let mut text = String::new();
    s.read_to_string(&mut text).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_string()))
}

fn code(e: Error) -> u16 {
    assert!(e.code() > 0, "the server went away: {e}");
    e.code()
}

fn rows(c: &mut Client, sql: &str) -> Vec<Vec<String>> {
    let a = c.query(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
    a.rows.iter().map(|r| r.iter().map(|v| v.as_ref().map_or("NULL".into(), |b| String::from_utf8_lossy(b).into_owned())).collect()).collect()
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().flatten().map(|e| e.path()).collect();
    found.sort();
    found
}

/// Half a million bytes of rows in a table `t` of a database `d`.
fn fill(c: &mut Client, rows: u32) {
    c.query("CREATE DATABASE IF NOT EXISTS d").unwrap();
    c.query("USE d").unwrap();
    c.query("CREATE TABLE IF NOT EXISTS t (id INT PRIMARY KEY, n INT NOT NULL, pad VARCHAR(200) NOT NULL)").unwrap();
    for chunk in (0..rows).collect::<Vec<_>>().chunks(2000) {
        let values: Vec<String> = chunk.iter().map(|n| format!("({n},{},REPEAT('x',100))", n % 1000)).collect();
        c.query(&format!("REPLACE INTO t VALUES {}", values.join(","))).unwrap();
    }
}

// ------------------------------------------------------------------ start and stop

#[test]
fn dev_says_how_to_connect_and_keeps_data_over_a_restart() {
    let temporary = temporary();
    let dir = temporary.path().join("data");
    for start in 0..2 {
        let ports = ports();
        let mut child = weald(&["dev", "--data-dir"]).arg(&dir).args(&ports).spawn().unwrap();
        let mut out = child.stdout.take().unwrap();
        let mut said = String::new();
        let mut piece = [0; 1024];
        while !said.lines().any(|l| l.starts_with("ready")) {
            let n = out.read(&mut piece).unwrap();
            assert!(n > 0, "it ended: {said}");
            said.push_str(std::str::from_utf8(&piece[..n]).unwrap());
        }
        assert!(said.contains(&format!("mysql -h 127.0.0.1 -P {} -u root", ports[1])), "{said}");
        assert!(said.contains(&format!("http://127.0.0.1:{}/", ports[3])) && said.contains(&dir.display().to_string()), "{said}");
        let mut c = Client::root(ports[1].parse().unwrap()).unwrap();
        if start == 0 {
            fill(&mut c, 10);
        }
        assert_eq!(rows(&mut c, "SELECT COUNT(*) FROM d.t"), [["10"]]);
        let (datadir, port) = ("SELECT @@datadir", "SELECT @@port");
        assert_eq!(rows(&mut c, datadir), [[dir.display().to_string()]]);
        assert_eq!(rows(&mut c, port), [[ports[1].clone()]]);
        // SAFETY: a signal to a child that has not been waited for.
        unsafe { libc::kill(child.id() as i32, if start == 0 { libc::SIGINT } else { libc::SIGTERM }) };
        let status = wait(&mut child, Duration::from_secs(20)).expect("a signal ends it");
        assert!(status.success(), "{status}");
        let mut err = String::new();
        child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        assert_eq!(err, "", "nothing went wrong");
    }
    let mode = |p: &Path| std::fs::metadata(p).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    for file in ["server-key.pem", "FORMAT", "weald.log", "slow.log", "LOCK"] {
        assert_eq!(mode(&dir.join(file)), 0o600, "{file}");
    }
    let log = std::fs::read_to_string(dir.join("weald.log")).unwrap();
    for line in ["starting", "replaying snapshot", "replaying log 100%", "ready", "stopped"] {
        assert!(log.contains(line), "no '{line}' in\n{log}");
    }
}

#[test]
fn a_directory_is_used_by_one_process_and_left_alone_by_an_older_release() {
    let server = Server::start();
    let said = refused_in(server.dir());
    assert!(said.contains(&format!("process {}", server.pid())) && said.contains("--data-dir"), "{said}");

    let temporary = temporary();
    let newer = temporary.path().join("newer");
    std::fs::create_dir(&newer).unwrap();
    std::fs::write(newer.join("FORMAT"), "weald data directory\nversion 99\n").unwrap();
    let said = refused_in(&newer);
    assert!(said.contains("newer release") && said.contains("FORMAT"), "{said}");

    let file = temporary.path().join("file");
    std::fs::write(&file, "").unwrap();
    let said = refused_in(&file);
    assert!(said.contains("--data-dir"), "{said}");

    // A directory that is somebody's already is not strewn with our files.
    let home = temporary.path().join("home");
    std::fs::create_dir_all(home.join("letters")).unwrap();
    let said = refused_in(&home);
    assert!(said.contains("letters") && said.contains("--data-dir"), "{said}");
    assert!(files(&home).iter().all(|f| f.ends_with("letters")), "{:?}", files(&home));
}

#[test]
fn a_port_that_is_taken_is_named_with_the_option_that_changes_it() {
    let temporary = temporary();
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap();
    let free = free_port().to_string();
    for (option, other) in [("--mysql-port", "--http-port"), ("--http-port", "--mysql-port")] {
        let mut c = weald(&["dev", option, &taken.port().to_string(), other, &free, "--data-dir"]);
        c.arg(temporary.path().join("data"));
        let said = refusal(c);
        assert!(said.contains(&taken.to_string()) && said.contains(option), "{said}");
    }
}

#[test]
fn a_directory_without_permission_is_named() {
    let temporary = temporary();
    let closed = temporary.path().join("closed");
    std::fs::create_dir(&closed).unwrap();
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o555)).unwrap();
    std::fs::set_permissions(temporary.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let ports = ports();
    let mut c = weald(&["dev", "--data-dir"]);
    c.arg(closed.join("data")).args(&ports);
    // SAFETY: asks for a number.
    if unsafe { libc::getuid() } == 0 {
        use std::os::unix::process::CommandExt;
        // Nobody, whom the kernel does not let pass everywhere.
        c.uid(65534).gid(65534);
        let reachable = Command::new(binary()).arg("--version").uid(65534).gid(65534).output().is_ok_and(|o| o.status.success());
        if !reachable {
            println!("skipped: another user cannot run {}", binary().display());
            return;
        }
    }
    let said = refusal(c);
    assert!(said.contains("ermission denied") && said.contains(&closed.display().to_string()), "{said}");
}

#[test]
fn damage_is_named_by_file_and_offset_and_nothing_starts() {
    let mut server = Server::start();
    fill(&mut server.connect().unwrap(), 4000);
    server.connect().unwrap().query("CREATE TABLE d.later (id INT PRIMARY KEY)").unwrap();
    let _ = server.terminate(Duration::from_secs(20));
    let flip = |file: &Path, at: u64| {
        let mut bytes = std::fs::read(file).unwrap();
        bytes[at as usize] ^= 0x10;
        std::fs::write(file, &bytes).unwrap();
    };
    for part in ["log", "meta/g00000000/log"] {
        let file = files(&server.dir().join(part)).into_iter().find(|f| f.extension().is_some_and(|e| e == "wlog")).unwrap();
        // Within a record that others follow.
        let bytes = std::fs::read(&file).unwrap();
        let at = bytes.windows(3).position(|w| w == b"pad").unwrap_or(700) as u64;
        flip(&file, at);
        let said = refused_in(server.dir());
        assert!(said.contains(&file.display().to_string()) && said.contains("offset") && said.contains("backup"), "{said}");
        let log = std::fs::read_to_string(server.dir().join("weald.log")).unwrap();
        assert!(log.contains("offset"), "{log}");
        flip(&file, at);
    }
    server.restart();
    assert_eq!(rows(&mut server.connect().unwrap(), "SELECT COUNT(*) FROM d.t"), [["4000"]]);
}

#[test]
fn a_snapshot_that_cannot_be_read_is_passed_over_for_the_one_before() {
    let mut server = Server::start();
    let mut c = server.connect().unwrap();
    fill(&mut c, 500);
    c.query("SNAPSHOT DATABASE d").unwrap();
    c.query("UPDATE t SET n = n + 1").unwrap();
    c.query("SNAPSHOT DATABASE d").unwrap();
    c.query("DELETE FROM t WHERE id < 100").unwrap();
    server.kill();
    let mut hurt = 0;
    for partition in files(&server.dir().join("snapshots")) {
        let newest = files(&partition).into_iter().rfind(|f| f.extension().is_some_and(|e| e == "wsnap")).unwrap();
        let mut bytes = std::fs::read(&newest).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&newest, bytes).unwrap();
        hurt += 1;
    }
    assert!(hurt > 0);
    server.restart();
    let mut c = server.connect().unwrap();
    assert_eq!(rows(&mut c, "SELECT COUNT(*), SUM(n) FROM d.t"), [["400".to_string(), (100..500).map(|n| n + 1).sum::<u32>().to_string()]]);
    let log = std::fs::read_to_string(server.dir().join("weald.log")).unwrap();
    assert!(log.contains("set aside"), "{log}");
}

// ------------------------------------------------------------------ configuration

#[test]
fn a_node_takes_its_file_its_flags_and_its_environment() {
    let temporary = temporary();
    let file = temporary.path().join("weald.toml");
    let dir = temporary.path().join("data");
    let text = format!(
        "data_dir = \"{}\"\nmaximum_memory = 300\nmaximum_table_memory = 200\nlog_format = \"json\"\n[variables]\nwait_timeout = 77\nslow_query_log = false\n",
        dir.display()
    );
    std::fs::write(&file, text).unwrap();
    let start = |password: &str, more: &[&str]| {
        let ports = ports();
        let mut c = weald(&["node", "--config"]);
        c.arg(&file).args(&ports).args(more).env("WEALD_ROOT_PASSWORD", password).env("WEALD_MAXIMUM_TABLE_MEMORY", "150");
        c.env("WEALD_CLUSTER_SECRET", "a secret of this test").env("WEALD_CLUSTER_PORT", "0");
        (c, ports[1].parse::<u16>().unwrap())
    };
    // Who listens to others must have a password.
    let (open, _) = start("", &["--bind-address", "0.0.0.0"]);
    let said = refusal(open);
    assert!(said.contains("root has no password") && said.contains("--root-password"), "{said}");

    for password in ["secret", ""] {
        // At the second start root has a password already.
        let (mut command, port) = start(password, &["--bind-address", "0.0.0.0", "--variable", "wait_timeout=99"]);
        let mut child = command.spawn().unwrap();
        eventually("a login", Duration::from_secs(30), || Client::connect("127.0.0.1", port, "root", "secret", None).is_ok());
        assert_eq!(code(Client::root(port).err().expect("no password, no entry")), 1045);
        let mut c = Client::connect("127.0.0.1", port, "root", "secret", None).unwrap();
        let found = rows(&mut c, "SELECT @@global.wait_timeout, @@global.slow_query_log, @@global.maximum_memory, @@global.maximum_table_memory");
        assert_eq!(found, [["99", "0", "300", "150"]]);
        if !password.is_empty() {
            c.query("BOOTSTRAP AGGREGATOR '127.0.0.1'").unwrap();
            c.query("SET PERSIST max_connections = 123").unwrap();
            c.query("SET PERSIST_ONLY long_query_time = 3").unwrap();
            assert_eq!(rows(&mut c, "SELECT @@global.max_connections, @@global.long_query_time"), [["123", "10"]]);
        } else {
            assert_eq!(rows(&mut c, "SELECT @@global.max_connections, @@global.long_query_time"), [["123", "3"]]);
        }
        drop(c);
        // SAFETY: a signal to a child that has not been waited for.
        unsafe { libc::kill(child.id() as i32, libc::SIGTERM) };
        assert!(wait(&mut child, Duration::from_secs(20)).is_some_and(|s| s.success()));
    }
    let log = std::fs::read_to_string(dir.join("weald.log")).unwrap();
    assert!(log.lines().all(|l| l.starts_with('{') && l.ends_with('}')), "{log}");

    std::fs::write(&file, "mysql_port = 3306\nno_such_key = 1\n").unwrap();
    let (wrong, _) = start("", &[]);
    let said = refusal(wrong);
    assert!(said.contains("line 2") && said.contains("no_such_key"), "{said}");
    for (option, value) in [("--variable", "no_such_variable=1"), ("--log-level", "lou=d=er"), ("--variable", "wait_timeout=0")] {
        let ports = ports();
        let mut c = weald(&["node", option, value, "--data-dir"]);
        c.arg(temporary.path().join("other")).args(&ports);
        let said = refusal(c);
        assert!(said.contains(value.split('=').next().unwrap()), "{said}");
    }
}

#[test]
fn persisted_variables_outlive_restarts_until_they_are_reset() {
    let mut server = Server::start();
    let mut c = server.connect().unwrap();
    let shown = |c: &mut Client| rows(c, "SELECT @@global.wait_timeout, @@global.long_query_time, @@global.sql_mode, @@global.snapshots_to_keep");
    let first = shown(&mut c);
    c.query("SET PERSIST wait_timeout = 1234, PERSIST long_query_time = 0.5").unwrap();
    c.query("SET PERSIST_ONLY sql_mode = 'ANSI'").unwrap();
    c.query("SET GLOBAL snapshots_to_keep = 7").unwrap();
    // What is wrong with one of them keeps all of them from being remembered.
    assert_eq!(code(c.query("SET PERSIST wait_timeout = 99, PERSIST no_such_variable = 1").unwrap_err()), 1193);
    assert_eq!(code(c.query("SET PERSIST port = 1").unwrap_err()), 1238);
    assert_eq!(shown(&mut c)[0][..2], ["1234", "0.5"]);
    assert_eq!(shown(&mut c)[0][2], first[0][2], "PERSIST_ONLY waits for the next start");
    server.restart();
    let mut c = server.connect().unwrap();
    let found = shown(&mut c);
    assert!(found[0][..2] == ["1234", "0.5"] && found[0][2].contains("ANSI_QUOTES"), "{found:?}");
    assert_eq!(found[0][3], first[0][3], "SET GLOBAL is forgotten");
    assert_eq!(rows(&mut c, "SELECT @@wait_timeout"), [["1234"]], "new sessions begin with it");
    c.query("RESET PERSIST wait_timeout").unwrap();
    assert_eq!(code(c.query("RESET PERSIST wait_timeout").unwrap_err()), 3615);
    c.query("RESET PERSIST IF EXISTS wait_timeout").unwrap();
    assert_eq!(shown(&mut c)[0][0], "1234", "until the next start");
    server.restart();
    let mut c = server.connect().unwrap();
    assert_eq!(shown(&mut c)[0][..2], [first[0][0].clone(), "0.5".into()]);
    c.query("RESET PERSIST").unwrap();
    server.restart();
    assert_eq!(shown(&mut server.connect().unwrap()), first);
}

#[test]
fn a_snapshot_asked_for_is_what_a_restart_begins_with() {
    let mut server = Server::start();
    let mut c = server.connect().unwrap();
    c.query("CREATE DATABASE d PARTITIONS 2").unwrap();
    fill(&mut c, 3000);
    let snapshots = |server: &Server| -> usize {
        let kept = |dir: &PathBuf| files(dir).iter().filter(|f| f.extension().is_some_and(|e| e == "wsnap")).count();
        files(&server.dir().join("snapshots")).iter().map(kept).sum()
    };
    let before = snapshots(&server);
    c.query("SNAPSHOT DATABASE d").unwrap();
    assert_eq!(snapshots(&server), before + 2, "one for each partition");
    // Nothing was written since: there is nothing to take.
    c.query("SNAPSHOT DATABASE d").unwrap();
    assert_eq!(snapshots(&server), before + 2);
    c.query("UPDATE t SET n = -1 WHERE id < 10").unwrap();
    c.query("DELETE FROM t WHERE id >= 2990").unwrap();
    for _ in 0..3 {
        c.query("UPDATE t SET pad = CONCAT('z', pad) WHERE id >= 10").unwrap();
        c.query("SNAPSHOT DATABASE d").unwrap();
    }
    assert!(snapshots(&server) <= 2 * 2, "more are kept than snapshots_to_keep says");
    c.query("UPDATE t SET n = -2 WHERE id = 0").unwrap();
    server.kill();
    server.restart();
    let mut c = server.connect().unwrap();
    let sums = "SELECT COUNT(*), SUM(n = -1), SUM(n = -2), SUM(pad LIKE 'zzzx%') FROM d.t";
    assert_eq!(rows(&mut c, sums), [["2990", "9", "1", "2980"]]);
    assert_eq!(code(c.query("SNAPSHOT DATABASE nothing").unwrap_err()), 1049);
    c.query("CREATE USER plain").unwrap();
    c.query("GRANT ALL ON d.* TO plain").unwrap();
    let mut plain = Client::connect("127.0.0.1", server.port, "plain", "", None).unwrap();
    assert_eq!(code(plain.query("SNAPSHOT DATABASE d").unwrap_err()), 1227);
}

// ------------------------------------------------------------------ what can be watched

#[test]
fn metrics_are_what_prometheus_reads() {
    let server = Server::start();
    let mut c = server.connect().unwrap();
    fill(&mut c, 100);
    for _ in 0..5 {
        rows(&mut c, "SELECT n FROM t WHERE id = 7");
    }
    assert_eq!(get(server.http_port, "/healthz"), Some((200, "ok\n".into())));
    let (status, text) = get(server.http_port, "/metrics").unwrap();
    assert_eq!(status, 200);
    let mut known = std::collections::BTreeMap::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(known.insert(name.to_string(), kind.to_string()).is_none(), "{name} twice");
            assert!(text.contains(&format!("# HELP {name} ")), "{name}");
            continue;
        }
        if line.starts_with('#') {
            continue;
        }
        let (metric, value) = line.rsplit_once(' ').unwrap();
        assert!(value.parse::<f64>().is_ok(), "{line}");
        let name = metric.split('{').next().unwrap();
        let base = ["_bucket", "_sum", "_count"].iter().find_map(|s| name.strip_suffix(s)).filter(|b| known.contains_key(*b)).unwrap_or(name);
        assert!(known.contains_key(base), "{name} has no TYPE");
    }
    let value = |metric: &str| -> f64 {
        let line =
            text.lines().find(|l| l.strip_prefix(metric).is_some_and(|r| r.starts_with(' '))).unwrap_or_else(|| panic!("no {metric} in\n{text}"));
        line.rsplit_once(' ').unwrap().1.parse().unwrap()
    };
    assert!(value("weald_statement_seconds_count{kind=\"select\"}") >= 5.0);
    assert!(value("weald_statement_seconds_count{kind=\"insert\"}") >= 1.0);
    assert!(value("weald_commits_total") >= 1.0);
    assert!(value("weald_log_sync_seconds_count") >= 1.0);
    assert!(value("weald_plan_cache_hits_total") >= 4.0);
    assert_eq!(value("weald_rows"), 100.0);
    assert_eq!(value("weald_connections"), 1.0);
    assert!(value("weald_table_memory_bytes") > 10_000.0);
    assert!(value("weald_resident_memory_bytes") > 1e7);
    assert!(value("weald_log_written_bytes_total") > 10_000.0);
    assert_eq!(value("weald_log_failed"), 0.0);
    let status = rows(&mut c, "SHOW GLOBAL STATUS LIKE 'Com_select'");
    assert!(status[0][1].parse::<u64>().unwrap() >= 5, "{status:?}");
}

#[test]
fn the_plan_cache_says_what_its_plans_did() {
    let server = Server::start();
    let mut c = server.connect().unwrap();
    fill(&mut c, 100);
    let plan = |c: &mut Client, like: &str| {
        let a = c.query(&format!("SHOW PLANCACHE LIKE '{like}'")).unwrap();
        let names: Vec<String> = a.columns.iter().map(|c| c.name.clone()).collect();
        let all = a.texts();
        assert_eq!(all.len(), 1, "{like}: {all:?}");
        names.into_iter().zip(all[0].clone()).collect::<std::collections::BTreeMap<String, String>>()
    };
    for n in 0..5 {
        c.query(&format!("SELECT n, pad FROM t WHERE id IN ({n}, 50, 1000)")).unwrap();
    }
    let read = plan(&mut c, "%IN (%");
    let told = |p: &std::collections::BTreeMap<String, String>, names: &[&str]| names.iter().map(|n| p[*n].clone()).collect::<Vec<_>>();
    assert_eq!(told(&read, &["Database", "Executor", "Executions", "Commits", "RowCount", "RowLockTime"]), ["d", "fragment", "5", "5", "10", "0"]);
    assert!(read["PlanHash"].len() == 16 && read["LastExecuted"].starts_with("20") && read["PlanId"].parse::<u64>().is_ok(), "{read:?}");
    // A statement that fails is executed and not committed; one that waits for a row says so.
    let mut holder = server.connect().unwrap();
    holder.query("BEGIN").unwrap();
    holder.query("UPDATE d.t SET n = 5000 WHERE id = 1").unwrap();
    c.query("SET lock_wait_timeout = 1").unwrap();
    assert_eq!(code(c.query("UPDATE t SET n = n + 1 WHERE id = 1").unwrap_err()), 1205);
    c.query("UPDATE t SET n = n + 1 WHERE id = 2").unwrap();
    let change = plan(&mut c, "update%n = n +%");
    assert_eq!(told(&change, &["Executions", "Commits", "RowCount"]), ["2", "1", "1"]);
    let waited: u64 = change["RowLockTime"].parse().unwrap();
    let ran: u64 = change["ExecutionTime"].parse().unwrap();
    assert!((900..60_000).contains(&waited) && ran >= waited, "{change:?}");
    assert!(change["LogFlushTime"].parse::<u64>().unwrap() >= 1, "{change:?}");
    // Large answers are kept by the statement, and take the client's time.
    c.query("SELECT pad FROM t WHERE id < 90").unwrap();
    let large = plan(&mut c, "%pad FROM%id <%");
    assert!(large["AverageMemoryUse"].parse::<u64>().unwrap() < 1 << 20 && large["RowCount"] == "90", "{large:?}");
}

#[test]
fn slow_statements_are_logged_as_mysql_does() {
    let server = Server::start();
    let mut c = server.connect().unwrap();
    fill(&mut c, 1000);
    let slow = || std::fs::read_to_string(server.dir().join("slow.log")).unwrap();
    c.query("SET long_query_time = 0.05").unwrap();
    c.query("SELECT COUNT(*), SLEEP(0.1) FROM t WHERE n >= 0").unwrap();
    eventually("an entry", Duration::from_secs(10), || slow().contains("SLEEP(0.1)"));
    let text = slow();
    for part in
        ["# Time: 20", "# User@Host: root[root] @ localhost", "# Query_time: 0.", "Rows_sent: 1  Rows_examined: 1000", "use d;\n", "SET timestamp="]
    {
        assert!(text.contains(part), "no '{part}' in\n{text}");
    }
    assert_eq!(rows(&mut c, "SHOW GLOBAL STATUS LIKE 'Slow_queries'"), [["Slow_queries", "1"]]);
    // An operator moves the file away, and FLUSH LOGS makes a new one.
    std::fs::rename(server.dir().join("slow.log"), server.dir().join("slow.old")).unwrap();
    c.query("FLUSH SLOW LOGS").unwrap();
    c.query("SELECT 'second', SLEEP(0.1)").unwrap();
    eventually("a new file", Duration::from_secs(10), || server.dir().join("slow.log").exists() && slow().contains("'second'"));
    assert!(!slow().contains("COUNT(*)"));
    // No password stands in it, nor in the list of processes.
    c.query("SET long_query_time = 0").unwrap();
    for sql in ["CREATE USER 'logged'@'%' IDENTIFIED BY 'hush1'", "ALTER USER logged IDENTIFIED BY 'hush2'", "SET PASSWORD FOR logged = 'hush3'"] {
        c.query(sql).unwrap();
    }
    c.query("SET long_query_time = 0.05").unwrap();
    eventually("three entries", Duration::from_secs(10), || slow().matches("<secret>").count() == 3);
    assert!(slow().contains("CREATE USER 'logged'@'%' IDENTIFIED BY '<secret>'") && !slow().contains("hush"), "{}", slow());
    let counted = rows(&mut c, "SHOW GLOBAL STATUS LIKE 'Slow_queries'")[0][1].parse::<u64>().unwrap();
    // Counted, but not logged.
    c.query("SET GLOBAL slow_query_log = OFF").unwrap();
    c.query("SELECT 'third', SLEEP(0.1)").unwrap();
    assert_eq!(rows(&mut c, "SHOW GLOBAL STATUS LIKE 'Slow_queries'"), [["Slow_queries".to_string(), (counted + 1).to_string()]]);
    assert!(!slow().contains("'third'"));
}

#[test]
fn recovery_can_be_watched() {
    let mut server = Server::start();
    fill(&mut server.connect().unwrap(), 60_000);
    server.kill();
    let (port, http) = (free_port(), free_port());
    let mut child = weald(&["dev", "--data-dir"])
        .arg(server.dir())
        .args(["--mysql-port", &port.to_string(), "--http-port", &http.to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut recovering = None;
    let mut refused = None;
    let mut watched = Vec::new();
    eventually("recovery", Duration::from_secs(120), || match get(http, "/healthz") {
        Some((200, _)) => true,
        Some((status, text)) => {
            assert_eq!(status, 503);
            if text.starts_with("recovering") {
                recovering = Some(text);
                if let Ok(mut c) = Client::root(port) {
                    watched.extend(rows(&mut c, "SELECT STATE FROM information_schema.MV_RECOVERY_STATUS"));
                    match c.query("SELECT COUNT(*) FROM d.t") {
                        Err(Error::Server(e)) => refused = Some(e),
                        other => drop(other),
                    }
                    if let Err(e) = c.query("CREATE DATABASE other") {
                        assert_eq!(e.code(), 1777, "{e}");
                    }
                }
            }
            false
        }
        None => false,
    });
    let recovering = recovering.expect("/healthz never said that it was recovering");
    assert!(recovering.contains('%'), "{recovering}");
    let refused = refused.expect("no statement was refused meanwhile");
    assert!(refused.code == 1777 && refused.message.contains("recovering"), "{refused:?}");
    assert!(watched.iter().any(|r| r[0] == "RECOVERING"), "{watched:?}");
    let mut c = Client::root(port).unwrap();
    assert_eq!(rows(&mut c, "SELECT COUNT(*) FROM d.t"), [["60000"]]);
    let states = rows(&mut c, "SELECT DISTINCT STATE, PERCENT FROM information_schema.MV_RECOVERY_STATUS");
    assert_eq!(states, [["ONLINE", "100"]]);
    let log = std::fs::read_to_string(server.dir().join("weald.log")).unwrap();
    assert!(log.contains("replaying snapshot") && log.contains("replaying log 0%") && log.contains("replaying log 100%"), "{log}");
    let _ = child.kill();
    let _ = child.wait();
}

// ------------------------------------------------------------------ limits

#[test]
fn table_memory_full_is_an_error_and_delete_is_the_way_out() {
    let mut server = Server::start_with(&["--maximum-memory", "512", "--maximum-table-memory", "24"]);
    let mut c = server.connect().unwrap();
    c.query("CREATE DATABASE d").unwrap();
    c.query("CREATE TABLE d.t (id BIGINT AUTO_INCREMENT PRIMARY KEY, pad VARCHAR(1000) NOT NULL)").unwrap();
    let port = server.port;
    let clients: Vec<_> = (0..4)
        .map(|_| {
            std::thread::spawn(move || {
                let mut c = Client::connect("127.0.0.1", port, "root", "", Some("d")).unwrap();
                let values = vec!["(REPEAT('x', 900))"; 100].join(",");
                for inserted in 0.. {
                    assert!(inserted < 1000, "there is no limit");
                    match c.query(&format!("INSERT INTO t (pad) VALUES {values}")) {
                        Ok(_) => (),
                        Err(e) => return code(e),
                    }
                }
                0
            })
        })
        .collect();
    for client in clients {
        assert_eq!(client.join().unwrap(), 1720);
    }
    c.query("USE d").unwrap();
    let full: u64 = rows(&mut c, "SELECT COUNT(*) FROM t")[0][0].parse().unwrap();
    assert!(full > 10_000, "{full} rows fit in 24 MB");
    assert_eq!(rows(&mut c, "SELECT LENGTH(pad) FROM t ORDER BY id DESC LIMIT 1"), [["900"]]);
    // A statement that failed has given back what it had: the last bytes are filled by single rows.
    let last = (0..2000).find_map(|_| c.query("INSERT INTO t (pad) VALUES (REPEAT('x', 900))").err());
    assert_eq!(code(last.expect("the limit is still there")), 1720);
    let full: u64 = rows(&mut c, "SELECT COUNT(*) FROM t")[0][0].parse().unwrap();
    assert_eq!(code(c.query("UPDATE t SET pad = 'y' WHERE id = 1").unwrap_err()), 1720);
    assert_eq!(c.query("DELETE FROM t WHERE id <= 5000").unwrap().affected, rows_gone(full, &mut c));
    // What was deleted is free once nobody can see it any more.
    eventually("room again", Duration::from_secs(20), || c.query("INSERT INTO t (pad) VALUES ('x')").is_ok());
    // Or the limit is raised.
    c.query("SET GLOBAL maximum_table_memory = 100").unwrap();
    c.query(&format!("INSERT INTO t (pad) VALUES {}", vec!["(REPEAT('x', 900))"; 1000].join(","))).unwrap();
    assert!(server.is_running());
    server.restart();
    let mut c = server.connect().unwrap();
    assert!(rows(&mut c, "SELECT COUNT(*) FROM d.t")[0][0].parse::<u64>().unwrap() > 1000);
}

fn rows_gone(before: u64, c: &mut Client) -> u64 {
    before - rows(c, "SELECT COUNT(*) FROM t")[0][0].parse::<u64>().unwrap()
}

#[test]
fn a_query_beyond_its_budget_fails_alone() {
    let mut server = Server::start();
    let mut c = server.connect().unwrap();
    fill(&mut c, 30_000);
    c.query("SET maximum_query_memory = 1").unwrap();
    for (executor, sql) in [
        ("fragment", "SELECT * FROM t"),
        ("rows", "SELECT CONCAT(id, pad) AS k, COUNT(*) FROM t GROUP BY k"),
        ("analytic", "SELECT a.id FROM t a JOIN t b ON a.id = b.id + 1 ORDER BY a.pad, b.pad, a.id DESC"),
    ] {
        c.query(&format!("SET executor = '{executor}'")).unwrap();
        match c.query(sql) {
            Err(e) => assert_eq!(code(e), 1712, "{sql}"),
            // DataFusion may have spilled, which is as good.
            Ok(a) => assert!(sql.contains("JOIN") && a.rows.len() == 29_999, "{sql} needed no megabyte"),
        }
        c.query("SET executor = auto").unwrap();
        assert_eq!(rows(&mut c, "SELECT COUNT(*) FROM t"), [["30000"]]);
    }
    assert_eq!(server.connect().unwrap().query("SELECT * FROM d.t").unwrap().rows.len(), 30_000);
    assert!(server.is_running());
}

#[test]
fn a_process_at_its_memory_limit_ends_statements_not_itself() {
    let mut server = Server::start_with(&["--maximum-memory", "160", "--maximum-table-memory", "64"]);
    let mut c = server.connect().unwrap();
    fill(&mut c, 20_000);
    let port = server.port;
    // Each of them alone has more to hold than the process may.
    let hungry: Vec<_> = (0..3)
        .map(|n| {
            std::thread::spawn(move || {
                let mut c = Client::connect("127.0.0.1", port, "root", "", Some("d")).unwrap();
                let sql = format!("SELECT COUNT(DISTINCT CONCAT(a.pad, a.id, '-', b.id, '-', {n})) FROM t a, t b");
                code(c.query(&sql).unwrap_err())
            })
        })
        .collect();
    for h in hungry {
        assert_eq!(h.join().unwrap(), 1712);
    }
    assert!(server.is_running());
    eventually("statements again", Duration::from_secs(20), || {
        c.query("INSERT INTO t VALUES (-1, 1, 'x') ON DUPLICATE KEY UPDATE n = n + 1").is_ok()
    });
    assert_eq!(rows(&mut c, "SELECT COUNT(*) FROM t WHERE id >= 0"), [["20000"]]);
}

#[test]
fn a_full_disk_fails_transactions_and_is_forgotten_when_there_is_room() {
    let temporary = temporary();
    let mount = temporary.path().join("small");
    std::fs::create_dir(&mount).unwrap();
    let small = |size: &str, remount: bool| {
        let options = format!("{}size={size}", if remount { "remount," } else { "" });
        let status = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&mount).stderr(Stdio::null()).status();
        status.is_ok_and(|s| s.success())
    };
    if !small("32k", false) {
        println!("skipped: tmpfs may not be mounted here");
        return;
    }
    struct Unmount<'a>(&'a Path);
    impl Drop for Unmount<'_> {
        fn drop(&mut self) {
            let _ = Command::new("umount").arg("-l").arg(self.0).status();
        }
    }
    let _unmount = Unmount(&mount);
    let dir = mount.join("data");
    // Too small for a start.
    let said = refused_in(&dir);
    assert!((said.contains("no room") || said.contains("No space left")) && said.contains("free some space"), "{said}");
    // Where a whole segment of the log has no room, a small one has.
    assert!(small("24m", true));
    let mut server = Server::start_at(&dir, &[]);
    server.connect().unwrap().query("CREATE DATABASE early").unwrap();
    assert!(server.terminate(Duration::from_secs(20)));
    assert!(small("180m", true));
    let mut server = Server::start_at(&dir, &[]);
    let mut c = server.connect().unwrap();
    c.query("CREATE DATABASE d").unwrap();
    c.query("CREATE TABLE d.t (id BIGINT AUTO_INCREMENT PRIMARY KEY, pad MEDIUMTEXT NOT NULL)").unwrap();
    c.query("USE d").unwrap();
    let mut kept = 0;
    let failed = loop {
        match c.query("INSERT INTO t (pad) VALUES (REPEAT('x', 1000000))") {
            Ok(_) => kept += 1,
            Err(e) => break code(e),
        }
        assert!(kept < 1000, "the disk does not fill");
    };
    assert_eq!(failed, 1021);
    assert_eq!(rows(&mut c, "SELECT COUNT(*) FROM t"), [[kept.to_string()]]);
    // A query that would spill says so as well, or does without.
    let spills = "SELECT COUNT(*) FROM (SELECT a.id FROM t a JOIN t b JOIN t c ORDER BY CONCAT(a.id, b.id, c.id), a.id LIMIT 1000000) x";
    c.query("SET executor = 'analytic', maximum_query_memory = 2").unwrap();
    if let Err(e) = c.query(spills) {
        assert!(matches!(e.code(), 1021 | 1712 | 1235), "{e}");
    }
    c.query("SET executor = DEFAULT, maximum_query_memory = DEFAULT").unwrap();
    assert!(server.is_running());
    assert!(small("400m", true));
    c.query("INSERT INTO t (pad) VALUES ('there is room')").unwrap();
    assert_eq!(rows(&mut c, "SELECT COUNT(*) FROM t"), [[(kept + 1).to_string()]]);
    server.restart();
    assert_eq!(rows(&mut server.connect().unwrap(), "SELECT COUNT(*), MAX(id) > 0 FROM d.t"), [[(kept + 1).to_string(), "1".into()]]);
    drop(server);
}

#[test]
fn old_log_goes_when_snapshots_have_passed_it() {
    let server = Server::start();
    let mut c = server.connect().unwrap();
    c.query("CREATE DATABASE d PARTITIONS 1").unwrap();
    fill(&mut c, 2000);
    c.query("SET GLOBAL snapshots_to_keep = 1").unwrap();
    c.query("SET GLOBAL snapshot_trigger_size = 1048576").unwrap();
    assert_eq!(rows(&mut c, "SELECT @@global.snapshot_trigger_size, @@global.snapshots_to_keep"), [["1048576", "1"]]);
    // About three megabytes.
    for n in 0..6 {
        c.query(&format!("UPDATE t SET pad = REPEAT('{n}', 200), n = n + 1")).unwrap();
    }
    eventually("snapshots", Duration::from_secs(30), || {
        let text = get(server.http_port, "/metrics").unwrap().1;
        text.lines().any(|l| l.strip_prefix("weald_snapshots_total ").is_some_and(|n| n.parse::<u32>().is_ok_and(|n| n >= 1)))
    });
    for partition in files(&server.dir().join("snapshots")) {
        let snapshots = files(&partition).iter().filter(|f| f.extension().is_some_and(|e| e == "wsnap")).count();
        assert!(snapshots <= 1, "{snapshots} in {}", partition.display());
    }
}

// ------------------------------------------------------------------ time

#[test]
fn kill_reaches_a_statement_that_waits() {
    let server = Server::start();
    let mut holder = server.connect().unwrap();
    fill(&mut holder, 100);
    holder.query("BEGIN").unwrap();
    holder.query("UPDATE t SET n = 100 WHERE id = 1").unwrap();
    for sql in [
        "UPDATE t SET n = 2 WHERE id = 1",
        "SELECT n FROM t WHERE id = 1 FOR UPDATE",
        "INSERT INTO t VALUES (1, 1, '') ON DUPLICATE KEY UPDATE n = 3",
    ] {
        let mut waiter = server.connect().unwrap();
        waiter.query("USE d").unwrap();
        waiter.send_query(sql.as_bytes()).unwrap();
        assert!(!waiter.answered_within(Duration::from_millis(300)).unwrap(), "{sql} does not wait");
        let id = waiter.connection_id;
        let begun = SystemTime::now();
        server.connect().unwrap().query(&format!("KILL QUERY {id}")).unwrap();
        assert_eq!(code(waiter.receive().unwrap_err()), 1317, "{sql}");
        assert!(begun.elapsed().unwrap() < Duration::from_secs(5), "{sql}");
        // The connection goes on, and the statement left nothing behind.
        assert_eq!(rows(&mut waiter, "SELECT n FROM t WHERE id = 1"), [["1"]]);
    }
    let mut sleeper = server.connect().unwrap();
    sleeper.send_query(b"SELECT SLEEP(1000)").unwrap();
    assert!(!sleeper.answered_within(Duration::from_millis(200)).unwrap());
    let id = sleeper.connection_id;
    holder.query(&format!("KILL QUERY {id}")).unwrap();
    assert!(sleeper.answered_within(Duration::from_secs(5)).unwrap(), "SLEEP sleeps on");
}

#[test]
fn statements_end_when_their_time_is_up() {
    let server = Server::start();
    let mut c = server.connect().unwrap();
    fill(&mut c, 20_000);
    c.query("SET max_execution_time = 200").unwrap();
    for sql in [
        "SELECT COUNT(*) FROM t WHERE SLEEP(0.01) = 0",
        "SELECT COUNT(*) FROM t a, t b, t c WHERE a.n + b.n + c.n < 0 AND a.id < 100",
        "SELECT COUNT(*) FROM t a JOIN t b ON a.n <> b.n JOIN t c ON c.n <> b.n",
        "SELECT SUM(a.n * b.n) FROM t a, t b, t c GROUP BY a.n, b.n",
    ] {
        let begun = SystemTime::now();
        assert_eq!(code(c.query(sql).expect_err(sql)), 3024, "{sql}");
        assert!(begun.elapsed().unwrap() < Duration::from_secs(10), "{sql} went on");
        c.query("SET @well = 1").unwrap();
    }
    // Only what reads has a limit.
    c.query("UPDATE t SET n = n + SLEEP(0.3) WHERE id = 5").unwrap();

    let mut other = server.connect().unwrap();
    other.query("USE d").unwrap();
    other.query("BEGIN").unwrap();
    other.query("UPDATE t SET n = 70 WHERE id = 7").unwrap();
    c.query("SET lock_wait_timeout = 1").unwrap();
    assert_eq!(code(c.query("UPDATE t SET n = 8 WHERE id = 7").unwrap_err()), 1205);
    let waits = rows(&mut c, "SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_waits'");
    assert_eq!(waits, [["Innodb_row_lock_waits", "1"]]);
}

#[test]
fn idle_clients_are_told_and_let_go() {
    let server = Server::start();
    let mut c = server.connect().unwrap();
    c.query("SET wait_timeout = 1").unwrap();
    assert!(c.answered_within(Duration::from_secs(20)).unwrap());
    match c.receive() {
        Err(Error::Server(e)) => assert!(e.code == 4031 && e.message.contains("inactivity"), "{e:?}"),
        other => panic!("{other:?}"),
    }
    assert!(matches!(c.query("SELECT 1"), Err(Error::Io(_))));
    eventually("its end", Duration::from_secs(10), || rows(&mut server.connect().unwrap(), "SHOW PROCESSLIST").len() == 1);
}

#[test]
fn a_crowd_that_never_logs_in_is_kept_out() {
    let server = Server::start_with(&[]);
    let mut c = server.connect().unwrap();
    c.query("SET GLOBAL max_connections = 4").unwrap();
    let crowd: Vec<TcpStream> = (0..200).filter_map(|_| TcpStream::connect(("127.0.0.1", server.port)).ok()).collect();
    let mut refused = 0;
    for mut s in &crowd {
        s.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut head = [0; 7];
        if s.read_exact(&mut head).is_ok() && head[4] == 0xFF {
            assert_eq!(u16::from_le_bytes([head[5], head[6]]), 1040);
            refused += 1;
        }
    }
    assert!(refused >= 100, "{refused} of 200 were refused");
    assert_eq!(rows(&mut c, "SELECT 1"), [["1"]]);
    drop(crowd);
    eventually("room", Duration::from_secs(10), || server.connect().is_ok());
}

// ------------------------------------------------------------------ weald sql

#[test]
fn the_shell_runs_scripts() {
    let server = Server::start();
    let shell = |arguments: &[&str], input: &str| {
        let mut child = weald(&["sql", "--port", &server.port.to_string()]).args(arguments).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let out = child.wait_with_output().unwrap();
        (out.status.code(), String::from_utf8(out.stdout).unwrap(), String::from_utf8(out.stderr).unwrap())
    };
    let script = "CREATE DATABASE d; USE d;\nCREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(20)); -- a comment;\n\
                  INSERT INTO t VALUES (1, 'one;'), (2, NULL),\n(3, 'tab\\there');\nSELECT * FROM t ORDER BY id;\nSELECT COUNT(*) AS n FROM t\\G\n";
    let (status, out, err) = shell(&[], script);
    assert_eq!((status, err.as_str()), (Some(0), ""));
    let stars = "*".repeat(27);
    assert_eq!(out, format!("id\tv\n1\tone;\n2\tNULL\n3\ttab\\there\n{stars} 1. row {stars}\nn: 3\n"));

    let (status, out, _) = shell(&["-D", "d", "--table", "-e", "SELECT id, v FROM t WHERE id < 3 ORDER BY id"], "");
    let table = "+----+------+\n| id | v    |\n+===========+\n|  1 | one; |\n|  2 | NULL |\n+----+------+\n";
    assert_eq!((status, out.as_str()), (Some(0), table));

    let (status, out, err) = shell(&[], "SELECT 1;\nSELECT * FROM d.nothing;\nSELECT 2;\n");
    assert_eq!((status, out.as_str()), (Some(1), "1\n1\n"));
    assert_eq!(err, "ERROR 1146 (42S02) at line 2: Table 'd.nothing' doesn't exist\n");
    let (status, out, _) = shell(&["--force"], "SELECT 1;\nSELECT * FROM d.nothing;\nSELECT 2;\n");
    assert_eq!((status, out.as_str()), (Some(1), "1\n1\n2\n2\n"));

    // Passwords, by both plugins.
    let mut c = server.connect().unwrap();
    for (user, plugin) in [("a", "caching_sha2_password"), ("b", "mysql_native_password")] {
        c.query(&format!("CREATE USER {user} IDENTIFIED WITH {plugin} BY 'secret'")).unwrap();
        let (status, out, err) = shell(&["-u", user, "-psecret", "-e", "SELECT CURRENT_USER()"], "");
        assert_eq!((status, out.as_str(), err.as_str()), (Some(0), format!("CURRENT_USER()\n{user}@%\n").as_str(), ""));
        let (status, _, err) = shell(&["-u", user, "-pwrong", "-e", "SELECT 1"], "");
        assert!(status == Some(1) && err.starts_with("ERROR 1045 (28000)"), "{err}");
    }
    let nobody = free_port().to_string();
    let out = weald(&["sql", "--port", &nobody, "-e", "SELECT 1"]).output().unwrap();
    let err = String::from_utf8(out.stderr).unwrap();
    assert!(out.status.code() == Some(1) && err.starts_with("ERROR 2003 (HY000)") && err.contains("weald dev"), "{err}");
}
