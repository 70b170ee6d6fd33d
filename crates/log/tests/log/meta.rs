//! The catalogue's log.
//!
//! Owns:     nothing.
//! Promises: commands come back in order; a damaged state costs nothing while the commands after the older one are there.
//! Never:    looks at files, except to damage them.

use std::path::Path;
use std::sync::Arc;
use weald_env::sim::{SimDisk, Survives};
use weald_env::{Disk, Env};
use weald_log::{DataDir, MetaLog};

/// The state is the commands, joined.
fn replayed(env: &Env) -> (DataDir, MetaLog, String) {
    let dir = DataDir::open(env, Path::new("/data")).unwrap();
    let (log, recovered) = MetaLog::open(env, &dir).unwrap();
    let mut state = String::from_utf8(recovered.state.unwrap_or_default()).unwrap();
    for command in recovered.commands {
        state.push_str(std::str::from_utf8(&command).unwrap());
    }
    (dir, log, state)
}

#[test]
fn crash_at_every_change_keeps_every_answered_command() {
    let disk = Arc::new(SimDisk::new());
    let env = Env::with_disk(disk.clone(), 3);
    let (dir, log, mut state) = replayed(&env);
    let mut answered = vec![(disk.changes(), 0)];
    for i in 0..12 {
        let command = format!("[{i}]");
        log.append(command.as_bytes()).unwrap().wait().unwrap();
        state.push_str(&command);
        answered.push((disk.changes(), state.len()));
        if i % 3 == 2 {
            log.store_state(state.as_bytes()).unwrap();
        }
    }
    log.close();
    drop((log, dir));
    for change in 0..=disk.changes() {
        for survives in [Survives::Nothing, Survives::Everything, Survives::Sectors { seed: change as u64 }] {
            let (_, _, found) = replayed(&Env::with_disk(Arc::new(disk.after_crash_at(change, survives)), 4));
            let promised = answered.iter().rfind(|(at, _)| *at <= change).map_or(0, |(_, len)| *len);
            assert!(state.starts_with(&found) && found.len() >= promised, "change {change} {survives:?}: {found}");
        }
    }
}

#[test]
fn damaged_newest_state_is_passed_over() {
    let disk = Arc::new(SimDisk::new());
    let env = Env::with_disk(disk.clone(), 3);
    let (dir, log, mut state) = replayed(&env);
    for i in 0..9 {
        let command = format!("<{i}>");
        log.append(command.as_bytes()).unwrap().wait().unwrap();
        state.push_str(&command);
        if i % 3 == 2 {
            log.store_state(state.as_bytes()).unwrap();
        }
    }
    log.append(b"<9>").unwrap().wait().unwrap();
    state.push_str("<9>");
    log.close();
    drop((log, dir));
    let states = Path::new("/data/meta/state");
    let newest = disk.list(states).unwrap().into_iter().rfind(|f| f.name.ends_with(".wsnap")).unwrap();
    disk.corrupt(&states.join(&newest.name), newest.len / 2, 1);
    for _ in 0..2 {
        let (_, _, found) = replayed(&env);
        assert_eq!(found, state);
    }
}
