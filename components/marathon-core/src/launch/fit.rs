//! Whether an instance goes on an offer.

use super::{LaunchSettings, Placed, Placement, Refusal, RemainingOffer};
use marathon_model::{App, InstanceId};
use mesos_messages::v1;
use std::{sync::Arc, time::Duration};

/// Whom to launch.
#[derive(Clone, Copy, Debug)]
pub struct LaunchRequest<'a> {
    pub app: &'a App,
    pub instance: &'a InstanceId,
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

/// Puts an instance on the offer and takes what it needs from it, or says why not; then nothing
/// is taken. The caller notes the placement in the app's [`Placed`].
pub fn fit(
    request: &LaunchRequest<'_>,
    remaining: &mut RemainingOffer,
    placed: &Placed,
) -> Result<Launch, Refusal> {
    let _ = (request, remaining, placed);
    let detail = super::Detail::Text("no offer can be used yet".into());
    Err(Refusal::new(super::Reason::UnfulfilledRole, detail))
}
