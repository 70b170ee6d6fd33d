//! LOAD DATA, and the FIELDS and LINES it shares with SELECT … INTO OUTFILE.
//!
//! Owns:     nothing.
//! Promises: defaults are MySQL's: fields end with a tab, lines with a newline, `\` escapes.
//! Never:    opens a file.

use super::{Parsed, Parser};
use crate::ast::{LoadData, LoadDuplicates, LoadFormat, LoadTarget, Statement};
use crate::keyword::Kw;
use crate::lexer::Tok;
use weald_types::Fault;

impl Parser<'_> {
    pub(super) fn load(&mut self) -> Parsed<Statement> {
        self.expect(Kw::LOAD)?;
        if self.at(Kw::XML) || self.at(Kw::INDEX) {
            let feature = format!("LOAD {}", self.tok.kw.name());
            return self.unsupported(feature);
        }
        self.expect(Kw::DATA)?;
        if self.at_any(&[Kw::LOW_PRIORITY, Kw::CONCURRENT]) {
            self.bump();
        }
        let local = self.eat(Kw::LOCAL);
        self.expect(Kw::INFILE)?;
        let path = self.string()?;
        let duplicates = if self.eat(Kw::REPLACE) {
            LoadDuplicates::Replace
        } else if self.eat(Kw::IGNORE) {
            LoadDuplicates::Ignore
        } else {
            LoadDuplicates::Error
        };
        self.expect(Kw::INTO)?;
        self.expect(Kw::TABLE)?;
        let table = self.object_name()?;
        self.refuse_partition()?;
        let charset = if self.eat_charset() { Some(self.charset_name()?) } else { None };
        let format = self.load_format()?;
        let mut ignore_lines = 0;
        if self.eat(Kw::IGNORE) {
            ignore_lines = self.number()?;
            if !self.eat(Kw::LINES) {
                self.expect(Kw::ROWS)?;
            }
        }
        let mut targets = vec![];
        if self.eat_tok(Tok::LParen) {
            if !self.is(Tok::RParen) {
                targets = self.list(|p| {
                    if p.is(Tok::UserVariable) {
                        p.user_variable().map(LoadTarget::Variable)
                    } else {
                        p.object_column().map(|c| LoadTarget::Column(c.name))
                    }
                })?;
            }
            self.expect_tok(Tok::RParen)?;
        }
        let set = if self.eat(Kw::SET) { self.list(Self::assignment)? } else { vec![] };
        Ok(Statement::LoadData(Box::new(LoadData { local, path, duplicates, table, charset, format, ignore_lines, targets, set })))
    }

    /// `[FIELDS | COLUMNS …] [LINES …]`
    pub(super) fn load_format(&mut self) -> Parsed<LoadFormat> {
        let mut f = LoadFormat {
            fields_terminated: b"\t".to_vec(),
            fields_enclosed: None,
            optionally_enclosed: false,
            escaped: Some(b'\\'),
            lines_starting: vec![],
            lines_terminated: b"\n".to_vec(),
        };
        if self.eat(Kw::FIELDS) || self.eat(Kw::COLUMNS) {
            let mut any = false;
            loop {
                match self.tok.kw {
                    Kw::TERMINATED => {
                        self.bump();
                        self.expect(Kw::BY)?;
                        f.fields_terminated = self.string_bytes()?;
                    }
                    Kw::OPTIONALLY | Kw::ENCLOSED => {
                        f.optionally_enclosed |= self.eat(Kw::OPTIONALLY);
                        self.expect(Kw::ENCLOSED)?;
                        self.expect(Kw::BY)?;
                        f.fields_enclosed = self.single_byte()?;
                    }
                    Kw::ESCAPED => {
                        self.bump();
                        self.expect(Kw::BY)?;
                        f.escaped = self.single_byte()?;
                    }
                    _ if any => break,
                    _ => return self.unexpected(),
                }
                any = true;
            }
        }
        if self.eat(Kw::LINES) {
            let mut any = false;
            loop {
                match self.tok.kw {
                    Kw::STARTING => {
                        self.bump();
                        self.expect(Kw::BY)?;
                        f.lines_starting = self.string_bytes()?;
                    }
                    Kw::TERMINATED => {
                        self.bump();
                        self.expect(Kw::BY)?;
                        f.lines_terminated = self.string_bytes()?;
                    }
                    _ if any => break,
                    _ => return self.unexpected(),
                }
                any = true;
            }
        }
        Ok(f)
    }

    /// A character or nothing.
    fn single_byte(&mut self) -> Parsed<Option<u8>> {
        match self.string_bytes()?.as_slice() {
            [] => Ok(None),
            [b] => Ok(Some(*b)),
            _ => Err(Box::new(Fault::mysql(1083, "42000", "Field separator argument is not what is expected; check the manual"))),
        }
    }
}
