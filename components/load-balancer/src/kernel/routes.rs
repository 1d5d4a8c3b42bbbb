//! A way to virtual addresses: without one, a connection is refused before any rule sees it.
//!
//! They are routed to the loopback interface, under a protocol number of their own. Nothing
//! arrives there: a rule sends it elsewhere, or refuses it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::Ipv4Addr;

use super::programs::{ProgramError, Programs};

/// By which our routes are known.
const PROTOCOL: &str = "188";

/// The routes of virtual addresses.
#[derive(Debug)]
pub(super) struct Routes {
    /// Networks that together are all addresses of names.
    range: Vec<String>,
    configured: Option<Ipv4Addr>,
    /// What this machine sends to virtual addresses is from here.
    source: Option<Ipv4Addr>,
}

// === impl Routes ===

impl Routes {
    pub(super) fn new(range: (Ipv4Addr, Ipv4Addr), source: Option<Ipv4Addr>) -> Routes {
        Routes { range: networks(range), configured: source, source }
    }

    /// Exactly those of names and of `literals`.
    pub(super) async fn renew(
        &mut self,
        programs: &Programs,
        literals: BTreeSet<Ipv4Addr>,
    ) -> Result<(), ProgramError> {
        if self.configured.is_none() {
            // The kernel's own choice knows nothing of where the connection will go.
            self.source = default_source(programs).await;
        }
        let wanted: BTreeSet<String> =
            self.range.iter().cloned().chain(literals.iter().map(ToString::to_string)).collect();
        let there = ours(programs).await?;
        let mut script = String::new();
        for route in there.iter().filter(|route| !wanted.contains(*route)) {
            let _ = writeln!(script, "route del {route} dev lo proto {PROTOCOL}");
        }
        wanted.iter().for_each(|route| self.add(&mut script, route));
        programs.ip_batch(&script).await
    }

    pub(super) async fn change(
        &self,
        programs: &Programs,
        changes: &BTreeMap<Ipv4Addr, bool>,
    ) -> Result<(), ProgramError> {
        let mut script = String::new();
        for (address, has) in changes {
            if *has {
                self.add(&mut script, &address.to_string());
            } else {
                let _ = writeln!(script, "route del {address} dev lo proto {PROTOCOL}");
            }
        }
        if script.is_empty() { Ok(()) } else { programs.ip_batch(&script).await }
    }

    /// Whether those of names are.
    pub(super) async fn are_there(&self, programs: &Programs) -> Result<bool, ProgramError> {
        let there = ours(programs).await?;
        Ok(self.range.iter().all(|route| there.contains(route)))
    }

    pub(super) async fn remove(&self, programs: &Programs) -> Result<(), ProgramError> {
        programs.ip(&["-4", "route", "flush", "proto", PROTOCOL]).await.map(drop)
    }

    fn add(&self, script: &mut String, route: &str) {
        let source = self.source.map(|source| format!(" src {source}")).unwrap_or_default();
        let _ = writeln!(script, "route replace {route} dev lo proto {PROTOCOL}{source}");
    }
}

async fn ours(programs: &Programs) -> Result<BTreeSet<String>, ProgramError> {
    let shown = programs.ip(&["-4", "route", "show", "proto", PROTOCOL]).await?;
    Ok(shown.lines().filter_map(|line| Some(line.split_whitespace().next()?.to_owned())).collect())
}

/// From where this machine speaks to others.
async fn default_source(programs: &Programs) -> Option<Ipv4Addr> {
    let shown = programs.ip(&["-4", "route", "get", "192.0.2.1"]).await.ok()?;
    let mut words = shown.split_whitespace().skip_while(|word| *word != "src");
    words.nth(1)?.parse().ok()
}

/// The fewest networks that together are a range, but for the broadcast address at its end: a
/// range that ends right before one is taken as if it had it, too.
fn networks((first, last): (Ipv4Addr, Ipv4Addr)) -> Vec<String> {
    let (mut next, last) = (u64::from(u32::from(first)), u64::from(u32::from(last)));
    let end = if last % 256 == 254 { last + 2 } else { last + 1 };
    let mut all = Vec::new();
    while next < end {
        let room = (end - next).ilog2();
        let bits = next.trailing_zeros().min(room).min(32);
        let address = Ipv4Addr::from(u32::try_from(next).unwrap_or(u32::MAX));
        all.push(if bits == 0 { address.to_string() } else { format!("{address}/{}", 32 - bits) });
        next += 1 << bits;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_networks() {
        let of = |first: [u8; 4], last: [u8; 4]| networks((first.into(), last.into()));
        assert_eq!(of([11, 0, 0, 0], [11, 255, 255, 254]), ["11.0.0.0/8"]);
        assert_eq!(of([11, 0, 0, 0], [11, 255, 255, 255]), ["11.0.0.0/8"]);
        assert_eq!(of([10, 1, 2, 3], [10, 1, 2, 3]), ["10.1.2.3"]);
        assert_eq!(of([10, 1, 2, 3], [10, 1, 2, 8]), ["10.1.2.3", "10.1.2.4/30", "10.1.2.8"]);
        assert_eq!(of([0, 0, 0, 0], [255, 255, 255, 255]), ["0.0.0.0/0"]);
    }
}
