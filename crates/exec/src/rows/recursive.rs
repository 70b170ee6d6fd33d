//! WITH RECURSIVE.
//!
//! Owns:     the rows of the last round.
//! Promises: ends when a round brings nothing new, or with 3636 after `cte_max_recursion_depth` rounds.
//! Never:    shows a round more than the rows of the one before it.

use super::distinct::row_key;
use super::{BATCH_ROWS, BoxStream, Held, Lazy, Node, Row, Scope, Stream, collect, open};
use futures::future::BoxFuture;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use weald_types::{Fault, SqlType};

#[derive(Debug)]
pub struct Recursive {
    pub id: u32,
    pub seed: Arc<Node>,
    pub step: Arc<Node>,
    pub all: bool,
    pub types: Arc<[SqlType]>,
}

impl Recursive {
    pub fn open(&self, scope: &Scope) -> BoxStream {
        let (id, seed, step, all, types, scope) = (self.id, self.seed.clone(), self.step.clone(), self.all, self.types.clone(), scope.clone());
        Box::new(Lazy::new(run(id, seed, step, all, types, scope)))
    }
}

async fn run(id: u32, seed: Arc<Node>, step: Arc<Node>, all: bool, types: Arc<[SqlType]>, scope: Scope) -> Result<(Vec<Row>, Held), Fault> {
    let mut found = Found { held: Held::nothing(&scope), seen: if all { None } else { Some(HashSet::new()) }, types, out: Vec::new() };
    let (rows, _) = collect(&mut open(&seed, &scope), &scope).await?;
    let mut last = found.take(rows, &scope).await?;
    let mut rounds = 0;
    while !last.is_empty() {
        rounds += 1;
        if rounds > scope.execution.max_recursion {
            let message = format!("Recursive query aborted after {rounds} iterations. Try increasing @@cte_max_recursion_depth to a larger value.");
            return Err(Fault::mysql(3636, "HY000", message));
        }
        let mut inputs: HashMap<u32, Arc<Vec<Row>>> = HashMap::clone(&scope.recursion);
        inputs.insert(id, Arc::new(last));
        // Answers of subqueries may depend on the round: each round keeps its own.
        let round = Scope { recursion: Arc::new(inputs), constants: Arc::default(), ..scope.clone() };
        let (rows, _) = collect(&mut open(&step, &round), &scope).await?;
        last = found.take(rows, &scope).await?;
    }
    Ok((found.out, found.held))
}

/// The rows of all rounds.
struct Found {
    held: Held,
    /// Their keys, where equal rows count once.
    seen: Option<HashSet<Vec<u8>>>,
    types: Arc<[SqlType]>,
    out: Vec<Row>,
}

impl Found {
    /// Takes in one round's rows; gives those that are new.
    async fn take(&mut self, rows: Vec<Row>, scope: &Scope) -> Result<Vec<Row>, Fault> {
        let mut new = Vec::with_capacity(rows.len());
        let mut rows = rows.into_iter();
        while rows.len() > 0 {
            scope.piece().await?;
            let from = new.len();
            for row in rows.by_ref().take(BATCH_ROWS) {
                if let Some(seen) = &mut self.seen {
                    let key = row_key(&row, &self.types);
                    let bytes = 64 + key.len() as u64;
                    if !seen.insert(key) {
                        continue;
                    }
                    self.held.add(bytes)?;
                }
                new.push(row);
            }
            self.held.add_rows(&new[from..])?;
            self.out.extend_from_slice(&new[from..]);
        }
        Ok(new)
    }
}

/// The last round's rows, as the next one reads them: copied as they are asked for, since it may read them many times.
pub(crate) struct RoundStream {
    rows: Arc<Vec<Row>>,
    at: usize,
}

impl RoundStream {
    pub fn new(rows: Arc<Vec<Row>>) -> Self {
        Self { rows, at: 0 }
    }
}

impl Stream for RoundStream {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Vec<Row>>, Fault>> {
        let to = (self.at + BATCH_ROWS).min(self.rows.len());
        let batch = self.rows[self.at..to].to_vec();
        self.at = to;
        Box::pin(std::future::ready(Ok(if batch.is_empty() { None } else { Some(batch) })))
    }
}
