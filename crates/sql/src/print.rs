//! From syntax tree to text, as MySQL prints the definitions of views and stored expressions.
//!
//! Owns:     nothing.
//! Promises: what is printed parses, under the default `sql_mode`, to a tree that prints the same. Names are quoted, keywords in MySQL's case, every
//!           operation in its own parentheses: ``select `t`.`a` AS `a` from `t` where (`t`.`a` = 1)``.
//! Never:    adds a name that is not in the tree, but for a table's database where it is told to ([`query_of`]); qualifying columns and naming them is for
//!           whoever binds the view.

mod expr;
mod query;

use crate::ast::{Expr, Literal, Query, SelectItem};

/// A query, as SHOW CREATE VIEW has it.
pub fn query(q: &Query) -> String {
    let mut p = Printer::default();
    p.query(q);
    p.out
}

/// A query with the database of every table: `database` where it names none. It means the same from everywhere.
pub fn query_of(q: &Query, database: &str) -> String {
    let mut p = Printer { home: Home::Said(database.into()), ..Printer::default() };
    p.query(q);
    p.out
}

/// A query without the database of its tables, where they are all of `database`: as MySQL shows a view to who uses that. A dump of it can be read into another.
pub fn query_within(q: &Query, database: &str) -> String {
    let mut p = Printer { home: Home::LeftOut(database.into()), ..Printer::default() };
    p.query(q);
    if p.ambiguous { query(q) } else { p.out }
}

/// An expression, as in a view.
pub fn expr(e: &Expr) -> String {
    let mut p = Printer::default();
    p.expr(e);
    p.out
}

/// A default, generated column or check, as SHOW CREATE TABLE has it: strings carry their character set (`_utf8mb4'x'`).
pub fn stored_expr(e: &Expr) -> String {
    let mut p = Printer { introducers: true, ..Printer::default() };
    p.expr(e);
    p.out
}

/// One item of a select list.
pub fn select_item(item: &SelectItem) -> String {
    let mut p = Printer::default();
    p.select_item(item);
    p.out
}

#[derive(Default)]
struct Printer {
    out: String,
    introducers: bool,
    home: Home,
    /// Names of common table expressions in scope: they have no database.
    ctes: Vec<String>,
    /// A table's database could not be left out: it is another one, or its name alone means something else.
    ambiguous: bool,
}

/// What is done about the databases of tables.
#[derive(Default)]
enum Home {
    #[default]
    AsWritten,
    Said(String),
    LeftOut(String),
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
