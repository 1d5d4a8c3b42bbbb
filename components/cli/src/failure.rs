//! What ends a command without success, and the status each ends the process with.

use std::fmt;
use std::io;

/// Everything went as asked.
pub(crate) const OK: u8 = 0;
/// The command failed.
pub(crate) const FAILED: u8 = 1;
/// The command was not understood; clap ends with the same.
pub(crate) const USAGE: u8 = 2;
/// Ended by Ctrl-C: 128 and the number of the signal, as shells count.
pub(crate) const INTERRUPTED: u8 = 130;

/// Arguments that do not go together.
#[derive(Debug)]
pub(crate) struct Usage(pub(crate) String);

/// All is said; only the status is left.
#[derive(Debug)]
pub(crate) struct Ended(pub(crate) u8);

/// A server's refusal, in its own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    /// Who refused, as "Marathon".
    pub(crate) who: &'static str,
    pub(crate) status: u16,
    pub(crate) message: String,
    /// One line for each thing that is wrong.
    pub(crate) details: Vec<String>,
    /// Cosmos's or IAM's name of the kind of error.
    pub(crate) kind: Option<String>,
    /// What may help.
    pub(crate) hint: Option<String>,
}

// === impl Usage ===

impl fmt::Display for Usage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

// === impl Ended ===

impl fmt::Display for Ended {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "ended with status {}", self.0)
    }
}

impl std::error::Error for Ended {}

// === impl Refused ===

impl fmt::Display for Refused {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.message)?;
        for detail in &self.details {
            write!(out, "\n  {detail}")?;
        }
        if let Some(hint) = &self.hint {
            write!(out, "\n{hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Refused {}

/// A usage error, for `?`.
pub(crate) fn usage(text: impl Into<String>) -> anyhow::Error {
    anyhow::Error::new(Usage(text.into()))
}

/// The status an error ends the process with, and whether there is anything to say.
pub(crate) fn status(error: &anyhow::Error) -> (u8, bool) {
    // The reader of our output had enough: nothing failed, and nobody is left to tell.
    let gone = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
    };
    if error.chain().any(gone) {
        return (OK, false);
    }
    if let Some(Ended(status)) = error.downcast_ref() {
        return (*status, false);
    }
    if error.is::<Usage>() { (USAGE, true) } else { (FAILED, true) }
}

/// Whether the server said that there is no such thing.
pub(crate) fn is_missing(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Refused>().is_some_and(|refused| refused.status == 404)
}

/// Whether the server knows who asks, and does not let them.
pub(crate) fn is_forbidden(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Refused>().is_some_and(|refused| refused.status == 403)
}

/// Whether asking again would be answered the same: the server understood, and will not.
pub(crate) fn is_final(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Refused>().is_some_and(|refused| {
        (400..500).contains(&refused.status) && !matches!(refused.status, 408 | 425 | 429)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn each_error_has_its_status() {
        assert_eq!(status(&anyhow::anyhow!("no")), (FAILED, true));
        assert_eq!(status(&usage("--a and --b")), (USAGE, true));
        assert_eq!(status(&anyhow::Error::new(Ended(INTERRUPTED))), (INTERRUPTED, false));
        let pipe = io::Error::from(io::ErrorKind::BrokenPipe);
        let pipe = Err::<(), _>(pipe).context("writing").unwrap_err();
        assert_eq!(status(&pipe), (OK, false));
    }
}
