//! What each endpoint of a component needs.

use std::borrow::Cow;
use std::net::SocketAddr;

use http::{HeaderMap, Method};
use identity::{Action, check_rid};
use percent_encoding::percent_decode_str;

use super::{Guard, Principal, Refusal, Verdict};

/// What a row asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Nothing.
    Public,
    /// A token that counts; what else is needed, the endpoint finds out and asks for itself
    /// with [`Guard::permit`].
    Authenticated,
    /// The permission to do `action` with the resource; `{name}` in its id stands for what the
    /// path has there.
    Permission { rid: &'static str, action: Action },
}

/// The rule for some methods of some paths.
///
/// A pattern is a path. `{name}` takes one segment of it, `{name*}` at least one and all up to
/// what follows in the pattern, and a last `**` any number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// None means any. `GET` covers `HEAD`.
    pub methods: &'static [&'static str],
    pub pattern: &'static str,
    pub rule: Rule,
}

impl Row {
    pub const fn public(methods: &'static [&'static str], pattern: &'static str) -> Row {
        Row { methods, pattern, rule: Rule::Public }
    }

    pub const fn authenticated(methods: &'static [&'static str], pattern: &'static str) -> Row {
        Row { methods, pattern, rule: Rule::Authenticated }
    }

    pub const fn needs(
        methods: &'static [&'static str],
        pattern: &'static str,
        rid: &'static str,
        action: Action,
    ) -> Row {
        Row { methods, pattern, rule: Rule::Permission { rid, action } }
    }

    fn has_method(&self, method: &Method) -> bool {
        let named = |name: &str| self.methods.contains(&name);
        self.methods.is_empty()
            || named(method.as_str())
            || (*method == Method::HEAD && named("GET"))
    }
}

/// The rows of a component; the first that fits counts.
#[derive(Clone, Debug, Default)]
pub struct Table {
    rows: Cow<'static, [Row]>,
}

/// The row of a request.
#[derive(Debug, PartialEq, Eq)]
pub struct Found<'t> {
    pub row: &'t Row,
    /// The resource, where the row asks for a permission.
    pub rid: Option<String>,
}

// === impl Table ===

impl Table {
    pub const fn new(rows: &'static [Row]) -> Table {
        Table { rows: Cow::Borrowed(rows) }
    }

    pub fn from_rows(rows: Vec<Row>) -> Table {
        Table { rows: Cow::Owned(rows) }
    }

    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The row for a request. The path is as the request has it, without its query; escapes are
    /// decoded (an escaped slash separates like another) and empty segments left out. A path
    /// that climbs or has control characters fits no row.
    pub fn find(&self, method: &Method, path: &str) -> Option<Found<'_>> {
        let path = percent_decode_str(path).decode_utf8().ok()?;
        if path.chars().any(char::is_control) {
            return None;
        }
        let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
        if segments.iter().any(|segment| matches!(*segment, "." | "..")) {
            return None;
        }
        self.rows.iter().filter(|row| row.has_method(method)).find_map(|row| {
            let captured = fit(row.pattern, &segments)?;
            let rid = match row.rule {
                // A name that makes the id malformed fits no resource.
                Rule::Permission { rid, .. } => Some(fill(rid, &captured)?),
                Rule::Public | Rule::Authenticated => None,
            };
            Some(Found { row, rid })
        })
    }

    /// Whether the request goes on. One that fits no row does not, whoever it is from.
    pub fn judge(
        &self,
        guard: &Guard,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
        peer: SocketAddr,
    ) -> Verdict {
        match self.decide(guard, method, path, headers, peer) {
            Ok(who) => Verdict::Allowed(who),
            Err(refusal) => Verdict::Refused(refusal.response()),
        }
    }

    /// As [`Table::judge`], for components that render refusals themselves.
    pub fn decide(
        &self,
        guard: &Guard,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
        peer: SocketAddr,
    ) -> Result<Option<Principal>, Refusal> {
        if guard.mode() == super::Mode::Disabled {
            return Ok(None);
        }
        let Some(found) = self.find(method, path) else {
            // Who may come at all is told that there is nothing for them.
            guard.identify(headers, peer)?;
            return Err(Refusal::Forbidden);
        };
        match (found.row.rule, found.rid) {
            (Rule::Public, _) => Ok(None),
            (Rule::Permission { action, .. }, Some(rid)) => {
                let who = guard.identify(headers, peer)?;
                guard.permit(who.as_ref(), &rid, action)?;
                Ok(who)
            }
            _ => guard.identify(headers, peer),
        }
    }
}

type Captured<'p> = Vec<(&'static str, Cow<'p, str>)>;

fn fit<'p>(pattern: &'static str, segments: &[&'p str]) -> Option<Captured<'p>> {
    let mut captured = Vec::new();
    let mut rest = segments;
    let mut parts = pattern.split('/').filter(|part| !part.is_empty());
    while let Some(part) = parts.next() {
        if part == "**" {
            return Some(captured);
        }
        if let Some(name) = part.strip_prefix('{').and_then(|part| part.strip_suffix("*}")) {
            let after = parts.clone().filter(|part| *part != "**").count();
            let taken = rest.len().checked_sub(after).filter(|taken| *taken > 0)?;
            let (many, others) = rest.split_at_checked(taken)?;
            captured.push((name, many.join("/").into()));
            rest = others;
            continue;
        }
        let (segment, others) = rest.split_first()?;
        match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
            Some(name) => captured.push((name, Cow::Borrowed(*segment))),
            None if part == *segment => {}
            None => return None,
        }
        rest = others;
    }
    rest.is_empty().then_some(captured)
}

fn fill(template: &str, captured: &Captured<'_>) -> Option<String> {
    let mut rid = String::with_capacity(template.len() + 32);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}')?;
        let (_, value) = captured.iter().find(|(known, _)| *known == name)?;
        if value.contains(':') {
            return None;
        }
        rid.push_str(before);
        rid.push_str(value);
        rest = after;
    }
    rid.push_str(rest);
    check_rid(&rid).is_ok().then_some(rid)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: Table = Table::new(&[
        Row::public(&["GET"], "/ping"),
        Row::authenticated(&[], "/"),
        Row::needs(&["GET"], "/v2/apps", "m:services:/", Action::Read),
        Row::needs(&["GET"], "/v2/apps/{id*}/versions", "m:services:/{id}", Action::Read),
        Row::needs(&["GET"], "/v2/apps/{id*}", "m:services:/{id}", Action::Update),
        Row::needs(&["POST", "GET"], "/agents/{agent}/x", "m:agent:{agent}", Action::Full),
        Row::needs(&[], "/files/**", "m:files", Action::Read),
    ]);

    fn rid(method: &str, path: &str) -> Option<(&'static str, String)> {
        let table: &'static Table = Box::leak(Box::new(TABLE));
        let found = table.find(&method.parse().unwrap(), path)?;
        Some((found.row.pattern, found.rid.unwrap_or_default()))
    }

    #[test]
    fn rows_are_found() {
        for (method, path, pattern, expected) in [
            ("GET", "/ping", "/ping", ""),
            ("HEAD", "/ping/", "/ping", ""),
            ("PATCH", "//", "/", ""),
            ("GET", "/v2/apps", "/v2/apps", "m:services:/"),
            ("GET", "/v2/apps/a/b", "/v2/apps/{id*}", "m:services:/a/b"),
            ("GET", "/v2/apps//a%2Fb/versions", "/v2/apps/{id*}/versions", "m:services:/a/b"),
            ("GET", "/v2/apps/versions", "/v2/apps/{id*}", "m:services:/versions"),
            ("POST", "/agents/s-1/x", "/agents/{agent}/x", "m:agent:s-1"),
            ("PUT", "/files", "/files/**", "m:files"),
            ("PUT", "/files/a/b/c", "/files/**", "m:files"),
        ] {
            assert_eq!(rid(method, path), Some((pattern, expected.to_owned())), "{method} {path}");
        }
        for (method, path) in [
            ("POST", "/ping"),
            ("GET", "/pin"),
            ("GET", "/ping/x"),
            ("GET", "/v2/apps/../ping"),
            ("GET", "/v2/apps/%2e%2E/x"),
            ("GET", "/v2/apps/a%00"),
            ("GET", "/v2/apps/%ff"),
            ("GET", "/v2/apps/a%20b"),
            ("GET", "/agents/s:superuser/x"),
            ("GET", "/agents/s-1"),
        ] {
            assert_eq!(rid(method, path), None, "{method} {path}");
        }
    }
}
