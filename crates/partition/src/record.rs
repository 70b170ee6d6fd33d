//! The bytes of a commit in the log.
//!
//! Owns:     nothing.
//! Promises: what was encoded decodes to itself; damaged bytes are an error, never a panic.
//! Never:    adds a checksum: the log has one for every record.
//! See:      docs/format/commit-record.md

use std::sync::Arc;
use weald_types::{Epoch, PartitionId, SchemaVersion, TableId, Timestamp, TxnId};

/// What a transaction did, whole.
const WHOLE: u8 = 1;
/// What a transaction did that takes several records: because it is large, or because it commits in two phases.
const LARGE: u8 = 2;
const PART: u8 = 0;
const END: u8 = 1;
const PREPARED: u8 = 2;
const ABORTED: u8 = 3;
const PUT: u8 = 1;
const DELETE: u8 = 0;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    #[error("a commit record of version {0}, which this release does not know")]
    Newer(u8),
    #[error("a commit record is damaged")]
    Damaged,
    #[error("a transaction has {found} parts in the log and says that it has {expected}")]
    Parts { expected: u32, found: u32 },
}

/// A commit's fixed part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub txn: TxnId,
    pub at: Timestamp,
    pub epoch: Epoch,
}

/// What a record is of its transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    Whole,
    /// Not committed yet. Number 0 says that whatever parts there were before are void.
    Part {
        number: u32,
    },
    /// The commit of so many parts, and of what is in this record.
    End {
        parts: u32,
    },
    /// The last part, and the promise to commit at the record's time or later if that is decided. Who decides is the first of the participants, which are
    /// all the partitions that the transaction wrote in.
    Prepared {
        number: u32,
        participants: Arc<[PartitionId]>,
    },
    /// It was prepared, and is void.
    Aborted,
}

/// One row's change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Op<'a> {
    pub table: TableId,
    pub schema: SchemaVersion,
    pub key: &'a [u8],
    pub bytes: Option<&'a [u8]>,
}

/// A part's head has no time yet: [`Timestamp::ZERO`]. That of what is prepared has the time from which on it may commit.
pub fn begin(out: &mut Vec<u8>, head: Head, form: &Form) {
    let large = match form {
        Form::Whole => None,
        Form::Part { number } => Some((PART, *number)),
        Form::End { parts } => Some((END, *parts)),
        Form::Prepared { number, .. } => Some((PREPARED, *number)),
        Form::Aborted => Some((ABORTED, 0)),
    };
    out.push(if large.is_some() { LARGE } else { WHOLE });
    out.extend_from_slice(&head.txn.raw().to_le_bytes());
    out.extend_from_slice(&head.at.raw().to_le_bytes());
    out.extend_from_slice(&head.epoch.raw().to_le_bytes());
    if let Some((kind, number)) = large {
        out.push(kind);
        out.extend_from_slice(&number.to_le_bytes());
    }
    if let Form::Prepared { participants, .. } = form {
        out.extend_from_slice(&(participants.len() as u32).to_le_bytes());
        participants.iter().for_each(|p| out.extend_from_slice(&p.raw().to_le_bytes()));
    }
}

pub fn push(out: &mut Vec<u8>, op: Op<'_>) {
    out.push(if op.bytes.is_some() { PUT } else { DELETE });
    out.extend_from_slice(&op.table.raw().to_le_bytes());
    out.extend_from_slice(&op.schema.raw().to_le_bytes());
    out.extend_from_slice(&(op.key.len() as u32).to_le_bytes());
    out.extend_from_slice(op.key);
    if let Some(bytes) = op.bytes {
        out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        out.extend_from_slice(bytes);
    }
}

/// Reads a record from its start.
pub struct Ops<'a> {
    rest: &'a [u8],
}

pub fn read(record: &[u8]) -> Result<(Head, Form, Ops<'_>), RecordError> {
    let mut r = Ops { rest: record };
    let version = r.take(1)?[0];
    if version > LARGE {
        return Err(RecordError::Newer(version));
    }
    let head = Head { txn: TxnId::new(r.u64()?), at: Timestamp::new(r.u64()?), epoch: Epoch::new(r.u64()?) };
    // A version's stamp has no room for more.
    if head.at > Timestamp::MAX {
        return Err(RecordError::Damaged);
    }
    let form = match version {
        WHOLE => Form::Whole,
        LARGE => match (r.take(1)?[0], r.u32()?) {
            (PART, number) => Form::Part { number },
            (END, parts) => Form::End { parts },
            (PREPARED, number) => {
                let count = r.u32()? as usize;
                let ids = r.take(count.checked_mul(8).ok_or(RecordError::Damaged)?)?;
                let id = |b: &[u8]| b.try_into().ok().map(|b| PartitionId::new(u64::from_le_bytes(b)));
                let participants = ids.chunks_exact(8).map(id).collect::<Option<Arc<[_]>>>().ok_or(RecordError::Damaged)?;
                if participants.is_empty() {
                    return Err(RecordError::Damaged);
                }
                Form::Prepared { number, participants }
            }
            (ABORTED, 0) => Form::Aborted,
            _ => return Err(RecordError::Damaged),
        },
        _ => return Err(RecordError::Damaged),
    };
    Ok((head, form, r))
}

impl<'a> Ops<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], RecordError> {
        let (taken, rest) = self.rest.split_at_checked(n).ok_or(RecordError::Damaged)?;
        self.rest = rest;
        Ok(taken)
    }
    fn u32(&mut self) -> Result<u32, RecordError> {
        Ok(u32::from_le_bytes(self.take(4)?.try_into().map_err(|_| RecordError::Damaged)?))
    }
    fn u64(&mut self) -> Result<u64, RecordError> {
        Ok(u64::from_le_bytes(self.take(8)?.try_into().map_err(|_| RecordError::Damaged)?))
    }
    /// `None` at the end.
    pub fn next_op(&mut self) -> Result<Option<Op<'a>>, RecordError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let kind = self.take(1)?[0];
        if kind > PUT {
            return Err(RecordError::Damaged);
        }
        let table = TableId::new(self.u32()?);
        let schema = SchemaVersion::new(self.u32()?);
        let n = self.u32()? as usize;
        let key = self.take(n)?;
        let bytes = if kind == PUT {
            let n = self.u32()? as usize;
            Some(self.take(n)?)
        } else {
            None
        };
        Ok(Some(Op { table, schema, key, bytes }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_as_the_format_page_shows() {
        let mut out = Vec::new();
        begin(&mut out, Head { txn: TxnId::new(7), at: Timestamp::from_micros(9), epoch: Epoch::FIRST }, &Form::Whole);
        push(&mut out, Op { table: TableId::new(3), schema: SchemaVersion::new(2), key: b"k", bytes: Some(b"row") });
        push(&mut out, Op { table: TableId::new(3), schema: SchemaVersion::new(2), key: b"l", bytes: None });
        let head = [1, 7, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];
        let put = [1, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, b'k', 3, 0, 0, 0, b'r', b'o', b'w'];
        let delete = [0, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, b'l'];
        assert_eq!(out, [&head[..], &put, &delete].concat());
        let part = Head { txn: TxnId::new(7), at: Timestamp::ZERO, epoch: Epoch::FIRST };
        let prepared = Form::Prepared { number: 5, participants: [PartitionId::new(0x0102), PartitionId::new(3)].into() };
        let participants = [2, 5, 0, 0, 0, 2, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0];
        for (form, tail) in [
            (Form::Part { number: 3 }, &[0, 3, 0, 0, 0][..]),
            (Form::End { parts: 4 }, &[1, 4, 0, 0, 0]),
            (prepared, &participants),
            (Form::Aborted, &[3, 0, 0, 0, 0]),
        ] {
            let mut out = Vec::new();
            begin(&mut out, part, &form);
            let head = [2, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];
            assert_eq!(out, [&head[..], tail].concat());
            assert_eq!(read(&out).map(|(head, form, _)| (head, form)), Ok((part, form)));
        }
    }

    #[test]
    fn a_record_reads_back_and_every_cut_of_it_is_an_error_or_shorter() {
        let head = Head { txn: TxnId::new(7), at: Timestamp::from_micros(9), epoch: Epoch::FIRST };
        let ops = [
            Op { table: TableId::new(1), schema: SchemaVersion::FIRST, key: b"k1", bytes: Some(b"row") },
            Op { table: TableId::new(2), schema: SchemaVersion::FIRST, key: b"", bytes: None },
        ];
        let mut out = Vec::new();
        begin(&mut out, head, &Form::Whole);
        ops.iter().for_each(|op| push(&mut out, *op));
        let (found, form, mut rest) = read(&out).unwrap();
        assert_eq!((found, form), (head, Form::Whole));
        assert_eq!(rest.next_op().unwrap(), Some(ops[0]));
        assert_eq!(rest.next_op().unwrap(), Some(ops[1]));
        assert_eq!(rest.next_op().unwrap(), None);
        for n in 0..out.len() {
            if let Ok((_, _, mut rest)) = read(&out[..n]) {
                while let Ok(Some(_)) = rest.next_op() {}
            }
        }
    }
}
