//! The operator's cluster secret: what lets a fresh node and its cluster recognise each other.
//!
//! Owns:     the stretched secret.
//! Promises: proofs are bound to one TLS session and one direction; comparing takes the same time whatever differs; nothing here can be printed.
//! Never:    leaves the process: only proofs and what was locked with it do.

use crate::CredentialError;
use ring::{aead, hkdf, hmac, pbkdf2};
use std::num::NonZeroU32;
use std::sync::{Arc, OnceLock};
use weald_env::Random;

const LEAST_CHARACTERS: usize = 16;
/// Milliseconds for us, once a process; for somebody who tries a dictionary against a recorded proof, as much for every word.
const STRETCH: NonZeroU32 = NonZeroU32::new(20_000).expect("not zero");
const NONCE_BYTES: usize = 12;

/// Who proves that it knows the secret. The two differ so that one's proof is of no use to the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Prover {
    /// The node that adds.
    Adder,
    /// The node that is being added.
    Fresh,
}

#[derive(Clone)]
pub struct ClusterSecret {
    text: Arc<str>,
    /// Made when it is first needed: most starts of a node never do.
    stretched: Arc<OnceLock<[u8; 32]>>,
}

impl ClusterSecret {
    pub fn new(text: &str) -> Result<Self, CredentialError> {
        let (text, found) = (text.trim(), text.trim().chars().count());
        if found < LEAST_CHARACTERS {
            return Err(CredentialError::WeakSecret { least: LEAST_CHARACTERS, found });
        }
        Ok(Self { text: text.into(), stretched: Arc::default() })
    }

    /// A good one, as text for a configuration file.
    pub fn draw(random: &dyn Random) -> String {
        let mut bytes = [0; 24];
        random.fill(&mut bytes);
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    /// Does now what the first proof would have to do: milliseconds of arithmetic, better done while nobody waits.
    pub(crate) fn stretch(&self) {
        self.derive("");
    }

    pub(crate) fn prove(&self, prover: Prover, session: &[u8]) -> [u8; 32] {
        let tag = hmac::sign(&self.proof_key(prover), session);
        let mut proof = [0; 32];
        proof.copy_from_slice(tag.as_ref());
        proof
    }

    pub(crate) fn is_proof(&self, prover: Prover, session: &[u8], proof: &[u8]) -> bool {
        hmac::verify(&self.proof_key(prover), session, proof).is_ok()
    }

    /// `bytes` so that only who knows the secret can read them, and nobody can change them unseen. `purpose` is not hidden, and needed to unlock.
    pub(crate) fn lock(&self, purpose: &str, bytes: &[u8], random: &dyn Random) -> Vec<u8> {
        let mut nonce = [0; NONCE_BYTES];
        random.fill(&mut nonce);
        let mut out = bytes.to_vec();
        self.locking_key()
            .seal_in_place_append_tag(aead::Nonce::assume_unique_for_key(nonce), aead::Aad::from(purpose), &mut out)
            .expect("only fails for more bytes than the cipher takes, gigabytes");
        out.splice(0..0, nonce);
        out
    }

    pub(crate) fn unlock(&self, purpose: &str, locked: &[u8]) -> Option<Vec<u8>> {
        let (nonce, rest) = locked.split_first_chunk::<NONCE_BYTES>()?;
        let mut rest = rest.to_vec();
        let opened = self.locking_key().open_in_place(aead::Nonce::assume_unique_for_key(*nonce), aead::Aad::from(purpose), &mut rest).ok()?.len();
        rest.truncate(opened);
        Some(rest)
    }

    fn proof_key(&self, prover: Prover) -> hmac::Key {
        hmac::Key::new(
            hmac::HMAC_SHA256,
            &self.derive(match prover {
                Prover::Adder => "weald join 1: the node that adds",
                Prover::Fresh => "weald join 1: the node that is added",
            }),
        )
    }

    fn locking_key(&self) -> aead::LessSafeKey {
        let key = aead::UnboundKey::new(&aead::AES_256_GCM, &self.derive("weald lock 1")).expect("32 bytes are such a key");
        aead::LessSafeKey::new(key)
    }

    fn derive(&self, label: &str) -> [u8; 32] {
        let stretched = self.stretched.get_or_init(|| {
            let mut out = [0; 32];
            // The same salt for everyone: both sides must come to the same bytes without having spoken.
            pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, STRETCH, b"weald cluster secret 1", self.text.as_bytes(), &mut out);
            out
        });
        let mut out = [0; 32];
        hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, stretched)
            .expand(&[label.as_bytes()], hkdf::HKDF_SHA256)
            .and_then(|okm| okm.fill(&mut out))
            .expect("32 bytes are not too many");
        out
    }
}

impl std::fmt::Debug for ClusterSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClusterSecret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weald_env::Env;

    fn secret(text: &str) -> ClusterSecret {
        ClusterSecret::new(text).unwrap()
    }

    #[test]
    fn proof_holds_for_its_secret_session_and_direction_only() {
        let (a, b) = (secret("correct horse battery"), secret("another horse battery"));
        let proof = a.prove(Prover::Adder, b"session 1");
        assert!(secret(" correct horse battery\n").is_proof(Prover::Adder, b"session 1", &proof));
        assert!(!a.is_proof(Prover::Adder, b"session 2", &proof));
        assert!(!a.is_proof(Prover::Fresh, b"session 1", &proof));
        assert!(!b.is_proof(Prover::Adder, b"session 1", &proof));
        assert!(!a.is_proof(Prover::Adder, b"session 1", &proof[..31]));
        assert!(!a.is_proof(Prover::Adder, b"session 1", &[]));
    }

    #[test]
    fn what_is_locked_opens_with_the_same_secret_and_purpose_only() {
        let (a, b, random) = (secret("correct horse battery"), secret("another horse battery"), Env::simulated(1).random);
        let locked = a.lock("key", b"the bytes", &*random);
        assert_eq!(a.unlock("key", &locked).as_deref(), Some(&b"the bytes"[..]));
        assert_ne!(a.lock("key", b"the bytes", &*random), locked);
        assert_eq!(a.unlock("other", &locked), None);
        assert_eq!(b.unlock("key", &locked), None);
        for i in 0..locked.len() {
            let mut bad = locked.clone();
            bad[i] ^= 1;
            assert_eq!(a.unlock("key", &bad), None);
            assert_eq!(a.unlock("key", &locked[..i]), None);
        }
    }

    #[test]
    fn short_secret_is_refused_and_none_is_printed() {
        assert!(matches!(ClusterSecret::new("   secret   "), Err(CredentialError::WeakSecret { found: 6, .. })));
        assert_eq!(format!("{:?}", secret("correct horse battery")), "ClusterSecret");
        assert!(ClusterSecret::new(&ClusterSecret::draw(&*Env::simulated(1).random)).is_ok());
    }
}
