//! EXPLAIN, EXPLAIN ANALYZE and PROFILE: which executor, which partitions, by which access path, through which operators; and what each of them really did.

#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

use weald_tests::client::Client;
use weald_tests::server::Server;

struct Hall {
    _server: Server,
    c: Client,
}

impl Hall {
    /// `s` with 300 rows, `t` with more than the row executor takes by itself.
    fn new() -> Self {
        let server = Server::start();
        let mut c = server.connect().unwrap();
        c.query("CREATE DATABASE d PARTITIONS 4").unwrap();
        c.query("USE d").unwrap();
        for (table, rows) in [("s", 300), ("t", 21_000)] {
            c.query(&format!("CREATE TABLE {table} (id INT PRIMARY KEY, n INT NOT NULL, pad VARCHAR(50) NOT NULL, KEY n (n))")).unwrap();
            for chunk in (0..rows).collect::<Vec<_>>().chunks(3000) {
                let values: Vec<String> = chunk.iter().map(|n| format!("({n},{},'x')", n % 100)).collect();
                c.query(&format!("INSERT INTO {table} VALUES {}", values.join(","))).unwrap();
            }
        }
        Self { _server: server, c }
    }

    fn lines(&mut self, sql: &str) -> Vec<String> {
        self.c.query(sql).unwrap_or_else(|e| panic!("{sql}: {e}")).texts().into_iter().map(|mut r| r.remove(0)).collect()
    }
}

/// The rows that an operator is said to have given.
fn actual_rows<'l>(lines: &'l [String], operator: &str) -> &'l str {
    let line = lines.iter().find(|l| l.trim_start().starts_with(operator)).unwrap_or_else(|| panic!("no {operator} in {lines:#?}"));
    line.split_once("(actual: ").unwrap_or_else(|| panic!("{line}: nothing was measured")).1.split(' ').next().unwrap()
}

/// What runs a statement, where, and through what, from the top down.
const PLANS: [(&str, &str, &str, &[&str]); 17] = [
    ("SELECT n FROM t WHERE id = 5", "fragment", "single", &["Project n", "IndexSeek d.t, KEY PRIMARY (5)"]),
    ("SELECT n FROM t WHERE id IN (1, 2, 3)", "fragment", "up to 3", &["Project n", "IndexSeek d.t, KEY PRIMARY, 3 key(s)"]),
    (
        "SELECT n, pad FROM t WHERE id BETWEEN 5 AND 9 ORDER BY pad LIMIT 3",
        "fragment",
        "all",
        &["Limit 3", "Sort", "Project n, pad", "IndexRangeScan d.t, KEY PRIMARY >= 5 <= 9"],
    ),
    ("SELECT n, COUNT(*) FROM t WHERE n = 5 GROUP BY n", "fragment", "all", &["HashAggregate count() by n", "IndexRangeScan d.t, KEY n equal (5)"]),
    ("SELECT id FROM t WHERE id = 5 FOR UPDATE", "fragment", "single", &["Project id", "LockRows for update", "IndexSeek"]),
    (
        "SELECT a.id FROM s a JOIN s b ON a.id = b.n WHERE a.n < 3 ORDER BY a.id",
        "row",
        "all",
        &["Sort a.id", "Project a.id", "IndexLookupInnerJoin", "IndexRangeScan d.s AS a, KEY n < 3"],
    ),
    ("SELECT id FROM s WHERE n = (SELECT MAX(n) FROM s)", "row", "all", &["Project s.id", "Filter", "TableScan d.s"]),
    ("SELECT id, SUM(n) OVER (ORDER BY id) FROM s", "row", "all", &["Project", "Window sum(s.n) over", "TableScan d.s"]),
    ("SELECT n FROM s UNION SELECT id FROM s", "row", "all", &["Union", "Project", "TableScan d.s"]),
    ("WITH RECURSIVE r AS (SELECT 1 n UNION ALL SELECT n + 1 FROM r WHERE n < 5) SELECT * FROM r", "row", "all", &["Project n", "Recursive"]),
    ("SELECT COUNT(*) FROM t WHERE pad <> 'y'", "analytic", "all", &["ProjectionExec", "AggregateExec", "TableScan d.t shares="]),
    (
        "SELECT a.n, SUM(b.id) FROM t a JOIN t b ON a.id = b.n GROUP BY a.n ORDER BY 2 LIMIT 3",
        "analytic",
        "all",
        &["Sort", "AggregateExec", "HashJoinExec", "TableScan d.t"],
    ),
    ("UPDATE t SET n = 1 WHERE id = 5", "fragment", "single", &["Update d.t", "IndexSeek d.t, KEY PRIMARY (5)"]),
    ("DELETE FROM t WHERE n = 5", "fragment", "all", &["Delete d.t", "IndexRangeScan d.t, KEY n equal (5)"]),
    ("INSERT INTO s VALUES (1000, 1, ''), (1001, 1, '')", "fragment", "by shard key", &["Insert d.s", "Values 2 row(s)"]),
    ("INSERT INTO s SELECT id + 100000, n, pad FROM t", "analytic", "all", &["Insert d.s", "ProjectionExec", "TableScan d.t"]),
    ("UPDATE s a JOIN s b ON a.id = b.n SET a.n = b.n", "row", "all", &["Update s", "Project", "TableScan d.s AS"]),
];

#[test]
fn a_plan_says_who_runs_it_and_how() {
    let mut h = Hall::new();
    for (sql, executor, partitions, operators) in PLANS {
        let lines = h.lines(&format!("EXPLAIN FORMAT=TREE {sql}"));
        assert!(
            lines[0].starts_with(&format!("executor: {executor}")) && lines[0].ends_with(&format!("partitions: {partitions}")),
            "{sql}: {lines:#?}"
        );
        let mut rest = lines[1..].iter();
        for o in operators {
            assert!(rest.any(|l| l.trim_start().starts_with(o)), "{sql}: no {o}, or not there, in {lines:#?}");
        }
        // The same as JSON.
        let json = h.lines(&format!("EXPLAIN FORMAT=JSON {sql}")).remove(0);
        let valid = format!(
            "SELECT JSON_VALUE('{0}', '$.query_block.executor'), JSON_VALUE('{0}', '$.query_block.plan[0].operator')",
            json.replace('\\', "\\\\").replace('\'', "\\'")
        );
        let told = h.c.query(&valid).unwrap().texts();
        assert!(told[0][0].starts_with(executor) && operators[0].starts_with(told[0][1].as_str()) || executor == "analytic", "{sql}: {told:?}");
        // And as MySQL's table: a row for each access to a table.
        let table = h.c.query(&format!("EXPLAIN {sql}")).unwrap();
        let names: Vec<&str> = table.columns.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(names.join(" "), "id select_type table partitions type possible_keys key key_len ref rows filtered Extra");
        if operators.last().is_some_and(|o| o.contains("d.")) {
            let extra = &table.texts()[0][11];
            assert!(extra.contains(&format!("executor: {executor}")), "{sql}: {extra}");
        }
    }
    let a = h.c.query("EXPLAIN SELECT x.id FROM s x JOIN t y ON x.id = y.id WHERE y.n = 3").unwrap().texts();
    let tables: Vec<&str> = a.iter().map(|r| r[2].as_str()).collect();
    assert!(tables.contains(&"x") && tables.contains(&"y"), "{tables:?}");
    let point = h.c.query("EXPLAIN SELECT n FROM t WHERE id = 5").unwrap().texts();
    assert_eq!(point[0][..9], ["1", "SIMPLE", "t", "single", "const", "PRIMARY", "PRIMARY", "4", "const"]);
    // Asked for an executor, EXPLAIN shows its plan.
    for (executor, first) in [("fragment", "executor: fragment"), ("rows", "executor: row"), ("analytic", "executor: analytic")] {
        h.c.query(&format!("SET executor = '{executor}'")).unwrap();
        assert!(h.lines("EXPLAIN FORMAT=TREE SELECT COUNT(*) FROM s WHERE n > 5")[0].starts_with(first));
    }
    h.c.query("SET executor = 'auto'").unwrap();
    assert_eq!(h.c.query("EXPLAIN FORMAT=PRETTY SELECT 1").unwrap_err().code(), 1791);
    assert_eq!(h.c.query("SELECT COUNT(*) FROM s").unwrap().first(), "300", "EXPLAIN has run what it explains");
}

#[test]
fn what_was_measured_is_what_happened() {
    let mut h = Hall::new();
    for verb in ["EXPLAIN ANALYZE", "PROFILE"] {
        let fragment = h.lines(&format!("{verb} SELECT n FROM t WHERE n = 5 AND id < 1000"));
        assert_eq!((actual_rows(&fragment, "Project"), actual_rows(&fragment, "IndexRangeScan")), ("10", "210"), "{fragment:#?}");
        let rows = h.lines(&format!("{verb} SELECT a.n, COUNT(*) FROM s a JOIN s b ON a.n = b.n WHERE a.id < 10 GROUP BY a.n"));
        assert_eq!(actual_rows(&rows, "HashAggregate"), "10", "{rows:#?}");
        let analytic = h.lines(&format!("{verb} SELECT a.n, COUNT(*) FROM t a JOIN t b ON a.id = b.id WHERE a.n < 7 GROUP BY a.n"));
        assert!(analytic[0].starts_with("executor: analytic"), "{analytic:#?}");
        assert_eq!(actual_rows(&analytic, "Result"), "7");
        assert_eq!(actual_rows(&analytic, "HashJoinExec"), "1470", "{analytic:#?}");
        assert!(analytic.iter().any(|l| l.contains("TableScan") && l.contains("actual: 1470 rows")), "{analytic:#?}");
    }
    let changed = h.lines("EXPLAIN ANALYZE UPDATE t SET pad = 'y' WHERE n = 5");
    assert_eq!(actual_rows(&changed, "Update"), "210");
    assert_eq!(h.c.query("SELECT COUNT(*) FROM t WHERE pad = 'y'").unwrap().first(), "210", "ANALYZE did not do it");
    let profile = h.lines("PROFILE SELECT COUNT(*) FROM s");
    assert_eq!(h.lines("SHOW PROFILE"), profile);
}
