//! `bcs standalone --demo`: packages this executable as an example server, deploys three
//! instances, shows them until they are healthy, and removes them at the end.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use bcs_api::{Client, ClientFile};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const NAMESPACE: &str = "demo";
const NAME: &str = "hello";
const INSTANCES: usize = 3;
/// For the three to become healthy; a cold disk needs seconds, anything longer is a fault to show.
const LIMIT: Duration = Duration::from_secs(60);

/// Why the demo could not be shown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DemoError {
    #[error("packaging the example server: {0}")]
    Package(#[from] std::io::Error),
    #[error(transparent)]
    Client(#[from] bcs_api::ClientError),
    #[error("the instances were not healthy within {} s; see: bcs describe process {NAME} -n {NAMESPACE}", LIMIT.as_secs())]
    Late,
}

/// Deploys, and shows progress until all instances are healthy.
pub(crate) async fn run(client_file: &Path, data_dir: &Path) -> Result<(), DemoError> {
    let folder = data_dir.join("demo");
    let archive = folder.join("example-server.tar.gz");
    let packing = {
        let archive = archive.clone();
        tokio::task::spawn_blocking(move || package(&archive))
    };
    let checksum = packing.await.map_err(std::io::Error::other)??;
    let client = Client::new(&ClientFile::read(client_file)?)?;
    say("deploying three instances of the example server");
    client.apply(&object(&archive, &checksum)).await?;
    let taskgroups = tokio::time::timeout(LIMIT, progress(&client))
        .await
        .map_err(|_| DemoError::Late)?;
    table(&taskgroups?, client_file)?;
    Ok(())
}

/// Removes what the demo deployed, and waits a little until it is gone.
pub(crate) async fn remove(client_file: &Path) {
    let gone = async {
        let client = Client::new(&ClientFile::read(client_file)?)?;
        client.delete("process", NAMESPACE, NAME, false).await?;
        while !client.list("taskgroup", Some(NAMESPACE)).await?.is_empty() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok::<(), bcs_api::ClientError>(())
    };
    say("removing the example server");
    match tokio::time::timeout(Duration::from_secs(15), gone).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::warn!(%error, "the example server is left; the next start finds it");
        }
        Err(_) => tracing::warn!("the example server still stops; the next start finds it"),
    }
}

/// A tar.gz with this executable, and its checksum.
fn package(archive: &Path) -> std::io::Result<String> {
    if let Some(folder) = archive.parent() {
        bcs_kit::files::private_folder(folder)?;
    }
    let mut builder = tar::Builder::new(flate2::write::GzEncoder::new(
        std::io::BufWriter::new(std::fs::File::create(archive)?),
        flate2::Compression::fast(),
    ));
    builder.append_path_with_name(std::env::current_exe()?, "bin/bcs")?;
    builder
        .into_inner()?
        .finish()?
        .into_inner()
        .map_err(std::io::IntoInnerError::into_error)?
        .sync_all()?;
    let mut digest = Sha256::new();
    std::io::copy(
        &mut std::fs::File::open(archive)?,
        &mut Hashing(&mut digest),
    )?;
    Ok(format!("sha256:{}", hex::encode(digest.finalize())))
}

struct Hashing<'a>(&'a mut Sha256);

impl Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn object(archive: &Path, checksum: &str) -> Value {
    let home = format!("${{work_base_dir}}/{NAME}-${{instanceid}}");
    json!({
        "apiVersion": "v4", "kind": "process",
        "metadata": {"name": NAME, "namespace": NAMESPACE, "labels": {"app": NAME}},
        "restartPolicy": {"policy": "Always", "interval": 1, "backoff": 1},
        "killPolicy": {"gracePeriod": 5},
        "spec": {"instance": INSTANCES, "template": {"spec": {"processes": [{
            "procName": "bcs",
            "workPath": home,
            "uris": [{"Value": format!("file://{}", archive.display()), "Checksum": checksum, "OutputDir": home}],
            "startCmd": format!("{home}/bin/bcs example-server --port ${{ports.http}}"),
            "ports": [{"name": "http", "hostPort": 0, "protocol": "tcp"}],
            "healthChecks": [{"type": "HTTP", "delaySeconds": 1, "gracePeriodSeconds": 1, "intervalSeconds": 2,
                "timeoutSeconds": 1, "consecutiveFailures": 3, "http": {"portName": "http", "scheme": "http", "path": "/healthz"}}],
            "resources": {"limits": {"cpu": "0.1", "memory": "64", "storage": "64"}}
        }], "networkMode": "HOST"}}}
    })
}

fn healthy(taskgroup: &Value) -> bool {
    let checks = &taskgroup["containerStatuses"][0]["healCheckStatus"];
    let passed = checks.as_array().is_some_and(|checks| {
        !checks.is_empty() && checks.iter().all(|check| check["result"] == true)
    });
    taskgroup["status"] == "Running" && passed
}

async fn progress(client: &Client) -> Result<Vec<Value>, bcs_api::ClientError> {
    let mut last = String::new();
    loop {
        let taskgroups = client.list("taskgroup", Some(NAMESPACE)).await?;
        let ready = taskgroups
            .iter()
            .filter(|taskgroup| healthy(taskgroup))
            .count();
        let states: Vec<&str> = taskgroups
            .iter()
            .map(|taskgroup| taskgroup["status"].as_str().unwrap_or("?"))
            .collect();
        let line = format!("{ready} of {INSTANCES} healthy ({})", states.join(", "));
        if line != last {
            say(&line);
            last = line;
        }
        if ready == INSTANCES {
            return Ok(taskgroups);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn table(taskgroups: &[Value], client_file: &Path) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "\n{:<12} {:<9} {:<8} ADDRESS",
        "INSTANCE", "STATUS", "PID"
    )?;
    for taskgroup in taskgroups {
        let container = &taskgroup["containerStatuses"][0];
        let port = container["containerPort"][0]["hostPort"].to_string();
        let index = taskgroup["metadata"]["name"]
            .as_str()
            .and_then(|name| name.split('.').next());
        writeln!(
            out,
            "{:<12} {:<9} {:<8} http://127.0.0.1:{}/",
            format!("{NAME}-{}", index.unwrap_or("?")),
            taskgroup["status"].as_str().unwrap_or("?"),
            container["pid"].to_string(),
            port.trim_matches('"'),
        )?;
    }
    writeln!(out, "\nTry, in another terminal:")?;
    let config = if client_file == bcs_api::default_data_dir().join("client.yaml") {
        String::new()
    } else {
        format!(" --config {}", client_file.display())
    };
    for words in [
        "get taskgroup -n demo",
        "describe process hello -n demo",
        "scale process hello -n demo --instances 5",
    ] {
        writeln!(out, "  bcs{config} {words}")?;
    }
    writeln!(out, "\nCtrl-C removes the example and stops.")?;
    out.flush()
}

/// A line of progress, on standard error so that standard output stays for scripts.
#[expect(clippy::print_stderr, reason = "progress for the person who watches")]
fn say(line: &str) {
    eprintln!("demo: {line}");
}
