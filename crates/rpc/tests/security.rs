//! Who is let in: real TLS over streams in memory, real keys and certificates, clocks that move when told.

#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;
use support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use weald_env::Clock;
use weald_rpc::{CallError, Certified, ConnectError, Keyring, NotRun, Pool, Server};
use weald_types::NodeIdentity;

/// Why `a` gets no connection to `b`. Nothing may have been run.
async fn refused(p: &Pair) -> ConnectError {
    let error = p.peer.call(LANE, ask(ECHO, "x")).await.unwrap_err();
    assert!(error.is_safe_to_retry());
    assert_eq!(p.probe.begun.load(SeqCst), 0);
    match error {
        CallError::NotRun(NotRun::Unreachable(why)) => *why,
        other => panic!("{other:?}"),
    }
}

fn pair_tls(a: Arc<Keyring>, b: Arc<Keyring>) -> Pair {
    pair_of(a, b, |_| {}, |_| {})
}

#[tokio::test]
async fn members_of_one_cluster_know_each_other_by_identity() {
    let ca = authority(1);
    let (a, b) = (member(&ca, 1), member(&ca, 2));
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let s = seen.clone();
    let p = pair_of(
        a.clone(),
        b,
        |c| {
            c.service = Arc::new(move |r| {
                s.lock().unwrap().push(r.from);
                weald_rpc::Reply::answer(r.body)
            });
        },
        |_| {},
    );
    let body = vec![9; 3_000_000];
    assert_eq!(p.peer.call(LANE, ask(ECHO, body.clone())).await.unwrap(), body);
    assert_eq!(*seen.lock().unwrap(), [a.identity()]);
    assert_eq!(p.server.connected(), [a.identity()]);
}

#[tokio::test]
async fn node_of_another_cluster_is_refused_and_both_are_named() {
    let p = pair_tls(member(&authority(1), 1), member(&authority(2), 2));
    let why = refused(&p).await;
    let ConnectError::NotTrusted { reason, .. } = &why else { panic!("{why:?}") };
    assert!(reason.contains("00000000000000000000000000000001") && reason.contains("00000000000000000000000000000002"), "{reason}");
}

#[tokio::test]
async fn same_cluster_id_signed_by_somebody_else_is_refused() {
    let p = pair_tls(member(&authority(1), 1), member(&authority(1), 2));
    let why = refused(&p).await;
    assert!(matches!(&why, ConnectError::NotTrusted { reason, .. } if reason.contains("not signed by this cluster")), "{why:?}");
}

/// `a` believes `b`, `b` does not believe `a`: the asker has to learn why although its own side of the handshake went well.
#[tokio::test]
async fn asker_with_a_foreign_certificate_learns_that_it_is_not_accepted() {
    let (ours, foreign) = (authority(1), authority(1));
    let a = world(1);
    let mut home = a.home();
    let mut certified = foreign.sign(&home.certificate_request().unwrap(), home.identity(), a.clock.wall_micros()).unwrap();
    certified.authorities.push(ours.certificate().to_vec());
    home.install(certified).unwrap();
    let p = pair_tls(Arc::new(Keyring::new(home).unwrap()), member(&ours, 2));
    let why = refused(&p).await;
    assert!(matches!(&why, ConnectError::NotTrusted { reason, .. } if reason.contains("does not accept this node's certificate")), "{why:?}");
}

#[tokio::test]
async fn expired_certificate_is_refused_until_it_is_renewed_without_a_restart() {
    let ca = authority(1);
    let (wa, wb) = (world(1), world(2));
    let (a, b) = (Arc::new(Keyring::new(wa.member_home(&ca)).unwrap()), Arc::new(Keyring::new(wb.member_home(&ca)).unwrap()));
    let p = pair_tls(a.clone(), b.clone());
    let later = weald_rpc::CERTIFICATE_LIFE + Duration::from_secs(1);
    wa.clock.advance(later);
    wb.clock.advance(later);
    let why = refused(&p).await;
    assert!(matches!(&why, ConnectError::NotTrusted { reason, .. } if reason.contains("expired")), "{why:?}");
    for (keyring, world) in [(&a, &wa), (&b, &wb)] {
        assert!(keyring.membership().unwrap().wants_renewal(world.clock.wall_micros()));
        let renewed = ca.sign(&keyring.certificate_request().unwrap(), keyring.identity(), world.clock.wall_micros()).unwrap();
        keyring.install(renewed).unwrap();
    }
    p.peer.retry_now();
    p.peer.call(LANE, ask(ECHO, "x")).await.unwrap();
}

#[tokio::test]
async fn cluster_goes_over_to_a_new_authority_while_both_are_believed() {
    let (old, new) = (authority(1), authority(1));
    let both = |signer: &weald_rpc::Authority, seed| {
        let world = world(seed);
        let mut home = world.home();
        let signed = signer.sign(&home.certificate_request().unwrap(), home.identity(), world.clock.wall_micros()).unwrap();
        home.install(Certified { authorities: vec![old.certificate().to_vec(), new.certificate().to_vec()], ..signed }).unwrap();
        Arc::new(Keyring::new(home).unwrap())
    };
    let p = pair_tls(both(&old, 1), both(&new, 2));
    p.peer.call(LANE, ask(ECHO, "x")).await.unwrap();
}

#[tokio::test]
async fn other_version_is_refused_and_both_are_named_on_both_sides() {
    let ca = authority(1);
    let of_version = |seed, v| Arc::new(Keyring::of_another_version(world(seed).member_home(&ca), v).unwrap());
    for (ours, theirs) in [("weald/1", "weald/2"), ("weald/7", "weald/1")] {
        let p = pair_tls(of_version(1, ours), of_version(2, theirs));
        let why = refused(&p).await;
        assert!(matches!(&why, ConnectError::Version { ours: o, theirs: t, .. } if o == ours && t == theirs), "{why:?}");
        let text = why.to_string();
        assert!(text.contains(ours) && text.contains(theirs), "{text}");
    }
}

#[tokio::test]
async fn node_without_a_cluster_says_so_and_asks_nobody() {
    let ca = authority(1);
    let why = refused(&pair_tls(member(&ca, 1), fresh(2))).await;
    assert!(matches!(&why, ConnectError::NotTrusted { reason, .. } if reason.contains("in no cluster yet")), "{why:?}");
    assert_eq!(refused(&pair_tls(fresh(1), member(&ca, 2))).await, ConnectError::NoCluster);
}

#[tokio::test]
async fn somebody_else_at_the_address_is_noticed() {
    let ca = authority(1);
    let b = member(&ca, 2);
    let p = pair_tls(member(&ca, 1), b.clone());
    let expected = NodeIdentity::new(77);
    let error = p.pool.peer(expected).call(LANE, ask(ECHO, "x")).await.unwrap_err();
    let CallError::NotRun(NotRun::Unreachable(why)) = error else { panic!("{error:?}") };
    assert_eq!(*why, ConnectError::WrongNode { address: "b".into(), expected, found: b.identity() });
    assert_eq!(p.probe.begun.load(SeqCst), 0);
}

#[tokio::test]
async fn removed_node_is_not_let_in_and_its_connections_end() {
    let ca = authority(1);
    let removed = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let r = removed.clone();
    let p = pair_of(
        member(&ca, 1),
        member(&ca, 2),
        |c| c.admission = Arc::new(move |_| if r.load(SeqCst) { Err("it was removed from the cluster".into()) } else { Ok(()) }),
        |_| {},
    );
    p.peer.call(LANE, ask(ECHO, "x")).await.unwrap();
    let peer = p.peer.clone();
    let open = tokio::spawn(async move { peer.call(LANE, ask(NEVER, "")).await });
    until(|| p.probe.begun.load(SeqCst) == 2).await;
    removed.store(true, SeqCst);
    p.server.recheck();
    let ended = open.await.unwrap().unwrap_err();
    assert!(matches!(&ended, CallError::Unknown(weald_rpc::Lost::Farewell(words)) if words.contains("removed")), "{ended:?}");
    until(|| p.probe.dropped.load(SeqCst) == 1).await;
    let CallError::NotRun(NotRun::Unreachable(why)) = p.peer.call(LANE, ask(ECHO, "x")).await.unwrap_err() else { panic!() };
    assert_eq!(*why, ConnectError::Unwelcome { address: "b".into(), reason: "it was removed from the cluster".into() });
}

#[tokio::test]
async fn http2_gets_a_stream_to_a_proven_node() {
    let ca = authority(1);
    let (a, b) = (member(&ca, 1), member(&ca, 2));
    let from = Arc::new(std::sync::Mutex::new(None));
    let f = from.clone();
    let p = pair_of(
        a.clone(),
        b,
        |c| {
            c.http2 = Some(Arc::new(move |node, mut stream| {
                *f.lock().unwrap() = Some(node);
                tokio::spawn(async move {
                    let mut bytes = [0; 5];
                    stream.read_exact(&mut bytes).await.unwrap();
                    bytes.reverse();
                    stream.write_all(&bytes).await.unwrap();
                    stream.shutdown().await.unwrap();
                });
            }));
        },
        |_| {},
    );
    let mut stream = p.peer.http2().await.unwrap();
    stream.write_all(b"PRI *").await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, b"* IRP");
    assert_eq!(*from.lock().unwrap(), Some(a.identity()));
}

/// What somebody without a certificate can do on the cluster port.
#[tokio::test]
async fn plain_words_and_half_open_connections_keep_no_member_out() {
    use weald_rpc::network::Network;
    let ca = authority(1);
    let p = pair_of(member(&ca, 1), member(&ca, 2), |c| c.limits.max_half_open = 8, |_| {});
    let mut open = Vec::new();
    for _ in 0..50 {
        let mut stream = p.wire.connect("b").await.unwrap();
        // The beginning of a TLS record, and no more.
        let _ = stream.write_all(&[22, 3, 1]).await;
        open.push(stream);
    }
    // All of them come from one address, which has a quarter of the places: the rest were closed at once.
    let mut closed = 0;
    for stream in &mut open {
        let mut byte = [0; 1];
        if let Ok(Ok(0) | Err(_)) = tokio::time::timeout(Duration::from_millis(20), stream.read(&mut byte)).await {
            closed += 1;
        }
    }
    assert_eq!(closed, 48);
    // The member has the same address here and has to wait for its turn; from another it would not.
    open.clear();
    until(|| p.server.half_open() == 0).await;
    p.peer.call(LANE, ask(ECHO, "x")).await.unwrap();
}

/// The kinds of error that need a real socket.
#[tokio::test]
async fn over_tcp_a_port_without_a_listener_says_gone() {
    let ca = authority(1);
    let (a, b) = (member(&ca, 1), member(&ca, 2));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let probe = Arc::new(Probe::default());
    let server = Server::start(Box::new(listener), server_config(b.clone(), &probe));
    let at = address.clone();
    let pool = Pool::new(weald_rpc::PoolConfig {
        network: Arc::new(weald_rpc::network::Tcp),
        addresses: Arc::new(move |_| Some(at.clone())),
        ..pool_config(&Wire::default(), a)
    });
    let peer = pool.peer(b.identity());
    let body = vec![5; 1_000_000];
    assert_eq!(peer.call(LANE, ask(ECHO, body.clone())).await.unwrap(), body);
    server.stop().await;
    until(|| peer.open_connections() == 0).await;
    let CallError::NotRun(NotRun::Unreachable(why)) = peer.call(LANE, ask(ECHO, "x")).await.unwrap_err() else { panic!() };
    assert_eq!(*why, ConnectError::Refused { address });
    assert!(why.says_gone());
    pool.close().await;
    assert_eq!(peer.call(LANE, ask(ECHO, "x")).await, Err(CallError::NotRun(NotRun::Closed)));
}
