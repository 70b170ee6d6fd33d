//! What waits to be written on one connection.
//!
//! Owns:     encoded frames in their order, and long messages of which a piece is taken at a time.
//! Promises: frames of one id leave in the order in which they were pushed; a long message holds nobody up for longer than one frame;
//!           for every message it is known after which byte of the connection its last frame ends.
//! Never:    waits, or refuses: the bound is looked at by who pushes ([`Outbox::queued`]).

use crate::frame::{HEAD_BYTES, Head};
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::io::IoSlice;

/// Bodies up to here are copied behind their head; longer ones are written from where they are.
const COPIED: usize = 4 << 10;
/// Of long messages, at most so much at a time: what is pushed meanwhile waits for it.
const LONG_AT_A_TIME: usize = 256 << 10;
/// A buffer that has grown beyond this is given back once it is empty.
const KEPT_CAPACITY: usize = 256 << 10;

pub(crate) struct Outbox {
    max_frame: usize,
    /// Before `tail`. Not empty only if a body is not copied.
    ready: VecDeque<Bytes>,
    tail: Vec<u8>,
    long: VecDeque<Group>,
    queued: usize,
    /// Bytes encoded since the connection began: where the next frame begins.
    encoded: u64,
}

/// Messages of one id of which at least the first is too long for one frame; what is pushed for that id queues up behind it.
struct Group {
    id: u64,
    messages: VecDeque<Long>,
}

struct Long {
    head: Head,
    rest: Bytes,
}

/// What has been taken from an outbox and is being written.
#[derive(Default)]
pub(crate) struct Batch {
    first: VecDeque<Bytes>,
    tail: Vec<u8>,
    tail_written: usize,
    last: VecDeque<Bytes>,
}

/// A long message has been encoded to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Encoded {
    pub id: u64,
    pub end: u64,
}

impl Outbox {
    pub fn new(max_frame: usize) -> Self {
        Self { max_frame, ready: VecDeque::new(), tail: Vec::new(), long: VecDeque::new(), queued: 0, encoded: 0 }
    }

    /// Bytes that wait. What a [`Batch`] has taken is not among them.
    pub fn queued(&self) -> usize {
        self.queued
    }

    /// Adds a message. Returns the byte of the connection after which it is complete, if that is known yet: of a long one [`Outbox::take`] tells.
    pub fn push(&mut self, head: Head, body: Bytes) -> Option<u64> {
        self.queued += HEAD_BYTES + body.len();
        if !self.long.is_empty()
            && let Some(group) = self.long.iter_mut().find(|g| g.id == head.id)
        {
            group.messages.push_back(Long { head, rest: body });
            return None;
        }
        if body.len() > self.max_frame {
            self.long.push_back(Group { id: head.id, messages: [Long { head, rest: body }].into() });
            return None;
        }
        self.encoded += (HEAD_BYTES + body.len()) as u64;
        self.tail.extend_from_slice(&head.encode(body.len()));
        if body.len() <= COPIED {
            self.tail.extend_from_slice(&body);
        } else {
            self.ready.push_back(std::mem::take(&mut self.tail).into());
            self.ready.push_back(body);
        }
        Some(self.encoded)
    }

    /// Forgets what waits as a long message of `id`, also what is left of one that has been begun. `true` if there was any.
    pub fn forget(&mut self, id: u64) -> bool {
        let Some(at) = self.long.iter().position(|g| g.id == id) else { return false };
        let group = self.long.remove(at).into_iter().flat_map(|g| g.messages);
        self.queued -= group.map(|m| HEAD_BYTES + m.rest.len()).sum::<usize>();
        true
    }

    /// Moves what can be written now into `batch`, which must be empty. `false` if there was nothing.
    pub fn take(&mut self, batch: &mut Batch, completed: &mut Vec<Encoded>) -> bool {
        debug_assert!(batch.is_empty());
        if self.queued == 0 {
            return false;
        }
        batch.reset();
        std::mem::swap(&mut self.ready, &mut batch.first);
        std::mem::swap(&mut self.tail, &mut batch.tail);
        self.queued -= batch.first.iter().map(Bytes::len).sum::<usize>() + batch.tail.len();
        let mut budget = LONG_AT_A_TIME;
        while budget > 0
            && let Some(mut group) = self.long.pop_front()
        {
            let Some(message) = group.messages.front_mut() else { continue };
            let piece = message.rest.split_to(message.rest.len().min(self.max_frame));
            let whole = message.rest.is_empty();
            let head = Head { more: !whole, ..message.head };
            self.encoded += (HEAD_BYTES + piece.len()) as u64;
            // The head is counted once for a message, whatever the number of its frames.
            self.queued -= piece.len();
            budget = budget.saturating_sub(piece.len().max(1));
            batch.last.push_back(Bytes::copy_from_slice(&head.encode(piece.len())));
            batch.last.push_back(piece);
            if whole {
                self.queued -= HEAD_BYTES;
                completed.push(Encoded { id: group.id, end: self.encoded });
                group.messages.pop_front();
            }
            if !group.messages.is_empty() {
                self.long.push_back(group);
            }
        }
        true
    }
}

impl Batch {
    pub fn is_empty(&self) -> bool {
        self.first.is_empty() && self.tail_written == self.tail.len() && self.last.is_empty()
    }

    fn reset(&mut self) {
        self.tail.clear();
        self.tail_written = 0;
        if self.tail.capacity() > KEPT_CAPACITY {
            self.tail = Vec::new();
        }
    }

    /// The next bytes to be written, in at most as many pieces as `pieces` has. Returns how many.
    pub fn pieces<'a>(&'a self, pieces: &mut [IoSlice<'a>]) -> usize {
        let tail = &self.tail[self.tail_written..];
        let all = self.first.iter().map(|b| &b[..]).chain((!tail.is_empty()).then_some(tail)).chain(self.last.iter().map(|b| &b[..]));
        let mut n = 0;
        for (place, bytes) in pieces.iter_mut().zip(all.filter(|b| !b.is_empty())) {
            *place = IoSlice::new(bytes);
            n += 1;
        }
        n
    }

    /// `n` bytes have been written.
    pub fn advance(&mut self, mut n: usize) {
        advance(&mut self.first, &mut n);
        let of_tail = n.min(self.tail.len() - self.tail_written);
        self.tail_written += of_tail;
        n -= of_tail;
        advance(&mut self.last, &mut n);
        debug_assert_eq!(n, 0);
    }
}

fn advance(chunks: &mut VecDeque<Bytes>, n: &mut usize) {
    while let Some(chunk) = chunks.front_mut() {
        if chunk.len() > *n {
            let _ = chunk.split_to(*n);
            *n = 0;
            return;
        }
        *n -= chunk.len();
        chunks.pop_front();
    }
}

/// For the few frames that are written before there is an outbox.
pub(crate) fn whole(head: Head, body: &[u8]) -> BytesMut {
    let mut bytes = BytesMut::with_capacity(HEAD_BYTES + body.len());
    bytes.extend_from_slice(&head.encode(body.len()));
    bytes.extend_from_slice(body);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Kind, decode};
    use proptest::prelude::*;
    use std::collections::HashMap;
    use weald_types::Timestamp;

    #[derive(Clone, Debug)]
    enum Step {
        Push { id: u64, bytes: usize },
        Write(usize),
        Forget(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (1u64..6, prop_oneof![0usize..50, 60usize..300, 4_000usize..9_000]).prop_map(|(id, bytes)| Step::Push { id, bytes }),
            3 => (1usize..6_000).prop_map(Step::Write),
            1 => (1u64..6).prop_map(Step::Forget),
        ];
        prop::collection::vec(step, 1..60)
    }

    proptest! {
        /// The messages of an id come out whole and in order, except what was forgotten; ends are told exactly.
        #[test]
        fn messages_of_one_id_leave_in_order_and_their_ends_are_known(steps in steps()) {
            let mut outbox = Outbox::new(100);
            let (mut batch, mut written, mut completed) = (Batch::default(), BytesMut::new(), Vec::new());
            let (mut sent, mut ends): (HashMap<u64, Vec<usize>>, Vec<(u64, usize)>) = Default::default();
            let mut forgotten = false;
            for step in steps.into_iter().chain([Step::Write(usize::MAX)]) {
                match step {
                    Step::Push { id, bytes } => {
                        if let Some(end) = outbox.push(Head::new(Kind::Answer, id, Timestamp::ZERO), vec![id as u8; bytes].into()) {
                            ends.push((end, bytes));
                        }
                        sent.entry(id).or_default().push(bytes);
                    }
                    Step::Forget(id) => forgotten |= outbox.forget(id),
                    Step::Write(mut most) => loop {
                        if batch.is_empty() && !outbox.take(&mut batch, &mut completed) {
                            break;
                        }
                        let mut pieces = [IoSlice::new(&[]); 3];
                        let n = batch.pieces(&mut pieces);
                        prop_assert!(n > 0);
                        let mut bytes: Vec<u8> = pieces[..n].iter().flat_map(|p| p.iter().copied()).collect();
                        bytes.truncate(most);
                        written.extend_from_slice(&bytes);
                        batch.advance(bytes.len());
                        most -= bytes.len();
                        if most == 0 {
                            break;
                        }
                    },
                }
            }
            prop_assert_eq!(outbox.queued(), 0);
            let (mut got, mut partial): (HashMap<u64, Vec<usize>>, HashMap<u64, usize>) = Default::default();
            let (total, mut seen_ends) = (written.len(), Vec::new());
            while let Some(frame) = decode(&mut written, 100.max(COPIED)).unwrap() {
                prop_assert!(frame.body.iter().all(|b| u64::from(*b) == frame.head.id));
                let so_far = partial.entry(frame.head.id).or_default();
                *so_far += frame.body.len();
                if !frame.head.more {
                    got.entry(frame.head.id).or_default().push(*so_far);
                    seen_ends.push(((total - written.len()) as u64, *so_far));
                    *so_far = 0;
                }
            }
            prop_assert!(written.is_empty());
            if !forgotten {
                prop_assert_eq!(&got, &sent);
                prop_assert_eq!(seen_ends.len(), ends.len() + completed.len());
            }
            for end in &ends {
                prop_assert!(seen_ends.contains(end), "{:?} is no end", end);
            }
            for done in &completed {
                prop_assert!(seen_ends.iter().any(|(end, _)| *end == done.end));
            }
        }
    }

    #[test]
    fn short_message_does_not_wait_for_a_long_one() {
        let mut outbox = Outbox::new(100 << 10);
        let (mut batch, mut completed) = (Batch::default(), Vec::new());
        assert_eq!(outbox.push(Head::new(Kind::Answer, 1, Timestamp::ZERO), vec![1; 10 << 20].into()), None);
        assert!(outbox.take(&mut batch, &mut completed));
        outbox.push(Head::new(Kind::Answer, 2, Timestamp::ZERO), vec![2; 10].into()).unwrap();
        let first: usize = batch.last.iter().map(Bytes::len).sum();
        assert!(first < 400 << 10);
        batch = Batch::default();
        assert!(outbox.take(&mut batch, &mut completed));
        assert_eq!(batch.tail.len(), HEAD_BYTES + 10);
        assert!(completed.is_empty());
    }
}
