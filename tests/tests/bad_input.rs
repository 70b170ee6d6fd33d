//! Bad input gets a clear error in bounded time, and no other connection notices.

#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use weald_tests::client::{Client, Error};
use weald_tests::server::Server;

/// A statement may take so long, in a debug build on a busy machine.
const BOUND: Duration = Duration::from_secs(30);

struct Hall {
    server: Server,
    /// The connection that must not notice.
    other: Client,
}

impl Hall {
    fn new() -> Self {
        let server = Server::start();
        let mut other = server.connect().unwrap();
        other.query("CREATE DATABASE d").unwrap();
        other.query("USE d").unwrap();
        other.query("CREATE TABLE t (id INT PRIMARY KEY, s VARCHAR(100))").unwrap();
        other.query("INSERT INTO t VALUES (1, 'one')").unwrap();
        Self { server, other }
    }
    fn client(&self) -> Client {
        Client::connect("127.0.0.1", self.server.port, "root", "", Some("d")).unwrap()
    }
    fn raw(&self) -> TcpStream {
        let s = TcpStream::connect(("127.0.0.1", self.server.port)).unwrap();
        s.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        s.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
        s
    }
    fn others_are_well(&mut self, after: &str) {
        assert!(self.server.is_running(), "the server is gone after {after}");
        let start = Instant::now();
        let a = self.other.query("SELECT s FROM t WHERE id = 1").unwrap_or_else(|e| panic!("after {after}, the other connection got {e}"));
        assert_eq!(a.first(), "one");
        assert!(start.elapsed() < BOUND, "after {after}, another connection waits {:?}", start.elapsed());
        self.client().ping().unwrap_or_else(|e| panic!("after {after}, a new connection got {e}"));
    }
}

/// Reads until the server ends the connection; true if it did before the socket's timeout.
fn closed(s: &mut TcpStream) -> bool {
    let mut b = [0; 4096];
    loop {
        match s.read(&mut b) {
            Ok(0) => return true,
            Ok(_) => (),
            Err(e) => return !matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut),
        }
    }
}

#[test]
fn packets_that_are_none_end_their_connection_only() {
    let mut h = Hall::new();
    // Instead of a login.
    let mut noise = vec![0u8; 5000];
    StdRng::seed_from_u64(7).fill_bytes(&mut noise);
    for (name, bytes) in [
        ("noise", noise.clone()),
        ("an HTTP request", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        ("an empty login", vec![0, 0, 0, 1]),
        ("a login cut short", vec![10, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
        ("a login out of order", vec![1, 0, 0, 9, 0]),
        ("a frame that promises 16 MB", vec![0xFF, 0xFF, 0xFF, 1, 0, 0]),
    ] {
        let mut s = h.raw();
        let _ = s.write_all(&bytes);
        let _ = s.shutdown(std::net::Shutdown::Write);
        assert!(closed(&mut s), "{name}: the connection stays open");
        h.others_are_well(name);
    }
    // Instead of a command.
    for (name, bytes) in [
        ("an empty packet", vec![0, 0, 0, 0]),
        ("an unknown command", vec![1, 0, 0, 0, 0xEE]),
        ("execute of nothing", vec![10, 0, 0, 0, 0x17, 9, 9, 9, 9, 0, 1, 0, 0, 0]),
        ("execute cut short", vec![3, 0, 0, 0, 0x17, 1, 0]),
        ("close of nothing", vec![5, 0, 0, 0, 0x19, 9, 9, 9, 9]),
        ("fetch of nothing", vec![9, 0, 0, 0, 0x1C, 9, 9, 9, 9, 1, 0, 0, 0]),
        ("long data for nothing", vec![8, 0, 0, 0, 0x18, 9, 9, 9, 9, 0, 0, 1]),
        ("a change of user cut short", vec![2, 0, 0, 0, 0x11, b'r']),
        ("a wrong sequence", vec![1, 0, 0, 5, 0x0E]),
        ("noise", noise),
    ] {
        let mut c = h.client();
        c.set_timeout(Duration::from_secs(10)).unwrap();
        let _ = c.write_raw(&bytes);
        drop(c);
        h.others_are_well(name);
    }
    let mut c = h.client();
    c.write_raw(&[1, 0, 0, 0, 0xEE]).unwrap();
    let p = c.read_packet().unwrap();
    assert_eq!((p[0], u16::from_le_bytes([p[1], p[2]])), (0xFF, 1047), "an unknown command is error 1047");
    c.ping().expect("and the connection goes on");
}

#[test]
fn bytes_cut_anywhere_do_no_harm() {
    let mut h = Hall::new();
    let mut c = h.client();
    let (id, _) = c.prepare("INSERT INTO t VALUES (?, ?)").unwrap();
    drop(c);
    // An execution whose body is cut at each length, or has one byte changed.
    let mut body = vec![0x17];
    body.extend_from_slice(&id.to_le_bytes());
    body.extend_from_slice(&[0, 1, 0, 0, 0, 0, 1, 8, 0, 253, 0, 7, 0, 0, 0, 0, 0, 0, 0, 3, b'a', b'b', b'c']);
    for n in 1..body.len() {
        let mut c = h.client();
        c.set_timeout(Duration::from_secs(10)).unwrap();
        let _ = c.prepare("INSERT INTO t VALUES (?, ?)");
        let mut frame = (n as u32).to_le_bytes()[..3].to_vec();
        frame.push(0);
        frame.extend_from_slice(&body[..n]);
        c.write_raw(&frame).unwrap();
        match c.read_packet() {
            Ok(p) => assert_eq!(p[0], 0xFF, "an execution cut after {n} bytes is an error"),
            Err(Error::Io(e)) => assert!(
                !matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut),
                "no answer to an execution cut after {n} bytes"
            ),
            Err(e) => panic!("{e}"),
        }
    }
    h.others_are_well("cut executions");
}

#[test]
fn a_silent_client_holds_nothing_up() {
    let mut h = Hall::new();
    let silent: Vec<TcpStream> = (0..20).map(|_| h.raw()).collect();
    let mut half: Vec<TcpStream> = (0..20).map(|_| h.raw()).collect();
    for s in &mut half {
        s.write_all(&[200, 0, 0, 1, 1, 2]).unwrap();
    }
    h.others_are_well("silent clients");
    drop((silent, half));
    h.others_are_well("silent clients that left");
}

#[test]
fn extreme_statements_are_answered_in_bounded_time() {
    let mut h = Hall::new();
    let nested = |open: &str, close: &str, n: usize| format!("SELECT {}1{}", open.repeat(n), close.repeat(n));
    let in_list = format!("SELECT COUNT(*) FROM t WHERE id IN ({})", (0..100_000).map(|n| n.to_string()).collect::<Vec<_>>().join(","));
    let statements: Vec<(&str, Vec<u8>)> = vec![
        ("10,000 parentheses", nested("(", ")", 10_000).into_bytes()),
        ("10,000 functions", nested("ABS(", ")", 10_000).into_bytes()),
        ("10,000 minus signs", format!("SELECT {} 1", "- ".repeat(10_000)).into_bytes()),
        ("10,000 NOTs", format!("SELECT {} 1", "NOT ".repeat(10_000)).into_bytes()),
        ("1,000 subqueries", nested("(SELECT ", ")", 1_000).into_bytes()),
        ("10,000 additions", format!("SELECT 1{}", " + 1".repeat(10_000)).into_bytes()),
        ("10,000 ANDs", format!("SELECT COUNT(*) FROM t WHERE id = 1{}", " AND id = 1".repeat(10_000)).into_bytes()),
        ("10,000 CASEs", format!("SELECT {}1{}", "CASE WHEN 1 THEN ".repeat(10_000), " END".repeat(10_000)).into_bytes()),
        ("1,000 UNIONs", format!("SELECT 1{}", " UNION SELECT 1".repeat(1_000)).into_bytes()),
        (
            "100 joins of one table",
            format!("SELECT COUNT(*) FROM t t0{}", (1..100).map(|n| format!(" JOIN t t{n} USING (id)")).collect::<String>()).into_bytes(),
        ),
        ("an IN list of 100,000", in_list.into_bytes()),
        ("10 MB in one literal", format!("SELECT LENGTH('{}')", "x".repeat(10 << 20)).into_bytes()),
        ("10 MB of spaces", format!("SELECT{}1", " ".repeat(10 << 20)).into_bytes()),
        ("5,000 columns", format!("SELECT {}1", "1,".repeat(5_000)).into_bytes()),
        ("invalid UTF-8", b"SELECT '\xFF\xFE\x80'".to_vec()),
        ("invalid UTF-8 in a name", b"SELECT * FROM `\xC3\x28`".to_vec()),
        ("a zero byte", b"SELECT 1\0 FROM t".to_vec()),
        ("an empty statement", b"".to_vec()),
        ("only a comment", b"/* x */".to_vec()),
        ("an open comment", b"SELECT 1 /* x".to_vec()),
        ("an open string", b"SELECT 'x".to_vec()),
        ("an evil regular expression", b"SELECT REPEAT('a', 5000) REGEXP '(a+)+$b'".to_vec()),
        ("another", b"SELECT CONCAT(REPEAT('a', 40), '!') REGEXP '^(([a-z])+.)+[A-Z]([a-z])+$'".to_vec()),
        ("a regular expression that grows", b"SELECT 'a' REGEXP '((((((a{1,100}){1,100}){1,100}){1,100}){1,100}){1,100})'".to_vec()),
        ("a huge REPEAT", b"SELECT LENGTH(REPEAT('x', 10000000000))".to_vec()),
        ("a huge SPACE", b"SELECT LENGTH(SPACE(9223372036854775807))".to_vec()),
        ("a huge LPAD", b"SELECT LENGTH(LPAD('x', 9223372036854775807, 'y'))".to_vec()),
        ("an evil LIKE", format!("SELECT REPEAT('a', 2000) LIKE '{}b'", "%a".repeat(50)).into_bytes()),
        ("a huge LIMIT", b"SELECT id FROM t LIMIT 18446744073709551615 OFFSET 18446744073709551615".to_vec()),
        ("deep JSON", format!("SELECT JSON_VALID('{}{}')", "[".repeat(100_000), "]".repeat(100_000)).into_bytes()),
        ("a number of 100,000 digits", format!("SELECT {}", "9".repeat(100_000)).into_bytes()),
        ("a huge exponent", b"SELECT 1e999999999".to_vec()),
        ("a name of 10,000 characters", format!("SELECT * FROM `{}`", "n".repeat(10_000)).into_bytes()),
        ("endless recursion", b"WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT COUNT(*) FROM r".to_vec()),
    ];
    for (name, sql) in statements {
        let mut c = h.client();
        c.set_timeout(BOUND).unwrap();
        let start = Instant::now();
        match c.query_bytes(&sql) {
            Ok(_) | Err(Error::Server(_)) => (),
            Err(e) => panic!("{name}: {e} after {:?}", start.elapsed()),
        }
        println!("{name}: {:?}", start.elapsed());
        if sql.len() < 1 << 20 {
            c.ping().unwrap_or_else(|e| panic!("{name}: the connection is lost: {e}"));
        }
        h.others_are_well(name);
    }
    assert_eq!(h.client().query("SELECT CONCAT(REPEAT('a', 30), 'b') REGEXP '^(a+)+b$'").unwrap().first(), "1");
}

#[test]
fn a_packet_over_the_limit_is_refused_before_it_is_kept() {
    let mut h = Hall::new();
    let mut c = h.client();
    let limit = c.query("SELECT @@max_allowed_packet").unwrap().first_int() as usize;
    assert!(limit <= 1 << 30);
    // The first frames of a packet that would be larger.
    let mut s = h.client();
    s.set_timeout(Duration::from_secs(20)).unwrap();
    let frame = vec![b'x'; 0xFF_FFFF];
    let mut refused = false;
    for n in 0..=(limit / 0xFF_FFFF + 1) {
        let mut bytes = vec![0xFF, 0xFF, 0xFF, n as u8];
        bytes.extend_from_slice(&frame);
        if n == 0 {
            bytes[4] = 3;
        }
        if s.write_raw(&bytes).is_err() {
            refused = true;
            break;
        }
    }
    let code = match s.read_packet() {
        Ok(p) if p.first() == Some(&0xFF) => u16::from_le_bytes([p[1], p[2]]),
        _ => 0,
    };
    assert!(refused || code == 1153, "a packet over {limit} bytes: neither refused nor answered 1153 (but {code})");
    h.others_are_well("a packet over the limit");
}

#[test]
fn too_many_connections_is_error_1040_and_passes() {
    let mut h = Hall::new();
    h.other.query("SET GLOBAL max_connections = 12").unwrap();
    let mut held = Vec::new();
    let mut refused = None;
    for _ in 0..30 {
        match h.server.connect() {
            Ok(c) => held.push(c),
            Err(e) => {
                refused = Some(e);
                break;
            }
        }
    }
    match refused {
        // Before the handshake the SQLSTATE may be left out, as MySQL does.
        Some(Error::Server(e)) => assert!(e.code == 1040 && matches!(e.state.as_str(), "08004" | ""), "{e:?}"),
        Some(e) => panic!("instead of error 1040: {e}"),
        None => panic!("{} connections with max_connections = 12", held.len() + 1),
    }
    assert_eq!(h.other.query("SELECT 1").unwrap().first(), "1");
    drop(held);
    let deadline = Instant::now() + Duration::from_secs(10);
    while h.server.connect().is_err() {
        assert!(Instant::now() < deadline, "connections that ended still count");
    }
    h.others_are_well("too many connections");
}

#[test]
fn a_killed_statement_ends_and_its_connection_too() {
    let mut h = Hall::new();
    let mut slow = h.client();
    slow.send_query(b"SELECT SLEEP(600)").unwrap();
    // A KILL QUERY that comes before the query finds nothing to kill.
    let deadline = Instant::now() + BOUND;
    let running = format!("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE ID = {} AND COMMAND = 'Query'", slow.connection_id);
    while h.other.query(&running).unwrap().first() != "1" {
        assert!(Instant::now() < deadline, "the statement does not begin");
    }
    h.other.query(&format!("KILL QUERY {}", slow.connection_id)).unwrap();
    slow.set_timeout(Duration::from_secs(10)).unwrap();
    // MySQL: SLEEP that was interrupted gives 1; an interrupted statement 1317.
    match slow.receive() {
        Ok(a) => assert_eq!(a.first(), "1"),
        Err(e) => assert_eq!(e.code(), 1317, "{e}"),
    }
    slow.ping().unwrap();
    h.other.query(&format!("KILL {}", slow.connection_id)).unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while slow.ping().is_ok() {
        assert!(Instant::now() < deadline, "KILL does not end the connection");
    }
    h.others_are_well("KILL");
}

/// What the server process takes in memory, in bytes.
fn resident(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap_or_default();
    let kib: u64 = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).and_then(|l| l.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0);
    kib * 1024
}

#[test]
fn a_slow_client_is_served_at_its_own_pace_and_holds_nothing_up() {
    let mut h = Hall::new();
    // A command that comes a byte at a time, with others served in between.
    let mut slow = h.client();
    slow.set_timeout(BOUND).unwrap();
    let sql = b"\x03SELECT s FROM t WHERE id = 1";
    let mut frame = (sql.len() as u32).to_le_bytes()[..3].to_vec();
    frame.push(0);
    frame.extend_from_slice(sql);
    for (n, byte) in frame.iter().enumerate() {
        slow.write_raw(&[*byte]).unwrap();
        if n % 8 == 0 {
            h.others_are_well("a byte of a slow command");
        }
    }
    assert_eq!(slow.receive().unwrap().first(), "one");
    h.others_are_well("a slow command");
}

#[test]
fn many_clients_that_promise_large_packets_cost_what_they_send() {
    let mut h = Hall::new();
    h.others_are_well("the start");
    let before = resident(&h.server);
    // Before the login: a frame of 16 MB is announced, a few bytes come.
    let mut promising: Vec<TcpStream> = (0..60).map(|_| h.raw()).collect();
    for s in &mut promising {
        let mut greeting = [0; 4];
        s.read_exact(&mut greeting).unwrap();
        s.write_all(&[0xF0, 0xFF, 0xFF, 1, 1, 2, 3]).unwrap();
    }
    weald_tests::server::pause(Duration::from_millis(300));
    let grown = resident(&h.server).saturating_sub(before);
    assert!(grown < 200 << 20, "{} MB for 60 packets of which 3 bytes each have come", grown >> 20);
    h.others_are_well("promises");
}
