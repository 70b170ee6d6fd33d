//! Requests that are arriving in several frames.
//!
//! Owns:     what of them is here.
//! Promises: a request comes out once, when its last frame is here; what arrives at a time is bounded in memory, and what is refused goes by
//!           without harm to the others.
//! Never:    answers: says what is to be refused, and why.

use crate::Limits;
use crate::assembly::Assembly;
use crate::error::{Lost, Refusal};
use crate::frame::{Frame, Head};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

#[derive(Default)]
pub(crate) struct Arrivals {
    requests: BTreeMap<u64, Arriving>,
    bytes: usize,
}

struct Arriving {
    head: Head,
    begun: Instant,
    /// `None`: refused; the rest of it goes by.
    assembly: Option<Assembly>,
}

/// A request that is here.
pub(crate) struct Whole {
    pub head: Head,
    pub deadline: Option<Instant>,
    pub body: Bytes,
}

pub(crate) enum Arrived {
    Whole(Whole),
    /// More has to come, or is to go by.
    NotYet,
    Refused(Refusal, &'static str),
}

impl Arrivals {
    pub fn len(&self) -> usize {
        self.requests.len()
    }
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }
    pub fn clear(&mut self) {
        *self = Self::default();
    }
    pub fn forget(&mut self, id: u64) {
        if let Some(gone) = self.requests.remove(&id) {
            self.bytes -= gone.assembly.map_or(0, |a| a.bytes());
        }
    }

    /// Takes the next frame of a request; `refuse`: what would begin now is refused. An error is a peer that does not keep to the rules.
    pub fn add(&mut self, frame: Frame, refuse: Option<(Refusal, &'static str)>, limits: &Limits) -> Result<Arrived, Lost> {
        let id = frame.head.id;
        match self.requests.remove(&id) {
            None => self.begin(frame, refuse, limits),
            Some(arriving) if arriving.head.kind != frame.head.kind => Err(Lost::Broken("frames of two kinds within one request".into())),
            Some(arriving) => self.go_on(arriving, frame, limits),
        }
    }

    fn begin(&mut self, frame: Frame, refuse: Option<(Refusal, &'static str)>, limits: &Limits) -> Result<Arrived, Lost> {
        let head = frame.head;
        let full = (Refusal::Busy, "too many large requests are arriving on this connection");
        let refuse = refuse.or((head.more && self.bytes >= limits.max_arriving).then_some(full));
        if !head.more {
            return Ok(match refuse {
                Some((refusal, words)) => Arrived::Refused(refusal, words),
                // The time is looked at only if it matters.
                None => {
                    Arrived::Whole(Whole { head, deadline: if head.extra > 0 { deadline(&head, Instant::now()) } else { None }, body: frame.body })
                }
            });
        }
        let arriving = |assembly| Arriving { head, begun: Instant::now(), assembly };
        match refuse {
            Some((refusal, words)) => {
                if self.requests.len() > limits.max_in_flight.saturating_mul(2) {
                    return Err(Lost::Broken("it goes on beginning requests that are refused".into()));
                }
                self.requests.insert(head.id, arriving(None));
                Ok(Arrived::Refused(refusal, words))
            }
            None => {
                let mut assembly = Assembly::default();
                assembly.add(frame, limits.max_message).map_err(Lost::Broken)?;
                self.bytes += assembly.bytes();
                self.requests.insert(head.id, arriving(Some(assembly)));
                Ok(Arrived::NotYet)
            }
        }
    }

    fn go_on(&mut self, mut arriving: Arriving, frame: Frame, limits: &Limits) -> Result<Arrived, Lost> {
        let more = frame.head.more;
        let Some(assembly) = &mut arriving.assembly else {
            if more {
                self.requests.insert(frame.head.id, arriving);
            }
            return Ok(Arrived::NotYet);
        };
        let before = assembly.bytes();
        let body = assembly.add(frame, limits.max_message).map_err(Lost::Broken)?;
        self.bytes = self.bytes - before + assembly.bytes();
        let Some(body) = body else {
            self.requests.insert(arriving.head.id, arriving);
            return Ok(Arrived::NotYet);
        };
        let deadline = deadline(&arriving.head, arriving.begun);
        if deadline.is_some_and(|d| d <= Instant::now()) {
            return Ok(Arrived::Refused(Refusal::Late, "its deadline passed while it was arriving"));
        }
        Ok(Arrived::Whole(Whole { head: arriving.head, deadline, body }))
    }
}

fn deadline(head: &Head, since: Instant) -> Option<Instant> {
    (head.extra > 0).then(|| since + Duration::from_millis(u64::from(head.extra)))
}
