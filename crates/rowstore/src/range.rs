//! Ranges of keys, and positions in them.
//!
//! Owns:     a range's bounds; how far a scan has come.
//! Promises: a cursor that stopped goes on after the last key it passed, whatever was inserted or removed meanwhile.
//! Never:    holds a row or keeps one alive.

use crate::Key;
use std::ops::Bound;
use weald_types::IndexId;
use weald_types::key::upper_bound;

/// Keys from `low` on, up to but without `high`. Bytes of leading key parts stand for all keys that begin with them.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct KeyRange {
    pub low: Vec<u8>,
    /// `None`: to the end.
    pub high: Option<Vec<u8>>,
}

impl KeyRange {
    pub fn all() -> Self {
        Self::default()
    }
    /// All keys that begin with these parts.
    pub fn prefix(parts: &[u8]) -> Self {
        Self { low: parts.to_vec(), high: upper_bound(parts) }
    }
    /// Each bound is the bytes of leading key parts; included or excluded with all keys that begin with them.
    pub fn bounds(low: Bound<Vec<u8>>, high: Bound<Vec<u8>>) -> Self {
        let low = match low {
            Bound::Included(b) => b,
            Bound::Excluded(b) => match upper_bound(&b) {
                Some(after) => after,
                // Nothing is greater than all that begins with `b`.
                None => return Self::empty(),
            },
            Bound::Unbounded => Vec::new(),
        };
        let high = match high {
            Bound::Included(b) => upper_bound(&b),
            Bound::Excluded(b) => Some(b),
            Bound::Unbounded => None,
        };
        Self { low, high }
    }
    pub fn empty() -> Self {
        Self { low: Vec::new(), high: Some(Vec::new()) }
    }
    pub fn is_empty(&self) -> bool {
        self.high.as_ref().is_some_and(|high| *high <= self.low)
    }
    pub fn contains(&self, key: &[u8]) -> bool {
        key >= &self.low[..] && self.high.as_ref().is_none_or(|h| key < &h[..])
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Forward,
    Backward,
}

/// A scan's position. Made once, given to [`crate::Table::scan_batch`] until that says it is done.
#[derive(Clone, Debug)]
pub struct Cursor {
    pub(crate) index: Option<IndexId>,
    pub(crate) range: KeyRange,
    pub(crate) direction: Direction,
    /// The last entry passed.
    pub(crate) passed: Option<Key>,
    pub(crate) done: bool,
}

impl Cursor {
    /// Rows in the order of an index.
    pub fn index(index: IndexId, range: KeyRange, direction: Direction) -> Self {
        let done = range.is_empty();
        Self { index: Some(index), range, direction, passed: None, done }
    }
    /// All rows, in the order of the primary key, or of the hidden row id; `range` is one of [`crate::Table::split`]'s, or [`KeyRange::all`].
    pub fn rows(range: KeyRange) -> Self {
        let done = range.is_empty();
        Self { index: None, range, direction: Direction::Forward, passed: None, done }
    }
    pub fn is_done(&self) -> bool {
        self.done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_take_in_or_leave_out_whole_prefixes() {
        let r = KeyRange::bounds(Bound::Excluded(vec![1]), Bound::Included(vec![3]));
        for (key, inside) in [(&[1][..], false), (&[1, 9], false), (&[2], true), (&[3], true), (&[3, 255], true), (&[4], false)] {
            assert_eq!(r.contains(key), inside, "{key:?}");
        }
        assert!(KeyRange::bounds(Bound::Excluded(vec![255]), Bound::Unbounded).is_empty());
        assert!(KeyRange::bounds(Bound::Included(vec![5]), Bound::Excluded(vec![5])).is_empty());
        assert!(!KeyRange::prefix(&[255]).is_empty());
        assert!(!KeyRange::all().is_empty());
    }
}
