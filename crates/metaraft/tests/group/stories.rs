//! What a group does, one story at a time.

use crate::world::*;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use weald_catalog::{Command, TopologyCommand};
use weald_env::Env;
use weald_env::sim::{Call, Survives};
use weald_metaraft::{Error, Group, Leading, Loss, Refused, Settings, TakeoverRefused, World};
use weald_types::{Fault, Generation, NodeId};

fn id(n: u32) -> NodeId {
    NodeId::new(n)
}

fn variable(group: &Group, name: &str) -> Option<String> {
    group.state().catalog.variables.get(name).map(|v| v.to_string())
}

#[test]
fn a_node_alone_leads_at_once_and_syncs_once_a_command() {
    simulate(async {
        let net = Net::new(1);
        let begun = Instant::now();
        let group = net.found(settings()).await;
        until(|| group.status().leading == Leading::WithMajority).await;
        assert!(begun.elapsed() < Duration::from_millis(150), "{:?}", begun.elapsed());
        let disk = net.disk(1);
        for n in 0..20 {
            let syncs = disk.calls(Call::Sync);
            let done = group.propose(set("v", &n.to_string())).await.unwrap();
            assert_eq!(disk.calls(Call::Sync), syncs + 1);
            assert_eq!(done.version, group.state().version);
        }
        assert_eq!(net.messages(), 0);
        // A command that is refused says why, and is an entry without effect.
        let before = group.state();
        let refused = group.propose(Command::DropDatabase { name: "none".into() }).await.unwrap();
        assert_eq!(refused.outcome, Some(Err(Fault::NoSuchDatabase { name: "none".into() })));
        assert_eq!(group.state(), before);

        // Power fails; what was answered is there before anyone is asked.
        let term = group.status().term;
        net.crash(1, Survives::Nothing).await;
        let group = net.start(1, settings()).await;
        assert_eq!(group.state(), before);
        until(|| group.status().leading == Leading::WithMajority).await;
        assert!(group.status().term > term, "a restart ends a reign");
        group.confirm().await.unwrap();
        assert_eq!(group.state(), before);
    });
}

#[test]
fn a_full_disk_refuses_commands_before_they_are_in_any_log() {
    simulate(async {
        let net = Net::new(1);
        let group = net.found(settings()).await;
        until(|| group.status().leading == Leading::WithMajority).await;
        let disk = net.disk(1);
        disk.set_capacity(Some(disk.used_bytes() + (1 << 20)));
        assert_eq!(group.propose(set("v", "1")).await, Err(Refused::Fault(Fault::DiskFull)));
        disk.set_capacity(None);
        group.propose(set("v", "2")).await.unwrap();
    });
}

#[test]
fn nodes_learn_everything_and_votes_go_where_they_should() {
    simulate(async {
        let net = Net::new(2);
        net.cluster(2, 2, settings()).await;
        let first = net.group(1).unwrap();
        // Two aggregators and a leaf; the other leaf learns.
        until(|| first.status().voters == [id(1), id(2), id(3)].into()).await;
        assert_eq!(first.status().learners, [id(4)].into());
        let done = net.propose(set("v", "1")).await;
        for n in net.all() {
            let group = net.group(n).unwrap();
            let state = group.at_least(done.version).await;
            assert_eq!(state.catalog.variables.get("v").map(|v| &**v), Some("1"));
            assert_eq!(group.status().leader, Some(id(1)));
            if n > 1 {
                assert_eq!(group.propose(set("v", "2")).await, Err(Refused::NotLeader { leader: Some(id(1)) }));
                assert!(group.confirm().await.is_err());
            }
        }
        // A node that is taken out of the cluster is in the group no more.
        net.propose(Command::Topology(TopologyCommand::RemoveLeaf { node: id(3), force: true })).await;
        until(|| first.status().voters == [id(1), id(2), id(4)].into() && first.status().learners.is_empty()).await;
    });
}

#[test]
fn a_late_node_is_sent_the_whole_state() {
    simulate(async {
        let settings = Settings { checkpoint_bytes: 20_000, entries_kept: 5, ..settings() };
        let net = Net::new(3);
        net.cluster(2, 1, settings.clone()).await;
        net.crash(3, Survives::Nothing).await;
        // A state of several pieces.
        let big = "x".repeat(100_000);
        for n in 0..14 {
            net.propose(set(&format!("v{n}"), &big)).await;
        }
        sleep(Duration::from_secs(2)).await;
        let late = net.start(3, settings.clone()).await;
        let leader = net.group(1).unwrap();
        until(|| late.state().version == leader.state().version).await;
        assert_eq!(late.state(), leader.state());
        // What it was sent it finds again.
        net.crash(3, Survives::Nothing).await;
        let late = net.start(3, settings).await;
        assert_eq!(late.state(), leader.state());
    });
}

#[test]
fn a_killed_master_is_replaced_in_well_under_a_second() {
    let mut slowest = Duration::ZERO;
    for seed in 0..10 {
        simulate(async {
            let net = Net::new(seed);
            net.cluster(2, 2, settings()).await;
            net.propose(set("v", "before")).await;
            sleep(Duration::from_millis(seed * 7)).await;
            net.crash(1, Survives::Nothing).await;
            let begun = Instant::now();
            if seed % 2 == 0 {
                net.group(2).unwrap().suspect(id(1));
            }
            net.propose(set("v", "after")).await;
            let took = begun.elapsed();
            assert!(took < Duration::from_millis(600), "seed {seed}: {took:?}");
            slowest = slowest.max(took);
            assert_eq!(net.leader(), Some(2));
            // It comes back as a child.
            let old = net.start(1, settings()).await;
            until(|| variable(&old, "v").as_deref() == Some("after")).await;
            assert_eq!(old.status().leader, Some(id(2)));
        });
    }
    println!("slowest: {slowest:?}");
}

#[test]
fn leaves_never_lead_and_without_a_majority_nothing_is_decided() {
    simulate(async {
        let net = Net::new(4);
        net.cluster(1, 2, settings()).await;
        let done = net.propose(set("v", "1")).await;
        for n in [2, 3] {
            net.group(n).unwrap().at_least(done.version).await;
        }
        net.crash(1, Survives::Nothing).await;
        let term = net.group(2).unwrap().status().term;
        sleep(Duration::from_secs(10)).await;
        for n in [2, 3] {
            let group = net.group(n).unwrap();
            // A majority of the voters is there, and does nothing.
            assert_eq!((group.status().leader, group.status().term), (None, term));
            assert_eq!(group.propose(set("v", "2")).await, Err(Refused::NotLeader { leader: None }));
            // The catalogue is still there, over a restart of its own as well.
            net.crash(n, Survives::Nothing).await;
            let group = net.start(n, settings()).await;
            assert_eq!(variable(&group, "v").as_deref(), Some("1"));
        }
        net.start(1, settings()).await;
        net.propose(set("v", "3")).await;
    });
}

#[test]
fn a_leader_that_is_cut_off_says_so_and_comes_back_without_disturbing_anyone() {
    simulate(async {
        let net = Net::new(5);
        net.cluster(2, 1, settings()).await;
        let (first, second) = (net.group(1).unwrap(), net.group(2).unwrap());
        net.isolate(1);
        let lost = first.propose(set("v", "lost"));
        let (lost, ()) = tokio::join!(lost, until(|| second.status().leading == Leading::WithMajority));
        assert!(matches!(lost, Err(Refused::Unknown { .. })), "{lost:?}");
        assert_eq!(first.status().leading, Leading::WithoutMajority);
        // From now on it is said at once that nothing can be done here.
        let asked = Instant::now();
        assert_eq!(first.propose(set("v", "lost")).await, Err(Refused::NotLeader { leader: None }));
        assert_eq!(asked.elapsed(), Duration::ZERO);
        second.propose(set("v", "kept")).await.unwrap();
        let term = second.status().term;
        net.mend();
        until(|| variable(&first, "v").as_deref() == Some("kept")).await;
        sleep(Duration::from_secs(2)).await;
        assert_eq!((second.status().leading, second.status().term), (Leading::WithMajority, term));

        // A child that was cut off for long does not cost the master its reign.
        net.isolate(1);
        sleep(Duration::from_secs(5)).await;
        net.mend();
        sleep(Duration::from_secs(2)).await;
        assert_eq!((second.status().leading, second.status().term), (Leading::WithMajority, term));
    });
}

#[test]
fn a_master_hands_over_without_losing_a_command() {
    simulate(async {
        let net = Net::new(6);
        net.cluster(3, 2, settings()).await;
        let first = net.group(1).unwrap();
        for (to, number) in [(1, 1753), (4, 1736), (9, 1736)] {
            match first.hand_over(id(to)).await {
                Err(Refused::Fault(Fault::MySql { number: found, .. })) => assert_eq!(found, number),
                other => panic!("{other:?}"),
            }
        }
        assert!(matches!(net.group(2).unwrap().hand_over(id(3)).await, Err(Refused::NotLeader { .. })));
        let writer = {
            let net = net.clone();
            tokio::spawn(async move {
                for n in 0..100 {
                    net.propose(set(&format!("v{n}"), "x")).await;
                }
            })
        };
        sleep(Duration::from_millis(50)).await;
        let begun = Instant::now();
        // While commands come in, the successor may lack the newest for a moment.
        loop {
            match first.hand_over(id(2)).await {
                Ok(()) => break,
                Err(Refused::Fault(_)) => sleep(Duration::from_millis(1)).await,
                Err(other) => panic!("{other}"),
            }
        }
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
        until(|| net.leader() == Some(2)).await;
        writer.await.unwrap();
        assert_eq!(net.group(2).unwrap().state().catalog.variables.len(), 100);
        assert_eq!(first.status().leading, Leading::No);
    });
}

#[test]
fn set_as_master_begins_a_generation_and_fences_the_old_one() {
    simulate(async {
        let net = Net::new(7);
        net.cluster(3, 2, settings()).await;
        let done = net.propose(set("v", "old")).await;
        for n in net.all() {
            net.group(n).unwrap().at_least(done.version).await;
        }
        let third = net.group(3).unwrap();
        assert!(matches!(third.take_over(Loss::Accept).await, Err(TakeoverRefused::MasterIsAlive(n)) if n == id(1)));
        assert!(matches!(net.group(4).unwrap().take_over(Loss::Accept).await, Err(TakeoverRefused::NotAnAggregator)));
        // Voters are 1, 2, 3. Two of them die; 3 and the leaves are left.
        net.crash(1, Survives::Nothing).await;
        net.crash(2, Survives::Nothing).await;
        sleep(Duration::from_secs(1)).await;
        let taken = third.take_over(Loss::Refuse).await.unwrap();
        let anew = Generation::FIRST.after(id(3));
        assert_eq!((taken.generation, &taken.missing), (anew, &[id(1), id(2)].into()));
        assert_eq!(taken.promised, [id(4), id(5)].into());
        net.propose(set("v", "new")).await;
        until(|| third.status().voters == [id(3), id(4), id(5)].into()).await;

        // The old master returns with its friend: a majority of the old group. They may lead each other until they meet anyone else.
        net.start(1, settings()).await;
        net.start(2, settings()).await;
        for n in [1, 2] {
            until(|| net.group(n).is_some_and(|g| g.status().generation == anew && variable(&g, "v").as_deref() == Some("new"))).await;
        }
        assert_eq!(net.leader(), Some(3));
        let states: Vec<_> = net.all().iter().map(|n| net.group(*n).unwrap().state()).collect();
        assert!(states.windows(2).all(|w| w[0] == w[1]));
        // And they stay in it.
        for n in net.all() {
            net.crash(n, Survives::Nothing).await;
        }
        for n in net.all() {
            net.start(n, settings()).await;
        }
        net.propose(set("v", "newest")).await;
        assert!(net.all().iter().all(|n| net.group(*n).unwrap().status().generation == anew));
    });
}

#[test]
fn the_old_masters_majority_gets_nobody_who_has_promised() {
    simulate(async {
        let net = Net::new(8);
        net.cluster(3, 2, settings()).await;
        let done = net.propose(set("v", "old")).await;
        for n in net.all() {
            net.group(n).unwrap().at_least(done.version).await;
        }
        // 1 and 2 are cut off from 3, 4 and 5, and go on: they are a majority of the voters.
        for n in [1, 2] {
            for m in [3, 4, 5] {
                net.cut(n, m);
                net.cut(m, n);
            }
        }
        sleep(Duration::from_secs(1)).await;
        let (first, third) = (net.group(1).unwrap(), net.group(3).unwrap());
        third.take_over(Loss::Refuse).await.unwrap();
        // What they decide meanwhile is what the operator was warned of.
        first.propose(set("v", "given up")).await.unwrap();
        third.propose(set("v", "new")).await.unwrap();
        net.mend();
        for n in net.all() {
            until(|| variable(&net.group(n).unwrap(), "v").as_deref() == Some("new")).await;
        }
        assert_eq!(net.leader(), Some(3));
        assert!(matches!(first.propose(set("v", "x")).await, Err(Refused::NotLeader { leader: Some(l) }) if l == id(3)));
    });
}

#[test]
fn an_older_copy_is_not_made_the_master_unasked() {
    simulate(async {
        let net = Net::new(9);
        net.cluster(3, 2, settings()).await;
        // 3 hears of nothing new; 4 does.
        net.isolate(3);
        net.propose(set("v", "newer")).await;
        until(|| variable(&net.group(4).unwrap(), "v").is_some()).await;
        net.crash(1, Survives::Nothing).await;
        net.crash(2, Survives::Nothing).await;
        net.mend();
        sleep(Duration::from_secs(1)).await;
        let third = net.group(3).unwrap();
        match third.take_over(Loss::Refuse).await {
            Err(TakeoverRefused::NewerElsewhere(n)) => assert!(n == id(4) || n == id(5)),
            other => panic!("{other:?}"),
        }
        assert_eq!(third.take_over(Loss::Accept).await.unwrap().generation, Generation::FIRST.after(id(3)));
        // Everyone has the new history, also those who knew more of the old.
        net.propose(set("w", "1")).await;
        until(|| variable(&net.group(4).unwrap(), "w").is_some()).await;
        assert_eq!(variable(&net.group(4).unwrap(), "v"), None);
    });
}

#[test]
fn a_majority_that_is_there_elects_and_needs_no_operator() {
    simulate(async {
        let net = Net::new(10);
        net.cluster(3, 0, settings()).await;
        net.crash(1, Survives::Nothing).await;
        // Before the lease is over nobody leads, and nobody has to be forced.
        let refused = net.group(2).unwrap().take_over(Loss::Accept).await;
        assert!(matches!(refused, Err(TakeoverRefused::ElectionIsPossible | TakeoverRefused::MasterIsAlive(_))), "{refused:?}");
        net.propose(set("v", "1")).await;
        assert_eq!(net.group(2).unwrap().status().generation, Generation::FIRST);
    });
}

#[test]
fn a_directory_is_of_one_group() {
    simulate(async {
        let net = Net::new(11);
        net.found(settings()).await;
        let env = Env::with_disk(net.disk(1), 9);
        struct Nowhere;
        impl weald_metaraft::Network for Nowhere {
            fn call(&self, to: NodeId, _: Vec<u8>) -> futures::future::BoxFuture<'static, Result<Vec<u8>, weald_metaraft::Unreachable>> {
                Box::pin(async move { Err(weald_metaraft::Unreachable { to, reason: "nobody".into() }) })
            }
        }
        let world = World { env, dir: meta(), network: Arc::new(Nowhere), settings: settings() };
        assert!(matches!(
            Group::join(world.clone(), CLUSTER, Generation::FIRST.after(id(3)), id(2)).await,
            Err(Error::Occupied { has: Generation::FIRST })
        ));
        assert!(matches!(Group::found(world, CLUSTER, id(2), &bootstrapped()).await, Err(Error::Occupied { has: Generation::FIRST })));
    });
}

#[test]
fn a_master_whose_disk_fails_is_out_and_another_goes_on() {
    simulate(async {
        let net = Net::new(12);
        net.cluster(2, 1, settings()).await;
        let first = net.group(1).unwrap();
        net.disk(1).fail(Call::Sync, 0, std::io::ErrorKind::Other);
        assert!(matches!(first.propose(set("v", "1")).await, Err(Refused::Unknown { .. })));
        until(|| first.status().failed.is_some()).await;
        net.propose(set("v", "2")).await;
        assert_eq!(net.leader(), Some(2));
        // Started anew, on what its disk really holds, it is a child like any other.
        net.crash(1, Survives::Nothing).await;
        let first = net.start(1, settings()).await;
        until(|| variable(&first, "v").as_deref() == Some("2")).await;
        assert_eq!(first.status().failed, None);
    });
}

#[test]
fn a_node_that_was_removed_can_forget_and_join_again() {
    simulate(async {
        let net = Net::new(13);
        net.cluster(2, 2, settings()).await;
        net.propose(Command::Topology(TopologyCommand::RemoveLeaf { node: id(4), force: false })).await;
        until(|| !net.group(1).unwrap().status().learners.contains(&id(4))).await;
        let disk = net.disk(4);
        net.crash(4, Survives::Everything).await;
        let env = Env::with_disk(disk, 9);
        Group::forget(&env, &meta()).unwrap();
        assert!(!env.disk.exists(&meta().join("group")));
        let added = net.propose(Command::Topology(TopologyCommand::AddLeaf { node: new_node(4), group: None })).await;
        assert_eq!(added.outcome, Some(Ok(weald_catalog::Outcome::Node(id(5)))));
        let again = net.join(5, settings()).await;
        until(|| again.state().version == added.version).await;
    });
}

#[test]
fn a_master_that_was_taken_out_of_the_cluster_does_not_stay_master() {
    simulate(async {
        let net = Net::new(14);
        net.cluster(3, 0, settings()).await;
        net.group(1).unwrap().hand_over(id(2)).await.unwrap();
        let second = net.group(2).unwrap();
        until(|| second.status().leading == Leading::WithMajority).await;
        // Whoever ordered this still took 1 for the master.
        let order = TopologyCommand::RemoveAggregator { node: id(2), master: id(1) };
        assert_eq!(second.propose(Command::Topology(order)).await.unwrap().outcome, Some(Ok(weald_catalog::Outcome::Done)));
        assert!(matches!(second.propose(set("v", "1")).await, Err(Refused::NotLeader { .. })));
        until(|| net.leader().is_some_and(|l| l != 2)).await;
        net.propose(set("v", "2")).await;
        until(|| net.leader().and_then(|l| net.group(l)).is_some_and(|g| g.status().voters.len() == 1 && g.status().learners.len() == 1)).await;
        assert_eq!(second.status().leading, Leading::No);
    });
}

#[test]
fn of_two_who_take_over_at_the_same_time_one_prevails() {
    simulate(async {
        let net = Net::new(15);
        net.cluster(3, 2, settings()).await;
        let done = net.propose(set("v", "old")).await;
        for n in net.all() {
            net.group(n).unwrap().at_least(done.version).await;
        }
        net.crash(1, Survives::Nothing).await;
        for (a, b) in [(2, 3), (2, 5), (4, 3), (4, 5)] {
            net.cut(a, b);
            net.cut(b, a);
        }
        sleep(Duration::from_secs(1)).await;
        let (second, third) = (net.group(2).unwrap(), net.group(3).unwrap());
        let (a, b) = tokio::join!(second.take_over(Loss::Refuse), third.take_over(Loss::Refuse));
        let (a, b) = (a.unwrap(), b.unwrap());
        assert_eq!((a.promised, b.promised), ([id(4)].into(), [id(5)].into()));
        assert!(a.missing.contains(&id(3)) && b.missing.contains(&id(2)) && b.generation > a.generation);
        until(|| second.status().leading == Leading::WithMajority && third.status().leading == Leading::WithMajority).await;
        let given_up = second.propose(set("v", "second")).await.unwrap();
        let kept = third.propose(set("v", "third")).await.unwrap();
        assert_ne!(given_up.version, kept.version);
        net.mend();
        for n in [2, 4, 5] {
            until(|| variable(&net.group(n).unwrap(), "v").as_deref() == Some("third")).await;
        }
        assert_eq!(net.leader(), Some(3));
        let late = net.start(1, settings()).await;
        until(|| variable(&late, "v").as_deref() == Some("third")).await;
        assert!(net.all().iter().all(|n| net.group(*n).unwrap().status().generation == b.generation));
    });
}
