//! Character sets: text as their bytes, and back.
//!
//! Owns:     the list of character sets that can be converted.
//! Promises: what is text in a character set comes back as it was; a character that it does not have becomes `?`, as in MySQL.
//! Never:    compares: that is [`crate::Collation`].

use crate::Fault;
use std::borrow::Cow;

/// Text is UTF-8 inside; these are what clients, files and columns may want it to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Charset {
    Ascii,
    /// Bytes that are nobody's text: not converted.
    Binary,
    Latin1,
    Utf8mb3,
    Utf8mb4,
}

/// MySQL's latin1 is Windows' code page 1252; the five bytes that it leaves out are the control characters of the same number.
const HIGH: [u16; 32] = [
    0x20AC, 0x81, 0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160, 0x2039, 0x0152, 0x8D, 0x017D, 0x8F, 0x90, 0x2018, 0x2019,
    0x201C, 0x201D, 0x2022, 0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0x9D, 0x017E, 0x0178,
];

impl Charset {
    pub const ALL: [Charset; 5] = [Charset::Ascii, Charset::Binary, Charset::Latin1, Charset::Utf8mb3, Charset::Utf8mb4];

    /// Any case; `utf8` is `utf8mb3`.
    pub fn by_name(name: &str) -> Option<Self> {
        let name = if name.eq_ignore_ascii_case("utf8") { "utf8mb3" } else { name };
        Self::ALL.into_iter().find(|c| c.name().eq_ignore_ascii_case(name))
    }

    /// 1115, for a name that is none of them.
    pub fn unknown(name: &str) -> Fault {
        Fault::mysql(1115, "42000", format!("Unknown character set: '{name}' (known are ascii, binary, latin1, utf8mb3 and utf8mb4)"))
    }

    /// Of text that has this collation.
    pub fn of(collation: crate::Collation) -> Self {
        Self::by_name(collation.charset()).unwrap_or(Charset::Utf8mb4)
    }

    pub fn name(self) -> &'static str {
        match self {
            Charset::Ascii => "ascii",
            Charset::Binary => "binary",
            Charset::Latin1 => "latin1",
            Charset::Utf8mb3 => "utf8mb3",
            Charset::Utf8mb4 => "utf8mb4",
        }
    }

    /// Whether its bytes are UTF-8 whatever the text, and any UTF-8 (but for what it does not have) its bytes.
    pub fn is_utf8(self) -> bool {
        match self {
            Charset::Ascii | Charset::Latin1 => false,
            Charset::Binary | Charset::Utf8mb3 | Charset::Utf8mb4 => true,
        }
    }

    pub fn has(self, c: char) -> bool {
        match self {
            Charset::Ascii => c.is_ascii(),
            Charset::Latin1 => latin1_byte(c).is_some(),
            Charset::Utf8mb3 => (c as u32) < 0x1_0000,
            Charset::Binary | Charset::Utf8mb4 => true,
        }
    }

    /// The bytes of `text`; `?` for what the character set does not have.
    pub fn encode(self, text: &str) -> Cow<'_, [u8]> {
        if text.is_ascii() || text.chars().all(|c| self.is_utf8() && self.has(c)) {
            return Cow::Borrowed(text.as_bytes());
        }
        match self {
            Charset::Latin1 => text.chars().map(|c| latin1_byte(c).unwrap_or(b'?')).collect::<Vec<u8>>().into(),
            Charset::Ascii | Charset::Binary | Charset::Utf8mb3 | Charset::Utf8mb4 => {
                text.chars().map(|c| if self.has(c) { c } else { '?' }).collect::<String>().into_bytes().into()
            }
        }
    }

    /// The text that `bytes` are; where they are none, how many of them are good.
    pub fn decode(self, bytes: &[u8]) -> Result<Cow<'_, str>, usize> {
        match self {
            Charset::Latin1 if bytes.is_ascii() => std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|e| e.valid_up_to()),
            Charset::Latin1 => Ok(bytes.iter().map(|b| latin1_char(*b)).collect::<String>().into()),
            Charset::Ascii => match bytes.iter().position(|b| !b.is_ascii()) {
                Some(good) => Err(good),
                None => std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|e| e.valid_up_to()),
            },
            Charset::Binary | Charset::Utf8mb3 | Charset::Utf8mb4 => std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|e| e.valid_up_to()),
        }
    }
}

fn latin1_char(b: u8) -> char {
    match b {
        0x80..=0x9F => char::from_u32(HIGH[(b - 0x80) as usize] as u32).unwrap_or('?'),
        b => b as char,
    }
}

fn latin1_byte(c: char) -> Option<u8> {
    match c as u32 {
        n @ (0..=0x7F | 0xA0..=0xFF) => Some(n as u8),
        n => HIGH.iter().position(|h| *h as u32 == n).map(|i| 0x80 + i as u8),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latin1_is_the_code_page_1252() {
        assert_eq!(Charset::Latin1.decode(&[0x41, 0x80, 0xE9]).unwrap(), "A\u{20AC}\u{E9}");
        assert_eq!(&*Charset::Latin1.encode("A\u{20AC}\u{E9}\u{416}"), [0x41, 0x80, 0xE9, b'?']);
    }

    #[test]
    fn every_byte_of_latin1_comes_back() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(&*Charset::Latin1.encode(&Charset::Latin1.decode(&all).unwrap()), all);
    }

    #[test]
    fn what_a_character_set_does_not_have_is_a_question_mark() {
        assert_eq!(&*Charset::Utf8mb3.encode("a\u{1F600}\u{E9}"), "a?\u{E9}".as_bytes());
        assert_eq!(&*Charset::Ascii.encode("a\u{E9}"), b"a?");
        assert_eq!(Charset::Ascii.decode(b"ab\xE9"), Err(2));
        assert_eq!(Charset::by_name("UTF8"), Some(Charset::Utf8mb3));
    }
}
