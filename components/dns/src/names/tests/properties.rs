//! Whatever happens in whatever order: names made step by step are those made at once.

use cluster_events::picture::{Input, Phase, State, StatusUpdate, Task};
use proptest::prelude::*;

use super::build::{With as _, agent, framework, task};
use super::*;

/// Something that happens to one of a few tasks, agents and frameworks.
#[derive(Clone, Debug)]
enum Step {
    Task {
        framework: u8,
        id: u8,
        name: u8,
        agent: u8,
        ip: u8,
        is_found: bool,
    },
    Update {
        framework: u8,
        id: u8,
        phase: Phase,
    },
    Agent {
        id: u8,
        ip: u8,
    },
    AgentGone(u8),
    Framework {
        id: u8,
        name: u8,
    },
    FrameworkGone(u8),
    Lead(Option<u8>),
    /// A new master that has not heard of some agents again.
    Fresh {
        recovered: u8,
    },
    Heartbeat,
}

fn step() -> impl Strategy<Value = Step> {
    let few = 0u8..3;
    prop_oneof![
        6 => (few.clone(), 0u8..6, few.clone(), few.clone(), few.clone(), any::<bool>()).prop_map(
            |(framework, id, name, agent, ip, is_found)| Step::Task {
                framework, id, name, agent, ip, is_found
            }
        ),
        4 => (few.clone(), 0u8..6, prop_oneof![
            Just(Phase::Running), Just(Phase::Killing), Just(Phase::Ended), Just(Phase::Preparing)
        ]).prop_map(|(framework, id, phase)| Step::Update { framework, id, phase }),
        2 => (few.clone(), few.clone()).prop_map(|(id, ip)| Step::Agent { id, ip }),
        1 => few.clone().prop_map(Step::AgentGone),
        2 => (few.clone(), few.clone()).prop_map(|(id, name)| Step::Framework { id, name }),
        1 => few.clone().prop_map(Step::FrameworkGone),
        1 => proptest::option::of(few.clone()).prop_map(Step::Lead),
        1 => few.prop_map(|recovered| Step::Fresh { recovered }),
        1 => Just(Step::Heartbeat),
    ]
}

fn made(framework: u8, id: u8, name: u8, agent: u8, ip: u8, is_found: bool) -> Task {
    let name = ["web", "Web", "c.b.a"][usize::from(name)];
    let task = task(&format!("f{framework}"), &format!("t{id}"), name, &format!("x-S{agent}"));
    let task = task.ports(&[(31000, 31001)]);
    let task = if ip == 0 { task } else { task.netinfo(&[&format!("9.0.0.{ip}")]) };
    if is_found { task.found_as(name, &[(80, "tcp", "http")]) } else { task }
}

fn happen(picture: &mut Picture, step: Step) -> Vec<Changed> {
    match step {
        Step::Task { framework, id, name, agent, ip, is_found } => {
            picture.apply(Input::TaskAdded(made(framework, id, name, agent, ip, is_found)))
        }
        Step::Update { framework, id, phase } => picture.apply(Input::TaskUpdated(StatusUpdate {
            id: format!("t{id}").into(),
            framework: format!("f{framework}").into(),
            phase,
            healthy: None,
            network: None,
            told: 0,
        })),
        Step::Agent { id, ip } => {
            picture.apply(Input::Agent(agent(&format!("x-S{id}"), &format!("10.0.0.{ip}:5051"))))
        }
        Step::AgentGone(id) => picture.apply(Input::AgentRemoved(format!("x-S{id}").into())),
        Step::Framework { id, name } => {
            let name = ["marathon", "dev.marathon", "Marathon"][usize::from(name)];
            picture.apply(Input::Framework(framework(&format!("f{id}"), name, None)))
        }
        Step::FrameworkGone(id) => picture.apply(Input::FrameworkRemoved(format!("f{id}").into())),
        Step::Lead(None) => picture.cut(),
        Step::Lead(Some(id)) => {
            let state = State {
                agents: picture.agents().map(|one| one.as_ref().clone()).collect(),
                frameworks: picture.frameworks().map(|one| one.as_ref().clone()).collect(),
                tasks: picture.tasks().map(|one| one.as_ref().clone()).collect(),
                ..State::default()
            };
            let leader = format!("10.0.1.{id}:5050").parse().ok();
            picture.connected(leader, Input::State(Box::new(state)))
        }
        Step::Fresh { recovered } => {
            let state = State {
                recovered: (0..=recovered)
                    .map(|id| agent(&format!("x-S{id}"), "10.0.0.1:5051"))
                    .collect(),
                frameworks: picture.frameworks().map(|one| one.as_ref().clone()).collect(),
                ..State::default()
            };
            picture.connected(None, Input::State(Box::new(state)))
        }
        Step::Heartbeat => picture.apply(Input::Heartbeat),
    }
}

proptest! {
    #[test]
    fn steps_add_up(steps in proptest::collection::vec(step(), 1..60)) {
        let mut picture = Picture::default();
        let mut names = Names::new(Settings::default());
        let mut held = Held::new();
        enter(&mut held, names.all());
        for step in steps {
            let changed = happen(&mut picture, step);
            names.update(&picture, &changed);
            let before = held.clone();
            // In pieces or at once.
            let mut changes = names.some_changes(2);
            changes.append(&mut names.changes());
            enter(&mut held, changes);
            if changed.is_empty() {
                prop_assert_eq!(&before, &held);
            }
        }
        let mut anew = Names::new(Settings::default());
        let leader = names.masters.clone();
        anew.update(&picture, &[Changed::All]);
        let old = std::mem::take(&mut anew.masters);
        anew.exchange(old, leader);
        let mut expected = Held::new();
        enter(&mut expected, anew.all());
        prop_assert_eq!(held, expected);
    }
}
