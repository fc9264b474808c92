//! The cluster itself: resources, endpoints, offers, agent settings.

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use bcs_httpd::Failure;
use bcs_model::decode::decode_value;
use bcs_model::v4::{AgentSetting, Taint};
use bcs_model::validate;
use bcs_model::version::ExtendedResource;
use http::{Method, StatusCode};
use serde::Deserialize;
use std::net::IpAddr;

use crate::request::{self, Document};
use crate::upstream::Driver;

type Answered = Result<Response, Failure>;

/// Query of the routes for hosts.
#[derive(Debug, Deserialize)]
pub(crate) struct Hosts {
    ips: Option<String>,
}

impl Hosts {
    /// Those routes change something, so "all" has to be said host by host.
    fn named(&self) -> Result<String, Failure> {
        let addresses = request::addresses(self.ips.as_deref())?;
        if addresses.is_empty() {
            let rule = "names no host; write ips=10.0.0.1,10.0.0.2";
            return Err(request::parameter("ips", "", rule));
        }
        Ok(addresses.join(","))
    }
}

pub(crate) async fn resources(State(driver): State<Driver>) -> Answered {
    Ok(driver
        .call(Method::GET, "/v1/cluster/resources")
        .await?
        .into_response())
}

pub(crate) async fn endpoints(State(driver): State<Driver>) -> Answered {
    Ok(driver
        .call(Method::GET, "/v1/cluster/endpoints")
        .await?
        .into_response())
}

pub(crate) async fn offers(State(driver): State<Driver>) -> Answered {
    Ok(driver
        .call(Method::GET, "/v1/cluster/current/offers")
        .await?
        .into_response())
}

pub(crate) async fn settings(State(driver): State<Driver>, Query(hosts): Query<Hosts>) -> Answered {
    let addresses = request::addresses(hosts.ips.as_deref())?;
    let query = if addresses.is_empty() {
        String::new()
    } else {
        format!("?ips={}", addresses.join(","))
    };
    Ok(driver
        .call(Method::GET, &format!("/v1/agentsettings{query}"))
        .await?
        .into_response())
}

pub(crate) async fn set(State(driver): State<Driver>, document: Document) -> Answered {
    let settings: Vec<AgentSetting> = document.decode()?;
    validate::agent_settings(&settings).map_err(|problems| request::invalid(&problems))?;
    Ok(driver
        .call_with(Method::POST, "/v1/agentsettings", &settings)
        .await?
        .into_response())
}

pub(crate) async fn unset(State(driver): State<Driver>, Query(hosts): Query<Hosts>) -> Answered {
    let path = format!("/v1/agentsettings?ips={}", hosts.named()?);
    Ok(driver.call(Method::DELETE, &path).await?.into_response())
}

pub(crate) async fn enable(State(driver): State<Driver>, Query(hosts): Query<Hosts>) -> Answered {
    let path = format!("/v1/agentsettings/enable?ips={}", hosts.named()?);
    Ok(driver.call(Method::POST, &path).await?.into_response())
}

pub(crate) async fn disable(State(driver): State<Driver>, Query(hosts): Query<Hosts>) -> Answered {
    let path = format!("/v1/agentsettings/disable?ips={}", hosts.named()?);
    Ok(driver.call(Method::POST, &path).await?.into_response())
}

pub(crate) async fn taint(State(driver): State<Driver>, document: Document) -> Answered {
    let taints: Vec<Taint> = document.decode()?;
    for taint in &taints {
        address("innerIP", &taint.inner_ip)?;
    }
    Ok(driver
        .call_with(Method::PUT, "/v1/agentsettings/taint", &taints)
        .await?
        .into_response())
}

pub(crate) async fn extended_resource(
    State(driver): State<Driver>,
    document: Document,
) -> Answered {
    let resource: ExtendedResource =
        decode_value(document.0).map_err(|error| request::undecodable(&error))?;
    address("InnerIP", &resource.inner_ip)?;
    if resource.name.is_empty() || !resource.capacity.is_finite() || resource.capacity < 0.0 {
        let text = "Name must be given and Capacity must be a number of at least 0";
        return Err(Failure::new(StatusCode::BAD_REQUEST, 1_405_231, text));
    }
    let path = "/v1/agentsettings/extendedresource";
    Ok(driver
        .call_with(Method::PUT, path, &resource)
        .await?
        .into_response())
}

fn address(field: &str, value: &str) -> Result<(), Failure> {
    match value.parse::<IpAddr>() {
        Ok(_) => Ok(()),
        Err(_) => Err(request::parameter(field, value, "is not an IP address")),
    }
}
