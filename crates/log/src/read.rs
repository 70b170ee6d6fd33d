//! Reading the log once, from its first segment to its end.
//!
//! The question at every batch that does not check is: is this the end, torn by a crash, or was it good once? A batch is written only after the one
//! before it was synced, so a crash leaves at most *one* bad batch, with nothing good after it. The reader therefore looks on: a good batch of this
//! use of the file (its checksum is salted with the segment's) anywhere behind, or a later segment that begins with a later number, means corruption.
//!
//! Owns:     a window of one file at a time.
//! Promises: hands out whole batches in order; says where the log ends, or names the first bad byte range. Damage to the very last batch, if neither
//!           a seal nor anything else follows it, cannot be told from a torn write and counts as one.
//! Never:    changes a file.

use crate::Error;
use crate::format::{ALIGN, BATCH_HEADER, BATCH_MAGIC, BatchHeader, FLAG_SEAL, RECORD_HEADER, RecordHeader, SEAL_ALIGN, SEGMENT_HEADER};
use crate::format::{SegmentHeader, SegmentHeaderError, VERSION, align, checksum_of_record};
use crate::segment::{file_name, number_of};
use crc32fast::Hasher;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use weald_env::{Env, File, OpenMode};

pub(crate) struct SegmentFile {
    pub header: SegmentHeader,
    pub path: PathBuf,
    pub len: u64,
}

/// The segments of a log, oldest first; their numbers have no gap and their headers are good.
pub(crate) fn list(env: &Env, dir: &Path) -> Result<Vec<SegmentFile>, Error> {
    let mut numbers = Vec::new();
    for entry in env.disk.list(dir).map_err(Error::io("cannot list", dir))? {
        if let Some(number) = number_of(&entry.name) {
            numbers.push((number, entry.len));
        }
    }
    numbers.sort_unstable();
    let mut segments: Vec<SegmentFile> = Vec::with_capacity(numbers.len());
    for (number, len) in numbers {
        let path = dir.join(file_name(number));
        if let Some(last) = segments.last()
            && last.header.number + 1 != number
        {
            return Err(Error::Missing { file: dir.join(file_name(last.header.number + 1)) });
        }
        let file = env.disk.open(&path, OpenMode::Read).map_err(Error::io("cannot open", &path))?;
        let mut bytes = [0; SEGMENT_HEADER as usize];
        let n = file.read_at(&mut bytes, 0).map_err(Error::io("cannot read", &path))?;
        let header = match SegmentHeader::decode(&bytes[..n]) {
            Ok(header) => header,
            Err(SegmentHeaderError::NotASegment) => {
                return Err(Error::Foreign { file: path, what: "it does not begin as a segment of the log does" });
            }
            Err(SegmentHeaderError::Newer(found)) => return Err(Error::Newer { file: path, found, known: VERSION }),
            Err(SegmentHeaderError::Corrupt { expected, actual }) => {
                return Err(Error::Corrupt { file: path, offset: 0, what: "the segment's header", expected, actual });
            }
        };
        if header.number != number {
            return Err(Error::Foreign { file: path, what: "it is a segment of another number under this name" });
        }
        if len < header.len {
            return Err(Error::Corrupt { file: path, offset: len, what: "the file has been cut short", expected: 0, actual: 0 });
        }
        segments.push(SegmentFile { header, path, len });
    }
    Ok(segments)
}

/// One good batch. `body` holds whole records whose checksums have been checked.
pub(crate) struct Batch<'a> {
    pub segment: u64,
    /// Where the body begins in its file.
    pub offset: u64,
    pub body: &'a [u8],
}

/// Where reading stands: what the next batch has to be.
#[derive(Clone, Copy)]
struct Expected {
    seq: u64,
    prev: u32,
}

impl Expected {
    fn precedes(&self, header: &BatchHeader) -> bool {
        self.seq == header.seq && self.prev == header.prev
    }
}

/// The last good batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Last {
    /// Index into the segments.
    pub index: usize,
    pub offset: u64,
    pub end: u64,
    pub header: BatchHeader,
}

pub(crate) struct Reader {
    env: Env,
    segments: Arc<Vec<SegmentFile>>,
    window: Option<Window>,
    index: usize,
    offset: u64,
    last: Option<Last>,
}

/// A bad batch: where exactly, and what is wrong.
struct Bad {
    offset: u64,
    what: &'static str,
    expected: u32,
    actual: u32,
}

impl Reader {
    pub fn new(env: Env, segments: Arc<Vec<SegmentFile>>) -> Self {
        Self { env, segments, window: None, index: 0, offset: SEGMENT_HEADER, last: None }
    }

    /// Where the log ends, once [`Reader::next_batch`] has said so.
    pub fn last(&self) -> Option<Last> {
        self.last
    }

    /// Bytes of the log before the place of reading.
    pub fn read_bytes(&self) -> u64 {
        self.segments[..self.index].iter().map(|s| s.len).sum::<u64>() + self.offset
    }

    /// The next batch; `None` at the end of the log.
    pub fn next_batch(&mut self) -> Result<Option<Batch<'_>>, Error> {
        loop {
            if self.index >= self.segments.len() {
                return Ok(None);
            }
            let expected = self.last.map(|l| Expected { seq: l.header.seq + 1, prev: l.header.crc });
            let mut offset = self.offset;
            let mut found = self.check(self.index, offset, expected)?;
            if found.is_err() {
                // A seal keeps away from the sector of the batch before it.
                let apart = offset.next_multiple_of(SEAL_ALIGN);
                if let Ok(seal) = self.check(self.index, apart, expected)?
                    && seal.flags & FLAG_SEAL != 0
                {
                    (offset, found) = (apart, Ok(seal));
                }
            }
            match found {
                Ok(header) => {
                    let end = align(offset + BATCH_HEADER as u64 + header.body_len);
                    self.last = Some(Last { index: self.index, offset, end, header });
                    self.offset = end;
                    let segment = self.segments[self.index].header.number;
                    let body = self.bytes(self.index, offset + BATCH_HEADER as u64, header.body_len as usize)?;
                    return Ok(Some(Batch { segment, offset: offset + BATCH_HEADER as u64, body }));
                }
                Err(bad) => {
                    if !self.goes_on_after(&bad, expected)? {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Whether a good batch stands at this place.
    fn check(&mut self, index: usize, offset: u64, expected: Option<Expected>) -> Result<Result<BatchHeader, Bad>, Error> {
        let (salt, len) = (self.segments[index].header.salt, self.segments[index].len);
        let bad = |what, expected, actual| Bad { offset, what, expected, actual };
        if offset + BATCH_HEADER as u64 > len {
            return Ok(Err(bad("the segment ends", 0, 0)));
        }
        let header = match BatchHeader::decode(salt, self.bytes(index, offset, BATCH_HEADER)?) {
            Ok(header) => header,
            Err((expected, actual)) => return Ok(Err(bad("the header of a batch", expected, actual))),
        };
        if let Some(Expected { seq, prev }) = expected
            && !(Expected { seq, prev }).precedes(&header)
        {
            return Ok(Err(bad("a batch that does not follow the one before it", prev, header.prev)));
        }
        if header.body_len > len - offset - BATCH_HEADER as u64 {
            return Ok(Err(bad("the length of a batch", 0, 0)));
        }
        let start = offset + BATCH_HEADER as u64;
        let body = self.bytes(index, start, header.body_len as usize)?;
        Ok(check_body(body, &header, start).map(|()| header))
    }

    /// Called at a place where no good batch stands. `true`: the log goes on in the next segment, and reading stands there.
    fn goes_on_after(&mut self, bad: &Bad, expected: Option<Expected>) -> Result<bool, Error> {
        let corrupt = |at: &SegmentFile, bad: &Bad| {
            Err(Error::Corrupt { file: at.path.clone(), offset: bad.offset, what: bad.what, expected: bad.expected, actual: bad.actual })
        };
        let segments = Arc::clone(&self.segments);
        let least = expected.map_or(0, |e| e.seq);
        if self.later_batch(self.index, self.offset + ALIGN, least)? {
            return corrupt(&segments[self.index], bad);
        }
        // What to name if it turns out that the log goes on behind: the place where the next batch could have been, here or at the start of a later segment.
        let mut suspect = (self.index, Bad { ..*bad });
        for index in self.index + 1..self.segments.len() {
            let salt = self.segments[index].header.salt;
            let len = self.segments[index].len;
            let first = if SEGMENT_HEADER + BATCH_HEADER as u64 <= len { self.bytes(index, SEGMENT_HEADER, BATCH_HEADER)? } else { &[] };
            let untouched = first == [0; BATCH_HEADER];
            match (first.len() == BATCH_HEADER).then(|| BatchHeader::decode(salt, first)) {
                // The segment before was full. The number and the chained checksum prove that nothing is missing in between.
                Some(Ok(header)) if expected.unwrap_or(Expected { seq: 1, prev: 0 }).precedes(&header) => {
                    self.index = index;
                    self.offset = SEGMENT_HEADER;
                    return Ok(true);
                }
                Some(Ok(_)) => return corrupt(&segments[suspect.0], &suspect.1),
                Some(Err((expected, actual))) => {
                    if suspect.0 == self.index && !untouched {
                        suspect = (index, Bad { offset: SEGMENT_HEADER, what: "the header of a batch", expected, actual });
                    }
                    if self.later_batch(index, SEGMENT_HEADER + ALIGN, least)? {
                        return corrupt(&segments[suspect.0], &suspect.1);
                    }
                }
                None => {}
            }
        }
        Ok(false)
    }

    /// Whether a good header of a batch numbered `least` or later stands at or after `from`.
    fn later_batch(&mut self, index: usize, from: u64, least: u64) -> Result<bool, Error> {
        const STEP: usize = 1 << 20;
        let (salt, len) = (self.segments[index].header.salt, self.segments[index].len);
        let mut at = align(from);
        while at + BATCH_HEADER as u64 <= len {
            let take = STEP.min((len - at) as usize);
            let bytes = self.bytes(index, at, take)?;
            let mut i = 0;
            // Most of what is looked through is zeros that were allocated and never written.
            if bytes.len() % 8 == 0 && all_zero(bytes) {
                i = bytes.len();
            }
            while i + BATCH_HEADER <= bytes.len() {
                if bytes[i..i + 4] == BATCH_MAGIC && BatchHeader::decode(salt, &bytes[i..i + BATCH_HEADER]).is_ok_and(|h| h.seq >= least) {
                    return Ok(true);
                }
                i += ALIGN as usize;
            }
            // The last places of a step are looked at again with the bytes that follow.
            at += if take == STEP { (STEP - align(BATCH_HEADER as u64) as usize) as u64 } else { take as u64 };
        }
        Ok(false)
    }

    fn bytes(&mut self, index: usize, offset: u64, len: usize) -> Result<&[u8], Error> {
        if self.window.as_ref().is_none_or(|w| w.index != index) {
            let path = &self.segments[index].path;
            let file = self.env.disk.open(path, OpenMode::Read).map_err(Error::io("cannot open", path))?;
            self.window = Some(Window { index, file, start: 0, bytes: Vec::new() });
        }
        let path = &self.segments[index].path;
        match &mut self.window {
            Some(window) => window.get(offset, len, self.segments[index].len).map_err(Error::io("cannot read", path)),
            None => Ok(&[]),
        }
    }
}

fn all_zero(bytes: &[u8]) -> bool {
    bytes.chunks_exact(8).all(|c| c == [0; 8])
}

fn check_body(body: &[u8], header: &BatchHeader, start: u64) -> Result<(), Bad> {
    let mut digest = Hasher::new();
    let mut at = 0;
    for _ in 0..header.count {
        let bad = |what, expected, actual| Bad { offset: start + at as u64, what, expected, actual };
        if body.len() - at < RECORD_HEADER {
            return Err(bad("a record's header", 0, 0));
        }
        let record = RecordHeader::decode(&body[at..at + RECORD_HEADER]);
        let payload_at = at + RECORD_HEADER;
        if record.len as usize > body.len() - payload_at {
            return Err(bad("a record's length", 0, 0));
        }
        let payload = &body[payload_at..payload_at + record.len as usize];
        let actual = checksum_of_record(&body[at..payload_at], payload);
        if actual != record.crc {
            return Err(bad("a record", record.crc, actual));
        }
        digest.update(&actual.to_le_bytes());
        at = payload_at + payload.len();
    }
    let actual = digest.finalize();
    if at != body.len() || actual != header.digest || (header.count == 0) != (header.flags & FLAG_SEAL != 0) {
        return Err(Bad { offset: start, what: "a batch", expected: header.digest, actual });
    }
    Ok(())
}

struct Window {
    index: usize,
    file: Arc<dyn File>,
    start: u64,
    bytes: Vec<u8>,
}

impl Window {
    const AHEAD: usize = 1 << 20;

    /// `len` bytes at `offset`, which lie inside the file's length; what the file does not give reads as zero and fails its checksum.
    fn get(&mut self, offset: u64, len: usize, file_len: u64) -> std::io::Result<&[u8]> {
        let inside = offset >= self.start && offset + len as u64 <= self.start + self.bytes.len() as u64;
        if !inside {
            let want = len.max(Self::AHEAD.min((file_len - offset) as usize));
            // Keep what the window already has of it: a long batch is met as header first.
            let kept = (offset >= self.start).then(|| (offset - self.start) as usize).filter(|skip| *skip < self.bytes.len());
            match kept {
                Some(skip) => drop(self.bytes.drain(..skip)),
                None => self.bytes.clear(),
            }
            self.start = offset;
            let mut have = self.bytes.len();
            self.bytes.resize(want.max(have), 0);
            while have < self.bytes.len() {
                match self.file.read_at(&mut self.bytes[have..], offset + have as u64)? {
                    0 => break,
                    n => have += n,
                }
            }
        }
        let at = (offset - self.start) as usize;
        Ok(&self.bytes[at..at + len])
    }
}
