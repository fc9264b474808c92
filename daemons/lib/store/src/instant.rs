//! Points in time as milliseconds since 1970, and their texts.

/// The current time.
pub fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// RFC 3339 in UTC with milliseconds.
pub fn format(milliseconds: i64) -> String {
    jiff::Timestamp::from_millisecond(milliseconds)
        .map(|instant| format!("{instant:.3}"))
        .unwrap_or_else(|_| "0001-01-01T00:00:00Z".to_owned())
}

/// Reads RFC 3339 (any offset, also without a colon) or unix seconds (integer or fraction).
pub fn parse(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Ok(instant) = text.parse::<jiff::Timestamp>() {
        return Some(instant.as_millisecond());
    }
    from_seconds(text.parse::<f64>().ok()?)
}

/// Unix seconds to milliseconds; `None` outside the years that can be written.
pub fn from_seconds(seconds: f64) -> Option<i64> {
    let milliseconds = seconds * 1000.0;
    let range = -377_705_023_201_000.0..=253_402_207_200_000.0;
    #[allow(clippy::cast_possible_truncation, reason = "the range was checked")]
    range
        .contains(&milliseconds)
        .then(|| milliseconds.round() as i64)
}

/// The instant that a JSON value names: text as [`parse`], a number as unix seconds.
pub fn of_value(value: &serde_json::Value) -> Option<i64> {
    match value {
        serde_json::Value::String(text) => parse(text),
        serde_json::Value::Number(number) => from_seconds(number.as_f64()?),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_compared_as_instants() {
        let utc = parse("2021-05-06T02:19:02.123Z").unwrap();
        assert_eq!(parse("2021-05-06T10:19:02.123+08:00"), Some(utc));
        assert_eq!(parse("2021-05-06T10:19:02.123+0800"), Some(utc));
        assert_eq!(parse("1620267542.123"), Some(utc));
        assert_eq!(format(utc), "2021-05-06T02:19:02.123Z");
        assert_eq!(parse("yesterday"), None);
        assert_eq!(parse("1e300"), None);
        assert_eq!(parse("NaN"), None);
    }
}
