//! Comparison, sort keys and patterns agree with each other and with MySQL.

use super::*;
use proptest::prelude::*;
use std::cmp::Ordering;
use std::hash::{DefaultHasher, Hasher};

const GENERAL: Collation = Collation::UTF8MB4_GENERAL_CI;
const AI_CI: Collation = Collation::UTF8MB4_0900_AI_CI;
const AS_CS: Collation = Collation::UTF8MB4_0900_AS_CS;

fn key(c: Collation, text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    c.sort_key(text.as_bytes(), &mut out);
    out
}

fn hash(c: Collation, text: &str) -> u64 {
    let mut h = DefaultHasher::new();
    c.hash_into(text.as_bytes(), &mut h);
    h.finish()
}

/// Checks every way of comparing at once.
fn check(c: Collation, a: &str, b: &str, order: Ordering) {
    assert_eq!(c.compare(a.as_bytes(), b.as_bytes()), order, "{c}: {a:?} {b:?}");
    assert_eq!(c.compare(b.as_bytes(), a.as_bytes()), order.reverse(), "{c}: {b:?} {a:?}");
    assert_eq!(c.equal(a.as_bytes(), b.as_bytes()), order.is_eq(), "{c}: {a:?} {b:?}");
    assert_eq!(key(c, a).cmp(&key(c, b)), order, "{c}: keys of {a:?} {b:?}");
    if order.is_eq() {
        assert_eq!(hash(c, a), hash(c, b), "{c}: hashes of {a:?} {b:?}");
    }
}

#[test]
fn collations_compare_as_mysql_says() {
    use Ordering::{Equal, Greater, Less};
    check(GENERAL, "Hello", "hELLO", Equal);
    check(GENERAL, "résumé", "RESUME", Equal);
    check(GENERAL, "ß", "s", Equal);
    check(GENERAL, "ß", "ss", Less);
    check(GENERAL, "😀", "😁", Equal);
    check(GENERAL, "a", "b", Less);
    check(GENERAL, "_", "a", Greater);
    check(Collation::UTF8MB4_UNICODE_CI, "ß", "ss", Equal);
    check(Collation::UTF8MB4_UNICODE_CI, "_", "a", Less);
    check(Collation::UTF8MB4_UNICODE_CI, "中", "国", Less);
    check(AI_CI, "ß", "SS", Equal);
    check(AI_CI, "résumé", "RESUME", Equal);
    check(AI_CI, "😀", "😁", Less);
    check(AI_CI, "中文", "中国", Greater);
    check(Collation::UTF8MB4_0900_AS_CI, "é", "e", Greater);
    check(Collation::UTF8MB4_0900_AS_CI, "É", "é", Equal);
    check(AS_CS, "a", "A", Less);
    check(AS_CS, "é", "É", Less);
    check(AS_CS, "A", "b", Less);
    check(AS_CS, "a", "a", Equal);
    check(Collation::UTF8MB4_BIN, "a", "A", Greater);
    check(Collation::BINARY, "a", "a ", Less);
    check(Collation::LATIN1_SWEDISH_CI, "ä", "Ä", Equal);
    check(Collation::LATIN1_SWEDISH_CI, "å", "z", Greater);
    check(Collation::LATIN1_SWEDISH_CI, "é", "E", Equal);
    check(Collation::LATIN1_GENERAL_CS, "a", "A", Greater);
    check(Collation::LATIN1_BIN, "€", "é", Less);
    check(Collation::ASCII_GENERAL_CI, "abc", "ABC", Equal);
    check(Collation::ASCII_BIN, "abc", "ABC", Greater);
}

#[test]
fn trailing_spaces_count_only_without_padding() {
    use Ordering::{Equal, Greater, Less};
    for c in [GENERAL, Collation::UTF8MB4_BIN, Collation::UTF8MB4_UNICODE_CI, Collation::LATIN1_SWEDISH_CI] {
        check(c, "a", "a  ", Equal);
        check(c, "", "   ", Equal);
        check(c, "a", "a\t", Greater);
        check(c, "a ", "a\t", Greater);
        check(c, "a  b", "a b", Less);
        check(c, "a  \t", "a", Less);
        check(c, "a  \t", "a \t", Greater);
        check(c, "a", "a b", Less);
    }
    for c in [AI_CI, AS_CS, Collation::UTF8MB4_0900_BIN, Collation::BINARY] {
        check(c, "a", "a ", Less);
        check(c, "a", "a\t", Less);
    }
}

#[test]
fn names_and_ids_lead_to_collations() {
    assert_eq!(Collation::by_name("UTF8MB4_General_CI"), Some(GENERAL));
    assert_eq!(Collation::by_name("utf8_general_ci"), Some(Collation::UTF8MB3_GENERAL_CI));
    assert_eq!(Collation::by_name("utf8mb4_klingon_ci"), None);
    assert_eq!(Collation::by_id(255), Some(AI_CI));
    assert_eq!(Collation::by_id(9999), None);
    assert_eq!(Collation::default_of("utf8"), Some(Collation::UTF8MB3_GENERAL_CI));
    assert_eq!(Collation::bin_of("latin1"), Some(Collation::LATIN1_BIN));
    assert_eq!((GENERAL.name(), GENERAL.charset(), GENERAL.max_len(), GENERAL.pad_space()), ("utf8mb4_general_ci", "utf8mb4", 4, true));
    assert!(!GENERAL.is_case_sensitive() && AS_CS.is_case_sensitive() && Collation::BINARY.is_case_sensitive());
    for info in Collation::all() {
        assert_eq!(Collation::by_name(info.name), Some(info.collation));
        assert_eq!(info.is_default, Collation::default_of(info.charset) == Some(info.collation));
    }
}

#[test]
fn like_follows_the_collation() {
    let like = |c: Collation, v: &str, p: &str| c.like(v.as_bytes(), p.as_bytes(), Some('\\'));
    for (value, pattern, matches) in [
        ("hello", "HELLO", true),
        ("hello", "h%o", true),
        ("hello", "h_llo", true),
        ("hello", "%l%", true),
        ("hello", "_____", true),
        ("hello", "______", false),
        ("hello", "%x%", false),
        ("hello ", "hello", false),
        ("", "%", true),
        ("", "", true),
        ("", "_", false),
        ("50%", "50\\%", true),
        ("50x", "50\\%", false),
        ("a_b", "a\\_b", true),
        ("a\\", "a\\", true),
        ("résumé", "resume", true),
        ("日本語", "日_語", true),
        ("日本語", "__", false),
        ("aXbXc", "a%b%c", true),
        ("abcabc", "%abc", true),
        ("mississippi", "%iss%ip%", true),
    ] {
        assert_eq!(like(GENERAL, value, pattern), matches, "{value:?} LIKE {pattern:?}");
    }
    assert!(!like(Collation::UTF8MB4_BIN, "hello", "HELLO"));
    assert!(!like(Collation::UTF8MB4_BIN, "é", "e"));
    assert!(GENERAL.like(b"a%", b"a|%", Some('|')) && GENERAL.like(b"a\\b", b"a\\b", None));
    // A byte is a character of a binary string.
    assert!(Collation::BINARY.like("é".as_bytes(), b"__", None) && GENERAL.like("é".as_bytes(), b"_", None));
    assert!(like(AS_CS, "Ab", "A%") && !like(AS_CS, "ab", "A%"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn a_pattern_made_ready_says_what_like_says(
        value in "[ abAB%é\u{1}]{0,12}", pattern in "[ abAB%%_é\\\\\u{1}]{0,8}", literal in "[abAB]{1,3}",
    ) {
        for c in Collation::all().iter().map(|i| i.collation) {
            for pattern in [&pattern, &format!("%{literal}%"), &format!("{literal}%{pattern}"), &format!("%{pattern}%{literal}"), &literal] {
                for escape in [Some('\\'), None] {
                    let (v, p) = (value.as_bytes(), pattern.as_bytes());
                    prop_assert_eq!(c.like_pattern(p, escape).matches(v), c.like(v, p, escape), "{} {:?} LIKE {:?}", c, value, pattern);
                }
            }
        }
    }
}

#[test]
fn like_of_many_wildcards_ends_soon() {
    let value = "a".repeat(5_000);
    let pattern = "%a".repeat(200) + "b";
    assert!(!GENERAL.like(value.as_bytes(), pattern.as_bytes(), None));
}

#[test]
fn like_patterns_give_their_literal_beginning() {
    assert_eq!(Collation::like_prefix("ab%", Some('\\')), ("ab".into(), LikeShape::Prefix));
    assert_eq!(Collation::like_prefix("a\\%b", Some('\\')), ("a%b".into(), LikeShape::Exact));
    assert_eq!(Collation::like_prefix("a_b%", Some('\\')), ("a".into(), LikeShape::Pattern));
    assert_eq!(Collation::like_prefix("a%%", None), ("a".into(), LikeShape::Pattern));
}

#[test]
fn find_follows_the_collation() {
    assert_eq!(GENERAL.find("Die Bären".as_bytes(), "BAR".as_bytes(), 0), Some((4, 8)));
    assert_eq!(GENERAL.find(b"abcabc", b"BC", 2), Some((4, 6)));
    assert_eq!(GENERAL.find(b"abc", b"x", 0), None);
    assert_eq!(GENERAL.find(b"abc", b"", 2), Some((2, 2)));
    assert_eq!(GENERAL.find(b"abc", b"a", 9), None);
    assert_eq!(Collation::BINARY.find(b"a\xFFb", b"\xFFb", 0), Some((1, 3)));
    assert_eq!(Collation::UTF8MB4_BIN.find("aÄb".as_bytes(), "Ä".as_bytes(), 0), Some((1, 3)));
}

#[test]
fn case_maps_one_character_to_one() {
    assert_eq!(GENERAL.upper("straße é"), "STRAßE É");
    assert_eq!(GENERAL.lower("ÀB"), "àb");
    assert_eq!(Collation::BINARY.upper("abc"), "abc");
}

#[test]
fn a_prefix_ends_at_a_character() {
    assert_eq!(GENERAL.truncate("aéx".as_bytes(), 2), "aé".as_bytes());
    assert_eq!(Collation::BINARY.truncate("aéx".as_bytes(), 2), &[b'a', 0xC3]);
    assert_eq!(GENERAL.truncate("日本".as_bytes(), 5), "日本".as_bytes());
}

fn any_collation() -> impl Strategy<Value = Collation> {
    (0..ALL.len()).prop_map(|i| ALL[i].collation)
}
fn text() -> impl Strategy<Value = String> {
    // Few characters, so that strings are often equal or nearly so.
    let few = proptest::collection::vec(
        proptest::sample::select(vec!['a', 'A', 'b', ' ', ' ', '\t', '\0', 'é', 'ß', 's', '\u{300}', '中', '😀', '\u{7f}', '!']),
        0..8,
    );
    prop_oneof![few.prop_map(|v| v.into_iter().collect()), any::<String>()]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]
    #[test]
    fn keys_hashes_and_comparison_agree(c in any_collation(), a in text(), b in text()) {
        let order = c.compare(a.as_bytes(), b.as_bytes());
        let (x, y) = (key(c, &a), key(c, &b));
        prop_assert_eq!(x.cmp(&y), order, "{} {:?} {:?}", c, a, b);
        prop_assert_eq!(order, c.compare(b.as_bytes(), a.as_bytes()).reverse());
        prop_assert_eq!(c.equal(a.as_bytes(), b.as_bytes()), order.is_eq());
        prop_assert!(x == y || (!x.starts_with(&y) && !y.starts_with(&x)), "a key begins another");
        if order.is_eq() {
            prop_assert_eq!(hash(c, &a), hash(c, &b));
        }
    }

    #[test]
    fn keys_of_longer_strings_begin_with_the_start(c in any_collation(), a in text(), b in text()) {
        let mut start = Vec::new();
        c.sort_key_start(a.as_bytes(), &mut start);
        prop_assert!(key(c, &(a + &b)).starts_with(&start));
    }

    #[test]
    fn like_agrees_with_the_plain_definition(v in "[aAbé ]{0,7}", p in "[aAbé%_\\\\]{0,6}") {
        fn plain(v: &[char], p: &[char]) -> bool {
            match p {
                [] => v.is_empty(),
                ['%', rest @ ..] => (0..=v.len()).any(|i| plain(&v[i..], rest)),
                ['_', rest @ ..] => !v.is_empty() && plain(&v[1..], rest),
                ['\\', c, rest @ ..] => v.first().is_some_and(|x| GENERAL.char_weight(*x) == GENERAL.char_weight(*c)) && plain(&v[1..], rest),
                [c, rest @ ..] => v.first().is_some_and(|x| GENERAL.char_weight(*x) == GENERAL.char_weight(*c)) && plain(&v[1..], rest),
            }
        }
        let (vc, pc): (Vec<char>, Vec<char>) = (v.chars().collect(), p.chars().collect());
        prop_assert_eq!(GENERAL.like(v.as_bytes(), p.as_bytes(), Some('\\')), plain(&vc, &pc));
    }

    #[test]
    fn bytes_that_are_no_text_do_not_panic(c in any_collation(), a in any::<Vec<u8>>(), b in any::<Vec<u8>>()) {
        let (mut x, mut y) = (Vec::new(), Vec::new());
        c.sort_key(&a, &mut x);
        c.sort_key(&b, &mut y);
        let _ = (c.compare(&a, &b), c.like(&a, &b, Some('\\')), c.find(&a, &b, 1), c.truncate(&a, 3));
    }
}
