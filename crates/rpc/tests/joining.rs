//! How a fresh node comes into a cluster, and who does not get it there.

#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::time::Duration;
use support::*;
use tokio::io::{AsyncWriteExt, copy_bidirectional};
use weald_env::Clock;
use weald_rpc::network::Network;
use weald_rpc::{Authority, Candidate, Home, Invited, JoinError, Keyring, Server, invite};
use weald_types::ClusterId;

const GOOD: &str = "correct horse battery";
const WITHIN: Duration = Duration::from_secs(20);

struct Joining {
    wire: Wire,
    authority: Authority,
    master: Arc<Keyring>,
    fresh: Arc<Keyring>,
    fresh_world: World,
    _server: Server,
}

/// A cluster of one, and a fresh node that listens at "b".
fn joining(fresh_secret: Option<&str>) -> Joining {
    let (wire, authority, fresh_world) = (Wire::default(), authority(1), world(2));
    let fresh = Arc::new(Keyring::new(fresh_world.home()).unwrap());
    let mut config = server_config(fresh.clone(), &Arc::new(Probe::default()));
    config.secret = fresh_secret.map(secret);
    let server = Server::start(wire.listen("b"), config);
    Joining { wire, master: member(&authority, 1), authority, fresh, fresh_world, _server: server }
}

impl Joining {
    async fn invite_with(&self, text: &str) -> Result<Invited, JoinError> {
        invite(&self.master, &self.wire, "b", &secret(text), WITHIN).await
    }
    async fn candidate(&self) -> Candidate {
        match self.invite_with(GOOD).await.unwrap() {
            Invited::Fresh(candidate) => candidate,
            Invited::Member(node) => panic!("{node} is a member already"),
        }
    }
    fn sign(&self, candidate: &Candidate) -> weald_rpc::Certified {
        self.authority.sign(&candidate.request, candidate.identity, self.fresh_world.clock.wall_micros()).unwrap()
    }
}

#[tokio::test]
async fn fresh_node_becomes_a_member_and_stays_one() {
    let j = joining(Some(GOOD));
    let candidate = j.candidate().await;
    assert_eq!(candidate.identity, j.fresh.identity());
    assert_eq!(candidate.program, env!("CARGO_PKG_VERSION"));
    let signed = j.sign(&candidate);
    candidate.admit(signed, WITHIN).await.unwrap();
    assert_eq!(j.fresh.joined().await, ClusterId::new(1));
    // On disk, too.
    assert_eq!(Home::open(&j.fresh_world.env, std::path::Path::new("/data")).unwrap().cluster(), Some(ClusterId::new(1)));
    // Whoever asks again is told that it is done.
    assert!(matches!(j.invite_with(GOOD).await, Ok(Invited::Member(node)) if node == j.fresh.identity()));
    // And it is let in, on the port it had from the beginning.
    let pool = weald_rpc::Pool::new(pool_config(&j.wire, j.master.clone()));
    pool.peer(j.fresh.identity()).call(LANE, ask(ECHO, "x")).await.unwrap();
}

#[tokio::test]
async fn wrong_secret_gets_nothing_and_right_one_still_works_after_it() {
    let j = joining(Some(GOOD));
    for _ in 0..3 {
        assert!(matches!(j.invite_with("wrong horse battery").await, Err(JoinError::WrongSecret(at)) if at == "b"));
    }
    assert_eq!(j.fresh.cluster(), None);
    // From now on wrong ones wait; right ones do not.
    let wrong = j.invite_with("wrong horse battery");
    tokio::pin!(wrong);
    assert!(tokio::time::timeout(Duration::from_millis(200), &mut wrong).await.is_err());
    j.candidate().await.decline("changed our mind").await;
    assert!(matches!(wrong.await, Err(JoinError::WrongSecret(_))));
    assert_eq!(j.fresh.cluster(), None);
}

#[tokio::test]
async fn node_without_a_secret_cannot_be_added() {
    let j = joining(None);
    assert!(matches!(j.invite_with(GOOD).await, Err(JoinError::Io(_))));
    assert_eq!(j.fresh.cluster(), None);
}

/// Two TLS sessions, everything between them passed on: what each side proves is of the wrong session to the other.
#[tokio::test]
async fn who_relays_between_two_sessions_gains_nothing() {
    use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
    let j = joining(Some(GOOD));
    let mut incoming = j.wire.listen("middle");
    let wire = j.wire.clone();
    // The one in the middle makes a certificate of its own, as the fresh node did.
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["weald-join.invalid".into()]).unwrap().self_signed(&key).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut server = rustls::ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())))
        .unwrap();
    server.alpn_protocols = vec![b"weald-join".to_vec()];
    let mut client = rustls::ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone(provider)))
        .with_no_client_auth();
    client.alpn_protocols = vec![b"weald-join".to_vec()];
    let relay = tokio::spawn(async move {
        let (stream, _) = incoming.accept().await.unwrap();
        let mut from_master = tokio_rustls::TlsAcceptor::from(Arc::new(server)).accept(stream).await.unwrap();
        let name = ServerName::try_from("weald.invalid").unwrap();
        let stream = wire.connect("b").await.unwrap();
        let mut to_fresh = tokio_rustls::TlsConnector::from(Arc::new(client)).connect(name, stream).await.unwrap();
        // Passes on everything, both ways, to the end.
        let _ = copy_bidirectional(&mut from_master, &mut to_fresh).await;
        let _ = from_master.shutdown().await;
    });
    let result = invite(&j.master, &j.wire, "middle", &secret(GOOD), WITHIN).await;
    assert!(matches!(result, Err(JoinError::WrongSecret(_))), "{result:?}");
    relay.abort();
    assert_eq!(j.fresh.cluster(), None);
    // Straight, it works.
    let candidate = j.candidate().await;
    let signed = j.sign(&candidate);
    candidate.admit(signed, WITHIN).await.unwrap();
}

#[derive(Debug)]
struct Anyone(Arc<rustls::crypto::CryptoProvider>);

impl rustls::client::danger::ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &[rustls::pki_types::CertificateDer<'_>],
        _: &rustls::pki_types::ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("no".into()))
    }
    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }
    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[tokio::test]
async fn member_of_another_cluster_refuses_and_says_which() {
    let mut j = joining(Some(GOOD));
    let candidate = j.candidate().await;
    let signed = j.sign(&candidate);
    candidate.admit(signed, WITHIN).await.unwrap();
    j.master = member(&authority(9), 3);
    let result = j.invite_with(GOOD).await;
    assert!(matches!(&result, Err(JoinError::InAnotherCluster { cluster, .. }) if *cluster == ClusterId::new(1)), "{result:?}");
    assert_eq!(j.fresh.cluster(), Some(ClusterId::new(1)));
}

#[tokio::test]
async fn certificate_for_another_node_is_not_taken() {
    let j = joining(Some(GOOD));
    let candidate = j.candidate().await;
    let other = j.authority.sign(&candidate.request, j.master.identity(), j.fresh_world.clock.wall_micros()).unwrap();
    let result = candidate.admit(other, WITHIN).await;
    assert!(matches!(&result, Err(JoinError::Refused(why)) if why.contains("node")), "{result:?}");
    assert_eq!(j.fresh.cluster(), None);
    assert!(matches!(j.invite_with(GOOD).await, Ok(Invited::Fresh(_))));
}

#[tokio::test]
async fn two_at_a_time_is_one_too_many_and_a_broken_off_attempt_leaves_the_node_fresh() {
    let j = joining(Some(GOOD));
    let first = j.candidate().await;
    assert!(matches!(j.invite_with(GOOD).await, Err(JoinError::Busy)));
    drop(first);
    // It notices that the other has gone.
    loop {
        match j.invite_with(GOOD).await {
            Ok(Invited::Fresh(candidate)) => break candidate.decline("enough").await,
            Err(JoinError::Busy) => tokio::task::yield_now().await,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(j.fresh.cluster(), None);
}

#[tokio::test]
async fn other_version_cannot_add_a_node_and_both_are_named() {
    let mut j = joining(Some(GOOD));
    j.master = Arc::new(Keyring::of_another_version(world(5).member_home(&j.authority), "weald/2").unwrap());
    let result = j.invite_with(GOOD).await;
    assert!(matches!(&result, Err(JoinError::Version { ours, theirs, .. }) if ours == "weald/2" && theirs == "weald/1"), "{result:?}");
}

/// As everything else, it works without TLS, for simulations.
#[tokio::test]
async fn joining_works_in_the_open_as_well() {
    let (wire, authority, fresh_world) = (Wire::default(), authority(1), world(2));
    let fresh = Arc::new(Keyring::without_encryption(fresh_world.home()).unwrap());
    let mut config = server_config(fresh.clone(), &Arc::new(Probe::default()));
    config.secret = Some(secret(GOOD));
    let _server = Server::start(wire.listen("b"), config);
    let master = plain(&authority, 1);
    let Invited::Fresh(candidate) = invite(&master, &wire, "b", &secret(GOOD), WITHIN).await.unwrap() else { panic!() };
    let signed = authority.sign(&candidate.request, candidate.identity, fresh_world.clock.wall_micros()).unwrap();
    candidate.admit(signed, WITHIN).await.unwrap();
    assert_eq!(fresh.cluster(), Some(ClusterId::new(1)));
}
