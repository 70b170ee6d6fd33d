//! WITH: common table expressions, recursive ones too.
//!
//! Owns:     nothing; the scopes stand in [`Binder::ctes`].
//! Promises: an expression is bound anew at each use, with columns of its own; it sees what stood before it, and itself only where RECURSIVE is said.
//! Never:    materialises anything.

use super::{Binder, Bound};
use crate::query::{Column, JoinKind, Rel};
use std::rc::Rc;
use std::sync::Arc;
use weald_expr::Expr;
use weald_sql::ast;
use weald_types::Fault;

#[derive(Clone)]
pub struct CteScope {
    name: String,
    columns: Vec<String>,
    query: Rc<ast::Query>,
    recursive: bool,
    state: State,
}

#[derive(Clone)]
enum State {
    Ready,
    /// Its own non-recursive part is being bound: a reference shows that the part is a recursive one.
    Seed,
    /// Its recursive part is being bound: a reference reads the last round's rows.
    Step {
        id: u32,
        columns: Vec<Column>,
    },
}

/// What a table name that is a common table expression stands for.
pub struct Reference {
    pub bound: Bound,
    pub columns: Vec<String>,
}

/// What binding a query block gives when it turns out to read the expression that it is a part of.
const RECURSIVE_BLOCK: &str = "a recursive query block";

impl Binder<'_> {
    pub fn with(&mut self, with: &ast::With) -> Result<(), Fault> {
        let first = self.ctes.len();
        for c in &with.ctes {
            if self.ctes[first..].iter().any(|o| o.name == c.name) {
                return Err(Fault::mysql(1066, "42000", format!("Not unique table/alias: '{}'", c.name)));
            }
            self.ctes.push(CteScope {
                name: c.name.clone(),
                columns: c.columns.clone(),
                query: Rc::new((*c.query).clone()),
                recursive: with.recursive,
                state: State::Ready,
            });
        }
        Ok(())
    }

    /// The common table expression called `name`, bound for one use.
    pub fn cte(&mut self, name: &str) -> Result<Option<Reference>, Fault> {
        let Some(at) = self.ctes.iter().rposition(|c| c.name == name) else { return Ok(None) };
        let cte = self.ctes[at].clone();
        match &cte.state {
            State::Seed => return Err(Fault::Internal { incident: RECURSIVE_BLOCK.into() }),
            State::Step { id, columns } => {
                // Each reference has columns of its own.
                let columns: Vec<Column> = columns.iter().map(|c| Column { id: self.new_id(), ..c.clone() }).collect();
                let bound = Bound::new(Rel::RecursionInput { id: *id, columns: columns.clone() }, columns);
                return Ok(Some(Reference { bound, columns: vec![] }));
            }
            State::Ready => (),
        }
        // It sees what stands before it in its WITH and around that, not what came after; and none of the blocks that use it.
        let later = self.ctes.split_off(at);
        let bound = if cte.recursive { self.maybe_recursive(&cte) } else { self.unseen(|b| b.query(&cte.query)) };
        self.ctes.truncate(at);
        self.ctes.extend(later);
        Ok(Some(Reference { bound: bound?, columns: cte.columns }))
    }

    /// Binds with the current block hidden, as for a derived table.
    fn unseen<T>(&mut self, f: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        // By number: after a fault deeper blocks may still lie on top.
        let Some(at) = self.blocks.len().checked_sub(1) else { return f(self) };
        let hidden = std::mem::replace(&mut self.blocks[at].hidden, true);
        let out = f(self);
        self.blocks[at].hidden = hidden;
        out
    }

    fn maybe_recursive(&mut self, cte: &CteScope) -> Result<Bound, Fault> {
        let at = self.ctes.len();
        self.ctes.push(CteScope { state: State::Seed, ..cte.clone() });
        let mut parts = Vec::new();
        union_parts(&cte.query.body, true, &mut parts);
        // Find the first block that reads the expression itself; binding it shows that.
        let mut seed_end = parts.len();
        let mut seed: Option<Bound> = None;
        let with = cte.query.with.as_ref();
        if let Some(with) = with {
            self.with(with)?;
        }
        for (i, (part, all)) in parts.iter().enumerate() {
            match self.attempt(part)? {
                Some(bound) => {
                    seed = Some(match seed {
                        None => bound,
                        Some(left) => self.combine(ast::SetOp::Union, *all, left, bound)?,
                    });
                }
                None => {
                    seed_end = i;
                    break;
                }
            }
        }
        if seed_end == parts.len() {
            // RECURSIVE was said, but this one is not.
            self.ctes.truncate(at);
            return self.unseen(|b| b.query(&cte.query));
        }
        let Some(seed) = seed else {
            if parts.len() < 2 {
                return Err(Fault::mysql(3573, "HY000", format!("Recursive Common Table Expression '{}' should contain a UNION", cte.name)));
            }
            return Err(Fault::mysql(
                3574,
                "HY000",
                format!(
                    "Recursive Common Table Expression '{}' should have one or more non-recursive query blocks followed by one or more recursive ones",
                    cte.name
                ),
            ));
        };
        self.recursive(cte, at, seed, &parts[seed_end..])
    }

    fn recursive(&mut self, cte: &CteScope, at: usize, seed: Bound, parts: &[(&ast::SetExpr, bool)]) -> Result<Bound, Fault> {
        if !cte.columns.is_empty() && cte.columns.len() != seed.columns.len() {
            let text =
                "In definition of view, derived table or common table expression, SELECT list and column names list have different column counts";
            return Err(Fault::mysql(1353, "HY000", text));
        }
        // The first part alone says what the columns are; later rows may hold NULLs.
        let columns: Vec<Column> = seed
            .rel
            .columns()
            .iter()
            .zip(&seed.columns)
            .enumerate()
            .map(|(i, (read, c))| Column {
                id: self.new_id(),
                ty: read.ty.clone().with_nullable(true),
                name: cte.columns.get(i).map_or_else(|| c.name.clone(), |n| Arc::from(n.as_str())),
                origin: None,
            })
            .collect();
        if !cte.query.locking.is_empty() {
            return Err(Fault::not_supported("a locking clause of a recursive common table expression (put it into its SELECTs, in brackets)"));
        }
        let id = self.new_recursion();
        self.ctes[at].state = State::Step { id, columns: columns.clone() };
        let mut step: Option<Rel> = None;
        let mut all = true;
        for (part, part_all) in parts {
            let bound = self.unseen(|b| b.set_expr(part))?;
            if bound.columns.len() != columns.len() {
                return Err(super::set_op::different_columns());
            }
            check_recursive_block(&cte.name, &bound.rel, id)?;
            all &= part_all;
            let rel = self.cast_to(bound, &columns);
            step = Some(match step {
                None => rel,
                Some(left) => {
                    let out = columns.iter().map(|c| Column { id: self.new_id(), ..c.clone() }).collect();
                    Rel::SetOp { op: crate::query::SetOp::Union, all: true, left: Box::new(left), right: Box::new(rel), columns: out }
                }
            });
        }
        self.ctes.truncate(at);
        let seed = self.cast_to(seed, &columns);
        let step = step.expect("there is at least one recursive block");
        let rel = Rel::Recursive { id, seed: Box::new(seed), step: Box::new(step), all, columns: columns.clone() };
        self.order_and_limit(Bound::new(rel, columns), &cte.query.order_by, cte.query.limit.as_ref())
    }

    /// Binds one block; None if it reads the expression that is being defined.
    fn attempt(&mut self, part: &ast::SetExpr) -> Result<Option<Bound>, Fault> {
        let (blocks, ctes, views, subqueries, needs) =
            (self.blocks.len(), self.ctes.len(), self.views.len(), self.subqueries.len(), self.needs.len());
        let (nesting, depth, text) = (self.nesting, self.expr_depth, self.text.clone());
        match self.unseen(|b| b.set_expr(part)) {
            Ok(bound) => Ok(Some(bound)),
            Err(Fault::Internal { incident }) if incident == RECURSIVE_BLOCK => {
                self.blocks.truncate(blocks);
                self.ctes.truncate(ctes);
                self.views.truncate(views);
                self.subqueries.truncate(subqueries);
                self.needs.truncate(needs);
                (self.nesting, self.expr_depth, self.text) = (nesting, depth, text);
                Ok(None)
            }
            Err(fault) => Err(fault),
        }
    }

    /// Projects `bound` onto the types of `columns`, with new ids.
    pub fn cast_to(&mut self, bound: Bound, columns: &[Column]) -> Rel {
        let own = bound.rel.columns();
        let exprs = own
            .iter()
            .zip(columns)
            .map(|(c, want)| {
                let e = Expr::Column { id: c.id, ty: c.ty.clone() };
                if c.ty.kind == want.ty.kind && c.ty.collation == want.ty.collation {
                    e
                } else {
                    Expr::Cast { expr: Box::new(e), ty: want.ty.clone() }
                }
            })
            .collect();
        let columns = columns.iter().map(|c| Column { id: self.new_id(), ..c.clone() }).collect();
        Rel::Project { input: Box::new(bound.rel), exprs, columns }
    }
}

/// The blocks of a chain of UNIONs, each with whether ALL joins it to those before.
fn union_parts<'q>(body: &'q ast::SetExpr, all: bool, out: &mut Vec<(&'q ast::SetExpr, bool)>) {
    match body {
        ast::SetExpr::SetOp { op: ast::SetOp::Union, all: own, left, right } => {
            union_parts(left, all, out);
            out.push((right, *own));
        }
        other => out.push((other, all)),
    }
}

fn check_recursive_block(name: &str, rel: &Rel, id: u32) -> Result<(), Fault> {
    let mut references = 0;
    let mut fault = None;
    visit(rel, id, &mut references, &mut |node| {
        let text = match node {
            Rel::Aggregate { .. } | Rel::Window { .. } => (
                3575,
                format!("Recursive Common Table Expression '{name}' can contain neither aggregation nor window functions in recursive query block"),
            ),
            Rel::Sort { .. } | Rel::Limit { .. } | Rel::Distinct { .. } => {
                return fault = Some(Fault::mysql(
                    1235,
                    "42000",
                    "This version of MySQL doesn't yet support 'ORDER BY / LIMIT / SELECT DISTINCT in recursive query block of Common Table Expression'",
                ));
            }
            Rel::Join { kind: JoinKind::Left, right, .. } if reads(right, id) => (
                3576,
                format!(
                    "In recursive query block of Recursive Common Table Expression '{name}', the recursive table must neither be in the right argument of a LEFT JOIN, nor be forced to be non-first with join order hints"
                ),
            ),
            _ => return,
        };
        fault = Some(Fault::mysql(text.0, "HY000", text.1));
    });
    if references != 1 && fault.is_none() {
        let text = format!(
            "In recursive query block of Recursive Common Table Expression '{name}', the recursive table must be referenced only once, and not in any subquery"
        );
        fault = Some(Fault::mysql(3577, "HY000", text));
    }
    fault.map_or(Ok(()), Err)
}

/// Calls `f` for each node above a reference to the recursion, and counts the references.
fn visit(rel: &Rel, id: u32, references: &mut usize, f: &mut dyn FnMut(&Rel)) {
    if let Rel::RecursionInput { id: own, .. } = rel {
        *references += (*own == id) as usize;
    }
    if reads(rel, id) {
        f(rel);
    }
    for i in rel.inputs() {
        visit(i, id, references, f);
    }
}

fn reads(rel: &Rel, id: u32) -> bool {
    matches!(rel, Rel::RecursionInput { id: own, .. } if *own == id) || rel.inputs().iter().any(|i| reads(i, id))
}
