//! Routes 1 to 9: single objects and lists by path.

use axum::body::Bytes;
use axum::extract::{Path, Query as Parameters, State};
use axum::response::Response;
use bcs_httpd::Failure;
use bcs_store::{DocumentKey, Field, Filter, Scope, Test, Write};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::access::{Reader, Writer};
use crate::failure::{Code, bad_request, missing, store};
use crate::kinds::{self, Kind};
use crate::query_string::{self, Request};
use crate::render::Rendering;
use crate::service::{Service, encode, success};
use crate::watch;

/// The parts of any dynamic path; what a route does not have stays `None`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Place {
    env: String,
    cluster: Option<String>,
    namespace: Option<String>,
    kind: String,
    name: Option<String>,
}

pub(crate) type Pairs = Parameters<Vec<(String, String)>>;

impl Place {
    fn kind(&self) -> Result<Kind, Failure> {
        kinds::resolve(&self.env, &self.kind)
    }

    fn key(&self, kind: &Kind) -> DocumentKey {
        let part = |part: &Option<String>| part.clone().unwrap_or_default();
        DocumentKey::new(
            part(&self.cluster),
            part(&self.namespace),
            kind.stored.clone(),
            part(&self.name),
        )
    }

    fn scope(&self) -> Scope {
        Scope {
            cluster: self.cluster.clone(),
            namespace: self.namespace.clone(),
            kind: None,
            name: self.name.clone(),
        }
    }

    fn cluster(&self) -> &str {
        self.cluster.as_deref().unwrap_or_default()
    }
}

/// Routes 1 and 6.
pub(crate) async fn get(
    State(service): State<Service>,
    Path(place): Path<Place>,
    Parameters(parameters): Pairs,
    reader: Reader,
) -> Result<Response, Failure> {
    reader.may_see(place.cluster())?;
    let kind = place.kind()?;
    let request = query_string::parse(place.scope(), kind.clone(), &parameters, &reader)?;
    let key = place.key(&kind);
    let found = service
        .store
        .get(&key)
        .await
        .map_err(|error| store(Code::Get, &error))?;
    let document = found
        .filter(|document| request.query.matches(document))
        .ok_or_else(|| missing(&key.to_string()))?;
    let rendering = Rendering {
        show_secrets: reader.secrets,
        fields: request.fields,
        versions: request.versions,
    };
    Ok(success(
        &rendering
            .document(&document)
            .map_err(|error| encode(&error))?,
    ))
}

#[derive(Deserialize)]
struct PutBody<'a> {
    #[serde(borrow)]
    data: &'a RawValue,
}

/// Routes 2 and 6.
pub(crate) async fn put(
    State(service): State<Service>,
    Path(place): Path<Place>,
    writer: Writer,
    body: Bytes,
) -> Result<Response, Failure> {
    writer.may_write(&service.writers, place.cluster())?;
    let kind = place.kind()?;
    let body: PutBody<'_> = serde_json::from_slice(&body).map_err(|error| {
        bad_request(
            Code::Decode,
            format!("the body is not {{\"data\":{{…}}}}: {error}"),
        )
    })?;
    check_object(body.data)?;
    let write = Write::put(place.key(&kind), body.data.to_owned());
    service
        .store
        .write(vec![write])
        .await
        .map_err(|error| store(Code::Put, &error))?;
    service.writes.inc();
    Ok(success("{}"))
}

/// Only objects are documents.
pub(crate) fn check_object(data: &RawValue) -> Result<(), Failure> {
    if data.get().starts_with('{') {
        return Ok(());
    }
    Err(bad_request(Code::Decode, "data is not a JSON object"))
}

/// Routes 3 and 6; an absent object is success.
pub(crate) async fn delete(
    State(service): State<Service>,
    Path(place): Path<Place>,
    writer: Writer,
) -> Result<Response, Failure> {
    writer.may_write(&service.writers, place.cluster())?;
    let kind = place.kind()?;
    let write = Write::delete(place.key(&kind));
    service
        .store
        .write(vec![write])
        .await
        .map_err(|error| store(Code::Delete, &error))?;
    service.writes.inc();
    Ok(success("{}"))
}

/// Routes 4, 7 and 8: a list, or with `watch=true` its changes.
pub(crate) async fn list(
    State(service): State<Service>,
    Path(place): Path<Place>,
    Parameters(parameters): Pairs,
    reader: Reader,
) -> Result<Response, Failure> {
    let request = query_string::parse(place.scope(), place.kind()?, &parameters, &reader)?;
    answer(&service, request, &reader, false).await
}

/// Route 9: any cluster that the reader may see.
pub(crate) async fn custom(
    State(service): State<Service>,
    Path(place): Path<Place>,
    Parameters(parameters): Pairs,
    reader: Reader,
) -> Result<Response, Failure> {
    let request = query_string::parse(Scope::default(), place.kind()?, &parameters, &reader)?;
    answer(&service, request, &reader, true).await
}

pub(crate) async fn answer(
    service: &Service,
    request: Request,
    reader: &Reader,
    paged: bool,
) -> Result<Response, Failure> {
    if request.watch {
        return watch::stream(service, request, reader.secrets).await;
    }
    service.list(request, reader.secrets, paged).await
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DeleteBody {
    #[serde(default)]
    update_time_begin: Option<f64>,
    #[serde(default)]
    update_time_end: Option<f64>,
}

/// Routes 5, 7 and 8: removes what matches the path, the query string and the time bounds.
/// A body that cannot be read deletes nothing.
pub(crate) async fn delete_matching(
    State(service): State<Service>,
    Path(place): Path<Place>,
    Parameters(parameters): Pairs,
    writer: Writer,
    body: Bytes,
) -> Result<Response, Failure> {
    writer.may_write(&service.writers, place.cluster())?;
    let everything = Reader {
        clusters: None,
        secrets: true,
    };
    let mut request = query_string::parse(place.scope(), place.kind()?, &parameters, &everything)?;
    let body: DeleteBody = serde_json::from_slice(&body).map_err(|error| {
        let message = format!(
            "the body is not {{\"updateTimeBegin\":SECONDS,\"updateTimeEnd\":SECONDS}} ({{}} for no bound): {error}"
        );
        bad_request(Code::Decode, message)
    })?;
    let mut bound = |seconds: Option<f64>, test: fn(i64) -> Test| -> Result<(), Failure> {
        if let Some(seconds) = seconds {
            let instant = bcs_store::instant::from_seconds(seconds)
                .ok_or_else(|| query_string::time_error("updateTime", &seconds.to_string()))?;
            let filter = Filter {
                field: Field::Updated,
                test: test(instant),
            };
            request.query.filters.push(filter);
        }
        Ok(())
    };
    bound(body.update_time_begin, Test::After)?;
    bound(body.update_time_end, Test::Before)?;
    let write = Write::DeleteMatching {
        query: Box::new(request.query),
    };
    service
        .store
        .write(vec![write])
        .await
        .map_err(|error| store(Code::Delete, &error))?;
    service.writes.inc();
    Ok(success("{}"))
}
