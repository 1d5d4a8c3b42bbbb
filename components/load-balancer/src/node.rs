//! Makes virtual addresses work on this node: hears of services, and has them balanced.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::kernel::{Kernel, Targets, Vip, Wanted};
use crate::metrics::Metrics;
use crate::user_space::UserSpace;
use crate::wire::Line;

/// The pause before what failed is tried again, and between looks at interfaces.
const TICK: Duration = Duration::from_secs(1);
/// Services told to the kernel at once: so many take it a tenth of a second at most.
const BATCH: usize = 500;

/// How connections get to backends.
#[derive(Debug)]
pub(crate) enum Balancer {
    Kernel(Box<Kernel>),
    UserSpace(UserSpace),
}

/// Where lines come from.
pub(crate) trait Source: Send {
    /// Waits for lines, at least one. None: there will be no more.
    fn next(&mut self) -> impl Future<Output = Option<Vec<Line>>> + Send;
}

/// A node at work.
pub(crate) struct Node {
    balancer: Balancer,
    address: Option<Ipv4Addr>,
    leave_rules: bool,
    verify: Duration,
    metrics: Arc<Metrics>,
    /// What was heard and is not at work yet.
    wanted: Wanted,
    /// Everything there is.
    known: BTreeMap<Vip, Targets>,
    /// Whether anything was heard: before, what the kernel has is left as it is.
    begun: bool,
    /// Whether the balancer refused something.
    failed: bool,
}

// === impl Node ===

impl Node {
    pub(crate) fn new(
        balancer: Balancer,
        config: &crate::NodeConfig,
        metrics: Arc<Metrics>,
    ) -> Node {
        Node {
            balancer,
            address: config.address,
            leave_rules: config.leave_rules,
            verify: config.verify,
            metrics,
            wanted: Wanted::new(),
            known: BTreeMap::new(),
            begun: false,
            failed: false,
        }
    }

    /// Until `stop`; then everything is taken back, unless it is to be left.
    pub(crate) async fn run(mut self, mut source: impl Source, stop: CancellationToken) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut verify = interval(self.verify.max(TICK));
        verify.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                lines = source.next() => match lines {
                    Some(lines) => {
                        self.hear(lines);
                        self.apply().await;
                    }
                    None => break,
                },
                _ = tick.tick() => self.look().await,
                _ = verify.tick() => self.verify().await,
            }
        }
        match self.balancer {
            Balancer::Kernel(_) if self.leave_rules => {}
            Balancer::Kernel(kernel) => kernel.stop().await,
            Balancer::UserSpace(user_space) => user_space.stop().await,
        }
    }

    fn hear(&mut self, lines: Vec<Line>) {
        for line in lines {
            if let Some(all) = line.vips {
                let now: BTreeMap<Vip, Targets> =
                    all.iter().map(|entry| (entry.key(), entry.targets(self.address))).collect();
                let gone: Vec<Vip> =
                    self.known.keys().filter(|vip| !now.contains_key(vip)).copied().collect();
                gone.into_iter().for_each(|vip| self.want(vip, None));
                now.into_iter().for_each(|(vip, targets)| self.want(vip, Some(targets)));
                self.begun = true;
            }
            if let Some(gone) = line.gone {
                self.want(gone.key(), None);
            }
            if let Some(entry) = line.put {
                self.want(entry.key(), Some(entry.targets(self.address)));
            }
        }
    }

    fn want(&mut self, vip: Vip, targets: Option<Targets>) {
        let different = match &targets {
            Some(targets) => self.known.insert(vip, targets.clone()).as_ref() != Some(targets),
            None => self.known.remove(&vip).is_some(),
        };
        if different {
            self.wanted.insert(vip, targets);
        }
    }

    async fn apply(&mut self) {
        if !self.begun {
            return;
        }
        if let Balancer::Kernel(kernel) = &self.balancer
            && !kernel.is_current()
        {
            // All at once, in the place of whatever is there.
            let wanted = std::mem::take(&mut self.wanted);
            self.change(wanted).await;
            return;
        }
        while !self.wanted.is_empty() {
            let rest = match self.wanted.keys().nth(BATCH).copied() {
                Some(next) => self.wanted.split_off(&next),
                None => Wanted::new(),
            };
            let wanted = std::mem::replace(&mut self.wanted, rest);
            self.change(wanted).await;
        }
    }

    async fn change(&mut self, wanted: Wanted) {
        let begun = std::time::Instant::now();
        let size = wanted.len();
        match &mut self.balancer {
            Balancer::Kernel(kernel) => {
                let changed = kernel.change(wanted).await;
                self.failed = changed.is_err();
                if let Err(error) = changed {
                    tracing::error!(%error, "the kernel does not balance as it should");
                }
            }
            Balancer::UserSpace(user_space) => user_space.change(wanted).await,
        }
        self.metrics.changed(size, begun.elapsed(), self.failed);
    }

    /// What failed is tried again, and new interfaces are found.
    async fn look(&mut self) {
        let Balancer::Kernel(kernel) = &mut self.balancer else { return };
        let done = if self.failed { kernel.renew().await } else { kernel.follow_links().await };
        if let Err(error) = &done {
            tracing::warn!(%error, "the kernel does not balance as it should");
        }
        self.failed = done.is_err();
    }

    async fn verify(&mut self) {
        let Balancer::Kernel(kernel) = &mut self.balancer else { return };
        if !self.begun || self.failed {
            return;
        }
        if let Err(error) = kernel.verify().await {
            tracing::warn!(%error, "the kernel does not balance as it should");
            self.failed = true;
        }
    }
}
