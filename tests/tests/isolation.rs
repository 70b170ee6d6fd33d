//! What concurrent transactions may see of each other: histories of random transactions, checked afterwards.
//!
//! Each transaction reads lists and appends to them; every value is appended once. So the final list of a key is the order of its writers, every list that was read
//! says which of them its reader saw, and what a snapshot may not show can be looked for: Adya's G0 and G1 (a write that was given up, or half of one), and
//! for REPEATABLE READ also read skew along any chain of dependencies (G-single) and lost updates. Write skew is left out: snapshot isolation permits it.

#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use weald_tests::client::{Client, Error};
use weald_tests::random_query::Random;
use weald_tests::server::Server;

const KEYS: usize = 6;
const CLIENTS: u64 = 4;
const TRANSACTIONS: usize = 120;

/// Deadlock (and conflict), lock wait timeout: the transaction, or its statement, did not happen.
const GIVEN_UP: [u16; 2] = [1213, 1205];

type Value = u64;

#[derive(Clone, Debug)]
enum Step {
    Read(usize, Vec<Value>),
    Append(usize, Value),
}

#[derive(Clone, Debug)]
struct Transaction {
    steps: Vec<Step>,
    committed: bool,
}

/// Keys lie in two tables of two databases, over several partitions.
fn table(key: usize) -> &'static str {
    if key.is_multiple_of(2) { "one.lists" } else { "two.lists" }
}

fn prepare(c: &mut Client) {
    for database in ["one", "two"] {
        c.query(&format!("DROP DATABASE IF EXISTS {database}")).unwrap();
        c.query(&format!("CREATE DATABASE {database} PARTITIONS 3")).unwrap();
        c.query(&format!("CREATE TABLE {database}.lists (id INT PRIMARY KEY, list TEXT NOT NULL, length INT NOT NULL, KEY (length))")).unwrap();
    }
    for key in 0..KEYS {
        c.query(&format!("INSERT INTO {} VALUES ({key}, '', 0)", table(key))).unwrap();
    }
}

fn list_of(text: &str) -> Vec<Value> {
    text.split(',').filter(|s| !s.is_empty()).map(|s| s.parse().unwrap()).collect()
}

fn read(c: &mut Client, key: usize, r: &mut Random) -> Result<Vec<Value>, Error> {
    // By the primary key, by a full scan, and with a lock.
    let sql = match r.below(5) {
        0 => format!("SELECT list FROM {} WHERE id + 0 = {key} AND length >= 0", table(key)),
        1 => format!("SELECT list FROM {} WHERE id = {key} FOR SHARE", table(key)),
        _ => format!("SELECT list FROM {} WHERE id = {key}", table(key)),
    };
    Ok(list_of(&c.query(&sql)?.first()))
}

/// One transaction's steps, up to where it was given up.
fn run(c: &mut Client, r: &mut Random, next: &AtomicU64) -> Transaction {
    let mut t = Transaction { steps: Vec::new(), committed: false };
    let given_up = |e: Error| assert!(GIVEN_UP.contains(&e.code()), "{e}");
    c.query("BEGIN").unwrap();
    for _ in 0..1 + r.below(5) {
        let key = r.below(KEYS);
        if r.one_in(2) {
            match read(c, key, r) {
                Ok(list) => t.steps.push(Step::Read(key, list)),
                Err(e) => {
                    given_up(e);
                    c.query("ROLLBACK").unwrap();
                    return t;
                }
            }
        } else {
            let value = next.fetch_add(1, Ordering::Relaxed);
            // Before it is sent: whatever comes of it, nobody may see it unless it is committed.
            t.steps.push(Step::Append(key, value));
            let sql = format!("UPDATE {} SET list = CONCAT(list, ',{value}'), length = length + 1 WHERE id = {key}", table(key));
            if let Err(e) = c.query(&sql) {
                given_up(e);
                c.query("ROLLBACK").unwrap();
                return t;
            }
        }
    }
    if r.one_in(6) {
        c.query("ROLLBACK").unwrap();
        return t;
    }
    match c.query("COMMIT") {
        Ok(_) => t.committed = true,
        Err(e) => given_up(e),
    }
    t
}

fn history(server: &Server, isolation: &str, seed: u64) -> (Vec<Transaction>, Vec<Vec<Value>>) {
    let mut c = server.connect().unwrap();
    prepare(&mut c);
    let next = AtomicU64::new(1);
    let all = Mutex::new(Vec::new());
    std::thread::scope(|s| {
        for client in 0..CLIENTS {
            let (next, all) = (&next, &all);
            s.spawn(move || {
                let mut r = Random::new(seed * CLIENTS + client);
                let mut c = server.connect().unwrap();
                c.query(&format!("SET SESSION TRANSACTION ISOLATION LEVEL {isolation}")).unwrap();
                c.query("SET innodb_lock_wait_timeout = 5").unwrap();
                for _ in 0..TRANSACTIONS {
                    let t = run(&mut c, &mut r, next);
                    all.lock().unwrap().push(t);
                }
            });
        }
    });
    let lists = (0..KEYS).map(|k| list_of(&c.query(&format!("SELECT list FROM {} WHERE id = {k}", table(k))).unwrap().first())).collect();
    (all.into_inner().unwrap(), lists)
}

struct Checked<'h> {
    transactions: &'h [Transaction],
    lists: &'h [Vec<Value>],
    /// Who appended a value.
    writer: BTreeMap<Value, usize>,
    /// Who must come after whom.
    after: Vec<BTreeSet<usize>>,
}

impl<'h> Checked<'h> {
    /// What holds at every level from READ COMMITTED on.
    fn new(transactions: &'h [Transaction], lists: &'h [Vec<Value>]) -> Self {
        let mut writer = BTreeMap::new();
        for (i, t) in transactions.iter().enumerate() {
            for s in &t.steps {
                if let Step::Append(_, v) = s {
                    assert_eq!(writer.insert(*v, i), None, "every value is appended once");
                }
            }
        }
        let mut after = vec![BTreeSet::new(); transactions.len()];
        for (key, list) in lists.iter().enumerate() {
            let different: BTreeSet<_> = list.iter().collect();
            assert_eq!(different.len(), list.len(), "a value is twice in the list of {key}: {list:?}");
            for v in list {
                assert!(transactions[writer[v]].committed, "the list of {key} has {v} of a transaction that did not commit");
            }
            for pair in list.windows(2) {
                let (a, b) = (writer[&pair[0]], writer[&pair[1]]);
                if a != b {
                    after[a].insert(b);
                }
            }
        }
        for (i, t) in transactions.iter().enumerate().filter(|(_, t)| t.committed) {
            for s in &t.steps {
                match s {
                    Step::Append(key, v) => assert!(lists[*key].contains(v), "{v} was committed to the list of {key}, and is lost"),
                    Step::Read(key, seen) => {
                        let others: Vec<_> = seen.iter().filter(|v| writer[v] != i).collect();
                        if let Some(last) = others.last() {
                            after[writer[last]].insert(i);
                        }
                        assert!(lists[*key].starts_with(seen), "transaction {i} read {seen:?} of {key}, which became {:?}", lists[*key]);
                    }
                }
            }
        }
        // Also who was given up later may not have read what never was, or half of what another did.
        for (i, t) in transactions.iter().enumerate() {
            for s in &t.steps {
                let Step::Read(key, seen) = s else { continue };
                for v in seen {
                    let w = writer[v];
                    assert!(w == i || transactions[w].committed, "transaction {i} read {v} of {key}, which was never committed");
                    let whole = transactions[w].steps.iter().all(|s| !matches!(s, Step::Append(k, o) if k == key && !seen.contains(o)));
                    assert!(w == i || whole, "transaction {i} read {v} of {key}, but not all that transaction {w} appended there");
                }
            }
        }
        Self { transactions, lists, writer, after }
    }

    fn comes_before(&self, a: usize, b: usize) -> bool {
        let (mut seen, mut todo) = (BTreeSet::new(), vec![a]);
        while let Some(t) = todo.pop() {
            if t == b {
                return true;
            }
            if seen.insert(t) {
                todo.extend(&self.after[t]);
            }
        }
        false
    }

    /// A transaction sees one state, which holds with each transaction all that came before it; nobody changes what was changed since he read.
    fn are_snapshots(&self) {
        for (i, t) in self.transactions.iter().enumerate() {
            let mut own: Vec<Value> = Vec::new();
            // The writers that it saw, and of each key the first that it did not.
            let (mut saw, mut missed) = (BTreeSet::new(), BTreeMap::new());
            let mut lengths: BTreeMap<usize, usize> = BTreeMap::new();
            for s in &t.steps {
                match s {
                    Step::Append(_, v) => own.push(*v),
                    Step::Read(key, seen) => {
                        let others: Vec<Value> = seen.iter().copied().filter(|v| !own.contains(v)).collect();
                        let length = *lengths.entry(*key).or_insert(others.len());
                        assert_eq!(length, others.len(), "transaction {i} read {key} twice, and it was another");
                        saw.extend(others.iter().map(|v| self.writer[v]));
                        if let Some(v) = self.lists[*key].iter().filter(|v| !own.contains(v)).nth(others.len()) {
                            missed.insert(*key, self.writer[v]);
                        }
                    }
                }
            }
            for (key, m) in &missed {
                for w in &saw {
                    assert!(
                        *m == i || !self.comes_before(*m, *w),
                        "transaction {i} saw transaction {w}, but of {key} not transaction {m}, which came before"
                    );
                }
            }
            if !t.committed {
                continue;
            }
            for s in &t.steps {
                let Step::Append(key, v) = s else { continue };
                let at = self.lists[*key].iter().position(|x| x == v).unwrap();
                let before = self.lists[*key][..at].iter().filter(|x| self.writer[x] != i).count();
                if let Some(read) = lengths.get(key) {
                    assert_eq!(*read, before, "transaction {i} appended {v} to {key}, which had changed since it read it");
                }
            }
        }
    }
}

#[test]
fn histories_are_what_their_isolation_level_says() {
    let server = Server::start();
    for (isolation, seed) in [("REPEATABLE READ", 1), ("READ COMMITTED", 2), ("REPEATABLE READ", 3)] {
        let (transactions, lists) = history(&server, isolation, seed);
        let committed = transactions.iter().filter(|t| t.committed).count();
        println!("{isolation}: {committed} of {} transactions committed", transactions.len());
        assert!(committed * 4 > transactions.len(), "{isolation}: hardly anything was committed");
        let checked = Checked::new(&transactions, &lists);
        if isolation == "REPEATABLE READ" {
            checked.are_snapshots();
        }
    }
}

/// Money is moved within and between databases; whoever counts it, and however, finds all of it.
#[test]
fn every_snapshot_has_all_the_money() {
    const ACCOUNTS: usize = 20;
    let server = Server::start();
    let mut c = server.connect().unwrap();
    for database in ["one", "two"] {
        c.query(&format!("CREATE DATABASE {database} PARTITIONS 3")).unwrap();
        c.query(&format!("CREATE TABLE {database}.accounts (id INT PRIMARY KEY, money INT NOT NULL, KEY (money))")).unwrap();
        let rows: Vec<String> = (0..ACCOUNTS).map(|i| format!("({i}, 100)")).collect();
        c.query(&format!("INSERT INTO {database}.accounts VALUES {}", rows.join(","))).unwrap();
    }
    let counts = [
        "SELECT SUM(money) + (SELECT SUM(money) FROM two.accounts) FROM one.accounts",
        "SELECT SUM(money) FROM (SELECT money FROM one.accounts UNION ALL SELECT money FROM two.accounts) x",
        "SELECT SUM(a.money) + SUM(b.money) FROM one.accounts a JOIN two.accounts b ON a.id = b.id",
        "SELECT SUM(IF(money > -1000000, money, 0)) + (SELECT SUM(money) FROM two.accounts WHERE money > -1000000) FROM one.accounts WHERE money > -1000000",
    ];
    let all = (2 * ACCOUNTS * 100).to_string();
    std::thread::scope(|s| {
        for client in 0..3u64 {
            let server = &server;
            s.spawn(move || {
                let mut r = Random::new(100 + client);
                let mut c = server.connect().unwrap();
                let place = |r: &mut Random| format!("{}.accounts SET money = money", if r.one_in(2) { "one" } else { "two" });
                for _ in 0..150 {
                    let (from, to, sum) = (place(&mut r), place(&mut r), r.below(50));
                    let (a, b) = (r.below(ACCOUNTS), r.below(ACCOUNTS));
                    c.query("BEGIN").unwrap();
                    let moved = c
                        .query(&format!("UPDATE {from} - {sum} WHERE id = {a}"))
                        .and_then(|_| c.query(&format!("UPDATE {to} + {sum} WHERE id = {b}")))
                        .and_then(|_| c.query(if r.one_in(5) { "ROLLBACK" } else { "COMMIT" }));
                    if let Err(e) = moved {
                        assert!(GIVEN_UP.contains(&e.code()), "{e}");
                        c.query("ROLLBACK").unwrap();
                    }
                }
            });
        }
        for (client, executor) in ["auto", "rows", "analytic"].into_iter().enumerate() {
            let (server, counts, all) = (&server, &counts, &all);
            s.spawn(move || {
                let mut r = Random::new(200 + client as u64);
                let mut c = server.connect().unwrap();
                c.query(&format!("SET executor = '{executor}'")).unwrap();
                for _ in 0..100 {
                    let long = r.one_in(3);
                    if long {
                        c.query("START TRANSACTION").unwrap();
                    }
                    for _ in 0..1 + r.below(3) {
                        let sql = counts[r.below(counts.len())];
                        assert_eq!(c.query(sql).unwrap_or_else(|e| panic!("{e}\n{sql}")).first(), *all, "{executor}: {sql}");
                    }
                    if long {
                        c.query("COMMIT").unwrap();
                    }
                }
            });
        }
    });
}
