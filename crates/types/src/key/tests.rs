//! Key bytes sort as values do.

use super::*;
use crate::sql_type::IntWidth;
use crate::{Date, Json, Time};
use proptest::prelude::*;
use std::sync::Arc;

fn int(width: IntWidth, unsigned: bool) -> TypeKind {
    TypeKind::Int { width, unsigned, zerofill: None }
}

fn key(value: &Value, ty: &SqlType, descending: bool) -> Vec<u8> {
    let mut out = Vec::new();
    encode_part(value, ty, descending, None, &mut out);
    out
}

/// SQL's order of two values of one type.
fn order(a: &Value, b: &Value, ty: &SqlType) -> Ordering {
    match (a, b) {
        (Value::Null, Value::Null) => Ordering::Equal,
        (Value::Null, _) => Ordering::Less,
        (_, Value::Null) => Ordering::Greater,
        (Value::Int(a), Value::Int(b)) => a.cmp(b),
        (Value::UInt(a), Value::UInt(b)) => a.cmp(b),
        (Value::Double(a), Value::Double(b)) => a.partial_cmp(b).unwrap(),
        (Value::Decimal(a), Value::Decimal(b)) => a.cmp(b),
        (Value::Str(a), Value::Str(b)) => ty.collation.compare(a.as_bytes(), b.as_bytes()),
        (Value::Bytes(a), Value::Bytes(b)) => a.cmp(b),
        (Value::Date(a), Value::Date(b)) => a.cmp(b),
        (Value::Time(a), Value::Time(b)) => a.cmp(b),
        (Value::DateTime(a), Value::DateTime(b)) => a.cmp(b),
        (Value::Json(a), Value::Json(b)) => a.compare(b),
        _ => panic!("{a:?} and {b:?} are not of one type"),
    }
}

/// A type and a few values of it, many of them near each other.
fn typed_values() -> impl Strategy<Value = (SqlType, Vec<Value>)> {
    fn of<T: std::fmt::Debug + 'static, S: Strategy<Value = T> + 'static>(
        kind: TypeKind,
        values: S,
        wrap: fn(T) -> Value,
    ) -> BoxedStrategy<(SqlType, Vec<Value>)> {
        let all = Collation::all();
        let value = prop_oneof![1 => Just(Value::Null), 8 => values.prop_map(wrap)];
        (proptest::collection::vec(value, 2..6), 0..all.len())
            .prop_map(move |(values, c)| (SqlType::string(kind.clone(), true, all[c].collation), values))
            .boxed()
    }
    let decimal = |p, s| TypeKind::Decimal { precision: p, scale: s, unsigned: false };
    let double = TypeKind::real(None);
    prop_oneof![
        of(int(IntWidth::Tiny, false), any::<i8>(), |v| Value::Int(v as i64)),
        of(int(IntWidth::Medium, false), -(1i64 << 23)..(1 << 23), Value::Int),
        of(int(IntWidth::Int, true), any::<u32>(), |v| Value::UInt(v as u64)),
        of(int(IntWidth::Big, false), any::<i64>(), Value::Int),
        of(int(IntWidth::Big, true), any::<u64>(), Value::UInt),
        of(double, prop_oneof![any::<f64>().prop_filter("a number", |v| !v.is_nan()), Just(0.0), Just(-0.0)], Value::Double),
        of(decimal(10, 2), -9_999_999_999i64..=9_999_999_999, |v| Value::Decimal(Decimal::new(v as i128, 2))),
        of(decimal(65, 30), any::<i128>(), |v| Value::Decimal(Decimal::new(v, 30))),
        of(TypeKind::VarChar { chars: 9 }, "[aAb \t\0é!]{0,5}", Value::str),
        of(TypeKind::VarBinary { bytes: 9 }, proptest::collection::vec(0u8..3, 0..5), Value::bytes),
        of(TypeKind::Date, 366i64..3_652_424, |d| Value::Date(Date::from_day_number(d).unwrap())),
        of(TypeKind::Time { fsp: 0 }, Time::MIN.micros()..=Time::MAX.micros(), |t| Value::Time(Time::from_micros(t))),
        of(TypeKind::DateTime { fsp: 6 }, (366i64..3_652_424, 0..crate::temporal::MICROS_PER_DAY), |(d, t)| {
            Value::DateTime(Date::from_day_number(d).unwrap().at(t))
        }),
        of(TypeKind::Year, 1901i64..2155, Value::Int),
        of(TypeKind::Bit { bits: 12 }, 0u64..4096, Value::UInt),
        of(TypeKind::Json, prop_oneof![any::<i64>().prop_map(Json::Int), "[a\0]{0,3}".prop_map(Json::string)], |j| Value::Json(Arc::new(j))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]
    #[test]
    fn a_head_is_the_beginning_of_a_key((ty, values) in typed_values(), descending in any::<bool>()) {
        for v in &values {
            if let Value::Str(text) = v && let Some(head) = text_head(text, ty.collation, descending) {
                let ty = SqlType::varchar(u32::MAX, true, ty.collation);
                prop_assert!(key(v, &ty, descending).starts_with(&head.to_be_bytes()), "{:?} {}", v, ty);
            }
        }
    }
    #[test]
    fn keys_sort_as_values_do((ty, values) in typed_values(), descending in any::<bool>()) {
        for a in &values {
            for b in &values {
                let expected = if descending { order(b, a, &ty) } else { order(a, b, &ty) };
                let (x, y) = (key(a, &ty, descending), key(b, &ty, descending));
                prop_assert_eq!(x.cmp(&y), expected, "{:?} {:?} {}", a, b, ty);
                prop_assert!(x == y || (!x.starts_with(&y) && !y.starts_with(&x)));
            }
        }
    }

    #[test]
    fn tuples_sort_part_by_part((t, a) in typed_values(), (u, b) in typed_values(), d in any::<bool>(), e in any::<bool>()) {
        let encoder = KeyEncoder::new(vec![KeyPart { ty: t.clone(), descending: d, prefix: None }, KeyPart { ty: u.clone(), descending: e, prefix: None }]);
        let tuple = |i: usize, k: usize| {
            let mut out = Vec::new();
            encoder.encode(&[a[i].clone(), b[k].clone()], &mut out);
            out
        };
        let turned = |o: Ordering, descending: bool| if descending { o.reverse() } else { o };
        let expected = turned(order(&a[0], &a[1], &t), d).then(turned(order(&b[0], &b[1], &u), e));
        prop_assert_eq!(tuple(0, 0).cmp(&tuple(1, 1)), expected);
        // The bounds of a leading value hold all keys with it, and no other.
        let mut low = Vec::new();
        encoder.encode(&a[..1], &mut low);
        let high = upper_bound(&low);
        for k in 0..b.len() {
            let own = tuple(0, k);
            prop_assert!(own >= low && high.as_ref().is_none_or(|h| own < *h));
            let other = tuple(1, k);
            let inside = other >= low && high.as_ref().is_none_or(|h| other < *h);
            prop_assert_eq!(inside, order(&a[0], &a[1], &t).is_eq());
        }
    }

    #[test]
    fn a_row_and_its_values_have_the_same_key((ty, values) in typed_values(), prefix in proptest::option::of(1u32..4)) {
        let layout = RowLayout::new(std::slice::from_ref(&ty));
        let prefix = prefix.filter(|_| ty.kind.is_text() || ty.kind.is_binary());
        let encoder = KeyEncoder::new(vec![KeyPart { ty, descending: false, prefix }]);
        for value in values {
            let (mut row, mut x, mut y) = (Vec::new(), Vec::new(), Vec::new());
            if layout.encode(std::slice::from_ref(&value), &mut row).is_err() {
                continue;
            }
            encoder.encode(std::slice::from_ref(&value), &mut x);
            prop_assert_eq!(encoder.encode_row(&layout, &row, &[0], &mut y), value.is_null());
            prop_assert_eq!(x, y);
        }
    }

    #[test]
    fn within_keeps_the_order(v in any::<i64>(), tiny in -128i64..=127) {
        let ty = SqlType::new(int(IntWidth::Tiny, false), false);
        let (nearest, side) = within(&Value::Int(v), &ty);
        let Value::Int(near) = nearest else { panic!() };
        prop_assert_eq!(v.cmp(&tiny).is_lt(), near < tiny || (near == tiny && side.is_lt()));
        prop_assert_eq!(v.cmp(&tiny).is_gt(), near > tiny || (near == tiny && side.is_gt()));
    }
}

#[test]
fn bytes_are_as_the_format_page_shows() {
    // The examples of docs/format/key.md.
    let c = Collation::UTF8MB4_GENERAL_CI;
    assert_eq!(key(&Value::Int(5), &SqlType::new(int(IntWidth::Int, false), false), false), [0x80, 0, 0, 5]);
    assert_eq!(key(&Value::Int(-1), &SqlType::new(int(IntWidth::Int, false), true), false), [0x01, 0x7F, 0xFF, 0xFF, 0xFF]);
    assert_eq!(key(&Value::Null, &SqlType::bigint(true), false), [0]);
    assert_eq!(key(&Value::Null, &SqlType::bigint(true), true), [0xFF]);
    assert_eq!(key(&Value::str("ab "), &SqlType::varchar(9, false, c), false), [0x43, 0x44, 0x21]);
    assert_eq!(key(&Value::str("a b"), &SqlType::varchar(9, false, c), false), [0x43, 0x22, 0x44, 0x21]);
    assert_eq!(key(&Value::bytes(vec![0, 1, 2]), &SqlType::new(TypeKind::VarBinary { bytes: 9 }, false), false), [1, 0, 1, 1, 2, 0]);
    let decimal = SqlType::new(TypeKind::Decimal { precision: 5, scale: 2, unsigned: false }, false);
    assert_eq!(key(&Value::Decimal(Decimal::new(-150, 2)), &decimal, false), [0x7F, 0xFF, 0x6A]);
    assert_eq!(key(&Value::Double(-1.0), &SqlType::double(false), false), [0x40, 0x0F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]);
}

#[test]
fn bounds_of_ranges_fit_their_column() {
    let tiny = SqlType::new(int(IntWidth::Tiny, true), false);
    assert_eq!(within(&Value::Int(1000), &tiny), (Value::UInt(255), Ordering::Greater));
    assert_eq!(within(&Value::Int(-1), &tiny), (Value::UInt(0), Ordering::Less));
    assert_eq!(within(&Value::Decimal(Decimal::parse("1.5").unwrap()), &tiny), (Value::UInt(2), Ordering::Less));
    assert_eq!(within(&Value::Double(1.25), &SqlType::bigint(false)), (Value::Int(1), Ordering::Greater));
    assert_eq!(within(&Value::Double(1e300), &SqlType::bigint(false)), (Value::Int(i64::MAX), Ordering::Greater));
    let decimal = SqlType::new(TypeKind::Decimal { precision: 4, scale: 1, unsigned: false }, false);
    assert_eq!(within(&Value::Decimal(Decimal::parse("1.25").unwrap()), &decimal), (Value::Decimal(Decimal::parse("1.3").unwrap()), Ordering::Less));
    assert_eq!(within(&Value::str("x"), &tiny), (Value::str("x"), Ordering::Equal));
}

#[test]
fn keys_of_a_like_prefix_hold_what_matches() {
    let ty = SqlType::varchar(20, true, Collation::UTF8MB4_GENERAL_CI);
    let mut low = Vec::new();
    encode_like_prefix("Ab ", &ty, &mut low);
    let high = upper_bound(&low).unwrap();
    for text in ["ab c", "AB ", "ab !", "Ab \t"] {
        let k = key(&Value::str(text), &ty, false);
        assert!(k >= low && k < high, "{text}");
    }
    let k = key(&Value::str("ac"), &ty, false);
    assert!(k >= high);
}

#[test]
fn a_shard_key_does_not_show_how_wide_its_number_was_declared() {
    let part = |value: Value, ty: SqlType| {
        let mut out = Vec::new();
        encode_shard_part(&value, &ty, &mut out);
        shard_hash(&out)
    };
    let one = part(Value::Int(1), SqlType::new(int(IntWidth::Tiny, false), false));
    assert_eq!(one, part(Value::UInt(1), SqlType::bigint_unsigned(true)));
    assert_ne!(one, part(Value::Int(-1), SqlType::bigint(true)));
    assert_ne!(part(Value::UInt(u64::MAX), SqlType::bigint_unsigned(true)), part(Value::Int(-1), SqlType::bigint(true)));
    let c = Collation::UTF8MB4_GENERAL_CI;
    assert_eq!(part(Value::str("a "), SqlType::varchar(5, false, c)), part(Value::str("A"), SqlType::varchar(50, true, c)));
    assert_ne!(part(Value::Null, SqlType::varchar(50, true, c)), part(Value::str(""), SqlType::varchar(50, true, c)));
}
