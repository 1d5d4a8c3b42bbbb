//! When a container ends, nothing of it is left.

use std::time::Duration;

use mesos_containerizer::LauncherChoice;
use mesos_messages::v1::{self, r_limit_info};

use super::support::{Bench, NOBODY, benches, eventually, is_root, marked, output};

#[tokio::test]
async fn what_the_main_process_leaves_is_killed() {
    for bench in benches() {
        let scripts = [
            "sleep 1000 & exit 3",
            "(sleep 1000 &) ; exit 3",
            "setsid sh -c 'sleep 1000 & sleep 1000' & sleep 0.1; exit 3",
            "(setsid nohup sh -c '(setsid sleep 1000 &); trap : TERM HUP INT; sleep 1000' &) ; sleep 0.1; exit 3",
        ];
        for script in scripts {
            // `run` asserts that no process is left.
            assert_eq!(bench.run(bench.shell(script)).await.status, Some(3 << 8), "{script}");
        }
    }
}

#[tokio::test]
async fn destroy_ends_all_and_says_so() {
    for bench in benches() {
        let container =
            bench.shell("trap : TERM; (setsid sleep 1000 &); while :; do sleep 1000; done");
        let id = container.container_id.clone();
        bench.containerizer.launch(container).await.unwrap();
        eventually("all started", || marked(&id.value).len() >= 3).await;
        let ended = bench.containerizer.destroy(&id).await.unwrap().unwrap();
        assert_eq!(ended.status, Some(9), "{}", bench.containerizer.launcher());
        assert_eq!(marked(&id.value), Vec::<i32>::new());
        assert_eq!(bench.containerizer.wait(&id).await, Some(ended.clone()));
        assert_eq!(bench.containerizer.destroy(&id).await.unwrap(), Some(ended));
        bench.containerizer.remove(&id).await.unwrap();
        assert_eq!(bench.containerizer.destroy(&id).await.unwrap(), None);
    }
}

#[tokio::test]
async fn destroy_while_launching_leaves_nothing() {
    for bench in benches() {
        for pause in [0, 100, 500, 1000, 2000, 4000] {
            let container = bench.shell("sleep 1000");
            let id = container.container_id.clone();
            let launching = tokio::spawn({
                let containerizer = bench.containerizer.clone();
                async move { containerizer.launch(container).await }
            });
            tokio::time::sleep(Duration::from_micros(pause)).await;
            let destroyed = bench.containerizer.destroy(&id).await.unwrap();
            let launched = launching.await.unwrap();
            if launched.is_ok() && destroyed.is_none() {
                // It was not known yet when it was destroyed.
                bench.containerizer.destroy(&id).await.unwrap();
            }
            assert_eq!(marked(&id.value), Vec::<i32>::new());
        }
    }
}

/// Each process starts two more and leaves, so that no list of them is ever true. Bounded by the
/// number of processes its user may have.
#[tokio::test]
async fn a_fork_bomb_is_put_out() {
    if !is_root() {
        println!("skipped: the bomb needs a user of its own");
        return;
    }
    for launcher in [LauncherChoice::Posix, LauncherChoice::Linux] {
        let Some(bench) = Bench::new(launcher) else {
            continue;
        };
        let mut container = bench.shell("bomb() { bomb | bomb & }; bomb; sleep 1000");
        container.user = Some("nobody".to_owned());
        let id = container.container_id.clone();
        std::os::unix::fs::chown(&container.sandbox, Some(NOBODY), Some(NOBODY)).unwrap();
        let nproc = r_limit_info::RLimit {
            r#type: Some(r_limit_info::r_limit::Type::RlmtNproc as i32),
            soft: Some(150),
            hard: Some(150),
        };
        container.container_info = Some(v1::ContainerInfo {
            r#type: v1::container_info::Type::Mesos as i32,
            rlimit_info: Some(v1::RLimitInfo { rlimits: vec![nproc] }),
            ..v1::ContainerInfo::default()
        });
        bench.containerizer.launch(container.clone()).await.unwrap();
        eventually("the bomb is lit", || output(&container, "stderr").contains("fork")).await;
        let ended = bench.containerizer.destroy(&id).await.unwrap().unwrap();
        assert_eq!((ended.status, ended.message), (Some(9), None));
        assert_eq!(marked(&id.value), Vec::<i32>::new());
    }
}

/// At any time there are one or two of them, and never the same: each starts the next and leaves.
#[tokio::test]
async fn a_chain_of_processes_is_broken() {
    for bench in benches() {
        let mut container = bench.shell("sh ./chain & sh ./chain & sleep 1000");
        container.env.push(("LINKS".to_owned(), "2000".to_owned()));
        std::fs::write(
            container.sandbox.join("chain"),
            "echo x; LINKS=$((LINKS - 1)); export LINKS; [ $LINKS -gt 0 ] && sh ./chain & exit",
        )
        .unwrap();
        let id = container.container_id.clone();
        bench.containerizer.launch(container.clone()).await.unwrap();
        eventually("it is well under way", || output(&container, "stdout").len() > 60).await;
        let ended = bench.containerizer.destroy(&id).await.unwrap().unwrap();
        assert_eq!((ended.status, ended.message), (Some(9), None));
        assert_eq!(marked(&id.value), Vec::<i32>::new());
        assert!(output(&container, "stdout").len() < 8000, "it came to its own end");
    }
}

#[tokio::test]
async fn many_at_once_all_end() {
    for bench in benches() {
        let runs = (0..40).map(|number| {
            let container = bench.shell(&format!("exit {}", number % 7));
            let containerizer = bench.containerizer.clone();
            tokio::spawn(async move {
                let id = container.container_id.clone();
                containerizer.launch(container).await.unwrap();
                (number, containerizer.wait(&id).await.unwrap().status)
            })
        });
        for run in runs.collect::<Vec<_>>() {
            let (number, status) = run.await.unwrap();
            assert_eq!(status, Some((number % 7) << 8));
        }
    }
}
