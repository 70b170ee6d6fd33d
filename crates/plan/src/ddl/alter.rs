//! ALTER TABLE: from an old definition and a list of actions to a new one.
//!
//! Owns:     nothing.
//! Promises: says whether rows must be copied, and else how old rows are read and which indexes are to be filled.
//! Never:    touches rows.

use super::column::{column, default_value};
use super::column_type::{charset_and_collation, table_collation};
use super::keys::{add_check, add_index, foreign_key, key_column, single};
use super::whole_table::{Said, finish};
use super::{DdlContext, check_name, duplicate_column, engine_and_ignored};
use std::collections::HashSet;
use weald_catalog::{ColumnDef, DefaultValue, FieldSource, Layout, Sharding, TableDef};
use weald_sql::ast;
use weald_sql::ast::{AlterAction, ColumnPosition, IndexKind};
use weald_types::{Fault, IndexId, SqlType, TypeKind};

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
    /// The first new column that would hold a zero date in the rows there are.
    pub fn added_zero_date(&self) -> Option<&ColumnDef> {
        self.added.iter().map(|i| &self.def.columns[*i as usize]).find(|c| {
            let dated = matches!(c.ty.kind, TypeKind::Date | TypeKind::DateTime { .. } | TypeKind::Timestamp { .. });
            dated && !c.ty.nullable && matches!(c.default, DefaultValue::None) && c.generated.is_none()
        })
    }

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
    // The key goes before columns are changed: what is no longer part of it may be NULL.
    let is_primary = |a: &AlterAction| match a {
        AlterAction::DropPrimaryKey => true,
        AlterAction::DropIndex(name) | AlterAction::DropConstraint(name) => name.eq_ignore_ascii_case("PRIMARY"),
        _ => false,
    };
    let drops_primary = actions.iter().position(is_primary);
    if drops_primary.is_some() {
        drop_primary(&mut t, &no_key)?;
        copy = true;
    }
    for (n, a) in actions.iter().enumerate() {
        if drops_primary == Some(n) {
            continue;
        }
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
                for check in &def.options.checks {
                    add_check(&mut t, check)?;
                    copy |= check.enforced;
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
            AlterAction::Algorithm(name) => {
                if !["DEFAULT", "INPLACE", "COPY", "INSTANT"].contains(&name.as_str()) {
                    return Err(Fault::mysql(1800, "HY000", format!("Unknown ALGORITHM '{name}'")));
                }
            }
            AlterAction::Lock(name) => {
                if !["DEFAULT", "NONE", "SHARED", "EXCLUSIVE"].contains(&name.as_str()) {
                    return Err(Fault::mysql(1801, "HY000", format!("Unknown LOCK type '{name}'")));
                }
            }
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
    if actions.iter().any(|a| matches!(a, AlterAction::Algorithm(name) if name == "INSTANT")) {
        if copy {
            let text = "ALGORITHM=INSTANT is not supported. Reason: the table must be rebuilt. Try ALGORITHM=COPY/INPLACE.";
            return Err(Fault::mysql(1846, "0A000", text));
        }
        if !fill.is_empty() {
            return Err(Fault::mysql(1845, "0A000", "ALGORITHM=INSTANT is not supported for this operation. Try ALGORITHM=COPY/INPLACE."));
        }
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
