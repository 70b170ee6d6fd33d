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
