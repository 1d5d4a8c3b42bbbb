//! `dais completion`: scripts that complete commands in a shell.

use crate::context::Context;
use clap::{Args, ValueEnum};
use clap_complete::shells;

#[derive(Debug, Args)]
pub struct Completion {
    /// The shell; load the script with, for example, `source <(dais completion bash)`.
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

// === impl Completion ===

impl Completion {
    pub(super) fn run(
        self,
        context: &mut Context,
        mut command: clap::Command,
    ) -> anyhow::Result<()> {
        let name = command.get_name().to_owned();
        let mut script = Vec::new();
        match self.shell {
            Shell::Bash => {
                clap_complete::generate(shells::Bash, &mut command, name, &mut script);
            }
            Shell::Zsh => clap_complete::generate(shells::Zsh, &mut command, name, &mut script),
            Shell::Fish => clap_complete::generate(shells::Fish, &mut command, name, &mut script),
        }
        Ok(context.io.bytes(&script)?)
    }
}
