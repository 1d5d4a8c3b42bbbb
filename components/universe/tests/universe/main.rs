//! The public Universe: every revision is read, found, shown and rendered.
//!
//! Needs the document in `DAIS_UNIVERSE`, or beside the workspace; without it every test says
//! so and passes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod found;
mod rendered;

use std::io::Read;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use universe::{Collection, Limits, Repository, Source};

const FILE: &str = "shared/data/universe/repo-up-to-2.0.json.gz";

/// The document, unpacked; none where it is absent.
fn document() -> Option<Arc<[u8]>> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../..").join(FILE);
    let path = std::env::var_os("DAIS_UNIVERSE").map_or(beside, PathBuf::from);
    let Ok(packed) = std::fs::read(&path) else {
        println!("skipped: no Universe at {}", path.display());
        return None;
    };
    let mut document = Vec::new();
    flate2::read::GzDecoder::new(packed.as_slice()).read_to_end(&mut document).unwrap();
    Some(Arc::from(document))
}

fn collection() -> Option<&'static Collection> {
    static COLLECTION: OnceLock<Option<Collection>> = OnceLock::new();
    let read = || {
        let repository = Arc::new(Repository::parse(document()?, &Limits::default()).unwrap());
        let faults: Vec<String> = repository.faults.iter().map(ToString::to_string).collect();
        assert_eq!(faults, Vec::<String>::new());
        Some(Collection::new(vec![Source { uri: "http://universe/repo".to_owned(), repository }]))
    };
    COLLECTION.get_or_init(read).as_ref()
}
