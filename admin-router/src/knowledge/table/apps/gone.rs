//! What is gone, for as long as a read that was asked for before may tell of it.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

#[derive(Default)]
pub(super) struct Gone {
    /// Tasks with the number of the input that told their end.
    tasks: HashMap<Arc<str>, u64>,
    in_order: VecDeque<(u64, Arc<str>)>,
    /// Apps of which nothing is left, with the number as of which that is known.
    apps: BTreeSet<(u64, Arc<str>)>,
}

// === impl Gone ===

impl Gone {
    pub(super) fn task(&mut self, id: &Arc<str>, number: u64) {
        if self.tasks.insert(Arc::clone(id), number) != Some(number) {
            self.in_order.push_back((number, Arc::clone(id)));
        }
    }

    /// Whether a word of that number is from before its end, or tells it.
    pub(super) fn has_task(&self, id: &str, number: u64) -> bool {
        self.tasks.get(id).is_some_and(|end| number <= *end)
    }

    pub(super) fn forget_tasks(&mut self, oldest: u64) {
        while self.in_order.front().is_some_and(|(number, _)| *number <= oldest) {
            let Some((number, id)) = self.in_order.pop_front() else { return };
            // A later word of the end stands further behind.
            if self.tasks.get(&id) == Some(&number) {
                self.tasks.remove(&id);
            }
        }
    }

    pub(super) fn app(&mut self, id: &Arc<str>, as_of: u64) {
        self.apps.insert((as_of, Arc::clone(id)));
    }

    /// The next app of which no read under way can tell.
    pub(super) fn next_app(&mut self, oldest: u64) -> Option<Arc<str>> {
        self.apps.first().filter(|(as_of, _)| *as_of <= oldest)?;
        self.apps.pop_first().map(|(_, id)| id)
    }
}

#[cfg(test)]
impl Gone {
    pub(super) fn len(&self) -> usize {
        self.tasks.len() + self.in_order.len() + self.apps.len()
    }
}
