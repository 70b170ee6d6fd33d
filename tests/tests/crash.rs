//! Acknowledged means durable: kill -9 under load, restart, and compare with the ledger of what was acknowledged.
//!
//! Four connections move money between accounts and append to a log; each keeps, outside the server, what it was told. After every crash:
//! every acknowledged transaction is there, whole; no half of any; the sum of all accounts is what it was. A transaction whose COMMIT was never
//! answered may be there or not, but not in part.
//!
//! WEALD_CRASH_CYCLES   how many crashes (5)

#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use weald_tests::client::{ASKED, Client, Options};
use weald_tests::server::{Server, pause};
use weald_wire::constants::client::LOCAL_FILES;

const ACCOUNTS: u64 = 50;
const EACH: i64 = 1000;
const WRITERS: u64 = 4;

/// What the writers were told.
#[derive(Default)]
struct Ledger {
    /// Transfers whose COMMIT was acknowledged: id → (from, to, amount).
    committed: BTreeMap<u64, (u64, u64, i64)>,
    /// Sent, outcome unknown.
    unknown: BTreeMap<u64, (u64, u64, i64)>,
    /// Autocommit inserts that were acknowledged.
    appended: BTreeSet<u64>,
    rolled_back: BTreeSet<u64>,
}

#[test]
fn what_was_acknowledged_survives_kill_nine() {
    let cycles: u32 = std::env::var("WEALD_CRASH_CYCLES").ok().and_then(|v| v.parse().ok()).unwrap_or(5);
    let seed: u64 = std::env::var("WEALD_CRASH_SEED").ok().and_then(|v| v.parse().ok()).unwrap_or_else(|| rand::rng().random());
    println!("WEALD_CRASH_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut server = Server::start();
    prepare(&mut server.connect().unwrap());
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let next = Arc::new(AtomicU64::new(1));
    for cycle in 0..cycles {
        let stop = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = (0..WRITERS)
            .map(|w| {
                let (ledger, next, stop, port) = (ledger.clone(), next.clone(), stop.clone(), server.port);
                let seed = seed ^ (u64::from(cycle) << 32) ^ w;
                std::thread::spawn(move || write(port, seed, &ledger, &next, &stop))
            })
            .collect();
        let before = ledger.lock().unwrap().committed.len();
        // A part of the crashes falls into a snapshot.
        if cycle % 2 == 1
            && let Ok(mut c) = server.connect()
        {
            let _ = c.set_timeout(Duration::from_secs(5));
            let _ = c.query("SNAPSHOT DATABASE bank");
        }
        // However slow the machine is: there is a load before it is cut off.
        let deadline = Instant::now() + Duration::from_secs(60);
        while ledger.lock().unwrap().committed.len() == before {
            assert!(Instant::now() < deadline, "no transfer is acknowledged in cycle {cycle}: the load does not run");
            pause(Duration::from_millis(1));
        }
        pause(Duration::from_millis(random.random_range(0..700)));
        server.kill();
        stop.store(true, Ordering::SeqCst);
        for w in writers {
            w.join().expect("a writer found something wrong");
        }
        let now = ledger.lock().unwrap().committed.len();
        server.restart();
        check(&mut server.connect().unwrap(), &mut ledger.lock().unwrap());
        println!("cycle {cycle}: {} transfers and {} appends acknowledged, all there", now, ledger.lock().unwrap().appended.len());
    }
    // An orderly end loses nothing either.
    assert!(server.terminate(Duration::from_secs(20)), "SIGTERM does not end the server");
    server.restart();
    check(&mut server.connect().unwrap(), &mut ledger.lock().unwrap());
}

/// A transaction that is larger than what the log takes in one part, whole before a crash; then the same for one that a crash finds under way, with
/// parts of it in the log and a snapshot taken meanwhile.
#[test]
fn a_large_load_is_there_whole_or_not_at_all() {
    const ROWS: usize = 50_000;
    let mut server = Server::start();
    let options = Options { capabilities: ASKED | LOCAL_FILES, ..Options::default() };
    let mut c = Client::with("127.0.0.1", server.port, &options).unwrap();
    for sql in ["CREATE DATABASE big PARTITIONS 2", "USE big", "CREATE TABLE t (id INT PRIMARY KEY, s VARCHAR(400), KEY (s))"] {
        c.query(sql).unwrap();
    }
    let lines = |from: usize| -> Vec<Vec<u8>> {
        let line = |n: usize| format!("{n}\t{}\n", format!("{n:07}.").repeat(40));
        (from..from + ROWS).collect::<Vec<_>>().chunks(500).map(|rows| rows.iter().map(|n| line(*n)).collect::<String>().into_bytes()).collect()
    };
    let load = "LOAD DATA LOCAL INFILE 'x' INTO TABLE t";
    let pieces = lines(0);
    let (_, answer) = c.load(load, &pieces.iter().map(Vec::as_slice).collect::<Vec<_>>()).unwrap();
    assert_eq!(answer.affected, ROWS as u64);
    // The second one goes on until it has been written about; its end is never sent.
    c.send_query(load.as_bytes()).unwrap();
    assert_eq!(c.read_packet().unwrap()[0], 0xFB);
    for piece in lines(ROWS) {
        c.write_packet(&piece).unwrap();
    }
    let mut other = server.connect().unwrap();
    other.query("UPDATE big.t SET s = 'changed' WHERE id = 7").unwrap();
    other.query("SNAPSHOT DATABASE big").unwrap();
    other.query("DELETE FROM big.t WHERE id = 8").unwrap();
    server.kill();
    server.restart();
    let mut c = server.connect().unwrap();
    let found = c.query("SELECT COUNT(*), MIN(id), MAX(id), SUM(LENGTH(s) = 320), COUNT(DISTINCT s) FROM big.t").unwrap().texts();
    let (last, long, all) = ((ROWS - 1).to_string(), (ROWS - 2).to_string(), (ROWS - 1).to_string());
    assert_eq!(found, [[all.as_str(), "0", &last, &long, &all]]);
    assert_eq!(c.query("SELECT id FROM big.t FORCE INDEX (s) WHERE s = 'changed'").unwrap().first(), "7");
}

fn prepare(c: &mut Client) {
    for sql in [
        "CREATE DATABASE bank",
        "USE bank",
        "CREATE TABLE account (id INT PRIMARY KEY, balance BIGINT NOT NULL, moves INT NOT NULL DEFAULT 0, KEY (balance))",
        "CREATE TABLE transfer (id BIGINT PRIMARY KEY, debit INT NOT NULL, credit INT NOT NULL, amount BIGINT NOT NULL, note VARCHAR(100))",
        "CREATE TABLE leg (transfer BIGINT, side INT, account INT, PRIMARY KEY (transfer, side))",
        "CREATE TABLE appended (id BIGINT PRIMARY KEY, pad VARCHAR(200))",
    ] {
        c.query(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
    }
    let rows: Vec<String> = (1..=ACCOUNTS).map(|n| format!("({n}, {EACH})")).collect();
    c.query(&format!("INSERT INTO account (id, balance) VALUES {}", rows.join(","))).unwrap();
}

fn write(port: u16, seed: u64, ledger: &Mutex<Ledger>, next: &AtomicU64, stop: &AtomicBool) {
    let mut random = StdRng::seed_from_u64(seed);
    let Ok(mut c) = Client::connect("127.0.0.1", port, "root", "", Some("bank")) else { return };
    while !stop.load(Ordering::SeqCst) {
        let id = next.fetch_add(1, Ordering::SeqCst);
        if random.random_bool(0.4) {
            match c.query(&format!("INSERT INTO appended VALUES ({id}, REPEAT('x', {}))", random.random_range(0..200))) {
                Ok(_) => {
                    ledger.lock().unwrap().appended.insert(id);
                }
                Err(e) if e.code() == 0 => return,
                Err(e) => panic!("insert: {e}"),
            }
            continue;
        }
        let (from, to) = (random.random_range(1..=ACCOUNTS), random.random_range(1..=ACCOUNTS));
        let amount = random.random_range(1..50i64);
        if from == to {
            continue;
        }
        let statements = [
            "BEGIN".to_string(),
            format!("UPDATE account SET balance = balance - {amount}, moves = moves + 1 WHERE id = {from}"),
            format!("UPDATE account SET balance = balance + {amount}, moves = moves + 1 WHERE id = {to}"),
            format!("INSERT INTO transfer VALUES ({id}, {from}, {to}, {amount}, 'note {id}')"),
            format!("INSERT INTO leg VALUES ({id}, 1, {from}), ({id}, 2, {to})"),
        ];
        let mut failed = None;
        for sql in &statements {
            if let Err(e) = c.query(sql) {
                failed = Some(e);
                break;
            }
        }
        match failed {
            // Gone before COMMIT was sent: none of it may ever be seen.
            Some(e) if e.code() == 0 => {
                ledger.lock().unwrap().rolled_back.insert(id);
                return;
            }
            Some(e) => {
                assert!(matches!(e.code(), 1205 | 1213), "{e}");
                ledger.lock().unwrap().rolled_back.insert(id);
                if c.query("ROLLBACK").is_err() {
                    return;
                }
                continue;
            }
            None => (),
        }
        if random.random_bool(0.1) {
            ledger.lock().unwrap().rolled_back.insert(id);
            if c.query("ROLLBACK").is_err() {
                return;
            }
            continue;
        }
        ledger.lock().unwrap().unknown.insert(id, (from, to, amount));
        match c.query("COMMIT") {
            Ok(_) => {
                let mut l = ledger.lock().unwrap();
                let t = l.unknown.remove(&id).expect("just put there");
                l.committed.insert(id, t);
            }
            Err(e) if e.code() == 0 => return,
            Err(e) => {
                assert!(matches!(e.code(), 1205 | 1213), "commit: {e}");
                let mut l = ledger.lock().unwrap();
                l.unknown.remove(&id);
                l.rolled_back.insert(id);
            }
        }
    }
}

fn check(c: &mut Client, ledger: &mut Ledger) {
    c.query("USE bank").unwrap();
    let ids = |c: &mut Client, sql: &str| -> Vec<Vec<i64>> {
        let a = c.query(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
        a.rows.iter().map(|r| r.iter().map(|v| String::from_utf8_lossy(v.as_ref().expect("not null")).parse().unwrap()).collect()).collect()
    };
    let found: BTreeMap<u64, (u64, u64, i64)> = ids(c, "SELECT id, debit, credit, amount FROM transfer ORDER BY id")
        .iter()
        .map(|r| (r[0] as u64, (r[1] as u64, r[2] as u64, r[3])))
        .collect();
    for (id, t) in &ledger.committed {
        assert_eq!(found.get(id), Some(t), "transfer {id} was acknowledged and is lost or changed");
    }
    for (id, t) in &found {
        if !ledger.committed.contains_key(id) {
            assert!(!ledger.rolled_back.contains(id), "transfer {id} was rolled back and is there");
            assert_eq!(ledger.unknown.get(id), Some(t), "transfer {id} was never sent");
        }
    }
    // Whole: both legs of every transfer, and nothing else.
    let legs: BTreeSet<(u64, u64, u64)> =
        ids(c, "SELECT transfer, side, account FROM leg").iter().map(|r| (r[0] as u64, r[1] as u64, r[2] as u64)).collect();
    let expected: BTreeSet<_> = found.iter().flat_map(|(id, (from, to, _))| [(*id, 1, *from), (*id, 2, *to)]).collect();
    assert_eq!(legs, expected, "half of a transfer");
    let mut balance: BTreeMap<u64, (i64, i64)> = (1..=ACCOUNTS).map(|n| (n, (EACH, 0))).collect();
    for (from, to, amount) in found.values() {
        let f = balance.get_mut(from).unwrap();
        *f = (f.0 - amount, f.1 + 1);
        let t = balance.get_mut(to).unwrap();
        *t = (t.0 + amount, t.1 + 1);
    }
    let accounts: BTreeMap<u64, (i64, i64)> = ids(c, "SELECT id, balance, moves FROM account").iter().map(|r| (r[0] as u64, (r[1], r[2]))).collect();
    assert_eq!(accounts, balance, "the accounts do not add up to the transfers");
    assert_eq!(c.query("SELECT SUM(balance) FROM account").unwrap().first_int(), ACCOUNTS as i64 * EACH);
    // The index agrees with the table.
    let by_index = c.query("SELECT COUNT(*) FROM account FORCE INDEX (balance) WHERE balance > -1000000000").unwrap().first_int();
    assert_eq!(by_index, ACCOUNTS as i64, "the index has other rows than the table");
    let appended: BTreeSet<u64> = ids(c, "SELECT id FROM appended").iter().map(|r| r[0] as u64).collect();
    let lost: Vec<_> = ledger.appended.difference(&appended).collect();
    assert!(lost.is_empty(), "acknowledged inserts are lost: {lost:?}");
    // From here on the outcome of these is known.
    for (id, t) in std::mem::take(&mut ledger.unknown) {
        if found.contains_key(&id) {
            ledger.committed.insert(id, t);
        } else {
            ledger.rolled_back.insert(id);
        }
    }
    ledger.appended = appended;
}
