//! Configuration files: TOML, unknown keys refused, every error with file, line and key.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

/// Why a configuration file was refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("cannot read {}: {source}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// What the kernel said.
        #[source]
        source: std::io::Error,
    },
    /// It is not TOML.
    #[error("{}: not valid TOML: {detail}", file.display())]
    Syntax {
        /// The file.
        file: PathBuf,
        /// Line, column and what was expected.
        detail: String,
    },
    /// A key is unknown or its value is wrong.
    #[error("{}: {key}: {detail}", file.display())]
    Value {
        /// The file.
        file: PathBuf,
        /// The key as a dotted path.
        key: String,
        /// The rule.
        detail: String,
    },
}

/// Reads the settings `T` from the TOML file `path`.
///
/// # Errors
/// [`ConfigError`] naming file and key; a missing file is an error.
pub fn load<T: DeserializeOwned>(path: &Path) -> Result<T, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
        file: path.to_owned(),
        source,
    })?;
    parse(path, &text)
}

/// The same from text; `path` only names it in errors.
///
/// # Errors
/// As [`load`].
pub fn parse<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, ConfigError> {
    let document = toml::Deserializer::parse(text).map_err(|error| ConfigError::Syntax {
        file: path.to_owned(),
        detail: error.to_string().trim_end().to_owned(),
    })?;
    serde_path_to_error::deserialize(document).map_err(|error| ConfigError::Value {
        file: path.to_owned(),
        key: error.path().to_string(),
        detail: error.inner().message().to_owned(),
    })
}

/// A duration written as `"250ms"`, `"10s"`, `"5m"`, `"2h"`, `"7d"`, or a bare number of seconds.
pub mod duration {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Seconds(u64),
        Text(String),
    }

    /// Parses the text form.
    ///
    /// # Errors
    /// A sentence with the rule.
    pub fn parse(text: &str) -> Result<Duration, String> {
        let rule = || {
            format!(
                "{text:?} is not a duration; write a number with ms, s, m, h or d, such as \"30s\""
            )
        };
        let split = text
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len());
        let (number, unit) = text.split_at(split);
        let number: u64 = number.parse().map_err(|_| rule())?;
        let millis = match unit.trim() {
            "ms" => 1,
            "" | "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(rule()),
        };
        number
            .checked_mul(millis)
            .map(Duration::from_millis)
            .ok_or_else(rule)
    }

    /// For `#[serde(with = "bcs_kit::config::duration")]`.
    ///
    /// # Errors
    /// When the text is no duration.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        match Written::deserialize(deserializer)? {
            Written::Seconds(seconds) => Ok(Duration::from_secs(seconds)),
            Written::Text(text) => parse(&text).map_err(serde::de::Error::custom),
        }
    }

    /// For `#[serde(with = "bcs_kit::config::duration")]`.
    ///
    /// # Errors
    /// The serializer's own.
    pub fn serialize<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        let millis = value.as_millis();
        if millis.is_multiple_of(1_000) {
            serializer.collect_str(&format_args!("{}s", millis / 1_000))
        } else {
            serializer.collect_str(&format_args!("{millis}ms"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        #[serde(with = "duration")]
        wait: Duration,
    }

    #[test]
    fn durations_are_read_with_units() {
        let sample: Sample = parse(Path::new("x.toml"), "wait = \"5m\"").unwrap();
        assert_eq!(sample.wait, Duration::from_secs(300));
        let sample: Sample = parse(Path::new("x.toml"), "wait = 7").unwrap();
        assert_eq!(sample.wait, Duration::from_secs(7));
    }

    #[test]
    fn an_unknown_key_and_a_bad_value_are_named() {
        let error = parse::<Sample>(Path::new("x.toml"), "wait = \"1s\"\nwiat = 3").unwrap_err();
        assert!(error.to_string().contains("wiat"), "{error}");
        let error = parse::<Sample>(Path::new("x.toml"), "wait = \"fast\"").unwrap_err();
        assert!(
            error.to_string().contains("wait") && error.to_string().contains("\"30s\""),
            "{error}"
        );
    }
}
