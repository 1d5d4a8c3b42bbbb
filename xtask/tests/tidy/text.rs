//! Rules about the text of files.

use crate::{Source, assert_none, root, source, sources};

const MOST_LINES: usize = 1000;

/// Written in halves: this file must pass too.
const FORBIDDEN_IN_RUST: [(&str, &str); 4] = [
    (concat!("to", "do!("), "finish it, or refuse with an error that says so"),
    (concat!("unimple", "mented!("), "finish it, or refuse with an error that says so"),
    (concat!("FIX", "ME"), "mend it, or describe the limit in docs/"),
    (concat!("#[ign", "ore]"), "say why: #[ignore = \"...\"]"),
];

/// Paths of one developer's machine mean nothing to the next.
const FORBIDDEN_ANYWHERE: [&str; 6] = [
    concat!("/wo", "rk/wt"),
    concat!("/wo", "rk/main"),
    concat!("/wo", "rk/shared"),
    concat!("/wo", "rk/tmp"),
    concat!("/wo", "rk/target"),
    concat!("/ro", "ot/.cargo"),
];

fn lines(sources: &[Source]) -> impl Iterator<Item = (&Source, usize, &str)> {
    sources
        .iter()
        .flat_map(|s| s.text.lines().enumerate().map(move |(number, line)| (s, number + 1, line)))
}

#[test]
fn no_file_is_too_long() {
    let sources = sources();
    let long = sources.iter().filter(|s| s.is_rust() && s.text.lines().count() > MOST_LINES);
    let what = format!("has more than {MOST_LINES} lines");
    assert_none(&long.map(|s| s.violation(MOST_LINES, &what)).collect::<Vec<_>>());
}

#[test]
fn every_rust_file_says_what_it_is() {
    let sources = sources();
    let silent = sources.iter().filter(|s| s.is_rust() && !s.text.starts_with("//!"));
    let what = "does not open with a `//!` line";
    assert_none(&silent.map(|s| s.violation(1, what)).collect::<Vec<_>>());
}

#[test]
fn nothing_is_left_open() {
    let sources = sources();
    let mut violations = Vec::new();
    for (file, number, line) in lines(&sources).filter(|(file, ..)| file.is_rust()) {
        for (word, instead) in FORBIDDEN_IN_RUST {
            if line.contains(word) {
                violations.push(file.violation(number, &format!("{word} - {instead}")));
            }
        }
    }
    assert_none(&violations);
}

#[test]
fn no_machine_is_named() {
    let sources = sources();
    let mut violations = Vec::new();
    for (file, number, line) in lines(&sources) {
        for path in FORBIDDEN_ANYWHERE.iter().filter(|path| line.contains(**path)) {
            violations.push(file.violation(number, &format!("names {path}")));
        }
    }
    assert_none(&violations);
}

#[test]
fn white_space_is_in_order() {
    let sources = sources();
    let mut violations = Vec::new();
    for (file, number, line) in lines(&sources) {
        if line.ends_with([' ', '\t', '\r']) {
            violations.push(file.violation(number, "ends with white space"));
        }
    }
    let open = sources.iter().filter(|s| !s.text.is_empty() && !s.text.ends_with('\n'));
    violations.extend(open.map(|s| s.violation(s.text.lines().count(), "lacks the last newline")));
    assert_none(&violations);
}

#[test]
fn the_book_is_complete() {
    let sources = sources();
    let summary = source(&sources, "docs/SUMMARY.md");
    let pages = sources.iter().filter_map(|s| s.path.strip_prefix("docs/"));
    let pages = pages.filter(|page| page.ends_with(".md") && *page != "SUMMARY.md");
    let unlinked = pages.filter(|page| !summary.text.contains(&format!("({page})")));
    let mut violations: Vec<_> =
        unlinked.map(|page| summary.violation(1, &format!("does not link {page}"))).collect();
    for (file, number, line) in lines(&sources).filter(|(file, ..)| file.path.ends_with(".md")) {
        violations.extend(dead_links(file, number, line));
    }
    assert_none(&violations);
}

/// Relative links that lead nowhere.
fn dead_links(file: &Source, number: usize, line: &str) -> Vec<String> {
    let folder = root().join(&file.path).parent().unwrap().to_owned();
    let links = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let files = links.filter_map(|link| link.split('#').next());
    let local = files.filter(|link| !link.is_empty() && !link.contains("://"));
    let dead = local.filter(|link| !folder.join(link).exists());
    dead.map(|link| file.violation(number, &format!("links to {link}, which is not there")))
        .collect()
}
