//! What a name holds: between the modules that make names and those that answer questions.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// A fully qualified name without the last dot, in lower case: `web.marathon.mesos`. A label holds
/// any bytes but dots: discovery names are published as they are, too.
pub type Name = Arc<str>;

/// One record's data.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Data {
    A(Ipv4Addr),
    Aaaa(Ipv6Addr),
    Srv { priority: u16, weight: u16, port: u16, target: Name },
    Ns(Name),
    Txt(Arc<str>),
}

/// Everything that a name holds from now on; nothing: the name is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub name: Name,
    pub records: Vec<Data>,
}
