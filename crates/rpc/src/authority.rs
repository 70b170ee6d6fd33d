//! The cluster's own certificate authority: made once, at bootstrap, and used by whichever node is master.
//!
//! Owns:     nothing: the authority is bytes that the owner keeps in the replicated metadata.
//! Promises: the signing key leaves [`Authority::to_locked_bytes`] only under the cluster secret, so a copy of the metadata alone signs nothing.
//!           What is signed says what *we* say: of a request only the public key is used, after its signature has shown that the asker holds the key.
//! Never:    decides who may be a member.
//! See:      docs/design/0011-between-nodes.md.

use crate::certificate::{Certified, Subject};
use crate::{ClusterSecret, CredentialError};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use weald_env::Random;
use weald_types::{ClusterId, NodeIdentity};

/// How long a node's certificate is good for. Who is no longer a member is kept out by the list of members, not by waiting for this.
pub const CERTIFICATE_LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
const LOCK_PURPOSE: &str = "weald certificate authority 1";

pub struct Authority {
    cluster: ClusterId,
    certificate: Vec<u8>,
    key: KeyPair,
}

/// The form in which an authority is kept. Version 1.
#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    cluster: ClusterId,
    certificate: Vec<u8>,
    locked_key: Vec<u8>,
}

impl Authority {
    /// A new authority of a new cluster.
    pub fn create(cluster: ClusterId) -> Result<Self, CredentialError> {
        let key = KeyPair::generate_for(&rcgen::PKCS_ED25519).map_err(making)?;
        let mut params = CertificateParams::default();
        params.not_before = rcgen::date_time_ymd(1970, 1, 1);
        // "No well-defined expiration date", RFC 5280 section 4.1.2.5: an authority that ends takes its whole cluster with it.
        params.not_after = rcgen::date_time_ymd(9999, 12, 31);
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, format!("Weald cluster {cluster}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let certificate = params.self_signed(&key).map_err(making)?.der().to_vec();
        Ok(Self { cluster, certificate, key })
    }

    pub fn cluster(&self) -> ClusterId {
        self.cluster
    }
    /// What every member needs to recognise the others. DER.
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// For the replicated metadata. After a change of the cluster secret they have to be made anew, from an authority read with the old one.
    pub fn to_locked_bytes(&self, secret: &ClusterSecret, random: &dyn Random) -> Vec<u8> {
        let locked_key = secret.lock(LOCK_PURPOSE, self.key.serialized_der(), random);
        let stored = Stored { version: 1, cluster: self.cluster, certificate: self.certificate.clone(), locked_key };
        postcard::to_stdvec(&stored).expect("plain data can be serialised")
    }

    pub fn from_locked_bytes(bytes: &[u8], secret: &ClusterSecret) -> Result<Self, CredentialError> {
        let bad = |reason: String| CredentialError::Malformed { what: "the certificate authority".into(), reason };
        let stored: Stored = postcard::from_bytes(bytes).map_err(|e| bad(e.to_string()))?;
        if stored.version != 1 {
            return Err(bad(format!("version {} is not known to this release", stored.version)));
        }
        let key = secret.unlock(LOCK_PURPOSE, &stored.locked_key).ok_or(CredentialError::OtherSecret)?;
        let key = KeyPair::try_from(key).map_err(|e| bad(e.to_string()))?;
        Ok(Self { cluster: stored.cluster, certificate: stored.certificate, key })
    }

    /// A certificate for `node` with the public key of `request` (PKCS #10, DER). `now_micros` since 1970.
    pub fn sign(&self, request: &[u8], node: NodeIdentity, now_micros: u64) -> Result<Certified, CredentialError> {
        self.sign_until(request, node, now_micros.saturating_add(CERTIFICATE_LIFE.as_micros() as u64))
    }

    #[cfg(test)]
    pub(crate) fn key_der(&self) -> &[u8] {
        self.key.serialized_der()
    }

    pub(crate) fn sign_until(&self, request: &[u8], node: NodeIdentity, until_micros: u64) -> Result<Certified, CredentialError> {
        let mut request = CertificateSigningRequestParams::from_der(&request.into())
            .map_err(|e| CredentialError::Malformed { what: "the certificate request".into(), reason: e.to_string() })?;
        let subject = Subject { cluster: self.cluster, node };
        let mut params = CertificateParams::default();
        // From the beginning of time: a node whose clock stands in the past is a node with a wrong clock, not a stranger.
        params.not_before = rcgen::date_time_ymd(1970, 1, 1);
        params.not_after = rcgen::date_time_ymd(1970, 1, 1) + Duration::from_micros(until_micros);
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, format!("Weald node {node}"));
        params.subject_alt_names = vec![SanType::URI(subject.uri().try_into().map_err(making)?)];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        // Every node asks and answers.
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        request.params = params;
        let issuer = Issuer::from_ca_cert_der(&self.certificate.as_slice().into(), &self.key).map_err(making)?;
        let certificate = request.signed_by(&issuer).map_err(making)?.der().to_vec();
        Ok(Certified { cluster: self.cluster, certificate, authorities: vec![self.certificate.clone()] })
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not the key.
        f.debug_struct("Authority").field("cluster", &self.cluster).finish_non_exhaustive()
    }
}

fn making(e: rcgen::Error) -> CredentialError {
    CredentialError::Making(e.to_string())
}
