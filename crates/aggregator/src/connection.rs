//! One client's connection, from the greeting to the end.
//!
//! Owns:     open cursors and long data; the session.
//! Promises: commands are answered in order; as many as have arrived are run before one write; a malformed packet ends this connection with an error and no
//!           other. A statement that is under way when the connection is killed ends by itself, interrupted: it is never dropped half done.
//! Never:    knows SQL: the session does.

use crate::auth::Sha2Cache;
use crate::cluster::Kill;
use crate::login::{self, Entered, Exchange, Salt};
use crate::pipe::{End, FLUSH_BYTES, Packets, Pipe, wire_fault};
use crate::server::Server;
use crate::session::{Done, Outcome, Session, Shared};
use foldhash::{HashMap, HashMapExt};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::net::TcpStream;
use weald_exec::rows::{BoxStream, Row, row_bytes};
use weald_expr::format::write_text;
use weald_plan::query::Column;
use weald_sql::Statements;
use weald_types::memory::Budget;
use weald_types::{Charset, Collation, Fault, SqlType, Value};
use weald_wire::command::{self, Command};
use weald_wire::constants::{client, flag, status};
use weald_wire::{handshake, reply};

/// What the listener hands to each connection.
pub struct Door {
    pub server: Arc<Server>,
    pub tls: Option<tokio_rustls::TlsAcceptor>,
    pub sha2: Sha2Cache,
}

/// Serves one client until it or the server ends.
pub async fn serve(door: Arc<Door>, socket: TcpStream, host: String) {
    let server = door.server.clone();
    server.counters.connections.fetch_add(1, Ordering::Relaxed);
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, "small answers to this client may be slow");
    }
    // A client that is gone already has none.
    let port = socket.peer_addr().map_or(0, |a| a.port());
    let id = server.new_connection_id();
    let place = server.take_place();
    let mut pipe = Pipe::new(socket, server.clone());
    let timeout = Duration::from_secs(server.variables.values().int("connect_timeout").max(2));
    let from = login::Caller { id, host: &host, port, connected: place.connected };
    let entered = match tokio::time::timeout(timeout, login::enter(&door, &mut pipe, &from)).await {
        Ok(Ok(entered)) => entered,
        refused => {
            server.counters.aborted_connects.fetch_add(1, Ordering::Relaxed);
            match refused {
                Ok(Err(End::Wire(e))) => pipe.refuse(&wire_fault(&e)),
                Ok(Err(end)) => tracing::debug!(id, %host, %end, "connection refused"),
                _ => tracing::debug!(id, %host, "the login took too long"),
            }
            pipe.close().await;
            return;
        }
    };
    let Entered { session, shared, capabilities, salt, secure } = entered;
    let mut c = Connection {
        pipe,
        session,
        shared: shared.clone(),
        capabilities,
        long: HashMap::new(),
        types: HashMap::new(),
        cursors: HashMap::new(),
        definitions: Vec::new(),
        door,
        host,
        salt,
        secure,
    };
    let end = c.run_until_killed().await;
    match &end {
        End::Quit | End::Gone | End::Refused | End::Io(_) => (),
        End::Wire(e) => c.pipe.refuse(&wire_fault(e)),
        End::NoMemory => c.pipe.refuse(&Fault::OutOfMemory),
        // MySQL 8.0.24 and later; earlier clients see a lost connection either way.
        End::Timeout => c.pipe.notice(&Fault::mysql(
            4031,
            "HY000",
            "The client was disconnected by the server because of inactivity. See wait_timeout and interactive_timeout for configuring this behavior.",
        )),
        End::Killed if server.draining.load(Ordering::Relaxed) => c.pipe.notice(&Fault::mysql(1053, "08S01", "Server shutdown in progress")),
        End::Killed => c.pipe.notice(&Fault::mysql(3169, "HY000", "Session was killed")),
    }
    if matches!(end, End::Gone | End::Io(_) | End::Wire(_) | End::NoMemory | End::Timeout) {
        server.metrics.aborted_clients.fetch_add(1, Ordering::Relaxed);
    }
    tracing::debug!(id, %end, "connection ended");
    // Locks go before the farewell, which may take a while.
    c.session.end();
    server.unregister(id);
    drop(place);
    c.pipe.close().await;
}

struct Connection {
    pipe: Pipe,
    session: Session,
    shared: Arc<Shared>,
    capabilities: u32,
    /// COM_STMT_SEND_LONG_DATA: bytes by (statement, parameter), until the statement is executed or reset.
    long: HashMap<(u32, u16), LongData>,
    /// Parameter types bound by an earlier execution.
    types: HashMap<u32, Vec<u16>>,
    cursors: HashMap<u32, Cursor>,
    definitions: Vec<Definitions>,
    door: Arc<Door>,
    host: String,
    salt: Salt,
    /// Under TLS.
    secure: bool,
}

/// The packets that define a result's columns, as they were sent last.
struct Definitions {
    columns: Arc<[Column]>,
    /// What character sets they speak of.
    labels: (Option<Collation>, Option<Charset>),
    packets: Packets,
}

/// Of so many statements.
const DEFINITIONS_KEPT: usize = 8;

/// A parameter in pieces. Nothing can be answered to a piece: what is wrong with it is told at execution.
enum LongData {
    Bytes(Vec<u8>, Budget),
    Bad(Fault),
}

struct Cursor {
    columns: Arc<[Column]>,
    rows: std::vec::IntoIter<Row>,
    /// What they take, until the client has fetched them.
    _memory: Budget,
}

/// While it lives, what is under way may not be dropped before it ends by itself.
struct Whole<'a>(&'a Shared);

impl<'a> Whole<'a> {
    fn begin(shared: &'a Shared) -> Self {
        shared.executing.store(true, Ordering::Relaxed);
        Self(shared)
    }
}

impl Drop for Whole<'_> {
    fn drop(&mut self) {
        self.0.executing.store(false, Ordering::Relaxed);
    }
}

impl Connection {
    /// Between statements a KILL ends the connection at once; a statement under way is told by `interrupted`, and waited for.
    async fn run_until_killed(&mut self) -> End {
        let shared = self.shared.clone();
        let run = self.run();
        tokio::pin!(run);
        loop {
            tokio::select! {
                end = &mut run => return end.err().unwrap_or(End::Quit),
                () = shared.close.notified() => {
                    if !shared.executing.load(Ordering::Relaxed) {
                        return End::Killed;
                    }
                }
            }
        }
    }

    async fn run(&mut self) -> Result<(), End> {
        loop {
            self.pipe.write_limit = self.session.net_write_limit();
            let packet = self.pipe.command(self.session.idle_limit()).await?;
            let command = match command::parse(&packet, self.capabilities) {
                Ok(c) => c,
                Err(e) => {
                    self.pipe.error(&wire_fault(&e));
                    continue;
                }
            };
            self.door.server.counters.questions.fetch_add(1, Ordering::Relaxed);
            if command == Command::Quit {
                return Ok(());
            }
            self.command(command).await?;
            if self.session.is_released() {
                self.pipe.flush().await?;
                return Ok(());
            }
            if self.shared.is_closing() {
                self.pipe.flush().await?;
                return Err(End::Killed);
            }
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
                        for (c, default) in &columns {
                            self.column(c, Some(default.as_deref()));
                        }
                        self.end_rows(0)
                    }
                }
            }
            Command::Statistics => {
                let text = self.session.statistics();
                self.pipe.write(|o| o.extend_from_slice(text.as_bytes()));
            }
            Command::ProcessKill(id) => {
                let done = self.session.kill_connection(id as u64, Kill::Connection).await;
                self.result(done)
            }
            Command::Refresh(what) => {
                let done = self.session.refresh(what);
                self.result(done)
            }
            Command::Shutdown => {
                let done = self.session.shut_down();
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
                    self.end_rows(0)
                }
                1 => {
                    self.capabilities &= !client::MULTI_STATEMENTS;
                    self.end_rows(0)
                }
                _ => self.unknown(),
            },
            Command::Prepare(text) => self.prepare(text),
            Command::Execute(body) => return self.execute(body).await,
            Command::SendLongData { statement, param, data } => self.long_data(statement, param, data),
            Command::Close(id) => {
                self.cursors.remove(&id);
                self.types.remove(&id);
                self.long.retain(|k, _| k.0 != id);
                self.session.close(id)
            }
            Command::Reset(id) => {
                self.cursors.remove(&id);
                self.long.retain(|k, _| k.0 != id);
                if self.session.has_statement(id) { self.ok(Done::default(), false) } else { self.no_statement(id, "mysqld_stmt_reset") }
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
        let changes = self.session.take_changes();
        let variables: Vec<(&str, &str)> = changes.variables.iter().map(|(k, v)| (*k, v.as_str())).collect();
        let d = reply::Done {
            affected: done.affected,
            last_insert_id: done.last_insert_id,
            status: self.status(more),
            warnings: self.session.warning_count(),
            info: &done.info,
            schema: changes.schema.as_deref(),
            variables: &variables,
            state_changed: changes.state,
        };
        let capabilities = self.capabilities;
        self.pipe.write(|o| reply::ok(o, 0, &d, capabilities));
    }

    fn eof(&mut self, warnings: u16) {
        let flags = self.session.status_flags();
        self.pipe.write(|o| reply::eof(o, warnings, flags));
    }

    /// The end of rows.
    fn end_rows(&mut self, extra: u16) {
        let (warnings, status) = (self.session.warning_count(), self.session.status_flags() | extra);
        if self.capabilities & client::DEPRECATE_EOF == 0 {
            return self.pipe.write(|o| reply::eof(o, warnings, status));
        }
        let d = reply::Done { status, warnings, ..Default::default() };
        let capabilities = self.capabilities;
        self.pipe.write(|o| reply::ok(o, 0xFE, &d, capabilities));
    }

    async fn query(&mut self, text: &[u8]) -> Result<(), End> {
        // Some clients (mysqlslap) count the NUL behind their text as a part of it; MySQL's lexer takes it for the end.
        let text = text.strip_suffix(b"\0").unwrap_or(text);
        if self.capabilities & client::MULTI_STATEMENTS == 0 {
            return self.statement(text, false).await.map(|_| ());
        }
        let mut statements = Statements::new(text, self.session.sql_mode());
        let mut any = false;
        while let Some(range) = statements.next() {
            any = true;
            let more = statements.has_more();
            if !self.statement(&text[range], more).await? || self.session.is_released() {
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
    async fn statement(&mut self, text: &[u8], more: bool) -> Result<bool, End> {
        let text = self.session.in_utf8(text);
        let whole = Whole::begin(&self.shared);
        let done = self.session.query(&text).await;
        drop(whole);
        self.answer(done, false, more).await
    }

    async fn answer(&mut self, done: Result<Outcome, Fault>, binary: bool, more: bool) -> Result<bool, End> {
        self.pipe.charset = self.session.results_charset().unwrap_or(Charset::Utf8mb4);
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

    /// `default`: COM_FIELD_LIST's addition; the inner `None` is NULL, or no default.
    fn column(&mut self, c: &Column, default: Option<Option<&str>>) {
        let o = c.origin.as_deref();
        let column_flags = o.map(|o| {
            let f = o.flags;
            [
                (f.primary_key, flag::PRI_KEY),
                (f.unique_key, flag::UNIQUE_KEY),
                (f.multiple_key, flag::MULTIPLE_KEY),
                (f.part_of_key, flag::PART_KEY),
                (f.auto_increment, flag::AUTO_INCREMENT),
                (f.no_default, flag::NO_DEFAULT_VALUE),
                (f.default_now || f.on_update_now, flag::TIMESTAMP),
                (f.on_update_now, flag::ON_UPDATE_NOW),
            ]
            .into_iter()
            .filter(|(on, _)| *on)
            .fold(0, |all, (_, bit)| all | bit)
        });
        // `character_set_results` NULL: text goes out as what it is.
        let results = self.session.results_collation().unwrap_or(c.ty.collation);
        let names = self.session.results_charset().unwrap_or(Charset::Utf8mb4);
        let def = reply::ColumnDef {
            schema: &names.encode(o.map_or("", |o| &o.database)),
            table: &names.encode(o.map_or("", |o| &o.table_alias)),
            org_table: &names.encode(o.map_or("", |o| &o.table)),
            name: &names.encode(&c.name),
            org_name: &names.encode(o.map_or("", |o| &o.column)),
            ty: &c.ty,
            column_flags,
            charset: results.id(),
            character_bytes: results.max_len() as u32,
        };
        self.pipe.write(|o| {
            reply::column(o, &def);
            match default {
                None => (),
                Some(None) => o.push(0xFB),
                Some(Some(text)) => weald_wire::value::put_lenenc_bytes(o, text.as_bytes()),
            }
        });
    }

    fn metadata(&self) -> reply::Metadata {
        if self.capabilities & client::OPTIONAL_RESULTSET_METADATA == 0 { reply::Metadata::Full } else { self.session.metadata() }
    }

    /// `cursor`: what follows the definitions says that there is one.
    fn columns(&mut self, columns: &Arc<[Column]>, cursor: bool) {
        let (metadata, capabilities) = (self.metadata(), self.capabilities);
        if metadata != reply::Metadata::Full {
            return self.pipe.write(|o| reply::column_count(o, columns.len(), metadata, capabilities));
        }
        let labels = (self.session.results_collation(), self.session.results_charset());
        let before = self.pipe.mark();
        match self.definitions.iter().find(|d| Arc::ptr_eq(&d.columns, columns) && d.labels == labels && d.packets.follows(before)) {
            Some(d) => self.pipe.repeat(&d.packets),
            None => {
                self.pipe.write(|o| reply::column_count(o, columns.len(), metadata, capabilities));
                for c in columns.iter() {
                    self.column(c, None);
                }
                // A plan holds them, too: the statement may come again.
                if Arc::strong_count(columns) > 1
                    && let Some(packets) = self.pipe.written_since(before)
                {
                    self.definitions.truncate(DEFINITIONS_KEPT - 1);
                    self.definitions.insert(0, Definitions { columns: columns.clone(), labels, packets });
                }
            }
        }
        if !cursor && self.capabilities & client::DEPRECATE_EOF == 0 {
            self.eof(0);
        }
    }

    fn row(&mut self, row: &Row, columns: &[Column], binary: bool) {
        let to = self.session.results_charset();
        self.pipe.write(|o| {
            if binary {
                let nulls = reply::binary_row(o, columns.len());
                for (i, (v, c)) in row.iter().zip(columns).enumerate() {
                    let converted = in_charset(v, &c.ty, to);
                    let v = converted.as_ref().unwrap_or(v);
                    reply::binary_cell(o, nulls, i, v, &c.ty, |o| write_text(v, &c.ty, o));
                }
            } else {
                for (v, c) in row.iter().zip(columns) {
                    let converted = in_charset(v, &c.ty, to);
                    let v = converted.as_ref().unwrap_or(v);
                    reply::text_cell(o, v, |o| write_text(v, &c.ty, o));
                }
            }
        });
    }

    async fn next_of(shared: &Shared, rows: &mut BoxStream) -> Result<Option<Vec<Row>>, Fault> {
        if let Some(batch) = rows.at_hand() {
            return Ok(batch);
        }
        let _whole = Whole::begin(shared);
        rows.next().await
    }

    async fn rows(&mut self, columns: Arc<[Column]>, mut rows: BoxStream, binary: bool, more: bool) -> Result<bool, End> {
        // The first rows decide between an answer and an error: nothing is sent before.
        let mut batch = match Self::next_of(&self.shared, &mut rows).await {
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
                    let begun = self.door.server.now_micros();
                    self.pipe.flush().await?;
                    self.session.stream_micros += (self.door.server.now_micros() - begun).max(0) as u64;
                }
            }
            sent += b.len() as u64;
            batch = match Self::next_of(&self.shared, &mut rows).await {
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

    async fn receive_file(&mut self, path: &str, more: bool) -> Result<bool, End> {
        self.pipe.write(|o| reply::local_infile(o, path));
        let limit = Duration::from_secs(self.session.net_read_seconds().max(60));
        let mut read = Ok(());
        loop {
            let piece = self.pipe.reply(limit).await?;
            if piece.is_empty() {
                break;
            }
            // The client cannot be stopped: it sends all of its file, and then hears what was wrong with it.
            if read.is_ok() {
                let _whole = Whole::begin(&self.shared);
                read = self.session.load_chunk(&piece).await;
            }
        }
        let whole = Whole::begin(&self.shared);
        let done = self.session.load_end(read).await;
        drop(whole);
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
        let text = self.session.in_utf8(text);
        self.pipe.charset = self.session.results_charset().unwrap_or(Charset::Utf8mb4);
        let info = match self.session.prepare(&text) {
            Ok(i) => i,
            Err(f) => return self.pipe.error(&f),
        };
        let (metadata, capabilities) = (self.metadata(), self.capabilities);
        let (columns, params, warnings) = (info.columns.len() as u16, info.params as u16, self.session.warning_count());
        self.pipe.write(|o| reply::prepared(o, info.id, columns, params, warnings, metadata, capabilities));
        if metadata == reply::Metadata::None {
            return;
        }
        let question = Column {
            id: weald_types::ColumnId::new(0),
            ty: SqlType::varchar(65535 / 4, true, Collation::UTF8MB4_GENERAL_CI),
            name: "?".into(),
            origin: None,
        };
        for _ in 0..info.params {
            self.column(&question, None);
        }
        if info.params > 0 && self.capabilities & client::DEPRECATE_EOF == 0 {
            self.eof(0);
        }
        for c in &info.columns {
            self.column(c, None);
        }
        if !info.columns.is_empty() && self.capabilities & client::DEPRECATE_EOF == 0 {
            self.eof(0);
        }
    }

    /// COM_STMT_SEND_LONG_DATA has no answer.
    fn long_data(&mut self, statement: u32, param: u16, data: &[u8]) {
        let Some(params) = self.session.params_of(statement) else { return };
        if param as u32 >= params {
            // Filed under the first parameter, so that the next execution meets it.
            let fault = Fault::mysql(1210, "HY000", "Incorrect arguments to mysqld_stmt_send_long_data");
            self.long.insert((statement, 0), LongData::Bad(fault));
            return;
        }
        let limit = self.door.server.variables.values().int("max_allowed_packet") as usize;
        let others: usize = self.long.iter().filter(|(k, _)| **k != (statement, param)).map(|(_, d)| d.len()).sum();
        let budget = self.session.budget();
        let held = self.long.entry((statement, param)).or_insert(LongData::Bytes(Vec::new(), budget));
        let LongData::Bytes(bytes, memory) = held else { return };
        if bytes.len() + data.len() > limit {
            let text = "Parameter of prepared statement which is set through mysql_send_long_data() is longer than 'max_allowed_packet' bytes";
            *held = LongData::Bad(Fault::mysql(1105, "HY000", text));
        } else if (others + bytes.len() + data.len()) as u64 > self.door.server.query_memory || memory.take(data.len() as u64).is_err() {
            *held = LongData::Bad(Fault::OutOfMemory);
        } else {
            bytes.extend_from_slice(data);
        }
    }

    async fn execute(&mut self, body: &[u8]) -> Result<(), End> {
        let id = match command::statement_of(body) {
            Ok(id) => id,
            Err(e) => {
                self.pipe.error(&wire_fault(&e));
                return Ok(());
            }
        };
        let Some(count) = self.session.params_of(id) else {
            self.no_statement(id, "mysqld_stmt_execute");
            return Ok(());
        };
        self.cursors.remove(&id);
        let kept = self.types.get(&id).map_or(&[][..], Vec::as_slice);
        let long = |i: usize| self.long.contains_key(&(id, i as u16));
        let read = command::execute(body, count as usize, kept, self.capabilities, &long);
        // Long data is for one execution, whatever comes of it.
        let mut long_data: HashMap<u16, LongData> = HashMap::new();
        if !self.long.is_empty() {
            long_data = self.long.extract_if(|k, _| k.0 == id).map(|(k, d)| (k.1, d)).collect();
        }
        let e = match read {
            Ok(e) => e,
            Err(e) => {
                self.pipe.error(&wire_fault(&e));
                return Ok(());
            }
        };
        let mut params: Vec<Value> = Vec::with_capacity(e.params.len());
        for (i, v) in e.params.into_iter().enumerate() {
            params.push(match (v, long_data.get(&(i as u16))) {
                (Some(v), _) if command::is_text(e.types.get(i).copied().unwrap_or_default()) => self.session.parameter(v),
                (Some(v), _) => v,
                (None, Some(LongData::Bytes(b, _))) if command::is_text(e.types.get(i).copied().unwrap_or_default()) => {
                    self.session.parameter(Value::bytes(&**b))
                }
                (None, Some(LongData::Bytes(b, _))) => command::text(b),
                (None, Some(LongData::Bad(fault))) => {
                    self.pipe.error(fault);
                    return Ok(());
                }
                (None, None) => Value::Null,
            });
        }
        if kept != e.types {
            self.types.insert(id, e.types);
        }
        let whole = Whole::begin(&self.shared);
        let done = self.session.execute(id, &params).await;
        drop(whole);
        match done {
            Ok(Outcome::Rows { columns, rows }) if e.cursor => self.open_cursor(id, columns, rows).await,
            done => {
                self.answer(done, true, false).await?;
            }
        }
        Ok(())
    }

    /// The rows are kept here until they are fetched, as MySQL keeps them in a temporary table.
    async fn open_cursor(&mut self, id: u32, columns: Arc<[Column]>, mut rows: BoxStream) {
        let mut all = Vec::new();
        let memory = self.session.budget();
        let read = async {
            while let Some(b) = Self::next_of(&self.shared, &mut rows).await? {
                memory.take(b.iter().map(|r| row_bytes(r)).sum())?;
                all.extend(b);
            }
            Ok(())
        };
        let done: Result<(), Fault> = read.await;
        drop(rows);
        self.session.end_of_rows(all.len() as u64, done.as_ref().err());
        if let Err(f) = done {
            return self.pipe.error(&f);
        }
        self.columns(&columns, true);
        self.end_rows(status::CURSOR_EXISTS);
        self.cursors.insert(id, Cursor { columns, rows: all.into_iter(), _memory: memory });
    }

    async fn fetch(&mut self, id: u32, n: u32) -> Result<(), End> {
        if !self.session.has_statement(id) {
            self.no_statement(id, "mysqld_stmt_fetch");
            return Ok(());
        }
        let Some(mut cursor) = self.cursors.remove(&id) else {
            self.pipe.error(&Fault::mysql(1421, "HY000", format!("The statement ({id}) has no open cursor.")));
            return Ok(());
        };
        let mut sent = 0;
        for row in cursor.rows.by_ref().take(n as usize) {
            self.row(&row, &cursor.columns, true);
            sent += 1;
            if self.pipe.out.len() >= FLUSH_BYTES {
                self.pipe.flush().await?;
            }
        }
        // As in MySQL, the end is seen by coming upon it: a fetch of exactly the last rows does not tell yet.
        if sent < n {
            self.end_rows(status::LAST_ROW_SENT);
        } else {
            self.end_rows(status::CURSOR_EXISTS);
            self.cursors.insert(id, cursor);
        }
        Ok(())
    }

    async fn change_user(&mut self, body: &[u8]) -> Result<(), End> {
        let mut login = match handshake::change_user(body, self.capabilities) {
            Ok(l) => l,
            Err(e) => {
                self.pipe.error(&wire_fault(&e));
                return Ok(());
            }
        };
        login.capabilities = self.capabilities;
        let exchange = Exchange { host: &self.host, secure: self.secure, salt: self.salt, first: false };
        let limit = Duration::from_secs(self.door.server.variables.values().int("connect_timeout").max(2));
        let door = self.door.clone();
        let asked = login::authenticate(&door, &mut self.pipe, &login, &exchange);
        let user = tokio::time::timeout(limit, asked).await.map_err(|_| End::Timeout)??;
        if let Err(f) = door.server.one_more_of(&user, Some(self.shared.id)) {
            self.pipe.error(&f);
            return Err(End::Refused);
        }
        self.forget();
        let name = format!("{}@{}", login.user, self.host);
        self.shared.process.lock().user = login.user;
        match self.session.change_user(user, name.into(), login.database.as_deref(), login.collation) {
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

impl LongData {
    fn len(&self) -> usize {
        match self {
            LongData::Bytes(b, _) => b.len(),
            LongData::Bad(_) => 0,
        }
    }
}

/// Text as the bytes that it is in the results' character set, or in its column's own; None where that is what it is already.
fn in_charset(v: &Value, ty: &SqlType, results: Option<Charset>) -> Option<Value> {
    if results == Some(Charset::Utf8mb4) {
        return None;
    }
    let encoded = |text: &str| {
        // Before anything is looked up: what everybody writes the same way.
        if text.is_ascii() {
            return None;
        }
        match results.unwrap_or_else(|| Charset::of(ty.collation)).encode(text) {
            std::borrow::Cow::Borrowed(_) => None,
            std::borrow::Cow::Owned(bytes) => Some(Value::bytes(bytes)),
        }
    };
    match v {
        Value::Str(s) => encoded(s),
        Value::Json(j) => encoded(&j.to_string()),
        _ => None,
    }
}
