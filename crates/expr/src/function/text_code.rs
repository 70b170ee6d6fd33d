//! Texts as codes and back: HEX, BASE64, CHAR, QUOTE, SOUNDEX, FORMAT …
//!
//! Owns:     nothing.
//! Promises: what is no valid code is NULL, never a fault.
//! Never:    hashes: see `digest`.

use super::argument::{character_length, count, decimal, double, known, literal_int, start, unreadable, warn, wide_int};
use super::locale;
use super::result_type::{any_nullable, binary, characters, collation_of, int, own_text, string};
use super::{ANY, BindContext, Call, FunctionDef};
use crate::{EvalContext, Expr, coerce};
use weald_types::{Collation, Fault, SqlType, TypeKind, Value};

pub const FUNCTIONS: &[FunctionDef] = &[
    FunctionDef::new("ASCII", 1, 1, int, |call, v, _| Ok(Value::Int(known!(call.own_bytes(v, 0)).first().copied().unwrap_or(0) as i64))),
    FunctionDef::new("CHAR", 1, ANY, |args, _| binary(args.len() as u64 * 4, false), char_of),
    FunctionDef::new("FORMAT", 2, 3, bind_format, format),
    FunctionDef::new("FROM_BASE64", 1, 1, |args, _| binary(bytes_of(&args[0]), true), from_base64),
    FunctionDef::new("HEX", 1, 1, bind_hex, hex),
    FunctionDef::new("ORD", 1, 1, int, ord),
    FunctionDef::new("QUOTE", 1, 1, bind_quote, quote),
    FunctionDef::new("SOUNDEX", 1, 1, bind_soundex, soundex),
    FunctionDef::new("TO_BASE64", 1, 1, |args, c| own_text(base64_length(bytes_of(&args[0])), any_nullable(args), c), to_base64),
    FunctionDef::new("UNHEX", 1, 1, |args, _| binary(characters(&args[0]).div_ceil(2), true), unhex),
    FunctionDef::new("WEIGHT_STRING", 1, 3, bind_weight_string, weight_string),
];

type Bound = Result<(SqlType, Collation), Fault>;

fn bytes_of(e: &Expr) -> u64 {
    let width = if e.ty().kind.is_text() { e.ty().collation.max_len() as u64 } else { 1 };
    characters(e).saturating_mul(width)
}

fn char_of(_: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let mut out = Vec::new();
    for n in v.iter().filter_map(|v| wide_int(v, ctx)) {
        let code = (n as u32).to_be_bytes();
        let first = code.iter().position(|b| *b != 0).unwrap_or(3);
        out.extend_from_slice(&code[first..]);
    }
    Ok(Value::bytes(out))
}

fn ord(call: &Call<'_>, v: &[Value], _: &EvalContext<'_>) -> Result<Value, Fault> {
    let text = known!(call.own_bytes(v, 0));
    let Some(first) = text.first() else { return Ok(Value::Int(0)) };
    let ty = call.args[0].ty();
    let length = if ty.kind.is_text() && ty.collation.max_len() > 1 { character_length(*first).min(text.len()) } else { 1 };
    Ok(Value::Int(text[..length].iter().fold(0i64, |n, b| n << 8 | *b as i64)))
}

fn bind_hex(args: &mut [Expr], c: &BindContext) -> Bound {
    let ty = args[0].ty();
    let digits = if is_number(&ty.kind) { 16 } else { bytes_of(&args[0]).saturating_mul(2) };
    own_text(digits, ty.nullable, c)
}

fn is_number(kind: &TypeKind) -> bool {
    kind.is_integer() || matches!(kind, TypeKind::Decimal { .. } | TypeKind::Float { .. } | TypeKind::Double { .. })
}

fn hex_text(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    bytes.iter().flat_map(|b| [DIGITS[(b >> 4) as usize] as char, DIGITS[(b & 15) as usize] as char]).collect()
}

fn hex(call: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    match &v[0] {
        Value::Null => Ok(Value::Null),
        Value::Int(_) | Value::UInt(_) | Value::Decimal(_) | Value::Double(_) => {
            let n = known!(wide_int(&v[0], ctx));
            // Numbers too large for 64 bits are the largest.
            let bits = if n < 0 { n.max(i64::MIN as i128) as i64 as u64 } else { n.min(u64::MAX as i128) as u64 };
            Ok(Value::str(format!("{bits:X}")))
        }
        _ => {
            let bytes = known!(call.own_bytes(v, 0));
            Ok(if call.may_make(bytes.len() as u128 * 2, ctx)? { Value::Str(hex_text(&bytes).into()) } else { Value::Null })
        }
    }
}

fn unhex(call: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let text = known!(call.bytes(v, 0));
    let digit = |b: u8| (b as char).to_digit(16).map(|d| d as u8);
    let mut out = Vec::with_capacity(text.len().div_ceil(2));
    let (odd, pairs) = text.split_at(text.len() % 2);
    let decoded = odd.first().map(|b| digit(*b)).into_iter().chain(pairs.chunks_exact(2).map(|p| Some(digit(p[0])? << 4 | digit(p[1])?)));
    for byte in decoded {
        let Some(byte) = byte else {
            return unreadable(&text, "unhex", ctx);
        };
        out.push(byte);
    }
    Ok(Value::bytes(out))
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const BASE64_LINE: usize = 76;

fn base64_length(bytes: u64) -> u64 {
    let characters = bytes.div_ceil(3).saturating_mul(4);
    characters.saturating_add(characters.saturating_sub(1) / BASE64_LINE as u64)
}

fn to_base64(call: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let bytes = known!(call.own_bytes(v, 0));
    if !call.may_make(base64_length(bytes.len() as u64) as u128, ctx)? {
        return Ok(Value::Null);
    }
    let mut out = String::with_capacity(base64_length(bytes.len() as u64) as usize);
    for (i, group) in bytes.chunks(3).enumerate() {
        if i > 0 && i * 4 % BASE64_LINE == 0 {
            out.push('\n');
        }
        let n = group.iter().fold(0u32, |n, b| n << 8 | *b as u32) << (8 * (3 - group.len()));
        for place in 0..4 {
            out.push(if place <= group.len() { BASE64[(n >> (18 - 6 * place) & 63) as usize] as char } else { '=' });
        }
    }
    Ok(Value::Str(out.into()))
}

fn from_base64(call: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let text = known!(call.bytes(v, 0));
    Ok(match decode_base64(&text) {
        Ok(bytes) => Value::bytes(bytes),
        Err(at) => {
            warn(ctx, 1958, "HY000", format!("Bad base64 data as position {at}"));
            Value::Null
        }
    })
}

/// White space is skipped; the error is the position of what does not belong.
fn decode_base64(text: &[u8]) -> Result<Vec<u8>, usize> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut filled, mut padding) = (0u32, 0, 0);
    for (at, b) in text.iter().enumerate() {
        if b.is_ascii_whitespace() {
            continue;
        }
        let value = match BASE64.iter().position(|c| c == b) {
            Some(n) if padding == 0 => n as u32,
            // Padding stands for the third and fourth character only, and ends the data.
            None if *b == b'=' && filled >= 2 => {
                padding += 1;
                0
            }
            _ => return Err(at),
        };
        bits = bits << 6 | value;
        filled += 1;
        if filled == 4 {
            let bytes = bits.to_be_bytes();
            out.extend_from_slice(&bytes[1..4 - padding]);
            (bits, filled) = (0, if padding > 0 { 0 } else { filled - 4 });
        }
    }
    if filled == 0 { Ok(out) } else { Err(text.len()) }
}

fn bind_quote(args: &mut [Expr], c: &BindContext) -> Bound {
    let collation = collation_of(args, "quote", c)?;
    Ok((string(characters(&args[0]).saturating_mul(2).saturating_add(2), args[0].ty().nullable, collation), collation))
}

fn quote(call: &Call<'_>, v: &[Value], _: &EvalContext<'_>) -> Result<Value, Fault> {
    let Some(text) = call.bytes(v, 0) else { return Ok(call.string_from(b"NULL")) };
    let mut out = Vec::with_capacity(text.len() + 2);
    out.push(b'\'');
    for b in text.iter() {
        match b {
            0 => out.extend_from_slice(b"\\0"),
            0x1A => out.extend_from_slice(b"\\Z"),
            b'\'' | b'\\' => out.extend_from_slice(&[b'\\', *b]),
            b => out.push(*b),
        }
    }
    out.push(b'\'');
    Ok(call.string(out))
}

fn bind_soundex(args: &mut [Expr], c: &BindContext) -> Bound {
    let collation = collation_of(args, "soundex", c)?;
    Ok((string(characters(&args[0]).max(4), args[0].ty().nullable, collation), collation))
}

/// Digits of the letters A to Z.
const SOUNDEX: &[u8; 26] = b"01230120022455012623010202";

fn soundex(call: &Call<'_>, v: &[Value], _: &EvalContext<'_>) -> Result<Value, Fault> {
    let text = known!(call.text(v, 0));
    let code = |c: char| if c.is_ascii_alphabetic() { SOUNDEX[(c.to_ascii_uppercase() as u8 - b'A') as usize] as char } else { '0' };
    let mut letters = text.chars().filter(|c| c.is_ascii_alphabetic() || *c >= '\u{C0}');
    let Some(first) = letters.next() else { return Ok(call.string_from(b"")) };
    let mut out = String::new();
    out.push(if first.is_ascii() { first.to_ascii_uppercase() } else { first });
    let (mut last, mut digits) = (code(first), 1);
    for digit in letters.map(code) {
        // Vowels do not part two consonants of one sound.
        if digit != '0' && digit != last {
            out.push(digit);
            last = digit;
            digits += 1;
        }
    }
    for _ in digits..4 {
        out.push('0');
    }
    Ok(call.string(out.into_bytes()))
}

fn bind_format(args: &mut [Expr], c: &BindContext) -> Bound {
    own_text(characters(&args[0]).saturating_mul(4) / 3 + 40, true, c)
}

fn format(_: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let (number, places) = (&v[0], known!(count(&v[1], ctx)).clamp(0, 30) as u8);
    let digits = match number {
        Value::Null => return Ok(Value::Null),
        Value::Int(_) | Value::UInt(_) | Value::Decimal(_) => {
            let d = known!(decimal(number, ctx));
            // What has 65 digits already has no room for decimals.
            d.rescale(places).or_else(|| d.round(places as i32)).unwrap_or(d).to_string()
        }
        _ => {
            let d = known!(double(number, ctx));
            let rounded = super::number::round_double(d, places as i32);
            format!("{:.*}", places as usize, if rounded == 0.0 { 0.0 } else { rounded })
        }
    };
    let style = match v.get(2) {
        None => locale::DEFAULT,
        Some(name) => match coerce::text(name, &SqlType::null()).as_deref().map(|n| (locale::number_format(n), n)) {
            Some((Some(style), _)) => style,
            Some((None, name)) => {
                warn(ctx, 1649, "HY000", format!("Unknown locale: '{name}'"));
                locale::DEFAULT
            }
            None => {
                warn(ctx, 1649, "HY000", "Unknown locale: 'NULL'");
                locale::DEFAULT
            }
        },
    };
    Ok(Value::Str(locale::write_number(&digits, style).into()))
}

fn bind_weight_string(args: &mut [Expr], c: &BindContext) -> Bound {
    let collation = collation_of(&args[..1], "weight_string", c)?;
    let length = args.get(2).and_then(literal_int).map_or_else(|| characters(&args[0]), |n| n.max(0) as u64);
    Ok((binary(length.saturating_mul(8), true)?.0, collation))
}

/// WEIGHT_STRING(text [, 'CHAR' | 'BINARY', length])
fn weight_string(call: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    if !matches!(v[0], Value::Str(_) | Value::Bytes(_)) {
        return Ok(Value::Null);
    }
    let text = known!(call.bytes(v, 0));
    let mut out = Vec::new();
    if v.len() < 3 {
        call.collation.sort_key(&text, &mut out);
        return Ok(Value::bytes(out));
    }
    let length = known!(count(&v[2], ctx)).max(0) as usize;
    if !call.may_make(length as u128, ctx)? {
        return Ok(Value::Null);
    }
    if call.text(v, 1).as_deref() == Some("BINARY") {
        let mut bytes = text.into_owned();
        bytes.resize(length, 0);
        return Ok(Value::bytes(bytes));
    }
    // Cut or padded with spaces to so many characters.
    let mut padded = start(&text, length, call.counts_bytes()).to_vec();
    let have = super::argument::length(&padded, call.counts_bytes());
    padded.extend(std::iter::repeat_n(b' ', length - have));
    call.collation.sort_key(&padded, &mut out);
    Ok(Value::bytes(out))
}
