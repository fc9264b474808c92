//! The dependency rules of DESIGN section 3: who may link what.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code: a broken host should fail loudly"
)]

use std::process::Command;

use bcs_layering::Graph;

/// A role's crate is a library of its own; roles meet over HTTP, or in `daemons/lib`.
const ROLES: &[&str] = &[
    "bcs-agent",
    "bcs-driver",
    "bcs-gateway",
    "bcs-master",
    "bcs-mesos-watch",
    "bcs-process-executor",
    "bcs-scheduler",
    "bcs-storage",
    "bcs-user-manager",
];

/// The one role that another may link: users live in the gateway's process.
const ALLOWED_ROLE_EDGES: &[(&str, &str)] = &[("bcs-gateway", "bcs-user-manager")];

/// Heavy trees are paid by one crate each.
const ONE_OWNER: &[(&str, &[&str])] = &[
    ("rusqlite", &["bcs-store-sqlite"]),
    ("rcgen", &["bcs-httpd"]),
    ("rustls", &["bcs-httpd"]),
    ("prost", &["bcs-mesos", "bcs-agent", "bcs-master"]),
    ("clap", &["bcs"]),
    ("bollard", &["bcs-container-executor"]),
    ("mongodb", &["bcs-store-mongo"]),
    ("etcd-client", &["bcs-coord"]),
    ("lapin", &["bcs-bus"]),
];

/// Never linked into the keeper, which lives as long as the tasks do and must stay tiny.
const NOT_IN_KEEPER: &[&str] = &[
    "tokio",
    "hyper",
    "rustls",
    "reqwest",
    "axum",
    "clap",
    "tracing-subscriber",
    "regex",
];

fn graph() -> Graph {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--locked", "--offline"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Graph::from_metadata(&serde_json::from_slice(&output.stdout).unwrap()).unwrap()
}

#[test]
fn roles_do_not_link_each_other() {
    let graph = graph();
    for role in ROLES {
        assert!(
            graph.members.contains_key(*role),
            "{role} is in the workspace"
        );
        for other in ROLES {
            let allowed = ALLOWED_ROLE_EDGES.contains(&(role, other));
            assert!(
                allowed || !graph.reached(role).contains(other),
                "{role} must not link {other}"
            );
        }
    }
}

#[test]
fn every_daemon_crate_is_a_known_role_or_an_executable() {
    let graph = graph();
    for (name, folder) in &graph.members {
        let daemon = folder.starts_with("daemons/") && !folder.starts_with("daemons/lib/");
        let known = ROLES.contains(&name.as_str()) || name == "bcs" || name == "bcs-keeper";
        assert!(!daemon || known, "{name} in {folder}: add it to ROLES");
    }
}

#[test]
fn libraries_do_not_link_roles() {
    let graph = graph();
    for name in graph
        .members
        .iter()
        .filter(|(_, folder)| folder.starts_with("daemons/lib/"))
        .map(|(name, _)| name)
    {
        for role in ROLES {
            assert!(
                !graph.reached(name).contains(role),
                "{name} must not link {role}"
            );
        }
    }
}

#[test]
fn heavy_crates_have_one_owner() {
    let graph = graph();
    for (heavy, owners) in ONE_OWNER {
        for (name, folder) in &graph.members {
            // Tests speak to listeners with whatever tells most; products pay once.
            if folder.starts_with("integration/") {
                continue;
            }
            let named = graph.direct(name).contains(heavy);
            assert!(
                !named || owners.contains(&name.as_str()),
                "{name} names {heavy}; only {owners:?} may"
            );
        }
    }
}

#[test]
fn the_model_does_no_io_and_the_keeper_has_no_runtime() {
    let graph = graph();
    let model = graph.reached("bcs-model");
    for forbidden in [
        "tokio",
        "reqwest",
        "hyper",
        "rusqlite",
        "nix",
        "bcs-kit",
        "bcs-httpd",
    ] {
        assert!(
            !model.contains(forbidden),
            "bcs-model must not link {forbidden}"
        );
    }
    let keeper = graph.reached("bcs-keeper");
    for forbidden in NOT_IN_KEEPER {
        assert!(
            !keeper.contains(forbidden),
            "bcs-keeper must not link {forbidden}"
        );
    }
}

#[test]
fn one_tls_provider_is_linked() {
    let graph = graph();
    for name in graph.members.keys() {
        for forbidden in ["aws-lc-rs", "openssl", "native-tls"] {
            assert!(
                !graph.reached(name).contains(forbidden),
                "{name} must not link {forbidden}"
            );
        }
    }
}
