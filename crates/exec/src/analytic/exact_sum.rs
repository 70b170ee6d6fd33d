//! SUM of exact numbers.
//!
//! Owns:     one 128-bit sum for each group.
//! Promises: the sum is exact, or the query is told that it outgrew its carrier and runs where numbers are wider: DataFusion's own sum wraps around.
//! Never:    rounds.

use super::carrier_overflow;
use super::udf::fault;
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Decimal128Array};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Decimal128Type, Field, FieldRef};
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, Expr, GroupsAccumulator, Signature, Volatility};
use std::sync::{Arc, LazyLock};

static EXACT_SUM: LazyLock<Arc<AggregateUDF>> =
    LazyLock::new(|| Arc::new(AggregateUDF::new_from_impl(ExactSum { signature: Signature::any(1, Volatility::Immutable) })));

/// The exact sum of decimals of 38 digits.
pub fn exact_sum(summed: Expr) -> Expr {
    EXACT_SUM.call(vec![summed])
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ExactSum {
    signature: Signature,
}

fn scale_of(t: &DataType) -> Result<i8> {
    match t {
        DataType::Decimal128(_, s) => Ok(*s),
        other => Err(DataFusionError::Internal(format!("an exact sum of {other}"))),
    }
}

fn add(sum: i128, v: i128) -> Result<i128> {
    sum.checked_add(v).ok_or_else(|| fault(carrier_overflow()))
}

impl AggregateUDFImpl for ExactSum {
    fn name(&self) -> &str {
        "exact_sum"
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, args: &[DataType]) -> Result<DataType> {
        Ok(DataType::Decimal128(38, scale_of(&args[0])?))
    }
    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(One { sum: None, scale: scale_of(args.return_field.data_type())? }))
    }
    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(vec![Arc::new(Field::new(format_state_name(args.name, "sum"), args.return_field.data_type().clone(), true))])
    }
    fn groups_accumulator_supported(&self, _: AccumulatorArgs) -> bool {
        true
    }
    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(Groups { sums: Vec::new(), seen: Vec::new(), scale: scale_of(args.return_field.data_type())? }))
    }
}

/// The sum of one group.
#[derive(Debug)]
struct One {
    sum: Option<i128>,
    scale: i8,
}

impl Accumulator for One {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for v in values[0].as_primitive::<Decimal128Type>().iter().flatten() {
            self.sum = Some(add(self.sum.unwrap_or(0), v)?);
        }
        Ok(())
    }
    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Decimal128(self.sum, 38, self.scale))
    }
    fn size(&self) -> usize {
        size_of_val(self)
    }
    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }
    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }
}

/// The sums of many groups; a group of NULLs alone was not `seen`.
struct Groups {
    sums: Vec<i128>,
    seen: Vec<bool>,
    scale: i8,
}

impl Groups {
    fn take(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let sums = emit_to.take_needed(&mut self.sums);
        let seen = emit_to.take_needed(&mut self.seen);
        let sums = Decimal128Array::new(sums.into(), Some(NullBuffer::from(seen)));
        Ok(Arc::new(sums.with_precision_and_scale(38, self.scale)?))
    }
}

impl GroupsAccumulator for Groups {
    fn update_batch(&mut self, values: &[ArrayRef], groups: &[usize], filter: Option<&BooleanArray>, total: usize) -> Result<()> {
        self.sums.resize(total, 0);
        self.seen.resize(total, false);
        let values = values[0].as_primitive::<Decimal128Type>();
        if values.null_count() == 0 && filter.is_none() {
            for (g, v) in groups.iter().zip(values.values()) {
                self.sums[*g] = add(self.sums[*g], *v)?;
                self.seen[*g] = true;
            }
            return Ok(());
        }
        for (i, (g, v)) in groups.iter().zip(values.iter()).enumerate() {
            let wanted = filter.is_none_or(|f| f.is_valid(i) && f.value(i));
            if let (true, Some(v)) = (wanted, v) {
                self.sums[*g] = add(self.sums[*g], v)?;
                self.seen[*g] = true;
            }
        }
        Ok(())
    }
    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        self.take(emit_to)
    }
    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.take(emit_to)?])
    }
    fn merge_batch(&mut self, values: &[ArrayRef], groups: &[usize], total: usize) -> Result<()> {
        self.update_batch(values, groups, None, total)
    }
    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let Some(filter) = filter else { return Ok(vec![values[0].clone()]) };
        // What is not wanted is NULL in the state.
        let unwanted: BooleanArray = (0..filter.len()).map(|i| Some(!(filter.is_valid(i) && filter.value(i)))).collect();
        Ok(vec![arrow::compute::nullif(&values[0], &unwanted)?])
    }
    fn size(&self) -> usize {
        self.sums.capacity() * size_of::<i128>() + self.seen.capacity()
    }
}
