//! Where each controller lives on this host, and whether we may use it there.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::files;
use crate::group::Group;

/// What can be controlled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Controller {
    /// Processor time.
    Cpu,
    /// Its accounting, a hierarchy of its own in v1.
    Cpuacct,
    /// Memory.
    Memory,
    /// Number of processes.
    Pids,
    /// Freezing, which the unified tree always has.
    Freezer,
}

impl Controller {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Cpu,
        Self::Cpuacct,
        Self::Memory,
        Self::Pids,
        Self::Freezer,
    ];

    /// The kernel's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cpuacct => "cpuacct",
            Self::Memory => "memory",
            Self::Pids => "pids",
            Self::Freezer => "freezer",
        }
    }
}

/// Where a controller was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Home {
    /// In the unified tree; the directory of our groups there.
    Unified(PathBuf),
    /// In a v1 hierarchy; the directory of our groups there.
    Legacy(PathBuf),
    /// Not usable, and why.
    None(String),
}

/// The result of looking.
#[derive(Debug, Clone)]
pub struct Layout {
    /// Directory of our groups in the unified tree, with or without controllers.
    pub(crate) unified: Result<PathBuf, String>,
    homes: BTreeMap<Controller, Home>,
}

/// A line of `/proc/self/mountinfo` that concerns us.
#[derive(Debug)]
struct Mount {
    point: PathBuf,
    /// Path within the hierarchy that is mounted here.
    root: String,
    unified: bool,
    options: Vec<String>,
}

impl Layout {
    /// Looks at this host and makes the directory `parent` (one name, or several with slashes) where
    /// groups will be: at the top of each hierarchy, or, when that is not allowed, below the group
    /// this process is in (a delegated one).
    pub fn detect(parent: &str) -> Self {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        Self::from_tables(&mounts, &own, parent)
    }

    fn from_tables(mountinfo: &str, own: &str, parent: &str) -> Self {
        let mounts: Vec<Mount> = mountinfo.lines().filter_map(parse_mount).collect();
        let unified_mount = mounts.iter().find(|mount| mount.unified);
        let wanted: Vec<&str> = ["cpu", "memory", "pids"].to_vec();
        let unified = unified_mount
            .ok_or_else(|| "this host has no unified control group tree".to_owned())
            .and_then(|mount| place(mount, own_path(own, ""), parent, &wanted));
        let mut homes = BTreeMap::new();
        for controller in Controller::ALL {
            let home = home(controller, &unified, &mounts, own, parent);
            homes.insert(controller, home);
        }
        Self { unified, homes }
    }

    /// A layout in which nothing can be used, for hosts where control groups are switched off.
    pub fn disabled(reason: &str) -> Self {
        let homes = Controller::ALL.map(|controller| (controller, Home::None(reason.to_owned())));
        Self {
            unified: Err(reason.to_owned()),
            homes: homes.into(),
        }
    }

    /// Where a controller is.
    pub fn home(&self, controller: Controller) -> Home {
        self.homes
            .get(&controller)
            .cloned()
            .unwrap_or_else(|| Home::None("not looked for".to_owned()))
    }

    /// One line for people: `cpu: v1, memory: v2, pids: not in force (...)`.
    pub fn describe(&self) -> String {
        let word = |home: &Home| match home {
            Home::Unified(_) => "v2".to_owned(),
            Home::Legacy(_) => "v1".to_owned(),
            Home::None(reason) => format!("not in force ({reason})"),
        };
        let mut parts: Vec<String> = self
            .homes
            .iter()
            .map(|(controller, home)| format!("{}: {}", controller.name(), word(home)))
            .collect();
        parts.push(match &self.unified {
            Ok(_) => "kill: cgroup.kill".to_owned(),
            Err(_) => "kill: by signals".to_owned(),
        });
        parts.join(", ")
    }

    /// The group `name` (one path component), existing or not.
    pub fn group(&self, name: &str) -> Group {
        Group::new(self, name)
    }
}

fn home(
    controller: Controller,
    unified: &Result<PathBuf, String>,
    mounts: &[Mount],
    own: &str,
    parent: &str,
) -> Home {
    if let Ok(dir) = unified {
        let enabled = fs::read_to_string(dir.join("cgroup.subtree_control")).unwrap_or_default();
        let built_in = match controller {
            Controller::Freezer => dir.join("cgroup.procs").exists(),
            // Accounting without the controller exists in v2, in `cpu.stat`.
            Controller::Cpuacct => {
                let v1 = mounts
                    .iter()
                    .any(|mount| mount.options.iter().any(|option| option == "cpuacct"));
                !v1 && dir.join("cpu.stat").exists()
            }
            Controller::Cpu | Controller::Memory | Controller::Pids => enabled
                .split_ascii_whitespace()
                .any(|name| name == controller.name()),
        };
        if built_in {
            return Home::Unified(dir.clone());
        }
    }
    let name = controller.name();
    let legacy = mounts
        .iter()
        .find(|mount| !mount.unified && mount.options.iter().any(|option| option == name));
    match legacy {
        Some(mount) => match place(mount, own_path(own, name), parent, &[]) {
            Ok(dir) => Home::Legacy(dir),
            Err(reason) => Home::None(reason),
        },
        None => Home::None(match unified {
            Ok(dir) => format!(
                "controller {name} is neither mounted as v1 nor enabled in {}",
                dir.display()
            ),
            Err(reason) => format!("controller {name} is not mounted as v1; {reason}"),
        }),
    }
}

/// Makes our directory in a hierarchy and, in the unified tree, enables controllers down to it.
fn place(
    mount: &Mount,
    own: Option<&str>,
    parent: &str,
    controllers: &[&str],
) -> Result<PathBuf, String> {
    let mut candidates = vec![mount.point.clone()];
    if let Some(own) = own {
        let inside = own
            .strip_prefix(mount.root.trim_end_matches('/'))
            .unwrap_or(own);
        let inside = inside.trim_start_matches('/');
        if !inside.is_empty() && !inside.starts_with("..") {
            candidates.push(mount.point.join(inside));
        }
    }
    let mut reasons = Vec::new();
    for base in candidates {
        match descend(&base, parent, controllers) {
            Ok(dir) => return Ok(dir),
            Err(error) => reasons.push(error.to_string()),
        }
    }
    Err(reasons.join("; "))
}

fn descend(base: &Path, parent: &str, controllers: &[&str]) -> Result<PathBuf, files::Error> {
    let mut dir = base.to_owned();
    for part in parent.split('/').filter(|part| !part.is_empty()) {
        enable(&dir, controllers);
        dir.push(part);
        files::make_dir(&dir)?;
    }
    enable(&dir, controllers);
    // Making a directory is not enough: a group of ours must be possible below it.
    let probe = dir.join(format!(".probe-{}", std::process::id()));
    files::make_dir(&probe)?;
    fs::remove_dir(&probe).map_err(|source| files::error("remove", &probe, source))?;
    Ok(dir)
}

/// Asks for controllers one by one: those that cannot be had do not spoil the others. What is in
/// force in the end is read back from the file.
fn enable(dir: &Path, controllers: &[&str]) {
    let file = dir.join("cgroup.subtree_control");
    for controller in controllers {
        if let Err(error) = files::write(&file, &format!("+{controller}")) {
            tracing::trace!(%error, "controller not enabled");
        }
    }
}

fn parse_mount(line: &str) -> Option<Mount> {
    let (left, right) = line.split_once(" - ")?;
    let mut left = left.split(' ').skip(3);
    let root = unescape(left.next()?);
    let point = PathBuf::from(unescape(left.next()?));
    let mut right = right.split(' ');
    let kind = right.next()?;
    let options = right.nth(1)?.split(',').map(str::to_owned).collect();
    match kind {
        "cgroup2" => Some(Mount {
            point,
            root,
            unified: true,
            options: Vec::new(),
        }),
        "cgroup" => Some(Mount {
            point,
            root,
            unified: false,
            options,
        }),
        _ => None,
    }
}

/// Blanks in mountinfo are written as octal escapes.
fn unescape(text: &str) -> String {
    text.replace("\\040", " ")
        .replace("\\011", "\t")
        .replace("\\134", "\\")
}

/// Our own group in the hierarchy of a controller; an empty name means the unified tree.
fn own_path<'a>(own: &'a str, controller: &str) -> Option<&'a str> {
    own.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':');
        let (_, names, path) = (fields.next()?, fields.next()?, fields.next()?);
        let ours = match controller {
            "" => names.is_empty(),
            _ => names.split(',').any(|name| name == controller),
        };
        ours.then_some(path)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
30 24 0:26 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755
31 30 0:27 / /nowhere/cpu rw - cgroup cgroup rw,cpu,cpuacct
32 30 0:28 /lxc/a /nowhere/mem\\040ory rw - cgroup cgroup rw,memory
33 30 0:29 / /nowhere/unified rw,relatime shared:4 - cgroup2 cgroup2 rw";

    #[test]
    fn mount_tables_are_read() {
        let mounts: Vec<Mount> = HYBRID.lines().filter_map(parse_mount).collect();
        assert_eq!(mounts.len(), 3);
        assert_eq!(mounts[0].options, ["rw", "cpu", "cpuacct"]);
        assert_eq!(mounts[1].point, Path::new("/nowhere/mem ory"));
        assert_eq!(mounts[1].root, "/lxc/a");
        assert!(mounts[2].unified);
    }

    #[test]
    fn own_groups_are_found() {
        let own = "4:cpu,cpuacct:/a\n3:memory:/b\n0::/c";
        assert_eq!(own_path(own, "cpuacct"), Some("/a"));
        assert_eq!(own_path(own, "memory"), Some("/b"));
        assert_eq!(own_path(own, ""), Some("/c"));
        assert_eq!(own_path(own, "pids"), None);
    }

    #[test]
    fn what_cannot_be_used_says_why() {
        let layout = Layout::from_tables(HYBRID, "3:memory:/lxc/a/b\n0::/c", "bcs");
        let Home::None(reason) = layout.home(Controller::Memory) else {
            panic!("nothing is there")
        };
        assert!(reason.contains("/nowhere/mem ory/bcs"), "{reason}");
        assert!(
            reason.contains("/nowhere/mem ory/b/bcs"),
            "tried the own group: {reason}"
        );
        let Home::None(reason) = layout.home(Controller::Pids) else {
            panic!("nothing is there")
        };
        assert!(reason.contains("pids is not mounted"), "{reason}");
        assert!(layout.describe().contains("cpu: not in force"));
        let nothing = Layout::from_tables("", "", "bcs");
        assert!(matches!(nothing.home(Controller::Cpu), Home::None(_)));
    }
}
