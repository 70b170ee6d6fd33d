//! A small blocking MySQL client: text protocol, prepared statements, raw packets.
//!
//! Owns:     one connection.
//! Promises: shows what the server said, undecorated: values as text, errors with number and SQLSTATE, counts, whether more results follow.
//! Never:    retries, reconnects, or waits longer than its timeout.

use rsa::pkcs8::DecodePublicKey;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;
use weald_wire::constants::{client as flag, column, status};
use weald_wire::handshake::{Login, encode_login, read_greeting};
use weald_wire::scramble::{native_answer, sha2_answer};
use weald_wire::value::{Reader, put_lenenc_bytes};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerError {
    pub code: u16,
    pub state: String,
    pub message: String,
}

#[derive(Debug)]
pub enum Error {
    Server(ServerError),
    /// The connection is gone, or did not answer in time.
    Io(io::Error),
    /// The server said something that is not MySQL's protocol.
    Protocol(String),
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Error::Server(e) => write!(f, "error {} {}: {}", e.code, e.state, e.message),
            Error::Io(e) => write!(f, "connection: {e}"),
            Error::Protocol(e) => write!(f, "protocol: {e}"),
        }
    }
}

impl std::error::Error for Error {}
impl From<io::Error> for Error {
    fn from(e: io::Error) -> Self {
        Error::Io(e)
    }
}
impl From<weald_wire::Error> for Error {
    fn from(e: weald_wire::Error) -> Self {
        Error::Protocol(e.to_string())
    }
}

impl Error {
    /// The server's error number; 0 where it was not the server that spoke.
    pub fn code(&self) -> u16 {
        match self {
            Error::Server(e) => e.code,
            _ => 0,
        }
    }
}

/// What one statement answered.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answer {
    /// Empty: no result set, only counts.
    pub columns: Vec<Column>,
    pub rows: Vec<Vec<Option<Vec<u8>>>>,
    pub affected: u64,
    pub insert_id: u64,
    pub warnings: u16,
    pub status: u16,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    pub name: String,
    pub kind: u8,
    pub flags: u16,
    pub decimals: u8,
}

impl Answer {
    /// The first cell as text; empty where there is none or it is NULL.
    pub fn first(&self) -> String {
        self.rows.first().and_then(|r| r.first()).and_then(|c| c.as_ref()).map(|b| String::from_utf8_lossy(b).into_owned()).unwrap_or_default()
    }
    pub fn first_int(&self) -> i64 {
        self.first().parse().unwrap_or_else(|_| panic!("not a whole number: {:?}", self.first()))
    }
}

/// A parameter of a prepared statement.
#[derive(Debug, Clone, PartialEq)]
pub enum Param {
    Null,
    Int(i64),
    Double(f64),
    Text(String),
}

pub struct Client {
    stream: TcpStream,
    sequence: u8,
    pub connection_id: u32,
    pub version: String,
}

const ASKED: u32 = flag::LONG_PASSWORD
    | flag::LONG_FLAG
    | flag::PROTOCOL_41
    | flag::TRANSACTIONS
    | flag::SECURE_CONNECTION
    | flag::MULTI_STATEMENTS
    | flag::MULTI_RESULTS
    | flag::PS_MULTI_RESULTS
    | flag::PLUGIN_AUTH;

impl Client {
    pub fn root(port: u16) -> Result<Self, Error> {
        Self::connect("127.0.0.1", port, "root", "", None)
    }

    pub fn connect(host: &str, port: u16, user: &str, password: &str, database: Option<&str>) -> Result<Self, Error> {
        let stream = TcpStream::connect((host, port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        stream.set_write_timeout(Some(Duration::from_secs(60)))?;
        let mut c = Self { stream, sequence: 0, connection_id: 0, version: String::new() };
        let greeting = c.read_packet()?;
        if greeting.first() == Some(&0xFF) {
            return Err(error_packet(&greeting));
        }
        let (version, id, mut scramble, offered, mut plugin) = read_greeting(&greeting)?;
        (c.version, c.connection_id) = (version, id);
        if plugin != "mysql_native_password" && plugin != "caching_sha2_password" {
            plugin = "mysql_native_password".into();
        }
        let mut capabilities = ASKED & (offered | flag::LONG_PASSWORD);
        if database.is_some() {
            capabilities |= flag::CONNECT_WITH_DB;
        }
        let login = Login {
            capabilities,
            max_packet: 1 << 30,
            // utf8mb4_general_ci, known to MySQL and MariaDB.
            collation: 45,
            user: user.into(),
            auth: answer(&plugin, password, &scramble)?,
            database: database.map(Into::into),
            plugin: Some(plugin.clone()),
            ..Login::default()
        };
        let mut out = Vec::new();
        encode_login(&mut out, &login);
        c.write_packet(&out)?;
        loop {
            let p = c.read_packet()?;
            match p.first() {
                Some(0x00) => return Ok(c),
                Some(0xFF) => return Err(error_packet(&p)),
                // caching_sha2: 3 = the fast way succeeded, 4 = the server wants the password itself, sealed with its key.
                Some(0x01) if p.get(1) == Some(&3) => continue,
                Some(0x01) if p.get(1) == Some(&4) => {
                    c.write_packet(&[2])?;
                    let key = c.read_packet()?;
                    if key.first() == Some(&0xFF) {
                        return Err(error_packet(&key));
                    }
                    let sealed = seal(&key[1..], password, &scramble)?;
                    c.write_packet(&sealed)?;
                }
                Some(0xFE) => {
                    let mut r = Reader::new(&p[1..]);
                    plugin = String::from_utf8_lossy(r.zero_ended()).into_owned();
                    scramble.copy_from_slice(r.bytes(20)?);
                    let a = answer(&plugin, password, &scramble)?;
                    c.write_packet(&a)?;
                }
                _ => return Err(Error::Protocol(format!("unexpected packet during login: {p:02x?}"))),
            }
        }
    }

    pub fn set_timeout(&self, d: Duration) -> Result<(), Error> {
        self.stream.set_read_timeout(Some(d))?;
        self.stream.set_write_timeout(Some(d))?;
        Ok(())
    }

    /// Runs one statement; gives its first result and discards those of further statements in the text.
    pub fn query(&mut self, sql: &str) -> Result<Answer, Error> {
        self.query_bytes(sql.as_bytes())
    }

    pub fn query_bytes(&mut self, sql: &[u8]) -> Result<Answer, Error> {
        self.send_query(sql)?;
        self.receive()
    }

    /// The two halves of [`Client::query`], for statements that wait for a lock.
    pub fn send_query(&mut self, sql: &[u8]) -> Result<(), Error> {
        self.command(0x03, sql)
    }

    pub fn receive(&mut self) -> Result<Answer, Error> {
        let first = self.read_result(false)?;
        let mut more = first.status & status::MORE_RESULTS != 0;
        while more {
            more = self.read_result(false)?.status & status::MORE_RESULTS != 0;
        }
        Ok(first)
    }

    /// All results of a text of several statements; stops at the first error.
    pub fn query_all(&mut self, sql: &str) -> Result<Vec<Answer>, Error> {
        self.command(0x03, sql.as_bytes())?;
        let mut all = Vec::new();
        loop {
            let a = self.read_result(false)?;
            let more = a.status & status::MORE_RESULTS != 0;
            all.push(a);
            if !more {
                return Ok(all);
            }
        }
    }

    /// Whether an answer has begun to arrive within `wait`.
    pub fn answered_within(&mut self, wait: Duration) -> Result<bool, Error> {
        self.stream.set_read_timeout(Some(wait))?;
        let seen = self.stream.peek(&mut [0]);
        self.stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        match seen {
            Ok(_) => Ok(true),
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => Ok(false),
            Err(e) => Err(e.into()),
        }
    }

    pub fn ping(&mut self) -> Result<(), Error> {
        self.command(0x0E, &[])?;
        self.read_result(false).map(drop)
    }

    /// Prepare, execute once, close.
    pub fn execute(&mut self, sql: &str, params: &[Param]) -> Result<Answer, Error> {
        let (id, _) = self.prepare(sql)?;
        let answer = self.execute_prepared(id, params);
        self.command(0x19, &id.to_le_bytes())?;
        answer
    }

    /// The statement's id and how many parameters it takes.
    pub fn prepare(&mut self, sql: &str) -> Result<(u32, u16), Error> {
        self.command(0x16, sql.as_bytes())?;
        let p = self.read_packet()?;
        if p.first() == Some(&0xFF) {
            return Err(error_packet(&p));
        }
        let mut r = Reader::new(&p[1..]);
        let (id, columns, params) = (r.u32()?, r.u16()?, r.u16()?);
        for count in [params, columns] {
            for _ in 0..count {
                self.read_packet()?;
            }
            if count > 0 {
                self.read_packet()?;
            }
        }
        Ok((id, params))
    }

    pub fn execute_prepared(&mut self, id: u32, params: &[Param]) -> Result<Answer, Error> {
        let mut b = id.to_le_bytes().to_vec();
        b.extend_from_slice(&[0, 1, 0, 0, 0]);
        if !params.is_empty() {
            let nulls = b.len();
            b.resize(nulls + params.len().div_ceil(8), 0);
            b.push(1);
            for (i, p) in params.iter().enumerate() {
                let kind = match p {
                    Param::Null => {
                        b[nulls + i / 8] |= 1 << (i % 8);
                        column::NULL
                    }
                    Param::Int(_) => column::LONGLONG,
                    Param::Double(_) => column::DOUBLE,
                    Param::Text(_) => column::VAR_STRING,
                };
                b.extend_from_slice(&[kind, 0]);
            }
            for p in params {
                match p {
                    Param::Null => (),
                    Param::Int(n) => b.extend_from_slice(&n.to_le_bytes()),
                    Param::Double(d) => b.extend_from_slice(&d.to_le_bytes()),
                    Param::Text(s) => put_lenenc_bytes(&mut b, s.as_bytes()),
                }
            }
        }
        self.command(0x17, &b)?;
        self.read_result(true)
    }

    fn command(&mut self, code: u8, body: &[u8]) -> Result<(), Error> {
        self.sequence = 0;
        let mut p = Vec::with_capacity(body.len() + 1);
        p.push(code);
        p.extend_from_slice(body);
        self.write_packet(&p)
    }

    fn read_result(&mut self, binary: bool) -> Result<Answer, Error> {
        let p = self.read_packet()?;
        match p.first() {
            None => return Err(Error::Protocol("empty packet".into())),
            Some(0xFF) => return Err(error_packet(&p)),
            Some(0x00) => {
                let mut r = Reader::new(&p[1..]);
                let (affected, insert_id) = (r.lenenc()?, r.lenenc()?);
                let (status, warnings) = (r.u16()?, r.u16()?);
                return Ok(Answer { affected, insert_id, warnings, status, ..Answer::default() });
            }
            Some(0xFB) => {
                // LOAD DATA LOCAL: this client sends no files.
                self.write_packet(&[])?;
                return self.read_result(binary);
            }
            Some(_) => (),
        }
        let count = Reader::new(&p).lenenc()?;
        let mut answer = Answer::default();
        for _ in 0..count {
            let p = self.read_packet()?;
            let mut r = Reader::new(&p);
            for _ in 0..4 {
                r.lenenc_bytes()?;
            }
            let name = String::from_utf8_lossy(r.lenenc_bytes()?).into_owned();
            r.lenenc_bytes()?;
            r.lenenc()?;
            r.u16()?;
            r.u32()?;
            let (kind, flags, decimals) = (r.u8()?, r.u16()?, r.u8()?);
            answer.columns.push(Column { name, kind, flags, decimals });
        }
        let eof = self.read_packet()?;
        if eof.first() != Some(&0xFE) {
            return Err(Error::Protocol(format!("no EOF after the columns: {eof:02x?}")));
        }
        loop {
            let p = self.read_packet()?;
            match p.first() {
                Some(0xFF) => return Err(error_packet(&p)),
                Some(0xFE) if p.len() < 9 => {
                    let mut r = Reader::new(&p[1..]);
                    (answer.warnings, answer.status) = (r.u16()?, r.u16()?);
                    return Ok(answer);
                }
                _ if binary => answer.rows.push(binary_row(&p, &answer.columns)?),
                _ => {
                    let mut r = Reader::new(&p);
                    let mut row = Vec::with_capacity(answer.columns.len());
                    for _ in 0..answer.columns.len() {
                        if r.rest().first() == Some(&0xFB) {
                            r.u8()?;
                            row.push(None);
                        } else {
                            row.push(Some(r.lenenc_bytes()?.to_vec()));
                        }
                    }
                    answer.rows.push(row);
                }
            }
        }
    }

    /// One packet, joined if it came in several frames.
    pub fn read_packet(&mut self) -> Result<Vec<u8>, Error> {
        let mut whole = Vec::new();
        loop {
            let mut h = [0; 4];
            self.stream.read_exact(&mut h)?;
            let len = u32::from_le_bytes([h[0], h[1], h[2], 0]) as usize;
            self.sequence = h[3].wrapping_add(1);
            let at = whole.len();
            whole.resize(at + len, 0);
            self.stream.read_exact(&mut whole[at..])?;
            if len < 0xFF_FFFF {
                return Ok(whole);
            }
        }
    }

    pub fn write_packet(&mut self, payload: &[u8]) -> Result<(), Error> {
        let mut out = Vec::with_capacity(payload.len() + 8);
        let mut rest = payload;
        loop {
            let n = rest.len().min(0xFF_FFFF);
            out.extend_from_slice(&(n as u32).to_le_bytes()[..3]);
            out.push(self.sequence);
            self.sequence = self.sequence.wrapping_add(1);
            out.extend_from_slice(&rest[..n]);
            rest = &rest[n..];
            if n < 0xFF_FFFF {
                break;
            }
        }
        self.stream.write_all(&out)?;
        Ok(())
    }

    /// Bytes as they are, for a client that misbehaves.
    pub fn write_raw(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.stream.write_all(bytes)?;
        Ok(())
    }
}

fn answer(plugin: &str, password: &str, scramble: &[u8; 20]) -> Result<Vec<u8>, Error> {
    match plugin {
        "mysql_native_password" => Ok(native_answer(password.as_bytes(), scramble)),
        "caching_sha2_password" => Ok(sha2_answer(password.as_bytes(), scramble)),
        other => Err(Error::Protocol(format!("unknown authentication plugin {other}"))),
    }
}

/// The password under the server's RSA key, as caching_sha2_password wants it where there is no TLS.
fn seal(pem: &[u8], password: &str, scramble: &[u8; 20]) -> Result<Vec<u8>, Error> {
    let bad = |e: String| Error::Protocol(format!("the server's public key: {e}"));
    let text = std::str::from_utf8(pem).map_err(|e| bad(e.to_string()))?;
    let key = rsa::RsaPublicKey::from_public_key_pem(text.trim_end_matches('\0')).map_err(|e| bad(e.to_string()))?;
    let mut plain = password.as_bytes().to_vec();
    plain.push(0);
    weald_wire::scramble::unxor_password(&mut plain, scramble);
    key.encrypt(&mut rsa::rand_core::OsRng, rsa::Oaep::new::<sha1::Sha1>(), &plain).map_err(|e| bad(e.to_string()))
}

fn error_packet(p: &[u8]) -> Error {
    let mut r = Reader::new(p.get(1..).unwrap_or_default());
    let code = r.u16().unwrap_or_default();
    let mut state = String::new();
    if r.rest().first() == Some(&b'#') {
        state = String::from_utf8_lossy(&r.bytes(6).unwrap_or_default()[1..]).into_owned();
    }
    Error::Server(ServerError { code, state, message: String::from_utf8_lossy(r.rest()).into_owned() })
}

/// A binary row, its values written as the text protocol would.
fn binary_row(p: &[u8], columns: &[Column]) -> Result<Vec<Option<Vec<u8>>>, Error> {
    let mut r = Reader::new(p);
    r.u8()?;
    let nulls = r.bytes((columns.len() + 9) / 8)?;
    let mut row = Vec::with_capacity(columns.len());
    for (i, c) in columns.iter().enumerate() {
        if nulls[(i + 2) / 8] >> ((i + 2) % 8) & 1 == 1 {
            row.push(None);
            continue;
        }
        let unsigned = c.flags & weald_wire::constants::flag::UNSIGNED != 0;
        let text = match c.kind {
            column::TINY => {
                let n = r.u8()?;
                if unsigned { n.to_string() } else { (n as i8).to_string() }
            }
            column::SHORT | column::YEAR => {
                let n = r.u16()?;
                if unsigned || c.kind == column::YEAR { n.to_string() } else { (n as i16).to_string() }
            }
            column::LONG | column::INT24 => {
                let n = r.u32()?;
                if unsigned { n.to_string() } else { (n as i32).to_string() }
            }
            column::LONGLONG => {
                let n = r.u64()?;
                if unsigned { n.to_string() } else { (n as i64).to_string() }
            }
            column::FLOAT => f32::from_bits(r.u32()?).to_string(),
            column::DOUBLE => f64::from_bits(r.u64()?).to_string(),
            column::DATE | column::DATETIME | column::TIMESTAMP => {
                let len = r.u8()?;
                let mut d = [0u8; 11];
                d[..len.min(11) as usize].copy_from_slice(r.bytes(len as usize)?);
                let date = format!("{:04}-{:02}-{:02}", u16::from_le_bytes([d[0], d[1]]), d[2], d[3]);
                if c.kind == column::DATE {
                    date
                } else {
                    format!("{date} {:02}:{:02}:{:02}{}", d[4], d[5], d[6], fraction([d[7], d[8], d[9], d[10]], c.decimals))
                }
            }
            column::TIME => {
                let len = r.u8()?;
                let mut d = [0u8; 12];
                d[..len.min(12) as usize].copy_from_slice(r.bytes(len as usize)?);
                let hours = u32::from_le_bytes([d[1], d[2], d[3], d[4]]) * 24 + d[5] as u32;
                format!("{}{hours:02}:{:02}:{:02}{}", if d[0] == 1 { "-" } else { "" }, d[6], d[7], fraction([d[8], d[9], d[10], d[11]], c.decimals))
            }
            _ => {
                row.push(Some(r.lenenc_bytes()?.to_vec()));
                continue;
            }
        };
        row.push(Some(text.into_bytes()));
    }
    Ok(row)
}

fn fraction(micros: [u8; 4], decimals: u8) -> String {
    if decimals == 0 || decimals > 6 {
        return String::new();
    }
    format!(".{}", &format!("{:06}", u32::from_le_bytes(micros))[..decimals as usize])
}
