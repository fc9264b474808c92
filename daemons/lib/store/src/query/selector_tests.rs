use super::*;
use proptest::prelude::*;

fn requirement(key: &str, operator: Operator) -> Requirement {
    Requirement {
        key: key.into(),
        operator,
    }
}

fn texts(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

#[test]
fn both_grammars_mean_the_same() {
    let expected = Selector {
        requirements: vec![
            requirement("app.kubernetes.io/name", Operator::In(texts(&["web"]))),
            requirement("tier", Operator::NotIn(texts(&["db"]))),
            requirement("zone", Operator::In(texts(&["a", "b"]))),
            requirement("rack", Operator::NotIn(texts(&["r1"]))),
            requirement("in", Operator::Exists),
        ],
    };
    let forms = [
        "app.kubernetes.io/name=web,tier!=db,zone in (a,b),rack notin (r1),in",
        " app.kubernetes.io/name == web , tier != db , zone in ( a , b ),rack notin(r1),in ",
        "app.kubernetes.io/name+==+web,tier+!=+db,zone+in+(a,b),rack+notin+(r1),in",
    ];
    for form in forms {
        assert_eq!(Selector::parse(form).unwrap(), expected, "{form}");
    }
    assert!(Selector::parse("").unwrap().is_everything());
    assert_eq!(
        Selector::parse("!a,b>3,c<-2").unwrap().requirements,
        [
            requirement("a", Operator::Absent),
            requirement("b", Operator::Above(3)),
            requirement("c", Operator::Below(-2)),
        ]
    );
}

#[test]
fn nonsense_is_refused_with_a_position() {
    for bad in [
        ",",
        "a,",
        "a=b=c",
        "a in b",
        "a in (",
        "a in (b",
        "a in (b c)",
        "a ! b",
        "a !b",
        "=b",
        "/a",
        "a/",
        "a/b/c",
        "-a",
        "a=-b",
        "a=b c",
        "a foo (b)",
        "a>x",
        "a>",
        "é",
        "a=\"b\"",
        "a\0",
    ] {
        assert!(Selector::parse(bad).is_err(), "{bad:?} was accepted");
    }
    let error = Selector::parse("app=web,tier ?? db").unwrap_err();
    assert_eq!(error.at, 14);
    assert!(Selector::parse(&"a,".repeat(20_000)).is_err());
}

#[test]
fn negative_conditions_hold_without_the_key() {
    let none = |_: &str| None::<&str>;
    for (text, expected) in [
        ("a!=b", true),
        ("a notin (b)", true),
        ("!a", true),
        ("a", false),
        ("a=b", false),
    ] {
        assert_eq!(
            Selector::parse(text).unwrap().matches(none),
            expected,
            "{text}"
        );
    }
    let empty = |_: &str| Some("");
    assert!(Selector::parse("a=").unwrap().matches(empty));
    assert!(Selector::parse("a in (,x)").unwrap().matches(empty));
}

fn any_operator() -> impl Strategy<Value = Operator> {
    let value = "([a-z0-9]([a-z0-9._-]{0,5}[a-z0-9])?)?";
    prop_oneof![
        Just(Operator::Exists),
        Just(Operator::Absent),
        prop::collection::vec(value, 1..4).prop_map(Operator::In),
        prop::collection::vec(value, 1..4).prop_map(Operator::NotIn),
        any::<i64>()
            .prop_filter("no overflow", |n| *n != i64::MIN)
            .prop_map(Operator::Above),
        any::<i64>()
            .prop_filter("no overflow", |n| *n != i64::MIN)
            .prop_map(Operator::Below),
    ]
}

proptest! {
    #[test]
    fn display_then_parse_is_the_same(
        requirements in prop::collection::vec(
            ("([a-z]{1,3}\\.io/)?[a-zA-Z0-9]{1,8}", any_operator())
                .prop_map(|(key, operator)| Requirement { key, operator }),
            0..6,
        )
    ) {
        let selector = Selector { requirements };
        prop_assert_eq!(Selector::parse(&selector.to_string()).unwrap(), selector.clone());
        let plus = selector.to_string().replace(' ', "+");
        prop_assert_eq!(Selector::parse(&plus).unwrap(), selector);
    }

    #[test]
    fn any_text_is_parsed_or_refused(text in "\\PC{0,40}|[a-c=!<>(),+ ]{0,20}") {
        if let Ok(selector) = Selector::parse(&text) {
            prop_assert_eq!(Selector::parse(&selector.to_string()).unwrap(), selector);
        }
    }
}
