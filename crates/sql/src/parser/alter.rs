//! ALTER TABLE.
//!
//! Owns:     nothing.
//! Promises: actions come out in the order they are written in.
//! Never:    decides which of them can be done online.

use super::create_table::Element;
use super::{Parsed, Parser};
use crate::ast::{AlterAction, ColumnPosition, IndexKind, ObjectName, Statement, TableOptions};
use crate::keyword::Kw;
use crate::lexer::Tok;

impl Parser<'_> {
    /// After ALTER, at `[ONLINE] TABLE`.
    pub(super) fn alter_table(&mut self) -> Parsed<Statement> {
        self.eat(Kw::ONLINE);
        self.expect(Kw::TABLE)?;
        let name = self.object_name()?;
        let mut actions = vec![];
        if !self.is(Tok::End) && !self.is(Tok::Semicolon) {
            loop {
                self.alter_action(&mut actions)?;
                if !self.eat_tok(Tok::Comma) {
                    break;
                }
            }
        }
        Ok(Statement::AlterTable { name, actions })
    }

    fn alter_action(&mut self, out: &mut Vec<AlterAction>) -> Parsed<()> {
        let action = match self.tok.kw {
            Kw::ADD => return self.alter_add(out),
            Kw::DROP => self.alter_drop()?,
            Kw::MODIFY => {
                self.bump();
                self.eat(Kw::COLUMN);
                let name = self.ident()?;
                let column = self.column_def(name)?;
                AlterAction::ModifyColumn { column, position: self.column_position()? }
            }
            Kw::CHANGE => {
                self.bump();
                self.eat(Kw::COLUMN);
                let old = self.ident()?;
                let name = self.ident()?;
                let column = self.column_def(name)?;
                AlterAction::ChangeColumn { old, column, position: self.column_position()? }
            }
            Kw::ALTER => self.alter_alter()?,
            Kw::RENAME => self.alter_rename()?,
            Kw::CONVERT => {
                self.bump();
                self.expect(Kw::TO)?;
                if !self.eat_charset() {
                    return self.unexpected();
                }
                self.eat_eq();
                let charset = if self.eat(Kw::DEFAULT) { "default".into() } else { self.charset_name()? };
                let collation = if self.eat(Kw::COLLATE) {
                    self.eat_eq();
                    Some(self.collation_name()?)
                } else {
                    None
                };
                AlterAction::ConvertCharset { charset, collation }
            }
            Kw::DISABLE | Kw::ENABLE => {
                let enable = self.at(Kw::ENABLE);
                self.bump();
                self.expect(Kw::KEYS)?;
                if enable { AlterAction::EnableKeys } else { AlterAction::DisableKeys }
            }
            Kw::FORCE => {
                self.bump();
                AlterAction::Force
            }
            Kw::ORDER => {
                self.bump();
                self.expect(Kw::BY)?;
                AlterAction::OrderBy(self.list(|p| {
                    let name = p.object_column()?.name;
                    if !p.eat(Kw::ASC) {
                        p.eat(Kw::DESC);
                    }
                    Ok(name)
                })?)
            }
            Kw::ALGORITHM => AlterAction::Algorithm(self.alter_word()?),
            Kw::LOCK => AlterAction::Lock(self.alter_word()?),
            Kw::WITH | Kw::WITHOUT if self.next_at(Kw::VALIDATION) => return self.not_supported("VALIDATION"),
            Kw::DISCARD
            | Kw::IMPORT
            | Kw::REORGANIZE
            | Kw::EXCHANGE
            | Kw::REMOVE
            | Kw::REBUILD
            | Kw::SECONDARY_LOAD
            | Kw::SECONDARY_UNLOAD
            | Kw::PARTITION
            | Kw::ANALYZE
            | Kw::CHECK
            | Kw::OPTIMIZE
            | Kw::REPAIR
            | Kw::TRUNCATE => {
                return self.not_supported(format!("ALTER TABLE … {}", self.tok.kw.name()));
            }
            _ => {
                let mut options = TableOptions::default();
                if !self.table_option(&mut options)? {
                    return self.unexpected();
                }
                // Options may also follow each other without a comma.
                while self.table_option(&mut options)? {}
                AlterAction::Options(options)
            }
        };
        out.push(action);
        Ok(())
    }

    fn column_position(&mut self) -> Parsed<ColumnPosition> {
        if self.eat(Kw::FIRST) {
            return Ok(ColumnPosition::First);
        }
        if self.eat(Kw::AFTER) {
            return Ok(ColumnPosition::After(self.ident()?));
        }
        Ok(ColumnPosition::Default)
    }

    fn alter_add(&mut self, out: &mut Vec<AlterAction>) -> Parsed<()> {
        self.expect(Kw::ADD)?;
        let sharding = (self.at(Kw::SHARD) || self.at(Kw::SORT)) && self.next_at(Kw::KEY);
        if self.at(Kw::PARTITION) {
            return self.not_supported("ALTER TABLE … ADD PARTITION");
        }
        let column = self.eat(Kw::COLUMN);
        if self.eat_tok(Tok::LParen) {
            loop {
                if !column && !self.at_ident() {
                    out.push(self.alter_add_element()?);
                } else {
                    let name = self.ident()?;
                    let column = self.column_def(name)?;
                    out.push(AlterAction::AddColumn { column, position: ColumnPosition::Default, if_not_exists: false });
                }
                if !self.eat_tok(Tok::Comma) {
                    break;
                }
            }
            return self.expect_tok(Tok::RParen);
        }
        if column || (self.at_ident() && !sharding) || self.at(Kw::IF) {
            let if_not_exists = self.if_not_exists()?;
            let name = self.ident()?;
            let column = self.column_def(name)?;
            out.push(AlterAction::AddColumn { column, position: self.column_position()?, if_not_exists });
            return Ok(());
        }
        out.push(self.alter_add_element()?);
        Ok(())
    }

    fn alter_add_element(&mut self) -> Parsed<AlterAction> {
        Ok(match self.constraint_or_index()? {
            Element::Index(index, _) => AlterAction::AddIndex(index),
            Element::ForeignKey(key) => AlterAction::AddForeignKey(key),
            Element::Check(check) => AlterAction::AddCheck(check),
        })
    }

    fn alter_drop(&mut self) -> Parsed<AlterAction> {
        self.expect(Kw::DROP)?;
        Ok(match self.tok.kw {
            Kw::PRIMARY => {
                self.bump();
                self.expect(Kw::KEY)?;
                AlterAction::DropPrimaryKey
            }
            Kw::FOREIGN => {
                self.bump();
                self.expect(Kw::KEY)?;
                AlterAction::DropForeignKey(self.ident()?)
            }
            Kw::INDEX | Kw::KEY => {
                self.bump();
                AlterAction::DropIndex(self.ident()?)
            }
            Kw::CHECK => {
                self.bump();
                AlterAction::DropCheck(self.ident()?)
            }
            Kw::CONSTRAINT => {
                self.bump();
                AlterAction::DropConstraint(self.ident()?)
            }
            Kw::PARTITION => return self.not_supported("ALTER TABLE … DROP PARTITION"),
            _ => {
                self.eat(Kw::COLUMN);
                let if_exists = self.if_exists()?;
                let name = self.ident()?;
                if !self.eat(Kw::RESTRICT) {
                    self.eat(Kw::CASCADE);
                }
                AlterAction::DropColumn { name, if_exists }
            }
        })
    }

    fn alter_alter(&mut self) -> Parsed<AlterAction> {
        self.expect(Kw::ALTER)?;
        match self.tok.kw {
            Kw::INDEX => {
                self.bump();
                let name = self.ident()?;
                let invisible = self.eat(Kw::INVISIBLE);
                if !invisible {
                    self.expect(Kw::VISIBLE)?;
                }
                return Ok(AlterAction::AlterIndexVisibility { name, invisible });
            }
            Kw::CHECK | Kw::CONSTRAINT => {
                self.bump();
                let name = self.ident()?;
                return match self.enforcement()? {
                    Some(enforced) => Ok(AlterAction::AlterCheck { name, enforced }),
                    None => self.unexpected(),
                };
            }
            _ => (),
        }
        self.eat(Kw::COLUMN);
        let column = self.ident()?;
        if self.eat(Kw::DROP) {
            self.expect(Kw::DEFAULT)?;
            return Ok(AlterAction::DropDefault { column });
        }
        self.expect(Kw::SET)?;
        if self.eat(Kw::DEFAULT) {
            let (default, in_parens) = self.default_value()?;
            return Ok(AlterAction::SetDefault { column, default, in_parens });
        }
        let invisible = self.eat(Kw::INVISIBLE);
        if !invisible {
            self.expect(Kw::VISIBLE)?;
        }
        Ok(AlterAction::AlterColumnVisibility { column, invisible })
    }

    fn alter_rename(&mut self) -> Parsed<AlterAction> {
        self.expect(Kw::RENAME)?;
        match self.tok.kw {
            Kw::COLUMN => {
                self.bump();
                let old = self.ident()?;
                self.expect(Kw::TO)?;
                Ok(AlterAction::RenameColumn { old, new: self.ident()? })
            }
            Kw::INDEX | Kw::KEY => {
                self.bump();
                let old = self.ident()?;
                self.expect(Kw::TO)?;
                Ok(AlterAction::RenameIndex { old, new: self.ident()? })
            }
            _ => {
                if !self.eat(Kw::TO) && !self.eat(Kw::AS) {
                    self.eat_eq();
                }
                let name: ObjectName = self.object_name()?;
                Ok(AlterAction::Rename(name))
            }
        }
    }

    /// The value of `ALGORITHM = …` or `LOCK = …`, in upper case.
    pub(super) fn alter_word(&mut self) -> Parsed<String> {
        self.bump();
        self.eat_eq();
        if self.eat(Kw::DEFAULT) {
            return Ok("DEFAULT".into());
        }
        Ok(self.ident()?.to_ascii_uppercase())
    }
}

/// Whether an index of this kind may be made by CREATE INDEX.
pub(super) fn index_kind(kw: Kw) -> Option<IndexKind> {
    Some(match kw {
        Kw::UNIQUE => IndexKind::Unique,
        Kw::FULLTEXT => IndexKind::Fulltext,
        Kw::SPATIAL => IndexKind::Spatial,
        Kw::INDEX => IndexKind::Plain,
        _ => return None,
    })
}
