//! ANY_VALUE: the value of one of a group's rows.
//!
//! Owns:     one value for each group.
//! Promises: the value of the first row of the group that it is given, NULL or not; rows after it cost a look at whether the group is new.
//! Never:    compares values.
//!
//! Groups are numbered as they are found, so the rows that begin a group come in the order of the groups: they are taken out of each batch at once, and
//! the pieces one after the other are the result.

use arrow::array::{Array, ArrayRef, BooleanArray, UInt32Array, new_empty_array};
use arrow::compute::{concat, take};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, Expr, GroupsAccumulator, Signature, Volatility};
use std::sync::{Arc, LazyLock};

static ANY_VALUE: LazyLock<Arc<AggregateUDF>> =
    LazyLock::new(|| Arc::new(AggregateUDF::new_from_impl(AnyValue { signature: Signature::any(1, Volatility::Immutable) })));

pub fn any_value(of: Expr) -> Expr {
    ANY_VALUE.call(vec![of])
}

/// No row yet: its group has no value, not even NULL.
const NONE: u32 = u32::MAX;

#[derive(Debug, PartialEq, Eq, Hash)]
struct AnyValue {
    signature: Signature,
}

impl AggregateUDFImpl for AnyValue {
    fn name(&self) -> &str {
        "any_value"
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, args: &[DataType]) -> Result<DataType> {
        Ok(args[0].clone())
    }
    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(One { value: None, ty: args.return_field.data_type().clone() }))
    }
    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(vec![Arc::new(Field::new(format_state_name(args.name, "value"), args.return_field.data_type().clone(), true))])
    }
    fn groups_accumulator_supported(&self, _: AccumulatorArgs) -> bool {
        true
    }
    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(Groups { pieces: Vec::new(), length: 0, bytes: 0, places: Vec::new(), ty: args.return_field.data_type().clone() }))
    }
}

/// The value of one group.
#[derive(Debug)]
struct One {
    value: Option<ScalarValue>,
    ty: DataType,
}

impl Accumulator for One {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        if self.value.is_none() && !values[0].is_empty() {
            self.value = Some(ScalarValue::try_from_array(&values[0], 0)?);
        }
        Ok(())
    }
    fn evaluate(&mut self) -> Result<ScalarValue> {
        match &self.value {
            Some(v) => Ok(v.clone()),
            None => ScalarValue::try_from(&self.ty),
        }
    }
    fn size(&self) -> usize {
        size_of_val(self) + self.value.as_ref().map_or(0, ScalarValue::size)
    }
    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }
    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }
}

/// The values of many groups.
struct Groups {
    pieces: Vec<ArrayRef>,
    /// Rows in all pieces.
    length: u32,
    bytes: usize,
    /// Of each group: where its value is among the pieces' rows.
    places: Vec<u32>,
    ty: DataType,
}

impl Groups {
    fn take(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let places = emit_to.take_needed(&mut self.places);
        let pieces: Vec<&dyn Array> = self.pieces.iter().map(|p| &**p).collect();
        let all = if pieces.is_empty() { new_empty_array(&self.ty) } else { concat(&pieces)? };
        let in_order = places.len() == all.len() && places.iter().enumerate().all(|(i, p)| i == *p as usize);
        let out = if in_order {
            all.clone()
        } else {
            let places: UInt32Array = places.iter().map(|p| (*p != NONE).then_some(*p)).collect();
            take(&all, &places, None)?
        };
        // What stays is kept in one piece; what went is not worth taking out of it.
        self.pieces = if self.places.is_empty() { Vec::new() } else { vec![all] };
        if self.pieces.is_empty() {
            (self.length, self.bytes) = (0, 0);
        }
        Ok(out)
    }
}

impl GroupsAccumulator for Groups {
    fn update_batch(&mut self, values: &[ArrayRef], groups: &[usize], filter: Option<&BooleanArray>, total: usize) -> Result<()> {
        self.places.resize(total, NONE);
        let mut first: Vec<u32> = Vec::new();
        for (i, g) in groups.iter().enumerate() {
            if self.places[*g] == NONE && filter.is_none_or(|f| f.is_valid(i) && f.value(i)) {
                self.places[*g] = self.length + first.len() as u32;
                first.push(i as u32);
            }
        }
        if !first.is_empty() {
            self.length += first.len() as u32;
            let piece = take(&values[0], &UInt32Array::from(first), None)?;
            // Bytes behind views are shared with others: what counts is what is kept.
            self.bytes += piece.to_data().get_slice_memory_size().unwrap_or(piece.len() * 32);
            self.pieces.push(piece);
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
    fn convert_to_state(&self, values: &[ArrayRef], _: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        // A row that a filter refuses would be a value of its group: none of our calls has a filter.
        Ok(vec![values[0].clone()])
    }
    fn size(&self) -> usize {
        self.bytes + self.places.capacity() * size_of::<u32>()
    }
}
