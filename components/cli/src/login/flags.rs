//! What the command line and the environment give for a login.

use super::Provider;
use super::provider::How;
use crate::terminal::Environment;
use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::Value;
use std::convert::Infallible;
use std::fmt;
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::str::FromStr;

/// A file that is longer holds neither a password nor a key.
const LONGEST: u64 = 64 * 1024;

/// A text that no message shows.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

/// Flags of a login.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags {
    /// The login provider to use, by its id.
    #[arg(long, value_name = "ID")]
    pub(crate) provider: Option<String>,
    /// Log in with the cluster's own page in a browser, and paste the token that it shows.
    #[arg(long, conflicts_with_all = ["provider", "username", "password", "password_file", "private_key"])]
    pub(crate) browser: bool,
    /// Who to log in as; DCOS_USERNAME otherwise.
    #[arg(long, value_name = "UID")]
    pub(crate) username: Option<String>,
    /// The password; others on this machine can see it. Rather leave it out to be asked for it.
    #[arg(long)]
    pub(crate) password: Option<Secret>,
    /// A file with the password, which nobody else can read.
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<String>,
    /// The private key of a service account: PEM, or the account's JSON file.
    #[arg(long, visible_alias = "service-account", value_name = "FILE")]
    pub(crate) private_key: Option<String>,
}

/// The same, read.
#[derive(Clone, Debug, Default)]
pub(super) struct Given {
    pub(super) provider: Option<String>,
    pub(super) username: Option<String>,
    pub(super) password: Option<Secret>,
    pub(super) key: Option<Secret>,
}

// === impl Secret ===

impl Secret {
    pub(crate) fn new(text: String) -> Secret {
        Secret(text)
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl FromStr for Secret {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Secret, Infallible> {
        Ok(Secret(text.to_owned()))
    }
}

// === impl Flags ===

impl Flags {
    /// Those that were given, by name.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        let flags = [
            ("--provider", self.provider.is_some()),
            ("--browser", self.browser),
            ("--username", self.username.is_some()),
            ("--password", self.password.is_some()),
            ("--password-file", self.password_file.is_some()),
            ("--private-key", self.private_key.is_some()),
        ];
        flags.iter().filter(|(_, given)| *given).map(|(name, _)| *name).collect()
    }

    pub(super) fn resolve(&self, env: &Environment) -> anyhow::Result<Given> {
        let password = match &self.password_file {
            Some(path) => Some(Secret(read_secret_file(path)?.expose().trim_end().to_owned())),
            None => self.password.clone(),
        };
        let (uid, key) = match &self.private_key {
            Some(path) => account(&read_secret_file(path)?)
                .with_context(|| format!("cannot use the private key in {path}"))?,
            None => (None, None),
        };
        let username = self.username.clone().or(uid);
        Ok(Given {
            provider: self.provider.clone(),
            username: username.or_else(|| env.get("DCOS_USERNAME")),
            // Who comes with a key does not mean the password of the environment.
            password: password
                .or_else(|| env.get("DCOS_PASSWORD").filter(|_| key.is_none()).map(Secret)),
            key,
        })
    }
}

impl Given {
    /// Whether a provider can be used with what was given.
    pub(super) fn fits(&self, provider: &Provider) -> bool {
        match provider.how() {
            Some(How::ServiceKey) => self.key.is_some(),
            Some(How::BrowserToken | How::BrowserIdToken) => {
                self.username.is_none() && self.password.is_none() && self.key.is_none()
            }
            Some(How::Password) => self.key.is_none(),
            None => false,
        }
    }
}

/// The key of a service account, and its uid where the file has it.
fn account(text: &Secret) -> anyhow::Result<(Option<String>, Option<Secret>)> {
    let text = text.expose();
    let (uid, pem) = if text.trim_start().starts_with('{') {
        // What is wrong with it is not repeated: the message would have a piece of the key.
        let Ok(file) = serde_json::from_str::<Value>(text) else { bail!("it is not valid JSON") };
        let field = |name| file.get(name).and_then(Value::as_str).map(str::to_owned);
        (field("uid"), field("private_key").context("it has no private_key")?)
    } else {
        (None, text.to_owned())
    };
    identity::SigningKey::from_pem(&pem)?;
    Ok((uid, Some(Secret(pem))))
}

/// A file with a secret, which nobody but its owner may be able to read.
pub(crate) fn read_secret_file(path: impl AsRef<Path>) -> anyhow::Result<Secret> {
    let path = path.as_ref();
    let read = || format!("cannot read {}", path.display());
    let file = fs::File::open(path).with_context(read)?;
    let mode = file.metadata().with_context(read)?.permissions().mode() & 0o777;
    if mode & 0o177 != 0 {
        bail!("permissions {mode:#o} for {} are too open, expected 0400 or 0600", path.display());
    }
    let mut text = String::new();
    file.take(LONGEST).read_to_string(&mut text).with_context(read)?;
    Ok(Secret(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let flags = Flags { password: Some(Secret::new("geheim".into())), ..Flags::default() };
        assert!(!format!("{flags:?}").contains("geheim"));
        let given = flags.resolve(&Environment::default()).unwrap();
        assert!(!format!("{given:?}").contains("geheim"));
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        fs::write(&path, "geheim\n").unwrap();
        let flags =
            Flags { password_file: Some(path.to_str().unwrap().to_owned()), ..Flags::default() };
        let env = Environment::of([("DCOS_USERNAME", "a"), ("DCOS_PASSWORD", "other")]);
        for (mode, fine) in [(0o644, false), (0o640, false), (0o700, false), (0o600, true)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(flags.resolve(&env).is_ok(), fine, "{mode:o}");
        }
        let given = flags.resolve(&env).unwrap();
        assert_eq!(given.password.unwrap().expose(), "geheim");
        assert_eq!(given.username.as_deref(), Some("a"));
    }

    #[test]
    fn an_account_file_has_its_uid() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("account");
        let pkcs8 = identity::SigningKey::generate_es256().unwrap();
        let pem = identity::SigningKey::pkcs8_pem(&pkcs8);
        let write = |text: String| {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            let private_key = Some(path.to_str().unwrap().to_owned());
            Flags { private_key, ..Flags::default() }
                .resolve(&Environment::of([("DCOS_PASSWORD", "x")]))
        };
        let given = write(serde_json::json!({"uid": "svc", "private_key": pem}).to_string());
        let given = given.unwrap();
        assert_eq!(given.username.as_deref(), Some("svc"));
        assert!(given.password.is_none());
        assert!(write(pem).unwrap().key.is_some());
        let error = format!("{:#}", write("{\"private_key\":\"secret".into()).unwrap_err());
        assert!(error.contains("not valid JSON") && !error.contains("secret"), "{error}");
    }
}
