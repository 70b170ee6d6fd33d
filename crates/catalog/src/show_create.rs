//! SHOW CREATE TABLE, VIEW and DATABASE, to the letter of MySQL 8.0: tools parse this text.
//!
//! Owns:     nothing.
//! Promises: the text, run as a statement, makes the same definition again.
//! Never:    shows what is not part of the definition.

use crate::{ColumnDef, DatabaseDef, DefaultValue, IndexDef, Sharding, TableDef, ViewDef};
use std::fmt::Write;
use weald_types::{Collation, OWN_COMMENT, TypeKind};

/// `` `name` ``, with backticks doubled.
pub fn quote(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// `'text'`, escaped as MySQL's SHOW CREATE does.
pub fn quote_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('\'');
    for c in text.chars() {
        match c {
            '\'' => out.push_str("''"),
            '\\' => out.push_str("\\\\"),
            '\0' => out.push_str("\\0"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            c => out.push(c),
        }
    }
    out.push('\'');
    out
}

/// `auto_increment`: the next value, shown where it is above 1.
pub fn table(t: &TableDef, auto_increment: u64) -> String {
    let mut out = format!("CREATE {}TABLE {} (\n", if t.options.temporary { "TEMPORARY " } else { "" }, quote(&t.name));
    let mut lines: Vec<String> = t.columns.iter().map(|c| format!("  {}", column(c, t.collation))).collect();
    for (i, index) in t.indexes.iter().enumerate().filter(|(_, i)| i.ready) {
        lines.push(format!("  {}", index_line(t, index, i == 0 && t.primary_key)));
    }
    if let Sharding::Hash { columns, declared: true } = &t.sharding {
        let names: Vec<String> = columns.iter().map(|c| quote(&t.columns[*c as usize].name)).collect();
        lines.push(format!("  SHARD KEY ({})", names.join(",")));
    }
    for check in &t.checks {
        let enforced = if check.enforced { "" } else { " /*!80016 NOT ENFORCED */" };
        lines.push(format!("  CONSTRAINT {} CHECK ({}){enforced}", quote(&check.name), check.expression));
    }
    out.push_str(&lines.join(",\n"));
    let _ = write!(out, "\n) ENGINE={}", if t.options.engine.is_empty() { "InnoDB" } else { &t.options.engine });
    if auto_increment > 1 && t.columns.iter().any(|c| c.auto_increment) {
        let _ = write!(out, " AUTO_INCREMENT={auto_increment}");
    }
    let _ = write!(out, " DEFAULT CHARSET={}", t.collation.charset());
    // MySQL names the collation where it is not the charset's default, and always for utf8mb4.
    if t.collation.charset() == "utf8mb4" || !is_primary(t.collation) {
        let _ = write!(out, " COLLATE={}", t.collation.name());
    }
    if !t.comment.is_empty() {
        let _ = write!(out, " COMMENT={}", quote_text(&t.comment));
    }
    out
}

fn column(c: &ColumnDef, table: Collation) -> String {
    let mut out = format!("{} {}", quote(&c.name), c.ty);
    if c.ty.kind.is_text() {
        let own = c.ty.collation;
        if own != table {
            let _ = write!(out, " CHARACTER SET {}", own.charset());
        }
        if !is_primary(own) || own != table && own.charset() == "utf8mb4" {
            let _ = write!(out, " COLLATE {}", own.name());
        }
    }
    if let Some(g) = &c.generated {
        let _ = write!(out, " GENERATED ALWAYS AS ({}) {}", g.expression, if g.stored { "STORED" } else { "VIRTUAL" });
    }
    if !c.ty.nullable {
        out.push_str(" NOT NULL");
    } else if matches!(c.ty.kind, TypeKind::Timestamp { .. }) {
        out.push_str(" NULL");
    }
    match &c.default {
        DefaultValue::Literal(text) if matches!(c.ty.kind, TypeKind::Bit { .. }) => {
            let _ = write!(out, " DEFAULT {text}");
        }
        DefaultValue::Literal(text) => {
            let _ = write!(out, " DEFAULT {}", quote_text(text));
        }
        DefaultValue::Now { fsp } => {
            let _ = write!(out, " DEFAULT {}", now(*fsp));
        }
        DefaultValue::Expression(text) => {
            let _ = write!(out, " DEFAULT ({text})");
        }
        // TEXT, BLOB and JSON say nothing: their only literal default is NULL.
        DefaultValue::Null if c.generated.is_none() && !matches!(c.ty.kind, TypeKind::Text(_) | TypeKind::Blob(_) | TypeKind::Json) => {
            out.push_str(" DEFAULT NULL")
        }
        DefaultValue::Null | DefaultValue::None => (),
    }
    if c.on_update_now {
        let _ = write!(out, " ON UPDATE {}", now(fsp(&c.ty.kind)));
    }
    if c.auto_increment {
        out.push_str(" AUTO_INCREMENT");
    }
    if c.invisible {
        out.push_str(" /*!80023 INVISIBLE */");
    }
    if !c.comment.is_empty() {
        let _ = write!(out, " COMMENT {}", quote_text(&c.comment));
    }
    out
}

/// Whether it is the collation that its charset has where none is named.
fn is_primary(c: Collation) -> bool {
    Collation::default_of(c.charset()) == Some(c)
}

fn fsp(kind: &TypeKind) -> u8 {
    match kind {
        TypeKind::Time { fsp } | TypeKind::DateTime { fsp } | TypeKind::Timestamp { fsp } => *fsp,
        _ => 0,
    }
}

fn now(fsp: u8) -> String {
    if fsp == 0 { "CURRENT_TIMESTAMP".into() } else { format!("CURRENT_TIMESTAMP({fsp})") }
}

fn index_line(t: &TableDef, index: &IndexDef, primary: bool) -> String {
    let parts: Vec<String> = index
        .parts
        .iter()
        .map(|p| {
            let prefix = p.prefix.map_or(String::new(), |n| format!("({n})"));
            format!("{}{prefix}{}", quote(&t.columns[p.column as usize].name), if p.descending { " DESC" } else { "" })
        })
        .collect();
    let mut out =
        if primary { "PRIMARY KEY".to_string() } else { format!("{}KEY {}", if index.unique { "UNIQUE " } else { "" }, quote(&index.name)) };
    let _ = write!(out, " ({})", parts.join(","));
    if index.hash {
        out.push_str(" USING HASH");
    }
    if !index.comment.is_empty() {
        let _ = write!(out, " COMMENT {}", quote_text(&index.comment));
    }
    if index.invisible {
        out.push_str(" /*!80000 INVISIBLE */");
    }
    out
}

pub fn database(d: &DatabaseDef, if_not_exists: bool) -> String {
    let exists = if if_not_exists { "/*!32312 IF NOT EXISTS*/ " } else { "" };
    let named = d.collation.charset() == "utf8mb4" || !is_primary(d.collation);
    let collate = if named { format!(" COLLATE {}", d.collation.name()) } else { String::new() };
    format!(
        "CREATE DATABASE {exists}{} /*!40100 DEFAULT CHARACTER SET {}{collate} */ /*!80016 DEFAULT ENCRYPTION='N' */ /*!{OWN_COMMENT} PARTITIONS {} WITH {} DURABILITY WITH {} REPLICATION */",
        quote(&d.name),
        d.collation.charset(),
        d.partitions,
        if d.sync_durability { "SYNC" } else { "ASYNC" },
        if d.sync_replication { "SYNC" } else { "ASYNC" },
    )
}

/// `query`: how its query is shown to who asks.
pub fn view(v: &ViewDef, query: &str) -> String {
    let algorithm = if v.algorithm.is_empty() { "UNDEFINED" } else { &v.algorithm };
    let columns =
        if v.columns.is_empty() { String::new() } else { format!(" ({})", v.columns.iter().map(|c| quote(c)).collect::<Vec<_>>().join(",")) };
    let check = if v.check_option.is_empty() { String::new() } else { format!(" WITH {} CHECK OPTION", v.check_option) };
    let security = if v.security_invoker { "INVOKER" } else { "DEFINER" };
    format!(
        "CREATE ALGORITHM={algorithm} DEFINER={}@{} SQL SECURITY {security} VIEW {}{columns} AS {}{check}",
        quote(&v.definer.0),
        quote(&v.definer.1),
        quote(&v.name),
        query
    )
}
