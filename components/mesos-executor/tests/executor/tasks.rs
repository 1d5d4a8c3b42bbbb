//! Whole lives of tasks.

use super::agent::{Agent, Executor, task};
use mesos_messages::v1::{
    CommandInfo, Environment, FrameworkInfo, HealthCheck, TaskInfo,
    TaskState::{TaskFailed, TaskFinished, TaskKilled, TaskRunning, TaskStarting},
    environment::Variable,
    health_check,
};
use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    path::Path,
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// An agent, its executor and the sandbox, up to TASK_RUNNING.
fn run(task: TaskInfo, checkpoint: bool) -> (Agent, Executor, TempDir) {
    let sandbox = tempfile::tempdir().unwrap();
    let mut agent = Agent::start();
    let executor = Executor::start(agent.port, checkpoint, sandbox.path());
    let subscribe = agent.subscribe(FrameworkInfo::default());
    assert_eq!(subscribe.unacknowledged_tasks, []);
    agent.launch(task);
    agent.expect(TaskStarting, "");
    agent.expect(TaskRunning, "");
    (agent, executor, sandbox)
}

fn read(sandbox: &TempDir, name: &str) -> String {
    fs::read_to_string(sandbox.path().join(name)).unwrap()
}

fn wait_for(path: &Path) -> String {
    let start = Instant::now();
    loop {
        if let Ok(text) = fs::read_to_string(path)
            && text.ends_with('\n')
        {
            return text;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "{} never came", path.display());
        thread::sleep(Duration::from_millis(2));
    }
}

fn alive(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

fn wait_until_gone(pid: &str) {
    let start = Instant::now();
    while alive(pid) {
        assert!(start.elapsed() < Duration::from_secs(20), "process {pid} lives on");
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_command_runs_in_its_environment_and_finishes() {
    let mut task = task("echo $GREETING $MESOS_EXECUTOR_ID $MESOS_EXECUTOR_AUTHENTICATION_TOKEN.");
    let variable =
        Variable { name: "GREETING".into(), value: Some("hello".into()), ..Default::default() };
    task.command.as_mut().unwrap().environment = Some(Environment { variables: vec![variable] });
    let (mut agent, mut executor, sandbox) = run(task, false);
    agent.expect(TaskFinished, "Command exited with status 0");
    assert_eq!(executor.wait().code(), Some(0));
    assert_eq!(read(&sandbox, "stdout"), "hello task .\n");
    assert_eq!(read(&sandbox, "stderr"), "");
}

#[test]
fn an_executable_gets_its_arguments_as_they_are() {
    let mut task = task("echo");
    let command = task.command.as_mut().unwrap();
    command.shell = Some(false);
    command.arguments = ["echo", "$HOME", "a  b"].map(String::from).to_vec();
    let (mut agent, mut executor, sandbox) = run(task, false);
    agent.expect(TaskFinished, "Command exited with status 0");
    executor.wait();
    assert_eq!(read(&sandbox, "stdout"), "$HOME a  b\n");
}

#[test]
fn failures_are_told_as_they_were() {
    let (mut agent, _executor, _sandbox) = run(task("exit 3"), false);
    agent.expect(TaskFailed, "Command exited with status 3");
    let (mut agent, _executor, _sandbox) = run(task("kill -SEGV $$"), false);
    let message = agent.update().message().to_owned();
    assert!(message.starts_with("Command terminated with signal Segmentation fault"), "{message}");
    let mut missing = task("/no/such/program");
    missing.command.as_mut().unwrap().shell = Some(false);
    let (mut agent, _executor, sandbox) = run(missing, false);
    agent.expect(TaskFailed, "Command exited with status 1");
    assert!(read(&sandbox, "stderr").contains("cannot execute the command"));
}

#[test]
fn a_kill_reaches_descendants_in_sessions_of_their_own() {
    let command = "setsid sleep 1000 & echo $! > child; wait";
    let (mut agent, mut executor, sandbox) = run(task(command), false);
    let child = wait_for(&sandbox.path().join("child"));
    assert!(alive(&child));
    agent.kill();
    agent.expect(TaskKilled, "Command terminated with signal Terminated");
    executor.wait();
    wait_until_gone(&child);
}

#[test]
fn who_ignores_the_first_signal_is_killed_by_the_second() {
    let mut stubborn = task("trap '' TERM; echo > ready; while :; do sleep 0.01; done");
    let grace = mesos_messages::v1::DurationInfo { nanoseconds: 100_000_000 };
    stubborn.kill_policy = Some(mesos_messages::v1::KillPolicy { grace_period: Some(grace) });
    let (mut agent, _executor, sandbox) = run(stubborn, false);
    wait_for(&sandbox.path().join("ready"));
    agent.kill();
    agent.expect(TaskKilled, "Command terminated with signal Killed");
}

#[test]
fn without_an_acknowledgement_the_executor_stays() {
    let sandbox = tempfile::tempdir().unwrap();
    let mut agent = Agent::start();
    let mut executor = Executor::start(agent.port, false, sandbox.path());
    agent.subscribe(FrameworkInfo::default());
    agent.launch(task("true"));
    let updates = [agent.update(), agent.update(), agent.update()];
    assert!(agent.is_quiet());
    updates.iter().for_each(|update| agent.acknowledge(update));
    assert_eq!(executor.wait().code(), Some(0));
}

#[test]
fn a_restarted_agent_finds_the_task_running() {
    let command = "until [ -e stop ]; do sleep 0.01; done";
    let (agent, mut executor, sandbox) = run(task(command), true);
    let port = agent.crash();
    let mut agent = Agent::listen(format!("127.0.0.1:{port}"));
    let subscribe = agent.subscribe(FrameworkInfo::default());
    assert_eq!(subscribe.unacknowledged_tasks, []);
    fs::write(sandbox.path().join("stop"), "").unwrap();
    agent.expect(TaskFinished, "Command exited with status 0");
    assert_eq!(executor.wait().code(), Some(0));
}

#[test]
fn without_checkpoint_a_crashed_agent_ends_the_task() {
    let (agent, mut executor, sandbox) = run(task("echo $$ > pid; exec sleep 1000"), false);
    let pid = wait_for(&sandbox.path().join("pid"));
    agent.crash();
    executor.wait();
    wait_until_gone(&pid);
}

fn health(check: HealthCheck) -> TaskInfo {
    let check = HealthCheck {
        delay_seconds: Some(0.0),
        interval_seconds: Some(0.01),
        grace_period_seconds: Some(0.0),
        consecutive_failures: Some(2),
        ..check
    };
    TaskInfo { health_check: Some(Box::new(check)), ..task("sleep 1000") }
}

#[test]
fn a_command_that_finds_the_task_sick_ends_it() {
    let command = CommandInfo { value: Some("exit 7".into()), ..Default::default() };
    let check = HealthCheck { command: Some(command), ..Default::default() };
    let (mut agent, _executor, _sandbox) = run(health(check), false);
    for _ in 0..2 {
        assert_eq!(agent.expect(TaskRunning, "").healthy, Some(false));
    }
    let last = agent.expect(TaskKilled, "Command terminated with signal Terminated");
    assert_eq!(last.healthy, Some(false));
}

#[test]
fn a_check_that_hangs_holds_nothing_up() {
    let command =
        CommandInfo { value: Some("echo $$ > check; sleep 1000".into()), ..Default::default() };
    let check = HealthCheck { command: Some(command), ..Default::default() };
    let (mut agent, mut executor, sandbox) = run(health(check), false);
    let pid = wait_for(&sandbox.path().join("check"));
    agent.kill();
    agent.expect(TaskKilled, "Command terminated with signal Terminated");
    executor.wait();
    wait_until_gone(&pid);
}

/// Answers every request with this status.
fn web_server(status: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().take(100) {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 1024]);
            let answer =
                format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    port
}

fn http(port: u16) -> HealthCheck {
    let http = health_check::HttpCheckInfo {
        port: port.into(),
        path: Some("/health".into()),
        ..Default::default()
    };
    HealthCheck { http: Some(http), ..Default::default() }
}

#[test]
fn http_checks_go_by_the_status() {
    for (status, healthy) in [("204 No Content", true), ("503 Service Unavailable", false)] {
        let (mut agent, _executor, _sandbox) = run(health(http(web_server(status))), false);
        assert_eq!(agent.expect(TaskRunning, "").healthy, Some(healthy), "{status}");
    }
}

#[test]
fn tcp_checks_go_by_the_connection() {
    let port = web_server("200 OK");
    let unused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for (port, healthy) in [(port, true), (unused, false)] {
        let tcp = health_check::TcpCheckInfo { port: port.into(), ..Default::default() };
        let check = HealthCheck {
            r#type: Some(health_check::Type::Tcp.into()),
            tcp: Some(tcp),
            ..Default::default()
        };
        let (mut agent, _executor, _sandbox) = run(health(check), false);
        assert_eq!(agent.expect(TaskRunning, "").healthy, Some(healthy));
    }
}

#[test]
fn an_executor_at_rest_is_small() {
    let (_agent, executor, _sandbox) = run(task("sleep 1000"), false);
    let resident = executor.resident();
    println!("resident: {resident} KiB");
    // Without optimisation the program is larger than what is shipped.
    let limit = if cfg!(debug_assertions) { 9 } else { 6 };
    assert!(resident < limit * 1024, "{resident} KiB");
}

#[test]
fn without_its_environment_it_says_what_is_missing() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_dais-command-executor"))
        .env_remove("MESOS_SLAVE_PID")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&output.stderr).contains("MESOS_AGENT_ENDPOINT"));
}
