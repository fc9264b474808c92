//! The keeper's memory on disk: one append-only file of short lines.
//!
//! ```text
//! B <boot id>                          first line
//! S <id> <pid> <start>                 written by the child itself, before exec
//! N <id> <pid>                         that child could not exec
//! A <id> <pid> <start>                 adopted
//! X <id> <pid> <c|s|u> <value> <time>  ended: code, signal, unknown
//! F <id>                               forgotten
//! ```
//!
//! Lines are written with one `write` on an `O_APPEND` descriptor, with a line feed on *both* ends, so
//! that a line torn by a full disk spoils no other. Nothing is synced to the device: a record has
//! to survive the death of the keeper, for which the page cache is enough; the death of the
//! machine ends every task anyway, and the boot id tells.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::protocol::{Exit, Status, Task};

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    lines: usize,
    /// Lines that a full disk refused; written at the next chance.
    owed: Vec<String>,
}

/// What an older journal held.
#[derive(Debug, Default)]
pub struct Loaded {
    /// Tasks that were not forgotten.
    pub tasks: BTreeMap<String, Task>,
    /// Boot they ran in.
    pub boot_id: String,
}

/// The line of an exit.
pub fn exit_line(task: &Task, exit: &Exit) -> String {
    let (kind, value) = match &exit.status {
        Status::Code(code) => ('c', code.to_string()),
        Status::Signal(signal) => ('s', signal.to_string()),
        Status::Unknown(why) => ('u', why.replace(char::is_whitespace, "_")),
    };
    format!("X {} {} {kind} {value} {}", task.id, task.pid, exit.time)
}

/// The line of a start.
pub fn start_line(id: &str, pid: i32, start_time: u64) -> String {
    format!("S {id} {pid} {start_time}")
}

/// Frames a line for the file.
pub fn framed(line: &str) -> String {
    format!("\n{line}\n")
}

impl Journal {
    /// Reads what is there and opens a fresh, compacted journal for this boot.
    ///
    /// # Errors
    /// When the directory cannot be read or written.
    pub fn open(path: &Path, boot_id: &str) -> io::Result<(Self, Loaded)> {
        let loaded = match fs::read(path) {
            Ok(bytes) => load(&String::from_utf8_lossy(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Loaded::default(),
            Err(error) => return Err(error),
        };
        let mut journal = match compacted(path, boot_id, loaded.tasks.values()) {
            Ok(journal) => journal,
            // A full disk must not keep the keeper from watching what runs.
            Err(_) if !loaded.boot_id.is_empty() && loaded.boot_id == boot_id => Self {
                path: path.to_owned(),
                file: append(path)?,
                lines: 0,
                owed: Vec::new(),
            },
            Err(error) => return Err(error),
        };
        journal.lines = loaded.tasks.len();
        Ok((journal, loaded))
    }

    /// Descriptor that children append to.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Appends a line; what cannot be written now is kept and written later.
    pub fn append(&mut self, line: String) {
        self.lines += 1;
        self.owed.push(line);
        self.settle();
    }

    /// Tries again to write what the disk refused. True when nothing is owed.
    pub fn settle(&mut self) -> bool {
        while let Some(line) = self.owed.first() {
            let bytes = framed(line);
            match self.file.write(bytes.as_bytes()) {
                Ok(written) if written == bytes.len() => {
                    self.owed.remove(0);
                }
                Ok(_) | Err(_) => return false,
            }
        }
        true
    }

    /// Whether dead lines outweigh live ones.
    pub fn wants_compaction(&self, live: usize) -> bool {
        self.lines > 512 && self.lines > live * 4
    }

    /// Rewrites the journal with `tasks` only. The caller makes sure that no child is between
    /// fork and exec: it would append to the old file.
    pub fn compact<'a>(&mut self, boot_id: &str, tasks: impl Iterator<Item = &'a Task>) {
        if let Ok(mut journal) = compacted(&self.path, boot_id, tasks) {
            std::mem::swap(self, &mut journal);
        }
        // On failure the old file goes on; the next chance comes with the next records.
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
}

fn compacted<'a>(
    path: &Path,
    boot_id: &str,
    tasks: impl Iterator<Item = &'a Task>,
) -> io::Result<Journal> {
    let mut text = framed(&format!("B {boot_id}"));
    let mut lines = 0;
    for task in tasks {
        text.push_str(&framed(&format!(
            "A {} {} {}",
            task.id, task.pid, task.start_time
        )));
        if let Some(exit) = &task.exit {
            text.push_str(&framed(&exit_line(task, exit)));
        }
        lines += 1;
    }
    let fresh = path.with_extension("new");
    // Removed first, so that a left-over is never appended to.
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = append(&fresh)?;
    file.write_all(text.as_bytes())?;
    file.sync_data()?;
    fs::rename(&fresh, path)?;
    Ok(Journal {
        path: path.to_owned(),
        file,
        lines,
        owed: Vec::new(),
    })
}

fn load(text: &str) -> Loaded {
    let mut loaded = Loaded::default();
    for line in text.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        // A line that does not parse is a torn one; what it told is lost, the rest is not.
        match fields.as_slice() {
            ["B", boot_id] => loaded.boot_id = (*boot_id).to_owned(),
            ["S" | "A", id, pid, start_time] => {
                if let (Ok(pid), Ok(start_time)) = (pid.parse(), start_time.parse()) {
                    let id = (*id).to_owned();
                    loaded.tasks.insert(
                        id.clone(),
                        Task {
                            id,
                            pid,
                            start_time,
                            exit: None,
                        },
                    );
                }
            }
            ["N", id, pid]
                if loaded
                    .tasks
                    .get(*id)
                    .is_some_and(|task| task.pid.to_string() == *pid) =>
            {
                loaded.tasks.remove(*id);
            }
            ["X", id, pid, kind, value, time] => {
                let status = match (*kind, value.parse::<i32>()) {
                    ("c", Ok(code)) => Status::Code(code),
                    ("s", Ok(signal)) => Status::Signal(signal),
                    ("u", _) => Status::Unknown(value.replace('_', " ")),
                    _ => continue,
                };
                if let (Some(task), Ok(time)) = (loaded.tasks.get_mut(*id), time.parse())
                    && task.pid.to_string() == *pid
                {
                    task.exit = Some(Exit { status, time });
                }
            }
            ["F", id] => {
                loaded.tasks.remove(*id);
            }
            _ => {}
        }
    }
    loaded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_line_spoils_no_other() {
        let text = "\nB boot\n\nS a 1 10\n\nS b 2 2\nX a 1\nX a 1 c 3 99\n\nX b 9 c 0 1\n\nF zz\n";
        let loaded = load(text);
        assert_eq!(loaded.boot_id, "boot");
        assert_eq!(
            loaded.tasks["a"].exit.as_ref().unwrap().status,
            Status::Code(3)
        );
        assert_eq!(
            loaded.tasks["b"].exit, None,
            "an exit of another pid is not ours"
        );
    }

    #[test]
    fn what_was_appended_is_loaded_after_compaction() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let (mut journal, _) = Journal::open(&path, "one").unwrap();
        journal.append(start_line("a", 5, 50));
        journal.append(start_line("b", 6, 60));
        journal.append("N b 6".to_owned());
        journal.append(start_line("c", 7, 70));
        let exit = Exit {
            status: Status::Unknown("not told".to_owned()),
            time: 3,
        };
        let task = Task {
            id: "c".to_owned(),
            pid: 7,
            start_time: 70,
            exit: None,
        };
        journal.append(exit_line(&task, &exit));
        let (mut journal, loaded) = Journal::open(&path, "two").unwrap();
        assert_eq!(loaded.boot_id, "one");
        assert_eq!(loaded.tasks.keys().collect::<Vec<_>>(), ["a", "c"]);
        assert_eq!(loaded.tasks["c"].exit.as_ref(), Some(&exit));
        journal.compact("two", loaded.tasks.values());
        let (_, again) = Journal::open(&path, "two").unwrap();
        assert_eq!(again.tasks, loaded.tasks);
        assert_eq!(again.boot_id, "two");
    }
}
