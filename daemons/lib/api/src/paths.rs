//! Paths behind the gateway.

use crate::Kind;
use bcs_model::ids::TaskGroupId;

/// To the driver.
pub(crate) const SCHEDULER: &str = "/bcsapi/v4/scheduler/mesos";
/// To the storage.
pub(crate) const STORAGE: &str = "/bcsapi/v4/storage";

/// One part of a path or query, so that no name changes the path.
pub(crate) fn part(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// The collection of a namespace at the driver.
pub(crate) fn collection(kind: Kind, namespace: &str) -> String {
    format!(
        "{SCHEDULER}/namespaces/{}/{}",
        part(namespace),
        kind.plural()
    )
}

/// One object at the driver.
pub(crate) fn object(kind: Kind, namespace: &str, name: &str) -> String {
    format!("{}/{}", collection(kind, namespace), part(name))
}

/// One taskgroup at the driver. Both kinds have these routes; the driver forwards them alike.
pub(crate) fn taskgroup(id: &TaskGroupId) -> String {
    let app = object(Kind::Application, &id.namespace, &id.app);
    format!("{app}/taskgroups/{}", part(&id.to_string()))
}

#[cfg(test)]
mod tests {
    use super::part;

    #[test]
    fn no_name_leaves_its_part() {
        assert_eq!(part("../a b?c=1&d#é"), "..%2Fa%20b%3Fc%3D1%26d%23%C3%A9");
        assert_eq!(
            part("0.web.games.BCS-MESOS-10000.1"),
            "0.web.games.BCS-MESOS-10000.1"
        );
    }
}
