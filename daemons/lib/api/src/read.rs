//! Reads: from storage, in the storage's shape.

use crate::paths::{STORAGE, part};
use crate::{Client, ClientError, IntoKind, Kind};
use http::Method;
use serde_json::Value;

/// Objects per page.
const PAGE: usize = 1000;

/// Where to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope<'a> {
    /// In one namespace.
    Namespace(&'a str),
    /// In all of them.
    All,
}

impl<'a> From<Option<&'a str>> for Scope<'a> {
    fn from(namespace: Option<&'a str>) -> Self {
        namespace.map_or(Scope::All, Scope::Namespace)
    }
}

/// Objects, and the revision that a watch may go on from.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// In the storage's shape (spec mesos-side 1.11).
    pub items: Vec<Value>,
    /// Of the first page.
    pub revision: Option<u64>,
}

impl Client {
    /// All objects of a kind.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn list(
        &self,
        kind: impl IntoKind,
        namespace: Option<&str>,
    ) -> Result<Vec<Value>, ClientError> {
        Ok(self.listing(kind, namespace.into(), None).await?.items)
    }

    /// All objects of a kind that a selector of labels matches, with the revision.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn listing(
        &self,
        kind: impl IntoKind,
        scope: Scope<'_>,
        selector: Option<&str>,
    ) -> Result<Listing, ClientError> {
        let kind = kind.into_kind()?;
        let base = self.storage_collection(kind, scope);
        let mut listing = Listing::default();
        let mut next: Option<String> = None;
        loop {
            let mut path = format!("{base}?limit={PAGE}");
            if let Some(selector) = selector {
                path.push_str(&format!("&labelSelector={}", part(selector)));
            }
            if let Some(next) = &next {
                path.push_str(&format!("&continue={}", part(next)));
            }
            let parsed = self.envelope(self.http.request(Method::GET, &path)).await?;
            listing.revision = listing.revision.or(parsed.revision);
            if let Value::Array(documents) = parsed.data {
                let objects = documents.into_iter().map(object_of);
                listing
                    .items
                    .extend(objects.filter(|object| belongs(kind, object)));
            }
            if parsed.next.is_none() || parsed.next == next {
                return Ok(listing);
            }
            next = parsed.next;
        }
    }

    /// One object.
    ///
    /// # Errors
    /// [`ClientError`]; [`ClientError::is_not_found`] when there is none.
    pub async fn get(
        &self,
        kind: impl IntoKind,
        namespace: &str,
        name: &str,
    ) -> Result<Value, ClientError> {
        Ok(self.get_at(kind, namespace, name).await?.0)
    }

    /// One object, with the revision that a watch may go on from.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn get_at(
        &self,
        kind: impl IntoKind,
        namespace: &str,
        name: &str,
    ) -> Result<(Value, Option<u64>), ClientError> {
        let kind = kind.into_kind()?;
        let path = format!(
            "{}/{}",
            self.storage_collection(kind, Scope::Namespace(namespace)),
            part(name)
        );
        let parsed = self.envelope(self.http.request(Method::GET, &path)).await?;
        // The document came as an array in some releases of the original.
        let document = match parsed.data {
            Value::Array(documents) => documents.into_iter().next().unwrap_or_default(),
            other => other,
        };
        let object = object_of(document);
        if object.is_null() || !belongs(kind, &object) {
            return Err(ClientError::Refused(crate::Refusal {
                status: http::StatusCode::NOT_FOUND,
                code: 1_405_087,
                message: format!("{kind} {name} does not exist in namespace {namespace}"),
            }));
        }
        Ok((object, parsed.revision))
    }

    pub(crate) fn storage_collection(&self, kind: Kind, scope: Scope<'_>) -> String {
        let cluster = part(&self.cluster);
        let kind = kind.name();
        match scope {
            Scope::Namespace(namespace) => format!(
                "{STORAGE}/mesos/dynamic/namespace_resources/clusters/{cluster}/namespaces/{}/{kind}",
                part(namespace)
            ),
            Scope::All => {
                format!("{STORAGE}/mesos/dynamic/all_resources/clusters/{cluster}/{kind}")
            }
        }
    }
}

/// The object inside a storage document.
pub(crate) fn object_of(document: Value) -> Value {
    match document {
        Value::Object(mut fields) if fields.contains_key("data") => {
            fields.remove("data").unwrap_or_default()
        }
        other => other,
    }
}

/// Applications and processes share a collection; a storage of the original does not tell them apart.
pub(crate) fn belongs(kind: Kind, object: &Value) -> bool {
    if !kind.is_workload() {
        return true;
    }
    let found = object
        .get("kind")
        .and_then(Value::as_str)
        .unwrap_or("application");
    found == kind.name()
}
