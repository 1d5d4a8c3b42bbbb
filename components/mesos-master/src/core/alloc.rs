//! Speaking with the allocator: which change of the state it hears of, and in which terms.
use std::{sync::Arc, time::Duration};

use mesos_allocator::{
    AgentCapabilities, AgentKey as Agent, AgentSpec, ConstraintLimits, FrameworkKey as Framework,
    FrameworkSpec, OfferConstraints,
};
use mesos_messages::{resources::Resources, v1};

use super::{
    MasterCore,
    state::{AgentKey, FrameworkKey},
    validate,
};

/// Refusals are no longer than a year.
const MAX_REFUSE: f64 = 365.0 * 24.0 * 3600.0;
/// How long a refusal is when none is given, or none that makes sense.
const DEFAULT_REFUSE: f64 = 5.0;

impl MasterCore {
    fn framework_spec(&self, key: FrameworkKey) -> Option<FrameworkSpec> {
        let record = &self.frameworks.get(key)?.record;
        let suppressed: Vec<String> =
            record.suppressed_roles.iter().map(|role| role.to_string()).collect();
        let constraints = record.offer_constraints.as_ref().and_then(|constraints| {
            // Checked before they were stored.
            OfferConstraints::compile(constraints, ConstraintLimits::default()).ok()
        });
        Some(FrameworkSpec::new(&record.info, &suppressed, constraints.map(Arc::new)))
    }

    fn agent_spec(&self, key: AgentKey) -> Option<AgentSpec> {
        let record = self.agents.records.get(key)?;
        let list: Vec<v1::agent_info::Capability> = record
            .capabilities
            .iter()
            .map(|kind| v1::agent_info::Capability { r#type: Some(*kind) })
            .collect();
        let capabilities = AgentCapabilities::of(&list);
        Some(AgentSpec::new(&record.info, capabilities, record.total.clone()))
    }

    /// Whether offer constraints can be understood.
    pub(super) fn check_constraints(
        &self,
        constraints: &v1::scheduler::OfferConstraints,
    ) -> validate::Check {
        OfferConstraints::compile(constraints, ConstraintLimits::default())
            .map(drop)
            .map_err(|error| validate::Invalid(format!("Offer constraints are not valid: {error}")))
    }

    pub(super) fn alloc_add_framework(&mut self, key: FrameworkKey) {
        if let Some(spec) = self.framework_spec(key) {
            let active = self.frameworks.get(key).is_some_and(|framework| framework.record.active);
            self.allocator.add_framework(Framework(key), spec, active);
            self.allocate = true;
        }
    }

    pub(super) fn alloc_update_framework(&mut self, key: FrameworkKey) {
        if let Some(spec) = self.framework_spec(key) {
            self.allocator.update_framework(Framework(key), spec);
            self.allocate = true;
        }
    }

    pub(super) fn alloc_remove_framework(&mut self, key: FrameworkKey) {
        self.allocator.remove_framework(Framework(key));
    }

    pub(super) fn alloc_activate_framework(&mut self, key: FrameworkKey) {
        self.allocator.activate_framework(Framework(key));
        self.allocate = true;
    }

    pub(super) fn alloc_deactivate_framework(&mut self, key: FrameworkKey) {
        self.allocator.deactivate_framework(Framework(key));
    }

    pub(super) fn alloc_suppress(&mut self, key: FrameworkKey, roles: &[String]) {
        self.allocator.suppress(Framework(key), roles);
    }

    pub(super) fn alloc_revive(&mut self, key: FrameworkKey, roles: &[String]) {
        self.allocator.revive(Framework(key), roles);
        self.allocate = true;
    }

    pub(super) fn alloc_add_agent(&mut self, key: AgentKey, used: &[(FrameworkKey, Resources)]) {
        let used: Vec<(Framework, Resources)> =
            used.iter().map(|(key, used)| (Framework(*key), used.clone())).collect();
        if let Some(spec) = self.agent_spec(key) {
            self.allocator.add_agent(Agent(key), spec, &used);
            self.allocate = true;
        }
    }

    pub(super) fn alloc_update_agent(&mut self, key: AgentKey) {
        if let Some(spec) = self.agent_spec(key) {
            self.allocator.update_agent(Agent(key), spec);
            self.allocate = true;
        }
    }

    pub(super) fn alloc_remove_agent(&mut self, key: AgentKey) {
        self.allocator.remove_agent(Agent(key));
    }

    pub(super) fn alloc_activate_agent(&mut self, key: AgentKey) {
        self.allocator.activate_agent(Agent(key));
        self.allocate = true;
    }

    pub(super) fn alloc_deactivate_agent(&mut self, key: AgentKey) {
        self.allocator.deactivate_agent(Agent(key));
    }

    /// Resources come back, refused for so many seconds if given.
    pub(super) fn alloc_recover(
        &mut self,
        framework: FrameworkKey,
        agent: AgentKey,
        resources: &Resources,
        refuse: Option<f64>,
    ) {
        if resources.is_empty() {
            return;
        }
        let refuse = refuse.map(refusal).filter(|refuse| !refuse.is_zero());
        self.allocator.recover(
            Framework(framework),
            Agent(agent),
            resources,
            refuse,
            self.now.mono,
        );
    }

    /// Offered resources are in use now.
    pub(super) fn alloc_launched(
        &mut self,
        framework: FrameworkKey,
        agent: AgentKey,
        resources: &Resources,
    ) {
        if !resources.is_empty() {
            self.allocator.allocated(Framework(framework), Agent(agent), resources);
        }
    }

    pub(super) fn allocate_all(&mut self) {
        let seed = self.next_seed();
        let offers = self.allocator.allocate(self.now.mono, seed);
        self.allocate = false;
        self.passes += 1;
        self.offer(offers);
    }

    pub(super) fn allocate_dirty(&mut self) {
        if self.allocator.is_dirty() {
            let seed = self.next_seed();
            let offers = self.allocator.allocate_dirty(self.now.mono, seed);
            self.passes += 1;
            self.offer(offers);
        }
    }

    fn next_seed(&mut self) -> u64 {
        // A Weyl sequence: each pass shuffles differently, and the same from the same start.
        self.seed = self.seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        self.seed
    }
}

fn refusal(seconds: f64) -> Duration {
    let seconds = if seconds.is_nan() || seconds < 0.0 { DEFAULT_REFUSE } else { seconds };
    Duration::from_secs_f64(seconds.min(MAX_REFUSE))
}
