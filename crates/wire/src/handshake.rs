//! The start of a connection: greeting, the client's answer, changes of authentication method.
//!
//! Owns:     nothing.
//! Promises: the client's flags are masked by ours before anything depends on them: some clients send parts they did not announce.
//! Never:    decides who may in.

use crate::Error;
use crate::constants::{client, status};
use crate::value::{Reader, put_lenenc, put_lenenc_bytes};

/// Protocol::HandshakeV10, as a packet's payload.
pub fn greeting(out: &mut Vec<u8>, version: &str, connection: u32, scramble: &[u8; 20], collation: u8, capabilities: u32, plugin: &str) {
    out.push(10);
    out.extend_from_slice(version.as_bytes());
    out.push(0);
    out.extend_from_slice(&connection.to_le_bytes());
    out.extend_from_slice(&scramble[..8]);
    out.push(0);
    out.extend_from_slice(&(capabilities as u16).to_le_bytes());
    out.push(collation);
    out.extend_from_slice(&status::AUTOCOMMIT.to_le_bytes());
    out.extend_from_slice(&((capabilities >> 16) as u16).to_le_bytes());
    out.push(21);
    out.extend_from_slice(&[0; 10]);
    out.extend_from_slice(&scramble[8..]);
    out.push(0);
    out.extend_from_slice(plugin.as_bytes());
    out.push(0);
}

/// The client's first packet: a request for TLS, or who it is.
#[derive(Debug, PartialEq)]
pub enum Hello {
    Tls { capabilities: u32 },
    Login(Login),
}

#[derive(Debug, Default, PartialEq)]
pub struct Login {
    pub capabilities: u32,
    pub max_packet: u32,
    pub collation: u16,
    pub user: String,
    pub auth: Vec<u8>,
    pub database: Option<String>,
    pub plugin: Option<String>,
    pub attributes: Vec<(String, String)>,
    pub zstd_level: u8,
}

fn text(b: &[u8]) -> String {
    String::from_utf8_lossy(b).into_owned()
}

pub fn hello(packet: &[u8], offered: u32) -> Result<Hello, Error> {
    let mut r = Reader::new(packet);
    let capabilities = r.u32()? & offered;
    if capabilities & client::PROTOCOL_41 == 0 {
        return Err(Error::Malformed("a protocol older than 4.1"));
    }
    let max_packet = r.u32()?;
    let collation = r.u8()? as u16;
    r.bytes(23)?;
    if r.is_empty() && capabilities & client::SSL != 0 {
        return Ok(Hello::Tls { capabilities });
    }
    let user = text(r.zero_ended());
    let auth = if capabilities & client::PLUGIN_AUTH_LENENC_CLIENT_DATA != 0 {
        r.lenenc_bytes()?.to_vec()
    } else if capabilities & client::SECURE_CONNECTION != 0 {
        let n = r.u8()? as usize;
        r.bytes(n)?.to_vec()
    } else {
        r.zero_ended().to_vec()
    };
    let database =
        if capabilities & client::CONNECT_WITH_DB != 0 && !r.is_empty() { Some(text(r.zero_ended())).filter(|d| !d.is_empty()) } else { None };
    let plugin = if capabilities & client::PLUGIN_AUTH != 0 && !r.is_empty() { Some(text(r.zero_ended())) } else { None };
    let attributes = if capabilities & client::CONNECT_ATTRS != 0 && !r.is_empty() { attributes(r.lenenc_bytes()?)? } else { Vec::new() };
    let zstd_level = if capabilities & client::ZSTD_COMPRESSION != 0 && !r.is_empty() { r.u8()? } else { 3 };
    Ok(Hello::Login(Login { capabilities, max_packet, collation, user, auth, database, plugin, attributes, zstd_level }))
}

fn attributes(b: &[u8]) -> Result<Vec<(String, String)>, Error> {
    let mut r = Reader::new(b);
    let mut out = Vec::new();
    while !r.is_empty() {
        out.push((text(r.lenenc_bytes()?), text(r.lenenc_bytes()?)));
    }
    Ok(out)
}

/// COM_CHANGE_USER's body.
pub fn change_user(body: &[u8], capabilities: u32) -> Result<Login, Error> {
    let mut r = Reader::new(body);
    let user = text(r.zero_ended());
    let n = r.u8()? as usize;
    let auth = r.bytes(n)?.to_vec();
    let database = Some(text(r.zero_ended())).filter(|d| !d.is_empty());
    let collation = if r.rest().len() >= 2 { r.u16()? } else { 0 };
    let plugin = if capabilities & client::PLUGIN_AUTH != 0 && !r.is_empty() { Some(text(r.zero_ended())) } else { None };
    let attributes = if capabilities & client::CONNECT_ATTRS != 0 && !r.is_empty() { attributes(r.lenenc_bytes()?)? } else { Vec::new() };
    Ok(Login { capabilities, max_packet: 0, collation, user, auth, database, plugin, attributes, zstd_level: 3 })
}

/// Asks the client to authenticate by another plugin.
pub fn auth_switch(out: &mut Vec<u8>, plugin: &str, scramble: &[u8; 20]) {
    out.push(0xFE);
    out.extend_from_slice(plugin.as_bytes());
    out.push(0);
    out.extend_from_slice(scramble);
    out.push(0);
}

pub fn auth_more(out: &mut Vec<u8>, data: &[u8]) {
    out.push(1);
    out.extend_from_slice(data);
}

/// A login as a client writes it; for tests, and for `weald sql`.
pub fn encode_login(out: &mut Vec<u8>, l: &Login) {
    out.extend_from_slice(&l.capabilities.to_le_bytes());
    out.extend_from_slice(&l.max_packet.to_le_bytes());
    out.push(l.collation as u8);
    out.extend_from_slice(&[0; 23]);
    out.extend_from_slice(l.user.as_bytes());
    out.push(0);
    if l.capabilities & client::PLUGIN_AUTH_LENENC_CLIENT_DATA != 0 {
        put_lenenc_bytes(out, &l.auth)
    } else {
        out.push(l.auth.len() as u8);
        out.extend_from_slice(&l.auth)
    }
    if l.capabilities & client::CONNECT_WITH_DB != 0 {
        out.extend_from_slice(l.database.as_deref().unwrap_or("").as_bytes());
        out.push(0);
    }
    if l.capabilities & client::PLUGIN_AUTH != 0 {
        out.extend_from_slice(l.plugin.as_deref().unwrap_or("").as_bytes());
        out.push(0);
    }
    if l.capabilities & client::CONNECT_ATTRS != 0 {
        let mut a = Vec::new();
        for (k, v) in &l.attributes {
            put_lenenc_bytes(&mut a, k.as_bytes());
            put_lenenc_bytes(&mut a, v.as_bytes());
        }
        put_lenenc(out, a.len() as u64);
        out.extend_from_slice(&a);
    }
    if l.capabilities & client::ZSTD_COMPRESSION != 0 {
        out.push(l.zstd_level);
    }
}

/// COM_CHANGE_USER as a client writes it.
pub fn encode_change_user(out: &mut Vec<u8>, l: &Login) {
    out.push(0x11);
    out.extend_from_slice(l.user.as_bytes());
    out.push(0);
    out.push(l.auth.len() as u8);
    out.extend_from_slice(&l.auth);
    out.extend_from_slice(l.database.as_deref().unwrap_or("").as_bytes());
    out.push(0);
    out.extend_from_slice(&l.collation.to_le_bytes());
    if l.capabilities & client::PLUGIN_AUTH != 0 {
        out.extend_from_slice(l.plugin.as_deref().unwrap_or("").as_bytes());
        out.push(0);
    }
}

/// A server's greeting as a client reads it: version, connection id, scramble, capabilities, plugin.
pub fn read_greeting(packet: &[u8]) -> Result<(String, u32, [u8; 20], u32, String), Error> {
    let mut r = Reader::new(packet);
    if r.u8()? != 10 {
        return Err(Error::Malformed("not a handshake of version 10"));
    }
    let version = text(r.zero_ended());
    let id = r.u32()?;
    let mut scramble = [0; 20];
    scramble[..8].copy_from_slice(r.bytes(8)?);
    r.u8()?;
    let low = r.u16()? as u32;
    r.u8()?;
    r.u16()?;
    let capabilities = low | (r.u16()? as u32) << 16;
    r.u8()?;
    r.bytes(10)?;
    scramble[8..].copy_from_slice(r.bytes(12)?);
    r.u8()?;
    Ok((version, id, scramble, capabilities, text(r.zero_ended())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_comes_back_as_it_was_written() {
        let login = Login {
            capabilities: client::OFFERED & !client::SSL,
            max_packet: 1 << 24,
            collation: 45,
            user: "root".into(),
            auth: vec![1; 32],
            database: Some("shop".into()),
            plugin: Some("caching_sha2_password".into()),
            attributes: vec![("_client_name".into(), "x".into())],
            zstd_level: 7,
        };
        let mut out = Vec::new();
        encode_login(&mut out, &login);
        assert_eq!(hello(&out, client::OFFERED).unwrap(), Hello::Login(login));
        // Cut anywhere, it is an error or a shorter login, never a panic.
        for n in 0..out.len() {
            let _ = hello(&out[..n], client::OFFERED);
        }
    }

    #[test]
    fn a_greeting_can_be_read() {
        let mut out = Vec::new();
        greeting(&mut out, "8.0.36", 7, b"abcdefghijklmnopqrst", 45, client::OFFERED, "caching_sha2_password");
        let (version, id, scramble, capabilities, plugin) = read_greeting(&out).unwrap();
        assert_eq!(
            (version.as_str(), id, &scramble, capabilities, plugin.as_str()),
            ("8.0.36", 7, b"abcdefghijklmnopqrst", client::OFFERED, "caching_sha2_password")
        );
    }
}
