//! Expressions on the wire and back.
//!
//! Owns:     nothing.
//! Promises: every kind of node, damaged bytes, forged trees, the highest tree on the stack that it is allowed.
//! Never:    binds SQL: `plan/tests/carried.rs` does, with all of the golden scripts.

use super::*;
use crate::testing::{BIND, call_in, literal, statement, unlimited};
use crate::{NoRow, eval, sorted_list, typing};
use proptest::prelude::*;
use weald_types::{Decimal, TypeKind};

fn bytes(e: &Expr) -> Vec<u8> {
    postcard::to_stdvec(e).unwrap()
}
fn read(bytes: &[u8]) -> Option<Expr> {
    postcard::from_bytes(bytes).ok()
}

fn any_type() -> impl Strategy<Value = SqlType> {
    prop_oneof![
        any::<bool>().prop_map(SqlType::bigint),
        (1u32..300).prop_map(|n| SqlType::varchar(n, true, Collation::UTF8MB4_0900_AI_CI)),
        Just(SqlType::string(TypeKind::Enum(["a".into(), "bc".into()].into()), false, Collation::UTF8MB4_GENERAL_CI)),
        (0u8..=6).prop_map(|fsp| SqlType::new(TypeKind::Timestamp { fsp }, true)),
    ]
}
fn any_literal() -> impl Strategy<Value = Expr> {
    prop_oneof![
        any::<i64>().prop_map(Value::Int),
        (any::<i64>(), 0u8..10).prop_map(|(n, scale)| Value::Decimal(Decimal::new(n as i128, scale))),
        ".{0,12}".prop_map(Value::str),
        Just(Value::Null)
    ]
    .prop_map(|v| literal(&v))
}
fn any_expr() -> impl Strategy<Value = Expr> {
    let id = || any::<u32>().prop_map(ColumnId::new);
    let leaf = prop_oneof![
        any_literal(),
        (any::<u32>(), any_type()).prop_map(|(index, ty)| Expr::Param { index, ty }),
        (id(), any_type()).prop_map(|(id, ty)| Expr::Column { id, ty }),
        (id(), any_type()).prop_map(|(id, ty)| Expr::ColumnRaw { id, ty }),
        ("[a-z]{1,5}", any_type()).prop_map(|(name, ty)| Expr::UserVariable { name: name.as_str().into(), ty }),
    ];
    leaf.prop_recursive(6, 60, 6, move |inner| {
        let collation = Collation::UTF8MB4_GENERAL_CI;
        let boxed = inner.clone().prop_map(Box::new).boxed();
        let optional = || prop::option::of(boxed.clone());
        let list = |n| prop::collection::vec(inner.clone(), n);
        let operators = [Operator::Add, Operator::And, Operator::Eq, Operator::Like, Operator::Mod];
        let kinds = [
            SubqueryKind::Scalar,
            SubqueryKind::Exists { negated: true },
            SubqueryKind::In { negated: false, collation },
            SubqueryKind::Quantified { op: Operator::Lt, all: true, collation },
        ];
        prop_oneof![
            (list(2..3), any_type(), prop::sample::select(operators.to_vec())).prop_map(move |(args, ty, op)| Expr::Operator {
                op,
                args,
                ty,
                collation
            }),
            (list(3..4), any_type()).prop_map(move |(args, ty)| Expr::Operator { op: Operator::Between, args, ty, collation }),
            (list(1..2), any_type()).prop_map(move |(args, ty)| Expr::Operator { op: Operator::Not, args, ty, collation }),
            (list(2..6), any_type()).prop_map(move |(args, ty)| Expr::Call { function: function::lookup("CONCAT").unwrap(), args, ty, collation }),
            (list(1..2), any_type()).prop_map(move |(args, ty)| Expr::Call { function: &function::COLLATE, args, ty, collation }),
            (optional(), prop::collection::vec((inner.clone(), inner.clone()), 0..4), optional(), any_type())
                .prop_map(|(operand, branches, otherwise, ty)| Expr::Case { operand, branches, otherwise, ty }),
            (boxed.clone(), any_type()).prop_map(|(expr, ty)| Expr::Cast { expr, ty }),
            (boxed.clone(), any_type()).prop_map(|(value, ty)| Expr::AssignUserVariable { name: "v".into(), value, ty }),
            (boxed.clone(), list(0..5), any::<bool>()).prop_map(move |(expr, list, negated)| Expr::In { expr, list, negated, collation }),
            (list(0..3), any_type(), prop::sample::select(kinds.to_vec()), prop::collection::vec(any::<u32>().prop_map(ColumnId::new), 0..3))
                .prop_map(|(operands, ty, kind, outer)| Expr::Subquery { index: 3, kind, operands, outer, ty }),
            list(1..4).prop_map(Expr::Row),
        ]
    })
}

proptest! {
    #[test]
    fn expressions_read_back(e in any_expr()) {
        let whole = bytes(&e);
        prop_assert_eq!(read(&whole), Some(e));
        for end in 0..whole.len() {
            prop_assert_eq!(read(&whole[..end]), None);
        }
    }

    #[test]
    fn damaged_bytes_are_errors_or_other_expressions(e in any_expr(), at in any::<prop::sample::Index>(), other in any::<u8>(), garbage in any::<Vec<u8>>()) {
        let mut whole = bytes(&e);
        let at = at.index(whole.len());
        whole[at] = other;
        for bytes in [&whole, &garbage] {
            if let Some(e) = read(bytes) {
                let _ = (e.ty(), crate::print::text(&e), postcard::to_stdvec(&e).unwrap());
            }
        }
    }
}

fn nested(levels: usize) -> Expr {
    (1..levels).fold(literal(&Value::Int(1)), |e, _| Expr::Operator {
        op: Operator::Not,
        args: vec![e],
        ty: SqlType::bigint(true),
        collation: Collation::BINARY,
    })
}

#[test]
fn a_tree_that_is_too_high_goes_nowhere() {
    let most = bytes(&nested(MAX_HEIGHT));
    assert!(read(&most).is_some());
    assert!(postcard::to_stdvec(&nested(MAX_HEIGHT + 1)).is_err());
    // Whoever says so all the same is not believed; and a hundred thousand levels take no stack.
    let ty = SqlType::bigint(true);
    let leaf = Node::Literal { value: Cow::Owned(Value::Null), ty: Cow::Borrowed(&ty) };
    let forged: Vec<Node<'_>> = std::iter::once(leaf).chain((0..100_000).map(|_| Node::Cast { ty: Cow::Borrowed(&ty) })).collect();
    assert_eq!(read(&postcard::to_stdvec(&forged).unwrap()), None);
    assert!(read(&postcard::to_stdvec(&forged[..MAX_HEIGHT]).unwrap()).is_some());
}

/// What MAX_HEIGHT promises, in an unoptimised build.
#[test]
#[allow(clippy::disallowed_methods)]
fn the_highest_tree_is_evaluated_on_a_thread_s_stack() {
    let work = || {
        let e = read(&bytes(&nested(MAX_HEIGHT))).unwrap();
        let sum = (1..MAX_HEIGHT).fold(literal(&Value::Int(1)), |e, _| Expr::Operator {
            op: Operator::Add,
            args: vec![e, literal(&Value::Int(1))],
            ty: SqlType::bigint(true),
            collation: Collation::BINARY,
        });
        let sum = read(&bytes(&sum)).unwrap();
        let s = unlimited();
        (eval(&e, &NoRow, &statement(&s)), eval(&sum.clone(), &NoRow, &statement(&s)))
    };
    let done = std::thread::Builder::new().stack_size(8 << 20).spawn(work).unwrap().join().unwrap();
    assert_eq!(done, (Ok(Value::Int(0)), Ok(Value::Int(MAX_HEIGHT as i64))));
}

#[test]
fn forged_nodes_are_refused() {
    let ty = || Cow::Owned(SqlType::bigint(true));
    let leaf = || Node::Literal { value: Cow::Owned(Value::Null), ty: ty() };
    let call = |function, args| Node::Call { function: Cow::Borrowed(function), args, ty: ty(), collation: Collation::BINARY };
    let operator = |op, args| Node::Operator { op, args, ty: ty(), collation: Collation::BINARY };
    let refused = |nodes: Vec<Node<'_>>| assert_eq!(read(&postcard::to_stdvec(&nodes).unwrap()), None);
    refused(vec![]);
    refused(vec![leaf(), leaf()]);
    refused(vec![leaf(), call("NO_SUCH_FUNCTION", 1)]);
    refused(vec![leaf(), call("NULLIF", 1)]);
    refused(vec![leaf(), call("ABS", 2)]);
    refused(vec![leaf(), leaf(), leaf(), operator(Operator::Add, 3)]);
    refused(vec![leaf(), operator(Operator::Add, 2)]);
    refused(vec![Node::Row { items: 0 }]);
    refused(vec![leaf(), Node::In { list: u32::MAX, negated: false, collation: Collation::BINARY }]);
    refused(vec![leaf(), Node::Case { operand: true, branches: u32::MAX, otherwise: true, ty: ty() }]);
    refused(vec![Node::Cast { ty: ty() }]);
}

#[test]
fn every_function_is_found_by_its_name() {
    for f in function::all().chain([&function::CONSTANT_DOUBLE, &function::CONSTANT_YEAR, &function::CONSTANT_DATETIME, &function::COLLATE]) {
        assert!(std::ptr::eq(function::by_name(f.name).unwrap(), f) || function::by_name(f.name) == Some(f), "{}", f.name);
    }
    // What is bound passes the counting of its arguments.
    let s = unlimited();
    let e = function::bind_call("CONCAT_WS", ["-", "a", "b"].map(|t| literal(&Value::str(t))).to_vec(), &BIND).unwrap();
    let e = read(&bytes(&e)).unwrap();
    assert_eq!(eval(&e, &NoRow, &statement(&s)), call_in(&s, "CONCAT_WS", &["-", "a", "b"].map(Value::str)));
}

#[test]
fn a_sorted_list_is_not_sent() {
    let s = unlimited();
    let list = (0..40).map(|n| literal(&Value::Int(n))).collect();
    let e = Expr::In { expr: Box::new(literal(&Value::Int(7))), list, negated: false, collation: Collation::BINARY };
    let sorted = sorted_list::prepare(&e, &statement(&s)).unwrap();
    assert!(postcard::to_stdvec(&sorted).is_err());
    assert!(postcard::to_stdvec(&Expr::Row(vec![sorted])).is_err());
    assert_eq!(read(&bytes(&e)), Some(e));
}

#[test]
fn a_comparison_with_a_parameter_is_short() {
    let column = Expr::Column { id: ColumnId::new(0), ty: SqlType::bigint(false) };
    let param = Expr::Param { index: 0, ty: SqlType::bigint(false) };
    let e = typing::operator(Operator::Eq, vec![column, param], &BIND).unwrap();
    assert!(bytes(&e).len() <= 30, "{:?}", bytes(&e));
}
