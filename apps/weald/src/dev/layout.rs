//! Which nodes a `weald dev` of several processes has, and where each is.
//!
//! Owns:     the names: master, aggregator-2, …, leaf-1, leaf-2, …
//! Promises: the MySQL ports follow each other from the master's, aggregators before leaves. What a directory was made with it keeps: more nodes may be asked for
//!           later, not fewer.
//! Never:    looks at the network.

use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use weald_env::Env;

/// More than anyone plays with on one machine.
pub const NODES_MOST: u16 = 64;

const FILE: &str = "dev.toml";
const HEAD: &str = "# Written by `weald dev`: what this directory holds.\n";

/// As kept in the directory.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Layout {
    pub aggregators: u16,
    pub leaves: u16,
    /// All of them have been brought together: a later start has nothing to order.
    #[serde(default)]
    pub complete: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Master,
    Aggregator,
    Leaf,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodePlan {
    pub name: String,
    pub kind: Kind,
    pub dir: PathBuf,
    /// How far its ports are from the master's.
    pub offset: u16,
}

impl Layout {
    /// What was asked for, with what the directory has already. None: one process.
    pub fn decide(env: &Env, dir: &Path, aggregators: Option<u16>, leaves: Option<u16>) -> Result<Option<Self>, String> {
        let kept = Self::read(env, dir)?;
        let Some(kept) = kept else {
            if aggregators.is_none() && leaves.is_none() {
                return Ok(None);
            }
            if env.disk.exists(&dir.join("FORMAT")) {
                return Err(format!("{} holds the data of a single process; give --data-dir another directory for several nodes", dir.display()));
            }
            return Self { aggregators: aggregators.unwrap_or(1), leaves: leaves.unwrap_or(1), complete: false }.checked().map(Some);
        };
        let most = |asked: Option<u16>, kept: u16, what: &str| match asked {
            Some(n) if n < kept => {
                Err(format!("{} has {kept} {what}; remove what is too much with `weald admin`, or take another directory", dir.display()))
            }
            Some(n) => Ok(n),
            None => Ok(kept),
        };
        let (a, l) = (most(aggregators, kept.aggregators, "aggregators")?, most(leaves, kept.leaves, "leaves")?);
        let complete = kept.complete && (a, l) == (kept.aggregators, kept.leaves);
        Self { aggregators: a, leaves: l, complete }.checked().map(Some)
    }

    fn checked(self) -> Result<Self, String> {
        if self.aggregators == 0 {
            return Err("--aggregators must be at least 1: the first is the master".into());
        }
        if self.aggregators.saturating_add(self.leaves) > NODES_MOST {
            return Err(format!("that is more than {NODES_MOST} nodes"));
        }
        Ok(self)
    }

    pub fn read(env: &Env, dir: &Path) -> Result<Option<Self>, String> {
        let path = dir.join(FILE);
        if !env.disk.exists(&path) {
            return Ok(None);
        }
        let wrong = |e: &dyn std::fmt::Display| format!("{} cannot be read: {}", path.display(), e.to_string().replace('\n', " "));
        let bytes = env.disk.read(&path).map_err(|e| wrong(&e))?;
        toml::from_str(&String::from_utf8_lossy(&bytes)).map(Some).map_err(|e| wrong(&e))
    }

    pub fn write(&self, env: &Env, dir: &Path) -> Result<(), String> {
        let path = dir.join(FILE);
        let text = format!("{HEAD}aggregators = {}\nleaves = {}\ncomplete = {}\n", self.aggregators, self.leaves, self.complete);
        env.disk.write_atomically(&path, text.as_bytes()).map_err(|e| format!("{} cannot be written: {e}", path.display()))
    }

    /// The master first, then the other aggregators, then the leaves.
    pub fn nodes(&self, dir: &Path) -> Vec<NodePlan> {
        let aggregators =
            (1..=self.aggregators).map(|n| if n == 1 { ("master".into(), Kind::Master) } else { (format!("aggregator-{n}"), Kind::Aggregator) });
        let leaves = (1..=self.leaves).map(|n| (format!("leaf-{n}"), Kind::Leaf));
        (0..).zip(aggregators.chain(leaves)).map(|(offset, (name, kind))| NodePlan { dir: dir.join(&name), name, kind, offset }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(env: &Env, a: Option<u16>, l: Option<u16>) -> Result<Option<Layout>, String> {
        Layout::decide(env, Path::new("/d"), a, l)
    }

    #[test]
    fn a_directory_keeps_what_it_was_made_with() {
        let env = Env::simulated(1);
        env.disk.create_dir_all(Path::new("/d")).unwrap();
        assert_eq!(decide(&env, None, None), Ok(None));
        let first = decide(&env, Some(2), Some(3)).unwrap().unwrap();
        assert_eq!(first, Layout { aggregators: 2, leaves: 3, complete: false });
        Layout { complete: true, ..first }.write(&env, Path::new("/d")).unwrap();
        assert_eq!(decide(&env, None, None).unwrap().unwrap(), Layout { complete: true, ..first });
        assert_eq!(decide(&env, Some(2), Some(4)).unwrap().unwrap(), Layout { leaves: 4, ..first });
        assert!(decide(&env, Some(1), None).unwrap_err().contains("has 2 aggregators"));
        assert!(decide(&env, Some(0), None).is_err() && decide(&env, Some(60), Some(5)).is_err());
    }

    #[test]
    fn a_single_processs_directory_stays_one() {
        let env = Env::simulated(1);
        env.disk.create_dir_all(Path::new("/d")).unwrap();
        env.disk.write_atomically(Path::new("/d/FORMAT"), b"x").unwrap();
        assert_eq!(decide(&env, None, None), Ok(None));
        assert!(decide(&env, None, Some(2)).unwrap_err().contains("single process"));
    }

    #[test]
    fn ports_follow_each_other_aggregators_before_leaves() {
        let names: Vec<_> =
            Layout { aggregators: 2, leaves: 2, complete: false }.nodes(Path::new("/d")).into_iter().map(|n| (n.name, n.offset)).collect();
        assert_eq!(names, [("master".into(), 0), ("aggregator-2".into(), 1), ("leaf-1".into(), 2), ("leaf-2".into(), 3)]);
    }
}
