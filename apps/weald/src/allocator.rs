//! mimalloc, called without a detour.
//!
//! Owns:     the process's heap.
//! Promises: what is asked for with the usual alignments is asked for plainly: the crate always calls the functions that take an alignment, which cost thrice
//!           as many instructions.
//! Never:    keeps count: the node's memory account does.

use std::alloc::{GlobalAlloc, Layout};
use std::ffi::c_void;

pub struct Allocator;

unsafe extern "C" {
    fn mi_malloc(size: usize) -> *mut c_void;
    fn mi_zalloc(size: usize) -> *mut c_void;
    fn mi_realloc(at: *mut c_void, size: usize) -> *mut c_void;
    fn mi_free(at: *mut c_void);
    safe fn mi_collect(force: bool);
}

const ALIGNED: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Memory that is free inside the allocator goes back to the system.
pub fn give_back() {
    mi_collect(true);
}

/// Whether mimalloc aligns blocks of this size so by itself: to 16 bytes, and those below 16 to 8 (its MI_MAX_ALIGN_SIZE).
#[inline]
fn is_usual(size: usize, align: usize) -> bool {
    align <= 8 || align == 16 && size >= 16
}

// SAFETY: mimalloc's functions keep malloc's contract, and either kind of block may be given to `mi_free` and `mi_realloc`; for the alignment see `is_usual`.
unsafe impl GlobalAlloc for Allocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's layout.
        unsafe { if is_usual(layout.size(), layout.align()) { mi_malloc(layout.size()).cast() } else { ALIGNED.alloc(layout) } }
    }
    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's layout.
        unsafe { if is_usual(layout.size(), layout.align()) { mi_zalloc(layout.size()).cast() } else { ALIGNED.alloc_zeroed(layout) } }
    }
    #[inline]
    unsafe fn dealloc(&self, at: *mut u8, _: Layout) {
        // SAFETY: a block of ours.
        unsafe { mi_free(at.cast()) }
    }
    #[inline]
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: a block of ours, and the caller's layout.
        unsafe { if is_usual(size, layout.align()) { mi_realloc(at.cast(), size).cast() } else { ALIGNED.realloc(at, layout, size) } }
    }
}
