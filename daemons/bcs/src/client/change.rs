//! Verbs that change things: apply, create, replace, delete, scale.

use std::time::Duration;

use bcs_api::{Client, ClientError, Kind};
use clap::Args;
use serde_json::Value;

use super::documents;
use super::failure::{Done, Failure, one_line};
use super::output::Out;
use super::resolve::{Namespace, Reference};
use super::wait;

/// Options of apply, create and replace.
#[derive(Clone, Debug, Args)]
pub(crate) struct Files {
    /// JSON or YAML, one or several documents; - is standard input
    #[arg(short = 'f', long = "filename", value_name = "FILE", required = true)]
    files: Vec<String>,
    #[command(flatten)]
    namespace: Namespace,
}

/// What to do with each document.
#[derive(Clone, Copy, Debug)]
pub(super) enum Way {
    Apply,
    Create,
    Replace,
}

/// Each document on its own: one that fails does not stop the others.
pub(super) async fn files(client: &Client, way: Way, files: &Files, out: &mut Out) -> Done {
    let mut documents = documents::read(&files.files, files.namespace.given())?;
    // Otherwise in the order of the files; what workloads refer to must be there before them.
    documents.sort_by_key(documents::is_workload);
    let mut tally = Tally::default();
    for document in &documents {
        let done = match way {
            Way::Apply => client
                .apply(document)
                .await
                .map(|applied| applied.to_string()),
            Way::Create => client.create(document).await.map(|()| "created".to_owned()),
            Way::Replace => client
                .replace(document)
                .await
                .map(|()| "replaced".to_owned()),
        };
        tally.count(&documents::title(document), done, out)?;
    }
    tally.end()
}

/// Options of delete.
#[derive(Clone, Debug, Args)]
pub(crate) struct Delete {
    /// Delete what these files describe
    #[arg(
        short = 'f',
        long = "filename",
        value_name = "FILE",
        conflicts_with = "kind"
    )]
    files: Vec<String>,
    /// Kind, or KIND/NAME
    #[arg(value_name = "KIND", required_unless_present = "files")]
    kind: Option<String>,
    /// Names
    #[arg(value_name = "NAME", conflicts_with = "files")]
    names: Vec<String>,
    /// Also while another operation is under way
    #[arg(long)]
    force: bool,
    /// Wait until it is gone
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    namespace: Namespace,
}

pub(super) async fn delete(client: &Client, options: &Delete, out: &mut Out) -> Done {
    let mut tally = Tally::default();
    let mut gone: Vec<(Kind, String, String)> = Vec::new();
    if options.files.is_empty() {
        let text = options.kind.as_deref().unwrap_or_default();
        let (kind, first) = match text.split_once('/') {
            Some((kind, name)) => (kind, Some(name.to_owned())),
            None => (text, None),
        };
        let kind: Kind = kind.parse()?;
        refuse_taskgroups(kind)?;
        let names: Vec<String> = first
            .into_iter()
            .chain(options.names.iter().cloned())
            .collect();
        if names.is_empty() {
            return Err(Failure::Usage(format!("which {kind}? write its name")));
        }
        let namespace = options.namespace.or_default();
        for name in names {
            let done = client.delete(kind, namespace, &name, options.force).await;
            let done = done.map(|()| "deleted".to_owned());
            gone.extend(
                done.is_ok()
                    .then(|| (kind, namespace.to_owned(), name.clone())),
            );
            tally.count(&format!("{kind}/{name}"), done, out)?;
        }
    } else {
        let mut documents = documents::read(&options.files, options.namespace.given())?;
        // What workloads refer to goes after them.
        documents.sort_by_key(|document| !documents::is_workload(document));
        for document in &documents {
            let done = client.delete_document(document, options.force).await;
            if done.is_ok() {
                gone.extend(named(document));
            }
            let done = done.map(|()| "deleted".to_owned());
            tally.count(&documents::title(document), done, out)?;
        }
    }
    if options.wait {
        out.flush()?;
        for (kind, namespace, name) in &gone {
            wait::until_gone(client, *kind, namespace, name, Duration::from_secs(300)).await?;
        }
    }
    tally.end()
}

fn refuse_taskgroups(kind: Kind) -> Done {
    if kind == Kind::TaskGroup {
        return Err(Failure::Usage(
            "a taskgroup cannot be deleted, it would come back; use `bcs scale`, or `bcs reschedule`"
                .to_owned(),
        ));
    }
    Ok(())
}

fn named(document: &Value) -> Option<(Kind, String, String)> {
    let text = |pointer: &str| document.pointer(pointer).and_then(Value::as_str);
    let namespace = text("/metadata/namespace").unwrap_or(bcs_model::v4::DEFAULT_NAMESPACE);
    Some((
        text("/kind")?.parse().ok()?,
        namespace.to_owned(),
        text("/metadata/name")?.to_owned(),
    ))
}

/// Options of scale.
#[derive(Clone, Debug, Args)]
pub(crate) struct Scale {
    #[command(flatten)]
    reference: Reference,
    /// How many are wanted
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    instances: u64,
    #[command(flatten)]
    namespace: Namespace,
}

pub(super) async fn scale(client: &Client, options: &Scale, out: &mut Out) -> Done {
    let (kind, name) = options.reference.one()?;
    if !kind.is_workload() {
        return Err(Failure::Usage(format!(
            "a {kind} has no instances; scale its application or process"
        )));
    }
    client
        .scale(
            kind,
            options.namespace.or_default(),
            name,
            options.instances,
        )
        .await?;
    out.line(&format!("{kind}/{name} scaled to {}", options.instances))
}

/// Counts what failed; each document has its own line.
#[derive(Debug, Default)]
struct Tally {
    all: usize,
    failed: usize,
    worst: u8,
}

impl Tally {
    fn count(&mut self, title: &str, done: Result<String, ClientError>, out: &mut Out) -> Done {
        self.all += 1;
        match done {
            Ok(word) => out.line(&format!("{title} {word}")),
            Err(error) => {
                let failure = Failure::Client(error);
                // Several reasons have only the general code in common.
                let code = failure.code();
                self.worst = if self.failed == 0 || self.worst == code {
                    code
                } else {
                    1
                };
                self.failed += 1;
                out.flush()?;
                super::note(&format!("bcs: {title}: {}", one_line(&failure.to_string())));
                Ok(())
            }
        }
    }

    fn end(self) -> Done {
        match self.failed {
            0 => Ok(()),
            // Part of it was done, so it is not "not found" or "usage" as a whole.
            failed if failed < self.all => Err(Failure::Reported(1)),
            _ => Err(Failure::Reported(self.worst)),
        }
    }
}
