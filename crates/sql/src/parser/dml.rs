//! INSERT, REPLACE, UPDATE, DELETE.
//!
//! Owns:     nothing.
//! Promises: LOW_PRIORITY, HIGH_PRIORITY and QUICK are read and dropped: as in InnoDB, they change nothing.
//! Never:    checks columns against a table.

use super::{Parsed, Parser};
use crate::ast::{Delete, Expr, Ident, Insert, InsertSource, ObjectColumn, ObjectName, Statement, TableRef, Update, With};
use crate::keyword::Kw;
use crate::lexer::Tok;

impl Parser<'_> {
    pub(super) fn insert(&mut self) -> Parsed<Statement> {
        let replace = self.at(Kw::REPLACE);
        self.bump();
        let delayed = self.eat(Kw::DELAYED);
        if !delayed && (self.at(Kw::LOW_PRIORITY) || (self.at(Kw::HIGH_PRIORITY) && !replace)) {
            self.bump();
        }
        let ignore = !replace && self.eat(Kw::IGNORE);
        self.eat(Kw::INTO);
        let table = self.object_name()?;
        self.refuse_partition()?;
        let mut columns = vec![];
        let source = if self.eat(Kw::SET) {
            let (names, values) = self.list(Self::assignment)?.into_iter().map(|(c, e)| (c.name, e)).unzip();
            columns = names;
            InsertSource::Values(vec![values])
        } else {
            if self.is(Tok::LParen) && !self.paren_starts_query() {
                self.bump();
                if !self.is(Tok::RParen) {
                    columns = self.list(|p| p.object_column().map(|c| c.name))?;
                }
                self.expect_tok(Tok::RParen)?;
            }
            self.insert_source()?
        };
        let mut insert = Insert { replace, delayed, ignore, table, columns, source, row_alias: None, on_duplicate: vec![] };
        if !replace {
            if matches!(insert.source, InsertSource::Values(_)) && self.eat(Kw::AS) {
                let alias = self.ident()?;
                insert.row_alias = Some((alias, if self.is(Tok::LParen) { self.paren_idents()? } else { vec![] }));
            }
            if self.eat(Kw::ON) {
                for kw in [Kw::DUPLICATE, Kw::KEY, Kw::UPDATE] {
                    self.expect(kw)?;
                }
                insert.on_duplicate = self.list(Self::assignment)?;
            }
        }
        Ok(Statement::Insert(Box::new(insert)))
    }

    /// At `(`: whether it opens a query rather than a list of columns.
    fn paren_starts_query(&self) -> bool {
        self.next_is(Tok::LParen) || matches!(self.peek().kw, Kw::SELECT | Kw::WITH | Kw::TABLE | Kw::VALUES)
    }

    fn insert_source(&mut self) -> Parsed<InsertSource> {
        let values = self.at(Kw::VALUE) || (self.at(Kw::VALUES) && !self.next_at(Kw::ROW));
        if !values {
            return Ok(InsertSource::Query(self.query()?));
        }
        self.bump();
        let rows = self.list(|p| {
            p.expect_tok(Tok::LParen)?;
            let row = if p.is(Tok::RParen) { vec![] } else { p.list(Self::expr_or_default)? };
            p.expect_tok(Tok::RParen)?;
            Ok(row)
        })?;
        Ok(InsertSource::Values(rows))
    }

    /// `column = expr | DEFAULT`; `:=` is as good.
    pub(super) fn assignment(&mut self) -> Parsed<(ObjectColumn, Expr)> {
        let column = self.object_column()?;
        if !self.eat_tok(Tok::Eq) {
            self.expect_tok(Tok::Assign)?;
        }
        Ok((column, self.expr_or_default()?))
    }

    pub(super) fn update(&mut self, with: Option<With>) -> Parsed<Statement> {
        self.expect(Kw::UPDATE)?;
        self.eat(Kw::LOW_PRIORITY);
        let ignore = self.eat(Kw::IGNORE);
        let tables = self.table_references()?;
        self.expect(Kw::SET)?;
        let assignments = self.list(Self::assignment)?;
        let filter = self.filter()?;
        // Of several tables these are read too: they are a wrong usage, not a wrong text.
        let order_by = self.order_by()?;
        let limit = self.row_limit()?;
        Ok(Statement::Update(Box::new(Update { with, ignore, tables, assignments, filter, order_by, limit })))
    }

    fn filter(&mut self) -> Parsed<Option<Expr>> {
        if self.eat(Kw::WHERE) { self.expr().map(Some) } else { Ok(None) }
    }

    /// `LIMIT n`, the only form UPDATE and DELETE have.
    fn row_limit(&mut self) -> Parsed<Option<Expr>> {
        if self.eat(Kw::LIMIT) { self.limit_number().map(Some) } else { Ok(None) }
    }

    pub(super) fn delete(&mut self, with: Option<With>) -> Parsed<Statement> {
        self.expect(Kw::DELETE)?;
        let mut ignore = false;
        loop {
            match self.tok.kw {
                Kw::LOW_PRIORITY => (),
                Kw::QUICK if !self.next_is(Tok::Dot) => (),
                Kw::IGNORE => ignore = true,
                _ => break,
            }
            self.bump();
        }
        let mut d = Delete { with, ignore, targets: vec![], from: vec![], filter: None, order_by: vec![], limit: None };
        if !self.eat(Kw::FROM) {
            // DELETE a, b FROM …
            d.targets = self.list(Self::delete_target)?;
            self.expect(Kw::FROM)?;
            d.from = self.table_references()?;
            d.filter = self.filter()?;
            return Ok(Statement::Delete(Box::new(d)));
        }
        let first = self.delete_target()?;
        if self.is(Tok::Comma) || self.at(Kw::USING) {
            // DELETE FROM a, b USING …
            d.targets.push(first);
            while self.eat_tok(Tok::Comma) {
                d.targets.push(self.delete_target()?);
            }
            self.expect(Kw::USING)?;
            d.from = self.table_references()?;
            d.filter = self.filter()?;
            return Ok(Statement::Delete(Box::new(d)));
        }
        let alias: Option<Ident> = if self.eat(Kw::AS) || self.at_ident() { Some(self.ident()?) } else { None };
        self.refuse_partition()?;
        d.from.push(TableRef::Table { name: first, alias, hints: vec![] });
        d.filter = self.filter()?;
        d.order_by = self.order_by()?;
        d.limit = self.row_limit()?;
        Ok(Statement::Delete(Box::new(d)))
    }

    /// `[database.]table[.*]`
    fn delete_target(&mut self) -> Parsed<ObjectName> {
        let mut name = ObjectName { database: None, name: self.ident()? };
        while self.eat_tok(Tok::Dot) {
            if self.eat_tok(Tok::Star) {
                break;
            }
            if name.database.is_some() {
                return self.unexpected();
            }
            name = ObjectName { database: Some(name.name), name: self.ident()? };
        }
        Ok(name)
    }
}
