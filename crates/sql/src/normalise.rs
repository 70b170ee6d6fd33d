//! The normal form of a statement's text: literals out, white space and comments collapsed. It keys the plan cache.
//!
//! Owns:     nothing; fills buffers that the caller keeps for the next statement.
//! Promises: one pass over the tokens, no syntax tree, no allocation once the buffers have grown. Two texts of one normal form, under one `sql_mode`,
//!           are the same tokens but for the literals taken out, and those agree in kind (a decimal also in scale): the types of all expressions agree.
//! Never:    takes out a literal that a column may be named by or that may say which column is meant (select list, GROUP BY, ORDER BY, HAVING), nor one that
//!           decides a type (the 2 of `ROUND(x, 2)`).
//!
//! Literals are taken out after WHERE, VALUES, SET, LIMIT and ON DUPLICATE KEY UPDATE, until a word that begins another clause; inside parentheses this begins
//! anew with a SELECT and is as before after them. Where one is taken out, the normal form has a mark that no MySQL text can hold in that place:
//! `@` an integer, `@?u` one above the greatest BIGINT, `@?N` a decimal of N decimals, `@?e` a double, `^` a string, `^?x` more hexadecimal digits than a number has.

use crate::ast::Literal;
use crate::hint;
use crate::keyword::Kw;
use crate::lexer::{Lexer, Tok, Token, hex_bytes, is_ident, unescape};
use std::borrow::Cow;
use weald_types::SqlMode;

/// A statement's normal form; reused from statement to statement.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Normalised {
    /// The key. Statements under different `sql_mode`s or in different databases may share it and still mean different things.
    pub text: Vec<u8>,
    /// What was taken out, in order: parameter `n` is `slots[n]`.
    pub slots: Vec<Slot>,
    /// Of `text`. Equal texts have equal hashes on every machine.
    pub hash: u64,
    pub no_backslash: bool,
}

/// A literal taken out of the text, at `start..end` there (quotes included).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slot {
    pub start: u32,
    pub end: u32,
    pub value: SlotValue,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SlotValue {
    Int(i64),
    /// Above `i64::MAX`.
    UInt(u64),
    /// Digits and a point, or an integer beyond 64 bits: as the text has it.
    Decimal,
    Double(f64),
    /// `plain`: no escapes and no doubled quotes, so the bytes between the quotes are the value.
    String {
        plain: bool,
    },
    /// `0x…`
    Hex,
}

impl Normalised {
    pub(crate) fn starts(&self) -> Vec<u32> {
        self.slots.iter().map(|s| s.start).collect()
    }

    /// The bytes of a decimal's digits, of a string's value or of hexadecimal digits, where `text` is the text that was normalised.
    pub fn bytes<'t>(&self, text: &'t [u8], slot: &Slot) -> Cow<'t, [u8]> {
        let raw = &text[slot.start as usize..slot.end as usize];
        match slot.value {
            SlotValue::String { plain: true } => Cow::Borrowed(&raw[1..raw.len() - 1]),
            SlotValue::String { plain: false } => unescape(&raw[1..raw.len() - 1], raw[0], self.no_backslash),
            SlotValue::Hex => Cow::Owned(hex_bytes(&raw[2..])),
            _ => Cow::Borrowed(raw),
        }
    }

    /// The literal as the parser would have read it.
    pub fn literal(&self, text: &[u8], slot: &Slot) -> Literal {
        match slot.value {
            SlotValue::Int(v) => Literal::Integer(v as u64),
            SlotValue::UInt(v) => Literal::Integer(v),
            SlotValue::Double(v) => Literal::Double(v),
            SlotValue::Decimal => Literal::Decimal(String::from_utf8_lossy(&self.bytes(text, slot)).into_owned()),
            SlotValue::Hex => Literal::Hex(self.bytes(text, slot).into_owned()),
            SlotValue::String { .. } => match String::from_utf8(self.bytes(text, slot).into_owned()) {
                Ok(value) => Literal::String { value, charset: None },
                Err(e) => Literal::Bytes(e.into_bytes()),
            },
        }
    }
}

/// Fills `out` with the normal form of `text`. False, with `out` in no useful state, for statements that have none: anything but SELECT, INSERT, REPLACE,
/// UPDATE, DELETE and WITH, and the few texts whose literals cannot be told apart without a parser. Those are parsed as they are.
pub fn normalise(text: &[u8], sql_mode: SqlMode, out: &mut Normalised) -> bool {
    out.text.clear();
    out.slots.clear();
    let mut lexer = Lexer::new(text, sql_mode);
    out.no_backslash = lexer.no_backslash();
    let mut t = lexer.next_token();
    let mut first = t;
    while first.kind == Tok::LParen {
        let mut ahead = lexer.clone();
        first = ahead.next_token();
        if first.kind == Tok::LParen {
            // More than one parenthesis: rare enough.
            return false;
        }
    }
    if !matches!(first.kw, Kw::SELECT | Kw::INSERT | Kw::REPLACE | Kw::UPDATE | Kw::DELETE | Kw::WITH) {
        return false;
    }
    let mut s = State { active: false, outer: 0, depth: 0, copied: t.start as usize, last_end: t.start as usize };
    // The token before, and whether the literal after it must stay: it is a part of that token's syntax.
    let mut before = Token { kind: Tok::End, kw: Kw::NotOne, start: 0, end: 0 };
    let mut keep = false;
    let first_start = first.start;
    loop {
        let gap = &text[s.last_end..t.start as usize];
        // A hint belongs to its statement, not to all of one form.
        if before.kw == Kw::SELECT && hint::max_execution_time(gap).is_some() {
            return false;
        }
        if !gap.is_empty() && gap != b" " {
            s.flush(text, out);
            out.text.push(b' ');
            s.copied = t.start as usize;
        }
        s.last_end = t.end as usize;
        let mut keep_next = false;
        match t.kind {
            Tok::Word => match t.kw {
                Kw::NotOne => (),
                Kw::WHERE | Kw::VALUES | Kw::SET | Kw::LIMIT => s.active = true,
                Kw::UPDATE => s.active = t.start != first_start,
                Kw::SELECT
                | Kw::FROM
                | Kw::JOIN
                | Kw::ON
                | Kw::GROUP
                | Kw::ORDER
                | Kw::HAVING
                | Kw::WINDOW
                | Kw::PARTITION
                | Kw::UNION
                | Kw::EXCEPT
                | Kw::INTERSECT
                | Kw::INTO
                | Kw::OVER => s.active = false,
                Kw::ESCAPE | Kw::DATE | Kw::TIME | Kw::TIMESTAMP | Kw::SEPARATOR | Kw::COLLATE | Kw::USING => keep_next = true,
                _ => (),
            },
            Tok::LParen => {
                if s.depth == 64 {
                    return false;
                }
                s.depth += 1;
                s.outer = s.outer << 1 | u64::from(s.active);
                // The arguments of these decide the type of the result, or are no expressions.
                let decide = matches!(
                    before.kw,
                    Kw::ROUND
                        | Kw::TRUNCATE
                        | Kw::CAST
                        | Kw::CONVERT
                        | Kw::CHAR
                        | Kw::FORMAT
                        | Kw::AGAINST
                        | Kw::JSON_VALUE
                        | Kw::JSON_TABLE
                        | Kw::WEIGHT_STRING
                        | Kw::GET_FORMAT
                        | Kw::BINARY
                        | Kw::NOW
                        | Kw::CURTIME
                        | Kw::SYSDATE
                        | Kw::CURRENT_TIME
                        | Kw::CURRENT_TIMESTAMP
                        | Kw::LOCALTIME
                        | Kw::LOCALTIMESTAMP
                        | Kw::UTC_TIME
                        | Kw::UTC_TIMESTAMP
                        | Kw::TIME
                        | Kw::TIMESTAMP
                ) || before.kind == Tok::Word && text[before.start as usize..before.end as usize].eq_ignore_ascii_case(b"STR_TO_DATE");
                s.active &= !decide;
            }
            Tok::RParen => {
                if s.depth == 0 {
                    return false;
                }
                s.depth -= 1;
                s.active = s.outer & 1 == 1;
                s.outer >>= 1;
            }
            // A short one may be meant as a number: what it is depends on where it stands.
            Tok::Hex if t.end - t.start <= 2 + 16 => (),
            // Beyond every double: the parser has the error for it.
            Tok::Float if s.active && !keep && float(&text[t.start as usize..t.end as usize]).is_none() => return false,
            Tok::Integer | Tok::Decimal | Tok::Float | Tok::Hex if s.active && !keep => s.take_out(text, t, lexer.last_was_plain(), out),
            Tok::String => {
                // Two strings in a row are one literal.
                if matches!(before.kind, Tok::String | Tok::National) {
                    return false;
                }
                if s.active && !keep {
                    s.take_out(text, t, lexer.last_was_plain(), out);
                }
            }
            Tok::Introducer | Tok::Arrow | Tok::ArrowArrow => keep_next = true,
            Tok::Param | Tok::Bad => return false,
            Tok::End => break,
            Tok::Semicolon => {
                // One statement, with nothing after it.
                s.last_end = t.start as usize;
                if lexer.next_token().kind != Tok::End {
                    return false;
                }
                break;
            }
            _ => (),
        }
        keep = keep_next;
        before = t;
        t = lexer.next_token();
    }
    if lexer.met_version_comment() {
        return false;
    }
    s.flush(text, out);
    while out.text.last() == Some(&b' ') {
        out.text.pop();
    }
    out.hash = hash(&out.text);
    true
}

fn float(raw: &[u8]) -> Option<f64> {
    std::str::from_utf8(raw).ok()?.parse().ok().filter(|v: &f64| v.is_finite())
}

struct State {
    /// Whether literals are being taken out.
    active: bool,
    /// `active` as it was outside each open parenthesis, the innermost in the lowest bit.
    outer: u64,
    depth: u32,
    /// Up to where the text has been copied: tokens are copied in runs, not one by one.
    copied: usize,
    last_end: usize,
}

impl State {
    fn flush(&mut self, text: &[u8], out: &mut Normalised) {
        let end = self.last_end.max(self.copied);
        out.text.extend_from_slice(&text[self.copied..end]);
        self.copied = end;
    }

    fn take_out(&mut self, text: &[u8], t: Token, plain: bool, out: &mut Normalised) {
        self.last_end = t.start as usize;
        self.flush(text, out);
        let raw = &text[t.start as usize..t.end as usize];
        let value = match t.kind {
            Tok::Integer => match raw.iter().try_fold(0u64, |v, d| v.checked_mul(10)?.checked_add(u64::from(d - b'0'))) {
                Some(v) => i64::try_from(v).map_or(SlotValue::UInt(v), SlotValue::Int),
                None => SlotValue::Decimal,
            },
            Tok::Decimal => SlotValue::Decimal,
            // `normalise` gave up on others.
            Tok::Float => SlotValue::Double(float(raw).unwrap_or(f64::INFINITY)),
            Tok::Hex => SlotValue::Hex,
            _ => SlotValue::String { plain },
        };
        match value {
            SlotValue::Int(_) => out.text.push(b'@'),
            SlotValue::UInt(_) => out.text.extend_from_slice(b"@?u"),
            SlotValue::Decimal => {
                let scale = raw.iter().position(|b| *b == b'.').map_or(0, |point| raw.len() - point - 1);
                out.text.extend_from_slice(b"@?");
                push_number(&mut out.text, scale);
            }
            SlotValue::Double(_) => out.text.extend_from_slice(b"@?e"),
            SlotValue::String { .. } => out.text.push(b'^'),
            SlotValue::Hex => out.text.extend_from_slice(b"^?x"),
        }
        // A word that follows without a space must not become a part of the mark.
        if text.get(t.end as usize).is_some_and(|b| is_ident(*b) || matches!(b, b'.' | b'@')) {
            out.text.push(b' ');
        }
        out.slots.push(Slot { start: t.start, end: t.end, value });
        self.copied = t.end as usize;
        self.last_end = t.end as usize;
    }
}

fn push_number(out: &mut Vec<u8>, mut n: usize) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (n % 10) as u8;
        n /= 10;
        if n == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// A multiply-and-fold hash in the manner of wyhash. Not for tables an attacker fills: the plan cache compares texts too.
fn hash(bytes: &[u8]) -> u64 {
    const K: [u64; 2] = [0xa076_1d64_78bd_642f, 0xe703_7ed1_a0b4_28db];
    let fold = |a: u64, b: u64| {
        let wide = u128::from(a) * u128::from(b);
        (wide as u64) ^ (wide >> 64) as u64
    };
    let mut h = K[0] ^ bytes.len() as u64;
    let mut chunks = bytes.chunks_exact(8);
    for c in &mut chunks {
        let word = u64::from_le_bytes([c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7]]);
        h = fold(h ^ word, K[1]);
    }
    let mut last = [0u8; 8];
    let rest = chunks.remainder();
    last[..rest.len()].copy_from_slice(rest);
    h = fold(h ^ u64::from_le_bytes(last), K[1]);
    fold(h ^ K[0], K[1])
}

#[cfg(test)]
mod tests;
