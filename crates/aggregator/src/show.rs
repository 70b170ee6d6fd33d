//! SHOW and DESCRIBE, as queries over information_schema.
//!
//! Owns:     nothing.
//! Promises: MySQL's columns, in MySQL's order and case; LIKE and WHERE filter what SHOW prints.
//! Never:    runs the query: the session does, with the user's own privileges.

use weald_catalog::show_create::{quote, quote_text};
use weald_sql::ast::{ObjectName, Show, ShowFilter, ShowKind, VarScope};

/// A SHOW as a SELECT over information_schema: `inner` gives the columns, LIKE applies to `like_on`, the result is sorted by `order`.
pub struct ShowQuery {
    pub inner: String,
    pub like_on: &'static str,
    pub order: &'static str,
}

impl ShowQuery {
    fn new(inner: impl Into<String>, like_on: &'static str, order: &'static str) -> Self {
        Self { inner: inner.into(), like_on, order }
    }

    /// The same of the session's temporary tables.
    pub fn of_temporary(&mut self) {
        for name in ["COLUMNS", "STATISTICS"] {
            self.inner = self.inner.replace(&format!("information_schema.{name}"), &format!("information_schema.`#{name}`"));
        }
    }

    /// The whole SELECT, without a WHERE (the session adds a bound one: `SHOW … WHERE` is an expression over the shown columns).
    pub fn text(&self, filter: Option<&ShowFilter>, where_text: Option<&str>) -> String {
        let condition = match (filter, where_text) {
            (Some(ShowFilter::Like(pattern)), _) => format!(" WHERE {} LIKE {}", quote(self.like_on), quote_text(pattern)),
            (Some(ShowFilter::Where(_)), Some(text)) => format!(" WHERE {text}"),
            _ => String::new(),
        };
        let order = if self.order.is_empty() { String::new() } else { format!(" ORDER BY {}", self.order) };
        // Clients are shown a table's name, and its own is the one that tells them something.
        let name = self.inner.split_once("FROM information_schema.").map_or("shown", |(_, rest)| rest.split([' ', ',']).next().unwrap_or(rest));
        format!("SELECT * FROM ({}) AS {}{condition}{order}", self.inner, quote(name))
    }
}

/// The database SHOW speaks of: the one named, or the current one.
pub fn query(show: &Show, database: &str) -> Option<ShowQuery> {
    let db = |named: &Option<String>| quote_text(named.as_deref().unwrap_or(database));
    let of = |t: &ObjectName| (quote_text(t.database.as_deref().unwrap_or(database)), quote_text(&t.name));
    Some(match &show.kind {
        ShowKind::Databases { extended: false } => {
            let (column, like) = named_after_pattern("Database".into(), "SCHEMA_NAME", &show.filter);
            ShowQuery::new(
                format!("SELECT SCHEMA_NAME AS {column} FROM information_schema.SCHEMATA{}", like.map_or(String::new(), |l| format!(" WHERE {l}"))),
                "",
                "1",
            )
        }
        ShowKind::Tables { full, database: named } => {
            let name = named.as_deref().unwrap_or(database);
            let kind = if *full { ", TABLE_TYPE AS `Table_type`" } else { "" };
            let (column, like) = named_after_pattern(format!("Tables_in_{name}"), "TABLE_NAME", &show.filter);
            let like = like.map_or(String::new(), |l| format!(" AND {l}"));
            ShowQuery::new(
                format!("SELECT TABLE_NAME AS {column}{kind} FROM information_schema.TABLES WHERE TABLE_SCHEMA = {}{like}", db(named)),
                "",
                "1",
            )
        }
        ShowKind::TableStatus { database: named } => ShowQuery::new(
            format!(
                "SELECT TABLE_NAME AS `Name`, ENGINE AS `Engine`, VERSION AS `Version`, ROW_FORMAT AS `Row_format`, TABLE_ROWS AS `Rows`, AVG_ROW_LENGTH AS `Avg_row_length`, \
             DATA_LENGTH AS `Data_length`, MAX_DATA_LENGTH AS `Max_data_length`, INDEX_LENGTH AS `Index_length`, DATA_FREE AS `Data_free`, AUTO_INCREMENT AS `Auto_increment`, \
             CREATE_TIME AS `Create_time`, UPDATE_TIME AS `Update_time`, CHECK_TIME AS `Check_time`, TABLE_COLLATION AS `Collation`, CHECKSUM AS `Checksum`, \
             CREATE_OPTIONS AS `Create_options`, TABLE_COMMENT AS `Comment` FROM information_schema.TABLES WHERE TABLE_SCHEMA = {}",
                db(named)
            ),
            "Name",
            "1",
        ),
        ShowKind::OpenTables { database: named } => ShowQuery::new(
            format!(
                "SELECT TABLE_SCHEMA AS `Database`, TABLE_NAME AS `Table`, 0 AS `In_use`, 0 AS `Name_locked` FROM information_schema.TABLES WHERE TABLE_TYPE = 'BASE TABLE' AND TABLE_SCHEMA = {}",
                db(named)
            ),
            "Table",
            "1, 2",
        ),
        ShowKind::Columns { full, table } => columns(*full, &of(table)),
        ShowKind::Index { table } => {
            let (d, t) = of(table);
            ShowQuery::new(
                format!(
                    "SELECT TABLE_NAME AS `Table`, NON_UNIQUE AS `Non_unique`, INDEX_NAME AS `Key_name`, SEQ_IN_INDEX AS `Seq_in_index`, COLUMN_NAME AS `Column_name`, COLLATION AS `Collation`, \
                 CARDINALITY AS `Cardinality`, SUB_PART AS `Sub_part`, PACKED AS `Packed`, NULLABLE AS `Null`, INDEX_TYPE AS `Index_type`, COMMENT AS `Comment`, \
                 INDEX_COMMENT AS `Index_comment`, IS_VISIBLE AS `Visible`, EXPRESSION AS `Expression` FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = {d} AND TABLE_NAME = {t}"
                ),
                "Key_name",
                "",
            )
        }
        ShowKind::Variables { scope } => ShowQuery::new(variables("VARIABLES", *scope), "Variable_name", "1"),
        ShowKind::Status { scope } => ShowQuery::new(variables("STATUS", *scope), "Variable_name", "1"),
        ShowKind::ProcessList { full } => {
            let info = if *full { "INFO" } else { "LEFT(INFO, 100)" };
            ShowQuery::new(
                format!(
                    "SELECT ID AS `Id`, USER AS `User`, HOST AS `Host`, DB AS `db`, COMMAND AS `Command`, TIME AS `Time`, STATE AS `State`, {info} AS `Info` \
                 FROM information_schema.PROCESSLIST"
                ),
                "User",
                "1",
            )
        }
        ShowKind::Engines => ShowQuery::new(
            "SELECT ENGINE AS `Engine`, SUPPORT AS `Support`, COMMENT AS `Comment`, TRANSACTIONS AS `Transactions`, XA, SAVEPOINTS AS `Savepoints` \
             FROM information_schema.ENGINES",
            "Engine",
            "",
        ),
        ShowKind::Plugins => ShowQuery::new(
            "SELECT PLUGIN_NAME AS `Name`, PLUGIN_STATUS AS `Status`, PLUGIN_TYPE AS `Type`, PLUGIN_LIBRARY AS `Library`, PLUGIN_LICENSE AS `License` \
             FROM information_schema.PLUGINS",
            "Name",
            "",
        ),
        ShowKind::Charset => ShowQuery::new(
            "SELECT CHARACTER_SET_NAME AS `Charset`, DESCRIPTION AS `Description`, DEFAULT_COLLATE_NAME AS `Default collation`, MAXLEN AS `Maxlen` \
             FROM information_schema.CHARACTER_SETS",
            "Charset",
            "1",
        ),
        ShowKind::Collation => ShowQuery::new(
            "SELECT COLLATION_NAME AS `Collation`, CHARACTER_SET_NAME AS `Charset`, ID AS `Id`, IS_DEFAULT AS `Default`, IS_COMPILED AS `Compiled`, \
             SORTLEN AS `Sortlen`, PAD_ATTRIBUTE AS `Pad_attribute` FROM information_schema.COLLATIONS",
            "Collation",
            "1",
        ),
        ShowKind::Triggers { database: named } => ShowQuery::new(
            format!(
                "SELECT TRIGGER_NAME AS `Trigger`, EVENT_MANIPULATION AS `Event`, EVENT_OBJECT_TABLE AS `Table`, ACTION_STATEMENT AS `Statement`, ACTION_TIMING AS `Timing`, CREATED AS `Created`, \
             SQL_MODE AS `sql_mode`, DEFINER AS `Definer`, CHARACTER_SET_CLIENT AS `character_set_client`, COLLATION_CONNECTION AS `collation_connection`, DATABASE_COLLATION AS `Database Collation` \
             FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = {}",
                db(named)
            ),
            "Table",
            "",
        ),
        ShowKind::Events { database: named } => ShowQuery::new(
            format!(
                "SELECT EVENT_SCHEMA AS `Db`, EVENT_NAME AS `Name`, DEFINER AS `Definer`, TIME_ZONE AS `Time zone`, EVENT_TYPE AS `Type`, EXECUTE_AT AS `Execute at`, \
             INTERVAL_VALUE AS `Interval value`, INTERVAL_FIELD AS `Interval field`, STARTS AS `Starts`, ENDS AS `Ends`, STATUS AS `Status`, ORIGINATOR AS `Originator`, \
             CHARACTER_SET_CLIENT AS `character_set_client`, COLLATION_CONNECTION AS `collation_connection`, DATABASE_COLLATION AS `Database Collation` \
             FROM information_schema.EVENTS WHERE EVENT_SCHEMA = {}",
                db(named)
            ),
            "Name",
            "",
        ),
        ShowKind::ProcedureStatus => routines("PROCEDURE"),
        ShowKind::FunctionStatus => routines("FUNCTION"),
        ShowKind::PlanCache => ShowQuery::new(
            "SELECT DATABASE_NAME AS `Database`, QUERY_TEXT AS `QueryText`, COMMITS AS `Commits`, ROW_COUNT AS `RowCount`, \
             EXECUTION_TIME AS `ExecutionTime`, LOG_FLUSH_TIME AS `LogFlushTime`, ROW_LOCK_TIME AS `RowLockTime`, STREAM_TIME AS `StreamTime`, \
             PLAN_ID AS `PlanId`, PLAN_HASH AS `PlanHash`, AVERAGE_MEMORY_USE AS `AverageMemoryUse`, EXECUTIONS AS `Executions`, \
             EXECUTOR AS `Executor`, LAST_EXECUTED AS `LastExecuted` FROM information_schema.PLANCACHE",
            "QueryText",
            "9",
        ),
        ShowKind::Aggregators { extended } => {
            let more = if *extended { ", ROLE AS `Role`, NODE_ID AS `NodeID`, RUNTIME_STATE AS `Runtime_State`" } else { "" };
            ShowQuery::new(
                format!(
                    "SELECT HOST AS `Host`, PORT AS `Port`, STATE AS `State`, OPENED_CONNECTIONS AS `Opened_Connections`, \
                 AVERAGE_ROUNDTRIP_LATENCY AS `Average_Roundtrip_Latency_ms`, MASTER_AGGREGATOR AS `Master_Aggregator`{more} FROM information_schema.AGGREGATORS"
                ),
                "Host",
                "1, 2",
            )
        }
        ShowKind::Leaves { extended } => {
            let more = if *extended { ", RUNTIME_STATE AS `Runtime_State`" } else { "" };
            ShowQuery::new(
                format!(
                    "SELECT HOST AS `Host`, PORT AS `Port`, AVAILABILITY_GROUP AS `Availability_Group`, PAIR_HOST AS `Pair_Host`, PAIR_PORT AS `Pair_Port`, \
                 STATE AS `State`, OPENED_CONNECTIONS AS `Opened_Connections`, AVERAGE_ROUNDTRIP_LATENCY AS `Average_Roundtrip_Latency_ms`, \
                 NODE_ID AS `NodeId`{more} FROM information_schema.LEAVES"
                ),
                "Host",
                "1, 2",
            )
        }
        ShowKind::ClusterStatus => ShowQuery::new("SELECT * FROM information_schema.MV_CLUSTER_STATUS", "HOST", ""),
        ShowKind::Partitions { database: named, extended: false } => ShowQuery::new(
            format!(
                "SELECT ORDINAL AS `Ordinal`, HOST AS `Host`, PORT AS `Port`, ROLE AS `Role`, LOCKED AS `Locked` FROM information_schema.DISTRIBUTED_PARTITIONS WHERE DATABASE_NAME = {}",
                db(named)
            ),
            "Host",
            "",
        ),
        ShowKind::Partitions { database: named, extended: true } => ShowQuery::new(
            format!(
                "SELECT ORDINAL AS `Ordinal`, HOST AS `Host`, PORT AS `Port`, ROLE AS `Role`, LOCKED AS `Locked`, STATE AS `Replication_Status`, LAST_COMMAND AS `Last_Command`, \
             LAST_ERROR AS `Last_Error`, LAST_MESSAGE AS `Last_Message`, NODE_ID AS `NodeId`, TERM AS `Term`, POSITION AS `Position` \
             FROM information_schema.`#PARTITIONS` WHERE DATABASE_NAME = {}",
                db(named)
            ),
            "Host",
            "",
        ),
        ShowKind::Databases { extended: true } => ShowQuery::new(
            "SELECT DATABASE_NAME AS `Database`, COMMITS AS `Commits`, ROLE AS `Role`, STATE AS `State`, POSITION AS `Position`, DETAILS AS `Details`, \
             ASYNC_SLAVES AS `AsyncSlaves`, SYNC_SLAVES AS `SyncSlaves`, CONSENSUS_SLAVES AS `ConsensusSlaves`, COMMITTED_POSITION AS `CommittedPosition`, \
             HARDENED_POSITION AS `HardenedPosition`, REPLAY_POSITION AS `ReplayPosition`, TERM AS `Term`, LAST_PAGE_TERM AS `LastPageTerm`, \
             MEMORY_MB AS `Memory (MBs)`, PENDING_IOS AS `Pending IOs` FROM information_schema.`#DATABASES`",
            "Database",
            "",
        ),
        _ => return None,
    })
}

/// A first column that has the pattern of LIKE in its name, as MySQL's SHOW DATABASES and SHOW TABLES have; and the condition, which goes inside.
fn named_after_pattern(name: String, column: &str, filter: &Option<ShowFilter>) -> (String, Option<String>) {
    match filter {
        Some(ShowFilter::Like(p)) => (quote(&format!("{name} ({p})")), Some(format!("{column} LIKE {}", quote_text(p)))),
        Some(ShowFilter::Where(_)) | None => (quote(&name), None),
    }
}

/// SHOW [FULL] COLUMNS and DESCRIBE.
pub fn columns(full: bool, (database, table): &(String, String)) -> ShowQuery {
    let base = if full {
        "COLUMN_NAME AS `Field`, COLUMN_TYPE AS `Type`, COLLATION_NAME AS `Collation`, IS_NULLABLE AS `Null`, COLUMN_KEY AS `Key`, COLUMN_DEFAULT AS `Default`, EXTRA AS `Extra`, \
         PRIVILEGES AS `Privileges`, COLUMN_COMMENT AS `Comment`"
    } else {
        "COLUMN_NAME AS `Field`, COLUMN_TYPE AS `Type`, IS_NULLABLE AS `Null`, COLUMN_KEY AS `Key`, COLUMN_DEFAULT AS `Default`, EXTRA AS `Extra`"
    };
    ShowQuery::new(format!("SELECT {base} FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = {database} AND TABLE_NAME = {table}"), "Field", "")
}

fn variables(what: &str, scope: VarScope) -> String {
    let scope = if scope == VarScope::Global { "GLOBAL" } else { "SESSION" };
    format!("SELECT VARIABLE_NAME AS `Variable_name`, VARIABLE_VALUE AS `Value` FROM information_schema.{scope}_{what}")
}

fn routines(kind: &str) -> ShowQuery {
    ShowQuery::new(
        format!(
            "SELECT ROUTINE_SCHEMA AS `Db`, ROUTINE_NAME AS `Name`, ROUTINE_TYPE AS `Type`, DEFINER AS `Definer`, LAST_ALTERED AS `Modified`, CREATED AS `Created`, SECURITY_TYPE AS `Security_type`, \
         ROUTINE_COMMENT AS `Comment`, CHARACTER_SET_CLIENT AS `character_set_client`, COLLATION_CONNECTION AS `collation_connection`, DATABASE_COLLATION AS `Database Collation` \
         FROM information_schema.ROUTINES WHERE ROUTINE_TYPE = '{kind}'"
        ),
        "Name",
        "",
    )
}
