//! What a connection asks of its session besides statements.
//!
//! Owns:     nothing.
//! Promises: as the protocol's commands are defined.
//! Never:    runs SQL.

use super::{Change, Session};
use crate::connection::split_changes;
use weald_plan::query::{Column, Origin};
use weald_types::{Collation, ColumnId, Fault, SqlMode, Value};
use weald_wire::constants::status;

impl Session {
    pub fn init_db(&mut self, name: &str) -> Result<(), Fault> {
        self.use_database(name)
    }

    /// COM_FIELD_LIST, for clients that complete names.
    pub fn field_list(&mut self, table: &str, wildcard: &str) -> Result<Vec<Column>, Fault> {
        let d = self.database_of(None)?.to_string();
        let t = self
            .catalog()
            .table(&d, table)
            .cloned()
            .filter(|_| self.user.sees_table(&d, table))
            .ok_or_else(|| Fault::NoSuchTable { database: d.clone(), table: table.into() })?;
        let matches = |name: &str| wildcard.is_empty() || Collation::UTF8MB4_GENERAL_CI.like(name.as_bytes(), wildcard.as_bytes(), Some('\\'));
        Ok(t.columns
            .iter()
            .enumerate()
            .filter(|(_, c)| matches(&c.name))
            .map(|(i, c)| Column {
                id: ColumnId::new(i as u32),
                ty: c.ty.clone(),
                name: (*c.name).into(),
                origin: Some(std::sync::Arc::new(Origin {
                    database: d.as_str().into(),
                    table: t.name.clone(),
                    table_alias: t.name.clone(),
                    column: c.name.clone(),
                    flags: Default::default(),
                })),
            })
            .collect())
    }

    pub fn statistics(&self) -> String {
        let uptime = (self.server.now_micros() - self.server.started_micros) / 1_000_000;
        format!(
            "Uptime: {uptime}  Threads: {}  Questions: {}  Slow queries: {}",
            self.server.connected(),
            self.server.counters.questions.load(std::sync::atomic::Ordering::Relaxed),
            self.server.counters.slow_queries.load(std::sync::atomic::Ordering::Relaxed)
        )
    }

    pub fn idle_seconds(&self, interactive: bool) -> u64 {
        self.variables.int(if interactive { "interactive_timeout" } else { "wait_timeout" })
    }
    pub fn net_write_seconds(&self) -> u64 {
        self.variables.int("net_write_timeout")
    }
    pub fn net_read_seconds(&self) -> u64 {
        self.variables.int("net_read_timeout")
    }
    pub fn sql_mode(&self) -> SqlMode {
        self.settings.sql_mode
    }

    pub fn status_flags(&self) -> u16 {
        let mut s = 0;
        if self.settings.autocommit {
            s |= status::AUTOCOMMIT;
        }
        if self.in_transaction() {
            s |= status::IN_TRANS;
        }
        if self.settings.sql_mode.has(SqlMode::NO_BACKSLASH_ESCAPES) {
            s |= status::NO_BACKSLASH_ESCAPES;
        }
        s
    }

    pub fn take_changes(&mut self) -> (Option<String>, Vec<(&'static str, String)>) {
        split_changes(std::mem::take::<Vec<Change>>(&mut self.changes))
    }

    /// The collation id that text columns are labelled with: that of `character_set_results`.
    pub fn results_collation(&self) -> u16 {
        match self.variables.get("character_set_results") {
            Value::Str(cs) => {
                if cs.starts_with("utf8mb4") {
                    self.settings.collation_connection.id()
                } else {
                    Collation::default_of(cs).map_or(45, |c| c.id())
                }
            }
            _ => 45,
        }
    }

    /// What the client said at the handshake.
    pub fn set_client_collation(&mut self, c: Collation) {
        let c = if c.charset() == "utf8mb4" || c.charset() == "utf8mb3" { c } else { Collation::UTF8MB4_GENERAL_CI };
        for name in ["character_set_client", "character_set_connection", "character_set_results"] {
            self.variables.set(name, Value::str(c.charset()));
        }
        self.variables.set("collation_connection", Value::str(c.name()));
        self.settings = super::Settings::of(&self.variables);
    }

    /// The connection is over: what was not committed never was, and its locks are free.
    pub fn end(&mut self) {
        self.rollback_open();
        self.server.shared_state.locks.release_all(self.shared.id);
        let n = self.statements.len() as i64;
        self.statements.clear();
        self.server.count_prepared(-n);
    }
}
