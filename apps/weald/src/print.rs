//! Answers as text.
//!
//! Owns:     nothing.
//! Promises: in lines, a value with a tab, a line end or a backslash in it is escaped, so that a line is a row; NULL is `NULL`, as MySQL's client has it.
//! Never:    cuts a value.

use crate::client::{Column, Done, Rows};
use comfy_table::presets::ASCII_FULL_CONDENSED;
use comfy_table::{Cell, CellAlignment, Table};
use std::io::{self, Write};
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Frames, for people.
    Table,
    /// One line a row, columns with tabs between them.
    Lines,
    /// One line a column.
    Vertical,
}

/// `took`: for people, who also like to know how much there was.
pub fn rows(out: &mut impl Write, r: &Rows, style: Style, took: Option<Duration>) -> io::Result<()> {
    match style {
        Style::Table if !r.rows.is_empty() => table(out, r)?,
        Style::Table => (),
        Style::Lines => lines(out, r)?,
        Style::Vertical => vertical(out, r)?,
    }
    if let Some(took) = took {
        let count = match r.rows.len() {
            0 => "Empty set".to_string(),
            1 => "1 row in set".into(),
            n => format!("{n} rows in set"),
        };
        writeln!(out, "{count}{} ({:.2} sec)\n", warnings(r.warnings), took.as_secs_f64())?;
    }
    Ok(())
}

pub fn done(out: &mut impl Write, d: &Done, took: Option<Duration>) -> io::Result<()> {
    let Some(took) = took else { return Ok(()) };
    let rows = if d.affected == 1 { "row" } else { "rows" };
    writeln!(out, "Query OK, {} {rows} affected{} ({:.2} sec)", d.affected, warnings(d.warnings), took.as_secs_f64())?;
    if !d.info.is_empty() {
        writeln!(out, "{}", d.info)?;
    }
    writeln!(out)
}

fn warnings(n: u16) -> String {
    match n {
        0 => String::new(),
        1 => ", 1 warning".into(),
        n => format!(", {n} warnings"),
    }
}

fn shown(value: &Option<Vec<u8>>, column: &Column) -> String {
    match value {
        None => "NULL".into(),
        Some(bytes) if column.is_binary && bytes.iter().any(|b| !(b' '..=b'~').contains(b)) => {
            let mut text = String::from("0x");
            for b in bytes {
                text.push_str(&format!("{b:02X}"));
            }
            text
        }
        Some(bytes) => String::from_utf8_lossy(bytes).into_owned(),
    }
}

fn table(out: &mut impl Write, r: &Rows) -> io::Result<()> {
    let mut t = Table::new();
    t.load_style(ASCII_FULL_CONDENSED);
    t.set_header(r.columns.iter().map(|c| Cell::new(&c.name)).collect::<Vec<_>>());
    for row in &r.rows {
        let cells = row.iter().zip(&r.columns).map(|(v, c)| {
            let alignment = if c.is_number { CellAlignment::Right } else { CellAlignment::Left };
            Cell::new(shown(v, c)).set_alignment(alignment)
        });
        t.add_row(cells.collect::<Vec<_>>());
    }
    writeln!(out, "{t}")
}

/// Texts, without a last line end.
pub fn plain_table(header: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut t = Table::new();
    t.load_style(ASCII_FULL_CONDENSED);
    t.set_header(header);
    for row in rows {
        t.add_row(row);
    }
    t.to_string()
}

/// An array of objects. Numbers are numbers where JSON has them.
pub fn json(r: &Rows) -> String {
    let value = |v: &Option<Vec<u8>>, c: &Column| match v {
        None => serde_json::Value::Null,
        Some(_) if c.is_number => {
            let text = shown(v, c);
            serde_json::from_str::<serde_json::Number>(&text).map_or(serde_json::Value::String(text), serde_json::Value::Number)
        }
        Some(_) => serde_json::Value::String(shown(v, c)),
    };
    let object = |row: &Vec<Option<Vec<u8>>>| {
        let fields = r.columns.iter().zip(row).map(|(c, v)| (c.name.clone(), value(v, c)));
        serde_json::Value::Object(fields.collect())
    };
    serde_json::Value::Array(r.rows.iter().map(object).collect()).to_string()
}

fn lines(out: &mut impl Write, r: &Rows) -> io::Result<()> {
    let line = |out: &mut dyn Write, values: &mut dyn Iterator<Item = String>| -> io::Result<()> {
        for (i, v) in values.enumerate() {
            if i > 0 {
                out.write_all(b"\t")?;
            }
            out.write_all(escaped(&v).as_bytes())?;
        }
        out.write_all(b"\n")
    };
    line(out, &mut r.columns.iter().map(|c| c.name.clone()))?;
    for row in &r.rows {
        line(out, &mut row.iter().zip(&r.columns).map(|(v, c)| shown(v, c)))?;
    }
    Ok(())
}

fn escaped(v: &str) -> String {
    if !v.contains(['\t', '\n', '\\', '\0']) {
        return v.to_string();
    }
    v.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n").replace('\0', "\\0")
}

fn vertical(out: &mut impl Write, r: &Rows) -> io::Result<()> {
    let width = r.columns.iter().map(|c| c.name.chars().count()).max().unwrap_or(0);
    for (n, row) in r.rows.iter().enumerate() {
        let stars = "*".repeat(27);
        writeln!(out, "{stars} {}. row {stars}", n + 1)?;
        for (v, c) in row.iter().zip(&r.columns) {
            writeln!(out, "{:>width$}: {}", c.name, shown(v, c))?;
        }
    }
    Ok(())
}
