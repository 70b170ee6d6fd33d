//! What a request costs: processor time of the answering process for each 200-byte request, at 1, 16 and 64 under way, with and without TLS.
//!
//! `cargo run --release -p weald-rpc --example rpc_cost` starts the answering side as a process of its own and prints a table.
//! For comparison, `plain` is the least that could be done: the same bytes through bare sockets, answered by hand.

#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use weald_env::Env;
use weald_rpc::network::Tcp;
use weald_rpc::{Ask, Authority, ClusterSecret, Home, Keyring, Lane, Limits, NoStamps, Pool, PoolConfig, Reply, Server, ServerConfig};
use weald_types::ClusterId;

const BODY: usize = 200;
const SECRET: &str = "not much of a secret";

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    match arguments.get(1).map(String::as_str) {
        Some("answer") => runtime.block_on(answer(&PathBuf::from(&arguments[2]), arguments[3].parse().unwrap())),
        _ => runtime.block_on(measure(arguments.get(1).and_then(|s| s.parse().ok()).unwrap_or(3))),
    }
}

/// Two members on disk below `dir`.
fn make_members(dir: &std::path::Path) {
    let env = Env::real();
    let secret = ClusterSecret::new(SECRET).unwrap();
    let authority = Authority::create(ClusterId::new(1)).unwrap();
    let begun = Instant::now();
    let locked = authority.to_locked_bytes(&secret, &*env.random);
    println!("stretching the secret: {:.1} ms", begun.elapsed().as_secs_f64() * 1e3);
    let authority = Authority::from_locked_bytes(&locked, &secret).unwrap();
    for name in ["asks", "answers"] {
        std::fs::create_dir_all(dir.join(name)).unwrap();
        let mut home = Home::open(&env, &dir.join(name)).unwrap();
        home.install(authority.sign(&home.certificate_request().unwrap(), home.identity(), env.clock.wall_micros()).unwrap()).unwrap();
    }
}

fn keyring(dir: &std::path::Path, name: &str, tls: bool) -> Arc<Keyring> {
    let home = Home::open(&Env::real(), &dir.join(name)).unwrap();
    Arc::new(if tls { Keyring::new(home).unwrap() } else { Keyring::without_encryption(home).unwrap() })
}

/// The answering process: frames with TLS at the port, without at the next, bare sockets at the one after.
async fn answer(dir: &std::path::Path, port: u16) {
    let mut servers = Vec::new();
    for (n, tls) in [(0, true), (1, false)] {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port + n)).await.unwrap();
        servers.push(Server::start(
            Box::new(listener),
            ServerConfig {
                keyring: keyring(dir, "answers", tls),
                service: Arc::new(|request| match request.method {
                    1 => Reply::answer(request.body),
                    // One that has to wait: a task of its own.
                    _ => Reply::later(async move {
                        tokio::task::yield_now().await;
                        Ok(request.body)
                    }),
                }),
                admission: Arc::new(|_| Ok(())),
                http2: None,
                secret: None,
                stamps: NoStamps::shared(),
                limits: Limits::default(),
            },
        ));
    }
    let bare = tokio::net::TcpListener::bind(("127.0.0.1", port + 2)).await.unwrap();
    println!("ready");
    loop {
        let (mut stream, _) = bare.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        tokio::spawn(async move {
            let mut buffer = vec![0; 64 << 10];
            while let Ok(n @ 1..) = stream.read(&mut buffer).await {
                stream.write_all(&buffer[..n]).await.unwrap();
            }
        });
    }
}

/// The answering process.
struct Child(std::process::Child);

impl Child {
    fn start(dir: &std::path::Path, port: u16) -> Self {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .arg("answer")
            .arg(dir)
            .arg(port.to_string())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut line).unwrap();
        assert_eq!(line.trim(), "ready");
        Self(child)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
    }
}

/// Processor time that a process has used, in seconds, to the nanosecond.
fn cpu_seconds(pid: u32) -> f64 {
    let mut nanos = 0u64;
    for task in std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten() {
        if let Ok(text) = std::fs::read_to_string(task.path().join("schedstat")) {
            nanos += text.split_whitespace().next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
        }
    }
    nanos as f64 / 1e9
}

async fn measure(seconds: u64) {
    let dir = std::env::temp_dir().join(format!("weald-rpc-cost-{}", std::process::id()));
    make_members(&dir);
    let port = 7310;
    let mut child = Child::start(&dir, port);
    let pid = child.0.id();
    println!("{:<22}{:>6}{:>12}{:>9}{:>9}{:>16}{:>16}", "", "open", "requests/s", "p50 us", "p99 us", "answering us", "asking us");
    for (name, offset, tls, method) in
        [("frames", 1, false, 1u16), ("frames, as tasks", 1, false, 2), ("frames over TLS", 0, true, 1), ("frames over TLS, tasks", 0, true, 2)]
    {
        let address = format!("127.0.0.1:{}", port + offset);
        let answers = keyring(&dir, "answers", tls).identity();
        let pool = Pool::new(PoolConfig {
            keyring: keyring(&dir, "asks", tls),
            network: Arc::new(Tcp),
            addresses: Arc::new(move |_| Some(address.clone())),
            stamps: NoStamps::shared(),
            limits: Limits::default(),
            on_change: None,
        });
        let peer = pool.peer(answers);
        for open in [1usize, 16, 64] {
            let peer = peer.clone();
            drive(name, pid, open, seconds, move || {
                let peer = peer.clone();
                async move {
                    let body = vec![7; BODY].into();
                    peer.call(Lane(0), Ask { method, body, within: Some(Duration::from_secs(5)) }).await.unwrap();
                }
            })
            .await;
        }
        pool.close().await;
    }
    let bare: SocketAddr = format!("127.0.0.1:{}", port + 2).parse().unwrap();
    for open in [1usize, 16] {
        // One connection each: the least that one round trip can cost.
        let mut streams = Vec::new();
        for _ in 0..open {
            let stream = tokio::net::TcpStream::connect(bare).await.unwrap();
            stream.set_nodelay(true).unwrap();
            streams.push(Arc::new(tokio::sync::Mutex::new(stream)));
        }
        let next = AtomicUsize::new(0);
        drive("bare sockets, one each", pid, open, seconds, move || {
            let stream = streams[next.fetch_add(1, Relaxed) % streams.len()].clone();
            async move {
                let mut stream = stream.lock().await;
                let mut buffer = [7; BODY + 28];
                stream.write_all(&buffer).await.unwrap();
                stream.read_exact(&mut buffer).await.unwrap();
            }
        })
        .await;
    }
    child.0.kill().unwrap();
    child.0.wait().unwrap();
    std::fs::remove_dir_all(&dir).unwrap();
}

async fn drive<F, Fut>(name: &str, pid: u32, open: usize, seconds: u64, call: F)
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send,
{
    let call = Arc::new(call);
    for _ in 0..200 {
        call().await;
    }
    let (before, own_before, start) = (cpu_seconds(pid), cpu_seconds(std::process::id()), Instant::now());
    let workers: Vec<_> = (0..open)
        .map(|_| {
            let call = call.clone();
            tokio::spawn(async move {
                let mut times = Vec::new();
                while start.elapsed() < Duration::from_secs(seconds) {
                    let begun = Instant::now();
                    call().await;
                    times.push(begun.elapsed().as_nanos() as u64);
                }
                times
            })
        })
        .collect();
    let mut times = Vec::new();
    for worker in workers {
        times.extend(worker.await.unwrap());
    }
    let elapsed = start.elapsed().as_secs_f64();
    let (answering, asking) = (cpu_seconds(pid) - before, cpu_seconds(std::process::id()) - own_before);
    times.sort_unstable();
    let n = times.len();
    println!(
        "{name:<22}{open:>6}{:>12.0}{:>9.0}{:>9.0}{:>16.2}{:>16.2}",
        n as f64 / elapsed,
        times[n / 2] as f64 / 1e3,
        times[n * 99 / 100] as f64 / 1e3,
        answering * 1e6 / n as f64,
        asking * 1e6 / n as f64
    );
}
