//! `dais run admin-router`.

use super::until_signal;
use std::process::ExitCode;

/// What `--help` prints.
pub(super) fn help() -> String {
    format!(
        "usage: dais run admin-router --data_dir=DIR [--flag=value]...\n\n{}",
        admin_router::settings::help()
    )
}

/// Runs it until a signal.
pub(super) async fn run(arguments: Vec<String>) -> anyhow::Result<ExitCode> {
    let settings = admin_router::settings::from(arguments, |name| std::env::var(name).ok())?;
    crate::logging::start("info")?;
    for note in &settings.notes {
        tracing::info!("{note}");
    }
    let running = admin_router::start(settings.config, until_signal()?).await?;
    tracing::info!(plain = ?running.plain, tls = ?running.tls, "the gateway is up");
    running.join.await??;
    Ok(ExitCode::SUCCESS)
}
