//! SELECT, VALUES, TABLE; UNION, INTERSECT, EXCEPT; WITH; ORDER BY, LIMIT, locking, INTO.
//!
//! Owns:     nothing.
//! Promises: INTERSECT binds tighter than UNION and EXCEPT, which lean left; a parenthesised query keeps its own ORDER BY and LIMIT.
//! Never:    checks that columns match.

use super::expr::Paren;
use super::{MAX_DEPTH, Parsed, Parser, too_deep};
use crate::ast::{Cte, Expr, Into, Limit, LockWait, Locking, OrderItem, Query, Select, SelectItem, SetExpr, SetOp, With};
use crate::hint;
use crate::keyword::Kw;
use crate::lexer::Tok;
use weald_types::Fault;

/// A row of one set operation up to this long leans left, as it is written.
const LEANING: usize = 32;

impl Parser<'_> {
    /// Whether a query begins here; a parenthesis may be anything.
    pub(super) fn starts_query(&self) -> bool {
        match self.tok.kw {
            Kw::SELECT | Kw::WITH | Kw::TABLE => true,
            Kw::VALUES => self.next_at(Kw::ROW),
            _ => false,
        }
    }

    /// After a query in parentheses: whether what follows makes it part of a larger one.
    pub(super) fn continues_query(&self) -> bool {
        match self.tok.kw {
            Kw::UNION | Kw::EXCEPT | Kw::INTERSECT | Kw::ORDER | Kw::LIMIT | Kw::INTO => true,
            Kw::FOR => self.next_at(Kw::UPDATE) || self.next_at(Kw::SHARE),
            Kw::LOCK => self.next_at(Kw::IN),
            _ => false,
        }
    }

    pub(super) fn query(&mut self) -> Parsed<Box<Query>> {
        self.enter()?;
        let with = self.with()?;
        let first = self.set_primary()?;
        let q = self.query_rest(with, first)?;
        self.leave();
        Ok(q)
    }

    /// The query that begins with `(first)`, already read.
    pub(super) fn query_from(&mut self, first: Box<Query>) -> Parsed<Box<Query>> {
        self.query_rest(None, SetExpr::Query(first))
    }

    fn query_rest(&mut self, with: Option<With>, first: SetExpr) -> Parsed<Box<Query>> {
        let body = self.set_expr(first, false)?;
        let mut q = Box::new(Query { with, body, order_by: vec![], limit: None, locking: vec![], into: self.into.take() });
        if self.eat(Kw::ORDER) {
            self.expect(Kw::BY)?;
            q.order_by = self.list(Self::order_item)?;
        }
        q.limit = self.limit()?;
        if q.into.is_none() && self.at(Kw::INTO) {
            q.into = Some(self.destination()?);
        }
        q.locking = self.locking()?;
        if q.into.is_none() && self.at(Kw::INTO) {
            q.into = Some(self.destination()?);
        }
        // `(SELECT …)` with nothing around it is what it holds.
        let bare = q.with.is_none() && q.order_by.is_empty() && q.limit.is_none() && q.locking.is_empty() && q.into.is_none();
        match q.body {
            SetExpr::Query(inner) if bare => return Ok(inner),
            body => q.body = body,
        }
        Ok(q)
    }

    pub(super) fn with(&mut self) -> Parsed<Option<With>> {
        if !self.eat(Kw::WITH) {
            return Ok(None);
        }
        let recursive = self.eat(Kw::RECURSIVE);
        let ctes = self.list(|p| {
            let name = p.ident()?;
            let columns = if p.is(Tok::LParen) { p.paren_idents()? } else { vec![] };
            p.expect(Kw::AS)?;
            Ok(Cte { name, columns, query: p.subquery()? })
        })?;
        Ok(Some(With { recursive, ctes }))
    }

    fn set_op(&self, tight: bool) -> Option<SetOp> {
        match self.tok.kw {
            Kw::INTERSECT if tight => Some(SetOp::Intersect),
            Kw::UNION if !tight => Some(SetOp::Union),
            Kw::EXCEPT if !tight => Some(SetOp::Except),
            _ => None,
        }
    }

    /// Set operations after `first`: all of them, or (`tight`) the INTERSECTs.
    fn set_expr(&mut self, first: SetExpr, tight: bool) -> Parsed<SetExpr> {
        let mut left = if tight { first } else { self.set_expr(first, true)? };
        let mut chain = 0;
        while let Some(op) = self.set_op(tight) {
            // A row of the same operation is gathered first, so that thousands of UNION ALL make a tree that can be walked.
            let mut operands = vec![left];
            let mut all = None;
            while self.set_op(tight) == Some(op) {
                let this = self.peek_all();
                if *all.get_or_insert(this) != this {
                    break;
                }
                self.bump();
                if !self.eat(Kw::ALL) {
                    self.eat(Kw::DISTINCT);
                }
                let next = self.set_primary()?;
                operands.push(if tight { next } else { self.set_expr(next, true)? });
            }
            let all = all.unwrap_or(false);
            let balanced = op != SetOp::Except && operands.len() > LEANING;
            chain += if balanced { operands.len().ilog2() + 1 } else { operands.len() as u32 };
            if chain > MAX_DEPTH {
                return Err(too_deep());
            }
            left = if balanced { balance(op, all, operands) } else { lean(op, all, operands) };
        }
        Ok(left)
    }

    fn peek_all(&self) -> bool {
        self.next_at(Kw::ALL)
    }

    fn set_primary(&mut self) -> Parsed<SetExpr> {
        match self.tok.kw {
            Kw::SELECT => Ok(SetExpr::Select(Box::new(self.select()?))),
            Kw::VALUES => {
                self.bump();
                Ok(SetExpr::Values(self.list(Self::row_constructor)?))
            }
            Kw::TABLE => {
                self.bump();
                Ok(SetExpr::Table(self.object_name()?))
            }
            _ if self.is(Tok::LParen) => {
                let inside = self.after_parens();
                let start = inside.start;
                if !matches!(inside.kw, Kw::SELECT | Kw::WITH | Kw::TABLE | Kw::VALUES) && inside.kind != Tok::LParen {
                    return Err(self.syntax_error(start));
                }
                self.enter()?;
                let inner = self.paren()?;
                self.leave();
                match inner {
                    Paren::Query(q) => Ok(SetExpr::Query(q)),
                    Paren::Exprs(_) => Err(self.syntax_error(start)),
                }
            }
            _ => self.unexpected(),
        }
    }

    fn row_constructor(&mut self) -> Parsed<Vec<Expr>> {
        self.expect(Kw::ROW)?;
        self.expect_tok(Tok::LParen)?;
        let values = if self.is(Tok::RParen) { vec![] } else { self.list(Self::expr_or_default)? };
        self.expect_tok(Tok::RParen)?;
        Ok(values)
    }

    fn select(&mut self) -> Parsed<Select> {
        self.expect(Kw::SELECT)?;
        let time_limit = hint::max_execution_time(&self.text[self.last_end as usize..self.tok.start as usize]);
        let mut s = Select { time_limit, ..Select::default() };
        let mut all = false;
        loop {
            match self.tok.kw {
                Kw::DISTINCT | Kw::DISTINCTROW => s.distinct = true,
                Kw::ALL => all = true,
                Kw::STRAIGHT_JOIN => s.straight_join = true,
                Kw::SQL_CALC_FOUND_ROWS => s.calc_found_rows = true,
                // Advice to an optimiser that has no use for it.
                Kw::HIGH_PRIORITY | Kw::SQL_SMALL_RESULT | Kw::SQL_BIG_RESULT | Kw::SQL_BUFFER_RESULT | Kw::SQL_NO_CACHE => (),
                _ => break,
            }
            self.bump();
        }
        if all && s.distinct {
            return Err(Box::new(Fault::mysql(1221, "HY000", "Incorrect usage of ALL and DISTINCT")));
        }
        s.items = self.list(Self::select_item)?;
        // Handed on at the end, lest a subquery in FROM takes it for its own.
        let into = if self.at(Kw::INTO) { Some(self.destination()?) } else { None };
        if self.eat(Kw::FROM) && !self.eat(Kw::DUAL) {
            s.from = self.table_references()?;
        }
        if self.eat(Kw::WHERE) {
            s.filter = Some(self.expr()?);
        }
        if self.eat(Kw::GROUP) {
            self.expect(Kw::BY)?;
            s.group_by = self.list(|p| Ok(OrderItem { expr: p.expr()?, descending: false }))?;
            if self.at(Kw::WITH) && self.next_at(Kw::ROLLUP) {
                self.bump();
                self.bump();
                s.rollup = true;
            }
        }
        if self.eat(Kw::HAVING) {
            s.having = Some(self.expr()?);
        }
        if self.eat(Kw::WINDOW) {
            s.windows = self.list(|p| {
                let name = p.ident()?;
                p.expect(Kw::AS)?;
                Ok((name, p.window_spec()?))
            })?;
        }
        self.into = into;
        Ok(s)
    }

    fn select_item(&mut self) -> Parsed<SelectItem> {
        if self.eat_tok(Tok::Star) {
            return Ok(SelectItem::Wildcard);
        }
        if self.at_ident() && self.next_is(Tok::Dot) {
            let wildcard = match self.peek_after(1).kind {
                Tok::Star => true,
                Tok::Word | Tok::Quoted => self.peek_after(2).kind == Tok::Dot && self.peek_after(3).kind == Tok::Star,
                _ => false,
            };
            if wildcard {
                return self.qualified_wildcard();
            }
        }
        let start = self.tok.start;
        let expr = self.expr()?;
        let span = self.span_from(start);
        let alias = if self.eat(Kw::AS) || self.at_ident() || self.is(Tok::String) { Some(self.ident_or_string()?) } else { None };
        Ok(SelectItem::Expr { expr, alias, span })
    }

    fn qualified_wildcard(&mut self) -> Parsed<SelectItem> {
        let mut name = crate::ast::ObjectName { database: None, name: self.ident()? };
        self.expect_tok(Tok::Dot)?;
        if !self.is(Tok::Star) {
            name = crate::ast::ObjectName { database: Some(name.name), name: self.ident()? };
            self.expect_tok(Tok::Dot)?;
        }
        self.expect_tok(Tok::Star)?;
        Ok(SelectItem::QualifiedWildcard(name))
    }

    pub(super) fn order_item(&mut self) -> Parsed<OrderItem> {
        let expr = self.expr()?;
        let descending = self.eat(Kw::DESC);
        if !descending {
            self.eat(Kw::ASC);
        }
        Ok(OrderItem { expr, descending })
    }

    pub(super) fn order_by(&mut self) -> Parsed<Vec<OrderItem>> {
        if !self.eat(Kw::ORDER) {
            return Ok(vec![]);
        }
        self.expect(Kw::BY)?;
        self.list(Self::order_item)
    }

    /// `LIMIT n`, `LIMIT n OFFSET m`, `LIMIT m, n`
    pub(super) fn limit(&mut self) -> Parsed<Option<Limit>> {
        if !self.eat(Kw::LIMIT) {
            return Ok(None);
        }
        let first = self.limit_number()?;
        if self.eat(Kw::OFFSET) {
            return Ok(Some(Limit { count: first, offset: Some(self.limit_number()?) }));
        }
        if self.eat_tok(Tok::Comma) {
            return Ok(Some(Limit { count: self.limit_number()?, offset: Some(first) }));
        }
        Ok(Some(Limit { count: first, offset: None }))
    }

    pub(super) fn limit_number(&mut self) -> Parsed<Expr> {
        match self.tok.kind {
            Tok::Integer => {
                let start = self.tok.start;
                match *self.literal()? {
                    // Beyond u64.
                    Expr::Literal(crate::ast::Literal::Decimal(_)) => Err(self.syntax_error(start)),
                    e => Ok(e),
                }
            }
            Tok::Param => self.expr(),
            _ => self.unexpected(),
        }
    }

    fn locking(&mut self) -> Parsed<Vec<Locking>> {
        let mut all = Vec::new();
        loop {
            let one = if self.eat(Kw::FOR) {
                let exclusive = self.eat(Kw::UPDATE);
                if !exclusive {
                    self.expect(Kw::SHARE)?;
                }
                let of = if self.eat(Kw::OF) { self.idents()? } else { vec![] };
                let wait = if self.eat(Kw::NOWAIT) {
                    LockWait::NoWait
                } else if self.eat_two(Kw::SKIP, Kw::LOCKED) {
                    LockWait::SkipLocked
                } else {
                    LockWait::Default
                };
                Locking { exclusive, of, wait }
            } else if self.eat(Kw::LOCK) {
                self.expect(Kw::IN)?;
                self.expect(Kw::SHARE)?;
                self.expect(Kw::MODE)?;
                Locking { exclusive: false, of: vec![], wait: LockWait::Default }
            } else {
                return Ok(all);
            };
            all.push(one);
        }
    }

    fn destination(&mut self) -> Parsed<Into> {
        self.expect(Kw::INTO)?;
        if self.eat(Kw::OUTFILE) {
            let path = self.string()?;
            let charset = if self.eat_charset() { Some(self.charset_name()?) } else { None };
            return Ok(Into::Outfile { path, charset, format: self.load_format()? });
        }
        if self.eat(Kw::DUMPFILE) {
            return Ok(Into::Dumpfile(self.string()?));
        }
        Ok(Into::Variables(self.list(Self::user_variable)?))
    }
}

fn set_op(op: SetOp, all: bool, left: SetExpr, right: SetExpr) -> SetExpr {
    SetExpr::SetOp { op, all, left: Box::new(left), right: Box::new(right) }
}

fn lean(op: SetOp, all: bool, operands: Vec<SetExpr>) -> SetExpr {
    let mut operands = operands.into_iter();
    let first = operands.next().unwrap_or(SetExpr::Values(vec![]));
    operands.fold(first, |left, right| set_op(op, all, left, right))
}

/// UNION and INTERSECT are associative among their like, so the tree may as well be shallow.
fn balance(op: SetOp, all: bool, mut operands: Vec<SetExpr>) -> SetExpr {
    while operands.len() > 1 {
        let mut pairs = Vec::with_capacity(operands.len().div_ceil(2));
        let mut it = operands.into_iter();
        while let Some(left) = it.next() {
            pairs.push(match it.next() {
                Some(right) => set_op(op, all, left, right),
                None => left,
            });
        }
        operands = pairs;
    }
    operands.pop().unwrap_or(SetExpr::Values(vec![]))
}
