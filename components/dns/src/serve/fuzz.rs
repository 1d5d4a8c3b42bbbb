//! What is checked of packets that a fuzzer makes.

use std::sync::OnceLock;

use hickory_proto::op::Message;

use super::answer::{Bare, LONGEST, Outcome, Rules, Via, answer, bare, read};
use super::query::{PLAIN_SIZE, Query};
use super::tcp::frame;
use crate::forward;
use crate::record::{Change, Data};
use crate::zone::{Alias, Zone, Zones};

const RULES: Rules = Rules { udp_size: 1232, forwards: true, truncates: true };

fn zones() -> &'static Zones {
    static ZONES: OnceLock<Zones> = OnceLock::new();
    ZONES.get_or_init(|| {
        let alias = Alias { name: "a.global".into(), target: "mesos".into() };
        let zones = Zones::new(vec![Zone::new("mesos", 60)], vec![alias]);
        let many = (0..=255).map(|last| Data::A([10, 0, 0, last].into()));
        let target = "web.mesos".into();
        let names = [
            ("web.mesos", many.collect()),
            ("_web._tcp.mesos", vec![Data::Srv { priority: 0, weight: 1, port: 80, target }]),
        ];
        let changes = names.map(|(name, records)| Change { name: name.into(), records });
        zones.reload(changes.into());
        zones
    })
}

/// A packet: what is answered is an answer to it, as another implementation reads it, and no longer
/// than it may be.
pub(crate) fn packet(data: &[u8]) {
    let mut reply = Vec::new();
    for (is_tcp, is_trusted) in [(false, false), (false, true), (true, true)] {
        let via = Via { is_tcp, is_trusted };
        let outcome =
            answer(zones(), &RULES, read(zones(), data), via, data.len() as u32, &mut reply);
        match outcome {
            Outcome::Answered(_) => check(data, &reply, is_tcp),
            Outcome::Dropped => assert!(reply.is_empty()),
            Outcome::Foreign => assert!(is_trusted && Query::parse(data).is_ok()),
        }
        if bare(data, &RULES, via, Bare::Truncated, &mut reply) {
            check(data, &reply, is_tcp);
            assert!(reply.len() <= data.len().max(PLAIN_SIZE));
        }
    }
    // What is forwarded is what hickory reads too.
    if let Ok(query) = Query::parse(data) {
        assert!(forward::request(&query, ([127, 0, 0, 1], 53).into(), false).is_some());
        check(data, &forward::failed(&query), false);
    }
}

fn check(question: &[u8], reply: &[u8], is_tcp: bool) {
    assert_eq!(question.get(..2), reply.get(..2));
    let most = if is_tcp { LONGEST } else { RULES.udp_size };
    assert!(reply.len() <= most, "{} bytes", reply.len());
    let message = Message::from_vec(reply);
    assert!(message.is_ok(), "{message:?}: {reply:?}");
    assert!(reply.get(2).is_some_and(|flags| flags & 0x80 != 0));
}

/// What comes over a connection: messages, each with its length before it.
pub(crate) fn stream(data: &[u8]) {
    let mut at = 0;
    while let Some((message, next)) = frame(data, at) {
        assert!(next > at && next <= data.len());
        packet(message);
        at = next;
    }
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
    }

    const SEEDS: [&[u8]; 4] = [
        b"\0\x01\x01\0\0\x01\0\0\0\0\0\0\x03web\x05mesos\0\0\x01\0\x01",
        b"\0\x01\x01\0\0\x01\0\0\0\0\0\x01\x04_WEB\x04_tcp\x05mesos\0\0\x21\0\x01\0\0\x29\x10\0\0\0\x80\0\0\x04\0\x0a\0\0",
        b"\0\x01\x01\0\0\x01\0\0\0\0\0\0\x01x\x01*\x01a\x06global\0\0\xff\0\x01",
        b"\0\x01\x01\0\0\x01\0\0\0\0\0\0\x07example\x03org\0\0\x0f\0\x01",
    ];

    #[test]
    fn mutated_packets() {
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        for round in 0..3000 {
            let mut data = SEEDS[round % SEEDS.len()].to_vec();
            for _ in 0..random.below(4) {
                let at = random.below(data.len());
                match random.below(4) {
                    0 => data.truncate(at.max(1)),
                    1 => data.insert(at, random.below(256) as u8),
                    _ => data[at] = random.below(256) as u8,
                }
            }
            packet(&data);
            let length = (data.len() as u16).to_be_bytes();
            stream(&[&length, &data[..], &length, &data[..]].concat());
        }
    }
}
