//! A long IN list, made ready to be searched.
//!
//! Owns:     the list's values, sorted.
//! Promises: finds what comparing with one item after the other would find.
//! Never:    converts: items of another kind than what is looked for are compared one by one, as `compare` has it.
//!
//! A list is read once an execution, by [`prepare`]: its items may be parameters. Kinds that compare exactly among themselves (integers and decimals, dates
//! and times of day with dates …) are searched by halves; for a list of n items and m rows that is m log n comparisons and not m n.

use crate::context::{EvalContext, NoRow};
use crate::function::Volatility;
use crate::in_flight::InFlight;
use crate::tree::{Expr, Operator};
use crate::{compare, eval, walk};
use std::cmp::Ordering;
use std::sync::Arc;
use weald_types::{Collation, Value};

/// Shorter lists are compared item by item: sorting them costs more than it saves.
pub const LONG: usize = 16;

/// Values within one of these order among themselves without a conversion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Exact,
    Double,
    Text,
    Bytes,
    Day,
    Time,
    /// Has no order to search by.
    Other,
}

fn kind(v: &Value) -> Kind {
    match v {
        Value::Int(_) | Value::UInt(_) | Value::Decimal(_) => Kind::Exact,
        Value::Double(_) => Kind::Double,
        Value::Str(_) => Kind::Text,
        Value::Bytes(_) => Kind::Bytes,
        Value::Date(_) | Value::DateTime(_) => Kind::Day,
        Value::Time(_) => Kind::Time,
        Value::Null | Value::Json(_) => Kind::Other,
    }
}

/// The items of a list; those of a list of rows have several values each.
#[derive(Clone, Debug, PartialEq)]
pub struct SortedList {
    /// What the values at each position of an item are compared under.
    collations: Vec<Collation>,
    groups: Vec<Group>,
}

/// Items of the same kinds.
#[derive(Clone, Debug, PartialEq)]
struct Group {
    kinds: Vec<Kind>,
    items: Vec<Vec<Value>>,
}

impl SortedList {
    pub fn new(items: Vec<Vec<Value>>, collations: Vec<Collation>, ctx: &EvalContext<'_>) -> Self {
        let mut list = Self { collations, groups: Vec::new() };
        for item in items {
            let kinds: Vec<Kind> = item.iter().map(kind).collect();
            match list.groups.iter_mut().find(|g| g.kinds == kinds) {
                Some(g) => g.items.push(item),
                None => list.groups.push(Group { kinds, items: vec![item] }),
            }
        }
        for g in &mut list.groups {
            if g.is_ordered() {
                g.items.sort_by(|a, b| order(a, b, &list.collations, ctx));
            } else {
                // What is unknown once is unknown however often it is there.
                g.items.dedup();
            }
        }
        list
    }

    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Whether one of the items equals `value`; `None`: unknown, because of a NULL.
    pub fn contains(&self, value: &[&Value], ctx: &EvalContext<'_>) -> Option<bool> {
        let same_kinds = |g: &Group| value.iter().map(|v| kind(v)).eq(g.kinds.iter().copied());
        // Beside any item NULL alone is unknown; in no list it is nowhere.
        if let [Value::Null] = value {
            return if self.is_empty() { Some(false) } else { None };
        }
        let mut unknown = false;
        for g in &self.groups {
            if g.is_ordered() && same_kinds(g) {
                if g.items.binary_search_by(|item| order_of(item.iter(), value.iter().copied(), &self.collations, ctx)).is_ok() {
                    return Some(true);
                }
                continue;
            }
            for item in &g.items {
                match self.equals(value, item, ctx) {
                    Some(true) => return Some(true),
                    Some(false) => (),
                    None => unknown = true,
                }
            }
        }
        if unknown { None } else { Some(false) }
    }

    fn equals(&self, value: &[&Value], item: &[Value], ctx: &EvalContext<'_>) -> Option<bool> {
        let mut unknown = false;
        for ((v, w), collation) in value.iter().zip(item).zip(&self.collations) {
            match compare::equal(v, w, *collation, ctx) {
                Some(true) => (),
                Some(false) => return Some(false),
                None => unknown = true,
            }
        }
        if unknown { None } else { Some(true) }
    }
}

impl Group {
    fn is_ordered(&self) -> bool {
        !self.kinds.contains(&Kind::Other)
    }
}

fn order(a: &[Value], b: &[Value], collations: &[Collation], ctx: &EvalContext<'_>) -> Ordering {
    order_of(a.iter(), b.iter(), collations, ctx)
}

/// Values of ordered kinds are never NULL, so each pair has an order.
fn order_of<'v>(a: impl Iterator<Item = &'v Value>, b: impl Iterator<Item = &'v Value>, collations: &[Collation], ctx: &EvalContext<'_>) -> Ordering {
    a.zip(b).zip(collations).filter_map(|((v, w), c)| compare::compare(v, w, *c, ctx)).find(|o| o.is_ne()).unwrap_or(Ordering::Equal)
}

/// `e` with its long lists of constants sorted; `None` where there are none, which is nearly always. Many alternatives `a = 1 AND b = 2 OR a = 3 AND b = 4 …`,
/// which is what `(a, b) IN ((1, 2), (3, 4), …)` is bound as, are a list as well: of rows.
pub fn prepare(e: &Expr, ctx: &EvalContext<'_>) -> Option<Expr> {
    if !has_long_list(e) {
        return None;
    }
    let mut copy = e.clone();
    sort_lists(&mut copy, ctx).then_some(copy)
}

/// Whether `e` is a disjunction of so many alternatives that comparing with each is not the way.
pub fn has_many_alternatives(e: &Expr) -> bool {
    matches!(e, Expr::Operator { op: Operator::Or, .. }) && parts(e, Operator::Or).len() >= LONG
}

fn has_long_list(e: &Expr) -> bool {
    if matches!(e, Expr::In { list, .. } if list.len() >= LONG) || has_many_alternatives(e) {
        return true;
    }
    let mut found = false;
    walk::for_each_child(e, &mut |c| found = found || has_long_list(c));
    found
}

/// The operands of nested ANDs or ORs.
fn parts(e: &Expr, of: Operator) -> Vec<&Expr> {
    let mut out = Vec::new();
    let mut todo = vec![e];
    while let Some(e) = todo.pop() {
        match e {
            Expr::Operator { op, args, .. } if *op == of => todo.extend(args.iter().rev()),
            e => out.push(e),
        }
    }
    out
}

/// Whether there were any.
fn sort_lists(e: &mut Expr, ctx: &EvalContext<'_>) -> bool {
    if let Expr::In { expr, list, negated, collation } = e
        && list.len() >= LONG
    {
        let mut held = InFlight::new(ctx.statement);
        let items = list.iter().map(|i| {
            let v = constant(i, ctx)?;
            held.hold(&v).ok().map(|()| vec![v])
        });
        let Some(items) = items.collect() else { return false };
        let list = Arc::new(SortedList::new(items, vec![*collation], ctx));
        let expr = std::mem::replace(&mut **expr, Expr::Row(Vec::new()));
        *e = Expr::InSorted { expr: Box::new(expr), list, negated: *negated };
        return true;
    }
    if has_many_alternatives(e)
        && let Some(sorted) = sorted_alternatives(e, ctx)
    {
        *e = sorted;
        return true;
    }
    let mut any = false;
    walk::for_each_child_mut(e, &mut |c| any |= sort_lists(c, ctx));
    any
}

/// What an alternative compares with constants, in order: the expressions, and what each is compared under.
type Compared<'e> = Vec<(&'e Expr, Collation)>;

/// A disjunction whose alternatives that compare the same are lists. `None`: there are no such.
fn sorted_alternatives(e: &Expr, ctx: &EvalContext<'_>) -> Option<Expr> {
    let mut lists: Vec<(Compared<'_>, Vec<Vec<Value>>)> = Vec::new();
    let mut out: Vec<Expr> = Vec::new();
    for alternative in parts(e, Operator::Or) {
        let Some((compared, item)) = comparisons(alternative, ctx) else {
            let mut other = alternative.clone();
            sort_lists(&mut other, ctx);
            out.push(other);
            continue;
        };
        match lists.iter_mut().find(|l| l.0 == compared) {
            Some(list) => list.1.push(item),
            None => lists.push((compared, vec![item])),
        }
    }
    // As many lists as there were alternatives: nothing is won.
    if lists.iter().all(|l| l.1.len() < LONG) {
        return None;
    }
    for (compared, items) in lists {
        let (exprs, collations): (Vec<&Expr>, Vec<Collation>) = compared.into_iter().unzip();
        let list = Arc::new(SortedList::new(items, collations, ctx));
        let expr = match &exprs[..] {
            [one] => (*one).clone(),
            several => Expr::Row(several.iter().map(|e| (*e).clone()).collect()),
        };
        out.push(Expr::InSorted { expr: Box::new(expr), list, negated: false });
    }
    let mut out = out.into_iter();
    let first = out.next()?;
    Some(out.fold(first, |a, b| Expr::Operator { op: Operator::Or, args: vec![a, b], ty: e.ty().clone(), collation: Collation::BINARY }))
}

/// `a = 1 AND b = 2` as what is compared and what with. `None`: it is more, or something else.
fn comparisons<'e>(e: &'e Expr, ctx: &EvalContext<'_>) -> Option<(Compared<'e>, Vec<Value>)> {
    let mut compared = Vec::new();
    let mut item = Vec::new();
    for part in parts(e, Operator::And) {
        let Expr::Operator { op: Operator::Eq, args, collation, .. } = part else { return None };
        let [a, b] = &args[..] else { return None };
        let (of, with) = if is_constant(b) { (a, b) } else { (b, a) };
        if !matches!(of, Expr::Column { .. } | Expr::ColumnRaw { .. }) {
            return None;
        }
        compared.push((of, *collation));
        item.push(constant(with, ctx)?);
    }
    Some((compared, item))
}

/// `None`: it is no constant, or fails; then it does so where it is met.
fn constant(e: &Expr, ctx: &EvalContext<'_>) -> Option<Value> {
    if is_constant(e) { eval(e, &NoRow, ctx).ok() } else { None }
}

/// One value for the whole execution.
fn is_constant(e: &Expr) -> bool {
    let own = match e {
        Expr::Literal { .. } | Expr::Param { .. } => return true,
        Expr::Cast { .. } | Expr::Operator { .. } => true,
        Expr::Call { function, .. } => function.volatility != Volatility::Volatile,
        Expr::Column { .. }
        | Expr::ColumnRaw { .. }
        | Expr::UserVariable { .. }
        | Expr::AssignUserVariable { .. }
        | Expr::Case { .. }
        | Expr::In { .. }
        | Expr::InSorted { .. }
        | Expr::Subquery { .. }
        | Expr::Row(_) => false,
    };
    let mut constant = own;
    walk::for_each_child(e, &mut |c| constant = constant && is_constant(c));
    constant
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{decimal, statement, unlimited};
    use weald_types::SqlType;

    fn literal(v: Value) -> Expr {
        let ty = if matches!(v, Value::Str(_)) { SqlType::varchar(20, true, Collation::UTF8MB4_GENERAL_CI) } else { SqlType::bigint(true) };
        Expr::Literal { value: v, ty }
    }

    /// What a sorted list says, beside what comparing says.
    fn check(value: Expr, list: Vec<Expr>) {
        let s = unlimited();
        let ctx = statement(&s);
        for negated in [false, true] {
            let plain = Expr::In { expr: Box::new(value.clone()), list: list.clone(), negated, collation: Collation::UTF8MB4_GENERAL_CI };
            let sorted = prepare(&plain, &ctx).expect("the list is long and constant");
            assert!(matches!(sorted, Expr::InSorted { .. }));
            assert_eq!(eval(&sorted, &NoRow, &ctx), eval(&plain, &NoRow, &ctx), "{value:?}");
        }
    }

    #[test]
    fn a_sorted_list_says_what_comparing_says() {
        let values = || {
            let mut all: Vec<Value> = (0..20).map(|n| Value::Int(n * 3 - 10)).collect();
            all.extend([Value::UInt(u64::MAX), decimal("1.50"), decimal("5.0"), Value::Double(7.25)]);
            all.extend(["a", "B ", "é", "12", "x1"].map(Value::str));
            all.extend([Value::bytes(*b"A"), Value::bytes(*b"zz")]);
            all
        };
        let asked =
            || values().into_iter().chain([Value::Int(1), Value::str("A"), Value::str("b"), Value::str("8.0"), decimal("7.250"), Value::Null]);
        for v in asked() {
            check(literal(v.clone()), values().into_iter().map(literal).collect());
            check(literal(v), values().into_iter().chain([Value::Null]).map(literal).collect());
        }
    }

    #[test]
    fn alternatives_are_lists_of_rows() {
        let s = unlimited();
        let ctx = statement(&s);
        let text = SqlType::varchar(20, true, Collation::UTF8MB4_GENERAL_CI);
        let column = |n: u32| Expr::Column { id: weald_types::ColumnId::new(n), ty: if n == 0 { SqlType::bigint(true) } else { text.clone() } };
        let operator = |op, a: Expr, b: Expr, collation| Expr::Operator { op, args: vec![a, b], ty: SqlType::bigint(true), collation };
        let ci = Collation::UTF8MB4_GENERAL_CI;
        let both = |a: Value, b: Value| {
            let first = operator(Operator::Eq, column(0), literal(a), Collation::BINARY);
            // Turned round, as MySQL does not mind.
            operator(Operator::And, first, operator(Operator::Eq, literal(b), column(1), ci), Collation::BINARY)
        };
        let or = |all: Vec<Expr>| all.into_iter().reduce(|a, b| operator(Operator::Or, a, b, Collation::BINARY)).unwrap();
        let pairs = || (0..20).map(|n| both(Value::Int(n / 3), Value::str(format!("k{n}"))));
        let some = vec![
            or(pairs().collect()),
            or(pairs().chain([both(Value::Int(2), Value::Null), both(Value::Null, Value::str("k1"))]).collect()),
            or(pairs().chain([operator(Operator::Eq, column(0), literal(Value::Int(8)), Collation::BINARY)]).collect()),
            or(pairs().chain([operator(Operator::Lt, column(0), literal(Value::Int(-1)), Collation::BINARY)]).collect()),
        ];
        for e in some {
            let sorted = prepare(&e, &ctx).expect("there are many alternatives");
            assert_ne!(sorted, e);
            for v in [Value::Int(0), Value::Int(2), Value::Int(8), Value::Int(-5), decimal("2.0"), Value::Null] {
                for w in ["k0", "K7", "k99"].map(Value::str).into_iter().chain([Value::Null]) {
                    let row = [v.clone(), w];
                    assert_eq!(eval(&sorted, &row[..], &ctx), eval(&e, &row[..], &ctx), "{row:?}");
                }
            }
        }
    }

    #[test]
    fn what_is_not_constant_is_left_as_it_is() {
        let s = unlimited();
        let ctx = statement(&s);
        let column = || Expr::Column { id: weald_types::ColumnId::new(0), ty: SqlType::bigint(true) };
        let list: Vec<Expr> = (0..20).map(|n| if n == 7 { column() } else { literal(Value::Int(n)) }).collect();
        let e = Expr::In { expr: Box::new(column()), list, negated: false, collation: Collation::BINARY };
        assert_eq!(prepare(&e, &ctx), None);
        assert_eq!(prepare(&column(), &ctx), None);
    }
}
