//! One download for many.

use std::{fs, io::Write};

use mesos_messages::v1::command_info::Uri;

use super::{Bench, cached, server::Server};

#[tokio::test]
async fn a_cached_uri_is_downloaded_once() {
    let (bench, server) = (Bench::new(), Server::start());
    for id in ["one", "two"] {
        let renamed = Uri { output_file: Some("again".to_owned()), ..cached(server.url("hello")) };
        bench.fetch(id, vec![cached(server.url("hello")), renamed]).await.unwrap();
        for name in ["hello", "again"] {
            assert_eq!(fs::read_to_string(bench.sandbox(id).join(name)).unwrap(), "hello");
        }
    }
    assert_eq!(server.count("GET /hello"), 1);
    assert_eq!(bench.cached_files(), 1);
}

#[tokio::test]
async fn concurrent_fetches_share_a_download() {
    let (bench, server) = (Bench::new(), Server::start());
    let fetches: Vec<_> = (0..8)
        .map(|number| {
            // Each other's downloads, in every order.
            let mut uris = vec![cached(server.url("slow")), cached(server.url("hello"))];
            uris.rotate_left(number % 2);
            let request = bench.request(&format!("c{number}"), uris);
            let fetcher = bench.fetcher.clone();
            tokio::spawn(async move { fetcher.fetch(request).await })
        })
        .collect();
    for fetch in fetches {
        fetch.await.unwrap().unwrap();
    }
    for number in 0..8 {
        let sandbox = bench.sandbox(&format!("c{number}"));
        assert_eq!(fs::read_to_string(sandbox.join("slow")).unwrap(), "slow");
    }
    assert_eq!((server.count("GET /slow"), server.count("GET /hello")), (1, 1));
}

#[tokio::test]
async fn what_does_not_fit_goes_past_the_cache() {
    let bench = Bench::with(|config| config.cache_size = 1000);
    let server = Server::start();
    bench.fetch("c", vec![cached(server.url("large"))]).await.unwrap();
    assert_eq!(fs::metadata(bench.sandbox("c").join("large")).unwrap().len(), 100_000);
    assert_eq!(bench.cached_files(), 0);
    for name in ["a", "b"] {
        let path = bench.file(name, &[b'x'; 600]);
        bench.fetch(name, vec![cached(path)]).await.unwrap();
        assert!(bench.sandbox(name).join(name).exists());
    }
    assert_eq!(bench.cached_files(), 1, "the first made room for the second");
}

#[tokio::test]
async fn a_failed_download_fails_all_and_leaves_nothing() {
    let (bench, server) = (Bench::new(), Server::start());
    let error = bench.fetch("c", vec![cached(server.url("missing"))]).await.unwrap_err();
    assert!(error.contains("the server answered with status 404"), "{error}");
    assert_eq!(bench.cached_files(), 0);
}

#[tokio::test]
async fn the_cache_starts_empty() {
    let bench = Bench::new();
    let path = bench.file("x", b"x");
    bench.fetch("c", vec![cached(path)]).await.unwrap();
    assert_eq!(bench.cached_files(), 1);
    let config = mesos_fetcher::FetcherConfig::new(bench.dir.path().join("cache"), super::HELPER);
    mesos_fetcher::Fetcher::new(config).unwrap();
    assert_eq!(bench.cached_files(), 0);
}

#[tokio::test]
async fn a_cached_archive_is_extracted_from_the_cache() {
    let bench = Bench::new();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(b"text").unwrap();
    let path = bench.file("a.gz", &encoder.finish().unwrap());
    for id in ["one", "two"] {
        bench.fetch(id, vec![cached(&path)]).await.unwrap();
        assert_eq!(fs::read_to_string(bench.sandbox(id).join("a")).unwrap(), "text");
        assert!(!bench.sandbox(id).join("a.gz").exists(), "it was not needed there");
    }
}
