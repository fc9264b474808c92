//! The daemon's memory on disk: one append-only file of JSON lines for all executors.
//!
//! A line is one `write` on an `O_APPEND` descriptor, made before the effect that it announces. As
//! in the keeper it is not synced: it must survive the death of the daemon, and a machine that
//! loses its page cache has lost every process too (the keeper tells that by the boot id). The file
//! holds task definitions, hence secrets: mode 0600.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use bcs_mesos::types::TaskState;
use bcs_mesos::{TaskInfo, TaskStatus};
use serde::{Deserialize, Serialize};

use crate::environment::Variables;
use crate::step::State;

/// Version of the lines. A reader accepts its own and older ones.
const VERSION: u32 = 1;
/// The file is rewritten when it is larger than this and twice what it was after the last time.
const COMPACT_BYTES: u64 = 4 << 20;

/// What a line says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum Record {
    /// An executor was ordered.
    Executor {
        /// Executor id.
        executor: String,
        /// Its variables.
        environment: Variables,
    },
    /// A task was launched.
    Task {
        /// Executor id.
        executor: String,
        /// The whole definition.
        info: Box<TaskInfo>,
    },
    /// A task changed.
    State {
        /// Executor id.
        executor: String,
        /// Task id.
        task: String,
        /// Its state.
        state: Box<State>,
    },
    /// A report was made that the agent has not acknowledged.
    Update {
        /// Executor id.
        executor: String,
        /// The report.
        status: Box<TaskStatus>,
    },
    /// The agent acknowledged a report (and with it the launch), or refused it for good.
    Ack {
        /// Executor id.
        executor: String,
        /// Task id.
        task: String,
        /// The report's id, hexadecimal.
        uuid: String,
        /// The report said that the task runs.
        #[serde(default)]
        running: bool,
    },
    /// The executor is over.
    Gone {
        /// Executor id.
        executor: String,
    },
}

#[derive(Serialize, Deserialize)]
struct Line {
    v: u32,
    #[serde(flatten)]
    record: Record,
}

/// A task as recorded.
#[derive(Debug)]
pub struct SavedTask {
    /// Definition.
    pub info: TaskInfo,
    /// State.
    pub state: State,
    /// The agent knows that we have it.
    pub acknowledged: bool,
    /// A report that it runs was recorded after the state that says so: a daemon that died between
    /// the two has told nobody.
    pub told_running: bool,
}

/// An executor as recorded.
#[derive(Debug, Default)]
pub struct Saved {
    /// Its variables.
    pub environment: Variables,
    /// Its tasks in order of launch.
    pub tasks: Vec<SavedTask>,
    /// Reports without acknowledgement, in order.
    pub updates: Vec<TaskStatus>,
}

#[derive(Debug)]
struct Inner {
    file: File,
    bytes: u64,
    compacted: u64,
}

/// The open file.
#[derive(Debug)]
pub struct Records {
    path: PathBuf,
    inner: Mutex<Inner>,
}

impl Records {
    /// Reads what is there and opens the file for appending.
    ///
    /// # Errors
    /// When the file cannot be read or written. Lines that make no sense (torn by a full disk) are
    /// skipped with a warning.
    pub fn open(path: &Path) -> io::Result<(Self, BTreeMap<String, Saved>)> {
        let text = match fs::read(path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        let saved = load(&text);
        let file = append(path)?;
        let bytes = file.metadata()?.len();
        let records = Self {
            path: path.to_owned(),
            inner: Mutex::new(Inner {
                file,
                bytes,
                compacted: 0,
            }),
        };
        records.compact();
        Ok((records, saved))
    }

    /// Appends a record; it survives the daemon when this returns.
    ///
    /// # Errors
    /// When the disk is full or gone.
    pub fn append(&self, record: Record) -> io::Result<()> {
        let mut text = serde_json::to_string(&Line { v: VERSION, record })?;
        // Also in front, so that a line torn by a full disk does not spoil this one.
        text.insert(0, '\n');
        text.push('\n');
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let written = inner.file.write(text.as_bytes())?;
        inner.bytes += written as u64;
        if written != text.len() {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        let due = inner.bytes > COMPACT_BYTES && inner.bytes > inner.compacted * 2;
        drop(inner);
        if due {
            self.compact();
        }
        Ok(())
    }

    /// Rewrites the file without what is over. On failure the old one goes on.
    fn compact(&self) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let rewrite = || -> io::Result<File> {
            let text = fs::read_to_string(&self.path)?;
            let fresh = self.path.with_extension("new");
            drop(fs::remove_file(&fresh));
            let mut file = append(&fresh)?;
            file.write_all(folded(&text).as_bytes())?;
            file.sync_data()?;
            fs::rename(&fresh, &self.path)?;
            Ok(file)
        };
        match rewrite() {
            Ok(file) => {
                inner.bytes = file.metadata().map_or(0, |data| data.len());
                inner.file = file;
            }
            Err(error) => tracing::warn!(%error, "records not compacted"),
        }
        inner.compacted = inner.bytes;
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
}

/// Keeps the lines that still matter: of living executors, the last state of each task, and
/// reports without acknowledgement.
fn folded(text: &str) -> String {
    #[derive(Deserialize)]
    struct Head {
        record: String,
        executor: String,
        #[serde(default)]
        task: String,
        #[serde(default)]
        status: Option<StatusHead>,
        #[serde(default)]
        uuid: String,
    }
    #[derive(Deserialize)]
    struct StatusHead {
        uuid: Option<String>,
    }
    let mut kept: Vec<Option<(&str, Head)>> = Vec::new();
    let mut acks: BTreeMap<(String, String), usize> = BTreeMap::new();
    let mut states: BTreeMap<(String, String), usize> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        let Ok(head) = serde_json::from_str::<Head>(line) else {
            continue;
        };
        let key = (head.executor.clone(), head.task.clone());
        match head.record.as_str() {
            "gone" => {
                let gone = &head.executor;
                for entry in &mut kept {
                    if entry.as_ref().is_some_and(|(_, old)| old.executor == *gone) {
                        *entry = None;
                    }
                }
                continue;
            }
            "state" => {
                if let Some(at) = states.insert(key, kept.len())
                    && let Some(old) = kept.get_mut(at)
                {
                    *old = None;
                }
            }
            "ack" => {
                let uuid = hex::decode(&head.uuid).unwrap_or_default();
                for entry in &mut kept {
                    let same = entry.as_ref().is_some_and(|(_, old)| {
                        old.executor == head.executor
                            && old.status.as_ref().is_some_and(|status| {
                                status.uuid.as_deref().and_then(decode64) == Some(uuid.clone())
                            })
                    });
                    if same {
                        *entry = None;
                    }
                }
                // One acknowledgement of a task is enough to know that its launch arrived; the last
                // tells whether the agent knows that it runs.
                if let Some(at) = acks.insert(key, kept.len())
                    && let Some(old) = kept.get_mut(at)
                {
                    *old = None;
                }
            }
            _ => {}
        }
        kept.push(Some((line, head)));
    }
    let mut text = String::new();
    for (line, _) in kept.into_iter().flatten() {
        text.push_str(line);
        text.push('\n');
    }
    text
}

fn decode64(text: &str) -> Option<Vec<u8>> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).ok()
}

fn load(text: &str) -> BTreeMap<String, Saved> {
    let mut all: BTreeMap<String, Saved> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        let record = match serde_json::from_str::<Line>(line) {
            Ok(line) if line.v <= VERSION => line.record,
            Ok(line) => {
                tracing::warn!(version = line.v, "a record of a newer version is skipped");
                continue;
            }
            Err(error) => {
                tracing::warn!(%error, "a record that makes no sense is skipped");
                continue;
            }
        };
        match record {
            Record::Executor {
                executor,
                environment,
            } => {
                all.entry(executor).or_default().environment = environment;
            }
            Record::Task { executor, info } => {
                if let Some(saved) = all.get_mut(&executor) {
                    let state = State::default();
                    saved.tasks.push(SavedTask {
                        info: *info,
                        state,
                        acknowledged: false,
                        told_running: false,
                    });
                }
            }
            Record::State {
                executor,
                task,
                state,
            } => {
                let found = all.get_mut(&executor).and_then(|saved| saved.task(&task));
                if let Some(task) = found {
                    let same =
                        (task.state.phase, task.state.process) == (state.phase, state.process);
                    task.told_running &= same;
                    task.state = *state;
                }
            }
            Record::Update { executor, status } => {
                if let Some(saved) = all.get_mut(&executor) {
                    if let Some(task) = saved.task(&status.task_id.value) {
                        task.told_running |= status.state() == TaskState::Running;
                    }
                    saved.updates.push(*status);
                }
            }
            Record::Ack {
                executor,
                task,
                uuid,
                running,
            } => {
                if let Some(saved) = all.get_mut(&executor) {
                    saved.updates.retain(|status| {
                        status
                            .uuid
                            .as_ref()
                            .is_none_or(|own| hex::encode(own) != uuid)
                    });
                    if let Some(task) = saved.task(&task) {
                        task.acknowledged = true;
                        task.told_running |= running;
                    }
                }
            }
            Record::Gone { executor } => {
                all.remove(&executor);
            }
        }
    }
    all
}

impl Saved {
    fn task(&mut self, id: &str) -> Option<&mut SavedTask> {
        self.tasks
            .iter_mut()
            .find(|task| task.info.task_id.value == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::Phase;

    fn info(id: &str) -> Box<TaskInfo> {
        let mut info = TaskInfo::default();
        info.task_id.value = id.to_owned();
        Box::new(info)
    }

    fn update(id: &str, uuid: u8) -> Box<TaskStatus> {
        let mut status = TaskStatus {
            uuid: Some(vec![uuid; 16].into()),
            ..TaskStatus::default()
        };
        status.task_id.value = id.to_owned();
        Box::new(status)
    }

    fn fill(records: &Records) {
        let text = |text: &str| text.to_owned();
        for executor in ["a", "b"] {
            let environment = Variables::default();
            records
                .append(Record::Executor {
                    executor: text(executor),
                    environment,
                })
                .unwrap();
            records
                .append(Record::Task {
                    executor: text(executor),
                    info: info("t"),
                })
                .unwrap();
            for (phase, uuid) in [(Phase::Starting, 1), (Phase::Running, 2)] {
                let state = Box::new(State {
                    phase,
                    ..State::default()
                });
                let (executor, task) = (text(executor), text("t"));
                records
                    .append(Record::State {
                        executor: executor.clone(),
                        task,
                        state,
                    })
                    .unwrap();
                records
                    .append(Record::Update {
                        executor,
                        status: update("t", uuid),
                    })
                    .unwrap();
            }
        }
        let ack = |uuid: &str| Record::Ack {
            executor: text("a"),
            task: text("t"),
            uuid: uuid.repeat(16),
            running: false,
        };
        records.append(ack("01")).unwrap();
        records
            .append(Record::Gone {
                executor: text("b"),
            })
            .unwrap();
    }

    #[test]
    fn what_was_recorded_comes_back_also_after_compaction() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let (records, _) = Records::open(&path).unwrap();
        fill(&records);
        drop(records);
        // Torn by a full disk.
        OpenOptions::new()
            .append(true)
            .open(&path)
            .unwrap()
            .write_all(b"\n{\"v\":1,\"rec")
            .unwrap();
        for _ in 0..3 {
            let (records, saved) = Records::open(&path).unwrap();
            assert_eq!(saved.keys().collect::<Vec<_>>(), ["a"]);
            let a = &saved["a"];
            assert_eq!(a.tasks.len(), 1);
            assert_eq!(a.tasks[0].state.phase, Phase::Running);
            assert!(a.tasks[0].acknowledged);
            assert_eq!(a.updates.len(), 1);
            assert_eq!(a.updates[0].uuid.as_ref().unwrap()[0], 2);
            drop(records);
        }
        assert!(fs::read_to_string(&path).unwrap().lines().count() <= 5);
        let mode =
            std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
    }

    /// A daemon that dies between a state and its report has told nobody; one that was
    /// acknowledged need not say it again, however often the journal was folded since.
    #[test]
    fn whether_it_was_told_that_a_task_runs_is_known_after_any_crash() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let (records, _) = Records::open(&path).unwrap();
        let text = |text: &str| text.to_owned();
        let told = || {
            let (_, saved) = Records::open(&path).unwrap();
            saved["e"].tasks[0].told_running
        };
        let say = |record: Record| Records::open(&path).unwrap().0.append(record).unwrap();
        drop(records);
        say(Record::Executor {
            executor: text("e"),
            environment: Variables::default(),
        });
        say(Record::Task {
            executor: text("e"),
            info: info("t"),
        });
        let running = || Record::State {
            executor: text("e"),
            task: text("t"),
            state: Box::new(State {
                phase: Phase::Running,
                ..State::default()
            }),
        };
        say(running());
        assert!(!told(), "the state alone tells nobody");
        let mut report = update("t", 7);
        report.set_state(TaskState::Running);
        say(Record::Update {
            executor: text("e"),
            status: report,
        });
        assert!(told() && told(), "the report will be sent");
        let (executor, task) = (text("e"), text("t"));
        say(Record::Ack {
            executor,
            task,
            uuid: "07".repeat(16),
            running: true,
        });
        assert!(told() && told(), "it was acknowledged");
        say(running());
        assert!(told(), "the same state again");
    }

    #[test]
    fn records_of_version_1_are_read() {
        let line = r#"{"v":1,"record":"state","executor":"e","task":"t","state":{"phase":"stopping","run":2,"process":{"pid":7,"start_time":8},"stop":{"restart":true,"by_command":false,"gone":false,"deadline":99},"started_at":1,"finished_at":0,"reported":false}}"#;
        let text = format!(
            "{}\n{}\n{line}\n{}",
            r#"{"v":1,"record":"executor","executor":"e","environment":{"A":"b"}}"#,
            r#"{"v":1,"record":"task","executor":"e","info":{"name":"n","task_id":{"value":"t"},"agent_id":{"value":"a"}}}"#,
            r#"{"v":2,"record":"gone","executor":"e"}"#,
        );
        let saved = load(&text);
        let state = &saved["e"].tasks[0].state;
        assert_eq!((state.phase, state.run), (Phase::Stopping, 2));
        assert_eq!(state.stop.unwrap().deadline, 99);
        assert_eq!(saved["e"].environment.0["A"], "b");
    }
}
