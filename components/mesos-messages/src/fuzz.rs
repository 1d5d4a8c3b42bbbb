//! Entry points for fuzzing: one function for each kind of foreign bytes this crate reads, but for resources, which
//! have their own.
//!
//! Each checks more than that nothing panics: what was read prints and reads back the same, in both forms.
use crate::content::{ContentType, decode};
use crate::json::JsonMessage;
use crate::recordio::{Decoder, encode};
use crate::{v0, v1};

/// Bodies in JSON.
pub fn calls_json(data: &[u8]) {
    call_json::<v1::scheduler::Call>(data);
    call_json::<v1::executor::Call>(data);
    call_json::<v1::master::Call>(data);
    call_json::<v1::agent::Call>(data);
    call_json::<v1::TaskInfo>(data);
}

fn call_json<M: JsonMessage>(data: &[u8]) {
    let Ok(message) = decode::<M>(ContentType::Json, data) else { return };
    let printed = message.to_json();
    assert_eq!(reprinted::<M>(&printed), printed);
    // A message in JSON may be nested more deeply than protobuf decoders go.
    if depth(&printed) < 90 {
        let bytes = message.encode_to_vec();
        assert_eq!(decode::<M>(ContentType::Protobuf, &bytes), Ok(message));
    }
}

/// Bodies in protobuf.
pub fn calls_protobuf(data: &[u8]) {
    call_protobuf::<v1::scheduler::Call>(data);
    call_protobuf::<v1::executor::Call>(data);
    call_protobuf::<v1::master::Call>(data);
    call_protobuf::<v1::agent::Call>(data);
    call_protobuf::<v1::TaskInfo>(data);
    if let Ok((call, _)) = v0::decode_scheduler_call(data) {
        let bytes = prost::Message::encode_to_vec(&call);
        assert!(decode::<v1::scheduler::Call>(ContentType::Protobuf, &bytes).is_ok());
    }
}

fn call_protobuf<M: JsonMessage>(data: &[u8]) {
    let Ok(message) = decode::<M>(ContentType::Protobuf, data) else { return };
    let printed = message.to_json();
    // There is no way to write this one in JSON.
    if !message.to_json_string().contains("\"NaN\"") {
        assert_eq!(reprinted::<M>(&printed), printed);
    }
}

fn reprinted<M: JsonMessage>(printed: &[u8]) -> Vec<u8> {
    let again = M::from_json_slice(printed);
    assert!(again.is_ok(), "{again:?}: {}", String::from_utf8_lossy(printed));
    again.unwrap_or_default().to_json()
}

/// The nesting of printed JSON, at most: braces in strings count too.
fn depth(printed: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0usize, 0);
    for byte in printed {
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

const MOST: usize = 4096;

/// A stream of records: cut anywhere, it gives the same records.
pub fn recordio(data: &[u8]) {
    let (whole, good) = records(&[data]);
    let cut = data.first().map_or(0, |byte| usize::from(*byte) % data.len());
    let (left, right) = data.split_at(cut);
    assert_eq!(records(&[left, right]), (whole.clone(), good));
    for record in whole {
        assert!(record.len() <= MOST);
        assert_eq!(records(&[&encode(&record)]), (vec![record], true));
    }
}

fn records(pieces: &[&[u8]]) -> (Vec<Vec<u8>>, bool) {
    let mut decoder = Decoder::new(MOST);
    let mut records = Vec::new();
    for piece in pieces {
        decoder.push(piece);
        loop {
            match decoder.next_record() {
                Ok(Some(record)) => records.push(record.to_vec()),
                Ok(None) => break,
                Err(_) => return (records, false),
            }
        }
    }
    (records, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A generator that gives the same numbers in every run.
    struct Random(u64);

    impl Random {
        fn below(&mut self, end: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 % end.max(1) as u64) as usize
        }

        fn mutate(&mut self, seed: &[u8], pieces: &[&[u8]]) -> Vec<u8> {
            let mut data = seed.to_vec();
            for _ in 0..=self.below(4) {
                let at = self.below(data.len());
                match self.below(5) {
                    0 if !data.is_empty() => data[at] = self.below(256) as u8,
                    1 => data.truncate(at),
                    2 => {
                        let end = at + self.below(data.len() - at);
                        data.drain(at..end);
                    }
                    3 => {
                        let copy = data[at..at + self.below(data.len() - at)].to_vec();
                        data.splice(at..at, copy);
                    }
                    _ => {
                        let piece = pieces[self.below(pieces.len())];
                        data.splice(at..at, piece.iter().copied());
                    }
                }
            }
            data
        }
    }

    fn run(target: fn(&[u8]), seeds: &[Vec<u8>], pieces: &[&[u8]]) {
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        for round in 0..4000 {
            let seed = &seeds[round % seeds.len()];
            target(&random.mutate(seed, pieces));
        }
    }

    const CALLS: &[&str] = &[
        r#"{"type":"ACCEPT","framework_id":{"value":"f"},"accept":{"offer_ids":[{"value":"o"}],"operations":[{"type":"LAUNCH","launch":{"task_infos":[{"name":"t","task_id":{"value":"t"},"agent_id":{"value":"a"},"resources":[{"name":"cpus","type":"SCALAR","scalar":{"value":0.1}},{"name":"ports","type":"RANGES","ranges":{"range":[{"begin":31000,"end":"31001"}]}}],"command":{"value":"exit 3","environment":{"variables":[{"name":"A","value":"\u00e9\n"}]}},"limits":{"cpus":{"value":"Infinity"}},"data":"AAEC"}]}}],"filters":{"refuse_seconds":5.0}}}"#,
        r#"{"type":"SUBSCRIBE","subscribe":{"framework_info":{"user":"root","name":"n","roles":["*"],"failover_timeout":60.0,"checkpoint":"true","capabilities":[{"type":"MULTI_ROLE"},{"type":"FUTURE"}],"offer_filters":{"*":{}}},"offer_constraints":{"role_constraints":{"*":{"groups":[{"attribute_constraints":[{"selector":{"attribute_name":"x"},"predicate":{"text_equals":{"value":"y"}}}]}]}}}}}"#,
        r#"{"executor_id":{"value":"e"},"framework_id":{"value":"f"},"type":"UPDATE","update":{"status":{"task_id":{"value":"t"},"state":"TASK_RUNNING","source":"SOURCE_EXECUTOR","timestamp":1795200989.334599,"uuid":"NZXEY3lJQZafm28DEGluaA==","container_status":{"container_id":{"value":"c","parent":{"value":"p"}}}}}}"#,
        r#"{"type":"DRAIN_AGENT","drain_agent":{"agent_id":{"value":"a"},"max_grace_period":{"seconds":600},"mark_gone":true}}"#,
    ];

    fn bytes(text: &str) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        let text = text.as_bytes();
        all.extend(
            v1::scheduler::Call::from_json_slice(text)
                .map(|call| prost::Message::encode_to_vec(&call)),
        );
        all.extend(
            v1::executor::Call::from_json_slice(text)
                .map(|call| prost::Message::encode_to_vec(&call)),
        );
        all.extend(
            v1::master::Call::from_json_slice(text)
                .map(|call| prost::Message::encode_to_vec(&call)),
        );
        all
    }

    #[test]
    fn mutated_json() {
        let seeds: Vec<_> = CALLS.iter().map(|call| call.as_bytes().to_vec()).collect();
        seeds.iter().for_each(|seed| calls_json(seed));
        let pieces: &[&[u8]] = &[
            b"null",
            b"[",
            b"{}",
            b"\"x\"",
            b"1e9",
            b"-1",
            b"\\ud800",
            b"\xff",
            b",",
            b"true",
            b"{\"value\":",
        ];
        run(calls_json, &seeds, pieces);
    }

    #[test]
    fn mutated_protobuf() {
        let seeds: Vec<_> = CALLS.iter().flat_map(|call| bytes(call)).collect();
        assert!(seeds.len() > 4);
        seeds.iter().for_each(|seed| calls_protobuf(seed));
        run(
            calls_protobuf,
            &seeds,
            &[b"\x0a\x00", b"\xff\xff\xff\xff\x0f", b"\x08\x01", b"\x12\x02\x0a\x00", b"\x0b\x0c"],
        );
    }

    #[test]
    fn mutated_records() {
        let seeds = [
            b"5\nhello0\n6\nworld!".to_vec(),
            b"20\n{\"type\":\"HEARTBEAT\"}".to_vec(),
            b"0\n".to_vec(),
        ];
        run(recordio, &seeds, &[b"\n", b"1\nx", b"99999999999999999999", b"4096\n", b"4097\n"]);
    }
}
