//! TLS between nodes: 1.3 only, both sides with a certificate, no resumption.
//!
//! Owns:     nothing; makes the library's configurations.
//! Promises: each configuration offers exactly the protocols that it is made for, and tells the time by the node's own clock.
//! Never:    sends a host name; takes up an old session, since that would go around the check of the certificate.

use crate::CredentialError;
use crate::certificate::{AnyKeyHolder, Certified, NodeVerifier};
use crate::home::Home;
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};
use rustls::server::NoServerSessionStorage;
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, ServerConfig};
use std::sync::Arc;
use std::time::Duration;
use weald_env::{Clock, Env};

pub(crate) fn provider() -> Arc<CryptoProvider> {
    let mut provider = rustls::crypto::ring::default_provider();
    // The cipher that costs least on machines with AES instructions first; all three are sound.
    provider.cipher_suites = vec![
        rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256,
        rustls::crypto::ring::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
        rustls::crypto::ring::cipher_suite::TLS13_AES_256_GCM_SHA384,
    ];
    Arc::new(provider)
}

struct NodeTime(Arc<dyn Clock>);

impl TimeProvider for NodeTime {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_micros(self.0.wall_micros())))
    }
}

impl std::fmt::Debug for NodeTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NodeTime")
    }
}

fn time(env: &Env) -> Arc<dyn TimeProvider> {
    Arc::new(NodeTime(env.clock.clone()))
}

fn making(e: rustls::Error) -> CredentialError {
    CredentialError::Making(e.to_string())
}

fn private_key(home: &Home) -> PrivateKeyDer<'static> {
    PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(home.key_der().to_vec()))
}

/// A member's side that opens connections. Without protocols yet.
pub(crate) fn client(home: &Home, membership: &Certified) -> Result<ClientConfig, CredentialError> {
    let verifier = Arc::new(NodeVerifier::new(membership)?);
    let mut config = ClientConfig::builder_with_details(provider(), time(home.env()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(making)?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_auth_cert(vec![CertificateDer::from(membership.certificate.clone())], private_key(home))
        .map_err(making)?;
    config.enable_sni = false;
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// A member's side that takes connections. Without protocols yet.
pub(crate) fn server(home: &Home, membership: &Certified) -> Result<ServerConfig, CredentialError> {
    let verifier = Arc::new(NodeVerifier::new(membership)?);
    let mut config = ServerConfig::builder_with_details(provider(), time(home.env()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(making)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![CertificateDer::from(membership.certificate.clone())], private_key(home))
        .map_err(making)?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// The side that adds a node: the other has no certificate worth looking at yet, and this one shows none.
pub(crate) fn join_client(env: &Env) -> Result<ClientConfig, CredentialError> {
    let provider = provider();
    let verifier = Arc::new(AnyKeyHolder(provider.clone()));
    let mut config = ClientConfig::builder_with_details(provider, time(env))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(making)?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.enable_sni = false;
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// The side that is added.
pub(crate) fn join_server(home: &Home) -> Result<ServerConfig, CredentialError> {
    let mut config = ServerConfig::builder_with_details(provider(), time(home.env()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(making)?
        .with_no_client_auth()
        .with_single_cert(vec![CertificateDer::from(home.self_signed()?)], private_key(home))
        .map_err(making)?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}
