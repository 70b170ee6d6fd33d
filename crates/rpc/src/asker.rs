//! The end of a connection that asks.
//!
//! Owns:     the requests under way on one connection. Locked for short touches; the driver task does the reading and writing.
//! Promises: every request ends exactly once: with its answer, as not run, or as unknown. A [`Call`] that is dropped is cancelled at the other end.
//!           When the connection is lost, requests of which not every byte had been handed to the stream are not run; of the others nobody knows.
//! Never:    connects: that is the pool's.

use crate::drive::{Line, Look, Outgoing, Side, Taken, Tell, drive, part};
use crate::error::{CallError, ConnectError, Lost, NotRun, Refusal};
use crate::frame::{FAILED_LATE, Frame, Head, Kind};
use crate::hello::Hello;
use crate::liveness::{Verdict, Watch};
use crate::outbox::{Batch, Encoded};
use crate::pending::{Pending, Waiting};
use crate::pipe::Pipe;
use crate::stamps::Stamps;
use crate::{Limits, Piece};
use bytes::Bytes;
use parking_lot::Mutex;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::time::Instant;
use weald_types::Timestamp;

/// What is asked of a node.
#[derive(Clone, Debug)]
pub struct Ask {
    /// What it is about, in the numbers of whoever is on both ends.
    pub method: u16,
    pub body: Bytes,
    /// No answer within this time is [`Lost::TimedOut`]; the other end gives up by then, too.
    pub within: Option<Duration>,
}

/// A request that is to be put in line.
pub(crate) struct LineUp {
    pub method: u16,
    pub body: Bytes,
    pub deadline: Option<(Instant, Duration)>,
    pub wanted: Wanted,
}

pub(crate) struct Asker {
    line: Line,
    state: Mutex<State>,
    watch: Mutex<Watch>,
    stamps: Arc<dyn Stamps>,
    limits: Limits,
    /// What the other end takes.
    max_message: usize,
    max_in_flight: usize,
}

struct State {
    outgoing: Outgoing,
    pending: Pending,
    /// The connection has ended, or is to end.
    ended: Option<Lost>,
    completed: Vec<Encoded>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    Answer,
    Parts,
}

impl Asker {
    /// Greets the other end.
    pub async fn greet(pipe: &mut Pipe, address: &str, stamps: Arc<dyn Stamps>, limits: &Limits) -> Result<Self, ConnectError> {
        let failed = |e| crate::opening::connect_error(address, e);
        let not_trusted = |reason| ConnectError::NotTrusted { address: address.into(), reason };
        pipe.say(Head::new(Kind::Hello, 0, stamps.now()), &Hello::of(limits).encode()).await.map_err(failed)?;
        let Some(frame) = pipe.hear().await.map_err(failed)? else {
            return Err(ConnectError::Closed { address: address.into(), reason: "before it greeted".into() });
        };
        match frame.head.kind {
            Kind::Hello => {}
            Kind::Farewell => {
                return Err(ConnectError::Unwelcome { address: address.into(), reason: String::from_utf8_lossy(&frame.body).into_owned() });
            }
            other => return Err(not_trusted(format!("it greets with {other:?}"))),
        }
        stamps.observe(frame.head.stamp).map_err(not_trusted)?;
        let theirs = Hello::decode(&frame.body).map_err(not_trusted)?;
        let max_frame = limits.max_frame.min(theirs.max_frame as usize).max(1);
        Ok(Self {
            line: Line::default(),
            state: Mutex::new(State { outgoing: Outgoing::new(max_frame), pending: Pending::default(), ended: None, completed: Vec::new() }),
            watch: Mutex::new(Watch::new(Instant::now())),
            stamps,
            max_message: limits.max_message.min(usize::try_from(theirs.max_message).unwrap_or(usize::MAX)),
            max_in_flight: limits.max_in_flight.min(theirs.max_in_flight as usize),
            limits: limits.clone(),
        })
    }

    /// The driver task: until the connection ends.
    pub async fn run(&self, mut pipe: Pipe) -> Lost {
        // Also if this task is ended from outside: nobody is left waiting.
        let _end = EndAll(self);
        let lost = drive(self, &mut pipe).await;
        self.end(lost.clone(), pipe.written);
        part(&mut pipe, &lost, self.stamps.now()).await;
        lost
    }

    pub fn is_ended(&self) -> bool {
        self.state.lock().ended.is_some()
    }

    /// Ends the connection; what is under way ends as `lost`.
    pub fn close(&self, lost: Lost) {
        let tell = {
            let mut state = self.state.lock();
            state.ended.get_or_insert(lost);
            state.outgoing.tell_now()
        };
        self.line.wake(tell);
    }

    /// Puts the request in line, taking it out of `request`; after an error it is still there. Waits while too much else is in line.
    pub async fn submit(self: &Arc<Self>, request: &mut Option<LineUp>) -> Result<Call, NotRun> {
        let id = poll_fn(|cx| self.poll_submit(request, cx)).await?;
        Ok(Call { asker: self.clone(), id, open: true })
    }

    fn poll_submit(&self, request: &mut Option<LineUp>, cx: &mut Context<'_>) -> Poll<Result<u64, NotRun>> {
        let stamp = self.stamps.now();
        let (id, tell) = {
            let mut state = self.state.lock();
            let bytes = request.as_ref().map_or(0, |r| r.body.len());
            if let Err(refused) = state.can_take(bytes, self) {
                return Poll::Ready(Err(refused));
            }
            if state.outgoing.outbox.queued() >= self.limits.max_queued {
                state.outgoing.waiting_for_room.push(cx.waker().clone());
                return Poll::Pending;
            }
            let LineUp { method, body, deadline, wanted } = request.take().expect("a request is put in line once");
            let (kind, window) = match wanted {
                Wanted::Answer => (Kind::Request, None),
                Wanted::Parts => (Kind::StreamRequest, Some(self.limits.window)),
            };
            let id = state.pending.insert(Waiting::new(deadline, window));
            // Zero means none, so what is left of the shortest deadline is one.
            let left = |at: Instant| at.saturating_duration_since(Instant::now()).as_millis();
            let extra = deadline.map_or(0, |(at, _)| u32::try_from(left(at)).unwrap_or(u32::MAX).max(1));
            let sent_at = state.outgoing.outbox.push(Head { code: method, extra, ..Head::new(kind, id, stamp) }, body);
            if let Some(call) = state.pending.get(id) {
                call.sent_at = sent_at;
            }
            (id, state.outgoing.tell())
        };
        self.line.wake(tell);
        Poll::Ready(Ok(id))
    }

    /// A message that is never answered. Refused when too much is in line: who sends it has a newer one soon.
    pub fn send(&self, method: u16, body: Bytes) -> Result<(), NotRun> {
        let stamp = self.stamps.now();
        let tell = {
            let mut state = self.state.lock();
            state.can_take(body.len(), self)?;
            if state.outgoing.outbox.queued() >= self.limits.max_queued {
                return Err(NotRun::Busy { limit: self.max_in_flight });
            }
            // It takes an id, so that its frames are told from those of others, and gives it back at once.
            let id = state.pending.insert(Waiting::new(None, None));
            state.pending.remove(id);
            state.outgoing.outbox.push(Head { code: method, ..Head::new(Kind::OneWay, id, stamp) }, body);
            state.outgoing.tell()
        };
        self.line.wake(tell);
        Ok(())
    }

    fn poll_outcome(&self, id: u64, cx: &mut Context<'_>) -> Poll<Result<Bytes, CallError>> {
        let mut state = self.state.lock();
        let call = state.pending.get(id).expect("a call that has not been dropped has its place");
        match call.outcome.take() {
            Some(outcome) => {
                state.pending.remove(id);
                Poll::Ready(outcome)
            }
            None => {
                remember(&mut call.waker, cx);
                Poll::Pending
            }
        }
    }

    fn poll_piece(&self, id: u64, cx: &mut Context<'_>) -> Poll<Result<Piece, CallError>> {
        let stamp = self.stamps.now();
        let mut tell = Tell::NO;
        let poll = {
            let mut state = self.state.lock();
            let State { pending, outgoing, .. } = &mut *state;
            let call = pending.get(id).expect("a call that has not been dropped has its place");
            let part = call.parts.as_mut().and_then(|parts| {
                let part = parts.ready.pop_front()?;
                parts.owed += part.len();
                // In halves of the window: a credit for each part would be a frame for each part.
                if call.outcome.is_none() && parts.owed >= self.limits.window / 2 {
                    let extra = u32::try_from(parts.owed).unwrap_or(u32::MAX);
                    parts.owed -= extra as usize;
                    parts.credit += i64::from(extra);
                    outgoing.outbox.push(Head { extra, ..Head::new(Kind::Credit, id, stamp) }, Bytes::new());
                    tell |= outgoing.tell();
                }
                Some(part)
            });
            match part {
                Some(part) => Poll::Ready(Ok(Piece::Part(part))),
                None => match call.outcome.take() {
                    Some(outcome) => {
                        pending.remove(id);
                        Poll::Ready(outcome.map(Piece::End))
                    }
                    None => {
                        remember(&mut call.waker, cx);
                        Poll::Pending
                    }
                },
            }
        };
        self.line.wake(tell);
        poll
    }

    /// Nobody waits for the answer any more.
    fn forget(&self, id: u64) {
        let stamp = self.stamps.now();
        let tell = {
            let mut state = self.state.lock();
            match state.pending.remove(id) {
                // Still open: the other end has to know.
                Some(call) if call.outcome.is_none() => state.cancel(id, stamp),
                Some(_) | None => Tell::NO,
            }
        };
        self.line.wake(tell);
    }

    /// Deadlines and signs of life, looked at every [`Limits::tick`].
    pub fn tick(&self, now: Instant) {
        let verdict = self.watch.lock().look(&self.line.signs, now, &self.limits);
        let stamp = self.stamps.now();
        let (wakers, tell) = {
            let mut state = self.state.lock();
            if state.ended.is_some() {
                return;
            }
            let (mut wakers, mut tell) = (Vec::new(), Tell::NO);
            for (id, within) in state.pending.overdue(now) {
                let Some(call) = state.pending.get(id) else { continue };
                // What has not left entirely cannot have been run, and will not be.
                let lost = Lost::TimedOut(within);
                let outcome = if call.sent_at.is_none() { NotRun::NotSent(lost).into() } else { lost.into() };
                call.outcome = Some(Err(outcome));
                wakers.extend(call.waker.take());
                tell |= state.cancel(id, stamp);
            }
            match verdict {
                Verdict::Fine => {}
                Verdict::Ask => {
                    state.outgoing.outbox.push(Head::new(Kind::Ping, 0, stamp), Bytes::new());
                    tell |= state.outgoing.tell();
                }
                Verdict::Silent(after) | Verdict::Stalled(after) => {
                    state.ended = Some(Lost::Silent(after));
                    tell |= state.outgoing.tell_now();
                }
            }
            (wakers, tell)
        };
        self.line.wake(tell);
        wakers.into_iter().for_each(Waker::wake);
    }

    fn end(&self, lost: Lost, written: u64) {
        let wakers = {
            let mut state = self.state.lock();
            let lost = state.ended.get_or_insert(lost).clone();
            let mut wakers = state.pending.end_all(|call| match call.sent_at {
                Some(end) if end <= written => CallError::Unknown(lost.clone()),
                Some(_) | None => NotRun::NotSent(lost.clone()).into(),
            });
            wakers.append(&mut state.outgoing.waiting_for_room);
            wakers
        };
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl State {
    fn can_take(&self, bytes: usize, asker: &Asker) -> Result<(), NotRun> {
        if let Some(lost) = &self.ended {
            return Err(NotRun::NotSent(lost.clone()));
        }
        if bytes > asker.max_message {
            return Err(NotRun::TooLarge { bytes, limit: asker.max_message });
        }
        if self.pending.len() >= asker.max_in_flight {
            return Err(NotRun::Busy { limit: asker.max_in_flight });
        }
        Ok(())
    }

    fn cancel(&mut self, id: u64, stamp: Timestamp) -> Tell {
        self.outgoing.outbox.forget(id);
        self.outgoing.outbox.push(Head::new(Kind::Cancel, id, stamp), Bytes::new());
        self.outgoing.tell()
    }

    fn receive(&mut self, frame: Frame, max_message: usize, wakers: &mut Vec<Waker>) -> Result<(), Lost> {
        let Head { kind, id, code, .. } = frame.head;
        let words = |body: &Bytes| String::from_utf8_lossy(body).into_owned();
        match kind {
            // Somebody who is no longer waiting is not found; what was sent to them goes by.
            Kind::Answer => {
                let Some(call) = self.pending.get(id).filter(|c| c.outcome.is_none()) else { return Ok(()) };
                if let Some(body) = call.arriving.add(frame, max_message).map_err(Lost::Broken)? {
                    call.outcome = Some(Ok(body));
                    wakers.extend(call.waker.take());
                }
            }
            Kind::Part => {
                let Some(call) = self.pending.get(id).filter(|c| c.outcome.is_none()) else { return Ok(()) };
                let Some(parts) = &mut call.parts else { return Err(Lost::Broken("parts of an answer that has none".into())) };
                if let Some(body) = parts.arriving.add(frame, max_message).map_err(Lost::Broken)? {
                    if parts.credit <= 0 {
                        return Err(Lost::Broken("more parts than there was credit for".into()));
                    }
                    parts.credit -= body.len() as i64;
                    parts.ready.push_back(body);
                    wakers.extend(call.waker.take());
                }
            }
            Kind::Refused => {
                let code = Refusal::of_code(code).ok_or_else(|| Lost::Broken(format!("an unknown reason to refuse: {code}")))?;
                self.finish(id, NotRun::Refused { code, reason: words(&frame.body) }.into(), wakers);
            }
            Kind::Failed => {
                let within = self.pending.get(id).and_then(|c| c.deadline).map(|(_, within)| within);
                let lost = match within {
                    Some(within) if code == FAILED_LATE => Lost::TimedOut(within),
                    Some(_) | None => Lost::Failed(words(&frame.body)),
                };
                self.finish(id, lost.into(), wakers);
            }
            Kind::Pong => {}
            Kind::Farewell => return Err(Lost::Farewell(words(&frame.body))),
            Kind::Hello | Kind::Request | Kind::StreamRequest | Kind::OneWay | Kind::Cancel | Kind::Credit | Kind::Ping => {
                return Err(Lost::Broken(format!("a frame of kind {kind:?} from the answering side")));
            }
        }
        Ok(())
    }

    fn finish(&mut self, id: u64, error: CallError, wakers: &mut Vec<Waker>) {
        if let Some(call) = self.pending.get(id).filter(|c| c.outcome.is_none()) {
            call.outcome = Some(Err(error));
            wakers.extend(call.waker.take());
        }
    }
}

impl Side for Asker {
    fn line(&self) -> &Line {
        &self.line
    }

    fn handle(&self, frames: &mut Vec<Frame>) -> Result<(), Lost> {
        if let Some(stamp) = frames.iter().map(|f| f.head.stamp).max() {
            self.stamps.observe(stamp).map_err(Lost::Broken)?;
        }
        let mut wakers = Vec::new();
        let result = {
            let mut state = self.state.lock();
            frames.drain(..).try_for_each(|frame| state.receive(frame, self.limits.max_message, &mut wakers))
        };
        wakers.into_iter().for_each(Waker::wake);
        result
    }

    fn take(&self, batch: &mut Batch) -> Taken {
        let (taken, wakers) = {
            let mut state = self.state.lock();
            let State { outgoing, pending, completed, .. } = &mut *state;
            outgoing.seen();
            let taken = outgoing.outbox.take(batch, completed);
            for Encoded { id, end } in completed.drain(..) {
                if let Some(call) = pending.get(id) {
                    call.sent_at = Some(end);
                }
            }
            let room = outgoing.outbox.queued() < self.limits.max_queued;
            let wakers = if room { std::mem::take(&mut outgoing.waiting_for_room) } else { Vec::new() };
            (taken, wakers)
        };
        wakers.into_iter().for_each(Waker::wake);
        if taken { Taken::Some } else { Taken::Nothing }
    }

    fn look(&self) -> Look {
        match &self.state.lock().ended {
            Some(lost) => Look::Cut(lost.clone()),
            // What comes is bounded by what was asked for; not reading would only hold up the answers that others wait for.
            None => Look::Read,
        }
    }
}

struct EndAll<'a>(&'a Asker);

impl Drop for EndAll<'_> {
    fn drop(&mut self) {
        // How much was written is not known here: what may have been sent counts as sent.
        self.0.end(Lost::Closed, u64::MAX);
    }
}

/// A request under way. Dropping it cancels it.
pub(crate) struct Call {
    asker: Arc<Asker>,
    id: u64,
    open: bool,
}

impl Call {
    pub async fn answer(mut self) -> Result<Bytes, CallError> {
        let outcome = poll_fn(|cx| self.asker.poll_outcome(self.id, cx)).await;
        self.open = false;
        outcome
    }
    /// The next part, or the answer that ends them. Safe to cancel.
    pub async fn piece(&mut self) -> Result<Piece, CallError> {
        if !self.open {
            return Err(Lost::Closed.into());
        }
        let piece = poll_fn(|cx| self.asker.poll_piece(self.id, cx)).await;
        self.open = matches!(piece, Ok(Piece::Part(_)));
        piece
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if self.open {
            self.asker.forget(self.id);
        }
    }
}

fn remember(place: &mut Option<Waker>, cx: &Context<'_>) {
    match place {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *place = Some(cx.waker().clone()),
    }
}
