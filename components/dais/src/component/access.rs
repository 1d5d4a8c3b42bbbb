//! The flags that say who may use a component, and what it logs in with: the same for all.

use super::flags::{Flag, value};
use anyhow::{Context, bail};
use http_kit::{
    Client, ClientConfig,
    client::Authorities,
    guard::{FollowConfig, Guard, Mode, TokenSource, TokenSourceConfig, check_way, follow},
};
use std::path::PathBuf;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// What the flags say.
#[derive(Debug, Default)]
pub(super) struct Access {
    mode: Mode,
    iam: Option<String>,
    account: Option<PathBuf>,
    ca_file: Option<PathBuf>,
    plain_iam: bool,
}

/// What comes of it while the component runs.
#[derive(Debug)]
pub(super) struct Granted {
    pub(super) guard: Guard,
    /// None where there is no account.
    pub(super) tokens: Option<TokenSource>,
    /// Ends with the component's token.
    follower: Option<JoinHandle<()>>,
}

/// A configuration with these flags.
pub(super) trait HasAccess {
    fn access(&mut self) -> &mut Access;
}

/// `--authentication_mode`.
pub(super) const fn mode<C: HasAccess>() -> Flag<C> {
    value(
        "authentication_mode",
        "",
        "disabled, permissive (whoever is on this machine needs no token) or strict. (disabled)",
        |config: &mut C, text| {
            config.access().mode = text.parse()?;
            Ok(())
        },
    )
}

/// `--iam_url`.
pub(super) const fn iam<C: HasAccess>() -> Flag<C> {
    value("iam_url", "", "Where IAM is, such as http://127.0.0.1:8101.", |config: &mut C, text| {
        let plain = text.trim_end_matches('/');
        if !plain.starts_with("http://") && !plain.starts_with("https://") {
            return Err("expected a URL".to_owned());
        }
        config.access().iam = Some(plain.to_owned());
        Ok(())
    })
}

/// `--iam_ca_file`.
pub(super) const fn ca_file<C: HasAccess>() -> Flag<C> {
    value(
        "iam_ca_file",
        "",
        "PEM file with authorities that are trusted for --iam_url, beside the public ones.",
        |config: &mut C, text| {
            config.access().ca_file = Some(PathBuf::from(text));
            Ok(())
        },
    )
}

/// `--iam_plain`.
pub(super) const fn plain<C: HasAccess>() -> Flag<C> {
    value(
        "iam_plain",
        "",
        "true lets --iam_url be http:// to another machine; whoever is on the way can then take \
         over this component. (false)",
        |config: &mut C, text| {
            let parsed = text.parse().map_err(|_| "expected true or false".to_owned());
            config.access().plain_iam = parsed?;
            Ok(())
        },
    )
}

/// `--service_account_file`.
pub(super) const fn account<C: HasAccess>() -> Flag<C> {
    value(
        "service_account_file",
        "",
        "File with the uid and the key that this component logs in to IAM with; mode 0600.",
        |config: &mut C, text| {
            config.access().account = Some(PathBuf::from(text));
            Ok(())
        },
    )
}

// === impl Access ===

impl Access {
    /// Tells what is missing before anything starts.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        let judges = self.mode != Mode::Disabled;
        match (&self.iam, &self.account) {
            (None, _) if judges => {
                bail!("--authentication_mode={} needs --iam_url", self.mode.name())
            }
            (_, None) if judges => {
                bail!("--authentication_mode={} needs --service_account_file", self.mode.name())
            }
            (Some(_), None) => bail!("--iam_url needs --service_account_file"),
            _ => {}
        }
        if let Some(url) = self.iam.as_ref().filter(|_| !self.plain_iam) {
            check_way(url).context("use https://, or --iam_plain=true where nobody else is")?;
        }
        Ok(())
    }

    fn client(&self) -> anyhow::Result<ClientConfig> {
        let authorities = match &self.ca_file {
            None => Authorities::default(),
            Some(path) => {
                let unusable = || format!("--iam_ca_file={} is not usable", path.display());
                Authorities::from_pem(&std::fs::read(path).with_context(unusable)?)
                    .with_context(unusable)?
            }
        };
        Ok(ClientConfig { authorities, plain_iam: self.plain_iam, ..ClientConfig::default() })
    }

    /// Begins to follow IAM, where that was asked for. Until the first answer of IAM tokens are
    /// answered 503.
    pub(super) fn start(self, stop: &CancellationToken) -> anyhow::Result<Granted> {
        self.check()?;
        let client = self.client()?;
        let Some(account) = self.account else {
            return Ok(Granted { guard: Guard::disabled(), tokens: None, follower: None });
        };
        if self.mode == Mode::Disabled {
            let client = Client::new(client);
            let config = TokenSourceConfig { iam: self.iam, account, client };
            let (tokens, follower) = TokenSource::start(config, stop.clone());
            let guard = Guard::disabled();
            return Ok(Granted { guard, tokens: Some(tokens), follower: Some(follower) });
        }
        let iam = self.iam.context("--iam_url is missing")?;
        let config = FollowConfig { mode: self.mode, iam, account, client };
        let following = follow(config, stop.clone());
        Ok(Granted {
            guard: following.guard,
            tokens: Some(following.tokens),
            follower: Some(following.join),
        })
    }
}

// === impl Granted ===

impl Granted {
    /// Stops and waits for what was begun, once the component has ended.
    pub(super) async fn end(self, stop: &CancellationToken) {
        stop.cancel();
        if let Some(follower) = self.follower {
            let _ = follower.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::component::flags::{MESOS, Table};

    impl HasAccess for Access {
        fn access(&mut self) -> &mut Access {
            self
        }
    }

    fn apply(arguments: &[&str]) -> Result<Access, String> {
        const TABLE: Table<Access> =
            Table { manner: &MESOS, flags: &[mode(), iam(), account(), plain()], absent: &[] };
        let mut access = Access::default();
        let arguments = arguments.iter().map(|text| (*text).to_owned()).collect();
        TABLE.apply(&mut access, arguments, |_| None).map_err(|error| error.to_string())?;
        access.check().map_err(|error| error.to_string())?;
        Ok(access)
    }

    #[test]
    fn what_a_mode_needs_is_asked_for() {
        assert_eq!(apply(&[]).unwrap().mode, Mode::Disabled);
        let all =
            ["--authentication_mode=strict", "--iam_url=https://h:1/", "--service_account_file=/f"];
        let access = apply(&all).unwrap();
        assert_eq!((access.mode, access.iam.as_deref()), (Mode::Strict, Some("https://h:1")));
        assert!(apply(&all[..1]).unwrap_err().contains("--iam_url"));
        assert!(apply(&all[..2]).unwrap_err().contains("--service_account_file"));
        assert!(apply(&all[1..2]).unwrap_err().contains("--service_account_file"));
        assert!(apply(&["--authentication_mode=lax"]).unwrap_err().contains("strict"));
        assert!(apply(&["--iam_url=h:1"]).unwrap_err().contains("URL"));
    }

    #[test]
    fn iam_elsewhere_without_tls_has_to_be_wanted() {
        let account = "--service_account_file=/f";
        for mode in ["disabled", "permissive", "strict"] {
            let mode = format!("--authentication_mode={mode}");
            assert!(apply(&[&mode, "--iam_url=http://127.0.0.1:1", account]).is_ok());
            let elsewhere = [mode.as_str(), "--iam_url=http://10.0.0.1:1", account];
            assert!(apply(&elsewhere).unwrap_err().contains("--iam_plain"));
            let [mode, iam, account] = elsewhere;
            assert!(apply(&[mode, iam, account, "--iam_plain=true"]).is_ok());
            assert!(apply(&[mode, iam, account, "--iam_plain=false"]).is_err());
        }
    }
}
