//! Opening a page in a browser.

use crate::terminal::Environment;
use http::Uri;
use std::process::{Command, Stdio};

/// Whether there is a screen to open one on.
pub(super) fn can_open(env: &Environment) -> bool {
    cfg!(target_os = "macos") || env.first(&["BROWSER", "DISPLAY", "WAYLAND_DISPLAY"]).is_some()
}

/// Opens a page; false when it certainly did not work.
pub(super) fn open(env: &Environment, url: &str) -> bool {
    // The URL comes from the cluster: nothing but a web page is opened for it.
    let page = url.parse::<Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some()
    });
    if !page || !can_open(env) {
        return false;
    }
    let program = env
        .get("BROWSER")
        .unwrap_or_else(|| if cfg!(target_os = "macos") { "open" } else { "xdg-open" }.to_owned());
    let quiet = Stdio::null;
    let child =
        Command::new(program).arg(url).stdin(quiet()).stdout(quiet()).stderr(quiet()).spawn();
    let Ok(mut child) = child else { return false };
    // Some stay until the browser ends; what they say of it later matters to nobody.
    std::thread::spawn(move || child.wait());
    true
}
