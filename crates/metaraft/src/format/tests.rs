//! Old bytes are read, and mean the same; wrong ones are refused.
//!
//! The fixtures in `tests/fixtures/v1` are written by `WEALD_FIXTURES=write cargo test -p weald-metaraft`. Before the first release that is how to change a type;
//! after it, a changed type is a new version, with a reader for this one.

#![allow(clippy::disallowed_methods)]

use super::*;
use std::path::Path;
use weald_catalog::Command;

fn members() -> Members {
    Members { voters: vec![[1, 2].into(), [1, 2, 3].into()], all: [1, 2, 3, 4].into() }
}

fn entries() -> Vec<(&'static str, Entry)> {
    let at = |index| log_id(7, index);
    let command = Command::SetVariable { name: "sql_mode".into(), value: Some("".into()) };
    vec![
        ("entry_blank", Entry { log_id: at(1), payload: EntryPayload::Blank }),
        ("entry_command", Entry { log_id: at(2), payload: EntryPayload::Normal(Order(Arc::new(command))) }),
        ("entry_members", Entry { log_id: at(300), payload: EntryPayload::Membership(members().into()) }),
    ]
}

fn check(name: &str, bytes: Vec<u8>) -> Vec<u8> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1").join(name);
    if std::env::var("WEALD_FIXTURES").is_ok_and(|v| v == "write") {
        std::fs::write(&file, &bytes).unwrap();
    }
    let found = std::fs::read(&file).unwrap();
    assert_eq!(found, bytes, "{name}: if the type changed on purpose before the first release: WEALD_FIXTURES=write; after it: a new version");
    found
}

#[test]
fn bytes_of_version_1_are_read() {
    for (name, entry) in entries() {
        let found = decode_entry(&check(name, encode_entry(&entry))).unwrap();
        assert_eq!((found.log_id, format!("{found:?}")), (entry.log_id, format!("{entry:?}")), "{name}");
    }
    let vote = StoredVote { term: 9, node: Some(2), committed: true };
    assert_eq!(decode::<StoredVote>(&check("vote", encode(&vote)), "vote").unwrap(), vote);
    assert_eq!(StoredVote::from(&Vote::from(vote)), vote);
    let at = At { term: 3, index: 300 };
    let head = CheckpointHead {
        vote: Some(vote),
        committed: Some(at),
        purged: None,
        state: Some(Head { applied: Some(at), members_at: Some(At { term: 1, index: 2 }), members: members() }),
    };
    assert_eq!(decode::<CheckpointHead>(&check("checkpoint_head", encode(&head)), "checkpoint").unwrap(), head);
    let committed = Some(at);
    assert_eq!(decode::<Option<At>>(&check("committed", encode(&committed)), "position").unwrap(), committed);
}

#[test]
fn damaged_bytes_are_an_error_and_never_a_panic() {
    for (_, entry) in entries() {
        let bytes = encode_entry(&entry);
        for n in 0..bytes.len() {
            assert!(decode_entry(&bytes[..n]).is_err());
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[n] ^= 1 << bit;
                // The journal's checksum is what finds these; here it is enough that they are something or nothing.
                let _ = decode_entry(&flipped);
            }
        }
    }
    assert!(matches!(decode::<u64>(&[2, 0], "position"), Err(FormatError::Newer(2))));
    assert!(
        decode_entry(&encode(&StoredEntry { at: At { term: 1, index: 1 }, payload: Payload::Members(Members { voters: vec![], all: [1].into() }) }))
            .is_err()
    );
}
