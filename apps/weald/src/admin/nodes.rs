//! list-nodes and describe-node.
//!
//! Owns:     nothing.
//! Promises: what the cluster says of its nodes, and what each says when it is called; a node that is of no cluster yet is shown as itself.
//! Never:    changes anything.

use super::{Done, Options, Place, reached};
use crate::client::{Client, Column, Rows};
use crate::print;
use clap::ValueEnum;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Role {
    Master,
    Aggregator,
    Leaf,
    Unknown,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Role::Master => "Master",
            Role::Aggregator => "Aggregator",
            Role::Leaf => "Leaf",
            Role::Unknown => "Unknown",
        }
    }
}

struct Known {
    id: Option<String>,
    role: Role,
    place: Place,
    state: String,
    group: Option<String>,
}

/// What the node itself says, when it is called.
struct Called {
    reached: bool,
    version: Option<String>,
    bind_address: Option<String>,
}

const MEMBERS: &str = "SELECT ID, TYPE, IP_ADDR, PORT, STATE, AVAILABILITY_GROUP FROM information_schema.MV_NODES ORDER BY ID, TYPE DESC";
/// Of each node that is recovering, how far it is with what is slowest.
const RECOVERING: &str = "SELECT NODE_ID, MIN(PERCENT), MAX(STATE = 'RECOVERY_FAILED') FROM information_schema.MV_RECOVERY_STATUS WHERE STATE <> 'ONLINE' GROUP BY NODE_ID";

pub fn list(o: &Options, role: Option<Role>, quiet: bool) -> Done {
    let mut c = o.connect()?;
    let recovering = texts(&o.rows(&mut c, RECOVERING)?);
    let known = members(o, &mut c)?;
    let shown = known.iter().filter(|k| role.is_none_or(|r| r == k.role));
    if quiet {
        let mut ids: Vec<&String> = shown.filter_map(|k| k.id.as_ref()).collect();
        // A node that is aggregator and leaf is listed as either.
        ids.dedup();
        ids.into_iter().for_each(|id| crate::say(id));
        return Ok(());
    }
    let names =
        ["Weald ID", "Role", "Host", "Port", "Process State", "Connectable?", "Version", "Recovery State", "Availability Group", "Bind Address"];
    let rows = shown.map(|k| {
        let called = call(o, &k.place);
        let of_node = recovering.iter().find(|r| r[0] == k.id);
        let recovery = match (k.state.as_str(), of_node) {
            (_, Some(r)) if r[2].as_deref() == Some("1") => "RECOVERY_FAILED".into(),
            (_, Some(r)) => format!("Recovering {}%", r[1].as_deref().unwrap_or("?")),
            ("online", None) => "Online".into(),
            ("recovering", None) => "Recovering".into(),
            ("recovery_failed", None) => "RECOVERY_FAILED".into(),
            _ => "Unknown".to_string(),
        };
        vec![
            k.id.clone(),
            Some(k.role.name().into()),
            Some(k.place.host.clone()),
            k.place.port.map(|p| p.to_string()),
            Some(if called.reached { "Running" } else { "Unknown" }.into()),
            Some(called.reached.to_string()),
            called.version,
            Some(recovery),
            k.group.clone(),
            called.bind_address,
        ]
    });
    let rows: Vec<Vec<Option<String>>> = rows.collect();
    o.print(&of_texts(&names, &["Weald ID", "Port", "Availability Group"], rows))
}

pub fn describe(o: &Options, node: &Place) -> Done {
    let port = node.port.unwrap_or(o.port);
    let mut c = o.connect()?;
    let mut facts: Vec<(String, Option<String>)> = Vec::new();
    let of_node =
        |table: &str, host: &str| format!("SELECT * FROM information_schema.{table} WHERE {host} = {} AND PORT = {port}", super::quote(&node.host));
    let rows = o.rows(&mut c, &of_node("MV_NODES", "IP_ADDR"))?;
    let Some(first) = texts(&rows).into_iter().next() else { return Err(format!("{}:{port} is not in the cluster", node.host)) };
    facts.extend(rows.columns.iter().map(|c| c.name.clone()).zip(first));
    let place = Place { host: node.host.clone(), port: Some(port) };
    match Client::connect(&place.host, port, &o.user, o.password(), None) {
        Ok(mut c) => {
            facts.push(("CONNECTABLE".into(), Some("true".into())));
            for name in ["bind_address", "datadir", "hostname", "maximum_memory", "maximum_table_memory", "max_connections"] {
                let value = texts(&o.rows(&mut c, &format!("SELECT @@{name}"))?).into_iter().next().and_then(|r| r.into_iter().next()).flatten();
                facts.push((name.to_ascii_uppercase(), value));
            }
        }
        Err(e) => {
            facts.push(("CONNECTABLE".into(), Some("false".into())));
            facts.push(("REASON".into(), Some(e.line(None))));
        }
    }
    if o.json {
        let object: serde_json::Map<_, _> = facts.into_iter().map(|(name, value)| (name, value.into())).collect();
        crate::say(&serde_json::Value::Object(object).to_string());
        return Ok(());
    }
    let rows = facts.into_iter().map(|(name, value)| vec![name, value.unwrap_or_else(|| "NULL".into())]).collect();
    crate::say(&print::plain_table(&["Property", "Value"], rows));
    Ok(())
}

/// Where all nodes are.
pub fn places(o: &Options, c: &mut Client) -> Result<Vec<Place>, String> {
    let mut places: Vec<Place> = members(o, c)?.into_iter().map(|k| k.place).collect();
    // A node that is aggregator and leaf is listed as either.
    places.dedup();
    Ok(places)
}

fn members(o: &Options, c: &mut Client) -> Result<Vec<Known>, String> {
    let mut all = Vec::new();
    for row in texts(&o.rows(c, MEMBERS)?) {
        let [id, kind, host, port, state, group] = <[Option<String>; 6]>::try_from(row).map_err(|_| "MV_NODES has other columns".to_string())?;
        let role = match kind.as_deref() {
            Some("MA") => Role::Master,
            Some("CA") => Role::Aggregator,
            Some("Leaf") => Role::Leaf,
            Some(_) | None => Role::Unknown,
        };
        let place = Place { host: host.unwrap_or_default(), port: port.and_then(|p| p.parse().ok()) };
        all.push(Known { id, role, place, state: state.unwrap_or_default(), group });
    }
    if all.is_empty() {
        // A fresh node, which knows itself only.
        let row = texts(&o.rows(c, "SELECT @@hostname, @@port")?).into_iter().next().unwrap_or_default();
        let host = row.first().cloned().flatten().unwrap_or_default();
        let port = row.get(1).cloned().flatten().and_then(|p| p.parse().ok());
        all.push(Known { id: None, role: Role::Unknown, place: Place { host, port }, state: "online".into(), group: None });
    }
    Ok(all)
}

fn call(o: &Options, place: &Place) -> Called {
    match Client::connect(&place.host, place.port.unwrap_or(o.port), &o.user, o.password(), None) {
        Ok(mut c) => {
            let row =
                o.rows(&mut c, "SELECT @@version, @@bind_address").map(|r| texts(&r)).unwrap_or_default().into_iter().next().unwrap_or_default();
            Called { reached: true, version: row.first().cloned().flatten(), bind_address: row.get(1).cloned().flatten() }
        }
        // Somebody is there, who does not let us in.
        Err(e) => Called { reached: reached(&e), version: None, bind_address: None },
    }
}

fn texts(r: &Rows) -> Vec<Vec<Option<String>>> {
    r.rows.iter().map(|row| row.iter().map(|v| v.as_ref().map(|b| String::from_utf8_lossy(b).into_owned())).collect()).collect()
}

fn of_texts(names: &[&str], numbers: &[&str], rows: Vec<Vec<Option<String>>>) -> Rows {
    let columns = names.iter().map(|n| Column { name: n.to_string(), is_number: numbers.contains(n), is_binary: false }).collect();
    Rows::new(columns, rows.into_iter().map(|r| r.into_iter().map(|v| v.map(String::into_bytes)).collect()).collect())
}
