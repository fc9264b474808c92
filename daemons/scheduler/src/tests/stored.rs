//! The persisted form: what this version wrote once must be read for ever.

use std::collections::BTreeMap;

use super::sim::Sim;
use super::versions::{name, process};
use crate::core::command::Command;

/// Written by format 1. Never edit: a later format gets a file of its own beside it.
const FORMAT_1: &str = include_str!("stored/format-1.json");

#[test]
fn records_of_format_1_are_read_and_their_intents_resumed() {
    let records: BTreeMap<String, serde_json::Value> = serde_json::from_str(FORMAT_1).unwrap();
    let mut sim = Sim::new(1);
    sim.store = records
        .iter()
        .map(|(key, value)| (key.clone(), serde_json::to_vec(value).unwrap()))
        .collect();
    sim.restart();
    let app = &sim.cluster.apps[&name("web")];
    assert_eq!(app.record.application.define_instances, 3);
    assert_eq!(app.versions.len(), 1);
    // Index 0 was running on a host that the master no longer has it on, 1 was to be replaced,
    // 2 was never built.
    let status = sim.cluster.group(&name("web"), 0).unwrap().group.status;
    assert_eq!(status, bcs_model::status::Status::Running);
    sim.settle();
    assert_eq!(sim.indexes("web"), [0, 1, 2]);
    assert!(sim.cluster.configmaps.contains_key(&name("cfg")));
    assert!(sim.cluster.settings["10.0.0.1"].disabled);
}

#[test]
fn what_is_written_now_has_the_shape_of_the_fixture() {
    let mut sim = Sim::new(1);
    sim.order(Command::Create(Box::new(process("web", 1))))
        .unwrap();
    sim.settle();
    let records: BTreeMap<String, serde_json::Value> = serde_json::from_str(FORMAT_1).unwrap();
    let shape = |kind: &str, value: &serde_json::Value| -> Vec<String> {
        let mut keys: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
        if kind == "group" {
            keys.extend(
                value["group"]
                    .as_object()
                    .unwrap()
                    .keys()
                    .map(|key| format!("group.{key}")),
            );
        }
        keys.sort();
        keys
    };
    for (key, bytes) in &sim.store {
        let kind = key.split('/').next().unwrap();
        let value: serde_json::Value = serde_json::from_slice(bytes).unwrap();
        let old = records
            .iter()
            .find(|(old, _)| old.split('/').next() == Some(kind))
            .unwrap()
            .1;
        assert_eq!(value["format"], 1);
        assert_eq!(
            shape(kind, &value),
            shape(kind, old),
            "{kind}: a new shape needs a new format"
        );
    }
}

#[test]
fn records_of_a_later_format_are_refused_by_name() {
    let mut sim = Sim::new(1);
    let directory = tempfile::tempdir().unwrap();
    let sealer = crate::seal::Sealer::load(directory.path()).unwrap();
    let record = br#"{"format":99,"id":"F"}"#.as_slice();
    let entries = [("framework", record)].into_iter();
    let error = crate::restore::load(entries, &sealer, &mut sim.cluster, sim.now).unwrap_err();
    assert!(
        error.to_string().contains("framework") && error.to_string().contains("99"),
        "{error}"
    );
}
