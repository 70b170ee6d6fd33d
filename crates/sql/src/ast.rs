//! The syntax tree: what was written, before names mean anything.
//!
//! Owns:     its text.
//! Promises: every form the parser accepts is here in full; nothing is dropped on the way.
//! Never:    resolves a name or a type.

/// A half-open range of bytes of the statement's text. MySQL names an unaliased select column by its text, and errors quote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Span {
    pub start: u32,
    pub end: u32,
}

/// An identifier as written, without its quotes.
pub type Ident = String;

/// `[database.]name`
#[derive(Clone, Debug, PartialEq)]
pub struct ObjectName {
    pub database: Option<Ident>,
    pub name: Ident,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Statement {
    // --- queries and data
    Select(Box<Query>),
    Insert(Box<Insert>),
    Update(Box<Update>),
    Delete(Box<Delete>),
    LoadData(Box<LoadData>),
    /// `TABLE t`, `VALUES ROW(...)` arrive as [`Statement::Select`].
    Do(Vec<Expr>),
    Call {
        name: ObjectName,
        args: Vec<Expr>,
    },
    // --- definitions
    CreateDatabase {
        name: Ident,
        if_not_exists: bool,
        options: DatabaseOptions,
    },
    AlterDatabase {
        name: Option<Ident>,
        options: DatabaseOptions,
    },
    DropDatabase {
        name: Ident,
        if_exists: bool,
    },
    CreateTable(Box<CreateTable>),
    AlterTable {
        name: ObjectName,
        actions: Vec<AlterAction>,
        ignore: bool,
    },
    DropTable {
        names: Vec<ObjectName>,
        if_exists: bool,
        temporary: bool,
        cascade: bool,
    },
    RenameTable(Vec<(ObjectName, ObjectName)>),
    Truncate(ObjectName),
    CreateIndex {
        table: ObjectName,
        index: IndexDef,
        if_not_exists: bool,
        /** as written */
        algorithm: Option<String>,
        /** as written */
        lock: Option<String>,
    },
    DropIndex {
        table: ObjectName,
        name: Ident,
        if_exists: bool,
        /** as written */
        algorithm: Option<String>,
        /** as written */
        lock: Option<String>,
    },
    CreateView(Box<CreateView>),
    DropView {
        names: Vec<ObjectName>,
        if_exists: bool,
    },
    /// CREATE PROCEDURE / FUNCTION / TRIGGER / EVENT …: recognised so that the refusal names the feature.
    Unsupported {
        feature: String,
    },
    // --- transactions
    Begin {
        read_only: Option<bool>,
        consistent_snapshot: bool,
    },
    Commit {
        chain: bool,
        release: bool,
    },
    Rollback {
        chain: bool,
        release: bool,
    },
    Savepoint(Ident),
    RollbackTo(Ident),
    ReleaseSavepoint(Ident),
    SetTransaction {
        scope: VarScope,
        isolation: Option<Isolation>,
        read_only: Option<bool>,
    },
    LockTables(Vec<(ObjectName, Option<Ident>, TableLock)>),
    UnlockTables,
    // --- session
    Use(Ident),
    Set(Vec<SetItem>),
    Prepare {
        name: Ident,
        source: PrepareSource,
    },
    Execute {
        name: Ident,
        using: Vec<Ident>,
    },
    Deallocate(Ident),
    Kill {
        query_only: bool,
        id: Expr,
    },
    // --- users
    CreateUser {
        if_not_exists: bool,
        users: Vec<UserSpec>,
        options: UserOptions,
    },
    AlterUser {
        if_exists: bool,
        users: Vec<UserSpec>,
        options: UserOptions,
    },
    DropUser {
        if_exists: bool,
        users: Vec<UserName>,
    },
    RenameUser(Vec<(UserName, UserName)>),
    SetPassword {
        user: Option<UserName>,
        password: String,
    },
    Grant {
        privileges: Vec<Privilege>,
        on: GrantLevel,
        to: Vec<UserSpec>,
        with_grant_option: bool,
    },
    Revoke {
        privileges: Vec<Privilege>,
        on: GrantLevel,
        from: Vec<UserName>,
    },
    RevokeAll {
        from: Vec<UserName>,
    },
    CreateRole {
        if_not_exists: bool,
        roles: Vec<UserName>,
    },
    DropRole {
        if_exists: bool,
        roles: Vec<UserName>,
    },
    GrantRole {
        roles: Vec<UserName>,
        to: Vec<UserName>,
        with_admin_option: bool,
    },
    RevokeRole {
        roles: Vec<UserName>,
        from: Vec<UserName>,
    },
    SetRole(RoleSet),
    /// SET DEFAULT ROLE, ALTER USER … DEFAULT ROLE
    SetDefaultRole {
        roles: RoleSet,
        to: Vec<UserName>,
    },
    /// Each option in upper case: PRIVILEGES, TABLES, STATUS, LOGS, BINARY LOGS …
    Flush(Vec<String>),
    /// All of them, without a name.
    ResetPersist {
        name: Option<String>,
        if_exists: bool,
    },
    /// FLUSH TABLES [names] WITH READ LOCK | FOR EXPORT, and FLUSH TABLES with names; plain FLUSH TABLES is [`Statement::Flush`].
    FlushTables {
        tables: Vec<ObjectName>,
        read_lock: bool,
        for_export: bool,
    },
    // --- looking
    Show(Box<Show>),
    /// DESCRIBE t [col | 'pattern']
    Describe {
        table: ObjectName,
        column: Option<String>,
    },
    Explain {
        analyze: bool,
        format: Option<String>,
        statement: Box<Statement>,
    },
    /// PROFILE <statement>, as MemSQL has it: run it and keep what it did.
    Profile(Box<Statement>),
    /// CHECK / ANALYZE / OPTIMIZE / REPAIR / CHECKSUM TABLE
    TableMaintenance {
        verb: MaintenanceVerb,
        tables: Vec<ObjectName>,
    },
    // --- the cluster (more of these come with the cluster)
    SnapshotDatabase(Ident),
    Shutdown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaintenanceVerb {
    Analyze,
    Check,
    Optimize,
    Repair,
    Checksum,
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct DatabaseOptions {
    pub charset: Option<String>,
    pub collation: Option<String>,
    pub partitions: Option<u32>,
    pub sync_durability: Option<bool>,
    pub sync_replication: Option<bool>,
}

// ------------------------------------------------------------------ queries

/// WITH … body ORDER BY … LIMIT …
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    pub with: Option<With>,
    pub body: SetExpr,
    pub order_by: Vec<OrderItem>,
    pub limit: Option<Limit>,
    /// FOR UPDATE, FOR SHARE, LOCK IN SHARE MODE: as many as there are.
    pub locking: Vec<Locking>,
    pub into: Option<Into>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct With {
    pub recursive: bool,
    pub ctes: Vec<Cte>,
}
#[derive(Clone, Debug, PartialEq)]
pub struct Cte {
    pub name: Ident,
    pub columns: Vec<Ident>,
    pub query: Box<Query>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum SetExpr {
    Select(Box<Select>),
    /// A parenthesised query with its own ORDER BY and LIMIT.
    Query(Box<Query>),
    Values(Vec<Vec<Expr>>),
    Table(ObjectName),
    SetOp {
        op: SetOp,
        all: bool,
        left: Box<SetExpr>,
        right: Box<SetExpr>,
    },
}
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetOp {
    Union,
    Intersect,
    Except,
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct Select {
    pub distinct: bool,
    pub straight_join: bool,
    pub calc_found_rows: bool,
    pub items: Vec<SelectItem>,
    /// Comma-separated; each may hold joins. Empty for a SELECT without FROM (or FROM DUAL).
    pub from: Vec<TableRef>,
    pub filter: Option<Expr>,
    pub group_by: Vec<OrderItem>,
    pub rollup: bool,
    pub having: Option<Expr>,
    pub windows: Vec<(Ident, WindowSpec)>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum SelectItem {
    Wildcard,
    QualifiedWildcard(ObjectName),
    /// `span` covers the expression: its text is the column's name where there is no alias.
    Expr {
        expr: Expr,
        alias: Option<Ident>,
        span: Span,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub enum TableRef {
    Table { name: ObjectName, alias: Option<Ident>, hints: Vec<IndexHint> },
    Derived { query: Box<Query>, alias: Option<Ident>, columns: Vec<Ident>, lateral: bool },
    Join { kind: JoinKind, natural: bool, left: Box<TableRef>, right: Box<TableRef>, on: JoinOn },
    JsonTable { doc: Box<Expr>, path: String, columns: Vec<JsonTableColumn>, alias: Ident },
}
#[derive(Clone, Debug, PartialEq)]
pub enum JsonTableColumn {
    Ordinality(Ident),
    Path { name: Ident, data_type: DataType, path: String, exists: bool, on_empty: Option<JsonOn>, on_error: Option<JsonOn> },
    Nested { path: String, columns: Vec<JsonTableColumn> },
}
/// ON EMPTY and ON ERROR of JSON_TABLE and JSON_VALUE.
#[derive(Clone, Debug, PartialEq)]
pub enum JsonOn {
    Null,
    Error,
    Default(Box<Expr>),
}
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinKind {
    Inner,
    Cross,
    Straight,
    Left,
    Right,
    Full,
}
#[derive(Clone, Debug, PartialEq)]
pub enum JoinOn {
    None,
    On(Expr),
    Using(Vec<Ident>),
}
#[derive(Clone, Debug, PartialEq)]
pub struct IndexHint {
    pub kind: IndexHintKind,
    pub indexes: Vec<Ident>,
}
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexHintKind {
    Use,
    Force,
    Ignore,
}

#[derive(Clone, Debug, PartialEq)]
pub struct OrderItem {
    pub expr: Expr,
    pub descending: bool,
}
#[derive(Clone, Debug, PartialEq)]
pub struct Limit {
    pub count: Expr,
    pub offset: Option<Expr>,
}
#[derive(Clone, Debug, PartialEq)]
pub struct Locking {
    pub exclusive: bool,
    pub of: Vec<Ident>,
    pub wait: LockWait,
}
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockWait {
    Default,
    NoWait,
    SkipLocked,
}
#[derive(Clone, Debug, PartialEq)]
pub enum Into {
    Variables(Vec<Ident>),
    Outfile { path: String, charset: Option<String>, format: LoadFormat },
    Dumpfile(String),
}

// ------------------------------------------------------------------ expressions

#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    Literal(Literal),
    /// `?`, numbered from 0 in order of appearance.
    Param(u32),
    /// `[[database.]table.]column`
    Column {
        database: Option<Ident>,
        table: Option<Ident>,
        name: Ident,
        span: Span,
    },
    /// `@name`
    UserVariable(Ident),
    /// `@@[scope.]name`
    SystemVariable {
        scope: Option<VarScope>,
        name: Ident,
    },
    /// `@name := expr`
    Assign {
        variable: Ident,
        value: Box<Expr>,
    },
    Unary {
        op: UnaryOp,
        expr: Box<Expr>,
    },
    Binary {
        op: BinaryOp,
        left: Box<Expr>,
        right: Box<Expr>,
    },
    IsNull {
        expr: Box<Expr>,
        negated: bool,
    },
    /// IS [NOT] TRUE / FALSE / UNKNOWN (`value` None)
    IsTruth {
        expr: Box<Expr>,
        value: Option<bool>,
        negated: bool,
    },
    Between {
        expr: Box<Expr>,
        low: Box<Expr>,
        high: Box<Expr>,
        negated: bool,
    },
    InList {
        expr: Box<Expr>,
        list: Vec<Expr>,
        negated: bool,
    },
    InSubquery {
        expr: Box<Expr>,
        query: Box<Query>,
        negated: bool,
    },
    Exists {
        query: Box<Query>,
        negated: bool,
    },
    Subquery(Box<Query>),
    /// `left op ANY|ALL (query)`; SOME is ANY.
    Quantified {
        op: BinaryOp,
        all: bool,
        left: Box<Expr>,
        query: Box<Query>,
    },
    Like {
        expr: Box<Expr>,
        pattern: Box<Expr>,
        escape: Option<Box<Expr>>,
        negated: bool,
    },
    Regexp {
        expr: Box<Expr>,
        pattern: Box<Expr>,
        negated: bool,
    },
    Case {
        operand: Option<Box<Expr>>,
        branches: Vec<(Expr, Expr)>,
        otherwise: Option<Box<Expr>>,
    },
    /// Any call by name, in upper case and with the special syntaxes turned into plain arguments: `SUBSTRING(a FROM b FOR c)` = SUBSTRING(a,b,c) (also
    /// SUBSTR and MID), `POSITION(a IN b)` = LOCATE(a,b), `TRIM(BOTH x FROM y)` = TRIM_BOTH(y,x) (likewise TRIM_LEADING, TRIM_TRAILING), `a SOUNDS LIKE b` =
    /// SOUNDEX(a) = SOUNDEX(b), `a || b` under PIPES_AS_CONCAT = CONCAT(a,b), `WEIGHT_STRING(a AS CHAR(n))` = WEIGHT_STRING(a,'CHAR',n), `GET_FORMAT(DATE,a)` =
    /// GET_FORMAT('DATE',a). `a MOD b` and MOD(a,b) are [`BinaryOp::Mod`]. Synonyms have one name: NOW (CURRENT_TIMESTAMP, LOCALTIME, LOCALTIMESTAMP), CURDATE, CURTIME,
    /// USER (SESSION_USER, SYSTEM_USER), DATABASE (SCHEMA). A stored function's call is `database.NAME`-like: `name` is "database.name" as written.
    /// `span` covers the whole call.
    Function {
        name: String,
        args: Vec<Expr>,
        span: Span,
    },
    /// COUNT, SUM, … (by MySQL's grammar, and APPROX_COUNT_DISTINCT) and any function called with OVER. ANY_VALUE and GROUPING are plain functions.
    Aggregate(Box<AggregateCall>),
    Cast {
        expr: Box<Expr>,
        data_type: CastType,
    },
    /// CONVERT(x USING charset)
    ConvertUsing {
        expr: Box<Expr>,
        charset: String,
    },
    Collate {
        expr: Box<Expr>,
        collation: String,
    },
    /// `BINARY expr`
    Binary_(Box<Expr>),
    /// `expr + INTERVAL n unit`, DATE_ADD/DATE_SUB(expr, INTERVAL n unit) and ADDDATE/SUBDATE, these two also with days alone.
    DateArith {
        expr: Box<Expr>,
        amount: Box<Expr>,
        unit: IntervalUnit,
        subtract: bool,
    },
    /// TIMESTAMPADD / TIMESTAMPDIFF (unit, a, b)
    TimestampFunction {
        name: String,
        unit: IntervalUnit,
        args: Vec<Expr>,
    },
    Extract {
        unit: IntervalUnit,
        expr: Box<Expr>,
    },
    /// `(a, b, …)`, at least two
    Row(Vec<Expr>),
    /// VALUES(col) of INSERT … ON DUPLICATE KEY UPDATE
    InsertValues(Ident),
    /// DEFAULT or DEFAULT(col)
    Default(Option<Ident>),
    /// MATCH (cols) AGAINST (expr [mode])
    Match {
        columns: Vec<Expr>,
        against: Box<Expr>,
        mode: String,
    },
    /// `json->'$.a'` (`unquote` for `->>`)
    JsonExtract {
        column: Box<Expr>,
        path: String,
        unquote: bool,
    },
    MemberOf {
        value: Box<Expr>,
        array: Box<Expr>,
    },
    /// JSON_VALUE(doc, path [RETURNING type] [… ON EMPTY] [… ON ERROR])
    JsonValue {
        doc: Box<Expr>,
        path: String,
        returning: Option<CastType>,
        on_empty: Option<JsonOn>,
        on_error: Option<JsonOn>,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    Null,
    Bool(bool),
    /// Fits in u64.
    Integer(u64),
    /// Digits as written: an integer beyond u64 or a number with a point and no exponent.
    Decimal(String),
    /// With an exponent.
    Double(f64),
    /// Decoded; `charset` is the introducer (`_utf8mb4'x'`) without its underscore.
    String {
        value: String,
        charset: Option<String>,
    },
    /// A string literal whose bytes are not UTF-8 (with `_binary`, say).
    Bytes(Vec<u8>),
    /// N'…'
    National(String),
    /// 0x… / x'…'
    Hex(Vec<u8>),
    /// 0b… / b'…'
    Bit(Vec<u8>),
    Date(String),
    Time(String),
    Timestamp(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnaryOp {
    Minus,
    Plus,
    Not,
    /// `!`: NOT that binds tighter, and is deprecated.
    Bang,
    BitNot,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BinaryOp {
    Or,
    /// `||` where it is not CONCAT: OR, but deprecated.
    Pipes,
    Xor,
    And,
    /// `&&`: AND, but deprecated.
    Ampersands,
    Eq,
    NullSafeEq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    BitOr,
    BitAnd,
    ShiftLeft,
    ShiftRight,
    BitXor,
    Add,
    Subtract,
    Multiply,
    Divide,
    IntDivide,
    Mod,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IntervalUnit {
    Microsecond,
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Quarter,
    Year,
    SecondMicrosecond,
    MinuteMicrosecond,
    MinuteSecond,
    HourMicrosecond,
    HourSecond,
    HourMinute,
    DayMicrosecond,
    DaySecond,
    DayMinute,
    DayHour,
    YearMonth,
}

#[derive(Clone, Debug, PartialEq)]
pub struct AggregateCall {
    pub name: String,
    pub distinct: bool,
    /// COUNT(*)
    pub star: bool,
    pub args: Vec<Expr>,
    pub order_by: Vec<OrderItem>,
    pub separator: Option<String>,
    /// FROM LAST, IGNORE NULLS are refused by the parser; RESPECT NULLS is the default.
    pub over: Option<WindowRef>,
    pub span: Span,
}
#[derive(Clone, Debug, PartialEq)]
pub enum WindowRef {
    Name(Ident),
    Spec(WindowSpec),
}
#[derive(Clone, Debug, PartialEq, Default)]
pub struct WindowSpec {
    pub base: Option<Ident>,
    pub partition_by: Vec<Expr>,
    pub order_by: Vec<OrderItem>,
    pub frame: Option<Frame>,
}
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    pub rows: bool,
    pub start: FrameBound,
    pub end: FrameBound,
}
#[derive(Clone, Debug, PartialEq)]
/// A distance in time (`INTERVAL 1 DAY PRECEDING`) stands as [`Expr::DateArith`] upon NULL.
pub enum FrameBound {
    UnboundedPreceding,
    Preceding(Box<Expr>),
    CurrentRow,
    Following(Box<Expr>),
    UnboundedFollowing,
}

#[derive(Clone, Debug, PartialEq)]
pub enum CastType {
    Signed,
    Unsigned,
    Char { chars: Option<u32>, charset: Option<String> },
    Binary { bytes: Option<u32> },
    Decimal { precision: Option<u8>, scale: Option<u8> },
    Float { precision: Option<u8> },
    Double,
    Date,
    Time { fsp: u8 },
    DateTime { fsp: u8 },
    Year,
    Json,
}

// ------------------------------------------------------------------ data changes

#[derive(Clone, Debug, PartialEq)]
pub struct Insert {
    pub replace: bool,
    pub ignore: bool,
    pub table: ObjectName,
    /// Empty: all columns in order.
    pub columns: Vec<Ident>,
    pub source: InsertSource,
    /// `AS new(a, b)` row alias
    pub row_alias: Option<(Ident, Vec<Ident>)>,
    pub on_duplicate: Vec<(ObjectColumn, Expr)>,
}
#[derive(Clone, Debug, PartialEq)]
pub enum InsertSource {
    /// DEFAULT stands as [`Expr::Default`].
    Values(Vec<Vec<Expr>>),
    Query(Box<Query>),
}
/// `[[database.]table.]column` on the left of an assignment.
#[derive(Clone, Debug, PartialEq)]
pub struct ObjectColumn {
    pub database: Option<Ident>,
    pub table: Option<Ident>,
    pub name: Ident,
}
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    pub with: Option<With>,
    pub ignore: bool,
    pub tables: Vec<TableRef>,
    pub assignments: Vec<(ObjectColumn, Expr)>,
    pub filter: Option<Expr>,
    pub order_by: Vec<OrderItem>,
    pub limit: Option<Expr>,
}
#[derive(Clone, Debug, PartialEq)]
pub struct Delete {
    pub with: Option<With>,
    pub ignore: bool,
    /// Multi-table form: the tables (or aliases) deleted from. Empty for the single-table form, whose table stands in `from`.
    pub targets: Vec<ObjectName>,
    pub from: Vec<TableRef>,
    pub filter: Option<Expr>,
    pub order_by: Vec<OrderItem>,
    pub limit: Option<Expr>,
}
#[derive(Clone, Debug, PartialEq)]
pub struct LoadData {
    pub local: bool,
    pub path: String,
    pub duplicates: LoadDuplicates,
    pub table: ObjectName,
    pub charset: Option<String>,
    pub format: LoadFormat,
    pub ignore_lines: u64,
    pub targets: Vec<LoadTarget>,
    pub set: Vec<(ObjectColumn, Expr)>,
}
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadDuplicates {
    Error,
    Ignore,
    Replace,
}
#[derive(Clone, Debug, PartialEq)]
pub enum LoadTarget {
    Column(Ident),
    Variable(Ident),
}
/// FIELDS and LINES of LOAD DATA and SELECT … INTO OUTFILE.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadFormat {
    pub fields_terminated: Vec<u8>,
    pub fields_enclosed: Option<u8>,
    pub optionally_enclosed: bool,
    pub escaped: Option<u8>,
    pub lines_starting: Vec<u8>,
    pub lines_terminated: Vec<u8>,
}

// ------------------------------------------------------------------ definitions

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
    pub check: Option<CheckDef>,
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

// ------------------------------------------------------------------ session, users, SHOW

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VarScope {
    Session,
    Global,
    Persist,
    PersistOnly,
    /** SET TRANSACTION without a scope: the next transaction only */
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
