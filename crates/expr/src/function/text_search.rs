//! Functions that look for one text in another.
//!
//! Owns:     nothing.
//! Promises: LOCATE, INSTR, FIELD, FIND_IN_SET and STRCMP compare under the call's collation; REPLACE and SUBSTRING_INDEX compare bytes, as in MySQL.
//! Never:    splits a character.

use super::argument::{count, known, length, offset};
use super::result_type::{any_nullable, characters, collation_of, int, string};
use super::{ANY, BindContext, Call, FunctionDef};
use crate::in_flight::has_room;
use crate::{EvalContext, Expr, compare, typing};
use weald_types::{Collation, Fault, SqlType, Value};

pub const FUNCTIONS: &[FunctionDef] = &[
    FunctionDef::new("FIELD", 2, ANY, bind_field, field),
    FunctionDef::new("FIND_IN_SET", 2, 2, bind_texts, find_in_set),
    FunctionDef::new("INSTR", 2, 2, bind_texts, |call, v, _| {
        let (text, what) = (known!(call.bytes(v, 0)), known!(call.bytes(v, 1)));
        Ok(Value::Int(locate(call, &what, &text, 0)))
    }),
    FunctionDef::new("LOCATE", 2, 3, bind_locate, locate_from),
    FunctionDef::new("REPLACE", 3, 3, bind_replace, replace),
    FunctionDef::new("STRCMP", 2, 2, bind_texts, |call, v, _| {
        Ok(Value::Int(call.collation.compare(&known!(call.bytes(v, 0)), &known!(call.bytes(v, 1))) as i64))
    }),
    FunctionDef::new("SUBSTRING_INDEX", 3, 3, bind_substring_index, substring_index),
];

type Bound = Result<(SqlType, Collation), Fault>;

fn bind_texts(args: &mut [Expr], c: &BindContext) -> Bound {
    Ok((int(args, c)?.0, collation_of(args, "", c)?))
}

fn bind_locate(args: &mut [Expr], c: &BindContext) -> Bound {
    Ok((int(args, c)?.0, collation_of(&args[..2], "locate", c)?))
}

/// The position of `what`, from 1, at or after byte `from`; 0: it is not there.
fn locate(call: &Call<'_>, what: &[u8], text: &[u8], from: usize) -> i64 {
    let by_byte = call.counts_bytes();
    match call.collation.find(text, what, from) {
        Some((at, _)) => length(&text[..at], by_byte) as i64 + 1,
        None => 0,
    }
}

fn locate_from(call: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let (what, text) = (known!(call.bytes(v, 0)), known!(call.bytes(v, 1)));
    let mut from = 0;
    if v.len() == 3 {
        let position = known!(count(&v[2], ctx));
        let by_byte = call.counts_bytes();
        if position < 1 || position > length(&text, by_byte) as i64 + 1 {
            return Ok(Value::Int(0));
        }
        from = offset(&text, position as usize - 1, by_byte);
    }
    Ok(Value::Int(locate(call, &what, &text, from)))
}

/// FIELD compares texts as texts, integers as integers, and all else as doubles.
fn bind_field(args: &mut [Expr], c: &BindContext) -> Bound {
    let ty = SqlType::bigint(false);
    let text = |e: &Expr| e.ty().kind.is_text() || e.ty().kind.is_binary() || typing::is_null_type(e.ty());
    if args.iter().all(text) {
        return Ok((ty, collation_of(args, "field", c)?));
    }
    if !args.iter().all(|e| e.ty().kind.is_integer()) {
        let exact = args.iter().all(|e| e.ty().kind.is_integer() || matches!(e.ty().kind, weald_types::TypeKind::Decimal { .. }));
        for e in args.iter_mut().filter(|e| !exact && !typing::is_null_type(e.ty())) {
            *e = typing::cast(e.clone(), SqlType::double(e.ty().nullable));
        }
    }
    Ok((ty, Collation::BINARY))
}

fn field(call: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    if v[0].is_null() {
        return Ok(Value::Int(0));
    }
    let at = v[1..].iter().position(|item| compare::equal(&v[0], item, call.collation, ctx) == Some(true));
    Ok(Value::Int(at.map_or(0, |i| i as i64 + 1)))
}

fn find_in_set(call: &Call<'_>, v: &[Value], _: &EvalContext<'_>) -> Result<Value, Fault> {
    let (what, list) = (known!(call.bytes(v, 0)), known!(call.bytes(v, 1)));
    if list.is_empty() || what.contains(&b',') {
        return Ok(Value::Int(0));
    }
    let at = list.split(|b| *b == b',').position(|item| call.collation.equal(item, &what));
    Ok(Value::Int(at.map_or(0, |i| i as i64 + 1)))
}

fn bind_replace(args: &mut [Expr], c: &BindContext) -> Bound {
    let collation = collation_of(args, "replace", c)?;
    let (text, from, to) = (characters(&args[0]), characters(&args[1]).max(1), characters(&args[2]));
    let longest = if to > from { text.saturating_add((text / from).saturating_mul(to - from)) } else { text };
    Ok((string(longest, any_nullable(args), collation), collation))
}

fn find_bytes(text: &[u8], what: &[u8], from: usize) -> Option<usize> {
    if what.len() > text.len() {
        return None;
    }
    (from..=text.len() - what.len()).find(|i| text[*i] == what[0] && text[*i..].starts_with(what))
}

fn replace(call: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let (text, from, to) = (known!(call.bytes(v, 0)), known!(call.bytes(v, 1)), known!(call.bytes(v, 2)));
    if from.is_empty() {
        return Ok(call.string_from(&text));
    }
    let mut out = Vec::with_capacity(text.len());
    let (mut at, mut room) = (0, 0);
    while let Some(found) = find_bytes(&text, &from, at) {
        out.extend_from_slice(&text[at..found]);
        out.extend_from_slice(&to);
        at = found + from.len();
        if !call.fits_packet((out.len() + text.len() - at) as u128, ctx) {
            return Ok(Value::Null);
        }
        // Asked as often as it grows, not for each place.
        if out.capacity() > room {
            room = out.capacity();
            has_room(ctx.statement, room as u64)?;
        }
    }
    if at == 0 {
        return Ok(call.string_from(&text));
    }
    out.extend_from_slice(&text[at..]);
    Ok(call.string(out))
}

fn bind_substring_index(args: &mut [Expr], c: &BindContext) -> Bound {
    let collation = collation_of(&args[..2], "substring_index", c)?;
    Ok((string(characters(&args[0]), any_nullable(args), collation), collation))
}

fn substring_index(call: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let (text, delimiter) = (known!(call.bytes(v, 0)), known!(call.bytes(v, 1)));
    let n = known!(count(&v[2], ctx));
    if n == 0 || delimiter.is_empty() || text.is_empty() {
        return Ok(call.string_from(b""));
    }
    if n > 0 {
        let (mut at, mut left) = (0, n);
        while let Some(found) = find_bytes(&text, &delimiter, at) {
            left -= 1;
            if left == 0 {
                return Ok(call.string_from(&text[..found]));
            }
            at = found + delimiter.len();
        }
        return Ok(call.string_from(&text));
    }
    let (mut end, mut left) = (text.len(), -n);
    while let Some(found) = (0..(end + 1).saturating_sub(delimiter.len())).rev().find(|i| text[*i..end].starts_with(&delimiter)) {
        left -= 1;
        if left == 0 {
            return Ok(call.string_from(&text[found + delimiter.len()..]));
        }
        end = found;
    }
    Ok(call.string_from(&text))
}
