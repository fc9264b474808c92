//! Packages against a server that misbehaves, and archives that try to get out.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, StatusCode, Uri as Address, header};
use sha2::Digest as _;

use super::place::place;
use super::*;

struct Server {
    base: String,
    count: Arc<AtomicUsize>,
    _stop: tokio_util::sync::DropGuard,
}

fn content() -> Vec<u8> {
    (0..100_000_u32).flat_map(u32::to_le_bytes).collect()
}

fn sha(bytes: &[u8]) -> String {
    hex::encode(sha2::Sha256::digest(bytes))
}

async fn answer(
    State(count): State<Arc<AtomicUsize>>,
    uri: Address,
    headers: HeaderMap,
) -> Response {
    let turn = count.fetch_add(1, Ordering::SeqCst);
    let all = content();
    let range = headers
        .get(header::RANGE)
        .and_then(|value| value.to_str().ok());
    let start = range.and_then(|text| {
        text.strip_prefix("bytes=")?
            .strip_suffix('-')?
            .parse::<usize>()
            .ok()
    });
    let piece = |bytes: Vec<u8>, claimed: usize, hang: bool| {
        let first = futures_util::stream::iter([Ok::<_, io::Error>(bytes::Bytes::from(bytes))]);
        let body = match hang {
            true => Body::from_stream(futures_util::StreamExt::chain(
                first,
                futures_util::stream::pending(),
            )),
            false => Body::from_stream(futures_util::StreamExt::chain(
                first,
                // Later, so that what came before has left this host.
                futures_util::stream::once(async {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    Err(io::Error::other("cut"))
                }),
            )),
        };
        Response::builder()
            .header(header::CONTENT_LENGTH, claimed)
            .header(header::ETAG, "\"v1\"")
            .body(body)
            .unwrap()
    };
    match uri.path() {
        "/good" | "/slow.bin" => ([(header::ETAG, "\"v1\"")], all).into_response(),
        "/conditional" => match headers.get(header::IF_NONE_MATCH) {
            Some(_) => StatusCode::NOT_MODIFIED.into_response(),
            None => ([(header::ETAG, "\"v1\"")], all).into_response(),
        },
        "/flaky" => match start {
            Some(start) if headers.contains_key(header::IF_RANGE) => {
                let end = (start + 150_000).min(all.len());
                if end == all.len() {
                    let range = format!("bytes {start}-{}/{}", all.len() - 1, all.len());
                    let headers = [
                        (header::CONTENT_RANGE, range),
                        (header::ETAG, "\"v1\"".into()),
                    ];
                    return (StatusCode::PARTIAL_CONTENT, headers, all[start..].to_vec())
                        .into_response();
                }
                let mut response = piece(all[start..end].to_vec(), all.len() - start, false);
                *response.status_mut() = StatusCode::PARTIAL_CONTENT;
                let range = format!("bytes {start}-{}/{}", all.len() - 1, all.len());
                response
                    .headers_mut()
                    .insert(header::CONTENT_RANGE, range.parse().unwrap());
                response
            }
            _ => piece(all[..150_000].to_vec(), all.len(), false),
        },
        "/hangs" => piece(all[..10_000].to_vec(), all.len(), true),
        "/cut" => piece(Vec::new(), all.len(), false),
        "/nowhere" => (StatusCode::FOUND, [(header::LOCATION, "/missing")]).into_response(),
        "/noplace" => StatusCode::FOUND.into_response(),
        "/loop" => (StatusCode::FOUND, [(header::LOCATION, "/loop")]).into_response(),
        "/tofile" => (
            StatusCode::FOUND,
            [(header::LOCATION, "file:///etc/passwd")],
        )
            .into_response(),
        "/moved" => (StatusCode::FOUND, [(header::LOCATION, "/secret")]).into_response(),
        "/secret" => match headers
            .get(header::AUTHORIZATION)
            .map(|value| value.to_str().unwrap())
        {
            Some("Basic cm86cHc=") => all.into_response(),
            _ => StatusCode::UNAUTHORIZED.into_response(),
        },
        "/busy" if turn < 2 => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        "/busy" => all.into_response(),
        "/artifactory/api/storage/repo/app" => axum::Json(serde_json::json!({
            "checksums": {"md5": hex::encode(md5::Md5::digest(&all)), "sha1": "x"}
        }))
        .into_response(),
        "/api/storage/repo/wrong" => {
            axum::Json(serde_json::json!({"checksums": {"sha256": "00".repeat(32)}}))
                .into_response()
        }
        "/artifactory/repo/app" | "/repo/wrong" => all.into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

impl Server {
    async fn start() -> Self {
        let count = Arc::<AtomicUsize>::default();
        let router = Router::new().fallback(answer).with_state(count.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        let listen = bcs_httpd::Listener::Tcp(listener);
        let shutdown = bcs_kit::Shutdown::new();
        let served = bcs_httpd::serve(listen, router, None, bcs_httpd::Limits::default(), shutdown);
        let run = stop.clone().run_until_cancelled_owned(served);
        #[allow(clippy::disallowed_methods, reason = "a test's own server")]
        drop(tokio::spawn(run));
        Self {
            base,
            count,
            _stop: stop.drop_guard(),
        }
    }

    fn uri(&self, path: &str) -> Uri {
        Uri {
            value: format!("{}{path}", self.base),
            ..Uri::default()
        }
    }

    fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }
}

fn open(dir: &Path) -> Packages {
    let settings = Settings {
        data_dir: dir.to_owned(),
        download_attempts: 2,
        download_stall_seconds: 1,
        package_max_bytes: 1 << 20,
        unpacked_max_bytes: 1 << 20,
        package_max_files: 100,
        ..Settings::default()
    };
    Packages::open(&settings, &Metrics::default()).unwrap()
}

async fn fetch(packages: &Packages, uri: &Uri) -> Result<Package, String> {
    packages
        .fetch(uri, &CancellationToken::new())
        .await
        .map_err(|error| error.to_string())
}

#[tokio::test]
async fn one_download_serves_all_who_wait_and_later_ones_ask_only_whether_it_changed() {
    let (dir, server) = (tempfile::tempdir().unwrap(), Server::start().await);
    let packages = open(dir.path());
    let uri = server.uri("/good");
    let waiters = (0..20).map(|_| fetch(&packages, &uri));
    for package in futures_util::future::join_all(waiters).await {
        assert_eq!(package.unwrap().digest, sha(&content()));
    }
    assert_eq!(server.count(), 1);
    let uri = server.uri("/conditional");
    fetch(&packages, &uri).await.unwrap();
    fetch(&packages, &uri).await.unwrap();
    let again = open(dir.path());
    fetch(&again, &uri).await.unwrap();
    assert_eq!(server.count(), 4);
    // With a checksum nobody is asked at all.
    let known = Uri {
        checksum: format!("sha256:{}", sha(&content())),
        ..server.uri("/missing")
    };
    fetch(&again, &known).await.unwrap();
    assert_eq!(server.count(), 4);
}

#[tokio::test]
async fn a_download_that_breaks_off_is_resumed_where_it_was() {
    let (dir, server) = (tempfile::tempdir().unwrap(), Server::start().await);
    let package = fetch(&open(dir.path()), &server.uri("/flaky"))
        .await
        .unwrap();
    assert_eq!(package.digest, sha(&content()));
    assert_eq!(server.count(), 3);
}

#[tokio::test]
async fn servers_that_misbehave_give_clear_errors_in_bounded_time() {
    let (dir, server) = (tempfile::tempdir().unwrap(), Server::start().await);
    let packages = open(dir.path());
    let since = Instant::now();
    for (path, checksum, expected) in [
        ("/hangs", "", "nothing came for 1 s"),
        ("/cut", "", "after 2 attempts"),
        ("/missing", "", "404 Not Found"),
        ("/nowhere", "", "404 Not Found"),
        ("/noplace", "", "redirects to nowhere"),
        ("/loop", "", "more than 5 redirects"),
        ("/tofile", "", "not allowed"),
        ("/secret", "", "401 Unauthorized"),
        (
            "/good",
            "sha256:0000000000000000000000000000000000000000000000000000000000000000",
            "expected 0000",
        ),
        ("/good", "md5:00000000000000000000000000000000", "md5 is"),
        ("/good", "crc:1", "must be sha256:HEX"),
        ("/repo/wrong", "jfrog", "expected 0000"),
    ] {
        let uri = Uri {
            checksum: checksum.to_owned(),
            ..server.uri(path)
        };
        let error = fetch(&packages, &uri)
            .await
            .err()
            .unwrap_or_else(|| panic!("{path}"));
        assert!(error.contains(expected), "{path}: {error}");
    }
    assert!(since.elapsed() < Duration::from_secs(20));
    let refused = Uri {
        value: "http://127.0.0.1:1/x".into(),
        ..Uri::default()
    };
    assert!(
        fetch(&packages, &refused)
            .await
            .err()
            .unwrap()
            .contains("refused")
    );
    for bad in [
        "ftp://h/x",
        "not a url",
        "file:///no/such/file",
        "file:///etc",
    ] {
        let uri = Uri {
            value: bad.to_owned(),
            ..Uri::default()
        };
        assert!(fetch(&packages, &uri).await.is_err(), "{bad}");
    }
    let large = Uri {
        max_bytes: 1000,
        ..server.uri("/good")
    };
    assert!(
        fetch(&packages, &large)
            .await
            .err()
            .unwrap()
            .contains("larger than 1000")
    );
}

#[tokio::test]
async fn credentials_stay_with_their_host_and_out_of_messages() {
    let (dir, server) = (tempfile::tempdir().unwrap(), Server::start().await);
    let packages = open(dir.path());
    let uri = Uri {
        user: "ro".into(),
        pwd: "pw".into(),
        ..server.uri("/moved")
    };
    fetch(&packages, &uri).await.unwrap();
    let inline = server.base.replace("http://", "http://ro:hidden-word@");
    let uri = Uri {
        value: format!("{inline}/secret"),
        ..Uri::default()
    };
    let error = fetch(&packages, &uri).await.err().unwrap();
    assert!(!error.contains("hidden-word"), "{error}");
    let uri = Uri {
        value: format!("{inline}/x y:z"),
        checksum: "bad".into(),
        ..Uri::default()
    };
    let error = fetch(&packages, &uri).await.err().unwrap();
    assert!(!error.contains("hidden-word"), "{error}");
}

#[tokio::test]
async fn busy_servers_are_asked_again_and_repositories_for_their_checksum() {
    let (dir, server) = (tempfile::tempdir().unwrap(), Server::start().await);
    let settings = Settings {
        data_dir: dir.path().into(),
        ..Settings::default()
    };
    let packages = Packages::open(&settings, &Metrics::default()).unwrap();
    fetch(&packages, &server.uri("/busy")).await.unwrap();
    let before = server.count();
    let uri = server.uri("/artifactory/repo/app");
    fetch(&packages, &uri).await.unwrap();
    assert_eq!(server.count(), before + 2);
    fetch(&packages, &uri).await.unwrap();
    assert_eq!(
        server.count(),
        before + 3,
        "the checksum is asked for, the file is not"
    );
}

#[tokio::test]
async fn a_cancelled_fetch_ends_at_once_and_leaves_the_way_free() {
    let (dir, server) = (tempfile::tempdir().unwrap(), Server::start().await);
    let settings = Settings {
        data_dir: dir.path().into(),
        ..Settings::default()
    };
    let packages = Packages::open(&settings, &Metrics::default()).unwrap();
    let cancel = CancellationToken::new();
    let uri = server.uri("/hangs");
    let work = packages.fetch(&uri, &cancel);
    let stop = async {
        while server.count() == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        cancel.cancel();
    };
    let (result, ()) = tokio::join!(work, stop);
    assert!(matches!(result, Err(PackageError::Cancelled)));
    fetch(&packages, &server.uri("/good")).await.unwrap();
}

// === archives ===

enum Item<'a> {
    File(&'a str, &'a [u8], u32),
    Dir(&'a str),
    Link(&'a str, &'a str),
    Hard(&'a str, &'a str),
    Device(&'a str),
}

fn tar_of(items: &[Item<'_>]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for item in items {
        let mut header = tar::Header::new_gnu();
        let (name, kind, link, content, mode): (_, _, _, &[u8], _) = match item {
            Item::File(name, content, mode) => (name, tar::EntryType::Regular, "", content, *mode),
            Item::Dir(name) => (name, tar::EntryType::Directory, "", b"".as_slice(), 0o755),
            Item::Link(name, to) => (name, tar::EntryType::Symlink, *to, b"".as_slice(), 0o777),
            Item::Hard(name, to) => (name, tar::EntryType::Link, *to, b"".as_slice(), 0o644),
            Item::Device(name) => (name, tar::EntryType::Char, "", b"".as_slice(), 0o666),
        };
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(content.len() as u64);
        // Written raw: the library's own setters refuse what a hostile archive would hold.
        let bytes = header.as_mut_bytes();
        bytes[..name.len()].copy_from_slice(name.as_bytes());
        bytes[157..157 + link.len()].copy_from_slice(link.as_bytes());
        header.set_cksum();
        builder.append(&header, content).unwrap();
    }
    builder.into_inner().unwrap()
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

async fn local(packages: &Packages, dir: &Path, name: &str, bytes: &[u8]) -> Package {
    let file = dir.join(name);
    fs::write(&file, bytes).unwrap();
    let uri = Uri {
        value: format!("file://{}", file.display()),
        ..Uri::default()
    };
    fetch(packages, &uri).await.unwrap()
}

fn put(package: &Package, target: &Path) -> Result<(), String> {
    fs::create_dir_all(target).unwrap();
    let own = nix::unistd::geteuid().as_raw();
    let group = nix::unistd::getegid().as_raw();
    place(
        std::slice::from_ref(package),
        target,
        own,
        group,
        &CancellationToken::new(),
    )
    .map_err(|error| error.to_string())
}

#[tokio::test]
async fn every_format_is_unpacked_with_modes_and_links() {
    let dir = tempfile::tempdir().unwrap();
    let packages = open(&dir.path().join("data"));
    let tar = tar_of(&[
        Item::Dir("app/"),
        Item::File("app/run", b"#!/bin/sh\n", 0o4775),
        Item::File("./app/conf/main", b"x=1\n", 0o666),
        Item::Link("app/current", "conf/main"),
        Item::Link("app/conf/up", "../run"),
        Item::Hard("app/same", "app/run"),
    ]);
    let mut zip = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    zip.start_file("app/run", options.unix_permissions(0o775))
        .unwrap();
    zip.write_all(b"#!/bin/sh\n").unwrap();
    zip.start_file("app/conf/main", options.unix_permissions(0o644))
        .unwrap();
    zip.write_all(b"x=1\n").unwrap();
    let zip = zip.finish().unwrap().into_inner();
    let zst = zstd::encode_all(tar.as_slice(), 1).unwrap();
    for (name, bytes) in [
        ("a.tar", tar.clone()),
        ("a.tar.gz", gz(&tar)),
        ("a.tgz", gz(&tar)),
        ("a.tar.zst", zst),
        ("noname", gz(&tar)),
        ("a.zip", zip),
    ] {
        let package = local(&packages, dir.path(), name, &bytes).await;
        let target = dir.path().join("out").join(name);
        put(&package, &target).unwrap();
        let run = fs::metadata(target.join("app/run")).unwrap();
        assert_eq!(
            run.permissions().mode() & 0o7777,
            0o775,
            "{name}: no set-id"
        );
        assert_eq!(fs::read(target.join("app/conf/main")).unwrap(), b"x=1\n");
        let mode = fs::metadata(target.join("app/conf/main"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o002, 0, "{name}: not writable for all");
        if name != "a.zip" {
            assert_eq!(fs::read(target.join("app/current")).unwrap(), b"x=1\n");
            assert_eq!(
                fs::read(target.join("app/conf/up")).unwrap(),
                b"#!/bin/sh\n"
            );
            assert_eq!(fs::read(target.join("app/same")).unwrap(), b"#!/bin/sh\n");
        }
    }
    let plain = local(
        &packages,
        dir.path(),
        "tool.jar",
        b"PK\x03\x04 not unpacked",
    )
    .await;
    let target = dir.path().join("plain");
    put(&plain, &target).unwrap();
    let tool = fs::metadata(target.join("tool.jar")).unwrap();
    assert_eq!(tool.permissions().mode() & 0o777, 0o755);
}

#[tokio::test]
async fn nothing_gets_out_of_a_package() {
    let dir = tempfile::tempdir().unwrap();
    let packages = open(&dir.path().join("data"));
    let many: Vec<String> = (0..200).map(|number| format!("f{number}")).collect();
    let many: Vec<Item<'_>> = many
        .iter()
        .map(|name| Item::File(name, b"", 0o644))
        .collect();
    let large = vec![0; 2 << 20];
    let attempts: [(&str, Vec<Item<'_>>, &str); 13] = [
        ("dots", vec![Item::File("../evil", b"x", 0o644)], "lead out"),
        (
            "inner",
            vec![Item::File("a/../../evil", b"x", 0o644)],
            "lead out",
        ),
        (
            "absolute",
            vec![Item::File("/tmp/evil", b"x", 0o644)],
            "lead out",
        ),
        ("link", vec![Item::Link("l", "/etc")], "points out"),
        ("climb", vec![Item::Link("l", "../etc")], "points out"),
        (
            "late",
            vec![Item::Link("a/l", "b/../../../etc")],
            "points out",
        ),
        (
            "through",
            vec![
                Item::Dir("d/"),
                Item::Link("l", "d"),
                Item::File("l/evil", b"x", 0o644),
            ],
            "through a link",
        ),
        ("hard", vec![Item::Hard("h", "/etc/passwd")], "points out"),
        (
            "hardlink",
            vec![Item::Link("l", "x"), Item::Hard("h", "l")],
            "unpacked file",
        ),
        ("hardup", vec![Item::Hard("h", "../../x")], "points out"),
        ("device", vec![Item::Device("null")], "only files"),
        ("many", many, "more than 100 entries"),
        (
            "large",
            vec![Item::File("big", &large, 0o644)],
            "more than 1048576 bytes",
        ),
    ];
    for (name, items, expected) in attempts {
        // Compressed, so that the package itself is within its own bound.
        let bytes = gz(&tar_of(&items));
        let package = local(&packages, dir.path(), &format!("{name}.tar.gz"), &bytes).await;
        let target = dir.path().join("out").join(name);
        let error = put(&package, &target).unwrap_err();
        assert!(error.contains(expected), "{name}: {error}");
        assert_eq!(fs::read_dir(&target).unwrap().count(), 0, "{name}");
    }
    let mut zip = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
    zip.start_file("../evil", zip::write::SimpleFileOptions::default())
        .unwrap();
    zip.write_all(b"x").unwrap();
    let bytes = zip.finish().unwrap().into_inner();
    let package = local(&packages, dir.path(), "evil.zip", &bytes).await;
    assert!(
        put(&package, &dir.path().join("zip"))
            .unwrap_err()
            .contains("lead out")
    );
    for (name, bytes) in [
        ("cut.tar.gz", {
            let mut bytes = gz(&tar_of(&[Item::File("a", &[7; 9000], 0o644)]));
            bytes.truncate(bytes.len() - 12);
            bytes
        }),
        ("garbage.zip", b"garbage".to_vec()),
        ("garbage.tar.zst", b"garbage".to_vec()),
    ] {
        let package = local(&packages, dir.path(), name, &bytes).await;
        let error = put(&package, &dir.path().join("bad")).unwrap_err();
        assert!(error.contains("damaged or cut off"), "{name}: {error}");
    }
}

#[tokio::test]
async fn instances_have_their_own_copies_and_restarts_keep_what_they_changed() {
    let dir = tempfile::tempdir().unwrap();
    let packages = open(&dir.path().join("data"));
    let one = tar_of(&[
        Item::File("conf", b"one\n", 0o644),
        Item::File("old", b"", 0o644),
    ]);
    let two = tar_of(&[Item::File("conf", b"two\n", 0o644)]);
    let one = local(&packages, dir.path(), "one.tar", &one).await;
    let two = local(&packages, dir.path(), "two.tar", &two).await;
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    put(&one, &a).unwrap();
    put(&one, &b).unwrap();
    fs::write(a.join("conf"), "changed\n").unwrap();
    assert_eq!(fs::read(b.join("conf")).unwrap(), b"one\n");
    put(&one, &a).unwrap();
    assert_eq!(
        fs::read(a.join("conf")).unwrap(),
        b"changed\n",
        "the same package: left alone"
    );
    let held = fs::File::open(a.join("conf")).unwrap();
    put(&two, &a).unwrap();
    assert_eq!(fs::read(a.join("conf")).unwrap(), b"two\n");
    let mut text = String::new();
    io::Read::read_to_string(&mut &held, &mut text).unwrap();
    assert_eq!(text, "changed\n", "who has it open keeps it");
    put(&one, &a).unwrap();
    assert_eq!(
        fs::read(a.join("conf")).unwrap(),
        b"one\n",
        "back to the former package"
    );
    // A link where a directory is expected is replaced, not followed.
    let outside = dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    let c = dir.path().join("c");
    fs::create_dir(&c).unwrap();
    std::os::unix::fs::symlink(&outside, c.join("sub")).unwrap();
    let sub = tar_of(&[Item::File("sub/file", b"x", 0o644)]);
    let sub = local(&packages, dir.path(), "sub.tar", &sub).await;
    put(&sub, &c).unwrap();
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    assert!(c.join("sub/file").is_file());
}
