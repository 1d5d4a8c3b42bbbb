//! Addresses for names: where the original puts them, and never elsewhere while they are known.

use std::net::Ipv4Addr;
use std::sync::Arc;

use rustc_hash::FxHashMap;

/// Which name has which address.
#[derive(Debug)]
pub struct Pool {
    first: u32,
    /// How many addresses the hash reaches; the last one is reached by probing only.
    reach: u32,
    of_names: FxHashMap<Arc<str>, Ipv4Addr>,
    names: FxHashMap<Ipv4Addr, Arc<str>>,
}

// === impl Pool ===

impl Pool {
    /// Of addresses between two, both included.
    pub fn new((first, last): (Ipv4Addr, Ipv4Addr)) -> Pool {
        let (first, last) = (u32::from(first), u32::from(last));
        Pool {
            first,
            reach: last.saturating_sub(first).max(1),
            of_names: FxHashMap::default(),
            names: FxHashMap::default(),
        }
    }

    pub fn get(&self, name: &str) -> Option<Ipv4Addr> {
        self.of_names.get(name).copied()
    }

    /// Whose an address is.
    pub fn owner(&self, address: Ipv4Addr) -> Option<&Arc<str>> {
        self.names.get(&address)
    }

    pub fn names(&self) -> impl Iterator<Item = (&Arc<str>, Ipv4Addr)> {
        self.of_names.iter().map(|(name, address)| (name, *address))
    }

    pub fn len(&self) -> usize {
        self.of_names.len()
    }

    pub fn is_empty(&self) -> bool {
        self.of_names.is_empty()
    }

    /// Where a name would go: the first free address from its hash on. `reserved` are those that
    /// others have by their label.
    pub fn candidate(&self, name: &str, reserved: impl Fn(Ipv4Addr) -> bool) -> Option<Ipv4Addr> {
        let start = hash(name.as_bytes()) % self.reach;
        let all = (start..=self.reach).chain(0..start);
        let mut addresses = all.map(|offset| Ipv4Addr::from(self.first.saturating_add(offset)));
        addresses.find(|address| !self.names.contains_key(address) && !reserved(*address))
    }

    /// Enters what was decided. False if either has another already.
    pub fn insert(&mut self, name: Arc<str>, address: Ipv4Addr) -> bool {
        match (self.of_names.get(&name), self.names.get(&address)) {
            (None, None) => {
                self.names.insert(address, name.clone());
                self.of_names.insert(name, address);
                true
            }
            (Some(known), _) => *known == address,
            (None, Some(_)) => false,
        }
    }

    pub fn remove(&mut self, name: &str) -> Option<Ipv4Addr> {
        let address = self.of_names.remove(name)?;
        self.names.remove(&address);
        Some(address)
    }
}

/// Erlang's `phash2` of a binary, on which the original's addresses rest: whoever wrote one of
/// them down somewhere finds it here again.
fn hash(bytes: &[u8]) -> u32 {
    const GOLDEN: u32 = 0x9E37_79B9;
    /// Thirteen times the golden one, which stands for binaries.
    const BINARY: u32 = 0x08D1_2E65;
    if bytes.is_empty() {
        return BINARY;
    }
    let (mut a, mut b, mut c) = (GOLDEN, GOLDEN, BINARY);
    let mut chunks = bytes.chunks_exact(12);
    for chunk in &mut chunks {
        a = a.wrapping_add(word(chunk, 0));
        b = b.wrapping_add(word(chunk, 4));
        c = c.wrapping_add(word(chunk, 8));
        mix(&mut a, &mut b, &mut c);
    }
    let rest = chunks.remainder();
    a = a.wrapping_add(word(rest, 0));
    b = b.wrapping_add(word(rest, 4));
    // The lowest byte of the last word has the length.
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    c = c.wrapping_add(length).wrapping_add(word(rest, 8) << 8);
    mix(&mut a, &mut b, &mut c);
    c
}

/// Four bytes as a number, the lowest first; those that are missing are 0.
fn word(bytes: &[u8], at: usize) -> u32 {
    let bytes = bytes.iter().skip(at).take(4).zip([0, 8, 16, 24]);
    bytes.fold(0, |word, (byte, shift)| word | u32::from(*byte) << shift)
}

fn mix(a: &mut u32, b: &mut u32, c: &mut u32) {
    for (first, second, third) in [(13, 8, 13), (12, 16, 5), (3, 10, 15)] {
        *a = a.wrapping_sub(*b).wrapping_sub(*c) ^ (*c >> first);
        *b = b.wrapping_sub(*c).wrapping_sub(*a) ^ (*a << second);
        *c = c.wrapping_sub(*a).wrapping_sub(*b) ^ (*b >> third);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RANGE: (Ipv4Addr, Ipv4Addr) =
        (Ipv4Addr::new(11, 0, 0, 0), Ipv4Addr::new(11, 255, 255, 254));

    /// As a real Erlang says.
    #[test]
    fn the_hash_is_erlangs() {
        for (text, value) in [
            ("", 147_926_629),
            ("a", 1_589_197_455),
            ("web.marathon", 3_470_861_299),
            ("nginx.marathon", 461_322_011),
            ("redis.marathon", 2_127_184_294),
            ("broker.devkafka", 1_890_720_441),
            ("abcdefghijkl", 686_521_495),
            ("abcdefghijklm", 3_501_102_500),
            ("a-name-that-is-longer-than-two-rounds.of-the-hash.marathon", 2_448_401_844),
        ] {
            assert_eq!(hash(text.as_bytes()), value, "{text}");
        }
    }

    #[test]
    fn a_name_gets_the_originals_address() {
        let pool = Pool::new(RANGE);
        // phash2(<<"web.marathon">>, 16777214) is 14755215.
        let address = Ipv4Addr::from(u32::from(RANGE.0) + 14_755_215);
        assert_eq!(pool.candidate("web.marathon", |_| false), Some(address));
    }

    #[test]
    fn a_taken_address_is_probed_past() {
        let mut pool = Pool::new(RANGE);
        let first = pool.candidate("web.marathon", |_| false).unwrap();
        assert!(pool.insert("other.marathon".into(), first));
        let second = pool.candidate("web.marathon", |_| false).unwrap();
        assert_eq!(u32::from(second), u32::from(first) + 1);
        let third = pool.candidate("web.marathon", |address| address == second).unwrap();
        assert_eq!(u32::from(third), u32::from(first) + 2);
        assert!(!pool.insert("web.marathon".into(), first), "it is another's");
        assert!(pool.insert("web.marathon".into(), second));
        assert!(!pool.insert("web.marathon".into(), third), "it has one");
        assert_eq!(pool.remove("other.marathon"), Some(first));
        assert_eq!(pool.get("web.marathon"), Some(second), "it stays where it is");
    }

    #[test]
    fn a_full_range_gives_nothing() {
        let mut pool = Pool::new((Ipv4Addr::new(11, 0, 0, 1), Ipv4Addr::new(11, 0, 0, 3)));
        for name in ["a", "b", "c"] {
            let address = pool.candidate(name, |_| false).unwrap();
            assert!(pool.insert(name.into(), address));
        }
        assert_eq!(pool.len(), 3);
        assert_eq!(pool.candidate("d", |_| false), None);
    }
}
