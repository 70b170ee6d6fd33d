//! A timer that is set for every packet and hardly ever goes off.
//!
//! Owns:     a place in a runtime's timers.
//! Promises: work that is not done after its time is given up then, not before.
//! Never:    tells the runtime of a deadline that another one, still to come, stands for.
//!
//! To enter a deadline into a runtime's timers and to take it out again costs more than many a packet's other handling. So it is left there: when it goes
//! off, the deadline that holds by then takes its place. And it is left in the timers of a runtime that does not serve connections: one that has
//! timers looks at them, and at the clock, each time it waits for packets.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::{Instant, Sleep, sleep_until};

pub(crate) struct Timer {
    runtime: Handle,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Timer {
    pub fn new(runtime: Handle) -> Self {
        Self { runtime, sleep: None }
    }

    /// `None`: the time was up first. It begins when the work has to wait.
    pub async fn within<F: Future>(&mut self, limit: Duration, work: F) -> Option<F::Output> {
        let mut work = pin!(work);
        let mut deadline = None;
        poll_fn(|context| {
            if let Poll::Ready(done) = work.as_mut().poll(context) {
                return Poll::Ready(Some(done));
            }
            let deadline = *deadline.get_or_insert_with(|| Instant::now() + limit);
            let sleep = self.sleep.get_or_insert_with(|| {
                let _in = self.runtime.enter();
                Box::pin(sleep_until(deadline))
            });
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

    #[test]
    fn each_deadline_holds_whatever_the_one_before_was() {
        let timers = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (mut timer, begun) = (Timer::new(timers.handle().clone()), Instant::now());
            let ms = Duration::from_millis;
            let far = ms(600_000);
            assert_eq!(timer.within(ms(20), pending::<()>()).await, None);
            assert!(begun.elapsed() >= ms(20));
            // One that goes off meanwhile does not end what has more time, and one that is far off does not let anything wait for it.
            assert_eq!(timer.within(ms(20), ready(1)).await, Some(1));
            assert_eq!(timer.within(far, sleep_until(begun + ms(60))).await, Some(()));
            assert_eq!(timer.within(ms(20), pending::<()>()).await, None);
            assert!(begun.elapsed() >= ms(80) && begun.elapsed() < far);
            assert_eq!(timer.within(Duration::ZERO, ready(7)).await, Some(7));
            assert_eq!(timer.within(Duration::ZERO, pending::<()>()).await, None);
        });
    }
}
