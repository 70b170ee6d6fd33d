//! Expressions as written.
//!
//! Owns:     its text.
//! Promises: special syntaxes are plain calls where nothing is lost by it; [`Expr::Function`] says which.
//! Never:    resolves a name or a type.

use super::*;

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
