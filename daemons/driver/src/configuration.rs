//! ConfigMaps and secrets.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use bcs_httpd::Failure;
use bcs_model::v4::{ConfigMap, Secret};
use bcs_model::validate;
use http::Method;

use crate::request::{self, Document};
use crate::upstream::Driver;

type Answered = Result<Response, Failure>;

pub(crate) async fn put_config_map(
    method: Method,
    State(driver): State<Driver>,
    Path(namespace): Path<String>,
    document: Document,
) -> Answered {
    let namespace = request::namespace(&namespace)?;
    let mut document: ConfigMap = document.decode()?;
    validate::config_map(&document, namespace).map_err(|problems| request::invalid(&problems))?;
    namespace.clone_into(&mut document.metadata.namespace);
    "v4".clone_into(&mut document.api_version);
    for item in document.datas.values_mut() {
        if item.item_type.is_empty() {
            "file".clone_into(&mut item.item_type);
        }
    }
    Ok(driver
        .call_with(method, "/v1/configmap", &document)
        .await?
        .into_response())
}

pub(crate) async fn put_secret(
    method: Method,
    State(driver): State<Driver>,
    Path(namespace): Path<String>,
    document: Document,
) -> Answered {
    let namespace = request::namespace(&namespace)?;
    let mut document: Secret = document.decode()?;
    validate::secret(&document, namespace).map_err(|problems| request::invalid(&problems))?;
    namespace.clone_into(&mut document.metadata.namespace);
    "v4".clone_into(&mut document.api_version);
    Ok(driver
        .call_with(method, "/v1/secret", &document)
        .await?
        .into_response())
}

/// As the scheduler has it now; the original offers this through storage only.
pub(crate) async fn get_config_map(
    State(driver): State<Driver>,
    Path((namespace, name)): Path<(String, String)>,
) -> Answered {
    let path = format!(
        "/v1/configmap/{}/{}",
        request::namespace(&namespace)?,
        request::name(&name)?
    );
    Ok(driver.call(Method::GET, &path).await?.into_response())
}

pub(crate) async fn list_config_maps(
    State(driver): State<Driver>,
    Path(namespace): Path<String>,
) -> Answered {
    let path = format!(
        "/v1/configmaps?namespace={}",
        request::namespace(&namespace)?
    );
    Ok(driver.call(Method::GET, &path).await?.into_response())
}

pub(crate) async fn delete_config_map(
    driver: State<Driver>,
    path: Path<(String, String)>,
) -> Answered {
    delete(driver, path, "configmap").await
}

pub(crate) async fn delete_secret(driver: State<Driver>, path: Path<(String, String)>) -> Answered {
    delete(driver, path, "secret").await
}

async fn delete(
    State(driver): State<Driver>,
    Path((namespace, name)): Path<(String, String)>,
    kind: &str,
) -> Answered {
    let path = format!(
        "/v1/{kind}/{}/{}",
        request::namespace(&namespace)?,
        request::name(&name)?
    );
    Ok(driver.call(Method::DELETE, &path).await?.into_response())
}
