//! What is printed reads back, and looks as MySQL shows it.

use super::*;
use crate::{ParseOptions, parse_expr, parse_query};

fn stored(sql: &str) -> String {
    stored_expr(&parse_expr(sql, &ParseOptions::default()).expect("it parses"))
}

#[test]
fn stored_expressions_carry_the_character_set_of_their_strings() {
    assert_eq!(stored("concat(a, 'x')"), "concat(`a`,_utf8mb4'x')");
    assert_eq!(stored("a + 1"), "(`a` + 1)");
    assert_eq!(stored("_latin1'x'"), "_latin1'x'");
    assert_eq!(stored("a > 0 and b in ('p', 'q')"), "((`a` > 0) and (`b` in (_utf8mb4'p',_utf8mb4'q')))");
    assert_eq!(stored("json_extract(a, '$.b')"), "json_extract(`a`,_utf8mb4'$.b')");
    assert_eq!(stored("a->>'$.b'"), "json_unquote(json_extract(`a`,_utf8mb4'$.b'))");
}

#[test]
fn a_view_prints_as_show_create_view_has_it() {
    let sql =
        "SELECT t.a AS a, COUNT(*) AS n FROM t LEFT JOIN u ON t.a = u.a WHERE t.b LIKE 'x%' AND t.c IS NOT NULL GROUP BY t.a ORDER BY n DESC LIMIT 5";
    assert_eq!(
        query(&parse_query(sql, &ParseOptions::default()).expect("it parses")),
        "select `t`.`a` AS `a`,count(0) AS `n` from (`t` left join `u` on((`t`.`a` = `u`.`a`))) where ((`t`.`b` like 'x%') and (`t`.`c` is not null)) group by `t`.`a` \
         order by `n` desc limit 5"
    );
}

#[test]
fn a_tables_database_is_said_or_left_out() {
    let check = |sql: &str, said: &str, left_out: &str| {
        let whole = query_of(&parse_query(sql, &ParseOptions::default()).expect("it parses"), "d");
        assert_eq!(whole, said);
        assert_eq!(query_within(&parse_query(&whole, &ParseOptions::default()).expect("it parses"), "d"), left_out);
    };
    check(
        "SELECT a FROM t JOIN d.u USING (a) WHERE a IN (SELECT d.v.b FROM v)",
        "select `a` from (`d`.`t` join `d`.`u` using (`a`)) where (`a` in (select `d`.`v`.`b` from `d`.`v`))",
        "select `a` from (`t` join `u` using (`a`)) where (`a` in (select `v`.`b` from `v`))",
    );
    // A table of another database keeps its name, and then all do.
    check("SELECT a FROM t, e.u", "select `a` from (`d`.`t` join `e`.`u`)", "select `a` from (`d`.`t` join `e`.`u`)");
    // A common table expression has no database, and must not take a table's place.
    check(
        "WITH c AS (SELECT 1) SELECT * FROM c, t",
        "with `c` as (select 1) select * from (`c` join `d`.`t`)",
        "with `c` as (select 1) select * from (`c` join `t`)",
    );
    check(
        "WITH t AS (SELECT * FROM t) SELECT * FROM t",
        "with `t` as (select * from `d`.`t`) select * from `t`",
        "with `t` as (select * from `t`) select * from `t`",
    );
    check(
        "WITH t AS (SELECT 1) SELECT * FROM t, d.t x",
        "with `t` as (select 1) select * from (`t` join `d`.`t` `x`)",
        "with `t` as (select 1) select * from (`t` join `d`.`t` `x`)",
    );
}
