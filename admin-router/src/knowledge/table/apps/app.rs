//! One app: the service it claims to be, and where that leads.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use proxy::{Address, Upstream};

use super::super::super::labels::Labelled;
use super::super::super::name;
use super::super::Servers;
use super::Context;
use super::tasks::Task;
use crate::cluster::Service;

pub(super) struct App {
    id: Arc<str>,
    /// What its labels say, or why they cannot be used. None for an app that is no service, and
    /// for one of which only tasks are known.
    labelled: Option<Result<Arc<Labelled>, String>>,
    /// The number of the input as of which that was read, or since which it is in doubt.
    pub(super) as_of: u64,
    pub(super) tasks: BTreeSet<Arc<str>>,
    live: Option<Live>,
    /// Whether it is listed to be forgotten.
    pub(super) noted: bool,
}

/// Where a service leads.
struct Live {
    task: Arc<str>,
    labelled: Arc<Labelled>,
    service: Arc<Service>,
}

/// Where a service is to lead.
pub(super) struct Found {
    task: Arc<str>,
    address: Address,
    labelled: Arc<Labelled>,
}

// === impl App ===

impl App {
    pub(super) fn new(id: &Arc<str>) -> App {
        App {
            id: Arc::clone(id),
            labelled: None,
            as_of: 0,
            tasks: BTreeSet::new(),
            live: None,
            noted: false,
        }
    }

    /// Takes a task in; gives its own id.
    pub(super) fn join(&mut self, task: &Arc<str>) -> Arc<str> {
        self.tasks.insert(Arc::clone(task));
        Arc::clone(&self.id)
    }

    pub(super) fn set_labelled(&mut self, labelled: Option<Result<Arc<Labelled>, String>>) {
        // The same words are the same value, so that nothing seems to change.
        if self.labelled != labelled {
            self.labelled = labelled;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.labelled.is_none() && self.tasks.is_empty()
    }

    pub(super) fn service(&self) -> Option<&Arc<Service>> {
        self.live.as_ref().map(|live| &live.service)
    }

    /// The task that it leads to.
    pub(super) fn task(&self) -> Option<&Arc<str>> {
        self.live.as_ref().map(|live| &live.task)
    }

    /// The name it claims and has where to lead.
    pub(super) fn claims(&self) -> Option<Arc<str>> {
        self.live.as_ref().map(|live| Arc::clone(&live.labelled.dotted))
    }

    /// Where it is to lead, or why nowhere; an empty text for an app that is no service.
    pub(super) fn find(
        &self,
        tasks: &HashMap<Arc<str>, Task>,
        marathon: Option<&str>,
        context: &Context<'_>,
    ) -> Result<Found, Arc<str>> {
        let labelled = match &self.labelled {
            None => return Err("".into()),
            Some(Err(why)) => return Err(why.as_str().into()),
            Some(Ok(labelled)) => labelled,
        };
        let own = self.tasks.iter().filter_map(|id| tasks.get(id).map(|task| (id, task)));
        let running = own.filter(|(_, task)| task.runs(marathon, context.master_is_heard));
        let first = running.min_by_key(|(id, task)| (task.since(), Arc::clone(id)));
        let (id, task) = first.ok_or("none of its tasks runs")?;
        let address = task.address(labelled, context)?;
        Ok(Found { task: Arc::clone(id), address, labelled: Arc::clone(labelled) })
    }

    /// Leads there from now on; the name it claimed before.
    pub(super) fn leads_to(&mut self, found: Found, servers: &mut Servers) -> Option<Arc<str>> {
        let before = self.claims();
        let Found { task, address, labelled } = found;
        let same_server = |live: &&Live| {
            live.task == task
                && live.service.upstream.address == address
                && live.labelled.scheme == labelled.scheme
        };
        let upstream = match self.live.as_ref().filter(same_server) {
            Some(live) if live.labelled == labelled => return before,
            Some(live) => Arc::clone(&live.service.upstream),
            None => {
                self.retire(servers);
                servers.upstreams.new_upstream(&labelled.path, labelled.scheme, address)
            }
        };
        let service = service(&labelled, upstream);
        self.live = Some(Live { task, labelled, service });
        before
    }

    /// Leads nowhere from now on; the name it claimed before.
    pub(super) fn leads_nowhere(&mut self, servers: &mut Servers) -> Option<Arc<str>> {
        let before = self.claims();
        self.retire(servers);
        before
    }

    fn retire(&mut self, servers: &mut Servers) {
        if let Some(live) = self.live.take() {
            servers.retire(Arc::clone(&live.service.upstream));
        }
    }
}

fn service(labelled: &Labelled, upstream: Arc<Upstream>) -> Arc<Service> {
    Arc::new(Service {
        path: Arc::clone(&labelled.path),
        depth: labelled.path.split('/').count(),
        rid: name::rid(&labelled.path).into(),
        upstream,
        scheme: labelled.scheme,
        base: "".into(),
        rewrite: labelled.rewrite,
        buffering: labelled.buffering,
    })
}
