//! information_schema: the tables that the aggregator makes itself, with MySQL 8.0's columns.
//!
//! Owns:     the list of tables and their columns.
//! Promises: a user sees the rows of what they hold a privilege on, as in MySQL; rows are those of one catalogue version.
//! Never:    filters or sorts: queries over it go through the ordinary executor.
//!
//! Column types are written short: `v64` VARCHAR(64), `l` LONGTEXT, `i` BIGINT, `u` BIGINT UNSIGNED, `f` DOUBLE, `d` DATETIME, `j` JSON; a `?` after it: nullable.

use crate::cluster::{Asked, Gathered, Observed};
use std::borrow::Cow;
use std::sync::{Arc, LazyLock};
use weald_catalog::user::is_information_schema;
use weald_catalog::{
    Access, CatalogView, ClusterView, ColumnDef, DatabaseDef, DefaultValue, IndexDef, Privilege, PrivilegeSet, Sharding, TableDef, UserDef,
};
use weald_types::sql_type::BlobSize;
use weald_types::{Collation, DateTime, SqlType, TypeKind, Value};

pub type Row = Vec<Value>;

/// What the rows are made from.
pub struct Facts<'a> {
    pub catalog: &'a CatalogView,
    /// The session's own: SHOW COLUMNS and SHOW INDEX know them, the tables of information_schema do not.
    pub temporary: &'a [Arc<TableDef>],
    pub user: &'a Access,
    pub server: &'a dyn ServerFacts,
    /// What was asked of the other nodes, for those tables that [`asked_of_others`] names.
    pub told: &'a Gathered,
    /// The session's temporary tables are not listed, as in MySQL; its variables are.
    pub session_variables: &'a dyn Fn() -> Vec<(String, String)>,
    pub global_variables: &'a dyn Fn() -> Vec<(String, String)>,
    pub session_status: &'a dyn Fn() -> Vec<(String, String)>,
}

/// What only the running server knows.
pub trait ServerFacts {
    /// (rows, bytes of rows, bytes of indexes)
    fn table_size(&self, table: &TableDef) -> (u64, u64, u64);
    fn next_auto_increment(&self, table: &TableDef) -> u64;
    fn processes(&self) -> Vec<Process>;
    fn global_status(&self) -> Vec<(String, String)>;
    /// Rows of PLANCACHE.
    fn plan_cache(&self) -> Vec<Row>;
    /// What the metadata expects, and what this node sees.
    fn cluster(&self) -> (Arc<ClusterView>, Observed);
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    pub id: u64,
    pub user: String,
    pub host: String,
    pub port: u16,
    pub database: Option<String>,
    pub command: Cow<'static, str>,
    /// When the command began, microseconds since 1970.
    pub since_micros: i64,
    pub seconds: u64,
    pub state: Cow<'static, str>,
    /// The statement that runs, or ran last.
    pub info: Option<String>,
}

struct Table {
    name: &'static str,
    columns: &'static str,
    rows: fn(&Facts<'_>) -> Vec<Row>,
}

/// Columns of a table, by its name in any case.
pub fn columns(name: &str) -> Option<Vec<(Arc<str>, SqlType)>> {
    TYPES.iter().find(|(table, _)| table.eq_ignore_ascii_case(name)).map(|(_, columns)| columns.clone())
}

pub fn names() -> impl Iterator<Item = &'static str> {
    TABLES.iter().map(|t| t.name).filter(|n| !n.starts_with('#'))
}

/// Whether rows of this table say how large tables are, which other nodes have to be asked for.
pub(crate) fn tells_sizes(name: &str) -> bool {
    matches!(name.to_ascii_uppercase().as_str(), "TABLES" | "STATISTICS" | "PARTITIONS" | "TABLE_STATISTICS")
}

/// What has to be asked of the other nodes before [`rows`] can be made.
pub fn asked_of_others(name: &str) -> Option<Asked> {
    if name.eq_ignore_ascii_case("MV_PROCESSLIST") {
        return Some(Asked::Processes);
    }
    name.eq_ignore_ascii_case("MV_EVENTS").then_some(Asked::Events)
}

pub fn rows(name: &str, facts: &Facts<'_>) -> Option<Vec<Row>> {
    TABLES.iter().find(|t| t.name.eq_ignore_ascii_case(name)).map(|t| (t.rows)(facts))
}

type Columns = Vec<(Arc<str>, SqlType)>;
static TYPES: LazyLock<Vec<(&'static str, Columns)>> = LazyLock::new(|| TABLES.iter().map(|t| (t.name, parse_columns(t.columns))).collect());

fn parse_columns(text: &str) -> Columns {
    text.split_whitespace()
        .map(|c| {
            let (name, ty) = c.split_once(':').unwrap_or((c, "v64"));
            let (ty, nullable) = match ty.strip_suffix('?') {
                Some(t) => (t, true),
                None => (ty, false),
            };
            let text = |kind| SqlType::string(kind, nullable, Collation::UTF8MB3_GENERAL_CI);
            let ty = match ty {
                "l" => text(TypeKind::Text(BlobSize::Long)),
                "i" => SqlType::bigint(nullable),
                "f" => SqlType::double(nullable),
                "u" => SqlType::bigint_unsigned(nullable),
                "d" => SqlType::new(TypeKind::DateTime { fsp: 0 }, nullable),
                "j" => SqlType::string(TypeKind::Json, nullable, Collation::UTF8MB4_BIN),
                v => text(TypeKind::VarChar { chars: v.trim_start_matches('v').parse().unwrap_or(64) }),
            };
            (Arc::from(name), ty)
        })
        .collect()
}

const COLUMNS: &str = "TABLE_CATALOG TABLE_SCHEMA TABLE_NAME COLUMN_NAME:v64? ORDINAL_POSITION:u COLUMN_DEFAULT:l? IS_NULLABLE:v3 DATA_TYPE:l? CHARACTER_MAXIMUM_LENGTH:i? CHARACTER_OCTET_LENGTH:i? NUMERIC_PRECISION:u? NUMERIC_SCALE:u? DATETIME_PRECISION:u? CHARACTER_SET_NAME:v64? COLLATION_NAME:v64? COLUMN_TYPE:l COLUMN_KEY:v3 EXTRA:v256? PRIVILEGES:v154? COLUMN_COMMENT:l GENERATION_EXPRESSION:l SRS_ID:u?";
const STATISTICS: &str = "TABLE_CATALOG TABLE_SCHEMA TABLE_NAME NON_UNIQUE:i INDEX_SCHEMA INDEX_NAME:v64? SEQ_IN_INDEX:u COLUMN_NAME:v64? COLLATION:v1? CARDINALITY:i? SUB_PART:i? PACKED:v1? NULLABLE:v3 INDEX_TYPE:v11 COMMENT:v8 INDEX_COMMENT:v2048 IS_VISIBLE:v3 EXPRESSION:l?";

static TABLES: &[Table] = &[
    // Not listed: SHOW reads them, of temporary tables and of the cluster.
    Table { name: "#COLUMNS", columns: COLUMNS, rows: temporary_columns },
    Table {
        name: "#DATABASES",
        columns: "DATABASE_NAME COMMITS:i? ROLE:v64? STATE:v64 POSITION:v256? DETAILS:v512 ASYNC_SLAVES:i? SYNC_SLAVES:i? CONSENSUS_SLAVES:i? COMMITTED_POSITION:v256? HARDENED_POSITION:v256? REPLAY_POSITION:v256? TERM:i? LAST_PAGE_TERM:i? MEMORY_MB:f? PENDING_IOS:i?",
        rows: crate::cluster::rows::databases_extended,
    },
    Table {
        name: "#PARTITIONS",
        columns: "DATABASE_NAME ORDINAL:i HOST:v512? PORT:i? ROLE:v64? LOCKED:i STATE:v64 LAST_COMMAND:v512? LAST_ERROR:v512? LAST_MESSAGE:v512? NODE_ID:i? TERM:i POSITION:v256?",
        rows: crate::cluster::rows::partitions_extended,
    },
    Table { name: "#STATISTICS", columns: STATISTICS, rows: temporary_statistics },
    Table {
        name: "ADMINISTRABLE_ROLE_AUTHORIZATIONS",
        columns: "USER:v97? HOST:v256? GRANTEE:v97? GRANTEE_HOST:v256? ROLE_NAME:v255? ROLE_HOST:v256? IS_GRANTABLE:v3 IS_DEFAULT:v3? IS_MANDATORY:v3",
        rows: none,
    },
    Table {
        name: "AGGREGATORS",
        columns: "HOST:v512 PORT:i STATE:v256 OPENED_CONNECTIONS:i? AVERAGE_ROUNDTRIP_LATENCY:f? MASTER_AGGREGATOR:i ROLE:v64 NODE_ID:i RUNTIME_STATE:v64?",
        rows: crate::cluster::rows::aggregators,
    },
    Table {
        name: "APPLICABLE_ROLES",
        columns: "USER:v97? HOST:v256? GRANTEE:v97? GRANTEE_HOST:v256? ROLE_NAME:v255? ROLE_HOST:v256? IS_GRANTABLE:v3 IS_DEFAULT:v3? IS_MANDATORY:v3",
        rows: none,
    },
    Table { name: "CHARACTER_SETS", columns: "CHARACTER_SET_NAME:v64 DEFAULT_COLLATE_NAME:v64 DESCRIPTION:v2048 MAXLEN:u", rows: character_sets },
    Table { name: "CHECK_CONSTRAINTS", columns: "CONSTRAINT_CATALOG CONSTRAINT_SCHEMA CONSTRAINT_NAME CHECK_CLAUSE:l", rows: check_constraints },
    Table {
        name: "COLLATIONS",
        columns: "COLLATION_NAME:v64 CHARACTER_SET_NAME:v64 ID:u IS_DEFAULT:v3 IS_COMPILED:v3 SORTLEN:u PAD_ATTRIBUTE:v9",
        rows: collations,
    },
    Table { name: "COLLATION_CHARACTER_SET_APPLICABILITY", columns: "COLLATION_NAME:v64 CHARACTER_SET_NAME:v64", rows: collation_applicability },
    Table { name: "COLUMNS", columns: COLUMNS, rows: table_columns },
    Table {
        name: "COLUMN_PRIVILEGES",
        columns: "GRANTEE:v292 TABLE_CATALOG:v512 TABLE_SCHEMA TABLE_NAME COLUMN_NAME PRIVILEGE_TYPE:v64 IS_GRANTABLE:v3",
        rows: column_privileges,
    },
    Table { name: "COLUMN_STATISTICS", columns: "SCHEMA_NAME TABLE_NAME COLUMN_NAME HISTOGRAM:j", rows: none },
    Table {
        name: "DISTRIBUTED_DATABASES",
        columns: "DATABASE_ID:i DATABASE_NAME NUM_PARTITIONS:i IS_SYNC:i IS_SYNC_DURABILITY:i",
        rows: distributed_databases,
    },
    Table {
        name: "DISTRIBUTED_PARTITIONS",
        columns: "DATABASE_ID:i DATABASE_NAME ORDINAL:i HOST:v512? PORT:i? ROLE:v64? LOCKED:i NODE_ID:i? IS_OFFLINE:i SYNC_DESIRED:i? STATE:v64 TERM:i",
        rows: crate::cluster::rows::partitions,
    },
    Table { name: "ENABLED_ROLES", columns: "ROLE_NAME:v255? ROLE_HOST:v255? IS_DEFAULT:v3? IS_MANDATORY:v3", rows: none },
    Table { name: "ENGINES", columns: "ENGINE:v64 SUPPORT:v8 COMMENT:v80 TRANSACTIONS:v3? XA:v3? SAVEPOINTS:v3?", rows: engines },
    Table {
        name: "EVENTS",
        columns: "EVENT_CATALOG EVENT_SCHEMA EVENT_NAME DEFINER:v288 TIME_ZONE:v64 EVENT_BODY:v3 EVENT_DEFINITION:l EVENT_TYPE:v9 EXECUTE_AT:d? INTERVAL_VALUE:v256? INTERVAL_FIELD:v18? SQL_MODE:v512 STARTS:d? ENDS:d? STATUS:v21 ON_COMPLETION:v12 CREATED:d LAST_ALTERED:d LAST_EXECUTED:d? EVENT_COMMENT:v2048 ORIGINATOR:u CHARACTER_SET_CLIENT:v64 COLLATION_CONNECTION:v64 DATABASE_COLLATION:v64",
        rows: none,
    },
    Table {
        name: "FILES",
        columns: "FILE_ID:i? FILE_NAME:l? FILE_TYPE:v256? TABLESPACE_NAME:v268 TABLE_CATALOG:v1 TABLE_SCHEMA:v1? TABLE_NAME:v1? LOGFILE_GROUP_NAME:v256? LOGFILE_GROUP_NUMBER:i? ENGINE:v64 FULLTEXT_KEYS:v1? DELETED_ROWS:i? UPDATE_COUNT:i? FREE_EXTENTS:i? TOTAL_EXTENTS:i? EXTENT_SIZE:i? INITIAL_SIZE:i? MAXIMUM_SIZE:i? AUTOEXTEND_SIZE:i? CREATION_TIME:v1? LAST_UPDATE_TIME:v1? LAST_ACCESS_TIME:v1? RECOVER_TIME:v1? TRANSACTION_COUNTER:v1? VERSION:i? ROW_FORMAT:v256? TABLE_ROWS:v1? AVG_ROW_LENGTH:v1? DATA_LENGTH:v1? MAX_DATA_LENGTH:v1? INDEX_LENGTH:v1? DATA_FREE:i? CREATE_TIME:v1? UPDATE_TIME:v1? CHECK_TIME:v1? CHECKSUM:v1? STATUS:v256? EXTRA:v256?",
        rows: none,
    },
    Table { name: "GLOBAL_STATUS", columns: "VARIABLE_NAME:v64 VARIABLE_VALUE:v1024?", rows: |f| pairs(f.server.global_status()) },
    Table { name: "GLOBAL_VARIABLES", columns: "VARIABLE_NAME:v64 VARIABLE_VALUE:v1024?", rows: |f| pairs((f.global_variables)()) },
    Table {
        name: "KEY_COLUMN_USAGE",
        columns: "CONSTRAINT_CATALOG CONSTRAINT_SCHEMA CONSTRAINT_NAME:v64? TABLE_CATALOG TABLE_SCHEMA TABLE_NAME COLUMN_NAME:v64? ORDINAL_POSITION:u POSITION_IN_UNIQUE_CONSTRAINT:u? REFERENCED_TABLE_SCHEMA:v64? REFERENCED_TABLE_NAME:v64? REFERENCED_COLUMN_NAME:v64?",
        rows: key_column_usage,
    },
    Table { name: "KEYWORDS", columns: "WORD:v128? RESERVED:i?", rows: keywords },
    Table {
        name: "LEAVES",
        columns: "HOST:v512 PORT:i AVAILABILITY_GROUP:i PAIR_HOST:v512? PAIR_PORT:i? STATE:v256 OPENED_CONNECTIONS:i? AVERAGE_ROUNDTRIP_LATENCY:f? NODE_ID:i RUNTIME_STATE:v64?",
        rows: crate::cluster::rows::leaves,
    },
    Table {
        name: "MV_CLUSTER_STATUS",
        columns: "NODE_ID:i HOST:v512 PORT:i DATABASE_NAME:v512 ROLE:v512? STATE:v256 POSITION:v256? MASTER_HOST:v256? MASTER_PORT:i? METADATA_MASTER_NODE_ID:i? METADATA_MASTER_HOST:v256? METADATA_MASTER_PORT:i? METADATA_ROLE:v512 DETAILS:v512",
        rows: crate::cluster::rows::status,
    },
    Table { name: "MV_EVENTS", columns: "ORIGIN_NODE_ID:i EVENT_TIME:d SEVERITY:v16 EVENT_TYPE:v64 DETAILS:j", rows: crate::cluster::rows::events },
    Table {
        name: "MV_NODES",
        columns: "ID:i IP_ADDR:v512 PORT:i TYPE:v16 STATE:v64 AVAILABILITY_GROUP:i? NUM_CPUS:i? MAX_MEMORY_MB:i? MAX_TABLE_MEMORY_MB:i? MEMORY_USED_MB:i? TABLE_MEMORY_USED_MB:i? TOTAL_DATA_DISK_MB:i? AVAILABLE_DATA_DISK_MB:i? UPTIME:i? VERSION:v64?",
        rows: crate::cluster::rows::nodes,
    },
    Table {
        name: "MV_PROCESSLIST",
        columns: "NODE_ID:i ID:u USER:v288 HOST:v261 DB:v64? COMMAND:v16 TIME:i STATE:v64? INFO:l?",
        rows: mv_processlist,
    },
    Table {
        name: "MV_RECOVERY_STATUS",
        columns: "DATABASE_NAME:v512 DATABASE_ID:i NODE_ID:i REPLAY_ETA:v256? REPLAY_STATUS:v256? REPLAYED_LSN:u STARTUP_COMMITTED_LSN:u RECOVERY_TYPE:v64 STATE:v64 PERCENT:i DETAILS:v512?",
        rows: crate::cluster::rows::recovery,
    },
    Table { name: "OPTIMIZER_TRACE", columns: "QUERY:l TRACE:l MISSING_BYTES_BEYOND_MAX_MEM_SIZE:i INSUFFICIENT_PRIVILEGES:i", rows: none },
    Table {
        name: "PARAMETERS",
        columns: "SPECIFIC_CATALOG SPECIFIC_SCHEMA SPECIFIC_NAME ORDINAL_POSITION:u PARAMETER_MODE:v5? PARAMETER_NAME:v64? DATA_TYPE:l? CHARACTER_MAXIMUM_LENGTH:i? CHARACTER_OCTET_LENGTH:i? NUMERIC_PRECISION:u? NUMERIC_SCALE:i? DATETIME_PRECISION:u? CHARACTER_SET_NAME:v64? COLLATION_NAME:v64? DTD_IDENTIFIER:l ROUTINE_TYPE:v10",
        rows: none,
    },
    Table {
        name: "PARTITIONS",
        columns: "TABLE_CATALOG TABLE_SCHEMA TABLE_NAME PARTITION_NAME:v64? SUBPARTITION_NAME:v64? PARTITION_ORDINAL_POSITION:u? SUBPARTITION_ORDINAL_POSITION:u? PARTITION_METHOD:v13? SUBPARTITION_METHOD:v13? PARTITION_EXPRESSION:v2048? SUBPARTITION_EXPRESSION:v2048? PARTITION_DESCRIPTION:l? TABLE_ROWS:u? AVG_ROW_LENGTH:u? DATA_LENGTH:u? MAX_DATA_LENGTH:u? INDEX_LENGTH:u? DATA_FREE:u? CREATE_TIME:d UPDATE_TIME:d? CHECK_TIME:d? CHECKSUM:i? PARTITION_COMMENT:l NODEGROUP:v256? TABLESPACE_NAME:v268?",
        rows: partitions,
    },
    Table {
        name: "PLANCACHE",
        columns: "DATABASE_NAME:v64? QUERY_TEXT:l EXECUTOR:v16 EXECUTIONS:u COMMITS:u ROW_COUNT:u EXECUTION_TIME:u LOG_FLUSH_TIME:u ROW_LOCK_TIME:u STREAM_TIME:u PLAN_ID:u PLAN_HASH:v16 AVERAGE_MEMORY_USE:u LAST_EXECUTED:d?",
        rows: crate::cluster::rows::plan_cache,
    },
    Table {
        name: "PLUGINS",
        columns: "PLUGIN_NAME:v64 PLUGIN_VERSION:v20 PLUGIN_STATUS:v10 PLUGIN_TYPE:v80 PLUGIN_TYPE_VERSION:v20 PLUGIN_LIBRARY:v64? PLUGIN_LIBRARY_VERSION:v20? PLUGIN_AUTHOR:v64? PLUGIN_DESCRIPTION:l? PLUGIN_LICENSE:v80? LOAD_OPTION:v64",
        rows: plugins,
    },
    Table { name: "PROCESSLIST", columns: "ID:u USER:v32 HOST:v261 DB:v64? COMMAND:v16 TIME:i STATE:v64? INFO:l?", rows: processlist },
    Table { name: "PROFILING", columns: "QUERY_ID:i SEQ:i STATE:v30 DURATION:v16", rows: none },
    Table {
        name: "REFERENTIAL_CONSTRAINTS",
        columns: "CONSTRAINT_CATALOG CONSTRAINT_SCHEMA CONSTRAINT_NAME:v64? UNIQUE_CONSTRAINT_CATALOG UNIQUE_CONSTRAINT_SCHEMA UNIQUE_CONSTRAINT_NAME:v64? MATCH_OPTION:v7 UPDATE_RULE:v11 DELETE_RULE:v11 TABLE_NAME REFERENCED_TABLE_NAME",
        rows: none,
    },
    Table {
        name: "RESOURCE_GROUPS",
        columns: "RESOURCE_GROUP_NAME RESOURCE_GROUP_TYPE:v6 RESOURCE_GROUP_ENABLED:i VCPU_IDS:l? THREAD_PRIORITY:i",
        rows: none,
    },
    Table {
        name: "ROUTINES",
        columns: "SPECIFIC_NAME ROUTINE_CATALOG ROUTINE_SCHEMA ROUTINE_NAME ROUTINE_TYPE:v9 DATA_TYPE:l? CHARACTER_MAXIMUM_LENGTH:i? CHARACTER_OCTET_LENGTH:i? NUMERIC_PRECISION:u? NUMERIC_SCALE:u? DATETIME_PRECISION:u? CHARACTER_SET_NAME:v64? COLLATION_NAME:v64? DTD_IDENTIFIER:l? ROUTINE_BODY:v8 ROUTINE_DEFINITION:l? EXTERNAL_NAME:v1? EXTERNAL_LANGUAGE:v64 PARAMETER_STYLE:v3 IS_DETERMINISTIC:v3 SQL_DATA_ACCESS:v17 SQL_PATH:v1? SECURITY_TYPE:v7 CREATED:d LAST_ALTERED:d SQL_MODE:v512 ROUTINE_COMMENT:l DEFINER:v288 CHARACTER_SET_CLIENT:v64 COLLATION_CONNECTION:v64 DATABASE_COLLATION:v64",
        rows: none,
    },
    Table {
        name: "SCHEMATA",
        columns: "CATALOG_NAME SCHEMA_NAME DEFAULT_CHARACTER_SET_NAME:v64 DEFAULT_COLLATION_NAME:v64 SQL_PATH:v1? DEFAULT_ENCRYPTION:v3",
        rows: schemata,
    },
    Table {
        name: "SCHEMA_PRIVILEGES",
        columns: "GRANTEE:v292 TABLE_CATALOG:v512 TABLE_SCHEMA PRIVILEGE_TYPE:v64 IS_GRANTABLE:v3",
        rows: schema_privileges,
    },
    Table { name: "SESSION_STATUS", columns: "VARIABLE_NAME:v64 VARIABLE_VALUE:v1024?", rows: |f| pairs((f.session_status)()) },
    Table { name: "SESSION_VARIABLES", columns: "VARIABLE_NAME:v64 VARIABLE_VALUE:v1024?", rows: |f| pairs((f.session_variables)()) },
    Table { name: "STATISTICS", columns: STATISTICS, rows: statistics },
    Table {
        name: "TABLES",
        columns: "TABLE_CATALOG TABLE_SCHEMA TABLE_NAME TABLE_TYPE:v11 ENGINE:v64? VERSION:i? ROW_FORMAT:v10? TABLE_ROWS:u? AVG_ROW_LENGTH:u? DATA_LENGTH:u? MAX_DATA_LENGTH:u? INDEX_LENGTH:u? DATA_FREE:u? AUTO_INCREMENT:u? CREATE_TIME:d? UPDATE_TIME:d? CHECK_TIME:d? TABLE_COLLATION:v64? CHECKSUM:i? CREATE_OPTIONS:v256? TABLE_COMMENT:l?",
        rows: tables,
    },
    Table {
        name: "TABLESPACES",
        columns: "TABLESPACE_NAME:v64 ENGINE:v64 TABLESPACE_TYPE:v64? LOGFILE_GROUP_NAME:v64? EXTENT_SIZE:u? AUTOEXTEND_SIZE:u? MAXIMUM_SIZE:u? NODEGROUP_ID:u? TABLESPACE_COMMENT:v2048?",
        rows: none,
    },
    Table {
        name: "TABLE_CONSTRAINTS",
        columns: "CONSTRAINT_CATALOG CONSTRAINT_SCHEMA CONSTRAINT_NAME:v64? TABLE_SCHEMA TABLE_NAME CONSTRAINT_TYPE:v11 ENFORCED:v3",
        rows: table_constraints,
    },
    Table {
        name: "TABLE_PRIVILEGES",
        columns: "GRANTEE:v292 TABLE_CATALOG:v512 TABLE_SCHEMA TABLE_NAME PRIVILEGE_TYPE:v64 IS_GRANTABLE:v3",
        rows: table_privileges,
    },
    Table {
        name: "TRIGGERS",
        columns: "TRIGGER_CATALOG TRIGGER_SCHEMA TRIGGER_NAME EVENT_MANIPULATION:v6 EVENT_OBJECT_CATALOG EVENT_OBJECT_SCHEMA EVENT_OBJECT_TABLE ACTION_ORDER:u ACTION_CONDITION:v1? ACTION_STATEMENT:l ACTION_ORIENTATION:v3 ACTION_TIMING:v6 ACTION_REFERENCE_OLD_TABLE:v1? ACTION_REFERENCE_NEW_TABLE:v1? ACTION_REFERENCE_OLD_ROW:v3 ACTION_REFERENCE_NEW_ROW:v3 CREATED:d SQL_MODE:v512 DEFINER:v288 CHARACTER_SET_CLIENT:v64 COLLATION_CONNECTION:v64 DATABASE_COLLATION:v64",
        rows: none,
    },
    Table { name: "USER_PRIVILEGES", columns: "GRANTEE:v292 TABLE_CATALOG:v512 PRIVILEGE_TYPE:v64 IS_GRANTABLE:v3", rows: user_privileges },
    Table {
        name: "VIEWS",
        columns: "TABLE_CATALOG TABLE_SCHEMA TABLE_NAME VIEW_DEFINITION:l CHECK_OPTION:v8 IS_UPDATABLE:v3 DEFINER:v288 SECURITY_TYPE:v7 CHARACTER_SET_CLIENT:v64 COLLATION_CONNECTION:v64",
        rows: views,
    },
];

fn none(_: &Facts<'_>) -> Vec<Row> {
    Vec::new()
}

fn s(text: impl AsRef<str>) -> Value {
    Value::str(text)
}
fn int(n: impl TryInto<i64>) -> Value {
    Value::Int(n.try_into().unwrap_or(i64::MAX))
}
fn uint(n: u64) -> Value {
    Value::UInt(n)
}
fn opt<T>(v: Option<T>, f: impl FnOnce(T) -> Value) -> Value {
    v.map_or(Value::Null, f)
}
fn def() -> Value {
    s("def")
}
fn yes(b: bool) -> Value {
    s(if b { "YES" } else { "NO" })
}
fn pairs(list: Vec<(String, String)>) -> Vec<Row> {
    list.into_iter().map(|(k, v)| vec![s(k), s(v)]).collect()
}

/// Databases that the user sees, `information_schema` apart.
fn databases<'a>(f: &'a Facts<'_>) -> impl Iterator<Item = &'a Arc<DatabaseDef>> {
    f.catalog.databases.values().filter(|d| f.user.sees_database(&d.name))
}

fn visible_tables<'a>(f: &'a Facts<'_>) -> impl Iterator<Item = (&'a Arc<DatabaseDef>, &'a Arc<TableDef>)> {
    databases(f).flat_map(|d| d.tables.values().map(move |t| (d, t))).filter(|(d, t)| f.user.sees_table(&d.name, &t.name))
}

fn schemata(f: &Facts<'_>) -> Vec<Row> {
    let row = |name: &str, c: Collation| vec![def(), s(name), s(c.charset()), s(c.name()), Value::Null, s("NO")];
    let mut rows = vec![row("information_schema", Collation::UTF8MB3_GENERAL_CI)];
    rows.extend(databases(f).map(|d| row(&d.name, d.collation)));
    rows
}

fn tables(f: &Facts<'_>) -> Vec<Row> {
    let mut rows: Vec<Row> = names()
        .map(|name| {
            let mut row = vec![def(), s("information_schema"), s(name), s("SYSTEM VIEW"), Value::Null, int(10)];
            row.extend(std::iter::repeat_n(Value::Null, 14));
            row.push(s(""));
            row
        })
        .collect();
    for (d, t) in visible_tables(f) {
        let (count, data, index) = f.server.table_size(t);
        let auto = t.columns.iter().any(|c| c.auto_increment).then(|| f.server.next_auto_increment(t));
        let options = match &t.sharding {
            Sharding::Reference => "reference",
            Sharding::Single { .. } => "single-partition",
            Sharding::Hash { .. } | Sharding::RowId => "",
        };
        rows.push(vec![
            def(),
            s(&d.name),
            s(&t.name),
            s("BASE TABLE"),
            s("InnoDB"),
            int(10),
            s("Dynamic"),
            uint(count),
            uint(data.checked_div(count).unwrap_or(0)),
            uint(data),
            uint(0),
            uint(index),
            uint(0),
            opt(auto, uint),
            created(t),
            Value::Null,
            Value::Null,
            s(t.collation.name()),
            Value::Null,
            s(options),
            s(&t.comment),
        ]);
    }
    for d in databases(f) {
        for v in d.views.values().filter(|v| f.user.sees_table(&d.name, &v.name)) {
            let mut row = vec![def(), s(&d.name), s(&v.name), s("VIEW")];
            row.extend(std::iter::repeat_n(Value::Null, 16));
            row.push(s("VIEW"));
            rows.push(row);
        }
    }
    rows
}

fn created(t: &TableDef) -> Value {
    DateTime::from_unix_micros(t.created as i64).map_or(Value::Null, |d| Value::DateTime(d.truncated(0)))
}

/// 'PRI', 'UNI', 'MUL' or ''.
pub fn column_key(t: &TableDef, ordinal: u16) -> &'static str {
    if t.primary().is_some_and(|p| p.parts.iter().any(|part| part.column == ordinal)) {
        return "PRI";
    }
    let leads = |i: &&IndexDef| i.parts.first().is_some_and(|p| p.column == ordinal);
    let mut leading = t.indexes.iter().skip(t.primary_key as usize).filter(leads);
    // A unique index of one NOT NULL column stands for the primary key where there is none; MySQL shows it as PRI.
    let alone = |i: &IndexDef| i.unique && i.parts.len() == 1;
    if !t.primary_key
        && t.indexes
            .iter()
            .find(|i| i.unique && i.parts.iter().all(|p| !t.columns[p.column as usize].ty.nullable))
            .is_some_and(|i| i.parts.iter().any(|p| p.column == ordinal))
    {
        return "PRI";
    }
    match leading.clone().any(alone) {
        true => "UNI",
        false if leading.next().is_some() => "MUL",
        false => "",
    }
}

/// The text in the Extra column of SHOW COLUMNS.
pub fn column_extra(c: &ColumnDef) -> String {
    let mut parts = Vec::new();
    if c.auto_increment {
        parts.push("auto_increment".to_string());
    }
    if matches!(c.default, DefaultValue::Now { .. } | DefaultValue::Expression(_)) {
        parts.push("DEFAULT_GENERATED".into());
    }
    if c.on_update_now {
        let fsp = match c.ty.kind {
            TypeKind::DateTime { fsp } | TypeKind::Timestamp { fsp } if fsp > 0 => format!("({fsp})"),
            _ => String::new(),
        };
        parts.push(format!("on update CURRENT_TIMESTAMP{fsp}"));
    }
    if let Some(g) = &c.generated {
        parts.push(if g.stored { "STORED GENERATED".into() } else { "VIRTUAL GENERATED".into() });
    }
    if c.invisible {
        parts.push("INVISIBLE".into());
    }
    parts.join(" ")
}

pub fn column_default(c: &ColumnDef) -> Value {
    match &c.default {
        DefaultValue::None | DefaultValue::Null => Value::Null,
        DefaultValue::Literal(text) | DefaultValue::Expression(text) => s(text),
        DefaultValue::Now { fsp: 0 } => s("CURRENT_TIMESTAMP"),
        DefaultValue::Now { fsp } => s(format!("CURRENT_TIMESTAMP({fsp})")),
    }
}

fn privileges_text(set: PrivilegeSet) -> Value {
    s(PrivilegeSet::COLUMN.iter().filter(|p| set.has(*p)).map(|p| p.name().to_ascii_lowercase()).collect::<Vec<_>>().join(","))
}

fn column_row(f: &Facts<'_>, database: &str, table: &str, position: usize, c: &ColumnDef, key: &str) -> Row {
    let ty = &c.ty;
    let is_text = ty.kind.is_text();
    vec![
        def(),
        s(database),
        s(table),
        s(&c.name),
        uint(position as u64 + 1),
        column_default(c),
        yes(ty.nullable),
        s(ty.data_type()),
        opt(ty.character_maximum_length(), int),
        opt(ty.character_octet_length(), int),
        opt(ty.numeric_precision(), uint),
        opt(ty.numeric_scale(), uint),
        opt(ty.datetime_precision(), uint),
        if is_text { s(ty.collation.charset()) } else { Value::Null },
        if is_text { s(ty.collation.name()) } else { Value::Null },
        s(ty.to_string()),
        s(key),
        s(column_extra(c)),
        privileges_text(f.user.on_column(database, table, &c.name)),
        s(&c.comment),
        c.generated.as_ref().map_or(s(""), |g| s(&g.expression)),
        Value::Null,
    ]
}

fn table_columns(f: &Facts<'_>) -> Vec<Row> {
    let mut rows = Vec::new();
    for (table, columns) in TYPES.iter().filter(|(name, _)| !name.starts_with('#')) {
        for (i, (name, ty)) in columns.iter().enumerate() {
            let c = ColumnDef {
                name: (**name).into(),
                ty: ty.clone(),
                default: DefaultValue::Null,
                on_update_now: false,
                auto_increment: false,
                invisible: false,
                comment: "".into(),
                generated: None,
            };
            rows.push(column_row(f, "information_schema", table, i, &c, ""));
        }
    }
    for (d, t) in visible_tables(f) {
        for (i, c) in t.columns.iter().enumerate() {
            if f.user.on_column(&d.name, &t.name, &c.name).is_empty() {
                continue;
            }
            rows.push(column_row(f, &d.name, &t.name, i, c, column_key(t, i as u16)));
        }
    }
    for d in databases(f) {
        for v in d.views.values().filter(|v| f.user.sees_table(&d.name, &v.name)) {
            rows.extend(v.described.iter().enumerate().map(|(i, c)| column_row(f, &d.name, &v.name, i, c, "")));
        }
    }
    rows
}

fn temporary_columns(f: &Facts<'_>) -> Vec<Row> {
    let mut rows = Vec::new();
    for t in f.temporary {
        rows.extend(t.columns.iter().enumerate().map(|(i, c)| column_row(f, &t.database_name, &t.name, i, c, column_key(t, i as u16))));
    }
    rows
}

fn temporary_statistics(f: &Facts<'_>) -> Vec<Row> {
    f.temporary.iter().flat_map(|t| index_rows(f, &t.database_name, t)).collect()
}

fn statistics(f: &Facts<'_>) -> Vec<Row> {
    visible_tables(f).flat_map(|(d, t)| index_rows(f, &d.name, t)).collect()
}

fn index_rows(f: &Facts<'_>, database: &str, t: &TableDef) -> Vec<Row> {
    let mut rows = Vec::new();
    let (count, _, _) = f.server.table_size(t);
    // One that is being filled, or dropped, is not there.
    for index in t.indexes.iter().filter(|i| i.ready) {
        for (i, part) in index.parts.iter().enumerate() {
            let c = &t.columns[part.column as usize];
            rows.push(vec![
                def(),
                s(database),
                s(&t.name),
                int(!index.unique as i64),
                s(database),
                s(&index.name),
                uint(i as u64 + 1),
                s(&c.name),
                s(if part.descending { "D" } else { "A" }),
                int(count),
                opt(part.prefix, |n| int(n as i64)),
                Value::Null,
                s(if c.ty.nullable { "YES" } else { "" }),
                s(if index.hash { "HASH" } else { "BTREE" }),
                s(""),
                s(&index.comment),
                yes(!index.invisible),
                Value::Null,
            ]);
        }
    }
    rows
}

fn table_constraints(f: &Facts<'_>) -> Vec<Row> {
    let mut rows = Vec::new();
    for (d, t) in visible_tables(f) {
        for (i, index) in t.indexes.iter().enumerate().filter(|(_, i)| i.unique && i.ready) {
            let kind = if i == 0 && t.primary_key { "PRIMARY KEY" } else { "UNIQUE" };
            rows.push(vec![def(), s(&d.name), s(&index.name), s(&d.name), s(&t.name), s(kind), s("YES")]);
        }
        for c in &t.checks {
            rows.push(vec![def(), s(&d.name), s(&c.name), s(&d.name), s(&t.name), s("CHECK"), yes(c.enforced)]);
        }
    }
    rows
}

fn key_column_usage(f: &Facts<'_>) -> Vec<Row> {
    let mut rows = Vec::new();
    for (d, t) in visible_tables(f) {
        for index in t.indexes.iter().filter(|i| i.unique && i.ready) {
            for (i, part) in index.parts.iter().enumerate() {
                let name = &t.columns[part.column as usize].name;
                rows.push(vec![
                    def(),
                    s(&d.name),
                    s(&index.name),
                    def(),
                    s(&d.name),
                    s(&t.name),
                    s(name),
                    uint(i as u64 + 1),
                    Value::Null,
                    Value::Null,
                    Value::Null,
                    Value::Null,
                ]);
            }
        }
    }
    rows
}

fn check_constraints(f: &Facts<'_>) -> Vec<Row> {
    visible_tables(f)
        .flat_map(|(d, t)| t.checks.iter().map(|c| vec![def(), s(&d.name), s(&c.name), s(format!("({})", c.expression))]).collect::<Vec<_>>())
        .collect()
}

fn views(f: &Facts<'_>) -> Vec<Row> {
    let mut rows = Vec::new();
    for d in databases(f) {
        for v in d.views.values().filter(|v| f.user.sees_table(&d.name, &v.name)) {
            let shown = if f.user.on_table(&d.name, &v.name).has(Privilege::ShowView) { s(&v.query) } else { s("") };
            rows.push(vec![
                def(),
                s(&d.name),
                s(&v.name),
                shown,
                s(if v.check_option.is_empty() { "NONE" } else { &v.check_option }),
                s("NO"),
                s(format!("{}@{}", v.definer.0, v.definer.1)),
                s(if v.security_invoker { "INVOKER" } else { "DEFINER" }),
                s("utf8mb4"),
                s("utf8mb4_general_ci"),
            ]);
        }
    }
    rows
}

fn character_sets(_: &Facts<'_>) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for c in Collation::all().iter().map(|i| i.collation).filter(|c| Collation::default_of(c.charset()) == Some(*c)) {
        rows.push(vec![s(c.charset()), s(c.name()), s(charset_description(c.charset())), uint(c.max_len() as u64)]);
    }
    rows
}

fn charset_description(charset: &str) -> &'static str {
    match charset {
        "utf8mb4" => "UTF-8 Unicode",
        "utf8mb3" => "UTF-8 Unicode",
        "latin1" => "cp1252 West European",
        "ascii" => "US ASCII",
        "binary" => "Binary pseudo charset",
        _ => "",
    }
}

fn collations(_: &Facts<'_>) -> Vec<Row> {
    Collation::all()
        .iter()
        .map(|i| i.collation)
        .map(|c| {
            let default = Collation::default_of(c.charset()) == Some(c);
            vec![
                s(c.name()),
                s(c.charset()),
                uint(c.id() as u64),
                s(if default { "Yes" } else { "" }),
                s("Yes"),
                uint(1),
                s(if c.pad_space() { "PAD SPACE" } else { "NO PAD" }),
            ]
        })
        .collect()
}

fn collation_applicability(_: &Facts<'_>) -> Vec<Row> {
    Collation::all().iter().map(|i| i.collation).map(|c| vec![s(c.name()), s(c.charset())]).collect()
}

fn engines(_: &Facts<'_>) -> Vec<Row> {
    let comment = "Weald's in-memory rowstore: transactions, row locks, durable log. Answers to the name InnoDB, which tools expect";
    vec![vec![s("InnoDB"), s("DEFAULT"), s(comment), s("YES"), s("NO"), s("YES")]]
}

fn plugins(_: &Facts<'_>) -> Vec<Row> {
    ["caching_sha2_password", "mysql_native_password"]
        .iter()
        .map(|name| {
            vec![
                s(name),
                s("1.0"),
                s("ACTIVE"),
                s("AUTHENTICATION"),
                s("2.1"),
                Value::Null,
                Value::Null,
                s("Weald"),
                s("built in"),
                s("Apache-2.0"),
                s("FORCE"),
            ]
        })
        .collect()
}

fn sees_process(f: &Facts<'_>, p: &Process) -> bool {
    f.user.may_globally(Privilege::Process) || p.user == *f.user.user
}

fn process_row(p: Process) -> Row {
    let info = p.info.filter(|_| p.command == "Query");
    let host = format!("{}:{}", p.host, p.port);
    vec![uint(p.id), s(p.user), s(host), opt(p.database, s), s(p.command), int(p.seconds), s(p.state), opt(info, s)]
}

fn processlist(f: &Facts<'_>) -> Vec<Row> {
    f.server.processes().into_iter().filter(|p| sees_process(f, p)).map(process_row).collect()
}

fn mv_processlist(f: &Facts<'_>) -> Vec<Row> {
    let mut rows = Vec::new();
    for (node, processes) in &f.told.processes {
        let seen = processes.iter().filter(|p| sees_process(f, p));
        rows.extend(seen.map(|p| std::iter::once(int(node.raw())).chain(process_row(p.clone())).collect::<Row>()));
    }
    rows
}

fn grantee(u: &UserDef) -> Value {
    s(format!("'{}'@'{}'", u.user, u.host))
}

/// Everybody's with access to users, else one's own.
fn seen_users<'a>(f: &'a Facts<'_>) -> Vec<&'a UserDef> {
    if f.user.may_globally(Privilege::CreateUser) { f.catalog.users.values().map(|u| &**u).collect() } else { vec![f.user] }
}

fn each_privilege(set: PrivilegeSet, usage: bool) -> (Vec<&'static str>, Value) {
    let grantable = yes(set.has(Privilege::GrantOption));
    let list: Vec<&str> = set.minus(PrivilegeSet::of(&[Privilege::GrantOption])).iter().map(Privilege::name).collect();
    (if list.is_empty() && usage { vec!["USAGE"] } else { list }, grantable)
}

fn user_privileges(f: &Facts<'_>) -> Vec<Row> {
    let mut rows = Vec::new();
    for u in seen_users(f) {
        let (list, grantable) = each_privilege(u.global, true);
        rows.extend(list.into_iter().map(|p| vec![grantee(u), def(), s(p), grantable.clone()]));
    }
    rows
}

fn schema_privileges(f: &Facts<'_>) -> Vec<Row> {
    let mut rows = Vec::new();
    for u in seen_users(f) {
        for (d, set) in &u.databases {
            let (list, grantable) = each_privilege(*set, false);
            rows.extend(list.into_iter().map(|p| vec![grantee(u), def(), s(d), s(p), grantable.clone()]));
        }
    }
    rows
}

fn table_privileges(f: &Facts<'_>) -> Vec<Row> {
    let mut rows = Vec::new();
    for u in seen_users(f) {
        for ((d, t), grant) in &u.tables {
            let (list, grantable) = each_privilege(grant.table, false);
            rows.extend(list.into_iter().map(|p| vec![grantee(u), def(), s(d), s(t), s(p), grantable.clone()]));
        }
    }
    rows
}

fn column_privileges(f: &Facts<'_>) -> Vec<Row> {
    let mut rows = Vec::new();
    for u in seen_users(f) {
        for ((d, t), grant) in &u.tables {
            for (c, set) in &grant.columns {
                let (list, grantable) = each_privilege(*set, false);
                rows.extend(list.into_iter().map(|p| vec![grantee(u), def(), s(d), s(t), s(c), s(p), grantable.clone()]));
            }
        }
    }
    rows
}

/// A table that is not partitioned in MySQL's sense is one row. (How it is spread over the cluster is in DISTRIBUTED_PARTITIONS.)
fn partitions(f: &Facts<'_>) -> Vec<Row> {
    visible_tables(f)
        .map(|(d, t)| {
            let (count, data, index) = f.server.table_size(t);
            let mut row = vec![def(), s(&d.name), s(&t.name)];
            row.extend(std::iter::repeat_n(Value::Null, 9));
            row.extend([uint(count), uint(data.checked_div(count).unwrap_or(0)), uint(data), uint(0), uint(index), uint(0), created(t)]);
            row.extend([Value::Null, Value::Null, Value::Null, s(""), Value::Null, Value::Null]);
            row
        })
        .collect()
}

fn keywords(_: &Facts<'_>) -> Vec<Row> {
    let mut words: Vec<(&str, bool)> = weald_sql::keywords().collect();
    words.sort_unstable();
    words.into_iter().map(|(word, reserved)| vec![s(word), int(reserved as i64)]).collect()
}

fn distributed_databases(f: &Facts<'_>) -> Vec<Row> {
    databases(f)
        .filter(|d| !is_information_schema(&d.name))
        .map(|d| vec![int(d.id.raw()), s(&d.name), int(d.partitions), int(d.sync_replication as i64), int(d.sync_durability as i64)])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_has_columns_and_names_are_in_order() {
        assert!(TABLES.windows(2).all(|w| w[0].name.replace('_', "!") < w[1].name.replace('_', "!") || w[0].name < w[1].name));
        assert!(TYPES.iter().all(|(_, c)| !c.is_empty()));
    }

    #[test]
    fn tables_has_mysqls_twenty_one_columns() {
        assert_eq!(columns("tables").unwrap().len(), 21)
    }
}
