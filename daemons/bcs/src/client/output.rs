//! Standard output, and the formats of `-o`.

use std::io::{BufWriter, Stdout, Write};

use clap::ValueEnum;
use serde_json::{Value, json};

use super::failure::{Done, Failure};

/// `-o`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Aligned columns
    #[default]
    Table,
    /// More columns, nothing shortened
    Wide,
    /// The object, or {"kind":"List","items":[…]}
    Json,
    /// The same as YAML
    Yaml,
    /// KIND/NAME, one a line
    Name,
}

/// Where results go. Written in blocks; `flush` before waiting for anything.
pub(super) struct Out(Box<dyn Write>);

impl Out {
    pub(super) fn standard() -> Self {
        Self(Box::new(BufWriter::<Stdout>::new(std::io::stdout())))
    }

    #[cfg(test)]
    pub(super) fn to(target: impl Write + 'static) -> Self {
        Self(Box::new(target))
    }

    pub(super) fn line(&mut self, text: &str) -> Done {
        Ok(writeln!(self.0, "{text}")?)
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Done {
        Ok(self.0.write_all(bytes)?)
    }

    pub(super) fn flush(&mut self) -> Done {
        Ok(self.0.flush()?)
    }

    /// An object as JSON or YAML.
    pub(super) fn value(&mut self, value: &Value, format: Format) -> Done {
        if format == Format::Yaml {
            let text = serde_saphyr::to_string(value)
                .map_err(|error| Failure::Failed(format!("cannot write YAML: {error}")))?;
            return self.line(text.trim_end());
        }
        let text = serde_json::to_string_pretty(value)
            .map_err(|error| Failure::Failed(format!("cannot write JSON: {error}")))?;
        self.line(&text)
    }
}

/// Several objects as one.
pub(super) fn list(items: Vec<Value>) -> Value {
    json!({"kind": "List", "items": items})
}
