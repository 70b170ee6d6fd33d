//! `weald dev`: a cluster for one person on one machine, in one process or in several.
//!
//! Owns:     its command line.
//! Promises: one process unless more are asked for, or the directory holds more.
//! Never:    listens to other machines.

mod bring_up;
mod control;
mod layout;
mod ports;
mod supervise;

use crate::print;
use crate::settings::{Settings, default_data_dir};
use clap::{Args, Subcommand};
use control::Request;
use layout::Layout;
use std::path::{Path, PathBuf};
use weald_env::Env;

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Options {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    settings: Settings,
    /// That many aggregators and leaves, each a process of its own; the first aggregator is the master. [default: one process for everything]
    #[arg(long, value_name = "A")]
    aggregators: Option<u16>,
    /// See --aggregators.
    #[arg(long, value_name = "L")]
    leaves: Option<u16>,
}

#[derive(Subcommand)]
enum Verb {
    /// The processes of the `weald dev` that runs on a directory.
    Status {
        #[command(flatten)]
        at: At,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Ends a node at once, as a power failure would: master, aggregator-2, leaf-1, leaf-2 …
    Kill {
        node: String,
        #[command(flatten)]
        at: At,
    },
    /// Starts a node that has ended.
    Start {
        node: String,
        #[command(flatten)]
        at: At,
    },
}

#[derive(Args)]
struct At {
    /// As given to `weald dev`. [default: ./weald-data]
    #[arg(long, value_name = "DIR", env = "WEALD_DATA_DIR")]
    data_dir: Option<PathBuf>,
}

impl At {
    fn dir(&self) -> PathBuf {
        self.data_dir.clone().unwrap_or_else(default_data_dir)
    }
}

/// `one`: runs everything in this process.
pub fn run(o: Options, one: impl FnOnce(Settings) -> Result<(), String>) -> Result<(), String> {
    let env = Env::real();
    match o.verb {
        None => {
            let dir = o.settings.data_dir();
            match Layout::decide(&env, &dir, o.aggregators, o.leaves)? {
                None => one(o.settings),
                Some(layout) => supervise::run(&env, o.settings, layout),
            }
        }
        Some(Verb::Status { at, json }) => status(&env, &at.dir(), json),
        Some(Verb::Kill { node, at }) => order(&env, &at.dir(), &Request::Kill(node)),
        Some(Verb::Start { node, at }) => order(&env, &at.dir(), &Request::Start(node)),
    }
}

fn nobody(dir: &Path) -> String {
    format!("no `weald dev` with several nodes runs on {}; --data-dir says on which", dir.display())
}

fn order(env: &Env, dir: &Path, request: &Request) -> Result<(), String> {
    let said = control::ask(env, dir, request).unwrap_or_else(|| Err(nobody(dir)))?;
    crate::say(&said);
    Ok(())
}

fn status(env: &Env, dir: &Path, json: bool) -> Result<(), String> {
    let text = control::ask(env, dir, &Request::Status).unwrap_or_else(|| Err(nobody(dir)))?;
    if json {
        crate::say(&text);
        return Ok(());
    }
    let nodes: Vec<supervise::Status> = serde_json::from_str(&text).map_err(|e| format!("the running `weald dev` is of another release: {e}"))?;
    let header = ["Node", "Process", "Pid", "MySQL", "HTTP", "Health", "Directory"];
    let none = || "-".to_string();
    let row = |s: supervise::Status| {
        vec![
            s.node,
            s.process,
            s.pid.map_or_else(none, |p| p.to_string()),
            s.mysql.to_string(),
            s.http.to_string(),
            s.health.unwrap_or_else(none),
            s.dir,
        ]
    };
    crate::say(&print::plain_table(&header, nodes.into_iter().map(row).collect()));
    Ok(())
}
