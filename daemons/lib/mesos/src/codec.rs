//! One message, two encodings: JSON and protobuf.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// How a body or an event is encoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ContentType {
    /// `application/json`
    #[default]
    Json,
    /// `application/x-protobuf`
    Protobuf,
}

/// Why a body could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// The body is not JSON of the expected message.
    #[error("body is not valid JSON of this message: {0}")]
    Json(#[from] serde_json::Error),
    /// The body is not protobuf of the expected message.
    #[error("body is not valid protobuf of this message: {0}")]
    Protobuf(#[from] prost::DecodeError),
}

impl ContentType {
    /// The media type as sent in headers.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Protobuf => "application/x-protobuf",
        }
    }

    /// Reads a `Content-Type` header. `None` for a type that is not served.
    pub fn parse(header: &str) -> Option<Self> {
        let essence = header.split(';').next().unwrap_or_default().trim();
        if essence.eq_ignore_ascii_case("application/json") {
            Some(Self::Json)
        } else if essence.eq_ignore_ascii_case("application/x-protobuf")
            || essence.eq_ignore_ascii_case("application/protobuf")
        {
            Some(Self::Protobuf)
        } else {
            None
        }
    }

    /// Chooses the encoding of answers from an `Accept` header; JSON where both are welcome or the header is absent.
    pub fn negotiate(accept: Option<&str>) -> Option<Self> {
        let Some(accept) = accept else {
            return Some(Self::Json);
        };
        let mut protobuf = false;
        for item in accept.split(',') {
            let mut parts = item.split(';').map(str::trim);
            let essence = parts.next().unwrap_or_default();
            let refused = parts.any(|part| {
                part.strip_prefix("q=")
                    .and_then(|q| q.parse::<f32>().ok())
                    .is_some_and(|q| q <= 0.0)
            });
            if refused {
                continue;
            }
            match essence {
                "*/*" | "application/*" | "" => return Some(Self::Json),
                other => match Self::parse(other) {
                    Some(Self::Json) => return Some(Self::Json),
                    Some(Self::Protobuf) => protobuf = true,
                    None => {}
                },
            }
        }
        protobuf.then_some(Self::Protobuf)
    }
}

/// Encodes a message.
///
/// # Errors
/// JSON refuses numbers that are not finite.
pub fn encode<T: prost::Message + Serialize>(
    message: &T,
    as_type: ContentType,
) -> Result<Vec<u8>, CodecError> {
    match as_type {
        ContentType::Json => Ok(serde_json::to_vec(message)?),
        ContentType::Protobuf => Ok(message.encode_to_vec()),
    }
}

/// Decodes a message.
///
/// # Errors
/// The body is not the message in that encoding.
pub fn decode<T: prost::Message + DeserializeOwned + Default>(
    body: &[u8],
    as_type: ContentType,
) -> Result<T, CodecError> {
    match as_type {
        ContentType::Json => Ok(serde_json::from_slice(body)?),
        ContentType::Protobuf => Ok(T::decode(body)?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_prefers_json_and_refuses_what_is_not_served() {
        let cases = [
            (None, Some(ContentType::Json)),
            (Some("*/*"), Some(ContentType::Json)),
            (Some("application/json"), Some(ContentType::Json)),
            (Some("application/x-protobuf"), Some(ContentType::Protobuf)),
            (
                Some("application/x-protobuf, application/json"),
                Some(ContentType::Json),
            ),
            (
                Some("application/json;q=0, application/x-protobuf"),
                Some(ContentType::Protobuf),
            ),
            (Some("text/html"), None),
        ];
        for (accept, expected) in cases {
            assert_eq!(ContentType::negotiate(accept), expected, "{accept:?}");
        }
    }
}
