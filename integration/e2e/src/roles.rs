//! The layout with a process for each role: certificates, configuration files, the client file.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use crate::command::{free_port, run};
use crate::system::executable;
use crate::wait;

/// Every role, in the order in which they are started (any order must do).
pub(crate) const ROLES: &[&str] = &[
    "storage",
    "master",
    "scheduler",
    "driver",
    "mesos-watch",
    "process-executor",
    "agent",
    "gateway",
];

/// The cluster of the tests.
pub(crate) const CLUSTER: &str = "BCS-MESOS-10000";

fn bcs(arguments: &[&str]) {
    let answer = run(
        std::process::Command::new(executable("bcs")).args(arguments),
        None,
    );
    assert_eq!(answer.code, 0, "{arguments:?}: {answer:?}");
}

/// Makes the authority, a certificate for each role, and each role's configuration.
pub(crate) fn configure(folder: &Path, gateway_port: u16, program_ports: &str) {
    let pki = folder.join("pki").display().to_string();
    bcs(&["pki", "init", &pki]);
    for role in ROLES {
        let names = [
            "--host",
            "testhost",
            "--name",
            "127.0.0.1",
            "--name",
            "localhost",
        ];
        bcs(&[&["pki", "issue", &pki, "--role", role][..], &names].concat());
    }
    let mut ports = BTreeMap::from([("gateway", gateway_port)]);
    for role in ["storage", "driver", "scheduler", "master", "agent"] {
        ports.insert(role, free_port());
    }
    let url = |role: &str| format!("https://127.0.0.1:{}", ports[role]);
    let listen = |role: &str| format!("listen = \"127.0.0.1:{}\"\n", ports[role]);
    let tls = |role: &str| {
        format!(
            "[tls]\nca = \"{pki}/ca.pem\"\ncert = \"{pki}/{role}.pem\"\nkey = \"{pki}/{role}.key\"\n"
        )
    };
    let data = |role: &str| format!("data_dir = \"{}\"\n", folder.join(role).display());
    let cluster = format!("cluster = \"{CLUSTER}\"\n");
    let executor = format!(
        "unix:{}",
        folder
            .join("process-executor/run/process-executor.sock")
            .display()
    );
    let keeper = executable("bcs-keeper");
    let write = |role: &str, text: String| {
        std::fs::create_dir_all(folder.join(role)).unwrap();
        std::fs::write(folder.join(format!("{role}.toml")), text).unwrap();
    };
    write(
        "storage",
        listen("storage") + &data("storage") + &tls("storage"),
    );
    write(
        "master",
        cluster.clone() + &listen("master") + &data("master") + MASTER + &tls("master"),
    );
    write(
        "scheduler",
        cluster.clone()
            + &listen("scheduler")
            + &data("scheduler")
            + &format!("masters = [\"{}\"]\n", url("master"))
            + SCHEDULER
            + &tls("scheduler"),
    );
    write(
        "driver",
        cluster.clone()
            + &listen("driver")
            + &format!("scheduler = \"{}\"\n", url("scheduler"))
            + &tls("driver"),
    );
    write(
        "mesos-watch",
        cluster.clone()
            + &format!(
                "scheduler = \"{}\"\nstorage = \"{}\"\n",
                url("scheduler"),
                url("storage")
            )
            + &tls("mesos-watch"),
    );
    write(
        "process-executor",
        format!(
            "listen = \"{executor}\"\nkeeper = \"{}\"\n",
            keeper.display()
        ) + &data("process-executor"),
    );
    write(
        "agent",
        listen("agent")
            + &data("agent")
            + &format!(
                "hostname = \"testhost\"\nmaster = \"{}\"\nresident_executors = [{{ command = \"bcs-process-executor\", endpoint = \"{executor}\" }}]\n",
                url("master")
            )
            + &format!("[resources]\nports = \"[{program_ports}]\"\n")
            + &tls("agent"),
    );
    write(
        "gateway",
        listen("gateway")
            + &data("gateway")
            + &format!(
                "storage = \"{}\"\nfirst_admin = {{ name = \"admin\", token_file = \"{}\" }}\n[drivers]\n{CLUSTER} = \"{}\"\n",
                url("storage"),
                token_file(folder).display(),
                url("driver")
            )
            + &tls("gateway"),
    );
}

/// What differs from the defaults so that two hundred small programs fit a test machine.
const MASTER: &str = "allocation = { executor_cpus = 0.001, executor_mem = 1.0 }\n";
const SCHEDULER: &str = "process_executor = { command = \"bcs-process-executor\", cpus = 0.001, mem = 1.0, disk = 1.0 }\n";

fn token_file(folder: &Path) -> std::path::PathBuf {
    folder.join("gateway/admin.token")
}

/// Writes `client.yaml` with the token that the gateway made at its first start.
pub(crate) fn create_client_file(folder: &Path, gateway_port: u16) {
    let path = folder.join("client.yaml");
    if path.exists() {
        return;
    }
    let token = wait::until("the gateway makes a token", Duration::from_secs(20), || {
        std::fs::read_to_string(token_file(folder)).map_err(|error| error.to_string())
    });
    let text = format!(
        "address: https://127.0.0.1:{gateway_port}\nca_file: pki/ca.pem\ncluster: {CLUSTER}\ntoken: {}\n",
        token.trim()
    );
    std::fs::write(path, text).unwrap();
}
