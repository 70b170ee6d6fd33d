//! What names mean at a place in a query.
//!
//! Owns:     the tables, select items, aggregates and windows of each query block that is being bound.
//! Promises: looks in the innermost block first; a block that must not be seen (a derived table's neighbours) is passed by.
//! Never:    binds an expression.

use super::Binder;
use super::locking::{Locks, RowPlace};
use crate::query::{Aggregate, Column, Origin, WindowFunction};
use std::collections::BTreeSet;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use weald_expr::Expr;
use weald_sql::ast;
use weald_types::{ColumnId, Fault, SqlType};

/// The clause a name stands in: it decides what may be seen, and the last word of error 1054.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Clause {
    #[default]
    Fields,
    From,
    On,
    Where,
    Group,
    Having,
    Order,
    Window,
}

impl Clause {
    pub fn word(self) -> &'static str {
        match self {
            Clause::Fields => "field list",
            Clause::From => "from clause",
            Clause::On => "on clause",
            Clause::Where => "where clause",
            Clause::Group => "group statement",
            Clause::Having => "having clause",
            Clause::Order => "order clause",
            Clause::Window => "window partition by",
        }
    }
    /// Whether an aggregate of the block itself may stand here.
    pub fn allows_aggregates(self) -> bool {
        matches!(self, Clause::Fields | Clause::Having | Clause::Order | Clause::Window)
    }
}

#[derive(Clone, Debug)]
pub struct ScopeColumn {
    pub name: Arc<str>,
    pub id: ColumnId,
    /// What an expression reads.
    pub ty: SqlType,
    /// What a client is told.
    pub client: SqlType,
    pub origin: Option<Arc<Origin>>,
    pub invisible: bool,
}

impl ScopeColumn {
    pub fn expr(&self) -> Expr {
        Expr::Column { id: self.id, ty: self.ty.clone() }
    }
}

#[derive(Clone, Debug)]
pub struct ScopeTable {
    pub database: Option<Box<str>>,
    /// The alias, or the table's name.
    pub name: Box<str>,
    pub columns: Vec<ScopeColumn>,
    /// Whose privileges reading a column needs.
    pub need: Option<usize>,
    /// Tables of information_schema are called in any case.
    pub any_case: bool,
    /// Where a row's place in its table stands, for what changes or locks rows: a table's own, or those of all tables that a view is made of.
    pub places: Vec<RowPlace>,
}

impl ScopeTable {
    pub fn is_called(&self, database: Option<&str>, name: &str) -> bool {
        let same = |a: &str, b: &str| if self.any_case { a.eq_ignore_ascii_case(b) } else { a == b };
        same(&self.name, name) && database.is_none_or(|d| self.database.as_deref().is_some_and(|own| same(own, d)))
    }
    pub fn find(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|c| same_name(&c.name, column))
    }
}

/// Column names and aliases are the same in any case.
pub fn same_name(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b) || (!(a.is_ascii() && b.is_ascii()) && a.to_lowercase() == b.to_lowercase())
}

/// (table, column) in [`Block::tables`].
pub type Place = (usize, usize);

/// One entry of the select list, wildcards already expanded.
#[derive(Clone, Debug)]
pub struct Item {
    pub source: ItemSource,
    pub name: Arc<str>,
    pub aliased: bool,
    /// Set once bound: GROUP BY may want it before its turn.
    pub bound: Option<Expr>,
}
#[derive(Clone, Debug)]
pub enum ItemSource {
    Column(Place),
    Expr(Rc<ast::Expr>),
}

/// One SELECT while it is bound.
#[derive(Default)]
pub struct Block {
    pub tables: Vec<ScopeTable>,
    /// What `*` and unqualified names see, in order: all columns, but of a NATURAL or USING join's common ones only one.
    pub visible: Vec<Place>,
    /// Tables in sight: only a join's own operands are, in its ON.
    pub in_sight: Option<Range<usize>>,
    /// While a derived table that is not LATERAL is bound, its neighbours are hidden from it.
    pub hidden: bool,
    pub clause: Clause,
    pub items: Vec<Item>,
    pub items_known: bool,
    pub groups: Vec<Expr>,
    pub rollup: bool,
    pub grouping: Option<Column>,
    pub aggregates: Vec<(Aggregate, Column)>,
    pub windows: Vec<(WindowFunction, Column)>,
    pub named_windows: Vec<(ast::Ident, Rc<ast::WindowSpec>)>,
    /// How many aggregates of this block the place stands in.
    pub in_aggregate: usize,
    pub in_window: usize,
    /// What rows of its tables are to be locked.
    pub locks: Locks,
    /// DEFAULT(col) and VALUES(col) look the definition up here.
    pub defs: Vec<Option<weald_catalog::table::TableRef>>,
}

/// A view (or a query of one) that is being expanded.
pub struct ViewFrame {
    pub database: Box<str>,
    pub name: Box<str>,
    pub definer: Option<(Box<str>, Box<str>)>,
    /// Enclosing blocks are out of sight.
    pub blocks: usize,
}

impl Block {
    /// Ids of all columns of the FROM clause.
    pub fn from_ids(&self) -> BTreeSet<ColumnId> {
        self.tables.iter().flat_map(|t| t.columns.iter().map(|c| c.id)).collect()
    }
    /// What a column of information_schema is called, whichever way the statement writes it: MySQL's are views, and show their own names.
    pub fn virtual_name(&self, id: ColumnId) -> Option<Arc<str>> {
        let virtual_tables = self.tables.iter().filter(|t| t.database.as_deref().is_some_and(weald_catalog::user::is_information_schema));
        virtual_tables.flat_map(|t| &t.columns).find(|c| c.id == id).map(|c| c.name.clone())
    }
    pub fn column(&self, p: Place) -> &ScopeColumn {
        &self.tables[p.0].columns[p.1]
    }
    pub fn grouped(&self) -> bool {
        !self.groups.is_empty() || !self.aggregates.is_empty()
    }

    fn sees(&self, table: usize) -> bool {
        self.in_sight.as_ref().is_none_or(|r| r.contains(&table))
    }

    /// The column of the FROM clause with this name.
    pub fn find(&self, database: Option<&str>, table: Option<&str>, name: &str) -> Result<Option<Place>, Ambiguous> {
        let mut found = None;
        match table {
            Some(t) => {
                for (i, s) in self.tables.iter().enumerate().filter(|(i, s)| self.sees(*i) && s.is_called(database, t)) {
                    if let Some(c) = s.find(name) {
                        if found.is_some() {
                            return Err(Ambiguous);
                        }
                        found = Some((i, c));
                    }
                }
            }
            None => {
                for p in self.visible.iter().filter(|p| self.sees(p.0) && same_name(&self.column(**p).name, name)) {
                    if found.is_some() {
                        return Err(Ambiguous);
                    }
                    found = Some(*p);
                }
            }
        }
        Ok(found)
    }

    /// The select item that a simple name in ORDER BY, GROUP BY or HAVING means: by its alias, or because it is that column.
    pub fn find_item(&self, database: Option<&str>, table: Option<&str>, name: &str) -> Result<Option<usize>, Ambiguous> {
        let mut found: Option<usize> = None;
        for (i, item) in self.items.iter().enumerate() {
            let hit = match (table, &item.source) {
                // An alias has no table; an unaliased column answers to its own name, with or without its table.
                (None, _) => same_name(&item.name, name),
                (Some(t), ItemSource::Column(p)) => same_name(&self.column(*p).name, name) && self.tables[p.0].is_called(database, t),
                (Some(_), ItemSource::Expr(_)) => self.item_is_column(i, database, table, name),
            };
            if !hit {
                continue;
            }
            match found {
                // The same column selected twice is no ambiguity.
                Some(f) if self.same_item(f, i) => (),
                // An alias goes before a column that merely has the name.
                Some(f) if self.items[f].aliased != item.aliased => {
                    if item.aliased {
                        found = Some(i)
                    }
                }
                Some(_) => return Err(Ambiguous),
                None => found = Some(i),
            }
        }
        Ok(found)
    }

    fn item_is_column(&self, item: usize, database: Option<&str>, table: Option<&str>, name: &str) -> bool {
        let ItemSource::Expr(e) = &self.items[item].source else { return false };
        let ast::Expr::Column { database: d, table: t, name: n, .. } = &**e else { return false };
        if !same_name(n, name) {
            return false;
        }
        let a = self.find(d.as_deref(), t.as_deref(), n);
        matches!((a, self.find(database, table, name)), (Ok(Some(a)), Ok(Some(b))) if a == b)
    }

    fn same_item(&self, a: usize, b: usize) -> bool {
        let place = |i: usize| match &self.items[i].source {
            ItemSource::Column(p) => Some(*p),
            ItemSource::Expr(e) => match &**e {
                ast::Expr::Column { database, table, name, .. } => self.find(database.as_deref(), table.as_deref(), name).ok().flatten(),
                _ => None,
            },
        };
        match (place(a), place(b)) {
            (Some(a), Some(b)) => a == b,
            _ => match (&self.items[a].source, &self.items[b].source) {
                (ItemSource::Expr(x), ItemSource::Expr(y)) => same_text(x, y),
                _ => false,
            },
        }
    }
}

fn same_text(a: &ast::Expr, b: &ast::Expr) -> bool {
    a == b
}

/// More than one column answers to a name: 1052.
#[derive(Debug)]
pub struct Ambiguous;

/// What a name turned out to be.
pub enum Found {
    Expr(Expr),
    Nothing,
}

impl Binder<'_> {
    pub fn block(&mut self) -> &mut Block {
        self.blocks.last_mut().expect("expressions are bound inside a block")
    }

    pub fn clause(&self) -> Clause {
        self.blocks.last().map_or(Clause::Fields, |b| b.clause)
    }

    /// Runs `f` with the innermost block's clause set.
    pub fn in_clause<T>(&mut self, clause: Clause, f: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        let before = std::mem::replace(&mut self.block().clause, clause);
        let out = f(self);
        self.block().clause = before;
        out
    }

    /// `[[database.]table.]name`, as an expression.
    pub fn resolve(&mut self, database: Option<&str>, table: Option<&str>, name: &str) -> Result<Expr, Fault> {
        let innermost = self.blocks.len();
        let floor = self.views.last().map_or(0, |v| v.blocks);
        for level in (floor..innermost).rev() {
            if let Found::Expr(e) = self.resolve_at(level, database, table, name)? {
                return Ok(e);
            }
        }
        Err(self.no_such_column(database, table, name))
    }

    pub fn no_such_column(&self, database: Option<&str>, table: Option<&str>, name: &str) -> Fault {
        Fault::NoSuchColumn { column: full_name(database, table, name), clause: self.clause().word().into() }
    }

    fn resolve_at(&mut self, level: usize, database: Option<&str>, table: Option<&str>, name: &str) -> Result<Found, Fault> {
        let block = &self.blocks[level];
        let clause = block.clause;
        let ambiguous = |_: Ambiguous| Fault::AmbiguousColumn { column: full_name(database, table, name), clause: clause.word().into() };
        // HAVING sees what is selected and what is grouped by; the FROM clause only inside an aggregate.
        if clause == Clause::Having && block.in_aggregate == 0 && block.items_known {
            return self.resolve_having(level, database, table, name);
        }
        if !block.hidden
            && let Some(p) = block.find(database, table, name).map_err(ambiguous)?
        {
            return Ok(Found::Expr(self.read(level, p)));
        }
        if block.items_known
            && matches!(clause, Clause::Order | Clause::Group | Clause::Having)
            && table.is_none()
            && let Some(i) = self.blocks[level].find_item(database, table, name).map_err(ambiguous)?
        {
            return self.item_at(level, i).map(Found::Expr);
        }
        Ok(Found::Nothing)
    }

    fn resolve_having(&mut self, level: usize, database: Option<&str>, table: Option<&str>, name: &str) -> Result<Found, Fault> {
        let block = &self.blocks[level];
        let ambiguous = |_: Ambiguous| Fault::AmbiguousColumn { column: full_name(database, table, name), clause: Clause::Having.word().into() };
        let item = block.find_item(database, table, name).map_err(ambiguous)?;
        let column = if block.hidden { None } else { block.find(database, table, name).ok().flatten() };
        let group = column.filter(|p| {
            let id = block.column(*p).id;
            block.groups.iter().any(|g| matches!(g, Expr::Column { id: g, .. } if *g == id))
        });
        match (item, group) {
            (Some(i), Some(p)) => {
                let own = self.item_at(level, i)?;
                let id = self.blocks[level].column(p).id;
                if !matches!(&own, Expr::Column { id: i, .. } if *i == id) {
                    // Both mean something else: MySQL takes the grouped column, and says so.
                    let fault = Fault::AmbiguousColumn { column: full_name(database, table, name), clause: Clause::Having.word().into() };
                    self.warnings.push(weald_types::Warning { level: weald_types::WarningLevel::Warning, fault });
                }
                Ok(Found::Expr(self.read(level, p)))
            }
            (Some(i), None) => self.item_at(level, i).map(Found::Expr),
            (None, Some(p)) => Ok(Found::Expr(self.read(level, p))),
            (None, None) => Ok(Found::Nothing),
        }
    }

    fn item_at(&mut self, level: usize, item: usize) -> Result<Expr, Fault> {
        if let Some(e) = &self.blocks[level].items[item].bound {
            return Ok(e.clone());
        }
        debug_assert_eq!(level + 1, self.blocks.len());
        self.bind_item(item)
    }

    /// Reads a column of block `level`, and notes the privilege that takes.
    pub fn read(&mut self, level: usize, place: Place) -> Expr {
        let table = &self.blocks[level].tables[place.0];
        let (expr, need, name) = (table.columns[place.1].expr(), table.need, table.columns[place.1].name.clone());
        if let Some(n) = need {
            self.need_column(n, &name);
        }
        expr
    }

    /// The block whose FROM clause, aggregates or windows make column `id`.
    pub fn level_of(&self, id: ColumnId) -> Option<usize> {
        self.blocks.iter().rposition(|b| {
            b.tables.iter().any(|t| t.columns.iter().any(|c| c.id == id))
                || b.aggregates.iter().any(|a| a.1.id == id)
                || b.windows.iter().any(|w| w.1.id == id)
        })
    }
}

pub fn full_name(database: Option<&str>, table: Option<&str>, name: &str) -> String {
    match (database, table) {
        (Some(d), Some(t)) => format!("{d}.{t}.{name}"),
        (None, Some(t)) => format!("{t}.{name}"),
        _ => name.to_string(),
    }
}
