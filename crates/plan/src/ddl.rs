//! CREATE TABLE and ALTER TABLE: from a syntax tree to a definition.
//!
//! Owns:     nothing.
//! Promises: the definition is one that MySQL would make: types within their limits, keys named, defaults checked; what cannot be kept is refused, what is kept
//!           without effect is warned of.
//! Never:    touches rows: an alteration says whether they must be copied.

mod alter;
mod column;
mod column_type;
mod create;
mod keys;
mod whole_table;

pub use alter::{Altered, alter_table};
pub use column_type::{charset_and_collation, resolve_type};
pub use create::{SelectedColumn, create_table};

use weald_sql::ast;
use weald_types::{Collation, DatabaseId, Fault};

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

fn check_name(name: &str, number: u16, what: &str) -> Result<(), Fault> {
    if name.chars().count() > 64 {
        return Err(Fault::mysql(1059, "42000", format!("Identifier name '{name}' is too long")));
    }
    if name.is_empty() || name.ends_with(' ') {
        return Err(Fault::mysql(number, "42000", format!("Incorrect {what} name '{name}'")));
    }
    Ok(())
}

pub fn check_table_name(name: &str) -> Result<(), Fault> {
    check_name(name, 1103, "table")
}
