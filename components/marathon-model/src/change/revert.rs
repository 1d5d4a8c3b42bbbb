//! Taking a deployment back.

use super::{GroupChanged, draft::Draft};
use crate::{App, PathId, group::Group, plan::Plan};

// === impl Draft ===

impl Draft<'_> {
    /// Only what the plan changed. Its apps were locked while it ran; groups were not, so of those
    /// just the plan's own additions are taken away and its removals put back.
    pub(super) fn revert(&mut self, plan: &Plan) {
        for (id, changed) in &plan.changed {
            match &changed.before {
                Some(before) => self.put_app(App::clone(before)),
                None => self.remove_app(id),
            }
        }
        // Inner groups first: a group may be empty only when they are gone.
        for (id, changed) in plan.groups_changed.iter().rev() {
            self.revert_group(id, changed);
        }
    }

    fn revert_group(&mut self, id: &PathId, changed: &GroupChanged) {
        match (&changed.before, &changed.after) {
            (Some(before), after) => {
                let mut group = match self.root.group(id) {
                    Some(now) => Group::clone(now),
                    None => Group { dependencies: Default::default(), ..Group::clone(before) },
                };
                group.dependencies.extend(before.dependencies.iter().cloned());
                let added = after.iter().flat_map(|after| &after.dependencies);
                for added in added.filter(|added| !before.dependencies.contains(added)) {
                    group.dependencies.remove(added);
                }
                if after.as_ref().is_some_and(|after| after.enforce_role == group.enforce_role) {
                    group.enforce_role = before.enforce_role;
                }
                self.put_group(group);
            }
            (None, Some(after)) => self.revert_addition(id, after),
            (None, None) => {}
        }
    }

    fn revert_addition(&mut self, id: &PathId, added: &Group) {
        let Some(now) = self.root.group(id) else { return };
        let empty = self.root.apps_below(id).next().is_none()
            && self.root.groups_below(id).next().is_none();
        if empty && now.dependencies == added.dependencies {
            self.remove_tree(id);
        } else if !added.dependencies.is_empty() {
            let mut group = Group::clone(now);
            group.dependencies.retain(|dependency| !added.dependencies.contains(dependency));
            self.put_group(group);
        }
    }
}
