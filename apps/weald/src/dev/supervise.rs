//! The processes of a `weald dev` with several nodes.
//!
//! One loop owns them all: it alone starts, ends and buries a process, so that a process id is never used after its process is gone.
//!
//! Owns:     the child processes, their configuration files, the directory.
//! Promises: on SIGINT and SIGTERM every child is ended, in the order that moves nothing: the master, the other aggregators, the leaves. A child whose parent is
//!           gone ends by itself. One that ends is reported, and not started again unasked.
//! Never:    reads or writes a node's data.

use super::bring_up::{BringUp, HOST, Member, health};
use super::control::{self, Answer, Request};
use super::layout::{Kind, Layout, NodePlan};
use super::ports::Ports;
use crate::settings::{NodeSettings, Settings};
use crate::{say, seconds};
use serde::{Deserialize, Serialize};
use std::io::{BufRead, BufReader};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;
use weald_env::Env;
use weald_node::CLUSTER_PORT_OFFSET;

/// How often ended children are looked for.
const LOOK: Duration = Duration::from_millis(50);
/// What a node may take to end by itself.
const DRAIN: Duration = Duration::from_secs(10);

enum Event {
    /// SIGINT or SIGTERM.
    Stop,
    Asked(Request, Sender<Answer>),
    /// Everything is up, or cannot be.
    Up(Result<(), String>),
}

/// A line of `weald dev status`.
#[derive(Debug, Deserialize, Serialize)]
pub struct Status {
    pub node: String,
    /// running, or how it ended.
    pub process: String,
    pub pid: Option<u32>,
    pub mysql: u16,
    pub http: u16,
    pub health: Option<String>,
    pub dir: String,
}

struct Node {
    plan: NodePlan,
    member: Member,
    config: PathBuf,
    process: Option<Child>,
    /// Of the last process, where it is gone.
    ended: Option<String>,
    /// Who waits to hear that it has started.
    starters: Vec<Sender<Answer>>,
}

struct Supervisor {
    env: Env,
    dir: PathBuf,
    layout: Layout,
    nodes: Vec<Node>,
    root_password: Option<String>,
    events: Receiver<Event>,
    to_self: Sender<Event>,
    /// For the thread that brings everything up.
    stop: Arc<AtomicBool>,
    begun: Duration,
    is_up: bool,
}

pub fn run(env: &Env, settings: Settings, layout: Layout) -> Result<(), String> {
    let begun = env.clock.now();
    weald_node::keep_files_private();
    let dir = settings.data_dir();
    let of_dir = |e: &dyn std::fmt::Display| format!("cannot use {}: {e}", dir.display());
    env.disk.create_dir_all(&dir).map_err(|e| of_dir(&e))?;
    let _lock = env.disk.lock_dir(&dir).map_err(|e| of_dir(&e))?;
    let is_new = Layout::read(env, &dir)?.is_none();
    layout.write(env, &dir)?;
    let secret = secret_file(env, &dir)?;
    let plans = layout.nodes(&dir);
    let all = settings.for_dev_nodes(plans.len() as u64)?;
    let mut ports = Ports::default();
    let mut nodes = Vec::new();
    for plan in plans {
        let config = plan.dir.join("weald.toml");
        // Where it was before: nodes that all move at once do not find each other.
        let before = |key: &str| ports_before(env, &config, key).unwrap_or(0);
        let mysql = match all.mysql_port {
            0 => ports.near(before("mysql_port"))?,
            first => ports.exactly(first.checked_add(plan.offset).ok_or("the ports do not fit below 65536")?, &plan.name)?,
        };
        let http = ports.near(if all.http_port == 0 { before("http_port") } else { all.http_port.saturating_add(plan.offset) })?;
        let cluster = match before("cluster_port") {
            // Where a node is looked for when it is named by its MySQL port.
            0 => ports.near(mysql.checked_add(CLUSTER_PORT_OFFSET).unwrap_or(0))?,
            port => ports.near(port)?,
        };
        let member = Member { name: plan.name.clone(), kind: plan.kind, mysql, http, cluster };
        nodes.push(Node { config, plan, member, process: None, ended: None, starters: Vec::new() });
    }
    for node in &nodes {
        env.disk.create_dir_all(&node.plan.dir).map_err(|e| of_dir(&e))?;
        let own = NodeSettings {
            data_dir: std::path::absolute(&node.plan.dir).map_err(|e| of_dir(&e))?,
            mysql_port: node.member.mysql,
            http_port: node.member.http,
            cluster_port: node.member.cluster,
            secret_file: secret.clone(),
        };
        env.disk.write_atomically(&node.config, all.config_of(&own)?.as_bytes()).map_err(|e| of_dir(&e))?;
    }
    let (to_self, events) = channel();
    listen_for_signals(to_self.clone())?;
    let to_main = to_self.clone();
    let ask = move |request, answer| {
        // Without a main loop the answer's other end is dropped, which is an answer.
        let _ = to_main.send(Event::Asked(request, answer));
    };
    let _door = control::open(env, &dir, ask)?;
    let mut s = Supervisor {
        env: env.clone(),
        dir: dir.clone(),
        layout,
        nodes,
        root_password: all.root_password.clone(),
        events,
        to_self,
        stop: Arc::default(),
        begun,
        is_up: false,
    };
    let password = if all.root_password.is_some() { " -p" } else { "" };
    let count = |n: u16, one: &str, many: &str| format!("{n} {}", if n == 1 { one } else { many });
    say(&format!(
        "Weald {}, {} and {}",
        env!("CARGO_PKG_VERSION"),
        count(layout.aggregators, "aggregator", "aggregators"),
        count(layout.leaves, "leaf", "leaves")
    ));
    say(&format!("  data   {} ({})", dir.display(), if is_new { "new" } else { "found, recovering" }));
    for n in &s.nodes {
        let (name, m) = (&n.plan.name, &n.member);
        say(&format!(
            "  {name:<14} mysql -h {HOST} -P {} -u root{password}   http://{HOST}:{}/healthz   log {}",
            m.mysql,
            m.http,
            n.plan.dir.join("weald.log").display()
        ));
    }
    let done = s.start_all().and_then(|()| s.follow());
    s.end_all();
    done
}

/// The cluster's secret: drawn at the first start.
fn secret_file(env: &Env, dir: &Path) -> Result<PathBuf, String> {
    let path = dir.join("secret");
    if !env.disk.exists(&path) {
        let text: String = (0..4).map(|_| format!("{:016x}", env.random.next_u64())).collect();
        env.disk.write_atomically(&path, format!("{text}\n").as_bytes()).map_err(|e| format!("{} cannot be written: {e}", path.display()))?;
    }
    std::path::absolute(&path).map_err(|e| format!("{}: {e}", path.display()))
}

/// As the configuration of an earlier start has it.
fn ports_before(env: &Env, config: &Path, key: &str) -> Option<u16> {
    let text = env.disk.read(config).ok()?;
    let table: toml::Table = toml::from_str(&String::from_utf8_lossy(&text)).ok()?;
    table.get(key)?.as_integer().and_then(|p| u16::try_from(p).ok())
}

fn listen_for_signals(to: Sender<Event>) -> Result<(), String> {
    use tokio::signal::unix::{SignalKind, signal};
    let failed = |e: std::io::Error| format!("cannot listen for signals: {e}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let (mut interrupt, mut terminate) = {
        let _inside = runtime.enter();
        (signal(SignalKind::interrupt()).map_err(failed)?, signal(SignalKind::terminate()).map_err(failed)?)
    };
    let listen = move || {
        runtime.block_on(async {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => (),
                    _ = terminate.recv() => (),
                }
                if to.send(Event::Stop).is_err() {
                    return;
                }
            }
        })
    };
    std::thread::Builder::new().name("signals".into()).spawn(listen).map_err(failed)?;
    Ok(())
}

impl Supervisor {
    fn start_all(&mut self) -> Result<(), String> {
        for at in 0..self.nodes.len() {
            self.start(at)?;
        }
        let members: Vec<Member> = self.nodes.iter().map(|n| n.member.clone()).collect();
        let (env, stop, to, password) = (self.env.clone(), self.stop.clone(), self.to_self.clone(), self.root_password.clone().unwrap_or_default());
        let complete = self.layout.complete;
        let work = move || {
            let b = BringUp { env: &env, members: &members, password: &password, stop: &stop, say: &say };
            let done = if complete { Ok(()) } else { b.compose() }.and_then(|()| b.answering());
            // Nobody listens any more where everything is ending.
            let _ = to.send(Event::Up(done));
        };
        std::thread::Builder::new().name("bring-up".into()).spawn(work).map_err(|e| format!("no thread: {e}"))?;
        Ok(())
    }

    fn start(&mut self, at: usize) -> Result<(), String> {
        let node = &mut self.nodes[at];
        let name = &node.plan.name;
        let failed = |e: &dyn std::fmt::Display| format!("{name} cannot be started: {e}");
        let program = std::env::current_exe().map_err(|e| failed(&e))?;
        let mut command = Command::new(program);
        command.args(["node", "--end-with-input", "--config"]).arg(&node.config);
        // What is set for this process is not meant for each of them; it is in their files.
        for (variable, _) in std::env::vars_os().filter(|(v, _)| v.to_string_lossy().starts_with("WEALD_")) {
            command.env_remove(variable);
        }
        if let Some(password) = &self.root_password {
            command.env("WEALD_ROOT_PASSWORD", password);
        }
        // In a group of its own, so that Ctrl-C at the terminal reaches this process only, which ends the others in order.
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0);
        let mut process = command.spawn().map_err(|e| failed(&e))?;
        if let Some(errors) = process.stderr.take() {
            let name = name.clone();
            let pass_on = move || pass_on(&name, errors);
            std::thread::Builder::new().name("errors".into()).spawn(pass_on).map_err(|e| format!("no thread: {e}"))?;
        }
        node.process = Some(process);
        node.ended = None;
        Ok(())
    }

    /// Until a signal, or until it is clear that it will not be ready.
    fn follow(&mut self) -> Result<(), String> {
        loop {
            match self.events.recv_timeout(LOOK) {
                Ok(Event::Stop) => return Ok(()),
                Ok(Event::Asked(request, answer)) => self.answer(request, answer),
                Ok(Event::Up(done)) => {
                    done?;
                    self.is_up = true;
                    if !self.layout.complete {
                        self.layout.complete = true;
                        self.layout.write(&self.env, &self.dir)?;
                    }
                    say(&format!("ready after {}", seconds(self.env.clock.now() - self.begun)));
                }
                Err(RecvTimeoutError::Timeout) => (),
                Err(RecvTimeoutError::Disconnected) => return Err("the main loop has lost its events".into()),
            }
            self.bury()?;
            self.answer_starters();
        }
    }

    /// Children that have ended.
    fn bury(&mut self) -> Result<(), String> {
        for node in &mut self.nodes {
            let Some(process) = &mut node.process else { continue };
            let status = match process.try_wait() {
                Ok(None) => continue,
                Ok(Some(status)) => how(status),
                Err(e) => format!("unknown: {e}"),
            };
            node.process = None;
            let name = &node.plan.name;
            for starter in node.starters.drain(..) {
                // Whoever asked may have gone.
                let _ = starter.send(Err(format!("{name} has ended ({status}); its log is {}", node.plan.dir.join("weald.log").display())));
            }
            node.ended = Some(status.clone());
            if !self.is_up {
                return Err(format!(
                    "{name} has ended ({status}) before everything was ready; its log is {}",
                    node.plan.dir.join("weald.log").display()
                ));
            }
            say(&format!("{name} has ended ({status}); `weald dev start {name} --data-dir {}` starts it again", self.dir.display()));
        }
        Ok(())
    }

    fn answer(&mut self, request: Request, to: Sender<Answer>) {
        let at = |name: &str| {
            let names = || self.nodes.iter().map(|n| n.plan.name.as_str()).collect::<Vec<_>>().join(", ");
            self.nodes.iter().position(|n| n.plan.name == name).ok_or_else(|| format!("there is no node {name}: there are {}", names()))
        };
        let answer = match request {
            Request::Status => self.status(),
            Request::Kill(name) => at(&name).and_then(|at| self.kill(at)),
            Request::Start(name) => match at(&name).and_then(|at| self.start_again(at, to.clone())) {
                // Answered when it takes connections.
                Ok(()) => return,
                Err(e) => Err(e),
            },
        };
        // Whoever asked may have gone.
        let _ = to.send(answer);
    }

    fn status(&self) -> Answer {
        let status = |n: &Node| Status {
            node: n.plan.name.clone(),
            process: match (&n.process, &n.ended) {
                (Some(_), _) => "running".into(),
                (None, Some(how)) => format!("ended ({how})"),
                (None, None) => "not started".into(),
            },
            pid: n.process.as_ref().map(Child::id),
            mysql: n.member.mysql,
            http: n.member.http,
            health: n.process.as_ref().and_then(|_| health(n.member.http)),
            dir: n.plan.dir.display().to_string(),
        };
        serde_json::to_string(&self.nodes.iter().map(status).collect::<Vec<_>>()).map_err(|e| e.to_string())
    }

    fn kill(&mut self, at: usize) -> Answer {
        let node = &mut self.nodes[at];
        let name = node.plan.name.clone();
        let Some(process) = &mut node.process else { return Err(format!("{name} does not run")) };
        let ended = process.kill().and_then(|()| process.wait()).map_err(|e| format!("{name} cannot be ended: {e}"))?;
        node.process = None;
        node.ended = Some(how(ended));
        say(&format!("{name} was killed, as asked"));
        Ok(format!("{name} was killed"))
    }

    fn start_again(&mut self, at: usize, answer: Sender<Answer>) -> Result<(), String> {
        let name = self.nodes[at].plan.name.clone();
        if self.nodes[at].process.is_some() {
            return Err(format!("{name} is running"));
        }
        self.start(at)?;
        self.nodes[at].starters.push(answer);
        Ok(())
    }

    /// Those whose node answers by now.
    fn answer_starters(&mut self) {
        for node in self.nodes.iter_mut().filter(|n| !n.starters.is_empty()) {
            if health(node.member.http).is_none() {
                continue;
            }
            let name = &node.plan.name;
            say(&format!("{name} has started, as asked"));
            for starter in node.starters.drain(..) {
                // Whoever asked may have gone.
                let _ = starter.send(Ok(format!("{name} has started")));
            }
        }
    }

    fn end_all(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for kind in [Kind::Master, Kind::Aggregator, Kind::Leaf] {
            let begun = self.env.clock.now();
            let mut impatient = false;
            let of_kind = |n: &&mut Node| n.plan.kind == kind;
            for node in self.nodes.iter_mut().filter(of_kind) {
                if let Some(p) = &node.process
                    && let Err(error) = weald_env::real::ask_to_end(p.id())
                {
                    say(&format!("{} cannot be asked to end: {error}", node.plan.name));
                }
            }
            while self.nodes.iter_mut().filter(of_kind).any(|n| !is_gone(n)) {
                if impatient || self.env.clock.now() - begun > DRAIN {
                    for node in self.nodes.iter_mut().filter(of_kind) {
                        if let Some(p) = &mut node.process {
                            say(&format!("{} does not end by itself, and is killed", node.plan.name));
                            // One that is gone already needs no end.
                            let _ = p.kill().and_then(|()| p.wait());
                        }
                        node.process = None;
                    }
                }
                // A second Ctrl-C: no more patience.
                impatient |= matches!(self.events.recv_timeout(LOOK), Ok(Event::Stop));
            }
        }
    }
}

fn is_gone(node: &mut Node) -> bool {
    if let Some(p) = &mut node.process
        && !matches!(p.try_wait(), Ok(None))
    {
        node.process = None;
    }
    node.process.is_none()
}

fn how(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => status.to_string(),
    }
}

/// Why a node has ended; what else it says on its standard error is in its log.
fn pass_on(name: &str, errors: ChildStderr) {
    for line in BufReader::new(errors).lines().map_while(Result::ok) {
        if let Some(reason) = line.strip_prefix("weald: ") {
            eprintln!("{name}: {reason}");
        }
    }
}
