//! The query string of the dynamic routes: filters, projection, paging, watch.
//!
//! What cannot be understood is refused: a condition that is dropped shows more than was asked for.
//! Nothing in here can widen the scope that the path names.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use bcs_httpd::Failure;
use bcs_store::{ContinueToken, Field, Filter, Query, Scalar, Scope, Selector, Test, instant};
use serde_json::Value;

use crate::access::Reader;
use crate::failure::{Code, bad_request, refused, selector, store};
use crate::kinds::{self, Kind};

/// Bounds that keep one query affordable.
const MAX_PARAMETERS: usize = 128;
const MAX_VALUES: usize = 4096;

/// A request that was understood.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    pub(crate) query: Query,
    pub(crate) fields: Vec<Field>,
    /// `resourceVersion` is among the fields.
    pub(crate) versions: bool,
    pub(crate) watch: bool,
    pub(crate) resource_version: Option<u64>,
}

/// Reads the parameters of a list, watch or batch delete within `scope`.
pub(crate) fn parse(
    scope: Scope,
    kind: Kind,
    parameters: &[(String, String)],
    reader: &Reader,
) -> Result<Request, Failure> {
    let mut request = start(scope, kind);
    for (name, value) in bounded(parameters)? {
        if !common(&mut request, name, value)? {
            let field = Field::parse(name).map_err(|error| store(Code::List, &error))?;
            request.query.filters.push(texts_filter(field, value)?);
        }
    }
    restrict(&mut request, reader)?;
    Ok(request)
}

/// A request with the path's conditions only.
pub(crate) fn start(mut scope: Scope, kind: Kind) -> Request {
    scope.kind = Some(kind.stored);
    let filters = kind.filter.into_iter().collect();
    Request {
        query: Query {
            scope,
            filters,
            ..Query::default()
        },
        ..Request::default()
    }
}

pub(crate) fn bounded(parameters: &[(String, String)]) -> Result<&[(String, String)], Failure> {
    if parameters.len() > MAX_PARAMETERS {
        let message = format!("{} parameters; at most {MAX_PARAMETERS}", parameters.len());
        return Err(bad_request(Code::List, message));
    }
    Ok(parameters)
}

/// Takes a parameter that all list routes share; `false` when it is none of them.
pub(crate) fn common(request: &mut Request, name: &str, value: &str) -> Result<bool, Failure> {
    let number = |value: &str| {
        value.parse::<usize>().map_err(|_| {
            bad_request(
                Code::List,
                format!("{name}={value:?} is not a whole number from 0"),
            )
        })
    };
    let invalid = |error: bcs_store::StoreError| store(Code::List, &error);
    match name {
        "field" => {
            for path in value
                .split(',')
                .map(str::trim)
                .filter(|path| !path.is_empty())
            {
                if path == "resourceVersion" {
                    request.versions = true;
                } else {
                    request.fields.push(Field::parse(path).map_err(invalid)?);
                }
            }
        }
        "offset" => request.query.offset = number(value)?,
        "limit" => request.query.limit = number(value)?,
        "continue" if value.is_empty() => {}
        "continue" => request.query.after = Some(ContinueToken::decode(value).map_err(invalid)?),
        "extra" => request.query.filters.extend(extra(value)?),
        "labelSelector" => {
            let more = Selector::parse(value).map_err(|error| selector(&error))?;
            request
                .query
                .selector
                .requirements
                .extend(more.requirements);
        }
        "updateTimeBefore" => {
            let bound = instant::parse(value).ok_or_else(|| time_error(name, value))?;
            let test = Test::Before(bound);
            request.query.filters.push(Filter {
                field: Field::Updated,
                test,
            });
        }
        "watch" => {
            request.watch = match value {
                "true" | "1" | "" => true,
                "false" | "0" => false,
                _ => {
                    let message = format!("watch={value:?} is neither true nor false");
                    return Err(bad_request(Code::List, message));
                }
            }
        }
        "resourceVersion" if value.is_empty() => {}
        "resourceVersion" => {
            let version = value.parse().map_err(|_| {
                let message =
                    format!("resourceVersion={value:?} is not a revision that a list gave");
                bad_request(Code::List, message)
            })?;
            request.resource_version = Some(version);
        }
        _ => return Ok(false),
    }
    Ok(true)
}

pub(crate) fn time_error(name: &str, value: &str) -> Failure {
    let message = format!("{name}={value:?} is neither unix seconds nor an RFC 3339 time");
    bad_request(Code::List, message)
}

/// `k=a,b` is membership, `k=` is existence.
pub(crate) fn texts_filter(field: Field, value: &str) -> Result<Filter, Failure> {
    if value.is_empty() {
        return Ok(Filter {
            field,
            test: Test::Exists(true),
        });
    }
    let values: Vec<&str> = value.split(',').collect();
    if values.len() > MAX_VALUES {
        let message = format!(
            "{} values for one field; at most {MAX_VALUES}",
            values.len()
        );
        return Err(bad_request(Code::List, message));
    }
    Ok(Filter::any_text(field, values))
}

/// Base64 of a JSON object: dotted path -> value, or list of values. ANDed with everything else.
fn extra(value: &str) -> Result<Vec<Filter>, Failure> {
    let bytes = [&STANDARD, &URL_SAFE, &STANDARD_NO_PAD, &URL_SAFE_NO_PAD]
        .into_iter()
        .find_map(|engine| engine.decode(value).ok())
        .ok_or_else(|| bad_request(Code::Extra, "extra is not base64"))?;
    let object: serde_json::Map<String, Value> =
        serde_json::from_slice(&bytes).map_err(|error| {
            bad_request(Code::Extra, format!("extra is not a JSON object: {error}"))
        })?;
    let mut filters = Vec::with_capacity(object.len());
    for (path, value) in object {
        let field = Field::parse(&path).map_err(|error| store(Code::Extra, &error))?;
        let values = match &value {
            Value::Array(values) => values.iter().map(scalar).collect(),
            single => scalar(single).map(|scalar| vec![scalar]),
        };
        let values = values.ok_or_else(|| {
            let message = format!("extra: {path:?} is compared with a text, number, true, false, null, or a list of them");
            bad_request(Code::Extra, message)
        })?;
        filters.push(Filter {
            field,
            test: Test::In(values),
        });
    }
    Ok(filters)
}

fn scalar(value: &Value) -> Option<Scalar> {
    match value {
        Value::Null => Some(Scalar::Null),
        Value::Bool(truth) => Some(Scalar::Bool(*truth)),
        Value::Number(number) => number.as_f64().map(Scalar::Number),
        Value::String(text) => Some(Scalar::Text(text.clone())),
        Value::Array(_) | Value::Object(_) => None,
    }
}

/// Applies the reader's rights. Call it last.
pub(crate) fn restrict(request: &mut Request, reader: &Reader) -> Result<(), Failure> {
    if request.query.offset > 0 && request.query.after.is_some() {
        return Err(bad_request(
            Code::List,
            "offset and continue exclude each other; use continue",
        ));
    }
    match (&request.query.scope.cluster, &reader.clusters) {
        (Some(cluster), _) => reader.may_see(cluster)?,
        (None, Some(clusters)) => {
            let seen = Filter::any_text(Field::Cluster, clusters.clone());
            request.query.filters.push(seen);
        }
        (None, None) => {}
    }
    // A filter on hidden contents would tell them by trial.
    let secret = request
        .query
        .scope
        .kind
        .as_deref()
        .is_none_or(kinds::is_secret);
    let probes = |field: &Field| {
        matches!(field, Field::Data(path) if path.first().is_some_and(|first| {
            matches!(first.to_ascii_lowercase().as_str(), "datas" | "data" | "stringdata")
        }))
    };
    if secret && !reader.secrets && request.query.filters.iter().any(|f| probes(&f.field)) {
        return Err(refused(
            "you may not search the contents of secrets; ask for a grant on them",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(parameters: &[(&str, &str)]) -> Result<Request, Failure> {
        let scope = Scope {
            cluster: Some("c1".into()),
            ..Scope::default()
        };
        let owned: Vec<(String, String)> = parameters
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        let reader = Reader {
            clusters: Some(vec!["c1".into()]),
            secrets: false,
        };
        parse(
            scope,
            kinds::resolve("mesos", "taskgroup").unwrap(),
            &owned,
            &reader,
        )
    }

    #[test]
    fn everything_is_understood_or_refused() {
        let request = read(&[
            ("field", "data.metadata,resourceName"),
            ("limit", "5"),
            ("labelSelector", "app.kubernetes.io/name=web"),
            ("namespace", "a,b"),
            ("data.status", ""),
            ("updateTimeBefore", "1620267542"),
            ("extra", "eyJkYXRhLngiOjF9"),
        ])
        .unwrap();
        assert_eq!(request.fields.len(), 2);
        assert_eq!(request.query.limit, 5);
        assert_eq!(request.query.filters.len(), 4);
        for bad in [
            ("limit", "many"),
            ("offset", "-1"),
            ("labelSelector", "a in b"),
            ("updateTimeBefore", "soon"),
            ("extra", "%%%"),
            ("extra", "W10="),
            ("extra", "eyJkYXRhIjp7ImEiOjF9fQ=="),
            ("continue", "x"),
            ("resourceVersion", "x"),
            ("watch", "maybe"),
            ("fiield", "x"),
        ] {
            assert_eq!(read(&[bad]).unwrap_err().status, 400, "{bad:?}");
        }
    }

    #[test]
    fn extra_cannot_leave_the_path() {
        // {"clusterId":"other"}
        let request = read(&[("extra", "eyJjbHVzdGVySWQiOiJvdGhlciJ9")]).unwrap();
        assert_eq!(request.query.scope.cluster.as_deref(), Some("c1"));
    }

    #[test]
    fn secret_contents_cannot_be_probed() {
        let scope = Scope {
            cluster: Some("c1".into()),
            ..Scope::default()
        };
        let reader = Reader {
            clusters: None,
            secrets: false,
        };
        let probe = [("data.datas.dsn.content".to_owned(), "x".to_owned())];
        let kind = kinds::resolve("mesos", "secret").unwrap();
        assert_eq!(
            parse(scope.clone(), kind.clone(), &probe, &reader)
                .unwrap_err()
                .status,
            403
        );
        let trusted = Reader {
            clusters: None,
            secrets: true,
        };
        assert!(parse(scope, kind, &probe, &trusted).is_ok());
    }
}
