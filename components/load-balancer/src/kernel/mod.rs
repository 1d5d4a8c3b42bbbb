//! Balancing by the kernel: rules of nftables, told by the program `nft`.
//!
//! The rules of a predecessor stay at work until the first whole table is known, which takes
//! their place in one transaction.

mod check;
mod conntrack;
mod namespace;
mod programs;
mod routes;
mod rules;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};

use crate::NodeConfig;
use crate::vips::label::Protocol;

use conntrack::{Conntrack, Flow, astray};
use namespace::{inside, links};
use programs::Programs;
use routes::Routes;

pub use check::Lacks;
pub use programs::ProgramError;
pub use rules::{Plan, Rules, TABLE, Targets, Vip, Wanted};

/// The kernel, as far as it balances.
#[derive(Debug)]
pub struct Kernel {
    programs: Programs,
    rules: Rules,
    routes: Routes,
    /// Whether the kernel has what `rules` says. Not before the first table is known, nor after
    /// it refused something.
    current: bool,
    /// What is missing but not needed.
    pub lacks: Lacks,
}

/// Why the kernel does not have what it should.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    #[error(transparent)]
    Program(#[from] ProgramError),
    #[error("the network cannot be looked at: {0}")]
    Look(#[from] std::io::Error),
}

// === impl Kernel ===

impl Kernel {
    /// Looks whether it can be done. Changes nothing yet.
    pub async fn start(config: &NodeConfig, range: (Ipv4Addr, Ipv4Addr)) -> Result<Kernel, String> {
        let (programs, mut rules) = (Programs::new(config), Rules::new(range));
        let lacks = check::check(&programs, &mut rules).await?;
        let routes = Routes::new(range, config.address);
        Ok(Kernel { programs, rules, routes, current: false, lacks })
    }

    /// How many ports of virtual addresses there are, and backends that are open.
    pub fn size(&self) -> (usize, usize) {
        let services = self.rules.services();
        (services.len(), services.values().map(|targets| targets.open.len()).sum())
    }

    /// Whether the kernel has what it was told.
    pub fn is_current(&self) -> bool {
        self.current
    }

    /// Makes it so. What the kernel refuses is told to it again as a whole.
    pub async fn change(&mut self, wanted: Wanted) -> Result<(), KernelError> {
        let plan = self.rules.change(wanted);
        if !self.current {
            return self.renew().await;
        }
        let routed = self.routes.change(&self.programs, &plan.routes).await;
        let script = if plan.script.is_empty() {
            Ok(())
        } else {
            self.programs.nft_script(&plan.script).await
        };
        if let Err(error) = routed.and(script) {
            tracing::warn!(%error, "the kernel refuses a change; it is told everything");
            return self.renew().await;
        }
        self.forget(plan.forget).await;
        Ok(())
    }

    /// All of it, in the place of whatever is there.
    pub async fn renew(&mut self) -> Result<(), KernelError> {
        self.current = false;
        self.rules.set_links(self.links().await?);
        self.routes.renew(&self.programs, self.rules.literal_addresses().collect()).await?;
        self.programs.nft_script(&self.rules.full()).await?;
        self.current = true;
        self.forget_astray().await;
        Ok(())
    }

    /// Looks for interfaces that came or went.
    pub async fn follow_links(&mut self) -> Result<(), KernelError> {
        if !self.current {
            return Ok(());
        }
        let script = self.rules.set_links(self.links().await?);
        if script.is_empty() {
            return Ok(());
        }
        match self.programs.nft_script(&script).await {
            Ok(()) => Ok(()),
            Err(_) => self.renew().await,
        }
    }

    /// Looks whether the rules are still there: whoever flushes all rules of the machine means
    /// others.
    pub async fn verify(&mut self) -> Result<(), KernelError> {
        let tables = self.programs.nft(&["list", "tables", "ip"]).await?;
        let there = tables.lines().any(|line| line.split_whitespace().eq(["table", "ip", TABLE]));
        if self.current && there && self.routes.are_there(&self.programs).await? {
            return Ok(());
        }
        if self.current {
            tracing::warn!("the rules or routes of virtual addresses were gone; made again");
        }
        self.renew().await
    }

    /// Takes everything back.
    pub async fn stop(self) {
        let remove = format!("add table ip {TABLE}\ndelete table ip {TABLE}\n");
        let removed = self.programs.nft_script(&remove).await;
        let routes = self.routes.remove(&self.programs).await;
        if let Err(error) = removed.and(routes) {
            tracing::warn!(%error, "rules of virtual addresses stay behind");
        }
    }

    async fn links(&self) -> std::io::Result<std::collections::BTreeSet<String>> {
        inside(self.programs.namespace(), links).await
    }

    async fn forget(&self, gone: Vec<(Vip, SocketAddrV4)>) {
        if gone.is_empty() {
            return;
        }
        let pairs: std::collections::BTreeSet<(SocketAddrV4, SocketAddrV4)> = gone
            .into_iter()
            .map(|(vip, to)| (SocketAddrV4::new(vip.address, vip.port), to))
            .collect();
        self.forget_flows(move |flow| pairs.contains(&(flow.to, flow.answered_by))).await;
    }

    /// Of clients whose backend went while nobody looked.
    async fn forget_astray(&self) {
        let udp = self.rules.services().iter().filter(|(vip, _)| vip.protocol == Protocol::Udp);
        let known: BTreeMap<SocketAddrV4, Vec<SocketAddrV4>> = udp
            .map(|(vip, to)| {
                (SocketAddrV4::new(vip.address, vip.port), to.all().copied().collect())
            })
            .collect();
        if !known.is_empty() {
            self.forget_flows(move |flow| astray(&known, flow)).await;
        }
    }

    async fn forget_flows(&self, is_gone: impl Fn(&Flow) -> bool + Send + 'static) {
        let work = move || Conntrack::open()?.forget(is_gone);
        match inside(self.programs.namespace(), work).await {
            Ok(0) => {}
            Ok(flows) => tracing::debug!(flows, "clients of UDP look for another backend"),
            Err(error) => {
                tracing::warn!(%error, "clients of UDP may send to backends that are gone")
            }
        }
    }
}
