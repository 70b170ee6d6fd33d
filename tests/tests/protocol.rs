//! The wire protocol, item by item: what MySQL's clients rely on, seen packet by packet.

#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;
use weald_tests::client::{ASKED, Answer, Client, Error, Options, Param, Tls, UNSIGNED};
use weald_tests::server::Server;
use weald_wire::constants::{client as flag, column, status, track};

fn with(server: &Server, options: &Options<'_>) -> Result<Client, Error> {
    Client::with("127.0.0.1", server.port, options)
}

/// A database `d` to work in.
fn in_database(server: &Server, capabilities: u32) -> Client {
    server.connect().unwrap().query("CREATE DATABASE IF NOT EXISTS d").unwrap();
    with(server, &Options { capabilities, database: Some("d"), ..Options::default() }).unwrap()
}

#[track_caller]
fn refused<T: std::fmt::Debug>(done: Result<T, Error>, code: u16, state: &str) {
    match done {
        Err(Error::Server(e)) => assert_eq!((e.code, e.state.as_str()), (code, state), "{}", e.message),
        other => panic!("instead of error {code}: {other:?}"),
    }
}

fn texts(a: &Answer) -> Vec<Vec<String>> {
    a.texts()
}

// ------------------------------------------------------------------ coming in

#[test]
fn both_plugins_prove_a_password_whatever_the_client_starts_with() {
    let server = Server::start();
    let mut root = server.connect().unwrap();
    for sql in [
        "CREATE USER sha IDENTIFIED WITH caching_sha2_password BY 'pass wörd'",
        "CREATE USER nat IDENTIFIED WITH mysql_native_password BY 'pass wörd'",
        "CREATE USER bare_sha IDENTIFIED WITH caching_sha2_password BY ''",
        "CREATE USER bare_nat IDENTIFIED WITH mysql_native_password BY ''",
    ] {
        root.query(sql).unwrap();
    }
    let steps = |user: &str, password: &str, plugin: &str| {
        let mut c = with(&server, &Options { user, password, plugin: Some(plugin), ..Options::default() })?;
        assert_eq!(c.query("SELECT SUBSTRING_INDEX(CURRENT_USER(), '@', 1)")?.first(), user);
        Ok::<_, Error>(c.login_steps)
    };
    let (sha2, native) = ("caching_sha2_password", "mysql_native_password");
    // The first login needs the password itself, sealed with the server's key; from then on the server knows enough.
    assert_eq!(steps("sha", "pass wörd", sha2).unwrap(), ["full"]);
    assert_eq!(steps("sha", "pass wörd", sha2).unwrap(), ["fast"]);
    assert_eq!(steps("sha", "pass wörd", native).unwrap(), [sha2, "fast"]);
    assert_eq!(steps("nat", "pass wörd", native).unwrap(), [""; 0]);
    assert_eq!(steps("nat", "pass wörd", sha2).unwrap(), [native]);
    for (user, plugin) in [("bare_sha", sha2), ("bare_sha", native), ("bare_nat", native), ("bare_nat", sha2)] {
        steps(user, "", plugin).unwrap();
        refused(steps(user, "something", plugin), 1045, "28000");
    }
    for (user, password) in [("sha", "pass word"), ("sha", ""), ("nat", "pass word"), ("nat", ""), ("nobody", "x"), ("nobody", "")] {
        for plugin in [sha2, native] {
            refused(steps(user, password, plugin), 1045, "28000");
        }
    }
    // A new password is asked for in full again.
    root.query("ALTER USER sha IDENTIFIED BY 'other'").unwrap();
    refused(steps("sha", "pass wörd", sha2), 1045, "28000");
    assert_eq!(steps("sha", "other", sha2).unwrap(), ["full"]);
    // Before plugins there was only the native one.
    let old = |user, password| {
        with(&server, &Options { user, password, plugin: Some(native), capabilities: ASKED & !flag::PLUGIN_AUTH, ..Options::default() })
    };
    old("nat", "pass wörd").unwrap().ping().unwrap();
    refused(old("sha", "other").map(drop), 1251, "08004");
    match steps("nobody", "x", sha2) {
        Err(Error::Server(e)) => {
            assert!(e.message.starts_with("Access denied for user 'nobody'@'") && e.message.ends_with("(using password: YES)"), "{e:?}")
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn tls_works_with_the_certificate_made_at_the_first_start() {
    let server = Server::start();
    let certificate = std::fs::read(server.dir().join("server-cert.pem")).unwrap();
    let mut root = server.connect().unwrap();
    root.query("CREATE USER sha IDENTIFIED WITH caching_sha2_password BY 'secret'").unwrap();
    root.query("CREATE USER only IDENTIFIED BY 'secret' REQUIRE SSL").unwrap();
    for (version, shown) in [(&rustls::version::TLS12, "TLSv1.2"), (&rustls::version::TLS13, "TLSv1.3")] {
        let tls = Tls { certificate: certificate.clone(), version };
        let mut c = with(&server, &Options { user: "sha", password: "secret", tls: Some(tls.clone()), ..Options::default() }).unwrap();
        assert_eq!(c.tls_version(), Some(version.version));
        assert_eq!(c.query("SHOW STATUS LIKE 'Ssl_version'").unwrap().texts(), [["Ssl_version", shown]]);
        assert!(!c.query("SHOW STATUS LIKE 'Ssl_cipher'").unwrap().texts()[0][1].is_empty());
        // A long answer, and a long question.
        let long = "x".repeat(300_000);
        assert_eq!(c.query(&format!("SELECT '{long}'")).unwrap().first(), long);
        refused(with(&server, &Options { user: "sha", password: "wrong", tls: Some(tls.clone()), ..Options::default() }).map(drop), 1045, "28000");
        with(&server, &Options { user: "only", password: "secret", tls: Some(tls), ..Options::default() }).unwrap();
    }
    refused(with(&server, &Options { user: "only", password: "secret", ..Options::default() }).map(drop), 1045, "28000");
    assert_eq!(root.query("SHOW STATUS LIKE 'Ssl_version'").unwrap().texts(), [["Ssl_version", ""]]);
    root.query("SET GLOBAL require_secure_transport = ON").unwrap();
    refused(server.connect().map(drop), 3159, "HY000");
    let tls = Tls { certificate, version: &rustls::version::TLS13 };
    with(&server, &Options { tls: Some(tls), ..Options::default() }).unwrap().query("SET GLOBAL require_secure_transport = OFF").unwrap();
}

#[test]
fn errors_have_a_sqlstate_once_the_client_is_known() {
    let server = Server::start();
    let raw = |login: &[u8]| {
        let mut s = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
        s.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut greeting = [0; 4];
        s.read_exact(&mut greeting).unwrap();
        let mut rest = vec![0; greeting[0] as usize];
        s.read_exact(&mut rest).unwrap();
        s.write_all(login).unwrap();
        let mut answer = Vec::new();
        s.read_to_end(&mut answer).unwrap();
        answer
    };
    // What is no login: 1043, numbered on from the client's packet.
    let a = raw(&[3, 0, 0, 1, 1, 2, 3]);
    assert_eq!((a[3], a[4], u16::from_le_bytes([a[5], a[6]]), &a[7..13]), (2, 0xFF, 1043, &b"#08S01"[..]));
    // Too many connections is said instead of the greeting, to a client that has not said yet what it understands.
    let mut root = server.connect().unwrap();
    root.query("SET GLOBAL max_connections = 1").unwrap();
    let extra = server.connect().unwrap();
    let mut s = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    let mut a = Vec::new();
    s.read_to_end(&mut a).unwrap();
    assert_eq!(&a[3..7], &[0, 0xFF, 0x10, 0x04]);
    assert_eq!(&a[7..], b"Too many connections");
    drop(extra);
    // The place above the limit is for administrators.
    root.query("CREATE USER plain").unwrap();
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    loop {
        match with(&server, &Options { user: "plain", ..Options::default() }) {
            Err(Error::Server(e)) if e.code == 1040 && e.state == "08004" => break,
            other => assert!(std::time::Instant::now() < deadline, "{:?}", other.map(drop)),
        }
    }
    root.query("SET GLOBAL max_connections = 100").unwrap();
    let mut c = with(
        &server,
        &Options {
            user: "plain",
            attributes: &[("_client_name", "test"), ("program_name", "x")],
            capabilities: ASKED | flag::CONNECT_ATTRS,
            ..Options::default()
        },
    )
    .unwrap();
    root.query("CREATE DATABASE secret").unwrap();
    refused(c.query("USE secret"), 1044, "42000");
    refused(with(&server, &Options { database: Some("nosuch"), ..Options::default() }).map(drop), 1049, "42000");
    // A packet out of order ends the connection, with the reason.
    let mut c = server.connect().unwrap();
    c.write_raw(&[1, 0, 0, 7, 0x0E]).unwrap();
    let p = c.read_packet().unwrap();
    assert_eq!((p[0], u16::from_le_bytes([p[1], p[2]])), (0xFF, 1156));
    assert!(c.read_packet().is_err());
}

#[test]
fn a_login_that_does_not_come_is_cut_off_and_an_idle_client_is_told() {
    let server = Server::start();
    let mut root = server.connect().unwrap();
    root.query("SET GLOBAL connect_timeout = 2").unwrap();
    let mut silent = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    silent.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut all = Vec::new();
    silent.read_to_end(&mut all).unwrap();
    assert!(all.len() > 40, "no greeting");
    let mut c = server.connect().unwrap();
    c.query("SET wait_timeout = 1").unwrap();
    let notice = c.read_packet().unwrap();
    assert_eq!((notice[0], u16::from_le_bytes([notice[1], notice[2]])), (0xFF, 4031));
    // Who sits at a terminal has a timeout of its own.
    root.query("SET GLOBAL interactive_timeout = 77").unwrap();
    let mut c = with(&server, &Options { capabilities: ASKED | flag::INTERACTIVE, ..Options::default() }).unwrap();
    assert_eq!(c.query("SELECT @@wait_timeout").unwrap().first(), "77");
    assert_eq!(root.query("SELECT @@wait_timeout").unwrap().first(), "28800");
}

#[test]
fn an_account_has_so_many_connections_as_it_may() {
    let server = Server::start();
    let mut root = server.connect().unwrap();
    for sql in ["CREATE USER one WITH MAX_USER_CONNECTIONS 1", "CREATE USER two", "SET GLOBAL max_user_connections = 2"] {
        root.query(sql).unwrap();
    }
    refused(root.query("SET SESSION max_user_connections = 9"), 1229, "HY000");
    let enter = |user| with(&server, &Options { user, ..Options::default() });
    let first = enter("one").unwrap();
    // Its own limit has another number than everybody's.
    refused(enter("one").map(drop), 1226, "42000");
    let mut twice = [enter("two").unwrap(), enter("two").unwrap()];
    refused(enter("two").map(drop), 1203, "42000");
    // Who changes its user counts with the new one, and not twice with the old one.
    twice[0].change_user("two", "", None).unwrap();
    refused(twice[1].change_user("one", "", None).map(drop), 1226, "42000");
    drop(first);
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while enter("one").is_err() {
        assert!(std::time::Instant::now() < deadline, "a connection that ended still counts");
    }
}

#[test]
fn nobody_has_a_password_hashed_that_is_longer_than_any_can_be() {
    let server = Server::start();
    let mut root = server.connect().unwrap();
    let longest = "p".repeat(256);
    root.query(&format!("CREATE USER wordy IDENTIFIED WITH caching_sha2_password BY '{longest}'")).unwrap();
    refused(root.query(&format!("CREATE USER wordier IDENTIFIED BY '{longest}p'")), 1819, "HY000");
    let certificate = std::fs::read(server.dir().join("server-cert.pem")).unwrap();
    let enter = |user: &str, password: &str| {
        let tls = Tls { certificate: certificate.clone(), version: &rustls::version::TLS13 };
        with(&server, &Options { user, password, tls: Some(tls), ..Options::default() })
    };
    enter("wordy", &longest).unwrap();
    // A hundred thousand bytes, through thousands of rounds, would take the server seconds: it does not begin.
    let begun = std::time::Instant::now();
    for user in ["wordy", "nobody"] {
        refused(enter(user, &"p".repeat(100_000)).map(drop), 1045, "28000");
    }
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[test]
fn a_connection_tells_where_it_comes_from_and_how_it_is_packed() {
    let server = Server::start();
    let mut root = server.connect().unwrap();
    let host = root.query("SELECT HOST FROM information_schema.PROCESSLIST").unwrap().first().to_string();
    let port = host.strip_prefix("localhost:").and_then(|p| p.parse::<u16>().ok());
    assert!(port.is_some_and(|p| p > 0), "{host}");
    let shown = |capabilities| {
        let mut c = with(&server, &Options { capabilities, ..Options::default() }).unwrap();
        let rows = c.query("SHOW STATUS LIKE 'Compression%'").unwrap().texts();
        rows.into_iter().map(|r| r[1].clone()).collect::<Vec<_>>()
    };
    assert_eq!(shown(ASKED), ["OFF", "", "0"]);
    assert_eq!(shown(ASKED | flag::COMPRESS), ["ON", "zlib", "6"]);
    assert_eq!(shown(ASKED | flag::ZSTD_COMPRESSION)[..2], ["ON", "zstd"]);
}

// ------------------------------------------------------------------ values

const ALL_TYPES: &str = "CREATE TABLE v (id INT PRIMARY KEY, ti TINYINT, tu TINYINT UNSIGNED, si SMALLINT, su SMALLINT UNSIGNED, mi MEDIUMINT, mu MEDIUMINT UNSIGNED, \
    i INT, iu INT UNSIGNED, bi BIGINT, bu BIGINT UNSIGNED, f FLOAT, d DOUBLE, de DECIMAL(65,30), bt BIT(13), c CHAR(5), vc VARCHAR(300), tx TEXT, b BINARY(3), vb VARBINARY(300), \
    bl BLOB, da DATE, dt DATETIME, dt6 DATETIME(6), tm TIME, tm6 TIME(6), ts TIMESTAMP NULL, ts6 TIMESTAMP(6) NULL, y YEAR, e ENUM('x','y'), s SET('p','q'), j JSON)";

/// Rows of [`ALL_TYPES`], as SQL literals and as the text that comes back.
const ROWS: [&[(&str, &str)]; 3] = [
    &[
        ("1", "1"),
        ("-128", "-128"),
        ("255", "255"),
        ("-32768", "-32768"),
        ("65535", "65535"),
        ("-8388608", "-8388608"),
        ("16777215", "16777215"),
        ("-2147483648", "-2147483648"),
        ("4294967295", "4294967295"),
        ("-9223372036854775808", "-9223372036854775808"),
        ("18446744073709551615", "18446744073709551615"),
        ("-1.5", "-1.5"),
        ("0.125", "0.125"),
        (
            "-99999999999999999999999999999999999.123456789012345678901234567891",
            "-99999999999999999999999999999999999.123456789012345678901234567891",
        ),
        ("b'1000000000001'", "\u{10}\u{1}"),
        ("'é x'", "é x"),
        ("REPEAT('v', 300)", ""),
        ("'täxt'", "täxt"),
        ("'abc'", "abc"),
        ("REPEAT('b', 260)", ""),
        ("'blob'", "blob"),
        ("'2024-02-29'", "2024-02-29"),
        ("'2024-02-29 01:02:03'", "2024-02-29 01:02:03"),
        ("'2024-02-29 01:02:03.000004'", "2024-02-29 01:02:03.000004"),
        ("'-838:59:59'", "-838:59:59"),
        ("'-00:00:00.000001'", "-00:00:00.000001"),
        ("'2024-02-29 01:02:03'", "2024-02-29 01:02:03"),
        ("'2024-02-29 01:02:03.5'", "2024-02-29 01:02:03.500000"),
        ("2155", "2155"),
        ("'y'", "y"),
        ("'p,q'", "p,q"),
        ("'{\"a\": [1, null]}'", "{\"a\": [1, null]}"),
    ],
    &[
        ("2", "2"),
        ("127", "127"),
        ("0", "0"),
        ("32767", "32767"),
        ("0", "0"),
        ("8388607", "8388607"),
        ("0", "0"),
        ("2147483647", "2147483647"),
        ("0", "0"),
        ("9223372036854775807", "9223372036854775807"),
        ("0", "0"),
        ("0", "0"),
        ("0", "0"),
        ("0", "0.000000000000000000000000000000"),
        ("b'0'", "\0\0"),
        ("''", ""),
        ("''", ""),
        ("''", ""),
        ("''", "\0\0\0"),
        ("''", ""),
        ("''", ""),
        ("'9999-12-31'", "9999-12-31"),
        ("'9999-12-31 00:00:00'", "9999-12-31 00:00:00"),
        ("'1000-01-01 00:00:00'", "1000-01-01 00:00:00.000000"),
        ("'00:00:00'", "00:00:00"),
        ("'25:00:00'", "25:00:00.000000"),
        ("'1970-01-02 00:00:00'", "1970-01-02 00:00:00"),
        ("'1970-01-02 00:00:00'", "1970-01-02 00:00:00.000000"),
        ("1901", "1901"),
        ("'x'", "x"),
        ("''", ""),
        ("'null'", "null"),
    ],
    &[("3", "3")],
];

/// Row `n` as it should come back.
fn expected(n: usize, columns: usize) -> Vec<String> {
    let mut row: Vec<String> = ROWS[n].iter().map(|(_, text)| text.to_string()).collect();
    if n == 0 {
        row[16] = "v".repeat(300);
        row[19] = "b".repeat(260);
    }
    row.resize(columns, "NULL".into());
    row
}

fn fill(c: &mut Client) {
    c.query(ALL_TYPES).unwrap();
    for row in ROWS {
        let mut values: Vec<&str> = row.iter().map(|(sql, _)| *sql).collect();
        values.resize(ROWS[0].len(), "NULL");
        let sql = format!("INSERT INTO v VALUES ({})", values.join(", "));
        c.query(&sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
    }
}

#[test]
fn values_of_every_type_are_the_same_as_text_and_in_binary() {
    let server = Server::start();
    let mut c = in_database(&server, ASKED);
    c.query("SET time_zone = '+00:00'").unwrap();
    fill(&mut c);
    let columns = ROWS[0].len();
    let all: Vec<Vec<String>> = (0..3).map(|n| expected(n, columns)).collect();
    let text = c.query("SELECT * FROM v ORDER BY id").unwrap();
    assert_eq!(text.texts(), all, "as text");
    let (id, _) = c.prepare("SELECT * FROM v ORDER BY id").unwrap();
    let binary = c.execute_prepared(id, &[]).unwrap();
    assert_eq!(binary.texts(), all, "in binary");
    // One conversation of both: the definitions are the same.
    assert_eq!(text.columns, binary.columns);
    // What comes through an expression, a group, a union, a derived table.
    for sql in [
        "SELECT id, MAX(ti), MAX(tu), MAX(bi), MAX(bu), MAX(f), MAX(d), MAX(de), MAX(vc), MAX(da), MAX(dt6), MAX(tm6), MAX(ts6), MAX(y), MAX(e) FROM v GROUP BY id ORDER BY id",
        "SELECT COUNT(*), SUM(ti), AVG(si), SUM(d), SUM(de), MIN(tm), MAX(dt), COUNT(e), BIT_OR(iu), GROUP_CONCAT(id ORDER BY id) FROM v",
        "SELECT IFNULL(ti, 0), COALESCE(bu, bi), -bi, bu + 0, d + 1, de * 2, CONCAT(c, id), e + 0, s + 0, y + 1, f * 2 FROM v WHERE id = 2",
        "SELECT * FROM (SELECT ti, y, e, tm, j FROM v UNION ALL SELECT ti, y, e, tm, j FROM v) u ORDER BY 1, 2",
        "SELECT DATE(dt), TIME(tm6), ADDTIME(tm, '01:00:00'), DATE_ADD(da, INTERVAL 1 DAY), YEAR(da), HOUR(tm), TIMESTAMPDIFF(DAY, da, da) FROM v WHERE id = 1",
        "SELECT 1, -1, 1.50, 1e0, 'x', NULL, TRUE, X'00FF', DATE'2024-01-02', TIME'-01:02:03.5', TIMESTAMP'2024-01-02 03:04:05.678', 18446744073709551615",
        "SELECT ti IS NULL, ti = 1, NOT ti, ti & 3, si DIV 7, si % 7, bi / 3 FROM v ORDER BY id",
        "SELECT ROW_NUMBER() OVER (ORDER BY id), SUM(id) OVER (), LAG(e) OVER (ORDER BY id), AVG(f) OVER () FROM v",
        "SELECT CAST(ti AS SIGNED), CAST(bu AS CHAR), CAST(d AS DECIMAL(10,3)), CAST(dt6 AS DATE), CAST(dt6 AS TIME(3)), CAST(si AS DOUBLE), CAST(si AS FLOAT) FROM v WHERE id = 1",
    ] {
        let text = c.query(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
        let binary = c.execute(sql, &[]).unwrap_or_else(|e| panic!("[binary] {sql}: {e}"));
        assert_eq!(text.columns, binary.columns, "{sql}");
        let plain = |t: String| if t.contains('.') { t.trim_end_matches('0').trim_end_matches('.').to_string() } else { t };
        let shown = |a: &Answer| texts(a).into_iter().map(|r| r.into_iter().map(plain).collect::<Vec<_>>()).collect::<Vec<_>>();
        assert_eq!(shown(&text), shown(&binary), "{sql}");
    }
}

#[test]
fn parameters_of_every_type_arrive() {
    let server = Server::start();
    let mut c = in_database(&server, ASKED);
    c.query("SET time_zone = '+00:00'").unwrap();
    let raw = |kind: u8, bytes: &[u8]| Param::Raw(kind as u16, bytes.to_vec());
    let unsigned = |kind: u8, bytes: &[u8]| Param::Raw(kind as u16 | UNSIGNED, bytes.to_vec());
    let lenenc = |kind: u8, text: &str| Param::Raw(kind as u16, [&[text.len() as u8], text.as_bytes()].concat());
    for (param, shown) in [
        (raw(column::TINY, &[0x80]), "-128"),
        (unsigned(column::TINY, &[0xFF]), "255"),
        (raw(column::SHORT, &[0, 0x80]), "-32768"),
        (unsigned(column::SHORT, &[0xFF, 0xFF]), "65535"),
        (raw(column::INT24, &[0, 0, 0x80, 0xFF]), "-8388608"),
        (raw(column::LONG, &[0, 0, 0, 0x80]), "-2147483648"),
        (unsigned(column::LONG, &[0xFF; 4]), "4294967295"),
        (raw(column::LONGLONG, &i64::MIN.to_le_bytes()), "-9223372036854775808"),
        (unsigned(column::LONGLONG, &[0xFF; 8]), "18446744073709551615"),
        (raw(column::FLOAT, &1.5f32.to_le_bytes()), "1.5"),
        (raw(column::DOUBLE, &(-0.125f64).to_le_bytes()), "-0.125"),
        (raw(column::YEAR, &2024u16.to_le_bytes()), "2024"),
        (lenenc(column::NEWDECIMAL, "-12345678901234567890.12"), "-12345678901234567890.12"),
        (lenenc(0, "1.50"), "1.50"),
        (lenenc(column::VARCHAR, "é"), "é"),
        (lenenc(column::VAR_STRING, "x"), "x"),
        (lenenc(column::STRING, ""), ""),
        (lenenc(column::ENUM, "x"), "x"),
        (lenenc(column::TINY_BLOB, "tiny"), "tiny"),
        (lenenc(column::BLOB, "blob"), "blob"),
        (lenenc(column::MEDIUM_BLOB, "medium"), "medium"),
        (lenenc(column::LONG_BLOB, "long"), "long"),
        (lenenc(column::JSON, "[1]"), "[1]"),
        (raw(column::DATE, &[4, 0xE8, 7, 2, 29]), "2024-02-29"),
        (raw(column::DATETIME, &[7, 0xE8, 7, 2, 29, 23, 59, 58]), "2024-02-29 23:59:58.000000"),
        (raw(column::DATETIME, &[11, 0xE8, 7, 2, 29, 23, 59, 58, 1, 0, 0, 0]), "2024-02-29 23:59:58.000001"),
        (raw(column::TIMESTAMP, &[4, 0xE8, 7, 2, 29]), "2024-02-29 00:00:00.000000"),
        (raw(column::TIME, &[8, 1, 34, 0, 0, 0, 22, 59, 59]), "-838:59:59.000000"),
        (raw(column::TIME, &[12, 0, 0, 0, 0, 0, 1, 2, 3, 4, 0, 0, 0]), "01:02:03.000004"),
        (raw(column::TIME, &[0]), "00:00:00.000000"),
        (Param::Null, "NULL"),
    ] {
        // Through CONCAT, so that the value is text whatever type it came as; COALESCE keeps NULL visible.
        let got = c.execute("SELECT COALESCE(CONCAT(?), 'NULL')", std::slice::from_ref(&param)).unwrap_or_else(|e| panic!("{param:?}: {e}"));
        assert_eq!(got.first(), shown, "{param:?}");
    }
    // Into columns, by way of every type there is.
    fill(&mut c);
    let columns = ROWS[0].len();
    let marks = vec!["?"; columns].join(", ");
    let (insert, params) = c.prepare(&format!("INSERT INTO v VALUES ({marks})")).unwrap();
    assert_eq!(params as usize, columns);
    for n in 0..2 {
        let mut values: Vec<Param> = expected(n, columns).into_iter().map(Param::Text).collect();
        values[0] = Param::Int(10 + n as i64);
        values[14] = Param::Int(if n == 0 { 0x1001 } else { 0 });
        c.execute_prepared(insert, &values).unwrap();
        let mut back = expected(n, columns);
        back[0] = (10 + n).to_string();
        assert_eq!(c.query(&format!("SELECT * FROM v WHERE id = {}", 10 + n)).unwrap().texts(), [back]);
    }
    // What is no value is an error of this statement only.
    let (echo, _) = c.prepare("SELECT ?").unwrap();
    for bad in [raw(column::DATE, &[3, 1, 2, 3]), raw(column::TIME, &[8, 0, 0, 0, 0, 0, 77, 0, 0]), raw(200, &[1]), raw(column::LONGLONG, &[1, 2])] {
        let e = c.execute_prepared(echo, std::slice::from_ref(&bad)).expect_err("not a value");
        assert_eq!(e.code(), 1835, "{bad:?}: {e}");
    }
    assert_eq!(c.execute_prepared(echo, &[Param::Int(7)]).unwrap().first(), "7");
}

#[test]
fn types_null_bits_and_long_data_of_prepared_statements() {
    let server = Server::start();
    let mut c = in_database(&server, ASKED);
    // More than eight parameters: the NULL bitmap has two bytes.
    let (id, params) = c.prepare("SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?").unwrap();
    assert_eq!(params, 10);
    let values: Vec<Param> = (0..10).map(|n| if n % 3 == 2 { Param::Null } else { Param::Int(n) }).collect();
    let row = ["0", "1", "NULL", "3", "4", "NULL", "6", "7", "NULL", "9"];
    assert_eq!(c.execute_prepared(id, &values).unwrap().texts(), [row]);
    // The types are kept: an execution may leave them out.
    let again: Vec<Param> = (0..10).map(|n| if n % 3 == 0 { Param::Null } else { Param::Int(10 * n) }).collect();
    // (Those that were NULL before keep the type NULL, and have no bytes.)
    let again: Vec<Param> = again.into_iter().enumerate().map(|(n, p)| if n % 3 == 2 { Param::Null } else { p }).collect();
    assert_eq!(c.execute_again(id, &again).unwrap().texts(), [["NULL", "10", "NULL", "NULL", "40", "NULL", "NULL", "70", "NULL", "NULL"]]);
    // Never told: an error.
    let (fresh, _) = c.prepare("SELECT ?").unwrap();
    assert_eq!(c.execute_again(fresh, &[Param::Int(1)]).unwrap_err().code(), 1835);
    // Long data, in pieces, for one execution.
    let (id, _) = c.prepare("SELECT LENGTH(?), LEFT(?, 3), ?").unwrap();
    for _ in 0..3 {
        c.send_long_data(id, 0, &[b'x'; 100_000]).unwrap();
    }
    c.send_long_data(id, 1, b"ab").unwrap();
    c.send_long_data(id, 1, b"cd").unwrap();
    let got = c.execute_prepared(id, &[Param::Long(column::BLOB), Param::Long(column::VAR_STRING), Param::Int(5)]).unwrap();
    assert_eq!(got.texts(), [["300000", "abc", "5"]]);
    let got = c.execute_prepared(id, &[Param::Text("y".into()), Param::Text("z".into()), Param::Int(6)]).unwrap();
    assert_eq!(got.texts(), [["1", "z", "6"]]);
    // Reset forgets it; so does an execution that fails.
    c.send_long_data(id, 0, b"forgotten").unwrap();
    c.reset_statement(id).unwrap();
    let got = c.execute_prepared(id, &[Param::Text("yy".into()), Param::Text("z".into()), Param::Int(6)]).unwrap();
    assert_eq!(got.texts(), [["2", "z", "6"]]);
    // A parameter that is not there is told at execution; for a statement that is not there nobody waits.
    c.send_long_data(id, 9, b"x").unwrap();
    c.send_long_data(4711, 0, b"x").unwrap();
    refused(c.execute_prepared(id, &[Param::Long(column::BLOB), Param::Null, Param::Null]), 1210, "HY000");
    c.ping().unwrap();
    // Longer than a packet may be.
    c.query("SET GLOBAL max_allowed_packet = 1048576").unwrap();
    let mut small = in_database(&server, ASKED);
    let (id, _) = small.prepare("SELECT LENGTH(?)").unwrap();
    for _ in 0..3 {
        small.send_long_data(id, 0, &[b'x'; 500_000]).unwrap();
    }
    refused(small.execute_prepared(id, &[Param::Long(column::BLOB)]), 1105, "HY000");
    c.query("SET GLOBAL max_allowed_packet = 67108864").unwrap();
    // Statements that are not there.
    for e in [c.execute_prepared(4711, &[]).unwrap_err(), c.fetch(4711, 1, &[]).unwrap_err(), c.reset_statement(4711).unwrap_err()] {
        assert_eq!((e.code(), e.state()), (1243, "HY000"), "{e}");
    }
    // Bytes that are no UTF-8, as a value and as a literal.
    c.query("CREATE TABLE b (id INT PRIMARY KEY, b VARBINARY(20))").unwrap();
    let bytes = [0xFF, 0, b'\'', b'\\', 0xC3];
    c.execute("INSERT INTO b VALUES (?, ?)", &[Param::Int(1), Param::Raw(column::BLOB as u16, [&[5], &bytes[..]].concat())]).unwrap();
    c.query_bytes(b"INSERT INTO b VALUES (2, '\xFF\\0\\'\\\\\xC3'), (3, _binary'\xFF\0\\'\\\\\xC3') -- \xFF").unwrap();
    let (id, _) = c.prepare("INSERT INTO b VALUES (?, 'x')").unwrap();
    c.execute_prepared(id, &[Param::Int(4)]).unwrap();
    let got = c.query("SELECT b FROM b WHERE id < 4").unwrap();
    assert!(got.rows.len() == 3 && got.rows.iter().all(|r| r[0].as_deref() == Some(&bytes[..])), "{got:?}");
    assert_eq!(c.query_bytes(b"SELECT `\xFF` FROM b").unwrap_err().code(), 1300);
    // The limit on statements is the server's, and closing or resetting gives back.
    c.query("SET GLOBAL max_prepared_stmt_count = 12").unwrap();
    let mut p = in_database(&server, ASKED);
    let mut held = Vec::new();
    let full = loop {
        match p.prepare("SELECT 1") {
            Ok((id, _)) => held.push(id),
            Err(e) => break e,
        }
    };
    assert_eq!((full.code(), full.state()), (1461, "42000"));
    p.close(held.pop().unwrap()).unwrap();
    held.push(p.prepare("SELECT 1").unwrap().0);
    p.reset_connection().unwrap();
    for _ in &held {
        p.prepare("SELECT 1").unwrap();
    }
}

#[test]
fn cursors_give_rows_in_steps() {
    for capabilities in [ASKED, ASKED | flag::DEPRECATE_EOF] {
        let server = Server::start();
        let mut c = in_database(&server, capabilities);
        c.query("CREATE TABLE n (id INT PRIMARY KEY)").unwrap();
        c.query("INSERT INTO n VALUES (1), (2), (3), (4), (5)").unwrap();
        let (id, _) = c.prepare("SELECT id FROM n WHERE id > ? ORDER BY id").unwrap();
        let open = c.execute_cursor(id, &[Param::Int(0)]).unwrap();
        assert!(open.has_status(status::CURSOR_EXISTS) && !open.has_status(status::LAST_ROW_SENT));
        let step = |c: &mut Client, n: u32| {
            let a = c.fetch(id, n, &open.columns).unwrap();
            (a.rows.len(), a.has_status(status::CURSOR_EXISTS), a.has_status(status::LAST_ROW_SENT))
        };
        // Rows that change meanwhile do not change what was opened; other statements run in between.
        c.query("DELETE FROM n WHERE id = 5").unwrap();
        assert_eq!(step(&mut c, 2), (2, true, false));
        assert_eq!(c.query("SELECT COUNT(*) FROM n").unwrap().first(), "4");
        assert_eq!(step(&mut c, 3), (3, true, false));
        assert_eq!(step(&mut c, 3), (0, false, true));
        refused(c.fetch(id, 1, &[]), 1421, "HY000");
        // Reset closes it, and so does a new execution.
        c.execute_cursor(id, &[Param::Int(0)]).unwrap();
        c.reset_statement(id).unwrap();
        refused(c.fetch(id, 1, &[]), 1421, "HY000");
        c.execute_cursor(id, &[Param::Int(0)]).unwrap();
        assert_eq!(c.execute_prepared(id, &[Param::Int(2)]).unwrap().rows.len(), 2);
        refused(c.fetch(id, 1, &[]), 1421, "HY000");
        // What gives no rows has no cursor.
        let (insert, _) = c.prepare("INSERT INTO n VALUES (?)").unwrap();
        assert_eq!(c.execute_prepared(insert, &[Param::Int(9)]).unwrap().affected, 1);
    }
}

// ------------------------------------------------------------------ results

#[test]
fn several_statements_in_one_text() {
    let server = Server::start();
    let mut c = in_database(&server, ASKED);
    let all = c
        .query_all("CREATE TABLE t (a INT); INSERT INTO t VALUES (1), (2); SELECT a FROM t ORDER BY a; UPDATE t SET a = a + 1; SELECT SUM(a) FROM t;")
        .unwrap();
    assert_eq!(all.len(), 5);
    assert_eq!(all.iter().map(|a| a.affected).collect::<Vec<_>>(), [0, 2, 0, 2, 0]);
    assert_eq!(all[1].info, "Records: 2  Duplicates: 0  Warnings: 0");
    assert_eq!(all[3].info, "Rows matched: 2  Changed: 2  Warnings: 0");
    assert!(all[..4].iter().all(|a| a.has_status(status::MORE_RESULTS)) && !all[4].has_status(status::MORE_RESULTS));
    assert_eq!(all[4].first(), "5");
    // The first error ends it: what follows is not run.
    refused(c.query_all("INSERT INTO t VALUES (10); SELECT * FROM nosuch; INSERT INTO t VALUES (11)"), 1146, "42S02");
    assert_eq!(c.query("SELECT COUNT(*) FROM t").unwrap().first(), "3");
    // COM_SET_OPTION turns it off and on.
    c.command(0x1B, &[1, 0]).unwrap();
    c.answer().unwrap();
    refused(c.query_all("SELECT 1; SELECT 2"), 1064, "42000");
    c.command(0x1B, &[0, 0]).unwrap();
    c.answer().unwrap();
    assert_eq!(c.query_all("SELECT 1; SELECT 2").unwrap().len(), 2);
    c.command(0x1B, &[7, 0]).unwrap();
    refused(c.answer(), 1047, "08S01");
    // A client that did not ask for it does not get it: a `;` in a value it put together is no second statement.
    let mut single = in_database(&server, ASKED & !flag::MULTI_STATEMENTS);
    refused(single.query("SELECT 1; SELECT 2"), 1064, "42000");
    assert_eq!(single.query("SELECT 1;").unwrap().first(), "1");
    refused(c.query(""), 1065, "42000");
    refused(c.prepare("SELECT 1; SELECT 2").map(drop), 1064, "42000");
}

#[test]
fn counts_warnings_and_states_are_in_the_ok() {
    let server = Server::start();
    for capabilities in [ASKED, ASKED | flag::DEPRECATE_EOF, ASKED | flag::SESSION_TRACK, ASKED | flag::FOUND_ROWS] {
        let mut c = in_database(&server, capabilities);
        c.query("DROP TABLE IF EXISTS t").unwrap();
        c.query("CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, v INT)").unwrap();
        // mysqlslap sends the NUL behind its text.
        assert_eq!(c.query("SELECT 1\0").unwrap().first(), "1");
        let a = c.query("INSERT INTO t (v) VALUES (1), (2), (2)").unwrap();
        assert_eq!((a.affected, a.insert_id, a.info.as_str()), (3, 1, "Records: 3  Duplicates: 0  Warnings: 0"));
        let a = c.query("UPDATE t SET v = 2").unwrap();
        // FOUND_ROWS: those that matched, not those that changed.
        assert_eq!(a.affected, if capabilities & flag::FOUND_ROWS == 0 { 1 } else { 3 });
        assert_eq!(a.info, "Rows matched: 3  Changed: 1  Warnings: 0");
        assert_eq!(c.query("SELECT 1/0, 'x' + 0").unwrap().warnings, 2);
        c.query("SET sql_mode = ''").unwrap();
        assert_eq!(c.query("INSERT INTO t (v) VALUES ('7x')").unwrap().warnings, 1);
        assert_eq!(c.query("SHOW WARNINGS").unwrap().rows.len(), 1);
        assert_eq!(c.query("SELECT 1").unwrap().warnings, 0);
        let a = c.query("SELECT 1").unwrap();
        assert!(a.has_status(status::AUTOCOMMIT) && !a.has_status(status::IN_TRANS));
        assert!(c.query("BEGIN").unwrap().has_status(status::IN_TRANS));
        assert!(c.query("SELECT COUNT(*) FROM t").unwrap().has_status(status::IN_TRANS));
        assert!(!c.query("COMMIT").unwrap().has_status(status::IN_TRANS));
        let a = c.query("START TRANSACTION READ ONLY").unwrap();
        assert!(a.has_status(status::IN_TRANS | status::IN_TRANS_READONLY) && a.has_status(status::IN_TRANS_READONLY));
        c.query("ROLLBACK").unwrap();
        assert!(!c.query("SET autocommit = 0").unwrap().has_status(status::AUTOCOMMIT));
        assert!(c.query("SET autocommit = 1").unwrap().has_status(status::AUTOCOMMIT));
        assert!(c.query("SET sql_mode = 'NO_BACKSLASH_ESCAPES'").unwrap().has_status(status::NO_BACKSLASH_ESCAPES));
        assert_eq!(c.query("SELECT 'a\\b'").unwrap().first(), "a\\b");
    }
}

#[test]
fn the_session_tells_what_changed() {
    let server = Server::start();
    let mut c = in_database(&server, ASKED | flag::SESSION_TRACK);
    let schema = |name: &str| (track::SCHEMA, vec![name.to_string()]);
    let variable = |name: &str, value: &str| (track::SYSTEM_VARIABLES, vec![name.to_string(), value.to_string()]);
    assert_eq!(c.welcome.changes, [schema("d")]);
    assert_eq!(c.query("SELECT 1").unwrap().changes, []);
    c.query("CREATE DATABASE e").unwrap();
    assert_eq!(c.query("USE e").unwrap().changes, [schema("e")]);
    c.command(0x02, b"d").unwrap();
    assert_eq!(c.answer().unwrap().changes, [schema("d")]);
    assert_eq!(c.query("SET autocommit = 0").unwrap().changes, [variable("autocommit", "OFF")]);
    assert_eq!(c.query("SET autocommit = 1, time_zone = '+02:00'").unwrap().changes, [variable("autocommit", "ON"), variable("time_zone", "+02:00")]);
    assert_eq!(
        c.query("SET NAMES utf8mb4").unwrap().changes,
        [variable("character_set_client", "utf8mb4"), variable("character_set_connection", "utf8mb4"), variable("character_set_results", "utf8mb4")]
    );
    assert_eq!(c.query("SET lock_wait_timeout = 7").unwrap().changes, []);
    // A statement that failed changed nothing.
    c.query("SET autocommit = 0, nosuch = 1").unwrap_err();
    c.query("USE nosuch").unwrap_err();
    assert_eq!(c.query("DO 1").unwrap().changes, []);
    // Which variables, and whether the schema is told, are variables themselves.
    c.query("SET session_track_system_variables = 'lock_wait_timeout', session_track_schema = OFF").unwrap();
    assert_eq!(c.query("SET lock_wait_timeout = 8").unwrap().changes, [variable("lock_wait_timeout", "8")]);
    assert_eq!(c.query("SET autocommit = 1").unwrap().changes, []);
    assert_eq!(c.query("USE e").unwrap().changes, []);
    c.query("SET session_track_state_change = ON, session_track_system_variables = ''").unwrap();
    let touched = (track::STATE_CHANGE, vec!["1".to_string()]);
    for sql in ["SET @x = 1", "USE d", "SET sql_mode = ''", "PREPARE p FROM 'SELECT 1'"] {
        assert_eq!(c.query(sql).unwrap().changes, std::slice::from_ref(&touched), "{sql}");
    }
    assert_eq!(c.query("DO 1").unwrap().changes, []);
    // Who did not ask is not told.
    assert_eq!(in_database(&server, ASKED).query("USE e").unwrap().changes, []);
}

#[test]
fn a_client_may_do_without_column_definitions_and_say_query_attributes() {
    let server = Server::start();
    let mut c = in_database(&server, ASKED | flag::OPTIONAL_RESULTSET_METADATA | flag::DEPRECATE_EOF);
    assert_eq!(c.query("SELECT 1 AS one").unwrap().columns[0].name, "one");
    assert_eq!(c.prepare_columns("SELECT 1 AS one").unwrap().2[0].name, "one");
    c.query("SET resultset_metadata = NONE").unwrap();
    let a = c.query("SELECT 1 AS one, 'x' AS two").unwrap();
    assert_eq!((a.columns[0].name.as_str(), a.texts()), ("", vec![vec!["1".to_string(), "x".into()]]));
    assert_eq!(c.prepare_columns("SELECT 1 AS one").unwrap().2, []);
    c.query("SET resultset_metadata = FULL").unwrap();
    assert_eq!(c.query("SELECT 1 AS one").unwrap().columns[0].name, "one");
    // Query attributes are read over: nothing here asks for them.
    let mut c = in_database(&server, ASKED | flag::QUERY_ATTRIBUTES);
    assert_eq!(c.query("SELECT 2").unwrap().first(), "2");
    // Two of them: `a` = 7, `b` = NULL.
    let mut q = vec![2, 1, 0b10, 1];
    q.extend_from_slice(&[column::LONGLONG, 0, 1, b'a', column::NULL, 0, 1, b'b']);
    q.extend_from_slice(&7u64.to_le_bytes());
    q.extend_from_slice(b"SELECT 3");
    c.command(0x03, &q).unwrap();
    assert_eq!(c.answer().unwrap().first(), "3");
    assert_eq!(c.execute("SELECT ? + 1", &[Param::Int(4)]).unwrap().first(), "5");
    // With more values than the statement has parameters: the rest are attributes.
    assert_eq!(c.execute("SELECT ? + 1", &[Param::Int(5), Param::Text("attribute".into())]).unwrap().first(), "6");
    c.command(0x03, &[0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]).unwrap();
    refused(c.answer(), 1835, "HY000");
    assert_eq!(c.query("SELECT 4").unwrap().first(), "4");
}

#[test]
fn column_definitions_are_mysqls() {
    let server = Server::start();
    let mut c = in_database(&server, ASKED);
    c.query("SET NAMES utf8mb4 COLLATE utf8mb4_general_ci").unwrap();
    c.query("CREATE TABLE t (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, ti TINYINT, tu TINYINT UNSIGNED NOT NULL, mi MEDIUMINT, bi BIGINT NOT NULL, bu BIGINT UNSIGNED, de DECIMAL(10,2), du DECIMAL(5,0) UNSIGNED, f FLOAT, d DOUBLE, c CHAR(5), vc VARCHAR(20) NOT NULL DEFAULT 'x', b BINARY(4), vb VARBINARY(30), tt TINYTEXT, tx TEXT, lt LONGTEXT, bl BLOB, da DATE, dt DATETIME, dt6 DATETIME(6), tm TIME, tm3 TIME(3), ts TIMESTAMP NULL, tsu TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6), y YEAR, bt BIT(13), e ENUM('a','bb') NOT NULL, s SET('x','yy'), cb VARCHAR(10) COLLATE utf8mb4_bin, z INT(5) UNSIGNED ZEROFILL, j JSON, UNIQUE KEY u1 (ti), UNIQUE KEY u2 (mi, bu), KEY k (c, da)) CHARSET utf8mb4 COLLATE utf8mb4_general_ci").unwrap();
    c.query("CREATE VIEW w AS SELECT id, vc AS name FROM t").unwrap();
    let shown = |c: &mut Client, sql: &str| {
        let a = c.query(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
        a.columns
            .into_iter()
            .map(|c| {
                let origin = if c.org_table.is_empty() { String::new() } else { format!(" {}.{}={}.{}", c.schema, c.table, c.org_table, c.org_name) };
                format!("{}: {} {} {} {} {}{origin}", c.name, c.kind, c.flags, c.length, c.decimals, c.charset)
            })
            .collect::<Vec<_>>()
    };
    // type, flags, length, decimals, character set; taken from MariaDB 10.11. MySQL 8.0 differs, and Weald with it, in: TIMESTAMP, which MariaDB calls
    // UNSIGNED; JSON, which is a type of its own.
    let of = |c: &str| format!("{c} d.t=t");
    let expected: Vec<String> = [
        ("id: 3 16899 11 0 63", "id"),
        ("ti: 1 16388 4 0 63", "ti"),
        ("tu: 1 4129 3 0 63", "tu"),
        ("mi: 9 16392 9 0 63", "mi"),
        ("bi: 8 4097 20 0 63", "bi"),
        ("bu: 8 16416 20 0 63", "bu"),
        ("de: 246 0 12 2 63", "de"),
        ("du: 246 32 5 0 63", "du"),
        ("f: 4 0 12 31 63", "f"),
        ("d: 5 0 22 31 63", "d"),
        ("c: 254 16392 20 0 45", "c"),
        ("vc: 253 1 80 0 45", "vc"),
        ("b: 254 128 4 0 63", "b"),
        ("vb: 253 128 30 0 63", "vb"),
        ("tt: 252 16 1020 0 45", "tt"),
        ("tx: 252 16 262140 0 45", "tx"),
        ("lt: 252 16 4294967295 0 45", "lt"),
        ("bl: 252 144 65535 0 63", "bl"),
        ("da: 10 16512 10 0 63", "da"),
        ("dt: 12 128 19 0 63", "dt"),
        ("dt6: 12 128 26 6 63", "dt6"),
        ("tm: 11 128 10 0 63", "tm"),
        ("tm3: 11 128 14 3 63", "tm3"),
        ("ts: 7 128 19 0 63", "ts"),
        ("tsu: 7 9345 26 6 63", "tsu"),
        ("y: 13 96 4 0 63", "y"),
        ("bt: 16 32 13 0 63", "bt"),
        ("e: 254 4353 8 0 45", "e"),
        ("s: 254 2048 16 0 45", "s"),
        ("cb: 253 128 40 0 45", "cb"),
        ("z: 3 96 5 0 63", "z"),
        ("j: 245 144 4294967295 0 63", "j"),
    ]
    .iter()
    .map(|(c, name)| format!("{}.{name}", of(c)))
    .collect();
    assert_eq!(shown(&mut c, "SELECT * FROM t"), expected);
    // Aliases, joins, views, derived tables: the table's alias, and where the column is from.
    for (sql, expected) in [
        ("SELECT a.id AS x FROM t a", vec!["x: 3 16899 11 0 63 d.a=t.id"]),
        ("SELECT a.id, b.vc FROM t a JOIN t b USING (id)", vec!["id: 3 16899 11 0 63 d.a=t.id", "vc: 253 1 80 0 45 d.b=t.vc"]),
        ("SELECT name FROM w", vec!["name: 253 1 80 0 45 d.w=w.name"]),
        // MySQL names the base table behind a derived one; MariaDB the derived one.
        ("SELECT q FROM (SELECT vc AS q FROM t) x", vec!["q: 253 1 80 0 45 d.x=t.vc"]),
        // Expressions: a number is binary; a string has 31 decimals (39 in MariaDB). MySQL's integers are BIGINT where MariaDB's are INT.
        (
            "SELECT COUNT(*), SUM(id), AVG(de), MAX(vc), MAX(dt6), SUM(d) FROM t",
            vec![
                "COUNT(*): 8 129 21 0 63",
                "SUM(id): 246 128 33 0 63",
                "AVG(de): 246 128 16 6 63",
                "MAX(vc): 253 0 80 31 45",
                "MAX(dt6): 12 128 26 6 63",
                "SUM(d): 5 128 23 31 63",
            ],
        ),
        (
            "SELECT 1.5, 'abc', NULL, 1 / 3, UPPER(vc), bu + 1 FROM t",
            vec![
                "1.5: 246 129 4 1 63",
                "abc: 253 1 12 31 45",
                "NULL: 6 128 0 0 63",
                "1 / 3: 246 128 7 4 63",
                "UPPER(vc): 253 1 80 31 45",
                "bu + 1: 8 160 21 0 63",
            ],
        ),
    ] {
        assert_eq!(shown(&mut c, sql), expected, "{sql}");
    }
    // In the results' character set a character may take fewer bytes.
    c.query("SET NAMES utf8mb3").unwrap();
    assert_eq!(shown(&mut c, "SELECT vc FROM t"), ["vc: 253 1 60 0 33 d.t=t.vc"]);
    c.query("SET character_set_results = NULL").unwrap();
    assert_eq!(shown(&mut c, "SELECT vc, cb FROM t"), ["vc: 253 1 80 0 45 d.t=t.vc", "cb: 253 128 40 0 46 d.t=t.cb"]);
    // A prepared statement tells the same before it runs.
    c.query("SET NAMES utf8mb4").unwrap();
    for sql in ["SELECT * FROM t", "SELECT id + 1 AS n, MAX(vc) FROM t GROUP BY id", "SHOW TABLES", "DESCRIBE t", "SHOW VARIABLES LIKE 'version'"] {
        let (id, _, before) = c.prepare_columns(sql).unwrap();
        assert_eq!(before, c.execute_prepared(id, &[]).unwrap().columns, "{sql}");
    }
}

// ------------------------------------------------------------------ files

#[test]
fn local_files_are_loaded_from_the_client() {
    let server = Server::start();
    let local = ASKED | flag::LOCAL_FILES;
    let mut c = in_database(&server, local);
    c.query("CREATE TABLE t (id INT PRIMARY KEY, s VARCHAR(5))").unwrap();
    let sql = "LOAD DATA LOCAL INFILE '/some/where.txt' INTO TABLE t";
    // A line may be cut anywhere between two packets.
    let (file, a) = c.load(sql, &[b"1\to", b"ne\n2\t", b"two\n"]).unwrap();
    assert_eq!((file.as_str(), a.affected, a.info.as_str()), ("/some/where.txt", 2, "Records: 2  Deleted: 0  Skipped: 0  Warnings: 0"));
    let (_, a) = c.load(sql, &[]).unwrap();
    assert_eq!((a.affected, a.info.as_str()), (0, "Records: 0  Deleted: 0  Skipped: 0  Warnings: 0"));
    // LOCAL is IGNORE: a duplicate and a value too long warn.
    let (_, a) = c.load(sql, &[b"2\tagain\n3\tmuch too long\n"]).unwrap();
    assert_eq!((a.affected, a.info.as_str()), (1, "Records: 2  Deleted: 0  Skipped: 1  Warnings: 2"));
    assert_eq!(c.query("SELECT * FROM t ORDER BY id").unwrap().texts(), [["1", "one"], ["2", "two"], ["3", "much "]]);
    // An error before the file is asked for; one while it is read: the client sends all of it, and the connection lives on.
    refused(c.load("LOAD DATA LOCAL INFILE 'x' INTO TABLE nosuch", &[]), 1146, "42S02");
    c.query("CREATE TABLE u (id INT PRIMARY KEY, s VARCHAR(5))").unwrap();
    let failing = "LOAD DATA LOCAL INFILE 'x' INTO TABLE u (id, @s) SET s = (@s + 0) DIV 1 + EXP(id * 100)";
    refused(c.load(failing, &[b"1\t1\n", &b"9\t1\n".repeat(100_000)[..], b"10\t1\n"]).map(|(_, a)| a), 1690, "22003");
    assert_eq!(c.query("SELECT COUNT(*) FROM u").unwrap().first(), "0");
    // Within a text of several statements.
    c.send_query(format!("{sql}; SELECT 7").as_bytes()).unwrap();
    assert_eq!(c.read_packet().unwrap()[0], 0xFB);
    c.write_packet(b"4\tfour\n").unwrap();
    c.write_packet(&[]).unwrap();
    assert_eq!(c.receive().unwrap().affected, 1);
    // A client that does not offer files is not asked for one, nor is anybody where the server has it switched off.
    let mut without = in_database(&server, ASKED);
    refused(without.query(sql), 3948, "42000");
    c.query("SET GLOBAL local_infile = OFF").unwrap();
    refused(c.query(sql), 3948, "42000");
    refused(c.prepare(sql).map(drop), 1295, "HY000");
    assert_eq!(c.query("SELECT COUNT(*) FROM t").unwrap().first(), "4");
}

#[test]
fn warnings_of_a_load_come_in_the_order_of_its_lines() {
    let server = Server::start();
    let mut c = in_database(&server, ASKED | flag::LOCAL_FILES);
    c.query("CREATE TABLE t (id INT PRIMARY KEY, s VARCHAR(5))").unwrap();
    // One in 500 is too long for its column, one in 500 has the key of the line before it.
    let line = |n: usize| match n % 500 {
        100 => format!("{n}\tmuch too long\n"),
        350 => format!("{}\tagain\n", n - 1),
        _ => format!("{n}\tfine\n"),
    };
    let file: String = (1..=5000).map(line).collect();
    let (_, a) = c.load("LOAD DATA LOCAL INFILE 'x' INTO TABLE t", &[file.as_bytes()]).unwrap();
    assert_eq!((a.affected, a.info.as_str()), (4990, "Records: 5000  Deleted: 0  Skipped: 10  Warnings: 20"));
    let texts: Vec<String> = c.query("SHOW WARNINGS").unwrap().texts().iter().map(|w| w[2].clone()).collect();
    let expected: Vec<String> = (0..10)
        .flat_map(|n| {
            let (long, again) = (n * 500 + 100, n * 500 + 349);
            [format!("Data truncated for column 's' at row {long}"), format!("Duplicate entry '{again}' for key 't.PRIMARY'")]
        })
        .collect();
    assert_eq!(texts, expected);
    // More warnings than are kept are counted.
    c.query("SET max_error_count = 3").unwrap();
    let (_, a) = c.load("LOAD DATA LOCAL INFILE 'x' INTO TABLE t", &[file.as_bytes()]).unwrap();
    assert_eq!((a.affected, a.info.as_str()), (0, "Records: 5000  Deleted: 0  Skipped: 5000  Warnings: 5010"));
    assert_eq!(c.query("SHOW WARNINGS").unwrap().texts().len(), 3);
}

// ------------------------------------------------------------------ sizes

#[test]
fn packets_above_16_mib_pass_both_ways_compressed_or_not() {
    let server = Server::start();
    let mut root = server.connect().unwrap();
    for compression in [0, flag::COMPRESS, flag::ZSTD_COMPRESSION] {
        let mut c = in_database(&server, ASKED | compression);
        assert_eq!(c.query("SELECT 'short'").unwrap().first(), "short");
        // At the frame's edge, one less, one more, and well above; the text's own packet is longer by its statement.
        for size in [0xFF_FFFF - 20, 0xFF_FFFF - 16, 0xFF_FFFF, 20_000_000] {
            let text = "y".repeat(size);
            let a = c.query(&format!("SELECT '{text}'")).unwrap();
            assert_eq!(a.first().len(), size, "{compression}");
            assert_eq!(
                c.execute(
                    "SELECT LENGTH(?)",
                    &[Param::Raw(column::LONG_BLOB as u16, {
                        let mut b = Vec::new();
                        weald_wire::value::put_lenenc_bytes(&mut b, text.as_bytes());
                        b
                    })]
                )
                .unwrap()
                .first(),
                size.to_string()
            );
        }
        // Rows that add up to more than a buffer, none of them large.
        c.query("DROP TABLE IF EXISTS r").unwrap();
        c.query("CREATE TABLE r (id INT PRIMARY KEY, s VARCHAR(2000))").unwrap();
        let values: Vec<String> = (0..2000).map(|n| format!("({n}, REPEAT('{n} ', 300))")).collect();
        c.query(&format!("INSERT INTO r VALUES {}", values.join(","))).unwrap();
        let a = c.query("SELECT * FROM r ORDER BY id").unwrap();
        assert_eq!(a.rows.len(), 2000);
        assert_eq!(a.texts()[1999][1], "1999 ".repeat(300));
    }
    // Both asked for: zlib, as in MySQL.
    let mut c = in_database(&server, ASKED | flag::COMPRESS | flag::ZSTD_COMPRESSION);
    assert_eq!(c.query("SELECT REPEAT('z', 1000)").unwrap().first().len(), 1000);
    // Above max_allowed_packet: told, then cut off.
    root.query("SET GLOBAL max_allowed_packet = 2097152").unwrap();
    for compression in [0, flag::COMPRESS] {
        let mut c = in_database(&server, ASKED | compression);
        assert_eq!(c.query(&format!("SELECT LENGTH('{}')", "x".repeat(2_000_000))).unwrap().first(), "2000000");
        refused(c.query(&format!("SELECT LENGTH('{}')", "x".repeat(3_000_000))), 1153, "08S01");
        assert!(c.ping().is_err());
    }
    root.query("SET GLOBAL max_allowed_packet = 67108864").unwrap();
    // A frame that says it is compressed and is not.
    let mut c = in_database(&server, ASKED | flag::COMPRESS);
    c.write_raw(&[0; 0]).unwrap();
    assert_eq!(c.query("SELECT 1").unwrap().first(), "1");
}

// ------------------------------------------------------------------ the session's life

#[test]
fn a_reset_connection_is_as_new() {
    let server = Server::start();
    for capabilities in [ASKED, ASKED | flag::COMPRESS] {
        let mut c = in_database(&server, capabilities);
        c.query("CREATE TABLE IF NOT EXISTS t (id INT PRIMARY KEY)").unwrap();
        let (id, _) = c.prepare("SELECT 1").unwrap();
        for sql in ["SET @x = 5, sql_mode = '', autocommit = 0, time_zone = '+05:00'", "PREPARE p FROM 'SELECT 1'", "INSERT INTO t VALUES (1)"] {
            c.query(sql).unwrap();
        }
        let before = c.connection_id;
        c.reset_connection().unwrap();
        assert_eq!(
            c.query("SELECT @x, @@autocommit, @@time_zone, DATABASE(), @@sql_mode <> ''").unwrap().texts(),
            [["NULL", "1", "SYSTEM", "d", "1"]]
        );
        assert_eq!(c.query("SELECT CONNECTION_ID()").unwrap().first(), before.to_string());
        assert_eq!(c.query("SELECT COUNT(*) FROM t").unwrap().first(), "0");
        refused(c.query("EXECUTE p"), 1243, "HY000");
        refused(c.execute_prepared(id, &[]), 1243, "HY000");
        assert_eq!(c.query("SELECT ROW_COUNT(), LAST_INSERT_ID(), FOUND_ROWS()").unwrap().texts()[0][1], "0");
    }
}

#[test]
fn the_user_can_be_changed_from_plugin_to_plugin() {
    let server = Server::start();
    let mut root = server.connect().unwrap();
    for sql in [
        "CREATE DATABASE d",
        "CREATE USER sha IDENTIFIED WITH caching_sha2_password BY 'one'",
        "CREATE USER nat IDENTIFIED WITH mysql_native_password BY 'two'",
        "CREATE USER bare",
        "GRANT ALL ON d.* TO sha",
        "GRANT ALL ON d.* TO nat",
    ] {
        root.query(sql).unwrap();
    }
    let mut c = with(&server, &Options { database: Some("d"), ..Options::default() }).unwrap();
    c.query("SET @x = 1, sql_mode = ''").unwrap();
    let (id, _) = c.prepare("SELECT 1").unwrap();
    c.change_user("sha", "one", Some("d")).unwrap();
    assert_eq!(c.login_steps, ["caching_sha2_password", "full"]);
    assert_eq!(
        c.query("SELECT SUBSTRING_INDEX(CURRENT_USER(), '@', 1), DATABASE(), @x, @@sql_mode <> ''").unwrap().texts(),
        [["sha", "d", "NULL", "1"]]
    );
    refused(c.execute_prepared(id, &[]), 1243, "HY000");
    c.change_user("nat", "two", None).unwrap();
    assert_eq!(c.login_steps, ["mysql_native_password"]);
    assert_eq!(c.query("SELECT SUBSTRING_INDEX(CURRENT_USER(), '@', 1), DATABASE()").unwrap().texts(), [["nat", "NULL"]]);
    c.change_user("sha", "one", Some("d")).unwrap();
    assert_eq!(c.login_steps, ["caching_sha2_password", "fast"]);
    c.change_user("bare", "", None).unwrap();
    // The list of processes knows it by its new name.
    let users = root.query("SELECT USER FROM information_schema.PROCESSLIST ORDER BY 1").unwrap().texts();
    assert_eq!(users, [["bare"], ["root"]]);
    refused(c.change_user("root", "", Some("nosuch")).map(drop), 1049, "42000");
    // Refused, it is told so, and out.
    let mut c = server.connect().unwrap();
    refused(c.change_user("sha", "wrong", None).map(drop), 1045, "28000");
    assert!(c.ping().is_err());
    // A client from before plugins proves itself with the greeting's salt.
    let mut old = with(
        &server,
        &Options {
            capabilities: ASKED & !flag::PLUGIN_AUTH,
            plugin: Some("mysql_native_password"),
            user: "nat",
            password: "two",
            ..Options::default()
        },
    )
    .unwrap();
    old.change_user("nat", "two", Some("d")).unwrap();
    refused(old.change_user("sha", "one", None).map(drop), 1251, "08004");
}

#[test]
fn commands_besides_queries() {
    let server = Server::start();
    for capabilities in [ASKED, ASKED | flag::DEPRECATE_EOF] {
        let mut c = in_database(&server, capabilities);
        c.query("DROP VIEW IF EXISTS w").unwrap();
        c.query("DROP TABLE IF EXISTS t").unwrap();
        c.query("CREATE TABLE t (id INT PRIMARY KEY, name VARCHAR(10) NOT NULL DEFAULT 'nobody', n INT, at DATETIME DEFAULT CURRENT_TIMESTAMP)")
            .unwrap();
        c.query("CREATE VIEW w AS SELECT id, name FROM t").unwrap();
        let fields = |c: &mut Client, table: &str, like: &str| {
            c.field_list(table, like).map(|f| f.into_iter().map(|f| (f.name, f.default.unwrap().unwrap_or("NULL".into()))).collect::<Vec<_>>())
        };
        let pair = |a: &str, b: &str| (a.to_string(), b.to_string());
        assert_eq!(fields(&mut c, "t", "").unwrap(), [pair("id", "NULL"), pair("name", "nobody"), pair("n", "NULL"), pair("at", "NULL")]);
        assert_eq!(fields(&mut c, "t", "n%").unwrap(), [pair("name", "nobody"), pair("n", "NULL")]);
        assert_eq!(fields(&mut c, "w", "").unwrap().len(), 2);
        refused(fields(&mut c, "nosuch", ""), 1146, "42S02");
        c.command(0x09, &[]).unwrap();
        let text = String::from_utf8(c.read_packet().unwrap()).unwrap();
        assert!(text.starts_with("Uptime: ") && text.contains("  Threads: ") && text.contains("  Questions: "), "{text}");
        c.command(0x02, b"information_schema").unwrap();
        c.answer().unwrap();
        assert_eq!(c.query("SELECT DATABASE()").unwrap().first(), "information_schema");
        c.command(0x02, b"nosuch").unwrap();
        refused(c.answer(), 1049, "42000");
        // What we do not know, and what MySQL has given up, is an error, never an OK.
        for code in [0x00, 0x05, 0x06, 0x0A, 0x0B, 0x0D, 0x0F, 0x10, 0x12, 0x13, 0x14, 0x15, 0x1D, 0x1E, 0x20, 0x21, 0x7F, 0xFF] {
            c.command(code, b"x").unwrap();
            refused(c.answer(), 1047, "08S01");
        }
        // A command cut short.
        for (code, body) in [(0x0C, &[1u8][..]), (0x17, &[1, 0]), (0x1C, &[1, 0, 0, 0]), (0x1B, &[1]), (0x1A, &[])] {
            c.command(code, body).unwrap();
            refused(c.answer(), 1835, "HY000");
        }
        // COM_REFRESH: grants, log, tables, hosts, status, threads. What belongs to replication is refused.
        c.command(0x07, &[0x3F]).unwrap();
        assert_eq!(c.answer().unwrap().warnings, 0);
        c.command(0x07, &[0x80]).unwrap();
        refused(c.answer(), 1235, "42000");
        c.ping().unwrap();
        c.command(0x01, &[]).unwrap();
        assert!(c.read_packet().is_err());
    }
    // What old tools ask for with commands of their own needs the same privileges as the statements.
    server.connect().unwrap().query("CREATE USER plain").unwrap();
    let mut plain = with(&server, &Options { user: "plain", ..Options::default() }).unwrap();
    for (code, body) in [(0x07, &[4u8][..]), (0x08, &[])] {
        plain.command(code, body).unwrap();
        refused(plain.answer(), 1227, "42000");
    }
    plain.ping().unwrap();
    let mut root = server.connect().unwrap();
    root.command(0x08, &[]).unwrap();
    root.answer().unwrap();
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while server.connect().is_ok() {
        assert!(std::time::Instant::now() < deadline, "COM_SHUTDOWN ends nothing");
    }
}

#[test]
fn kill_ends_statements_and_connections() {
    let server = Server::start();
    let mut root = in_database(&server, ASKED);
    root.query("CREATE TABLE t (id INT PRIMARY KEY, v INT)").unwrap();
    root.query("INSERT INTO t VALUES (1, 1)").unwrap();
    let running = |root: &mut Client, id: u32, what: &str| {
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        let sql = format!("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE ID = {id} AND COMMAND = 'Query' AND INFO LIKE '{what}%'");
        while root.query(&sql).unwrap().first() != "1" {
            assert!(std::time::Instant::now() < deadline, "{what} does not run");
        }
    };
    // KILL QUERY: a sleeping statement, one that computes, one that waits for a row.
    let mut c = in_database(&server, ASKED);
    for sql in [
        "SELECT SLEEP(100)",
        "DO SLEEP(100)",
        "SELECT id, SLEEP(100) FROM t",
        "SELECT COUNT(*) FROM (WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 1000) SELECT a.n FROM r a, r b, r c) x",
        "UPDATE t SET v = 3 WHERE id = 1",
        "SELECT v FROM t WHERE id = 1 FOR UPDATE",
    ] {
        root.query("BEGIN").unwrap();
        root.query("UPDATE t SET v = 2 WHERE id = 1").unwrap();
        c.send_query(sql.as_bytes()).unwrap();
        running(&mut root, c.connection_id, &sql[..10]);
        root.query(&format!("KILL QUERY {}", c.connection_id)).unwrap();
        c.set_timeout(Duration::from_secs(20)).unwrap();
        match c.receive() {
            // Only what does nothing but sleep is told so by its answer.
            Ok(a) if sql.starts_with("SELECT SLEEP") => assert_eq!(a.first(), "1", "{sql}"),
            Ok(_) => assert!(sql.starts_with("DO"), "{sql} was not ended"),
            Err(e) => {
                assert_eq!((e.code(), e.state()), (1317, "70100"), "{sql}: {e}");
                assert!(!sql.starts_with("SELECT SLEEP") && !sql.starts_with("DO"), "{sql}: {e}");
            }
        }
        c.ping().unwrap();
        root.query("ROLLBACK").unwrap();
    }
    assert_eq!(c.query("SELECT v FROM t").unwrap().first(), "1");
    // KILL: while a statement runs, and while none does.
    c.query("BEGIN").unwrap();
    c.query("UPDATE t SET v = 9 WHERE id = 1").unwrap();
    c.send_query(b"SELECT SLEEP(100)").unwrap();
    running(&mut root, c.connection_id, "SELECT SLE");
    root.query(&format!("KILL CONNECTION {}", c.connection_id)).unwrap();
    assert!(c.receive().and_then(|_| c.ping()).is_err());
    // Its transaction is gone, its locks too.
    assert_eq!(root.query("UPDATE t SET v = v + 1 WHERE id = 1").unwrap().affected, 1);
    assert_eq!(root.query("SELECT v FROM t").unwrap().first(), "2");
    let mut idle = in_database(&server, ASKED);
    root.command(0x0C, &idle.connection_id.to_le_bytes()).unwrap();
    root.answer().unwrap();
    let notice = idle.read_packet().unwrap();
    assert_eq!((notice[0], u16::from_le_bytes([notice[1], notice[2]])), (0xFF, 3169));
    refused(root.query("KILL 4711"), 1094, "HY000");
    // Somebody else's is not one's own to kill.
    root.query("CREATE USER plain").unwrap();
    let mut plain = with(&server, &Options { user: "plain", ..Options::default() }).unwrap();
    refused(plain.query(&format!("KILL {}", root.connection_id)), 1095, "HY000");
    let own = with(&server, &Options { user: "plain", ..Options::default() }).unwrap();
    plain.query(&format!("KILL {}", own.connection_id)).unwrap();
}
