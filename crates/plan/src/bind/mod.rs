//! The binder: a syntax tree becomes a typed relational tree.
//!
//! Owns:     the numbering of columns, subqueries and params of one statement while it is bound.
//! Promises: MySQL 8.0's rules of names, grouping and clauses, with its errors; the tree that comes out is right as it stands, only not yet fast (see [`crate::rewrite`]).
//! Never:    keeps anything between statements.

mod aggregate;
mod cte;
mod expr;
mod from;
mod group_check;
mod literal;
mod locking;
mod row_expr;
pub(crate) mod scope;
mod select;
mod set_op;
mod subquery;
mod table;
mod window;

pub(crate) use table::{RowScope, row_block, row_table};
pub use table::{bind_over_row, parse_and_bind_over_row, subquery_in_definition};

use crate::names::Bindings;
use crate::query::{Column, Need, Query, Rel};
use locking::{Locks, RowPlace};
use scope::Block;
use std::sync::Arc;
use weald_catalog::Privilege;
use weald_catalog::table::TableRef;
use weald_expr::Expr;
use weald_sql::ast;
use weald_types::{Collation, ColumnId, Fault, SqlType, TypeKind, Warning};

/// How deep queries (subqueries, derived tables, views) may stand in each other: MySQL's MAX_SELECT_NESTING.
const MAX_NESTING: usize = 63;
/// How deep expressions may stand in each other. Chains of AND, OR and arithmetic do not count.
const MAX_EXPR_DEPTH: usize = 400;

/// Binds a query for execution. The result has not been through [`crate::rewrite::optimize`].
pub fn bind_query(env: &Bindings<'_>, query: &ast::Query) -> Result<Query, Fault> {
    let mut b = Binder::new(env);
    let bound = b.query(query)?;
    Ok(b.finish(bound, query))
}

/// Binds a view's text: the query, and what each of its SELECTs selects, by its place in memory.
pub fn bind_view_text(env: &Bindings<'_>, query: &ast::Query) -> Result<(Query, std::collections::HashMap<usize, Vec<ast::SelectItem>>), Fault> {
    let mut b = Binder::new(env);
    b.stars = Some(Default::default());
    let bound = b.query(query)?;
    let stars = b.stars.take().unwrap_or_default();
    Ok((b.finish(bound, query), stars))
}

/// An expression that stands alone. What its subqueries read needs privileges as any query does.
pub struct BoundExpr {
    pub expr: Expr,
    pub subqueries: Vec<Rel>,
    pub needs: Vec<Need>,
}

/// Binds the expression of a SET, DO or KILL. It may hold subqueries.
pub fn bind_expr(env: &Bindings<'_>, expr: &ast::Expr) -> Result<BoundExpr, Fault> {
    let mut b = Binder::new(env);
    b.blocks.push(Block::default());
    let expr = b.expr(expr)?;
    Ok(BoundExpr { expr, subqueries: b.subqueries, needs: b.needs })
}

/// A bound query block or set operation. `columns[i]` describes the i-th column of `rel` to a client; `rel.columns()` describes it to executors.
pub struct Bound {
    pub rel: Rel,
    pub columns: Vec<Column>,
    /// Of a view's query whose rows are to be locked further up: columns of `rel`, behind those of `columns`.
    pub places: Vec<RowPlace>,
}

impl Bound {
    pub fn new(rel: Rel, columns: Vec<Column>) -> Self {
        Self { rel, columns, places: Vec::new() }
    }
}

pub struct Binder<'a> {
    pub env: Bindings<'a>,
    /// The text that spans point into: the statement's, or a view's.
    pub text: Arc<str>,
    next_column: u32,
    next_recursion: u32,
    pub subqueries: Vec<Rel>,
    pub params: Vec<Option<SqlType>>,
    pub tables: Vec<TableRef>,
    pub needs: Vec<Need>,
    pub warnings: Vec<Warning>,
    pub fixed_join_order: bool,
    /// Query blocks around the place being bound, innermost last.
    pub blocks: Vec<Block>,
    /// Common table expressions in sight, innermost last.
    pub ctes: Vec<cte::CteScope>,
    /// Views being expanded: the innermost one's definer answers for what it reads.
    pub views: Vec<scope::ViewFrame>,
    /// INSERT … ON DUPLICATE KEY UPDATE: what VALUES(col) and the row alias mean.
    pub insert_values: Option<RowScope>,
    /// UPDATE and DELETE of several tables: the FROM clause bound while there are so many blocks scans locators too.
    pub locators_at: Option<usize>,
    /// What the query that is bound next must lock, by a clause around it.
    pub locks: Locks,
    /// For CREATE VIEW: what each SELECT of the text selects, by its place in memory, once it is bound.
    pub stars: Option<std::collections::HashMap<usize, Vec<ast::SelectItem>>>,
    nesting: usize,
    pub expr_depth: usize,
}

impl<'a> Binder<'a> {
    pub fn new(env: &Bindings<'a>) -> Self {
        Self {
            env: *env,
            text: env.text.into(),
            next_column: 0,
            next_recursion: 0,
            subqueries: Vec::new(),
            params: env.params.to_vec(),
            tables: Vec::new(),
            needs: Vec::new(),
            warnings: Vec::new(),
            fixed_join_order: false,
            blocks: Vec::new(),
            ctes: Vec::new(),
            views: Vec::new(),
            insert_values: None,
            locators_at: None,
            locks: Locks::default(),
            stars: None,
            nesting: 0,
            expr_depth: 0,
        }
    }

    pub fn new_id(&mut self) -> ColumnId {
        self.next_column += 1;
        ColumnId::new(self.next_column - 1)
    }

    /// Later ids start at `from`: lower ones are taken for a table's ordinals.
    pub fn reserve_ids(&mut self, from: u32) {
        self.next_column = self.next_column.max(from);
    }

    pub fn new_recursion(&mut self) -> u32 {
        self.next_recursion += 1;
        self.next_recursion - 1
    }

    pub fn sql_mode(&self) -> weald_types::SqlMode {
        self.env.session.sql_mode
    }

    pub fn new_column(&mut self, name: impl Into<Arc<str>>, ty: SqlType) -> Column {
        Column { id: self.new_id(), ty, name: name.into(), origin: None }
    }

    /// `WITH … body ORDER BY … LIMIT …`, anywhere.
    pub fn query(&mut self, q: &ast::Query) -> Result<Bound, Fault> {
        if self.nesting >= MAX_NESTING {
            return Err(Fault::mysql(1473, "HY000", "Too high level of nesting for select"));
        }
        self.nesting += 1;
        let ctes = self.ctes.len();
        let bound = self.query_inner(q);
        self.ctes.truncate(ctes);
        self.nesting -= 1;
        bound
    }

    fn query_inner(&mut self, q: &ast::Query) -> Result<Bound, Fault> {
        let around = std::mem::take(&mut self.locks);
        if let Some(with) = &q.with {
            self.with(with)?;
        }
        let mut locks = around.clone();
        locks.add(&q.locking);
        let bound = match &q.body {
            ast::SetExpr::Select(s) => self.select(s, &q.order_by, q.limit.as_ref(), locks)?,
            body => {
                self.locks = locks.within();
                let bound = self.set_expr(body)?;
                self.locks = Locks::default();
                self.order_and_limit(bound, &q.order_by, q.limit.as_ref())?
            }
        };
        self.locks = around;
        Ok(bound)
    }

    pub fn set_expr(&mut self, body: &ast::SetExpr) -> Result<Bound, Fault> {
        match body {
            ast::SetExpr::Select(s) => self.select(s, &[], None, self.locks.clone()),
            ast::SetExpr::Query(q) => self.query(q),
            ast::SetExpr::Values(rows) => self.values(rows),
            ast::SetExpr::Table(name) => {
                let from = ast::TableRef::Table { name: name.clone(), alias: None, hints: vec![] };
                let all = ast::Select { items: vec![ast::SelectItem::Wildcard], from: vec![from], ..Default::default() };
                self.select(&all, &[], None, self.locks.clone())
            }
            ast::SetExpr::SetOp { op, all, left, right } => self.set_op(*op, *all, left, right),
        }
    }

    /// Types of params in order. One that nothing gave a type is a string.
    pub fn param_types(&self) -> Vec<SqlType> {
        let text = SqlType::varchar(65_535 / 4, true, self.env.session.collation_connection);
        self.params.iter().map(|p| p.clone().unwrap_or_else(|| text.clone())).collect()
    }

    fn finish(self, bound: Bound, q: &ast::Query) -> Query {
        let calc_found_rows = matches!(&q.body, ast::SetExpr::Select(s) if s.calc_found_rows);
        let into = q.into.clone();
        let mut query = self.into_query(bound);
        query.into = into;
        query.calc_found_rows = calc_found_rows;
        query
    }

    pub fn into_query(self, bound: Bound) -> Query {
        let params = self.param_types();
        Query {
            root: bound.rel,
            subqueries: self.subqueries,
            columns: bound.columns,
            params,
            tables: self.tables,
            needs: self.needs,
            into: None,
            calc_found_rows: false,
            warnings: self.warnings,
            fixed_join_order: self.fixed_join_order,
            joins_only: false,
            parts: false,
        }
    }

    /// The statement's text at `span`, as MySQL quotes it.
    pub fn span_text(&self, span: ast::Span) -> String {
        self.text.get(span.start as usize..span.end as usize).unwrap_or("").trim().to_string()
    }

    pub fn need(&mut self, privilege: Privilege, database: &str, table: &str) -> usize {
        let (definer, view) = match self.views.last() {
            Some(v) => (v.definer.clone(), Some((v.database.clone(), v.name.clone()))),
            None => (None, None),
        };
        self.needs.push(Need { privilege, database: database.into(), table: table.into(), columns: vec![], locks: false, definer, view });
        self.needs.len() - 1
    }

    pub fn need_column(&mut self, need: usize, column: &str) {
        let columns = &mut self.needs[need].columns;
        if !columns.iter().any(|c| **c == *column) {
            columns.push(column.into());
        }
    }

    pub fn use_table(&mut self, table: &TableRef) {
        if !self.tables.iter().any(|t| t.id == table.id && t.version == table.version) {
            self.tables.push(table.clone());
        }
    }
}

/// What a value of a stored column of type `ty` is once an expression has read it: text for ENUM and SET, session time for TIMESTAMP.
pub fn evaluated(ty: &SqlType) -> SqlType {
    match &ty.kind {
        TypeKind::Enum(members) => {
            let chars = members.iter().map(|m| m.chars().count()).max().unwrap_or(0) as u32;
            SqlType::varchar(chars, ty.nullable, ty.collation)
        }
        TypeKind::Set(members) => {
            let chars = members.iter().map(|m| m.chars().count() + 1).sum::<usize>().saturating_sub(1) as u32;
            SqlType::varchar(chars, ty.nullable, ty.collation)
        }
        TypeKind::Timestamp { fsp } => SqlType { kind: TypeKind::DateTime { fsp: *fsp }, nullable: ty.nullable, collation: Collation::BINARY },
        _ => ty.clone(),
    }
}

/// The type of the values that evaluating `e` gives.
pub fn value_type(e: &Expr) -> SqlType {
    match e {
        Expr::Column { ty, .. } => evaluated(ty),
        Expr::In { .. } => SqlType::bigint(crate::walk::is_nullable(e)),
        e => e.ty().clone(),
    }
}
