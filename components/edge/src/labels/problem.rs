//! What is told of labels that do not do what their authors may expect.

use std::fmt;
use std::sync::Arc;

/// One label that is not honoured, or not all of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Problem {
    pub label: Arc<str>,
    pub kind: Kind,
    /// In words that need nothing else.
    pub text: Arc<str>,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The port is not served at all: the label would have kept somebody out.
    Refused,
    /// The value means nothing; the default holds.
    Invalid,
    /// Known to the original, and without effect here.
    Unsupported,
    /// Some of a template has an effect, what is named has none.
    Partial,
    /// Nobody knows such a label.
    Unknown,
    /// What it asks for holds anyway, or is nothing that this balancer does.
    Unneeded,
}

// === impl Problem ===

impl Problem {
    pub(crate) fn new(label: &str, kind: Kind, text: impl Into<Arc<str>>) -> Problem {
        Problem { label: label.into(), kind, text: text.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} ({}): {}", self.label, self.kind.name(), self.text)
    }
}

// === impl Kind ===

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Refused => "refused",
            Kind::Invalid => "invalid",
            Kind::Unsupported => "unsupported",
            Kind::Partial => "partial",
            Kind::Unknown => "unknown",
            Kind::Unneeded => "unneeded",
        }
    }
}
