//! Which statement it is, and the short ones: transactions, PREPARE, EXPLAIN, KILL, FLUSH and so on.
//!
//! Owns:     nothing.
//! Promises: what MySQL or MemSQL have and we do not is [`Statement::Unsupported`] with its name; what neither has is 1064.
//! Never:    runs anything.

use super::{Parsed, Parser};
use crate::ast::{MaintenanceVerb, PrepareSource, Statement, TableLock};
use crate::keyword::Kw;
use crate::lexer::{Tok, Token};

impl Parser<'_> {
    /// A refusal that names the feature; whatever follows is not looked at.
    pub(super) fn unsupported(&mut self, feature: impl Into<String>) -> Parsed<Statement> {
        let end = self.text.len() as u32;
        self.tok = Token { kind: Tok::End, kw: Kw::NotOne, start: end, end };
        self.ahead = self.tok;
        Ok(Statement::Unsupported { feature: feature.into() })
    }

    pub(super) fn statement(&mut self) -> Parsed<Statement> {
        match self.tok.kw {
            Kw::SELECT | Kw::TABLE | Kw::VALUES => self.select_statement(),
            Kw::WITH => self.with_statement(),
            Kw::INSERT | Kw::REPLACE => self.insert(),
            Kw::UPDATE => self.update(None),
            Kw::DELETE => self.delete(None),
            Kw::LOAD => self.load(),
            Kw::SET => self.set(),
            Kw::SHOW => self.show(),
            Kw::CREATE => self.create(),
            Kw::ALTER => self.alter(),
            Kw::DROP => self.drop(),
            Kw::GRANT => self.grant(),
            Kw::REVOKE => self.revoke(),
            Kw::EXPLAIN | Kw::DESCRIBE | Kw::DESC => self.explain(),
            Kw::NotOne if self.is(Tok::LParen) => self.select_statement(),
            _ => self.short_statement(),
        }
    }

    fn select_statement(&mut self) -> Parsed<Statement> {
        Ok(Statement::Select(self.query()?))
    }

    fn with_statement(&mut self) -> Parsed<Statement> {
        let start = self.tok;
        let lexer = self.lexer.clone();
        let ahead = self.ahead;
        let params = self.params;
        let with = self.with()?;
        match self.tok.kw {
            Kw::UPDATE => self.update(with),
            Kw::DELETE => self.delete(with),
            _ => {
                // A query reads its own WITH.
                (self.tok, self.lexer, self.ahead, self.params) = (start, lexer, ahead, params);
                self.select_statement()
            }
        }
    }

    fn short_statement(&mut self) -> Parsed<Statement> {
        let kw = self.tok.kw;
        let start = self.tok.start;
        if !self.is(Tok::Word) {
            return self.unexpected();
        }
        match kw {
            Kw::DO => {
                self.bump();
                Ok(Statement::Do(self.exprs()?))
            }
            Kw::CALL => {
                self.bump();
                let name = self.object_name()?;
                let mut args = vec![];
                if self.eat_tok(Tok::LParen) {
                    if !self.is(Tok::RParen) {
                        args = self.exprs()?;
                    }
                    self.expect_tok(Tok::RParen)?;
                }
                Ok(Statement::Call { name, args })
            }
            Kw::RENAME => self.rename(),
            Kw::TRUNCATE => {
                self.bump();
                self.eat(Kw::TABLE);
                Ok(Statement::Truncate(self.object_name()?))
            }
            Kw::BEGIN => {
                self.bump();
                self.eat(Kw::WORK);
                Ok(Statement::Begin { read_only: None, consistent_snapshot: false })
            }
            Kw::START => self.start(),
            Kw::COMMIT | Kw::ROLLBACK => self.end_transaction(),
            Kw::SAVEPOINT => {
                self.bump();
                Ok(Statement::Savepoint(self.ident()?))
            }
            Kw::RELEASE => {
                self.bump();
                self.expect(Kw::SAVEPOINT)?;
                Ok(Statement::ReleaseSavepoint(self.ident()?))
            }
            Kw::LOCK => self.lock(),
            Kw::UNLOCK => {
                self.bump();
                if self.at(Kw::INSTANCE) {
                    return self.unsupported("UNLOCK INSTANCE");
                }
                if !self.eat(Kw::TABLES) {
                    self.expect(Kw::TABLE)?;
                }
                Ok(Statement::UnlockTables)
            }
            Kw::USE => {
                self.bump();
                Ok(Statement::Use(self.ident()?))
            }
            Kw::PREPARE => {
                self.bump();
                let name = self.ident()?;
                self.expect(Kw::FROM)?;
                let source =
                    if self.is(Tok::UserVariable) { PrepareSource::Variable(self.user_variable()?) } else { PrepareSource::Text(self.string()?) };
                Ok(Statement::Prepare { name, source })
            }
            Kw::EXECUTE => {
                self.bump();
                let name = self.ident()?;
                let using = if self.eat(Kw::USING) { self.list(Self::user_variable)? } else { vec![] };
                Ok(Statement::Execute { name, using })
            }
            Kw::DEALLOCATE => {
                self.bump();
                self.expect(Kw::PREPARE)?;
                Ok(Statement::Deallocate(self.ident()?))
            }
            Kw::KILL => {
                self.bump();
                let query_only = self.eat(Kw::QUERY);
                if !query_only {
                    self.eat(Kw::CONNECTION);
                }
                Ok(Statement::Kill { query_only, id: self.expr()? })
            }
            Kw::FLUSH => self.flush(),
            Kw::RESET if self.next_at(Kw::PERSIST) => self.reset_persist(),
            Kw::ANALYZE | Kw::CHECK | Kw::OPTIMIZE | Kw::REPAIR | Kw::CHECKSUM => self.maintenance(),
            Kw::PROFILE => {
                self.bump();
                let inner = self.nested_statement()?;
                Ok(Statement::Profile(Box::new(inner)))
            }
            Kw::SNAPSHOT => {
                self.bump();
                self.eat(Kw::DATABASE);
                Ok(Statement::SnapshotDatabase(self.ident()?))
            }
            Kw::SHUTDOWN => {
                self.bump();
                Ok(Statement::Shutdown)
            }
            _ => match self.cluster() {
                Some(statement) => statement,
                None => self.refused_by_name(kw, start),
            },
        }
    }

    /// Statements that exist elsewhere. One word is enough to know some; for others the second decides.
    fn refused_by_name(&mut self, kw: Kw, start: u32) -> Parsed<Statement> {
        let next = self.peek();
        let second = if next.kind == Tok::Word { String::from_utf8_lossy(self.bytes(next)).to_ascii_uppercase() } else { String::new() };
        let second = second.as_str();
        let known = match kw {
            Kw::HANDLER | Kw::XA | Kw::BINLOG | Kw::SIGNAL | Kw::RESIGNAL | Kw::GET | Kw::HELP | Kw::RESTART | Kw::CLONE => {
                next.kind != Tok::End || matches!(kw, Kw::RESTART | Kw::RESIGNAL)
            }
            Kw::PURGE => matches!(second, "BINARY" | "MASTER"),
            Kw::RESET => !second.is_empty(),
            Kw::CHANGE => matches!(second, "MASTER" | "REPLICATION"),
            Kw::STOP => matches!(second, "SLAVE" | "REPLICA" | "GROUP_REPLICATION" | "PIPELINE"),
            Kw::INSTALL | Kw::UNINSTALL => matches!(second, "PLUGIN" | "COMPONENT"),
            Kw::CACHE => second == "INDEX",
            Kw::IMPORT => second == "TABLE",
            // MemSQL's own.
            Kw::ADD | Kw::REMOVE | Kw::ATTACH | Kw::DETACH => matches!(second, "LEAVES" | "PARTITION"),
            Kw::REBALANCE => matches!(second, "PARTITIONS" | "ALL"),
            Kw::RESTORE => matches!(second, "REDUNDANCY" | "DATABASE"),
            Kw::PROMOTE => second == "PARTITION",
            Kw::CLEAR => second == "STANDALONE",
            Kw::BACKUP | Kw::REPLICATE => next.kind != Tok::End,
            Kw::COPY => second == "PARTITION",
            _ => false,
        };
        if !known {
            return Err(self.syntax_error(start));
        }
        let feature = if second.is_empty() || matches!(kw, Kw::HANDLER | Kw::XA | Kw::BINLOG | Kw::SIGNAL | Kw::HELP | Kw::BACKUP | Kw::REPLICATE) {
            kw.name().to_string()
        } else {
            format!("{} {second}", kw.name())
        };
        self.unsupported(feature)
    }

    fn nested_statement(&mut self) -> Parsed<Statement> {
        self.enter()?;
        let s = self.statement()?;
        self.leave();
        Ok(s)
    }

    fn rename(&mut self) -> Parsed<Statement> {
        self.expect(Kw::RENAME)?;
        if self.eat(Kw::USER) {
            return Ok(Statement::RenameUser(self.list(|p| {
                let from = p.user_name()?;
                p.expect(Kw::TO)?;
                Ok((from, p.user_name()?))
            })?));
        }
        if !self.eat(Kw::TABLES) {
            self.expect(Kw::TABLE)?;
        }
        Ok(Statement::RenameTable(self.list(|p| {
            let from = p.object_name()?;
            p.expect(Kw::TO)?;
            Ok((from, p.object_name()?))
        })?))
    }

    fn start(&mut self) -> Parsed<Statement> {
        self.expect(Kw::START)?;
        if self.at_any(&[Kw::SLAVE, Kw::REPLICA]) {
            return self.unsupported(format!("START {}", self.tok.kw.name()));
        }
        self.expect(Kw::TRANSACTION)?;
        let (mut read_only, mut consistent_snapshot) = (None, false);
        if self.at_any(&[Kw::WITH, Kw::READ]) {
            loop {
                if self.eat(Kw::WITH) {
                    self.expect(Kw::CONSISTENT)?;
                    self.expect(Kw::SNAPSHOT)?;
                    consistent_snapshot = true;
                } else {
                    self.expect(Kw::READ)?;
                    let only = self.eat(Kw::ONLY);
                    if !only {
                        self.expect(Kw::WRITE)?;
                    }
                    if read_only.replace(only).is_some() {
                        return self.unexpected();
                    }
                }
                if !self.eat_tok(Tok::Comma) {
                    break;
                }
            }
        }
        Ok(Statement::Begin { read_only, consistent_snapshot })
    }

    /// COMMIT and ROLLBACK: `[WORK] [AND [NO] CHAIN] [[NO] RELEASE]`, ROLLBACK also `TO [SAVEPOINT] name`.
    fn end_transaction(&mut self) -> Parsed<Statement> {
        let commit = self.at(Kw::COMMIT);
        self.bump();
        self.eat(Kw::WORK);
        if !commit && self.eat(Kw::TO) {
            self.eat(Kw::SAVEPOINT);
            return Ok(Statement::RollbackTo(self.ident()?));
        }
        let (mut chain, mut release) = (None, None);
        if self.eat(Kw::AND) {
            chain = Some(!self.eat(Kw::NO));
            self.expect(Kw::CHAIN)?;
        }
        if self.at(Kw::RELEASE) || (self.at(Kw::NO) && self.next_at(Kw::RELEASE)) {
            release = Some(!self.eat(Kw::NO));
            if chain == Some(true) && release == Some(true) {
                return self.unexpected();
            }
            self.expect(Kw::RELEASE)?;
        }
        Ok(if commit { Statement::Commit { chain, release } } else { Statement::Rollback { chain, release } })
    }

    fn lock(&mut self) -> Parsed<Statement> {
        self.expect(Kw::LOCK)?;
        if self.at(Kw::INSTANCE) {
            return self.unsupported("LOCK INSTANCE FOR BACKUP");
        }
        if !self.eat(Kw::TABLES) {
            self.expect(Kw::TABLE)?;
        }
        let locks = self.list(|p| {
            let name = p.object_name()?;
            let alias = if p.eat(Kw::AS) || p.at_ident() { Some(p.ident()?) } else { None };
            let lock = if p.eat(Kw::READ) {
                if p.eat(Kw::LOCAL) { TableLock::ReadLocal } else { TableLock::Read }
            } else {
                p.eat(Kw::LOW_PRIORITY);
                p.expect(Kw::WRITE)?;
                TableLock::Write
            };
            Ok((name, alias, lock))
        })?;
        Ok(Statement::LockTables(locks))
    }

    fn reset_persist(&mut self) -> Parsed<Statement> {
        self.expect(Kw::RESET)?;
        self.expect(Kw::PERSIST)?;
        let if_exists = self.if_exists()?;
        let name = if self.at_ident() { Some(self.ident()?) } else { None };
        Ok(Statement::ResetPersist { name, if_exists })
    }

    fn flush(&mut self) -> Parsed<Statement> {
        self.expect(Kw::FLUSH)?;
        if !self.eat(Kw::LOCAL) {
            self.eat(Kw::NO_WRITE_TO_BINLOG);
        }
        if self.at_any(&[Kw::TABLES, Kw::TABLE]) {
            self.bump();
            let tables = if self.at_ident() { self.list(Self::object_name)? } else { vec![] };
            let (mut read_lock, mut for_export) = (false, false);
            if self.eat(Kw::WITH) {
                self.expect(Kw::READ)?;
                self.expect(Kw::LOCK)?;
                read_lock = true;
            } else if !tables.is_empty() && self.eat(Kw::FOR) {
                self.expect(Kw::EXPORT)?;
                for_export = true;
            }
            if tables.is_empty() && !read_lock && !self.is(Tok::Comma) {
                return Ok(Statement::Flush(vec!["TABLES".into()]));
            }
            return Ok(Statement::FlushTables { tables, read_lock, for_export });
        }
        let options = self.list(|p| {
            let option = match p.tok.kw {
                Kw::PRIVILEGES | Kw::STATUS | Kw::LOGS | Kw::HOSTS | Kw::USER_RESOURCES | Kw::OPTIMIZER_COSTS => p.tok.kw.name().to_string(),
                kw @ (Kw::BINARY | Kw::ENGINE | Kw::ERROR | Kw::GENERAL | Kw::SLOW | Kw::RELAYLOG) if p.next_at(Kw::LOGS) => {
                    p.bump();
                    format!("{} LOGS", kw.name())
                }
                _ => return p.unexpected(),
            };
            p.bump();
            Ok(option)
        })?;
        Ok(Statement::Flush(options))
    }

    fn maintenance(&mut self) -> Parsed<Statement> {
        let verb = match self.tok.kw {
            Kw::ANALYZE => MaintenanceVerb::Analyze,
            Kw::CHECK => MaintenanceVerb::Check,
            Kw::OPTIMIZE => MaintenanceVerb::Optimize,
            Kw::REPAIR => MaintenanceVerb::Repair,
            _ => MaintenanceVerb::Checksum { quick: false },
        };
        self.bump();
        if !self.eat(Kw::LOCAL) {
            self.eat(Kw::NO_WRITE_TO_BINLOG);
        }
        if !self.eat(Kw::TABLES) {
            self.expect(Kw::TABLE)?;
        }
        let tables = self.list(Self::object_name)?;
        match verb {
            MaintenanceVerb::Analyze if self.at(Kw::UPDATE) || self.at(Kw::DROP) => return self.unsupported("HISTOGRAM"),
            // How thorough to be: we have one way.
            MaintenanceVerb::Check => {
                if self.eat(Kw::FOR) {
                    self.expect(Kw::UPGRADE)?;
                }
                while self.at_any(&[Kw::QUICK, Kw::FAST, Kw::MEDIUM, Kw::EXTENDED, Kw::CHANGED]) {
                    self.bump();
                }
            }
            MaintenanceVerb::Repair => {
                while self.at_any(&[Kw::QUICK, Kw::EXTENDED]) {
                    self.bump();
                }
            }
            MaintenanceVerb::Checksum { .. } => {
                let quick = self.eat(Kw::QUICK);
                if !quick {
                    self.eat(Kw::EXTENDED);
                }
                return Ok(Statement::TableMaintenance { verb: MaintenanceVerb::Checksum { quick }, tables });
            }
            _ => (),
        }
        Ok(Statement::TableMaintenance { verb, tables })
    }

    fn explain(&mut self) -> Parsed<Statement> {
        self.bump();
        let analyze = self.eat(Kw::ANALYZE);
        let mut format = None;
        if self.at(Kw::FORMAT) && self.next_is(Tok::Eq) {
            self.bump();
            self.bump();
            format = Some(self.ident_or_string()?.to_ascii_uppercase());
        } else if self.at_any(&[Kw::JSON, Kw::EXTENDED])
            && matches!(self.peek().kw, Kw::SELECT | Kw::INSERT | Kw::REPLACE | Kw::UPDATE | Kw::DELETE | Kw::WITH)
        {
            // MemSQL's forms.
            format = Some(self.tok.kw.name().into());
            self.bump();
        }
        match self.tok.kw {
            Kw::SELECT | Kw::INSERT | Kw::REPLACE | Kw::UPDATE | Kw::DELETE | Kw::WITH | Kw::TABLE | Kw::VALUES => (),
            _ if self.is(Tok::LParen) => (),
            Kw::FOR => {
                if !self.next_at(Kw::CONNECTION) {
                    return self.unexpected();
                }
                return self.unsupported("EXPLAIN FOR CONNECTION");
            }
            Kw::REBALANCE | Kw::RESTORE | Kw::CLEAR if self.peek().kind == Tok::Word => {
                let feature = format!("EXPLAIN {}", self.tok.kw.name());
                return self.unsupported(feature);
            }
            _ if !analyze && format.is_none() && self.at_ident() => {
                let table = self.object_name()?;
                let column = if self.is(Tok::End) || self.is(Tok::Semicolon) { None } else { Some(self.ident_or_string()?) };
                return Ok(Statement::Describe { table, column });
            }
            _ => return self.unexpected(),
        }
        let statement = Box::new(self.nested_statement()?);
        Ok(Statement::Explain { analyze, format, statement })
    }
}
