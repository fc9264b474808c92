//! Everything a task needs before it starts, in order: account, directories, packages, files of
//! configmaps and secrets, control group with limits.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bcs_cgroup::{Group, Limits};
use tokio_util::sync::CancellationToken;

use crate::files::{Content, make_dirs};
use crate::host::Host;
use crate::packages::Package;
use crate::packages::place::place;
use crate::plan::Plan;
use crate::settings::Settings;
use crate::users::{Account, resolve};

/// Remote content of a file or variable is not larger than this.
const MAX_REMOTE: u64 = 64 << 20;

/// What preparation brought.
#[derive(Debug)]
pub struct Prepared {
    /// Whom the task runs as.
    pub account: Account,
    /// What was not as asked.
    pub warnings: Vec<String>,
    /// Limits that are not in force.
    pub complaint: Option<String>,
    /// Variables from remote sources.
    pub variables: BTreeMap<String, String>,
}

/// Prepares a task. May be repeated after a crash; every step finds its own traces.
///
/// # Errors
/// In words, for the task's message.
pub async fn prepare(
    host: &Arc<Host>,
    plan: &Arc<Plan>,
    group: &Group,
    cancel: &CancellationToken,
) -> Result<Prepared, String> {
    let account = {
        let (host, plan) = (host.clone(), plan.clone());
        blocking(&host.clone(), cancel, move || {
            let account = resolve(&plan.user, &host.settings.allow_users)
                .map_err(|error| error.to_string())?;
            directories(&plan, &account, &host.settings)?;
            Ok(account)
        })
        .await?
    };
    let mut places: Vec<(PathBuf, Vec<Package>)> = Vec::new();
    for uri in &plan.uris {
        let package = host
            .packages
            .fetch(uri, cancel)
            .await
            .map_err(|error| error.to_string())?;
        let target = match uri.output_dir.as_str() {
            "" => plan.work_path.clone(),
            dir => dir.into(),
        };
        match places.iter_mut().find(|(known, _)| *known == target) {
            Some((_, packages)) => packages.push(package),
            None => places.push((target, vec![package])),
        }
    }
    if !places.is_empty() {
        let (account, cancel_copy) = (account.clone(), cancel.clone());
        blocking(host, cancel, move || {
            for (target, packages) in &places {
                make_dirs(target, account.uid, account.gid)
                    .map_err(|error| format!("OutputDir {}: {error}", target.display()))?;
                place(packages, target, account.uid, account.gid, &cancel_copy)
                    .map_err(|error| error.to_string())?;
            }
            Ok(())
        })
        .await?;
    }
    let mut variables = BTreeMap::new();
    let mut contents = Vec::new();
    for file in &plan.files {
        let content = match &file.content {
            Content::Inline(content) => content.expose().clone(),
            Content::Remote(source) => {
                let fetch = host.packages.fetch_small(
                    &source.url,
                    &source.user,
                    source.password.expose(),
                    MAX_REMOTE,
                    cancel,
                );
                fetch.await.map_err(|error| error.to_string())?
            }
        };
        match &file.variable {
            Some(name) => {
                let text = String::from_utf8(content)
                    .map_err(|_| format!("variable {name}: its remote content is not UTF-8"))?;
                variables.insert(name.clone(), text);
            }
            None => contents.push((file.clone(), content)),
        }
    }
    let (group, plan_copy, pids) = (group.clone(), plan.clone(), host.settings.task_pids);
    let owner = account.clone();
    let complaint = blocking(host, cancel, move || {
        for (file, content) in &contents {
            file.write(content, &owner)
                .map_err(|error| error.to_string())?;
        }
        group.create().map_err(|error| error.to_string())?;
        Ok(group.apply(&limits(&plan_copy, pids)).complaint())
    })
    .await?;
    Ok(Prepared {
        account,
        warnings: Vec::new(),
        complaint,
        variables,
    })
}

/// Runs file work on a thread that may block; a few at once.
async fn blocking<T: Send + 'static>(
    host: &Arc<Host>,
    cancel: &CancellationToken,
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    let permit = host.preparations.clone().acquire_owned().await;
    if cancel.is_cancelled() {
        return Err("given up".to_owned());
    }
    let result = tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| error.to_string());
    drop(permit);
    result?
}

/// The sandbox belongs to us, so that no task can put a link where its log is expected; the
/// working directory belongs to the task.
fn directories(plan: &Plan, account: &Account, settings: &Settings) -> Result<(), String> {
    let say = |path: &Path| {
        let path = path.display().to_string();
        move |error: std::io::Error| format!("directory {path}: {error}")
    };
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(&plan.sandbox)
        .map_err(say(&plan.sandbox))?;
    for dir in ["work_dir", "run_dir"] {
        let dir = settings.workspace().join(dir);
        if !dir.exists() {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o755)
                .create(&dir)
                .map_err(say(&dir))?;
            // The workspace may be below a private directory; tasks must be able to get through.
            open_path(&dir, &settings.workspace());
        }
    }
    make_dirs(&plan.work_path, account.uid, account.gid).map_err(say(&plan.work_path))?;
    if let Some(parent) = plan.pid_file.as_deref().and_then(Path::parent) {
        make_dirs(parent, account.uid, account.gid).map_err(say(parent))?;
    }
    Ok(())
}

fn open_path(dir: &Path, top: &Path) {
    for path in dir.ancestors().take_while(|path| path.starts_with(top)) {
        if let Ok(data) = fs::metadata(path) {
            let mode = data.permissions().mode() | 0o055;
            // Only convenience: a task that cannot get through fails with a clear step.
            drop(fs::set_permissions(
                path,
                fs::Permissions::from_mode(mode & 0o755),
            ));
        }
    }
}

/// Limits of a task: processor and memory at most as limited; the weight as requested.
pub fn limits(plan: &Plan, pids: u64) -> Limits {
    let memory = if plan.limit.mem > 0.0 {
        plan.limit.mem
    } else {
        0.0
    };
    Limits {
        cpu_cores: (plan.limit.cpus > 0.0).then_some(plan.limit.cpus),
        cpu_share: (plan.request.cpus > 0.0).then_some(plan.request.cpus),
        // Below 4 MB no program starts; it is taken as "not limited", as with containers.
        memory_bytes: (memory >= 4.0).then_some((memory * 1_048_576.0) as u64),
        pids: Some(pids),
    }
}
