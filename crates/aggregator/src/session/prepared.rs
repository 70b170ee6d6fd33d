//! Prepared statements: those of the binary protocol and those of PREPARE.
//!
//! Owns:     their texts and parsed trees.
//! Promises: a statement is parsed once; what it means is settled at each execution, with the types of the values bound then.
//! Never:    outlives its session.

use super::fast::Planned;
use super::{Outcome, Session};
use parking_lot::Mutex;
use std::sync::Arc;
use weald_plan::query::Column;
use weald_plan::{NoStatistics, bind, dml};
use weald_sql::ast::{PrepareSource, Statement};
use weald_sql::{ParseOptions, Statements, parse_prepared};
use weald_types::memory::Budget;
use weald_types::{Collation, Fault, SqlType, TypeKind, Value};

#[derive(Debug)]
pub struct Prepared {
    pub text: Arc<str>,
    pub statement: Arc<Statement>,
    pub params: u32,
    /// False: literals hold bytes that are not UTF-8, for which `text` has question marks.
    pub is_text: bool,
    pub(crate) plan: Mutex<Option<Planned>>,
    /// What it takes, about, for as long as it is kept.
    _memory: Budget,
}

/// A statement of PREPARE, which is parsed each time.
#[derive(Debug)]
pub struct Named {
    pub text: Arc<str>,
    pub _memory: Budget,
}

/// A statement's tree takes so many times as much as its text, about.
const TREE_FACTOR: u64 = 8;

/// COM_STMT_PREPARE's answer.
#[derive(Clone, Debug)]
pub struct PreparedInfo {
    pub id: u32,
    pub params: u32,
    pub columns: Vec<Column>,
}

/// The protocol counts them in two bytes.
const MAX_PARAMS: u32 = 65_535;

impl Session {
    pub fn prepare(&mut self, bytes: &[u8]) -> Result<PreparedInfo, Fault> {
        let text = super::printable(bytes);
        self.begin_statement(&text);
        let done = self.prepare_inner(bytes, &text);
        self.close_context(0, done.as_ref().err());
        done
    }

    fn prepare_inner(&mut self, bytes: &[u8], text: &str) -> Result<PreparedInfo, Fault> {
        self.one_more_prepared()?;
        let (prepared, columns) = self.parse_for_later(bytes, text)?;
        self.next_statement += 1;
        let info = PreparedInfo { id: self.next_statement, params: prepared.params, columns };
        self.statements.insert(info.id, Arc::new(prepared));
        self.server.count_prepared(1);
        Ok(info)
    }

    /// 1461 where there are as many as the server may keep, of both kinds.
    fn one_more_prepared(&self) -> Result<(), Fault> {
        let most = self.server.variables.values().int("max_prepared_stmt_count");
        if self.server.prepared_total() < most {
            return Ok(());
        }
        Err(Fault::mysql(1461, "42000", format!("Can't create more than max_prepared_stmt_count statements (current value: {most})")))
    }

    fn parse_for_later(&mut self, bytes: &[u8], text: &str) -> Result<(Prepared, Vec<Column>), Fault> {
        super::must_be_text_outside_strings(bytes, self.settings.sql_mode)?;
        if Statements::new(bytes, self.settings.sql_mode).count() > 1 {
            let near: String = text.split_once(';').map_or("", |t| t.1).trim_start().chars().take(80).collect();
            return Err(Fault::Syntax { near, line: 1 });
        }
        let mode = self.settings.sql_mode;
        let parsed = self.long_work(|| {
            self.take_tree_memory(bytes)?;
            parse_prepared(bytes, &ParseOptions { sql_mode: mode })
        })?;
        match &parsed.statement {
            Statement::Prepare { .. } | Statement::Execute { .. } | Statement::Deallocate(_) | Statement::LoadData(_) => {
                return Err(Fault::mysql(1295, "HY000", "This command is not supported in the prepared statement protocol yet"));
            }
            _ => (),
        }
        if parsed.params > MAX_PARAMS {
            return Err(Fault::mysql(1390, "HY000", "Prepared statement contains too many placeholders"));
        }
        // Names are checked now, as MySQL does; parameters have no types yet.
        let untyped = vec![None; parsed.params as usize];
        let columns = match &parsed.statement {
            Statement::Select(q) => {
                let query = self.bind(text, &untyped, |env| bind::bind_query(env, q))?;
                self.check(&query.needs)?;
                query.columns
            }
            Statement::Insert(i) => {
                let bound = self.bind(text, &untyped, |env| dml::insert::bind_insert(env, &NoStatistics, i))?;
                self.check(&bound.needs)?;
                Vec::new()
            }
            Statement::Update(u) => {
                let bound = self.bind(text, &untyped, |env| dml::update::bind_update(env, &NoStatistics, u))?;
                self.check(bound.needs())?;
                Vec::new()
            }
            Statement::Delete(d) => {
                let bound = self.bind(text, &untyped, |env| dml::delete::bind_delete(env, &NoStatistics, d))?;
                self.check(bound.needs())?;
                Vec::new()
            }
            other => self.show_columns(other)?,
        };
        let memory = self.budget();
        memory.take_over(&self.statement().memory);
        memory.take(text.len() as u64 * TREE_FACTOR)?;
        let prepared = Prepared {
            text: text.into(),
            statement: Arc::new(parsed.statement),
            params: parsed.params,
            is_text: text.as_bytes() == bytes,
            plan: Mutex::default(),
            _memory: memory,
        };
        Ok((prepared, columns))
    }

    /// COM_STMT_EXECUTE.
    pub async fn execute(&mut self, id: u32, params: &[Value]) -> Result<Outcome, Fault> {
        let Some(p) = self.statements.get(&id).cloned() else {
            return Err(Fault::mysql(1243, "HY000", format!("Unknown prepared statement handler ({id}) given to mysqld_stmt_execute")));
        };
        self.execute_prepared(&p, params).await
    }

    pub(crate) async fn execute_prepared(&mut self, p: &Prepared, params: &[Value]) -> Result<Outcome, Fault> {
        self.begin_statement(&p.text);
        if params.len() != p.params as usize {
            let fault = Fault::mysql(1210, "HY000", "Incorrect arguments to mysqld_stmt_execute");
            return self.after_statement(Err(fault));
        }
        let done = match self.try_fast_prepared(p, params).await {
            Some(done) => done,
            None => self.run(&p.statement, &p.text, params).await,
        };
        self.after_statement(done)
    }

    pub fn close(&mut self, id: u32) {
        if self.statements.remove(&id).is_some() {
            self.server.count_prepared(-1);
        }
    }

    pub fn has_statement(&self, id: u32) -> bool {
        self.statements.contains_key(&id)
    }
    pub fn params_of(&self, id: u32) -> Option<u32> {
        self.statements.get(&id).map(|p| p.params)
    }

    pub(crate) fn prepare_named(&mut self, name: &str, source: &PrepareSource) -> Result<Outcome, Fault> {
        let text = match source {
            PrepareSource::Text(t) => t.clone(),
            PrepareSource::Variable(v) => match self.user_variables.get(&v.to_lowercase()) {
                Some((Value::Str(s), _)) => s.to_string(),
                _ => "NULL".into(),
            },
        };
        // Whatever comes of the new one, the old one of the name is gone, as in MySQL.
        self.forget_named(name);
        self.one_more_prepared()?;
        let memory = self.budget();
        memory.take(text.len() as u64)?;
        self.parse_for_later(text.as_bytes(), &text)?;
        self.named.insert(name.to_lowercase(), Named { text: text.into(), _memory: memory });
        self.server.count_prepared(1);
        Outcome::ok()
    }

    pub(crate) async fn execute_named(&mut self, name: &str, using: &[String]) -> Result<Outcome, Fault> {
        let text = self.named.get(&name.to_lowercase()).map(|n| n.text.clone()).ok_or_else(|| unknown_handler(name, "EXECUTE"))?;
        let (p, _) = self.parse_for_later(text.as_bytes(), &text)?;
        let params: Vec<Value> = using.iter().map(|v| self.user_variables.get(&v.to_lowercase()).map_or(Value::Null, |v| v.0)).collect();
        if params.len() != p.params as usize {
            return Err(Fault::mysql(1210, "HY000", "Incorrect arguments to EXECUTE"));
        }
        self.run(&p.statement, &text, &params).await
    }

    pub(crate) fn deallocate_named(&mut self, name: &str) -> Result<Outcome, Fault> {
        if self.forget_named(name) { Outcome::ok() } else { Err(unknown_handler(name, "DEALLOCATE PREPARE")) }
    }

    /// False: there was none of the name.
    fn forget_named(&mut self, name: &str) -> bool {
        let known = self.named.remove(&name.to_lowercase()).is_some();
        if known {
            self.server.count_prepared(-1);
        }
        known
    }
}

fn unknown_handler(name: &str, verb: &str) -> Fault {
    Fault::mysql(1243, "HY000", format!("Unknown prepared statement handler ({name}) given to {verb}"))
}

/// The type a bound value is taken for.
pub(crate) fn type_of(v: &Value) -> SqlType {
    match v {
        Value::Null => SqlType::null(),
        Value::Int(_) => SqlType::bigint(false),
        Value::UInt(_) => SqlType::bigint_unsigned(false),
        Value::Double(_) => SqlType::double(false),
        Value::Decimal(d) => SqlType::new(TypeKind::Decimal { precision: d.precision(), scale: d.scale(), unsigned: false }, false),
        Value::Str(s) => SqlType::varchar(s.chars().count() as u32, false, Collation::UTF8MB4_GENERAL_CI),
        Value::Bytes(b) => SqlType::new(TypeKind::VarBinary { bytes: b.len() as u32 }, false),
        Value::Date(_) => SqlType::new(TypeKind::Date, false),
        Value::Time(_) => SqlType::new(TypeKind::Time { fsp: 6 }, false),
        Value::DateTime(_) => SqlType::new(TypeKind::DateTime { fsp: 6 }, false),
        Value::Json(_) => SqlType::string(TypeKind::Json, false, Collation::UTF8MB4_BIN),
    }
}
