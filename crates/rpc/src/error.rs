//! What can go wrong between nodes, sorted by what the asker may do about it.
//!
//! Owns:     nothing.
//! Promises: [`CallError::NotRun`] means that the request did nothing and never will; [`CallError::Unknown`] that nobody here can say.
//!           A peer whose process is gone ([`Lost::PeerGone`], [`ConnectError::says_gone`]) is told apart from one that is silent.
//! Never:    turns an unknown outcome into a known one.

use std::time::Duration;
use weald_types::{ClusterId, NodeIdentity};

/// How a request ended when it was not answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// It did nothing and never will: safe to send again, here or elsewhere.
    #[error("the request was not run")]
    NotRun(#[from] NotRun),
    /// It may have run: wholly, in part, or not at all.
    #[error("whether the request was run is not known")]
    Unknown(#[from] Lost),
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotRun {
    #[error("the node cannot be reached")]
    Unreachable(#[source] Box<ConnectError>),
    #[error("refused by the node: {reason}")]
    Refused { code: Refusal, reason: String },
    /// The connection was lost before all of the request was on its way.
    #[error("the connection was lost before the request was sent")]
    NotSent(#[source] Lost),
    #[error("{limit} requests are under way on this connection, which is its limit")]
    Busy { limit: usize },
    #[error("the request has {bytes} bytes; the node takes {limit}")]
    TooLarge { bytes: usize, limit: usize },
    /// This node is stopping.
    #[error("connections to other nodes are closed")]
    Closed,
}

/// Why a node refused a request before it ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The service said so.
    Service,
    /// Too many requests are under way on the connection, or their bodies take too much memory.
    Busy,
    /// It came after its deadline, or was still arriving then.
    Late,
    /// The node is about to end.
    Stopping,
}

impl Refusal {
    pub(crate) fn code(self) -> u16 {
        match self {
            Self::Service => 1,
            Self::Busy => 2,
            Self::Late => 3,
            Self::Stopping => 4,
        }
    }
    pub(crate) fn of_code(code: u16) -> Option<Self> {
        [Self::Service, Self::Busy, Self::Late, Self::Stopping].into_iter().find(|r| r.code() == code)
    }
}

/// How a connection, or the wait for an answer, ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// Closed or reset: the process at the other end is gone, or has closed this connection.
    #[error("the node closed the connection ({0})")]
    PeerGone(String),
    /// Nothing was heard for so long. The node may be alive.
    #[error("the node has been silent for {0:?}")]
    Silent(Duration),
    /// No answer within the request's own deadline. The connection stands.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// The node said why it ends the connection.
    #[error("the node ended the connection: {0}")]
    Farewell(String),
    /// What came is not what the protocol allows, or its clock is not to be believed.
    #[error("the connection was given up: {0}")]
    Broken(String),
    /// The request was begun there, and did not come to an answer.
    #[error("the node could not finish the request: {0}")]
    Failed(String),
    /// This side closed the connection.
    #[error("the connection was closed on this side")]
    Closed,
}

/// Why there is no connection to a node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    #[error("no address is known for node {0}")]
    NoAddress(NodeIdentity),
    /// Nobody listens there: the process is gone.
    #[error("{address} refuses connections")]
    Refused { address: String },
    /// The connection was closed while it was being made: the process went away, or did not want us.
    #[error("{address} closed the connection: {reason}")]
    Closed { address: String, reason: String },
    /// No word within the time for connecting. The node may be alive.
    #[error("{address} did not answer within {within:?}")]
    TimedOut { address: String, within: Duration },
    #[error("{address} speaks {theirs} (Weald {their_program}), this node speaks {ours} (Weald {our_program})")]
    Version { address: String, ours: String, our_program: String, theirs: String, their_program: String },
    /// Whoever is at that address is not who is meant.
    #[error("node {found} is at {address}, where node {expected} was expected")]
    WrongNode { address: String, expected: NodeIdentity, found: NodeIdentity },
    /// The other node cannot prove that it is of this cluster, or does not believe us.
    #[error("{address} is not to be trusted: {reason}")]
    NotTrusted { address: String, reason: String },
    /// The node let us in far enough to say why it does not let us in.
    #[error("{address} refuses this node: {reason}")]
    Unwelcome { address: String, reason: String },
    /// This node is in no cluster yet.
    #[error("this node is in no cluster")]
    NoCluster,
    #[error("cannot connect to {address}: {reason}")]
    Io { address: String, reason: String },
    #[error("connections to other nodes are closed")]
    Stopped,
}

impl ConnectError {
    /// The machine says that no process listens there, so whatever ran there is gone. Silence says nothing of the kind.
    pub fn says_gone(&self) -> bool {
        match self {
            Self::Refused { .. } => true,
            Self::NoAddress(_)
            | Self::Closed { .. }
            | Self::TimedOut { .. }
            | Self::Version { .. }
            | Self::WrongNode { .. }
            | Self::NotTrusted { .. }
            | Self::Unwelcome { .. }
            | Self::NoCluster
            | Self::Io { .. }
            | Self::Stopped => false,
        }
    }
}

impl CallError {
    pub fn is_safe_to_retry(&self) -> bool {
        match self {
            Self::NotRun(_) => true,
            Self::Unknown(_) => false,
        }
    }
}

/// Why a node could not be added.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    #[error("cannot reach the node that is to be added")]
    Unreachable(#[from] ConnectError),
    /// Either side saw that the other does not know this cluster's secret, or somebody stands between them.
    #[error("{0} does not know this cluster's secret")]
    WrongSecret(String),
    #[error("the node is already part of cluster {cluster}")]
    InAnotherCluster { identity: NodeIdentity, cluster: ClusterId },
    #[error("{node} speaks {theirs}, this node speaks {ours}")]
    Version { node: String, ours: String, theirs: String },
    #[error("the node is being added by somebody else")]
    Busy,
    #[error("the node refused: {0}")]
    Refused(String),
    #[error("the node said something unexpected: {0}")]
    Malformed(String),
    #[error("the connection was lost while the node was being added")]
    Io(#[from] std::io::Error),
}

/// Keys and certificates that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    #[error("cannot read or write {path}")]
    Io {
        path: String,
        #[source]
        source: std::io::Error,
    },
    #[error("{what} cannot be understood: {reason}")]
    Malformed { what: String, reason: String },
    #[error("the certificate is of {found}, not of {expected}")]
    OtherNode { expected: String, found: String },
    #[error("the certificate is not signed by this cluster: {0}")]
    NotSigned(String),
    #[error("the cluster's signing key was locked with another secret")]
    OtherSecret,
    #[error("a cluster secret has at least {least} characters; this one has {found}")]
    WeakSecret { least: usize, found: usize },
    #[error("this node is already part of cluster {0}")]
    AlreadyMember(ClusterId),
    #[error("cannot make a key or certificate: {0}")]
    Making(String),
}
