//! `weald admin`: the operator's tool, over the MySQL protocol.
//!
//! Owns:     its command line, and how answers are printed.
//! Promises: exit code 0 when what was asked is done, 1 when it is not, 2 when the command line is wrong; what gives something up is asked about first, unless --yes
//!           says that it is meant. Any aggregator will do: the first of those named that answers.
//! Never:    keeps a list of nodes of its own: the cluster knows.

mod nodes;
mod processes;

use crate::client::{Answer, Client, Error, Rows};
use crate::print::{self, Style};
use clap::{Args, Subcommand};
use std::io::{BufRead, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Args)]
pub struct Options {
    /// Aggregators to ask, with commas between them: the first that answers is taken. Each may have a port.
    #[arg(short = 'H', long, global = true, default_value = "127.0.0.1", env = "WEALD_HOST", value_name = "HOST[:PORT],…")]
    host: String,
    /// Where the host has none.
    #[arg(short = 'P', long, global = true, default_value_t = 3306, env = "WEALD_MYSQL_PORT")]
    port: u16,
    #[arg(short, long, global = true, default_value = "root", env = "WEALD_USER")]
    user: String,
    /// An environment variable keeps it out of the list of processes.
    #[arg(short, long, global = true, env = "WEALD_PASSWORD", hide_env_values = true)]
    password: Option<String>,
    /// Answers as JSON.
    #[arg(long, global = true)]
    json: bool,
    /// Asks nothing.
    #[arg(short, long, global = true)]
    yes: bool,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Every node: what it is, whether it can be reached, how far it has recovered.
    #[command(
        after_help = "Examples:\n  weald admin list-nodes\n  weald admin list-nodes --role leaf -q\n  weald admin -H a1,a2,a3:3307 list-nodes --json"
    )]
    ListNodes {
        /// These only.
        #[arg(long, value_enum)]
        role: Option<nodes::Role>,
        /// Numbers only.
        #[arg(short, long)]
        quiet: bool,
    },
    /// Everything that is known of one node.
    DescribeNode {
        /// HOST[:PORT]
        node: Place,
    },
    /// SHOW CLUSTER STATUS: every copy of every partition, as it is and as it should be.
    #[command(alias = "show-cluster-status")]
    ShowCluster,
    /// SHOW AGGREGATORS EXTENDED
    #[command(alias = "list-aggregators")]
    ShowAggregators,
    /// SHOW LEAVES EXTENDED
    #[command(alias = "list-leaves")]
    ShowLeaves,
    /// What has happened, newest last.
    ShowEvents,
    /// Makes a new cluster of the node that is asked, its master aggregator.
    #[command(
        after_help = "Examples:\n  weald admin -H 10.0.0.1 bootstrap-aggregator 10.0.0.1:3306\n\nThe address is that by which the other nodes will reach it."
    )]
    BootstrapAggregator {
        /// HOST[:PORT]
        address: Option<Place>,
    },
    /// Makes a fresh node an aggregator of the cluster.
    AddAggregator {
        /// HOST[:PORT]
        node: Place,
    },
    /// Takes an aggregator out of the cluster.
    RemoveAggregator {
        /// HOST[:PORT]
        node: Place,
    },
    /// Makes a fresh node a leaf of the cluster.
    #[command(after_help = "Examples:\n  weald admin add-leaf 10.0.0.5:3306\n  weald admin add-leaf 10.0.0.6:3306 --availability-group 2")]
    AddLeaf {
        /// HOST[:PORT]
        node: Place,
        /// [default: the smallest]
        #[arg(long, visible_alias = "group", value_name = "N")]
        availability_group: Option<u8>,
    },
    /// Takes a leaf out of the cluster.
    RemoveLeaf {
        /// HOST[:PORT]
        node: Place,
        /// Gives up what only this leaf has.
        #[arg(long)]
        force: bool,
    },
    /// Takes a leaf offline; the cluster keeps knowing it, and its data is kept.
    DetachLeaf {
        /// HOST[:PORT]
        node: Place,
        /// Only if every partition of it is online elsewhere.
        #[arg(long)]
        ensure_partition_safety: bool,
    },
    /// Takes a detached leaf back, or with --all every one.
    AttachLeaf {
        /// HOST[:PORT]
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        node: Option<Place>,
        #[arg(long)]
        all: bool,
        /// Moves nothing to it.
        #[arg(long)]
        no_rebalance: bool,
        /// What conflicts with the cluster's partitions is left as orphans.
        #[arg(long, conflicts_with = "all")]
        force: bool,
    },
    /// Hands the master's part over to another aggregator.
    PromoteAggregator {
        /// HOST[:PORT]
        node: Place,
    },
    /// When the master and the majority are lost for good: makes the node that is asked the master.
    SetAsMaster,
    /// Writes snapshots, so that the next start has less to replay.
    SnapshotDatabase {
        /// [default: all]
        database: Option<String>,
    },
    /// Sets a variable, for good.
    #[command(after_help = "Examples:\n  weald admin update-config max_connections=500\n  weald admin update-config slow_query_log=ON --now-only")]
    UpdateConfig {
        #[arg(value_name = "NAME=VALUE")]
        setting: String,
        /// Until the next start.
        #[arg(long)]
        now_only: bool,
    },
    /// Runs a statement on the node that is asked, or on others.
    #[command(after_help = "Examples:\n  weald admin query 'SELECT @@version'\n  weald admin query --all 'SELECT @@port, @@maximum_memory'")]
    Query {
        sql: String,
        /// On every node that can be reached, one after the other.
        #[arg(long)]
        all: bool,
    },
    /// Writes a configuration file for a node of this machine.
    CreateNode(processes::NewNode),
    /// Starts a node of this machine, and waits until it takes connections.
    StartNode {
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Ends a node's process; it comes back when it is started again.
    StopNode {
        /// HOST[:PORT]
        node: Place,
    },
    /// Ends a node of this machine and starts it again.
    RestartNode {
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
}

/// HOST[:PORT]; an IPv6 address stands in brackets if a port follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub host: String,
    pub port: Option<u16>,
}

impl std::str::FromStr for Place {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, "")) => (host, None),
            Some((host, rest)) => (host, Some(rest.strip_prefix(':').ok_or("what follows ] is not :PORT")?)),
            // More than one colon is an IPv6 address without a port.
            None if text.matches(':').count() == 1 => text.split_once(':').map_or((text, None), |(h, p)| (h, Some(p))),
            None => (text, None),
        };
        let port = port.map(|p| p.parse::<u16>().ok().filter(|p| *p > 0).ok_or_else(|| format!("'{p}' is no port"))).transpose()?;
        if host.is_empty() || host.contains(['\'', '\\']) {
            return Err("HOST or HOST:PORT is expected".into());
        }
        Ok(Self { host: host.into(), port })
    }
}

impl Place {
    /// As SQL says it.
    fn sql(&self) -> String {
        match self.port {
            Some(port) => format!("'{}':{port}", self.host),
            None => format!("'{}'", self.host),
        }
    }
}

/// Why a verb has failed: one line for the operator.
pub(crate) type Done = Result<(), String>;

pub fn run(o: &Options) -> ExitCode {
    match o.carry_out() {
        Ok(()) => ExitCode::SUCCESS,
        Err(line) => {
            if o.json {
                eprintln!("{}", serde_json::json!({ "error": line }));
            } else {
                eprintln!("weald admin: {line}");
            }
            ExitCode::FAILURE
        }
    }
}

impl Options {
    fn carry_out(&self) -> Done {
        match &self.verb {
            Verb::ListNodes { role, quiet } => nodes::list(self, *role, *quiet),
            Verb::DescribeNode { node } => nodes::describe(self, node),
            Verb::ShowCluster => self.show("SHOW CLUSTER STATUS"),
            Verb::ShowAggregators => self.show("SHOW AGGREGATORS EXTENDED"),
            Verb::ShowLeaves => self.show("SHOW LEAVES EXTENDED"),
            Verb::ShowEvents => self.show("SELECT * FROM information_schema.MV_EVENTS ORDER BY EVENT_TIME"),
            Verb::BootstrapAggregator { address } => {
                self.order(&format!("BOOTSTRAP AGGREGATOR {}", address.as_ref().map_or(String::new(), Place::sql)))
            }
            Verb::AddAggregator { node } => self.order(&format!("ADD AGGREGATOR {}", node.sql())),
            Verb::RemoveAggregator { node } => {
                self.confirm(&format!("Take the aggregator {} out of the cluster?", node.sql()))?;
                self.order(&format!("REMOVE AGGREGATOR {}", node.sql()))
            }
            Verb::AddLeaf { node, availability_group } => {
                let group = availability_group.map_or(String::new(), |g| format!(" INTO GROUP {g}"));
                self.order(&format!("ADD LEAF {}{group}", node.sql()))
            }
            Verb::RemoveLeaf { node, force } => {
                let loss = if *force { " What only it has is lost to the cluster." } else { "" };
                self.confirm(&format!("Take the leaf {} out of the cluster?{loss}", node.sql()))?;
                self.order(&format!("REMOVE LEAF {}{}", node.sql(), if *force { " FORCE" } else { "" }))
            }
            Verb::DetachLeaf { node, ensure_partition_safety } => {
                self.confirm(&format!("Take the leaf {} offline?", node.sql()))?;
                self.order(&format!("DETACH LEAF {}{}", node.sql(), if *ensure_partition_safety { " ENSURE_PARTITION_SAFETY" } else { "" }))
            }
            Verb::AttachLeaf { node, all: _, no_rebalance, force } => {
                let which = node.as_ref().map_or("ALL".into(), Place::sql);
                let (force, no) = (if *force { " FORCE" } else { "" }, if *no_rebalance { " NO REBALANCE" } else { "" });
                self.order(&format!("ATTACH LEAF {which}{force}{no}"))
            }
            Verb::PromoteAggregator { node } => self.order(&format!("PROMOTE AGGREGATOR {} TO MASTER", node.sql())),
            Verb::SetAsMaster => {
                self.confirm("Make this node the master? What the lost nodes knew and this one does not is given up.")?;
                self.order("AGGREGATOR SET AS MASTER")
            }
            Verb::SnapshotDatabase { database } => self.snapshot(database.as_deref()),
            Verb::UpdateConfig { setting, now_only } => {
                let (name, value) = setting.split_once('=').ok_or("NAME=VALUE is expected")?;
                let (name, value) = (name.trim(), value.trim());
                if !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
                    return Err(format!("'{name}' is no variable's name"));
                }
                // A number is one; whatever else is a text, ON and OFF included.
                let value = if value.parse::<f64>().is_ok() { value.to_string() } else { quote(value) };
                self.order(&format!("SET {} {name} = {value}", if *now_only { "GLOBAL" } else { "PERSIST" }))
            }
            Verb::Query { sql, all } => self.query(sql, *all),
            Verb::CreateNode(new) => processes::create(self, new),
            Verb::StartNode { config } => processes::start(self, config),
            Verb::StopNode { node } => processes::stop(self, node),
            Verb::RestartNode { config } => processes::restart(self, config),
        }
    }

    fn password(&self) -> &str {
        self.password.as_deref().unwrap_or("")
    }

    /// Any of those named.
    fn connect(&self) -> Result<Client, String> {
        let mut last = "no host is given".to_string();
        for text in self.host.split(',').map(str::trim).filter(|t| !t.is_empty()) {
            let place: Place = text.parse().map_err(|e| format!("{text}: {e}"))?;
            match Client::connect(&place.host, place.port.unwrap_or(self.port), &self.user, self.password(), None) {
                Ok(c) => return Ok(c),
                Err(e) => last = e.line(None),
            }
        }
        Err(last)
    }

    fn rows(&self, c: &mut Client, sql: &str) -> Result<Rows, String> {
        match c.query(sql).map_err(|e| e.line(None))? {
            Answer::Rows(r) => Ok(r),
            Answer::Done(_) => Err(format!("rows were expected of {sql}")),
        }
    }

    fn show(&self, sql: &str) -> Done {
        let mut c = self.connect()?;
        let rows = self.rows(&mut c, sql)?;
        self.print(&rows)
    }

    /// A statement without rows; its warnings are what the operator should know.
    fn order(&self, sql: &str) -> Done {
        let mut c = self.connect()?;
        let answer = c.query(sql.trim_end()).map_err(|e| e.line(None))?;
        let mut warnings = Vec::new();
        if let Answer::Done(d) = &answer
            && d.warnings > 0
        {
            let rows = self.rows(&mut c, "SHOW WARNINGS")?;
            warnings
                .extend(rows.rows.iter().map(|r| r.get(2).cloned().flatten().map_or(String::new(), |b| String::from_utf8_lossy(&b).into_owned())));
        }
        if self.json {
            crate::say(&serde_json::json!({ "done": true, "warnings": warnings }).to_string());
        } else {
            warnings.iter().for_each(|w| crate::say(&format!("Warning: {w}")));
            crate::say("Done.");
        }
        Ok(())
    }

    fn snapshot(&self, database: Option<&str>) -> Done {
        let mut c = self.connect()?;
        let all = match database {
            Some(d) => vec![d.to_string()],
            None => {
                let rows = self.rows(&mut c, "SELECT DATABASE_NAME FROM information_schema.DISTRIBUTED_DATABASES ORDER BY 1")?;
                rows.rows.iter().filter_map(|r| r.first().cloned().flatten()).map(|b| String::from_utf8_lossy(&b).into_owned()).collect()
            }
        };
        for d in &all {
            c.query(&format!("SNAPSHOT DATABASE `{}`", d.replace('`', "``"))).map_err(|e| format!("{d}: {}", e.line(None)))?;
            if !self.json {
                crate::say(&format!("{d}: done."));
            }
        }
        if self.json {
            crate::say(&serde_json::json!({ "done": true, "databases": all }).to_string());
        }
        Ok(())
    }

    fn query(&self, sql: &str, all: bool) -> Done {
        let mut c = self.connect()?;
        if !all {
            return match c.query(sql).map_err(|e| e.line(None))? {
                Answer::Rows(r) => self.print(&r),
                Answer::Done(d) => {
                    crate::say(&format!("{} rows affected", d.affected));
                    Ok(())
                }
            };
        }
        let mut failed = 0;
        for place in nodes::places(self, &mut c)? {
            let port = place.port.unwrap_or(self.port);
            let answer = Client::connect(&place.host, port, &self.user, self.password(), None).and_then(|mut c| c.query(sql));
            if !self.json {
                crate::say(&format!("{}:{port}", place.host));
            }
            match answer {
                Ok(Answer::Rows(r)) => self.print(&r)?,
                Ok(Answer::Done(d)) => crate::say(&format!("{} rows affected", d.affected)),
                Err(e) => {
                    failed += 1;
                    eprintln!("{}:{port}: {}", place.host, e.line(None));
                }
            }
        }
        if failed > 0 { Err(format!("it has failed on {failed} node(s)")) } else { Ok(()) }
    }

    fn print(&self, rows: &Rows) -> Done {
        let mut out = std::io::stdout().lock();
        let printed = if self.json { writeln!(out, "{}", print::json(rows)) } else { print::rows(&mut out, rows, Style::Table, None) };
        // Whoever read the output has gone.
        printed.or(Ok(()))
    }

    /// Err: no. Who cannot be asked has not agreed.
    fn confirm(&self, question: &str) -> Done {
        if self.yes {
            return Ok(());
        }
        if !std::io::stdin().is_terminal() {
            return Err(format!("{question} Nobody can be asked; --yes says that it is meant"));
        }
        eprint!("{question} [y/N] ");
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).map_err(|e| e.to_string())?;
        if matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes") { Ok(()) } else { Err("not done".into()) }
    }
}

/// A text as SQL writes it, whatever the session's sql_mode.
fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

fn reached(e: &Error) -> bool {
    !matches!(e, Error::Connect { .. } | Error::Lost(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_host_and_perhaps_a_port() {
        let check = |text: &str, expected: Option<(&str, Option<u16>)>| {
            let place = text.parse::<Place>().ok().map(|p| (p.host, p.port));
            assert_eq!(place, expected.map(|(h, p)| (h.to_string(), p)), "{text}");
        };
        check("a", Some(("a", None)));
        check("a:3307", Some(("a", Some(3307))));
        check("::1", Some(("::1", None)));
        check("[::1]:3307", Some(("::1", Some(3307))));
        check("[::1]", Some(("::1", None)));
        for wrong in ["", ":1", "a:", "a:0", "a:70000", "a'b", "[::1]3307"] {
            check(wrong, None);
        }
    }
}
