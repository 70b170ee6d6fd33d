//! Whether the peer is still there.
//!
//! Owns:     nothing.
//! Promises: a pure decision from counters and the time; any byte that arrives counts as life.
//! Never:    counts a pause of our own (not reading, not running at all) as the peer's silence.

use crate::Limits;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::time::Instant;

/// Written by the connection's driver, without asking the time.
#[derive(Debug, Default)]
pub(crate) struct Signs {
    /// How often something was read.
    pub heard: AtomicU64,
    pub written: AtomicU64,
    /// There is something to write.
    pub writing: AtomicBool,
    /// We do not read at the moment.
    pub deaf: AtomicBool,
}

/// Looks at the signs now and then.
#[derive(Debug)]
pub(crate) struct Watch {
    heard: u64,
    quiet_since: Instant,
    written: u64,
    stalled_since: Option<Instant>,
    asked: u32,
    looked: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Fine,
    /// Quiet for a while: ask whether it is there.
    Ask,
    Silent(Duration),
    Stalled(Duration),
}

impl Watch {
    pub fn new(now: Instant) -> Self {
        Self { heard: 0, quiet_since: now, written: 0, stalled_since: None, asked: 0, looked: now }
    }

    pub fn look(&mut self, signs: &Signs, now: Instant, limits: &Limits) -> Verdict {
        // We were not running: suspended, or starved of processor time. What came meanwhile has not been read either.
        let pause = now.duration_since(self.looked);
        if pause > limits.tick * 4 + Duration::from_millis(20) {
            self.quiet_since += pause;
            self.stalled_since = self.stalled_since.map(|since| since + pause);
        }
        self.looked = now;
        let (heard, written) = (signs.heard.load(Relaxed), signs.written.load(Relaxed));
        if heard != self.heard || signs.deaf.load(Relaxed) {
            (self.heard, self.quiet_since, self.asked) = (heard, now, 0);
        }
        if !signs.writing.load(Relaxed) {
            self.stalled_since = None;
        } else if written != self.written || self.stalled_since.is_none() {
            self.stalled_since = Some(now);
        }
        self.written = written;
        if self.stalled_since.is_some_and(|since| now.duration_since(since) >= limits.stalled_write) {
            return Verdict::Stalled(limits.stalled_write);
        }
        let quiet = now.duration_since(self.quiet_since);
        if quiet >= limits.silence {
            return Verdict::Silent(limits.silence);
        }
        // After a third, and after two thirds: one lost wake-up is not death.
        if quiet >= limits.silence / 3 * (self.asked + 1) {
            self.asked += 1;
            return Verdict::Ask;
        }
        Verdict::Fine
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        let ms = Duration::from_millis;
        Limits { silence: ms(300), stalled_write: ms(500), tick: ms(10), ..Limits::default() }
    }

    /// What is said at each of `times`, in milliseconds, if somebody looks every ten.
    fn looks(watch: &mut Watch, signs: &Signs, start: Instant, from: u64, to: u64) -> Vec<(u64, Verdict)> {
        let at = |ms| start + Duration::from_millis(ms);
        (from..=to).step_by(10).map(|ms| (ms, watch.look(signs, at(ms), &limits()))).filter(|(_, v)| *v != Verdict::Fine).collect()
    }

    #[tokio::test]
    async fn silence_is_asked_about_twice_and_then_ends_it() {
        let (start, signs) = (Instant::now(), Signs::default());
        let mut watch = Watch::new(start);
        assert_eq!(looks(&mut watch, &signs, start, 0, 250), [(100, Verdict::Ask), (200, Verdict::Ask)]);
        signs.heard.store(1, Relaxed);
        let silent = Verdict::Silent(Duration::from_millis(300));
        assert_eq!(looks(&mut watch, &signs, start, 260, 560), [(360, Verdict::Ask), (460, Verdict::Ask), (560, silent)]);
        // While we do not read, nothing can be heard.
        signs.deaf.store(true, Relaxed);
        assert_eq!(looks(&mut watch, &signs, start, 570, 2000), []);
    }

    #[tokio::test]
    async fn pause_of_our_own_is_not_the_peers_silence() {
        let (start, signs) = (Instant::now(), Signs::default());
        let mut watch = Watch::new(start);
        assert_eq!(looks(&mut watch, &signs, start, 0, 50), []);
        assert_eq!(looks(&mut watch, &signs, start, 9_000, 9_100), [(9_050, Verdict::Ask)]);
    }

    #[tokio::test]
    async fn peer_that_does_not_read_is_given_up_although_it_speaks() {
        let limits = limits();
        let (start, signs) = (Instant::now(), Signs::default());
        let mut watch = Watch::new(start);
        signs.writing.store(true, Relaxed);
        for ms in (0..2000u64).step_by(50) {
            signs.heard.store(ms, Relaxed);
            // Until 1000 it takes a little now and then.
            if ms <= 1000 {
                signs.written.store(ms / 200, Relaxed);
            }
            let verdict = watch.look(&signs, start + Duration::from_millis(ms), &limits);
            if ms >= 1500 {
                assert_eq!(verdict, Verdict::Stalled(limits.stalled_write), "{ms}");
                return;
            }
            assert_eq!(verdict, Verdict::Fine, "{ms}");
        }
        panic!("never given up");
    }
}
