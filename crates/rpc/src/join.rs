//! How a fresh node comes into a cluster.
//!
//! Owns:     the count of failed attempts.
//! Promises: both sides have shown that they know the cluster's secret before either learns anything of the other; a proof is bound to the TLS session
//!           it travels in, so who relays two sessions into one another gains nothing. A node that is a member already stays what it is, and says so.
//! Never:    decides whether a node should be added, or which number it gets: that is between the two halves ([`invite`], [`Candidate::admit`]).
//! See:      docs/design/0011-between-nodes.md; the picture in the crate's root.

use crate::certificate::Certified;
use crate::keyring::Keyring;
use crate::network::{BoxStream, Network};
use crate::opening::{self, Opened, PROGRAM, Protocol, With};
use crate::secret::{ClusterSecret, Prover};
use crate::{ConnectError, JoinError, talk};
use serde::{Deserialize, Serialize};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use weald_types::{ClusterId, NodeIdentity};

/// How long the fresh node waits while the cluster makes up its mind.
const PATIENCE: Duration = Duration::from_secs(30);
/// Attempts at one time. One guess each, and a wrong one holds its place for as long as the answer is held back.
const PLACES: usize = 4;
const FREE_FAILURES: u32 = 3;
const FIRST_DELAY: Duration = Duration::from_millis(250);
const GREATEST_DELAY: Duration = Duration::from_secs(8);

#[derive(Serialize, Deserialize)]
struct AdderHello {
    protocol: String,
    program: String,
    proof: [u8; 32],
}

#[derive(Serialize, Deserialize)]
enum FreshHello {
    Fresh { proof: [u8; 32], program: String, identity: NodeIdentity, request: Vec<u8> },
    Member { proof: [u8; 32], identity: NodeIdentity, cluster: ClusterId },
    WrongSecret,
    Version { ours: String },
    Busy,
    Failed(String),
}

#[derive(Serialize, Deserialize)]
enum Verdict {
    Admitted(Certified),
    Declined(String),
}

#[derive(Serialize, Deserialize)]
enum Outcome {
    Installed,
    Failed(String),
}

/// What the node at an address turned out to be.
#[derive(Debug)]
pub enum Invited {
    /// In no cluster: it waits for a certificate.
    Fresh(Candidate),
    /// Already in ours: it was added before, and whoever did it may not have lived to note it down.
    Member(NodeIdentity),
}

/// A fresh node that has shown that it knows the secret, and waits.
pub struct Candidate {
    pub identity: NodeIdentity,
    /// What the authority signs: PKCS #10, DER.
    pub request: Vec<u8>,
    /// The release that it runs.
    pub program: String,
    address: String,
    stream: BoxStream,
}

/// Speaks with the node at `address`, which is to be added to our cluster. `within` is for this half only.
pub async fn invite(keyring: &Keyring, network: &dyn Network, address: &str, secret: &ClusterSecret, within: Duration) -> Result<Invited, JoinError> {
    match timeout(within, introduce(keyring, network, address, secret)).await {
        Ok(result) => result,
        Err(_) => Err(ConnectError::TimedOut { address: address.into(), within }.into()),
    }
}

async fn introduce(keyring: &Keyring, network: &dyn Network, address: &str, secret: &ClusterSecret) -> Result<Invited, JoinError> {
    let our_cluster = keyring.cluster().ok_or(ConnectError::NoCluster)?;
    // Before anybody waits for the proof.
    stretch(secret).await?;
    let stream = network.connect(address).await.map_err(|e| opening::connect_error(address, e))?;
    let Opened { with, mut stream } = opening::connect(keyring, stream, address, Protocol::Join, None).await?;
    let With::Join(session) = with else { return Err(JoinError::Malformed("it does not want to be added".into())) };
    // The side that adds goes first: anybody may call a fresh node, but a node is only called where an operator pointed.
    let proof = secret.prove(Prover::Adder, &session);
    talk::say(&mut stream, &AdderHello { protocol: keyring.protocol.clone(), program: PROGRAM.into(), proof }).await?;
    let is_proof = |proof: &[u8]| secret.is_proof(Prover::Fresh, &session, proof);
    match talk::hear(&mut stream).await? {
        FreshHello::Fresh { proof, program, identity, request } if is_proof(&proof) => {
            Ok(Invited::Fresh(Candidate { identity, request, program, address: address.into(), stream }))
        }
        FreshHello::Member { proof, identity, cluster } if is_proof(&proof) => {
            if cluster == our_cluster {
                Ok(Invited::Member(identity))
            } else {
                Err(JoinError::InAnotherCluster { identity, cluster })
            }
        }
        FreshHello::Fresh { .. } | FreshHello::Member { .. } | FreshHello::WrongSecret => Err(JoinError::WrongSecret(address.into())),
        FreshHello::Version { ours: theirs } => Err(JoinError::Version { node: address.into(), ours: keyring.protocol.clone(), theirs }),
        FreshHello::Busy => Err(JoinError::Busy),
        FreshHello::Failed(reason) => Err(JoinError::Refused(reason)),
    }
}

impl Candidate {
    /// Makes it a member. `Ok` once it has its certificate on disk. After an error it may or may not be one; inviting it again tells.
    pub async fn admit(mut self, membership: Certified, within: Duration) -> Result<(), JoinError> {
        let hand_over = async {
            talk::say(&mut self.stream, &Verdict::Admitted(membership)).await?;
            talk::hear(&mut self.stream).await
        };
        match timeout(within, hand_over).await {
            Ok(Ok(Outcome::Installed)) => Ok(()),
            Ok(Ok(Outcome::Failed(reason))) => Err(JoinError::Refused(reason)),
            Ok(Err(e)) => Err(e.into()),
            Err(_) => Err(ConnectError::TimedOut { address: self.address, within }.into()),
        }
    }

    /// Sends it away; it stays fresh.
    pub async fn decline(mut self, reason: &str) {
        // If it cannot be told, it gives up by itself.
        let _ = talk::say(&mut self.stream, &Verdict::Declined(reason.into())).await;
    }
}

impl std::fmt::Debug for Candidate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Candidate").field("identity", &self.identity).field("address", &self.address).finish_non_exhaustive()
    }
}

/// The side that is added: answers whoever comes to add this node.
pub(crate) struct Door {
    keyring: Arc<Keyring>,
    secret: ClusterSecret,
    places: Semaphore,
    failures: AtomicU32,
    /// One at a time past the proof.
    admitting: tokio::sync::Mutex<()>,
}

impl Door {
    pub fn new(keyring: Arc<Keyring>, secret: ClusterSecret) -> Self {
        Self { keyring, secret, places: Semaphore::new(PLACES), failures: AtomicU32::new(0), admitting: tokio::sync::Mutex::new(()) }
    }

    /// One conversation, to its end. `Ok(true)` if the node is a member because of it.
    pub async fn answer(&self, session: [u8; 32], mut stream: BoxStream, within: Duration) -> io::Result<bool> {
        let Ok(_place) = self.places.try_acquire() else {
            talk::say(&mut stream, &FreshHello::Busy).await?;
            return Ok(false);
        };
        let hello: AdderHello = timeout(within, talk::hear(&mut stream)).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        if hello.protocol != self.keyring.protocol {
            tracing::warn!(theirs = hello.protocol, ours = self.keyring.protocol, "a node of another version wanted to add this one");
            talk::say(&mut stream, &FreshHello::Version { ours: self.keyring.protocol.clone() }).await?;
            return Ok(false);
        }
        stretch(&self.secret).await?;
        // Made before the other's proof is looked at, so that the time it takes tells nothing.
        let proof = self.secret.prove(Prover::Fresh, &session);
        if !self.secret.is_proof(Prover::Adder, &session, &hello.proof) {
            let failures = self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
            tracing::warn!(failures, "somebody who does not know the cluster secret wanted to add this node");
            tokio::time::sleep(delay(failures)).await;
            talk::say(&mut stream, &FreshHello::WrongSecret).await?;
            return Ok(false);
        }
        self.failures.store(0, Ordering::Relaxed);
        let identity = self.keyring.identity();
        let Ok(_alone) = self.admitting.try_lock() else {
            talk::say(&mut stream, &FreshHello::Busy).await?;
            return Ok(false);
        };
        if let Some(cluster) = self.keyring.cluster() {
            talk::say(&mut stream, &FreshHello::Member { proof, identity, cluster }).await?;
            return Ok(false);
        }
        let request = match self.keyring.certificate_request() {
            Ok(request) => request,
            Err(e) => {
                talk::say(&mut stream, &FreshHello::Failed(e.to_string())).await?;
                return Ok(false);
            }
        };
        talk::say(&mut stream, &FreshHello::Fresh { proof, program: PROGRAM.into(), identity, request }).await?;
        let verdict = timeout(PATIENCE, talk::hear(&mut stream)).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        let membership = match verdict {
            Verdict::Admitted(membership) => membership,
            Verdict::Declined(reason) => {
                tracing::info!(reason, "the cluster decided not to add this node");
                return Ok(false);
            }
        };
        let (keyring, cluster) = (self.keyring.clone(), membership.cluster);
        let installed = tokio::task::spawn_blocking(move || keyring.install(membership)).await.map_err(io::Error::other)?;
        match installed {
            Ok(()) => {
                tracing::info!(%cluster, "this node is now a member of a cluster");
                // A member all the same if this does not arrive: whoever asks again is told so.
                let _ = talk::say(&mut stream, &Outcome::Installed).await;
                Ok(true)
            }
            Err(e) => {
                talk::say(&mut stream, &Outcome::Failed(e.to_string())).await?;
                Ok(false)
            }
        }
    }
}

/// Not on a thread that serves others.
async fn stretch(secret: &ClusterSecret) -> io::Result<()> {
    let secret = secret.clone();
    tokio::task::spawn_blocking(move || secret.stretch()).await.map_err(io::Error::other)
}

/// How long the answer to a wrong proof is held back. Right ones are never delayed, so a stranger cannot lock the operator out.
fn delay(failures: u32) -> Duration {
    match failures.checked_sub(FREE_FAILURES + 1) {
        None => Duration::ZERO,
        Some(more) => FIRST_DELAY.saturating_mul(1 << more.min(10)).min(GREATEST_DELAY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_proofs_are_answered_slower_and_slower() {
        let delays: Vec<_> = (1..=12).map(|n| delay(n).as_millis()).collect();
        assert_eq!(delays, [0, 0, 0, 250, 500, 1000, 2000, 4000, 8000, 8000, 8000, 8000]);
        assert_eq!(delay(u32::MAX), GREATEST_DELAY);
    }
}
