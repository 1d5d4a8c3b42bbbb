//! What a request's query asks for.

use http_kit::query::decode;

/// More pairs than any request has; what follows is not looked at.
const MAX_PAIRS: usize = 1024;

/// Decoded pairs, in their order; names may come more than once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn parse(text: &str) -> Self {
        let pairs = text.split('&').filter(|pair| !pair.is_empty()).take(MAX_PAIRS);
        let pairs = pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        });
        Self(pairs.collect())
    }

    /// The first value of a name.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// Every value of a name.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// A truth value, however it is capitalised: Python's clients write `True`.
    pub(crate) fn flag(&self, name: &str, default: bool) -> bool {
        self.get(name).map_or(default, |value| value.eq_ignore_ascii_case("true"))
    }

    /// What is to be embedded: repeated, or several with commas.
    pub(crate) fn embeds(&self) -> impl Iterator<Item = &str> {
        self.all("embed").flat_map(|value| value.split(',')).map(str::trim)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_and_lists() {
        let query = Query::parse("force=True&scale=false&embed=a,b&embed=c&wipe&label=a%3D%3Db");
        assert!(query.flag("force", false) && !query.flag("scale", true));
        assert!(!query.flag("wipe", true) && query.flag("none", true));
        assert_eq!(query.embeds().collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(query.get("label"), Some("a==b"));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read(text in ".*") {
            Query::parse(&text).embeds().for_each(drop);
        }
    }
}
