//! JSON in and out, field by field as the original reads and prints it.
//!
//! Reading goes over a parsed document and collects what is wrong in it, so that a request
//! learns everything at once. Unknown fields mean nothing.

mod checks;
mod container;
mod legacy;
pub(crate) mod names;
mod print;
mod print_parts;
mod read;
mod shape;
mod stored;
#[cfg(test)]
mod tests;

pub use stored::StoredError;

/// The words of an enumeration, as they are printed; they are read in any case.
macro_rules! words {
    ($name:ident: $kind:ty { $($text:literal => $value:expr),* $(,)? }) => {
        pub(crate) const $name: &[(&str, $kind)] = &[$(($text, $value)),*];
    };
}

/// Enumerations and how their members are written.
pub(crate) mod words {
    use crate::app::{ContainerKind, DiskKind, KillSelection, NetworkMode, Protocol, VolumeMode};

    words!(ENGINES: ContainerKind {
        "DOCKER" => ContainerKind::Docker,
        "MESOS" => ContainerKind::Mesos,
    });
    words!(NETWORKS: NetworkMode {
        "container" => NetworkMode::Container,
        "container/bridge" => NetworkMode::Bridge,
        "host" => NetworkMode::Host,
    });
    words!(PROTOCOLS: Protocol {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        "udp,tcp" => Protocol::Both,
    });
    words!(VOLUME_MODES: VolumeMode {
        "RO" => VolumeMode::ReadOnly,
        "RW" => VolumeMode::ReadWrite,
    });
    words!(DISKS: DiskKind {
        "root" => DiskKind::Root,
        "path" => DiskKind::Path,
        "mount" => DiskKind::Mount,
    });
    words!(KILL_SELECTIONS: KillSelection {
        "OLDEST_FIRST" => KillSelection::OldestFirst,
        "YOUNGEST_FIRST" => KillSelection::YoungestFirst,
    });
    // Whether it is HTTPS.
    words!(SCHEMES: bool { "HTTP" => false, "HTTPS" => true });
    // Whether it is IPv6.
    words!(IP_PROTOCOLS: bool { "IPv4" => false, "IPv6" => true });

    /// The word for a member.
    pub(crate) fn of<T: PartialEq>(words: &[(&'static str, T)], member: &T) -> &'static str {
        words.iter().find(|(_, other)| other == member).map_or("", |(word, _)| word)
    }
}
