//! One client's connection, from the greeting to the end.
//!
//! Owns:     the socket, its buffers, open cursors and long data; the session.
//! Promises: commands are answered in order; as many as have arrived are run before one write; a malformed packet ends this connection with an error and no other.
//! Never:    knows SQL: the session does.

use crate::auth::{self, Sha2Cache, Verdict};
use crate::information_schema::Process;
use crate::mysql_error;
use crate::server::Server;
use crate::session::{Change, Done, Outcome, Session, Shared};
use bytes::BytesMut;
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use weald_catalog::UserDef;
use weald_exec::rows::{BoxStream, Row};
use weald_expr::format::write_text;
use weald_plan::query::Column;
use weald_sql::Statements;
use weald_types::{Collation, Fault, SqlType, Value};
use weald_wire::command::{self, Command};
use weald_wire::compress::{Algorithm, Compressor};
use weald_wire::constants::{client, flag, status};
use weald_wire::handshake::{self, Hello, Login};
use weald_wire::{frame, reply};

/// What the listener hands to each connection.
pub struct Door {
    pub server: Arc<Server>,
    pub tls: Option<tokio_rustls::TlsAcceptor>,
    pub sha2: Sha2Cache,
}

trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

/// Written out when the answer is longer than this.
const FLUSH_BYTES: usize = 16 << 10;

#[derive(Debug, thiserror::Error)]
enum End {
    #[error("the client went away")]
    Gone,
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Wire(#[from] weald_wire::Error),
    #[error("time is up")]
    Timeout,
    #[error("refused")]
    Refused,
}

struct Pipe {
    socket: Option<Box<dyn Socket>>,
    raw: BytesMut,
    plain: BytesMut,
    decoder: frame::Decoder,
    sequence: u8,
    out: Vec<u8>,
    compressor: Option<Compressor>,
    packed: Vec<u8>,
    server: Arc<Server>,
}

impl Pipe {
    fn socket(&mut self) -> Result<&mut Box<dyn Socket>, End> {
        self.socket.as_mut().ok_or(End::Gone)
    }

    async fn flush(&mut self) -> Result<(), End> {
        if self.out.is_empty() {
            return Ok(());
        }
        self.server.counters.bytes_sent.fetch_add(self.out.len() as u64, Ordering::Relaxed);
        let mut bytes = std::mem::take(&mut self.out);
        let mut packed = std::mem::take(&mut self.packed);
        let send: &[u8] = match &mut self.compressor {
            Some(c) => {
                packed.clear();
                c.pack(&bytes, &mut packed)?;
                &packed
            }
            None => &bytes,
        };
        let done = self.socket()?.write_all(send).await;
        if self.compressor.is_some() {
            self.socket()?.flush().await?;
        }
        // The buffers stay; a giant answer's does not.
        bytes.clear();
        if bytes.capacity() <= 1 << 20 {
            self.out = bytes;
        }
        self.packed = packed;
        done?;
        self.socket()?.flush().await?;
        Ok(())
    }

    /// The next packet. Answers that are ready are written before anything is waited for.
    async fn packet(&mut self, timeout: Duration) -> Result<bytes::Bytes, End> {
        loop {
            if let Some(p) = self.decoder.next(&mut self.plain)? {
                return Ok(p);
            }
            self.flush().await?;
            let read = async {
                let Some(socket) = self.socket.as_mut() else { return Err(End::Gone) };
                let into = if self.compressor.is_some() { &mut self.raw } else { &mut self.plain };
                into.reserve(4096);
                Ok(socket.read_buf(into).await?)
            };
            let n = tokio::time::timeout(timeout, read).await.map_err(|_| End::Timeout)??;
            if n == 0 {
                return Err(End::Gone);
            }
            self.server.counters.bytes_received.fetch_add(n as u64, Ordering::Relaxed);
            if let Some(c) = &mut self.compressor {
                c.expand(&mut self.raw, &mut self.plain)?;
            }
        }
    }

    fn write(&mut self, f: impl FnOnce(&mut Vec<u8>)) {
        let start = frame::open(&mut self.out);
        f(&mut self.out);
        frame::close(&mut self.out, start, &mut self.sequence);
    }

    fn error(&mut self, fault: &Fault) {
        let (number, state) = mysql_error::code(fault);
        let message = mysql_error::message(fault);
        self.server.counters.errors.fetch_add(1, Ordering::Relaxed);
        self.write(|o| reply::error(o, number, state, &message, true));
    }
}

/// Serves one client until it or the server ends.
pub async fn serve(door: Arc<Door>, socket: TcpStream, host: String) {
    let server = door.server.clone();
    server.counters.connections.fetch_add(1, Ordering::Relaxed);
    let _ = socket.set_nodelay(true);
    let id = server.new_connection_id();
    let mut pipe = Pipe {
        socket: Some(Box::new(socket)),
        raw: BytesMut::new(),
        plain: BytesMut::with_capacity(4096),
        decoder: frame::Decoder::new(1 << 24),
        sequence: 0,
        out: Vec::with_capacity(4096),
        compressor: None,
        packed: Vec::new(),
        server: server.clone(),
    };
    let timeout = Duration::from_secs(server.variables.values().int("connect_timeout").max(2));
    let entered = match tokio::time::timeout(timeout, enter(&door, &mut pipe, id, &host)).await {
        Ok(Ok(entered)) => entered,
        Ok(Err(end)) => {
            server.counters.aborted_connects.fetch_add(1, Ordering::Relaxed);
            tracing::debug!(id, %host, %end, "connection refused");
            let _ = pipe.flush().await;
            return;
        }
        Err(_) => {
            server.counters.aborted_connects.fetch_add(1, Ordering::Relaxed);
            return;
        }
    };
    let Entered { session, login, shared } = entered;
    let close = server.register(&shared, &login.user);
    let mut c = Connection {
        pipe,
        session,
        capabilities: login.capabilities,
        long: HashMap::new(),
        types: HashMap::new(),
        cursors: HashMap::new(),
        door,
        host,
    };
    let end = tokio::select! {
        end = c.run() => end,
        () = close.notified() => {
            let fault = if server.draining.load(Ordering::Relaxed) { Fault::mysql(1053, "08S01", "Server shutdown in progress") } else { Fault::mysql(1317, "70100", "Query execution was interrupted") };
            c.pipe.error(&fault);
            let _ = tokio::time::timeout(Duration::from_secs(1), c.pipe.flush()).await;
            Ok(())
        }
    };
    if let Err(end) = end {
        tracing::debug!(id, %end, "connection ended");
    }
    c.session.end();
    server.unregister(id);
}

struct Entered {
    session: Session,
    login: Login,
    shared: Arc<Shared>,
}

async fn enter(door: &Door, pipe: &mut Pipe, id: u64, host: &str) -> Result<Entered, End> {
    let server = &door.server;
    let mut salt = [0u8; 20];
    server.env.random.fill(&mut salt);
    // Printable and never zero: old clients read it as a string.
    salt.iter_mut().for_each(|b| *b = 33 + *b % 93);
    let offered = if door.tls.is_some() { client::OFFERED } else { client::OFFERED & !client::SSL };
    pipe.write(|o| handshake::greeting(o, &server.version, id as u32, &salt, 45, offered, auth::CACHING_SHA2));
    pipe.decoder.set_sequence(1);
    let long = Duration::from_secs(3600);
    let packet = pipe.packet(long).await?;
    let mut secure = false;
    let login = match handshake::hello(&packet, offered)? {
        Hello::Login(l) => l,
        Hello::Tls { .. } => {
            let (Some(tls), Some(socket)) = (&door.tls, pipe.socket.take()) else { return Err(End::Refused) };
            // Nothing may have been sent in clear behind the request.
            if !pipe.plain.is_empty() {
                return Err(End::Refused);
            }
            let stream = tls.accept(SocketBox(socket)).await?;
            pipe.socket = Some(Box::new(stream));
            secure = true;
            let packet = pipe.packet(long).await?;
            match handshake::hello(&packet, offered & !client::SSL)? {
                Hello::Login(mut l) => {
                    l.capabilities |= client::SSL;
                    l
                }
                Hello::Tls { .. } => return Err(End::Refused),
            }
        }
    };
    pipe.sequence = pipe.decoder.sequence();
    let limit = server.variables.values().int("max_connections") as usize;
    let over = server.connected() >= limit;
    let local = std::net::IpAddr::from([127, 0, 0, 1]).to_string() == host;
    let user = authenticate(door, pipe, &login, &salt, host, secure || local, secure).await?;
    if over && !(user.may_globally(weald_catalog::Privilege::Super) && server.connected() < limit + 1) {
        pipe.error(&Fault::mysql(1040, "08004", "Too many connections"));
        return Err(End::Refused);
    }
    if user.max_user_connections > 0 && server.connected_as(&user.user) as u64 >= user.max_user_connections {
        pipe.error(&Fault::mysql(1203, "42000", format!("User {} already has more than 'max_user_connections' active connections", user.user)));
        return Err(End::Refused);
    }
    let shared = Arc::new(Shared {
        id,
        interrupted: Arc::default(),
        process: parking_lot::Mutex::new(Process {
            id,
            user: login.user.clone(),
            host: host.to_string(),
            database: None,
            command: "Sleep",
            since_micros: server.now_micros(),
            seconds: 0,
            state: "",
            info: None,
        }),
    });
    let mut session =
        Session::new(server.clone(), shared.clone(), user, format!("{}@{host}", login.user).into(), login.capabilities & client::FOUND_ROWS != 0);
    session.set_client_collation(Collation::by_id(login.collation as u16).unwrap_or(Collation::UTF8MB4_GENERAL_CI));
    if let Some(db) = &login.database
        && let Err(f) = session.init_db(db)
    {
        pipe.error(&f);
        return Err(End::Refused);
    }
    pipe.write(|o| reply::ok(o, 0, &reply::Done { status: status::AUTOCOMMIT, ..Default::default() }, login.capabilities));
    pipe.flush().await?;
    if login.capabilities & client::ZSTD_COMPRESSION != 0 && login.capabilities & client::COMPRESS == 0 {
        pipe.compressor = Some(Compressor::new(Algorithm::Zstd { level: login.zstd_level }));
    } else if login.capabilities & client::COMPRESS != 0 {
        pipe.compressor = Some(Compressor::new(Algorithm::Zlib));
    }
    pipe.decoder.limit = server.variables.values().int("max_allowed_packet") as usize;
    Ok(Entered { session, login, shared })
}

/// Asks for the proof that the account's plugin wants. `safe`: a password may come in clear over this connection.
async fn authenticate(
    door: &Door,
    pipe: &mut Pipe,
    login: &Login,
    salt: &[u8; 20],
    host: &str,
    safe: bool,
    secure: bool,
) -> Result<Arc<UserDef>, End> {
    let long = Duration::from_secs(3600);
    let catalog = door.server.catalog();
    let found = auth::find_account(&catalog, &login.user, host);
    // An unknown user is asked just the same.
    let user = found.clone().unwrap_or_else(|| {
        let mut u = UserDef::new(&login.user, host);
        u.auth = b"$A$005$unknown-user-unknown-nothing-matches-this-string-of-seventy-byte".to_vec();
        Arc::new(u)
    });
    let mut answer = login.auth.clone();
    let client_plugin = login.plugin.as_deref().unwrap_or(auth::NATIVE);
    if client_plugin != &*user.plugin {
        pipe.write(|o| handshake::auth_switch(o, &user.plugin, salt));
        pipe.decoder.set_sequence(pipe.sequence);
        answer = pipe.packet(long).await?.to_vec();
        pipe.sequence = pipe.decoder.sequence();
    }
    // Some clients end an empty answer with a zero byte.
    if answer == [0] {
        answer.clear();
    }
    let with_password = !answer.is_empty();
    let ok = if &*user.plugin == auth::NATIVE {
        auth::native(&user, &answer, salt)
    } else {
        match door.sha2.fast(&user, &answer, salt) {
            Verdict::Yes => {
                if with_password {
                    pipe.write(|o| handshake::auth_more(o, &[3]));
                }
                true
            }
            Verdict::No => false,
            Verdict::Full => {
                pipe.write(|o| handshake::auth_more(o, &[4]));
                pipe.decoder.set_sequence(pipe.sequence);
                let mut sent = pipe.packet(long).await?.to_vec();
                pipe.sequence = pipe.decoder.sequence();
                if sent == [2] && !secure {
                    let (pem, key) = crate::rsa_key::key().map_err(std::io::Error::other)?;
                    pipe.write(|o| handshake::auth_more(o, pem.as_bytes()));
                    pipe.decoder.set_sequence(pipe.sequence);
                    let sealed = pipe.packet(long).await?.to_vec();
                    pipe.sequence = pipe.decoder.sequence();
                    sent = crate::rsa_key::open(key, &sealed).unwrap_or_default();
                    weald_wire::scramble::unxor_password(&mut sent, salt);
                } else if !safe {
                    sent.clear();
                }
                if sent.last() == Some(&0) {
                    sent.pop();
                }
                door.sha2.full(&user, &sent)
            }
        }
    };
    if !ok || found.is_none() {
        let using = if with_password { "YES" } else { "NO" };
        pipe.error(&Fault::mysql(1045, "28000", format!("Access denied for user '{}'@'{host}' (using password: {using})", login.user)));
        return Err(End::Refused);
    }
    if user.locked {
        pipe.error(&Fault::mysql(3118, "HY000", format!("Access denied for user '{}'@'{host}'. Account is locked.", login.user)));
        return Err(End::Refused);
    }
    if (user.require_ssl || door.server.variables.values().on("require_secure_transport")) && !secure {
        pipe.error(&Fault::mysql(3159, "HY000", "Connections using insecure transport are prohibited while --require_secure_transport=ON."));
        return Err(End::Refused);
    }
    Ok(user)
}

/// A boxed socket is a socket: TLS wraps it.
struct SocketBox(Box<dyn Socket>);
impl AsyncRead for SocketBox {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}
impl AsyncWrite for SocketBox {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut std::task::Context<'_>, buf: &[u8]) -> std::task::Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> std::task::Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> std::task::Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

struct Connection {
    pipe: Pipe,
    session: Session,
    capabilities: u32,
    /// COM_STMT_SEND_LONG_DATA: bytes by (statement, parameter); an error is told at execution.
    long: HashMap<(u32, u16), Vec<u8>>,
    /// Parameter types bound by an earlier execution.
    types: HashMap<u32, Vec<u16>>,
    cursors: HashMap<u32, Cursor>,
    door: Arc<Door>,
    host: String,
}

struct Cursor {
    columns: Arc<[Column]>,
    rows: std::vec::IntoIter<Row>,
}

impl Connection {
    async fn run(&mut self) -> Result<(), End> {
        loop {
            self.pipe.decoder.restart();
            if let Some(c) = &mut self.pipe.compressor
                && self.pipe.plain.is_empty()
            {
                c.restart();
            }
            let idle = Duration::from_secs(self.session.idle_seconds(self.capabilities & client::INTERACTIVE != 0));
            let packet = match self.pipe.packet(idle).await {
                Ok(p) => p,
                Err(End::Wire(e)) => {
                    self.pipe.sequence = self.pipe.decoder.sequence().wrapping_add(1);
                    self.pipe.error(&wire_fault(&e));
                    self.pipe.flush().await?;
                    return Err(End::Wire(e));
                }
                Err(e) => return Err(e),
            };
            self.pipe.sequence = self.pipe.decoder.sequence();
            let command = match command::parse(&packet, self.capabilities) {
                Ok(c) => c,
                Err(e) => {
                    self.pipe.error(&wire_fault(&e));
                    continue;
                }
            };
            self.door.server.counters.questions.fetch_add(1, Ordering::Relaxed);
            if matches!(command, Command::Quit) {
                return Ok(());
            }
            self.command(command).await?;
        }
    }

    async fn command(&mut self, command: Command<'_>) -> Result<(), End> {
        match command {
            Command::Quit => (),
            Command::Query(text) => return self.query(text).await,
            Command::Ping => self.ok(Done::default(), false),
            Command::InitDb(name) => {
                let done = self.session.init_db(&String::from_utf8_lossy(name));
                self.result(done);
            }
            Command::FieldList { table, wildcard } => {
                let (table, wildcard) = (String::from_utf8_lossy(table).into_owned(), String::from_utf8_lossy(wildcard).into_owned());
                match self.session.field_list(&table, &wildcard) {
                    Err(f) => self.pipe.error(&f),
                    Ok(columns) => {
                        for c in &columns {
                            self.column(c, true);
                        }
                        self.eof(0)
                    }
                }
            }
            Command::Statistics => {
                let text = self.session.statistics();
                self.pipe.write(|o| o.extend_from_slice(text.as_bytes()));
            }
            Command::ProcessKill(id) => {
                let done = self.session.kill_connection(id as u64, false);
                self.result(done)
            }
            Command::ResetConnection => {
                self.forget();
                self.session.reset();
                self.ok(Done::default(), false)
            }
            Command::ChangeUser(body) => return self.change_user(body).await,
            Command::SetOption(n) => match n {
                0 => {
                    self.capabilities |= client::MULTI_STATEMENTS;
                    self.eof(0)
                }
                1 => {
                    self.capabilities &= !client::MULTI_STATEMENTS;
                    self.eof(0)
                }
                _ => self.unknown(),
            },
            Command::Prepare(text) => self.prepare(text),
            Command::Execute(body) => return self.execute(body).await,
            Command::SendLongData { statement, param, data } => {
                let limit = self.door.server.variables.values().int("max_allowed_packet") as usize;
                let held = self.long.entry((statement, param)).or_default();
                if held.len() + data.len() <= limit {
                    held.extend_from_slice(data);
                }
            }
            Command::Close(id) => {
                self.cursors.remove(&id);
                self.types.remove(&id);
                self.long.retain(|k, _| k.0 != id);
                self.session.close(id)
            }
            Command::Reset(id) => {
                self.cursors.remove(&id);
                self.long.retain(|k, _| k.0 != id);
                if self.session.has_statement(id) { self.ok(Done::default(), false) } else { self.no_statement(id, "mysql_stmt_reset") }
            }
            Command::Fetch { statement, rows } => return self.fetch(statement, rows).await,
            Command::Debug | Command::Unknown(_) => self.unknown(),
        }
        Ok(())
    }

    fn unknown(&mut self) {
        self.pipe.error(&Fault::mysql(1047, "08S01", "Unknown command"))
    }
    fn no_statement(&mut self, id: u32, what: &str) {
        self.pipe.error(&Fault::mysql(1243, "HY000", format!("Unknown prepared statement handler ({id}) given to {what}")))
    }
    fn forget(&mut self) {
        self.cursors.clear();
        self.types.clear();
        self.long.clear()
    }
    fn result(&mut self, done: Result<(), Fault>) {
        match done {
            Ok(()) => self.ok(Done::default(), false),
            Err(f) => self.pipe.error(&f),
        }
    }

    fn status(&self, more: bool) -> u16 {
        self.session.status_flags() | if more { status::MORE_RESULTS } else { 0 }
    }

    fn ok(&mut self, done: Done, more: bool) {
        let (schema, variables) = self.session.take_changes();
        let variables: Vec<(&str, &str)> = variables.iter().map(|(k, v)| (*k, v.as_str())).collect();
        let d = reply::Done {
            affected: done.affected,
            last_insert_id: done.last_insert_id,
            status: self.status(more),
            warnings: self.session.warning_count(),
            info: &done.info,
            schema: schema.as_deref(),
            variables: &variables,
        };
        let capabilities = self.capabilities;
        self.pipe.write(|o| reply::ok(o, 0, &d, capabilities));
    }

    fn eof(&mut self, extra: u16) {
        let (warnings, flags) = (self.session.warning_count(), self.session.status_flags() | extra);
        self.pipe.write(|o| reply::eof(o, warnings, flags));
    }

    /// The end of rows.
    fn end_rows(&mut self, extra: u16) {
        if self.capabilities & client::DEPRECATE_EOF == 0 {
            return self.eof(extra);
        }
        let d = reply::Done { status: self.session.status_flags() | extra, warnings: self.session.warning_count(), ..Default::default() };
        let capabilities = self.capabilities;
        self.pipe.write(|o| reply::ok(o, 0xFE, &d, capabilities));
    }

    async fn query(&mut self, text: &[u8]) -> Result<(), End> {
        let Ok(text) = std::str::from_utf8(text) else {
            let shown: String = text.iter().filter(|b| !b.is_ascii()).take(3).map(|b| format!("\\x{b:02X}")).collect();
            self.pipe.error(&Fault::mysql(1300, "HY000", format!("Invalid utf8mb4 character string: '{shown}'")));
            return Ok(());
        };
        if self.capabilities & client::MULTI_STATEMENTS == 0 {
            return self.statement(text, false).await.map(|_| ());
        }
        let mut statements = Statements::new(text, self.session.sql_mode());
        let mut any = false;
        while let Some(range) = statements.next() {
            any = true;
            let more = statements.has_more();
            if !self.statement(&text[range], more).await? {
                return Ok(());
            }
            statements.set_sql_mode(self.session.sql_mode());
        }
        if !any {
            return self.statement(text, false).await.map(|_| ());
        }
        Ok(())
    }

    /// False: it failed, and what follows is not run.
    async fn statement(&mut self, text: &str, more: bool) -> Result<bool, End> {
        let done = self.session.query(text).await;
        self.answer(done, false, more).await
    }

    async fn answer(&mut self, done: Result<Outcome, Fault>, binary: bool, more: bool) -> Result<bool, End> {
        match done {
            Err(f) => {
                self.pipe.error(&f);
                Ok(false)
            }
            Ok(Outcome::Ok(d)) => {
                self.ok(d, more);
                Ok(true)
            }
            Ok(Outcome::Rows { columns, rows }) => self.rows(columns, rows, binary, more).await,
            Ok(Outcome::SendFile { path }) => self.receive_file(&path, more).await,
        }
    }

    fn column(&mut self, c: &Column, with_default: bool) {
        let empty = "";
        let o = c.origin.as_deref();
        let mut flags = 0;
        if let Some(f) = o.map(|o| o.flags) {
            for (on, bit) in [
                (f.primary_key, flag::PRI_KEY),
                (f.unique_key, flag::UNIQUE_KEY),
                (f.multiple_key, flag::MULTIPLE_KEY),
                (f.auto_increment, flag::AUTO_INCREMENT),
                (f.no_default, flag::NO_DEFAULT_VALUE),
                (f.on_update_now, flag::ON_UPDATE_NOW),
            ] {
                if on {
                    flags |= bit
                }
            }
        }
        let charset = self.session.results_collation();
        let def = reply::ColumnDef {
            schema: o.map_or(empty, |o| &o.database),
            table: o.map_or(empty, |o| &o.table_alias),
            org_table: o.map_or(empty, |o| &o.table),
            name: &c.name,
            org_name: o.map_or(empty, |o| &o.column),
            ty: &c.ty,
            flags,
            charset,
        };
        self.pipe.write(|o| {
            reply::column(o, &def);
            if with_default {
                o.push(0xFB)
            }
        });
    }

    fn columns(&mut self, columns: &[Column], cursor: bool) {
        self.pipe.write(|o| {
            weald_wire::value::put_lenenc(o, columns.len() as u64);
        });
        for c in columns {
            self.column(c, false);
        }
        if self.capabilities & client::DEPRECATE_EOF == 0 || cursor {
            self.eof(if cursor { status::CURSOR_EXISTS } else { 0 });
        }
    }

    fn row(&mut self, row: &Row, columns: &[Column], binary: bool) {
        self.pipe.write(|o| {
            if binary {
                let nulls = reply::binary_row(o, columns.len());
                for (i, (v, c)) in row.iter().zip(columns).enumerate() {
                    reply::binary_cell(o, nulls, i, v, &c.ty, |o| write_text(v, &c.ty, o));
                }
            } else {
                for (v, c) in row.iter().zip(columns) {
                    reply::text_cell(o, v, |o| write_text(v, &c.ty, o));
                }
            }
        });
    }

    async fn rows(&mut self, columns: Arc<[Column]>, mut rows: BoxStream, binary: bool, more: bool) -> Result<bool, End> {
        // The first rows decide between an answer and an error: nothing is sent before.
        let mut batch = match rows.next().await {
            Ok(b) => b,
            Err(f) => {
                self.session.end_of_rows(0, Some(&f));
                self.pipe.error(&f);
                return Ok(false);
            }
        };
        self.columns(&columns, false);
        let mut sent = 0;
        while let Some(b) = batch {
            for row in &b {
                self.row(row, &columns, binary);
                if self.pipe.out.len() >= FLUSH_BYTES {
                    self.flush_timed().await?;
                }
            }
            sent += b.len() as u64;
            batch = match rows.next().await {
                Ok(b) => b,
                Err(f) => {
                    self.session.end_of_rows(sent, Some(&f));
                    self.pipe.error(&f);
                    return Ok(false);
                }
            };
        }
        drop(rows);
        self.session.end_of_rows(sent, None);
        self.end_rows(if more { status::MORE_RESULTS } else { 0 });
        Ok(true)
    }

    async fn flush_timed(&mut self) -> Result<(), End> {
        let limit = Duration::from_secs(self.session.net_write_seconds());
        tokio::time::timeout(limit, self.pipe.flush()).await.map_err(|_| End::Timeout)?
    }

    async fn receive_file(&mut self, path: &str, more: bool) -> Result<bool, End> {
        self.pipe.write(|o| reply::local_infile(o, path));
        self.pipe.flush().await?;
        self.pipe.decoder.set_sequence(self.pipe.sequence);
        let limit = Duration::from_secs(self.session.net_read_seconds().max(60));
        let mut fault = None;
        loop {
            let piece = self.pipe.packet(limit).await?;
            self.pipe.sequence = self.pipe.decoder.sequence();
            if piece.is_empty() {
                break;
            }
            if fault.is_none()
                && let Err(f) = self.session.load_chunk(&piece).await
            {
                fault = Some(f);
            }
        }
        let done = match fault {
            Some(f) => self.session.load_failed(f),
            None => self.session.load_end().await,
        };
        match done {
            Ok(d) => {
                self.ok(d, more);
                Ok(true)
            }
            Err(f) => {
                self.pipe.error(&f);
                Ok(false)
            }
        }
    }

    fn prepare(&mut self, text: &[u8]) {
        let Ok(text) = std::str::from_utf8(text) else { return self.pipe.error(&Fault::mysql(1300, "HY000", "Invalid utf8mb4 character string")) };
        let info = match self.session.prepare(text) {
            Ok(i) => i,
            Err(f) => return self.pipe.error(&f),
        };
        self.pipe.write(|o| reply::prepared(o, info.id, info.columns.len() as u16, info.params as u16, 0));
        let question = Column {
            id: weald_types::ColumnId::new(0),
            ty: SqlType::varchar(65535 / 4, true, Collation::UTF8MB4_GENERAL_CI),
            name: "?".into(),
            origin: None,
        };
        for _ in 0..info.params {
            self.column(&question, false);
        }
        if info.params > 0 && self.capabilities & client::DEPRECATE_EOF == 0 {
            self.eof(0);
        }
        for c in &info.columns {
            self.column(c, false);
        }
        if !info.columns.is_empty() && self.capabilities & client::DEPRECATE_EOF == 0 {
            self.eof(0);
        }
    }

    async fn execute(&mut self, body: &[u8]) -> Result<(), End> {
        let id = command::statement_of(body)?;
        let Some(count) = self.session.params_of(id) else {
            self.no_statement(id, "mysqld_stmt_execute");
            return Ok(());
        };
        let kept = self.types.get(&id).cloned().unwrap_or_default();
        let long = |i: usize| self.long.contains_key(&(id, i as u16));
        let e = match command::execute(body, count as usize, &kept, self.capabilities, &long) {
            Ok(e) => e,
            Err(e) => {
                self.pipe.error(&wire_fault(&e));
                return Ok(());
            }
        };
        let params: Vec<Value> = e
            .params
            .into_iter()
            .enumerate()
            .map(|(i, v)| match v {
                Some(v) => v,
                None => self.long.get(&(id, i as u16)).map_or(Value::Null, |b| command::text(b)),
            })
            .collect();
        self.types.insert(id, e.types);
        self.cursors.remove(&id);
        let done = self.session.execute(id, &params).await;
        match done {
            Ok(Outcome::Rows { columns, mut rows }) if e.cursor => {
                let mut all = Vec::new();
                loop {
                    match rows.next().await {
                        Ok(Some(b)) => all.extend(b),
                        Ok(None) => break,
                        Err(f) => {
                            self.session.end_of_rows(0, Some(&f));
                            self.pipe.error(&f);
                            return Ok(());
                        }
                    }
                }
                self.session.end_of_rows(all.len() as u64, None);
                self.columns(&columns, true);
                self.cursors.insert(id, Cursor { columns, rows: all.into_iter() });
                Ok(())
            }
            done => self.answer(done, true, false).await.map(|_| ()),
        }
    }

    async fn fetch(&mut self, id: u32, n: u32) -> Result<(), End> {
        let Some(mut cursor) = self.cursors.remove(&id) else {
            self.pipe.error(&Fault::mysql(1421, "HY000", format!("The statement ({id}) has no open cursor.")));
            return Ok(());
        };
        for row in cursor.rows.by_ref().take(n as usize) {
            self.row(&row, &cursor.columns, true);
            if self.pipe.out.len() >= FLUSH_BYTES {
                self.flush_timed().await?;
            }
        }
        let last = cursor.rows.len() == 0;
        self.end_rows(status::CURSOR_EXISTS | if last { status::LAST_ROW_SENT } else { 0 });
        if !last {
            self.cursors.insert(id, cursor);
        }
        Ok(())
    }

    async fn change_user(&mut self, body: &[u8]) -> Result<(), End> {
        let login = match handshake::change_user(body, self.capabilities) {
            Ok(l) => l,
            Err(e) => {
                self.pipe.error(&wire_fault(&e));
                return Ok(());
            }
        };
        let mut salt = [0u8; 20];
        self.door.server.env.random.fill(&mut salt);
        salt.iter_mut().for_each(|b| *b = 33 + *b % 93);
        // A fresh scramble: the one of the greeting was used up.
        let secure = self.capabilities & client::SSL != 0;
        let mut asked = login;
        asked.plugin = Some(String::new());
        let door = self.door.clone();
        let user = authenticate(&door, &mut self.pipe, &asked, &salt, &self.host, true, secure).await?;
        self.forget();
        let name = format!("{}@{}", asked.user, self.host);
        match self.session.change_user(user, name.into(), asked.database.as_deref()) {
            Ok(()) => {
                self.ok(Done::default(), false);
                Ok(())
            }
            Err(f) => {
                self.pipe.error(&f);
                Err(End::Refused)
            }
        }
    }
}

fn wire_fault(e: &weald_wire::Error) -> Fault {
    match e {
        weald_wire::Error::TooLarge { .. } => Fault::mysql(1153, "08S01", "Got a packet bigger than 'max_allowed_packet' bytes"),
        weald_wire::Error::OutOfOrder { .. } => Fault::mysql(1156, "08S01", "Got packets out of order"),
        weald_wire::Error::Malformed(what) => Fault::mysql(1835, "HY000", format!("Malformed communication packet: {what}")),
        weald_wire::Error::Compression => Fault::mysql(1157, "08S01", "Couldn't uncompress communication packet"),
    }
}

/// What a session says changed, for the OK packet.
pub fn split_changes(changes: Vec<Change>) -> (Option<String>, Vec<(&'static str, String)>) {
    let mut schema = None;
    let mut variables = Vec::new();
    for c in changes {
        match c {
            Change::Schema(s) => schema = Some(s),
            Change::Variable(n, v) => variables.push((n, v)),
        }
    }
    (schema, variables)
}
