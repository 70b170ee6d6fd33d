//! UPDATE, of one table or of several.
//!
//! Owns:     nothing.
//! Promises: in one table later assignments see what earlier ones assigned, as MySQL has it; in several every expression sees the old rows.
//! Never:    changes a row in place whose shard key changes: such rows are found first, and then moved.

use super::insert::{assigned, assigned_column, changed_table, not_updatable, reads_directly, target_in_subquery};
use super::{Assigned, BoundUpdate, ChangeTarget, Fill, RowChanges, row_rules};
use crate::access::{choices, target};
use crate::bind::scope::{Block, Clause};
use crate::bind::{Binder, value_type};
use crate::fragment::{Action, Fragment, FragmentPlan, Gather, Target};
use crate::local::{fragment_of, is_one_partition};
use crate::names::{Bindings, Statistics};
use crate::query::{Column, Query, ROW_LOCATOR, Rel, SortKey};
use crate::{rewrite, walk};
use weald_catalog::table::TableRef;
use weald_catalog::{Privilege, Sharding, TableDef};
use weald_expr::Expr;
use weald_sql::ast;
use weald_types::{ColumnId, Fault, SqlType, TypeKind};

pub fn bind_update(env: &Bindings<'_>, statistics: &dyn Statistics, u: &ast::Update) -> Result<BoundUpdate, Fault> {
    match (&u.tables[..], &u.with) {
        ([ast::TableRef::Table { name, alias, .. }], None) => single(env, statistics, u, name, alias.as_deref()),
        _ => several(env, statistics, u),
    }
}

/// The parts that UPDATE and DELETE of one table share, bound over `ColumnId(ordinal)`.
pub struct Found {
    pub filter: Vec<Expr>,
    pub sort: Vec<SortKey>,
    pub limit: Option<Expr>,
}

/// A change that needs no query to find its rows.
pub struct InPlace {
    fragment: Fragment,
    others: Vec<Fragment>,
    target: Target,
}

impl InPlace {
    pub fn bound_by(self, b: Binder<'_>) -> FragmentPlan {
        FragmentPlan {
            fragment: self.fragment,
            others: self.others,
            target: self.target,
            gather: Gather::default(),
            columns: [].into(),
            params: b.param_types(),
            needs: b.needs,
            warnings: b.warnings,
        }
    }
}

impl Found {
    pub fn bind(
        b: &mut Binder<'_>,
        table: &TableRef,
        filter: Option<&ast::Expr>,
        order_by: &[ast::OrderItem],
        limit: Option<&ast::Expr>,
    ) -> Result<Self, Fault> {
        let filter = match filter {
            Some(f) => {
                let predicate = b.in_clause(Clause::Where, |b| b.condition(f))?;
                rewrite::conditions(predicate, &b.env.session)
            }
            None => vec![],
        };
        let mut sort = Vec::new();
        for o in order_by {
            let mut expr = b.in_clause(Clause::Order, |b| b.expr(&o.expr))?;
            if let Expr::Column { id, ty } = &expr
                && matches!(ty.kind, TypeKind::Enum(_) | TypeKind::Set(_))
            {
                expr = Expr::ColumnRaw { id: *id, ty: SqlType::bigint_unsigned(ty.nullable) };
            }
            if !walk::is_constant(&expr) {
                sort.push(SortKey { expr, descending: o.descending });
            }
        }
        let limit = limit.map(|l| b.row_count(l)).transpose()?;
        if !b.block().aggregates.is_empty() {
            return Err(Fault::mysql(1111, "HY000", "Invalid use of group function"));
        }
        if b.subqueries.iter().any(|s| reads_directly(s, table)) {
            return Err(target_in_subquery(&table.name));
        }
        Ok(Self { filter, sort, limit })
    }

    /// The change as the partitions make it by themselves, and other ways to do the same. `None`: a limit over several partitions, where only the whole shows
    /// which rows are meant.
    pub fn in_place(&self, table: &TableRef, action: impl Fn(Vec<SortKey>, Option<Expr>) -> Action) -> Option<InPlace> {
        let choices = choices(table, &self.filter, &self.sort, self.limit.is_some());
        let target = target(table, &self.filter, &choices[0].access);
        if self.limit.is_some() && !is_one_partition(&target) {
            return None;
        }
        let mut fragments = choices.into_iter().map(|c| {
            // Without a limit the order of the changes cannot be seen.
            let sort = if c.ordered || self.limit.is_none() { vec![] } else { self.sort.clone() };
            fragment_of(table, action(sort, self.limit.clone()), c)
        });
        Some(InPlace { fragment: fragments.next()?, others: fragments.collect(), target })
    }

    /// Rows found, with their locator as the first output column and `values` after it.
    pub fn into_query(self, mut b: Binder<'_>, table: &TableRef, values: Vec<Expr>, statistics: &dyn Statistics) -> Query {
        let session = b.env.session;
        let mut ordinals: Vec<u16> = (0..table.columns.len() as u16).collect();
        let mut columns: Vec<Column> = table
            .columns
            .iter()
            .enumerate()
            .map(|(i, c)| Column { id: ColumnId::new(i as u32), ty: c.ty.clone(), name: (&*c.name).into(), origin: None })
            .collect();
        ordinals.push(ROW_LOCATOR);
        let locator = b.new_column("", locator_type());
        columns.push(locator.clone());
        let mut rel = Rel::Scan { table: table.clone(), ordinals, columns }.filter(self.filter);
        if !self.sort.is_empty() {
            rel = Rel::Sort { input: Box::new(rel), keys: self.sort };
        }
        if self.limit.is_some() {
            rel = Rel::Limit { input: Box::new(rel), count: self.limit, offset: None };
        }
        let mut exprs = vec![Expr::Column { id: locator.id, ty: locator.ty }];
        exprs.extend(values);
        let columns: Vec<Column> = exprs.iter().map(|e| b.new_column("", value_type(e))).collect();
        let rel = Rel::Project { input: Box::new(rel), exprs, columns: columns.clone() };
        let mut query = b.into_query(crate::bind::Bound::new(rel, columns));
        rewrite::optimize(&mut query, &session, statistics);
        query
    }
}

pub fn locator_type() -> SqlType {
    SqlType::new(TypeKind::VarBinary { bytes: 65_535 }, false)
}

fn single(
    env: &Bindings<'_>,
    statistics: &dyn Statistics,
    u: &ast::Update,
    name: &ast::ObjectName,
    alias: Option<&str>,
) -> Result<BoundUpdate, Fault> {
    let mut b = Binder::new(env);
    let table = changed_table(&b, name, "UPDATE")?;
    b.use_table(&table);
    let n = table.columns.len() as u32;
    b.reserve_ids(n);
    let write = b.need(Privilege::Update, &table.database_name, &table.name);
    let read = b.need(Privilege::Select, &table.database_name, &table.name);
    b.blocks.push(crate::bind::row_block(&table, alias, Some(read), 0));
    let mut assignments = Vec::with_capacity(u.assignments.len());
    for (column, value) in &u.assignments {
        let ordinal = assigned_column(&table, alias, column)?;
        b.need_column(write, &table.columns[ordinal as usize].name);
        match value_of(assigned(&mut b, &table, ordinal, value)?, &table, ordinal)? {
            Some(e) => assignments.push((ordinal, e)),
            None => continue,
        }
    }
    let found = Found::bind(&mut b, &table, u.filter.as_ref(), &u.order_by, u.limit.as_ref())?;
    forget_unread(&mut b, read);
    let touched: Vec<u16> = assignments.iter().map(|a| a.0).collect();
    let rules = row_rules(env, &table, Some(&touched))?;
    let moves = moves(&table, &touched, &rules);
    let plain = b.subqueries.is_empty() && !assignments.iter().any(|a| assigns_variable(&a.1)) && !found.filter.iter().any(assigns_variable);
    if plain && !moves {
        let action = |sort, limit| Action::Update { assignments: assignments.clone(), rules: rules.clone(), sort, limit, ignore: u.ignore };
        if let Some(found) = found.in_place(&table, action) {
            return Ok(BoundUpdate::Fragment(found.bound_by(b)));
        }
    }
    // Each assignment in terms of the old row.
    let mut values: Vec<(u16, Expr)> = Vec::with_capacity(assignments.len());
    for (ordinal, mut e) in assignments {
        walk::rewrite(&mut e, &mut |x| match x {
            Expr::Column { id, .. } => match values.iter().rev().find(|v| v.0 as u32 == id.raw()) {
                Some((o, earlier)) => {
                    *x = Expr::Cast { expr: Box::new(earlier.clone()), ty: table.columns[*o as usize].ty.clone() };
                    true
                }
                None => true,
            },
            _ => false,
        });
        values.retain(|v| v.0 != ordinal);
        values.push((ordinal, e));
    }
    let (ordinals, exprs): (Vec<u16>, Vec<Expr>) = values.into_iter().unzip();
    let query = found.into_query(b, &table, exprs, statistics);
    let values = ordinals.into_iter().enumerate().map(|(i, o)| (o, i + 1)).collect();
    Ok(BoundUpdate::Rows(RowChanges { query, targets: vec![ChangeTarget { table, locator: 0, values, rules, moves }], ignore: u.ignore }))
}

/// The expression of an assignment; None where DEFAULT of a generated column asks for nothing.
fn value_of(a: Assigned, table: &TableDef, ordinal: u16) -> Result<Option<Expr>, Fault> {
    match a {
        Assigned::Expr(e) | Assigned::Fill(Fill::Default(e)) => Ok(Some(e)),
        Assigned::Fill(Fill::Generated) => Ok(None),
        // An auto-increment column has no default but zero here.
        Assigned::Fill(Fill::AutoIncrement) => Ok(Some(Expr::Literal { value: weald_types::Value::Int(0), ty: SqlType::bigint(false) })),
        Assigned::Fill(Fill::Missing) => Err(Fault::NoDefault { column: table.columns[ordinal as usize].name.to_string() }),
    }
}

/// A table of which no column is read needs no SELECT.
pub fn forget_unread(b: &mut Binder<'_>, read: usize) {
    if b.needs[read].columns.is_empty() {
        b.needs.remove(read);
    }
}

pub fn assigns_variable(e: &Expr) -> bool {
    walk::any(e, &|n| matches!(n, Expr::AssignUserVariable { .. }))
}

/// Whether changing these columns may change the partition a row belongs to.
fn moves(table: &TableDef, touched: &[u16], rules: &super::RowRules) -> bool {
    let Sharding::Hash { columns, .. } = &table.sharding else { return false };
    let generated = rules.generated.iter().map(|g| g.0);
    columns.iter().any(|c| touched.contains(c) || rules.on_update.iter().any(|u| u.0 == *c) || generated.clone().any(|g| g == *c))
}

fn several(env: &Bindings<'_>, statistics: &dyn Statistics, u: &ast::Update) -> Result<BoundUpdate, Fault> {
    if !u.order_by.is_empty() {
        return Err(Fault::mysql(1221, "HY000", "Incorrect usage of UPDATE and ORDER BY"));
    }
    if u.limit.is_some() {
        return Err(Fault::mysql(1221, "HY000", "Incorrect usage of UPDATE and LIMIT"));
    }
    let mut b = Binder::new(env);
    if let Some(with) = &u.with {
        b.with(with)?;
    }
    b.blocks.push(Block::default());
    b.locators_at = Some(b.blocks.len());
    let mut rel = b.in_clause(Clause::From, |b| b.from(&u.tables))?;
    b.locators_at = None;
    if let Some(f) = &u.filter {
        let predicate = b.in_clause(Clause::Where, |b| b.condition(f))?;
        rel = rel.filter(vec![predicate]);
    }
    let mut targets: Vec<(usize, Vec<(u16, Expr)>)> = Vec::new();
    for (column, value) in &u.assignments {
        let (database, table_name) = (column.database.as_deref(), column.table.as_deref());
        let full = crate::bind::scope::full_name(database, table_name, &column.name);
        let place = b
            .block()
            .find(database, table_name, &column.name)
            .map_err(|_| Fault::AmbiguousColumn { column: full.clone(), clause: "field list".into() })?;
        let Some((t, c)) = place else { return Err(Fault::NoSuchColumn { column: full, clause: "field list".into() }) };
        let Some(def) = b.block().defs[t].clone() else {
            let name = b.block().tables[t].name.to_string();
            return Err(not_updatable(&name, "UPDATE"));
        };
        let write = b.need(Privilege::Update, &def.database_name, &def.name);
        b.need_column(write, &def.columns[c].name);
        let Some(e) = value_of(assigned(&mut b, &def, c as u16, value)?, &def, c as u16)? else { continue };
        match targets.iter_mut().find(|x| x.0 == t) {
            Some((_, list)) => {
                list.retain(|x| x.0 != c as u16);
                list.push((c as u16, e));
            }
            None => targets.push((t, vec![(c as u16, e)])),
        }
    }
    let mut exprs = Vec::new();
    let mut out = Vec::new();
    for (t, list) in targets {
        let table = b.block().defs[t].clone().expect("targets are base tables");
        if b.subqueries.iter().any(|s| reads_directly(s, &table)) {
            return Err(target_in_subquery(&table.name));
        }
        let locator = exprs.len();
        exprs.push(b.locator_of(t)?);
        let touched: Vec<u16> = list.iter().map(|l| l.0).collect();
        let rules = row_rules(env, &table, Some(&touched))?;
        let moves = moves(&table, &touched, &rules);
        let mut values = Vec::with_capacity(list.len());
        for (o, e) in list {
            values.push((o, exprs.len()));
            exprs.push(e);
        }
        out.push(ChangeTarget { table, locator, values, rules, moves });
    }
    let query = project_changes(b, rel, exprs, statistics);
    Ok(BoundUpdate::Rows(RowChanges { query, targets: out, ignore: u.ignore }))
}

pub fn project_changes(mut b: Binder<'_>, rel: Rel, exprs: Vec<Expr>, statistics: &dyn Statistics) -> Query {
    let session = b.env.session;
    let columns: Vec<Column> = exprs.iter().map(|e| b.new_column("", value_type(e))).collect();
    let rel = Rel::Project { input: Box::new(rel), exprs, columns: columns.clone() };
    let mut query = b.into_query(crate::bind::Bound::new(rel, columns));
    rewrite::optimize(&mut query, &session, statistics);
    query
}
