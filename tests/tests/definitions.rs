//! Definitions change while clients go on: no acknowledged write is lost, nothing of a rolled-back one stays, no reader sees half of anything, and no client
//! hears of it but for 1213, 1205 and 1412, which every client must expect.
//!
//! WEALD_DEFINITION_ROUNDS   how often the list of changes is gone through (2)

#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use weald_tests::client::{Client, Error};
use weald_tests::server::{Server, pause};

const ACCOUNTS: i64 = 40;
const EACH: i64 = 100;
const WRITERS: i64 = 3;

/// What one writer knows of its rows: id → (n, word).
type Rows = BTreeMap<i64, (i64, String)>;

fn seed() -> u64 {
    let seed = std::env::var("WEALD_DEFINITION_SEED").ok().and_then(|v| v.parse().ok()).unwrap_or_else(|| rand::rng().random());
    println!("WEALD_DEFINITION_SEED={seed}");
    seed
}

fn must(c: &mut Client, sql: &str) {
    c.query(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
}

fn connect(port: u16) -> Client {
    Client::connect("127.0.0.1", port, "root", "", Some("d")).unwrap()
}

/// True if it was done; false if the client was told to try again.
fn tried(done: Result<weald_tests::client::Answer, Error>, sql: &str) -> bool {
    match done {
        Ok(_) => true,
        Err(e) if matches!(e.code(), 1213 | 1205 | 1412) => false,
        Err(e) => panic!("{sql}: {e}"),
    }
}

fn all(c: &mut Client, statements: &[String]) -> bool {
    statements.iter().all(|s| tried(c.query(s), s))
}

/// Every definition leaves the columns id, n and word, and `id` unique.
const CHANGES: &[&str] = &[
    "ALTER TABLE work MODIFY n BIGINT NOT NULL",
    "ALTER TABLE work ADD COLUMN extra INT NOT NULL DEFAULT 5",
    "CREATE INDEX by_n ON work (n)",
    "ALTER TABLE work FORCE",
    "CREATE UNIQUE INDEX un ON work (id, n)",
    "ALTER TABLE work DROP COLUMN extra",
    "ALTER TABLE work ADD COLUMN first_col VARCHAR(10) DEFAULT 'f' FIRST, ADD INDEX by_first (first_col)",
    "DROP INDEX by_n ON work",
    "ALTER TABLE work DROP PRIMARY KEY, ADD UNIQUE KEY uid (id)",
    "ALTER TABLE work CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
    "ALTER TABLE work ADD COLUMN seq INT NOT NULL AUTO_INCREMENT UNIQUE",
    "ALTER TABLE work DROP COLUMN seq, ADD PRIMARY KEY (id)",
    "ALTER TABLE work DROP INDEX uid, DROP INDEX un, ADD INDEX nid (n, id)",
    "ALTER TABLE work DROP COLUMN first_col, MODIFY word VARCHAR(30) AFTER id, DROP INDEX nid",
    "ALTER TABLE work MODIFY n INT NOT NULL, CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci",
    "ALTER TABLE work ALTER COLUMN word SET DEFAULT 'w', COMMENT = 'changed'",
    "ALTER TABLE work RENAME INDEX wi TO wj, RENAME COLUMN word TO words, RENAME COLUMN words TO word, RENAME INDEX wj TO wi",
];

#[test]
fn writers_and_readers_go_on_through_every_alter() {
    let rounds: usize = std::env::var("WEALD_DEFINITION_ROUNDS").ok().and_then(|v| v.parse().ok()).unwrap_or(2);
    let seed = seed();
    let server = Server::start();
    let mut c = server.connect().unwrap();
    for sql in [
        "CREATE DATABASE d PARTITIONS 4",
        "USE d",
        "CREATE TABLE work (id INT PRIMARY KEY, n INT NOT NULL, word VARCHAR(20) DEFAULT 'w', KEY wi (word))",
    ] {
        must(&mut c, sql);
    }
    let accounts: Vec<String> = (1..=ACCOUNTS).map(|n| format!("({n}, {EACH}, 'account')")).collect();
    must(&mut c, &format!("INSERT INTO work (id, n, word) VALUES {}", accounts.join(",")));
    let stop = Arc::new(AtomicBool::new(false));
    let done = Arc::new(AtomicU64::new(0));
    let writers: Vec<_> = (0..WRITERS)
        .map(|w| {
            let (stop, done, port) = (stop.clone(), done.clone(), server.port);
            std::thread::spawn(move || write(port, w, seed ^ w as u64, &stop, &done))
        })
        .collect();
    let readers: Vec<_> = (0..2)
        .map(|r| {
            let (stop, port) = (stop.clone(), server.port);
            std::thread::spawn(move || read(port, r, &stop))
        })
        .collect();
    for round in 0..rounds {
        for sql in CHANGES {
            let (before, began) = (done.load(Ordering::SeqCst), Instant::now());
            while !tried(c.query(sql), sql) {}
            println!("round {round}: {sql}: {:?}, {} writes meanwhile", began.elapsed(), done.load(Ordering::SeqCst) - before);
            // Let some through between two changes.
            let enough = done.load(Ordering::SeqCst) + 20;
            let patience = Instant::now() + Duration::from_secs(20);
            while done.load(Ordering::SeqCst) < enough && Instant::now() < patience && !writers.iter().any(|w| w.is_finished()) {
                pause(Duration::from_millis(5));
            }
        }
        // One that is killed changes nothing.
        let mut other = server.connect().unwrap();
        let id = c.connection_id;
        let killer = std::thread::spawn(move || {
            pause(Duration::from_millis(20));
            must(&mut other, &format!("KILL QUERY {id}"));
        });
        match c.query("ALTER TABLE work MODIFY n BIGINT NOT NULL") {
            Ok(_) => (),
            Err(e) => assert!(matches!(e.code(), 1317 | 1205 | 1213), "{e}"),
        }
        killer.join().unwrap();
        pause(Duration::from_millis(50));
    }
    stop.store(true, Ordering::SeqCst);
    let mut expected: Rows = (1..=ACCOUNTS).map(|n| (n, (EACH, "account".to_string()))).collect();
    let mut moves = Vec::new();
    for w in writers {
        let (rows, own) = w.join().expect("a writer met an error");
        expected.extend(rows);
        moves.extend(own);
    }
    for r in readers {
        r.join().expect("a reader met an error");
    }
    for (from, to, amount) in moves {
        expected.get_mut(&from).unwrap().0 -= amount;
        expected.get_mut(&to).unwrap().0 += amount;
    }
    check(&mut c, &expected);
    // And it is all on disk.
    let mut server = server;
    server.kill();
    server.restart();
    check(&mut connect(server.port), &expected);
}

fn check(c: &mut Client, expected: &Rows) {
    let a = c.query("SELECT id, n, word FROM work ORDER BY id").unwrap();
    let text = |v: &Option<Vec<u8>>| String::from_utf8_lossy(v.as_ref().unwrap()).into_owned();
    let found: Rows = a.rows.iter().map(|r| (text(&r[0]).parse().unwrap(), (text(&r[1]).parse().unwrap(), text(&r[2])))).collect();
    assert_eq!(a.rows.len(), found.len(), "a row is there twice");
    for (id, row) in expected {
        assert_eq!(found.get(id), Some(row), "row {id}");
    }
    let strange: Vec<_> = found.iter().filter(|(id, _)| !expected.contains_key(id)).collect();
    assert!(strange.is_empty(), "rows that nobody wrote: {strange:?}");
    assert_eq!(c.query("SELECT COUNT(*) FROM work FORCE INDEX (wi) WHERE word > ''").unwrap().first_int(), expected.len() as i64);
}

/// Gives its rows as it was told they are, and the transfers between accounts that it was told had happened.
fn write(port: u16, w: i64, seed: u64, stop: &AtomicBool, done: &AtomicU64) -> (Rows, Vec<(i64, i64, i64)>) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut c = connect(port);
    let (mut rows, mut moves) = (Rows::new(), Vec::new());
    let mut next = 1000 + w;
    while !stop.load(Ordering::SeqCst) {
        let pick = |random: &mut StdRng, rows: &Rows| -> Option<i64> {
            if rows.is_empty() { None } else { rows.keys().nth(random.random_range(0..rows.len())).copied() }
        };
        let n: i64 = random.random_range(0..1000);
        match random.random_range(0..10) {
            0..3 => {
                let id = next;
                next += WRITERS;
                if all(&mut c, &[format!("INSERT INTO work (id, n, word) VALUES ({id}, {n}, 'w{n}')")]) {
                    rows.insert(id, (n, format!("w{n}")));
                }
            }
            3..5 => {
                if let Some(id) = pick(&mut random, &rows)
                    && all(&mut c, &[format!("UPDATE work SET n = {n}, word = 'u{n}' WHERE id = {id}")])
                {
                    rows.insert(id, (n, format!("u{n}")));
                }
            }
            5 => {
                if let Some(id) = pick(&mut random, &rows)
                    && all(&mut c, &[format!("DELETE FROM work WHERE id = {id}")])
                {
                    rows.remove(&id);
                }
            }
            // A row takes another key.
            6 => {
                if let Some(id) = pick(&mut random, &rows) {
                    let to = next;
                    next += WRITERS;
                    if all(&mut c, &[format!("UPDATE work SET id = {to} WHERE id = {id}")]) {
                        let row = rows.remove(&id).unwrap();
                        rows.insert(to, row);
                    }
                }
            }
            _ => {
                let (from, to) = (random.random_range(1..=ACCOUNTS), random.random_range(1..=ACCOUNTS));
                let (id, amount) = (next, random.random_range(1..20));
                next += WRITERS;
                if from == to {
                    continue;
                }
                let roll_back = random.random_bool(0.2);
                let sent = all(
                    &mut c,
                    &[
                        "BEGIN".into(),
                        format!("UPDATE work SET n = n - {amount} WHERE id = {from}"),
                        format!("INSERT INTO work (id, n, word) VALUES ({id}, {amount}, 'moved')"),
                        format!("UPDATE work SET n = n + {amount} WHERE id = {to}"),
                        if roll_back { "ROLLBACK".into() } else { "COMMIT".into() },
                    ],
                );
                if !sent {
                    must(&mut c, "ROLLBACK");
                } else if !roll_back {
                    rows.insert(id, (amount, "moved".into()));
                    moves.push((from, to, amount));
                }
            }
        }
        done.fetch_add(1, Ordering::SeqCst);
    }
    (rows, moves)
}

/// What the accounts hold together never changes, whenever one looks.
fn read(port: u16, r: usize, stop: &AtomicBool) {
    let mut c = connect(port);
    let sums = [
        format!("SELECT SUM(n) FROM work WHERE id <= {ACCOUNTS}"),
        format!("SELECT SUM(a.n) FROM work a JOIN work b ON a.id = b.id WHERE a.id <= {ACCOUNTS}"),
        "SELECT SUM(n) FROM work WHERE word = 'account'".to_string(),
    ];
    let mut n = 0;
    while !stop.load(Ordering::SeqCst) {
        n += 1;
        if r == 0 {
            let sql = &sums[n % sums.len()];
            match c.query(sql) {
                Ok(a) => assert_eq!(a.first_int(), ACCOUNTS * EACH, "{sql}"),
                Err(e) => assert!(matches!(e.code(), 1213 | 1205 | 1412), "{sql}: {e}"),
            }
            continue;
        }
        must(&mut c, "BEGIN");
        let mut seen = None;
        for _ in 0..3 {
            match c.query("SELECT SUM(n), COUNT(*), MAX(id) FROM work") {
                Ok(a) => {
                    let row = a.rows[0].clone();
                    assert_eq!(*seen.get_or_insert(row.clone()), row, "a snapshot does not change");
                }
                Err(e) => {
                    assert!(matches!(e.code(), 1213 | 1205 | 1412), "{e}");
                    break;
                }
            }
            pause(Duration::from_millis(5));
        }
        must(&mut c, "COMMIT");
    }
}

#[test]
fn a_truncate_takes_what_was_there_and_nothing_that_came_after() {
    let server = Server::start();
    let mut c = server.connect().unwrap();
    for sql in ["CREATE DATABASE d PARTITIONS 3", "USE d", "CREATE TABLE t (id INT PRIMARY KEY, k INT, KEY (k))"] {
        must(&mut c, sql);
    }
    let (stop, zero) = (Arc::new(AtomicBool::new(false)), Instant::now());
    let writers: Vec<_> = (0..3)
        .map(|w| {
            let (stop, port) = (stop.clone(), server.port);
            std::thread::spawn(move || {
                let mut c = connect(port);
                let mut written = Vec::new();
                let mut id = w;
                while !stop.load(Ordering::SeqCst) {
                    let began = zero.elapsed();
                    let statements = ["BEGIN".into(), format!("INSERT INTO t VALUES ({id}, 1), ({}, 2)", id + 3), "COMMIT".into()];
                    if all(&mut c, &statements) {
                        written.push((id, began, zero.elapsed()));
                    } else {
                        must(&mut c, "ROLLBACK");
                    }
                    id += 6;
                }
                written
            })
        })
        .collect();
    let mut last = (Duration::ZERO, Duration::ZERO);
    for _ in 0..10 {
        pause(Duration::from_millis(60));
        let began = zero.elapsed();
        if tried(c.query("TRUNCATE TABLE t"), "TRUNCATE") {
            last = (began, zero.elapsed());
        }
    }
    pause(Duration::from_millis(60));
    stop.store(true, Ordering::SeqCst);
    let written: Vec<_> = writers.into_iter().flat_map(|w| w.join().unwrap()).collect();
    let found = c.query("SELECT id FROM t").unwrap();
    let found: std::collections::BTreeSet<i64> =
        found.rows.iter().map(|r| String::from_utf8_lossy(r[0].as_ref().unwrap()).parse().unwrap()).collect();
    for (id, began, ended) in written {
        let there = (found.contains(&id), found.contains(&(id + 3)));
        assert_eq!(there.0, there.1, "half of a transaction");
        if ended < last.0 {
            assert!(!there.0, "row {id} was there before the last TRUNCATE and is still");
        }
        if began > last.1 {
            assert!(there.0, "row {id} came after the last TRUNCATE and is gone");
        }
    }
}

#[test]
fn tables_change_names_and_go_while_clients_use_them() {
    let server = Server::start();
    let mut c = server.connect().unwrap();
    for sql in [
        "CREATE DATABASE d PARTITIONS 2",
        "USE d",
        "CREATE TABLE x (id INT PRIMARY KEY, tag VARCHAR(5))",
        "CREATE TABLE y (id INT PRIMARY KEY, tag VARCHAR(5))",
        "INSERT INTO x VALUES (1, 'x'), (2, 'x')",
        "INSERT INTO y VALUES (1, 'y'), (2, 'y')",
        "CREATE TABLE short_lived (id INT PRIMARY KEY)",
    ] {
        must(&mut c, sql);
    }
    let stop = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..2)
        .map(|r| {
            let (stop, port) = (stop.clone(), server.port);
            std::thread::spawn(move || {
                let mut c = connect(port);
                let mut id = r;
                while !stop.load(Ordering::SeqCst) {
                    let a = c.query("SELECT COUNT(DISTINCT tag), COUNT(*) FROM x").unwrap();
                    assert_eq!(
                        (a.rows[0][0].as_deref(), a.rows[0][1].as_deref()),
                        (Some(&b"1"[..]), Some(&b"2"[..])),
                        "rows of two tables in one answer"
                    );
                    let tag = c.query("SELECT tag FROM x WHERE id = 2").unwrap().first();
                    assert!(tag == "x" || tag == "y", "{tag}");
                    tried(c.query("UPDATE x SET id = id WHERE id = 1"), "UPDATE");
                    id += 2;
                    if let Err(e) = c.query(&format!("INSERT INTO short_lived VALUES ({id})")) {
                        assert!(matches!(e.code(), 1146 | 1213 | 1205), "{e}");
                    }
                }
            })
        })
        .collect();
    for _ in 0..20 {
        must(&mut c, "RENAME TABLE x TO z, y TO x, z TO y");
        while !tried(c.query("DROP TABLE short_lived"), "DROP") {}
        pause(Duration::from_millis(5));
        must(&mut c, "CREATE TABLE short_lived (id INT PRIMARY KEY)");
        pause(Duration::from_millis(5));
    }
    stop.store(true, Ordering::SeqCst);
    readers.into_iter().for_each(|r| r.join().unwrap());
}

#[test]
fn a_unique_index_is_whole_or_not_there() {
    let server = Server::start();
    let mut c = server.connect().unwrap();
    for sql in [
        "CREATE DATABASE d PARTITIONS 2",
        "USE d",
        "CREATE TABLE t (id INT PRIMARY KEY, a INT, b INT)",
        "INSERT INTO t VALUES (1, 1, 1), (2, 2, 1), (3, 3, 3)",
    ] {
        must(&mut c, sql);
    }
    assert_eq!(c.query("CREATE UNIQUE INDEX ub ON t (b)").unwrap_err().code(), 1062);
    assert_eq!(c.query("ALTER TABLE t ADD COLUMN x INT, ADD UNIQUE INDEX ub (b)").unwrap_err().code(), 1062);
    assert_eq!(c.query("SELECT COUNT(*) FROM information_schema.statistics WHERE table_name = 't'").unwrap().first_int(), 1);
    assert_eq!(c.query("SELECT COUNT(*) FROM information_schema.columns WHERE table_name = 't'").unwrap().first_int(), 3);
    // A duplicate that may still go away is waited for.
    let mut other = connect(server.port);
    must(&mut other, "BEGIN");
    must(&mut other, "DELETE FROM t WHERE id = 2");
    let port = server.port;
    let making = std::thread::spawn(move || connect(port).query("CREATE UNIQUE INDEX ub ON t (id, b)").map(drop));
    pause(Duration::from_millis(100));
    must(&mut other, "COMMIT");
    making.join().unwrap().unwrap();
    must(&mut c, "INSERT INTO t VALUES (2, 2, 2)");
    must(&mut c, "CREATE UNIQUE INDEX uc ON t (b)");
    assert_eq!(c.query("INSERT INTO t VALUES (9, 9, 3)").unwrap_err().code(), 1062);
}

#[test]
fn a_change_that_a_crash_ends_leaves_the_old_table_or_the_new_one() {
    const ROWS: i64 = 4000;
    let mut random = StdRng::seed_from_u64(seed());
    let mut server = Server::start();
    let mut c = server.connect().unwrap();
    for sql in ["CREATE DATABASE d PARTITIONS 2", "USE d", "CREATE TABLE t (id INT PRIMARY KEY, n INT NOT NULL, s VARCHAR(50))"] {
        must(&mut c, sql);
    }
    for at in (0..ROWS).step_by(500) {
        let rows: Vec<String> = (at..at + 500).map(|n| format!("({n}, {n}, REPEAT('s', 40))")).collect();
        must(&mut c, &format!("INSERT INTO t VALUES {}", rows.join(",")));
    }
    let changes = [
        "ALTER TABLE t MODIFY n BIGINT NOT NULL",
        "CREATE INDEX i ON t (n)",
        "ALTER TABLE t MODIFY n INT NOT NULL, ADD COLUMN x INT FIRST",
        "TRUNCATE TABLE gone",
    ];
    for change in changes {
        let mut c = connect(server.port);
        if change.ends_with("gone") {
            must(&mut c, "CREATE TABLE gone AS SELECT * FROM t");
        }
        let running = std::thread::spawn(move || c.query(change).map(drop));
        pause(Duration::from_millis(random.random_range(1..120)));
        server.kill();
        let answered = running.join().unwrap();
        server.restart();
        let mut c = connect(server.port);
        let tables = c.query("SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'd' AND table_name NOT IN ('t', 'gone')").unwrap();
        assert_eq!(tables.first_int(), 0, "{change}: a half-made table is there");
        assert_eq!(c.query("SELECT COUNT(*) FROM t").unwrap().first_int(), ROWS, "{change}");
        assert_eq!(c.query("SELECT SUM(n) FROM t").unwrap().first_int(), ROWS * (ROWS - 1) / 2, "{change}");
        let indexes = c.query("SELECT COUNT(*) FROM information_schema.statistics WHERE table_name = 't' AND index_name = 'i'").unwrap().first_int();
        if indexes == 1 {
            assert_eq!(c.query("SELECT COUNT(*) FROM t FORCE INDEX (i) WHERE n >= 0").unwrap().first_int(), ROWS);
        }
        println!("{change}: {}", if answered.is_ok() { "answered" } else { "cut off" });
        // It can be done now.
        match c.query(change) {
            Ok(_) => (),
            Err(e) => assert!(matches!(e.code(), 1061 | 1060), "{change}: {e}"),
        }
    }
}
