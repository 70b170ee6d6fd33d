//! AES_ENCRYPT, AES_DECRYPT and RANDOM_BYTES.
//!
//! Owns:     the block modes; the cipher itself is RustCrypto's.
//! Promises: what MySQL encrypts under the same `block_encryption_mode` is decrypted here, and the other way round; what does not decrypt is NULL.
//! Never:    keeps a key.

use super::argument::{count, known, warn};
use super::result_type::{binary, characters};
use super::{Call, FunctionDef};
use crate::EvalContext;
use aes::cipher::{BlockDecrypt, BlockEncrypt, KeyInit};
use aes::{Aes128, Aes192, Aes256, Block};
use serde::{Deserialize, Serialize};
use weald_types::{Fault, Value};

pub const FUNCTIONS: &[FunctionDef] = &[
    FunctionDef::new("AES_DECRYPT", 2, 3, |args, _| binary(characters(&args[0]).saturating_mul(4), true), decrypt).stable(),
    FunctionDef::new("AES_ENCRYPT", 2, 3, |args, _| binary(characters(&args[0]).saturating_mul(4).saturating_add(16), true), encrypt).stable(),
    FunctionDef::new("RANDOM_BYTES", 1, 1, |_, _| binary(1024, true), random_bytes).volatile(),
];

/// `block_encryption_mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EncryptionMode {
    #[serde(deserialize_with = "key_length")]
    key_bytes: usize,
    chaining: Chaining,
}

fn key_length<'de, D: serde::Deserializer<'de>>(d: D) -> Result<usize, D::Error> {
    match usize::deserialize(d)? {
        n @ (16 | 24 | 32) => Ok(n),
        _ => Err(serde::de::Error::custom("no AES key has this length")),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
enum Chaining {
    Ecb,
    Cbc,
    Cfb1,
    Cfb8,
    Cfb128,
    Ofb,
}

/// aes-128-ecb
impl Default for EncryptionMode {
    fn default() -> Self {
        Self { key_bytes: 16, chaining: Chaining::Ecb }
    }
}

impl EncryptionMode {
    /// `aes-256-cbc` and the like.
    pub fn parse(text: &str) -> Option<Self> {
        let lower = text.to_ascii_lowercase();
        let (bits, chaining) = lower.strip_prefix("aes-")?.split_once('-')?;
        let key_bytes = match bits {
            "128" => 16,
            "192" => 24,
            "256" => 32,
            _ => return None,
        };
        let chaining = match chaining {
            "ecb" => Chaining::Ecb,
            "cbc" => Chaining::Cbc,
            "cfb1" => Chaining::Cfb1,
            "cfb8" => Chaining::Cfb8,
            "cfb128" => Chaining::Cfb128,
            "ofb" => Chaining::Ofb,
            _ => return None,
        };
        Some(Self { key_bytes, chaining })
    }
}

const BLOCK: usize = 16;

enum Key {
    Short(Aes128),
    Middle(Aes192),
    Long(Aes256),
}

impl Key {
    /// MySQL's key of any length, laid over itself until it has the cipher's.
    fn folded(text: &[u8], key_bytes: usize) -> Self {
        let mut key = [0u8; 32];
        for (i, b) in text.iter().enumerate() {
            key[i % key_bytes] ^= b;
        }
        match key_bytes {
            16 => Key::Short(Aes128::new(key[..16].into())),
            24 => Key::Middle(Aes192::new(key[..24].into())),
            _ => Key::Long(Aes256::new(&key.into())),
        }
    }
    fn encrypt(&self, block: &mut [u8; BLOCK]) {
        let mut b = Block::from(*block);
        match self {
            Key::Short(k) => k.encrypt_block(&mut b),
            Key::Middle(k) => k.encrypt_block(&mut b),
            Key::Long(k) => k.encrypt_block(&mut b),
        }
        *block = b.into();
    }
    fn decrypt(&self, block: &mut [u8; BLOCK]) {
        let mut b = Block::from(*block);
        match self {
            Key::Short(k) => k.decrypt_block(&mut b),
            Key::Middle(k) => k.decrypt_block(&mut b),
            Key::Long(k) => k.decrypt_block(&mut b),
        }
        *block = b.into();
    }
}

fn xor(a: &mut [u8], b: &[u8]) {
    a.iter_mut().zip(b).for_each(|(a, b)| *a ^= b);
}

/// The initialisation vector, where the mode has one: 1582 where it is missing, 1882 where it is too short.
fn vector(call: &Call<'_>, v: &[Value], mode: EncryptionMode, ctx: &EvalContext<'_>) -> Result<Option<[u8; BLOCK]>, Fault> {
    if mode.chaining == Chaining::Ecb {
        if v.len() > 2 {
            warn(ctx, 1618, "HY000", "<IV> option ignored");
        }
        return Ok(Some([0; BLOCK]));
    }
    if v.len() < 3 {
        return Err(Fault::WrongArgumentCount { name: call.lower_name() });
    }
    let Some(given) = call.own_bytes(v, 2) else { return Ok(None) };
    match given.first_chunk::<BLOCK>() {
        Some(iv) => Ok(Some(*iv)),
        None => {
            let text = format!("The initialization vector supplied to {} is too short. Must be at least {BLOCK} bytes long", call.lower_name());
            Err(Fault::mysql(1882, "HY000", text))
        }
    }
}

fn encrypt(call: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let mode = ctx.statement.encryption_mode;
    let iv = known!(vector(call, v, mode, ctx)?);
    let (text, key) = (known!(call.own_bytes(v, 0)), known!(call.own_bytes(v, 1)));
    if !call.may_make(text.len() as u128 + BLOCK as u128, ctx)? {
        return Ok(Value::Null);
    }
    let key = Key::folded(&key, mode.key_bytes);
    Ok(Value::bytes(match mode.chaining {
        Chaining::Ecb | Chaining::Cbc => encrypt_blocks(&text, &key, iv, mode.chaining == Chaining::Cbc),
        chaining => stream(&text, &key, iv, chaining, Direction::Encrypt),
    }))
}

fn decrypt(call: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let mode = ctx.statement.encryption_mode;
    let iv = known!(vector(call, v, mode, ctx)?);
    let (text, key) = (known!(call.own_bytes(v, 0)), known!(call.own_bytes(v, 1)));
    let key = Key::folded(&key, mode.key_bytes);
    Ok(match mode.chaining {
        Chaining::Ecb | Chaining::Cbc => decrypt_blocks(&text, &key, iv, mode.chaining == Chaining::Cbc).map_or(Value::Null, Value::bytes),
        chaining => Value::bytes(stream(&text, &key, iv, chaining, Direction::Decrypt)),
    })
}

/// Padded to whole blocks: every added byte says how many they are.
fn encrypt_blocks(text: &[u8], key: &Key, iv: [u8; BLOCK], chained: bool) -> Vec<u8> {
    let padding = BLOCK - text.len() % BLOCK;
    let mut out = text.to_vec();
    out.resize(text.len() + padding, padding as u8);
    let mut before = iv;
    for chunk in out.chunks_exact_mut(BLOCK) {
        let mut block = [0; BLOCK];
        block.copy_from_slice(chunk);
        if chained {
            xor(&mut block, &before);
        }
        key.encrypt(&mut block);
        chunk.copy_from_slice(&block);
        before = block;
    }
    out
}

fn decrypt_blocks(text: &[u8], key: &Key, iv: [u8; BLOCK], chained: bool) -> Option<Vec<u8>> {
    if text.is_empty() || !text.len().is_multiple_of(BLOCK) {
        return None;
    }
    let mut out = text.to_vec();
    let mut before = iv;
    for chunk in out.chunks_exact_mut(BLOCK) {
        let mut block = [0; BLOCK];
        block.copy_from_slice(chunk);
        let encrypted = block;
        key.decrypt(&mut block);
        if chained {
            xor(&mut block, &before);
        }
        chunk.copy_from_slice(&block);
        before = encrypted;
    }
    let padding = *out.last()? as usize;
    let valid = (1..=BLOCK).contains(&padding) && out[out.len() - padding..].iter().all(|b| *b as usize == padding);
    if !valid {
        return None;
    }
    out.truncate(out.len() - padding);
    Some(out)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Encrypt,
    Decrypt,
}

/// The modes that make a stream of key bits: NIST SP 800-38A, sections 6.3 and 6.4.
fn stream(text: &[u8], key: &Key, iv: [u8; BLOCK], chaining: Chaining, direction: Direction) -> Vec<u8> {
    let mut register = iv;
    let mut out = Vec::with_capacity(text.len());
    match chaining {
        Chaining::Cfb1 => {
            for byte in text {
                let mut made = 0u8;
                for bit in (0..8).rev() {
                    let mut block = register;
                    key.encrypt(&mut block);
                    let given = byte >> bit & 1;
                    let result = given ^ block[0] >> 7;
                    made |= result << bit;
                    // What was encrypted is shifted in.
                    let shifted_in = if direction == Direction::Encrypt { result } else { given };
                    register = (u128::from_be_bytes(register) << 1 | shifted_in as u128).to_be_bytes();
                }
                out.push(made);
            }
        }
        Chaining::Cfb8 => {
            for byte in text {
                let mut block = register;
                key.encrypt(&mut block);
                let result = byte ^ block[0];
                let shifted_in = if direction == Direction::Encrypt { result } else { *byte };
                register = (u128::from_be_bytes(register) << 8 | shifted_in as u128).to_be_bytes();
                out.push(result);
            }
        }
        Chaining::Cfb128 | Chaining::Ofb | Chaining::Ecb | Chaining::Cbc => {
            for chunk in text.chunks(BLOCK) {
                key.encrypt(&mut register);
                let start = out.len();
                out.extend_from_slice(chunk);
                xor(&mut out[start..], &register);
                if chaining == Chaining::Cfb128 {
                    let fed_back = if direction == Direction::Encrypt { &out[start..] } else { chunk };
                    register[..fed_back.len()].copy_from_slice(fed_back);
                }
            }
        }
    }
    out
}

fn random_bytes(_: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let n = known!(count(&v[0], ctx));
    if !(1..=1024).contains(&n) {
        return Err(Fault::mysql(1690, "22003", "length value is out of range in 'random_bytes'"));
    }
    let mut bytes = vec![0u8; n as usize];
    (ctx.statement.server.random)(&mut bytes);
    Ok(Value::bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StatementContext;
    use crate::testing::{call_in, in_session, shown, take_warnings, unlimited};

    fn in_mode(mode: &str) -> StatementContext {
        in_session(|s| s.encryption_mode = EncryptionMode::parse(mode).unwrap())
    }

    #[test]
    fn known_answers() {
        let s = unlimited();
        let encrypt = |text, key| shown(call_in(&s, "AES_ENCRYPT", &[Value::str(text), Value::str(key)]));
        assert_eq!(encrypt("abc", "key"), "DB5F149A7CAF0CD275CA18C203A212C9");
        assert_eq!(encrypt("text", "password"), "F6BD0FA8DCB7F8CD4A2FAABC54668044");
    }

    #[test]
    fn every_mode_undoes_itself() {
        let (key, iv) = (Value::str("a key that is longer than thirty-two bytes"), Value::str("0123456789abcdef"));
        for bits in [128, 192, 256] {
            for chaining in ["ecb", "cbc", "cfb1", "cfb8", "cfb128", "ofb"] {
                let s = in_mode(&format!("aes-{bits}-{chaining}"));
                for length in [0, 1, 15, 16, 17, 100] {
                    let text = Value::bytes(vec![b'x'; length]);
                    let made = call_in(&s, "AES_ENCRYPT", &[text.clone(), key.clone(), iv.clone()]).unwrap();
                    assert_eq!(call_in(&s, "AES_DECRYPT", &[made, key.clone(), iv.clone()]), Ok(text), "{bits} {chaining} {length}");
                }
            }
        }
    }

    #[test]
    fn wrong_keys_and_vectors_are_noticed() {
        let s = in_mode("aes-128-cbc");
        let t = Value::str;
        assert!(matches!(call_in(&s, "AES_ENCRYPT", &[t("a"), t("k")]), Err(Fault::WrongArgumentCount { .. })));
        assert_eq!(shown(call_in(&s, "AES_ENCRYPT", &[t("a"), t("k"), t("short")])), "error 1882");
        assert_eq!(call_in(&s, "AES_DECRYPT", &[t("no whole block"), t("k"), t("0123456789abcdef")]), Ok(Value::Null));
        let plain = unlimited();
        assert_eq!(call_in(&plain, "AES_DECRYPT", &[t(""), t("k"), t("x")]), Ok(Value::Null));
        assert_eq!(take_warnings(&plain).len(), 1);
        assert_eq!(shown(call_in(&plain, "RANDOM_BYTES", &[Value::Int(0)])), "error 1690");
        assert_eq!(shown(call_in(&plain, "RANDOM_BYTES", &[Value::Int(2)])), "0000");
    }
}
