//! A statement that evaluates on another node, with what it takes there and what it brings home.
//!
//! Owns:     nothing.
//! Promises: each test goes through the bytes.
//! Never:    opens a connection.

use super::*;
use crate::carried::{StatementEffects, variables};
use crate::testing::{BIND, in_session, literal, shown, statement, unlimited};
use crate::{Expr, NoRow, eval, function, time_zone};
use serde::de::DeserializeOwned;
use weald_types::WarningLevel;

fn over<T: Serialize + DeserializeOwned>(v: &T) -> T {
    postcard::from_bytes(&postcard::to_stdvec(v).unwrap()).unwrap()
}

fn here() -> Here {
    Here {
        wall_clock_micros: || 5,
        pause: |_, _| (),
        aside: |work| work(),
        server: Arc::default(),
        interrupted: Arc::default(),
        memory: NodeMemory::unlimited(),
    }
}

/// The same statement on another node, with what `e` needs.
fn elsewhere(s: &StatementContext, e: &Expr) -> StatementContext {
    let facts = over(&CarriedFacts::of(&s.session));
    assert_eq!(facts, CarriedFacts::of(&s.session));
    let mut names = Vec::new();
    variables(e, &mut names);
    let session = Arc::new(facts.session(&here()));
    over(&CarriedStatement::of(s, &names)).context(&session, Budget::new(NodeMemory::unlimited(), u64::MAX)).unwrap()
}

fn call(name: &str, args: Vec<Expr>) -> Expr {
    function::bind_call(name, args, &BIND).unwrap()
}
fn variable(name: &str) -> Expr {
    Expr::UserVariable { name: name.into(), ty: SqlType::bigint(true) }
}
fn assign(name: &str, value: Expr) -> Expr {
    Expr::AssignUserVariable { name: name.into(), value: Box::new(value), ty: SqlType::bigint(true) }
}

#[test]
fn what_depends_on_the_session_is_the_same_elsewhere() {
    let mut s = in_session(|s| {
        s.time_zone = time_zone::parse("Europe/Vienna").unwrap();
        s.connection_id = 77;
        s.database = Some("db".into());
        s.user = "u@h".into();
        s.current_user = "u@%".into();
        s.version = "8.0".into();
        s.div_precision_increment = 7;
        s.default_week_format = 3;
        s.encryption_mode = EncryptionMode::parse("aes-256-ecb").unwrap();
    });
    (s.last_insert_id, s.row_count, s.found_rows) = (11, -1, 12);
    s.user_variables.set("a".into(), Value::Int(42), SqlType::bigint(true)).unwrap();
    let text = |t: &str| literal(&Value::str(t));
    let day = || text("2024-01-01");
    let mut exprs: Vec<Expr> =
        ["NOW", "CURTIME", "UNIX_TIMESTAMP", "CONNECTION_ID", "DATABASE", "USER", "CURRENT_USER", "VERSION"].map(|f| call(f, vec![])).into();
    exprs.extend(["LAST_INSERT_ID", "ROW_COUNT", "FOUND_ROWS"].map(|f| call(f, vec![])));
    exprs.extend([call("WEEK", vec![day()]), call("UNIX_TIMESTAMP", vec![day()]), call("AES_ENCRYPT", vec![text("t"), text("k")])]);
    exprs.extend([variable("a"), variable("never set")]);
    for e in exprs {
        let there = elsewhere(&s, &e);
        let e_there: Expr = over(&e);
        let (here, there) = (eval(&e, &NoRow, &statement(&s)), eval(&e_there, &NoRow, &statement(&there)));
        assert!(here.is_ok());
        assert_eq!(shown(there), shown(here), "{e:?}");
    }
}

/// All warnings, and those that are kept.
fn counted(s: &StatementContext) -> (u64, usize) {
    let w = s.warnings.lock();
    (w.total, w.kept.len())
}

#[test]
fn effects_come_home() {
    let s = unlimited();
    s.user_variables.set("a".into(), Value::Int(1), SqlType::bigint(true)).unwrap();
    s.user_variables.set("b".into(), Value::Int(2), SqlType::bigint(true)).unwrap();
    let e = Expr::Row(vec![variable("b"), assign("a", literal(&Value::Int(9)))]);
    let there = elsewhere(&s, &e);
    eval(&assign("a", literal(&Value::Int(9))), &NoRow, &statement(&there)).unwrap();
    eval(&call("LAST_INSERT_ID", vec![literal(&Value::Int(5))]), &NoRow, &statement(&there)).unwrap();
    there.warn(WarningLevel::Warning, Fault::DivisionByZero);
    there.cost.rows_examined.fetch_add(3, std::sync::atomic::Ordering::Relaxed);
    // Nobody else of the session sees it before.
    assert_eq!(s.user_variables.get("a").unwrap().0, Value::Int(1));
    let effects = over(&StatementEffects::of(&there));
    assert_eq!(effects.variables, [("a".into(), Value::Int(9), SqlType::bigint(true))]);
    assert!(StatementEffects::of(&there).is_nothing());
    effects.merge_into(&s).unwrap();
    assert_eq!(s.user_variables.get("a").unwrap().0, Value::Int(9));
    assert_eq!(*s.set_last_insert_id.lock(), Some(5));
    assert_eq!(counted(&s), (1, 1));
    assert_eq!(s.cost.rows_examined.load(std::sync::atomic::Ordering::Relaxed), 3);
}

#[test]
fn all_warnings_are_counted_and_the_first_are_kept() {
    let s = unlimited();
    s.warnings.lock().limit = 3;
    s.warn(WarningLevel::Warning, Fault::DivisionByZero);
    for _ in 0..2 {
        let there = elsewhere(&s, &variable("a"));
        for _ in 0..5 {
            there.warn(WarningLevel::Warning, Fault::SubqueryRows);
        }
        let effects = over(&StatementEffects::of(&there));
        assert!(effects.warnings.len() <= 2);
        effects.merge_into(&s).unwrap();
    }
    assert_eq!(counted(&s), (11, 3));
    s.warnings.lock().without_notes = true;
    let there = elsewhere(&s, &variable("a"));
    there.warn(WarningLevel::Note, Fault::SubqueryRows);
    assert!(StatementEffects::of(&there).is_nothing());
}

#[test]
fn a_constant_is_warned_of_once_however_many_nodes_compare_with_it() {
    let s = unlimited();
    let number = |text: &str| Expr::Call {
        function: &function::CONSTANT_DOUBLE,
        args: vec![literal(&Value::str(text))],
        ty: SqlType::double(true),
        collation: Collation::BINARY,
    };
    let date = Expr::Call {
        function: &function::CONSTANT_DATETIME,
        args: vec![literal(&Value::str("2024-01-01 x"))],
        ty: SqlType::new(weald_types::TypeKind::DateTime { fsp: 6 }, true),
        collation: Collation::BINARY,
    };
    for _ in 0..3 {
        let there = elsewhere(&s, &variable("a"));
        for e in [&number("1x"), &number("1x"), &number("2x"), &date] {
            eval(e, &NoRow, &statement(&there)).unwrap();
        }
        there.warn(WarningLevel::Warning, Fault::DivisionByZero);
        over(&StatementEffects::of(&there)).merge_into(&s).unwrap();
    }
    let w = s.warnings.lock();
    let divisions = w.kept.iter().filter(|w| w.fault == Fault::DivisionByZero).count();
    assert_eq!((w.total, w.kept.len(), divisions), (6, 6, 3));
}

#[test]
fn facts_that_no_session_has_are_refused() {
    let refused = |zone: &CarriedZone<'_>| assert!(postcard::from_bytes::<TimeZone>(&postcard::to_stdvec(zone).unwrap()).is_err());
    refused(&CarriedZone::Fixed(86_400));
    refused(&CarriedZone::Fixed(i32::MIN));
    refused(&CarriedZone::Named("Mars/Olympus".into()));
    let s = unlimited();
    let mut facts = CarriedFacts::of(&s.session);
    facts.div_precision_increment = 31;
    assert!(postcard::from_bytes::<CarriedFacts>(&postcard::to_stdvec(&facts).unwrap()).is_err());
    let whole = postcard::to_stdvec(&CarriedFacts::of(&s.session)).unwrap();
    for end in 0..whole.len() {
        assert!(postcard::from_bytes::<CarriedFacts>(&whole[..end]).is_err());
    }
    // With every statement.
    let statement = postcard::to_stdvec(&CarriedStatement::of(&s, &[])).unwrap();
    assert!(statement.len() <= 32, "{}", statement.len());
}
