//! Addresses: INET_ATON, INET_NTOA, INET6_ATON, INET6_NTOA, IS_IPV4 and the like.
//!
//! Owns:     nothing.
//! Promises: what is no address is NULL, with 1411; IS_… say 0.
//! Never:    looks a name up.

use super::argument::{count, known, unreadable};
use super::result_type::{binary, nullable_int, nullable_unsigned, own_text};
use super::{Call, FunctionDef};
use crate::EvalContext;
use std::net::{Ipv4Addr, Ipv6Addr};
use weald_types::{Fault, Value};

pub const FUNCTIONS: &[FunctionDef] = &[
    FunctionDef::new("INET6_ATON", 1, 1, |_, _| binary(16, true), inet6_aton),
    FunctionDef::new("INET6_NTOA", 1, 1, |_, c| own_text(39, true, c), inet6_ntoa),
    FunctionDef::new("INET_ATON", 1, 1, nullable_unsigned, inet_aton),
    FunctionDef::new("INET_NTOA", 1, 1, |_, c| own_text(15, true, c), inet_ntoa),
    FunctionDef::new("IS_IPV4", 1, 1, nullable_int, |call, v, _| Ok(Value::Int(ipv4(&known!(call.bytes(v, 0))).is_some() as i64))),
    FunctionDef::new("IS_IPV4_COMPAT", 1, 1, nullable_int, |call, v, _| {
        let address = known!(call.bytes(v, 0));
        // ::0 and ::1 have names of their own: they are no IPv4 addresses.
        let compatible = <[u8; 16]>::try_from(&address[..]).is_ok_and(|a| a[..12] == [0; 12] && u32::from_be_bytes([a[12], a[13], a[14], a[15]]) > 1);
        Ok(Value::Int((compatible && matches!(v[0], Value::Bytes(_))) as i64))
    }),
    FunctionDef::new("IS_IPV4_MAPPED", 1, 1, nullable_int, |call, v, _| {
        let address = known!(call.bytes(v, 0));
        let mapped = address.len() == 16 && address[..10] == [0; 10] && address[10..12] == [0xFF, 0xFF];
        Ok(Value::Int((mapped && matches!(v[0], Value::Bytes(_))) as i64))
    }),
    FunctionDef::new("IS_IPV6", 1, 1, nullable_int, |call, v, _| Ok(Value::Int(ipv6(&known!(call.bytes(v, 0))).is_some() as i64))),
];

/// Four decimal numbers of at most three digits each; leading zeros are no matter, unlike in the standard library.
fn ipv4(text: &[u8]) -> Option<Ipv4Addr> {
    if !(7..=15).contains(&text.len()) {
        return None;
    }
    let mut parts = [0u8; 4];
    let mut n = 0;
    for part in text.split(|b| *b == b'.') {
        if n == 4 || part.is_empty() || part.len() > 3 || !part.iter().all(u8::is_ascii_digit) {
            return None;
        }
        parts[n] = u8::try_from(part.iter().fold(0u16, |v, d| v * 10 + (d - b'0') as u16)).ok()?;
        n += 1;
    }
    (n == 4).then(|| Ipv4Addr::from(parts))
}

fn ipv6(text: &[u8]) -> Option<Ipv6Addr> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn inet6_aton(call: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let text = known!(call.bytes(v, 0));
    if let Some(a) = ipv4(&text) {
        return Ok(Value::bytes(a.octets()));
    }
    match ipv6(&text) {
        Some(a) => Ok(Value::bytes(a.octets())),
        None => unreadable(&text, "inet6_aton", ctx),
    }
}

fn inet6_ntoa(call: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let bytes = known!(call.bytes(v, 0));
    if matches!(v[0], Value::Bytes(_)) {
        if let Ok(a) = <[u8; 4]>::try_from(&bytes[..]) {
            return Ok(Value::str(Ipv4Addr::from(a).to_string()));
        }
        if let Ok(a) = <[u8; 16]>::try_from(&bytes[..]) {
            return Ok(Value::str(ipv6_text(a)));
        }
    }
    unreadable(&bytes, "inet6_ntoa", ctx)
}

/// As MySQL prints it: the first of the longest runs of zero groups becomes `::`, even a run of one; IPv4 addresses inside, mapped or compatible, keep their
/// dots.
fn ipv6_text(bytes: [u8; 16]) -> String {
    let groups = Ipv6Addr::from(bytes).segments();
    let dotted = Ipv4Addr::new(bytes[12], bytes[13], bytes[14], bytes[15]);
    let (mut gap, mut longest) = (0, 0);
    for start in 0..8 {
        let length = groups[start..].iter().take_while(|g| **g == 0).count();
        if length > longest {
            (gap, longest) = (start, length);
        }
    }
    if gap == 0 && longest == 6 {
        return format!("::{dotted}");
    }
    if gap == 0 && longest == 5 && groups[5] == 0xFFFF {
        return format!("::ffff:{dotted}");
    }
    let hex = |groups: &[u16]| groups.iter().map(|g| format!("{g:x}")).collect::<Vec<_>>().join(":");
    if longest == 0 { hex(&groups) } else { format!("{}::{}", hex(&groups[..gap]), hex(&groups[gap + longest..])) }
}

/// `a.b.c.d`; with fewer parts the last one is the lowest, as in `127.1`.
fn inet_aton(call: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let text = known!(call.bytes(v, 0));
    let bad = || unreadable(&text, "inet_aton", ctx);
    let parts: Vec<&[u8]> = text.split(|b| *b == b'.').collect();
    if parts.len() > 4 {
        return bad();
    }
    let mut numbers = Vec::with_capacity(4);
    for part in &parts {
        let n = part.iter().try_fold(0u64, |n, d| d.is_ascii_digit().then(|| n * 10 + (d - b'0') as u64).filter(|n| *n <= 255));
        match n {
            Some(n) => numbers.push(n),
            None => return bad(),
        }
    }
    // Nothing after the last point is no address.
    if parts.last().is_none_or(|p| p.is_empty()) {
        return bad();
    }
    let last = numbers.pop().unwrap_or(0);
    let missing = 3 - numbers.len();
    let high = numbers.iter().fold(0u64, |n, part| n << 8 | part);
    Ok(Value::UInt(high << (8 * (missing + 1)) | last))
}

fn inet_ntoa(_: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    // Clamped by `count` only far beyond what an address can be.
    let n = known!(count(&v[0], ctx));
    match u32::try_from(n) {
        Ok(n) => Ok(Value::str(Ipv4Addr::from(n).to_string())),
        Err(_) => unreadable(n.to_string().as_bytes(), "inet_ntoa", ctx),
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{call, shown};
    use weald_types::Value;

    #[test]
    fn addresses_are_read_and_written() {
        let check = |name: &str, arg: Value, expected: &str| assert_eq!(shown(call(name, std::slice::from_ref(&arg))), expected, "{name} {arg:?}");
        check("INET_ATON", Value::str("10.0.5.9"), "167773449");
        check("INET_ATON", Value::str("127.1"), "2130706433");
        check("INET_ATON", Value::str("255"), "255");
        check("INET_ATON", Value::str("1.2.3.256"), "NULL");
        check("INET_ATON", Value::str("1.2.3."), "NULL");
        check("INET_ATON", Value::str(""), "NULL");
        check("INET_NTOA", Value::Int(167_773_449), "10.0.5.9");
        check("INET_NTOA", Value::Int(-1), "NULL");
        check("INET6_ATON", Value::str("fdfe::5a55:caff:fefa:9089"), "FDFE0000000000005A55CAFFFEFA9089");
        check("INET6_ATON", Value::str("10.0.5.9"), "0A000509");
        check("INET6_ATON", Value::str("x"), "NULL");
        check("INET6_NTOA", Value::bytes([10, 0, 5, 9]), "10.0.5.9");
        check("INET6_NTOA", call("INET6_ATON", &[Value::str("::ffff:1.2.3.4")]).unwrap(), "::ffff:1.2.3.4");
        check("INET6_NTOA", call("INET6_ATON", &[Value::str("::1.2.3.4")]).unwrap(), "::1.2.3.4");
        for (text, printed) in [
            ("1:0:2:0:3:0:4:0", "1::2:0:3:0:4:0"),
            ("1:0:0:2:3:4:0:0", "1::2:3:4:0:0"),
            ("::1", "::1"),
            ("::", "::"),
            ("::5:1", "::0.5.0.1"),
            ("::ffff:0:0", "::ffff:0.0.0.0"),
            ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"),
        ] {
            check("INET6_NTOA", call("INET6_ATON", &[Value::str(text)]).unwrap(), printed);
        }
        check("INET6_NTOA", Value::str("10.0.5.9"), "NULL");
        check("IS_IPV4", Value::str("10.0.5.256"), "0");
        check("IS_IPV4", Value::str("010.0.5.1"), "1");
        check("IS_IPV6", Value::str("::1"), "1");
        check("IS_IPV4_COMPAT", call("INET6_ATON", &[Value::str("::10.0.5.9")]).unwrap(), "1");
        check("IS_IPV4_MAPPED", call("INET6_ATON", &[Value::str("::ffff:10.0.5.9")]).unwrap(), "1");
        check("IS_IPV4_COMPAT", Value::Null, "NULL");
    }
}
