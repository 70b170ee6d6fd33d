//! How `weald dev status|kill|start` speaks to the `weald dev` that is running.
//!
//! The running one listens on a free port of the loopback and writes port and a token drawn at random into a file that only its user can read. A line goes
//! there, and lines come back. A socket in the file system would need no token, but its path may have about a hundred bytes only.
//!
//! Owns:     the file `dev.control`, while the process runs.
//! Promises: who does not know the token is not answered.
//! Never:    starts or ends a process: the main loop does.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;
use weald_env::Env;

/// A node that was told to start has to answer within less.
const PATIENCE: Duration = Duration::from_secs(60);
/// Of a line.
const LINE_MOST: u64 = 1 << 10;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    Status,
    Kill(String),
    Start(String),
}

/// Ok: what to print. Err: why not.
pub type Answer = Result<String, String>;

impl Request {
    fn line(&self) -> String {
        match self {
            Request::Status => "status".into(),
            Request::Kill(node) => format!("kill {node}"),
            Request::Start(node) => format!("start {node}"),
        }
    }
    fn parse(line: &str) -> Option<Self> {
        match line.split_once(' ').unwrap_or((line, "")) {
            ("status", "") => Some(Request::Status),
            ("kill", node) if !node.is_empty() => Some(Request::Kill(node.into())),
            ("start", node) if !node.is_empty() => Some(Request::Start(node.into())),
            _ => None,
        }
    }
}

fn file(dir: &Path) -> PathBuf {
    dir.join("dev.control")
}

/// The door, while the value is there.
pub struct Door {
    env: Env,
    file: PathBuf,
}

impl Drop for Door {
    fn drop(&mut self) {
        // Whoever reads a file that was left behind finds nobody at the port, and says so.
        let _ = self.env.disk.remove(&self.file);
    }
}

/// Requests go to `to`, each with where its answer is to go.
pub fn open(env: &Env, dir: &Path, to: impl Fn(Request, Sender<Answer>) + Send + 'static) -> Result<Door, String> {
    let failed = |e: std::io::Error| format!("cannot listen for `weald dev status`: {e}");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
    let port = listener.local_addr().map_err(failed)?.port();
    let token = format!("{:016x}{:016x}", env.random.next_u64(), env.random.next_u64());
    let path = file(dir);
    env.disk.write_atomically(&path, format!("{port} {token}\n").as_bytes()).map_err(|e| format!("{} cannot be written: {e}", path.display()))?;
    let serve = move || {
        // One after the other: a person types them.
        for stream in listener.incoming().flatten() {
            let answer = match asked(&stream, &token) {
                Some(request) => {
                    let (answer, answered) = channel();
                    to(request, answer);
                    answered.recv().unwrap_or_else(|_| Err("it is ending".into()))
                }
                None => Err("not understood".into()),
            };
            let (word, text) = match &answer {
                Ok(text) => ("ok", text),
                Err(text) => ("error", text),
            };
            // Who asked may have gone.
            let _ = (&stream).write_all(format!("{word}\n{text}\n").as_bytes());
        }
    };
    std::thread::Builder::new().name("control".into()).spawn(serve).map_err(failed)?;
    Ok(Door { env: env.clone(), file: path })
}

fn asked(stream: &TcpStream, token: &str) -> Option<Request> {
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let mut line = String::new();
    BufReader::new(stream.take(LINE_MOST)).read_line(&mut line).ok()?;
    let (given, request) = line.trim_end().split_once(' ')?;
    if given != token {
        return None;
    }
    Request::parse(request)
}

/// None: no `weald dev` runs on the directory.
pub fn ask(env: &Env, dir: &Path, request: &Request) -> Option<Answer> {
    let text = env.disk.read(&file(dir)).ok()?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let (port, token) = text.trim_end().split_once(' ')?;
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port.parse::<u16>().ok()?)).ok()?;
    let answer = (|| {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(format!("{token} {}\n", request.line()).as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok::<_, std::io::Error>(answer)
    })();
    Some(match answer {
        Ok(answer) => match answer.split_once('\n') {
            Some(("ok", text)) => Ok(text.trim_end().into()),
            Some((_, text)) => Err(text.trim_end().into()),
            None => Err("it is ending".into()),
        },
        Err(e) => Err(format!("the running `weald dev` does not answer: {e}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_arrive_and_are_answered_with_the_token_only() {
        let temporary = tempfile::tempdir().unwrap();
        let env = Env::real();
        let answer = |request: Request, to: Sender<Answer>| {
            let answer = match request {
                Request::Status => Ok("two\nlines".to_string()),
                Request::Kill(node) => Err(format!("no {node}")),
                Request::Start(node) => Ok(node),
            };
            to.send(answer).unwrap();
        };
        assert_eq!(ask(&env, temporary.path(), &Request::Status), None);
        let door = open(&env, temporary.path(), answer).unwrap();
        assert_eq!(ask(&env, temporary.path(), &Request::Status), Some(Ok("two\nlines".into())));
        assert_eq!(ask(&env, temporary.path(), &Request::Kill("leaf-2".into())), Some(Err("no leaf-2".into())));
        assert_eq!(ask(&env, temporary.path(), &Request::Start("leaf-2".into())), Some(Ok("leaf-2".into())));
        let path = file(temporary.path());
        let right = env.disk.read(&path).unwrap();
        let port = String::from_utf8_lossy(&right).split(' ').next().unwrap().to_string();
        env.disk.write_atomically(&path, format!("{port} {}\n", "0".repeat(32)).as_bytes()).unwrap();
        assert_eq!(ask(&env, temporary.path(), &Request::Status), Some(Err("not understood".into())));
        drop(door);
        assert_eq!(ask(&env, temporary.path(), &Request::Status), None);
    }
}
