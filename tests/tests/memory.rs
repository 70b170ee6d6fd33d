//! Memory has limits, and what happens at them is an error to one statement (1712, 1720), or less speed: never a wrong answer, and never the end of the process.

#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

use std::time::Duration;
use weald_tests::client::{Client, Error, Param};
use weald_tests::server::Server;
use weald_wire::constants::column;

const MB: u64 = 1 << 20;

struct Hall {
    server: Server,
    c: Client,
}

impl Hall {
    /// `t` with 20,000 rows, `s` with 300, `u` without any.
    fn new(arguments: &[&str]) -> Self {
        let server = Server::start_with(arguments);
        let mut c = server.connect().unwrap();
        c.query("CREATE DATABASE d").unwrap();
        c.query("USE d").unwrap();
        for (table, rows) in [("s", 300), ("t", 20_000)] {
            c.query(&format!("CREATE TABLE {table} (id INT PRIMARY KEY, n INT NOT NULL, pad VARCHAR(200) NOT NULL)")).unwrap();
            for chunk in (0..rows).collect::<Vec<_>>().chunks(2000) {
                let values: Vec<String> = chunk.iter().map(|n| format!("({n},{},CONCAT('{n}',REPEAT('x',90)))", n % 250)).collect();
                c.query(&format!("INSERT INTO {table} VALUES {}", values.join(","))).unwrap();
            }
        }
        c.query("CREATE TABLE u (id BIGINT PRIMARY KEY AUTO_INCREMENT, k BIGINT, pad VARCHAR(300))").unwrap();
        c.set_timeout(Duration::from_secs(300)).unwrap();
        Self { server, c }
    }

    /// The most that the process has taken, in bytes, since the last call of [`Hall::forget_peak`].
    fn peak(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.server.pid())).unwrap();
        let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }
    fn forget_peak(&self) {
        std::fs::write(format!("/proc/{}/clear_refs", self.server.pid()), "5").unwrap();
    }
}

/// Each holds more than a megabyte, whoever runs it.
const HOLDS_MUCH: [(&str, &str); 29] = [
    ("fragment", "SELECT * FROM t ORDER BY pad DESC, id"),
    ("fragment", "SELECT pad, COUNT(*), SUM(n) FROM t GROUP BY pad ORDER BY 1"),
    ("fragment", "SELECT DISTINCT pad, n FROM t ORDER BY 1, 2"),
    ("rows", "SELECT COUNT(DISTINCT pad) FROM t"),
    ("rows", "SELECT n, GROUP_CONCAT(pad ORDER BY id) FROM t GROUP BY n ORDER BY n"),
    ("rows", "SELECT JSON_LENGTH(JSON_ARRAYAGG(pad)) FROM t"),
    ("rows", "SELECT a.id, b.pad FROM t a JOIN t b ON a.n = b.n AND a.id < 200 ORDER BY b.pad, a.id"),
    ("rows", "SELECT CONCAT(pad, n) AS k, COUNT(*) FROM t GROUP BY k ORDER BY k"),
    ("rows", "SELECT DISTINCT CONCAT(pad, n) FROM t ORDER BY 1"),
    ("rows", "SELECT COUNT(DISTINCT CONCAT(pad, n)) FROM t"),
    ("rows", "SELECT pad FROM t UNION SELECT CONCAT('a', pad) FROM t ORDER BY 1"),
    ("rows", "SELECT pad FROM t INTERSECT SELECT pad FROM t WHERE n < 200 ORDER BY 1"),
    ("rows", "SELECT COUNT(*) FROM t WHERE pad IN (SELECT pad FROM t WHERE n < 200)"),
    ("rows", "SELECT id, ROW_NUMBER() OVER (PARTITION BY n ORDER BY pad) FROM t ORDER BY id"),
    ("rows", "SELECT id, SUM(n) OVER (ORDER BY pad ROWS BETWEEN 3 PRECEDING AND CURRENT ROW) FROM t ORDER BY id"),
    ("rows", "SELECT LENGTH(GROUP_CONCAT(pad)) FROM t"),
    ("rows", "SELECT JSON_LENGTH(JSON_ARRAYAGG(pad)), JSON_LENGTH(JSON_OBJECTAGG(id, pad)) FROM t"),
    (
        "rows",
        "WITH RECURSIVE r AS (SELECT id, pad FROM t WHERE id < 5000 UNION ALL SELECT id + 5000, pad FROM r WHERE id < 15000) SELECT COUNT(*), MAX(pad) FROM r",
    ),
    ("rows", "SELECT x.n, y.pad FROM (SELECT n, MAX(pad) p FROM t GROUP BY n) x JOIN (SELECT DISTINCT n, pad FROM t) y ON x.n = y.n ORDER BY 2"),
    ("rows", "SELECT MAX(x) FROM (SELECT REPEAT(pad, 30000) AS x FROM s) y"),
    ("analytic", "SELECT a.id, b.pad FROM t a JOIN t b ON a.n = b.n AND a.id < 200 ORDER BY b.pad, a.id"),
    ("analytic", "SELECT a.id FROM t a JOIN t b ON a.id = b.id + 1 ORDER BY a.pad, b.pad, a.id DESC"),
    ("analytic", "SELECT pad, COUNT(*), SUM(n) FROM t GROUP BY pad ORDER BY pad"),
    ("analytic", "SELECT DISTINCT CONCAT(pad, n) FROM t ORDER BY 1"),
    ("analytic", "SELECT a.pad, COUNT(*) FROM t a JOIN t b ON a.n = b.n GROUP BY a.pad ORDER BY 1"),
    ("analytic", "SELECT pad FROM t UNION SELECT CONCAT('a', pad) FROM t ORDER BY 1"),
    ("analytic", "SELECT COUNT(*) FROM t WHERE pad IN (SELECT pad FROM t WHERE n < 200)"),
    ("analytic", "SELECT a.pad FROM t a LEFT JOIN t b ON a.pad = b.pad AND b.n < 100 WHERE b.id IS NULL ORDER BY 1"),
    ("analytic", "SELECT MAX(REPEAT(pad, 100)) FROM t"),
];

#[test]
fn a_query_at_its_budget_spills_or_fails_and_is_never_wrong() {
    let mut h = Hall::new(&[]);
    h.c.query("SET group_concat_max_len = 100000000, cte_max_recursion_depth = 100000").unwrap();
    h.forget_peak();
    let before = h.peak();
    let mut refused = 0;
    for (executor, sql) in HOLDS_MUCH {
        h.c.query(&format!("SET executor = '{executor}'")).unwrap();
        h.c.query("SET maximum_query_memory = 1").unwrap();
        let small = h.c.query(sql);
        h.c.query("SET maximum_query_memory = 500").unwrap();
        let enough = h.c.query(sql).unwrap_or_else(|e| panic!("{executor}: {sql}: {e}"));
        match small {
            Ok(a) => assert!(a.rows == enough.rows, "{executor}: {sql}: another answer where memory is short"),
            Err(e) => {
                assert_eq!((e.code(), e.state()), (1712, "HY000"), "{executor}: {sql}: {e}");
                refused += 1;
            }
        }
    }
    assert!(refused >= 10, "only {refused} were refused: the budget is not kept");
    assert!(h.server.is_running());
    let grown = h.peak().saturating_sub(before);
    assert!(grown < 1500 * MB, "{} MB for statements of a few dozen each", grown / MB);
}

#[test]
fn a_change_at_its_budget_leaves_nothing_behind() {
    let mut h = Hall::new(&[]);
    for sql in [
        "INSERT INTO u (k, pad) SELECT id, pad FROM t",
        "INSERT INTO u (k, pad) SELECT a.id, CONCAT(a.pad, b.pad) FROM s a, s b",
        "REPLACE INTO u (k, pad) SELECT id, pad FROM t ORDER BY pad",
        "UPDATE t SET pad = CONCAT('y', pad)",
        "UPDATE t a JOIN t b ON a.id = b.id SET a.pad = CONCAT('y', b.pad)",
        "DELETE a FROM t a JOIN t b ON a.id = b.id",
        "CREATE TABLE v SELECT id, pad FROM t ORDER BY pad",
    ] {
        h.c.query("SET maximum_query_memory = 1").unwrap();
        let e = h.c.query(sql).expect_err(sql);
        assert_eq!(e.code(), 1712, "{sql}: {e}");
        h.c.query("SET maximum_query_memory = DEFAULT").unwrap();
        let a = h.c.query("SELECT COUNT(*), SUM(pad LIKE 'y%'), (SELECT COUNT(*) FROM u) FROM t").unwrap();
        assert_eq!(a.texts(), [["20000", "0", "0"]], "after {sql}");
    }
    assert_eq!(h.c.query("SELECT COUNT(*) FROM v").unwrap_err().code(), 1146, "CREATE TABLE … SELECT left its table");
    // DELETE is the way out, however little there is.
    h.c.query("SET maximum_query_memory = 1").unwrap();
    assert_eq!(h.c.query("DELETE FROM t LIMIT 1000").unwrap().affected, 1000);
}

#[test]
fn large_values_are_made_a_few_at_a_time() {
    let mut h = Hall::new(&[]);
    h.c.query("SELECT COUNT(*) FROM t").unwrap();
    h.forget_peak();
    let before = h.peak();
    for (executor, sql, answer) in [
        ("rows", "SELECT SUM(LENGTH(x)) FROM (SELECT REPEAT('x', 10000000) AS x FROM s) y", "3000000000"),
        ("rows", "SELECT SUM(LENGTH(x)) FROM (SELECT REPEAT(a.pad, 10000) AS x FROM s a, s b WHERE b.id < 10) y", "2779000000"),
        ("analytic", "SELECT SUM(LENGTH(REPEAT('x', 100000 + n))) FROM t", "2002490000"),
        ("auto", "SELECT SUM(LENGTH(REPEAT(pad, 1000))) FROM t", "1888890000"),
    ] {
        h.c.query(&format!("SET executor = '{executor}'")).unwrap();
        match h.c.query(sql) {
            Ok(a) => assert_eq!(a.first(), answer, "{executor}: {sql}"),
            // DataFusion makes a batch at once: one that is too large is no error unless something was sent before it.
            Err(Error::Server(e)) if executor == "analytic" => assert!(e.message.contains("executor = analytic"), "{e:?}"),
            Err(e) => panic!("{executor}: {sql}: {e}"),
        }
        let grown = h.peak().saturating_sub(before);
        assert!(grown < 700 * MB, "{executor}: {sql}: {} MB", grown / MB);
    }
}

#[test]
fn a_long_statement_is_counted_before_it_is_understood() {
    let mut h = Hall::new(&["--maximum-memory", "900", "--maximum-table-memory", "300"]);
    let numbers = |n: usize| vec!["1"; n].join(",");
    let rows = vec!["(1,1,'x')"; 400_000].join(",");
    h.forget_peak();
    let before = h.peak();
    for (name, sql) in [
        ("a list of three million", format!("SELECT 2 IN ({})", numbers(3_000_000))),
        ("an insert of many rows", format!("INSERT INTO t VALUES {rows}")),
        ("conditions", format!("SELECT COUNT(*) FROM t WHERE {}", vec!["id=1"; 900_000].join(" OR "))),
    ] {
        let mut c = Client::connect("127.0.0.1", h.server.port, "root", "", Some("d")).unwrap();
        c.set_timeout(Duration::from_secs(300)).unwrap();
        let e = c.query(&sql).expect_err(name);
        assert!(matches!(e.code(), 1712 | 1436), "{name}: {e}");
        assert_eq!(c.query("SELECT COUNT(*) FROM s").unwrap().first(), "300");
        let (mut again, text) = (Client::connect("127.0.0.1", h.server.port, "root", "", Some("d")).unwrap(), sql);
        again.set_timeout(Duration::from_secs(300)).unwrap();
        assert!(matches!(again.prepare(&text).expect_err(name).code(), 1712 | 1436));
    }
    // Shorter ones pass.
    assert_eq!(h.c.query(&format!("SELECT 2 IN ({})", numbers(100_000))).unwrap().first(), "0");
    assert_eq!(h.c.query(&format!("SELECT LENGTH('{}')", "x".repeat(20_000_000))).unwrap().first(), "20000000");
    let grown = h.peak().saturating_sub(before);
    assert!(grown < 700 * MB, "{} MB", grown / MB);
    assert!(h.server.is_running());
}

#[test]
fn plans_and_prepared_statements_take_no_more_than_they_may() {
    let mut h = Hall::new(&["--maximum-memory", "600", "--maximum-table-memory", "200"]);
    // Texts of a hundred kilobytes, each with a plan of its own.
    for n in 0..150 {
        let columns: Vec<String> = (0..300).map(|c| format!("id AS `{}{n}_{c}`", "x".repeat(40))).collect();
        h.c.query(&format!("SELECT {} FROM t WHERE id = {n}", columns.join(","))).unwrap();
    }
    let status = h.c.query("SELECT COUNT(*), SUM(LENGTH(QUERY_TEXT)) > 0 FROM information_schema.PLANCACHE").unwrap();
    assert_eq!(status.texts()[0][1], "1");
    // Prepared statements are kept by name or number, as many as there is room for.
    let text = format!("SELECT {}", vec!["1"; 400_000].join(","));
    let mut c = Client::connect("127.0.0.1", h.server.port, "root", "", Some("d")).unwrap();
    c.set_timeout(Duration::from_secs(300)).unwrap();
    let refused = (0..40).find_map(|_| c.prepare(&format!("SELECT 1 IN ({})", &text[7..])).err());
    assert_eq!(refused.expect("forty large trees are kept").code(), 1712);
    assert_eq!(h.c.query("SELECT COUNT(*) FROM s").unwrap().first(), "300");
    drop(c);
    let kept = |c: &mut Client| c.query("SHOW GLOBAL STATUS LIKE 'Prepared_stmt_count'").unwrap().texts()[0][1].clone();
    while kept(&mut h.c) != "0" {
        weald_tests::server::pause(Duration::from_millis(10));
    }
    let mut held = Vec::new();
    h.c.query("SET GLOBAL max_prepared_stmt_count = 20").unwrap();
    let mut c = Client::connect("127.0.0.1", h.server.port, "root", "", Some("d")).unwrap();
    for n in 0..20 {
        if n % 2 == 0 {
            held.push(c.prepare("SELECT ?").unwrap().0);
        } else {
            c.query(&format!("PREPARE p{n} FROM 'SELECT 1'")).unwrap();
        }
    }
    assert_eq!(c.query("PREPARE q FROM 'SELECT 1'").unwrap_err().code(), 1461);
    assert_eq!(c.prepare("SELECT 1").unwrap_err().code(), 1461);
    c.query("DEALLOCATE PREPARE p1").unwrap();
    c.query("PREPARE p3 FROM 'SELECT 2'").unwrap();
    held.push(c.prepare("SELECT ?").unwrap().0);
    assert_eq!(c.prepare("SELECT 1").unwrap_err().code(), 1461);
    assert_eq!(kept(&mut c), "20");
    c.reset_connection().unwrap();
    assert_eq!(kept(&mut c), "0");
}

#[test]
fn a_large_transaction_ends_or_is_refused_and_others_go_on() {
    let mut h = Hall::new(&["--maximum-memory", "500", "--maximum-table-memory", "120"]);
    let mut c = Client::connect("127.0.0.1", h.server.port, "root", "", Some("d")).unwrap();
    c.set_timeout(Duration::from_secs(300)).unwrap();
    c.query("BEGIN").unwrap();
    let full = (0..200).find_map(|_| c.query("INSERT INTO u (k, pad) SELECT id, pad FROM t").err()).expect("no limit");
    assert!(matches!(full.code(), 1720 | 1712), "{full}");
    // The statement that met the limit has left nothing; the transaction still can be ended either way.
    let rows = c.query("SELECT COUNT(*) FROM u").unwrap().first_int();
    assert!(rows > 20_000 && rows % 20_000 == 0, "{rows}");
    assert_eq!(h.c.query("SELECT COUNT(*) FROM u").unwrap().first(), "0");
    c.query("ROLLBACK").unwrap();
    let mut room = false;
    for _ in 0..600 {
        room |= h.c.query("INSERT INTO u (k) VALUES (1)").is_ok();
        if room {
            break;
        }
        weald_tests::server::pause(Duration::from_millis(50));
    }
    assert!(room, "what was rolled back still takes its room");
    c.query("BEGIN").unwrap();
    c.query("INSERT INTO u (k, pad) SELECT id, pad FROM t").unwrap();
    c.query("COMMIT").unwrap();
    assert_eq!(h.c.query("SELECT COUNT(*) FROM u").unwrap().first(), "20001");
    h.server.restart();
    assert_eq!(h.server.connect().unwrap().query("SELECT COUNT(*) FROM d.u").unwrap().first(), "20001");
}

#[test]
fn what_sessions_keep_between_statements_is_counted() {
    let mut h = Hall::new(&["--maximum-memory", "400", "--maximum-table-memory", "100"]);
    h.c.query("SELECT COUNT(*) FROM t").unwrap();
    h.forget_peak();
    let before = h.peak();
    let enter = |h: &Hall| {
        let c = Client::connect("127.0.0.1", h.server.port, "root", "", Some("d")).unwrap();
        c.set_timeout(Duration::from_secs(300)).unwrap();
        c
    };
    let fits = |h: &Hall, what: &str| {
        let grown = h.peak().saturating_sub(before);
        assert!(grown < 700 * MB, "{what}: {} MB", grown / MB);
    };
    // User variables, many in one session and a few in many.
    let mut c = enter(&h);
    let refused = (0..200).find_map(|n| c.query(&format!("SET @v{n} = REPEAT('x', 10000000)")).err());
    assert_eq!(refused.expect("two gigabytes of variables").code(), 1712);
    // What is there stays, and may be changed for something smaller.
    assert_eq!(c.query("SELECT LENGTH(@v0)").unwrap().first(), "10000000");
    c.query("SET @v0 = 'small'").unwrap();
    drop(c);
    let mut held = Vec::new();
    let refused = (0..60).find_map(|_| {
        let mut c = enter(&h);
        let refused = c.query("SELECT REPEAT('x', 20000000) INTO @a").err();
        held.push(c);
        refused
    });
    assert_eq!(refused.expect("a gigabyte of variables").code(), 1712);
    drop(held);
    fits(&h, "variables");
    // Long data of prepared statements: what is wrong with it is told at the execution.
    let mut held = Vec::new();
    for _ in 0..60 {
        let mut c = enter(&h);
        let (id, _) = c.prepare("SELECT LENGTH(?)").unwrap();
        for _ in 0..3 {
            c.send_long_data(id, 0, &[b'x'; 8_000_000]).unwrap();
        }
        held.push((c, id));
    }
    let refused = held.iter_mut().find_map(|(c, id)| c.execute_prepared(*id, &[Param::Long(column::BLOB)]).err());
    assert_eq!(refused.expect("a gigabyte of long data").code(), 1712);
    drop(held);
    fits(&h, "long data");
    // Packets that are not whole yet: who sends one that finds no room is told so and cut off.
    let mut held = Vec::new();
    for _ in 0..60 {
        let mut c = enter(&h);
        // Of a query of sixteen megabytes, all but the end.
        if c.write_raw(&[&[0xFE, 0xFF, 0xFF, 0, 3][..], &vec![b' '; 16_000_000]].concat()).is_ok() {
            held.push(c);
        }
    }
    let told = held.into_iter().filter_map(|mut c| {
        c.set_timeout(Duration::from_millis(200)).unwrap();
        c.read_packet().ok()
    });
    assert!(told.into_iter().any(|p| p[0] == 0xFF && u16::from_le_bytes([p[1], p[2]]) == 1712), "nobody was refused");
    fits(&h, "packets");
    assert_eq!(h.c.query("SELECT COUNT(*) FROM s").unwrap().first(), "300");
}

#[test]
fn many_large_values_in_one_expression_are_refused_before_the_process_is_too_large() {
    const LIMIT: u64 = 300;
    // A statement may have all there is.
    let server = Server::start_with(&["--maximum-memory", "300", "--variable", "maximum_query_memory=100000"]);
    let mut c = server.connect().unwrap();
    c.query("CREATE DATABASE d").unwrap();
    c.query("USE d").unwrap();
    c.query("CREATE TABLE l (a LONGTEXT, b LONGTEXT, c LONGTEXT, d LONGTEXT, e LONGTEXT, f LONGTEXT, g LONGTEXT)").unwrap();
    c.query("CREATE TABLE s (id INT PRIMARY KEY)").unwrap();
    c.query("INSERT INTO s VALUES (1), (2), (3), (4), (5), (6), (7)").unwrap();
    c.set_timeout(Duration::from_secs(300)).unwrap();
    let large = "REPEAT('a', 60000000)";
    let list = |n: usize| vec![large; n].join(", ");
    let nested = (0..11).fold(large.to_string(), |inner, _| format!("{large} < ({inner})"));
    let h = Hall { server, c };
    let mut c = h.server.connect().unwrap();
    c.query("USE d").unwrap();
    c.set_timeout(Duration::from_secs(300)).unwrap();
    for sql in [
        format!("SELECT LENGTH(CONCAT({}))", list(16)),
        format!("SELECT LENGTH(CONCAT_WS({}))", list(16)),
        format!("SELECT LENGTH(GREATEST({}))", list(12)),
        format!("SELECT JSON_LENGTH(JSON_ARRAY({}))", list(12)),
        format!("SELECT EXPORT_SET(0xFFFF, {large}, '')"),
        format!("SELECT {}", list(16)),
        format!("SELECT {nested}"),
        format!("SELECT COUNT(*) FROM s WHERE CONCAT({}) = id", list(7)),
        format!("SELECT id, {} FROM s", list(7)),
        "SELECT REPEAT(id, 60000000) FROM s ORDER BY 1".to_string(),
        format!("INSERT INTO l VALUES ({})", list(7)),
        format!("UPDATE l SET a = 'x', b = CONCAT({})", list(7)),
        format!("SET {}", (0..7).map(|n| format!("@v{n} = {large}")).collect::<Vec<_>>().join(", ")),
    ] {
        h.forget_peak();
        match c.query(&sql) {
            Ok(_) => assert!(sql.starts_with("UPDATE") || sql.contains("EXPORT_SET"), "{} was not refused", &sql[..60]),
            Err(e) => assert_eq!((e.code(), e.state()), (1712, "HY000"), "{}: {e}", &sql[..40]),
        }
        let peak = h.peak() / MB;
        println!("{peak} MB: {}", &sql[..sql.len().min(60)]);
        // A value that is being made and one that is being sent beyond what was counted.
        assert!(peak < LIMIT + 150, "{}: {peak} MB", &sql[..40]);
        c.query("SELECT 1").unwrap();
    }
    drop(c);
    // What was given back is of use to others, once it has been seen.
    let mut other = h.server.connect().unwrap();
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    loop {
        match other.query("SELECT LENGTH(CONCAT(REPEAT('a', 20000000), 'b'))") {
            Ok(a) => break assert_eq!(a.first(), "20000001"),
            Err(e) => assert!(std::time::Instant::now() < deadline, "{e}"),
        }
    }
}
