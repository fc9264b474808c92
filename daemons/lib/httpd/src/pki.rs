//! The certificate authority that standalone makes at first start, and `bcs pki` on demand.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use bcs_kit::atomic_write;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType,
};

use crate::identity::Identity;
use crate::tls::TlsFiles;

/// Days before today that a certificate is valid from, for hosts whose clocks lag.
const BACKDATED_DAYS: i64 = 1;
/// Ten years for the authority, two for what it issues.
const AUTHORITY_DAYS: i64 = 3650;
const LEAF_DAYS: i64 = 730;

/// Why the authority could not do it.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A file cannot be read or written.
    #[error("{}: {source}", file.display())]
    File {
        /// Its path.
        file: PathBuf,
        /// What the kernel said.
        #[source]
        source: std::io::Error,
    },
    /// The certificate cannot be made from these values.
    #[error("cannot make the certificate for {subject:?}: {source}")]
    Make {
        /// Whom it was for.
        subject: String,
        /// What is wrong.
        #[source]
        source: rcgen::Error,
    },
}

/// `ca.pem` and `ca.key` in a folder of their own (0700).
#[derive(Debug)]
pub struct Authority {
    folder: PathBuf,
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

fn file_error(file: &Path) -> impl FnOnce(std::io::Error) -> PkiError {
    let file = file.to_owned();
    move |source| PkiError::File { file, source }
}

fn make_error(subject: &str) -> impl Fn(rcgen::Error) -> PkiError {
    let subject = subject.to_owned();
    move |source| PkiError::Make {
        subject: subject.clone(),
        source,
    }
}

fn validity(params: &mut CertificateParams, days: i64) {
    let day = std::time::Duration::from_secs(86_400);
    let now = std::time::SystemTime::now();
    let back = u32::try_from(BACKDATED_DAYS).unwrap_or(0);
    let ahead = u32::try_from(days).unwrap_or(0);
    params.not_before = (now - day * back).into();
    params.not_after = (now + day * ahead).into();
}

impl Authority {
    /// Opens the authority in `folder`, making it first where there is none.
    ///
    /// # Errors
    /// [`PkiError`] naming the file.
    pub fn open_or_create(folder: &Path, name: &str) -> Result<Self, PkiError> {
        let certificate = folder.join("ca.pem");
        if !certificate.exists() {
            Self::create(folder, name)?;
        }
        Self::open(folder)
    }

    /// Opens the authority in `folder`.
    ///
    /// # Errors
    /// [`PkiError`] naming the file that is missing or broken.
    pub fn open(folder: &Path) -> Result<Self, PkiError> {
        let certificate = folder.join("ca.pem");
        let key = folder.join("ca.key");
        let name = &folder.display().to_string();
        let pem = std::fs::read_to_string(&certificate).map_err(file_error(&certificate))?;
        let secret = std::fs::read_to_string(&key).map_err(file_error(&key))?;
        let pair = KeyPair::from_pem(&secret).map_err(make_error(name))?;
        let issuer = Issuer::from_ca_cert_pem(&pem, pair).map_err(make_error(name))?;
        Ok(Self {
            folder: folder.to_owned(),
            certificate: pem,
            issuer,
        })
    }

    fn create(folder: &Path, name: &str) -> Result<(), PkiError> {
        bcs_kit::files::private_folder(folder).map_err(file_error(folder))?;
        let failed = make_error(name);
        let pair = KeyPair::generate().map_err(&failed)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        validity(&mut params, AUTHORITY_DAYS);
        let certificate = params.self_signed(&pair).map_err(&failed)?;
        // The key first: a certificate on disk means that the pair is complete.
        let key = folder.join("ca.key");
        atomic_write(&key, pair.serialize_pem().as_bytes(), 0o600).map_err(file_error(&key))?;
        let path = folder.join("ca.pem");
        atomic_write(&path, certificate.pem().as_bytes(), 0o644).map_err(file_error(&path))
    }

    /// The authority's certificate (PEM), for clients to trust.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Issues a certificate for `role` on `host`, valid under `names` (host names and addresses),
    /// into `folder/ROLE.pem` and `folder/ROLE.key`.
    ///
    /// # Errors
    /// [`PkiError`] naming the file or the subject.
    pub fn issue(
        &self,
        folder: &Path,
        role: &str,
        host: &str,
        names: &[String],
    ) -> Result<TlsFiles, PkiError> {
        bcs_kit::files::private_folder(folder).map_err(file_error(folder))?;
        let failed = make_error(role);
        let identity = Identity {
            role: role.to_owned(),
            host: host.to_owned(),
        };
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, role);
        for name in names {
            params.subject_alt_names.push(match name.parse::<IpAddr>() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName(name.as_str().try_into().map_err(&failed)?),
            });
        }
        params.subject_alt_names.push(SanType::URI(
            identity.uri().as_str().try_into().map_err(&failed)?,
        ));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        params.use_authority_key_identifier_extension = true;
        validity(&mut params, LEAF_DAYS);
        let pair = KeyPair::generate().map_err(&failed)?;
        let certificate = params.signed_by(&pair, &self.issuer).map_err(&failed)?;
        let files = TlsFiles {
            ca: self.folder.join("ca.pem"),
            cert: folder.join(format!("{role}.pem")),
            key: folder.join(format!("{role}.key")),
        };
        atomic_write(&files.key, pair.serialize_pem().as_bytes(), 0o600)
            .map_err(file_error(&files.key))?;
        atomic_write(&files.cert, certificate.pem().as_bytes(), 0o644)
            .map_err(file_error(&files.cert))?;
        Ok(files)
    }
}
