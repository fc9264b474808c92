//! The driver: API v4 of one Mesos cluster.
//!
//! It reads people's documents, judges them (`bcs_model::validate`), translates them into the
//! scheduler's versions and hands them on; the scheduler's answers go back unchanged. It keeps no
//! state, so any number of drivers may run. It refuses what is for another cluster, never guesses a
//! quantity, and never starts anything itself.
//!
//! ```text
//! gateway --/mesosdriver/v4/…--> driver --/v1/…--> scheduler
//!                                   \----/v1/logs--> agent   (streams pass through)
//! ```

mod answer;
mod cluster;
mod configuration;
mod logs;
mod messages;
mod request;
mod routes;
mod settings;
mod translate;
mod upstream;
mod workloads;

#[cfg(test)]
mod tests;

pub use settings::Settings;
pub use translate::version;

use bcs_httpd::{ClientAuth, Limits, Listener};
use bcs_kit::{Context, RunError};

/// Serves until `context.shutdown`.
///
/// # Errors
/// [`RunError`] for unusable settings, certificates or addresses. An absent scheduler is none: its
/// routes answer 503 until it is there.
pub async fn run(settings: Settings, context: Context) -> Result<(), RunError> {
    if settings.cluster.is_empty() {
        return Err(RunError::Settings {
            field: "cluster",
            value: String::new(),
            reason: "write the id of the cluster, such as BCS-MESOS-10000".to_owned(),
        });
    }
    let tls = match &settings.tls {
        None => None,
        Some(files) => Some(
            files
                .server(ClientAuth::Required)
                .map_err(|error| RunError::failed("TLS of the driver", error))?,
        ),
    };
    let listener = Listener::bind(&settings.listen).await?;
    let driver = upstream::Driver::new(&settings, &context)
        .map_err(|error| RunError::failed("client of the scheduler", error))?;
    let router = routes::router(driver, &settings, &context);
    context.ready.set();
    let limits = Limits {
        body_bytes: request::MOST_BODY_BYTES,
        ..Limits::default()
    };
    bcs_httpd::serve(listener, router, tls, limits, context.shutdown.clone()).await;
    Ok(())
}
