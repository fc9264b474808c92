//! Reading files of documents: JSON or YAML, one or several, lists unfolded.

use std::io::Read;
use std::path::Path;

use serde_json::Value;

use super::failure::Failure;

/// The largest file.
const MOST_BYTES: u64 = 64 << 20;

/// All documents of all files, in order. `-` is standard input.
pub(super) fn read(files: &[String], namespace: Option<&str>) -> Result<Vec<Value>, Failure> {
    let mut documents = Vec::new();
    for file in files {
        let text = text(file)?;
        let found = parse(&text).map_err(|detail| {
            Failure::Usage(format!(
                "{}: {detail}",
                if file == "-" { "standard input" } else { file }
            ))
        })?;
        if found.is_empty() {
            return Err(Failure::Usage(format!("{file}: holds no document")));
        }
        documents.extend(found);
    }
    for document in &mut documents {
        place(document, namespace)?;
    }
    Ok(documents)
}

fn text(file: &str) -> Result<String, Failure> {
    let failed = |error: std::io::Error| Failure::Failed(format!("cannot read {file}: {error}"));
    let source: Box<dyn Read> = if file == "-" {
        Box::new(std::io::stdin())
    } else {
        Box::new(std::fs::File::open(Path::new(file)).map_err(failed)?)
    };
    let mut text = String::new();
    source
        .take(MOST_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(failed)?;
    if text.len() as u64 > MOST_BYTES {
        return Err(Failure::Failed(format!(
            "{file} has more than {MOST_BYTES} bytes; split it up"
        )));
    }
    Ok(text)
}

/// The documents of one text.
pub(super) fn parse(text: &str) -> Result<Vec<Value>, String> {
    let begins = text.trim_start_matches('\u{feff}').trim_start();
    let values: Vec<Value> = if begins.starts_with(['{', '[']) {
        match serde_json::Deserializer::from_str(begins)
            .into_iter()
            .collect()
        {
            Ok(values) => values,
            // Flow style of YAML begins alike.
            Err(json) => yaml(text).map_err(|_| format!("not valid JSON: {json}"))?,
        }
    } else {
        yaml(text)?
    };
    let mut documents = Vec::new();
    unfold(values, &mut documents)?;
    Ok(documents)
}

fn yaml(text: &str) -> Result<Vec<Value>, String> {
    serde_saphyr::from_multiple(text).map_err(|error| {
        let words = super::failure::one_line(&error.to_string());
        format!("not valid YAML: {}", super::table::shorten(&words, 300))
    })
}

fn unfold(values: Vec<Value>, documents: &mut Vec<Value>) -> Result<(), String> {
    for value in values {
        match value {
            Value::Null => {}
            Value::Array(items) => unfold(items, documents)?,
            Value::Object(mut fields)
                if fields.get("kind").and_then(Value::as_str) == Some("List")
                    && fields.get("items").is_some_and(Value::is_array) =>
            {
                if let Some(Value::Array(items)) = fields.remove("items") {
                    unfold(items, documents)?;
                }
            }
            Value::Object(fields) => documents.push(Value::Object(fields)),
            other => {
                return Err(format!(
                    "{other} is no document; a document has kind and metadata"
                ));
            }
        }
    }
    Ok(())
}

/// Writes the namespace of `-n` into a document that names none.
fn place(document: &mut Value, namespace: Option<&str>) -> Result<(), Failure> {
    let Some(namespace) = namespace else {
        return Ok(());
    };
    let Some(metadata) = document.get_mut("metadata").and_then(Value::as_object_mut) else {
        return Ok(());
    };
    match metadata.get("namespace").and_then(Value::as_str) {
        None | Some("") => {
            metadata.insert("namespace".to_owned(), Value::String(namespace.to_owned()));
            Ok(())
        }
        Some(own) if own == namespace => Ok(()),
        Some(own) => Err(Failure::Usage(format!(
            "the document says namespace {own}, the command line says {namespace}; leave one out"
        ))),
    }
}

/// `kind/name` of a document, for result lines.
pub(super) fn title(document: &Value) -> String {
    let text = |pointer: &str| document.pointer(pointer).and_then(Value::as_str);
    let kind = text("/kind").unwrap_or("document").to_ascii_lowercase();
    format!("{kind}/{}", text("/metadata/name").unwrap_or("?"))
}

/// Whether a document is of a kind that refers to configmaps and secrets.
pub(super) fn is_workload(document: &Value) -> bool {
    let kind = document.get("kind").and_then(Value::as_str);
    kind.and_then(|kind| kind.parse::<bcs_api::Kind>().ok())
        .is_some_and(bcs_api::Kind::is_workload)
}
