//! The fast path: a statement whose normal form is known goes straight to its fragment.
//!
//! Owns:     the session's buffers for normal forms.
//! Promises: the same answer as the long way; what is not a single-table statement is remembered as such and costs one look-up.
//! Never:    skips a privilege check.

use super::prepared::Prepared;
use super::query::Size;
use super::{Facts, Outcome, Rows, Session};
use crate::metrics::Kind;
use crate::plan_cache::{Cached, Entry, KeyRef};
use std::sync::Arc;
use weald_exec::rows;
use weald_plan::dml::{self, BoundUpdate, InsertSource};
use weald_plan::{bind, local, rewrite};
use weald_sql::ast::{self, Statement};
use weald_sql::{ParseOptions, normalise, parse_normalised};
use weald_types::{Fault, SqlType, Value};

impl Session {
    fn plan_key<'a>(&'a self, text: &'a [u8]) -> KeyRef<'a> {
        KeyRef { text, database: self.database.as_deref(), sql_mode: self.settings.sql_mode, collation: self.settings.collation_connection }
    }

    /// `None`: the long way.
    pub(crate) async fn try_fast(&mut self, text: &str) -> Option<Result<Outcome, Fault>> {
        if !self.shares_plans() {
            return None;
        }
        let mut n = std::mem::take(&mut self.normal);
        let taken = normalise(text.as_bytes(), self.settings.sql_mode, &mut n);
        let found = if taken { self.fast_entry(text, &n) } else { None };
        let params: Vec<Value> = match &found {
            Some(_) => n.slots.iter().map(|s| self.slot_value(text, &n, s)).collect(),
            None => Vec::new(),
        };
        self.normal = n;
        let entry = found?;
        self.run_entry(&entry, &params).await
    }

    /// A plan that others share must not know of a table that only this session has; and where the session limits what a statement may do, each is looked at.
    fn shares_plans(&self) -> bool {
        self.temporary.is_empty() && self.settings.select_limit.is_none() && !self.settings.safe_updates
    }

    fn slot_value(&self, text: &str, n: &weald_sql::Normalised, s: &weald_sql::normalise::Slot) -> Value {
        match n.literal(text.as_bytes(), s) {
            ast::Literal::Integer(v) => i64::try_from(v).map_or(Value::UInt(v), Value::Int),
            ast::Literal::Decimal(t) => weald_types::Decimal::parse(&t).map_or_else(|| Value::str(&t), Value::Decimal),
            ast::Literal::Double(d) => Value::Double(d),
            ast::Literal::String { value, .. } | ast::Literal::National(value) => Value::str(value),
            ast::Literal::Bytes(b) | ast::Literal::Hex(b) | ast::Literal::Bit(b) => Value::bytes(b),
            ast::Literal::Bool(b) => Value::Int(b as i64),
            ast::Literal::Null => Value::Null,
            ast::Literal::Date(t) | ast::Literal::Time(t) | ast::Literal::Timestamp(t) => Value::str(t),
        }
    }

    fn fast_entry(&self, text: &str, n: &weald_sql::Normalised) -> Option<Arc<Entry>> {
        let version = self.catalog().version;
        let key = self.plan_key(&n.text);
        if let Some(e) = self.server.plans.get(&key, version) {
            self.server.metrics.plan_hits.add(1);
            return Some(e);
        }
        self.server.metrics.plan_misses.add(1);
        // Made from this text, its literals being parameters of their own types.
        let statement = parse_normalised(text.as_bytes(), n, &ParseOptions { sql_mode: self.settings.sql_mode }).ok()??;
        let types: Vec<Option<SqlType>> = n.slots.iter().map(|s| Some(super::prepared::type_of(&self.slot_value(text, n, s)))).collect();
        let plan = self.fast_plan(&statement, text, &types)?;
        Some(self.server.plans.put(key.owned(), version, plan))
    }

    /// `None`: it does not bind; the long way will say why.
    fn fast_plan(&self, statement: &Statement, text: &str, types: &[Option<SqlType>]) -> Option<Cached> {
        let engine = &self.server.engine;
        Some(match statement {
            Statement::Select(q) if q.into.is_none() => {
                let mut query = self.bind(text, types, |env| bind::bind_query(env, q)).ok()?;
                if !query.warnings.is_empty() {
                    return Some(Cached::No);
                }
                rewrite::optimize(&mut query, &self.bind_context(), &**engine);
                match local::fragment(&query, &self.bind_context()) {
                    Some(p) if !p.fragment.table.columns.is_empty() => Cached::Read(p),
                    _ => Cached::No,
                }
            }
            Statement::Update(u) if !u.ignore => match self.bind(text, types, |env| dml::update::bind_update(env, &**engine, u)).ok()? {
                BoundUpdate::Fragment(p) => Cached::Change(p),
                BoundUpdate::Rows(_) => Cached::No,
            },
            Statement::Delete(d) if !d.ignore => match self.bind(text, types, |env| dml::delete::bind_delete(env, &**engine, d)).ok()? {
                dml::BoundDelete::Fragment(p) => Cached::Change(p),
                dml::BoundDelete::Rows(_) => Cached::No,
            },
            Statement::Insert(i) if !i.ignore => {
                let b = self.bind(text, types, |env| dml::insert::bind_insert(env, &**engine, i)).ok()?;
                if matches!(b.source, InsertSource::Rows(_)) && b.subqueries.is_empty() { Cached::Insert(b) } else { Cached::No }
            }
            _ => Cached::No,
        })
    }

    async fn run_entry(&mut self, entry: &Arc<Entry>, params: &[Value]) -> Option<Result<Outcome, Fault>> {
        match &entry.plan {
            Cached::No => return None,
            // The table has grown since, these values find more, or the session wants another executor.
            Cached::Read(p) if !self.settings.executor.takes_fragment() || !self.server.engine.takes(p) || self.size_of(p, params) != Size::Small => {
                return None;
            }
            Cached::Read(_) | Cached::Change(_) | Cached::Insert(_) => (),
        }
        self.plan_used = Some(entry.clone());
        self.kind = match &entry.plan {
            Cached::No => return None,
            Cached::Read(_) => Kind::Select,
            Cached::Change(p) if matches!(p.fragment.action, weald_plan::fragment::Action::Update { .. }) => Kind::Update,
            Cached::Change(_) => Kind::Delete,
            Cached::Insert(_) => Kind::Insert,
        };
        let done = match &entry.plan {
            Cached::No => return None,
            Cached::Read(p) => match self.check(&p.needs).and_then(|()| self.limit_time(None)) {
                Err(f) => Err(f),
                Ok(()) => self.read_fragment(p, params).await.map(|r| Outcome::Rows { columns: p.columns.clone(), rows: rows::ready(r) }),
            },
            Cached::Change(p) => {
                self.changing(false, Rows::Many);
                let update = matches!(p.fragment.action, weald_plan::fragment::Action::Update { .. });
                self.warn_of(&p.warnings);
                match self.check(&p.needs) {
                    Err(f) => Err(f),
                    Ok(()) => match self.change_fragment(p, params).await {
                        Ok(done) if update => self.updated(done),
                        Ok(done) => Outcome::affected(done.changed),
                        Err(f) => Err(f),
                    },
                }
            }
            Cached::Insert(b) => {
                self.changing(false, if matches!(&b.source, InsertSource::Rows(rows) if rows.len() == 1) { Rows::One } else { Rows::Many });
                self.warn_of(&b.warnings);
                match self.check(&b.needs) {
                    Err(f) => Err(f),
                    Ok(()) => self.run_insert(b, params).await,
                }
            }
        };
        match done {
            // Planned for a table that has changed: the long way plans anew.
            Err(Fault::SchemaChanged) => None,
            done => Some(done),
        }
    }

    /// A prepared statement's plan, by its text and the types bound.
    pub(crate) async fn try_fast_prepared(&mut self, p: &Prepared, params: &[Value]) -> Option<Result<Outcome, Fault>> {
        // A text that stands for other bytes is no key to a plan.
        if !p.is_text || !matches!(&*p.statement, Statement::Select(_) | Statement::Update(_) | Statement::Delete(_) | Statement::Insert(_)) {
            return None;
        }
        if !self.shares_plans() || matches!(&*p.statement, Statement::Select(q) if q.time_limit().is_some()) {
            return None;
        }
        let version = self.catalog().version;
        let facts = self.facts();
        let kept = p.plan.lock().as_ref().filter(|k| k.is_for(&facts, version, params)).map(|k| k.entry.clone());
        let entry = match kept {
            Some(e) => {
                self.server.metrics.plan_hits.add(1);
                e
            }
            None => {
                let entry = self.prepared_entry(p, version, params)?;
                *p.plan.lock() = Some(Planned { facts, version, kinds: params.iter().map(kind).collect(), entry: entry.clone() });
                entry
            }
        };
        self.run_entry(&entry, params).await
    }

    fn prepared_entry(&self, p: &Prepared, version: u64, params: &[Value]) -> Option<Arc<Entry>> {
        let mut text = Vec::with_capacity(p.text.len() + 1 + params.len());
        text.extend_from_slice(p.text.as_bytes());
        text.push(0);
        text.extend(params.iter().map(kind));
        let key = self.plan_key(&text);
        if let Some(e) = self.server.plans.get(&key, version) {
            self.server.metrics.plan_hits.add(1);
            return Some(e);
        }
        self.server.metrics.plan_misses.add(1);
        let types: Vec<Option<SqlType>> = params.iter().map(|v| Some(super::prepared::type_of(v))).collect();
        let plan = self.fast_plan(&p.statement, &p.text, &types)?;
        Some(self.server.plans.put(key.owned(), version, plan))
    }
}

/// The plan that a prepared statement ran with last, and what it was made for.
#[derive(Debug)]
pub struct Planned {
    facts: Arc<Facts>,
    version: u64,
    /// Of the parameters.
    kinds: Box<[u8]>,
    entry: Arc<Entry>,
}

impl Planned {
    fn is_for(&self, facts: &Arc<Facts>, version: u64, params: &[Value]) -> bool {
        Arc::ptr_eq(&self.facts, facts) && self.version == version && self.kinds.iter().copied().eq(params.iter().map(kind))
    }
}

/// Values of one kind have one type, as far as a plan depends on it.
fn kind(v: &Value) -> u8 {
    match v {
        Value::Null => b'n',
        Value::Int(_) => b'i',
        Value::UInt(_) => b'u',
        Value::Decimal(d) => b'A' + d.scale(),
        Value::Double(_) => b'd',
        Value::Str(_) => b's',
        Value::Bytes(_) => b'b',
        Value::Date(_) => b'D',
        Value::Time(_) => b't',
        Value::DateTime(_) => b'T',
        Value::Json(_) => b'j',
    }
}
