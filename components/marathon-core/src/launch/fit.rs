//! Whether an instance goes on an offer.

use super::{
    Detail, GpuBehaviour, LaunchSettings, Offer, Placed, Placement, Reason, Reasons, Refusal,
    RemainingOffer, constraint, ports, task,
};
use marathon_model::{
    App, InstanceId, TaskId,
    app::{Container, VolumeSource},
};
use mesos_messages::{
    resources::{Item, Quantities, Resources, Scalar},
    v1,
};
use std::{collections::BTreeSet, sync::Arc, time::Duration};

/// Whom to launch.
#[derive(Clone, Copy, Debug)]
pub struct LaunchRequest<'a> {
    pub app: &'a App,
    pub instance: &'a InstanceId,
    /// The launch this will be, from 1.
    pub incarnation: u64,
    pub settings: &'a LaunchSettings,
    /// The region of the master; others only by a constraint.
    pub local_region: Option<&'a str>,
    /// Whether the app's top-level group enforces its role.
    pub enforce_role: bool,
    /// Decides about random ports.
    pub seed: u64,
    /// Since the Unix epoch.
    pub wall: Duration,
}

/// An instance that fits.
#[derive(Clone, Debug)]
pub struct Launch {
    pub task: v1::TaskInfo,
    /// In the order of the app's port definitions, or of those mappings that are published.
    pub host_ports: Vec<u16>,
    pub placement: Arc<Placement>,
}

/// What the instance got out of the offer.
pub(super) struct Share {
    /// For the task.
    pub task: Resources,
    /// For an executor of the app's own.
    pub executor: Resources,
    /// In the order of the app's ports.
    pub ports: Vec<Option<u16>>,
}

/// Puts an instance on the offer and takes what it needs from it, or says why not; then nothing
/// is taken. The caller notes the placement in the app's [`Placed`].
pub fn fit(
    request: &LaunchRequest<'_>,
    remaining: &mut RemainingOffer,
    placed: &Placed,
) -> Result<Launch, Refusal> {
    let offer = remaining.offer().clone();
    let accepted = accepted(request, remaining.left());
    let mut no = Objections::default();
    role(request, &offer, &accepted, &mut no);
    constraints(request, &offer, placed, &mut no);
    maintenance(request, &offer, &mut no);
    scalars(request, &accepted, &mut no);
    gpus(request, &offer, &mut no);
    if let Some(refusal) = no.refusal() {
        return Err(refusal);
    }
    let (share, left) = share(request, &accepted, remaining.left())?;
    let id = TaskId { instance: request.instance.clone(), incarnation: request.incarnation };
    let task = task::build(request, &id, &offer, &share);
    remaining.take(left);
    let host_ports = share.ports.into_iter().flatten().collect();
    Ok(Launch { task, host_ports, placement: offer.placement.clone() })
}

/// The objections found so far; the text of the first step of the funnel is kept.
#[derive(Default)]
struct Objections {
    reasons: Reasons,
    first: Option<(Reason, Detail)>,
}

impl Objections {
    fn add(&mut self, reason: Reason, detail: Detail) {
        self.reasons.insert(reason);
        if self.first.as_ref().is_none_or(|(first, _)| reason < *first) {
            self.first = Some((reason, detail));
        }
    }

    fn refusal(self) -> Option<Refusal> {
        self.first.map(|(_, detail)| Refusal { reasons: self.reasons, detail })
    }
}

/// The roles an app takes resources of.
pub(super) fn accepted_roles<'a>(app: &'a App, settings: &'a LaunchSettings) -> BTreeSet<&'a str> {
    let named = app.accepted_resource_roles.as_ref().filter(|roles| !roles.is_empty());
    match named.or(settings.default_accepted_resource_roles.as_ref()) {
        Some(roles) => roles.iter().map(String::as_str).collect(),
        None => BTreeSet::from(["*", app.role.as_str()]),
    }
}

/// The part of `left` the app may use at all.
fn accepted(request: &LaunchRequest<'_>, left: &Resources) -> Resources {
    let roles = accepted_roles(request.app, request.settings);
    left.filter(|item| is_acceptable(item, &roles))
}

fn is_acceptable(item: &Item, roles: &BTreeSet<&str>) -> bool {
    let role = item.reservation_role().unwrap_or("*");
    // Disks of their own and what is reserved for a resident instance are not for everybody.
    let volume = item.disk().is_some();
    let resident = item.reservations().last().and_then(|last| last.labels.as_ref());
    let resident = resident
        .is_some_and(|labels| labels.labels.iter().any(|label| label.key.starts_with("marathon_")));
    roles.contains(role) && !volume && !resident && !item.is_revocable() && !item.is_shared()
}

fn role(request: &LaunchRequest<'_>, offer: &Offer, accepted: &Resources, no: &mut Objections) {
    let app = request.app;
    if offer.placement.role != app.role {
        let text = format!("is of role {}, the offer is to {}", app.role, offer.placement.role);
        no.add(Reason::UnfulfilledRole, Detail::Text(text.into()));
    } else if accepted.is_empty() && !offer.resources.is_empty() {
        let roles = accepted_roles(app, request.settings);
        // If there were some and they are used up, the amounts say what is wrong.
        if !offer.resources.filter(|item| is_acceptable(item, &roles)).is_empty() {
            return;
        }
        let owner = |item: &Item| item.reservation_role().unwrap_or("*").to_owned();
        let offered: BTreeSet<String> = offer.resources.iter().map(|item| owner(&item)).collect();
        let offered: Vec<String> = offered.into_iter().collect();
        let accepted: Vec<&str> = roles.into_iter().collect();
        let (accepted, offered) = (accepted.join(", ").into(), offered.join(", ").into());
        no.add(Reason::UnfulfilledRole, Detail::Role { accepted, offered });
    }
}

fn constraints(request: &LaunchRequest<'_>, offer: &Offer, placed: &Placed, no: &mut Objections) {
    let at = &offer.placement;
    let region = constraint::region(request.app, at, request.local_region);
    if let Err(why) = region.and_then(|()| constraint::check(request.app, at, placed)) {
        no.add(Reason::UnfulfilledConstraint, Detail::Text(why.into()));
    }
    if request.app.container.as_ref().is_some_and(has_persistent_volume) {
        let text = "persistent volumes are not supported";
        no.add(Reason::NoCorrespondingReservationFound, Detail::Text(text.into()));
    }
}

fn has_persistent_volume(container: &Container) -> bool {
    container.volumes.iter().any(|volume| matches!(volume.source, VolumeSource::Persistent(_)))
}

fn maintenance(request: &LaunchRequest<'_>, offer: &Offer, no: &mut Objections) {
    let settings = request.settings;
    let planned = offer.unavailability.filter(|_| settings.maintenance_mode);
    if planned.is_some_and(|planned| planned.is_on(request.wall, settings.draining)) {
        let text = "the agent is in maintenance";
        no.add(Reason::AgentMaintenance, Detail::Text(text.into()));
    }
}

/// What a task of the app needs, in the order of the funnel.
pub(super) fn needed(app: &App, settings: &LaunchSettings) -> [(&'static str, Reason, Scalar); 4] {
    let amount = |value: f64| Scalar::from_f64(value).unwrap_or(Scalar::from_millis(i64::MAX));
    let extra = app.executor_resources.as_ref().filter(|_| task::has_own_executor(app, settings));
    let extra =
        |get: fn(&marathon_model::app::ExecutorResources) -> f64| amount(extra.map_or(0.0, get));
    [
        ("cpus", Reason::InsufficientCpus, amount(app.cpus) + extra(|own| own.cpus)),
        ("mem", Reason::InsufficientMemory, amount(app.mem) + extra(|own| own.mem)),
        ("disk", Reason::InsufficientDisk, amount(app.disk) + extra(|own| own.disk)),
        ("gpus", Reason::InsufficientGpus, Scalar::from_whole(app.gpus)),
    ]
}

fn scalars(request: &LaunchRequest<'_>, accepted: &Resources, no: &mut Objections) {
    for (name, reason, need) in needed(request.app, request.settings) {
        let left = accepted.scalar(name).unwrap_or_default();
        if left < need {
            no.add(reason, Detail::Short { name, need, left });
        }
    }
}

/// Agents with GPUs are left to those who need them.
fn gpus(request: &LaunchRequest<'_>, offer: &Offer, no: &mut Objections) {
    let label = request.app.labels.get("GPU_SCHEDULING_BEHAVIOR").map(String::as_str);
    let restricted = match label {
        Some("restricted") => true,
        Some("unrestricted") => false,
        _ => request.settings.gpu_behaviour == GpuBehaviour::Restricted,
    };
    let has = offer.resources.gpus().is_some_and(Scalar::is_positive);
    if restricted && has && request.app.gpus == 0 {
        let text = "the agent has GPUs, which this app does not need";
        no.add(Reason::DeclinedScarceResources, Detail::Text(text.into()));
    }
}

/// Takes the ports and the amounts; also returns what is then left.
fn share(
    request: &LaunchRequest<'_>,
    accepted: &Resources,
    left: &Resources,
) -> Result<(Share, Resources), Refusal> {
    let app = request.app;
    let ports = ports::choose(app, accepted, request.seed)
        .map_err(|detail| Refusal::new(Reason::InsufficientPorts, detail))?;
    let mut pool = accepted.clone();
    let own = task::has_own_executor(app, request.settings);
    let executor = match app.executor_resources.as_ref().filter(|_| own) {
        Some(own) => take(&mut pool, &[("cpus", own.cpus), ("mem", own.mem), ("disk", own.disk)]),
        None => Resources::new(),
    };
    let gpus = f64::from(app.gpus);
    let amounts = [("cpus", app.cpus), ("mem", app.mem), ("disk", app.disk), ("gpus", gpus)];
    let task = take(&mut pool, &amounts) + ports.resources;
    let left = left.checked_sub(&(&task + &executor)).ok_or_else(|| {
        let text = Detail::Text("what was taken is not in the offer".into());
        Refusal::new(Reason::DeclinedScarceResources, text)
    })?;
    Ok((Share { task, executor, ports: ports.chosen }, left))
}

/// Takes amounts out of the pool: reserved ones first, so that the others stay for everybody.
fn take(pool: &mut Resources, amounts: &[(&'static str, f64)]) -> Resources {
    let mut target = Quantities::default();
    for (name, amount) in amounts {
        target.add(&(*name).into(), Scalar::from_f64(*amount).unwrap_or_default());
    }
    let reserved = pool.filter(|item| item.is_reserved()).scalars().shrunk_to(&target);
    target.subtract_all(&reserved.quantities());
    let unreserved = pool.filter(|item| !item.is_reserved()).scalars().shrunk_to(&target);
    let taken = reserved + unreserved;
    *pool -= &taken;
    taken
}
