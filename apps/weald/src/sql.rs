//! `weald sql`: a small SQL shell, so that no client has to be installed.
//!
//! Owns:     the conversation: what was typed and is not a statement yet.
//! Promises: at a terminal it asks, draws tables and goes on after an error; otherwise it reads to the end, prints lines with tabs and stops at the first
//!           error with exit code 1.
//! Never:    changes a statement on its way.

mod input;

use crate::client::{Answer, Client, Error};
use crate::print::{self, Style};
use clap::Args;
use input::{Ending, Splitter};
use std::io::{BufRead, IsTerminal, Write};
use std::process::ExitCode;
use weald_env::Env;

#[derive(Args)]
pub struct Options {
    #[arg(short = 'H', long, default_value = "127.0.0.1", env = "WEALD_HOST")]
    host: String,
    #[arg(short = 'P', long, default_value_t = 3306, env = "WEALD_MYSQL_PORT")]
    port: u16,
    #[arg(short, long, default_value = "root", env = "WEALD_USER")]
    user: String,
    /// Without a value it is asked for. An environment variable keeps it out of the list of processes.
    #[arg(short, long, num_args = 0..=1, default_missing_value = "", env = "WEALD_PASSWORD", hide_env_values = true)]
    password: Option<String>,
    /// The database to use.
    #[arg(short = 'D', long)]
    database: Option<String>,
    /// Runs this and ends.
    #[arg(short, long, value_name = "STATEMENTS")]
    execute: Option<String>,
    /// Tables, also where output is not a terminal.
    #[arg(short, long)]
    table: bool,
    /// Goes on after an error; the exit code still tells of it.
    #[arg(short, long)]
    force: bool,
}

const HELP: &str = "\
A statement ends with ; or with \\G, which prints its rows one column a line. It may take several lines.
  \\c         forgets what was typed so far
  \\h, help   this text
  \\q, quit   ends (so does Ctrl-D)";

pub fn run(o: &Options) -> ExitCode {
    let asked;
    let password = match o.password.as_deref() {
        Some("") => {
            asked = ask_password();
            asked.as_str()
        }
        Some(p) => p,
        None => "",
    };
    let client = match Client::connect(&o.host, o.port, &o.user, password, o.database.as_deref()) {
        Ok(c) => c,
        Err(e) => {
            eprintln!("{}", e.line(None));
            if let Error::Connect { .. } = e {
                eprintln!("Is it running? `weald dev` starts one; --host and --port say where it is.");
            }
            return ExitCode::FAILURE;
        }
    };
    let interactive = o.execute.is_none() && std::io::stdin().is_terminal();
    let style = if o.table || o.execute.is_none() && std::io::stdout().is_terminal() { Style::Table } else { Style::Lines };
    let mut shell = Shell { client, style, interactive, force: o.force, failed: false, env: Env::real() };
    let done = match &o.execute {
        Some(text) => shell.batch(text.as_bytes()),
        None if interactive => shell.talk(),
        None => shell.batch(std::io::stdin().lock()),
    };
    match done {
        Ok(()) if !shell.failed || interactive => ExitCode::SUCCESS,
        Ok(()) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("{}", e.line(None));
            ExitCode::FAILURE
        }
    }
}

fn ask_password() -> String {
    // The terminal shows what is typed; who minds uses WEALD_PASSWORD.
    eprint!("Password: ");
    let mut line = String::new();
    // No input means no password.
    let _ = std::io::stdin().lock().read_line(&mut line);
    line.trim_end_matches(['\r', '\n']).to_string()
}

struct Shell {
    client: Client,
    style: Style,
    interactive: bool,
    force: bool,
    failed: bool,
    env: Env,
}

impl Shell {
    fn talk(&mut self) -> Result<(), Error> {
        println!("Connected to {}, connection {}. \\h for help.", self.client.version, self.client.connection_id);
        let mut splitter = Splitter::default();
        let stdin = std::io::stdin();
        loop {
            print!("{}", if splitter.is_empty() { "weald> " } else { "    -> " });
            let _ = std::io::stdout().flush();
            let mut line = String::new();
            if stdin.lock().read_line(&mut line).map_err(Error::Input)? == 0 {
                println!();
                return Ok(());
            }
            let word = line.trim().trim_end_matches(';');
            match word.to_ascii_lowercase().as_str() {
                "\\q" | "quit" | "exit" if splitter.is_empty() => return Ok(()),
                "\\h" | "help" | "\\?" | "?" if splitter.is_empty() => {
                    println!("{HELP}");
                    continue;
                }
                "\\c" => {
                    splitter = Splitter::default();
                    continue;
                }
                _ => (),
            }
            splitter.feed(&line);
            while let Some(s) = splitter.next_statement() {
                self.statement(&s.text, s.ending, None)?;
            }
        }
    }

    fn batch(&mut self, mut input: impl BufRead) -> Result<(), Error> {
        let mut splitter = Splitter::default();
        let mut line = Vec::new();
        let mut more = true;
        while more {
            line.clear();
            more = input.read_until(b'\n', &mut line).map_err(Error::Input)? > 0;
            if more {
                splitter.feed(&String::from_utf8_lossy(&line));
            } else {
                splitter.end();
            }
            while let Some(s) = splitter.next_statement() {
                if !self.statement(&s.text, s.ending, Some(s.line))? && !self.force {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// False: the server refused it. An error: there is no server any more.
    fn statement(&mut self, text: &str, ending: Ending, line: Option<u32>) -> Result<bool, Error> {
        let begun = self.env.clock.now();
        let mut next = Some(self.client.query(text));
        let mut out = std::io::BufWriter::new(std::io::stdout().lock());
        while let Some(answer) = next.take() {
            match answer {
                Ok(answer) => {
                    let style = if ending == Ending::Vertical { Style::Vertical } else { self.style };
                    let took = self.interactive.then(|| self.env.clock.now() - begun);
                    let printed = match &answer {
                        Answer::Rows(rows) => print::rows(&mut out, rows, style, took),
                        Answer::Done(done) => print::done(&mut out, done, took),
                    };
                    // Whoever read the output has gone: there is nobody to work for.
                    printed.and_then(|()| out.flush()).map_err(Error::Output)?;
                    if answer.has_more() {
                        next = Some(self.client.next_result());
                    }
                }
                Err(e @ Error::Server { .. }) => {
                    self.failed = true;
                    eprintln!("{}", e.line(line));
                    return Ok(false);
                }
                Err(e) => return Err(e),
            }
        }
        Ok(true)
    }
}
