//! The cluster as SHOW AGGREGATORS, SHOW LEAVES and SHOW CLUSTER STATUS tell of it.
//!
//! Owns:     nothing.
//! Promises: the columns that tools of MemSQL ask for; what is not known is NULL, not a guess.
//! Never:    asks another node.

use crate::information_schema::{Facts, Row};
use weald_types::Value;

/// Rows of AGGREGATORS. The way to this node itself has no latency.
pub(crate) fn aggregators(f: &Facts<'_>) -> Vec<Row> {
    let opened = Value::Int(f.server.processes().len() as i64);
    let row =
        |(i, node): (usize, Row)| node.into_iter().chain([Value::str("online"), opened.clone(), Value::Null, Value::Int((i == 0) as i64)]).collect();
    f.server.nodes().into_iter().enumerate().map(row).collect()
}

/// Rows of LEAVES. A leaf in the aggregator's own process is reached without a connection.
pub(crate) fn leaves(f: &Facts<'_>) -> Vec<Row> {
    let tail = [Value::Int(1), Value::Null, Value::Null, Value::str("online"), Value::Int(0), Value::Null];
    f.server.nodes().into_iter().map(|node| node.into_iter().chain(tail.clone()).collect()).collect()
}

/// Rows of MV_CLUSTER_STATUS: every partition as the database that it is on its leaf.
pub(crate) fn status(f: &Facts<'_>) -> Vec<Row> {
    f.server
        .partitions()
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
