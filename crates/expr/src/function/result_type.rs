//! Result types that many functions share.
//!
//! Owns:     nothing.
//! Promises: lengths are what MySQL's metadata says, or an upper bound of the values.
//! Never:    looks at a value, but for literals that a type depends on.

use super::BindContext;
use super::argument::literal_int;
use crate::{Expr, typing};
use weald_types::sql_type::BlobSize;
use weald_types::{Collation, Fault, SqlType, TypeKind, Value};

pub type Bound = Result<(SqlType, Collation), Fault>;

pub fn any_nullable(args: &[Expr]) -> bool {
    args.iter().any(|a| a.ty().nullable)
}

fn plain(ty: SqlType) -> Bound {
    let collation = ty.collation;
    Ok((ty, collation))
}

pub fn int(args: &mut [Expr], _: &BindContext) -> Bound {
    plain(SqlType::bigint(any_nullable(args)))
}
pub fn nullable_int(_: &mut [Expr], _: &BindContext) -> Bound {
    plain(SqlType::bigint(true))
}
pub fn truth(_: &mut [Expr], _: &BindContext) -> Bound {
    plain(SqlType::bigint(false))
}
pub fn unsigned(args: &mut [Expr], _: &BindContext) -> Bound {
    plain(SqlType::bigint_unsigned(any_nullable(args)))
}
pub fn nullable_unsigned(_: &mut [Expr], _: &BindContext) -> Bound {
    plain(SqlType::bigint_unsigned(true))
}
pub fn double(args: &mut [Expr], _: &BindContext) -> Bound {
    plain(SqlType::double(any_nullable(args)))
}
pub fn nullable_double(_: &mut [Expr], _: &BindContext) -> Bound {
    plain(SqlType::double(true))
}
pub fn date(_: &mut [Expr], _: &BindContext) -> Bound {
    plain(SqlType::new(TypeKind::Date, true))
}
pub fn nullable_json(_: &mut [Expr], _: &BindContext) -> Bound {
    plain(json_type(true))
}

pub fn json_type(nullable: bool) -> SqlType {
    SqlType::string(TypeKind::Json, nullable, Collation::UTF8MB4_BIN)
}

/// An integer, from arguments that meet under one collation: LOCATE, CHAR_LENGTH …
pub fn int_of_texts(args: &mut [Expr], c: &BindContext) -> Bound {
    Ok((SqlType::bigint(any_nullable(args)), collation_of(args, "", c)?))
}

/// The collation under which texts meet; the connection's where none is a text.
pub fn collation_of(args: &[Expr], operation: &str, c: &BindContext) -> Result<Collation, Fault> {
    let stringy = |e: &Expr| e.ty().kind.is_text() || e.ty().kind.is_binary() || matches!(e.ty().kind, TypeKind::Json);
    if args.iter().any(stringy) { typing::text_collation(args, operation) } else { Ok(c.collation_connection) }
}

/// Characters of the longest text of an argument.
pub fn characters(e: &Expr) -> u64 {
    // A double's longest text, not its usual one.
    let ty = e.ty();
    match &ty.kind {
        TypeKind::Double { scale: None, .. } => 23,
        TypeKind::Json => u32::MAX as u64,
        TypeKind::Text(size) => size.max_bytes() as u64,
        _ => typing::length(&typing::value_type(e)).map_or(u32::MAX as u64, u64::from),
    }
}

/// A string of at most `characters`: VARCHAR, or TEXT where that is too long; of bytes where the collation is `binary`.
pub fn string(characters: u64, nullable: bool, collation: Collation) -> SqlType {
    let bytes = characters.saturating_mul(collation.max_len() as u64);
    let size = if bytes <= BlobSize::Medium.max_bytes() as u64 { BlobSize::Medium } else { BlobSize::Long };
    if collation == Collation::BINARY {
        let kind = if bytes <= 65_535 { TypeKind::VarBinary { bytes: bytes as u32 } } else { TypeKind::Blob(size) };
        return SqlType::new(kind, nullable);
    }
    let kind = if bytes <= 65_535 { TypeKind::VarChar { chars: characters as u32 } } else { TypeKind::Text(size) };
    SqlType::string(kind, nullable, collation)
}

/// A text that is nobody's: under the connection's collation.
pub fn own_text(characters: u64, nullable: bool, c: &BindContext) -> Bound {
    plain(string(characters, nullable, c.collation_connection))
}
pub fn binary(bytes: u64, nullable: bool) -> Bound {
    plain(string(bytes, nullable, Collation::BINARY))
}

/// A text as long as the first argument, under its collation.
pub fn like_first(args: &mut [Expr], c: &BindContext) -> Bound {
    let collation = collation_of(&args[..1], "", c)?;
    plain(string(characters(&args[0]), any_nullable(args), collation))
}

/// Decimals of a second that a temporal reading of the expression may have.
pub fn fsp_of(e: &Expr) -> u8 {
    match (&e.ty().kind, e) {
        (TypeKind::Time { fsp } | TypeKind::DateTime { fsp } | TypeKind::Timestamp { fsp }, _) => *fsp,
        (TypeKind::Date | TypeKind::Int { .. } | TypeKind::Year | TypeKind::Bit { .. } | TypeKind::Null, _) => 0,
        (TypeKind::Decimal { scale, .. }, _) => (*scale).min(6),
        (_, Expr::Literal { value: Value::Str(s), .. }) => {
            s.rsplit_once('.').map_or(0, |(_, f)| f.bytes().take_while(u8::is_ascii_digit).count().min(6) as u8)
        }
        _ => 6,
    }
}

/// Decimals that an expression has where it is taken for a number: MySQL does not look into texts for this.
pub fn decimals_of(e: &Expr) -> u8 {
    match e.ty().kind {
        TypeKind::Time { fsp } | TypeKind::DateTime { fsp } | TypeKind::Timestamp { fsp } => fsp,
        TypeKind::Date | TypeKind::Int { .. } | TypeKind::Year | TypeKind::Bit { .. } | TypeKind::Null => 0,
        TypeKind::Decimal { scale, .. } => scale.min(6),
        TypeKind::Float { scale: Some(scale), .. } | TypeKind::Double { scale: Some(scale), .. } => scale.min(6),
        _ => 6,
    }
}

pub fn time(fsp: u8) -> Bound {
    plain(SqlType::new(TypeKind::Time { fsp }, true))
}
pub fn datetime(fsp: u8) -> Bound {
    plain(SqlType::new(TypeKind::DateTime { fsp }, true))
}

/// The optional precision of NOW(6) and its kind: a literal from 0 to 6 (1426).
pub fn precision_argument(args: &[Expr], function: &str) -> Result<u8, Fault> {
    let Some(e) = args.first() else { return Ok(0) };
    match literal_int(e) {
        Some(n @ 0..=6) => Ok(n as u8),
        Some(n) => Err(Fault::mysql(1426, "42000", format!("Too-big precision {n} specified for '{function}'. Maximum is 6."))),
        None => Err(super::argument::incorrect_arguments(function)),
    }
}
