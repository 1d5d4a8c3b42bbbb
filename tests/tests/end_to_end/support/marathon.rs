//! A client of Marathon's API, and a look at the processes of its tasks.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use super::http::{self, JSON};
use super::processes::{self, Process};
use super::{eventually, wait_until};

/// Makes requests to one Marathon.
#[derive(Clone, Debug)]
pub(crate) struct Marathon(pub(crate) String);

/// A task found among the processes of the machine.
#[derive(Clone, Debug)]
pub(crate) struct TaskProcess {
    pub(crate) process: Process,
    pub(crate) version: String,
}

// === impl Marathon ===

impl Marathon {
    /// Sends a body that must be taken; gives the answer's.
    pub(crate) fn send(&self, method: &str, path: &str, body: &Value) -> Value {
        let answer = http::send(&self.0, method, path, &JSON, body.to_string().as_bytes());
        assert!((200..300).contains(&answer.status), "{method} {path}: {answer:?}");
        answer.json()
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        let answer = http::get(&self.0, path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }

    /// Waits until nothing is being deployed.
    pub(crate) fn settled(&self) {
        wait_until("the end of all deployments", || self.deployments().is_empty());
    }

    pub(crate) fn deployments(&self) -> Vec<Value> {
        self.get("/v2/deployments").as_array().cloned().unwrap_or_default()
    }

    /// The ids of an app's tasks that run, with what the API says of each.
    pub(crate) fn running(&self, app: &str) -> BTreeMap<String, Value> {
        let tasks = self.get(&format!("/v2/apps/{app}/tasks"));
        let tasks = tasks["tasks"].as_array().cloned().unwrap_or_default();
        let running = tasks.into_iter().filter(|task| task["state"] == "TASK_RUNNING");
        running.map(|task| (task["id"].as_str().expect("an id").to_owned(), task)).collect()
    }

    /// Creates an app and waits until it runs.
    pub(crate) fn run(&self, app: &Value) {
        self.send("POST", "/v2/apps", app);
        self.settled();
    }

    /// Waits until this many of an app's tasks run.
    pub(crate) fn wait_for(&self, app: &str, count: usize) -> BTreeMap<String, Value> {
        eventually(&format!("{count} tasks of {app}"), || {
            let running = self.running(app);
            (running.len() == count).then_some(running)
        })
    }
}

/// A service that does nothing but stay, told apart from those of other tests by `seconds`.
pub(crate) fn sleeper(id: &str, instances: u32, seconds: u32) -> Value {
    json!({
        "id": id, "cmd": format!("exec sleep {seconds}"), "instances": instances,
        "cpus": 0.01, "mem": 8, "disk": 0, "portDefinitions": [],
    })
}

/// The tasks whose command is `sleep <seconds>` in `folder`, by id.
pub(crate) fn sleepers(folder: &Path, seconds: u32) -> BTreeMap<String, TaskProcess> {
    let command = format!("sleep {seconds}");
    let found = processes::of_folder(folder).into_iter();
    found
        .filter(|process| process.command == command)
        .filter_map(|process| {
            let environment = std::fs::read(format!("/proc/{}/environ", process.pid)).ok()?;
            let text = String::from_utf8_lossy(&environment);
            let value = |name: &str| {
                let mut lines = text.split('\0');
                lines.find_map(|line| Some(line.strip_prefix(name)?.to_owned()))
            };
            let version = value("MARATHON_APP_VERSION=")?;
            Some((value("MESOS_TASK_ID=")?, TaskProcess { process, version }))
        })
        .collect()
}
