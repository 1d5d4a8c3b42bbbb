//! Where a URI's content comes from, and under which name it lands in the sandbox.

use std::path::{Component, Path, PathBuf};

/// Where content comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Local(PathBuf),
    Http(String),
}

/// What the suffix of a name says about its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Tar,
    TarGz,
    TarBz2,
    TarXz,
    Zip,
    /// One compressed file.
    Gz,
}

impl Source {
    pub(crate) fn of(uri: &str, frameworks_home: Option<&Path>) -> Result<Self, String> {
        if uri.is_empty() {
            return Err("the URI is empty".to_owned());
        }
        if uri.chars().any(char::is_control) {
            return Err("the URI holds control characters".to_owned());
        }
        if let Some(path) = uri.strip_prefix("file://") {
            let path = path.strip_prefix("localhost").unwrap_or(path);
            if !path.starts_with('/') {
                return Err("a file URI needs an absolute path".to_owned());
            }
            return Ok(Self::Local(path.into()));
        }
        let lower = uri.to_ascii_lowercase();
        if lower.starts_with("http://") || lower.starts_with("https://") {
            return Ok(Self::Http(uri.to_owned()));
        }
        if let Some((scheme, _)) = uri.split_once("://") {
            return Err(format!("the scheme '{scheme}' is not supported"));
        }
        if uri.starts_with('/') {
            return Ok(Self::Local(uri.into()));
        }
        frameworks_home.map(|home| Self::Local(home.join(uri))).ok_or_else(|| {
            "the path is relative, and the agent has no frameworks home to start from".to_owned()
        })
    }
}

/// The path below the sandbox at which the content lands.
pub(crate) fn destination(uri: &str, output_file: Option<&str>) -> Result<PathBuf, String> {
    if let Some(output_file) = output_file {
        return check_below(output_file)
            .map_err(|reason| format!("the output file '{output_file}' {reason}"));
    }
    let name = basename(uri).ok_or_else(|| "the URI has no path to take a name from".to_owned())?;
    check_below(name).map_err(|reason| format!("the URI's name '{name}' {reason}"))
}

/// A query stays part of the name, as the original has it.
fn basename(uri: &str) -> Option<&str> {
    let path = match uri.split_once("://") {
        Some((_, rest)) => rest.split_once('/')?.1,
        None => uri.trim_end_matches('/'),
    };
    path.rsplit('/').next().filter(|name| !name.is_empty())
}

/// Normalized; refused when it is absolute or leads out.
fn check_below(path: &str) -> Result<PathBuf, &'static str> {
    if path.contains('\0') {
        return Err("holds a zero byte");
    }
    let mut below = PathBuf::new();
    for component in Path::new(path).components() {
        match component {
            Component::Normal(name) => below.push(name),
            Component::CurDir => {}
            Component::ParentDir => return Err("must be below the sandbox, without '..'"),
            Component::RootDir | Component::Prefix(_) => {
                return Err("must be relative to the sandbox");
            }
        }
    }
    if below.as_os_str().is_empty() { Err("names nothing") } else { Ok(below) }
}

impl Format {
    pub(crate) fn of(name: &Path) -> Option<Self> {
        let name = name.file_name()?.to_str()?;
        const SUFFIXES: [(&str, Format); 9] = [
            (".tar.gz", Format::TarGz),
            (".tgz", Format::TarGz),
            (".tar.bz2", Format::TarBz2),
            (".tbz2", Format::TarBz2),
            (".tar.xz", Format::TarXz),
            (".txz", Format::TarXz),
            (".tar", Format::Tar),
            (".zip", Format::Zip),
            (".gz", Format::Gz),
        ];
        let (_, format) = SUFFIXES.iter().find(|(suffix, _)| name.ends_with(suffix))?;
        Some(*format)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes_are_told_apart() {
        let of = |uri| Source::of(uri, None);
        assert_eq!(of("/a/b"), Ok(Source::Local("/a/b".into())));
        assert_eq!(of("file:///a/b"), Ok(Source::Local("/a/b".into())));
        assert_eq!(of("file://localhost/a"), Ok(Source::Local("/a".into())));
        assert_eq!(of("HTTP://h/x"), Ok(Source::Http("HTTP://h/x".to_owned())));
        for wrong in ["", "ftp://h/x", "hdfs://h/x", "a/b", "file://x", "http://h/\n"] {
            assert!(of(wrong).is_err(), "{wrong:?}");
        }
        let home = Source::of("a/b", Some(Path::new("/home")));
        assert_eq!(home, Ok(Source::Local("/home/a/b".into())));
        assert_eq!(of("ftp://h/x").unwrap_err(), "the scheme 'ftp' is not supported");
    }

    #[test]
    fn a_destination_is_below_the_sandbox() {
        for (uri, name) in [
            ("http://h/a/b.tgz", "b.tgz"),
            ("http://h/b.tgz?x=1", "b.tgz?x=1"),
            ("/a/b", "b"),
            ("/a/b/", "b"),
            ("b", "b"),
        ] {
            assert_eq!(destination(uri, None), Ok(name.into()));
        }
        for uri in ["http://h", "http://h/", "http://h/a/", "/", "http://h/..", "/.."] {
            assert!(destination(uri, None).is_err(), "{uri}");
        }
        assert_eq!(destination("x", Some("a/./b")), Ok("a/b".into()));
        for output in ["/a", "../a", "a/../../b", "", ".", "a\0"] {
            assert!(destination("x", Some(output)).is_err(), "{output:?}");
        }
    }

    #[test]
    fn suffixes_name_formats() {
        let of = |name| Format::of(Path::new(name));
        assert_eq!(of("a.tar"), Some(Format::Tar));
        assert_eq!(of("a.tgz"), Some(Format::TarGz));
        assert_eq!(of("x/a.tar.gz"), Some(Format::TarGz));
        assert_eq!(of("a.gz"), Some(Format::Gz));
        assert_eq!(of("a.tbz2"), of("a.tar.bz2"));
        assert_eq!(of("a.txz"), of("a.tar.xz"));
        assert_eq!(of("a.zip"), Some(Format::Zip));
        assert_eq!(of("a.zip?x"), None);
        assert_eq!(of("a.bz2"), None);
    }
}
