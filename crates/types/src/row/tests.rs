//! Rows come back as they went in; damaged ones are found out.

use super::*;
use crate::sql_type::BlobSize;
use crate::{Collation, Date, Time};
use proptest::prelude::*;
use std::sync::Arc;

fn int(width: IntWidth, unsigned: bool) -> TypeKind {
    TypeKind::Int { width, unsigned, zerofill: None }
}
fn text(kind: TypeKind, nullable: bool) -> SqlType {
    SqlType::string(kind, nullable, Collation::UTF8MB4_GENERAL_CI)
}

fn encode(types: &[SqlType], values: &[Value]) -> (RowLayout, Vec<u8>) {
    let layout = RowLayout::new(types);
    let mut row = Vec::new();
    layout.encode(values, &mut row).unwrap();
    layout.check(&row).unwrap();
    (layout, row)
}

#[test]
fn a_sysbench_row_costs_five_bytes_more_than_its_values() {
    let types = [
        SqlType::new(int(IntWidth::Int, false), false),
        SqlType::new(int(IntWidth::Int, false), false),
        text(TypeKind::Char { chars: 120 }, false),
        text(TypeKind::Char { chars: 60 }, false),
    ];
    let (c, pad) = ("x".repeat(119), "y".repeat(59));
    let (layout, row) = encode(&types, &[Value::Int(1), Value::Int(-2), Value::str(&c), Value::str(&pad)]);
    assert_eq!(row.len(), 4 + 4 + 119 + 59 + 5);
    assert_eq!(layout.field(&row, 1), FieldRef::Int(-2));
    assert_eq!(layout.field(&row, 3), FieldRef::Str(pad.as_bytes()));
}

#[test]
fn bytes_are_as_the_format_page_shows() {
    // The example of docs/format/row.md.
    let types = [
        SqlType::new(int(IntWidth::Int, false), false),
        text(TypeKind::VarChar { chars: 10 }, true),
        SqlType::new(TypeKind::Decimal { precision: 5, scale: 2, unsigned: false }, true),
        text(TypeKind::VarChar { chars: 10 }, true),
    ];
    let (_, row) = encode(&types, &[Value::Int(7), Value::str("ab"), Value::Decimal(Decimal::new(-150, 2)), Value::Null]);
    assert_eq!(row, [0x00, 0x04, 7, 0, 0, 0, 0x6A, 0xFF, 0xFF, 2, 0, 2, 0, b'a', b'b']);
}

#[test]
fn char_loses_its_trailing_spaces() {
    let (layout, row) =
        encode(&[text(TypeKind::Char { chars: 5 }, false), text(TypeKind::VarChar { chars: 5 }, false)], &[Value::str("a  "), Value::str("a  ")]);
    assert_eq!((layout.value(&row, 0), layout.value(&row, 1)), (Value::str("a"), Value::str("a  ")));
}

#[test]
fn long_values_make_the_ends_wide() {
    let types =
        [text(TypeKind::Text(BlobSize::Long), false), SqlType::new(TypeKind::Blob(BlobSize::Long), true), text(TypeKind::VarChar { chars: 5 }, true)];
    let values = [Value::str("x".repeat(70_000)), Value::bytes(vec![7; 100]), Value::str("end")];
    let (layout, row) = encode(&types, &values);
    assert_eq!(layout.decode(&row), values);
    let values = [Value::str("x".repeat(65_535)), Value::Null, Value::str("")];
    let (layout, row) = encode(&types, &values);
    assert_eq!((layout.decode(&row), row[0]), (values.to_vec(), 0));
}

#[test]
fn values_of_the_wrong_kind_are_refused() {
    let check = |ty: SqlType, value: Value| {
        let mut out = vec![1, 2, 3];
        assert_eq!(RowLayout::new(&[ty]).encode(&[value], &mut out), Err(RowError::WrongType { field: 0 }));
        assert_eq!(out, [1, 2, 3]);
    };
    check(SqlType::bigint(false), Value::Null);
    check(SqlType::bigint(true), Value::str("1"));
    check(SqlType::new(int(IntWidth::Tiny, false), true), Value::Int(128));
    check(SqlType::new(int(IntWidth::Medium, true), true), Value::Int(-1));
    check(SqlType::new(TypeKind::Decimal { precision: 3, scale: 0, unsigned: false }, true), Value::Decimal(Decimal::from_i64(100_000)));
    assert_eq!(RowLayout::new(&[]).encode(&[Value::Null], &mut Vec::new()), Err(RowError::WrongCount { given: 1, expected: 0 }));
}

fn any_field() -> impl Strategy<Value = (SqlType, Value)> {
    let signed = prop_oneof![
        Just((IntWidth::Tiny, 8)),
        Just((IntWidth::Small, 16)),
        Just((IntWidth::Medium, 24)),
        Just((IntWidth::Int, 32)),
        Just((IntWidth::Big, 64))
    ];
    let value = prop_oneof![
        (signed.clone(), any::<i64>()).prop_map(|((w, bits), v)| (int(w, false), Value::Int(v >> (64 - bits)))),
        (signed, any::<u64>()).prop_map(|((w, bits), v)| (int(w, true), Value::UInt(v >> (64 - bits)))),
        any::<f64>().prop_filter("finite", |v| v.is_finite()).prop_map(|v| (TypeKind::real(None), Value::Double(v))),
        any::<f32>()
            .prop_filter("finite", |v| v.is_finite())
            .prop_map(|v| (TypeKind::Float { unsigned: false, digits: None, scale: None }, Value::Double(v as f64))),
        (1u8..=65, 0u8..=30, any::<[u8; 32]>()).prop_map(|(p, s, bytes)| {
            let s = s.min(p);
            let greatest = Decimal::max_value(p, s).unscaled();
            (
                TypeKind::Decimal { precision: p, scale: s, unsigned: false },
                Value::Decimal(Decimal::from_i256(I256::from_le_bytes(bytes) % (greatest + 1), s).unwrap()),
            )
        }),
        ".{0,20}".prop_map(|s| (TypeKind::VarChar { chars: 20 }, Value::str(s))),
        "[a-z]{0,20}".prop_map(|s| (TypeKind::Char { chars: 20 }, Value::str(s))),
        any::<Vec<u8>>().prop_map(|b| (TypeKind::Blob(BlobSize::Plain), Value::bytes(b))),
        (0u32..=9999, 0u32..=12, 0u32..=31).prop_map(|(y, m, d)| (TypeKind::Date, Value::Date(Date::new_lenient(y, m, d).unwrap()))),
        (Time::MIN.micros()..=Time::MAX.micros()).prop_map(|t| (TypeKind::Time { fsp: 6 }, Value::Time(Time::from_micros(t)))),
        (366i64..3_652_424, 0..crate::temporal::MICROS_PER_DAY)
            .prop_map(|(d, t)| (TypeKind::DateTime { fsp: 6 }, Value::DateTime(Date::from_day_number(d).unwrap().at(t)))),
        (1901i64..2155).prop_map(|y| (TypeKind::Year, Value::Int(y))),
        (1u8..=64, any::<u64>()).prop_map(|(bits, v)| (TypeKind::Bit { bits }, Value::UInt(v >> (64 - bits)))),
        (1usize..300).prop_map(|n| (TypeKind::Enum((0..n).map(|i| i.to_string().into()).collect::<Vec<_>>().into()), Value::UInt(n as u64))),
        (1usize..=64, any::<u64>())
            .prop_map(|(n, v)| (TypeKind::Set((0..n).map(|i| i.to_string().into()).collect::<Vec<_>>().into()), Value::UInt(v >> (64 - n)))),
        any::<i64>().prop_map(|v| (TypeKind::Json, Value::Json(Arc::new(Json::Array(vec![Json::Int(v)]))))),
        Just((TypeKind::Null, Value::Null)),
    ];
    (value, any::<bool>(), any::<bool>()).prop_map(|((kind, value), nullable, null)| {
        let nullable = nullable || kind == TypeKind::Null;
        (text(kind, nullable), if nullable && null { Value::Null } else { value })
    })
}

proptest! {
    #[test]
    fn rows_read_back(fields in proptest::collection::vec(any_field(), 0..20)) {
        let (types, values): (Vec<_>, Vec<_>) = fields.into_iter().unzip();
        let (layout, row) = encode(&types, &values);
        prop_assert_eq!(layout.decode(&row), values.clone());
        for (i, value) in values.iter().enumerate() {
            prop_assert_eq!(layout.is_null(&row, i), value.is_null());
        }
    }

    #[test]
    fn damaged_rows_do_not_panic(fields in proptest::collection::vec(any_field(), 1..10), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>(), noise in any::<Vec<u8>>()) {
        let (types, values): (Vec<_>, Vec<_>) = fields.into_iter().unzip();
        let (layout, mut row) = encode(&types, &values);
        prop_assert!(layout.check(&row[..cut.index(row.len())]).is_err());
        let place = at.index(row.len());
        row[place] ^= byte;
        for bytes in [&row[..], &row[..cut.index(row.len())], &noise[..]] {
            let _ = (layout.check(bytes), layout.decode(bytes));
        }
    }
}
