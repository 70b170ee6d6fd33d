//! The one task of a connection: reads, hands over, writes.
//!
//! Owns:     the order in which these are done.
//! Promises: what was handed in by others goes out in one write with everything else that is ready; reading never waits for writing.
//! Never:    looks at the time; takes a lock while it reads or writes.

use crate::Lost;
use crate::frame::{Frame, Head, Kind};
use crate::liveness::Signs;
use crate::outbox::{Batch, Outbox};
use crate::pipe::Pipe;
use futures::task::AtomicWaker;
use std::future::poll_fn;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use weald_types::Timestamp;

/// For a farewell to a peer that may not be listening.
const FAREWELL_WITHIN: Duration = Duration::from_millis(500);

/// What both ends of a connection share with their driver.
#[derive(Default)]
pub(crate) struct Line {
    pub driver: AtomicWaker,
    pub signs: Signs,
}

/// The outbox, who waits for room in it, and whether the driver knows that there is something in it. Part of each side's locked state.
pub(crate) struct Outgoing {
    pub outbox: Outbox,
    pub waiting_for_room: Vec<Waker>,
    told: bool,
}

/// The driver has to be woken, once the lock is released.
#[must_use]
pub(crate) struct Tell(bool);

impl Tell {
    pub const NO: Self = Self(false);
}

impl std::ops::BitOrAssign for Tell {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl Outgoing {
    pub fn new(max_frame: usize) -> Self {
        Self { outbox: Outbox::new(max_frame), waiting_for_room: Vec::new(), told: false }
    }
    /// To be called after something has changed that the driver has to see.
    pub fn tell(&mut self) -> Tell {
        Tell(!std::mem::replace(&mut self.told, true))
    }
    /// As [`Outgoing::tell`], for what cannot wait until the driver has written what it is at: the end.
    pub fn tell_now(&mut self) -> Tell {
        self.told = true;
        Tell(true)
    }
    /// The driver looks.
    pub fn seen(&mut self) {
        self.told = false;
    }
}

impl Line {
    pub fn wake(&self, tell: Tell) {
        if tell.0 {
            self.driver.wake();
        }
    }
}

pub(crate) enum Taken {
    Some,
    Nothing,
    /// Nothing is left to be written and the connection is to end.
    End(Lost),
}

pub(crate) enum Look {
    Read,
    /// Write first: too much waits to be written.
    WriteOnly,
    /// The connection ends now, whatever is in line.
    Cut(Lost),
}

/// One end of a connection.
pub(crate) trait Side {
    fn line(&self) -> &Line;
    /// Takes all of `frames`. An error ends the connection.
    fn handle(&self, frames: &mut Vec<Frame>) -> Result<(), Lost>;
    /// Moves what is to be written into `batch`, which is empty.
    fn take(&self, batch: &mut Batch) -> Taken;
    /// Asked before each reading.
    fn look(&self) -> Look;
}

/// Until the connection ends; says why it did.
pub(crate) async fn drive(side: &impl Side, pipe: &mut Pipe) -> Lost {
    let mut frames = Vec::new();
    // What arrived together with the greeting.
    if let Err(lost) = hand_over(side, pipe, &mut frames) {
        return lost;
    }
    let lost = poll_fn(|cx| poll(side, pipe, &mut frames, cx)).await;
    side.line().signs.written.store(pipe.written, Relaxed);
    lost
}

fn poll(side: &impl Side, pipe: &mut Pipe, frames: &mut Vec<Frame>, cx: &mut Context<'_>) -> Poll<Lost> {
    let signs = &side.line().signs;
    loop {
        side.line().driver.register(cx.waker());
        let mut progress = false;
        let may_read = match side.look() {
            Look::Read => true,
            Look::WriteOnly => false,
            Look::Cut(lost) => return Poll::Ready(lost),
        };
        signs.deaf.store(!may_read, Relaxed);
        if may_read {
            match pipe.poll_read(cx) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Lost::PeerGone("closed".into())),
                Poll::Ready(Ok(_)) => {
                    signs.heard.fetch_add(1, Relaxed);
                    if let Err(lost) = hand_over(side, pipe, frames) {
                        return Poll::Ready(lost);
                    }
                    progress = true;
                }
                Poll::Ready(Err(e)) => return Poll::Ready(gone(&e)),
                Poll::Pending => {}
            }
        }
        loop {
            if pipe.batch.is_empty() {
                match side.take(&mut pipe.batch) {
                    Taken::Some => {}
                    Taken::Nothing => {
                        match pipe.poll_flush(cx) {
                            Poll::Ready(Ok(())) => signs.writing.store(false, Relaxed),
                            Poll::Ready(Err(e)) => return Poll::Ready(gone(&e)),
                            Poll::Pending => {}
                        }
                        break;
                    }
                    // What the stream itself holds back goes out with its shutdown.
                    Taken::End(lost) => return Poll::Ready(lost),
                }
            }
            match pipe.poll_write(cx) {
                Poll::Ready(Ok(())) => {
                    signs.written.store(pipe.written, Relaxed);
                    progress = true;
                }
                Poll::Ready(Err(e)) => return Poll::Ready(gone(&e)),
                Poll::Pending => {
                    signs.writing.store(true, Relaxed);
                    break;
                }
            }
        }
        if !progress {
            return Poll::Pending;
        }
    }
}

fn hand_over(side: &impl Side, pipe: &mut Pipe, frames: &mut Vec<Frame>) -> Result<(), Lost> {
    loop {
        match pipe.next_frame() {
            Ok(Some(frame)) => frames.push(frame),
            Ok(None) => break,
            Err(e) => return Err(Lost::Broken(e.to_string())),
        }
    }
    if frames.is_empty() { Ok(()) } else { side.handle(frames) }
}

fn gone(error: &std::io::Error) -> Lost {
    Lost::PeerGone(error.to_string())
}

/// The last words, if they are of use to the peer, and the end of the stream.
pub(crate) async fn part(pipe: &mut Pipe, lost: &Lost, stamp: Timestamp) {
    let words = match lost {
        Lost::Broken(_) | Lost::Silent(_) => Some(lost.to_string()),
        Lost::PeerGone(_) | Lost::TimedOut(_) | Lost::Farewell(_) | Lost::Failed(_) | Lost::Closed => None,
    };
    let ending = async {
        // In the middle of a frame a farewell would be taken for a part of it.
        if let Some(words) = words.filter(|_| pipe.batch.is_empty()) {
            let _ = pipe.say(Head::new(Kind::Farewell, 0, stamp), words.as_bytes()).await;
        }
        pipe.shutdown().await;
    };
    // A peer that takes nothing any more is left behind.
    let _ = tokio::time::timeout(FAREWELL_WITHIN, ending).await;
}
