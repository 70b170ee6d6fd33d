//! The bytes of an expression.
//!
//! Owns:     nothing.
//! Promises: reading is no recursion: however deep the bytes say it is, it takes no stack, and a tree higher than [`MAX_HEIGHT`] is an error, here as well as at
//!           who sends it. Nothing is allocated that the tree does not hold, but one stack of operands.
//! Never:    sends [`Expr::InSorted`], which belongs to one execution.
//!
//! A tree is a list of its nodes, operands before what they are operands of; a node says how many of those that lie there are its own. So the last one is
//! the root, and what is written first is what is evaluated first.

use crate::function;
use crate::tree::{Expr, Operator, SubqueryKind};
use crate::walk::for_each_child;
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::ser::{Error as _, SerializeSeq};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::sync::Arc;
use weald_types::{Collation, ColumnId, SqlType, Value};

/// Levels of a tree. The parser lets through 200, to each of which binding may add conversions; rewriting puts expressions into each other. So many are still
/// evaluated on the 8 MB of stack that a thread of a node has, in an unoptimised build too.
pub const MAX_HEIGHT: usize = 500;

/// A node without its operands.
#[derive(Serialize, Deserialize)]
enum Node<'a> {
    Literal {
        value: Cow<'a, Value>,
        ty: Cow<'a, SqlType>,
    },
    Param {
        index: u32,
        ty: Cow<'a, SqlType>,
    },
    Column {
        id: ColumnId,
        ty: Cow<'a, SqlType>,
    },
    ColumnRaw {
        id: ColumnId,
        ty: Cow<'a, SqlType>,
    },
    UserVariable {
        #[serde(borrow)]
        name: Cow<'a, str>,
        ty: Cow<'a, SqlType>,
    },
    AssignUserVariable {
        #[serde(borrow)]
        name: Cow<'a, str>,
        ty: Cow<'a, SqlType>,
    },
    Operator {
        op: Operator,
        args: u32,
        ty: Cow<'a, SqlType>,
        collation: Collation,
    },
    Call {
        #[serde(borrow)]
        function: Cow<'a, str>,
        args: u32,
        ty: Cow<'a, SqlType>,
        collation: Collation,
    },
    Case {
        operand: bool,
        branches: u32,
        otherwise: bool,
        ty: Cow<'a, SqlType>,
    },
    Cast {
        ty: Cow<'a, SqlType>,
    },
    In {
        list: u32,
        negated: bool,
        collation: Collation,
    },
    Subquery {
        index: u32,
        kind: Cow<'a, SubqueryKind>,
        operands: u32,
        outer: Cow<'a, [ColumnId]>,
        ty: Cow<'a, SqlType>,
    },
    Row {
        items: u32,
    },
}

impl Serialize for Expr {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut nodes = s.serialize_seq(Some(size(self)))?;
        put(self, 1, &mut nodes)?;
        nodes.end()
    }
}

/// How many nodes it has.
fn size(e: &Expr) -> usize {
    let mut n = 1;
    for_each_child(e, &mut |child| n += size(child));
    n
}

fn put<S: SerializeSeq>(e: &Expr, level: usize, out: &mut S) -> Result<(), S::Error> {
    if level > MAX_HEIGHT {
        return Err(S::Error::custom(TOO_HIGH));
    }
    let mut done = Ok(());
    for_each_child(e, &mut |child| {
        if done.is_ok() {
            done = put(child, level + 1, out);
        }
    });
    done?;
    match node_of(e) {
        Some(node) => out.serialize_element(&node),
        None => Err(S::Error::custom("a sorted list belongs to the execution that made it")),
    }
}

const TOO_HIGH: &str = "an expression is nested too deeply";

fn node_of(e: &Expr) -> Option<Node<'_>> {
    Some(match e {
        Expr::Literal { value, ty } => Node::Literal { value: Cow::Borrowed(value), ty: Cow::Borrowed(ty) },
        Expr::Param { index, ty } => Node::Param { index: *index, ty: Cow::Borrowed(ty) },
        Expr::Column { id, ty } => Node::Column { id: *id, ty: Cow::Borrowed(ty) },
        Expr::ColumnRaw { id, ty } => Node::ColumnRaw { id: *id, ty: Cow::Borrowed(ty) },
        Expr::UserVariable { name, ty } => Node::UserVariable { name: Cow::Borrowed(name), ty: Cow::Borrowed(ty) },
        Expr::AssignUserVariable { name, ty, value: _ } => Node::AssignUserVariable { name: Cow::Borrowed(name), ty: Cow::Borrowed(ty) },
        Expr::Operator { op, args, ty, collation } => {
            Node::Operator { op: *op, args: args.len() as u32, ty: Cow::Borrowed(ty), collation: *collation }
        }
        Expr::Call { function, args, ty, collation } => {
            Node::Call { function: Cow::Borrowed(function.name), args: args.len() as u32, ty: Cow::Borrowed(ty), collation: *collation }
        }
        Expr::Case { operand, branches, otherwise, ty } => {
            Node::Case { operand: operand.is_some(), branches: branches.len() as u32, otherwise: otherwise.is_some(), ty: Cow::Borrowed(ty) }
        }
        Expr::Cast { ty, expr: _ } => Node::Cast { ty: Cow::Borrowed(ty) },
        Expr::In { list, negated, collation, expr: _ } => Node::In { list: list.len() as u32, negated: *negated, collation: *collation },
        Expr::InSorted { .. } => return None,
        Expr::Subquery { index, kind, operands, outer, ty } => Node::Subquery {
            index: *index,
            kind: Cow::Borrowed(kind),
            operands: operands.len() as u32,
            outer: Cow::Borrowed(outer),
            ty: Cow::Borrowed(ty),
        },
        Expr::Row(items) => Node::Row { items: items.len() as u32 },
    })
}

impl<'de> Deserialize<'de> for Expr {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_seq(Nodes)
    }
}

struct Nodes;

impl<'de> Visitor<'de> for Nodes {
    type Value = Expr;
    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the nodes of an expression")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut nodes: A) -> Result<Expr, A::Error> {
        let mut waiting = Operands::default();
        let mut newest: Option<(Expr, usize)> = None;
        while let Some(node) = nodes.next_element::<Node<'de>>()? {
            if let Some((tree, height)) = newest.take() {
                waiting.trees.push(tree);
                waiting.heights.push(height);
            }
            newest = Some(waiting.under(node).map_err(A::Error::custom)?);
        }
        match newest {
            Some((root, _)) if waiting.trees.is_empty() => Ok(root),
            Some(_) => Err(A::Error::custom("operands of nothing")),
            None => Err(A::Error::custom("an expression without nodes")),
        }
    }
}

/// Trees that are operands of a node still to come, and their heights.
#[derive(Default)]
struct Operands {
    trees: Vec<Expr>,
    heights: Vec<usize>,
}

impl Operands {
    /// The last `n`, with the height of what stands on them.
    fn take(&mut self, n: u32) -> Result<(Vec<Expr>, usize), &'static str> {
        let from = self.trees.len().checked_sub(n as usize).ok_or("an operand is missing")?;
        let height = 1 + self.heights.drain(from..).max().unwrap_or(0);
        if height > MAX_HEIGHT { Err(TOO_HIGH) } else { Ok((self.trees.split_off(from), height)) }
    }
    /// The last one.
    fn take_one(&mut self) -> Result<(Box<Expr>, usize), &'static str> {
        let (Some(tree), Some(height)) = (self.trees.pop(), self.heights.pop()) else { return Err("an operand is missing") };
        if height >= MAX_HEIGHT { Err(TOO_HIGH) } else { Ok((Box::new(tree), height + 1)) }
    }

    /// The node over its operands, which are taken; and its height.
    fn under(&mut self, node: Node<'_>) -> Result<(Expr, usize), &'static str> {
        Ok(match node {
            Node::Literal { value, ty } => (Expr::Literal { value: value.into_owned(), ty: ty.into_owned() }, 1),
            Node::Param { index, ty } => (Expr::Param { index, ty: ty.into_owned() }, 1),
            Node::Column { id, ty } => (Expr::Column { id, ty: ty.into_owned() }, 1),
            Node::ColumnRaw { id, ty } => (Expr::ColumnRaw { id, ty: ty.into_owned() }, 1),
            Node::UserVariable { name, ty } => (Expr::UserVariable { name: Arc::from(name), ty: ty.into_owned() }, 1),
            Node::AssignUserVariable { name, ty } => {
                let (value, height) = self.take_one()?;
                (Expr::AssignUserVariable { name: Arc::from(name), value, ty: ty.into_owned() }, height)
            }
            Node::Operator { op, args, ty, collation } => {
                if !op.takes(args) {
                    return Err("an operator has not as many operands as it takes");
                }
                let (args, height) = self.take(args)?;
                (Expr::Operator { op, args, ty: ty.into_owned(), collation }, height)
            }
            Node::Call { function, args, ty, collation } => {
                let function = function::by_name(&function).ok_or("a function that is not known here")?;
                if (args as usize) < function.min_args || args as usize > function.max_args {
                    return Err("a function has not as many arguments as it takes");
                }
                let (args, height) = self.take(args)?;
                (Expr::Call { function, args, ty: ty.into_owned(), collation }, height)
            }
            Node::Case { operand, branches, otherwise, ty } => {
                let n = branches.checked_mul(2).and_then(|n| n.checked_add(operand as u32 + otherwise as u32)).ok_or("an operand is missing")?;
                let (parts, height) = self.take(n)?;
                let mut parts = parts.into_iter();
                let operand = if operand { parts.next().map(Box::new) } else { None };
                let mut pairs = Vec::with_capacity(branches as usize);
                for _ in 0..branches {
                    let (Some(when), Some(then)) = (parts.next(), parts.next()) else { return Err("an operand is missing") };
                    pairs.push((when, then));
                }
                (Expr::Case { operand, branches: pairs, otherwise: parts.next().map(Box::new), ty: ty.into_owned() }, height)
            }
            Node::Cast { ty } => {
                let (expr, height) = self.take_one()?;
                (Expr::Cast { expr, ty: ty.into_owned() }, height)
            }
            Node::In { list, negated, collation } => {
                let (list, of_list) = self.take(list)?;
                let (expr, of_expr) = self.take_one()?;
                (Expr::In { expr, list, negated, collation }, of_list.max(of_expr))
            }
            Node::Subquery { index, kind, operands, outer, ty } => {
                let (operands, height) = self.take(operands)?;
                (Expr::Subquery { index, kind: kind.into_owned(), operands, outer: outer.into_owned(), ty: ty.into_owned() }, height)
            }
            Node::Row { items } => {
                if items == 0 {
                    return Err("a row of nothing");
                }
                let (items, height) = self.take(items)?;
                (Expr::Row(items), height)
            }
        })
    }
}

#[cfg(test)]
mod tests;
