//! The end of a connection that answers.
//!
//! Owns:     the requests under way on one connection and their tasks. Locked for short touches; the driver task does the reading and writing.
//! Promises: every request is run at most once; each gets one answer, unless the asker gave up. When the connection ends, [`Answerer::run`] returns
//!           after the last of its tasks has. Frames that make no sense end this connection and touch no other.
//! Never:    looks into a body; calls the service with the lock held.

use crate::Limits;
use crate::arrivals::{Arrivals, Arrived, Whole};
use crate::drive::{Line, Look, Outgoing, Side, Taken, Tell, drive, part};
use crate::error::{Lost, Refusal};
use crate::frame::{FAILED_LATE, Frame, Head, Kind};
use crate::hello::Hello;
use crate::liveness::{Verdict, Watch};
use crate::outbox::Batch;
use crate::pending::earlier;
use crate::pipe::Pipe;
use crate::service::{Answer, PartError, Parts, Refused, Reply, Request, Service};
use crate::stamps::Stamps;
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use weald_types::{NodeIdentity, Timestamp};

pub(crate) struct Answerer {
    line: Line,
    state: Mutex<State>,
    watch: Mutex<Watch>,
    idle: Notify,
    from: NodeIdentity,
    service: Service,
    stamps: Arc<dyn Stamps>,
    limits: Limits,
    /// What the asker takes.
    max_message: usize,
    window: usize,
}

struct State {
    outgoing: Outgoing,
    arrivals: Arrivals,
    running: BTreeMap<u64, Running>,
    /// No deadline of a running request is earlier.
    earliest: Option<Instant>,
    /// Tasks that have not come to their end; those of cancelled requests are no longer in `running`.
    tasks: usize,
    stage: Stage,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    Open,
    /// New requests are refused; those under way go on.
    Stopping,
    /// Ends once everything is written.
    Ending,
    /// Ends now.
    Cut(Lost),
}

struct Running {
    task: Option<AbortHandle>,
    deadline: Option<Instant>,
    wants_answer: bool,
    /// Bytes of parts that may be sent.
    credit: i64,
    part: Option<Waker>,
}

/// What is to be written once a batch of frames has been gone through.
struct Response {
    id: u64,
    wants_answer: bool,
    answer: Answer,
}

impl Answerer {
    /// Takes the greeting of the other end and greets it.
    pub async fn greet(pipe: &mut Pipe, from: NodeIdentity, service: Service, stamps: Arc<dyn Stamps>, limits: &Limits) -> Result<Self, Lost> {
        let gone = |e: std::io::Error| Lost::PeerGone(e.to_string());
        let Some(frame) = pipe.hear().await.map_err(gone)? else { return Err(Lost::PeerGone("closed before it greeted".into())) };
        if frame.head.kind != Kind::Hello {
            return Err(Lost::Broken(format!("it greets with {:?}", frame.head.kind)));
        }
        stamps.observe(frame.head.stamp).map_err(Lost::Broken)?;
        let theirs = Hello::decode(&frame.body).map_err(Lost::Broken)?;
        pipe.say(Head::new(Kind::Hello, 0, stamps.now()), &Hello::of(limits).encode()).await.map_err(gone)?;
        let max_frame = limits.max_frame.min(theirs.max_frame as usize).max(1);
        Ok(Self {
            line: Line::default(),
            state: Mutex::new(State {
                outgoing: Outgoing::new(max_frame),
                arrivals: Arrivals::default(),
                running: BTreeMap::new(),
                earliest: None,
                tasks: 0,
                stage: Stage::Open,
            }),
            watch: Mutex::new(Watch::new(Instant::now())),
            idle: Notify::new(),
            from,
            service,
            stamps,
            limits: limits.clone(),
            max_message: limits.max_message.min(usize::try_from(theirs.max_message).unwrap_or(usize::MAX)),
            window: theirs.window as usize,
        })
    }

    /// The driver task: until the connection has ended and nothing of it is left.
    pub async fn run(self: &Arc<Self>, mut pipe: Pipe) -> Lost {
        // Also if this task is ended from outside: no request goes on for nobody.
        let _end = EndAll(self);
        let side = Driven(self.clone());
        let lost = drive(&side, &mut pipe).await;
        self.abandon(&lost);
        part(&mut pipe, &lost, self.stamps.now()).await;
        drop(pipe);
        loop {
            let idle = self.idle.notified();
            if self.state.lock().tasks == 0 {
                return lost;
            }
            idle.await;
        }
    }

    /// New requests are refused from now on.
    pub fn stop_taking(&self) {
        let mut state = self.state.lock();
        if state.stage == Stage::Open {
            state.stage = Stage::Stopping;
        }
    }

    /// No request is under way.
    pub fn is_idle(&self) -> bool {
        let state = self.state.lock();
        state.running.is_empty() && state.arrivals.is_empty()
    }

    /// Ends the connection once what is in line is written.
    pub fn close(&self, words: &str) {
        let stamp = self.stamps.now();
        let tell = {
            let mut state = self.state.lock();
            match state.stage {
                Stage::Open | Stage::Stopping => state.stage = Stage::Ending,
                Stage::Ending | Stage::Cut(_) => return,
            }
            state.outgoing.outbox.push(Head::new(Kind::Farewell, 0, stamp), words.as_bytes().to_vec().into());
            state.outgoing.tell()
        };
        self.line.wake(tell);
    }

    /// Ends the connection now, whatever is under way.
    pub fn cut_off(&self, reason: &str) {
        let tell = {
            let mut state = self.state.lock();
            state.stage = Stage::Cut(Lost::Broken(reason.to_owned()));
            state.outgoing.tell_now()
        };
        self.line.wake(tell);
    }

    /// Deadlines and signs of life, looked at every [`Limits::tick`].
    pub fn tick(&self, now: Instant) {
        let verdict = self.watch.lock().look(&self.line.signs, now, &self.limits);
        let stamp = self.stamps.now();
        let (mut wakers, mut ended) = (Vec::new(), Vec::new());
        let tell = {
            let mut state = self.state.lock();
            let mut tell = Tell::NO;
            for id in state.overdue(now) {
                let Some(running) = state.give_up(id, &mut wakers, &mut ended) else { continue };
                if running {
                    // Their clocks run at the same time, and either may be the first to say it.
                    let failed = Head { code: FAILED_LATE, ..Head::new(Kind::Failed, id, stamp) };
                    state.outgoing.outbox.push(failed, Bytes::from_static(b"its deadline passed while it ran"));
                    tell |= state.outgoing.tell();
                }
            }
            match verdict {
                // The asker asks.
                Verdict::Fine | Verdict::Ask => {}
                Verdict::Silent(after) | Verdict::Stalled(after) => {
                    state.stage = Stage::Cut(Lost::Silent(after));
                    tell |= state.outgoing.tell_now();
                }
            }
            tell
        };
        self.line.wake(tell);
        ended.iter().for_each(AbortHandle::abort);
        wakers.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn poll_part(&self, id: u64, part: &mut Option<Bytes>, cx: &mut Context<'_>) -> Poll<Result<(), PartError>> {
        let stamp = self.stamps.now();
        let tell = {
            let mut state = self.state.lock();
            let State { running, outgoing, .. } = &mut *state;
            let Some(running) = running.get_mut(&id) else { return Poll::Ready(Err(PartError::Unwanted)) };
            if let Some(bytes) = part.as_ref().map(Bytes::len).filter(|n| *n > self.max_message) {
                return Poll::Ready(Err(PartError::TooLarge { bytes, limit: self.max_message }));
            }
            if running.credit <= 0 {
                running.part = Some(cx.waker().clone());
                return Poll::Pending;
            }
            if outgoing.outbox.queued() >= self.limits.max_queued {
                outgoing.waiting_for_room.push(cx.waker().clone());
                return Poll::Pending;
            }
            let Some(part) = part.take() else { return Poll::Ready(Ok(())) };
            running.credit -= part.len() as i64;
            outgoing.outbox.push(Head::new(Kind::Part, id, stamp), part);
            outgoing.tell()
        };
        self.line.wake(tell);
        Poll::Ready(Ok(()))
    }

    /// Runs what has arrived whole; what is answered at once comes back.
    fn start(self: &Arc<Self>, whole: Whole) -> Option<Response> {
        let Whole { head, deadline, body } = whole;
        let (id, wants_answer) = (head.id, head.kind != Kind::OneWay);
        let parts = (head.kind == Kind::StreamRequest).then(|| Parts { answerer: self.clone(), id });
        let running = Running { task: None, deadline, wants_answer, credit: self.window as i64, part: None };
        // One that sends parts is listed before it can send any; the others only if they are not answered at once.
        let mut unlisted = Some(running);
        if parts.is_some() {
            self.state.lock().list(id, unlisted.take());
        }
        let request = Request { from: self.from, method: head.code, stamp: head.stamp, deadline, body, parts };
        // A panic of one request is not the end of the others.
        let first = catch_unwind(AssertUnwindSafe(|| match (self.service)(request) {
            Reply::Now(answer) => Ok(answer),
            Reply::Later(mut future) => match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(answer) => Ok(answer),
                Poll::Pending => Err(future),
            },
        }));
        let future = match first {
            Ok(Ok(answer)) => {
                return Some(Response { id, wants_answer, answer });
            }
            Ok(Err(future)) => future,
            Err(_) => {
                self.fail(id, wants_answer, "it panicked");
                return None;
            }
        };
        {
            let mut state = self.state.lock();
            state.tasks += 1;
            state.list(id, unlisted);
        }
        let end = TaskEnd { answerer: self.clone(), id, answered: false };
        let task = tokio::spawn(async move {
            let mut end = end;
            let answer = future.await;
            end.answered = true;
            end.answerer.respond(end.id, answer);
        });
        // If it has ended already, it is no longer listed.
        if let Some(running) = self.state.lock().running.get_mut(&id) {
            running.task = Some(task.abort_handle());
        }
        None
    }

    /// The answer of a task.
    fn respond(&self, id: u64, answer: Answer) {
        let stamp = self.stamps.now();
        let tell = {
            let mut state = self.state.lock();
            match state.running.remove(&id) {
                Some(running) => state.answer(Response { id, wants_answer: running.wants_answer, answer }, stamp, self.max_message),
                // Cancelled meanwhile.
                None => Tell::NO,
            }
        };
        self.line.wake(tell);
    }

    fn fail(&self, id: u64, wants_answer: bool, words: &'static str) {
        tracing::error!(from = %self.from, words, "a request of another node came to no answer");
        let stamp = self.stamps.now();
        let tell = {
            let mut state = self.state.lock();
            state.running.remove(&id);
            if wants_answer {
                state.outgoing.outbox.push(Head::new(Kind::Failed, id, stamp), Bytes::from_static(words.as_bytes()));
            }
            state.outgoing.tell()
        };
        self.line.wake(tell);
    }

    /// The connection has ended: everything of it ends, too.
    fn abandon(&self, lost: &Lost) {
        let (mut wakers, mut ended) = (Vec::new(), Vec::new());
        {
            let mut state = self.state.lock();
            state.stage = Stage::Cut(lost.clone());
            for (_, running) in std::mem::take(&mut state.running) {
                wakers.extend(running.part);
                ended.extend(running.task);
            }
            state.arrivals.clear();
            wakers.append(&mut state.outgoing.waiting_for_room);
        }
        ended.iter().for_each(AbortHandle::abort);
        wakers.into_iter().for_each(Waker::wake);
    }
}

struct EndAll<'a>(&'a Answerer);

impl Drop for EndAll<'_> {
    fn drop(&mut self) {
        self.0.abandon(&Lost::Closed);
    }
}

/// Held by the task of a request: whatever way it ends, that is noticed.
struct TaskEnd {
    answerer: Arc<Answerer>,
    id: u64,
    answered: bool,
}

impl Drop for TaskEnd {
    fn drop(&mut self) {
        if !self.answered {
            let listed = self.answerer.state.lock().running.get(&self.id).map(|r| r.wants_answer);
            if let Some(wants_answer) = listed {
                self.answerer.fail(self.id, wants_answer, "it panicked");
            }
        }
        self.answerer.state.lock().tasks -= 1;
        self.answerer.idle.notify_waiters();
    }
}

impl State {
    /// Puts the answer in line.
    fn answer(&mut self, response: Response, stamp: Timestamp, max_message: usize) -> Tell {
        let Response { id, wants_answer, answer } = response;
        if !wants_answer {
            return Tell::NO;
        }
        let (head, body) = match answer {
            Ok(body) if body.len() > max_message => {
                let words = format!("its answer has {} bytes; the asker takes {max_message}", body.len());
                (Head::new(Kind::Failed, id, stamp), words.into())
            }
            Ok(body) => (Head::new(Kind::Answer, id, stamp), body),
            Err(Refused(reason)) => (Head { code: Refusal::Service.code(), ..Head::new(Kind::Refused, id, stamp) }, clipped(reason)),
        };
        self.outgoing.outbox.push(head, body);
        self.outgoing.tell()
    }

    fn list(&mut self, id: u64, running: Option<Running>) {
        let Some(running) = running else { return };
        self.earliest = earlier(self.earliest, running.deadline);
        self.running.insert(id, running);
    }

    /// Requests whose deadline is not after `now`. Looks through all of them only when one may be among them.
    fn overdue(&mut self, now: Instant) -> Vec<u64> {
        if self.earliest.is_none_or(|at| now < at) {
            return Vec::new();
        }
        let (due, later): (Vec<_>, Vec<_>) = self.running.iter().filter_map(|(id, r)| Some((*id, r.deadline?))).partition(|(_, at)| *at <= now);
        self.earliest = later.into_iter().map(|(_, at)| at).min();
        due.into_iter().map(|(id, _)| id).collect()
    }

    /// Takes a request off the list. `Some(true)` if its asker waits for an answer.
    fn give_up(&mut self, id: u64, wakers: &mut Vec<Waker>, ended: &mut Vec<AbortHandle>) -> Option<bool> {
        // Also of an answer that is on its way.
        self.outgoing.outbox.forget(id);
        let running = self.running.remove(&id)?;
        wakers.extend(running.part);
        ended.extend(running.task);
        Some(running.wants_answer)
    }

    /// A frame of a request. `Some` is a request to be run.
    fn arrive(&mut self, frame: Frame, limits: &Limits, stamp: Timestamp) -> Result<Option<Whole>, Lost> {
        let head = frame.head;
        if self.running.contains_key(&head.id) {
            return Err(Lost::Broken("two requests with one id".into()));
        }
        let refuse = match self.stage {
            Stage::Stopping | Stage::Ending | Stage::Cut(_) => Some((Refusal::Stopping, "this node is stopping")),
            Stage::Open if self.running.len() + self.arrivals.len() >= limits.max_in_flight => {
                Some((Refusal::Busy, "too many requests are under way on this connection"))
            }
            Stage::Open => None,
        };
        match self.arrivals.add(frame, refuse, limits)? {
            Arrived::Whole(whole) => Ok(Some(whole)),
            Arrived::NotYet => Ok(None),
            Arrived::Refused(refusal, words) => {
                if head.kind != Kind::OneWay {
                    let refused = Head { code: refusal.code(), ..Head::new(Kind::Refused, head.id, stamp) };
                    self.outgoing.outbox.push(refused, Bytes::from_static(words.as_bytes()));
                }
                Ok(None)
            }
        }
    }
}

/// What the driver drives: it needs to hand out references that outlive it.
struct Driven(Arc<Answerer>);

impl Side for Driven {
    fn line(&self) -> &Line {
        &self.0.line
    }

    fn handle(&self, frames: &mut Vec<Frame>) -> Result<(), Lost> {
        let answerer = &self.0;
        if let Some(stamp) = frames.iter().map(|f| f.head.stamp).max() {
            answerer.stamps.observe(stamp).map_err(Lost::Broken)?;
        }
        let stamp = answerer.stamps.now();
        let (mut ready, mut wakers, mut ended): (Vec<Whole>, Vec<Waker>, Vec<AbortHandle>) = Default::default();
        let result = {
            let mut state = answerer.state.lock();
            frames.drain(..).try_for_each(|frame| {
                let Head { kind, id, extra, .. } = frame.head;
                match kind {
                    Kind::Request | Kind::StreamRequest | Kind::OneWay => ready.extend(state.arrive(frame, &answerer.limits, stamp)?),
                    Kind::Cancel => {
                        state.arrivals.forget(id);
                        // It may have come in the same read.
                        ready.retain(|r| r.head.id != id);
                        state.give_up(id, &mut wakers, &mut ended);
                    }
                    Kind::Credit => {
                        if let Some(running) = state.running.get_mut(&id) {
                            running.credit = running.credit.saturating_add(i64::from(extra));
                            wakers.extend(running.part.take());
                        }
                    }
                    Kind::Ping => {
                        state.outgoing.outbox.push(Head::new(Kind::Pong, 0, stamp), Bytes::new());
                    }
                    Kind::Farewell => return Err(Lost::Farewell(String::from_utf8_lossy(&frame.body).into_owned())),
                    Kind::Hello | Kind::Answer | Kind::Part | Kind::Refused | Kind::Failed | Kind::Pong => {
                        return Err(Lost::Broken(format!("a frame of kind {kind:?} from the asking side")));
                    }
                }
                Ok(())
            })
        };
        ended.iter().for_each(AbortHandle::abort);
        wakers.into_iter().for_each(Waker::wake);
        result?;
        if has_twins(&ready) {
            return Err(Lost::Broken("two requests with one id".into()));
        }
        let responses: Vec<Response> = ready.into_iter().filter_map(|r| answerer.start(r)).collect();
        if !responses.is_empty() {
            let stamp = answerer.stamps.now();
            let mut state = answerer.state.lock();
            for response in responses {
                state.running.remove(&response.id);
                // The driver writes as soon as it has read, so nobody has to tell it.
                let _ = state.answer(response, stamp, answerer.max_message);
                state.outgoing.seen();
            }
        }
        Ok(())
    }

    fn take(&self, batch: &mut Batch) -> Taken {
        let (taken, wakers) = {
            let mut state = self.0.state.lock();
            state.outgoing.seen();
            // Nothing that an answerer sends has to be known as sent.
            let taken = state.outgoing.outbox.take(batch, &mut Vec::new());
            if state.stage == Stage::Ending && !taken {
                return Taken::End(Lost::Closed);
            }
            let room = state.outgoing.outbox.queued() < self.0.limits.max_queued;
            (taken, if room { std::mem::take(&mut state.outgoing.waiting_for_room) } else { Vec::new() })
        };
        wakers.into_iter().for_each(Waker::wake);
        if taken { Taken::Some } else { Taken::Nothing }
    }

    fn look(&self) -> Look {
        let state = self.0.state.lock();
        match &state.stage {
            Stage::Cut(lost) => Look::Cut(lost.clone()),
            // Who does not take answers is not given the chance to ask for more.
            Stage::Open | Stage::Stopping | Stage::Ending if state.outgoing.outbox.queued() >= self.0.limits.max_queued => Look::WriteOnly,
            Stage::Open | Stage::Stopping | Stage::Ending => Look::Read,
        }
    }
}

/// Whether two requests of one read have the same id. Of those that are running already [`State::arrive`] knows.
fn has_twins(ready: &[Whole]) -> bool {
    let mut ids: Vec<u64> = ready.iter().map(|r| r.head.id).collect();
    ids.sort_unstable();
    ids.windows(2).any(|pair| pair[0] == pair[1])
}

/// Words have to fit in one frame of whatever size.
fn clipped(mut words: String) -> Bytes {
    let mut end = words.len().min(1000);
    while !words.is_char_boundary(end) {
        end -= 1;
    }
    words.truncate(end);
    words.into()
}
