//! Aggregate functions.
//!
//! Owns:     one accumulator's state.
//! Promises: sums of exact numbers are exact; NULLs are left out; DISTINCT is by collation. A mean is a quotient: it has more decimals than its type until it
//!           leaves the expression it stands in (see `eval`).
//! Never:    knows about groups: the executor has one accumulator for each.

use crate::function::BindContext;
use crate::sort::{group_key, sort_key};
use crate::tree::AggregateFunction;
use crate::{EvalContext, coerce, compare, format, typing};
use std::cmp::Ordering;
use std::collections::HashSet;
use std::sync::Arc;
use weald_types::sql_type::BlobSize;
use weald_types::{Collation, Decimal, Fault, Json, SqlType, TypeKind, Value, WarningLevel};

/// What an accumulator needs to know of its call.
#[derive(Clone, Debug, PartialEq)]
pub struct AggregateSpec {
    pub function: AggregateFunction,
    pub args: Vec<SqlType>,
    pub distinct: bool,
    /// Type of each ORDER BY value, and whether it is descending.
    pub order_by: Vec<(SqlType, bool)>,
    pub separator: Arc<str>,
    pub ty: SqlType,
}

/// The result type of an aggregate over arguments of these types.
pub fn result_type(function: AggregateFunction, args: &[SqlType], ctx: &BindContext) -> SqlType {
    use AggregateFunction::*;
    let first = args.first().cloned().unwrap_or_else(SqlType::null);
    let exact = matches!(
        first.kind,
        TypeKind::Int { .. }
            | TypeKind::Decimal { .. }
            | TypeKind::Bit { .. }
            | TypeKind::Year
            | TypeKind::Date
            | TypeKind::Time { .. }
            | TypeKind::DateTime { .. }
            | TypeKind::Timestamp { .. }
            | TypeKind::Null
    );
    let (i, s) = match &first.kind {
        TypeKind::Decimal { precision, scale, .. } => ((precision - scale) as u32, *scale as u32),
        TypeKind::Int { width, .. } => (
            match width {
                weald_types::sql_type::IntWidth::Tiny => 3,
                weald_types::sql_type::IntWidth::Small => 5,
                weald_types::sql_type::IntWidth::Medium => 8,
                weald_types::sql_type::IntWidth::Int => 10,
                _ => 19,
            },
            0,
        ),
        _ => (14, first.kind.fsp().unwrap_or(0) as u32),
    };
    match function {
        Count | CountDistinct => SqlType::bigint(false),
        Sum if exact => typing::decimal_type(i + 22, s, true),
        Avg if exact => typing::decimal_type(i, s + ctx.div_precision_increment as u32, true),
        Sum => SqlType::new(TypeKind::real(typing::real_decimals(&first)), true),
        Avg => {
            let scale = typing::real_decimals(&first).map(|s| s.saturating_add(ctx.div_precision_increment)).filter(|s| *s < 31);
            let digits = scale.and(first.kind.real_digits()).map(|(digits, _)| digits.saturating_add(ctx.div_precision_increment));
            SqlType::new(TypeKind::Double { unsigned: false, digits, scale }, true)
        }
        StddevPop | StddevSamp | VarPop | VarSamp => SqlType::double(true),
        Min | Max | AnyValue => match &first.kind {
            TypeKind::Enum(_) | TypeKind::Set(_) => SqlType::varchar(typing::length(&first).unwrap_or(64), true, first.collation),
            TypeKind::Timestamp { fsp } => SqlType::new(TypeKind::DateTime { fsp: *fsp }, true),
            _ => first.with_nullable(true).as_number(),
        },
        BitAnd | BitOr | BitXor => SqlType::bigint_unsigned(false),
        GroupConcat => {
            let collation = args.iter().find(|t| t.kind.is_text()).map_or(ctx.collation_connection, |t| t.collation);
            if args.iter().any(|t| t.kind.is_binary()) {
                SqlType::new(TypeKind::Blob(BlobSize::Long), true)
            } else if ctx.group_concat_max_len <= 512 {
                SqlType::varchar(ctx.group_concat_max_len as u32, true, collation)
            } else {
                SqlType::string(TypeKind::Text(BlobSize::Plain), true, collation)
            }
        }
        JsonArrayAgg | JsonObjectAgg => SqlType::string(TypeKind::Json, true, Collation::UTF8MB4_BIN),
    }
}

#[derive(Clone, Debug)]
enum State {
    Count(i64),
    Sum(Option<Decimal>),
    SumDouble(Option<f64>),
    Avg {
        sum: Option<Decimal>,
        count: i64,
    },
    AvgDouble {
        sum: f64,
        count: i64,
    },
    Extreme(Option<Value>),
    /// The first row's, NULL or not.
    First(Option<Value>),
    Bits(u64),
    /// Welford's running mean and sum of squares.
    Variance {
        count: i64,
        mean: f64,
        squares: f64,
    },
    /// GROUP_CONCAT as its rows come: no longer than it may become.
    Joined(Option<Joined>),
    /// GROUP_CONCAT in an order of its own: (order key, text)
    Concat(Vec<(Vec<u8>, Vec<u8>)>),
    JsonArray(Option<Vec<Json>>),
    /// Members as they came: of equal names the last counts.
    JsonObject(Option<Vec<(Box<str>, Json)>>),
}

#[derive(Clone, Debug, Default)]
struct Joined {
    text: Vec<u8>,
    /// Some of it did not fit.
    cut: bool,
}

impl Joined {
    /// Gives by how many bytes it has grown.
    fn push(&mut self, piece: &[u8], most: usize) -> u64 {
        let room = most.saturating_sub(self.text.len());
        self.cut |= piece.len() > room;
        let taken = &piece[..piece.len().min(room)];
        self.text.extend_from_slice(taken);
        taken.len() as u64
    }
}

/// What is kept of a text or value, beside its bytes.
const KEPT_BYTES: usize = 24;

#[derive(Clone, Debug)]
pub struct Accumulator {
    spec: Arc<AggregateSpec>,
    state: State,
    seen: Option<HashSet<Vec<u8>>>,
}

impl Accumulator {
    pub fn new(spec: &Arc<AggregateSpec>) -> Self {
        use AggregateFunction::*;
        let double = matches!(spec.ty.kind, TypeKind::Double { .. });
        let state = match spec.function {
            Count | CountDistinct => State::Count(0),
            Sum if double => State::SumDouble(None),
            Sum => State::Sum(None),
            Avg if double => State::AvgDouble { sum: 0.0, count: 0 },
            Avg => State::Avg { sum: None, count: 0 },
            Min | Max => State::Extreme(None),
            AnyValue => State::First(None),
            BitAnd => State::Bits(u64::MAX),
            BitOr | BitXor => State::Bits(0),
            StddevPop | StddevSamp | VarPop | VarSamp => State::Variance { count: 0, mean: 0.0, squares: 0.0 },
            GroupConcat if spec.order_by.is_empty() => State::Joined(None),
            GroupConcat => State::Concat(Vec::new()),
            JsonArrayAgg => State::JsonArray(None),
            JsonObjectAgg => State::JsonObject(None),
        };
        let distinct = spec.distinct || spec.function == CountDistinct;
        Self { spec: spec.clone(), state, seen: distinct.then(HashSet::new) }
    }

    /// One row's arguments and ORDER BY values. Gives how many bytes the accumulator has grown by: most keep no more than a number, whatever they are given.
    pub fn update(&mut self, args: &[Value], order: &[Value], ctx: &EvalContext<'_>) -> Result<u64, Fault> {
        let takes_null = matches!(self.state, State::JsonArray(_) | State::JsonObject(_) | State::First(_));
        if !takes_null && args.iter().any(Value::is_null) {
            return Ok(0);
        }
        let mut grown = 0;
        if let Some(seen) = &mut self.seen {
            let mut key = Vec::new();
            for (v, ty) in args.iter().zip(&self.spec.args) {
                group_key(v, ty, &mut key);
            }
            grown += (2 * KEPT_BYTES + key.len()) as u64;
            if !seen.insert(key) {
                return Ok(0);
            }
        }
        let first = args.first().unwrap_or(&Value::Null);
        match &mut self.state {
            State::Count(n) => *n += 1,
            State::Sum(sum) => {
                let Some(d) = coerce::decimal(first, ctx) else { return Ok(0) };
                *sum = Some(match sum {
                    Some(s) => s.add(&d).ok_or_else(overflow)?,
                    None => d,
                });
            }
            State::SumDouble(sum) => {
                if let Some(d) = coerce::double(first, ctx) {
                    *sum = Some(sum.unwrap_or(0.0) + d)
                }
            }
            State::Avg { sum, count } => {
                let Some(d) = coerce::decimal(first, ctx) else { return Ok(0) };
                *sum = Some(match sum {
                    Some(s) => s.add(&d).ok_or_else(overflow)?,
                    None => d,
                });
                *count += 1;
            }
            State::AvgDouble { sum, count } => {
                if let Some(d) = coerce::double(first, ctx) {
                    *sum += d;
                    *count += 1
                }
            }
            State::Extreme(best) => {
                let better = match best {
                    None => true,
                    Some(b) => {
                        let order = compare::compare(first, b, self.spec.args[0].collation, ctx);
                        order == Some(if self.spec.function == AggregateFunction::Min { Ordering::Less } else { Ordering::Greater })
                    }
                };
                if better {
                    let before = best.as_ref().map_or(0, heap_bytes);
                    grown += heap_bytes(first).saturating_sub(before);
                    *best = Some(first.clone());
                }
            }
            State::First(kept) => {
                if kept.is_none() {
                    grown += heap_bytes(first);
                    *kept = Some(first.clone());
                }
            }
            State::Bits(bits) => {
                let n = coerce::uint(first, ctx).unwrap_or(0);
                match self.spec.function {
                    AggregateFunction::BitAnd => *bits &= n,
                    AggregateFunction::BitOr => *bits |= n,
                    _ => *bits ^= n,
                }
            }
            State::Variance { count, mean, squares } => {
                let Some(d) = coerce::double(first, ctx) else { return Ok(0) };
                *count += 1;
                let delta = d - *mean;
                *mean += delta / *count as f64;
                *squares += delta * (d - *mean);
            }
            State::Joined(joined) => {
                let most = ctx.statement.group_concat_max_len as usize;
                let mut text = Vec::new();
                if joined.is_some() {
                    text.extend_from_slice(self.spec.separator.as_bytes());
                }
                let joined = joined.get_or_insert_default();
                if !joined.cut {
                    write_all(args, &self.spec.args, &mut text);
                    grown += joined.push(&text, most);
                }
            }
            State::Concat(parts) => {
                let mut key = Vec::new();
                for (v, (ty, descending)) in order.iter().zip(&self.spec.order_by) {
                    sort_key(v, ty, *descending, &mut key);
                }
                let mut text = Vec::new();
                write_all(args, &self.spec.args, &mut text);
                grown += (2 * KEPT_BYTES + key.len() + text.len()) as u64;
                parts.push((key, text));
            }
            State::JsonArray(items) => {
                grown += json_bytes(first);
                items.get_or_insert_default().push(coerce::json(first, &self.spec.args[0]).unwrap_or(Json::Null))
            }
            State::JsonObject(object) => {
                let key = crate::function::json_key(first, &self.spec.args[0])?;
                let value = args.get(1).and_then(|v| coerce::json(v, &self.spec.args[1])).unwrap_or(Json::Null);
                grown += (KEPT_BYTES + key.len()) as u64 + args.get(1).map_or(0, json_bytes);
                object.get_or_insert_default().push((key, value));
            }
        }
        Ok(grown)
    }

    /// Takes in what another accumulator of the same call has seen. Not for DISTINCT.
    pub fn merge(&mut self, other: Accumulator, ctx: &EvalContext<'_>) -> Result<(), Fault> {
        match (&mut self.state, other.state) {
            (State::Count(a), State::Count(b)) => *a += b,
            (State::Sum(a), State::Sum(Some(b))) => {
                *a = Some(match a {
                    Some(x) => x.add(&b).ok_or_else(overflow)?,
                    None => b,
                })
            }
            (State::SumDouble(a), State::SumDouble(Some(b))) => *a = Some(a.unwrap_or(0.0) + b),
            (State::Avg { sum, count }, State::Avg { sum: s, count: c }) => {
                if let Some(s) = s {
                    *sum = Some(match sum {
                        Some(x) => x.add(&s).ok_or_else(overflow)?,
                        None => s,
                    });
                }
                *count += c;
            }
            (State::AvgDouble { sum, count }, State::AvgDouble { sum: s, count: c }) => {
                *sum += s;
                *count += c
            }
            (State::Extreme(_), State::Extreme(Some(b))) => return self.update(&[b], &[], ctx).map(|_| ()),
            (State::Extreme(_), State::Extreme(None)) => (),
            (State::First(a), State::First(b)) => *a = a.take().or(b),
            (State::Bits(a), State::Bits(b)) => match self.spec.function {
                AggregateFunction::BitAnd => *a &= b,
                AggregateFunction::BitOr => *a |= b,
                _ => *a ^= b,
            },
            (State::Variance { count, mean, squares }, State::Variance { count: c, mean: m, squares: s }) if c > 0 => {
                let total = *count + c;
                let delta = m - *mean;
                *squares += s + delta * delta * (*count as f64) * (c as f64) / total as f64;
                *mean += delta * c as f64 / total as f64;
                *count = total;
            }
            (State::Joined(a), State::Joined(Some(b))) => match a {
                None => *a = Some(b),
                Some(a) if a.cut => (),
                Some(a) => {
                    let most = ctx.statement.group_concat_max_len as usize;
                    let mut text = self.spec.separator.as_bytes().to_vec();
                    text.extend_from_slice(&b.text);
                    a.push(&text, most);
                    a.cut |= b.cut;
                }
            },
            (State::Concat(a), State::Concat(b)) => a.extend(b),
            (State::JsonArray(a), State::JsonArray(Some(b))) => a.get_or_insert_default().extend(b),
            (State::JsonObject(a), State::JsonObject(Some(b))) => a.get_or_insert_default().extend(b),
            _ => (),
        }
        Ok(())
    }

    pub fn finish(self, ctx: &EvalContext<'_>) -> Result<Value, Fault> {
        Ok(match self.state {
            State::Count(n) => Value::Int(n),
            State::Sum(sum) => sum.map_or(Value::Null, |d| match self.spec.ty.kind {
                // Counts of several partitions, added up.
                TypeKind::Int { .. } => d.to_i64().map_or(Value::Decimal(d), Value::Int),
                _ => Value::Decimal(d),
            }),
            State::SumDouble(sum) => sum.map_or(Value::Null, Value::Double),
            State::Avg { sum: Some(sum), count } if count > 0 => {
                sum.div_unrounded(&Decimal::from_i64(count), ctx.statement.div_precision_increment).map_or(Value::Null, Value::Decimal)
            }
            State::Avg { .. } => Value::Null,
            State::AvgDouble { sum, count } => {
                if count == 0 {
                    Value::Null
                } else {
                    Value::Double(sum / count as f64)
                }
            }
            State::Extreme(best) | State::First(best) => best.unwrap_or(Value::Null),
            State::Bits(bits) => Value::UInt(bits),
            State::Variance { count, squares, .. } => {
                use AggregateFunction::*;
                let n = match self.spec.function {
                    StddevSamp | VarSamp => count - 1,
                    _ => count,
                };
                if n <= 0 {
                    return Ok(Value::Null);
                }
                let variance = squares / n as f64;
                Value::Double(if matches!(self.spec.function, StddevPop | StddevSamp) { variance.sqrt() } else { variance })
            }
            State::Joined(joined) => joined.map_or(Value::Null, |j| shortened(j, &self.spec, ctx)),
            State::Concat(parts) => concat(parts, &self.spec, ctx),
            State::JsonArray(items) => document(items.map(Json::Array))?,
            State::JsonObject(members) => document(members.map(|m| Json::Object(m.into_iter().collect())))?,
        })
    }
}

fn document(json: Option<Json>) -> Result<Value, Fault> {
    match json {
        None => Ok(Value::Null),
        Some(j) if j.nests_too_deep() => Err(crate::function::json_too_deep()),
        Some(j) => Ok(Value::Json(Arc::new(j))),
    }
}

fn write_all(values: &[Value], types: &[SqlType], out: &mut Vec<u8>) {
    for (v, ty) in values.iter().zip(types) {
        format::write_text(v, ty, out);
    }
}

pub(crate) fn heap_bytes(v: &Value) -> u64 {
    match v {
        Value::Str(s) => s.len() as u64,
        Value::Bytes(b) => b.len() as u64,
        Value::Json(_) => json_bytes(v),
        _ => 0,
    }
}

/// About what a value takes as a part of a JSON document.
fn json_bytes(v: &Value) -> u64 {
    KEPT_BYTES as u64
        + match v {
            Value::Json(j) => j.size_bytes() as u64,
            v => heap_bytes(v),
        }
}

fn concat(mut parts: Vec<(Vec<u8>, Vec<u8>)>, spec: &AggregateSpec, ctx: &EvalContext<'_>) -> Value {
    if parts.is_empty() {
        return Value::Null;
    }
    // A long sort: whoever else waits for this thread is served meanwhile.
    ctx.statement.aside_if(parts.len() > LONG_SORT, || parts.sort_by(|a, b| a.0.cmp(&b.0)));
    let most = ctx.statement.group_concat_max_len as usize;
    let mut joined = Joined::default();
    for (i, (_, text)) in parts.iter().enumerate() {
        if i > 0 {
            joined.push(spec.separator.as_bytes(), most);
        }
        joined.push(text, most);
        if joined.cut {
            break;
        }
    }
    shortened(joined, spec, ctx)
}

/// Parts whose sort takes some milliseconds.
const LONG_SORT: usize = 20_000;

fn shortened(joined: Joined, spec: &AggregateSpec, ctx: &EvalContext<'_>) -> Value {
    let Joined { mut text, cut } = joined;
    if cut {
        // Never in the middle of a character.
        let last = text.iter().rposition(|b| b & 0xC0 != 0x80).unwrap_or(0);
        if !spec.ty.kind.is_binary() && std::str::from_utf8(&text[last..]).is_err_and(|e| e.error_len().is_none()) {
            text.truncate(last);
        }
        ctx.statement.warn(WarningLevel::Warning, Fault::mysql(1260, "HY000", "Row 1 was cut by GROUP_CONCAT()"));
    }
    if spec.ty.kind.is_binary() { Value::bytes(text) } else { Value::str(String::from_utf8_lossy(&text)) }
}

fn overflow() -> Fault {
    Fault::NumericOutOfRange { kind: "DECIMAL".into(), expression: "sum".into() }
}
