//! What this node says of itself, and sees of others.
//!
//! Owns:     nothing.
//! Promises: a moment's truth.
//! Never:    waits.

use super::MetadataGroup;
use std::collections::BTreeMap;
use weald_aggregator::cluster::{Copy, CopyPhase, CopyRecovery, CopyRole, Figures, NodeSeen, NodeStage, Observed, Reach, Told};
use weald_leaf::{Doing, Phase};
use weald_types::PartitionId;

impl MetadataGroup {
    /// What this node says of itself.
    pub fn told(&self) -> Told {
        let view = self.view.read().clone();
        Told { stage: self.stage(), figures: self.figures(), metadata: Some((view.topology.generation.raw(), view.version)), copies: self.copies() }
    }

    pub(super) fn observe(&self) -> Observed {
        let view = self.view.read().clone();
        let mut nodes = self.cluster.as_ref().map(|c| c.observed(&view.topology)).unwrap_or_default();
        if let Some(me) = self.number() {
            nodes.insert(me, NodeSeen { reach: Reach::Itself, connections: None, told: Some(self.told()) });
        }
        Observed { master: self.master(), nodes }
    }

    pub fn stage(&self) -> NodeStage {
        let (recovered, taken_up) = (self.leaf.is_recovered(), self.leaf.is_taken_up());
        let failed = self.leaf.status().iter().any(|(_, s)| s.phase == Phase::Failed);
        match (failed, recovered, taken_up) {
            (true, ..) => NodeStage::RecoveryFailed,
            (false, true, true) => NodeStage::Online,
            (false, true, false) => NodeStage::Pending,
            (false, false, _) => NodeStage::Recovering,
        }
    }

    fn figures(&self) -> Figures {
        let memory = &self.leaf.engine.node.memory;
        Figures {
            cpus: std::thread::available_parallelism().map_or(0, |n| n.get() as u32),
            memory_limit_bytes: memory.limit(),
            table_memory_limit_bytes: memory.table_limit(),
            memory_bytes: memory.estimate(),
            table_memory_bytes: memory.table_bytes(),
            disk_bytes: self.env.disk.total_bytes(&self.dir).ok(),
            free_disk_bytes: self.env.disk.free_bytes(&self.dir).ok(),
            uptime: self.env.clock.now() - self.began,
            version: weald_aggregator::VERSION.into(),
        }
    }

    fn copies(&self) -> BTreeMap<PartitionId, Copy> {
        let epochs = &self.view.read().topology.places;
        let copy = |(id, s): (PartitionId, weald_leaf::PartitionStatus)| {
            let durable = self.leaf.engine.node.log.durable(id).raw();
            let copy = Copy {
                role: CopyRole::Primary,
                phase: match s.phase {
                    Phase::Recovering => CopyPhase::Recovering,
                    Phase::Pending => CopyPhase::Pending,
                    Phase::Transitioning => CopyPhase::Transitioning,
                    Phase::Online => CopyPhase::Online,
                    Phase::Failed => CopyPhase::Failed,
                },
                epoch: epochs.get(&id).map(|p| p.epoch),
                // Its part of the node's log as one file, in records.
                position: Some((0, durable)),
                follows: None,
                recovery: Some(CopyRecovery {
                    doing: (s.phase == Phase::Recovering && s.doing != Doing::Nothing).then_some(s.doing.name()),
                    percent: s.percent,
                    replayed: s.replayed_lsn,
                    snapshot: s.snapshot_lsn,
                }),
                details: s.details,
            };
            (id, copy)
        };
        self.leaf.status().into_iter().map(copy).collect()
    }
}
