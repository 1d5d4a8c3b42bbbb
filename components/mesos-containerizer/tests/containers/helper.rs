//! What the tests run in processes of their own: the supervisor, an agent that can be killed, and
//! programs that misbehave.

use std::{env, ffi::OsString, io::Write, path::PathBuf, process::ExitCode, time::Duration};

use mesos_containerizer::{
    ContainerConfig, Containerizer, ContainerizerConfig, LauncherChoice, ResourceLimits,
    init::Applet,
};
use mesos_messages::v1;

/// Prints what it was given, and ends as no other program here does.
const APPLETS: &[Applet] = &[Applet { word: "applet", run: applet }];

fn applet() -> u8 {
    let mut names: Vec<String> =
        env::vars().map(|(name, value)| format!("{name}={value}")).collect();
    names.sort();
    let open = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    println!("{} fds={open}", names.join(","));
    eprintln!("pid={} cwd={:?}", std::process::id(), env::current_dir());
    23
}

fn main() -> ExitCode {
    let mut args = env::args_os().skip(1);
    let word = args.next().and_then(|word| word.into_string().ok());
    match word.as_deref() {
        Some("containerizer-init") => mesos_containerizer::init::main(args, APPLETS),
        Some("agent") => agent(&args.filter_map(|arg| arg.into_string().ok()).collect::<Vec<_>>()),
        Some("bench") => bench(&args.filter_map(|arg| arg.into_string().ok()).collect::<Vec<_>>()),
        Some("hog") => hog(args.next()),
        _ => ExitCode::from(64),
    }
}

/// `agent <uid> <base dir> <launcher> <id> <command>...`: launches the container, says so, and
/// prints how it ended. With a uid other than 0 it becomes that user first.
fn agent(args: &[String]) -> ExitCode {
    let [uid, base, launcher, id, argv @ ..] = args else {
        return ExitCode::from(64);
    };
    if let Ok(uid) = uid.parse::<u32>()
        && uid != 0
    {
        let (gid, uid) = (nix::unistd::Gid::from_raw(uid), nix::unistd::Uid::from_raw(uid));
        let dropped = nix::unistd::setgroups(&[])
            .and_then(|()| nix::unistd::setresgid(gid, gid, gid))
            .and_then(|()| nix::unistd::setresuid(uid, uid, uid));
        if let Err(error) = dropped {
            eprintln!("Failed to become user {uid}: {error}");
            return ExitCode::FAILURE;
        }
    }
    let base = PathBuf::from(base);
    let mut config = ContainerizerConfig::new(
        base.join("run"),
        env::current_exe().unwrap_or_else(|_| PathBuf::from("/proc/self/exe")),
    );
    config.launcher =
        if launcher == "linux" { LauncherChoice::Linux } else { LauncherChoice::Posix };
    // Whoever takes the container over removes it.
    config.cgroups_root = format!("dais-test-{id}");
    let container = ContainerConfig {
        container_id: v1::ContainerId { value: id.clone(), ..Default::default() },
        sandbox: base.join("sandbox"),
        argv: argv.to_vec(),
        env: vec![
            ("PATH".to_owned(), "/usr/bin:/bin".to_owned()),
            ("CONTAINER_MARK".to_owned(), id.clone()),
        ],
        ..ContainerConfig::default()
    };
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return ExitCode::FAILURE;
    };
    runtime.block_on(async {
        let result = run(config, container).await;
        println!("{result}");
        ExitCode::SUCCESS
    })
}

async fn run(config: ContainerizerConfig, container: ContainerConfig) -> String {
    let id = container.container_id.clone();
    let containerizer = match Containerizer::new(config) {
        Ok(containerizer) => containerizer,
        Err(error) => return format!("error {error}"),
    };
    match containerizer.launch(container).await {
        Ok(launched) => println!("launched {}", launched.pid),
        Err(error) => return format!("error {error}"),
    }
    let _ = std::io::stdout().flush();
    match containerizer.wait(&id).await {
        Some(ended) => format!("ended {:?} {:?}", ended.status, ended.message),
        None => "error unknown".to_owned(),
    }
}

/// `bench <base dir> <launcher> <containers> <at once>`: how long containers of `true` take. Run by
/// hand; nothing is asserted.
fn bench(args: &[String]) -> ExitCode {
    let [base, launcher, count, at_once] = args else {
        return ExitCode::from(64);
    };
    let (Ok(count), Ok(at_once)) = (count.parse::<u32>(), at_once.parse::<u32>()) else {
        return ExitCode::from(64);
    };
    let base = PathBuf::from(base);
    let mut config = ContainerizerConfig::new(
        base.join("run"),
        env::current_exe().unwrap_or_else(|_| PathBuf::from("/proc/self/exe")),
    );
    config.launcher =
        if launcher == "linux" { LauncherChoice::Linux } else { LauncherChoice::Posix };
    config.cgroups_root = "dais-test-bench".to_owned();
    let Ok(runtime) = tokio::runtime::Builder::new_multi_thread().enable_all().build() else {
        return ExitCode::FAILURE;
    };
    runtime.block_on(async {
        let containerizer = match Containerizer::new(config) {
            Ok(containerizer) => containerizer,
            Err(error) => {
                println!("error {error}");
                return ExitCode::FAILURE;
            }
        };
        let start = std::time::Instant::now();
        let mut lanes = Vec::new();
        for lane in 0..at_once {
            let (containerizer, base) = (containerizer.clone(), base.clone());
            lanes.push(tokio::spawn(async move {
                let mut launching = Duration::ZERO;
                for number in 0..count / at_once {
                    let id =
                        v1::ContainerId { value: format!("{lane}-{number}"), ..Default::default() };
                    let sandbox = base.join(&id.value);
                    let _ = std::fs::create_dir_all(&sandbox);
                    let start = std::time::Instant::now();
                    let container = ContainerConfig {
                        container_id: id.clone(),
                        sandbox,
                        argv: vec!["/bin/true".to_owned()],
                        resources: ResourceLimits {
                            cpus: 0.2,
                            mem_bytes: 64 << 20,
                            ..ResourceLimits::default()
                        },
                        ..ContainerConfig::default()
                    };
                    if let Err(error) = containerizer.launch(container).await {
                        println!("error {error}");
                    }
                    launching += start.elapsed();
                    containerizer.wait(&id).await;
                    let _ = containerizer.remove(&id).await;
                }
                launching
            }));
        }
        let mut launching = Duration::ZERO;
        for lane in lanes {
            launching += lane.await.unwrap_or_default();
        }
        let took = start.elapsed();
        println!(
            "{launcher}: {count} containers, {at_once} at once: {:.0}/s, launch {:.2} ms",
            f64::from(count) / took.as_secs_f64(),
            launching.as_secs_f64() * 1e3 / f64::from(count)
        );
        ExitCode::SUCCESS
    })
}

/// Uses so many megabytes, then waits.
fn hog(megabytes: Option<OsString>) -> ExitCode {
    let megabytes: usize =
        megabytes.and_then(|text| text.to_str()?.parse().ok()).unwrap_or_default();
    let mut held = Vec::new();
    for _ in 0..megabytes {
        held.push(vec![1_u8; 1 << 20]);
    }
    println!("hogged {}", held.iter().map(Vec::len).sum::<usize>());
    std::thread::sleep(Duration::from_secs(60));
    ExitCode::SUCCESS
}
