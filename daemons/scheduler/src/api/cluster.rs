//! Routes of hosts: settings, resources, offers, endpoints, remote health checks.

use axum::extract::{Path, Query as Parameters, State};
use bcs_httpd::Envelope;
use bcs_model::v4::{AgentSetting, Taint};
use bcs_model::version::ExtendedResource;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, Api, body, list};
use crate::core::Event;
use crate::core::command::Command;
use crate::core::query::Query;
use crate::mesos::master::agents;

#[derive(Debug, Default, Deserialize)]
pub(super) struct Options {
    ips: Option<String>,
}

pub(super) async fn settings(
    State(api): State<Api>,
    Parameters(options): Parameters<Options>,
) -> Answer {
    api.question(Query::Settings {
        ips: list(options.ips.as_deref()),
    })
    .await
}

pub(super) async fn setting(State(api): State<Api>, Path(ip): Path<String>) -> Answer {
    let mut found = api
        .question(Query::Settings {
            ips: vec![ip.clone()],
        })
        .await?;
    let one = found
        .data
        .as_mut()
        .and_then(|data| data.as_array_mut()?.pop());
    match one {
        Some(setting) => Ok(Envelope::ok(setting)),
        None => Err(super::Failure::new(
            http::StatusCode::NOT_FOUND,
            crate::core::command::NOT_FOUND,
            format!("no host has the address {ip:?}"),
        )),
    }
}

pub(super) async fn put_settings(State(api): State<Api>, bytes: Bytes) -> Answer {
    let settings: Vec<AgentSetting> = body(&bytes)?;
    api.order(Command::PutSettings(settings)).await
}

pub(super) async fn delete_settings(
    State(api): State<Api>,
    Parameters(options): Parameters<Options>,
) -> Answer {
    api.order(Command::DeleteSettings {
        ips: list(options.ips.as_deref()),
    })
    .await
}

pub(super) async fn delete_setting(State(api): State<Api>, Path(ip): Path<String>) -> Answer {
    api.order(Command::DeleteSettings { ips: vec![ip] }).await
}

pub(super) async fn enable(
    State(api): State<Api>,
    Parameters(options): Parameters<Options>,
) -> Answer {
    api.order(Command::Enable {
        ips: list(options.ips.as_deref()),
        enabled: true,
    })
    .await
}

pub(super) async fn disable(
    State(api): State<Api>,
    Parameters(options): Parameters<Options>,
) -> Answer {
    api.order(Command::Enable {
        ips: list(options.ips.as_deref()),
        enabled: false,
    })
    .await
}

pub(super) async fn enable_one(State(api): State<Api>, Path(ip): Path<String>) -> Answer {
    api.order(Command::Enable {
        ips: vec![ip],
        enabled: true,
    })
    .await
}

pub(super) async fn disable_one(State(api): State<Api>, Path(ip): Path<String>) -> Answer {
    api.order(Command::Enable {
        ips: vec![ip],
        enabled: false,
    })
    .await
}

pub(super) async fn taint(State(api): State<Api>, bytes: Bytes) -> Answer {
    let taints: Vec<Taint> = body(&bytes)?;
    api.order(Command::Taint(taints)).await
}

pub(super) async fn extended_resource(State(api): State<Api>, bytes: Bytes) -> Answer {
    let resource: ExtendedResource = body(&bytes)?;
    api.order(Command::ExtendedResource(resource)).await
}

/// What is used is known to the master only, so it is asked first; without it the last answer counts.
pub(super) async fn resources(State(api): State<Api>) -> Answer {
    let session = api.sessions.borrow().clone();
    if let Some(session) = session {
        match agents(&session.client).await {
            Ok(agents) => {
                api.inbox.send(Event::Agents(agents)).await;
            }
            Err(error) => tracing::debug!(%error, "resources are those of the last answer"),
        }
    }
    api.question(Query::Resources).await
}

pub(super) async fn offers(State(api): State<Api>) -> Answer {
    api.question(Query::Offers).await
}

pub(super) async fn endpoints(State(api): State<Api>) -> Answer {
    let scheme = api.agent_scheme();
    let own: Vec<Value> = api
        .address
        .iter()
        .map(|address| {
            server(
                &address.ip().to_string(),
                address.port(),
                scheme,
                &api.cluster,
            )
        })
        .collect();
    let session = api.sessions.borrow().clone();
    let masters: Vec<Value> = session
        .iter()
        .filter_map(|session| {
            let endpoint = session.client.endpoint().to_string();
            let (scheme, rest) = endpoint.split_once("://")?;
            let (host, port) = rest.rsplit_once(':')?;
            Some(server(host, port.parse().ok()?, scheme, &api.cluster))
        })
        .collect();
    Ok(Envelope::ok(
        json!({"mesosscheduler": own, "mesosmaster": masters}),
    ))
}

fn server(ip: &str, port: u16, scheme: &str, cluster: &str) -> Value {
    json!({"ip": ip, "port": port, "scheme": scheme, "cluster": cluster,
           "version": env!("CARGO_PKG_VERSION")})
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct HealthResult {
    id: String,
    #[serde(rename = "type")]
    check_type: String,
    status: bool,
    message: String,
}

pub(super) async fn health(State(api): State<Api>, bytes: Bytes) -> Answer {
    let result: HealthResult = body(&bytes)?;
    let command = Command::Health {
        task: result.id,
        check_type: result.check_type,
        result: result.status,
        message: result.message,
    };
    api.order(command).await
}
