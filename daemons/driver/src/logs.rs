//! Output of tasks: the scheduler says where the taskgroup is, the agent there streams the file, and
//! the driver passes the bytes through without holding them.

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use bcs_httpd::{Endpoint, Failure};
use futures_util::TryStreamExt;
use http::{HeaderValue, Method, StatusCode, header};
use serde::Deserialize;

use crate::request;
use crate::upstream::{Driver, UNREACHABLE, root};

/// Query of the route.
#[derive(Debug, Deserialize)]
pub(crate) struct Wanted {
    /// Name of the task; may be left out when there is only one.
    container: Option<String>,
    /// stdout or stderr.
    stream: Option<String>,
    /// Lines from the end; absent = from the beginning.
    tail: Option<String>,
    /// Go on with what is written from now on.
    follow: Option<String>,
}

/// Answer of the scheduler's location route.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Location {
    agent: AgentAddress,
    #[serde(default)]
    framework_id: String,
    executor_id: String,
    #[serde(default)]
    tasks: Vec<TaskName>,
}

#[derive(Debug, Deserialize)]
struct AgentAddress {
    endpoint: Endpoint,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct TaskName {
    name: String,
    task_id: String,
}

pub(crate) async fn read(
    State(driver): State<Driver>,
    Path((namespace, taskgroup)): Path<(String, String)>,
    Query(wanted): Query<Wanted>,
) -> Result<Response, Failure> {
    let id = request::taskgroup(request::namespace(&namespace)?, None, &taskgroup)?;
    let stream = match wanted.stream.as_deref() {
        None | Some("" | "stdout") => "stdout",
        Some("stderr") => "stderr",
        Some(other) => {
            return Err(request::parameter(
                "stream",
                other,
                "must be stdout or stderr",
            ));
        }
    };
    let follow = match wanted.follow.as_deref() {
        None | Some("" | "false" | "0") => "false",
        Some("true" | "1") => "true",
        Some(other) => return Err(request::parameter("follow", other, "must be true or false")),
    };
    let tail = match wanted.tail.as_deref() {
        None | Some("") => None,
        Some(text) => Some(request::number("tail", text, 0, 1_000_000)?),
    };
    let path = format!("/v1/taskgroups/{id}/location");
    let data = driver.call(Method::GET, &path).await?.data()?;
    let location: Location = serde_json::from_value(data).map_err(|error| {
        let text = format!("the scheduler's answer for {path} is odd: {error}");
        Failure::new(StatusCode::BAD_GATEWAY, 1_405_010, text)
    })?;
    let task = choose(&location.tasks, wanted.container.as_deref())?;
    let mut query = vec![
        ("framework_id", location.framework_id.clone()),
        ("executor_id", location.executor_id.clone()),
        ("task_id", task.task_id.clone()),
        ("stream", stream.to_owned()),
        ("follow", follow.to_owned()),
    ];
    if let Some(tail) = tail {
        query.push(("tail", tail.to_string()));
    }
    let endpoint = &location.agent.endpoint;
    let response = driver
        .agent(endpoint)?
        .stream_request(Method::GET, "/v1/logs")
        .query(&query)
        .send()
        .await
        .map_err(|error| {
            let text = format!(
                "the agent at {endpoint} cannot be reached, {}; its host may be down",
                root(&error)
            );
            Failure::new(StatusCode::SERVICE_UNAVAILABLE, UNREACHABLE, text)
        })?;
    Ok(pass(response))
}

/// The task that is meant; with several, the user has to say which.
fn choose<'a>(tasks: &'a [TaskName], wanted: Option<&str>) -> Result<&'a TaskName, Failure> {
    let names = || {
        tasks
            .iter()
            .map(|task| task.name.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    };
    match (wanted.filter(|wanted| !wanted.is_empty()), tasks) {
        (None, [only]) => Ok(only),
        (None, []) => Err(Failure::new(
            StatusCode::NOT_FOUND,
            1_405_202,
            "the taskgroup has no tasks yet; wait until it is launched",
        )),
        (None, _) => {
            let text = format!(
                "the taskgroup has several tasks; choose a container: {}",
                names()
            );
            Err(Failure::new(
                StatusCode::BAD_REQUEST,
                request::BAD_PARAMETER,
                text,
            ))
        }
        (Some(wanted), _) => tasks
            .iter()
            .find(|task| task.name == wanted || task.task_id == wanted)
            .ok_or_else(|| {
                let text = format!("the taskgroup has no task {wanted:?}; it has {}", names());
                Failure::new(StatusCode::NOT_FOUND, 1_405_202, text)
            }),
    }
}

/// Status, type and body as the agent sends them, as they come.
fn pass(response: reqwest::Response) -> Response {
    let status = response.status();
    let kind = response
        .headers()
        .get(header::CONTENT_TYPE)
        .cloned()
        .unwrap_or(HeaderValue::from_static("application/octet-stream"));
    let body = Body::from_stream(response.bytes_stream().map_err(std::io::Error::other));
    (status, [(header::CONTENT_TYPE, kind)], body).into_response()
}
