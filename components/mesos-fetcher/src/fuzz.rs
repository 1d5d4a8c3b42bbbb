//! What the fuzzer calls; not for others.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use crate::{helper::Extractor, job::Limits};

static NUMBER: AtomicU64 = AtomicU64::new(0);

/// Unpacks an archive, whose first byte picks the format, and panics when anything of it is outside
/// the directory it belongs in.
pub fn archive(data: &[u8]) {
    let Some((format, content)) = data.split_first() else {
        return;
    };
    let name =
        ["a.tar", "a.tar.gz", "a.tar.bz2", "a.tar.xz", "a.zip", "a.gz"][usize::from(*format) % 6];
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let base =
        std::env::temp_dir().join(format!("dais-fuzz-archive-{}-{number}", std::process::id()));
    let (sandbox, beside) = (base.join("sandbox"), base.join("beside"));
    // What cannot be set up cannot be judged.
    let prepared = fs::create_dir_all(&sandbox)
        .and_then(|()| fs::create_dir(&beside))
        .and_then(|()| fs::write(beside.join("precious"), "unchanged"))
        .and_then(|()| store(&base.join("archive"), content))
        .and_then(|archive| Ok((archive, File::open(&sandbox)?)));
    if let Ok((archive, dir)) = prepared {
        let limits = Limits { entries: 1000, bytes: 1 << 20 };
        let _ = Extractor::new(&dir.into(), limits).extract(Path::new(name), &archive);
        check(&base, &sandbox, &beside);
    }
    let _ = fs::remove_dir_all(&base);
}

fn store(path: &Path, content: &[u8]) -> std::io::Result<File> {
    File::create(path)?.write_all(content)?;
    File::open(path)
}

fn check(base: &Path, sandbox: &Path, beside: &Path) {
    let mut found = names(base);
    found.sort();
    assert_eq!(found, ["archive", "beside", "sandbox"], "beside the sandbox");
    assert_eq!(names(beside), ["precious"], "outside the sandbox");
    let precious = fs::read_to_string(beside.join("precious"));
    assert_eq!(precious.ok().as_deref(), Some("unchanged"), "outside the sandbox");
    check_links(sandbox, &fs::canonicalize(sandbox).unwrap_or_default());
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// No link in the sandbox may resolve to something outside.
fn check_links(dir: &Path, sandbox: &PathBuf) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => check_links(&path, sandbox),
            Ok(kind) if kind.is_symlink() => {
                if let Ok(target) = fs::canonicalize(&path) {
                    assert!(target.starts_with(sandbox), "{} leads out", path.display());
                }
            }
            _ => {}
        }
    }
}
