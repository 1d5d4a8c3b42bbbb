//! The folder of a cluster, which only one process may use at a time.

use anyhow::{Context, bail};
use nix::fcntl::{Flock, FlockArg};
use std::{
    env,
    fs::{self, File, Permissions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// An opened data directory; others are kept out until it is dropped, or the process ends.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    _lock: Flock<File>,
}

// === impl DataDir ===

impl DataDir {
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(path)
            .with_context(|| format!("cannot make the data directory {}", path.display()))?;
        // The agents hand paths below it to processes with other working directories.
        let path = path.canonicalize()?;
        let lock = lock(&path)?;
        Ok(Self { path, _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

fn lock(path: &Path) -> anyhow::Result<Flock<File>> {
    let name = path.join("lock");
    let file = File::options().read(true).write(true).create(true).truncate(false).open(&name);
    let file = file.with_context(|| format!("cannot open {}", name.display()))?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(mut lock) => {
            lock.set_len(0)?;
            write!(lock, "{}", std::process::id())?;
            Ok(lock)
        }
        Err((mut file, nix::errno::Errno::EWOULDBLOCK)) => {
            let mut pid = String::new();
            let _ = file.read_to_string(&mut pid);
            let pid = if pid.is_empty() { "unknown" } else { pid.as_str() };
            bail!(
                "{} is in use by another dais (process {pid}); stop that one, \
                 or use another folder with --data-dir",
                path.display()
            )
        }
        Err((_, error)) => bail!("cannot lock {}: {error}", name.display()),
    }
}

/// Makes a folder below the data directory that nobody else looks into. Not for agents: tasks of
/// other users have to pass through theirs.
pub(crate) fn make_private(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    // One of an earlier version may be open to everybody.
    if fs::metadata(path)?.permissions().mode() & 0o077 != 0 {
        fs::set_permissions(path, Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Where a cluster lives unless told otherwise on the command line.
pub(crate) fn default_path() -> Option<PathBuf> {
    if let Some(path) = env::var_os("DAIS_DATA_DIR").filter(|path| !path.is_empty()) {
        return Some(PathBuf::from(path));
    }
    let folder = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = folder("XDG_STATE_HOME");
    let base = state.or_else(|| folder("HOME").map(|home| home.join(".local/share")))?;
    Some(base.join("dais"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_services_are_their_owners_also_old_ones() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (folder.path().join("old"), folder.path().join("a/new"));
        fs::create_dir(&old).unwrap();
        fs::set_permissions(&old, Permissions::from_mode(0o755)).unwrap();
        for path in [old, new] {
            make_private(&path).unwrap();
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        }
    }

    #[test]
    fn only_one_may_use_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let first = DataDir::open(&folder.path().join("data")).unwrap();
        let error = DataDir::open(first.path()).unwrap_err().to_string();
        assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
        let path = first.path().to_owned();
        drop(first);
        DataDir::open(&path).unwrap();
    }
}
