//! Documents: create, replace, apply, and what `apply` compares.

use crate::paths::{collection, object};
use crate::{Client, ClientError, Kind, Scope};
use bcs_model::v4::{ConfigMap, DEFAULT_NAMESPACE};
use http::Method;
use serde_json::Value;
use std::time::Duration;

/// How long an `apply` that also changes the number of instances waits for its turn.
const TURN: Duration = Duration::from_secs(120);

/// What `apply` did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// It did not exist.
    Created,
    /// It was different.
    Updated,
    /// Only the number of instances was different.
    Scaled,
    /// It was the same.
    Unchanged,
}

impl std::fmt::Display for Applied {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Applied::Created => "created",
            Applied::Updated => "updated",
            Applied::Scaled => "scaled",
            Applied::Unchanged => "unchanged",
        })
    }
}

/// Where a document belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Target {
    kind: Kind,
    namespace: String,
    name: String,
}

/// Reads kind, namespace and name of a document.
fn target(document: &Value) -> Result<Target, ClientError> {
    let lost = |what: &str| {
        ClientError::Document(format!(
            "the document has no {what}; a document of API v4 has one"
        ))
    };
    let field = |object: &Value, key: &str| -> Option<String> {
        let fields = object.as_object()?;
        fields
            .get(key)
            .or_else(|| {
                fields
                    .iter()
                    .find(|(name, _)| name.eq_ignore_ascii_case(key))
                    .map(|(_, value)| value)
            })?
            .as_str()
            .map(str::to_owned)
    };
    let kind: Kind = field(document, "kind")
        .ok_or_else(|| lost("kind"))?
        .parse()?;
    if kind == Kind::TaskGroup {
        return Err(ClientError::Document(
            "taskgroups are made by their application or process; write one of those".to_owned(),
        ));
    }
    let metadata = document.get("metadata").ok_or_else(|| lost("metadata"))?;
    let name = field(metadata, "name").ok_or_else(|| lost("metadata.name"))?;
    let namespace = field(metadata, "namespace")
        .filter(|namespace| !namespace.is_empty())
        .unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned());
    // It becomes a part of the path, where a wrong one would be refused without its name.
    bcs_model::ids::check_namespace("metadata.namespace", &namespace)
        .map_err(|error| ClientError::Document(error.to_string()))?;
    Ok(Target {
        kind,
        namespace,
        name,
    })
}

impl Client {
    /// Creates an object; an existing one is refused.
    ///
    /// # Errors
    /// [`ClientError`]; [`ClientError::is_exists`].
    pub async fn create(&self, document: &Value) -> Result<(), ClientError> {
        let target = target(document)?;
        self.post(&target, document).await
    }

    /// Replaces an existing object; all instances of an application are recreated.
    ///
    /// # Errors
    /// [`ClientError`]; [`ClientError::is_not_found`].
    pub async fn replace(&self, document: &Value) -> Result<(), ClientError> {
        let target = target(document)?;
        if !target.kind.is_workload() {
            return self.put(&target, document).await;
        }
        let present = self.wanted_instances(&target).await?;
        self.recreate(&target, document, present).await
    }

    /// Creates an object, or makes the existing one like the document: all instances are recreated
    /// when more than their number differs.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn apply(&self, document: &Value) -> Result<Applied, ClientError> {
        let target = target(document)?;
        match self.post(&target, document).await {
            Ok(()) => return Ok(Applied::Created),
            Err(error) if error.is_exists() => {}
            Err(error) => return Err(error),
        }
        if target.kind == Kind::ConfigMap && self.has_config_map(&target, document).await {
            return Ok(Applied::Unchanged);
        }
        if !target.kind.is_workload() {
            self.put(&target, document).await?;
            return Ok(Applied::Updated);
        }
        let present = self.wanted_instances(&target).await?;
        let known = self
            .definition(target.kind, &target.namespace, &target.name)
            .await
            .ok();
        let same = known
            .is_some_and(|known| without_instances(known) == without_instances(document.clone()));
        if !same {
            self.recreate(&target, document, present).await?;
            return Ok(Applied::Updated);
        }
        match instances(document).filter(|wanted| *wanted != present) {
            None => Ok(Applied::Unchanged),
            Some(wanted) => {
                self.scale_in_turn(&target, wanted).await?;
                Ok(Applied::Scaled)
            }
        }
    }

    /// Whether the scheduler has exactly this configmap. Secrets cannot be compared: nobody is
    /// shown their contents.
    async fn has_config_map(&self, target: &Target, document: &Value) -> bool {
        let path = object(target.kind, &target.namespace, &target.name);
        let Ok(present) = self.call(Method::GET, &path).await else {
            return false;
        };
        let read = |value: Value| bcs_model::decode::decode_value::<ConfigMap>(value).ok();
        match (read(present), read(document.clone())) {
            (Some(present), Some(wanted)) => {
                let metadata = |map: &ConfigMap| {
                    (
                        map.metadata.labels.clone(),
                        map.metadata.annotations.clone(),
                    )
                };
                present.datas == wanted.datas && metadata(&present) == metadata(&wanted)
            }
            _ => false,
        }
    }

    /// Recreates all instances. An update keeps their number, so a different one comes after it.
    async fn recreate(
        &self,
        target: &Target,
        document: &Value,
        present: u64,
    ) -> Result<(), ClientError> {
        self.put(target, document).await?;
        match instances(document).filter(|wanted| *wanted != present) {
            None => Ok(()),
            Some(wanted) => self.scale_in_turn(target, wanted).await,
        }
    }

    async fn post(&self, target: &Target, document: &Value) -> Result<(), ClientError> {
        let path = collection(target.kind, &target.namespace);
        self.call_with(Method::POST, &path, &spelled(document, target))
            .await
            .map(drop)
    }

    async fn put(&self, target: &Target, document: &Value) -> Result<(), ClientError> {
        let mut path = collection(target.kind, &target.namespace);
        if target.kind.is_workload() {
            // 0 stands for all of them.
            path.push_str("?instances=0");
        }
        self.call_with(Method::PUT, &path, &spelled(document, target))
            .await
            .map(drop)
    }

    async fn wanted_instances(&self, target: &Target) -> Result<u64, ClientError> {
        let live = self
            .live(target.kind, &target.namespace, &target.name)
            .await?;
        Ok(live
            .get("DefineInstances")
            .and_then(Value::as_u64)
            .unwrap_or_default())
    }

    /// Scales as soon as the operation under way lets it, which the storage's watch tells.
    async fn scale_in_turn(&self, target: &Target, instances: u64) -> Result<(), ClientError> {
        let scope = Scope::Namespace(&target.namespace);
        let attempt = async || {
            self.scale(target.kind, &target.namespace, &target.name, instances)
                .await
        };
        let busy = |error: &ClientError| matches!(error, ClientError::Refused(refusal) if refusal.message.contains("Not Allowed"));
        let turn = async {
            loop {
                let listing = self.listing(target.kind, scope, None).await?;
                match attempt().await {
                    Err(error) if busy(&error) => {}
                    other => return other,
                }
                let Some(revision) = listing.revision else {
                    tokio::time::sleep(Duration::from_millis(500)).await;
                    continue;
                };
                let mut watch = match self.watch(target.kind, scope, None, revision).await {
                    Err(ClientError::Expired) => continue,
                    other => other?,
                };
                while let Ok(Some(_)) = watch.next().await {
                    match attempt().await {
                        Err(error) if busy(&error) => {}
                        other => return other,
                    }
                }
            }
        };
        tokio::time::timeout(TURN, turn).await.unwrap_or_else(|_| {
            Err(ClientError::TimedOut {
                address: self.address(),
            })
        })
    }

    /// Deletes what a document describes.
    ///
    /// # Errors
    /// As [`Client::delete`].
    pub async fn delete_document(&self, document: &Value, force: bool) -> Result<(), ClientError> {
        let target = target(document)?;
        self.delete(target.kind, &target.namespace, &target.name, force)
            .await
    }
}

/// How many instances a document wants.
fn instances(document: &Value) -> Option<u64> {
    document.pointer("/spec/instance").and_then(Value::as_u64)
}

/// The document as the API wants it: kind in lower case, the namespace written down.
fn spelled(document: &Value, target: &Target) -> Value {
    let mut document = document.clone();
    if let Some(fields) = document.as_object_mut() {
        fields.retain(|key, _| !key.eq_ignore_ascii_case("kind"));
        fields.insert(
            "kind".to_owned(),
            Value::String(target.kind.name().to_owned()),
        );
        if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.retain(|key, _| !key.eq_ignore_ascii_case("namespace"));
            metadata.insert(
                "namespace".to_owned(),
                Value::String(target.namespace.clone()),
            );
        }
    }
    document
}

/// For comparison: without the number of instances, and with what is spelled in several ways.
fn without_instances(mut document: Value) -> Value {
    if let Ok(target) = target(&document) {
        document = spelled(&document, &target);
    }
    if let Some(spec) = document.get_mut("spec").and_then(Value::as_object_mut) {
        spec.remove("instance");
    }
    document
}
