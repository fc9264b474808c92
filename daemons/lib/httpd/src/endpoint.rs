//! Addresses: where a daemon listens and where it calls.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

/// A text that is no address.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{value:?} is not {expected}")]
pub struct AddressError {
    value: String,
    expected: &'static str,
}

/// Where to call: `https://host:port`, `http://host:port` or `unix:/path`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// A base URL without a trailing slash.
    Url(String),
    /// A unix socket.
    Unix(PathBuf),
}

impl FromStr for Endpoint {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || AddressError {
            value: text.to_owned(),
            expected: "an endpoint: https://host:port, http://host:port or unix:/path",
        };
        if let Some(path) = text.strip_prefix("unix:") {
            return path
                .starts_with('/')
                .then(|| Self::Unix(path.into()))
                .ok_or_else(refused);
        }
        let url = url::Url::parse(text).map_err(|_| refused())?;
        let plain = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() || !plain {
            return Err(refused());
        }
        Ok(Self::Url(text.trim_end_matches('/').to_owned()))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => formatter.write_str(url),
            Self::Unix(path) => write!(formatter, "unix:{}", path.display()),
        }
    }
}

/// Where to listen: `host:port`, `unix:/path`, or a socket that is bound already.
#[derive(Clone, Debug)]
pub enum Listen {
    /// A TCP address; port 0 lets the kernel choose.
    Tcp(String),
    /// A unix socket, made with mode 0600.
    Unix(PathBuf),
    /// A bound TCP socket: from standalone, or from systemd.
    Bound(Arc<std::net::TcpListener>),
}

impl FromStr for Listen {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || AddressError {
            value: text.to_owned(),
            expected: "an address to listen on: host:port or unix:/path",
        };
        if let Some(path) = text.strip_prefix("unix:") {
            return path
                .starts_with('/')
                .then(|| Self::Unix(path.into()))
                .ok_or_else(refused);
        }
        let (host, port) = text.rsplit_once(':').ok_or_else(refused)?;
        if host.is_empty() || port.parse::<u16>().is_err() {
            return Err(refused());
        }
        Ok(Self::Tcp(text.to_owned()))
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => formatter.write_str(address),
            Self::Unix(path) => write!(formatter, "unix:{}", path.display()),
            Self::Bound(socket) => match socket.local_addr() {
                Ok(address) => write!(formatter, "{address}"),
                Err(_) => formatter.write_str("a closed socket"),
            },
        }
    }
}

macro_rules! as_text {
    ($type:ty) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

as_text!(Endpoint);
as_text!(Listen);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_read_and_written() {
        for text in [
            "https://10.0.0.1:8443",
            "http://[::1]:80",
            "unix:/run/bcs/agent.sock",
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
        }
        assert_eq!(
            "https://h:1/".parse::<Endpoint>().unwrap().to_string(),
            "https://h:1"
        );
        for text in [
            "",
            "h:1",
            "ftp://h:1",
            "unix:relative",
            "https://h:1/path",
            "https://h/?q",
        ] {
            let error = text.parse::<Endpoint>().unwrap_err();
            assert!(error.to_string().contains("unix:/path"));
        }
    }

    #[test]
    fn listen_addresses_are_read() {
        assert!(matches!("127.0.0.1:0".parse(), Ok(Listen::Tcp(_))));
        assert!(matches!("unix:/a".parse(), Ok(Listen::Unix(_))));
        for text in ["8080", ":8080", "h:99999", "unix:x"] {
            assert!(text.parse::<Listen>().is_err(), "{text}");
        }
    }
}
