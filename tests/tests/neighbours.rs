//! What takes long is its client's own business: others are served meanwhile, and KILL or the statement's time limit ends it soon. The same for a client that
//! does not read what it asked for.

#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

use std::time::{Duration, Instant};
use weald_tests::client::{Client, Error};
use weald_tests::server::{Server, pause};

/// About a tenth of a second on an idle machine with an optimised server. Without optimisation everything takes twenty times as long, and the machine may be busy;
/// what these tests are to find takes a hundred times as long, or for ever.
const SOON: Duration = if cfg!(debug_assertions) { Duration::from_secs(3) } else { Duration::from_millis(500) };
/// So many rows have the small tables, the large one, and the wide one.
const SMALL: u32 = 900;
const LARGE: u32 = 21_000;

struct Hall {
    server: Server,
    /// Is never to wait.
    other: Client,
}

impl Hall {
    fn new() -> Self {
        let server = Server::start();
        let mut other = server.connect().unwrap();
        other.query("CREATE DATABASE d").unwrap();
        other.query("USE d").unwrap();
        for (table, rows) in [("s", SMALL), ("t", LARGE)] {
            other.query(&format!("CREATE TABLE {table} (id INT PRIMARY KEY, n INT NOT NULL, pad VARCHAR(200) NOT NULL)")).unwrap();
            for chunk in (0..rows).collect::<Vec<_>>().chunks(3000) {
                let values: Vec<String> = chunk.iter().map(|n| format!("({n},{},REPEAT('x',50))", n % 300)).collect();
                other.query(&format!("INSERT INTO {table} VALUES {}", values.join(","))).unwrap();
            }
        }
        other.query("CREATE TABLE u (id BIGINT PRIMARY KEY AUTO_INCREMENT, k BIGINT, pad VARCHAR(200), KEY (k))").unwrap();
        Self { server, other }
    }

    fn client(&self) -> Client {
        let c = Client::connect("127.0.0.1", self.server.port, "root", "", Some("d")).unwrap();
        c.set_timeout(Duration::from_secs(120)).unwrap();
        c
    }

    fn processes(&mut self, condition: &str) -> u64 {
        let sql = format!("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE {condition}");
        self.other.query(&sql).unwrap().first().parse().unwrap()
    }

    /// Waits until the client's statement is under way, or over already.
    fn begun(&mut self, c: &mut Client) {
        let id = c.connection_id;
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.processes(&format!("ID = {id} AND COMMAND = 'Query'")) == 0 && !c.answered_within(Duration::from_millis(1)).unwrap() {
            assert!(Instant::now() < deadline, "the statement does not begin");
        }
    }

    /// The longest that the other connection waits for one row, of `times` times.
    fn longest_wait(&mut self, times: usize) -> Duration {
        let one = |other: &mut Client| {
            let begun = Instant::now();
            assert_eq!(other.query("SELECT n FROM s WHERE id = 7").unwrap().first(), "7");
            begun.elapsed()
        };
        (0..times).map(|_| one(&mut self.other)).max().unwrap_or_default()
    }
}

/// What takes long, and by whom it is run.
fn long_statements() -> Vec<(&'static str, String)> {
    let mut all: Vec<(&'static str, String)> = Vec::new();
    let mut add = |executor: &'static str, sql: &str| all.push((executor, sql.to_string()));
    // The row executor, where the estimate says that little is read.
    add("auto", "SELECT COUNT(*) FROM s a, s b, s c WHERE a.n + b.n + c.n < 0");
    add(
        "auto",
        "SELECT COUNT(*) FROM information_schema.COLUMNS a, information_schema.COLUMNS b, information_schema.COLUMNS c WHERE a.ORDINAL_POSITION + b.ORDINAL_POSITION + c.ORDINAL_POSITION < 0",
    );
    add("auto", "SELECT COUNT(*) FROM s a WHERE (SELECT COUNT(*) FROM s b WHERE b.n + (SELECT SUM(c.n) FROM s c WHERE c.id <> b.id) <> a.n) < 0");
    add("auto", "SELECT COUNT(*) FROM s a JOIN LATERAL (SELECT SUM(b.n) x FROM s b, s c WHERE b.id <> a.id) y");
    add("auto", "SELECT a.id, SUM(b.n) OVER (PARTITION BY a.id ORDER BY b.id) FROM s a, s b");
    add("auto", "SELECT a.id, SUM(b.n) OVER (ORDER BY b.id, a.id ROWS BETWEEN 500 PRECEDING AND 1 PRECEDING) FROM s a, s b");
    add("auto", "SELECT COUNT(*) FROM (SELECT DISTINCT a.id, b.id AS j FROM s a, s b UNION SELECT a.id * 2, b.id FROM s a, s b) x");
    add("auto", "SELECT a.id FROM s a, s b ORDER BY a.pad, b.pad, a.id + b.id");
    add("auto", "SELECT LENGTH(GROUP_CONCAT(a.pad, b.pad)) FROM s a, s b, s c");
    add("auto", "SELECT LENGTH(GROUP_CONCAT(a.pad ORDER BY a.n, b.n)) FROM s a, s b");
    add("auto", "SELECT COUNT(DISTINCT a.id * b.id) FROM s a, s b, s c");
    add(
        "auto",
        "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 1000) SELECT COUNT(*) FROM r a, r b, r c WHERE a.n + b.n + c.n < 0",
    );
    add("auto", "WITH RECURSIVE r AS (SELECT 1 AS n UNION SELECT r.n + s.id FROM r, s) SELECT COUNT(*) FROM r");
    add("auto", "DO BENCHMARK(1000000000, SHA2('x', 512))");
    add("auto", "SELECT SUM(BENCHMARK(1000, SHA2(pad, 512))) FROM s");
    add("auto", "SELECT SLEEP(1000)");
    add("auto", "SELECT COUNT(*) FROM s WHERE SLEEP(10) = 0");
    add("auto", "SELECT GET_LOCK('held', 1000)");
    add("auto", "SELECT n FROM s WHERE id = 0 FOR UPDATE");
    // A fragment of many rows.
    add("fragment", "SELECT pad, COUNT(*) FROM t WHERE LENGTH(SHA2(REPEAT(pad, 100), 512)) > n GROUP BY pad, n");
    // DataFusion.
    add("analytic", "SELECT COUNT(*) FROM t a JOIN t b ON a.n = b.n JOIN t c ON c.n = b.n WHERE a.id + b.id + c.id < 0");
    add("analytic", "SELECT a.pad, b.pad FROM t a JOIN t b ON a.n = b.n ORDER BY a.pad, b.pad, a.id + b.id");
    add("analytic", "SELECT a.id, b.id, COUNT(*), MAX(a.pad) FROM t a JOIN t b ON a.n = b.n GROUP BY a.id, b.id");
    add(
        "auto",
        "SELECT a.id, SUM(b.n) OVER (PARTITION BY a.n ORDER BY b.id ROWS BETWEEN 10000 PRECEDING AND CURRENT ROW) FROM t a JOIN t b ON a.n = b.n",
    );
    // Changes.
    add("auto", "INSERT INTO u (k, pad) SELECT a.id * 1000 + b.id, a.pad FROM s a, s b");
    add("auto", "UPDATE t SET n = n + 1, pad = SHA2(REPEAT(pad, 100), 512)");
    add("auto", "UPDATE t a JOIN t b ON a.n = b.n SET a.pad = b.pad");
    add("auto", "DELETE FROM t WHERE LENGTH(SHA2(REPEAT(pad, 100), 512)) > 1");
    add("auto", "UPDATE s SET n = 1 WHERE id = 0");
    add("auto", "ALTER TABLE t MODIFY n BIGINT NOT NULL");
    add("auto", "CREATE INDEX i ON t (pad, n)");
    add("auto", "CREATE TABLE v SELECT a.id * 100000 + b.id AS k, a.pad FROM t a JOIN t b ON a.n = b.n");
    all
}

#[test]
fn what_takes_long_holds_up_nobody_and_ends_when_it_is_killed() {
    let mut h = Hall::new();
    let mut holder = h.client();
    holder.query("SELECT GET_LOCK('held', 0)").unwrap();
    holder.query("BEGIN").unwrap();
    holder.query("UPDATE s SET n = 0 WHERE id = 0").unwrap();
    // As many as the server has threads for connections.
    let crowd = std::thread::available_parallelism().map_or(2, |n| n.get()).min(4);
    for (executor, sql) in long_statements() {
        let mut crowd: Vec<Client> = (0..crowd).map(|_| h.client()).collect();
        for c in &mut crowd {
            c.query(&format!("SET executor = '{executor}'")).unwrap();
            c.query("SET group_concat_max_len = 1000000000, cte_max_recursion_depth = 1000000").unwrap();
            c.send_query(sql.as_bytes()).unwrap();
        }
        crowd.iter_mut().for_each(|c| h.begun(c));
        let waited = h.longest_wait(20);
        assert!(waited < SOON, "{sql}: another client waited {waited:?}");
        let killed = Instant::now();
        for c in &crowd {
            h.other.query(&format!("KILL QUERY {}", c.connection_id)).unwrap();
        }
        for c in &mut crowd {
            match c.receive() {
                // It may have been quicker than we were, or two of them may have met.
                Ok(_) => (),
                Err(e) => assert!(matches!(e.code(), 1317 | 1213 | 1050 | 1061), "{sql}: {e}"),
            }
        }
        let took = killed.elapsed();
        println!("{executor}: {sql}\n  others {waited:?}, killed {took:?}");
        assert!(took < SOON, "{sql}: killed, it went on for {took:?}");
        // The connection is as it was.
        for c in &mut crowd {
            c.query("ROLLBACK").unwrap();
        }
        h.other.query("DROP TABLE IF EXISTS v").unwrap();
    }
    holder.query("ROLLBACK").unwrap();
    assert!(h.server.is_running());
}

#[test]
fn a_time_limit_ends_every_kind_of_query() {
    let h = Hall::new();
    let mut holder = h.client();
    holder.query("SELECT GET_LOCK('held', 0)").unwrap();
    holder.query("BEGIN").unwrap();
    holder.query("UPDATE s SET n = 0 WHERE id = 0").unwrap();
    let mut c = h.client();
    c.query("SET group_concat_max_len = 1000000000, cte_max_recursion_depth = 1000000").unwrap();
    for (executor, sql) in long_statements().into_iter().filter(|(_, sql)| sql.starts_with("SELECT") || sql.starts_with("WITH")) {
        c.query(&format!("SET executor = '{executor}'")).unwrap();
        c.query("SET max_execution_time = 100").unwrap();
        let begun = Instant::now();
        match c.query(&sql) {
            Err(e) => assert_eq!(e.code(), 3024, "{sql}: {e}"),
            Ok(_) => assert!(begun.elapsed() < Duration::from_millis(200) + SOON, "{sql} is not limited"),
        }
        let took = begun.elapsed();
        assert!(took < SOON + Duration::from_millis(100), "{sql} took {took:?}");
    }
    c.query("SET max_execution_time = 0").unwrap();
    assert_eq!(c.query("SELECT 1").unwrap().first(), "1");
    // The statement's own word is as good, and stands above the session's.
    c.query("SET executor = 'auto'").unwrap();
    let (_, long) = long_statements().into_iter().find(|(_, sql)| sql.starts_with("SELECT COUNT")).expect("a query that counts");
    for session in [0, 3_600_000] {
        c.query(&format!("SET max_execution_time = {session}")).unwrap();
        let begun = Instant::now();
        let hinted = long.replacen("SELECT", "SELECT /*+ MAX_EXECUTION_TIME(100) */", 1);
        assert_eq!(c.query(&hinted).unwrap_err().code(), 3024, "{hinted}");
        assert!(begun.elapsed() < SOON + Duration::from_millis(100), "{hinted} took {:?}", begun.elapsed());
    }
    c.query("SET max_execution_time = 1").unwrap();
    assert_eq!(c.query("SELECT /*+ MAX_EXECUTION_TIME(0) */ COUNT(*) FROM t").unwrap().rows.len(), 1);
}

/// Each with more to send than the sockets between hold.
const LONG_ANSWERS: [(&str, &str); 5] = [
    ("fragment", "SELECT a.*, REPEAT(pad, 20) FROM t a"),
    ("rows", "SELECT a.*, b.* FROM s a, s b, s c"),
    ("analytic", "SELECT a.*, b.* FROM t a JOIN t b ON a.n = b.n"),
    ("auto", "SELECT * FROM information_schema.COLUMNS a, information_schema.COLUMNS b, information_schema.COLUMNS c"),
    ("auto", "SELECT REPEAT(a.pad, 10000) FROM s a"),
];

#[test]
fn who_does_not_read_holds_up_nobody() {
    let mut h = Hall::new();
    let mut silent = Vec::new();
    for (executor, sql) in LONG_ANSWERS.iter().chain(&LONG_ANSWERS) {
        let mut c = h.client();
        c.query(&format!("SET executor = '{executor}'")).unwrap();
        c.send_query(sql.as_bytes()).unwrap();
        silent.push((c, *sql));
    }
    // Each of them has begun to answer, which means that the rest waits for its client.
    for (c, sql) in &mut silent {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !c.answered_within(Duration::from_millis(10)).unwrap() {
            assert!(Instant::now() < deadline, "{sql}: no answer");
            assert!(h.longest_wait(1) < SOON, "{sql}: another client waits");
        }
    }
    assert!(h.longest_wait(50) < SOON);
    // Whatever others want of the same tables, they get.
    for sql in [
        "SELECT COUNT(*), MAX(pad) FROM t",
        "SELECT COUNT(*) FROM t a JOIN t b ON a.id = b.id",
        "UPDATE s SET n = n WHERE id < 100",
        "INSERT INTO u (k) SELECT id FROM s",
        "ALTER TABLE s ADD COLUMN x INT",
        "ALTER TABLE s MODIFY x BIGINT",
        "CREATE INDEX i ON t (n)",
        "RENAME TABLE u TO w",
        "SNAPSHOT DATABASE d",
        "TRUNCATE t",
        "DROP TABLE w",
        "CREATE DATABASE e",
        "DROP DATABASE e",
        "FLUSH LOGS",
    ] {
        let begun = Instant::now();
        h.other.query(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
        let took = begun.elapsed();
        println!("{sql}: {took:?}");
        assert!(took < 3 * SOON, "{sql} took {took:?} beside clients that do not read");
    }
    // A killed query's client still does not read; a killed connection is gone at once.
    let ids: Vec<String> = silent.iter().map(|(c, _)| c.connection_id.to_string()).collect();
    for id in &ids {
        h.other.query(&format!("KILL QUERY {id}")).unwrap();
        h.other.query(&format!("KILL {id}")).unwrap();
    }
    let killed = Instant::now();
    while h.processes(&format!("ID IN ({})", ids.join(","))) > 0 {
        assert!(killed.elapsed() < SOON, "connections that were killed are still there");
    }
    drop(silent);
    h.other.query("DROP DATABASE d").unwrap();
}

#[test]
fn who_reads_slowly_gets_all_of_it_as_it_was() {
    let mut h = Hall::new();
    let mut c = h.client();
    c.send_query(b"SELECT a.id, b.id, b.pad FROM s a, s b").unwrap();
    h.begun(&mut c);
    // The rows change and go while they are sent.
    h.other.query("UPDATE s SET pad = 'changed'").unwrap();
    h.other.query("DELETE FROM s WHERE id > 10").unwrap();
    pause(Duration::from_millis(200));
    let a = c.receive().unwrap();
    assert_eq!(a.rows.len(), (SMALL * SMALL) as usize);
    assert!(a.rows.iter().all(|r| r[2].as_deref() == Some("x".repeat(50).as_bytes())), "the answer is not of one moment");
}

#[test]
fn more_sleepers_than_threads_leave_room_for_others() {
    let mut h = Hall::new();
    h.other.query("SET GLOBAL max_connections = 1000").unwrap();
    let mut sleepers: Vec<Client> = (0..450).map(|_| h.client()).collect();
    for c in &mut sleepers {
        c.send_query(b"SELECT SLEEP(1000)").unwrap();
    }
    // Beyond what there are threads for, they are refused.
    let mut refused = 0;
    let deadline = Instant::now() + Duration::from_secs(60);
    while h.processes("COMMAND = 'Query' AND INFO LIKE 'SELECT SLEEP%'") + refused < 450 {
        assert!(Instant::now() < deadline, "the sleepers do not sleep");
        refused = sleepers.iter_mut().filter_map(|c| c.answered_within(Duration::from_micros(10)).unwrap().then_some(1)).sum();
    }
    assert!(h.longest_wait(20) < SOON);
    let mut answered = 0;
    for c in &mut sleepers {
        if c.answered_within(Duration::from_micros(10)).unwrap() {
            assert_eq!(c.receive().unwrap_err().code(), 1135);
            answered += 1;
        }
    }
    assert!(answered > 0 && answered < 450, "{answered} were refused");
    let killed = Instant::now();
    for c in &sleepers {
        h.other.query(&format!("KILL {}", c.connection_id)).unwrap();
    }
    while h.processes("INFO LIKE 'SELECT SLEEP%'") > 0 {
        assert!(killed.elapsed() < 5 * SOON, "sleepers go on");
    }
    match h.client().query("SELECT SLEEP(0.001)") {
        Ok(a) => assert_eq!(a.first(), "0"),
        Err(Error::Server(e)) => panic!("no place to sleep again: {e:?}"),
        Err(e) => panic!("{e}"),
    }
}
