//! SHOW as written.
//!
//! Owns:     its text.
//! Promises: every form the parser accepts is here in full; nothing is dropped on the way.
//! Never:    resolves a name or a type.

use super::*;

#[derive(Clone, Debug, PartialEq)]
pub struct Show {
    pub kind: ShowKind,
    pub filter: Option<ShowFilter>,
}
#[derive(Clone, Debug, PartialEq)]
pub enum ShowFilter {
    Like(String),
    Where(Expr),
}
#[derive(Clone, Debug, PartialEq)]
pub enum ShowKind {
    Databases {
        extended: bool,
    },
    Tables {
        full: bool,
        database: Option<Ident>,
    },
    TableStatus {
        database: Option<Ident>,
    },
    OpenTables {
        database: Option<Ident>,
    },
    Columns {
        full: bool,
        table: ObjectName,
    },
    Index {
        table: ObjectName,
    },
    CreateTable(ObjectName),
    CreateView(ObjectName),
    CreateDatabase {
        name: Ident,
        if_not_exists: bool,
    },
    CreateUser(UserName),
    /// PROCEDURE | FUNCTION | TRIGGER | EVENT
    CreateOther {
        what: String,
        name: ObjectName,
    },
    Variables {
        scope: VarScope,
    },
    Status {
        scope: VarScope,
    },
    Warnings {
        limit: Option<Limit>,
    },
    Errors {
        limit: Option<Limit>,
    },
    CountWarnings,
    CountErrors,
    ProcessList {
        full: bool,
    },
    Engines,
    Plugins,
    Charset,
    Collation,
    Privileges,
    Grants(Option<UserName>),
    GrantsUsing {
        user: UserName,
        roles: Vec<UserName>,
    },
    Triggers {
        database: Option<Ident>,
    },
    Events {
        database: Option<Ident>,
    },
    ProcedureStatus,
    FunctionStatus,
    MasterStatus,
    BinaryLogs,
    SlaveStatus,
    EngineStatus(String),
    Profiles,
    /** SHOW PROFILE, of the session's last PROFILE */
    Profile,
    ProfileJson,
    /// SHOW REPLICAS | SLAVE HOSTS
    Replicas,
    PlanCache,
    // the cluster's own
    Aggregators {
        extended: bool,
    },
    Leaves {
        extended: bool,
    },
    Partitions {
        extended: bool,
        database: Option<Ident>,
    },
    ClusterStatus,
    DatabaseStatus(Option<Ident>),
}
