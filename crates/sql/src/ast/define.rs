//! Definitions as written: CREATE and ALTER TABLE, CREATE VIEW.
//!
//! Owns:     its text.
//! Promises: every form the parser accepts is here in full; nothing is dropped on the way.
//! Never:    resolves a name or a type.

use super::*;

#[derive(Clone, Debug, PartialEq, Default)]
pub struct CreateTable {
    pub name: Option<ObjectName>,
    pub if_not_exists: bool,
    pub temporary: bool,
    pub rowstore: bool,
    pub reference: bool,
    pub columnstore: bool,
    pub columns: Vec<ColumnDef>,
    pub indexes: Vec<IndexDef>,
    pub foreign_keys: Vec<ForeignKeyDef>,
    pub checks: Vec<CheckDef>,
    pub options: TableOptions,
    pub like: Option<ObjectName>,
    pub select: Option<Box<Query>>,
    /// What to do with duplicates of CREATE … SELECT.
    pub select_duplicates: Option<LoadDuplicates>,
}
#[derive(Clone, Debug, PartialEq, Default)]
pub struct TableOptions {
    pub engine: Option<String>,
    pub charset: Option<String>,
    pub collation: Option<String>,
    pub comment: Option<String>,
    pub auto_increment: Option<u64>,
    /// Options read and kept for a warning that they do nothing here (ROW_FORMAT, KEY_BLOCK_SIZE, PARTITION BY …): as written.
    pub ignored: Vec<String>,
}
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnDef {
    pub name: Ident,
    pub data_type: DataType,
    pub options: ColumnOptions,
}
#[derive(Clone, Debug, PartialEq, Default)]
pub struct ColumnOptions {
    /// Some(true) NULL, Some(false) NOT NULL
    pub nullable: Option<bool>,
    pub default: Option<Expr>,
    /// `DEFAULT (expr)`: an expression to SHOW CREATE TABLE, even where it is a literal.
    pub default_in_parens: bool,
    pub on_update: Option<Expr>,
    pub auto_increment: bool,
    pub primary_key: bool,
    pub unique: bool,
    pub comment: Option<String>,
    pub collation: Option<String>,
    pub generated: Option<Generated>,
    pub invisible: bool,
    /// CHECKs written with the column; those of CREATE TABLE stand in [`CreateTable::checks`], in the order of the text.
    pub checks: Vec<CheckDef>,
    pub references: Option<ForeignKeyDef>,
}
#[derive(Clone, Debug, PartialEq)]
pub struct Generated {
    pub expr: Expr,
    pub stored: bool,
    /** the expression as written */
    pub text: String,
}
#[derive(Clone, Debug, PartialEq)]
pub struct CheckDef {
    pub name: Option<Ident>,
    pub expr: Expr,
    pub enforced: bool,
    /** the expression as written */
    pub text: String,
}
#[derive(Clone, Debug, PartialEq)]
pub struct ForeignKeyDef {
    pub name: Option<Ident>,
    pub columns: Vec<Ident>,
    pub table: ObjectName,
    pub referenced: Vec<Ident>,
    pub on_delete: Option<String>,
    pub on_update: Option<String>,
}

/// A column's type as written; what it becomes is decided by `plan::ddl`.
#[derive(Clone, Debug, PartialEq)]
pub struct DataType {
    /// Upper case, synonyms resolved: TINYINT SMALLINT MEDIUMINT INT BIGINT DECIMAL FLOAT DOUBLE BIT CHAR VARCHAR TINYTEXT TEXT MEDIUMTEXT LONGTEXT BINARY VARBINARY
    /// TINYBLOB BLOB MEDIUMBLOB LONGBLOB DATE TIME DATETIME TIMESTAMP YEAR JSON ENUM SET BOOLEAN→TINYINT(1) SERIAL→BIGINT UNSIGNED (with its options), or a name we refuse (GEOMETRY …).
    pub name: String,
    pub length: Option<u32>,
    pub decimals: Option<u8>,
    pub unsigned: bool,
    pub zerofill: bool,
    pub charset: Option<String>,
    pub collation: Option<String>,
    /// `BINARY` attribute of a character type: its charset's _bin collation.
    pub binary: bool,
    pub members: Vec<String>,
}
#[derive(Clone, Debug, PartialEq)]
pub struct IndexDef {
    pub kind: IndexKind,
    pub name: Option<Ident>,
    pub columns: Vec<IndexColumn>,
    /// USING BTREE | HASH
    pub method: Option<IndexMethod>,
    pub comment: Option<String>,
    pub invisible: bool,
}
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexKind {
    Primary,
    Unique,
    Plain,
    Fulltext,
    Spatial,
    Shard,
    Sort,
}
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexMethod {
    BTree,
    Hash,
}
#[derive(Clone, Debug, PartialEq)]
pub struct IndexColumn {
    pub column: Ident,
    pub prefix: Option<u32>,
    pub descending: bool,
    /** functional key part */
    pub expr: Option<Expr>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum AlterAction {
    AddColumn {
        column: ColumnDef,
        position: ColumnPosition,
        if_not_exists: bool,
    },
    DropColumn {
        name: Ident,
        if_exists: bool,
    },
    ModifyColumn {
        column: ColumnDef,
        position: ColumnPosition,
    },
    ChangeColumn {
        old: Ident,
        column: ColumnDef,
        position: ColumnPosition,
    },
    RenameColumn {
        old: Ident,
        new: Ident,
    },
    SetDefault {
        column: Ident,
        default: Expr,
        /** as in [`ColumnOptions`] */
        in_parens: bool,
    },
    DropDefault {
        column: Ident,
    },
    AddIndex(IndexDef),
    DropIndex(Ident),
    RenameIndex {
        old: Ident,
        new: Ident,
    },
    DropPrimaryKey,
    AddForeignKey(ForeignKeyDef),
    DropForeignKey(Ident),
    AddCheck(CheckDef),
    DropCheck(Ident),
    /// DROP CONSTRAINT: a check, a foreign key, a unique key or (`PRIMARY`) the primary key.
    DropConstraint(Ident),
    /// ALTER CHECK | CONSTRAINT name [NOT] ENFORCED
    AlterCheck {
        name: Ident,
        enforced: bool,
    },
    AlterColumnVisibility {
        column: Ident,
        invisible: bool,
    },
    AlterIndexVisibility {
        name: Ident,
        invisible: bool,
    },
    Rename(ObjectName),
    ConvertCharset {
        charset: String,
        collation: Option<String>,
    },
    Options(TableOptions),
    DisableKeys,
    EnableKeys,
    Force,
    OrderBy(Vec<Ident>),
    /// ALGORITHM= / LOCK=, as written
    Algorithm(String),
    Lock(String),
}
#[derive(Clone, Debug, PartialEq)]
pub enum ColumnPosition {
    Default,
    First,
    After(Ident),
}
#[derive(Clone, Debug, PartialEq)]
pub struct CreateView {
    pub name: ObjectName,
    pub or_replace: bool,
    pub columns: Vec<Ident>,
    pub query: Query,
    /** the SELECT as written */
    pub text: String,
    pub definer: Option<UserName>,
    pub security_invoker: bool,
    pub check_option: Option<String>,
    pub algorithm: Option<String>,
    pub alter: bool,
}
