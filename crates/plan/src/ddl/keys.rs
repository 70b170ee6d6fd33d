//! Keys, checks and foreign keys of a table being defined.
//!
//! Owns:     nothing.
//! Promises: every key has a name of its own and parts that can be indexed; what is not supported is refused.
//! Never:    decides where rows live (see `whole_table`).

use super::{DdlContext, check_name, duplicate_column};
use std::collections::HashSet;
use weald_catalog::table::CheckConstraint;
use weald_catalog::{DefaultValue, IndexDef, IndexPart, TableDef};
use weald_sql::ast::IndexKind;
use weald_sql::{ast, print};
use weald_types::{Fault, IndexId, TypeKind};

pub(super) fn single(kind: IndexKind, column: &str) -> ast::IndexDef {
    ast::IndexDef {
        kind,
        name: None,
        columns: vec![ast::IndexColumn { column: column.into(), prefix: None, descending: false, expr: None }],
        method: None,
        comment: None,
        invisible: false,
    }
}

pub(super) fn add_index(t: &mut TableDef, i: &ast::IndexDef) -> Result<(), Fault> {
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

pub(super) fn key_column(name: &str) -> Fault {
    Fault::mysql(1072, "42000", format!("Key column '{name}' doesn't exist in table"))
}

pub(super) fn null_in_primary_key() -> Fault {
    Fault::mysql(1171, "42000", "All parts of a PRIMARY KEY must be NOT NULL; if you need NULL in a key, use UNIQUE instead")
}

/// Named checks have their name, the others the table's and a number; they are kept in the order of their names, as MySQL shows and tests them.
pub(super) fn add_check(t: &mut TableDef, c: &ast::CheckDef) -> Result<(), Fault> {
    let name = match &c.name {
        Some(name) => {
            check_name(name, 3822, "check constraint")?;
            name.clone()
        }
        None => {
            let prefix = format!("{}_chk_", t.name);
            let number = |x: &CheckConstraint| x.name.strip_prefix(&prefix).and_then(|n| n.parse::<u32>().ok());
            format!("{prefix}{}", t.checks.iter().filter_map(number).max().unwrap_or(0) + 1)
        }
    };
    if t.checks.iter().any(|x| x.name.eq_ignore_ascii_case(&name)) {
        return Err(Fault::mysql(3822, "HY000", format!("Duplicate check constraint name '{name}'.")));
    }
    let at = t.checks.partition_point(|x| x.name.as_ref() < name.as_str());
    t.checks.insert(at, CheckConstraint { name: name.into(), expression: print::stored_expr(&c.expr).into(), enforced: c.enforced });
    Ok(())
}

pub(super) fn foreign_key(fk: &ast::ForeignKeyDef, ctx: &mut DdlContext<'_>) -> Result<(), Fault> {
    if !ctx.ignore_foreign_keys {
        return Err(Fault::FeatureLocked { feature: "FOREIGN KEY".into() });
    }
    ctx.warn(format!("FOREIGN KEY ({}) REFERENCES {} is not kept and not enforced (ignore_foreign_keys is ON)", fk.columns.join(","), fk.table.name));
    Ok(())
}
