//! The cluster as its clients order and see it.

#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, SystemTime};
use weald_tests::client::{Client, Error};
use weald_tests::server::{Server, binary, free_port, pause};

fn rows(c: &mut Client, sql: &str) -> Vec<Vec<String>> {
    let a = c.query(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
    a.rows.iter().map(|r| r.iter().map(|v| v.as_ref().map_or("NULL".into(), |b| String::from_utf8_lossy(b).into_owned())).collect()).collect()
}

fn columns(c: &mut Client, sql: &str) -> String {
    let a = c.query(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
    a.columns.iter().map(|c| c.name.clone()).collect::<Vec<_>>().join(" ")
}

fn refused(c: &mut Client, sql: &str) -> u16 {
    c.query(sql).map(|_| ()).err().map_or(0, |e: Error| e.code())
}

#[test]
fn a_process_of_its_own_is_a_cluster_of_one() {
    let server = Server::start();
    let mut c = server.connect().unwrap();
    let me = format!("'127.0.0.1':{}", server.port);
    let check = |c: &mut Client, sql: &str, number: u16| assert_eq!(refused(c, &sql.replace("ME", &me)), number, "{sql}");
    check(&mut c, "BOOTSTRAP AGGREGATOR", 1753);
    check(&mut c, "BOOTSTRAP AGGREGATOR '127.0.0.1':3306", 1753);
    check(&mut c, "ADD LEAF root@ME", 1799);
    check(&mut c, "ADD LEAF root:'x'@'127.0.0.1':1", 1749);
    check(&mut c, "ADD AGGREGATOR root@'127.0.0.1':1", 1749);
    check(&mut c, "ADD LEAF root@'127.0.0.1':1 INTO GROUP 300", 1779);
    check(&mut c, "REMOVE AGGREGATOR ME", 1753);
    check(&mut c, "REMOVE AGGREGATOR '127.0.0.1':1", 1738);
    check(&mut c, "REMOVE LEAF ME", 1758);
    check(&mut c, "REMOVE LEAF ME FORCE", 1758);
    check(&mut c, "REMOVE LEAF '127.0.0.1':1", 1738);
    check(&mut c, "DETACH LEAF ME", 1758);
    check(&mut c, "ATTACH LEAF ME NO REBALANCE", 1803);
    check(&mut c, "ATTACH LEAF '127.0.0.1':1", 1738);
    check(&mut c, "ATTACH LEAF ALL", 0);
    check(&mut c, "AGGREGATOR SET AS MASTER", 1753);
    check(&mut c, "PROMOTE AGGREGATOR ME TO MASTER", 1753);
    check(&mut c, "PROMOTE AGGREGATOR '127.0.0.1':1 TO MASTER", 1738);
    check(&mut c, "CLEAR ORPHAN DATABASES", 0);
    check(&mut c, "REMOVE LEAF ME FORCE KILL", 1235);
    check(&mut c, "REBALANCE PARTITIONS ON d", 1235);
}

#[test]
fn the_cluster_is_shown_with_its_columns() {
    let server = Server::start();
    let mut c = server.connect().unwrap();
    c.query("CREATE DATABASE d PARTITIONS 2").unwrap();
    let aggregators = "Host Port State Opened_Connections Average_Roundtrip_Latency_ms Master_Aggregator";
    assert_eq!(columns(&mut c, "SHOW AGGREGATORS"), aggregators);
    assert_eq!(columns(&mut c, "SHOW AGGREGATORS EXTENDED"), format!("{aggregators} Role NodeID Runtime_State"));
    let port = server.port.to_string();
    assert_eq!(rows(&mut c, "SHOW AGGREGATORS"), [["127.0.0.1", &port, "online", "1", "NULL", "1"]]);
    assert_eq!(rows(&mut c, "SHOW AGGREGATORS EXTENDED"), [["127.0.0.1", &port, "online", "1", "NULL", "1", "leader", "1", "online"]]);
    let leaves = "Host Port Availability_Group Pair_Host Pair_Port State Opened_Connections Average_Roundtrip_Latency_ms NodeId";
    assert_eq!(columns(&mut c, "SHOW LEAVES"), leaves);
    assert_eq!(rows(&mut c, "SHOW LEAVES EXTENDED"), [["127.0.0.1", &port, "1", "NULL", "NULL", "online", "0", "NULL", "1", "online"]]);
    let status = "NODE_ID HOST PORT DATABASE_NAME ROLE STATE POSITION MASTER_HOST MASTER_PORT METADATA_MASTER_NODE_ID METADATA_MASTER_HOST METADATA_MASTER_PORT \
                  METADATA_ROLE DETAILS";
    assert_eq!(columns(&mut c, "SHOW CLUSTER STATUS"), status);
    let shown = rows(&mut c, "SHOW CLUSTER STATUS");
    let brief: Vec<_> = shown.iter().map(|r| [&*r[3], &*r[4], &*r[5], &*r[12]]).collect();
    assert_eq!(brief, [["cluster", "master", "online", "Reference"], ["d_0", "master", "online", "Master"], ["d_1", "master", "online", "Master"]]);
    assert!(shown.iter().all(|r| r[6].starts_with("0:") && r[7] == "NULL"), "{shown:?}");
    assert_eq!(columns(&mut c, "SHOW PARTITIONS ON d"), "Ordinal Host Port Role Locked");
    assert_eq!(rows(&mut c, "SHOW PARTITIONS ON d"), [["0", "127.0.0.1", &port, "Master", "0"], ["1", "127.0.0.1", &port, "Master", "0"]]);
    assert_eq!(
        columns(&mut c, "SHOW PARTITIONS EXTENDED ON d"),
        "Ordinal Host Port Role Locked Replication_Status Last_Command Last_Error Last_Message NodeId Term Position"
    );
    assert_eq!(rows(&mut c, "SHOW PARTITIONS EXTENDED ON d").len(), 2);
    assert_eq!(
        columns(&mut c, "SHOW DATABASES EXTENDED LIKE 'd%'"),
        "Database Commits Role State Position Details AsyncSlaves SyncSlaves ConsensusSlaves CommittedPosition HardenedPosition ReplayPosition Term LastPageTerm \
         Memory (MBs) Pending IOs"
    );
    let names: Vec<_> = rows(&mut c, "SHOW DATABASES EXTENDED").into_iter().map(|r| r[0].clone()).collect();
    assert_eq!(names, ["cluster", "d", "d_0", "d_1"]);
    let nodes = rows(
        &mut c,
        "SELECT ID, TYPE, STATE, NUM_CPUS > 0, MAX_MEMORY_MB > 0, TOTAL_DATA_DISK_MB >= AVAILABLE_DATA_DISK_MB, VERSION = VERSION() FROM information_schema.MV_NODES",
    );
    assert_eq!(nodes, [["1", "MA", "online", "1", "1", "1", "1"], ["1", "Leaf", "online", "1", "1", "1", "1"]]);
    let processes = rows(&mut c, "SELECT NODE_ID, COMMAND, ID = CONNECTION_ID() FROM information_schema.MV_PROCESSLIST");
    assert_eq!(processes, [["1", "Query", "1"]]);
}

#[test]
fn events_are_kept_over_restarts() {
    let mut server = Server::start();
    let mut c = server.connect().unwrap();
    c.query("CREATE DATABASE `d'1` PARTITIONS 2").unwrap();
    c.query("CREATE DATABASE e").unwrap();
    c.query("DROP DATABASE e").unwrap();
    let all =
        "SELECT EVENT_TYPE, SEVERITY, JSON_UNQUOTE(JSON_EXTRACT(DETAILS, '$.database')) FROM information_schema.MV_EVENTS WHERE ORIGIN_NODE_ID = 1";
    let before = rows(&mut c, all);
    let kinds: Vec<_> = before.iter().map(|r| [&*r[0], &*r[2]]).collect();
    assert_eq!(
        kinds,
        [["NODE_STARTING", "NULL"], ["NODE_ONLINE", "NULL"], ["DATABASE_CREATE", "d'1"], ["DATABASE_CREATE", "e"], ["DATABASE_DROP", "e"]]
    );
    assert!(server.terminate(std::time::Duration::from_secs(20)));
    server.restart();
    let after = rows(&mut server.connect().unwrap(), all);
    assert_eq!(after[..before.len()], before);
    let new: Vec<_> = after[before.len()..].iter().map(|r| [&*r[0], &*r[2]]).collect();
    // It has come back at another port.
    assert_eq!(new, [["NODE_STARTING", "NULL"], ["ALTER_NODE_SET_HOST", "NULL"], ["PARTITION_RECOVERED", "d'1"], ["NODE_ONLINE", "NULL"]]);
}

// ---------------------------------------------------------------------- weald admin

fn weald(arguments: &[&str]) -> Output {
    let mut c = Command::new(binary());
    c.args(arguments).stdin(Stdio::null());
    for (variable, _) in std::env::vars().filter(|(v, _)| v.starts_with("WEALD_")) {
        c.env_remove(variable);
    }
    c.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end().to_string()
}

#[test]
fn an_operator_sees_and_orders_without_a_client() {
    let server = Server::start();
    server.connect().unwrap().query("CREATE DATABASE d PARTITIONS 2").unwrap();
    let (port, dead) = (server.port.to_string(), free_port());
    let admin = |arguments: &[&str]| {
        let done = weald(&[&["admin", "-P", &port], arguments].concat());
        (done.status.code(), text(&done.stdout), text(&done.stderr))
    };
    // Whatever of them answers.
    let hosts = format!("127.0.0.1:{dead},127.0.0.1:{port}");
    let (code, out, _) = admin(&["-H", &hosts, "list-nodes", "--json", "--role", "leaf"]);
    assert_eq!(code, Some(0));
    let nodes: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(nodes[0]["Host"], "127.0.0.1");
    assert_eq!(nodes[0]["Port"], server.port);
    assert_eq!((&nodes[0]["Role"], &nodes[0]["Recovery State"], &nodes[0]["Connectable?"]), (&"Leaf".into(), &"Online".into(), &"true".into()));
    let (_, table, _) = admin(&["list-nodes"]);
    let header = "| Weald ID | Role   | Host      | Port";
    assert!(table.lines().nth(1).is_some_and(|l| l.starts_with(header)), "{table}");
    assert_eq!(admin(&["list-nodes", "-q"]), (Some(0), "1".into(), String::new()));
    let (_, status, _) = admin(&["show-cluster-status", "--json"]);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&status).unwrap().as_array().unwrap().len(), 3);
    assert_eq!(admin(&["snapshot-database"]), (Some(0), "d: done.".into(), String::new()));
    let refused = "ERROR 1758 (HY000): '127.0.0.1':PORT is the last leaf".replace("PORT", &port);
    let me = format!("127.0.0.1:{port}");
    assert_eq!(admin(&["remove-leaf", &me, "--yes"]), (Some(1), String::new(), format!("weald admin: {refused}")));
    assert_eq!(admin(&["remove-leaf", &me, "--yes", "--json"]).2, serde_json::json!({ "error": refused }).to_string());
    // Nobody is there who could agree.
    let (code, _, said) = admin(&["remove-leaf", &me]);
    assert!(code == Some(1) && said.contains("--yes"), "{said}");
    assert_eq!(admin(&["update-config", "max_connections=432"]).1, "Done.");
    assert_eq!(rows(&mut server.connect().unwrap(), "SELECT @@max_connections"), [["432"]]);
    assert_eq!(admin(&["no-such-verb"]).0, Some(2));
    assert_eq!(admin(&["-H", &format!("127.0.0.1:{dead}"), "show-leaves"]).0, Some(1));
}

#[test]
fn a_node_of_this_machine_is_made_started_and_ended() {
    let temporary = tempfile::Builder::new().prefix("weald-admin-").tempdir().unwrap();
    let dir = temporary.path().join("node").display().to_string();
    let (port, http) = (free_port().to_string(), free_port().to_string());
    let run = |arguments: &[&str]| {
        let done = weald(&[&["admin", "-P", &port], arguments].concat());
        assert!(done.status.success(), "{arguments:?}: {}", text(&done.stderr));
    };
    run(&["create-node", "--data-dir", &dir, "--mysql-port", &port, "--http-port", &http, "--no-start"]);
    let config = format!("{dir}/weald.toml");
    run(&["start-node", "--config", &config]);
    Client::root(port.parse().unwrap()).unwrap();
    run(&["restart-node", "--config", &config, "--yes"]);
    Client::root(port.parse().unwrap()).unwrap();
    run(&["stop-node", "127.0.0.1", "--yes"]);
    assert!(Client::root(port.parse().unwrap()).is_err());
}

// ---------------------------------------------------------------------- weald dev with several processes

struct Dev {
    process: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Dev {
    fn start(dir: &Path, arguments: &[&str]) -> Self {
        let mut c = Command::new(binary());
        c.args(["dev", "--data-dir"]).arg(dir).args(["--mysql-port", "0", "--http-port", "0"]).args(arguments).stdout(Stdio::piped());
        let mut process = c.spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, lines }
    }

    /// The MySQL ports, in the order of the nodes.
    fn ready(&mut self) -> Vec<u16> {
        let mut ports = Vec::new();
        loop {
            let line = self.line();
            if line.starts_with("ready") {
                return ports;
            }
            let port: Option<u16> = line.split_once(" -P ").and_then(|(_, rest)| rest.split(' ').next()).and_then(|p| p.parse().ok());
            ports.extend(port);
        }
    }

    fn line(&mut self) -> String {
        self.lines.next().expect("it has ended").unwrap()
    }

    /// As Ctrl-C does; whether it has ended well.
    fn interrupt(&mut self) -> bool {
        // SAFETY: a signal to a child that we have not yet waited for, so the id is still its own.
        unsafe { libc::kill(self.process.id() as i32, libc::SIGINT) };
        let deadline = SystemTime::now() + Duration::from_secs(30);
        while SystemTime::now() < deadline {
            if let Ok(Some(status)) = self.process.try_wait() {
                return status.success();
            }
            pause(Duration::from_millis(10));
        }
        false
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        // Its children end when it is gone.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn dev(verb: &[&str], dir: &Path) -> (bool, String) {
    let done = weald(&[&["dev"], verb, &["--data-dir", &dir.display().to_string()]].concat());
    (done.status.success(), if done.status.success() { text(&done.stdout) } else { text(&done.stderr) })
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = SystemTime::now() + Duration::from_secs(30);
    while !holds() {
        assert!(SystemTime::now() < deadline, "{what}: not in time");
        pause(Duration::from_millis(10));
    }
}

#[test]
fn nodes_can_be_ended_and_started_and_end_with_who_started_them() {
    let temporary = tempfile::Builder::new().prefix("weald-dev-").tempdir().unwrap();
    let dir = temporary.path().join("data");
    assert!(dev(&["status"], &dir).1.contains("no `weald dev`"));
    let mut running = Dev::start(&dir, &["--aggregators", "1", "--leaves", "0"]);
    let port = running.ready()[0];
    Client::root(port).unwrap().query("SELECT 1").unwrap();
    let status = || serde_json::from_str::<serde_json::Value>(&dev(&["status", "--json"], &dir).1).unwrap();
    let before = status();
    assert_eq!((&before[0]["node"], &before[0]["process"], &before[0]["mysql"]), (&"master".into(), &"running".into(), &port.into()));
    assert!(dev(&["kill", "leaf-7"], &dir).1.contains("no node leaf-7"));
    assert!(dev(&["start", "master"], &dir).1.contains("is running"));
    assert_eq!(dev(&["kill", "master"], &dir), (true, "master was killed".into()));
    assert_eq!(status()[0]["process"], "ended (signal 9)");
    assert!(Client::root(port).is_err());
    assert_eq!(dev(&["start", "master"], &dir), (true, "master has started".into()));
    eventually("the master answers", || Client::root(port).is_ok());
    // One that ends by itself is reported, and left alone.
    Client::root(port).unwrap().query("SHUTDOWN").unwrap();
    while !running.line().starts_with("master has ended (exit code 0)") {}
    assert!(status()[0]["pid"].is_null());
    assert!(dev(&["start", "master"], &dir).0);
    assert!(running.interrupt());
    assert!(Client::root(port).is_err());
    // What the directory has been made with it keeps.
    let mut again = Dev::start(&dir, &[]);
    let port = again.ready()[0];
    // Nobody is told to end; and yet.
    again.process.kill().unwrap();
    again.process.wait().unwrap();
    eventually("the children have ended", || Client::root(port).is_err());
    assert!(Dev::start(&dir, &[]).ready().len() == 1);
}

#[test]
fn four_processes_are_one_server_and_each_can_be_lost_for_a_while() {
    let temporary = tempfile::Builder::new().prefix("weald-dev-").tempdir().unwrap();
    let dir = temporary.path().join("data");
    let mut running = Dev::start(&dir, &["--aggregators", "2", "--leaves", "2"]);
    let [first, second, leaf_1, leaf_2] = running.ready()[..] else { panic!("four nodes were expected") };
    // Either aggregator takes definitions, and both see the same.
    Client::root(second).unwrap().query("CREATE DATABASE d PARTITIONS 4").unwrap();
    let connect = || (Client::root(first).unwrap(), Client::root(second).unwrap());
    let (mut a, mut b) = connect();
    let masters = |c: &mut Client| rows(c, "SELECT PORT, MASTER_AGGREGATOR, ROLE, STATE FROM information_schema.AGGREGATORS ORDER BY NODE_ID");
    assert_eq!(masters(&mut a), [[&*first.to_string(), "1", "leader", "online"], [&*second.to_string(), "0", "follower", "online"]]);
    assert_eq!(masters(&mut a), masters(&mut b));
    let spread = "SELECT PORT, COUNT(*) FROM information_schema.DISTRIBUTED_PARTITIONS WHERE DATABASE_NAME = 'd' GROUP BY PORT ORDER BY MIN(NODE_ID)";
    for c in [&mut a, &mut b] {
        assert_eq!(rows(c, spread), [[leaf_1.to_string(), "2".into()], [leaf_2.to_string(), "2".into()]]);
        let status = "SELECT COUNT(*) FROM information_schema.MV_CLUSTER_STATUS WHERE DATABASE_NAME LIKE 'd\\_%' AND (ROLE, STATE, METADATA_ROLE) = ('master', 'online', 'Master')";
        eventually("all partitions are seen online", || rows(c, status) == [["4"]]);
        assert_eq!(
            rows(c, "SELECT TYPE, VERSION = VERSION() FROM information_schema.MV_NODES ORDER BY ID"),
            [["MA", "1"], ["CA", "1"], ["Leaf", "1"], ["Leaf", "1"]]
        );
    }

    // A connection is seen and ended from the other aggregator.
    let sleeper = rows(&mut b, "SELECT CONNECTION_ID()")[0][0].clone();
    b.send_query(b"SELECT SLEEP(60) /* the sleeper */").unwrap();
    let seen = format!("SELECT NODE_ID FROM information_schema.MV_PROCESSLIST WHERE ID = {sleeper} AND INFO LIKE '%sleeper%'");
    eventually("the sleeper is seen", || rows(&mut a, &seen) == [["2"]]);
    a.query("CREATE USER 'small'@'%'").unwrap();
    let mut small = Client::connect("127.0.0.1", first, "small", "", None).unwrap();
    assert_eq!(refused(&mut small, &format!("KILL {sleeper}")), 1095);
    assert_eq!(refused(&mut a, "KILL 4194303999"), 1094);
    a.query(&format!("KILL QUERY {sleeper}")).unwrap();
    b.receive().unwrap();
    a.query(&format!("KILL {sleeper}")).unwrap();
    eventually("its connection has ended", || b.query("SELECT 1").is_err());

    // A leaf that is gone is shown as what it is, beside what is expected of it; and is back when it is started.
    assert!(dev(&["kill", "leaf-2"], &dir).0);
    let state = |c: &mut Client, port: u16| rows(c, &format!("SELECT STATE FROM information_schema.LEAVES WHERE PORT = {port}"))[0][0].clone();
    eventually("leaf-2 is offline", || state(&mut a, leaf_2) == "offline");
    let gone = format!(
        "SELECT DISTINCT ROLE, STATE, METADATA_ROLE, DETAILS FROM information_schema.MV_CLUSTER_STATUS WHERE PORT = {leaf_2} AND DATABASE_NAME <> 'cluster'"
    );
    assert_eq!(rows(&mut a, &gone), [["NULL", "offline", "Master", "its node cannot be reached"]]);
    let decided = "SELECT COUNT(*) FROM information_schema.MV_EVENTS WHERE EVENT_TYPE = 'NODE_OFFLINE'";
    eventually("the master has noted it down", || rows(&mut a, decided) == [["1"]]);
    let warned = rows(&mut a, "SHOW WARNINGS");
    assert!(warned.len() == 1 && warned[0][1] == "1735", "{warned:?}");
    assert!(dev(&["start", "leaf-2"], &dir).0);
    eventually("leaf-2 is online", || state(&mut a, leaf_2) == "online");

    // The master's end makes the other one master.
    assert!(dev(&["kill", "master"], &dir).0);
    let mut b = Client::root(second).unwrap();
    eventually("the other is master", || masters(&mut b)[1][1] == "1");
    eventually("it takes definitions", || b.query("CREATE DATABASE IF NOT EXISTS e PARTITIONS 2").is_ok());
    assert!(dev(&["start", "master"], &dir).0);
    eventually("it sees what was made meanwhile", || Client::root(first).is_ok_and(|mut c| rows(&mut c, "SHOW DATABASES LIKE 'e'").len() == 1));
    let kinds = "SELECT DISTINCT EVENT_TYPE FROM information_schema.MV_EVENTS WHERE ORIGIN_NODE_ID = 2 AND EVENT_TYPE IN ('MASTER_CHANGED', 'DATABASE_CREATE') ORDER BY 1";
    assert_eq!(rows(&mut b, kinds), [["DATABASE_CREATE"], ["MASTER_CHANGED"]]);

    // What was there is there after a restart, and one more leaf can be asked for.
    assert!(running.interrupt());
    let mut again = Dev::start(&dir, &["--leaves", "3"]);
    let ports = again.ready();
    assert_eq!(ports.len(), 5);
    let mut c = Client::root(ports[1]).unwrap();
    assert_eq!(rows(&mut c, "SELECT COUNT(*) FROM information_schema.LEAVES WHERE STATE = 'online'"), [["3"]]);
    assert_eq!(rows(&mut c, "SHOW DATABASES LIKE 'd'").len(), 1);
    // The operator's tool works through whoever is there.
    assert!(dev(&["kill", "master"], &dir).0);
    let hosts = format!("127.0.0.1:{},127.0.0.1:{}", ports[0], ports[1]);
    let done = weald(&["admin", "-H", &hosts, "list-nodes", "--json"]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    let nodes: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    let connectable: Vec<_> = nodes.as_array().unwrap().iter().map(|n| n["Connectable?"] == "true").collect();
    assert_eq!(connectable, [false, true, true, true, true]);
    assert!(again.interrupt());
}
