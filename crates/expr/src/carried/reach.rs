//! Where an expression may be evaluated.
//!
//! Owns:     nothing.
//! Promises: what may go to other nodes gives there what it would give here, under the facts that go with it.
//! Never:    looks at more than one expression: see [`Reach::OneNode`].

use crate::tree::Expr;
use crate::walk::for_each_child;
use std::sync::Arc;

/// How far from its session an expression may be evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// On any number of nodes at once.
    Anywhere,
    /// On another node, if that one evaluates it for all rows of the statement: what it leaves behind for the next row (`@a := …`, `LAST_INSERT_ID(expr)`) comes
    /// home when the node is done. In a statement that has such an expression, one that reads user variables is another such, though by itself it may
    /// go anywhere.
    OneNode,
    /// Only where the session is: what it asks for belongs to that server.
    AtHome,
}

pub fn reach(e: &Expr) -> Reach {
    let mut reach = match e {
        Expr::AssignUserVariable { .. } => Reach::OneNode,
        Expr::Call { function, args, .. } => of_function(function.name, args.is_empty()),
        // Made by whoever evaluates.
        Expr::InSorted { .. } => Reach::AtHome,
        Expr::Literal { .. }
        | Expr::Param { .. }
        | Expr::Column { .. }
        | Expr::ColumnRaw { .. }
        | Expr::UserVariable { .. }
        | Expr::Operator { .. }
        | Expr::Case { .. }
        | Expr::Cast { .. }
        | Expr::In { .. }
        | Expr::Subquery { .. }
        | Expr::Row(_) => Reach::Anywhere,
    };
    for_each_child(e, &mut |child| {
        if reach != Reach::AtHome {
            reach = reach.max(self::reach(child));
        }
    });
    reach
}

/// Whether it must be evaluated by the node that has the session.
pub fn must_stay(e: &Expr) -> bool {
    reach(e) == Reach::AtHome
}

fn of_function(name: &str, without_arguments: bool) -> Reach {
    match name {
        // Locks are between the sessions of one server.
        "GET_LOCK" | "IS_FREE_LOCK" | "IS_USED_LOCK" | "RELEASE_ALL_LOCKS" | "RELEASE_LOCK" => Reach::AtHome,
        // Its sessions' waits are counted and ended there; and it is to sleep once for a row, one row after the other.
        "SLEEP" => Reach::AtHome,
        // No number twice: each server counts by itself, and two may have started in the same second.
        "UUID" | "UUID_SHORT" => Reach::AtHome,
        // One sequence in a statement, from one seed.
        "RAND" => Reach::AtHome,
        // Beside NOW(), of the same clock.
        "SYSDATE" => Reach::AtHome,
        "LAST_INSERT_ID" if !without_arguments => Reach::OneNode,
        _ => Reach::Anywhere,
    }
}

/// Adds the names of the user variables that are read or assigned, each once.
pub fn variables(e: &Expr, into: &mut Vec<Arc<str>>) {
    if let Expr::UserVariable { name, .. } | Expr::AssignUserVariable { name, .. } = e
        && !into.contains(name)
    {
        into.push(name.clone());
    }
    for_each_child(e, &mut |child| variables(child, into));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::function::{self, Volatility};
    use weald_types::{SqlType, Value};

    fn call(name: &str, args: Vec<Expr>) -> Expr {
        let ty = SqlType::bigint(true);
        Expr::Call { function: function::lookup(name).unwrap(), args, collation: ty.collation, ty }
    }
    fn one() -> Expr {
        Expr::Literal { value: Value::Int(1), ty: SqlType::bigint(false) }
    }

    /// A function that gives another answer each time must have been thought of here.
    #[test]
    fn every_volatile_function_has_a_reach_of_its_own() {
        let anywhere = ["BENCHMARK", "RANDOM_BYTES"];
        for f in function::all().filter(|f| f.volatility == Volatility::Volatile) {
            let far = reach(&call(f.name, vec![one()])) == Reach::Anywhere;
            assert_eq!(far, anywhere.contains(&f.name), "{}", f.name);
        }
    }

    #[test]
    fn the_nearest_part_decides() {
        let assign = |value| Expr::AssignUserVariable { name: "a".into(), value: Box::new(value), ty: SqlType::bigint(true) };
        let read = Expr::UserVariable { name: "b".into(), ty: SqlType::bigint(true) };
        assert_eq!(reach(&read), Reach::Anywhere);
        assert_eq!(reach(&call("LAST_INSERT_ID", vec![])), Reach::Anywhere);
        assert_eq!(reach(&call("LAST_INSERT_ID", vec![one()])), Reach::OneNode);
        assert_eq!(reach(&Expr::Row(vec![read.clone(), assign(one())])), Reach::OneNode);
        let e = assign(call("ABS", vec![call("RAND", vec![])]));
        assert!(must_stay(&e));
        let mut names = Vec::new();
        variables(&Expr::Row(vec![e, read.clone(), read]), &mut names);
        assert_eq!(names, ["a".into(), "b".into()]);
    }
}
