//! The bodies of `fuzz/`, on mutations of their seeds from a fixed random generator: the same in every run.
//!
//! Owns:     nothing.
//! Promises: a finding is printed as bytes, to be added to the seeds beside its mending.
//! Never:    takes longer by itself: WEALD_FUZZ_ROUNDS=100000 (default 2000) is the long mode; WEALD_FUZZ_SEED another generator;
//!           WEALD_FUZZ_ONLY=name one body; WEALD_FUZZ_CORPUS=fuzz/corpus writes the seeds where `cargo fuzz` looks for them.

#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

#[path = "../../../fuzz/bodies.rs"]
mod bodies;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

fn from_env(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

/// A few changes of a seed, or bytes of its own.
fn mutate(seeds: &[&[u8]], rng: &mut StdRng) -> Vec<u8> {
    let mut bytes = seeds[rng.random_range(0..seeds.len())].to_vec();
    if rng.random_ratio(1, 8) {
        bytes = (0..rng.random_range(0..200)).map(|_| rng.random()).collect();
    }
    for _ in 0..rng.random_range(0..6) {
        let at = rng.random_range(0..=bytes.len());
        match rng.random_range(0..6) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, rng.random()),
            2 if at < bytes.len() => bytes[at] ^= 1 << rng.random_range(0..8),
            3 if at < bytes.len() => bytes[at] = [0, 1, 0x7F, 0x80, 0xFF, b'\'', b'(', b'?', b'`', b' '][rng.random_range(0..10)],
            4 => {
                let other = seeds[rng.random_range(0..seeds.len())];
                let from = rng.random_range(0..=other.len());
                let to = rng.random_range(from..=other.len());
                bytes.splice(at..at, other[from..to].iter().copied());
            }
            _ => {
                let to = rng.random_range(at..=bytes.len().min(at + 20));
                let piece = bytes[at..to].to_vec();
                bytes.splice(at..at, piece);
            }
        }
    }
    bytes
}

#[test]
fn no_bytes_from_outside_break_a_promise() {
    let (rounds, seed) = (from_env("WEALD_FUZZ_ROUNDS", 2000), from_env("WEALD_FUZZ_SEED", 1));
    let only = std::env::var("WEALD_FUZZ_ONLY").ok();
    if let Ok(corpus) = std::env::var("WEALD_FUZZ_CORPUS") {
        for body in bodies::ALL {
            let dir = std::path::Path::new(&corpus).join(body.name);
            std::fs::create_dir_all(&dir).unwrap();
            body.seeds.iter().enumerate().for_each(|(n, seed)| std::fs::write(dir.join(format!("seed-{n}")), seed).unwrap());
        }
    }
    for body in bodies::ALL.iter().filter(|b| only.as_ref().is_none_or(|o| o == b.name)) {
        body.seeds.iter().for_each(|s| (body.run)(s));
        let mut rng = StdRng::seed_from_u64(seed);
        for round in 0..rounds {
            let bytes = mutate(body.seeds, &mut rng);
            if std::panic::catch_unwind(|| (body.run)(&bytes)).is_err() {
                panic!("{} in round {round}, on {:?}", body.name, bytes.escape_ascii().to_string());
            }
        }
    }
}
