//! What requests and limits come to in the kernel's units: the original's numbers.

use crate::config::{ContainerizerConfig, ResourceLimits};

const CPU_SHARES_PER_CPU: f64 = 1024.0;
const CPU_SHARES_PER_CPU_REVOCABLE: f64 = 10.0;
const MIN_CPU_SHARES: u64 = 2;
const MAX_CPU_SHARES: u64 = 262_144;
/// Of version 2, where the default group has 100.
const CPU_WEIGHT_PER_CPU: f64 = 100.0;
pub(super) const CFS_PERIOD_US: u64 = 100_000;
const MIN_CFS_QUOTA_US: u64 = 1_000;
const MIN_MEMORY: u64 = 32 << 20;

/// The limits of one container.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Settings {
    cpus: f64,
    cpus_revocable: bool,
    /// None: no quota is set. Infinity: it is set to none.
    quota_cpus: Option<f64>,
    pub(crate) mem_soft: u64,
    /// None: no limit.
    pub(crate) mem_hard: Option<u64>,
    pub(super) limit_swap: bool,
    pub(super) pids_limit: Option<u64>,
}

impl Settings {
    pub(crate) fn new(config: &ContainerizerConfig, resources: &ResourceLimits) -> Self {
        let mem_soft = resources.mem_bytes.max(MIN_MEMORY);
        let mem_hard = match resources.mem_limit_bytes {
            Some(u64::MAX) => None,
            Some(limit) => Some(limit.max(MIN_MEMORY)),
            None => Some(mem_soft),
        };
        Self {
            cpus: resources.cpus,
            cpus_revocable: resources.cpus_revocable,
            quota_cpus: resources
                .cpus_limit
                .or_else(|| config.cgroups_enable_cfs.then_some(resources.cpus)),
            mem_soft,
            mem_hard,
            limit_swap: config.cgroups_limit_swap,
            pids_limit: config.pids_limit,
        }
    }

    pub(super) fn cpu_shares(&self) -> u64 {
        let per_cpu =
            if self.cpus_revocable { CPU_SHARES_PER_CPU_REVOCABLE } else { CPU_SHARES_PER_CPU };
        ((self.cpus * per_cpu) as u64).clamp(MIN_CPU_SHARES, MAX_CPU_SHARES)
    }

    pub(super) fn cpu_weight(&self) -> u64 {
        let per_cpu = if self.cpus_revocable { 1.0 } else { CPU_WEIGHT_PER_CPU };
        ((self.cpus * per_cpu) as u64).clamp(1, 10_000)
    }

    /// -1: none.
    pub(super) fn cfs_quota_us(&self) -> Option<i64> {
        Some(self.quota()?.map_or(-1, u64::cast_signed))
    }

    pub(super) fn cpu_max(&self) -> Option<String> {
        Some(self.quota()?.map_or_else(
            || format!("max {CFS_PERIOD_US}"),
            |quota| format!("{quota} {CFS_PERIOD_US}"),
        ))
    }

    fn quota(&self) -> Option<Option<u64>> {
        let cpus = self.quota_cpus?;
        let quota = (cpus * CFS_PERIOD_US as f64) as u64;
        Some(cpus.is_finite().then_some(quota.clamp(MIN_CFS_QUOTA_US, i64::MAX as u64)))
    }

    /// The cpus a quota allows; none: as many as there are.
    pub(crate) fn cpus_limit(&self) -> Option<f64> {
        self.quota()?.map(|quota| quota as f64 / CFS_PERIOD_US as f64)
    }

    pub(super) fn mem_hard_v1(&self) -> String {
        self.mem_hard.map_or_else(|| "-1".to_owned(), |limit| limit.to_string())
    }

    pub(super) fn mem_hard_v2(&self) -> String {
        self.mem_hard.map_or_else(|| "max".to_owned(), |limit| limit.to_string())
    }

    /// Whether the hard memory limit is above the one in force (none: there is none).
    pub(super) fn raises(&self, current: Option<u64>) -> bool {
        current.is_some_and(|current| self.mem_hard.is_none_or(|limit| limit > current))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(cfs: bool, resources: ResourceLimits) -> Settings {
        let mut config = ContainerizerConfig::new("/run", "/bin/true");
        config.cgroups_enable_cfs = cfs;
        Settings::new(&config, &resources)
    }

    fn cpus(cpus: f64) -> ResourceLimits {
        ResourceLimits { cpus, ..ResourceLimits::default() }
    }

    #[test]
    fn shares_follow_the_request() {
        for (request, shares, weight) in
            [(0.0, 2, 1), (0.001, 2, 1), (0.1, 102, 10), (1.0, 1024, 100), (1e9, 262_144, 10_000)]
        {
            let settings = settings(false, cpus(request));
            assert_eq!(settings.cpu_shares(), shares, "{request}");
            assert_eq!(settings.cpu_weight(), weight, "{request}");
        }
        let revocable = ResourceLimits { cpus_revocable: true, ..cpus(2.0) };
        assert_eq!(settings(false, revocable).cpu_shares(), 20);
    }

    #[test]
    fn quota_is_set_when_enabled_or_limited() {
        assert_eq!(settings(false, cpus(1.0)).cfs_quota_us(), None);
        assert_eq!(settings(true, cpus(0.5)).cfs_quota_us(), Some(50_000));
        assert_eq!(settings(true, cpus(0.0)).cfs_quota_us(), Some(1_000));
        let limited = |limit| ResourceLimits { cpus_limit: Some(limit), ..cpus(1.0) };
        assert_eq!(settings(false, limited(2.0)).cfs_quota_us(), Some(200_000));
        assert_eq!(settings(true, limited(f64::INFINITY)).cfs_quota_us(), Some(-1));
        assert_eq!(settings(true, limited(f64::INFINITY)).cpu_max().unwrap(), "max 100000");
        assert_eq!(settings(true, cpus(0.5)).cpu_max().unwrap(), "50000 100000");
        assert_eq!(settings(true, cpus(0.5)).cpus_limit(), Some(0.5));
    }

    #[test]
    fn memory_has_a_floor_and_a_limit_of_its_own() {
        let mem = |mem_bytes, mem_limit_bytes| {
            settings(
                false,
                ResourceLimits { mem_bytes, mem_limit_bytes, ..ResourceLimits::default() },
            )
        };
        assert_eq!((mem(1, None).mem_soft, mem(1, None).mem_hard), (32 << 20, Some(32 << 20)));
        assert_eq!(mem(64 << 20, Some(128 << 20)).mem_hard, Some(128 << 20));
        let unlimited = mem(64 << 20, Some(u64::MAX));
        assert_eq!((unlimited.mem_hard_v1(), unlimited.mem_hard_v2()), ("-1".into(), "max".into()));
    }

    #[test]
    fn the_hard_limit_only_rises() {
        let limits = |mem_limit_bytes| {
            settings(false, ResourceLimits { mem_limit_bytes, ..ResourceLimits::default() })
        };
        assert!(limits(Some(64 << 20)).raises(Some(32 << 20)));
        assert!(!limits(Some(64 << 20)).raises(Some(64 << 20)));
        assert!(!limits(Some(64 << 20)).raises(None));
        assert!(limits(Some(u64::MAX)).raises(Some(64 << 20)));
        assert!(!limits(Some(u64::MAX)).raises(None));
    }
}
