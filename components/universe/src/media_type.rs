//! Media types and their negotiation, as strict as the original's: parameters count.

use std::fmt;

/// The type of every document of a repository, without its version.
const REPOSITORY: &str = "vnd.dcos.universe.repo";
/// The type of one package, without its version.
const PACKAGE: &str = "vnd.dcos.universe.package";

/// A text that is no media type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Unable to parse MediaType for input: '{0}'")]
pub struct MediaTypeError(pub String);

/// `type/subtype+suffix;name=value`, lower case but for the values.
#[derive(Clone, Debug)]
pub struct MediaType {
    kind: String,
    subtype: String,
    suffix: Option<String>,
    parameters: Vec<(String, String)>,
}

// === impl MediaType ===

impl MediaType {
    /// `application/<name>+json;charset=utf-8;version=v<version>`.
    pub fn vendor(name: &str, version: u32) -> MediaType {
        let parameters = [("charset", "utf-8".to_owned()), ("version", format!("v{version}"))];
        MediaType {
            kind: "application".to_owned(),
            subtype: name.to_owned(),
            suffix: Some("json".to_owned()),
            parameters: parameters.map(|(name, value)| (name.to_owned(), value)).to_vec(),
        }
    }

    /// The type of a repository document.
    pub fn repository(version: u32) -> MediaType {
        MediaType::vendor(REPOSITORY, version)
    }

    /// The type of one package.
    pub fn package(version: u32) -> MediaType {
        MediaType::vendor(PACKAGE, version)
    }

    /// Reads one media type.
    pub fn parse(text: &str) -> Result<MediaType, MediaTypeError> {
        parse(text.trim()).ok_or_else(|| MediaTypeError(text.to_owned()))
    }

    /// Whether something of type `actual` is what is expected: the same type, with at least
    /// the parameters of this one.
    pub fn admits(&self, actual: &MediaType) -> bool {
        self.same_kind(actual)
            && self.essential().all(|(name, value)| actual.parameter(name) == Some(value))
    }

    /// Equal but for parameters.
    pub fn same_kind(&self, other: &MediaType) -> bool {
        self.kind == other.kind && self.subtype == other.subtype && self.suffix == other.suffix
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The parameters without the quality.
    fn essential(&self) -> impl Iterator<Item = (&str, &str)> {
        let all = self.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        all.filter(|(name, _)| *name != "q")
    }

    fn without_quality(&self) -> MediaType {
        let mut plain = self.clone();
        plain.parameters.retain(|(name, _)| name != "q");
        plain
    }

    /// The quality in thousandths. One that is malformed counts as absent, `0` without a
    /// decimal among them, as in the original.
    fn quality(&self) -> u32 {
        const ALL: u32 = 1000;
        let Some(text) = self.parameter("q") else { return ALL };
        let shaped = text.len() <= 5 && ("0.0"..="1.000").contains(&text);
        let first = text.as_bytes().first().is_some_and(|b| matches!(b, b'0' | b'1'));
        match text.parse::<f64>() {
            // Between 0 and 1, so that the conversion is exact.
            Ok(value) if shaped && first => (value * 1000.0).round() as u32,
            _ => ALL,
        }
    }

    fn is_any(&self) -> bool {
        self.kind == "*" && self.subtype == "*"
    }
}

impl PartialEq for MediaType {
    fn eq(&self, other: &MediaType) -> bool {
        self.same_kind(other)
            && self.parameters.len() == other.parameters.len()
            && self.parameters.iter().all(|(name, value)| other.parameter(name) == Some(value))
    }
}

impl Eq for MediaType {}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.subtype)?;
        if let Some(suffix) = &self.suffix {
            write!(f, "+{suffix}")?;
        }
        self.parameters.iter().try_for_each(|(name, value)| write!(f, ";{name}={value}"))
    }
}

fn parse(text: &str) -> Option<MediaType> {
    let (kind, rest) = text.split_once('/')?;
    let (subtype, mut rest) = match rest.find(';') {
        Some(end) => rest.split_at(end),
        None => (rest, ""),
    };
    let kind = token(kind)?;
    let subtype = token(subtype.trim_end())?;
    if kind == "*" && subtype != "*" {
        return None;
    }
    let mut parts = subtype.split('+');
    let (subtype, suffix) = (parts.next()?.to_owned(), parts.next().map(str::to_owned));
    if parts.next().is_some() || subtype.is_empty() || suffix.as_deref() == Some("") {
        return None;
    }
    let mut parameters: Vec<(String, String)> = Vec::new();
    while let Some(next) = rest.strip_prefix(';') {
        let (name, after) = next.trim_start().split_once('=')?;
        let name = token(name)?;
        let (value, after) = value(after)?;
        let value = if name == "charset" { value.to_ascii_lowercase() } else { value };
        if !parameters.iter().any(|(known, _)| *known == name) {
            parameters.push((name, value));
        }
        rest = after.trim_start();
    }
    rest.is_empty().then_some(MediaType { kind, subtype, suffix, parameters })
}

/// A parameter's value and what follows it.
fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(|c: char| c == ';' || c.is_ascii_whitespace()).unwrap_or(text.len());
        let (plain, rest) = text.split_at_checked(end)?;
        token(plain)?;
        return Some((plain.to_owned(), rest));
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, quoted.get(at + 1..)?)),
            '\\' => value.push(chars.next()?.1),
            other => value.push(other),
        }
    }
    None
}

fn token(text: &str) -> Option<String> {
    let special = |c: char| "()<>@,;:\\\"/[]?=".contains(c);
    let good = !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic() && !special(c));
    good.then(|| text.to_ascii_lowercase())
}

/// What a client takes, from its `Accept` header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accept(Vec<MediaType>);

// === impl Accept ===

impl Accept {
    /// Reads the header.
    pub fn parse(text: &str) -> Result<Accept, MediaTypeError> {
        let items = text.split(',').filter(|item| !item.trim().is_empty());
        let mut types = items.map(MediaType::parse).collect::<Result<Vec<_>, _>>()?;
        // The original lends a type without parameters those of the next one that has some.
        let mut lent: Vec<(String, String)> = Vec::new();
        for media in types.iter_mut().rev() {
            if media.parameters.is_empty() {
                media.parameters.clone_from(&lent);
            } else {
                lent.clone_from(&media.parameters);
            }
        }
        let mut distinct: Vec<MediaType> = Vec::new();
        for media in types {
            if !distinct.contains(&media) {
                distinct.push(media);
            }
        }
        Ok(Accept(distinct))
    }

    /// Which of `offered` the client wants most. The first type that fits at all must be equal
    /// to one of them: a client has to say the version. `*/*` takes the first.
    pub fn choose(&self, offered: &[MediaType]) -> Option<usize> {
        let mut wanted: Vec<&MediaType> = self.0.iter().filter(|m| m.quality() != 0).collect();
        let order = |m: &MediaType| {
            let parameters = std::cmp::Reverse(m.essential().count());
            let kind = (m.kind.clone(), m.subtype.clone(), m.suffix.clone());
            (std::cmp::Reverse(m.quality()), kind, parameters)
        };
        wanted.sort_by_cached_key(|m| order(m));
        let fits = |m: &&&MediaType| offered.iter().any(|offer| m.admits(offer));
        match wanted.iter().find(fits) {
            Some(best) => {
                let best = best.without_quality();
                offered.iter().position(|offer| *offer == best)
            }
            None => wanted.iter().any(|m| m.is_any() && !offered.is_empty()).then_some(0),
        }
    }
}

impl fmt::Display for Accept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let types: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&types.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered() -> Vec<MediaType> {
        [2, 1].map(|v| MediaType::vendor("vnd.dcos.package.install-response", v)).to_vec()
    }

    fn choose(accept: &str) -> Option<usize> {
        Accept::parse(accept).unwrap().choose(&offered())
    }

    #[test]
    fn types_are_read_and_printed() {
        for (text, printed) in [
            ("application/json", "application/json"),
            (" Application/JSON ; Charset=UTF-8 ", "application/json;charset=utf-8"),
            ("a/b+json;x=\"y z\"", "a/b+json;x=y z"),
            ("*/*;q=0.1", "*/*;q=0.1"),
        ] {
            assert_eq!(MediaType::parse(text).unwrap().to_string(), printed);
        }
        for bad in ["", "a", "a/", "/b", "a/b+c+d", "a/b;x", "a/b;x=", "*/b", "a b/c", "a/b;x=\"y"]
        {
            assert!(MediaType::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_version_decides() {
        let v1 = "application/vnd.dcos.package.install-response+json;charset=utf-8;version=v1";
        let v2 = "application/vnd.dcos.package.install-response+json;charset=utf-8;version=v2";
        assert_eq!(choose(v1), Some(1));
        assert_eq!(choose(v2), Some(0));
        assert_eq!(choose(&format!("{v1};q=0.5,{v2};q=0.9")), Some(0));
        assert_eq!(choose(&format!("{v1};q=0.9,{v2};q=0.5")), Some(1));
        assert_eq!(choose(&format!("{v1},{v2}")), Some(1));
        assert_eq!(choose(&format!("{v1};q=0.0")), None);
        // Malformed, and so the default, as in the original.
        assert_eq!(choose(&format!("{v1};q=0")), Some(1));
        assert_eq!(choose("application/vnd.dcos.package.install-response+json"), None);
        assert_eq!(choose("application/json"), None);
        assert_eq!(choose("*/*"), Some(0));
        assert_eq!(choose(""), None);
        assert_eq!(
            choose(&format!("application/vnd.dcos.package.install-response+json,{v1}")),
            Some(1)
        );
    }

    #[test]
    fn more_parameters_are_admitted() {
        let expected = MediaType::vendor("vnd.dcos.package.search-request", 1);
        let actual = |text: &str| expected.admits(&MediaType::parse(text).unwrap());
        assert!(actual(&expected.to_string()));
        assert!(actual(&format!("{expected};x=y")));
        assert!(!actual("application/vnd.dcos.package.search-request+json;charset=utf-8"));
        assert!(!actual("application/json;charset=utf-8;version=v1"));
    }
}
