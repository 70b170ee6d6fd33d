//! Several processes as one cluster: how it is made, what it survives.
//!
//! Every node here is a process of its own on the loopback. Statements about the cluster go to whichever aggregator the test has at hand.

#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

use std::time::{Duration, SystemTime};
use weald_tests::client::Client;
use weald_tests::nodes::{Node, Nodes, eventually, ports, refused, rows};
use weald_tests::server::pause;

/// The table's rows, from a node that may not be able to answer yet.
fn count(node: &Node) -> Result<u64, String> {
    let mut c = Client::root(node.port).map_err(|e| e.to_string())?;
    let a = c.query("SELECT COUNT(*), SUM(n) FROM d.t").map_err(|e| e.to_string())?;
    let number = |n: usize| a.rows[0][n].as_ref().and_then(|b| String::from_utf8_lossy(b).parse::<u64>().ok()).unwrap_or(0);
    assert_eq!(number(0) * 3, number(1));
    Ok(number(0))
}

fn fill(c: &mut Client, from: u32, to: u32) {
    let values: Vec<String> = (from..to).map(|n| format!("({n}, 3)")).collect();
    c.query(&format!("INSERT INTO d.t VALUES {}", values.join(","))).unwrap();
}

// ------------------------------------------------------------------ stories

#[test]
fn fresh_nodes_become_a_cluster_that_answers_at_every_aggregator() {
    let mut nodes = Nodes::start(4);
    let mut c = nodes.client(0);
    // A node without a role.
    assert_eq!(refused(&mut c, "CREATE DATABASE d"), 1736);
    assert_eq!(refused(&mut c, &format!("ADD LEAF root@{}", nodes.all[2].address())), 1736);
    assert_eq!(rows(&mut c, "SHOW AGGREGATORS").len(), 0);
    c.query("BOOTSTRAP AGGREGATOR '127.0.0.1'").unwrap();
    assert_eq!(refused(&mut c, "BOOTSTRAP AGGREGATOR '127.0.0.1'"), 1753);
    // As soon as its start is over.
    eventually("it says that there are no leaves", Duration::from_secs(10), || refused(&mut c, "CREATE DATABASE d") == 1748);
    for n in [1, 2, 3] {
        nodes.client(n);
    }
    c.query(&format!("ADD LEAF root@{}", nodes.all[2].address())).unwrap();
    c.query(&format!("ADD AGGREGATOR root@{}", nodes.all[1].address())).unwrap();
    // From the second aggregator, which is not the master.
    let mut second = nodes.client(1);
    second.query(&format!("ADD LEAF root@{}", nodes.all[3].address())).unwrap();
    assert_eq!(refused(&mut second, &format!("ADD LEAF root@{}", nodes.all[3].address())), 1737);
    assert_eq!(refused(&mut second, &format!("ADD LEAF root@{}", nodes.all[1].address())), 1798);
    assert_eq!(refused(&mut second, "REMOVE LEAF '127.0.0.1':1"), 1738);
    assert_eq!(refused(&mut second, &format!("REMOVE AGGREGATOR {}", nodes.all[0].address())), 1753);
    assert_eq!(refused(&mut second, "BOOTSTRAP AGGREGATOR"), 1753);
    // Nobody listens there, or somebody who is no node.
    let (nobody, _) = ports();
    assert_eq!(refused(&mut second, &format!("ADD LEAF root@'127.0.0.1':{nobody}")), 1735);

    second.query("CREATE DATABASE d PARTITIONS 4").unwrap();
    second.query("CREATE TABLE d.t (id INT PRIMARY KEY, n INT NOT NULL)").unwrap();
    fill(&mut second, 0, 500);
    // Both aggregators give numbers out, and none of them twice.
    second.query("CREATE TABLE d.numbers (id BIGINT AUTO_INCREMENT PRIMARY KEY, n INT)").unwrap();
    for _ in 0..3 {
        for c in [&mut second, &mut c] {
            c.query("INSERT INTO d.numbers (n) VALUES (1), (2), (3)").unwrap();
        }
    }
    assert_eq!(rows(&mut c, "SELECT COUNT(*), MIN(id) FROM d.numbers"), [["18", "1"]]);
    assert_eq!(count(&nodes.all[1]), Ok(500));
    eventually("the first aggregator knows the table", Duration::from_secs(5), || count(&nodes.all[0]) == Ok(500));
    let leaves = rows(&mut c, "SHOW LEAVES");
    assert_eq!(leaves.len(), 2);
    assert!(leaves.iter().all(|l| l.iter().any(|v| v == "online")), "{leaves:?}");
    let aggregators = rows(&mut second, "SHOW AGGREGATORS");
    let masters: Vec<_> = aggregators.iter().filter(|a| a[5] == "1").map(|a| a[1].clone()).collect();
    assert_eq!((aggregators.len(), masters), (2, vec![nodes.all[0].port.to_string()]), "{aggregators:?}");
    eventually("every partition is known to be online", Duration::from_secs(5), || {
        let status = rows(&mut second, "SELECT STATE FROM information_schema.MV_CLUSTER_STATUS WHERE DATABASE_NAME LIKE 'd\\_%'");
        status.len() == 4 && status.iter().all(|s| s[0] == "online")
    });
    // A user made here can log in there.
    c.query("CREATE USER u IDENTIFIED BY 'pw'").unwrap();
    eventually("the user is known everywhere", Duration::from_secs(5), || Client::connect("127.0.0.1", nodes.all[3].port, "u", "pw", None).is_ok());
    for node in &mut nodes.all {
        node.terminate();
    }
}

#[test]
fn all_nodes_come_back_in_any_order_and_the_rows_with_them() {
    let mut nodes = Nodes::cluster(2, 2);
    let mut c = nodes.client(1);
    c.query("CREATE DATABASE d PARTITIONS 4").unwrap();
    c.query("CREATE TABLE d.t (id INT PRIMARY KEY, n INT NOT NULL)").unwrap();
    fill(&mut c, 0, 300);
    drop(c);
    let mut expected = 300;
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]] {
        nodes.all.iter_mut().for_each(Node::kill);
        for n in order {
            nodes.all[n].start();
            nodes.client(n);
        }
        for n in 0..2 {
            let mut last = Ok(0);
            eventually(&format!("aggregator {n} has the rows again, order {order:?}"), Duration::from_secs(20), || {
                last = count(&nodes.all[n]);
                last == Ok(expected)
            });
        }
        eventually("rows can be added again", Duration::from_secs(10), || {
            let mut c = nodes.client(0);
            c.query(&format!("INSERT INTO d.t VALUES ({expected}, 3)")).is_ok()
        });
        expected += 1;
    }
    // One at a time, while the others stay.
    for n in [2, 1, 3, 0] {
        nodes.all[n].terminate();
        nodes.all[n].start();
        eventually("the rows are there again", Duration::from_secs(20), || count(&nodes.all[1]) == Ok(expected));
    }
    let mut c = nodes.client(1);
    eventually("definitions can be changed again", Duration::from_secs(10), || {
        c.query("CREATE TABLE IF NOT EXISTS d.u (id INT PRIMARY KEY)").is_ok()
    });
}

#[test]
fn who_does_not_know_the_secret_or_was_removed_is_kept_out() {
    let mut nodes = Nodes::cluster(2, 1);
    let stranger = nodes.one_more("another secret altogether");
    nodes.client(stranger);
    let mut c = nodes.client(0);
    assert_eq!(refused(&mut c, &format!("ADD LEAF root@{}", nodes.all[stranger].address())), 1808);
    assert_eq!(rows(&mut c, "SHOW LEAVES").len(), 1);
    assert_eq!(refused(&mut nodes.client(stranger), "CREATE DATABASE x"), 1736);
    // A node of another cluster.
    let mut other = nodes.client(stranger);
    other.query("BOOTSTRAP AGGREGATOR '127.0.0.1'").unwrap();
    assert_ne!(refused(&mut c, &format!("ADD AGGREGATOR root@{}", nodes.all[stranger].address())), 0);

    c.query("CREATE DATABASE d PARTITIONS 2").unwrap();
    assert_eq!(refused(&mut c, &format!("REMOVE LEAF {}", nodes.all[2].address())), 1758, "the last leaf");
    c.query(&format!("REMOVE AGGREGATOR {}", nodes.all[1].address())).unwrap();
    assert_eq!(rows(&mut c, "SHOW AGGREGATORS").len(), 1);
    eventually("the removed node knows that it is of no cluster", Duration::from_secs(5), || {
        refused(&mut nodes.client(1), "CREATE DATABASE y") == 1736
    });
    // It has its certificate still; nobody listens to it.
    let mut removed = nodes.client(1);
    assert_eq!(refused(&mut removed, "CREATE DATABASE y"), 1736);
    // It may come back, once its process has started anew.
    nodes.all[1].terminate();
    nodes.all[1].start();
    nodes.client(1);
    c.query(&format!("ADD AGGREGATOR root@{}", nodes.all[1].address())).unwrap();
    eventually("it follows again", Duration::from_secs(5), || nodes.client(1).query("CREATE DATABASE IF NOT EXISTS y").is_ok());
}

#[test]
fn a_killed_master_is_replaced_within_moments_and_follows_when_it_is_back() {
    let mut nodes = Nodes::cluster(2, 2);
    let mut second = nodes.client(1);
    second.query("CREATE DATABASE d PARTITIONS 4").unwrap();
    second.query("CREATE TABLE d.t (id INT PRIMARY KEY, n INT NOT NULL)").unwrap();
    fill(&mut second, 0, 100);
    // Three have a vote once everybody has the log.
    let voters = |log: &str| log.contains("AddVoterIds");
    eventually("there are three voters", Duration::from_secs(10), || {
        std::fs::read_to_string(nodes.all[0].dir.join("weald.log")).unwrap().lines().filter(|l| voters(l)).count() >= 2
    });
    pause(Duration::from_millis(500));
    nodes.all[0].kill();
    let begun = SystemTime::now();
    // If the statement was on its way when the connection broke, nobody can say what became of it: the client is told so, and looks.
    if refused(&mut second, "CREATE DATABASE after_it") != 0 {
        second.query("CREATE DATABASE IF NOT EXISTS after_it").unwrap();
    }
    let took = begun.elapsed().unwrap();
    assert!(took < Duration::from_secs(5), "{took:?}");
    eprintln!("a new master after {took:?}");
    assert_eq!(count(&nodes.all[1]), Ok(100));
    eventually("it is known to be gone", Duration::from_secs(5), || {
        rows(&mut second, "SHOW AGGREGATORS").iter().any(|a| a.contains(&"offline".to_string()))
    });
    nodes.all[0].start();
    let mut first = nodes.client(0);
    eventually("the old master has what happened meanwhile", Duration::from_secs(10), || {
        rows(&mut first, "SHOW DATABASES").iter().any(|d| d[0] == "after_it")
    });
    // It is a child now, and forwards.
    eventually("it can change definitions", Duration::from_secs(10), || first.query("CREATE DATABASE IF NOT EXISTS and_back").is_ok());
    eventually("it is online again", Duration::from_secs(5), || {
        rows(&mut second, "SHOW AGGREGATORS").iter().all(|a| a.contains(&"online".to_string()))
    });
}

#[test]
fn a_leaf_that_is_gone_is_offline_and_comes_back_by_itself() {
    let mut nodes = Nodes::cluster(1, 2);
    let mut c = nodes.client(0);
    c.query("CREATE DATABASE d PARTITIONS 4").unwrap();
    c.query("CREATE TABLE d.t (id INT PRIMARY KEY, n INT NOT NULL)").unwrap();
    fill(&mut c, 0, 100);
    nodes.all[2].kill();
    let state = |c: &mut Client| {
        let mut states: Vec<String> =
            rows(c, "SELECT STATE FROM information_schema.LEAVES ORDER BY PORT").into_iter().map(|r| r[0].clone()).collect();
        states.sort();
        states.join(" ")
    };
    eventually("the leaf is offline", Duration::from_secs(3), || state(&mut c) == "offline online");
    nodes.all[2].start();
    eventually("the leaf is online", Duration::from_secs(20), || state(&mut c) == "online online");
    assert_eq!(count(&nodes.all[0]), Ok(100));
    // An operator takes it out and puts it back.
    let leaf = nodes.all[2].address();
    assert_eq!(refused(&mut c, &format!("ATTACH LEAF {leaf}")), 1803);
    c.query(&format!("DETACH LEAF {leaf}")).unwrap();
    assert_eq!(state(&mut c), "detached online");
    assert_eq!(refused(&mut c, "SELECT COUNT(*) FROM d.t"), 1777, "half of the rows are nobody's to give");
    assert_eq!(refused(&mut c, &format!("DETACH LEAF {leaf}")), 1804);
    c.query(&format!("ATTACH LEAF {leaf}")).unwrap();
    assert_eq!(state(&mut c), "online online");
    eventually("its rows are there again", Duration::from_secs(5), || count(&nodes.all[0]) == Ok(100));
    assert_eq!(refused(&mut c, &format!("REMOVE LEAF {leaf}")), 1772);
    c.query(&format!("REMOVE LEAF {leaf} FORCE")).unwrap();
    assert_eq!(state(&mut c), "online");
}

#[test]
fn a_node_that_comes_back_at_another_address_is_found_there() {
    let mut nodes = Nodes::cluster(2, 1);
    let mut c = nodes.client(0);
    c.query("CREATE DATABASE d PARTITIONS 2").unwrap();
    c.query("CREATE TABLE d.t (id INT PRIMARY KEY, n INT NOT NULL)").unwrap();
    fill(&mut c, 0, 50);
    c.query("SNAPSHOT DATABASE d").unwrap();
    for n in [2, 1] {
        nodes.all[n].terminate();
        (nodes.all[n].port, nodes.all[n].http) = ports();
        nodes.all[n].start();
        let port = nodes.all[n].port.to_string();
        eventually("it is online at its new port", Duration::from_secs(20), || {
            let sql = if n == 1 { "SHOW AGGREGATORS" } else { "SHOW LEAVES" };
            rows(&mut c, sql).iter().any(|r| r[1] == port && r.contains(&"online".to_string()))
        });
        for at in [0, 1] {
            eventually("the rows are read from there", Duration::from_secs(10), || at == n || count(&nodes.all[at]) == Ok(50));
        }
    }
}

#[test]
fn transactions_that_wait_for_each_other_on_two_leaves_are_told_apart() {
    let nodes = Nodes::cluster(2, 2);
    let mut a = nodes.client(0);
    a.query("CREATE DATABASE d PARTITIONS 4").unwrap();
    a.query("CREATE TABLE d.t (id INT PRIMARY KEY, n INT NOT NULL)").unwrap();
    fill(&mut a, 0, 20);
    let mut b = nodes.client(1);
    eventually("the other aggregator knows the table", Duration::from_secs(5), || count(&nodes.all[1]) == Ok(20));
    for c in [&mut a, &mut b] {
        c.query("SET lock_wait_timeout = 40").unwrap();
        c.query("BEGIN").unwrap();
    }
    // All pairs of rows, so that some are on different leaves; each client has its half, then wants the other's.
    let update = |c: &mut Client, rows: std::ops::Range<u32>| {
        let ids: Vec<String> = rows.map(|id| id.to_string()).collect();
        c.query(&format!("UPDATE d.t SET n = n + 3 WHERE id IN ({})", ids.join(","))).map(drop)
    };
    update(&mut a, 0..10).unwrap();
    update(&mut b, 10..20).unwrap();
    let begun = SystemTime::now();
    let (first, second) = std::thread::scope(|s| {
        let one = s.spawn(|| {
            let done = update(&mut a, 10..20);
            if done.is_ok() { a.query("COMMIT").map(drop).and(done) } else { done }
        });
        let other = s.spawn(|| {
            let done = update(&mut b, 0..10);
            if done.is_ok() { b.query("COMMIT").map(drop).and(done) } else { done }
        });
        (one.join().unwrap(), other.join().unwrap())
    });
    assert!(begun.elapsed().unwrap() < Duration::from_secs(20));
    let numbers: Vec<u16> = [&first, &second].into_iter().map(|r| r.as_ref().err().map_or(0, |e| e.code())).collect();
    assert!(numbers.contains(&1213) && numbers.contains(&0), "{first:?} {second:?}");
}
