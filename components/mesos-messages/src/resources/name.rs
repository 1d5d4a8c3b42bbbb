//! Names of resources: the five ubiquitous ones cost nothing, others are shared text.
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

/// The name of a resource.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Name(Repr);

// `Other` never holds one of the known names, so that equality may be derived.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Repr {
    Cpus,
    Disk,
    Gpus,
    Mem,
    Ports,
    /// Boxed once more to be one word: names are in every entry, and few are of this kind.
    Other(Arc<Box<str>>),
}

impl Name {
    pub const CPUS: Name = Name(Repr::Cpus);
    pub const DISK: Name = Name(Repr::Disk);
    pub const GPUS: Name = Name(Repr::Gpus);
    pub const MEM: Name = Name(Repr::Mem);
    pub const PORTS: Name = Name(Repr::Ports);

    pub fn as_str(&self) -> &str {
        match &self.0 {
            Repr::Cpus => "cpus",
            Repr::Disk => "disk",
            Repr::Gpus => "gpus",
            Repr::Mem => "mem",
            Repr::Ports => "ports",
            Repr::Other(name) => name,
        }
    }
}

impl From<&str> for Name {
    fn from(name: &str) -> Name {
        Name(match name {
            "cpus" => Repr::Cpus,
            "disk" => Repr::Disk,
            "gpus" => Repr::Gpus,
            "mem" => Repr::Mem,
            "ports" => Repr::Ports,
            other => Repr::Other(Arc::new(other.into())),
        })
    }
}

impl PartialEq<str> for Name {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Name) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Name) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}
