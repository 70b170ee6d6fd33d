//! Comparing, hashing and sort keys.
//!
//! Owns:     nothing.
//! Promises: `memcmp` of two sort keys is `compare` of the two strings; equal strings have equal keys and equal hashes. A sort key ends itself: none is
//!           the beginning of another, so that keys of several columns can follow each other.
//! Never:    allocates but for the caller's buffer.
//!
//! Sort keys. Every weight becomes a number, every number one to three bytes (see [`put_code`]) whose order is that of the numbers.
//! NO PAD: weight + 1, and 0 for the end of each level.
//! PAD SPACE: a string ends in spaces without end, so that 'a' lies after 'a\t' and before 'a!', and equals 'a '. Trailing spaces are dropped.
//! With `s` the weight of a space, weights below it stay and weights above it rise by 2, which makes room for three numbers:
//!   s      a space in a run of spaces that something lower than a space follows
//!   s + 1  the end
//!   s + 2  a space in a run of spaces that something higher follows
//! Wherever two such strings first differ, their numbers differ as spaces without end would have it.

use super::weights::{Table, char_length};
use super::{Collation, Method};
use std::cmp::Ordering;
use std::hash::Hasher;

/// Numbers below this are one byte.
const ONE: u32 = 0x82;
/// And this many more are two.
const TWO: u32 = (0xF0 - ONE) << 8;

/// Appends a number of at most 20 bits, in one to three bytes. No number's bytes begin another's.
#[inline]
fn put_code(n: u32, out: &mut Vec<u8>) {
    if n < ONE {
        out.push(n as u8);
    } else if n < ONE + TWO {
        let n = n - ONE;
        out.extend_from_slice(&[(ONE + (n >> 8)) as u8, n as u8]);
    } else {
        let n = n - ONE - TWO;
        out.extend_from_slice(&[0xF0 + (n >> 16) as u8, (n >> 8) as u8, n as u8]);
    }
}

fn trim_spaces(value: &[u8]) -> &[u8] {
    let end = value.iter().rposition(|b| *b != b' ').map_or(0, |i| i + 1);
    &value[..end]
}

/// The longest equal beginning of both, cut back to a character's start.
fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    let chunks = a.as_chunks::<8>().0.iter().zip(b.as_chunks::<8>().0).take_while(|(x, y)| x == y).count() * 8;
    let mut n = chunks + a[chunks..].iter().zip(&b[chunks..]).take_while(|(x, y)| x == y).count();
    while n > 0 && [a.get(n), b.get(n)].into_iter().flatten().any(|byte| byte & 0xC0 == 0x80) {
        n -= 1;
    }
    n
}

/// How the rest of a longer string compares with spaces.
fn against_spaces(first: u32, rest: impl Iterator<Item = u32>, space: u32) -> Ordering {
    std::iter::once(first).chain(rest).map(|w| w.cmp(&space)).find(|o| o.is_ne()).unwrap_or(Ordering::Equal)
}

fn compare_level(table: &'static Table, pad: bool, a: &[u8], b: &[u8]) -> Ordering {
    let mut at = common_prefix(a, b);
    // One look-up a character while both are ASCII.
    while let (Some(x), Some(y)) = (a.get(at), b.get(at)) {
        match (table.ascii(*x), table.ascii(*y)) {
            (Some(x), Some(y)) if x == y => at += 1,
            (Some(x), Some(y)) => return x.cmp(&y),
            _ => break,
        }
    }
    let (mut a, mut b) = (table.walk(&a[at..]), table.walk(&b[at..]));
    loop {
        match (a.next(), b.next()) {
            (Some(x), Some(y)) if x == y => (),
            (Some(x), Some(y)) => return x.cmp(&y),
            (None, None) => return Ordering::Equal,
            (Some(x), None) => return if pad { against_spaces(x, a, table.space()) } else { Ordering::Greater },
            (None, Some(y)) => return if pad { against_spaces(y, b, table.space()).reverse() } else { Ordering::Less },
        }
    }
}

impl Collation {
    pub fn compare(self, a: &[u8], b: &[u8]) -> Ordering {
        match self.method() {
            Method::Bytes | Method::CodePoints { pad: false } => a.cmp(b),
            Method::CodePoints { pad: true } => {
                let n = a.len().min(b.len());
                let bytes = |rest: &[u8]| rest.iter().map(|b| b.cmp(&b' ')).find(|o| o.is_ne()).unwrap_or(Ordering::Equal);
                a[..n].cmp(&b[..n]).then_with(|| bytes(&a[n..])).then_with(|| bytes(&b[n..]).reverse())
            }
            Method::Weights { levels, pad } => levels.iter().map(|t| compare_level(t, pad, a, b)).find(|o| o.is_ne()).unwrap_or(Ordering::Equal),
        }
    }

    pub fn equal(self, a: &[u8], b: &[u8]) -> bool {
        match self.method() {
            Method::Bytes | Method::CodePoints { pad: false } => a == b,
            Method::CodePoints { pad: true } => trim_spaces(a) == trim_spaces(b),
            Method::Weights { .. } => a == b || self.compare(a, b).is_eq(),
        }
    }

    /// Equal strings (under this collation) feed equal bytes.
    pub fn hash_into(self, value: &[u8], hasher: &mut impl Hasher) {
        match self.method() {
            Method::Bytes | Method::CodePoints { pad: false } => hasher.write(value),
            Method::CodePoints { pad: true } => hasher.write(trim_spaces(value)),
            Method::Weights { levels, pad } => {
                // The first level is enough: strings that are equal on all are equal on it.
                let table: &'static Table = levels[0];
                // In pieces cut by the weights, not by the text: equal strings must make equal calls.
                let mut piece = [0u8; 64];
                let mut length = 0;
                let mut spaces = 0;
                let mut put = |w: u32| {
                    // Three bytes for what is not ASCII would do, two for what 16-bit weights need.
                    piece[length..length + 2].copy_from_slice(&(w as u16).to_le_bytes());
                    length += 2;
                    if length == piece.len() {
                        hasher.write(&piece);
                        length = 0;
                    }
                };
                for w in table.walk(value) {
                    if pad && w == table.space() {
                        spaces += 1;
                        continue;
                    }
                    for _ in 0..std::mem::take(&mut spaces) {
                        put(table.space());
                    }
                    put(w);
                }
                hasher.write(&piece[..length]);
            }
        }
        hasher.write_u8(0xFF);
    }

    /// Appends bytes whose `memcmp` order is this collation's order. They may contain zeros; none is the beginning of another.
    pub fn sort_key(self, value: &[u8], out: &mut Vec<u8>) {
        out.reserve(value.len() + 1);
        self.sort_key_start(value, out);
        match self.method() {
            Method::Bytes | Method::CodePoints { pad: false } => out.push(0),
            Method::CodePoints { pad: true } => out.push(b' ' + 1),
            Method::Weights { levels, pad: true } => put_code(levels[0].space() + 1, out),
            Method::Weights { levels, pad: false } => {
                out.push(0);
                for table in &levels[1..] {
                    put_bare_level(table, value, out);
                    out.push(0);
                }
            }
        }
    }

    /// The first bytes of the sort key, where the first letters stand for one byte each.
    pub fn sort_key_head<const N: usize>(self, value: &[u8]) -> Option<[u8; N]> {
        let letters = value.first_chunk::<N>()?;
        let head = match self.method() {
            Method::Bytes | Method::CodePoints { pad: false } => letters.map(|b| if b > 1 { b } else { 0 }),
            Method::Weights { levels, pad: true } => letters.map(|b| levels[0].plain[b as usize]),
            Method::Weights { pad: false, .. } | Method::CodePoints { pad: true } => return None,
        };
        (!head.contains(&0)).then_some(head)
    }

    /// The sort key of the first `chars` characters (bytes for [`Collation::BINARY`]).
    pub fn sort_key_prefix(self, value: &[u8], chars: u32, out: &mut Vec<u8>) {
        self.sort_key(self.truncate(value, chars), out)
    }

    /// The first `chars` characters (bytes for [`Collation::BINARY`]).
    pub fn truncate(self, value: &[u8], chars: u32) -> &[u8] {
        let chars = chars as usize;
        if value.len() <= chars {
            return value;
        }
        if self == Self::BINARY {
            return &value[..chars];
        }
        let mut at = 0;
        for _ in 0..chars {
            match value.get(at) {
                Some(first) => at = (at + char_length(*first)).min(value.len()),
                None => break,
            }
        }
        &value[..at]
    }

    /// Appends the bytes with which the sort key of every string begins that begins with `value`.
    pub fn sort_key_start(self, value: &[u8], out: &mut Vec<u8>) {
        match self.method() {
            Method::Bytes | Method::CodePoints { pad: false } => {
                // 0 is the end; 0 and 1 in the value become 1 0 and 1 1.
                let mut rest = value;
                while let Some(i) = rest.iter().position(|b| *b <= 1) {
                    out.extend_from_slice(&rest[..i]);
                    out.extend_from_slice(&[1, rest[i]]);
                    rest = &rest[i + 1..];
                }
                out.extend_from_slice(rest);
            }
            Method::CodePoints { pad: true } => {
                let weight = |b: u8| b.min(0xFD) as u32;
                put_padded(value.iter().map(|b| weight(*b)), b' ' as u32, out, |n, out| out.push(n as u8));
            }
            Method::Weights { levels, pad } => {
                let table: &'static Table = levels[0];
                if pad { put_padded_text(table, value, out) } else { put_bare_level(table, value, out) }
            }
        }
    }
}

/// The one byte of a weight other than a space's in a padded sort key; `None`: it takes more.
pub(super) fn padded_byte(weight: u32, space: u32) -> Option<u8> {
    let n = if weight < space { weight } else { weight + 2 };
    (n < ONE).then_some(n as u8)
}

/// [`put_padded`], with a look-up a byte for runs of letters that need no more: most text.
fn put_padded_text(table: &'static Table, value: &[u8], out: &mut Vec<u8>) {
    let plain = |b: u8| table.plain[b as usize];
    let mut rest = value;
    loop {
        // Sixteen at a time, which needs neither a branch nor a look at the room for each.
        for letters in rest.as_chunks::<16>().0 {
            let codes = letters.map(plain);
            if codes.iter().fold(false, |any, code| any | (*code == 0)) {
                break;
            }
            out.extend_from_slice(&codes);
            rest = &rest[16..];
        }
        let run = rest.iter().position(|b| plain(*b) == 0).unwrap_or(rest.len());
        out.extend(rest[..run].iter().map(|b| plain(*b)));
        rest = &rest[run..];
        let spaces = rest.iter().position(|b| *b != b' ').unwrap_or(rest.len());
        let Some(after) = rest.get(spaces) else { return };
        if spaces == 0 || plain(*after) == 0 {
            return put_padded(table.walk(rest), table.space(), out, put_code);
        }
        let blank = if table.ascii(*after) < Some(table.space()) { table.space() } else { table.space() + 2 };
        (0..spaces).for_each(|_| put_code(blank, out));
        rest = &rest[spaces..];
    }
}

fn put_bare_level(table: &'static Table, value: &[u8], out: &mut Vec<u8>) {
    for w in table.walk(value) {
        put_code(w + 1, out);
    }
}

/// Weights of a PAD SPACE string without its end, as the module's head describes them. Spaces at the very end are left out.
#[inline]
fn put_padded(weights: impl Iterator<Item = u32>, space: u32, out: &mut Vec<u8>, put: impl Fn(u32, &mut Vec<u8>)) {
    let mut spaces = 0;
    for w in weights {
        if w == space {
            spaces += 1;
            continue;
        }
        let (shifted, blank) = if w < space { (w, space) } else { (w + 2, space + 2) };
        for _ in 0..std::mem::take(&mut spaces) {
            put(blank, out);
        }
        put(shifted, out);
    }
}
