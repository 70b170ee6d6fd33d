//! One SELECT: its clauses, in the order in which they mean something.
//!
//! Owns:     nothing.
//! Promises: the tree is FROM, WHERE, groups, HAVING, windows, the select list, DISTINCT, ORDER BY, LIMIT, from the bottom up.
//! Never:    leaves a hidden sort key in the output.

use super::group_check::{self, Place as CheckPlace};
use super::locking::{Locks, RowPlace, locked_table, read_place};
use super::scope::{Block, Clause, Item, ItemSource, Place};
use super::set_op::position;
use super::{Binder, Bound, value_type};
use crate::query::{Aggregate, Column, Rel, SortKey};
use crate::walk;
use std::rc::Rc;
use std::sync::Arc;
use weald_expr::{AggregateFunction, Expr};
use weald_sql::ast;
use weald_types::{Fault, SqlMode, SqlType, TypeKind};

/// A sort key: an item of the select list, or something else.
struct Key {
    by: By,
    descending: bool,
}
enum By {
    Item(usize),
    Expr(Expr),
}

/// The select list, then columns that are not to be seen.
struct Projection {
    exprs: Vec<Expr>,
    columns: Vec<Column>,
    visible: usize,
}

impl Binder<'_> {
    pub fn select(&mut self, s: &ast::Select, order_by: &[ast::OrderItem], limit: Option<&ast::Limit>, locks: Locks) -> Result<Bound, Fault> {
        // What is within it locks what it says itself.
        let around = std::mem::take(&mut self.locks);
        self.blocks.push(Block { locks, ..Block::default() });
        let bound = self.select_in_block(s, order_by, limit)?;
        self.blocks.pop();
        self.locks = around;
        Ok(bound)
    }

    fn select_in_block(&mut self, s: &ast::Select, order_by: &[ast::OrderItem], limit: Option<&ast::Limit>) -> Result<Bound, Fault> {
        self.fixed_join_order |= s.straight_join;
        if s.calc_found_rows {
            self.deprecated(
                "SQL_CALC_FOUND_ROWS is deprecated and will be removed in a future release. Consider using two separate queries instead.",
            );
        }
        let mut rel =
            if s.from.is_empty() { Rel::Values { rows: vec![vec![]], columns: vec![] } } else { self.in_clause(Clause::From, |b| b.from(&s.from))? };
        let mut locks = self.locked_tables()?;
        if let Some(f) = &s.filter {
            let predicate = self.in_clause(Clause::Where, |b| b.condition(f))?;
            rel = rel.filter(vec![predicate]);
        }
        self.name_windows(&s.windows)?;
        self.expand_items(&s.items, s.from.is_empty())?;
        self.note_stars(s);
        self.block().items_known = true;
        self.group_by(&s.group_by, s.rollup)?;
        for i in 0..self.block().items.len() {
            self.bind_item(i)?;
        }
        let mut having = s.having.as_ref().map(|h| self.in_clause(Clause::Having, |b| b.condition(h))).transpose()?;
        let mut keys = self.order_keys(order_by)?;

        let mut items: Vec<Expr> = self.block().items.iter().map(|i| i.bound.clone().expect("every item was bound above")).collect();
        let clients = self.client_types(&items);
        // Where rows are put together they are locked before that; else as late as can be: what nobody sees need not be locked.
        let together = self.block().grouped() || !self.block().windows.is_empty() || s.distinct;
        let upwards = match self.block().locks.asked() {
            Some(locking) if together || limit.is_some() => {
                locks.extend(self.all_places().iter().map(|p| locked_table(p, locking)));
                vec![]
            }
            Some(_) => self.all_places(),
            None => vec![],
        };
        if together {
            rel = rel.locked(std::mem::take(&mut locks));
        }
        if self.block().grouped() {
            rel = self.aggregate(rel, &mut items, &mut having, &mut keys)?;
        }
        if let Some(h) = having {
            if self.reads_window(&h) {
                return Err(self.window_in_having(&h));
            }
            rel = rel.filter(vec![h]);
        }
        let windows = std::mem::take(&mut self.block().windows);
        if !windows.is_empty() {
            rel = Rel::Window { input: Box::new(rel), functions: windows };
        }
        let names: Vec<Arc<str>> = self.block().items.iter().map(|i| i.name.clone()).collect();
        let origins: Vec<_> = (0..items.len()).map(|i| self.item_origin(i)).collect();
        let mut columns: Vec<Column> = Vec::with_capacity(items.len());
        for ((e, name), origin) in items.iter().zip(names).zip(origins) {
            let mut c = self.new_column(name, value_type(e));
            c.origin = origin;
            columns.push(c);
        }
        let visible = columns.len();
        let shown: Vec<Column> = columns.iter().zip(clients).map(|(c, client)| Column { ty: client, ..c.clone() }).collect();
        let mut projection = Projection { exprs: items, columns, visible };
        let upwards: Vec<RowPlace> = upwards.into_iter().map(|(table, id)| (table, self.hide(&mut projection, read_place(id)).id)).collect();
        for l in &mut locks {
            let c = self.hide(&mut projection, l.locator.clone());
            l.locator = read_place(c.id);
        }
        let rel = self.project_and_sort(rel, projection, keys, s.distinct)?;
        // Rows that are passed by do not count.
        let rel = if locks.iter().any(|l| l.locking.skip_locked) {
            self.limited(rel.locked(locks), limit)?
        } else {
            self.limited(rel, limit)?.locked(locks)
        };
        self.trim(rel, visible, shown, upwards)
    }

    /// One more column that is not to be seen.
    fn hide(&mut self, p: &mut Projection, e: Expr) -> Column {
        let c = self.new_column("", value_type(&e));
        p.exprs.push(e);
        p.columns.push(c.clone());
        c
    }

    /// The types that clients are told: a bare column's own (ENUM stays ENUM), otherwise the expression's.
    fn client_types(&mut self, items: &[Expr]) -> Vec<SqlType> {
        let rollup = self.block().rollup;
        (0..items.len())
            .map(|i| match self.item_place(i) {
                Some(p) => {
                    let mut ty = self.block().column(p).client.clone();
                    ty.nullable |= rollup;
                    ty
                }
                None => value_type(&items[i]),
            })
            .collect()
    }

    /// The column of FROM that item `i` is, where it is one.
    fn item_place(&mut self, i: usize) -> Option<Place> {
        let block = self.block();
        match &block.items[i].source {
            ItemSource::Column(p) => Some(*p),
            ItemSource::Expr(e) => match &**e {
                ast::Expr::Column { database, table, name, .. } => block.find(database.as_deref(), table.as_deref(), name).ok().flatten(),
                _ => None,
            },
        }
    }

    fn item_origin(&mut self, i: usize) -> Option<Arc<crate::query::Origin>> {
        let p = self.item_place(i)?;
        self.block().column(p).origin.clone()
    }

    fn expand_items(&mut self, list: &[ast::SelectItem], no_from: bool) -> Result<(), Fault> {
        let mut items = Vec::with_capacity(list.len());
        for item in list {
            match item {
                ast::SelectItem::Wildcard => {
                    if no_from {
                        return Err(Fault::mysql(1096, "HY000", "No tables used"));
                    }
                    let block = self.block();
                    let places: Vec<Place> = block.visible.iter().copied().filter(|p| !block.column(*p).invisible).collect();
                    items.extend(places.into_iter().map(|p| self.column_item(p)));
                }
                ast::SelectItem::QualifiedWildcard(name) => {
                    let block = self.block();
                    let table = block.tables.iter().position(|t| t.is_called(name.database.as_deref(), &name.name));
                    let Some(t) = table else { return Err(Fault::UnknownTable { name: name.name.clone() }) };
                    let places: Vec<Place> = (0..block.tables[t].columns.len()).map(|c| (t, c)).filter(|p| !block.column(*p).invisible).collect();
                    items.extend(places.into_iter().map(|p| self.column_item(p)));
                }
                ast::SelectItem::Expr { expr, alias, span } => {
                    let name = alias.clone().unwrap_or_else(|| self.text_of(expr, *span));
                    items.push(Item { source: ItemSource::Expr(Rc::new(expr.clone())), name: name.into(), aliased: alias.is_some(), bound: None });
                }
            }
        }
        if items.is_empty() {
            return Err(Fault::mysql(1096, "HY000", "No tables used"));
        }
        self.block().items = items;
        Ok(())
    }

    /// What the stars of a view's own text stand for now: the view keeps that.
    fn note_stars(&mut self, s: &ast::Select) {
        if self.stars.is_none() || !self.views.is_empty() {
            return;
        }
        let block = self.block();
        let written = |item: &Item| match &item.source {
            ItemSource::Column(p) => {
                let table = Some(block.tables[p.0].name.to_string());
                let expr = ast::Expr::Column { database: None, table, name: block.column(*p).name.to_string(), span: ast::Span::default() };
                ast::SelectItem::Expr { expr, alias: None, span: ast::Span::default() }
            }
            ItemSource::Expr(e) => ast::SelectItem::Expr { expr: (**e).clone(), alias: Some(item.name.to_string()), span: ast::Span::default() },
        };
        let items: Vec<ast::SelectItem> = block.items.iter().map(written).collect();
        if let Some(stars) = &mut self.stars {
            stars.insert(std::ptr::from_ref(s) as usize, items);
        }
    }

    fn column_item(&mut self, p: Place) -> Item {
        let level = self.blocks.len() - 1;
        let bound = self.read(level, p);
        Item { source: ItemSource::Column(p), name: self.block().column(p).name.clone(), aliased: false, bound: Some(bound) }
    }

    /// What MySQL calls a column that has no alias.
    fn text_of(&self, e: &ast::Expr, span: ast::Span) -> String {
        match e {
            ast::Expr::Column { name, .. } => name.clone(),
            ast::Expr::Literal(ast::Literal::String { value, .. } | ast::Literal::National(value)) => value.trim_start().chars().take(255).collect(),
            ast::Expr::Literal(ast::Literal::Null) => "NULL".into(),
            ast::Expr::Literal(ast::Literal::Bool(b)) => {
                if *b {
                    "TRUE".into()
                } else {
                    "FALSE".into()
                }
            }
            // That is what it is for.
            ast::Expr::Function { name, args, .. } if name.eq_ignore_ascii_case("NAME_CONST") => match args.first() {
                Some(ast::Expr::Literal(ast::Literal::String { value, .. })) => value.clone(),
                _ => self.span_text(span).chars().take(256).collect(),
            },
            _ => self.span_text(span).chars().take(256).collect(),
        }
    }

    /// The bound form of select item `i`.
    pub fn bind_item(&mut self, i: usize) -> Result<Expr, Fault> {
        if let Some(e) = &self.block().items[i].bound {
            return Ok(e.clone());
        }
        let ItemSource::Expr(ast) = self.block().items[i].source.clone() else { unreachable!("columns are bound when the list is expanded") };
        let known = std::mem::replace(&mut self.block().items_known, false);
        let bound = self.in_clause(Clause::Fields, |b| b.expr(&ast));
        self.block().items_known = known;
        let bound = bound?;
        let item = &self.block().items[i];
        if let (false, ast::Expr::Column { .. }, Expr::Column { id, .. }) = (item.aliased, &*ast, &bound)
            && let Some(name) = self.block().virtual_name(*id)
        {
            self.block().items[i].name = name;
        }
        self.block().items[i].bound = Some(bound.clone());
        Ok(bound)
    }

    fn group_by(&mut self, list: &[ast::OrderItem], rollup: bool) -> Result<(), Fault> {
        let mut groups: Vec<Expr> = Vec::new();
        for g in list {
            let e = match position(&g.expr) {
                Some(p) => {
                    let i = (p as usize).wrapping_sub(1);
                    if i >= self.block().items.len() {
                        return Err(Fault::NoSuchColumn { column: p.to_string(), clause: Clause::Group.word().into() });
                    }
                    self.group_item(i)?
                }
                None => {
                    let before = self.block().aggregates.len();
                    let e = self.in_clause(Clause::Group, |b| b.expr(&g.expr))?;
                    self.warn_of_alias(&g.expr, &e);
                    if self.block().aggregates.len() > before || self.reads_aggregate(&e) {
                        return Err(self.cannot_group_on(&e));
                    }
                    e
                }
            };
            if self.reads_window(&e) {
                return Err(Fault::mysql(3593, "HY000", "You cannot use the window function in this context.'"));
            }
            if rollup || !groups.contains(&e) {
                groups.push(e);
            }
        }
        if rollup && !groups.is_empty() {
            let c = self.new_column("", SqlType::bigint(false));
            self.block().grouping = Some(c);
        }
        let block = self.block();
        block.rollup = rollup && !groups.is_empty();
        block.groups = groups;
        Ok(())
    }

    /// GROUP BY takes a column of FROM before a select item of the same name; MySQL says so.
    fn warn_of_alias(&mut self, written: &ast::Expr, bound: &Expr) {
        let ast::Expr::Column { table: None, name, .. } = written else { return };
        let Ok(Some(i)) = self.block().find_item(None, None, name) else { return };
        let item = &self.block().items[i];
        let other = item.aliased
            && match &item.source {
                ItemSource::Column(_) => false,
                ItemSource::Expr(e) => !matches!(&**e, ast::Expr::Column { name: n, .. } if n.eq_ignore_ascii_case(name)),
            };
        if other && matches!(bound, Expr::Column { .. }) {
            let fault = Fault::AmbiguousColumn { column: name.clone(), clause: Clause::Group.word().into() };
            self.warnings.push(weald_types::Warning { level: weald_types::WarningLevel::Warning, fault });
        }
    }

    fn group_item(&mut self, i: usize) -> Result<Expr, Fault> {
        let e = self.bind_item(i)?;
        if self.reads_aggregate(&e) {
            return Err(self.cannot_group_on(&e));
        }
        Ok(e)
    }

    fn cannot_group_on(&mut self, e: &Expr) -> Fault {
        let name = self.block().items.iter().find(|i| i.bound.as_ref() == Some(e)).map_or(String::new(), |i| i.name.to_string());
        Fault::mysql(1056, "42000", format!("Can't group on '{name}'"))
    }

    fn reads_aggregate(&mut self, e: &Expr) -> bool {
        let used = walk::columns(e);
        self.block().aggregates.iter().any(|a| used.contains(&a.1.id))
    }

    pub fn reads_window(&mut self, e: &Expr) -> bool {
        let used = walk::columns(e);
        self.block().windows.iter().any(|w| used.contains(&w.1.id))
    }

    fn window_in_having(&mut self, h: &Expr) -> Fault {
        let used = walk::columns(h);
        let block = self.block();
        let item = block
            .items
            .iter()
            .find(|i| i.bound.as_ref().is_some_and(|b| block.windows.iter().any(|w| used.contains(&w.1.id) && walk::columns(b).contains(&w.1.id))));
        let name = item.map_or(String::new(), |i| i.name.to_string());
        Fault::mysql(3594, "HY000", format!("You cannot use the alias '{name}' of an expression containing a window function in this context.'"))
    }

    fn order_keys(&mut self, order_by: &[ast::OrderItem]) -> Result<Vec<Key>, Fault> {
        let mut keys = Vec::with_capacity(order_by.len());
        for o in order_by {
            let by = match &o.expr {
                e if position(e).is_some() => {
                    let p = position(e).unwrap_or_default();
                    let i = (p as usize).wrapping_sub(1);
                    if i >= self.block().items.len() {
                        return Err(Fault::NoSuchColumn { column: p.to_string(), clause: Clause::Order.word().into() });
                    }
                    By::Item(i)
                }
                ast::Expr::Column { database, table, name, .. } => {
                    // A simple name is looked for in the select list first, then in FROM; inside an expression it is the other way round.
                    let found = self.block().find_item(database.as_deref(), table.as_deref(), name);
                    match found.map_err(|_| Fault::AmbiguousColumn { column: name.clone(), clause: Clause::Order.word().into() })? {
                        Some(i) => By::Item(i),
                        None => By::Expr(self.in_clause(Clause::Order, |b| b.expr(&o.expr))?),
                    }
                }
                e => By::Expr(self.in_clause(Clause::Order, |b| b.expr(e))?),
            };
            let by = match by {
                By::Expr(e) if walk::is_constant(&e) => continue,
                By::Expr(e) => {
                    let same = self.block().items.iter().position(|i| i.bound.as_ref() == Some(&e) && !walk::is_volatile(&e));
                    same.map_or(By::Expr(e), By::Item)
                }
                By::Item(i) if walk::is_constant(self.block().items[i].bound.as_ref().expect("items are bound")) => continue,
                by => by,
            };
            // ENUM and SET sort by their numbers, which the select list has turned into text.
            let by = match by {
                By::Item(i) => match self.block().items[i].bound.clone() {
                    Some(Expr::Column { id, ty }) if matches!(ty.kind, TypeKind::Enum(_) | TypeKind::Set(_)) => {
                        By::Expr(Expr::ColumnRaw { id, ty: number(&ty) })
                    }
                    _ => By::Item(i),
                },
                By::Expr(Expr::Column { id, ty }) if matches!(ty.kind, TypeKind::Enum(_) | TypeKind::Set(_)) => {
                    By::Expr(Expr::ColumnRaw { id, ty: number(&ty) })
                }
                by => by,
            };
            keys.push(Key { by, descending: o.descending });
        }
        Ok(keys)
    }

    /// Puts the Aggregate over `rel` and rewrites what stands above it in terms of its output.
    fn aggregate(&mut self, rel: Rel, items: &mut [Expr], having: &mut Option<Expr>, keys: &mut [Key]) -> Result<Rel, Fault> {
        let block = self.block();
        let (rollup, grouping) = (block.rollup, block.grouping.clone());
        let groups = std::mem::take(&mut block.groups);
        let mut out = Vec::with_capacity(groups.len());
        for g in &groups {
            let ty = value_type(g);
            let nullable = ty.nullable || rollup;
            out.push(self.new_column("", ty.with_nullable(nullable)));
        }
        let mut check = group_check::GroupCheck::new(self, &rel, groups, &out);
        for (i, e) in items.iter_mut().enumerate() {
            check.regroup(self, e, CheckPlace::Item(i + 1))?;
        }
        if let Some(h) = having {
            check.regroup(self, h, CheckPlace::Having)?;
        }
        for (i, k) in keys.iter_mut().enumerate() {
            if let By::Expr(e) = &mut k.by {
                check.regroup(self, e, CheckPlace::Order(i + 1))?;
            }
        }
        let mut windows = std::mem::take(&mut self.block().windows);
        for (w, _) in &mut windows {
            let mut fault = None;
            walk::window_exprs_mut(w, &mut |e| {
                if fault.is_none() {
                    fault = check.regroup(self, e, CheckPlace::Item(1)).err();
                }
            });
            if let Some(f) = fault {
                return Err(f);
            }
        }
        let groups = check.finish();
        let aggregates = std::mem::take(&mut self.block().aggregates);
        self.block().windows = windows;
        Ok(Rel::Aggregate { input: Box::new(rel), group: groups.into_iter().zip(out).collect(), aggregates, rollup, grouping })
    }

    /// The select list, DISTINCT and ORDER BY over `rel`. Hidden sort keys stand after the visible columns.
    fn project_and_sort(&mut self, rel: Rel, projection: Projection, keys: Vec<Key>, distinct: bool) -> Result<Rel, Fault> {
        let Projection { mut exprs, mut columns, visible } = projection;
        let read = |c: &Column| Expr::Column { id: c.id, ty: c.ty.clone() };
        let mut sort = Vec::with_capacity(keys.len());
        for (n, k) in keys.into_iter().enumerate() {
            let expr = match k.by {
                By::Item(i) => read(&columns[i]),
                By::Expr(mut e) if distinct => {
                    // What can be said in terms of the selected columns needs no hidden key.
                    over_output(&mut e, &exprs[..visible], &columns[..visible]);
                    let made: std::collections::BTreeSet<_> = columns[..visible].iter().map(|c| c.id).collect();
                    let left = walk::columns(&e).into_iter().find(|c| !made.contains(c));
                    match left {
                        None => e,
                        Some(id) => {
                            let raw_of_selected = matches!(&e, Expr::ColumnRaw { id, .. } if exprs[..visible].iter().any(|x| matches!(x, Expr::Column { id: i, .. } if i == id)));
                            if self.sql_mode().has(SqlMode::ONLY_FULL_GROUP_BY) && !raw_of_selected {
                                let name = group_check::column_name(self.block(), id);
                                return Err(Fault::mysql(
                                    3065,
                                    "HY000",
                                    format!(
                                        "Expression #{} of ORDER BY clause is not in SELECT list, references column '{name}' which is not in SELECT list; this is incompatible with DISTINCT",
                                        n + 1
                                    ),
                                ));
                            }
                            let c = self.new_column("", value_type(&e));
                            exprs.push(e);
                            columns.push(c);
                            read(columns.last().expect("just pushed"))
                        }
                    }
                }
                By::Expr(e) => {
                    let c = self.new_column("", value_type(&e));
                    exprs.push(e);
                    columns.push(c);
                    read(columns.last().expect("just pushed"))
                }
            };
            sort.push(SortKey { expr, descending: k.descending });
        }
        let mut out = Rel::Project { input: Box::new(rel), exprs, columns: columns.clone() };
        if distinct {
            out = if columns.len() == visible {
                Rel::Distinct { input: Box::new(out) }
            } else {
                self.distinct_with_keys(out, &columns, visible, &mut sort)
            };
        }
        if !sort.is_empty() {
            out = Rel::Sort { input: Box::new(out), keys: sort };
        }
        Ok(out)
    }

    /// DISTINCT of the first `visible` columns; a hidden key is that of some row of the group.
    fn distinct_with_keys(&mut self, input: Rel, columns: &[Column], visible: usize, sort: &mut [SortKey]) -> Rel {
        let renamed: Vec<Column> = columns.iter().map(|c| Column { id: self.new_id(), ..c.clone() }).collect();
        let read = |c: &Column| Expr::Column { id: c.id, ty: c.ty.clone() };
        let group = (0..visible).map(|i| (read(&columns[i]), renamed[i].clone())).collect();
        let any = |c: &Column| Aggregate {
            function: AggregateFunction::AnyValue,
            args: vec![read(c)],
            distinct: false,
            order_by: vec![],
            separator: "".into(),
            ty: c.ty.clone(),
        };
        let aggregates = (visible..columns.len()).map(|i| (any(&columns[i]), renamed[i].clone())).collect();
        for k in sort {
            walk::rewrite(&mut k.expr, &mut |e| {
                if let Expr::Column { id, .. } = e
                    && let Some(i) = columns.iter().position(|c| c.id == *id)
                {
                    *id = renamed[i].id;
                }
                false
            });
        }
        Rel::Aggregate { input: Box::new(input), group, aggregates, rollup: false, grouping: None }
    }

    /// Leaves only what is to be seen, under the names and types clients are told.
    fn trim(&mut self, rel: Rel, visible: usize, mut shown: Vec<Column>, upwards: Vec<RowPlace>) -> Result<Bound, Fault> {
        let own = rel.columns();
        if own.len() == visible {
            for (s, o) in shown.iter_mut().zip(&own) {
                s.id = o.id;
            }
            return Ok(Bound::new(rel, shown));
        }
        let mut exprs: Vec<Expr> = own[..visible].iter().map(|c| Expr::Column { id: c.id, ty: c.ty.clone() }).collect();
        let mut columns: Vec<Column> = own[..visible].iter().map(|c| Column { id: self.new_id(), ..c.clone() }).collect();
        for (s, c) in shown.iter_mut().zip(&columns) {
            s.id = c.id;
        }
        let mut places = Vec::with_capacity(upwards.len());
        for (table, id) in upwards {
            exprs.push(read_place(id));
            columns.push(self.new_column("", value_type(&read_place(id))));
            places.extend(columns.last().map(|c| (table, c.id)));
        }
        Ok(Bound { rel: Rel::Project { input: Box::new(rel), exprs, columns }, columns: shown, places })
    }
}

/// The type of a stored ENUM's or SET's number.
pub fn number(ty: &SqlType) -> SqlType {
    SqlType::bigint_unsigned(ty.nullable)
}

/// Replaces parts of `e` that are selected by the columns that hold them.
fn over_output(e: &mut Expr, exprs: &[Expr], columns: &[Column]) {
    walk::rewrite(e, &mut |n| match exprs.iter().position(|x| x == n) {
        Some(i) => {
            *n = Expr::Column { id: columns[i].id, ty: columns[i].ty.clone() };
            true
        }
        None => false,
    });
}
