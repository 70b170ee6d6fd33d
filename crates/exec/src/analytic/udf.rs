//! MySQL's scalar semantics inside DataFusion.
//!
//! Owns:     nothing.
//! Promises: [`Evaluate`] gives exactly what the row executor gives, since it asks the same evaluator, row by row; the others are the same answers, a batch at a time.
//! Never:    is volatile: expressions with side effects are refused by the lowering.

use super::carrier::{self, Builder};
use arrow::array::*;
use arrow::datatypes::{DataType, Decimal128Type, Int64Type};
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering as Atomic};
use weald_expr::typing::value_type;
use weald_expr::{EvalContext, Expr, Operator, Row, StatementContext, eval, is_true};
use weald_types::{Collation, ColumnId, Fault, SqlType, Value};

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
    /// True: the truth of the expression, as Boolean.
    truth: bool,
}
same!(Evaluate);

impl Evaluate {
    pub fn udf(expr: Expr, columns: Vec<(ColumnId, SqlType)>, statement: Arc<StatementContext>, params: Arc<[Value]>, truth: bool) -> ScalarUDF {
        ScalarUDF::new_from_impl(Self { same: Same::new("evaluate"), expr, columns, statement, params, truth })
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
        if self.truth {
            return Ok(DataType::Boolean);
        }
        carrier::data_type(&value_type(&self.expr)).ok_or_else(|| DataFusionError::Internal("no carrier".into()))
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = arrays(&args)?;
        let context = EvalContext { statement: &self.statement, params: &self.params, subqueries: &[] };
        let mut truths = BooleanBuilder::with_capacity(if self.truth { args.number_rows } else { 0 });
        let mut builder = Builder::new(&self.return_type(&[])?, args.number_rows);
        let mut bytes = 0;
        let mut evaluate = |rows: std::ops::Range<usize>| -> Result<()> {
            for at in rows {
                self.statement.check_interrupted().map_err(fault)?;
                let value = eval(&self.expr, &ArrayRow { columns: &self.columns, arrays: &arrays, at }, &context).map_err(fault)?;
                match &mut builder {
                    None => truths.append_option(if value.is_null() { None } else { Some(is_true(&value)) }),
                    Some(b) => {
                        bytes += match &value {
                            Value::Str(s) => s.len(),
                            Value::Bytes(b) => b.len(),
                            _ => 0,
                        };
                        if bytes > MOST_BYTES {
                            return Err(fault(super::batch_too_large()));
                        }
                        if !b.push(&value) {
                            return Err(fault(super::carrier_overflow()));
                        }
                    }
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

// ------------------------------------------------------------------ strings under a collation

/// `left <op> right` under a collation, or `value LIKE pattern`.
#[derive(Debug)]
pub struct CompareText {
    same: Same,
    op: Operator,
    collation: Collation,
}
same!(CompareText);

impl CompareText {
    pub fn udf(op: Operator, collation: Collation) -> ScalarUDF {
        ScalarUDF::new_from_impl(Self { same: Same::new("compare"), op, collation })
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
            ColumnarValue::Scalar(ScalarValue::Utf8View(s)) => Some(s.clone()),
            _ => None,
        };
        let (left, right) = (constant(&args.args[0]), constant(&args.args[1]));
        let arrays = arrays(&args)?;
        let (a, b) = (arrays[0].as_string_view(), arrays[1].as_string_view());
        let out: BooleanArray = match (left, right) {
            (_, Some(Some(r))) => a.iter().map(|l| l.map(|l| self.holds(l, &r))).collect(),
            (Some(Some(l)), _) => b.iter().map(|r| r.map(|r| self.holds(&l, r))).collect(),
            _ => a.iter().zip(b.iter()).map(|(l, r)| Some(self.holds(l?, r?))).collect(),
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
        Ok(DataType::BinaryView)
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = arrays(&args)?;
        let mut out = BinaryViewBuilder::with_capacity(args.number_rows);
        let mut key = Vec::new();
        for s in arrays[0].as_string_view().iter() {
            match s {
                None => out.append_null(),
                Some(s) => {
                    key.clear();
                    self.collation.sort_key(s.as_bytes(), &mut key);
                    out.append_value(&key);
                }
            }
        }
        Ok(ColumnarValue::Array(Arc::new(out.finish())))
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
        fault(Fault::NumericOutOfRange { kind, expression: self.text.clone() })
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
        let pow = |n: i32| 10i128.checked_pow(n.max(0) as u32);
        let down = |v: i128, by: i32| -> Option<i128> { if by <= 0 { v.checked_mul(pow(-by)?) } else { Some(round_div(v, pow(by)?)) } };
        let step = |x: i128, y: i128| -> Option<i128> {
            match self.op {
                Operator::Add => down(x, sa - s)?.checked_add(down(y, sb - s)?),
                Operator::Subtract => down(x, sa - s)?.checked_sub(down(y, sb - s)?),
                _ => down(x.checked_mul(y)?, sa + sb - s),
            }
        };
        let out: PrimitiveArray<Decimal128Type> = if self.op == Operator::Divide {
            // x / 10^sa over y / 10^sb, to s decimals: x * 10^(s + sb - sa) / y.
            let mut builder = Decimal128Builder::with_capacity(a.len());
            for (x, y) in a.iter().zip(b.iter()) {
                match (x, y) {
                    (Some(_), Some(0)) => {
                        self.statement.warn(weald_types::WarningLevel::Warning, Fault::DivisionByZero);
                        builder.append_null();
                    }
                    (Some(x), Some(y)) => {
                        let up = s + sb - sa;
                        let value = if up >= 0 {
                            pow(up).and_then(|p| x.checked_mul(p)).map(|n| trunc_round(n, y))
                        } else {
                            pow(-up).and_then(|p| y.checked_mul(p)).map(|d| trunc_round(x, d))
                        };
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

/// Half away from zero.
fn round_div(v: i128, by: i128) -> i128 {
    let (q, r) = (v / by, v % by);
    if r.unsigned_abs() * 2 >= by.unsigned_abs() { q + if (v < 0) == (by < 0) { 1 } else { -1 } } else { q }
}

/// MySQL's division keeps more digits than it shows and rounds when it shows them; at the scale of the result that is rounding.
fn trunc_round(n: i128, d: i128) -> i128 {
    round_div(n, d)
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
        let arrays = arrays(&args)?;
        Ok(ColumnarValue::Array(match &self.to {
            DataType::Decimal128(p, s) => self.decimals(arrays[0].as_primitive(), arrays[1].as_primitive(), *p, *s)?,
            _ => self.ints(arrays[0].as_primitive(), arrays[1].as_primitive())?,
        }))
    }
}
