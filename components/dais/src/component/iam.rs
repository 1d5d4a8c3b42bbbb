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
    /// Uid and public key of a superuser that the installation brings.
    superuser: (String, String),
    logging: Logging,
    verify_audit: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            service: iam::Config::new(PathBuf::new()),
            superuser: Default::default(),
            logging: Logging::default(),
            verify_audit: None,
        }
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
            "token_longest",
            "",
            "How long a service may have a token live at most; with exp 0 it does. (365days)",
            |config, text| {
                config.service.token_longest = duration(text)?;
                Ok(())
            },
        ),
        value(
            "key_rotation",
            "",
            "How long a key signs tokens until another one does; never leaves that to you. (90days)",
            |config, text| {
                config.service.key_rotation =
                    if text == "never" { None } else { Some(duration(text)?) };
                Ok(())
            },
        ),
        value(
            "key_publish_ahead",
            "",
            "How long a new key is published before it signs. (5mins)",
            |config, text| {
                config.service.key_publish_ahead = duration(text)?;
                Ok(())
            },
        ),
        value(
            "superuser_service_account_uid",
            "",
            "A service account that is made a superuser at the first start.",
            |config, text| {
                text.clone_into(&mut config.superuser.0);
                Ok(())
            },
        ),
        value(
            "superuser_service_account_public_key",
            "",
            "Its public key, PEM.",
            |config, text| {
                text.clone_into(&mut config.superuser.1);
                Ok(())
            },
        ),
        value(
            "trusted_proxies",
            "",
            "Addresses whose X-Forwarded-For is believed, besides gateways that prove themselves.",
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
        value(
            "audit_files",
            "",
            "Full audit files that are kept, the oldest is removed first; 0 keeps all. (64)",
            |config, text| {
                config.service.audit_files = parsed(text)?;
                Ok(())
            },
        ),
        value("logging_level", "", "trace, debug, info, warn or error. (info)", |config, text| {
            config.logging.set(text)
        }),
        value(
            "verify_audit",
            "",
            "Checks the chain of an audit log, such as DIR/audit.jsonl, and runs nothing.",
            |config, text| {
                config.verify_audit = Some(PathBuf::from(text));
                Ok(())
            },
        ),
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
    if let Some(file) = &config.verify_audit {
        return verify_audit(file);
    }
    let data_dir = &config.service.data_dir;
    if data_dir.as_os_str().is_empty() {
        bail!("iam needs --data_dir=DIR: its state lives there");
    }
    let (uid, public_key) = &config.superuser;
    config.service.superuser_service_account = match (uid.is_empty(), public_key.is_empty()) {
        (true, true) => None,
        (false, false) => Some((uid.clone(), public_key.clone())),
        _ => bail!("the superuser's service account needs a uid and a public key"),
    };
    let data_dir = &config.service.data_dir;
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

/// Says whether an audit log is as it was written, and where not.
fn verify_audit(file: &std::path::Path) -> anyhow::Result<ExitCode> {
    let verified = iam::audit::verify(file)?;
    let from = if verified.complete { "from its beginning" } else { "from where its files begin" };
    println!(
        "{} lines are whole, {from}; the last is number {}, with hash {}",
        verified.lines, verified.last, verified.hash
    );
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_audit_log_is_verified_without_a_service() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(iam::audit::FILE);
        assert!(verify_audit(&file).is_err());
        std::fs::write(&file, "").unwrap();
        assert!(verify_audit(&file).is_ok());
        std::fs::write(&file, "{\"number\":1}\n").unwrap();
        let broken = verify_audit(&file).unwrap_err().to_string();
        assert!(
            broken.ends_with("audit.jsonl, line 1: it is not a line of an audit log"),
            "{broken}"
        );
    }
}
