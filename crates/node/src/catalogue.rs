//! Where a node's copy of the metadata comes from at its start.
//!
//! Owns:     the move from the catalogue's own log, which older releases kept, to the metadata group.
//! Promises: a catalogue that is there is found, whichever release wrote it; one that was lost is not taken for an empty one. The move happens in one
//!           step: a crash before it leaves the old log in use, a crash after it the group.
//! Never:    writes the old log.
//! See:      docs/design/0014-one-kind-of-catalogue.md.

use crate::config::Begin;
use crate::{Error, SELF};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use weald_catalog::privilege::{Privilege, PrivilegeSet};
use weald_catalog::{Command, UserDef};
use weald_env::Env;
use weald_log::{DataDir, MetaLog};
use weald_meta::State;
use weald_metaraft::{Group, World};
use weald_types::{ClusterId, Fault};

/// A sync, on a disk that stalls.
const SETTLE: Duration = Duration::from_secs(10);

/// None: a fresh node, in no group yet. `address` is where clients reach a node that begins.
pub(crate) async fn open(world: World, dir: &DataDir, begin: Begin, address: SocketAddr) -> Result<Option<Group>, Error> {
    let env = world.env.clone();
    let found = Group::open(world.clone()).await.map_err(|e| of_group(dir, e))?;
    let group = match found {
        Some(group) => {
            remove_old_log(&env, dir)?;
            Some(group)
        }
        None => match (old_catalogue(&env, dir, address)?, begin) {
            (Some(state), _) => {
                tracing::info!("the catalogue moves from its own log to the metadata group");
                let group = found_with(world, dir, state).await?;
                remove_old_log(&env, dir)?;
                Some(group)
            }
            (None, Begin::Alone) => Some(found_with(world, dir, alone(address)).await?),
            (None, Begin::Fresh) => None,
        },
    };
    if let Some(group) = &group
        && group.state().topology.nodes.len() == 1
    {
        // Nobody else has a say, so it leads after a moment. If it cannot, whoever wants a change is told why.
        let leads = async {
            group.settled().await;
            group.confirm().await
        };
        if !matches!(tokio::time::timeout(SETTLE, leads).await, Ok(Ok(()))) {
            tracing::error!("the metadata group does not come to lead itself; definitions cannot be changed");
        }
    }
    Ok(group)
}

fn alone(address: SocketAddr) -> State {
    State::bootstrap(SELF, &address.ip().to_string(), address.port())
}

/// A group of one. What the cluster is called nobody but this node knows until it is bootstrapped.
async fn found_with(world: World, dir: &DataDir, mut state: State) -> Result<Group, Error> {
    give_root(&world.env, &mut state);
    let me = state.topology.nodes.keys().next().copied().unwrap_or(SELF);
    let cluster = state.topology.cluster.unwrap_or_else(|| draw_cluster(&world.env));
    Group::found(world, cluster, me, &state).await.map_err(|e| of_group(dir, e))
}

/// Gives a catalogue without accounts its first: root, who may do everything and has no password yet.
pub(crate) fn give_root(env: &Env, state: &mut State) {
    if !state.catalog.users.is_empty() {
        return;
    }
    let mut root = UserDef::new("root", "%");
    root.global = PrivilegeSet::ALL_GLOBAL.union(PrivilegeSet::of(&[Privilege::GrantOption]));
    root.password_changed = env.clock.wall_micros();
    state.apply(Command::CreateUsers { users: vec![root] }).expect("there are no accounts, so none of that name");
}

/// What a node shows that is of no cluster: root, with the password that the configuration gives it.
pub(crate) fn fresh(env: &Env, password: Option<&str>) -> Result<State, Fault> {
    let mut state = State::fresh();
    give_root(env, &mut state);
    let root = state.catalog.users.values().next().map(|u| UserDef::clone(u));
    if let (Some(mut root), Some(password)) = (root, password.filter(|p| !p.is_empty())) {
        root.auth = weald_aggregator::auth::store_password(&root.plugin, password, env.random.next_u64())?;
        state.apply(Command::PutUsers { expected: state.catalog.version, users: vec![root] })?;
    }
    Ok(state)
}

pub(crate) fn draw_cluster(env: &Env) -> ClusterId {
    let mut drawn = [0; 16];
    env.random.fill(&mut drawn);
    ClusterId::new(u128::from_le_bytes(drawn))
}

/// The state that the catalogue's own log makes, if there is one.
fn old_catalogue(env: &Env, dir: &DataDir, address: SocketAddr) -> Result<Option<State>, Error> {
    let broken = |reason: String| Error::Catalog { dir: dir.root().to_path_buf(), reason };
    if !env.disk.exists(&dir.meta().join("log")) {
        refuse_lost(env, dir)?;
        return Ok(None);
    }
    let (log, found) = MetaLog::open(env, dir).map_err(|source| Error::CatalogLog { dir: dir.root().to_path_buf(), source })?;
    log.close();
    let mut state = match found.state {
        Some(bytes) => weald_meta::decode_state(&bytes).map_err(|e| broken(e.to_string()))?,
        None if found.commands.is_empty() => {
            refuse_lost(env, dir)?;
            return Ok(None);
        }
        None => alone(address),
    };
    for bytes in found.commands {
        let command = weald_meta::decode_command(&bytes).map_err(|e| broken(e.to_string()))?;
        state.apply(command).map_err(|e| broken(format!("a logged command is refused: {e:?}")))?;
    }
    match weald_meta::invariant::broken(&state) {
        Some(reason) => Err(broken(reason)),
        None => Ok(Some(state)),
    }
}

/// A catalogue without a history beside partitions with one: its files were lost, and without them everything would look dropped.
fn refuse_lost(env: &Env, dir: &DataDir) -> Result<(), Error> {
    let entries = env.disk.list(&dir.snapshots()).map_err(Error::Io)?;
    match entries.iter().find(|e| weald_log::data_dir::partition_of_dir(&e.name).is_some()) {
        Some(e) => {
            let reason = format!("it is empty, though there are snapshots of partition {}; restore the directory meta from a backup", e.name);
            Err(Error::Catalog { dir: dir.root().to_path_buf(), reason })
        }
        None => Ok(()),
    }
}

/// Once the group is there nobody reads it, and it must not be found by who loses the group's files.
fn remove_old_log(env: &Env, dir: &DataDir) -> Result<(), Error> {
    let remove = |dir: &Path| if env.disk.exists(dir) { env.disk.remove_dir_all(dir).map(|()| true) } else { Ok(false) };
    let mut removed = false;
    for old in ["log", "state"] {
        removed |= remove(&dir.meta().join(old)).map_err(Error::Io)?;
    }
    if removed {
        env.disk.sync_dir(&dir.meta()).map_err(Error::Io)?;
    }
    Ok(())
}

fn of_group(dir: &DataDir, source: weald_metaraft::Error) -> Error {
    Error::Group { dir: dir.root().to_path_buf(), source: Box::new(source) }
}
