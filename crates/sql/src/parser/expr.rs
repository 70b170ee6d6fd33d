//! Expressions, in the layers of MySQL's grammar: expr, bool_pri, predicate, bit_expr, simple_expr.
//!
//! Owns:     nothing.
//! Promises: MySQL's precedences, including what it refuses (`a = NOT b`, `a IN (1) IN (2)`). Long chains of AND and of OR become balanced trees, whose
//!           order from left to right is the text's: both operators are associative, also with NULL.
//! Never:    knows what a function means.

use super::{Parsed, Parser};
use crate::ast::{BinaryOp, CastType, Expr, IntervalUnit, Literal, Query, UnaryOp};
use crate::keyword::Kw;
use crate::lexer::Tok;
use weald_types::SqlMode;

/// What a pair of parentheses held.
pub(super) enum Paren {
    Query(Box<Query>),
    Exprs(Vec<Expr>),
}

/// `INTERVAL expr unit`, or the function INTERVAL(a, b, …).
pub(super) enum Interval {
    Amount(Box<Expr>, IntervalUnit),
    Function(Box<Expr>),
}

/// A chain of AND or OR up to this long is built leaning left, as it is written.
const LEANING: usize = 32;

const OR: u8 = 1;
const XOR: u8 = 2;
const AND: u8 = 3;
const BIT_OR: u8 = 1;
/// `||` under PIPES_AS_CONCAT, above `^`.
const CONCAT: u8 = 7;

pub(super) fn node(e: Expr) -> Parsed<Box<Expr>> {
    Ok(Box::new(e))
}

pub(super) fn binary(op: BinaryOp, left: Box<Expr>, right: Box<Expr>) -> Box<Expr> {
    Box::new(Expr::Binary { op, left, right })
}

impl Parser<'_> {
    pub(super) fn boxed_expr(&mut self) -> Parsed<Box<Expr>> {
        self.enter()?;
        let saved = std::mem::replace(&mut self.peak, 0);
        let e = self.logic(OR)?;
        self.peak = saved.max(self.height);
        self.leave();
        Ok(e)
    }

    pub(super) fn expr(&mut self) -> Parsed<Expr> {
        // The rows of a bulk INSERT are made of these: no need to ask every operator.
        if self.is_literal() && matches!(self.peek().kind, Tok::Comma | Tok::RParen) && self.pending.is_none() {
            self.peak = self.peak.max(1);
            self.height = 1;
            return self.literal_expr();
        }
        self.boxed_expr().map(|e| *e)
    }

    pub(super) fn exprs(&mut self) -> Parsed<Vec<Expr>> {
        let mut out = vec![];
        loop {
            out.push(self.expr()?);
            if !self.eat_tok(Tok::Comma) {
                return Ok(out);
            }
        }
    }

    fn is_literal(&self) -> bool {
        matches!(self.tok.kind, Tok::Integer | Tok::Decimal | Tok::Float | Tok::String | Tok::Hex | Tok::HexString)
    }

    fn pipes_as_concat(&self) -> bool {
        self.sql_mode.has(SqlMode::PIPES_AS_CONCAT | SqlMode::ANSI)
    }
    fn high_not(&self) -> bool {
        self.sql_mode.has(SqlMode::HIGH_NOT_PRECEDENCE)
    }

    fn logic_op(&self) -> Option<(u8, BinaryOp)> {
        match (self.tok.kind, self.tok.kw) {
            (_, Kw::OR) => Some((OR, BinaryOp::Or)),
            (Tok::PipePipe, _) if !self.pipes_as_concat() => Some((OR, BinaryOp::Pipes)),
            (_, Kw::XOR) => Some((XOR, BinaryOp::Xor)),
            (_, Kw::AND) => Some((AND, BinaryOp::And)),
            (Tok::AmpAmp, _) => Some((AND, BinaryOp::Ampersands)),
            _ => None,
        }
    }

    fn logic(&mut self, min: u8) -> Parsed<Box<Expr>> {
        let mut left = self.negation()?;
        while let Some((level, op)) = self.logic_op() {
            if level < min {
                break;
            }
            let mut height = self.height;
            let mut operands = vec![left];
            // A chain of one operator; XOR's is cut into pairs below by the height alone.
            while self.logic_op() == Some((level, op)) {
                self.bump();
                operands.push(self.logic(level + 1)?);
                height = height.max(self.height);
            }
            let chain = if op == BinaryOp::Xor || operands.len() <= LEANING { operands.len() as u32 - 1 } else { operands.len().ilog2() + 1 };
            self.set_height(height + chain)?;
            left = if op == BinaryOp::Xor || operands.len() <= LEANING { leaning(op, operands) } else { balanced(op, operands) };
        }
        Ok(left)
    }

    fn negation(&mut self) -> Parsed<Box<Expr>> {
        if self.at(Kw::NOT) && !self.high_not() && self.pending.is_none() {
            self.bump();
            self.enter()?;
            let e = self.negation()?;
            self.leave();
            self.set_height(self.height + 1)?;
            return node(match *e {
                Expr::Exists { query, negated: false } => Expr::Exists { query, negated: true },
                _ => Expr::Unary { op: UnaryOp::Not, expr: e },
            });
        }
        self.bool_pri()
    }

    fn comparison_op(&self) -> Option<BinaryOp> {
        Some(match self.tok.kind {
            Tok::Eq => BinaryOp::Eq,
            Tok::NullSafeEq => BinaryOp::NullSafeEq,
            Tok::Ne => BinaryOp::Ne,
            Tok::Lt => BinaryOp::Lt,
            Tok::Le => BinaryOp::Le,
            Tok::Gt => BinaryOp::Gt,
            Tok::Ge => BinaryOp::Ge,
            _ => return None,
        })
    }

    fn bool_pri(&mut self) -> Parsed<Box<Expr>> {
        let mut left = self.predicate()?;
        loop {
            if let Some(op) = self.comparison_op() {
                self.bump();
                let height = self.height;
                let quantifier = self.at_any(&[Kw::ALL, Kw::ANY, Kw::SOME]) && self.next_is(Tok::LParen);
                left = if quantifier {
                    let all = self.at(Kw::ALL);
                    self.bump();
                    let query = self.subquery()?;
                    Box::new(Expr::Quantified { op, all, left, query })
                } else {
                    let right = self.predicate()?;
                    binary(op, left, right)
                };
                self.set_height(height.max(self.height) + 1)?;
            } else if self.at(Kw::IS) {
                self.bump();
                let negated = self.eat(Kw::NOT);
                let height = self.height + 1;
                let expr = left;
                let value = match self.tok.kw {
                    Kw::NULL => {
                        self.bump();
                        left = Box::new(Expr::IsNull { expr, negated });
                        self.set_height(height)?;
                        continue;
                    }
                    Kw::TRUE => Some(true),
                    Kw::FALSE => Some(false),
                    Kw::UNKNOWN => None,
                    _ => return self.unexpected(),
                };
                self.bump();
                self.set_height(height)?;
                // IS TRUE makes an expr, no bool_pri: nothing that compares may follow.
                return node(Expr::IsTruth { expr, value, negated });
            } else {
                return Ok(left);
            }
        }
    }

    fn predicate(&mut self) -> Parsed<Box<Expr>> {
        let left = self.bit_expr(BIT_OR)?;
        let kw = self.tok.kw;
        if kw == Kw::NotOne {
            return Ok(left);
        }
        if matches!(kw, Kw::NOT | Kw::IN | Kw::BETWEEN | Kw::LIKE | Kw::REGEXP | Kw::RLIKE) {
            self.predicate_rest(left)
        } else {
            self.rare_predicate(left)
        }
    }

    fn predicate_rest(&mut self, left: Box<Expr>) -> Parsed<Box<Expr>> {
        let height = self.height;
        let saved = std::mem::replace(&mut self.peak, 0);
        let negated = self.eat(Kw::NOT);
        let kw = self.tok.kw;
        let expr = left;
        if !matches!(kw, Kw::IN | Kw::BETWEEN | Kw::LIKE | Kw::REGEXP | Kw::RLIKE) {
            return self.unexpected();
        }
        self.bump();
        self.enter()?;
        let result = match kw {
            Kw::IN => {
                if !self.is(Tok::LParen) {
                    return self.unexpected();
                }
                match self.paren()? {
                    Paren::Query(q) => Expr::InSubquery { expr, query: q, negated },
                    Paren::Exprs(list) => Expr::InList { expr, list, negated },
                }
            }
            Kw::BETWEEN => {
                let low = self.bit_expr(BIT_OR)?;
                self.peak = self.peak.max(self.height);
                self.expect(Kw::AND)?;
                let high = self.predicate()?;
                self.peak = self.peak.max(self.height);
                Expr::Between { expr, low, high, negated }
            }
            Kw::LIKE => {
                let pattern = self.simple_expr()?;
                self.peak = self.peak.max(self.height);
                let escape = if self.eat(Kw::ESCAPE) { Some(self.simple_expr()?) } else { None };
                Expr::Like { expr, pattern, escape, negated }
            }
            _ => {
                let pattern = self.bit_expr(BIT_OR)?;
                self.peak = self.peak.max(self.height);
                Expr::Regexp { expr, pattern, negated }
            }
        };
        self.leave();
        let height = height.max(self.peak) + 1;
        self.peak = saved;
        self.set_height(height)?;
        node(result)
    }

    /// SOUNDS LIKE and MEMBER OF begin with words that are also names: an alias may stand here.
    fn rare_predicate(&mut self, left: Box<Expr>) -> Parsed<Box<Expr>> {
        let height = self.height;
        if self.at(Kw::SOUNDS) && self.next_at(Kw::LIKE) {
            self.bump();
            self.bump();
            let right = self.bit_expr(BIT_OR)?;
            self.set_height(height.max(self.height) + 2)?;
            let soundex = |e: Box<Expr>| Box::new(Expr::Function { name: "SOUNDEX".into(), args: vec![*e], span: Default::default() });
            return Ok(binary(BinaryOp::Eq, soundex(left), soundex(right)));
        }
        if self.at(Kw::MEMBER) && (self.next_at(Kw::OF) || self.next_is(Tok::LParen)) {
            self.bump();
            self.eat(Kw::OF);
            self.expect_tok(Tok::LParen)?;
            let array = self.simple_expr()?;
            self.expect_tok(Tok::RParen)?;
            self.set_height(height.max(self.height) + 1)?;
            return node(Expr::MemberOf { value: left, array });
        }
        Ok(left)
    }

    fn bit_op(&self) -> Option<(u8, BinaryOp)> {
        Some(match self.tok.kind {
            Tok::Pipe => (BIT_OR, BinaryOp::BitOr),
            Tok::Amp => (2, BinaryOp::BitAnd),
            Tok::ShiftLeft => (3, BinaryOp::ShiftLeft),
            Tok::ShiftRight => (3, BinaryOp::ShiftRight),
            Tok::Plus => (4, BinaryOp::Add),
            Tok::Minus => (4, BinaryOp::Subtract),
            Tok::Star => (5, BinaryOp::Multiply),
            Tok::Slash => (5, BinaryOp::Divide),
            Tok::Percent => (5, BinaryOp::Mod),
            Tok::Caret => (6, BinaryOp::BitXor),
            Tok::Word => match self.tok.kw {
                Kw::DIV => (5, BinaryOp::IntDivide),
                Kw::MOD => (5, BinaryOp::Mod),
                _ => return None,
            },
            _ => return None,
        })
    }

    fn bit_expr(&mut self, min: u8) -> Parsed<Box<Expr>> {
        let mut left = self.unary()?;
        loop {
            if self.is(Tok::PipePipe) && self.pipes_as_concat() {
                left = self.concatenation(*left)?;
                continue;
            }
            let Some((level, op)) = self.bit_op() else { return Ok(left) };
            if level < min {
                return Ok(left);
            }
            let height = self.height;
            self.bump();
            left = if level == 4 && self.at(Kw::INTERVAL) {
                self.interval_operand(op, left)?
            } else {
                let right = self.bit_expr(level + 1)?;
                binary(op, left, right)
            };
            self.set_height(height.max(self.height) + 1)?;
        }
    }

    /// Every `||` in a row, as one CONCAT.
    #[inline(never)]
    fn concatenation(&mut self, left: Expr) -> Parsed<Box<Expr>> {
        let mut height = self.height;
        let mut args = vec![left];
        while self.eat_tok(Tok::PipePipe) {
            args.push(*self.unary()?);
            height = height.max(self.height);
        }
        self.set_height(height + 1)?;
        node(Expr::Function { name: "CONCAT".into(), args, span: Default::default() })
    }

    /// POSITION's first argument and AGAINST's: no predicate, since IN follows.
    pub(super) fn bit_operand(&mut self) -> Parsed<Box<Expr>> {
        self.enter()?;
        let e = self.bit_expr(BIT_OR)?;
        self.peak = self.peak.max(self.height);
        self.leave();
        Ok(e)
    }

    /// What the grammar calls simple_expr: tighter than every operator but `||` as CONCAT.
    fn simple_expr(&mut self) -> Parsed<Box<Expr>> {
        self.bit_expr(CONCAT)
    }

    /// The right side of `left + INTERVAL …`, which may still be the function INTERVAL(…).
    #[inline(never)]
    fn interval_operand(&mut self, op: BinaryOp, left: Box<Expr>) -> Parsed<Box<Expr>> {
        match self.interval()? {
            Interval::Amount(amount, unit) => node(Expr::DateArith { expr: left, amount, unit, subtract: op == BinaryOp::Subtract }),
            Interval::Function(function) => {
                self.pending = Some(function);
                let right = self.bit_expr(5)?;
                Ok(binary(op, left, right))
            }
        }
    }

    /// What INTERVAL begins.
    pub(super) fn interval(&mut self) -> Parsed<Interval> {
        let start = self.tok.start;
        self.expect(Kw::INTERVAL)?;
        if self.is(Tok::LParen) {
            match self.paren()? {
                Paren::Exprs(args) if args.len() > 1 => {
                    return Ok(Interval::Function(Box::new(Expr::Function { name: "INTERVAL".into(), args, span: self.span_from(start) })));
                }
                inner => self.pending = Some(self.operand_of(inner)),
            }
        }
        let amount = self.boxed_expr()?;
        let unit = self.interval_unit()?;
        Ok(Interval::Amount(amount, unit))
    }

    pub(super) fn interval_unit(&mut self) -> Parsed<IntervalUnit> {
        use IntervalUnit::*;
        let unit = match self.tok.kw {
            Kw::MICROSECOND => Microsecond,
            Kw::SECOND => Second,
            Kw::MINUTE => Minute,
            Kw::HOUR => Hour,
            Kw::DAY => Day,
            Kw::WEEK => Week,
            Kw::MONTH => Month,
            Kw::QUARTER => Quarter,
            Kw::YEAR => Year,
            Kw::SECOND_MICROSECOND => SecondMicrosecond,
            Kw::MINUTE_MICROSECOND => MinuteMicrosecond,
            Kw::MINUTE_SECOND => MinuteSecond,
            Kw::HOUR_MICROSECOND => HourMicrosecond,
            Kw::HOUR_SECOND => HourSecond,
            Kw::HOUR_MINUTE => HourMinute,
            Kw::DAY_MICROSECOND => DayMicrosecond,
            Kw::DAY_SECOND => DaySecond,
            Kw::DAY_MINUTE => DayMinute,
            Kw::DAY_HOUR => DayHour,
            Kw::YEAR_MONTH => YearMonth,
            _ => return self.unexpected(),
        };
        self.bump();
        Ok(unit)
    }

    fn unary(&mut self) -> Parsed<Box<Expr>> {
        let op = match self.tok.kind {
            _ if self.pending.is_some() => None,
            Tok::Minus => Some(UnaryOp::Minus),
            Tok::Plus => Some(UnaryOp::Plus),
            Tok::Tilde => Some(UnaryOp::BitNot),
            Tok::Bang => Some(UnaryOp::Bang),
            Tok::Word if self.at(Kw::NOT) && self.high_not() => Some(UnaryOp::Not),
            Tok::Word if self.at(Kw::BINARY) => {
                self.bump();
                self.enter()?;
                let e = self.unary()?;
                self.leave();
                self.set_height(self.height + 1)?;
                return node(Expr::Binary_(e));
            }
            _ => None,
        };
        if let Some(op) = op {
            self.bump();
            self.enter()?;
            let e = self.unary()?;
            self.leave();
            self.set_height(self.height + 1)?;
            return node(Expr::Unary { op, expr: e });
        }
        let saved = std::mem::replace(&mut self.peak, 0);
        let in_parens = self.pending.is_some() || self.is(Tok::LParen);
        let mut e = match self.pending.take() {
            Some(e) => {
                self.peak = self.height;
                e
            }
            None => self.atom()?,
        };
        // Parentheses around one expression are no node of the tree.
        let node = !in_parens || matches!(*e, Expr::Row(_) | Expr::Subquery(_));
        let mut height = self.peak.max(1) + u32::from(node && self.peak > 0);
        self.peak = saved;
        while self.at(Kw::COLLATE) {
            self.bump();
            let collation = self.collation_name()?;
            e = Box::new(Expr::Collate { expr: e, collation });
            height += 1;
        }
        self.set_height(height)?;
        Ok(e)
    }

    fn atom(&mut self) -> Parsed<Box<Expr>> {
        match self.tok.kind {
            Tok::Word => self.word_atom(),
            Tok::Quoted if self.next_is(Tok::LParen) => self.call(),
            Tok::Quoted => self.column(),
            Tok::Integer
            | Tok::Decimal
            | Tok::Float
            | Tok::String
            | Tok::National
            | Tok::Introducer
            | Tok::Hex
            | Tok::HexString
            | Tok::Bit
            | Tok::BitString => self.literal(),
            Tok::LParen => self.paren_atom(),
            Tok::Param if self.params_allowed => {
                self.bump();
                self.params += 1;
                node(Expr::Param(self.params - 1))
            }
            Tok::UserVariable => self.variable(),
            Tok::AtAt => self.system_variable(),
            Tok::LBrace => self.odbc_escape(),
            _ => self.unexpected(),
        }
    }

    #[inline(never)]
    fn paren_atom(&mut self) -> Parsed<Box<Expr>> {
        let inner = self.paren()?;
        Ok(self.operand_of(inner))
    }

    fn operand_of(&mut self, inner: Paren) -> Box<Expr> {
        Box::new(match inner {
            Paren::Query(q) => Expr::Subquery(q),
            Paren::Exprs(mut list) if list.len() == 1 => list.pop().unwrap_or(Expr::Literal(Literal::Null)),
            Paren::Exprs(list) => Expr::Row(list),
        })
    }

    /// `( … )`: a query, or one or more expressions. Which one is only known once the parentheses inside have been read, so an inner query
    /// that turns out to be an operand is handed on through `pending` instead of being read again, which would take exponential time.
    pub(super) fn paren(&mut self) -> Parsed<Paren> {
        self.expect_tok(Tok::LParen)?;
        let inner = if self.starts_query() {
            Paren::Query(self.query()?)
        } else if self.is(Tok::LParen) {
            self.enter()?;
            let inner = self.paren()?;
            self.leave();
            match inner {
                Paren::Query(q) if self.is(Tok::RParen) || self.continues_query() => Paren::Query(self.query_from(q)?),
                operand => {
                    let operand = self.operand_of(operand);
                    self.height = self.peak;
                    self.pending = Some(operand);
                    Paren::Exprs(self.exprs()?)
                }
            }
        } else {
            Paren::Exprs(self.exprs()?)
        };
        self.expect_tok(Tok::RParen)?;
        Ok(inner)
    }

    /// `(query)`
    pub(super) fn subquery(&mut self) -> Parsed<Box<Query>> {
        if !self.is(Tok::LParen) {
            return self.unexpected();
        }
        let start = self.peek().start;
        match self.paren()? {
            Paren::Query(q) => Ok(q),
            Paren::Exprs(_) => Err(self.syntax_error(start)),
        }
    }

    #[inline(never)]
    pub(super) fn column(&mut self) -> Parsed<Box<Expr>> {
        let start = self.tok.start;
        let c = self.object_column()?;
        let e = Box::new(Expr::Column { database: c.database, table: c.table, name: c.name, span: self.span_from(start) });
        if !matches!(self.tok.kind, Tok::Arrow | Tok::ArrowArrow) {
            return if self.is(Tok::LParen) && matches!(*e, Expr::Column { table: Some(_), .. }) { self.qualified_call(*e, start) } else { Ok(e) };
        }
        let unquote = self.is(Tok::ArrowArrow);
        self.bump();
        let path = self.string()?;
        node(Expr::JsonExtract { column: e, path, unquote })
    }

    /// `{d '…'}`, `{t '…'}`, `{ts '…'}`, `{fn f(…)}`
    #[inline(never)]
    fn odbc_escape(&mut self) -> Parsed<Box<Expr>> {
        self.expect_tok(Tok::LBrace)?;
        let word = self.ident()?;
        let typed: Option<fn(String) -> Literal> = match word.to_ascii_lowercase().as_str() {
            "d" => Some(Literal::Date),
            "t" => Some(Literal::Time),
            "ts" => Some(Literal::Timestamp),
            _ => None,
        };
        let e = match typed {
            Some(make) if self.is(Tok::String) => Box::new(Expr::Literal(make(self.string()?))),
            _ => self.boxed_expr()?,
        };
        self.expect_tok(Tok::RBrace)?;
        Ok(e)
    }

    #[inline(never)]
    pub(super) fn case(&mut self) -> Parsed<Box<Expr>> {
        self.expect(Kw::CASE)?;
        let operand = if self.at(Kw::WHEN) { None } else { Some(self.boxed_expr()?) };
        let mut branches = vec![];
        while self.eat(Kw::WHEN) {
            let when = self.expr()?;
            self.expect(Kw::THEN)?;
            branches.push((when, self.expr()?));
        }
        if branches.is_empty() {
            return self.unexpected();
        }
        let otherwise = if self.eat(Kw::ELSE) { Some(self.boxed_expr()?) } else { None };
        self.expect(Kw::END)?;
        node(Expr::Case { operand, branches, otherwise })
    }

    /// DEFAULT, where it may stand alone: in VALUES and after `=` of an assignment.
    pub(super) fn expr_or_default(&mut self) -> Parsed<Expr> {
        if self.at(Kw::DEFAULT) && !self.next_is(Tok::LParen) {
            self.bump();
            return Ok(Expr::Default(None));
        }
        self.expr()
    }

    /// The target of CAST and of CONVERT(x, type).
    pub(super) fn cast_type(&mut self) -> Parsed<CastType> {
        let kw = self.tok.kw;
        let start = self.tok.start;
        self.bump();
        let t = match kw {
            Kw::SIGNED | Kw::UNSIGNED => {
                if !self.eat(Kw::INTEGER) {
                    self.eat(Kw::INT);
                }
                if kw == Kw::SIGNED { CastType::Signed } else { CastType::Unsigned }
            }
            Kw::BINARY => CastType::Binary { bytes: self.optional_length()? },
            Kw::CHAR | Kw::CHARACTER => {
                let chars = self.optional_length()?;
                if self.eat(Kw::BINARY) {
                    return self.not_supported("CAST AS CHAR BINARY");
                }
                let charset = self.cast_charset()?;
                CastType::Char { chars, charset }
            }
            Kw::NCHAR => CastType::Char { chars: self.optional_length()?, charset: Some("utf8mb3".into()) },
            Kw::NATIONAL if self.at(Kw::CHAR) => {
                self.bump();
                CastType::Char { chars: self.optional_length()?, charset: Some("utf8mb3".into()) }
            }
            Kw::DECIMAL | Kw::DEC | Kw::NUMERIC => self.cast_decimal()?,
            Kw::FLOAT => {
                let precision = self.optional_length()?;
                CastType::Float { precision: precision.map(|p| p.min(255) as u8) }
            }
            Kw::DOUBLE => {
                self.eat(Kw::PRECISION);
                CastType::Double
            }
            Kw::REAL => CastType::Double,
            Kw::DATE => CastType::Date,
            Kw::TIME => CastType::Time { fsp: self.optional_length()?.unwrap_or(0).min(255) as u8 },
            Kw::DATETIME => CastType::DateTime { fsp: self.optional_length()?.unwrap_or(0).min(255) as u8 },
            Kw::YEAR => CastType::Year,
            Kw::JSON => CastType::Json,
            Kw::POINT
            | Kw::LINESTRING
            | Kw::POLYGON
            | Kw::MULTIPOINT
            | Kw::MULTILINESTRING
            | Kw::MULTIPOLYGON
            | Kw::GEOMETRYCOLLECTION
            | Kw::GEOMCOLLECTION => {
                return self.not_supported("spatial types");
            }
            _ => return Err(self.syntax_error(start)),
        };
        if self.at(Kw::ARRAY) {
            return self.not_supported("CAST AS ARRAY");
        }
        Ok(t)
    }

    fn cast_decimal(&mut self) -> Parsed<CastType> {
        let (mut precision, mut scale) = (None, None);
        if self.eat_tok(Tok::LParen) {
            precision = Some(self.number()?.min(255) as u8);
            if self.eat_tok(Tok::Comma) {
                scale = Some(self.number()?.min(255) as u8);
            }
            self.expect_tok(Tok::RParen)?;
        }
        Ok(CastType::Decimal { precision, scale })
    }

    fn cast_charset(&mut self) -> Parsed<Option<String>> {
        if self.eat_charset() {
            return Ok(Some(self.charset_name()?));
        }
        match self.tok.kw {
            Kw::ASCII => {
                self.bump();
                Ok(Some("latin1".into()))
            }
            Kw::UNICODE => {
                self.bump();
                Ok(Some("ucs2".into()))
            }
            Kw::BYTE => {
                self.bump();
                Ok(Some("binary".into()))
            }
            _ => Ok(None),
        }
    }

    pub(super) fn optional_length(&mut self) -> Parsed<Option<u32>> {
        if self.is(Tok::LParen) { Ok(Some(self.parens(Self::number_u32)?)) } else { Ok(None) }
    }
}

// Boxed already, as their parents will hold them.
#[allow(clippy::vec_box)]
fn leaning(op: BinaryOp, operands: Vec<Box<Expr>>) -> Box<Expr> {
    let mut operands = operands.into_iter();
    let first = operands.next().unwrap_or_else(|| Box::new(Expr::Literal(Literal::Null)));
    operands.fold(first, |left, right| binary(op, left, right))
}

/// A tree of logarithmic height.
#[allow(clippy::vec_box)]
fn balanced(op: BinaryOp, mut operands: Vec<Box<Expr>>) -> Box<Expr> {
    while operands.len() > 1 {
        let mut pairs = Vec::with_capacity(operands.len().div_ceil(2));
        let mut it = operands.into_iter();
        while let Some(left) = it.next() {
            pairs.push(match it.next() {
                Some(right) => binary(op, left, right),
                None => left,
            });
        }
        operands = pairs;
    }
    operands.pop().unwrap_or_else(|| Box::new(Expr::Literal(Literal::Null)))
}
