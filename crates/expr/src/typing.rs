//! Types of expressions: what an operator, a CASE, an IN gives, and which conversions it makes first.
//!
//! Owns:     nothing.
//! Promises: MySQL's result types (width, precision, scale, sign, nullability, collation), so that clients are told what MySQL would tell them.
//! Never:    evaluates, but to fold constants.

use crate::function::BindContext;
use crate::tree::{Expr, Operator};
use weald_types::memory::{Budget, NodeMemory};
use weald_types::sql_type::{BlobSize, IntWidth};
use weald_types::{Collation, Fault, SqlMode, SqlType, TypeKind, Value};

/// The type of an expression's value: ENUM and SET columns are text, TIMESTAMP is DATETIME.
pub fn value_type(e: &Expr) -> SqlType {
    let ty = e.ty();
    if matches!(e, Expr::ColumnRaw { .. }) {
        return SqlType::bigint_unsigned(ty.nullable);
    }
    match &ty.kind {
        TypeKind::Enum(m) => SqlType::varchar(m.iter().map(|s| s.chars().count()).max().unwrap_or(0) as u32, ty.nullable, ty.collation),
        TypeKind::Set(m) => {
            SqlType::varchar(m.iter().map(|s| s.chars().count() + 1).sum::<usize>().saturating_sub(1) as u32, ty.nullable, ty.collation)
        }
        TypeKind::Timestamp { fsp } => SqlType::new(TypeKind::DateTime { fsp: *fsp }, ty.nullable),
        _ => ty.clone(),
    }
}

fn any_nullable(args: &[Expr]) -> bool {
    args.iter().any(|a| a.ty().nullable)
}

pub fn is_null_type(ty: &SqlType) -> bool {
    matches!(ty.kind, TypeKind::Null)
}

/// What a type is in arithmetic.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Number {
    Int,
    Decimal,
    Double,
}

fn number(ty: &SqlType) -> Number {
    match &ty.kind {
        TypeKind::Int { .. } | TypeKind::Bit { .. } | TypeKind::Year | TypeKind::Null | TypeKind::Date => Number::Int,
        TypeKind::Time { fsp } | TypeKind::DateTime { fsp } | TypeKind::Timestamp { fsp } => {
            if *fsp == 0 {
                Number::Int
            } else {
                Number::Decimal
            }
        }
        TypeKind::Decimal { .. } => Number::Decimal,
        _ => Number::Double,
    }
}

/// Digits before and after the point, for exact arithmetic.
fn digits(ty: &SqlType) -> (u32, u32) {
    match &ty.kind {
        TypeKind::Decimal { precision, scale, .. } => ((*precision - *scale) as u32, *scale as u32),
        TypeKind::Int { width, .. } => (
            match width {
                IntWidth::Tiny => 3,
                IntWidth::Small => 5,
                IntWidth::Medium => 8,
                IntWidth::Int => 10,
                IntWidth::Big => 20,
            },
            0,
        ),
        TypeKind::Year => (4, 0),
        TypeKind::Date => (8, 0),
        TypeKind::Time { fsp } => (7, *fsp as u32),
        TypeKind::DateTime { fsp } | TypeKind::Timestamp { fsp } => (14, *fsp as u32),
        _ => (20, 0),
    }
}

/// A literal's digits are its own, not its type's.
fn digits_of(e: &Expr) -> (u32, u32) {
    match e {
        Expr::Literal { value: Value::Int(n), .. } => (n.unsigned_abs().checked_ilog10().unwrap_or(0) + 1, 0),
        Expr::Literal { value: Value::UInt(n), .. } => (n.checked_ilog10().unwrap_or(0) + 1, 0),
        e => digits(e.ty()),
    }
}

pub fn decimal_type(integer: u32, scale: u32, nullable: bool) -> SqlType {
    let scale = scale.min(30);
    let precision = (integer + scale).clamp(1, 65).max(scale);
    SqlType::new(TypeKind::Decimal { precision: precision as u8, scale: scale as u8, unsigned: false }, nullable)
}

/// An operand where a number is wanted: ENUM and SET columns by their stored number, `0x41` and `b'1'` (literals of type VARBINARY) by their value.
pub fn as_number(e: Expr) -> Expr {
    match e {
        Expr::Column { id, ty } if matches!(ty.kind, TypeKind::Enum(_) | TypeKind::Set(_)) => {
            Expr::ColumnRaw { id, ty: SqlType::bigint_unsigned(ty.nullable) }
        }
        Expr::Literal { value: Value::Bytes(b), ty: SqlType { kind: TypeKind::VarBinary { .. }, .. } } => {
            let n = b[b.len().saturating_sub(8)..].iter().fold(0, |n, byte| n << 8 | u64::from(*byte));
            Expr::Literal { value: Value::UInt(n), ty: SqlType::bigint_unsigned(false) }
        }
        e => e,
    }
}

fn as_numbers(args: &mut [Expr]) {
    for a in args {
        // A place holder that costs nothing, until the number takes its place.
        let own = std::mem::replace(a, Expr::Row(Vec::new()));
        *a = as_number(own);
    }
}

/// A bound operator.
pub fn operator(op: Operator, mut args: Vec<Expr>, ctx: &BindContext) -> Result<Expr, Fault> {
    use Operator::*;
    let nullable = any_nullable(&args);
    let of_numbers = match op {
        And | Or | Xor | Not | IsTrue | IsFalse | Negate | Add | Subtract | Multiply | Divide | IntDivide | Mod => true,
        BitAnd | BitOr | BitXor | ShiftLeft | ShiftRight | BitNot => !binary_bits(&args),
        Eq | NullSafeEq | Ne | Lt | Le | Gt | Ge | IsNull | Like | Regexp | Between => false,
    };
    if of_numbers {
        as_numbers(&mut args);
    }
    let (ty, collation) = match op {
        And | Or | Xor | Not => (truth_type(nullable), Collation::BINARY),
        IsNull | IsTrue | IsFalse => (truth_type(false), Collation::BINARY),
        Eq | Ne | Lt | Le | Gt | Ge | NullSafeEq | Between | Like => {
            let collation = if matches!(op, Like) { text_collation(&args[..2], op_word(op))? } else { align(&mut args, op_word(op), ctx)? };
            (truth_type(nullable && op != NullSafeEq), collation)
        }
        Regexp => (truth_type(nullable), crate::function::bind_pattern("regexp_like", &args, ctx)?),
        BitAnd | BitOr | BitXor | ShiftLeft | ShiftRight | BitNot => {
            if binary_bits(&args) && !matches!(op, ShiftLeft | ShiftRight) {
                (args[0].ty().clone().with_nullable(nullable), Collation::BINARY)
            } else {
                (SqlType::bigint_unsigned(nullable), Collation::BINARY)
            }
        }
        Negate => {
            let ty = match number(args[0].ty()) {
                Number::Int => SqlType::bigint(nullable),
                Number::Decimal => {
                    let (i, s) = digits(args[0].ty());
                    decimal_type(i, s, nullable)
                }
                Number::Double => SqlType::new(TypeKind::real(real_decimals(args[0].ty())), nullable),
            };
            (ty, Collation::BINARY)
        }
        Add | Subtract | Multiply | Divide | IntDivide | Mod => (arithmetic_type(op, &args, ctx), Collation::BINARY),
    };
    Ok(Expr::Operator { op, args, ty, collation })
}

/// Bit operators work on binary strings where all operands are some, and not all of them are literals.
fn binary_bits(args: &[Expr]) -> bool {
    args.iter().all(|a| a.ty().kind.is_binary()) && !args.iter().all(|a| matches!(a, Expr::Literal { .. }))
}

/// BIGINT(1)
pub fn truth_type(nullable: bool) -> SqlType {
    SqlType::new(TypeKind::truth(), nullable)
}

fn op_word(op: Operator) -> &'static str {
    match op {
        Operator::Between => "BETWEEN",
        Operator::Like => "like",
        op => crate::print::symbol(op),
    }
}

fn arithmetic_type(op: Operator, args: &[Expr], ctx: &BindContext) -> SqlType {
    use Operator::*;
    let (a, b) = (&args[0], &args[1]);
    // Division, and MOD by what may be zero, may be NULL.
    let nullable = any_nullable(args) || matches!(op, Divide | IntDivide | Mod);
    let (x, y) = (number(a.ty()), number(b.ty()));
    let unsigned = |e: &Expr| e.ty().kind.is_unsigned() && !matches!(e.ty().kind, TypeKind::Year);
    if op == IntDivide {
        return if unsigned(a) || unsigned(b) { SqlType::bigint_unsigned(nullable) } else { SqlType::bigint(nullable) };
    }
    let kind = x.max(y);
    if kind == Number::Double {
        let scale = match (real_decimals(a.ty()), real_decimals(b.ty())) {
            (Some(x), Some(y)) => Some(x.max(y).saturating_add(if op == Divide { ctx.div_precision_increment } else { 0 })).filter(|s| *s < 31),
            _ => None,
        };
        return SqlType::new(TypeKind::real(scale), nullable);
    }
    if op == Divide {
        let ((i1, s1), (i2, s2)) = (digits_of(a), digits_of(b));
        let scale = s1 + ctx.div_precision_increment as u32;
        let _ = i2;
        return decimal_type(i1 + s2, scale, nullable);
    }
    if kind == Number::Int {
        let either = match op {
            Subtract if ctx.sql_mode.has(SqlMode::NO_UNSIGNED_SUBTRACTION) => false,
            Mod => unsigned(a),
            _ => unsigned(a) || unsigned(b),
        };
        return if either { SqlType::bigint_unsigned(nullable) } else { SqlType::bigint(nullable) };
    }
    let ((i1, s1), (i2, s2)) = (digits_of(a), digits_of(b));
    match op {
        Multiply => decimal_type(i1 + i2, s1 + s2, nullable),
        Mod => decimal_type(i1.max(i2), s1.max(s2), nullable),
        _ => decimal_type(i1.max(i2) + 1, s1.max(s2), nullable),
    }
}

/// Decimals of a number in approximate arithmetic: those of a DOUBLE of no declared scale, and of a text, are as many as there are.
pub fn real_decimals(ty: &SqlType) -> Option<u8> {
    match ty.kind {
        TypeKind::Int { .. } | TypeKind::Bit { .. } | TypeKind::Year | TypeKind::Date | TypeKind::Null => Some(0),
        TypeKind::Decimal { scale, .. } => Some(scale),
        TypeKind::Float { scale, .. } | TypeKind::Double { scale, .. } => scale,
        _ => ty.kind.fsp(),
    }
}

/// How strongly an expression holds on to its collation: lower is stronger.
pub fn coercibility(e: &Expr) -> u8 {
    match e {
        Expr::Call { function, .. } if function.name == "COLLATE" => 0,
        Expr::Column { .. } | Expr::ColumnRaw { .. } | Expr::Subquery { .. } => 2,
        Expr::UserVariable { .. } => 2,
        Expr::Call { function, args, .. }
            if args.is_empty() && matches!(function.name, "USER" | "CURRENT_USER" | "DATABASE" | "VERSION" | "SCHEMA") =>
        {
            3
        }
        Expr::Literal { ty, .. } | Expr::Param { ty, .. } => {
            if is_null_type(ty) {
                6
            } else if ty.kind.is_text() || ty.kind.is_binary() {
                4
            } else {
                5
            }
        }
        Expr::Cast { expr, ty } => {
            if ty.kind.is_text() && expr.ty().kind.is_text() {
                coercibility(expr).max(2)
            } else {
                2
            }
        }
        Expr::Call { args, .. } | Expr::Operator { args, .. } => args.iter().filter(|a| a.ty().kind.is_text()).map(coercibility).min().unwrap_or(4),
        Expr::Case { branches, otherwise, .. } => {
            branches.iter().map(|b| &b.1).chain(otherwise.as_deref()).filter(|a| a.ty().kind.is_text()).map(coercibility).min().unwrap_or(4)
        }
        _ => 4,
    }
}

/// The collation under which texts meet; 1267 where two hold on equally strongly to different ones.
pub fn text_collation(args: &[Expr], operation: &str) -> Result<Collation, Fault> {
    let mut best: Option<(u8, Collation)> = None;
    let mut clash: Option<(u8, Collation)> = None;
    for a in args {
        let ty = a.ty();
        if is_null_type(ty) {
            continue;
        }
        let (own, strength) = if ty.kind.is_text() {
            (ty.collation, coercibility(a))
        } else if ty.kind.is_binary() {
            (Collation::BINARY, coercibility(a))
        } else if matches!(ty.kind, TypeKind::Json) {
            (Collation::UTF8MB4_BIN, 2)
        } else {
            continue;
        };
        best = Some(match best {
            None => (strength, own),
            Some((s, c)) if c == own => (s.min(strength), c),
            // Two that were asked for by COLLATE.
            Some((0, c)) if strength == 0 => {
                clash = Some((0, own));
                (0, c)
            }
            // Binary wins over text of the same strength.
            Some((s, c)) if s == strength && (c == Collation::BINARY || own == Collation::BINARY) => (s, Collation::BINARY),
            Some((s, _)) if strength < s => (strength, own),
            Some((s, c)) if s < strength => (s, c),
            // _bin of the same character set gives way to nothing; of two others neither wins.
            Some((s, c)) if c.charset() == own.charset() && own.is_binary_order() => (s, own),
            Some((s, c)) if c.charset() == own.charset() && c.is_binary_order() => (s, c),
            Some((s, c)) if s >= 4 => (s, c),
            Some((s, c)) if is_wider(c, own) => (s, c),
            Some((s, c)) if is_wider(own, c) => (s, own),
            Some((s, c)) => {
                clash = Some((strength, own));
                (s, c)
            }
        });
    }
    let (strength, collation) = best.unwrap_or((5, Collation::UTF8MB4_GENERAL_CI));
    match clash {
        // A clash among weaker ones is settled by a stronger one.
        Some((s, other)) if s <= strength => {
            let word = |s: u8| match s {
                0 => "EXPLICIT",
                2 => "IMPLICIT",
                3 => "SYSCONST",
                4 => "COERCIBLE",
                _ => "NUMERIC",
            };
            let message = format!(
                "Illegal mix of collations ({},{}) and ({},{}) for operation '{operation}'",
                collation.name(),
                word(strength),
                other.name(),
                word(s)
            );
            Err(Fault::mysql(1267, "HY000", message))
        }
        _ => Ok(collation),
    }
}

/// utf8mb4 takes in texts of every other character set.
fn is_wider(a: Collation, b: Collation) -> bool {
    a.charset() == "utf8mb4" && b.charset() != "utf8mb4"
}

/// Brings the operands of a comparison to where they can meet, and gives the collation.
fn align(args: &mut [Expr], operation: &str, ctx: &BindContext) -> Result<Collation, Fault> {
    if args.iter().any(|a| matches!(a, Expr::Row(_))) {
        return Ok(Collation::BINARY);
    }
    let temporal = args.iter().find(|a| a.ty().kind.is_temporal()).map(|a| a.ty().kind.clone());
    if let Some(kind) = temporal {
        // A text or number beside a temporal value is read as one, once, where it is constant; a constant text that is no date is an error.
        let to = match kind {
            TypeKind::Time { .. } => TypeKind::Time { fsp: 6 },
            _ => TypeKind::DateTime { fsp: 6 },
        };
        for a in args.iter_mut() {
            let text = a.ty().kind.is_text() || a.ty().kind.is_binary();
            let constant_number = matches!(a, Expr::Literal { .. }) && matches!(a.ty().kind, TypeKind::Int { .. } | TypeKind::Decimal { .. });
            if (text || constant_number) && !is_null_type(a.ty()) && !matches!(to, TypeKind::Time { .. } if constant_number) {
                let inner = a.clone();
                let ty = SqlType::new(to.clone(), true);
                *a = if text && matches!(a, Expr::Literal { .. } | Expr::Param { .. }) && !matches!(to, TypeKind::Time { .. }) {
                    let function = if matches!(kind, TypeKind::Date) { &crate::function::CONSTANT_DATE } else { &crate::function::CONSTANT_DATETIME };
                    fold(Expr::Call { function, args: vec![inner], ty, collation: Collation::BINARY }, ctx)
                } else {
                    fold(cast(inner, ty), ctx)
                };
            }
        }
        return Ok(Collation::BINARY);
    }
    if args.iter().any(|a| is_number(a.ty())) {
        as_numbers(args);
    }
    if args.iter().any(|a| matches!(a, Expr::Column { .. }) && a.ty().kind == TypeKind::Year) {
        for a in args.iter_mut().filter(|a| matches!(a, Expr::Literal { .. } | Expr::Param { .. }) && !is_null_type(a.ty())) {
            let ty = SqlType::bigint(a.ty().nullable);
            let inner = std::mem::replace(a, Expr::Row(Vec::new()));
            *a = fold(Expr::Call { function: &crate::function::CONSTANT_YEAR, args: vec![inner], ty, collation: Collation::BINARY }, ctx);
        }
    }
    let texts = args.iter().filter(|a| a.ty().kind.is_text() || a.ty().kind.is_binary()).count();
    if texts == 0 {
        return Ok(Collation::BINARY);
    }
    let numbers = args.iter().filter(|a| is_number(a.ty())).count();
    if numbers > 0 && texts + numbers == args.len() {
        // An integer column is compared with a constant as an integer, however many digits it has; all else as doubles.
        let whole = args.iter().any(|a| matches!(a, Expr::Column { .. }) && matches!(a.ty().kind, TypeKind::Int { .. }));
        for a in args.iter_mut().filter(|a| a.ty().kind.is_text()) {
            constant_number(a, whole);
        }
        return text_collation(args, operation).or(Ok(Collation::UTF8MB4_GENERAL_CI));
    }
    text_collation(args, operation)
}

/// A constant text beside a number is read as one once: now, or (what is no clean number, or not yet known) when the statement runs, with one warning.
fn constant_number(e: &mut Expr, whole: bool) {
    match e {
        Expr::Literal { value: Value::Str(s), .. } => {
            if let (true, Ok(n)) = (whole, s.parse::<i64>()) {
                *e = Expr::Literal { value: Value::Int(n), ty: SqlType::bigint(false) };
                return;
            }
            let (d, bad) = crate::coerce::double_prefix(s);
            if !bad && !whole {
                *e = Expr::Literal { value: Value::Double(d), ty: SqlType::double(false) };
                return;
            }
        }
        Expr::Param { .. } => (),
        _ => return,
    }
    let function = if whole { &crate::function::CONSTANT_INTEGER } else { &crate::function::CONSTANT_DOUBLE };
    let nullable = e.ty().nullable;
    let inner = std::mem::replace(e, Expr::Row(Vec::new()));
    *e = Expr::Call { function, args: vec![inner], ty: SqlType::double(nullable), collation: Collation::BINARY };
}

pub fn is_number(ty: &SqlType) -> bool {
    matches!(
        ty.kind,
        TypeKind::Int { .. } | TypeKind::Decimal { .. } | TypeKind::Float { .. } | TypeKind::Double { .. } | TypeKind::Bit { .. } | TypeKind::Year
    )
}

/// `expr` as `ty`; nothing where it has the type's form already.
pub fn cast(expr: Expr, ty: SqlType) -> Expr {
    let expr = if is_number(&ty) { as_number(expr) } else { expr };
    if expr.ty().kind == ty.kind && expr.ty().collation == ty.collation && !matches!(expr, Expr::Column { .. } | Expr::ColumnRaw { .. }) {
        return expr;
    }
    if expr.ty().kind == ty.kind
        && expr.ty().collation == ty.collation
        && !matches!(ty.kind, TypeKind::Enum(_) | TypeKind::Set(_) | TypeKind::Timestamp { .. })
    {
        return expr;
    }
    Expr::Cast { expr: Box::new(expr), ty }
}

/// `expr COLLATE c`
pub fn collate(expr: Expr, c: Collation, ctx: &BindContext) -> Result<Expr, Fault> {
    let own = value_type(&expr);
    if own.kind.is_text()
        && own.collation.charset() != c.charset()
        && c.charset() != "binary"
        && own.collation.charset() != "utf8mb4"
        && c.charset() != "utf8mb4"
    {
        return Err(Fault::mysql(1253, "42000", format!("COLLATION '{}' is not valid for CHARACTER SET '{}'", c.name(), own.collation.charset())));
    }
    if own.kind.is_binary() && c != Collation::BINARY {
        return Err(Fault::mysql(1253, "42000", format!("COLLATION '{}' is not valid for CHARACTER SET 'binary'", c.name())));
    }
    let kind = if own.kind.is_text() { own.kind } else { TypeKind::VarChar { chars: own.display_length().min(16383) } };
    let ty = SqlType::string(kind, own.nullable, c);
    let _ = ctx;
    Ok(Expr::Call { function: &crate::function::COLLATE, args: vec![expr], ty, collation: c })
}

/// One type that holds values of all: for CASE, COALESCE, UNION, VALUES.
pub fn unify(types: &[SqlType], collation: Collation) -> SqlType {
    let nullable = types.iter().any(|t| t.nullable || is_null_type(t));
    let known: Vec<&SqlType> = types.iter().filter(|t| !is_null_type(t)).collect();
    let Some(first) = known.first() else { return SqlType::null() };
    if known.iter().all(|t| t.kind == first.kind && t.collation == first.collation) {
        return (*first).clone().with_nullable(nullable).as_number();
    }
    let all = |f: &dyn Fn(&SqlType) -> bool| known.iter().all(|t| f(t));
    if all(&|t| matches!(t.kind, TypeKind::Int { .. } | TypeKind::Year | TypeKind::Bit { .. })) {
        let unsigned = all(&|t| t.kind.is_unsigned());
        let mixed = known.iter().any(|t| t.kind.is_unsigned()) && !unsigned;
        let big_unsigned =
            known.iter().any(|t| t.kind.is_unsigned() && matches!(t.kind, TypeKind::Int { width: IntWidth::Big, .. } | TypeKind::Bit { .. }));
        if mixed && big_unsigned {
            return decimal_type(20, 0, nullable);
        }
        let width = known
            .iter()
            .map(|t| match t.kind {
                TypeKind::Int { width, .. } => width,
                TypeKind::Bit { .. } => IntWidth::Big,
                _ => IntWidth::Int,
            })
            .max()
            .unwrap_or(IntWidth::Big);
        let width = if mixed { IntWidth::Big } else { width };
        return SqlType::new(TypeKind::Int { width, unsigned, zerofill: None }, nullable);
    }
    if all(&|t| matches!(number(t), Number::Int | Number::Decimal) && is_number(t)) {
        let (i, s) = known.iter().map(|t| digits(t)).fold((0, 0), |a, b| (a.0.max(b.0), a.1.max(b.1)));
        return decimal_type(i, s, nullable);
    }
    if all(&is_number) {
        return SqlType::double(nullable);
    }
    if all(&|t| matches!(t.kind, TypeKind::Date | TypeKind::DateTime { .. } | TypeKind::Timestamp { .. })) {
        let fsp = known.iter().filter_map(|t| t.kind.fsp()).max().unwrap_or(0);
        return SqlType::new(TypeKind::DateTime { fsp }, nullable);
    }
    if all(&|t| matches!(t.kind, TypeKind::Time { .. })) {
        return SqlType::new(TypeKind::Time { fsp: known.iter().filter_map(|t| t.kind.fsp()).max().unwrap_or(0) }, nullable);
    }
    if all(&|t| t.kind.is_temporal()) {
        return SqlType::new(TypeKind::DateTime { fsp: 6 }, nullable);
    }
    if all(&|t| matches!(t.kind, TypeKind::Json)) {
        return (*first).clone().with_nullable(nullable);
    }
    let long = known.iter().map(|t| length(t)).try_fold(0u32, |a, b| b.map(|b| a.max(b)));
    if known.iter().any(|t| t.kind.is_binary()) {
        return match long {
            Some(n) if n <= 65535 => SqlType::new(TypeKind::VarBinary { bytes: n }, nullable),
            _ => SqlType::new(TypeKind::Blob(BlobSize::Long), nullable),
        };
    }
    match long {
        Some(n) if n <= 16383 => SqlType::varchar(n, nullable, collation),
        _ => SqlType::string(TypeKind::Text(BlobSize::Long), nullable, collation),
    }
}

/// Characters a value may take as text; `None`: no bound worth naming.
pub fn length(t: &SqlType) -> Option<u32> {
    match &t.kind {
        TypeKind::Char { chars } | TypeKind::VarChar { chars } => Some(*chars),
        TypeKind::Binary { bytes } | TypeKind::VarBinary { bytes } => Some(*bytes),
        TypeKind::Text(_) | TypeKind::Blob(_) | TypeKind::Json => None,
        TypeKind::Enum(m) | TypeKind::Set(m) => Some(m.iter().map(|s| s.chars().count() as u32 + 1).sum()),
        _ => Some(t.display_length()),
    }
}

/// The type and collation of several expressions that stand for one value.
pub fn unify_exprs(exprs: &[Expr], operation: &str) -> Result<SqlType, Fault> {
    let types: Vec<SqlType> = exprs.iter().map(value_type).collect();
    let collation = if types.iter().any(|t| t.kind.is_text()) { text_collation(exprs, operation)? } else { Collation::UTF8MB4_GENERAL_CI };
    Ok(unify(&types, collation))
}

pub fn case(operand: Option<Expr>, branches: Vec<(Expr, Expr)>, otherwise: Option<Expr>, ctx: &BindContext) -> Result<Expr, Fault> {
    let mut results: Vec<Expr> = branches.iter().map(|b| b.1.clone()).collect();
    results.extend(otherwise.clone());
    let mut ty = unify_exprs(&results, "case")?;
    if otherwise.is_none() {
        ty.nullable = true;
    }
    // CASE x WHEN y: as x = y, so that both are brought to one kind.
    let (operand, branches) = match operand {
        None => (None, branches.into_iter().map(|(w, t)| (as_number(w), t)).collect()),
        Some(o) => {
            let branches =
                branches.into_iter().map(|(w, t)| Ok((operator(Operator::Eq, vec![o.clone(), w], ctx)?, t))).collect::<Result<Vec<_>, Fault>>()?;
            (None, branches)
        }
    };
    Ok(Expr::Case { operand, branches, otherwise: otherwise.map(Box::new), ty })
}

/// Lists of more kinds than one up to this long are taken apart.
const MOST_SEPARATE: usize = 64;

pub fn in_list(value: Expr, list: Vec<Expr>, negated: bool, ctx: &BindContext) -> Result<Expr, Fault> {
    // Each item is compared as itself would be: a text with texts as texts, with numbers as numbers.
    let mixed = value.ty().kind.is_text() && list.iter().any(|i| is_number(i.ty())) && list.iter().any(|i| i.ty().kind.is_text());
    if mixed && list.len() <= MOST_SEPARATE {
        let mut any: Option<Expr> = None;
        for item in list {
            let equal = operator(Operator::Eq, vec![value.clone(), item], ctx)?;
            any = Some(match any {
                None => equal,
                Some(e) => operator(Operator::Or, vec![e, equal], ctx)?,
            });
        }
        let any = any.ok_or(Fault::OperandColumns { columns: 1 })?;
        return if negated { operator(Operator::Not, vec![any], ctx) } else { Ok(any) };
    }
    let mut all = Vec::with_capacity(list.len() + 1);
    all.push(value);
    all.extend(list);
    let collation = align(&mut all, if negated { "not in" } else { "in" }, ctx)?;
    // What may warn goes first, since a hit ends the search: MySQL reads the whole list once.
    let late = |e: &Expr| matches!(e, Expr::Call { function, .. } if function.name.starts_with("CONSTANT_"));
    all[1..].sort_by_key(|e| !late(e));
    let mut items = all.into_iter();
    let expr = items.next().map(Box::new).ok_or(Fault::OperandColumns { columns: 1 })?;
    Ok(Expr::In { expr, list: items.collect(), negated, collation })
}

/// A plan keeps the constants that it was made with.
const MOST_FOLDED_BYTES: u64 = 1 << 20;

/// Evaluates what is constant. What fails, or warns, is left for the execution to fail or warn of.
pub fn fold(e: Expr, ctx: &BindContext) -> Expr {
    if matches!(e, Expr::Literal { .. } | Expr::Row(_)) || !crate::walk::is_constant(&e) {
        return e;
    }
    let mut statement = crate::context::StatementContext::for_folding(ctx);
    // Whatever is large is made by who executes it, within that statement's memory.
    statement.memory = Budget::new(NodeMemory::unlimited(), MOST_FOLDED_BYTES);
    let c = crate::EvalContext { statement: &statement, params: &[], subqueries: &[] };
    // With all the decimals it has where it stands.
    match crate::eval_part(&e, &crate::context::NoRow, &c) {
        Ok(value) if statement.warnings.lock().total == 0 => {
            let ty = value_type(&e);
            let nullable = value.is_null();
            Expr::Literal { value, ty: ty.with_nullable(nullable) }
        }
        _ => e,
    }
}
