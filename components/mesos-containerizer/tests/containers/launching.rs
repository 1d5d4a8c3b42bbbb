//! A container starts as it was asked for, or does not and says why.

use std::{fs, os::unix::fs::MetadataExt};

use mesos_containerizer::{LauncherChoice, LogLimits};
use mesos_messages::v1::{self, r_limit_info};

use super::support::{Bench, NOBODY, agent, benches, is_root, output, unique};

const EXITED_3: Option<i32> = Some(3 << 8);

#[tokio::test]
async fn runs_in_its_sandbox_and_tells_its_status() {
    for bench in benches() {
        let container = bench.shell("pwd; echo err >&2; exit 3");
        let ended = bench.run(container.clone()).await;
        assert_eq!((ended.status, ended.limitation), (EXITED_3, None));
        assert_eq!(output(&container, "stdout").trim(), container.sandbox.to_str().unwrap());
        assert_eq!(output(&container, "stderr"), "err\n");
    }
}

#[tokio::test]
async fn a_signals_death_is_told_too() {
    for bench in benches() {
        let ended = bench.run(bench.shell("kill -9 $$")).await;
        assert_eq!(ended.status, Some(9), "{}", bench.containerizer.launcher());
    }
}

#[tokio::test]
async fn the_environment_is_exactly_what_was_given() {
    for bench in benches() {
        let mut container = bench.container(&["env"]);
        container.env.push(("A".to_owned(), "b c=d".to_owned()));
        bench.run(container.clone()).await;
        let mut lines: Vec<String> =
            output(&container, "stdout").lines().map(str::to_owned).collect();
        lines.sort();
        let mut expected: Vec<String> =
            container.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        expected.sort();
        assert_eq!(lines, expected);
    }
}

#[tokio::test]
async fn a_program_within_the_supervisors_binary_is_run_as_if_executed() {
    for bench in benches() {
        let mut container =
            bench.container(&[env!("CARGO_BIN_EXE_containerizer-test-helper"), "applet"]);
        container.env = vec![("A".to_owned(), "b c".to_owned()), ("B".to_owned(), String::new())];
        let ended = bench.run(container.clone()).await;
        assert_eq!(ended.status, Some(23 << 8), "{}", bench.containerizer.launcher());
        // 0, 1, 2, and the one by which the directory is read.
        assert_eq!(output(&container, "stdout"), "A=b c,B= fds=4\n");
        let cwd = format!("cwd=Ok({:?})", container.sandbox);
        assert!(output(&container, "stderr").contains(&cwd), "{}", output(&container, "stderr"));
    }
}

#[tokio::test]
async fn nothing_of_the_agent_is_inherited() {
    for bench in benches() {
        let script =
            "ls /proc/self/fd | wc -l; umask; cat; grep -E 'Sig(Blk|Ign)' /proc/self/status";
        let container = bench.shell(script);
        bench.run(container.clone()).await;
        let out = output(&container, "stdout");
        let lines: Vec<&str> = out.split_whitespace().collect();
        // 0, 1, 2, and the one by which the directory is read.
        let expected = ["4", "0022", "SigBlk:", "0000000000000000", "SigIgn:", "0000000000000000"];
        assert_eq!(lines, expected, "{}", bench.containerizer.launcher());
    }
}

#[tokio::test]
async fn a_program_is_searched_and_named_when_missing() {
    for bench in benches() {
        let error = bench.containerizer.launch(bench.container(&["no-such-program"])).await;
        assert_eq!(
            error.unwrap_err().to_string(),
            "Failed to start the container: Failed to execute 'no-such-program': No such file or \
             directory (os error 2)"
        );
        assert!(bench.containerizer.containers().is_empty());
        assert!(bench.containerizer.launch(bench.container(&[])).await.is_err());
        let script = bench.container(&["./script", "x"]);
        fs::write(script.sandbox.join("script"), "echo $1; exit 3").unwrap();
        std::process::Command::new("chmod")
            .args(["+x".as_ref(), script.sandbox.join("script").as_os_str()])
            .status()
            .unwrap();
        assert_eq!(bench.run(script.clone()).await.status, EXITED_3);
        assert_eq!(output(&script, "stdout"), "x\n");
    }
}

#[tokio::test]
async fn a_working_directory_is_below_the_sandbox_or_absolute() {
    for bench in benches() {
        let mut container = bench.shell("pwd");
        fs::create_dir(container.sandbox.join("below")).unwrap();
        container.working_dir = Some("below".into());
        bench.run(container.clone()).await;
        assert!(output(&container, "stdout").ends_with("/below\n"));
        let mut absolute = bench.shell("pwd");
        absolute.working_dir = Some("/usr".into());
        bench.run(absolute.clone()).await;
        assert_eq!(output(&absolute, "stdout"), "/usr\n");
        let mut missing = bench.shell("pwd");
        missing.working_dir = Some("missing".into());
        let error = bench.containerizer.launch(missing).await.unwrap_err().to_string();
        assert!(error.contains("change into 'missing'"), "{error}");
    }
}

#[tokio::test]
async fn an_id_names_one_container_at_a_time() {
    for bench in benches() {
        let container = bench.shell("sleep 60");
        let id = container.container_id.clone();
        bench.containerizer.launch(container.clone()).await.unwrap();
        let again = bench.containerizer.launch(container.clone()).await.unwrap_err();
        assert_eq!(again.to_string(), format!("Container '{}' exists already", id.value));
        assert!(bench.containerizer.remove(&id).await.is_err());
        bench.containerizer.destroy(&id).await.unwrap();
        bench.containerizer.remove(&id).await.unwrap();
        assert_eq!(bench.containerizer.wait(&id).await, None);
        let mut again = container;
        again.argv = vec!["true".to_owned()];
        assert_eq!(bench.run(again).await.status, Some(0));
    }
}

#[tokio::test]
async fn supervisors_need_no_nursery() {
    for bench in benches() {
        let running = bench.shell("while [ ! -e go ]; do sleep 0.01; done; exit 3");
        bench.containerizer.launch(running.clone()).await.unwrap();
        // Whatever is a child of this process and was started by that containerizer.
        let nurseries = children_named("dais-nursery");
        assert!(!nurseries.is_empty());
        for pid in nurseries {
            let pid = nix::unistd::Pid::from_raw(pid);
            nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
        }
        assert_eq!(bench.run(bench.shell("exit 5")).await.status, Some(5 << 8));
        fs::write(running.sandbox.join("go"), "").unwrap();
        let ended = bench.containerizer.wait(&running.container_id).await.unwrap();
        assert_eq!(ended.status, EXITED_3);
    }
}

fn children_named(name: &str) -> Vec<i32> {
    let own = std::process::id().to_string();
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let parent = stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(1));
            stat.contains(&format!("({name})")) && parent == Some(own.as_str())
        })
        .collect()
}

#[tokio::test]
async fn output_is_rotated() {
    for bench in benches() {
        let mut container = bench.shell("for i in 1 2 3 4 5 6; do head -c 70000 /dev/zero; done");
        container.logs = LogLimits { stdout_max_bytes: 100_000, stderr_max_bytes: 0, keep: 2 };
        bench.run(container.clone()).await;
        let mut names: Vec<String> = fs::read_dir(&container.sandbox)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["stderr", "stdout", "stdout.1", "stdout.2"]);
        assert!(fs::metadata(container.sandbox.join("stdout.1")).unwrap().len() <= 100_000);
    }
}

#[tokio::test]
async fn the_last_words_are_not_lost() {
    for bench in benches() {
        let container = bench.shell("seq 1 20000");
        bench.run(container.clone()).await;
        assert!(output(&container, "stdout").ends_with("\n20000\n"));
    }
}

#[tokio::test]
async fn becomes_the_user_with_groups_and_files() {
    if !is_root() {
        println!("skipped: only root can become another user");
        return;
    }
    for bench in benches() {
        let mut container = bench.shell("id -u; id -G; echo x > /dev/stdout; touch file");
        container.user = Some("nobody".to_owned());
        std::os::unix::fs::chown(&container.sandbox, Some(NOBODY), Some(NOBODY)).unwrap();
        let ended = bench.run(container.clone()).await;
        assert_eq!(ended.status, Some(0), "{}", output(&container, "stderr"));
        assert_eq!(output(&container, "stdout"), format!("{NOBODY}\n{NOBODY}\nx\n"));
        for name in ["stdout", "stderr", "file"] {
            assert_eq!(fs::metadata(container.sandbox.join(name)).unwrap().uid(), NOBODY, "{name}");
        }
        let mut unknown = bench.shell("true");
        unknown.user = Some("no-such-user".to_owned());
        let error = bench.containerizer.launch(unknown).await.unwrap_err().to_string();
        assert_eq!(error, "Failed to find user 'no-such-user': no such user");
    }
}

#[tokio::test]
async fn an_agent_that_is_not_root_runs_containers_as_itself() {
    if !is_root() {
        println!("skipped: only root can become another user");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let argv = ["sh", "-c", "id -u; (setsid sleep 1000 &) ; exit 3"];
    let output = agent(NOBODY, dir.path(), "posix", &unique("nobody"), &argv).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.ends_with("ended Some(768) None\n"), "{text}");
    let out = fs::read_to_string(dir.path().join("sandbox/stdout")).unwrap();
    assert_eq!(out, format!("{NOBODY}\n"));
    let linux = agent(NOBODY, dir.path(), "linux", "x", &["true"]).output().unwrap();
    assert_eq!(
        String::from_utf8(linux.stdout).unwrap(),
        "error The linux launcher was asked for, but this agent is not root\n"
    );
}

#[tokio::test]
async fn rlimits_are_set() {
    for bench in benches() {
        let mut container = bench.shell("ulimit -n; ulimit -Hn; ulimit -c");
        let limit = |kind: r_limit_info::r_limit::Type, soft, hard| r_limit_info::RLimit {
            r#type: Some(kind as i32),
            soft: Some(soft),
            hard: Some(hard),
        };
        let rlimits = vec![
            limit(r_limit_info::r_limit::Type::RlmtNofile, 64, 100),
            limit(r_limit_info::r_limit::Type::RlmtCore, 0, 0),
        ];
        container.container_info = Some(v1::ContainerInfo {
            r#type: v1::container_info::Type::Mesos as i32,
            rlimit_info: Some(v1::RLimitInfo { rlimits }),
            ..v1::ContainerInfo::default()
        });
        bench.run(container.clone()).await;
        assert_eq!(output(&container, "stdout"), "64\n100\n0\n");
    }
}

#[tokio::test]
async fn namespaces_are_the_containers_own() {
    let Some(bench) = Bench::new(LauncherChoice::Linux) else {
        return;
    };
    let mut container =
        bench.shell("hostname; ls -d /proc/[0-9]* | wc -l; for n in pid ipc uts mnt; do readlink /proc/self/ns/$n; done; exit 3");
    container.container_info = Some(v1::ContainerInfo {
        r#type: v1::container_info::Type::Mesos as i32,
        hostname: Some("inside".to_owned()),
        ..v1::ContainerInfo::default()
    });
    assert_eq!(bench.run(container.clone()).await.status, EXITED_3);
    let out = output(&container, "stdout");
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[0], "inside");
    assert!(lines[1].parse::<u32>().unwrap() < 8, "sees the host's processes: {out}");
    for (kind, inside) in ["pid", "ipc", "uts", "mnt"].iter().zip(&lines[2..]) {
        let own = fs::read_link(format!("/proc/self/ns/{kind}")).unwrap();
        assert_ne!(own.to_str().unwrap(), *inside);
    }
    assert_ne!(fs::read_to_string("/proc/sys/kernel/hostname").unwrap().trim(), "inside");
}

#[tokio::test]
async fn a_shared_pid_namespace_is_the_hosts() {
    let Some(bench) = Bench::new(LauncherChoice::Linux) else {
        return;
    };
    let mut container = bench.shell("readlink /proc/self/ns/pid; (setsid sleep 1000 &); exit 3");
    container.container_info = Some(v1::ContainerInfo {
        r#type: v1::container_info::Type::Mesos as i32,
        linux_info: Some(Box::new(v1::LinuxInfo {
            share_pid_namespace: Some(true),
            ..v1::LinuxInfo::default()
        })),
        ..v1::ContainerInfo::default()
    });
    assert_eq!(bench.run(container.clone()).await.status, EXITED_3);
    let own = fs::read_link("/proc/self/ns/pid").unwrap();
    assert_eq!(output(&container, "stdout").trim(), own.to_str().unwrap());
}

#[tokio::test]
async fn a_planted_log_is_not_written_through() {
    for bench in benches() {
        let container = bench.shell("echo overwritten");
        let victim = bench.dir.path().join("victim");
        fs::write(&victim, "precious").unwrap();
        std::os::unix::fs::symlink(&victim, container.sandbox.join("stdout")).unwrap();
        let error = bench.containerizer.launch(container).await.unwrap_err().to_string();
        assert!(error.contains("stdout"), "{error}");
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    }
}
