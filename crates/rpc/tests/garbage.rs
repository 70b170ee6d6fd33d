//! A peer with a good certificate that sends nonsense: well-formed frames in senseless order, and bytes that are no frames at all. Nobody else may
//! notice, and nothing may panic.

#![allow(clippy::unwrap_used)]

mod support;

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;
use support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use weald_rpc::{Ask, CallError, Lost};
use weald_types::NodeIdentity;

static PANICS: AtomicUsize = AtomicUsize::new(0);

/// Tasks swallow panics, so they are counted where they begin. The service's own are wanted.
fn count_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if info.payload().downcast_ref::<&str>() != Some(&"as asked") {
                PANICS.fetch_add(1, SeqCst);
                before(info);
            }
        }));
    });
}

/// Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % n
    }

    /// Mostly frames that could be, of `kinds`; now and then one that could not.
    fn garbage(&mut self, kinds: &[u8], ids: &[u64]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for _ in 0..self.below(30) + 1 {
            let kind = if self.below(60) == 0 { self.below(256) as u8 } else { kinds[self.below(kinds.len() as u64) as usize] };
            let id = if self.below(20) == 0 { self.below(u64::MAX) } else { ids[self.below(ids.len() as u64) as usize] };
            let extra = [0, 1, 5_000, u32::MAX][self.below(4) as usize];
            let length = [0, 5, 300, 20_000][self.below(4) as usize];
            let body: Vec<u8> = (0..length).map(|i| if i == 0 { self.below(9) as u8 } else { self.below(3) as u8 }).collect();
            let mut one = frame(kind, self.below(10) as u16, extra, id, &body);
            if matches!(kind, 2..=4 | 16 | 17) && self.below(3) == 0 {
                one[5] = 1;
            }
            match self.below(200) {
                0 => one.truncate(self.below(one.len() as u64) as usize),
                1 => {
                    let at = self.below(one.len() as u64) as usize;
                    one[at] ^= 1 << self.below(8);
                }
                _ => {}
            }
            bytes.extend(one);
        }
        bytes
    }
}

#[tokio::test]
async fn answering_side_takes_any_frames_in_any_order() {
    count_panics();
    let p = pair_with(|s| (s.limits.max_in_flight, s.limits.max_arriving, s.limits.max_message) = (20, 60_000, 100_000), |_| {});
    for seed in 0..300 {
        let mut dice = Dice(seed);
        let mut raw = raw_connection(&p).await;
        for _ in 0..dice.below(5) + 1 {
            let bytes = dice.garbage(&[2, 3, 4, 5, 6, 7], &[1, 2, 3, 4, 5, 6, 7, 8]);
            // Answers are read now and then, or the other side would stop to read.
            let mut sink = [0; 4096];
            let _ = tokio::time::timeout(Duration::from_millis(1), raw.read(&mut sink)).await;
            if !matches!(tokio::time::timeout(Duration::from_millis(50), raw.write_all(&bytes)).await, Ok(Ok(()))) {
                break;
            }
        }
    }
    until(|| p.server.connected().is_empty()).await;
    p.peer.call(LANE, ask(ECHO, "still here")).await.unwrap();
    assert_eq!(PANICS.load(SeqCst), 0);
}

#[tokio::test]
async fn asking_side_takes_any_frames_in_any_order() {
    count_panics();
    let (wire, liar) = (Wire::default(), NodeIdentity::new(5));
    let pool = weald_rpc::Pool::new(pool_config(&wire, plain(&authority(1), 1)));
    let mut incoming = wire.listen("b");
    let peer = pool.peer(liar);
    let (mut answered, mut failed) = (0, 0);
    for seed in 0..300 {
        let mut dice = Dice(seed);
        let calls: Vec<_> = (0..6)
            .map(|n| {
                let (peer, asked) = (peer.clone(), Ask { within: Some(Duration::from_secs(20)), ..ask(ECHO, vec![n; 50]) });
                tokio::spawn(async move {
                    if n % 2 == 0 {
                        return peer.call(LANE, asked).await;
                    }
                    let mut pieces = peer.call_in_parts(LANE, asked).await?;
                    loop {
                        if let weald_rpc::Piece::End(body) = pieces.next().await? {
                            return Ok(body);
                        }
                    }
                })
            })
            .collect();
        let mut raw = raw_answerer(&mut incoming, liar).await;
        // All six requests, and their ids.
        let mut asked = vec![0; 6 * 78];
        raw.read_exact(&mut asked).await.unwrap();
        let ids: Vec<u64> = asked.chunks(78).map(|f| u64::from_le_bytes(f[12..20].try_into().unwrap())).collect();
        for _ in 0..dice.below(4) + 1 {
            let bytes = dice.garbage(&[16, 16, 17, 17, 17, 18, 19, 20], &ids);
            if !matches!(tokio::time::timeout(Duration::from_millis(50), raw.write_all(&bytes)).await, Ok(Ok(()))) {
                break;
            }
        }
        drop(raw);
        for call in calls {
            match call.await.unwrap() {
                Ok(_) => answered += 1,
                // Closed from this side would mean that the driver did not come to its own end.
                Err(error) => {
                    assert!(!matches!(error, CallError::Unknown(Lost::Closed)), "seed {seed}: {error:?}");
                    failed += 1;
                }
            }
        }
        until(|| peer.open_connections() == 0).await;
    }
    assert!(answered > 20 && failed > 20, "{answered} answered, {failed} failed");
    assert_eq!(PANICS.load(SeqCst), 0);
}
