//! Search and rendering over the whole public Universe, where its document is at hand.
use std::{io::Read, path::PathBuf, sync::Arc, time::Instant};

use anyhow::{Context, Result};
use universe::{
    collection::{Collection, Source},
    render,
    repository::{Limits, Repository},
};

use crate::table::{Row, percentile, seconds};

const URI: &str = "https://universe.example.com/repo";

fn document() -> Option<PathBuf> {
    let named = std::env::var_os("DAIS_UNIVERSE").map(PathBuf::from);
    let usual = || {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        root.join("../../../shared/data/universe/repo-up-to-2.0.json.gz")
    };
    Some(named.unwrap_or_else(usual)).filter(|path| path.exists())
}

/// Nothing but a remark where there is no document.
pub(crate) fn run() -> Result<Vec<Row>> {
    let Some(path) = document() else {
        return Ok(vec![Row::new("the Universe", "skipped: no document")]);
    };
    let packed = std::fs::read(&path)?;
    let mut document = Vec::new();
    flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut document)?;
    let started = Instant::now();
    let repository = Repository::parse(Arc::from(document), &Limits::default())?;
    let parsed = started.elapsed().as_secs_f64();
    let revisions = repository.packages.len();
    let mut rows = vec![Row::new(format!("{revisions} revisions parsed"), seconds(parsed))];

    let mut rendered = Vec::new();
    let mut apps = 0;
    for package in &repository.packages {
        let started = Instant::now();
        let app = render::marathon_app(package, URI, None, None);
        rendered.push(started.elapsed().as_secs_f64());
        apps += usize::from(matches!(app, Ok(Some(_))));
    }
    let total: f64 = rendered.iter().sum();
    rows.push(Row::new(
        format!("all rendered with default options, {apps} to apps"),
        seconds(total),
    ));
    rows.push(Row::new("... one of them, median", seconds(percentile(&rendered, 0.5))));
    rows.push(Row::new("... one of them, p99", seconds(percentile(&rendered, 0.99))));

    let source = Source { uri: URI.to_owned(), repository: Arc::new(repository) };
    let started = Instant::now();
    let collection = Collection::new(vec![source]);
    rows.push(Row::new("made into a collection", seconds(started.elapsed().as_secs_f64())));
    for query in [None, Some("kafka"), Some("*data*")] {
        let mut times = Vec::new();
        let mut found = 0;
        for _ in 0..100 {
            let started = Instant::now();
            found = collection.search(query).len();
            times.push(started.elapsed().as_secs_f64());
        }
        let what = query.map_or_else(|| "everything".to_owned(), |query| format!("{query:?}"));
        let figure = seconds(percentile(&times, 0.5));
        rows.push(Row::new(format!("search for {what}: {found} packages"), figure));
    }
    rows.first().context("no rows")?;
    Ok(rows)
}
