//! What goes into the allocator and comes out of it.
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use mesos_messages::resources::{Quantities, Resources};
use mesos_messages::v1;

use crate::{MinAllocatable, OfferConstraints};

/// The caller's number for a framework; small ones are reused for cheap tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FrameworkKey(pub u32);

/// The caller's number for an agent; dense, for it indexes a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgentKey(pub u32);

/// In which order clients are asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// Hierarchical dominant resource fairness: the role, and within it the framework, that has
    /// least of what it has most of, by weight. At each level of the role tree, siblings compare
    /// what their whole subtrees have.
    #[default]
    HierarchicalDrf,
    /// Roles with a higher priority come first, whatever they have; roles of the same priority
    /// are ordered as by [`Policy::HierarchicalDrf`]. A role without a priority takes the nearest
    /// ancestor's, and else 0. A high role that declines nothing leaves nothing to lower ones.
    StrictPriority { priorities: BTreeMap<String, i32> },
}

/// The configuration of an allocator.
#[derive(Clone, Debug)]
pub struct PolicyConfig {
    pub policy: Policy,
    /// Filters last at least so long.
    pub allocation_interval: Duration,
    /// Smaller offers are not made.
    pub min_allocatable: MinAllocatable,
    /// Keeps agents with GPUs from frameworks that do not know GPUs.
    pub filter_gpu_resources: bool,
    /// Scalars that do not count in shares.
    pub fair_sharing_excluded: Vec<String>,
    /// The master's region; agents elsewhere are remote.
    pub local_region: Option<String>,
    /// Weights of roles; 1 for all others.
    pub weights: BTreeMap<String, f64>,
}

impl Default for PolicyConfig {
    fn default() -> PolicyConfig {
        PolicyConfig {
            policy: Policy::default(),
            allocation_interval: Duration::from_secs(1),
            min_allocatable: MinAllocatable::default(),
            filter_gpu_resources: true,
            fair_sharing_excluded: Vec::new(),
            local_region: None,
            weights: BTreeMap::new(),
        }
    }
}

/// What a framework can handle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameworkCapabilities {
    pub multi_role: bool,
    pub gpu_resources: bool,
    pub revocable_resources: bool,
    pub shared_resources: bool,
    pub reservation_refinement: bool,
    pub region_aware: bool,
}

impl FrameworkCapabilities {
    pub fn of(info: &v1::FrameworkInfo) -> FrameworkCapabilities {
        use v1::framework_info::capability::Type;
        let mut capabilities = FrameworkCapabilities::default();
        for capability in &info.capabilities {
            match capability.r#type() {
                Type::MultiRole => capabilities.multi_role = true,
                Type::GpuResources => capabilities.gpu_resources = true,
                Type::RevocableResources => capabilities.revocable_resources = true,
                Type::SharedResources => capabilities.shared_resources = true,
                Type::ReservationRefinement => capabilities.reservation_refinement = true,
                Type::RegionAware => capabilities.region_aware = true,
                _ => {}
            }
        }
        capabilities
    }
}

/// A framework as the allocator sees it.
#[derive(Clone, Debug, Default)]
pub struct FrameworkSpec {
    pub roles: Vec<String>,
    pub suppressed: Vec<String>,
    pub capabilities: FrameworkCapabilities,
    /// By role: what an offer must have, in place of the configured minimum.
    pub min_allocatable: BTreeMap<String, MinAllocatable>,
    pub constraints: Option<Arc<OfferConstraints>>,
}

impl FrameworkSpec {
    /// Reads what the allocator needs from a framework's info.
    #[allow(deprecated)]
    pub fn new(
        info: &v1::FrameworkInfo,
        suppressed: &[String],
        constraints: Option<Arc<OfferConstraints>>,
    ) -> FrameworkSpec {
        let capabilities = FrameworkCapabilities::of(info);
        let roles =
            if capabilities.multi_role { info.roles.clone() } else { vec![info.role().to_owned()] };
        let min_allocatable = info.offer_filters.iter().filter_map(|(role, filters)| {
            let quantities = &filters.min_allocatable_resources.as_ref()?.quantities;
            let any = quantities.iter().map(|all| Quantities::from_map(&all.quantities));
            Some((role.clone(), MinAllocatable::new(any)))
        });
        FrameworkSpec {
            roles,
            suppressed: suppressed.to_vec(),
            capabilities,
            min_allocatable: min_allocatable.collect(),
            constraints,
        }
    }
}

/// What an agent can handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AgentCapabilities {
    pub multi_role: bool,
    pub hierarchical_role: bool,
}

impl Default for AgentCapabilities {
    /// What all agents of the last years have.
    fn default() -> AgentCapabilities {
        AgentCapabilities { multi_role: true, hierarchical_role: true }
    }
}

impl AgentCapabilities {
    pub fn of(list: &[v1::agent_info::Capability]) -> AgentCapabilities {
        use v1::agent_info::capability::Type;
        let has = |wanted| list.iter().any(|capability| capability.r#type() == wanted);
        AgentCapabilities {
            multi_role: has(Type::MultiRole),
            hierarchical_role: has(Type::HierarchicalRole),
        }
    }
}

/// An agent as the allocator sees it.
#[derive(Clone, Debug, Default)]
pub struct AgentSpec {
    pub hostname: String,
    pub attributes: Vec<v1::Attribute>,
    pub region: Option<String>,
    pub zone: Option<String>,
    pub capabilities: AgentCapabilities,
    /// All it has, not allocated to any role.
    pub total: Resources,
}

impl AgentSpec {
    /// Reads what the allocator needs from an agent's info.
    pub fn new(
        info: &v1::AgentInfo,
        capabilities: AgentCapabilities,
        total: Resources,
    ) -> AgentSpec {
        let domain = info.domain.as_ref().and_then(|domain| domain.fault_domain.as_ref());
        AgentSpec {
            hostname: info.hostname.clone(),
            attributes: info.attributes.clone(),
            region: domain.map(|domain| domain.region.name.clone()),
            zone: domain.map(|domain| domain.zone.name.clone()),
            capabilities,
            total,
        }
    }
}

/// One offer to be made.
#[derive(Clone, Debug)]
pub struct OfferSpec {
    pub framework: FrameworkKey,
    pub agent: AgentKey,
    pub role: Arc<str>,
    /// Allocated to `role`. Passing the very same to `recover` is the cheap way back.
    pub resources: Resources,
}

/// Figures of one role.
#[derive(Clone, Debug)]
pub struct RoleReport {
    pub role: Arc<str>,
    pub weight: f64,
    /// Its dominant share, by weight, of itself and the roles below it.
    pub dominant_share: f64,
    /// How many filters its frameworks have on agents.
    pub active_filters: u64,
    /// Frameworks subscribed to it.
    pub frameworks: Vec<FrameworkKey>,
    /// Offered or allocated to it and the roles below it.
    pub offered_or_allocated: Quantities,
}

/// Figures for metrics and endpoints.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub allocation_runs: u64,
    pub total: Quantities,
    pub offered_or_allocated: Quantities,
    /// The roles with frameworks, in the order of their names.
    pub roles: Vec<RoleReport>,
}
