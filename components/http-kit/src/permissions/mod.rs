//! Which permission each endpoint of a component asks for: one table a component.
//!
//! The rows that judge requests are the rows that people review: a test walks every one of them,
//! and what has no row is refused.

mod caller;

use std::fmt;

use http::Method;
use identity::Action;

use crate::guard::Refusal;

pub use caller::{Caller, Sight};

/// A permission: a resource, and what is done with it. What stands in braces in the resource is
/// filled in with what the request names: `dcos:mesos:master:framework:role:{role}`.
pub type Ask = (&'static str, Action);

/// What an endpoint asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Nothing, whoever asks; and why.
    Public(&'static str),
    /// A valid token of anybody; and why that is enough.
    Login(&'static str),
    /// A valid token; of what is listed only that is shown for which there is this permission.
    Filtered(Ask),
    /// Each of these permissions.
    Each(&'static [Ask]),
}

/// One endpoint, or one kind of call of an endpoint that takes several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Methods separated by blanks; `*` is any. HEAD goes with GET.
    pub methods: &'static str,
    /// The endpoint as it is registered, not as it is asked for: paths that differ and mean the
    /// same cannot be judged differently.
    pub path: &'static str,
    /// Which call, where the body says so; else empty.
    pub call: &'static str,
    /// What it asks for.
    pub need: Need,
}

/// All rows of a component.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// Whose.
    pub component: &'static str,
    /// In order: the first that fits counts.
    pub rows: &'static [Row],
}

// === impl Row ===

impl Row {
    /// A row of an endpoint.
    pub const fn new(methods: &'static str, path: &'static str, need: Need) -> Row {
        Row { methods, path, call: "", need }
    }

    /// A row of one kind of call of an endpoint.
    pub const fn call(path: &'static str, call: &'static str, need: Need) -> Row {
        Row { methods: "POST", path, call, need }
    }

    fn takes(&self, method: &Method) -> bool {
        let method = if *method == Method::HEAD { "GET" } else { method.as_str() };
        self.methods == "*" || self.methods.split(' ').any(|known| known == method)
    }

    /// Whether only the endpoint itself can judge, once it has read what the request names.
    pub fn is_judged_inside(&self) -> bool {
        !self.call.is_empty()
            || matches!(self.need, Need::Each(asks) if asks.iter().any(|(rid, _)| rid.contains('{')))
    }

    /// Judges `caller`; `named` is what the resource's braces stand for.
    pub fn judge(&self, caller: &Caller, named: &str) -> Result<(), Refusal> {
        match self.need {
            Need::Public(_) => Ok(()),
            Need::Login(_) | Need::Filtered(_) => caller.require_known(),
            Need::Each(asks) => {
                asks.iter().try_for_each(|(rid, action)| require(caller, rid, *action, named))
            }
        }
    }
}

fn require(caller: &Caller, rid: &str, action: Action, named: &str) -> Result<(), Refusal> {
    match rid.split_once('{') {
        None => caller.require(rid, action),
        Some(_) => caller.require(&filled(rid, named), action),
    }
}

/// A resource with what its braces stand for. The name must not look like further parts of the
/// resource: a permission on `role:a` says nothing about a role called `a:b`.
pub fn filled(rid: &str, named: &str) -> String {
    let (Some((before, rest)), true) = (rid.split_once('{'), !named.is_empty()) else {
        // Of nobody in particular: whoever may with all of them may.
        return rid.split(":{").next().unwrap_or(rid).to_owned();
    };
    let after = rest.split_once('}').map_or("", |(_, after)| after);
    let mut out = String::with_capacity(before.len() + named.len() + after.len());
    out.push_str(before);
    identity::push_part(&mut out, named);
    out.push_str(after);
    out
}

// === impl Table ===

impl Table {
    /// The row of an endpoint, or of a call of it.
    pub fn row(&self, method: &Method, path: &str, call: &str) -> Option<&'static Row> {
        self.rows.iter().find(|row| row.path == path && row.call == call && row.takes(method))
    }

    /// Whether there is any row of an endpoint.
    pub fn knows(&self, path: &str) -> bool {
        self.rows.iter().any(|row| row.path == path)
    }

    /// What is judged before the endpoint sees the request. What has no row is refused, also to
    /// those who may do everything: somebody forgot it.
    pub fn judge_door(&self, method: &Method, path: &str, caller: &Caller) -> Result<(), Refusal> {
        match self.row(method, path, "") {
            Some(row) if row.is_judged_inside() => caller.require_known(),
            Some(row) => row.judge(caller, ""),
            None if self.rows.iter().any(|row| row.path == path && !row.call.is_empty()) => {
                caller.require_known()
            }
            None => self.forgotten(path, ""),
        }
    }

    /// Whether the endpoint is open to whoever asks.
    pub fn is_public(&self, method: &Method, path: &str) -> bool {
        self.row(method, path, "").is_some_and(|row| matches!(row.need, Need::Public(_)))
    }

    /// What an endpoint asks once it knows which call it is, and what is named.
    pub fn judge_call(
        &self,
        method: &Method,
        path: &str,
        call: &str,
        caller: &Caller,
        named: &str,
    ) -> Result<(), Refusal> {
        match self.row(method, path, call) {
            Some(row) => row.judge(caller, named),
            None => self.forgotten(path, call),
        }
    }

    fn forgotten(&self, path: &str, call: &str) -> Result<(), Refusal> {
        tracing::error!(component = self.component, path, call, "no row says who may");
        Err(Refusal::Forbidden)
    }
}

// === impl Display ===

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Need::Public(why) => write!(f, "public: {why}"),
            Need::Login(why) => write!(f, "any login: {why}"),
            Need::Filtered((rid, action)) => {
                write!(f, "any login, filtered by {rid} {}", action.name())
            }
            Need::Each(asks) => {
                for (number, (rid, action)) in asks.iter().enumerate() {
                    if number > 0 {
                        f.write_str(", ")?;
                    }
                    write!(f, "{rid} {}", action.name())?;
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: Table = Table {
        component: "test",
        rows: &[
            Row::new("GET", "/a", Need::Public("a test")),
            Row::new("*", "/a", Need::Each(&[("r:a", Action::Update)])),
            Row::call("/api", "READ", Need::Each(&[("r:{name}", Action::Read)])),
        ],
    };

    #[test]
    fn the_first_row_that_fits_counts() {
        let row = |method, path, call| TABLE.row(&method, path, call).map(|row| row.need);
        assert_eq!(row(Method::GET, "/a", ""), Some(Need::Public("a test")));
        assert_eq!(row(Method::HEAD, "/a", ""), Some(Need::Public("a test")));
        assert!(matches!(row(Method::PUT, "/a", ""), Some(Need::Each(_))));
        assert_eq!(row(Method::GET, "/a/b", ""), None);
        assert_eq!(row(Method::POST, "/api", "WRITE"), None);
        assert!(TABLE.knows("/api") && !TABLE.knows("/"));
    }

    #[test]
    fn names_cannot_pass_for_parts_of_a_resource() {
        for (named, rid) in [
            ("web", "r:web"),
            ("a:b", "r:a%3Ab"),
            ("a%3Ab", "r:a%253Ab"),
            ("a b\\", "r:a%20b%5C"),
            ("/dev/a", "r:/dev/a"),
            ("é", "r:%C3%A9"),
            ("", "r"),
        ] {
            assert_eq!(filled("r:{name}", named), rid, "{named:?}");
        }
        assert_eq!(filled("r:{name}:x", "a"), "r:a:x");
    }

    #[test]
    fn without_a_row_nobody_passes() {
        let (nobody, free) = (Caller::nobody(), Caller::free());
        for (method, path) in [(Method::POST, "/b"), (Method::GET, "/a/")] {
            assert!(TABLE.judge_door(&method, path, &nobody).is_err());
        }
        assert!(TABLE.judge_door(&Method::GET, "/a", &nobody).is_ok());
        assert!(TABLE.judge_call(&Method::POST, "/api", "WRITE", &nobody, "x").is_err());
        assert!(TABLE.judge_call(&Method::POST, "/api", "WRITE", &free, "x").is_err());
        assert!(TABLE.judge_door(&Method::POST, "/b", &free).is_err(), "even on this machine");
        assert!(TABLE.judge_call(&Method::POST, "/api", "READ", &free, "x").is_ok());
    }
}
