//! Documents as JSON for clients: the wire shape, masking of secrets, projection.

use bcs_store::{Document, Field, Revision, content_digest, instant, project};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::kinds;

const MASK: &str = "***";

/// How documents are shown to this reader.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rendering {
    pub(crate) show_secrets: bool,
    pub(crate) fields: Vec<Field>,
    /// Keep `resourceVersion` whatever the fields are.
    pub(crate) versions: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'a, D: Serialize> {
    #[serde(rename = "_id")]
    id: String,
    cluster_id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    namespace: &'a str,
    resource_type: &'a str,
    resource_name: &'a str,
    data: D,
    create_time: String,
    update_time: String,
    resource_version: String,
}

impl Rendering {
    /// The JSON text of one document.
    pub(crate) fn document(&self, document: &Document) -> Result<String, serde_json::Error> {
        let hidden = !self.show_secrets && kinds::is_secret(&document.key.kind);
        if !hidden && self.fields.is_empty() {
            return serde_json::to_string(&wire::<&RawValue>(document, &document.data));
        }
        let mut data: Value = serde_json::from_str(document.data.get())?;
        if hidden {
            mask(&mut data);
        }
        if self.fields.is_empty() {
            return serde_json::to_string(&wire(document, &data));
        }
        let whole = serde_json::to_value(wire(document, &data))?;
        let mut kept = project(&whole, &self.fields);
        if self.versions
            && let Some(object) = kept.as_object_mut()
        {
            object.insert(
                "resourceVersion".to_owned(),
                document.revision.to_string().into(),
            );
        }
        serde_json::to_string(&kept)
    }
}

fn wire<'a, D: Serialize>(document: &'a Document, data: D) -> Wire<'a, D> {
    let key = &document.key;
    let mut id = content_digest(&key.to_string());
    // As long as the identifiers of the original.
    id.truncate(24);
    Wire {
        id,
        cluster_id: &key.cluster,
        namespace: &key.namespace,
        resource_type: &key.kind,
        resource_name: &key.name,
        data,
        create_time: instant::format(document.created),
        update_time: instant::format(document.updated),
        resource_version: document.revision.to_string(),
    }
}

/// Hides the contents, keeps the names: `datas` of a Mesos secret, `data` of a Kubernetes one.
fn mask(object: &mut Value) {
    let Some(object) = object.as_object_mut() else {
        return;
    };
    for (name, value) in object.iter_mut() {
        match name.to_ascii_lowercase().as_str() {
            "datas" | "data" | "stringdata" => mask_all(value),
            "metadata" => {
                // kubectl keeps a copy of the whole object here.
                if let Some(annotations) =
                    value.get_mut("annotations").and_then(Value::as_object_mut)
                {
                    annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
                }
            }
            _ => {}
        }
    }
}

fn mask_all(value: &mut Value) {
    match value {
        Value::Object(object) => object.values_mut().for_each(mask_all),
        Value::Array(items) => items.iter_mut().for_each(mask_all),
        Value::Null => {}
        Value::Bool(_) | Value::Number(_) | Value::String(_) => *value = MASK.into(),
    }
}

/// A success with a list and what belongs beside it.
#[derive(Debug, Default)]
pub(crate) struct ListAnswer {
    pub(crate) items: Vec<String>,
    pub(crate) total: u64,
    pub(crate) next: Option<String>,
    pub(crate) revision: Revision,
    /// Route 9 says how large its page is.
    pub(crate) page: Option<(usize, usize)>,
}

impl ListAnswer {
    pub(crate) fn into_json(self) -> String {
        let length: usize = self.items.iter().map(|item| item.len() + 1).sum();
        let mut text = String::with_capacity(length + 256);
        text.push_str(r#"{"result":true,"code":0,"message":"success","data":["#);
        for (index, item) in self.items.iter().enumerate() {
            if index > 0 {
                text.push(',');
            }
            text.push_str(item);
        }
        let (total, revision) = (self.total, self.revision);
        text.push_str(&format!(
            r#"],"total":{total},"resourceVersion":"{revision}""#
        ));
        if let Some((size, offset)) = self.page {
            text.push_str(&format!(r#","pageSize":{size},"offset":{offset}"#));
        }
        if let Some(next) = self.next {
            // A token is base64 and needs no escaping.
            text.push_str(&format!(r#","continue":"{next}""#));
        }
        text.push('}');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn secrets_keep_their_names_only() {
        let mut secret = json!({
            "metadata": {"name": "db", "annotations": {
                "kubectl.kubernetes.io/last-applied-configuration": "{\"data\":\"x\"}", "a": "b"}},
            "datas": {"dsn": {"content": "cG9zdGdyZXM6Ly8=", "list": [1, true, null]}},
            "data": {"k": "v"}, "stringData": {"k": "v"},
        });
        mask(&mut secret);
        assert_eq!(
            secret,
            json!({
                "metadata": {"name": "db", "annotations": {"a": "b"}},
                "datas": {"dsn": {"content": "***", "list": ["***", "***", null]}},
                "data": {"k": "***"}, "stringData": {"k": "***"},
            })
        );
    }

    #[test]
    fn a_list_is_valid_json() {
        let answer = ListAnswer {
            items: vec!["{\"a\":1}".into(), "{}".into()],
            total: 7,
            next: Some("abc".into()),
            revision: 9,
            page: Some((2, 0)),
        };
        let value: Value = serde_json::from_str(&answer.into_json()).unwrap();
        assert_eq!(value["data"], json!([{"a": 1}, {}]));
        assert_eq!(
            (&value["total"], &value["continue"]),
            (&json!(7), &json!("abc"))
        );
        assert_eq!(
            (&value["pageSize"], &value["resourceVersion"]),
            (&json!(2), &json!("9"))
        );
    }
}
