//! What must hold of every history: watched while it happens, and asked at its end.

use crate::world::Net;
use std::collections::BTreeMap;
use std::sync::Arc;
use weald_meta::State;
use weald_metaraft::Leading;
use weald_types::Generation;

#[derive(Default)]
pub struct Oracle {
    /// By generation and term: who led.
    leaders: BTreeMap<(Generation, u64), u32>,
    /// By generation and version of the state: what it was. Whoever applies the same entries in the same order gets there.
    states: BTreeMap<(Generation, u64), Arc<State>>,
    /// What each process has shown: it must not go back, not even over its restart.
    shown: BTreeMap<u32, (Generation, u64)>,
}

impl Oracle {
    /// Looks at every node.
    pub fn look(&mut self, net: &Net) -> Result<(), String> {
        for node in net.running() {
            let Some(group) = net.group(node).filter(|_| net.disk(node).has_power()) else { continue };
            let status = group.status();
            if let Some(failed) = status.failed {
                return Err(format!("node {node} has failed: {failed}"));
            }
            let state = group.state();
            if status.leading != Leading::No {
                let leader = *self.leaders.entry((status.generation, status.term)).or_insert(node);
                if leader != node {
                    return Err(format!("nodes {leader} and {node} both led in term {} of generation {}", status.term, status.generation));
                }
                let is_aggregator = state.topology.nodes.get(&weald_types::NodeId::new(node)).is_some_and(|n| n.is_aggregator());
                if !is_aggregator {
                    return Err(format!("node {node} leads and is no aggregator"));
                }
            }
            let at = (state.topology.generation, state.version);
            let known = self.states.entry(at).or_insert_with(|| state.clone());
            if *known != state {
                return Err(format!("node {node} has another state at {at:?} than someone before"));
            }
            let before = self.shown.entry(node).or_insert(at);
            if at < *before {
                return Err(format!("node {node} showed {before:?}, and now {at:?}"));
            }
            *before = at;
        }
        Ok(())
    }

    pub fn reigns(&self) -> usize {
        self.leaders.len()
    }
}
