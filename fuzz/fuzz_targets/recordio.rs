//! Framing: any bytes, cut anywhere, give the same records, which encode to the same bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mesos_messages::recordio::{Decoder, encode};

const MOST: usize = 4096;

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

fuzz_target!(|data: &[u8]| {
    let (whole, good) = records(&[data]);
    let cut = data.first().map_or(0, |byte| usize::from(*byte) % data.len());
    let (left, right) = data.split_at(cut);
    assert_eq!(records(&[left, right]), (whole.clone(), good));
    for record in whole {
        assert!(record.len() <= MOST);
        assert_eq!(records(&[&encode(&record)]), (vec![record], true));
    }
});
