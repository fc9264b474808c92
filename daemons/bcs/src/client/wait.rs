//! `bcs wait`: until an object has a status. It watches storage and never polls; the scheduler has
//! the last word, so that a state from before the last command is not taken for its result.

use std::time::Duration;

use bcs_api::{ChangeKind, Client, ClientError, Kind, Scope};
use clap::Args;
use serde_json::Value;

use super::failure::{Done, Failure};
use super::output::Out;
use super::resolve::{self, Namespace, Reference};
use super::views;

/// How soon the scheduler is asked again about what storage already says.
const RECONFIRM: Duration = Duration::from_millis(500);
/// Words that `--for` takes besides the statuses of the kind.
const GONE: [&str; 2] = ["Deleted", "Gone"];
const OF_TASKGROUPS: [&str; 11] = [
    "Staging",
    "Starting",
    "Running",
    "Finish",
    "Error",
    "Killing",
    "Killed",
    "Failed",
    "Lost",
    "Restarting",
    "Unknown",
];
const OF_WORKLOADS: [&str; 9] = [
    "Staging",
    "Deploying",
    "Running",
    "Finish",
    "Error",
    "Operating",
    "RollingUpdate",
    "Abnormal",
    "Unknown",
];

/// Options of wait.
#[derive(Clone, Debug, Args)]
pub(crate) struct Wait {
    #[command(flatten)]
    reference: Reference,
    /// Running, Finish, Failed, … in any case of letters; Healthy is Running with all checks
    /// passed; Deleted waits until it is gone
    #[arg(long = "for", value_name = "STATUS")]
    status: String,
    /// How long to wait at most, such as 90s, 5m or 1h
    #[arg(long, value_name = "D", default_value = "5m", value_parser = bcs_kit::config::duration::parse)]
    timeout: Duration,
    #[command(flatten)]
    namespace: Namespace,
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    Status(&'static str),
    /// Running, and every check of every instance passed.
    Healthy,
    Gone,
}

impl Goal {
    pub(super) fn parse(kind: Kind, word: &str) -> Result<Self, Failure> {
        let is = |known: &&&str| known.eq_ignore_ascii_case(word);
        if GONE.iter().find(is).is_some() {
            return Ok(Self::Gone);
        }
        let known: &[&'static str] = match kind {
            Kind::TaskGroup => &OF_TASKGROUPS,
            Kind::Application | Kind::Process => &OF_WORKLOADS,
            Kind::ConfigMap | Kind::Secret => &[],
        };
        if !known.is_empty() && word.eq_ignore_ascii_case("Healthy") {
            return Ok(Self::Healthy);
        }
        known
            .iter()
            .find(is)
            .copied()
            .map(Self::Status)
            .ok_or_else(|| {
                let words: Vec<&str> = known.iter().chain(&GONE[..1]).copied().collect();
                Failure::Usage(format!(
                    "{word:?} is no status of a {kind}; use {}",
                    words.join(", ")
                ))
            })
    }

    fn word(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Healthy => "healthy",
            Self::Status(status) => status,
        }
    }

    /// Whether an object of storage is there. A workload that runs has all its instances running.
    fn reached(self, object: &Value) -> bool {
        let status = match self {
            Self::Gone => return false,
            Self::Status(status) => status,
            Self::Healthy => "Running",
        };
        if views::text(object, "/status") != status {
            return false;
        }
        let count = |key: &str| object.pointer(key).and_then(Value::as_u64);
        match (status, count("/instance"), count("/runningInstance")) {
            ("Running", Some(wanted), Some(running)) => running == wanted,
            _ => self != Self::Healthy || views::is_healthy(object),
        }
    }
}

pub(super) async fn run(client: &Client, options: &Wait, out: &mut Out) -> Done {
    let (kind, name) = options.reference.one()?;
    let goal = Goal::parse(kind, &options.status)?;
    let (namespace, name) = if kind == Kind::TaskGroup {
        let id = resolve::taskgroup(client, &options.namespace, name).await?;
        (id.namespace.clone(), id.to_string())
    } else {
        (options.namespace.or_default().to_owned(), name.to_owned())
    };
    let target = Target {
        client,
        kind,
        namespace: &namespace,
        name: &name,
    };
    target.within(goal, options.timeout).await?;
    out.line(&format!("{kind}/{name} is {}", goal.word()))
}

/// Until storage does not know it any more.
pub(super) async fn until_gone(
    client: &Client,
    kind: Kind,
    namespace: &str,
    name: &str,
    limit: Duration,
) -> Done {
    Target {
        client,
        kind,
        namespace,
        name,
    }
    .within(Goal::Gone, limit)
    .await
}

struct Target<'a> {
    client: &'a Client,
    kind: Kind,
    namespace: &'a str,
    name: &'a str,
}

impl Target<'_> {
    async fn within(&self, goal: Goal, limit: Duration) -> Done {
        let mut last = String::from("not seen yet");
        let mut connected = false;
        let waiting = async {
            loop {
                match self.until(goal, &mut last, &mut connected).await {
                    // Daemons may be restarted meanwhile; what is waited for goes on without them.
                    Err(Failure::Client(error)) if error.is_transient() && connected => {
                        tokio::time::sleep(RECONFIRM).await;
                    }
                    done => return done,
                }
            }
        };
        match tokio::time::timeout(limit, waiting).await {
            Ok(done) => done,
            Err(_) => Err(Failure::TimedOut(format!(
                "{}/{} is not {} after {} s (it is {last}); `bcs describe {} {} -n {}` says why",
                self.kind,
                self.name,
                goal.word(),
                limit.as_secs(),
                self.kind,
                self.name,
                self.namespace
            ))),
        }
    }

    async fn until(&self, goal: Goal, last: &mut String, connected: &mut bool) -> Done {
        if goal != Goal::Gone && !self.exists().await? {
            return Err(Failure::NotFound(format!(
                "{}/{} does not exist in namespace {}; create it first, `bcs get {} -A` lists them",
                self.kind, self.name, self.namespace, self.kind
            )));
        }
        let scope = Scope::Namespace(self.namespace);
        // The health of a workload is that of its instances, which are objects of their own.
        let of_instances = goal == Goal::Healthy && self.kind.is_workload();
        let watched = if of_instances {
            Kind::TaskGroup
        } else {
            self.kind
        };
        let mut seen = false;
        'list: loop {
            let listing = self.client.listing(watched, scope, None).await?;
            *connected = true;
            let Some(revision) = listing.revision else {
                let text = "the storage gives no revision to watch from";
                return Err(Failure::Failed(text.to_owned()));
            };
            let found = if of_instances {
                self.stored().await?
            } else {
                listing
                    .items
                    .into_iter()
                    .find(|object| views::name(object) == self.name)
            };
            if found.is_none() && (goal == Goal::Gone || seen) {
                return self.gone(goal);
            }
            seen |= found.is_some();
            let mut candidate = self.look(goal, found.as_ref(), last);
            if candidate && self.confirmed(goal, found.as_ref()).await? {
                return Ok(());
            }
            let mut watch = match self.client.watch(watched, scope, None, revision).await {
                Err(ClientError::Expired) => continue 'list,
                other => other?,
            };
            let mut latest = found;
            loop {
                // Storage may already say what the scheduler does not confirm yet, or the other way
                // round, and then nothing more may come: only in this case ask again.
                let change = if candidate {
                    match tokio::time::timeout(RECONFIRM, watch.next()).await {
                        Ok(change) => change,
                        Err(_) if self.confirmed(goal, latest.as_ref()).await? => return Ok(()),
                        Err(_) => continue,
                    }
                } else {
                    watch.next().await
                };
                let change = match change {
                    Ok(Some(change)) => change,
                    Err(ClientError::Expired) => continue 'list,
                    Ok(None) => {
                        tokio::time::sleep(RECONFIRM).await;
                        continue 'list;
                    }
                    Err(error) => return Err(error.into()),
                };
                if of_instances {
                    if views::text(&change.object, "/rcname") != self.name {
                        continue;
                    }
                    latest = self.stored().await?;
                } else if views::name(&change.object) != self.name {
                    continue;
                } else if change.kind == ChangeKind::Deleted {
                    return self.gone(goal);
                } else {
                    latest = Some(change.object);
                }
                seen |= latest.is_some();
                candidate = self.look(goal, latest.as_ref(), last);
                if candidate && self.confirmed(goal, latest.as_ref()).await? {
                    return Ok(());
                }
            }
        }
    }

    /// The object as storage has it now.
    async fn stored(&self) -> Result<Option<Value>, Failure> {
        match self.client.get(self.kind, self.namespace, self.name).await {
            Ok(object) => Ok(Some(object)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn look(&self, goal: Goal, object: Option<&Value>, last: &mut String) -> bool {
        let Some(object) = object else { return false };
        let message = views::text(object, "/message");
        *last = views::text(object, "/status");
        if !message.is_empty() {
            last.push_str(": ");
            last.push_str(&message);
        }
        goal.reached(object)
    }

    fn gone(&self, goal: Goal) -> Done {
        if goal == Goal::Gone {
            return Ok(());
        }
        Err(Failure::NotFound(format!(
            "{}/{} was deleted while waiting for it",
            self.kind, self.name
        )))
    }

    async fn exists(&self) -> Result<bool, Failure> {
        let asked = if self.kind.is_workload() {
            self.client.live(self.kind, self.namespace, self.name).await
        } else {
            self.client.get(self.kind, self.namespace, self.name).await
        };
        match asked {
            Ok(_) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The scheduler says the same, about the same number of instances.
    async fn confirmed(&self, goal: Goal, object: Option<&Value>) -> Result<bool, Failure> {
        let Some(object) = object else {
            return Ok(false);
        };
        if self.kind.is_workload() {
            let live = match self.client.live(self.kind, self.namespace, self.name).await {
                Ok(live) => live,
                // The scheduler may be starting again.
                Err(error) if error.is_transient() => return Ok(false),
                Err(error) => return Err(error.into()),
            };
            let same = views::text(&live, "/Status") == views::text(object, "/status")
                && live.get("DefineInstances").and_then(Value::as_u64)
                    == object.get("instance").and_then(Value::as_u64);
            if !same {
                return Ok(false);
            }
        }
        if goal == Goal::Healthy && self.kind.is_workload() {
            return self.instances_healthy().await;
        }
        Ok(true)
    }

    async fn instances_healthy(&self) -> Result<bool, Failure> {
        let scope = Scope::Namespace(self.namespace);
        let listing = self.client.listing(Kind::TaskGroup, scope, None).await?;
        let mut own = listing
            .items
            .iter()
            .filter(|group| views::text(group, "/rcname") == self.name)
            .peekable();
        Ok(own.peek().is_some() && own.all(views::is_healthy))
    }
}
