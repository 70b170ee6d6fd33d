//! Why a node does not start.
//!
//! Owns:     nothing.
//! Promises: [`Error::line`] is one line that says what is wrong and what to do about it.
//! Never:    a client's fault: those are `types::Fault`.

use std::error::Error as _;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::PathBuf;
use weald_log::Error as LogError;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the data directory {} cannot be used", dir.display())]
    Directory { dir: PathBuf, source: LogError },
    #[error("the catalogue in {} cannot be read", dir.display())]
    CatalogLog { dir: PathBuf, source: LogError },
    #[error("the catalogue in {} cannot be read: {reason}", dir.display())]
    Catalog { dir: PathBuf, reason: String },
    #[error("the catalogue in {} cannot be read", dir.display())]
    Group { dir: PathBuf, source: Box<weald_metaraft::Error> },
    #[error("this node does not know who it is")]
    Identity(#[source] weald_rpc::CredentialError),
    #[error("recovery failed")]
    Recovery(#[from] weald_leaf::Error),
    #[error("cannot listen on {address} for {what}")]
    Listen { address: SocketAddr, what: &'static str, option: &'static str, source: std::io::Error },
    #[error("cannot write the log file {}", path.display())]
    LogFile { path: PathBuf, source: std::io::Error },
    #[error("'{level}' is not a log level")]
    LogLevel { level: String, reason: String },
    #[error("the certificate or key in {} cannot be used", dir.display())]
    Tls { dir: PathBuf, source: std::io::Error },
    #[error("root has no password, and {address} can be reached from other machines")]
    OpenRoot { address: SocketAddr },
    #[error("the setting {name} is refused: {reason}")]
    Variable { name: String, reason: String },
    #[error("this machine refuses what the server needs")]
    Io(#[from] std::io::Error),
    #[error("the server cannot start: {0}")]
    Fault(weald_types::Fault),
}

impl Error {
    /// The error with its causes, and what to do next.
    pub fn line(&self) -> String {
        let mut line = self.to_string();
        let mut cause = self.source();
        while let Some(c) = cause {
            let text = c.to_string();
            // Some causes are passed through as they are.
            if !line.ends_with(&text) {
                line.push_str(": ");
                line.push_str(&text);
            }
            cause = c.source();
        }
        if let Some(advice) = self.advice() {
            line.push_str("; ");
            line.push_str(&advice);
        }
        line.replace('\n', " ")
    }

    fn advice(&self) -> Option<String> {
        match self {
            Error::Directory { source, .. } | Error::CatalogLog { source, .. } => of_log(source),
            Error::Catalog { .. } => Some(RESTORE.into()),
            Error::Group { source, .. } => of_group(source),
            Error::Identity(weald_rpc::CredentialError::Malformed { .. }) => {
                Some("restore the directory cluster from a backup of this node; another identity would make it another node".into())
            }
            Error::Identity(_) => None,
            Error::Recovery(weald_leaf::Error::Log(e)) => of_log(e),
            Error::Recovery(weald_leaf::Error::Recovery { .. }) => Some(RESTORE.into()),
            Error::Recovery(weald_leaf::Error::Fault(_)) => None,
            Error::Listen { option, source, .. } => match source.kind() {
                ErrorKind::AddrInUse => Some(format!("choose another port with {option}, or end the process that has this one")),
                ErrorKind::PermissionDenied => Some(format!("choose a port above 1023 with {option}")),
                ErrorKind::AddrNotAvailable => Some("no interface of this machine has that address".into()),
                _ => None,
            },
            Error::LogFile { source, .. } | Error::Io(source) | Error::Tls { source, .. } => of_io(source),
            Error::LogLevel { reason, .. } => Some(format!("{reason}; try error, warn, info, debug or trace")),
            Error::OpenRoot { .. } => Some("start with --root-password, or listen on 127.0.0.1".into()),
            Error::Variable { .. } | Error::Fault(_) => None,
        }
    }
}

const RESTORE: &str = "nothing was changed; keep a copy of the directory, then restore it from a backup";

fn of_group(error: &weald_metaraft::Error) -> Option<String> {
    use weald_metaraft::Error as E;
    match error {
        E::Log(e) => of_log(e),
        E::Io { source, .. } => of_io(source),
        E::Broken { .. } => Some(RESTORE.into()),
        // Says it itself, or is nothing that an operator could do something about.
        E::Newer { .. } | E::Message { .. } | E::Occupied { .. } | E::Failed { .. } => None,
    }
}

fn of_log(error: &LogError) -> Option<String> {
    match error {
        LogError::DiskFull { .. } => Some("free some space and start again: nothing is lost".into()),
        LogError::Locked { .. } => Some("end that process, or choose another directory with --data-dir".into()),
        LogError::Corrupt { .. } | LogError::Missing { .. } | LogError::Gap { .. } => Some(RESTORE.into()),
        LogError::Foreign { .. } | LogError::Occupied { .. } => Some("choose another directory with --data-dir".into()),
        LogError::Io { source, .. } | LogError::Poisoned { source, .. } => of_io(source),
        // Says it itself.
        LogError::Newer { .. } => None,
        LogError::Closed | LogError::BufferFull { .. } | LogError::RecordTooLong { .. } | LogError::UnknownPartition { .. } => None,
    }
}

fn of_io(error: &std::io::Error) -> Option<String> {
    match error.kind() {
        ErrorKind::PermissionDenied => Some("run as the user who owns it, or choose another directory with --data-dir".into()),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Some("free some space and start again: nothing is lost".into()),
        ErrorKind::ReadOnlyFilesystem => Some("choose a directory on a file system that can be written to".into()),
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => Some("choose another directory with --data-dir".into()),
        _ => None,
    }
}
