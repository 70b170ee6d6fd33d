//! Temporal values as text.
//!
//! Owns:     nothing.
//! Promises: 'YYYY-MM-DD', '[-]HH:MM:SS', with as many decimals as asked for (cut, not rounded).
//! Never:    allocates.

use super::{Date, DateTime, Time};
use std::fmt;

/// Longest is '-2562047788:00:54.775807' (a [`Time`] beyond its type's bounds).
struct Text {
    bytes: [u8; 32],
    length: usize,
}

impl Text {
    fn new() -> Self {
        Self { bytes: [0; 32], length: 0 }
    }
    fn push(&mut self, b: u8) {
        self.bytes[self.length] = b;
        self.length += 1;
    }
    fn two(&mut self, n: u32) {
        self.push(b'0' + (n / 10 % 10) as u8);
        self.push(b'0' + (n % 10) as u8);
    }
    fn date(&mut self, d: Date) {
        self.two(d.year() / 100);
        self.two(d.year() % 100);
        self.push(b'-');
        self.two(d.month());
        self.push(b'-');
        self.two(d.day());
    }
    fn time(&mut self, t: Time, fsp: u8) {
        if t.is_negative() {
            self.push(b'-');
        }
        let hours = t.hours();
        if hours < 100 {
            self.two(hours);
        } else {
            let digits = hours.ilog10();
            for place in (0..=digits).rev() {
                self.push(b'0' + (hours / 10u32.pow(place) % 10) as u8);
            }
        }
        self.push(b':');
        self.two(t.minutes());
        self.push(b':');
        self.two(t.seconds());
        if fsp > 0 {
            self.push(b'.');
            let mut unit = 100_000;
            for _ in 0..fsp.min(6) {
                self.push(b'0' + (t.microseconds() / unit % 10) as u8);
                unit /= 10;
            }
        }
    }
    fn of_date(d: Date) -> Self {
        let mut text = Self::new();
        text.date(d);
        text
    }
    fn of_time(t: Time, fsp: u8) -> Self {
        let mut text = Self::new();
        text.time(t, fsp);
        text
    }
    fn of_datetime(t: DateTime, fsp: u8) -> Self {
        let mut text = Self::of_date(t.date());
        text.push(b' ');
        text.time(t.time(), fsp);
        text
    }
    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(self.bytes()).map_err(|_| fmt::Error)?)
    }
}

/// 'YYYY-MM-DD'
impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Text::of_date(*self).fmt(f)
    }
}

impl Date {
    /// Appends what [`Display`](fmt::Display) shows.
    pub fn write_text(self, out: &mut Vec<u8>) {
        out.extend_from_slice(Text::of_date(self).bytes())
    }
}
impl Time {
    /// '[-]HH:MM:SS' and `fsp` decimals.
    pub fn display(self, fsp: u8) -> impl fmt::Display {
        Text::of_time(self, fsp)
    }
    pub fn write_text(self, fsp: u8, out: &mut Vec<u8>) {
        out.extend_from_slice(Text::of_time(self, fsp).bytes())
    }
}
impl DateTime {
    /// 'YYYY-MM-DD HH:MM:SS' and `fsp` decimals.
    pub fn display(self, fsp: u8) -> impl fmt::Display {
        Text::of_datetime(self, fsp)
    }
    pub fn write_text(self, fsp: u8, out: &mut Vec<u8>) {
        out.extend_from_slice(Text::of_datetime(self, fsp).bytes())
    }
}
