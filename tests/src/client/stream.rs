//! The bytes under the test client's packets: plain or TLS, compressed or not.
//!
//! Owns:     the socket.
//! Promises: a server that says nothing is an error after the timeout, never a hang.
//! Never:    trusts a certificate other than the one it was given.

use bytes::{Buf, BytesMut};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use weald_wire::compress::Compressor;

/// How to go over to TLS.
#[derive(Clone, Debug)]
pub struct Tls {
    /// The server's certificate, as PEM: it is its own authority.
    pub certificate: Vec<u8>,
    pub version: &'static rustls::SupportedProtocolVersion,
}

pub struct Stream {
    link: Link,
    compressor: Option<Compressor>,
    raw: BytesMut,
    plain: BytesMut,
}

enum Link {
    Plain(TcpStream),
    Tls(Box<rustls::StreamOwned<rustls::ClientConnection, TcpStream>>),
}

impl Stream {
    pub fn new(socket: TcpStream) -> Self {
        Self { link: Link::Plain(socket), compressor: None, raw: BytesMut::new(), plain: BytesMut::new() }
    }

    pub fn tcp(&self) -> &TcpStream {
        match &self.link {
            Link::Plain(s) => s,
            Link::Tls(s) => s.get_ref(),
        }
    }

    /// `first` goes out in one segment with the first TLS record, as some clients send it.
    pub fn start_tls(self, tls: &Tls, first: &[u8]) -> io::Result<Self> {
        let Link::Plain(mut socket) = self.link else { return Err(io::Error::other("under TLS already")) };
        let mut roots = rustls::RootCertStore::empty();
        let certificate = CertificateDer::from_pem_slice(&tls.certificate).map_err(|e| io::Error::other(format!("{e:?}")))?;
        roots.add(certificate).map_err(io::Error::other)?;
        let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(&[tls.version])
            .map_err(io::Error::other)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
        let mut connection = rustls::ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
        let mut out = first.to_vec();
        connection.write_tls(&mut out)?;
        socket.write_all(&out)?;
        let mut stream = rustls::StreamOwned::new(connection, socket);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Self { link: Link::Tls(Box::new(stream)), compressor: None, raw: BytesMut::new(), plain: BytesMut::new() })
    }

    /// What TLS is running in.
    pub fn tls_version(&self) -> Option<rustls::ProtocolVersion> {
        match &self.link {
            Link::Plain(_) => None,
            Link::Tls(s) => s.conn.protocol_version(),
        }
    }

    pub fn compress(&mut self, compressor: Compressor) {
        self.compressor = Some(compressor);
    }

    /// A new command.
    pub fn restart(&mut self) {
        if let Some(c) = &mut self.compressor {
            c.restart()
        }
    }

    pub fn read_exact(&mut self, into: &mut [u8]) -> io::Result<()> {
        let Some(c) = &mut self.compressor else { return self.link.read_exact(into) };
        while self.plain.len() < into.len() {
            let mut piece = vec![0; 64 << 10];
            let n = self.link.read(&mut piece)?;
            if n == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.raw.extend_from_slice(&piece[..n]);
            c.expand(&mut self.raw, &mut self.plain).map_err(io::Error::other)?;
        }
        into.copy_from_slice(&self.plain[..into.len()]);
        self.plain.advance(into.len());
        Ok(())
    }

    pub fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.compressor {
            None => self.link.write_all(bytes)?,
            Some(c) => {
                let mut packed = Vec::new();
                c.pack(bytes, &mut packed).map_err(io::Error::other)?;
                self.link.write_all(&packed)?;
            }
        }
        self.link.flush()
    }
}

impl Read for Link {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Link::Plain(s) => s.read(buf),
            Link::Tls(s) => s.read(buf),
        }
    }
}

impl Write for Link {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Link::Plain(s) => s.write(buf),
            Link::Tls(s) => s.write(buf),
        }
    }
    fn flush(&mut self) -> io::Result<()> {
        match self {
            Link::Plain(s) => s.flush(),
            Link::Tls(s) => s.flush(),
        }
    }
}
