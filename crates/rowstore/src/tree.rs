//! A B+tree from byte strings to slots: one writer, readers that never wait for it.
//!
//! Owns:     its nodes; not the slots that its entries lead to.
//! Promises: a reader sees every change whole or not at all; an entry that stood there before a lookup began, and stays, is found.
//! Never:    frees a node under a reader: what is replaced goes to the table's graveyard, behind the readers of that moment.
//!
//! A node is one block of memory with all its entries' keys in it, so a search touches few cache lines and a key costs its bytes and some more. A leaf's
//! values are slots; an inner node's are children, each under a key that is not greater than any key below it. The key of an inner node's first child says
//! nothing: it takes whatever is smaller than the second one's.
//!
//! # How it changes
//!
//! Entries are written into a node one behind the other, and stay as they are until the node is replaced, but for the child pointers of inner nodes. Which
//! of them count, and in which order, says a list of their numbers. There are two such lists in a node; a change writes the one that does not hold and then
//! exchanges the two, with the length, in one store of `state`. A reader copies the list and looks whether `state` has stayed the same: if not, it copies
//! again. So an entry comes or goes without a copy of the others, and becomes visible by one store.
//!
//! A node that is full is replaced by a larger one, or by two; small neighbours are replaced by one. The order of the stores keeps every key reachable:
//!
//! - one for one: the pointer to it is exchanged.
//! - two for one: the right one gets its entry in the parent; then the left one takes the old one's pointer. Between, the old one has all keys of both.
//! - one for two: it takes the left one's pointer; then the right one's entry goes. Between, both have the right one's keys.
//! - where the parent itself is full, it is made anew with both, and the pointer to it is exchanged.
//!
//! A reader that has loaded a child's pointer looks once more whether the parent's `state` has stayed the same: so it never follows a pointer of after a
//! change by a list of before. A node that was replaced does not change any more: a reader inside it sees the tree as it was when the node was replaced,
//! which is later than its lookup began.
//!
//! Writers are serialised by the table's mutex, and show that they hold it by the graveyard that lies within.

use crate::heap::{Graveyard, Pin, SlotPtr, SlotRef, prefetch};
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cmp::Ordering as Order;
use std::marker::PhantomData;
use std::ops::Bound;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering::*, fence};

/// Entries of a node. Few in tests, so that small trees are deep.
const MOST: usize = if cfg!(test) { 6 } else { 64 };
/// A node with fewer is joined with a neighbour if both have room together.
const FEW: usize = MOST / 3;
/// Key bytes of a node that has more than a few entries.
const MOST_BYTES: usize = 8 << 10;
/// The room of a tree's first leaf: most tables are small.
const FIRST: usize = if cfg!(test) { 2 } else { 8 };

/// What an entry takes besides its key's bytes: slot, end of the key, and its share of the nodes' heads, of their room, and of the inner nodes.
pub(crate) const ENTRY_BYTES: usize = 20;

/// The numbers of a node's entries, in the order of their keys.
const LIST_BYTES: usize = MOST.next_multiple_of(8);
type List = [AtomicU64; LIST_BYTES / 8];

#[derive(Default)]
pub(crate) struct Tree {
    root: AtomicPtr<Node>,
}

/// The head of a block. Behind it: `capacity` values, `capacity` ends of keys, `bytes` bytes of keys.
#[repr(C)]
struct Node {
    /// How often it has changed, times 256, plus the number of entries that count. The list that holds is the one of the first number's lowest bit.
    state: AtomicU64,
    lists: [List; 2],
    /// Entries written, whether they count or not. For the writer only.
    written: AtomicU32,
    capacity: u32,
    bytes: u32,
    /// 0 for a leaf.
    level: u32,
}
const HEAD: usize = size_of::<Node>();
const LINE: usize = 64;
const _: () = assert!(HEAD.is_multiple_of(align_of::<AtomicPtr<()>>()) && MOST < 256);

/// A node that nothing leads to any more.
#[derive(Debug)]
pub(crate) struct DeadNode(NonNull<Node>);
// SAFETY: whoever has it may free it, and nothing else can be done with it.
unsafe impl Send for DeadNode {}

/// A node, for as long as the pin (or the writer's call) lasts.
#[derive(Clone, Copy)]
struct NodeRef<'p> {
    node: NonNull<Node>,
    lives: PhantomData<&'p Node>,
}

/// A node's entries at some moment.
#[derive(Clone, Copy)]
struct View<'p> {
    node: NodeRef<'p>,
    state: u64,
    list: [u8; LIST_BYTES],
}

/// Some of the entries that a new node is made of.
#[derive(Clone, Copy)]
enum Piece<'a> {
    Of(&'a View<'a>, usize, usize),
    One(&'a [u8], *mut ()),
}

/// Room in a new node.
#[derive(Clone, Copy, PartialEq)]
enum Room {
    Little,
    Some,
    Full,
}

/// What a change below means for the parent.
enum Below<'p> {
    /// Nothing was changed.
    Not,
    Done,
    /// This takes the node's place.
    One(NodeRef<'p>),
    /// These two do; the second from this key on.
    Two(NodeRef<'p>, Box<[u8]>, NodeRef<'p>),
    /// The node stays, and gets a neighbour to its right, from this key on.
    Beside(Box<[u8]>, NodeRef<'p>),
    /// The node stays, and has become small.
    Small,
    /// Its last entry is gone.
    Gone,
}

fn layout(capacity: usize, bytes: usize) -> Layout {
    Layout::from_size_align(HEAD + capacity * (size_of::<AtomicPtr<()>>() + size_of::<u32>()) + bytes, align_of::<Node>())
        .expect("a node's keys are a few kilobytes, or a few keys")
}

impl Drop for DeadNode {
    fn drop(&mut self) {
        // SAFETY: nothing leads to the node, and its last reader is gone (Graveyard) or never was; the layout is the one it was allocated with.
        unsafe {
            let (capacity, bytes) = (self.0.as_ref().capacity as usize, self.0.as_ref().bytes as usize);
            dealloc(self.0.as_ptr().cast(), layout(capacity, bytes));
        }
    }
}

impl<'p> NodeRef<'p> {
    fn new(node: *mut Node) -> Option<Self> {
        NonNull::new(node).map(|node| Self { node, lives: PhantomData })
    }
    /// A node whose entries are those of the pieces, in this order.
    fn build(level: u32, pieces: &[Piece<'_>], room: Room) -> Self {
        let (len, bytes) = size(pieces);
        let capacity = match room {
            Room::Little => len * 5 / 4 + 1,
            Room::Some => (2 * len).max(FIRST),
            Room::Full => MOST,
        };
        let capacity = capacity.min(MOST).max(len);
        let byte_capacity = bytes.div_ceil(len) * capacity;
        let byte_capacity = if byte_capacity > MOST_BYTES { bytes.max(MOST_BYTES) } else { byte_capacity };
        let layout = layout(capacity, byte_capacity);
        // SAFETY: the layout has a non-zero size, and the head lies within it; nobody else knows the memory yet.
        let node = unsafe {
            let Some(node) = NonNull::new(alloc(layout).cast::<Node>()) else { handle_alloc_error(layout) };
            node.write(Node {
                state: AtomicU64::new(0),
                lists: Default::default(),
                written: AtomicU32::new(0),
                capacity: capacity as u32,
                bytes: byte_capacity as u32,
                level,
            });
            Self { node, lives: PhantomData }
        };
        let mut list = [0; LIST_BYTES];
        let mut n = 0;
        let mut add = |key: &[u8], value| {
            // See the module's head: a first child's key is not needed.
            let there = node.write(if level > 0 && n == 0 { b"" } else { key }, value);
            assert!(there, "the room was counted");
            list[n] = n as u8;
            n += 1;
        };
        for piece in pieces {
            match *piece {
                Piece::One(key, value) => add(key, value),
                Piece::Of(from, a, b) => (a..b).for_each(|i| add(from.key(i), from.value(i).load(Relaxed))),
            }
        }
        node.publish(&list, n);
        node
    }
    fn head(self) -> &'p Node {
        // SAFETY: alive for 'p.
        unsafe { self.node.as_ref() }
    }
    fn level(self) -> u32 {
        self.head().level
    }
    fn capacity(self) -> usize {
        self.head().capacity as usize
    }
    fn value_ptr(self, n: usize) -> *mut AtomicPtr<()> {
        debug_assert!(n <= self.capacity());
        // SAFETY: `capacity` values follow the head in the same block.
        unsafe { self.node.as_ptr().cast::<u8>().add(HEAD).cast::<AtomicPtr<()>>().add(n) }
    }
    fn end_ptr(self, n: usize) -> *mut u32 {
        debug_assert!(n <= self.capacity());
        // SAFETY: the ends follow the values.
        unsafe { self.value_ptr(self.capacity()).cast::<u32>().add(n) }
    }
    fn bytes_ptr(self) -> *mut u8 {
        self.end_ptr(self.capacity()).cast()
    }
    /// Where the key of entry number `n` begins, which is where the one before it ends. The entries before it have been published.
    fn start(self, n: usize) -> usize {
        // SAFETY: their ends were written before they were published, and do not change.
        if n == 0 { 0 } else { unsafe { self.end_ptr(n - 1).read() as usize } }
    }
    /// Entry number `n`, which has been published.
    fn key(self, n: usize) -> &'p [u8] {
        let (start, end) = (self.start(n), self.start(n + 1));
        // SAFETY: as in `start`; the writer writes behind published bytes only.
        unsafe { std::slice::from_raw_parts(self.bytes_ptr().add(start), end - start) }
    }
    fn value(self, n: usize) -> &'p AtomicPtr<()> {
        // SAFETY: as in `start`.
        unsafe { &*self.value_ptr(n) }
    }
    fn view(self) -> View<'p> {
        let head = self.head();
        // The head's lines come together; so do, in a leaf, those of the keys: a search would wait for half of them, one after the other.
        let line = |n: usize| prefetch(self.node.as_ptr().cast::<u8>().wrapping_add(n * LINE));
        (1..HEAD.div_ceil(LINE)).for_each(line);
        if head.level == 0 {
            let keys = HEAD + head.capacity as usize * size_of::<AtomicPtr<()>>();
            (keys / LINE..(keys + head.capacity as usize * size_of::<u32>() + head.bytes as usize).div_ceil(LINE)).for_each(line);
        }
        loop {
            let state = head.state.load(Acquire);
            let mut list = [0; LIST_BYTES];
            for (to, from) in list.as_chunks_mut().0.iter_mut().zip(&head.lists[(state >> 8) as usize & 1]) {
                *to = from.load(Relaxed).to_ne_bytes();
            }
            let view = View { node: self, state, list };
            if view.holds() {
                return view;
            }
            std::hint::spin_loop();
        }
    }
    /// Makes these the entries that count. The writer's.
    fn publish(self, list: &[u8; LIST_BYTES], len: usize) {
        let head = self.head();
        let change = (head.state.load(Relaxed) >> 8) + 1;
        // Whoever reads some of the new list and then looks at the state (`View::holds`) finds at least the state that was stored before.
        fence(Release);
        for (from, to) in list.as_chunks().0.iter().zip(&head.lists[change as usize & 1]) {
            to.store(u64::from_ne_bytes(*from), Relaxed);
        }
        head.state.store(change << 8 | len as u64, Release);
    }
    /// Writes an entry behind all others; nobody sees it yet. False if there is no room.
    fn write(self, key: &[u8], value: *mut ()) -> bool {
        let n = self.head().written.load(Relaxed) as usize;
        let start = self.start(n);
        if n == self.capacity() || start + key.len() > self.head().bytes as usize {
            return false;
        }
        // SAFETY: within the block as just checked; no reader looks at an entry that was not published, and there is one writer.
        unsafe {
            self.value_ptr(n).write(AtomicPtr::new(value));
            self.end_ptr(n).write((start + key.len()) as u32);
            ptr::copy_nonoverlapping(key.as_ptr(), self.bytes_ptr().add(start), key.len());
        }
        self.head().written.store(n as u32 + 1, Relaxed);
        true
    }
    /// As a parent's entry.
    fn raw(self) -> *mut () {
        self.node.as_ptr().cast()
    }
    fn dead(self) -> DeadNode {
        DeadNode(self.node)
    }
}

impl<'p> View<'p> {
    /// Whether the node is still as it was.
    fn holds(&self) -> bool {
        fence(Acquire);
        self.node.head().state.load(Relaxed) == self.state
    }
    fn len(&self) -> usize {
        self.state as usize & 0xFF
    }
    /// `i` is below the length, as everywhere here.
    fn key(&self, i: usize) -> &'p [u8] {
        self.node.key(self.list[i] as usize)
    }
    fn value(&self, i: usize) -> &'p AtomicPtr<()> {
        self.node.value(self.list[i] as usize)
    }
    fn child(&self, i: usize) -> NodeRef<'p> {
        debug_assert!(self.node.level() > 0);
        NodeRef::new(self.value(i).load(Acquire).cast()).expect("an inner node's values are nodes")
    }
    fn slot(&self, i: usize, pin: &'p Pin) -> SlotRef<'p> {
        debug_assert!(self.node.level() == 0);
        // SAFETY: a leaf's values come from `SlotPtr::raw`.
        unsafe { SlotPtr::from_raw(self.value(i).load(Relaxed)) }.under(pin)
    }
    fn all(&'p self) -> Piece<'p> {
        Piece::Of(self, 0, self.len())
    }
    /// The first position from `from` on whose key is not less, or for `or_equal` not less and not equal.
    fn search(&self, from: usize, key: &[u8], or_equal: bool) -> usize {
        let (mut low, mut high) = (from, self.len());
        while low < high {
            let middle = (low + high) / 2;
            let less = match compare(self.key(middle), key) {
                Order::Less => true,
                Order::Equal => or_equal,
                Order::Greater => false,
            };
            if less { low = middle + 1 } else { high = middle }
        }
        low
    }
    /// In a leaf, where the key is or would be; and whether it is there.
    fn find(&self, key: &[u8]) -> (usize, bool) {
        let i = self.search(0, key, false);
        (i, i < self.len() && self.key(i) == key)
    }
    /// In a leaf, where entries from `low` on begin.
    fn from(&self, low: Bound<&[u8]>) -> usize {
        match low {
            Bound::Included(key) => self.search(0, key, false),
            Bound::Excluded(key) => self.search(0, key, true),
            Bound::Unbounded => 0,
        }
    }
    /// In a leaf, where entries up to `high` end.
    fn to(&self, high: Bound<&[u8]>) -> usize {
        match high {
            Bound::Included(key) => self.search(0, key, true),
            Bound::Excluded(key) => self.search(0, key, false),
            Bound::Unbounded => self.len(),
        }
    }
    /// Which child a key belongs to.
    fn child_for(&self, key: &[u8]) -> usize {
        self.search(1, key, true) - 1
    }
    /// Which child holds what is just below a key.
    fn child_below(&self, key: &[u8]) -> usize {
        self.search(1, key, false) - 1
    }

    // ------------------------------------------------------------------ the writer's, on a view that holds

    /// Adds an entry at a position; false if there is no room.
    fn insert(&self, at: usize, key: &[u8], value: *mut ()) -> bool {
        let number = self.node.head().written.load(Relaxed);
        if !self.node.write(key, value) {
            return false;
        }
        let (mut list, len) = (self.list, self.len());
        list.copy_within(at..len, at + 1);
        list[at] = number as u8;
        self.node.publish(&list, len + 1);
        true
    }
    fn remove(&self, at: usize) {
        let (mut list, len) = (self.list, self.len());
        list.copy_within(at + 1..len, at);
        self.node.publish(&list, len - 1);
    }
    fn set_child(&self, i: usize, child: NodeRef<'_>) {
        self.value(i).store(child.raw(), Release);
    }
}

/// As slices compare; keys mostly differ within eight bytes, which need no call.
fn compare(a: &[u8], b: &[u8]) -> Order {
    match (a.split_first_chunk(), b.split_first_chunk()) {
        (Some((a, rest_of_a)), Some((b, rest_of_b))) => u64::from_be_bytes(*a).cmp(&u64::from_be_bytes(*b)).then_with(|| rest_of_a.cmp(rest_of_b)),
        _ => a.cmp(b),
    }
}

/// Entries and key bytes.
fn size(pieces: &[Piece<'_>]) -> (usize, usize) {
    pieces.iter().fold((0, 0), |(n, bytes), piece| match *piece {
        Piece::Of(view, a, b) => (n + b - a, bytes + (a..b).map(|i| view.key(i).len()).sum::<usize>()),
        Piece::One(key, _) => (n + 1, bytes + key.len()),
    })
}

/// The pieces up to entry `cut`, and from there on.
fn cut<'a>(pieces: &[Piece<'a>], cut: usize) -> (Vec<Piece<'a>>, Vec<Piece<'a>>) {
    let (mut left, mut right) = (Vec::with_capacity(4), Vec::with_capacity(4));
    let mut passed = 0;
    for piece in pieces {
        match *piece {
            Piece::Of(view, a, b) => {
                let middle = a + cut.saturating_sub(passed).min(b - a);
                left.push(Piece::Of(view, a, middle));
                right.push(Piece::Of(view, middle, b));
                passed += b - a;
            }
            Piece::One(..) => {
                if passed < cut { &mut left } else { &mut right }.push(*piece);
                passed += 1;
            }
        }
    }
    (left, right)
}

fn first_key<'a>(pieces: &[Piece<'a>]) -> Option<&'a [u8]> {
    pieces.iter().find_map(|piece| match *piece {
        Piece::Of(view, a, b) => (a < b).then(|| view.key(a)),
        Piece::One(key, _) => Some(key),
    })
}

fn last_key<'a>(pieces: &[Piece<'a>]) -> Option<&'a [u8]> {
    pieces.iter().rev().find_map(|piece| match *piece {
        Piece::Of(view, a, b) => (a < b).then(|| view.key(b - 1)),
        Piece::One(key, _) => Some(key),
    })
}

fn fits(pieces: &[Piece<'_>], most: usize) -> bool {
    let (len, bytes) = size(pieces);
    len <= most && (bytes <= MOST_BYTES || len < 4)
}

/// The shortest key that is greater than `left` and not greater than `right`.
fn between(left: &[u8], right: &[u8]) -> Box<[u8]> {
    let common = left.iter().zip(right).take_while(|(a, b)| a == b).count();
    right[..right.len().min(common + 1)].into()
}

/// From where on the second of two neighbours is responsible.
fn border(level: u32, left: &[Piece<'_>], right: &[Piece<'_>]) -> Box<[u8]> {
    match (level, last_key(left), first_key(right)) {
        (0, Some(left), Some(right)) => between(left, right),
        (_, _, right) => right.unwrap_or_default().into(),
    }
}

/// One node, or two, with these entries; `new` is the position of one that was added. At the tree's right end nodes are left full and get room, as more
/// is likely to come behind.
fn remade<'p>(level: u32, pieces: &[Piece<'_>], rightmost: bool, new: usize) -> Below<'p> {
    if fits(pieces, MOST) {
        return Below::One(NodeRef::build(level, pieces, if rightmost { Room::Some } else { Room::Little }));
    }
    let (len, _) = size(pieces);
    let at = if rightmost && new * 8 >= len * 7 { new } else { len / 2 };
    let (left, right) = cut(pieces, at);
    let from = border(level, &left, &right);
    let left = NodeRef::build(level, &left, Room::Little);
    let right = NodeRef::build(level, &right, if rightmost { Room::Full } else { Room::Little });
    Below::Two(left, from, right)
}

impl Tree {
    fn root<'p>(&self) -> Option<NodeRef<'p>> {
        NodeRef::new(self.root.load(Acquire))
    }
    fn set_root(&self, node: Option<NodeRef<'_>>) {
        self.root.store(node.map_or(ptr::null_mut(), |n| n.node.as_ptr()), Release);
    }
    pub(crate) fn is_empty(&self) -> bool {
        self.root().is_none()
    }

    // ------------------------------------------------------------------ readers

    /// Down to a leaf, by the child that `which` chooses; tells `passed` of each choice.
    fn descend<'p>(&self, which: impl Fn(&View<'p>) -> usize, mut passed: impl FnMut(&View<'p>, usize)) -> Option<View<'p>> {
        let mut node = self.root()?;
        loop {
            let view = node.view();
            if node.level() == 0 {
                return Some(view);
            }
            let i = which(&view);
            let child = view.child(i);
            if view.holds() {
                passed(&view, i);
                node = child;
            }
        }
    }
    /// About which part of the entries lies before `key`, by where it falls in the nodes on the way down to it.
    pub(crate) fn part_before(&self, key: &[u8], _pin: &Pin) -> f64 {
        let (mut before, mut share) = (0.0, 1.0);
        let leaf = self.descend(
            |view| view.child_for(key),
            |view, i| {
                share /= view.len() as f64;
                before += share * i as f64;
            },
        );
        leaf.map_or(0.0, |leaf| before + share * leaf.from(Bound::Included(key)) as f64 / leaf.len().max(1) as f64)
    }
    pub(crate) fn get<'p>(&self, key: &[u8], pin: &'p Pin) -> Option<SlotRef<'p>> {
        let leaf: View<'p> = self.descend(|view| view.child_for(key), |_, _| ())?;
        match leaf.find(key) {
            (i, true) => Some(leaf.slot(i, pin)),
            (_, false) => None,
        }
    }
    /// Entries from `low` to `high`, in order.
    pub(crate) fn forward<'p, 'b>(&'p self, low: Bound<&[u8]>, high: Bound<&'b [u8]>, pin: &'p Pin) -> Forward<'p, 'b> {
        let mut entries = Forward { tree: self, pin, leaf: None, high, behind: None };
        entries.enter(low);
        entries
    }
    /// Entries from `high` down to `low`.
    pub(crate) fn backward<'p, 'b>(&'p self, low: Bound<&'b [u8]>, high: Bound<&[u8]>, pin: &'p Pin) -> Backward<'p, 'b> {
        let mut entries = Backward { tree: self, pin, leaf: None, low, before: None };
        entries.enter(high);
        entries
    }

    // ------------------------------------------------------------------ the writer

    /// False if the key is there already.
    pub(crate) fn insert(&self, key: &[u8], slot: SlotPtr, yard: &mut Graveyard) -> bool {
        let Some(root) = self.root() else {
            self.set_root(Some(NodeRef::build(0, &[Piece::One(key, slot.raw())], Room::Some)));
            return true;
        };
        let above = |left: NodeRef<'_>, from: &[u8], right: NodeRef<'_>| {
            self.set_root(Some(NodeRef::build(root.level() + 1, &[Piece::One(b"", left.raw()), Piece::One(from, right.raw())], Room::Some)));
        };
        match insert_below(root, true, key, slot.raw(), yard) {
            Below::Not => return false,
            Below::Done => (),
            Below::One(node) => {
                self.set_root(Some(node));
                yard.take_node(root.dead());
            }
            Below::Two(left, from, right) => {
                above(left, &from, right);
                yard.take_node(root.dead());
            }
            Below::Beside(from, right) => above(root, &from, right),
            Below::Small | Below::Gone => unreachable!("an insert takes nothing away"),
        }
        true
    }
    /// False if it is not there.
    pub(crate) fn remove(&self, key: &[u8], yard: &mut Graveyard) -> bool {
        let Some(mut root) = self.root() else { return false };
        match remove_below(root, key, yard) {
            Below::Not => return false,
            Below::Done | Below::Small => (),
            Below::Gone => {
                self.set_root(None);
                yard.take_node(root.dead());
                return true;
            }
            Below::One(_) | Below::Two(..) | Below::Beside(..) => unreachable!("a removal adds nothing"),
        }
        // A single child needs nobody above it.
        while root.level() > 0 && root.view().len() == 1 {
            let only = root.view().child(0);
            self.set_root(Some(only));
            yard.take_node(root.dead());
            root = only;
        }
        true
    }
}

fn insert_below<'p>(node: NodeRef<'p>, rightmost: bool, key: &[u8], value: *mut (), yard: &mut Graveyard) -> Below<'p> {
    let view = node.view();
    let len = view.len();
    if node.level() == 0 {
        return match view.find(key) {
            (_, true) => Below::Not,
            (at, false) => add(&view, at, rightmost, key, value),
        };
    }
    let i = view.child_for(key);
    let child = view.child(i);
    match insert_below(child, rightmost && i + 1 == len, key, value, yard) {
        Below::One(new) => {
            view.set_child(i, new);
            yard.take_node(child.dead());
            Below::Done
        }
        Below::Two(left, from, right) => {
            yard.take_node(child.dead());
            if view.insert(i + 1, &from, right.raw()) {
                view.set_child(i, left);
                return Below::Done;
            }
            let both = [Piece::One(view.key(i), left.raw()), Piece::One(&from, right.raw())];
            remade(node.level(), &[Piece::Of(&view, 0, i), both[0], both[1], Piece::Of(&view, i + 1, len)], rightmost, i + 1)
        }
        Below::Beside(from, right) => add(&view, len, rightmost, &from, right.raw()),
        unchanged @ (Below::Not | Below::Done | Below::Small | Below::Gone) => unchanged,
    }
}

/// An entry at a position: in place if there is room; behind a full node at the tree's right end beside it; else the node is made anew.
fn add<'p>(view: &View<'p>, at: usize, rightmost: bool, key: &[u8], value: *mut ()) -> Below<'p> {
    if view.insert(at, key, value) {
        return Below::Done;
    }
    let (level, len) = (view.node.level(), view.len());
    let pieces = [Piece::Of(view, 0, at), Piece::One(key, value), Piece::Of(view, at, len)];
    if rightmost && at == len && !fits(&pieces, MOST) {
        let new = &pieces[1..2];
        return Below::Beside(border(level, &pieces[..1], new), NodeRef::build(level, new, Room::Full));
    }
    remade(level, &pieces, rightmost, at)
}

fn remove_below<'p>(node: NodeRef<'p>, key: &[u8], yard: &mut Graveyard) -> Below<'p> {
    let mut view = node.view();
    let i = if node.level() == 0 {
        match view.find(key) {
            (i, true) => i,
            (_, false) => return Below::Not,
        }
    } else {
        let i = view.child_for(key);
        let child = view.child(i);
        match remove_below(child, key, yard) {
            Below::Gone => {
                yard.take_node(child.dead());
                i
            }
            Below::Small => match join(&mut view, i, yard) {
                Some(right) => right,
                None => return Below::Done,
            },
            unchanged @ (Below::Not | Below::Done | Below::One(_) | Below::Two(..) | Below::Beside(..)) => return unchanged,
        }
    };
    match view.len() {
        1 => Below::Gone,
        len => {
            view.remove(i);
            if len - 1 < FEW { Below::Small } else { Below::Done }
        }
    }
}

/// Puts child `i` and a neighbour together, if they fit, in the left one's place; gives the right one's position, whose entry is to go.
fn join(view: &mut View<'_>, i: usize, yard: &mut Graveyard) -> Option<usize> {
    if view.len() < 2 {
        return None;
    }
    let at = if i + 1 < view.len() { i } else { i - 1 };
    let (left, right) = (view.child(at).view(), view.child(at + 1).view());
    let level = left.node.level();
    // From where on the right one's first child is responsible, only the parent says.
    let first = if level == 0 { Piece::Of(&right, 0, 1) } else { Piece::One(view.key(at + 1), right.child(0).raw()) };
    let pieces = [left.all(), first, Piece::Of(&right, 1, right.len())];
    if !fits(&pieces, MOST - FEW) {
        return None;
    }
    view.set_child(at, NodeRef::build(level, &pieces, Room::Little));
    yard.take_node(left.node.dead());
    yard.take_node(right.node.dead());
    Some(at + 1)
}

impl Drop for Tree {
    fn drop(&mut self) {
        fn free(node: NodeRef<'_>) {
            if node.level() > 0 {
                let view = node.view();
                (0..view.len()).for_each(|i| free(view.child(i)));
            }
            drop(node.dead());
        }
        if let Some(root) = self.root() {
            free(root);
        }
    }
}

/// A leaf and what of it is still to be given.
struct Rest<'p> {
    leaf: View<'p>,
    from: usize,
    to: usize,
}

pub(crate) struct Forward<'p, 'b> {
    tree: &'p Tree,
    pin: &'p Pin,
    leaf: Option<Rest<'p>>,
    high: Bound<&'b [u8]>,
    /// From where on the leaf says nothing; `None`: nothing comes behind it.
    behind: Option<&'p [u8]>,
}

impl<'p> Forward<'p, '_> {
    /// Goes to the leaf where `low` is.
    fn enter(&mut self, low: Bound<&[u8]>) {
        let mut behind = None;
        let which = |view: &View<'p>| match low {
            Bound::Included(key) | Bound::Excluded(key) => view.child_for(key),
            Bound::Unbounded => 0,
        };
        let leaf = self.tree.descend(which, |view, i| {
            if i + 1 < view.len() {
                behind = Some(view.key(i + 1));
            }
        });
        self.behind = behind;
        self.leaf = leaf.map(|leaf| {
            let to = leaf.to(self.high);
            // While a node is being split or joined it has keys of its neighbour, too: those come from there.
            let end = behind.map_or(leaf.len(), |key| leaf.search(0, key, false));
            if to < end {
                self.behind = None;
            }
            Rest { from: leaf.from(low), to: to.min(end), leaf }
        });
    }
}

impl<'p> Iterator for Forward<'p, '_> {
    type Item = (&'p [u8], SlotRef<'p>);
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let rest = self.leaf.as_mut()?;
            if rest.from < rest.to {
                let i = rest.from;
                rest.from += 1;
                return Some((rest.leaf.key(i), rest.leaf.slot(i, self.pin)));
            }
            match self.behind {
                Some(key) => self.enter(Bound::Included(key)),
                None => self.leaf = None,
            }
        }
    }
}

pub(crate) struct Backward<'p, 'b> {
    tree: &'p Tree,
    pin: &'p Pin,
    leaf: Option<Rest<'p>>,
    low: Bound<&'b [u8]>,
    /// What is below this lies in other leaves; `None`: nothing does.
    before: Option<&'p [u8]>,
}

impl<'p> Backward<'p, '_> {
    /// Goes to the leaf where the last key below `high` is.
    fn enter(&mut self, high: Bound<&[u8]>) {
        let mut before = None;
        let which = |view: &View<'p>| match high {
            Bound::Included(key) => view.child_for(key),
            Bound::Excluded(key) => view.child_below(key),
            Bound::Unbounded => view.len() - 1,
        };
        let leaf = self.tree.descend(which, |view, i| {
            if i > 0 {
                before = Some(view.key(i));
            }
        });
        self.before = before;
        self.leaf = leaf.map(|leaf| {
            let from = leaf.from(self.low);
            if from > 0 {
                self.before = None;
            }
            Rest { from, to: leaf.to(high), leaf }
        });
    }
}

impl<'p> Iterator for Backward<'p, '_> {
    type Item = (&'p [u8], SlotRef<'p>);
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let rest = self.leaf.as_mut()?;
            if rest.from < rest.to {
                rest.to -= 1;
                return Some((rest.leaf.key(rest.to), rest.leaf.slot(rest.to, self.pin)));
            }
            match self.before {
                Some(key) => self.enter(Bound::Excluded(key)),
                None => self.leaf = None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heap::{NewStamp, NewVersion};
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::sync::atomic::AtomicBool;
    use weald_types::{SchemaVersion, Timestamp};

    fn a_slot() -> SlotPtr {
        SlotPtr::new(&NewVersion { stamp: NewStamp::At(Timestamp::new(1)), schema: SchemaVersion::new(1), bytes: Some(b"row"), keys_changed: false })
            .0
    }

    /// Every rule of the tree's shape; gives the number of entries.
    fn check(tree: &Tree) -> usize {
        fn below(node: NodeRef<'_>, low: &[u8], high: Option<&[u8]>) -> usize {
            let (level, node) = (node.level(), node.view());
            let len = node.len();
            assert!((1..=MOST).contains(&len));
            // Not that of an inner node's first child.
            for i in 1 + (level > 0) as usize..len {
                assert!(node.key(i - 1) < node.key(i), "keys ascend");
            }
            if level == 0 {
                assert!(node.key(0) >= low && high.is_none_or(|h| node.key(len - 1) < h), "a leaf's keys lie between the keys above it");
                return len;
            }
            (0..len)
                .map(|i| {
                    let child = node.child(i);
                    assert_eq!(child.level() + 1, level);
                    let low = if i == 0 { low } else { node.key(i) };
                    below(child, low, if i + 1 < len { Some(node.key(i + 1)) } else { high })
                })
                .sum()
        }
        tree.root().map_or(0, |root| {
            assert!(root.level() == 0 || root.view().len() > 1, "a root with one child");
            below(root, b"", None)
        })
    }

    fn same<'p>(found: impl Iterator<Item = (&'p [u8], SlotRef<'p>)>, expected: impl Iterator<Item = (&'p Vec<u8>, &'p SlotPtr)>) {
        let found: Vec<(&[u8], SlotPtr)> = found.map(|(k, s)| (k, s.ptr())).collect();
        let expected: Vec<(&[u8], SlotPtr)> = expected.map(|(k, s)| (&k[..], *s)).collect();
        assert_eq!(found, expected);
    }

    fn bound(kind: u8, key: &[u8]) -> Bound<&[u8]> {
        match kind % 3 {
            0 => Bound::Included(key),
            1 => Bound::Excluded(key),
            _ => Bound::Unbounded,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        #[test]
        fn is_a_sorted_map(
            steps in prop::collection::vec((0u8..5, prop::collection::vec(0u8..4, 0..6)), 1..400),
            probes in prop::collection::vec((0u8..3, prop::collection::vec(0u8..4, 0..6), 0u8..3, prop::collection::vec(0u8..4, 0..6)), 20),
            long in prop::bool::ANY,
        ) {
            let (tree, mut model, mut yard, pin) = (Tree::default(), BTreeMap::new(), Graveyard::default(), Pin::new());
            let slots: Vec<SlotPtr> = (0..8).map(|_| a_slot()).collect();
            let mut last = 0u32;
            for (n, (what, key)) in steps.into_iter().enumerate() {
                // Some keys only come in ascending order, and some fill a node with few of them.
                let key = match what {
                    4 => { last += 1; [&[9][..], &last.to_be_bytes()].concat() }
                    _ if long => key.iter().flat_map(|b| [*b; 600]).collect(),
                    _ => key,
                };
                let slot = slots[n % slots.len()];
                if what == 3 {
                    prop_assert_eq!(tree.remove(&key, &mut yard), model.remove(&key).is_some());
                } else {
                    let new = !model.contains_key(&key);
                    prop_assert_eq!(tree.insert(&key, slot, &mut yard), new);
                    model.entry(key).or_insert(slot);
                }
                prop_assert_eq!(check(&tree), model.len());
            }
            for (low_kind, low, high_kind, high) in &probes {
                prop_assert_eq!(tree.get(low, &pin).map(|s| s.ptr()), model.get(low).copied());
                let (low, high) = (bound(*low_kind, low), bound(*high_kind, high));
                let inside = |k: &[u8]| {
                    (match low { Bound::Included(l) => k >= l, Bound::Excluded(l) => k > l, Bound::Unbounded => true })
                        && (match high { Bound::Included(h) => k <= h, Bound::Excluded(h) => k < h, Bound::Unbounded => true })
                };
                same(tree.forward(low, high, &pin), model.iter().filter(|(k, _)| inside(k)));
                same(tree.backward(low, high, &pin), model.iter().rev().filter(|(k, _)| inside(k)));
            }
            // Down to nothing, in an order of no meaning.
            let mut keys: Vec<Vec<u8>> = model.keys().cloned().collect();
            keys.sort_by_key(|k| crc32(k));
            for key in keys {
                prop_assert!(tree.remove(&key, &mut yard));
                model.remove(&key);
                prop_assert_eq!(check(&tree), model.len());
            }
            prop_assert!(tree.is_empty());
            yard.release(&pin);
            slots.into_iter().for_each(SlotPtr::free_with_versions);
        }
    }

    fn crc32(key: &[u8]) -> u32 {
        key.iter().fold(17, |h: u32, b| h.wrapping_mul(31).wrapping_add(*b as u32).rotate_left(7))
    }

    /// Keys that stay are found by every lookup and every scan, whatever goes on around them.
    #[test]
    fn readers_find_what_stays() {
        const KEYS: u32 = 600;
        let (tree, done) = (Tree::default(), AtomicBool::new(false));
        let slot = a_slot();
        let mut yard = Graveyard::default();
        for k in (0..KEYS).step_by(3) {
            tree.insert(&k.to_be_bytes(), slot, &mut yard);
        }
        std::thread::scope(|s| {
            for _ in 0..2 {
                s.spawn(|| {
                    let mut rounds = 0;
                    while !done.load(Relaxed) || rounds == 0 {
                        rounds += 1;
                        let pin = Pin::new();
                        for k in (0..KEYS).step_by(3) {
                            assert!(tree.get(&k.to_be_bytes(), &pin).is_some(), "{k} by lookup");
                        }
                        let number = |(k, _): (&[u8], SlotRef<'_>)| u32::from_be_bytes(k.try_into().unwrap());
                        let up: Vec<u32> = tree.forward(Bound::Unbounded, Bound::Unbounded, &pin).map(number).collect();
                        let mut down: Vec<u32> = tree.backward(Bound::Unbounded, Bound::Unbounded, &pin).map(number).collect();
                        down.reverse();
                        for found in [up, down] {
                            assert!(found.is_sorted_by(|a, b| a < b));
                            assert!((0..KEYS).step_by(3).all(|k| found.binary_search(&k).is_ok()));
                        }
                    }
                });
            }
            let mut seed = 1u32;
            for _ in 0..60_000 {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let k = (seed >> 8) % KEYS;
                if !k.is_multiple_of(3) {
                    if seed & 1 == 0 {
                        tree.insert(&k.to_be_bytes(), slot, &mut yard)
                    } else {
                        tree.remove(&k.to_be_bytes(), &mut yard)
                    };
                    yard.release_many(&Pin::new());
                }
            }
            done.store(true, Relaxed);
        });
        check(&tree);
        drop(tree);
        slot.free_with_versions();
    }
}
