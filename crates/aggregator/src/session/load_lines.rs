//! Lines and fields of a file, as LOAD DATA's FIELDS and LINES clauses say.
//!
//! Owns:     its place in the file: lines still to be skipped.
//! Promises: takes what is whole and says where the rest begins, so that the file may come in pieces of any size; MySQL's rules for enclosed, escaped and NULL.
//! Never:    knows of columns or types.

use weald_sql::ast::LoadFormat;

/// One field of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field<'a> {
    Null,
    Bytes(&'a [u8]),
}

/// What a look at the bytes gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// A line, in the fields that were handed in; the next one begins here.
    Line(usize),
    /// More bytes are wanted; those from here on must be there again then.
    More(usize),
    End,
}

/// What is left of a line.
enum Rest {
    /// The next line begins there.
    Ends { next: usize, empty: bool },
    /// There is no end within the bytes; from `seen` on one may begin.
    Open { seen: usize },
}

/// The fields of one line; kept from line to line, so that a line costs no allocation.
#[derive(Debug, Default)]
pub struct Fields {
    /// Fields with an escape or a doubled enclosure, as they mean.
    plain: Vec<u8>,
    spans: Vec<Span>,
}

#[derive(Clone, Copy, Debug)]
enum Span {
    Null,
    /// Of the file's bytes.
    Source(usize, usize),
    /// Of `plain`.
    Plain(usize, usize),
}

impl Fields {
    pub fn len(&self) -> usize {
        self.spans.len()
    }
    pub fn get<'a>(&'a self, bytes: &'a [u8], i: usize) -> Option<Field<'a>> {
        self.spans.get(i).map(|s| match s {
            Span::Null => Field::Null,
            Span::Source(from, to) => Field::Bytes(&bytes[*from..*to]),
            Span::Plain(from, to) => Field::Bytes(&self.plain[*from..*to]),
        })
    }
}

/// How a line falls into fields.
#[derive(Clone, Debug)]
pub enum Shape {
    /// By terminators. Where lines have no end of their own, so many fields make one.
    Fields(usize),
    /// FIELDS TERMINATED BY '' ENCLOSED BY '': each has so many bytes.
    Widths(Vec<usize>),
}

#[derive(Debug)]
pub struct Splitter {
    format: LoadFormat,
    /// IGNORE n LINES: those still to come.
    skip: u64,
    shape: Shape,
    special: Special,
}

/// Bytes that may begin or end something; all others are the field's.
#[derive(Debug)]
enum Special {
    Three([u8; 3]),
    Many(Vec<u8>),
}

impl Special {
    fn new(mut bytes: Vec<u8>) -> Self {
        bytes.sort_unstable();
        bytes.dedup();
        match bytes[..] {
            [a] => Special::Three([a; 3]),
            [a, b] => Special::Three([a, b, b]),
            [a, b, c] => Special::Three([a, b, c]),
            _ => Special::Many(bytes),
        }
    }
    /// How many bytes come before the next one of them.
    fn before(&self, bytes: &[u8]) -> usize {
        let next = match self {
            Special::Three([a, b, c]) => memchr::memchr3(*a, *b, *c, bytes),
            Special::Many(all) => bytes.iter().position(|b| all.contains(b)),
        };
        next.unwrap_or(bytes.len())
    }
}

impl Splitter {
    pub fn new(format: LoadFormat, skip: u64, shape: Shape) -> Self {
        let first = [format.fields_terminated.first(), format.lines_terminated.first(), format.escaped.as_ref(), format.fields_enclosed.as_ref()];
        let special = Special::new(first.into_iter().flatten().copied().collect());
        Self { format, skip, shape, special }
    }

    /// The end of every line; a piece without it cannot complete one.
    pub fn line_end(&self) -> &[u8] {
        if self.format.lines_terminated.is_empty() { &self.format.fields_terminated } else { &self.format.lines_terminated }
    }

    /// The line that begins at `at`. `last`: nothing follows `bytes`.
    pub fn next(&mut self, bytes: &[u8], mut at: usize, last: bool, fields: &mut Fields) -> Taken {
        while self.skip > 0 {
            match self.end_of_line(bytes, at) {
                Rest::Ends { next, .. } => {
                    at = next;
                    self.skip -= 1;
                }
                Rest::Open { .. } if last => return Taken::End,
                Rest::Open { seen } => return Taken::More(seen),
            }
        }
        let begin = at;
        let prefix = &self.format.lines_starting;
        if !prefix.is_empty() {
            match find(&bytes[at..], prefix) {
                Some(n) => at += n + prefix.len(),
                None if last => return Taken::End,
                None => return Taken::More(bytes.len().saturating_sub(prefix.len() - 1).max(at)),
            }
        } else if at >= bytes.len() {
            return if last { Taken::End } else { Taken::More(at) };
        }
        fields.plain.clear();
        fields.spans.clear();
        let next = match &self.shape {
            Shape::Fields(width) => self.fields(bytes, at, last, *width, fields),
            Shape::Widths(widths) => self.columns(bytes, at, last, widths, fields),
        };
        match next {
            Some(next) => Taken::Line(next),
            None => Taken::More(begin),
        }
    }

    /// Where the line ends that begins at `at`; `None`: not within `bytes`.
    fn fields(&self, bytes: &[u8], mut at: usize, last: bool, width: usize, fields: &mut Fields) -> Option<usize> {
        let f = &self.format;
        loop {
            at = self.field(bytes, at, last, fields)?;
            let rest = &bytes[at..];
            // Lines may end as fields do: then their number tells.
            let whole = f.lines_terminated.is_empty() && fields.len() >= width;
            if begins(rest, &f.lines_terminated) {
                return Some(at + f.lines_terminated.len());
            }
            if begins(rest, &f.fields_terminated) {
                at += f.fields_terminated.len();
                if fields.len() < width {
                    continue;
                }
                if whole {
                    return Some(at);
                }
                // What stands behind the last column is not read: no enclosure keeps a line's end there from being one. An empty rest is nothing too much,
                // nor is one that the file ends in.
                return match self.end_of_line(bytes, at) {
                    Rest::Ends { next, empty } => {
                        if !empty {
                            fields.spans.push(Span::Source(at, at));
                        }
                        Some(next)
                    }
                    Rest::Open { .. } if last => Some(bytes.len()),
                    Rest::Open { .. } => None,
                };
            }
            // The last line may lack its end.
            return Some(at);
        }
    }

    /// Looks from `at` on for the end of a line that nobody reads.
    fn end_of_line(&self, bytes: &[u8], at: usize) -> Rest {
        let end = self.line_end();
        let mut seen = at;
        loop {
            seen += self.special.before(&bytes[seen..]);
            let rest = &bytes[seen..];
            if begins(rest, end) {
                return Rest::Ends { next: seen + end.len(), empty: seen == at };
            }
            let escape = rest.first().is_some_and(|b| Some(*b) == self.format.escaped);
            let wanted = if escape { 2 } else { end.len().max(1) };
            if rest.len() < wanted {
                return Rest::Open { seen };
            }
            seen += if escape { 2 } else { 1 };
        }
    }

    /// The same of fields of fixed widths. What the line has beyond them is one field more, so that it can be told.
    fn columns(&self, bytes: &[u8], mut at: usize, last: bool, widths: &[usize], fields: &mut Fields) -> Option<usize> {
        let f = &self.format;
        let end = &f.lines_terminated[..];
        let total: usize = widths.iter().sum();
        let mut ended = false;
        while fields.plain.len() < total && !ended {
            let rest = &bytes[at..];
            if rest.len() < end.len().max(2) && !last {
                return None;
            }
            match rest {
                [] => ended = true,
                [b, e, ..] if Some(*b) == f.escaped => {
                    fields.plain.push(unescaped(*e));
                    at += 2;
                }
                rest if begins(rest, end) => {
                    at += end.len();
                    ended = true;
                }
                [b, ..] => {
                    fields.plain.push(*b);
                    at += 1;
                }
            }
        }
        let mut more = false;
        if !ended && !end.is_empty() {
            let left = match find(&bytes[at..], end) {
                Some(n) => n,
                None if last => bytes.len() - at,
                None => return None,
            };
            more = left > 0;
            at = (at + left + end.len()).min(bytes.len());
        }
        let mut from = 0;
        for width in widths {
            let to = (from + width).min(fields.plain.len());
            if to > from {
                fields.spans.push(Span::Plain(from, to));
            }
            from = to;
        }
        if more {
            fields.spans.push(Span::Plain(from, from));
        }
        Some(at)
    }

    /// One field; gives where its terminator begins.
    fn field(&self, bytes: &[u8], start: usize, last: bool, fields: &mut Fields) -> Option<usize> {
        let f = &self.format;
        let enclosed = f.fields_enclosed.is_some() && bytes.get(start).copied() == f.fields_enclosed;
        let begin = start + enclosed as usize;
        // The longest thing that must be seen whole to be recognised.
        let lookahead = f.fields_terminated.len().max(f.lines_terminated.len()).max(2);
        let mut at = begin;
        // From here on the field is copied, since it does not stand in the file as it means.
        let mut copied: Option<usize> = None;
        let mut null = false;
        loop {
            let usual = self.special.before(&bytes[at..]);
            if copied.is_some() {
                fields.plain.extend_from_slice(&bytes[at..at + usual]);
            }
            at += usual;
            let Some(&b) = bytes.get(at) else {
                if !last {
                    return None;
                }
                self.close(bytes, begin, at, copied, null, enclosed, fields);
                return Some(at);
            };
            let rest = &bytes[at..];
            if rest.len() < lookahead && !last {
                return None;
            }
            if Some(b) == f.escaped && rest.len() > 1 {
                let e = rest[1];
                // Two enclosures in a row are for below, should both be the same character.
                if !(enclosed && f.escaped == f.fields_enclosed) {
                    null = e == b'N' && at == begin && !enclosed;
                    copy(bytes, begin, at, &mut copied, fields);
                    fields.plain.push(unescaped(e));
                    at += 2;
                    continue;
                }
            }
            if enclosed && Some(b) == f.fields_enclosed {
                if rest.get(1).copied() == f.fields_enclosed {
                    copy(bytes, begin, at, &mut copied, fields);
                    fields.plain.push(b);
                    at += 2;
                    continue;
                }
                let after = &rest[1..];
                if after.len() + 1 < lookahead + 1 && !last {
                    return None;
                }
                if after.is_empty() || begins(after, &f.fields_terminated) || begins(after, &f.lines_terminated) {
                    self.close(bytes, begin, at, copied, null, enclosed, fields);
                    return Some(at + 1);
                }
            } else if !enclosed && (begins(rest, &f.fields_terminated) || begins(rest, &f.lines_terminated)) {
                self.close(bytes, begin, at, copied, null, enclosed, fields);
                return Some(at);
            }
            if copied.is_some() {
                fields.plain.push(b);
            }
            at += 1;
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn close(&self, bytes: &[u8], begin: usize, end: usize, copied: Option<usize>, null: bool, enclosed: bool, fields: &mut Fields) {
        let span = match copied {
            // \N and nothing else.
            Some(from) if null && fields.plain.len() - from == 1 => Span::Null,
            Some(from) => Span::Plain(from, fields.plain.len()),
            // The word, where other fields are enclosed.
            None if !enclosed && self.format.fields_enclosed.is_some() && &bytes[begin..end] == b"NULL" => Span::Null,
            None => Span::Source(begin, end),
        };
        fields.spans.push(span);
    }
}

/// Whether a terminator, if there is one, stands here. Most are a byte or two long, for which a call would cost more than the comparison.
fn begins(bytes: &[u8], terminator: &[u8]) -> bool {
    match *terminator {
        [] => false,
        [a] => bytes.first() == Some(&a),
        [a, b] => bytes.first() == Some(&a) && bytes.get(1) == Some(&b),
        _ => bytes.starts_with(terminator),
    }
}

/// What a character after the escape character means.
fn unescaped(e: u8) -> u8 {
    match e {
        b'0' => 0,
        b'b' => 8,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'Z' => 26,
        e => e,
    }
}

fn copy(bytes: &[u8], begin: usize, at: usize, copied: &mut Option<usize>, fields: &mut Fields) {
    if copied.is_none() {
        *copied = Some(fields.plain.len());
        fields.plain.extend_from_slice(&bytes[begin..at]);
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    match what {
        [] => Some(0),
        [b] => bytes.iter().position(|x| x == b),
        _ => bytes.windows(what.len()).position(|w| w == what),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(fields: &str, enclosed: Option<u8>) -> LoadFormat {
        LoadFormat {
            fields_terminated: fields.into(),
            fields_enclosed: enclosed,
            optionally_enclosed: false,
            escaped: Some(b'\\'),
            lines_starting: vec![],
            lines_terminated: b"\n".to_vec(),
        }
    }

    /// Takes `text` apart, whole and in pieces of every size: the answers must not differ.
    fn check(text: &str, f: &LoadFormat, skip: u64, expected: &[&[&str]]) {
        check_shape(text, f, skip, Shape::Fields(expected.first().map_or(1, |r| r.len())), expected);
    }

    fn check_shape(text: &str, f: &LoadFormat, skip: u64, shape: Shape, expected: &[&[&str]]) {
        for piece in (1..=text.len().max(1)).rev() {
            let mut splitter = Splitter::new(f.clone(), skip, shape.clone());
            let (mut held, mut given, mut out) = (Vec::new(), 0, Vec::new());
            let mut fields = Fields::default();
            loop {
                let last = given >= text.len();
                let mut at = 0;
                let end = loop {
                    match splitter.next(&held, at, last, &mut fields) {
                        Taken::Line(next) => {
                            at = next;
                            let line: Vec<String> = (0..fields.len())
                                .map(|i| match fields.get(&held, i) {
                                    Some(Field::Bytes(b)) => String::from_utf8_lossy(b).into_owned(),
                                    _ => "NULL".into(),
                                })
                                .collect();
                            out.push(line);
                        }
                        Taken::More(keep) => {
                            held.drain(..keep);
                            break false;
                        }
                        Taken::End => break true,
                    }
                };
                if end || last {
                    break;
                }
                let to = (given + piece).min(text.len());
                held.extend_from_slice(&text.as_bytes()[given..to]);
                given = to;
            }
            assert_eq!(out, expected, "in pieces of {piece}");
        }
    }

    #[test]
    fn fields_are_taken_apart_as_mysql_does() {
        check("1\ta\\tb\t\\N\n2\t\tx", &format("\t", None), 0, &[&["1", "a\tb", "NULL"], &["2", "", "x"]]);
        check("\"a,b\",\"say \"\"hi\"\"\",3\n", &format(",", Some(b'"')), 0, &[&["a,b", "say \"hi\"", "3"]]);
        check("1|2|\n", &format("|", None), 0, &[&["1", "2"]]);
        check("\\Nx\t\\\\N\n", &format("\t", None), 0, &[&["Nx", "\\N"]]);
        check("NULL,\"NULL\",\"\\N\"\n", &format(",", Some(b'"')), 0, &[&["NULL", "NULL", "N"]]);
    }

    #[test]
    fn lines_are_skipped_and_found_by_their_beginning() {
        check("head,er\nmore\n1,2\n", &format(",", None), 2, &[&["1", "2"]]);
        let mut f = format(",", None);
        f.lines_starting = b"xx".to_vec();
        check("junk xx1,2\nnothing\nxx3,4\n", &f, 0, &[&["1", "2"], &["3", "4"]]);
    }

    #[test]
    fn what_is_behind_the_last_column_is_not_read() {
        let two = |text: &str, lines: &[&[&str]]| check_shape(text, &format(",", Some(b'"')), 0, Shape::Fields(2), lines);
        two("1,2,3\n4,5,\n6,7,8", &[&["1", "2", ""], &["4", "5"], &["6", "7"]]);
        two("1,2,\"a\nb\"\n", &[&["1", "2", ""], &["b\""]]);
        two("1,2,a\\\nb\n3,4\n", &[&["1", "2", ""], &["3", "4"]]);
        check("a\\\nb\n1,2\n", &format(",", None), 1, &[&["1", "2"]]);
    }

    #[test]
    fn fields_without_terminators_have_widths() {
        let f = format("", None);
        let widths = || Shape::Widths(vec![3, 2]);
        // Too much and too little shows in the number of fields.
        check_shape(
            "abcde\n1  2\nabc\n\nabcdefg\nabcde",
            &f,
            0,
            widths(),
            &[&["abc", "de"], &["1  ", "2"], &["abc"], &[], &["abc", "de", ""], &["abc", "de"]],
        );
        check_shape("a\\nbcd\n", &f, 0, widths(), &[&["a\nb", "cd"]]);
        let mut f = format("", None);
        f.lines_terminated = vec![];
        check_shape("abcdefghijkl", &f, 0, widths(), &[&["abc", "de"], &["fgh", "ij"], &["kl"]]);
    }

    #[test]
    fn terminators_may_be_long_or_shared() {
        let mut f = format("<>", None);
        f.lines_terminated = b"\r\n".to_vec();
        check("a<b<>c\r\nd<>e\rf\r\n", &f, 0, &[&["a<b", "c"], &["d", "e\rf"]]);
        let mut f = format(",", None);
        f.lines_terminated = vec![];
        check("1,2,3,4,", &f, 0, &[&["1", "2"], &["3", "4"]]);
    }
}
