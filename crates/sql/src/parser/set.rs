//! SET in all its forms.
//!
//! Owns:     nothing.
//! Promises: a bare word as a system variable's value comes out as a string, as MySQL takes it.
//! Never:    knows which variables exist.

use super::{Parsed, Parser};
use crate::ast::{Expr, Isolation, Literal, RoleSet, SetItem, Statement, VarScope};
use crate::keyword::Kw;
use crate::lexer::Tok;

impl Parser<'_> {
    pub(super) fn set(&mut self) -> Parsed<Statement> {
        self.expect(Kw::SET)?;
        match self.tok.kw {
            Kw::PASSWORD if !self.next_is_assignment() || self.peek_after(1).kind == Tok::String => return self.set_password(),
            Kw::ROLE if !self.next_is_assignment() => {
                self.bump();
                return Ok(Statement::SetRole(self.role_set(true)?));
            }
            Kw::DEFAULT => {
                self.bump();
                self.expect(Kw::ROLE)?;
                let roles = self.role_set(false)?;
                self.expect(Kw::TO)?;
                return Ok(Statement::SetDefaultRole { roles, to: self.list(Self::user_name)? });
            }
            Kw::RESOURCE if self.next_at(Kw::GROUP) => return self.unsupported("RESOURCE GROUP"),
            Kw::TRANSACTION if !self.next_is_assignment() => return self.set_transaction(VarScope::Next),
            Kw::GLOBAL | Kw::SESSION | Kw::LOCAL if self.next_at(Kw::TRANSACTION) && !matches!(self.peek_after(1).kind, Tok::Eq | Tok::Assign) => {
                let scope = if self.at(Kw::GLOBAL) { VarScope::Global } else { VarScope::Session };
                self.bump();
                return self.set_transaction(scope);
            }
            _ => (),
        }
        let mut scope = VarScope::Session;
        let mut items = vec![self.set_item(&mut scope)?];
        while self.eat_tok(Tok::Comma) {
            items.push(self.set_item(&mut scope)?);
        }
        Ok(Statement::Set(items))
    }

    fn next_is_assignment(&self) -> bool {
        matches!(self.peek().kind, Tok::Eq | Tok::Assign)
    }

    fn assign_sign(&mut self) -> Parsed<()> {
        if self.eat_tok(Tok::Assign) { Ok(()) } else { self.expect_tok(Tok::Eq) }
    }

    /// `scope`: that of the last GLOBAL, SESSION … of the statement, which also holds for the items after it.
    fn set_item(&mut self, scope: &mut VarScope) -> Parsed<SetItem> {
        if self.is(Tok::UserVariable) {
            let name = self.user_variable()?;
            self.assign_sign()?;
            return Ok(SetItem::User { name, value: self.expr()? });
        }
        if self.eat_tok(Tok::AtAt) {
            let (own, name) = self.scoped_variable()?;
            self.assign_sign()?;
            return Ok(SetItem::System { scope: own.unwrap_or(VarScope::Next), name, value: self.system_value()? });
        }
        if self.at(Kw::NAMES) && !self.next_is_assignment() {
            self.bump();
            if self.eat(Kw::DEFAULT) {
                return Ok(SetItem::Names { charset: None, collation: None });
            }
            let charset = Some(self.charset_name()?);
            let collation = if self.eat(Kw::COLLATE) { if self.eat(Kw::DEFAULT) { None } else { Some(self.collation_name()?) } } else { None };
            return Ok(SetItem::Names { charset, collation });
        }
        if self.at_charset() && !(self.at(Kw::CHARSET) && self.next_is_assignment()) {
            self.eat_charset();
            return Ok(SetItem::CharacterSet(if self.eat(Kw::DEFAULT) { None } else { Some(self.charset_name()?) }));
        }
        if self.at_any(&[Kw::GLOBAL, Kw::SESSION, Kw::LOCAL, Kw::PERSIST, Kw::PERSIST_ONLY]) && !self.next_is_assignment() {
            *scope = match self.tok.kw {
                Kw::GLOBAL => VarScope::Global,
                Kw::PERSIST => VarScope::Persist,
                Kw::PERSIST_ONLY => VarScope::PersistOnly,
                _ => VarScope::Session,
            };
            self.bump();
        }
        let mut name = self.ident()?;
        if self.eat_tok(Tok::Dot) {
            name = format!("{name}.{}", self.ident()?);
        }
        self.assign_sign()?;
        Ok(SetItem::System { scope: *scope, name, value: self.system_value()? })
    }

    fn system_value(&mut self) -> Parsed<Option<Expr>> {
        let word = |value: &str| Some(Expr::Literal(Literal::String { value: value.into(), charset: None }));
        if self.at_any(&[Kw::DEFAULT, Kw::ON, Kw::ALL, Kw::BINARY, Kw::ROW, Kw::SYSTEM])
            && matches!(self.peek().kind, Tok::End | Tok::Comma | Tok::Semicolon)
        {
            let kw = self.tok.kw;
            self.bump();
            return Ok(if kw == Kw::DEFAULT { None } else { word(kw.name()) });
        }
        Ok(match self.expr()? {
            Expr::Column { database: None, table: None, name, .. } => word(&name),
            e => Some(e),
        })
    }

    /// `SET PASSWORD [FOR user] = 'text'`
    fn set_password(&mut self) -> Parsed<Statement> {
        self.expect(Kw::PASSWORD)?;
        let user = if self.eat(Kw::FOR) { Some(self.user_name()?) } else { None };
        if self.at(Kw::TO) {
            return self.not_supported("SET PASSWORD TO RANDOM");
        }
        self.assign_sign()?;
        // PASSWORD('text') is MySQL 5's form, which MemSQL keeps.
        let password = if self.at(Kw::PASSWORD) {
            self.bump();
            self.parens(Self::string)?
        } else {
            self.string()?
        };
        if self.at(Kw::REPLACE) || self.at(Kw::RETAIN) {
            return self.not_supported(format!("SET PASSWORD … {}", self.tok.kw.name()));
        }
        Ok(Statement::SetPassword { user, password })
    }

    /// At TRANSACTION.
    fn set_transaction(&mut self, scope: VarScope) -> Parsed<Statement> {
        self.expect(Kw::TRANSACTION)?;
        let (mut isolation, mut read_only) = (None, None);
        loop {
            if isolation.is_none() && self.eat(Kw::ISOLATION) {
                self.expect(Kw::LEVEL)?;
                isolation = Some(if self.eat(Kw::READ) {
                    if self.eat(Kw::UNCOMMITTED) {
                        Isolation::ReadUncommitted
                    } else {
                        self.expect(Kw::COMMITTED)?;
                        Isolation::ReadCommitted
                    }
                } else if self.eat(Kw::REPEATABLE) {
                    self.expect(Kw::READ)?;
                    Isolation::RepeatableRead
                } else {
                    self.expect(Kw::SERIALIZABLE)?;
                    Isolation::Serializable
                });
            } else if read_only.is_none() && self.eat(Kw::READ) {
                read_only = Some(self.eat(Kw::ONLY));
                if read_only == Some(false) {
                    self.expect(Kw::WRITE)?;
                }
            } else {
                return self.unexpected();
            }
            if !self.eat_tok(Tok::Comma) {
                return Ok(Statement::SetTransaction { scope, isolation, read_only });
            }
        }
    }

    /// What follows SET ROLE (where DEFAULT and ALL EXCEPT are allowed) and DEFAULT ROLE (where they are not).
    pub(super) fn role_set(&mut self, activating: bool) -> Parsed<RoleSet> {
        if self.eat(Kw::NONE) {
            return Ok(RoleSet::None);
        }
        if self.eat(Kw::ALL) {
            if activating && self.eat(Kw::EXCEPT) {
                return Ok(RoleSet::AllExcept(self.list(Self::user_name)?));
            }
            return Ok(RoleSet::All);
        }
        if activating && self.eat(Kw::DEFAULT) {
            return Ok(RoleSet::Default);
        }
        Ok(RoleSet::Roles(self.list(Self::user_name)?))
    }
}
