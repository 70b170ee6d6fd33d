//! A server process of our own: found or built, started on free ports with a data directory that goes with it.
//!
//! Owns:     the child process and, unless told otherwise, its directory.
//! Promises: when `start` returns, the server answers; when dropped, no process stays behind.
//! Never:    kills a process that it did not start.

use crate::client::{Client, Error};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc;
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

pub struct Server {
    child: Child,
    pub port: u16,
    pub http_port: u16,
    dir: PathBuf,
    /// Further arguments of `weald dev`, at every start.
    arguments: Vec<String>,
    _temporary: Option<TempDir>,
}

impl Server {
    /// A fresh server with its own empty directory.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with further arguments.
    pub fn start_with(arguments: &[&str]) -> Self {
        let temporary = tempfile::Builder::new().prefix("weald-test-").tempdir().expect("a temporary directory");
        let dir = temporary.path().join("data");
        Self::start_in(dir, arguments, Some(temporary))
    }

    /// In a directory of the caller's, which stays.
    pub fn start_at(dir: &Path, arguments: &[&str]) -> Self {
        Self::start_in(dir.to_path_buf(), arguments, None)
    }

    fn start_in(dir: PathBuf, arguments: &[&str], temporary: Option<TempDir>) -> Self {
        let arguments: Vec<String> = arguments.iter().map(|a| a.to_string()).collect();
        // Between finding a free port and the server taking it, another process may: then the next port is tried.
        let mut last = String::new();
        for _ in 0..5 {
            let (port, http_port) = (free_port(), free_port());
            match launch(&dir, port, http_port, &arguments) {
                Ok(child) => return Self { child, port, http_port, dir, arguments, _temporary: temporary },
                Err(e) => last = e,
            }
        }
        panic!("the server does not start: {last}")
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
    pub fn dir(&self) -> &Path {
        &self.dir
    }
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
    pub fn connect(&self) -> Result<Client, Error> {
        Client::root(self.port)
    }

    /// Power goes: no handler runs.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks the server to end and waits for it; gives whether it ended well within `limit`.
    pub fn terminate(&mut self, limit: Duration) -> bool {
        // SAFETY: a signal to a child that we have not yet waited for, so the id is still its own.
        unsafe { libc::kill(self.child.id() as i32, libc::SIGTERM) };
        let deadline = SystemTime::now() + limit;
        while SystemTime::now() < deadline {
            match self.child.try_wait() {
                Ok(Some(status)) => return status.success(),
                _ => pause(Duration::from_millis(10)),
            }
        }
        false
    }

    /// Starts again on the same directory.
    pub fn restart(&mut self) {
        self.kill();
        for _ in 0..5 {
            let (port, http_port) = (free_port(), free_port());
            match launch(&self.dir, port, http_port, &self.arguments) {
                Ok(child) => {
                    (self.child, self.port, self.http_port) = (child, port, http_port);
                    return;
                }
                Err(e) if e.contains("in use") && e.contains("listen") => (),
                Err(e) => panic!("the server does not restart on {}: {e}", self.dir.display()),
            }
        }
        panic!("no free port for the restart")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            for log in [self.dir.with_extension("log"), self.dir.join("weald.log")] {
                if let Ok(text) = std::fs::read_to_string(&log) {
                    let lines: Vec<&str> = text.lines().collect();
                    eprintln!("--- the last lines of {}\n{}", log.display(), lines[lines.len().saturating_sub(30)..].join("\n"));
                }
            }
        }
    }
}

/// Waits where there is nothing to wait for but time: between two looks at a condition.
pub fn pause(d: Duration) {
    let (_keep, nothing) = mpsc::channel::<()>();
    let _ = nothing.recv_timeout(d);
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port on the loopback").port()
}

fn launch(dir: &Path, port: u16, http_port: u16, arguments: &[String]) -> Result<Child, String> {
    let log = dir.with_extension("log");
    if let Some(parent) = log.parent() {
        std::fs::create_dir_all(parent).map_err(|e| e.to_string())?;
    }
    let errors = std::fs::OpenOptions::new().create(true).append(true).open(&log).map_err(|e| e.to_string())?;
    let mut child = Command::new(binary())
        .args(["dev", "--data-dir"])
        .arg(dir)
        .args(["--mysql-port", &port.to_string(), "--http-port", &http_port.to_string()])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(errors)
        .spawn()
        .map_err(|e| format!("{}: {e}", binary().display()))?;
    let out = child.stdout.take().expect("stdout is piped");
    let (say, heard) = mpsc::channel();
    // Reads to the end, so that the server never blocks on a full pipe.
    std::thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            if line.starts_with("ready") {
                let _ = say.send(());
            }
        }
    });
    match heard.recv_timeout(Duration::from_secs(60)) {
        Ok(()) => Ok(child),
        Err(_) => {
            let _ = child.kill();
            let status = child.wait();
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            Err(format!(
                "no `ready` line; {status:?}; {}",
                text.lines().rev().take(10).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n")
            ))
        }
    }
}

/// The repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the test hall stands in the workspace").to_path_buf()
}

/// Where cargo puts what it builds, seen from a test: `target/debug/deps/x` → `target/debug`.
pub fn build_dir() -> PathBuf {
    let exe = std::env::current_exe().expect("a test has a file");
    exe.ancestors().nth(2).expect("tests stand in deps/").to_path_buf()
}

/// The server: `WEALD_BIN`, or the one beside the test, built if it is missing or older than the source.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(path) = std::env::var_os("WEALD_BIN") {
            return path.into();
        }
        let dir = build_dir();
        let path = dir.join("weald");
        let built = path.metadata().and_then(|m| m.modified()).ok();
        if built.is_none_or(|b| newest_source() > b) {
            let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
            let mut build = Command::new(cargo);
            // Of the whole workspace, and with a test beside it: so that dependencies keep the features (and artefacts) that `cargo test --workspace` gave them.
            // Without one, what only tests depend on turns no features on, and cargo compiles DataFusion once more.
            build.current_dir(root()).args(["build", "--quiet", "--workspace", "--bin", "weald", "--test", "golden"]);
            if dir.ends_with("release") {
                build.arg("--release");
            }
            // What cargo tells this test of its package would be another environment to build scripts that look at it, and much would be built once more.
            for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")) {
                build.env_remove(name);
            }
            build.env("CARGO_TARGET_DIR", dir.parent().expect("profiles stand in the target directory"));
            assert!(build.status().is_ok_and(|s| s.success()), "cargo cannot build the server");
        }
        path
    })
}

fn newest_source() -> SystemTime {
    let mut newest = SystemTime::UNIX_EPOCH;
    let mut open = vec![root().join("crates"), root().join("apps")];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                // Tests of a crate are not part of the server.
                if path.file_name().is_some_and(|n| n != "tests") {
                    open.push(path);
                }
            } else if path.extension().is_some_and(|e| e == "rs") {
                newest = newest.max(entry.metadata().and_then(|m| m.modified()).unwrap_or(SystemTime::UNIX_EPOCH));
            }
        }
    }
    newest
}
