//! Work inside the namespace that is balanced.

use std::fs::File;
use std::io;
use std::path::Path;

use nix::sched::{CloneFlags, setns};

/// Runs `work` where the sockets that it opens belong to `namespace`: on a thread of its own,
/// which ends with it. Without a namespace, in the process's own.
pub(super) async fn inside<T: Send + 'static>(
    namespace: Option<&str>,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let path = namespace.map(|name| Path::new("/run/netns").join(name));
    let (done, result) = tokio::sync::oneshot::channel();
    std::thread::Builder::new().name("network".to_owned()).spawn(move || {
        let enter = || match path {
            None => Ok(()),
            Some(path) => Ok(setns(File::open(path)?, CloneFlags::CLONE_NEWNET)?),
        };
        // Whoever waited may have left.
        let _ = done.send(enter().and_then(|()| work()));
    })?;
    result.await.unwrap_or_else(|_| Err(io::Error::other("the thread ended")))
}

/// The interfaces that there are.
pub(super) fn links() -> io::Result<std::collections::BTreeSet<String>> {
    let text = std::fs::read_to_string("/proc/thread-self/net/dev")?;
    let names = text.lines().filter_map(|line| Some(line.split_once(':')?.0.trim()));
    // Rules cannot quote what else a name may have.
    let plain = |name: &&str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.@".contains(&b))
    };
    Ok(names.filter(|name| *name != "lo").filter(plain).map(str::to_owned).collect())
}
