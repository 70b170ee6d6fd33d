//! Digests, check sums and compression.
//!
//! Owns:     nothing.
//! Promises: digests are lower-case hexadecimal under the connection's collation; broken compressed data is NULL with a warning.
//! Never:    encrypts.

use super::argument::{known, warn, wide_int};
use super::result_type::{any_nullable, binary, int, own_text, unsigned};
use super::text::binary_like_first;
use super::{BindContext, Call, FunctionDef};
use crate::{EvalContext, Expr};
use flate2::Compression;
use flate2::read::{ZlibDecoder, ZlibEncoder};
use md5::{Digest, Md5};
use std::io::Read;
use weald_types::{Collation, Fault, SqlType, Value};

pub const FUNCTIONS: &[FunctionDef] = &[
    FunctionDef::new("COMPRESS", 1, 1, binary_like_first, compress),
    FunctionDef::new("CRC32", 1, 1, unsigned, |call, v, _| {
        let mut crc = flate2::Crc::new();
        crc.update(&known!(call.own_bytes(v, 0)));
        Ok(Value::UInt(crc.sum() as u64))
    }),
    FunctionDef::new("MD5", 1, 1, |args, c| own_text(32, any_nullable(args), c), |call, v, _| Ok(hex(&Md5::digest(&*known!(call.own_bytes(v, 0)))))),
    FunctionDef::new(
        "SHA",
        1,
        1,
        |args, c| own_text(40, any_nullable(args), c),
        |call, v, _| Ok(hex(&sha1::Sha1::digest(&*known!(call.own_bytes(v, 0))))),
    ),
    FunctionDef::new("SHA2", 2, 2, bind_sha2, sha2),
    FunctionDef::new("UNCOMPRESS", 1, 1, |_, _| binary(u32::MAX as u64, true), uncompress),
    FunctionDef::new("UNCOMPRESSED_LENGTH", 1, 1, int, uncompressed_length),
];

fn hex(bytes: &[u8]) -> Value {
    Value::Str(bytes.iter().map(|b| format!("{b:02x}")).collect::<String>().into())
}

fn bind_sha2(_: &mut [Expr], c: &BindContext) -> Result<(SqlType, Collation), Fault> {
    own_text(128, true, c)
}

fn sha2(call: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let (text, bits) = (known!(call.own_bytes(v, 0)), known!(wide_int(&v[1], ctx)));
    Ok(match bits {
        224 => hex(&sha2::Sha224::digest(&*text)),
        0 | 256 => hex(&sha2::Sha256::digest(&*text)),
        384 => hex(&sha2::Sha384::digest(&*text)),
        512 => hex(&sha2::Sha512::digest(&*text)),
        _ => {
            warn(ctx, 1583, "42000", "Incorrect parameters in the call to native function 'sha2'");
            Value::Null
        }
    })
}

/// Four bytes of length, then zlib's stream; nothing of nothing.
fn compress(call: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let bytes = known!(call.own_bytes(v, 0));
    if bytes.is_empty() {
        return Ok(Value::bytes([]));
    }
    let mut out = (bytes.len() as u32 & 0x3FFF_FFFF).to_le_bytes().to_vec();
    if ZlibEncoder::new(&*bytes, Compression::default()).read_to_end(&mut out).is_err() {
        return Ok(Value::Null);
    }
    // CHAR columns cut trailing spaces: a '.' after one keeps it.
    if out.last() == Some(&b' ') {
        out.push(b'.');
    }
    Ok(if call.may_make(out.len() as u128, ctx)? { Value::bytes(out) } else { Value::Null })
}

fn stored_length(bytes: &[u8]) -> Option<u64> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    (!rest.is_empty()).then(|| (u32::from_le_bytes(*length) & 0x3FFF_FFFF) as u64)
}

fn uncompress(call: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let bytes = known!(call.own_bytes(v, 0));
    if bytes.is_empty() {
        return Ok(Value::bytes([]));
    }
    let corrupt = |ctx| {
        warn(ctx, 1259, "HY000", "ZLIB: Input data corrupted");
        Ok(Value::Null)
    };
    let Some(length) = stored_length(&bytes) else { return corrupt(ctx) };
    let most = ctx.statement.max_allowed_packet;
    if length > most {
        warn(
            ctx,
            1256,
            "HY000",
            format!("Uncompressed data size too large; the maximum size is {most} (probably, length of uncompressed data was corrupted)"),
        );
        return Ok(Value::Null);
    }
    let mut out = Vec::new();
    // Never more than was promised, whatever the stream holds.
    match ZlibDecoder::new(&bytes[4..]).take(length).read_to_end(&mut out) {
        Ok(_) => Ok(Value::bytes(out)),
        Err(_) => corrupt(ctx),
    }
}

fn uncompressed_length(call: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let bytes = known!(call.own_bytes(v, 0));
    if bytes.is_empty() {
        return Ok(Value::Int(0));
    }
    Ok(match stored_length(&bytes) {
        Some(n) => Value::Int(n as i64),
        None => {
            warn(ctx, 1259, "HY000", "ZLIB: Input data corrupted");
            Value::Int(0)
        }
    })
}
