//! The cluster as its clients order and see it.

#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

use weald_tests::client::{Client, Error};
use weald_tests::server::Server;

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
    assert_eq!(new, [["NODE_STARTING", "NULL"], ["PARTITION_RECOVERED", "d'1"], ["NODE_ONLINE", "NULL"]]);
}
