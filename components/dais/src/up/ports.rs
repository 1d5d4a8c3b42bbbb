//! Which ports a cluster listens on.

use super::{Ports, gateway, network};
use anyhow::{Context, anyhow, bail};
use std::{
    fs, io,
    net::{IpAddr, SocketAddr, TcpListener, UdpSocket},
    path::Path,
};

const MASTER: u16 = 5050;
const MARATHON: u16 = 8080;
const COSMOS: u16 = 7070;
const IAM: u16 = 8101;
const GATEWAY_PLAIN: u16 = 8000;
const GATEWAY_TLS: u16 = 8443;
const DNS: u16 = 8053;
const DNS_HTTP: u16 = 8123;
const NET: u16 = 62080;
const NAME: &str = "ports.json";
/// Apart from the others, so that more agents do not move the services.
const SERVICES: &str = "service-ports.json";
const GATEWAY: &str = "gateway-ports.json";
const NETWORK: &str = "network-ports.json";
/// Below the ports that systems give to outgoing connections, so that no executor that looks
/// for its agent can occupy its agent's port.
const AUTO: std::ops::Range<u16> = 12_000..30_000;

/// The master's port, then one for each agent. All are free at this moment.
pub(super) fn choose(
    ports: Ports,
    listen: IpAddr,
    count: usize,
    folder: &Path,
) -> anyhow::Result<Vec<u16>> {
    match ports {
        Ports::Default => {
            let ports: Vec<u16> = (MASTER..).take(count).collect();
            for port in &ports {
                check(listen, *port, "stop it, or let dais choose ports with --ports auto")?;
            }
            Ok(ports)
        }
        Ports::Auto => auto(listen, count, &folder.join(NAME), &[]),
    }
}

/// The ports of Marathon and Cosmos; none of `taken`.
pub(super) fn choose_for_services(
    ports: Ports,
    listen: IpAddr,
    taken: &[u16],
    folder: &Path,
) -> anyhow::Result<(u16, u16)> {
    let [marathon, cosmos] =
        several(ports, listen, [MARATHON, COSMOS], taken, &folder.join(SERVICES))?;
    Ok((marathon, cosmos))
}

/// The ports of the gateway and the identity service; none of `taken`.
pub(super) fn choose_for_gateway(
    ports: Ports,
    listen: IpAddr,
    taken: &[u16],
    folder: &Path,
) -> anyhow::Result<gateway::Ports> {
    let usual = [IAM, GATEWAY_PLAIN, GATEWAY_TLS];
    let [iam, plain, tls] = several(ports, listen, usual, taken, &folder.join(GATEWAY))?;
    Ok(gateway::Ports { iam, plain, tls })
}

/// The ports of names and virtual addresses; none of `taken`.
pub(super) fn choose_for_network(
    ports: Ports,
    listen: IpAddr,
    taken: &[u16],
    folder: &Path,
) -> anyhow::Result<network::Ports> {
    let usual = [DNS, DNS_HTTP, NET];
    let [dns, dns_http, net] = several(ports, listen, usual, taken, &folder.join(NETWORK))?;
    Ok(network::Ports { dns, dns_http, net })
}

/// The usual ports, or those of the last start.
fn several<const N: usize>(
    ports: Ports,
    listen: IpAddr,
    usual: [u16; N],
    taken: &[u16],
    path: &Path,
) -> anyhow::Result<[u16; N]> {
    match ports {
        Ports::Default => {
            for port in usual {
                check(listen, port, "stop it, or let dais choose ports with --ports auto")?;
            }
            Ok(usual)
        }
        Ports::Auto => auto(listen, N, path, taken)?
            .try_into()
            .map_err(|_| anyhow!("{} is damaged; remove it", path.display())),
    }
}

/// The ports of the last start, and new ones for what came since.
fn auto(listen: IpAddr, count: usize, path: &Path, taken: &[u16]) -> anyhow::Result<Vec<u16>> {
    let mut ports: Vec<u16> = match fs::read(path) {
        Ok(text) => serde_json::from_slice(&text)
            .with_context(|| format!("cannot read {}", path.display()))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let known = ports.len().min(count);
    for port in ports.iter().take(known) {
        let advice = format!(
            "stop it, or remove {} to get other ports (tasks that still run are then lost)",
            path.display()
        );
        check(listen, *port, &advice)?;
    }
    if ports.len() < count {
        let mut held = Vec::new();
        let mut next = seed();
        while ports.len() < count {
            let (listener, port) = free(listen, &mut next, &[&ports, taken].concat())?;
            // Held, so that it is not found again, until all are known.
            held.push(listener);
            ports.push(port);
        }
        fs::write(path, serde_json::to_string(&ports)?)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    ports.truncate(count);
    Ok(ports)
}

fn seed() -> u64 {
    uuid::Uuid::new_v4().as_u64_pair().0
}

/// A port nobody listens on, starting the search anywhere.
fn free(listen: IpAddr, next: &mut u64, taken: &[u16]) -> anyhow::Result<(TcpListener, u16)> {
    for _ in 0..2 * AUTO.len() {
        *next = next.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let offset = u16::try_from((*next >> 33) % AUTO.len() as u64).unwrap_or_default();
        let port = AUTO.start + offset;
        let address = SocketAddr::new(listen, port);
        if let (false, Ok(listener), Ok(_)) =
            (taken.contains(&port), TcpListener::bind(address), UdpSocket::bind(address))
        {
            return Ok((listener, port));
        }
    }
    bail!("no free port on {listen} between {} and {}", AUTO.start, AUTO.end)
}

/// Names the port and what to do about it, before anything else has started.
fn check(listen: IpAddr, port: u16, advice: &str) -> anyhow::Result<()> {
    let address = SocketAddr::new(listen, port);
    // Names are asked for over both.
    match TcpListener::bind(address).and_then(|_| UdpSocket::bind(address)) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            bail!("port {port} on {listen} is in use by another program; {advice}")
        }
        Err(error) => Err(error).with_context(|| format!("cannot listen on {address}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[test]
    fn chosen_ports_stay_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let first = choose(Ports::Auto, LOCAL, 3, folder.path()).unwrap();
        assert_eq!(choose(Ports::Auto, LOCAL, 3, folder.path()).unwrap(), first);
        let more = choose(Ports::Auto, LOCAL, 5, folder.path()).unwrap();
        assert_eq!(more[..3], first);
        assert_eq!(choose(Ports::Auto, LOCAL, 1, folder.path()).unwrap(), first[..1]);
        let distinct: std::collections::BTreeSet<_> = more.iter().collect();
        assert_eq!(distinct.len(), 5);
        let services = || choose_for_services(Ports::Auto, LOCAL, &more, folder.path()).unwrap();
        let chosen = services();
        assert_eq!(services(), chosen);
        assert!(chosen.0 != chosen.1 && !more.contains(&chosen.0) && !more.contains(&chosen.1));
    }

    #[test]
    fn a_port_in_use_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let ports = choose(Ports::Auto, LOCAL, 1, folder.path()).unwrap();
        let _other = TcpListener::bind((LOCAL, ports[0])).unwrap();
        let error = choose(Ports::Auto, LOCAL, 1, folder.path()).unwrap_err().to_string();
        assert!(error.contains(&format!("port {}", ports[0])), "{error}");
        assert!(error.contains("ports.json"), "{error}");
    }
}
