//! CREATE TABLE and ALTER TABLE: from a syntax tree to a definition.
//!
//! Owns:     nothing.
//! Promises: the definition is one that MySQL would make: types within their limits, keys named, defaults checked; what cannot be kept is refused, what is kept
//!           without effect is warned of.
//! Never:    touches rows: an alteration says whether they must be copied.

use crate::bind::evaluated;
use std::collections::HashSet;
use std::sync::Arc;
use weald_catalog::table::{CheckConstraint, GeneratedColumn, TableOptions};
use weald_catalog::{ColumnDef, DefaultValue, FieldSource, IndexDef, IndexPart, Layout, Sharding, TableDef};
use weald_sql::ast;
use weald_sql::ast::{AlterAction, ColumnPosition, IndexKind};
use weald_sql::print;
use weald_types::sql_type::{BlobSize, IntWidth};
use weald_types::{Charset, Collation, DatabaseId, Fault, IndexId, SchemaVersion, SqlType, TableId, TypeKind};

/// What a definition needs to know of its surroundings.
pub struct DdlContext<'a> {
    pub database: &'a str,
    pub database_id: DatabaseId,
    pub collation: Collation,
    pub partitions: u32,
    pub ignore_foreign_keys: bool,
    pub warnings: Vec<Fault>,
}

impl DdlContext<'_> {
    fn warn(&mut self, text: impl Into<String>) {
        self.warnings.push(Fault::mysql(1235, "42000", text));
    }
}

fn duplicate_column(name: &str) -> Fault {
    Fault::mysql(1060, "42S21", format!("Duplicate column name '{name}'"))
}

/// A column that CREATE TABLE … SELECT gets from its query.
#[derive(Clone, Debug)]
pub struct SelectedColumn {
    pub name: String,
    pub ty: SqlType,
    /// The table's column that it is, unchanged.
    pub origin: Option<ColumnDef>,
}

/// A new table.
pub fn create_table(c: &ast::CreateTable, name: &str, from_query: &[SelectedColumn], ctx: &mut DdlContext<'_>) -> Result<TableDef, Fault> {
    if c.columnstore {
        return Err(Fault::not_supported("COLUMNSTORE tables"));
    }
    check_name(name, 1103, "table")?;
    let collation = table_collation(&c.options, ctx.collation)?;
    let mut columns = Vec::new();
    let mut indexes: Vec<(ast::IndexDef, bool)> = Vec::new();
    for def in &c.columns {
        let column = column(def, collation, ctx)?;
        if def.options.primary_key {
            indexes.push((single(IndexKind::Primary, &def.name), false));
        }
        if def.options.unique {
            indexes.push((single(IndexKind::Unique, &def.name), false));
        }
        columns.push(column);
    }
    // CREATE … SELECT: what the query brings beyond the columns written.
    for SelectedColumn { name, ty, origin } in from_query {
        if columns.iter().any(|c: &ColumnDef| c.name.eq_ignore_ascii_case(name)) {
            continue;
        }
        let ty = if origin.is_some() { ty.clone() } else { evaluated(ty).as_number() };
        let ty = if matches!(ty.kind, TypeKind::Null) { SqlType::new(TypeKind::Binary { bytes: 0 }, true) } else { ty };
        let default = match origin {
            // What an outer join may leave out can be NULL whatever the table says.
            Some(o) if o.ty.nullable == ty.nullable && !o.auto_increment && o.generated.is_none() => o.default.clone(),
            _ if ty.nullable => DefaultValue::Null,
            _ => zero_default(&ty),
        };
        columns.push(ColumnDef {
            name: name.as_str().into(),
            ty,
            default,
            on_update_now: origin.as_ref().is_some_and(|o| o.on_update_now),
            auto_increment: false,
            invisible: false,
            comment: origin.as_ref().map_or_else(|| "".into(), |o| o.comment.clone()),
            generated: None,
        });
    }
    let mut t = TableDef {
        id: TableId::new(0),
        database: ctx.database_id,
        database_name: ctx.database.into(),
        name: name.into(),
        version: SchemaVersion::FIRST,
        columns,
        indexes: Vec::new(),
        primary_key: false,
        sharding: Sharding::RowId,
        collation,
        comment: c.options.comment.clone().unwrap_or_default().into(),
        checks: Vec::new(),
        auto_increment_start: c.options.auto_increment.unwrap_or(1),
        options: TableOptions { temporary: c.temporary, engine: "InnoDB".into() },
        created: 0,
        layouts: Vec::new(),
    };
    engine_and_ignored(&c.options, ctx)?;
    let mut shard: Option<Vec<u16>> = None;
    indexes.extend(c.indexes.iter().map(|i| (i.clone(), true)));
    // The primary key first, then unique keys, then the others: as MySQL shows them.
    indexes.sort_by_key(|(i, _)| match i.kind {
        IndexKind::Primary => 0,
        IndexKind::Unique => 1,
        _ => 2,
    });
    for (i, _) in &indexes {
        match i.kind {
            IndexKind::Shard => {
                shard = Some(i.columns.iter().map(|p| t.column(&p.column).ok_or_else(|| key_column(&p.column))).collect::<Result<_, _>>()?)
            }
            IndexKind::Sort => ctx.warn("SORT KEY has no effect on a rowstore table"),
            _ => add_index(&mut t, i)?,
        }
    }
    for check in c.checks.iter().chain(c.columns.iter().filter_map(|c| c.options.check.as_ref())) {
        add_check(&mut t, check)?;
    }
    for fk in c.foreign_keys.iter().chain(c.columns.iter().filter_map(|c| c.options.references.as_ref())) {
        foreign_key(fk, ctx)?;
    }
    finish(&mut t, shard, c.reference, Said::Nothing, ctx)?;
    Ok(t)
}

fn single(kind: IndexKind, column: &str) -> ast::IndexDef {
    ast::IndexDef {
        kind,
        name: None,
        columns: vec![ast::IndexColumn { column: column.into(), prefix: None, descending: false, expr: None }],
        method: None,
        comment: None,
        invisible: false,
    }
}

fn engine_and_ignored(o: &ast::TableOptions, ctx: &mut DdlContext<'_>) -> Result<(), Fault> {
    if let Some(e) = &o.engine
        && !["innodb", "rowstore", "weald", "myisam", "memory"].contains(&e.to_ascii_lowercase().as_str())
    {
        return Err(Fault::mysql(1286, "42000", format!("Unknown storage engine '{e}'")));
    }
    if let Some(e) = &o.engine
        && !e.eq_ignore_ascii_case("innodb")
    {
        ctx.warn(format!("ENGINE={e} is kept as Weald's rowstore (InnoDB)"));
    }
    for ignored in &o.ignored {
        ctx.warn(format!("'{ignored}' has no effect here"));
    }
    Ok(())
}

fn table_collation(o: &ast::TableOptions, default: Collation) -> Result<Collation, Fault> {
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
        }
        Ok(if double || d.decimals.is_none() && d.length.is_some_and(|l| l > 24) {
            TypeKind::Double { unsigned: d.unsigned, scale: d.decimals }
        } else {
            TypeKind::Float { unsigned: d.unsigned, scale: d.decimals }
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

fn check_name(name: &str, number: u16, what: &str) -> Result<(), Fault> {
    if name.chars().count() > 64 {
        return Err(Fault::mysql(1059, "42000", format!("Identifier name '{name}' is too long")));
    }
    if name.is_empty() || name.ends_with(' ') {
        return Err(Fault::mysql(number, "42000", format!("Incorrect {what} name '{name}'")));
    }
    Ok(())
}

fn column(def: &ast::ColumnDef, table: Collation, ctx: &mut DdlContext<'_>) -> Result<ColumnDef, Fault> {
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
    if whole && d.length.is_some() && !(d.name == "TINYINT" && d.length == Some(1)) {
        warn("Integer display width is deprecated and will be removed in a future release.");
    }
}

fn default_value(e: &ast::Expr, in_parens: bool, ty: &SqlType, name: &str) -> Result<DefaultValue, Fault> {
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

fn zero_default(ty: &SqlType) -> DefaultValue {
    match &ty.kind {
        TypeKind::Int { .. } | TypeKind::Year | TypeKind::Float { .. } | TypeKind::Double { .. } => DefaultValue::Literal("0".into()),
        TypeKind::Decimal { scale, .. } => DefaultValue::Literal(weald_types::Decimal::new(0, *scale).to_string().into()),
        TypeKind::Char { .. } | TypeKind::VarChar { .. } => DefaultValue::Literal("".into()),
        _ => DefaultValue::None,
    }
}

fn null_in_primary_key() -> Fault {
    Fault::mysql(1171, "42000", "All parts of a PRIMARY KEY must be NOT NULL; if you need NULL in a key, use UNIQUE instead")
}

fn key_column(name: &str) -> Fault {
    Fault::mysql(1072, "42000", format!("Key column '{name}' doesn't exist in table"))
}

fn add_index(t: &mut TableDef, i: &ast::IndexDef) -> Result<(), Fault> {
    if matches!(i.kind, IndexKind::Fulltext | IndexKind::Spatial) {
        return Err(Fault::not_supported(if i.kind == IndexKind::Fulltext { "FULLTEXT indexes" } else { "SPATIAL indexes" }));
    }
    let mut parts = Vec::new();
    let mut seen = HashSet::new();
    for c in &i.columns {
        if c.expr.is_some() {
            return Err(Fault::not_supported("functional key parts"));
        }
        let ordinal = t.column(&c.column).ok_or_else(|| key_column(&c.column))?;
        if !seen.insert(ordinal) {
            return Err(duplicate_column(&c.column));
        }
        let ty = &t.columns[ordinal as usize].ty;
        let mut prefix = c.prefix;
        match &ty.kind {
            TypeKind::Text(_) | TypeKind::Blob(_) if prefix.is_none() => {
                return Err(Fault::mysql(1170, "42000", format!("BLOB/TEXT column '{}' used in key specification without a key length", c.column)));
            }
            TypeKind::Json => {
                return Err(Fault::mysql(
                    3152,
                    "42000",
                    format!("JSON column '{}' supports indexing only via generated columns on a specified JSON path.", c.column),
                ));
            }
            TypeKind::Char { chars: n } | TypeKind::VarChar { chars: n } | TypeKind::Binary { bytes: n } | TypeKind::VarBinary { bytes: n } => {
                if prefix.is_some_and(|p| p > *n || p == 0) {
                    return Err(wrong_prefix());
                }
                if prefix == Some(*n) {
                    prefix = None;
                }
            }
            TypeKind::Text(_) | TypeKind::Blob(_) => {
                if prefix == Some(0) {
                    return Err(wrong_prefix());
                }
            }
            _ => {
                if prefix.is_some() {
                    return Err(wrong_prefix());
                }
            }
        }
        parts.push(IndexPart { column: ordinal, prefix, descending: c.descending });
    }
    if parts.len() > 16 {
        return Err(Fault::mysql(1070, "42000", "Too many key parts specified; max 16 parts allowed"));
    }
    let id = IndexId::new(t.indexes.iter().map(|i| i.id.raw() + 1).max().unwrap_or(1).max(1));
    if i.kind == IndexKind::Primary {
        if t.primary_key {
            return Err(Fault::mysql(1068, "42000", "Multiple primary key defined"));
        }
        for p in &parts {
            let c = &mut t.columns[p.column as usize];
            c.ty.nullable = false;
            if matches!(c.default, DefaultValue::Null) {
                c.default = DefaultValue::None;
            }
        }
        t.primary_key = true;
        t.indexes.insert(
            0,
            IndexDef {
                id: IndexId::new(0),
                name: "PRIMARY".into(),
                unique: true,
                parts,
                hash: false,
                comment: "".into(),
                invisible: false,
                ready: true,
            },
        );
        return Ok(());
    }
    let name = match &i.name {
        Some(n) => {
            check_name(n, 1280, "index")?;
            if n.eq_ignore_ascii_case("PRIMARY") {
                return Err(Fault::mysql(1280, "42000", format!("Incorrect index name '{n}'")));
            }
            if t.indexes.iter().any(|x| x.name.eq_ignore_ascii_case(n)) {
                return Err(Fault::mysql(1061, "42000", format!("Duplicate key name '{n}'")));
            }
            n.clone()
        }
        None => {
            let base = t.columns[parts[0].column as usize].name.to_string();
            let mut name = base.clone();
            let mut n = 2;
            while t.indexes.iter().any(|x| x.name.eq_ignore_ascii_case(&name)) {
                name = format!("{base}_{n}");
                n += 1;
            }
            name
        }
    };
    let unique = i.kind == IndexKind::Unique;
    let hash = i.method == Some(ast::IndexMethod::Hash);
    let def = IndexDef {
        id,
        name: name.into(),
        unique,
        parts,
        hash,
        comment: i.comment.clone().unwrap_or_default().into(),
        invisible: i.invisible,
        ready: true,
    };
    // Unique keys stand before the others.
    let at = if unique { t.indexes.iter().position(|x| !x.unique).unwrap_or(t.indexes.len()) } else { t.indexes.len() };
    t.indexes.insert(at, def);
    Ok(())
}

fn wrong_prefix() -> Fault {
    Fault::mysql(
        1089,
        "HY000",
        "Incorrect prefix key; the used key part isn't a string, the used length is longer than the key part, or the storage engine doesn't support unique prefix keys",
    )
}

fn add_check(t: &mut TableDef, c: &ast::CheckDef) -> Result<(), Fault> {
    let name = c.name.clone().unwrap_or_else(|| format!("{}_chk_{}", t.name, t.checks.len() + 1));
    if t.checks.iter().any(|x| x.name.eq_ignore_ascii_case(&name)) {
        return Err(Fault::mysql(3822, "HY000", format!("Duplicate check constraint name '{name}'.")));
    }
    t.checks.push(CheckConstraint { name: name.into(), expression: print::stored_expr(&c.expr).into(), enforced: c.enforced });
    Ok(())
}

fn foreign_key(fk: &ast::ForeignKeyDef, ctx: &mut DdlContext<'_>) -> Result<(), Fault> {
    if !ctx.ignore_foreign_keys {
        return Err(Fault::FeatureLocked { feature: "FOREIGN KEY".into() });
    }
    ctx.warn(format!("FOREIGN KEY ({}) REFERENCES {} is not kept and not enforced (ignore_foreign_keys is ON)", fk.columns.join(","), fk.table.name));
    Ok(())
}

/// What the user has been told of the table's place before.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Said {
    Nothing,
    /// That it is whole in one partition, when it became so.
    Whole,
}

/// What holds for the whole table; and where its rows go.
fn finish(t: &mut TableDef, shard: Option<Vec<u16>>, reference: bool, said: Said, ctx: &mut DdlContext<'_>) -> Result<(), Fault> {
    if t.columns.iter().filter(|c| !c.invisible).count() == 0 {
        return Err(if t.columns.is_empty() {
            Fault::mysql(1113, "42000", "A table must have at least 1 column")
        } else {
            Fault::mysql(4028, "HY000", "A table must have at least one visible column.")
        });
    }
    if t.columns.len() > 4096 {
        return Err(Fault::mysql(1117, "HY000", "Too many columns"));
    }
    let mut seen = HashSet::new();
    for c in &t.columns {
        if !seen.insert(c.name.to_lowercase()) {
            return Err(duplicate_column(&c.name));
        }
    }
    let auto: Vec<usize> = t.columns.iter().enumerate().filter(|(_, c)| c.auto_increment).map(|(i, _)| i).collect();
    if auto.len() > 1 || auto.iter().any(|a| !t.indexes.iter().any(|i| i.parts[0].column as usize == *a)) {
        return Err(Fault::mysql(1075, "42000", "Incorrect table definition; there can be only one auto column and it must be defined as a key"));
    }
    for i in &t.indexes {
        let bytes: u64 = i
            .parts
            .iter()
            .map(|p| {
                let ty = &t.columns[p.column as usize].ty;
                let per = if ty.kind.is_text() { ty.collation.max_len() as u64 } else { 1 };
                p.prefix.map_or(ty.character_octet_length().unwrap_or(8), |n| n as u64 * per)
            })
            .sum();
        if bytes > 3072 {
            return Err(Fault::mysql(1071, "42000", "Specified key was too long; max key length is 3072 bytes"));
        }
    }
    if let Some(s) = &shard {
        for i in t.indexes.iter().filter(|i| i.unique) {
            if !s.iter().all(|c| i.parts.iter().any(|p| p.column == *c && p.prefix.is_none())) {
                return Err(Fault::mysql(
                    1744,
                    "HY000",
                    format!("The unique key named: '{}' must contain all columns specified in the shard key", i.name),
                ));
            }
        }
    }
    t.sharding = match (reference, shard, t.primary_key) {
        (true, ..) => Sharding::Reference,
        (_, Some(columns), _) if !columns.is_empty() => Sharding::Hash { columns, declared: true },
        (_, _, true) => {
            let primary: Vec<u16> = t.indexes[0].parts.iter().map(|p| p.column).collect();
            let whole = t.indexes[0].parts.iter().all(|p| p.prefix.is_none());
            match t
                .indexes
                .iter()
                .filter(|i| i.unique)
                .find(|i| !whole || !primary.iter().all(|c| i.parts.iter().any(|p| p.column == *c && p.prefix.is_none())))
            {
                None => Sharding::Hash { columns: primary, declared: false },
                Some(i) => {
                    if ctx.partitions > 1 && said == Said::Nothing {
                        let text = format!(
                            "Table '{}' is kept whole in one partition, because its unique key '{}' does not contain its primary key; to spread it, declare a SHARD KEY whose columns are in every unique key",
                            t.name, i.name
                        );
                        ctx.warn(text);
                    }
                    single_partition(t, ctx)
                }
            }
        }
        (_, _, false) if t.indexes.iter().any(|i| i.unique) => {
            if ctx.partitions > 1 && said == Said::Nothing {
                ctx.warn(format!("Table '{}' is kept whole in one partition, because it has a unique key and no primary key; to spread it, declare a SHARD KEY whose columns are in every unique key", t.name));
            }
            single_partition(t, ctx)
        }
        _ => Sharding::RowId,
    };
    Ok(())
}

/// Tables that stay whole are spread by their names.
fn single_partition(t: &TableDef, ctx: &DdlContext<'_>) -> Sharding {
    Sharding::Single { ordinal: (weald_types::key::shard_hash(t.name.as_bytes()) % ctx.partitions.max(1) as u64) as u32 }
}

/// What an ALTER TABLE comes to.
#[derive(Clone, Debug)]
pub struct Altered {
    pub def: TableDef,
    /// Rows must be copied into a table of the new definition. Otherwise `def.layouts` says how old rows are read.
    pub copy: bool,
    /// For each new column, the old one it comes from.
    pub from: Vec<Option<u16>>,
    /// New columns whose value in old rows is their default: fill in `def.layouts`' constants.
    pub added: Vec<u16>,
    /// Indexes to be filled before they are ready.
    pub fill: Vec<IndexId>,
    /// (database, name)
    pub rename: Option<(Option<String>, String)>,
}

impl Altered {
    /// The table as it is, in another place.
    pub fn unchanged(def: TableDef, from: Vec<Option<u16>>) -> Self {
        Self { def, copy: true, from, added: Vec::new(), fill: Vec::new(), rename: None }.by_copy()
    }
    /// Nothing but indexes changes.
    pub fn only_indexes(&self, old: &TableDef) -> bool {
        let without = |t: &TableDef| TableDef { indexes: Vec::new(), ..t.clone() };
        without(&self.def) == without(old)
    }
    /// The same, its rows being copied.
    pub fn by_copy(mut self) -> Self {
        self.copy = true;
        self.def.layouts.clear();
        self.def.indexes.iter_mut().for_each(|i| i.ready = true);
        self.fill.clear();
        self
    }
}

pub fn check_table_name(name: &str) -> Result<(), Fault> {
    check_name(name, 1103, "table")
}

pub fn alter_table(old: &TableDef, actions: &[AlterAction], ctx: &mut DdlContext<'_>) -> Result<Altered, Fault> {
    let mut t = old.clone();
    let mut from: Vec<Option<u16>> = (0..old.columns.len() as u16).map(Some).collect();
    let mut copy = false;
    let mut rename = None;
    let no_such = |name: &str| Fault::mysql(1054, "42S22", format!("Unknown column '{name}' in '{}'", old.name));
    let no_key = |name: &str| Fault::mysql(1091, "42000", format!("Can't DROP '{name}'; check that column/key exists"));
    // New keys after all columns are there.
    let mut late: Vec<ast::IndexDef> = Vec::new();
    let mut shard = match &old.sharding {
        Sharding::Hash { columns, declared: true } => Some(columns.iter().map(|c| old.columns[*c as usize].name.clone()).collect::<Vec<_>>()),
        _ => None,
    };
    for a in actions {
        match a {
            AlterAction::AddColumn { column: def, position, if_not_exists } => {
                if t.column(&def.name).is_some() {
                    if *if_not_exists {
                        continue;
                    }
                    return Err(duplicate_column(&def.name));
                }
                let c = column(def, t.collation, ctx)?;
                copy |= c.auto_increment || c.generated.is_some();
                if def.options.primary_key {
                    late.push(single(IndexKind::Primary, &def.name));
                }
                if def.options.unique {
                    late.push(single(IndexKind::Unique, &def.name));
                }
                if let Some(fk) = &def.options.references {
                    foreign_key(fk, ctx)?;
                }
                let at = place(&t, position, t.columns.len())?;
                insert_column(&mut t, &mut from, at, c, None);
                if let Some(check) = &def.options.check {
                    add_check(&mut t, check)?;
                }
            }
            AlterAction::DropColumn { name, if_exists } => {
                let Some(at) = t.column(name) else {
                    if *if_exists {
                        continue;
                    }
                    return Err(no_key(name));
                };
                if t.columns.len() == 1 {
                    return Err(Fault::mysql(1090, "42000", "You can't delete all columns with ALTER TABLE; use DROP TABLE instead"));
                }
                copy |= t.primary_key && t.indexes[0].parts.iter().any(|p| p.column == at);
                remove_column(&mut t, &mut from, at)?;
            }
            AlterAction::ModifyColumn { column: def, position } => {
                change_column(&mut t, &mut from, &def.name, def, position, &mut copy, &mut late, ctx)
                    .map_err(|f| f.unwrap_or_else(|| no_such(&def.name)))?
            }
            AlterAction::ChangeColumn { old: name, column: def, position } => {
                change_column(&mut t, &mut from, name, def, position, &mut copy, &mut late, ctx).map_err(|f| f.unwrap_or_else(|| no_such(name)))?
            }
            AlterAction::RenameColumn { old: name, new } => {
                let at = t.column(name).ok_or_else(|| no_such(name))?;
                if !name.eq_ignore_ascii_case(new) && t.column(new).is_some() {
                    return Err(duplicate_column(new));
                }
                check_name(new, 1166, "column")?;
                t.columns[at as usize].name = new.as_str().into();
            }
            AlterAction::SetDefault { column: name, default, in_parens } => {
                let at = t.column(name).ok_or_else(|| no_such(name))? as usize;
                t.columns[at].default = default_value(default, *in_parens, &t.columns[at].ty.clone(), name)?;
            }
            AlterAction::DropDefault { column: name } => {
                let at = t.column(name).ok_or_else(|| no_such(name))? as usize;
                t.columns[at].default = DefaultValue::None
            }
            AlterAction::AddIndex(i) => late.push(i.clone()),
            AlterAction::DropIndex(name) | AlterAction::DropConstraint(name) => {
                if name.eq_ignore_ascii_case("PRIMARY") {
                    drop_primary(&mut t, &no_key)?;
                    copy = true;
                    continue;
                }
                if matches!(a, AlterAction::DropConstraint(_)) && t.checks.iter().any(|c| c.name.eq_ignore_ascii_case(name)) {
                    t.checks.retain(|c| !c.name.eq_ignore_ascii_case(name));
                    continue;
                }
                let at = t.indexes.iter().position(|i| i.name.eq_ignore_ascii_case(name)).ok_or_else(|| no_key(name))?;
                t.indexes.remove(at);
            }
            AlterAction::RenameIndex { old: name, new } => {
                if t.indexes.iter().any(|i| i.name.eq_ignore_ascii_case(new)) && !name.eq_ignore_ascii_case(new) {
                    return Err(Fault::mysql(1061, "42000", format!("Duplicate key name '{new}'")));
                }
                let i = t
                    .indexes
                    .iter_mut()
                    .find(|i| i.name.eq_ignore_ascii_case(name))
                    .ok_or_else(|| Fault::mysql(1176, "42000", format!("Key '{name}' doesn't exist in table '{}'", old.name)))?;
                i.name = new.as_str().into();
            }
            AlterAction::DropPrimaryKey => {
                drop_primary(&mut t, &no_key)?;
                copy = true
            }
            AlterAction::AddForeignKey(fk) => foreign_key(fk, ctx)?,
            AlterAction::DropForeignKey(name) => return Err(no_key(name)),
            AlterAction::AddCheck(c) => {
                add_check(&mut t, c)?;
                copy |= c.enforced
            }
            AlterAction::DropCheck(name) => {
                let before = t.checks.len();
                t.checks.retain(|c| !c.name.eq_ignore_ascii_case(name));
                if t.checks.len() == before {
                    return Err(Fault::mysql(3821, "HY000", format!("Check constraint '{name}' is not found in the table.")));
                }
            }
            AlterAction::AlterCheck { name, enforced } => {
                let c = t
                    .checks
                    .iter_mut()
                    .find(|c| c.name.eq_ignore_ascii_case(name))
                    .ok_or_else(|| Fault::mysql(3821, "HY000", format!("Check constraint '{name}' is not found in the table.")))?;
                copy |= *enforced && !c.enforced;
                c.enforced = *enforced;
            }
            AlterAction::AlterColumnVisibility { column: name, invisible } => {
                let at = t.column(name).ok_or_else(|| no_such(name))? as usize;
                t.columns[at].invisible = *invisible
            }
            AlterAction::AlterIndexVisibility { name, invisible } => {
                let i = t
                    .indexes
                    .iter_mut()
                    .find(|i| i.name.eq_ignore_ascii_case(name))
                    .ok_or_else(|| Fault::mysql(1176, "42000", format!("Key '{name}' doesn't exist in table '{}'", old.name)))?;
                i.invisible = *invisible;
            }
            AlterAction::Rename(n) => rename = Some((n.database.clone(), n.name.clone())),
            AlterAction::ConvertCharset { charset, collation } => {
                let c = charset_and_collation(Some(charset), collation.as_deref(), t.collation)?;
                for column in t.columns.iter_mut().filter(|x| x.ty.kind.is_text()) {
                    copy |= column.ty.collation != c;
                    column.ty.collation = c;
                }
                t.collation = c;
            }
            AlterAction::Options(o) => {
                engine_and_ignored(o, ctx)?;
                t.collation = table_collation(o, t.collation)?;
                if let Some(c) = &o.comment {
                    t.comment = c.as_str().into();
                }
                if let Some(n) = o.auto_increment {
                    t.auto_increment_start = n;
                }
            }
            AlterAction::Force => copy = true,
            AlterAction::DisableKeys | AlterAction::EnableKeys => ctx.warn("DISABLE KEYS and ENABLE KEYS have no effect here"),
            AlterAction::OrderBy(_) => ctx.warn("ALTER TABLE … ORDER BY has no effect on a table with ordered indexes"),
            AlterAction::Algorithm(_) | AlterAction::Lock(_) => (),
        }
    }
    let known: HashSet<IndexId> = t.indexes.iter().map(|i| i.id).collect();
    for i in &late {
        if i.kind == IndexKind::Shard {
            shard = Some(i.columns.iter().map(|c| c.column.as_str().into()).collect());
            copy = true;
            continue;
        }
        copy |= i.kind == IndexKind::Primary;
        // A dropped index's id is not given again: its entries may still be counted.
        add_index(&mut t, i)?;
    }
    let highest = old.indexes.iter().map(|i| i.id.raw()).max().unwrap_or(0);
    let mut fill = Vec::new();
    for (next, i) in (highest + 1..).zip(t.indexes.iter_mut().filter(|i| !known.contains(&i.id) && i.id.raw() != 0)) {
        i.id = IndexId::new(next);
        i.ready = false;
        fill.push(i.id);
    }
    let shard = shard.map(|names| names.iter().map(|n| t.column(n).ok_or_else(|| key_column(n))).collect::<Result<Vec<u16>, _>>()).transpose()?;
    let reference = matches!(old.sharding, Sharding::Reference);
    let said = if matches!(old.sharding, Sharding::Single { .. }) { Said::Whole } else { Said::Nothing };
    finish(&mut t, shard, reference, said, ctx)?;
    // Where rows live must not change under them.
    let place_of = |t: &TableDef| match &t.sharding {
        Sharding::Hash { columns, .. } => columns.iter().map(|c| t.columns[*c as usize].name.to_lowercase()).collect::<Vec<_>>(),
        Sharding::Single { .. } => vec!["\u{1}".into()],
        Sharding::RowId => vec!["\u{2}".into()],
        Sharding::Reference => vec!["\u{3}".into()],
    };
    copy |= place_of(&t) != place_of(old) && !renamed_only(old, &t, &from);
    if let (Sharding::Single { .. }, Sharding::Single { ordinal }) = (&mut t.sharding, &old.sharding) {
        t.sharding = Sharding::Single { ordinal: *ordinal };
    }
    let added: Vec<u16> = from.iter().enumerate().filter(|(_, f)| f.is_none()).map(|(i, _)| i as u16).collect();
    if copy {
        t.layouts.clear();
        t.indexes.iter_mut().for_each(|i| i.ready = true);
        fill.clear();
    } else if from.len() != old.columns.len()
        || from.iter().enumerate().any(|(i, f)| *f != Some(i as u16))
        || t.columns.iter().zip(&old.columns).any(|(a, b)| a.ty != b.ty)
    {
        let map = |columns: &dyn Fn(u16) -> FieldSource| {
            from.iter()
                .map(|f| match f {
                    Some(c) => columns(*c),
                    None => FieldSource::Constant(Vec::new()),
                })
                .collect::<Vec<_>>()
        };
        t.layouts = old
            .layouts
            .iter()
            .map(|l| Layout { version: l.version, fields: l.fields.clone(), columns: map(&|c| l.columns[c as usize].clone()) })
            .collect();
        t.layouts.push(Layout {
            version: old.version,
            fields: old.columns.iter().map(|c| c.ty.clone()).collect(),
            columns: map(&FieldSource::Field),
        });
    }
    Ok(Altered { def: t, copy, from, added, fill, rename })
}

fn renamed_only(old: &TableDef, new: &TableDef, from: &[Option<u16>]) -> bool {
    match (&old.sharding, &new.sharding) {
        (Sharding::Hash { columns: a, .. }, Sharding::Hash { columns: b, .. }) => {
            a.len() == b.len() && a.iter().zip(b).all(|(x, y)| from[*y as usize] == Some(*x))
        }
        _ => false,
    }
}

fn drop_primary(t: &mut TableDef, no_key: &dyn Fn(&str) -> Fault) -> Result<(), Fault> {
    if !t.primary_key {
        return Err(no_key("PRIMARY"));
    }
    t.primary_key = false;
    t.indexes.remove(0);
    Ok(())
}

fn place(t: &TableDef, p: &ColumnPosition, end: usize) -> Result<usize, Fault> {
    Ok(match p {
        ColumnPosition::Default => end,
        ColumnPosition::First => 0,
        ColumnPosition::After(name) => {
            t.column(name).ok_or_else(|| Fault::mysql(1054, "42S22", format!("Unknown column '{name}' in '{}'", t.name)))? as usize + 1
        }
    })
}

/// Ordinals that point at or behind `at` move.
fn shift(t: &mut TableDef, f: &dyn Fn(u16) -> u16) {
    for p in t.indexes.iter_mut().flat_map(|i| i.parts.iter_mut()) {
        p.column = f(p.column);
    }
    if let Sharding::Hash { columns, .. } = &mut t.sharding {
        columns.iter_mut().for_each(|c| *c = f(*c));
    }
}

fn insert_column(t: &mut TableDef, from: &mut Vec<Option<u16>>, at: usize, c: ColumnDef, source: Option<u16>) {
    t.columns.insert(at, c);
    from.insert(at, source);
    shift(t, &|o| if o as usize >= at { o + 1 } else { o });
}

fn remove_column(t: &mut TableDef, from: &mut Vec<Option<u16>>, at: u16) -> Result<(), Fault> {
    if let Sharding::Hash { columns, declared: true } = &t.sharding
        && columns.contains(&at)
    {
        return Err(Fault::not_supported("dropping a column of the SHARD KEY"));
    }
    t.columns.remove(at as usize);
    from.remove(at as usize);
    // MySQL takes the column out of its indexes; an index without columns goes.
    for i in &mut t.indexes {
        i.parts.retain(|p| p.column != at);
    }
    if t.primary_key && t.indexes[0].parts.is_empty() {
        t.primary_key = false;
    }
    t.indexes.retain(|i| !i.parts.is_empty());
    shift(t, &|o| if o > at { o - 1 } else { o });
    Ok(())
}

/// MODIFY and CHANGE. `Err(None)`: no such column.
#[allow(clippy::too_many_arguments)]
fn change_column(
    t: &mut TableDef,
    from: &mut Vec<Option<u16>>,
    name: &str,
    def: &ast::ColumnDef,
    position: &ColumnPosition,
    copy: &mut bool,
    late: &mut Vec<ast::IndexDef>,
    ctx: &mut DdlContext<'_>,
) -> Result<(), Option<Fault>> {
    let at = t.column(name).ok_or(None)?;
    if !def.name.eq_ignore_ascii_case(name) && t.column(&def.name).is_some() {
        return Err(Some(duplicate_column(&def.name)));
    }
    let mut new = column(def, t.collation, ctx).map_err(Some)?;
    let old = t.columns[at as usize].clone();
    let in_primary = t.primary_key && t.indexes[0].parts.iter().any(|p| p.column == at);
    if in_primary {
        new.ty.nullable = false;
        if matches!(new.default, DefaultValue::Null) {
            new.default = DefaultValue::None;
        }
    }
    if def.options.primary_key {
        late.push(single(IndexKind::Primary, &def.name));
    }
    if def.options.unique {
        late.push(single(IndexKind::Unique, &def.name));
    }
    *copy |= !reads_alike(&old.ty, &new.ty) || old.generated != new.generated || new.auto_increment && !old.auto_increment;
    t.columns[at as usize] = new;
    if !matches!(position, ColumnPosition::Default) {
        let c = t.columns.remove(at as usize);
        let source = from.remove(at as usize);
        let end = t.columns.len();
        let to = place(t, position, end).map_err(Some)?;
        t.columns.insert(to, c);
        from.insert(to, source);
        let (at, to) = (at as usize, to);
        shift(t, &|o| {
            let o = o as usize;
            let n = if o == at {
                to
            } else {
                let o = if o > at { o - 1 } else { o };
                if o >= to { o + 1 } else { o }
            };
            n as u16
        });
    }
    Ok(())
}

/// Values stored as `old` are values of `new` as they stand, with the same keys.
fn reads_alike(old: &SqlType, new: &SqlType) -> bool {
    if old.nullable && !new.nullable {
        return false;
    }
    // Keys say whether a NULL is possible.
    if old.nullable != new.nullable {
        return false;
    }
    match (&old.kind, &new.kind) {
        (a, b) if a == b => old.collation == new.collation,
        (TypeKind::VarChar { chars: a }, TypeKind::VarChar { chars: b }) => b >= a && old.collation == new.collation,
        (TypeKind::VarBinary { bytes: a }, TypeKind::VarBinary { bytes: b }) => b >= a,
        (TypeKind::Enum(a), TypeKind::Enum(b)) => {
            b.len() >= a.len() && b[..a.len()] == a[..] && old.collation == new.collation && (a.len() <= 255) == (b.len() <= 255)
        }
        _ => false,
    }
}
