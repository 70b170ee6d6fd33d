//! Every statement of the golden scripts, bound and put on the wire.
//!
//! Owns:     nothing.
//! Promises: what a plan holds reads back as the same plan; bytes that were damaged never panic.
//! Never:    runs a statement.

#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use weald_catalog::{DatabaseDef, TableDef, TableRef, ViewDef};
use weald_expr::Expr;
use weald_expr::carried::{MAX_HEIGHT, Reach, must_stay};
use weald_expr::function::BindContext;
use weald_plan::carried::{CarriedFragment, CarriedTarget};
use weald_plan::dml::{self, BoundDelete, BoundInsert, BoundOnDuplicate, BoundUpdate, InsertSource, RowChanges};
use weald_plan::fragment::{Access, Action};
use weald_plan::query::Aggregate;
use weald_plan::{Bindings, Fragment, FragmentPlan, Names, NoStatistics, Query, bind, ddl, local, rewrite};
use weald_sql::ast::{Statement, VarScope};
use weald_sql::{ParseOptions, parse};
use weald_types::{Collation, DatabaseId, Fault, IndexId, SchemaVersion, SqlMode, SqlType, TableId, Value};

const SESSION: BindContext = BindContext {
    sql_mode: SqlMode::DEFAULT,
    collation_connection: Collation::UTF8MB4_GENERAL_CI,
    div_precision_increment: 4,
    group_concat_max_len: 1024,
};

/// One database that has all tables, whatever it is called.
struct Catalogue {
    tables: HashMap<String, TableRef>,
}

impl Names for Catalogue {
    fn current_database(&self) -> Option<&str> {
        Some("db")
    }
    fn current_user(&self) -> (&str, &str) {
        ("root", "%")
    }
    fn database(&self, name: &str) -> Option<Arc<DatabaseDef>> {
        Some(Arc::new(DatabaseDef {
            id: DatabaseId::new(1),
            name: name.into(),
            partitions: 4,
            collation: Collation::UTF8MB4_GENERAL_CI,
            sync_durability: true,
            sync_replication: true,
            tables: BTreeMap::new(),
            views: BTreeMap::new(),
            building: BTreeMap::new(),
        }))
    }
    fn table(&self, _: &str, name: &str) -> Option<Arc<TableDef>> {
        self.tables.get(name).cloned()
    }
    fn view(&self, _: &str, _: &str) -> Option<Arc<ViewDef>> {
        None
    }
    fn virtual_table(&self, _: &str, _: &str) -> Option<Vec<(Arc<str>, SqlType)>> {
        None
    }
    fn system_variable(&self, _: Option<VarScope>, _: &str) -> Result<(Value, SqlType), Fault> {
        Ok((Value::Int(1), SqlType::bigint(false)))
    }
    fn user_variable(&self, _: &str) -> Option<SqlType> {
        Some(SqlType::bigint(true))
    }
}

fn bytes(v: &impl Serialize) -> Vec<u8> {
    postcard::to_stdvec(v).unwrap()
}
fn over<T: DeserializeOwned>(v: &impl Serialize) -> T {
    postcard::from_bytes(&bytes(v)).unwrap()
}
/// It comes back as it went.
fn check<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(v: &T) {
    assert_eq!(&over::<T>(v), v);
}

#[derive(Default)]
struct Seen {
    statements: usize,
    exprs: usize,
    fragments: usize,
    changes: usize,
    inserts: usize,
    longest: usize,
}

impl Seen {
    fn expr(&mut self, e: &Expr) {
        self.exprs += 1;
        check(e);
    }
    fn query(&mut self, q: &Query) {
        for rel in q.subqueries.iter().chain([&q.root]) {
            rel.all_exprs(&mut |e| self.expr(e));
        }
    }
    fn plan(&mut self, plan: &FragmentPlan) {
        for f in plan.others.iter().chain([&plan.fragment]) {
            self.fragments += 1;
            self.longest = self.longest.max(bytes(&f.carry()).len());
            let back: CarriedFragment<'static> = over(&f.carry());
            assert_eq!(back.table(), (f.table.id, f.table.version));
            assert_eq!(back.resolve(|_, _| Ok(f.table.clone())).as_ref(), Ok(f));
            damaged(f);
        }
        check(&plan.gather);
        check(&plan.target);
    }
    fn rows(&mut self, r: &RowChanges) {
        self.query(&r.query);
        let width = r.query.columns.len().max(r.query.root.columns().len());
        for t in &r.targets {
            self.changes += 1;
            let back: CarriedTarget<'static> = over(&t.carry());
            assert_eq!(back.resolve(width, |_, _| Ok(t.table.clone())).as_ref(), Ok(t));
        }
    }
    fn insert(&mut self, i: &BoundInsert) {
        self.inserts += 1;
        check(&i.fill);
        check(&*i.rules);
        check(&i.on_duplicate);
        let (columns, further) = (i.table.columns.len(), if let InsertSource::Query(q) = &i.source { q.columns.len() } else { 0 });
        assert!(i.rules.fits(columns) && i.on_duplicate.fits(columns, further), "{:?}", i.on_duplicate);
        match &i.source {
            InsertSource::Rows(rows) => check(&rows.to_vec()),
            InsertSource::Query(q) => self.query(q),
        }
        if let BoundOnDuplicate::Update { assignments, .. } = &i.on_duplicate
            && let Some((ordinal, _)) = assignments.first()
        {
            assert!(!i.on_duplicate.fits(*ordinal as usize, 0));
        }
    }

    fn statement(&mut self, statement: &Statement, env: &Bindings<'_>, catalogue: &Catalogue) -> Result<Option<TableDef>, Fault> {
        match statement {
            Statement::Select(q) => {
                let mut query = bind::bind_query(env, q)?;
                self.query(&query);
                rewrite::optimize(&mut query, &SESSION, &NoStatistics);
                self.query(&query);
                if let Some(plan) = local::fragment(&query, &SESSION) {
                    self.plan(&plan);
                }
            }
            Statement::Insert(i) => self.insert(&dml::bind_insert(env, &NoStatistics, i)?),
            Statement::Update(u) => match dml::bind_update(env, &NoStatistics, u)? {
                BoundUpdate::Fragment(plan) => self.plan(&plan),
                BoundUpdate::Rows(rows) => self.rows(&rows),
            },
            Statement::Delete(d) => match dml::bind_delete(env, &NoStatistics, d)? {
                BoundDelete::Fragment(plan) => self.plan(&plan),
                BoundDelete::Rows(rows) => self.rows(&rows),
            },
            Statement::CreateTable(c) if c.like.is_none() && c.select.is_none() => {
                let name = c.name.as_ref().map(|n| n.name.clone()).unwrap_or_default();
                let mut ctx = ddl::DdlContext {
                    database: "db",
                    database_id: DatabaseId::new(1),
                    collation: Collation::UTF8MB4_GENERAL_CI,
                    partitions: 4,
                    ignore_foreign_keys: true,
                    warnings: Vec::new(),
                };
                let mut def = ddl::create_table(c, &name, &[], &mut ctx)?;
                def.id = TableId::new(catalogue.tables.len() as u32 + 1);
                let table: TableRef = Arc::new(def.clone());
                let sources: Vec<Option<u16>> = (0..table.columns.len() as u16).map(Some).collect();
                for column in dml::bind_copy(env, &table, &table, &sources)?.given {
                    check(&column);
                }
                self.statements += 1;
                return Ok(Some(def));
            }
            _ => return Ok(None),
        }
        self.statements += 1;
        Ok(None)
    }
}

/// Cut short, and with each byte changed in turn: an error, or another fragment of the same table.
fn damaged(f: &Fragment) {
    let whole = bytes(&f.carry());
    // Long ones are lists, alike in all their parts.
    let step = whole.len() / 300 + 1;
    for at in (0..whole.len()).step_by(step) {
        assert!(postcard::from_bytes::<CarriedFragment<'static>>(&whole[..at]).is_err());
        let mut other = whole.clone();
        other[at] = other[at].wrapping_mul(31).wrapping_add(at as u8 | 1);
        if let Ok(other) = postcard::from_bytes::<CarriedFragment<'static>>(&other)
            && let Ok(other) = other.resolve(|_, _| Ok(f.table.clone()))
        {
            let _ = (other.reach(), other.variables());
        }
    }
}

/// The statements of a golden script: what stands before `---`, each ended by `;` at the end of a line.
fn statements(script: &str) -> Vec<String> {
    let (mut out, mut open, mut answer) = (Vec::new(), String::new(), false);
    for line in script.lines() {
        match line {
            "" => answer = false,
            "---" => answer = true,
            _ if answer || open.is_empty() && line.starts_with('#') => (),
            line => {
                open.push_str(line);
                open.push('\n');
                if line.ends_with(';') {
                    let text = std::mem::take(&mut open);
                    let text = if text.starts_with('[') { text.split_once(']').map_or("", |t| t.1) } else { &text };
                    out.push(text.trim().trim_end_matches(';').to_string());
                }
            }
        }
    }
    out
}

/// With the stack that threads of a node have.
fn on_a_thread(work: fn()) {
    std::thread::Builder::new().stack_size(8 << 20).spawn(work).unwrap().join().unwrap();
}

#[test]
fn what_the_golden_scripts_plan_reads_back() {
    on_a_thread(golden_scripts);
}

fn golden_scripts() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/sql");
    let mut files: Vec<_> =
        std::fs::read_dir(dir).unwrap().flatten().map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "test")).collect();
    files.sort();
    let mut seen = Seen::default();
    for file in files {
        let mut catalogue = Catalogue { tables: HashMap::new() };
        for text in statements(&std::fs::read_to_string(&file).unwrap()) {
            let Ok(statement) = parse(&text, &ParseOptions::default()) else { continue };
            let env = Bindings { names: &catalogue, session: SESSION, text: &text, params: &[] };
            // What does not bind is here for its error.
            if let Ok(Some(def)) = seen.statement(&statement, &env, &catalogue) {
                catalogue.tables.insert(def.name.to_string(), Arc::new(def));
            }
        }
    }
    println!(
        "{} statements, {} expressions, {} fragments, the longest of {} bytes, {} changes, {} inserts",
        seen.statements, seen.exprs, seen.fragments, seen.longest, seen.changes, seen.inserts
    );
    assert!(seen.statements > 1_500 && seen.fragments > 500 && seen.changes > 20 && seen.inserts > 250);
}

/// `CREATE TABLE`, then one statement's fragment over it.
fn fragment(create: &str, text: &str) -> Fragment {
    plan(create, text).unwrap_or_else(|| panic!("{text} is no fragment"))
}
fn plan(create: &str, text: &str) -> Option<Fragment> {
    let mut catalogue = Catalogue { tables: HashMap::new() };
    let mut seen = Seen::default();
    let created = parse(create, &ParseOptions::default()).unwrap();
    let def = seen.statement(&created, &Bindings { names: &catalogue, session: SESSION, text: create, params: &[] }, &catalogue).unwrap().unwrap();
    catalogue.tables.insert(def.name.to_string(), Arc::new(def));
    let env = Bindings { names: &catalogue, session: SESSION, text, params: &[] };
    match parse(text, &ParseOptions::default()).unwrap() {
        Statement::Select(q) => {
            let mut query = bind::bind_query(&env, &q).unwrap();
            rewrite::optimize(&mut query, &SESSION, &NoStatistics);
            seen.query(&query);
            Some(local::fragment(&query, &SESSION)?.fragment)
        }
        Statement::Update(u) => match dml::bind_update(&env, &NoStatistics, &u).unwrap() {
            BoundUpdate::Fragment(plan) => Some(plan.fragment),
            BoundUpdate::Rows(_) => None,
        },
        other => panic!("{other:?}"),
    }
}

const TABLE: &str = "create table t (id int primary key, a int, b varchar(20), c timestamp default current_timestamp on update current_timestamp, \
                     g int generated always as (a + 1) stored, check (a < 100), key (a))";

#[test]
fn work_that_does_not_fit_its_table_is_refused() {
    let read = fragment(TABLE, "select id, b, count(*) from t where id = 5 group by id, b");
    let update = fragment(TABLE, "update t set b = concat(b, 'x'), a = a + 1 where a = 5");
    let narrower = {
        let mut t = TableDef::clone(&read.table);
        t.columns.truncate(1);
        Arc::new(t)
    };
    let fits = |f: &Fragment, table: &TableRef| over::<CarriedFragment<'static>>(&f.carry()).resolve(|_, _| Ok(table.clone())).is_ok();
    for f in [&read, &update] {
        assert!(fits(f, &f.table));
        assert!(!fits(f, &narrower));
        let elsewhere = Fragment { access: Access::Points { index: IndexId::new(77), keys: vec![] }, ..f.clone() };
        assert!(!fits(&elsewhere, &f.table));
    }
    let Action::Update { mut assignments, rules, sort, limit, ignore } = update.action.clone() else { panic!() };
    assignments[0].0 = 5;
    let wrong = Fragment { action: Action::Update { assignments, rules, sort, limit, ignore }, ..update.clone() };
    assert!(!fits(&wrong, &update.table));
    // The reader's own word goes home.
    let changed = over::<CarriedFragment<'static>>(&read.carry()).resolve(|_, version| {
        assert_eq!(version, SchemaVersion::FIRST);
        Err(Fault::SchemaChanged)
    });
    assert_eq!(changed, Err(Fault::SchemaChanged));
}

#[test]
fn a_fragment_knows_how_far_it_may_go() {
    let reach = |text: &str| fragment(TABLE, text).reach();
    assert_eq!(reach("select a from t where id = 5"), Reach::Anywhere);
    assert_eq!(reach("update t set a = last_insert_id(a + 1) where id = 5"), Reach::OneNode);
    assert_eq!(reach("select get_lock(b, 1) from t"), Reach::AtHome);
    assert_eq!(reach("update t set a = rand() * 10 where id = 5"), Reach::AtHome);
    assert_eq!(fragment(TABLE, "select @x, a from t where b = @Y and a < @x").variables(), ["x".into(), "y".into()] as [Arc<str>; 2]);
}

#[test]
fn a_point_read_is_short() {
    let f = fragment(TABLE, "select b from t where id = 5");
    assert!(bytes(&f.carry()).len() <= 60, "{:?}", bytes(&f.carry()));
}

/// As deep as the parser lets it be.
#[test]
fn the_deepest_statement_can_be_sent() {
    on_a_thread(deepest);
}

fn deepest() {
    let sum = format!("select id{} from t", " + a".repeat(198));
    let calls = format!("select {}a{} from t", "concat(b, ".repeat(120), ")".repeat(120));
    let cases = format!("select {}a{} from t", "case when a = 1 then b else ".repeat(90), " end".repeat(90));
    for text in [sum, calls, cases] {
        let f = fragment(TABLE, &text);
        let mut height = 0;
        f.exprs(&mut |e| height = height.max(height_of(e)));
        assert!((90..=MAX_HEIGHT).contains(&height), "{height}");
        let back: CarriedFragment<'static> = over(&f.carry());
        assert_eq!(back.resolve(|_, _| Ok(f.table.clone())).as_ref(), Ok(&f));
        f.exprs(&mut |e| assert!(!must_stay(e)));
    }
}

fn height_of(e: &Expr) -> usize {
    let mut most = 0;
    weald_expr::walk::for_each_child(e, &mut |c| most = most.max(height_of(c)));
    most + 1
}

#[test]
fn aggregates_go_with_all_they_need() {
    let f = fragment(TABLE, "select a, count(*), max(b), sum(a + 1), avg(a) from t group by a");
    let Action::Read { aggregates, .. } = &f.action else { panic!() };
    check::<Vec<Aggregate>>(aggregates);
}
