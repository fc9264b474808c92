//! Splits a command line into words as a POSIX shell would, and does nothing else a shell does:
//! no variables, no globs, no redirections.

/// A command line that cannot be split.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("command {line:?}: {reason}")]
pub struct WordError {
    line: String,
    reason: &'static str,
}

/// The words of a line.
///
/// # Errors
/// When a quote is not closed or a backslash ends the line.
pub fn split(line: &str) -> Result<Vec<String>, WordError> {
    let refuse = |reason| WordError {
        line: line.to_owned(),
        reason,
    };
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut rest = line.chars();
    while let Some(letter) = rest.next() {
        match letter {
            ' ' | '\t' | '\n' | '\r' => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match rest.next() {
                        Some('\'') => break,
                        Some(letter) => word.push(letter),
                        None => return Err(refuse("a single quote is not closed")),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match rest.next() {
                        Some('"') => break,
                        Some('\\') => match rest.next() {
                            Some(escaped @ ('"' | '\\' | '$' | '`')) => word.push(escaped),
                            Some('\n') => {}
                            Some(other) => word.extend(['\\', other]),
                            None => return Err(refuse("a double quote is not closed")),
                        },
                        Some(letter) => word.push(letter),
                        None => return Err(refuse("a double quote is not closed")),
                    }
                }
            }
            '\\' => match rest.next() {
                Some('\n') => {}
                Some(letter) => word.get_or_insert_default().push(letter),
                None => return Err(refuse("it ends with a backslash")),
            },
            letter => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_backslashes_are_those_of_a_shell() {
        let cases: [(&str, &[&str]); 9] = [
            ("", &[]),
            ("  a  b\tc ", &["a", "b", "c"]),
            ("'a b' c", &["a b", "c"]),
            (r#""a \"b\" $HOME \x" d"#, &[r#"a "b" $HOME \x"#, "d"]),
            (r"a\ b \'", &["a b", "'"]),
            ("''", &[""]),
            ("a''b\"c\"", &["abc"]),
            ("a 'b'\"'\"'c'", &["a", "b'c"]),
            ("*.c > out; rm $X", &["*.c", ">", "out;", "rm", "$X"]),
        ];
        for (line, words) in cases {
            assert_eq!(split(line).unwrap(), words, "{line}");
        }
        for line in ["'a", "\"a", "a\\", "\"a\\"] {
            assert!(split(line).is_err(), "{line}");
        }
    }

    proptest::proptest! {
        #[test]
        fn quoted_words_come_back(words in proptest::collection::vec(".*", 0..6)) {
            let line: Vec<String> =
                words.iter().map(|word| format!("'{}'", word.replace('\'', r"'\''"))).collect();
            proptest::prop_assert_eq!(split(&line.join(" ")).unwrap(), words);
        }
    }
}
