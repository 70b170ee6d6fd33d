//! From syntax tree to text, as MySQL prints the definitions of views and stored expressions.
//!
//! Owns:     nothing.
//! Promises: what is printed parses, under the default `sql_mode`, to a tree that prints the same. Names are quoted, keywords in MySQL's case, every
//!           operation in its own parentheses: ``select `t`.`a` AS `a` from `t` where (`t`.`a` = 1)``.
//! Never:    adds a name that is not in the tree; qualifying columns and naming them is for whoever binds the view.

mod expr;
mod query;

use crate::ast::{Expr, Literal, Query, SelectItem};

/// A query, as SHOW CREATE VIEW has it.
pub fn query(q: &Query) -> String {
    let mut p = Printer { out: String::new(), introducers: false };
    p.query(q);
    p.out
}

/// An expression, as in a view.
pub fn expr(e: &Expr) -> String {
    let mut p = Printer { out: String::new(), introducers: false };
    p.expr(e);
    p.out
}

/// A default, generated column or check, as SHOW CREATE TABLE has it: strings carry their character set (`_utf8mb4'x'`).
pub fn stored_expr(e: &Expr) -> String {
    let mut p = Printer { out: String::new(), introducers: true };
    p.expr(e);
    p.out
}

/// One item of a select list.
pub fn select_item(item: &SelectItem) -> String {
    let mut p = Printer { out: String::new(), introducers: false };
    p.select_item(item);
    p.out
}

struct Printer {
    out: String,
    introducers: bool,
}

impl Printer {
    fn push(&mut self, text: &str) {
        self.out.push_str(text)
    }

    fn name(&mut self, name: &str) {
        self.out.push('`');
        self.out.push_str(&name.replace('`', "``"));
        self.out.push('`');
    }

    fn names(&mut self, names: &[String]) {
        self.list(names, |p, n| p.name(n))
    }

    fn list<T>(&mut self, items: &[T], mut each: impl FnMut(&mut Self, &T)) {
        for (i, item) in items.iter().enumerate() {
            if i > 0 {
                self.out.push(',');
            }
            each(self, item);
        }
    }

    /// A string in quotes, escaped as MySQL's `append_unescaped` does.
    fn quoted(&mut self, text: &str) {
        self.out.push('\'');
        for c in text.chars() {
            match c {
                '\0' => self.out.push_str("\\0"),
                '\n' => self.out.push_str("\\n"),
                '\r' => self.out.push_str("\\r"),
                '\u{1a}' => self.out.push_str("\\Z"),
                '\\' => self.out.push_str("\\\\"),
                '\'' => self.out.push_str("\\'"),
                c => self.out.push(c),
            }
        }
        self.out.push('\'');
    }

    fn hex(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return self.push("x''");
        }
        self.out.push_str("0x");
        for b in bytes {
            self.out.push_str(&format!("{b:02X}"));
        }
    }

    fn literal(&mut self, literal: &Literal) {
        match literal {
            Literal::Null => self.push("NULL"),
            Literal::Bool(b) => self.push(if *b { "true" } else { "false" }),
            Literal::Integer(n) => self.out.push_str(&n.to_string()),
            Literal::Decimal(digits) => self.push(digits),
            Literal::Double(v) => self.out.push_str(&format!("{v:e}")),
            Literal::String { value, charset } => {
                match charset {
                    Some(charset) => self.out.push_str(&format!("_{charset}")),
                    None if self.introducers => self.push("_utf8mb4"),
                    None => (),
                }
                self.quoted(value);
            }
            Literal::Bytes(bytes) => {
                self.push("_binary ");
                self.hex(bytes);
            }
            Literal::National(value) => {
                self.out.push('N');
                self.quoted(value);
            }
            Literal::Hex(bytes) => self.hex(bytes),
            Literal::Bit(bytes) => {
                self.push("b'");
                for b in bytes {
                    self.out.push_str(&format!("{b:08b}"));
                }
                self.out.push('\'');
            }
            Literal::Date(text) => self.typed("DATE", text),
            Literal::Time(text) => self.typed("TIME", text),
            Literal::Timestamp(text) => self.typed("TIMESTAMP", text),
        }
    }

    fn typed(&mut self, kind: &str, text: &str) {
        self.push(kind);
        self.quoted(text);
    }
}

#[cfg(test)]
mod tests;
