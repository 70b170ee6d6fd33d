//! JSON: MySQL's examples, and every value there and back.

use super::*;
use proptest::prelude::*;
use std::cmp::Ordering;

fn keep(_changed: bool) {}
fn j(text: &str) -> Json {
    Json::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"))
}
fn p(text: &str) -> JsonPath {
    JsonPath::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"))
}

#[test]
fn documents_print_as_mysql_prints_them() {
    for (text, printed) in [
        (r#"{"b":1,"a":[1,2.0,1e20,null,true]}"#, r#"{"a": [1, 2.0, 1e20, null, true], "b": 1}"#),
        (r#"{"bb":1,"c":2,"a":3}"#, r#"{"a": 3, "c": 2, "bb": 1}"#),
        (r#"{"a":1,"a":2}"#, r#"{"a": 2}"#),
        (" [ ] ", "[]"),
        ("{}", "{}"),
        (r#""a\"\\\/\b\f\n\r\t\u0041\u0001é""#, r#""a\"\\/\b\f\n\r\tA\u0001é""#),
        (r#""\ud83d\ude00""#, "\"😀\""),
        ("18446744073709551615", "18446744073709551615"),
        ("18446744073709551616", "1.8446744073709552e19"),
        ("-9223372036854775808", "-9223372036854775808"),
        ("1.50", "1.5"),
        ("-0", "0"),
    ] {
        assert_eq!(j(text).to_string(), printed);
    }
    assert_eq!(Json::Opaque(vec![0xCA, 0xFE].into()).to_string(), r#""base64:type253:yv4=""#);
    assert_eq!(Json::DateTime(DateTime::from_parts(2024, 1, 31, 1, 2, 3, 4).unwrap()).to_string(), r#""2024-01-31 01:02:03.000004""#);
    assert_eq!(j(r#"{"a":[1,{}],"b":{}}"#).pretty(), "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": {}\n}");
}

#[test]
fn mistakes_are_reported_in_mysqls_words() {
    for (text, message, offset) in [
        ("", "The document is empty.", 0),
        ("[1,]", "Invalid value.", 3),
        ("[1 2]", "Missing a comma or ] after an array element.", 3),
        ("{1:2}", "Missing a name for object member.", 1),
        (r#"{"a" 1}"#, "Missing a colon after a name of object member.", 5),
        (r#"{"a":1 "b"}"#, "Missing a comma or } after an object member.", 7),
        ("1 2", "The document root must not be followed by other values.", 2),
        (r#""abc"#, "Missing a closing quotation mark in string.", 4),
        (r#""\x""#, "Invalid escape character in string.", 1),
        (r#""\ud800""#, "The surrogate pair in string is invalid.", 1),
        (r#""\u00g0""#, "Incorrect hex digit after \\u escape in string.", 1),
        ("nul", "Invalid value.", 3),
        ("1e400", "Number too big to be stored in double.", 0),
        ("1.", "Miss fraction part in number.", 2),
        ("01", "The document root must not be followed by other values.", 1),
    ] {
        let e = Json::parse(text).unwrap_err();
        assert_eq!((e.message, e.offset), (message, offset), "{text}");
    }
    assert!(Json::parse(&"[".repeat(100_000)).unwrap_err().too_deep);
    assert!(Json::parse(&("[".repeat(100) + &"]".repeat(100))).is_ok());
}

#[test]
fn paths_lead_to_values() {
    let doc = j(r#"{"a": {"b": [1, 2, {"c": 3}], "c": 4}, "x y": 5}"#);
    let at = |path: &str| doc.lookup(&p(path)).iter().map(|v| v.to_string()).collect::<Vec<_>>().join(" ");
    assert_eq!(at("$.a.b[0]"), "1");
    assert_eq!(at("$.a.b[last]"), r#"{"c": 3}"#);
    assert_eq!(at("$.a.b[last-1]"), "2");
    assert_eq!(at("$.a.b[0 to 1]"), "1 2");
    assert_eq!(at("$.a.b[1 to last]"), r#"2 {"c": 3}"#);
    assert_eq!(at("$.a.b[*]"), r#"1 2 {"c": 3}"#);
    assert_eq!(at("$**.c"), "4 3");
    assert_eq!(at("$.a.*"), r#"[1, 2, {"c": 3}] 4"#);
    assert_eq!(at("$.\"x y\""), "5");
    assert_eq!(at(" $ . a . c "), "4");
    assert_eq!(at("$.a.c[0]"), "4");
    assert_eq!(at("$.a.c[last]"), "4");
    assert_eq!(at("$.a.c[1]"), "");
    assert_eq!(at("$.nothing"), "");
    assert_eq!(j("[1, [2]]").lookup(&p("$**[0]")).iter().map(|v| v.to_string()).collect::<Vec<_>>(), ["1", "2"]);
    for bad in ["", "a", "$.", "$[", "$[a]", "$.1a", "$**", "$.a**", "$.**", "$[1 to", "$[2 to 1]", "$.\"a", "$ x", "$[-1]"] {
        assert!(JsonPath::parse(bad).is_err(), "{bad}");
    }
    assert_eq!(p(r#"$.a[0].*[*]**.b[last-1]."x y"[1 to last]"#).to_string(), r#"$.a[0].*[*]**.b[last-1]."x y"[1 to last]"#);
    assert!(p("$[*]").has_wildcard() && !p("$[0].a").has_wildcard() && p("$").is_root());
}

#[test]
fn a_path_of_many_descents_ends_soon() {
    let doc = j(&("{\"a\":".repeat(99) + "1" + &"}".repeat(99)));
    let path = p(&("$".to_string() + &"**.a".repeat(40)));
    assert_eq!(doc.lookup(&path).len(), 60);
    assert!(JsonPath::parse(&("$".to_string() + &"**[0]".repeat(200))).is_err());
}

#[test]
fn documents_change_at_paths() {
    let change = |doc: &str, f: &dyn Fn(&mut Json)| {
        let mut doc = j(doc);
        f(&mut doc);
        doc.to_string()
    };
    let one = || Json::Int(9);
    let set = |doc: &str, path: &str| change(doc, &|d| keep(d.set(&p(path), one())));
    assert_eq!(set(r#"{"a": 1}"#, "$.a"), r#"{"a": 9}"#);
    assert_eq!(set(r#"{"a": 1}"#, "$.b"), r#"{"a": 1, "b": 9}"#);
    assert_eq!(set("[1]", "$[5]"), "[1, 9]");
    assert_eq!(set("[1]", "$[last-5]"), "[9, 1]");
    assert_eq!(set("1", "$[1]"), "[1, 9]");
    assert_eq!(set("1", "$[0]"), "9");
    assert_eq!(set(r#"{"a": 1}"#, "$.b.c"), r#"{"a": 1}"#);
    assert_eq!(set("1", "$.a"), "1");
    assert_eq!(change("[1]", &|d| keep(d.insert(&p("$[0]"), one()))), "[1]");
    assert_eq!(change("[1]", &|d| keep(d.replace(&p("$[1]"), one()))), "[1]");
    assert_eq!(change("[1, 2]", &|d| keep(d.remove(&p("$[last]")))), "[1]");
    assert_eq!(change(r#"{"a": 1}"#, &|d| keep(d.remove(&p("$.a")))), "{}");
    assert_eq!(change("[1, 2]", &|d| keep(d.array_insert(&p("$[1]"), one()))), "[1, 9, 2]");
    assert_eq!(change("[1, 2]", &|d| keep(d.array_insert(&p("$[9]"), one()))), "[1, 2, 9]");
    assert_eq!(change(r#"{"a": 1}"#, &|d| keep(d.array_append(&p("$.a"), one()))), r#"{"a": [1, 9]}"#);
    assert_eq!(
        j(r#"{"a": 1, "b": {"x": 1}}"#).merge_patch(j(r#"{"a": null, "b": {"y": 2}, "c": 3}"#)).to_string(),
        r#"{"b": {"x": 1, "y": 2}, "c": 3}"#
    );
    assert_eq!(j(r#"{"a": 1, "b": 2}"#).merge_preserve(j(r#"{"a": 3, "c": [4]}"#)).to_string(), r#"{"a": [1, 3], "b": 2, "c": [4]}"#);
    assert_eq!(j("[1, 2]").merge_preserve(j(r#"{"a": 1}"#)).to_string(), r#"[1, 2, {"a": 1}]"#);
}

#[test]
fn containment_follows_the_manual() {
    let check = |target: &str, candidate: &str, contained: bool| {
        assert_eq!(j(target).contains(&j(candidate), &mut || Ok::<(), ()>(())), Ok(contained), "{target} {candidate}")
    };
    check(r#"{"a": 1, "b": 2, "c": {"d": 4}}"#, r#"{"a": 1}"#, true);
    check(r#"{"a": 1}"#, r#"{"a": 2}"#, false);
    check(r#"{"a": 1}"#, "1", false);
    check("[1, 2, [3, 4]]", "[1, 2]", true);
    check("[1, 2, [3, 4]]", "[[3]]", true);
    check("[1, 2]", "1.0", true);
    check("[1, {\"a\": 1, \"b\": 2}]", "{\"a\": 1}", true);
    check("1", "1", true);
    check("\"a\"", "\"A\"", false);
    check("[]", "[]", true);
    check("[1, [2, [3]]]", "3", true);
    check("[{\"a\": 1}]", "[]", true);
    check("[{\"a\": [1]}]", "1", false);
    let many = |from: usize| format!("[{}]", (from..from + 50_000).map(|n| n.to_string()).collect::<Vec<_>>().join(","));
    check(&many(0), &many(0), true);
    assert!(!j(&many(0)).overlaps(&j(&many(50_000))));
    let mut steps = 0;
    let stopped = j(&format!("[{}]", ["[1]"; 2000].join(","))).contains(&j(&format!("[{}]", ["{}"; 2000].join(","))), &mut || {
        steps += 1;
        if steps > 100 { Err("stopped") } else { Ok(()) }
    });
    assert_eq!(stopped, Err("stopped"));
    assert!(j("[1, 2]").overlaps(&j("[2, 3]")) && !j("[1]").overlaps(&j("[2]")) && j("[1]").overlaps(&j("1")));
    assert!(j(r#"{"a":1,"b":2}"#).overlaps(&j(r#"{"b":2}"#)) && !j(r#"{"a":1}"#).overlaps(&j(r#"{"a":2}"#)));
    let mut found = Vec::new();
    j(r#"{"a": "x", "b": ["x", {"c d": "x"}]}"#).visit_strings(None, &mut |path, _| {
        found.push(path.to_string());
        true
    });
    assert_eq!(found, ["$.a", "$.b[0]", "$.b[1].\"c d\""]);
    found.clear();
    j(r#"{"a": "x", "b": ["x", {"c d": "x"}]}"#).visit_strings(Some(&p("$.b[last]")), &mut |path, _| {
        found.push(path.to_string());
        true
    });
    assert_eq!(found, ["$.b[1].\"c d\""]);
}

#[test]
fn values_have_mysqls_order() {
    let ascending = [
        "null",
        "-1e300",
        "-1.5",
        "-1",
        "0",
        "0.5",
        "1",
        "9007199254740993",
        "1e300",
        "\"\"",
        "\"A\"",
        "\"a\"",
        "{}",
        "{\"a\": 1}",
        "[]",
        "[1]",
        "[1, 2]",
        "[2]",
        "false",
        "true",
    ];
    for (i, a) in ascending.iter().enumerate() {
        for (k, b) in ascending.iter().enumerate() {
            assert_eq!(j(a).compare(&j(b)), i.cmp(&k), "{a} {b}");
        }
    }
    assert_eq!(j("1").compare(&j("1.0")), Ordering::Equal);
    assert_eq!(Json::Decimal("0.10".parse_decimal()).compare(&j("0.1")), Ordering::Equal);
    assert_eq!(j("9007199254740993").compare(&j("9007199254740992.0")), Ordering::Greater);
    assert_eq!((j("[1, [2]]").depth(), j("{}").depth(), j("[1, 2]").length(), j("3").length()), (3, 1, 2, 1));
}

#[test]
fn documents_take_the_bytes_they_take_in_mysql() {
    // Among them the manual's examples for JSON_STORAGE_SIZE.
    for (text, bytes) in [
        (r#"{"a": 1000, "b": "wxyz", "c": "[1, 3, 5, 7]"}"#, 47),
        (r#"[100, "sakila", [1, 3, 5], 425.05]"#, 45),
        (r#"{"a": 10.1, "b": "wxyz", "c": "[1, 3, 5, 7]"}"#, 55),
        (r#"[100, "json", [[10, 20, 30], 3, 5], 425.05]"#, 56),
        ("null", 2),
        ("1", 3),
        ("100000", 5),
        ("10000000000", 9),
        ("\"abc\"", 5),
        ("[]", 5),
    ] {
        assert_eq!(j(text).storage_size(), bytes, "{text}");
    }
    let long = format!("[{}]", ["\"0123456789\""; 10_000].join(","));
    assert_eq!(j(&long).storage_size(), 1 + 8 + 10_000 * (5 + 11));
}

#[test]
fn what_functions_put_together_may_nest_too_deep() {
    let full = j(&("[".repeat(100) + "1" + &"]".repeat(100)));
    assert!(!full.nests_too_deep());
    assert!(Json::Array(vec![full]).nests_too_deep());
}

trait ParseDecimal {
    fn parse_decimal(&self) -> Decimal;
}
impl ParseDecimal for str {
    fn parse_decimal(&self) -> Decimal {
        Decimal::parse(self).unwrap()
    }
}

#[test]
fn quoting_and_unquoting_are_inverse() {
    assert_eq!(Json::quote("a\"b\n"), r#""a\"b\n""#);
    assert_eq!(Json::unquote(r#""a\"b\n""#).unwrap(), "a\"b\n");
    assert_eq!(Json::unquote("abc").unwrap(), "abc");
    assert_eq!(Json::unquote("\"").unwrap(), "\"");
    assert!(Json::unquote(r#""a\x""#).is_err());
    assert_eq!(j("\"abc\"").unquoted(), "abc");
    assert_eq!(j("[1]").unquoted(), "[1]");
}

fn any_json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::Bool),
        any::<i64>().prop_map(Json::Int),
        (-5i64..5).prop_map(Json::Int),
        (i64::MAX as u64 + 1..).prop_map(Json::UInt),
        any::<f64>().prop_filter("finite", |v| v.is_finite()).prop_map(Json::Double),
        (-5i32..5).prop_map(|v| Json::Double(v as f64 / 2.0)),
        (any::<i64>(), 0u8..=20).prop_map(|(v, s)| Json::Decimal(Decimal::new(v as i128, s))),
        ".{0,6}".prop_map(|s| Json::String(s.into())),
        (366i64..3_652_424).prop_map(|d| Json::Date(Date::from_day_number(d).unwrap())),
        any::<Vec<u8>>().prop_map(|b| Json::Opaque(b.into())),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Json::Array),
            proptest::collection::vec((".{0,3}", inner), 0..5).prop_map(|m| Json::Object(m.into_iter().map(|(k, v)| (k.into(), v)).collect())),
        ]
    })
}

proptest! {
    #[test]
    fn bytes_read_back(a in any_json()) {
        let mut bytes = Vec::new();
        a.to_bytes(&mut bytes);
        let b = Json::from_bytes(&bytes).unwrap();
        prop_assert_eq!(a.to_string(), b.to_string());
        prop_assert_eq!(a.compare(&b), Ordering::Equal);
        for end in 0..bytes.len() {
            prop_assert!(Json::from_bytes(&bytes[..end]).is_none());
        }
    }

    #[test]
    fn printed_text_is_a_fixed_point(a in any_json()) {
        let text = a.to_string();
        prop_assert_eq!(!j(&text).to_string().is_empty(), true);
        let again = j(&text);
        prop_assert_eq!(j(&again.to_string()).to_string(), again.to_string());
    }

    #[test]
    fn sort_keys_agree_with_the_order(a in any_json(), b in any_json()) {
        let (mut x, mut y) = (Vec::new(), Vec::new());
        a.sort_key(&mut x);
        b.sort_key(&mut y);
        prop_assert_eq!(x.cmp(&y), a.compare(&b), "{} {}", a, b);
        prop_assert!(x == y || (!x.starts_with(&y) && !y.starts_with(&x)));
    }

    #[test]
    fn no_text_panics(a in ".{0,30}", b in r#"[\[\]{}",:0-9a-z\\ .*$-]{0,30}"#, c in any::<Vec<u8>>()) {
        for t in [&a, &b] {
            let _ = (Json::parse(t), JsonPath::parse(t), Json::unquote(t));
            let _ = JsonPath::parse(&format!("${t}")).map(|path| j("[[1, {\"a\": 2}], 3]").lookup(&path).len());
        }
        let _ = Json::from_bytes(&c);
    }
}
