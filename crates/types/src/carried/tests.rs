//! Values on the wire and back, and what is let in of other bytes.
//!
//! Owns:     nothing.
//! Promises: compares what a client would see: scale of decimals, kinds of JSON's numbers.
//! Never:    leaves postcard out: another format may hide a mistake in a hand-written reader.

use crate::temporal::MICROS_PER_DAY;
use crate::*;
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;

fn bytes(v: &impl Serialize) -> Vec<u8> {
    postcard::to_stdvec(v).unwrap()
}
fn read<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    postcard::from_bytes(bytes).ok()
}
/// As they are to a client: equality of decimals does not look at the scale, nor that of JSON at the kinds of numbers.
fn shown(v: &impl std::fmt::Debug) -> String {
    format!("{v:?}")
}

fn any_date() -> impl Strategy<Value = Date> {
    (0u32..=9999, 0u32..=12, 0u32..=31).prop_map(|(y, m, d)| Date::new_lenient(y, m, d).unwrap())
}
fn any_decimal() -> impl Strategy<Value = Decimal> {
    let small = (any::<i128>(), 0u8..=30).prop_map(|(v, scale)| Decimal::new(v, scale));
    let large = ("-?[1-9][0-9]{39,64}", 0usize..=30).prop_map(|(digits, scale)| {
        let point = digits.len() - scale;
        Decimal::parse(&format!("{}.{}", &digits[..point], &digits[point..])).unwrap()
    });
    prop_oneof![small, (-1000i128..1000, 0u8..=4).prop_map(|(v, scale)| Decimal::new(v, scale)), large]
}
fn any_json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::Bool),
        any::<i64>().prop_map(Json::Int),
        any::<u64>().prop_map(Json::UInt),
        any_decimal().prop_map(Json::Decimal),
        ".{0,8}".prop_map(Json::string),
        any_date().prop_map(Json::Date),
        prop::collection::vec(any::<u8>(), 0..8).prop_map(|b| Json::Opaque(b.into())),
    ];
    leaf.prop_recursive(4, 20, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::Array),
            prop::collection::vec((".{0,4}", inner), 0..4).prop_map(|m| Json::Object(m.into_iter().map(|(k, v)| (k.into(), v)).collect())),
        ]
    })
}
fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::Int),
        any::<u64>().prop_map(Value::UInt),
        any_decimal().prop_map(Value::Decimal),
        any::<f64>().prop_map(Value::Double),
        ".{0,40}".prop_map(Value::str),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(Value::bytes),
        any_date().prop_map(Value::Date),
        (-4_000_000_000_000i64..4_000_000_000_000).prop_map(|m| Value::Time(Time::from_micros(m))),
        (any_date(), 0..MICROS_PER_DAY).prop_map(|(d, m)| Value::DateTime(d.at(m))),
        any_json().prop_map(|j| Value::Json(Arc::new(j))),
    ]
}

proptest! {
    #[test]
    fn values_read_back(values in prop::collection::vec(any_value(), 0..6)) {
        let back: Vec<Value> = read(&bytes(&values)).unwrap();
        prop_assert_eq!(shown(&values), shown(&back));
    }

    #[test]
    fn decimals_keep_their_scale(d in any_decimal()) {
        let back: Decimal = read(&bytes(&d)).unwrap();
        prop_assert_eq!((d.to_string(), d.scale()), (back.to_string(), back.scale()));
        // People read its text.
        prop_assert_eq!(serde_json::to_string(&d).unwrap(), format!("\"{d}\""));
        prop_assert_eq!(serde_json::from_str::<Decimal>(&format!("\"{d}\"")).unwrap(), d);
    }

    #[test]
    fn damaged_values_are_errors_or_other_values(v in any_value(), at in any::<prop::sample::Index>(), bit in 0u8..8, garbage in any::<Vec<u8>>()) {
        let whole = bytes(&v);
        for end in 0..whole.len() {
            let _ = read::<Value>(&whole[..end]);
        }
        let mut other = whole.clone();
        other[at.index(whole.len())] ^= 1 << bit;
        // Whatever is let in can be shown.
        for v in [read::<Value>(&other), read::<Value>(&garbage)].into_iter().flatten() {
            let _ = shown(&v);
            let _ = v.size_bytes();
        }
        let _ = (read::<SqlType>(&garbage), read::<Fault>(&garbage), read::<Warning>(&garbage), read::<SqlMode>(&garbage));
    }
}

#[test]
fn what_could_not_have_been_made_here_is_refused() {
    let refused = |what: &str, wrong: bool| assert!(wrong, "{what} was let in");
    refused("the 32nd of a month", read::<Date>(&bytes(&(2024u32 << 9 | 13 << 5 | 1))).is_none());
    refused("a year of five digits", read::<Date>(&bytes(&(10_000u32 << 9))).is_none());
    refused("a day of more than 24 hours", read::<DateTime>(&bytes(&(MICROS_PER_DAY as u64))).is_none());
    refused("a time beyond everything", read::<Time>(&bytes(&i64::MIN)).is_none());
    refused("a decimal with 31 decimals", read::<Decimal>(&bytes(&(31u8, 1i128))).is_none());
    refused("a decimal of 78 digits", read::<Decimal>(&bytes(&(0x80u8, i128::MAX, u128::MAX))).is_none());
    refused("a collation that is none", read::<Collation>(&bytes(&7u16)).is_none());
    refused("a mode that is none", read::<SqlMode>(&bytes(&(1u32 << 31))).is_none());
    refused("text that is no UTF-8", read::<Value>(&[5, 1, 0xFF]).is_none());
    let decimal = |precision, scale| SqlType::new(TypeKind::Decimal { precision, scale, unsigned: false }, true);
    refused("DECIMAL(66,0)", read::<SqlType>(&bytes(&decimal(66, 0))).is_none());
    refused("DECIMAL(5,6)", read::<SqlType>(&bytes(&decimal(5, 6))).is_none());
    refused("TIME(7)", read::<SqlType>(&bytes(&SqlType::new(TypeKind::Time { fsp: 7 }, true))).is_none());
    refused("a SQLSTATE of six letters", read::<Fault>(&bytes(&Fault::mysql(1, "HY0000", "x"))).is_none());
    let deep = (0..500).fold(Json::Null, |inner, _| Json::Array(vec![inner]));
    refused("JSON that nests too deep", read::<Json>(&bytes(&deep)).is_none());
}

#[test]
fn byte_strings_are_the_same_bytes_as_lists_of_bytes() {
    #[derive(serde::Serialize, serde::Deserialize, PartialEq, Debug)]
    struct AsOne<'a> {
        #[serde(with = "crate::carried::bytes")]
        owned: Vec<u8>,
        #[serde(borrow, with = "crate::carried::bytes")]
        borrowed: std::borrow::Cow<'a, [u8]>,
    }
    let one = AsOne { owned: vec![1, 2, 3], borrowed: [4u8, 5][..].into() };
    let whole = bytes(&one);
    assert_eq!(whole, bytes(&(vec![1u8, 2, 3], vec![4u8, 5])));
    let back: AsOne<'_> = postcard::from_bytes(&whole).unwrap();
    assert!(matches!(back.borrowed, std::borrow::Cow::Borrowed(_)));
    assert_eq!(back, one);
}

#[test]
fn common_values_are_short() {
    let length = |v: Value| bytes(&v).len();
    assert_eq!(length(Value::Null), 1);
    assert_eq!(length(Value::Int(-5)), 2);
    assert_eq!(length(Value::str("abc")), 5);
    assert_eq!(length(Value::bytes(*b"abc")), 5);
    assert_eq!(length(Value::Decimal(Decimal::new(12345, 2))), 5);
    assert_eq!(length(Value::Date(Date::new(2024, 2, 29).unwrap())), 4);
    assert_eq!(bytes(&SqlType::bigint(true)).len(), 6);
}

#[test]
fn faults_and_types_read_back() {
    let faults = [
        Fault::NoSuchColumn { column: "a".into(), clause: "field list".into() },
        Fault::mysql(1048, "23000", "text"),
        Fault::Deadlock,
        Fault::IncorrectValue { kind: "date".into(), value: "x".into(), column: "c".into(), row: 3 },
        Fault::Internal { incident: "i".into() },
    ];
    for fault in faults {
        assert_eq!(read::<Fault>(&bytes(&fault)), Some(fault.clone()));
        let warning = Warning { level: WarningLevel::Note, fault };
        assert_eq!(read::<Warning>(&bytes(&warning)), Some(warning));
    }
    let kinds = [
        TypeKind::Null,
        TypeKind::boolean(),
        TypeKind::Decimal { precision: 65, scale: 30, unsigned: true },
        TypeKind::real(Some(30)),
        TypeKind::Text(sql_type::BlobSize::Medium),
        TypeKind::Timestamp { fsp: 6 },
        TypeKind::Enum(["a".into(), "b".into()].into()),
    ];
    for kind in kinds {
        let ty = SqlType::string(kind, true, Collation::UTF8MB4_GENERAL_CI);
        assert_eq!(read::<SqlType>(&bytes(&ty)), Some(ty));
    }
    assert_eq!(read::<SqlMode>(&bytes(&SqlMode::DEFAULT)), Some(SqlMode::DEFAULT));
}
