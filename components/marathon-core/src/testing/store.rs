//! What was written so far, as a store keeps it.

use crate::{InstanceRecord, Recovered, TaskFailure, Write};
use marathon_model::{
    App, InstanceId, PathId, Timestamp,
    group::{Group, Root},
    plan::Plan,
};
use std::{collections::BTreeMap, sync::Arc};

/// Every key and its value.
#[derive(Clone, Debug, Default)]
pub(crate) struct Store {
    framework_id: Option<String>,
    version: Timestamp,
    apps: BTreeMap<(PathId, Timestamp), Arc<App>>,
    current: BTreeMap<PathId, Timestamp>,
    groups: BTreeMap<PathId, Arc<Group>>,
    instances: BTreeMap<InstanceId, (PathId, InstanceRecord)>,
    deployments: Vec<Arc<Plan>>,
    failures: BTreeMap<PathId, Arc<TaskFailure>>,
}

// === impl Store ===

impl Store {
    pub(crate) fn commit(&mut self, writes: Vec<Write>) {
        for write in writes {
            self.write(write);
        }
    }

    fn write(&mut self, write: Write) {
        match write {
            Write::FrameworkId(id) => self.framework_id = Some(id),
            Write::RootVersion(version) => self.version = version,
            Write::PutApp(app) => {
                self.current.insert(app.id.clone(), app.version);
                self.apps.insert((app.id.clone(), app.version), app);
            }
            Write::DeleteApp { id, .. } => drop(self.current.remove(&id)),
            Write::PutGroup(group) => drop(self.groups.insert(group.id.clone(), group)),
            Write::DeleteGroup { id, .. } => drop(self.groups.remove(&id)),
            Write::PutInstance(instance) => {
                let value = (instance.app().clone(), instance.record());
                self.instances.insert(instance.id.clone(), value);
            }
            Write::DeleteInstance(id) => drop(self.instances.remove(&id)),
            Write::PutDeployment(plan) => self.deployments.push(plan),
            Write::DeleteDeployment(id) => self.deployments.retain(|plan| plan.id != id),
            Write::PutFailure(failure) => {
                self.failures.insert(failure.app_id.clone(), failure);
            }
            Write::DeleteFailure(app) => drop(self.failures.remove(&app)),
        }
    }

    /// What a new process finds.
    pub(crate) fn recovered(&self) -> Recovered {
        let current = self.current.iter();
        let apps = current.filter_map(|(id, version)| self.apps.get(&(id.clone(), *version)));
        let instances = self.instances.values().map(|(app, record)| {
            let spec = self.apps.get(&(app.clone(), record.version)).unwrap().clone();
            record.clone().restore(spec)
        });
        Recovered {
            framework_id: self.framework_id.clone(),
            root: Root::load(self.version, self.groups.values().cloned(), apps.cloned()),
            instances: instances.collect(),
            deployments: self.deployments.iter().map(|plan| (**plan).clone()).collect(),
            failures: self.failures.values().map(|failure| (**failure).clone()).collect(),
        }
    }
}
