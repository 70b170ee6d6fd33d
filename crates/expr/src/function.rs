//! Functions called by name: what each is called, takes and returns.
//!
//! Owns:     the table of all functions.
//! Promises: a function is here once, for all executors; an unknown name is 1305 (as "FUNCTION db.x does not exist").
//! Never:    aggregates: see `aggregate`.

mod argument;
mod cipher;
mod clock;
mod constant;
mod control;
mod date_arithmetic;
mod date_format;
mod date_make;
mod date_part;
mod date_read;
mod digest;
mod float;
mod identifier;
mod interval;
mod json_argument;
mod json_convert;
mod json_make;
mod json_read;
mod json_schema;
mod json_value;
mod locale;
mod lock;
mod network;
mod number;
mod random;
mod readable;
mod regexp;
mod result_type;
mod session;
#[cfg(test)]
mod tests;
mod text;
mod text_code;
mod text_list;
mod text_search;
mod unix_time;

pub use cipher::EncryptionMode;
pub use interval::IntervalUnit;
pub(crate) use json_argument::{document_of, invalid_json, parse_path, too_deep as json_too_deep};
pub(crate) use json_convert::convert as convert_json;
pub use json_make::key as json_key;
pub use json_value::{JsonOtherwise, bind_json_value};
pub use regexp::bind_pattern;

use crate::{EvalContext, Expr, Operator, typing};
use std::collections::HashMap;
use std::sync::LazyLock;
use weald_types::{Collation, Fault, SqlType, Value};

pub type Bind = fn(&mut [Expr], &BindContext) -> Result<(SqlType, Collation), Fault>;
pub type Eval = fn(&Call<'_>, &[Value], &EvalContext<'_>) -> Result<Value, Fault>;
/// Asks for the values of arguments by number, as it needs them.
pub type LazyEval = fn(&Call<'_>, &mut dyn FnMut(usize) -> Result<Value, Fault>, &EvalContext<'_>) -> Result<Value, Fault>;

/// A scalar function. Compared and printed by its name.
pub struct FunctionDef {
    /// Upper case.
    pub name: &'static str,
    pub min_args: usize,
    /// `usize::MAX`: any number.
    pub max_args: usize,
    /// Result type and, for functions that compare, the collation. May wrap arguments in casts.
    pub bind: Bind,
    /// Arguments are evaluated, in order. `call` has their types.
    pub eval: Eval,
    /// Where there is one, it is used instead of `eval`: for functions that must not evaluate arguments they do not need.
    pub lazy: Option<LazyEval>,
    pub volatility: Volatility,
}

/// What the evaluation of a function knows of its own call.
pub struct Call<'a> {
    pub name: &'static str,
    pub args: &'a [Expr],
    pub ty: &'a SqlType,
    pub collation: Collation,
}

/// What binding may know of the session.
#[derive(Clone, Copy, Debug)]
pub struct BindContext {
    pub sql_mode: weald_types::SqlMode,
    pub collation_connection: Collation,
    pub div_precision_increment: u8,
    pub group_concat_max_len: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Volatility {
    /// Same arguments, same answer: may be folded when a plan is made.
    Immutable,
    /// Same within one statement (NOW, CONNECTION_ID, time-zone dependent): folded at execution, not in a cached plan.
    Stable,
    /// Every call anew: RAND, UUID, SLEEP, user variables.
    Volatile,
}

const ANY: usize = usize::MAX;

impl FunctionDef {
    const fn new(name: &'static str, min_args: usize, max_args: usize, bind: Bind, eval: Eval) -> Self {
        Self { name, min_args, max_args, bind, eval, lazy: None, volatility: Volatility::Immutable }
    }
    const fn stable(mut self) -> Self {
        self.volatility = Volatility::Stable;
        self
    }
    const fn volatile(mut self) -> Self {
        self.volatility = Volatility::Volatile;
        self
    }
    const fn lazily(mut self, lazy: LazyEval) -> Self {
        self.lazy = Some(lazy);
        self
    }
}

impl std::fmt::Debug for FunctionDef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}
impl PartialEq for FunctionDef {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

static FAMILIES: &[&[FunctionDef]] = &[
    cipher::FUNCTIONS,
    clock::FUNCTIONS,
    control::FUNCTIONS,
    date_arithmetic::FUNCTIONS,
    date_format::FUNCTIONS,
    date_make::FUNCTIONS,
    date_part::FUNCTIONS,
    date_read::FUNCTIONS,
    digest::FUNCTIONS,
    float::FUNCTIONS,
    identifier::FUNCTIONS,
    json_make::FUNCTIONS,
    json_read::FUNCTIONS,
    json_schema::FUNCTIONS,
    json_value::FUNCTIONS,
    lock::FUNCTIONS,
    network::FUNCTIONS,
    number::FUNCTIONS,
    random::FUNCTIONS,
    readable::FUNCTIONS,
    regexp::FUNCTIONS,
    session::FUNCTIONS,
    text::FUNCTIONS,
    text_code::FUNCTIONS,
    text_list::FUNCTIONS,
    text_search::FUNCTIONS,
    unix_time::FUNCTIONS,
];

/// Second names.
static SYNONYMS: &[(&str, &str)] = &[
    ("CEILING", "CEIL"),
    ("CHARACTER_LENGTH", "CHAR_LENGTH"),
    ("CURRENT_DATE", "CURDATE"),
    ("CURRENT_TIME", "CURTIME"),
    ("CURRENT_TIMESTAMP", "NOW"),
    ("DAYOFMONTH", "DAY"),
    ("JSON_MEMBER_OF", "MEMBER_OF"),
    ("JSON_MERGE", "JSON_MERGE_PRESERVE"),
    ("LCASE", "LOWER"),
    ("LOCALTIME", "NOW"),
    ("LOCALTIMESTAMP", "NOW"),
    ("MID", "SUBSTRING"),
    ("OCTET_LENGTH", "LENGTH"),
    ("POSITION", "LOCATE"),
    ("POWER", "POW"),
    ("SCHEMA", "DATABASE"),
    ("SESSION_USER", "USER"),
    ("SHA1", "SHA"),
    ("SUBSTR", "SUBSTRING"),
    ("SYSTEM_USER", "USER"),
    ("UCASE", "UPPER"),
];

static TABLE: LazyLock<HashMap<&'static str, &'static FunctionDef>> = LazyLock::new(|| {
    let mut table: HashMap<&'static str, &'static FunctionDef> = all().map(|f| (f.name, f)).collect();
    for (synonym, name) in SYNONYMS {
        if let Some(f) = table.get(name).copied() {
            table.insert(synonym, f);
        }
    }
    table
});

/// The function of that name, in any case.
pub fn lookup(name: &str) -> Option<&'static FunctionDef> {
    if let Some(f) = TABLE.get(name) {
        return Some(f);
    }
    TABLE.get(name.to_ascii_uppercase().as_str()).copied()
}

/// The function that goes by exactly this name, those included that are not called by name but put in by `typing`: as an expression carries it to another node.
pub(crate) fn by_name(name: &str) -> Option<&'static FunctionDef> {
    TABLE.get(name).copied().or_else(|| PUT_IN.iter().copied().find(|f| f.name == name))
}

static PUT_IN: [&FunctionDef; 6] = [&CONSTANT_DOUBLE, &CONSTANT_INTEGER, &CONSTANT_YEAR, &CONSTANT_DATE, &CONSTANT_DATETIME, &COLLATE];

/// Every function once, without its synonyms.
pub fn all() -> impl Iterator<Item = &'static FunctionDef> {
    FAMILIES.iter().flat_map(|f| f.iter())
}

/// A call of `name`, with its result type. [`Fault::NoSuchFunction`], [`Fault::WrongArgumentCount`], or what the function says of its arguments.
pub fn bind_call(name: &str, args: Vec<Expr>, c: &BindContext) -> Result<Expr, Fault> {
    let Some(function) = lookup(name) else { return Err(Fault::NoSuchFunction { name: name.to_string() }) };
    if args.len() < function.min_args || args.len() > function.max_args {
        return Err(Fault::WrongArgumentCount { name: name.to_string() });
    }
    let args = if takes_numbers(function) { args.into_iter().map(typing::as_number).collect() } else { args };
    // NAME_CONST, COERCIBILITY … none takes a row.
    if args.iter().any(|a| matches!(a, Expr::Row(_))) {
        return Err(Fault::OperandColumns { columns: 1 });
    }
    bind(function, args, c)
}

/// Functions whose arguments are all numbers.
fn takes_numbers(function: &FunctionDef) -> bool {
    function.name != "CONV" && number::FUNCTIONS.iter().chain(float::FUNCTIONS).any(|f| f.name == function.name)
}

fn bind(function: &'static FunctionDef, mut args: Vec<Expr>, c: &BindContext) -> Result<Expr, Fault> {
    let (ty, collation) = (function.bind)(&mut args, c)?;
    // IF is CASE by another name: every executor knows how to take one branch only.
    if function.name == "IF"
        && let Ok([condition, then, otherwise]) = <[Expr; 3]>::try_from(args.clone())
    {
        let condition = typing::as_number(condition);
        return Ok(Expr::Case { operand: None, branches: vec![(condition, then)], otherwise: Some(Box::new(otherwise)), ty });
    }
    if function.name == "MOD" {
        return typing::operator(Operator::Mod, args, c);
    }
    Ok(Expr::Call { function, args, ty, collation })
}

fn named(name: &'static str, args: Vec<Expr>, c: &BindContext) -> Result<Expr, Fault> {
    bind_call(name, args, c)
}

/// `expr ± INTERVAL amount unit`.
pub fn bind_date_arith(expr: Expr, amount: Expr, unit: IntervalUnit, subtract: bool, c: &BindContext) -> Result<Expr, Fault> {
    named(if subtract { "DATE_SUB" } else { "DATE_ADD" }, vec![unit.literal(), expr, amount], c)
}
/// EXTRACT(unit FROM expr)
pub fn bind_extract(unit: IntervalUnit, expr: Expr, c: &BindContext) -> Result<Expr, Fault> {
    named("EXTRACT", vec![unit.literal(), expr], c)
}
/// TIMESTAMPADD(unit, amount, expr)
pub fn bind_timestamp_add(unit: IntervalUnit, amount: Expr, expr: Expr, c: &BindContext) -> Result<Expr, Fault> {
    named("TIMESTAMPADD", vec![unit.literal(), amount, expr], c)
}
/// TIMESTAMPDIFF(unit, from, to)
pub fn bind_timestamp_diff(unit: IntervalUnit, from: Expr, to: Expr, c: &BindContext) -> Result<Expr, Fault> {
    named("TIMESTAMPDIFF", vec![unit.literal(), from, to], c)
}

/// A constant text in a comparison with numbers: read once for every row, warned of once in a statement.
pub static CONSTANT_DOUBLE: FunctionDef =
    FunctionDef::new("CONSTANT_DOUBLE", 1, 1, result_type::double, |call, v, ctx| Ok(constant::number(call.bytes(v, 0), false, ctx)));
/// The same beside an integer column: digits only are an integer, exactly.
pub static CONSTANT_INTEGER: FunctionDef =
    FunctionDef::new("CONSTANT_INTEGER", 1, 1, result_type::double, |call, v, ctx| Ok(constant::number(call.bytes(v, 0), true, ctx)));
/// A constant in a comparison with a YEAR column.
pub static CONSTANT_YEAR: FunctionDef = FunctionDef::new("CONSTANT_YEAR", 1, 1, result_type::int, |_, v, ctx| Ok(constant::year(&v[0], ctx)));
/// A constant text in a comparison with a DATE: what is none is an error.
pub static CONSTANT_DATE: FunctionDef =
    FunctionDef::new("CONSTANT_DATE", 1, 1, |_, _| result_type::datetime(6), |_, v, ctx| constant::datetime(&v[0], "DATE", ctx));
/// … with a DATETIME or TIMESTAMP.
pub static CONSTANT_DATETIME: FunctionDef =
    FunctionDef::new("CONSTANT_DATETIME", 1, 1, |_, _| result_type::datetime(6), |_, v, ctx| constant::datetime(&v[0], "DATETIME", ctx));

/// `expr COLLATE name`: the value as it is; only the collation is another.
pub static COLLATE: FunctionDef = FunctionDef::new(
    "COLLATE",
    1,
    1,
    |args, _| Ok((args[0].ty().clone(), args[0].ty().collation)),
    |call, values, _| Ok(crate::coerce::text(&values[0], call.args[0].ty()).map_or(Value::Null, Value::str)),
);
