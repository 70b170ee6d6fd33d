//! What can be judged only of a whole table: its limits, and where its rows live.
//!
//! Owns:     nothing.
//! Promises: rows that a unique key compares are in one partition: either the shard key's columns are in it, or the table is kept whole, with a warning.
//! Never:    moves rows.

use super::{DdlContext, duplicate_column};
use std::collections::HashSet;
use weald_catalog::{Sharding, TableDef};
use weald_types::sql_type::{BlobSize, IntWidth};
use weald_types::{Fault, SqlType, TypeKind};

/// What the user has been told of the table's place before.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    Nothing,
    /// That it is whole in one partition, when it became so.
    Whole,
}

/// What holds for the whole table; and where its rows go.
pub(super) fn finish(t: &mut TableDef, shard: Option<Vec<u16>>, reference: bool, said: Said, ctx: &mut DdlContext<'_>) -> Result<(), Fault> {
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
    if row_bytes(t) > 65535 {
        return Err(Fault::mysql(
            1118,
            "42000",
            "Row size too large. The maximum row size for the used table type, not counting BLOBs, is 65535. This includes storage overhead, check the manual. You have to change some columns to TEXT or BLOBs",
        ));
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

/// What MySQL takes a row's width for: every column at its longest, TEXT and BLOB by the pointer to them, a bit for each column that may be NULL.
fn row_bytes(t: &TableDef) -> u64 {
    let column = |ty: &SqlType| -> u64 {
        let longest = ty.character_octet_length().unwrap_or(0);
        match &ty.kind {
            TypeKind::VarChar { .. } | TypeKind::VarBinary { .. } => longest + if longest > 255 { 2 } else { 1 },
            TypeKind::Char { .. } | TypeKind::Binary { .. } => longest,
            TypeKind::Text(size) | TypeKind::Blob(size) => match size {
                BlobSize::Tiny => 9,
                BlobSize::Plain => 10,
                BlobSize::Medium => 11,
                BlobSize::Long => 12,
            },
            TypeKind::Json => 12,
            TypeKind::Int { width, .. } => match width {
                IntWidth::Tiny => 1,
                IntWidth::Small => 2,
                IntWidth::Medium => 3,
                IntWidth::Int => 4,
                IntWidth::Big => 8,
            },
            TypeKind::Float { .. } => 4,
            TypeKind::Double { .. } => 8,
            TypeKind::Decimal { precision, .. } => *precision as u64 / 2 + 1,
            TypeKind::Bit { bits } => (*bits as u64).div_ceil(8),
            TypeKind::Date | TypeKind::Time { .. } => 3,
            TypeKind::DateTime { .. } | TypeKind::Timestamp { .. } | TypeKind::Set(_) => 8,
            TypeKind::Year | TypeKind::Null => 1,
            TypeKind::Enum(members) => {
                if members.len() > 255 {
                    2
                } else {
                    1
                }
            }
        }
    };
    let nullable = t.columns.iter().filter(|c| c.ty.nullable).count() as u64;
    t.columns.iter().map(|c| column(&c.ty)).sum::<u64>() + nullable.div_ceil(8)
}
