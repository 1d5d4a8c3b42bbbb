//! Bodies that the original refused: ours are refused with the same words.
use crate::files::{Exchange, matching};
use mesos_messages::content::{ContentType, decode};
use mesos_messages::json::JsonMessage;
use mesos_messages::v1::{agent, executor, master, scheduler};

fn refusal<M: JsonMessage>(exchange: &Exchange) -> Option<String> {
    let header = exchange.request_head.lines().find_map(|line| line.strip_prefix("Content-Type: "));
    let content = ContentType::from_header(header?)?;
    decode::<M>(content, &exchange.request).err().map(|error| error.to_string())
}

#[test]
fn refused_bodies() {
    let mut compared = 0;
    let mut recorded = matching("http_running", "err_", ".http");
    recorded.extend(matching("v1_scheduler", "call_", ".http"));
    recorded.extend(matching("op_writes", "", ".http"));
    for (name, text) in recorded {
        // The master has no executor API: there this is an operator call.
        if name == "err_exec_on_master.http" {
            continue;
        }
        let exchange = Exchange::new(&text);
        let line = exchange.request_head.lines().next().unwrap_or_default();
        let path = line.split(' ').nth(1).unwrap_or_default();
        let ours = match path.rsplit('/').next() {
            Some("scheduler") => refusal::<scheduler::Call>(&exchange),
            Some("executor") => refusal::<executor::Call>(&exchange),
            Some("v1") if name.contains("agent_") => refusal::<agent::Call>(&exchange),
            Some("v1") => refusal::<master::Call>(&exchange),
            _ => continue,
        };
        let theirs = String::from_utf8_lossy(&exchange.response).into_owned();
        if theirs.starts_with("Failed to parse") || theirs.starts_with("Failed to convert") {
            compared += 1;
            assert_eq!(ours.as_deref(), Some(theirs.trim_end_matches('\n')), "{name}");
        } else if !exchange.response_head.contains(" 405 ")
            && !exchange.response_head.contains(" 415 ")
        {
            assert_eq!(ours, None, "{name}");
        }
    }
    assert!(compared == 0 || compared > 5, "only {compared} refusals were found");
}
