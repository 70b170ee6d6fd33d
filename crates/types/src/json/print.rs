//! JSON as text.
//!
//! Owns:     nothing.
//! Promises: MySQL's form, to the space: `{"a": 1, "b": [1.0, "x"]}`.
//! Never:    escapes more than JSON asks for.

use super::Json;
use crate::number::write_double;
use std::borrow::Cow;
use std::fmt;

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = String::new();
        write(self, &mut out);
        f.write_str(&out)
    }
}

impl Json {
    /// Appends the text of [`Display`](fmt::Display).
    pub fn write_text(&self, out: &mut String) {
        write(self, out)
    }

    /// JSON_PRETTY.
    pub fn pretty(&self) -> String {
        let mut out = String::new();
        write_pretty(self, 0, &mut out);
        out
    }

    /// JSON_UNQUOTE of this value: a string's characters, anything else as printed.
    pub fn unquoted(&self) -> Cow<'_, str> {
        match self {
            Json::String(text) => Cow::Borrowed(text),
            Json::Date(_) | Json::Time(_) | Json::DateTime(_) | Json::Opaque(_) => {
                let text = self.to_string();
                Cow::Owned(text[1..text.len() - 1].to_string())
            }
            _ => Cow::Owned(self.to_string()),
        }
    }

    /// JSON_QUOTE.
    pub fn quote(text: &str) -> String {
        let mut out = String::with_capacity(text.len() + 2);
        quote(text, &mut out);
        out
    }
}

pub(super) fn quote(text: &str, out: &mut String) {
    out.push('"');
    let mut plain = 0;
    for (i, b) in text.bytes().enumerate() {
        let escape = match b {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            0x08 => "\\b",
            b'\t' => "\\t",
            b'\n' => "\\n",
            0x0C => "\\f",
            b'\r' => "\\r",
            0..0x20 => "",
            _ => continue,
        };
        out.push_str(&text[plain..i]);
        if escape.is_empty() {
            out.push_str("\\u00");
            out.extend([b >> 4, b & 15].map(|d| char::from_digit(d as u32, 16).unwrap_or('0')));
        } else {
            out.push_str(escape);
        }
        plain = i + 1;
    }
    out.push_str(&text[plain..]);
    out.push('"');
}

fn write(value: &Json, out: &mut String) {
    use fmt::Write;
    // Writing to a String cannot fail.
    let mut shown = |text: fmt::Arguments<'_>| {
        let _ = out.write_fmt(text);
    };
    match value {
        Json::Null => out.push_str("null"),
        Json::Bool(true) => out.push_str("true"),
        Json::Bool(false) => out.push_str("false"),
        Json::Int(v) => shown(format_args!("{v}")),
        Json::UInt(v) => shown(format_args!("{v}")),
        Json::Decimal(v) => shown(format_args!("{v}")),
        Json::Date(v) => shown(format_args!("\"{v}\"")),
        Json::Time(v) => shown(format_args!("\"{}\"", v.display(6))),
        Json::DateTime(v) => shown(format_args!("\"{}\"", v.display(6))),
        Json::Double(v) => {
            let start = out.len();
            write_double(*v, out);
            // A double stays one when it is read again.
            if !out[start..].contains(['.', 'e']) {
                out.push_str(".0");
            }
        }
        Json::String(v) => quote(v, out),
        Json::Opaque(v) => {
            out.push_str("\"base64:type253:");
            base64(v, out);
            out.push('"');
        }
        Json::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push_str(", ");
                }
                write(item, out);
            }
            out.push(']');
        }
        Json::Object(members) => {
            out.push('{');
            for (i, (key, item)) in members.iter().enumerate() {
                if i > 0 {
                    out.push_str(", ");
                }
                quote(key, out);
                out.push_str(": ");
                write(item, out);
            }
            out.push('}');
        }
    }
}

fn write_pretty(value: &Json, depth: usize, out: &mut String) {
    let indent = |depth: usize, out: &mut String| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth));
    };
    match value {
        Json::Array(items) if !items.is_empty() => {
            for (i, item) in items.iter().enumerate() {
                out.push(if i == 0 { '[' } else { ',' });
                indent(depth + 1, out);
                write_pretty(item, depth + 1, out);
            }
            indent(depth, out);
            out.push(']');
        }
        Json::Object(members) if !members.is_empty() => {
            for (i, (key, item)) in members.iter().enumerate() {
                out.push(if i == 0 { '{' } else { ',' });
                indent(depth + 1, out);
                quote(key, out);
                out.push_str(": ");
                write_pretty(item, depth + 1, out);
            }
            indent(depth, out);
            out.push('}');
        }
        _ => write(value, out),
    }
}

fn base64(bytes: &[u8], out: &mut String) {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for chunk in bytes.chunks(3) {
        let n = (0..3).fold(0u32, |n, i| n << 8 | chunk.get(i).copied().unwrap_or(0) as u32);
        for i in 0..4 {
            out.push(if i <= chunk.len() { ALPHABET[(n >> (18 - 6 * i)) as usize & 63] as char } else { '=' });
        }
    }
}
