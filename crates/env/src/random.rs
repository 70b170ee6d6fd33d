//! Randomness.
//!
//! Owns:     nothing.
//! Promises: the real one is fit for salts and nonces; the simulated one repeats from its seed.
//! Never:    is read in the middle of a decision: draw first, decide then.

pub trait Random: Send + Sync {
    fn fill(&self, bytes: &mut [u8]);

    fn next_u64(&self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }
}
