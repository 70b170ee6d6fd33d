//! Literals and variables.
//!
//! Owns:     nothing.
//! Promises: a string is decoded as `sql_mode` says, strings in a row are joined, an introducer's name is kept. Bytes that are no UTF-8 stay bytes.
//! Never:    converts between character sets.

use super::expr::node;
use super::{Parsed, Parser};
use crate::ast::{Expr, Literal, VarScope};
use crate::lexer::{Tok, Token, bit_bytes, hex_bytes};
use std::borrow::Cow;
use weald_types::Charset;

impl Parser<'_> {
    /// Whether the literal at hand is one that [`super::parse_normalised`] takes out, and which.
    fn slot(&mut self) -> Option<Expr> {
        if self.slots.get(self.params as usize) != Some(&self.tok.start) {
            return None;
        }
        self.params += 1;
        Some(Expr::Param(self.params - 1))
    }

    pub(super) fn literal(&mut self) -> Parsed<Box<Expr>> {
        self.literal_expr().map(Box::new)
    }

    pub(super) fn literal_expr(&mut self) -> Parsed<Expr> {
        if let Some(param) = self.slot() {
            self.bump();
            return Ok(param);
        }
        let t = self.tok;
        self.bump();
        let value = match t.kind {
            Tok::Integer => self.integer(t),
            Tok::Decimal => Literal::Decimal(self.string_of(t.start, t.end)),
            Tok::Float => self.float(t)?,
            Tok::Hex | Tok::HexString => Literal::Hex(self.radix_content(t)),
            Tok::Bit | Tok::BitString => Literal::Bit(self.radix_content(t)),
            Tok::National => {
                let bytes = self.bytes(Token { start: t.start + 1, ..t });
                let content = crate::lexer::unescape(&bytes[1..bytes.len() - 1], b'\'', self.lexer.no_backslash()).into_owned();
                Literal::National(String::from_utf8_lossy(&self.concatenated(content)).into_owned())
            }
            Tok::Introducer => {
                let charset = self.string_of(t.start + 1, t.end).to_ascii_lowercase();
                let written = self.tok.kind;
                let value = match written {
                    Tok::String | Tok::Hex | Tok::HexString | Tok::Bit | Tok::BitString => self.string_bytes()?,
                    _ => return self.unexpected(),
                };
                let value = self.concatenated(value);
                match Charset::by_name(&charset).map(|c| c.decode(&value).map(Cow::into_owned)) {
                    // Digits are the bytes of the text in its own character set.
                    Some(Ok(text)) if written != Tok::String => text_literal(text.into_bytes(), Some(charset)),
                    _ => text_literal(value, Some(charset)),
                }
            }
            _ => {
                let content = self.string_content(t);
                text_literal(self.concatenated(content), None)
            }
        };
        Ok(Expr::Literal(value))
    }

    /// `'a' 'b'` is one string.
    fn concatenated(&mut self, mut value: Vec<u8>) -> Vec<u8> {
        while self.is(Tok::String) {
            value.extend(self.string_content(self.tok));
            self.bump();
        }
        value
    }

    fn integer(&self, t: Token) -> Literal {
        let digits = self.bytes(t);
        let value = digits.iter().try_fold(0u64, |v, d| v.checked_mul(10)?.checked_add(u64::from(d - b'0')));
        value.map_or_else(|| Literal::Decimal(self.string_of(t.start, t.end)), Literal::Integer)
    }

    fn float(&self, t: Token) -> Parsed<Literal> {
        let text = self.string_of(t.start, t.end);
        match text.parse::<f64>() {
            Ok(v) if v.is_finite() => Ok(Literal::Double(v)),
            _ => Err(Box::new(weald_types::Fault::mysql(1367, "22007", format!("Illegal double '{text}' value found during parsing")))),
        }
    }

    pub(super) fn radix_content(&self, t: Token) -> Vec<u8> {
        let bytes = self.bytes(t);
        match t.kind {
            Tok::Hex => hex_bytes(&bytes[2..]),
            Tok::HexString => hex_bytes(&bytes[2..bytes.len() - 1]),
            Tok::Bit => bit_bytes(&bytes[2..]),
            _ => bit_bytes(&bytes[2..bytes.len() - 1]),
        }
    }

    #[inline(never)]
    pub(super) fn variable(&mut self) -> Parsed<Box<Expr>> {
        let variable = self.user_variable()?;
        if self.eat_tok(Tok::Assign) {
            return node(Expr::Assign { variable, value: self.boxed_expr()? });
        }
        node(Expr::UserVariable(variable))
    }

    #[inline(never)]
    pub(super) fn system_variable(&mut self) -> Parsed<Box<Expr>> {
        self.expect_tok(Tok::AtAt)?;
        let (scope, name) = self.scoped_variable()?;
        node(Expr::SystemVariable { scope, name })
    }

    /// `[GLOBAL. | SESSION. | LOCAL. | PERSIST. | PERSIST_ONLY.] name[.part]`, after `@@`.
    pub(super) fn scoped_variable(&mut self) -> Parsed<(Option<VarScope>, String)> {
        let mut name = self.name_of(self.tok);
        if !matches!(self.tok.kind, Tok::Word | Tok::Quoted) {
            return self.unexpected();
        }
        let mut scope = None;
        if self.is(Tok::Word) && self.next_is(Tok::Dot) {
            scope = match name.to_ascii_lowercase().as_str() {
                "global" => Some(VarScope::Global),
                "session" | "local" => Some(VarScope::Session),
                "persist" => Some(VarScope::Persist),
                "persist_only" => Some(VarScope::PersistOnly),
                _ => None,
            };
            if scope.is_some() {
                self.bump();
                self.bump();
                name = self.ident()?;
            } else {
                name = self.ident()?;
            }
        } else {
            name = self.ident().map(|_| name)?;
        }
        if self.eat_tok(Tok::Dot) {
            name = format!("{name}.{}", self.ident()?);
        }
        Ok((scope, name))
    }
}

fn text_literal(value: Vec<u8>, charset: Option<String>) -> Literal {
    match String::from_utf8(value) {
        Ok(value) => Literal::String { value, charset },
        Err(e) => Literal::Bytes(e.into_bytes()),
    }
}
