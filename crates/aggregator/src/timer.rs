//! A timer that is set for every packet and hardly ever goes off.
//!
//! Owns:     a place in the runtime's timers.
//! Promises: work that is not done at its deadline is given up then, not before.
//! Never:    tells the runtime of a deadline that another one, still to come, stands for.
//!
//! To enter a deadline into the runtime's timers and to take it out again costs more than many a packet's other handling. So it is left there: when it goes
//! off, the deadline that holds by then takes its place.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use tokio::time::{Instant, Sleep, sleep_until};

#[derive(Default)]
pub(crate) struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    /// `None`: the time was up first.
    pub async fn until<F: Future>(&mut self, deadline: Instant, work: F) -> Option<F::Output> {
        let mut work = pin!(work);
        poll_fn(|context| {
            if let Poll::Ready(done) = work.as_mut().poll(context) {
                return Poll::Ready(Some(done));
            }
            let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
            if sleep.deadline() > deadline {
                sleep.as_mut().reset(deadline);
            }
            while sleep.as_mut().poll(context).is_ready() {
                if Instant::now() >= deadline {
                    return Poll::Ready(None);
                }
                sleep.as_mut().reset(deadline);
            }
            Poll::Pending
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, ready};
    use std::time::Duration;

    #[test]
    fn each_deadline_holds_whatever_the_one_before_was() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (mut timer, begun) = (Timer::default(), Instant::now());
            let at = |ms| begun + Duration::from_millis(ms);
            let far = at(600_000);
            assert_eq!(timer.until(at(20), pending::<()>()).await, None);
            assert!(Instant::now() >= at(20));
            // One that goes off meanwhile does not end what has more time, and one that is far off does not let anything wait for it.
            assert_eq!(timer.until(at(40), ready(1)).await, Some(1));
            assert_eq!(timer.until(far, sleep_until(at(60))).await, Some(()));
            assert_eq!(timer.until(at(80), pending::<()>()).await, None);
            assert!((at(80)..far).contains(&Instant::now()));
            assert_eq!(timer.until(begun, ready(7)).await, Some(7));
            assert_eq!(timer.until(begun, pending::<()>()).await, None);
        });
    }
}
