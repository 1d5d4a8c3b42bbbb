//! Event streams as they came: RecordIO in chunks.
use crate::files::{dechunk, read};
use crate::messages::{round_trip, same_text};
use mesos_messages::content::{ContentType, decode};
use mesos_messages::recordio::Decoder;
use mesos_messages::v1::{master, scheduler};

fn records(path: &str) -> Vec<Vec<u8>> {
    let Some(raw) = read(path) else { return Vec::new() };
    let mut decoder = Decoder::new(1 << 20);
    let mut records = Vec::new();
    for piece in dechunk(&raw).chunks(1000) {
        decoder.push(piece);
        while let Some(record) =
            decoder.next_record().unwrap_or_else(|error| panic!("{path}: {error}"))
        {
            records.push(record.to_vec());
        }
    }
    assert!(!records.is_empty(), "{path} holds no record");
    records
}

#[test]
fn the_operator_stream() {
    for record in records("op_subscribe_raw.bin") {
        round_trip::<master::Event>("op_subscribe_raw.bin", &record);
    }
}

#[test]
fn scheduler_streams() {
    for path in ["v1_scheduler/scheduler_stream_old_raw.bin", "v1_scheduler_group/stream_raw.bin"] {
        for record in records(path) {
            same_text::<scheduler::Event>(path, &record);
        }
    }
}

#[test]
fn a_scheduler_stream_in_protobuf() {
    use scheduler::event::Type;
    let events: Vec<scheduler::Event> = records("v1_scheduler/subscribe_accept_protobuf_raw.bin")
        .iter()
        .map(|record| {
            decode(ContentType::Protobuf, record).unwrap_or_else(|error| panic!("{error}"))
        })
        .collect();
    if let Some(first) = events.first() {
        assert_eq!(first.r#type(), Type::Subscribed);
    }
}
