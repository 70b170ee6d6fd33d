//! Length-encoded integers and strings, and a bounded reader.
//!
//! Owns:     nothing.
//! Promises: never reads past the end; a declared length longer than the packet is an error.
//! Never:    allocates.

use crate::Error;

pub fn put_lenenc(out: &mut Vec<u8>, n: u64) {
    match n {
        0..=250 => out.push(n as u8),
        251..=0xFFFF => {
            out.push(0xFC);
            out.extend_from_slice(&(n as u16).to_le_bytes())
        }
        0x1_0000..=0xFF_FFFF => {
            out.push(0xFD);
            out.extend_from_slice(&(n as u32).to_le_bytes()[..3])
        }
        _ => {
            out.push(0xFE);
            out.extend_from_slice(&n.to_le_bytes())
        }
    }
}

pub fn put_lenenc_bytes(out: &mut Vec<u8>, b: &[u8]) {
    put_lenenc(out, b.len() as u64);
    out.extend_from_slice(b);
}

/// Reads a packet from its start.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

const SHORT: Error = Error::Malformed("it ends too early");

impl<'a> Reader<'a> {
    pub fn new(packet: &'a [u8]) -> Self {
        Self { rest: packet }
    }
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub fn bytes(&mut self, n: usize) -> Result<&'a [u8], Error> {
        let (taken, rest) = self.rest.split_at_checked(n).ok_or(SHORT)?;
        self.rest = rest;
        Ok(taken)
    }
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        self.bytes(N)?.try_into().map_err(|_| SHORT)
    }
    pub fn u8(&mut self) -> Result<u8, Error> {
        Ok(self.array::<1>()?[0])
    }
    pub fn u16(&mut self) -> Result<u16, Error> {
        Ok(u16::from_le_bytes(self.array()?))
    }
    pub fn u32(&mut self) -> Result<u32, Error> {
        Ok(u32::from_le_bytes(self.array()?))
    }
    pub fn u64(&mut self) -> Result<u64, Error> {
        Ok(u64::from_le_bytes(self.array()?))
    }
    pub fn lenenc(&mut self) -> Result<u64, Error> {
        match self.u8()? {
            n @ 0..=250 => Ok(n as u64),
            0xFC => Ok(self.u16()? as u64),
            0xFD => {
                let b = self.bytes(3)?;
                Ok(u32::from_le_bytes([b[0], b[1], b[2], 0]) as u64)
            }
            0xFE => self.u64(),
            _ => Err(Error::Malformed("a length that is none")),
        }
    }
    pub fn lenenc_bytes(&mut self) -> Result<&'a [u8], Error> {
        let n = self.lenenc()?;
        self.bytes(usize::try_from(n).map_err(|_| SHORT)?)
    }
    /// Up to a zero byte, which is taken too; or to the end.
    pub fn zero_ended(&mut self) -> &'a [u8] {
        match self.rest.iter().position(|b| *b == 0) {
            Some(at) => {
                let s = &self.rest[..at];
                self.rest = &self.rest[at + 1..];
                s
            }
            None => std::mem::take(&mut self.rest),
        }
    }
    pub fn all(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }
}
