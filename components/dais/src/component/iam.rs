//! `dais run iam`.

use super::{
    Logging,
    flags::{IAM, Table, duration, parsed, size, value},
    until_signal,
};
use anyhow::{Context, bail};
use std::{path::PathBuf, process::ExitCode};

#[derive(Debug)]
struct Config {
    service: iam::Config,
    logging: Logging,
}

impl Default for Config {
    fn default() -> Self {
        Self { service: iam::Config::new(PathBuf::new()), logging: Logging::default() }
    }
}

const TABLE: Table<Config> = Table {
    manner: &IAM,
    flags: &[
        value(
            "data_dir",
            "",
            "Where state, keys, the audit log and the first password live. Required.",
            |config, text| {
                config.service.data_dir = PathBuf::from(text);
                Ok(())
            },
        ),
        value("ip", "", "Address to listen on. (127.0.0.1)", |config, text| {
            config.service.ip = parsed(text)?;
            Ok(())
        }),
        value("port", "", "Port to listen on; 0 picks one. (8101)", |config, text| {
            config.service.port = parsed(text)?;
            Ok(())
        }),
        value("cluster_id", "", "The cluster's id, for uiconfig.", |config, text| {
            text.clone_into(&mut config.service.cluster_id);
            Ok(())
        }),
        value(
            "public_url",
            "",
            "Where browsers reach the cluster, for logins elsewhere: https://host.",
            |config, text| {
                config.service.public_url = Some(text.trim_end_matches('/').to_owned());
                Ok(())
            },
        ),
        value("token_lifetime", "", "How long a token is good. (5days)", |config, text| {
            config.service.token_lifetime = duration(text)?;
            Ok(())
        }),
        value(
            "trusted_proxies",
            "",
            "Addresses, besides loopback, whose X-Forwarded-For is believed.",
            |config, text| {
                let addresses = text.split(',').map(str::trim).filter(|text| !text.is_empty());
                config.service.trusted_proxies = addresses.map(parsed).collect::<Result<_, _>>()?;
                Ok(())
            },
        ),
        value(
            "audit_file_size",
            "",
            "When the next audit file is begun. (64MB)",
            |config, text| {
                config.service.audit_file_bytes = size(text)?;
                Ok(())
            },
        ),
        value("logging_level", "", "trace, debug, info, warn or error. (info)", |config, text| {
            config.logging.set(text)
        }),
    ],
    absent: &[],
};

/// What `--help` prints.
pub(super) fn help() -> String {
    TABLE.help("usage: dais run iam --data_dir=DIR [--flag=value]...")
}

/// Runs it until a signal.
pub(super) async fn run(arguments: Vec<String>) -> anyhow::Result<ExitCode> {
    let mut config = Config::default();
    TABLE.apply(&mut config, arguments, |name| std::env::var(name).ok())?;
    let data_dir = &config.service.data_dir;
    if data_dir.as_os_str().is_empty() {
        bail!("iam needs --data_dir=DIR: its state lives there");
    }
    crate::up::data_dir::make_private(data_dir)
        .with_context(|| format!("cannot make {}", data_dir.display()))?;
    let path = data_dir.join("state.redb");
    crate::logging::start(&config.logging.level)?;
    let shutdown = until_signal()?;
    let state = cluster_state::embedded::open(&path)
        .with_context(|| format!("cannot open the state {}", path.display()))?;
    let running = iam::start(config.service, state, shutdown).await?;
    tracing::info!(address = %running.address, "iam is up");
    running.join.await??;
    Ok(ExitCode::SUCCESS)
}
