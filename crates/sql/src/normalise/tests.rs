//! The normal form agrees with the parser.

use super::*;
use crate::{ParseOptions, parse, parse_normalised};
use proptest::prelude::*;

/// The normal form and the values, or None.
fn norm(sql: &str) -> Option<(String, Vec<Literal>)> {
    let mut n = Normalised::default();
    if !normalise(sql.as_bytes(), SqlMode::DEFAULT, &mut n) {
        return None;
    }
    let values = n.slots.iter().map(|s| n.literal(sql.as_bytes(), s)).collect();
    Some((String::from_utf8_lossy(&n.text).into_owned(), values))
}

fn text(sql: &str) -> String {
    norm(sql).map_or("none".into(), |n| n.0)
}

#[test]
fn literals_leave_the_clauses_that_hold_values() {
    for (sql, expected) in [
        ("SELECT c FROM sbtest1 WHERE id=5042", "SELECT c FROM sbtest1 WHERE id=@"),
        ("select a from t where b = 'x' and c = \"y\"", "select a from t where b = ^ and c = ^"),
        ("select 1, 'x', a + 5 from t where a = 1", "select 1, 'x', a + 5 from t where a = @"),
        ("select a from t where a in (1, 2,3) limit 10", "select a from t where a in (@, @,@) limit @"),
        (
            "select a from t where a between 1 and 2 order by 1 limit 5 offset 6",
            "select a from t where a between @ and @ order by 1 limit @ offset @",
        ),
        ("select a from t where a = 1 group by 2 having count(*) > 3 limit 4", "select a from t where a = @ group by 2 having count(*) > 3 limit @"),
        ("insert into t (a, b) values (1, 'x'), (-2, 1.50)", "insert into t (a, b) values (@, ^), (-@, @?2)"),
        ("insert into t set a = 1e3", "insert into t set a = @?e"),
        (
            "insert into t values (18446744073709551615, 18446744073709551616, 0xFF, 0x00112233445566778899)",
            "insert into t values (@?u, @?0, 0xFF, ^?x)",
        ),
        (
            "insert into t values (1) on duplicate key update a = a + 1, b = values(b)",
            "insert into t values (@) on duplicate key update a = a + @, b = values(b)",
        ),
        ("update t set a = 1, b = b + 2 where c = 3 limit 4", "update t set a = @, b = b + @ where c = @ limit @"),
        ("delete from t where a = 1", "delete from t where a = @"),
        ("replace into t values (1)", "replace into t values (@)"),
        ("select a from t join u on t.x = u.x and u.y = 5 where t.z = 6", "select a from t join u on t.x = u.x and u.y = 5 where t.z = @"),
        ("select a from t where a = (select 1 from u where b = 2) and c = 3", "select a from t where a = (select 1 from u where b = @) and c = @"),
        ("select a from (select 5 as a from u where b = 6) d where a = 7", "select a from (select 5 as a from u where b = @) d where a = @"),
        ("with c as (select 1 as x) select x from c where x = 1", "with c as (select 1 as x) select x from c where x = @"),
        ("select a from t where a = 1 union select b from u where b = 2", "select a from t where a = @ union select b from u where b = @"),
        ("(select a from t where a = 1) limit 2", "(select a from t where a = @) limit @"),
        ("select  a\n\tfrom t /* c */ where a=1 -- x\n;", "select a from t where a=@"),
        ("select /*+ HINT */ a from t where a = 1", "select a from t where a = @"),
        ("select a from t where a = 'x'or b = 'y'and c = 5or d", "select a from t where a = ^ or b = ^ and c = 5or d"),
        // A type or a piece of syntax hangs on these.
        ("select a from t where round(a, 2) = 1.25", "select a from t where round(a, 2) = @?2"),
        ("select a from t where cast(b as char(10)) = 'x'", "select a from t where cast(b as char(10)) = ^"),
        (
            "select a from t where b = date '2020-01-01' and c = timestamp'2020-01-01 00:00:00'",
            "select a from t where b = date '2020-01-01' and c = timestamp'2020-01-01 00:00:00'",
        ),
        ("select a from t where b like 'x%' escape '|'", "select a from t where b like ^ escape '|'"),
        ("select a from t where b->'$.c' = 1 and d ->> '$.e' = 'x'", "select a from t where b->'$.c' = @ and d ->> '$.e' = ^"),
        (
            "select a from t where b = _utf8mb4'x' and c = N'y' and d = x'41' and e = b'1'",
            "select a from t where b = _utf8mb4'x' and c = N'y' and d = x'41' and e = b'1'",
        ),
        ("select a from t where match (b) against ('x')", "select a from t where match (b) against ('x')"),
        ("select a from t where b > now() - interval 7 day", "select a from t where b > now() - interval @ day"),
        ("select a from t where b = @v and c = @@x and d = @", "none"),
        ("select a from t where b = @v and c = @@x", "select a from t where b = @v and c = @@x"),
        ("select a from t where t.1 = 1 and 1st = 2", "select a from t where t.1 = @ and 1st = @"),
    ] {
        assert_eq!(text(sql), expected, "{sql}");
    }
}

#[test]
fn statements_without_a_normal_form_are_left_alone() {
    for sql in [
        "set a = 1",
        "show tables",
        "create table t (a int)",
        "select a from t where b = 'x' 'y'",
        "select a from t where b = ?",
        "select a from t where b = 'x",
        "select a from t where b = 1 /*!80000 and c = 2 */",
        "select a from t where b = 1; select 2",
        "((select 1))",
        "select a from t where a = 1)",
        "",
        ";",
        "begin",
        "explain select 1",
    ] {
        assert_eq!(text(sql), "none", "{sql}");
    }
}

#[test]
fn values_come_out_as_the_parser_reads_them() {
    let (_, values) =
        norm(r#"insert into t values (1, 'it''s', 'a\nb', "q", 1.50, 1e3, 0x4142434445464748494A, 18446744073709551615, 99999999999999999999)"#)
            .expect("an insert");
    let string = |s: &str| Literal::String { value: s.into(), charset: None };
    assert_eq!(
        values,
        vec![
            Literal::Integer(1),
            string("it's"),
            string("a\nb"),
            string("q"),
            Literal::Decimal("1.50".into()),
            Literal::Double(1000.0),
            Literal::Hex((0x41..=0x4A).collect()),
            Literal::Integer(u64::MAX),
            Literal::Decimal("99999999999999999999".into()),
        ]
    );
}

#[test]
fn equal_texts_hash_equal_and_others_do_not() {
    let hash = |sql: &str| {
        let mut n = Normalised::default();
        assert!(normalise(sql.as_bytes(), SqlMode::DEFAULT, &mut n));
        n.hash
    };
    assert_eq!(hash("select a from t where id = 1"), hash("select a  from t where id = 2 "));
    assert_ne!(hash("select a from t where id = 1"), hash("select a from t where id = '1'"));
    assert_ne!(hash("select a from t where id = 1"), hash("select b from t where id = 1"));
    assert_ne!(hash("select a from t where id in (1,2)"), hash("select a from t where id in (1,2,3)"));
}

/// The tree with every parameter replaced by its literal, as text.
fn filled_in(sql: &str) -> Option<(String, String)> {
    let options = ParseOptions::default();
    let mut n = Normalised::default();
    if !normalise(sql.as_bytes(), options.sql_mode, &mut n) {
        return None;
    }
    let plain = parse(sql, &options);
    let with_params = parse_normalised(sql, &n, &options);
    let (plain, with_params) = match (plain, with_params) {
        (Ok(p), Ok(Some(w))) => (p, w),
        (Ok(_), Ok(None)) => return None,
        (Err(a), Err(b)) => {
            assert_eq!(a, b, "{sql}");
            return None;
        }
        (a, b) => panic!("{sql}\n{a:?}\n{b:?}"),
    };
    let mut text = format!("{with_params:?}");
    for (i, slot) in n.slots.iter().enumerate() {
        let param = format!("Param({i})");
        assert_eq!(text.matches(&param).count(), 1, "{sql}: {param} in {text}");
        text = text.replace(&param, &format!("Literal({:?})", n.literal(sql.as_bytes(), slot)));
    }
    Some((text, format!("{plain:?}")))
}

#[test]
fn putting_the_values_back_gives_the_statement() {
    let mut tried = 0;
    for file in
        [include_str!("../../tests/golden/select.txt"), include_str!("../../tests/golden/dml.txt"), include_str!("../../tests/golden/clients.txt")]
    {
        for sql in file.lines().filter_map(|l| l.strip_prefix("> ")) {
            if let Some((filled, plain)) = filled_in(sql) {
                assert_eq!(filled, plain, "{sql}");
                tried += 1;
            }
        }
    }
    assert!(tried > 120, "{tried}");
}

#[test]
fn a_literal_that_is_no_expression_takes_the_statement_out_of_the_cache() {
    let sql = "select a from t where json_extract(a, '$.b') = 1 and exists (select 1 from json_table('[]', '$' columns (x int path '$')) j)";
    assert!(filled_in(sql).is_some());
    let mut n = Normalised::default();
    let sql = "select a from t where b = 1 into outfile '/x' fields terminated by ','";
    assert!(normalise(sql.as_bytes(), SqlMode::DEFAULT, &mut n));
    assert_eq!(n.slots.len(), 1);
    let sql = "insert into t values (1) on duplicate key update a = json_value(b, '$.x' default 5 on empty)";
    assert!(filled_in(sql).is_some());
}

fn expression() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        any::<u16>().prop_map(|n| n.to_string()),
        any::<i32>().prop_map(|n| n.to_string()),
        "[0-9]{1,3}\\.[0-9]{1,3}",
        "'[a-z '';%]{0,6}'".prop_map(|s| {
            let inner = s[1..s.len() - 1].replace('\'', "''");
            format!("'{inner}'")
        }),
        "[a-d]".prop_map(|s| s),
        Just("t.a".to_string()),
        Just("null".to_string()),
        Just("now()".to_string()),
        Just("0x4142".to_string()),
        Just("0x4142434445464748494A".to_string()),
        Just("1e3".to_string()),
        Just("date '2020-01-01'".to_string()),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            (
                inner.clone(),
                prop_oneof![Just("+"), Just("*"), Just("="), Just("<"), Just(" and "), Just(" or "), Just("||"), Just("->")],
                inner.clone()
            )
                .prop_map(|(a, op, b)| format!("{a}{op}{b}")),
            (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("({a}) between ({b}) and ({c})")),
            prop::collection::vec(inner.clone(), 1..4).prop_map(|l| format!("a in ({})", l.join(", "))),
            (prop_oneof![Just("round"), Just("concat"), Just("coalesce"), Just("if"), Just("substring")], prop::collection::vec(inner.clone(), 1..4))
                .prop_map(|(f, l)| format!("{f}({})", l.join(","))),
            inner.clone().prop_map(|a| format!("cast({a} as char(10))")),
            inner.clone().prop_map(|a| format!("(select {a} from u where x = {a} limit 3)")),
            (inner.clone(), inner).prop_map(|(a, b)| format!("case when {a} then {b} else 5 end")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn putting_values_back_gives_any_statement(e in expression(), f in expression()) {
        for sql in [
            format!("select {e} from t where {f} order by {e} limit 3"),
            format!("insert into t values ({e}, {f}) on duplicate key update a = {e}"),
            format!("update t set a = {e} where {f}"),
            format!("delete from t where {e}"),
        ] {
            if let Some((filled, plain)) = filled_in(&sql) {
                prop_assert_eq!(filled, plain, "{}", sql);
            }
        }
    }

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let mut n = Normalised::default();
        let mut sql = b"select ".to_vec();
        sql.extend(&bytes);
        for mode in [SqlMode::DEFAULT, SqlMode(SqlMode::ANSI_QUOTES | SqlMode::NO_BACKSLASH_ESCAPES)] {
            if normalise(&sql, mode, &mut n) {
                for slot in &n.slots { n.literal(&sql, slot); }
            }
        }
    }

    /// Statements of one normal form are the same tokens: the normal form with the values put back has the same normal form.
    #[test]
    fn other_values_of_the_same_kind_share_the_normal_form(a in any::<u16>(), b in any::<u16>(), s in "[a-z]{0,5}", t in "[a-z]{0,5}") {
        let sql = |n: u16, s: &str| format!("select x from t where a = {n} and b = '{s}' or c in ({n}, '{s}') limit {n}");
        prop_assert_eq!(text(&sql(a, &s)), text(&sql(b, &t)));
    }
}
