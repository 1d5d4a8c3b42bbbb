//! Writes to groups.

use super::{apps::resolve, draft::Draft};
use crate::{
    App, ModelError, PathId, Violation,
    group::{Group, is_top_level},
    group_update::GroupUpdate,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

const ENFORCE_ROLE_WITH_SERVICES: &str = "enforceRole cannot be modified in a request that adds, removes or modifies services; please \
     make these changes in separate requests.";

// === impl Draft ===

impl Draft<'_> {
    pub(super) fn create_group(
        &mut self,
        path: &PathId,
        update: &GroupUpdate,
    ) -> Result<(), ModelError> {
        let id = resolve(update.id.as_deref(), path).unwrap_or_else(|| path.clone());
        self.write_group(&id, update)?;
        if self.from.group(&id).is_some() {
            let text = format!("Group {id} is already created. Use PUT to change this group.");
            return Err(ModelError::taken(text));
        }
        if self.from.app(&id).is_some() {
            return Err(ModelError::taken(format!("An app with the path {id} already exists.")));
        }
        self.created = true;
        Ok(())
    }

    pub(super) fn update_group(
        &mut self,
        path: &PathId,
        update: &GroupUpdate,
    ) -> Result<(), ModelError> {
        let id = resolve(update.id.as_deref(), path).unwrap_or_else(|| path.clone());
        self.created = self.from.group(&id).is_none();
        self.write_group(&id, update)
    }

    fn write_group(&mut self, id: &PathId, update: &GroupUpdate) -> Result<(), ModelError> {
        let mut violations = Vec::new();
        self.check_group(id, update, update.modifies_services(), "", &mut violations);
        if !violations.is_empty() {
            return Err(violations.into());
        }
        if let Some(factor) = update.scale_by {
            return self.scale_group(id, factor);
        }
        // The version itself is read by whoever makes a `RestoreGroup` of it.
        if let Some(version) = update.version {
            let text = format!("Group {id} not available in version {version}");
            return Err(ModelError::Unprocessable(text));
        }
        self.write_tree(id, update)
    }

    fn check_group(
        &self,
        id: &PathId,
        update: &GroupUpdate,
        services: bool,
        path: &str,
        violations: &mut Vec<Violation>,
    ) {
        check_alone(update, path, violations);
        let enforce_role = format!("{path}/enforceRole");
        if !is_top_level(id) && update.enforce_role == Some(true) {
            let text = format!(
                "enforceRole can only be set for top-level groups, and {id} is not top-level"
            );
            violations.push(Violation::new(enforce_role, text));
        } else if let (Some(now), Some(wanted)) = (self.from.group(id), update.enforce_role)
            && services
            && is_top_level(id)
            && now.enforce_role != Some(wanted)
        {
            violations.push(Violation::new(enforce_role, ENFORCE_ROLE_WITH_SERVICES));
        }
        if let Some(error) = reserved(id) {
            violations.push(Violation::new(format!("{path}/id"), error));
        }
        for (index, app) in update.apps.iter().flatten().enumerate() {
            let path = format!("{path}/apps({index})/id");
            check_child(app.id.as_deref(), id, path, violations);
        }
        for (index, group) in update.groups.iter().flatten().enumerate() {
            let path = format!("{path}/groups({index})");
            let child = check_child(group.id.as_deref(), id, format!("{path}/id"), violations);
            if let Some(child) = child {
                self.check_group(&child, group, services, &path, violations);
            }
        }
    }

    /// Absent parts stay, present ones replace what there was.
    fn write_tree(&mut self, id: &PathId, update: &GroupUpdate) -> Result<(), ModelError> {
        let mut group = self.group_or_new(id);
        if let Some(dependencies) = &update.dependencies {
            group.dependencies =
                dependencies.iter().filter_map(|text| resolve(Some(text), id)).collect();
        }
        if is_top_level(id) {
            group.enforce_role = update.enforce_role.or(group.enforce_role);
        }
        self.put_group(group);
        if let Some(apps) = &update.apps {
            let apps: BTreeMap<PathId, _> = apps
                .iter()
                .filter_map(|app| Some((resolve(app.id.as_deref(), id)?, app)))
                .collect();
            for gone in self.apps_in(id).into_iter().filter(|app| !apps.contains_key(app)) {
                self.remove_app(&gone);
            }
            for (app, update) in apps {
                let app = self.new_app(&app, update, id)?;
                self.put_app(app);
            }
        }
        if let Some(groups) = &update.groups {
            let groups: BTreeMap<PathId, _> = groups
                .iter()
                .filter_map(|group| Some((resolve(group.id.as_deref(), id)?, group)))
                .collect();
            for gone in self.groups_in(id).into_iter().filter(|group| !groups.contains_key(group)) {
                self.remove_tree(&gone);
            }
            for (group, update) in groups {
                self.write_tree(&group, update)?;
            }
        }
        Ok(())
    }

    fn apps_in(&self, group: &PathId) -> Vec<PathId> {
        let apps = self.root.apps_below(group).map(|app| &app.id);
        apps.filter(|id| id.parent().as_ref() == Some(group)).cloned().collect()
    }

    fn groups_in(&self, group: &PathId) -> Vec<PathId> {
        let groups = self.root.groups_below(group).map(|group| &group.id);
        groups.filter(|id| id.parent().as_ref() == Some(group)).cloned().collect()
    }

    /// A group that does not exist is made, and is empty.
    pub(super) fn scale_group(&mut self, id: &PathId, factor: f64) -> Result<(), ModelError> {
        if !(0.0..=1e9).contains(&factor) {
            return Err(ModelError::wrong_shape(&[Violation::new("/scaleBy", "error.min")]));
        }
        self.put_group(self.group_or_new(id));
        let apps: Vec<Arc<App>> = self.root.apps_below(id).cloned().collect();
        for app in apps {
            let instances = (f64::from(app.instances) * factor).ceil().min(f64::from(i32::MAX));
            // In range and whole.
            self.scale(&app, instances as u32)?;
        }
        Ok(())
    }

    pub(super) fn restore_group(&mut self, id: &PathId, apps: &[Arc<App>], groups: &[Arc<Group>]) {
        let inside = |other: &PathId| other == id || other.is_below(id);
        let kept: BTreeSet<&PathId> =
            groups.iter().map(|group| &group.id).chain(apps.iter().map(|app| &app.id)).collect();
        let gone_apps: Vec<PathId> = self.root.apps_below(id).map(|app| app.id.clone()).collect();
        for app in gone_apps.iter().filter(|app| !kept.contains(app)) {
            self.remove_app(app);
        }
        for group in self.groups_of_tree(id).iter().filter(|group| !kept.contains(group)) {
            self.remove_one_group(group);
        }
        for group in groups.iter().filter(|group| inside(&group.id)) {
            self.put_group(Group::clone(group));
        }
        for app in apps.iter().filter(|app| inside(&app.id)) {
            self.put_app(App::clone(app));
        }
    }

    fn groups_of_tree(&self, id: &PathId) -> Vec<PathId> {
        self.root.groups_below(id).map(|group| group.id.clone()).collect()
    }

    pub(super) fn delete_group(&mut self, id: &PathId) -> Result<(), ModelError> {
        self.from.group(id).ok_or_else(|| ModelError::no_group(id))?;
        self.remove_tree(id);
        if id.is_root() {
            self.put_group(Group::new(PathId::root(), false));
        }
        Ok(())
    }

    pub(super) fn patch_group(
        &mut self,
        id: &PathId,
        enforce_role: Option<bool>,
    ) -> Result<(), ModelError> {
        if !is_top_level(id) {
            return Err(ModelError::invalid("/", "Path needs to be top-level"));
        }
        let group = self.from.group(id).ok_or_else(|| ModelError::no_group(id))?;
        let enforce_role = enforce_role.unwrap_or_else(|| self.settings.enforces_new_groups());
        self.put_group(Group { enforce_role: Some(enforce_role), ..Group::clone(group) });
        Ok(())
    }
}

/// `version` and `scaleBy` mean something only alone.
fn check_alone(update: &GroupUpdate, path: &str, violations: &mut Vec<Violation>) {
    const TEXT: &str = "not allowed in conjunction with other properties.";
    if update.parts() > 1 {
        if update.version.is_some() {
            violations.push(Violation::new(format!("{path}/version"), TEXT));
        }
        if update.scale_by.is_some() {
            violations.push(Violation::new(format!("{path}/scaleBy"), TEXT));
        }
    }
}

/// The id of a direct child of `group`.
fn check_child(
    id: Option<&str>,
    group: &PathId,
    path: String,
    violations: &mut Vec<Violation>,
) -> Option<PathId> {
    let Some(id) = resolve(id, group) else {
        violations.push(Violation::new(path, "not defined"));
        return None;
    };
    if id.parent().as_ref() != Some(group) {
        violations.push(Violation::new(path, format!("Identifier is not child of '{group}'")));
        return None;
    }
    Some(id)
}

fn reserved(id: &PathId) -> Option<&'static str> {
    ["restart", "tasks", "versions"].contains(&id.name()).then_some(
        "must not end with any of the following reserved keywords: restart, tasks, versions, ., ..",
    )
}
