//! Packages from a server that hangs, breaks off, points nowhere or serves something else, and
//! archives that try to leave their folder: the taskgroup says what is wrong, nothing of it is
//! started, and when the server behaves again the program runs. Six instances fetch once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code: a broken host should fail loudly"
)]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use bcs_e2e::objects::{package, process, with};
use bcs_e2e::{
    Behaviour, Mode, PackageServer, System, alive, base64, free_port, in_both_layouts, pid_of,
    script, wait, words_of,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

in_both_layouts!(six_instances_fetch_once_and_every_format_is_unpacked);

/// What a good package holds: a program that runs, and a mark that tells which package it was.
fn content(folder: &Path, mark: &str) -> PathBuf {
    let content = folder.join(format!("content-{mark}"));
    std::fs::create_dir_all(content.join("bin")).unwrap();
    script(&content.join("bin"), "run.sh", "exec /bin/sleep 100109");
    std::fs::write(content.join("mark"), mark).unwrap();
    content
}

fn tar_gz(folder: &Path, mark: &str) -> Vec<u8> {
    let archive = folder.join(format!("{mark}.tar.gz"));
    package(&content(folder, mark), &archive);
    std::fs::read(archive).unwrap()
}

fn sha256(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

fn packaged(name: &str, instances: u32, uri: &Value) -> Value {
    let mut uri = uri.clone();
    uri["OutputDir"] = json!(format!("${{work_base_dir}}/{name}-${{instanceid}}/pkg"));
    let object = process(name, instances, "sleep", "${workPath}/pkg/bin/run.sh", &[]);
    with(object, "uris", json!([uri]))
}

/// The file `mark` of the package that a running program came from.
fn mark(taskgroup: &Value) -> String {
    let pid = pid_of(taskgroup).unwrap();
    let place = std::fs::read_link(format!("/proc/{pid}/cwd")).unwrap();
    std::fs::read_to_string(place.join("pkg/mark")).unwrap()
}

fn six_instances_fetch_once_and_every_format_is_unpacked(system: System) {
    let server = PackageServer::start();
    let folder = system.folder();
    let gz = tar_gz(folder, "gz");
    let tool = |program: &str, words: &[&str], place: &Path| {
        let status = Command::new(program)
            .args(words)
            .current_dir(place)
            .status();
        assert!(status.unwrap().success(), "{program} {words:?}");
    };
    let zst_file = folder.join("zst.tar.zst");
    tool(
        "tar",
        &["--zstd", "-cf", zst_file.to_str().unwrap(), "."],
        &content(folder, "zst"),
    );
    let zip_file = folder.join("zip.zip");
    tool(
        "zip",
        &["-qr", zip_file.to_str().unwrap(), "."],
        &content(folder, "zip"),
    );
    let (zst, zip) = (
        std::fs::read(&zst_file).unwrap(),
        std::fs::read(&zip_file).unwrap(),
    );

    let six = server.put("/six.tar.gz", Behaviour::Good(gz.clone()));
    system.apply(&packaged(
        "six",
        6,
        &json!({"Value": six, "Checksum": sha256(&gz)}),
    ));
    let running = system.running("test", "six", 6);
    assert!(running.iter().all(|group| mark(group) == "gz"));
    assert_eq!(server.requests("/six.tar.gz"), 1, "one fetch for six");

    let zst_uri = server.put("/p.tar.zst", Behaviour::Good(zst.clone()));
    let zip_uri = server.put("/p.zip", Behaviour::Good(zip));
    let login = format!("Basic {}", base64("robot:let-me-in"));
    let login: &'static str = Box::leak(login.into_boxed_str());
    let private = server.put(
        "/private.tar.gz",
        Behaviour::Private(tar_gz(folder, "private"), login),
    );
    let broken = server.put(
        "/broken-once.tar.gz",
        Behaviour::BreakOnce(tar_gz(folder, "once")),
    );
    let moved = server.put("/moved.tar.gz", Behaviour::Redirect(six.clone()));
    let file = format!("file://{}", folder.join("gz.tar.gz").display());
    let cases = [
        (
            "zst",
            json!({"Value": zst_uri, "Checksum": sha256(&zst)}),
            "zst",
        ),
        ("zip", json!({"Value": zip_uri}), "zip"),
        (
            "private",
            json!({"Value": private, "User": "robot", "Pwd": "let-me-in"}),
            "private",
        ),
        ("resumed", json!({"Value": broken}), "once"),
        ("moved", json!({"Value": moved}), "gz"),
        (
            "local",
            json!({"Value": file, "Checksum": sha256(&gz)}),
            "gz",
        ),
    ];
    for (name, uri, _) in &cases {
        system.apply(&packaged(name, 1, uri));
    }
    for (name, _, wanted) in &cases {
        assert_eq!(mark(&system.running("test", name, 1)[0]), *wanted, "{name}");
    }
    for part in system.parts() {
        assert!(
            !system.log(part).contains("let-me-in"),
            "{part} logs a password"
        );
    }
    let shown = system
        .bcs(&["get", "taskgroup", "-A", "-o", "json"])
        .ok()
        .out;
    assert!(!shown.contains("let-me-in"), "{shown}");
    // A cached package is used again, without asking more than whether it is the same.
    system
        .bcs(&["scale", "process", "six", "-n", "test", "--instances", "8"])
        .ok();
    system.running("test", "six", 8);
    assert_eq!(
        server.requests("/six.tar.gz"),
        2,
        "the moved one and nobody else fetched it again"
    );
}

/// Downloads that give up soon, so that the tests need not wait for the defaults.
fn impatient() -> System {
    let mut system = System::start(Mode::Roles);
    system.configure(
        "process-executor",
        "download_stall_seconds = 1\ndownload_attempts = 2",
    );
    system
}

#[test]
fn a_server_that_misbehaves_is_told_apart() {
    let system = impatient();
    let server = PackageServer::start();
    let good = tar_gz(system.folder(), "good");
    let other = tar_gz(system.folder(), "other");
    let nowhere = free_port();
    let sum = sha256(&good);
    let put = |name: &str, behaviour: Behaviour| server.put(&format!("/{name}.tar.gz"), behaviour);
    let (short, elsewhere) = (&sum[7..23], format!("http://127.0.0.1:{nowhere}/x.tar.gz"));
    // Which package, what the server does, and a word of each list that must be said.
    let cases: Vec<(&str, Behaviour, Vec<&[&str]>)> = vec![
        (
            "silent",
            Behaviour::Silent,
            vec![&["stall", "time", "progress", "nothing came", "no answer"]],
        ),
        (
            "hangs",
            Behaviour::Hang(good.clone()),
            vec![&["stall", "time", "progress", "nothing came", "no answer"]],
        ),
        (
            "truncates",
            Behaviour::Truncate(good.clone()),
            vec![&[
                "incomplete",
                "truncated",
                "ended",
                "end of file",
                "broke",
                "bytes",
                "closed",
            ]],
        ),
        (
            "points-nowhere",
            Behaviour::Redirect(elsewhere),
            vec![&["refused", "connect"]],
        ),
        (
            "points-at-itself",
            Behaviour::Redirect("/points-at-itself.tar.gz".to_owned()),
            vec![&["redirect"]],
        ),
        (
            "points-at-files",
            Behaviour::Redirect("file:///etc/passwd".to_owned()),
            vec![&["redirect", "scheme", "file:"]],
        ),
        (
            "wrong",
            Behaviour::Good(other.clone()),
            vec![&["checksum", "sha256"], std::slice::from_ref(&short)],
        ),
        ("missing", Behaviour::Status(404), vec![&["404"]]),
        ("ill", Behaviour::Status(503), vec![&["503"]]),
        (
            "locked",
            Behaviour::Private(good.clone(), "Basic nobody"),
            vec![&["401"]],
        ),
    ];
    for (name, behaviour, _) in &cases {
        let uri = json!({"Value": put(name, behaviour.clone()), "Checksum": sum});
        let mut object = packaged(name, 1, &uri);
        object["restartPolicy"] = json!({"policy": "Never"});
        system.apply(&object);
    }
    let mut no_archive = packaged(
        "no-archive",
        1,
        &json!({"Value": put("no-archive", Behaviour::Good(b"<html>hello</html>".to_vec()))}),
    );
    no_archive["restartPolicy"] = json!({"policy": "Never"});
    system.apply(&no_archive);
    let says = |name: &str, parts: &[&[&str]]| {
        let ended = system.taskgroup_where(name, "failed", Duration::from_secs(90), |group| {
            group["status"] == "Failed"
        });
        let words = words_of(&ended).to_lowercase();
        assert!(
            words.contains(&format!("{name}.tar.gz")),
            "{name} does not name the package: {words}"
        );
        for any in parts {
            assert!(
                any.iter().any(|part| words.contains(part)),
                "{name} says none of {any:?}: {words}"
            );
        }
        assert_eq!(pid_of(&ended), None, "nothing was started: {ended:#}");
        // People see it without asking for JSON.
        let described = system
            .bcs(&[
                "describe",
                "taskgroup",
                ended["metadata"]["name"].as_str().unwrap(),
                "-n",
                "test",
            ])
            .ok();
        assert!(
            described.out.contains(&format!("{name}.tar.gz")),
            "{described:?}"
        );
    };
    for (name, _, parts) in &cases {
        says(name, parts);
    }
    says("no-archive", &[&["archive", "gzip", "unpack", "tar"]]);
    let sent = server.requests("/wrong.tar.gz");
    assert!(
        sent <= 2,
        "a wrong checksum is not asked for over and over: {sent}"
    );

    // When the server behaves again, so does the program.
    for name in ["hangs", "wrong", "missing"] {
        let uri = json!({"Value": put(name, Behaviour::Good(good.clone())), "Checksum": sum});
        let mut object = packaged(&format!("again-{name}"), 1, &uri);
        object["restartPolicy"] = json!({"policy": "OnFailure", "interval": 1});
        system.apply(&object);
        assert_eq!(
            mark(&system.running("test", &format!("again-{name}"), 1)[0]),
            "good"
        );
    }
    // Another content, because a cached one with that checksum would need no server.
    let late = tar_gz(system.folder(), "late");
    let flaky = put("flaky", Behaviour::Status(500));
    let mut object = packaged(
        "flaky",
        1,
        &json!({"Value": flaky, "Checksum": sha256(&late)}),
    );
    object["restartPolicy"] = json!({"policy": "OnFailure", "interval": 1});
    system.apply(&object);
    wait::until("it failed at least once", Duration::from_secs(30), || {
        let groups = system.taskgroups_of("test", "flaky");
        let words: String = groups.iter().map(words_of).collect();
        if words.contains("500") {
            Ok(())
        } else {
            Err(format!("{groups:#?}"))
        }
    });
    put("flaky", Behaviour::Good(late));
    assert_eq!(
        mark(&system.running("test", "flaky", 1)[0]),
        "late",
        "healed without anybody's help"
    );
}

/// A tar.gz whose one entry is called `name`, made by GNU tar with the name rewritten.
fn tar_with(folder: &Path, name: &str) -> Vec<u8> {
    let place = folder.join("tar-entry");
    std::fs::create_dir_all(&place).unwrap();
    std::fs::write(place.join("entry"), "escaped").unwrap();
    let archive = folder.join("entry.tar.gz");
    let status = Command::new("tar")
        .args([
            "-P",
            "-czf",
            archive.to_str().unwrap(),
            &format!("--transform=s,^entry$,{name},"),
            "entry",
        ])
        .current_dir(&place)
        .status();
    assert!(status.unwrap().success());
    std::fs::read(archive).unwrap()
}

/// A tar.gz with a link that leads out, and a file that would go through it.
fn tar_with_link(folder: &Path, target: &Path) -> Vec<u8> {
    let place = folder.join("tar-link");
    let second = place.join("second");
    std::fs::create_dir_all(second.join("out")).unwrap();
    std::os::unix::fs::symlink(target, place.join("out")).unwrap();
    std::fs::write(second.join("out/escaped-by-link"), "escaped").unwrap();
    let plain = folder.join("link.tar");
    let run = |words: &[&str], place: &Path| {
        assert!(
            Command::new("tar")
                .args(words)
                .current_dir(place)
                .status()
                .unwrap()
                .success()
        );
    };
    run(&["-cf", plain.to_str().unwrap(), "out"], &place);
    run(
        &["-rf", plain.to_str().unwrap(), "out/escaped-by-link"],
        &second,
    );
    assert!(
        Command::new("gzip")
            .args(["-kf", plain.to_str().unwrap()])
            .status()
            .unwrap()
            .success()
    );
    std::fs::read(folder.join("link.tar.gz")).unwrap()
}

fn zip_with(name: &str) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    writer
        .start_file(name, zip::write::SimpleFileOptions::default())
        .unwrap();
    writer.write_all(b"escaped").unwrap();
    writer.finish().unwrap().into_inner()
}

#[test]
fn no_archive_leaves_its_folder() {
    let system = System::start(Mode::Standalone);
    let server = PackageServer::start();
    let outside = system.folder().join("outside");
    std::fs::create_dir(&outside).unwrap();
    let absolute = outside.join("escaped-absolute");
    let archives = [
        (
            "climbs",
            "tar.gz",
            tar_with(system.folder(), "../../../../../escaped-climbing"),
        ),
        (
            "deeper",
            "tar.gz",
            tar_with(system.folder(), "bin/../../../escaped-climbing"),
        ),
        (
            "absolute",
            "tar.gz",
            tar_with(system.folder(), absolute.to_str().unwrap()),
        ),
        ("links", "tar.gz", tar_with_link(system.folder(), &outside)),
        ("zipped", "zip", zip_with("../../../../../escaped-climbing")),
        ("zipabs", "zip", zip_with(absolute.to_str().unwrap())),
    ];
    for (name, suffix, bytes) in &archives {
        let uri = server.put(&format!("/{name}.{suffix}"), Behaviour::Good(bytes.clone()));
        let mut object = packaged(name, 1, &json!({"Value": uri}));
        object["restartPolicy"] = json!({"policy": "Never"});
        system.apply(&object);
    }
    for (name, suffix, _) in &archives {
        let ended = system.ended(name, "Failed");
        let words = words_of(&ended);
        assert!(words.contains(&format!("{name}.{suffix}")), "{words}");
        assert!(
            words.contains("escaped") || words.contains("out"),
            "the entry is named: {words}"
        );
    }
    let escaped: Vec<PathBuf> = bcs_e2e::files_below(system.folder())
        .into_iter()
        .filter(|file| {
            file.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("escaped-"))
        })
        .filter(|file| !file.starts_with(system.folder().join("tar-link")))
        .collect();
    assert_eq!(escaped, Vec::<PathBuf>::new());
    assert!(!Path::new("/escaped-climbing").exists());
    // A setuid bit is not taken over from an archive.
    let content = content(system.folder(), "bits");
    let file = content.join("bin/run.sh");
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o6755)).unwrap();
    let archive = system.folder().join("bits.tar.gz");
    package(&content, &archive);
    let uri = server.put(
        "/bits.tar.gz",
        Behaviour::Good(std::fs::read(archive).unwrap()),
    );
    system.apply(&packaged("bits", 1, &json!({"Value": uri})));
    let running = &system.running("test", "bits", 1)[0];
    let place = std::fs::read_link(format!("/proc/{}/cwd", pid_of(running).unwrap())).unwrap();
    let mode = std::os::unix::fs::MetadataExt::mode(
        &std::fs::metadata(place.join("pkg/bin/run.sh")).unwrap(),
    );
    assert_eq!(mode & 0o6000, 0, "{mode:o}");
    assert!(alive(pid_of(running).unwrap()));
}

#[test]
fn a_packaged_program_runs_as_another_account() {
    let system = System::start(Mode::Standalone);
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o711);
    // The folder of a test is private, which a folder for data is not.
    std::fs::set_permissions(system.folder(), open).unwrap();
    let server = PackageServer::start();
    let uri = server.put(
        "/user.tar.gz",
        Behaviour::Good(tar_gz(system.folder(), "user")),
    );
    let object = packaged("guest", 1, &json!({"Value": uri}));
    system.apply(&with(object, "user", json!("nobody")));
    let running = &system.running("test", "guest", 1)[0];
    assert_eq!(mark(running), "user");
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", pid_of(running).unwrap())).unwrap();
    assert!(
        status.lines().any(|line| line.starts_with("Uid:\t65534")),
        "{status}"
    );
}
