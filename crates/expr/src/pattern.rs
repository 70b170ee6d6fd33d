//! Regular expressions: compiled once, bounded in size and in time.
//!
//! Owns:     a small cache of compiled patterns per thread.
//! Promises: linear time, except for patterns with look-around, back-references or possessive parts, which get a step limit (3699 when it is passed).
//! Never:    lets a pattern take more memory than its limit.
//! Source:   MySQL 8.0 uses ICU; `syntax` says in our engines' language what a pattern says in ICU's.

mod syntax;

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use weald_types::Fault;

/// A compiled pattern is at most so large.
const SIZE_LIMIT: usize = 8 << 20;
const BACKTRACK_LIMIT: usize = 1_000_000;
/// Patterns kept per thread and mode.
const KEPT: usize = 64;

enum Engine {
    Linear(regex::Regex),
    Backtracking(fancy_regex::Regex),
}

pub struct Pattern {
    engine: Engine,
    /// For subjects that end with a line terminator, where `$` also matches before it; `None` where that makes no difference.
    before_last_terminator: Option<Engine>,
}

/// How a pattern is to be matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mode {
    pub case_insensitive: bool,
    /// `^` and `$` match at every line.
    pub multi_line: bool,
    /// `.` matches line terminators.
    pub dot_all: bool,
    /// Only a newline ends a line.
    pub unix_lines: bool,
}

impl Mode {
    /// As the collation says, for REGEXP and functions without a match type.
    pub fn of_collation(case_insensitive: bool) -> Self {
        Self { case_insensitive, multi_line: false, dot_all: false, unix_lines: false }
    }

    /// MySQL's match-type letters (c, i, m, n, u), later ones winning. `None` where there is another letter.
    pub fn with_letters(mut self, letters: &str) -> Option<Self> {
        for letter in letters.chars() {
            match letter {
                'c' => self.case_insensitive = false,
                'i' => self.case_insensitive = true,
                'm' => self.multi_line = true,
                'n' => self.dot_all = true,
                'u' => self.unix_lines = true,
                _ => return None,
            }
        }
        Some(self)
    }
}

thread_local! {
    static CACHE: RefCell<HashMap<Mode, HashMap<String, Rc<Pattern>>>> = RefCell::default();
}

pub fn compiled(pattern: &str, mode: Mode) -> Result<Rc<Pattern>, Fault> {
    if let Some(p) = CACHE.with_borrow(|c| c.get(&mode)?.get(pattern).cloned()) {
        return Ok(p);
    }
    if pattern.is_empty() {
        return Err(Fault::mysql(3685, "HY000", "Illegal argument to a regular expression."));
    }
    let translated = syntax::translate(pattern, mode)?;
    let engine = build(&translated.text, translated.backtracks)?;
    let before_last_terminator = translated.before_last_terminator.map(|text| build(&text, true)).transpose()?;
    let p = Rc::new(Pattern { engine, before_last_terminator });
    CACHE.with_borrow_mut(|c| {
        let kept = c.entry(mode).or_default();
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(pattern.to_string(), p.clone());
    });
    Ok(p)
}

fn build(text: &str, backtracks: bool) -> Result<Engine, Fault> {
    let too_big = || Fault::mysql(3700, "HY000", "The regular expression pattern exceeds limits on size or complexity.");
    // What the translation let through and the engines refuse: properties that do not exist, for the most part.
    let illegal = || Fault::mysql(3685, "HY000", "Illegal argument to a regular expression.");
    if !backtracks {
        return match regex::RegexBuilder::new(text).size_limit(SIZE_LIMIT).dfa_size_limit(SIZE_LIMIT).build() {
            Ok(r) => Ok(Engine::Linear(r)),
            Err(regex::Error::CompiledTooBig(_)) => Err(too_big()),
            Err(e) if e.to_string().contains("nest") => Err(too_big()),
            Err(_) => Err(illegal()),
        };
    }
    use fancy_regex::{CompileError, Error, ParseError};
    match fancy_regex::RegexBuilder::new(text).backtrack_limit(BACKTRACK_LIMIT).delegate_size_limit(SIZE_LIMIT).build() {
        Ok(r) => Ok(Engine::Backtracking(r)),
        Err(Error::ParseError(_, ParseError::RecursionExceeded)) => Err(too_big()),
        Err(Error::CompileError(e)) => match *e {
            CompileError::LookBehindNotConst | CompileError::VariableLookBehindRequiresFeature => {
                Err(Fault::mysql(3695, "HY000", "The look-behind assertion exceeds the limit in regular expression."))
            }
            CompileError::PatternTooComplex => Err(too_big()),
            _ => Err(illegal()),
        },
        Err(_) => Err(illegal()),
    }
}

pub fn too_slow() -> Fault {
    Fault::mysql(3699, "HY000", "Timeout exceeded in regular expression match.")
}

/// Where a match and its groups lie, in bytes; group 0 is the match.
pub type Groups = Vec<Option<(usize, usize)>>;

impl Pattern {
    fn engine_for(&self, text: &str) -> &Engine {
        match &self.before_last_terminator {
            Some(engine) if text.ends_with(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']) => engine,
            _ => &self.engine,
        }
    }

    /// The match at or after byte `from`: its byte range.
    pub fn find_at(&self, text: &str, from: usize) -> Result<Option<(usize, usize)>, Fault> {
        match self.engine_for(text) {
            Engine::Linear(r) => Ok(r.find_at(text, from).map(|m| (m.start(), m.end()))),
            Engine::Backtracking(r) => r.find_from_pos(text, from).map(|m| m.map(|m| (m.start(), m.end()))).map_err(|_| too_slow()),
        }
    }

    /// The same with the groups.
    pub fn groups_at(&self, text: &str, from: usize) -> Result<Option<Groups>, Fault> {
        Ok(match self.engine_for(text) {
            Engine::Linear(r) => r.captures_at(text, from).map(|c| c.iter().map(|m| m.map(|m| (m.start(), m.end()))).collect()),
            Engine::Backtracking(r) => {
                let found = r.captures_from_pos(text, from).map_err(|_| too_slow())?;
                found.map(|c| c.iter().map(|m| m.map(|m| (m.start(), m.end()))).collect())
            }
        })
    }

    /// The number of a named group.
    pub fn group_named(&self, name: &str) -> Option<usize> {
        match &self.engine {
            Engine::Linear(r) => r.capture_names().position(|n| n == Some(name)),
            Engine::Backtracking(r) => r.capture_names().position(|n| n == Some(name)),
        }
    }
}

pub fn is_match(pattern: &str, text: &str, case_insensitive: bool) -> Result<bool, Fault> {
    Ok(compiled(pattern, Mode::of_collation(case_insensitive))?.find_at(text, 0)?.is_some())
}
