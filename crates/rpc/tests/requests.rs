//! Requests over one connection: answers, parts, limits, cancelling, deadlines; in the open, since none of it depends on TLS.

#![allow(clippy::unwrap_used)]

mod support;

use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;
use support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use weald_rpc::network::Network;
use weald_rpc::{Ask, CallError, Lane, Lost, NotRun, Piece, Refusal, Stamps};
use weald_types::Timestamp;

#[tokio::test]
async fn answers_come_in_any_order_and_find_their_requests() {
    let p = pair();
    let slow: Vec<_> = (0..50u8)
        .map(|n| {
            let peer = p.peer.clone();
            tokio::spawn(async move { peer.call(LANE, ask(LATER, vec![n; 10])).await })
        })
        .collect();
    until(|| p.probe.begun.load(SeqCst) == 50).await;
    for n in 0..200u32 {
        assert_eq!(p.peer.call(LANE, ask(ECHO, n.to_le_bytes().to_vec())).await.unwrap(), &n.to_le_bytes()[..]);
    }
    p.probe.go.notify_waiters();
    for (n, task) in slow.into_iter().enumerate() {
        assert_eq!(task.await.unwrap().unwrap(), vec![n as u8; 10]);
    }
    assert_eq!(p.wire.connections(), 1);
}

#[tokio::test]
async fn long_bodies_are_split_and_come_together_again() {
    let p = pair_with(|s| s.limits.max_frame = 10_000, |_| {});
    for bytes in [0, 1, 4_096, 4_097, 9_999, 10_000, 10_001, 25_000, 1_000_000] {
        let body: Bytes = (0..bytes).map(|i| (i * 31 % 251) as u8).collect::<Vec<_>>().into();
        assert_eq!(p.peer.call(LANE, ask(ECHO, body.clone())).await.unwrap(), body);
    }
    // Many at a time, each in many frames.
    let calls = (0..20u8).map(|n| {
        let peer = p.peer.clone();
        async move { peer.call(LANE, ask(ECHO, vec![n; 300_000 + n as usize])).await.unwrap() }
    });
    for (n, answer) in futures::future::join_all(calls).await.into_iter().enumerate() {
        assert_eq!(answer, vec![n as u8; 300_000 + n]);
    }
}

#[tokio::test]
async fn what_is_too_long_is_refused_before_it_leaves() {
    let p = pair_with(|s| s.limits.max_message = 50_000, |_| {});
    let refused = p.peer.call(LANE, ask(ECHO, vec![0; 50_001])).await;
    assert_eq!(refused, Err(CallError::NotRun(NotRun::TooLarge { bytes: 50_001, limit: 50_000 })));
    let failed = p.peer.call(LANE, ask(BIG, 50_001u32.to_le_bytes().to_vec())).await;
    assert!(matches!(&failed, Err(CallError::Unknown(Lost::Failed(words))) if words.contains("50001")), "{failed:?}");
    assert_eq!(p.peer.call(LANE, ask(ECHO, vec![0; 50_000])).await.unwrap().len(), 50_000);
    assert_eq!(p.wire.connections(), 1);
}

#[tokio::test]
async fn refused_panicked_and_unknown_are_told_apart() {
    let p = pair();
    let refused = p.peer.call(LANE, ask(REFUSE, "")).await.unwrap_err();
    assert!(refused.is_safe_to_retry());
    assert_eq!(refused, CallError::NotRun(NotRun::Refused { code: Refusal::Service, reason: "as asked".into() }));
    for method in [PANIC, PANIC_LATER] {
        let panicked = p.peer.call(LANE, ask(method, "")).await.unwrap_err();
        assert!(matches!(&panicked, CallError::Unknown(Lost::Failed(words)) if words == "it panicked"), "{panicked:?}");
        assert!(!panicked.is_safe_to_retry());
    }
    // Nobody else noticed.
    p.peer.call(LANE, ask(ECHO, "x")).await.unwrap();
    assert_eq!(p.wire.connections(), 1);
}

#[tokio::test]
async fn dropped_call_is_dropped_at_the_other_end() {
    let p = pair();
    for _ in 0..3 {
        let (before, peer) = (p.probe.begun.load(SeqCst), p.peer.clone());
        let task = tokio::spawn(async move { peer.call(LANE, ask(NEVER, "")).await });
        until(|| p.probe.begun.load(SeqCst) == before + 1).await;
        task.abort();
        until(|| p.probe.dropped.load(SeqCst) == before + 1).await;
    }
    // Also one that is still on its way, and one that sends parts.
    let peer = p.peer.clone();
    let long = tokio::spawn(async move { peer.call(LANE, ask(NEVER, vec![0; 5_000_000])).await });
    tokio::task::yield_now().await;
    long.abort();
    let mut pieces = p.peer.call_in_parts(LANE, ask(PARTS, parts(200, 100_000))).await.unwrap();
    assert!(matches!(pieces.next().await, Ok(Piece::Part(_))));
    drop(pieces);
    p.peer.call(LANE, ask(ECHO, "x")).await.unwrap();
    until(|| p.probe.dropped.load(SeqCst) >= 4).await;
    assert!(p.probe.parts_sent.load(SeqCst) < 200);
}

#[tokio::test]
async fn parts_arrive_in_order_and_never_run_ahead_of_their_reader() {
    let p = pair_with(|_| {}, |c| c.limits.window = 100_000);
    let mut pieces = p.peer.call_in_parts(LANE, ask(PARTS, parts(100, 10_000))).await.unwrap();
    // Not read, it comes to a halt; other requests go on.
    until(|| p.probe.parts_sent.load(SeqCst) == 10).await;
    for _ in 0..20 {
        p.peer.call(LANE, ask(ECHO, "x")).await.unwrap();
    }
    assert_eq!(p.probe.parts_sent.load(SeqCst), 10);
    for n in 0..100u8 {
        assert_eq!(pieces.next().await.unwrap(), Piece::Part(vec![n; 10_000].into()));
        assert!(p.probe.parts_sent.load(SeqCst) <= usize::from(n) + 1 + 10 + 1);
    }
    assert_eq!(pieces.next().await.unwrap(), Piece::End("end".into()));
    assert!(pieces.next().await.is_err());
    // A part longer than the window, and one longer than a frame.
    let mut pieces = p.peer.call_in_parts(LANE, ask(PARTS, parts(3, 250_000))).await.unwrap();
    for n in 0..3u8 {
        assert_eq!(pieces.next().await.unwrap(), Piece::Part(vec![n; 250_000].into()));
    }
    assert_eq!(pieces.next().await.unwrap(), Piece::End("end".into()));
    // Without being asked for, parts are not possible.
    assert!(p.peer.call(LANE, ask(PARTS, parts(1, 1))).await.unwrap_err().is_safe_to_retry());
}

#[tokio::test]
async fn deadline_ends_both_ends() {
    let p = pair();
    let within = Some(Duration::from_millis(50));
    let late = p.peer.call(LANE, Ask { within, ..ask(NEVER, "") }).await;
    assert_eq!(late, Err(CallError::Unknown(Lost::TimedOut(Duration::from_millis(50)))));
    until(|| p.probe.dropped.load(SeqCst) == 1).await;
    assert_eq!(p.peer.call(LANE, Ask { within, ..ask(ECHO, "in time") }).await.unwrap(), "in time");
    assert_eq!(p.wire.connections(), 1);
}

#[tokio::test]
async fn deadline_of_a_request_that_cannot_leave_means_that_it_was_not_run() {
    let p = pair();
    p.peer.call(LANE, ask(ECHO, "x")).await.unwrap();
    p.wire.hold();
    let within = Some(Duration::from_millis(50));
    let stuck = p.peer.call(LANE, Ask { within, ..ask(ECHO, vec![0; 2_000_000]) }).await;
    assert_eq!(stuck, Err(CallError::NotRun(NotRun::NotSent(Lost::TimedOut(Duration::from_millis(50))))));
    p.wire.release();
    p.peer.call(LANE, ask(ECHO, "x")).await.unwrap();
    assert_eq!(p.probe.begun.load(SeqCst), 2);
}

#[tokio::test]
async fn hundred_thousand_requests_are_under_way_and_one_more_is_refused() {
    let p = pair_with(|s| s.limits.max_in_flight = 100_000, |c| c.limits.max_in_flight = 200_000);
    p.peer.call(LANE, ask(ECHO, "x")).await.unwrap();
    let calls: Vec<_> = (0..100_000u32)
        .map(|n| {
            let peer = p.peer.clone();
            tokio::spawn(async move { peer.call(LANE, ask(LATER, n.to_le_bytes().to_vec())).await })
        })
        .collect();
    until(|| p.probe.begun.load(SeqCst) == 100_001).await;
    let refused = p.peer.call(LANE, ask(ECHO, "x")).await;
    assert_eq!(refused, Err(CallError::NotRun(NotRun::Busy { limit: 100_000 })));
    // Another lane has a limit of its own.
    p.peer.call(Lane(1), ask(ECHO, "x")).await.unwrap();
    p.probe.go.notify_waiters();
    for (n, call) in calls.into_iter().enumerate() {
        assert_eq!(call.await.unwrap().unwrap(), &(n as u32).to_le_bytes()[..]);
    }
    p.peer.call(LANE, ask(ECHO, "x")).await.unwrap();
}

#[tokio::test]
async fn messages_without_an_answer_are_run() {
    let p = pair();
    for n in 0..100 {
        p.peer.send(LANE, ECHO, vec![0; n * 1_000].into()).await.unwrap();
    }
    until(|| p.probe.begun.load(SeqCst) == 100).await;
    // When more is in line than may be, they are refused, not kept.
    p.wire.hold();
    let mut sent = 0;
    while p.peer.send(LANE, ECHO, vec![0; 1 << 20].into()).await.is_ok() {
        sent += 1;
    }
    assert!((5..20).contains(&sent), "{sent}");
    p.wire.release();
    until(|| p.probe.begun.load(SeqCst) == 100 + sent).await;
    // One that panics or waits hurts nobody.
    p.peer.send(LANE, PANIC, Bytes::new()).await.unwrap();
    p.peer.send(LANE, PANIC_LATER, Bytes::new()).await.unwrap();
    p.peer.call(LANE, ask(ECHO, "x")).await.unwrap();
}

struct Clock(Timestamp, Arc<std::sync::Mutex<Vec<Timestamp>>>);

impl Stamps for Clock {
    fn now(&self) -> Timestamp {
        self.0
    }
    fn observe(&self, stamp: Timestamp) -> Result<(), String> {
        self.1.lock().unwrap().push(stamp);
        if stamp.micros() > 1_000_000 { Err("its clock is 1 s ahead".into()) } else { Ok(()) }
    }
}

#[tokio::test]
async fn clocks_are_carried_both_ways_and_a_wild_one_is_not_let_in() {
    let (seen_a, seen_b): (Arc<std::sync::Mutex<Vec<_>>>, Arc<std::sync::Mutex<Vec<_>>>) = Default::default();
    let (at, bt) = (Timestamp::from_micros(500), Timestamp::from_micros(900));
    let p = pair_with(|s| s.stamps = Arc::new(Clock(bt, seen_b.clone())), |c| c.stamps = Arc::new(Clock(at, seen_a.clone())));
    p.peer.call(LANE, ask(ECHO, "x")).await.unwrap();
    assert!(seen_a.lock().unwrap().iter().all(|t| *t == bt) && seen_a.lock().unwrap().len() == 2);
    assert!(seen_b.lock().unwrap().iter().all(|t| *t == at) && seen_b.lock().unwrap().len() == 2);

    let wild = Timestamp::from_micros(2_000_000);
    let p = pair_with(|s| s.stamps = Arc::new(Clock(bt, seen_b.clone())), |c| c.stamps = Arc::new(Clock(wild, seen_a)));
    assert!(p.peer.call(LANE, ask(ECHO, "x")).await.unwrap_err().is_safe_to_retry());
    assert_eq!(p.probe.begun.load(SeqCst), 0);
}

#[tokio::test]
async fn nonsense_ends_its_own_connection_only() {
    let p = pair();
    p.peer.call(LANE, ask(ECHO, "x")).await.unwrap();
    let mut junk: Vec<Vec<u8>> = vec![b"GET / HTTP/1.1\r\n\r\n".to_vec(), vec![0; 100], vec![255; 100]];
    junk.extend((0..200usize).map(|n| (0..n).map(|i| (i * n * 7919 % 256) as u8).collect()));
    for bytes in junk {
        let mut stream = p.wire.connect("b").await.unwrap();
        let _ = stream.write_all(&bytes).await;
        let _ = stream.shutdown().await;
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
    }
    p.peer.call(LANE, ask(ECHO, "x")).await.unwrap();
    assert_eq!(p.probe.begun.load(SeqCst), 2);
}

#[tokio::test]
async fn server_that_stops_refuses_new_requests_and_finishes_old_ones() {
    let p = pair();
    let peer = p.peer.clone();
    let old = tokio::spawn(async move { peer.call(LANE, ask(LATER, "old")).await });
    until(|| p.probe.begun.load(SeqCst) == 1).await;
    let stopping = tokio::spawn(p.server.stop());
    let reason = loop {
        match p.peer.call(LANE, ask(ECHO, "new")).await {
            Ok(_) => tokio::task::yield_now().await,
            Err(CallError::NotRun(NotRun::Refused { code: Refusal::Stopping, reason })) => break reason,
            Err(other) => panic!("{other:?}"),
        }
    };
    assert_eq!(reason, "this node is stopping");
    p.probe.go.notify_waiters();
    assert_eq!(old.await.unwrap().unwrap(), "old");
    stopping.await.unwrap();
    until(|| p.peer.open_connections() == 0).await;
    let after = p.peer.call(LANE, ask(ECHO, "x")).await.unwrap_err();
    assert!(matches!(after, CallError::NotRun(NotRun::Unreachable(_))), "{after:?}");
}
