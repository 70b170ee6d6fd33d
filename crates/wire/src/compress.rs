//! The compressed protocol: frames around frames.
//!
//! Owns:     the outer sequence number and half-read frames.
//! Promises: a frame expands to at most what its header says, and that is at most 16 MiB.
//! Never:    compresses what would not become smaller.

use crate::Error;
use bytes::{Buf, BytesMut};
use flate2::{Decompress, FlushDecompress, Status};
use std::io::Write;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    Zlib,
    Zstd { level: u8 },
}

/// Below this a frame is sent as it is.
const WORTH: usize = 50;

#[derive(Debug)]
pub struct Compressor {
    algorithm: Algorithm,
    sequence: u8,
}

impl Compressor {
    pub fn new(algorithm: Algorithm) -> Self {
        Self { algorithm, sequence: 0 }
    }
    pub fn restart(&mut self) {
        self.sequence = 0
    }

    /// Moves whole compressed frames of `raw` to `plain`.
    pub fn expand(&mut self, raw: &mut BytesMut, plain: &mut BytesMut) -> Result<(), Error> {
        while raw.len() >= 7 {
            let len = u32::from_le_bytes([raw[0], raw[1], raw[2], 0]) as usize;
            let full = u32::from_le_bytes([raw[4], raw[5], raw[6], 0]) as usize;
            if raw.len() < 7 + len {
                raw.reserve(7 + len - raw.len());
                return Ok(());
            }
            self.sequence = raw[3].wrapping_add(1);
            raw.advance(7);
            let body = raw.split_to(len);
            if full == 0 {
                plain.extend_from_slice(&body);
                continue;
            }
            let expanded = match self.algorithm {
                Algorithm::Zlib => {
                    let mut out = vec![0; full];
                    let mut d = Decompress::new(true);
                    match d.decompress(&body, &mut out, FlushDecompress::Finish) {
                        Ok(Status::StreamEnd) if d.total_out() as usize == full => out,
                        _ => return Err(Error::Compression),
                    }
                }
                Algorithm::Zstd { .. } => {
                    let mut out = Vec::with_capacity(full);
                    let mut d = zstd::bulk::Decompressor::new().map_err(|_| Error::Compression)?;
                    d.decompress_to_buffer(&body, &mut out).map_err(|_| Error::Compression)?;
                    if out.len() != full {
                        return Err(Error::Compression);
                    }
                    out
                }
            };
            plain.extend_from_slice(&expanded);
        }
        Ok(())
    }

    /// Frames for `plain`, appended to `out`.
    pub fn pack(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        for piece in plain.chunks(crate::frame::MAX_FRAME) {
            let packed = if piece.len() < WORTH { None } else { Some(self.shrink(piece)?).filter(|p| p.len() < piece.len()) };
            let (body, full) = match &packed {
                Some(p) => (p.as_slice(), piece.len()),
                None => (piece, 0),
            };
            out.extend_from_slice(&(body.len() as u32).to_le_bytes()[..3]);
            out.push(self.sequence);
            self.sequence = self.sequence.wrapping_add(1);
            out.extend_from_slice(&(full as u32).to_le_bytes()[..3]);
            out.extend_from_slice(body);
        }
        Ok(())
    }

    fn shrink(&self, piece: &[u8]) -> Result<Vec<u8>, Error> {
        match self.algorithm {
            Algorithm::Zlib => {
                let mut e = flate2::write::ZlibEncoder::new(Vec::with_capacity(piece.len() / 2), flate2::Compression::default());
                e.write_all(piece).and_then(|()| e.finish()).map_err(|_| Error::Compression)
            }
            Algorithm::Zstd { level } => zstd::bulk::compress(piece, level.clamp(1, 22) as i32).map_err(|_| Error::Compression),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_expands_to_itself() {
        for algorithm in [Algorithm::Zlib, Algorithm::Zstd { level: 3 }] {
            let plain: Vec<u8> = (0..100_000u32).map(|i| (i / 100) as u8).collect();
            let mut packed = Vec::new();
            Compressor::new(algorithm).pack(&plain, &mut packed).unwrap();
            Compressor::new(algorithm).pack(b"short", &mut packed).unwrap();
            assert!(packed.len() < plain.len() / 10);
            let mut got = BytesMut::new();
            Compressor::new(algorithm).expand(&mut BytesMut::from(&packed[..]), &mut got).unwrap();
            assert_eq!(&got[..plain.len()], &plain[..]);
            assert_eq!(&got[plain.len()..], b"short");
            // Damage is an error, not a surprise.
            let n = packed.len() / 2;
            packed[20] ^= 0x55;
            packed[n] ^= 0xFF;
            let _ = Compressor::new(algorithm).expand(&mut BytesMut::from(&packed[..]), &mut BytesMut::new());
        }
    }
}
