//! From the store to the state.

use bcs_store::{Coordination, StoreError};
use serde::de::DeserializeOwned;

use crate::core::records::{AppRecord, FORMAT, FrameworkRecord, Group, Name, StampRecord, Stored};
use crate::core::state::App;
use crate::core::{Cluster, Now};
use crate::seal::{SealError, Sealer};

/// Why the state could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RestoreError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("record {key:?} cannot be read: {source}")]
    Record {
        key: String,
        source: serde_json::Error,
    },
    #[error("record {key:?} has format {found}, this version knows up to {FORMAT}; upgrade again")]
    Format { key: String, found: u32 },
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// Reads everything; returns the revision that it shows.
pub(crate) async fn restore(
    store: &dyn Coordination,
    sealer: &Sealer,
    cluster: &mut Cluster,
    now: Now,
) -> Result<u64, RestoreError> {
    let page = store.range("", 0, None).await?;
    let entries = page
        .entries
        .iter()
        .map(|entry| (entry.key.as_str(), entry.value.as_slice()));
    load(entries, sealer, cluster, now)?;
    Ok(page.revision)
}

/// Puts records into an empty state, and what follows from them.
pub(crate) fn load<'a>(
    entries: impl Iterator<Item = (&'a str, &'a [u8])>,
    sealer: &Sealer,
    cluster: &mut Cluster,
    now: Now,
) -> Result<(), RestoreError> {
    let mut groups = Vec::new();
    let mut versions = Vec::new();
    for (key, value) in entries {
        let (kind, rest) = key.split_once('/').unwrap_or((key, ""));
        match kind {
            "framework" => {
                let record: FrameworkRecord = read(key, value)?;
                cluster.framework_id = Some(record.id);
            }
            "stamp" => cluster.seen_stamp(read::<StampRecord>(key, value)?.last),
            "app" => {
                if let Some(name) = Name::from_key(rest) {
                    cluster
                        .apps
                        .insert(name, App::new(read::<AppRecord>(key, value)?));
                }
            }
            "version" => {
                let record: Stored<bcs_model::version::Version> = read(key, value)?;
                versions.push((
                    rest.rsplit_once('/').map_or(rest, |(app, _)| app),
                    record.object,
                ));
            }
            "group" => groups.push(read::<Group>(key, value)?),
            "configmap" => {
                if let Some(name) = Name::from_key(rest) {
                    cluster
                        .configmaps
                        .insert(name, read::<Stored<_>>(key, value)?.object);
                }
            }
            "secret" => {
                if let Some(name) = Name::from_key(rest) {
                    let opened = sealer.open(key, value)?;
                    cluster
                        .secrets
                        .insert(name, read::<Stored<_>>(key, &opened)?.object);
                }
            }
            "setting" => {
                cluster
                    .settings
                    .insert(rest.to_owned(), read::<Stored<_>>(key, value)?.object);
            }
            _ => tracing::warn!(key, "record of a kind that is not known; left alone"),
        }
    }
    for (app, version) in versions {
        let Some(name) = Name::from_key(app) else {
            continue;
        };
        if let Some(app) = cluster.apps.get_mut(&name) {
            app.versions
                .insert(version.name.clone(), std::sync::Arc::new(version));
        }
    }
    for group in groups {
        let name = Name::new(&group.group.run_as, &group.group.app_id);
        let index = group.group.instance_id;
        cluster.put_group(&name, index, group);
    }
    // Nothing of that has to be written again.
    cluster.out.dirty.clear();
    cluster.resume(now);
    Ok(())
}

/// Decodes a record after a look at its format.
fn read<T: DeserializeOwned>(key: &str, value: &[u8]) -> Result<T, RestoreError> {
    #[derive(serde::Deserialize)]
    struct Header {
        format: u32,
    }
    let unreadable = |source| RestoreError::Record {
        key: key.to_owned(),
        source,
    };
    let header: Header = serde_json::from_slice(value).map_err(unreadable)?;
    if header.format > FORMAT {
        return Err(RestoreError::Format {
            key: key.to_owned(),
            found: header.format,
        });
    }
    serde_json::from_slice(value).map_err(unreadable)
}
