//! The FROM clause: tables, views, derived tables and joins.
//!
//! Owns:     nothing.
//! Promises: RIGHT JOIN becomes LEFT JOIN with its sides changed over, and `*` still gives columns in the order that was written.
//! Never:    chooses a join order.

use super::locking::{Locks, read_place};
use super::scope::{Clause, Place, ScopeColumn, ScopeTable, ViewFrame, same_name};
use super::{Binder, Bound, cte};
use crate::query::{Column, JoinKind, Locking, Origin, OriginFlags, ROW_LOCATOR, Rel};
use crate::walk;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use weald_catalog::table::TableRef;
use weald_catalog::user::is_information_schema;
use weald_catalog::{DefaultValue, Privilege, TableDef, ViewDef};
use weald_expr::json_table::{ColumnSpec, JsonTable, OtherwiseText};
use weald_expr::{Expr, Operator};
use weald_sql::ast;
use weald_types::sql_type::IntWidth;
use weald_types::{Collation, Fault, SqlType, TypeKind};

/// Tables of one FROM clause, as many as MySQL's optimizer can number.
const MOST_TABLES: usize = 61;

/// One table expression, bound.
struct Part {
    rel: Rel,
    visible: Vec<Place>,
    tables: Range<usize>,
    lateral: bool,
}

impl Binder<'_> {
    /// Binds FROM into the innermost block.
    pub fn from(&mut self, from: &[ast::TableRef]) -> Result<Rel, Fault> {
        let mut whole: Option<Part> = None;
        for t in from {
            let part = self.table_ref(t)?;
            whole = Some(match whole {
                None => part,
                Some(left) => self.cross(left, part),
            });
        }
        let whole = whole.expect("a FROM clause names a table");
        let block = self.block();
        block.visible = whole.visible;
        block.in_sight = None;
        Ok(whole.rel)
    }

    fn cross(&mut self, left: Part, right: Part) -> Part {
        let rel = Rel::Join { kind: JoinKind::Cross, left: Box::new(left.rel), right: Box::new(right.rel), on: None, lateral: right.lateral };
        Part { rel, visible: [left.visible, right.visible].concat(), tables: left.tables.start..right.tables.end, lateral: left.lateral }
    }

    fn table_ref(&mut self, t: &ast::TableRef) -> Result<Part, Fault> {
        match t {
            ast::TableRef::Table { name, alias, hints } => self.named_table(name, alias.as_deref(), hints),
            ast::TableRef::Derived { query, alias, columns, lateral } => {
                let Some(alias) = alias else { return Err(Fault::mysql(1248, "42000", "Every derived table must have its own alias")) };
                let hidden = std::mem::replace(&mut self.block().hidden, !lateral);
                let bound = self.query(query)?;
                self.block().hidden = hidden;
                // A query that reads its neighbours cannot run without them.
                let neighbours = self.block().from_ids();
                let lateral = *lateral && bound.rel.free().iter().any(|c| neighbours.contains(c));
                self.push_bound(None, alias, bound, columns, None, lateral)
            }
            ast::TableRef::Join { kind, natural, left, right, on } => self.join(*kind, *natural, left, right, on),
            ast::TableRef::JsonTable { doc, path, columns, alias } => self.json_table(doc, path, columns, alias),
        }
    }

    fn json_table(&mut self, doc: &ast::Expr, path: &str, columns: &[ast::JsonTableColumn], alias: &str) -> Result<Part, Fault> {
        let document = self.in_clause(Clause::From, |b| b.expr(doc))?;
        let collation = self.env.session.collation_connection;
        let mut named: Vec<(&str, SqlType)> = Vec::new();
        let specs = json_columns(columns, collation, &mut named)?;
        let table = Arc::new(JsonTable::new(path, &specs, alias)?);
        let mut made: Vec<Column> = Vec::with_capacity(named.len());
        let mut scope: Vec<ScopeColumn> = Vec::with_capacity(named.len());
        for (name, ty) in named {
            if scope.iter().any(|c| same_name(&c.name, name)) {
                return Err(duplicate_column(name));
            }
            // The rows hold what an expression reads: an ENUM's text, a TIMESTAMP in session time.
            let column = Column { id: self.new_id(), ty: super::evaluated(&ty), name: name.into(), origin: None };
            scope.push(ScopeColumn { name: name.into(), id: column.id, ty: column.ty.clone(), client: ty, origin: None, invisible: false });
            made.push(column);
        }
        let mut read = BTreeSet::new();
        walk::columns_of(&document, &mut read);
        let neighbours = self.block().from_ids();
        let lateral = read.iter().any(|c| neighbours.contains(c));
        let scope = ScopeTable { database: None, name: alias.into(), columns: scope, need: None, any_case: false, places: vec![] };
        self.push_table(Rel::JsonTable { document, table, columns: made }, scope, None, lateral)
    }

    fn named_table(&mut self, name: &ast::ObjectName, alias: Option<&str>, hints: &[ast::IndexHint]) -> Result<Part, Fault> {
        let shown = alias.unwrap_or(&name.name);
        if name.database.is_none()
            && let Some(found) = self.cte(&name.name)?
        {
            let cte::Reference { bound, columns } = found;
            return self.push_bound(None, shown, bound, &columns, None, false);
        }
        let database = self.database_of(name)?;
        if let Some(table) = self.env.names.table(&database, &name.name) {
            for h in hints.iter().flat_map(|h| &h.indexes) {
                let known = h.eq_ignore_ascii_case("PRIMARY") && table.primary_key || table.indexes.iter().any(|i| same_name(&i.name, h));
                if !known {
                    return Err(Fault::mysql(1176, "42000", format!("Key '{h}' doesn't exist in table '{}'", name.name)));
                }
            }
            return self.base_table(&table, alias);
        }
        if let Some(view) = self.env.names.view(&database, &name.name) {
            return self.view(&view, shown);
        }
        if let Some(columns) = self.env.names.virtual_table(&database, &name.name) {
            return self.virtual_table(&database, &name.name, shown, columns);
        }
        if self.env.names.database(&database).is_none() && !is_information_schema(&database) {
            return Err(Fault::NoSuchDatabase { name: database });
        }
        if is_information_schema(&database) {
            return Err(Fault::mysql(1109, "42S02", format!("Unknown table '{}' in information_schema", name.name.to_uppercase())));
        }
        Err(Fault::NoSuchTable { database, table: name.name.clone() })
    }

    /// The database a table name means: its own, the view's that is being expanded, or the session's.
    pub fn database_of(&self, name: &ast::ObjectName) -> Result<String, Fault> {
        if let Some(d) = &name.database {
            return Ok(d.clone());
        }
        if let Some(v) = self.views.last() {
            return Ok(v.database.to_string());
        }
        self.env.names.current_database().map(str::to_string).ok_or(Fault::NoDatabaseSelected)
    }

    fn base_table(&mut self, table: &TableRef, alias: Option<&str>) -> Result<Part, Fault> {
        let places = self.locators_at == Some(self.blocks.len()) || self.block().locks.wants_places();
        let (rel, scope) = self.scan(table, alias, places);
        self.push_table(rel, scope, Some(table.clone()), false)
    }

    /// A scan of all columns, and what it brings into scope. With `locator`, the row's locator is one more column at the end, without a name.
    pub fn scan(&mut self, table: &TableRef, alias: Option<&str>, locator: bool) -> (Rel, ScopeTable) {
        self.use_table(table);
        let shown = alias.unwrap_or(&table.name);
        let need = self.need(Privilege::Select, &table.database_name, &table.name);
        let mut columns = Vec::with_capacity(table.columns.len());
        let mut scope = Vec::with_capacity(table.columns.len());
        for (i, c) in table.columns.iter().enumerate() {
            let origin = Arc::new(Origin {
                database: table.database_name.clone(),
                table: table.name.clone(),
                table_alias: shown.into(),
                column: c.name.clone(),
                flags: origin_flags(table, i as u16),
            });
            let name: Arc<str> = Arc::from(&*c.name);
            let column = Column { id: self.new_id(), ty: c.ty.clone(), name: name.clone(), origin: Some(origin.clone()) };
            scope.push(ScopeColumn { name, id: column.id, ty: c.ty.clone(), client: c.ty.clone(), origin: Some(origin), invisible: c.invisible });
            columns.push(column);
        }
        let mut ordinals: Vec<u16> = (0..table.columns.len() as u16).collect();
        if locator {
            ordinals.push(ROW_LOCATOR);
            columns.push(self.new_column("", crate::dml::locator_type()));
        }
        let places = if locator { columns.last().map(|c| (table.clone(), c.id)).into_iter().collect() } else { vec![] };
        let rel = Rel::Scan { table: table.clone(), ordinals, columns };
        let scope =
            ScopeTable { database: Some(table.database_name.clone()), name: shown.into(), columns: scope, need: Some(need), any_case: false, places };
        (rel, scope)
    }

    /// Reads the locator of table `t` of the innermost block; NULL where an outer join found no row.
    pub fn locator_of(&mut self, t: usize) -> Result<Expr, Fault> {
        let table = &self.block().tables[t];
        match &table.places[..] {
            [(_, id)] => Ok(read_place(*id)),
            _ => Err(Fault::mysql(1288, "HY000", format!("The target table {} of the statement is not updatable", table.name))),
        }
    }

    fn virtual_table(&mut self, database: &str, name: &str, shown: &str, columns: Vec<(Arc<str>, SqlType)>) -> Result<Part, Fault> {
        let mut made = Vec::with_capacity(columns.len());
        let mut scope = Vec::with_capacity(columns.len());
        for (column, ty) in columns {
            let origin = Arc::new(Origin {
                database: database.into(),
                table: name.into(),
                table_alias: shown.into(),
                column: column.as_ref().into(),
                flags: OriginFlags::default(),
            });
            let c = Column { id: self.new_id(), ty: ty.clone(), name: column.clone(), origin: Some(origin.clone()) };
            scope.push(ScopeColumn { name: column, id: c.id, ty: super::evaluated(&ty), client: ty, origin: Some(origin), invisible: false });
            made.push(c);
        }
        let full: Arc<str> = format!("{}.{}", database.to_ascii_lowercase(), name.to_ascii_uppercase()).into();
        let rel = Rel::Virtual { name: full, columns: made };
        let scope = ScopeTable { database: Some(database.into()), name: shown.into(), columns: scope, need: None, any_case: true, places: vec![] };
        self.push_table(rel, scope, None, false)
    }

    fn view(&mut self, view: &Arc<ViewDef>, shown: &str) -> Result<Part, Fault> {
        let (database, name) = (&view.database_name, &view.name);
        if self.views.iter().any(|v| v.database == *database && v.name == *name) {
            return Err(Fault::mysql(1462, "HY000", format!("`{database}`.`{name}` contains view recursion")));
        }
        let need = self.need(Privilege::Select, database, name);
        let text: Arc<str> = Arc::from(&*view.query);
        let locking = self.block().locks.of_view(shown);
        let before = self.needs.len();
        let bound = self.view_query(view, text, locking).map_err(|fault| match fault {
            Fault::NoSuchTable { .. } | Fault::NoSuchColumn { .. } | Fault::NoSuchFunction { .. } | Fault::NoSuchDatabase { .. } => Fault::mysql(
                1356,
                "HY000",
                format!("View '{database}.{name}' references invalid table(s) or column(s) or function(s) or definer/invoker of view lack rights to use them"),
            ),
            other => other,
        })?;
        if locking.is_some_and(|l| l.exclusive) {
            self.needs[before..].iter_mut().for_each(|n| n.locks = true);
        }
        let columns: Vec<String> = view.columns.iter().map(|c| c.to_string()).collect();
        self.push_bound(Some((database.clone(), view.name.clone())), shown, bound, &columns, Some(need), false)
    }

    /// [`Fault`] 1356 if what the view reads is no longer there.
    pub fn check_view(&mut self, view: &Arc<ViewDef>) -> Result<(), Fault> {
        self.blocks.push(super::scope::Block::default());
        self.view(view, &view.name).map(drop)
    }

    /// `locking`: what a clause around it asks of its rows.
    fn view_query(&mut self, view: &ViewDef, text: Arc<str>, locking: Option<Locking>) -> Result<Bound, Fault> {
        let query = super::table::parse_query(&text, self.env.session.sql_mode)?;
        // Who invokes a view within a view is the outer one's definer.
        let definer = if view.security_invoker { self.views.last().and_then(|v| v.definer.clone()) } else { Some(view.definer.clone()) };
        let frame = ViewFrame { database: view.database_name.clone(), name: view.name.clone(), definer, blocks: self.blocks.len() };
        let outer_text = std::mem::replace(&mut self.text, text);
        let outer_ctes = std::mem::take(&mut self.ctes);
        self.views.push(frame);
        self.locks = locking.map_or_else(Locks::default, Locks::upwards);
        let bound = self.query(&query);
        self.views.pop();
        self.ctes = outer_ctes;
        self.text = outer_text;
        bound
    }

    /// Brings a bound query into scope as a table called `alias`.
    fn push_bound(
        &mut self,
        view: Option<(Box<str>, Box<str>)>,
        alias: &str,
        bound: Bound,
        names: &[String],
        need: Option<usize>,
        lateral: bool,
    ) -> Result<Part, Fault> {
        if !names.is_empty() && names.len() != bound.columns.len() {
            let text =
                "In definition of view, derived table or common table expression, SELECT list and column names list have different column counts";
            return Err(Fault::mysql(1353, "HY000", text));
        }
        let own = bound.rel.columns();
        let mut columns: Vec<ScopeColumn> = Vec::with_capacity(own.len());
        for (i, (c, read)) in bound.columns.iter().zip(own).enumerate() {
            let name: Arc<str> = names.get(i).map_or_else(|| c.name.clone(), |n| n.as_str().into());
            if columns.iter().any(|o| same_name(&o.name, &name)) {
                return Err(duplicate_column(&name));
            }
            let origin = match &view {
                Some((d, v)) => Some(Origin {
                    database: d.clone(),
                    table: v.clone(),
                    table_alias: alias.into(),
                    column: name.as_ref().into(),
                    flags: OriginFlags::default(),
                }),
                None => c.origin.as_ref().map(|o| Origin { table_alias: alias.into(), ..Origin::clone(o) }),
            };
            columns.push(ScopeColumn { name, id: c.id, ty: read.ty, client: c.ty.clone(), origin: origin.map(Arc::new), invisible: false });
        }
        let database = view.map(|v| v.0);
        let scope = ScopeTable { database, name: alias.into(), columns, need, any_case: false, places: bound.places };
        self.push_table(bound.rel, scope, None, lateral)
    }

    fn push_table(&mut self, rel: Rel, scope: ScopeTable, def: Option<TableRef>, lateral: bool) -> Result<Part, Fault> {
        let block = self.block();
        if block.tables.iter().any(|t| t.name == scope.name && t.database == scope.database) {
            return Err(Fault::mysql(1066, "42000", format!("Not unique table/alias: '{}'", scope.name)));
        }
        let at = block.tables.len();
        if at == MOST_TABLES {
            return Err(Fault::mysql(1116, "HY000", format!("Too many tables; MySQL can only use {MOST_TABLES} tables in a join")));
        }
        let visible: Vec<Place> = (0..scope.columns.len()).map(|c| (at, c)).collect();
        block.tables.push(scope);
        block.defs.push(def);
        // What stands to the left is in sight of a LATERAL table to the right.
        block.visible.extend(&visible);
        Ok(Part { rel, visible, tables: at..at + 1, lateral })
    }

    fn join(&mut self, kind: ast::JoinKind, natural: bool, left: &ast::TableRef, right: &ast::TableRef, on: &ast::JoinOn) -> Result<Part, Fault> {
        if kind == ast::JoinKind::Full {
            return Err(Fault::not_supported("FULL OUTER JOIN"));
        }
        if kind == ast::JoinKind::Straight {
            self.fixed_join_order = true;
        }
        let left = self.table_ref(left)?;
        let right = self.table_ref(right)?;
        let tables = left.tables.start..right.tables.end;
        let all: Vec<Place> = left.visible.iter().chain(&right.visible).copied().collect();
        let right_join = kind == ast::JoinKind::Right;
        let (condition, visible) = match on {
            ast::JoinOn::On(e) => {
                let before = (self.block().in_sight.replace(tables.clone()), std::mem::replace(&mut self.block().visible, all.clone()));
                let condition = self.in_clause(Clause::On, |b| b.condition(e))?;
                (self.block().in_sight, self.block().visible) = before;
                (Some(condition), all)
            }
            ast::JoinOn::Using(names) => self.merge_columns(&left, &right, names, right_join)?,
            ast::JoinOn::None if natural => {
                let common = self.common_columns(&left, &right);
                self.merge_columns(&left, &right, &common, right_join)?
            }
            ast::JoinOn::None => (None, all),
        };
        let outer = matches!(kind, ast::JoinKind::Left | ast::JoinKind::Right);
        if outer {
            // The side that may be missing gives NULLs.
            let missing = if right_join { left.tables.clone() } else { right.tables.clone() };
            for c in self.block().tables[missing].iter_mut().flat_map(|t| &mut t.columns) {
                c.ty.nullable = true;
                c.client.nullable = true;
            }
        }
        let kind = if outer {
            JoinKind::Left
        } else if condition.is_some() {
            JoinKind::Inner
        } else {
            JoinKind::Cross
        };
        let on = if outer && condition.is_none() { Some(crate::walk::truth(true)) } else { condition };
        let lateral = right.lateral;
        if right_join && lateral {
            return Err(Fault::mysql(3668, "HY000", "INNER or LEFT JOIN must be used for LATERAL references made by a derived table"));
        }
        let (l, r) = if right_join { (right.rel, left.rel) } else { (left.rel, right.rel) };
        let rel = Rel::Join { kind, left: Box::new(l), right: Box::new(r), on, lateral };
        Ok(Part { rel, visible, tables, lateral: left.lateral })
    }

    /// Names that both sides of a NATURAL JOIN have, in the order of the left side.
    fn common_columns(&mut self, left: &Part, right: &Part) -> Vec<String> {
        let block = self.block();
        let seen = |p: &&Place| !block.column(**p).invisible;
        let right_has = |name: &str| right.visible.iter().filter(seen).any(|p| same_name(&block.column(*p).name, name));
        left.visible.iter().filter(seen).map(|p| block.column(*p).name.to_string()).filter(|n| right_has(n)).collect()
    }

    fn merge_columns(&mut self, left: &Part, right: &Part, names: &[String], right_join: bool) -> Result<(Option<Expr>, Vec<Place>), Fault> {
        let mut merged = Vec::new();
        let mut conditions = Vec::new();
        for name in names {
            let l = self.only_column(&left.visible, name)?;
            let r = self.only_column(&right.visible, name)?;
            if merged.iter().any(|(m, _)| *m == l) {
                return Err(duplicate_column(name));
            }
            merged.push((l, r));
        }
        // Common columns come in the order of the first table.
        merged.sort_by_key(|(l, _)| left.visible.iter().position(|p| p == l));
        for (l, r) in &merged {
            let level = self.blocks.len() - 1;
            let (a, b) = (self.read(level, *l), self.read(level, *r));
            conditions.push(self.operator(Operator::Eq, vec![a, b])?);
        }
        let mut visible: Vec<Place> = merged.iter().map(|(l, r)| if right_join { *r } else { *l }).collect();
        visible.extend(left.visible.iter().filter(|p| !merged.iter().any(|(l, _)| l == *p)));
        visible.extend(right.visible.iter().filter(|p| !merged.iter().any(|(_, r)| r == *p)));
        Ok((crate::walk::all_of(conditions), visible))
    }

    fn only_column(&mut self, side: &[Place], name: &str) -> Result<Place, Fault> {
        let block = self.block();
        let mut found = side.iter().filter(|p| same_name(&block.column(**p).name, name));
        match (found.next(), found.next()) {
            (Some(p), None) => Ok(*p),
            (None, _) => Err(Fault::NoSuchColumn { column: name.into(), clause: Clause::From.word().into() }),
            (Some(_), Some(_)) => Err(Fault::AmbiguousColumn { column: name.into(), clause: Clause::From.word().into() }),
        }
    }
}

/// The columns of a JSON_TABLE, and the names and types of those that hold values, in order.
fn json_columns<'a>(
    columns: &'a [ast::JsonTableColumn],
    collation: Collation,
    named: &mut Vec<(&'a str, SqlType)>,
) -> Result<Vec<ColumnSpec<'a>>, Fault> {
    let mut specs = Vec::with_capacity(columns.len());
    for c in columns {
        specs.push(match c {
            ast::JsonTableColumn::Ordinality(name) => {
                let kind = TypeKind::Int { width: IntWidth::Int, unsigned: true, zerofill: None };
                named.push((name, SqlType::new(kind, true)));
                ColumnSpec::Ordinality
            }
            ast::JsonTableColumn::Path { name, data_type, path, exists, on_empty, on_error } => {
                let ty = crate::ddl::resolve_type(data_type, name, true, collation)?;
                named.push((name, ty.clone()));
                if *exists {
                    ColumnSpec::Exists { ty, path }
                } else {
                    ColumnSpec::Value { name, ty, path, on_empty: json_otherwise(on_empty, name)?, on_error: json_otherwise(on_error, name)? }
                }
            }
            ast::JsonTableColumn::Nested { path, columns } => ColumnSpec::Nested { path, columns: json_columns(columns, collation, named)? },
        });
    }
    Ok(specs)
}

fn json_otherwise<'a>(on: &'a Option<ast::JsonOn>, column: &str) -> Result<OtherwiseText<'a>, Fault> {
    Ok(match on {
        None | Some(ast::JsonOn::Null) => OtherwiseText::Null,
        Some(ast::JsonOn::Error) => OtherwiseText::Error,
        Some(ast::JsonOn::Default(e)) => match &**e {
            ast::Expr::Literal(ast::Literal::String { value, .. }) => OtherwiseText::Default(value),
            // A default is the text of a JSON value.
            _ => return Err(Fault::mysql(1067, "42000", format!("Invalid default value for '{column}'"))),
        },
    })
}

pub fn duplicate_column(name: &str) -> Fault {
    Fault::mysql(1060, "42S21", format!("Duplicate column name '{name}'"))
}

/// The flags of a column-definition packet.
pub fn origin_flags(table: &TableDef, ordinal: u16) -> OriginFlags {
    let c = &table.columns[ordinal as usize];
    let alone_first = |unique: bool| {
        table.indexes.iter().skip(table.primary_key as usize).any(|i| i.unique == unique && i.parts.first().is_some_and(|p| p.column == ordinal))
    };
    let unique_alone = table.indexes.iter().skip(table.primary_key as usize).any(|i| i.unique && i.parts.len() == 1 && i.parts[0].column == ordinal);
    OriginFlags {
        primary_key: table.primary().is_some_and(|i| i.parts.iter().any(|p| p.column == ordinal)),
        unique_key: unique_alone,
        multiple_key: !unique_alone && (alone_first(false) || alone_first(true)),
        part_of_key: table.indexes.iter().any(|i| i.parts.iter().any(|p| p.column == ordinal)),
        auto_increment: c.auto_increment,
        no_default: c.default == DefaultValue::None && !c.auto_increment && c.generated.is_none(),
        default_now: matches!(c.default, DefaultValue::Now { .. }),
        on_update_now: c.on_update_now,
    }
}
