//! Ports of this machine that are free.
//!
//! Owns:     nothing.
//! Promises: gives none out twice.
//! Never:    keeps one: between the look and the node that takes it another process may.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener};

#[derive(Debug, Default)]
pub struct Ports(BTreeSet<u16>);

impl Ports {
    /// `wanted` if it is free, else any. 0 wants any.
    pub fn near(&mut self, wanted: u16) -> Result<u16, String> {
        if wanted != 0 && !self.0.contains(&wanted) && TcpListener::bind((Ipv4Addr::LOCALHOST, wanted)).is_ok() {
            self.0.insert(wanted);
            return Ok(wanted);
        }
        loop {
            let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|l| l.local_addr());
            let port = free.map_err(|e| format!("no port is free: {e}"))?.port();
            if self.0.insert(port) {
                return Ok(port);
            }
        }
    }

    /// That one and no other.
    pub fn exactly(&mut self, port: u16, of: &str) -> Result<u16, String> {
        if self.0.contains(&port) || TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_err() {
            return Err(format!("port {port}, which {of} is to have, is taken; --mysql-port N begins elsewhere, and 0 takes free ones"));
        }
        self.0.insert(port);
        Ok(port)
    }
}
