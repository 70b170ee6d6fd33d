//! What is typed, taken apart into statements.
//!
//! Owns:     the text of the statement that is not complete yet.
//! Promises: `;` and `\G` in strings, names and comments end nothing; every byte of a statement reaches the server as it was typed, comments included
//!           (they may be for the server).
//! Never:    looks at the same byte twice: a dump's statements can be long.

use std::collections::VecDeque;

/// How a statement was ended, which is how its rows are to be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Plain,
    /// `\G`
    Vertical,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Statement {
    pub text: String,
    pub ending: Ending,
    /// Where it begins in the whole input.
    pub line: u32,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum Within {
    #[default]
    Nothing,
    Quotes(char),
    LineComment,
    BlockComment,
}

#[derive(Default)]
pub struct Splitter {
    text: String,
    /// Where in `text` the looking goes on.
    at: usize,
    within: Within,
    /// Of the text's first character, and of the character at `at`.
    first_line: u32,
    line: u32,
    ready: VecDeque<Statement>,
}

impl Splitter {
    /// Nothing but white space waits for its end.
    pub fn is_empty(&self) -> bool {
        self.text.trim().is_empty()
    }

    pub fn next_statement(&mut self) -> Option<Statement> {
        self.ready.pop_front()
    }

    /// The input is over: what is left is a statement.
    pub fn end(&mut self) {
        let end = self.text.len();
        self.cut(end, end, Ending::Plain);
    }

    /// Takes one more line, or more.
    pub fn feed(&mut self, more: &str) {
        self.text.push_str(more);
        loop {
            let rest = &self.text[self.at..];
            let mut chars = rest.chars();
            let Some(c) = chars.next() else { return };
            let next = chars.next();
            // A two-character mark may be cut by the end of what is there so far.
            if next.is_none() && matches!(c, '\\' | '-' | '/' | '*') && !more.ends_with('\n') {
                return;
            }
            let mut step = c.len_utf8();
            if c == '\n' {
                self.line += 1;
            }
            match (self.within, c, next) {
                (Within::Quotes(q), '\\', Some(escaped)) if q != '`' => {
                    self.line += u32::from(escaped == '\n');
                    step += escaped.len_utf8()
                }
                // A doubled quote closes and opens again, which comes to the same.
                (Within::Quotes(q), c, _) if c == q => self.within = Within::Nothing,
                (Within::LineComment, '\n', _) => self.within = Within::Nothing,
                (Within::BlockComment, '*', Some('/')) => {
                    self.within = Within::Nothing;
                    step += 1
                }
                (Within::Quotes(_) | Within::LineComment | Within::BlockComment, ..) => (),
                (Within::Nothing, '\'' | '"' | '`', _) => self.within = Within::Quotes(c),
                (Within::Nothing, '#', _) => self.within = Within::LineComment,
                (Within::Nothing, '-', Some('-')) if rest[2..].chars().next().is_none_or(|c| c.is_whitespace()) => self.within = Within::LineComment,
                (Within::Nothing, '/', Some('*')) => {
                    self.within = Within::BlockComment;
                    step += 1
                }
                (Within::Nothing, ';', _) => {
                    self.cut(self.at, self.at + 1, Ending::Plain);
                    continue;
                }
                (Within::Nothing, '\\', Some('G')) => {
                    self.cut(self.at, self.at + 2, Ending::Vertical);
                    continue;
                }
                (Within::Nothing, '\\', Some('g')) => {
                    self.cut(self.at, self.at + 2, Ending::Plain);
                    continue;
                }
                (Within::Nothing, ..) => (),
            }
            self.at += step;
        }
    }

    /// The text up to `end` is a statement; what follows begins at `after`.
    fn cut(&mut self, end: usize, after: usize, ending: Ending) {
        let rest = self.text.split_off(after);
        self.text.truncate(end);
        let before = self.text.len() - self.text.trim_start().len();
        let line = self.first_line + self.text[..before].matches('\n').count() as u32 + 1;
        let text = self.text.trim();
        if !text.is_empty() {
            self.ready.push_back(Statement { text: text.to_string(), ending, line });
        }
        self.text = rest;
        self.at = 0;
        self.first_line = self.line;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(lines: &[&str]) -> Vec<(String, Ending, u32)> {
        let mut s = Splitter::default();
        for line in lines {
            s.feed(line);
        }
        s.end();
        std::iter::from_fn(|| s.next_statement()).map(|s| (s.text, s.ending, s.line)).collect()
    }
    fn plain(text: &str, line: u32) -> (String, Ending, u32) {
        (text.into(), Ending::Plain, line)
    }

    #[test]
    fn semicolons_end_statements_where_they_stand_for_themselves() {
        assert_eq!(split(&["select 1; select 2;\n"]), [plain("select 1", 1), plain("select 2", 1)]);
        assert_eq!(split(&["select ';', \"a\\\";\", `;` -- ;\n", ", 2 /* ;\n", " */ # ;\n", ";\n"]).len(), 1);
        assert_eq!(split(&["select 'it''s;'; select 1--2;"]), [plain("select 'it''s;'", 1), plain("select 1--2", 1)]);
        assert_eq!(split(&["select '\\\\'; select 2"]), [plain("select '\\\\'", 1), plain("select 2", 1)]);
    }

    #[test]
    fn a_statement_knows_its_line_and_how_it_is_to_be_shown() {
        let found = split(&["\n", "select\n", "  1;\n", "\n", "select 'a\n", "b'\\G select 3\\g\n", "select 4\n"]);
        assert_eq!(found, [plain("select\n  1", 2), ("select 'a\nb'".into(), Ending::Vertical, 5), plain("select 3", 6), plain("select 4", 7)]);
    }

    #[test]
    fn what_is_fed_byte_by_byte_comes_to_the_same() {
        let text = "select '\\';' -- x;\n;/* ; */ select 2\\G\nselect ä;";
        let pieces: Vec<String> = text.chars().map(String::from).collect();
        let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
        assert_eq!(split(&pieces), split(&[text]));
    }
}
