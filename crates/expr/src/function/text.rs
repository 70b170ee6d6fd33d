//! Functions that make a text out of a text: pieces, paddings, cases.
//!
//! Owns:     nothing.
//! Promises: positions count characters, or bytes of a binary string; a position outside the text gives '', as in MySQL.
//! Never:    searches by collation: see `text_search`.

use super::argument::{count, known, length, offset, start};
use super::result_type::{any_nullable, binary, characters, collation_of, int, int_of_texts, like_first, own_text, string};
use super::{ANY, BindContext, Call, FunctionDef};
use crate::in_flight::has_room;
use crate::{EvalContext, Expr};
use weald_types::{Collation, Fault, SqlType, Value};

pub const FUNCTIONS: &[FunctionDef] = &[
    FunctionDef::new("BIT_LENGTH", 1, 1, int, |call, v, _| Ok(Value::Int(known!(call.own_bytes(v, 0)).len() as i64 * 8))),
    FunctionDef::new("CHAR_LENGTH", 1, 1, int_of_texts, |call, v, _| Ok(Value::Int(length(&known!(call.bytes(v, 0)), call.counts_bytes()) as i64))),
    FunctionDef::new("CONCAT", 1, ANY, bind_concat, concat),
    FunctionDef::new("CONCAT_WS", 2, ANY, bind_concat_ws, concat_ws),
    FunctionDef::new("INSERT", 4, 4, bind_insert, insert),
    FunctionDef::new("LEFT", 2, 2, like_first, left),
    FunctionDef::new("LENGTH", 1, 1, int, |call, v, _| Ok(Value::Int(known!(call.own_bytes(v, 0)).len() as i64))),
    FunctionDef::new("LOWER", 1, 1, like_first, |call, v, _| change_case(call, v, Collation::lower)),
    FunctionDef::new("LPAD", 3, 3, bind_pad, |call, v, ctx| pad(call, v, ctx, Side::Start)),
    FunctionDef::new("LTRIM", 1, 1, like_first, |call, v, _| trim(call, v, true, false)),
    FunctionDef::new("REPEAT", 2, 2, bind_repeat, repeat),
    FunctionDef::new("REVERSE", 1, 1, like_first, reverse),
    FunctionDef::new("RIGHT", 2, 2, like_first, right),
    FunctionDef::new("RPAD", 3, 3, bind_pad, |call, v, ctx| pad(call, v, ctx, Side::End)),
    FunctionDef::new("RTRIM", 1, 1, like_first, |call, v, _| trim(call, v, false, true)),
    FunctionDef::new("SPACE", 1, 1, bind_space, space),
    FunctionDef::new("SUBSTRING", 2, 3, like_first, substring),
    FunctionDef::new("TRIM", 1, 1, like_first, |call, v, _| trim(call, v, true, true)),
    FunctionDef::new("TRIM_BOTH", 1, 2, bind_trim, |call, v, _| trim(call, v, true, true)),
    FunctionDef::new("TRIM_LEADING", 1, 2, bind_trim, |call, v, _| trim(call, v, true, false)),
    FunctionDef::new("TRIM_TRAILING", 1, 2, bind_trim, |call, v, _| trim(call, v, false, true)),
    FunctionDef::new("UPPER", 1, 1, like_first, |call, v, _| change_case(call, v, Collation::upper)),
];

type Bound = Result<(SqlType, Collation), Fault>;

fn of_length(characters: u64, args: &[Expr], collation: Collation, nullable: bool) -> Bound {
    Ok((string(characters, nullable || any_nullable(args), collation), collation))
}

fn bind_concat(args: &mut [Expr], c: &BindContext) -> Bound {
    let total = args.iter().map(characters).fold(0, u64::saturating_add);
    of_length(total, args, collation_of(args, "concat", c)?, false)
}

fn concat(call: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    if v.iter().any(Value::is_null) {
        return Ok(Value::Null);
    }
    let mut out = Vec::with_capacity(32);
    for i in 0..v.len() {
        let part = known!(call.bytes(v, i));
        if !call.may_make((out.len() + part.len()) as u128, ctx)? {
            return Ok(Value::Null);
        }
        out.extend_from_slice(&part);
    }
    Ok(call.string(out))
}

fn bind_concat_ws(args: &mut [Expr], c: &BindContext) -> Bound {
    let separators = characters(&args[0]).saturating_mul(args.len() as u64 - 2);
    let total = args[1..].iter().map(characters).fold(separators, u64::saturating_add);
    let collation = collation_of(args, "concat_ws", c)?;
    Ok((string(total, args[0].ty().nullable, collation), collation))
}

fn concat_ws(call: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let separator = known!(call.bytes(v, 0));
    let mut out = Vec::with_capacity(32);
    let mut first = true;
    for i in 1..v.len() {
        if let Some(part) = call.bytes(v, i) {
            if !first {
                out.extend_from_slice(&separator);
            }
            first = false;
            if !call.may_make((out.len() + part.len()) as u128, ctx)? {
                return Ok(Value::Null);
            }
            out.extend_from_slice(&part);
        }
    }
    Ok(call.string(out))
}

fn bind_insert(args: &mut [Expr], c: &BindContext) -> Bound {
    let texts = [args[0].clone(), args[3].clone()];
    let total = characters(&args[0]).saturating_add(characters(&args[3]));
    of_length(total, args, collation_of(&texts, "insert", c)?, false)
}

fn insert(call: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let (text, new) = (known!(call.bytes(v, 0)), known!(call.bytes(v, 3)));
    let (position, length_of_old) = (known!(count(&v[1], ctx)), known!(count(&v[2], ctx)));
    let characters = length(&text, call.gives_bytes()) as i64;
    if position < 1 || position > characters {
        return Ok(call.string_from(&text));
    }
    let left = characters - position + 1;
    let old = if length_of_old < 0 || length_of_old > left { left } else { length_of_old };
    let from = offset(&text, position as usize - 1, call.gives_bytes());
    let to = from + offset(&text[from..], old as usize, call.gives_bytes());
    if !call.may_make((text.len() - (to - from) + new.len()) as u128, ctx)? {
        return Ok(Value::Null);
    }
    Ok(call.string([&text[..from], &new, &text[to..]].concat()))
}

fn left(call: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let text = known!(call.bytes(v, 0));
    let n = known!(count(&v[1], ctx)).max(0) as usize;
    Ok(call.string_from(start(&text, n, call.gives_bytes())))
}

fn right(call: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let text = known!(call.bytes(v, 0));
    let n = known!(count(&v[1], ctx)).max(0) as usize;
    let skip = length(&text, call.gives_bytes()).saturating_sub(n);
    Ok(call.string_from(&text[offset(&text, skip, call.gives_bytes())..]))
}

fn substring(call: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let text = known!(call.bytes(v, 0));
    let position = known!(count(&v[1], ctx));
    let wanted = if v.len() == 3 { known!(count(&v[2], ctx)) } else { i64::MAX };
    if position == 0 || wanted <= 0 {
        return Ok(call.string_from(b""));
    }
    let by_byte = call.gives_bytes();
    let from = if position > 0 {
        position as usize - 1
    } else {
        let characters = length(&text, by_byte) as i64;
        if -position > characters {
            return Ok(call.string_from(b""));
        }
        (characters + position) as usize
    };
    let rest = &text[offset(&text, from, by_byte)..];
    Ok(call.string_from(start(rest, usize::try_from(wanted).unwrap_or(usize::MAX), by_byte)))
}

fn change_case(call: &Call<'_>, v: &[Value], change: fn(Collation, &str) -> String) -> Result<Value, Fault> {
    if call.gives_bytes() {
        // A binary string has no letters.
        return Ok(call.string_from(&known!(call.bytes(v, 0))));
    }
    Ok(Value::Str(change(call.ty.collation, &known!(call.text(v, 0))).into()))
}

fn bind_trim(args: &mut [Expr], c: &BindContext) -> Bound {
    let collation = collation_of(args, "trim", c)?;
    of_length(characters(&args[0]), args, collation, false)
}

fn trim(call: &Call<'_>, v: &[Value], leading: bool, trailing: bool) -> Result<Value, Fault> {
    let text = known!(call.bytes(v, 0));
    let what = if v.len() == 2 { known!(call.bytes(v, 1)) } else { b" ".into() };
    let mut left: &[u8] = &text;
    if !what.is_empty() {
        while leading && left.starts_with(&what) {
            left = &left[what.len()..];
        }
        while trailing && left.ends_with(&what) {
            left = &left[..left.len() - what.len()];
        }
    }
    Ok(call.string_from(left))
}

/// A literal length gives the type its length; any other could be anything.
fn repeated(unit: u64, times: &Expr) -> u64 {
    match super::argument::literal_int(times) {
        Some(n) => unit.saturating_mul(n.max(0) as u64),
        None => u32::MAX as u64,
    }
}

fn bind_pad(args: &mut [Expr], c: &BindContext) -> Bound {
    let texts = [args[0].clone(), args[2].clone()];
    of_length(repeated(1, &args[1]), args, collation_of(&texts, "lpad", c)?, true)
}

#[derive(Clone, Copy, PartialEq)]
enum Side {
    Start,
    End,
}

fn pad(call: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>, side: Side) -> Result<Value, Fault> {
    let (text, padding) = (known!(call.bytes(v, 0)), known!(call.bytes(v, 2)));
    let wanted = known!(count(&v[1], ctx));
    if wanted < 0 {
        return Ok(Value::Null);
    }
    let by_byte = call.gives_bytes();
    let (wanted, have) = (wanted as usize, length(&text, by_byte));
    if wanted <= have {
        return Ok(call.string_from(start(&text, wanted, by_byte)));
    }
    // MySQL reckons with the longest characters there could be.
    if !call.fits_packet(wanted as u128 * call.ty.collation.max_len() as u128, ctx) {
        return Ok(Value::Null);
    }
    let unit = length(&padding, by_byte);
    if unit == 0 {
        return Ok(call.string_from(b""));
    }
    let missing = wanted - have;
    // What is put beside the text, and then both.
    let fill_bytes = (missing / unit + 1) as u64 * padding.len() as u64;
    has_room(ctx.statement, 2 * fill_bytes + text.len() as u64)?;
    let mut fill = padding.repeat(missing / unit);
    fill.extend_from_slice(start(&padding, missing % unit, by_byte));
    Ok(call.string(if side == Side::Start { [&fill[..], &text].concat() } else { [&text[..], &fill].concat() }))
}

fn bind_repeat(args: &mut [Expr], c: &BindContext) -> Bound {
    let collation = collation_of(&args[..1], "repeat", c)?;
    of_length(repeated(characters(&args[0]), &args[1]), args, collation, true)
}

fn repeat(call: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let text = known!(call.bytes(v, 0));
    let times = known!(count(&v[1], ctx));
    if times <= 0 || text.is_empty() {
        return Ok(call.string_from(b""));
    }
    if !call.may_make(text.len() as u128 * times as u128, ctx)? {
        return Ok(Value::Null);
    }
    Ok(call.string(text.repeat(times as usize)))
}

fn bind_space(args: &mut [Expr], c: &BindContext) -> Bound {
    own_text(repeated(1, &args[0]), true, c)
}

fn space(call: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let n = known!(count(&v[0], ctx)).max(0);
    if !call.may_make(n as u128, ctx)? {
        return Ok(Value::Null);
    }
    Ok(call.string(vec![b' '; n as usize]))
}

fn reverse(call: &Call<'_>, v: &[Value], _: &EvalContext<'_>) -> Result<Value, Fault> {
    if call.gives_bytes() {
        let mut bytes = known!(call.bytes(v, 0)).into_owned();
        bytes.reverse();
        return Ok(Value::bytes(bytes));
    }
    let reversed: String = known!(call.text(v, 0)).chars().rev().collect();
    Ok(Value::Str(reversed.into()))
}

/// VARBINARY as long as the argument: for COMPRESS and its kin.
pub(super) fn binary_like_first(args: &mut [Expr], _: &BindContext) -> Bound {
    let width = if args[0].ty().kind.is_text() { args[0].ty().collation.max_len() as u64 } else { 1 };
    binary(characters(&args[0]).saturating_mul(width), true)
}
