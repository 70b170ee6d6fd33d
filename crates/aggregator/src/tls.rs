//! TLS for clients: a certificate of our own making, so that `PREFERRED` works from the first start.
//!
//! Owns:     the acceptor.
//! Promises: the key file is readable by its owner only; files that are there are used, so an operator may put real ones in their place.
//! Never:    asks clients for certificates.

use std::path::Path;
use std::sync::Arc;
use weald_env::Env;

/// A TLS acceptor from `server-cert.pem` and `server-key.pem` in `dir`, which are made if they are not there.
pub fn acceptor(env: &Env, dir: &Path) -> std::io::Result<tokio_rustls::TlsAcceptor> {
    let (cert_file, key_file) = (dir.join("server-cert.pem"), dir.join("server-key.pem"));
    if !env.disk.exists(&cert_file) || !env.disk.exists(&key_file) {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_string(), "127.0.0.1".to_string()]).map_err(std::io::Error::other)?;
        env.disk.write_atomically(&key_file, made.signing_key.serialize_pem().as_bytes())?;
        env.disk.write_atomically(&cert_file, made.cert.pem().as_bytes())?;
    }
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let bad = |e: rustls::pki_types::pem::Error| std::io::Error::other(format!("server-cert.pem or server-key.pem cannot be read: {e:?}"));
    let certs = CertificateDer::pem_slice_iter(&env.disk.read(&cert_file)?).collect::<Result<Vec<_>, _>>().map_err(bad)?;
    let key = PrivateKeyDer::from_pem_slice(&env.disk.read(&key_file)?).map_err(bad)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(std::io::Error::other)?
        .with_no_client_auth()
        .with_single_cert(certs, key)
        .map_err(std::io::Error::other)?;
    Ok(tokio_rustls::TlsAcceptor::from(Arc::new(config)))
}
