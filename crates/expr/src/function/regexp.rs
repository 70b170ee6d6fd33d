//! REGEXP_LIKE, REGEXP_INSTR, REGEXP_SUBSTR and REGEXP_REPLACE.
//!
//! Owns:     nothing.
//! Promises: positions count characters from 1; whether case counts is the collation's word, unless the match type says otherwise.
//! Never:    compiles a pattern: see `pattern`.

use super::argument::{count, known, length, offset};
use super::result_type::{any_nullable, collation_of, string};
use super::{BindContext, Call, FunctionDef};
use crate::in_flight::has_room;
use crate::pattern::{self, Mode, Pattern};
use crate::{EvalContext, Expr, typing};
use std::rc::Rc;
use weald_types::{Collation, Fault, SqlType, Value};

pub const FUNCTIONS: &[FunctionDef] = &[
    FunctionDef::new("REGEXP_INSTR", 2, 6, |args, c| bind_int("regexp_instr", args, c), instr),
    FunctionDef::new("REGEXP_LIKE", 2, 3, bind_like, like),
    FunctionDef::new("REGEXP_REPLACE", 3, 6, bind_replace, replace),
    FunctionDef::new("REGEXP_SUBSTR", 2, 5, bind_substr, substr),
];

type Bound = Result<(SqlType, Collation), Fault>;

/// The collation text and pattern meet under; bytes and characters do not meet (3995).
pub fn bind_pattern(name: &str, args: &[Expr], c: &BindContext) -> Result<Collation, Fault> {
    let collation = collation_of(&args[..2], name, c)?;
    let text = |e: &Expr| e.ty().kind.is_text();
    let binary = |e: &Expr| e.ty().kind.is_binary();
    for (bytes, characters) in [(&args[0], &args[1]), (&args[1], &args[0])] {
        if binary(bytes) && text(characters) {
            let other = characters.ty().collation.name();
            let text = format!("Character set 'binary' cannot be used in conjunction with '{other}' in call to {name}.");
            return Err(Fault::mysql(3995, "HY000", text));
        }
    }
    Ok(collation)
}

fn bind_int(name: &str, args: &mut [Expr], c: &BindContext) -> Bound {
    Ok((SqlType::bigint(any_nullable(args)), bind_pattern(name, args, c)?))
}

fn bind_like(args: &mut [Expr], c: &BindContext) -> Bound {
    Ok((typing::truth_type(any_nullable(args)), bind_pattern("regexp_like", args, c)?))
}

fn bind_substr(args: &mut [Expr], c: &BindContext) -> Bound {
    let collation = bind_pattern("regexp_substr", args, c)?;
    Ok((string(super::result_type::characters(&args[0]), true, collation), collation))
}

fn bind_replace(args: &mut [Expr], c: &BindContext) -> Bound {
    let collation = bind_pattern("regexp_replace", args, c)?;
    // Every character may become a replacement: as MySQL does, no bound is tried.
    Ok((string(u32::MAX as u64, any_nullable(args), collation), collation))
}

/// The text, its pattern, and where the search starts.
struct Search<'v> {
    text: std::borrow::Cow<'v, str>,
    pattern: Rc<Pattern>,
    from: usize,
}

/// Arguments 0 and 1, the start position in argument `position` and the match type in argument `mode`, where there are so many. `None` where one is NULL.
fn search<'v>(call: &Call<'_>, v: &'v [Value], position: usize, mode: usize, ctx: &EvalContext<'_>) -> Result<Option<Search<'v>>, Fault> {
    let start = match v.get(position) {
        None => Some(1),
        Some(p) => count(p, ctx),
    };
    if start.is_some_and(|n| n < 1) {
        let text = format!("Incorrect parameters in the call to native function '{}'", call.lower_name());
        return Err(Fault::mysql(1583, "42000", text));
    }
    let mut how = Mode::of_collation(!call.collation.is_case_sensitive());
    if v.len() > mode {
        let Some(letters) = call.text(v, mode) else { return Ok(None) };
        how = how.with_letters(&letters).ok_or_else(|| super::argument::incorrect_arguments(&call.lower_name()))?;
    }
    let Some(pattern) = call.text(v, 1) else { return Ok(None) };
    let pattern = pattern::compiled(&pattern, how)?;
    let (Some(text), Some(start)) = (call.text(v, 0), start) else { return Ok(None) };
    let skipped = start as usize - 1;
    if skipped > length(text.as_bytes(), false) {
        return Err(out_of_bounds());
    }
    let from = offset(text.as_bytes(), skipped, false);
    Ok(Some(Search { text, pattern, from }))
}

fn out_of_bounds() -> Fault {
    Fault::mysql(3686, "HY000", "Index out of bounds in regular expression search.")
}

impl Search<'_> {
    /// The `n`th match, from 1.
    fn nth(&self, n: i64, ctx: &EvalContext<'_>) -> Result<Option<(usize, usize)>, Fault> {
        let mut at = self.from;
        for _ in 1..n {
            ctx.statement.check_interrupted()?;
            let Some(found) = self.pattern.find_at(&self.text, at)? else { return Ok(None) };
            let Some(next) = self.behind(found) else { return Ok(None) };
            at = next;
        }
        self.pattern.find_at(&self.text, at)
    }

    /// Where the search goes on behind a match; an empty one is stepped over.
    fn behind(&self, (start, end): (usize, usize)) -> Option<usize> {
        if end > start {
            return Some(end);
        }
        self.text[end..].chars().next().map(|c| end + c.len_utf8())
    }
}

/// REGEXP_LIKE(text, pattern [, match type])
fn like(call: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let s = known!(search(call, v, usize::MAX, 2, ctx)?);
    Ok(Value::Int(s.pattern.find_at(&s.text, 0)?.is_some() as i64))
}

/// REGEXP_INSTR(text, pattern [, position [, occurrence [, return option [, match type]]]])
fn instr(call: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let end = match v.get(4) {
        None => false,
        Some(o) => match count(o, ctx) {
            None => return Ok(Value::Null),
            Some(0) => false,
            Some(1) => true,
            Some(_) => return Err(super::argument::incorrect_arguments("regexp_instr: return_option must be 1 or 0.")),
        },
    };
    let s = known!(search(call, v, 2, 5, ctx)?);
    let n = known!(v.get(3).map_or(Some(1), |n| count(n, ctx)));
    let Some(found) = s.nth(n, ctx)? else { return Ok(Value::Int(0)) };
    let at = if end { found.1 } else { found.0 };
    Ok(Value::Int(length(&s.text.as_bytes()[..at], false) as i64 + 1))
}

/// REGEXP_SUBSTR(text, pattern [, position [, occurrence [, match type]]])
fn substr(call: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let s = known!(search(call, v, 2, 4, ctx)?);
    let n = known!(v.get(3).map_or(Some(1), |n| count(n, ctx)));
    let (start, end) = known!(s.nth(n, ctx)?);
    Ok(call.string_from(&s.text.as_bytes()[start..end]))
}

/// A piece of a replacement.
enum Piece {
    Text(String),
    Group(usize),
}

/// `$1` and `${name}` are groups; a backslash makes the next character plain.
fn replacement(text: &str, pattern: &Pattern, groups: usize) -> Result<Vec<Piece>, Fault> {
    let bad_name = || Fault::mysql(3887, "HY000", "A capture group has an invalid name.");
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\\' => plain.extend(rest.next()),
            '$' => {
                let group = match rest.next() {
                    Some(d) if d.is_ascii_digit() => {
                        let mut n = d as usize - '0' as usize;
                        // As many digits as name a group that there is.
                        while let Some(next) = rest.peek().and_then(|c| c.to_digit(10)).map(|d| n * 10 + d as usize).filter(|n| *n < groups) {
                            n = next;
                            rest.next();
                        }
                        if n >= groups {
                            return Err(out_of_bounds());
                        }
                        n
                    }
                    Some('{') => {
                        let mut name = String::new();
                        loop {
                            match rest.next() {
                                Some('}') => break,
                                Some(c) => name.push(c),
                                None => return Err(bad_name()),
                            }
                        }
                        pattern.group_named(&name).ok_or_else(bad_name)?
                    }
                    _ => return Err(bad_name()),
                };
                if !plain.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut plain)));
                }
                pieces.push(Piece::Group(group));
            }
            c => plain.push(c),
        }
    }
    if !plain.is_empty() {
        pieces.push(Piece::Text(plain));
    }
    Ok(pieces)
}

/// REGEXP_REPLACE(text, pattern, replacement [, position [, occurrence [, match type]]]): occurrence 0 is all of them.
fn replace(call: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let s = known!(search(call, v, 3, 5, ctx)?);
    let with = known!(call.text(v, 2));
    let only = known!(v.get(4).map_or(Some(0), |n| count(n, ctx))).max(0);
    let mut out = String::new();
    let mut pieces: Option<Vec<Piece>> = None;
    let (mut copied, mut at, mut seen, mut room) = (0, s.from, 0, 0);
    while let Some(groups) = s.pattern.groups_at(&s.text, at)? {
        ctx.statement.check_interrupted()?;
        let Some(found) = groups.first().copied().flatten() else { break };
        seen += 1;
        if only == 0 || seen == only {
            out.push_str(&s.text[copied..found.0]);
            copied = found.1;
            if pieces.is_none() {
                pieces = Some(replacement(&with, &s.pattern, groups.len())?);
            }
            for piece in pieces.iter().flatten() {
                match piece {
                    Piece::Text(text) => out.push_str(text),
                    Piece::Group(n) => {
                        if let Some((start, end)) = groups.get(*n).copied().flatten() {
                            out.push_str(&s.text[start..end]);
                        }
                    }
                }
            }
            if !call.fits_packet(out.len() as u128, ctx) {
                return Ok(Value::Null);
            }
            // Asked as often as it grows, not for each match.
            if out.capacity() > room {
                room = out.capacity();
                has_room(ctx.statement, room as u64)?;
            }
        }
        if only > 0 && seen == only {
            break;
        }
        let Some(next) = s.behind(found) else { break };
        at = next;
    }
    out.push_str(&s.text[copied..]);
    Ok(if call.may_make(out.len() as u128, ctx)? { call.string(out.into_bytes()) } else { Value::Null })
}

#[cfg(test)]
mod tests {
    use crate::testing::{call, shown};
    use weald_types::Value;

    fn check(name: &str, args: &[Value], expected: &str) {
        assert_eq!(shown(call(name, args)), expected, "{name}{args:?}");
    }
    fn s(text: &str) -> Value {
        Value::str(text)
    }

    #[test]
    fn match_types_overrule_the_collation() {
        check("REGEXP_LIKE", &[s("CamelCase"), s("CAMELCASE")], "1");
        check("REGEXP_LIKE", &[s("CamelCase"), s("CAMELCASE"), s("c")], "0");
        check("REGEXP_LIKE", &[s("CamelCase"), s("CAMELCASE"), s("ci")], "1");
        check("REGEXP_LIKE", &[s("a\nb"), s("^b$"), s("m")], "1");
        check("REGEXP_LIKE", &[s("a\nb"), s("a.b"), s("n")], "1");
        check("REGEXP_LIKE", &[s("a"), s("a"), s("x")], "error 1210");
        check("REGEXP_LIKE", &[s("a"), Value::Null], "NULL");
        check("REGEXP_LIKE", &[s("a"), s("a"), Value::Null], "NULL");
        check("REGEXP_LIKE", &[s("a"), s("")], "error 3685");
        check("REGEXP_LIKE", &[Value::bytes(*b"a"), s("a")], "error 3995");
        check("REGEXP_LIKE", &[Value::bytes(*b"a"), Value::bytes(*b"A")], "0");
    }

    #[test]
    fn positions_count_characters() {
        check("REGEXP_INSTR", &[s("dög cat dög"), s("dög"), Value::Int(2)], "9");
        check("REGEXP_INSTR", &[s("aa aaa aaaa"), s("a{2}"), Value::Int(1), Value::Int(3)], "8");
        check("REGEXP_INSTR", &[s("dög"), s("ö"), Value::Int(1), Value::Int(1), Value::Int(1)], "3");
        check("REGEXP_INSTR", &[s("dog"), s("o"), Value::Int(1), Value::Int(1), Value::Int(2)], "error 1210");
        check("REGEXP_INSTR", &[s("dog"), s("x")], "0");
        check("REGEXP_INSTR", &[s("dog"), s("x*"), Value::Int(4)], "4");
        check("REGEXP_INSTR", &[s("dog"), s("x*"), Value::Int(5)], "error 3686");
        check("REGEXP_SUBSTR", &[s("abc def ghi"), s("[a-z]+"), Value::Int(1), Value::Int(3)], "ghi");
        check("REGEXP_SUBSTR", &[s("abc def ghi"), s("[a-z]+"), Value::Int(1), Value::Int(4)], "NULL");
        check("REGEXP_SUBSTR", &[s("abc"), s("b"), Value::Int(0)], "error 1583");
        check("REGEXP_SUBSTR", &[Value::Int(12345), s("3.")], "34");
    }

    #[test]
    fn replacements_name_groups() {
        check("REGEXP_REPLACE", &[s("a b c"), s("b"), s("X")], "a X c");
        check("REGEXP_REPLACE", &[s("abc def ghi"), s("[a-z]+"), s("X"), Value::Int(1), Value::Int(3)], "abc def X");
        check("REGEXP_REPLACE", &[s("abab"), s("a"), s("x"), Value::Int(2)], "abxb");
        check("REGEXP_REPLACE", &[s("john smith"), s("(\\w+) (\\w+)"), s("$2, $1")], "smith, john");
        check("REGEXP_REPLACE", &[s("ab"), s("(?<x>a)"), s("[${x}]")], "[a]b");
        check("REGEXP_REPLACE", &[s("a"), s("a"), s("\\$1")], "$1");
        check("REGEXP_REPLACE", &[s("a"), s("(a)"), s("$2")], "error 3686");
        check("REGEXP_REPLACE", &[s("a"), s("(a)"), s("${1}")], "error 3887");
        check("REGEXP_REPLACE", &[s("abc"), s("x*"), s("-")], "-a-b-c-");
        check("REGEXP_REPLACE", &[s("abc"), s("b"), Value::Null], "NULL");
    }
}
