//! Finding tasks in what the master knows.

use crate::context::Context;
use crate::json::{list, some_text, text};
use anyhow::bail;
use serde_json::Value;
use std::collections::BTreeMap;

/// Which tasks are meant.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    /// Tasks that run or wait to.
    pub(super) active: bool,
    /// Tasks that are over.
    pub(super) completed: bool,
    /// A part of the id, or a pattern of the whole.
    pub(super) id: Option<String>,
    /// Exactly these ids.
    pub(super) ids: Option<Vec<String>>,
    pub(super) agent: Option<String>,
}

/// A task and where it is.
#[derive(Clone, Debug)]
pub(super) struct Task {
    pub(super) id: String,
    /// Whether it is not over.
    pub(super) active: bool,
    pub(super) framework: String,
    /// The user tasks of the framework run as.
    pub(super) user: String,
    pub(super) executor: String,
    pub(super) agent_id: String,
    /// The agent as the master knows it; nothing when it is gone.
    pub(super) agent: Value,
    /// The task as the master tells it.
    pub(super) value: Value,
}

// === impl Filter ===

impl Filter {
    /// Every task there is.
    pub(super) fn all() -> Filter {
        Filter { active: true, completed: true, ..Filter::default() }
    }

    /// Asks the master.
    pub(super) async fn find(&self, context: &mut Context) -> anyhow::Result<Vec<Task>> {
        let state = context.mesos()?.get("/master/state").await?;
        Ok(self.tasks(&state))
    }

    /// As [`Filter::find`]; finding none is an error.
    pub(super) async fn find_some(&self, context: &mut Context) -> anyhow::Result<Vec<Task>> {
        let state = context.mesos()?.get("/master/state").await?;
        let found = self.tasks(&state);
        if found.is_empty() {
            let all = Filter { active: true, completed: true, ..self.clone() };
            let over = all.tasks(&state).len();
            if over > 0 && !self.completed {
                context.io.note(format!("{over} that are over fit; --completed takes them"))?;
            }
            self.complain()?;
        }
        Ok(found)
    }

    /// Says what was not found, if anything was asked for.
    pub(super) fn complain(&self) -> anyhow::Result<()> {
        match (&self.id, &self.agent) {
            (Some(id), Some(agent)) => {
                bail!("no task ID found containing '{id}' in agent '{agent}'")
            }
            (Some(id), None) => bail!("no task ID found containing '{id}'"),
            (None, Some(agent)) => bail!("no task found in agent '{agent}'"),
            (None, None) => Ok(()),
        }
    }

    pub(super) fn tasks(&self, state: &Value) -> Vec<Task> {
        let agents: BTreeMap<&str, &Value> = ["/slaves", "/recovered_slaves"]
            .iter()
            .flat_map(|pointer| list(state, pointer))
            .map(|agent| (text(agent, "/id"), agent))
            .collect();
        let mut found = Vec::new();
        // Tasks of frameworks that are over are over too.
        for framework in
            list(state, "/frameworks").iter().chain(list(state, "/completed_frameworks"))
        {
            for (pointer, active) in
                [("/tasks", true), ("/unreachable_tasks", true), ("/completed_tasks", false)]
            {
                if if active { self.active } else { self.completed } {
                    let tasks = list(framework, pointer).iter().filter(|task| self.fits(task));
                    found.extend(tasks.map(|task| Task::of(task, framework, active, &agents)));
                }
            }
        }
        found
    }

    fn fits(&self, task: &Value) -> bool {
        let id = text(task, "/id");
        if self.agent.as_ref().is_some_and(|agent| text(task, "/slave_id") != agent) {
            return false;
        }
        if let Some(ids) = &self.ids {
            return ids.iter().any(|one| one == id);
        }
        self.id.as_ref().is_none_or(|part| id.contains(part.as_str()) || glob(part, id))
    }
}

// === impl Task ===

impl Task {
    fn of(task: &Value, framework: &Value, active: bool, agents: &BTreeMap<&str, &Value>) -> Task {
        let id = text(task, "/id");
        let agent_id = text(task, "/slave_id");
        Task {
            id: id.to_owned(),
            active,
            framework: text(framework, "/id").to_owned(),
            user: text(framework, "/user").to_owned(),
            executor: some_text(task, "/executor_id").unwrap_or(id).to_owned(),
            agent_id: agent_id.to_owned(),
            agent: agents.get(agent_id).map(|agent| (*agent).clone()).unwrap_or_default(),
            value: task.clone(),
        }
    }

    /// The ids of its container and of the one that is in, innermost first.
    pub(super) fn container(&self) -> Option<(&str, Option<&str>)> {
        let status = list(&self.value, "/statuses")
            .iter()
            .rev()
            .find(|status| some_text(status, "/container_status/container_id/value").is_some())?;
        let own = text(status, "/container_status/container_id/value");
        Some((own, some_text(status, "/container_status/container_id/parent/value")))
    }
}

/// Whether a text is of a pattern with `*`, `?` and `[...]`.
pub(super) fn glob(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    let (mut p, mut t) = (0, 0);
    // Where to go on when what follows the last star did not fit.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        let step = match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
                continue;
            }
            Some('[') => set(&pattern, p, text.get(t).copied().unwrap_or_default()),
            Some('?') => Some(p + 1),
            Some(c) => text.get(t).filter(|other| *other == c).map(|_| p + 1),
            None => None,
        };
        match (step, star) {
            (Some(next), _) => (p, t) = (next, t + 1),
            (None, Some((at, from))) => {
                star = Some((at, from + 1));
                (p, t) = (at + 1, from + 1);
            }
            (None, None) => return false,
        }
    }
    pattern.iter().skip(p).all(|c| *c == '*')
}

/// Where the set that begins at `start` ends, if the character is in it.
fn set(pattern: &[char], start: usize, c: char) -> Option<usize> {
    let end = start + 1 + pattern.iter().skip(start + 2).position(|c| *c == ']')? + 1;
    let inside = pattern.get(start + 1..end)?;
    let (negated, inside) = match inside.first() {
        Some('!' | '^') if inside.len() > 1 => (true, inside.get(1..)?),
        _ => (false, inside),
    };
    let mut found = false;
    let mut at = 0;
    while let Some(first) = inside.get(at) {
        match (inside.get(at + 1), inside.get(at + 2)) {
            (Some('-'), Some(last)) => {
                found |= (first..=last).contains(&&c);
                at += 3;
            }
            _ => {
                found |= *first == c;
                at += 1;
            }
        }
    }
    (found != negated).then_some(end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn state() -> Value {
        json!({
            "slaves": [{"id": "S0", "hostname": "a"}],
            "frameworks": [{"id": "F0", "user": "root",
                "tasks": [
                    {"id": "web.1", "slave_id": "S0", "executor_id": "", "statuses": [
                        {"state": "TASK_STARTING"},
                        {"container_status": {"container_id":
                            {"value": "c-2", "parent": {"value": "c-1"}}}}]},
                    {"id": "db.1", "slave_id": "S9", "executor_id": "e"}],
                "completed_tasks": [{"id": "web.0", "slave_id": "S0"}]}],
            "completed_frameworks": [{"id": "F1", "completed_tasks": [{"id": "run"}]}],
        })
    }

    fn ids(filter: &Filter) -> Vec<String> {
        filter.tasks(&state()).into_iter().map(|task| task.id).collect()
    }

    #[test]
    fn tasks_are_found_by_part_pattern_state_and_agent() {
        let active = Filter { active: true, ..Filter::default() };
        assert_eq!(ids(&active), ["web.1", "db.1"]);
        let all = Filter { completed: true, ..active.clone() };
        assert_eq!(ids(&all), ["web.1", "db.1", "web.0", "run"]);
        let with = |id: &str| Filter { id: Some(id.to_owned()), ..all.clone() };
        assert_eq!(ids(&with("eb.")), ["web.1", "web.0"]);
        assert_eq!(ids(&with("*.1")), ["web.1", "db.1"]);
        let agent = Filter { agent: Some("S9".to_owned()), ..all };
        assert_eq!(ids(&agent), ["db.1"]);
        let nothing = Filter { id: Some("zzz".to_owned()), ..active };
        assert_eq!(
            nothing.complain().unwrap_err().to_string(),
            "no task ID found containing 'zzz'"
        );
    }

    #[test]
    fn a_task_knows_where_it_is() {
        let tasks = Filter { active: true, ..Filter::default() }.tasks(&state());
        let web = &tasks[0];
        assert_eq!((web.executor.as_str(), web.user.as_str()), ("web.1", "root"));
        assert_eq!(web.container(), Some(("c-2", Some("c-1"))));
        assert_eq!(text(&web.agent, "/hostname"), "a");
        assert!(tasks[1].agent.is_null() && tasks[1].container().is_none());
    }

    #[test]
    fn patterns() {
        for (pattern, text) in [
            ("", ""),
            ("*", ""),
            ("a*c", "abbc"),
            ("?b", "ab"),
            ("[a-c]x", "bx"),
            ("[!a]", "b"),
            ("*.[0-9]*", "web.12"),
            ("**a", "bba"),
        ] {
            assert!(glob(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("a", "ab"), ("?", ""), ("[a-c]", "d"), ("[", "["), ("a*b", "ac")] {
            assert!(!glob(pattern, text), "{pattern} {text}");
        }
    }

    proptest! {
        #[test]
        fn any_pattern_is_taken(pattern in "[a-c*?\\[\\]!^-]{0,12}", text in "[a-c]{0,12}") {
            let _ = glob(&pattern, &text);
        }
    }
}
