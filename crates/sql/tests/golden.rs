//! What is accepted, and as what; what is refused, and where. One file of statements for each family in `golden/`.
//!
//! Owns:     nothing.
//! Promises: a line `> statement` (continued by `| …`) is followed by what it becomes: a query's canonical text, another statement's tree without its empty
//!           parts, or the fault. Run with WEALD_GOLDEN=write to write the answers anew, and then read the difference.
//! Never:    runs a statement.

use weald_sql::ast::Statement;
use weald_sql::{ParseOptions, parse, parse_expr, parse_prepared, print};
use weald_types::{Fault, SqlMode};

fn fault(f: &Fault) -> String {
    match f {
        Fault::Syntax { near, line: 1 } => format!("! near '{near}'"),
        Fault::Syntax { near, line } => format!("! near '{near}' at line {line}"),
        Fault::MySql { number, message, .. } => format!("! {number} {message}"),
        f => format!("! {f}"),
    }
    .replace('\n', "\\n")
}

/// A tree's debug form without what is empty, false or a position.
fn brief(debug: &str) -> String {
    let mut s = debug.to_string();
    loop {
        let before = s.len();
        for empty in ["None", "false", "[]", "\"\"", "Default"] {
            s = without_field(&s, empty);
        }
        while let Some(at) = s.find("span: Span {") {
            let end = s[at..].find('}').expect("a span ends") + at + 1;
            let start = if s[..at].ends_with(", ") { at - 2 } else { at };
            s.replace_range(start..end, "");
        }
        if s.len() == before {
            return s.replace(" {  }", "").replace("{ , ", "{ ");
        }
    }
}

/// Removes every `name: empty` from a struct's debug form.
fn without_field(s: &str, empty: &str) -> String {
    let needle = format!(": {empty}");
    let mut out = String::new();
    let mut rest = s;
    while let Some(at) = rest.find(&needle) {
        let end = at + needle.len();
        let name = rest[..at].bytes().rev().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
        let closed = rest[end..].starts_with([',', ' ', '}']);
        if name == 0 || !closed {
            out.push_str(&rest[..end]);
            rest = &rest[end..];
            continue;
        }
        let mut start = at - name;
        let mut end = end;
        if rest[end..].starts_with(", ") {
            end += 2;
        } else if rest[..start].ends_with(", ") {
            start -= 2;
        }
        out.push_str(&rest[..start]);
        rest = &rest[end..];
    }
    out.push_str(rest);
    out
}

fn answer(file: &str, sql: &str) -> String {
    let mut options = ParseOptions::default();
    let mut sql = sql;
    for (mark, flag) in [
        ("{pipes}", SqlMode::PIPES_AS_CONCAT),
        ("{ansi}", SqlMode::ANSI_QUOTES),
        ("{high_not}", SqlMode::HIGH_NOT_PRECEDENCE),
        ("{space}", SqlMode::IGNORE_SPACE),
        ("{nobs}", SqlMode::NO_BACKSLASH_ESCAPES),
    ] {
        if let Some(rest) = sql.strip_prefix(mark) {
            options.sql_mode = SqlMode(options.sql_mode.0 | flag);
            sql = rest.trim_start();
        }
    }
    if file == "expr" {
        return match parse_expr(sql, &options) {
            Ok(e) => {
                let text = print::expr(&e);
                let again =
                    parse_expr(&text, &ParseOptions::default()).unwrap_or_else(|f| panic!("{sql}\nprints as {text}\nwhich does not parse: {f}"));
                assert_eq!(print::expr(&again), text, "{sql}");
                text
            }
            Err(f) => fault(&f),
        };
    }
    let parsed = if sql.contains('?') { parse_prepared(sql, &options).map(|p| p.statement) } else { parse(sql, &options) };
    match parsed {
        Ok(Statement::Select(q)) => {
            let text = print::query(&q);
            let again = match parse_prepared(&text, &ParseOptions::default()) {
                Ok(p) => p.statement,
                Err(f) => panic!("{sql}\nprints as {text}\nwhich does not parse: {f}"),
            };
            let Statement::Select(again) = again else { panic!("{text}") };
            assert_eq!(print::query(&again), text, "{sql}");
            text
        }
        Ok(statement) => brief(&format!("{statement:?}")),
        Err(f) => fault(&f),
    }
}

#[allow(clippy::disallowed_methods)]
fn run(file: &str, golden: &str) -> usize {
    let mut out = String::new();
    let mut wrong = vec![];
    let mut lines = golden.lines().peekable();
    let mut count = 0;
    while let Some(line) = lines.next() {
        let Some(first) = line.strip_prefix("> ") else {
            if line.is_empty() || line.starts_with('#') {
                out.push_str(line);
                out.push('\n');
            }
            continue;
        };
        let mut sql = first.to_string();
        out.push_str(&format!("{line}\n"));
        while let Some(more) = lines.next_if(|l| l.starts_with("| ")) {
            sql.push('\n');
            sql.push_str(&more[2..]);
            out.push_str(&format!("{more}\n"));
        }
        let expected = lines.next_if(|l| !l.starts_with("> ") && !l.is_empty() && !l.starts_with('#')).unwrap_or("");
        let got = answer(file, &sql);
        out.push_str(&format!("{got}\n"));
        count += 1;
        if got != expected {
            wrong.push(format!("{sql}\n  expected {expected}\n  got      {got}"));
        }
    }
    if std::env::var("WEALD_GOLDEN").is_ok_and(|v| v == "write") {
        std::fs::write(format!("{}/tests/golden/{file}.txt", env!("CARGO_MANIFEST_DIR")), out).expect("the golden file can be written");
    } else {
        assert!(wrong.is_empty(), "{} of {count} differ:\n{}", wrong.len(), wrong.join("\n"));
    }
    count
}

macro_rules! golden {
    ($($test:ident $file:literal;)*) => { $(#[test] fn $test() { run($file, include_str!(concat!("golden/", $file, ".txt"))); })* };
}

golden! {
    expressions_follow_mysql_precedence "expr";
    queries_print_as_mysql_prints_them "select";
    changes_of_data_are_read_in_full "dml";
    definitions_are_read_in_full "ddl";
    the_clusters_statements_are_read_in_full "cluster";
    sessions_and_transactions_are_read_in_full "session";
    show_statements_are_read_in_full "show";
    users_and_grants_are_read_in_full "users";
    clients_are_understood "clients";
    errors_quote_the_text_from_where_it_went_wrong "reject";
}
