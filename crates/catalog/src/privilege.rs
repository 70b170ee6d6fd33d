//! Privileges: their names, and sets of them.
//!
//! Owns:     nothing.
//! Promises: names and order as SHOW GRANTS and SHOW PRIVILEGES print them.
//! Never:    decides who has one: see [`crate::user`].

use serde::{Deserialize, Serialize};

macro_rules! privileges {
    ($($name:ident = $bit:literal, $text:literal, $context:literal, $comment:literal;)*) => {
        /// One privilege. MySQL's static ones, then MemSQL's CLUSTER, BACKUP and SHOW METADATA.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Privilege { $($name = $bit),* }
        impl Privilege {
            pub const ALL: &[Privilege] = &[$(Privilege::$name),*];
            /// As GRANT writes it.
            pub fn name(self) -> &'static str { match self { $(Privilege::$name => $text),* } }
            /// SHOW PRIVILEGES: context and comment.
            pub fn describe(self) -> (&'static str, &'static str) { match self { $(Privilege::$name => ($context, $comment)),* } }
        }
    };
}

privileges! {
    Select = 0, "SELECT", "Tables", "To retrieve rows from table";
    Insert = 1, "INSERT", "Tables", "To insert data into tables";
    Update = 2, "UPDATE", "Tables", "To update existing rows";
    Delete = 3, "DELETE", "Tables", "To delete existing rows";
    Create = 4, "CREATE", "Databases,Tables,Indexes", "To create new databases and tables";
    Drop = 5, "DROP", "Databases,Tables", "To drop databases, tables, and views";
    Reload = 6, "RELOAD", "Server Admin", "To reload or refresh tables, logs and privileges";
    Shutdown = 7, "SHUTDOWN", "Server Admin", "To shut down the server";
    Process = 8, "PROCESS", "Server Admin", "To view the plain text of currently executing queries";
    File = 9, "FILE", "File access on server", "To read and write files on the server";
    References = 10, "REFERENCES", "Databases,Tables", "To have references on tables";
    Index = 11, "INDEX", "Tables", "To create or drop indexes";
    Alter = 12, "ALTER", "Tables", "To alter the table";
    ShowDatabases = 13, "SHOW DATABASES", "Server Admin", "To see all databases with SHOW DATABASES";
    Super = 14, "SUPER", "Server Admin", "To use KILL thread, SET GLOBAL, CHANGE MASTER, etc.";
    CreateTemporaryTables = 15, "CREATE TEMPORARY TABLES", "Databases", "To use CREATE TEMPORARY TABLE";
    LockTables = 16, "LOCK TABLES", "Databases", "To use LOCK TABLES (together with SELECT privilege)";
    Execute = 17, "EXECUTE", "Functions,Procedures", "To execute stored routines";
    ReplicationSlave = 18, "REPLICATION SLAVE", "Server Admin", "To read binary log events from the source";
    ReplicationClient = 19, "REPLICATION CLIENT", "Server Admin", "To ask where the slave or master servers are";
    CreateView = 20, "CREATE VIEW", "Tables", "To create new views";
    ShowView = 21, "SHOW VIEW", "Tables", "To see views with SHOW CREATE VIEW";
    CreateRoutine = 22, "CREATE ROUTINE", "Databases", "To use CREATE FUNCTION/PROCEDURE";
    AlterRoutine = 23, "ALTER ROUTINE", "Functions,Procedures", "To alter or drop stored functions/procedures";
    CreateUser = 24, "CREATE USER", "Server Admin", "To create new users";
    Event = 25, "EVENT", "Server Admin", "To create, alter, drop and execute events";
    Trigger = 26, "TRIGGER", "Tables", "To use triggers";
    CreateTablespace = 27, "CREATE TABLESPACE", "Server Admin", "To create/alter/drop tablespaces";
    CreateRole = 28, "CREATE ROLE", "Server Admin", "To create new roles";
    DropRole = 29, "DROP ROLE", "Server Admin", "To drop roles";
    Cluster = 30, "CLUSTER", "Server Admin", "To change the cluster's topology";
    Backup = 31, "BACKUP", "Server Admin", "To back up and to snapshot databases";
    ShowMetadata = 32, "SHOW METADATA", "Server Admin", "To see information_schema and the state of the cluster";
    GrantOption = 33, "GRANT OPTION", "Databases,Tables,Functions,Procedures", "To give to other users those privileges you possess";
}

/// A set of privileges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrivilegeSet(u64);

impl PrivilegeSet {
    pub const NONE: Self = Self(0);
    /// ALL PRIVILEGES on *.*, without GRANT OPTION.
    pub const ALL_GLOBAL: Self = Self((1 << Privilege::GrantOption as u64) - 1);
    /// ALL PRIVILEGES on one database.
    pub const ALL_DATABASE: Self = Self::of(&[
        Privilege::Select,
        Privilege::Insert,
        Privilege::Update,
        Privilege::Delete,
        Privilege::Create,
        Privilege::Drop,
        Privilege::References,
        Privilege::Index,
        Privilege::Alter,
        Privilege::CreateTemporaryTables,
        Privilege::LockTables,
        Privilege::Execute,
        Privilege::CreateView,
        Privilege::ShowView,
        Privilege::CreateRoutine,
        Privilege::AlterRoutine,
        Privilege::Event,
        Privilege::Trigger,
    ]);
    /// ALL PRIVILEGES on one table.
    pub const ALL_TABLE: Self = Self::of(&[
        Privilege::Select,
        Privilege::Insert,
        Privilege::Update,
        Privilege::Delete,
        Privilege::Create,
        Privilege::Drop,
        Privilege::References,
        Privilege::Index,
        Privilege::Alter,
        Privilege::CreateView,
        Privilege::ShowView,
        Privilege::Trigger,
    ]);
    /// What may be granted on columns.
    pub const COLUMN: Self = Self::of(&[Privilege::Select, Privilege::Insert, Privilege::Update, Privilege::References]);

    pub const fn of(list: &[Privilege]) -> Self {
        let mut bits = 0;
        let mut i = 0;
        while i < list.len() {
            bits |= 1 << list[i] as u64;
            i += 1;
        }
        Self(bits)
    }
    pub const fn has(self, p: Privilege) -> bool {
        self.0 & (1 << p as u64) != 0
    }
    pub const fn has_any(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
    pub const fn is_subset_of(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
    pub fn iter(self) -> impl Iterator<Item = Privilege> {
        Privilege::ALL.iter().copied().filter(move |p| self.has(*p))
    }
    pub fn by_name(name: &str) -> Option<Privilege> {
        Privilege::ALL.iter().copied().find(|p| p.name().eq_ignore_ascii_case(name))
    }
}
