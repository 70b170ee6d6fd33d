//! Aggregates and window functions.
//!
//! Owns:     nothing.
//! Promises: ALL is dropped, being the default; IGNORE NULLS, FROM LAST, GROUPS and EXCLUDE are refused as MySQL refuses them.
//! Never:    checks where an aggregate may stand.

use super::expr::{Interval, node};
use super::{Parsed, Parser};
use crate::ast::{AggregateCall, Expr, Frame, FrameBound, Literal, WindowRef, WindowSpec};
use crate::keyword::Kw;
use crate::lexer::Tok;

impl Parser<'_> {
    #[inline(never)]
    pub(super) fn aggregate(&mut self) -> Parsed<Box<Expr>> {
        let t = self.tok;
        self.bump();
        self.expect_tok(Tok::LParen)?;
        self.aggregate_rest(t.kw.name().into(), t.start)
    }

    /// After the parenthesis.
    pub(super) fn aggregate_rest(&mut self, name: String, start: u32) -> Parsed<Box<Expr>> {
        let mut call = AggregateCall {
            name,
            distinct: false,
            star: false,
            args: vec![],
            order_by: vec![],
            separator: None,
            over: None,
            span: Default::default(),
        };
        if call.name == "COUNT" && self.is(Tok::Star) {
            self.bump();
            call.star = true;
        } else {
            // ALL is the default; BIT_AND, STD and JSON_ARRAYAGG take it, DISTINCT they refuse.
            call.distinct = !self.eat(Kw::ALL)
                && matches!(call.name.as_str(), "COUNT" | "SUM" | "AVG" | "MIN" | "MAX" | "GROUP_CONCAT")
                && self.eat(Kw::DISTINCT);
            call.args.push(self.expr()?);
            while (call.distinct || matches!(call.name.as_str(), "GROUP_CONCAT" | "JSON_OBJECTAGG" | "APPROX_COUNT_DISTINCT"))
                && self.eat_tok(Tok::Comma)
            {
                call.args.push(self.expr()?);
            }
        }
        if call.name == "GROUP_CONCAT" {
            if self.eat(Kw::ORDER) {
                self.expect(Kw::BY)?;
                call.order_by = self.list(Self::order_item)?;
            }
            if self.eat(Kw::SEPARATOR) {
                call.separator = Some(self.string()?);
            }
        }
        self.expect_tok(Tok::RParen)?;
        call.over = self.over()?;
        call.span = self.span_from(start);
        node(Expr::Aggregate(Box::new(call)))
    }

    #[inline(never)]
    pub(super) fn window_function(&mut self) -> Parsed<Box<Expr>> {
        let t = self.tok;
        self.bump();
        self.expect_tok(Tok::LParen)?;
        let none = matches!(t.kw, Kw::CUME_DIST | Kw::DENSE_RANK | Kw::PERCENT_RANK | Kw::RANK | Kw::ROW_NUMBER);
        let args = if none || self.is(Tok::RParen) { vec![] } else { self.exprs()? };
        let fits = match t.kw {
            Kw::NTILE | Kw::FIRST_VALUE | Kw::LAST_VALUE => args.len() == 1,
            Kw::NTH_VALUE => args.len() == 2,
            Kw::LAG | Kw::LEAD => (1..=3).contains(&args.len()),
            _ => args.is_empty(),
        };
        if !fits {
            return self.unexpected();
        }
        self.expect_tok(Tok::RParen)?;
        if t.kw == Kw::NTH_VALUE && self.eat(Kw::FROM) {
            if self.at(Kw::LAST) {
                return self.not_supported("FROM LAST");
            }
            self.expect(Kw::FIRST)?;
        }
        if self.at(Kw::IGNORE) {
            return self.not_supported("IGNORE NULLS");
        }
        if self.eat(Kw::RESPECT) {
            self.expect(Kw::NULLS)?;
        }
        if !self.at(Kw::OVER) {
            return self.unexpected();
        }
        let over = self.over()?;
        let call = AggregateCall {
            name: t.kw.name().into(),
            distinct: false,
            star: false,
            args,
            order_by: vec![],
            separator: None,
            over,
            span: self.span_from(t.start),
        };
        node(Expr::Aggregate(Box::new(call)))
    }

    pub(super) fn over(&mut self) -> Parsed<Option<WindowRef>> {
        if !self.eat(Kw::OVER) {
            return Ok(None);
        }
        if self.is(Tok::LParen) {
            return Ok(Some(WindowRef::Spec(self.window_spec()?)));
        }
        Ok(Some(WindowRef::Name(self.ident()?)))
    }

    /// `([base] [PARTITION BY …] [ORDER BY …] [frame])`
    pub(super) fn window_spec(&mut self) -> Parsed<WindowSpec> {
        self.expect_tok(Tok::LParen)?;
        let mut spec = WindowSpec::default();
        if self.at_ident() {
            spec.base = Some(self.ident()?);
        }
        if self.eat(Kw::PARTITION) {
            self.expect(Kw::BY)?;
            spec.partition_by = self.exprs()?;
        }
        if self.eat(Kw::ORDER) {
            self.expect(Kw::BY)?;
            spec.order_by = self.list(Self::order_item)?;
        }
        if self.at(Kw::GROUPS) {
            return self.not_supported("GROUPS");
        }
        if self.at_any(&[Kw::ROWS, Kw::RANGE]) {
            spec.frame = Some(self.frame()?);
        }
        self.expect_tok(Tok::RParen)?;
        Ok(spec)
    }

    fn frame(&mut self) -> Parsed<Frame> {
        let rows = self.at(Kw::ROWS);
        self.bump();
        let (start, end) = if self.eat(Kw::BETWEEN) {
            let start = self.frame_bound()?;
            self.expect(Kw::AND)?;
            (start, self.frame_bound()?)
        } else {
            (self.frame_bound()?, FrameBound::CurrentRow)
        };
        if self.at(Kw::EXCLUDE) {
            return self.not_supported("EXCLUDE");
        }
        Ok(Frame { rows, start, end })
    }

    fn frame_bound(&mut self) -> Parsed<FrameBound> {
        if self.eat(Kw::CURRENT) {
            self.expect(Kw::ROW)?;
            return Ok(FrameBound::CurrentRow);
        }
        if self.eat(Kw::UNBOUNDED) {
            if self.eat(Kw::PRECEDING) {
                return Ok(FrameBound::UnboundedPreceding);
            }
            self.expect(Kw::FOLLOWING)?;
            return Ok(FrameBound::UnboundedFollowing);
        }
        let amount = if self.at(Kw::INTERVAL) {
            match self.interval()? {
                // A frame's distance in time: kept as an addition to NULL, which nothing else can look like.
                Interval::Amount(amount, unit) => {
                    Box::new(Expr::DateArith { expr: Box::new(Expr::Literal(Literal::Null)), amount, unit, subtract: false })
                }
                Interval::Function(_) => return self.unexpected(),
            }
        } else if self.is(Tok::Param) {
            self.boxed_expr()?
        } else {
            self.literal_only()?
        };
        if self.eat(Kw::PRECEDING) {
            return Ok(FrameBound::Preceding(amount));
        }
        self.expect(Kw::FOLLOWING)?;
        Ok(FrameBound::Following(amount))
    }
}
