//! Which downloads the cache holds, for whom, and what must go to make room. Pure: files are moved
//! and removed by its owner.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
};

/// One user's copy of one URI's content.
pub(crate) type Key = (String, String);

/// The books of the cache directory.
#[derive(Debug)]
pub(crate) struct Cache {
    capacity: u64,
    used: u64,
    entries: HashMap<Key, Entry>,
    /// When each entry that may go was used last.
    idle: BTreeMap<u64, Key>,
    /// Counts uses and names files.
    clock: u64,
}

#[derive(Debug)]
struct Entry {
    file: PathBuf,
    size: u64,
    references: usize,
    ready: bool,
    last_used: u64,
}

/// What is known of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Lookup {
    Ready(PathBuf),
    /// Somebody downloads it.
    Downloading,
    Absent,
}

/// Room in the cache for a download.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reserved {
    pub(crate) file: PathBuf,
    /// No longer in the books, and to be removed.
    pub(crate) evicted: Vec<PathBuf>,
}

impl Cache {
    pub(crate) fn new(capacity: u64) -> Self {
        Self { capacity, used: 0, entries: HashMap::new(), idle: BTreeMap::new(), clock: 0 }
    }

    pub(crate) fn lookup(&self, key: &Key) -> Lookup {
        match self.entries.get(key) {
            Some(entry) if entry.ready => Lookup::Ready(entry.file.clone()),
            Some(_) => Lookup::Downloading,
            None => Lookup::Absent,
        }
    }

    /// Makes an entry that is being downloaded, with one reference. None: there is no room even
    /// without all that may go, or the key is taken.
    pub(crate) fn reserve(&mut self, key: Key, size: u64) -> Option<Reserved> {
        if self.entries.contains_key(&key) {
            return None;
        }
        let idle: u64 =
            self.idle.values().filter_map(|key| self.entries.get(key)).map(|e| e.size).sum();
        if size > self.capacity.saturating_sub(self.used - idle) {
            return None;
        }
        let evicted = self.evict(size);
        self.clock += 1;
        // The user's name is a directory, and stays within one.
        let user = key.0.replace('/', "_");
        let file = PathBuf::from(format!("user-{user}")).join(format!("c{}", self.clock));
        self.used += size;
        let entry =
            Entry { file: file.clone(), size, references: 1, ready: false, last_used: self.clock };
        self.entries.insert(key, entry);
        Some(Reserved { file, evicted })
    }

    /// The download is there, of this size. What must go because it is larger than was thought.
    pub(crate) fn complete(&mut self, key: &Key, size: u64) -> Vec<PathBuf> {
        if let Some(entry) = self.entries.get_mut(key) {
            self.used = self.used - entry.size + size;
            entry.size = size;
            entry.ready = true;
        }
        self.evict(0)
    }

    /// The download failed: the entry is no more, and its file is to be removed.
    pub(crate) fn fail(&mut self, key: &Key) -> Option<PathBuf> {
        let entry = self.entries.remove(key)?;
        self.idle.remove(&entry.last_used);
        self.used -= entry.size;
        Some(entry.file)
    }

    /// Keeps an entry until it is released; false: there is none.
    pub(crate) fn retain(&mut self, key: &Key) -> bool {
        let Some(entry) = self.entries.get_mut(key) else {
            return false;
        };
        if entry.references == 0 {
            self.idle.remove(&entry.last_used);
        }
        entry.references += 1;
        true
    }

    pub(crate) fn release(&mut self, key: &Key) {
        let Some(entry) = self.entries.get_mut(key).filter(|entry| entry.references > 0) else {
            return;
        };
        entry.references -= 1;
        if entry.references == 0 {
            self.clock += 1;
            entry.last_used = self.clock;
            self.idle.insert(self.clock, key.clone());
        }
    }

    /// Lets the longest unused go until `size` more fits.
    fn evict(&mut self, size: u64) -> Vec<PathBuf> {
        let mut evicted = Vec::new();
        while self.used.saturating_add(size) > self.capacity {
            let Some((_, key)) = self.idle.pop_first() else {
                break;
            };
            if let Some(entry) = self.entries.remove(&key) {
                self.used -= entry.size;
                evicted.push(entry.file);
            }
        }
        evicted
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(uri: &str) -> Key {
        ("user".to_owned(), uri.to_owned())
    }

    fn store(cache: &mut Cache, uri: &str, size: u64) -> PathBuf {
        let reserved = cache.reserve(key(uri), size).unwrap();
        cache.complete(&key(uri), size);
        cache.release(&key(uri));
        reserved.file
    }

    #[test]
    fn a_key_is_downloaded_once() {
        let mut cache = Cache::new(100);
        assert_eq!(cache.lookup(&key("a")), Lookup::Absent);
        let file = cache.reserve(key("a"), 10).unwrap().file;
        assert_eq!(cache.reserve(key("a"), 10), None);
        assert_eq!(cache.lookup(&key("a")), Lookup::Downloading);
        cache.complete(&key("a"), 12);
        assert_eq!(cache.lookup(&key("a")), Lookup::Ready(file));
        assert_eq!(cache.used, 12);
    }

    #[test]
    fn the_longest_unused_goes_first_and_what_is_used_stays() {
        let mut cache = Cache::new(100);
        let a = store(&mut cache, "a", 40);
        let b = store(&mut cache, "b", 40);
        assert!(cache.retain(&key("a")));
        assert_eq!(cache.reserve(key("c"), 70), None, "only b may go");
        assert_eq!(cache.reserve(key("c"), 60).unwrap().evicted, [b]);
        cache.fail(&key("c"));
        cache.release(&key("a"));
        assert_eq!(cache.reserve(key("d"), 100).unwrap().evicted, [a]);
        assert_eq!(cache.reserve(key("e"), 1), None);
    }

    #[test]
    fn a_failed_download_leaves_room() {
        let mut cache = Cache::new(10);
        let file = cache.reserve(key("a"), 10).unwrap().file;
        assert_eq!(cache.fail(&key("a")), Some(file));
        assert_eq!(cache.lookup(&key("a")), Lookup::Absent);
        assert!(cache.reserve(key("b"), 10).is_some());
        assert!(!cache.retain(&key("a")));
    }

    #[test]
    fn a_user_cannot_name_a_directory_elsewhere() {
        let mut cache = Cache::new(10);
        let file = cache.reserve(("../x".to_owned(), "a".to_owned()), 1).unwrap().file;
        assert_eq!(file, PathBuf::from("user-.._x/c1"));
    }

    proptest! {
        #[test]
        fn used_is_the_sum_of_sizes_and_never_beyond_what_is_held(
            steps in proptest::collection::vec((0_u8..5, 0_u8..6, 0_u64..60), 0..200)
        ) {
            let mut cache = Cache::new(100);
            for (step, uri, size) in steps {
                let key = key(&uri.to_string());
                match step {
                    0 => drop(cache.reserve(key, size)),
                    1 => {
                        let reserved = cache.entries.get(&key).map_or(0, |entry| entry.size);
                        drop(cache.complete(&key, reserved));
                    }
                    2 if cache.lookup(&key) == Lookup::Downloading => drop(cache.fail(&key)),
                    3 => drop(cache.retain(&key)),
                    _ => cache.release(&key),
                }
                let sum: u64 = cache.entries.values().map(|entry| entry.size).sum();
                prop_assert_eq!(cache.used, sum);
                prop_assert!(cache.used <= 100);
                let idle = cache.entries.values().filter(|entry| entry.references == 0).count();
                prop_assert_eq!(cache.idle.len(), idle);
            }
        }
    }
}
