//! Money moves between accounts on several nodes, through every aggregator, while nodes are killed.
//!
//! Owns:     accounts, a ledger row for each transfer, written in the same transaction, and what clients were told.
//! Promises: every reader sees all the money, at every moment, from every aggregator. Afterwards what was acknowledged is in the ledger, and the accounts are what the
//!           ledger says: no half of a transaction.
//! Never:    takes an error for a rollback: a transfer whose client got one may be there, whole.

#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use weald_tests::client::Client;
use weald_tests::nodes::{Nodes, eventually, rows};
use weald_tests::server::pause;

const ACCOUNTS: u64 = 40;
const EACH: i64 = 100;

#[derive(Default)]
struct Told {
    acknowledged: Mutex<BTreeSet<u64>>,
    /// Transfers that were tried, and reads that were answered.
    tried: AtomicU64,
    read: AtomicU64,
    stop: AtomicBool,
}

/// A generator of its own for each thread: which accounts, how much.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

fn transfer(c: &mut Client, id: u64, from: u64, to: u64, amount: u64) -> Result<(), weald_tests::client::Error> {
    c.query("BEGIN")?;
    c.query(&format!("UPDATE bank.accounts SET balance = balance - {amount} WHERE id = {from}"))?;
    c.query(&format!("INSERT INTO bank.ledger VALUES ({id}, {from}, {to}, {amount})"))?;
    c.query(&format!("UPDATE bank.accounts SET balance = balance + {amount} WHERE id = {to}"))?;
    c.query("COMMIT")?;
    Ok(())
}

/// A connection, or another one: its node may be gone for a while.
fn connected(port: u16, told: &Told) -> Option<Client> {
    while !told.stop.load(Relaxed) {
        if let Ok(c) = Client::root(port) {
            return Some(c);
        }
        pause(Duration::from_millis(20));
    }
    None
}

fn write(port: u16, writer: u64, told: &Told) {
    let mut state = writer;
    let mut n = 0;
    while let Some(mut c) = connected(port, told) {
        while !told.stop.load(Relaxed) {
            n += 1;
            let id = writer * 1_000_000 + n;
            let (from, step, amount) = (random(&mut state) % ACCOUNTS, 1 + random(&mut state) % (ACCOUNTS - 1), 1 + random(&mut state) % 5);
            told.tried.fetch_add(1, Relaxed);
            match transfer(&mut c, id, from, (from + step) % ACCOUNTS, amount) {
                Ok(()) => {
                    told.acknowledged.lock().unwrap().insert(id);
                }
                Err(_) => {
                    if c.query("ROLLBACK").is_err() {
                        break;
                    }
                }
            }
        }
    }
}

fn read(port: u16, told: &Told) {
    while let Some(mut c) = connected(port, told) {
        while !told.stop.load(Relaxed) {
            match c.query("SELECT SUM(balance), COUNT(*) FROM bank.accounts") {
                Ok(a) => {
                    let text: Vec<String> = a.rows[0].iter().map(|v| String::from_utf8_lossy(v.as_ref().unwrap()).into_owned()).collect();
                    assert_eq!(text, [(ACCOUNTS as i64 * EACH).to_string(), ACCOUNTS.to_string()], "through port {port}");
                    told.read.fetch_add(1, Relaxed);
                }
                // One that is gone has no answer; one that has partitions missing says so.
                Err(e) => {
                    if c.query("SELECT 1").is_err() {
                        break;
                    }
                    assert!([1777, 1213, 1412, 1205].contains(&e.code()), "{e}");
                    pause(Duration::from_millis(10));
                }
            }
        }
    }
}

fn number(text: &str) -> i64 {
    text.parse().unwrap()
}

/// What is there when everything is quiet again.
fn check(c: &mut Client, told: &Told) {
    let ledger = rows(c, "SELECT id, payer, payee, amount FROM bank.ledger");
    let mut balances: BTreeMap<i64, i64> = (0..ACCOUNTS as i64).map(|id| (id, EACH)).collect();
    let mut there = BTreeSet::new();
    for r in &ledger {
        there.insert(number(&r[0]) as u64);
        *balances.get_mut(&number(&r[1])).unwrap() -= number(&r[3]);
        *balances.get_mut(&number(&r[2])).unwrap() += number(&r[3]);
    }
    let acknowledged = told.acknowledged.lock().unwrap();
    let lost: Vec<_> = acknowledged.difference(&there).collect();
    assert!(lost.is_empty(), "acknowledged and not there: {lost:?}");
    let found: BTreeMap<i64, i64> = rows(c, "SELECT id, balance FROM bank.accounts").iter().map(|r| (number(&r[0]), number(&r[1]))).collect();
    assert_eq!(found, balances, "accounts and ledger");
}

#[test]
fn all_the_money_is_there_whoever_is_killed() {
    let rounds: usize = std::env::var("WEALD_TRANSFER_ROUNDS").ok().map_or(6, |n| n.parse().expect("WEALD_TRANSFER_ROUNDS is a number"));
    let mut nodes = Nodes::cluster(2, 2);
    let mut c = nodes.client(0);
    c.query("CREATE DATABASE bank PARTITIONS 8").unwrap();
    c.query("CREATE TABLE bank.accounts (id BIGINT PRIMARY KEY, balance BIGINT NOT NULL)").unwrap();
    c.query("CREATE TABLE bank.ledger (id BIGINT PRIMARY KEY, payer BIGINT, payee BIGINT, amount BIGINT)").unwrap();
    let all: Vec<String> = (0..ACCOUNTS).map(|id| format!("({id}, {EACH})")).collect();
    c.query(&format!("INSERT INTO bank.accounts VALUES {}", all.join(","))).unwrap();
    drop(c);
    let told = Told::default();
    let ports = [nodes.all[0].port, nodes.all[1].port];
    std::thread::scope(|s| {
        /// A failed assertion in here ends the others, too.
        struct Stop<'a>(&'a Told);
        impl Drop for Stop<'_> {
            fn drop(&mut self) {
                self.0.stop.store(true, Relaxed);
            }
        }
        let told = &told;
        let _stop = Stop(told);
        for (n, port) in ports.into_iter().cycle().take(4).enumerate() {
            s.spawn(move || write(port, n as u64 + 1, told));
        }
        for port in ports {
            s.spawn(move || read(port, told));
        }
        let progress = |what: &str| {
            let before = (told.acknowledged.lock().unwrap().len(), told.read.load(Relaxed));
            eventually(what, Duration::from_secs(60), || {
                told.acknowledged.lock().unwrap().len() > before.0 + 20 && told.read.load(Relaxed) > before.1 + 5
            });
        };
        progress("transfers before anyone is killed");
        // Leaves and aggregators, the master among them.
        for victim in [2, 1, 3, 0].into_iter().cycle().take(rounds) {
            nodes.all[victim].kill();
            pause(Duration::from_millis(300));
            nodes.all[victim].start();
            progress(&format!("transfers after node {victim} was killed"));
        }
    });
    for n in 0..2 {
        let mut c = nodes.client(n);
        // What was in doubt is settled: nothing is locked any more.
        eventually("no account is locked", Duration::from_secs(20), || c.query("UPDATE bank.accounts SET balance = balance + 0").is_ok());
        check(&mut c, &told);
    }
    let mut c = nodes.client(1);
    c.query("SET lock_wait_timeout = 1").unwrap();
    c.query("SELECT id FROM bank.accounts FOR UPDATE NOWAIT").unwrap();
    // And it is all in the logs.
    drop(c);
    nodes.all.iter_mut().for_each(weald_tests::nodes::Node::kill);
    nodes.all.iter_mut().for_each(weald_tests::nodes::Node::start);
    let mut c = nodes.client(0);
    eventually("the accounts can be read again", Duration::from_secs(30), || c.query("SELECT SUM(balance) FROM bank.accounts").is_ok());
    check(&mut c, &told);
    eprintln!(
        "{} transfers tried, {} acknowledged, {} reads",
        told.tried.load(Relaxed),
        told.acknowledged.lock().unwrap().len(),
        told.read.load(Relaxed)
    );
}
