//! What users and faults do.

use crate::{
    Command, Input, KillWhat,
    testing::{World, status},
};
use marathon_model::{InstanceId, PathId, change::Change};
use mesos_messages::v1::TaskState;
use serde_json::{Value, json};

const APPS: [&str; 5] = ["/a", "/b", "/g/c", "/g/d", "/g/e"];
const AGENTS: [&str; 4] = ["agent-0", "agent-1", "agent-2", "agent-3"];

/// Does one random thing after the other.
pub(super) struct Player {
    pub(super) world: World,
    loud: bool,
    changes: u32,
}

// === impl Player ===

impl Player {
    pub(super) fn new(mut world: World, loud: bool) -> Self {
        let agents = 2 + world.dice.below(3) as usize;
        let cpus = 4.0 + world.dice.below(5) as f64;
        for name in AGENTS.iter().take(agents) {
            world.cluster.add_agent(name, cpus);
        }
        world.connect();
        Self { world, loud, changes: 0 }
    }

    fn say(&self, text: &dyn std::fmt::Display) {
        if self.loud {
            println!("{:>9.3} {text}", self.world.now.mono.as_secs_f64());
        }
    }

    pub(super) fn act(&mut self) {
        match self.world.dice.below(23) {
            0..=3 => self.create(),
            4..=6 => self.update(),
            7 | 8 => self.scale(),
            9 => self.restart_app(),
            10 => self.delete(),
            11 | 12 => self.kill(),
            13 | 14 => self.fail(),
            15 | 16 => self.cut(),
            17 => self.crash(),
            18 => self.cancel(),
            19..=21 => self.group(),
            _ => self.disturb(),
        }
    }

    fn app(&mut self) -> &'static str {
        APPS[self.world.dice.below(5) as usize]
    }

    fn command(&mut self, command: Command) {
        let text = format!("{command:?}");
        let reply = self.world.command(command);
        let reply = reply.map(drop).map_err(|error| error.to_string());
        self.say(&format!("{} -> {reply:?}", text.chars().take(200).collect::<String>()));
    }

    fn fate(&mut self) -> String {
        self.changes += 1;
        let fate = match self.world.dice.below(8) {
            0 => "crash",
            1 => "sick",
            2 => "short",
            _ => "fine",
        };
        format!("{fate} {}", self.changes)
    }

    fn fraction(&mut self) -> f64 {
        [0.0, 0.25, 0.5, 0.75, 1.0][self.world.dice.below(5) as usize]
    }

    fn create(&mut self) {
        let id = self.app();
        let app = self.new_app(id);
        let change = Change::CreateApp(crate::testing::update(&app));
        self.command(Command::Change { change, force: false });
    }

    /// Apps that come one after the other: a step each.
    fn group(&mut self) {
        let mut apps = Vec::new();
        for (id, needs) in [("/g/c", None), ("/g/d", Some("c")), ("/g/e", Some("d"))] {
            let mut app = self.new_app(id);
            if let Some(needs) = needs {
                app["dependencies"] = json!([needs]);
            }
            apps.push(app);
        }
        let update = json!({"id": "/g", "apps": apps});
        let update = marathon_model::GroupUpdate::parse(&update).unwrap();
        let force = self.world.dice.once_in(2);
        let id = PathId::parse("/g").unwrap();
        self.command(Command::Change { change: Change::UpdateGroup { id, update }, force });
        // Often enough something happens in one of the later steps.
        let seconds = self.world.dice.below(30);
        self.world.run(seconds);
        match self.world.dice.below(4) {
            0 => self.crash(),
            1 => {
                self.crash();
                self.cut();
            }
            _ => {}
        }
    }

    fn new_app(&mut self, id: &str) -> Value {
        let cmd = self.fate();
        let dice = &mut self.world.dice;
        let mut app = json!({
            "id": id, "cmd": cmd, "cpus": 0.5 * (1 + dice.below(4)) as f64, "mem": 1,
            "instances": dice.below(6), "portDefinitions": [{"port": 0, "name": "http"}],
            "maxLaunchDelaySeconds": 60,
        });
        let mut set = |field: &str, value: Value| {
            app.as_object_mut().unwrap().insert(field.to_owned(), value);
        };
        if dice.once_in(2) {
            set(
                "healthChecks",
                json!([{
                    "protocol": "HTTP", "gracePeriodSeconds": 10, "intervalSeconds": 10,
                    "timeoutSeconds": 2, "maxConsecutiveFailures": dice.below(3)
                }]),
            );
        }
        if dice.once_in(4) {
            set(
                "readinessChecks",
                json!([{
                    "portName": "http", "intervalSeconds": 5, "timeoutSeconds": 1
                }]),
            );
        }
        if dice.once_in(2) {
            set(
                "unreachableStrategy",
                match dice.below(3) {
                    0 => json!("disabled"),
                    _ => json!({"inactiveAfterSeconds": 5, "expungeAfterSeconds": 30}),
                },
            );
        }
        if dice.once_in(3) {
            set("labels", json!({"DAIS_AUTO_ROLLBACK": "2"}));
        }
        if dice.once_in(5) {
            set("constraints", json!([["hostname", "GROUP_BY", "2"]]));
        }
        let strategy = json!({
            "minimumHealthCapacity": self.fraction(), "maximumOverCapacity": self.fraction()
        });
        app.as_object_mut().unwrap().insert("upgradeStrategy".to_owned(), strategy);
        app
    }

    fn put(&mut self, json: &Value) {
        let id = PathId::parse(self.app()).unwrap();
        let force = self.world.dice.once_in(2);
        let update = crate::testing::update(json);
        let change = Change::UpdateApp { id, update, partial: true, create: false };
        self.command(Command::Change { change, force });
    }

    fn update(&mut self) {
        let cmd = self.fate();
        let mut json = json!({"cmd": cmd});
        if self.world.dice.once_in(3) {
            json["instances"] = json!(self.world.dice.below(6));
        }
        self.put(&json);
    }

    fn scale(&mut self) {
        let instances = self.world.dice.below(7);
        self.put(&json!({"instances": instances}));
    }

    fn restart_app(&mut self) {
        let (id, force) = (PathId::parse(self.app()).unwrap(), self.world.dice.once_in(2));
        self.command(Command::Change { change: Change::RestartApp { id }, force });
    }

    fn delete(&mut self) {
        let id = PathId::parse(self.app()).unwrap();
        self.command(Command::Change { change: Change::DeleteApp { id }, force: true });
    }

    fn instances(&self) -> Vec<InstanceId> {
        let view = self.world.core.view();
        view.apps.values().flat_map(|state| state.instances.keys().cloned()).collect()
    }

    fn kill(&mut self) {
        let all = self.instances();
        let count = 1 + self.world.dice.below(2) as usize;
        let at = self.world.dice.below(all.len().max(1) as u64) as usize;
        let ids = all.into_iter().skip(at).take(count).collect();
        let (scale, wipe) = match self.world.dice.below(3) {
            0 => (true, false),
            1 => (false, true),
            _ => (false, false),
        };
        let force = self.world.dice.once_in(2);
        self.command(Command::Kill { what: KillWhat::Ids(ids), scale, wipe, force });
    }

    fn task(&mut self) -> Option<String> {
        let count = self.world.cluster.live().count() as u64;
        let at = self.world.dice.below(count) as usize;
        self.world.cluster.live().nth(at).map(|(id, _)| id.clone())
    }

    fn fail(&mut self) {
        if let Some(task) = self.task() {
            let states = [TaskState::TaskFailed, TaskState::TaskFinished, TaskState::TaskGone];
            let state = states[self.world.dice.below(3) as usize];
            self.say(&format!("{task} ends as {state:?}"));
            self.world.end_task(&task, state);
        }
    }

    fn cut(&mut self) {
        let at = self.world.dice.below(self.world.cluster.agents.len() as u64) as usize;
        let Some((name, agent)) = self.world.cluster.agents.iter().nth(at) else { return };
        let (name, up) = (name.clone(), agent.up);
        self.say(&format!("{name} is {}", if up { "cut off" } else { "back" }));
        self.world.cut(&name, !up);
    }

    fn crash(&mut self) {
        self.say(&"the orchestrator is killed and starts again");
        self.world.restart();
    }

    fn cancel(&mut self) {
        let view = self.world.core.view();
        let at = self.world.dice.below(view.deployments.len().max(1) as u64) as usize;
        let Some(id) = view.deployments.get(at).map(|shown| shown.plan.id.clone()) else { return };
        let force = self.world.dice.once_in(2);
        self.command(Command::CancelDeployment { id, force });
    }

    /// The stream breaks, or somebody tells old stories.
    fn disturb(&mut self) {
        if self.world.dice.once_in(2) {
            self.say(&"the stream breaks");
            self.world.handle(Input::Disconnected);
            self.world.run(3);
            return self.world.connect();
        }
        let all = self.world.cluster.tasks.keys().cloned().collect::<Vec<_>>();
        let at = self.world.dice.below(all.len().max(1) as u64) as usize;
        if let Some(task) = all.get(at) {
            let over = self.world.cluster.live().all(|(id, _)| id != task);
            self.say(&format!("an old status of {task}"));
            let mut status = status(task);
            if over {
                status.set_state(TaskState::TaskFailed);
            } else {
                status.set_state(TaskState::TaskStaging);
            }
            self.world.send(Input::Update(Box::new(status)));
        }
    }

    /// All faults end, and there is room for all.
    pub(super) fn heal(&mut self) {
        self.say(&"everything is well from here on");
        let names: Vec<String> = self.world.cluster.agents.keys().cloned().collect();
        for name in names {
            self.world.cut(&name, true);
        }
        self.world.cluster.add_agent("agent-9", 40.0);
        self.world.handle(Input::Disconnected);
        self.world.connect();
    }
}
