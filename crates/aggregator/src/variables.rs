//! System variables: which there are, who may set them, what they may hold.
//!
//! Owns:     the server-wide values; each session has its own copy of those with session scope.
//! Promises: every variable listed is real: what it says is true, and setting it takes effect, except those marked inert, which warn when they are set away
//!           from their default. All others are unknown (1193).
//! Never:    acts on a change: the session re-reads what it caches.

use foldhash::HashMap;
use parking_lot::RwLock;
use std::sync::{Arc, LazyLock};
use weald_types::{Charset, Collation, Fault, SqlMode, SqlType, Value};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    Global,
    Session,
    Both,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    Bool,
    /// Out-of-range values are clamped, with a warning, as MySQL does.
    Int {
        min: i64,
        max: u64,
    },
    Double {
        min: f64,
        max: f64,
    },
    Enum(&'static [&'static str]),
    Text,
    /// May be NULL.
    NullableText,
    SqlMode,
    TimeZone,
    Charset,
    NullableCharset,
    Collation,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    Live,
    /// Fixed when the server starts, or a fact: 1238.
    ReadOnly,
    /// Accepted because clients set it, but nothing here depends on it.
    Inert,
}

#[derive(Clone, Copy, Debug)]
pub struct Variable {
    pub name: &'static str,
    pub scope: Scope,
    pub kind: Kind,
    pub default: &'static str,
    pub effect: Effect,
}

const fn v(name: &'static str, scope: Scope, kind: Kind, default: &'static str, effect: Effect) -> Variable {
    Variable { name, scope, kind, default, effect }
}
const fn int(min: i64, max: u64) -> Kind {
    Kind::Int { min, max }
}

use Effect::{Inert, Live, ReadOnly};
use Kind::{Bool, Enum, NullableText, Text};
use Scope::{Both, Global, Session};

const CHARSETS: Kind = Kind::Charset;
const COLLATIONS: Kind = Kind::Collation;
const ISOLATION: Kind = Enum(&["READ-UNCOMMITTED", "READ-COMMITTED", "REPEATABLE-READ", "SERIALIZABLE"]);
const ENCRYPTION_MODES: Kind = Enum(&[
    "aes-128-ecb",
    "aes-192-ecb",
    "aes-256-ecb",
    "aes-128-cbc",
    "aes-192-cbc",
    "aes-256-cbc",
    "aes-128-cfb1",
    "aes-192-cfb1",
    "aes-256-cfb1",
    "aes-128-cfb8",
    "aes-192-cfb8",
    "aes-256-cfb8",
    "aes-128-cfb128",
    "aes-192-cfb128",
    "aes-256-cfb128",
    "aes-128-ofb",
    "aes-192-ofb",
    "aes-256-ofb",
]);
const U64: u64 = u64::MAX;

/// In name order, as SHOW VARIABLES prints them.
pub static VARIABLES: &[Variable] = &[
    v("auto_increment_increment", Both, int(1, 65535), "1", Inert),
    v("auto_increment_offset", Both, int(1, 65535), "1", Inert),
    v("autocommit", Both, Bool, "ON", Live),
    v("automatic_sp_privileges", Global, Bool, "ON", Inert),
    v("basedir", Global, Text, "/usr/", ReadOnly),
    v("big_tables", Both, Bool, "OFF", Inert),
    v("bind_address", Global, Text, "127.0.0.1", ReadOnly),
    v("block_encryption_mode", Both, ENCRYPTION_MODES, "aes-128-ecb", Live),
    v("character_set_client", Both, CHARSETS, "utf8mb4", Live),
    v("character_set_connection", Both, CHARSETS, "utf8mb4", Live),
    v("character_set_database", Both, CHARSETS, "utf8mb4", Live),
    v("character_set_filesystem", Both, CHARSETS, "binary", Inert),
    v("character_set_results", Both, Kind::NullableCharset, "utf8mb4", Live),
    v("character_set_server", Both, CHARSETS, "utf8mb4", Live),
    v("character_set_system", Global, Text, "utf8mb3", ReadOnly),
    v("character_sets_dir", Global, Text, "/usr/share/mysql/charsets/", ReadOnly),
    v("collation_connection", Both, COLLATIONS, "utf8mb4_general_ci", Live),
    v("collation_database", Both, COLLATIONS, "utf8mb4_general_ci", Live),
    v("collation_server", Both, COLLATIONS, "utf8mb4_general_ci", Live),
    v("column_cache_quiet_time", Global, int(0, 3600000), "200", Live),
    v("completion_type", Both, Enum(&["NO_CHAIN", "CHAIN", "RELEASE"]), "NO_CHAIN", Live),
    v("connect_timeout", Global, int(2, 31536000), "10", Live),
    v("cte_max_recursion_depth", Both, int(0, 4294967295), "1000", Live),
    v("datadir", Global, Text, "", ReadOnly),
    v("default_authentication_plugin", Global, Text, "caching_sha2_password", ReadOnly),
    v("default_collation_for_utf8mb4", Both, COLLATIONS, "utf8mb4_general_ci", ReadOnly),
    v("default_partitions_per_leaf", Global, int(1, 1024), "8", Live),
    v("default_storage_engine", Both, Text, "InnoDB", Inert),
    v("default_tmp_storage_engine", Both, Text, "InnoDB", Inert),
    v("default_week_format", Both, int(0, 7), "0", Live),
    v("div_precision_increment", Both, int(0, 30), "4", Live),
    v("eq_range_index_dive_limit", Both, int(0, 4294967295), "200", Inert),
    v("error_count", Session, int(0, U64), "0", ReadOnly),
    v("event_scheduler", Global, Enum(&["OFF", "ON", "DISABLED"]), "DISABLED", ReadOnly),
    v("executor", Both, Enum(&["auto", "fragment", "rows", "analytic"]), "auto", Live),
    v("explicit_defaults_for_timestamp", Both, Bool, "ON", ReadOnly),
    v("external_user", Session, NullableText, "", ReadOnly),
    v("foreign_key_checks", Both, Bool, "ON", Live),
    v("general_log", Global, Bool, "OFF", ReadOnly),
    v("group_concat_max_len", Both, int(4, U64), "1024", Live),
    v("gtid_executed", Global, Text, "", ReadOnly),
    v("gtid_mode", Global, Text, "OFF", ReadOnly),
    v("gtid_purged", Global, Text, "", ReadOnly),
    v("have_compress", Global, Text, "YES", ReadOnly),
    v("have_dynamic_loading", Global, Text, "NO", ReadOnly),
    v("have_geometry", Global, Text, "NO", ReadOnly),
    v("have_openssl", Global, Text, "YES", ReadOnly),
    v("have_profiling", Global, Text, "NO", ReadOnly),
    v("have_query_cache", Global, Text, "NO", ReadOnly),
    v("have_ssl", Global, Text, "YES", ReadOnly),
    v("have_statement_timeout", Global, Text, "YES", ReadOnly),
    v("have_symlink", Global, Text, "DISABLED", ReadOnly),
    v("hostname", Global, Text, "localhost", ReadOnly),
    v("identity", Session, int(0, U64), "0", Live),
    v("ignore_foreign_keys", Both, Bool, "OFF", Live),
    v("information_schema_stats_expiry", Both, int(0, 31536000), "86400", Inert),
    v("init_connect", Global, Text, "", ReadOnly),
    v("innodb_lock_wait_timeout", Both, int(1, 1073741824), "60", Live),
    v("innodb_read_only", Global, Bool, "OFF", ReadOnly),
    v("innodb_strict_mode", Both, Bool, "ON", Inert),
    v("insert_id", Session, int(0, U64), "0", Inert),
    v("interactive_timeout", Both, int(1, 31536000), "28800", Live),
    v("last_insert_id", Session, int(0, U64), "0", Live),
    v("lc_messages", Both, Text, "en_US", ReadOnly),
    v("lc_time_names", Both, Text, "en_US", ReadOnly),
    v("license", Global, Text, "Apache-2.0", ReadOnly),
    v("local_infile", Global, Bool, "ON", Live),
    v("lock_wait_timeout", Both, int(1, 31536000), "60", Live),
    v("log_bin", Global, Bool, "OFF", ReadOnly),
    v("log_bin_trust_function_creators", Global, Bool, "OFF", Inert),
    v("log_queries_not_using_indexes", Global, Bool, "OFF", Inert),
    v("long_query_time", Both, Kind::Double { min: 0.0, max: 31536000.0 }, "10.000000", Live),
    v("low_priority_updates", Both, Bool, "OFF", Inert),
    v("lower_case_file_system", Global, Bool, "OFF", ReadOnly),
    v("lower_case_table_names", Global, int(0, 2), "0", ReadOnly),
    v("max_allowed_packet", Both, int(1024, 1073741824), "67108864", Live),
    v("max_connect_errors", Global, int(1, U64), "100", Inert),
    v("max_connections", Global, int(1, 100000), "1000", Live),
    v("max_error_count", Both, int(0, 65535), "1024", Live),
    v("max_execution_time", Both, int(0, 4294967295), "0", Live),
    v("max_heap_table_size", Both, int(16384, U64), "16777216", Inert),
    v("max_join_size", Both, int(1, U64), "18446744073709551615", Inert),
    v("max_length_for_sort_data", Both, int(4, 8388608), "4096", Inert),
    v("max_prepared_stmt_count", Global, int(0, 4194304), "16382", Live),
    v("max_sort_length", Both, int(4, 8388608), "1024", Inert),
    v("max_user_connections", Global, int(0, 4294967295), "0", Live),
    v("maximum_column_cache_memory", Global, int(0, U64), "0", Live),
    v("maximum_memory", Global, int(64, U64), "0", Live),
    v("maximum_query_memory", Both, int(0, U64), "0", Live),
    v("maximum_table_memory", Global, int(16, U64), "0", Live),
    v("net_buffer_length", Both, int(1024, 1048576), "16384", ReadOnly),
    v("net_read_timeout", Both, int(1, 31536000), "30", Live),
    v("net_retry_count", Both, int(1, U64), "10", Inert),
    v("net_write_timeout", Both, int(1, 31536000), "60", Live),
    v("old_alter_table", Both, Bool, "OFF", Inert),
    v("optimizer_prune_level", Both, int(0, 1), "1", Inert),
    v("optimizer_search_depth", Both, int(0, 62), "62", Inert),
    v("optimizer_switch", Both, Text, "", Inert),
    v("performance_schema", Global, Bool, "OFF", ReadOnly),
    v("pid_file", Global, Text, "", ReadOnly),
    v("port", Global, int(0, 65535), "3306", ReadOnly),
    v("profiling", Both, Bool, "OFF", ReadOnly),
    v("protocol_version", Global, int(0, 4294967295), "10", ReadOnly),
    v("pseudo_thread_id", Session, int(0, U64), "0", ReadOnly),
    v("query_alloc_block_size", Both, int(1024, 4294966272), "8192", Inert),
    v("query_prealloc_size", Both, int(8192, U64), "8192", Inert),
    v("rand_seed1", Session, int(0, U64), "0", Inert),
    v("rand_seed2", Session, int(0, U64), "0", Inert),
    v("range_optimizer_max_mem_size", Both, int(0, U64), "8388608", Inert),
    v("read_buffer_size", Both, int(8192, 2147479552), "131072", Inert),
    v("read_only", Global, Bool, "OFF", ReadOnly),
    v("read_rnd_buffer_size", Both, int(1, 2147483647), "262144", Inert),
    v("require_secure_transport", Global, Bool, "OFF", Live),
    v("resultset_metadata", Session, Enum(&["NONE", "FULL"]), "FULL", Live),
    v("secure_file_priv", Global, NullableText, "", ReadOnly),
    v("server_id", Global, int(0, 4294967295), "1", ReadOnly),
    v("server_uuid", Global, Text, "", ReadOnly),
    v("session_track_gtids", Both, Enum(&["OFF", "OWN_GTID", "ALL_GTIDS"]), "OFF", ReadOnly),
    v("session_track_schema", Both, Bool, "ON", Live),
    v("session_track_state_change", Both, Bool, "OFF", Live),
    v("session_track_system_variables", Both, Text, "time_zone,autocommit,character_set_client,character_set_results,character_set_connection", Live),
    v("session_track_transaction_info", Both, Enum(&["OFF", "STATE", "CHARACTERISTICS"]), "OFF", ReadOnly),
    v("show_create_table_verbosity", Both, Bool, "OFF", Inert),
    v("skip_name_resolve", Global, Bool, "ON", ReadOnly),
    v("skip_networking", Global, Bool, "OFF", ReadOnly),
    v("skip_show_database", Global, Bool, "OFF", ReadOnly),
    v("slow_query_log", Global, Bool, "ON", Live),
    v("slow_query_log_file", Global, Text, "slow.log", ReadOnly),
    v("snapshot_trigger_size", Global, int(1048576, U64), "268435456", Live),
    v("snapshots_to_keep", Global, int(1, 100), "2", Live),
    v("socket", Global, Text, "", ReadOnly),
    v("sort_buffer_size", Both, int(32768, U64), "262144", Inert),
    v("sql_auto_is_null", Both, Bool, "OFF", Inert),
    v("sql_big_selects", Both, Bool, "ON", Inert),
    v("sql_buffer_result", Both, Bool, "OFF", Inert),
    v("sql_generate_invisible_primary_key", Both, Bool, "OFF", Inert),
    v("sql_log_bin", Session, Bool, "ON", Inert),
    v("sql_log_off", Both, Bool, "OFF", Inert),
    v(
        "sql_mode",
        Both,
        Kind::SqlMode,
        "ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION",
        Live,
    ),
    v("sql_notes", Both, Bool, "ON", Live),
    v("sql_quote_show_create", Both, Bool, "ON", Inert),
    v("sql_require_primary_key", Both, Bool, "OFF", Live),
    v("sql_safe_updates", Both, Bool, "OFF", Live),
    v("sql_select_limit", Both, int(0, U64), "18446744073709551615", Live),
    v("sql_warnings", Both, Bool, "OFF", Inert),
    v("ssl_ca", Global, Text, "", ReadOnly),
    v("ssl_cert", Global, Text, "", ReadOnly),
    v("ssl_key", Global, Text, "", ReadOnly),
    v("storage_engine", Both, Text, "InnoDB", Inert),
    v("super_read_only", Global, Bool, "OFF", ReadOnly),
    v("system_time_zone", Global, Text, "UTC", ReadOnly),
    v("table_definition_cache", Global, int(400, 524288), "2000", Inert),
    v("table_open_cache", Global, int(1, 524288), "4000", Inert),
    v("thread_cache_size", Global, int(0, 16384), "0", Inert),
    v("time_zone", Both, Kind::TimeZone, "SYSTEM", Live),
    v("timestamp", Session, Kind::Double { min: 0.0, max: 2147483647.0 }, "0", Live),
    v("tls_version", Global, Text, "TLSv1.2,TLSv1.3", ReadOnly),
    v("tmp_table_size", Both, int(1024, U64), "16777216", Inert),
    v("tmpdir", Global, Text, "/tmp", ReadOnly),
    v("transaction_isolation", Both, ISOLATION, "REPEATABLE-READ", Live),
    v("transaction_read_only", Both, Bool, "OFF", Live),
    v("tx_isolation", Both, ISOLATION, "REPEATABLE-READ", Live),
    v("tx_read_only", Both, Bool, "OFF", Live),
    v("unique_checks", Both, Bool, "ON", Inert),
    v("updatable_views_with_limit", Both, Bool, "ON", Inert),
    v("version", Global, Text, "8.0.36-Weald", ReadOnly),
    v("version_comment", Global, Text, "Weald, an open distributed SQL database", ReadOnly),
    v("version_compile_machine", Global, Text, "x86_64", ReadOnly),
    v("version_compile_os", Global, Text, "Linux", ReadOnly),
    v("wait_timeout", Both, int(1, 31536000), "28800", Live),
    v("warning_count", Session, int(0, U64), "0", ReadOnly),
];

static BY_NAME: LazyLock<HashMap<&'static str, usize>> = LazyLock::new(|| VARIABLES.iter().enumerate().map(|(i, v)| (v.name, i)).collect());

/// Position of a variable; its name in any case.
pub fn find(name: &str) -> Option<usize> {
    BY_NAME.get(name.to_ascii_lowercase().as_str()).copied()
}

/// A character set and its collation are two variables that say one thing: the one that follows when the other is set, and to what.
pub fn follower(name: &str, value: &Value) -> Option<(&'static str, Value)> {
    let Value::Str(value) = value else { return None };
    match name {
        "character_set_server" => Collation::default_of(value).map(|c| ("collation_server", Value::str(c.name()))),
        "collation_server" => Collation::by_name(value).map(|c| ("character_set_server", Value::str(c.charset()))),
        "character_set_connection" => Collation::default_of(value).map(|c| ("collation_connection", Value::str(c.name()))),
        "collation_connection" => Collation::by_name(value).map(|c| ("character_set_connection", Value::str(c.charset()))),
        "character_set_database" => Collation::default_of(value).map(|c| ("collation_database", Value::str(c.name()))),
        "collation_database" => Collation::by_name(value).map(|c| ("character_set_database", Value::str(c.charset()))),
        _ => None,
    }
}

/// 1193
pub fn unknown(name: &str) -> Fault {
    Fault::mysql(1193, "HY000", format!("Unknown system variable '{name}'"))
}

fn wrong_value(name: &str, value: &str) -> Fault {
    Fault::mysql(1231, "42000", format!("Variable '{name}' can't be set to the value of '{value}'"))
}

/// One set of values: the server's, or a session's.
#[derive(Clone, Debug)]
pub struct Values(Arc<Vec<Value>>);

impl Values {
    fn defaults() -> Self {
        Self(Arc::new(VARIABLES.iter().map(|v| v.parse_default()).collect()))
    }
    /// The very same values: nothing was set in between.
    pub fn is_same(&self, other: &Values) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
    pub fn at(&self, index: usize) -> &Value {
        &self.0[index]
    }
    pub fn put(&mut self, index: usize, value: Value) {
        Arc::make_mut(&mut self.0)[index] = value;
    }
    /// A variable that is known to be there.
    pub fn get(&self, name: &'static str) -> &Value {
        &self.0[*BY_NAME.get(name).expect("a variable of the table above")]
    }
    pub fn set(&mut self, name: &'static str, value: Value) {
        self.put(*BY_NAME.get(name).expect("a variable of the table above"), value);
    }
    pub fn text(&self, name: &'static str) -> &str {
        match self.get(name) {
            Value::Str(s) => s,
            _ => "",
        }
    }
    pub fn int(&self, name: &'static str) -> u64 {
        match self.get(name) {
            Value::Int(n) => *n as u64,
            Value::UInt(n) => *n,
            _ => 0,
        }
    }
    pub fn on(&self, name: &'static str) -> bool {
        self.int(name) != 0
    }
    pub fn double(&self, name: &'static str) -> f64 {
        match self.get(name) {
            Value::Double(d) => *d,
            _ => 0.0,
        }
    }
}

/// The server-wide values.
#[derive(Debug)]
pub struct GlobalVariables(RwLock<Values>);

impl Default for GlobalVariables {
    fn default() -> Self {
        Self(RwLock::new(Values::defaults()))
    }
}

impl GlobalVariables {
    pub fn values(&self) -> Values {
        self.0.read().clone()
    }
    pub fn set(&self, name: &'static str, value: Value) {
        self.0.write().set(name, value)
    }
    pub fn put(&self, index: usize, value: Value) {
        self.0.write().put(index, value)
    }
}

impl Variable {
    fn parse_default(&self) -> Value {
        match self.kind {
            Kind::Bool => Value::Int((self.default == "ON") as i64),
            Kind::Int { .. } => Value::UInt(self.default.parse().unwrap_or(0)),
            Kind::Double { .. } => Value::Double(self.default.parse().unwrap_or(0.0)),
            Kind::NullableText if self.default.is_empty() => Value::Null,
            _ => Value::str(self.default),
        }
    }

    /// A text of a configuration as the value that SET would be given.
    pub fn value_of(&self, text: &str) -> Value {
        match self.kind {
            Kind::Int { .. } => text.parse().map(Value::Int).or_else(|_| text.parse().map(Value::UInt)).unwrap_or_else(|_| Value::str(text)),
            Kind::Bool => text.parse().map_or_else(|_| Value::str(text), Value::Int),
            Kind::Double { .. } => text.parse().map_or_else(|_| Value::str(text), Value::Double),
            Kind::NullableText if text.is_empty() => Value::Null,
            Kind::NullableCharset if text.is_empty() => Value::Null,
            Kind::Enum(_)
            | Kind::Text
            | Kind::NullableText
            | Kind::SqlMode
            | Kind::TimeZone
            | Kind::Charset
            | Kind::NullableCharset
            | Kind::Collation => Value::str(text),
        }
    }

    pub fn default_value(&self) -> Value {
        self.parse_default()
    }

    /// The type `SELECT @@name` has.
    pub fn ty(&self) -> SqlType {
        match self.kind {
            Kind::Bool => SqlType::bigint(false),
            Kind::Int { .. } => SqlType::bigint_unsigned(false),
            Kind::Double { .. } => SqlType::double(false),
            _ => SqlType::varchar(1024, true, Collation::UTF8MB4_GENERAL_CI),
        }
    }

    /// As SHOW VARIABLES prints it.
    pub fn show(&self, value: &Value) -> String {
        match (self.kind, value) {
            (Kind::Bool, Value::Int(n)) => {
                if *n != 0 {
                    "ON".into()
                } else {
                    "OFF".into()
                }
            }
            (_, Value::Int(n)) => n.to_string(),
            (_, Value::UInt(n)) => n.to_string(),
            (_, Value::Double(d)) => format!("{d:.6}"),
            (_, Value::Str(s)) => s.to_string(),
            _ => String::new(),
        }
    }

    /// What `SET name = value` stores; the flag tells that it was clamped (a warning: 1292).
    pub fn check(&self, value: &Value) -> Result<(Value, bool), Fault> {
        let text = || match value {
            Value::Null => "NULL".to_string(),
            Value::Int(n) => n.to_string(),
            Value::UInt(n) => n.to_string(),
            Value::Double(d) => d.to_string(),
            Value::Decimal(d) => d.to_string(),
            Value::Str(s) => s.to_string(),
            Value::Bytes(b) => String::from_utf8_lossy(b).into_owned(),
            Value::Date(_) | Value::Time(_) | Value::DateTime(_) | Value::Json(_) => "?".to_string(),
        };
        let wrong_type = || Fault::mysql(1232, "42000", format!("Incorrect argument type to variable '{}'", self.name));
        match self.kind {
            Kind::Bool => match value {
                Value::Int(0) | Value::UInt(0) => Ok((Value::Int(0), false)),
                Value::Int(1) | Value::UInt(1) => Ok((Value::Int(1), false)),
                Value::Str(s) => match s.to_ascii_uppercase().as_str() {
                    "ON" | "TRUE" => Ok((Value::Int(1), false)),
                    "OFF" | "FALSE" => Ok((Value::Int(0), false)),
                    _ => Err(wrong_value(self.name, s)),
                },
                Value::Double(_) | Value::Decimal(_) => Err(wrong_type()),
                _ => Err(wrong_value(self.name, &text())),
            },
            Kind::Int { min, max } => {
                let wide: i128 = match value {
                    Value::Int(n) => *n as i128,
                    Value::UInt(n) => *n as i128,
                    _ => return Err(wrong_type()),
                };
                let clamped = wide.clamp(min as i128, max as i128);
                Ok((Value::UInt(clamped as u64), clamped != wide))
            }
            Kind::Double { min, max } => {
                let d = match value {
                    Value::Int(n) => *n as f64,
                    Value::UInt(n) => *n as f64,
                    Value::Double(d) => *d,
                    Value::Decimal(d) => d.to_f64(),
                    _ => return Err(wrong_type()),
                };
                Ok((Value::Double(d.clamp(min, max)), !(min..=max).contains(&d)))
            }
            Kind::Enum(names) => {
                let index = match value {
                    Value::Int(n) => usize::try_from(*n).ok(),
                    Value::UInt(n) => usize::try_from(*n).ok(),
                    _ => None,
                };
                let wanted = text();
                let found = names.iter().find(|n| n.eq_ignore_ascii_case(&wanted)).or_else(|| index.and_then(|i| names.get(i)));
                found.map(|n| (Value::str(n), false)).ok_or_else(|| wrong_value(self.name, &wanted))
            }
            Kind::Text => match value {
                Value::Null => Err(wrong_value(self.name, "NULL")),
                Value::Str(_) => Ok((value.clone(), false)),
                _ => Err(wrong_type()),
            },
            Kind::NullableText => match value {
                Value::Null | Value::Str(_) => Ok((value.clone(), false)),
                _ => Err(wrong_type()),
            },
            Kind::SqlMode => {
                let mode = match value {
                    Value::Str(s) => SqlMode::parse(s).map_err(|bad| wrong_value(self.name, &bad))?,
                    Value::Int(n) => SqlMode::from_number(*n as u64).ok_or_else(|| wrong_value(self.name, &n.to_string()))?,
                    Value::UInt(n) => SqlMode::from_number(*n).ok_or_else(|| wrong_value(self.name, &n.to_string()))?,
                    _ => return Err(wrong_type()),
                };
                if mode.has(SqlMode::PAD_CHAR_TO_FULL_LENGTH) {
                    return Err(Fault::not_supported("sql_mode PAD_CHAR_TO_FULL_LENGTH"));
                }
                Ok((Value::str(mode.to_string()), false))
            }
            Kind::TimeZone => match value {
                Value::Str(s) => match weald_expr::context::parse_time_zone(s) {
                    Some(_) => Ok((value.clone(), false)),
                    None => Err(Fault::mysql(1298, "HY000", format!("Unknown or incorrect time zone: '{s}'"))),
                },
                _ => Err(wrong_type()),
            },
            Kind::NullableCharset if value.is_null() => Ok((Value::Null, false)),
            Kind::Charset | Kind::NullableCharset => {
                let name = text().to_ascii_lowercase();
                let name = if name == "utf8" { "utf8mb3".to_string() } else { name };
                match Collation::default_of(&name) {
                    Some(_) => Ok((Value::str(&name), false)),
                    None => Err(Charset::unknown(&name)),
                }
            }
            Kind::Collation => {
                let wanted = text();
                match Collation::by_name(&wanted) {
                    Some(c) => Ok((Value::str(c.name()), false)),
                    None => Err(Fault::mysql(1273, "HY000", format!("Unknown collation: '{wanted}'"))),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_name_order_without_doubles() {
        assert!(VARIABLES.windows(2).all(|w| w[0].name < w[1].name));
    }

    #[test]
    fn numbers_out_of_range_are_clamped_and_said_to_be() {
        let timeout = VARIABLES[find("lock_wait_timeout").unwrap()];
        assert_eq!(timeout.check(&Value::Int(0)).unwrap(), (Value::UInt(1), true));
        assert_eq!(timeout.check(&Value::Int(5)).unwrap(), (Value::UInt(5), false));
    }

    #[test]
    fn booleans_take_words_and_digits_only() {
        let autocommit = VARIABLES[find("AUTOCOMMIT").unwrap()];
        assert_eq!(autocommit.check(&Value::str("off")).unwrap().0, Value::Int(0));
        assert!(autocommit.check(&Value::Int(2)).is_err());
    }
}
