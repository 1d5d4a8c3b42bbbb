//! What the orchestrator is told once, at its start.

use crate::launch::LaunchSettings;
use marathon_model::settings::Settings;
use std::time::Duration;

/// Limits and pauses; the defaults are the original's unless said otherwise.
#[derive(Clone, Debug)]
pub struct Config {
    /// What reading and checking of apps depends on.
    pub model: Settings,
    /// How offers are matched and tasks are built.
    pub launch: LaunchSettings,
    /// Deployments at once.
    pub max_running_deployments: usize,
    /// The original's is 5: see docs/compatibility.md.
    pub max_instances_per_offer: usize,
    /// How long a declined offer stays away.
    pub decline_offer_duration: Duration,
    /// At most one revive in this time on the average, but for what is newly wanted; the
    /// original's is 5 s.
    pub min_revive_interval: Duration,
    /// A task that nothing was heard of for so long is given up.
    pub launch_confirm_timeout: Duration,
    /// A task that is staged for longer is killed.
    pub launch_timeout: Duration,
    pub reconcile_initial: Duration,
    pub reconcile_interval: Duration,
    pub scale_check_initial: Duration,
    pub scale_check_interval: Duration,
    pub expunge_initial: Duration,
    pub expunge_interval: Duration,
    pub kill_chunk: usize,
    pub kill_retry: Duration,
    /// Without progress for so long, a deployment says why.
    pub stalled_after: Duration,
    /// Seeds every choice the core makes: ids, ports. Different at each start.
    pub seed: u64,
}

// === impl Config ===

impl Default for Config {
    fn default() -> Self {
        Self {
            model: Settings::default(),
            launch: LaunchSettings::default(),
            max_running_deployments: 100,
            max_instances_per_offer: 100,
            decline_offer_duration: Duration::from_secs(120),
            min_revive_interval: Duration::from_secs(1),
            launch_confirm_timeout: Duration::from_secs(300),
            launch_timeout: Duration::from_secs(300),
            reconcile_initial: Duration::from_secs(15),
            reconcile_interval: Duration::from_secs(600),
            scale_check_initial: Duration::from_secs(15),
            scale_check_interval: Duration::from_secs(300),
            expunge_initial: Duration::from_secs(300),
            expunge_interval: Duration::from_secs(30),
            kill_chunk: 100,
            kill_retry: Duration::from_secs(30),
            stalled_after: Duration::from_secs(60),
            seed: 0,
        }
    }
}
