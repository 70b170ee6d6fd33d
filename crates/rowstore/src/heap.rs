//! Slots and versions: the only place with raw pointers.
//!
//! Owns:     the memory of slots and versions.
//! Promises: what a [`SlotRef`] or [`VersionRef`] points to lives at least as long as the [`Pin`] it was reached under.
//! Never:    decides who may see or change what: see `read.rs`, `write_set.rs`, `collect.rs`.
//!
//! # Protocol
//!
//! ```text
//! index entry ──► slot { head } ──► version { stamp, prev, schema, length } row bytes
//!                                       │ prev
//!                                       ▼
//!                                   version … older ones, each with an older stamp
//! ```
//!
//! A **slot** is the stable place of a row: entries of all indexes of the table point to it. A **version** is one allocation, header and row bytes
//! together. Its **stamp** is either the commit timestamp, or (top bit set) the address of the writer's [`Txn`] until that has ended.
//!
//! *Readers* hold a pin, take a slot from an index, and walk `head`, `prev`, `prev` … with acquire loads. They write nothing.
//!
//! *Writers* of one table are serialised by its mutex. The proof that one holds it is `&mut Graveyard`: there is one graveyard per table, inside that
//! mutex, and every operation that changes a chain asks for it. So pointers are changed by plain release stores, never by compare-and-swap, and a chain
//! cannot change under a writer's eyes. The one exception is the stamp of an uncommitted version: its writer's commit replaces it without the mutex, in
//! the order in which the versions were written. Nobody else writes it.
//!
//! *Reclamation.* 1. A version or slot is first made unreachable (head or prev moved past it; all entries of a slot removed), by the same call that puts
//! it in the graveyard, or, for a slot, right before. 2. The graveyard is emptied through the collector under which readers pin themselves, so memory is
//! freed only after every pin that existed at that moment is gone. A reader that could still reach the memory was pinned before step 1, hence before step
//! 2. A version's own `prev` is left as it was, so a reader standing on an unreachable version goes on to the versions that were behind it; those are
//! retired no earlier. The trees' nodes go the same way, through the same graveyard: a node that still shows a removed entry is only reached by a
//! reader whose pin is older than the slot's retirement.
//!
//! *The writer's Txn.* A stamp may name a [`Txn`] only while a [`crate::WriteSet`] holds a strong reference to it. The write set gives that reference up
//! through the collector ([`Pin::drop_later`]), after it has replaced every such stamp or made its version unreachable. So a pinned reader that loaded the
//! address may use it, and may take a reference of its own.

use crate::tree::DeadNode;
use sdd::Guard;
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering::*};
use weald_txn::Txn;
use weald_types::{SchemaVersion, Timestamp};

/// While it exists, nothing reached under it is freed. Not to be held over an `.await`: it belongs to its thread.
pub(crate) struct Pin(Guard);

impl Pin {
    pub(crate) fn new() -> Self {
        Self(Guard::new())
    }
    /// Drops `it` once every pin that exists now is gone.
    pub(crate) fn drop_later<T: Send + 'static>(&self, it: T) {
        self.0.defer_execute(move || drop(it));
    }
}

const BY_TXN: u64 = 1 << 63;

const TOMBSTONE: u32 = 1 << 31;
/// Some index key differs from the version before it (`prev`), or one of the two is a tombstone.
const KEYS_CHANGED: u32 = 1 << 30;
/// The same transaction wrote a newer version of the row.
const SUPERSEDED: u32 = 1 << 29;
/// A gigabyte is refused long before: max_allowed_packet's upper limit.
const LENGTH: u32 = (1 << 29) - 1;

pub(crate) const MAX_ROW_BYTES: usize = LENGTH as usize;

#[repr(C)]
struct Header {
    stamp: AtomicU64,
    prev: AtomicPtr<Header>,
    schema: u32,
    /// Only the writer's own SUPERSEDED bit ever changes.
    length_and_flags: AtomicU32,
}

const HEADER: usize = size_of::<Header>();
const _: () = assert!(HEADER == 24);

struct Slot {
    head: AtomicPtr<Header>,
}
const SLOT: usize = size_of::<Slot>();

/// A slot as an index entry holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlotPtr(NonNull<Slot>);
// SAFETY: a slot is an atomic; the pointer is followed under the protocol above only, which holds across threads.
unsafe impl Send for SlotPtr {}
// SAFETY: as above.
unsafe impl Sync for SlotPtr {}

/// A version as its writer's write set holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct VersionPtr(NonNull<Header>);
// SAFETY: all shared fields are atomics or never change after the version is published.
unsafe impl Send for VersionPtr {}
// SAFETY: as above.
unsafe impl Sync for VersionPtr {}

#[derive(Clone, Copy)]
pub(crate) struct SlotRef<'p> {
    slot: NonNull<Slot>,
    pin: PhantomData<&'p Pin>,
}

#[derive(Clone, Copy)]
pub(crate) struct VersionRef<'p> {
    header: NonNull<Header>,
    pin: PhantomData<&'p Pin>,
}

/// The transaction that wrote a version and has not stamped it.
#[derive(Clone, Copy)]
pub(crate) struct TxnRef<'p> {
    txn: NonNull<Txn>,
    pin: PhantomData<&'p Pin>,
}

pub(crate) enum Stamp<'p> {
    At(Timestamp),
    By(TxnRef<'p>),
}

/// What a version is stamped with when it is made.
#[derive(Clone, Copy)]
pub(crate) enum NewStamp<'a> {
    At(Timestamp),
    /// The caller's write set holds the reference until the stamp is replaced.
    By(&'a Arc<Txn>),
}

pub(crate) struct NewVersion<'a> {
    pub stamp: NewStamp<'a>,
    pub schema: SchemaVersion,
    /// `None`: the row is deleted.
    pub bytes: Option<&'a [u8]>,
    pub keys_changed: bool,
}

/// Memory that nothing leads to any more, waiting for its last readers. One per table, inside the table's mutex: see the protocol.
#[derive(Default)]
pub(crate) struct Graveyard {
    dead: Vec<Dead>,
}
enum Dead {
    Version(VersionPtr),
    Slot(SlotPtr),
    /// Frees itself.
    Node(#[expect(dead_code, reason = "held to be dropped")] DeadNode),
}
impl Drop for Dead {
    fn drop(&mut self) {
        match self {
            // SAFETY: a `Dead` is dropped after the last reader that could reach it (Graveyard::release), or with the table.
            Dead::Version(v) => unsafe { free_version(v.0) },
            // SAFETY: as above.
            Dead::Slot(s) => unsafe { free_slot(s.0) },
            Dead::Node(_) => (),
        }
    }
}

/// How many dead it takes to bother the collector.
const BURIAL: usize = 64;

impl Graveyard {
    pub(crate) fn take_node(&mut self, node: DeadNode) {
        self.dead.push(Dead::Node(node));
    }
    /// Gives the dead to the collector if there are many.
    pub(crate) fn release_many(&mut self, pin: &Pin) {
        if self.dead.len() >= BURIAL {
            self.release(pin);
        }
    }
    pub(crate) fn release(&mut self, pin: &Pin) {
        if !self.dead.is_empty() {
            pin.drop_later(std::mem::replace(&mut self.dead, Vec::with_capacity(BURIAL)));
        }
    }
}

fn version_layout(length: usize) -> Layout {
    Layout::from_size_align(HEADER + length, align_of::<Header>()).expect("a row's length is below MAX_ROW_BYTES")
}

/// # Safety
/// Nothing reaches the version any more.
unsafe fn free_version(header: NonNull<Header>) {
    // SAFETY: the caller's promise; the layout is the one it was allocated with, as the length never changes.
    unsafe {
        let length = (header.as_ref().length_and_flags.load(Relaxed) & LENGTH) as usize;
        dealloc(header.as_ptr().cast(), version_layout(length));
    }
}

/// # Safety
/// Nothing reaches the slot any more.
unsafe fn free_slot(slot: NonNull<Slot>) {
    // SAFETY: the caller's promise; slots come from Box::leak in SlotPtr::new.
    drop(unsafe { Box::from_raw(slot.as_ptr()) });
}

impl NewVersion<'_> {
    fn allocate(&self, prev: *mut Header) -> NonNull<Header> {
        let bytes = self.bytes.unwrap_or_default();
        assert!(bytes.len() <= MAX_ROW_BYTES, "callers refuse longer rows");
        let layout = version_layout(bytes.len());
        let mut flags = bytes.len() as u32;
        if self.bytes.is_none() {
            flags |= TOMBSTONE;
        }
        if self.keys_changed {
            flags |= KEYS_CHANGED;
        }
        let stamp = match self.stamp {
            NewStamp::At(ts) => {
                debug_assert!(ts.raw() & BY_TXN == 0);
                ts.raw()
            }
            NewStamp::By(txn) => Arc::as_ptr(txn).expose_provenance() as u64 | BY_TXN,
        };
        // SAFETY: the layout has a non-zero size; header and bytes lie within it; nobody else knows the memory yet.
        unsafe {
            let Some(header) = NonNull::new(alloc(layout).cast::<Header>()) else { handle_alloc_error(layout) };
            header.write(Header {
                stamp: AtomicU64::new(stamp),
                prev: AtomicPtr::new(prev),
                schema: self.schema.raw(),
                length_and_flags: AtomicU32::new(flags),
            });
            ptr::copy_nonoverlapping(bytes.as_ptr(), header.as_ptr().cast::<u8>().add(HEADER), bytes.len());
            header
        }
    }
}

impl SlotPtr {
    /// A slot that nobody knows yet, with its first version.
    pub(crate) fn new(first: &NewVersion<'_>) -> (Self, VersionPtr) {
        let version = first.allocate(ptr::null_mut());
        let slot = Box::new(Slot { head: AtomicPtr::new(version.as_ptr()) });
        (Self(NonNull::from(Box::leak(slot))), VersionPtr(version))
    }
    /// For an index's entry.
    pub(crate) fn raw(self) -> *mut () {
        self.0.as_ptr().cast()
    }
    /// # Safety
    /// `raw` is what [`SlotPtr::raw`] gave.
    pub(crate) unsafe fn from_raw(raw: *mut ()) -> Self {
        // SAFETY: it came from a NonNull.
        Self(unsafe { NonNull::new_unchecked(raw.cast()) })
    }
    /// Call with a pointer that an index gave under this pin, or one that cannot have been retired because the caller's uncommitted version is in it.
    pub(crate) fn under<'p>(self, _pin: &'p Pin) -> SlotRef<'p> {
        SlotRef { slot: self.0, pin: PhantomData }
    }
    /// Frees the slot and its whole chain at once, and gives what it took. Only for a table that nobody reads any more.
    pub(crate) fn free_with_versions(self) {
        // SAFETY: the caller owns the table alone: no reader, no writer.
        unsafe {
            let mut next = self.0.as_ref().head.load(Relaxed);
            while let Some(v) = NonNull::new(next) {
                next = v.as_ref().prev.load(Relaxed);
                free_version(v);
            }
            free_slot(self.0);
        }
    }
}

impl<'p> SlotRef<'p> {
    pub(crate) fn ptr(self) -> SlotPtr {
        SlotPtr(self.slot)
    }
    fn slot(self) -> &'p Slot {
        // SAFETY: alive under the pin.
        unsafe { self.slot.as_ref() }
    }
    /// Asks for the slot's memory; it will be looked at soon.
    pub(crate) fn prefetch(self) {
        prefetch(self.slot.as_ptr().cast());
    }
    /// Asks for the newest version's memory.
    pub(crate) fn prefetch_version(self) {
        prefetch(self.slot().head.load(Relaxed).cast());
    }
    /// The newest version. `None` only while the slot is being taken away.
    pub(crate) fn head(self) -> Option<VersionRef<'p>> {
        VersionRef::new(self.slot().head.load(Acquire))
    }
    /// Newest first.
    pub(crate) fn versions(self) -> impl Iterator<Item = VersionRef<'p>> {
        std::iter::successors(self.head(), |v| v.prev())
    }
    /// Puts a version on top.
    pub(crate) fn push(self, _: &mut Graveyard, new: &NewVersion<'_>) -> VersionPtr {
        let old = self.slot().head.load(Relaxed);
        let version = new.allocate(old);
        if let (Some(old), NewStamp::By(txn)) = (VersionRef::new(old), new.stamp) {
            debug_assert!(
                !matches!(old.stamp(), Stamp::By(other) if !other.is(txn) && !other.is_ended()),
                "a version on top of another transaction's"
            );
            if matches!(old.stamp(), Stamp::By(by) if by.is(txn)) {
                old.header().length_and_flags.fetch_or(SUPERSEDED, Relaxed);
            }
        }
        self.slot().head.store(version.as_ptr(), Release);
        VersionPtr(version)
    }
    /// Takes the newest version off, which must be `version`, and gives its size; the row is as it was before.
    pub(crate) fn pop(self, yard: &mut Graveyard, version: VersionPtr) -> usize {
        assert_eq!(self.slot().head.load(Relaxed), version.0.as_ptr(), "an uncommitted version is always the newest");
        let v = version.under(self.pin());
        let prev = v.header().prev.load(Relaxed);
        if let Some(prev) = VersionRef::new(prev) {
            prev.header().length_and_flags.fetch_and(!SUPERSEDED, Relaxed);
        }
        self.slot().head.store(prev, Release);
        let size = v.size();
        yard.dead.push(Dead::Version(version));
        size
    }
    /// Takes away every version older than `keep` (all of them without `keep`), and gives their size.
    pub(crate) fn cut(self, yard: &mut Graveyard, keep: Option<VersionRef<'p>>) -> usize {
        let link = match keep {
            Some(v) => &v.header().prev,
            None => &self.slot().head,
        };
        let mut next = VersionRef::new(link.load(Relaxed));
        link.store(ptr::null_mut(), Release);
        let mut bytes = 0;
        while let Some(v) = next {
            debug_assert!(matches!(v.stamp(), Stamp::At(_)) || keep.is_some(), "an uncommitted version is never collected");
            bytes += v.size();
            next = v.prev();
            yard.dead.push(Dead::Version(VersionPtr(v.header)));
        }
        bytes
    }
    /// Retires the slot itself: it has no version left, and no entry of any index leads to it.
    pub(crate) fn bury(self, yard: &mut Graveyard) -> usize {
        assert!(self.head().is_none(), "a slot is retired after its versions");
        yard.dead.push(Dead::Slot(self.ptr()));
        SLOT
    }
    fn pin(self) -> PhantomData<&'p Pin> {
        self.pin
    }
}
/// A hint: does nothing on machines that have no such instruction.
#[inline]
pub(crate) fn prefetch(at: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing, whatever the address; and SSE is part of x86_64.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(at.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}

/// Bytes of a slot: what [`SlotRef::bury`] gives back. Allocators round it up.
pub(crate) const SLOT_BYTES: usize = SLOT;

impl VersionPtr {
    fn under(self, pin: PhantomData<&Pin>) -> VersionRef<'_> {
        VersionRef { header: self.0, pin }
    }
    /// For the write set that made the version, as long as it is uncommitted: it cannot have been retired.
    pub(crate) fn of_writer(self, _pin: &Pin) -> VersionRef<'_> {
        VersionRef { header: self.0, pin: PhantomData }
    }
}

impl<'p> VersionRef<'p> {
    fn new(header: *mut Header) -> Option<Self> {
        NonNull::new(header).map(|header| Self { header, pin: PhantomData })
    }
    fn header(self) -> &'p Header {
        // SAFETY: alive under the pin.
        unsafe { self.header.as_ref() }
    }
    fn flags(self) -> u32 {
        self.header().length_and_flags.load(Relaxed)
    }
    pub(crate) fn is_same(self, other: VersionRef<'_>) -> bool {
        self.header == other.header
    }
    pub(crate) fn prev(self) -> Option<VersionRef<'p>> {
        VersionRef::new(self.header().prev.load(Acquire))
    }
    pub(crate) fn stamp(self) -> Stamp<'p> {
        let raw = self.header().stamp.load(Acquire);
        if raw & BY_TXN == 0 {
            return Stamp::At(Timestamp::new(raw));
        }
        let txn = ptr::with_exposed_provenance_mut::<Txn>((raw & !BY_TXN) as usize);
        Stamp::By(TxnRef { txn: NonNull::new(txn).expect("a stamp is made from an Arc's address"), pin: PhantomData })
    }
    /// The writer has committed. Called by the write set only, see the protocol.
    pub(crate) fn set_stamp(self, at: Timestamp) {
        debug_assert!(self.header().stamp.load(Relaxed) & BY_TXN != 0, "stamped twice");
        self.header().stamp.store(at.raw(), Release);
    }
    pub(crate) fn schema(self) -> SchemaVersion {
        SchemaVersion::new(self.header().schema)
    }
    /// The row's bytes; empty for a tombstone.
    pub(crate) fn bytes(self) -> &'p [u8] {
        let length = (self.flags() & LENGTH) as usize;
        // SAFETY: so many bytes follow the header in the same allocation, and never change.
        unsafe { std::slice::from_raw_parts(self.header.as_ptr().cast::<u8>().add(HEADER), length) }
    }
    pub(crate) fn is_tombstone(self) -> bool {
        self.flags() & TOMBSTONE != 0
    }
    pub(crate) fn keys_changed(self) -> bool {
        self.flags() & KEYS_CHANGED != 0
    }
    pub(crate) fn is_superseded(self) -> bool {
        self.flags() & SUPERSEDED != 0
    }
    /// What it takes in memory.
    pub(crate) fn size(self) -> usize {
        HEADER + (self.flags() & LENGTH) as usize
    }
}

impl TxnRef<'_> {
    pub(crate) fn is(&self, txn: &Txn) -> bool {
        ptr::eq(self.txn.as_ptr(), txn)
    }
    pub(crate) fn to_arc(self) -> Arc<Txn> {
        // SAFETY: the address came from an Arc (NewStamp::By), whose write set's reference is given up only after this pin is gone.
        unsafe {
            Arc::increment_strong_count(self.txn.as_ptr());
            Arc::from_raw(self.txn.as_ptr())
        }
    }
}
impl std::ops::Deref for TxnRef<'_> {
    type Target = Txn;
    fn deref(&self) -> &Txn {
        // SAFETY: alive under the pin, see to_arc.
        unsafe { self.txn.as_ref() }
    }
}
