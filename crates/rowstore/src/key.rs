//! A key's bytes, small ones in place.
//!
//! Owns:     its bytes.
//! Promises: 16 bytes; equal, ordered and hashed as its bytes are (memcmp).
//! Never:    knows what the bytes mean: see [`weald_types::key`].
//!
//! Fifteen bytes hold an INT or BIGINT primary key, or two of them; such keys cost no allocation and no cache miss.
//! Longer ones are one shared allocation behind a thin pointer.

use std::borrow::Borrow;
use std::fmt;
use triomphe::ThinArc;

const INLINE: usize = 15;

/// An integer from 0 to 15 with values left over: the compiler keeps "this is a long key" in them, which makes a [`Key`] 16 bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[rustfmt::skip]
enum Length { L0, L1, L2, L3, L4, L5, L6, L7, L8, L9, L10, L11, L12, L13, L14, L15 }

impl Length {
    #[rustfmt::skip]
    fn of(n: usize) -> Option<Self> {
        use Length::*;
        const ALL: [Length; INLINE + 1] = [L0, L1, L2, L3, L4, L5, L6, L7, L8, L9, L10, L11, L12, L13, L14, L15];
        ALL.get(n).copied()
    }
}

#[derive(Clone)]
enum Form {
    Short(Length, [u8; INLINE]),
    Long(ThinArc<(), u8>),
}

#[derive(Clone)]
pub struct Key(Form);

const _: () = assert!(std::mem::size_of::<Key>() == 16);

impl Key {
    pub fn new(bytes: &[u8]) -> Self {
        match Length::of(bytes.len()) {
            Some(length) => {
                let mut short = [0; INLINE];
                short[..bytes.len()].copy_from_slice(bytes);
                Self(Form::Short(length, short))
            }
            None => Self(Form::Long(ThinArc::from_header_and_slice((), bytes))),
        }
    }
    pub fn bytes(&self) -> &[u8] {
        match &self.0 {
            Form::Short(length, bytes) => &bytes[..*length as usize],
            Form::Long(arc) => &arc.slice,
        }
    }
    /// Bytes outside the key itself: reference count, length, bytes.
    pub fn heap_bytes(&self) -> usize {
        match &self.0 {
            Form::Short(..) => 0,
            Form::Long(arc) => 16 + arc.slice.len(),
        }
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.bytes() == other.bytes()
    }
}
impl Eq for Key {}
impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Key {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.bytes().cmp(other.bytes())
    }
}
impl std::hash::Hash for Key {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.bytes().hash(state);
    }
}
/// A map of keys can be asked with bare bytes.
impl Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        self.bytes()
    }
}
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for b in self.bytes() {
            write!(f, "{b:02x}")?;
        }
        Ok(())
    }
}

/// Where a row is: the bytes of its primary key, or of its hidden row id. Good for as long as one likes; the row may be gone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowHandle(pub Key);

impl RowHandle {
    /// From bytes that [`RowHandle::bytes`] gave.
    pub fn new(bytes: &[u8]) -> Self {
        Self(Key::new(bytes))
    }
    pub fn bytes(&self) -> &[u8] {
        self.0.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn orders_and_compares_as_its_bytes(a in prop::collection::vec(0u8..3, 0..20), b in prop::collection::vec(0u8..3, 0..20)) {
            let (x, y) = (Key::new(&a), Key::new(&b));
            prop_assert_eq!(x.bytes(), &a[..]);
            prop_assert_eq!(x.cmp(&y), a.cmp(&b));
            prop_assert_eq!(x == y, a == b);
            prop_assert_eq!(x.clone(), x);
        }
    }
}
