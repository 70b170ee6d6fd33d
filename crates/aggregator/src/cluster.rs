//! The cluster as SHOW AGGREGATORS, SHOW LEAVES and SHOW CLUSTER STATUS tell of it.
//!
//! Owns:     nothing.
//! Promises: the columns that tools of MemSQL ask for; what is not known is NULL, not a guess.
//! Never:    asks another node; shows the nodes to who may not look at the cluster, or a partition of a database that the user does not see.

use crate::information_schema::{Facts, Row};
use weald_catalog::Privilege;
use weald_types::Value;

/// Rows of AGGREGATORS. The way to this node itself has no latency.
pub(crate) fn aggregators(f: &Facts<'_>) -> Vec<Row> {
    if !f.user.sees_cluster() {
        return Vec::new();
    }
    let opened = Value::Int(f.server.processes().len() as i64);
    let row =
        |(i, node): (usize, Row)| node.into_iter().chain([Value::str("online"), opened.clone(), Value::Null, Value::Int((i == 0) as i64)]).collect();
    f.server.nodes().into_iter().enumerate().map(row).collect()
}

/// Rows of LEAVES. A leaf in the aggregator's own process is reached without a connection.
pub(crate) fn leaves(f: &Facts<'_>) -> Vec<Row> {
    if !f.user.sees_cluster() {
        return Vec::new();
    }
    let tail = [Value::Int(1), Value::Null, Value::Null, Value::str("online"), Value::Int(0), Value::Null];
    f.server.nodes().into_iter().map(|node| node.into_iter().chain(tail.clone()).collect()).collect()
}

/// Rows of MV_CLUSTER_STATUS: every partition as the database that it is on its leaf.
pub(crate) fn status(f: &Facts<'_>) -> Vec<Row> {
    partitions(f)
        .into_iter()
        .filter_map(|row| {
            let [database, ordinal, node, host, port, role, state, position, _] = <[Value; 9]>::try_from(row).ok()?;
            let (Value::Str(database), Value::Int(ordinal)) = (&database, &ordinal) else { return None };
            let name = Value::str(format!("{database}_{ordinal}"));
            let mut out = vec![node, host, port, name, role.clone(), state, position];
            out.extend(std::iter::repeat_n(Value::Null, 5));
            out.extend([role, Value::str("")]);
            Some(out)
        })
        .collect()
}

/// Rows of DISTRIBUTED_PARTITIONS.
pub(crate) fn partitions(f: &Facts<'_>) -> Vec<Row> {
    f.server.partitions().into_iter().filter(|row| is_seen(f, row, |name| name)).collect()
}

/// Rows of MV_RECOVERY_STATUS, which calls a partition `<database>_<ordinal>`.
pub(crate) fn recovery(f: &Facts<'_>) -> Vec<Row> {
    f.server.recovery().into_iter().filter(|row| is_seen(f, row, |name| name.rsplit_once('_').map_or(name, |n| n.0))).collect()
}

/// Rows of PLANCACHE: statements of everybody.
pub(crate) fn plan_cache(f: &Facts<'_>) -> Vec<Row> {
    if f.user.may_globally(Privilege::Process) || f.user.may_globally(Privilege::Super) { f.server.plan_cache() } else { Vec::new() }
}

/// Whether the database in the row's first column is one that the user sees.
fn is_seen(f: &Facts<'_>, row: &Row, database_of: fn(&str) -> &str) -> bool {
    f.user.sees_cluster() || matches!(row.first(), Some(Value::Str(name)) if f.user.sees_database(database_of(name)))
}
