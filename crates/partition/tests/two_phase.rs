//! A promise survives a restart at every place in the log, and ends as it is told.
//!
//! Owns:     a model of what must be seen after the log was cut behind each of its records.
//! Promises: a committed transaction is whole in every partition that has the decision, in doubt where it has only the promise, nothing before.
//! Never:    a real disk: records are what they are.

#![allow(clippy::unwrap_used)]

use std::ops::ControlFlow;
use std::sync::Arc;
use weald_catalog::table::{ColumnDef, DefaultValue, IndexDef, IndexPart, Sharding, TableOptions};
use weald_catalog::{TableDef, TableRef};
use weald_env::Env;
use weald_partition::{
    Cursor, Durability, KeyRange, MemoryLog, NodeContext, NodeMemory, Outcome, Partition, RowHandle, Transaction, Unfinished, scan,
};
use weald_txn::Isolation;
use weald_types::{Collation, DatabaseId, Epoch, IndexId, Lsn, PartitionId, SchemaVersion, SqlType, TableId, Timestamp, TxnId, Value};

fn definition() -> TableRef {
    let column = |name: &str| ColumnDef {
        name: name.into(),
        ty: SqlType::bigint(false),
        default: DefaultValue::None,
        on_update_now: false,
        auto_increment: false,
        invisible: false,
        comment: "".into(),
        generated: None,
    };
    let primary = IndexDef {
        id: IndexId::new(0),
        name: "PRIMARY".into(),
        unique: true,
        parts: vec![IndexPart { column: 0, prefix: None, descending: false }],
        hash: false,
        comment: "".into(),
        invisible: false,
        ready: true,
    };
    Arc::new(TableDef {
        id: TableId::new(1),
        database: DatabaseId::new(1),
        database_name: "d".into(),
        name: "t".into(),
        version: SchemaVersion::FIRST,
        columns: vec![column("id"), column("v")],
        indexes: vec![primary],
        primary_key: true,
        sharding: Sharding::Hash { columns: vec![0], declared: false },
        collation: Collation::UTF8MB4_GENERAL_CI,
        comment: "".into(),
        checks: Vec::new(),
        auto_increment_start: 1,
        options: TableOptions::default(),
        created: 0,
        layouts: Vec::new(),
    })
}

/// A node with two partitions.
struct Node {
    context: Arc<NodeContext>,
    log: Arc<MemoryLog>,
    partitions: Vec<Arc<Partition>>,
}

const TXN: TxnId = TxnId::new(77);

impl Node {
    fn new() -> Self {
        let log = Arc::new(MemoryLog::default());
        let context = NodeContext::new(Env::simulated(1), log.clone(), NodeMemory::unlimited());
        let partition = |n| {
            let p = Partition::new(PartitionId::of(DatabaseId::new(1), n), Epoch::FIRST, context.clone());
            p.create_table(definition());
            p
        };
        Self { partitions: (0..2).map(partition).collect(), context, log }
    }
    fn ids(&self) -> Arc<[PartitionId]> {
        self.partitions.iter().map(|p| p.id()).collect()
    }
    fn put(&self, by: &Transaction, at: usize, id: i64, v: i64) {
        let p = &self.partitions[at];
        let t = p.table(TableId::new(1), SchemaVersion::FIRST).unwrap();
        let mut bytes = Vec::new();
        t.schema().layout().encode(&[Value::Int(id), Value::Int(v)], &mut bytes).unwrap();
        match p.insert(by, &t, &bytes).unwrap() {
            Outcome::Done => (),
            Outcome::Duplicate(d) => assert!(matches!(p.update(by, &t, &d.row, &bytes).unwrap(), Outcome::Done)),
            other => panic!("{other:?}"),
        }
    }
    fn delete(&self, by: &Transaction, at: usize, id: i64) {
        let p = &self.partitions[at];
        let t = p.table(TableId::new(1), SchemaVersion::FIRST).unwrap();
        let mut key = Vec::new();
        t.schema().index(IndexId::new(0)).unwrap().encoder().encode(&[Value::Int(id)], &mut key);
        assert!(matches!(p.delete(by, &t, &RowHandle::new(&key)).unwrap(), Outcome::Done));
    }
    /// (id, v) of a partition; with an older time than any promise, so that nobody is waited for.
    async fn rows(&self, at: usize, time: Option<Timestamp>) -> Vec<(i64, i64)> {
        let t = self.partitions[at].table(TableId::new(1), SchemaVersion::FIRST).unwrap();
        let snapshot = time.map_or_else(|| self.context.snapshot(), |at| self.context.snapshot_at(at).unwrap());
        let mut found = Vec::new();
        scan(&t, &mut Cursor::rows(KeyRange::all()), &snapshot, &mut |r| {
            match t.schema().values(r.version, r.bytes)[..] {
                [Value::Int(id), Value::Int(v)] => found.push((id, v)),
                ref other => panic!("{other:?}"),
            }
            ControlFlow::Continue(())
        })
        .await
        .unwrap();
        found
    }
    /// What a restart makes of the first `n` records of each partition.
    fn restarted(&self, n: [usize; 2]) -> (Node, Vec<(Arc<Partition>, weald_partition::InDoubt)>, usize) {
        let new = Node::new();
        let (mut in_doubt, mut decided) = (Vec::new(), 0);
        for (at, p) in new.partitions.iter().enumerate() {
            let mut unfinished = Unfinished::default();
            p.begin_restore();
            for record in self.log.records(p.id()).iter().take(n[at]) {
                if let Some(at) = p.replay(record, &mut unfinished).unwrap() {
                    new.context.clock.restore(at);
                }
            }
            p.restored();
            let (doubts, decisions) = unfinished.take_two_phase(Lsn::ZERO);
            in_doubt.extend(doubts.into_iter().map(|d| (p.clone(), d)));
            decided += decisions.len();
        }
        (new, in_doubt, decided)
    }
}

const OLD: [&[(i64, i64)]; 2] = [&[(1, 10), (2, 20)], &[(3, 30)]];
const NEW: [&[(i64, i64)]; 2] = [&[(1, 11)], &[(3, 31), (4, 40)]];

/// A node with the old rows, and a transaction that makes the new ones of them, promised.
async fn promised(parts: bool) -> (Node, Transaction, Timestamp) {
    let node = Node::new();
    let t = Transaction::begin(&node.context, TxnId::new(1), Isolation::RepeatableRead);
    for (at, rows) in OLD.iter().enumerate() {
        rows.iter().for_each(|(id, v)| node.put(&t, at, *id, *v));
    }
    t.commit(Durability::Sync).await.unwrap();
    let t = Transaction::begin(&node.context, TXN, Isolation::RepeatableRead);
    if parts {
        // Every change is a part of its own.
        node.context.part_bytes.store(1, std::sync::atomic::Ordering::Relaxed);
    }
    node.put(&t, 0, 1, 11);
    t.log_ahead().await.unwrap();
    node.delete(&t, 0, 2);
    t.log_ahead().await.unwrap();
    node.put(&t, 1, 3, 31);
    node.put(&t, 1, 4, 40);
    assert_eq!(t.participants(), node.ids().to_vec());
    let at = t.prepare(&node.ids()).await.unwrap();
    (node, t, at)
}

async fn expect(node: &Node, rows: [&[(i64, i64)]; 2], when: &str) {
    for (at, rows) in rows.iter().enumerate() {
        assert_eq!(node.rows(at, None).await, *rows, "partition {at}, {when}");
    }
}

#[tokio::test]
async fn promise_is_neither_seen_nor_passed_by_until_it_is_decided() {
    for commits in [true, false] {
        let (node, t, at) = promised(false).await;
        let before = Timestamp::new(at.raw() - 1);
        assert_eq!(node.rows(0, Some(before)).await, OLD[0]);
        // A reader at the promise's time waits.
        let reading = node.rows(0, Some(at));
        let mut reading = std::pin::pin!(reading);
        assert!(futures::poll!(&mut reading).is_pending());
        if commits {
            let _remembered = t.commit_prepared(at).await.unwrap();
            assert_eq!(reading.await, NEW[0]);
            expect(&node, NEW, "committed").await;
        } else {
            t.abort_prepared();
            assert_eq!(reading.await, OLD[0]);
            expect(&node, OLD, "rolled back").await;
        }
    }
}

#[tokio::test]
async fn every_cut_of_the_log_recovers_to_what_was_promised_and_decided() {
    for parts in [false, true] {
        for commits in [true, false] {
            let (node, t, at) = promised(parts).await;
            let before_end = [0, 1].map(|p| node.log.records(node.partitions[p].id()).len());
            let later = Timestamp::new(at.raw() + 1000);
            if commits {
                let _remembered = t.commit_prepared(later).await.unwrap();
            } else {
                t.abort_prepared();
            }
            let all = [0, 1].map(|p| node.log.records(node.partitions[p].id()).len());
            assert_eq!(all, before_end.map(|n| n + 1));
            // Partitions of two nodes are cut apart from each other.
            for first in 1..=all[0] {
                for second in 1..=all[1] {
                    let (new, in_doubt, decided) = node.restarted([first, second]);
                    let cut = [first, second];
                    let has_promise = [0, 1].map(|p| cut[p] == before_end[p]);
                    let has_end = [0, 1].map(|p| cut[p] == all[p]);
                    assert_eq!(in_doubt.len(), has_promise.iter().filter(|b| **b).count(), "{cut:?}");
                    assert_eq!(decided, if commits { has_end.iter().filter(|b| **b).count() } else { 0 });
                    let doubts = in_doubt.len();
                    if doubts > 0 {
                        let again = Transaction::restore(&new.context, TXN, &in_doubt).unwrap();
                        assert_eq!(again.prepared_at(), Some(at));
                        if commits {
                            let _remembered = again.commit_prepared(later).await.unwrap();
                        } else {
                            again.abort_prepared();
                        }
                    }
                    for p in 0..2 {
                        let made = commits && (has_promise[p] || has_end[p]);
                        assert_eq!(new.rows(p, None).await, if made { NEW[p] } else { OLD[p] }, "partition {p}, cut {cut:?}, commits {commits}");
                    }
                    // And once more: what was ended after the restart stays ended.
                    if doubts > 0 {
                        let mut logs = Node::new();
                        logs.log = Arc::default();
                        for (p, kept) in new.partitions.iter().zip(cut) {
                            let id = p.id();
                            let records = node.log.records(id).into_iter().take(kept).chain(new.log.records(id));
                            for record in records {
                                let _ticket = weald_partition::CommitLog::append(&*logs.log, &[(id, &record)], Durability::Sync).unwrap();
                            }
                        }
                        let (third, in_doubt, _) = logs.restarted([usize::MAX, usize::MAX]);
                        assert!(in_doubt.is_empty());
                        for p in 0..2 {
                            assert_eq!(third.rows(p, None).await, new.rows(p, None).await);
                        }
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn rows_in_doubt_are_locked_after_a_restart() {
    let (node, t, at) = promised(false).await;
    std::mem::forget(t);
    let (new, in_doubt, _) = node.restarted([usize::MAX, usize::MAX]);
    let again = Transaction::restore(&new.context, TXN, &in_doubt).unwrap();
    let other = Transaction::begin(&new.context, TxnId::new(5), Isolation::ReadCommitted);
    let p = &new.partitions[1];
    let t = p.table(TableId::new(1), SchemaVersion::FIRST).unwrap();
    let mut bytes = Vec::new();
    t.schema().layout().encode(&[Value::Int(4), Value::Int(1)], &mut bytes).unwrap();
    let Outcome::Wait(wait) = p.insert(&other, &t, &bytes).unwrap() else { panic!("the key is not held") };
    again.abort_prepared();
    wait.wait(std::time::Duration::from_secs(5), std::future::pending()).await.1.unwrap();
    assert!(matches!(p.insert(&other, &t, &bytes).unwrap(), Outcome::Done));
    // A snapshot that is filed while something is in doubt lies before its promise.
    assert!(at > Timestamp::ZERO);
}
