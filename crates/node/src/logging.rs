//! The server's log and the slow-query log: opened, and fed by `tracing`.
//!
//! Owns:     the process's subscriber, which is set once.
//! Promises: the log of the node is in its data directory, as lines of text or of JSON; warnings and errors are on standard error as well.
//! Never:    decides what is worth a line.

use crate::config::{Config, LogFormat};
use crate::error::Error;
use crate::log_file::{LogFile, Writer};
use std::path::PathBuf;
use tracing::Level;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt};
use weald_aggregator::slow_log;
use weald_env::Env;

/// The target of the line that says why the node ends.
pub(crate) const EXIT: &str = "weald_node::exit";

/// The Raft library calls it an error whenever another node does not answer, many times a second. What matters of it the metadata group says itself.
const RAFT: &str = "openraft";

/// An operator who wants to hear the library names it.
fn directives(level: &str) -> String {
    if level.contains(RAFT) { level.to_owned() } else { format!("{level},{RAFT}=off") }
}

pub(crate) struct LogFiles {
    pub server: LogFile,
    pub slow: LogFile,
    pub slow_path: PathBuf,
    pub server_path: PathBuf,
    writers: [Writer; 2],
}

pub(crate) fn open(env: &Env, config: &Config) -> Result<LogFiles, Error> {
    let open = |name: &str, header: fn() -> String| {
        let path = config.data_dir.join(name);
        let opened = LogFile::open(env, &path, config.log.limits, header);
        opened.map(|(file, writer)| (file, writer, path.clone())).map_err(|source| Error::LogFile { path, source })
    };
    let wrong = |reason: String| Error::LogLevel { level: config.log.level.clone(), reason };
    let filter = EnvFilter::builder().parse(directives(&config.log.level)).map_err(|e| wrong(e.to_string()))?;
    let (server, server_writer, server_path) = open("weald.log", String::new)?;
    let (slow, slow_writer, slow_path) = open("slow.log", || slow_log::header(weald_aggregator::VERSION))?;
    let file = match config.log.format {
        LogFormat::Text => fmt::layer().with_ansi(false).with_writer(server.clone()).boxed(),
        LogFormat::Json => fmt::layer().json().flatten_event(true).with_writer(server.clone()).boxed(),
    };
    // Why the node did not start is told by whoever started it.
    let told = |m: &tracing::Metadata<'_>| *m.level() <= Level::WARN && m.target() != EXIT && !m.target().starts_with(RAFT);
    let console = fmt::layer().with_writer(std::io::stderr).with_target(false).with_filter(filter_fn(told));
    // A second node in one process (a test's) keeps the first one's subscriber.
    let _ = tracing_subscriber::registry().with(file.with_filter(filter)).with(console).try_init();
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        tracing::error!(%panic, "a thread panicked");
        before(panic);
    }));
    Ok(LogFiles { server, slow, slow_path, server_path, writers: [slow_writer, server_writer] })
}

impl LogFiles {
    /// What was written is in the files.
    pub fn close(self) {
        for writer in self.writers {
            writer.close();
        }
    }
}
