//! CREATE, ALTER and DROP of what is no table and no user: databases, indexes, views.
//!
//! Owns:     nothing.
//! Promises: stored programs and the like are recognised, so that the refusal names them.
//! Never:    parses a stored program's body.

use super::alter::index_kind;
use super::{Parsed, Parser};
use crate::ast::{CreateView, DatabaseOptions, IndexDef, Statement};
use crate::keyword::Kw;
use crate::lexer::Tok;

impl Parser<'_> {
    pub(super) fn create(&mut self) -> Parsed<Statement> {
        self.expect(Kw::CREATE)?;
        match self.tok.kw {
            Kw::DATABASE | Kw::SCHEMA => {
                self.bump();
                let if_not_exists = self.if_not_exists()?;
                let name = self.ident()?;
                Ok(Statement::CreateDatabase { name, if_not_exists, options: self.database_options()? })
            }
            Kw::TABLE | Kw::TEMPORARY | Kw::ROWSTORE | Kw::COLUMNSTORE | Kw::GLOBAL => self.create_table(),
            Kw::REFERENCE => self.create_table(),
            Kw::UNIQUE | Kw::FULLTEXT | Kw::SPATIAL | Kw::INDEX => {
                if self.at(Kw::SPATIAL) && self.next_at(Kw::REFERENCE) {
                    return self.unsupported("SPATIAL REFERENCE SYSTEM");
                }
                self.create_index()
            }
            Kw::USER => self.create_user(),
            Kw::ROLE => {
                self.bump();
                let if_not_exists = self.if_not_exists()?;
                Ok(Statement::CreateRole { if_not_exists, roles: self.list(Self::user_name)? })
            }
            Kw::OR | Kw::ALGORITHM | Kw::SQL | Kw::VIEW | Kw::DEFINER => self.create_view(false),
            _ => self.other_object("CREATE"),
        }
    }

    /// Objects there are none of here: a refusal by name, or 1064.
    fn other_object(&mut self, verb: &str) -> Parsed<Statement> {
        let what = match self.tok.kw {
            Kw::PROCEDURE => "stored procedures",
            Kw::FUNCTION => "stored functions",
            Kw::TRIGGER => "triggers",
            Kw::EVENT => "events",
            Kw::SERVER => "SERVER",
            Kw::TABLESPACE | Kw::UNDO => "TABLESPACE",
            Kw::LOGFILE => "LOGFILE GROUP",
            Kw::RESOURCE => "RESOURCE GROUP",
            Kw::SPATIAL => "SPATIAL REFERENCE SYSTEM",
            Kw::INSTANCE => "INSTANCE",
            Kw::AGGREGATOR if self.next_at(Kw::FUNCTION) => "stored functions",
            _ if self.is(Tok::Word) => match self.name_of(self.tok).to_ascii_uppercase().as_str() {
                "PIPELINE" => "PIPELINE",
                "LINK" => "LINK",
                "LIBRARY" => "LIBRARY",
                "SEQUENCE" => "SEQUENCE",
                "PACKAGE" => "PACKAGE",
                "MILESTONE" => "MILESTONE",
                "AGGREGATE" => "loadable functions",
                _ => return self.unexpected(),
            },
            _ => return self.unexpected(),
        };
        let feature = if what.chars().all(|c| c.is_uppercase() || c == ' ') { format!("{verb} {what}") } else { what.to_string() };
        self.unsupported(feature)
    }

    pub(super) fn alter(&mut self) -> Parsed<Statement> {
        self.expect(Kw::ALTER)?;
        match self.tok.kw {
            Kw::TABLE | Kw::ONLINE => self.alter_table(),
            Kw::DATABASE | Kw::SCHEMA => {
                self.bump();
                // The name may be left out, and an option's first word is not a name.
                let named = self.is(Tok::Quoted)
                    || (self.at_ident() && !self.at_any(&[Kw::CHARSET, Kw::ENCRYPTION, Kw::PARTITIONS]) || self.next_at(Kw::READ));
                let name = if named { Some(self.ident()?) } else { None };
                if self.at(Kw::READ) {
                    return self.not_supported("READ ONLY databases");
                }
                let start = self.tok.start;
                let options = self.database_options()?;
                if options == DatabaseOptions::default() && start == self.tok.start {
                    return self.unexpected();
                }
                Ok(Statement::AlterDatabase { name, options })
            }
            Kw::USER => self.alter_user(),
            Kw::ALGORITHM | Kw::SQL | Kw::VIEW | Kw::DEFINER => self.create_view(true),
            _ => self.other_object("ALTER"),
        }
    }

    fn database_options(&mut self) -> Parsed<DatabaseOptions> {
        let mut o = DatabaseOptions::default();
        loop {
            if self.at(Kw::DEFAULT) && matches!(self.peek().kw, Kw::CHARSET | Kw::CHARACTER | Kw::CHAR | Kw::COLLATE | Kw::ENCRYPTION) {
                self.bump();
            }
            if self.at_charset() {
                self.eat_charset();
                self.eat_eq();
                o.charset = Some(if self.eat(Kw::DEFAULT) { "default".into() } else { self.charset_name()? });
                continue;
            }
            match self.tok.kw {
                Kw::COLLATE => {
                    self.bump();
                    self.eat_eq();
                    o.collation = Some(self.collation_name()?);
                }
                Kw::ENCRYPTION => {
                    self.bump();
                    self.eat_eq();
                    // 'N' is what mysqldump writes for every database.
                    if !self.string()?.eq_ignore_ascii_case("n") {
                        return self.not_supported("ENCRYPTION");
                    }
                }
                Kw::PARTITIONS => {
                    self.bump();
                    self.eat_eq();
                    o.partitions = Some(self.number_u32()?);
                }
                Kw::WITH => {
                    self.bump();
                    let mut any = false;
                    while self.at_any(&[Kw::SYNC, Kw::ASYNC]) {
                        let sync = self.at(Kw::SYNC);
                        self.bump();
                        if self.eat(Kw::DURABILITY) {
                            o.sync_durability = Some(sync);
                        } else {
                            self.expect(Kw::REPLICATION)?;
                            o.sync_replication = Some(sync);
                        }
                        any = true;
                    }
                    if !any {
                        return self.unexpected();
                    }
                }
                _ => return Ok(o),
            }
        }
    }

    fn create_index(&mut self) -> Parsed<Statement> {
        let Some(kind) = index_kind(self.tok.kw) else { return self.unexpected() };
        self.bump();
        if kind != crate::ast::IndexKind::Plain {
            self.expect(Kw::INDEX)?;
        }
        let if_not_exists = self.if_not_exists()?;
        let name = Some(self.ident()?);
        let method = self.index_method()?;
        self.expect(Kw::ON)?;
        let table = self.object_name()?;
        let columns = self.index_columns(false)?;
        let mut index = IndexDef { kind, name, columns, method, comment: None, invisible: false };
        self.index_options(&mut index)?;
        let (algorithm, lock) = self.algorithm_and_lock()?;
        Ok(Statement::CreateIndex { table, index, if_not_exists, algorithm, lock })
    }

    fn algorithm_and_lock(&mut self) -> Parsed<(Option<String>, Option<String>)> {
        let (mut algorithm, mut lock) = (None, None);
        loop {
            match self.tok.kw {
                Kw::ALGORITHM => algorithm = Some(self.alter_word()?),
                Kw::LOCK => lock = Some(self.alter_word()?),
                _ => return Ok((algorithm, lock)),
            }
        }
    }

    /// `[OR REPLACE] [ALGORITHM = …] [DEFINER = …] [SQL SECURITY …] VIEW …`; the same words may begin a stored program.
    fn create_view(&mut self, alter: bool) -> Parsed<Statement> {
        let mut or_replace = false;
        if !alter && self.eat(Kw::OR) {
            self.expect(Kw::REPLACE)?;
            or_replace = true;
            if self.at_any(&[Kw::TABLE, Kw::TEMPORARY, Kw::USER, Kw::ROLE, Kw::DATABASE, Kw::INDEX]) {
                return self.unexpected();
            }
        }
        let mut algorithm = None;
        if self.at(Kw::ALGORITHM) {
            // ALGORITHM = and then the word.
            let start = if self.next_is(Tok::Eq) { self.peek_after(1).start } else { self.peek().start };
            algorithm = Some(self.alter_word()?);
            if !matches!(algorithm.as_deref(), Some("UNDEFINED" | "MERGE" | "TEMPTABLE")) {
                return Err(self.syntax_error(start));
            }
        }
        let mut definer = None;
        if self.eat(Kw::DEFINER) {
            self.expect_tok(Tok::Eq)?;
            definer = Some(self.user_name()?);
        }
        let mut security_invoker = false;
        if self.eat(Kw::SQL) {
            self.expect(Kw::SECURITY)?;
            security_invoker = self.eat(Kw::INVOKER);
            if !security_invoker {
                self.expect(Kw::DEFINER)?;
            }
        }
        if !self.at(Kw::VIEW) {
            return self.other_object(if alter { "ALTER" } else { "CREATE" });
        }
        self.bump();
        if self.at(Kw::IF) && !alter {
            // MySQL 8.0 has no IF NOT EXISTS for views.
            return self.unexpected();
        }
        let name = self.object_name()?;
        let columns = if self.is(Tok::LParen) { self.paren_idents()? } else { vec![] };
        self.expect(Kw::AS)?;
        let start = self.tok.start;
        let query = *self.query()?;
        let text = self.text_since(start);
        let mut check_option = None;
        if self.eat(Kw::WITH) {
            let local = self.eat(Kw::LOCAL);
            if !local {
                self.eat(Kw::CASCADED);
            }
            self.expect(Kw::CHECK)?;
            self.expect(Kw::OPTION)?;
            check_option = Some(if local { "LOCAL" } else { "CASCADED" }.into());
        }
        Ok(Statement::CreateView(Box::new(CreateView {
            name,
            or_replace,
            columns,
            query,
            text,
            definer,
            security_invoker,
            check_option,
            algorithm,
            alter,
        })))
    }

    pub(super) fn drop(&mut self) -> Parsed<Statement> {
        self.expect(Kw::DROP)?;
        match self.tok.kw {
            Kw::DATABASE | Kw::SCHEMA => {
                self.bump();
                let if_exists = self.if_exists()?;
                Ok(Statement::DropDatabase { name: self.ident()?, if_exists })
            }
            Kw::TABLE | Kw::TABLES | Kw::TEMPORARY => {
                let temporary = self.eat(Kw::TEMPORARY);
                if !self.eat(Kw::TABLES) {
                    self.expect(Kw::TABLE)?;
                }
                let if_exists = self.if_exists()?;
                let names = self.list(Self::object_name)?;
                let cascade = self.eat(Kw::CASCADE);
                if !cascade {
                    self.eat(Kw::RESTRICT);
                }
                Ok(Statement::DropTable { names, if_exists, temporary, cascade })
            }
            Kw::VIEW => {
                self.bump();
                let if_exists = self.if_exists()?;
                let names = self.list(Self::object_name)?;
                if !self.eat(Kw::CASCADE) {
                    self.eat(Kw::RESTRICT);
                }
                Ok(Statement::DropView { names, if_exists })
            }
            Kw::INDEX => {
                self.bump();
                let if_exists = self.if_exists()?;
                let name = self.ident()?;
                self.expect(Kw::ON)?;
                let table = self.object_name()?;
                let (algorithm, lock) = self.algorithm_and_lock()?;
                Ok(Statement::DropIndex { table, name, if_exists, algorithm, lock })
            }
            Kw::USER => {
                self.bump();
                let if_exists = self.if_exists()?;
                Ok(Statement::DropUser { if_exists, users: self.list(Self::user_name)? })
            }
            Kw::ROLE => {
                self.bump();
                let if_exists = self.if_exists()?;
                Ok(Statement::DropRole { if_exists, roles: self.list(Self::user_name)? })
            }
            Kw::PREPARE => {
                self.bump();
                Ok(Statement::Deallocate(self.ident()?))
            }
            _ => self.other_object("DROP"),
        }
    }
}
