//! What the kernel and the machine must have, looked at before anything is promised.

use std::io;

use super::conntrack::Conntrack;
use super::namespace::inside;
use super::programs::{ProgramError, Programs};
use super::rules::Rules;

/// A table that exists within one transaction only.
const TRIAL: &str = "dais_l4lb_check";
/// The right to change the network.
const NET_ADMIN: u64 = 1 << 12;

/// What balancing does without.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lacks(pub Vec<String>);

/// Why the kernel cannot balance, in one line.
pub(super) async fn check(programs: &Programs, rules: &mut Rules) -> Result<Lacks, String> {
    if !may_administer(&std::fs::read_to_string("/proc/self/status").unwrap_or_default()) {
        return Err("this process is not root: it lacks CAP_NET_ADMIN".to_owned());
    }
    programs.ip(&["-V"]).await.map_err(|error| missing(&error, "ip", "iproute2"))?;
    if let Some(namespace) = programs.namespace().map(str::to_owned) {
        inside(Some(&namespace), || Ok(()))
            .await
            .map_err(|error| format!("the network namespace {namespace}: {error}"))?;
    }
    programs.nft(&["--version"]).await.map_err(|error| missing(&error, "nft", "nftables"))?;
    let whole = trial(&rules.full().replace(super::TABLE, TRIAL));
    if let Err(error) = programs.nft_script(&whole).await {
        return Err(unsupported(programs, &error).await);
    }
    Ok(lacks(programs).await)
}

fn missing(error: &ProgramError, program: &str, package: &str) -> String {
    match error {
        ProgramError::Start { source, .. } if source.kind() == io::ErrorKind::NotFound => {
            format!("the program {program} (of the package {package}) is missing")
        }
        _ => error.to_string(),
    }
}

/// Whether the effective capabilities include the network's administration.
fn may_administer(status: &str) -> bool {
    let capabilities = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let bits = capabilities.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok());
    bits.is_some_and(|bits| bits & NET_ADMIN != 0)
}

/// Gone again before anybody could see it.
fn trial(script: &str) -> String {
    format!("{script}delete table ip {TRIAL}\n")
}

/// Which part it is that the kernel, or `nft`, does not know.
async fn unsupported(programs: &Programs, whole: &ProgramError) -> String {
    let nat = "add chain ip T c { type nat hook output priority -105; }\n";
    let parts = [
        ("nf_tables", String::new()),
        ("address translation (nft_chain_nat)", nat.to_owned()),
        ("filters (nf_tables)", "add chain ip T c { type filter hook output priority 0; }\n".into()),
        (
            "maps to chains (nft_lookup)",
            "add map ip T m { type inet_proto . ipv4_addr . inet_service : verdict; }\n".to_owned(),
        ),
        (
            "random numbers in maps (nft_numgen)",
            "add map ip T m { typeof ip daddr . th dport . numgen inc mod 2 : ip daddr . th dport; }\n"
                .to_owned(),
        ),
        (
            "connection tracking (nf_conntrack, nft_ct)",
            format!("{nat}add rule ip T c ct status dnat accept\n"),
        ),
        (
            "masquerading (nft_masq)",
            "add chain ip T c { type nat hook postrouting priority 95; }\nadd rule ip T c masquerade\n"
                .to_owned(),
        ),
        (
            "translation of destinations (nft_nat)",
            format!("{nat}add rule ip T c meta l4proto tcp dnat to 11.0.0.1:80\n"),
        ),
        (
            "refusing (nft_reject)",
            "add chain ip T c { type filter hook output priority 0; }\nadd rule ip T c reject\n".into(),
        ),
    ];
    for (name, part) in parts {
        let script = format!("add table ip T\n{part}").replace(" T", &format!(" {TRIAL}"));
        if programs.nft_script(&trial(&script)).await.is_err() {
            return format!("the kernel, or its nft, has no {name}");
        }
    }
    format!("the kernel does not take the rules: {whole}")
}

/// What is bearable, each with what follows.
async fn lacks(programs: &Programs) -> Lacks {
    let namespace = programs.namespace().map(str::to_owned);
    let look = inside(namespace.as_deref(), || {
        let mut lacks = Vec::new();
        if let Err(error) = Conntrack::open().and_then(|mut conntrack| conntrack.probe()) {
            lacks.push(format!(
                "no nf_conntrack_netlink ({error}): clients of UDP that keep sending stay with \
                 backends that are gone"
            ));
        }
        if is("/proc/sys/net/ipv4/ip_forward", "0") {
            lacks.push(
                "net.ipv4.ip_forward is 0: only this machine's own connections are balanced, not \
                 those of containers with addresses of their own"
                    .to_owned(),
            );
        }
        if is("/proc/sys/net/bridge/bridge-nf-call-iptables", "1") {
            lacks.push(
                "net.bridge.bridge-nf-call-iptables is 1: containers on a bridge reach themselves \
                 at a virtual address only where their port of the bridge has its hairpin mode on"
                    .to_owned(),
            );
        }
        Ok(lacks)
    });
    Lacks(look.await.unwrap_or_default())
}

fn is(path: &str, value: &str) -> bool {
    std::fs::read_to_string(path).is_ok_and(|text| text.trim() == value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_right_is_read() {
        assert!(may_administer("Name:\tx\nCapEff:\t000001ffffffffff\n"));
        assert!(may_administer("CapEff:\t0000000000001000\n"));
        assert!(!may_administer("CapEff:\t0000000000000000\n"));
        assert!(!may_administer("CapPrm:\t000001ffffffffff\n"));
    }

    #[tokio::test]
    async fn what_is_missing_is_named() {
        let config = crate::NodeConfig { nft: "/nowhere/nft".into(), ..Default::default() };
        let range = (std::net::Ipv4Addr::new(11, 0, 0, 0), std::net::Ipv4Addr::new(11, 0, 0, 9));
        let reason = check(&Programs::new(&config), &mut Rules::new(range)).await.unwrap_err();
        let known = [
            "CAP_NET_ADMIN",
            "the program nft (of the package nftables) is missing",
            "the program ip (of the package iproute2) is missing",
        ];
        assert!(known.iter().any(|text| reason.contains(text)), "{reason}");
    }
}
