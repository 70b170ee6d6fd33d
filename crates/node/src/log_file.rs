//! A file that lines are written to while the server runs: the server's log, the slow-query log.
//!
//! Owns:     the file, its older pieces (`name.1` is the newest of them), and the thread that writes.
//! Promises: writing a line never waits for the disk. Lines are kept in order. The file and its pieces together stay below what was allowed; when the disk
//!           or the thread cannot keep up, lines are left out and the next one that is written says how many.
//! Never:    fails a statement because its log cannot be written.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use weald_env::{Env, File, OpenMode};

/// Lines that may wait for the disk.
const WAITING: usize = 8192;

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A file that is longer becomes `name.1`.
    pub file_bytes: u64,
    /// Older pieces kept.
    pub pieces: usize,
}

enum Message {
    Text(Vec<u8>),
    /// Somebody has moved the file away.
    Reopen,
    End,
}

/// A handle to the file; they all write to one.
#[derive(Clone)]
pub struct LogFile {
    send: SyncSender<Message>,
    lost: Arc<AtomicU64>,
}

/// The thread that writes.
pub struct Writer {
    thread: JoinHandle<()>,
    send: SyncSender<Message>,
}

impl Writer {
    /// What was written before is in the file when this returns; what is written after it is lost.
    pub fn close(self) {
        // An error means that the thread has ended already.
        let _ = self.send.send(Message::End);
        let _ = self.thread.join();
    }
}

impl LogFile {
    /// `header` makes the first lines of a new file.
    pub fn open(env: &Env, path: &Path, limits: Limits, header: fn() -> String) -> std::io::Result<(Self, Writer)> {
        let (send, receive) = sync_channel(WAITING);
        let lost = Arc::new(AtomicU64::new(0));
        let mut out = Out { env: env.clone(), path: path.to_owned(), limits, header, file: None, len: 0, lost: lost.clone() };
        out.open()?;
        let thread = std::thread::Builder::new().name("log-file".into()).spawn(move || out.run(&receive))?;
        Ok((Self { send: send.clone(), lost }, Writer { thread, send }))
    }

    /// `text` is whole lines.
    pub fn write(&self, text: Vec<u8>) {
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = self.send.try_send(Message::Text(text)) {
            self.lost.fetch_add(1, Relaxed);
        }
    }

    pub fn reopen(&self) {
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = self.send.try_send(Message::Reopen) {
            tracing::warn!("a log file is not reopened: too much waits to be written to it");
        }
    }
}

struct Out {
    env: Env,
    path: PathBuf,
    limits: Limits,
    header: fn() -> String,
    file: Option<Arc<dyn File>>,
    len: u64,
    lost: Arc<AtomicU64>,
}

impl Out {
    fn run(&mut self, receive: &Receiver<Message>) {
        while let Ok(message) = receive.recv() {
            match message {
                Message::Text(text) => {
                    if self.write(&text).is_err() {
                        self.lost.fetch_add(1, Relaxed);
                    }
                }
                Message::Reopen => self.file = None,
                Message::End => return,
            }
        }
    }

    fn open(&mut self) -> std::io::Result<&Arc<dyn File>> {
        let file = self.env.disk.open(&self.path, OpenMode::Create)?;
        self.len = file.len()?;
        if self.len == 0 {
            let header = (self.header)();
            file.write_all_at(header.as_bytes(), 0)?;
            self.len = header.len() as u64;
        }
        Ok(self.file.insert(file))
    }

    fn write(&mut self, text: &[u8]) -> std::io::Result<()> {
        if self.file.is_some() && self.len > 0 && self.len + text.len() as u64 > self.limits.file_bytes {
            self.file = None;
            self.turn()?;
        }
        if self.file.is_none() {
            self.open()?;
        }
        let lost = self.lost.swap(0, Relaxed);
        let note = if lost > 0 { format!("({lost} entries are missing here: they could not be written in time)\n") } else { String::new() };
        let Some(file) = &self.file else { return Ok(()) };
        let done = file.write_all_at(note.as_bytes(), self.len).and_then(|()| file.write_all_at(text, self.len + note.len() as u64));
        if done.is_ok() {
            self.len += (note.len() + text.len()) as u64;
        } else {
            self.lost.fetch_add(lost, Relaxed);
        }
        done
    }

    /// Every piece becomes one older; the oldest goes.
    fn turn(&self) -> std::io::Result<()> {
        let piece = |n: usize| {
            let mut name = self.path.clone().into_os_string();
            name.push(format!(".{n}"));
            PathBuf::from(name)
        };
        let disk = &self.env.disk;
        if self.limits.pieces == 0 {
            return disk.remove(&self.path);
        }
        for n in (1..self.limits.pieces).rev() {
            if disk.exists(&piece(n)) {
                disk.rename(&piece(n), &piece(n + 1))?;
            }
        }
        disk.rename(&self.path, &piece(1))
    }
}

/// One line of `tracing`, sent when it is whole.
pub struct Line {
    to: LogFile,
    bytes: Vec<u8>,
}

impl std::io::Write for Line {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if !self.bytes.is_empty() {
            self.to.write(std::mem::take(&mut self.bytes));
        }
    }
}

impl tracing_subscriber::fmt::MakeWriter<'_> for LogFile {
    type Writer = Line;
    fn make_writer(&self) -> Line {
        Line { to: self.clone(), bytes: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_log_turns_into_pieces_and_the_oldest_go() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("weald.log");
        let env = Env::real();
        let limits = Limits { file_bytes: 30, pieces: 2 };
        let write = |lines: std::ops::Range<u32>| {
            let (file, writer) = LogFile::open(&env, &path, limits, || "head\n".into()).unwrap();
            for n in lines {
                file.write(format!("line {n:04}\n").into_bytes());
            }
            writer.close();
        };
        write(0..1);
        // A second start goes on where the first one ended.
        write(1..8);
        let read = |name: &str| String::from_utf8(env.disk.read(&dir.path().join(name)).unwrap()).unwrap();
        assert_eq!(read("weald.log.2"), "head\nline 0002\nline 0003\n");
        assert_eq!(read("weald.log.1"), "head\nline 0004\nline 0005\n");
        assert_eq!(read("weald.log"), "head\nline 0006\nline 0007\n");
        assert_eq!(env.disk.list(dir.path()).unwrap().len(), 3);
    }

    #[test]
    fn a_file_that_was_moved_away_is_made_again() {
        let dir = tempfile::tempdir().unwrap();
        let (path, env) = (dir.path().join("slow.log"), Env::real());
        let (file, writer) = LogFile::open(&env, &path, Limits { file_bytes: 1000, pieces: 1 }, String::new).unwrap();
        file.write(b"one\n".to_vec());
        file.reopen();
        // The thread may have the first line still before it: both end up in files, in order, wherever the name points.
        file.write(b"two\n".to_vec());
        writer.close();
        assert_eq!(env.disk.read(&path).unwrap(), b"one\ntwo\n");
    }
}
