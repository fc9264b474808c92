//! Facts about this host.

/// Its name, or `localhost` where it has none that can stand in a certificate.
pub fn name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    let sound = !name.is_empty()
        && name.len() <= 253
        && name
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '.'));
    if sound && !name.starts_with('-') {
        name.to_owned()
    } else {
        "localhost".to_owned()
    }
}
