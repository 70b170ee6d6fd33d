//! A cluster in memory: nodes with real keys and certificates, and a network that can be held up and cut.

#![allow(dead_code)]

use bytes::Bytes;
use futures::future::BoxFuture;
use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio::sync::{Notify, mpsc};
use weald_env::Env;
use weald_env::sim::{SimClock, SimDisk, SimRandom};
use weald_rpc::network::{BoxStream, Listener, Network};
use weald_rpc::{
    Answer, Ask, Authority, ClusterSecret, Home, Keyring, Lane, Limits, NoStamps, Parts, Peer, Pool, PoolConfig, Refused, Reply, Request, Server,
    ServerConfig, Service,
};
use weald_types::{ClusterId, NodeIdentity};

pub const LANE: Lane = Lane(0);

// ---------------------------------------------------------------- nodes

pub struct World {
    pub env: Env,
    pub clock: Arc<SimClock>,
}

/// A machine of its own: empty disk, its own random numbers, a clock that moves when told.
pub fn world(seed: u64) -> World {
    let clock = Arc::new(SimClock::default());
    let env = Env { clock: clock.clone(), disk: Arc::new(SimDisk::new()), random: Arc::new(SimRandom::new(seed)) };
    env.disk.create_dir_all(Path::new("/data")).unwrap();
    World { env, clock }
}

impl World {
    pub fn home(&self) -> Home {
        Home::open(&self.env, Path::new("/data")).unwrap()
    }
    pub fn member_home(&self, authority: &Authority) -> Home {
        use weald_env::Clock;
        let mut home = self.home();
        home.install(authority.sign(&home.certificate_request().unwrap(), home.identity(), self.clock.wall_micros()).unwrap()).unwrap();
        home
    }
}

pub fn authority(cluster: u128) -> Authority {
    Authority::create(ClusterId::new(cluster)).unwrap()
}
pub fn fresh(seed: u64) -> Arc<Keyring> {
    Arc::new(Keyring::new(world(seed).home()).unwrap())
}
pub fn member(authority: &Authority, seed: u64) -> Arc<Keyring> {
    Arc::new(Keyring::new(world(seed).member_home(authority)).unwrap())
}
pub fn plain(authority: &Authority, seed: u64) -> Arc<Keyring> {
    Arc::new(Keyring::without_encryption(world(seed).member_home(authority)).unwrap())
}
pub fn secret(text: &str) -> ClusterSecret {
    ClusterSecret::new(text).unwrap()
}

/// Short times, so that tests are.
pub fn limits() -> Limits {
    Limits {
        tick: Duration::from_millis(5),
        connect_within: Duration::from_secs(20),
        // Long enough for a machine on which a build runs as well.
        silence: Duration::from_secs(20),
        backoff: (Duration::from_millis(1), Duration::from_millis(10)),
        ..Limits::default()
    }
}

// ---------------------------------------------------------------- a network in memory

#[derive(Clone, Default)]
pub struct Wire(Arc<Mutex<HashMap<String, mpsc::UnboundedSender<(BoxStream, String)>>>>, Arc<Mutex<Vec<Arc<Switch>>>>, Arc<AtomicUsize>);

/// What one connection is like now.
#[derive(Default)]
pub struct Switch {
    mode: AtomicU8,
    wakers: Mutex<Vec<Waker>>,
}

const FLOWS: u8 = 0;
const HELD: u8 = 1;
const CUT: u8 = 2;

impl Switch {
    fn set(&self, mode: u8) {
        self.mode.store(mode, SeqCst);
        self.wakers.lock().unwrap().drain(..).for_each(Waker::wake);
    }
    fn poll(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.wakers.lock().unwrap().push(cx.waker().clone());
        match self.mode.load(SeqCst) {
            FLOWS => Poll::Ready(Ok(())),
            HELD => Poll::Pending,
            _ => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
        }
    }
}

impl Wire {
    pub fn listen(&self, address: &str) -> Box<dyn Listener> {
        let (tx, rx) = mpsc::unbounded_channel();
        self.0.lock().unwrap().insert(address.into(), tx);
        Box::new(Incoming(rx))
    }
    pub fn connections(&self) -> usize {
        self.2.load(SeqCst)
    }
    /// Neither side hears of the other from now on.
    pub fn hold(&self) {
        self.1.lock().unwrap().iter().for_each(|s| s.set(HELD));
    }
    pub fn release(&self) {
        self.1.lock().unwrap().iter().for_each(|s| s.set(FLOWS));
    }
    /// Both sides get a reset.
    pub fn cut(&self) {
        self.1.lock().unwrap().drain(..).for_each(|s| s.set(CUT));
    }
}

impl Network for Wire {
    fn connect<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<BoxStream>> {
        Box::pin(async move {
            let listeners = self.0.lock().unwrap();
            let listener = listeners.get(address).ok_or(io::ErrorKind::ConnectionRefused)?;
            let (here, there) = tokio::io::duplex(64 << 10);
            let switch = Arc::new(Switch::default());
            self.1.lock().unwrap().push(switch.clone());
            let n = self.2.fetch_add(1, SeqCst);
            let there = Box::new(Faulty(there, switch.clone()));
            listener.send((there, format!("memory:{n}"))).map_err(|_| io::ErrorKind::ConnectionRefused)?;
            Ok(Box::new(Faulty(here, switch)) as BoxStream)
        })
    }
}

struct Incoming(mpsc::UnboundedReceiver<(BoxStream, String)>);

impl Listener for Incoming {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<(BoxStream, String)>> {
        Box::pin(async move {
            match self.0.recv().await {
                Some(stream) => Ok(stream),
                None => std::future::pending().await,
            }
        })
    }
}

struct Faulty(DuplexStream, Arc<Switch>);

impl AsyncRead for Faulty {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        std::task::ready!(self.1.poll(cx))?;
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Faulty {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        std::task::ready!(self.1.poll(cx))?;
        Pin::new(&mut self.0).poll_write(cx, buf)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        std::task::ready!(self.1.poll(cx))?;
        Pin::new(&mut self.0).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        std::task::ready!(self.1.poll(cx))?;
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

// ---------------------------------------------------------------- a service

/// Answers with what it was asked, at once.
pub const ECHO: u16 = 1;
/// The same, after [`Probe::go`].
pub const LATER: u16 = 2;
/// Never answers.
pub const NEVER: u16 = 3;
pub const PANIC: u16 = 4;
pub const PANIC_LATER: u16 = 5;
pub const REFUSE: u16 = 6;
/// As many parts as the first byte says, each as long as the next four; then "end".
pub const PARTS: u16 = 7;
/// An answer of so many bytes.
pub const BIG: u16 = 8;

/// What the service has seen.
#[derive(Default)]
pub struct Probe {
    pub begun: AtomicUsize,
    /// Futures that were dropped before they answered.
    pub dropped: AtomicUsize,
    pub parts_sent: AtomicUsize,
    pub go: Notify,
}

struct Guard(Arc<Probe>, bool);

impl Guard {
    fn answered(&mut self) {
        self.1 = true;
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if !self.1 {
            self.0.dropped.fetch_add(1, SeqCst);
        }
    }
}

pub fn service(probe: &Arc<Probe>) -> Service {
    let probe = probe.clone();
    Arc::new(move |request: Request| {
        probe.begun.fetch_add(1, SeqCst);
        let mut guard = Guard(probe.clone(), false);
        let probe = probe.clone();
        match request.method {
            ECHO => {
                guard.answered();
                Reply::answer(request.body)
            }
            LATER => Reply::later(async move {
                probe.go.notified().await;
                guard.answered();
                Ok(request.body)
            }),
            NEVER => Reply::later(async move {
                let _guard = guard;
                std::future::pending::<Answer>().await
            }),
            PANIC => panic!("as asked"),
            PANIC_LATER => Reply::later(async move {
                tokio::task::yield_now().await;
                panic!("as asked")
            }),
            REFUSE => Reply::refused("as asked"),
            PARTS => Reply::later(send_parts(request.body, request.parts, probe, guard)),
            BIG => {
                let Some(n) = request.body.first_chunk() else { return Reply::refused("no length") };
                Reply::answer(vec![7; u32::from_le_bytes(*n).min(1 << 20) as usize])
            }
            other => Reply::Now(Err(Refused(format!("unknown method {other}")))),
        }
    })
}

async fn send_parts(body: Bytes, parts: Option<Parts>, probe: Arc<Probe>, mut guard: Guard) -> Answer {
    let Some(mut parts) = parts else { return Err(Refused("no parts are wanted".into())) };
    let Some([_, length @ ..]) = body.first_chunk::<5>() else { return Err(Refused("no length".into())) };
    let length = u32::from_le_bytes(*length).min(1 << 20) as usize;
    for n in 0..body[0] {
        if parts.send(vec![n; length].into()).await.is_err() {
            break;
        }
        probe.parts_sent.fetch_add(1, SeqCst);
    }
    guard.answered();
    Ok("end".into())
}

pub fn parts(count: u8, length: u32) -> Bytes {
    [&[count][..], &length.to_le_bytes()].concat().into()
}

// ---------------------------------------------------------------- servers and pools

pub fn server_config(keyring: Arc<Keyring>, probe: &Arc<Probe>) -> ServerConfig {
    ServerConfig {
        keyring,
        service: service(probe),
        admission: Arc::new(|_| Ok(())),
        http2: None,
        secret: None,
        stamps: NoStamps::shared(),
        limits: limits(),
    }
}

pub fn pool_config(wire: &Wire, keyring: Arc<Keyring>) -> PoolConfig {
    PoolConfig {
        keyring,
        network: Arc::new(wire.clone()),
        addresses: Arc::new(|_| Some("b".into())),
        stamps: NoStamps::shared(),
        limits: limits(),
        on_change: None,
    }
}

/// Two members of one cluster; `b` answers, `a` asks.
pub struct Pair {
    pub wire: Wire,
    pub probe: Arc<Probe>,
    pub server: Server,
    pub pool: Pool,
    pub b: NodeIdentity,
    pub peer: Peer,
}

pub fn pair() -> Pair {
    pair_with(|_| {}, |_| {})
}

pub fn pair_with(server: impl FnOnce(&mut ServerConfig), pool: impl FnOnce(&mut PoolConfig)) -> Pair {
    let ca = authority(1);
    pair_of(plain(&ca, 1), plain(&ca, 2), server, pool)
}

pub fn pair_of(a: Arc<Keyring>, b: Arc<Keyring>, server: impl FnOnce(&mut ServerConfig), pool: impl FnOnce(&mut PoolConfig)) -> Pair {
    let (wire, probe, identity) = (Wire::default(), Arc::new(Probe::default()), b.identity());
    let (mut server_config, mut pool_config) = (server_config(b, &probe), pool_config(&wire, a));
    server(&mut server_config);
    pool(&mut pool_config);
    let (server, pool) = (Server::start(wire.listen("b"), server_config), Pool::new(pool_config));
    let peer = pool.peer(identity);
    Pair { wire, probe, server, pool, b: identity, peer }
}

pub fn ask(method: u16, body: impl Into<Bytes>) -> Ask {
    Ask { method, body: body.into(), within: None }
}

/// Until it holds; a test that waits for ever is ended by whoever runs it.
pub async fn until(mut holds: impl FnMut() -> bool) {
    while !holds() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

// ---------------------------------------------------------------- frames by hand

pub fn frame(kind: u8, code: u16, extra: u32, id: u64, body: &[u8]) -> Vec<u8> {
    let mut bytes = (24 + body.len() as u32).to_le_bytes().to_vec();
    bytes.extend([kind, 0]);
    bytes.extend(code.to_le_bytes());
    bytes.extend(extra.to_le_bytes());
    bytes.extend(id.to_le_bytes());
    bytes.extend(0u64.to_le_bytes());
    bytes.extend(body);
    bytes
}

#[derive(serde::Serialize, serde::Deserialize)]
struct PlainHello {
    protocols: Vec<String>,
    identity: weald_types::NodeIdentity,
    cluster: Option<weald_types::ClusterId>,
}

#[derive(serde::Serialize)]
struct Hello {
    program: String,
    max_frame: u32,
    max_message: u64,
    max_in_flight: u32,
    window: u32,
}

async fn say(stream: &mut BoxStream, identity: NodeIdentity) {
    let hello = PlainHello { protocols: vec![weald_rpc::PROTOCOL.into()], identity, cluster: Some(ClusterId::new(1)) };
    let body = weald_rpc::message::encode(&hello).unwrap();
    stream.write_all(&(body.len() as u32).to_le_bytes()).await.unwrap();
    stream.write_all(&body).await.unwrap();
}

async fn hear(stream: &mut BoxStream) {
    let mut length = [0; 4];
    stream.read_exact(&mut length).await.unwrap();
    let mut answer = vec![0; u32::from_le_bytes(length) as usize];
    stream.read_exact(&mut answer).await.unwrap();
    weald_rpc::message::decode::<PlainHello>(&answer).unwrap();
}

async fn say_hello(stream: &mut BoxStream) {
    let hello = Hello { program: "by hand".into(), max_frame: 100_000, max_message: 1 << 20, max_in_flight: 1000, window: 1000 };
    stream.write_all(&frame(1, 0, 0, 0, &weald_rpc::message::encode(&hello).unwrap())).await.unwrap();
}

async fn hear_hello(stream: &mut BoxStream) {
    let mut head = [0; 28];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(head[4], 1);
    let mut rest = vec![0; u32::from_le_bytes(head[..4].try_into().unwrap()) as usize - 24];
    stream.read_exact(&mut rest).await.unwrap();
}

/// A connection to the server that has been greeted, in the hands of the test.
pub async fn raw_connection(p: &Pair) -> BoxStream {
    let mut stream = p.wire.connect("b").await.unwrap();
    say(&mut stream, NodeIdentity::new(5)).await;
    hear(&mut stream).await;
    say_hello(&mut stream).await;
    hear_hello(&mut stream).await;
    stream
}

/// The other way round: a connection of somebody who asks, answered by the test in the name of `identity`.
pub async fn raw_answerer(incoming: &mut Box<dyn Listener>, identity: NodeIdentity) -> BoxStream {
    let (mut stream, _) = incoming.accept().await.unwrap();
    hear(&mut stream).await;
    say(&mut stream, identity).await;
    hear_hello(&mut stream).await;
    say_hello(&mut stream).await;
    stream
}
