//! Applications and processes: create, update, list, get, delete, rollback, scale, versions, and
//! what is done to single instances.

use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use bcs_httpd::{Envelope, Failure};
use bcs_model::v4::{Kind, ReplicaController};
use bcs_model::validate::{self, MOST_INSTANCES};
use bcs_model::version::Version;
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use crate::answer::Answer;
use crate::request::{self, Document};
use crate::translate;
use crate::upstream::Driver;

type Answered = Result<Response, Failure>;

/// Which of the two families a route belongs to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Family(pub(crate) Kind);

impl Family {
    /// Judges and translates a document.
    fn version(
        self,
        driver: &Driver,
        namespace: &str,
        document: Document,
    ) -> Result<Version, Failure> {
        let definition = document.0.clone();
        let mut document: ReplicaController = document.decode()?;
        validate::replica_controller(&document, self.0, namespace, driver.cluster())
            .map_err(|problems| request::invalid(&problems))?;
        document.fill_defaults(self.0, namespace);
        translate::version(document, self.0, definition)
            .map_err(|error| Failure::new(StatusCode::BAD_REQUEST, 1_405_231, error.to_string()))
    }

    pub(crate) async fn create(
        self,
        State(driver): State<Driver>,
        Path(namespace): Path<String>,
        document: Document,
    ) -> Answered {
        let version = self.version(&driver, request::namespace(&namespace)?, document)?;
        Ok(driver
            .call_with(Method::POST, "/v1/apps", &version)
            .await?
            .into_response())
    }

    pub(crate) async fn update(
        self,
        State(driver): State<Driver>,
        Path(namespace): Path<String>,
        Query(query): Query<Update>,
        document: Document,
    ) -> Answered {
        let version = self.version(&driver, request::namespace(&namespace)?, document)?;
        let args = match query.args.as_deref() {
            None | Some("") => None,
            Some("resource") => Some("resource"),
            Some(other) => {
                return Err(request::parameter(
                    "args",
                    other,
                    "must be resource, or left out",
                ));
            }
        };
        let instances = match query.instances.as_deref() {
            Some(text) => request::number("instances", text, 0, MOST_INSTANCES)?,
            None if args.is_some() => 0,
            None => {
                return Err(Failure::new(
                    StatusCode::BAD_REQUEST,
                    request::BAD_PARAMETER,
                    "instances must be specified: ?instances=N recreates the first N, 0 all of \
                     them; ?args=resource changes limits in place",
                ));
            }
        };
        let args = args.map(|args| format!("&args={args}")).unwrap_or_default();
        let path = format!(
            "/v1/apps/{}/{}/update?instances={instances}{args}",
            version.run_as, version.id
        );
        Ok(driver
            .call_with(Method::POST, &path, &version)
            .await?
            .into_response())
    }

    pub(crate) async fn rollback(
        self,
        State(driver): State<Driver>,
        Path(namespace): Path<String>,
        document: Document,
    ) -> Answered {
        let version = self.version(&driver, request::namespace(&namespace)?, document)?;
        let path = format!(
            "/v1/apps/{}/{}/update?instances=0",
            version.run_as, version.id
        );
        Ok(driver
            .call_with(Method::POST, &path, &version)
            .await?
            .into_response())
    }

    /// Back to a version that is kept, without the old file: ours.
    pub(crate) async fn rollback_to(
        self,
        State(driver): State<Driver>,
        Path((namespace, name)): Path<(String, String)>,
        Query(query): Query<RollbackTo>,
    ) -> Answered {
        let to = match query.to.as_deref() {
            None | Some("") => String::new(),
            Some(version) => format!("?to={}", version_id(version)?),
        };
        let path = format!("{}/rollback{to}", application(&namespace, &name)?);
        Ok(driver.call(Method::POST, &path).await?.into_response())
    }

    pub(crate) async fn list(
        self,
        State(driver): State<Driver>,
        Path(namespace): Path<String>,
    ) -> Answered {
        let path = format!("/v1/{}/apps", request::namespace(&namespace)?);
        let mut data = driver.call(Method::GET, &path).await?.data()?;
        // The scheduler lists both families together.
        if let Value::Array(items) = &mut data {
            items.retain(|item| item.get("Kind").and_then(Value::as_str) == Some(self.0.name()));
        }
        Ok(Envelope::ok(data).into_response())
    }

    pub(crate) async fn get(
        self,
        State(driver): State<Driver>,
        Path((namespace, name)): Path<(String, String)>,
    ) -> Answered {
        let path = format!("{}?kind={}", application(&namespace, &name)?, self.0);
        Ok(driver.call(Method::GET, &path).await?.into_response())
    }

    pub(crate) async fn delete(
        self,
        State(driver): State<Driver>,
        Path((namespace, name)): Path<(String, String)>,
        Query(query): Query<Delete>,
    ) -> Answered {
        let enforce = match query.enforce.as_deref() {
            None | Some("" | "0") => "",
            Some("1") => "&enforce=1",
            Some(other) => return Err(request::parameter("enforce", other, "must be 0 or 1")),
        };
        let path = format!(
            "{}?kind={}{enforce}",
            application(&namespace, &name)?,
            self.0
        );
        Ok(driver.call(Method::DELETE, &path).await?.into_response())
    }

    pub(crate) async fn scale(
        self,
        State(driver): State<Driver>,
        Path((namespace, name, instances)): Path<(String, String, String)>,
    ) -> Answered {
        let instances = request::number("instances", &instances, 1, MOST_INSTANCES)?;
        let path = format!(
            "{}/scale?instances={instances}&kind={}",
            application(&namespace, &name)?,
            self.0
        );
        Ok(driver.call(Method::POST, &path).await?.into_response())
    }
}

/// Query of an update.
#[derive(Debug, Deserialize)]
pub(crate) struct Update {
    instances: Option<String>,
    args: Option<String>,
}

/// Query of a rollback to a kept version; absent = the one before the present one.
#[derive(Debug, Deserialize)]
pub(crate) struct RollbackTo {
    to: Option<String>,
}

/// Query of a deletion.
#[derive(Debug, Deserialize)]
pub(crate) struct Delete {
    enforce: Option<String>,
}

/// Query of a reschedule.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Reschedule {
    host_retain_time: Option<String>,
}

fn application(namespace: &str, name: &str) -> Result<String, Failure> {
    Ok(format!(
        "/v1/apps/{}/{}",
        request::namespace(namespace)?,
        request::name(name)?
    ))
}

pub(crate) async fn taskgroups(
    State(driver): State<Driver>,
    Path((namespace, name)): Path<(String, String)>,
) -> Answered {
    let path = format!("{}/taskgroups", application(&namespace, &name)?);
    Ok(driver.call(Method::GET, &path).await?.into_response())
}

/// All tasks of all instances, in one list.
pub(crate) async fn tasks(
    State(driver): State<Driver>,
    Path((namespace, name)): Path<(String, String)>,
) -> Answered {
    let path = format!("{}/taskgroups", application(&namespace, &name)?);
    let groups = driver.call(Method::GET, &path).await?.data()?;
    let mut tasks = Vec::new();
    if let Value::Array(groups) = groups {
        for mut group in groups {
            if let Some(Value::Array(found)) = group.get_mut("Taskgroup").map(Value::take) {
                tasks.extend(found);
            }
        }
    }
    Ok(Envelope::ok(tasks).into_response())
}

pub(crate) async fn versions(
    State(driver): State<Driver>,
    Path((namespace, name)): Path<(String, String)>,
) -> Answered {
    let path = format!("{}/versions", application(&namespace, &name)?);
    Ok(driver.call(Method::GET, &path).await?.into_response())
}

pub(crate) async fn one_version(
    State(driver): State<Driver>,
    Path((namespace, name, version)): Path<(String, String, String)>,
) -> Answered {
    let version = version_id(&version)?;
    let path = format!("{}/versions/{version}", application(&namespace, &name)?);
    Ok(driver.call(Method::GET, &path).await?.into_response())
}

/// A version is named by the nanoseconds of its creation.
fn version_id(version: &str) -> Result<&str, Failure> {
    if version.is_empty() || !version.bytes().all(|byte| byte.is_ascii_digit()) {
        let text = format!("no version id: {version:?} is not one; ask …/versions for the list");
        return Err(Failure::new(StatusCode::BAD_REQUEST, 1_405_232, text));
    }
    Ok(version)
}

pub(crate) async fn reschedule(
    State(driver): State<Driver>,
    Path((namespace, name, taskgroup)): Path<(String, String, String)>,
    Query(query): Query<Reschedule>,
) -> Answered {
    let id = request::taskgroup(&namespace, Some(&name), &taskgroup)?;
    let retain = match query.host_retain_time.as_deref() {
        None | Some("") => String::new(),
        Some(text) => {
            format!(
                "?hostRetainTime={}",
                request::number("hostRetainTime", text, 0, 86_400)?
            )
        }
    };
    let path = format!("/v1/taskgroup/{id}/rescheduler{retain}");
    Ok(driver.call(Method::PUT, &path).await?.into_response())
}

pub(crate) async fn restart(
    driver: State<Driver>,
    path: Path<(String, String, String)>,
) -> Answered {
    in_place(driver, path, "restart").await
}

pub(crate) async fn reload(
    driver: State<Driver>,
    path: Path<(String, String, String)>,
) -> Answered {
    in_place(driver, path, "reload").await
}

async fn in_place(
    State(driver): State<Driver>,
    Path((namespace, name, taskgroup)): Path<(String, String, String)>,
    verb: &str,
) -> Answered {
    let id = request::taskgroup(&namespace, Some(&name), &taskgroup)?;
    let answer: Answer = driver
        .call(Method::POST, &format!("/v1/taskgroup/{id}/{verb}"))
        .await?;
    Ok(answer.into_response())
}

/// The template as it was written. Those of processes are read through `application` too.
pub(crate) async fn definition(
    State(driver): State<Driver>,
    Path((kind, namespace, name)): Path<(String, String, String)>,
) -> Answered {
    match kind.as_str() {
        "application" | "process" => {}
        "deployment" => return Ok(crate::routes::not_implemented().await.into_response()),
        other => {
            let rule = "has no definitions; use application or process";
            return Err(request::parameter("kind", other, rule));
        }
    }
    let path = format!(
        "/v1/definition/application/{}/{}",
        request::namespace(&namespace)?,
        request::name(&name)?
    );
    Ok(driver.call(Method::GET, &path).await?.into_response())
}
