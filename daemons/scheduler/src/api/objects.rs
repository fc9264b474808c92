//! Routes of configmaps and secrets. Contents of secrets are never given out.

use axum::extract::{Path, Query as Parameters, State};
use bytes::Bytes;
use serde::Deserialize;

use super::{Answer, Api, body};
use crate::core::Name;
use crate::core::command::Command;
use crate::core::query::Query;

type Object = Path<(String, String)>;

#[derive(Debug, Default, Deserialize)]
pub(super) struct Options {
    namespace: Option<String>,
}

pub(super) async fn create_configmap(State(api): State<Api>, bytes: Bytes) -> Answer {
    api.order(Command::PutConfigMap {
        object: Box::new(body(&bytes)?),
        create: true,
    })
    .await
}

pub(super) async fn replace_configmap(State(api): State<Api>, bytes: Bytes) -> Answer {
    api.order(Command::PutConfigMap {
        object: Box::new(body(&bytes)?),
        create: false,
    })
    .await
}

pub(super) async fn delete_configmap(
    State(api): State<Api>,
    Path((namespace, name)): Object,
) -> Answer {
    api.order(Command::DeleteConfigMap(Name::new(&namespace, &name)))
        .await
}

pub(super) async fn configmap(State(api): State<Api>, Path((namespace, name)): Object) -> Answer {
    api.question(Query::ConfigMap(Name::new(&namespace, &name)))
        .await
}

pub(super) async fn configmaps(
    State(api): State<Api>,
    Parameters(options): Parameters<Options>,
) -> Answer {
    api.question(Query::ConfigMaps {
        namespace: options.namespace,
    })
    .await
}

pub(super) async fn create_secret(State(api): State<Api>, bytes: Bytes) -> Answer {
    api.order(Command::PutSecret {
        object: Box::new(body(&bytes)?),
        create: true,
    })
    .await
}

pub(super) async fn replace_secret(State(api): State<Api>, bytes: Bytes) -> Answer {
    api.order(Command::PutSecret {
        object: Box::new(body(&bytes)?),
        create: false,
    })
    .await
}

pub(super) async fn delete_secret(
    State(api): State<Api>,
    Path((namespace, name)): Object,
) -> Answer {
    api.order(Command::DeleteSecret(Name::new(&namespace, &name)))
        .await
}

pub(super) async fn secret(State(api): State<Api>, Path((namespace, name)): Object) -> Answer {
    api.question(Query::Secret(Name::new(&namespace, &name)))
        .await
}

pub(super) async fn secrets(
    State(api): State<Api>,
    Parameters(options): Parameters<Options>,
) -> Answer {
    api.question(Query::Secrets {
        namespace: options.namespace,
    })
    .await
}
