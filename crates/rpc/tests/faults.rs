//! Connections that break, peers that fall silent, addresses that change; and that every call ends in one of its three ways.

#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;
use support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use weald_rpc::{Ask, CallError, ConnectError, Lane, LinkChange, Lost, NotRun, Piece, Server};

#[tokio::test]
async fn cut_connection_is_noticed_at_once_and_made_again() {
    let changes = Arc::new(std::sync::Mutex::new(Vec::new()));
    let c = changes.clone();
    let p = pair_with(|_| {}, |pool| pool.on_change = Some(Arc::new(move |_, lane, change| c.lock().unwrap().push((lane, change.clone())))));
    let peer = p.peer.clone();
    let open = tokio::spawn(async move { peer.call(LANE, ask(NEVER, "")).await });
    until(|| p.probe.begun.load(SeqCst) == 1).await;
    p.wire.cut();
    // It had arrived, so nobody knows what became of it.
    assert!(matches!(open.await.unwrap(), Err(CallError::Unknown(Lost::PeerGone(_)))));
    until(|| p.probe.dropped.load(SeqCst) == 1).await;
    p.peer.call(LANE, ask(ECHO, "again")).await.unwrap();
    assert_eq!(p.wire.connections(), 2);
    let changes = changes.lock().unwrap();
    assert!(matches!(&changes[..], [(LANE, LinkChange::Up), (LANE, LinkChange::Lost(Lost::PeerGone(_))), (LANE, LinkChange::Up)]), "{changes:?}");
}

#[tokio::test]
async fn request_that_had_not_left_is_not_run_when_the_connection_is_lost() {
    let p = pair();
    p.peer.call(LANE, ask(ECHO, "x")).await.unwrap();
    p.wire.hold();
    let calls: Vec<_> = [100, 5_000_000]
        .into_iter()
        .map(|n| {
            let peer = p.peer.clone();
            tokio::spawn(async move { peer.call(LANE, ask(ECHO, vec![0; n])).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(30)).await;
    p.wire.cut();
    for call in calls {
        let error = call.await.unwrap().unwrap_err();
        assert!(matches!(error, CallError::NotRun(NotRun::NotSent(Lost::PeerGone(_)))), "{error:?}");
    }
    assert_eq!(p.probe.begun.load(SeqCst), 1);
}

#[tokio::test]
async fn silence_is_not_death_and_is_told_apart_from_it() {
    let p = pair_with(|_| {}, |c| c.limits.silence = Duration::from_millis(300));
    let peer = p.peer.clone();
    let open = tokio::spawn(async move { peer.call(LANE, ask(NEVER, "")).await });
    until(|| p.probe.begun.load(SeqCst) == 1).await;
    // Idle for much longer than that, it is kept alive by pings.
    tokio::time::sleep(Duration::from_millis(1000)).await;
    assert_eq!(p.peer.open_connections(), 1);
    p.wire.hold();
    assert_eq!(open.await.unwrap(), Err(CallError::Unknown(Lost::Silent(Duration::from_millis(300)))));
    assert_eq!(p.wire.connections(), 1);
}

#[tokio::test]
async fn asker_that_falls_silent_frees_what_it_asked_for() {
    let p = pair_with(|s| s.limits.silence = Duration::from_millis(300), |c| c.limits.silence = Duration::from_secs(100));
    let peer = p.peer.clone();
    let _open = tokio::spawn(async move { peer.call(LANE, ask(NEVER, "")).await });
    until(|| p.probe.begun.load(SeqCst) == 1).await;
    p.wire.hold();
    until(|| p.probe.dropped.load(SeqCst) == 1 && p.server.connected().is_empty()).await;
}

#[tokio::test]
async fn asker_that_does_not_read_is_not_given_more_and_is_cut_off() {
    let p = pair_with(
        |s| {
            s.limits.max_queued = 100_000;
            s.limits.stalled_write = Duration::from_millis(300);
        },
        |_| {},
    );
    // By hand, since our own end always reads: asks a thousand times for 50 kB, and never looks.
    let mut raw = raw_connection(&p).await;
    let request = frame(2, BIG, 0, 1, &50_000u32.to_le_bytes());
    for id in 0..1000u64 {
        let mut request = request.clone();
        request[12..20].copy_from_slice(&id.to_le_bytes());
        if raw.write_all(&request).await.is_err() {
            break;
        }
    }
    until(|| p.server.connected().is_empty()).await;
    let begun = p.probe.begun.load(SeqCst);
    assert!(begun < 1000, "{begun} were run although nobody read the answers");
    p.peer.call(LANE, ask(ECHO, "x")).await.unwrap();
}

#[tokio::test]
async fn unreachable_node_costs_no_time_while_that_is_known() {
    let p = pair_with(|_| {}, |c| c.limits.backoff = (Duration::from_secs(60), Duration::from_secs(60)));
    let nowhere = Arc::new(AtomicUsize::new(0));
    let (n, wire) = (nowhere.clone(), p.wire.clone());
    let pool = weald_rpc::Pool::new(weald_rpc::PoolConfig {
        // First at a wrong address, then at the right one: a node may move.
        addresses: Arc::new(move |_| Some(if n.fetch_add(1, SeqCst) == 0 { "nowhere" } else { "b" }.into())),
        limits: weald_rpc::Limits { backoff: (Duration::from_secs(60), Duration::from_secs(60)), ..limits() },
        ..pool_config(&wire, plain_again())
    });
    let peer = pool.peer(p.b);
    for _ in 0..100 {
        let CallError::NotRun(NotRun::Unreachable(why)) = peer.call(LANE, ask(ECHO, "x")).await.unwrap_err() else { panic!() };
        assert!(why.says_gone() && *why == ConnectError::Refused { address: "nowhere".into() });
    }
    assert_eq!(nowhere.load(SeqCst), 1);
    peer.retry_now();
    peer.call(LANE, ask(ECHO, "x")).await.unwrap();
    let unknown = weald_rpc::Pool::new(weald_rpc::PoolConfig { addresses: Arc::new(|_| None), ..pool_config(&wire, plain_again()) });
    let CallError::NotRun(NotRun::Unreachable(why)) = unknown.peer(p.b).call(LANE, ask(ECHO, "x")).await.unwrap_err() else { panic!() };
    assert_eq!(*why, ConnectError::NoAddress(p.b));
}

fn plain_again() -> Arc<weald_rpc::Keyring> {
    plain(&authority(1), 3)
}

#[tokio::test]
async fn attempts_that_fail_are_made_again_and_calls_meanwhile_share_one() {
    let p = pair();
    let calls: Vec<_> = (0..200)
        .map(|n| {
            let peer = p.peer.clone();
            tokio::spawn(async move { peer.call(Lane(n % 2), ask(ECHO, vec![1])).await.unwrap() })
        })
        .collect();
    for call in calls {
        call.await.unwrap();
    }
    assert_eq!((p.wire.connections(), p.peer.open_connections()), (2, 2));
}

#[tokio::test]
async fn connecting_to_somebody_who_says_nothing_ends_in_time() {
    let p = pair_with(
        |_| {},
        |c| {
            c.limits.connect_within = Duration::from_millis(100);
            c.addresses = Arc::new(|_| Some("silent".into()));
        },
    );
    let _incoming = p.wire.listen("silent");
    let error = p.peer.call(LANE, ask(ECHO, "x")).await.unwrap_err();
    let CallError::NotRun(NotRun::Unreachable(why)) = error else { panic!("{error:?}") };
    assert_eq!(*why, ConnectError::TimedOut { address: "silent".into(), within: Duration::from_millis(100) });
    assert!(!why.says_gone());
    // The request's own deadline, when that is sooner.
    p.peer.retry_now();
    let within = Some(Duration::from_millis(20));
    let error = p.peer.call(Lane(1), Ask { within, ..ask(ECHO, "x") }).await.unwrap_err();
    assert_eq!(error, CallError::NotRun(NotRun::NotSent(Lost::TimedOut(Duration::from_millis(20)))));
}

#[tokio::test]
async fn forgotten_and_closed_connections_end_what_is_under_way() {
    let p = pair();
    let start = || {
        let peer = p.pool.peer(p.b);
        tokio::spawn(async move { peer.call(LANE, ask(NEVER, "")).await })
    };
    let first = start();
    until(|| p.probe.begun.load(SeqCst) == 1).await;
    p.pool.forget(p.b);
    assert_eq!(first.await.unwrap(), Err(CallError::Unknown(Lost::Closed)));
    let second = start();
    until(|| p.probe.begun.load(SeqCst) == 2).await;
    p.pool.close().await;
    assert_eq!(second.await.unwrap(), Err(CallError::Unknown(Lost::Closed)));
    assert_eq!(p.peer.call(LANE, ask(ECHO, "x")).await, Err(CallError::NotRun(NotRun::Closed)));
    until(|| p.probe.dropped.load(SeqCst) == 2).await;
}

#[tokio::test]
async fn dropped_server_cuts_its_connections() {
    let p = pair();
    let peer = p.peer.clone();
    let open = tokio::spawn(async move { peer.call(LANE, ask(NEVER, "")).await });
    until(|| p.probe.begun.load(SeqCst) == 1).await;
    drop(p.server);
    assert!(matches!(open.await.unwrap(), Err(CallError::Unknown(Lost::PeerGone(_)))));
    until(|| p.probe.dropped.load(SeqCst) == 1).await;
}

#[tokio::test]
async fn dropped_pool_leaves_nobody_waiting_and_no_connection_behind() {
    let p = pair();
    let mut pieces = p.peer.call_in_parts(LANE, ask(PARTS, parts(200, 100_000))).await.unwrap();
    assert!(matches!(pieces.next().await, Ok(Piece::Part(_))));
    drop((p.pool, p.peer));
    let error = loop {
        match pieces.next().await {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert_eq!(error, CallError::Unknown(Lost::Closed));
    until(|| p.server.connected().is_empty()).await;
}

/// Connections are cut and held up at random while requests of all kinds run. What is said to have been answered or not to have run is checked
/// against what the service saw.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_ends_once_and_truthfully_whatever_happens_to_the_connection() {
    let ran = Arc::new(std::sync::Mutex::new(std::collections::HashMap::<u32, u32>::new()));
    let r = ran.clone();
    let p = pair_with(
        move |s| {
            s.limits.max_frame = 5_000;
            s.service = Arc::new(move |request| {
                let n = u32::from_le_bytes(request.body[..4].try_into().unwrap());
                *r.lock().unwrap().entry(n).or_default() += 1;
                if n % 3 == 0 {
                    return weald_rpc::Reply::answer(request.body);
                }
                weald_rpc::Reply::later(async move {
                    if let Some(mut parts) = request.parts {
                        for _ in 0..n % 7 {
                            if parts.send(vec![1; 3_000].into()).await.is_err() {
                                break;
                            }
                        }
                    }
                    tokio::task::yield_now().await;
                    Ok(request.body)
                })
            });
        },
        |c| {
            c.limits.window = 10_000;
            c.limits.max_frame = 5_000;
        },
    );
    let wire = p.wire.clone();
    let trouble = tokio::spawn(async move {
        for n in 0..60u64 {
            tokio::time::sleep(Duration::from_millis(n % 7)).await;
            if n % 3 == 0 {
                wire.hold();
                tokio::time::sleep(Duration::from_millis(2)).await;
                wire.release();
            } else {
                wire.cut();
            }
        }
    });
    let outcomes = Arc::new([const { AtomicUsize::new(0) }; 3]);
    let workers = (0..8u32).map(|w| {
        let (peer, ran, outcomes, trouble) = (p.peer.clone(), ran.clone(), outcomes.clone(), trouble.abort_handle());
        tokio::spawn(async move {
            let mut i = 0;
            while !trouble.is_finished() {
                i += 1;
                let n = i * 8 + w;
                let mut body = n.to_le_bytes().to_vec();
                body.resize(4 + (n as usize * 37) % 20_000, n as u8);
                let within = (n % 5 == 0).then_some(Duration::from_secs(10));
                let asked = Ask { method: 0, body: body.clone().into(), within };
                let outcome = if n % 2 == 0 {
                    peer.call(LANE, asked).await
                } else {
                    let parts = async {
                        let mut pieces = peer.call_in_parts(LANE, asked).await?;
                        let mut count = 0;
                        loop {
                            match pieces.next().await? {
                                Piece::Part(part) => count += u32::from(part == vec![1; 3_000]),
                                Piece::End(body) => {
                                    assert!(n % 3 == 0 || count == n % 7);
                                    break Ok(body);
                                }
                            }
                        }
                    };
                    parts.await
                };
                let times = ran.lock().unwrap().get(&n).copied().unwrap_or(0);
                match outcome {
                    Ok(answer) => {
                        assert_eq!((answer, times), (body.into(), 1));
                        outcomes[0].fetch_add(1, SeqCst);
                    }
                    Err(CallError::NotRun(_)) => {
                        assert_eq!(times, 0, "request {n} was said not to have run");
                        outcomes[1].fetch_add(1, SeqCst);
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                    Err(CallError::Unknown(_)) => {
                        assert!(times <= 1);
                        outcomes[2].fetch_add(1, SeqCst);
                    }
                }
            }
        })
    });
    for worker in workers.collect::<Vec<_>>() {
        worker.await.unwrap();
    }
    trouble.await.unwrap();
    let [answered, not_run, unknown] = [0, 1, 2].map(|i| outcomes[i].load(SeqCst));
    assert!(answered > 50 && unknown > 0, "{answered} answered, {not_run} not run, {unknown} unknown");
    // What was said not to have run must not be run later either.
    p.wire.release();
    until(|| p.server.connected().len() <= 1).await;
    assert!(ran.lock().unwrap().values().all(|times| *times == 1));
}

/// The last frame before the connection ends, if it is a farewell.
async fn farewell(stream: &mut weald_rpc::network::BoxStream) -> Option<String> {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    let mut rest = &bytes[..];
    while rest.len() >= 28 {
        let length = u32::from_le_bytes(rest[..4].try_into().unwrap()) as usize + 4;
        if rest[4] == 32 {
            return Some(String::from_utf8(rest[28..length].to_vec()).unwrap());
        }
        rest = &rest[length..];
    }
    None
}

#[tokio::test]
async fn frames_that_make_no_sense_end_the_connection_with_a_word() {
    let p = pair();
    let more = |mut frame: Vec<u8>| {
        frame[5] = 1;
        frame
    };
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("unknown kind", frame(99, 0, 0, 1, b"")),
        ("where 131072 are allowed", vec![0, 0, 0, 80]),
        ("a frame of 3 bytes", vec![3, 0, 0, 0]),
        ("from the asking side", frame(16, 0, 0, 1, b"")),
        ("from the asking side", frame(1, 0, 0, 1, b"")),
        ("with flags", more(frame(5, 0, 0, 1, b""))),
        ("two requests with one id", [frame(2, LATER, 0, 1, b""), frame(2, LATER, 0, 1, b"")].concat()),
        ("two requests with one id", [frame(2, LATER, 0, 1, b""), frame(2, ECHO, 0, 1, b"")].concat()),
        ("two kinds", [more(frame(2, ECHO, 0, 1, b"a")), frame(3, ECHO, 0, 1, b"b")].concat()),
    ];
    for (expected, bytes) in cases {
        let mut raw = raw_connection(&p).await;
        raw.write_all(&bytes).await.unwrap();
        let words = farewell(&mut raw).await.unwrap_or_else(|| panic!("{expected}: no farewell"));
        assert!(words.contains(expected), "{expected}: {words}");
        // The same in two reads.
        let mut raw = raw_connection(&p).await;
        let (first, second) = bytes.split_at(bytes.len() / 2);
        raw.write_all(first).await.unwrap();
        tokio::time::sleep(Duration::from_millis(2)).await;
        // If the first half was enough, it is over already.
        let _ = raw.write_all(second).await;
        let words = farewell(&mut raw).await.unwrap_or_else(|| panic!("{expected}: no farewell"));
        assert!(words.contains(expected), "{expected}: {words}");
    }
    until(|| p.server.connected().is_empty()).await;
    p.peer.call(LANE, ask(ECHO, "x")).await.unwrap();
}

#[tokio::test]
async fn cancel_in_the_same_read_means_that_it_is_never_run() {
    let p = pair();
    let mut raw = raw_connection(&p).await;
    raw.write_all(&[frame(2, ECHO, 0, 1, b"one"), frame(5, 0, 0, 1, b""), frame(5, 0, 0, 77, b""), frame(2, ECHO, 0, 2, b"two")].concat())
        .await
        .unwrap();
    let mut head = [0; 31];
    raw.read_exact(&mut head).await.unwrap();
    assert_eq!((head[4], head[12], &head[28..]), (16, 2, &b"two"[..]));
    assert_eq!(p.probe.begun.load(SeqCst), 1);
}

#[tokio::test]
async fn request_that_goes_on_arriving_is_bounded() {
    let p = pair_with(|s| (s.limits.max_arriving, s.limits.max_message) = (150_000, 1 << 20), |_| {});
    let mut raw = raw_connection(&p).await;
    let piece = |id, more: bool| {
        let mut bytes = frame(2, ECHO, 0, id, &[id as u8; 50_000]);
        bytes[5] = u8::from(more);
        bytes
    };
    // Four begin; the fourth is one too many. The others are not harmed, and nor is the connection by the rest of the fourth.
    for id in 1..=4 {
        raw.write_all(&piece(id, true)).await.unwrap();
    }
    let mut head = [0; 28];
    raw.read_exact(&mut head).await.unwrap();
    assert_eq!((head[4], head[12], head[6]), (18, 4, 2));
    let mut words = vec![0; u32::from_le_bytes(head[..4].try_into().unwrap()) as usize - 24];
    raw.read_exact(&mut words).await.unwrap();
    for id in [4, 1] {
        raw.write_all(&piece(id, false)).await.unwrap();
    }
    raw.read_exact(&mut head).await.unwrap();
    assert_eq!((head[4], head[12]), (16, 1));
}

#[tokio::test]
async fn server_can_be_started_again_on_the_same_address() {
    let p = pair();
    p.peer.call(LANE, ask(ECHO, "x")).await.unwrap();
    p.server.stop().await;
    until(|| p.peer.open_connections() == 0).await;
    let again = Arc::new(Probe::default());
    let b = plain(&authority(1), 2);
    let _server = Server::start(p.wire.listen("b"), server_config(b, &again));
    p.peer.retry_now();
    p.peer.call(LANE, ask(ECHO, "x")).await.unwrap();
    assert_eq!(again.begun.load(SeqCst), 1);
}
