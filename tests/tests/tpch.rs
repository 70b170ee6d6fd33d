//! The 22 queries of TPC-H at scale 0.01, through each executor.
//!
//! The answers in `tests/tpch/answers` were MariaDB 10.11's for the same data.
//!
//! WEALD_TPCH=write              writes the answers that the server gives (with WEALD_TPCH_MARIADB: MariaDB's)
//! WEALD_TPCH_MARIADB=h:p        asks that MariaDB instead

#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

use std::fmt::{Display, Write};
use std::fs;
use tpchgen::distribution::Distributions;
use tpchgen::generators::{
    CustomerGenerator, LineItemGenerator, NationGenerator, OrderGenerator, PartGenerator, PartSuppGenerator, RegionGenerator, SupplierGenerator,
};
use tpchgen::text::TextPool;
use weald_tests::client::{Client, Error, Options};
use weald_tests::server::{Server, root};

const SCALE: f64 = 0.01;
/// The official pool of text has 300 MB; comments of this scale are as varied with far less.
const TEXT_BYTES: i32 = 4 << 20;

fn lines(rows: impl Iterator<Item = impl Display>) -> Vec<u8> {
    let mut out = String::new();
    for row in rows {
        let _ = writeln!(out, "{row}");
    }
    out.into_bytes()
}

/// (table, its rows as dbgen writes them)
fn tables() -> Vec<(&'static str, Vec<u8>)> {
    let d = Distributions::static_default();
    let pool = TextPool::new(TEXT_BYTES, d);
    vec![
        ("region", lines(RegionGenerator::new_with_distributions_and_text_pool(d, &pool).iter())),
        ("nation", lines(NationGenerator::new_with_distributions_and_text_pool(d, &pool).iter())),
        ("supplier", lines(SupplierGenerator::new_with_distributions_and_text_pool(SCALE, 1, 1, d, &pool).iter())),
        ("customer", lines(CustomerGenerator::new_with_distributions_and_text_pool(SCALE, 1, 1, d, &pool).iter())),
        ("part", lines(PartGenerator::new_with_distributions_and_text_pool(SCALE, 1, 1, d, &pool).iter())),
        ("partsupp", lines(PartSuppGenerator::new_with_text_pool(SCALE, 1, 1, &pool).iter())),
        ("orders", lines(OrderGenerator::new_with_distributions_and_text_pool(SCALE, 1, 1, d, &pool).iter())),
        ("lineitem", lines(LineItemGenerator::new_with_distributions_and_text_pool(SCALE, 1, 1, d, &pool).iter())),
    ]
}

fn statements(file: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join("bench/tpch").join(file)).unwrap();
    text.lines().map(|l| l.trim().trim_end_matches(';').to_string()).filter(|l| !l.is_empty()).collect()
}

fn load(c: &mut Client) {
    c.query("DROP DATABASE IF EXISTS tpch_test").unwrap();
    c.query("CREATE DATABASE tpch_test").unwrap();
    c.query("USE tpch_test").unwrap();
    for s in statements("schema.sql") {
        c.query(&s).unwrap();
    }
    for (table, rows) in tables() {
        let count = rows.iter().filter(|b| **b == b'\n').count() as u64;
        let sql = format!("LOAD DATA LOCAL INFILE '{table}.tbl' INTO TABLE {table} FIELDS TERMINATED BY '|' LINES TERMINATED BY '|\\n'");
        let (_, done) = c.load(&sql, &[&rows]).unwrap_or_else(|e| panic!("{table}: {e}"));
        assert_eq!((done.affected, done.warnings), (count, 0), "{table}");
    }
}

fn answer(c: &mut Client, sql: &str) -> Result<String, Error> {
    let a = c.query(sql)?;
    let mut out = String::new();
    for row in &a.rows {
        let cells: Vec<String> = row.iter().map(|v| v.as_ref().map_or("NULL".into(), |b| String::from_utf8_lossy(b).into_owned())).collect();
        let _ = writeln!(out, "{}", cells.join("\t"));
    }
    Ok(out)
}

#[test]
fn every_executor_gives_the_reference_answers() {
    let dir = root().join("tests/tpch/answers");
    let write = std::env::var("WEALD_TPCH").is_ok_and(|v| v == "write");
    let mariadb = std::env::var("WEALD_TPCH_MARIADB").ok();
    let server = if mariadb.is_none() { Some(Server::start()) } else { None };
    let port = match (&mariadb, &server) {
        (Some(at), _) => at.split_once(':').expect("WEALD_TPCH_MARIADB=host:port").1.parse().unwrap(),
        (None, Some(s)) => s.port,
        (None, None) => unreachable!(),
    };
    let capabilities = Options::default().capabilities | weald_wire::constants::client::LOCAL_FILES;
    let mut c = Client::with("127.0.0.1", port, &Options { capabilities, ..Options::default() }).unwrap();
    c.set_timeout(std::time::Duration::from_secs(300)).unwrap();
    load(&mut c);
    let executors: &[&str] = if mariadb.is_some() { &[""] } else { &["auto", "rows", "analytic"] };
    let mut wrong = Vec::new();
    for executor in executors {
        if !executor.is_empty() {
            c.query(&format!("SET executor = '{executor}'")).unwrap();
        }
        for (i, sql) in statements("queries.sql").iter().enumerate() {
            let file = dir.join(format!("q{:02}.txt", i + 1));
            let start = std::time::Instant::now();
            let got = match answer(&mut c, sql) {
                Ok(a) => a,
                Err(e) => {
                    wrong.push(format!("Q{} by {executor}: {e}", i + 1));
                    continue;
                }
            };
            println!("Q{} by {executor}: {:.0} ms", i + 1, start.elapsed().as_secs_f64() * 1e3);
            if write {
                fs::write(&file, &got).unwrap();
                continue;
            }
            let expected = fs::read_to_string(&file).unwrap();
            if got != expected {
                let first = expected.lines().zip(got.lines()).find(|(e, g)| e != g);
                let (e, g) = first.unwrap_or(("(rows)", "(rows)"));
                let (n, m) = (expected.lines().count(), got.lines().count());
                wrong.push(format!("Q{} by {executor}: {n} rows expected, {m} given; the first that differs:\n  - {e}\n  + {g}", i + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
