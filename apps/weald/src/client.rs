//! The client's side of MySQL's protocol, as far as a shell needs it.
//!
//! Owns:     one connection.
//! Promises: answers as the server gave them; a password never travels in clear.
//! Never:    reconnects: a session's settings and transaction would be lost unseen.

use rsa::pkcs8::DecodePublicKey;
use std::io::{self, BufReader, Read, Write};
use std::net::TcpStream;
use weald_wire::constants::{client, column, status};
use weald_wire::handshake::{Login, encode_login, read_greeting};
use weald_wire::scramble::{native_answer, sha2_answer, unxor_password};
use weald_wire::value::Reader;

#[derive(Debug)]
pub enum Error {
    Connect { host: String, port: u16, source: io::Error },
    Server { code: u16, state: String, message: String },
    Lost(io::Error),
    Protocol(String),
    Input(io::Error),
    Output(io::Error),
}

impl Error {
    /// As MySQL's own client words it; `line` is that of the statement in its script.
    pub fn line(&self, line: Option<u32>) -> String {
        let at = line.map(|n| format!(" at line {n}")).unwrap_or_default();
        match self {
            Error::Connect { host, port, source } => format!("ERROR 2003 (HY000): Can't connect to MySQL server on '{host}:{port}' ({source})"),
            Error::Server { code, state, message } => format!("ERROR {code} ({state}){at}: {message}"),
            Error::Lost(source) => format!("ERROR 2013 (HY000){at}: Lost connection to MySQL server ({source})"),
            Error::Protocol(what) => format!("ERROR 2027 (HY000){at}: Malformed packet ({what})"),
            Error::Input(source) => format!("weald: cannot read the input: {source}"),
            Error::Output(source) => format!("weald: cannot write the output: {source}"),
        }
    }
}

impl From<io::Error> for Error {
    fn from(e: io::Error) -> Self {
        Error::Lost(e)
    }
}
impl From<weald_wire::Error> for Error {
    fn from(e: weald_wire::Error) -> Self {
        Error::Protocol(e.to_string())
    }
}

pub struct Column {
    pub name: String,
    pub is_number: bool,
    /// Not text: shown as hexadecimal digits if it cannot be shown as it is.
    pub is_binary: bool,
}

/// What a statement gave.
pub enum Answer {
    Rows(Rows),
    Done(Done),
}
pub struct Rows {
    pub columns: Vec<Column>,
    pub rows: Vec<Vec<Option<Vec<u8>>>>,
    pub warnings: u16,
    more: bool,
}

impl Rows {
    /// Of our own making.
    pub fn new(columns: Vec<Column>, rows: Vec<Vec<Option<Vec<u8>>>>) -> Self {
        Self { columns, rows, warnings: 0, more: false }
    }
}

pub struct Done {
    pub affected: u64,
    pub warnings: u16,
    pub info: String,
    more: bool,
}

impl Answer {
    pub fn has_more(&self) -> bool {
        match self {
            Answer::Rows(r) => r.more,
            Answer::Done(d) => d.more,
        }
    }
}

pub struct Client {
    input: BufReader<TcpStream>,
    output: TcpStream,
    sequence: u8,
    pub version: String,
    pub connection_id: u32,
}

const ASKED: u32 = client::LONG_PASSWORD
    | client::LONG_FLAG
    | client::PROTOCOL_41
    | client::TRANSACTIONS
    | client::SECURE_CONNECTION
    | client::MULTI_RESULTS
    | client::PLUGIN_AUTH;

/// The longest piece of a packet.
const PIECE: usize = 0xFF_FF_FF;
const UTF8MB4_GENERAL_CI: u16 = 45;
const BINARY_CHARSET: u16 = 63;

impl Client {
    pub fn connect(host: &str, port: u16, user: &str, password: &str, database: Option<&str>) -> Result<Self, Error> {
        let connect = || {
            let stream = TcpStream::connect((host, port))?;
            stream.set_nodelay(true)?;
            Ok((stream.try_clone()?, stream))
        };
        let (input, output) = connect().map_err(|source| Error::Connect { host: host.into(), port, source })?;
        let mut c = Self { input: BufReader::new(input), output, sequence: 0, version: String::new(), connection_id: 0 };
        let greeting = c.read()?;
        if greeting.first() == Some(&0xFF) {
            return Err(refusal(&greeting));
        }
        let (version, id, mut scramble, offered, mut plugin) = read_greeting(&greeting)?;
        (c.version, c.connection_id) = (version, id);
        if plugin != "mysql_native_password" {
            plugin = "caching_sha2_password".into();
        }
        let with_database = if database.is_some() { client::CONNECT_WITH_DB } else { 0 };
        let login = Login {
            capabilities: ASKED & offered | with_database,
            max_packet: 1 << 30,
            collation: UTF8MB4_GENERAL_CI,
            user: user.into(),
            auth: proof(&plugin, password, &scramble)?,
            database: database.map(Into::into),
            plugin: Some(plugin),
            ..Login::default()
        };
        let mut packet = Vec::new();
        encode_login(&mut packet, &login);
        c.write(&packet)?;
        loop {
            let p = c.read()?;
            match (p.first(), p.get(1)) {
                (Some(0x00), _) => return Ok(c),
                (Some(0xFF), _) => return Err(refusal(&p)),
                // caching_sha2_password: 3 means that the proof was enough, 4 that the server wants the password itself, under its key.
                (Some(0x01), Some(3)) => (),
                (Some(0x01), Some(4)) => {
                    c.write(&[2])?;
                    let key = c.read()?;
                    if key.first() == Some(&0xFF) {
                        return Err(refusal(&key));
                    }
                    c.write(&seal(key.get(1..).unwrap_or_default(), password, &scramble)?)?;
                }
                (Some(0xFE), _) => {
                    let mut r = Reader::new(&p[1..]);
                    let plugin = String::from_utf8_lossy(r.zero_ended()).into_owned();
                    scramble.copy_from_slice(r.bytes(20)?);
                    c.write(&proof(&plugin, password, &scramble)?)?;
                }
                _ => return Err(Error::Protocol("an unknown packet during the login".into())),
            }
        }
    }

    pub fn query(&mut self, text: &str) -> Result<Answer, Error> {
        let mut packet = Vec::with_capacity(text.len() + 1);
        packet.push(3);
        packet.extend_from_slice(text.as_bytes());
        self.sequence = 0;
        self.write(&packet)?;
        self.next_result()
    }

    /// One result; the next one if the last said that there is more.
    pub fn next_result(&mut self) -> Result<Answer, Error> {
        let p = self.read()?;
        match p.first() {
            None => Err(Error::Protocol("an empty packet".into())),
            Some(0xFF) => Err(refusal(&p)),
            Some(0x00) => {
                let mut r = Reader::new(&p[1..]);
                let affected = r.lenenc()?;
                r.lenenc()?;
                let (flags, warnings) = (r.u16()?, r.u16()?);
                let info = String::from_utf8_lossy(r.rest()).into_owned();
                Ok(Answer::Done(Done { affected, warnings, info, more: flags & status::MORE_RESULTS != 0 }))
            }
            Some(0xFB) => {
                // LOAD DATA LOCAL: a server must not be able to ask for any file of ours. None is sent; the server says what became of that.
                self.write(&[])?;
                self.next_result()
            }
            Some(_) => self.rows(&p),
        }
    }

    fn rows(&mut self, head: &[u8]) -> Result<Answer, Error> {
        let count = Reader::new(head).lenenc()?;
        let mut columns = Vec::new();
        for _ in 0..count {
            columns.push(column(&self.read()?)?);
        }
        self.read()?;
        let mut rows = Vec::new();
        loop {
            let p = self.read()?;
            match p.first() {
                Some(0xFF) => return Err(refusal(&p)),
                Some(0xFE) if p.len() < 9 => {
                    let mut r = Reader::new(&p[1..]);
                    let (warnings, flags) = (r.u16()?, r.u16()?);
                    return Ok(Answer::Rows(Rows { columns, rows, warnings, more: flags & status::MORE_RESULTS != 0 }));
                }
                _ => {
                    let mut r = Reader::new(&p);
                    let mut row = Vec::with_capacity(columns.len());
                    for _ in &columns {
                        if r.rest().first() == Some(&0xFB) {
                            r.u8()?;
                            row.push(None);
                        } else {
                            row.push(Some(r.lenenc_bytes()?.to_vec()));
                        }
                    }
                    rows.push(row);
                }
            }
        }
    }

    fn read(&mut self) -> Result<Vec<u8>, Error> {
        let mut packet = Vec::new();
        loop {
            let mut head = [0; 4];
            self.input.read_exact(&mut head)?;
            let len = u32::from_le_bytes([head[0], head[1], head[2], 0]) as usize;
            self.sequence = head[3].wrapping_add(1);
            let start = packet.len();
            packet.resize(start + len, 0);
            self.input.read_exact(&mut packet[start..])?;
            if len < PIECE {
                return Ok(packet);
            }
        }
    }

    fn write(&mut self, packet: &[u8]) -> Result<(), Error> {
        let mut out = Vec::with_capacity(packet.len() + 4);
        let mut rest = packet;
        loop {
            let (piece, after) = rest.split_at(rest.len().min(PIECE));
            out.extend_from_slice(&(piece.len() as u32).to_le_bytes()[..3]);
            out.push(self.sequence);
            self.sequence = self.sequence.wrapping_add(1);
            out.extend_from_slice(piece);
            rest = after;
            // A last piece of full length is followed by an empty one.
            if piece.len() < PIECE {
                break;
            }
        }
        self.output.write_all(&out)?;
        Ok(())
    }
}

fn column(p: &[u8]) -> Result<Column, Error> {
    let mut r = Reader::new(p);
    for _ in 0..4 {
        r.lenenc_bytes()?;
    }
    let name = String::from_utf8_lossy(r.lenenc_bytes()?).into_owned();
    r.lenenc_bytes()?;
    r.lenenc()?;
    let charset = r.u16()?;
    r.u32()?;
    let kind = r.u8()?;
    let numbers =
        [column::TINY, column::SHORT, column::LONG, column::FLOAT, column::DOUBLE, column::LONGLONG, column::INT24, column::YEAR, column::NEWDECIMAL];
    let texts = [column::VARCHAR, column::VAR_STRING, column::STRING, column::BLOB, column::TINY_BLOB, column::MEDIUM_BLOB, column::LONG_BLOB];
    Ok(Column { name, is_number: numbers.contains(&kind), is_binary: kind == column::BIT || texts.contains(&kind) && charset == BINARY_CHARSET })
}

fn proof(plugin: &str, password: &str, scramble: &[u8; 20]) -> Result<Vec<u8>, Error> {
    match plugin {
        _ if password.is_empty() => Ok(Vec::new()),
        "mysql_native_password" => Ok(native_answer(password.as_bytes(), scramble)),
        "caching_sha2_password" => Ok(sha2_answer(password.as_bytes(), scramble)),
        other => Err(Error::Protocol(format!("the server wants the authentication plugin {other}, which this shell does not have"))),
    }
}

/// The password under the server's RSA key.
fn seal(pem: &[u8], password: &str, scramble: &[u8; 20]) -> Result<Vec<u8>, Error> {
    let bad = |e: String| Error::Protocol(format!("the server's public key: {e}"));
    let text = std::str::from_utf8(pem).map_err(|e| bad(e.to_string()))?;
    let key = rsa::RsaPublicKey::from_public_key_pem(text.trim_end_matches('\0')).map_err(|e| bad(e.to_string()))?;
    let mut plain = password.as_bytes().to_vec();
    plain.push(0);
    // Its own inverse.
    unxor_password(&mut plain, scramble);
    key.encrypt(&mut rsa::rand_core::OsRng, rsa::Oaep::new::<sha1::Sha1>(), &plain).map_err(|e| bad(e.to_string()))
}

fn refusal(p: &[u8]) -> Error {
    let mut r = Reader::new(p.get(1..).unwrap_or_default());
    let code = r.u16().unwrap_or_default();
    let mut state = "HY000".to_string();
    if r.rest().first() == Some(&b'#') {
        state = String::from_utf8_lossy(&r.bytes(6).unwrap_or_default()[1..]).into_owned();
    }
    Error::Server { code, state, message: String::from_utf8_lossy(r.rest()).into_owned() }
}
