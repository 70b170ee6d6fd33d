//! Regular expressions: compiled once, bounded in size and in time.
//!
//! Owns:     a small cache of compiled patterns per thread.
//! Promises: linear time, except for patterns with look-around or back-references, which get a step limit (3699 when it is passed).
//! Never:    lets a pattern take more memory than its limit.
//! Source:   MySQL 8.0 uses ICU; the syntaxes agree on all but rare escapes.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use weald_types::Fault;

/// A compiled pattern is at most so large.
const SIZE_LIMIT: usize = 8 << 20;
const BACKTRACK_LIMIT: usize = 1_000_000;
/// Patterns kept per thread.
const KEPT: usize = 64;

pub enum Pattern {
    Linear(regex::Regex),
    Backtracking(fancy_regex::Regex),
}

thread_local! {
    static CACHE: RefCell<HashMap<(String, String), Rc<Pattern>>> = RefCell::default();
}

/// `flags`: MySQL's match_type letters (c, i, m, n, u).
pub fn compiled(pattern: &str, case_insensitive: bool, flags: &str) -> Result<Rc<Pattern>, Fault> {
    let mut insensitive = case_insensitive;
    let (mut multi_line, mut dot_all) = (false, false);
    for f in flags.chars() {
        match f {
            'c' => insensitive = false,
            'i' => insensitive = true,
            'm' => multi_line = true,
            'n' => dot_all = true,
            'u' => (),
            _ => return Err(Fault::mysql(1210, "HY000", "Incorrect arguments to regexp_like")),
        }
    }
    let prefix = format!("{}{}{}", if insensitive { "i" } else { "" }, if multi_line { "m" } else { "" }, if dot_all { "s" } else { "" });
    let key = (prefix, pattern.to_string());
    if let Some(p) = CACHE.with_borrow(|c| c.get(&key).cloned()) {
        return Ok(p);
    }
    if pattern.is_empty() {
        return Err(Fault::mysql(3685, "HY000", "Illegal argument to a regular expression."));
    }
    let text = if key.0.is_empty() { pattern.to_string() } else { format!("(?{}){pattern}", key.0) };
    let p = match regex::RegexBuilder::new(&text).size_limit(SIZE_LIMIT).build() {
        Ok(r) => Pattern::Linear(r),
        Err(regex::Error::CompiledTooBig(_)) => return Err(Fault::mysql(3698, "HY000", "The regular expression is too large.")),
        Err(_) => match fancy_regex::RegexBuilder::new(&text).backtrack_limit(BACKTRACK_LIMIT).delegate_size_limit(SIZE_LIMIT).build() {
            Ok(r) => Pattern::Backtracking(r),
            Err(_) => {
                return Err(Fault::mysql(3696, "HY000", "The regular expression contains an unclosed bracket expression or another syntax error."));
            }
        },
    };
    let p = Rc::new(p);
    CACHE.with_borrow_mut(|c| {
        if c.len() >= KEPT {
            c.clear();
        }
        c.insert(key, p.clone());
    });
    Ok(p)
}

pub fn too_slow() -> Fault {
    Fault::mysql(3699, "HY000", "Timeout exceeded in regular expression match.")
}

impl Pattern {
    /// The match at or after byte `from`: its byte range.
    pub fn find_at(&self, text: &str, from: usize) -> Result<Option<(usize, usize)>, Fault> {
        match self {
            Pattern::Linear(r) => Ok(r.find_at(text, from).map(|m| (m.start(), m.end()))),
            Pattern::Backtracking(r) => r.find_from_pos(text, from).map(|m| m.map(|m| (m.start(), m.end()))).map_err(|_| too_slow()),
        }
    }
}

pub fn is_match(pattern: &str, text: &str, case_insensitive: bool) -> Result<bool, Fault> {
    Ok(compiled(pattern, case_insensitive, "")?.find_at(text, 0)?.is_some())
}
