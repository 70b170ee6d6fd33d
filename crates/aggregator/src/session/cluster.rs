//! Statements about the cluster.
//!
//! Owns:     nothing.
//! Promises: only an account with CLUSTER gets as far as an order; what the operator should know beside the OK is among the warnings.
//! Never:    carries an order out: the node does.

use super::{Outcome, Session};
use crate::cluster::{Address, Answer, Asked, ClusterOrder, Credentials, Force, Rebalance, gathered};
use weald_catalog::Privilege;
use weald_sql::ast::{ClusterVerb, NodeAddress, NodeLogin};
use weald_types::Fault;

impl Session {
    pub(crate) async fn cluster(&mut self, verb: &ClusterVerb) -> Result<Outcome, Fault> {
        self.require(Privilege::Cluster, None)?;
        let order = match verb {
            ClusterVerb::SyncAutoIncrement { database, table, all_aggregators } => {
                return self.sync_auto_increment(database.as_deref(), table.as_deref(), *all_aggregators).await;
            }
            ClusterVerb::Bootstrap { at } => ClusterOrder::Bootstrap { at: at.as_ref().map(address) },
            ClusterVerb::AddAggregator(node) => {
                let (node, credentials) = login(node);
                ClusterOrder::AddAggregator { node, credentials }
            }
            ClusterVerb::RemoveAggregator(node) => ClusterOrder::RemoveAggregator { node: address(node) },
            ClusterVerb::AddLeaf { node, group } => {
                let (node, credentials) = login(node);
                ClusterOrder::AddLeaf { node, credentials, group: group.map(availability_group).transpose()? }
            }
            ClusterVerb::RemoveLeaf { node, force } => ClusterOrder::RemoveLeaf { node: address(node), force: forced(*force) },
            ClusterVerb::DetachLeaf { node, ensure_safety } => ClusterOrder::DetachLeaf { node: address(node), force: forced(!ensure_safety) },
            ClusterVerb::AttachLeaf { node, force, no_rebalance } => {
                ClusterOrder::AttachLeaf { node: address(node), force: forced(*force), rebalance: rebalance(*no_rebalance) }
            }
            ClusterVerb::AttachAllLeaves { no_rebalance } => ClusterOrder::AttachAllLeaves { rebalance: rebalance(*no_rebalance) },
            ClusterVerb::ClearOrphanDatabases => ClusterOrder::ClearOrphanDatabases,
            ClusterVerb::SetAsMaster => ClusterOrder::SetAsMaster,
            ClusterVerb::PromoteAggregator(node) => ClusterOrder::Promote { node: address(node) },
        };
        tracing::info!(user = %self.login, ?order, "an order about the cluster");
        for warning in self.server.metadata.order(order).await? {
            self.warn(warning);
        }
        Outcome::ok()
    }

    /// AGGREGATOR SYNC AUTO_INCREMENT. Of those asked, all are asked, whatever one of them answers.
    async fn sync_auto_increment(&mut self, database: Option<&str>, table: Option<&str>, everywhere: bool) -> Result<Outcome, Fault> {
        if let Some(name) = database {
            let catalog = self.catalog();
            let d = catalog.database(name).ok_or_else(|| Fault::NoSuchDatabase { name: name.into() })?;
            if let Some(t) = table.filter(|t| !d.tables.contains_key(*t)) {
                return Err(Fault::NoSuchTable { database: name.into(), table: t.into() });
            }
        }
        let asked = Asked::SyncAutoIncrement { database: database.map(Into::into), table: table.map(Into::into) };
        self.server.answer(asked.clone())?;
        if everywhere {
            let (view, me) = (self.server.metadata.view(), self.server.metadata.me());
            let others = view.topology.aggregators().filter(|(id, _)| Some(*id) != me);
            let answers = futures::future::join_all(others.map(|(id, n)| gathered::ask(&self.server, id, n, asked.clone()))).await;
            for (_, answer) in answers {
                match answer? {
                    Answer::Done | Answer::Processes(_) | Answer::Events(_) => (),
                }
            }
        }
        Outcome::ok()
    }
}

fn address(a: &NodeAddress) -> Address {
    Address { host: a.host.as_str().into(), port: a.port }
}

fn login(l: &NodeLogin) -> (Address, Option<Credentials>) {
    let credentials = l.user.as_ref().map(|user| Credentials { user: user.as_str().into(), password: l.password.as_deref().map(Into::into) });
    (address(&l.at), credentials)
}

/// Which of them there can be is for the metadata to say; more than fit in a byte there never are.
fn availability_group(group: u64) -> Result<u8, Fault> {
    u8::try_from(group).map_err(|_| Fault::mysql(1779, "HY000", format!("Invalid availability group {group}")))
}

fn forced(force: bool) -> Force {
    if force { Force::Force } else { Force::Safe }
}

fn rebalance(no: bool) -> Rebalance {
    if no { Rebalance::No } else { Rebalance::Yes }
}
