//! How lines are bound to each other.

use ring::digest::{SHA256, digest};
use serde_json::{Map, Value};

/// What stands for the hash of the line before the very first.
pub(super) const NOTHING: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// What stands between the content of a line and its hash.
const BEFORE_HASH: &str = ",\"hash\":\"";
const AFTER_HASH: &str = "\"}";
const HEX: usize = 64;

/// Where the chain has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// The number of the last line.
    pub(super) number: u64,
    pub(super) hash: String,
}

/// A line as it was found.
pub(super) struct Found {
    pub(super) number: u64,
    pub(super) hash: String,
    /// Of the first line of a file: the hash it goes on from.
    pub(super) previous: Option<String>,
    content: String,
}

// === impl Head ===

impl Head {
    pub(super) fn beginning() -> Head {
        Head { number: 0, hash: NOTHING.to_owned() }
    }

    /// The next line, newline included, and the head with it.
    pub(super) fn line(&self, content: Map<String, Value>) -> (Head, String) {
        let number = self.number + 1;
        let mut all = Map::with_capacity(content.len() + 1);
        all.insert("number".to_owned(), number.into());
        all.extend(content);
        let content = Value::Object(all).to_string();
        let hash = hash(&self.hash, &content);
        let open = content.strip_suffix('}').unwrap_or(&content);
        let line = format!("{open}{BEFORE_HASH}{hash}{AFTER_HASH}\n");
        (Head { number, hash }, line)
    }
}

// === impl Found ===

impl Found {
    /// Takes a line apart; `None` when it is none of ours.
    pub(super) fn parse(line: &str) -> Option<Found> {
        let rest = line.strip_suffix(AFTER_HASH)?;
        let at = rest.len().checked_sub(HEX)?;
        let (rest, hash) = (rest.get(..at)?, rest.get(at..)?);
        if !hash.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            return None;
        }
        let content = format!("{}}}", rest.strip_suffix(BEFORE_HASH)?);
        let fields: Map<String, Value> = serde_json::from_str(&content).ok()?;
        let number = fields.get("number")?.as_u64()?;
        let previous = fields.get("previous").and_then(Value::as_str).map(str::to_owned);
        Some(Found { number, hash: hash.to_owned(), previous, content })
    }

    /// Whether this line, as it is, follows the one before.
    pub(super) fn follows(&self, before: &Head) -> bool {
        self.number == before.number + 1 && hash(&before.hash, &self.content) == self.hash
    }

    pub(super) fn head(&self) -> Head {
        Head { number: self.number, hash: self.hash.clone() }
    }
}

fn hash(previous: &str, content: &str) -> String {
    let text = format!("{previous}\n{content}");
    digest(&SHA256, text.as_bytes()).as_ref().iter().map(|b| format!("{b:02x}")).collect()
}
