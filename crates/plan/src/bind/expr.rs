//! Scalar expressions.
//!
//! Owns:     nothing.
//! Promises: what comes out is typed; a row, or a subquery of several columns, where one value belongs is error 1241.
//! Never:    knows what an operator or function does: types and coercions come from `weald_expr`.

use super::literal::unit_name;
use super::subquery::operand_columns;
use super::{Binder, MAX_EXPR_DEPTH};
use crate::walk;
use std::sync::Arc;
use weald_expr::function::JsonOtherwise;
use weald_expr::{Expr, Operator};
use weald_sql::ast;
use weald_sql::ast::{BinaryOp, CastType, UnaryOp};
use weald_types::{Charset, Collation, Fault, SqlMode, SqlType, TypeKind, Value, sql_type::BlobSize};

pub fn operator_of(op: BinaryOp) -> Operator {
    match op {
        BinaryOp::Or | BinaryOp::Pipes => Operator::Or,
        BinaryOp::Xor => Operator::Xor,
        BinaryOp::And | BinaryOp::Ampersands => Operator::And,
        BinaryOp::Eq => Operator::Eq,
        BinaryOp::NullSafeEq => Operator::NullSafeEq,
        BinaryOp::Ne => Operator::Ne,
        BinaryOp::Lt => Operator::Lt,
        BinaryOp::Le => Operator::Le,
        BinaryOp::Gt => Operator::Gt,
        BinaryOp::Ge => Operator::Ge,
        BinaryOp::BitOr => Operator::BitOr,
        BinaryOp::BitAnd => Operator::BitAnd,
        BinaryOp::ShiftLeft => Operator::ShiftLeft,
        BinaryOp::ShiftRight => Operator::ShiftRight,
        BinaryOp::BitXor => Operator::BitXor,
        BinaryOp::Add => Operator::Add,
        BinaryOp::Subtract => Operator::Subtract,
        BinaryOp::Multiply => Operator::Multiply,
        BinaryOp::Divide => Operator::Divide,
        BinaryOp::IntDivide => Operator::IntDivide,
        BinaryOp::Mod => Operator::Mod,
    }
}

impl Binder<'_> {
    /// One value.
    pub fn expr(&mut self, e: &ast::Expr) -> Result<Expr, Fault> {
        if self.expr_depth >= MAX_EXPR_DEPTH {
            return Err(Fault::mysql(1436, "HY000", "Thread stack overrun: the expression is nested too deep"));
        }
        self.expr_depth += 1;
        let bound = self.expr_inner(e);
        self.expr_depth -= 1;
        bound
    }

    /// A condition: any value, taken for its truth.
    pub fn condition(&mut self, e: &ast::Expr) -> Result<Expr, Fault> {
        Ok(weald_expr::typing::as_number(self.expr(e)?))
    }

    fn expr_inner(&mut self, e: &ast::Expr) -> Result<Expr, Fault> {
        match e {
            ast::Expr::Literal(l) => self.literal(l),
            ast::Expr::UserVariable(_) | ast::Expr::SystemVariable { .. } | ast::Expr::Assign { .. } | ast::Expr::Param(_)
                if self.stars.is_some() =>
            {
                Err(Fault::mysql(1351, "HY000", "View's SELECT contains a variable or parameter"))
            }
            ast::Expr::Param(n) => Ok(self.param(*n)),
            ast::Expr::Column { database, table, name, .. } => self.resolve(database.as_deref(), table.as_deref(), name),
            ast::Expr::UserVariable(name) => Ok(self.user_variable(name)),
            ast::Expr::SystemVariable { scope, name } => {
                let (value, ty) = self.env.names.system_variable(*scope, name)?;
                Ok(Expr::Literal { value, ty })
            }
            ast::Expr::Assign { variable, value } => {
                self.deprecated(
                    "Setting user variables within expressions is deprecated and will be removed in a future release. Please set variables in separate statements instead.",
                );
                let value = self.expr(value)?;
                let ty = super::value_type(&value);
                Ok(Expr::AssignUserVariable { name: variable.to_lowercase().into(), value: Box::new(value), ty })
            }
            ast::Expr::Unary { op, expr } => self.unary(*op, expr),
            ast::Expr::Binary { op, left, right } => self.binary(*op, left, right),
            ast::Expr::IsNull { expr, negated } => {
                let arg = self.expr(expr)?;
                self.maybe_not(Operator::IsNull, vec![arg], *negated)
            }
            ast::Expr::IsTruth { expr, value, negated } => {
                let arg = self.expr(expr)?;
                let op = match value {
                    Some(true) => Operator::IsTrue,
                    Some(false) => Operator::IsFalse,
                    None => Operator::IsNull,
                };
                self.maybe_not(op, vec![arg], *negated)
            }
            ast::Expr::Between { expr, low, high, negated } => {
                let args = vec![self.expr(expr)?, self.expr(low)?, self.expr(high)?];
                self.maybe_not(Operator::Between, args, *negated)
            }
            ast::Expr::InList { expr, list, negated } => {
                if let ast::Expr::Row(left) = &**expr {
                    return self.in_rows(left, list, *negated);
                }
                let value = self.expr(expr)?;
                let list = list.iter().map(|i| self.expr(i)).collect::<Result<Vec<_>, _>>()?;
                self.in_list(value, list, *negated)
            }
            ast::Expr::InSubquery { expr, query, negated } => self.in_subquery(expr, query, *negated),
            ast::Expr::Exists { query, negated } => self.exists(query, *negated),
            ast::Expr::Subquery(q) => self.scalar_subquery(q),
            ast::Expr::Quantified { op, all, left, query } => self.quantified(operator_of(*op), *all, left, query),
            ast::Expr::Like { expr, pattern, escape, negated } => {
                let mut args = vec![self.expr(expr)?, self.expr(pattern)?];
                if let Some(e) = escape {
                    args.push(self.expr(e)?);
                }
                self.maybe_not(Operator::Like, args, *negated)
            }
            ast::Expr::Regexp { expr, pattern, negated } => {
                let args = vec![self.expr(expr)?, self.expr(pattern)?];
                self.maybe_not(Operator::Regexp, args, *negated)
            }
            ast::Expr::Case { operand, branches, otherwise } => {
                let operand = operand.as_ref().map(|o| self.expr(o)).transpose()?;
                let branches = branches.iter().map(|(w, t)| Ok((self.expr(w)?, self.expr(t)?))).collect::<Result<Vec<_>, Fault>>()?;
                let otherwise = otherwise.as_ref().map(|o| self.expr(o)).transpose()?;
                self.case(operand, branches, otherwise)
            }
            ast::Expr::Function { name, args, span } => self.function(name, args, *span),
            ast::Expr::Aggregate(call) => self.aggregate_call(call),
            ast::Expr::Cast { expr, data_type } => {
                let arg = self.expr(expr)?;
                let ty = self.cast_type(data_type, &arg)?;
                self.cast(arg, ty)
            }
            ast::Expr::ConvertUsing { expr, charset } => {
                let arg = self.expr(expr)?;
                let collation = self.charset(charset)?;
                let ty = self.text_type(&arg, None, collation);
                self.cast(arg, ty)
            }
            ast::Expr::Collate { expr, collation } => {
                let arg = self.expr(expr)?;
                let c = collation_named(collation)?;
                self.collate(arg, c)
            }
            ast::Expr::Binary_(expr) => {
                self.deprecated("'BINARY expr' is deprecated and will be removed in a future release. Please use CAST instead");
                let arg = self.expr(expr)?;
                let ty = self.binary_type(&arg, None);
                self.cast(arg, ty)
            }
            ast::Expr::DateArith { expr, amount, unit, subtract } => {
                let (date, amount) = (self.expr(expr)?, self.expr(amount)?);
                self.date_arith(date, amount, *unit, *subtract)
            }
            ast::Expr::TimestampFunction { name, unit, args } => {
                let mut bound = vec![self.text_literal(unit_name(*unit))];
                for a in args {
                    bound.push(self.expr(a)?);
                }
                self.call(name, bound)
            }
            ast::Expr::Extract { unit, expr } => {
                let args = vec![self.text_literal(unit_name(*unit)), self.expr(expr)?];
                self.call("EXTRACT", args)
            }
            ast::Expr::Row(_) => Err(operand_columns(1)),
            ast::Expr::InsertValues(name) => self.inserted_value(name),
            ast::Expr::Default(Some(name)) => self.default_of(name),
            ast::Expr::Default(None) => {
                Err(Fault::mysql(1064, "42000", "You have an error in your SQL syntax: DEFAULT stands only for a whole value"))
            }
            ast::Expr::Match { .. } => Err(Fault::mysql(1191, "HY000", "Can't find FULLTEXT index matching the column list")),
            ast::Expr::JsonExtract { column, path, unquote } => {
                let args = vec![self.expr(column)?, self.text_literal(path)];
                let extracted = self.call("JSON_EXTRACT", args)?;
                if *unquote { self.call("JSON_UNQUOTE", vec![extracted]) } else { Ok(extracted) }
            }
            ast::Expr::MemberOf { value, array } => {
                let args = vec![self.expr(value)?, self.expr(array)?];
                self.call("MEMBER_OF", args)
            }
            ast::Expr::JsonValue { doc, path, returning, on_empty, on_error } => {
                self.json_value(doc, path, returning.as_ref(), on_empty.as_ref(), on_error.as_ref())
            }
        }
    }

    fn json_value(
        &mut self,
        doc: &ast::Expr,
        path: &str,
        returning: Option<&CastType>,
        on_empty: Option<&ast::JsonOn>,
        on_error: Option<&ast::JsonOn>,
    ) -> Result<Expr, Fault> {
        let document = self.expr(doc)?;
        let ty = match returning {
            // The document stands for a value of unknown length.
            Some(t) => self.cast_type(t, &document)?,
            None => SqlType::varchar(512, true, self.env.session.collation_connection),
        };
        let (on_empty, on_error) = (self.json_otherwise(on_empty)?, self.json_otherwise(on_error)?);
        weald_expr::function::bind_json_value(document, path, ty, on_empty, on_error, &self.env.session)
    }

    fn json_otherwise(&mut self, on: Option<&ast::JsonOn>) -> Result<JsonOtherwise, Fault> {
        Ok(match on {
            None | Some(ast::JsonOn::Null) => JsonOtherwise::Null,
            Some(ast::JsonOn::Error) => JsonOtherwise::Error,
            Some(ast::JsonOn::Default(e)) => JsonOtherwise::Default(self.expr(e)?),
        })
    }

    fn unary(&mut self, op: UnaryOp, e: &ast::Expr) -> Result<Expr, Fault> {
        // A negative literal is a literal: -9223372036854775808 must not pass through +9223372036854775808.
        if let (UnaryOp::Minus, ast::Expr::Literal(l)) = (op, e)
            && let Some(negative) = negated_literal(&self.literal(l)?)
        {
            return Ok(negative);
        }
        let arg = self.expr(e)?;
        match op {
            UnaryOp::Plus => Ok(arg),
            UnaryOp::Minus => self.operator(Operator::Negate, vec![arg]),
            UnaryOp::BitNot => self.operator(Operator::BitNot, vec![arg]),
            UnaryOp::Not => self.not(arg),
            UnaryOp::Bang => {
                self.deprecated("'!' is deprecated and will be removed in a future release. Please use NOT instead");
                self.not(arg)
            }
        }
    }

    fn not(&mut self, arg: Expr) -> Result<Expr, Fault> {
        use weald_expr::SubqueryKind as K;
        // Said of the subquery itself, so that it can become an anti join.
        Ok(match arg {
            Expr::Subquery { index, kind: K::Exists { negated }, operands, outer, ty } => {
                Expr::Subquery { index, kind: K::Exists { negated: !negated }, operands, outer, ty }
            }
            Expr::Subquery { index, kind: K::In { negated, collation }, operands, outer, ty } => {
                Expr::Subquery { index, kind: K::In { negated: !negated, collation }, operands, outer, ty }
            }
            Expr::In { expr, list, negated, collation } => Expr::In { expr, list, negated: !negated, collation },
            other => return self.operator(Operator::Not, vec![other]),
        })
    }

    fn maybe_not(&mut self, op: Operator, args: Vec<Expr>, negated: bool) -> Result<Expr, Fault> {
        let e = self.operator(op, args)?;
        if negated { self.operator(Operator::Not, vec![e]) } else { Ok(e) }
    }

    /// Chains lean to the left, thousands long in generated text: they are walked in a loop, AND and OR made into balanced trees.
    fn binary(&mut self, op: BinaryOp, left: &ast::Expr, right: &ast::Expr) -> Result<Expr, Fault> {
        if is_logical(op) {
            self.warn_of_symbol(op);
            let logical = operator_of(op);
            let mut parts = vec![];
            let mut todo = vec![right, left];
            while let Some(e) = todo.pop() {
                match e {
                    ast::Expr::Binary { op: own, left, right } if operator_of(*own) == logical => {
                        self.warn_of_symbol(*own);
                        todo.push(right);
                        todo.push(left);
                    }
                    e => parts.push(self.condition(e)?),
                }
            }
            return self.balanced(logical, parts);
        }
        if is_comparison(op) {
            return self.comparison(operator_of(op), left, right);
        }
        let mut chain = vec![(op, right)];
        let mut first = left;
        while let ast::Expr::Binary { op, left, right } = first {
            if is_logical(*op) || is_comparison(*op) {
                break;
            }
            chain.push((*op, right));
            first = left;
        }
        let mut value = self.expr(first)?;
        for (op, right) in chain.into_iter().rev() {
            let r = self.expr(right)?;
            value = self.operator(operator_of(op), vec![value, r])?;
        }
        Ok(value)
    }

    fn warn_of_symbol(&mut self, op: BinaryOp) {
        if op == BinaryOp::Pipes {
            self.deprecated("'|| as a synonym for OR' is deprecated and will be removed in a future release. Please use OR instead");
        } else if op == BinaryOp::Ampersands {
            self.deprecated("'&&' is deprecated and will be removed in a future release. Please use AND instead");
        }
    }

    /// Warning 1287.
    pub fn deprecated(&mut self, message: &str) {
        let fault = Fault::mysql(1287, "HY000", message);
        self.warnings.push(weald_types::Warning { level: weald_types::WarningLevel::Warning, fault });
    }

    fn balanced(&mut self, op: Operator, mut parts: Vec<Expr>) -> Result<Expr, Fault> {
        while parts.len() > 1 {
            let mut next = Vec::with_capacity(parts.len().div_ceil(2));
            let mut items = parts.into_iter();
            while let Some(a) = items.next() {
                next.push(match items.next() {
                    Some(b) => self.operator(op, vec![a, b])?,
                    None => a,
                });
            }
            parts = next;
        }
        Ok(parts.pop().unwrap_or_else(|| walk::truth(true)))
    }

    pub fn param(&mut self, n: u32) -> Expr {
        let at = n as usize;
        if self.params.len() <= at {
            self.params.resize(at + 1, None);
        }
        let mut ty = self.params[at].clone().unwrap_or_else(SqlType::null);
        // Text that a client sends is in its connection's collation, whether it stands in the statement or beside it.
        let connection = self.env.session.collation_connection;
        if matches!(ty.kind, weald_types::TypeKind::VarChar { .. }) && connection != Collation::BINARY {
            ty.collation = connection;
        }
        Expr::Param { index: n, ty }
    }

    fn user_variable(&mut self, name: &str) -> Expr {
        let name: Arc<str> = name.to_lowercase().into();
        let ty = self
            .env
            .names
            .user_variable(&name)
            .map_or_else(|| SqlType::string(TypeKind::Text(BlobSize::Long), true, self.env.session.collation_connection), |t| t.with_nullable(true));
        // A decimal variable may hold any decimal.
        let ty = match ty.kind {
            TypeKind::Decimal { .. } => weald_expr::typing::decimal_type(35, 30, true),
            _ => ty,
        };
        Expr::UserVariable { name, ty }
    }

    pub fn function(&mut self, name: &str, args: &[ast::Expr], span: ast::Span) -> Result<Expr, Fault> {
        let _ = span;
        let upper = name.to_ascii_uppercase();
        match upper.as_str() {
            "GROUPING" => return self.grouping_call(args),
            "FOUND_ROWS" => {
                self.deprecated("FOUND_ROWS() is deprecated and will be removed in a future release. Consider using COUNT(*) instead.");
            }
            "JSON_MERGE" => {
                let instead = "Please use JSON_MERGE_PRESERVE/JSON_MERGE_PATCH instead";
                self.deprecated(&format!("'JSON_MERGE' is deprecated and will be removed in a future release. {instead}"));
            }
            "ANY_VALUE" if args.len() == 1 => {
                let call = ast::AggregateCall {
                    name: upper,
                    distinct: false,
                    star: false,
                    args: args.to_vec(),
                    order_by: vec![],
                    separator: None,
                    over: None,
                    span,
                };
                return self.aggregate_call(&call);
            }
            _ => (),
        }
        let bound = args.iter().map(|a| self.expr(a)).collect::<Result<Vec<_>, _>>()?;
        self.call(&upper, bound)
    }

    pub fn text_literal(&self, text: &str) -> Expr {
        Expr::Literal { value: Value::str(text), ty: SqlType::varchar(text.chars().count() as u32, false, self.env.session.collation_connection) }
    }

    pub fn charset(&self, name: &str) -> Result<Collation, Fault> {
        let c = Collation::default_of(name).ok_or_else(|| Charset::unknown(name))?;
        // CAST … CHARACTER SET of the connection's own set keeps the connection's collation.
        Ok(if c.charset() == self.env.session.collation_connection.charset() { self.env.session.collation_connection } else { c })
    }

    fn cast_type(&mut self, t: &CastType, arg: &Expr) -> Result<SqlType, Fault> {
        let nullable = true;
        Ok(match t {
            CastType::Signed => SqlType::bigint(nullable),
            CastType::Unsigned => SqlType::bigint_unsigned(nullable),
            CastType::Char { chars, charset } => {
                let collation = match charset {
                    Some(c) => self.charset(c)?,
                    None => self.env.session.collation_connection,
                };
                if collation == Collation::BINARY {
                    return Ok(self.binary_type(arg, *chars));
                }
                self.text_type(arg, *chars, collation)
            }
            CastType::Binary { bytes } => self.binary_type(arg, *bytes),
            CastType::Decimal { precision, scale } => {
                let (precision, scale) = (precision.unwrap_or(10), scale.unwrap_or(0));
                if precision > 65 {
                    return Err(too_big(1426, "precision", precision as u64, "CAST", 65));
                }
                if scale > 30 {
                    return Err(too_big(1425, "scale", scale as u64, "CAST", 30));
                }
                if scale > precision {
                    return Err(Fault::mysql(1427, "42000", "For float(M,D), double(M,D) or decimal(M,D), M must be >= D (column '')."));
                }
                let precision = if precision == 0 { 10 } else { precision };
                SqlType::new(TypeKind::Decimal { precision, scale, unsigned: false }, nullable)
            }
            CastType::Float { precision } => match precision {
                Some(p) if *p > 53 => return Err(too_big(1426, "precision", *p as u64, "CAST", 53)),
                Some(p) if *p > 24 => SqlType::double(nullable),
                _ => SqlType::new(TypeKind::Float { unsigned: false, digits: None, scale: None }, nullable),
            },
            CastType::Double => {
                let real = self.sql_mode().has(SqlMode::REAL_AS_FLOAT);
                let _ = real;
                SqlType::double(nullable)
            }
            CastType::Date => SqlType::new(TypeKind::Date, nullable),
            CastType::Time { fsp } => SqlType::new(TypeKind::Time { fsp: fractional(*fsp)? }, nullable),
            CastType::DateTime { fsp } => SqlType::new(TypeKind::DateTime { fsp: fractional(*fsp)? }, nullable),
            CastType::Year => SqlType::new(TypeKind::Year, nullable),
            CastType::Json => SqlType::string(TypeKind::Json, nullable, Collation::UTF8MB4_BIN),
        })
    }

    /// The text type of CAST(… AS CHAR): as long as said, or as the operand may be.
    fn text_type(&self, arg: &Expr, chars: Option<u32>, collation: Collation) -> SqlType {
        let ty = super::value_type(arg);
        let long = match &ty.kind {
            TypeKind::Char { chars } | TypeKind::VarChar { chars } => Some(*chars),
            TypeKind::Binary { bytes } | TypeKind::VarBinary { bytes } => Some(*bytes),
            TypeKind::Text(_) | TypeKind::Blob(_) | TypeKind::Json => None,
            // Every number and time is shorter than this.
            _ => Some(80),
        };
        match chars.or(long) {
            Some(n) if n <= 16_383 => SqlType::varchar(n, true, collation),
            _ => SqlType::string(TypeKind::Text(BlobSize::Long), true, collation),
        }
    }

    fn binary_type(&self, arg: &Expr, bytes: Option<u32>) -> SqlType {
        // BINARY(n) pads with zero bytes; without a length there is nothing to pad to.
        if let Some(n) = bytes {
            return SqlType::new(TypeKind::Binary { bytes: n }, true);
        }
        let ty = super::value_type(arg);
        let long = match &ty.kind {
            TypeKind::Char { chars } | TypeKind::VarChar { chars } => Some(chars.saturating_mul(ty.collation.max_len() as u32)),
            TypeKind::Binary { bytes } | TypeKind::VarBinary { bytes } => Some(*bytes),
            TypeKind::Text(_) | TypeKind::Blob(_) | TypeKind::Json => None,
            _ => Some(80),
        };
        match long {
            Some(n) if n <= 65_535 => SqlType::new(TypeKind::VarBinary { bytes: n }, true),
            _ => SqlType::new(TypeKind::Blob(BlobSize::Long), true),
        }
    }
}

fn is_logical(op: BinaryOp) -> bool {
    matches!(op, BinaryOp::And | BinaryOp::Ampersands | BinaryOp::Or | BinaryOp::Pipes)
}

fn is_comparison(op: BinaryOp) -> bool {
    matches!(op, BinaryOp::Eq | BinaryOp::NullSafeEq | BinaryOp::Ne | BinaryOp::Lt | BinaryOp::Le | BinaryOp::Gt | BinaryOp::Ge)
}

fn too_big(number: u16, what: &str, got: u64, column: &str, most: u64) -> Fault {
    let text = if number == 1425 {
        format!("Too big scale {got} specified for column '{column}'. Maximum is {most}.")
    } else {
        format!("Too-big {what} {got} specified for '{column}'. Maximum is {most}.")
    };
    Fault::mysql(number, "42000", text)
}

fn fractional(fsp: u8) -> Result<u8, Fault> {
    if fsp > 6 { Err(too_big(1426, "precision", fsp as u64, "CAST", 6)) } else { Ok(fsp) }
}

pub fn collation_named(name: &str) -> Result<Collation, Fault> {
    Collation::by_name(name).ok_or_else(|| Fault::mysql(1273, "HY000", format!("Unknown collation: '{name}'")))
}

/// `-n` of a numeric literal.
fn negated_literal(e: &Expr) -> Option<Expr> {
    let Expr::Literal { value, ty } = e else { return None };
    Some(match value {
        Value::Int(n) => Expr::Literal { value: Value::Int(n.checked_neg()?), ty: ty.clone() },
        Value::UInt(n) if *n == 1 << 63 => Expr::Literal { value: Value::Int(i64::MIN), ty: SqlType::bigint(false) },
        Value::Decimal(d) => Expr::Literal { value: Value::Decimal(d.neg()), ty: ty.clone() },
        Value::Double(d) => Expr::Literal { value: Value::Double(-d), ty: ty.clone() },
        _ => return None,
    })
}
