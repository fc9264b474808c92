//! Orders to the scheduler, and what is asked of the scheduler itself.

use crate::paths::{SCHEDULER, object, part, taskgroup};
use crate::{Client, ClientError, IntoKind};
use bcs_model::ids::TaskGroupId;
use bcs_model::v4::{AgentSetting, ClusterResources, MessageRequest};
use http::Method;
use serde_json::Value;

impl Client {
    /// Deletes an object. With `force` also one that an operation is under way for.
    ///
    /// # Errors
    /// [`ClientError`]; [`ClientError::is_not_found`].
    pub async fn delete(
        &self,
        kind: impl IntoKind,
        namespace: &str,
        name: &str,
        force: bool,
    ) -> Result<(), ClientError> {
        let kind = kind.into_kind()?;
        let enforce = if force && kind.is_workload() {
            "?enforce=1"
        } else {
            ""
        };
        let path = format!("{}{enforce}", object(kind, namespace, name));
        self.call(Method::DELETE, &path).await.map(drop)
    }

    /// Sets the number of instances.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn scale(
        &self,
        kind: impl IntoKind,
        namespace: &str,
        name: &str,
        instances: u64,
    ) -> Result<(), ClientError> {
        let path = format!(
            "{}/scale/{instances}",
            object(kind.into_kind()?, namespace, name)
        );
        self.call(Method::PUT, &path).await.map(drop)
    }

    /// The template as it was written.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn definition(
        &self,
        kind: impl IntoKind,
        namespace: &str,
        name: &str,
    ) -> Result<Value, ClientError> {
        let kind = kind.into_kind()?;
        let path = format!(
            "{SCHEDULER}/definition/{kind}/{}/{}",
            part(namespace),
            part(name)
        );
        let definition = self.call(Method::GET, &path).await?;
        // The original keeps it as a text.
        Ok(match definition {
            Value::String(text) => serde_json::from_str(&text).unwrap_or(Value::String(text)),
            other => other,
        })
    }

    /// The scheduler's own record of an application or process.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn live(
        &self,
        kind: impl IntoKind,
        namespace: &str,
        name: &str,
    ) -> Result<Value, ClientError> {
        self.call(Method::GET, &object(kind.into_kind()?, namespace, name))
            .await
    }

    /// Ends a taskgroup and starts it again, on any host.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn reschedule(&self, id: &TaskGroupId) -> Result<(), ClientError> {
        self.call(Method::PUT, &format!("{}/rescheduler", taskgroup(id)))
            .await
            .map(drop)
    }

    /// Restarts the processes of a taskgroup in place.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn restart(&self, id: &TaskGroupId) -> Result<(), ClientError> {
        self.call(Method::POST, &format!("{}/restart", taskgroup(id)))
            .await
            .map(drop)
    }

    /// Makes the processes of a taskgroup read their configuration again.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn reload(&self, id: &TaskGroupId) -> Result<(), ClientError> {
        self.call(Method::POST, &format!("{}/reload", taskgroup(id)))
            .await
            .map(drop)
    }

    /// Sends a message to a taskgroup.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn message(
        &self,
        id: &TaskGroupId,
        message: &MessageRequest,
    ) -> Result<Value, ClientError> {
        self.call_with(Method::POST, &format!("{}/message", taskgroup(id)), message)
            .await
    }

    /// The hosts and the sums of their resources.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn resources(&self) -> Result<ClusterResources, ClientError> {
        let data = self
            .call(Method::GET, &format!("{SCHEDULER}/cluster/resources"))
            .await?;
        decode("cluster/resources", data)
    }

    /// The offers that the scheduler holds.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn offers(&self) -> Result<Vec<Value>, ClientError> {
        let path = format!("{SCHEDULER}/cluster/current/offers");
        match self.call(Method::GET, &path).await? {
            Value::Array(offers) => Ok(offers),
            _ => Ok(Vec::new()),
        }
    }

    /// Settings of hosts; all when none is named.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn agent_settings(&self, ips: &[String]) -> Result<Vec<AgentSetting>, ClientError> {
        let query = if ips.is_empty() {
            String::new()
        } else {
            format!("?ips={}", ips.join(","))
        };
        let data = self
            .call(Method::GET, &format!("{SCHEDULER}/agentsettings{query}"))
            .await?;
        if data.is_null() {
            return Ok(Vec::new());
        }
        decode("agentsettings", data)
    }

    /// Lets hosts take new instances, or not.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn enable_agents(&self, ips: &[String], enabled: bool) -> Result<(), ClientError> {
        let verb = if enabled { "enable" } else { "disable" };
        let path = format!("{SCHEDULER}/agentsettings/{verb}?ips={}", ips.join(","));
        self.call(Method::POST, &path).await.map(drop)
    }
}

fn decode<T: serde::de::DeserializeOwned>(what: &str, data: Value) -> Result<T, ClientError> {
    bcs_model::decode::decode_value(data).map_err(|error| ClientError::Odd {
        what: format!("the answer of {what}"),
        detail: error.to_string(),
    })
}
