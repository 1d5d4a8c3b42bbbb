//! `dais config`: the settings of the attached cluster.

use crate::config::{self, keys};
use crate::context::Context;
use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};

/// What is said when there is nothing to configure.
pub(super) const NONE: &str = "no cluster is attached; `dais cluster setup <url>` sets one up, \
                               `dais cluster attach <name>` chooses one";

#[derive(Debug, Subcommand)]
pub enum Config {
    /// Print all the keys that can be set in a configuration file.
    Keys(Keys),
    /// Add or set a property in the configuration file used for the current cluster.
    Set {
        /// The property, as core.timeout.
        name: String,
        value: String,
    },
    /// Print the configuration file related to the current cluster.
    Show {
        /// Only this property.
        name: Option<String>,
    },
    /// Remove a property from the configuration file used for the current cluster.
    Unset { name: String },
}

#[derive(Debug, Args)]
pub struct Keys {
    /// Only print config keys.
    #[arg(short, long)]
    quiet: bool,
}

// === impl Config ===

impl Config {
    pub(super) fn run(self, context: &mut Context) -> anyhow::Result<()> {
        match self {
            Config::Keys(Keys { quiet }) => {
                for (key, _, meaning) in keys::ALL {
                    let line = if quiet { key.to_owned() } else { format!("{key} : {meaning}") };
                    context.io.line(line)?;
                }
                Ok(())
            }
            Config::Set { name, value } => {
                let mut config = current(context)?;
                config.set(&name, &value)?;
                config.write()
            }
            Config::Show { name: Some(name) } => match current(context)?.get(&name) {
                Some(value) => Ok(context.io.line(value)?),
                None => bail!("unknown key \"{name}\""),
            },
            Config::Show { name: None } => {
                for (key, value) in current(context)?.entries() {
                    // Whoever shows a screen does not mean to show a token.
                    let value = if key == keys::TOKEN { "********" } else { &value };
                    context.io.line(format!("{key} {value}"))?;
                }
                Ok(())
            }
            Config::Unset { name } => {
                let mut config = current(context)?;
                config.unset(&name);
                config.write()
            }
        }
    }
}

fn current(context: &Context) -> anyhow::Result<config::Config> {
    context.folder()?.current(context.io.environment())?.context(NONE)
}
