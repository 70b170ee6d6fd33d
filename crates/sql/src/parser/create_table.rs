//! CREATE TABLE: columns, keys, constraints, options; with MemSQL's SHARD KEY and SORT KEY.
//!
//! Owns:     nothing.
//! Promises: options that do nothing here are kept as written, for a warning.
//! Never:    checks one part of a definition against another.

use super::{Parsed, Parser};
use crate::ast::{CreateTable, ForeignKeyDef, IndexColumn, IndexDef, IndexKind, IndexMethod, LoadDuplicates, Statement, TableOptions};
use crate::keyword::Kw;
use crate::lexer::Tok;

impl Parser<'_> {
    /// After CREATE, at whatever may stand between it and TABLE.
    pub(super) fn create_table(&mut self) -> Parsed<Statement> {
        let mut t = CreateTable::default();
        loop {
            match self.tok.kw {
                Kw::ROWSTORE => t.rowstore = true,
                Kw::COLUMNSTORE => t.columnstore = true,
                Kw::REFERENCE => t.reference = true,
                Kw::TEMPORARY => t.temporary = true,
                Kw::GLOBAL => return self.not_supported("GLOBAL TEMPORARY tables"),
                _ => break,
            }
            self.bump();
        }
        self.expect(Kw::TABLE)?;
        t.if_not_exists = self.if_not_exists()?;
        t.name = Some(self.object_name()?);
        if self.eat(Kw::LIKE) {
            t.like = Some(self.object_name()?);
            return Ok(Statement::CreateTable(Box::new(t)));
        }
        if self.is(Tok::LParen) && self.next_at(Kw::LIKE) {
            self.bump();
            self.bump();
            t.like = Some(self.object_name()?);
            self.expect_tok(Tok::RParen)?;
            return Ok(Statement::CreateTable(Box::new(t)));
        }
        if self.is(Tok::LParen) && !matches!(self.peek().kw, Kw::SELECT | Kw::WITH | Kw::TABLE | Kw::VALUES) && !self.next_is(Tok::LParen) {
            self.bump();
            loop {
                self.table_element(&mut t)?;
                if !self.eat_tok(Tok::Comma) {
                    break;
                }
            }
            self.expect_tok(Tok::RParen)?;
        }
        while self.table_option(&mut t.options)? {
            self.eat_tok(Tok::Comma);
        }
        if self.at(Kw::PARTITION) {
            t.options.ignored.push(self.partitioning()?);
        }
        match self.tok.kw {
            Kw::REPLACE => t.select_duplicates = Some(LoadDuplicates::Replace),
            Kw::IGNORE => t.select_duplicates = Some(LoadDuplicates::Ignore),
            _ => (),
        }
        if t.select_duplicates.is_some() {
            self.bump();
        }
        let must = self.eat(Kw::AS) || t.select_duplicates.is_some();
        if must || self.starts_query() || self.is(Tok::LParen) {
            t.select = Some(self.query()?);
        } else if t.columns.is_empty() {
            // Neither columns nor a SELECT to take them from.
            return self.unexpected();
        }
        Ok(Statement::CreateTable(Box::new(t)))
    }

    fn table_element(&mut self, t: &mut CreateTable) -> Parsed<()> {
        let sharding = (self.at(Kw::SHARD) || self.at(Kw::SORT)) && self.next_at(Kw::KEY);
        if !sharding && self.at_ident() {
            let name = self.ident()?;
            let mut column = self.column_def(name)?;
            t.checks.append(&mut column.options.checks);
            t.columns.push(column);
            return Ok(());
        }
        match self.constraint_or_index()? {
            Element::Index(index, columnstore) => {
                t.columnstore |= columnstore;
                t.indexes.push(index);
            }
            Element::ForeignKey(key) => t.foreign_keys.push(key),
            Element::Check(check) => t.checks.push(check),
        }
        Ok(())
    }

    /// A key or a constraint, as in CREATE TABLE and after ALTER TABLE … ADD.
    pub(super) fn constraint_or_index(&mut self) -> Parsed<Element> {
        let mut name = None;
        let constraint = self.eat(Kw::CONSTRAINT);
        if constraint && self.at_ident() {
            name = Some(self.ident()?);
        }
        let kind = match self.tok.kw {
            Kw::PRIMARY => IndexKind::Primary,
            Kw::UNIQUE => IndexKind::Unique,
            Kw::FOREIGN => {
                self.bump();
                self.expect(Kw::KEY)?;
                if self.at_ident() {
                    let index_name = self.ident()?;
                    name = name.or(Some(index_name));
                }
                let columns = self.parens(|p| p.list(|p| p.ident()))?;
                return Ok(Element::ForeignKey(self.references(name, columns)?));
            }
            Kw::CHECK => return Ok(Element::Check(self.check(name)?)),
            _ if constraint => return self.unexpected(),
            Kw::INDEX | Kw::KEY => IndexKind::Plain,
            Kw::FULLTEXT => IndexKind::Fulltext,
            Kw::SPATIAL => IndexKind::Spatial,
            Kw::SHARD => IndexKind::Shard,
            Kw::SORT => IndexKind::Sort,
            _ => return self.unexpected(),
        };
        self.bump();
        match kind {
            IndexKind::Primary | IndexKind::Shard | IndexKind::Sort => self.expect(Kw::KEY)?,
            IndexKind::Plain => (),
            _ => {
                if !self.eat(Kw::INDEX) {
                    self.eat(Kw::KEY);
                }
            }
        }
        if self.at_ident() && !(self.at(Kw::TYPE) && (self.next_at(Kw::BTREE) || self.next_at(Kw::HASH))) {
            let own = self.ident()?;
            name = Some(own);
        }
        if kind == IndexKind::Primary {
            name = None;
        }
        let mut index = IndexDef { kind, name, columns: vec![], method: self.index_method()?, comment: None, invisible: false };
        index.columns = self.index_columns(matches!(kind, IndexKind::Shard | IndexKind::Sort))?;
        let columnstore = self.index_options(&mut index)?;
        Ok(Element::Index(index, columnstore))
    }

    /// `(column [(prefix)] | (expr) [ASC | DESC], …)`
    pub(super) fn index_columns(&mut self, may_be_empty: bool) -> Parsed<Vec<IndexColumn>> {
        self.expect_tok(Tok::LParen)?;
        if may_be_empty && self.eat_tok(Tok::RParen) {
            return Ok(vec![]);
        }
        let columns = self.list(|p| {
            let mut c = IndexColumn { column: String::new(), prefix: None, descending: false, expr: None };
            if p.is(Tok::LParen) {
                c.expr = Some(p.paren_expr_text()?.0);
            } else {
                c.column = p.ident()?;
                c.prefix = p.optional_length()?;
            }
            c.descending = p.eat(Kw::DESC);
            if !c.descending {
                p.eat(Kw::ASC);
            }
            Ok(c)
        })?;
        self.expect_tok(Tok::RParen)?;
        Ok(columns)
    }

    /// `USING | TYPE BTREE | HASH`
    pub(super) fn index_method(&mut self) -> Parsed<Option<IndexMethod>> {
        if !self.at(Kw::USING) && !self.at(Kw::TYPE) {
            return Ok(None);
        }
        if self.at(Kw::USING) && self.peek_is_word("clustered") {
            return Ok(None);
        }
        self.bump();
        let method = if self.eat(Kw::BTREE) {
            IndexMethod::BTree
        } else if self.eat(Kw::HASH) {
            IndexMethod::Hash
        } else if self.peek_word("rtree") {
            return self.not_supported("RTREE indexes");
        } else {
            return self.unexpected();
        };
        Ok(Some(method))
    }

    fn peek_word(&self, word: &str) -> bool {
        self.is(Tok::Word) && self.bytes(self.tok).eq_ignore_ascii_case(word.as_bytes())
    }

    fn peek_is_word(&self, word: &str) -> bool {
        let t = self.peek();
        t.kind == Tok::Word && self.bytes(t).eq_ignore_ascii_case(word.as_bytes())
    }

    /// What follows an index's columns. Gives whether it was MemSQL's `USING CLUSTERED COLUMNSTORE`.
    pub(super) fn index_options(&mut self, index: &mut IndexDef) -> Parsed<bool> {
        let mut columnstore = false;
        loop {
            match self.tok.kw {
                Kw::USING if self.peek_is_word("clustered") => {
                    self.bump();
                    self.bump();
                    self.expect(Kw::COLUMNSTORE)?;
                    index.kind = IndexKind::Sort;
                    columnstore = true;
                }
                Kw::USING | Kw::TYPE => index.method = self.index_method()?,
                Kw::KEY_BLOCK_SIZE => {
                    self.bump();
                    self.eat_eq();
                    self.number()?;
                }
                Kw::COMMENT => {
                    self.bump();
                    index.comment = Some(self.string()?);
                }
                Kw::WITH if self.next_at(Kw::PARSER) => return self.not_supported("WITH PARSER"),
                Kw::VISIBLE => {
                    self.bump();
                    index.invisible = false;
                }
                Kw::INVISIBLE => {
                    self.bump();
                    index.invisible = true;
                }
                Kw::ENGINE_ATTRIBUTE | Kw::SECONDARY_ENGINE_ATTRIBUTE => return self.not_supported(self.tok.kw.name()),
                _ => return Ok(columnstore),
            }
        }
    }

    /// REFERENCES t (columns) [MATCH …] [ON DELETE …] [ON UPDATE …]
    pub(super) fn references(&mut self, name: Option<String>, columns: Vec<String>) -> Parsed<ForeignKeyDef> {
        self.expect(Kw::REFERENCES)?;
        let table = self.object_name()?;
        let referenced = if self.is(Tok::LParen) { self.paren_idents()? } else { vec![] };
        let mut key = ForeignKeyDef { name, columns, table, referenced, on_delete: None, on_update: None };
        if self.eat(Kw::MATCH) && !self.eat(Kw::FULL) && !self.eat(Kw::PARTIAL) {
            self.expect(Kw::SIMPLE)?;
        }
        while self.at(Kw::ON) {
            self.bump();
            let deletes = self.eat(Kw::DELETE);
            if !deletes {
                self.expect(Kw::UPDATE)?;
            }
            let slot = if deletes { &mut key.on_delete } else { &mut key.on_update };
            if slot.is_some() {
                return self.unexpected();
            }
            let action = match self.tok.kw {
                Kw::RESTRICT => "RESTRICT",
                Kw::CASCADE => "CASCADE",
                Kw::SET if self.next_at(Kw::NULL) => "SET NULL",
                Kw::SET if self.next_at(Kw::DEFAULT) => "SET DEFAULT",
                Kw::NO if self.next_at(Kw::ACTION) => "NO ACTION",
                _ => return self.unexpected(),
            };
            *slot = Some(action.into());
            self.bump();
            if action.contains(' ') {
                self.bump();
            }
        }
        Ok(key)
    }

    /// One table option, if one stands here.
    pub(super) fn table_option(&mut self, o: &mut TableOptions) -> Parsed<bool> {
        let start = self.tok.start;
        let defaulted = self.at(Kw::DEFAULT) && (matches!(self.peek().kw, Kw::CHARSET | Kw::CHARACTER | Kw::CHAR | Kw::COLLATE));
        if defaulted {
            self.bump();
        }
        if self.at_charset() {
            self.eat_charset();
            self.eat_eq();
            o.charset = Some(if self.eat(Kw::DEFAULT) { "default".into() } else { self.charset_name()? });
            return Ok(true);
        }
        match self.tok.kw {
            Kw::COLLATE => {
                self.bump();
                self.eat_eq();
                o.collation = Some(self.collation_name()?);
            }
            Kw::ENGINE => {
                self.bump();
                self.eat_eq();
                o.engine = Some(self.ident_or_string()?);
            }
            Kw::AUTO_INCREMENT => {
                self.bump();
                self.eat_eq();
                o.auto_increment = Some(self.number()?);
            }
            Kw::COMMENT => {
                self.bump();
                self.eat_eq();
                o.comment = Some(self.string()?);
            }
            Kw::UNION => {
                self.bump();
                self.eat_eq();
                self.parens(|p| p.list(Self::object_name))?;
                o.ignored.push(self.text_since(start));
            }
            Kw::DATA | Kw::INDEX if self.next_at(Kw::DIRECTORY) => {
                self.bump();
                self.bump();
                self.eat_eq();
                self.string()?;
                o.ignored.push(self.text_since(start));
            }
            Kw::TABLESPACE | Kw::STORAGE => {
                let tablespace = self.at(Kw::TABLESPACE);
                self.bump();
                self.eat_eq();
                if tablespace || !self.eat(Kw::DISK) && !self.eat(Kw::MEMORY) {
                    self.ident()?;
                }
                o.ignored.push(self.text_since(start));
            }
            Kw::AVG_ROW_LENGTH
            | Kw::CHECKSUM
            | Kw::TABLE_CHECKSUM
            | Kw::DELAY_KEY_WRITE
            | Kw::KEY_BLOCK_SIZE
            | Kw::MAX_ROWS
            | Kw::MIN_ROWS
            | Kw::PACK_KEYS
            | Kw::STATS_AUTO_RECALC
            | Kw::STATS_PERSISTENT
            | Kw::STATS_SAMPLE_PAGES
            | Kw::ROW_FORMAT
            | Kw::INSERT_METHOD
            | Kw::COMPRESSION
            | Kw::CONNECTION
            | Kw::ENCRYPTION
            | Kw::PASSWORD
            | Kw::AUTOEXTEND_SIZE
            | Kw::ENGINE_ATTRIBUTE
            | Kw::SECONDARY_ENGINE
            | Kw::SECONDARY_ENGINE_ATTRIBUTE => {
                self.bump();
                self.eat_eq();
                self.option_value()?;
                o.ignored.push(self.text_since(start));
            }
            // MariaDB's dumps name options that MySQL does not know: `PAGE_CHECKSUM=1`, `TRANSACTIONAL=1`.
            Kw::NotOne if self.is(Tok::Word) && self.next_is(Tok::Eq) => {
                let known = ["PAGE_CHECKSUM", "TRANSACTIONAL", "PAGE_COMPRESSED", "PAGE_COMPRESSION_LEVEL"];
                if !known.iter().any(|k| self.peek_word(k)) {
                    return self.unexpected();
                }
                self.bump();
                self.eat_eq();
                self.option_value()?;
                o.ignored.push(self.text_since(start));
            }
            _ if defaulted => return self.unexpected(),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn option_value(&mut self) -> Parsed<()> {
        match self.tok.kind {
            Tok::Integer | Tok::Hex | Tok::String | Tok::Quoted => (),
            Tok::Word if self.at(Kw::DEFAULT) || self.at(Kw::NULL) || !self.tok.kw.is_reserved() => (),
            _ => return self.unexpected(),
        }
        self.bump();
        Ok(())
    }

    /// PARTITION BY … as written: partitioning here is by shard key.
    fn partitioning(&mut self) -> Parsed<String> {
        let start = self.tok.start;
        self.bump();
        self.expect(Kw::BY)?;
        let mut open = 0u32;
        loop {
            match self.tok.kind {
                Tok::LParen => open += 1,
                Tok::RParen if open == 0 => return self.unexpected(),
                Tok::RParen => open -= 1,
                Tok::End | Tok::Semicolon if open == 0 => break,
                Tok::End | Tok::Bad => return self.unexpected(),
                _ if open == 0 && matches!(self.tok.kw, Kw::AS | Kw::SELECT | Kw::IGNORE | Kw::REPLACE | Kw::WITH | Kw::TABLE) => break,
                _ => (),
            }
            self.bump();
        }
        Ok(self.text_since(start))
    }
}

/// A part of CREATE TABLE that is no column.
pub(super) enum Element {
    /// With whether it makes the table a columnstore.
    Index(IndexDef, bool),
    ForeignKey(ForeignKeyDef),
    Check(crate::ast::CheckDef),
}
