//! All that is known at one moment, made for look-ups: none of them waits, takes a lock or looks
//! at a clock.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use imbl::HashMap;

use super::name;
use crate::cluster::{Agent, Failure, Known, Leader, Service};

/// What is known at one moment. Clones share what they have in common.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// How the leading master's word stands.
    pub mesos: Source,
    /// How Marathon's word stands.
    pub marathon: Source,
    pub(super) leader: Option<Arc<Leader>>,
    pub(super) marathon_leader: Option<Arc<Leader>>,
    pub(super) agents: HashMap<Arc<str>, Agent>,
    pub(super) frameworks: HashMap<Arc<str>, Web>,
    /// Frameworks by their names, dotted.
    pub(super) named_frameworks: HashMap<Arc<str>, Web>,
    /// Services of Marathon's apps by their names, dotted.
    pub(super) services: HashMap<Arc<str>, Arc<Service>>,
    /// Apps that ask to be services but are none, with the reason.
    pub(super) ignored: HashMap<Arc<str>, Arc<str>>,
}

/// Whether what somebody told still holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// Nothing was told yet.
    #[default]
    Never,
    /// Every change comes as it happens.
    Live,
    /// The stream broke at that time of the table's clock; what was told last is used.
    Cut { since: Duration },
    /// The stream broke at that time of the table's clock, too long ago to believe what was told last.
    Expired { since: Duration },
}

/// Where a framework's pages are.
#[derive(Clone, Debug)]
pub(super) enum Web {
    /// It has none, or what it says about them is no URL.
    Nowhere,
    /// The framework is not connected: who listens there now, nobody knows.
    Away,
    /// It does not say: Mesos-DNS may know it by its name.
    Ask {
        dotted: Arc<str>,
        rid: Arc<str>,
    },
    At(Arc<Service>),
}

/// What became of a look-up.
#[derive(Debug)]
pub(super) enum LookUp {
    Found(Arc<Service>),
    Missing,
    Failed(Failure),
    /// Mesos-DNS has to be asked; if it does not know, the look-up goes on with one segment more.
    Ask(Question),
}

/// What Mesos-DNS has to be asked.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) dotted: Arc<str>,
    /// What a user needs a permission for.
    pub(super) rid: Arc<str>,
    /// Under which it was asked for.
    pub(super) asked: String,
    pub(super) depth: usize,
}

// === impl Source ===

impl Source {
    /// Whether what was told may be used.
    pub fn is_usable(self) -> bool {
        matches!(self, Source::Live | Source::Cut { .. })
    }
}

// === impl Snapshot ===

impl Default for Snapshot {
    fn default() -> Snapshot {
        Snapshot {
            mesos: Source::Never,
            marathon: Source::Never,
            leader: None,
            marathon_leader: None,
            agents: HashMap::new(),
            frameworks: HashMap::new(),
            named_frameworks: HashMap::new(),
            services: HashMap::new(),
            ignored: HashMap::new(),
        }
    }
}

impl Snapshot {
    /// The leading master.
    pub fn leader(&self) -> Known<Arc<Leader>> {
        match &self.leader {
            Some(leader) if self.mesos.is_usable() => Known::Found(Arc::clone(leader)),
            _ => Known::Unknown,
        }
    }

    /// Where an agent is.
    pub fn agent(&self, id: &str) -> Known<Agent> {
        if !self.mesos.is_usable() {
            return Known::Unknown;
        }
        self.agents.get(id).map_or(Known::Missing, |agent| Known::Found(agent.clone()))
    }

    /// Where the leading Marathon is.
    pub fn marathon_leader(&self) -> Known<Arc<Leader>> {
        if !self.marathon.is_usable() {
            return Known::Unknown;
        }
        self.marathon_leader.clone().map_or(Known::Missing, Known::Found)
    }

    /// Looks for the service with the shortest path of at least `shallowest` segments.
    /// Mesos-DNS is only asked where there is one.
    pub(super) fn service(
        &self,
        segments: &[Cow<'_, str>],
        shallowest: usize,
        has_dns: bool,
    ) -> LookUp {
        let deepest = segments.len().clamp(1, name::DEEPEST);
        let mut outcome = LookUp::Missing;
        for depth in shallowest..=deepest {
            let asked = segments.get(..depth).unwrap_or_default();
            match self.named(&name::dotted(asked)) {
                Ok(Some(Web::At(service))) => return LookUp::Found(as_asked(service, asked)),
                Ok(Some(Web::Ask { dotted, rid })) if has_dns => {
                    let asked = name::path(asked);
                    return LookUp::Ask(Question { dotted, rid, asked, depth });
                }
                Ok(Some(Web::Away)) => outcome = LookUp::Failed(Failure::Framework),
                Ok(_) => {}
                Err(failure) => return LookUp::Failed(failure),
            }
        }
        outcome
    }

    fn named(&self, name: &str) -> Result<Option<Web>, Failure> {
        // Those two are found by their frameworks even where no Marathon answers.
        if !matches!(name, "marathon" | "metronome") {
            if !self.marathon.is_usable() {
                return Err(Failure::Marathon);
            }
            if let Some(service) = self.services.get(name) {
                return Ok(Some(Web::At(Arc::clone(service))));
            }
        }
        if !self.mesos.is_usable() {
            return Err(Failure::Mesos);
        }
        // A framework may choose its id, so an id hides no name.
        let by_name = self.named_frameworks.get(name);
        Ok(by_name.or_else(|| self.frameworks.get(name)).cloned())
    }
}

/// The service under the path it was asked by. `app.group` finds `group/app`, as with the
/// original, but needs the permission for `group/app`.
fn as_asked(service: Arc<Service>, asked: &[Cow<'_, str>]) -> Arc<Service> {
    let same = service.depth == asked.len() && {
        let mut own = service.path.split('/');
        asked.iter().all(|segment| own.next() == Some(segment))
    };
    if same {
        return service;
    }
    Arc::new(Service {
        path: name::path(asked).into(),
        depth: asked.len(),
        rid: Arc::clone(&service.rid),
        upstream: Arc::clone(&service.upstream),
        scheme: service.scheme,
        base: Arc::clone(&service.base),
        rewrite: service.rewrite,
        buffering: service.buffering,
    })
}
