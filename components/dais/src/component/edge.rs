//! `dais edge`.

use super::until_signal;
use anyhow::Context;
use std::{io::Write, path::PathBuf, process::ExitCode};

/// What `--help` prints.
pub(super) fn help() -> String {
    format!(
        "usage: dais edge --group=NAME [--flag=value]...\n       dais edge render-haproxy \
         [--apps=FILE] --group=NAME [--flag=value]...\n\nflags:\n{}\nrender-haproxy prints the \
         configuration of HAProxy's that does the same, of what Marathon has\nat this moment, or \
         of a file as /v2/apps?embed=apps.tasks answers.\n",
        edge::settings::help()
    )
}

/// Runs it until a signal.
pub(super) async fn run(arguments: Vec<String>) -> anyhow::Result<ExitCode> {
    let settings = edge::settings::from(arguments, |name| std::env::var(name).ok())?;
    crate::logging::start(&settings.log_level)?;
    for note in &settings.notes {
        tracing::info!("{note}");
    }
    let running = edge::start(settings.config, until_signal()?).await?;
    let edge::Running { http, https, app_id, stats, join } = running;
    tracing::info!(?http, ?https, ?app_id, %stats, "the edge is up");
    join.await?;
    Ok(ExitCode::SUCCESS)
}

/// Prints what HAProxy would be told.
pub(super) async fn render(arguments: Vec<String>) -> anyhow::Result<ExitCode> {
    let (files, arguments): (Vec<_>, Vec<_>) =
        arguments.into_iter().partition(|argument| argument.starts_with("--apps="));
    let file = files.last().and_then(|argument| argument.strip_prefix("--apps="));
    let settings = edge::settings::from(arguments, |name| std::env::var(name).ok())?;
    let config = settings.config;
    let rendered = match file.map(PathBuf::from) {
        Some(path) => {
            let text = std::fs::read(&path);
            let text = text.with_context(|| format!("cannot read {}", path.display()))?;
            edge::render::of_json(&config, &text).await?
        }
        None => edge::render::of_marathon(&config).await?,
    };
    for reported in &rendered.problems {
        eprintln!("{}: {}", reported.app, reported.problem);
    }
    std::io::stdout().write_all(rendered.text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
