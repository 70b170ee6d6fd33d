//! This node's credentials as connections use them: swapped whole when the node joins or its certificate is renewed.
//!
//! Owns:     the [`Home`], the TLS configurations made from it.
//! Promises: what is installed is durable before the first connection uses it; connections that stand keep what they were made with.
//! Never:    is without credentials: a node in no cluster has those for joining.

use crate::certificate::Certified;
use crate::home::Home;
use crate::{CredentialError, Protocol, tls};
use parking_lot::{Mutex, RwLock};
use rustls::{ClientConfig, ServerConfig};
use std::sync::Arc;
use tokio::sync::watch;
use weald_types::{ClusterId, NodeIdentity};

/// The frames of this release. The number changes when a node of the older release would misunderstand them.
pub const PROTOCOL: &str = "weald/1";
/// What is agreed on when two nodes have no version of frames in common: each tells the other its version, and that is all. Never changes.
pub(crate) const VERSION_ONLY: &str = "weald-version";
const HTTP2: &str = "h2";
const JOIN: &str = "weald-join";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Tls,
    Plain,
}

pub(crate) struct Material {
    pub member: Option<Member>,
    pub join_client: Arc<ClientConfig>,
    pub join_server: Arc<ServerConfig>,
    /// Says "no cluster yet" to who wants a member, through its certificate.
    pub fresh_server: Arc<ServerConfig>,
}

pub(crate) struct Member {
    pub frames_client: Arc<ClientConfig>,
    pub http2_client: Arc<ClientConfig>,
    pub frames_server: Arc<ServerConfig>,
    pub http2_server: Arc<ServerConfig>,
    pub version_server: Arc<ServerConfig>,
}

/// Shared by everything of a node that opens or takes connections.
pub struct Keyring {
    pub(crate) transport: Transport,
    pub(crate) protocol: String,
    identity: NodeIdentity,
    home: Mutex<Home>,
    material: RwLock<Arc<Material>>,
    cluster: watch::Sender<Option<ClusterId>>,
}

impl Keyring {
    pub fn new(home: Home) -> Result<Self, CredentialError> {
        Self::with(home, Transport::Tls, PROTOCOL)
    }

    /// For simulations and measurements: everything as it is, but in the open, and each side believes what the other says of itself.
    pub fn without_encryption(home: Home) -> Result<Self, CredentialError> {
        Self::with(home, Transport::Plain, PROTOCOL)
    }

    /// As a node of another release would be: for tests of what the two say to each other.
    pub fn of_another_version(home: Home, protocol: &str) -> Result<Self, CredentialError> {
        Self::with(home, Transport::Tls, protocol)
    }

    fn with(home: Home, transport: Transport, protocol: &str) -> Result<Self, CredentialError> {
        let material = material(&home, protocol)?;
        let (cluster, _) = watch::channel(home.cluster());
        let identity = home.identity();
        Ok(Self { transport, protocol: protocol.to_owned(), identity, home: Mutex::new(home), material: RwLock::new(Arc::new(material)), cluster })
    }

    pub fn identity(&self) -> NodeIdentity {
        self.identity
    }
    pub fn cluster(&self) -> Option<ClusterId> {
        *self.cluster.borrow()
    }
    /// Resolves when the node is a member. Safe to cancel.
    pub async fn joined(&self) -> ClusterId {
        let mut cluster = self.cluster.subscribe();
        loop {
            if let Some(cluster) = *cluster.borrow_and_update() {
                return cluster;
            }
            // The sender is in `self`, so it is not gone.
            let _ = cluster.changed().await;
        }
    }
    pub fn membership(&self) -> Option<Certified> {
        self.home.lock().membership().cloned()
    }
    /// For the authority: at bootstrap, and when the certificate [wants renewal](Certified::wants_renewal).
    pub fn certificate_request(&self) -> Result<Vec<u8>, CredentialError> {
        self.home.lock().certificate_request()
    }

    /// Becomes a member, or renews the membership. Durable, and used by new connections, when it returns. Blocks.
    pub fn install(&self, membership: Certified) -> Result<(), CredentialError> {
        let mut home = self.home.lock();
        home.install(membership)?;
        *self.material.write() = Arc::new(material(&home, &self.protocol)?);
        self.cluster.send_replace(home.cluster());
        Ok(())
    }

    pub(crate) fn material(&self) -> Arc<Material> {
        self.material.read().clone()
    }

    pub(crate) fn name_of(&self, protocol: Protocol) -> &str {
        match protocol {
            Protocol::Frames => &self.protocol,
            Protocol::Http2 => HTTP2,
            Protocol::Join => JOIN,
        }
    }
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keyring").field("identity", &self.identity).field("cluster", &self.cluster()).finish_non_exhaustive()
    }
}

fn material(home: &Home, protocol: &str) -> Result<Material, CredentialError> {
    let join_client = tls::join_client(home.env())?;
    let join_server = tls::join_server(home)?;
    let member = match home.membership() {
        None => None,
        Some(membership) => {
            let (client, server) = (tls::client(home, membership)?, tls::server(home, membership)?);
            Some(Member {
                // The older way out comes last, so that it is taken only when nothing else fits.
                frames_client: offering_client(&client, &[protocol, VERSION_ONLY]),
                http2_client: offering_client(&client, &[HTTP2]),
                frames_server: offering_server(&server, protocol),
                http2_server: offering_server(&server, HTTP2),
                version_server: offering_server(&server, VERSION_ONLY),
            })
        }
    };
    Ok(Material {
        member,
        join_client: offering_client(&join_client, &[JOIN]),
        join_server: offering_server(&join_server, JOIN),
        fresh_server: offering_server(&join_server, VERSION_ONLY),
    })
}

fn offering_client(config: &ClientConfig, protocols: &[&str]) -> Arc<ClientConfig> {
    let mut config = config.clone();
    config.alpn_protocols = protocols.iter().map(|p| p.as_bytes().to_vec()).collect();
    Arc::new(config)
}

fn offering_server(config: &ServerConfig, protocol: &str) -> Arc<ServerConfig> {
    let mut config = config.clone();
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    Arc::new(config)
}
