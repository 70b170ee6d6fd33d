//! What aggregators and leaves say to each other.
//!
//! Owns:     the shapes of requests and answers.
//! Promises: what was encoded decodes to the same; other bytes are an error.
//! Never:    has a version of its own: nodes that speak with each other have agreed on the protocol's.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use weald_expr::Expr;
use weald_expr::carried::{CarriedStatement, StatementEffects};
use weald_plan::fragment::Access;
use weald_plan::query::Locking;
use weald_txn::Isolation;
use weald_types::{Fault, IndexId, PartitionId, SchemaVersion, TableId, Timestamp, TxnId, Value};

/// A piece of work for one leaf.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Request<'a> {
    /// A session's facts, encoded: the same bytes as long as they are the same, so that the leaf knows them again.
    pub facts: &'a [u8],
    pub head: Head<'a>,
    pub task: Task<'a>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Head<'a> {
    /// The version of the catalogue that the plan was made by; the leaf has followed as far, or waits until it has.
    pub catalog: u64,
    pub at: Timestamp,
    pub branch: Option<BranchHead>,
    pub lock_wait_millis: u64,
    /// What the statement may hold on the leaf.
    pub memory_bytes: u64,
    pub statement: CarriedStatement,
    pub params: Cow<'a, [Value]>,
}

/// In which transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BranchHead {
    pub txn: TxnId,
    /// At READ COMMITTED each statement reads at a time of its own.
    pub read_committed: bool,
    /// The number of the statement: what it changes can be taken back by it.
    pub statement: u64,
    /// First, everything that statements from this one on have changed is taken back.
    pub undo: Option<u64>,
    /// Nothing that it did on this leaf was answered before. Otherwise the leaf must know it, or what it did there is lost.
    pub begins: bool,
}

impl BranchHead {
    pub fn isolation(self) -> Isolation {
        if self.read_committed { Isolation::ReadCommitted } else { Isolation::RepeatableRead }
    }
}

/// A table, in the version that a plan was made for; and how its rows are shared out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TableAt {
    pub id: TableId,
    pub version: SchemaVersion,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Task<'a> {
    /// `plan`: encoded ways of one read ([`weald_plan::carried::CarriedFragment`]), of which the leaf takes the cheapest.
    Read {
        plan: &'a [u8],
        /// The partitions' numbers in their database, each with rows that are not to be read.
        parts: Vec<(u32, Vec<Vec<u8>>)>,
        /// The answer is the whole, and so must be in order.
        alone: bool,
        /// A row's locator stands behind its columns.
        placed: bool,
    },
    /// UPDATE or DELETE in place, of everything that is found.
    Change { plan: &'a [u8], ordinals: Vec<u32>, first_row: u64 },
    /// The rows that an UPDATE or DELETE finds, at most `most` of them, with what they are ordered by.
    Find { plan: &'a [u8], ordinals: Vec<u32>, most: Option<u64> },
    /// Changes of rows, one after the other, until one is refused.
    Rows { table: TableAt, ordinal: u32, ops: Vec<RowOp<'a>> },
    /// Rows are entered into indexes that are not ready.
    Fill { table: TableAt, indexes: Vec<IndexId> },
    /// The greatest AUTO_INCREMENT value up to this one.
    Greatest { table: TableAt, upto: u64 },
    /// Of each row its bytes, as the statement's time has it.
    Fetch { table: TableAt, ordinal: u32, handles: Vec<Cow<'a, [u8]>> },
}

/// Rows of a table, one piece after the other.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ScanRequest<'a> {
    pub facts: &'a [u8],
    pub head: Head<'a>,
    pub table: TableAt,
    pub ordinals: Vec<u32>,
    pub kind: ScanKind<'a>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ScanKind<'a> {
    /// Values of columns.
    Values { access: Cow<'a, Access>, filter: Option<Cow<'a, Expr>>, columns: Cow<'a, [u16]> },
    /// Whole rows as they are stored.
    Stored,
}

/// A piece of a scan's answer.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Scanned<'a> {
    Values(Vec<Vec<Value>>),
    #[serde(borrow)]
    Stored(Vec<(SchemaVersion, &'a [u8])>),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum RowOp<'a> {
    Insert(Cow<'a, [u8]>),
    /// Rows of a load: their entries in indexes may be made later.
    Load(Cow<'a, [u8]>),
    Update {
        handle: Cow<'a, [u8]>,
        row: Cow<'a, [u8]>,
    },
    Delete {
        handle: Cow<'a, [u8]>,
    },
    Lock {
        handle: Cow<'a, [u8]>,
        locking: Locking,
    },
    /// What was loaded is found by every index from here on.
    MakeEntries,
}

/// What a row's change came to, where it was not made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Refused {
    Duplicate {
        index: IndexId,
        handle: Vec<u8>,
        version: SchemaVersion,
        bytes: Vec<u8>,
    },
    Gone,
    /// Others hold it, and the lock was asked for with SKIP LOCKED.
    PassedBy,
}

/// So many changes were made, and then one was refused, if any.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Stop {
    pub made: u64,
    pub refused: Option<Refused>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct FoundRow {
    pub ordinal: u32,
    pub handle: Vec<u8>,
    pub version: SchemaVersion,
    pub bytes: Vec<u8>,
    pub key: Vec<u8>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Done {
    /// Of each partition.
    Rows(Vec<Vec<Vec<Value>>>),
    Changed {
        matched: u64,
        changed: u64,
    },
    Found(Vec<FoundRow>),
    Stop(Stop),
    Greatest(u64),
    Fetched(Vec<Option<(SchemaVersion, Vec<u8>)>>),
}

/// The answer to a [`Request`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Answer {
    pub done: Result<Done, Fault>,
    pub effects: StatementEffects,
    /// The partitions in which the branch has changes.
    pub wrote: Vec<PartitionId>,
}

/// Of a transaction's end.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum End {
    /// Its only branch with changes.
    CommitOne {
        undo: Option<u64>,
        durable: bool,
    },
    Prepare {
        undo: Option<u64>,
        participants: Vec<PartitionId>,
    },
    /// It was decided. To the first participant: it decides now.
    Commit {
        at: Timestamp,
    },
    Abort,
    /// All participants know of the decision.
    Forget,
    /// It waits in a circle, and is the one whose waiting ends.
    Victim,
    /// How did it end? An undecided one ends now.
    Outcome,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Ended {
    /// Committed, or prepared, at.
    At(Timestamp),
    /// There is nothing of it here (any more).
    Nothing,
    Aborted,
    /// Ask again.
    Undecided,
}

/// Of a gate that keeps writers out of tables.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum GateAsked {
    /// Answered when no transaction is in the tables any more.
    Close { tables: Vec<TableId>, catalog: u64, wait_millis: u64 },
    /// Once the catalogue is followed up to this version.
    Open { catalog: u64 },
}

/// From an aggregator, now and then.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Pulse {
    /// It reads at no time before this one, and never will.
    pub reads_from: Timestamp,
    /// The run of the process: what an earlier run left undecided is not going to be decided by it.
    pub run: u64,
    /// Gates that it holds closed.
    pub gates: Vec<TxnId>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Figures {
    pub tables: Vec<TableFigures>,
    /// Who waits for whom there.
    pub waits: Vec<(TxnId, TxnId)>,
}

/// Of one table in one partition.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct TableFigures {
    pub table: TableId,
    pub ordinal: u32,
    pub rows: u64,
    pub bytes: u64,
    pub auto_increment_seen: u64,
}

impl TableAt {
    pub fn of(table: &weald_catalog::TableDef) -> Self {
        Self { id: table.id, version: table.version }
    }
}
