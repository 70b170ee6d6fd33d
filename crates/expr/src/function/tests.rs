//! What holds of every function.

use super::{ANY, all, bind_call};
use crate::testing::{BIND, decimal, in_session, literal, statement};
use crate::{NoRow, eval};
use std::sync::Arc;
use weald_types::{Date, DateTime, Json, Time, Value};

/// splitmix64: the same numbers in every run.
struct Random(u64);
impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
    fn one_of<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[(self.next() % from.len() as u64) as usize]
    }
}

/// Values at the edges, and texts that some function takes for something.
fn values() -> Vec<Value> {
    let mut all = vec![
        Value::Null,
        Value::Int(0),
        Value::Int(-1),
        Value::Int(1),
        Value::Int(2),
        Value::Int(36),
        Value::Int(i64::MIN),
        Value::Int(i64::MAX),
        Value::UInt(u64::MAX),
        decimal("0.5"),
        decimal("-99999999999999999999999999999999999999999999999999999999999999999"),
        decimal("0.000000000000000000000000000001"),
        Value::Double(0.5),
        Value::Double(-1e308),
        Value::Double(1e-308),
        Value::bytes([0xFF, 0x00, 0xC3]),
        Value::bytes(*b"0123456789abcdef"),
        Value::Date(Date::default()),
        Value::Date(Date::new(2024, 2, 29).unwrap()),
        Value::Date(Date::new(9999, 12, 31).unwrap()),
        Value::Time(Time::MAX),
        Value::DateTime(DateTime::from_parts(2024, 12, 31, 23, 59, 59, 999_999).unwrap()),
        Value::DateTime(DateTime::default()),
        Value::Json(Arc::new(Json::parse(r#"{"a": [1, {"b": "x"}], "é": null}"#).unwrap())),
        Value::Json(Arc::new(Json::Array(vec![]))),
    ];
    let texts = [
        "",
        " ",
        "a",
        "äöü日本😀",
        "%",
        "_",
        "\\",
        "$",
        "$.a",
        "$**.b[last]",
        "$[0]",
        "{\"a\": 1}",
        "[1, [2]]",
        "one",
        "all",
        "one",
        "(",
        "a*",
        "(a)(b)?",
        "[[:alpha:]]",
        "$1",
        "c",
        "2024-02-29",
        "10:11:12.123456",
        "2024-01-01 00:00:00",
        "%Y-%m-%d %H:%i:%s.%f",
        "MICROSECOND",
        "DAY_SECOND",
        "YEAR",
        "+05:30",
        "Europe/Vienna",
        "127.0.0.1",
        "::1",
        "6ccd780c-baba-1026-9564-5b8c656024db",
        "YWJj",
        "ff",
        "z",
        "1e400",
        "-0",
        "12abc",
        "utf8mb4",
        "CHAR",
        "BINARY",
    ];
    all.extend(texts.map(Value::str));
    all
}

#[test]
fn no_function_panics_or_takes_for_ever() {
    let s = in_session(|s| s.max_allowed_packet = 4096);
    let ctx = statement(&s);
    let values = values();
    let mut random = Random(1);
    let mut panics = std::collections::BTreeMap::new();
    for f in all().filter(|f| !matches!(f.name, "SLEEP" | "BENCHMARK" | "GET_LOCK")) {
        let most = if f.max_args == ANY { f.min_args + 4 } else { f.max_args };
        for _ in 0..500 {
            let count = f.min_args + (random.next() % (most - f.min_args + 1) as u64) as usize;
            let args: Vec<Value> = (0..count).map(|_| random.one_of(&values).clone()).collect();
            // What it says does not matter here: that it says something does.
            let Ok(call) = bind_call(f.name, args.iter().map(literal).collect(), &BIND) else { continue };
            if std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| eval(&call, &NoRow, &ctx))).is_err() {
                panics.entry(f.name).or_insert(args);
            }
        }
    }
    assert!(panics.is_empty(), "{panics:#?}");
}

#[test]
fn names_are_upper_case_and_there_once() {
    let mut seen = std::collections::HashSet::new();
    for f in all() {
        assert_eq!(f.name, f.name.to_ascii_uppercase());
        assert!(seen.insert(f.name), "{} is there twice", f.name);
        assert!(f.min_args <= f.max_args, "{}", f.name);
    }
    for (synonym, name) in super::SYNONYMS {
        assert!(super::lookup(name).is_some() && super::lookup(synonym).is_some_and(|f| f.name == *name), "{synonym} for {name}");
    }
}
