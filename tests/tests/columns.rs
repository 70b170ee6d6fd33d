//! The column cache: whatever happens to a table, an analytic query finds what the row executor finds at the same snapshot.

#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};
use weald_tests::client::Client;
use weald_tests::random_query::Random;
use weald_tests::server::Server;

const ROWS: usize = 3000;

fn server() -> (Server, Client) {
    let server = Server::start();
    let mut c = server.connect().unwrap();
    // No table is too lively for the cache: so it is right or wrong here, not absent.
    c.query("SET GLOBAL column_cache_quiet_time = 0").unwrap();
    c.query("CREATE DATABASE d").unwrap();
    c.query("USE d").unwrap();
    (server, c)
}

fn connect(server: &Server) -> Client {
    let mut c = server.connect().unwrap();
    c.query("USE d").unwrap();
    c
}

fn rows(c: &mut Client, sql: &str) -> Vec<String> {
    let a = c.query(sql).unwrap_or_else(|e| panic!("{e}\n{sql}"));
    // The text that is shown for a group is that of one of its rows: which one, is each executor's own affair.
    let cell = |v: &Option<Vec<u8>>| v.as_ref().map_or("NULL".into(), |b| String::from_utf8_lossy(b).to_lowercase());
    a.rows.iter().map(|r| r.iter().map(cell).collect::<Vec<_>>().join("|")).collect()
}

/// The answer of both executors, which must be the same: in a transaction at REPEATABLE READ, or while nobody writes.
fn same(c: &mut Client, sql: &str, when: &str) -> Vec<String> {
    c.query("SET executor = 'analytic'").unwrap();
    let analytic = rows(c, sql);
    c.query("SET executor = 'rows'").unwrap();
    let by_row = rows(c, sql);
    c.query("SET executor = 'auto'").unwrap();
    if analytic != by_row {
        let (a, b) = analytic.iter().zip(&by_row).find(|(a, b)| a != b).map_or((String::new(), String::new()), |(a, b)| (a.clone(), b.clone()));
        panic!("{when}: {sql}\n{} rows by columns, {} by rows; the first that differs:\n  columns {a}\n  rows    {b}", analytic.len(), by_row.len());
    }
    analytic
}

fn status(c: &mut Client, name: &str) -> u64 {
    rows(c, &format!("SHOW GLOBAL STATUS LIKE '{name}'"))[0].split_once('|').unwrap().1.parse().unwrap()
}

fn fill(c: &mut Client) {
    c.query("CREATE TABLE t (id INT PRIMARY KEY, v BIGINT NOT NULL, s VARCHAR(30), d DECIMAL(12,2), k DATE, KEY (s))").unwrap();
    for from in (0..ROWS).step_by(500) {
        let values: Vec<String> = (from..from + 500)
            .map(|n| {
                format!(
                    "({n}, 100, {}, {}.25, '2024-01-{:02}')",
                    if n % 7 == 0 { "NULL".into() } else { format!("'name {}'", n % 50) },
                    n % 90,
                    1 + n % 28
                )
            })
            .collect();
        c.query(&format!("INSERT INTO t VALUES {}", values.join(","))).unwrap();
    }
}

const QUERIES: [&str; 5] = [
    "SELECT COUNT(*), SUM(v), SUM(id), MIN(k), SUM(d) FROM t",
    "SELECT id, v, s, d, k FROM t ORDER BY id",
    "SELECT s, COUNT(*), SUM(v) FROM t GROUP BY s ORDER BY s",
    "SELECT COUNT(*) FROM t WHERE s LIKE '%e 1%' OR s IN ('NAME 2', 'name 3')",
    "SELECT a.s, COUNT(*), SUM(b.v) FROM t a JOIN t b ON a.id = b.id + 1 WHERE a.s = 'Name 7' GROUP BY a.s",
];

#[test]
fn readers_see_their_snapshot_beside_writers() {
    let (server, mut c) = server();
    fill(&mut c);
    let (stop, done) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        for seed in 0..3 {
            let (server, stop) = (&server, &stop);
            scope.spawn(move || {
                let (mut c, mut random) = (connect(server), Random::new(seed));
                while !stop.load(Relaxed) {
                    let (a, b) = (random.below(ROWS), random.below(ROWS));
                    // A deadlock or a conflict takes the transaction back: no matter.
                    let mut run = |sql: String| c.query(&sql).is_ok();
                    run("BEGIN".into());
                    let moved = run(format!("UPDATE t SET v = v - 1, s = 'Name {}' WHERE id = {a}", b % 60))
                        && run(format!("UPDATE t SET v = v + 1 WHERE id = {b}"));
                    let added = run(format!("INSERT INTO t VALUES ({}, 0, 'new', NULL, NULL)", ROWS + random.below(1 << 30)))
                        && run(format!("DELETE FROM t WHERE id >= {ROWS} LIMIT 2"));
                    let keep = moved && added && random.below(3) > 0;
                    run(if keep { "COMMIT".into() } else { "ROLLBACK".into() });
                    // Lets a reader come to a quiet moment now and then.
                    if random.below(20) == 0 {
                        weald_tests::server::pause(Duration::from_millis(30));
                    }
                }
            });
        }
        for seed in 10..12 {
            let (server, stop, done) = (&server, &stop, &done);
            scope.spawn(move || {
                let (mut c, mut random) = (connect(server), Random::new(seed));
                while !stop.load(Relaxed) {
                    c.query("START TRANSACTION WITH CONSISTENT SNAPSHOT").unwrap();
                    let first = same(&mut c, QUERIES[0], "at the snapshot");
                    assert!(first[0].contains(&format!("|{}|", ROWS * 100)), "half a transfer: {first:?}");
                    let sql = QUERIES[random.below(QUERIES.len())];
                    let before = same(&mut c, sql, "at the snapshot");
                    match random.below(3) {
                        // What others committed meanwhile is not seen.
                        0 => assert_eq!(before, same(&mut c, sql, "again"), "{sql}"),
                        // What is changed by the reader himself is.
                        1 if c.query(&format!("UPDATE t SET v = v + 1000, s = 'own' WHERE id = {}", random.below(ROWS))).is_ok() => {
                            let own = same(&mut c, "SELECT SUM(v), SUM(s = 'OWN') FROM t", "with own changes");
                            assert!(own[0].starts_with(&(ROWS * 100 + 1000).to_string()), "{own:?}");
                            same(&mut c, sql, "with own changes");
                        }
                        _ => (),
                    }
                    let _ = c.query("ROLLBACK");
                    // Each statement at a snapshot of its own: still no half transfers.
                    c.query("SET executor = 'analytic'").unwrap();
                    c.query("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED").unwrap();
                    c.query("BEGIN").unwrap();
                    for _ in 0..3 {
                        assert_eq!(rows(&mut c, "SELECT SUM(v) FROM t"), [(ROWS * 100).to_string()]);
                    }
                    c.query("COMMIT").unwrap();
                    c.query("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ").unwrap();
                    done.fetch_add(1, Relaxed);
                }
            });
        }
        let until = Instant::now() + Duration::from_secs(6);
        while Instant::now() < until {
            weald_tests::server::pause(Duration::from_millis(100));
        }
        stop.store(true, Relaxed);
    });
    assert!(done.load(Relaxed) > 3, "the readers came to nothing");
    for sql in QUERIES {
        same(&mut c, sql, "at the end");
        same(&mut c, sql, "at the end, again");
    }
    assert!(status(&mut c, "Column_cache_hits") > 0, "the cache was never read");
}

#[test]
fn an_old_snapshot_is_not_shown_what_was_cached_after_it() {
    let (server, mut c) = server();
    fill(&mut c);
    let (mut old, mut new) = (connect(&server), connect(&server));
    old.query("START TRANSACTION WITH CONSISTENT SNAPSHOT").unwrap();
    let before: Vec<_> = QUERIES.iter().map(|sql| same(&mut old, sql, "before")).collect();
    c.query("UPDATE t SET v = 7, s = CONCAT(s, '!') WHERE id % 3 = 0").unwrap();
    c.query("DELETE FROM t WHERE id % 10 = 1").unwrap();
    c.query("INSERT INTO t SELECT id + 100000, v, s, d, k FROM t WHERE id % 5 = 0").unwrap();
    let after: Vec<_> = QUERIES.iter().map(|sql| same(&mut new, sql, "after")).collect();
    for ((sql, before), after) in QUERIES.iter().zip(&before).zip(&after) {
        assert_ne!(before, after, "{sql}");
        assert_eq!(*before, same(&mut old, sql, "in the old snapshot"), "{sql}");
        assert_eq!(*after, same(&mut new, sql, "after, again"), "{sql}");
    }
    // A change that is taken back leaves no trace, halfway or afterwards.
    c.query("BEGIN").unwrap();
    c.query("UPDATE t SET v = -1").unwrap();
    for (sql, after) in QUERIES.iter().zip(&after) {
        assert_eq!(*after, same(&mut new, sql, "beside an open change"), "{sql}");
    }
    assert_eq!(same(&mut c, "SELECT MIN(v), MAX(v) FROM t", "own"), ["-1|-1"]);
    c.query("ROLLBACK").unwrap();
    for (sql, after) in QUERIES.iter().zip(&after) {
        assert_eq!(*after, same(&mut new, sql, "after a rollback"), "{sql}");
        assert_eq!(*after, same(&mut c, sql, "after the own rollback"), "{sql}");
    }
}

#[test]
fn a_table_that_is_another_now_is_read_anew() {
    let (_server, mut c) = server();
    fill(&mut c);
    let look = |c: &mut Client, when: &str| {
        for _ in 0..2 {
            same(c, "SELECT * FROM t ORDER BY 1, 2", when);
            same(c, "SELECT COUNT(*) FROM t", when);
        }
    };
    look(&mut c, "new");
    for sql in [
        "ALTER TABLE t ADD COLUMN x VARCHAR(10) NOT NULL DEFAULT 'x' AFTER id",
        "UPDATE t SET x = 'y' WHERE id < 100",
        "ALTER TABLE t DROP COLUMN k",
        "ALTER TABLE t MODIFY v VARCHAR(40) NOT NULL",
        "ALTER TABLE t MODIFY v DECIMAL(20,3) NOT NULL",
        "ALTER TABLE t MODIFY s VARCHAR(30) COLLATE utf8mb4_bin",
        "ALTER TABLE t ADD KEY (v), DROP KEY s",
        "CREATE TABLE u LIKE t",
        "INSERT INTO u SELECT * FROM t WHERE id < 1000",
        "RENAME TABLE t TO w, u TO t",
        "TRUNCATE TABLE t",
        "INSERT INTO t SELECT * FROM w WHERE id > 2000",
        "DROP TABLE t",
        "CREATE TABLE t AS SELECT id, CONCAT(s, id) AS s FROM w",
        "DROP TABLE t",
        "CREATE TEMPORARY TABLE t AS SELECT id, s FROM w WHERE id < 500",
        "DELETE FROM t WHERE id < 50",
        "DROP TABLE t",
        "RENAME TABLE w TO t",
    ] {
        c.query(sql).unwrap_or_else(|e| panic!("{e}\n{sql}"));
        if !sql.starts_with("DROP TABLE") {
            look(&mut c, sql);
        }
    }
}

#[test]
fn the_cache_keeps_to_its_limit() {
    let (_server, mut c) = server();
    fill(&mut c);
    c.query("CREATE TABLE big (id INT PRIMARY KEY, a BIGINT, b BIGINT, s VARCHAR(40))").unwrap();
    c.query("SET cte_max_recursion_depth = 1000000").unwrap();
    c.query("INSERT INTO big WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 40000) SELECT n, n * 2, n * 3, CONCAT('text number ', n) FROM n").unwrap();
    let sql = "SELECT COUNT(*), SUM(a), SUM(b), MAX(s) FROM big";
    let answer = same(&mut c, sql, "without a limit");
    assert!(status(&mut c, "Column_cache_bytes") > 1 << 20);
    c.query("SET GLOBAL maximum_column_cache_memory = 1").unwrap();
    assert!(status(&mut c, "Column_cache_bytes") <= 1 << 20);
    assert!(status(&mut c, "Column_cache_evictions") > 0);
    for sql in ["SELECT SUM(a) FROM big", "SELECT SUM(b) FROM big", "SELECT SUM(id) FROM big", sql] {
        same(&mut c, sql, "at a small limit");
        assert!(status(&mut c, "Column_cache_bytes") <= 1 << 20, "{sql}");
    }
    assert_eq!(same(&mut c, sql, "at a small limit"), answer);
    c.query("SET GLOBAL maximum_column_cache_memory = 0").unwrap();
    assert_eq!(status(&mut c, "Column_cache_bytes"), 0);
    assert_eq!(same(&mut c, sql, "without a cache"), answer);
    assert_eq!(status(&mut c, "Column_cache_bytes"), 0);
    c.query("SET GLOBAL maximum_column_cache_memory = DEFAULT").unwrap();
    assert_eq!(same(&mut c, sql, "with a cache again"), answer);
    assert!(status(&mut c, "Column_cache_bytes") > 1 << 20);
    // What a dropped table took is given back by itself.
    c.query("DROP TABLE big").unwrap();
    let until = Instant::now() + Duration::from_secs(60);
    while status(&mut c, "Column_cache_bytes") > 1 << 20 {
        assert!(Instant::now() < until, "a dropped table's columns stay");
        weald_tests::server::pause(Duration::from_millis(50));
    }
}
