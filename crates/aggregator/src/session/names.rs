//! Names as this session sees them.
//!
//! Owns:     nothing; looks at one catalogue view.
//! Promises: temporary tables come before the database's own.
//! Never:    checks privileges: what binding found is checked afterwards, all of it.

use super::Session;
use crate::information_schema;
use crate::variables::{self, Effect, Scope, VARIABLES};
use std::sync::Arc;
use weald_catalog::user::is_information_schema;
use weald_catalog::{CatalogView, DatabaseDef, TableDef, ViewDef};
use weald_plan::Names;
use weald_sql::ast::VarScope;
use weald_types::{Fault, SqlType, Value};

pub struct SessionNames<'a> {
    pub session: &'a Session,
    pub catalog: Arc<CatalogView>,
}

impl Names for SessionNames<'_> {
    fn current_database(&self) -> Option<&str> {
        self.session.database.as_deref()
    }
    fn current_user(&self) -> (&str, &str) {
        (&self.session.user.user, &self.session.user.host)
    }
    fn database(&self, name: &str) -> Option<Arc<DatabaseDef>> {
        self.catalog.database(name).cloned()
    }
    fn table(&self, database: &str, name: &str) -> Option<Arc<TableDef>> {
        if let Some(t) = self.session.temporary.find(database, name) {
            return Some(t.clone());
        }
        self.catalog.table(database, name).cloned()
    }
    fn view(&self, database: &str, name: &str) -> Option<Arc<ViewDef>> {
        self.catalog.view(database, name).cloned()
    }
    fn virtual_table(&self, database: &str, name: &str) -> Option<Vec<(Arc<str>, SqlType)>> {
        if is_information_schema(database) { information_schema::columns(name) } else { None }
    }

    fn system_variable(&self, scope: Option<VarScope>, name: &str) -> Result<(Value, SqlType), Fault> {
        let s = self.session;
        let at = variables::find(name).ok_or_else(|| variables::unknown(name))?;
        let v = &VARIABLES[at];
        match (scope, v.scope) {
            (Some(VarScope::Global), Scope::Session) => {
                return Err(Fault::mysql(1238, "HY000", format!("Variable '{}' is a SESSION variable", v.name)));
            }
            (Some(VarScope::Session), Scope::Global) => {
                return Err(Fault::mysql(1238, "HY000", format!("Variable '{}' is a GLOBAL variable", v.name)));
            }
            _ => (),
        }
        let global = scope == Some(VarScope::Global) || v.scope == Scope::Global;
        let value = match v.name {
            "last_insert_id" | "identity" => Value::UInt(s.last_insert_id),
            "warning_count" | "error_count" => Value::UInt(s.count_warnings(v.name == "error_count")),
            "pseudo_thread_id" => Value::UInt(s.shared.id),
            "timestamp" => Value::Double(s.statement_now()),
            _ if global => s.server.variables.values().at(at).clone(),
            _ => s.variables.at(at).clone(),
        };
        debug_assert!(v.effect != Effect::Live || !value.is_null() || matches!(v.name, "character_set_results"));
        Ok((value, v.ty()))
    }

    fn user_variable(&self, name: &str) -> Option<SqlType> {
        self.session.user_variables.get(&name.to_lowercase()).map(|v| v.1.as_number())
    }
}
