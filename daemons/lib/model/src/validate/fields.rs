//! The rules of single fields: names, paths, ports, variables, labels, packages.

use super::Problems;
use crate::ids;
use crate::meta::ObjectMeta;
use crate::units::UnitError;

/// A path that begins with one of these is absolute on the host once it is rendered.
const ROOTS: [&str; 5] = [
    "${work_base_dir}",
    "${run_base_dir}",
    "${workPath}",
    "${work_path}",
    "$BCS_",
];

impl Problems {
    /// A name, for which dots and capitals would break the identifiers.
    pub(super) fn name(&mut self, path: &str, value: &str) {
        if value.is_empty() {
            self.missing(path, "write a name of lower-case letters, digits and '-'");
        } else if !ids::is_label(value) {
            self.add(
                path,
                value,
                "must be 1 to 63 lower-case letters, digits or '-', beginning and ending with a \
                 letter or digit",
            );
        }
    }

    /// A namespace: as a name, but `defaultGroup` and its like may have capitals.
    pub(super) fn namespace(&mut self, path: &str, value: &str) {
        if !ids::is_label(&value.to_ascii_lowercase()) {
            self.add(
                path,
                value,
                "must be 1 to 63 letters, digits or '-', beginning and ending with a letter or \
                 digit",
            );
        }
    }

    /// Labels and annotations; keys as in Kubernetes, so that selectors can name them.
    pub(super) fn metadata(&mut self, path: &str, meta: &ObjectMeta) {
        for (map, entries, most) in [
            ("labels", &meta.labels, 1024_usize),
            ("annotations", &meta.annotations, 256 * 1024),
        ] {
            for (key, value) in entries {
                if !is_label_key(key) {
                    self.add(
                        format!("{path}.{map}"),
                        key,
                        "is not a key: use letters, digits, '-', '_' and '.', at most 63, with an \
                         optional domain and '/' in front",
                    );
                }
                if value.len() > most || value.contains('\0') {
                    let rule = format!("must be at most {most} bytes without NUL");
                    self.add(format!("{path}.{map}.{key}"), value, rule);
                }
            }
        }
    }

    /// An environment variable's name, which may be a template.
    pub(super) fn variable(&mut self, path: String, name: &str) {
        let plain = without_templates(name);
        let sound = !plain.is_empty()
            && !plain.starts_with(|first: char| first.is_ascii_digit())
            && plain
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'));
        if !sound {
            self.add(
                path,
                name,
                "is not the name of a variable: use letters, digits, '_', '.' and '-', not \
                 beginning with a digit",
            );
        }
    }

    /// A path on the host: absolute once it is rendered, and it cannot climb.
    pub(super) fn host_path(&mut self, path: String, value: &str) {
        if value.is_empty() {
            return;
        }
        let rooted = value.starts_with('/') || ROOTS.iter().any(|root| value.starts_with(root));
        if !rooted {
            self.add(
                path,
                value,
                "must be an absolute path, or begin with ${work_base_dir}, ${run_base_dir} or \
                 ${workPath}",
            );
        } else if value.len() > 4000 || value.chars().any(char::is_control) {
            self.add(
                path,
                value,
                "must be at most 4000 bytes without control characters",
            );
        } else if value.split('/').any(|part| part == "..") {
            self.add(
                path,
                value,
                "must not contain '..'; write the path that is meant",
            );
        }
    }

    /// A command line: anything that a program can be started with.
    pub(super) fn command(&mut self, path: String, value: &str) {
        if value.len() > 32_768 || value.contains('\0') {
            self.add(path, value, "must be at most 32768 bytes without NUL");
        }
    }

    /// A port number between `least` and 65535.
    pub(super) fn port(&mut self, path: String, value: i64, least: i64) {
        if value < least || value > 65_535 {
            let rule = match least {
                0 => "must be 0 to 65535; 0 takes any free port",
                1 => "must be 1 to 65535",
                _ => "must be -1 to 65535; 0 takes any free port, -1 publishes none",
            };
            self.add(path, value, rule);
        }
    }

    /// A count or a time that cannot be negative or absurd.
    pub(super) fn bounded(&mut self, path: String, value: i64, most: i64) {
        if value < 0 || value > most {
            self.add(path, value, format!("must be 0 to {most}"));
        }
    }

    /// One of some words, spelled exactly.
    pub(super) fn word(&mut self, path: String, value: &str, words: &[&str]) {
        if !words.contains(&value) {
            self.add(path, value, format!("must be one of {}", words.join(", ")));
        }
    }

    /// A quantity that may be left out.
    pub(super) fn quantity(
        &mut self,
        path: String,
        value: &str,
        parse: fn(&str) -> Result<f64, UnitError>,
    ) -> Option<f64> {
        if value.is_empty() {
            return None;
        }
        match parse(value) {
            Ok(number) => Some(number),
            Err(error @ UnitError::Range { .. }) => {
                let text = error.to_string();
                let rule = text
                    .split_once("\" ")
                    .map_or(text.as_str(), |(_, rule)| rule);
                self.add(path, value, rule.to_owned());
                None
            }
            Err(UnitError::Syntax { what, example, .. }) => {
                self.add(
                    path,
                    value,
                    format!("is not {what}; write it as \"{example}\""),
                );
                None
            }
            Err(UnitError::Empty { example }) => {
                self.add(path, value, format!("is blank; write it as \"{example}\""));
                None
            }
        }
    }

    /// The address of a package.
    pub(super) fn package(&mut self, path: &str, uri: &crate::dataclass::Uri) {
        let value = uri.value.as_str();
        let at = format!("{path}.Value");
        if value.is_empty() {
            self.missing(
                at,
                "write the address of the package, http://, https:// or file:///",
            );
        } else if let Some(file) = value.strip_prefix("file://") {
            if !file.starts_with('/') {
                self.add(
                    at,
                    value,
                    "must name an absolute path: file:///path/to/package.tar.gz",
                );
            }
        } else {
            self.web_address(at, value);
        }
        self.host_path(format!("{path}.OutputDir"), &uri.output_dir);
        if !uri.checksum.is_empty() && !is_checksum(&uri.checksum) {
            self.add(
                format!("{path}.Checksum"),
                &uri.checksum,
                "must be sha256:, sha1: or md5: and the digest in hexadecimal",
            );
        }
        if uri.user.is_empty() && !uri.pwd.is_empty() {
            self.missing(format!("{path}.User"), "a password needs a user");
        }
    }

    /// An http or https address. An embedded password is not repeated in the error.
    pub(super) fn web_address(&mut self, path: String, value: &str) {
        let rest = value
            .strip_prefix("http://")
            .or_else(|| value.strip_prefix("https://"));
        let host = rest.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or_default());
        match host {
            None => {
                let scheme = value.split(':').next().unwrap_or_default();
                self.add(
                    path,
                    scheme,
                    "is not a known scheme; use http://, https:// or file:///",
                );
            }
            Some("") => self.add(path, value, "names no host"),
            Some(host) if host.contains('@') => self.add(
                path,
                "an address with user and password",
                "is refused because it would be shown; write them as User and Pwd",
            ),
            Some(_) if value.chars().any(|c| c.is_whitespace() || c.is_control()) => {
                self.add(path, value, "must not contain blanks; encode them as %20");
            }
            Some(_) => {}
        }
    }
}

/// A text with every `${…}` taken as one letter.
pub(super) fn without_templates(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        plain.push_str(before);
        let Some((_, behind)) = after.split_once('}') else {
            return text.to_owned();
        };
        plain.push('x');
        rest = behind;
    }
    plain.push_str(rest);
    plain
}

/// The key grammar of Kubernetes: `[domain/]name`.
pub(super) fn is_label_key(key: &str) -> bool {
    let (domain, name) = match key.split_once('/') {
        Some((domain, name)) => (Some(domain), name),
        None => (None, key),
    };
    let word = |text: &str, most: usize| {
        !text.is_empty()
            && text.len() <= most
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.ends_with(|c: char| c.is_ascii_alphanumeric())
    };
    word(name, 63) && domain.is_none_or(|domain| word(domain, 253))
}

/// The key of a value in a configmap or secret.
pub(super) fn is_data_key(key: &str) -> bool {
    !key.is_empty()
        && key.len() <= 253
        && key
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

/// An account of the host: a name, or a number.
pub(super) fn is_account(text: &str) -> bool {
    text.len() <= 32
        && !text.starts_with(['-', '.'])
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

fn is_checksum(text: &str) -> bool {
    let Some((algorithm, digest)) = text.split_once(':') else {
        return false;
    };
    let length = match algorithm {
        "sha256" => 64,
        "sha1" => 40,
        "md5" => 32,
        _ => return false,
    };
    digest.len() == length && digest.bytes().all(|byte| byte.is_ascii_hexdigit())
}
