//! The bound expression tree.
//!
//! Owns:     its operands.
//! Promises: every node knows its type; conversions that MySQL makes silently are explicit [`Expr::Cast`] or inside a function's own rules.
//! Never:    holds a name to be resolved.

use crate::function::FunctionDef;
use crate::sorted_list::SortedList;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use weald_types::{Collation, ColumnId, SqlType, Value};

/// A bound scalar expression. `ty` is what the client is told and what the next operator relies on.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    Literal {
        value: Value,
        ty: SqlType,
    },
    /// A literal taken out of the text, or a `?`: bound at execution. `ty` was that of the first binding; the plan is keyed by it.
    Param {
        index: u32,
        ty: SqlType,
    },
    /// A column of the input. A TIMESTAMP is turned into session time, ENUM and SET into their text, when evaluated.
    Column {
        id: ColumnId,
        ty: SqlType,
    },
    /// The stored number of an ENUM or SET column: for numeric contexts and ORDER BY.
    ColumnRaw {
        id: ColumnId,
        ty: SqlType,
    },
    UserVariable {
        name: Arc<str>,
        ty: SqlType,
    },
    AssignUserVariable {
        name: Arc<str>,
        value: Box<Expr>,
        ty: SqlType,
    },
    /// `collation` is the one operands are compared under (comparisons, LIKE …); [`Collation::BINARY`] where it does not matter.
    Operator {
        op: Operator,
        args: Vec<Expr>,
        ty: SqlType,
        collation: Collation,
    },
    /// A function called by name; `collation` as above.
    Call {
        function: &'static FunctionDef,
        args: Vec<Expr>,
        ty: SqlType,
        collation: Collation,
    },
    Case {
        operand: Option<Box<Expr>>,
        branches: Vec<(Expr, Expr)>,
        otherwise: Option<Box<Expr>>,
        ty: SqlType,
    },
    /// Conversion to `ty` by CAST's rules (never fails; warns).
    Cast {
        expr: Box<Expr>,
        ty: SqlType,
    },
    /// `[NOT] IN (…)`, all operands brought to one comparison type by the binder.
    In {
        expr: Box<Expr>,
        list: Vec<Expr>,
        negated: bool,
        collation: Collation,
    },
    /// The same with a long list of constants, as [`crate::sorted_list::prepare`] makes it for one execution: no plan holds one.
    InSorted {
        expr: Box<Expr>,
        list: Arc<SortedList>,
        negated: bool,
    },
    /// A subquery; `plan` numbers them, the executor answers through [`crate::EvalContext`]. `outer` are the columns of the enclosing query it reads.
    Subquery {
        index: u32,
        kind: SubqueryKind,
        operands: Vec<Expr>,
        outer: Vec<ColumnId>,
        ty: SqlType,
    },
    Row(Vec<Expr>),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum SubqueryKind {
    Scalar,
    Exists {
        negated: bool,
    },
    /// `operands [NOT] IN (subquery)`
    In {
        negated: bool,
        collation: Collation,
    },
    /// `operand <op> ANY|ALL (subquery)`
    Quantified {
        op: Operator,
        all: bool,
        collation: Collation,
    },
}

impl Expr {
    pub fn ty(&self) -> &SqlType {
        match self {
            Expr::Literal { ty, .. }
            | Expr::Param { ty, .. }
            | Expr::Column { ty, .. }
            | Expr::ColumnRaw { ty, .. }
            | Expr::UserVariable { ty, .. }
            | Expr::AssignUserVariable { ty, .. }
            | Expr::Operator { ty, .. }
            | Expr::Call { ty, .. }
            | Expr::Case { ty, .. }
            | Expr::Cast { ty, .. }
            | Expr::Subquery { ty, .. } => ty,
            Expr::In { .. } | Expr::InSorted { .. } => &BOOLEAN,
            Expr::Row(items) => items[0].ty(),
        }
    }
}

/// The type of a truth value: BIGINT(1), nullable.
pub static BOOLEAN: std::sync::LazyLock<SqlType> = std::sync::LazyLock::new(|| crate::typing::truth_type(true));

/// Operators: a closed list that every executor matches on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Operator {
    Not,
    Negate,
    BitNot,
    Or,
    Xor,
    And,
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
    IsNull,
    IsTrue,
    IsFalse,
    /// (value, pattern[, escape])
    Like,
    /// (value, pattern)
    Regexp,
    /// (value, low, high)
    Between,
}

impl Operator {
    /// Whether it may have so many operands.
    pub(crate) fn takes(self, operands: u32) -> bool {
        match self {
            Operator::Not | Operator::Negate | Operator::BitNot | Operator::IsNull | Operator::IsTrue | Operator::IsFalse => operands == 1,
            Operator::Like => operands == 2 || operands == 3,
            Operator::Between => operands == 3,
            Operator::Or
            | Operator::Xor
            | Operator::And
            | Operator::Eq
            | Operator::NullSafeEq
            | Operator::Ne
            | Operator::Lt
            | Operator::Le
            | Operator::Gt
            | Operator::Ge
            | Operator::BitOr
            | Operator::BitAnd
            | Operator::ShiftLeft
            | Operator::ShiftRight
            | Operator::BitXor
            | Operator::Add
            | Operator::Subtract
            | Operator::Multiply
            | Operator::Divide
            | Operator::IntDivide
            | Operator::Mod
            | Operator::Regexp => operands == 2,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum AggregateFunction {
    Count,
    CountDistinct,
    Sum,
    Avg,
    Min,
    Max,
    BitAnd,
    BitOr,
    BitXor,
    GroupConcat,
    StddevPop,
    StddevSamp,
    VarPop,
    VarSamp,
    JsonArrayAgg,
    JsonObjectAgg,
    AnyValue,
}
