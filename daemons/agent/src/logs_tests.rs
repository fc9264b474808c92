use super::*;

fn wanted(tail: Option<u64>, follow: bool) -> Wanted {
    Wanted {
        framework_id: "f".into(),
        executor_id: "e".into(),
        task_id: "t".into(),
        stream: "stdout".into(),
        tail,
        follow,
    }
}

fn read_all(follower: &mut Follower) -> String {
    let mut text = String::new();
    while let Some(chunk) = follower.read().unwrap() {
        text.push_str(std::str::from_utf8(&chunk).unwrap());
    }
    text
}

#[test]
fn the_tail_is_whole_lines() {
    let sandbox = tempfile::tempdir().unwrap();
    std::fs::create_dir(sandbox.path().join("t")).unwrap();
    let text: String = (0..20_000)
        .map(|number| format!("line {number}\n"))
        .collect();
    std::fs::write(sandbox.path().join("t/stdout"), &text).unwrap();
    for (lines, expected) in [
        (0, ""),
        (1, "line 19999\n"),
        (2, "line 19998\nline 19999\n"),
    ] {
        let mut follower = Follower::open(sandbox.path(), &wanted(Some(lines), false))
            .unwrap()
            .unwrap();
        assert_eq!(read_all(&mut follower), expected);
    }
    for lines in [20_000, 30_000] {
        let mut follower = Follower::open(sandbox.path(), &wanted(Some(lines), false))
            .unwrap()
            .unwrap();
        assert_eq!(read_all(&mut follower), text);
    }
}

#[tokio::test]
async fn rotation_by_rename_and_by_truncation_lose_nothing() {
    let sandbox = tempfile::tempdir().unwrap();
    let path = sandbox.path().join("t/stdout");
    std::fs::create_dir(sandbox.path().join("t")).unwrap();
    let mut follower = Follower::open(sandbox.path(), &wanted(None, true))
        .unwrap()
        .unwrap();
    assert_eq!(read_all(&mut follower), "");
    std::fs::write(&path, "one\n").unwrap();
    follower.changed().await.unwrap();
    assert_eq!(read_all(&mut follower), "one\n");
    let mut old = std::fs::OpenOptions::new()
        .append(true)
        .open(&path)
        .unwrap();
    std::fs::rename(&path, sandbox.path().join("t/stdout.1")).unwrap();
    std::io::Write::write_all(&mut old, b"two\n").unwrap();
    std::fs::write(&path, "three\n").unwrap();
    follower.changed().await.unwrap();
    assert_eq!(read_all(&mut follower), "two\nthree\n");
    std::fs::write(&path, "4\n").unwrap();
    follower.changed().await.unwrap();
    assert_eq!(read_all(&mut follower), "4\n");
}

#[test]
fn links_and_odd_files_are_not_read() {
    let sandbox = tempfile::tempdir().unwrap();
    std::fs::create_dir(sandbox.path().join("t")).unwrap();
    let secret = sandbox.path().join("secret");
    std::fs::write(&secret, "secret").unwrap();
    std::os::unix::fs::symlink(&secret, sandbox.path().join("t/stdout")).unwrap();
    assert!(Follower::open(sandbox.path(), &wanted(None, false)).is_err());
    std::fs::remove_file(sandbox.path().join("t/stdout")).unwrap();
    nix::unistd::mkfifo(
        &sandbox.path().join("t/stdout"),
        Mode::from_bits_truncate(0o600),
    )
    .unwrap();
    assert!(Follower::open(sandbox.path(), &wanted(None, false)).is_err());
    std::fs::remove_dir_all(sandbox.path().join("t")).unwrap();
    std::os::unix::fs::symlink("/tmp", sandbox.path().join("t")).unwrap();
    assert!(Follower::open(sandbox.path(), &wanted(None, false)).is_err());
    let mut bad = wanted(None, false);
    for id in ["../x", "..", "a/b", ""] {
        bad.executor_id = id.into();
        assert!(check(&bad).is_err(), "{id}");
    }
}
