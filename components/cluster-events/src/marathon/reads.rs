//! What is to be read of Marathon, and when: each app by one read at a time, many by one of all.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// More apps than this are read as one list.
const MANY: usize = 64;
/// Reads that are under way together.
const TOGETHER: usize = 8;

/// One request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Read {
    /// The id of its framework, and its leader.
    Identity,
    /// All apps that are services.
    All,
    App(Arc<str>),
}

/// What has to be read, and what is being read.
#[derive(Debug, Default)]
pub(super) struct Reads {
    identity: bool,
    all: bool,
    apps: BTreeSet<Arc<str>>,
    /// As of which number each was asked for.
    under_way: HashMap<Read, u64>,
}

// === impl Reads ===

impl Reads {
    /// At the beginning of a stream nothing is known.
    pub(super) fn beginning() -> Reads {
        Reads { identity: true, all: true, ..Reads::default() }
    }

    /// An app may be another than it was read.
    pub(super) fn touch(&mut self, app: Arc<str>) {
        self.apps.insert(app);
    }

    pub(super) fn touch_identity(&mut self) {
        self.identity = true;
    }

    /// What to read now, as of this number. To be asked until there is none.
    pub(super) fn next(&mut self, as_of: u64) -> Option<Read> {
        let read = self.choose()?;
        match &read {
            Read::Identity => self.identity = false,
            Read::All => {
                self.all = false;
                self.apps.clear();
            }
            Read::App(app) => {
                self.apps.remove(app);
            }
        }
        self.under_way.insert(read.clone(), as_of);
        Some(read)
    }

    pub(super) fn done(&mut self, read: &Read) {
        self.under_way.remove(read);
    }

    /// As of which number the oldest one was asked for.
    pub(super) fn oldest(&self) -> Option<u64> {
        self.under_way.values().min().copied()
    }

    fn choose(&self) -> Option<Read> {
        if self.identity && !self.under_way.contains_key(&Read::Identity) {
            return Some(Read::Identity);
        }
        // The list of all apps is read alone: what changes meanwhile is read after it.
        if self.under_way.contains_key(&Read::All) {
            return None;
        }
        if self.all || self.apps.len() > MANY {
            let apps = self.under_way.keys().filter(|read| **read != Read::Identity).count();
            return (apps == 0).then_some(Read::All);
        }
        if self.under_way.len() >= TOGETHER {
            return None;
        }
        let free = |app: &&Arc<str>| !self.under_way.contains_key(&Read::App(Arc::clone(app)));
        self.apps.iter().find(free).map(|app| Read::App(Arc::clone(app)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(reads: &mut Reads) -> Vec<Read> {
        std::iter::from_fn(|| reads.next(7)).collect()
    }

    fn app(id: &str) -> Read {
        Read::App(id.into())
    }

    #[test]
    fn all_is_read_first_and_alone() {
        let mut reads = Reads::beginning();
        assert_eq!(taken(&mut reads), [Read::Identity, Read::All]);
        reads.touch("/a".into());
        assert_eq!(taken(&mut reads), []);
        reads.done(&Read::All);
        assert_eq!(taken(&mut reads), [app("/a")]);
        reads.done(&app("/a"));
        assert_eq!(reads.oldest(), Some(7));
        reads.done(&Read::Identity);
        assert_eq!(reads.oldest(), None);
    }

    #[test]
    fn what_changes_while_it_is_read_is_read_once_more() {
        let mut reads = Reads::default();
        reads.touch("/a".into());
        assert_eq!(taken(&mut reads), [app("/a")]);
        for _ in 0..5 {
            reads.touch("/a".into());
            assert_eq!(taken(&mut reads), []);
        }
        reads.done(&app("/a"));
        assert_eq!(taken(&mut reads), [app("/a")]);
        reads.done(&app("/a"));
        assert_eq!(taken(&mut reads), []);
    }

    #[test]
    fn many_are_read_as_a_list() {
        let mut reads = Reads::default();
        reads.touch("/first".into());
        assert_eq!(taken(&mut reads), [app("/first")]);
        (0..=MANY).for_each(|number| reads.touch(format!("/{number}").into()));
        assert_eq!(taken(&mut reads), []);
        reads.done(&app("/first"));
        assert_eq!(taken(&mut reads), [Read::All]);
        reads.done(&Read::All);
        assert_eq!(taken(&mut reads), []);
    }

    #[test]
    fn few_reads_run_together() {
        let mut reads = Reads::default();
        (0..TOGETHER + 3).for_each(|number| reads.touch(format!("/{number}").into()));
        assert_eq!(taken(&mut reads).len(), TOGETHER);
    }
}
