//! JSON read from text.
//!
//! Owns:     nothing.
//! Promises: RFC 8259, strictly; errors in the words and at the offsets MySQL (RapidJSON) reports. The stack stays shallow.
//! Never:    loses a digit of an integer of 64 bits; greater ones become doubles, as in MySQL.

use super::{Json, JsonObject};
use std::borrow::Cow;

/// Why a text is no JSON (3140), or too deep (3157).
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message} at position {offset}")]
pub struct JsonError {
    /// MySQL's words: "Invalid value."
    pub message: &'static str,
    pub offset: usize,
    pub too_deep: bool,
}

struct Parser<'a> {
    text: &'a [u8],
    source: &'a str,
    at: usize,
    depth: usize,
}

fn fail<T>(message: &'static str, offset: usize) -> Result<T, JsonError> {
    Err(JsonError { message, offset, too_deep: false })
}

impl Json {
    pub fn parse(text: &str) -> Result<Self, JsonError> {
        let mut p = Parser { text: text.as_bytes(), source: text, at: 0, depth: 0 };
        p.skip_space();
        if p.at == p.text.len() {
            return fail("The document is empty.", p.at);
        }
        let value = p.value()?;
        p.skip_space();
        if p.at < p.text.len() {
            return fail("The document root must not be followed by other values.", p.at);
        }
        Ok(value)
    }

    /// JSON_UNQUOTE of a text that need not be JSON: a quoted string is unescaped, all else stays. The error is for a bad string (3141).
    pub fn unquote(text: &str) -> Result<Cow<'_, str>, JsonError> {
        if text.len() < 2 || !text.starts_with('"') || !text.ends_with('"') {
            return Ok(Cow::Borrowed(text));
        }
        let mut p = Parser { text: text.as_bytes(), source: text, at: 1, depth: 0 };
        let value = p.string()?;
        if p.at < text.len() {
            return fail("The document root must not be followed by other values.", p.at);
        }
        Ok(value)
    }
}

impl<'a> Parser<'a> {
    fn peek(&self) -> u8 {
        self.text.get(self.at).copied().unwrap_or(0)
    }
    fn skip_space(&mut self) {
        while matches!(self.peek(), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
    }

    fn value(&mut self) -> Result<Json, JsonError> {
        match self.peek() {
            b'{' => self.nested(Self::object),
            b'[' => self.nested(Self::array),
            b'"' => {
                self.at += 1;
                Ok(Json::String(self.string()?.into()))
            }
            b't' => self.word("true", Json::Bool(true)),
            b'f' => self.word("false", Json::Bool(false)),
            b'n' => self.word("null", Json::Null),
            _ => self.number(),
        }
    }

    fn word(&mut self, word: &str, value: Json) -> Result<Json, JsonError> {
        let same = self.text[self.at..].iter().zip(word.as_bytes()).take_while(|(a, b)| a == b).count();
        self.at += same;
        if same < word.len() { fail("Invalid value.", self.at) } else { Ok(value) }
    }

    fn nested(&mut self, read: fn(&mut Self) -> Result<Json, JsonError>) -> Result<Json, JsonError> {
        self.depth += 1;
        if self.depth > Json::MAX_DEPTH {
            return Err(JsonError { message: "The JSON document exceeds the maximum depth.", offset: self.at, too_deep: true });
        }
        self.at += 1;
        let value = read(self)?;
        self.depth -= 1;
        Ok(value)
    }

    fn array(&mut self) -> Result<Json, JsonError> {
        let mut items = Vec::new();
        self.skip_space();
        if self.peek() == b']' {
            self.at += 1;
            return Ok(Json::Array(items));
        }
        loop {
            items.push(self.value()?);
            self.skip_space();
            match self.peek() {
                b',' => self.at += 1,
                b']' => {
                    self.at += 1;
                    return Ok(Json::Array(items));
                }
                _ => return fail("Missing a comma or ] after an array element.", self.at),
            }
            self.skip_space();
        }
    }

    fn object(&mut self) -> Result<Json, JsonError> {
        let mut members = Vec::new();
        self.skip_space();
        if self.peek() == b'}' {
            self.at += 1;
            return Ok(Json::Object(JsonObject::new()));
        }
        loop {
            if self.peek() != b'"' {
                return fail("Missing a name for object member.", self.at);
            }
            self.at += 1;
            let key = self.string()?;
            self.skip_space();
            if self.peek() != b':' {
                return fail("Missing a colon after a name of object member.", self.at);
            }
            self.at += 1;
            self.skip_space();
            members.push((key.into(), self.value()?));
            self.skip_space();
            match self.peek() {
                b',' => self.at += 1,
                b'}' => {
                    self.at += 1;
                    return Ok(Json::Object(members.into_iter().collect()));
                }
                _ => return fail("Missing a comma or } after an object member.", self.at),
            }
            self.skip_space();
        }
    }

    /// What stands between quotes; `at` is behind the first and comes to lie behind the last.
    fn string(&mut self) -> Result<Cow<'a, str>, JsonError> {
        let start = self.at;
        let mut owned: Option<String> = None;
        loop {
            let plain = self.at;
            while self.at < self.text.len() && !matches!(self.text[self.at], b'"' | b'\\' | 0..0x20) {
                self.at += 1;
            }
            // Quotes and backslashes are ASCII: both ends are at character boundaries.
            let run = &self.source[plain..self.at];
            let Some(stop) = self.text.get(self.at) else { return fail("Missing a closing quotation mark in string.", self.at) };
            match stop {
                b'"' => {
                    self.at += 1;
                    return Ok(match owned {
                        Some(mut text) => {
                            text.push_str(run);
                            Cow::Owned(text)
                        }
                        None => Cow::Borrowed(&self.source[start..self.at - 1]),
                    });
                }
                b'\\' => {
                    let text = owned.get_or_insert_default();
                    text.push_str(run);
                    text.push(escape(self.text, &mut self.at)?);
                }
                _ => return fail("Invalid encoding in string.", self.at),
            }
        }
    }

    fn number(&mut self) -> Result<Json, JsonError> {
        let start = self.at;
        let digits = |p: &mut Self| {
            let from = p.at;
            while p.peek().is_ascii_digit() {
                p.at += 1;
            }
            p.at - from
        };
        if self.peek() == b'-' {
            self.at += 1;
        }
        match self.peek() {
            b'0' => self.at += 1,
            b'1'..=b'9' => {
                digits(self);
            }
            _ => return fail("Invalid value.", self.at),
        }
        let mut whole = true;
        if self.peek() == b'.' {
            whole = false;
            self.at += 1;
            if digits(self) == 0 {
                return fail("Miss fraction part in number.", self.at);
            }
        }
        if matches!(self.peek(), b'e' | b'E') {
            whole = false;
            self.at += 1;
            if matches!(self.peek(), b'+' | b'-') {
                self.at += 1;
            }
            if digits(self) == 0 {
                return fail("Miss exponent in number.", self.at);
            }
        }
        let text = &self.source[start..self.at];
        if whole {
            if let Ok(v) = text.parse::<i64>() {
                return Ok(Json::Int(v));
            }
            if let Ok(v) = text.parse::<u64>() {
                return Ok(Json::UInt(v));
            }
        }
        match text.parse::<f64>() {
            Ok(v) if v.is_finite() => Ok(Json::Double(v)),
            _ => fail("Number too big to be stored in double.", start),
        }
    }
}

/// The character an escape stands for; `at` is at the backslash and comes to lie behind the escape.
pub(super) fn escape(text: &[u8], at: &mut usize) -> Result<char, JsonError> {
    let start = *at;
    let plain = match text.get(start + 1) {
        Some(b'"') => '"',
        Some(b'\\') => '\\',
        Some(b'/') => '/',
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => {
            *at = start + 2;
            return unicode_escape(text, at, start);
        }
        _ => return fail("Invalid escape character in string.", start),
    };
    *at = start + 2;
    Ok(plain)
}

fn unicode_escape(text: &[u8], at: &mut usize, start: usize) -> Result<char, JsonError> {
    let unit = |at: &mut usize| {
        let mut n = 0;
        for _ in 0..4 {
            match text.get(*at).and_then(|b| (*b as char).to_digit(16)) {
                Some(digit) => n = n << 4 | digit,
                None => return fail("Incorrect hex digit after \\u escape in string.", start),
            }
            *at += 1;
        }
        Ok(n)
    };
    let bad_pair = || fail("The surrogate pair in string is invalid.", start);
    let first = unit(at)?;
    let code_point = match first {
        0xD800..=0xDBFF => {
            if text.get(*at..*at + 2) != Some(b"\\u") {
                return bad_pair();
            }
            *at += 2;
            let second = unit(at)?;
            if !(0xDC00..=0xDFFF).contains(&second) {
                return bad_pair();
            }
            0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00)
        }
        _ => first,
    };
    char::from_u32(code_point).map_or_else(bad_pair, Ok)
}
