//! From what a person types to what is meant: namespaces, `KIND/NAME`, and instances by their short
//! name.

use bcs_api::{Client, Kind, Scope};
use bcs_model::ids::TaskGroupId;
use bcs_model::v4::DEFAULT_NAMESPACE;
use clap::Args;
use serde_json::Value;

use super::failure::Failure;

/// `-n`.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct Namespace {
    /// Namespace [default: $BCS_NAMESPACE, else defaultGroup]
    #[arg(
        short = 'n',
        long = "namespace",
        value_name = "NS",
        env = "BCS_NAMESPACE",
        hide_env = true
    )]
    pub(super) namespace: Option<String>,
}

impl Namespace {
    pub(super) fn or_default(&self) -> &str {
        self.given().unwrap_or(DEFAULT_NAMESPACE)
    }

    pub(super) fn given(&self) -> Option<&str> {
        self.namespace.as_deref().filter(|name| !name.is_empty())
    }
}

/// `KIND NAME` or `KIND/NAME`; the name may be left out.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct Reference {
    /// application (app), process (proc), taskgroup (tg, pod), configmap (cm) or secret
    #[arg(value_name = "KIND")]
    kind: String,
    /// Name; of a taskgroup its id, or NAME-INDEX
    #[arg(value_name = "NAME")]
    name: Option<String>,
}

impl Reference {
    pub(super) fn parse(&self) -> Result<(Kind, Option<&str>), Failure> {
        let (kind, name) = match self.kind.split_once('/') {
            Some((kind, name)) if self.name.is_none() => (kind, Some(name)),
            _ => (self.kind.as_str(), self.name.as_deref()),
        };
        Ok((kind.parse()?, name.filter(|name| !name.is_empty())))
    }

    pub(super) fn one(&self) -> Result<(Kind, &str), Failure> {
        let (kind, name) = self.parse()?;
        let name = name.ok_or_else(|| {
            Failure::Usage(format!(
                "which {kind}? write its name; `bcs get {kind} -A` lists them"
            ))
        })?;
        Ok((kind, name))
    }
}

/// The taskgroup that is meant: by its id, or by `NAME-INDEX` in the namespace.
pub(super) async fn taskgroup(
    client: &Client,
    namespace: &Namespace,
    text: &str,
) -> Result<TaskGroupId, Failure> {
    let text = text.strip_prefix("taskgroup/").unwrap_or(text);
    if let Ok(id) = text.parse::<TaskGroupId>() {
        return Ok(id);
    }
    let scope = namespace.or_default();
    let lost = || {
        Failure::NotFound(format!(
            "no taskgroup {text:?} in namespace {scope}; `bcs get taskgroup -A` lists them"
        ))
    };
    // Only a short name is worth asking for.
    let Some((app, index)) = text.rsplit_once('-') else {
        return Err(lost());
    };
    let Ok(index) = index.parse::<u64>() else {
        return Err(lost());
    };
    let listing = client
        .listing(Kind::TaskGroup, Scope::Namespace(scope), None)
        .await?;
    listing
        .items
        .iter()
        .filter_map(|object| {
            object
                .pointer("/metadata/name")
                .and_then(Value::as_str)?
                .parse()
                .ok()
        })
        .filter(|id: &TaskGroupId| id.app == app && id.index == index)
        .max_by_key(|id| id.nanos)
        .ok_or_else(lost)
}
