//! The slow-query log, in MySQL's format: tools such as mysqldumpslow and pt-query-digest read it.
//!
//! Owns:     nothing; makes the text of an entry.
//! Promises: an entry is whole lines, and its statement ends with `;`.
//! Never:    writes a file: whoever keeps the log is given the text.

use std::fmt::Write;
use weald_types::DateTime;

/// One statement that took long.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// When it ended, and when it began; microseconds since 1970.
    pub ended_micros: i64,
    pub began_micros: i64,
    /// Who the client said to be, and which account that was.
    pub user: &'a str,
    pub account: &'a str,
    pub host: &'a str,
    pub connection: u64,
    pub lock_micros: u64,
    pub rows_sent: u64,
    pub rows_examined: u64,
    pub database: Option<&'a str>,
    pub text: &'a str,
}

/// What a new file begins with.
pub fn header(version: &str) -> String {
    format!("weald, Version: {version} (Weald). started with:\nTcp port: 0  Unix socket: (none)\nTime                 Id Command    Argument\n")
}

impl Entry<'_> {
    pub fn text(&self) -> String {
        let mut out = String::with_capacity(self.text.len() + 256);
        let seconds = |micros: i64| micros.max(0) as f64 / 1e6;
        let time = DateTime::from_unix_micros(self.ended_micros).map(|d| d.display(6).to_string()).unwrap_or_default().replace(' ', "T");
        // Writing to a String cannot fail.
        let _ = writeln!(out, "# Time: {time}Z");
        let _ = writeln!(out, "# User@Host: {}[{}] @ {} []  Id: {:>5}", self.account, self.user, self.host, self.connection);
        let _ = writeln!(
            out,
            "# Query_time: {:.6}  Lock_time: {:.6} Rows_sent: {}  Rows_examined: {}",
            seconds(self.ended_micros - self.began_micros),
            seconds(self.lock_micros as i64),
            self.rows_sent,
            self.rows_examined
        );
        if let Some(database) = self.database {
            let _ = writeln!(out, "use {database};");
        }
        let _ = writeln!(out, "SET timestamp={};", self.began_micros / 1_000_000);
        out.push_str(self.text.trim_end_matches(|c: char| c == ';' || c.is_whitespace()));
        out.push_str(";\n");
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_reads_as_mysql_writes_it() {
        let e = Entry {
            ended_micros: 1_704_067_203_500_000,
            began_micros: 1_704_067_201_250_000,
            user: "root",
            account: "root",
            host: "localhost",
            connection: 8,
            lock_micros: 125_000,
            rows_sent: 1,
            rows_examined: 200_000,
            database: Some("shop"),
            text: "SELECT COUNT(*) FROM orders ; ",
        };
        assert_eq!(
            e.text(),
            "# Time: 2024-01-01T00:00:03.500000Z\n# User@Host: root[root] @ localhost []  Id:     8\n\
             # Query_time: 2.250000  Lock_time: 0.125000 Rows_sent: 1  Rows_examined: 200000\nuse shop;\nSET timestamp=1704067201;\n\
             SELECT COUNT(*) FROM orders;\n"
        );
    }
}
