//! The key under which a client without TLS may send its password.
//!
//! Owns:     one key pair for the life of the process, made when it is first asked for.
//! Promises: OAEP, as MySQL's clients use it.
//! Never:    is used over TLS, where the password needs no further cover.

use rsa::pkcs8::{EncodePublicKey, LineEnding};
use rsa::{Oaep, RsaPrivateKey};
use std::sync::OnceLock;

static KEY: OnceLock<Result<(String, RsaPrivateKey), String>> = OnceLock::new();

/// (public key as PEM, private key)
pub fn key() -> Result<(&'static str, &'static RsaPrivateKey), String> {
    let made = KEY.get_or_init(|| {
        let key = RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).map_err(|e| e.to_string())?;
        let pem = key.to_public_key().to_public_key_pem(LineEnding::LF).map_err(|e| e.to_string())?;
        Ok((pem, key))
    });
    made.as_ref().map(|(p, k)| (p.as_str(), k)).map_err(Clone::clone)
}

pub fn open(key: &RsaPrivateKey, sealed: &[u8]) -> Option<Vec<u8>> {
    key.decrypt(Oaep::new::<sha1::Sha1>(), sealed).ok()
}
