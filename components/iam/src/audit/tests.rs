//! The chain across restarts, torn lines, full files and tampering.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use super::{Audit, Broken, Event, FILE, Settings, Verified, moment, verify};

const LARGE: u64 = 1 << 20;

fn settings(file_bytes: u64) -> Settings {
    Settings { file_bytes, reserve_bytes: 64 * 1024, ..Settings::default() }
}

fn event(n: usize) -> Event {
    Event {
        event: "login",
        uid: format!("u{n}"),
        from: "10.0.0.1".to_owned(),
        result: "deny",
        reason: "wrong \"password\"\n".to_owned(),
        ..Event::default()
    }
}

async fn write(folder: &Path, limit: u64, events: std::ops::Range<usize>) {
    let audit = Audit::open(folder, &settings(limit)).unwrap();
    for n in events {
        audit.record(event(n), Duration::from_secs(n as u64)).await.unwrap();
    }
}

fn check(folder: &Path) -> Result<Verified, (String, u64)> {
    verify(&folder.join(FILE)).map_err(|broken| match broken {
        Broken::Line { path, line, .. } => {
            (path.file_name().unwrap().to_str().unwrap().to_owned(), line)
        }
        Broken::Read { source, .. } => panic!("{source}"),
    })
}

fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn what_was_written_is_whole_across_restarts_and_files() {
    let folder = tempfile::tempdir().unwrap();
    for start in [0, 10, 20] {
        write(folder.path(), 1500, start..start + 10).await;
    }
    let verified = check(folder.path()).unwrap();
    let full = super::file::rotated(folder.path()).unwrap();
    assert!(full.len() > 2);
    assert_eq!(verified.lines, 30 + full.len() as u64);
    assert_eq!(verified.last, verified.lines);
    assert!(verified.complete);
    let path = folder.path().join(FILE);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let mut all = full.iter().flat_map(|(_, path)| lines(path)).chain(lines(&path));
    let first: serde_json::Value = serde_json::from_str(&all.next().unwrap()).unwrap();
    assert_eq!(first["uid"], "u0");
    assert_eq!(first["reason"], "wrong \"password\"\n");
    assert_eq!(first["time"], "1970-01-01T00:00:00.000Z");
    // Without the oldest file the rest is whole, but not complete.
    fs::remove_file(&full[0].1).unwrap();
    assert!(!check(folder.path()).unwrap().complete);
    // Without one in between it is broken.
    fs::remove_file(&full[2].1).unwrap();
    assert_eq!(check(folder.path()).unwrap_err(), (format!("{FILE}.4"), 1));
}

#[tokio::test]
async fn every_tampering_is_found_where_it_is() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), LARGE, 0..8).await;
    let path = folder.path().join(FILE);
    let good = lines(&path);
    let with = |lines: &[String]| {
        fs::write(&path, lines.join("\n") + "\n").unwrap();
        check(folder.path())
    };
    assert!(with(&good).is_ok());
    for at in 0..good.len() {
        let mut changed = good.clone();
        changed[at] = changed[at].replace("10.0.0.1", "10.0.0.2");
        assert_eq!(with(&changed).unwrap_err().1, at as u64 + 1);
        let mut removed = good.clone();
        removed.remove(at);
        if at + 1 < good.len() {
            assert_eq!(with(&removed).unwrap_err().1, at as u64 + 1);
        }
        let mut doubled = good.clone();
        doubled.insert(at, good[at].clone());
        assert_eq!(with(&doubled).unwrap_err().1, at as u64 + 2);
        let mut swapped = good.clone();
        if at > 0 {
            swapped.swap(at - 1, at);
            assert_eq!(with(&swapped).unwrap_err().1, at as u64);
        }
    }
    // A line with its own hash made right again breaks at the next one.
    let mut forged = good.clone();
    let head = super::chain::Head::beginning();
    let mut content: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(&good[0]).unwrap();
    content.remove("hash");
    content.insert("uid".to_owned(), "somebody-else".into());
    forged[0] = head.line(content).1.trim_end().to_owned();
    assert_eq!(with(&forged).unwrap_err().1, 2);
}

#[tokio::test]
async fn a_torn_last_line_goes_and_the_chain_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), LARGE, 0..3).await;
    let path = folder.path().join(FILE);
    let whole = fs::read(&path).unwrap();
    for cut in [1, 20, 150] {
        fs::write(&path, &whole[..whole.len() - cut]).unwrap();
        write(folder.path(), LARGE, 3..5).await;
        assert_eq!(check(folder.path()).unwrap().lines, 4);
    }
    fs::write(&path, b"{\"number\":1,\"ti").unwrap();
    write(folder.path(), LARGE, 0..2).await;
    assert_eq!(check(folder.path()).unwrap().lines, 2);
}

#[tokio::test]
async fn a_crash_between_two_files_leaves_the_chain_whole() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), LARGE, 0..3).await;
    let path = folder.path().join(FILE);
    fs::rename(&path, folder.path().join(format!("{FILE}.1"))).unwrap();
    write(folder.path(), LARGE, 3..4).await;
    assert_eq!(check(folder.path()).unwrap().last, 5);
    // The same with the new file there already, but empty.
    fs::rename(&path, folder.path().join(format!("{FILE}.2"))).unwrap();
    fs::write(&path, "").unwrap();
    write(folder.path(), LARGE, 4..5).await;
    assert_eq!(check(folder.path()).unwrap().last, 7);
}

#[tokio::test]
async fn a_damaged_file_is_set_aside_and_said() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), LARGE, 0..3).await;
    let path = folder.path().join(FILE);
    let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(b"not ours\n").unwrap();
    write(folder.path(), LARGE, 3..4).await;
    assert_eq!(lines(&path).len(), 2);
    assert!(lines(&path)[0].contains("audit-damaged"));
    assert_eq!(check(folder.path()).unwrap_err(), (format!("{FILE}.1"), 4));
}

#[tokio::test]
async fn one_chain_has_one_writer() {
    let folder = tempfile::tempdir().unwrap();
    let audit = Audit::open(folder.path(), &settings(LARGE)).unwrap();
    assert!(Audit::open(folder.path(), &settings(LARGE)).is_err());
    drop(audit);
    assert!(Audit::open(folder.path(), &settings(LARGE)).is_ok());
}

#[tokio::test]
async fn long_texts_are_cut() {
    let folder = tempfile::tempdir().unwrap();
    let audit = Audit::open(folder.path(), &settings(LARGE)).unwrap();
    let long = Event { event: "refused", object: "ä".repeat(100_000), ..Event::default() };
    audit.record(long, Duration::ZERO).await.unwrap();
    drop(audit);
    assert!(lines(&folder.path().join(FILE))[0].len() < 2048);
    assert!(check(folder.path()).is_ok());
}

#[test]
fn moments() {
    for (seconds, text) in [
        (951_782_400, "2000-02-29T00:00:00.000Z"),
        (1_709_251_199, "2024-02-29T23:59:59.000Z"),
        (4_102_444_800, "2100-01-01T00:00:00.000Z"),
    ] {
        assert_eq!(moment(Duration::from_secs(seconds)), text);
    }
}

#[tokio::test]
async fn writers_at_once_share_flushes_and_all_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let audit = std::sync::Arc::new(Audit::open(folder.path(), &settings(LARGE)).unwrap());
    let tasks: Vec<_> = (0..200)
        .map(|n| {
            let audit = std::sync::Arc::clone(&audit);
            tokio::spawn(async move { audit.record(event(n), Duration::ZERO).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    drop(audit);
    assert_eq!(check(folder.path()).unwrap().lines, 200);
}

#[tokio::test]
async fn a_full_disk_is_said_and_got_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    std::os::unix::fs::symlink("/dev/full", &path).unwrap();
    let audit = Audit::open(folder.path(), &settings(LARGE)).unwrap();
    assert!(audit.record(event(0), Duration::ZERO).await.is_err());
    assert!(audit.is_failing());
    fs::remove_file(&path).unwrap();
    audit.record(event(1), Duration::ZERO).await.unwrap();
    assert!(!audit.is_failing());
    drop(audit);
    assert_eq!(check(folder.path()).unwrap().lines, 1);
}

#[tokio::test]
async fn the_oldest_files_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let audit = Audit::open(folder.path(), &Settings { files: 3, ..settings(1500) }).unwrap();
    for n in 0..100 {
        audit.record(event(n), Duration::ZERO).await.unwrap();
    }
    drop(audit);
    let full = super::file::rotated(folder.path()).unwrap();
    assert_eq!(full.len(), 3);
    assert!(full[0].0 > 3, "{full:?}");
    let verified = check(folder.path()).unwrap();
    assert!(!verified.complete && verified.last > verified.lines);
}

/// Fills what is left of a disk; the file that does it.
fn fill(folder: &Path) -> std::path::PathBuf {
    let path = folder.join("filler");
    let mut file = fs::File::create(&path).unwrap();
    while file.write_all(&[1; 512]).is_ok() {}
    path
}

/// On a small disk of its own, in a namespace of its own.
#[tokio::test]
async fn when_the_disk_is_full_there_is_a_reserve() {
    const NAME: &str = "audit::tests::when_the_disk_is_full_there_is_a_reserve";
    let Some(disk) = std::env::var_os("AUDIT_TEST_DISK") else {
        let folder = tempfile::tempdir().unwrap();
        let mut unshare = std::process::Command::new("unshare");
        let script = "mount -t tmpfs -o size=1m none \"$0\" && AUDIT_TEST_DISK=\"$0\" exec \"$@\"";
        unshare.args(["--mount", "sh", "-c", script]).arg(folder.path());
        unshare.arg(std::env::current_exe().unwrap()).args(["--exact", NAME, "--nocapture"]);
        if std::process::Command::new("unshare")
            .args(["--mount", "true"])
            .status()
            .is_ok_and(|status| status.success())
        {
            assert!(unshare.status().unwrap().success());
        } else {
            println!("skipped: mounting needs root and unshare");
        }
        return;
    };
    let folder = Path::new(&disk);
    let audit =
        Audit::open(folder, &Settings { pause: Duration::ZERO, ..settings(LARGE) }).unwrap();
    audit.record(event(0), Duration::ZERO).await.unwrap();
    assert!(!audit.is_low());
    let filler = fill(folder);
    for n in 1..200 {
        audit.record(event(n), Duration::ZERO).await.unwrap();
    }
    assert!(audit.is_low());
    fs::remove_file(filler).unwrap();
    audit.record(event(200), Duration::ZERO).await.unwrap();
    assert!(!audit.is_low(), "there is room for a reserve again");
    drop(audit);
    assert_eq!(check(folder).unwrap().lines, 201);
}
