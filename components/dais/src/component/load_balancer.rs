//! `dais run load-balancer`.

use super::{
    Logging,
    access::{self, Access, HasAccess},
    flags::{NETWORK, Table, duration, parsed, value},
    until_signal,
};
use anyhow::{Context, bail};
use load_balancer::{Mode, Role, Way};
use std::{path::PathBuf, process::ExitCode};

#[derive(Debug)]
struct Config {
    service: load_balancer::Config,
    masters: Vec<String>,
    controllers: Vec<String>,
    role: RoleName,
    work_dir: PathBuf,
    logging: Logging,
    access: Access,
}

/// A role before it is known whom it follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RoleName {
    Controller,
    Node,
    Both,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            service: load_balancer::Config::new(Role::Both { masters: Vec::new() }),
            masters: Vec::new(),
            controllers: Vec::new(),
            role: RoleName::Both,
            work_dir: PathBuf::new(),
            logging: Logging::default(),
            access: Access::default(),
        }
    }
}

impl HasAccess for Config {
    fn access(&mut self) -> &mut Access {
        &mut self.access
    }
}

const TABLE: Table<Config> = Table {
    manner: &NETWORK,
    flags: &[
        value(
            "role",
            "",
            "controller (says where addresses lead), node (makes them work here) or both. (both)",
            |config, text| {
                config.role = match text {
                    "controller" => RoleName::Controller,
                    "node" => RoleName::Node,
                    "both" => RoleName::Both,
                    _ => return Err("expected controller, node or both".to_owned()),
                };
                Ok(())
            },
        ),
        value(
            "masters",
            "",
            "Where the Mesos masters are, as URLs between commas. Required of a controller.",
            |config, text| {
                config.masters = super::urls(text);
                Ok(())
            },
        ),
        value(
            "controllers",
            "",
            "Where the controllers are, as URLs between commas. Required of a node.",
            |config, text| {
                config.controllers = super::urls(text);
                Ok(())
            },
        ),
        value("work_dir", "", "Where addresses of names are kept. Required.", |config, text| {
            config.work_dir = PathBuf::from(text);
            Ok(())
        }),
        value("ip", "", "Address to listen on. (127.0.0.1)", |config, text| {
            config.service.ip = parsed(text)?;
            Ok(())
        }),
        value("port", "", "Port to listen on; 0 picks one. (62080)", |config, text| {
            config.service.port = parsed(text)?;
            Ok(())
        }),
        value("dns", "", "The name server's HTTP, as a URL.", |config, text| {
            config.service.dns = super::urls(text).pop();
            Ok(())
        }),
        value(
            "way",
            "",
            "kernel (nftables), user-space (listeners on loopback) or auto: the kernel where it \
             can. (auto)",
            |config, text| {
                config.service.node.way = match text {
                    "auto" => Way::Auto,
                    "kernel" => Way::Kernel,
                    "user-space" | "user_space" => Way::UserSpace,
                    _ => return Err("expected auto, kernel or user-space".to_owned()),
                };
                Ok(())
            },
        ),
        value(
            "namespace",
            "",
            "Network namespace, of /run/netns, whose connections are balanced. (its own)",
            |config, text| {
                config.service.node.namespace = Some(text.to_owned());
                Ok(())
            },
        ),
        value("node_ip", "", "This node's address, as agents have it.", |config, text| {
            config.service.node.address = Some(parsed(text)?);
            Ok(())
        }),
        value(
            "leave_rules",
            "",
            "Leave the rules in the kernel when it stops, for the one that starts next. (false)",
            |config, text| {
                config.service.node.leave_rules = parsed(text)?;
                Ok(())
            },
        ),
        value(
            "address_retention",
            "",
            "How long the address of a name without tasks is kept for it. (1days)",
            |config, text| {
                config.service.address_retention = duration(text)?;
                Ok(())
            },
        ),
        access::mode(),
        access::iam(),
        access::account(),
        access::ca_file(),
        access::plain(),
        value("logging_level", "", "trace, debug, info, warn or error. (info)", |config, text| {
            config.logging.set(text)
        }),
    ],
    absent: &[],
};

/// What `--help` prints.
pub(super) fn help() -> String {
    TABLE.help(
        "usage: dais run load-balancer --masters=URL --work_dir=DIR [--flag=value]...\n       \
         dais run load-balancer --role=node --controllers=URL --work_dir=DIR [--flag=value]...",
    )
}

// === impl Config ===

impl Config {
    /// Tells what is missing before anything starts.
    fn check(&mut self) -> anyhow::Result<()> {
        let controls = self.role != RoleName::Node;
        if controls && self.masters.is_empty() {
            bail!("load-balancer needs --masters=URL");
        }
        if self.work_dir.as_os_str().is_empty() {
            bail!("load-balancer needs --work_dir=DIR: addresses of names are kept there");
        }
        if !controls && self.controllers.is_empty() {
            bail!("load-balancer --role=node needs --controllers=URL");
        }
        let masters = std::mem::take(&mut self.masters);
        self.service.role = match self.role {
            RoleName::Controller => Role::Controller { masters },
            RoleName::Both => Role::Both { masters },
            RoleName::Node => Role::Node { controllers: std::mem::take(&mut self.controllers) },
        };
        self.access.check()
    }
}

/// Runs it until a signal.
pub(super) async fn run(arguments: Vec<String>) -> anyhow::Result<ExitCode> {
    let mut config = Config::default();
    TABLE.apply(&mut config, arguments, |name| std::env::var(name).ok())?;
    config.check()?;
    crate::logging::start(&config.logging.level)?;
    let shutdown = until_signal()?;
    let path = config.work_dir.join("state.redb");
    let state = cluster_state::embedded::open(&path)
        .with_context(|| format!("cannot open the state {}", path.display()))?;
    let granted = config.access.start(&shutdown)?;
    (config.service.guard, config.service.tokens) = (granted.guard.clone(), granted.tokens.clone());
    let running = load_balancer::start(config.service, state, shutdown.clone()).await?;
    match &running.mode {
        Mode::Kernel => tracing::info!(address = %running.address, "the kernel balances"),
        Mode::UserSpace(reason) => {
            tracing::warn!(address = %running.address, reason, "listeners on loopback balance");
        }
        Mode::Elsewhere => tracing::info!(address = %running.address, "nodes balance"),
    }
    let ended = running.join.await;
    granted.end(&shutdown).await;
    ended?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(arguments: &[&str]) -> Result<Config, String> {
        let mut config = Config::default();
        let arguments = arguments.iter().map(|text| (*text).to_owned()).collect();
        TABLE.apply(&mut config, arguments, |_| None).map_err(|error| error.to_string())?;
        config.check().map_err(|error| error.to_string())?;
        Ok(config)
    }

    #[test]
    fn each_role_needs_what_it_follows() {
        assert!(checked(&[]).unwrap_err().contains("--masters"));
        assert!(checked(&["--masters=m:5050"]).unwrap_err().contains("--work_dir"));
        let node = ["--role=node", "--work_dir=/w"];
        assert!(checked(&node).unwrap_err().contains("--controllers"));
        assert!(checked(&["--role=boss"]).unwrap_err().contains("controller"));
        let both = checked(&["--masters=m:5050,https://n/", "--work_dir=/w"]).unwrap();
        let masters = ["http://m:5050", "https://n"].map(str::to_owned).to_vec();
        assert_eq!(both.service.role, Role::Both { masters });
        let node =
            checked(&["--role=node", "--controllers=c:62080", "--way=kernel", "--work_dir=/w"])
                .unwrap();
        let controllers = vec!["http://c:62080".to_owned()];
        assert_eq!(node.service.role, Role::Node { controllers });
        assert_eq!(node.service.node.way, Way::Kernel);
    }
}
