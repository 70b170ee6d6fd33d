//! The node's counters in Prometheus' text format.
//!
//! Owns:     the names of the metrics: dashboards and alarms depend on them.
//! Promises: every metric has HELP and TYPE; times are seconds, sizes bytes; counters only grow while the process lives.
//! Never:    costs a statement anything: it reads what is counted anyway.

use crate::health::{Health, Stage};
use std::fmt::{Display, Write};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use weald_aggregator::metrics::{Histogram, Kind};
use weald_aggregator::server::Server;
use weald_leaf::Leaf;
use weald_log::Written;

/// The text as it grows. Writing to a String cannot fail.
#[derive(Default)]
struct Text(String);

impl Text {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP weald_{name} {help}\n# TYPE weald_{name} {kind}");
    }
    fn sample(&mut self, name: &str, labels: &str, value: impl Display) {
        let _ = match labels {
            "" => writeln!(self.0, "weald_{name} {value}"),
            labels => writeln!(self.0, "weald_{name}{{{labels}}} {value}"),
        };
    }
    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(name, "gauge", help);
        self.sample(name, "", value);
    }
    fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(name, "counter", help);
        self.sample(name, "", value);
    }
    /// `buckets` are not cumulated, and one more than `bounds`.
    fn histogram(&mut self, name: &str, label: &str, bounds: impl Iterator<Item = Duration>, buckets: &[u64], total: Duration) {
        let mut sum = 0;
        let comma = if label.is_empty() { "" } else { "," };
        let mut left = buckets.iter();
        for (bound, n) in bounds.zip(&mut left) {
            sum += n;
            self.sample(&format!("{name}_bucket"), &format!("{label}{comma}le=\"{}\"", bound.as_secs_f64()), sum);
        }
        sum += left.sum::<u64>();
        self.sample(&format!("{name}_bucket"), &format!("{label}{comma}le=\"+Inf\""), sum);
        self.sample(&format!("{name}_sum"), label, total.as_secs_f64());
        self.sample(&format!("{name}_count"), label, sum);
    }
}

pub(crate) fn exposition(health: &Health) -> String {
    let mut t = Text::default();
    t.head("build_info", "gauge", "The release that runs; always 1.");
    t.sample("build_info", &format!("version=\"{}\"", env!("CARGO_PKG_VERSION")), 1);
    t.gauge("ready", "1 while statements on tables are answered.", u8::from(health.stage() == Stage::Serving));
    if let Some(leaf) = health.leaf.get() {
        of_leaf(&mut t, leaf);
    }
    if let Some(server) = health.server.get() {
        of_server(&mut t, server);
    }
    t.0
}

fn n(a: &AtomicU64) -> u64 {
    a.load(Relaxed)
}

fn seconds(micros: &AtomicU64) -> f64 {
    Duration::from_micros(n(micros)).as_secs_f64()
}

fn of_leaf(t: &mut Text, leaf: &Leaf) {
    let recovery = leaf.recovery();
    t.gauge("recovery_percent", "How far recovery is.", recovery.percent);
    t.head("partitions", "gauge", "Partitions of this node by state.");
    t.sample("partitions", "state=\"online\"", recovery.online);
    t.sample("partitions", "state=\"offline\"", recovery.partitions - recovery.online);

    let node = &leaf.engine.node;
    let memory = &node.memory;
    t.gauge("resident_memory_bytes", "Memory that the process takes.", memory.resident_bytes());
    t.gauge("memory_in_use_bytes", "Memory in use as held against maximum_memory.", memory.estimate());
    t.gauge("memory_limit_bytes", "The limit maximum_memory.", memory.limit());
    t.gauge("table_memory_bytes", "Memory of rows and indexes.", memory.table_bytes());
    t.gauge("table_memory_limit_bytes", "The limit maximum_table_memory.", memory.table_limit());
    let columns = &leaf.engine.columns;
    t.gauge("column_cache_bytes", "Memory of columns kept for analytic queries.", columns.bytes());
    t.gauge("column_cache_limit_bytes", "The limit maximum_column_cache_memory.", columns.limit());
    t.counter("column_cache_hits_total", "Pieces of columns that a query found.", n(&columns.figures.hits));
    t.counter("column_cache_fills_total", "Pieces of columns made from rows.", n(&columns.figures.fills));
    t.counter("column_cache_evictions_total", "Columns given up for room.", n(&columns.figures.evictions));
    t.gauge("statement_memory_bytes", "Memory that running statements hold.", memory.held_bytes());
    t.gauge("snapshots_open", "Snapshots that statements and transactions read at.", node.snapshots.len());

    t.counter("lock_waits_total", "Waits for a row that another transaction held.", n(&node.lock_waits.total));
    t.counter("lock_wait_seconds_total", "Time of these waits.", seconds(&node.lock_waits.micros));
    t.counter("lock_wait_timeouts_total", "Waits that ended with error 1205.", n(&node.lock_waits.timeouts));
    t.counter("deadlocks_total", "Waits refused with error 1213.", n(&node.lock_waits.deadlocks));
    t.gauge("lock_waits_now", "Transactions that wait now.", node.waits.len());

    if let Some(log) = leaf.log() {
        let written = log.written();
        t.counter("log_written_bytes_total", "Bytes written to the log since the start.", written.bytes);
        t.gauge("log_size_bytes", "Room that the log's files take.", log.size_bytes());
        t.gauge("log_failed", "1 after a failed write or sync: writes are refused until the next start.", u8::from(log.failure().is_some()));
        t.head("log_sync_seconds", "histogram", "Syncs of the log, each of which made a batch of commits durable.");
        t.histogram("log_sync_seconds", "", Written::BOUNDS.into_iter(), &written.syncs_within, written.sync_time);
    }
    let s = &leaf.snapshots;
    t.counter("snapshots_total", "Snapshots of partitions written.", n(&s.taken));
    t.counter("snapshots_failed_total", "Snapshots that could not be written.", n(&s.failed));
    t.counter("snapshot_written_bytes_total", "Bytes of these snapshots.", n(&s.bytes));
    t.counter("snapshot_seconds_total", "Time spent writing snapshots.", seconds(&s.micros));
}

fn of_server(t: &mut Text, server: &Server) {
    let m = &server.metrics;
    let uptime = (server.now_micros() - server.started_micros).max(0) as f64 / 1e6;
    t.gauge("uptime_seconds", "Since the process started.", uptime);
    let bounds = || Histogram::BOUNDS_MICROS.iter().map(|us| Duration::from_micros(*us));
    t.head("statement_seconds", "histogram", "Statements by kind, from their arrival to the end of the answer.");
    for kind in Kind::ALL {
        let seen = m.statements(kind);
        t.histogram("statement_seconds", &format!("kind=\"{}\"", kind.name()), bounds(), &seen.buckets, seen.total);
    }
    let c = &server.counters;
    t.counter("commands_total", "Commands of the protocol.", n(&c.questions));
    t.counter("errors_total", "Errors that clients were told.", n(&c.errors));
    t.counter("slow_queries_total", "Statements that took longer than long_query_time.", n(&c.slow_queries));
    t.counter("rows_sent_total", "Rows sent to clients.", m.rows_sent.value());
    t.counter("commits_total", "Transactions that wrote and were committed.", m.commits.value());
    t.counter("rollbacks_total", "Transactions that wrote and were taken back.", m.rollbacks.value());
    t.counter("plan_cache_hits_total", "Statements that found their plan in the cache.", m.plan_hits.value());
    t.counter("plan_cache_misses_total", "Statements that looked and did not.", m.plan_misses.value());
    t.gauge("plan_cache_entries", "Plans in the cache.", server.plans.len());
    t.counter("memory_stops_total", "Statements ended because the process was at maximum_memory.", n(&m.memory_stops));
    t.gauge("connections", "Clients connected.", server.connected());
    t.gauge("connections_max", "The limit max_connections.", server.variables.values().int("max_connections"));
    t.gauge("connections_used_max", "Most clients that were connected at once.", n(&m.max_used_connections));
    t.counter("connections_accepted_total", "Connections accepted.", n(&c.connections));
    t.counter("connections_refused_total", "Connections refused because there were too many.", n(&m.refused_connections));
    t.counter("connections_aborted_total", "Connections that did not get through the login.", n(&c.aborted_connects));
    t.counter("clients_aborted_total", "Clients that went away without saying so, or were idle for too long.", n(&m.aborted_clients));
    t.counter("received_bytes_total", "Bytes received from clients.", n(&c.bytes_received));
    t.counter("sent_bytes_total", "Bytes sent to clients.", n(&c.bytes_sent));
    t.gauge("prepared_statements", "Prepared statements of all sessions.", server.prepared_total());
    let catalog = server.catalog();
    let tables = catalog.databases.values().flat_map(|d| d.tables.values());
    let (count, rows) = tables.fold((0u64, 0u64), |(c, r), table| (c + 1, r + server.engine.size(table).0));
    t.gauge("tables", "Tables.", count);
    t.gauge("rows", "Rows in all tables.", rows);
    t.gauge("threads", "Threads of each kind that work.", server.threads);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_is_cumulated_and_ends_with_infinity() {
        let mut t = Text::default();
        t.histogram("x", "kind=\"a\"", [1, 2].map(Duration::from_secs).into_iter(), &[3, 4, 5], Duration::from_millis(1500));
        let expected = [
            "weald_x_bucket{kind=\"a\",le=\"1\"} 3",
            "weald_x_bucket{kind=\"a\",le=\"2\"} 7",
            "weald_x_bucket{kind=\"a\",le=\"+Inf\"} 12",
            "weald_x_sum{kind=\"a\"} 1.5",
            "weald_x_count{kind=\"a\"} 12\n",
        ];
        assert_eq!(t.0, expected.join("\n"));
    }
}
