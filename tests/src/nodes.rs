//! Nodes as processes, and clusters of them.
//!
//! Owns:     the processes and their directories.
//! Promises: every process ends with the value that stands for it; after a failed test the last lines of their logs are shown.
//! Never:    uses a fixed port.

use crate::client::{Client, Error};
use crate::server::{binary, pause};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

pub const SECRET: &str = "a secret of the tests";

/// One process.
pub struct Node {
    pub port: u16,
    pub http: u16,
    pub dir: PathBuf,
    secret: String,
    /// Further arguments of `weald node`, at every start.
    arguments: Vec<String>,
    pub child: Option<Child>,
}

/// The processes end with it.
pub struct Nodes {
    pub all: Vec<Node>,
    pub home: TempDir,
    arguments: Vec<String>,
}

/// A port whose cluster port is free as well.
pub fn ports() -> (u16, u16) {
    let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).and_then(|l| l.local_addr()).map(|a| a.port());
    loop {
        if let (Ok(mysql), Ok(http)) = (free(0), free(0))
            && mysql < 65_000
            && free(mysql + 100).is_ok()
            && mysql + 100 != http
        {
            return (mysql, http);
        }
    }
}

pub fn eventually(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) {
    let deadline = SystemTime::now() + limit;
    while !holds() {
        assert!(SystemTime::now() < deadline, "{what}: not within {limit:?}");
        pause(Duration::from_millis(10));
    }
}

pub fn rows(c: &mut Client, sql: &str) -> Vec<Vec<String>> {
    let a = c.query(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
    a.rows.iter().map(|r| r.iter().map(|v| v.as_ref().map_or("NULL".into(), |b| String::from_utf8_lossy(b).into_owned())).collect()).collect()
}

pub fn refused(c: &mut Client, sql: &str) -> u16 {
    c.query(sql).map(|_| ()).err().map_or(0, |e: Error| e.code())
}

impl Node {
    pub fn start(&mut self) {
        std::fs::create_dir_all(&self.dir).unwrap();
        let errors = std::fs::OpenOptions::new().create(true).append(true).open(self.dir.with_extension("err")).unwrap();
        let child = Command::new(binary())
            .args(["node", "--data-dir"])
            .arg(&self.dir)
            .args(["--mysql-port", &self.port.to_string(), "--http-port", &self.http.to_string()])
            .args(&self.arguments)
            .env("WEALD_CLUSTER_SECRET", &self.secret)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(errors)
            .spawn();
        self.child = Some(child.unwrap());
    }
    pub fn address(&self) -> String {
        format!("'127.0.0.1':{}", self.port)
    }
    pub fn client(&self) -> Client {
        let mut found = None;
        eventually("a login", Duration::from_secs(30), || {
            found = Client::root(self.port).ok();
            found.is_some()
        });
        found.unwrap()
    }
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
    pub fn terminate(&mut self) {
        let mut child = self.child.take().unwrap();
        // SAFETY: a signal to a child that has not been waited for.
        unsafe { libc::kill(child.id() as i32, libc::SIGTERM) };
        eventually("the end of a node", Duration::from_secs(20), || child.try_wait().unwrap().is_some());
        assert!(child.wait().unwrap().success());
    }
}

impl Nodes {
    pub fn start(n: usize) -> Self {
        Self::start_with(n, &[])
    }
    pub fn start_with(n: usize, arguments: &[&str]) -> Self {
        let home = tempfile::Builder::new().prefix("weald-nodes-").tempdir().unwrap();
        let mut nodes = Self { all: Vec::new(), home, arguments: arguments.iter().map(|a| a.to_string()).collect() };
        for _ in 0..n {
            nodes.one_more(SECRET);
        }
        nodes
    }
    pub fn one_more(&mut self, secret: &str) -> usize {
        let (port, http) = ports();
        let dir = self.home.path().join(format!("node{}", self.all.len()));
        let mut node = Node { port, http, dir, secret: secret.into(), arguments: self.arguments.clone(), child: None };
        node.start();
        self.all.push(node);
        self.all.len() - 1
    }
    /// The first is the master, `aggregators` are aggregators, the others leaves.
    pub fn cluster(aggregators: usize, leaves: usize) -> Self {
        Self::cluster_with(aggregators, leaves, &[])
    }
    pub fn cluster_with(aggregators: usize, leaves: usize, arguments: &[&str]) -> Self {
        let nodes = Self::start_with(aggregators + leaves, arguments);
        let mut c = nodes.all[0].client();
        c.query("BOOTSTRAP AGGREGATOR '127.0.0.1'").unwrap();
        for (n, node) in nodes.all.iter().enumerate().skip(1) {
            node.client();
            let what = if n < aggregators { "AGGREGATOR" } else { "LEAF" };
            c.query(&format!("ADD {what} root@{}", node.address())).unwrap();
        }
        nodes
    }
    pub fn client(&self, n: usize) -> Client {
        self.all[n].client()
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        self.all.iter_mut().for_each(Node::kill);
        if std::thread::panicking() {
            for node in &self.all {
                for file in [node.dir.join("weald.log"), node.dir.with_extension("err")] {
                    let text = std::fs::read_to_string(&file).unwrap_or_default();
                    let lines: Vec<&str> = text.lines().collect();
                    eprintln!("--- the last lines of {}\n{}", file.display(), lines[lines.len().saturating_sub(25)..].join("\n"));
                }
            }
        }
    }
}
