//! The one binary.
//!
//! Owns:     the command line.
//! Promises: errors say what to do next, in one line on standard error, with exit code 1; "ready" comes on standard output when the first query would be
//!           answered.
//! Never:    does what a room can do.

mod allocator;
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
    /// A whole cluster in one process, for this machine only.
    #[command(
        after_help = "Examples:\n  weald dev\n  weald dev --data-dir ./data --mysql-port 3307 --root-password secret\n  mysql -h 127.0.0.1 -P 3306 -u root       once it says that it is ready\n\nCtrl-C ends it. A second start on the same directory has the data again."
    )]
    Dev(Dev),
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
}

#[derive(Args)]
struct Dev {
    #[command(flatten)]
    settings: Settings,
}

#[derive(Args)]
struct Node {
    /// The configuration file; docs/weald.toml has every key.
    #[arg(long, value_name = "FILE", env = "WEALD_CONFIG")]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Dev(dev) => dev.settings.for_dev().and_then(|config| serve(&config)),
        Command::Node(node) => node.settings.for_node(&Env::real(), node.config.as_deref()).and_then(|config| serve(&config)),
        Command::Sql(options) => return sql::run(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(line) => {
            eprintln!("weald: {line}");
            ExitCode::FAILURE
        }
    }
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

fn seconds(d: Duration) -> String {
    format!("{:.2} s", d.as_secs_f64())
}

/// On standard output, which may be closed: nobody listening is no reason to end.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
