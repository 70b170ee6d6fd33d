//! Access paths: which index finds the rows that a filter asks for.
//!
//! Owns:     nothing.
//! Promises: the rows found are a superset of those the filter lets through, and `residual` is what must still be checked. An index is used only where its
//!           order is the order of the comparison: same kind of type, same collation.
//! Never:    looks at statistics: a unique key goes before everything, then the longest prefix of equalities, then a range. Where that is a guess,
//!           [`choices`] gives the others too, and whoever knows the values takes the one that finds the fewest rows.

use crate::bind::value_type;
use crate::fragment::{Access, Interval, Target};
use crate::query::SortKey;
use crate::walk;
use std::ops::Bound;
use weald_catalog::table::TableRef;
use weald_catalog::{IndexDef, Sharding, TableDef};
use weald_expr::function::Volatility;
use weald_expr::{Expr, Operator};
use weald_types::{Collation, SqlType, TypeKind, Value};

/// The most keys that several IN lists are multiplied out to. A single one is as many keys as it has items.
const MAX_POINTS: usize = 5_000;
/// Ways to the rows that a plan keeps.
const MAX_CHOICES: usize = 4;

#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    pub access: Access,
    pub residual: Vec<Expr>,
    /// Rows come in the order that was asked for.
    pub ordered: bool,
}

/// The best path for `conjuncts` over `ColumnId(ordinal)`.
pub fn choose(table: &TableRef, conjuncts: &[Expr]) -> Choice {
    choices(table, conjuncts, &[], false).swap_remove(0)
}

/// The paths that may be the best, where the rows are wanted in the order of `sort`; `limited`: only the first few of them. What looks best without knowing
/// the values comes first; there is always one.
pub fn choices(table: &TableDef, conjuncts: &[Expr], sort: &[SortKey], limited: bool) -> Vec<Choice> {
    let uses: Vec<Said> =
        conjuncts.iter().enumerate().flat_map(|(i, c)| usages(table, c).into_iter().map(move |(column, of)| Said { by: i, column, of })).collect();
    let mut found: Vec<(u32, Candidate)> = Vec::new();
    for index in table.indexes.iter().filter(|i| i.ready && !i.invisible) {
        let Some(c) = candidate(table, index, &uses, sort) else { continue };
        // A path that narrows nothing is worth its while only to stop early.
        let stops_early = c.ordered && limited && !sort.is_empty();
        if c.score == 0 && !stops_early {
            continue;
        }
        let score = c.score + if c.ordered && !sort.is_empty() { if limited { 50 } else { 5 } } else { 0 };
        found.push((score, c));
    }
    // Of equals the first: the order of the indexes is the order of their definition.
    found.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
    let mut kept: Vec<Candidate> = Vec::new();
    for (_, c) in found {
        let certain = kept.first().is_some_and(|k| k.score >= CERTAIN);
        // Whoever uses all that this one uses, and more, finds no more rows than it.
        let needless = |k: &Candidate| c.used.iter().all(|u| k.used.contains(u)) && (k.ordered || !c.ordered || !limited || sort.is_empty());
        if !certain && kept.len() < MAX_CHOICES && !kept.iter().any(needless) {
            kept.push(c);
        }
    }
    let choice = |c: Candidate| {
        let residual = conjuncts.iter().enumerate().filter(|(i, _)| !c.settled.contains(i)).map(|(_, e)| e.clone()).collect();
        Choice { access: c.access, residual, ordered: c.ordered }
    };
    if kept.is_empty() {
        return vec![Choice { access: Access::Full, residual: conjuncts.to_vec(), ordered: sort.is_empty() }];
    }
    kept.into_iter().map(choice).collect()
}

/// The score of a unique key whose parts are all bound to lists; to single values it is more.
const CERTAIN: u32 = 900_000;

/// What conjunct number `by` says about one column.
struct Said {
    by: usize,
    column: u16,
    of: Use,
}

/// What a conjunct says about one column.
enum Use {
    Eq {
        value: Expr,
        exact: bool,
    },
    IsNull,
    In {
        values: Vec<Expr>,
        exact: bool,
    },
    Range {
        low: Bound<Expr>,
        high: Bound<Expr>,
        exact: bool,
    },
    /// In one of them.
    Ranges(Vec<Interval>),
    Like {
        pattern: Expr,
        escape: Option<char>,
    },
}

struct Candidate {
    access: Access,
    score: u32,
    ordered: bool,
    /// Conjuncts that narrow the path, and those of them that need not be checked any more.
    used: Vec<usize>,
    settled: Vec<usize>,
}

fn candidate(table: &TableDef, index: &IndexDef, uses: &[Said], sort: &[SortKey]) -> Option<Candidate> {
    let of = |column: u16| uses.iter().filter(move |u| u.column == column).map(|u| (u.by, &u.of));
    let mut keys: Vec<Vec<Expr>> = vec![vec![]];
    let (mut used, mut settled) = (Vec::new(), Vec::new());
    let mut score = 0;
    let (mut lists, mut nulls, mut whole) = (false, false, true);
    let mut at = 0;
    while at < index.parts.len() {
        let part = &index.parts[at];
        whole &= part.prefix.is_none();
        let eq = of(part.column).find_map(|(i, u)| if let Use::Eq { value, exact } = u { Some((i, value, *exact)) } else { None });
        let null = of(part.column).find(|(_, u)| matches!(u, Use::IsNull));
        let list = of(part.column).find_map(|(i, u)| if let Use::In { values, exact } = u { Some((i, values, *exact)) } else { None });
        if let Some((i, value, exact)) = eq {
            for k in &mut keys {
                k.push(value.clone());
            }
            if exact && part.prefix.is_none() {
                settled.push(i);
            }
            used.push(i);
            score += 100;
        } else if let Some((i, _)) = null {
            for k in &mut keys {
                k.push(null_literal());
            }
            used.push(i);
            settled.push(i);
            nulls = true;
            score += 90;
        } else if let Some((i, values, exact)) = list.filter(|l| !l.1.is_empty() && may_grow(&keys, l.1)) {
            keys = keys.iter().flat_map(|k| values.iter().map(move |v| [&k[..], std::slice::from_ref(v)].concat())).collect();
            if exact && part.prefix.is_none() {
                settled.push(i);
            }
            used.push(i);
            lists = true;
            score += 60;
        } else {
            break;
        }
        at += 1;
    }
    let all = at == index.parts.len();
    if index.hash && !all {
        return None;
    }
    // IS NULL cannot be one of several points, where NULL finds nothing.
    if lists && nulls {
        return None;
    }
    if all && index.unique && whole && !nulls {
        let access = if lists { Access::Points { index: index.id, keys } } else { Access::Point { index: index.id, key: keys.pop()? } };
        return Some(Candidate { ordered: !lists || sort.is_empty(), access, score: if lists { CERTAIN } else { CERTAIN + 100_000 }, used, settled });
    }
    if lists {
        return Some(Candidate { access: Access::Points { index: index.id, keys }, score, ordered: sort.is_empty(), used, settled });
    }
    let prefix = keys.pop()?;
    let fixed = at;
    if let Some(part) = index.parts.get(at) {
        let like = of(part.column).find_map(|(i, u)| if let Use::Like { pattern, escape } = u { Some((i, pattern, *escape)) } else { None });
        let (mut low, mut high) = (Bound::Unbounded, Bound::Unbounded);
        let (mut bounds, mut bounded) = (Vec::new(), Vec::new());
        for (i, u) in of(part.column) {
            let Use::Range { low: l, high: h, exact } = u else { continue };
            let mut took = false;
            if matches!(low, Bound::Unbounded) && !matches!(l, Bound::Unbounded) {
                low = if *exact && part.prefix.is_none() { l.clone() } else { including(l) };
                took = true;
            }
            if matches!(high, Bound::Unbounded) && !matches!(h, Bound::Unbounded) {
                high = if *exact && part.prefix.is_none() { h.clone() } else { including(h) };
                took = true;
            }
            let both = !matches!(l, Bound::Unbounded) && !matches!(h, Bound::Unbounded);
            let took_whole = took && (!both || (bound_is(&low, l) && bound_is(&high, h)));
            if took {
                used.push(i);
                bounds.push(i);
            }
            if took_whole && *exact && part.prefix.is_none() {
                bounded.push(i);
            }
        }
        let sides = !matches!(low, Bound::Unbounded) as u32 + !matches!(high, Bound::Unbounded) as u32;
        match like {
            Some((i, pattern, escape)) if sides < 2 && part.prefix.is_none() && !part.descending => {
                used.push(i);
                let access = Access::Like { index: index.id, prefix, pattern: pattern.clone(), escape };
                let ordered = order_of(table, index, fixed, uses, sort) == Some(false);
                return Some(Candidate { access, score: score + 30, ordered, used, settled });
            }
            _ => (),
        }
        let ranges = of(part.column).find_map(|(i, u)| if let Use::Ranges(ranges) = u { Some((i, ranges)) } else { None });
        if let Some((i, ranges)) = ranges.filter(|_| sides < 2) {
            used.retain(|u| !bounds.contains(u));
            used.push(i);
            let access = Access::Ranges { index: index.id, prefix, ranges: ranges.clone() };
            return Some(Candidate { access, score: score + 35, ordered: sort.is_empty(), used, settled });
        }
        score += [0, 20, 40][sides as usize];
        settled.extend(bounded);
        let direction = order_of(table, index, fixed, uses, sort);
        let access = Access::Range { index: index.id, prefix, low, high, reverse: direction == Some(true) };
        return Some(Candidate { access, score, ordered: direction.is_some(), used, settled });
    }
    let direction = order_of(table, index, fixed, uses, sort);
    let access = Access::Range { index: index.id, prefix, low: Bound::Unbounded, high: Bound::Unbounded, reverse: direction == Some(true) };
    Some(Candidate { access, score, ordered: direction.is_some(), used, settled })
}

fn bound_is(a: &Bound<Expr>, b: &Bound<Expr>) -> bool {
    a == b
}

fn including(b: &Bound<Expr>) -> Bound<Expr> {
    match b {
        Bound::Included(e) | Bound::Excluded(e) => Bound::Included(e.clone()),
        Bound::Unbounded => Bound::Unbounded,
    }
}

fn null_literal() -> Expr {
    Expr::Literal { value: Value::Null, ty: SqlType::null() }
}

/// Whether the index gives the order of `sort` after its first `fixed` parts, which are constant: Some(true) if read backwards.
fn order_of(table: &TableDef, index: &IndexDef, fixed: usize, uses: &[Said], sort: &[SortKey]) -> Option<bool> {
    if sort.is_empty() {
        return Some(false);
    }
    let constant = |column: u16| uses.iter().any(|u| u.column == column && matches!(u.of, Use::Eq { exact: true, .. } | Use::IsNull));
    if index.hash {
        return None;
    }
    let mut at = fixed;
    let mut direction = None;
    for k in sort {
        let (Expr::Column { id, ty } | Expr::ColumnRaw { id, ty }) = &k.expr else { return None };
        let column = u16::try_from(id.raw()).ok()?;
        // The numbers of an ENUM are its order in the index, its text is not.
        if matches!(k.expr, Expr::Column { .. }) && matches!(ty.kind, TypeKind::Enum(_) | TypeKind::Set(_)) {
            return None;
        }
        if constant(column) {
            continue;
        }
        // All parts of a unique key stand before: there are no ties left to order.
        if at == index.parts.len() {
            let not_null = index.parts.iter().all(|p| !table.columns[p.column as usize].ty.nullable && p.prefix.is_none());
            return if index.unique && not_null { direction.or(Some(false)) } else { None };
        }
        let part = &index.parts[at];
        if part.column != column || part.prefix.is_some() {
            return None;
        }
        let reverse = k.descending != part.descending;
        if direction.is_some_and(|d| d != reverse) {
            return None;
        }
        direction = Some(reverse);
        at += 1;
    }
    direction.or(Some(false))
}

/// Whether keys may be multiplied by a list's values.
fn may_grow(keys: &[Vec<Expr>], values: &[Expr]) -> bool {
    keys.len() <= 1 || keys.len() * values.len() <= MAX_POINTS
}

/// What a conjunct says about columns: one, unless it has alternatives.
fn usages(table: &TableDef, e: &Expr) -> Vec<(u16, Use)> {
    match e {
        Expr::Operator { op: Operator::Or, .. } => alternatives(table, e),
        e => usage(table, e).into_iter().collect(),
    }
}

/// `(a = 1 AND b = 2) OR (a = 3 AND c = 4)` says `a IN (1, 3)`, and more, which remains to be checked; `a < 1 OR a > 5` says that `a` is in one of two ranges.
/// Lists of rows are such conditions, too.
fn alternatives(table: &TableDef, e: &Expr) -> Vec<(u16, Use)> {
    let point = |v: Expr| (Bound::Included(v.clone()), Bound::Included(v));
    let mut out: Vec<(u16, Vec<Interval>)> = Vec::new();
    for (n, d) in walk::disjuncts(e.clone()).into_iter().enumerate() {
        let mut own: Vec<(u16, Vec<Interval>)> = Vec::new();
        for c in walk::conjuncts(d) {
            match usage(table, &c) {
                Some((column, Use::Eq { value, .. })) => own.push((column, vec![point(value)])),
                Some((column, Use::In { values, .. })) => own.push((column, values.into_iter().map(point).collect())),
                // What is not exact is looked at again, but must not be missed.
                Some((column, Use::Range { low, high, exact })) => {
                    own.push((column, vec![if exact { (low, high) } else { (including(&low), including(&high)) }]));
                }
                Some((_, Use::IsNull | Use::Ranges(_) | Use::Like { .. })) | None => (),
            }
        }
        if n == 0 {
            out = own;
            continue;
        }
        // A column that one alternative says nothing about can be anything.
        out.retain_mut(|(column, ranges)| match own.iter().position(|o| o.0 == *column) {
            Some(at) => {
                ranges.append(&mut own[at].1);
                true
            }
            None => false,
        });
        if out.is_empty() {
            break;
        }
    }
    let is_point = |r: &Interval| matches!(r, (Bound::Included(a), Bound::Included(b)) if a == b);
    let value = |r: Interval| if let Bound::Included(v) = r.0 { Some(v) } else { None };
    out.into_iter()
        .map(|(column, ranges)| {
            let all_points = ranges.iter().all(is_point);
            (column, if all_points { Use::In { values: ranges.into_iter().filter_map(value).collect(), exact: false } } else { Use::Ranges(ranges) })
        })
        .collect()
}

fn usage(table: &TableDef, e: &Expr) -> Option<(u16, Use)> {
    match e {
        Expr::Operator { op, args, collation, .. } => match (op, &args[..]) {
            (Operator::Eq | Operator::NullSafeEq, [a, b]) => {
                let (c, v) = column_and_value(table, a, b).or_else(|| column_and_value(table, b, a))?;
                if let Expr::Literal { value: Value::Null, .. } = v {
                    return (*op == Operator::NullSafeEq).then_some((c, Use::IsNull));
                }
                // A param may be NULL, and then <=> finds the NULLs that a key does not.
                if *op == Operator::NullSafeEq && (!matches!(v, Expr::Literal { .. })) {
                    return None;
                }
                let (value, exact) = fit(&table.columns[c as usize].ty, v, *collation, true)?;
                Some((c, Use::Eq { value, exact }))
            }
            (Operator::IsNull, [a]) => Some((column(table, a)?, Use::IsNull)),
            (Operator::Lt | Operator::Le | Operator::Gt | Operator::Ge, [a, b]) => {
                let (c, v, flipped) = match column_and_value(table, a, b) {
                    Some((c, v)) => (c, v, false),
                    None => {
                        let (c, v) = column_and_value(table, b, a)?;
                        (c, v, true)
                    }
                };
                let (value, exact) = fit(&table.columns[c as usize].ty, v, *collation, false)?;
                let upper = matches!(op, Operator::Lt | Operator::Le) != flipped;
                let bound = if matches!(op, Operator::Le | Operator::Ge) { Bound::Included(value) } else { Bound::Excluded(value) };
                let (low, high) = if upper { (Bound::Unbounded, bound) } else { (bound, Bound::Unbounded) };
                Some((c, Use::Range { low, high, exact }))
            }
            (Operator::Between, [a, low, high]) => {
                let c = column(table, a)?;
                if !is_key_value(low) || !is_key_value(high) {
                    return None;
                }
                let ty = &table.columns[c as usize].ty;
                let (low, exact_low) = fit(ty, low, *collation, false)?;
                let (high, exact_high) = fit(ty, high, *collation, false)?;
                Some((c, Use::Range { low: Bound::Included(low), high: Bound::Included(high), exact: exact_low && exact_high }))
            }
            (Operator::Like, [a, pattern, rest @ ..]) => {
                let c = column(table, a)?;
                let ty = &table.columns[c as usize].ty;
                let text = matches!(ty.kind, TypeKind::Char { .. } | TypeKind::VarChar { .. } | TypeKind::Text(_)) || ty.kind.is_binary();
                if !text || (ty.kind.is_text() && ty.collation != *collation) || !is_key_value(pattern) {
                    return None;
                }
                if !value_type(pattern).kind.is_text() {
                    return None;
                }
                let escape = match rest {
                    [] => Some('\\'),
                    [Expr::Literal { value: Value::Str(s), .. }] => s.chars().next(),
                    _ => return None,
                };
                if let Expr::Literal { value: Value::Str(s), .. } = pattern
                    && literal_start(s, escape).is_empty()
                {
                    return None;
                }
                Some((c, Use::Like { pattern: pattern.clone(), escape }))
            }
            _ => None,
        },
        Expr::In { expr, list, negated: false, collation } => {
            let c = column(table, expr)?;
            let ty = &table.columns[c as usize].ty;
            let mut values = Vec::with_capacity(list.len());
            let mut all_exact = true;
            for v in list {
                if !is_key_value(v) {
                    return None;
                }
                let (value, exact) = fit(ty, v, *collation, true)?;
                all_exact &= exact;
                values.push(value);
            }
            Some((c, Use::In { values, exact: all_exact }))
        }
        _ => None,
    }
}

/// What stands before the first wildcard of a LIKE pattern.
pub fn literal_start(pattern: &str, escape: Option<char>) -> String {
    let mut out = String::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match c {
            c if Some(c) == escape => match chars.next() {
                Some(next) => out.push(next),
                None => out.push(c),
            },
            '%' | '_' => break,
            c => out.push(c),
        }
    }
    out
}

fn column(table: &TableDef, e: &Expr) -> Option<u16> {
    let Expr::Column { id, .. } = e else { return None };
    u16::try_from(id.raw()).ok().filter(|c| (*c as usize) < table.columns.len())
}

fn column_and_value<'e>(table: &TableDef, a: &Expr, b: &'e Expr) -> Option<(u16, &'e Expr)> {
    column(table, a).filter(|_| is_key_value(b)).map(|c| (c, b))
}

/// One value for the whole execution: no column, no subquery, nothing that changes from call to call.
fn is_key_value(e: &Expr) -> bool {
    !walk::any(e, &|n| match n {
        Expr::Column { .. } | Expr::ColumnRaw { .. } | Expr::Subquery { .. } | Expr::AssignUserVariable { .. } | Expr::Row(_) => true,
        Expr::Call { function, .. } => function.volatility == Volatility::Volatile,
        _ => false,
    })
}

/// `value` as a key of a column of type `ty`, and whether what the index finds by it is exactly what the comparison finds.
/// Not exact: never less. `collation` is the comparison's.
fn fit(ty: &SqlType, value: &Expr, collation: Collation, equality: bool) -> Option<(Expr, bool)> {
    let v = value_type(value);
    if matches!(v.kind, TypeKind::Null) {
        return Some((value.clone(), true));
    }
    let number = matches!(v.kind, TypeKind::Int { .. } | TypeKind::Decimal { .. } | TypeKind::Float { .. } | TypeKind::Double { .. });
    let real = matches!(v.kind, TypeKind::Float { .. } | TypeKind::Double { .. });
    let text = matches!(v.kind, TypeKind::Char { .. } | TypeKind::VarChar { .. } | TypeKind::Text(_));
    let cast = |kind: TypeKind| Expr::Cast { expr: Box::new(value.clone()), ty: SqlType::new(kind, true) };
    match &ty.kind {
        TypeKind::Int { .. } if number => Some((value.clone(), true)),
        TypeKind::Year | TypeKind::Bit { .. } if number && !real => Some((value.clone(), matches!(ty.kind, TypeKind::Bit { .. }))),
        // Compared as numbers: '5', '5abc' and '5.0' all find 5.
        TypeKind::Int { .. } if text && equality => {
            if let Expr::Literal { value: Value::Str(s), .. } = value
                && let Ok(n) = s.parse::<i64>()
            {
                return Some((Expr::Literal { value: Value::Int(n), ty: SqlType::bigint(false) }, false));
            }
            Some((cast(TypeKind::real(None)), false))
        }
        TypeKind::Decimal { .. } if matches!(v.kind, TypeKind::Decimal { .. }) => Some((value.clone(), true)),
        TypeKind::Decimal { .. } if matches!(v.kind, TypeKind::Int { .. }) => {
            Some((cast(TypeKind::Decimal { precision: 20, scale: 0, unsigned: false }), true))
        }
        TypeKind::Double { .. } | TypeKind::Float { .. } if real => Some((value.clone(), true)),
        TypeKind::Double { .. } | TypeKind::Float { .. } if number => Some((cast(TypeKind::real(None)), true)),
        TypeKind::Char { .. } | TypeKind::VarChar { .. } | TypeKind::Text(_) if text && collation == ty.collation => Some((value.clone(), true)),
        TypeKind::Binary { .. } | TypeKind::VarBinary { .. } | TypeKind::Blob(_) if v.kind.is_binary() => Some((value.clone(), true)),
        TypeKind::Binary { .. } | TypeKind::VarBinary { .. } | TypeKind::Blob(_) if text => Some((cast(TypeKind::VarBinary { bytes: 65_535 }), true)),
        TypeKind::Enum(_) if text && equality && collation == ty.collation => Some((value.clone(), true)),
        TypeKind::Date => match v.kind {
            TypeKind::Date => Some((value.clone(), true)),
            TypeKind::DateTime { .. } => Some((cast(TypeKind::Date), false)),
            _ if text => {
                let day = Expr::Cast { expr: Box::new(cast(TypeKind::DateTime { fsp: 6 })), ty: SqlType::new(TypeKind::Date, true) };
                Some((day, false))
            }
            _ => None,
        },
        TypeKind::DateTime { .. } | TypeKind::Timestamp { .. } => {
            // Session time is turned into UTC at execution; around a change of the clock two instants have one name.
            let exact = matches!(ty.kind, TypeKind::DateTime { .. });
            match v.kind {
                TypeKind::DateTime { .. } => Some((value.clone(), exact)),
                TypeKind::Date => Some((cast(TypeKind::DateTime { fsp: 0 }), exact)),
                _ if text => Some((cast(TypeKind::DateTime { fsp: 6 }), false)),
                _ => None,
            }
        }
        TypeKind::Time { .. } => match v.kind {
            TypeKind::Time { .. } => Some((value.clone(), true)),
            _ if text => Some((cast(TypeKind::Time { fsp: 6 }), false)),
            _ => None,
        },
        _ => None,
    }
}

/// The partitions that can hold rows of `conjuncts`.
pub fn target(table: &TableDef, conjuncts: &[Expr], access: &Access) -> Target {
    match &table.sharding {
        Sharding::Reference => Target::Copy,
        Sharding::Single { ordinal } => Target::Ordinal(*ordinal),
        Sharding::RowId => Target::All,
        Sharding::Hash { columns, .. } => {
            if let Access::Points { index, keys } = access {
                let parts = table.indexes.iter().find(|i| i.id == *index).map(|i| &i.parts[..]).unwrap_or_default();
                let at: Option<Vec<usize>> = columns.iter().map(|c| parts.iter().position(|p| p.column == *c && p.prefix.is_none())).collect();
                if let Some(at) = at
                    && keys.iter().all(|k| at.iter().all(|i| *i < k.len()))
                {
                    return Target::Keys(keys.iter().map(|k| at.iter().map(|i| k[*i].clone()).collect()).collect());
                }
            }
            let uses: Vec<(u16, Use)> = conjuncts.iter().flat_map(|c| usages(table, c)).collect();
            let mut keys: Vec<Vec<Expr>> = vec![vec![]];
            for column in columns {
                let mut grown = None;
                for (c, u) in &uses {
                    if c != column {
                        continue;
                    }
                    match u {
                        Use::Eq { value, .. } => {
                            grown = Some(keys.iter().map(|k| [&k[..], std::slice::from_ref(value)].concat()).collect());
                            break;
                        }
                        Use::IsNull => {
                            grown = Some(keys.iter().map(|k| [&k[..], &[null_literal()]].concat()).collect());
                            break;
                        }
                        Use::In { values, .. } if may_grow(&keys, values) => {
                            grown = Some(keys.iter().flat_map(|k| values.iter().map(move |v| [&k[..], std::slice::from_ref(v)].concat())).collect());
                        }
                        Use::In { .. } | Use::Range { .. } | Use::Ranges(_) | Use::Like { .. } => (),
                    }
                }
                match grown {
                    Some(k) => keys = k,
                    None => return Target::All,
                }
            }
            if keys.len() == 1 { Target::Key(keys.remove(0)) } else { Target::Keys(keys) }
        }
    }
}
