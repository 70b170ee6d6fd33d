//! WITH RECURSIVE.
//!
//! Owns:     the rows of the last round.
//! Promises: ends when a round brings nothing new, or with 3636 after `cte_max_recursion_depth` rounds.
//! Never:    shows a round more than the rows of the one before it.

use super::distinct::row_key;
use super::{BoxStream, Held, Lazy, Node, Row, Scope, collect, open};
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
    let mut held = Held::nothing(&scope);
    let mut seen: HashSet<Vec<u8>> = HashSet::new();
    let mut fresh = |rows: Vec<Row>, held: &mut Held| -> Result<Vec<Row>, Fault> {
        if all {
            return Ok(rows);
        }
        let mut kept = Vec::with_capacity(rows.len());
        for row in rows {
            let key = row_key(&row, &types);
            let bytes = 64 + key.len() as u64;
            if seen.insert(key) {
                held.add(bytes)?;
                kept.push(row);
            }
        }
        Ok(kept)
    };
    let (rows, _) = collect(&mut open(&seed, &scope), &scope).await?;
    let mut last = fresh(rows, &mut held)?;
    held.add_rows(&last)?;
    let mut out = last.clone();
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
        last = fresh(rows, &mut held)?;
        held.add_rows(&last)?;
        out.extend(last.iter().cloned());
    }
    Ok((out, held))
}
