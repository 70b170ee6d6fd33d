//! What a node's certificate says, and whether to believe it.
//!
//! Owns:     the form of the name in a certificate: `weald://cluster/<cluster>/node/<node>`, each 32 hexadecimal digits.
//! Promises: believed is who shows a certificate that is signed by one of our cluster's authorities, in its time, made for this use, with our cluster's
//!           id and one node's identity in it, and who holds its key.
//! Never:    looks at addresses or host names: they change, and they prove nothing.

use crate::CredentialError;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, OtherError, RootCertStore, SignatureScheme};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use weald_types::{ClusterId, NodeIdentity};
use x509_parser::extensions::GeneralName;

/// What makes a node a member: its certificate, and whose certificates it believes. DER.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certified {
    pub cluster: ClusterId,
    pub certificate: Vec<u8>,
    /// One; two while the cluster goes over to a new one.
    pub authorities: Vec<Vec<u8>>,
}

/// The name in the certificate that a node without a cluster gives itself. Proves nothing; makes for a better message.
pub(crate) const NO_CLUSTER_YET: &str = "weald-join.invalid";

/// Whom a certificate names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Subject {
    pub cluster: ClusterId,
    pub node: NodeIdentity,
}

impl Subject {
    pub fn uri(self) -> String {
        format!("weald://cluster/{}/node/{}", self.cluster, self.node)
    }

    fn of_uri(uri: &str) -> Option<Self> {
        let (cluster, node) = uri.strip_prefix("weald://cluster/")?.split_once("/node/")?;
        Some(Self { cluster: ClusterId::parse(cluster)?, node: NodeIdentity::parse(node)? })
    }

    /// Whom the certificate *claims* to be of. A claim until its signature has been checked.
    pub fn of_certificate(der: &[u8]) -> Result<Self, String> {
        let (_, certificate) = x509_parser::parse_x509_certificate(der).map_err(|e| format!("not a certificate: {e}"))?;
        let names = certificate.subject_alternative_name().map_err(|e| format!("not a certificate: {e}"))?;
        let Some(names) = names else { return Err("the certificate names no node".into()) };
        // Exactly one name: with two, which of them was meant would be anyone's guess.
        match names.value.general_names.as_slice() {
            [GeneralName::URI(uri)] => Self::of_uri(uri).ok_or_else(|| format!("the certificate names {uri:?}, which is no node")),
            [GeneralName::DNSName(NO_CLUSTER_YET)] => Err("it is in no cluster yet".into()),
            _ => Err("the certificate does not name exactly one node".into()),
        }
    }
}

impl Certified {
    /// Whether it is for the node `node` that holds the key `public_key` (the bytes of SubjectPublicKeyInfo), and is good now.
    pub(crate) fn check(&self, node: NodeIdentity, public_key: &[u8], now: UnixTime) -> Result<(), CredentialError> {
        let subject = Subject::of_certificate(&self.certificate).map_err(CredentialError::NotSigned)?;
        let expected = Subject { cluster: self.cluster, node };
        if subject != expected {
            return Err(CredentialError::OtherNode { expected: expected.uri(), found: subject.uri() });
        }
        let (_, parsed) = x509_parser::parse_x509_certificate(&self.certificate).map_err(|e| CredentialError::NotSigned(e.to_string()))?;
        if parsed.public_key().raw != public_key {
            return Err(CredentialError::NotSigned("it is for another key".into()));
        }
        let verifier = NodeVerifier::new(self)?;
        verifier.verify(&CertificateDer::from(self.certificate.as_slice()), &[], now).map_err(|e| CredentialError::NotSigned(e.to_string()))?;
        Ok(())
    }

    /// When the certificate ends, in microseconds since 1970.
    pub fn ends_micros(&self) -> Result<u64, CredentialError> {
        let (_, parsed) = x509_parser::parse_x509_certificate(&self.certificate)
            .map_err(|e| CredentialError::Malformed { what: "the certificate".into(), reason: e.to_string() })?;
        Ok(u64::try_from(parsed.validity().not_after.timestamp()).unwrap_or(0).saturating_mul(1_000_000))
    }

    /// Less than a third of the certificate's life is left: time to ask the master for another.
    pub fn wants_renewal(&self, now_micros: u64) -> bool {
        let third = crate::authority::CERTIFICATE_LIFE.as_micros() as u64 / 3;
        self.ends_micros().is_ok_and(|ends| ends < now_micros.saturating_add(third))
    }
}

impl std::fmt::Debug for Certified {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certified").field("cluster", &self.cluster).finish_non_exhaustive()
    }
}

/// Lets members of one cluster in, on either side of a connection.
#[derive(Debug)]
pub(crate) struct NodeVerifier {
    cluster: ClusterId,
    roots: RootCertStore,
    provider: Arc<CryptoProvider>,
    clients: Arc<dyn ClientCertVerifier>,
}

impl NodeVerifier {
    pub fn new(certified: &Certified) -> Result<Self, CredentialError> {
        let bad = |reason: String| CredentialError::Malformed { what: "the cluster's authority".into(), reason };
        let mut roots = RootCertStore::empty();
        for authority in &certified.authorities {
            roots.add(CertificateDer::from(authority.clone())).map_err(|e| bad(e.to_string()))?;
        }
        let provider = crate::tls::provider();
        let clients = rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots.clone()), provider.clone())
            .build()
            .map_err(|e| bad(e.to_string()))?;
        Ok(Self { cluster: certified.cluster, roots, provider, clients })
    }

    fn verify(&self, certificate: &CertificateDer<'_>, chain: &[CertificateDer<'_>], now: UnixTime) -> Result<(), rustls::Error> {
        self.of_our_cluster(certificate)?;
        let parsed = rustls::server::ParsedCertificate::try_from(certificate)?;
        rustls::client::verify_server_cert_signed_by_trust_anchor(
            &parsed,
            &self.roots,
            chain,
            now,
            self.provider.signature_verification_algorithms.all,
        )
    }

    /// Says first what an operator can understand. Nothing is believed yet: the signature is checked after it.
    fn of_our_cluster(&self, certificate: &CertificateDer<'_>) -> Result<(), rustls::Error> {
        let subject = Subject::of_certificate(certificate).map_err(refused)?;
        if subject.cluster != self.cluster {
            return Err(refused(format!("node {} is of cluster {}, this node of cluster {}", subject.node, subject.cluster, self.cluster)));
        }
        Ok(())
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Reason(String);

fn refused(reason: String) -> rustls::Error {
    CertificateError::Other(OtherError(Arc::new(Reason(reason)))).into()
}

/// The words of an operator for what the TLS library says.
pub(crate) fn explain(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(reason))) => reason.to_string(),
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            "its certificate is not signed by this cluster's authority".into()
        }
        rustls::Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            "its certificate has expired (or this node's clock is wrong)".into()
        }
        rustls::Error::AlertReceived(alert) => format!("it does not accept this node's certificate ({alert:?})"),
        other => other.to_string(),
    }
}

impl ServerCertVerifier for NodeVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.verify(end_entity, intermediates, now)?;
        Ok(ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.2 is not spoken between nodes".into()))
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

impl ClientCertVerifier for NodeVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // A node has one certificate and needs no hint.
        &[]
    }
    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.of_our_cluster(end_entity)?;
        self.clients.verify_client_cert(end_entity, intermediates, now)
    }
    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.2 is not spoken between nodes".into()))
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// A verifier for joining: any certificate, as long as its holder has the key. Whether to go on is decided by the proofs that follow.
#[derive(Debug)]
pub(crate) struct AnyKeyHolder(pub Arc<CryptoProvider>);

impl ServerCertVerifier for AnyKeyHolder {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.2 is not spoken between nodes".into()))
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
