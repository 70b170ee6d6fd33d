//! What a session sets, and users and their privileges, as written.
//!
//! Owns:     its text.
//! Promises: every form the parser accepts is here in full; nothing is dropped on the way.
//! Never:    resolves a name or a type.

use super::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VarScope {
    Session,
    Global,
    Persist,
    PersistOnly,
    /** SET TRANSACTION and SET @@name without a scope: of a transaction's characteristics, the next one's only; of all else, the session's */
    Next,
}
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    ReadUncommitted,
    ReadCommitted,
    RepeatableRead,
    Serializable,
}
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableLock {
    Read,
    ReadLocal,
    Write,
}
#[derive(Clone, Debug, PartialEq)]
pub enum SetItem {
    User {
        name: Ident,
        value: Expr,
    },
    /// `value` None: DEFAULT. A bare word value (`SET sql_mode = ANSI`, `ON`) arrives as a string literal.
    System {
        scope: VarScope,
        name: Ident,
        value: Option<Expr>,
    },
    Names {
        charset: Option<String>,
        collation: Option<String>,
    },
    CharacterSet(Option<String>),
}
#[derive(Clone, Debug, PartialEq)]
pub enum PrepareSource {
    Text(String),
    Variable(Ident),
}
/// 'user'@'host'; host '%' where none is written. CURRENT_USER stands as name "" and host "".
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UserName {
    pub user: String,
    pub host: String,
}
/// What SET ROLE and SET DEFAULT ROLE name.
#[derive(Clone, Debug, PartialEq)]
pub enum RoleSet {
    Default,
    None,
    All,
    AllExcept(Vec<UserName>),
    Roles(Vec<UserName>),
}
#[derive(Clone, Debug, PartialEq)]
pub struct UserSpec {
    pub user: UserName,
    pub auth: Option<UserAuth>,
}
#[derive(Clone, Debug, PartialEq)]
pub struct UserAuth {
    pub plugin: Option<String>,
    pub password: Option<String>,
    /** AS '…' / BY PASSWORD '…' */
    pub hash: Option<Vec<u8>>,
}
#[derive(Clone, Debug, PartialEq, Default)]
pub struct UserOptions {
    pub require_ssl: Option<bool>,
    pub account_locked: Option<bool>,
    pub max_user_connections: Option<u64>,
    pub ignored: Vec<String>,
    pub password_expire: bool,
    /** CREATE USER … DEFAULT ROLE */
    pub default_roles: Vec<UserName>,
}
#[derive(Clone, Debug, PartialEq)]
pub struct Privilege {
    /** upper case; "ALL" for ALL PRIVILEGES */
    pub name: String,
    pub columns: Vec<Ident>,
}
#[derive(Clone, Debug, PartialEq)]
pub enum GrantLevel {
    Global,
    Database(Ident),
    /** `*` : the current database */
    CurrentDatabase,
    Table(ObjectName),
}
