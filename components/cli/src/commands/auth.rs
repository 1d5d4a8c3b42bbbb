//! `dais auth`: logging in, which needs a gateway that asks for it.

use crate::config::keys;
use crate::context::Context;
use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub enum Auth {
    /// List the ways to log in to a cluster.
    ListProviders(ListProviders),
    /// Log in to the current cluster.
    Login(Login),
    /// Forget the token of the current cluster.
    Logout,
}

#[derive(Debug, Args)]
pub struct ListProviders {
    /// The cluster's URL.
    url: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub struct Login {
    #[arg(long)]
    provider: Option<String>,
    #[arg(long)]
    username: Option<String>,
    #[arg(long)]
    password: Option<String>,
    #[arg(long)]
    password_file: Option<String>,
    #[arg(long)]
    private_key: Option<String>,
}

// === impl Auth ===

impl Auth {
    pub(super) fn run(self, context: &mut Context) -> anyhow::Result<()> {
        match self {
            Auth::Login(_) | Auth::ListProviders(_) => bail!(
                "there is no login yet: a cluster of `dais up` lets everyone on this machine \
                 in; the token of another cluster goes into core.dcos_acs_token \
                 (`dais config set core.dcos_acs_token <token>`)"
            ),
            Auth::Logout => {
                let config = context.folder()?.current(context.io.environment())?;
                let mut config = config.context(super::config::NONE)?;
                config.unset(keys::TOKEN);
                config.write()
            }
        }
    }
}
