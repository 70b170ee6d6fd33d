//! Column types, and DEFAULT and the other attributes of a column.
//!
//! Owns:     nothing.
//! Promises: synonyms come out as one name: see [`DataType::name`](crate::ast::DataType).
//! Never:    checks a length against its type.

use super::{Parsed, Parser};
use crate::ast::{CheckDef, ColumnDef, ColumnOptions, DataType, Expr, Generated, UnaryOp};
use crate::keyword::Kw;
use crate::lexer::Tok;
use weald_types::SqlMode;

impl Parser<'_> {
    pub(super) fn data_type(&mut self) -> Parsed<DataType> {
        let mut t = DataType {
            name: String::new(),
            length: None,
            decimals: None,
            unsigned: false,
            zerofill: false,
            charset: None,
            collation: None,
            binary: false,
            members: vec![],
        };
        let kw = self.tok.kw;
        let start = self.tok.start;
        if !self.is(Tok::Word) {
            return self.unexpected();
        }
        let word = self.name_of(self.tok).to_ascii_uppercase();
        self.bump();
        let name = match kw {
            Kw::TINYINT | Kw::INT1 => "TINYINT",
            Kw::SMALLINT | Kw::INT2 => "SMALLINT",
            Kw::MEDIUMINT | Kw::INT3 | Kw::MIDDLEINT => "MEDIUMINT",
            Kw::INT | Kw::INTEGER | Kw::INT4 => "INT",
            Kw::BIGINT | Kw::INT8 => "BIGINT",
            Kw::FLOAT | Kw::FLOAT4 => "FLOAT",
            Kw::REAL if self.sql_mode.has(SqlMode::REAL_AS_FLOAT | SqlMode::ANSI) => "FLOAT",
            Kw::DOUBLE | Kw::FLOAT8 | Kw::REAL => "DOUBLE",
            Kw::DECIMAL | Kw::NUMERIC | Kw::DEC | Kw::FIXED => "DECIMAL",
            Kw::BIT => "BIT",
            Kw::BOOL | Kw::BOOLEAN => {
                t.length = Some(1);
                t.name = "TINYINT".into();
                return Ok(t);
            }
            Kw::SERIAL => {
                t.unsigned = true;
                t.name = "SERIAL".into();
                return Ok(t);
            }
            Kw::CHAR | Kw::CHARACTER | Kw::NCHAR | Kw::NATIONAL | Kw::NVARCHAR | Kw::VARCHAR | Kw::VARCHARACTER => return self.character_type(kw, t),
            Kw::BINARY => "BINARY",
            Kw::VARBINARY => "VARBINARY",
            Kw::TINYTEXT | Kw::TEXT | Kw::MEDIUMTEXT | Kw::LONGTEXT | Kw::TINYBLOB | Kw::BLOB | Kw::MEDIUMBLOB | Kw::LONGBLOB => kw.name(),
            Kw::LONG => return self.long_type(t),
            Kw::DATE | Kw::TIME | Kw::DATETIME | Kw::TIMESTAMP | Kw::YEAR | Kw::JSON => kw.name(),
            Kw::ENUM | Kw::SET => {
                t.name = kw.name().into();
                t.members = self.parens(|p| p.list(Self::string))?;
                self.charset_of_type(&mut t)?;
                return Ok(t);
            }
            Kw::GEOMETRY
            | Kw::POINT
            | Kw::LINESTRING
            | Kw::POLYGON
            | Kw::MULTIPOINT
            | Kw::MULTILINESTRING
            | Kw::MULTIPOLYGON
            | Kw::GEOMETRYCOLLECTION
            | Kw::GEOMCOLLECTION => kw.name(),
            _ => {
                // MemSQL's own, which are refused by name.
                if matches!(word.as_str(), "GEOGRAPHY" | "GEOGRAPHYPOINT" | "VECTOR" | "BSON") {
                    if word == "VECTOR" && self.is(Tok::LParen) {
                        t.length = self.optional_length()?;
                    }
                    t.name = word;
                    return Ok(t);
                }
                return Err(self.syntax_error(start));
            }
        };
        t.name = name.into();
        match name {
            "TINYINT" | "SMALLINT" | "MEDIUMINT" | "INT" | "BIGINT" => {
                t.length = self.optional_length()?;
                self.number_attributes(&mut t);
            }
            "FLOAT" | "DOUBLE" | "DECIMAL" => {
                if kw == Kw::DOUBLE {
                    self.eat(Kw::PRECISION);
                }
                if self.eat_tok(Tok::LParen) {
                    t.length = Some(self.number_u32()?);
                    if self.is(Tok::Comma) || (name == "DOUBLE") {
                        self.expect_tok(Tok::Comma)?;
                        t.decimals = Some(self.number_u32()?.min(255) as u8);
                    }
                    self.expect_tok(Tok::RParen)?;
                }
                self.number_attributes(&mut t);
            }
            "VARBINARY" => t.length = Some(self.parens(Self::number_u32)?),
            "BIT" | "BINARY" | "TIME" | "DATETIME" | "TIMESTAMP" | "BLOB" => t.length = self.optional_length()?,
            "YEAR" => {
                t.length = self.optional_length()?;
                self.number_attributes(&mut t);
            }
            "TEXT" => {
                t.length = self.optional_length()?;
                self.charset_of_type(&mut t)?;
            }
            "TINYTEXT" | "MEDIUMTEXT" | "LONGTEXT" => self.charset_of_type(&mut t)?,
            _ => (),
        }
        Ok(t)
    }

    fn number_attributes(&mut self, t: &mut DataType) {
        loop {
            match self.tok.kw {
                Kw::UNSIGNED => t.unsigned = true,
                Kw::ZEROFILL => {
                    t.zerofill = true;
                    t.unsigned = true;
                }
                Kw::SIGNED => (),
                _ => return,
            }
            self.bump();
        }
    }

    /// After CHAR, CHARACTER, NCHAR, NATIONAL, NVARCHAR, VARCHAR or VARCHARACTER.
    fn character_type(&mut self, first: Kw, mut t: DataType) -> Parsed<DataType> {
        let mut varying = matches!(first, Kw::VARCHAR | Kw::NVARCHAR | Kw::VARCHARACTER);
        let national = matches!(first, Kw::NCHAR | Kw::NATIONAL | Kw::NVARCHAR);
        if first == Kw::NATIONAL {
            match self.tok.kw {
                Kw::CHAR | Kw::CHARACTER => (),
                Kw::VARCHAR | Kw::VARCHARACTER => varying = true,
                _ => return self.unexpected(),
            }
            self.bump();
        }
        if !varying {
            varying = self.eat(Kw::VARYING) || (first == Kw::NCHAR && self.eat(Kw::VARCHAR));
        }
        t.name = if varying { "VARCHAR" } else { "CHAR" }.into();
        t.length = if varying { Some(self.parens(Self::number_u32)?) } else { self.optional_length()? };
        if national {
            t.charset = Some("utf8mb3".into());
            t.binary = self.eat(Kw::BINARY);
        } else if self.eat(Kw::BYTE) {
            t.name = if varying { "VARBINARY" } else { "BINARY" }.into();
        } else {
            self.charset_of_type(&mut t)?;
        }
        Ok(t)
    }

    /// LONG, LONG VARCHAR, LONG VARBINARY, LONG CHAR VARYING
    fn long_type(&mut self, mut t: DataType) -> Parsed<DataType> {
        if self.eat(Kw::VARBINARY) {
            t.name = "MEDIUMBLOB".into();
            return Ok(t);
        }
        if (self.at(Kw::CHAR) || self.at(Kw::CHARACTER)) && self.next_at(Kw::VARYING) {
            self.bump();
            self.bump();
        } else if !self.eat(Kw::VARCHAR) {
            self.eat(Kw::VARCHARACTER);
        }
        t.name = "MEDIUMTEXT".into();
        self.charset_of_type(&mut t)?;
        Ok(t)
    }

    /// `[CHARACTER SET x | ASCII | UNICODE | BYTE] [BINARY]`, in either order.
    fn charset_of_type(&mut self, t: &mut DataType) -> Parsed<()> {
        t.binary |= self.eat(Kw::BINARY);
        if self.eat_charset() {
            t.charset = Some(self.charset_name()?);
        } else if self.eat(Kw::ASCII) {
            t.charset = Some("latin1".into());
        } else if self.eat(Kw::UNICODE) {
            t.charset = Some("ucs2".into());
        } else if self.eat(Kw::BYTE) {
            t.charset = Some("binary".into());
        }
        t.binary |= self.eat(Kw::BINARY);
        Ok(())
    }

    // ---------------------------------------------------------------- columns

    /// What follows a column's name.
    pub(super) fn column_def(&mut self, name: String) -> Parsed<ColumnDef> {
        let data_type = self.data_type()?;
        let mut o = ColumnOptions::default();
        if self.eat(Kw::COLLATE) {
            o.collation = Some(self.collation_name()?);
        }
        if self.at(Kw::AS) || self.at(Kw::GENERATED) {
            if self.eat(Kw::GENERATED) {
                self.expect(Kw::ALWAYS)?;
            }
            self.expect(Kw::AS)?;
            let (expr, text) = self.paren_expr_text()?;
            let stored = self.eat(Kw::STORED) || self.eat(Kw::PERSISTENT);
            if !stored {
                self.eat(Kw::VIRTUAL);
            }
            o.generated = Some(Generated { expr, stored, text });
        }
        while self.column_attribute(&mut o)? {}
        let mut column = ColumnDef { name, data_type, options: o };
        if column.data_type.name == "SERIAL" {
            // BIGINT UNSIGNED NOT NULL AUTO_INCREMENT UNIQUE
            column.data_type.name = "BIGINT".into();
            column.options.nullable = Some(false);
            column.options.auto_increment = true;
            column.options.unique = true;
        }
        Ok(column)
    }

    fn column_attribute(&mut self, o: &mut ColumnOptions) -> Parsed<bool> {
        match self.tok.kw {
            Kw::NULL => {
                self.bump();
                o.nullable = Some(true);
            }
            Kw::NOT => {
                self.bump();
                self.expect(Kw::NULL)?;
                o.nullable = Some(false);
            }
            Kw::DEFAULT => {
                self.bump();
                let (default, in_parens) = self.default_value()?;
                o.default = Some(default);
                o.default_in_parens = in_parens;
            }
            Kw::ON => {
                self.bump();
                self.expect(Kw::UPDATE)?;
                o.on_update = Some(self.now()?);
            }
            Kw::AUTO_INCREMENT => {
                self.bump();
                o.auto_increment = true;
            }
            Kw::SERIAL => {
                self.bump();
                self.expect(Kw::DEFAULT)?;
                self.expect(Kw::VALUE)?;
                o.auto_increment = true;
                o.nullable = Some(false);
                o.unique = true;
            }
            Kw::PRIMARY => {
                self.bump();
                self.expect(Kw::KEY)?;
                o.primary_key = true;
            }
            Kw::KEY => {
                self.bump();
                o.primary_key = true;
            }
            Kw::UNIQUE => {
                self.bump();
                self.eat(Kw::KEY);
                o.unique = true;
            }
            Kw::COMMENT => {
                self.bump();
                o.comment = Some(self.string()?);
            }
            Kw::COLLATE => {
                self.bump();
                o.collation = Some(self.collation_name()?);
            }
            // NDB's, which InnoDB reads and forgets too.
            Kw::COLUMN_FORMAT => {
                self.bump();
                if !self.eat(Kw::DEFAULT) && !self.eat(Kw::FIXED) {
                    self.expect(Kw::DYNAMIC)?;
                }
            }
            Kw::STORAGE => {
                self.bump();
                if !self.eat(Kw::DEFAULT) && !self.eat(Kw::DISK) {
                    self.expect(Kw::MEMORY)?;
                }
            }
            Kw::VISIBLE => {
                self.bump();
                o.invisible = false;
            }
            Kw::INVISIBLE => {
                self.bump();
                o.invisible = true;
            }
            Kw::SRID => return self.not_supported("SRID"),
            Kw::ENGINE_ATTRIBUTE | Kw::SECONDARY_ENGINE_ATTRIBUTE => return self.not_supported(self.tok.kw.name()),
            Kw::CONSTRAINT | Kw::CHECK => {
                let name = if self.eat(Kw::CONSTRAINT) && self.at_ident() { Some(self.ident()?) } else { None };
                o.checks.push(self.check(name)?);
            }
            Kw::REFERENCES => o.references = Some(self.references(None, vec![])?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// CHECK (expr) [[NOT] ENFORCED]
    pub(super) fn check(&mut self, name: Option<String>) -> Parsed<CheckDef> {
        self.expect(Kw::CHECK)?;
        let (expr, text) = self.paren_expr_text()?;
        let enforced = self.enforcement()?.unwrap_or(true);
        Ok(CheckDef { name, expr, enforced, text })
    }

    pub(super) fn enforcement(&mut self) -> Parsed<Option<bool>> {
        if self.eat(Kw::ENFORCED) {
            return Ok(Some(true));
        }
        Ok(if self.eat_two(Kw::NOT, Kw::ENFORCED) { Some(false) } else { None })
    }

    /// A signed literal, NOW, or `(expr)`; and whether it is the last.
    pub(super) fn default_value(&mut self) -> Parsed<(Expr, bool)> {
        match self.tok.kind {
            Tok::LParen => Ok((self.paren_expr_text()?.0, true)),
            Tok::Minus | Tok::Plus => {
                let op = if self.is(Tok::Minus) { UnaryOp::Minus } else { UnaryOp::Plus };
                self.bump();
                if !matches!(self.tok.kind, Tok::Integer | Tok::Decimal | Tok::Float) {
                    return self.unexpected();
                }
                Ok((Expr::Unary { op, expr: self.literal()? }, false))
            }
            Tok::Word => match self.tok.kw {
                Kw::NULL | Kw::TRUE | Kw::FALSE | Kw::DATE | Kw::TIME | Kw::TIMESTAMP => match *self.word_atom()? {
                    literal @ Expr::Literal(_) => Ok((literal, false)),
                    _ => self.unexpected(),
                },
                _ => Ok((self.now()?, false)),
            },
            Tok::Integer
            | Tok::Decimal
            | Tok::Float
            | Tok::String
            | Tok::National
            | Tok::Introducer
            | Tok::Hex
            | Tok::HexString
            | Tok::Bit
            | Tok::BitString => Ok((*self.literal()?, false)),
            _ => self.unexpected(),
        }
    }

    /// NOW and its synonyms.
    fn now(&mut self) -> Parsed<Expr> {
        match self.tok.kw {
            Kw::CURRENT_TIMESTAMP | Kw::LOCALTIME | Kw::LOCALTIMESTAMP => Ok(*self.word_atom()?),
            Kw::NOW if self.next_is(Tok::LParen) => Ok(*self.word_atom()?),
            _ => self.unexpected(),
        }
    }
}
