//! Logs on standard error, at a level that can be changed while running.

use http_kit::logging::LevelControl;
use std::{io, sync::Arc};
use tracing_subscriber::{
    EnvFilter, Registry, fmt, layer::SubscriberExt, reload, util::SubscriberInitExt,
};

/// Starts logging at `level` (a level or a filter such as `info,mesos_master=debug`), unless
/// `RUST_LOG` says otherwise. The control raises and lowers it later.
pub(crate) fn start(level: &str) -> anyhow::Result<LevelControl> {
    let text = std::env::var("RUST_LOG").unwrap_or_else(|_| level.to_owned());
    let filter: EnvFilter = text.parse()?;
    let (filter, handle) = reload::Layer::new(filter);
    let layer = fmt::layer().with_writer(io::stderr).with_target(true).with_ansi(is_terminal());
    Registry::default().with(filter).with(layer).init();
    let apply = move |verbosity: u32| {
        let text = match verbosity {
            0 => text.as_str(),
            1 => "debug",
            _ => "trace",
        };
        if let Ok(filter) = text.parse::<EnvFilter>() {
            // It fails only when logging has ended, with the process.
            let _ = handle.reload(filter);
        }
    };
    Ok(LevelControl::new(0, Arc::new(apply)))
}

fn is_terminal() -> bool {
    io::IsTerminal::is_terminal(&io::stderr())
}
