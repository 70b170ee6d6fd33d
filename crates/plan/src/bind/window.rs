//! Window functions and the windows they run over.
//!
//! Owns:     nothing; they are collected in [`super::scope::Block::windows`].
//! Promises: every function has its whole window: inherited parts and the default frame filled in.
//! See:      MySQL 8.0 manual, 14.20.
//! Never:    computes a window.

use super::aggregate::function_of;
use super::scope::{Clause, same_name};
use super::{Binder, value_type};
use crate::query::{Bound, Frame, SortKey, WindowFunction, WindowKind};
use crate::walk;
use std::rc::Rc;
use weald_expr::{Expr, Operator};
use weald_sql::ast;
use weald_types::{Fault, SqlType, TypeKind, Value};

/// A window, with the names it inherits from resolved.
struct Window {
    name: String,
    partition_by: Vec<ast::Expr>,
    order_by: Vec<ast::OrderItem>,
    frame: Option<ast::Frame>,
}

pub fn is_window_only(name: &str) -> bool {
    kind_of(name).is_some()
}

fn kind_of(name: &str) -> Option<WindowKind> {
    Some(match name.to_ascii_uppercase().as_str() {
        "ROW_NUMBER" => WindowKind::RowNumber,
        "RANK" => WindowKind::Rank,
        "DENSE_RANK" => WindowKind::DenseRank,
        "PERCENT_RANK" => WindowKind::PercentRank,
        "CUME_DIST" => WindowKind::CumeDist,
        "NTILE" => WindowKind::Ntile,
        "LAG" => WindowKind::Lag,
        "LEAD" => WindowKind::Lead,
        "FIRST_VALUE" => WindowKind::FirstValue,
        "LAST_VALUE" => WindowKind::LastValue,
        "NTH_VALUE" => WindowKind::NthValue,
        _ => return None,
    })
}

impl Binder<'_> {
    /// The WINDOW clause: names only; a window is bound where it is used.
    pub fn name_windows(&mut self, windows: &[(ast::Ident, ast::WindowSpec)]) -> Result<(), Fault> {
        for (name, spec) in windows {
            if self.block().named_windows.iter().any(|(n, _)| same_name(n, name)) {
                return Err(Fault::mysql(3591, "HY000", format!("Window '{name}' is defined twice.")));
            }
            self.block().named_windows.push((name.clone(), Rc::new(spec.clone())));
        }
        for (name, spec) in windows {
            if let Some(base) = &spec.base {
                self.resolve_window(name, base, spec, 0)?;
            }
        }
        Ok(())
    }

    pub fn window_call(&mut self, call: &ast::AggregateCall) -> Result<Expr, Fault> {
        let lower = call.name.to_ascii_lowercase();
        let here = format!("You cannot use the window function '{lower}' in this context.'");
        let block = self.block();
        if !matches!(block.clause, Clause::Fields | Clause::Order) || block.in_aggregate > 0 || block.in_window > 0 {
            return Err(Fault::mysql(3593, "HY000", here));
        }
        let window = match call.over.as_ref().expect("only calls with OVER come here") {
            ast::WindowRef::Name(name) => self.named_window(name)?,
            ast::WindowRef::Spec(spec) => match &spec.base {
                Some(base) => self.resolve_window("<unnamed window>", base, spec, 0)?,
                None => Window {
                    name: "<unnamed window>".into(),
                    partition_by: spec.partition_by.clone(),
                    order_by: spec.order_by.clone(),
                    frame: spec.frame.clone(),
                },
            },
        };
        self.block().in_window += 1;
        let bound = self.window_parts(call, &window);
        self.block().in_window -= 1;
        let function = bound?;
        let read = |id, ty: &SqlType| Expr::Column { id, ty: ty.clone() };
        if let Some((f, c)) = self.block().windows.iter().find(|(f, _)| *f == function) {
            return Ok(read(c.id, &f.ty));
        }
        let column = self.new_column("", function.ty.clone());
        let e = read(column.id, &function.ty);
        self.block().windows.push((function, column));
        Ok(e)
    }

    fn named_window(&mut self, name: &str) -> Result<Window, Fault> {
        let spec = self.block().named_windows.iter().find(|(n, _)| same_name(n, name)).map(|w| w.1.clone()).ok_or_else(|| no_such_window(name))?;
        match &spec.base {
            Some(base) => self.resolve_window(name, base, &spec, 0),
            None => {
                Ok(Window { name: name.into(), partition_by: spec.partition_by.clone(), order_by: spec.order_by.clone(), frame: spec.frame.clone() })
            }
        }
    }

    /// `spec`, which starts from the window `base`.
    fn resolve_window(&mut self, name: &str, base: &str, spec: &ast::WindowSpec, depth: usize) -> Result<Window, Fault> {
        let known = self.block().named_windows.len();
        if depth > known {
            return Err(Fault::mysql(3580, "HY000", "There is a circularity in the window dependency graph."));
        }
        let parent = self.block().named_windows.iter().find(|(n, _)| same_name(n, base)).map(|w| w.1.clone()).ok_or_else(|| no_such_window(base))?;
        let parent_window = match &parent.base {
            Some(b) => self.resolve_window(base, b, &parent, depth + 1)?,
            None => Window {
                name: base.into(),
                partition_by: parent.partition_by.clone(),
                order_by: parent.order_by.clone(),
                frame: parent.frame.clone(),
            },
        };
        if !spec.partition_by.is_empty() {
            return Err(Fault::mysql(3581, "HY000", "A window which depends on another cannot define partitioning."));
        }
        if parent_window.frame.is_some() {
            return Err(Fault::mysql(3582, "HY000", format!("Window '{base}' has a frame definition, so cannot be referenced by another window.")));
        }
        if !parent_window.order_by.is_empty() && !spec.order_by.is_empty() {
            return Err(Fault::mysql(3583, "HY000", format!("Window '{name}' cannot inherit '{base}' since both contain an ORDER BY clause.")));
        }
        let order_by = if spec.order_by.is_empty() { parent_window.order_by } else { spec.order_by.clone() };
        Ok(Window { name: name.into(), partition_by: parent_window.partition_by, order_by, frame: spec.frame.clone() })
    }

    fn window_parts(&mut self, call: &ast::AggregateCall, window: &Window) -> Result<WindowFunction, Fault> {
        let (kind, args, ty) = self.window_function(call)?;
        let legacy = |w: &Window| {
            Fault::mysql(
                3592,
                "HY000",
                format!("Window '{}': ORDER BY or PARTITION BY uses legacy position indication which is not supported, use expression.", w.name),
            )
        };
        let mut partition_by = Vec::with_capacity(window.partition_by.len());
        for p in &window.partition_by {
            if super::set_op::position(p).is_some() {
                return Err(legacy(window));
            }
            partition_by.push(self.in_clause(Clause::Window, |b| b.expr(p))?);
        }
        let mut order_by = Vec::with_capacity(window.order_by.len());
        for o in &window.order_by {
            if super::set_op::position(&o.expr).is_some() {
                return Err(legacy(window));
            }
            let mut expr = self.in_clause(Clause::Window, |b| b.expr(&o.expr))?;
            if let Expr::Column { id, ty } = &expr
                && matches!(ty.kind, TypeKind::Enum(_) | TypeKind::Set(_))
            {
                expr = Expr::ColumnRaw { id: *id, ty: super::select::number(ty) };
            }
            order_by.push(SortKey { expr, descending: o.descending });
        }
        let frame = self.frame(kind, window, &order_by)?;
        Ok(WindowFunction { kind, args, partition_by, order_by, frame, ty })
    }

    fn window_function(&mut self, call: &ast::AggregateCall) -> Result<(WindowKind, Vec<Expr>, SqlType), Fault> {
        let unsigned = SqlType::bigint_unsigned(false);
        if let Some(function) = function_of(&call.name) {
            if call.distinct || !call.order_by.is_empty() {
                return Err(Fault::mysql(1235, "42000", "This version of MySQL doesn't yet support '<window function>(DISTINCT ..)'"));
            }
            if function == weald_expr::AggregateFunction::GroupConcat {
                return Err(Fault::mysql(1235, "42000", "This version of MySQL doesn't yet support 'group_concat as window function'"));
            }
            let a = self.aggregate_parts(function, call)?;
            return Ok((WindowKind::Aggregate(a.function), a.args, a.ty));
        }
        let Some(kind) = kind_of(&call.name) else {
            return Err(Fault::mysql(1064, "42000", format!("You have an error in your SQL syntax: '{}' is not a window function", call.name)));
        };
        let mut args = call.args.iter().map(|a| self.expr(a)).collect::<Result<Vec<_>, _>>()?;
        let wrong = |ok: bool| if ok { Ok(()) } else { Err(Fault::WrongArgumentCount { name: call.name.clone() }) };
        let incorrect = || Fault::mysql(1210, "HY000", format!("Incorrect arguments to {}", call.name.to_ascii_lowercase()));
        let ty = match kind {
            WindowKind::RowNumber | WindowKind::Rank | WindowKind::DenseRank => {
                wrong(args.is_empty())?;
                unsigned
            }
            WindowKind::PercentRank | WindowKind::CumeDist => {
                wrong(args.is_empty())?;
                SqlType::double(false)
            }
            WindowKind::Ntile => {
                wrong(args.len() == 1)?;
                if !positive(&args[0], 1) {
                    return Err(incorrect());
                }
                SqlType::bigint_unsigned(true)
            }
            WindowKind::Lag | WindowKind::Lead => {
                wrong((1..=3).contains(&args.len()))?;
                if args.len() == 1 {
                    args.push(Expr::Literal { value: Value::Int(1), ty: SqlType::bigint(false) });
                }
                if !positive(&args[1], 0) {
                    return Err(incorrect());
                }
                let own = value_type(&args[0]);
                match args.get(2) {
                    Some(d) => {
                        let d = value_type(d);
                        self.unify(&[&own, &d])?.with_nullable(true)
                    }
                    None => own.with_nullable(true),
                }
            }
            WindowKind::FirstValue | WindowKind::LastValue => {
                wrong(args.len() == 1)?;
                value_type(&args[0]).with_nullable(true)
            }
            WindowKind::NthValue => {
                wrong(args.len() == 2)?;
                if !positive(&args[1], 1) {
                    return Err(incorrect());
                }
                value_type(&args[0]).with_nullable(true)
            }
            WindowKind::Aggregate(_) => unreachable!("aggregates were handled above"),
        };
        Ok((kind, args, ty))
    }

    fn frame(&mut self, kind: WindowKind, window: &Window, order_by: &[SortKey]) -> Result<Frame, Fault> {
        let whole = Frame { rows: true, start: Bound::UnboundedPreceding, end: Bound::UnboundedFollowing };
        let framed = matches!(kind, WindowKind::Aggregate(_) | WindowKind::FirstValue | WindowKind::LastValue | WindowKind::NthValue);
        let Some(f) = &window.frame else {
            if !framed || order_by.is_empty() {
                return Ok(whole);
            }
            return Ok(Frame { rows: false, start: Bound::UnboundedPreceding, end: Bound::CurrentRow });
        };
        let name = &window.name;
        let illegal = || Fault::mysql(3586, "HY000", format!("Window '{name}': frame start or end is negative, NULL or of non-integral type"));
        let start = self.frame_bound(&f.start, f.rows, name, order_by)?;
        let end = self.frame_bound(&f.end, f.rows, name, order_by)?;
        if start == Bound::UnboundedFollowing {
            return Err(Fault::mysql(3584, "HY000", format!("Window '{name}': frame start cannot be UNBOUNDED FOLLOWING.")));
        }
        if end == Bound::UnboundedPreceding {
            return Err(Fault::mysql(3585, "HY000", format!("Window '{name}': frame end cannot be UNBOUNDED PRECEDING.")));
        }
        let wrong_order =
            matches!((&start, &end), (Bound::CurrentRow, Bound::Preceding(_)) | (Bound::Following(_), Bound::Preceding(_) | Bound::CurrentRow));
        if wrong_order {
            return Err(illegal());
        }
        let distance = matches!(start, Bound::Preceding(_) | Bound::Following(_)) || matches!(end, Bound::Preceding(_) | Bound::Following(_));
        if !f.rows && distance {
            let ok = order_by.len() == 1 && {
                let kind = value_type(&order_by[0].expr).kind;
                kind.is_integer() || kind.is_temporal() || matches!(kind, TypeKind::Decimal { .. } | TypeKind::Float { .. } | TypeKind::Double { .. })
            };
            if !ok {
                return Err(one_ordered_by(name));
            }
        }
        if !framed {
            return Ok(whole);
        }
        // For ORDER BY-less windows every row is a peer of every other.
        if !f.rows && order_by.is_empty() {
            return Ok(whole);
        }
        Ok(Frame { rows: f.rows, start, end })
    }

    /// A distance in time becomes the ORDER BY value moved by it: what the others are compared with.
    fn distance_in_time(
        &mut self,
        (amount, unit): (&ast::Expr, ast::IntervalUnit),
        back: bool,
        rows: bool,
        name: &str,
        order_by: &[SortKey],
    ) -> Result<Expr, Fault> {
        if rows {
            return Err(Fault::mysql(3596, "HY000", format!("Window '{name}': INTERVAL can only be used with RANGE frames.")));
        }
        let [key] = order_by else { return Err(one_ordered_by(name)) };
        let ty = value_type(&key.expr);
        if !ty.kind.is_temporal() {
            let text = format!("Window '{name}' with RANGE frame has ORDER BY expression of numeric type, INTERVAL bound value not allowed.");
            return Err(Fault::mysql(3589, "HY000", text));
        }
        let amount = self.expr(amount)?;
        if !walk::is_constant(&amount) {
            return Err(Fault::mysql(3590, "HY000", format!("Window '{name}' has a non-constant frame bound.")));
        }
        let negative =
            matches!(&amount, Expr::Literal { value: Value::Int(n), .. } if *n < 0) || matches!(&amount, Expr::Operator { op: Operator::Negate, .. });
        if negative || matches!(&amount, Expr::Literal { value: Value::Null, .. }) {
            return Err(Fault::mysql(3586, "HY000", format!("Window '{name}': frame start or end is negative, NULL or of non-integral type")));
        }
        let moved = self.date_arith(key.expr.clone(), amount, unit, back != key.descending)?;
        // Of the same type as the ORDER BY value: they are compared.
        Ok(Expr::Cast { expr: Box::new(moved), ty: ty.with_nullable(true) })
    }

    fn frame_bound(&mut self, b: &ast::FrameBound, rows: bool, name: &str, order_by: &[SortKey]) -> Result<Bound, Fault> {
        let illegal = || Fault::mysql(3586, "HY000", format!("Window '{name}': frame start or end is negative, NULL or of non-integral type"));
        Ok(match b {
            ast::FrameBound::UnboundedPreceding => Bound::UnboundedPreceding,
            ast::FrameBound::CurrentRow => Bound::CurrentRow,
            ast::FrameBound::UnboundedFollowing => Bound::UnboundedFollowing,
            ast::FrameBound::Preceding(e) | ast::FrameBound::Following(e) => {
                let back = matches!(b, ast::FrameBound::Preceding(_));
                if let ast::Expr::DateArith { amount, unit, .. } = &**e {
                    let moved = self.distance_in_time((amount, *unit), back, rows, name, order_by)?;
                    return Ok(if back { Bound::Preceding(moved) } else { Bound::Following(moved) });
                }
                if !rows && matches!(order_by, [key] if value_type(&key.expr).kind.is_temporal()) {
                    let text =
                        format!("Window '{name}' with RANGE frame has ORDER BY expression of datetime type. Only INTERVAL bound value allowed.");
                    return Err(Fault::mysql(3588, "HY000", text));
                }
                let e2 = self.expr(e)?;
                if !walk::is_constant(&e2) {
                    return Err(Fault::mysql(3590, "HY000", format!("Window '{name}' has a non-constant frame bound.")));
                }
                if rows && !positive(&e2, 0) {
                    return Err(illegal());
                }
                if matches!(&e2, Expr::Operator { op: Operator::Negate, .. }) {
                    return Err(illegal());
                }
                if back { Bound::Preceding(e2) } else { Bound::Following(e2) }
            }
        })
    }
}

fn one_ordered_by(name: &str) -> Fault {
    let text =
        format!("Window '{name}' with RANGE N PRECEDING/FOLLOWING frame requires exactly one ORDER BY expression, of numeric or temporal type");
    Fault::mysql(3587, "HY000", text)
}

fn no_such_window(name: &str) -> Fault {
    Fault::mysql(3579, "HY000", format!("Window name '{name}' is not defined."))
}

/// Whether `e` may be an integer of at least `least`: a param is looked at when it is bound.
fn positive(e: &Expr, least: i64) -> bool {
    match e {
        Expr::Literal { value: Value::Int(n), .. } => *n >= least,
        Expr::Literal { value: Value::UInt(n), .. } => *n >= least as u64,
        Expr::Param { .. } | Expr::UserVariable { .. } => true,
        Expr::Cast { expr, .. } => positive(expr, least),
        _ => false,
    }
}
