//! Housekeeping: what has to be done again and again, whatever clients do.
//!
//! Owns:     three threads: one measures memory, one collects garbage, one takes snapshots.
//! Promises: none of them waits for another: memory is watched while a snapshot takes minutes.
//! Never:    runs on the threads that serve clients.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;
use weald_aggregator::server::Server;
use weald_env::Env;
use weald_leaf::Leaf;

/// Memory grows by a few hundred megabytes a second at most.
const MEASURE_EVERY: Duration = Duration::from_millis(50);
/// How the process's allocator returns what is free inside it. The process says so: it chose the allocator.
static GIVE_BACK: OnceLock<fn()> = OnceLock::new();

/// Called where memory is tight.
pub fn give_back_with(f: fn()) {
    let _ = GIVE_BACK.set(f);
}

const BETWEEN_GIVING_BACK: Duration = Duration::from_millis(500);
/// Statements that were told to end for lack of memory have this long before others are.
const BETWEEN_SHEDDINGS: Duration = Duration::from_millis(500);
const COLLECT_EVERY: Duration = Duration::from_millis(500);
const LOOK_FOR_SNAPSHOTS_EVERY: Duration = Duration::from_secs(1);
/// The disk may be full: it will not be better in a second.
const AFTER_FAILED_SNAPSHOT: Duration = Duration::from_secs(30);

pub(crate) struct Keeper {
    threads: Vec<(Sender<()>, JoinHandle<()>)>,
}

impl Keeper {
    pub fn start(env: &Env, leaf: &Arc<Leaf>, server: &Arc<Server>, queries: &tokio::runtime::Handle) -> std::io::Result<Self> {
        let mut keeper = Self { threads: Vec::new() };
        let memory = leaf.engine.node.memory.clone();
        let (clock, of_memory) = (env.clock.clone(), server.clone());
        let mut shed_at = None;
        let mut gave_back_at = None;
        memory.sampled(weald_env::real::resident_bytes());
        keeper.spawn("memory", move || {
            of_memory.engine.columns.sweep();
            memory.sampled(weald_env::real::resident_bytes());
            let now = clock.now();
            if memory.is_tight() && gave_back_at.is_none_or(|at| now - at > BETWEEN_GIVING_BACK) {
                gave_back_at = Some(now);
                if let Some(give_back) = GIVE_BACK.get() {
                    give_back();
                }
                memory.sampled(weald_env::real::resident_bytes());
            }
            if memory.is_over() && shed_at.is_none_or(|at| now - at > BETWEEN_SHEDDINGS) {
                shed_at = Some(now);
                let (in_use, limit) = (memory.estimate(), memory.limit());
                tracing::warn!(in_use, limit, "maximum_memory is reached; statements that have been running for a while are ended");
                of_memory.shed_memory();
            }
            MEASURE_EVERY
        })?;
        let of_garbage = leaf.clone();
        keeper.spawn("garbage", move || {
            of_garbage.collect_garbage(COLLECT_EVERY / 2);
            COLLECT_EVERY
        })?;
        let (of_snapshots, server, queries) = (leaf.clone(), server.clone(), queries.clone());
        keeper.spawn("snapshots", move || {
            let variables = server.variables.values();
            let (trigger, keep) = (variables.int("snapshot_trigger_size"), variables.int("snapshots_to_keep") as usize);
            match of_snapshots.take_due_snapshots(trigger, keep, &queries) {
                Ok(()) => LOOK_FOR_SNAPSHOTS_EVERY,
                Err(error) => {
                    tracing::error!(%error, "a snapshot failed; it is tried again");
                    AFTER_FAILED_SNAPSHOT
                }
            }
        })?;
        Ok(keeper)
    }

    /// Calls `work` again and again, after as long as it says.
    fn spawn(&mut self, name: &str, mut work: impl FnMut() -> Duration + Send + 'static) -> std::io::Result<()> {
        let (stop, stopped) = channel::<()>();
        let body = move || {
            let mut pause = Duration::ZERO;
            while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                pause = work();
            }
        };
        // A snapshot is written on the thread itself.
        let thread = std::thread::Builder::new().name(name.into()).stack_size(crate::STACK_BYTES).spawn(body)?;
        self.threads.push((stop, thread));
        Ok(())
    }

    /// Waits for what is under way.
    pub fn stop(self) {
        let (stops, threads): (Vec<_>, Vec<_>) = self.threads.into_iter().unzip();
        drop(stops);
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a housekeeping thread panicked");
            }
        }
    }
}
