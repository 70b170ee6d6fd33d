//! A column's definition: its default, what it is generated from, what it is warned of.
//!
//! Owns:     nothing.
//! Promises: a literal default is a value of the column's type.
//! Never:    evaluates an expression: a default in parentheses is kept as text.

use super::column_type::resolve_type;
use super::keys::null_in_primary_key;
use super::{DdlContext, check_name};
use weald_catalog::table::GeneratedColumn;
use weald_catalog::{ColumnDef, DefaultValue};
use weald_sql::{ast, print};
use weald_types::{Collation, Fault, SqlType, TypeKind};

pub(super) fn column(def: &ast::ColumnDef, table: Collation, ctx: &mut DdlContext<'_>) -> Result<ColumnDef, Fault> {
    check_name(&def.name, 1166, "column")?;
    let o = &def.options;
    let mut d = def.data_type.clone();
    if o.collation.is_some() {
        d.collation = o.collation.clone();
    }
    let auto = o.auto_increment;
    if o.primary_key && o.nullable == Some(true) {
        return Err(null_in_primary_key());
    }
    let nullable = o.nullable.unwrap_or(!o.primary_key) && !o.primary_key && !auto;
    let ty = resolve_type(&d, &def.name, nullable, table)?;
    deprecated(&d, ctx);
    if auto && !matches!(ty.kind, TypeKind::Int { .. } | TypeKind::Float { .. } | TypeKind::Double { .. }) {
        return Err(Fault::mysql(1063, "42000", format!("Incorrect column specifier for column '{}'", def.name)));
    }
    let invalid = || Fault::mysql(1067, "42000", format!("Invalid default value for '{}'", def.name));
    let mut default = match &o.default {
        None => {
            if ty.nullable {
                DefaultValue::Null
            } else {
                DefaultValue::None
            }
        }
        Some(e) => default_value(e, o.default_in_parens, &ty, &def.name)?,
    };
    if auto {
        if o.default.is_some() {
            return Err(invalid());
        }
        default = DefaultValue::None;
    }
    if matches!(default, DefaultValue::Null) && o.default.is_some() && !ty.nullable {
        return Err(invalid());
    }
    let on_update_now = match &o.on_update {
        None => false,
        Some(ast::Expr::Function { name, .. }) if matches!(name.as_str(), "NOW" | "CURRENT_TIMESTAMP" | "LOCALTIME" | "LOCALTIMESTAMP") => {
            if !matches!(ty.kind, TypeKind::DateTime { .. } | TypeKind::Timestamp { .. }) {
                return Err(Fault::mysql(1294, "HY000", format!("Invalid ON UPDATE clause for '{}' column", def.name)));
            }
            true
        }
        Some(_) => return Err(Fault::mysql(1294, "HY000", format!("Invalid ON UPDATE clause for '{}' column", def.name))),
    };
    let generated = o.generated.as_ref().map(|g| GeneratedColumn { expression: print::stored_expr(&g.expr).into(), stored: g.stored });
    Ok(ColumnDef {
        name: def.name.as_str().into(),
        ty,
        default,
        on_update_now,
        auto_increment: auto,
        invisible: o.invisible,
        comment: o.comment.clone().unwrap_or_default().into(),
        generated,
    })
}

/// What MySQL 8.0 warns of in a type.
fn deprecated(d: &ast::DataType, ctx: &mut DdlContext<'_>) {
    let mut warn = |text: &str| ctx.warnings.push(Fault::mysql(1681, "HY000", text));
    let real = matches!(d.name.as_str(), "FLOAT" | "DOUBLE");
    if d.zerofill {
        warn(
            "The ZEROFILL attribute is deprecated and will be removed in a future release. Use the LPAD function to zero-pad numbers, or store the formatted numbers in a CHAR column.",
        );
    }
    if d.unsigned && (real || d.name == "DECIMAL") {
        warn("UNSIGNED for decimal and floating point data types is deprecated and support for it will be removed in a future release.");
    }
    if real && d.decimals.is_some() {
        warn("Specifying number of digits for floating point data types is deprecated and will be removed in a future release.");
    }
    let whole = matches!(d.name.as_str(), "TINYINT" | "SMALLINT" | "MEDIUMINT" | "INT" | "BIGINT");
    if d.zerofill && !whole {
        ctx.warn(format!("ZEROFILL of {} is kept as UNSIGNED: its values are shown without zeros before them", d.name));
        return;
    }
    if whole && d.length.is_some() && !(d.name == "TINYINT" && d.length == Some(1)) {
        warn("Integer display width is deprecated and will be removed in a future release.");
    }
}

pub(super) fn default_value(e: &ast::Expr, in_parens: bool, ty: &SqlType, name: &str) -> Result<DefaultValue, Fault> {
    let invalid = || Fault::mysql(1067, "42000", format!("Invalid default value for '{name}'"));
    if in_parens {
        return Ok(DefaultValue::Expression(print::stored_expr(e).into()));
    }
    let blob = matches!(ty.kind, TypeKind::Text(_) | TypeKind::Blob(_) | TypeKind::Json);
    let literal = |text: String| {
        if blob {
            Err(Fault::mysql(1101, "42000", format!("BLOB, TEXT, GEOMETRY or JSON column '{name}' can't have a default value")))
        } else {
            checked(text, ty, name).map(|t| DefaultValue::Literal(t.into()))
        }
    };
    match e {
        ast::Expr::Literal(ast::Literal::Null) => Ok(DefaultValue::Null),
        ast::Expr::Literal(l) => match l {
            ast::Literal::Bool(b) => literal((*b as i32).to_string()),
            ast::Literal::Integer(n) => literal(n.to_string()),
            ast::Literal::Decimal(t) => literal(t.clone()),
            ast::Literal::Double(d) => literal(d.to_string()),
            ast::Literal::String { value, .. } | ast::Literal::National(value) => literal(value.clone()),
            ast::Literal::Date(t) | ast::Literal::Time(t) | ast::Literal::Timestamp(t) => literal(t.clone()),
            ast::Literal::Bit(b) if matches!(ty.kind, TypeKind::Bit { .. }) => {
                let n = b.iter().fold(0u64, |n, x| n << 8 | *x as u64);
                Ok(DefaultValue::Literal(format!("b'{n:b}'").into()))
            }
            ast::Literal::Hex(b) | ast::Literal::Bit(b) | ast::Literal::Bytes(b) => literal(String::from_utf8(b.clone()).map_err(|_| invalid())?),
            ast::Literal::Null => Ok(DefaultValue::Null),
        },
        ast::Expr::Unary { op: ast::UnaryOp::Minus, expr } => match &**expr {
            ast::Expr::Literal(ast::Literal::Integer(n)) => literal(format!("-{n}")),
            ast::Expr::Literal(ast::Literal::Decimal(t)) => literal(format!("-{t}")),
            ast::Expr::Literal(ast::Literal::Double(d)) => literal(format!("-{d}")),
            _ => Err(invalid()),
        },
        ast::Expr::Function { name: f, args, .. } if matches!(f.as_str(), "NOW" | "CURRENT_TIMESTAMP" | "LOCALTIME" | "LOCALTIMESTAMP") => {
            let fsp = match args.first() {
                None => 0,
                Some(ast::Expr::Literal(ast::Literal::Integer(n))) => *n as u8,
                Some(_) => return Err(invalid()),
            };
            match ty.kind {
                TypeKind::DateTime { fsp: own } | TypeKind::Timestamp { fsp: own } if own == fsp => Ok(DefaultValue::Now { fsp }),
                _ => Err(invalid()),
            }
        }
        _ => Err(invalid()),
    }
}

/// A literal default must be a value of the type; numbers take the type's form.
fn checked(text: String, ty: &SqlType, name: &str) -> Result<String, Fault> {
    let invalid = || Fault::mysql(1067, "42000", format!("Invalid default value for '{name}'"));
    match &ty.kind {
        TypeKind::Int { .. } => {
            let d = weald_types::Decimal::parse(&text).and_then(|d| d.to_i128()).ok_or_else(invalid)?;
            let (low, high) = ty.kind.integer_range().unwrap_or((i64::MIN as i128, u64::MAX as i128));
            if d < low || d > high {
                return Err(invalid());
            }
            Ok(d.to_string())
        }
        TypeKind::Decimal { precision, scale, .. } => {
            let d = weald_types::Decimal::parse(&text).and_then(|d| d.rescale(*scale)).filter(|d| d.fits(*precision, *scale)).ok_or_else(invalid)?;
            Ok(d.to_string())
        }
        TypeKind::Float { .. } | TypeKind::Double { .. } => {
            text.trim().parse::<f64>().map_err(|_| invalid())?;
            Ok(text)
        }
        TypeKind::Char { chars } | TypeKind::VarChar { chars } => {
            if text.chars().count() > *chars as usize {
                Err(invalid())
            } else {
                Ok(text)
            }
        }
        TypeKind::Binary { bytes } | TypeKind::VarBinary { bytes } => {
            if text.len() > *bytes as usize {
                Err(invalid())
            } else {
                Ok(text)
            }
        }
        TypeKind::Enum(m) => {
            m.iter().find(|m| ty.collation.equal(m.as_bytes(), text.trim_end_matches(' ').as_bytes())).map(|m| m.to_string()).ok_or_else(invalid)
        }
        TypeKind::Set(m) => {
            if text.split(',').filter(|p| !p.is_empty()).all(|p| m.iter().any(|x| ty.collation.equal(x.as_bytes(), p.as_bytes()))) {
                Ok(text)
            } else {
                Err(invalid())
            }
        }
        TypeKind::Date | TypeKind::DateTime { .. } | TypeKind::Timestamp { .. } => {
            let mode = weald_types::SqlMode(0);
            let parsed = weald_types::DateTime::parse(&text, 6, mode);
            match parsed.value() {
                Some(d) => Ok(match &ty.kind {
                    TypeKind::Date => d.date().to_string(),
                    k => d.display(k.fsp().unwrap_or(0)).to_string(),
                }),
                None => Err(invalid()),
            }
        }
        TypeKind::Time { fsp } => {
            weald_types::Time::parse(&text, *fsp, weald_types::SqlMode(0)).value().map(|t| t.display(*fsp).to_string()).ok_or_else(invalid)
        }
        _ => Ok(text),
    }
}
