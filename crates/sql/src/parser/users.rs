//! Users, roles and privileges.
//!
//! Owns:     nothing.
//! Promises: a host not written is `%`; CURRENT_USER is the user with neither name nor host.
//! Never:    checks a password or knows an authentication plugin.

use super::{Parsed, Parser};
use crate::ast::{GrantLevel, Ident, ObjectName, Privilege, Statement, UserAuth, UserName, UserOptions, UserSpec};
use crate::keyword::Kw;
use crate::lexer::Tok;

/// Privileges of more than one word, MySQL's and MemSQL's. Single words are checked by whoever grants them, since plugins may add any.
const PHRASES: &[&str] = &[
    "ALL PRIVILEGES",
    "GRANT OPTION",
    "SHOW DATABASES",
    "CREATE TEMPORARY TABLES",
    "LOCK TABLES",
    "REPLICATION SLAVE",
    "REPLICATION CLIENT",
    "CREATE VIEW",
    "SHOW VIEW",
    "CREATE ROUTINE",
    "ALTER ROUTINE",
    "CREATE USER",
    "CREATE TABLESPACE",
    "CREATE ROLE",
    "DROP ROLE",
    "SHOW METADATA",
    "FILE READ",
    "FILE WRITE",
    "CREATE DATABASE",
    "DROP DATABASE",
    "ALTER VIEW",
    "DROP VIEW",
];

/// An item of GRANT's or REVOKE's list, before it is known whether ON follows.
struct Item {
    words: Vec<String>,
    role: Option<UserName>,
    columns: Vec<Ident>,
    /// Where a second word begins, for the error if the two are no privilege.
    second: u32,
}

impl Parser<'_> {
    /// `'user'[@'host'] | CURRENT_USER[()]`
    pub(super) fn user_name(&mut self) -> Parsed<UserName> {
        if self.eat(Kw::CURRENT_USER) || (self.at(Kw::USER) && self.next_is(Tok::LParen)) {
            self.eat(Kw::USER);
            if self.eat_tok(Tok::LParen) {
                self.expect_tok(Tok::RParen)?;
            }
            return Ok(UserName { user: String::new(), host: String::new() });
        }
        let user = self.ident_or_string()?;
        let host = if self.is(Tok::UserVariable) { self.user_variable()? } else { "%".into() };
        Ok(UserName { user, host })
    }

    fn user_spec(&mut self) -> Parsed<UserSpec> {
        let user = self.user_name()?;
        let auth = self.user_auth()?;
        Ok(UserSpec { user, auth })
    }

    fn user_auth(&mut self) -> Parsed<Option<UserAuth>> {
        if !self.eat(Kw::IDENTIFIED) {
            return Ok(None);
        }
        let mut auth = UserAuth { plugin: None, password: None, hash: None };
        if self.eat(Kw::WITH) {
            auth.plugin = Some(self.ident_or_string()?);
            if self.eat(Kw::AS) {
                auth.hash = Some(self.string_bytes()?);
            } else if self.eat(Kw::BY) {
                self.password_text(&mut auth)?;
            }
        } else {
            self.expect(Kw::BY)?;
            self.password_text(&mut auth)?;
        }
        if self.at_any(&[Kw::REPLACE, Kw::RETAIN, Kw::DISCARD, Kw::AND, Kw::INITIAL]) {
            let kw = self.tok.kw;
            return self.not_supported(format!("IDENTIFIED … {}", kw.name()));
        }
        Ok(Some(auth))
    }

    fn password_text(&mut self, auth: &mut UserAuth) -> Parsed<()> {
        if self.at(Kw::RANDOM) {
            return self.not_supported("RANDOM PASSWORD");
        }
        // MySQL 5's IDENTIFIED BY PASSWORD 'hash'.
        if self.eat(Kw::PASSWORD) {
            auth.hash = Some(self.string_bytes()?);
        } else {
            auth.password = Some(self.string()?);
        }
        Ok(())
    }

    pub(super) fn create_user(&mut self) -> Parsed<Statement> {
        self.expect(Kw::USER)?;
        let if_not_exists = self.if_not_exists()?;
        let users = self.list(Self::user_spec)?;
        let mut options = UserOptions::default();
        if self.eat_two(Kw::DEFAULT, Kw::ROLE) {
            options.default_roles = self.list(Self::user_name)?;
        }
        self.user_options(&mut options)?;
        Ok(Statement::CreateUser { if_not_exists, users, options })
    }

    pub(super) fn alter_user(&mut self) -> Parsed<Statement> {
        self.expect(Kw::USER)?;
        let if_exists = self.if_exists()?;
        let first = self.user_spec()?;
        if self.eat_two(Kw::DEFAULT, Kw::ROLE) {
            return Ok(Statement::SetDefaultRole { roles: self.role_set(false)?, to: vec![first.user] });
        }
        let mut users = vec![first];
        while self.eat_tok(Tok::Comma) {
            users.push(self.user_spec()?);
        }
        if self.at(Kw::DISCARD) || self.at(Kw::ADD) || self.at(Kw::MODIFY) || self.at(Kw::DROP) {
            return self.not_supported(format!("ALTER USER … {}", self.tok.kw.name()));
        }
        let mut options = UserOptions::default();
        self.user_options(&mut options)?;
        Ok(Statement::AlterUser { if_exists, users, options })
    }

    fn user_options(&mut self, o: &mut UserOptions) -> Parsed<()> {
        if self.eat(Kw::REQUIRE) {
            match self.tok.kw {
                Kw::NONE => o.require_ssl = Some(false),
                Kw::SSL => o.require_ssl = Some(true),
                Kw::X509 | Kw::ISSUER | Kw::SUBJECT => return self.not_supported(format!("REQUIRE {}", self.tok.kw.name())),
                _ if self.is(Tok::Word) && self.bytes(self.tok).eq_ignore_ascii_case(b"cipher") => return self.not_supported("REQUIRE CIPHER"),
                _ => return self.unexpected(),
            }
            self.bump();
        }
        if self.eat(Kw::WITH) {
            let mut any = false;
            while self.at_any(&[Kw::MAX_QUERIES_PER_HOUR, Kw::MAX_UPDATES_PER_HOUR, Kw::MAX_CONNECTIONS_PER_HOUR, Kw::MAX_USER_CONNECTIONS]) {
                let start = self.tok.start;
                let kw = self.tok.kw;
                self.bump();
                let n = self.number()?;
                if kw == Kw::MAX_USER_CONNECTIONS {
                    o.max_user_connections = Some(n);
                } else if n != 0 {
                    o.ignored.push(self.text_since(start));
                }
                any = true;
            }
            if !any {
                return self.unexpected();
            }
        }
        loop {
            let start = self.tok.start;
            match self.tok.kw {
                Kw::ACCOUNT => {
                    self.bump();
                    o.account_locked = Some(self.at(Kw::LOCK));
                    if !self.eat(Kw::LOCK) {
                        self.expect(Kw::UNLOCK)?;
                    }
                }
                Kw::PASSWORD => {
                    self.bump();
                    if self.password_policy(o)? {
                        o.ignored.push(self.text_since(start));
                    }
                }
                Kw::FAILED_LOGIN_ATTEMPTS | Kw::PASSWORD_LOCK_TIME => {
                    self.bump();
                    if !self.eat(Kw::UNBOUNDED) && self.number()? == 0 {
                        continue;
                    }
                    o.ignored.push(self.text_since(start));
                }
                Kw::COMMENT | Kw::ATTRIBUTE => {
                    self.bump();
                    self.string()?;
                    o.ignored.push(self.text_since(start));
                }
                _ => return Ok(()),
            }
        }
    }

    /// After PASSWORD. Gives whether it is a policy we do not enforce, other than by its default.
    fn password_policy(&mut self, o: &mut UserOptions) -> Parsed<bool> {
        match self.tok.kw {
            Kw::EXPIRE => {
                self.bump();
                if self.eat(Kw::INTERVAL) {
                    self.number()?;
                    self.expect(Kw::DAY)?;
                    return Ok(true);
                }
                if self.eat(Kw::NEVER) || self.eat(Kw::DEFAULT) {
                    return Ok(false);
                }
                o.password_expire = true;
                Ok(false)
            }
            Kw::HISTORY => {
                self.bump();
                if self.eat(Kw::DEFAULT) {
                    return Ok(false);
                }
                Ok(self.number()? != 0)
            }
            Kw::REUSE => {
                self.bump();
                self.expect(Kw::INTERVAL)?;
                if self.eat(Kw::DEFAULT) {
                    return Ok(false);
                }
                let days = self.number()?;
                self.expect(Kw::DAY)?;
                Ok(days != 0)
            }
            Kw::REQUIRE => {
                self.bump();
                self.expect(Kw::CURRENT)?;
                if self.eat(Kw::DEFAULT) || self.eat(Kw::OPTIONAL) {
                    return Ok(false);
                }
                Ok(true)
            }
            _ => self.unexpected(),
        }
    }

    // ---------------------------------------------------------------- GRANT and REVOKE

    fn grant_item(&mut self) -> Parsed<Item> {
        let mut item = Item { words: vec![], role: None, columns: vec![], second: self.tok.start };
        if !self.is(Tok::Word) || self.peek().kind == Tok::UserVariable {
            item.role = Some(self.user_name()?);
            return Ok(item);
        }
        while self.is(Tok::Word) && !self.at_any(&[Kw::ON, Kw::TO, Kw::FROM]) {
            if item.words.len() == 1 {
                item.second = self.tok.start;
            }
            item.words.push(self.name_of(self.tok));
            self.bump();
        }
        if item.words.is_empty() {
            return self.unexpected();
        }
        if self.is(Tok::LParen) {
            item.columns = self.paren_idents()?;
        }
        Ok(item)
    }

    fn privileges(&self, items: Vec<Item>) -> Parsed<Vec<Privilege>> {
        let mut out = vec![];
        for item in items {
            let name = item.words.join(" ").to_ascii_uppercase();
            if item.role.is_some() || (item.words.len() > 1 && !PHRASES.contains(&name.as_str())) {
                return Err(self.syntax_error(item.second));
            }
            out.push(Privilege { name: if name == "ALL PRIVILEGES" { "ALL".into() } else { name }, columns: item.columns });
        }
        Ok(out)
    }

    fn roles(&self, items: Vec<Item>) -> Parsed<Vec<UserName>> {
        let mut out = vec![];
        for mut item in items {
            match (item.role, item.words.pop()) {
                (Some(role), _) => out.push(role),
                (None, Some(user)) if item.words.is_empty() && item.columns.is_empty() && !Kw::of(user.as_bytes()).is_reserved() => {
                    out.push(UserName { user, host: "%".into() });
                }
                // Privileges without ON.
                _ => return Err(self.syntax_error(self.tok.start)),
            }
        }
        Ok(out)
    }

    /// After ON.
    fn grant_level(&mut self) -> Parsed<GrantLevel> {
        if self.at(Kw::FUNCTION) || self.at(Kw::PROCEDURE) {
            return self.not_supported("privileges on stored programs");
        }
        self.eat(Kw::TABLE);
        if self.eat_tok(Tok::Star) {
            if self.eat_tok(Tok::Dot) {
                self.expect_tok(Tok::Star)?;
                return Ok(GrantLevel::Global);
            }
            return Ok(GrantLevel::CurrentDatabase);
        }
        let name = self.ident()?;
        if self.eat_tok(Tok::Dot) {
            if self.eat_tok(Tok::Star) {
                return Ok(GrantLevel::Database(name));
            }
            return Ok(GrantLevel::Table(ObjectName { database: Some(name), name: self.ident()? }));
        }
        Ok(GrantLevel::Table(ObjectName { database: None, name }))
    }

    pub(super) fn grant(&mut self) -> Parsed<Statement> {
        self.expect(Kw::GRANT)?;
        if self.at(Kw::PROXY) {
            return self.unsupported("GRANT PROXY");
        }
        let items = self.list(Self::grant_item)?;
        if !self.at(Kw::ON) {
            if !self.at(Kw::TO) {
                return self.unexpected();
            }
            let roles = self.roles(items)?;
            self.bump();
            let to = self.list(Self::user_name)?;
            let with_admin_option = self.eat(Kw::WITH);
            if with_admin_option {
                self.expect(Kw::ADMIN)?;
                self.expect(Kw::OPTION)?;
            }
            return Ok(Statement::GrantRole { roles, to, with_admin_option });
        }
        let privileges = self.privileges(items)?;
        self.bump();
        let on = self.grant_level()?;
        self.expect(Kw::TO)?;
        let to = self.list(Self::user_spec)?;
        let with_grant_option = self.eat(Kw::WITH);
        if with_grant_option {
            self.expect(Kw::GRANT)?;
            self.expect(Kw::OPTION)?;
        }
        if self.at(Kw::AS) {
            return self.not_supported("GRANT … AS");
        }
        Ok(Statement::Grant { privileges, on, to, with_grant_option })
    }

    pub(super) fn revoke(&mut self) -> Parsed<Statement> {
        self.expect(Kw::REVOKE)?;
        if self.at(Kw::PROXY) {
            return self.unsupported("REVOKE PROXY");
        }
        if self.at(Kw::IF) {
            return self.unsupported("REVOKE IF EXISTS");
        }
        let items = self.list(Self::grant_item)?;
        if self.eat(Kw::ON) {
            let privileges = self.privileges(items)?;
            let on = self.grant_level()?;
            self.expect(Kw::FROM)?;
            let from = self.list(Self::user_name)?;
            return Ok(Statement::Revoke { privileges, on, from });
        }
        if !self.at(Kw::FROM) {
            return self.unexpected();
        }
        // REVOKE ALL [PRIVILEGES], GRANT OPTION FROM …
        let is = |item: &Item, names: &[&str]| names.iter().any(|n| item.words.join(" ").eq_ignore_ascii_case(n));
        if let [all, option] = items.as_slice()
            && is(all, &["ALL", "ALL PRIVILEGES"])
            && is(option, &["GRANT OPTION"])
        {
            self.bump();
            return Ok(Statement::RevokeAll { from: self.list(Self::user_name)? });
        }
        let roles = self.roles(items)?;
        self.bump();
        Ok(Statement::RevokeRole { roles, from: self.list(Self::user_name)? })
    }
}
