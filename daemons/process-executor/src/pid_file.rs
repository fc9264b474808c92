//! Finds a daemonised program through the file that it writes its pid into.

use std::fs;
use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::notify::DirectoryWatch;
use crate::step::Process;

/// Looks again after this long even without an event: the directory may not exist yet, or be on a
/// file system that tells nothing.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// Waits until the file names a living process of the right name.
///
/// # Errors
/// What was wrong when the time was up.
pub async fn wait(path: &Path, name: &str, limit: Duration) -> Result<Process, String> {
    let deadline = Instant::now() + limit;
    // Before the first look, so that nothing is missed in between.
    let mut watch = path.parent().and_then(|dir| DirectoryWatch::new(dir).ok());
    loop {
        let why = match look(path, name) {
            Ok(process) => return Ok(process),
            Err(why) => why,
        };
        if Instant::now() >= deadline {
            let seconds = limit.as_secs_f64();
            return Err(format!(
                "the program was not found within {seconds} s: {why}"
            ));
        }
        let until = deadline.min(Instant::now() + LOOK_AGAIN);
        match &mut watch {
            // Either way it is time to look again.
            Some(watch) => drop(timeout_at(until, watch.changed()).await),
            None => {
                tokio::time::sleep_until(until).await;
                watch = path.parent().and_then(|dir| DirectoryWatch::new(dir).ok());
            }
        }
    }
}

fn look(path: &Path, name: &str) -> Result<Process, String> {
    let shown = path.display();
    let text = fs::read_to_string(path).map_err(|error| format!("pid file {shown}: {error}"))?;
    let pid: i32 = match text.trim().parse() {
        Ok(pid) if pid > 1 => pid,
        _ => {
            let start: String = text.chars().take(40).collect();
            return Err(format!(
                "pid file {shown} holds {start:?}, not a process number"
            ));
        }
    };
    let start_time = bcs_keeper::proc::start_time(pid)
        .ok_or_else(|| format!("pid file {shown} names process {pid}, which does not run"))?;
    let names = names(pid);
    // The kernel cuts comm after 15 bytes.
    let same = |own: &String| own == name || own.len() == 15 && name.starts_with(own.as_str());
    if name.is_empty() || names.iter().any(same) {
        return Ok(Process { pid, start_time });
    }
    Err(format!(
        "pid file {shown} names process {pid}, which is {names:?} and not {name:?}"
    ))
}

/// The names a process goes by: its executable, its command name, and the script it runs.
fn names(pid: i32) -> Vec<String> {
    let base = |path: &Path| {
        let name = path.file_name()?.to_string_lossy().into_owned();
        Some(name.strip_suffix(" (deleted)").unwrap_or(&name).to_owned())
    };
    let mut names = Vec::new();
    names.extend(
        fs::read_link(format!("/proc/{pid}/exe"))
            .ok()
            .and_then(|exe| base(&exe)),
    );
    let comm = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    names.push(comm.trim_end_matches('\n').to_owned());
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words = line.split(|byte| *byte == 0).take(2);
    names.extend(words.filter_map(|word| base(Path::new(std::str::from_utf8(word).ok()?))));
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_file_may_come_late_and_end_with_a_line_feed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pid");
        let own = std::process::id();
        let task = {
            let path = path.clone();
            async move { wait(&path, "", Duration::from_secs(10)).await }
        };
        let write = async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            fs::write(&path, format!(" {own}\n")).unwrap();
        };
        let (found, ()) = tokio::join!(task, write);
        assert_eq!(found.unwrap().pid, i32::try_from(own).unwrap());
        let wrong = wait(&path, "other", Duration::from_millis(10))
            .await
            .unwrap_err();
        assert!(wrong.contains("not \"other\""), "{wrong}");
        fs::write(&path, "abc").unwrap();
        let text = wait(&path, "", Duration::from_millis(10))
            .await
            .unwrap_err();
        assert!(text.contains("\"abc\""), "{text}");
    }
}
