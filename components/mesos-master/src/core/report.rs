//! What readers are given: records and numbers, never the state itself.
use mesos_messages::resources::{Resources, Scalar};

use super::MasterCore;
use crate::{
    metrics::{MetricsSnapshot, ResourceGauge},
    model::{Id, LostAgent, Snapshot},
};

impl MasterCore {
    /// Everything as it is now. Costs a pointer for some dozens of records.
    pub fn snapshot(&self) -> Snapshot {
        let lost = |agents: &std::collections::BTreeMap<Id, i64>| {
            agents
                .iter()
                .map(|(id, since_ns)| LostAgent { id: id.clone(), since_ns: *since_ns })
                .collect()
        };
        Snapshot {
            master: self.master.clone(),
            agents: self.agents.records.clone(),
            recovered_agents: self
                .agents
                .recovered
                .values()
                .map(|admitted| admitted.info.clone().into())
                .collect(),
            unreachable_agents: lost(&self.agents.unreachable),
            gone_agents: lost(&self.agents.gone),
            frameworks: self
                .frameworks
                .iter()
                .map(|(_, framework)| framework.view().into())
                .collect(),
            completed_frameworks: self.frameworks.completed.iter().cloned().collect(),
            weights: self.weights.clone(),
        }
    }

    /// All numbers as they are now.
    pub fn metrics(&self) -> MetricsSnapshot {
        let mut metrics = MetricsSnapshot {
            uptime_secs: self.now.mono.saturating_sub(self.started.mono).as_secs_f64(),
            counters: self.counters.clone(),
            task_reasons: self.task_reasons.clone(),
            outstanding_offers: self.offers.len() as u64,
            slaves_unreachable: self.agents.unreachable.len() as u64,
            ..MetricsSnapshot::default()
        };
        self.agent_metrics(&mut metrics);
        self.framework_metrics(&mut metrics);
        self.allocator_metrics(&mut metrics);
        metrics
    }

    fn agent_metrics(&self, metrics: &mut MetricsSnapshot) {
        for agent in self.agents.records.iter() {
            if agent.connected {
                metrics.slaves_connected += 1;
            } else {
                metrics.slaves_disconnected += 1;
            }
            if agent.active {
                metrics.slaves_active += 1;
            } else {
                metrics.slaves_inactive += 1;
            }
            let gauges = [
                ("cpus", &mut metrics.cpus),
                ("gpus", &mut metrics.gpus),
                ("mem", &mut metrics.mem),
                ("disk", &mut metrics.disk),
            ];
            for (name, gauge) in gauges {
                add_amounts(gauge, name, &agent.total, &agent.used);
            }
        }
    }

    fn framework_metrics(&self, metrics: &mut MetricsSnapshot) {
        for (_, framework) in self.frameworks.iter() {
            if framework.is_connected() {
                metrics.frameworks_connected += 1;
            } else {
                metrics.frameworks_disconnected += 1;
            }
            if framework.record.active {
                metrics.frameworks_active += 1;
            } else {
                metrics.frameworks_inactive += 1;
            }
            metrics.tasks.add_all(&framework.active);
            if let Some(principal) = &framework.record.info.principal {
                match metrics.principals.iter_mut().find(|(known, _)| **known == **principal) {
                    Some((_, count)) => *count += framework.messages,
                    None => {
                        metrics.principals.push((principal.as_str().into(), framework.messages))
                    }
                }
            }
            if self.config.publish_per_framework_metrics {
                metrics.frameworks.push(framework.metrics());
            }
        }
        if self.config.publish_per_framework_metrics {
            metrics.frameworks.extend(self.frameworks.completed_metrics.iter().cloned());
        }
    }

    fn allocator_metrics(&self, metrics: &mut MetricsSnapshot) {
        let report = self.allocator.report();
        let out = &mut metrics.other;
        out.push(("allocator/mesos/allocation_runs".to_owned(), report.allocation_runs as f64));
        // The original shows these three even without agents.
        for name in ["cpus", "disk", "mem"] {
            out.push((format!("allocator/mesos/resources/{name}/total"), 0.0));
            out.push((format!("allocator/mesos/resources/{name}/offered_or_allocated"), 0.0));
        }
        for (name, amount) in report.total.iter() {
            out.push((format!("allocator/mesos/resources/{name}/total"), amount.to_f64()));
            let held = report.offered_or_allocated.get(name).to_f64();
            out.push((format!("allocator/mesos/resources/{name}/offered_or_allocated"), held));
        }
        for role in &report.roles {
            let name = &role.role;
            let filters = role.active_filters as f64;
            out.push((format!("allocator/mesos/offer_filters/roles/{name}/active"), filters));
            out.push((
                format!("allocator/mesos/roles/{name}/shares/dominant"),
                role.dominant_share,
            ));
        }
    }
}

fn add_amounts(gauge: &mut ResourceGauge, name: &str, total: &Resources, used: &Resources) {
    for item in total.iter().filter(|item| item.name() == name) {
        let amount = scalar(item.value());
        if item.is_revocable() {
            gauge.revocable_total += amount;
        } else {
            gauge.total += amount;
        }
    }
    for item in used.iter().filter(|item| item.name() == name) {
        let amount = scalar(item.value());
        if item.is_revocable() {
            gauge.revocable_used += amount;
        } else {
            gauge.used += amount;
        }
    }
}

fn scalar(value: &mesos_messages::resources::Value) -> f64 {
    match value {
        mesos_messages::resources::Value::Scalar(amount) => Scalar::to_f64(*amount),
        _ => 0.0,
    }
}
