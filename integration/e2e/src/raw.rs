//! Bytes to a listener, without any HTTP library in between: plain, or inside TLS.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};

use crate::{Address, Certificate};

/// How to speak TLS: with which certificate. Servers are not verified: that is not what these tests are about.
#[derive(Clone, Debug)]
pub struct Tls(Arc<ClientConfig>);

#[derive(Debug)]
struct Anybody(rustls::crypto::CryptoProvider);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            cert,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            cert,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

impl Tls {
    /// Showing `certificate`, or nothing.
    pub fn new(certificate: Option<&Certificate>) -> Self {
        let provider = rustls::crypto::ring::default_provider();
        let builder = ClientConfig::builder_with_provider(Arc::new(provider.clone()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody(provider)));
        let config = match certificate {
            None => builder.with_no_client_auth(),
            Some(files) => {
                let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(&files.cert)
                    .unwrap()
                    .collect();
                let key = PrivateKeyDer::from_pem_file(&files.key).unwrap();
                builder.with_client_auth_cert(chain.unwrap(), key).unwrap()
            }
        };
        Self(Arc::new(config))
    }
}

/// A connection to a listener.
#[derive(Debug)]
pub enum Connection {
    /// TCP.
    Tcp(TcpStream),
    /// A unix socket.
    Unix(UnixStream),
    /// TLS over TCP.
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Connection {
    /// Connects; reads and writes end after `limit`.
    ///
    /// # Errors
    /// When nobody listens or the handshake is refused.
    pub fn open(address: &Address, tls: Option<&Tls>, limit: Duration) -> io::Result<Self> {
        let tcp = |address| {
            let stream = TcpStream::connect_timeout(&address, limit)?;
            stream.set_read_timeout(Some(limit))?;
            stream.set_write_timeout(Some(limit))?;
            stream.set_nodelay(true)?;
            io::Result::Ok(stream)
        };
        match (address, tls) {
            (Address::Unix(path), _) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(limit))?;
                stream.set_write_timeout(Some(limit))?;
                Ok(Self::Unix(stream))
            }
            (Address::Tcp(address), None) => Ok(Self::Tcp(tcp(*address)?)),
            (Address::Tcp(address), Some(tls)) => {
                let name = ServerName::IpAddress(address.ip().into());
                let session =
                    ClientConnection::new(tls.0.clone(), name).map_err(io::Error::other)?;
                let mut stream = StreamOwned::new(session, tcp(*address)?);
                while stream.conn.is_handshaking() {
                    stream.conn.complete_io(&mut stream.sock)?;
                }
                Ok(Self::Tls(Box::new(stream)))
            }
        }
    }

    /// An HTTP/1.1 request, and the whole answer as text until the other side closes or falls silent.
    ///
    /// # Errors
    /// When nothing at all was answered.
    pub fn request(&mut self, head: &str, body: &[u8]) -> io::Result<String> {
        self.write_all(head.as_bytes())?;
        self.write_all(body)?;
        self.flush()?;
        let mut answer = Vec::new();
        let mut part = [0_u8; 8192];
        loop {
            match self.read(&mut part) {
                Ok(0) => break,
                Ok(length) => answer.extend_from_slice(&part[..length]),
                Err(error) if answer.is_empty() => return Err(error),
                Err(_) => break,
            }
        }
        if answer.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    /// GET, and the whole answer.
    ///
    /// # Errors
    /// When nothing at all was answered.
    pub fn get(&mut self, path: &str) -> io::Result<String> {
        self.request(
            &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"),
            b"",
        )
    }
}

impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Connection {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(buffer),
            Self::Unix(stream) => stream.write(buffer),
            Self::Tls(stream) => stream.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.flush(),
            Self::Unix(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}
