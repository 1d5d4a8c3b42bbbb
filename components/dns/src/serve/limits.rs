//! Who may ask for what, and how often: pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use thiserror::Error;

/// A range of addresses: `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    bits: u128,
    mask: u128,
    is_v4: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("not a network: {0:?}; write it as 10.0.0.0/8")]
pub struct NotANetwork(String);

/// How many answers those get who are not trusted, over UDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// A second, to all addresses that share a /24 or a /56; 0: no limit.
    pub answers: u32,
    /// Of what goes beyond, one in so many is answered with "ask over TCP", which forged addresses
    /// never do; 0: none.
    pub slip: u32,
}

/// What becomes of one answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Send,
    /// Only that it is to be asked over TCP.
    Truncate,
    Drop,
}

/// Counts answers by prefix. Prefixes that fall into one bucket share its allowance, so that its
/// size does not depend on who asks.
pub(crate) struct Limiter {
    rate: Rate,
    seed: u64,
    buckets: Box<[Bucket]>,
}

#[derive(Clone, Copy)]
struct Bucket {
    /// Thousandths of answers that may still be sent.
    left: u32,
    at_millis: u32,
    beyond: u32,
}

const BUCKETS: usize = 4096;

// === impl Network ===

impl Network {
    pub fn new(address: IpAddr, prefix: u8) -> Option<Network> {
        let is_v4 = address.is_ipv4();
        let most = if is_v4 { 32 } else { 128 };
        let prefix = u32::from(prefix);
        if prefix > most {
            return None;
        }
        let ones = if is_v4 { 96 + prefix } else { prefix };
        let mask = u128::MAX.checked_shl(128 - ones).unwrap_or(0);
        Some(Network { bits: bits(address) & mask, mask, is_v4 })
    }

    pub fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.is_v4 && bits(address) & self.mask == self.bits
    }

    /// Loopback, and the ranges that nobody routes from outside: private, shared, link-local.
    pub fn private() -> Vec<Network> {
        let v4 = |a, b, prefix| Network::new(Ipv4Addr::new(a, b, 0, 0).into(), prefix);
        let v6 =
            |first, prefix| Network::new(Ipv6Addr::new(first, 0, 0, 0, 0, 0, 0, 0).into(), prefix);
        [
            v4(127, 0, 8),
            v4(10, 0, 8),
            v4(172, 16, 12),
            v4(192, 168, 16),
            v4(100, 64, 10),
            v4(169, 254, 16),
            Network::new(Ipv6Addr::LOCALHOST.into(), 128),
            v6(0xfc00, 7),
            v6(0xfe80, 10),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Network, NotANetwork> {
        let error = || NotANetwork(text.to_owned());
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix.parse().map_err(|_| error())?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| error())?;
        let prefix = prefix.unwrap_or(if address.is_ipv4() { 32 } else { 128 });
        Network::new(address, prefix).ok_or_else(error)
    }
}

impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ones = self.mask.count_ones();
        if self.is_v4 {
            let address = Ipv4Addr::from_bits(self.bits as u32);
            return write!(f, "{address}/{}", ones.saturating_sub(96));
        }
        write!(f, "{}/{ones}", Ipv6Addr::from_bits(self.bits))
    }
}

// === impl Rate ===

impl Default for Rate {
    fn default() -> Self {
        Rate { answers: 100, slip: 2 }
    }
}

// === impl Limiter ===

impl Limiter {
    pub(crate) fn new(rate: Rate, seed: u64) -> Limiter {
        let full = Bucket { left: u32::MAX, at_millis: 0, beyond: 0 };
        let count = if rate.answers == 0 { 0 } else { BUCKETS };
        Limiter { rate, seed, buckets: vec![full; count].into_boxed_slice() }
    }

    pub(crate) fn take(&mut self, from: IpAddr, now_millis: u32) -> Verdict {
        let number = self.bucket_of(from);
        let Rate { answers, slip } = self.rate;
        let Some(bucket) = self.buckets.get_mut(number) else { return Verdict::Send };
        // So many thousandths come with each millisecond; a second's worth at most.
        let most = answers.saturating_mul(1000);
        let since = now_millis.wrapping_sub(bucket.at_millis);
        let left = bucket.left.saturating_add(answers.saturating_mul(since)).min(most);
        bucket.at_millis = now_millis;
        if left >= 1000 {
            bucket.left = left - 1000;
            bucket.beyond = 0;
            return Verdict::Send;
        }
        bucket.left = left;
        bucket.beyond = bucket.beyond.wrapping_add(1);
        if slip > 0 && bucket.beyond.is_multiple_of(slip) {
            Verdict::Truncate
        } else {
            Verdict::Drop
        }
    }

    /// By the prefix that one household or forger is likely to have.
    fn bucket_of(&self, from: IpAddr) -> usize {
        let prefix = match from {
            IpAddr::V4(address) => u64::from(address.to_bits() >> 8),
            IpAddr::V6(address) => (address.to_bits() >> 72) as u64 | 1 << 63,
        };
        let mixed = (prefix ^ self.seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ mixed >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93);
        (mixed >> 48) as usize % BUCKETS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_contain_their_addresses() {
        let network: Network = "10.1.0.0/16".parse().unwrap();
        assert!(network.contains("10.1.255.255".parse().unwrap()));
        assert!(!network.contains("10.2.0.0".parse().unwrap()));
        assert!(!network.contains("::10.1.0.0".parse().unwrap()));
        assert_eq!(network.to_string(), "10.1.0.0/16");
        let all: Network = "0.0.0.0/0".parse().unwrap();
        assert!(all.contains("203.0.113.1".parse().unwrap()));
        assert_eq!("fd00::1/8".parse::<Network>().unwrap().to_string(), "fd00::/8");
        assert_eq!("::1".parse::<Network>().unwrap().to_string(), "::1/128");
        for bad in ["", "10.0.0.0/33", "10.0.0/8", "x/8", "10.0.0.0/"] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
        let private = Network::private();
        let is_private = |text: &str| {
            let address = text.parse().unwrap();
            private.iter().any(|network| network.contains(address))
        };
        assert!(["127.0.0.1", "172.31.0.1", "::1", "fd01::1"].into_iter().all(is_private));
        assert!(!["172.32.0.1", "8.8.8.8", "2001:db8::1"].into_iter().any(is_private));
    }

    #[test]
    fn what_goes_beyond_the_rate_is_dropped_or_sent_to_tcp() {
        let mut limiter = Limiter::new(Rate { answers: 10, slip: 2 }, 7);
        let from = |text: &str| text.parse().unwrap();
        let verdicts: Vec<Verdict> =
            (0..14).map(|last| limiter.take(from(&format!("203.0.113.{last}")), 5000)).collect();
        assert!(verdicts[..10].iter().all(|verdict| *verdict == Verdict::Send));
        let beyond = [Verdict::Drop, Verdict::Truncate, Verdict::Drop, Verdict::Truncate];
        assert_eq!(verdicts[10..], beyond);
        assert_eq!(limiter.take(from("198.51.100.1"), 5000), Verdict::Send);
        // A tenth of a second later there is one more, and not two.
        assert_eq!(limiter.take(from("203.0.113.9"), 5100), Verdict::Send);
        assert_eq!(limiter.take(from("203.0.113.9"), 5100), Verdict::Drop);
        let mut none = Limiter::new(Rate { answers: 0, slip: 2 }, 7);
        assert!((0..1000).all(|_| none.take(from("203.0.113.1"), 0) == Verdict::Send));
    }
}
