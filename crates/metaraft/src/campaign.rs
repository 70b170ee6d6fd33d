//! When this node stands for election.
//!
//! openraft's own timer is off. It has no pre-vote, so that a node that was cut off would come back with a higher term and cost the others their leader; and it
//! knows no aggregators and leaves. So it is decided here, and openraft holds the election (`trigger().elect()`).
//!
//! A node stands if it is an aggregator, has a vote, and has heard from no leader for the lease and a random part of the spread. Before, it asks the
//! voters whether they would have it: those who hear from a leader would not, and neither would those who hold more of the log. Only with a majority
//! does it raise the term. A node that has all votes needs nobody and does not wait.
//!
//! Owns:     the timer.
//! Promises: a leaf never stands. A node that cannot reach a majority never raises its term.
//! Never:    votes: openraft does, by the same lease.

use crate::format::At;
use crate::group::Shared;
use crate::member::{Member, Moment};
use crate::msg::{Reply, Request};
use futures::future::{Either, select};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// What a node knows when it asks itself whether to stand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outlook {
    pub may_lead: bool,
    pub leads: bool,
    pub is_voter: bool,
    pub is_sole_voter: bool,
    /// Since we heard from a leader, or started, or stood ourselves in vain.
    pub silence: Duration,
    pub leader_is_gone: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    Stand,
    /// Ask again after this, or when something happens.
    Wait(Duration),
}

/// Pure. `draw` is from 0 to 1, drawn anew for each silence.
pub(crate) fn decide(o: Outlook, lease: Duration, spread: Duration, draw: f64) -> Decision {
    if !o.may_lead || !o.is_voter || o.leads {
        return Decision::Wait(lease);
    }
    if o.is_sole_voter {
        return Decision::Stand;
    }
    // One who is known to be gone need only be outlasted; a little of the spread is left, since the others know it as well.
    let spread = if o.leader_is_gone { spread / 5 } else { spread };
    let due = lease + spread.mul_f64(draw);
    if o.silence > due { Decision::Stand } else { Decision::Wait(due - o.silence + Duration::from_millis(1)) }
}

/// Until `end`'s sender is dropped.
pub(crate) async fn run(shared: Arc<Shared>, mut end: oneshot::Receiver<()>) {
    let mut draw = random(&shared);
    let mut stood: Option<Instant> = None;
    loop {
        let mut wait = shared.settings.heartbeat;
        if let Some(member) = shared.member() {
            let now = member.now(&shared.settings);
            let contact = *shared.contact.lock();
            let since = contact.at.max(contact.yields_until).max(stood).unwrap_or(member.started).max(member.started);
            let outlook = Outlook {
                may_lead: shared.may_lead(),
                leads: now.leads,
                is_voter: now.is_voter(shared.me),
                is_sole_voter: now.is_sole_voter(shared.me),
                silence: Instant::now().saturating_duration_since(since),
                leader_is_gone: contact.gone,
            };
            match decide(outlook, shared.settings.lease, shared.settings.spread, draw) {
                Decision::Wait(duration) => wait = duration.min(shared.settings.lease),
                Decision::Stand => {
                    let elected = outlook.is_sole_voter || would_win(&shared, &member, &now).await;
                    if elected && let Err(error) = member.raft.trigger().elect().await {
                        tracing::error!(%error, "no election can be held");
                    }
                    // Whatever comes of it, the next attempt is at another moment; after a refusal soon, for the lease has run out already.
                    draw = random(&shared);
                    let again = if elected { shared.settings.lease } else { shared.settings.spread.mul_f64(draw) };
                    stood = Some(Instant::now()).map(|at| at.checked_sub(shared.settings.lease.saturating_sub(again)).unwrap_or(at));
                }
            }
        }
        let stir = std::pin::pin!(shared.stir.notified());
        if let Ok(Either::Left(_)) = tokio::time::timeout(wait, select(&mut end, stir)).await {
            return;
        }
    }
}

fn random(shared: &Shared) -> f64 {
    (shared.env.random.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

/// Whether a majority of the voters would have us.
async fn would_win(shared: &Shared, member: &Member, now: &Moment) -> bool {
    let last = member.store.last().as_ref().map(At::from);
    let others: BTreeSet<u32> = now.voters.iter().flatten().copied().filter(|v| *v != shared.me).collect();
    let ask = |to: u32| async move {
        let reply = shared.exchange(to, member.generation, shared.settings.lease, Request::PreVote { last }).await;
        (to, matches!(reply, Ok(Reply::PreVoted { granted: true })))
    };
    let mut answers: futures::stream::FuturesUnordered<_> = others.into_iter().map(ask).collect();
    let mut with = BTreeSet::from([shared.me]);
    while !now.is_majority(&with) {
        match futures::StreamExt::next(&mut answers).await {
            Some((voter, true)) => drop(with.insert(voter)),
            Some((_, false)) => (),
            None => return false,
        }
    }
    // A leader may have spoken while we asked.
    shared.leader(&member.now(&shared.settings)).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_millis(300);
    const SPREAD: Duration = Duration::from_millis(100);

    fn outlook(silence_ms: u64) -> Outlook {
        Outlook {
            may_lead: true,
            leads: false,
            is_voter: true,
            is_sole_voter: false,
            silence: Duration::from_millis(silence_ms),
            leader_is_gone: false,
        }
    }

    #[test]
    fn leaves_learners_and_leaders_never_stand() {
        for o in [
            Outlook { may_lead: false, ..outlook(10_000) },
            Outlook { is_voter: false, ..outlook(10_000) },
            Outlook { leads: true, ..outlook(10_000) },
            Outlook { may_lead: false, is_sole_voter: true, ..outlook(10_000) },
        ] {
            assert_eq!(decide(o, LEASE, SPREAD, 0.0), Decision::Wait(LEASE), "{o:?}");
        }
    }

    #[test]
    fn a_silence_is_waited_out_and_a_sole_voter_waits_for_nobody() {
        assert_eq!(decide(outlook(100), LEASE, SPREAD, 0.5), Decision::Wait(Duration::from_millis(251)));
        assert_eq!(decide(outlook(351), LEASE, SPREAD, 0.5), Decision::Stand);
        assert_eq!(decide(Outlook { leader_is_gone: true, ..outlook(311) }, LEASE, SPREAD, 0.5), Decision::Stand);
        // Its lease binds the voters all the same.
        assert!(matches!(decide(Outlook { leader_is_gone: true, ..outlook(299) }, LEASE, SPREAD, 0.0), Decision::Wait(_)));
        assert_eq!(decide(Outlook { is_sole_voter: true, ..outlook(0) }, LEASE, SPREAD, 1.0), Decision::Stand);
    }
}
