//! Optimizer hints: `/*+ … */` behind a SELECT.
//!
//! Owns:     nothing.
//! Promises: finds the one hint that is more than advice.
//! Never:    complains of a hint it does not know: they are comments to whoever has no use for them.

/// The milliseconds of `MAX_EXECUTION_TIME(n)`, where `gap` is what stands between the word SELECT and the token after it.
pub fn max_execution_time(gap: &[u8]) -> Option<u64> {
    let hints = gap.trim_ascii_start().strip_prefix(b"/*+")?;
    let end = hints.windows(2).position(|w| w == b"*/")?;
    let hints = hints[..end].to_ascii_lowercase();
    let name = b"max_execution_time";
    let at = hints.windows(name.len()).position(|w| w == name)?;
    let rest = hints[at + name.len()..].trim_ascii_start().strip_prefix(b"(")?;
    let number = rest[..rest.iter().position(|b| *b == b')')?].trim_ascii();
    std::str::from_utf8(number).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_found_among_other_hints() {
        assert_eq!(max_execution_time(b" /*+ NO_MERGE(t) max_execution_time ( 250 ) */ "), Some(250));
        assert_eq!(max_execution_time(b"/*+MAX_EXECUTION_TIME(1)*/"), Some(1));
        for none in [&b" "[..], b" /* MAX_EXECUTION_TIME(1) */", b" /*+ MAX_EXECUTION_TIME(x) */", b" /*+ MAX_EXECUTION_TIME(1"] {
            assert_eq!(max_execution_time(none), None);
        }
    }
}
