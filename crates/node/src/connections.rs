//! The threads that clients' connections live on.
//!
//! Owns:     one runtime of one thread for each core, and how many connections each has.
//! Promises: a connection stays on one thread from its first packet to its last: a short statement is read, carried out and answered there, and
//!           wakes no other thread. A new connection goes where the fewest are.
//! Never:    looks at what a connection says.

use crate::runtime_of;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Handle, Runtime};
use weald_aggregator::connection::{self, Door};

pub(crate) struct Connections {
    /// Of one worker each; not current-thread runtimes, because a statement that blocks hands its thread's other connections over
    /// (`block_in_place`).
    threads: Vec<Runtime>,
}

struct Thread {
    handle: Handle,
    connected: Arc<AtomicUsize>,
}

impl Connections {
    pub(crate) fn new(threads: usize) -> std::io::Result<Self> {
        let one = |n| runtime_of("connection", 1, move || weald_exec::remote::asks_by_itself(n));
        Ok(Self { threads: (0..threads).map(one).collect::<Result<_, _>>()? })
    }

    /// Accepts for ever; to be spawned on another runtime.
    pub(crate) fn accept(&self, listener: TcpListener, door: Arc<Door>) -> impl Future<Output = ()> + Send + use<> {
        let threads: Vec<_> = self.threads.iter().map(|t| Thread { handle: t.handle().clone(), connected: Arc::default() }).collect();
        async move {
            loop {
                match listener.accept().await.and_then(|(socket, peer)| Ok((socket.into_std()?, peer))) {
                    Ok((socket, peer)) => {
                        let host = if peer.ip().is_loopback() { "localhost".to_string() } else { peer.ip().to_string() };
                        let Some(thread) = threads.iter().min_by_key(|t| t.connected.load(Ordering::Relaxed)) else { return };
                        thread.serve(socket, host, door.clone());
                    }
                    // Out of file descriptors, most often: those who are connected go on.
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be accepted");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                }
            }
        }
    }

    /// Statements that cannot be interrupted have this long to end, all together.
    pub(crate) fn shutdown(self, patience: Duration) {
        let each = patience / self.threads.len() as u32;
        for thread in self.threads {
            thread.shutdown_timeout(each);
        }
    }
}

impl Thread {
    fn serve(&self, socket: std::net::TcpStream, host: String, door: Arc<Door>) {
        let connected = Connected::new(&self.connected);
        self.handle.spawn(async move {
            let _connected = connected;
            match TcpStream::from_std(socket) {
                Ok(socket) => connection::serve(door, socket, host).await,
                Err(error) => tracing::warn!(%error, "a connection could not be accepted"),
            }
        });
    }
}

/// Counts one connection while it lives.
struct Connected(Arc<AtomicUsize>);

impl Connected {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count.clone())
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
