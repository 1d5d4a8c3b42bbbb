//! Which Mesos role an app may have, by the group it is in.

use crate::{
    App, ModelError, PathId, Violation,
    app::VolumeSource,
    group::{Root, is_top_level},
    settings::Settings,
};

/// The roles of one app.
pub(crate) struct Roles {
    /// Where the request names none.
    pub(crate) default: String,
    valid: Vec<String>,
    previous: Option<String>,
}

// === impl Roles ===

impl Roles {
    /// `root`: as it is before the app is put into it, with the group that it is in as it will be.
    pub(crate) fn of(id: &PathId, root: &Root, settings: &Settings) -> Self {
        let previous = root.app(id).map(|app| app.role.clone());
        let mesos_role = settings.mesos_role.clone();
        let Some(top) = id.top_level().filter(|_| !is_top_level(id)) else {
            return Self { default: mesos_role.clone(), valid: vec![mesos_role], previous };
        };
        let enforced = match root.group(&top) {
            Some(group) => group.enforce_role.unwrap_or(false),
            None => settings.enforces_new_groups(),
        };
        let own = top.name().to_owned();
        let (default, mut valid) = if enforced {
            (own.clone(), vec![own])
        } else {
            (mesos_role.clone(), vec![mesos_role, own])
        };
        valid.extend(previous.clone());
        valid.dedup();
        Self { default, valid, previous }
    }

    /// `force`: a resident app may get another role.
    pub(crate) fn check(&self, app: &App, force: bool) -> Result<(), ModelError> {
        let mut violations = Vec::new();
        if !self.valid.contains(&app.role) {
            let (got, valid) = (&app.role, self.valid.join(", "));
            let text = format!("got {got}, expected one of: [{valid}]");
            violations.push(Violation::new("/role", text));
        }
        if app.is_resident() {
            self.check_resident(app, force, &mut violations);
        }
        if violations.is_empty() { Ok(()) } else { Err(violations.into()) }
    }

    fn check_resident(&self, app: &App, force: bool, violations: &mut Vec<Violation>) {
        if app.role == "*" {
            violations.push(Violation::new("/role", "Resident apps cannot have the role *"));
        }
        if let Some(previous) = self.previous.as_ref().filter(|role| !force && **role != app.role) {
            let text = format!(
                "It is not possible to change the role for existing reservations. If you proceed \
                 with this change, all existing instances will continue to run under the previous \
                 role, {previous}. Only new instances will be allocated with the new role, {}. In \
                 order to continue, retry your request with ?force=true",
                app.role
            );
            violations.push(Violation::new("/role", text));
        }
    }
}

impl Settings {
    /// Whether a new top-level group enforces its role.
    pub(crate) fn enforces_new_groups(&self) -> bool {
        self.new_group_enforce_role == crate::settings::NewGroupEnforceRole::Top
    }
}

/// Volumes that outlive the instances.
pub(crate) fn persistent_volumes(app: &App) -> impl Iterator<Item = &crate::app::Volume> {
    app.container
        .iter()
        .flat_map(|container| &container.volumes)
        .filter(|volume| matches!(volume.source, VolumeSource::Persistent(_)))
}
