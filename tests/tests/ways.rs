//! Ways to a table's rows: which index is taken depends on the values, long lists are searched and not walked through, and the rows are the same whatever
//! the way.

#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

use std::fmt::Write;
use std::time::{Duration, Instant};
use weald_tests::client::Client;
use weald_tests::server::Server;

const ROWS: u64 = 20_000;

/// A number that looks as if drawn.
fn drawn(n: u64) -> u64 {
    n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40
}

fn k_of(id: u64) -> u64 {
    drawn(id) % ROWS
}
fn v_of(id: u64) -> u64 {
    drawn(id + ROWS) % ROWS
}

struct Hall {
    _server: Server,
    c: Client,
}

impl Hall {
    fn new() -> Self {
        let server = Server::start();
        let mut c = server.connect().unwrap();
        c.query("CREATE DATABASE d PARTITIONS 4").unwrap();
        c.query("USE d").unwrap();
        c.query(
            "CREATE TABLE t (id INT PRIMARY KEY, k INT NOT NULL, v INT NOT NULL, s VARCHAR(20) NOT NULL, few INT NOT NULL, KEY k (k), KEY few (few))",
        )
        .unwrap();
        for chunk in (0..ROWS).collect::<Vec<_>>().chunks(2000) {
            let values: Vec<String> = chunk.iter().map(|id| format!("({id},{},{},'S{}',{})", k_of(*id), v_of(*id), v_of(*id), id % 2)).collect();
            c.query(&format!("INSERT INTO t VALUES {}", values.join(","))).unwrap();
        }
        Self { _server: server, c }
    }

    fn lines(&mut self, sql: &str) -> Vec<String> {
        self.c.query(sql).unwrap_or_else(|e| panic!("{sql}: {e}")).texts().into_iter().map(|r| r.join("|")).collect()
    }

    /// The one number that a query answers, or the rows that a change is said to have changed.
    fn number(&mut self, sql: &str) -> u64 {
        let begun = Instant::now();
        let shown = &sql[..sql.len().min(80)];
        let answer = self.c.query(sql).unwrap_or_else(|e| panic!("{shown}: {e}"));
        // Comparing each row with each item of a list took minutes.
        assert!(begun.elapsed() < Duration::from_secs(20), "{shown} took {:?}", begun.elapsed());
        match answer.texts().first() {
            Some(row) => row[0].parse().unwrap(),
            None => answer.affected,
        }
    }
}

#[test]
fn long_lists_find_what_short_ones_would() {
    let mut h = Hall::new();
    let wanted: Vec<u64> = (0..10_000).map(|n| drawn(n + 77) % (2 * ROWS)).collect();
    let set_of = |wanted: &[u64]| {
        let mut all = vec![false; 2 * ROWS as usize];
        wanted.iter().for_each(|w| all[*w as usize] = true);
        move |n: u64| all[n as usize]
    };
    let is_wanted = set_of(&wanted);
    let mut list = String::new();
    let (mut texts, mut pairs) = (String::new(), String::new());
    for w in &wanted {
        let _ = write!(list, "{w},");
        let _ = write!(texts, "'s{w}',");
        let _ = write!(pairs, "({},{w}),", w / 2);
    }
    let (list, texts, pairs) = (list.trim_end_matches(','), texts.trim_end_matches(','), pairs.trim_end_matches(','));
    let either = |column: &str| wanted.iter().take(3000).map(|w| format!("{column} = {w}")).collect::<Vec<_>>().join(" OR ");
    let is_early = set_of(&wanted[..3000]);
    let count = |f: &dyn Fn(u64) -> bool| (0..ROWS).filter(|id| f(*id)).count() as u64;

    let pairs_seen: std::collections::HashSet<(u64, u64)> = (0..9000).map(|id| (v_of(id), k_of(id))).collect();

    for executor in ["auto", "rows", "analytic"] {
        h.c.query(&format!("SET executor = '{executor}'")).unwrap();
        assert_eq!(h.number(&format!("SELECT COUNT(*) FROM t WHERE id IN ({list})")), count(&is_wanted));
        assert_eq!(h.number(&format!("SELECT COUNT(*) FROM t WHERE k IN ({list})")), count(&|id| is_wanted(k_of(id))));
        assert_eq!(h.number(&format!("SELECT COUNT(*) FROM t WHERE v NOT IN ({list})")), count(&|id| !is_wanted(v_of(id))));
        assert_eq!(h.number(&format!("SELECT COUNT(*) FROM t WHERE s IN ({texts})")), count(&|id| is_wanted(v_of(id))));
        assert_eq!(h.number(&format!("SELECT COUNT(*) FROM t WHERE {}", either("v"))), count(&|id| is_early(v_of(id))));
        assert_eq!(h.number(&format!("SELECT COUNT(*) FROM t WHERE {}", either("id"))), count(&is_early));
        // A subquery that stays one is a list as well; it is the row executor's.
        if executor != "analytic" {
            let asked = "SELECT k * 2 FROM t WHERE id < 9000";
            let doubled = set_of(&(0..9000).map(|id| k_of(id) * 2).collect::<Vec<_>>());
            let or_negative = count(&|id| doubled(v_of(id)));
            assert_eq!(h.number(&format!("SELECT COUNT(*) FROM t WHERE v IN ({asked}) OR few < 0")), or_negative);
            assert_eq!(h.number(&format!("SELECT SUM(v NOT IN ({asked})) FROM t")), ROWS - or_negative);
            assert_eq!(
                h.number("SELECT COUNT(*) FROM t WHERE (v, k) IN (SELECT v, k FROM t WHERE id < 9000) OR few < 0"),
                count(&|id| pairs_seen.contains(&(v_of(id), k_of(id))))
            );
        }
        let paired = |id: u64| v_of(id) / 2 == id && is_wanted(v_of(id));
        assert_eq!(h.number(&format!("SELECT COUNT(*) FROM t WHERE (id, v) IN ({pairs})")), count(&paired));
    }
    h.c.query("SET executor = 'auto'").unwrap();
    // Several partitions, each of which has to look for its own keys only.
    assert_eq!(h.lines(&format!("SELECT id FROM t WHERE id IN ({list})")).len() as u64, count(&is_wanted));
    assert_eq!(h.number(&format!("UPDATE t SET few = few + 2 WHERE k IN ({list})")), count(&|id| is_wanted(k_of(id))));
    assert_eq!(h.number(&format!("UPDATE t SET few = few + 2 WHERE v IN ({list})")), count(&|id| is_wanted(v_of(id))));
    assert_eq!(h.number(&format!("UPDATE t SET few = few + 2 WHERE {}", either("v"))), count(&|id| is_early(v_of(id))));
    assert_eq!(h.number(&format!("DELETE FROM t WHERE id IN ({list})")), count(&is_wanted));
    assert_eq!(h.number(&format!("DELETE FROM t WHERE s IN ({texts})")), count(&|id| !is_wanted(id) && is_wanted(v_of(id))));
    assert_eq!(h.number("SELECT COUNT(*) FROM t"), count(&|id| !is_wanted(id) && !is_wanted(v_of(id))));
}

#[test]
fn the_values_decide_which_index_is_read() {
    let mut h = Hall::new();
    let plan = |h: &mut Hall, sql: &str| h.lines(&format!("EXPLAIN FORMAT=TREE {sql}")).join("\n");
    // Few rows by one index, which then are sorted; or as many as wanted in the order of the other.
    for (sql, by, sorted) in [
        ("SELECT id FROM t WHERE id BETWEEN 100 AND 140 ORDER BY k LIMIT 3", "KEY PRIMARY", true),
        ("SELECT id FROM t WHERE id BETWEEN 100 AND 19000 ORDER BY k LIMIT 3", "KEY k", false),
        ("SELECT id FROM t WHERE few = 1 ORDER BY id LIMIT 3", "KEY PRIMARY", false),
        // Both are equalities; one of them says little.
        ("SELECT id FROM t WHERE few = 1 AND k BETWEEN 50 AND 60", "KEY k", false),
        ("SELECT id FROM t WHERE few = 7 AND k BETWEEN 50 AND 60", "KEY few", false),
    ] {
        let plan = plan(&mut h, sql);
        assert!(plan.contains(by), "{sql}\n{plan}");
        if sql.contains("LIMIT") {
            assert_eq!(plan.contains("Sort"), sorted || plan.contains("partitions: all"), "{sql}\n{plan}");
        }
        let auto = h.lines(sql);
        h.c.query("SET executor = 'rows'").unwrap();
        let rows = h.lines(sql);
        h.c.query("SET executor = 'auto'").unwrap();
        assert_eq!(sorted_lines(auto), sorted_lines(rows), "{sql}");
    }
    // The same text with other values goes another way, though its plan is the same one.
    let few = "SELECT id FROM t WHERE id BETWEEN 5 AND 25 AND s <> 'x' ORDER BY k, id LIMIT 4";
    let many = "SELECT id FROM t WHERE id BETWEEN 5 AND 19999 AND s <> 'x' ORDER BY k, id LIMIT 4";
    for sql in [few, many, few, many] {
        let low_high: Vec<u64> = if sql == few { (5..=25).collect() } else { (5..=19_999).collect() };
        let mut expected: Vec<(u64, u64)> = low_high.into_iter().map(|id| (k_of(id), id)).collect();
        expected.sort();
        assert_eq!(h.lines(sql), expected[..4].iter().map(|e| e.1.to_string()).collect::<Vec<_>>(), "{sql}");
    }
    // Alternatives are ranges of one index, which may overlap.
    let ranges = "k BETWEEN 5 AND 10 OR k BETWEEN 8 AND 20 OR k > 19990 OR k = 77";
    let found = plan(&mut h, &format!("SELECT COUNT(*) FROM t WHERE {ranges}"));
    assert!(found.contains("KEY k, 4 ranges"), "{found}");
    let expected = (0..ROWS).map(k_of).filter(|k| (5..=20).contains(k) || *k > 19_990 || *k == 77).count() as u64;
    assert_eq!(h.number(&format!("SELECT COUNT(*) FROM t WHERE {ranges}")), expected);
    assert_eq!(h.number(&format!("UPDATE t SET v = v + 1 WHERE {ranges}")), expected);
    assert_eq!(
        h.number("SELECT COUNT(*) FROM t WHERE k < NULL OR k BETWEEN NULL AND 5 OR k = 3"),
        (0..ROWS).filter(|id| k_of(*id) == 3).count() as u64
    );
    // The end of an open range is small as well, and needs no other executor.
    assert!(plan(&mut h, "SELECT COUNT(*) FROM t WHERE id > 19990").starts_with("executor: fragment"));
    // In place, with a limit: MySQL's order of the rows decides which are changed.
    h.c.query("CREATE TABLE one (id INT PRIMARY KEY, k INT NOT NULL, v INT NOT NULL, UNIQUE KEY k (k))").unwrap();
    h.c.query("INSERT INTO one SELECT id, 100000 - id, 0 FROM t").unwrap();
    for (sql, changed) in [
        ("UPDATE one SET v = 1 WHERE id BETWEEN 10 AND 15 ORDER BY k LIMIT 2", "14|15"),
        ("UPDATE one SET v = 2 WHERE id > 1 ORDER BY k LIMIT 2", "19998|19999"),
        ("UPDATE one SET v = 3 WHERE id > 1 ORDER BY k DESC LIMIT 1", "2"),
    ] {
        h.c.query(sql).unwrap();
        let v = sql.split(" = ").nth(1).unwrap().split(' ').next().unwrap();
        assert_eq!(h.lines(&format!("SELECT id FROM one WHERE v = {v} ORDER BY id")).join("|"), changed, "{sql}");
    }
}

/// Of a sort with a limit only the first rows are kept: which ones they are does not depend on who sorts.
#[test]
fn the_first_rows_of_an_order_are_the_same_however_many_there_are() {
    let mut h = Hall::new();
    for (order, limit) in [
        ("v, id", "3"),
        ("v DESC, id", "20, 10"),
        ("few, v, id DESC", "100"),
        ("s, id", "5000, 7"),
        ("few DESC, k + v, id", "1"),
        ("v, id", "0"),
        ("v, id", "19990, 100"),
    ] {
        let sql = format!("SELECT id, v, s FROM t WHERE v <> 17 ORDER BY {order} LIMIT {limit}");
        let mut answers = ["fragment", "rows", "analytic"].map(|executor| {
            h.c.query(&format!("SET executor = '{executor}'")).unwrap();
            h.lines(&sql)
        });
        let first = std::mem::take(&mut answers[0]);
        for other in &answers[1..] {
            assert_eq!(first, *other, "{sql}");
        }
    }
    // One partition, whose answer is the whole.
    h.c.query("SET executor = 'auto'").unwrap();
    h.c.query("CREATE TABLE single (id INT, v INT NOT NULL, UNIQUE KEY (v))").unwrap();
    h.c.query("INSERT INTO single SELECT id, MIN(id) FROM t GROUP BY id").unwrap();
    let last: Vec<String> = (0..ROWS).rev().skip(10).take(40).map(|id| id.to_string()).collect();
    assert_eq!(h.lines("SELECT id FROM single WHERE id IS NOT NULL ORDER BY id DESC LIMIT 10, 40"), last);
}

fn sorted_lines(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

/// Rows that are found by an index and come in no order go to the client while others are looked for.
#[test]
fn a_long_answer_is_not_kept_whole() {
    let mut h = Hall::new();
    h.c.query("INSERT INTO t SELECT id + 100000, k, v, s, few FROM t").unwrap();
    h.c.query("INSERT INTO t SELECT id + 200000, k, v, s, few FROM t").unwrap();
    let first = h.lines("EXPLAIN FORMAT=TREE SELECT id, s FROM t WHERE id BETWEEN 0 AND 900000")[0].clone();
    assert!(first.starts_with("executor: row"), "{first}");
    // As prepared text, through the plan cache, too.
    for high in [10, 900_000, 10] {
        let found = h.lines(&format!("SELECT id FROM t WHERE id BETWEEN 0 AND {high}")).len() as u64;
        assert_eq!(found, if high == 10 { 11 } else { 4 * ROWS });
    }
    // A wide range in the order of another index ends after a few rows: no other executor is worth its start.
    let sql = "SELECT k FROM t WHERE id > 100 ORDER BY k LIMIT 3";
    let plan = h.lines(&format!("EXPLAIN FORMAT=TREE {sql}"));
    assert!(plan[0].starts_with("executor: fragment"), "{plan:?}");
    let mut expected: Vec<u64> = (0..4 * ROWS).filter(|n| n / ROWS * 100_000 + n % ROWS > 100).map(|n| k_of(n % ROWS)).collect();
    expected.sort_unstable();
    assert_eq!(h.lines(sql), expected[..3].iter().map(|k| k.to_string()).collect::<Vec<_>>());
    // Nothing says how many rows of the range the rest of the condition leaves.
    let plan = h.lines("EXPLAIN FORMAT=TREE SELECT id FROM t WHERE id > 100 AND s = 'none' ORDER BY k LIMIT 3");
    assert!(!plan[0].starts_with("executor: fragment"), "{plan:?}");
    // Whole it would be more than this statement may hold.
    h.c.query("SET maximum_query_memory = 4").unwrap();
    assert_eq!(h.lines("SELECT * FROM t WHERE id BETWEEN 0 AND 900000").len() as u64, 4 * ROWS);
}
