//! From text to syntax tree, by recursive descent; one file for each family of statements.
//!
//! Owns:     the position in one statement's text.
//! Promises: linear in the text; stops at a fixed depth of nesting with 1436, so that no statement can overrun the stack, here or in whoever walks the tree.
//! Never:    looks a name up, or changes its answer with anything but the text and the options.
//! See:      sql/sql_yacc.yy of MySQL 8.0, whose rules are followed one by one.

mod aggregate;
mod alter;
mod cluster;
mod create_table;
mod data_type;
mod define;
mod dml;
mod expr;
mod from;
mod function;
mod literal;
mod load;
mod query;
mod set;
mod show;
mod statement;
mod users;

use crate::ast::{Expr, Ident, Into, ObjectColumn, ObjectName, Query, Span, Statement};
use crate::keyword::Kw;
use crate::lexer::{Lexer, Tok, Token, is_space, unescape};
use crate::normalise::Normalised;
use weald_types::{Fault, SqlMode};

/// What the text's meaning depends on.
#[derive(Clone, Copy, Debug)]
pub struct ParseOptions {
    pub sql_mode: SqlMode,
}

impl Default for ParseOptions {
    fn default() -> Self {
        ParseOptions { sql_mode: SqlMode::DEFAULT }
    }
}

/// A statement with `?` in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    pub statement: Statement,
    pub params: u32,
}

/// One statement, with or without a `;` after it. Text without a statement is 1065.
pub fn parse(text: impl AsRef<[u8]>, options: &ParseOptions) -> Result<Statement, Fault> {
    Parser::new(text.as_ref(), options).only_statement().map_err(|f| *f)
}

/// One statement that may hold `?`.
pub fn parse_prepared(text: impl AsRef<[u8]>, options: &ParseOptions) -> Result<Prepared, Fault> {
    let mut p = Parser::new(text.as_ref(), options);
    p.params_allowed = true;
    let statement = p.only_statement().map_err(|f| *f)?;
    Ok(Prepared { statement, params: p.params })
}

/// The statement that `normalised` was made from, with [`Expr::Param`] `n` where literal `n` was taken out.
///
/// `None` where one of them stands where only a literal may (a JSON path, the length of a type): two statements of this normal form then
/// differ in more than values, and must not share a plan.
pub fn parse_normalised(text: impl AsRef<[u8]>, normalised: &Normalised, options: &ParseOptions) -> Result<Option<Statement>, Fault> {
    let mut p = Parser::new(text.as_ref(), options);
    p.slots = normalised.starts();
    let statement = p.only_statement().map_err(|f| *f)?;
    Ok((p.params as usize == p.slots.len()).then_some(statement))
}

/// A stored expression: a default, a generated column, a check.
pub fn parse_expr(text: impl AsRef<[u8]>, options: &ParseOptions) -> Result<Expr, Fault> {
    let mut p = Parser::new(text.as_ref(), options);
    p.expr().and_then(|e| p.expect_end().map(|()| e)).map_err(|f| *f)
}

/// A view's SELECT.
pub fn parse_query(text: impl AsRef<[u8]>, options: &ParseOptions) -> Result<Query, Fault> {
    let mut p = Parser::new(text.as_ref(), options);
    p.query().and_then(|q| p.expect_end().map(|()| *q)).map_err(|f| *f)
}

/// Nesting of parentheses, subqueries, NOT, CASE … allowed in a statement. Measured: the worst of them takes 9 KB of stack a level in a debug build, so that a
/// stack of 2 MB holds the deepest statement with room to spare.
pub(crate) const MAX_DEPTH: u32 = 128;
/// Height of an expression's tree, which chains of operators build without nesting. Those who walk the tree do so by recursion.
const MAX_HEIGHT: u32 = 200;

/// Boxed: the fault is large and rare, the result is everywhere.
type Parsed<T> = Result<T, Box<Fault>>;

struct Parser<'a> {
    text: &'a [u8],
    lexer: Lexer<'a>,
    sql_mode: SqlMode,
    /// The token looked at.
    tok: Token,
    /// The one after it.
    ahead: Token,
    /// End of the token before `tok`.
    last_end: u32,
    depth: u32,
    /// Height of the expression just parsed.
    height: u32,
    /// Greatest height among the parts of the expression being parsed.
    peak: u32,
    /// The operand that was read before it was known to be one: see [`Parser::paren`].
    pending: Option<Box<Expr>>,
    /// INTO as met in a SELECT, on its way to the query around it.
    into: Option<Into>,
    params: u32,
    params_allowed: bool,
    /// Starts of the literals to be taken as parameters: see [`parse_normalised`].
    slots: Vec<u32>,
}

impl<'a> Parser<'a> {
    fn new(text: &'a [u8], options: &ParseOptions) -> Self {
        // MySQL cuts these off before it looks, so they are not part of what its messages quote.
        let mut end = text.len();
        while end > 0 && (is_space(text[end - 1]) || text[end - 1] == b';') {
            end -= 1;
        }
        let text = &text[..end];
        let mut lexer = Lexer::new(text, options.sql_mode);
        let tok = lexer.next_token();
        let ahead = lexer.next_token();
        Parser {
            text,
            lexer,
            sql_mode: options.sql_mode,
            tok,
            ahead,
            last_end: 0,
            depth: 0,
            height: 0,
            peak: 0,
            pending: None,
            into: None,
            params: 0,
            params_allowed: false,
            slots: vec![],
        }
    }

    fn only_statement(&mut self) -> Parsed<Statement> {
        if self.is(Tok::End) {
            return Err(Box::new(Fault::mysql(1065, "42000", "Query was empty")));
        }
        let statement = self.statement()?;
        self.expect_end()?;
        Ok(statement)
    }

    fn expect_end(&mut self) -> Parsed<()> {
        if self.is(Tok::Semicolon) {
            self.bump();
        }
        if self.is(Tok::End) { Ok(()) } else { self.unexpected() }
    }

    // ---------------------------------------------------------------- tokens

    fn bump(&mut self) {
        self.last_end = self.tok.end;
        self.tok = self.ahead;
        self.ahead = self.lexer.next_token();
    }

    fn peek(&self) -> Token {
        self.ahead
    }

    /// The token `n` after the next; read again each time, so for rare questions only.
    fn peek_after(&self, n: usize) -> Token {
        let mut lexer = self.lexer.clone();
        (0..n).map(|_| lexer.next_token()).last().unwrap_or(self.ahead)
    }

    /// At `(`: the first token that is none. Another `(` where there are more of them than may be nested.
    fn after_parens(&self) -> Token {
        let mut lexer = self.lexer.clone();
        let mut t = self.ahead;
        for _ in 0..MAX_DEPTH {
            if t.kind != Tok::LParen {
                break;
            }
            t = lexer.next_token();
        }
        t
    }

    fn is(&self, kind: Tok) -> bool {
        self.tok.kind == kind
    }
    fn at(&self, kw: Kw) -> bool {
        self.tok.kw == kw
    }
    fn at_any(&self, kws: &[Kw]) -> bool {
        kws.contains(&self.tok.kw) && self.tok.kw != Kw::NotOne
    }
    fn next_is(&self, kind: Tok) -> bool {
        self.peek().kind == kind
    }
    fn next_at(&self, kw: Kw) -> bool {
        self.peek().kw == kw
    }

    fn eat(&mut self, kw: Kw) -> bool {
        let found = self.at(kw);
        if found {
            self.bump();
        }
        found
    }

    /// Both words, or neither.
    fn eat_two(&mut self, first: Kw, second: Kw) -> bool {
        let found = self.at(first) && self.next_at(second);
        if found {
            self.bump();
            self.bump();
        }
        found
    }

    fn eat_tok(&mut self, kind: Tok) -> bool {
        let found = self.is(kind);
        if found {
            self.bump();
        }
        found
    }

    fn expect(&mut self, kw: Kw) -> Parsed<()> {
        if self.eat(kw) { Ok(()) } else { self.unexpected() }
    }
    fn expect_tok(&mut self, kind: Tok) -> Parsed<()> {
        if self.eat_tok(kind) { Ok(()) } else { self.unexpected() }
    }

    fn unexpected<T>(&self) -> Parsed<T> {
        Err(self.syntax_error(self.tok.start))
    }

    /// 1064 as MySQL words it: the text from `start`, at most 80 characters of it.
    #[cold]
    fn syntax_error(&self, start: u32) -> Box<Fault> {
        let (before, rest) = self.text.split_at((start as usize).min(self.text.len()));
        let near = String::from_utf8_lossy(&rest[..rest.len().min(320)]).chars().take(80).collect();
        let line = before.iter().filter(|b| **b == b'\n').count() as u32 + 1;
        Box::new(Fault::Syntax { near, line })
    }

    #[cold]
    fn not_supported<T>(&self, feature: impl std::convert::Into<String>) -> Parsed<T> {
        Err(Box::new(Fault::not_supported(feature)))
    }

    // ---------------------------------------------------------------- depth

    /// One level down; every `enter` has its [`Parser::leave`], except on the way out with an error.
    fn enter(&mut self) -> Parsed<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH { Err(too_deep()) } else { Ok(()) }
    }

    fn leave(&mut self) {
        self.depth -= 1;
    }

    fn set_height(&mut self, height: u32) -> Parsed<()> {
        self.height = height;
        if height > MAX_HEIGHT { Err(too_deep()) } else { Ok(()) }
    }

    // ---------------------------------------------------------------- text and names

    fn bytes(&self, t: Token) -> &'a [u8] {
        &self.text[t.start as usize..t.end as usize]
    }

    fn string_of(&self, start: u32, end: u32) -> String {
        String::from_utf8_lossy(&self.text[start as usize..end as usize]).into_owned()
    }

    /// The text from `start` to the end of the last token, as written.
    fn text_since(&self, start: u32) -> String {
        self.string_of(start, self.last_end.max(start))
    }

    fn span_from(&self, start: u32) -> Span {
        Span { start, end: self.last_end.max(start) }
    }

    /// What a Word or Quoted token names.
    fn name_of(&self, t: Token) -> Ident {
        let bytes = self.bytes(t);
        let content = match t.kind {
            Tok::Quoted => unescape(&bytes[1..bytes.len() - 1], bytes[0], true),
            _ => bytes.into(),
        };
        String::from_utf8_lossy(&content).into_owned()
    }

    fn at_ident(&self) -> bool {
        match self.tok.kind {
            Tok::Word => !self.tok.kw.is_reserved(),
            Tok::Quoted => true,
            // `_utf8` is an introducer only where a string follows; MySQL's lexer does not look either, and refuses it as a name.
            _ => false,
        }
    }

    fn ident(&mut self) -> Parsed<Ident> {
        if !self.at_ident() {
            return self.unexpected();
        }
        let name = self.name_of(self.tok);
        self.bump();
        Ok(name)
    }

    fn idents(&mut self) -> Parsed<Vec<Ident>> {
        self.list(Self::ident)
    }

    fn paren_idents(&mut self) -> Parsed<Vec<Ident>> {
        self.parens(Self::idents)
    }

    fn object_name(&mut self) -> Parsed<ObjectName> {
        let first = self.ident()?;
        if self.eat_tok(Tok::Dot) {
            return Ok(ObjectName { database: Some(first), name: self.ident()? });
        }
        Ok(ObjectName { database: None, name: first })
    }

    /// `[[database.]table.]column`
    fn object_column(&mut self) -> Parsed<ObjectColumn> {
        let mut parts = vec![self.ident()?];
        while parts.len() < 3 && self.eat_tok(Tok::Dot) {
            parts.push(self.ident()?);
        }
        let name = parts.pop().unwrap_or_default();
        let table = parts.pop();
        Ok(ObjectColumn { database: parts.pop(), table, name })
    }

    /// A string literal's text, where the grammar wants one and not an expression. No introducer, no concatenation.
    fn string(&mut self) -> Parsed<String> {
        Ok(String::from_utf8_lossy(&self.string_bytes()?).into_owned())
    }

    fn string_bytes(&mut self) -> Parsed<Vec<u8>> {
        match self.tok.kind {
            Tok::String => {
                let value = self.string_content(self.tok);
                self.bump();
                Ok(value)
            }
            Tok::HexString | Tok::Hex | Tok::Bit | Tok::BitString => {
                let value = self.radix_content(self.tok);
                self.bump();
                Ok(value)
            }
            _ => self.unexpected(),
        }
    }

    fn string_content(&self, t: Token) -> Vec<u8> {
        let bytes = self.bytes(t);
        unescape(&bytes[1..bytes.len() - 1], bytes[0], self.lexer.no_backslash()).into_owned()
    }

    fn ident_or_string(&mut self) -> Parsed<String> {
        if self.is(Tok::String) { self.string() } else { self.ident() }
    }

    /// `@name`, without the `@`.
    fn variable_name(&self, t: Token) -> Ident {
        let bytes = &self.bytes(t)[1..];
        let content = match bytes.first() {
            Some(q @ (b'\'' | b'"' | b'`')) => unescape(&bytes[1..bytes.len() - 1], *q, *q == b'`' || self.lexer.no_backslash()),
            _ => bytes.into(),
        };
        String::from_utf8_lossy(&content).into_owned()
    }

    fn user_variable(&mut self) -> Parsed<Ident> {
        if !self.is(Tok::UserVariable) {
            return self.unexpected();
        }
        let name = self.variable_name(self.tok);
        self.bump();
        Ok(name)
    }

    /// An unsigned number: also hexadecimal, as MySQL allows wherever a length or a count is wanted.
    fn number(&mut self) -> Parsed<u64> {
        let bytes = self.bytes(self.tok);
        let value = match self.tok.kind {
            Tok::Integer => std::str::from_utf8(bytes).ok().and_then(|s| s.parse().ok()),
            Tok::Hex => std::str::from_utf8(&bytes[2..]).ok().and_then(|s| u64::from_str_radix(s, 16).ok()),
            _ => return self.unexpected(),
        };
        let Some(value) = value else { return self.unexpected() };
        self.bump();
        Ok(value)
    }

    fn number_u32(&mut self) -> Parsed<u32> {
        let start = self.tok.start;
        u32::try_from(self.number()?).map_err(|_| self.syntax_error(start))
    }

    /// A collation or character set: a name, a string, or the reserved BINARY.
    fn charset_name(&mut self) -> Parsed<String> {
        if self.eat(Kw::BINARY) {
            return Ok("binary".into());
        }
        self.ident_or_string()
    }

    fn collation_name(&mut self) -> Parsed<String> {
        if self.eat(Kw::BINARY) { Ok("binary".into()) } else { self.ident_or_string() }
    }

    /// CHARSET | CHAR SET | CHARACTER SET
    fn eat_charset(&mut self) -> bool {
        self.eat(Kw::CHARSET) || self.eat_two(Kw::CHARACTER, Kw::SET) || self.eat_two(Kw::CHAR, Kw::SET)
    }

    fn at_charset(&self) -> bool {
        self.at(Kw::CHARSET) || ((self.at(Kw::CHARACTER) || self.at(Kw::CHAR)) && self.next_at(Kw::SET))
    }

    fn eat_eq(&mut self) -> bool {
        self.eat_tok(Tok::Eq)
    }

    fn if_exists(&mut self) -> Parsed<bool> {
        if !self.at(Kw::IF) {
            return Ok(false);
        }
        self.bump();
        self.expect(Kw::EXISTS)?;
        Ok(true)
    }

    fn if_not_exists(&mut self) -> Parsed<bool> {
        if !self.at(Kw::IF) {
            return Ok(false);
        }
        self.bump();
        self.expect(Kw::NOT)?;
        self.expect(Kw::EXISTS)?;
        Ok(true)
    }

    // ---------------------------------------------------------------- shapes

    /// One or more, with commas between.
    fn list<T>(&mut self, item: fn(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        let mut out = vec![item(self)?];
        while self.eat_tok(Tok::Comma) {
            out.push(item(self)?);
        }
        Ok(out)
    }

    fn parens<T>(&mut self, inner: fn(&mut Self) -> Parsed<T>) -> Parsed<T> {
        self.expect_tok(Tok::LParen)?;
        let value = inner(self)?;
        self.expect_tok(Tok::RParen)?;
        Ok(value)
    }

    /// An expression in parentheses, and its text as written between them.
    fn paren_expr_text(&mut self) -> Parsed<(Expr, String)> {
        self.expect_tok(Tok::LParen)?;
        let start = self.tok.start;
        let expr = self.expr()?;
        let text = self.text_since(start);
        self.expect_tok(Tok::RParen)?;
        Ok((expr, text))
    }
}

#[cold]
fn too_deep() -> Box<Fault> {
    Box::new(Fault::mysql(1436, "HY000", "Thread stack overrun: the statement is nested too deeply"))
}
