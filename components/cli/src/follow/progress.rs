//! How far one app of a deployment is, from what Marathon tells of it.

use crate::json::{count, list, number, shown, some_text, text};
use serde_json::Value;

/// The most reasons that are named at once.
const REASONS: usize = 2;

/// How far an app is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AppProgress {
    pub(super) id: String,
    /// Instances that serve, of the wanted configuration.
    pub(super) ready: u64,
    pub(super) wanted: u64,
    /// Instances of an earlier configuration that still run.
    pub(super) old: u64,
    /// Whether it is being stopped.
    stopping: bool,
    waiting: Option<String>,
}

// === impl AppProgress ===

impl AppProgress {
    pub(super) fn of(app: &Value, action: Option<&str>, queued: Option<&Value>) -> AppProgress {
        let checked = !list(app, "/healthChecks").is_empty();
        let latest = app.pointer("/tasksStats/withLatestConfig/stats/counts");
        let (counts, all) = match app.pointer("/tasksStats/totalSummary/stats/counts") {
            // Numbers of all instances, where there are none of the latest.
            _ if app.get("tasksStats").is_none() => (None, None),
            all => (latest, all),
        };
        let alive = |counts: &Value| count(counts, "/staged") + count(counts, "/running");
        let ready = match counts {
            Some(counts) if checked => count(counts, "/healthy"),
            Some(counts) => count(counts, "/running"),
            None if app.get("tasksStats").is_some() => 0,
            None if checked => count(app, "/tasksHealthy"),
            None => count(app, "/tasksRunning"),
        };
        let old = all.map_or(0, alive).saturating_sub(counts.map_or(0, alive));
        AppProgress {
            id: text(app, "/id").to_owned(),
            ready,
            wanted: count(app, "/instances"),
            old,
            stopping: action.is_some_and(|action| action.starts_with("Stop")),
            waiting: queued.and_then(waiting),
        }
    }

    /// Whether nothing is left to do.
    pub(super) fn is_done(&self) -> bool {
        self.ready >= self.wanted && self.old == 0
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// With the reason why it waits, or without.
    pub(super) fn telling_why(mut self, tell: bool) -> AppProgress {
        if !tell {
            self.waiting = None;
        }
        self
    }

    /// What a line says after the numbers.
    pub(super) fn remark(&self) -> String {
        let mut remarks = Vec::new();
        if self.old > 0 {
            remarks.push(format!("{} of an earlier version", self.old));
        }
        if let Some(waiting) = &self.waiting {
            remarks.push(format!("waiting: {waiting}"));
        }
        remarks.join("; ")
    }

    pub(super) fn numbers(&self) -> String {
        if self.stopping {
            return format!("stopping, {} left", self.ready.max(self.old));
        }
        format!("{}/{} ready", self.ready, self.wanted)
    }

    pub(super) fn line(&self) -> String {
        let remark = self.remark();
        let remark = if remark.is_empty() { remark } else { format!(" ({remark})") };
        format!("{}: {}{remark}", self.id, self.numbers())
    }
}

/// Why an item of the launch queue waits, in short.
fn waiting(item: &Value) -> Option<String> {
    let mut reasons = reasons(item);
    reasons.truncate(REASONS);
    // "waiting: waits until" would say it twice.
    for reason in &mut reasons {
        if let Some(rest) = reason.strip_prefix("waits ") {
            *reason = rest.to_owned();
        }
    }
    (!reasons.is_empty()).then(|| reasons.join(", "))
}

/// All reasons why an item of the launch queue waits, most frequent first.
pub(crate) fn reasons(item: &Value) -> Vec<String> {
    let told: Vec<String> = list(item, "/pendingReasons").iter().filter_map(reason).collect();
    if !told.is_empty() {
        return told;
    }
    let mut found = Vec::new();
    if let Some(seconds) = number(item, "/delay/timeLeftSeconds").filter(|seconds| *seconds > 0.0) {
        found.push(format!("back-off for {seconds} s more"));
    }
    let mut declined: Vec<&Value> = list(item, "/processedOffersSummary/rejectSummaryLastOffers")
        .iter()
        .filter(|entry| count(entry, "/declined") > 0)
        .collect();
    declined.sort_by_key(|entry| std::cmp::Reverse(count(entry, "/declined")));
    found.extend(declined.iter().map(|entry| {
        let (declined, processed) = (count(entry, "/declined"), count(entry, "/processed"));
        format!("{} ({declined} of {processed} offers)", text(entry, "/reason"))
    }));
    found
}

fn reason(reason: &Value) -> Option<String> {
    if let Some(text) = reason.as_str() {
        return Some(text.to_owned());
    }
    let what = ["/message", "/detail", "/text", "/reason"]
        .iter()
        .find_map(|pointer| some_text(reason, pointer))?;
    let agents = match reason.get("agents") {
        Some(Value::Array(agents)) => Some(agents.len().to_string()),
        Some(Value::Null) | None => reason.get("count").map(shown),
        Some(other) => Some(shown(other)),
    };
    Some(match agents {
        Some(agents) if agents == "1" => format!("{what} (1 agent)"),
        Some(agents) => format!("{what} ({agents} agents)"),
        None => what.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_rolling_update_counts_the_new_ones() {
        let app = json!({"id": "/web", "instances": 3, "healthChecks": [{}], "tasksHealthy": 3,
            "tasksRunning": 4, "tasksStats": {
                "withLatestConfig": {"stats": {"counts":
                    {"staged": 0, "running": 2, "healthy": 1, "unhealthy": 0}}},
                "totalSummary": {"stats": {"counts":
                    {"staged": 0, "running": 4, "healthy": 3, "unhealthy": 0}}}}});
        let progress = AppProgress::of(&app, Some("RestartApplication"), None);
        assert_eq!((progress.ready, progress.wanted, progress.old), (1, 3, 2));
        assert_eq!(progress.line(), "/web: 1/3 ready (2 of an earlier version)");
    }

    #[test]
    fn before_the_first_new_one_none_is_ready() {
        let app = json!({"id": "/web", "instances": 2, "tasksRunning": 2, "tasksStats": {
            "totalSummary": {"stats": {"counts": {"staged": 0, "running": 2}}}}});
        let progress = AppProgress::of(&app, None, None);
        assert_eq!((progress.ready, progress.old), (0, 2));
    }

    #[test]
    fn without_statistics_the_counts_are_used() {
        let app = json!({"id": "/a", "instances": 2, "tasksRunning": 1, "tasksHealthy": 0});
        assert_eq!(AppProgress::of(&app, None, None).line(), "/a: 1/2 ready");
        let checked = json!({"id": "/a", "instances": 2, "tasksRunning": 1, "tasksHealthy": 0,
            "healthChecks": [{}]});
        assert_eq!(AppProgress::of(&checked, None, None).line(), "/a: 0/2 ready");
        let stopping = AppProgress::of(&app, Some("StopApplication"), None);
        assert_eq!(stopping.line(), "/a: stopping, 1 left");
    }

    #[test]
    fn reasons_come_from_the_queue() {
        let item = json!({"pendingReasons": [
            {"reason": "InsufficientCpus", "message": "not enough cpus", "agents": 3},
            {"reason": "BackOff", "message": "waits until 12:00 after failures"}]});
        let told = ["not enough cpus (3 agents)", "waits until 12:00 after failures"];
        assert_eq!(reasons(&item), told);
        let app = json!({"id": "/a", "instances": 1});
        let line = AppProgress::of(&app, None, Some(&item)).line();
        assert_eq!(
            line,
            "/a: 0/1 ready (waiting: not enough cpus (3 agents), until 12:00 after failures)"
        );
    }

    #[test]
    fn a_queue_of_the_original_tells_too() {
        let item = json!({"delay": {"timeLeftSeconds": 7}, "processedOffersSummary":
            {"rejectSummaryLastOffers": [
                {"reason": "UnfulfilledRole", "declined": 0, "processed": 4},
                {"reason": "InsufficientCpus", "declined": 1, "processed": 4},
                {"reason": "InsufficientPorts", "declined": 3, "processed": 3}]}});
        let expected = [
            "back-off for 7 s more",
            "InsufficientPorts (3 of 3 offers)",
            "InsufficientCpus (1 of 4 offers)",
        ];
        assert_eq!(reasons(&item), expected);
        assert!(reasons(&json!({})).is_empty());
    }
}
