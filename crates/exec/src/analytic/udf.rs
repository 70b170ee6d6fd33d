//! MySQL's scalar semantics inside DataFusion.
//!
//! Owns:     nothing.
//! Promises: [`Evaluate`] gives exactly what the row executor gives, since it asks the same evaluator, row by row; the others are the same answers, a batch at a time.
//! Never:    is volatile: expressions with side effects are refused by the lowering.

use super::carrier::{self, Builder};
use crate::columns::weights;
use arrow::array::*;
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{DataType, Decimal128Type, Int64Type};
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering as Atomic};
use std::sync::{Arc, OnceLock};
use weald_expr::{EvalContext, Expr, Operator, Row, StatementContext, eval, eval_part, is_true};
use weald_types::collation::LikePattern;
use weald_types::{Collation, ColumnId, Decimal, Fault, SqlType, Value};

pub fn fault(f: Fault) -> DataFusionError {
    DataFusionError::External(Box::new(f))
}

/// A function is the same as another when it was made by the same lowering step.
#[derive(Debug)]
struct Same {
    id: u64,
    name: String,
    signature: Signature,
}

impl Same {
    fn new(name: &str) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = NEXT.fetch_add(1, Atomic::Relaxed);
        Self { id, name: format!("{name}#{id}"), signature: Signature::variadic_any(Volatility::Immutable) }
    }
}

macro_rules! same {
    ($name:ident) => {
        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.same.id == other.same.id
            }
        }
        impl Eq for $name {}
        impl Hash for $name {
            fn hash<H: Hasher>(&self, state: &mut H) {
                self.same.id.hash(state)
            }
        }
    };
}

fn arrays(args: &ScalarFunctionArgs) -> Result<Vec<ArrayRef>> {
    args.args.iter().map(|a| a.to_array(args.number_rows)).collect()
}

// ------------------------------------------------------------------ any expression, row by row

/// Evaluates an expression whose columns are the arguments, in order.
#[derive(Debug)]
pub struct Evaluate {
    same: Same,
    expr: Expr,
    columns: Vec<(ColumnId, SqlType)>,
    statement: Arc<StatementContext>,
    params: Arc<[Value]>,
    asked: Asked,
}
same!(Evaluate);

/// What is wanted of an expression.
#[derive(Clone, Debug)]
pub enum Asked {
    /// Its truth, as Boolean.
    Truth,
    /// Its value, in its type's carrier.
    Value(DataType),
    /// Its value with the decimals it has inside a larger expression.
    Part(DataType),
}

impl Evaluate {
    pub fn udf(expr: Expr, columns: Vec<(ColumnId, SqlType)>, statement: Arc<StatementContext>, params: Arc<[Value]>, asked: Asked) -> ScalarUDF {
        ScalarUDF::new_from_impl(Self { same: Same::new("evaluate"), expr, columns, statement, params, asked })
    }
}

struct ArrayRow<'a> {
    columns: &'a [(ColumnId, SqlType)],
    arrays: &'a [ArrayRef],
    at: usize,
}

impl Row for ArrayRow<'_> {
    fn column(&self, id: ColumnId) -> Value {
        match self.columns.iter().position(|c| c.0 == id) {
            Some(i) => carrier::value(&self.arrays[i], self.at, &self.columns[i].1),
            None => Value::Null,
        }
    }
}

impl ScalarUDFImpl for Evaluate {
    fn name(&self) -> &str {
        &self.same.name
    }
    fn signature(&self) -> &Signature {
        &self.same.signature
    }
    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(match &self.asked {
            Asked::Truth => DataType::Boolean,
            Asked::Value(to) | Asked::Part(to) => to.clone(),
        })
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = arrays(&args)?;
        let context = EvalContext { statement: &self.statement, params: &self.params, subqueries: &[] };
        let mut truths = BooleanBuilder::with_capacity(if matches!(self.asked, Asked::Truth) { args.number_rows } else { 0 });
        let mut builder = Builder::new(&self.return_type(&[])?, args.number_rows);
        let mut known = match arrays.as_slice() {
            [one] => Known::of(one),
            _ => None,
        };
        let mut bytes = 0;
        let mut append = |value: &Value| -> Result<()> {
            match &mut builder {
                None => truths.append_option(if value.is_null() { None } else { Some(is_true(value)) }),
                Some(b) => {
                    bytes += match value {
                        Value::Str(s) => s.len(),
                        Value::Bytes(b) => b.len(),
                        _ => 0,
                    };
                    if bytes > MOST_BYTES {
                        return Err(fault(super::batch_too_large()));
                    }
                    if !b.push(value) {
                        return Err(fault(super::carrier_overflow()));
                    }
                }
            }
            Ok(())
        };
        let mut evaluate = |rows: std::ops::Range<usize>| -> Result<()> {
            for at in rows {
                self.statement.check_interrupted().map_err(fault)?;
                let mut warned = 0;
                if let Some(k) = &known {
                    if let Some(value) = k.values.get(&k.keys[at]) {
                        append(value)?;
                        continue;
                    }
                    warned = self.statement.warnings.lock().total;
                }
                let row = ArrayRow { columns: &self.columns, arrays: &arrays, at };
                let value = match self.asked {
                    Asked::Truth | Asked::Value(_) => eval(&self.expr, &row, &context),
                    Asked::Part(_) => eval_part(&self.expr, &row, &context),
                }
                .map_err(fault)?;
                append(&value)?;
                // A value that was warned of is warned of for each row.
                if let Some(k) = &mut known
                    && self.statement.warnings.lock().total == warned
                {
                    k.values.insert(k.keys[at], value);
                }
            }
            Ok(())
        };
        // Most expressions take no time; where one does, the others who want this thread go on elsewhere.
        let clock = self.statement.wall_clock_micros;
        let first = args.number_rows.min(TRIED_ROWS);
        let begun = clock();
        evaluate(0..first)?;
        let rest = (clock() - begun).saturating_mul(args.number_rows.div_ceil(TRIED_ROWS) as i64);
        self.statement.aside_if(rest > LONG_MICROS, || evaluate(first..args.number_rows))?;
        Ok(ColumnarValue::Array(match builder {
            None => Arc::new(truths.finish()),
            Some(mut b) => b.finish(),
        }))
    }
}

/// So many rows show how long the rest will take.
const TRIED_ROWS: usize = 64;
/// Longer is worth a thread of its own.
const LONG_MICROS: i64 = 5000;
/// Values of one batch, all together: thousands of large ones are better made a few at a time, by the row executor.
const MOST_BYTES: usize = 64 << 20;

/// Results for the different values of an argument that repeats itself.
struct Known {
    keys: Vec<u128>,
    values: HashMap<u128, Value, foldhash::fast::RandomState>,
}

impl Known {
    /// `None`: the argument's values hardly repeat, or NULLs are among them.
    fn of(argument: &ArrayRef) -> Option<Self> {
        if argument.null_count() > 0 {
            return None;
        }
        let any = argument.as_any();
        let keys: Vec<u128> = if let Some(a) = any.downcast_ref::<LargeStringArray>() {
            if !repeats(a) {
                return None;
            }
            // Each text by the order in which it first comes.
            let mut known: HashMap<&[u8], u128, foldhash::fast::RandomState> = HashMap::default();
            (0..a.len())
                .map(|i| {
                    let next = known.len() as u128;
                    *known.entry(a.value(i).as_bytes()).or_insert(next)
                })
                .collect()
        } else if let Some(a) = any.downcast_ref::<UInt32Array>() {
            a.values().iter().map(|v| *v as u128).collect()
        } else if let Some(a) = any.downcast_ref::<UInt64Array>() {
            a.values().iter().map(|v| *v as u128).collect()
        } else if let Some(a) = any.downcast_ref::<Int64Array>() {
            a.values().iter().map(|v| *v as u128).collect()
        } else {
            return None;
        };
        let few = distinct(keys.iter().take(SAMPLE)) * 2 <= keys.len().min(SAMPLE) || distinct(keys.iter()) * 2 <= keys.len();
        few.then(|| Self { keys, values: HashMap::default() })
    }
}

/// Values that are looked at before it is said whether they repeat.
const SAMPLE: usize = 256;

fn distinct<'a>(keys: impl Iterator<Item = &'a u128>) -> usize {
    keys.collect::<HashSet<_, foldhash::fast::RandomState>>().len()
}

// ------------------------------------------------------------------ strings under a collation

/// Whether the same few texts come again and again, as far as the first of them show.
fn repeats(texts: &LargeStringArray) -> bool {
    let first = texts.len().min(SAMPLE);
    let different = (0..first).map(|i| texts.value(i)).collect::<HashSet<_, foldhash::fast::RandomState>>().len();
    different * 4 <= first
}

/// What `f` says of each text; of equal texts only once, where they repeat. NULL for NULL.
fn each_text(texts: &LargeStringArray, mut f: impl FnMut(&str) -> bool) -> BooleanArray {
    let holds = if repeats(texts) {
        let mut known: HashMap<&[u8], bool, foldhash::fast::RandomState> = HashMap::default();
        BooleanBuffer::collect_bool(texts.len(), |i| *known.entry(texts.value(i).as_bytes()).or_insert_with(|| f(texts.value(i))))
    } else {
        BooleanBuffer::collect_bool(texts.len(), |i| f(texts.value(i)))
    };
    BooleanArray::new(holds, texts.nulls().cloned())
}

/// `left <op> right` under a collation, or `value LIKE pattern`.
#[derive(Debug)]
pub struct CompareText {
    same: Same,
    op: Operator,
    collation: Collation,
    /// The pattern of the first batch: almost always that of all.
    pattern: OnceLock<(Box<str>, LikePattern)>,
}
same!(CompareText);

impl CompareText {
    pub fn udf(op: Operator, collation: Collation) -> ScalarUDF {
        ScalarUDF::new_from_impl(Self { same: Same::new("compare"), op, collation, pattern: OnceLock::new() })
    }

    fn holds(&self, a: &str, b: &str) -> bool {
        let (a, b) = (a.as_bytes(), b.as_bytes());
        match self.op {
            Operator::Like => self.collation.like(a, b, Some('\\')),
            Operator::Eq => self.collation.equal(a, b),
            Operator::Ne => !self.collation.equal(a, b),
            op => {
                let order = self.collation.compare(a, b);
                match op {
                    Operator::Lt => order == Ordering::Less,
                    Operator::Le => order != Ordering::Greater,
                    Operator::Gt => order == Ordering::Greater,
                    _ => order != Ordering::Less,
                }
            }
        }
    }
}

impl ScalarUDFImpl for CompareText {
    fn name(&self) -> &str {
        &self.same.name
    }
    fn signature(&self) -> &Signature {
        &self.same.signature
    }
    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let constant = |v: &ColumnarValue| match v {
            ColumnarValue::Scalar(ScalarValue::LargeUtf8(s)) => Some(s.clone()),
            _ => None,
        };
        let (left, right) = (constant(&args.args[0]), constant(&args.args[1]));
        let of = |i: usize| args.args[i].to_array(args.number_rows);
        let out: BooleanArray = match (left, right) {
            (None, Some(Some(r))) if self.op == Operator::Like => {
                let make = || self.collation.like_pattern(r.as_bytes(), Some('\\'));
                let (known, pattern) = self.pattern.get_or_init(|| (r.as_str().into(), make()));
                let other = (**known != *r).then(make);
                let pattern = other.as_ref().unwrap_or(pattern);
                each_text(of(0)?.as_string::<i64>(), |l| pattern.matches(l.as_bytes()))
            }
            (None, Some(Some(r))) => each_text(of(0)?.as_string::<i64>(), |l| self.holds(l, &r)),
            (Some(Some(l)), None) => each_text(of(1)?.as_string::<i64>(), |r| self.holds(&l, r)),
            _ => of(0)?.as_string::<i64>().iter().zip(of(1)?.as_string::<i64>().iter()).map(|(l, r)| Some(self.holds(l?, r?))).collect(),
        };
        Ok(ColumnarValue::Array(Arc::new(out)))
    }
}

/// The bytes by which a string sorts and groups under its collation.
#[derive(Debug)]
pub struct Weight {
    same: Same,
    collation: Collation,
}
same!(Weight);

impl Weight {
    pub fn udf(collation: Collation) -> ScalarUDF {
        ScalarUDF::new_from_impl(Self { same: Same::new("weight"), collation })
    }
}

impl ScalarUDFImpl for Weight {
    fn name(&self) -> &str {
        &self.same.name
    }
    fn signature(&self) -> &Signature {
        &self.same.signature
    }
    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::LargeBinary)
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = arrays(&args)?;
        Ok(ColumnarValue::Array(weights(&arrays[0], self.collation)))
    }
}

/// Whether a text is one of a list of constants under a collation. The list has no NULL.
#[derive(Debug)]
pub struct OneOf {
    same: Same,
    collation: Collation,
    weights: HashSet<Box<[u8]>, foldhash::fast::RandomState>,
}
same!(OneOf);

impl OneOf {
    pub fn udf(collation: Collation, list: &[&str]) -> ScalarUDF {
        let weigh = |s: &&str| {
            let mut key = Vec::new();
            collation.sort_key(s.as_bytes(), &mut key);
            key.into_boxed_slice()
        };
        ScalarUDF::new_from_impl(Self { same: Same::new("one_of"), collation, weights: list.iter().map(weigh).collect() })
    }
}

impl ScalarUDFImpl for OneOf {
    fn name(&self) -> &str {
        &self.same.name
    }
    fn signature(&self) -> &Signature {
        &self.same.signature
    }
    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = arrays(&args)?;
        let mut key = Vec::new();
        let found = each_text(arrays[0].as_string::<i64>(), |s| {
            key.clear();
            self.collation.sort_key(s.as_bytes(), &mut key);
            self.weights.contains(key.as_slice())
        });
        Ok(ColumnarValue::Array(Arc::new(found)))
    }
}

// ------------------------------------------------------------------ exact arithmetic

/// `a <op> b` on BIGINT, refusing overflow (1690) as MySQL does; or on DECIMAL with a result of `scale` decimals.
#[derive(Debug)]
pub struct Arithmetic {
    same: Same,
    op: Operator,
    to: DataType,
    text: String,
    statement: Arc<StatementContext>,
}
same!(Arithmetic);

impl Arithmetic {
    pub fn udf(op: Operator, to: DataType, text: String, statement: Arc<StatementContext>) -> ScalarUDF {
        ScalarUDF::new_from_impl(Self { same: Same::new("arithmetic"), op, to, text, statement })
    }

    fn overflow(&self, kind: &'static str) -> DataFusionError {
        fault(Fault::NumericOutOfRange { kind: kind.into(), expression: self.text.clone() })
    }

    fn ints(&self, a: &Int64Array, b: &Int64Array) -> Result<ArrayRef> {
        let step = |x: i64, y: i64| match self.op {
            Operator::Add => x.checked_add(y),
            Operator::Subtract => x.checked_sub(y),
            _ => x.checked_mul(y),
        };
        let out = arrow::compute::try_binary::<_, _, _, Int64Type>(a, b, |x, y| {
            step(x, y).ok_or(arrow::error::ArrowError::ArithmeticOverflow(String::new()))
        });
        Ok(Arc::new(out.map_err(|_| self.overflow("BIGINT"))?))
    }

    fn decimals(&self, a: &Decimal128Array, b: &Decimal128Array, precision: u8, scale: i8) -> Result<ArrayRef> {
        let (sa, sb) = (a.scale() as i32, b.scale() as i32);
        let s = scale as i32;
        if let Some(out) = self.certain(a, b, s) {
            return Ok(Arc::new(out.with_precision_and_scale(precision, scale)?));
        }
        let pow = |n: i32| 10i128.checked_pow(n.max(0) as u32);
        let down = |v: i128, by: i32| -> Option<i128> { if by <= 0 { v.checked_mul(pow(-by)?) } else { Some(round_div(v, pow(by)?)) } };
        let step = |x: i128, y: i128| -> Option<i128> {
            match self.op {
                Operator::Add => down(x, sa - s)?.checked_add(down(y, sb - s)?),
                Operator::Subtract => down(x, sa - s)?.checked_sub(down(y, sb - s)?),
                _ => down(product(x, y)?, sa + sb - s),
            }
        };
        let out: PrimitiveArray<Decimal128Type> = if self.op == Operator::Divide {
            // x / 10^sa over y / 10^sb with `computed` decimals, as many as MySQL computes: x * 10^(computed + sb - sa) / y, cut, and rounded to s decimals.
            let computed = Decimal::quotient_scale(sa as u8, sb as u8, self.statement.div_precision_increment) as i32;
            let (computed, round) = (computed.max(s), pow((computed - s).max(0)));
            let mut builder = Decimal128Builder::with_capacity(a.len());
            for (x, y) in a.iter().zip(b.iter()) {
                match (x, y) {
                    (Some(_), Some(0)) => {
                        self.statement.warn(weald_types::WarningLevel::Warning, Fault::DivisionByZero);
                        builder.append_null();
                    }
                    (Some(x), Some(y)) => {
                        let up = computed + sb - sa;
                        let quotient = if up >= 0 { pow(up).and_then(|p| x.checked_mul(p)).map(|n| n / y) } else { None };
                        let value = quotient.zip(round).map(|(q, by)| round_div(q, by));
                        builder.append_value(value.ok_or_else(|| fault(super::carrier_overflow()))?);
                    }
                    _ => builder.append_null(),
                }
            }
            builder.finish()
        } else {
            arrow::compute::try_binary(a, b, |x, y| step(x, y).ok_or(arrow::error::ArrowError::ArithmeticOverflow(String::new())))
                .map_err(|_| fault(super::carrier_overflow()))?
        };
        Ok(Arc::new(out.with_precision_and_scale(precision, scale)?))
    }
}

impl Arithmetic {
    /// Where the operands' digits say that nothing can overflow and nothing is rounded, there is nothing to check.
    fn certain(&self, a: &Decimal128Array, b: &Decimal128Array, s: i32) -> Option<Decimal128Array> {
        let (pa, pb, sa, sb) = (a.precision() as i32, b.precision() as i32, a.scale() as i32, b.scale() as i32);
        let done = match self.op {
            Operator::Multiply if sa + sb == s && pa <= 18 && pb <= 18 => arrow::compute::binary(a, b, |x, y| x as i64 as i128 * y as i64 as i128),
            Operator::Add | Operator::Subtract if sa <= s && sb <= s && (pa - sa).max(pb - sb) + s < 38 => {
                let (ua, ub) = (10i128.pow((s - sa) as u32), 10i128.pow((s - sb) as u32));
                match self.op {
                    Operator::Add => arrow::compute::binary(a, b, |x, y| x * ua + y * ub),
                    _ => arrow::compute::binary(a, b, |x, y| x * ua - y * ub),
                }
            }
            _ => return None,
        };
        done.ok()
    }

    /// The same where one side is a constant that is added or subtracted: `1 - discount`.
    fn with_constant(&self, a: &ColumnarValue, b: &ColumnarValue, s: i32) -> Option<Decimal128Array> {
        let constant = |v: &ColumnarValue| match v {
            ColumnarValue::Scalar(ScalarValue::Decimal128(Some(v), p, s)) => Some((*v, *p as i32, *s as i32)),
            _ => None,
        };
        let (c, array, sign_of_constant, sign) = match (constant(a), constant(b), a, b, self.op) {
            (Some(c), None, _, ColumnarValue::Array(x), Operator::Add) => (c, x, 1, 1),
            (Some(c), None, _, ColumnarValue::Array(x), Operator::Subtract) => (c, x, 1, -1),
            (None, Some(c), ColumnarValue::Array(x), _, Operator::Add) => (c, x, 1, 1),
            (None, Some(c), ColumnarValue::Array(x), _, Operator::Subtract) => (c, x, -1, 1),
            _ => return None,
        };
        let array: &Decimal128Array = array.as_primitive_opt()?;
        let (vc, pc, sc) = c;
        let (p, sa) = (array.precision() as i32, array.scale() as i32);
        if sa > s || sc > s || (p - sa).max(pc - sc) + s >= 38 {
            return None;
        }
        let (fixed, up) = (sign_of_constant * vc * 10i128.pow((s - sc) as u32), sign * 10i128.pow((s - sa) as u32));
        Some(array.unary(|x| fixed + x * up))
    }
}

/// Most factors are small, and multiplying those is one instruction.
#[inline]
fn product(x: i128, y: i128) -> Option<i128> {
    match (i64::try_from(x), i64::try_from(y)) {
        (Ok(x), Ok(y)) => Some(x as i128 * y as i128),
        _ => x.checked_mul(y),
    }
}

/// Half away from zero.
fn round_div(v: i128, by: i128) -> i128 {
    let (q, r) = (v / by, v % by);
    if r.unsigned_abs() * 2 >= by.unsigned_abs() { q + if (v < 0) == (by < 0) { 1 } else { -1 } } else { q }
}

impl ScalarUDFImpl for Arithmetic {
    fn name(&self) -> &str {
        &self.same.name
    }
    fn signature(&self) -> &Signature {
        &self.same.signature
    }
    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.to.clone())
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if let (DataType::Decimal128(p, s), [a, b]) = (&self.to, args.args.as_slice())
            && let Some(out) = self.with_constant(a, b, *s as i32)
        {
            return Ok(ColumnarValue::Array(Arc::new(out.with_precision_and_scale(*p, *s)?)));
        }
        let arrays = arrays(&args)?;
        Ok(ColumnarValue::Array(match &self.to {
            DataType::Decimal128(p, s) => self.decimals(arrays[0].as_primitive(), arrays[1].as_primitive(), *p, *s)?,
            _ => self.ints(arrays[0].as_primitive(), arrays[1].as_primitive())?,
        }))
    }
}
