//! What requests that run at the same time do to a branch.

use super::*;
use std::ops::ControlFlow;
use weald_catalog::table::{ColumnDef, DefaultValue, IndexDef, IndexPart, Sharding, TableOptions};
use weald_catalog::{TableDef, TableRef};
use weald_env::Env;
use weald_partition::{Cursor, KeyRange, MemoryLog, NodeMemory, Outcome, Partition};
use weald_types::{Collation, DatabaseId, Epoch, IndexId, SchemaVersion, SqlType, TableId, Value};

const TXN: TxnId = TxnId::new(1024);
const ME: NodeIdentity = NodeIdentity::new(1);

fn definition() -> TableRef {
    let id = ColumnDef {
        name: "id".into(),
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
        columns: vec![id],
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

struct Leaf {
    node: Arc<NodeContext>,
    partition: Arc<Partition>,
    branches: Branches,
}

impl Leaf {
    fn new() -> Self {
        let node = NodeContext::new(Env::simulated(1), Arc::new(MemoryLog::default()), NodeMemory::unlimited());
        let partition = Partition::new(PartitionId::of(DatabaseId::new(1), 0), Epoch::FIRST, node.clone());
        partition.create_table(definition());
        Self { node, partition, branches: Branches::default() }
    }
    /// A request that inserts a row.
    fn insert(&self, statement: u64, undo: Option<u64>, id: i64) -> Result<(), Fault> {
        let head = BranchHead { txn: TXN, read_committed: false, statement, undo, begins: statement == 1 };
        let (transaction, _snapshot) = self.branches.enter(&self.node, ME, head, self.node.clock.now(self.node.wall()))?;
        let table = self.partition.table(TableId::new(1), SchemaVersion::FIRST)?;
        let mut row = Vec::new();
        table.schema().layout().encode(&[Value::Int(id)], &mut row).expect("a row of one number");
        assert!(matches!(self.partition.insert(&transaction, &table, &row)?, Outcome::Done));
        Ok(())
    }
    fn rows(&self) -> Vec<i64> {
        let table = self.partition.current_table(TableId::new(1)).expect("made above");
        let mut found = Vec::new();
        let _ = table.scan_batch(&mut Cursor::rows(KeyRange::all()), self.node.snapshot().view(), 1000, &mut |r| {
            match table.schema().value(r.version, r.bytes, 0) {
                Value::Int(id) => found.push(id),
                other => panic!("{other:?}"),
            }
            ControlFlow::Continue(())
        });
        found
    }
}

#[tokio::test]
async fn requests_of_a_statement_that_runs_again_do_not_void_each_other() {
    let leaf = Leaf::new();
    leaf.insert(1, None, 1).expect("begins");
    leaf.insert(2, None, 2).expect("the statement that is taken back");
    // It runs again as number 4; two requests at the same time say so, and then a third.
    for id in [3, 4, 5] {
        leaf.insert(4, Some(2), id).expect("runs again");
    }
    assert!(matches!(leaf.branches.commit_one(TXN, None, Durability::Sync).await, Ok(Ended::At(_))));
    assert_eq!(leaf.rows(), [1, 3, 4, 5]);
}

#[tokio::test]
async fn what_is_taken_back_last_is_void_when_the_transaction_commits() {
    let leaf = Leaf::new();
    leaf.insert(1, None, 1).expect("begins");
    leaf.insert(2, None, 2).expect("goes on");
    assert!(matches!(leaf.branches.commit_one(TXN, Some(2), Durability::Sync).await, Ok(Ended::At(_))));
    assert_eq!(leaf.rows(), [1]);
}

#[tokio::test]
async fn branch_that_is_not_there_any_more_is_not_begun_anew_by_what_comes_later() {
    let leaf = Leaf::new();
    leaf.insert(1, None, 1).expect("begins");
    leaf.branches.end_of(|node| node == ME).await;
    assert!(leaf.insert(2, None, 2).is_err());
    assert!(leaf.branches.commit_one(TXN, None, Durability::Sync).await.is_err());
    assert_eq!(leaf.rows(), [0i64; 0]);
}

#[tokio::test]
async fn who_asks_about_an_undecided_transaction_ends_it_and_a_late_decision_finds_nothing() {
    let leaf = Leaf::new();
    let participants: Arc<[PartitionId]> = [leaf.partition.id()].into();
    leaf.insert(1, None, 1).expect("begins");
    let Ok(Ended::At(at)) = leaf.branches.prepare(&leaf.node, TXN, None, participants.clone()).await else { panic!("not prepared") };
    assert_eq!(leaf.branches.outcome(TXN).await, Ended::Aborted);
    assert!(matches!(leaf.branches.commit(&leaf.node, TXN, at, |_| true).await, Ok(Ended::Nothing)));
    assert_eq!(leaf.rows(), [0i64; 0]);
    // And one that was decided is remembered until it is forgotten.
    leaf.insert(1, None, 2).expect("begins");
    let Ok(Ended::At(at)) = leaf.branches.prepare(&leaf.node, TXN, None, participants).await else { panic!("not prepared") };
    assert!(matches!(leaf.branches.commit(&leaf.node, TXN, at, |_| true).await, Ok(Ended::At(_))));
    assert_eq!(leaf.branches.outcome(TXN).await, Ended::At(at));
    leaf.branches.forget(TXN);
    assert_eq!(leaf.branches.outcome(TXN).await, Ended::Aborted);
    assert_eq!(leaf.rows(), [2]);
}
