//! Where the instances of one app are, counted by the fields of its constraints.

use super::{Placement, constraint};
use marathon_model::{App, InstanceId, Timestamp, app::Operator};
use regex::Regex;
use rustc_hash::FxHashMap;
use std::{collections::BTreeMap, sync::Arc};

/// The placed instances of one app, kept up to date one by one.
///
/// Only instances of a version not older than the last change of the configuration count: a new
/// one may go where an old one still is that it will replace.
#[derive(Clone, Debug, Default)]
pub struct Placed {
    since: Timestamp,
    /// A field of a constraint, and how many instances have which value.
    fields: Vec<(String, BTreeMap<Option<String>, u32>)>,
    members: FxHashMap<InstanceId, Arc<Placement>>,
    /// Of the constraints with one, by their place in the list.
    patterns: Vec<Option<Regex>>,
}

// === impl Placed ===

impl Placed {
    /// An index for `app`; build a new one when the app's configuration changes.
    pub fn new(app: &App) -> Self {
        let mut fields: Vec<(String, BTreeMap<Option<String>, u32>)> = Vec::new();
        for constraint in &app.constraints {
            if fields.iter().all(|(field, _)| *field != constraint.field) {
                fields.push((constraint.field.clone(), BTreeMap::new()));
            }
        }
        let since = app.version_info.last_config_change_at;
        let has_pattern = |operator| matches!(operator, Operator::Like | Operator::Unlike);
        let pattern = |one: &marathon_model::app::Constraint| {
            has_pattern(one.operator).then(|| constraint::pattern(one)).flatten()
        };
        let patterns = app.constraints.iter().map(pattern).collect();
        Self { since, fields, members: FxHashMap::default(), patterns }
    }

    /// Notes an instance of that version of the app. Once is enough; twice does no harm.
    pub fn add(&mut self, id: &InstanceId, version: Timestamp, placement: &Arc<Placement>) {
        if version < self.since || self.fields.is_empty() {
            return;
        }
        if let Some(before) = self.members.insert(id.clone(), placement.clone()) {
            self.count(&before, false);
        }
        self.count(placement, true);
    }

    /// Forgets an instance, if it was noted.
    pub fn remove(&mut self, id: &InstanceId) {
        if let Some(placement) = self.members.remove(id) {
            self.count(&placement, false);
        }
    }

    /// How many instances have which value of that field.
    pub(super) fn values(&self, field: &str) -> Option<&BTreeMap<Option<String>, u32>> {
        self.fields.iter().find(|(name, _)| name == field).map(|(_, values)| values)
    }

    /// The pattern of the constraint at that place in the list; none that can be read, none.
    pub(super) fn pattern(&self, index: usize) -> Option<&Regex> {
        self.patterns.get(index)?.as_ref()
    }

    fn count(&mut self, placement: &Placement, up: bool) {
        for (field, values) in &mut self.fields {
            let value = placement.field(field).map(str::to_owned);
            if up {
                *values.entry(value).or_default() += 1;
            } else if let Some(count) = values.get_mut(&value) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    values.remove(&value);
                }
            }
        }
    }
}
