//! The connection to the leading master.

use std::sync::Arc;
use std::time::Duration;

use bcs_httpd::{Client, Endpoint, TlsFiles};
use bcs_mesos::operator::response::GetAgentsAgent;
use bcs_mesos::{ContentType, WireName as _, operator};
use http::{Method, StatusCode, header};
use tokio::sync::watch;

/// Why a request to a master failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MasterError {
    #[error("master {endpoint}: {source}")]
    Client {
        endpoint: String,
        source: bcs_httpd::client::ClientError,
    },
    #[error("master {endpoint}: {}", causes(.source))]
    Transport {
        endpoint: String,
        source: reqwest::Error,
    },
    #[error("master {endpoint} answered {status}: {text}")]
    Status {
        endpoint: String,
        status: StatusCode,
        text: String,
    },
    #[error("master {endpoint} did not answer within {} s", .limit.as_secs())]
    Silent { endpoint: String, limit: Duration },
    #[error("master {endpoint} redirects to {location:?}, which is no address")]
    Redirect { endpoint: String, location: String },
    #[error("masters redirect in a circle, lastly to {endpoint}")]
    Circle { endpoint: String },
    #[error("master {endpoint} sent what cannot be read: {text}")]
    Protocol { endpoint: String, text: String },
    #[error("master {endpoint} ended the stream: {text}")]
    Ended { endpoint: String, text: String },
    #[error("no connection to a master")]
    Away,
}

/// The whole chain, because the outermost error of the HTTP library says little.
fn causes(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// One subscription.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) number: u64,
    pub(crate) client: Client,
    pub(crate) stream_id: String,
}

/// The current subscription, seen by all who call.
pub(crate) type Sessions = watch::Sender<Option<Arc<Session>>>;

/// Follows the redirect of a master that does not lead.
pub(crate) fn redirected(
    from: &Endpoint,
    location: &str,
    tls: Option<&TlsFiles>,
) -> Result<Client, MasterError> {
    let refused = || MasterError::Redirect {
        endpoint: from.to_string(),
        location: location.to_owned(),
    };
    let scheme = match from {
        Endpoint::Url(url) => url.split_once(':').map_or("http", |(scheme, _)| scheme),
        Endpoint::Unix(_) => "http",
    };
    let absolute = match location.strip_prefix("//") {
        Some(rest) => format!("{scheme}://{rest}"),
        None => location.to_owned(),
    };
    let (scheme, rest) = absolute.split_once("://").ok_or_else(refused)?;
    let authority = rest.split('/').next().unwrap_or_default();
    let endpoint: Endpoint = format!("{scheme}://{authority}")
        .parse()
        .map_err(|_| refused())?;
    Client::new(&endpoint, tls).map_err(|source| MasterError::Client {
        endpoint: endpoint.to_string(),
        source,
    })
}

/// Reads at most a line's worth of an error answer.
pub(crate) async fn error_text(response: reqwest::Response) -> String {
    let text = response.text().await.unwrap_or_default();
    text.chars().take(300).collect()
}

/// The master's agents.
pub(crate) async fn agents(client: &Client) -> Result<Vec<GetAgentsAgent>, MasterError> {
    let endpoint = client.endpoint().to_string();
    let call = operator::Call {
        r#type: Some(operator::call::Type::GetAgents.number()),
        ..operator::Call::default()
    };
    let protocol = |text: String| MasterError::Protocol {
        endpoint: endpoint.clone(),
        text,
    };
    let body =
        bcs_mesos::encode(&call, ContentType::Json).map_err(|error| protocol(error.to_string()))?;
    let media = ContentType::Json.media_type();
    let response = client
        .request(Method::POST, "/api/v1")
        .header(header::CONTENT_TYPE, media)
        .header(header::ACCEPT, media)
        .body(body)
        .send()
        .await
        .map_err(|source| MasterError::Transport {
            endpoint: endpoint.clone(),
            source,
        })?;
    let status = response.status();
    if status != StatusCode::OK {
        return Err(MasterError::Status {
            endpoint,
            status,
            text: error_text(response).await,
        });
    }
    let body = response
        .bytes()
        .await
        .map_err(|source| MasterError::Transport {
            endpoint: endpoint.clone(),
            source,
        })?;
    let answer: operator::Response =
        bcs_mesos::decode(&body, ContentType::Json).map_err(|error| protocol(error.to_string()))?;
    Ok(answer.get_agents.unwrap_or_default().agents)
}
