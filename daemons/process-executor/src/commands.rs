//! Commands beside a task: stop, reload, restart, kill, health checks, and those that the
//! scheduler sends. They run under the keeper like the task itself: same account, directory,
//! environment and control group, bounded in time and output.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bcs_keeper::protocol::{Call, Scope, Signal, Spawn, Status};
use tokio::sync::oneshot;

use crate::host::Host;
use crate::keeper::Sink;
use crate::plan::Plan;
use crate::settings::Settings;
use crate::users::Account;

/// A command to run.
pub struct Command {
    /// The keeper's name of it.
    pub id: String,
    /// The task it belongs to.
    pub plan: Arc<Plan>,
    /// The task's account, if it was looked up already.
    pub account: Option<Arc<Account>>,
    /// Words.
    pub argv: Vec<String>,
    /// Variables on top of the task's.
    pub env: Vec<(String, String)>,
    /// Another directory.
    pub cwd: Option<String>,
    /// Another account.
    pub user: Option<String>,
    /// The task's groups.
    pub cgroups: Vec<String>,
    /// How long it may run.
    pub time: Duration,
    /// Output that is kept of each stream; 0 for none.
    pub output: usize,
}

/// What came of it.
#[derive(Debug)]
pub struct Output {
    /// Exit code, or why there is none.
    pub code: Result<i32, String>,
    /// Standard output, cut.
    pub stdout: String,
    /// Standard error, cut.
    pub stderr: String,
}

impl Output {
    /// Ok for exit code 0, otherwise words.
    ///
    /// # Errors
    /// When it failed.
    pub fn success(&self) -> Result<(), String> {
        let detail = self.stderr.lines().last().unwrap_or_default();
        match &self.code {
            Ok(0) => Ok(()),
            Ok(code) if detail.is_empty() => Err(format!("exit code {code}")),
            Ok(code) => Err(format!("exit code {code}: {detail}")),
            Err(why) => Err(why.clone()),
        }
    }
}

/// A start request for the task's account, directory and environment.
pub fn spawn(
    settings: &Settings,
    plan: &Plan,
    account: &Account,
    argv: &[String],
    id: &str,
    cgroups: Vec<String>,
) -> Spawn {
    let env = environment(settings, plan, account);
    let mut argv = argv.to_vec();
    if let Some(program) = argv.first_mut() {
        let path = env.get("PATH").map(String::as_str).unwrap_or_default();
        *program = find(program, path);
    }
    Spawn {
        id: id.to_owned(),
        argv,
        env,
        cwd: plan.work_path.display().to_string(),
        uid: Some(account.uid),
        gid: Some(account.gid),
        groups: account.groups.clone(),
        umask: Some(0o022),
        cgroups,
        ..Spawn::default()
    }
}

/// The environment of a task: the account's, then its own.
pub fn environment(
    settings: &Settings,
    plan: &Plan,
    account: &Account,
) -> BTreeMap<String, String> {
    let mut env: BTreeMap<String, String> = [
        ("PATH", settings.path.as_str()),
        ("HOME", &account.home),
        ("USER", &account.name),
        ("LOGNAME", &account.name),
        ("SHELL", &account.shell),
        ("LANG", "C.UTF-8"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    env.insert(
        "MESOS_SANDBOX".to_owned(),
        plan.sandbox.display().to_string(),
    );
    let own = plan
        .env
        .iter()
        .filter(|(name, _)| !name.is_empty() && !name.contains('='));
    env.extend(own.map(|(name, value)| (name.clone(), value.clone())));
    env
}

/// Finds a program as execvp does; what is not found is left as it is and fails with its name.
fn find(program: &str, path: &str) -> String {
    if program.contains('/') {
        return program.to_owned();
    }
    let executable = |candidate: &PathBuf| {
        use std::os::unix::fs::PermissionsExt;
        fs::metadata(candidate)
            .is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
    };
    let found = std::env::split_paths(path)
        .map(|dir| dir.join(program))
        .find(executable);
    found.map_or_else(|| program.to_owned(), |file| file.display().to_string())
}

/// Runs a command to its end, or to the end of its time.
pub async fn run(host: &Arc<Host>, command: Command) -> Output {
    let failed = |why: String| Output {
        code: Err(why),
        stdout: String::new(),
        stderr: String::new(),
    };
    let account = match &command.user {
        None => crate::effects::account_of(host, &command.plan, command.account.clone()).await,
        Some(name) => {
            let (name, host) = (name.clone(), host.clone());
            let look = move || crate::users::resolve(&name, &host.settings.allow_users);
            match tokio::task::spawn_blocking(look).await {
                Ok(Ok(account)) => Ok(Arc::new(account)),
                Ok(Err(error)) => Err(error.to_string()),
                Err(error) => Err(error.to_string()),
            }
        }
    };
    let account = match account {
        Ok(account) => account,
        Err(why) => return failed(why),
    };
    let files = Files::new(host, command.output);
    let id = command.id.clone();
    let mut request = spawn(
        &host.settings,
        &command.plan,
        &account,
        &command.argv,
        &id,
        command.cgroups.clone(),
    );
    request.env.extend(command.env.iter().cloned());
    if let Some(cwd) = &command.cwd {
        request.cwd.clone_from(cwd);
    }
    request.stdout = files.path("out");
    request.stderr = files.path("err");
    let (sink, exit) = oneshot::channel();
    host.keeper.watch(&id, Sink::Once(sink), false);
    if let Err(failure) = host.keeper.spawn(request).await {
        host.keeper.unwatch(&id);
        return failed(failure.to_string());
    }
    let code = match tokio::time::timeout(command.time, exit).await {
        Ok(Ok(exit)) => match exit.status {
            Status::Code(code) => Ok(code),
            Status::Signal(signal) => Err(format!("ended by signal {signal}")),
            Status::Unknown(why) => Err(format!("exit code unknown: {why}")),
        },
        Ok(Err(_)) => Err("the process executor is leaving".to_owned()),
        Err(_) => {
            let (signal, scope) = (nix::libc::SIGKILL, Scope::Session);
            let kill = Call::Signal(Signal {
                id: id.clone(),
                signal,
                scope,
            });
            drop(host.keeper.call(kill).await);
            Err(format!(
                "did not end within {} s",
                command.time.as_secs_f64()
            ))
        }
    };
    host.keeper.unwatch(&id);
    // If it still runs, it is forgotten when it ends: nobody watches it.
    drop(host.keeper.call(Call::Forget { id }).await);
    Output {
        code,
        stdout: files.read("out"),
        stderr: files.read("err"),
    }
}

/// Output files, removed on drop.
struct Files {
    base: PathBuf,
    limit: usize,
}

impl Files {
    fn new(host: &Host, limit: usize) -> Self {
        let name = uuid::Uuid::new_v4().simple().to_string();
        Self {
            base: host.settings.data_dir.join("run").join(name),
            limit,
        }
    }

    fn file(&self, stream: &str) -> PathBuf {
        self.base.with_extension(stream)
    }

    fn path(&self, stream: &str) -> Option<String> {
        (self.limit > 0).then(|| self.file(stream).display().to_string())
    }

    fn read(&self, stream: &str) -> String {
        let mut bytes = Vec::new();
        if self.limit > 0
            && let Ok(file) = File::open(self.file(stream))
        {
            // What cannot be read is not reported; the exit code is what counts.
            drop(file.take(self.limit as u64).read_to_end(&mut bytes));
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        if self.limit > 0 {
            for stream in ["out", "err"] {
                drop(fs::remove_file(self.file(stream)));
            }
        }
    }
}

/// The last bytes of a file, as text without surrounding blanks.
pub fn tail(path: &Path, limit: u64) -> String {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let size = file.metadata()?.len();
        file.seek(SeekFrom::Start(size.saturating_sub(limit)))?;
        let mut bytes = Vec::new();
        file.take(limit).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    String::from_utf8_lossy(&read().unwrap_or_default())
        .trim()
        .to_owned()
}
