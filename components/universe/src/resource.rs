//! The URLs in a package's `resource`: which there are, and how clients reach them through us.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::Object;

/// What stays as it is in the value of a query.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

const ICONS: [&str; 3] = ["icon-small", "icon-medium", "icon-large"];
const PLATFORMS: [&str; 3] = ["linux", "windows", "darwin"];

/// How a client reached us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// `http` or `https`.
    pub scheme: String,
    /// Host, with the port where it was named.
    pub host: String,
    /// What stands before `/package/...`, without a slash at the end.
    pub prefix: String,
}

impl Origin {
    /// The URL under which a client gets what is at `url`. An image within the URL needs nobody
    /// to fetch it.
    pub fn through(&self, url: &str) -> String {
        if url.starts_with("data:") {
            return url.to_owned();
        }
        let Origin { scheme, host, prefix } = self;
        let encoded = utf8_percent_encode(url, PLAIN);
        format!("{scheme}://{host}{prefix}/package/resource?url={encoded}")
    }
}

/// Every URL of a `resource`: assets, images, programs.
pub fn urls(resource: &Object) -> Vec<String> {
    let mut found = Vec::new();
    let mut copy = resource.clone();
    each_url(&mut copy, &mut |url| found.push(url.clone()));
    found
}

/// Changes every URL of a definition such that it leads through `origin`.
pub fn rewrite(definition: &mut Object, origin: &Origin) {
    if let Some(resource) = definition.get_mut("resource").and_then(Value::as_object_mut) {
        each_url(resource, &mut |url| *url = origin.through(url));
    }
}

/// As [`rewrite`], for `resource.images` alone.
pub fn rewrite_images(images: &mut Value, origin: &Origin) {
    each_image(images, &mut |url| *url = origin.through(url));
}

fn each_url(resource: &mut Object, act: &mut impl FnMut(&mut String)) {
    if let Some(uris) = resource.get_mut("assets").and_then(|assets| assets.get_mut("uris")) {
        uris.as_object_mut().into_iter().flatten().for_each(|(_, uri)| text(uri, act));
    }
    if let Some(images) = resource.get_mut("images") {
        each_image(images, act);
    }
    let Some(binaries) = resource.get_mut("cli").and_then(|cli| cli.get_mut("binaries")) else {
        return;
    };
    for platform in PLATFORMS {
        let binary = binaries.get_mut(platform).and_then(|platform| platform.get_mut("x86-64"));
        if let Some(url) = binary.and_then(|binary| binary.get_mut("url")) {
            text(url, act);
        }
    }
}

fn each_image(images: &mut Value, act: &mut impl FnMut(&mut String)) {
    for icon in ICONS {
        if let Some(url) = images.get_mut(icon) {
            text(url, act);
        }
    }
    if let Some(shots) = images.get_mut("screenshots").and_then(Value::as_array_mut) {
        shots.iter_mut().for_each(|url| text(url, act));
    }
}

fn text(value: &mut Value, act: &mut impl FnMut(&mut String)) {
    if let Value::String(text) = value {
        act(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_url_leads_through_us() {
        let definition = json!({"resource": {
            "assets": {"uris": {"a": "http://a/x?y=1&z"}, "container": {"docker": {"i": "img:1"}}},
            "images": {"icon-small": "data:image/png;base64,AA", "screenshots": ["https://s/1"]},
            "cli": {"binaries": {"linux": {"x86-64": {"kind": "zip", "url": "http://c/l", "contentHash": []}}}},
        }});
        let mut definition = definition.as_object().unwrap().clone();
        let resource = definition["resource"].as_object().unwrap();
        let all = ["http://a/x?y=1&z", "data:image/png;base64,AA", "https://s/1", "http://c/l"];
        assert_eq!(urls(resource), all);
        let origin = Origin { scheme: "http".into(), host: "h:7070".into(), prefix: String::new() };
        rewrite(&mut definition, &origin);
        assert_eq!(
            definition["resource"],
            json!({
                "assets": {
                    "uris": {"a": "http://h:7070/package/resource?url=http%3A%2F%2Fa%2Fx%3Fy%3D1%26z"},
                    "container": {"docker": {"i": "img:1"}}
                },
                "images": {
                    "icon-small": "data:image/png;base64,AA",
                    "screenshots": ["http://h:7070/package/resource?url=https%3A%2F%2Fs%2F1"]
                },
                "cli": {"binaries": {"linux": {"x86-64": {
                    "kind": "zip",
                    "url": "http://h:7070/package/resource?url=http%3A%2F%2Fc%2Fl",
                    "contentHash": []
                }}}},
            })
        );
    }
}
