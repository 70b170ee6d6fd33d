//! Random queries over random tables, through each executor: their answers must be the same.
//!
//! WEALD_DIFFERENTIAL=n            so many seeds (20 without it); each is a database and 12 queries
//! WEALD_DIFFERENTIAL_SEED=s       starts at this seed
//! WEALD_DIFFERENTIAL_MARIADB=h:p  asks that MariaDB 10.11 too, what it has the same syntax and meaning for
//! WEALD_DIFFERENTIAL_SHOW=n       shows so many differences (10)

#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

use std::collections::BTreeMap;
use weald_tests::client::{Client, Error};
use weald_tests::random_query::{Database, Generator, Random, RandomQuery};
use weald_tests::server::Server;

const QUERIES: usize = 12;
/// Faults of values: whether they are met depends on the order of evaluation, which is the executor's own affair.
const OF_VALUES: [u16; 4] = [1242, 1365, 1690, 1292];

type Rows = Vec<Vec<String>>;

/// As it is compared: text that is equal under the default collation is the same.
fn fold(cell: &Option<Vec<u8>>) -> String {
    match cell {
        None => "NULL".into(),
        Some(b) => {
            let lower = String::from_utf8_lossy(b).to_lowercase();
            lower.trim_end().chars().map(|c| if c == 'é' { 'e' } else { c }).collect()
        }
    }
}

fn ask(c: &mut Client, sql: &str) -> Result<Rows, Error> {
    Ok(c.query(sql)?.rows.iter().map(|r| r.iter().map(fold).collect()).collect())
}

/// What is wrong with `got`, if anything is.
fn compare(q: &RandomQuery, expected: &Rows, got: &Rows) -> Option<String> {
    let (mut a, mut b) = (expected.clone(), got.clone());
    a.sort();
    b.sort();
    if a != b {
        let only = |x: &Rows, y: &Rows| x.iter().filter(|r| !y.contains(r)).take(3).map(|r| r.join("|")).collect::<Vec<_>>().join("  ");
        return Some(format!("{} rows and {}; only in the first: {}; only in the second: {}", a.len(), b.len(), only(&a, &b), only(&b, &a)));
    }
    for (i, (x, y)) in expected.iter().zip(got).enumerate() {
        if q.sorted_by.iter().any(|k| x[*k] != y[*k]) {
            return Some(format!("row {} in order: {} and {}", i + 1, x.join("|"), y.join("|")));
        }
    }
    None
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().map_or(otherwise, |v| v.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

fn prepare(c: &mut Client, statements: &[String]) {
    c.query("DROP DATABASE IF EXISTS differential").unwrap();
    c.query("CREATE DATABASE differential").unwrap();
    c.query("USE differential").unwrap();
    for s in statements {
        c.query(s).unwrap_or_else(|e| panic!("{e}\n{s}"));
    }
}

#[test]
fn all_executors_give_the_same_answers() {
    let (count, first, show) =
        (number("WEALD_DIFFERENTIAL", 20), number("WEALD_DIFFERENTIAL_SEED", 1), number("WEALD_DIFFERENTIAL_SHOW", 10) as usize);
    let server = Server::start();
    let mut weald = server.connect().unwrap();
    let mut mariadb = std::env::var("WEALD_DIFFERENTIAL_MARIADB").ok().map(|at| {
        let (host, port) = at.split_once(':').expect("WEALD_DIFFERENTIAL_MARIADB=host:port");
        let mut c = Client::connect(host, port.parse().unwrap(), "root", "", None).unwrap();
        c.query("SET sql_mode = 'ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO'").unwrap();
        c.query("SET time_zone = '+00:00', group_concat_max_len = 1024").unwrap();
        c
    });
    weald.query("SET time_zone = '+00:00'").unwrap();
    let mut differences = Vec::new();
    // How many queries each could run: a generator that only made what nobody runs would prove nothing.
    let mut ran: BTreeMap<&str, usize> = BTreeMap::new();
    let mut total = 0;
    for seed in first..first + count {
        let mut r = Random::new(seed);
        let db = Database::new(&mut r);
        prepare(&mut weald, &db.statements);
        if let Some(m) = &mut mariadb {
            prepare(m, &db.statements);
        }
        for _ in 0..QUERIES {
            let q = Generator::new(&mut r, &db).query();
            total += 1;
            let mut answers: Vec<(&str, Result<Rows, Error>)> = Vec::new();
            if let Some(m) = &mut mariadb
                && !q.mysql_only
            {
                match ask(m, &q.sql) {
                    // It does not recognise a grouped expression in every place.
                    Err(e) if e.code() == 1055 => (),
                    answer => answers.push(("mariadb", answer)),
                }
            }
            for executor in ["rows", "fragment", "analytic"] {
                weald.query(&format!("SET executor = '{executor}'")).unwrap();
                match ask(&mut weald, &q.sql) {
                    // Not this executor's work.
                    Err(Error::Server(e)) if e.code == 1235 && e.message.contains("executor = ") => (),
                    Err(Error::Io(e)) => panic!("the connection ended: {e}\n-- seed {seed}\n{}\n{}", db.statements.join(";\n"), q.sql),
                    answer => answers.push((executor, answer)),
                }
            }
            for (name, _) in &answers {
                *ran.entry(name).or_default() += 1;
            }
            let Some(((by, reference), others)) = answers.split_first() else { continue };
            for (name, answer) in others {
                let wrong = match (reference, answer) {
                    (Ok(a), Ok(b)) => compare(&q, a, b),
                    (Err(a), Err(b)) if a.code() == b.code() => None,
                    (a, b) => {
                        let of_value = |x: &Result<Rows, Error>| x.as_ref().err().is_some_and(|e| OF_VALUES.contains(&e.code()));
                        let show = |x: &Result<Rows, Error>| x.as_ref().map_or_else(|e| e.to_string(), |r| format!("{} rows", r.len()));
                        if of_value(a) || of_value(b) { None } else { Some(format!("{}, and {}", show(a), show(b))) }
                    }
                };
                if let Some(what) = wrong {
                    differences.push(format!("seed {seed}, {by} and {name}: {what}\n    {}", q.sql));
                }
            }
        }
    }
    println!("{total} queries; ran: {ran:?}; {} differences", differences.len());
    let shown = differences.iter().take(show).cloned().collect::<Vec<_>>().join("\n");
    assert!(differences.is_empty(), "{} differences in {total} queries:\n{shown}", differences.len());
    for (executor, part) in [("rows", 1), ("analytic", 3)] {
        assert!(ran.get(executor).is_some_and(|n| *n * part >= total), "{executor} could run only {:?} of {total} queries", ran.get(executor));
    }
}
