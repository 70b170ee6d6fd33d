//! Where a query's rows are made: on the thread of its connection, or on the query threads.
//!
//! Owns:     the rows on their way from the one to the other.
//! Promises: a query that takes long does not take the connections' threads for it; one that is to stop stops wherever it is, and its client hears of it at
//!           once; a client that takes its rows slowly holds up nobody: its query waits at a bounded channel.
//! Never:    knows what the query is.

use crate::server::Server;
use futures::future::BoxFuture;
use std::sync::Arc;
use std::time::Duration;
use weald_exec::rows::{BoxStream, Row, Stream};
use weald_expr::StatementContext;
use weald_types::Fault;

/// Batches between a query's threads and its connection.
const CHANNEL: usize = 4;

/// The next rows under way, and what makes those after them. It can be polled here, and in the middle of it somewhere else.
type Step = BoxFuture<'static, (BoxStream, Result<Option<Vec<Row>>, Fault>)>;

fn step(mut rows: BoxStream) -> Step {
    Box::pin(async move {
        let next = rows.next().await;
        (rows, next)
    })
}

/// How long a query may compute where it arrived. How much work it is, nobody knows before: a join of three small tables may be for hours.
const NEARBY: Duration = Duration::from_millis(10);

/// Rows of a query that began where it arrived. If it takes long it goes on on the query threads, in the middle of whatever it is doing.
pub(crate) struct Nearby {
    place: Place,
    spent: Duration,
    server: Arc<Server>,
    statement: Arc<StatementContext>,
}

enum Place {
    Here(BoxStream),
    Away(Remote),
    /// A step was begun here, and nobody waited for its end.
    Nowhere,
}

impl Nearby {
    pub fn new(rows: BoxStream, server: Arc<Server>, statement: Arc<StatementContext>) -> Self {
        Self { place: Place::Here(rows), spent: Duration::ZERO, server, statement }
    }

    /// `None`: it takes too long, and is on the query threads now.
    async fn here(&mut self, rows: BoxStream) -> Option<Result<Option<Vec<Row>>, Fault>> {
        let mut step = step(rows);
        let clock = self.server.env.clock.clone();
        let begun = clock.now();
        let spent = self.spent;
        let done = std::future::poll_fn(|cx| match step.as_mut().poll(cx) {
            std::task::Poll::Ready(done) => std::task::Poll::Ready(Some(done)),
            // It lets others have their turn, or waits: a place to stop at.
            std::task::Poll::Pending if spent + (clock.now() - begun) > NEARBY => std::task::Poll::Ready(None),
            std::task::Poll::Pending => std::task::Poll::Pending,
        })
        .await;
        match done {
            Some((rows, next)) => {
                self.spent += clock.now() - begun;
                self.place = Place::Here(rows);
                Some(next)
            }
            None => {
                self.place = Place::Away(Remote::start(step, &self.server, self.statement.clone()));
                None
            }
        }
    }
}

impl Stream for Nearby {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Vec<Row>>, Fault>> {
        Box::pin(async {
            match std::mem::replace(&mut self.place, Place::Nowhere) {
                Place::Here(rows) => {
                    if let Some(next) = self.here(rows).await {
                        return next;
                    }
                }
                away => self.place = away,
            }
            match &mut self.place {
                Place::Away(remote) => remote.next().await,
                Place::Here(_) | Place::Nowhere => Err(Fault::Internal { incident: "rows were asked for in the middle of a step".into() }),
            }
        })
    }
}

/// Rows that come from the query threads; dropping it ends them.
pub(crate) struct Remote {
    receive: tokio::sync::mpsc::Receiver<Result<Vec<Row>, Fault>>,
    /// `None`: its end has been seen.
    task: Option<tokio::task::JoinHandle<()>>,
    statement: Arc<StatementContext>,
}

/// The query threads are given so long to see that they are to stop, before the client is told: with its next statement the sign is taken down.
const STOPS_WITHIN: Duration = Duration::from_millis(30);

impl Remote {
    pub fn of(rows: BoxStream, server: &Server, statement: Arc<StatementContext>) -> Self {
        Self::start(step(rows), server, statement)
    }

    fn start(mut step: Step, server: &Server, statement: Arc<StatementContext>) -> Self {
        let (send, receive) = tokio::sync::mpsc::channel::<Result<Vec<Row>, Fault>>(CHANNEL);
        let task = server.query_runtime.spawn(async move {
            loop {
                let (rows, next) = step.await;
                let next = match next {
                    Ok(None) => return,
                    Ok(Some(batch)) => Ok(batch),
                    Err(f) => Err(f),
                };
                let failed = next.is_err();
                if send.send(next).await.is_err() || failed {
                    return;
                }
                step = self::step(rows);
            }
        });
        Self { receive, task: Some(task), statement }
    }

    async fn stopped(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
            // Wherever they are by then, the client is told; they end when they next let others have their turn.
            let _ = tokio::time::timeout(STOPS_WITHIN, task).await;
        }
    }
}

impl Stream for Remote {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Vec<Row>>, Fault>> {
        Box::pin(async {
            let received = tokio::select! {
                received = self.receive.recv() => received,
                fault = self.statement.interrupted.raised() => {
                    self.stopped().await;
                    return Err(fault);
                }
            };
            match received {
                Some(Ok(batch)) => Ok(Some(batch)),
                Some(Err(f)) => Err(f),
                None => {
                    let Some(task) = &mut self.task else { return Ok(None) };
                    // The end, or a panic that must not pass for one.
                    let ended = task.await;
                    self.task = None;
                    match ended {
                        Err(e) if e.is_panic() => Err(Fault::Internal { incident: "a query thread failed".into() }),
                        _ => Ok(None),
                    }
                }
            }
        })
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}
