//! Who is offered what: the allocator of the master as a pure state machine.
//!
//! It is not: aware of sockets, clocks or offers' ids; time and seeds come in as arguments, and
//! the same calls with the same arguments give the same offers.
//!
//! [`build`] makes one of two policies over the same books. Both offer an agent's free resources
//! as a whole to one client (a framework in a role) after the other, until nothing is left; they
//! differ in the order of the clients: see [`Policy`].
#![forbid(unsafe_code)]

mod agent;
mod amounts;
pub mod bench_support;
mod client;
mod constraints;
mod engine;
mod tree;
mod types;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use mesos_messages::resources::Resources;
use mesos_messages::resources::operation::Conversion;

pub use amounts::MinAllocatable;
pub use constraints::{ConstraintLimits, OfferConstraints};
pub use types::{
    AgentCapabilities, AgentKey, AgentSpec, FrameworkCapabilities, FrameworkKey, FrameworkSpec,
    OfferSpec, Policy, PolicyConfig, Report, RoleReport,
};

/// The allocator as the master uses it.
///
/// Calls about frameworks and agents it does not know are ignored: they may have been removed
/// while the call was under way. `now` is monotonic time since any fixed point.
pub trait Allocator: Send {
    /// Adds a framework, or tells more about one of which [`Allocator::add_agent`] knew already.
    fn add_framework(&mut self, key: FrameworkKey, spec: FrameworkSpec, active: bool);

    /// New roles, suppressed roles, capabilities, filters and constraints. The suppressed roles
    /// replace those before; a role no longer suppressed is revived.
    fn update_framework(&mut self, key: FrameworkKey, spec: FrameworkSpec);

    /// Frees all that it was offered or allocated.
    fn remove_framework(&mut self, key: FrameworkKey);

    fn activate_framework(&mut self, key: FrameworkKey);

    /// It gets no offers and loses its filters; what it holds stays charged to it.
    fn deactivate_framework(&mut self, key: FrameworkKey);

    /// Stops offers for these roles of it; for all when `roles` is empty.
    fn suppress(&mut self, key: FrameworkKey, roles: &[String]);

    /// Resumes offers for these roles of it (all when empty) and drops their filters.
    fn revive(&mut self, key: FrameworkKey, roles: &[String]);

    /// Adds an agent. `used` must be allocated to roles (see [`Resources::allocated`]).
    fn add_agent(&mut self, key: AgentKey, spec: AgentSpec, used: &[(FrameworkKey, Resources)]);

    /// A changed attribute drops all filters for the agent.
    fn update_agent(&mut self, key: AgentKey, spec: AgentSpec);

    fn remove_agent(&mut self, key: AgentKey);

    fn activate_agent(&mut self, key: AgentKey);

    /// Its resources are not offered until it is activated.
    fn deactivate_agent(&mut self, key: AgentKey);

    /// Only agents on these hosts are offered; all when absent.
    fn set_whitelist(&mut self, hosts: Option<BTreeSet<String>>);

    fn set_weight(&mut self, role: &str, weight: f64);

    /// Offered resources were used by a launch: they stay charged, as allocated ones.
    fn allocated(&mut self, framework: FrameworkKey, agent: AgentKey, resources: &Resources);

    /// Resources come back: declined, rescinded, or no longer used. A `refuse` other than zero
    /// keeps offers that are contained in these from the same framework and role for so long, and
    /// at least until the batch after next.
    fn recover(
        &mut self,
        framework: FrameworkKey,
        agent: AgentKey,
        resources: &Resources,
        refuse: Option<Duration>,
        now: Duration,
    );

    /// [`Allocator::recover`] for many at once, as when a framework declines several offers.
    fn recover_all(
        &mut self,
        framework: FrameworkKey,
        resources: Vec<(AgentKey, Resources)>,
        refuse: Option<Duration>,
        now: Duration,
    );

    /// An operation changed offered resources and with them the agent's total.
    fn convert(
        &mut self,
        framework: FrameworkKey,
        agent: AgentKey,
        offered: &Resources,
        conversions: &[Conversion],
    );

    /// The regular pass over all agents.
    fn allocate(&mut self, now: Duration, seed: u64) -> Vec<OfferSpec>;

    /// A pass over the agents that events made worth offering; nothing if there are none.
    fn allocate_dirty(&mut self, now: Duration, seed: u64) -> Vec<OfferSpec>;

    /// Whether [`Allocator::allocate_dirty`] has anything to look at.
    fn is_dirty(&self) -> bool;

    /// What the agent has that nobody holds, for tests and endpoints.
    fn available(&self, agent: AgentKey) -> Resources;

    /// What was offered or allocated to the framework, by agent.
    fn held(&self, framework: FrameworkKey) -> Vec<(AgentKey, Resources)>;

    /// The agents that offer constraints keep from the framework in that role.
    fn excluded_by_constraints(&self, framework: FrameworkKey, role: &Arc<str>) -> Vec<AgentKey>;

    /// Figures for metrics and endpoints.
    fn report(&self) -> Report;
}

/// Makes the allocator that the configuration asks for.
pub fn build(config: PolicyConfig) -> Box<dyn Allocator> {
    Box::new(engine::Engine::new(config))
}
