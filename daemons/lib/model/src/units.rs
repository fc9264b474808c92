//! Quantities as people write them: cpus in cores, memory and storage in megabytes (MiB), times in
//! seconds. Text that is not a quantity is an error, never a silent zero.

use thiserror::Error;

/// The most cpus that one process may ask for.
pub const MOST_CPUS: f64 = 4096.0;
/// The most memory or storage that one process may ask for, in megabytes (1 PiB).
pub const MOST_MEGABYTES: f64 = 1_073_741_824.0;
/// The smallest share of a core that Mesos can express.
pub const LEAST_CPUS: f64 = 0.001;

/// Why a text is not a quantity.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum UnitError {
    /// Nothing is written.
    #[error("is empty; write a quantity such as \"{example}\" or leave the field out")]
    Empty {
        /// A good value.
        example: &'static str,
    },
    /// Not a number with a known suffix.
    #[error("\"{text}\" is not {what}; write it as \"{example}\"")]
    Syntax {
        /// What was written.
        text: String,
        /// What was wanted.
        what: &'static str,
        /// A good value.
        example: &'static str,
    },
    /// Outside of what a host can have.
    #[error("\"{text}\" is out of range; allowed is {least} to {most}")]
    Range {
        /// What was written.
        text: String,
        /// The least allowed value.
        least: f64,
        /// The greatest allowed value.
        most: f64,
    },
}

/// Cores: `"0.5"`, `"2"`, or thousandths of a core, `"500m"`.
pub fn cpus(text: &str) -> Result<f64, UnitError> {
    let (digits, factor) = match text.trim().strip_suffix('m') {
        Some(digits) => (digits, 0.001),
        None => (text.trim(), 1.0),
    };
    let value = number(text, digits, "a number of cores", "0.5")? * factor;
    within(
        text,
        (value * 1000.0).round() / 1000.0,
        LEAST_CPUS,
        MOST_CPUS,
    )
}

/// Memory in megabytes: `"512"`, or with a unit, `"512Mi"`, `"2Gi"`. Zero is refused.
pub fn memory_megabytes(text: &str) -> Result<f64, UnitError> {
    within(
        text,
        megabytes(text, "an amount of memory in megabytes")?,
        1.0,
        MOST_MEGABYTES,
    )
}

/// Storage in megabytes: `"512"`, `"512Mi"`, `"2Gi"`; `"0"` asks for none.
pub fn storage_megabytes(text: &str) -> Result<f64, UnitError> {
    within(
        text,
        megabytes(text, "an amount of storage in megabytes")?,
        0.0,
        MOST_MEGABYTES,
    )
}

fn megabytes(text: &str, what: &'static str) -> Result<f64, UnitError> {
    const SUFFIXES: [(&str, f64); 8] = [
        ("Mi", 1.0),
        ("MB", 1.0),
        ("M", 1.0),
        ("Gi", 1024.0),
        ("GB", 1024.0),
        ("G", 1024.0),
        ("Ti", 1_048_576.0),
        ("Ki", 1.0 / 1024.0),
    ];
    let trimmed = text.trim();
    let (digits, factor) = SUFFIXES
        .iter()
        .find_map(|(suffix, factor)| Some((trimmed.strip_suffix(suffix)?, *factor)))
        .unwrap_or((trimmed, 1.0));
    Ok(number(text, digits, what, "256")? * factor)
}

fn number(
    text: &str,
    digits: &str,
    what: &'static str,
    example: &'static str,
) -> Result<f64, UnitError> {
    if text.trim().is_empty() {
        return Err(UnitError::Empty { example });
    }
    // f64 would also take "inf", "nan", "1e3" and "+1".
    let plain = digits
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    let value = if plain {
        digits.parse::<f64>().ok()
    } else {
        None
    };
    value
        .filter(|value| value.is_finite())
        .ok_or_else(|| UnitError::Syntax {
            text: text.to_owned(),
            what,
            example,
        })
}

fn within(text: &str, value: f64, least: f64, most: f64) -> Result<f64, UnitError> {
    if value < least || value > most {
        return Err(UnitError::Range {
            text: text.to_owned(),
            least,
            most,
        });
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::{cpus, memory_megabytes, storage_megabytes};
    use proptest::prelude::*;

    #[test]
    fn good_quantities() {
        for (text, value) in [
            ("0.5", 0.5),
            ("1", 1.0),
            ("500m", 0.5),
            (" 2 ", 2.0),
            ("0.001", 0.001),
        ] {
            assert_eq!(cpus(text), Ok(value), "{text}");
        }
        for (text, value) in [
            ("64", 64.0),
            ("64Mi", 64.0),
            ("2Gi", 2048.0),
            ("1.5G", 1536.0),
            ("2048Ki", 2.0),
        ] {
            assert_eq!(memory_megabytes(text), Ok(value), "{text}");
        }
        assert_eq!(storage_megabytes("0"), Ok(0.0));
    }

    #[test]
    fn bad_quantities_are_errors_and_never_zero() {
        for text in [
            "", " ", "x", "-1", "1e3", "inf", "NaN", "1,5", "0", "0.0001", "99999", "m", ".",
        ] {
            assert!(cpus(text).is_err(), "{text}");
        }
        for text in ["", "64 MB x", "-1", "0", "Mi", "1e9", "9999999999999"] {
            assert!(memory_megabytes(text).is_err(), "{text}");
        }
        assert!(storage_megabytes("").is_err());
        let message = cpus("half").unwrap_err().to_string();
        assert!(
            message.contains("half") && message.contains("0.5"),
            "{message}"
        );
    }

    proptest! {
        #[test]
        fn garbage_never_panics(text in ".{0,40}") {
            drop((cpus(&text), memory_megabytes(&text), storage_megabytes(&text)));
        }

        #[test]
        fn whole_numbers_read_back(value in 1_u32..100_000) {
            prop_assert_eq!(memory_megabytes(&value.to_string()), Ok(f64::from(value)));
        }
    }
}
