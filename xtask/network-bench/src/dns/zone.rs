//! The names that every server serves: those of a cluster's tasks, as its own name server makes
//! them.

use std::fmt::Write;
use std::net::Ipv4Addr;

use dns::record::{Change, Data};

/// Each has three: an address, that of its canonical name, and a service.
const RECORDS: usize = 3;

pub(crate) struct Zone {
    pub(crate) tasks: usize,
}

/// A task by its number.
pub(crate) struct Task {
    pub(crate) name: String,
    canonical: String,
    service: String,
    address: Ipv4Addr,
    port: u16,
}

// === impl Task ===

impl Task {
    pub(crate) fn new(number: usize) -> Task {
        let number = u32::try_from(number).unwrap_or(0);
        // As long as names of tasks are: a group, an app, a hash, an agent.
        let label = format!("web-{:05}-shop", number);
        let hash = (number.wrapping_mul(2_654_435_761) >> 7) % 99_991;
        Task {
            canonical: format!("{label}-{hash:05}-s{}.marathon.mesos", number % 1000),
            service: format!("_{label}._tcp.marathon.mesos"),
            name: format!("{label}.marathon.mesos"),
            address: Ipv4Addr::from_bits(0x0a00_0000 | (number % 0x00ff_ffff)),
            port: 31_000 + (number % 1000) as u16,
        }
    }

    pub(crate) fn changes(&self) -> [Change; 3] {
        let change = |name: &str, data| Change { name: name.into(), records: vec![data] };
        let target = self.canonical.as_str().into();
        [
            change(&self.name, Data::A(self.address)),
            change(&self.canonical, Data::A(self.address)),
            change(&self.service, Data::Srv { priority: 0, weight: 1, port: self.port, target }),
        ]
    }
}

// === impl Zone ===

impl Zone {
    pub(crate) fn with_records(records: usize) -> Zone {
        Zone { tasks: records.div_ceil(RECORDS) }
    }

    pub(crate) fn records(&self) -> usize {
        self.tasks * RECORDS
    }

    pub(crate) fn tasks(&self) -> impl Iterator<Item = Task> {
        (0..self.tasks).map(Task::new)
    }

    /// Bytes of all names, each once where it is the owner of a record.
    pub(crate) fn name_bytes(&self) -> usize {
        self.tasks().flat_map(|task| task.changes()).map(|change| change.name.len()).sum()
    }

    /// For knot, nsd and bind.
    pub(crate) fn file(&self) -> String {
        let mut text = "$TTL 60\n\
            mesos. IN SOA ns1.mesos. root.ns1.mesos. 1 60 600 86400 60\n\
            mesos. IN NS ns1.mesos.\nns1.mesos. IN A 127.0.0.1\n"
            .to_owned();
        for task in self.tasks() {
            let Task { name, canonical, service, address, port } = task;
            let _ = write!(
                text,
                "{name}. A {address}\n{canonical}. A {address}\n{service}. SRV 0 1 {port} {canonical}.\n"
            );
        }
        text
    }

    /// For dnsmasq: a file as /etc/hosts is, and lines of its configuration.
    pub(crate) fn dnsmasq(&self) -> (String, String) {
        let (mut hosts, mut services) = (String::new(), String::new());
        for task in self.tasks() {
            let Task { name, canonical, service, address, port } = task;
            let _ = writeln!(hosts, "{address} {name} {canonical}");
            let _ = writeln!(services, "srv-host={service},{canonical},{port},0,1");
        }
        (hosts, services)
    }

    /// What dnsperf asks: half addresses, a third services, the rest names that do not exist.
    pub(crate) fn questions(&self) -> String {
        let mut text = String::new();
        let mut random: u64 = 0x9e37_79b9_7f4a_7c15;
        for _ in 0..200_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let number = (random >> 33) as usize % self.tasks.max(1);
            let task = Task::new(number);
            let _ = match (random >> 20) % 10 {
                0..=4 => writeln!(text, "{} A", task.name),
                5..=7 => writeln!(text, "{} SRV", task.service),
                _ => writeln!(text, "gone-{number}.marathon.mesos A"),
            };
        }
        text
    }
}
