//! Archives as they come, and archives that mean harm.

use std::{
    fs,
    io::{Cursor, Write},
    os::unix::fs::{PermissionsExt, symlink},
};

use proptest::prelude::*;
use tar::{Builder, EntryType, Header};

use super::*;

const LIMITS: Limits = Limits { entries: 100, bytes: 1 << 20 };

/// A sandbox, and something outside that must stay as it is.
struct Place {
    _dir: tempfile::TempDir,
    sandbox: PathBuf,
    outside: PathBuf,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (sandbox, outside) = (dir.path().join("sandbox"), dir.path().join("outside"));
        fs::create_dir(&sandbox).unwrap();
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("precious"), "unchanged").unwrap();
        Self { _dir: dir, sandbox, outside }
    }

    fn extract(&self, name: &str, content: &[u8]) -> Result<u64, String> {
        self.extract_with(LIMITS, name, content)
    }

    fn extract_with(&self, limits: Limits, name: &str, content: &[u8]) -> Result<u64, String> {
        let path = self._dir.path().join("archive");
        fs::write(&path, content).unwrap();
        let sandbox = File::open(&self.sandbox).unwrap().into();
        let result = Extractor::new(&sandbox, limits)
            .extract(Path::new(name), &File::open(&path).unwrap())
            .map_err(|error| error.to_string());
        fs::remove_file(path).unwrap();
        self.check();
        result
    }

    fn check(&self) {
        let precious = fs::read_to_string(self.outside.join("precious")).unwrap();
        assert_eq!(precious, "unchanged");
        assert_eq!(fs::read_dir(&self.outside).unwrap().count(), 1);
        assert_eq!(fs::read_dir(self._dir.path()).unwrap().count(), 2);
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.sandbox.join(path)).unwrap()
    }

    fn mode(&self, path: &str) -> u32 {
        fs::metadata(self.sandbox.join(path)).unwrap().permissions().mode() & 0o7777
    }
}

/// One entry, with a name the library would not write.
fn entry(out: &mut Builder<Vec<u8>>, kind: EntryType, name: &str, link: &str, content: &str) {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(0o755);
    header.set_size(content.len() as u64);
    let raw = header.as_old_mut();
    raw.name[..name.len()].copy_from_slice(name.as_bytes());
    raw.linkname[..link.len()].copy_from_slice(link.as_bytes());
    header.set_cksum();
    out.append(&header, content.as_bytes()).unwrap();
}

fn tarball(entries: &[(EntryType, &str, &str, &str)]) -> Vec<u8> {
    let mut out = Builder::new(Vec::new());
    for (kind, name, link, content) in entries {
        entry(&mut out, *kind, name, link, content);
    }
    out.into_inner().unwrap()
}

fn file<'a>(name: &'a str, content: &'a str) -> (EntryType, &'a str, &'a str, &'a str) {
    (EntryType::Regular, name, "", content)
}

fn link<'a>(name: &'a str, target: &'a str) -> (EntryType, &'a str, &'a str, &'a str) {
    (EntryType::Symlink, name, target, "")
}

fn compress(with: &str, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match with {
        "gz" => {
            let mut encoder = flate2::write::GzEncoder::new(&mut out, flate2::Compression::fast());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap();
        }
        "bz2" => {
            let mut encoder = bzip2::write::BzEncoder::new(&mut out, bzip2::Compression::fast());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap();
        }
        _ => {
            let mut encoder = liblzma::write::XzEncoder::new(&mut out, 1);
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap();
        }
    }
    out
}

fn zipped(entries: &[(&str, u32, &str)]) -> Vec<u8> {
    let mut out = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, mode, content) in entries {
        let options = zip::write::SimpleFileOptions::default().unix_permissions(*mode);
        if mode & 0o170_000 == 0o120_000 {
            out.add_symlink(*name, *content, options).unwrap();
        } else {
            out.start_file(*name, options).unwrap();
            out.write_all(content.as_bytes()).unwrap();
        }
    }
    out.finish().unwrap().into_inner()
}

#[test]
fn every_format_is_unpacked() {
    let content = tarball(&[
        (EntryType::Directory, "dir/", "", ""),
        file("dir/file", "text"),
        link("dir/link", "file"),
        link("up/link", "../dir/file"),
        (EntryType::Link, "hard", "dir/file", ""),
    ]);
    for (name, archive) in [
        ("a.tar", content.clone()),
        ("a.tgz", compress("gz", &content)),
        ("a.tar.gz", compress("gz", &content)),
        ("a.tbz2", compress("bz2", &content)),
        ("a.tar.bz2", compress("bz2", &content)),
        ("a.txz", compress("xz", &content)),
        ("a.tar.xz", compress("xz", &content)),
    ] {
        let place = Place::new();
        assert_eq!(place.extract(name, &archive), Ok(5), "{name}");
        for path in ["dir/file", "dir/link", "up/link", "hard"] {
            assert_eq!(place.read(path), "text", "{name} {path}");
        }
        assert_eq!(place.mode("dir/file"), 0o755);
        // Over what is there.
        assert_eq!(place.extract(name, &archive), Ok(5), "{name}");
    }
    let place = Place::new();
    assert_eq!(place.extract("sub/a.gz", &compress("gz", b"text")), Ok(1));
    assert_eq!(place.read("a"), "text");
    let archive =
        zipped(&[("d/run", 0o755, "x"), ("plain", 0o644, "y"), ("l", 0o120_777, "d/run")]);
    assert_eq!(place.extract("a.zip", &archive), Ok(3));
    assert_eq!(
        (place.read("d/run"), place.read("l"), place.mode("d/run")),
        ("x".into(), "x".into(), 0o755)
    );
}

#[test]
fn names_longer_than_a_header_has_room_for() {
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(120));
    let mut gnu = Builder::new(Vec::new());
    let mut header = Header::new_gnu();
    header.set_size(4);
    header.set_mode(0o644);
    gnu.append_data(&mut header, &long, &b"text"[..]).unwrap();
    let mut pax = Builder::new(Vec::new());
    pax.append_pax_extensions([("path", long.as_bytes())]).unwrap();
    entry(&mut pax, EntryType::Regular, "short", "", "text");
    for archive in [gnu.into_inner().unwrap(), pax.into_inner().unwrap()] {
        let place = Place::new();
        assert_eq!(place.extract("a.tar", &archive), Ok(1));
        assert_eq!(place.read(&long), "text");
    }
    let mut pax = Builder::new(Vec::new());
    pax.append_pax_extensions([("path", &b"../out"[..])]).unwrap();
    entry(&mut pax, EntryType::Regular, "short", "", "text");
    let error = Place::new().extract("a.tar", &pax.into_inner().unwrap()).unwrap_err();
    assert_eq!(error, "entry '../out' leads out of the sandbox by '..'");
}

#[test]
fn what_leaves_the_sandbox_is_refused_by_name() {
    let out = "outside/precious";
    for (entries, message) in [
        (vec![file("../outside/precious", "x")], "'../outside/precious' leads out"),
        (vec![file("a/../../outside/precious", "x")], "leads out of the sandbox by '..'"),
        (vec![file("/etc/passwd", "x")], "'/etc/passwd' has an absolute path"),
        (vec![link("l", "/etc")], "'l' is a link to an absolute path"),
        (vec![link("l", "../outside")], "'l' is a link that leads out of the sandbox"),
        (vec![link("d/l", "../../outside")], "'d/l' is a link that leads out"),
        (vec![link("a", "."), link("b", "a/..")], "'b' is a link with '..' inside"),
        (vec![link("l", "d"), file("l/x", "x")], "'l' is a link or no directory"),
        (
            vec![(EntryType::Link, "h", "../outside/precious", "")],
            "'../outside/precious' leads out",
        ),
        (vec![(EntryType::Link, "h", "/etc/passwd", "")], "has an absolute path"),
        (vec![(EntryType::Link, "h", "missing", "")], "entry 'h': No such file"),
        (vec![link("l", "x"), (EntryType::Link, "h", "l", "")], "not a regular file"),
        (vec![(EntryType::Char, "dev", "", "")], "'dev' is a device"),
        (vec![(EntryType::Block, "dev", "", "")], "'dev' is a device"),
        (vec![(EntryType::Fifo, "pipe", "", "")], "'pipe' is a named pipe"),
        (vec![(EntryType::new(b'Q'), "odd", "", "")], "'odd' is of an unknown type"),
    ] {
        let place = Place::new();
        let error = place.extract("a.tar", &tarball(&entries)).unwrap_err();
        assert!(error.contains(message), "{out}: {error}");
    }
    for (entries, message) in [
        (vec![("../x", 0o644, "x")], "leads out"),
        (vec![("/x", 0o644, "x")], "has an absolute path"),
        (vec![("l", 0o120_777, "/etc")], "is a link to an absolute path"),
        (vec![("l", 0o120_777, "../outside")], "is a link that leads out"),
        (vec![("l", 0o120_777, "d"), ("l/x", 0o644, "x")], "is a link or no directory"),
    ] {
        let error = Place::new().extract("a.zip", &zipped(&entries)).unwrap_err();
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn a_link_in_the_sandbox_is_replaced_and_not_written_through() {
    let place = Place::new();
    symlink(place.outside.join("precious"), place.sandbox.join("file")).unwrap();
    symlink(&place.outside, place.sandbox.join("dir")).unwrap();
    assert_eq!(place.extract("a.tar", &tarball(&[file("file", "new")])), Ok(1));
    assert_eq!(place.read("file"), "new");
    let error = place.extract("a.tar", &tarball(&[file("dir/new", "x")])).unwrap_err();
    assert!(error.contains("'dir' is a link"), "{error}");
    let error = place.extract("dir.gz", &compress("gz", b"x"));
    assert_eq!(error, Ok(1), "the link itself is replaced");
    assert_eq!(place.read("dir"), "x");
}

#[test]
fn a_hard_link_is_not_written_through_either() {
    let place = Place::new();
    fs::write(place.sandbox.join("mine"), "old").unwrap();
    let archive = tarball(&[(EntryType::Link, "h", "mine", ""), file("h", "new")]);
    assert_eq!(place.extract("a.tar", &archive), Ok(2));
    assert_eq!((place.read("mine"), place.read("h")), ("old".to_owned(), "new".to_owned()));
}

#[test]
fn a_directory_is_not_replaced_by_a_file() {
    let place = Place::new();
    fs::create_dir(place.sandbox.join("d")).unwrap();
    let error = place.extract("a.tar", &tarball(&[file("d", "x")])).unwrap_err();
    assert!(error.contains("a directory is in its place"), "{error}");
}

#[test]
fn the_bits_of_other_rights_are_dropped_and_modes_come_last() {
    let mut out = Builder::new(Vec::new());
    for (kind, name, mode) in
        [(EntryType::Directory, "d/", 0o555), (EntryType::Regular, "d/suid", 0o6755)]
    {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_path(name).unwrap();
        header.set_mode(mode);
        header.set_size(0);
        header.set_cksum();
        out.append(&header, &b""[..]).unwrap();
    }
    let place = Place::new();
    assert_eq!(place.extract("a.tar", &out.into_inner().unwrap()), Ok(2));
    assert_eq!((place.mode("d"), place.mode("d/suid")), (0o555, 0o755));
}

#[test]
fn limits_hold() {
    let place = Place::new();
    let few = Limits { entries: 2, ..LIMITS };
    let three = tarball(&[file("a", ""), file("b", ""), file("c", "")]);
    let error = place.extract_with(few, "a.tar", &three).unwrap_err();
    assert_eq!(error, "it holds more than 2 entries");
    let small = Limits { bytes: 1000, ..LIMITS };
    let bomb = vec![0; 1_000_000];
    let text = String::from_utf8(bomb.clone()).unwrap();
    for (name, archive) in [
        ("a.gz", compress("gz", &bomb)),
        ("a.tar.xz", compress("xz", &tarball(&[file("a", &text)]))),
        ("a.zip", zipped(&[("a", 0o644, &text)])),
    ] {
        let error = place.extract_with(small, name, &archive).unwrap_err();
        assert_eq!(error, "it holds more than 1000 bytes", "{name}");
    }
    let mut endless_name = Builder::new(Vec::new());
    entry(&mut endless_name, EntryType::GNULongName, "x", "", &"n".repeat(2_000_000));
    let error = place.extract("a.tar", &endless_name.into_inner().unwrap()).unwrap_err();
    assert_eq!(error, "it is damaged: an extended header is too large");
}

#[test]
fn what_is_no_archive_is_damaged() {
    for name in ["a.tar", "a.tgz", "a.tbz2", "a.txz", "a.zip", "a.gz"] {
        let error = Place::new().extract(name, b"this is not an archive, however long it gets");
        assert!(error.is_err(), "{name}");
    }
    let cut = &compress("gz", &tarball(&[file("a", &"x".repeat(10_000))]))[..40];
    assert!(Place::new().extract("a.tgz", cut).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn nothing_escapes_from_made_up_archives(
        entries in proptest::collection::vec(
            (0_u8..4, "[ab./]{1,6}", "[ab./]{1,6}"), 1..8
        )
    ) {
        let kinds = [EntryType::Regular, EntryType::Directory, EntryType::Symlink, EntryType::Link];
        let entries: Vec<_> = entries
            .iter()
            .map(|(kind, name, link)| (kinds[usize::from(*kind)], name.as_str(), link.as_str(), ""))
            .collect();
        let mut data = vec![0];
        data.extend(tarball(&entries));
        crate::fuzz::archive(&data);
    }

    #[test]
    fn no_bytes_are_too_strange(data in proptest::collection::vec(any::<u8>(), 0..600)) {
        crate::fuzz::archive(&data);
    }
}
