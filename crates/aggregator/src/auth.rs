//! Passwords: how they are stored, and how a client proves one.
//!
//! Owns:     the cache of caching_sha2_password: proofs of accounts that have logged in fully once.
//! Promises: an unknown user is asked and refused as a known one is; comparisons take constant time.
//! Never:    keeps a password longer than the exchange.
//! Source:   MySQL's sha2_password plugin; its stored form is `$A$005$<20 bytes salt><43 characters SHA256-crypt digest>`.

use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::Arc;
use weald_catalog::{CatalogView, UserDef};
use weald_types::Fault;
use weald_wire::scramble;

pub const CACHING_SHA2: &str = "caching_sha2_password";
pub const NATIVE: &str = "mysql_native_password";
pub const PLUGINS: &[&str] = &[CACHING_SHA2, NATIVE];

/// Rounds of the stored digest, in thousands: MySQL's default.
const ROUNDS: u32 = 5;

/// In bytes, of caching_sha2_password: MySQL's limit.
pub const LONGEST_PASSWORD: usize = 256;

/// What `mysql.user` would keep of `password`. `seed` makes the salt. A password that could never be proved is refused.
pub fn store_password(plugin: &str, password: &str, seed: u64) -> Result<Vec<u8>, Fault> {
    if password.is_empty() {
        return Ok(Vec::new());
    }
    if plugin != NATIVE && password.len() > LONGEST_PASSWORD {
        let text = format!("Your password does not satisfy the current policy requirements: it is longer than {LONGEST_PASSWORD} bytes");
        return Err(Fault::mysql(1819, "HY000", text));
    }
    Ok(stored_form(plugin, password, seed))
}

fn stored_form(plugin: &str, password: &str, seed: u64) -> Vec<u8> {
    if plugin == NATIVE {
        let hash = scramble::sha1(&[&scramble::sha1(&[password.as_bytes()])]);
        let mut text = String::from("*");
        for b in hash {
            text.push_str(&format!("{b:02X}"));
        }
        return text.into_bytes();
    }
    // Printable salt, so that SHOW CREATE USER can print it.
    let digest = Sha256::digest([&seed.to_le_bytes()[..], password.as_bytes()].concat());
    let salt: Vec<u8> = digest.iter().take(20).map(|b| CRYPT[(b & 63) as usize]).collect();
    let mut out = format!("$A${ROUNDS:03}$").into_bytes();
    out.extend_from_slice(&salt);
    out.extend_from_slice(sha256_crypt(password.as_bytes(), &salt, ROUNDS * 1000).as_bytes());
    out
}

pub fn is_stored_password(plugin: &str, hash: &[u8]) -> bool {
    if hash.is_empty() {
        return true;
    }
    if plugin == NATIVE {
        hash.len() == 41 && hash[0] == b'*' && hash[1..].iter().all(u8::is_ascii_hexdigit)
    } else {
        hash.len() == 70 && hash.starts_with(b"$A$")
    }
}

/// Whether `password` is the one stored.
fn sha2_matches_stored(password: &[u8], stored: &[u8]) -> bool {
    let Some(rest) = stored.strip_prefix(b"$A$") else { return false };
    let (Some(rounds), Some(salt), Some(digest)) = (rest.get(..3), rest.get(4..24), rest.get(24..)) else { return false };
    let Some(rounds) = std::str::from_utf8(rounds).ok().and_then(|r| u32::from_str_radix(r, 16).ok()) else { return false };
    let ours = sha256_crypt(password, salt, rounds.clamp(1, 999) * 1000);
    ours.len() == digest.len() && ours.bytes().zip(digest).fold(0, |d, (a, b)| d | (a ^ b)) == 0
}

const CRYPT: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Drepper's SHA-256 crypt, the digest only. Source: https://www.akkadia.org/drepper/SHA-crypt.txt
fn sha256_crypt(key: &[u8], salt: &[u8], rounds: u32) -> String {
    let b = Sha256::digest([key, salt, key].concat());
    let mut a = Sha256::new();
    a.update(key);
    a.update(salt);
    let mut n = key.len();
    while n > 32 {
        a.update(b);
        n -= 32;
    }
    a.update(&b[..n]);
    let mut n = key.len();
    while n > 0 {
        if n & 1 == 1 {
            a.update(b)
        } else {
            a.update(key)
        }
        n >>= 1;
    }
    let mut a = a.finalize();
    let mut dp = Sha256::new();
    for _ in 0..key.len() {
        dp.update(key);
    }
    let dp = dp.finalize();
    let p: Vec<u8> = dp.iter().copied().cycle().take(key.len()).collect();
    let mut ds = Sha256::new();
    for _ in 0..16 + a[0] as usize {
        ds.update(salt);
    }
    let ds = ds.finalize();
    let s: Vec<u8> = ds.iter().copied().cycle().take(salt.len()).collect();
    for i in 0..rounds {
        let mut c = Sha256::new();
        if i & 1 == 1 {
            c.update(&p)
        } else {
            c.update(a)
        }
        if i % 3 != 0 {
            c.update(&s);
        }
        if i % 7 != 0 {
            c.update(&p);
        }
        if i & 1 == 1 {
            c.update(a)
        } else {
            c.update(&p)
        }
        a = c.finalize();
    }
    let mut out = String::with_capacity(43);
    let mut put = |x: u8, y: u8, z: u8, n: usize| {
        let mut w = (x as u32) << 16 | (y as u32) << 8 | z as u32;
        for _ in 0..n {
            out.push(CRYPT[(w & 63) as usize] as char);
            w >>= 6;
        }
    };
    for (x, y, z) in
        [(0, 10, 20), (21, 1, 11), (12, 22, 2), (3, 13, 23), (24, 4, 14), (15, 25, 5), (6, 16, 26), (27, 7, 17), (18, 28, 8), (9, 19, 29)]
    {
        put(a[x], a[y], a[z], 4);
    }
    put(0, a[31], a[30], 3);
    out
}

/// What an account's password is known by, once it was seen: the stored form it was checked against, and SHA256(SHA256(password)).
type Proof = (Vec<u8>, [u8; 32]);

/// Proofs of accounts (user, host) that logged in fully.
#[derive(Default)]
pub struct Sha2Cache(Mutex<HashMap<(Box<str>, Box<str>), Proof>>);

/// What a first answer led to.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    Yes,
    No,
    /** the password itself is needed: over TLS, or under RSA */
    Full,
}

impl Sha2Cache {
    pub fn fast(&self, user: &UserDef, answer: &[u8], scramble: &[u8; 20]) -> Verdict {
        if user.auth.is_empty() {
            return if answer.is_empty() { Verdict::Yes } else { Verdict::No };
        }
        if answer.is_empty() {
            return Verdict::No;
        }
        let known = self.0.lock();
        match known.get(&(user.user.clone(), user.host.clone())) {
            Some((stored, cached)) if *stored == user.auth => {
                if scramble::sha2_matches(answer, scramble, cached) {
                    Verdict::Yes
                } else {
                    Verdict::Full
                }
            }
            _ => Verdict::Full,
        }
    }

    pub fn full(&self, user: &UserDef, password: &[u8]) -> bool {
        if user.auth.is_empty() {
            return password.is_empty();
        }
        if !sha2_matches_stored(password, &user.auth) {
            return false;
        }
        let twice = scramble::sha256(&[&scramble::sha256(&[password])]);
        self.0.lock().insert((user.user.clone(), user.host.clone()), (user.auth.clone(), twice));
        true
    }
}

pub fn native(user: &UserDef, answer: &[u8], scramble: &[u8; 20]) -> bool {
    if user.auth.is_empty() {
        return answer.is_empty();
    }
    let Some(hex) = user.auth.strip_prefix(b"*").and_then(|h| std::str::from_utf8(h).ok()).filter(|h| h.len() == 40) else { return false };
    let mut stored = [0; 20];
    for (i, b) in stored.iter_mut().enumerate() {
        let Ok(n) = u8::from_str_radix(&hex[2 * i..2 * i + 2], 16) else { return false };
        *b = n;
    }
    scramble::native_matches(answer, scramble, &stored)
}

/// The account a client comes in by: most specific host first, then named before anonymous, as MySQL sorts them.
pub fn find_account(catalog: &CatalogView, user: &str, host: &str) -> Option<Arc<UserDef>> {
    let mut fitting: Vec<&Arc<UserDef>> =
        catalog.users.values().filter(|u| (*u.user == *user || u.user.is_empty()) && host_matches(&u.host, host)).collect();
    let rank = |u: &UserDef| {
        (
            if !u.host.contains(['%', '_', '/']) {
                0
            } else if u.host.contains('/') {
                1
            } else {
                2
            },
            usize::MAX - u.host.find(['%', '_']).unwrap_or(u.host.len()),
            u.user.is_empty(),
        )
    };
    fitting.sort_by_key(|u| rank(u));
    fitting.first().map(|u| Arc::clone(u))
}

fn host_matches(pattern: &str, host: &str) -> bool {
    if pattern == "%" || pattern.is_empty() || pattern.eq_ignore_ascii_case(host) {
        return true;
    }
    let local = matches!(host, "127.0.0.1" | "::1" | "localhost");
    if local && matches!(pattern, "localhost" | "127.0.0.1" | "::1") {
        return true;
    }
    if let Some((net, mask)) = pattern.split_once('/') {
        let (Ok(net), Ok(host)) = (net.parse::<std::net::Ipv4Addr>(), host.parse::<std::net::Ipv4Addr>()) else { return false };
        let mask = match (mask.parse::<std::net::Ipv4Addr>(), mask.parse::<u32>()) {
            (Ok(m), _) => u32::from(m),
            (_, Ok(n)) if n <= 32 => u32::MAX.checked_shl(32 - n).unwrap_or(0),
            _ => return false,
        };
        return u32::from(net) & mask == u32::from(host) & mask;
    }
    weald_catalog::user::matches_pattern(host, pattern)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sha256_crypt_gives_the_reference_digest() {
        // What `openssl passwd -5 -salt saltstring 'Hello world!'` and crypt(3) give.
        assert_eq!(sha256_crypt(b"Hello world!", b"saltstring", 5000), "5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5");
    }

    #[test]
    fn a_stored_password_is_recognised_fully_then_fast() {
        let mut u = UserDef::new("a", "%");
        u.auth = store_password(CACHING_SHA2, "secret", 7).unwrap();
        assert!(is_stored_password(CACHING_SHA2, &u.auth));
        let cache = Sha2Cache::default();
        let salt = *b"01234567890123456789";
        let answer = scramble::sha2_answer(b"secret", &salt);
        assert_eq!(cache.fast(&u, &answer, &salt), Verdict::Full);
        assert!(!cache.full(&u, b"Secret"));
        assert!(cache.full(&u, b"secret"));
        assert_eq!(cache.fast(&u, &answer, &salt), Verdict::Yes);
        // A new password forgets the proof of the old one.
        u.auth = store_password(CACHING_SHA2, "other", 8).unwrap();
        assert_eq!(cache.fast(&u, &answer, &salt), Verdict::Full);
        u.auth = store_password(NATIVE, "secret", 0).unwrap();
        assert!(native(&u, &scramble::native_answer(b"secret", &salt), &salt));
    }

    #[test]
    fn the_most_specific_host_wins() {
        let mut c = CatalogView::default();
        for host in ["%", "10.0.0.%", "10.0.0.1", "192.168.0.0/255.255.0.0"] {
            c.users.insert(("u".into(), host.into()), Arc::new(UserDef::new("u", host)));
        }
        assert_eq!(&*find_account(&c, "u", "10.0.0.1").unwrap().host, "10.0.0.1");
        assert_eq!(&*find_account(&c, "u", "10.0.0.2").unwrap().host, "10.0.0.%");
        assert_eq!(&*find_account(&c, "u", "192.168.3.4").unwrap().host, "192.168.0.0/255.255.0.0");
        assert_eq!(&*find_account(&c, "u", "8.8.8.8").unwrap().host, "%");
        assert!(find_account(&c, "v", "8.8.8.8").is_none());
    }
}
