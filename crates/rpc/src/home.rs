//! Who this node is, kept in the directory `cluster/` of its data directory.
//!
//! Owns:     `cluster/node.pem` (identity and private key), `cluster/membership.pem` (cluster, certificate, authorities).
//! Promises: the identity is drawn once and never changes; a membership is there whole or not at all, and once there only the same cluster can replace it.
//! Never:    makes a new identity where a file is there but unreadable: that node would be a stranger with somebody's data.
//! See:      docs/format/between-nodes.md.

use crate::CredentialError;
use crate::certificate::Certified;
use rcgen::{CertificateParams, KeyPair, PublicKeyData};
use rustls::pki_types::UnixTime;
use std::path::{Path, PathBuf};
use std::time::Duration;
use weald_env::Env;
use weald_types::{ClusterId, NodeIdentity};

const NODE: &str = "weald node";
const MEMBERSHIP: &str = "weald membership";

/// One node's identity, key and, once it has joined, membership.
pub struct Home {
    env: Env,
    dir: PathBuf,
    identity: NodeIdentity,
    key: KeyPair,
    membership: Option<Certified>,
}

impl Home {
    /// Reads what is there; at the first start draws an identity and a key. Blocks.
    pub fn open(env: &Env, data_dir: &Path) -> Result<Self, CredentialError> {
        let dir = data_dir.join("cluster");
        let disk = &env.disk;
        let (node_file, membership_file) = (dir.join("node.pem"), dir.join("membership.pem"));
        let (identity, key) = if disk.exists(&node_file) {
            let text = read(env, &node_file)?;
            let bad = |reason: &str| malformed(&node_file, reason);
            let id = header(&text, NODE, "identity").map_err(|e| bad(&e))?;
            let identity = NodeIdentity::parse(id).ok_or_else(|| bad("the identity is not 32 hexadecimal digits"))?;
            (identity, KeyPair::from_pem(&text).map_err(|e| bad(&e.to_string()))?)
        } else if disk.exists(&membership_file) {
            return Err(malformed(&node_file, "it is missing, while membership.pem is there: restore it, or remove both and add the node anew"));
        } else {
            let mut drawn = [0; 16];
            env.random.fill(&mut drawn);
            let identity = NodeIdentity::new(u128::from_le_bytes(drawn));
            let key = KeyPair::generate_for(&rcgen::PKCS_ED25519).map_err(|e| CredentialError::Making(e.to_string()))?;
            disk.create_dir_all(&dir).and_then(|()| disk.sync_dir(data_dir)).map_err(io(&dir))?;
            let text = format!("{NODE}\nversion 1\nidentity {identity}\n\n{}", key.serialize_pem());
            disk.write_atomically(&node_file, text.as_bytes()).map_err(io(&node_file))?;
            (identity, key)
        };
        let mut home = Self { env: env.clone(), dir, identity, key, membership: None };
        if disk.exists(&membership_file) {
            let membership = read_membership(env, &membership_file)?;
            // Not whether it is still in its time: a node that slept too long has to start, to be given another.
            let named = crate::certificate::Subject::of_certificate(&membership.certificate).map_err(|e| malformed(&membership_file, &e))?;
            if named.node != identity || named.cluster != membership.cluster {
                return Err(malformed(&membership_file, &format!("it is of {}, this is node {identity}", named.uri())));
            }
            home.membership = Some(membership);
        }
        Ok(home)
    }

    pub fn identity(&self) -> NodeIdentity {
        self.identity
    }
    pub fn cluster(&self) -> Option<ClusterId> {
        self.membership.as_ref().map(|m| m.cluster)
    }
    pub fn membership(&self) -> Option<&Certified> {
        self.membership.as_ref()
    }
    pub(crate) fn env(&self) -> &Env {
        &self.env
    }
    pub(crate) fn key_der(&self) -> &[u8] {
        self.key.serialized_der()
    }

    /// A certificate that we gave ourselves: for the first conversation with a cluster, which proves itself by other means.
    pub(crate) fn self_signed(&self) -> Result<Vec<u8>, CredentialError> {
        let made = CertificateParams::new(vec![crate::certificate::NO_CLUSTER_YET.to_owned()]).and_then(|params| params.self_signed(&self.key));
        Ok(made.map_err(|e| CredentialError::Making(e.to_string()))?.der().to_vec())
    }

    /// What an authority needs to make us a certificate: PKCS #10, DER. For joining, and for another certificate before the old one ends.
    pub fn certificate_request(&self) -> Result<Vec<u8>, CredentialError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, format!("Weald node {}", self.identity));
        let made = params.serialize_request(&self.key).map_err(|e| CredentialError::Making(e.to_string()))?;
        Ok(made.der().to_vec())
    }

    /// Becomes a member, or renews the membership; durable when it returns. Blocks.
    pub fn install(&mut self, membership: Certified) -> Result<(), CredentialError> {
        if let Some(cluster) = self.cluster().filter(|c| *c != membership.cluster) {
            return Err(CredentialError::AlreadyMember(cluster));
        }
        let now = UnixTime::since_unix_epoch(Duration::from_micros(self.env.clock.wall_micros()));
        membership.check(self.identity, &self.key.subject_public_key_info(), now)?;
        let mut text = format!("{MEMBERSHIP}\nversion 1\ncluster {}\n\n", membership.cluster);
        for der in std::iter::once(&membership.certificate).chain(&membership.authorities) {
            text.push_str(&pem::encode_config(
                &pem::Pem::new("CERTIFICATE", der.as_slice()),
                pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF),
            ));
        }
        let file = self.dir.join("membership.pem");
        self.env.disk.write_atomically(&file, text.as_bytes()).map_err(io(&file))?;
        self.membership = Some(membership);
        Ok(())
    }
}

impl std::fmt::Debug for Home {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not the key.
        f.debug_struct("Home").field("identity", &self.identity).field("membership", &self.membership).finish_non_exhaustive()
    }
}

fn read_membership(env: &Env, file: &Path) -> Result<Certified, CredentialError> {
    let text = read(env, file)?;
    let cluster = header(&text, MEMBERSHIP, "cluster").map_err(|e| malformed(file, &e))?;
    let cluster = ClusterId::parse(cluster).ok_or_else(|| malformed(file, "the cluster's id is not 32 hexadecimal digits"))?;
    let blocks = pem::parse_many(&text).map_err(|e| malformed(file, &e.to_string()))?;
    let mut certificates = blocks.into_iter().filter(|b| b.tag() == "CERTIFICATE").map(pem::Pem::into_contents);
    let Some(certificate) = certificates.next() else { return Err(malformed(file, "it holds no certificate")) };
    let authorities: Vec<_> = certificates.collect();
    if authorities.is_empty() {
        return Err(malformed(file, "it holds no authority's certificate"));
    }
    Ok(Certified { cluster, certificate, authorities })
}

/// The value of `key` in the three lines that every file here begins with.
fn header<'a>(text: &'a str, magic: &str, key: &str) -> Result<&'a str, String> {
    let mut lines = text.lines();
    if lines.next() != Some(magic) {
        return Err(format!("it does not begin with the line {magic:?}"));
    }
    match lines.next().and_then(|l| l.strip_prefix("version ")) {
        Some("1") => {}
        Some(other) => return Err(format!("version {other} is not known to this release")),
        None => return Err("its second line is no version".into()),
    }
    lines.next().and_then(|l| l.strip_prefix(key)).map(str::trim).ok_or_else(|| format!("its third line is not {key}"))
}

fn read(env: &Env, file: &Path) -> Result<String, CredentialError> {
    let bytes = env.disk.read(file).map_err(io(file))?;
    String::from_utf8(bytes).map_err(|_| malformed(file, "it is not text"))
}

fn malformed(file: &Path, reason: &str) -> CredentialError {
    CredentialError::Malformed { what: file.display().to_string(), reason: reason.into() }
}

fn io(file: &Path) -> impl FnOnce(std::io::Error) -> CredentialError + '_ {
    move |source| CredentialError::Io { path: file.display().to_string(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Authority;
    use std::sync::Arc;
    use weald_env::sim::SimDisk;

    fn world() -> Env {
        let env = Env::with_disk(Arc::new(SimDisk::new()), 7);
        env.disk.create_dir_all(Path::new("/data")).unwrap();
        env
    }

    #[test]
    fn identity_is_drawn_once_and_membership_survives_a_restart() {
        let env = world();
        let mut home = Home::open(&env, Path::new("/data")).unwrap();
        let ca = Authority::create(ClusterId::new(5)).unwrap();
        let certified = ca.sign(&home.certificate_request().unwrap(), home.identity(), env.clock.wall_micros()).unwrap();
        assert!(!certified.wants_renewal(env.clock.wall_micros()));
        assert!(certified.wants_renewal(env.clock.wall_micros() + crate::authority::CERTIFICATE_LIFE.as_micros() as u64));
        home.install(certified.clone()).unwrap();
        let again = Home::open(&env, Path::new("/data")).unwrap();
        assert_eq!((again.identity(), again.cluster()), (home.identity(), Some(ClusterId::new(5))));
        assert_eq!(again.membership(), Some(&certified));
        assert_eq!(again.key_der(), home.key_der());
    }

    #[test]
    fn member_takes_no_membership_of_another_cluster_node_or_key() {
        let (env, other_env) = (world(), Env::simulated(9));
        other_env.disk.create_dir_all(Path::new("/data")).unwrap();
        let mut home = Home::open(&env, Path::new("/data")).unwrap();
        let other = Home::open(&other_env, Path::new("/data")).unwrap();
        assert_ne!(home.identity(), other.identity());
        let (ours, foreign) = (Authority::create(ClusterId::new(5)).unwrap(), Authority::create(ClusterId::new(6)).unwrap());
        let (now, request) = (env.clock.wall_micros(), home.certificate_request().unwrap());
        assert!(matches!(home.install(ours.sign(&request, other.identity(), now).unwrap()), Err(CredentialError::OtherNode { .. })));
        let others_key = ours.sign(&other.certificate_request().unwrap(), home.identity(), now).unwrap();
        assert!(matches!(home.install(others_key), Err(CredentialError::NotSigned(_))));
        let mut wrong_authority = ours.sign(&request, home.identity(), now).unwrap();
        wrong_authority.authorities = vec![foreign.certificate().to_vec()];
        assert!(matches!(home.install(wrong_authority), Err(CredentialError::NotSigned(_))));
        assert!(matches!(home.install(ours.sign_until(&request, home.identity(), now - 1).unwrap()), Err(CredentialError::NotSigned(_))));
        assert_eq!(home.cluster(), None);
        home.install(ours.sign(&request, home.identity(), now).unwrap()).unwrap();
        let late = foreign.sign(&request, home.identity(), now).unwrap();
        assert!(matches!(home.install(late), Err(CredentialError::AlreadyMember(c)) if c == ClusterId::new(5)));
    }

    #[test]
    fn damaged_files_are_named_and_never_replaced() {
        let env = world();
        Home::open(&env, Path::new("/data")).unwrap();
        let file = Path::new("/data/cluster/node.pem");
        let good = env.disk.read(file).unwrap();
        for cut in [0, 5, 11, 25, 60, good.len() / 2] {
            env.disk.write_atomically(file, &good[..cut]).unwrap();
            let error = Home::open(&env, Path::new("/data")).unwrap_err();
            assert!(matches!(&error, CredentialError::Malformed { what, .. } if what.ends_with("node.pem")), "{cut}: {error:?}");
            assert_eq!(env.disk.read(file).unwrap(), &good[..cut]);
        }
    }

    #[test]
    fn authority_reads_back_with_its_secret_only_and_a_request_must_be_signed_by_its_key() {
        let env = world();
        let (secret, other) =
            (crate::ClusterSecret::new("correct horse battery").unwrap(), crate::ClusterSecret::new("wrong horse battery").unwrap());
        let home = Home::open(&env, Path::new("/data")).unwrap();
        let ca = Authority::create(ClusterId::new(5)).unwrap();
        let bytes = ca.to_locked_bytes(&secret, &*env.random);
        // The 32 secret bytes of a key in PKCS #8; behind them comes the public half, which the certificate shows to everyone.
        let key = &ca.key_der()[16..48];
        assert!(ca.key_der().windows(16).any(|w| w == &key[..16]) && !bytes.windows(16).any(|w| key.windows(16).any(|k| k == w)));
        assert!(matches!(Authority::from_locked_bytes(&bytes, &other), Err(CredentialError::OtherSecret)));
        let again = Authority::from_locked_bytes(&bytes, &secret).unwrap();
        let request = home.certificate_request().unwrap();
        // Signed by the authority that was read back, believed by who knows the first.
        let mut certified = again.sign(&request, home.identity(), env.clock.wall_micros()).unwrap();
        certified.authorities = vec![ca.certificate().to_vec()];
        let mut home = home;
        home.install(certified).unwrap();
        let mut forged = request.clone();
        *forged.last_mut().unwrap() ^= 1;
        assert!(matches!(ca.sign(&forged, home.identity(), 0), Err(CredentialError::Malformed { .. })));
        assert!(matches!(ca.sign(b"junk", home.identity(), 0), Err(CredentialError::Malformed { .. })));
    }
}
