//! Paths that mean one thing only. What is matched and authorised here must be what the upstream
//! sees, so anything that another parser could read differently is refused, not repaired.

/// Why a path is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the path {0}; write it plainly")]
pub(crate) struct OddPath(&'static str);

/// Longest path in bytes.
const MAX_BYTES: usize = 4096;

/// Accepts a path as it stands on the wire (still percent-encoded).
pub(crate) fn check(path: &str) -> Result<(), OddPath> {
    if path.len() > MAX_BYTES {
        return Err(OddPath("is longer than 4096 bytes"));
    }
    if !path.starts_with('/') {
        return Err(OddPath("does not begin with a slash"));
    }
    if path.contains("//") {
        return Err(OddPath("has an empty part"));
    }
    if path.contains(['\\', ';']) || path.bytes().any(|byte| byte.is_ascii_control()) {
        return Err(OddPath(
            "has a backslash, a semicolon or a control character",
        ));
    }
    for segment in path.split('/') {
        let decoded = decode(segment)?;
        if decoded
            .iter()
            .any(|byte| matches!(byte, b'/' | b'\\') || byte.is_ascii_control())
        {
            return Err(OddPath("hides a slash, a backslash or a control character"));
        }
        if matches!(decoded.as_slice(), b"." | b"..") {
            return Err(OddPath("has a dot part"));
        }
    }
    Ok(())
}

fn decode(segment: &str) -> Result<Vec<u8>, OddPath> {
    let mut bytes = segment.bytes();
    let mut decoded = Vec::with_capacity(segment.len());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let mut digit = || {
            let digit = bytes
                .next()
                .and_then(|digit| char::from(digit).to_digit(16));
            digit.and_then(|digit| u8::try_from(digit).ok())
        };
        match (digit(), digit()) {
            (Some(high), Some(low)) => decoded.push(high * 16 + low),
            _ => return Err(OddPath("has a broken percent sign")),
        }
    }
    // Decoding twice must change nothing either.
    if decoded.contains(&b'%') {
        return Err(OddPath("has an encoded percent sign"));
    }
    Ok(decoded)
}

/// A segment as text; only for paths that [`check`] accepted.
pub(crate) fn segment_text(segment: &str) -> Option<String> {
    String::from_utf8(decode(segment).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn only_plain_paths_pass() {
        for good in [
            "/",
            "/bcsapi/v4/storage/a",
            "/a/b.c/..d/e..",
            "/a/%C3%A9",
            "/a/b%20c",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in [
            "a",
            "//",
            "/a//b",
            "/a/../b",
            "/a/./b",
            "/..",
            "/a/%2e%2e/b",
            "/a/.%2E/b",
            "/a%2fb",
            "/a%5cb",
            "/a\\b",
            "/a%00",
            "/a%",
            "/a%2",
            "/a%zz",
            "/a%252f",
            "/a;b=c",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
        assert!(check(&format!("/{}", "a".repeat(5000))).is_err());
    }
}
