//! Label selectors: the Kubernetes grammar, and the older form with `+` between the words.
//!
//! ```text
//! selector    = requirement { "," requirement }        (empty selects everything)
//! requirement = key | "!" key | key op value | key set "(" value { "," value } ")"
//! op          = "=" | "==" | "!=" | ">" | "<"
//! set         = "in" | "notin"
//! ```
//! `+` counts as a blank, since it can be no part of a key or a value: `k+in+(a,b)` is `k in (a,b)`.
//! As in Kubernetes, `!=` and `notin` also select objects without the key. What cannot be read is an
//! error: a dropped condition would select more than asked for.

/// Longest selector text.
const MAX_BYTES: usize = 16 * 1024;

/// How a requirement compares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operator {
    /// The key is there.
    Exists,
    /// The key is not there.
    Absent,
    /// The value is one of these.
    In(Vec<String>),
    /// The value is none of these, or the key is not there.
    NotIn(Vec<String>),
    /// The value is an integer above this.
    Above(i64),
    /// The value is an integer below this.
    Below(i64),
}

/// One condition on one label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// Label key, dots and all.
    pub key: String,
    /// The condition.
    pub operator: Operator,
}

/// All requirements must hold; none selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    /// The conditions.
    pub requirements: Vec<Requirement>,
}

/// A selector that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("labelSelector {text:?}: at character {at}: expected {expected}")]
pub struct SelectorError {
    /// The selector (shortened).
    pub text: String,
    /// Where, counted in characters from 1.
    pub at: usize,
    /// What would have been right.
    pub expected: &'static str,
}

impl Selector {
    /// Reads either grammar.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        if text.len() > MAX_BYTES {
            return Err(error(text, 0, "at most 16384 bytes"));
        }
        let mut parser = Parser {
            text,
            characters: text.chars().collect(),
            at: 0,
        };
        let mut requirements = Vec::new();
        parser.blanks();
        if parser.peek().is_none() {
            return Ok(Self { requirements });
        }
        loop {
            requirements.push(parser.requirement()?);
            parser.blanks();
            match parser.peek() {
                None => return Ok(Self { requirements }),
                Some(',') => parser.at += 1,
                Some(_) => return Err(parser.error("a comma or the end")),
            }
        }
    }

    /// Whether there is no condition at all.
    pub fn is_everything(&self) -> bool {
        self.requirements.is_empty()
    }

    /// Whether labels, found by key, satisfy every requirement.
    pub fn matches<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.requirements.iter().all(|requirement| {
            let value = label(&requirement.key);
            match &requirement.operator {
                Operator::Exists => value.is_some(),
                Operator::Absent => value.is_none(),
                Operator::In(values) => value.is_some_and(|v| values.iter().any(|w| w == v)),
                Operator::NotIn(values) => value.is_none_or(|v| values.iter().all(|w| w != v)),
                Operator::Above(bound) => value
                    .and_then(label_integer)
                    .is_some_and(|found| found > *bound),
                Operator::Below(bound) => value
                    .and_then(label_integer)
                    .is_some_and(|found| found < *bound),
            }
        })
    }
}

/// Digits with an optional minus; nothing else counts as an integer label.
pub fn label_integer(value: &str) -> Option<i64> {
    let digits = value.strip_prefix('-').unwrap_or(value);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    value.parse().ok()
}

impl std::fmt::Display for Selector {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, Requirement { key, operator }) in self.requirements.iter().enumerate() {
            if index > 0 {
                formatter.write_str(",")?;
            }
            match operator {
                Operator::Exists => formatter.write_str(key)?,
                Operator::Absent => write!(formatter, "!{key}")?,
                Operator::In(values) => write!(formatter, "{key} in ({})", values.join(","))?,
                Operator::NotIn(values) => write!(formatter, "{key} notin ({})", values.join(","))?,
                Operator::Above(bound) => write!(formatter, "{key}>{bound}")?,
                Operator::Below(bound) => write!(formatter, "{key}<{bound}")?,
            }
        }
        Ok(())
    }
}

fn error(text: &str, at: usize, expected: &'static str) -> SelectorError {
    SelectorError {
        text: text.chars().take(120).collect(),
        at: at + 1,
        expected,
    }
}

struct Parser<'a> {
    text: &'a str,
    characters: Vec<char>,
    at: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<char> {
        self.characters.get(self.at).copied()
    }

    fn error(&self, expected: &'static str) -> SelectorError {
        error(self.text, self.at, expected)
    }

    fn blanks(&mut self) {
        while self
            .peek()
            .is_some_and(|c| c == '+' || c.is_ascii_whitespace())
        {
            self.at += 1;
        }
    }

    fn eat(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.at += 1;
        }
        found
    }

    fn word(&mut self) -> String {
        let word: String = self
            .characters
            .iter()
            .skip(self.at)
            .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '/'))
            .collect();
        self.at += word.len();
        word
    }

    fn requirement(&mut self) -> Result<Requirement, SelectorError> {
        self.blanks();
        let negated = self.eat('!');
        self.blanks();
        let start = self.at;
        let key = self.word();
        if !is_key(&key) {
            return Err(error(
                self.text,
                start,
                "a label key such as app or example.io/name",
            ));
        }
        self.blanks();
        if negated {
            return Ok(Requirement {
                key,
                operator: Operator::Absent,
            });
        }
        let operator = match self.peek() {
            None | Some(',') => Operator::Exists,
            Some('=') => {
                self.at += 1;
                self.eat('=');
                Operator::In(vec![self.value()?])
            }
            Some('!') => {
                self.at += 1;
                if !self.eat('=') {
                    return Err(self.error("'=' after '!'"));
                }
                Operator::NotIn(vec![self.value()?])
            }
            Some('>') => {
                self.at += 1;
                Operator::Above(self.number()?)
            }
            Some('<') => {
                self.at += 1;
                Operator::Below(self.number()?)
            }
            Some(_) => {
                let start = self.at;
                match self.word().as_str() {
                    "in" => Operator::In(self.values()?),
                    "notin" => Operator::NotIn(self.values()?),
                    _ => {
                        return Err(error(
                            self.text,
                            start,
                            "one of =, ==, !=, >, <, in (...), notin (...)",
                        ));
                    }
                }
            }
        };
        Ok(Requirement { key, operator })
    }

    fn value(&mut self) -> Result<String, SelectorError> {
        self.blanks();
        let start = self.at;
        let value = self.word();
        if is_value(&value) {
            Ok(value)
        } else {
            Err(error(
                self.text,
                start,
                "a label value of at most 63 letters, digits, '-', '_', '.'",
            ))
        }
    }

    fn number(&mut self) -> Result<i64, SelectorError> {
        self.blanks();
        let start = self.at;
        let word = self.word();
        label_integer(&word).ok_or_else(|| error(self.text, start, "an integer"))
    }

    fn values(&mut self) -> Result<Vec<String>, SelectorError> {
        self.blanks();
        if !self.eat('(') {
            return Err(self.error("'('"));
        }
        let mut values = Vec::new();
        loop {
            values.push(self.value()?);
            self.blanks();
            if self.eat(')') {
                return Ok(values);
            }
            if !self.eat(',') {
                return Err(self.error("',' or ')'"));
            }
        }
    }
}

fn is_key(key: &str) -> bool {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    !name.is_empty()
        && is_value(name)
        && prefix.is_none_or(|prefix| {
            !prefix.is_empty()
                && prefix.len() <= 253
                && prefix.split('.').all(|label| {
                    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
                    edge(label.as_bytes().first())
                        && edge(label.as_bytes().last())
                        && label
                            .bytes()
                            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                })
        })
}

fn is_value(value: &str) -> bool {
    let edge = |byte: Option<&u8>| byte.is_none_or(u8::is_ascii_alphanumeric);
    value.len() <= 63
        && edge(value.as_bytes().first())
        && edge(value.as_bytes().last())
        && value
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

#[cfg(test)]
#[path = "selector_tests.rs"]
mod tests;
