//! SHOW.
//!
//! Owns:     nothing.
//! Promises: LIKE and WHERE are read wherever MySQL allows them, and nowhere else.
//! Never:    knows what there is to be shown.

use super::{Parsed, Parser};
use crate::ast::{ObjectName, Show, ShowFilter, ShowKind, Statement, VarScope};
use crate::keyword::Kw;
use crate::lexer::Tok;

/// Whether a filter may follow.
#[derive(PartialEq)]
enum Takes {
    Filter,
    Nothing,
}

impl Parser<'_> {
    pub(super) fn show(&mut self) -> Parsed<Statement> {
        self.expect(Kw::SHOW)?;
        let (kind, takes) = match self.show_kind()? {
            Ok(kind) => kind,
            Err(feature) => return self.unsupported(feature),
        };
        let mut filter = None;
        if takes == Takes::Filter {
            if self.eat(Kw::LIKE) {
                filter = Some(ShowFilter::Like(self.string()?));
            } else if self.eat(Kw::WHERE) {
                filter = Some(ShowFilter::Where(self.expr()?));
            }
        }
        Ok(Statement::Show(Box::new(Show { kind, filter })))
    }

    /// Inner Err: the name of what we do not have.
    fn show_kind(&mut self) -> Parsed<Result<(ShowKind, Takes), String>> {
        use Takes::{Filter, Nothing};
        let kw = self.tok.kw;
        let ok = |kind, takes| Ok(Ok((kind, takes)));
        match kw {
            Kw::EXTENDED | Kw::FULL => return self.show_full(),
            Kw::CREATE => return self.show_create(),
            Kw::COUNT => {
                self.bump();
                self.expect_tok(Tok::LParen)?;
                self.expect_tok(Tok::Star)?;
                self.expect_tok(Tok::RParen)?;
                if self.eat(Kw::WARNINGS) {
                    return ok(ShowKind::CountWarnings, Nothing);
                }
                self.expect(Kw::ERRORS)?;
                return ok(ShowKind::CountErrors, Nothing);
            }
            _ if !self.is(Tok::Word) => return self.unexpected(),
            _ => (),
        }
        let word = self.tok;
        self.bump();
        match kw {
            Kw::DATABASES | Kw::SCHEMAS => ok(ShowKind::Databases { extended: self.eat(Kw::EXTENDED) }, Filter),
            Kw::DATABASE if self.eat(Kw::STATUS) => ok(ShowKind::DatabaseStatus(None), Nothing),
            Kw::TABLES => ok(ShowKind::Tables { full: false, database: self.in_database()? }, Filter),
            Kw::TABLE if self.eat(Kw::STATUS) => ok(ShowKind::TableStatus { database: self.in_database()? }, Filter),
            Kw::OPEN if self.eat(Kw::TABLES) => ok(ShowKind::OpenTables { database: self.in_database()? }, Filter),
            Kw::COLUMNS | Kw::FIELDS => ok(ShowKind::Columns { full: false, table: self.of_table()? }, Filter),
            Kw::INDEX | Kw::INDEXES | Kw::KEYS => self.show_index(),
            Kw::GLOBAL | Kw::SESSION | Kw::LOCAL => {
                let scope = if kw == Kw::GLOBAL { VarScope::Global } else { VarScope::Session };
                if self.eat(Kw::STATUS) {
                    return ok(ShowKind::Status { scope }, Filter);
                }
                self.expect(Kw::VARIABLES)?;
                ok(ShowKind::Variables { scope }, Filter)
            }
            Kw::VARIABLES => ok(ShowKind::Variables { scope: VarScope::Session }, Filter),
            Kw::STATUS => ok(ShowKind::Status { scope: VarScope::Session }, Filter),
            Kw::WARNINGS => ok(ShowKind::Warnings { limit: self.limit()? }, Nothing),
            Kw::ERRORS => ok(ShowKind::Errors { limit: self.limit()? }, Nothing),
            Kw::PROCESSLIST => ok(ShowKind::ProcessList { full: false }, Nothing),
            Kw::ENGINES => ok(ShowKind::Engines, Nothing),
            Kw::STORAGE if self.eat(Kw::ENGINES) => ok(ShowKind::Engines, Nothing),
            Kw::ENGINE => {
                let engine = if self.eat(Kw::ALL) { "ALL".into() } else { self.ident_or_string()? };
                if self.at(Kw::LOGS) || self.at(Kw::MUTEX) {
                    return Ok(Err(format!("SHOW ENGINE … {}", self.tok.kw.name())));
                }
                self.expect(Kw::STATUS)?;
                ok(ShowKind::EngineStatus(engine), Nothing)
            }
            Kw::PLUGINS => ok(ShowKind::Plugins, Nothing),
            Kw::CHARSET => ok(ShowKind::Charset, Filter),
            Kw::CHARACTER | Kw::CHAR if self.eat(Kw::SET) => ok(ShowKind::Charset, Filter),
            Kw::COLLATION => ok(ShowKind::Collation, Filter),
            Kw::PRIVILEGES => ok(ShowKind::Privileges, Nothing),
            Kw::GRANTS => {
                if !self.eat(Kw::FOR) {
                    return ok(ShowKind::Grants(None), Nothing);
                }
                let user = self.user_name()?;
                if self.eat(Kw::USING) {
                    return ok(ShowKind::GrantsUsing { user, roles: self.list(Self::user_name)? }, Nothing);
                }
                ok(ShowKind::Grants(Some(user)), Nothing)
            }
            Kw::TRIGGERS => ok(ShowKind::Triggers { database: self.in_database()? }, Filter),
            Kw::EVENTS => ok(ShowKind::Events { database: self.in_database()? }, Filter),
            Kw::PROCEDURE | Kw::FUNCTION => {
                if self.at(Kw::CODE) {
                    return Ok(Err(format!("SHOW {} CODE", kw.name())));
                }
                self.expect(Kw::STATUS)?;
                ok(if kw == Kw::PROCEDURE { ShowKind::ProcedureStatus } else { ShowKind::FunctionStatus }, Filter)
            }
            Kw::MASTER if self.eat(Kw::STATUS) => ok(ShowKind::MasterStatus, Nothing),
            Kw::MASTER | Kw::BINARY if self.eat(Kw::LOGS) => ok(ShowKind::BinaryLogs, Nothing),
            Kw::SLAVE if self.eat(Kw::HOSTS) => ok(ShowKind::Replicas, Nothing),
            Kw::REPLICAS => ok(ShowKind::Replicas, Nothing),
            Kw::SLAVE | Kw::REPLICA if self.eat(Kw::STATUS) => {
                if self.at(Kw::FOR) {
                    return Ok(Err("SHOW REPLICA STATUS FOR CHANNEL".into()));
                }
                ok(ShowKind::SlaveStatus, Nothing)
            }
            Kw::BINLOG | Kw::RELAYLOG if self.at(Kw::EVENTS) => Ok(Err(format!("SHOW {} EVENTS", kw.name()))),
            Kw::PROFILES => ok(ShowKind::Profiles, Nothing),
            Kw::PROFILE => {
                if self.eat(Kw::JSON) {
                    return ok(ShowKind::ProfileJson, Nothing);
                }
                if !self.is(Tok::End) && !self.is(Tok::Semicolon) {
                    return Ok(Err("SHOW PROFILE of kinds or of a query".into()));
                }
                ok(ShowKind::Profile, Nothing)
            }
            Kw::PLANCACHE => ok(ShowKind::PlanCache, Filter),
            Kw::AGGREGATORS => ok(ShowKind::Aggregators { extended: self.eat(Kw::EXTENDED) }, Nothing),
            Kw::LEAVES => ok(ShowKind::Leaves { extended: self.eat(Kw::EXTENDED) }, Nothing),
            Kw::PARTITIONS => {
                let extended = self.eat(Kw::EXTENDED);
                let database = if self.eat(Kw::ON) { Some(self.ident()?) } else { None };
                ok(ShowKind::Partitions { extended, database }, Nothing)
            }
            Kw::CLUSTER if self.eat(Kw::STATUS) => ok(ShowKind::ClusterStatus, Nothing),
            Kw::REPLICATION if self.at(Kw::STATUS) => Ok(Err("SHOW REPLICATION STATUS".into())),
            Kw::REBALANCE => Ok(Err("SHOW REBALANCE STATUS".into())),
            Kw::NotOne if self.bytes(word).eq_ignore_ascii_case(b"workload") => Ok(Err("SHOW WORKLOAD MANAGEMENT STATUS".into())),
            Kw::NotOne if self.bytes(word).eq_ignore_ascii_case(b"pipelines") => Ok(Err("SHOW PIPELINES".into())),
            _ if self.is(Tok::End)
                || kw.is_reserved() && kw != Kw::NotOne && !matches!(kw, Kw::DATABASE | Kw::TABLE | Kw::CHAR | Kw::CHARACTER | Kw::BINARY) =>
            {
                Err(self.syntax_error(word.start))
            }
            _ if kw == Kw::NotOne => Err(self.syntax_error(word.start)),
            _ => self.unexpected(),
        }
    }

    /// `SHOW [EXTENDED] [FULL] TABLES | COLUMNS | INDEX | PROCESSLIST`
    fn show_full(&mut self) -> Parsed<Result<(ShowKind, Takes), String>> {
        // EXTENDED adds hidden columns and tables, of which there are none.
        let extended = self.eat(Kw::EXTENDED);
        let full = self.eat(Kw::FULL);
        let kw = self.tok.kw;
        match kw {
            Kw::TABLES => {
                self.bump();
                Ok(Ok((ShowKind::Tables { full, database: self.in_database()? }, Takes::Filter)))
            }
            Kw::COLUMNS | Kw::FIELDS => {
                self.bump();
                Ok(Ok((ShowKind::Columns { full, table: self.of_table()? }, Takes::Filter)))
            }
            Kw::INDEX | Kw::INDEXES | Kw::KEYS if !full => {
                self.bump();
                self.show_index()
            }
            Kw::PROCESSLIST if !extended => {
                self.bump();
                Ok(Ok((ShowKind::ProcessList { full }, Takes::Nothing)))
            }
            _ => self.unexpected(),
        }
    }

    fn show_index(&mut self) -> Parsed<Result<(ShowKind, Takes), String>> {
        let table = self.of_table()?;
        // WHERE, but not LIKE.
        if self.at(Kw::LIKE) {
            return self.unexpected();
        }
        Ok(Ok((ShowKind::Index { table }, Takes::Filter)))
    }

    fn show_create(&mut self) -> Parsed<Result<(ShowKind, Takes), String>> {
        self.bump();
        let kw = self.tok.kw;
        if !self.is(Tok::Word) {
            return self.unexpected();
        }
        let start = self.tok.start;
        self.bump();
        let kind = match kw {
            Kw::TABLE => ShowKind::CreateTable(self.object_name()?),
            Kw::VIEW => ShowKind::CreateView(self.object_name()?),
            Kw::DATABASE | Kw::SCHEMA => {
                let if_not_exists = self.if_not_exists()?;
                ShowKind::CreateDatabase { name: self.ident()?, if_not_exists }
            }
            Kw::USER => ShowKind::CreateUser(self.user_name()?),
            Kw::PROCEDURE | Kw::FUNCTION | Kw::TRIGGER | Kw::EVENT => ShowKind::CreateOther { what: kw.name().into(), name: self.object_name()? },
            _ => return Err(self.syntax_error(start)),
        };
        Ok(Ok((kind, Takes::Nothing)))
    }

    /// `[FROM | IN database]`
    fn in_database(&mut self) -> Parsed<Option<String>> {
        if self.eat(Kw::FROM) || self.eat(Kw::IN) { self.ident().map(Some) } else { Ok(None) }
    }

    /// `FROM | IN table [FROM | IN database]`
    fn of_table(&mut self) -> Parsed<ObjectName> {
        if !self.eat(Kw::FROM) {
            self.expect(Kw::IN)?;
        }
        let mut table = self.object_name()?;
        if let Some(database) = self.in_database()? {
            table.database = Some(database);
        }
        Ok(table)
    }
}
