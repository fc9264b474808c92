//! Settings of the role, as in its configuration file.

use std::path::PathBuf;
use std::time::Duration;

use bcs_httpd::{Listen, TlsFiles};
use bcs_kit::RunError;
use serde::Deserialize;

/// Settings; every field has a default.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where the agent orders executors and people look: a unix socket.
    pub listen: Listen,
    /// Certificates, should `listen` be an address.
    pub tls: Option<TlsFiles>,
    /// Records, packages and the keeper's state.
    pub data_dir: PathBuf,
    /// Holds `work_dir` and `run_dir`, which `${work_base_dir}` and `${run_base_dir}` stand for;
    /// default `data_dir`/workspace.
    pub work_dir: Option<PathBuf>,
    /// The keeper's executable; default `bcs-keeper` beside our own.
    pub keeper: Option<PathBuf>,
    /// The keeper's state and socket; default `data_dir`/keeper.
    pub keeper_dir: Option<PathBuf>,
    /// Use control groups.
    pub cgroups: bool,
    /// Parent of the tasks' control groups.
    pub cgroup_parent: String,
    /// Most processes and threads of a task.
    pub task_pids: u64,
    /// A log file larger than this is rotated.
    pub log_max_bytes: u64,
    /// Rotated log files kept for each stream.
    pub log_keep: u32,
    /// Bound of packages and their unpacked content in the cache.
    pub cache_bytes: u64,
    /// Largest package.
    pub package_max_bytes: u64,
    /// Largest unpacked content of a package.
    pub unpacked_max_bytes: u64,
    /// Most files in a package.
    pub package_max_files: u64,
    /// A download without progress for this long is broken off.
    pub download_stall_seconds: u64,
    /// How often a download is resumed before it fails.
    pub download_attempts: u32,
    /// Redirects followed.
    pub download_redirects: u32,
    /// Certificate authorities for downloads (PEM) beside those of the system.
    pub download_ca: Option<PathBuf>,
    /// Packages fetched at once.
    pub downloads: usize,
    /// Accounts that tasks may name; empty allows all.
    pub allow_users: Vec<String>,
    /// Account of tasks that name none; empty is our own.
    pub default_user: String,
    /// Search path of tasks.
    pub path: String,
    /// Time for the pid file when the task gives none.
    pub start_grace_seconds: u64,
    /// Time between asking and killing when the task gives none.
    pub stop_grace_seconds: u64,
    /// Longest run of a command (stop, reload, restart, message of type 12).
    pub command_seconds: u64,
    /// Output of a command that is reported, for each stream.
    pub command_output_bytes: usize,
    /// How often an unchanged state is repeated.
    pub refresh_seconds: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: Listen::Unix("/run/bcs/process-executor.sock".into()),
            tls: None,
            data_dir: "/var/lib/bcs/process-executor".into(),
            work_dir: None,
            keeper: None,
            keeper_dir: None,
            cgroups: true,
            cgroup_parent: "bcs".to_owned(),
            task_pids: 32_768,
            log_max_bytes: 64 << 20,
            log_keep: 4,
            cache_bytes: 10 << 30,
            package_max_bytes: 4 << 30,
            unpacked_max_bytes: 16 << 30,
            package_max_files: 500_000,
            download_stall_seconds: 30,
            download_attempts: 5,
            download_redirects: 5,
            download_ca: None,
            downloads: 4,
            allow_users: Vec::new(),
            default_user: String::new(),
            path: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
            start_grace_seconds: 10,
            stop_grace_seconds: 1,
            command_seconds: 60,
            command_output_bytes: 64 << 10,
            refresh_seconds: 300,
        }
    }
}

impl Settings {
    /// The workspace.
    pub fn workspace(&self) -> PathBuf {
        self.work_dir
            .clone()
            .unwrap_or_else(|| self.data_dir.join("workspace"))
    }

    /// The keeper's directory.
    pub fn keeper_dir(&self) -> PathBuf {
        self.keeper_dir
            .clone()
            .unwrap_or_else(|| self.data_dir.join("keeper"))
    }

    /// The keeper's executable.
    pub fn keeper_program(&self) -> PathBuf {
        let beside = || {
            let own = std::env::current_exe().ok()?;
            Some(own.parent()?.join("bcs-keeper"))
        };
        self.keeper
            .clone()
            .or_else(beside)
            .unwrap_or_else(|| "bcs-keeper".into())
    }

    /// [`Self::download_stall_seconds`].
    pub fn download_stall(&self) -> Duration {
        Duration::from_secs(self.download_stall_seconds)
    }

    /// [`Self::command_seconds`].
    pub fn command_time(&self) -> Duration {
        Duration::from_secs(self.command_seconds)
    }

    /// Finds values that cannot work.
    ///
    /// # Errors
    /// Names the first one.
    pub fn check(&self) -> Result<(), RunError> {
        let refuse = |field, value: String, reason: &str| {
            Err(RunError::Settings {
                field,
                value,
                reason: reason.to_owned(),
            })
        };
        if !self.data_dir.is_absolute() {
            let value = self.data_dir.display().to_string();
            return refuse("data_dir", value, "must be an absolute path");
        }
        if self.log_max_bytes < 64 << 10 {
            return refuse(
                "log_max_bytes",
                self.log_max_bytes.to_string(),
                "at least 65536",
            );
        }
        let parent = &self.cgroup_parent;
        if parent
            .split('/')
            .any(|part| part.is_empty() || part.starts_with('.'))
        {
            return refuse(
                "cgroup_parent",
                parent.clone(),
                "a relative path of plain names",
            );
        }
        for (field, value) in [
            ("download_stall_seconds", self.download_stall_seconds),
            ("download_attempts", u64::from(self.download_attempts)),
            ("downloads", self.downloads as u64),
            ("command_seconds", self.command_seconds),
            ("refresh_seconds", self.refresh_seconds),
            ("task_pids", self.task_pids),
        ] {
            if value == 0 {
                return refuse(field, "0".to_owned(), "must be greater than 0");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_sound_and_nonsense_is_named() {
        Settings::default().check().unwrap();
        let mut settings = Settings {
            data_dir: "relative".into(),
            ..Settings::default()
        };
        assert!(
            settings
                .check()
                .unwrap_err()
                .to_string()
                .contains("data_dir")
        );
        settings = Settings {
            cgroup_parent: "../x".into(),
            ..Settings::default()
        };
        assert!(
            settings
                .check()
                .unwrap_err()
                .to_string()
                .contains("cgroup_parent")
        );
        settings = Settings {
            downloads: 0,
            ..Settings::default()
        };
        assert!(
            settings
                .check()
                .unwrap_err()
                .to_string()
                .contains("downloads")
        );
    }
}
