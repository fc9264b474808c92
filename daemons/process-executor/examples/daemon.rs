//! The daemon alone, for tests that kill it: `daemon SETTINGS.json`. With `MESOS_EXECUTOR_ID` in
//! the environment it serves that one executor.

use bcs_kit::{Context, Shutdown};
use bcs_process_executor::{Settings, Variables, run, run_single};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    bcs_httpd::tls::install_provider();
    let path = std::env::args()
        .nth(1)
        .ok_or("usage: daemon SETTINGS.json")?;
    let settings: Settings = serde_json::from_slice(&std::fs::read(path)?)?;
    let context = Context::new(Shutdown::new());
    let variables: std::collections::BTreeMap<String, String> = std::env::vars()
        .filter(|(name, _)| name.starts_with("MESOS_"))
        .collect();
    match variables.contains_key("MESOS_EXECUTOR_ID") {
        true => run_single(Variables(variables), settings, context).await?,
        false => run(settings, context).await?,
    }
    Ok(())
}
