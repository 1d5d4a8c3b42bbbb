//! Who has the name of a service, of several apps that claim it.
//!
//! Whoever has it keeps it for as long as it has where to lead it: nobody who may start an app
//! gets at what visitors send to another one by naming it likewise. When it is free, the app
//! whose task has run longest gets it; then those that were refused are told so.

use std::collections::BTreeMap;
use std::sync::Arc;

/// The apps that claim one name and have where to lead it.
#[derive(Default)]
pub(super) struct Claim {
    holder: Option<Arc<str>>,
    /// Whether it was known then how long their tasks have run.
    is_sure: bool,
    /// With the time since when each has run.
    apps: BTreeMap<Arc<str>, u64>,
}

// === impl Claim ===

impl Claim {
    pub(super) fn holder(&self) -> Option<&Arc<str>> {
        self.holder.as_ref()
    }

    pub(super) fn apps(&self) -> impl Iterator<Item = &Arc<str>> {
        self.apps.keys()
    }

    pub(super) fn put(&mut self, app: &Arc<str>, since: u64) {
        self.apps.insert(Arc::clone(app), since);
    }

    pub(super) fn withdraw(&mut self, app: &str) {
        self.apps.remove(app);
        if self.holder.as_deref() == Some(app) {
            self.holder = None;
        }
    }

    /// Gives the name to somebody if it is free; whether it was. Before a master was heard
    /// nobody knows how long tasks have run: who got a name then may lose it to an older one.
    pub(super) fn settle(&mut self) -> bool {
        if self.holder.is_some() && self.is_sure {
            return false;
        }
        let first = self.apps.iter().min_by_key(|(app, since)| (**since, Arc::clone(app)));
        let is_sure = first.is_some_and(|(_, since)| *since != u64::MAX);
        if self.holder.is_some() && !is_sure {
            return false;
        }
        self.holder = first.map(|(app, _)| Arc::clone(app));
        self.is_sure = is_sure;
        true
    }

    /// What is said to those that do not have it.
    pub(super) fn refusal(&self, name: &str) -> Arc<str> {
        let holder = self.holder.as_deref().unwrap_or_default();
        format!("the app {holder} has the name '{name}' already").into()
    }
}
