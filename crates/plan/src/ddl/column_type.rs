//! A column's type as written, resolved.
//!
//! Owns:     nothing.
//! Promises: lengths, precisions and members are within MySQL's limits, or the error is MySQL's; charsets and collations are known ones.
//! Never:    looks at defaults or keys.

use std::collections::HashSet;
use std::sync::Arc;
use weald_sql::ast;
use weald_types::sql_type::{BlobSize, IntWidth};
use weald_types::{Charset, Collation, Fault, SqlType, TypeKind};

/// A column's type as written, resolved.
pub fn resolve_type(d: &ast::DataType, name: &str, nullable: bool, collation: Collation) -> Result<SqlType, Fault> {
    let too_long =
        |most: u64| Fault::mysql(1074, "42000", format!("Column length too big for column '{name}' (max = {most}); use BLOB or TEXT instead"));
    let int = |width| TypeKind::Int {
        width,
        unsigned: d.unsigned || d.zerofill,
        zerofill: if d.zerofill { Some(d.length.unwrap_or(default_width(width)).min(255) as u8) } else { None },
    };
    let fsp = || -> Result<u8, Fault> {
        let n = d.length.unwrap_or(0);
        if n > 6 { Err(Fault::mysql(1426, "42000", format!("Too-big precision {n} specified for '{name}'. Maximum is 6."))) } else { Ok(n as u8) }
    };
    let text_collation = || -> Result<Collation, Fault> {
        let c = charset_and_collation(d.charset.as_deref(), d.collation.as_deref(), collation)?;
        Ok(if d.binary { Collation::bin_of(c.charset()).unwrap_or(c) } else { c })
    };
    let max_chars = |c: Collation| 65535 / c.max_len().max(1) as u32;
    let real = |double: bool| -> Result<TypeKind, Fault> {
        if let Some(s) = d.decimals {
            if s > 30 {
                return Err(Fault::mysql(1425, "42000", format!("Too big scale {s} specified for column '{name}'. Maximum is 30.")));
            }
            if d.length.unwrap_or(0) < s as u32 {
                return Err(m_ge_d(name));
            }
            if d.length.is_some_and(|l| l > 255) {
                return Err(Fault::mysql(1439, "42000", format!("Display width out of range for column '{name}' (max = 255)")));
            }
        } else if d.length.is_some_and(|bits| bits > 53) {
            return Err(Fault::mysql(1063, "42000", format!("Incorrect column specifier for column '{name}'")));
        }
        let digits = d.decimals.and(d.length).map(|m| m as u8);
        Ok(if double || d.decimals.is_none() && d.length.is_some_and(|l| l > 24) {
            TypeKind::Double { unsigned: d.unsigned, digits, scale: d.decimals }
        } else {
            TypeKind::Float { unsigned: d.unsigned, digits, scale: d.decimals }
        })
    };
    let kind = match d.name.as_str() {
        "TINYINT" => match int(IntWidth::Tiny) {
            TypeKind::Int { width, unsigned: false, zerofill: None } if d.length == Some(1) => {
                TypeKind::Int { width, unsigned: false, zerofill: Some(1) }
            }
            k => k,
        },
        "SMALLINT" => int(IntWidth::Small),
        "MEDIUMINT" => int(IntWidth::Medium),
        "INT" => int(IntWidth::Int),
        "BIGINT" => int(IntWidth::Big),
        "DECIMAL" => {
            let (p, s) = (d.length.unwrap_or(10), d.decimals.unwrap_or(0));
            let p = if p == 0 { 10 } else { p };
            if p > 65 {
                return Err(Fault::mysql(1426, "42000", format!("Too-big precision {p} specified for '{name}'. Maximum is 65.")));
            }
            if s > 30 {
                return Err(Fault::mysql(1425, "42000", format!("Too big scale {s} specified for column '{name}'. Maximum is 30.")));
            }
            if s as u32 > p {
                return Err(m_ge_d(name));
            }
            TypeKind::Decimal { precision: p as u8, scale: s, unsigned: d.unsigned }
        }
        "FLOAT" => real(false)?,
        "DOUBLE" => real(true)?,
        "BIT" => {
            let n = d.length.unwrap_or(1);
            if n > 64 {
                return Err(Fault::mysql(1439, "42000", format!("Display width out of range for column '{name}' (max = 64)")));
            }
            TypeKind::Bit { bits: n.max(1) as u8 }
        }
        "CHAR" | "VARCHAR" | "TINYTEXT" | "TEXT" | "MEDIUMTEXT" | "LONGTEXT" | "ENUM" | "SET" => {
            let c = text_collation()?;
            // A character type in the binary character set is the binary type.
            let binary = c == Collation::BINARY && !matches!(d.name.as_str(), "ENUM" | "SET");
            let kind = match d.name.as_str() {
                "CHAR" => {
                    let n = d.length.unwrap_or(1);
                    if n > 255 {
                        return Err(too_long(255));
                    }
                    if binary { TypeKind::Binary { bytes: n } } else { TypeKind::Char { chars: n } }
                }
                "VARCHAR" => {
                    let n = d.length.unwrap_or(1);
                    if n > max_chars(c) {
                        return Err(too_long(max_chars(c) as u64));
                    }
                    if binary { TypeKind::VarBinary { bytes: n } } else { TypeKind::VarChar { chars: n } }
                }
                "ENUM" | "SET" => {
                    let mut seen = HashSet::new();
                    for m in &d.members {
                        let mut key = Vec::new();
                        c.sort_key(m.as_bytes(), &mut key);
                        if !seen.insert(key) {
                            return Err(Fault::mysql(1291, "HY000", format!("Column '{name}' has duplicated value '{m}' in {}", d.name)));
                        }
                        if d.name == "SET" && m.contains(',') {
                            return Err(Fault::mysql(1367, "22007", format!("Illegal set '{m}' value found during parsing")));
                        }
                    }
                    let members: Arc<[Box<str>]> = d.members.iter().map(|m| m.trim_end_matches(' ').into()).collect();
                    if d.name == "SET" {
                        if members.len() > 64 {
                            return Err(Fault::mysql(1097, "HY000", format!("Too many strings for column {name} and SET")));
                        }
                        TypeKind::Set(members)
                    } else {
                        TypeKind::Enum(members)
                    }
                }
                other => {
                    let size = blob_size(other.trim_end_matches("TEXT"), d.length);
                    if binary { TypeKind::Blob(size) } else { TypeKind::Text(size) }
                }
            };
            return Ok(if binary { SqlType::new(kind, nullable) } else { SqlType::string(kind, nullable, c) });
        }
        "BINARY" => {
            let n = d.length.unwrap_or(1);
            if n > 255 {
                return Err(too_long(255));
            }
            TypeKind::Binary { bytes: n }
        }
        "VARBINARY" => {
            let n = d.length.unwrap_or(1);
            if n > 65535 {
                return Err(too_long(65535));
            }
            TypeKind::VarBinary { bytes: n }
        }
        "TINYBLOB" | "BLOB" | "MEDIUMBLOB" | "LONGBLOB" => TypeKind::Blob(blob_size(d.name.trim_end_matches("BLOB"), d.length)),
        "DATE" => TypeKind::Date,
        "TIME" => TypeKind::Time { fsp: fsp()? },
        "DATETIME" => TypeKind::DateTime { fsp: fsp()? },
        "TIMESTAMP" => TypeKind::Timestamp { fsp: fsp()? },
        "YEAR" => TypeKind::Year,
        "JSON" => return Ok(SqlType::string(TypeKind::Json, nullable, Collation::UTF8MB4_BIN)),
        other => return Err(Fault::not_supported(format!("columns of type {other}"))),
    };
    Ok(SqlType::new(kind, nullable))
}

fn m_ge_d(name: &str) -> Fault {
    Fault::mysql(1427, "42000", format!("For float(M,D), double(M,D) or decimal(M,D), M must be >= D (column '{name}')."))
}

fn default_width(w: IntWidth) -> u32 {
    match w {
        IntWidth::Tiny => 3,
        IntWidth::Small => 5,
        IntWidth::Medium => 8,
        IntWidth::Int => 10,
        IntWidth::Big => 20,
    }
}

fn blob_size(prefix: &str, length: Option<u32>) -> BlobSize {
    match (prefix, length) {
        ("TINY", _) => BlobSize::Tiny,
        ("MEDIUM", _) => BlobSize::Medium,
        ("LONG", _) => BlobSize::Long,
        (_, Some(n)) if n <= 255 => BlobSize::Tiny,
        (_, Some(n)) if n > 65535 => {
            if n <= 16_777_215 {
                BlobSize::Medium
            } else {
                BlobSize::Long
            }
        }
        _ => BlobSize::Plain,
    }
}

pub(super) fn table_collation(o: &ast::TableOptions, default: Collation) -> Result<Collation, Fault> {
    charset_and_collation(o.charset.as_deref(), o.collation.as_deref(), default)
}

pub fn charset_and_collation(charset: Option<&str>, collation: Option<&str>, default: Collation) -> Result<Collation, Fault> {
    let set = |name: &str| {
        let name = if name.eq_ignore_ascii_case("utf8") { "utf8mb3" } else { name };
        Collation::default_of(name).ok_or_else(|| Charset::unknown(name))
    };
    match (charset, collation) {
        (None, None) => Ok(default),
        (Some(cs), None) => set(cs),
        (cs, Some(name)) => {
            let c = Collation::by_name(name).ok_or_else(|| Fault::mysql(1273, "HY000", format!("Unknown collation: '{name}'")))?;
            if let Some(cs) = cs
                && set(cs)?.charset() != c.charset()
            {
                return Err(Fault::mysql(1253, "42000", format!("COLLATION '{}' is not valid for CHARACTER SET '{}'", c.name(), cs)));
            }
            Ok(c)
        }
    }
}
