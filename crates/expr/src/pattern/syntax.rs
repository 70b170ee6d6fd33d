//! ICU's regular expressions, said in the language of our engines.
//!
//! Owns:     nothing.
//! Promises: a mistake in a pattern is told by the number MySQL tells it by. What ICU and we mean differently (`.`, `$`, POSIX classes, escapes) is spelled out.
//! Never:    matches; never calls itself: a pattern's depth costs no stack here.
//! Source:   ICU User Guide, "Regular Expressions"; MySQL's messages 3685 to 3700 and 3887.

use super::Mode;
use weald_types::Fault;

pub struct Translated {
    pub text: String,
    /// Only the backtracking engine can match it.
    pub backtracks: bool,
    /// The pattern for subjects that end with a line terminator, where it says something else.
    pub before_last_terminator: Option<String>,
}

const TERMINATORS: &str = r"\n\x0B\f\r\x{85}\x{2028}\x{2029}";
/// The very end, or before a terminator there.
const AT_END: &str = r"(?=(?:\r\n|[\n\x0B\f\r\x{85}\x{2028}\x{2029}])?\z)";

fn fault(number: u16, text: &str) -> Fault {
    Fault::mysql(number, "HY000", text)
}
fn illegal() -> Fault {
    fault(3685, "Illegal argument to a regular expression.")
}
fn bad_escape() -> Fault {
    fault(3689, "Unrecognized escape sequence in regular expression.")
}
fn unimplemented() -> Fault {
    fault(3690, "The regular expression contains a feature that is not implemented in this library version.")
}
fn mismatched() -> Fault {
    fault(3691, "Mismatched parenthesis in regular expression.")
}
fn bad_interval() -> Fault {
    fault(3692, "Incorrect description of a {min,max} interval.")
}
fn unclosed_set() -> Fault {
    fault(3696, "The regular expression contains an unclosed bracket expression.")
}

/// What stands before a quantifier.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    /// Something that can be repeated.
    Item,
    /// The start of a pattern, group or alternative; or a quantifier.
    Nothing,
}

struct Translator<'p> {
    pattern: &'p str,
    at: usize,
    mode: Mode,
    out: String,
    /// `$` became [`AT_END`] in this one.
    at_end: String,
    ends: bool,
    backtracks: bool,
    open: usize,
    groups: usize,
    /// The highest group a back-reference names.
    referred: usize,
    /// `(?s)` or `(?m)` somewhere: then `.` and `$` are left to the engine, which follows such flags.
    inline_flags: bool,
}

pub fn translate(pattern: &str, mode: Mode) -> Result<Translated, Fault> {
    let mut t = Translator {
        pattern,
        at: 0,
        mode,
        out: String::with_capacity(pattern.len() + 16),
        at_end: String::new(),
        ends: false,
        backtracks: false,
        open: 0,
        groups: 0,
        referred: 0,
        inline_flags: has_inline_flags(pattern),
    };
    t.put(&t.flags());
    t.pattern()?;
    let before_last_terminator = t.ends.then_some(t.at_end);
    Ok(Translated { text: t.out, backtracks: t.backtracks, before_last_terminator })
}

fn has_inline_flags(pattern: &str) -> bool {
    pattern.match_indices("(?").any(|(i, _)| {
        let flags: &str = pattern[i + 2..].split([')', ':']).next().unwrap_or("");
        flags.starts_with(|c: char| c.is_ascii_alphabetic() || c == '-') && flags.contains(['s', 'm'])
    })
}

impl Translator<'_> {
    fn flags(&self) -> String {
        let m = self.mode;
        let on: String = [(m.case_insensitive, 'i'), (m.multi_line, 'm'), (m.dot_all, 's'), (!m.unix_lines, 'R')]
            .iter()
            .filter(|(on, _)| *on)
            .map(|(_, letter)| *letter)
            .collect();
        if on.is_empty() { on } else { format!("(?{on})") }
    }

    fn peek(&self) -> Option<char> {
        self.pattern[self.at..].chars().next()
    }
    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }
    fn take(&mut self, text: &str) -> bool {
        let found = self.pattern[self.at..].starts_with(text);
        if found {
            self.at += text.len();
        }
        found
    }
    fn put(&mut self, text: &str) {
        self.out.push_str(text);
        self.at_end.push_str(text);
    }
    fn put_char(&mut self, c: char) {
        self.out.push(c);
        self.at_end.push(c);
    }
    /// A character that means itself.
    fn put_literal(&mut self, c: char) {
        if c.is_ascii_punctuation() {
            self.put_char('\\');
        }
        self.put_char(c);
    }

    /// 3688 at the character just read.
    fn syntax_error(&self) -> Fault {
        let read = &self.pattern[..self.at];
        let line = read.matches('\n').count() + 1;
        let column = read.rsplit('\n').next().unwrap_or("").chars().count();
        fault(3688, &format!("Syntax error in regular expression on line {line}, character {column}."))
    }

    fn pattern(&mut self) -> Result<(), Fault> {
        let mut before = Before::Nothing;
        while let Some(c) = self.next() {
            before = match c {
                '\\' => self.escape()?,
                '[' => {
                    self.set()?;
                    Before::Item
                }
                '(' => self.open_group()?,
                ')' if self.open == 0 => return Err(mismatched()),
                ')' => {
                    self.open -= 1;
                    self.put(")");
                    Before::Item
                }
                '|' => {
                    self.put("|");
                    Before::Nothing
                }
                '*' | '+' | '?' => {
                    if before == Before::Nothing {
                        return Err(self.syntax_error());
                    }
                    self.put_char(c);
                    self.quantifier_kind();
                    Before::Nothing
                }
                '{' => {
                    if before == Before::Nothing {
                        return Err(self.syntax_error());
                    }
                    self.interval()?;
                    self.quantifier_kind();
                    Before::Nothing
                }
                '.' => {
                    let every = self.inline_flags || self.mode.dot_all || self.mode.unix_lines;
                    self.put(if every { "." } else { r"[^\n\r\x{85}\x{2028}\x{2029}]" });
                    Before::Item
                }
                '$' => {
                    self.end();
                    Before::Item
                }
                '^' => {
                    self.put("^");
                    Before::Item
                }
                // Written as they are, so that an (?x) in front of them still has them skipped.
                c if c.is_whitespace() || c == '#' => {
                    self.put_char(c);
                    Before::Item
                }
                c => {
                    self.put_literal(c);
                    Before::Item
                }
            };
        }
        if self.open > 0 {
            return Err(mismatched());
        }
        if self.referred > self.groups {
            return Err(fault(3694, "Invalid back-reference in regular expression."));
        }
        Ok(())
    }

    /// `$`
    fn end(&mut self) {
        if self.mode.multi_line || self.inline_flags {
            return self.put("$");
        }
        self.ends = true;
        self.out.push_str(r"\z");
        self.at_end.push_str(if self.mode.unix_lines { r"(?=\n?\z)" } else { AT_END });
    }

    /// `?` and `+` after a quantifier.
    fn quantifier_kind(&mut self) {
        if self.take("?") {
            self.put("?");
        } else if self.take("+") {
            self.put("+");
            self.backtracks = true;
        }
    }

    /// `{n}`, `{n,}`, `{n,m}`; the brace has been read.
    fn interval(&mut self) -> Result<(), Fault> {
        let rest = &self.pattern[self.at..];
        let inside = rest.split('}').next().filter(|i| i.len() < rest.len()).ok_or_else(bad_interval)?;
        let number = |text: &str| -> Result<u32, Fault> {
            if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
                return Err(bad_interval());
            }
            // ICU's limit.
            match text.parse() {
                Ok(n) if n < 1 << 24 => Ok(n),
                _ => Err(fault(4007, "Decimal number in regular expression is too large.")),
            }
        };
        let text = match inside.split_once(',') {
            None => format!("{{{}}}", number(inside.trim())?),
            Some((low, high)) if high.trim().is_empty() => format!("{{{},}}", number(low.trim())?),
            Some((low, high)) => {
                let (low, high) = (number(low.trim())?, number(high.trim())?);
                if high < low {
                    return Err(fault(3693, "The maximum is less than the minimum in a {min,max} interval."));
                }
                format!("{{{low},{high}}}")
            }
        };
        self.at += inside.len() + 1;
        self.put(&text);
        Ok(())
    }

    /// `(` has been read.
    fn open_group(&mut self) -> Result<Before, Fault> {
        if !self.take("?") {
            self.open += 1;
            self.groups += 1;
            self.put("(");
            return Ok(Before::Nothing);
        }
        if self.take("#") {
            let end = self.pattern[self.at..].find(')').ok_or_else(mismatched)?;
            self.at += end + 1;
            return Ok(Before::Item);
        }
        for (opening, backtracks) in [(":", false), ("=", true), ("!", true), ("<=", true), ("<!", true), (">", true)] {
            if self.take(opening) {
                self.open += 1;
                self.backtracks |= backtracks;
                self.put("(?");
                self.put(opening);
                return Ok(Before::Nothing);
            }
        }
        if self.take("<") {
            let name = self.group_name()?;
            self.open += 1;
            self.groups += 1;
            self.put(&format!("(?<{name}>"));
            return Ok(Before::Nothing);
        }
        self.flag_group()
    }

    /// A name up to `>`.
    fn group_name(&mut self) -> Result<String, Fault> {
        let rest = &self.pattern[self.at..];
        let name = rest.split('>').next().unwrap_or("");
        let valid = name.len() < rest.len() && name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.bytes().all(|b| b.is_ascii_alphanumeric());
        if !valid {
            return Err(fault(3887, "A capture group has an invalid name."));
        }
        let name = name.to_string();
        self.at += name.len() + 1;
        Ok(name)
    }

    /// `(?ismx-ismx)` and `(?ismx-ismx:`; `(?` has been read.
    fn flag_group(&mut self) -> Result<Before, Fault> {
        let mut flags = String::new();
        loop {
            match self.next() {
                Some(c @ ('i' | 'm' | 's' | 'x' | '-')) => flags.push(c),
                // Unix lines and Unicode word boundaries are not switched within a pattern.
                Some('d' | 'w') => return Err(unimplemented()),
                Some(c @ (')' | ':')) => {
                    let inline = c == ')';
                    if flags.is_empty() || flags == "-" {
                        return Err(self.syntax_error());
                    }
                    let flags = flags.trim_end_matches('-');
                    self.put(&format!("(?{flags}{c}"));
                    self.open += usize::from(!inline);
                    return Ok(Before::Nothing);
                }
                Some(c) if c.is_ascii_alphabetic() => return Err(fault(3900, "Invalid match mode flag in regular expression.")),
                Some(_) => return Err(unimplemented()),
                None => return Err(mismatched()),
            }
        }
    }

    /// Outside a set; the backslash has been read.
    fn escape(&mut self) -> Result<Before, Fault> {
        let Some(c) = self.next() else { return Err(bad_escape()) };
        match c {
            'A' | 'b' | 'B' | 'z' => self.put(&format!("\\{c}")),
            'Z' => {
                let before = self.mode.multi_line;
                self.mode.multi_line = false;
                self.end();
                self.mode.multi_line = before;
            }
            'R' => self.put(&format!(r"(?:\r\n|[{TERMINATORS}])")),
            'Q' => {
                let rest = &self.pattern[self.at..];
                let quoted = rest.split("\\E").next().unwrap_or("");
                self.at += quoted.len();
                self.take("\\E");
                let quoted = quoted.to_string();
                if quoted.is_empty() {
                    return Ok(Before::Nothing);
                }
                quoted.chars().for_each(|c| self.put_literal(c));
            }
            'E' => return Ok(Before::Nothing),
            'G' | 'X' | 'N' => return Err(unimplemented()),
            'k' => {
                if !self.take("<") {
                    return Err(bad_escape());
                }
                let name = self.group_name()?;
                if !self.pattern.contains(&format!("(?<{name}>")) {
                    return Err(fault(3694, "Invalid back-reference in regular expression."));
                }
                self.backtracks = true;
                self.put(&format!("\\k<{name}>"));
            }
            '1'..='9' => {
                // As many digits as name a group that there is; the first always counts.
                let total = self.pattern.matches('(').count();
                let mut n = c as usize - '0' as usize;
                while let Some(d) = self.peek().and_then(|c| c.to_digit(10)).filter(|d| n * 10 + *d as usize <= total) {
                    n = n * 10 + d as usize;
                    self.at += 1;
                }
                self.referred = self.referred.max(n);
                self.backtracks = true;
                // In a group, so that a digit that follows is not taken for a part of the number.
                self.put(&format!("(?:\\{n})"));
            }
            c => {
                let text = self.class_or_character(c)?;
                self.put(&text);
            }
        }
        Ok(Before::Item)
    }

    /// An escape that stands for a character or a class, inside a set or outside.
    fn class_or_character(&mut self, c: char) -> Result<String, Fault> {
        Ok(match c {
            'd' | 'D' | 's' | 'S' | 'w' | 'W' | 'n' | 'r' | 't' | 'f' | 'a' => format!("\\{c}"),
            'e' => r"\x1B".into(),
            'h' => r"[\t\p{Zs}]".into(),
            'H' => r"[^\t\p{Zs}]".into(),
            'v' => format!("[{TERMINATORS}]"),
            'V' => format!("[^{TERMINATORS}]"),
            'p' | 'P' => {
                if !self.take("{") {
                    return Err(illegal());
                }
                let rest = &self.pattern[self.at..];
                let name = rest.split('}').next().filter(|n| n.len() < rest.len()).ok_or_else(illegal)?;
                self.at += name.len() + 1;
                format!("\\{c}{{{name}}}")
            }
            'c' => {
                let control = self.next().filter(char::is_ascii).ok_or_else(bad_escape)?;
                format!("\\x{:02X}", control as u8 & 0x1F)
            }
            'x' if self.take("{") => {
                let rest = &self.pattern[self.at..];
                let digits = rest.split('}').next().filter(|d| d.len() < rest.len()).ok_or_else(bad_escape)?.to_string();
                self.at += digits.len() + 1;
                code_point(&digits, 16)?
            }
            'x' => self.digits(1, 2, 16)?,
            'u' => self.digits(4, 4, 16)?,
            'U' => self.digits(8, 8, 16)?,
            '0' => self.digits(1, 3, 8)?,
            c if c.is_ascii_alphanumeric() => return Err(bad_escape()),
            c if c.is_ascii_punctuation() => format!("\\{c}"),
            c => c.to_string(),
        })
    }

    fn digits(&mut self, least: usize, most: usize, radix: u32) -> Result<String, Fault> {
        let digits: String = self.pattern[self.at..].chars().take(most).take_while(|c| c.is_digit(radix)).collect();
        if digits.len() < least {
            return Err(bad_escape());
        }
        self.at += digits.len();
        code_point(&digits, radix)
    }

    /// A bracket expression; `[` has been read.
    fn set(&mut self) -> Result<(), Fault> {
        let mut out = String::from("[");
        let mut depth = 1;
        // Just behind an opening bracket, where `]` and `^` mean something else.
        let mut fresh = true;
        // The last single character, for ranges; `None` behind a class or a finished range.
        let mut last: Option<char> = None;
        let mut range_from: Option<char> = None;
        while depth > 0 {
            let Some(c) = self.next() else { return Err(unclosed_set()) };
            let was_fresh = std::mem::replace(&mut fresh, false);
            match c {
                '^' if was_fresh && !out.ends_with('^') => {
                    out.push('^');
                    fresh = true;
                    continue;
                }
                ']' if !was_fresh => {
                    if range_from.take().is_some() {
                        out.push_str("\\-");
                    }
                    out.push(']');
                    depth -= 1;
                    last = None;
                }
                '[' if self.take(":") => {
                    out.push_str(&self.posix_class()?);
                    last = None;
                }
                '[' => {
                    out.push('[');
                    depth += 1;
                    fresh = true;
                    last = None;
                }
                '&' if self.take("&") => {
                    out.push_str("&&");
                    last = None;
                }
                '-' if !was_fresh && self.take("-") => {
                    out.push_str("--");
                    last = None;
                }
                // A range if a character stands on either side.
                '-' if last.is_some() && range_from.is_none() && !matches!(self.peek(), Some(']') | None) => range_from = last.take(),
                '\\' => {
                    let c = self.next().ok_or_else(bad_escape)?;
                    let text = self.class_or_character(c)?;
                    let single = single_character(&text);
                    self.set_item(&mut out, &text, single, &mut last, &mut range_from)?;
                }
                c => {
                    let text = if c.is_ascii_punctuation() { format!("\\{c}") } else { c.to_string() };
                    self.set_item(&mut out, &text, Some(c), &mut last, &mut range_from)?;
                }
            }
        }
        self.put(&out);
        Ok(())
    }

    fn set_item(
        &self,
        out: &mut String,
        text: &str,
        single: Option<char>,
        last: &mut Option<char>,
        range_from: &mut Option<char>,
    ) -> Result<(), Fault> {
        match (range_from.take(), single) {
            (Some(from), Some(to)) => {
                if from > to {
                    return Err(fault(3697, "The regular expression contains an [x-y] character range where x comes after y."));
                }
                out.push('-');
                out.push_str(text);
                *last = None;
            }
            // A class ends no range.
            (Some(_), None) => return Err(fault(3697, "The regular expression contains an [x-y] character range where x comes after y.")),
            (None, single) => {
                out.push_str(text);
                *last = single;
            }
        }
        Ok(())
    }

    /// `[:name:]` and `[:^name:]`; `[:` has been read.
    fn posix_class(&mut self) -> Result<String, Fault> {
        let rest = &self.pattern[self.at..];
        let name = rest.split(":]").next().filter(|n| n.len() < rest.len()).ok_or_else(illegal)?;
        self.at += name.len() + 2;
        let (negated, name) = match name.strip_prefix('^') {
            Some(name) => (true, name),
            None => (false, name),
        };
        // ICU's classes hold all of Unicode.
        let members = match name.to_ascii_lowercase().as_str() {
            "alpha" => r"\p{Alphabetic}",
            "digit" => r"\p{Nd}",
            "alnum" => r"\p{Alphabetic}\p{Nd}",
            "upper" => r"\p{Uppercase}",
            "lower" => r"\p{Lowercase}",
            "space" => r"\s",
            "blank" => r"\t\p{Zs}",
            "punct" => r"\p{P}",
            "cntrl" => r"\p{Cc}",
            "xdigit" => r"0-9A-Fa-f",
            "word" => r"\w",
            "graph" => r"[^\s\p{Cc}\p{Cn}]",
            "print" => r"[[^\s\p{Cc}\p{Cn}]\p{Zs}]",
            _ => return Err(illegal()),
        };
        Ok(format!("[{}{members}]", if negated { "^" } else { "" }))
    }
}

fn code_point(digits: &str, radix: u32) -> Result<String, Fault> {
    let n = u32::from_str_radix(digits, radix).map_err(|_| bad_escape())?;
    let c = char::from_u32(n).ok_or_else(bad_escape)?;
    Ok(format!("\\x{{{:X}}}", c as u32))
}

/// The character that a translated escape stands for, where it is one.
fn single_character(text: &str) -> Option<char> {
    let rest = text.strip_prefix('\\')?;
    if let Some(digits) = rest.strip_prefix("x{").and_then(|d| d.strip_suffix('}')).or_else(|| rest.strip_prefix('x')) {
        return u32::from_str_radix(digits, 16).ok().and_then(char::from_u32);
    }
    let mut characters = rest.chars();
    match (characters.next()?, characters.next()) {
        ('n', None) => Some('\n'),
        ('r', None) => Some('\r'),
        ('t', None) => Some('\t'),
        ('f', None) => Some('\x0C'),
        ('a', None) => Some('\x07'),
        (c, None) if !c.is_ascii_alphanumeric() => Some(c),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{compiled, is_match};
    use super::*;

    fn plain() -> Mode {
        Mode::of_collation(false)
    }

    #[test]
    fn patterns_match_as_icus_do() {
        for (pattern, text, expected) in [
            ("^a.c$", "abc", true),
            ("a.c", "a\nc", false),
            ("a$", "a\n", true),
            ("a$", "a\r\n", true),
            ("a$", "a\nb", false),
            ("a\\Z", "a\n", true),
            ("a\\z", "a\n", false),
            ("[[:alpha:]]", "é", true),
            ("^[[:alpha:][:digit:]]+$", "a1é", true),
            ("[[:^alpha:]]", "a", false),
            ("[a-c&&[^b]]", "b", false),
            ("[a-c--[b]]", "b", false),
            ("[]a]", "]", true),
            ("[^]a]", "]", false),
            ("[a-]", "-", true),
            ("[\\d-]", "-", true),
            ("\\Qa.b\\E", "a.b", true),
            ("\\Qa.b\\E", "axb", false),
            ("\\x41\\u0042\\x{43}", "ABC", true),
            ("(a)(b)\\2\\1", "abba", true),
            ("(?<x>a)\\k<x>", "aa", true),
            ("a(?=b)", "ab", true),
            ("(?<!a)b", "ab", false),
            ("a*+a", "aaa", false),
            ("(?>a*)a", "aaa", false),
            ("(?i)ABC", "abc", true),
            ("(?#note)a", "a", true),
            ("a{2,3}", "aa", true),
            ("\\h", "\u{a0}", true),
            ("\\R", "\r\n", true),
            ("x|y{0}", "z", true),
            ("a}b]", "a}b]", true),
            ("~@%&", "~@%&", true),
            ("[~~]", "~", true),
            ("日本|é", "é", true),
        ] {
            assert_eq!(is_match(pattern, text, false), Ok(expected), "{pattern} on {text:?}");
        }
        assert_eq!(is_match("É", "é", true), Ok(true));
    }

    #[test]
    fn mistakes_have_mysqls_numbers() {
        for (pattern, number) in [
            ("", 3685),
            ("[[:<:]]a", 3685),
            ("   **", 3688),
            ("+a", 3688),
            ("\\", 3689),
            ("\\y", 3689),
            ("(?{})", 3690),
            ("(", 3691),
            ("a)", 3691),
            ("a{}", 3692),
            ("a{x", 3692),
            ("a{2,1}", 3693),
            ("\\1", 3694),
            ("a[", 3696),
            ("[[a]", 3696),
            ("[b-a]", 3697),
            ("(?<1>a)", 3887),
            ("\\p{Nonsense}", 3685),
            ("(?q)a", 3900),
            ("a{99999999999}", 4007),
            ("(a{1000}){1000}{1000}", 3688),
            ("((a{1000}){1000}){1000}", 3700),
        ] {
            match compiled(pattern, plain()) {
                Err(Fault::MySql { number: got, .. }) => assert_eq!(got, number, "{pattern}"),
                other => panic!("{pattern}: {:?}", other.map(|_| ())),
            }
        }
    }

    #[test]
    fn no_pattern_panics() {
        const PIECES: &[&str] = &[
            "a",
            "é",
            ".",
            "*",
            "+",
            "?",
            "{2}",
            "{1,",
            "}",
            "(",
            ")",
            "(?",
            ":",
            "=",
            "<=",
            "!",
            "<x>",
            "#",
            "[",
            "]",
            "^",
            "-",
            "&&",
            "[:",
            "alpha",
            ":]",
            "\\",
            "d",
            "Q",
            "E",
            "x41",
            "p{L}",
            "1",
            "k",
            "|",
            "$",
            "i)",
            "\n",
            " ",
            "\u{1F600}",
        ];
        let mut state = 1u64;
        for _ in 0..30_000 {
            let mut pattern = String::new();
            for _ in 0..12 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                pattern.push_str(PIECES[(state >> 33) as usize % PIECES.len()]);
            }
            let mode =
                Mode { case_insensitive: state & 1 << 40 == 0, multi_line: state & 1 << 41 == 0, dot_all: false, unix_lines: state & 1 << 42 == 0 };
            match compiled(&pattern, mode) {
                Ok(p) => {
                    let _ = p.groups_at("aé1\nA a\n", 0);
                }
                Err(Fault::MySql { .. }) => (),
                Err(other) => panic!("{pattern}: {other:?}"),
            }
        }
    }

    #[test]
    fn patterns_that_blow_up_end_soon() {
        assert_eq!(is_match("(a+)+$", &("a".repeat(5000) + "b"), false), Ok(false));
        let slow = is_match("(?=x*)(a+)+\\1$", &("a".repeat(200) + "b"), false);
        assert!(matches!(slow, Err(Fault::MySql { number: 3699, .. }) | Ok(false)), "{slow:?}");
        let deep = "(".repeat(20_000) + &")".repeat(20_000);
        assert!(matches!(compiled(&deep, plain()), Err(Fault::MySql { number: 3700, .. })));
        assert!(compiled(&("[".repeat(20_000) + &"a]".repeat(20_000)), plain()).is_err());
    }
}
