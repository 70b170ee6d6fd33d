//! Golden SQL scripts: transcripts of statements and what MySQL 8.0 answers.
//!
//! A block is comments, statements (each ends with `;` at the end of a line), `---`, and the expected side, up to an empty line:
//!
//! ```text
//! # Division gives four more decimals.
//! SELECT 1 / 3;
//! ---
//! 1 / 3
//! 0.3333
//! ```
//!
//! A result set is its header and rows, tab-separated; `NULL` is NULL, `(empty)` the empty string. Otherwise `ok`, `affected n`, `error NUMBER SQLSTATE`,
//! and `warning NUMBER` lines. Before a statement may stand, in brackets, where and how it runs:
//!
//! ```text
//! [b]                          in session b (each session is a connection; without a name: the main one)
//! [b user=bob password=x]      the first time: logs in as bob
//! [async b]                    sends it and goes on; the answer must not come at once
//! [await b]                    (as a whole statement, `[await b];`) the answer of what was sent
//! [binary 1, 'x', NULL]        prepared and executed in the binary protocol, with these parameters
//! [file a.csv]                 no statement: what follows, from the next line on, goes into this file of the script's directory, `$FILES` in statements
//! [show a.csv]                 (as a whole statement, `[show a.csv];`) the lines of that file
//! [local a.csv]                LOAD DATA LOCAL: that file is what is sent
//! ```
//!
//! In a file's text `\t`, `\n`, `\r`, `\\` and `\xE9` stand for bytes.
//!
//! Owns:     nothing.
//! Promises: a block under a comment that starts with `# mysql:` holds MySQL's answer where MariaDB's is another: it is not compared with, nor written from, MariaDB.
//! Never:    hides a failure: `known_failures.txt` names what may fail, and naming what passes is a failure too.

use crate::client::{ASKED, Answer, Client, Error, Options, Param};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;
use weald_wire::constants::client as flag;

pub struct Script {
    pub name: String,
    pub blocks: Vec<Block>,
}

#[derive(Debug, Default, Clone)]
pub struct Block {
    /// Of the first line after the comments.
    pub line: usize,
    pub comments: Vec<String>,
    pub statements: Vec<Statement>,
    pub expected: Vec<String>,
}

#[derive(Debug, Clone)]
pub struct Statement {
    /// As it stands in the file, with the brackets.
    pub source: String,
    pub sql: String,
    pub how: How,
    pub session: String,
    pub login: Option<(String, String)>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum How {
    Text,
    Binary(Vec<Param>),
    Async,
    Await,
    File { name: String, bytes: Vec<u8> },
    Show(String),
    Local(String),
}

impl Block {
    pub fn is_mysql_only(&self) -> bool {
        self.comments.iter().any(|c| c.starts_with("# mysql:"))
    }
}

pub fn parse(name: &str, text: &str) -> Result<Script, String> {
    let mut blocks = Vec::new();
    let mut block = Block::default();
    let mut open = String::new();
    let mut answering = false;
    for (n, line) in text.lines().enumerate().map(|(n, l)| (n + 1, l)).chain([(0, "")]) {
        if answering {
            if line.is_empty() {
                blocks.push(std::mem::take(&mut block));
                answering = false;
            } else {
                block.expected.push(line.into());
            }
        } else if open.is_empty() && line.is_empty() {
            if !block.statements.is_empty() || !block.comments.is_empty() {
                // No answer yet: it will be written. Or: a comment of its own.
                blocks.push(std::mem::take(&mut block));
            }
        } else if open.is_empty() && line.starts_with('#') {
            block.comments.push(line.into());
        } else if open.is_empty() && line == "---" {
            answering = true;
        } else {
            if block.line == 0 {
                block.line = n;
            }
            if !open.is_empty() {
                open.push('\n');
            }
            open.push_str(line);
            if line.ends_with(';') {
                let source = std::mem::take(&mut open);
                block.statements.push(statement(&source).map_err(|e| format!("{name}:{n}: {e}"))?);
            }
        }
    }
    if !open.is_empty() {
        return Err(format!("{name}: the last statement does not end with `;`"));
    }
    Ok(Script { name: name.into(), blocks })
}

fn statement(source: &str) -> Result<Statement, String> {
    let mut s = Statement { source: source.into(), sql: source.trim_end_matches(';').into(), how: How::Text, session: String::new(), login: None };
    let Some(rest) = source.strip_prefix('[') else { return Ok(s) };
    let (head, sql) = rest.split_once(']').ok_or("a bracket without end")?;
    s.sql = sql.trim_start().trim_end_matches(';').into();
    if let Some(params) = head.strip_prefix("binary") {
        s.how = How::Binary(split_params(params)?);
        return Ok(s);
    }
    match head.split_once(' ') {
        Some(("file", name)) => {
            let text = sql.strip_prefix('\n').unwrap_or(sql);
            s.how = How::File { name: name.into(), bytes: unescape(text.strip_suffix(';').unwrap_or(text))? };
            return Ok(s);
        }
        Some(("show", name)) => {
            s.how = How::Show(name.into());
            return Ok(s);
        }
        Some(("local", name)) => {
            s.how = How::Local(name.into());
            return Ok(s);
        }
        _ => (),
    }
    let (mut user, mut password) = (None, String::new());
    for word in head.split_whitespace() {
        match word.split_once('=') {
            Some(("user", u)) => user = Some(u.to_string()),
            Some(("password", p)) => password = p.into(),
            Some(_) => return Err(format!("unknown word {word}")),
            None if word == "async" => s.how = How::Async,
            None if word == "await" => s.how = How::Await,
            None => s.session = word.into(),
        }
    }
    s.login = user.map(|u| (u, password));
    Ok(s)
}

fn split_params(text: &str) -> Result<Vec<Param>, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(Vec::new());
    }
    text.split(',')
        .map(|p| {
            let p = p.trim();
            if p == "NULL" {
                Ok(Param::Null)
            } else if let Some(s) = p.strip_prefix('\'').and_then(|p| p.strip_suffix('\'')) {
                Ok(Param::Text(s.into()))
            } else if let Ok(n) = p.parse() {
                Ok(Param::Int(n))
            } else {
                p.parse().map(Param::Double).map_err(|_| format!("not a parameter: {p}"))
            }
        })
        .collect()
}

/// The bytes of a file's text.
fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(b) = rest.next() {
        out.push(match b {
            b'\\' => match rest.next() {
                Some(b't') => b'\t',
                Some(b'n') => b'\n',
                Some(b'r') => b'\r',
                Some(b'\\') => b'\\',
                Some(b'x') => {
                    let digits = [rest.next(), rest.next()].into_iter().flatten().map(char::from).collect::<String>();
                    u8::from_str_radix(&digits, 16).map_err(|_| format!("\\x{digits} is no byte"))?
                }
                _ => return Err("a backslash that begins nothing".into()),
            },
            b => b,
        });
    }
    Ok(out)
}

/// Writes a script with the answers that its blocks now hold.
pub fn print(script: &Script) -> String {
    let mut out = String::new();
    for b in &script.blocks {
        b.comments.iter().for_each(|c| writeln!(out, "{c}").expect("a string grows"));
        for s in &b.statements {
            writeln!(out, "{}", s.source).expect("a string grows");
        }
        if !b.statements.is_empty() {
            out.push_str("---\n");
            b.expected.iter().for_each(|e| writeln!(out, "{e}").expect("a string grows"));
        }
        out.push('\n');
    }
    while out.ends_with("\n\n") {
        out.pop();
    }
    out
}

/// A server under test.
pub struct Target<'a> {
    pub host: &'a str,
    pub port: u16,
    /// A directory that the server may read from and write to; each script has its own in it.
    pub files: &'a Path,
}

/// Runs a script in a database of its own; gives what each block answered.
pub fn run(script: &Script, target: &Target<'_>) -> Result<Vec<Vec<String>>, String> {
    let database = format!("golden_{}", script.name);
    let say = |e: Error| format!("{}: {e}", script.name);
    let asked = Options { capabilities: ASKED | flag::LOCAL_FILES, ..Options::default() };
    let mut main = Client::with(target.host, target.port, &asked).map_err(say)?;
    for sql in [format!("DROP DATABASE IF EXISTS {database}"), format!("CREATE DATABASE {database}"), format!("USE {database}")] {
        main.query(&sql).map_err(|e| format!("{}: {sql}: {e}", script.name))?;
    }
    let files = target.files.join(&script.name);
    std::fs::create_dir_all(&files).map_err(|e| format!("{}: {e}", files.display()))?;
    let mut sessions = BTreeMap::from([(String::new(), main)]);
    let mut all = Vec::with_capacity(script.blocks.len());
    for block in &script.blocks {
        let mut lines = Vec::new();
        for s in &block.statements {
            if !sessions.contains_key(&s.session) {
                let (user, password) = s.login.clone().unwrap_or_else(|| ("root".into(), String::new()));
                // A user that may not see the database still gets a session.
                let client = Client::connect(target.host, target.port, &user, &password, None);
                match client {
                    Ok(mut c) => {
                        let _ = c.query(&format!("USE {database}"));
                        sessions.insert(s.session.clone(), c);
                    }
                    Err(Error::Server(e)) => {
                        lines.push(format!("error {} {}", e.code, e.state));
                        continue;
                    }
                    Err(e) => return Err(say(e)),
                }
            }
            let client = sessions.get_mut(&s.session).expect("just made");
            let sql = s.sql.replace("$FILES", &files.to_string_lossy());
            let answer = match &s.how {
                How::File { name, bytes } => {
                    std::fs::write(files.join(name), bytes).map_err(|e| format!("{name}: {e}"))?;
                    continue;
                }
                How::Show(name) => {
                    match std::fs::read(files.join(name)) {
                        Ok(bytes) => lines.extend(bytes.split_inclusive(|b| *b == b'\n').map(|l| cell(&Some(l.to_vec())))),
                        Err(e) => lines.push(format!("{:?}", e.kind())),
                    }
                    continue;
                }
                How::Local(name) => match std::fs::read(files.join(name)) {
                    Ok(bytes) => client.load(&sql, &[&bytes]).map(|(_, answer)| answer),
                    Err(e) => return Err(format!("{name}: {e}")),
                },
                How::Text => client.query(&sql),
                How::Binary(params) => client.execute(&sql, params),
                How::Await => client.receive(),
                How::Async => {
                    let sent = client.send_query(sql.as_bytes());
                    match sent.and_then(|()| client.answered_within(Duration::from_millis(150))) {
                        Ok(answered) => lines.push(if answered { "answered at once".into() } else { "waiting".into() }),
                        Err(e) => lines.push(e.to_string()),
                    }
                    continue;
                }
            };
            let warnings = answer.as_ref().is_ok_and(|a| a.warnings > 0);
            let gone = matches!(answer, Err(Error::Io(_) | Error::Protocol(_)));
            show(answer, &mut lines);
            if warnings && !s.sql.to_ascii_uppercase().starts_with("SHOW WARNINGS") {
                match client.query("SHOW WARNINGS") {
                    Ok(w) => w.rows.iter().take(5).for_each(|r| lines.push(format!("{} {}", cell(&r[0]).to_lowercase(), cell(&r[1])))),
                    Err(e) => lines.push(format!("SHOW WARNINGS: {e}")),
                }
            }
            if gone {
                sessions.remove(&s.session);
            }
        }
        all.push(lines);
    }
    if let Ok(mut c) = Client::connect(target.host, target.port, "root", "", None) {
        drop(sessions);
        let _ = c.query(&format!("DROP DATABASE {database}"));
    }
    Ok(all)
}

fn show(answer: Result<Answer, Error>, lines: &mut Vec<String>) {
    match answer {
        Err(Error::Server(e)) => lines.push(format!("error {} {}", e.code, e.state)),
        Err(e) => lines.push(e.to_string()),
        Ok(a) if a.columns.is_empty() => lines.push(if a.affected == 0 { "ok".into() } else { format!("affected {}", a.affected) }),
        Ok(a) => {
            lines.push(a.columns.iter().map(|c| escape(&c.name)).collect::<Vec<_>>().join("\t"));
            lines.extend(a.rows.iter().map(|r| r.iter().map(cell).collect::<Vec<_>>().join("\t")));
        }
    }
}

fn cell(c: &Option<Vec<u8>>) -> String {
    match c {
        None => "NULL".into(),
        Some(b) if b.is_empty() => "(empty)".into(),
        Some(b) => match std::str::from_utf8(b) {
            Ok(s) if !s.chars().any(|c| c.is_control() && c != '\n' && c != '\t' && c != '\r') => escape(s),
            _ => b.iter().fold("0x".into(), |mut s, b| {
                let _ = write!(s, "{b:02X}");
                s
            }),
        },
    }
}

fn escape(s: &str) -> String {
    s.replace('\\', "\\\\").replace('\n', "\\n").replace('\t', "\\t").replace('\r', "\\r")
}

/// A diff of two sides, for a person.
pub fn diff(expected: &[String], got: &[String]) -> String {
    let mut out = String::new();
    let same_head = expected.iter().zip(got).take_while(|(a, b)| a == b).count();
    let same_tail = expected[same_head..].iter().rev().zip(got[same_head..].iter().rev()).take_while(|(a, b)| a == b).count();
    let mut say = |mark: char, lines: &[String]| lines.iter().for_each(|l| writeln!(out, "  {mark} {l}").expect("a string grows"));
    say(' ', &expected[..same_head]);
    say('-', &expected[same_head..expected.len() - same_tail]);
    say('+', &got[same_head..got.len() - same_tail]);
    say(' ', &expected[expected.len() - same_tail..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_prints_as_it_was_written() {
        let text = "# Why.\nSELECT 1;\n---\n1\n1\n\n[b] SELECT\n  2;\n[binary 1, 'x', NULL] SELECT ?, ?, ?;\n---\n2\n2\n";
        let script = parse("x", text).unwrap();
        assert_eq!(script.blocks.len(), 2);
        assert_eq!(script.blocks[1].statements[1].how, How::Binary(vec![Param::Int(1), Param::Text("x".into()), Param::Null]));
        assert_eq!(print(&script), text);
    }
}
