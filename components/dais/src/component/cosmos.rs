//! `dais run cosmos`.

use super::{
    Logging,
    access::{self, Access, HasAccess},
    flags::{COSMOS, Table, duration, parsed, size, value},
    until_signal,
};
use anyhow::{Context, bail};
use std::{path::PathBuf, process::ExitCode};

#[derive(Debug)]
struct Config {
    service: cosmos::Config,
    logging: Logging,
    access: Access,
}

impl Default for Config {
    fn default() -> Self {
        let service = cosmos::Config::new(String::new(), String::new(), PathBuf::new());
        Self { service, logging: Logging::default(), access: Access::default() }
    }
}

/// `host:port` or a URL, as a URL.
fn url(text: &str) -> Result<String, String> {
    let text = text.trim_end_matches('/');
    Ok(if text.contains("://") { text.to_owned() } else { format!("http://{text}") })
}

impl HasAccess for Config {
    fn access(&mut self) -> &mut Access {
        &mut self.access
    }
}

const TABLE: Table<Config> = Table {
    manner: &COSMOS,
    flags: &[
        value("marathon", "", "Where Marathon is, as a URL. Required.", |config, text| {
            config.service.marathon = url(text)?;
            Ok(())
        }),
        value("master", "", "Where the Mesos master is, as a URL. Required.", |config, text| {
            config.service.master = url(text)?;
            Ok(())
        }),
        value("work_dir", "", "Where state and copies live. Required.", |config, text| {
            config.service.data_dir = PathBuf::from(text);
            Ok(())
        }),
        value("ip", "", "Address to listen on. (127.0.0.1)", |config, text| {
            config.service.ip = parsed(text)?;
            Ok(())
        }),
        value("port", "", "Port to listen on; 0 picks one. (7070)", |config, text| {
            config.service.port = parsed(text)?;
            Ok(())
        }),
        value(
            "gateway",
            "",
            "URL below whose /service/<id>/ services are reached.",
            |config, text| {
                config.service.gateway = Some(url(text)?);
                Ok(())
            },
        ),
        value(
            "dcos_version",
            "",
            "Release of DC/OS to ask repositories for. (2.1.1)",
            |config, text| {
                text.clone_into(&mut config.service.dcos_version);
                Ok(())
            },
        ),
        value(
            "refresh_interval",
            "",
            "How often repositories are looked at. (1mins)",
            |config, text| {
                config.service.refresh = duration(text)?;
                Ok(())
            },
        ),
        value(
            "fetch_timeout",
            "",
            "The most one fetch of a repository takes. (1mins)",
            |config, text| {
                config.service.fetch_timeout = duration(text)?;
                Ok(())
            },
        ),
        value("max_repository_size", "", "Largest repository document. (40MB)", |config, text| {
            config.service.limits.document =
                usize::try_from(size(text)?).map_err(|error| error.to_string())?;
            Ok(())
        }),
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
    TABLE
        .help("usage: dais run cosmos --marathon=URL --master=URL --work_dir=DIR [--flag=value]...")
}

/// Runs it until a signal.
pub(super) async fn run(arguments: Vec<String>) -> anyhow::Result<ExitCode> {
    let mut config = Config::default();
    TABLE.apply(&mut config, arguments, |name| std::env::var(name).ok())?;
    let service = &mut config.service;
    for (name, value) in [("marathon", &service.marathon), ("master", &service.master)] {
        if value.is_empty() {
            bail!("cosmos needs --{name}=URL");
        }
    }
    if service.data_dir.as_os_str().is_empty() {
        bail!("cosmos needs --work_dir=DIR: its state lives there");
    }
    config.access.check()?;
    let path = service.data_dir.join("state.redb");
    service.data_dir.push("repositories");
    crate::logging::start(&config.logging.level)?;
    let shutdown = until_signal()?;
    let state = cluster_state::embedded::open(&path)
        .with_context(|| format!("cannot open the state {}", path.display()))?;
    let granted = config.access.start(&shutdown)?;
    (config.service.guard, config.service.tokens) = (granted.guard.clone(), granted.tokens.clone());
    let running = cosmos::start(config.service, state, shutdown.clone()).await?;
    tracing::info!(address = %running.address, "cosmos is up");
    let ended = running.join.await;
    granted.end(&shutdown).await;
    ended??;
    Ok(ExitCode::SUCCESS)
}
