//! The key under which a client without TLS may send its password.
//!
//! Owns:     one key pair for the life of the process, made when it is first asked for.
//! Promises: OAEP, as MySQL's clients use it.
//! Never:    is used over TLS, where the password needs no further cover.

use rsa::pkcs8::{EncodePublicKey, LineEnding};
use rsa::{Oaep, RsaPrivateKey};
use std::sync::OnceLock;

pub(crate) struct Key {
    pub public_pem: String,
    private: RsaPrivateKey,
}

static KEY: OnceLock<Result<Key, String>> = OnceLock::new();

/// Takes a while the first time.
pub(crate) fn key() -> Result<&'static Key, String> {
    let made = KEY.get_or_init(|| {
        let private = RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).map_err(|e| e.to_string())?;
        let public_pem = private.to_public_key().to_public_key_pem(LineEnding::LF).map_err(|e| e.to_string())?;
        Ok(Key { public_pem, private })
    });
    made.as_ref().map_err(Clone::clone)
}

impl Key {
    /// `None`: it was not sealed with this key.
    pub fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        self.private.decrypt(Oaep::new::<sha1::Sha1>(), sealed).ok()
    }
}
