//! Golden scripts: what happens to a cluster, and the votes that follow. And a property: the steps come to an end at a good place.

use super::*;
use proptest::prelude::*;
use std::fmt::Write;

#[derive(Default)]
struct World {
    members: BTreeMap<NodeId, Member>,
    voters: BTreeSet<NodeId>,
    leader: Option<NodeId>,
}

/// `a3` is the aggregator with number 3, `l4` the leaf with number 4.
fn id(name: &str) -> NodeId {
    NodeId::new(name[1..].parse().unwrap())
}

impl World {
    fn run(&mut self, line: &str) {
        let mut words = line.split_whitespace();
        let verb = words.next().unwrap();
        for name in words {
            let (node, aggregator) = (id(name), name.starts_with('a'));
            let standing = match verb {
                "start" => {
                    *self = World { leader: Some(node), voters: [node].into(), ..World::default() };
                    Standing::Ready
                }
                "lead" => {
                    self.leader = Some(node);
                    Standing::Ready
                }
                "remove" => {
                    self.members.remove(&node);
                    continue;
                }
                "ready" => Standing::Ready,
                "behind" => Standing::Behind,
                "silent" => Standing::Silent,
                "gone" => Standing::Gone,
                _ => panic!("{line}"),
            };
            self.members.insert(node, Member { aggregator, standing });
        }
    }

    fn name(&self, node: NodeId) -> String {
        let kind = self.members.get(&node).map_or('?', |m| if m.aggregator { 'a' } else { 'l' });
        format!("{kind}{node}")
    }

    fn settle(&mut self, out: &mut String) {
        for step in 0.. {
            assert!(step < 30, "the votes never come to rest");
            match next(&self.members, &self.voters, self.leader.unwrap()) {
                Some(Change::Add(n)) => {
                    assert!(self.voters.insert(n));
                    writeln!(out, "+ {}", self.name(n)).unwrap();
                }
                Some(Change::Remove(n)) => {
                    assert!(self.voters.remove(&n));
                    writeln!(out, "- {}", self.name(n)).unwrap();
                }
                None => break,
            }
        }
        let names: Vec<String> = self.voters.iter().map(|n| self.name(*n)).collect();
        writeln!(out, "votes {}", names.join(" ")).unwrap();
    }
}

#[test]
fn scripts_go_as_written() {
    let script = include_str!("voters.txt");
    let (mut world, mut found) = (World::default(), String::new());
    let mut expecting = false;
    for line in script.lines() {
        match line {
            "---" => {
                writeln!(found, "---").unwrap();
                world.settle(&mut found);
                expecting = true;
            }
            "" => {
                expecting = false;
                found.push('\n');
            }
            _ if expecting => {}
            line => {
                if !line.starts_with('#') {
                    world.run(line);
                }
                writeln!(found, "{line}").unwrap();
            }
        }
    }
    assert!(found == script, "found:\n{found}");
}

fn member() -> impl Strategy<Value = Member> {
    let standing = prop_oneof![Just(Standing::Ready), Just(Standing::Behind), Just(Standing::Silent), Just(Standing::Gone)];
    (any::<bool>(), standing).prop_map(|(aggregator, standing)| Member { aggregator, standing })
}

proptest! {
    #[test]
    fn steps_end_at_a_good_place(
        mut members in prop::collection::btree_map((2u32..12).prop_map(NodeId::new), member(), 0..9),
        votes in prop::collection::btree_set((2u32..12).prop_map(NodeId::new), 0..6),
    ) {
        let leader = NodeId::new(1);
        members.insert(leader, Member { aggregator: true, standing: Standing::Ready });
        let mut world = World { members, voters: votes, leader: Some(leader) };
        world.voters.insert(leader);
        let before = world.voters.clone();
        world.settle(&mut String::new());
        let (members, voters) = (&world.members, &world.voters);
        prop_assert!(voters.contains(&leader));
        prop_assert!(voters.len() % 2 == 1, "{voters:?}");
        prop_assert!(voters.iter().all(|n| members.contains_key(n)));
        // New votes went only to those who were ready.
        prop_assert!(voters.difference(&before).all(|n| members[n].standing == Standing::Ready));
        // A leaf votes only if every aggregator that could does.
        let leaf = voters.iter().any(|n| !members[n].aggregator && members[n].standing == Standing::Ready);
        let left_out = members.iter().any(|(n, m)| m.aggregator && m.standing == Standing::Ready && !voters.contains(n));
        prop_assert!(!(leaf && left_out));
    }
}
