//! From a bound query to nodes: columns become slots, outer columns become parameters, filters find their access path, joins their method.
//!
//! Owns:     nothing.
//! Promises: every column an expression reads is a slot of its input or an outer parameter; anything else is a bug of the binder and an internal fault.
//! Never:    changes what the query means.

use super::describe::{self, Notes, Step};
use super::scalar::{Projection, Scalar, SubqueryUse};
use super::{Meter, Node, aggregate, distinct, join, lock, recursive, scan, sort, window};
use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use weald_expr::aggregate::AggregateSpec;
use weald_expr::walk::{conjuncts, transform};
use weald_expr::{Expr, Operator};
use weald_plan::names::Statistics;
use weald_plan::query::{self, JoinKind, Query, Rel, WindowKind};
use weald_plan::{access, fragment::Access};
use weald_types::{ColumnId, Fault, SqlType, TypeKind};

/// Where each column of a node's output stands in its rows.
type Slots = HashMap<ColumnId, u32>;

/// Compiles the whole query.
pub fn compile(query: &Query) -> Result<Arc<Node>, Fault> {
    let c = Compiler { query, outer: HashMap::new(), params: query.params.len() as u32, passed_by: RefCell::default(), notes: None };
    if let (true, Rel::Values { rows, .. }) = (query.parts, &query.root)
        && let [exprs] = &rows[..]
    {
        let input = Arc::new(Node::Values(vec![Vec::new()]));
        let none = Slots::new();
        let exprs = exprs.iter().map(|e| Ok(Projection::Part(c.scalar(e, &none)?))).collect::<Result<_, Fault>>()?;
        return Ok(Arc::new(Node::Project { input, exprs }));
    }
    Ok(c.node(&query.root)?.0)
}

/// A compiled query that can tell what it is.
pub struct Described {
    pub node: Arc<Node>,
    notes: Notes,
}

impl Described {
    pub fn steps(&self, meter: Option<&Meter>) -> Step {
        describe::steps(&self.node, &self.notes, meter)
    }
}

/// The same node as [`compile`] makes, with what EXPLAIN wants to know.
pub fn compile_described(query: &Query, statistics: &dyn Statistics) -> Result<Described, Fault> {
    let notes = RefCell::new(Notes::of(query));
    let c = Compiler {
        query,
        outer: HashMap::new(),
        params: query.params.len() as u32,
        passed_by: RefCell::default(),
        notes: Some((&notes, statistics)),
    };
    let node = c.node(&query.root)?.0;
    Ok(Described { node, notes: notes.into_inner() })
}

struct Compiler<'q> {
    query: &'q Query,
    /// For EXPLAIN: where to note what each node is made of.
    notes: Option<(&'q RefCell<Notes>, &'q dyn Statistics)>,
    /// Columns of enclosing queries, and the parameter each arrives as.
    outer: HashMap<ColumnId, u32>,
    /// How many parameters there are at this level.
    params: u32,
    /// Tables of SKIP LOCKED, by every column that has their rows' locators on its way up to the lock.
    passed_by: RefCell<Vec<(ColumnId, query::LockedTable)>>,
}

impl<'q> Compiler<'q> {
    fn node(&self, rel: &Rel) -> Result<(Arc<Node>, Slots), Fault> {
        let (node, out) = self.make(rel)?;
        self.note(&node, rel);
        Ok((node, out))
    }

    fn note(&self, node: &Arc<Node>, rel: &Rel) {
        if let Some((notes, statistics)) = self.notes {
            notes.borrow_mut().add(node, rel, statistics);
        }
    }

    fn make(&self, rel: &Rel) -> Result<(Arc<Node>, Slots), Fault> {
        let slots = |columns: &[query::Column]| -> Slots { columns.iter().enumerate().map(|(i, c)| (c.id, i as u32)).collect() };
        let (node, out) = match rel {
            Rel::Scan { table, ordinals, columns } => {
                (Node::Scan(scan::Scan { table: table.clone(), access: Access::Full, filter: None, ordinals: ordinals.clone() }), slots(columns))
            }
            Rel::Virtual { name, columns } => {
                (Node::Virtual { name: name.clone(), width: columns.len(), keep: (0..columns.len()).collect() }, slots(columns))
            }
            Rel::JsonTable { document, table, columns } => {
                (Node::JsonTable { document: self.scalar(document, &Slots::new())?, table: table.clone() }, slots(columns))
            }
            Rel::Values { rows, columns } => {
                let none = Slots::new();
                let rows = rows.iter().map(|r| r.iter().map(|e| self.scalar(e, &none)).collect()).collect::<Result<_, _>>()?;
                (Node::Values(rows), slots(columns))
            }
            Rel::Filter { input, predicate } => return self.filter(input, predicate),
            Rel::Project { input, exprs, columns } => {
                let (input, from) = self.node(input)?;
                let exprs = exprs.iter().map(|e| self.projection(e, &from)).collect::<Result<_, _>>()?;
                (Node::Project { input, exprs }, slots(columns))
            }
            Rel::Join { kind, left, right, on, lateral } => return self.join(*kind, left, right, on.as_ref(), *lateral),
            Rel::Aggregate { input, group, aggregates, rollup, grouping } => {
                let (input, from) = self.node(input)?;
                let out = slots(&rel.columns());
                let group = group
                    .iter()
                    .map(|(e, column)| Ok(aggregate::Grouped { expr: self.scalar(e, &from)?, ty: column.ty.clone() }))
                    .collect::<Result<_, Fault>>()?;
                let aggregates = aggregates.iter().map(|(a, _)| self.call(a, &from)).collect::<Result<_, _>>()?;
                (Node::Aggregate(aggregate::Aggregate { input, group, aggregates, rollup: *rollup, grouping: grouping.is_some() }), out)
            }
            Rel::Window { input, functions } => {
                let (input, from) = self.node(input)?;
                let mut out = from.clone();
                let width = rel_width(rel) - functions.len();
                for (i, (_, column)) in functions.iter().enumerate() {
                    out.insert(column.id, (width + i) as u32);
                }
                let functions = functions.iter().map(|(f, _)| self.window_function(f, &from)).collect::<Result<_, _>>()?;
                (Node::Window(window::Window { input, functions }), out)
            }
            Rel::Sort { input, keys } => {
                let (input, from) = self.node(input)?;
                (Node::Sort { input, keys: self.keys(keys, &from)?, limit: None }, from)
            }
            Rel::Limit { input, count, offset } => {
                let limit = self.limit(count.as_ref(), offset.as_ref())?;
                if let Rel::Sort { input, keys } = &**input {
                    let (input, from) = self.node(input)?;
                    (Node::Sort { input, keys: self.keys(keys, &from)?, limit: Some(Box::new(limit)) }, from)
                } else if let Rel::Lock { input, tables } = &**input {
                    self.note_passed_by(input, tables);
                    let (input, from) = self.node(input)?;
                    (Node::Lock(lock::Lock { input, tables: self.locked(tables, &from)?, limit: Some(limit) }), from)
                } else {
                    let (input, from) = self.node(input)?;
                    (Node::Limit { input, limit }, from)
                }
            }
            Rel::Lock { input, tables } => {
                self.note_passed_by(input, tables);
                let (input, from) = self.node(input)?;
                (Node::Lock(lock::Lock { input, tables: self.locked(tables, &from)?, limit: None }), from)
            }
            Rel::Distinct { input } => {
                let (node, from) = self.node(input)?;
                (Node::Distinct(distinct::Distinct { input: node, types: types(&input.columns()) }), from)
            }
            Rel::SetOp { op, all, left, right, columns } => {
                let (left, _) = self.node(left)?;
                let (right, _) = self.node(right)?;
                (Node::SetOp(distinct::SetOp { op: *op, all: *all, left, right, types: types(columns) }), slots(columns))
            }
            Rel::Recursive { id, seed, step, all, columns } => {
                let (seed, _) = self.node(seed)?;
                let (step, _) = self.node(step)?;
                (Node::Recursive(recursive::Recursive { id: *id, seed, step, all: *all, types: types(columns) }), slots(columns))
            }
            Rel::RecursionInput { id, columns } => (Node::RecursionInput { id: *id }, slots(columns)),
        };
        Ok((Arc::new(node), out))
    }

    /// A filter goes into the scan below it, where it may choose an index; what holds a subquery stays above.
    fn filter(&self, input: &Rel, predicate: &Expr) -> Result<(Arc<Node>, Slots), Fault> {
        if let Rel::Scan { table, ordinals, columns } = input {
            let ordinal_of: HashMap<ColumnId, u16> = columns.iter().zip(ordinals).map(|(c, o)| (c.id, *o)).collect();
            let (mut down, mut stay) = (Vec::new(), Vec::new());
            for c in conjuncts(predicate) {
                if has_subquery(&c) { stay.push(c) } else { down.push(self.over_ordinals(&c, &ordinal_of)?) }
            }
            let choice = access::choose(table, &down);
            let scan =
                Node::Scan(scan::Scan { table: table.clone(), access: choice.access, filter: and(choice.residual), ordinals: ordinals.clone() });
            let from: Slots = columns.iter().enumerate().map(|(i, c)| (c.id, i as u32)).collect();
            return match and(stay) {
                None => Ok((Arc::new(scan), from)),
                Some(rest) => {
                    let scan = Arc::new(scan);
                    self.note(&scan, input);
                    Ok((Arc::new(Node::Filter { input: scan, predicate: self.scalar(&rest, &from)? }), from))
                }
            };
        }
        let (node, from) = self.node(input)?;
        Ok((Arc::new(Node::Filter { input: node, predicate: self.scalar(predicate, &from)? }), from))
    }

    fn join(&self, kind: JoinKind, left: &Rel, right: &Rel, on: Option<&Expr>, lateral: bool) -> Result<(Arc<Node>, Slots), Fault> {
        let (left_node, left_slots) = self.node(left)?;
        let left_width = rel_width(left) as u32;
        let right_columns = right.columns();
        let right_slots: Slots = right_columns.iter().enumerate().map(|(i, c)| (c.id, i as u32)).collect();
        let mut both = left_slots.clone();
        for (id, slot) in &right_slots {
            both.insert(*id, left_width + slot);
        }

        let (mut keys, mut residual) = (Vec::new(), Vec::new());
        let all: Vec<Expr> = on.map(conjuncts).unwrap_or_default();
        for c in &all {
            match hash_key(c, &left_slots, &right_slots) {
                Some((l, r)) if !lateral => keys.push((self.scalar(&l, &left_slots)?, self.scalar(&r, &right_slots)?)),
                _ => residual.push(c.clone()),
            }
        }
        let per_row = if lateral {
            let (inner, outer) = self.below(&left_slots, &free_columns(right, self.query), &left.columns());
            Some(join::PerRow { node: inner.node(right)?.0, outer, table: None })
        } else {
            self.lookup(left, right, &left_slots, &all, kind)?
        };
        // Looked-up rows already satisfy the keys, but not what an index key cannot say; checking all of the condition again is the safe way.
        let residual = if per_row.is_some() { and(all) } else { and(residual) };
        let residual_without_keys = residual.map(|e| self.scalar(&e, &both)).transpose()?;
        let right_node = if lateral { Arc::new(Node::Values(Vec::new())) } else { self.node(right)?.0 };
        let passed_by = match kind {
            JoinKind::Left => {
                let known = self.passed_by.borrow();
                let found = known.iter().filter(|(id, _)| right_columns.iter().any(|c| c.id == *id));
                let of = |(id, t): &(ColumnId, query::LockedTable)| {
                    let slot = *both.get(id).ok_or_else(|| unbound(*id))? as usize;
                    Ok(lock::LockedTable { table: t.table.clone(), slot, locking: t.locking })
                };
                found.map(of).collect::<Result<Vec<_>, Fault>>()?
            }
            JoinKind::Inner | JoinKind::Cross | JoinKind::Semi | JoinKind::Anti | JoinKind::NullAwareAnti => Vec::new(),
        };
        let out = if matches!(kind, JoinKind::Semi | JoinKind::Anti | JoinKind::NullAwareAnti) { left_slots } else { both };
        let node = join::Join {
            kind,
            left: left_node,
            right: right_node,
            right_width: right_columns.len(),
            keys,
            residual: residual_without_keys,
            passed_by,
            per_row,
        };
        Ok((Arc::new(Node::Join(node)), out))
    }

    /// The right side as a look-up: a scan whose index the join condition fills, the left columns being parameters.
    fn lookup(&self, left: &Rel, right: &Rel, left_slots: &Slots, on: &[Expr], kind: JoinKind) -> Result<Option<join::PerRow>, Fault> {
        let (scan, filter) = match right {
            Rel::Filter { input, predicate } if matches!(**input, Rel::Scan { .. }) => (&**input, Some(predicate)),
            Rel::Scan { .. } => (right, None),
            _ => return Ok(None),
        };
        // NOT IN must see the NULLs of the right side, which a look-up does not find.
        if kind == JoinKind::NullAwareAnti {
            return Ok(None);
        }
        let Rel::Scan { table, ordinals, columns } = scan else { return Ok(None) };
        let ids: Vec<ColumnId> = columns.iter().map(|c| c.id).collect();
        let mut usable: Vec<Expr> = on.iter().filter(|c| !has_subquery(c)).cloned().collect();
        let used: BTreeSet<ColumnId> = usable.iter().flat_map(weald_expr::walk::columns_of).filter(|id| !ids.contains(id)).collect();
        let (inner, outer) = self.below(left_slots, &used, &left.columns());
        let ordinal_of: HashMap<ColumnId, u16> = columns.iter().zip(ordinals).map(|(c, o)| (c.id, *o)).collect();
        if let Some(f) = filter {
            usable.extend(conjuncts(f));
        }
        if usable.iter().any(has_subquery) {
            return Ok(None);
        }
        let down = usable.iter().map(|c| inner.over_ordinals(c, &ordinal_of)).collect::<Result<Vec<_>, _>>()?;
        let choice = access::choose(table, &down);
        if matches!(choice.access, Access::Full) {
            return Ok(None);
        }
        let node = Arc::new(Node::Scan(scan::Scan {
            table: table.clone(),
            access: choice.access,
            filter: and(choice.residual),
            ordinals: ordinals.clone(),
        }));
        self.note(&node, right);
        Ok(Some(join::PerRow { node, outer, table: Some(table.clone()) }))
    }

    /// A compiler one level down, to which those of `wanted` that are slots here arrive as parameters; and the columns to hand over.
    fn below(&self, slots: &Slots, wanted: &BTreeSet<ColumnId>, columns: &[query::Column]) -> (Compiler<'q>, Vec<Expr>) {
        let mut outer = self.outer.clone();
        let mut handed = Vec::new();
        for id in wanted {
            let Some(slot) = slots.get(id) else { continue };
            outer.insert(*id, self.params + handed.len() as u32);
            let ty = columns.iter().find(|c| c.id == *id).map_or_else(SqlType::null, |c| c.ty.clone());
            handed.push(Expr::Column { id: ColumnId::new(*slot), ty });
        }
        let passed_by = self.passed_by.clone();
        (Compiler { query: self.query, notes: self.notes, outer, params: self.params + handed.len() as u32, passed_by }, handed)
    }

    fn projection(&self, e: &Expr, from: &Slots) -> Result<Projection, Fault> {
        // What is stored as it is shown need not be evaluated.
        if let Expr::Column { id, ty } = e
            // A mean is rounded on its way out.
            && !matches!(ty.kind, TypeKind::Enum(_) | TypeKind::Set(_) | TypeKind::Timestamp { .. } | TypeKind::Decimal { .. })
            && let Some(slot) = from.get(id)
        {
            return Ok(Projection::Slot(*slot));
        }
        Ok(Projection::Compute(self.scalar(e, from)?))
    }

    fn keys(&self, keys: &[query::SortKey], from: &Slots) -> Result<Vec<sort::Key>, Fault> {
        keys.iter().map(|k| Ok(sort::Key { expr: self.scalar(&k.expr, from)?, descending: k.descending })).collect()
    }

    fn locked(&self, tables: &[query::LockedTable], from: &Slots) -> Result<Vec<lock::LockedTable>, Fault> {
        tables
            .iter()
            .map(|t| {
                let Expr::Column { id, .. } = &t.locator else { return Err(Fault::Internal { incident: "a locator that is no column".into() }) };
                let slot = *from.get(id).ok_or_else(|| unbound(*id))? as usize;
                Ok(lock::LockedTable { table: t.table.clone(), slot, locking: t.locking })
            })
            .collect()
    }

    /// What SKIP LOCKED passes by is, to an outer join that finds it, not there.
    fn note_passed_by(&self, input: &Rel, tables: &[query::LockedTable]) {
        fn trace(rel: &Rel, id: ColumnId, out: &mut Vec<ColumnId>) {
            out.push(id);
            if let Rel::Project { input, exprs, columns } = rel {
                if let Some(Expr::Column { id, .. }) = columns.iter().position(|c| c.id == id).and_then(|at| exprs.get(at)) {
                    trace(input, *id, out);
                }
                return;
            }
            rel.inputs().into_iter().filter(|i| i.columns().iter().any(|c| c.id == id)).for_each(|i| trace(i, id, out));
        }
        for t in tables.iter().filter(|t| t.locking.skip_locked) {
            let Expr::Column { id, .. } = &t.locator else { continue };
            let mut ids = Vec::new();
            trace(input, *id, &mut ids);
            self.passed_by.borrow_mut().extend(ids.into_iter().map(|id| (id, t.clone())));
        }
    }

    fn call(&self, a: &query::Aggregate, from: &Slots) -> Result<aggregate::Call, Fault> {
        Ok(aggregate::Call {
            spec: Arc::new(spec(a)),
            args: a.args.iter().map(|e| self.scalar(e, from)).collect::<Result<_, _>>()?,
            order_by: a.order_by.iter().map(|k| self.scalar(&k.expr, from)).collect::<Result<_, _>>()?,
        })
    }

    fn window_function(&self, f: &query::WindowFunction, from: &Slots) -> Result<window::Function, Fault> {
        let spec = match f.kind {
            WindowKind::Aggregate(function) => Some(Arc::new(AggregateSpec {
                function,
                args: f.args.iter().map(|a| a.ty().clone()).collect(),
                distinct: false,
                order_by: Vec::new(),
                separator: ",".into(),
                ty: f.ty.clone(),
            })),
            _ => None,
        };
        let bound = |b: &query::Bound| -> Result<window::Bound, Fault> {
            Ok(match b {
                query::Bound::UnboundedPreceding => window::Bound::UnboundedPreceding,
                query::Bound::CurrentRow => window::Bound::CurrentRow,
                query::Bound::UnboundedFollowing => window::Bound::UnboundedFollowing,
                query::Bound::Preceding(e) => window::Bound::Preceding { rows: self.scalar(e, from)?, range: self.range_key(f, e, true, from)? },
                query::Bound::Following(e) => window::Bound::Following { rows: self.scalar(e, from)?, range: self.range_key(f, e, false, from)? },
            })
        };
        Ok(window::Function {
            kind: f.kind,
            args: f.args.iter().map(|e| self.scalar(e, from)).collect::<Result<_, _>>()?,
            partition_by: f.partition_by.iter().map(|e| self.scalar(e, from)).collect::<Result<_, _>>()?,
            order_by: self.keys(&f.order_by, from)?,
            rows: f.frame.rows,
            start: bound(&f.frame.start)?,
            end: bound(&f.frame.end)?,
            spec,
        })
    }

    /// RANGE n PRECEDING: the ORDER BY value moved by n, which is compared with the peers' values.
    fn range_key(&self, f: &query::WindowFunction, by: &Expr, back: bool, from: &Slots) -> Result<Option<Box<sort::Key>>, Fault> {
        if f.frame.rows {
            return Ok(None);
        }
        let [key] = f.order_by.as_slice() else {
            return Err(Fault::mysql(
                3587,
                "HY000",
                "Window with RANGE N PRECEDING/FOLLOWING frame requires exactly one ORDER BY expression, of numeric or temporal type",
            ));
        };
        // A distance in time was applied when the window was bound.
        if by.ty().kind.is_temporal() {
            return Ok(Some(Box::new(sort::Key { expr: self.scalar(by, from)?, descending: key.descending })));
        }
        let op = if back != key.descending { Operator::Subtract } else { Operator::Add };
        // Same type as the key, so that the bytes compare.
        let moved = Expr::Cast {
            expr: Box::new(Expr::Operator {
                op,
                args: vec![key.expr.clone(), by.clone()],
                ty: key.expr.ty().clone(),
                collation: weald_types::Collation::BINARY,
            }),
            ty: key.expr.ty().clone(),
        };
        Ok(Some(Box::new(sort::Key { expr: self.scalar(&moved, from)?, descending: key.descending })))
    }

    /// An expression over slots, with the subqueries it uses.
    fn scalar(&self, e: &Expr, slots: &Slots) -> Result<Scalar, Fault> {
        let mut subqueries = Vec::new();
        let mut fault = None;
        let expr = transform(e, &mut |e| match e {
            Expr::Column { id, ty } => match (slots.get(id), self.outer.get(id)) {
                (Some(slot), _) => Some(Expr::Column { id: ColumnId::new(*slot), ty: ty.clone() }),
                (None, Some(param)) => Some(Expr::Param { index: *param, ty: ty.clone() }),
                (None, None) => {
                    fault = Some(unbound(*id));
                    None
                }
            },
            Expr::ColumnRaw { id, ty } => match (slots.get(id), self.outer.get(id)) {
                (Some(slot), _) => Some(Expr::ColumnRaw { id: ColumnId::new(*slot), ty: ty.clone() }),
                (None, Some(param)) => Some(Expr::Param { index: *param, ty: ty.clone() }),
                (None, None) => {
                    fault = Some(unbound(*id));
                    None
                }
            },
            Expr::Subquery { index, kind, operands, .. } => {
                match self.subquery(*index, kind.clone(), operands, slots) {
                    Ok(s) => subqueries.push(s),
                    Err(f) => fault = Some(f),
                }
                None
            }
            _ => None,
        });
        match fault {
            Some(f) => Err(f),
            None => Ok(Scalar { expr, subqueries: subqueries.into() }),
        }
    }

    fn subquery(&self, index: u32, kind: weald_expr::SubqueryKind, operands: &[Expr], slots: &Slots) -> Result<SubqueryUse, Fault> {
        let rel = self.query.subqueries.get(index as usize).ok_or_else(|| Fault::Internal { incident: format!("no subquery {index}") })?;
        let free = free_columns(rel, self.query);
        let columns: Vec<query::Column> = free
            .iter()
            .map(|id| {
                let ty = type_of_free(rel, self.query, *id).unwrap_or_else(SqlType::null);
                query::Column { id: *id, ty, name: "".into(), origin: None }
            })
            .collect();
        let (inner, outer) = self.below(slots, &free, &columns);
        let node = if kind == weald_expr::SubqueryKind::Scalar { inner.parts(rel)? } else { inner.node(rel)?.0 };
        let collations = match &kind {
            weald_expr::SubqueryKind::In { collation, .. } => {
                operands.iter().map(|e| weald_expr::operand_collation(operands.len(), e, *collation)).collect()
            }
            _ => Vec::new(),
        };
        Ok(SubqueryUse { index, node, outer, kind, collations, constant: free.is_empty() })
    }

    /// A scalar subquery, whose value goes on into an expression with all its decimals.
    fn parts(&self, rel: &Rel) -> Result<Arc<Node>, Fault> {
        let node = match rel {
            Rel::Project { input, exprs, .. } if exprs.iter().all(|e| matches!(e.ty().kind, TypeKind::Decimal { .. })) => {
                let (input, from) = self.node(input)?;
                let exprs = exprs.iter().map(|e| Ok(Projection::Part(self.scalar(e, &from)?))).collect::<Result<_, Fault>>()?;
                Node::Project { input, exprs }
            }
            Rel::Limit { input, count, offset } if matches!(**input, Rel::Project { .. }) => {
                Node::Limit { input: self.parts(input)?, limit: self.limit(count.as_ref(), offset.as_ref())? }
            }
            _ => return Ok(self.node(rel)?.0),
        };
        let node = Arc::new(node);
        self.note(&node, rel);
        Ok(node)
    }

    fn limit(&self, count: Option<&Expr>, offset: Option<&Expr>) -> Result<sort::Limit, Fault> {
        let none = Slots::new();
        let number = |e: Option<&Expr>| e.map(|e| self.scalar(e, &none)).transpose();
        Ok(sort::Limit { count: number(count)?, offset: number(offset)? })
    }

    /// An expression over a table's ordinals, outer columns being parameters.
    fn over_ordinals(&self, e: &Expr, ordinals: &HashMap<ColumnId, u16>) -> Result<Expr, Fault> {
        let slots: Slots = ordinals.iter().map(|(id, o)| (*id, *o as u32)).collect();
        Ok(self.scalar(e, &slots)?.expr)
    }
}

pub(crate) fn spec(a: &query::Aggregate) -> AggregateSpec {
    AggregateSpec {
        function: a.function,
        args: a.args.iter().map(|e| e.ty().clone()).collect(),
        distinct: a.distinct,
        order_by: a.order_by.iter().map(|k| (k.expr.ty().clone(), k.descending)).collect(),
        separator: a.separator.clone(),
        ty: a.ty.clone(),
    }
}

fn unbound(id: ColumnId) -> Fault {
    Fault::Internal { incident: format!("column {id} is not in scope") }
}

fn types(columns: &[query::Column]) -> Arc<[SqlType]> {
    columns.iter().map(|c| c.ty.clone()).collect()
}

fn rel_width(rel: &Rel) -> usize {
    rel.columns().len()
}

pub(crate) fn and(conjuncts: Vec<Expr>) -> Option<Expr> {
    conjuncts.into_iter().reduce(|a, b| Expr::Operator {
        op: Operator::And,
        args: vec![a, b],
        ty: SqlType::bigint(true),
        collation: weald_types::Collation::BINARY,
    })
}

fn has_subquery(e: &Expr) -> bool {
    let mut found = false;
    transform(e, &mut |e| {
        found |= matches!(e, Expr::Subquery { .. });
        None
    });
    found
}

/// `left = right` with the sides on different inputs, of types whose equal values have equal key bytes.
fn hash_key(c: &Expr, left: &Slots, right: &Slots) -> Option<(Expr, Expr)> {
    let Expr::Operator { op: Operator::Eq, args, .. } = c else { return None };
    let [a, b] = args.as_slice() else { return None };
    if has_subquery(c) || !same_keys(a.ty(), b.ty()) {
        return None;
    }
    let within = |e: &Expr, slots: &Slots| {
        let used = weald_expr::walk::columns_of(e);
        !used.is_empty() && used.iter().all(|id| slots.contains_key(id))
    };
    if within(a, left) && within(b, right) {
        return Some((a.clone(), b.clone()));
    }
    if within(b, left) && within(a, right) {
        return Some((b.clone(), a.clone()));
    }
    None
}

pub(crate) fn same_keys(a: &SqlType, b: &SqlType) -> bool {
    let class = |t: &SqlType| match &t.kind {
        TypeKind::Int { unsigned, .. } => Some((1, *unsigned as u16)),
        TypeKind::Year => Some((1, 0)),
        TypeKind::Decimal { .. } => Some((2, 0)),
        TypeKind::Float { .. } | TypeKind::Double { .. } => Some((3, 0)),
        TypeKind::Char { .. } | TypeKind::VarChar { .. } | TypeKind::Text(_) => Some((4, t.collation.id())),
        TypeKind::Binary { .. } | TypeKind::VarBinary { .. } | TypeKind::Blob(_) => Some((5, 0)),
        TypeKind::Date => Some((6, 0)),
        TypeKind::Time { .. } => Some((7, 0)),
        TypeKind::DateTime { .. } | TypeKind::Timestamp { .. } => Some((8, 0)),
        TypeKind::Null | TypeKind::Bit { .. } | TypeKind::Json | TypeKind::Enum(_) | TypeKind::Set(_) => None,
    };
    class(a).is_some() && class(a) == class(b)
}

/// Columns that `rel` reads but does not make: those of its surroundings.
pub(crate) fn free_columns(rel: &Rel, query: &Query) -> BTreeSet<ColumnId> {
    let (mut made, mut read) = (BTreeSet::new(), BTreeSet::new());
    gather(rel, query, &mut made, &mut |id, _| {
        read.insert(id);
    });
    read.difference(&made).copied().collect()
}

fn type_of_free(rel: &Rel, query: &Query, wanted: ColumnId) -> Option<SqlType> {
    let mut found = None;
    gather(rel, query, &mut BTreeSet::new(), &mut |id, ty| {
        if id == wanted {
            found = Some(ty.clone())
        }
    });
    found
}

fn gather(rel: &Rel, query: &Query, made: &mut BTreeSet<ColumnId>, read: &mut dyn FnMut(ColumnId, &SqlType)) {
    made.extend(rel.columns().iter().map(|c| c.id));
    let mut subqueries = Vec::new();
    for_each_expr(rel, &mut |e| {
        transform(e, &mut |e| {
            match e {
                Expr::Column { id, ty } | Expr::ColumnRaw { id, ty } => read(*id, ty),
                Expr::Subquery { index, .. } => subqueries.push(*index),
                _ => (),
            }
            None
        });
    });
    for index in subqueries {
        if let Some(sub) = query.subqueries.get(index as usize) {
            gather(sub, query, made, read);
        }
    }
    for input in inputs(rel) {
        gather(input, query, made, read);
    }
}

fn inputs(rel: &Rel) -> Vec<&Rel> {
    match rel {
        Rel::Scan { .. } | Rel::Virtual { .. } | Rel::JsonTable { .. } | Rel::Values { .. } | Rel::RecursionInput { .. } => Vec::new(),
        Rel::Filter { input, .. }
        | Rel::Project { input, .. }
        | Rel::Aggregate { input, .. }
        | Rel::Window { input, .. }
        | Rel::Sort { input, .. }
        | Rel::Limit { input, .. }
        | Rel::Lock { input, .. }
        | Rel::Distinct { input } => vec![input],
        Rel::Join { left, right, .. } | Rel::SetOp { left, right, .. } => vec![left, right],
        Rel::Recursive { seed, step, .. } => vec![seed, step],
    }
}

fn for_each_expr(rel: &Rel, f: &mut dyn FnMut(&Expr)) {
    match rel {
        Rel::JsonTable { document, .. } => f(document),
        Rel::Values { rows, .. } => rows.iter().flatten().for_each(f),
        Rel::Filter { predicate, .. } => f(predicate),
        Rel::Project { exprs, .. } => exprs.iter().for_each(f),
        Rel::Join { on, .. } => on.iter().for_each(f),
        Rel::Aggregate { group, aggregates, .. } => {
            group.iter().for_each(|g| f(&g.0));
            for (a, _) in aggregates {
                a.args.iter().for_each(&mut *f);
                a.order_by.iter().for_each(|k| f(&k.expr));
            }
        }
        Rel::Window { functions, .. } => {
            for (w, _) in functions {
                w.args.iter().for_each(&mut *f);
                w.partition_by.iter().for_each(&mut *f);
                w.order_by.iter().for_each(|k| f(&k.expr));
                for b in [&w.frame.start, &w.frame.end] {
                    if let query::Bound::Preceding(e) | query::Bound::Following(e) = b {
                        f(e)
                    }
                }
            }
        }
        Rel::Sort { keys, .. } => keys.iter().for_each(|k| f(&k.expr)),
        Rel::Lock { tables, .. } => tables.iter().for_each(|t| f(&t.locator)),
        Rel::Limit { count, offset, .. } => count.iter().chain(offset).for_each(f),
        Rel::Scan { .. } | Rel::Virtual { .. } | Rel::Distinct { .. } | Rel::SetOp { .. } | Rel::Recursive { .. } | Rel::RecursionInput { .. } => (),
    }
}
