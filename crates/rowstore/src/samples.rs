//! A small sample of a table's keys, so that a scan can be shared out without counting.
//!
//! Owns:     at most [`MOST`] keys.
//! Promises: every n-th new key is in it, n growing with the table.
//! Never:    says how many rows there are. A sampled row may be gone: it is a boundary, not a row.

use crate::key::Key;
use crate::range::KeyRange;

const MOST: usize = 1024;

pub(crate) struct Samples {
    keys: Vec<Key>,
    every: u32,
    passed: u32,
}

impl Default for Samples {
    fn default() -> Self {
        Self { keys: Vec::new(), every: 64, passed: 0 }
    }
}

impl Samples {
    pub(crate) fn note(&mut self, key: &Key) {
        self.passed += 1;
        if self.passed < self.every {
            return;
        }
        self.passed = 0;
        self.keys.push(key.clone());
        if self.keys.len() >= MOST {
            self.keys.sort_unstable();
            let mut odd = false;
            self.keys.retain(|_| {
                odd = !odd;
                odd
            });
            self.every = self.every.saturating_mul(2);
        }
    }
    pub(crate) fn split(&self, parts: usize) -> Vec<KeyRange> {
        let mut keys = self.keys.clone();
        keys.sort_unstable();
        keys.dedup();
        let parts = parts.clamp(1, keys.len() + 1);
        let mut low = Vec::new();
        let mut ranges = Vec::with_capacity(parts);
        for n in 1..parts {
            let high = keys[n * keys.len() / parts].bytes().to_vec();
            if high > low {
                ranges.push(KeyRange { low: std::mem::replace(&mut low, high.clone()), high: Some(high) });
            }
        }
        ranges.push(KeyRange { low, high: None });
        ranges
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ranges_are_about_equal_and_cover_everything() {
        let mut s = Samples::default();
        for n in 0u64..200_000 {
            s.note(&Key::new(&n.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes()));
        }
        let ranges = s.split(4);
        assert_eq!(ranges.len(), 4);
        assert_eq!((ranges[0].low.len(), ranges[3].high.as_ref()), (0, None));
        for pair in ranges.windows(2) {
            assert_eq!(pair[0].high.as_deref(), Some(&pair[1].low[..]));
        }
        let quarter = u64::from_be_bytes(ranges[1].low[..].try_into().unwrap());
        assert!((quarter as f64 / u64::MAX as f64 - 0.25).abs() < 0.1);
        assert_eq!(Samples::default().split(8), vec![KeyRange::all()]);
    }
}
