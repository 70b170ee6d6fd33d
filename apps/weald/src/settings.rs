//! The settings of a server: flags, environment variables and the configuration file, which have the same keys.
//!
//! Owns:     the names of the keys.
//! Promises: a flag counts before a variable, a variable before the file; a key that nobody knows is refused with its line.
//! Never:    decides what a limit is when none is given: the node does.

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use weald_env::Env;
use weald_node::log_file::Limits;
use weald_node::{Begin, CLUSTER_PORT_OFFSET, ClusterConfig, ClusterSecret, Config, LogConfig, LogFormat};

#[derive(Args, Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where everything is kept; made if it does not exist. [default: ./weald-data]
    #[arg(long, value_name = "DIR", env = "WEALD_DATA_DIR")]
    data_dir: Option<PathBuf>,
    /// For MySQL clients; 0 takes a free one. [default: 3306]
    #[arg(long, value_name = "PORT", env = "WEALD_MYSQL_PORT")]
    mysql_port: Option<u16>,
    /// For /healthz and /metrics; 0 takes a free one. [default: 8080]
    #[arg(long, value_name = "PORT", env = "WEALD_HTTP_PORT")]
    http_port: Option<u16>,
    /// The address to listen on; `weald dev` listens on 127.0.0.1 only. [default: 127.0.0.1]
    #[arg(long, value_name = "ADDRESS", env = "WEALD_BIND_ADDRESS")]
    bind_address: Option<IpAddr>,
    /// For the other nodes of a cluster; 0 takes a free one. Open if there is a cluster secret. [default: mysql_port + 100]
    #[arg(long, value_name = "PORT", env = "WEALD_CLUSTER_PORT")]
    cluster_port: Option<u16>,
    /// The name or address by which other nodes and clients reach this one. [default: as the node is called when it is added]
    #[arg(long, value_name = "HOST", env = "WEALD_ADVERTISE_HOST")]
    advertise_host: Option<String>,
    /// What all nodes of a cluster know and nobody else: at least 16 characters. With it this node can be the first of a cluster, or be added to one.
    #[arg(long, value_name = "SECRET", env = "WEALD_CLUSTER_SECRET", hide_env_values = true)]
    cluster_secret: Option<String>,
    /// A file that holds the cluster secret, instead of it.
    #[arg(long, value_name = "FILE", env = "WEALD_CLUSTER_SECRET_FILE")]
    cluster_secret_file: Option<PathBuf>,
    /// Given to root if it has none yet. Needed at the first start of a node that listens to other machines.
    #[arg(long, value_name = "PASSWORD", env = "WEALD_ROOT_PASSWORD", hide_env_values = true)]
    root_password: Option<String>,
    /// Memory for the whole process, in megabytes. [default: 90% of the machine's]
    #[arg(long, value_name = "MB", env = "WEALD_MAXIMUM_MEMORY", value_parser = clap::value_parser!(u64).range(64..))]
    maximum_memory: Option<u64>,
    /// Memory for rows and indexes, in megabytes. [default: 90% of maximum_memory]
    #[arg(long, value_name = "MB", env = "WEALD_MAXIMUM_TABLE_MEMORY", value_parser = clap::value_parser!(u64).range(16..))]
    maximum_table_memory: Option<u64>,
    /// Threads that serve connections, and as many that run large queries. [default: one for each core, at least 2]
    #[arg(long, value_name = "N", env = "WEALD_THREADS", value_parser = clap::value_parser!(u64).range(1..=1024))]
    threads: Option<u64>,
    /// The directory that LOAD DATA INFILE reads from and SELECT … INTO OUTFILE writes to; / allows every place. [default: none, both are refused]
    #[arg(long, value_name = "DIR", env = "WEALD_SECURE_FILE_PRIV")]
    secure_file_priv: Option<PathBuf>,
    /// What goes to the log: error, warn, info, debug, trace; also by module, as in info,weald_log=debug. [default: info]
    #[arg(long, value_name = "LEVEL", env = "WEALD_LOG_LEVEL")]
    log_level: Option<String>,
    /// Lines of the log. [default: text]
    #[arg(long, value_enum, env = "WEALD_LOG_FORMAT")]
    log_format: Option<Format>,
    /// A log file that is larger, in megabytes, is set aside and a new one begun. [default: 64]
    #[arg(long, value_name = "MB", env = "WEALD_LOG_FILE_SIZE", value_parser = clap::value_parser!(u64).range(1..))]
    log_file_size: Option<u64>,
    /// Log files that are kept besides the newest. [default: 4]
    #[arg(long, value_name = "N", env = "WEALD_LOG_FILES", value_parser = clap::value_parser!(u64).range(0..=1000))]
    log_files: Option<u64>,
    /// A system variable, as SET GLOBAL would set it; can be given several times (in WEALD_VARIABLE separated by ;). The file has a table [variables].
    #[arg(long, value_name = "NAME=VALUE", env = "WEALD_VARIABLE", value_delimiter = ';')]
    #[serde(skip)]
    variable: Vec<String>,
    #[arg(skip)]
    variables: BTreeMap<String, toml::Value>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
enum Format {
    Text,
    Json,
}

impl Settings {
    pub fn for_dev(self) -> Result<Config, String> {
        if self.bind_address.is_some_and(|a| !a.is_loopback()) {
            return Err("weald dev is for this machine only; use weald node to listen on another address".into());
        }
        self.config(Begin::Alone, &Env::real())
    }

    /// For `count` processes of `weald dev` on this machine, which share its memory.
    pub fn for_dev_nodes(self, count: u64) -> Result<DevNodes, String> {
        // What would be refused of one is refused of all, and here, where there is one to be told.
        let config = self.clone().for_dev()?;
        let machine = || weald_env::real::machine_memory_bytes().map_or(2048, |bytes| (bytes as f64 * 0.9) as u64 >> 20);
        let share = |mb: u64, least: u64| Some((mb / count.max(1)).max(least));
        let given = config.variables.iter().map(|(name, value)| (name.clone(), toml::Value::String(value.clone())));
        let settings = Settings {
            data_dir: None,
            bind_address: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            root_password: None,
            maximum_memory: share(self.maximum_memory.unwrap_or_else(machine), 64),
            maximum_table_memory: self.maximum_table_memory.and_then(|mb| share(mb, 16)),
            secure_file_priv: config.secure_file_priv,
            variables: given.collect(),
            variable: Vec::new(),
            ..self
        };
        Ok(DevNodes { mysql_port: config.mysql.port(), http_port: config.http.port(), root_password: config.root_password, settings })
    }

    pub fn data_dir(&self) -> PathBuf {
        self.data_dir.clone().unwrap_or_else(default_data_dir)
    }

    pub fn for_node(self, env: &Env, file: Option<&Path>) -> Result<Config, String> {
        let from_file = match file {
            Some(path) => read(env, path)?,
            None => Settings::default(),
        };
        self.before(from_file).config(Begin::Fresh, env)
    }

    /// What is not given here is as in `file`.
    fn before(self, file: Settings) -> Settings {
        Settings {
            data_dir: self.data_dir.or(file.data_dir),
            mysql_port: self.mysql_port.or(file.mysql_port),
            http_port: self.http_port.or(file.http_port),
            bind_address: self.bind_address.or(file.bind_address),
            cluster_port: self.cluster_port.or(file.cluster_port),
            advertise_host: self.advertise_host.or(file.advertise_host),
            // A secret that is given here counts before a file that is named there, and the other way round.
            cluster_secret_file: if self.cluster_secret.is_some() { None } else { self.cluster_secret_file.clone().or(file.cluster_secret_file) },
            cluster_secret: if self.cluster_secret_file.is_some() { self.cluster_secret } else { self.cluster_secret.or(file.cluster_secret) },
            root_password: self.root_password.or(file.root_password),
            maximum_memory: self.maximum_memory.or(file.maximum_memory),
            maximum_table_memory: self.maximum_table_memory.or(file.maximum_table_memory),
            threads: self.threads.or(file.threads),
            secure_file_priv: self.secure_file_priv.or(file.secure_file_priv),
            log_level: self.log_level.or(file.log_level),
            log_format: self.log_format.or(file.log_format),
            log_file_size: self.log_file_size.or(file.log_file_size),
            log_files: self.log_files.or(file.log_files),
            variable: self.variable,
            variables: file.variables,
        }
    }

    fn config(self, begin: Begin, env: &Env) -> Result<Config, String> {
        let address = self.bind_address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let mut variables = Vec::new();
        for (name, value) in self.variables {
            let value = match value {
                toml::Value::String(s) => s,
                toml::Value::Integer(n) => n.to_string(),
                toml::Value::Float(n) => n.to_string(),
                toml::Value::Boolean(b) => if b { "ON" } else { "OFF" }.to_string(),
                toml::Value::Datetime(_) | toml::Value::Array(_) | toml::Value::Table(_) => {
                    return Err(format!("the variable {name} must be a text, a number, true or false"));
                }
            };
            variables.push((name, value));
        }
        for given in self.variable.iter().filter(|v| !v.trim().is_empty()) {
            let (name, value) = given.split_once('=').ok_or_else(|| format!("--variable wants NAME=VALUE, not '{given}'"))?;
            variables.push((name.trim().to_string(), value.trim().to_string()));
        }
        let table_memory = self.maximum_table_memory.map(|mb| mb << 20);
        let memory = self.maximum_memory.map(|mb| mb << 20);
        if memory.zip(table_memory).is_some_and(|(all, tables)| tables > all) {
            return Err("maximum_table_memory is more than maximum_memory".into());
        }
        let secure_file_priv = match self.secure_file_priv.filter(|p| !p.as_os_str().is_empty()) {
            None => None,
            Some(dir) => Some(std::path::absolute(&dir).map_err(|e| format!("secure_file_priv: {}: {e}", dir.display()))?),
        };
        let mysql = SocketAddr::new(address, self.mysql_port.unwrap_or(3306));
        let cluster = cluster(env, begin, mysql, self.cluster_port, self.advertise_host, self.cluster_secret, self.cluster_secret_file)?;
        Ok(Config {
            data_dir: self.data_dir.unwrap_or_else(default_data_dir),
            begin,
            mysql,
            cluster,
            http: SocketAddr::new(address, self.http_port.unwrap_or(8080)),
            root_password: self.root_password.filter(|p| !p.is_empty()),
            memory,
            table_memory,
            threads: self.threads.map(|n| n as usize),
            secure_file_priv,
            log: LogConfig {
                level: self.log_level.unwrap_or_else(|| "info".into()),
                format: match self.log_format {
                    Some(Format::Json) => LogFormat::Json,
                    Some(Format::Text) | None => LogFormat::Text,
                },
                limits: Limits { file_bytes: self.log_file_size.unwrap_or(64) << 20, pieces: self.log_files.unwrap_or(4) as usize },
            },
            variables,
        })
    }
}

/// Where none is named.
pub fn default_data_dir() -> PathBuf {
    "./weald-data".into()
}

/// What the nodes of a `weald dev` have in common. The ports are the master's.
pub struct DevNodes {
    settings: Settings,
    pub mysql_port: u16,
    pub http_port: u16,
    pub root_password: Option<String>,
}

/// What one of them has for itself.
pub struct NodeSettings {
    pub data_dir: PathBuf,
    pub mysql_port: u16,
    pub http_port: u16,
    pub cluster_port: u16,
    pub secret_file: PathBuf,
}

impl DevNodes {
    /// Its configuration file.
    pub fn config_of(&self, own: &NodeSettings) -> Result<String, String> {
        let settings = Settings {
            data_dir: Some(own.data_dir.clone()),
            mysql_port: Some(own.mysql_port),
            http_port: Some(own.http_port),
            cluster_port: Some(own.cluster_port),
            cluster_secret_file: Some(own.secret_file.clone()),
            ..self.settings.clone()
        };
        let text = toml::to_string(&settings).map_err(|e| format!("the configuration cannot be written: {e}"))?;
        Ok(format!("# Written by `weald dev` at each start.\n{text}"))
    }
}

/// Without a secret a node stays alone; then nothing may be said of a cluster.
fn cluster(
    env: &Env,
    begin: Begin,
    mysql: SocketAddr,
    port: Option<u16>,
    host: Option<String>,
    secret: Option<String>,
    file: Option<PathBuf>,
) -> Result<Option<ClusterConfig>, String> {
    let secret = match (secret, file) {
        (Some(_), Some(_)) => return Err("cluster_secret and cluster_secret_file are both given; one of them is enough".into()),
        (Some(secret), None) => Some(secret),
        (None, Some(file)) => {
            let text = env.disk.read(&file).map_err(|e| format!("cluster_secret_file: {} cannot be read: {e}", file.display()))?;
            Some(String::from_utf8(text).map_err(|_| format!("cluster_secret_file: {} is not text", file.display()))?)
        }
        (None, None) => None,
    };
    let Some(secret) = secret else {
        return match (port, host) {
            (None, None) => Ok(None),
            (Some(_), _) => Err("cluster_port is given without a cluster_secret, and without one no other node is let in".into()),
            (None, Some(_)) => Err("advertise_host is given without a cluster_secret, and without one there are no other nodes".into()),
        };
    };
    if begin == Begin::Alone {
        return Err("weald dev is a cluster of its own; start nodes of another with weald node".into());
    }
    let secret = ClusterSecret::new(&secret).map_err(|e| format!("cluster_secret: {e}"))?;
    let host = host.map(|h| h.trim().to_string()).filter(|h| !h.is_empty());
    if let Some(h) = host.as_deref().filter(|h| h.contains(['/', ' ', '\'', '@'])) {
        return Err(format!("advertise_host: '{h}' is no host name or address; the ports are not part of it"));
    }
    let port = match port {
        Some(port) => port,
        None if mysql.port() == 0 => 0,
        None => {
            mysql.port().checked_add(CLUSTER_PORT_OFFSET).ok_or_else(|| format!("cluster_port has to be given: {} + 100 is no port", mysql.port()))?
        }
    };
    Ok(Some(ClusterConfig { listen: SocketAddr::new(mysql.ip(), port), advertise_host: host.map(Into::into), secret }))
}

fn read(env: &Env, path: &Path) -> Result<Settings, String> {
    let bytes = env.disk.read(path).map_err(|e| format!("the configuration file {} cannot be read: {e}", path.display()))?;
    let text = String::from_utf8(bytes).map_err(|_| format!("the configuration file {} is not UTF-8", path.display()))?;
    let settings: Settings = toml::from_str(&text).map_err(|e| {
        let line = e.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
        format!("the configuration file {} is wrong in line {line}: {}", path.display(), e.message().replace('\n', " "))
    })?;
    let below = |value: Option<u64>, least: u64, name: &str| match value {
        Some(n) if n < least => Err(format!("the configuration file {}: {name} is less than {least}", path.display())),
        _ => Ok(()),
    };
    below(settings.maximum_memory, 64, "maximum_memory")?;
    below(settings.maximum_table_memory, 16, "maximum_table_memory")?;
    below(settings.threads, 1, "threads")?;
    below(settings.log_file_size, 1, "log_file_size")?;
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> Result<Settings, String> {
        let env = Env::simulated(1);
        env.disk.create_dir_all(Path::new("/c")).unwrap();
        env.disk.write_atomically(Path::new("/c/weald.toml"), text.as_bytes()).unwrap();
        read(&env, Path::new("/c/weald.toml"))
    }

    #[test]
    fn flags_count_before_the_file_and_defaults_after_it() {
        let flags = Settings { mysql_port: Some(1), variable: vec!["wait_timeout=5".into()], ..Settings::default() };
        let config = flags
            .before(file("mysql_port = 2\nhttp_port = 3\n[variables]\nwait_timeout = 7\nslow_query_log = false\n").unwrap())
            .config(Begin::Fresh, &Env::simulated(1))
            .unwrap();
        assert_eq!((config.mysql.port(), config.http.port()), (1, 3));
        let variables: Vec<_> = config.variables.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        // The last one counts.
        assert_eq!(variables, [("slow_query_log", "OFF"), ("wait_timeout", "7"), ("wait_timeout", "5")]);
        assert_eq!(config.data_dir, Path::new("./weald-data"));
    }

    #[test]
    fn the_example_in_the_repository_is_understood() {
        let text = include_str!("../../../docs/weald.toml");
        let settings = file(text).unwrap();
        assert_eq!(settings.mysql_port, Some(3306));
        // Every key is there, if only as a comment.
        for key in [
            "data_dir",
            "bind_address",
            "cluster_port",
            "advertise_host",
            "cluster_secret",
            "cluster_secret_file",
            "root_password",
            "maximum_memory",
            "maximum_table_memory",
            "threads",
            "secure_file_priv",
            "log_level",
            "log_format",
        ] {
            assert!(text.contains(key), "{key}");
        }
    }

    #[test]
    fn what_the_example_shows_as_a_comment_can_be_said() {
        let example = include_str!("../../../docs/weald.toml");
        let setting = |l: &str| l.strip_prefix("# ").filter(|l| l.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '))).map(str::to_string);
        let text: Vec<String> = example.lines().map(|l| setting(l).unwrap_or_else(|| l.to_string())).collect();
        let settings = file(&text.join("\n")).unwrap();
        assert_eq!((settings.maximum_memory, settings.log_files), (Some(8192), Some(4)));
        assert!(settings.variables.len() >= 6, "{:?}", settings.variables);
    }

    #[test]
    fn a_wrong_file_is_refused_by_line() {
        let e = file("mysql_port = 3306\nmysql_prot = 3307\n").unwrap_err();
        assert!(e.contains("line 2") && e.contains("mysql_prot") && !e.contains('\n'), "{e}");
        let e = file("mysql_port = \"many\"\n").unwrap_err();
        assert!(e.contains("line 1"), "{e}");
        assert!(file("maximum_memory = 1\n").unwrap_err().contains("maximum_memory"));
    }

    #[test]
    fn what_is_said_of_a_cluster_makes_sense_or_is_refused() {
        let of = |text: &str| Settings::default().before(file(text).unwrap()).config(Begin::Fresh, &Env::simulated(1));
        assert!(of("").unwrap().cluster.is_none());
        let cluster = of("mysql_port = 4000\ncluster_secret = \"correct horse battery\"\nadvertise_host = \"db1\"\n").unwrap().cluster.unwrap();
        assert_eq!((cluster.listen.port(), cluster.advertise_host.as_deref()), (4100, Some("db1")));
        assert!(!format!("{cluster:?}").contains("horse"));
        for (text, says) in [
            ("cluster_port = 4100", "cluster_secret"),
            ("advertise_host = \"db1\"", "cluster_secret"),
            ("cluster_secret = \"short\"", "16"),
            ("cluster_secret_file = \"/nowhere\"", "/nowhere"),
            ("mysql_port = 65500\ncluster_secret = \"correct horse battery\"", "cluster_port"),
            ("advertise_host = \"db1:3306/x\"\ncluster_secret = \"correct horse battery\"", "advertise_host"),
        ] {
            let refused = of(text).unwrap_err();
            assert!(refused.contains(says), "{text}: {refused}");
        }
    }

    #[test]
    fn dev_stays_on_this_machine() {
        let open = Settings { bind_address: Some("0.0.0.0".parse().unwrap()), ..Settings::default() };
        assert!(open.for_dev().unwrap_err().contains("weald node"));
        assert!(Settings::default().for_dev().unwrap().mysql.ip().is_loopback());
    }
}
