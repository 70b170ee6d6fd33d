//! How this node becomes a member, and stops being one.
//!
//! Owns:     nothing.
//! Promises: a crash at any step leaves a node that is fresh, or a member that finds the rest by itself: the group is founded before the certificate is installed, and a
//!           founder without one signs its own; a node that has a certificate joins the group when the group first speaks to it.
//! Never:    adds another: see `orders`.

use super::{Cluster, words};
use crate::catalogue;
use std::sync::Arc;
use weald_aggregator::cluster::Address;
use weald_catalog::{Authority as Stored, Command, NewNode, Outcome, Ports, Role, Topology, TopologyCommand};
use weald_meta::State;
use weald_metaraft::Group;
use weald_rpc::{Authority, CredentialError};
use weald_types::{Fault, NodeId, NodeIdentity};

fn fault(number: u16, text: impl Into<String>) -> Fault {
    Fault::mysql(number, "HY000", text)
}

fn of_credentials(error: &CredentialError) -> Fault {
    fault(1808, error.to_string())
}

/// What needs the processor for milliseconds, or the disk.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, CredentialError> + Send + 'static) -> Result<T, Fault> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|e| of_credentials(&e)),
        Err(e) => Err(Fault::Internal { incident: e.to_string() }),
    }
}

impl Cluster {
    /// BOOTSTRAP AGGREGATOR: a new cluster, with this node as its first.
    pub async fn bootstrap(&self, at: Option<Address>) -> Result<(), Fault> {
        let _one = self.ordering.lock().await;
        let Some(metadata) = self.metadata() else { return Err(Fault::Interrupted) };
        if metadata.number().is_some() || self.keyring.cluster().is_some() {
            return Err(fault(1753, "This node already belongs to a cluster"));
        }
        let host = self.host(at.as_ref())?;
        if let Some(port) = at.and_then(|a| a.port).filter(|p| *p != self.ports.mysql) {
            return Err(fault(1736, format!("This node's clients come to port {}, not {port}", self.ports.mysql)));
        }
        let cluster = catalogue::draw_cluster(&self.env);
        let (secret, random) = (self.secret.clone(), self.env.random.clone());
        let (authority, certificate, key) = blocking(move || {
            let authority = Authority::create(cluster)?;
            let key = authority.to_locked_bytes(&secret, &*random);
            let certificate = authority.certificate().to_vec();
            Ok((authority, certificate, key))
        })
        .await?;
        let node = NewNode { identity: self.identity(), host, ports: self.ports };
        let mut state = metadata.shown_state();
        let bootstrap = TopologyCommand::Bootstrap { cluster, authority: Stored { certificate, key }, node, role: Role::Aggregator };
        let Outcome::Node(me) = state.apply(Command::Topology(bootstrap))? else {
            return Err(Fault::Internal { incident: "BOOTSTRAP gave this node no number".into() });
        };
        let group = Group::found(metadata.world(), cluster, me, &state).await.map_err(|e| fault(1030, e.to_string()))?;
        self.install_own(authority).await?;
        group.settled().await;
        metadata.adopt(me, group).await;
        tracing::info!(%cluster, node = %me, "this node is the master aggregator of a new cluster");
        // Its own start may not be over yet; the next statement is to find a node that works.
        metadata.serves().await;
        Ok(())
    }

    fn host(&self, at: Option<&Address>) -> Result<Box<str>, Fault> {
        if let Some(at) = at {
            return Ok(at.host.clone());
        }
        if let Some(host) = &self.advertise_host {
            return Ok(host.clone());
        }
        if self.bound.ip().is_unspecified() {
            return Err(fault(1736, "This node listens on every address; say by which name others reach it: BOOTSTRAP AGGREGATOR 'host'"));
        }
        Ok(self.bound.ip().to_string().into())
    }

    /// A certificate of the authority for this node itself.
    async fn install_own(&self, authority: Authority) -> Result<(), Fault> {
        let (keyring, now) = (self.keyring.clone(), self.env.clock.wall_micros());
        blocking(move || {
            let certified = authority.sign(&keyring.certificate_request()?, keyring.identity(), now)?;
            keyring.install(certified)
        })
        .await
    }

    /// What a crash between the two halves of BOOTSTRAP left undone; and another certificate, before the old one's time is over, if this node can sign it.
    pub async fn complete_membership(&self, state: &State) -> Result<(), Fault> {
        let wants = match self.keyring.membership() {
            None => state.topology.cluster.is_some(),
            Some(certified) => certified.wants_renewal(self.env.clock.wall_micros()),
        };
        if wants && state.authority.is_some() {
            self.install_own(self.authority(state).await?).await?;
        }
        Ok(())
    }

    /// Unlocked with the cluster's secret, which this node may have been given anew.
    pub(super) async fn authority(&self, state: &State) -> Result<Authority, Fault> {
        let Some(stored) = state.authority.clone() else { return Err(fault(1752, "This node is of no cluster yet; run BOOTSTRAP AGGREGATOR first")) };
        let secret = self.secret.clone();
        blocking(move || Authority::from_locked_bytes(&stored.key, &secret)).await
    }

    /// A message of the metadata group. The first one makes a member of a node that has just been added.
    pub(super) async fn take_message(&self, body: &[u8]) -> Result<Vec<u8>, String> {
        let words::ToGroup { to, generation, message } = words::decode(body)?;
        let metadata = self.metadata().ok_or("this node is stopping")?;
        let group = match metadata.group_as(to) {
            Some(group) => group,
            None => {
                let cluster = self.keyring.cluster().ok_or("this node is of no cluster")?;
                metadata.join(cluster, generation, to).await?
            }
        };
        group.handle(&message).await.map_err(|e| e.to_string())
    }

    /// Another member says that this node is one no more.
    pub(super) async fn was_removed(&self, from: NodeIdentity) {
        let Some(metadata) = self.metadata() else { return };
        let topology = metadata.topology();
        if topology.with_identity(from).is_none_or(|(_, n)| !n.is_aggregator()) {
            return tracing::warn!(%from, "somebody who is no aggregator says that this node has been removed from the cluster");
        }
        tracing::warn!("this node has been removed from the cluster; what it holds on disk stays");
        if let Err(reason) = metadata.leave().await {
            tracing::error!(reason, "the metadata of the cluster could not be put aside");
        }
    }

    /// If this node is reached elsewhere than the topology says, it tells. One attempt at a time; the next look makes the next.
    pub(super) fn announce_if_moved(self: Arc<Self>, me: NodeId, topology: &Topology) {
        let Some(n) = topology.nodes.get(&me).filter(|n| n.identity == self.identity()) else { return };
        let host = self.advertise_host.clone().unwrap_or_else(|| n.host.clone());
        let ports = Ports { ..self.ports };
        if (&*host, ports) == (&*n.host, n.ports) || self.announcing.swap(true, std::sync::atomic::Ordering::Relaxed) {
            return;
        }
        let identity = self.identity();
        let runtime = self.runtime.clone();
        runtime.spawn(async move {
            if let Some(metadata) = self.metadata() {
                let command = Command::Topology(TopologyCommand::MoveNode { node: me, identity, host: host.clone(), ports });
                match metadata.decide(command).await {
                    Ok(_) => tracing::info!(%host, mysql = ports.mysql, cluster = ports.cluster, "the cluster knows where this node is now"),
                    Err(fault) => tracing::warn!(%fault, "the cluster could not be told where this node is now"),
                }
            }
            self.announcing.store(false, std::sync::atomic::Ordering::Relaxed);
        });
    }
}
