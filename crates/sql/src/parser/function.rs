//! Calls: MySQL's special syntaxes become plain arguments, aggregates and window functions become [`AggregateCall`]s.
//!
//! Owns:     nothing.
//! Promises: names come out in upper case and synonyms as one name (MID and SUBSTR as SUBSTRING, SCHEMA as DATABASE, LOCALTIME as NOW …).
//! Never:    checks that a function exists or how many arguments it takes.
//! See:      MySQL 8.0 Reference Manual, section 9.2.5 for the names that are functions only directly before `(`.

use super::expr::{Interval, binary, node};
use super::{Parsed, Parser};
use crate::ast::{AggregateCall, BinaryOp, Expr, IntervalUnit, JsonOn, Literal};
use crate::keyword::Kw;
use crate::lexer::Tok;
use weald_types::{Fault, SqlMode};

fn function(name: &str, args: Vec<Expr>) -> Expr {
    Expr::Function { name: name.into(), args, span: Default::default() }
}

fn text(value: &str) -> Expr {
    Expr::Literal(Literal::String { value: value.into(), charset: None })
}

impl Parser<'_> {
    /// An operand that begins with a word.
    pub(super) fn word_atom(&mut self) -> Parsed<Box<Expr>> {
        let kw = self.tok.kw;
        if kw == Kw::NotOne {
            return if self.next_is(Tok::LParen) { self.call() } else { self.column() };
        }
        let constant = match kw {
            Kw::NULL => Some(Literal::Null),
            Kw::TRUE => Some(Literal::Bool(true)),
            Kw::FALSE => Some(Literal::Bool(false)),
            _ => None,
        };
        if let Some(constant) = constant {
            self.bump();
            return node(Expr::Literal(constant));
        }
        if !kw.is_reserved() {
            let next = self.peek().kind;
            return match next {
                Tok::LParen => self.call(),
                Tok::String if matches!(kw, Kw::DATE | Kw::TIME | Kw::TIMESTAMP) => self.typed_literal(),
                _ => self.column(),
            };
        }
        self.reserved_atom(kw)
    }

    #[inline(never)]
    fn typed_literal(&mut self) -> Parsed<Box<Expr>> {
        let kw = self.tok.kw;
        self.bump();
        let value = self.string()?;
        node(Expr::Literal(match kw {
            Kw::DATE => Literal::Date(value),
            Kw::TIME => Literal::Time(value),
            _ => Literal::Timestamp(value),
        }))
    }

    #[inline(never)]
    fn reserved_atom(&mut self, kw: Kw) -> Parsed<Box<Expr>> {
        let start = self.tok.start;
        match kw {
            Kw::CASE => self.case(),
            Kw::EXISTS => {
                self.bump();
                node(Expr::Exists { query: self.subquery()?, negated: false })
            }
            Kw::INTERVAL => self.interval_first(),
            Kw::CURRENT_DATE | Kw::UTC_DATE => {
                self.bump();
                if self.eat_tok(Tok::LParen) {
                    self.expect_tok(Tok::RParen)?;
                }
                node(self.named(if kw == Kw::CURRENT_DATE { "CURDATE" } else { "UTC_DATE" }, vec![], start))
            }
            Kw::CURRENT_USER => {
                self.bump();
                if self.eat_tok(Tok::LParen) {
                    self.expect_tok(Tok::RParen)?;
                }
                node(self.named("CURRENT_USER", vec![], start))
            }
            Kw::CURRENT_TIME | Kw::UTC_TIME | Kw::UTC_TIMESTAMP | Kw::CURRENT_TIMESTAMP | Kw::LOCALTIME | Kw::LOCALTIMESTAMP => self.clock(),
            Kw::DEFAULT => {
                self.bump();
                let c = self.parens(Self::object_column)?;
                node(Expr::Default(Some(c.name)))
            }
            Kw::VALUES => {
                self.bump();
                let c = self.parens(Self::object_column)?;
                node(Expr::InsertValues(c.name))
            }
            Kw::CONVERT => self.convert(),
            Kw::MATCH => self.match_against(),
            Kw::ROW => {
                self.bump();
                self.expect_tok(Tok::LParen)?;
                let args = self.exprs()?;
                if args.len() < 2 {
                    return self.unexpected();
                }
                self.expect_tok(Tok::RParen)?;
                node(Expr::Row(args))
            }
            Kw::CHAR => self.char_function(),
            Kw::CUME_DIST
            | Kw::DENSE_RANK
            | Kw::PERCENT_RANK
            | Kw::RANK
            | Kw::ROW_NUMBER
            | Kw::NTILE
            | Kw::LAG
            | Kw::LEAD
            | Kw::FIRST_VALUE
            | Kw::LAST_VALUE
            | Kw::NTH_VALUE => self.window_function(),
            Kw::IF | Kw::LEFT | Kw::RIGHT | Kw::REPEAT | Kw::REPLACE | Kw::INSERT | Kw::DATABASE | Kw::SCHEMA | Kw::MOD | Kw::GROUPING
                if self.next_is(Tok::LParen) =>
            {
                self.call()
            }
            _ => self.unexpected(),
        }
    }

    fn named(&self, name: &str, args: Vec<Expr>, start: u32) -> Expr {
        Expr::Function { name: name.into(), args, span: self.span_from(start) }
    }

    /// `INTERVAL n unit + expr`, or the function INTERVAL.
    fn interval_first(&mut self) -> Parsed<Box<Expr>> {
        match self.interval()? {
            Interval::Amount(amount, unit) => {
                self.expect_tok(Tok::Plus)?;
                node(Expr::DateArith { expr: self.boxed_expr()?, amount, unit, subtract: false })
            }
            Interval::Function(function) => Ok(function),
        }
    }

    /// NOW and its kin: `[([fsp])]`.
    fn clock(&mut self) -> Parsed<Box<Expr>> {
        let start = self.tok.start;
        let name = match self.tok.kw {
            Kw::CURRENT_TIME | Kw::CURTIME => "CURTIME",
            Kw::UTC_TIME => "UTC_TIME",
            Kw::UTC_TIMESTAMP => "UTC_TIMESTAMP",
            Kw::SYSDATE => "SYSDATE",
            _ => "NOW",
        };
        self.bump();
        let mut args = vec![];
        if self.eat_tok(Tok::LParen) {
            if self.is(Tok::Integer) {
                args.push(Expr::Literal(Literal::Integer(self.number()?)));
            }
            self.expect_tok(Tok::RParen)?;
        }
        node(self.named(name, args, start))
    }

    #[inline(never)]
    fn convert(&mut self) -> Parsed<Box<Expr>> {
        self.bump();
        self.expect_tok(Tok::LParen)?;
        let expr = self.boxed_expr()?;
        let e = if self.eat_tok(Tok::Comma) {
            Expr::Cast { expr, data_type: self.cast_type()? }
        } else {
            self.expect(Kw::USING)?;
            if self.eat(Kw::DEFAULT) {
                Expr::ConvertUsing { expr, charset: "default".into() }
            } else {
                Expr::ConvertUsing { expr, charset: self.charset_name()? }
            }
        };
        self.expect_tok(Tok::RParen)?;
        node(e)
    }

    #[inline(never)]
    fn char_function(&mut self) -> Parsed<Box<Expr>> {
        let start = self.tok.start;
        self.bump();
        self.expect_tok(Tok::LParen)?;
        let args = self.exprs()?;
        let charset = if self.eat(Kw::USING) { Some(self.charset_name()?) } else { None };
        self.expect_tok(Tok::RParen)?;
        let call = self.named("CHAR", args, start);
        node(match charset {
            Some(charset) => Expr::ConvertUsing { expr: Box::new(call), charset },
            None => call,
        })
    }

    #[inline(never)]
    fn match_against(&mut self) -> Parsed<Box<Expr>> {
        self.bump();
        let columns = if self.is(Tok::LParen) { self.parens(|p| p.list(Self::column))? } else { self.list(Self::column)? };
        let columns = columns.into_iter().map(|c| *c).collect();
        self.expect(Kw::AGAINST)?;
        self.expect_tok(Tok::LParen)?;
        let against = self.bit_operand()?;
        let mut mode = vec![];
        if self.eat(Kw::IN) {
            if self.eat(Kw::BOOLEAN) {
                mode.push("BOOLEAN MODE");
            } else {
                self.expect(Kw::NATURAL)?;
                self.expect(Kw::LANGUAGE)?;
                mode.push("NATURAL LANGUAGE MODE");
            }
            self.expect(Kw::MODE)?;
        }
        if mode != ["BOOLEAN MODE"] && self.eat(Kw::WITH) {
            self.expect(Kw::QUERY)?;
            self.expect(Kw::EXPANSION)?;
            mode.push("WITH QUERY EXPANSION");
        }
        self.expect_tok(Tok::RParen)?;
        node(Expr::Match { columns, against, mode: mode.join(" ") })
    }

    /// Names that are functions only with `(` directly after them, unless IGNORE_SPACE is set.
    fn needs_adjacent_paren(kw: Kw) -> bool {
        matches!(
            kw,
            Kw::ADDDATE
                | Kw::BIT_AND
                | Kw::BIT_OR
                | Kw::BIT_XOR
                | Kw::CAST
                | Kw::COUNT
                | Kw::CURDATE
                | Kw::CURTIME
                | Kw::DATE_ADD
                | Kw::DATE_SUB
                | Kw::EXTRACT
                | Kw::GROUP_CONCAT
                | Kw::JSON_ARRAYAGG
                | Kw::JSON_OBJECTAGG
                | Kw::MAX
                | Kw::MID
                | Kw::MIN
                | Kw::NOW
                | Kw::POSITION
                | Kw::SESSION_USER
                | Kw::STD
                | Kw::STDDEV
                | Kw::STDDEV_POP
                | Kw::STDDEV_SAMP
                | Kw::SUBDATE
                | Kw::SUBSTR
                | Kw::SUBSTRING
                | Kw::SUM
                | Kw::SYSDATE
                | Kw::SYSTEM_USER
                | Kw::TRIM
                | Kw::VARIANCE
                | Kw::VAR_POP
                | Kw::VAR_SAMP
        )
    }

    /// `name(…)`, the name not qualified.
    #[inline(never)]
    pub(super) fn call(&mut self) -> Parsed<Box<Expr>> {
        let t = self.tok;
        if t.kind == Tok::Quoted && Kw::of(self.name_of(t).as_bytes()) != Kw::NotOne {
            return self.quoted_call();
        }
        let adjacent = self.peek().start == t.end || self.sql_mode.has(SqlMode::IGNORE_SPACE | SqlMode::ANSI);
        if !adjacent && Self::needs_adjacent_paren(t.kw) {
            return self.spaced_call();
        }
        match t.kw {
            Kw::COUNT
            | Kw::SUM
            | Kw::AVG
            | Kw::MIN
            | Kw::MAX
            | Kw::BIT_AND
            | Kw::BIT_OR
            | Kw::BIT_XOR
            | Kw::STD
            | Kw::STDDEV
            | Kw::STDDEV_POP
            | Kw::STDDEV_SAMP
            | Kw::VARIANCE
            | Kw::VAR_POP
            | Kw::VAR_SAMP
            | Kw::JSON_ARRAYAGG
            | Kw::JSON_OBJECTAGG
            | Kw::GROUP_CONCAT => self.aggregate(),
            Kw::EXTRACT
            | Kw::TRIM
            | Kw::SUBSTRING
            | Kw::SUBSTR
            | Kw::MID
            | Kw::POSITION
            | Kw::ADDDATE
            | Kw::DATE_ADD
            | Kw::SUBDATE
            | Kw::DATE_SUB
            | Kw::TIMESTAMPADD
            | Kw::TIMESTAMPDIFF
            | Kw::GET_FORMAT
            | Kw::WEIGHT_STRING
            | Kw::JSON_VALUE => self.special_call(t.kw),
            Kw::NOW | Kw::CURTIME | Kw::SYSDATE => self.clock(),
            _ => self.plain_call(),
        }
    }

    #[inline(never)]
    fn plain_call(&mut self) -> Parsed<Box<Expr>> {
        let t = self.tok;
        let mut name = self.name_of(t).to_ascii_uppercase();
        self.bump();
        if t.kw == Kw::CAST {
            return self.cast();
        }
        self.expect_tok(Tok::LParen)?;
        if name == "APPROX_COUNT_DISTINCT" || self.at(Kw::DISTINCT) && name == "ANY_VALUE" {
            return self.aggregate_rest(name, t.start);
        }
        let mut args = if self.is(Tok::RParen) { vec![] } else { self.exprs()? };
        self.expect_tok(Tok::RParen)?;
        let canonical = match t.kw {
            Kw::SCHEMA => "DATABASE",
            Kw::SESSION_USER | Kw::SYSTEM_USER => "USER",
            Kw::MOD if args.len() == 2 => {
                let right = args.pop().unwrap_or(Expr::Literal(Literal::Null));
                let left = args.pop().unwrap_or(Expr::Literal(Literal::Null));
                return Ok(binary(BinaryOp::Mod, Box::new(left), Box::new(right)));
            }
            Kw::CURDATE => "CURDATE",
            _ => "",
        };
        if !canonical.is_empty() {
            name = canonical.into();
        }
        if self.at(Kw::OVER) {
            let over = self.over()?;
            return node(Expr::Aggregate(Box::new(AggregateCall {
                name,
                distinct: false,
                star: false,
                args,
                order_by: vec![],
                separator: None,
                over,
                span: self.span_from(t.start),
            })));
        }
        node(self.named(&name, args, t.start))
    }

    fn cast(&mut self) -> Parsed<Box<Expr>> {
        self.expect_tok(Tok::LParen)?;
        let expr = self.boxed_expr()?;
        if self.at(Kw::AT) {
            return self.not_supported("CAST AT TIME ZONE");
        }
        self.expect(Kw::AS)?;
        let data_type = self.cast_type()?;
        self.expect_tok(Tok::RParen)?;
        node(Expr::Cast { expr, data_type })
    }

    /// A quoted name is never one of the functions that the grammar knows by name, though a native function of a plain name may be quoted.
    fn quoted_call(&mut self) -> Parsed<Box<Expr>> {
        let name = self.name_of(self.tok);
        let kw = Kw::of(name.as_bytes());
        let grammar = kw.is_reserved() || Self::needs_adjacent_paren(kw) || Self::has_own_syntax(kw);
        if grammar {
            return Err(Box::new(Fault::mysql(1305, "42000", format!("FUNCTION {name} does not exist"))));
        }
        self.plain_call()
    }

    fn has_own_syntax(kw: Kw) -> bool {
        matches!(kw, Kw::AVG | Kw::CAST | Kw::TIMESTAMPADD | Kw::TIMESTAMPDIFF | Kw::GET_FORMAT | Kw::WEIGHT_STRING | Kw::JSON_VALUE)
    }

    /// `COUNT (x)` with a space is the call of a stored function of that name; `COUNT (*)` is not even that.
    fn spaced_call(&mut self) -> Parsed<Box<Expr>> {
        let name = self.name_of(self.tok);
        self.bump();
        self.expect_tok(Tok::LParen)?;
        if !self.is(Tok::RParen) {
            self.exprs()?;
        }
        self.expect_tok(Tok::RParen)?;
        let message = format!("FUNCTION {name} does not exist. Check the 'Function Name Parsing and Resolution' section in the Reference Manual");
        Err(Box::new(Fault::mysql(1630, "42000", message)))
    }

    /// `database.name(…)`: only stored functions are called so.
    #[inline(never)]
    pub(super) fn qualified_call(&mut self, name: Expr, start: u32) -> Parsed<Box<Expr>> {
        let Expr::Column { table: Some(database), name, .. } = name else { return self.unexpected() };
        self.expect_tok(Tok::LParen)?;
        let args = if self.is(Tok::RParen) { vec![] } else { self.exprs()? };
        self.expect_tok(Tok::RParen)?;
        node(self.named(&format!("{database}.{name}"), args, start))
    }

    /// Each syntax is a function of its own, so that nesting one costs no more stack than it must.
    fn special_call(&mut self, kw: Kw) -> Parsed<Box<Expr>> {
        let start = self.tok.start;
        self.bump();
        self.expect_tok(Tok::LParen)?;
        let mut e = match kw {
            Kw::EXTRACT => self.extract_args()?,
            Kw::TRIM => self.trim_args()?,
            Kw::SUBSTRING | Kw::SUBSTR | Kw::MID => self.substring_args()?,
            Kw::POSITION => self.position_args()?,
            Kw::ADDDATE | Kw::DATE_ADD | Kw::SUBDATE | Kw::DATE_SUB => self.date_arith_args(kw)?,
            Kw::TIMESTAMPADD | Kw::TIMESTAMPDIFF => self.timestamp_args(kw)?,
            Kw::GET_FORMAT => self.get_format_args()?,
            Kw::WEIGHT_STRING => self.weight_string_args()?,
            _ => self.json_value()?,
        };
        self.expect_tok(Tok::RParen)?;
        if let Expr::Function { span, .. } = e.as_mut() {
            *span = self.span_from(start);
        }
        Ok(e)
    }

    fn extract_args(&mut self) -> Parsed<Box<Expr>> {
        let unit = self.interval_unit()?;
        self.expect(Kw::FROM)?;
        node(Expr::Extract { unit, expr: self.boxed_expr()? })
    }

    fn substring_args(&mut self) -> Parsed<Box<Expr>> {
        let mut args = vec![self.expr()?];
        let words = self.eat(Kw::FROM);
        if !words {
            self.expect_tok(Tok::Comma)?;
        }
        args.push(self.expr()?);
        let more = if words { self.eat(Kw::FOR) } else { self.eat_tok(Tok::Comma) };
        if more {
            args.push(self.expr()?);
        }
        node(function("SUBSTRING", args))
    }

    fn position_args(&mut self) -> Parsed<Box<Expr>> {
        let needle = self.bit_operand()?;
        self.expect(Kw::IN)?;
        let hay = self.boxed_expr()?;
        node(function("LOCATE", vec![*needle, *hay]))
    }

    fn timestamp_args(&mut self, kw: Kw) -> Parsed<Box<Expr>> {
        let unit = self.timestamp_unit()?;
        self.expect_tok(Tok::Comma)?;
        let first = self.expr()?;
        self.expect_tok(Tok::Comma)?;
        let args = vec![first, self.expr()?];
        node(Expr::TimestampFunction { name: kw.name().into(), unit, args })
    }

    fn get_format_args(&mut self) -> Parsed<Box<Expr>> {
        let what = match self.tok.kw {
            // MySQL treats TIMESTAMP as DATETIME here.
            Kw::DATETIME | Kw::TIMESTAMP => "DATETIME",
            kw @ (Kw::DATE | Kw::TIME) => kw.name(),
            _ => return self.unexpected(),
        };
        self.bump();
        self.expect_tok(Tok::Comma)?;
        node(function("GET_FORMAT", vec![text(what), self.expr()?]))
    }

    fn weight_string_args(&mut self) -> Parsed<Box<Expr>> {
        let mut args = vec![self.expr()?];
        if self.eat(Kw::AS) {
            let kind = if self.eat(Kw::BINARY) { "BINARY" } else { "CHAR" };
            if kind == "CHAR" {
                self.expect(Kw::CHAR)?;
            }
            let length = self.parens(Self::number)?;
            args.extend([text(kind), Expr::Literal(Literal::Integer(length))]);
        }
        node(function("WEIGHT_STRING", args))
    }

    fn trim_args(&mut self) -> Parsed<Box<Expr>> {
        let side = match self.tok.kw {
            Kw::BOTH => "TRIM_BOTH",
            Kw::LEADING => "TRIM_LEADING",
            Kw::TRAILING => "TRIM_TRAILING",
            _ => "",
        };
        if side.is_empty() {
            let first = self.expr()?;
            if self.eat(Kw::FROM) {
                return node(function("TRIM_BOTH", vec![self.expr()?, first]));
            }
            return node(function("TRIM", vec![first]));
        }
        self.bump();
        if self.eat(Kw::FROM) {
            return node(function(side, vec![self.expr()?]));
        }
        let what = self.expr()?;
        self.expect(Kw::FROM)?;
        node(function(side, vec![self.expr()?, what]))
    }

    fn date_arith_args(&mut self, kw: Kw) -> Parsed<Box<Expr>> {
        let expr = self.boxed_expr()?;
        self.expect_tok(Tok::Comma)?;
        let subtract = matches!(kw, Kw::SUBDATE | Kw::DATE_SUB);
        if self.at(Kw::INTERVAL) {
            return match self.interval()? {
                Interval::Amount(amount, unit) => node(Expr::DateArith { expr, amount, unit, subtract }),
                // DATE_ADD(x, INTERVAL(1, 2)): the unit is missing.
                Interval::Function(_) => self.unexpected(),
            };
        }
        if matches!(kw, Kw::DATE_ADD | Kw::DATE_SUB) {
            return self.unexpected();
        }
        node(Expr::DateArith { expr, amount: self.boxed_expr()?, unit: IntervalUnit::Day, subtract })
    }

    /// TIMESTAMPADD's units are the simple ones, also with SQL_TSI_ before them.
    fn timestamp_unit(&mut self) -> Parsed<IntervalUnit> {
        if self.is(Tok::Word) && self.tok.kw == Kw::NotOne {
            let word = self.name_of(self.tok).to_ascii_uppercase();
            let unit = match word.strip_prefix("SQL_TSI_").unwrap_or("") {
                "SECOND" => IntervalUnit::Second,
                "MINUTE" => IntervalUnit::Minute,
                "HOUR" => IntervalUnit::Hour,
                "DAY" => IntervalUnit::Day,
                "WEEK" => IntervalUnit::Week,
                "MONTH" => IntervalUnit::Month,
                "QUARTER" => IntervalUnit::Quarter,
                "YEAR" => IntervalUnit::Year,
                _ => return self.unexpected(),
            };
            self.bump();
            return Ok(unit);
        }
        let start = self.tok.start;
        match self.interval_unit()? {
            u @ (IntervalUnit::Microsecond
            | IntervalUnit::Second
            | IntervalUnit::Minute
            | IntervalUnit::Hour
            | IntervalUnit::Day
            | IntervalUnit::Week
            | IntervalUnit::Month
            | IntervalUnit::Quarter
            | IntervalUnit::Year) => Ok(u),
            _ => Err(self.syntax_error(start)),
        }
    }

    fn json_value(&mut self) -> Parsed<Box<Expr>> {
        let doc = self.boxed_expr()?;
        self.expect_tok(Tok::Comma)?;
        let path = self.string()?;
        let returning = if self.eat(Kw::RETURNING) { Some(self.cast_type()?) } else { None };
        let (on_empty, on_error) = self.json_on()?;
        node(Expr::JsonValue { doc, path, returning, on_empty, on_error })
    }

    /// `[… ON EMPTY] [… ON ERROR]`
    pub(super) fn json_on(&mut self) -> Parsed<(Option<JsonOn>, Option<JsonOn>)> {
        let (mut on_empty, mut on_error) = (None, None);
        while self.at_any(&[Kw::NULL, Kw::ERROR, Kw::DEFAULT]) {
            let action = match self.tok.kw {
                Kw::NULL => {
                    self.bump();
                    JsonOn::Null
                }
                Kw::ERROR => {
                    self.bump();
                    JsonOn::Error
                }
                _ => {
                    self.bump();
                    let negative = self.eat_tok(Tok::Minus);
                    let value = self.literal_only()?;
                    JsonOn::Default(if negative { Box::new(Expr::Unary { op: crate::ast::UnaryOp::Minus, expr: value }) } else { value })
                }
            };
            self.expect(Kw::ON)?;
            if self.at(Kw::EMPTY) && on_empty.is_none() && on_error.is_none() {
                on_empty = Some(action);
            } else if self.at(Kw::ERROR) && on_error.is_none() {
                on_error = Some(action);
            } else {
                return self.unexpected();
            }
            self.bump();
        }
        Ok((on_empty, on_error))
    }

    pub(super) fn literal_only(&mut self) -> Parsed<Box<Expr>> {
        match self.tok.kind {
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
            Tok::Word if self.at_any(&[Kw::NULL, Kw::TRUE, Kw::FALSE, Kw::DATE, Kw::TIME, Kw::TIMESTAMP]) => self.word_atom(),
            _ => self.unexpected(),
        }
    }
}
