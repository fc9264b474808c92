//! What `/proc` tells about a process. Identity is pid *and* start time: pids are reused.

use std::fs;

/// Fields of `/proc/<pid>/stat` that matter here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Process state letter; `Z` and `X` are dead.
    pub state: u8,
    /// Session id.
    pub session: i32,
    /// Clock ticks since boot at which the process started; survives exec.
    pub start_time: u64,
    /// Wait status, true only for a zombie.
    pub exit_code: i32,
}

impl Stat {
    /// Whether the process still runs (a zombie does not).
    pub fn alive(&self) -> bool {
        !matches!(self.state, b'Z' | b'X')
    }
}

/// Reads the stat line of a process; `None` when there is no such process.
pub fn stat(pid: i32) -> Option<Stat> {
    parse(&fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// Parses a stat line. The name is in parentheses and may itself hold blanks and parentheses,
/// hence the search for the last closing one.
pub fn parse(line: &[u8]) -> Option<Stat> {
    let end = line.iter().rposition(|byte| *byte == b')')?;
    let text = std::str::from_utf8(line.get(end + 1..)?).ok()?;
    let fields: Vec<&str> = text.split_ascii_whitespace().collect();
    let number = |index: usize| {
        fields
            .get(index)
            .and_then(|field| field.parse::<i64>().ok())
    };
    Some(Stat {
        state: *fields.first()?.as_bytes().first()?,
        session: i32::try_from(number(3)?).ok()?,
        start_time: u64::try_from(number(19)?).ok()?,
        exit_code: number(49)
            .and_then(|code| i32::try_from(code).ok())
            .unwrap_or(0),
    })
}

/// Start time of a process that runs now.
pub fn start_time(pid: i32) -> Option<u64> {
    stat(pid).filter(Stat::alive).map(|stat| stat.start_time)
}

/// Identifies the running boot of the kernel.
pub fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|text| text.trim().to_owned())
        .unwrap_or_default()
}

/// Live processes of a session that started no earlier than its leader did.
pub fn session_members(session: i32, since: u64) -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| {
            stat(*pid).is_some_and(|stat| {
                stat.session == session && stat.start_time >= since && stat.alive()
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_process_is_alive_and_has_a_start_time() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let stat = stat(pid).unwrap();
        assert!(stat.alive());
        assert_eq!(start_time(pid), Some(stat.start_time));
        assert!(!boot_id().is_empty());
    }

    #[test]
    fn a_name_with_parentheses_and_blanks_is_parsed() {
        let mut line = b"7 (a ) b) Z 1 5 6 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4242".to_vec();
        line.extend_from_slice(b" 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 768\n");
        let stat = parse(&line).unwrap();
        assert_eq!((stat.state, stat.session, stat.start_time), (b'Z', 6, 4242));
        assert!(!stat.alive());
        assert_eq!(parse(b"garbage"), None);
    }
}
