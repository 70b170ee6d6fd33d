//! A small blocking MySQL client: text protocol, prepared statements, raw packets.
//!
//! Owns:     one connection.
//! Promises: shows what the server said, undecorated: values as text, errors with number and SQLSTATE, counts, whether more results follow.
//! Never:    retries, reconnects, or waits longer than its timeout.

mod answer;
mod stream;

pub use answer::{Answer, Column};
pub use stream::Tls;

use answer::error_packet;
use rsa::pkcs8::DecodePublicKey;
use std::io;
use std::net::TcpStream;
use std::time::Duration;
use stream::Stream;
use weald_wire::compress::{Algorithm, Compressor};
use weald_wire::constants::{client as flag, column, status};
use weald_wire::handshake::{self, Login, encode_login, read_greeting};
use weald_wire::scramble::{native_answer, sha2_answer};
use weald_wire::value::{Reader, put_lenenc, put_lenenc_bytes};

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
            Error::Io(_) | Error::Protocol(_) => 0,
        }
    }
    pub fn state(&self) -> &str {
        match self {
            Error::Server(e) => &e.state,
            Error::Io(_) | Error::Protocol(_) => "",
        }
    }
}

/// A parameter of a prepared statement.
#[derive(Debug, Clone, PartialEq)]
pub enum Param {
    Null,
    Int(i64),
    Double(f64),
    Text(String),
    /// Any type's code (with [`UNSIGNED`] if it is), and the value's bytes as they travel.
    Raw(u16, Vec<u8>),
    /// Sent before with [`Client::send_long_data`]: only its type is told.
    Long(u8),
}

/// Added to a parameter's type.
pub const UNSIGNED: u16 = 0x8000;

pub struct Client {
    stream: Stream,
    sequence: u8,
    /// What was sent raw has numbers we do not know: the answer's is taken as it is.
    number_unknown: bool,
    pub connection_id: u32,
    pub version: String,
    pub capabilities: u32,
    scramble: [u8; 20],
    /// Names of the plugins the server asked for, in order, and `full` where it wanted the whole password.
    pub login_steps: Vec<String>,
    /// The OK that let us in.
    pub welcome: Answer,
}

/// How to come in.
#[derive(Clone, Debug)]
pub struct Options<'a> {
    pub user: &'a str,
    pub password: &'a str,
    pub database: Option<&'a str>,
    pub capabilities: u32,
    /// The plugin of the first answer; `None`: the greeting's.
    pub plugin: Option<&'a str>,
    pub tls: Option<Tls>,
    pub collation: u16,
    pub attributes: &'a [(&'a str, &'a str)],
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self {
            user: "root",
            password: "",
            database: None,
            capabilities: ASKED,
            plugin: None,
            tls: None,
            // utf8mb4_general_ci, known to MySQL and MariaDB.
            collation: 45,
            attributes: &[],
        }
    }
}

/// What a client asks for that wants nothing special.
pub const ASKED: u32 = flag::LONG_PASSWORD
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
        Self::with(host, port, &Options { user, password, database, ..Options::default() })
    }

    pub fn with(host: &str, port: u16, options: &Options<'_>) -> Result<Self, Error> {
        let socket = TcpStream::connect((host, port))?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(Duration::from_secs(60)))?;
        socket.set_write_timeout(Some(Duration::from_secs(60)))?;
        let mut c = Self {
            stream: Stream::new(socket),
            sequence: 0,
            number_unknown: false,
            connection_id: 0,
            version: String::new(),
            capabilities: 0,
            scramble: [0; 20],
            login_steps: Vec::new(),
            welcome: Answer::default(),
        };
        let greeting = c.read_packet()?;
        if greeting.first() == Some(&0xFF) {
            return Err(error_packet(&greeting));
        }
        let (version, id, scramble, offered, mut plugin) = read_greeting(&greeting)?;
        (c.version, c.connection_id, c.scramble) = (version, id, scramble);
        if plugin != "mysql_native_password" && plugin != "caching_sha2_password" {
            plugin = "mysql_native_password".into();
        }
        if let Some(wanted) = options.plugin {
            plugin = wanted.into();
        }
        c.capabilities = options.capabilities & (offered | flag::LONG_PASSWORD);
        if options.database.is_some() {
            c.capabilities |= flag::CONNECT_WITH_DB;
        }
        if let Some(tls) = &options.tls {
            c.capabilities |= flag::SSL;
            let mut request = Vec::new();
            request.extend_from_slice(&[32, 0, 0, c.sequence]);
            request.extend_from_slice(&c.capabilities.to_le_bytes());
            request.extend_from_slice(&(1u32 << 30).to_le_bytes());
            request.push(options.collation as u8);
            request.extend_from_slice(&[0; 23]);
            c.sequence += 1;
            c.stream = c.stream.start_tls(tls, &request)?;
        }
        let login = Login {
            capabilities: c.capabilities,
            max_packet: 1 << 30,
            collation: options.collation,
            user: options.user.into(),
            auth: answer(&plugin, options.password, &scramble)?,
            database: options.database.map(Into::into),
            plugin: Some(plugin),
            attributes: options.attributes.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect(),
            zstd_level: 3,
        };
        let mut out = Vec::new();
        encode_login(&mut out, &login);
        c.write_packet(&out)?;
        c.prove(options.password)?;
        if c.capabilities & flag::COMPRESS != 0 {
            c.stream.compress(Compressor::new(Algorithm::Zlib));
        } else if c.capabilities & flag::ZSTD_COMPRESSION != 0 {
            c.stream.compress(Compressor::new(Algorithm::Zstd { level: 3 }));
        }
        Ok(c)
    }

    /// Answers what the server asks until it lets us in.
    fn prove(&mut self, password: &str) -> Result<(), Error> {
        loop {
            let p = self.read_packet()?;
            match p.first() {
                Some(0x00) => {
                    self.welcome = answer::ok(&p, self.capabilities)?;
                    return Ok(());
                }
                Some(0xFF) => return Err(error_packet(&p)),
                // caching_sha2: 3 = the fast way succeeded, 4 = the server wants the password itself.
                Some(0x01) if p.get(1) == Some(&3) => self.login_steps.push("fast".into()),
                Some(0x01) if p.get(1) == Some(&4) => {
                    self.login_steps.push("full".into());
                    if self.stream.tls_version().is_some() {
                        self.write_packet(&[password.as_bytes(), &[0]].concat())?;
                        continue;
                    }
                    self.write_packet(&[2])?;
                    let key = self.read_packet()?;
                    if key.first() == Some(&0xFF) {
                        return Err(error_packet(&key));
                    }
                    let sealed = seal(&key[1..], password, &self.scramble)?;
                    self.write_packet(&sealed)?;
                }
                Some(0xFE) => {
                    let mut r = Reader::new(&p[1..]);
                    let plugin = String::from_utf8_lossy(r.zero_ended()).into_owned();
                    self.scramble.copy_from_slice(r.bytes(20)?);
                    let a = answer(&plugin, password, &self.scramble)?;
                    self.login_steps.push(plugin);
                    self.write_packet(&a)?;
                }
                _ => return Err(Error::Protocol(format!("unexpected packet during login: {p:02x?}"))),
            }
        }
    }

    pub fn tls_version(&self) -> Option<rustls::ProtocolVersion> {
        self.stream.tls_version()
    }

    pub fn set_timeout(&self, d: Duration) -> Result<(), Error> {
        self.stream.tcp().set_read_timeout(Some(d))?;
        self.stream.tcp().set_write_timeout(Some(d))?;
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
        if self.capabilities & flag::QUERY_ATTRIBUTES == 0 {
            return self.command(0x03, sql);
        }
        // No attributes, one set of them.
        self.command(0x03, &[&[0, 1], sql].concat())
    }

    pub fn receive(&mut self) -> Result<Answer, Error> {
        let first = self.read_result(false)?;
        let mut more = first.has_status(status::MORE_RESULTS);
        while more {
            more = self.read_result(false)?.has_status(status::MORE_RESULTS);
        }
        Ok(first)
    }

    /// All results of a text of several statements; stops at the first error.
    pub fn query_all(&mut self, sql: &str) -> Result<Vec<Answer>, Error> {
        self.send_query(sql.as_bytes())?;
        let mut all = Vec::new();
        loop {
            let a = self.read_result(false)?;
            let more = a.has_status(status::MORE_RESULTS);
            all.push(a);
            if !more {
                return Ok(all);
            }
        }
    }

    /// Whether an answer has begun to arrive within `wait`.
    pub fn answered_within(&mut self, wait: Duration) -> Result<bool, Error> {
        let tcp = self.stream.tcp();
        tcp.set_read_timeout(Some(wait))?;
        let seen = tcp.peek(&mut [0]);
        tcp.set_read_timeout(Some(Duration::from_secs(60)))?;
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

    /// LOAD DATA LOCAL: sends `pieces` when the server asks for the file; gives the file's name too.
    pub fn load(&mut self, sql: &str, pieces: &[&[u8]]) -> Result<(String, Answer), Error> {
        self.send_query(sql.as_bytes())?;
        let p = self.read_packet()?;
        match p.first() {
            Some(0xFB) => (),
            Some(0xFF) => return Err(error_packet(&p)),
            _ => return Err(Error::Protocol(format!("the server asks for no file: {p:02x?}"))),
        }
        for piece in pieces {
            self.write_packet(piece)?;
        }
        self.write_packet(&[])?;
        let answer = self.read_result(false)?;
        Ok((String::from_utf8_lossy(&p[1..]).into_owned(), answer))
    }

    // ------------------------------------------------------------------ prepared statements

    /// Prepare, execute once, close.
    pub fn execute(&mut self, sql: &str, params: &[Param]) -> Result<Answer, Error> {
        let (id, _) = self.prepare(sql)?;
        let answer = self.execute_prepared(id, params);
        self.close(id)?;
        answer
    }

    pub fn close(&mut self, id: u32) -> Result<(), Error> {
        self.command(0x19, &id.to_le_bytes())
    }

    /// The statement's id and how many parameters it takes.
    pub fn prepare(&mut self, sql: &str) -> Result<(u32, u16), Error> {
        self.prepare_columns(sql).map(|(id, params, _)| (id, params))
    }

    /// … and what columns it will give.
    pub fn prepare_columns(&mut self, sql: &str) -> Result<(u32, u16, Vec<Column>), Error> {
        self.command(0x16, sql.as_bytes())?;
        let p = self.read_packet()?;
        if p.first() == Some(&0xFF) {
            return Err(error_packet(&p));
        }
        let mut r = Reader::new(&p[1..]);
        let (id, columns, params) = (r.u32()?, r.u16()?, r.u16()?);
        r.u8()?;
        r.u16()?;
        if self.capabilities & flag::OPTIONAL_RESULTSET_METADATA != 0 && r.u8()? == 0 {
            return Ok((id, params, Vec::new()));
        }
        let mut defined = Vec::new();
        for count in [params, columns] {
            defined = (0..count).map(|_| answer::column_definition(&self.read_packet()?)).collect::<Result<_, _>>()?;
            if count > 0 && self.capabilities & flag::DEPRECATE_EOF == 0 {
                answer::eof(&self.read_packet()?)?;
            }
        }
        Ok((id, params, defined))
    }

    pub fn execute_prepared(&mut self, id: u32, params: &[Param]) -> Result<Answer, Error> {
        self.send_execute(id, 0, params, true)?;
        self.read_result(true)
    }

    /// An execution without the parameters' types, which the server has kept.
    pub fn execute_again(&mut self, id: u32, params: &[Param]) -> Result<Answer, Error> {
        self.send_execute(id, 0, params, false)?;
        self.read_result(true)
    }

    /// With a cursor: gives the columns, and the status that says whether there is one.
    pub fn execute_cursor(&mut self, id: u32, params: &[Param]) -> Result<Answer, Error> {
        self.send_execute(id, 1, params, true)?;
        let p = self.read_packet()?;
        if p.first() == Some(&0xFF) {
            return Err(error_packet(&p));
        }
        let mut answer = self.read_columns(&p)?;
        let end = self.read_packet()?;
        (answer.warnings, answer.status) = answer::end(&end, self.capabilities)?;
        Ok(answer)
    }

    /// COM_STMT_FETCH: rows in the form that `columns` says.
    pub fn fetch(&mut self, id: u32, rows: u32, columns: &[Column]) -> Result<Answer, Error> {
        self.command(0x1C, &[id.to_le_bytes(), rows.to_le_bytes()].concat())?;
        self.read_rows(Answer { columns: columns.to_vec(), ..Answer::default() }, true)
    }

    pub fn reset_statement(&mut self, id: u32) -> Result<Answer, Error> {
        self.command(0x1A, &id.to_le_bytes())?;
        self.read_result(false)
    }

    pub fn send_long_data(&mut self, id: u32, param: u16, piece: &[u8]) -> Result<(), Error> {
        self.command(0x18, &[&id.to_le_bytes()[..], &param.to_le_bytes(), piece].concat())
    }

    fn send_execute(&mut self, id: u32, flags: u8, params: &[Param], with_types: bool) -> Result<(), Error> {
        let attributes = self.capabilities & flag::QUERY_ATTRIBUTES != 0;
        let mut b = id.to_le_bytes().to_vec();
        b.push(if attributes { flags | 8 } else { flags });
        b.extend_from_slice(&[1, 0, 0, 0]);
        if attributes {
            put_lenenc(&mut b, params.len() as u64);
        }
        if !params.is_empty() {
            let nulls = b.len();
            b.resize(nulls + params.len().div_ceil(8), 0);
            b.push(with_types as u8);
            for (i, p) in params.iter().enumerate() {
                let kind = match p {
                    Param::Null => {
                        b[nulls + i / 8] |= 1 << (i % 8);
                        column::NULL as u16
                    }
                    Param::Int(_) => column::LONGLONG as u16,
                    Param::Double(_) => column::DOUBLE as u16,
                    Param::Text(_) => column::VAR_STRING as u16,
                    Param::Raw(kind, _) => *kind,
                    Param::Long(kind) => *kind as u16,
                };
                if with_types {
                    b.extend_from_slice(&kind.to_le_bytes());
                    if attributes {
                        // Its name: parameters of the statement have none.
                        b.push(0);
                    }
                }
            }
            for p in params {
                match p {
                    Param::Null | Param::Long(_) => (),
                    Param::Int(n) => b.extend_from_slice(&n.to_le_bytes()),
                    Param::Double(d) => b.extend_from_slice(&d.to_le_bytes()),
                    Param::Text(s) => put_lenenc_bytes(&mut b, s.as_bytes()),
                    Param::Raw(_, bytes) => b.extend_from_slice(bytes),
                }
            }
        }
        self.command(0x17, &b)
    }

    // ------------------------------------------------------------------ other commands

    /// Any command; [`Client::answer`] or [`Client::read_packet`] reads what comes of it.
    pub fn command(&mut self, code: u8, body: &[u8]) -> Result<(), Error> {
        self.sequence = 0;
        self.stream.restart();
        let mut p = Vec::with_capacity(body.len() + 1);
        p.push(code);
        p.extend_from_slice(body);
        self.write_packet(&p)
    }

    /// An OK, an error, an EOF, or rows as text.
    pub fn answer(&mut self) -> Result<Answer, Error> {
        self.read_result(false)
    }

    pub fn reset_connection(&mut self) -> Result<Answer, Error> {
        self.command(0x1F, &[])?;
        self.answer()
    }

    pub fn change_user(&mut self, user: &str, password: &str, database: Option<&str>) -> Result<Answer, Error> {
        let plugin = "caching_sha2_password";
        let login = Login {
            capabilities: self.capabilities,
            collation: 45,
            user: user.into(),
            auth: answer(if self.capabilities & flag::PLUGIN_AUTH == 0 { "mysql_native_password" } else { plugin }, password, &self.scramble)?,
            database: database.map(Into::into),
            plugin: Some(plugin.into()),
            ..Login::default()
        };
        let mut out = Vec::new();
        handshake::encode_change_user(&mut out, &login);
        self.sequence = 0;
        self.stream.restart();
        self.login_steps.clear();
        self.write_packet(&out)?;
        self.prove(password)?;
        Ok(self.welcome.clone())
    }

    pub fn field_list(&mut self, table: &str, wildcard: &str) -> Result<Vec<Column>, Error> {
        self.command(0x04, &[table.as_bytes(), &[0], wildcard.as_bytes()].concat())?;
        let mut columns = Vec::new();
        loop {
            let p = self.read_packet()?;
            if p.first() == Some(&0xFF) {
                return Err(error_packet(&p));
            }
            if answer::is_end(&p, self.capabilities) {
                answer::end(&p, self.capabilities)?;
                return Ok(columns);
            }
            columns.push(answer::column_definition(&p)?);
        }
    }

    fn read_result(&mut self, binary: bool) -> Result<Answer, Error> {
        let p = self.read_packet()?;
        match p.first() {
            None => Err(Error::Protocol("empty packet".into())),
            Some(0xFF) => Err(error_packet(&p)),
            Some(0x00) => answer::ok(&p, self.capabilities),
            Some(0xFE) => {
                let (warnings, status) = answer::end(&p, self.capabilities)?;
                Ok(Answer { warnings, status, ..Answer::default() })
            }
            Some(0xFB) => {
                // LOAD DATA LOCAL of which we were not told: no file.
                self.write_packet(&[])?;
                self.read_result(binary)
            }
            Some(_) => {
                let answer = self.read_columns(&p)?;
                if answer.told && self.capabilities & flag::DEPRECATE_EOF == 0 {
                    answer::eof(&self.read_packet()?)?;
                }
                self.read_rows(answer, binary)
            }
        }
    }

    /// `p`: the packet with their number.
    fn read_columns(&mut self, p: &[u8]) -> Result<Answer, Error> {
        let mut r = Reader::new(p);
        let count = r.lenenc()?;
        let told = self.capabilities & flag::OPTIONAL_RESULTSET_METADATA == 0 || r.u8()? == 1;
        let mut answer = Answer { told, ..Answer::default() };
        for _ in 0..count {
            answer.columns.push(if told { answer::column_definition(&self.read_packet()?)? } else { Column::default() });
        }
        Ok(answer)
    }

    fn read_rows(&mut self, mut answer: Answer, binary: bool) -> Result<Answer, Error> {
        loop {
            let p = self.read_packet()?;
            if p.first() == Some(&0xFF) {
                return Err(error_packet(&p));
            }
            if answer::is_end(&p, self.capabilities) {
                (answer.warnings, answer.status) = answer::end(&p, self.capabilities)?;
                return Ok(answer);
            }
            let row = if binary { answer::binary_row(&p, &answer.columns)? } else { answer::text_row(&p, answer.columns.len())? };
            answer.rows.push(row);
        }
    }

    /// One packet, joined if it came in several frames.
    pub fn read_packet(&mut self) -> Result<Vec<u8>, Error> {
        let mut whole = Vec::new();
        loop {
            let mut h = [0; 4];
            self.stream.read_exact(&mut h)?;
            let len = u32::from_le_bytes([h[0], h[1], h[2], 0]) as usize;
            if h[3] != self.sequence && h[3] != 0 && !std::mem::take(&mut self.number_unknown) {
                return Err(Error::Protocol(format!("packet {} instead of {}", h[3], self.sequence)));
            }
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
        self.number_unknown = true;
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
