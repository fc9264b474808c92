use proptest::prelude::*;

use super::*;

fn pool() -> impl Strategy<Value = Resources> {
    (
        0u32..5000,
        0u32..5000,
        prop::collection::vec((0u64..200, 0u64..20), 0..6),
    )
        .prop_map(|(cpus, mem, ranges)| {
            let ranges: Vec<_> = ranges
                .into_iter()
                .map(|(begin, length)| (begin, begin + length))
                .collect();
            Resources::new()
                .with_scalar("cpus", f64::from(cpus) / 1000.0)
                .with_scalar("mem", f64::from(mem))
                .with_ranges("ports", &ranges)
        })
}

proptest! {
    #[test]
    fn what_is_taken_and_given_back_leaves_the_pool_as_it_was(mut have in pool(), wanted in pool()) {
        let before = have.clone();
        if have.contains(&wanted) {
            have.subtract(&wanted);
            prop_assert!(have.overlap(&wanted).is_none());
            have.add(&wanted);
            prop_assert_eq!(have, before);
        }
    }

    #[test]
    fn a_sum_contains_both_parts(left in pool(), right in pool()) {
        let mut sum = left.clone();
        sum.add(&right);
        prop_assert!(sum.contains(&left) && sum.contains(&right));
    }

    #[test]
    fn the_wire_form_reads_back(have in pool()) {
        let wire = have.to_wire(Some("*"));
        prop_assert_eq!(Resources::from_wire(&wire).unwrap(), have);
    }

    #[test]
    fn ports_are_taken_once(mut have in pool(), count in 0usize..30) {
        let before: u64 = have.ranges("ports").iter().map(|(begin, end)| end - begin + 1).sum();
        let taken = have.take_values("ports", count);
        let after: u64 = have.ranges("ports").iter().map(|(begin, end)| end - begin + 1).sum();
        match taken {
            Some(values) => {
                prop_assert_eq!(values.len(), count);
                prop_assert_eq!(before - after, count as u64);
            }
            None => prop_assert_eq!(before, after),
        }
    }
}

#[test]
fn three_decimals_do_not_drift() {
    let mut pool = Resources::new().with_scalar("cpus", 4.0);
    let piece = Resources::new().with_scalar("cpus", 0.1);
    for _ in 0..40 {
        assert!(pool.contains(&piece));
        pool.subtract(&piece);
    }
    assert!(pool.is_empty());
}

#[test]
fn bad_lists_are_named() {
    let range = |begin, end| Resource {
        name: "ports".into(),
        r#type: ValueType::Ranges.number(),
        ranges: Some(Ranges {
            range: vec![Range { begin, end }],
        }),
        ..Resource::default()
    };
    let cases = [
        (vec![scalar("cpus", -1.0)], "cpus"),
        (vec![scalar("cpus", f64::NAN)], "finite"),
        (vec![scalar("", 1.0)], "no name"),
        (vec![range(5, 4)], "ends before"),
        (vec![range(1, 4), range(4, 9)], "twice"),
        (
            vec![Resource {
                scalar: None,
                ..scalar("cpus", 1.0)
            }],
            "no usable value",
        ),
        (vec![scalar("ports", 1.0), range(1, 2)], "two types"),
    ];
    for (list, part) in cases {
        let error = Resources::from_wire(&list).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn the_ends_of_the_number_line_are_safe() {
    let all = Resources::new().with_ranges("ports", &[(0, u64::MAX)]);
    let mut rest = all.clone();
    rest.subtract(&Resources::new().with_ranges("ports", &[(0, 0), (u64::MAX, u64::MAX)]));
    assert_eq!(rest.ranges("ports"), &[(1, u64::MAX - 1)]);
    assert_eq!(all.to_string(), format!("ports:[0-{}]", u64::MAX));
}
