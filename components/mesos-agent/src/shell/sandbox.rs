//! Making and deleting the directories that containers live in.

use nix::unistd::{Uid, User, chown};
use std::{
    fs::{self, DirBuilder, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, PermissionsExt, symlink},
    path::Path,
};

/// Makes a sandbox: for its user only, and linked as the executor's latest.
pub(super) fn create(directory: &Path, user: Option<&str>) -> Result<(), String> {
    let failed =
        |error: io::Error| format!("Failed to create sandbox '{}': {error}", directory.display());
    let runs = directory.parent().unwrap_or(directory);
    let make = || DirBuilder::new().mode(0o750).create(directory);
    match make() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(runs).map_err(failed)?;
            make().map_err(failed)?;
        }
        other => other.map_err(failed)?,
    }
    fs::set_permissions(directory, Permissions::from_mode(0o750)).map_err(failed)?;
    if let Some(user) = user
        && Uid::effective().is_root()
    {
        let found = User::from_name(user).ok().flatten();
        let owner = found.ok_or_else(|| format!("No such user '{user}'"))?;
        chown(directory, Some(owner.uid), Some(owner.gid)).map_err(|error| failed(error.into()))?;
    }
    link_latest(directory, runs).map_err(failed)
}

fn link_latest(directory: &Path, runs: &Path) -> io::Result<()> {
    let Some(name) = directory.file_name() else { return Ok(()) };
    let latest = runs.join("latest");
    match symlink(name, &latest) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_file(&latest)?;
            symlink(name, &latest)
        }
        other => other,
    }
}

/// Deletes directories; answers how many went and how many could not.
pub(super) fn remove(paths: &[impl AsRef<Path>]) -> (u64, u64) {
    let (mut succeeded, mut failed) = (0, 0);
    for path in paths {
        let path = path.as_ref();
        match fs::remove_dir_all(path) {
            Ok(()) => succeeded += 1,
            Err(error) if error.kind() == io::ErrorKind::NotFound => succeeded += 1,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "cannot delete a directory");
                failed += 1;
            }
        }
        // The parents of the last one are of no use to anybody.
        let mut parent = path.parent();
        while let Some(dir) = parent
            && matches!(
                dir.file_name().and_then(|name| name.to_str()),
                Some("runs" | "executors" | "frameworks")
            )
            && only_link_left(dir)
            && fs::remove_dir(dir).is_ok()
        {
            parent = dir.parent();
        }
    }
    (succeeded, failed)
}

/// Whether a directory is empty but for a link that leads nowhere, which is removed.
fn only_link_left(dir: &Path) -> bool {
    let Ok(entries) = fs::read_dir(dir) else { return false };
    let mut entries = entries.filter_map(Result::ok);
    match (entries.next(), entries.next()) {
        (None, _) => true,
        (Some(link), None) if link.file_name() == "latest" && !link.path().exists() => {
            fs::remove_file(link.path()).is_ok()
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sandbox_is_private_and_the_latest() {
        let dir = tempfile::tempdir().unwrap();
        let runs = dir.path().join("frameworks/f/executors/e/runs");
        create(&runs.join("one"), None).unwrap();
        create(&runs.join("two"), None).unwrap();
        let mode = fs::metadata(runs.join("two")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o750);
        assert_eq!(fs::read_link(runs.join("latest")).unwrap(), Path::new("two"));
        assert_eq!(remove(&[runs.join("one")]), (1, 0));
        assert!(runs.exists());
        assert_eq!(remove(&[runs.join("two")]), (1, 0));
        assert!(!runs.exists(), "nothing is left to link to");
    }
}
