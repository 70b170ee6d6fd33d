//! How a node is to run.
//!
//! Owns:     nothing.
//! Promises: limits that were not given follow from the machine.
//! Never:    reads a file or an environment variable: the program's door does.

use crate::log_file::Limits;
use std::net::SocketAddr;
use std::path::PathBuf;
use weald_rpc::ClusterSecret;

/// maximum_memory where it is not given: this much of the machine's.
const SHARE_OF_MACHINE: f64 = 0.9;
/// maximum_table_memory where it is not given: this much of maximum_memory.
const SHARE_FOR_TABLES: f64 = 0.9;
/// Where the machine does not say what it has.
const SMALL_MACHINE_BYTES: u64 = 2 << 30;

/// What a data directory that holds no catalogue is to become. One that does is what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// A cluster of one process.
    Alone,
    /// A node without a role, until a statement gives it one.
    Fresh,
}

/// Where a node's cluster port is, counted from its MySQL port, unless it is said otherwise.
pub const CLUSTER_PORT_OFFSET: u16 = 100;

/// What a node needs to be one of several.
#[derive(Clone, Debug)]
pub struct ClusterConfig {
    pub listen: SocketAddr,
    /// By which name the others and the clients reach it; None: as whoever adds it calls it.
    pub advertise_host: Option<Box<str>>,
    pub secret: ClusterSecret,
}

#[derive(Clone, Debug)]
pub struct Config {
    pub data_dir: PathBuf,
    pub begin: Begin,
    pub mysql: SocketAddr,
    pub http: SocketAddr,
    /// None: a node that stays alone.
    pub cluster: Option<ClusterConfig>,
    /// For a root who has no password yet.
    pub root_password: Option<String>,
    /// maximum_memory, bytes.
    pub memory: Option<u64>,
    /// maximum_table_memory, bytes.
    pub table_memory: Option<u64>,
    /// Worker threads of each kind.
    pub threads: Option<usize>,
    /// Where statements may read and write files of this machine; None: nowhere.
    pub secure_file_priv: Option<PathBuf>,
    pub log: LogConfig,
    /// Global system variables and their values.
    pub variables: Vec<(String, String)>,
}

#[derive(Clone, Debug)]
pub struct LogConfig {
    /// `info`, or directives such as `info,weald_log=debug`.
    pub level: String,
    pub format: LogFormat,
    pub limits: Limits,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

impl Config {
    /// (maximum_memory, maximum_table_memory), in bytes and whole megabytes.
    pub(crate) fn memory_limits(&self) -> (u64, u64) {
        let whole = |bytes: f64| (bytes as u64 >> 20).max(1) << 20;
        let machine = || weald_env::real::machine_memory_bytes().unwrap_or(SMALL_MACHINE_BYTES);
        let memory = self.memory.unwrap_or_else(|| whole(machine() as f64 * SHARE_OF_MACHINE));
        let tables = self.table_memory.unwrap_or_else(|| whole(memory as f64 * SHARE_FOR_TABLES));
        (memory, tables)
    }

    pub(crate) fn worker_threads(&self) -> usize {
        self.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(4, |n| n.get().max(2)))
    }
}
