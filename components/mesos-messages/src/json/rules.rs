//! The rules of reading and printing, one example each.
use super::JsonMessage;
use crate::{google, v1};

/// Reads `text` and prints it again.
fn check<M: JsonMessage>(text: &str, expected: &str) {
    let printed = M::from_json_slice(text.as_bytes()).map(|message| message.to_json_string());
    assert_eq!(printed.as_deref(), Ok(expected), "{text}");
}

fn refuse<M: JsonMessage>(text: &str, expected: &str) {
    let error = M::from_json_slice(text.as_bytes()).err().map(|error| error.to_string());
    assert_eq!(error.as_deref(), Some(expected), "{text}");
}

#[test]
fn defaults_are_printed_unless_deprecated() {
    check::<v1::Filters>("{}", r#"{"refuse_seconds":5.0}"#);
    check::<v1::FrameworkInfo>(
        r#"{"user":"u","name":"n"}"#,
        r#"{"user":"u","name":"n","failover_timeout":0.0,"checkpoint":false}"#,
    );
    check::<v1::CommandInfo>("{}", r#"{"shell":true}"#);
    check::<v1::environment::Variable>(r#"{"name":"a"}"#, r#"{"name":"a","type":"VALUE"}"#);
    check::<v1::scheduler::Call>("{}", "{}");
}

#[test]
fn numbers() {
    check::<v1::TimeInfo>(
        r#"{"nanoseconds":"-9223372036854775808"}"#,
        r#"{"nanoseconds":-9223372036854775808}"#,
    );
    check::<v1::TimeInfo>(r#"{"nanoseconds":1.9}"#, r#"{"nanoseconds":1}"#);
    check::<v1::value::Range>(
        r#"{"begin":18446744073709551615,"end":-1}"#,
        r#"{"begin":18446744073709551615,"end":18446744073709551615}"#,
    );
    check::<v1::value::Scalar>(r#"{"value":"Infinity"}"#, r#"{"value":"Infinity"}"#);
    check::<v1::value::Scalar>(r#"{"value":" 0.10 "}"#, r#"{"value":0.1}"#);
    check::<v1::value::Scalar>(r#"{"value":4}"#, r#"{"value":4.0}"#);
    refuse::<v1::value::Scalar>(
        r#"{"value":"much"}"#,
        "Failed to parse 'much' as a JSON number for field 'value': syntax error at line 1 near: much",
    );
    refuse::<v1::value::Scalar>(
        r#"{"value":"true"}"#,
        "Failed to parse 'true' as a JSON number for field 'value': Unexpected JSON type parsed",
    );
    refuse::<v1::value::Scalar>(
        r#"{"value":true}"#,
        "Not expecting a JSON boolean for field 'value'",
    );
}

#[test]
fn booleans() {
    check::<v1::CommandInfo>(r#"{"shell":"false"}"#, r#"{"shell":false}"#);
    refuse::<v1::CommandInfo>(r#"{"shell":0}"#, "Not expecting a JSON number for field 'shell'");
    refuse::<v1::CommandInfo>(
        r#"{"shell":"no"}"#,
        "Failed to parse 'no' as a JSON boolean for field 'shell': syntax error at line 1 near: o",
    );
}

#[test]
fn bytes_are_base64() {
    check::<v1::Uuid>(r#"{"value":"AAEC/w=="}"#, r#"{"value":"AAEC/w=="}"#);
    check::<v1::Uuid>(r#"{"value":"AA\n EC /w"}"#, r#"{"value":"AAEC/w=="}"#);
    check::<v1::Uuid>(r#"{"value":""}"#, r#"{"value":""}"#);
    refuse::<v1::Uuid>(
        r#"{"value":"A*"}"#,
        "Failed to base64 decode bytes field 'value': Invalid character '*'",
    );
}

#[test]
fn enums_go_by_name() {
    check::<v1::CapabilityInfo>(
        r#"{"capabilities":["CHOWN","LEVITATE","KILL"]}"#,
        r#"{"capabilities":["CHOWN","KILL"]}"#,
    );
    refuse::<v1::Value>(r#"{"type":"SCALA"}"#, "Failed to find enum for 'SCALA'");
    refuse::<v1::Value>(r#"{"type":0}"#, "Not expecting a JSON number for field 'type'");
    refuse::<v1::Value>(r#"{"type":null}"#, "Missing required fields: type");
}

#[test]
fn strings() {
    check::<v1::TaskId>(
        r#"{"value":"\u0001\"\\\/\t\u20ac"}"#,
        "{\"value\":\"\\u0001\\\"\\\\/\\t€\"}",
    );
    refuse::<v1::TaskId>(r#"{"value":7}"#, "Not expecting a JSON number for field 'value'");
    refuse::<v1::TaskId>(r#"{"value":["a"]}"#, "Not expecting a JSON array for field 'value'");
    refuse::<v1::TaskId>(r#"{"value":{}}"#, "Not expecting a JSON object for field 'value'");
}

#[test]
fn lists_are_flattened_and_may_be_single() {
    check::<v1::value::Set>(r#"{"item":"a"}"#, r#"{"item":["a"]}"#);
    check::<v1::value::Set>(r#"{"item":["a",null,["b"]]}"#, r#"{"item":["a","b"]}"#);
    check::<v1::value::Set>(r#"{"item":[]}"#, "{}");
    check::<v1::Labels>(r#"{"labels":{"key":"k"}}"#, r#"{"labels":[{"key":"k"}]}"#);
    refuse::<v1::Labels>(r#"{"labels":["k"]}"#, "Not expecting a JSON string for field 'labels'");
}

#[test]
fn maps_are_objects() {
    let quantities = r#"{"quantities":{"cpus":{"value":1.0},"mem":{"value":0.0}}}"#;
    check::<v1::offer_filters::ResourceQuantities>(quantities, quantities);
    refuse::<v1::offer_filters::ResourceQuantities>(
        r#"{"quantities":{"cpus":{}}}"#,
        "Missing required fields: quantities[0].value.value",
    );
    refuse::<v1::offer_filters::ResourceQuantities>(
        r#"{"quantities":7}"#,
        "Not expecting a JSON number for field 'quantities'",
    );
}

#[test]
fn of_one_key_the_last_value_counts() {
    check::<v1::TaskId>(r#"{"value":"a","value":"b"}"#, r#"{"value":"b"}"#);
    check::<v1::ContainerId>(
        r#"{"value":"a","parent":{},"parent":{"value":"p"}}"#,
        r#"{"value":"a","parent":{"value":"p"}}"#,
    );
    refuse::<v1::TaskId>(r#"{"value":"a","value":null}"#, "Missing required fields: value");
}

#[test]
fn missing_fields_are_named_in_the_originals_order() {
    refuse::<v1::TaskInfo>(
        r#"{"command":{"uris":[{"value":"u"},{}]},"resources":[{"type":"SCALAR"}],"task_id":{}}"#,
        "Missing required fields: name, agent_id, task_id.value, resources[0].name, command.uris[1].value",
    );
}

#[test]
fn one_of_several() {
    let text = r#"{"attribute_name":"rack"}"#;
    check::<v1::scheduler::attribute_constraint::Selector>(text, text);
    let text = r#"{"pseudoattribute_type":"HOSTNAME"}"#;
    check::<v1::scheduler::attribute_constraint::Selector>(text, text);
}

#[test]
fn durations_are_objects() {
    check::<google::protobuf::Duration>(r#"{"seconds":600,"nanos":0}"#, r#"{"seconds":600}"#);
    refuse::<v1::master::call::DrainAgent>(
        r#"{"agent_id":{"value":"a"},"max_grace_period":"10mins"}"#,
        "Not expecting a JSON string for field 'max_grace_period'",
    );
}

#[test]
fn an_agent_checkpoints_in_one_answer_only() {
    let info =
        v1::AgentInfo { hostname: "h".to_owned(), checkpoint: Some(true), ..Default::default() };
    assert!(!info.to_json_string().contains("checkpoint"));
    let agent = v1::master::response::get_agents::Agent { agent_info: info, ..Default::default() };
    assert!(agent.to_json_string().contains(r#""checkpoint":true}"#));
}

#[test]
fn lists_of_messages() {
    let list = v1::TaskId::list_from_json_slice(br#"[{"value":"a"},{"value":"b"}]"#);
    let mut out = Vec::new();
    v1::TaskId::write_json_list(&list.unwrap_or_default(), &mut out);
    assert_eq!(out, br#"[{"value":"a"},{"value":"b"}]"#);
    let error = |text: &str| {
        v1::TaskId::list_from_json_slice(text.as_bytes()).err().map(|error| error.to_string())
    };
    assert_eq!(error("{}").as_deref(), Some("Expecting a JSON array"));
    assert_eq!(error("[1]").as_deref(), Some("Expecting a JSON object"));
    assert_eq!(error("[{}]").as_deref(), Some("Missing required fields: value"));
    assert_eq!(error("[").as_deref(), Some("syntax error at line 1 near: "));
}
