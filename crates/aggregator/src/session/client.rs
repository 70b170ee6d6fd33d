//! What a connection asks of its session besides statements.
//!
//! Owns:     nothing.
//! Promises: as the protocol's commands are defined.
//! Never:    runs SQL.

use super::{Change, Session};
use crate::pipe::TlsFacts;
use crate::variables::Values;
use std::borrow::Cow;
use std::time::Duration;
use weald_catalog::DefaultValue;
use weald_plan::bind;
use weald_plan::query::Column;
use weald_types::{Charset, Collation, Fault, SqlMode, Value};
use weald_wire::compress::Algorithm;
use weald_wire::constants::status;
use weald_wire::reply::Metadata;

/// What the client said of itself when it came; a reset of the session does not change it.
#[derive(Clone, Debug, Default)]
pub struct ClientFacts {
    /// Affected rows are to be those found, not those changed.
    pub found_rows: bool,
    /// It sends files for LOAD DATA LOCAL.
    pub local_files: bool,
    pub ignore_space: bool,
    /// A person sits there: `interactive_timeout` is its `wait_timeout`.
    pub interactive: bool,
    pub tls: Option<TlsFacts>,
    pub compression: Option<Algorithm>,
}

impl ClientFacts {
    pub(crate) fn apply(&self, variables: &mut Values) {
        if self.interactive {
            variables.set("wait_timeout", variables.get("interactive_timeout").clone());
        }
        if self.ignore_space {
            let mode = SqlMode::parse(variables.text("sql_mode")).unwrap_or(SqlMode::DEFAULT);
            variables.set("sql_mode", Value::str(SqlMode(mode.0 | SqlMode::IGNORE_SPACE).to_string()));
        }
    }

    /// Status variables of this connection, in a list of the server's.
    pub(crate) fn fill_status(&self, status: &mut [(String, String)]) {
        // zlib's own default; nobody can ask for another.
        const ZLIB_LEVEL: u8 = 6;
        let compression = self.compression.map(|c| match c {
            Algorithm::Zlib => ("zlib", ZLIB_LEVEL),
            Algorithm::Zstd { level } => ("zstd", level),
        });
        for (name, value) in status {
            let of_this = match (name.as_str(), &self.tls, compression) {
                ("Ssl_cipher", Some(tls), _) => tls.cipher.clone(),
                ("Ssl_version", Some(tls), _) => tls.version.to_string(),
                ("Compression", _, Some(_)) => "ON".to_string(),
                ("Compression_algorithm", _, Some((algorithm, _))) => algorithm.to_string(),
                ("Compression_level", _, Some((_, level))) => level.to_string(),
                _ => continue,
            };
            *value = of_this;
        }
    }
}

/// What changed since the client last heard of it.
#[derive(Debug, Default)]
pub struct Changes {
    pub schema: Option<String>,
    pub variables: Vec<(&'static str, String)>,
    /// Anything at all, for those who asked to be told just that.
    pub state: bool,
}

impl Session {
    pub fn init_db(&mut self, name: &str) -> Result<(), Fault> {
        self.use_database(name)
    }

    /// COM_FIELD_LIST, for clients that complete names: a table's or view's columns with their defaults.
    pub fn field_list(&mut self, table: &str, wildcard: &str) -> Result<Vec<(Column, Option<String>)>, Fault> {
        self.begin_statement("");
        let done = self.list_fields(table, wildcard);
        self.close_context(0, done.as_ref().err());
        done
    }

    fn list_fields(&mut self, table: &str, wildcard: &str) -> Result<Vec<(Column, Option<String>)>, Fault> {
        let text = format!("SELECT * FROM {} LIMIT 0", weald_catalog::show_create::quote(table));
        let parsed = weald_sql::parse_query(&text, &weald_sql::ParseOptions { sql_mode: SqlMode::DEFAULT })?;
        let query = self.bind(&text, &[], |env| bind::bind_query(env, &parsed))?;
        self.check(&query.needs)?;
        let catalog = self.catalog();
        let definition = self.database.as_deref().and_then(|d| catalog.table(d, table));
        let matches = |name: &str| wildcard.is_empty() || Collation::UTF8MB4_GENERAL_CI.like(name.as_bytes(), wildcard.as_bytes(), Some('\\'));
        let default_of = |name: &str| {
            definition.and_then(|t| t.columns.iter().find(|c| *c.name == *name)).and_then(|c| match &c.default {
                DefaultValue::Literal(text) => Some(text.to_string()),
                DefaultValue::None | DefaultValue::Null | DefaultValue::Now { .. } | DefaultValue::Expression(_) => None,
            })
        };
        Ok(query
            .columns
            .into_iter()
            .filter(|c| matches(&c.name))
            .map(|c| {
                let default = default_of(&c.name);
                (c, default)
            })
            .collect())
    }

    pub fn statistics(&self) -> String {
        let uptime = (self.server.now_micros() - self.server.started_micros) / 1_000_000;
        let questions = self.server.counters.questions.load(std::sync::atomic::Ordering::Relaxed);
        format!(
            "Uptime: {uptime}  Threads: {}  Questions: {questions}  Slow queries: {}  Queries per second avg: {:.3}",
            self.server.connected(),
            self.server.counters.slow_queries.load(std::sync::atomic::Ordering::Relaxed),
            questions as f64 / uptime.max(1) as f64
        )
    }

    pub fn idle_limit(&self) -> Duration {
        self.settings.idle
    }
    pub fn net_write_limit(&self) -> Duration {
        self.settings.net_write
    }
    pub fn net_read_seconds(&self) -> u64 {
        self.variables.int("net_read_timeout")
    }
    pub fn sql_mode(&self) -> SqlMode {
        self.settings.sql_mode
    }

    /// `resultset_metadata`
    pub fn metadata(&self) -> Metadata {
        if self.variables.text("resultset_metadata") == "NONE" { Metadata::None } else { Metadata::Full }
    }

    pub fn status_flags(&self) -> u16 {
        let mut s = 0;
        if self.settings.autocommit {
            s |= status::AUTOCOMMIT;
        }
        if self.in_transaction() {
            s |= status::IN_TRANS;
            if self.transaction.as_ref().is_some_and(|t| t.read_only) {
                s |= status::IN_TRANS_READONLY;
            }
        }
        if self.settings.sql_mode.has(SqlMode::NO_BACKSLASH_ESCAPES) {
            s |= status::NO_BACKSLASH_ESCAPES;
        }
        s
    }

    /// What the statement changed, as far as the client wants to know.
    pub fn take_changes(&mut self) -> Changes {
        if self.changes.is_empty() && !self.touched {
            return Changes::default();
        }
        let mut told = Changes { state: self.variables.on("session_track_state_change"), ..Changes::default() };
        self.touched = false;
        for c in std::mem::take(&mut self.changes) {
            match c {
                Change::Schema(s) if self.variables.on("session_track_schema") => told.schema = Some(s),
                Change::Schema(_) => (),
                Change::Variable(n, v) => {
                    told.variables.retain(|(known, _)| *known != n);
                    told.variables.push((n, v))
                }
            }
        }
        told
    }

    /// The collation that text columns are labelled with: that of `character_set_results`; `None` where that is NULL.
    pub fn results_collation(&self) -> Option<Collation> {
        self.settings.results_collation
    }

    /// A statement's text as the client sent it, in UTF-8.
    pub fn in_utf8<'t>(&self, text: &'t [u8]) -> Cow<'t, [u8]> {
        weald_sql::to_utf8(text, self.settings.sql_mode, self.settings.client_charset)
    }

    /// What text is sent in; None: each column's in its own character set.
    pub fn results_charset(&self) -> Option<Charset> {
        self.settings.results_charset
    }

    /// A parameter of a string type: the bytes that the client sent are text in its character set.
    pub fn parameter(&self, v: Value) -> Value {
        let client = self.settings.client_charset;
        if client.is_utf8() {
            return v;
        }
        let decoded = |bytes: &[u8]| client.decode(bytes).ok().map(Value::str);
        match &v {
            Value::Str(s) => decoded(s.as_bytes()).unwrap_or(v),
            Value::Bytes(b) => decoded(b).unwrap_or(v),
            _ => v,
        }
    }

    /// What the client said at the handshake: 1115 for a character set that cannot be converted.
    pub fn set_client_collation(&mut self, id: u16) -> Result<(), Fault> {
        let c = Collation::of_client(id).ok_or_else(|| Charset::unknown(&format!("#{id}")))?;
        for name in ["character_set_client", "character_set_connection", "character_set_results"] {
            self.variables.set(name, Value::str(c.charset()));
        }
        self.variables.set("collation_connection", Value::str(c.name()));
        self.settings = super::Settings::of(&self.variables);
        Ok(())
    }

    /// The connection is over: what was not committed never was, and its locks are free.
    pub fn end(&mut self) {
        self.rollback_open();
        self.server.shared_state.locks.release_all(self.shared.id);
        let n = (self.statements.len() + self.named.len()) as i64;
        self.statements.clear();
        self.named.clear();
        self.server.count_prepared(-n);
    }
}
