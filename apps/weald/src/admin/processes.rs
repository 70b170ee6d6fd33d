//! Nodes as processes of this machine: their configuration files, their start and end.
//!
//! Owns:     nothing: a node that was started goes on by itself.
//! Promises: returns when the node takes connections, or has ended; what it said is passed on.
//! Never:    kills: a node that does not end by itself is for a person to look at.

use super::{Done, Options, Place};
use crate::client::{Client, Error};
use clap::Args;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use weald_env::Env;

/// How often is looked.
const LOOK: Duration = Duration::from_millis(50);
/// What a node may take to end: open transactions get a moment, the last writes reach the disk.
const DRAIN: Duration = Duration::from_secs(60);

#[derive(Args)]
pub struct NewNode {
    /// Where the node keeps everything; its configuration is written to weald.toml in it.
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    #[arg(long, default_value_t = 3306)]
    mysql_port: u16,
    #[arg(long, default_value_t = 8080)]
    http_port: u16,
    /// The address to listen on.
    #[arg(long, default_value = "127.0.0.1")]
    bind_address: std::net::IpAddr,
    /// Holds what all nodes of the cluster know and nobody else.
    #[arg(long, value_name = "FILE")]
    cluster_secret_file: Option<PathBuf>,
    /// Only writes the configuration.
    #[arg(long)]
    no_start: bool,
}

pub fn create(o: &Options, new: &NewNode) -> Done {
    let env = Env::real();
    let dir = std::path::absolute(&new.data_dir).map_err(|e| format!("{}: {e}", new.data_dir.display()))?;
    let path = dir.join("weald.toml");
    let failed = |e: std::io::Error| format!("{} cannot be written: {e}", path.display());
    if env.disk.exists(&path) {
        return Err(format!("{} is there already", path.display()));
    }
    env.disk.create_dir_all(&dir).map_err(failed)?;
    let mut text = format!(
        "# Every key is explained in docs/weald.toml.\ndata_dir = {}\nmysql_port = {}\nhttp_port = {}\nbind_address = \"{}\"\n",
        toml::Value::String(dir.display().to_string()),
        new.mysql_port,
        new.http_port,
        new.bind_address
    );
    if let Some(secret) = &new.cluster_secret_file {
        let secret = std::path::absolute(secret).map_err(|e| format!("{}: {e}", secret.display()))?;
        text.push_str(&format!("cluster_secret_file = {}\n", toml::Value::String(secret.display().to_string())));
    }
    env.disk.write_atomically(&path, text.as_bytes()).map_err(failed)?;
    if new.no_start {
        return done(o, &format!("Wrote {}.", path.display()));
    }
    start(o, &path)
}

pub fn start(o: &Options, config: &Path) -> Done {
    let env = Env::real();
    let (host, port) = address(&env, config)?;
    if answers(o, &host, port) {
        return Err(format!("{host}:{port} takes connections already"));
    }
    let failed = |e: std::io::Error| format!("the node cannot be started: {e}");
    let program = std::env::current_exe().map_err(failed)?;
    let mut command = Command::new(program);
    // Not to our own standard error: whoever reads that to its end would wait for as long as the node runs.
    let said = said_in(config);
    let errors = weald_env::real::output_file(&said).map_err(failed)?;
    // In a group of its own, so that a Ctrl-C at this terminal is not for it.
    command.args(["node", "--config"]).arg(config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors).process_group(0);
    let mut node = command.spawn().map_err(failed)?;
    loop {
        if answers(o, &host, port) {
            return done(o, &format!("The node takes connections at {host}:{port}."));
        }
        if let Some(status) = node.try_wait().map_err(failed)? {
            let text = env.disk.read(&said).unwrap_or_default();
            return Err(format!("the node has ended ({status}): {}", String::from_utf8_lossy(&text).trim()));
        }
        std::thread::park_timeout(LOOK);
    }
}

/// Where a node that is started leaves what it says on its standard error. A name with a dot is let be in a data directory.
fn said_in(config: &Path) -> PathBuf {
    let name = config.file_name().unwrap_or_default().to_string_lossy();
    config.with_file_name(format!(".{name}.stderr"))
}

pub fn stop(o: &Options, node: &Place) -> Done {
    o.confirm(&format!("End the node {}?", node.sql()))?;
    end(o, &node.host, node.port.unwrap_or(o.port))?;
    done(o, "The node has ended.")
}

pub fn restart(o: &Options, config: &Path) -> Done {
    let (host, port) = address(&Env::real(), config)?;
    o.confirm(&format!("End the node '{host}':{port} and start it again?"))?;
    if answers(o, &host, port) {
        end(o, &host, port)?;
    }
    start(o, config)
}

fn end(o: &Options, host: &str, port: u16) -> Done {
    let mut c = Client::connect(host, port, &o.user, o.password(), None).map_err(|e| e.line(None))?;
    match c.query("SHUTDOWN") {
        // It may be gone before it has answered.
        Ok(_) | Err(Error::Lost(_)) => (),
        Err(e) => return Err(e.line(None)),
    }
    let env = Env::real();
    let begun = env.clock.now();
    while answers(o, host, port) {
        if env.clock.now() - begun > DRAIN {
            return Err(format!("{host}:{port} has not ended within {} s", DRAIN.as_secs()));
        }
        std::thread::park_timeout(LOOK);
    }
    Ok(())
}

/// Whether anybody listens; who does may refuse us.
fn answers(o: &Options, host: &str, port: u16) -> bool {
    !matches!(Client::connect(host, port, &o.user, o.password(), None), Err(Error::Connect { .. } | Error::Lost(_)))
}

/// Where the node of a configuration file listens. `0.0.0.0` is reached by the loopback.
fn address(env: &Env, config: &Path) -> Result<(String, u16), String> {
    let bytes = env.disk.read(config).map_err(|e| format!("{} cannot be read: {e}", config.display()))?;
    let table: toml::Table =
        toml::from_str(&String::from_utf8_lossy(&bytes)).map_err(|e| format!("{}: {}", config.display(), e.message().replace('\n', " ")))?;
    let port = match table.get("mysql_port") {
        Some(p) => p.as_integer().and_then(|p| u16::try_from(p).ok()).filter(|p| *p > 0).ok_or("mysql_port must be a port")?,
        None => 3306,
    };
    let host = table.get("bind_address").and_then(toml::Value::as_str).unwrap_or("127.0.0.1");
    let any = host.parse::<std::net::IpAddr>().is_ok_and(|a| a.is_unspecified());
    Ok((if any { "127.0.0.1".into() } else { host.to_string() }, port))
}

fn done(o: &Options, text: &str) -> Done {
    if o.json {
        crate::say(&serde_json::json!({ "done": true, "text": text }).to_string());
    } else {
        crate::say(text);
    }
    Ok(())
}
