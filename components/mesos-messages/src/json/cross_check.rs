//! Both forms of a message carry the same: any message goes through JSON and protobuf and comes back.
use super::JsonMessage;
use crate::content::{ContentType, decode, encode};
use crate::v1;
use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;

fn double() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f64>().prop_filter("not in JSON", |value| !value.is_nan()),
        (-1_000_000i32..1_000_000).prop_map(|value| f64::from(value) / 1000.0),
    ]
}

fn container_id() -> impl Strategy<Value = v1::ContainerId> {
    (".*", of(".*")).prop_map(|(value, parent)| v1::ContainerId {
        value,
        parent: parent.map(|value| Box::new(v1::ContainerId { value, parent: None })),
    })
}

fn labels() -> impl Strategy<Value = v1::Labels> {
    let label = (".*", of(".*")).prop_map(|(key, value)| v1::Label { key, value });
    vec(label, 0..3).prop_map(|labels| v1::Labels { labels })
}

fn resource() -> impl Strategy<Value = v1::Resource> {
    let range = any::<(u64, u64)>().prop_map(|(begin, end)| v1::value::Range { begin, end });
    (".*", 0..4i32, of(double()), vec(range, 0..3), of(".*")).prop_map(
        |(name, kind, scalar, range, role)| v1::Resource {
            name,
            r#type: kind,
            scalar: scalar.map(|value| v1::value::Scalar { value }),
            ranges: Some(v1::value::Ranges { range }),
            role,
            shared: Some(v1::resource::SharedInfo::default()),
            ..Default::default()
        },
    )
}

fn command() -> impl Strategy<Value = v1::CommandInfo> {
    (of(".*"), vec(".*", 0..3), any::<Option<bool>>()).prop_map(|(value, arguments, shell)| {
        v1::CommandInfo { value, arguments, shell, ..Default::default() }
    })
}

fn task() -> impl Strategy<Value = v1::TaskInfo> {
    let limits = btree_map(".*", double().prop_map(|value| v1::value::Scalar { value }), 0..3);
    let parts = (
        ".*",
        ".*",
        vec(resource(), 0..4),
        of(command()),
        of(vec(any::<u8>(), 0..50)),
        of(labels()),
        limits,
    );
    parts.prop_map(|(name, id, resources, command, data, labels, limits)| v1::TaskInfo {
        name,
        task_id: v1::TaskId { value: id },
        resources,
        command: command.map(Box::new),
        data: data.map(Into::into),
        labels,
        limits,
        ..Default::default()
    })
}

fn status() -> impl Strategy<Value = v1::TaskStatus> {
    let states = prop_oneof![Just(v1::TaskState::TaskRunning), Just(v1::TaskState::TaskLost)];
    (states, of(double()), any::<Option<[u8; 16]>>(), of(container_id()), of(".*")).prop_map(
        |(state, timestamp, uuid, container_id, message)| v1::TaskStatus {
            state: state as i32,
            timestamp,
            uuid: uuid.map(|uuid| uuid.to_vec().into()),
            message,
            container_status: Some(Box::new(v1::ContainerStatus {
                container_id,
                ..Default::default()
            })),
            ..Default::default()
        },
    )
}

fn check<M: JsonMessage>(message: &M) -> Result<(), TestCaseError> {
    // Unset fields that have defaults come back set: the message is compared as printed.
    let json = encode(ContentType::Json, message);
    let read: Result<M, _> = decode(ContentType::Json, &json);
    prop_assert!(read.is_ok(), "{read:?}");
    let read = read.unwrap_or_default();
    prop_assert_eq!(read.to_json(), json.clone());
    let bytes = encode(ContentType::Protobuf, message);
    let again: Result<M, _> = decode(ContentType::Protobuf, &bytes);
    prop_assert_eq!(again.as_ref(), Ok(message));
    // Standard parsers must be able to read what is printed.
    let value: Result<serde_json::Value, _> = serde_json::from_slice(&json);
    prop_assert!(value.is_ok(), "{value:?}");
    Ok(())
}

proptest! {
    #[test]
    fn tasks(message in task()) {
        check(&message)?;
        let same = v1::TaskInfo::from_json_slice(&message.to_json());
        prop_assert_eq!(same.map(|task| (task.resources, task.data, task.limits)),
            Ok((message.resources, message.data, message.limits)));
    }

    #[test]
    fn statuses(message in status()) {
        check(&message)?;
        // No field of it has a default.
        prop_assert_eq!(v1::TaskStatus::from_json_slice(&message.to_json()), Ok(message));
    }

    #[test]
    fn values_and_slices_read_the_same(message in status()) {
        let value = serde_json::from_slice(&message.to_json()).unwrap_or_default();
        let read = v1::TaskStatus::from_json(&value);
        prop_assert_eq!(read.map(|status| (status.state, status.message)), Ok((message.state, message.message)));
    }
}
