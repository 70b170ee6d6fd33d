//! MySQL's tokens.
//!
//! Owns:     a position in a text it borrows.
//! Promises: tokens lie in order and never overlap; every byte sequence gives tokens up to [`Tok::End`] or [`Tok::Bad`], without a panic.
//!           Comments are skipped here; what stands in `/*!NNNNN … */` is seen where the version is not above ours.
//! Never:    allocates: a literal's value is decoded when it is asked for.
//! See:      sql/sql_lex.cc of MySQL 8.0 for the corner cases (`1e5`, `1a`, `t.1`, `--1`).

use crate::keyword::{Kw, is_charset};
use std::borrow::Cow;
use weald_types::{Charset, OWN_COMMENT, SqlMode};

/// The MySQL version we answer for: `/*!80036 … */` is executed, `/*!80037 … */` is a comment; what is for us alone is executed.
pub const MYSQL_VERSION: u32 = 80036;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tok {
    End,
    /// A byte that starts no token, or a quote or comment that does not end.
    Bad,
    /// An unquoted word, keyword or not.
    Word,
    /// `` `name` ``, and `"name"` under ANSI_QUOTES.
    Quoted,
    /// `'…'`, and `"…"` without ANSI_QUOTES.
    String,
    /// `N'…'`
    National,
    /// `_utf8mb4` before a string or a hexadecimal or bit literal
    Introducer,
    Integer,
    Decimal,
    Float,
    /// `0x…`
    Hex,
    /// `x'…'`
    HexString,
    /// `0b…`
    Bit,
    /// `b'…'`
    BitString,
    /// `@name`, ``@`name` ``, `@'name'`
    UserVariable,
    AtAt,
    Param,
    LParen,
    RParen,
    LBrace,
    RBrace,
    Comma,
    /// Between a host and its port.
    Colon,
    Dot,
    Semicolon,
    Eq,
    NullSafeEq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    ShiftLeft,
    ShiftRight,
    Plus,
    Minus,
    Star,
    Slash,
    Percent,
    Amp,
    AmpAmp,
    Pipe,
    PipePipe,
    Caret,
    Tilde,
    Bang,
    Arrow,
    ArrowArrow,
    Assign,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    pub kind: Tok,
    /// [`Kw::NotOne`] for anything but an unquoted keyword.
    pub kw: Kw,
    pub start: u32,
    pub end: u32,
}

#[derive(Clone, Debug)]
pub struct Lexer<'a> {
    text: &'a [u8],
    pos: usize,
    ansi_quotes: bool,
    no_backslash: bool,
    /// Inside an executed `/*! … */`.
    in_comment: bool,
    /// The word before ends at a point that a name follows, so the point is no number's.
    dot_next: bool,
    /// Whether the last quoted token had neither escapes nor doubled quotes.
    plain: bool,
    /// Whether a `/*! … */` has been met, executed or not.
    version_comment: bool,
    /// After a point: the word is a name, whatever it says.
    name_next: bool,
}

const IDENT: u8 = 1;
const SPACE: u8 = 2;
const DIGIT: u8 = 4;
const HEX: u8 = 8;
pub(crate) static CLASS: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut t = [0u8; 256];
    let mut i = 0;
    while i < 256 {
        let b = i as u8;
        if b.is_ascii_alphanumeric() || b == b'_' || b == b'$' || b >= 0x80 {
            t[i] |= IDENT;
        }
        if matches!(b, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c) {
            t[i] |= SPACE;
        }
        if b.is_ascii_digit() {
            t[i] |= DIGIT;
        }
        if b.is_ascii_hexdigit() {
            t[i] |= HEX;
        }
        i += 1;
    }
    t
}

pub(crate) fn is_ident(b: u8) -> bool {
    CLASS[b as usize] & IDENT != 0
}
pub(crate) fn is_space(b: u8) -> bool {
    CLASS[b as usize] & SPACE != 0
}
pub(crate) fn is_digit(b: u8) -> bool {
    CLASS[b as usize] & DIGIT != 0
}

impl<'a> Lexer<'a> {
    pub fn new(text: &'a [u8], sql_mode: SqlMode) -> Self {
        Lexer {
            text,
            pos: 0,
            ansi_quotes: sql_mode.has(SqlMode::ANSI_QUOTES | SqlMode::ANSI),
            no_backslash: sql_mode.has(SqlMode::NO_BACKSLASH_ESCAPES),
            in_comment: false,
            dot_next: false,
            name_next: false,
            version_comment: false,
            plain: true,
        }
    }

    pub(crate) fn last_was_plain(&self) -> bool {
        self.plain
    }

    pub(crate) fn met_version_comment(&self) -> bool {
        self.version_comment
    }

    pub fn no_backslash(&self) -> bool {
        self.no_backslash
    }

    /// The byte at `i`, 0 after the end. A 0 inside the text is no token's part, so the two need not be told apart.
    fn at(&self, i: usize) -> u8 {
        self.text.get(i).copied().unwrap_or(0)
    }

    pub fn next_token(&mut self) -> Token {
        if let Some(bad) = self.skip_space() {
            return Token { kind: Tok::Bad, kw: Kw::NotOne, start: bad as u32, end: self.text.len() as u32 };
        }
        let start = self.pos;
        let (kind, kw) = self.token();
        Token { kind, kw, start: start as u32, end: self.pos as u32 }
    }

    /// Skips white space and comments. Gives the start of a comment that does not end.
    fn skip_space(&mut self) -> Option<usize> {
        loop {
            let c = self.at(self.pos);
            match c {
                _ if is_space(c) => self.pos += 1,
                b'#' => self.skip_line(),
                b'-' if self.at(self.pos + 1) == b'-' && ends_dashes(self.text.get(self.pos + 2)) => self.skip_line(),
                b'/' if self.at(self.pos + 1) == b'*' => {
                    let start = self.pos;
                    if self.at(self.pos + 2) == b'!' {
                        self.version_comment = true;
                        self.pos += 3;
                        let digits = self.text[self.pos..].iter().take(6).take_while(|b| is_digit(**b)).count();
                        if digits >= 5 {
                            let version = self.text[self.pos..self.pos + digits].iter().fold(0, |v, b| v * 10 + u32::from(b - b'0'));
                            self.pos += digits;
                            if version > MYSQL_VERSION && version != OWN_COMMENT {
                                if !self.skip_to_comment_end(true) {
                                    return Some(start);
                                }
                                continue;
                            }
                        }
                        self.in_comment = true;
                    } else {
                        self.pos += 2;
                        if !self.skip_to_comment_end(false) {
                            return Some(start);
                        }
                    }
                }
                b'*' if self.in_comment && self.at(self.pos + 1) == b'/' => {
                    self.in_comment = false;
                    self.pos += 2;
                }
                _ => return None,
            }
        }
    }

    fn skip_line(&mut self) {
        while self.pos < self.text.len() && self.text[self.pos] != b'\n' {
            self.pos += 1;
        }
    }

    /// Inside a skipped `/*! … */` whole comments may stand.
    fn skip_to_comment_end(&mut self, nested: bool) -> bool {
        while self.pos < self.text.len() {
            match self.text[self.pos] {
                b'*' if self.at(self.pos + 1) == b'/' => {
                    self.pos += 2;
                    return true;
                }
                b'/' if nested && self.at(self.pos + 1) == b'*' => {
                    self.pos += 2;
                    if !self.skip_to_comment_end(false) {
                        return false;
                    }
                }
                _ => self.pos += 1,
            }
        }
        false
    }

    fn take(&mut self, bytes: usize, kind: Tok) -> (Tok, Kw) {
        self.pos += bytes;
        (kind, Kw::NotOne)
    }

    fn token(&mut self) -> (Tok, Kw) {
        let Some(&c) = self.text.get(self.pos) else {
            // An executed comment that does not end: MySQL's lexer gives up at the end of the text.
            return (if self.in_comment { Tok::Bad } else { Tok::End }, Kw::NotOne);
        };
        let next = self.at(self.pos + 1);
        if std::mem::take(&mut self.name_next) && is_ident(c) {
            return self.word(true);
        }
        if std::mem::take(&mut self.dot_next) {
            self.name_next = true;
            return self.take(1, Tok::Dot);
        }
        match c {
            b'0'..=b'9' => self.number(),
            b'\'' => self.quoted(b'\'', 0, Tok::String),
            b'"' => self.quoted(b'"', 0, if self.ansi_quotes { Tok::Quoted } else { Tok::String }),
            b'`' => self.quoted(b'`', 0, Tok::Quoted),
            b'n' | b'N' if next == b'\'' => self.quoted(b'\'', 1, Tok::National),
            b'x' | b'X' if next == b'\'' => self.radix_string(Tok::HexString),
            b'b' | b'B' if next == b'\'' => self.radix_string(Tok::BitString),
            _ if is_ident(c) => self.word(false),
            b'.' if is_digit(next) => self.number(),
            b'.' => {
                self.name_next = is_ident(next);
                self.take(1, Tok::Dot)
            }
            b'@' => self.at_sign(next),
            b'(' => self.take(1, Tok::LParen),
            b')' => self.take(1, Tok::RParen),
            b',' => self.take(1, Tok::Comma),
            // MySQL does not take `?x` for a parameter and a word.
            b'?' if !is_ident(next) => self.take(1, Tok::Param),
            b';' => self.take(1, Tok::Semicolon),
            b'=' => self.take(1, Tok::Eq),
            b'<' => match (next, self.at(self.pos + 2)) {
                (b'=', b'>') => self.take(3, Tok::NullSafeEq),
                (b'=', _) => self.take(2, Tok::Le),
                (b'>', _) => self.take(2, Tok::Ne),
                (b'<', _) => self.take(2, Tok::ShiftLeft),
                _ => self.take(1, Tok::Lt),
            },
            b'>' => match next {
                b'=' => self.take(2, Tok::Ge),
                b'>' => self.take(2, Tok::ShiftRight),
                _ => self.take(1, Tok::Gt),
            },
            b'!' if next == b'=' => self.take(2, Tok::Ne),
            b'!' => self.take(1, Tok::Bang),
            b':' if next == b'=' => self.take(2, Tok::Assign),
            b':' => self.take(1, Tok::Colon),
            b'|' if next == b'|' => self.take(2, Tok::PipePipe),
            b'|' => self.take(1, Tok::Pipe),
            b'&' if next == b'&' => self.take(2, Tok::AmpAmp),
            b'&' => self.take(1, Tok::Amp),
            b'-' if next == b'>' && self.at(self.pos + 2) == b'>' => self.take(3, Tok::ArrowArrow),
            b'-' if next == b'>' => self.take(2, Tok::Arrow),
            b'-' => self.take(1, Tok::Minus),
            b'+' => self.take(1, Tok::Plus),
            b'*' => self.take(1, Tok::Star),
            b'/' => self.take(1, Tok::Slash),
            b'%' => self.take(1, Tok::Percent),
            b'^' => self.take(1, Tok::Caret),
            b'~' => self.take(1, Tok::Tilde),
            b'{' => self.take(1, Tok::LBrace),
            b'}' => self.take(1, Tok::RBrace),
            _ => self.take(1, Tok::Bad),
        }
    }

    fn skip_class(&mut self, class: u8) {
        while self.pos < self.text.len() && CLASS[self.text[self.pos] as usize] & class != 0 {
            self.pos += 1;
        }
    }

    fn word(&mut self, plain: bool) -> (Tok, Kw) {
        let start = self.pos;
        self.skip_class(IDENT);
        self.dot_next = self.at(self.pos) == b'.' && is_ident(self.at(self.pos + 1));
        let word = &self.text[start..self.pos];
        if word[0] == b'_' && !plain && !self.dot_next && is_charset(&word[1..]) {
            return (Tok::Introducer, Kw::NotOne);
        }
        (Tok::Word, if plain || self.dot_next { Kw::NotOne } else { Kw::of(word) })
    }

    fn number(&mut self) -> (Tok, Kw) {
        let start = self.pos;
        let next = self.at(start + 1);
        if self.text[start] == b'0' && (next == b'x' || next == b'b') {
            let (class, kind) = if next == b'x' { (HEX, Tok::Hex) } else { (DIGIT, Tok::Bit) };
            self.pos += 2;
            self.skip_class(class);
            let digits = &self.text[start + 2..self.pos];
            if !digits.is_empty() && !is_ident(self.at(self.pos)) && (kind == Tok::Hex || digits.iter().all(|d| *d <= b'1')) {
                return (kind, Kw::NotOne);
            }
            self.pos = start;
            return self.word(true);
        }
        self.skip_class(DIGIT);
        let c = self.at(self.pos);
        if c == b'.' {
            self.pos += 1;
            self.skip_class(DIGIT);
            if matches!(self.at(self.pos), b'e' | b'E') {
                self.pos += 1;
                if matches!(self.at(self.pos), b'+' | b'-') {
                    self.pos += 1;
                }
                if !is_digit(self.at(self.pos)) {
                    return (Tok::Bad, Kw::NotOne);
                }
                self.skip_class(DIGIT);
                return (Tok::Float, Kw::NotOne);
            }
            return (Tok::Decimal, Kw::NotOne);
        }
        if !is_ident(c) {
            return (Tok::Integer, Kw::NotOne);
        }
        if matches!(c, b'e' | b'E') {
            let signed = matches!(self.at(self.pos + 1), b'+' | b'-') as usize;
            if is_digit(self.at(self.pos + 1 + signed)) {
                self.pos += 1 + signed;
                self.skip_class(DIGIT);
                return (Tok::Float, Kw::NotOne);
            }
        }
        // A name that begins with digits, such as 1st_column.
        self.pos = start;
        self.word(true)
    }

    fn quoted(&mut self, quote: u8, prefix: usize, kind: Tok) -> (Tok, Kw) {
        let backslash = if kind != Tok::Quoted && !self.no_backslash { b'\\' } else { quote };
        let mut i = self.pos + prefix + 1;
        self.plain = true;
        loop {
            i = find_either(self.text, i, quote, backslash);
            if i >= self.text.len() {
                self.pos = self.text.len();
                return (Tok::Bad, Kw::NotOne);
            }
            if self.text[i] == quote && self.at(i + 1) != quote {
                self.pos = i + 1;
                return (kind, Kw::NotOne);
            }
            // A doubled quote, or an escape with what it escapes.
            self.plain = false;
            i += 2;
        }
    }

    fn radix_string(&mut self, kind: Tok) -> (Tok, Kw) {
        let start = self.pos + 2;
        self.pos = start;
        self.skip_class(HEX);
        let digits = &self.text[start..self.pos];
        let well_formed = match kind {
            Tok::HexString => digits.len().is_multiple_of(2),
            _ => digits.iter().all(|d| matches!(d, b'0' | b'1')),
        };
        if self.at(self.pos) != b'\'' || !well_formed {
            return (Tok::Bad, Kw::NotOne);
        }
        self.take(1, kind)
    }

    fn at_sign(&mut self, next: u8) -> (Tok, Kw) {
        match next {
            b'@' => self.take(2, Tok::AtAt),
            b'\'' | b'"' | b'`' => match self.quoted(next, 1, if next == b'`' { Tok::Quoted } else { Tok::String }) {
                (Tok::Bad, kw) => (Tok::Bad, kw),
                (_, kw) => (Tok::UserVariable, kw),
            },
            _ if is_ident(next) || next == b'.' => {
                self.pos += 1;
                while is_ident(self.at(self.pos)) || self.at(self.pos) == b'.' {
                    self.pos += 1;
                }
                (Tok::UserVariable, Kw::NotOne)
            }
            _ => self.take(1, Tok::Bad),
        }
    }
}

/// Position of the first `a` or `b` from `from` on, or the text's length. Eight bytes at a time: bulk inserts are mostly strings.
fn find_either(text: &[u8], from: usize, a: u8, b: u8) -> usize {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let has = |word: u64, byte: u8| {
        let x = word ^ (LOW * u64::from(byte));
        x.wrapping_sub(LOW) & !x & HIGH
    };
    let mut i = from.min(text.len());
    while let Some(chunk) = text.get(i..i + 8) {
        let word = u64::from_le_bytes([chunk[0], chunk[1], chunk[2], chunk[3], chunk[4], chunk[5], chunk[6], chunk[7]]);
        let found = has(word, a) | has(word, b);
        if found != 0 {
            // The lowest mark is exact; only marks above one may be false.
            return i + (found.trailing_zeros() / 8) as usize;
        }
        i += 8;
    }
    text[i..].iter().position(|c| *c == a || *c == b).map_or(text.len(), |n| i + n)
}

/// `--` begins a comment only before white space, a control character or the end.
pub(crate) fn ends_dashes(next: Option<&u8>) -> bool {
    next.is_none_or(|b| is_space(*b) || b.is_ascii_control())
}

/// The value of a string literal: what stands between its quotes, escapes resolved. `content` is without the quotes.
pub fn unescape(content: &[u8], quote: u8, no_backslash: bool) -> Cow<'_, [u8]> {
    let plain = !content.contains(&quote) && (no_backslash || !content.contains(&b'\\'));
    if plain {
        return Cow::Borrowed(content);
    }
    let mut out = Vec::with_capacity(content.len());
    let mut i = 0;
    while i < content.len() {
        let c = content[i];
        i += 1;
        if c == quote {
            // Doubled, or the lexer would have ended the literal here.
            i += 1;
            out.push(c);
        } else if c == b'\\' && !no_backslash && i < content.len() {
            let e = content[i];
            i += 1;
            match e {
                b'0' => out.push(0),
                b'b' => out.push(8),
                b'n' => out.push(b'\n'),
                b'r' => out.push(b'\r'),
                b't' => out.push(b'\t'),
                b'Z' => out.push(0x1a),
                // Kept for LIKE, which reads them as its own escapes.
                b'%' | b'_' => out.extend([b'\\', e]),
                e => out.push(e),
            }
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// Bytes of hexadecimal digits; an odd number of digits has a 0 put before it.
pub fn hex_bytes(digits: &[u8]) -> Vec<u8> {
    let value = |d: u8| (d as char).to_digit(16).unwrap_or(0) as u8;
    let (first, rest) = digits.split_at(digits.len() % 2);
    first.iter().map(|d| value(*d)).chain(rest.chunks_exact(2).map(|p| value(p[0]) << 4 | value(p[1]))).collect()
}

/// Bytes of binary digits, padded with zeros on the left to whole bytes.
pub fn bit_bytes(digits: &[u8]) -> Vec<u8> {
    digits.rchunks(8).rev().map(|byte| byte.iter().fold(0u8, |v, d| v << 1 | (d - b'0'))).collect()
}

/// How many tokens a text has, of one or several statements: what it takes to parse it grows with them.
pub fn count_tokens(text: &[u8], sql_mode: SqlMode) -> u64 {
    let mut lexer = Lexer::new(text, sql_mode);
    let mut count = 0;
    while !matches!(lexer.next_token().kind, Tok::End | Tok::Bad) {
        count += 1;
    }
    count
}

/// The text of a statement about accounts, or about nodes and how they are entered, as it may be shown and logged: MySQL writes `<secret>` where a password or what is made of one stands.
pub fn without_secrets(text: &str, sql_mode: SqlMode) -> String {
    let mut lexer = Lexer::new(text.as_bytes(), sql_mode);
    let (mut out, mut done, mut secret_next) = (String::with_capacity(text.len()), 0, false);
    loop {
        let t = lexer.next_token();
        match t.kind {
            Tok::End | Tok::Bad => break,
            Tok::String | Tok::Hex | Tok::HexString if secret_next => {
                out.push_str(text.get(done..t.start as usize).unwrap_or_default());
                out.push_str("'<secret>'");
                done = t.end as usize;
            }
            _ => (),
        }
        secret_next = matches!(t.kind, Tok::Eq | Tok::Colon) || matches!(t.kw, Kw::BY | Kw::AS | Kw::PASSWORD | Kw::REPLACE);
    }
    out.push_str(text.get(done..).unwrap_or_default());
    out
}

/// The first token outside string literals that is not UTF-8. Comments are no tokens: anything may stand in them.
pub fn not_text(text: &[u8], sql_mode: SqlMode) -> Option<&[u8]> {
    let mut lexer = Lexer::new(text, sql_mode);
    loop {
        let t = lexer.next_token();
        let bytes = &text[t.start as usize..t.end as usize];
        match t.kind {
            Tok::End => return None,
            Tok::String => (),
            _ if std::str::from_utf8(bytes).is_err() => return Some(bytes),
            Tok::Bad => return None,
            _ => (),
        }
    }
}

/// A statement of a client whose character set is not UTF-8, in UTF-8. A string literal with an introducer (_binary, _utf8mb4, _latin1 …) is in that
/// character set whatever the rest is in.
pub fn to_utf8(text: &[u8], sql_mode: SqlMode, client: Charset) -> Cow<'_, [u8]> {
    if text.is_ascii() || client.is_utf8() {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len() + text.len() / 4);
    let mut lexer = Lexer::new(text, sql_mode);
    let (mut done, mut introducer) = (0, None);
    loop {
        let t = lexer.next_token();
        let (start, end) = (t.start as usize, t.end as usize);
        match (t.kind, introducer.take()) {
            (Tok::End | Tok::Bad, _) => break,
            (Tok::String, Some(own)) => {
                recode(client, &text[done..start], &mut out);
                recode(own, &text[start..end], &mut out);
                done = end;
            }
            (Tok::Introducer, _) => {
                introducer = text[start..end].strip_prefix(b"_").and_then(|n| std::str::from_utf8(n).ok()).and_then(Charset::by_name)
            }
            _ => (),
        }
    }
    recode(client, &text[done..], &mut out);
    out.into()
}

/// Appends text of a character set in UTF-8; what it does not have becomes `?`.
fn recode(charset: Charset, bytes: &[u8], out: &mut Vec<u8>) {
    match charset.decode(bytes) {
        Ok(text) => out.extend_from_slice(text.as_bytes()),
        Err(_) if charset == Charset::Ascii => out.extend(bytes.iter().map(|b| if b.is_ascii() { *b } else { b'?' })),
        // Bytes that are no text stay what they are: a literal may be a BLOB.
        Err(_) => out.extend_from_slice(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> Vec<(Tok, &str)> {
        let mut lexer = Lexer::new(text.as_bytes(), SqlMode(0));
        let mut out = vec![];
        loop {
            let t = lexer.next_token();
            if t.kind == Tok::End {
                return out;
            }
            out.push((t.kind, &text[t.start as usize..t.end as usize]));
            if t.kind == Tok::Bad {
                return out;
            }
        }
    }

    #[test]
    fn a_statement_in_latin1_is_read_as_text_but_for_what_says_otherwise() {
        let check = |text: &[u8], expected: &[u8]| assert_eq!(&*to_utf8(text, SqlMode(0), Charset::Latin1), expected);
        check(b"SELECT 'a'", b"SELECT 'a'");
        check(b"SELECT '\xE9', `\xE9`, 1 -- \xE9", "SELECT '\u{E9}', `\u{E9}`, 1 -- \u{E9}".as_bytes());
        check(b"SELECT _binary'\xE9', _latin1 '\xE9', '\xE9'", b"SELECT _binary'\xE9', _latin1 '\xC3\xA9', '\xC3\xA9'");
        check(b"SELECT _utf8mb4'\xC3\xA9'", b"SELECT _utf8mb4'\xC3\xA9'");
    }

    #[test]
    fn numbers_and_names_that_begin_with_digits() {
        use Tok::*;
        assert_eq!(
            tokens("1 1.5 .5 1. 1e5 1E+5 1.5e-3 1e 1st 0x1F 0b10 0xZ 0X1F 12_3"),
            vec![
                (Integer, "1"),
                (Decimal, "1.5"),
                (Decimal, ".5"),
                (Decimal, "1."),
                (Float, "1e5"),
                (Float, "1E+5"),
                (Float, "1.5e-3"),
                (Word, "1e"),
                (Word, "1st"),
                (Hex, "0x1F"),
                (Bit, "0b10"),
                (Word, "0xZ"),
                (Word, "0X1F"),
                (Word, "12_3"),
            ]
        );
        assert_eq!(
            tokens("t.1 t.1e5 t.select `t`.a"),
            vec![
                (Word, "t"),
                (Dot, "."),
                (Word, "1"),
                (Word, "t"),
                (Dot, "."),
                (Word, "1e5"),
                (Word, "t"),
                (Dot, "."),
                (Word, "select"),
                (Quoted, "`t`"),
                (Dot, "."),
                (Word, "a"),
            ]
        );
    }

    #[test]
    fn the_first_of_two_bytes_is_found_at_every_distance() {
        for length in 0..40 {
            for at in 0..=length {
                let mut text = vec![b'x'; length];
                if at < length {
                    text[at] = if at % 2 == 0 { b'\'' } else { b'\\' };
                    text[at + 1..].fill(b'\'');
                }
                for from in 0..=at {
                    assert_eq!(find_either(&text, from, b'\'', b'\\'), at);
                }
            }
        }
        // Bytes that differ from the wanted one in the lowest bit only, before it.
        assert_eq!(find_either(b"&&&&&&&'", 0, b'\'', b'\''), 7);
        assert_eq!(find_either(b"'&&&&&&&", 0, b'\'', b'\''), 0);
    }

    #[test]
    fn quotes_and_literals() {
        use Tok::*;
        assert_eq!(
            tokens(r#"'a''b' 'a\'b' "x" N'y' x'0F' B'01' _utf8mb4'z' _nope'z'"#),
            vec![
                (String, "'a''b'"),
                (String, r"'a\'b'"),
                (String, "\"x\""),
                (National, "N'y'"),
                (HexString, "x'0F'"),
                (BitString, "B'01'"),
                (Introducer, "_utf8mb4"),
                (String, "'z'"),
                (Word, "_nope"),
                (String, "'z'"),
            ]
        );
        assert_eq!(tokens("x'0'").last().map(|t| t.0), Some(Bad));
        assert_eq!(tokens("'abc").last().copied(), Some((Bad, "'abc")));
        assert_eq!(unescape(br"a\n\%\_\\\'\Z", b'\'', false).as_ref(), b"a\n\\%\\_\\'\x1a");
        assert_eq!(unescape(br"a\n''", b'\'', true).as_ref(), br"a\n'");
    }

    #[test]
    fn bytes_that_are_no_text_may_stand_in_strings_and_comments_only() {
        let mode = SqlMode::DEFAULT;
        assert_eq!(not_text(b"INSERT INTO t VALUES (_binary'\xFF\\'\xFE', \"\x80\") /* \xC3 */ -- \xC3", mode), None);
        assert_eq!(not_text(b"SELECT '\xFF', `a\xC3` FROM t", mode), Some(&b"`a\xC3`"[..]));
        assert_eq!(not_text(b"SELECT a\xC3 FROM t", mode).map(|b| b.contains(&0xC3)), Some(true));
    }

    #[test]
    fn comments_are_skipped_and_executed() {
        use Tok::*;
        assert_eq!(
            tokens("1 -- x\n2 # y\n3 /* z */ 4 /*+ HINT() */ --5"),
            vec![(Integer, "1"), (Integer, "2"), (Integer, "3"), (Integer, "4"), (Minus, "-"), (Minus, "-"), (Integer, "5")]
        );
        assert_eq!(tokens("/*!40101 a */ /*!80037 b */ /*! c*/ /*M!100000 d */ /*!100616 e */ f"), vec![(Word, "a"), (Word, "c"), (Word, "f")]);
        assert_eq!(tokens("/*!99000 a */ /*!99001 b */"), vec![(Word, "a")]);
        assert_eq!(tokens("/*!99999 a /* b */ c */ d"), vec![(Word, "d")]);
        assert_eq!(tokens("/* a").last().map(|t| t.0), Some(Bad));
        assert_eq!(tokens("/*! a").last().map(|t| t.0), Some(Bad));
    }

    #[test]
    fn operators_and_variables() {
        use Tok::*;
        let kinds: Vec<Tok> = tokens("<=> <= <> != << >> >= := -> ->> || && | & ! @@x @x @`x y` @'z' ? ^ ~").into_iter().map(|t| t.0).collect();
        assert_eq!(
            kinds,
            vec![
                NullSafeEq,
                Le,
                Ne,
                Ne,
                ShiftLeft,
                ShiftRight,
                Ge,
                Assign,
                Arrow,
                ArrowArrow,
                PipePipe,
                AmpAmp,
                Pipe,
                Amp,
                Bang,
                AtAt,
                Word,
                UserVariable,
                UserVariable,
                UserVariable,
                Param,
                Caret,
                Tilde,
            ]
        );
    }
}
