//! FOR UPDATE, FOR SHARE and LOCK IN SHARE MODE: which tables of a query they lock.
//!
//! Owns:     nothing.
//! Promises: MySQL's rules: a clause speaks of the tables of its own FROM, and of those that views in it are made of; not of derived tables, common table
//!           expressions and subqueries, which lock what they say themselves. Over a UNION it speaks of every SELECT in it.
//! Never:    locks a row that WHERE has left out, or that a LIMIT without groups leaves out.

use super::Binder;
use super::scope::ScopeTable;
use crate::query::{LockedTable, Locking, Rel};
use weald_catalog::table::TableRef;
use weald_expr::Expr;
use weald_sql::ast;
use weald_types::{ColumnId, Fault, Warning, WarningLevel};

/// One locking clause.
#[derive(Clone)]
pub struct Clause {
    pub locking: Locking,
    /// Empty: all tables.
    of: Vec<ast::Ident>,
}

/// What a query must lock.
#[derive(Clone, Default)]
pub struct Locks {
    clauses: Vec<Clause>,
    /// The query is a view's, and a clause around it speaks of the view: it gives its rows' locators upwards where it can, and locks them itself where not.
    upwards: Option<Locking>,
}

/// A row's place in a table, as a query gives it: for the locks of a clause further up.
pub type RowPlace = (TableRef, ColumnId);

impl Locks {
    pub fn upwards(locking: Locking) -> Self {
        Self { clauses: Vec::new(), upwards: Some(locking) }
    }

    pub fn add(&mut self, clauses: &[ast::Locking]) {
        self.clauses.extend(clauses.iter().map(|c| Clause {
            locking: Locking { exclusive: c.exclusive, no_wait: c.wait == ast::LockWait::NoWait, skip_locked: c.wait == ast::LockWait::SkipLocked },
            of: c.of.clone(),
        }));
    }

    /// What each member of a set operation, or a query in brackets, must lock. Rows that are put together give no locators upwards.
    pub fn within(mut self) -> Self {
        self.clauses.extend(self.upwards.take().map(|locking| Clause { locking, of: Vec::new() }));
        self
    }

    /// Rows of this query's tables must be known by their places.
    pub fn wants_places(&self) -> bool {
        !self.clauses.is_empty() || self.upwards.is_some()
    }

    /// What is asked of a view called `name`.
    pub fn of_view(&self, name: &str) -> Option<Locking> {
        self.clauses.iter().find(|c| c.speaks_of(name)).map(|c| c.locking).or(self.upwards)
    }

    /// What the query gives upwards, if it has no clause of its own.
    pub fn asked(&self) -> Option<Locking> {
        self.upwards
    }
}

impl Clause {
    fn speaks_of(&self, table: &str) -> bool {
        self.of.is_empty() || self.of.iter().any(|o| o == table)
    }
}

impl Binder<'_> {
    /// The tables of the innermost block that its clauses lock, in the order of FROM.
    pub fn locked_tables(&mut self) -> Result<Vec<LockedTable>, Fault> {
        let clauses = std::mem::take(&mut self.block().locks.clauses);
        for name in clauses.iter().flat_map(|c| &c.of) {
            let found = self.block().tables.iter().find(|t| *t.name == **name);
            let Some(table) = found else {
                return Err(Fault::mysql(3568, "HY000", format!("Unresolved table name `{name}` in locking clause.")));
            };
            if table.places.is_empty() {
                let text = format!("`{name}` is not a stored table: the locking clause does not lock anything of it");
                self.warnings.push(Warning { level: WarningLevel::Warning, fault: Fault::mysql(1235, "42000", text) });
            }
        }
        let mut locked = Vec::new();
        let mut needs = Vec::new();
        for table in &self.block().tables {
            let mut speaking = clauses.iter().filter(|c| c.speaks_of(&table.name));
            let Some(clause) = speaking.next() else { continue };
            if speaking.next().is_some() && !table.places.is_empty() {
                return Err(Fault::mysql(3569, "HY000", format!("Table `{}` appears in multiple locking clauses.", table.name)));
            }
            if clause.locking.exclusive {
                needs.extend(table.need);
            }
            locked.extend(locked_rows(table, clause.locking));
        }
        for n in needs {
            self.needs[n].locks = true;
        }
        Ok(locked)
    }

    /// Every row of the innermost block's tables.
    pub fn all_places(&mut self) -> Vec<RowPlace> {
        self.block().tables.iter().flat_map(|t| t.places.iter().cloned()).collect()
    }
}

fn locked_rows(table: &ScopeTable, locking: Locking) -> impl Iterator<Item = LockedTable> + use<'_> {
    table.places.iter().map(move |p| locked_table(p, locking))
}

pub fn locked_table((table, id): &RowPlace, locking: Locking) -> LockedTable {
    LockedTable { table: table.clone(), locator: read_place(*id), locking }
}

/// A locator; NULL where an outer join found no row.
pub fn read_place(id: ColumnId) -> Expr {
    Expr::Column { id, ty: crate::dml::locator_type().with_nullable(true) }
}

impl Rel {
    /// Locks the rows of `tables` as rows pass; as it is if there are none.
    pub fn locked(self, tables: Vec<LockedTable>) -> Rel {
        if tables.is_empty() { self } else { Rel::Lock { input: Box::new(self), tables } }
    }
}
