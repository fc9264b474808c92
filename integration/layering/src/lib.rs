//! Reads `cargo metadata` and tells which workspace crate reaches which crate. The rules are in
//! `tests/edges.rs`; this crate holds no product code.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// The normal (not dev, not build) dependencies of every package in the lock file, by name.
#[derive(Debug)]
pub struct Graph {
    direct: BTreeMap<String, BTreeSet<String>>,
    /// Workspace member name to its folder, relative to the workspace root.
    pub members: BTreeMap<String, String>,
}

impl Graph {
    /// Builds the graph from the JSON of `cargo metadata --format-version 1`.
    ///
    /// # Errors
    /// Names the field that is missing.
    pub fn from_metadata(metadata: &Value) -> Result<Self, String> {
        let list = |value: &Value, key: &str| -> Result<Vec<Value>, String> {
            value[key]
                .as_array()
                .cloned()
                .ok_or_else(|| format!("metadata has no {key}"))
        };
        let text = |value: &Value, key: &str| -> Result<String, String> {
            value[key]
                .as_str()
                .map(str::to_owned)
                .ok_or_else(|| format!("metadata has no {key}"))
        };
        let root = text(metadata, "workspace_root")?;
        let mut names = BTreeMap::new();
        let mut folders = BTreeMap::new();
        for package in list(metadata, "packages")? {
            names.insert(text(&package, "id")?, text(&package, "name")?);
            folders.insert(text(&package, "name")?, text(&package, "manifest_path")?);
        }
        let mut members = BTreeMap::new();
        for id in list(metadata, "workspace_members")? {
            let name = id
                .as_str()
                .and_then(|id| names.get(id))
                .ok_or("a member has no package")?;
            let folder = folders[name].trim_start_matches(&root).trim_matches('/');
            members.insert(
                name.clone(),
                folder.trim_end_matches("/Cargo.toml").to_owned(),
            );
        }
        let mut direct: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for node in list(&metadata["resolve"], "nodes")? {
            let name = names
                .get(&text(&node, "id")?)
                .ok_or("a node has no package")?
                .clone();
            let reached = direct.entry(name).or_default();
            for dependency in list(&node, "deps")? {
                let normal = list(&dependency, "dep_kinds")?
                    .iter()
                    .any(|kind| kind["kind"].is_null());
                if normal && let Some(name) = names.get(&text(&dependency, "pkg")?) {
                    reached.insert(name.clone());
                }
            }
        }
        Ok(Self { direct, members })
    }

    /// The crates that `name` names in its own manifest.
    pub fn direct(&self, name: &str) -> BTreeSet<&str> {
        self.direct
            .get(name)
            .into_iter()
            .flatten()
            .map(String::as_str)
            .collect()
    }

    /// Everything that `name` links, itself not counted.
    pub fn reached(&self, name: &str) -> BTreeSet<&str> {
        let mut seen = BTreeSet::new();
        let mut open = vec![name];
        while let Some(next) = open.pop() {
            for dependency in self.direct.get(next).into_iter().flatten() {
                if seen.insert(dependency.as_str()) {
                    open.push(dependency);
                }
            }
        }
        seen
    }
}
