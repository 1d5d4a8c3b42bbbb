//! What a picture keeps, and what it says is different.

use std::time::Duration;

use mesos_messages::content::{self, ContentType};
use mesos_messages::v1::master::Event as Message;
use mesos_messages::v1::master::event::{self, Type};
use mesos_messages::v1::{self, TaskState};

use super::*;

fn agent(id: &str) -> Agent {
    Agent { id: id.into(), address: "10.0.0.1:5051".parse().ok(), hostname: "10.0.0.1".into() }
}

fn framework(id: &str) -> Framework {
    Framework {
        id: id.into(),
        name: "marathon".into(),
        active: true,
        connected: true,
        hostname: "x".into(),
        scheduler: None,
    }
}

fn message(id: &str, agent: &str) -> v1::Task {
    v1::Task {
        name: "web".into(),
        task_id: v1::TaskId { value: id.into() },
        framework_id: v1::FrameworkId { value: "f".into() },
        agent_id: v1::AgentId { value: agent.into() },
        state: TaskState::TaskRunning as i32,
        ..v1::Task::default()
    }
}

fn read(message: &Message) -> Option<Input> {
    decode(&content::encode(ContentType::Protobuf, message)).unwrap()
}

fn added(task: v1::Task) -> Input {
    let message = Message {
        r#type: Some(Type::TaskAdded as i32),
        task_added: Some(event::TaskAdded { task }),
        ..Message::default()
    };
    read(&message).unwrap()
}

fn task(id: &str, agent: &str) -> Task {
    let Input::TaskAdded(task) = added(message(id, agent)) else { panic!("another event") };
    task
}

fn state(tasks: &[(&str, &str)]) -> State {
    State {
        agents: vec![agent("a"), agent("b")],
        frameworks: vec![framework("f")],
        tasks: tasks.iter().map(|(id, agent)| task(id, agent)).collect(),
        heartbeat: Some(Duration::from_secs(15)),
        ..State::default()
    }
}

fn input(state: State) -> Input {
    Input::State(Box::new(state))
}

fn ids(picture: &Picture) -> Vec<&str> {
    let mut ids: Vec<&str> = picture.tasks().map(|task| &*task.id).collect();
    ids.sort_unstable();
    ids
}

#[test]
fn only_what_is_different_is_said() {
    let mut picture = Picture::default();
    assert!(!picture.known());
    let leader = "10.0.0.9:5050".parse().ok();
    let changed = picture.connected(leader, input(state(&[("1", "a"), ("2", "b")])));
    assert_eq!(changed, [Changed::Leader, Changed::All]);
    assert_eq!(picture.connected(leader, input(state(&[("1", "a"), ("2", "b")]))), []);
    let changed = picture.connected(leader, input(state(&[("1", "a"), ("3", "b")])));
    let [Changed::Task { old: Some(old), new: None }, Changed::Task { old: None, new: Some(new) }] =
        &*changed
    else {
        panic!("{changed:?}")
    };
    assert_eq!((&*old.id, &*new.id), ("2", "3"));
    assert_eq!(picture.apply(Input::Agent(agent("a"))), []);
    assert_eq!(picture.apply(Input::Framework(framework("f"))), []);
    assert_eq!(picture.cut(), [Changed::Leader]);
    assert_eq!(picture.cut(), []);
    assert_eq!(ids(&picture), ["1", "3"]);
    assert_eq!(picture.apply(Input::AgentRemoved("b".into())).len(), 2);
    assert_eq!(picture.apply(Input::FrameworkRemoved("f".into())).len(), 2);
    assert!(picture.is_empty());
}

#[test]
fn tasks_stay_until_their_agents_are_back_and_say_otherwise() {
    let fresh = || State {
        recovered: vec![agent("a"), agent("b")],
        heartbeat: Some(Duration::from_secs(15)),
        ..State::default()
    };
    let mut picture = Picture::default();
    picture.apply(input(state(&[("1", "a"), ("2", "a"), ("3", "b"), ("4", "c")])));
    picture.apply(input(fresh()));
    assert_eq!((ids(&picture), picture.kept()), (vec!["1", "2", "3"], 3));
    assert!(picture.framework("f").is_some() && picture.agent("a").is_some());
    // Tasks may be told before their agent, or behind it.
    picture.apply(added(message("1", "a")));
    picture.apply(Input::Agent(agent("a")));
    picture.apply(Input::Heartbeat);
    assert_eq!(ids(&picture), ["1", "2", "3"]);
    picture.apply(Input::Heartbeat);
    assert_eq!((ids(&picture), picture.kept()), (vec!["1", "3"], 1));
    // One that is told to be over goes at once; an agent that never comes back, in the end.
    for _ in 0..42 {
        assert_eq!(picture.apply(Input::Heartbeat), []);
    }
    assert_eq!(picture.apply(Input::Heartbeat).len(), 1);
    assert_eq!((ids(&picture), picture.kept()), (vec!["1"], 0));
}

#[test]
fn what_agents_run_of_which_nothing_was_known_is_not_known() {
    let fresh = || State { recovered: vec![agent("a"), agent("b")], ..State::default() };
    let mut picture = Picture::default();
    assert!(!picture.is_complete());
    picture.restore(None, state(&[("1", "a")]));
    assert!(picture.known() && !picture.is_complete());
    // What was known before this process may be old.
    picture.apply(input(fresh()));
    assert!(!picture.is_complete());
    assert_eq!(ids(&picture), ["1"]);
    // Another master still waits for the same agents.
    picture.apply(Input::Agent(agent("a")));
    picture.settle();
    picture.apply(input(fresh()));
    assert!(!picture.is_complete());
    picture.apply(Input::Agent(agent("b")));
    assert!(!picture.is_complete());
    picture.settle();
    assert!(picture.is_complete());
    // All of them are known now.
    picture.apply(input(fresh()));
    assert!(picture.is_complete());
    // One that is new here and goes for good, and one that never says anything.
    picture.apply(input(State { recovered: vec![agent("x"), agent("y")], ..State::default() }));
    picture.apply(Input::AgentRemoved("x".into()));
    assert!(!picture.is_complete());
    (0..45).for_each(|_| drop(picture.apply(Input::Heartbeat)));
    assert!(picture.is_complete());
}

#[test]
fn agents_that_are_given_up_take_their_tasks_along() {
    let mut picture = Picture::default();
    picture.apply(input(state(&[("1", "a"), ("2", "b")])));
    picture.apply(input(State { recovered: vec![agent("a"), agent("b")], ..State::default() }));
    picture.apply(Input::AgentRemoved("a".into()));
    assert_eq!((ids(&picture), picture.kept()), (vec!["2"], 1));
}

#[test]
fn the_latest_status_says_where_a_task_is() {
    let status = |state: TaskState, time: f64, ip: &str, healthy| v1::TaskStatus {
        task_id: v1::TaskId { value: "1".into() },
        state: state as i32,
        timestamp: Some(time),
        healthy,
        container_status: Some(Box::new(v1::ContainerStatus {
            network_infos: vec![v1::NetworkInfo {
                ip_addresses: vec![v1::network_info::IpAddress {
                    ip_address: Some(ip.into()),
                    ..v1::network_info::IpAddress::default()
                }],
                ..v1::NetworkInfo::default()
            }],
            ..v1::ContainerStatus::default()
        })),
        ..v1::TaskStatus::default()
    };
    let update = |status: v1::TaskStatus, state: TaskState| {
        let message = Message {
            r#type: Some(Type::TaskUpdated as i32),
            task_updated: Some(event::TaskUpdated {
                framework_id: v1::FrameworkId { value: "f".into() },
                status,
                state: state as i32,
            }),
            ..Message::default()
        };
        read(&message).unwrap()
    };
    let mut picture = Picture::default();
    picture.apply(input(state(&[])));
    let mut first = message("1", "a");
    first.health_check = Some(Box::default());
    first.statuses = vec![
        status(TaskState::TaskRunning, 2.0, "9.0.0.2", None),
        status(TaskState::TaskRunning, 1.0, "9.0.0.1", None),
        status(TaskState::TaskStarting, 3.0, "9.0.0.3", None),
    ];
    picture.apply(added(first));
    let now = |picture: &Picture| {
        let task = picture.task("f", "1").unwrap();
        (task.network.addresses.first().unwrap().to_string(), task.healthy, task.phase)
    };
    assert_eq!(now(&picture), ("9.0.0.2".into(), Some(false), Phase::Running));
    let running = TaskState::TaskRunning;
    picture.apply(update(status(running, 4.0, "9.0.0.4", Some(true)), running));
    assert_eq!(now(&picture), ("9.0.0.4".into(), Some(true), Phase::Running));
    // An older one is told once more.
    picture.apply(update(status(running, 3.5, "9.0.0.3", None), running));
    assert_eq!(now(&picture), ("9.0.0.4".into(), Some(true), Phase::Running));
    // What it is told last may be ahead of the status.
    picture.apply(update(status(running, 5.0, "9.0.0.5", None), TaskState::TaskKilling));
    assert_eq!(now(&picture), ("9.0.0.5".into(), Some(true), Phase::Killing));
    picture.apply(update(status(running, 6.0, "9.0.0.5", None), TaskState::TaskUnreachable));
    assert!(picture.is_empty());
    assert_eq!(picture.apply(update(status(running, 7.0, "9.0.0.5", None), running)), []);
}

#[test]
fn where_schedulers_listen_outlives_their_changes() {
    let mut picture = Picture::default();
    picture.apply(input(state(&[])));
    let address = "10.0.0.7:4000".parse().ok();
    let scheduler = |address| Input::Scheduler { framework: "f".into(), address };
    assert_eq!(picture.apply(scheduler(address)).len(), 1);
    picture.apply(Input::Framework(Framework { connected: false, ..framework("f") }));
    assert_eq!(picture.framework("f").unwrap().scheduler, address);
    assert_eq!(picture.apply(scheduler(None)).len(), 1);
    assert_eq!(picture.apply(Input::Scheduler { framework: "g".into(), address }), []);
}
