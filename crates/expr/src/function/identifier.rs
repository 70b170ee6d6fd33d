//! UUID, UUID_SHORT, IS_UUID, UUID_TO_BIN and BIN_TO_UUID.
//!
//! Owns:     nothing; new identifiers come from the server's state.
//! Promises: the three forms MySQL reads: with dashes, with dashes in braces, 32 digits.
//! Never:    takes a text that is none for one: that is 1411.

use super::argument::known;
use super::result_type::{binary, nullable_int, own_text};
use super::{Call, FunctionDef};
use crate::{EvalContext, coerce};
use weald_types::{Fault, SqlType, Value};

pub const FUNCTIONS: &[FunctionDef] = &[
    FunctionDef::new("BIN_TO_UUID", 1, 2, |_, c| own_text(36, true, c), from_bytes),
    FunctionDef::new("IS_UUID", 1, 1, nullable_int, |call, v, _| Ok(Value::Int(parse(&known!(call.bytes(v, 0))).is_some() as i64))),
    FunctionDef::new(
        "UUID",
        0,
        0,
        |_, c| own_text(36, false, c),
        |_, _, ctx| {
            let now = (ctx.statement.wall_clock_micros)();
            Ok(Value::str(text(&ctx.statement.server.identifiers.uuid(now))))
        },
    )
    .volatile(),
    FunctionDef::new(
        "UUID_SHORT",
        0,
        0,
        |_, _| Ok((SqlType::bigint_unsigned(false), SqlType::bigint(false).collation)),
        |_, _, ctx| Ok(Value::UInt(ctx.statement.server.identifiers.short())),
    )
    .volatile(),
    FunctionDef::new("UUID_TO_BIN", 1, 2, |_, _| binary(16, true), to_bytes),
];

fn text(bytes: &[u8; 16]) -> String {
    let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

fn parse(text: &[u8]) -> Option<[u8; 16]> {
    let inner = match text {
        [b'{', inner @ .., b'}'] if inner.len() == 36 => inner,
        other => other,
    };
    let digits: Vec<u8> = match inner.len() {
        32 => inner.to_vec(),
        36 => {
            let dashed = |(i, b): (usize, &u8)| matches!(i, 8 | 13 | 18 | 23) == (*b == b'-');
            if !inner.iter().enumerate().all(dashed) {
                return None;
            }
            inner.iter().copied().filter(|b| *b != b'-').collect()
        }
        _ => return None,
    };
    let mut bytes = [0; 16];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |b: u8| (b as char).to_digit(16);
        *byte = (digit(pair[0])? << 4 | digit(pair[1])?) as u8;
    }
    Some(bytes)
}

fn wrong(shown: &[u8], function: &str) -> Fault {
    Fault::mysql(1411, "HY000", format!("Incorrect string value: '{}' for function {function}", String::from_utf8_lossy(shown)))
}

/// Whether the parts of the time are to be exchanged, the slow ones first: NULL is no.
fn exchanged(v: &[Value]) -> bool {
    v.get(1).is_some_and(coerce::is_true)
}

fn to_bytes(call: &Call<'_>, v: &[Value], _: &EvalContext<'_>) -> Result<Value, Fault> {
    let shown = known!(call.bytes(v, 0));
    let b = parse(&shown).ok_or_else(|| wrong(&shown, "uuid_to_bin"))?;
    if exchanged(v) {
        return Ok(Value::bytes([&b[6..8], &b[4..6], &b[..4], &b[8..]].concat()));
    }
    Ok(Value::bytes(b))
}

fn from_bytes(call: &Call<'_>, v: &[Value], _: &EvalContext<'_>) -> Result<Value, Fault> {
    let shown = known!(call.bytes(v, 0));
    let mut b = <[u8; 16]>::try_from(&shown[..]).map_err(|_| wrong(&shown, "bin_to_uuid"))?;
    if exchanged(v) {
        let mixed = [&b[4..8], &b[2..4], &b[..2], &b[8..]].concat();
        b.copy_from_slice(&mixed);
    }
    Ok(Value::str(text(&b)))
}

#[cfg(test)]
mod tests {
    use crate::testing::{call, shown};
    use weald_types::Value;

    #[test]
    fn identifiers_go_into_bytes_and_back() {
        let id = "6ccd780c-baba-1026-9564-5b8c656024db";
        let s = |text: &str| Value::str(text);
        assert_eq!(shown(call("UUID_TO_BIN", &[s(id)])), "6CCD780CBABA102695645B8C656024DB");
        let exchanged = call("UUID_TO_BIN", &[s(id), Value::Int(1)]).unwrap();
        assert_eq!(shown(Ok(exchanged.clone())), "1026BABA6CCD780C95645B8C656024DB");
        assert_eq!(shown(call("BIN_TO_UUID", &[exchanged, Value::Int(1)])), id);
        let forms = [(id.to_string(), "1"), (id.replace('-', ""), "1"), (format!("{{{id}}}"), "1"), (id[1..].to_string(), "0"), ("x".into(), "0")];
        for (text, valid) in forms {
            assert_eq!(shown(call("IS_UUID", &[s(&text)])), valid, "{text}");
        }
        assert_eq!(shown(call("UUID_TO_BIN", &[s("x")])), "error 1411");
        assert_eq!(shown(call("BIN_TO_UUID", &[s("x")])), "error 1411");
        assert_eq!(shown(call("UUID_TO_BIN", &[Value::Null])), "NULL");
        let made = call("UUID", &[]).unwrap();
        assert_eq!(shown(call("IS_UUID", &[made])), "1");
    }
}
