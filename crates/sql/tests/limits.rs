//! Statements that are too deep, too long or no statements at all.
//!
//! Owns:     nothing.
//! Promises: no input makes the parser panic, overrun its stack or take more than linear time.
//! Never:    asks what a statement means.

use proptest::prelude::*;
use weald_sql::ast::Statement;
use weald_sql::{ParseOptions, Statements, parse, parse_expr, parse_prepared, print};
use weald_types::{Fault, SqlMode};

fn is_too_deep(sql: &str) {
    match parse(sql, &ParseOptions::default()) {
        Err(Fault::MySql { number: 1436, .. }) => (),
        other => panic!("{}: {:?}", &sql[..40], other.map(|_| "parsed")),
    }
}

#[test]
fn deep_nesting_ends_with_an_error_and_not_with_the_stack() {
    let n = 10_000;
    is_too_deep(&format!("select {}1{}", "(".repeat(n), ")".repeat(n)));
    is_too_deep(&format!("select {}1", "not ".repeat(n)));
    is_too_deep(&format!("select {}1", "!".repeat(n)));
    is_too_deep(&format!("select {}1", "- ".repeat(n)));
    is_too_deep(&format!("select {}1{}", "(select ".repeat(n), ")".repeat(n)));
    is_too_deep(&format!("select * from {}t{}", "(".repeat(n), ")".repeat(n)));
    is_too_deep(&format!("select * from {}t{}", "(select * from ".repeat(n), ") d".repeat(n)));
    is_too_deep(&format!("{}select 1{}", "(".repeat(n), ")".repeat(n)));
    is_too_deep(&format!("select {}1{}", "f(".repeat(n), ")".repeat(n)));
    is_too_deep(&format!("select {}1{}", "case when ".repeat(n), " then 1 end".repeat(n)));
    is_too_deep(&format!("select {}1{}", "1 in (".repeat(n), ")".repeat(n)));
    is_too_deep(&format!("select {}1{}", "(1 + ".repeat(n), ")".repeat(n)));
    is_too_deep(&format!("select 1{}", " + 1".repeat(n)));
    is_too_deep(&format!("select 1{}", " = 1".repeat(n)));
    is_too_deep(&format!("select 1{}", " xor 1".repeat(n)));
    is_too_deep(&format!("select 1{}", " is null".repeat(n)));
    is_too_deep(&format!("select a{}", " collate utf8mb4_bin".repeat(n)));
    is_too_deep(&format!("select {}1", "a between 1 and ".repeat(n)));
    is_too_deep(&format!("select {}1", "@a := ".repeat(n)));
    is_too_deep(&format!("select {}1", "interval 1 day + ".repeat(n)));
    is_too_deep(&format!("select * from a{}", " join a".repeat(n)));
    is_too_deep(&format!("select * from a{}", " left join a on 1".repeat(n)));
    is_too_deep(&format!("select 1{}", " union select 1 union all select 1".repeat(n)));
    is_too_deep(&format!("select 1{}", " except select 1".repeat(n)));
    is_too_deep(&format!("{}select 1", "explain ".repeat(n)).replace("explain explain", "profile profile"));
    is_too_deep(&format!("select {}1{}", "{fn ".repeat(n), "}".repeat(n)));
    is_too_deep(&format!("select * from {}t{}", "{oj ".repeat(n), "}".repeat(n)));
    is_too_deep(&format!("select * from json_table('', '' {}", "columns (nested path '' ".repeat(n)));
    is_too_deep(&format!("{}select 1", "with a as (".repeat(n)));
    is_too_deep(&format!("insert into t {}select 1", "(".repeat(n)));
    is_too_deep(&format!("select {}", "cast(".repeat(n)));
    is_too_deep(&format!("select {}", "convert(".repeat(n)));
    is_too_deep(&format!("select {}", "trim(".repeat(n)));
    is_too_deep(&format!("select {}", "interval(".repeat(n)));
    is_too_deep(&format!("select {}", "position(".repeat(n)));
    is_too_deep(&format!("select {}", "match (a) against (".repeat(n)));
    is_too_deep(&format!("select {}", "binary ".repeat(n)));
    is_too_deep(&format!("select {}", "exists (select ".repeat(n)));
    is_too_deep(&format!("select {}", "sum(1) over (partition by ".repeat(n)));
}

#[test]
fn what_is_not_too_deep_can_be_walked() {
    let n = 120;
    for sql in [
        format!("select {}1{}", "f(".repeat(n), ")".repeat(n)),
        format!("select {}1{}", "(1 + ".repeat(n), ")".repeat(n)),
        format!("select {}1{}", "(select ".repeat(n / 2), ")".repeat(n / 2)),
        format!("select 1{}", " + 1".repeat(190)),
        format!("select {}1{}", "case when a then b else ".repeat(n), " end".repeat(n)),
        format!("select * from a{}", " join a".repeat(n)),
    ] {
        let parsed = parse(&sql, &ParseOptions::default());
        let Ok(Statement::Select(q)) = &parsed else { panic!("{}: {parsed:?}", &sql[..40]) };
        assert_eq!(parsed.clone(), parsed);
        assert!(!print::query(q).is_empty() && !format!("{q:?}").is_empty());
    }
}

#[test]
fn bytes_that_are_no_utf8_stay_what_they_are() {
    let sql = b"insert into t values (_binary '\xff\x00\\0', '\xc3\xa9', '\xe9')";
    let text = format!("{:?}", parse(sql, &ParseOptions::default()));
    assert!(text.contains("Literal(Bytes([255, 0, 0]))") && text.contains("value: \"é\"") && text.contains("Literal(Bytes([233]))"), "{text}");
}

#[test]
fn long_chains_of_and_or_and_union_are_shallow_trees() {
    let options = ParseOptions::default();
    let or = format!("a = 0{}", (1..20_000).map(|i| format!(" or a = {i}")).collect::<String>());
    let printed = print::expr(&parse_expr(&or, &options).expect("it parses"));
    assert!(printed.starts_with("((`a` = 0) or (`a` = 1) or (`a` = 2)") && printed.ends_with("or (`a` = 19999))"));
    let union = format!("select 0{}", (1..5_000).map(|i| format!(" union all select {i}")).collect::<String>());
    let Ok(Statement::Select(q)) = parse(&union, &options) else { panic!("it parses") };
    assert_eq!(print::query(&q), union);
}

#[test]
fn long_lists_take_linear_time() {
    let options = ParseOptions::default();
    let list = (0..100_000).map(|i| i.to_string()).collect::<Vec<_>>().join(",");
    assert!(parse(format!("select a from t where a in ({list})"), &options).is_ok());
    let row = "(1,'abcdefghijklmnopqrstuvwxyz','abcdefghijklmnopqrstuvwxyz',1.5,null)";
    let rows = vec![row; 20_000].join(",");
    let sql = format!("insert into t values {rows}");
    assert!(sql.len() > 1_400_000);
    assert!(parse(&sql, &options).is_ok());
    let statements = "select 1;".repeat(50_000);
    assert_eq!(Statements::new(&statements, SqlMode(0)).count(), 50_000);
    // One literal of ten megabytes.
    assert!(parse(format!("insert into t values ('{}')", "x\\n".repeat(3_500_000)), &options).is_ok());
}

#[test]
fn a_question_mark_is_an_error_outside_a_prepared_statement() {
    assert_eq!(parse("select ?", &ParseOptions::default()), Err(Fault::Syntax { near: "?".into(), line: 1 }));
    assert_eq!(parse_prepared("select ? + a from t where b = ? limit ?", &ParseOptions::default()).map(|p| p.params), Ok(3));
    assert_eq!(parse_prepared("with a as (select ?) select ? from a where b = ?", &ParseOptions::default()).map(|p| p.params), Ok(3));
}

#[test]
fn spans_cover_what_is_written() {
    let sql = "select  a + 1 /* c */ , count( * ) x, 'é' from t";
    let Ok(Statement::Select(q)) = parse(sql, &ParseOptions::default()) else { panic!("it parses") };
    let weald_sql::ast::SetExpr::Select(s) = q.body else { panic!("a select") };
    let texts: Vec<&str> = s
        .items
        .iter()
        .map(|i| match i {
            weald_sql::ast::SelectItem::Expr { span, .. } => &sql[span.start as usize..span.end as usize],
            _ => "",
        })
        .collect();
    assert_eq!(texts, vec!["a + 1", "count( * )", "'é'"]);
}

const WORDS: &[&str] = &[
    "select",
    "from",
    "where",
    "a",
    "b",
    "t",
    "(",
    ")",
    "(",
    ")",
    ",",
    "*",
    "=",
    "1",
    "'x'",
    "and",
    "or",
    "not",
    "in",
    "between",
    "like",
    "is",
    "null",
    "join",
    "left",
    "on",
    "union",
    "all",
    "order",
    "by",
    "group",
    "limit",
    "as",
    "case",
    "when",
    "then",
    "end",
    "else",
    "interval",
    "day",
    "+",
    "-",
    ".",
    "@a",
    "@@b",
    ":=",
    "insert",
    "into",
    "values",
    "update",
    "set",
    "delete",
    "create",
    "table",
    "int",
    "primary",
    "key",
    "default",
    "alter",
    "add",
    "drop",
    "index",
    "show",
    "with",
    "row",
    "exists",
    "any",
    "count",
    "sum",
    "over",
    "partition",
    "cast",
    "char",
    "convert",
    "using",
    "date",
    "`q`",
    "\"d\"",
    "0x1F",
    "x'41'",
    "b'1'",
    "1.5",
    "1e5",
    "_utf8mb4",
    "N'n'",
    "||",
    "&&",
    "->",
    "->>",
    "'$.a'",
    "?",
    "{",
    "}",
    ";",
    "for",
    "lock",
    "intersect",
    "except",
    "lateral",
    "json_table",
    "columns",
    "path",
    "view",
    "grant",
    "to",
    "user",
    "identified",
    "replace",
    "ignore",
    "duplicate",
    "natural",
    "using",
    "straight_join",
    "having",
    "distinct",
    "recursive",
    "window",
    "rows",
    "unbounded",
    "preceding",
    "current",
    "/*!",
    "*/",
    "/*!80000",
    "/*!99999",
    "--",
    "\n",
    "#",
    "binary",
    "collate",
    "utf8mb4_bin",
    "mod",
    "div",
    "xor",
    "~",
    "!",
    "<=>",
    "<<",
    "|",
    "&",
    "^",
    "%",
    "/",
    "if",
    "left",
    "trim",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for mode in [0, SqlMode::ANSI_QUOTES, SqlMode::NO_BACKSLASH_ESCAPES | SqlMode::PIPES_AS_CONCAT] {
            let options = ParseOptions { sql_mode: SqlMode(mode) };
            let _ = parse(&bytes, &options);
            let _ = parse_expr(&bytes, &options);
            for range in Statements::new(&bytes, options.sql_mode) {
                let _ = parse(&bytes[range], &options);
            }
        }
    }

    #[test]
    fn soups_of_words_never_panic_and_what_parses_prints_and_parses_again(
        start in prop::sample::select(&["select ", "", "select a from t where ", "create table t (a int ", "insert into t values (", "select 1 from ("][..]),
        words in prop::collection::vec(prop::sample::select(WORDS), 0..14),
    ) {
        let sql = format!("{start}{}", words.join(" "));
        let options = ParseOptions::default();
        if let Ok(Statement::Select(q)) = parse_prepared(&sql, &options).map(|p| p.statement) {
            round_trip(&sql, &q);
        }
        let _ = parse(&sql, &ParseOptions { sql_mode: SqlMode(SqlMode::ANSI_QUOTES | SqlMode::PIPES_AS_CONCAT | SqlMode::HIGH_NOT_PRECEDENCE | SqlMode::IGNORE_SPACE) });
        if let Ok(e) = parse_expr(words.join(" "), &options) {
            let text = print::expr(&e);
            let again = parse_expr(&text, &options);
            prop_assert!(again.is_ok(), "{} prints as {}: {:?}", sql, text, again);
            prop_assert_eq!(again.map(|e| print::expr(&e)), Ok(text));
        }
    }
}

/// All golden statements, as words.
fn statements() -> Vec<Vec<String>> {
    let files = [
        include_str!("golden/expr.txt"),
        include_str!("golden/select.txt"),
        include_str!("golden/dml.txt"),
        include_str!("golden/ddl.txt"),
        include_str!("golden/session.txt"),
        include_str!("golden/show.txt"),
        include_str!("golden/users.txt"),
        include_str!("golden/clients.txt"),
        include_str!("golden/reject.txt"),
    ];
    let mut out = vec![];
    for (i, file) in files.iter().enumerate() {
        for line in file.lines().filter_map(|l| l.strip_prefix("> ")) {
            let mut words: Vec<String> = if i == 0 { vec!["select".into()] } else { vec![] };
            let mut rest = line;
            while let Some(first) = rest.chars().next() {
                let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len()).max(first.len_utf8());
                words.push(rest[..length].to_string());
                rest = &rest[length..];
            }
            out.push(words);
        }
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn statements_with_words_changed_never_panic_and_what_parses_prints_and_parses_again(
        which in any::<prop::sample::Index>(), other in any::<prop::sample::Index>(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..4u8), 0..4),
    ) {
        thread_local! { static ALL: Vec<Vec<String>> = statements(); }
        let sql = ALL.with(|all| {
            let mut words = which.get(all).clone();
            let other = other.get(all);
            for (at, from, kind) in edits {
                let i = at.index(words.len().max(1));
                let word = if other.is_empty() { String::new() } else { other[from.index(other.len())].clone() };
                match kind {
                    0 if !words.is_empty() => { words.remove(i); }
                    1 if !words.is_empty() => words[i] = word,
                    2 if !words.is_empty() => { let j = from.index(words.len()); words.swap(i, j) }
                    _ => { words.insert(i.min(words.len()), word); words.insert(i.min(words.len()), " ".into()) }
                }
            }
            words.concat()
        });
        if let Ok(Statement::Select(q)) = parse_prepared(&sql, &ParseOptions::default()).map(|p| p.statement) {
            round_trip(&sql, &q);
        }
    }
}

fn round_trip(sql: &str, q: &weald_sql::ast::Query) {
    let text = print::query(q);
    match parse_prepared(&text, &ParseOptions::default()).map(|p| p.statement) {
        Ok(Statement::Select(again)) => assert_eq!(print::query(&again), text, "{sql}"),
        other => panic!("{sql}\nprints as {text}\nwhich gives {other:?}"),
    }
}
