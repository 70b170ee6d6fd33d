//! What the two authentication plugins compute.
//!
//! Owns:     nothing.
//! Promises: compares in constant time.
//! Never:    keeps a password.
//! Source:   MySQL's sha2_password plugin: the cache holds SHA256(SHA256(password)); the client proves SHA256(password).

use sha1::Sha1;
use sha2::{Digest, Sha256};

pub fn sha1(parts: &[&[u8]]) -> [u8; 20] {
    let mut h = Sha1::new();
    parts.iter().for_each(|p| h.update(p));
    h.finalize().into()
}

pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut h = Sha256::new();
    parts.iter().for_each(|p| h.update(p));
    h.finalize().into()
}

fn xor<const N: usize>(a: [u8; N], b: [u8; N]) -> [u8; N] {
    std::array::from_fn(|i| a[i] ^ b[i])
}

fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |d, (x, y)| d | (x ^ y)) == 0
}

/// mysql_native_password, client's side: SHA1(password) xor SHA1(scramble + SHA1(SHA1(password))).
pub fn native_answer(password: &[u8], scramble: &[u8; 20]) -> Vec<u8> {
    if password.is_empty() {
        return Vec::new();
    }
    let once = sha1(&[password]);
    xor(once, sha1(&[scramble, &sha1(&[&once])])).to_vec()
}

/// Whether `answer` proves the password whose double hash is `stored`.
pub fn native_matches(answer: &[u8], scramble: &[u8; 20], stored: &[u8; 20]) -> bool {
    let Ok(answer) = <[u8; 20]>::try_from(answer) else { return false };
    let once = xor(answer, sha1(&[scramble, stored]));
    same(&sha1(&[&once]), stored)
}

/// caching_sha2_password, client's side: SHA256(password) xor SHA256(SHA256(SHA256(password)) + scramble).
pub fn sha2_answer(password: &[u8], scramble: &[u8; 20]) -> Vec<u8> {
    if password.is_empty() {
        return Vec::new();
    }
    let once = sha256(&[password]);
    let twice = sha256(&[&once]);
    xor(once, sha256(&[&twice, scramble])).to_vec()
}

/// Whether `answer` proves the password whose double hash is `cached`.
pub fn sha2_matches(answer: &[u8], scramble: &[u8; 20], cached: &[u8; 32]) -> bool {
    let Ok(answer) = <[u8; 32]>::try_from(answer) else { return false };
    let once = xor(answer, sha256(&[cached, scramble]));
    same(&sha256(&[&once]), cached)
}

/// A password sent under RSA is xored with the scramble first.
pub fn unxor_password(bytes: &mut [u8], scramble: &[u8; 20]) {
    bytes.iter_mut().enumerate().for_each(|(i, b)| *b ^= scramble[i % 20])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_right_password_matches_and_no_other() {
        let scramble = *b"01234567890123456789";
        let stored = sha1(&[&sha1(&[b"secret"])]);
        assert!(native_matches(&native_answer(b"secret", &scramble), &scramble, &stored));
        assert!(!native_matches(&native_answer(b"Secret", &scramble), &scramble, &stored));
        let cached = sha256(&[&sha256(&[b"secret"])]);
        assert!(sha2_matches(&sha2_answer(b"secret", &scramble), &scramble, &cached));
        assert!(!sha2_matches(&sha2_answer(b"", &scramble), &scramble, &cached));
    }
}
