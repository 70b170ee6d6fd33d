//! The bytes of one connection: frames in, batches out.
//!
//! Owns:     the stream, what was read and is not yet a frame, what is being written.
//! Promises: everything that is ready goes out in one write; a read takes what is there.
//! Never:    knows what a frame is for.

use crate::frame::{Frame, Head, Malformed, decode};
use crate::network::BoxStream;
use crate::outbox::{Batch, whole};
use bytes::BytesMut;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};

const READ_BYTES: usize = 32 << 10;
/// With less room than this a read would fetch too little to be worth a call.
const LEAST_ROOM: usize = 4 << 10;
const PIECES: usize = 32;

pub(crate) struct Pipe {
    stream: BoxStream,
    input: BytesMut,
    max_frame: usize,
    pub batch: Batch,
    /// Bytes that the stream has taken since the first frame.
    pub written: u64,
    unflushed: bool,
}

impl Pipe {
    pub fn new(stream: BoxStream, max_frame: usize) -> Self {
        Self { stream, input: BytesMut::new(), max_frame, batch: Batch::default(), written: 0, unflushed: false }
    }

    /// Reads what is there. `0` is the end of the stream.
    pub fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.input.capacity() - self.input.len() < LEAST_ROOM {
            self.input.reserve(READ_BYTES);
        }
        // The future has no state of its own: each poll is one read.
        pin!(self.stream.read_buf(&mut self.input)).poll(cx)
    }

    pub fn next_frame(&mut self) -> Result<Option<Frame>, Malformed> {
        decode(&mut self.input, self.max_frame)
    }

    /// Writes some of the batch, which is not empty. `Ready` when something was written.
    pub fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut pieces = [IoSlice::new(&[]); PIECES];
        let n = self.batch.pieces(&mut pieces);
        let stream = Pin::new(&mut self.stream);
        let written = match &pieces[..n] {
            [one] => ready!(stream.poll_write(cx, one))?,
            several if stream.is_write_vectored() => ready!(stream.poll_write_vectored(cx, several))?,
            several => ready!(stream.poll_write(cx, &several[0]))?,
        };
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.batch.advance(written);
        self.written += written as u64;
        self.unflushed = true;
        Poll::Ready(Ok(()))
    }

    /// Once the batch is written: what the stream itself holds back goes out as well.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.unflushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// One frame, at once. For greetings and farewells, when no batch is under way.
    pub async fn say(&mut self, head: Head, body: &[u8]) -> io::Result<()> {
        self.stream.write_all(&whole(head, body)).await?;
        self.stream.flush().await
    }

    /// The next frame, waited for. `None` is the end of the stream. For the greeting.
    pub async fn hear(&mut self) -> io::Result<Option<Frame>> {
        loop {
            if let Some(frame) = self.next_frame().map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))? {
                return Ok(Some(frame));
            }
            if poll_fn(|cx| self.poll_read(cx)).await? == 0 {
                return Ok(None);
            }
        }
    }

    pub async fn shutdown(&mut self) {
        // The peer may be gone already; then there is nobody to tell.
        let _ = self.stream.shutdown().await;
    }
}
