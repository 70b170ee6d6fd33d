//! A client's socket, as packets: framing, compression, and TLS or not underneath.
//!
//! Owns:     the socket and its buffers.
//! Promises: what is ready is written before anything is waited for; a client that does not read holds up nobody but itself, and not for ever.
//! Never:    knows what a packet says.

use crate::mysql_error;
use crate::server::Server;
use crate::timer::Timer;
use bytes::{Buf, BytesMut};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use weald_types::memory::Budget;
use weald_types::{Charset, Fault};
use weald_wire::compress::{Algorithm, Compressor};
use weald_wire::{frame, reply};

/// Written out when the answer is longer than this.
pub(crate) const FLUSH_BYTES: usize = 16 << 10;
/// Until a client is known, it may send so much in one packet: a login with all its attributes.
const LOGIN_BYTES: usize = 128 << 10;
/// What is read of a packet is counted in steps of this.
const COUNTED_BYTES: u64 = 256 << 10;
/// A buffer that a giant answer grew beyond this is not kept.
const KEPT_BYTES: usize = 1 << 20;
/// Packets that take more are made anew each time.
const REPEATED_BYTES: usize = 4 << 10;
/// How long, and how much, is read from a client that was just told why it is cut off: a socket closed over unread bytes would reset the connection, and
/// the client would never see the reason.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 64 << 20;

pub(crate) trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

/// Why a connection is over.
#[derive(Debug, thiserror::Error)]
pub(crate) enum End {
    #[error("the client went away")]
    Gone,
    #[error("the client said good-bye")]
    Quit,
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Wire(#[from] weald_wire::Error),
    #[error("no memory for what the client sends")]
    NoMemory,
    #[error("time is up")]
    Timeout,
    #[error("killed")]
    Killed,
    /// The client has been told.
    #[error("refused")]
    Refused,
}

/// A place among the packets that are sent.
#[derive(Clone, Copy)]
pub(crate) struct Mark {
    at: usize,
    sequence: u8,
}

/// Packets with their numbers.
pub(crate) struct Packets {
    bytes: Box<[u8]>,
    first: u8,
    /// The number behind the last of them.
    next: u8,
}

impl Packets {
    /// Whether they are numbered for this place.
    pub fn follows(&self, mark: Mark) -> bool {
        self.first == mark.sequence
    }
}

pub(crate) struct Pipe {
    socket: Option<Box<dyn Socket>>,
    raw: BytesMut,
    plain: BytesMut,
    decoder: frame::Decoder,
    /// What has been read of packets that are not whole yet.
    memory: Budget,
    /// The number of the next packet that is sent.
    sequence: u8,
    pub out: Vec<u8>,
    compressor: Option<Compressor>,
    packed: Vec<u8>,
    server: Arc<Server>,
    reading: Timer,
    writing: Timer,
    /// `net_write_timeout`
    pub write_limit: Duration,
    /// What error messages are sent in.
    pub charset: Charset,
}

impl Pipe {
    pub fn new(socket: impl Socket + 'static, server: Arc<Server>) -> Self {
        Self {
            socket: Some(Box::new(socket)),
            raw: BytesMut::new(),
            plain: BytesMut::with_capacity(4096),
            decoder: frame::Decoder::new(LOGIN_BYTES),
            memory: Budget::new(server.engine.node.memory.clone(), u64::MAX),
            sequence: 0,
            out: Vec::with_capacity(4096),
            compressor: None,
            packed: Vec::new(),
            reading: Timer::new(server.query_runtime.clone()),
            writing: Timer::new(server.query_runtime.clone()),
            server,
            write_limit: Duration::from_secs(60),
            charset: Charset::Utf8mb4,
        }
    }

    /// `max_allowed_packet`
    pub fn set_packet_limit(&mut self, bytes: usize) {
        self.decoder.limit = bytes;
    }

    /// From here on frames are compressed.
    pub fn compress(&mut self, algorithm: Algorithm) {
        self.compressor = Some(Compressor::new(algorithm));
        self.decoder.take_any_number();
    }

    /// Goes on under TLS. A client sends its first TLS record without waiting for us: what was read with the request belongs to it.
    pub async fn start_tls(&mut self, tls: &tokio_rustls::TlsAcceptor) -> Result<TlsFacts, End> {
        let socket = self.socket.take().ok_or(End::Gone)?;
        let early = std::mem::take(&mut self.plain);
        let stream = tls.accept(Prefixed { early, socket }).await?;
        let session = stream.get_ref().1;
        let facts = TlsFacts {
            version: match session.protocol_version() {
                Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2",
                Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3",
                _ => "",
            },
            cipher: session.negotiated_cipher_suite().map(|c| openssl_name(&format!("{:?}", c.suite()))).unwrap_or_default(),
        };
        self.socket = Some(Box::new(stream));
        Ok(facts)
    }

    pub async fn flush(&mut self) -> Result<(), End> {
        if self.out.is_empty() {
            return Ok(());
        }
        self.server.counters.bytes_sent.fetch_add(self.out.len() as u64, Ordering::Relaxed);
        let mut bytes = std::mem::take(&mut self.out);
        let mut packed = std::mem::take(&mut self.packed);
        let send: &[u8] = match &mut self.compressor {
            Some(c) => {
                packed.clear();
                c.pack(&bytes, &mut packed)?;
                &packed
            }
            None => &bytes,
        };
        let socket = self.socket.as_mut().ok_or(End::Gone)?;
        let write = async {
            socket.write_all(send).await?;
            socket.flush().await
        };
        self.writing.within(self.write_limit, write).await.ok_or(End::Timeout)??;
        bytes.clear();
        if bytes.capacity() <= KEPT_BYTES {
            self.out = bytes;
        }
        if packed.capacity() <= KEPT_BYTES {
            self.packed = packed;
        }
        Ok(())
    }

    /// The next packet. Answers that are ready are written before anything is waited for.
    async fn packet(&mut self, timeout: Duration) -> Result<bytes::Bytes, End> {
        self.memory.give(u64::MAX);
        loop {
            if let Some(p) = self.decoder.next(&mut self.plain)? {
                self.sequence = self.decoder.sequence();
                return Ok(p);
            }
            self.flush().await?;
            let into = if self.compressor.is_some() { &mut self.raw } else { &mut self.plain };
            into.reserve(4096);
            let socket = self.socket.as_mut().ok_or(End::Gone)?;
            let n = self.reading.within(timeout, socket.read_buf(into)).await.ok_or(End::Timeout)??;
            if n == 0 {
                return Err(End::Gone);
            }
            self.server.counters.bytes_received.fetch_add(n as u64, Ordering::Relaxed);
            if let Some(c) = &mut self.compressor {
                c.expand(&mut self.raw, &mut self.plain)?;
            }
            let held = (self.raw.len() + self.plain.len() + self.decoder.held()) as u64;
            if held > self.memory.used() + COUNTED_BYTES {
                self.memory.take(held - self.memory.used()).map_err(|_| End::NoMemory)?;
            }
        }
    }

    /// The packet that starts a new conversation: a command.
    pub async fn command(&mut self, timeout: Duration) -> Result<bytes::Bytes, End> {
        self.decoder.set_sequence(0);
        self.packet(timeout).await
    }

    /// The client's next packet of this conversation.
    pub async fn reply(&mut self, timeout: Duration) -> Result<bytes::Bytes, End> {
        self.decoder.set_sequence(self.sequence);
        self.packet(timeout).await
    }

    pub fn write(&mut self, f: impl FnOnce(&mut Vec<u8>)) {
        let start = frame::open(&mut self.out);
        f(&mut self.out);
        frame::close(&mut self.out, start, &mut self.sequence);
    }

    /// Where the next packet begins.
    pub fn mark(&self) -> Mark {
        Mark { at: self.out.len(), sequence: self.sequence }
    }
    /// What was written since the mark, and not flushed; `None` if it is long.
    pub fn written_since(&self, mark: Mark) -> Option<Packets> {
        let bytes = self.out.get(mark.at..).filter(|b| b.len() <= REPEATED_BYTES)?;
        Some(Packets { bytes: bytes.into(), first: mark.sequence, next: self.sequence })
    }
    /// The same packets again.
    pub fn repeat(&mut self, packets: &Packets) {
        self.out.extend_from_slice(&packets.bytes);
        self.sequence = packets.next;
    }

    pub fn error(&mut self, fault: &Fault) {
        let (number, state) = mysql_error::code(fault);
        let message = mysql_error::message(fault);
        self.server.counters.errors.fetch_add(1, Ordering::Relaxed);
        let message = self.charset.encode(&message);
        self.write(|o| reply::error(o, number, Some(state), &message));
    }

    /// Instead of the greeting. The client has not said yet that it understands SQLSTATEs.
    pub fn error_instead_of_greeting(&mut self, fault: &Fault) {
        let (number, _) = mysql_error::code(fault);
        let message = mysql_error::message(fault);
        self.write(|o| reply::error(o, number, None, message.as_bytes()));
    }

    /// The last words to a client that asked for nothing: numbered 0, which clients know a server's own notice by.
    pub fn notice(&mut self, fault: &Fault) {
        self.sequence = 0;
        self.error(fault);
    }

    /// The last words to a client whose packet could not be read.
    pub fn refuse(&mut self, fault: &Fault) {
        self.sequence = self.decoder.sequence().wrapping_add(1);
        self.error(fault);
    }

    /// Sends what is left, says that nothing follows, and gives the client time to read it.
    pub async fn close(&mut self) {
        let farewell = async {
            self.flush().await?;
            let Some(socket) = self.socket.as_mut() else { return Ok(()) };
            socket.shutdown().await?;
            let mut rest = vec![0; 64 << 10];
            let mut read = 0;
            while read < LINGER_BYTES {
                match socket.read(&mut rest).await? {
                    0 => break,
                    n => read += n,
                }
            }
            Ok::<(), End>(())
        };
        // The client may be gone already, or never read: either way there is nobody left to tell.
        let _ = tokio::time::timeout(LINGER, farewell).await;
    }
}

pub(crate) fn wire_fault(e: &weald_wire::Error) -> Fault {
    match e {
        weald_wire::Error::TooLarge { .. } => Fault::mysql(1153, "08S01", "Got a packet bigger than 'max_allowed_packet' bytes"),
        weald_wire::Error::OutOfOrder { .. } => Fault::mysql(1156, "08S01", "Got packets out of order"),
        weald_wire::Error::Malformed(what) => Fault::mysql(1835, "HY000", format!("Malformed communication packet: {what}")),
        weald_wire::Error::Compression => Fault::mysql(1157, "08S01", "Couldn't uncompress communication packet"),
    }
}

/// What SHOW STATUS says of a connection's TLS.
#[derive(Clone, Debug, Default)]
pub struct TlsFacts {
    pub version: &'static str,
    pub cipher: String,
}

/// rustls gives IANA's names, MySQL shows OpenSSL's: `TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384` is `ECDHE-ECDSA-AES256-GCM-SHA384`.
fn openssl_name(iana: &str) -> String {
    if let Some(rest) = iana.strip_prefix("TLS13_") {
        return format!("TLS_{rest}");
    }
    let name = iana.trim_start_matches("TLS_").replace("_WITH_", "_").replace("_POLY1305_SHA256", "_POLY1305");
    name.replace("AES_128", "AES128").replace("AES_256", "AES256").replace('_', "-")
}

/// A socket some bytes of which have been read already.
struct Prefixed {
    early: BytesMut,
    socket: Box<dyn Socket>,
}

impl AsyncRead for Prefixed {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        if self.early.is_empty() {
            return Pin::new(&mut self.socket).poll_read(cx, buf);
        }
        let n = self.early.len().min(buf.remaining());
        buf.put_slice(&self.early[..n]);
        self.early.advance(n);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Prefixed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, buf)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ciphers_have_the_names_mysql_shows() {
        assert_eq!(openssl_name("TLS13_AES_256_GCM_SHA384"), "TLS_AES_256_GCM_SHA384");
        assert_eq!(openssl_name("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"), "ECDHE-ECDSA-AES256-GCM-SHA384");
        assert_eq!(openssl_name("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"), "ECDHE-RSA-CHACHA20-POLY1305");
    }
}
