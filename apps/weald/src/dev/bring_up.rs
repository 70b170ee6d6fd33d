//! From running processes to a cluster that answers.
//!
//! Owns:     nothing.
//! Promises: orders nothing that has happened already, so that a first start that was cut short is completed by the next. Returns when a query would be answered
//!           from any aggregator.
//! Never:    starts or ends a process; gives up while the processes run: a recovery takes as long as it takes.

use crate::client::{Answer, Client, Error};
use crate::dev::layout::Kind;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use weald_env::Env;
use weald_node::CLUSTER_PORT_OFFSET;

pub const HOST: &str = "127.0.0.1";
const NO_MASTER: u16 = 1752;
/// Between two looks at what cannot be waited for.
const LOOK: Duration = Duration::from_millis(10);
/// When whoever waits is told what for.
const IMPATIENCE: Duration = Duration::from_secs(5);

#[derive(Clone, Debug)]
pub struct Member {
    pub name: String,
    pub kind: Kind,
    pub mysql: u16,
    pub http: u16,
    pub cluster: u16,
}

impl Member {
    /// As an order names it, so that it is found wherever its cluster port is.
    fn named(&self) -> String {
        let usual = self.mysql.checked_add(CLUSTER_PORT_OFFSET) == Some(self.cluster);
        format!("'{HOST}':{}", if usual { self.mysql } else { self.cluster })
    }
}

/// What is done with whom.
pub struct BringUp<'a> {
    pub env: &'a Env,
    /// The master first.
    pub members: &'a [Member],
    pub password: &'a str,
    /// Nobody waits any more.
    pub stop: &'a AtomicBool,
    pub say: &'a dyn Fn(&str),
}

impl BringUp<'_> {
    /// The first start, or one with more nodes than the last: everybody gets a role.
    pub fn compose(&self) -> Result<(), String> {
        let mut master = None;
        for m in self.members {
            let mut c = self.connect(m)?;
            if !is_fresh(&mut c).map_err(|e| failed(m, &e))? {
                if m.kind == Kind::Leaf && lists(&mut c, "AGGREGATORS", m).map_err(|e| failed(m, &e))? {
                    return Err(format!("{} is a cluster of its own, not a leaf", m.name));
                }
                if m.kind == Kind::Master {
                    master = Some(c);
                }
                continue;
            }
            let at = m.named();
            match (m.kind, master.as_mut()) {
                (Kind::Master, _) => {
                    run(&mut c, &format!("BOOTSTRAP AGGREGATOR '{HOST}':{}", m.mysql)).map_err(|e| failed(m, &e))?;
                    master = Some(c);
                }
                (Kind::Aggregator, Some(master)) => self.order(m, master, &format!("ADD AGGREGATOR {at}"))?,
                (Kind::Leaf, Some(master)) => self.order(m, master, &format!("ADD LEAF {at}"))?,
                (Kind::Aggregator | Kind::Leaf, None) => return Err("the master is not the first of the nodes".into()),
            }
        }
        let Some(mut master) = master else { return Err("there is no master".into()) };
        for m in self.members {
            let table = if m.kind == Kind::Leaf { "LEAVES" } else { "AGGREGATORS" };
            // A node at another port than before says so to the master by itself.
            self.wait_until(m, |m| lists(&mut master, table, m).unwrap_or(false), |_| "the master does not know it".into())?;
        }
        Ok(())
    }

    /// Returns once every node is well, and every aggregator sees it so.
    pub fn answering(&self) -> Result<(), String> {
        for m in self.members {
            self.wait_until(m, |m| health(m.http).is_some_and(|h| h == "ok"), |m| health(m.http).unwrap_or_else(|| "no answer".into()))?;
        }
        for m in self.members.iter().filter(|m| m.kind != Kind::Leaf) {
            match Client::connect(HOST, m.mysql, "root", self.password, None) {
                Ok(mut c) => self.wait_until(m, |_| sees_all(&mut c).unwrap_or(false), |_| "not all nodes are online yet".into())?,
                // The password of an earlier start, which this one was not given: that everybody is well has to do.
                Err(Error::Server { code: 1045, .. }) => (),
                Err(e) => return Err(failed(m, &e)),
            }
        }
        Ok(())
    }

    /// Until there is a master who takes it: after a start, one is being elected.
    fn order(&self, m: &Member, by: &mut Client, sql: &str) -> Result<(), String> {
        let mut done = Ok(());
        let try_it = |_: &Member| {
            done = run(by, sql);
            !matches!(&done, Err(Error::Server { code: NO_MASTER, .. }))
        };
        self.wait_until(m, try_it, |_| "there is no master yet".into())?;
        done.map_err(|e| failed(m, &e))
    }

    fn connect(&self, m: &Member) -> Result<Client, String> {
        let mut done = None;
        let connect = |m: &Member| match Client::connect(HOST, m.mysql, "root", self.password, None) {
            Err(Error::Connect { .. } | Error::Lost(_)) => false,
            other => {
                done = Some(other);
                true
            }
        };
        self.wait_until(m, connect, |_| "it takes no connections yet".into())?;
        match done {
            Some(Ok(c)) => Ok(c),
            Some(Err(Error::Server { code: 1045, .. })) => Err("root has a password: --root-password or WEALD_ROOT_PASSWORD says which".into()),
            Some(Err(e)) => Err(failed(m, &e)),
            None => Err("stopped".into()),
        }
    }

    fn wait_until(&self, m: &Member, mut holds: impl FnMut(&Member) -> bool, state: impl Fn(&Member) -> String) -> Result<(), String> {
        let begun = self.env.clock.now();
        let mut told = begun;
        while !holds(m) {
            if self.stop.load(Ordering::Relaxed) {
                return Err("stopped".into());
            }
            let now = self.env.clock.now();
            if now - told > IMPATIENCE {
                told = now;
                (self.say)(&format!("  waiting for {}: {}", m.name, state(m)));
            }
            std::thread::park_timeout(LOOK);
        }
        Ok(())
    }
}

fn failed(m: &Member, e: &Error) -> String {
    format!("{}: {}", m.name, e.line(None))
}

fn run(c: &mut Client, sql: &str) -> Result<(), Error> {
    c.query(sql).map(drop)
}

/// A number that a statement gives.
fn number(c: &mut Client, sql: &str) -> Result<u64, Error> {
    match c.query(sql)? {
        Answer::Rows(r) => {
            let text = r.rows.first().and_then(|row| row.first()).and_then(|v| v.as_deref()).and_then(|b| std::str::from_utf8(b).ok());
            text.and_then(|t| t.parse().ok()).ok_or_else(|| Error::Protocol("a number was expected".into()))
        }
        Answer::Done(_) => Err(Error::Protocol("rows were expected".into())),
    }
}

/// A node without a role knows of no aggregator, not even itself.
fn is_fresh(c: &mut Client) -> Result<bool, Error> {
    Ok(number(c, "SELECT COUNT(*) FROM information_schema.AGGREGATORS")? == 0)
}

/// Whether a node at its address is in a table of nodes.
fn lists(c: &mut Client, table: &str, m: &Member) -> Result<bool, Error> {
    Ok(number(c, &format!("SELECT COUNT(*) FROM information_schema.{table} WHERE PORT = {}", m.mysql))? > 0)
}

fn sees_all(c: &mut Client) -> Result<bool, Error> {
    let missing = "SELECT (SELECT COUNT(*) FROM information_schema.AGGREGATORS WHERE STATE <> 'online') + (SELECT COUNT(*) FROM information_schema.LEAVES WHERE \
                   STATE <> 'online') + (SELECT COUNT(*) FROM information_schema.DISTRIBUTED_PARTITIONS WHERE IS_OFFLINE = 1)";
    Ok(number(c, missing)? == 0)
}

/// What /healthz says; None where nobody answers.
pub fn health(port: u16) -> Option<String> {
    let limit = Duration::from_secs(2);
    let mut s = TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), limit).ok()?;
    s.set_read_timeout(Some(limit)).ok()?;
    s.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").ok()?;
    let mut text = String::new();
    s.read_to_string(&mut text).ok()?;
    text.split_once("\r\n\r\n").map(|(_, body)| body.trim().to_string())
}
