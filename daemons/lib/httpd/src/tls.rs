//! TLS material from PEM files, with the one crypto provider of this project.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

/// Where a daemon's certificate is. One certificate serves both directions.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    /// The authority that both sides trust (PEM).
    pub ca: PathBuf,
    /// The certificate chain (PEM).
    pub cert: PathBuf,
    /// Its private key (PEM, mode 0600).
    pub key: PathBuf,
}

/// Why TLS could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is missing or is not PEM.
    #[error("{what} {}: {detail}", file.display())]
    File {
        /// Which of the three.
        what: &'static str,
        /// Its path.
        file: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// The pieces do not fit together.
    #[error("TLS: {0}")]
    Rustls(#[from] rustls::Error),
    /// The client verifier refused the authority.
    #[error("TLS client verification: {0}")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
}

/// Whether callers must show a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// Between daemons.
    Required,
    /// Toward people, who may have a token instead.
    Optional,
}

/// A server's TLS, ready to accept.
#[derive(Clone, Debug)]
pub struct ServerTls(pub(crate) Arc<ServerConfig>);

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// HTTP/2 first: calls and streams between two daemons share one connection.
fn protocols() -> Vec<Vec<u8>> {
    vec![b"h2".to_vec(), b"http/1.1".to_vec()]
}

/// Installs the crypto provider; first thing in `main`. A second call changes nothing.
pub fn install_provider() {
    // An error only says that one is installed already.
    drop(rustls::crypto::ring::default_provider().install_default());
}

fn file_error(
    what: &'static str,
    file: &Path,
) -> impl FnOnce(rustls::pki_types::pem::Error) -> TlsError {
    let file = file.to_owned();
    move |error| TlsError::File {
        what,
        file,
        detail: error.to_string(),
    }
}

impl TlsFiles {
    fn roots(&self) -> Result<RootCertStore, TlsError> {
        roots_from(&self.ca)
    }

    fn chain(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        CertificateDer::pem_file_iter(&self.cert)
            .and_then(Iterator::collect)
            .map_err(file_error("certificate", &self.cert))
    }

    fn key(&self) -> Result<PrivateKeyDer<'static>, TlsError> {
        PrivateKeyDer::from_pem_file(&self.key).map_err(file_error("private key", &self.key))
    }

    /// For a listener.
    ///
    /// # Errors
    /// [`TlsError`] naming the file.
    pub fn server(&self, auth: ClientAuth) -> Result<ServerTls, TlsError> {
        let verifier =
            WebPkiClientVerifier::builder_with_provider(self.roots()?.into(), provider());
        let verifier = match auth {
            ClientAuth::Required => verifier.build()?,
            ClientAuth::Optional => verifier.allow_unauthenticated().build()?,
        };
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(verifier)
            .with_single_cert(self.chain()?, self.key()?)?;
        config.alpn_protocols = protocols();
        Ok(ServerTls(Arc::new(config)))
    }

    /// For calling other daemons, showing this certificate.
    ///
    /// # Errors
    /// [`TlsError`] naming the file.
    pub fn client(&self) -> Result<ClientConfig, TlsError> {
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(self.roots()?)
            .with_client_auth_cert(self.chain()?, self.key()?)?;
        config.alpn_protocols = protocols();
        Ok(config)
    }
}

fn roots_from(ca: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(ca).map_err(file_error("authority", ca))?;
    for certificate in certificates {
        roots.add(certificate.map_err(file_error("authority", ca))?)?;
    }
    if roots.is_empty() {
        let detail = "it holds no certificate".to_owned();
        return Err(TlsError::File {
            what: "authority",
            file: ca.to_owned(),
            detail,
        });
    }
    Ok(roots)
}

/// For people's clients: trusts `ca`, a PEM text, and shows no certificate.
///
/// # Errors
/// [`TlsError`] when the text holds no certificate.
pub fn client_trusting(ca: &[u8]) -> Result<ClientConfig, TlsError> {
    let bad = |detail: String| TlsError::File {
        what: "authority",
        file: PathBuf::from("(inline)"),
        detail,
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca) {
        roots.add(certificate.map_err(|error| bad(error.to_string()))?)?;
    }
    if roots.is_empty() {
        return Err(bad("it holds no certificate".to_owned()));
    }
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols();
    Ok(config)
}
