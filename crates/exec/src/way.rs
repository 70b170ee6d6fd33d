//! Which of a plan's ways to its rows is taken, now that the values are known; and which partition has to look for which key.
//!
//! Owns:     nothing.
//! Promises: every way gives the same answer. The one is taken that passes the fewest entries of an index, about.
//! Never:    looks at a row to find out: where a range begins and ends in an index says about how much lies between.

use crate::engine::{Engine, Places};
use crate::find::{self, Lookup};
use crate::fragment_read::number;
use std::ops::{Bound, Deref};
use weald_catalog::{Sharding, TableDef};
use weald_expr::{EvalContext, StatementContext, sorted_list};
use weald_plan::fragment::{Access, Action, Fragment, FragmentPlan};
use weald_plan::key_values::Keys;
use weald_types::key::{encode_shard_part, shard_hash};
use weald_types::{Fault, IndexId, Value};

/// A fragment that is about to run.
pub(crate) struct Way<'p> {
    pub fragment: Chosen<'p>,
    /// Positions, among the table's partitions, that it goes to.
    pub targets: Vec<usize>,
    keys: Keys,
    /// Where each key belongs to one partition.
    dealt: Option<Vec<Keys>>,
}

pub(crate) enum Route<'p> {
    Here(Way<'p>),
    /// Some of these positions among the table's partitions are on other nodes.
    Elsewhere(Vec<usize>),
}

/// A fragment of the plan, or what was made of one: a large thing that mostly is not there.
pub(crate) enum Chosen<'p> {
    Planned(&'p Fragment),
    Prepared(Box<Fragment>),
}

impl Deref for Chosen<'_> {
    type Target = Fragment;
    fn deref(&self) -> &Fragment {
        match self {
            Chosen::Planned(f) => f,
            Chosen::Prepared(f) => f,
        }
    }
}

impl Way<'_> {
    /// What the partition at this position among the table's has to look for.
    pub fn keys(&self, at: usize) -> &Keys {
        self.dealt.as_ref().and_then(|d| d.get(at)).unwrap_or(&self.keys)
    }
}

impl Engine {
    /// Where a plan's fragment goes; and by which way, if that is here.
    pub(crate) fn route<'p>(&self, plan: &'p FragmentPlan, places: &Places<'_>, ctx: &EvalContext<'_>) -> Result<Route<'p>, Fault> {
        let table = &*plan.fragment.table;
        let (mut keys, mut target) = (None, None);
        if plan.others.is_empty() {
            let found = find::keys(table, &plan.fragment.access, ctx)?;
            // One key that holds the shard key says where to go.
            if let Keys::Equal { index, keys: one } = &found
                && one.len() == 1
            {
                target = self.partition_of_index_key(table, *index, &one[0], places.len());
            }
            keys = Some(found);
        }
        let targets = target.map_or_else(|| self.targets(table, &plan.target, places.len(), ctx), |at| Ok(vec![at]))?;
        if !places.are_here(&targets) {
            return Ok(Route::Elsewhere(targets));
        }
        self.way(&plan.fragment, &plan.others, keys, places, targets, ctx).map(Route::Here)
    }

    /// The cheapest of some fragments that do the same, in these partitions, which are here. `keys`: of the first, if they are known.
    pub(crate) fn way<'p>(
        &self,
        first: &'p Fragment,
        others: &'p [Fragment],
        keys: Option<Keys>,
        places: &Places<'_>,
        targets: Vec<usize>,
        ctx: &EvalContext<'_>,
    ) -> Result<Way<'p>, Fault> {
        let (fragment, keys) = match keys {
            Some(keys) => (first, keys),
            None if others.is_empty() => (first, find::keys(&first.table, &first.access, ctx)?),
            None => self.cheapest(first, others, places, &targets, ctx)?,
        };
        let dealt = if targets.len() > 1 { self.dealt(&fragment.table, &keys, places.len()) } else { None };
        let prepared = fragment.filter.as_ref().and_then(|f| sorted_list::prepare(f, ctx));
        let fragment = match prepared {
            None => Chosen::Planned(fragment),
            Some(filter) => Chosen::Prepared(Box::new(Fragment { filter: Some(filter), ..fragment.clone() })),
        };
        Ok(Way { fragment, targets, keys, dealt })
    }

    /// `plan` without the ways that are not taken.
    pub fn settled(&self, plan: &FragmentPlan, statement: &StatementContext, params: &[Value]) -> Result<FragmentPlan, Fault> {
        if plan.others.is_empty() {
            return Ok(plan.clone());
        }
        let ctx = EvalContext { statement, params, subqueries: &[] };
        let places = self.places(&plan.fragment.table)?;
        let targets = self.targets(&plan.fragment.table, &plan.target, places.len(), &ctx)?;
        if !places.are_here(&targets) {
            // Each leaf chooses for itself.
            return Ok(plan.clone());
        }
        let fragment = self.cheapest(&plan.fragment, &plan.others, &places, &targets, &ctx)?.0.clone();
        Ok(FragmentPlan { fragment, others: Vec::new(), ..plan.clone() })
    }

    /// About how many entries the cheapest way passes. A limit that ends it early counts where it is known how many rows match: some way leaves nothing
    /// more to be asked of its rows.
    pub fn entries_passed(&self, plan: &FragmentPlan, statement: &StatementContext, params: &[Value]) -> Result<u64, Fault> {
        let ctx = EvalContext { statement, params, subqueries: &[] };
        let places = self.places(&plan.fragment.table)?;
        let targets = self.targets(&plan.fragment.table, &plan.target, places.len(), &ctx)?;
        if !places.are_here(&targets) {
            return Ok(self.entries_elsewhere(plan));
        }
        let mut ways = Vec::with_capacity(1 + plan.others.len());
        for f in std::iter::once(&plan.fragment).chain(&plan.others) {
            ways.push((f, entries(f, &find::keys(&f.table, &f.access, &ctx)?, &places, &targets)?));
        }
        let mut least = ways.iter().map(|w| w.1).min().unwrap_or(0);
        let Some(matching) = ways.iter().filter(|w| w.0.filter.is_none()).map(|w| w.1).min() else { return Ok(least) };
        for (f, entries) in ways {
            least = least.min(cost(f, entries, matching.max(1), targets.len(), &ctx)?);
        }
        Ok(least)
    }

    /// A guess by rules of thumb, where the indexes that would say more are on other nodes.
    fn entries_elsewhere(&self, plan: &FragmentPlan) -> u64 {
        let rows = self.size(&plan.fragment.table).0;
        let of = |f: &Fragment| match &f.access {
            Access::Full => rows,
            Access::Range { prefix, low, high, .. } if prefix.is_empty() && (matches!(low, Bound::Unbounded) || matches!(high, Bound::Unbounded)) => {
                rows / 3
            }
            Access::Range { .. } | Access::Ranges { .. } | Access::Like { .. } => rows / 100,
            Access::Point { .. } => 1,
            Access::Points { keys, .. } => keys.len() as u64,
        };
        std::iter::once(&plan.fragment).chain(&plan.others).map(of).min().unwrap_or(rows)
    }

    fn cheapest<'p>(
        &self,
        first: &'p Fragment,
        others: &'p [Fragment],
        places: &Places<'_>,
        targets: &[usize],
        ctx: &EvalContext<'_>,
    ) -> Result<(&'p Fragment, Keys), Fault> {
        let mut ways = Vec::with_capacity(1 + others.len());
        for f in std::iter::once(first).chain(others) {
            let keys = find::keys(&f.table, &f.access, ctx)?;
            ways.push((f, entries(f, &keys, places, targets)?, keys));
        }
        // No more rows match than the narrowest way finds, and where they lie in another index nothing is known of: evenly.
        let matching = ways.iter().map(|w| w.1).min().unwrap_or(0).max(1);
        let mut best = (u64::MAX, 0);
        for (i, (f, entries, _)) in ways.iter().enumerate() {
            let cost = cost(f, *entries, matching, targets.len(), ctx)?;
            if cost < best.0 {
                best = (cost, i);
            }
        }
        let (fragment, _, keys) = ways.swap_remove(best.1);
        Ok((fragment, keys))
    }

    /// The keys of each partition, where the index they are of holds the table's shard key.
    pub(crate) fn dealt(&self, table: &TableDef, keys: &Keys, partitions: usize) -> Option<Vec<Keys>> {
        let Keys::Equal { index, keys } = keys else { return None };
        let mut dealt: Vec<Vec<Vec<Value>>> = vec![Vec::new(); partitions];
        for key in keys {
            dealt[self.partition_of_index_key(table, *index, key, partitions)?].push(key.clone());
        }
        let of = |keys: Vec<Vec<Value>>| if keys.is_empty() { Keys::Nothing } else { Keys::Equal { index: *index, keys } };
        Some(dealt.into_iter().map(of).collect())
    }

    /// Where the rows of a key of an index are, if it holds the table's shard key.
    fn partition_of_index_key(&self, table: &TableDef, index: IndexId, key: &[Value], partitions: usize) -> Option<usize> {
        let Sharding::Hash { columns, .. } = &table.sharding else { return None };
        let parts = &table.indexes.iter().find(|i| i.id == index)?.parts;
        let mut encoded = Vec::with_capacity(16);
        for c in columns {
            let at = parts.iter().position(|p| p.column == *c && p.prefix.is_none())?;
            encode_shard_part(key.get(at)?, &table.columns[*c as usize].ty, &mut encoded);
        }
        Some((shard_hash(&encoded) % partitions.max(1) as u64) as usize)
    }
}

/// About how many entries a fragment passes in all partitions that it goes to. They are alike, so one is asked.
fn entries(f: &Fragment, keys: &Keys, places: &Places<'_>, targets: &[usize]) -> Result<u64, Fault> {
    let Some(first) = targets.first() else { return Ok(0) };
    let table = places.open(*first)?.1;
    let here = match find::lookup(table.schema(), keys) {
        Lookup::Rows(_, keys) => keys.len() as u64,
        Lookup::Cursors(cursors) => cursors.iter().map(|c| table.about(c)).sum(),
    };
    debug_assert_eq!(f.table.id, table.id());
    Ok(here.saturating_mul(targets.len() as u64))
}

/// About how many of its entries a fragment passes until it has enough of those that match, if they lie evenly.
fn cost(f: &Fragment, entries: u64, matching: u64, targets: usize, ctx: &EvalContext<'_>) -> Result<u64, Fault> {
    Ok(match wanted(f, ctx)? {
        Some(rows) => entries.saturating_mul(rows.saturating_mul(targets as u64).min(matching)) / matching,
        None => entries,
    })
}

/// After how many rows a fragment stops, if it does.
fn wanted(f: &Fragment, ctx: &EvalContext<'_>) -> Result<Option<u64>, Fault> {
    Ok(match &f.action {
        Action::Read { group, aggregates, distinct: false, sort, limit, offset, .. }
            if group.is_empty() && aggregates.is_empty() && sort.is_empty() =>
        {
            let offset = number(offset, ctx)?.unwrap_or(0);
            number(limit, ctx)?.map(|l| l.saturating_add(offset))
        }
        Action::Update { sort, limit, .. } | Action::Delete { sort, limit } if sort.is_empty() => number(limit, ctx)?,
        Action::Read { .. } | Action::Update { .. } | Action::Delete { .. } | Action::Insert { .. } => None,
    })
}
