//! Volumes are where they were asked for, and nowhere else.

use std::{fs, os::unix::fs::symlink};

use mesos_containerizer::{ContainerConfig, LauncherChoice};
use mesos_messages::v1::{ContainerInfo, Volume, container_info, volume::Mode};

use super::support::{Bench, NOBODY, benches, is_root, output};

fn volume(container_path: &str, host_path: &str, mode: Mode) -> Volume {
    Volume {
        mode: mode as i32,
        container_path: container_path.to_owned(),
        host_path: Some(host_path.to_owned()),
        ..Volume::default()
    }
}

fn with_volumes(mut container: ContainerConfig, volumes: Vec<Volume>) -> ContainerConfig {
    container.container_info = Some(ContainerInfo {
        r#type: container_info::Type::Mesos as i32,
        volumes,
        ..ContainerInfo::default()
    });
    container
}

#[tokio::test]
async fn host_and_sandbox_paths_appear_in_the_sandbox() {
    for bench in benches() {
        let host = tempfile::tempdir().unwrap();
        fs::write(host.path().join("file"), "from the host\n").unwrap();
        let script = "cat a/data/file; echo back > a/data/back; echo x > shared/x; cat kept/x";
        let volumes = vec![
            volume("a/data", host.path().to_str().unwrap(), Mode::Rw),
            volume("shared", "kept", Mode::Rw),
        ];
        let container = with_volumes(bench.shell(script), volumes);
        let ended = bench.run(container.clone()).await;
        assert_eq!(ended.status, Some(0), "{}", output(&container, "stderr"));
        assert_eq!(output(&container, "stdout"), "from the host\nx\n");
        assert_eq!(fs::read_to_string(host.path().join("back")).unwrap(), "back\n");
        assert_eq!(fs::read_to_string(container.sandbox.join("kept/x")).unwrap(), "x\n");
    }
}

#[tokio::test]
async fn a_mounted_volume_may_be_read_only_a_file_or_outside_the_sandbox() {
    let Some(bench) = Bench::new(LauncherChoice::Linux) else {
        return;
    };
    let host = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    let file = host.path().join("file");
    fs::write(&file, "text\n").unwrap();
    let script = format!(
        "cat one; touch ro/x; cat {}/file; echo no > one && exit 9; exit 3",
        outside.path().display()
    );
    let volumes = vec![
        volume("one", file.to_str().unwrap(), Mode::Ro),
        volume("ro", host.path().to_str().unwrap(), Mode::Ro),
        volume(outside.path().to_str().unwrap(), host.path().to_str().unwrap(), Mode::Rw),
    ];
    let container = with_volumes(bench.shell(&script), volumes);
    let ended = bench.run(container.clone()).await;
    assert_eq!(ended.status, Some(3 << 8), "{}", output(&container, "stderr"));
    assert_eq!(output(&container, "stdout"), "text\ntext\n");
    assert!(output(&container, "stderr").contains("Read-only file system"));
    assert!(!host.path().join("x").exists());
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0, "seen on the host");
    assert_eq!(fs::metadata(container.sandbox.join("one")).unwrap().len(), 0, "seen on the host");
}

#[tokio::test]
async fn a_planted_link_does_not_lead_a_volume_astray() {
    for bench in benches() {
        let outside = tempfile::tempdir().unwrap();
        let container = bench.shell("true");
        symlink(outside.path(), container.sandbox.join("link")).unwrap();
        let volumes = vec![volume("link/data", "/usr", Mode::Rw)];
        let error = bench.containerizer.launch(with_volumes(container, volumes)).await.unwrap_err();
        assert!(error.to_string().contains("link"), "{error}");
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    }
}

#[tokio::test]
async fn the_users_rights_hold_where_volumes_are_placed() {
    if !is_root() {
        println!("skipped: only root can become another user");
        return;
    }
    for bench in benches() {
        let mut container =
            with_volumes(bench.shell("test -d data"), vec![volume("data", "/usr", Mode::Rw)]);
        container.user = Some("nobody".to_owned());
        // The sandbox is not the user's.
        let error = bench.containerizer.launch(container.clone()).await.unwrap_err().to_string();
        assert!(error.contains("Permission denied"), "{error}");
        std::os::unix::fs::chown(&container.sandbox, Some(NOBODY), Some(NOBODY)).unwrap();
        assert_eq!(bench.run(container).await.status, Some(0));
    }
}

#[tokio::test]
async fn what_cannot_be_done_is_refused() {
    for bench in benches() {
        for wrong in [volume("../x", "/usr", Mode::Rw), volume("x", "/no/such/path", Mode::Rw)] {
            let container = with_volumes(bench.shell("true"), vec![wrong]);
            let id = container.container_id.clone();
            let error = bench.containerizer.launch(container).await.unwrap_err().to_string();
            assert!(error.starts_with("Volume '"), "{error}");
            assert_eq!(bench.containerizer.wait(&id).await, None);
        }
    }
}
