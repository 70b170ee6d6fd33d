//! FROM: tables, derived tables and joins.
//!
//! Owns:     nothing.
//! Promises: each ON belongs to the nearest join before it that has none; inner joins left without a condition lean left, as MySQL rewrites them.
//! Never:    resolves a name.

use super::{MAX_DEPTH, Parsed, Parser, too_deep};
use crate::ast::{IndexHint, IndexHintKind, JoinKind, JoinOn, JsonTableColumn, ObjectName, Query, TableRef};
use crate::keyword::Kw;
use crate::lexer::Tok;

/// A joined part, and how many joins not in parentheses lead down its left side.
struct Part {
    table: TableRef,
    spine: u32,
}

enum Paren {
    Query(Box<Query>),
    Tables(TableRef),
}

fn join(kind: JoinKind, natural: bool, left: TableRef, right: TableRef, on: JoinOn) -> TableRef {
    TableRef::Join { kind, natural, left: Box::new(left), right: Box::new(right), on }
}

impl Parser<'_> {
    pub(super) fn table_references(&mut self) -> Parsed<Vec<TableRef>> {
        self.list(Self::table_reference)
    }

    fn join_kind(&mut self) -> Parsed<Option<(JoinKind, bool)>> {
        let natural = self.eat(Kw::NATURAL);
        let kind = match self.tok.kw {
            Kw::JOIN => JoinKind::Inner,
            Kw::INNER => JoinKind::Inner,
            Kw::CROSS if !natural => JoinKind::Cross,
            Kw::STRAIGHT_JOIN if !natural => {
                self.bump();
                return Ok(Some((JoinKind::Straight, false)));
            }
            Kw::LEFT => JoinKind::Left,
            Kw::RIGHT => JoinKind::Right,
            // MySQL has no FULL JOIN and takes FULL for an alias; MemSQL has it.
            Kw::FULL if self.next_at(Kw::OUTER) || self.next_at(Kw::JOIN) => JoinKind::Full,
            _ if natural => return self.unexpected(),
            _ => return Ok(None),
        };
        if !self.eat(Kw::JOIN) {
            self.bump();
            if matches!(kind, JoinKind::Left | JoinKind::Right | JoinKind::Full) {
                self.eat(Kw::OUTER);
            }
            self.expect(Kw::JOIN)?;
        }
        Ok(Some((kind, natural)))
    }

    /// ON, but not the ON DUPLICATE KEY UPDATE of an INSERT … SELECT.
    fn at_on(&self) -> bool {
        self.at(Kw::ON) && !(self.next_at(Kw::DUPLICATE) && self.peek_after(1).kw == Kw::KEY)
    }

    pub(super) fn table_reference(&mut self) -> Parsed<TableRef> {
        let first = self.table_factor()?;
        self.joins(first)
    }

    /// The joins after `first`. A stack of parts and of joins that still wait for their condition.
    fn joins(&mut self, first: TableRef) -> Parsed<TableRef> {
        let mut parts = vec![Part { table: first, spine: 0 }];
        let mut waiting: Vec<JoinKind> = vec![];
        let mut count = 0;
        loop {
            if let Some((kind, natural)) = self.join_kind()? {
                count += 1;
                if count > MAX_DEPTH {
                    return Err(too_deep());
                }
                let right = self.table_factor()?;
                match parts.pop() {
                    Some(left) if natural => parts.push(Part { table: join(kind, true, left.table, right, JoinOn::None), spine: left.spine + 1 }),
                    left => {
                        parts.extend(left);
                        parts.push(Part { table: right, spine: 0 });
                        waiting.push(kind);
                    }
                }
            } else if self.at(Kw::USING) || self.at_on() {
                // An ON too many is somebody else's, or an error there.
                let Some(kind) = waiting.pop() else { break };
                let on = if self.eat(Kw::USING) {
                    JoinOn::Using(self.paren_idents()?)
                } else {
                    self.bump();
                    JoinOn::On(self.expr()?)
                };
                if let (Some(right), Some(left)) = (parts.pop(), parts.pop()) {
                    parts.push(Part { table: join(kind, false, left.table, right.table, on), spine: left.spine + 1 });
                }
            } else {
                break;
            }
        }
        while let Some(kind) = waiting.pop() {
            if matches!(kind, JoinKind::Left | JoinKind::Right | JoinKind::Full) {
                return self.unexpected();
            }
            if let (Some(right), Some(left)) = (parts.pop(), parts.pop()) {
                parts.push(Part { spine: left.spine + right.spine + 1, table: cross_leftmost(kind, left.table, right.table, right.spine) });
            }
        }
        match parts.pop() {
            Some(part) => Ok(part.table),
            None => self.unexpected(),
        }
    }

    fn table_factor(&mut self) -> Parsed<TableRef> {
        match self.tok.kind {
            Tok::LParen => match self.table_paren()? {
                Paren::Query(query) => self.derived(query, false),
                Paren::Tables(table) => Ok(table),
            },
            Tok::LBrace => {
                self.bump();
                if !self.eat(Kw::OJ) {
                    self.ident()?;
                }
                self.enter()?;
                let table = self.table_reference()?;
                self.leave();
                self.expect_tok(Tok::RBrace)?;
                Ok(table)
            }
            Tok::Word if self.at(Kw::LATERAL) => {
                self.bump();
                let query = self.subquery()?;
                self.derived(query, true)
            }
            Tok::Word if self.at(Kw::JSON_TABLE) => self.json_table(),
            _ => {
                let name = self.object_name()?;
                self.table_after_name(name)
            }
        }
    }

    pub(super) fn table_after_name(&mut self, name: ObjectName) -> Parsed<TableRef> {
        self.refuse_partition()?;
        let alias = self.table_alias()?;
        let hints = self.index_hints()?;
        Ok(TableRef::Table { name, alias, hints })
    }

    /// `PARTITION (p, …)` after a table's name.
    pub(super) fn refuse_partition(&mut self) -> Parsed<()> {
        if self.at(Kw::PARTITION) && self.next_is(Tok::LParen) {
            return self.not_supported("PARTITION selection");
        }
        Ok(())
    }

    fn table_alias(&mut self) -> Parsed<Option<String>> {
        if self.eat(Kw::AS) {
            return self.ident().map(Some);
        }
        if self.at(Kw::FULL) && (self.next_at(Kw::OUTER) || self.next_at(Kw::JOIN)) {
            return Ok(None);
        }
        if self.at_ident() { self.ident().map(Some) } else { Ok(None) }
    }

    fn derived(&mut self, query: Box<Query>, lateral: bool) -> Parsed<TableRef> {
        let alias = self.table_alias()?;
        let columns = if alias.is_some() && self.is(Tok::LParen) { self.paren_idents()? } else { vec![] };
        Ok(TableRef::Derived { query, alias, columns, lateral })
    }

    /// As [`Parser::paren`] is for expressions: a query or tables, known only after the inner parentheses.
    fn table_paren(&mut self) -> Parsed<Paren> {
        self.enter()?;
        self.expect_tok(Tok::LParen)?;
        let inner = if self.starts_query() {
            Paren::Query(self.query()?)
        } else if self.is(Tok::LParen) {
            match self.table_paren()? {
                Paren::Query(q) if self.is(Tok::RParen) || self.continues_query() => Paren::Query(self.query_from(q)?),
                Paren::Query(q) => {
                    let table = self.derived(q, false)?;
                    Paren::Tables(self.paren_tables(table)?)
                }
                Paren::Tables(table) => Paren::Tables(self.paren_tables(table)?),
            }
        } else {
            let first = self.table_factor()?;
            Paren::Tables(self.paren_tables(first)?)
        };
        self.expect_tok(Tok::RParen)?;
        self.leave();
        Ok(inner)
    }

    /// Inside parentheses a comma is a cross join.
    fn paren_tables(&mut self, first: TableRef) -> Parsed<TableRef> {
        let mut left = self.joins(first)?;
        let mut count = 0;
        while self.eat_tok(Tok::Comma) {
            count += 1;
            if count > MAX_DEPTH {
                return Err(too_deep());
            }
            let right = self.table_reference()?;
            left = join(JoinKind::Cross, false, left, right, JoinOn::None);
        }
        Ok(left)
    }

    fn index_hints(&mut self) -> Parsed<Vec<IndexHint>> {
        let mut hints = vec![];
        loop {
            let kind = match self.tok.kw {
                Kw::USE => IndexHintKind::Use,
                Kw::FORCE => IndexHintKind::Force,
                Kw::IGNORE => IndexHintKind::Ignore,
                _ => return Ok(hints),
            };
            self.bump();
            if !self.eat(Kw::INDEX) {
                self.expect(Kw::KEY)?;
            }
            // What the hint is for makes no difference here.
            if self.eat(Kw::FOR) && !self.eat(Kw::JOIN) {
                if !self.eat(Kw::ORDER) {
                    self.expect(Kw::GROUP)?;
                }
                self.expect(Kw::BY)?;
            }
            self.expect_tok(Tok::LParen)?;
            let indexes = if kind == IndexHintKind::Use && self.is(Tok::RParen) { vec![] } else { self.list(Self::index_name)? };
            self.expect_tok(Tok::RParen)?;
            hints.push(IndexHint { kind, indexes });
        }
    }

    fn index_name(&mut self) -> Parsed<String> {
        if self.eat(Kw::PRIMARY) { Ok("PRIMARY".into()) } else { self.ident() }
    }

    fn json_table(&mut self) -> Parsed<TableRef> {
        self.expect(Kw::JSON_TABLE)?;
        self.expect_tok(Tok::LParen)?;
        let doc = self.boxed_expr()?;
        self.expect_tok(Tok::Comma)?;
        let path = self.string()?;
        let columns = self.json_columns()?;
        self.expect_tok(Tok::RParen)?;
        self.eat(Kw::AS);
        let alias = self.ident()?;
        Ok(TableRef::JsonTable { doc, path, columns, alias })
    }

    fn json_columns(&mut self) -> Parsed<Vec<JsonTableColumn>> {
        self.enter()?;
        self.expect(Kw::COLUMNS)?;
        let columns = self.parens(|p| p.list(Self::json_column))?;
        self.leave();
        Ok(columns)
    }

    fn json_column(&mut self) -> Parsed<JsonTableColumn> {
        if self.at(Kw::NESTED) && !self.next_at(Kw::FOR) {
            self.bump();
            self.eat(Kw::PATH);
            let path = self.string()?;
            return Ok(JsonTableColumn::Nested { path, columns: self.json_columns()? });
        }
        let name = self.ident()?;
        if self.eat(Kw::FOR) {
            self.expect(Kw::ORDINALITY)?;
            return Ok(JsonTableColumn::Ordinality(name));
        }
        let mut data_type = self.data_type()?;
        if self.eat(Kw::COLLATE) {
            data_type.collation = Some(self.collation_name()?);
        }
        let exists = self.eat(Kw::EXISTS);
        self.expect(Kw::PATH)?;
        let path = self.string()?;
        let (on_empty, on_error) = if exists { (None, None) } else { self.json_on()? };
        Ok(JsonTableColumn::Path { name, data_type, path, exists, on_empty, on_error })
    }
}

/// `left JOIN right` without a condition, where `right` was built of joins that are not in parentheses: it is the first table of those that `left` joins,
/// so that their conditions may speak of `left` too.
fn cross_leftmost(kind: JoinKind, left: TableRef, right: TableRef, spine: u32) -> TableRef {
    match right {
        TableRef::Join { kind: inner, natural, left: first, right, on } if spine > 0 => {
            TableRef::Join { kind: inner, natural, left: Box::new(cross_leftmost(kind, left, *first, spine - 1)), right, on }
        }
        right => join(kind, false, left, right, JoinOn::None),
    }
}
