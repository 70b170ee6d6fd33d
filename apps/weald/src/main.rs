//! The one binary.
//!
//! Owns:     the command line.
//! Promises: errors say what to do next, in one line on standard error, with exit code 1; "ready" comes on standard output when the first query would be
//!           answered.
//! Never:    does what a room can do.

mod admin;
mod allocator;
mod client;
mod dev;
mod print;
mod settings;
mod sql;

use clap::{Args, Parser, Subcommand};
use settings::Settings;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use weald_env::Env;
use weald_node::Ready;

#[global_allocator]
static ALLOCATOR: allocator::Allocator = allocator::Allocator;

#[derive(Parser)]
#[command(
    name = "weald",
    version,
    about = "A distributed SQL database that looks like one MySQL server.",
    after_help = "Examples:\n  weald dev                          a server for this machine, in ./weald-data\n  weald sql                          a shell on it\n  weald node --config weald.toml     a server that is there to stay"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// A whole cluster for this machine only, in one process or in several.
    #[command(
        after_help = "Examples:\n  weald dev\n  weald dev --data-dir ./data --mysql-port 3307 --root-password secret\n  mysql -h 127.0.0.1 -P 3306 -u root       once it says that it is ready\n  weald dev --aggregators 2 --leaves 3     five processes, to play with\n  weald dev status                         in another terminal\n  weald dev kill leaf-2\n  weald dev start leaf-2\n\nCtrl-C ends it. A second start on the same directory has the data again, and as many nodes."
    )]
    Dev(Box<dev::Options>),
    /// One node of a cluster, with a configuration file.
    #[command(
        after_help = "Examples:\n  weald node --config weald.toml\n  WEALD_ROOT_PASSWORD=secret weald node --data-dir /var/lib/weald --bind-address 0.0.0.0\n\nEvery key of the file is a flag and an environment variable too; a flag counts before a variable, a variable before the file."
    )]
    Node(Node),
    /// A small SQL shell.
    #[command(
        after_help = "Examples:\n  weald sql\n  weald sql -u app -p -D shop\n  weald sql -e 'SELECT VERSION()'\n  weald sql < script.sql\n\nA statement ends with ; or with \\G, which prints its rows one column a line. Exit code 1: a statement failed, or there was no connection."
    )]
    Sql(sql::Options),
    /// The operator's tool: who is in the cluster, and as what.
    #[command(
        after_help = "Examples:\n  weald admin list-nodes\n  weald admin bootstrap-aggregator 10.0.0.1:3306\n  weald admin add-leaf 10.0.0.5:3306\n  weald admin -H 10.0.0.1,10.0.0.2 show-cluster --json\n\nExit code 0: done; 1: not done, and why; 2: the command line is wrong."
    )]
    Admin(Box<admin::Options>),
}

#[derive(Args)]
struct Node {
    /// The configuration file; docs/weald.toml has every key.
    #[arg(long, value_name = "FILE", env = "WEALD_CONFIG")]
    config: Option<PathBuf>,
    /// Ends when its standard input does: for a parent whose children are not to outlive it.
    #[arg(long, hide = true)]
    end_with_input: bool,
    #[command(flatten)]
    settings: Settings,
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Dev(options) => dev::run(*options, |settings: Settings| settings.for_dev().and_then(|config| serve(&config))),
        Command::Node(node) => run_node(node),
        Command::Sql(options) => return sql::run(&options),
        Command::Admin(options) => return admin::run(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(line) => {
            eprintln!("weald: {line}");
            ExitCode::FAILURE
        }
    }
}

fn run_node(node: Node) -> Result<(), String> {
    if node.end_with_input {
        let watch = || {
            // Nothing is ever sent: this returns when the parent is gone, however it ended.
            let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
            if let Err(error) = weald_env::real::ask_oneself_to_end() {
                eprintln!("weald: cannot end with its parent: {error}");
            }
        };
        std::thread::Builder::new().name("parent".into()).spawn(watch).map_err(|e| format!("no thread: {e}"))?;
    }
    node.settings.for_node(&Env::real(), node.config.as_deref()).and_then(|config| serve(&config))
}

fn serve(config: &weald_node::Config) -> Result<(), String> {
    weald_node::keep_files_private();
    let env = Env::real();
    let begun = env.clock.now();
    weald_node::give_back_with(allocator::give_back);
    weald_node::run(config, opened, |_| say(&format!("ready after {}", seconds(env.clock.now() - begun)))).map_err(|e| e.line())
}

fn opened(r: &Ready) {
    let password = if r.root_needs_password { " -p" } else { "" };
    let what = if r.fresh { "new" } else { "found, recovering" };
    say(&format!("Weald {}", env!("CARGO_PKG_VERSION")));
    say(&format!("  data   {} ({what})", r.data_dir.display()));
    say(&format!("  log    {}", r.log.display()));
    say(&format!("  http   http://{}/healthz  http://{}/metrics", r.http, r.http));
    say(&format!("  mysql -h {} -P {} -u root{password}", r.mysql.ip(), r.mysql.port()));
}

pub(crate) fn seconds(d: Duration) -> String {
    format!("{:.2} s", d.as_secs_f64())
}

/// On standard output, which may be closed: nobody listening is no reason to end.
pub(crate) fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
