//! The one binary.
//!
//! Owns:     the command line.
//! Promises: errors say what to do next, on standard error, with exit code 1; "ready" comes on standard output when clients can connect.
//! Never:    does what a room can do.

use clap::{Args, Parser, Subcommand};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use weald_node::Config;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(name = "weald", version, about = "A distributed SQL database that looks like one MySQL server.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// A whole cluster in one process, for this machine.
    #[command(after_help = "Example:\n  weald dev --data-dir ./data\n  mysql -h 127.0.0.1 -P 3306 -u root")]
    Dev(Dev),
}

#[derive(Args)]
struct Dev {
    /// Where everything is kept; made if it does not exist.
    #[arg(long, default_value = "./weald-data", env = "WEALD_DATA_DIR")]
    data_dir: PathBuf,
    /// For MySQL clients; 0 takes a free one.
    #[arg(long, default_value_t = 3306, env = "WEALD_MYSQL_PORT")]
    mysql_port: u16,
    /// For /healthz and /metrics; 0 takes a free one.
    #[arg(long, default_value_t = 8080, env = "WEALD_HTTP_PORT")]
    http_port: u16,
    /// The address to listen on. root has no password until you give it one: think before you open this to others.
    #[arg(long, default_value = "127.0.0.1", env = "WEALD_BIND")]
    bind: IpAddr,
    /// Memory for rows, in megabytes.
    #[arg(long, default_value_t = 4096, env = "WEALD_MEMORY_MB", value_parser = clap::value_parser!(u64).range(64..))]
    memory_mb: u64,
}

fn main() -> ExitCode {
    let Command::Dev(dev) = Cli::parse().command;
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(tracing_subscriber::filter::LevelFilter::INFO).init();
    let config = Config {
        data_dir: dev.data_dir,
        mysql: SocketAddr::new(dev.bind, dev.mysql_port),
        http: SocketAddr::new(dev.bind, dev.http_port),
        memory: dev.memory_mb << 20,
        threads: std::thread::available_parallelism().map_or(4, |n| n.get().max(2)),
    };
    match weald_node::run(&config, |mysql, http| println!("ready  mysql://root@{mysql}  http://{http}")) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("weald: {e}");
            ExitCode::FAILURE
        }
    }
}
