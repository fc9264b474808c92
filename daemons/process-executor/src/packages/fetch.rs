//! Downloads: resumed where the server can, broken off only when nothing comes any more, checked
//! against what is demanded, and not repeated for a file that is here already.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bcs_kit::Backoff;
use bcs_model::dataclass::Uri;
use http::{HeaderMap, StatusCode, header};
use sha2::Digest as _;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use url::Url;

use super::PackageError;
use super::cache::{Cache, Known};
use crate::agent::chain;
use crate::metrics::Metrics;
use crate::settings::Settings;

/// What a package must be.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Demand {
    Nothing,
    Sha256(String),
    Md5(String),
    /// What the repository says about its own file.
    Jfrog,
}

type Slots = Mutex<HashMap<String, Arc<tokio::sync::Mutex<Option<Instant>>>>>;

/// Gets files over http, https and from this host.
pub struct Fetcher {
    client: reqwest::Client,
    stall: Duration,
    attempts: u32,
    redirects: u32,
    limit: u64,
    at_once: Semaphore,
    /// One fetch at a time for each address; holds when it was last found good.
    slots: Slots,
    metrics: Metrics,
}

/// One address with its credentials.
struct Target {
    url: Url,
    user: String,
    password: String,
}

/// Why one attempt failed, and whether another makes sense.
struct Attempt {
    reason: String,
    again: bool,
}

fn fatal(reason: impl Into<String>) -> Attempt {
    Attempt {
        reason: reason.into(),
        again: false,
    }
}

fn transient(reason: impl Into<String>) -> Attempt {
    Attempt {
        reason: reason.into(),
        again: true,
    }
}

/// What came of asking for a file.
enum Got {
    /// The file is complete; validators for the next time.
    File(Known),
    /// What is in the cache is still right.
    Unchanged,
}

impl Target {
    fn new(url: &str, user: &str, password: &str) -> Result<Self, PackageError> {
        let refuse = |reason: String| PackageError::Address {
            url: hidden(url),
            reason,
        };
        let mut parsed = Url::parse(url).map_err(|error| refuse(error.to_string()))?;
        if !matches!(parsed.scheme(), "http" | "https" | "file") {
            return Err(refuse("only http, https and file are fetched".to_owned()));
        }
        let (mut user, mut password) = (user.to_owned(), password.to_owned());
        if user.is_empty() && !parsed.username().is_empty() {
            user = parsed.username().to_owned();
            password = parsed.password().unwrap_or_default().to_owned();
        }
        // Credentials must not show up in messages. Both calls fail only where there are none.
        let _ = parsed.set_username("");
        let _ = parsed.set_password(None);
        Ok(Self {
            url: parsed,
            user,
            password,
        })
    }

    fn failed(&self, reason: impl Into<String>) -> PackageError {
        PackageError::Download {
            url: self.url.to_string(),
            reason: reason.into(),
        }
    }

    fn name(&self) -> String {
        let last = self
            .url
            .path_segments()
            .and_then(|mut parts| parts.next_back());
        let name: String = last
            .unwrap_or_default()
            .chars()
            .map(|letter| {
                if letter.is_control() || letter == '/' {
                    '_'
                } else {
                    letter
                }
            })
            .collect();
        match name.as_str() {
            "" | "." | ".." => "package".to_owned(),
            _ => name,
        }
    }
}

/// An address without what may be a password.
fn hidden(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://***@{rest}"),
        _ => url.to_owned(),
    }
}

impl Demand {
    fn new(uri: &Uri, url: &Url) -> Result<Self, PackageError> {
        let text = uri.checksum.trim();
        let hexadecimal = |value: &str, length: usize| {
            value.len() == length && value.bytes().all(|byte| byte.is_ascii_hexdigit())
        };
        Ok(match text.split_once(':') {
            _ if text.is_empty() => match url.path().starts_with("/artifactory/") {
                true => Self::Jfrog,
                false => Self::Nothing,
            },
            None if text.eq_ignore_ascii_case("jfrog") => Self::Jfrog,
            Some(("sha256", value)) if hexadecimal(value, 64) => {
                Self::Sha256(value.to_ascii_lowercase())
            }
            Some(("md5", value)) if hexadecimal(value, 32) => Self::Md5(value.to_ascii_lowercase()),
            None if hexadecimal(text, 64) => Self::Sha256(text.to_ascii_lowercase()),
            _ => {
                return Err(PackageError::Address {
                    url: hidden(&uri.value),
                    reason: format!("checksum {text:?} must be sha256:HEX, md5:HEX or jfrog"),
                });
            }
        })
    }

    fn check(&self, known: &Known, url: &Url) -> Result<(), PackageError> {
        let (algorithm, found, expected) = match self {
            Self::Sha256(expected) => ("sha256", &known.digest, expected),
            Self::Md5(expected) => ("md5", &known.md5, expected),
            Self::Nothing | Self::Jfrog => return Ok(()),
        };
        if found == expected {
            return Ok(());
        }
        let (found, expected) = (found.clone(), expected.clone());
        Err(PackageError::Checksum {
            url: url.to_string(),
            algorithm,
            found,
            expected,
        })
    }
}

impl Fetcher {
    /// A fetcher as the settings say.
    ///
    /// # Errors
    /// When the certificates are unusable.
    pub fn new(settings: &Settings, metrics: &Metrics) -> Result<Self, String> {
        bcs_httpd::tls::install_provider();
        let builder = || {
            reqwest::Client::builder()
                .no_proxy()
                .redirect(reqwest::redirect::Policy::none())
                .pool_max_idle_per_host(2)
                .connect_timeout(settings.download_stall().min(Duration::from_secs(30)))
        };
        let mut extra = Vec::new();
        if let Some(path) = &settings.download_ca {
            let pem = fs::read(path)
                .map_err(|error| format!("download_ca {}: {error}", path.display()))?;
            extra = reqwest::Certificate::from_pem_bundle(&pem)
                .map_err(|error| format!("download_ca {}: {}", path.display(), chain(&error)))?;
        }
        let client = builder()
            .tls_certs_merge(extra.clone())
            .build()
            .or_else(|error| {
                tracing::warn!(
                    error = chain(&error),
                    "no system certificates; https needs download_ca"
                );
                builder().tls_certs_only(extra).build()
            });
        Ok(Self {
            client: client.map_err(|error| chain(&error))?,
            stall: settings.download_stall(),
            attempts: settings.download_attempts,
            redirects: settings.download_redirects,
            limit: settings.package_max_bytes,
            at_once: Semaphore::new(settings.downloads),
            slots: Mutex::default(),
            metrics: metrics.clone(),
        })
    }

    /// Gets a package into the cache; returns digest and name.
    ///
    /// # Errors
    /// See [`PackageError`].
    pub async fn fetch(&self, uri: &Uri, cache: &Cache) -> Result<(String, String), PackageError> {
        let target = Target::new(&uri.value, &uri.user, &uri.pwd)?;
        let mut demand = Demand::new(uri, &target.url)?;
        let name = target.name();
        if let Demand::Sha256(digest) = &demand
            && cache.has(digest)
        {
            return Ok((digest.clone(), name));
        }
        let limit = match uri.max_bytes {
            0 => self.limit,
            bytes => bytes.min(self.limit),
        };
        let key = hash(&[target.url.as_str(), &target.user]);
        let asked = Instant::now();
        let slot = self.slot(&key);
        let mut good = slot.lock().await;
        let mut known = cache.known(&key);
        // Somebody else fetched it while we waited.
        if good.is_some_and(|at| at >= asked)
            && cache.has(&known.digest)
            && demand.check(&known, &target.url).is_ok()
        {
            return Ok((known.digest, name));
        }
        if target.url.scheme() == "file" {
            let digest = self.local(&target, &demand, &key, cache, limit).await?;
            return Ok((digest, name));
        }
        let permit = self.at_once.acquire().await;
        if demand == Demand::Jfrog {
            demand = self.metadata(&target).await?;
        }
        let fresh = cache.has(&known.digest) && demand.check(&known, &target.url).is_ok();
        if fresh && demand != Demand::Nothing {
            *good = Some(Instant::now());
            return Ok((known.digest, name));
        }
        let partial = cache.partial(&key);
        let validators = fresh.then_some(&known);
        let got = self.download(&target, &partial, validators, limit).await;
        drop(permit);
        match got? {
            Got::Unchanged => {}
            Got::File(validators) => {
                known = digests(&partial)
                    .await
                    .map_err(|source| file(&name, &partial, source))?;
                known.etag = validators.etag;
                known.last_modified = validators.last_modified;
                if let Err(error) = demand.check(&known, &target.url) {
                    // It must not be resumed.
                    drop(fs::remove_file(&partial));
                    return Err(error);
                }
                cache
                    .insert(&known.digest, &partial)
                    .map_err(|source| file(&name, &partial, source))?;
                cache.remember(&key, &known);
            }
        }
        *good = Some(Instant::now());
        Ok((known.digest, name))
    }

    fn slot(&self, key: &str) -> Arc<tokio::sync::Mutex<Option<Instant>>> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() > 1024 {
            slots.retain(|_, slot| Arc::strong_count(slot) > 1);
        }
        slots.entry(key.to_owned()).or_default().clone()
    }

    /// A file of this host is copied, so that it cannot change under a running preparation.
    async fn local(
        &self,
        target: &Target,
        demand: &Demand,
        key: &str,
        cache: &Cache,
        limit: u64,
    ) -> Result<String, PackageError> {
        let path = target
            .url
            .to_file_path()
            .map_err(|()| target.failed("must be file:///absolute/path"))?;
        let partial = cache.partial(key);
        let (name, copy) = (target.name(), partial.clone());
        let work = move || -> io::Result<u64> {
            let source = File::open(&path)?;
            if !source.metadata()?.is_file() {
                return Err(io::Error::other("is not a file"));
            }
            let mut sink = File::create(&copy)?;
            io::copy(&mut source.take(limit.saturating_add(1)), &mut sink)
        };
        let copied = tokio::task::spawn_blocking(work)
            .await
            .map_err(io::Error::other);
        let bytes = match copied {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(error)) | Err(error) => return Err(target.failed(error.to_string())),
        };
        if bytes > limit {
            drop(fs::remove_file(&partial));
            return Err(target.failed(format!("larger than {limit} bytes")));
        }
        let known = digests(&partial)
            .await
            .map_err(|source| file(&name, &partial, source))?;
        demand.check(&known, &target.url)?;
        match cache.has(&known.digest) {
            true => drop(fs::remove_file(&partial)),
            false => cache
                .insert(&known.digest, &partial)
                .map_err(|source| file(&name, &partial, source))?,
        }
        Ok(known.digest)
    }

    /// Asks a JFrog-like repository for the checksums of its file.
    async fn metadata(&self, target: &Target) -> Result<Demand, PackageError> {
        let mut url = target.url.clone();
        let path = url.path().to_owned();
        let path = match path.strip_prefix("/artifactory/") {
            Some(rest) => format!("/artifactory/api/storage/{rest}"),
            None => format!("/api/storage{path}"),
        };
        url.set_path(&path);
        let shown = url.to_string();
        let (user, password) = (&target.user, &target.password);
        let text = self.content(&shown, user, password, 1 << 20).await?;
        let value: serde_json::Value = serde_json::from_slice(&text)
            .map_err(|error| target.failed(format!("metadata {shown} is not JSON: {error}")))?;
        let sum = |name: &str| {
            let text = value.get("checksums")?.get(name)?.as_str()?;
            Some(text.to_ascii_lowercase()).filter(|text| !text.is_empty())
        };
        match (sum("sha256"), sum("md5")) {
            (Some(sum), _) => Ok(Demand::Sha256(sum)),
            (None, Some(sum)) => Ok(Demand::Md5(sum)),
            (None, None) => Err(target.failed(format!("metadata {shown} has no checksums"))),
        }
    }

    /// Gets a small file into memory.
    ///
    /// # Errors
    /// See [`PackageError`].
    pub async fn content(
        &self,
        url: &str,
        user: &str,
        password: &str,
        limit: u64,
    ) -> Result<Vec<u8>, PackageError> {
        let target = Target::new(url, user, password)?;
        if target.url.scheme() == "file" {
            return Err(target.failed("only http and https are possible here"));
        }
        let mut backoff = backoff();
        loop {
            let mut content = Vec::new();
            let attempt = async {
                let mut answer = self.ask(&target, &HeaderMap::new()).await?;
                status(&answer)?;
                while let Some(chunk) = self.chunk(&mut answer).await? {
                    content.extend_from_slice(&chunk);
                    if content.len() as u64 > limit {
                        return Err(fatal(format!("larger than {limit} bytes")));
                    }
                }
                Ok(())
            };
            match attempt.await {
                Ok(()) => return Ok(content),
                Err(attempt) => self.rest(&mut backoff, attempt, &target).await?,
            }
        }
    }

    /// Waits before another attempt, or gives up.
    async fn rest(
        &self,
        backoff: &mut Backoff,
        attempt: Attempt,
        target: &Target,
    ) -> Result<(), PackageError> {
        let delay = backoff.next_delay();
        if !attempt.again || backoff.attempt() >= self.attempts {
            let count = backoff.attempt();
            let reason = match count {
                1 => attempt.reason,
                _ => format!("{} (after {count} attempts)", attempt.reason),
            };
            return Err(target.failed(reason));
        }
        tracing::info!(url = %target.url, reason = attempt.reason, "download broken off; trying again");
        tokio::time::sleep(delay).await;
        Ok(())
    }

    async fn download(
        &self,
        target: &Target,
        partial: &Path,
        known: Option<&Known>,
        limit: u64,
    ) -> Result<Got, PackageError> {
        let mut backoff = backoff();
        let mut before = 0;
        loop {
            match self.attempt(target, partial, known, limit).await {
                Ok(got) => return Ok(got),
                Err(attempt) => {
                    let size = fs::metadata(partial).map_or(0, |data| data.len());
                    if size > before {
                        // Progress was made: a flaky line is no reason to give up.
                        backoff.reset();
                        before = size;
                    }
                    self.rest(&mut backoff, attempt, target).await?;
                }
            }
        }
    }

    async fn attempt(
        &self,
        target: &Target,
        partial: &Path,
        known: Option<&Known>,
        limit: u64,
    ) -> Result<Got, Attempt> {
        let disk = |error: io::Error| fatal(format!("{}: {error}", partial.display()));
        let validator = partial.with_extension("validator");
        let have = fs::metadata(partial).map_or(0, |data| data.len());
        let resume = fs::read_to_string(&validator).ok().filter(|_| have > 0);
        let mut headers = HeaderMap::new();
        let mut set = |name, value: &str| {
            if let Ok(value) = value.parse() {
                headers.insert(name, value);
            }
        };
        match (&resume, known) {
            (Some(validator), _) => {
                set(header::RANGE, &format!("bytes={have}-"));
                set(header::IF_RANGE, validator);
            }
            (
                None,
                Some(Known {
                    etag: Some(etag), ..
                }),
            ) => set(header::IF_NONE_MATCH, etag),
            (
                None,
                Some(Known {
                    last_modified: Some(date),
                    ..
                }),
            ) => {
                set(header::IF_MODIFIED_SINCE, date);
            }
            (None, _) => {}
        }
        let mut answer = self.ask(target, &headers).await?;
        if answer.status() == StatusCode::NOT_MODIFIED && resume.is_none() && known.is_some() {
            return Ok(Got::Unchanged);
        }
        if answer.status() == StatusCode::RANGE_NOT_SATISFIABLE {
            // What we have is not the beginning of what is there.
            drop(fs::remove_file(partial));
            drop(fs::remove_file(&validator));
            return Err(transient("the server refuses to resume; starting over"));
        }
        status(&answer)?;
        let text = |name| answer.headers().get(name)?.to_str().ok().map(str::to_owned);
        let found = Known {
            etag: text(header::ETAG),
            last_modified: text(header::LAST_MODIFIED),
            ..Known::default()
        };
        let start = match answer.status() == StatusCode::PARTIAL_CONTENT {
            true if range_start(answer.headers()) == Some(have) => have,
            true => {
                drop(fs::remove_file(partial));
                return Err(transient("the server sent another range than asked for"));
            }
            false => 0,
        };
        let total = answer.content_length().map(|length| length + start);
        if total.is_some_and(|total| total > limit) {
            return Err(fatal(format!("larger than {limit} bytes")));
        }
        // A weak validator does not promise the same bytes.
        let strong = found.etag.clone().filter(|etag| !etag.starts_with("W/"));
        match strong.or(found.last_modified.clone()) {
            Some(text) => fs::write(&validator, text).map_err(disk)?,
            None => drop(fs::remove_file(&validator)),
        }
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(partial)
            .map_err(disk)?;
        file.set_len(start).map_err(disk)?;
        let mut size = start;
        while let Some(chunk) = self.chunk(&mut answer).await? {
            size += chunk.len() as u64;
            if size > limit {
                drop(fs::remove_file(partial));
                return Err(fatal(format!("larger than {limit} bytes")));
            }
            file.write_all(&chunk).map_err(disk)?;
            self.metrics.downloaded.inc_by(chunk.len() as u64);
        }
        if total.is_some_and(|total| total != size) {
            let total = total.unwrap_or_default();
            return Err(transient(format!("cut off after {size} of {total} bytes")));
        }
        drop(fs::remove_file(&validator));
        Ok(Got::File(found))
    }

    /// The next piece; the only time limit is that something must come.
    async fn chunk(&self, answer: &mut reqwest::Response) -> Result<Option<bytes::Bytes>, Attempt> {
        match timeout(self.stall, answer.chunk()).await {
            Ok(Ok(chunk)) => Ok(chunk),
            Ok(Err(error)) => Err(transient(format!("broken off: {}", chain(&error)))),
            Err(_) => {
                let seconds = self.stall.as_secs_f64();
                Err(transient(format!("nothing came for {seconds} s")))
            }
        }
    }

    /// Asks, and follows a bounded number of redirects; credentials stay with their host.
    async fn ask(
        &self,
        target: &Target,
        headers: &HeaderMap,
    ) -> Result<reqwest::Response, Attempt> {
        let mut url = target.url.clone();
        for _ in 0..=self.redirects {
            let mut request = self.client.get(url.clone()).headers(headers.clone());
            let same = url.host() == target.url.host()
                && url.port_or_known_default() == target.url.port_or_known_default();
            if same && !target.user.is_empty() {
                request = request.basic_auth(&target.user, Some(&target.password));
            }
            let answer = match timeout(self.stall, request.send()).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(error)) => return Err(transient(format!("{url}: {}", chain(&error)))),
                Err(_) => {
                    let seconds = self.stall.as_secs_f64();
                    return Err(transient(format!("{url}: no answer for {seconds} s")));
                }
            };
            if !answer.status().is_redirection() || answer.status() == StatusCode::NOT_MODIFIED {
                return Ok(answer);
            }
            let place = answer.headers().get(header::LOCATION);
            let next = place.and_then(|place| url.join(place.to_str().ok()?).ok());
            let Some(next) = next else {
                return Err(fatal(format!(
                    "{url} redirects to nowhere ({})",
                    answer.status()
                )));
            };
            if !matches!(next.scheme(), "http" | "https")
                || (url.scheme() == "https" && next.scheme() == "http")
            {
                return Err(fatal(format!(
                    "{url} redirects to {next}, which is not allowed"
                )));
            }
            url = next;
        }
        Err(fatal(format!("more than {} redirects", self.redirects)))
    }
}

fn backoff() -> Backoff {
    Backoff::new(Duration::from_millis(200), Duration::from_secs(10))
}

fn status(answer: &reqwest::Response) -> Result<(), Attempt> {
    let status = answer.status();
    match status.as_u16() {
        200 | 206 => Ok(()),
        408 | 425 | 429 | 500..=599 => Err(transient(format!("the server answers {status}"))),
        _ => Err(fatal(format!("the server answers {status}"))),
    }
}

fn range_start(headers: &HeaderMap) -> Option<u64> {
    let text = headers.get(header::CONTENT_RANGE)?.to_str().ok()?;
    let (start, _) = text.strip_prefix("bytes ")?.split_once('-')?;
    start.parse().ok()
}

fn hash(parts: &[&str]) -> String {
    let mut digest = sha2::Sha256::new();
    for part in parts {
        digest.update(part.as_bytes());
        digest.update([0]);
    }
    hex::encode(digest.finalize())
}

fn file(name: &str, path: &Path, source: io::Error) -> PackageError {
    PackageError::File {
        name: name.to_owned(),
        path: path.to_owned(),
        source,
    }
}

/// Both checksums of a file.
async fn digests(path: &Path) -> io::Result<Known> {
    let path: PathBuf = path.to_owned();
    let work = move || -> io::Result<Known> {
        let mut file = File::open(path)?;
        let (mut sha, mut md5) = (sha2::Sha256::new(), md5::Md5::new());
        let mut buffer = vec![0; 256 << 10];
        loop {
            let count = file.read(&mut buffer)?;
            let part = buffer.get(..count).unwrap_or_default();
            if part.is_empty() {
                break;
            }
            sha.update(part);
            md5.update(part);
        }
        Ok(Known {
            digest: hex::encode(sha.finalize()),
            md5: hex::encode(md5.finalize()),
            ..Known::default()
        })
    };
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)?
}
