//! A text of several statements, taken apart one at a time.
//!
//! Owns:     a position in a text it borrows.
//! Promises: finds the `;` between statements by tokens alone, so that a later statement's error is not seen before the earlier ones have run.
//!           What follows the last `;` is no statement if it is white space.
//! Never:    parses.

use crate::lexer::{Lexer, Tok, is_space};
use std::ops::Range;
use weald_types::SqlMode;

/// Iterates over the statements' byte ranges, without their `;`. Parse `&text[range]` when its turn has come: `sql_mode` may have changed by then,
/// and with it where the next one ends: see [`Statements::set_sql_mode`].
#[derive(Clone, Debug)]
pub struct Statements<'a> {
    text: &'a [u8],
    pos: usize,
    end: usize,
    sql_mode: SqlMode,
}

impl<'a> Statements<'a> {
    pub fn new<T: AsRef<[u8]> + ?Sized>(text: &'a T, sql_mode: SqlMode) -> Self {
        let text = text.as_ref();
        let mut end = text.len();
        while end > 0 && (is_space(text[end - 1]) || text[end - 1] == b';') {
            end -= 1;
        }
        // Text that is nothing but `;` is one empty statement, which MySQL answers with 1065.
        let pos = if end == 0 && !text.is_empty() { 0 } else { skip_space(text, 0) };
        Statements { text, pos, end: end.max(usize::from(end == 0 && !text.is_empty())), sql_mode }
    }

    /// For the statements not yet given out.
    pub fn set_sql_mode(&mut self, sql_mode: SqlMode) {
        self.sql_mode = sql_mode;
    }

    /// Whether another statement follows: the SERVER_MORE_RESULTS_EXISTS of the protocol.
    pub fn has_more(&self) -> bool {
        self.pos < self.end
    }

    /// Everything not yet given out.
    pub fn rest(&self) -> &'a [u8] {
        &self.text[self.pos.min(self.end)..self.end]
    }
}

impl Iterator for Statements<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        if !self.has_more() {
            return None;
        }
        let start = self.pos;
        let mut lexer = Lexer::new(&self.text[start..self.end], self.sql_mode);
        loop {
            let t = lexer.next_token();
            match t.kind {
                Tok::Semicolon => {
                    self.pos = skip_space(self.text, start + t.end as usize);
                    return Some(start..start + t.start as usize);
                }
                // An unclosed quote reaches to the end, and so does the statement it stands in; a stray byte does not.
                Tok::Bad if start + t.end as usize >= self.end => break,
                Tok::End => break,
                _ => (),
            }
        }
        self.pos = self.end;
        Some(start..self.end)
    }
}

fn skip_space(text: &[u8], from: usize) -> usize {
    text[from..].iter().position(|b| !is_space(*b)).map_or(text.len(), |n| from + n)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<&str> {
        Statements::new(text, SqlMode(0)).map(|r| &text[r]).collect()
    }

    #[test]
    fn semicolons_between_statements_are_found_and_others_are_not() {
        assert_eq!(
            split("select 1; select ';' ; /* ; */ select `;` -- ;\n; select 4;\n"),
            vec!["select 1", "select ';' ", "/* ; */ select `;` -- ;\n", "select 4"]
        );
        assert_eq!(split("select 1"), vec!["select 1"]);
        assert_eq!(split("select 1;;select 2;;"), vec!["select 1", "", "select 2"]);
        assert_eq!(split("select 1; select 'a; select 3"), vec!["select 1", "select 'a; select 3"]);
        assert_eq!(split("/*!40101 set @a = 1 */; select \\ ; select 2"), vec!["/*!40101 set @a = 1 */", "select \\ ", "select 2"]);
        assert_eq!(split(""), Vec::<&str>::new());
        assert_eq!(split(" ; ").len(), 1);
    }

    #[test]
    fn more_is_known_before_the_next_is_looked_at() {
        let mut s = Statements::new("select 1; select 2; ", SqlMode(0));
        assert!(s.next().is_some() && s.has_more());
        assert!(s.next().is_some() && !s.has_more());
    }
}
