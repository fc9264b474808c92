//! Durations as Mesos writes them in environment variables: a number and a unit, such as `2secs` or `1.5mins`.

use std::time::Duration;

use crate::types::DurationInfo;

/// The text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a duration: write a number and one of ns us ms secs mins hrs days weeks, such as \"1.5mins\""
)]
pub struct DurationError(pub String);

const UNITS: [(&str, f64); 8] = [
    ("ns", 1e-9),
    ("us", 1e-6),
    ("ms", 1e-3),
    ("secs", 1.0),
    ("mins", 60.0),
    ("hrs", 3600.0),
    ("days", 86_400.0),
    ("weeks", 604_800.0),
];

/// Reads `2secs`, `1.5mins`, `500ms`.
///
/// # Errors
/// The number or the unit is not known, or the value is negative or beyond what a duration holds.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    let error = || DurationError(text.chars().take(64).collect());
    let trimmed = text.trim();
    let split = trimmed
        .find(|c: char| c.is_ascii_alphabetic())
        .ok_or_else(error)?;
    let (number, unit) = trimmed.split_at_checked(split).ok_or_else(error)?;
    let number: f64 = number.trim().parse().map_err(|_| error())?;
    let (_, factor) = UNITS
        .iter()
        .find(|(name, _)| *name == unit)
        .ok_or_else(error)?;
    Duration::try_from_secs_f64(number * factor).map_err(|_| error())
}

/// Writes a duration in the largest unit that divides it.
pub fn format(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    let units: [(&str, u128); 8] = [
        ("weeks", 604_800_000_000_000),
        ("days", 86_400_000_000_000),
        ("hrs", 3_600_000_000_000),
        ("mins", 60_000_000_000),
        ("secs", 1_000_000_000),
        ("ms", 1_000_000),
        ("us", 1_000),
        ("ns", 1),
    ];
    let (unit, size) = units
        .iter()
        .find(|(_, size)| nanos != 0 && nanos.is_multiple_of(*size))
        .unwrap_or(&("secs", 1));
    format!("{}{unit}", nanos / size)
}

impl DurationInfo {
    /// The protocol's form of a duration; beyond 292 years it is cut.
    pub fn from_duration(duration: Duration) -> Self {
        Self {
            nanoseconds: i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX),
        }
    }

    /// The duration; negative values read as zero.
    pub fn to_duration(&self) -> Duration {
        Duration::from_nanos(u64::try_from(self.nanoseconds).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_is_read_and_written() {
        let cases = [
            ("2secs", 2000),
            ("1.5mins", 90_000),
            ("15mins", 900_000),
            ("500ms", 500),
            ("1hrs", 3_600_000),
            ("1days", 86_400_000),
            ("2weeks", 1_209_600_000),
            ("1000us", 1),
            ("1000000ns", 1),
            ("0secs", 0),
            (" 5 secs ", 5000),
        ];
        for (text, milliseconds) in cases {
            let duration = parse(text).unwrap();
            assert_eq!(duration, Duration::from_millis(milliseconds), "{text}");
            assert_eq!(parse(&format(duration)).unwrap(), duration);
        }
        assert_eq!(format(Duration::from_secs(120)), "2mins");
        for bad in [
            "",
            "5",
            "secs",
            "-1secs",
            "1 lightyears",
            "nansecs",
            "1e999weeks",
            "é",
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
