//! The first moments of a connection: TLS, which protocol, and who is there.
//!
//! Owns:     nothing.
//! Promises: what comes out of it is a stream to a node of our cluster whose identity is proven (or, for joining, to somebody not yet known, and
//!           a value that names this very session). Two releases that cannot speak with each other both learn both versions.
//! Never:    limits time: that is for who calls.

use crate::certificate::{Subject, explain};
use crate::keyring::{Keyring, Transport, VERSION_ONLY};
use crate::network::BoxStream;
use crate::{ConnectError, talk};
use rustls::pki_types::ServerName;
use rustls::{ConnectionCommon, ServerConfig};
use serde::{Deserialize, Serialize};
use std::io;
use std::sync::Arc;
use tokio_rustls::{LazyConfigAcceptor, TlsConnector};
use weald_types::{ClusterId, NodeIdentity};

pub(crate) const PROGRAM: &str = env!("CARGO_PKG_VERSION");
const SESSION_LABEL: &[u8] = b"EXPORTER-weald-join";

/// What is spoken on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Our own frames.
    Frames,
    /// HTTP/2, for whoever serves it: this crate only brings the stream.
    Http2,
    /// How a node comes into a cluster.
    Join,
}

pub(crate) struct Opened {
    pub with: With,
    pub stream: BoxStream,
}

/// Who is at the other end, and what is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum With {
    /// Frames, with a node that has proven to be this one.
    Frames(NodeIdentity),
    /// HTTP/2, likewise.
    Http2(NodeIdentity),
    /// Somebody not yet known. The value is the same on both sides of one TLS session, and of no other: whoever sits between two sessions has two.
    Join([u8; 32]),
}

impl With {
    fn node(self) -> Option<NodeIdentity> {
        match self {
            Self::Frames(node) | Self::Http2(node) => Some(node),
            Self::Join(_) => None,
        }
    }
}

/// Why somebody who came was not let in. For the log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AcceptError {
    #[error("it speaks {theirs} (Weald {their_program}), this node speaks {ours} (Weald {PROGRAM})")]
    Version { ours: String, theirs: String, their_program: String },
    #[error("it wants to speak with a member of a cluster, and this node is in none yet")]
    NotMember,
    #[error("it offers {0:?}, nothing that this node speaks")]
    UnknownProtocol(Vec<String>),
    #[error("{0}")]
    NotTrusted(String),
    #[error("it went away: {0}")]
    Io(#[from] io::Error),
}

#[derive(Serialize, Deserialize)]
struct VersionNote {
    protocol: String,
    program: String,
}

/// The side that connects.
pub(crate) async fn connect(
    keyring: &Keyring,
    stream: BoxStream,
    address: &str,
    protocol: Protocol,
    expected: Option<NodeIdentity>,
) -> Result<Opened, ConnectError> {
    let opened = match keyring.transport {
        Transport::Tls => connect_tls(keyring, stream, address, protocol).await?,
        Transport::Plain => connect_plain(keyring, stream, address, protocol).await?,
    };
    match (opened.with.node(), expected) {
        (Some(found), Some(expected)) if found != expected => Err(ConnectError::WrongNode { address: address.into(), expected, found }),
        _ => Ok(opened),
    }
}

async fn connect_tls(keyring: &Keyring, stream: BoxStream, address: &str, protocol: Protocol) -> Result<Opened, ConnectError> {
    let material = keyring.material();
    let member = material.member.as_ref().ok_or(ConnectError::NoCluster);
    let config = match protocol {
        Protocol::Frames => member?.frames_client.clone(),
        Protocol::Http2 => member?.http2_client.clone(),
        Protocol::Join => material.join_client.clone(),
    };
    // Required by the library, sent to nobody, looked at by nobody.
    let name = ServerName::try_from("weald.invalid").expect("a well-formed name");
    let mut stream = TlsConnector::from(config).connect(name, stream).await.map_err(|e| connect_error(address, e))?;
    let connection = stream.get_ref().1;
    match connection.alpn_protocol() {
        Some(p) if p == keyring.name_of(protocol).as_bytes() => {}
        Some(p) if p == VERSION_ONLY.as_bytes() => {
            let theirs = exchange_versions(keyring, &mut stream).await.map_err(|e| connect_error(address, e))?;
            return Err(ConnectError::Version {
                address: address.into(),
                ours: keyring.protocol.clone(),
                our_program: PROGRAM.into(),
                theirs: theirs.protocol,
                their_program: theirs.program,
            });
        }
        _ => return Err(ConnectError::NotTrusted { address: address.into(), reason: "it does not speak Weald's protocols".into() }),
    }
    let not_trusted = |reason| ConnectError::NotTrusted { address: address.into(), reason };
    let with = with(protocol, connection).map_err(not_trusted)?;
    Ok(Opened { with, stream: Box::new(stream) })
}

/// The side that is connected to.
pub(crate) async fn accept(keyring: &Keyring, stream: BoxStream) -> Result<Opened, AcceptError> {
    match keyring.transport {
        Transport::Tls => accept_tls(keyring, stream).await,
        Transport::Plain => accept_plain(keyring, stream).await,
    }
}

async fn accept_tls(keyring: &Keyring, stream: BoxStream) -> Result<Opened, AcceptError> {
    let started = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream).await.map_err(accept_error)?;
    let offered: Vec<String> = started.client_hello().alpn().into_iter().flatten().map(|p| String::from_utf8_lossy(p).into_owned()).collect();
    let offers = |name: &str| offered.iter().any(|p| p == name);
    let material = keyring.material();
    let chosen: Choice = match &material.member {
        _ if offers(keyring.name_of(Protocol::Join)) => Choice::Speak(Protocol::Join, material.join_server.clone()),
        Some(member) if offers(&keyring.protocol) => Choice::Speak(Protocol::Frames, member.frames_server.clone()),
        Some(member) if offers(keyring.name_of(Protocol::Http2)) => Choice::Speak(Protocol::Http2, member.http2_server.clone()),
        Some(member) if offers(VERSION_ONLY) => Choice::TellVersion(member.version_server.clone()),
        None if offers(VERSION_ONLY) => Choice::NotMember(material.fresh_server.clone()),
        _ => Choice::Nothing(material.join_server.clone()),
    };
    match chosen {
        Choice::Speak(protocol, config) => {
            let stream = started.into_stream(config).await.map_err(accept_error)?;
            let with = with(protocol, stream.get_ref().1).map_err(AcceptError::NotTrusted)?;
            Ok(Opened { with, stream: Box::new(stream) })
        }
        Choice::TellVersion(config) => {
            let mut stream = started.into_stream(config).await.map_err(accept_error)?;
            let theirs = exchange_versions(keyring, &mut stream).await?;
            Err(AcceptError::Version { ours: keyring.protocol.clone(), theirs: theirs.protocol, their_program: theirs.program })
        }
        Choice::NotMember(config) => {
            // It fails at our certificate, which says why.
            let _ = started.into_stream(config).await;
            Err(AcceptError::NotMember)
        }
        Choice::Nothing(config) => {
            // Nothing in common: the library sends the alert that says so.
            let _ = started.into_stream(config).await;
            Err(AcceptError::UnknownProtocol(offered))
        }
    }
}

enum Choice {
    Speak(Protocol, Arc<ServerConfig>),
    TellVersion(Arc<ServerConfig>),
    NotMember(Arc<ServerConfig>),
    Nothing(Arc<ServerConfig>),
}

async fn exchange_versions<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>(keyring: &Keyring, stream: &mut S) -> io::Result<VersionNote> {
    talk::say(stream, &VersionNote { protocol: keyring.protocol.clone(), program: PROGRAM.into() }).await?;
    talk::hear(stream).await
}

/// From a handshake that is over, so that certificates have been checked.
fn with<D>(protocol: Protocol, connection: &ConnectionCommon<D>) -> Result<With, String> {
    let proven = || {
        let first = connection.peer_certificates().and_then(|c| c.first()).ok_or("it showed no certificate")?;
        Ok::<_, String>(Subject::of_certificate(first)?.node)
    };
    Ok(match protocol {
        Protocol::Frames => With::Frames(proven()?),
        Protocol::Http2 => With::Http2(proven()?),
        Protocol::Join => With::Join(connection.export_keying_material([0; 32], SESSION_LABEL, None).map_err(|e| e.to_string())?),
    })
}

fn believed(protocol: Protocol, identity: NodeIdentity) -> With {
    match protocol {
        Protocol::Frames => With::Frames(identity),
        Protocol::Http2 => With::Http2(identity),
        Protocol::Join => With::Join([0; 32]),
    }
}

fn rustls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref::<rustls::Error>()
}

fn accept_error(error: io::Error) -> AcceptError {
    match rustls_error(&error) {
        Some(e) => AcceptError::NotTrusted(explain(e)),
        None => AcceptError::Io(error),
    }
}

/// An error of the first moments, in the asker's words.
pub(crate) fn connect_error(address: &str, error: io::Error) -> ConnectError {
    let address = address.to_owned();
    if let Some(e) = rustls_error(&error) {
        return ConnectError::NotTrusted { address, reason: explain(e) };
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused => ConnectError::Refused { address },
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted | io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof => {
            ConnectError::Closed { address, reason: error.to_string() }
        }
        _ => ConnectError::Io { address, reason: error.to_string() },
    }
}

/// In place of TLS, where there is none: each says who it is, and is believed.
#[derive(Serialize, Deserialize)]
struct PlainHello {
    protocols: Vec<String>,
    identity: NodeIdentity,
    cluster: Option<ClusterId>,
}

async fn connect_plain(keyring: &Keyring, mut stream: BoxStream, address: &str, protocol: Protocol) -> Result<Opened, ConnectError> {
    let hello = PlainHello { protocols: vec![keyring.name_of(protocol).into()], identity: keyring.identity(), cluster: keyring.cluster() };
    talk::say(&mut stream, &hello).await.map_err(|e| connect_error(address, e))?;
    let theirs: PlainHello = talk::hear(&mut stream).await.map_err(|e| connect_error(address, e))?;
    let with = believed(protocol, theirs.identity);
    if with.node().is_some() && (keyring.cluster().is_none() || theirs.cluster != keyring.cluster()) {
        return Err(ConnectError::NotTrusted { address: address.into(), reason: "it is of another cluster, or of none".into() });
    }
    if theirs.protocols != hello.protocols {
        return Err(ConnectError::NotTrusted { address: address.into(), reason: "it does not speak Weald's protocols".into() });
    }
    Ok(Opened { with, stream })
}

async fn accept_plain(keyring: &Keyring, mut stream: BoxStream) -> Result<Opened, AcceptError> {
    let theirs: PlainHello = talk::hear(&mut stream).await?;
    let all = [Protocol::Frames, Protocol::Http2, Protocol::Join];
    let chosen = all.into_iter().find(|p| theirs.protocols.iter().any(|t| t == keyring.name_of(*p)));
    let protocols = chosen.map(|p| keyring.name_of(p).to_owned()).into_iter().collect();
    talk::say(&mut stream, &PlainHello { protocols, identity: keyring.identity(), cluster: keyring.cluster() }).await?;
    let protocol = chosen.ok_or(AcceptError::UnknownProtocol(theirs.protocols))?;
    let with = believed(protocol, theirs.identity);
    if with.node().is_some() {
        let ours = keyring.cluster().ok_or(AcceptError::NotMember)?;
        if theirs.cluster != Some(ours) {
            return Err(AcceptError::NotTrusted("it is of another cluster".into()));
        }
    }
    Ok(Opened { with, stream })
}
