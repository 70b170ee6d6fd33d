//! Weights of characters.
//!
//! Owns:     the decoded tables.
//! Promises: every code point has weights in every table; ASCII is one array look-up.
//! Never:    looks at more than one character at a time.

use super::compare::padded_byte;

/// What a character weighs that a table does not list.
#[derive(Clone, Copy, Debug)]
pub(super) enum Unlisted {
    /// Its code point; U+FFFD above U+FFFF.
    CodePoint,
    Weight(u16),
    /// The Unicode Collation Algorithm's computed weights (UTS 10, section 10.1.3), as its versions have them.
    Uca400,
    Uca520,
    Uca1400,
}

/// A character's entry: a weight; or, with [`MANY`], where in `sequences` its weights are; or [`UNLISTED`].
type Cell = u32;
const MANY: Cell = 1 << 31;
const UNLISTED: Cell = u32::MAX;
/// [`MANY`] with no weights.
const IGNORED: Cell = MANY;

pub(super) struct Table {
    ascii: [Cell; 128],
    /// What a byte weighs where its place in a padded sort key is one byte; 0: it does not, or is a space.
    pub(super) plain: [u8; 256],
    /// By code point / 256.
    pages: Vec<Option<Box<[Cell; 256]>>>,
    sequences: Vec<u16>,
    unlisted: Unlisted,
}

/// The weights of one character.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum CharWeights {
    One(u16),
    Two(u16, u16),
    /// None, or more than two.
    Many(&'static [u16]),
}

/// A stream of LEB128 integers; after its end all are 0.
struct Stream {
    bytes: Vec<u8>,
    at: usize,
}

impl Stream {
    /// Standard base64 without padding; other characters are skipped.
    fn of_base64(text: &str) -> Self {
        let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 3);
        let (mut buffer, mut bits) = (0u32, 0);
        for c in text.bytes() {
            let six = match c {
                b'A'..=b'Z' => c - b'A',
                b'a'..=b'z' => c - b'a' + 26,
                b'0'..=b'9' => c - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                _ => continue,
            };
            buffer = buffer << 6 | six as u32;
            bits += 6;
            if bits >= 8 {
                bits -= 8;
                bytes.push((buffer >> bits) as u8);
            }
        }
        Self { bytes, at: 0 }
    }
    fn is_empty(&self) -> bool {
        self.at >= self.bytes.len()
    }
    fn next(&mut self) -> u32 {
        let (mut n, mut shift) = (0, 0);
        while let Some(b) = self.bytes.get(self.at) {
            self.at += 1;
            n |= ((b & 127) as u32) << shift;
            shift += 7;
            if b & 128 == 0 {
                break;
            }
        }
        n
    }
    fn next_signed(&mut self) -> i32 {
        let n = self.next();
        (n >> 1) as i32 ^ -((n & 1) as i32)
    }
}

impl Table {
    /// Reads a stream of [`super::tables`]; `tables/generate.py` describes it.
    pub(super) fn decode(text: &str, unlisted: Unlisted) -> Self {
        let mut stream = Stream::of_base64(text);
        let mut sequences = Vec::new();
        let cells: Vec<Cell> = (0..stream.next())
            .map(|_| {
                let (from, length) = (sequences.len() as u32, stream.next());
                sequences.extend((0..length).map(|_| stream.next() as u16));
                MANY | from << 5 | length
            })
            .collect();
        let mut table = Self { ascii: [UNLISTED; 128], plain: [0; 256], pages: vec![None; 0x1100], sequences, unlisted };
        let (mut code_point, mut weight) = (0u32, 0i32);
        while !stream.is_empty() {
            code_point += stream.next();
            let (length, code) = (stream.next(), stream.next());
            if matches!(code, 1 | 2) {
                weight += stream.next_signed();
            }
            for i in 0..length {
                let cell = match code {
                    0 => IGNORED,
                    1 => weight as u32 + i,
                    2 => weight as u32,
                    n => cells.get(n as usize - 3).copied().unwrap_or(UNLISTED),
                };
                table.put(code_point + i, cell);
            }
            code_point += length;
        }
        // ASCII has an entry of its own even where it is not listed.
        for c in 0..128u32 {
            table.ascii[c as usize] = match table.listed(c) {
                UNLISTED => match table.compute(c) {
                    CharWeights::One(w) => w as Cell,
                    CharWeights::Two(..) | CharWeights::Many(_) => UNLISTED,
                },
                cell => cell,
            };
        }
        for b in 0..128u8 {
            table.plain[b as usize] = table.ascii(b).filter(|w| *w != table.space()).and_then(|w| padded_byte(w, table.space())).unwrap_or(0);
        }
        table
    }

    fn put(&mut self, code_point: u32, cell: Cell) {
        if let Some(page) = self.pages.get_mut(code_point as usize >> 8) {
            page.get_or_insert_with(|| Box::new([UNLISTED; 256]))[code_point as usize & 255] = cell;
        }
    }

    fn listed(&self, code_point: u32) -> Cell {
        match self.pages.get(code_point as usize >> 8) {
            Some(Some(page)) => page[code_point as usize & 255],
            _ => UNLISTED,
        }
    }

    fn compute(&self, c: u32) -> CharWeights {
        let implicit = |base: u32| CharWeights::Two((base + (c >> 15)) as u16, (c & 0x7FFF | 0x8000) as u16);
        match self.unlisted {
            Unlisted::CodePoint => CharWeights::One(u16::try_from(c).unwrap_or(0xFFFD)),
            Unlisted::Weight(w) => CharWeights::One(w),
            Unlisted::Uca400 if c > 0xFFFF => CharWeights::One(0xFFFD),
            Unlisted::Uca400 | Unlisted::Uca520 => implicit(match c {
                0x4E00..=0x9FA5 => 0xFB40,
                0x3400..=0x4DB5 => 0xFB80,
                _ => 0xFBC0,
            }),
            Unlisted::Uca1400 => match c {
                0x17000..=0x18AFF => CharWeights::Two(0xFB00, (c - 0x17000) as u16 | 0x8000),
                0x18B00..=0x18CFF => CharWeights::Two(0xFB02, (c - 0x18B00) as u16 | 0x8000),
                0x1B170..=0x1B2FF => CharWeights::Two(0xFB01, (c - 0x1B170) as u16 | 0x8000),
                0x4E00..=0x9FFF => implicit(0xFB40),
                0x3400..=0x4DBF | 0x20000..=0x2A6DF | 0x2A700..=0x2B738 | 0x2B740..=0x2B81D => implicit(0xFB80),
                0x2B820..=0x2CEA1 | 0x2CEB0..=0x2EBE0 | 0x30000..=0x3134A => implicit(0xFB80),
                _ => implicit(0xFBC0),
            },
        }
    }

    /// One weight of an ASCII byte; `None` where it has none, or more.
    #[inline]
    pub(super) fn ascii(&self, byte: u8) -> Option<u32> {
        let cell = *self.ascii.get(byte as usize)?;
        (cell < MANY).then_some(cell)
    }

    pub(super) fn space(&self) -> u32 {
        self.ascii[b' ' as usize]
    }

    pub(super) fn weights(&'static self, c: u32) -> CharWeights {
        match self.listed(c) {
            UNLISTED => self.compute(c),
            cell if cell & MANY == 0 => CharWeights::One(cell as u16),
            cell => {
                let (from, length) = ((cell & !MANY) as usize >> 5, cell as usize & 31);
                CharWeights::Many(self.sequences.get(from..from + length).unwrap_or(&[]))
            }
        }
    }

    pub(super) fn walk<'a>(&'static self, text: &'a [u8]) -> Walk<'a> {
        Walk { table: self, text, second: None, many: &[] }
    }
}

/// The weights of a text, one after the other.
pub(super) struct Walk<'a> {
    table: &'static Table,
    text: &'a [u8],
    second: Option<u16>,
    many: &'static [u16],
}

impl Iterator for Walk<'_> {
    type Item = u32;
    #[inline]
    fn next(&mut self) -> Option<u32> {
        loop {
            if let Some((w, rest)) = self.many.split_first() {
                self.many = rest;
                return Some(*w as u32);
            }
            if let Some(w) = self.second.take() {
                return Some(w as u32);
            }
            let first = *self.text.first()?;
            if let Some(w) = self.table.ascii(first) {
                self.text = &self.text[1..];
                return Some(w);
            }
            let (c, length) = decode_char(self.text);
            self.text = &self.text[length..];
            match self.table.weights(c) {
                CharWeights::One(w) => return Some(w as u32),
                CharWeights::Two(w, second) => {
                    self.second = Some(second);
                    return Some(w as u32);
                }
                CharWeights::Many(many) => self.many = many,
            }
        }
    }
}

/// The code point at the start of `text`, which is not empty, and its length in bytes. A byte that begins no character counts as U+FFFD.
#[inline]
pub(super) fn decode_char(text: &[u8]) -> (u32, usize) {
    let first = text[0];
    let length = char_length(first);
    if length == 1 {
        return (if first < 128 { first as u32 } else { 0xFFFD }, 1);
    }
    let mut c = first as u32 & (0x7F >> length);
    for i in 1..length {
        match text.get(i) {
            Some(b) if b & 0xC0 == 0x80 => c = c << 6 | (b & 0x3F) as u32,
            _ => return (0xFFFD, 1),
        }
    }
    (c, length)
}

/// Bytes of the character that begins with `first`; 1 for a byte that begins none.
#[inline]
pub(super) fn char_length(first: u8) -> usize {
    match first {
        0xC2..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF4 => 4,
        _ => 1,
    }
}
