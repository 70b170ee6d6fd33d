//! A partition's work on its way to the node that has the partition.
//!
//! Owns:     nothing.
//! Promises: what is read back is the same work. A table goes by its id and version, never by its definition: whoever reads finds its own, and says
//!           [`Fault::SchemaChanged`] where it has another version. Ordinals, indexes and columns are looked at then, so that work that does not fit the table
//!           is an error before it begins, not a panic in the middle.
//! Never:    is a format that outlives a release: nodes of one cluster are of one version.

use crate::dml::{Assigned, BoundOnDuplicate, ChangeTarget, Fill, RowRules};
use crate::fragment::{Access, Action, Fragment, OnDuplicate};
use crate::key_values::Keys;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::ops::Bound;
use std::sync::Arc;
use weald_catalog::TableDef;
use weald_catalog::table::TableRef;
use weald_expr::carried::{Reach, reach, variables};
use weald_expr::{Expr, walk};
use weald_types::{Fault, IndexId, SchemaVersion, TableId};

/// A [`Fragment`] without its table. Borrowed on its way out; what is read back is `CarriedFragment<'static>`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CarriedFragment<'a> {
    table: TableId,
    version: SchemaVersion,
    access: Cow<'a, Access>,
    filter: Option<Cow<'a, Expr>>,
    action: Cow<'a, Action>,
}

impl Fragment {
    pub fn carry(&self) -> CarriedFragment<'_> {
        CarriedFragment {
            table: self.table.id,
            version: self.table.version,
            access: Cow::Borrowed(&self.access),
            filter: self.filter.as_ref().map(Cow::Borrowed),
            action: Cow::Borrowed(&self.action),
        }
    }

    /// Every expression of it.
    pub fn exprs<'e>(&'e self, f: &mut dyn FnMut(&'e Expr)) {
        self.access.exprs(f);
        self.filter.iter().for_each(&mut *f);
        match &self.action {
            Action::Read { exprs, group, aggregates, distinct: _, sort, limit, offset, lock: _ } => {
                exprs.iter().for_each(|(e, _)| f(e));
                group.iter().for_each(&mut *f);
                for a in aggregates {
                    a.args.iter().for_each(&mut *f);
                    a.order_by.iter().for_each(|k| f(&k.expr));
                }
                sort.iter().for_each(|k| f(&k.expr));
                limit.iter().chain(offset).for_each(f);
            }
            Action::Update { assignments, rules, sort, limit, ignore: _ } => {
                assignments.iter().for_each(|(_, e)| f(e));
                rules.exprs(f);
                sort.iter().for_each(|k| f(&k.expr));
                limit.iter().for_each(f);
            }
            Action::Delete { sort, limit } => {
                sort.iter().for_each(|k| f(&k.expr));
                limit.iter().for_each(f);
            }
            Action::Insert { rows, on_duplicate } => {
                rows.iter().flatten().for_each(&mut *f);
                if let OnDuplicate::Update(assignments) = on_duplicate {
                    assignments.iter().for_each(|(_, e)| f(e));
                }
            }
        }
    }

    /// Where it may run: as near to the session as any of its expressions must be.
    pub fn reach(&self) -> Reach {
        let mut nearest = Reach::Anywhere;
        self.exprs(&mut |e| nearest = nearest.max(reach(e)));
        nearest
    }

    /// The user variables that it reads or assigns, each once.
    pub fn variables(&self) -> Vec<Arc<str>> {
        let mut names = Vec::new();
        self.exprs(&mut |e| variables(e, &mut names));
        names
    }
}

impl CarriedFragment<'_> {
    pub fn table(&self) -> (TableId, SchemaVersion) {
        (self.table, self.version)
    }

    /// The fragment over the table that `table` finds. [`Fault::Internal`] where it is no work on that table.
    pub fn resolve(self, table: impl FnOnce(TableId, SchemaVersion) -> Result<TableRef, Fault>) -> Result<Fragment, Fault> {
        let table = table(self.table, self.version)?;
        let fragment =
            Fragment { table, access: self.access.into_owned(), filter: self.filter.map(Cow::into_owned), action: self.action.into_owned() };
        if fragment.fits() { Ok(fragment) } else { Err(misfit("fragment")) }
    }
}

/// A [`ChangeTarget`] without its table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CarriedTarget<'a> {
    table: TableId,
    version: SchemaVersion,
    locator: usize,
    values: Cow<'a, [(u16, usize)]>,
    rules: Cow<'a, RowRules>,
    moves: bool,
}

impl ChangeTarget {
    pub fn carry(&self) -> CarriedTarget<'_> {
        CarriedTarget {
            table: self.table.id,
            version: self.table.version,
            locator: self.locator,
            values: Cow::Borrowed(&self.values),
            rules: Cow::Borrowed(&self.rules),
            moves: self.moves,
        }
    }
}

impl CarriedTarget<'_> {
    pub fn table(&self) -> (TableId, SchemaVersion) {
        (self.table, self.version)
    }

    /// As [`CarriedFragment::resolve`]. `width`: how many values the rows have that it speaks of.
    pub fn resolve(self, width: usize, table: impl FnOnce(TableId, SchemaVersion) -> Result<TableRef, Fault>) -> Result<ChangeTarget, Fault> {
        let table = table(self.table, self.version)?;
        let columns = table.columns.len();
        let fits = self.locator < width && self.values.iter().all(|(to, from)| (*to as usize) < columns && *from < width) && self.rules.fits(columns);
        if !fits {
            return Err(misfit("change"));
        }
        Ok(ChangeTarget {
            table,
            locator: self.locator,
            values: self.values.into_owned(),
            rules: Arc::new(self.rules.into_owned()),
            moves: self.moves,
        })
    }
}

fn misfit(what: &str) -> Fault {
    Fault::Internal { incident: format!("a {what} from another node does not fit its table") }
}

/// Whether it reads only the first `columns` columns: of an expression that another node has sent, before it meets a row.
pub fn reads_within(e: &Expr, columns: usize) -> bool {
    match e {
        Expr::Column { id, .. } | Expr::ColumnRaw { id, .. } => (id.raw() as usize) < columns,
        e => {
            let mut fits = true;
            walk::for_each_child(e, &mut |child| fits &= reads_within(child, columns));
            fits
        }
    }
}

fn assigns_within(assignments: &[(u16, Expr)], to: usize, from: usize) -> bool {
    assignments.iter().all(|(ordinal, e)| (*ordinal as usize) < to && reads_within(e, from))
}

impl Access {
    /// Every expression of it.
    pub fn exprs<'e>(&'e self, f: &mut dyn FnMut(&'e Expr)) {
        let bound = |b: &'e Bound<Expr>, f: &mut dyn FnMut(&'e Expr)| match b {
            Bound::Included(e) | Bound::Excluded(e) => f(e),
            Bound::Unbounded => (),
        };
        match self {
            Access::Full => (),
            Access::Point { index: _, key } => key.iter().for_each(f),
            Access::Points { index: _, keys } => keys.iter().flatten().for_each(f),
            Access::Range { index: _, prefix, low, high, reverse: _ } => {
                prefix.iter().for_each(&mut *f);
                bound(low, f);
                bound(high, f);
            }
            Access::Ranges { index: _, prefix, ranges } => {
                prefix.iter().for_each(&mut *f);
                for (low, high) in ranges {
                    bound(low, f);
                    bound(high, f);
                }
            }
            Access::Like { index: _, prefix, pattern, escape: _ } => {
                prefix.iter().for_each(&mut *f);
                f(pattern);
            }
        }
    }

    /// Whether the table has its index, with so many parts, and no key reads a column: of a path that another node has sent.
    pub fn fits(&self, table: &TableDef) -> bool {
        let parts = |index: IndexId| table.indexes.iter().find(|i| i.id == index).map_or(0, |i| i.parts.len());
        let shape = match self {
            Access::Full => true,
            Access::Point { index, key } => !key.is_empty() && key.len() == parts(*index),
            Access::Points { index, keys } => {
                let most = parts(*index);
                most > 0 && keys.iter().all(|k| !k.is_empty() && k.len() <= most)
            }
            // A whole key may be given as a prefix, and then there is no next part to have a range.
            Access::Range { index, prefix, low: _, high: _, reverse: _ } => {
                let most = parts(*index);
                most > 0 && prefix.len() <= most
            }
            Access::Ranges { index, prefix, ranges: _ } | Access::Like { index, prefix, pattern: _, escape: _ } => prefix.len() < parts(*index),
        };
        let mut constant = true;
        self.exprs(&mut |e| constant &= reads_within(e, 0));
        shape && constant
    }
}

impl Keys {
    /// Whether `table` has its index, with so many parts: of keys that another node has sent.
    pub fn fits(&self, table: &TableDef) -> bool {
        let parts = |index: IndexId| table.indexes.iter().find(|i| i.id == index).map_or(0, |i| i.parts.len());
        match self {
            Keys::Nothing | Keys::All => true,
            Keys::Equal { index, keys } => {
                let most = parts(*index);
                most > 0 && keys.iter().all(|k| k.len() <= most)
            }
            Keys::Range { index, prefix, low: _, high: _, reverse: _ } => {
                let most = parts(*index);
                most > 0 && prefix.len() <= most
            }
            Keys::Ranges { index, prefix, ranges: _ } | Keys::StartsWith { index, prefix, start: _ } => prefix.len() < parts(*index),
        }
    }
}

impl RowRules {
    pub fn exprs<'e>(&'e self, f: &mut dyn FnMut(&'e Expr)) {
        self.generated.iter().chain(&self.on_update).for_each(|(_, e)| f(e));
        self.checks.iter().for_each(|(_, e)| f(e));
    }
    /// Whether they are rules of a table with so many columns: of rules that another node has sent.
    pub fn fits(&self, columns: usize) -> bool {
        assigns_within(&self.generated, columns, columns)
            && assigns_within(&self.on_update, columns, columns)
            && self.checks.iter().all(|(_, e)| reads_within(e, columns))
    }
}

impl BoundOnDuplicate {
    /// The same of what is done with a row in the way; `further`: how many values stand behind both rows.
    pub fn fits(&self, columns: usize, further: usize) -> bool {
        match self {
            BoundOnDuplicate::Error | BoundOnDuplicate::Replace => true,
            BoundOnDuplicate::Update { assignments, rules } => {
                let from = 2 * columns + further;
                let fits = |a: &Assigned| match a {
                    Assigned::Expr(e) | Assigned::Fill(Fill::Default(e)) => reads_within(e, from),
                    Assigned::Fill(Fill::AutoIncrement | Fill::Generated | Fill::Missing) => true,
                };
                rules.fits(columns) && assignments.iter().all(|(ordinal, a)| (*ordinal as usize) < columns && fits(a))
            }
        }
    }
    /// Every expression of it.
    pub fn exprs<'e>(&'e self, f: &mut dyn FnMut(&'e Expr)) {
        if let BoundOnDuplicate::Update { assignments, rules } = self {
            for (_, a) in assignments {
                if let Assigned::Expr(e) | Assigned::Fill(Fill::Default(e)) = a {
                    f(e);
                }
            }
            rules.exprs(f);
        }
    }
}

impl Fragment {
    fn fits(&self) -> bool {
        let columns = self.table.columns.len();
        let constant = |e: &Option<Expr>| e.as_ref().is_none_or(|e| reads_within(e, 0));
        let within = |e: &Expr| reads_within(e, columns);
        let action = match &self.action {
            Action::Read { exprs, group, aggregates, distinct, sort, limit, offset, lock: _ } => {
                let grouped = !group.is_empty() || !aggregates.is_empty();
                let output = if grouped { group.len() + aggregates.len() } else { exprs.len() };
                let sorted = if grouped || *distinct { output } else { columns };
                exprs.iter().all(|(e, _)| within(e))
                    && group.iter().all(within)
                    && aggregates.iter().all(|a| a.args.iter().all(within) && a.order_by.iter().all(|k| within(&k.expr)))
                    && sort.iter().all(|k| reads_within(&k.expr, sorted))
                    && constant(limit)
                    && constant(offset)
            }
            Action::Update { assignments, rules, sort, limit, ignore: _ } => {
                assigns_within(assignments, columns, columns) && rules.fits(columns) && sort.iter().all(|k| within(&k.expr)) && constant(limit)
            }
            Action::Delete { sort, limit } => sort.iter().all(|k| within(&k.expr)) && constant(limit),
            Action::Insert { rows, on_duplicate } => {
                rows.iter().all(|r| r.len() == columns && r.iter().all(|e| reads_within(e, 0)))
                    && match on_duplicate {
                        OnDuplicate::Error | OnDuplicate::Ignore | OnDuplicate::Replace => true,
                        OnDuplicate::Update(assignments) => assigns_within(assignments, columns, 2 * columns),
                    }
            }
        };
        self.access.fits(&self.table) && self.filter.as_ref().is_none_or(within) && action
    }
}
