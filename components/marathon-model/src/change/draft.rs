//! A root group while a change is made to it, and the rules that hold for the whole of it.

use super::{Applied, Changed, GroupChanged};
use crate::{
    App, ModelError, PathId, Timestamp, Violation,
    app::{VersionInfo, is_config_change},
    dependencies::Classes,
    group::{Group, Root},
    ports::set_service_ports,
    roles::persistent_volumes,
    rollback,
    settings::Settings,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// What a change has done so far.
pub(super) struct Draft<'a> {
    pub(super) from: &'a Root,
    pub(super) root: Root,
    pub(super) settings: &'a Settings,
    pub(super) force: bool,
    pub(super) created: bool,
    version: Timestamp,
    apps: BTreeSet<PathId>,
    groups: BTreeSet<PathId>,
    restarted: BTreeSet<PathId>,
}

// === impl Draft ===

impl<'a> Draft<'a> {
    pub(super) fn new(from: &'a Root, force: bool, now: Timestamp, settings: &'a Settings) -> Self {
        Self {
            from,
            root: from.clone(),
            settings,
            force,
            created: false,
            version: now.max(Timestamp(from.version().0.saturating_add(1))),
            apps: BTreeSet::new(),
            groups: BTreeSet::new(),
            restarted: BTreeSet::new(),
        }
    }

    pub(super) fn put_app(&mut self, app: App) {
        self.make_ancestors(&app.id);
        // An empty group gives way to an app; one with apps is a clash, found at the end.
        if self.root.group(&app.id).is_some() && self.root.apps_below(&app.id).next().is_none() {
            self.remove_groups(&app.id);
        }
        self.apps.insert(app.id.clone());
        self.root.put_app(Arc::new(app));
    }

    pub(super) fn remove_app(&mut self, id: &PathId) {
        self.apps.insert(id.clone());
        self.root.remove_app(id);
    }

    pub(super) fn restart(&mut self, id: &PathId) {
        self.apps.insert(id.clone());
        self.restarted.insert(id.clone());
    }

    pub(super) fn put_group(&mut self, group: Group) {
        self.make_ancestors(&group.id);
        self.groups.insert(group.id.clone());
        self.root.put_group(Arc::new(group));
    }

    /// The group as it is now, or a new one.
    pub(super) fn group_or_new(&self, id: &PathId) -> Group {
        let new = || Group::new(id.clone(), self.settings.enforces_new_groups());
        self.root.group(id).map_or_else(new, |group| Group::clone(group))
    }

    /// The group with every group and app in it.
    pub(super) fn remove_tree(&mut self, id: &PathId) {
        let apps: Vec<PathId> = self.root.apps_below(id).map(|app| app.id.clone()).collect();
        for app in &apps {
            self.remove_app(app);
        }
        self.remove_groups(id);
    }

    fn remove_groups(&mut self, id: &PathId) {
        let mut groups: Vec<PathId> =
            self.root.groups_below(id).map(|group| group.id.clone()).collect();
        groups.push(id.clone());
        for group in groups {
            self.root.remove_group(&group);
            self.groups.insert(group);
        }
    }

    /// Not what is in it.
    pub(super) fn remove_one_group(&mut self, id: &PathId) {
        self.root.remove_group(id);
        self.groups.insert(id.clone());
    }

    fn make_ancestors(&mut self, id: &PathId) {
        let made = self.root.make_ancestors(id, self.settings.enforces_new_groups());
        self.groups.extend(made);
    }

    /// Nothing but groups' settings: no new version, no deployment.
    pub(super) fn finish_unversioned(self) -> Applied {
        self.into_applied()
    }

    /// Checks an app that no request described, such as one that is only scaled.
    pub(super) fn check_app(&self, app: &App) -> Result<(), ModelError> {
        let violations = crate::validate::app(app, self.settings);
        if violations.is_empty() {
            return Ok(());
        }
        let below = format!("/apps/{}", app.id);
        Err(violations.into_iter().map(|v| v.below(&below)).collect::<Vec<_>>().into())
    }

    /// Assigns ports and versions, and checks what the change touched against everything else.
    pub(super) fn finish(mut self) -> Result<Applied, ModelError> {
        self.assign_ports()?;
        self.assign_versions();
        self.root.set_version(self.version);
        self.check_names()?;
        self.check_cycles()?;
        self.check_updates()?;
        Ok(self.into_applied())
    }

    /// Ports that the apps of this change had stay theirs, even where an app is gone.
    fn assign_ports(&mut self) -> Result<(), ModelError> {
        let mut used = self.root.service_ports().clone();
        for before in self.apps.iter().filter_map(|id| self.from.app(id)) {
            before.service_ports().for_each(|port| used.take(port));
        }
        let (min, max) = (self.settings.local_port_min, self.settings.local_port_max);
        for id in &self.apps {
            let Some(app) = self.root.app(id) else { continue };
            let mut ports: Vec<u16> = app.service_ports().collect();
            if !ports.contains(&0) {
                continue;
            }
            let before = self.from.app(id).into_iter().flat_map(|app| app.service_ports());
            let kept: Vec<u16> =
                before.filter(|port| (min..=max).contains(port) && !ports.contains(port)).collect();
            let mut kept = kept.into_iter();
            for port in ports.iter_mut().filter(|port| **port == 0) {
                let free = kept.next().or_else(|| used.lowest_free(min, max));
                *port = free.ok_or_else(|| exhausted(min, max))?;
                used.take(*port);
            }
            let mut app = App::clone(app);
            set_service_ports(&mut app, &ports);
            self.root.put_app(Arc::new(app));
        }
        Ok(())
    }

    fn assign_versions(&mut self) {
        for id in &self.apps {
            let Some(app) = self.root.app(id) else { continue };
            let before = self.from.app(id);
            let info = self.version_info(before, app, self.restarted.contains(id));
            match (info, before) {
                (Some(version_info), _) => {
                    let mut app = App::clone(app);
                    app.version = self.version;
                    app.version_info = version_info;
                    self.root.put_app(Arc::new(app));
                }
                // As it was: the very same object, so that nothing is taken for changed.
                (None, Some(before)) => self.root.put_app(before.clone()),
                (None, None) => {}
            }
        }
    }

    /// None where nothing changed.
    fn version_info(
        &self,
        before: Option<&Arc<App>>,
        app: &App,
        restart: bool,
    ) -> Option<VersionInfo> {
        let now = self.version;
        let new = VersionInfo { last_scaling_at: now, last_config_change_at: now };
        let Some(before) = before else { return Some(new) };
        if is_config_change(before, app) {
            Some(new)
        } else if before.instances != app.instances {
            Some(VersionInfo { last_scaling_at: now, ..before.version_info })
        } else {
            // A restart counts as a change of the configuration: constraints and the launch delay
            // of the instances it starts know nothing of those it replaces.
            restart.then_some(VersionInfo { last_config_change_at: now, ..before.version_info })
        }
    }

    fn check_names(&self) -> Result<(), ModelError> {
        let clash = |id: &PathId| self.root.app(id).is_some() && self.root.group(id).is_some();
        if self.apps.iter().chain(&self.groups).any(clash) {
            let text = "Groups and Applications may not have the same identifier.";
            return Err(ModelError::invalid("/", text));
        }
        Ok(())
    }

    /// A new cycle goes through something that is new or has other dependencies.
    fn check_cycles(&self) -> Result<(), ModelError> {
        let mut classes = Classes::new(&self.root);
        let cyclic = |_| ModelError::invalid("/", "Dependency graph has cyclic dependencies.");
        for app in self.apps.iter().filter_map(|id| self.root.app(id)) {
            let before = self.from.app(&app.id);
            if before.is_none_or(|before| before.dependencies != app.dependencies) {
                classes.of_app(&app.id).map_err(cyclic)?;
            }
        }
        for group in self.groups.iter().filter_map(|id| self.root.group(id)) {
            if !group.dependencies.is_empty() {
                classes.of_group(&group.id).map_err(cyclic)?;
            }
        }
        Ok(())
    }

    fn check_updates(&self) -> Result<(), ModelError> {
        let mut violations = Vec::new();
        let mut index = 0;
        for id in &self.apps {
            let Some(app) = self.root.app(id).filter(|app| app.version == self.version) else {
                continue;
            };
            violations.extend(rollback::violation(app));
            if let Some(before) = self.from.app(id) {
                let found = resident_violations(before, app);
                violations.extend(found.into_iter().map(|v| v.below(&format!("/app({index})"))));
            }
            index += 1;
        }
        if violations.is_empty() { Ok(()) } else { Err(violations.into()) }
    }

    fn into_applied(self) -> Applied {
        let mut changed = BTreeMap::new();
        for id in self.apps {
            let (before, after) = (self.from.app(&id).cloned(), self.root.app(&id).cloned());
            let same = match (&before, &after) {
                (Some(before), Some(after)) => before.version == after.version,
                (before, after) => before.is_none() && after.is_none(),
            };
            if !same {
                changed.insert(id, Changed { before, after });
            }
        }
        let mut groups_changed = BTreeMap::new();
        for id in self.groups {
            let (before, after) = (self.from.group(&id).cloned(), self.root.group(&id).cloned());
            if before != after {
                groups_changed.insert(id, GroupChanged { before, after });
            }
        }
        let restarted = self.restarted.into_iter().filter(|id| changed.contains_key(id)).collect();
        Applied { root: self.root, changed, groups_changed, restarted, created: self.created }
    }
}

fn exhausted(min: u16, max: u16) -> ModelError {
    ModelError::Unprocessable(format!("All ports in the range [{min}-{max}) are already in use"))
}

/// What may not change where there are persistent volumes.
fn resident_violations(before: &App, app: &App) -> Vec<Violation> {
    if !before.is_resident() && !app.is_resident() {
        return Vec::new();
    }
    const RESOURCES: &str = "Services with persistent volumes configured may not change resource \
                             requirements. If you need to make this change, please create a new \
                             service.";
    const PORTS: &str = "Services with persistent volumes configured may not change host ports. \
                         If you need to make this change, please create a new service.";
    let volumes = |app: &App| -> BTreeMap<String, crate::app::Volume> {
        persistent_volumes(app).map(|v| (v.container_path.clone(), v.clone())).collect()
    };
    let ports = |app: &App| app.host_ports().flatten().collect::<BTreeSet<u16>>();
    let rules = [
        ("/", volumes(before) == volumes(app), "Persistent volumes can not be changed!"),
        ("/cpus", before.cpus == app.cpus, RESOURCES),
        ("/mem", before.mem == app.mem, RESOURCES),
        ("/disk", before.disk == app.disk, RESOURCES),
        ("/gpus", before.gpus == app.gpus, RESOURCES),
        ("/requirePorts", before.require_ports == app.require_ports, RESOURCES),
        ("/", ports(before) == ports(app), PORTS),
    ];
    let broken = rules.into_iter().filter(|(_, holds, _)| !holds);
    broken.map(|(path, _, text)| Violation::new(path, text)).collect()
}
