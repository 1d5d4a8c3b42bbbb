//! The routes: what may be asked of a gateway, by whom, and where it leads.
//!
//! One table a role ([`master`], [`agent`]); nothing is served that stands in none. Everything
//! is decided by the one normalised path.

mod agent;
#[cfg(test)]
mod documented;
mod find;
mod master;

use crate::Role;

pub(crate) use find::{Found, Table};

/// One route.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Route {
    /// For metrics, logs and documents.
    pub(crate) name: &'static str,
    pub(crate) pattern: Pattern,
    pub(crate) access: Access,
    pub(crate) to: To,
    /// What stands in the place of the pattern's path when it is forwarded; absent keeps it.
    pub(crate) becomes: Option<&'static str>,
    pub(crate) edits: Edits,
    pub(crate) pace: Pace,
}

/// The paths of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pattern {
    /// This path alone.
    Exactly(&'static str),
    /// What is below this path; the path itself is redirected to the form with a slash.
    Below(&'static str),
    /// This path and what is below it.
    From(&'static str),
    /// Whatever no other route has.
    Rest,
}

/// Who may use a route. The action is always `full`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Everybody.
    Public,
    /// Whoever has a valid token.
    Token,
    /// Who has `full` on it.
    Rid(&'static str),
    /// Users for what is below `users/<uid>` of themselves; others as with [`Access::Rid`].
    SelfOr(&'static str),
    /// Programs on this host; others as with [`Access::Rid`].
    LocalOr(&'static str),
    /// Who has `full` on the service that the path leads to.
    Service,
    /// By the kind of what is asked for: logs, metrics or something else.
    System,
}

/// Where a route leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum To {
    Server(Server),
    /// The leading master.
    Master,
    /// The leading master, through a cache of 5 s.
    Cache,
    /// `/service/<name>/…`.
    Service,
    /// `/marathon/…`, the same as `/service/marathon/…`.
    Marathon,
    /// `/agent/<id>/…`.
    Agent,
    /// The gateway of an agent's host: `/system/v1/agent/<id>/…`.
    AgentGateway,
    /// The gateway of the leading master's host.
    MesosHost,
    /// The gateway of the leading Marathon's host.
    MarathonHost,
    /// The same with a slash at the end, by 307.
    WithSlash,
    /// What the gateway itself answers.
    Own(Own),
    /// Nothing that is for anybody outside.
    Nothing,
}

/// The servers that stand in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Server {
    Iam,
    Cosmos,
    MesosDns,
    Net,
    Diagnostics,
    Logs,
    Metrics,
    Checks,
    Pkgpanda,
    Exhibitor,
    UiUpdate,
}

/// What the gateway itself answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Own {
    Metrics,
    Status,
    Version,
    BuildInfo,
    MetadataFolder,
    Metadata,
    Login,
    /// Shows the token of a browser's session, to be copied.
    Token,
    /// The web page, or a list of what there is.
    Ui,
    Assets,
}

/// What is changed of requests and answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Edits {
    /// Whether `Authorization` goes on.
    pub(crate) authorization: bool,
    /// Whether `Accept-Encoding` goes on.
    pub(crate) encoding: bool,
    /// Whether the upstream sees the client's `Host`, or its own name.
    pub(crate) host: bool,
    /// Whether `Upgrade` goes through.
    pub(crate) upgrade: bool,
    /// Whether clients are told not to keep the answer.
    pub(crate) no_store: bool,
    /// Whether `Location` of the upstream is mapped to below the route.
    pub(crate) location: bool,
    /// Whether Exhibitor's credential is added.
    pub(crate) credential: bool,
}

/// How long things may take, and how large they may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// 1024 MiB, 60 s to the answer, 60 s between its pieces.
    Plain,
    /// As `Plain`, and the answer may go on for ever.
    Stream,
    /// As `Plain`, with 300 s.
    Slow,
    /// 32768 MiB, and the answer may go on for ever.
    Service,
    /// As `Service`, with 600 s to the answer.
    Unbuffered,
}

/// The routes of a role.
pub(crate) fn of(role: Role) -> &'static [Route] {
    match role {
        Role::Master => master::ROUTES,
        Role::Agent => agent::ROUTES,
    }
}

// === impl Pattern ===

impl Pattern {
    /// The path that begins (or is) all of its paths; empty for [`Pattern::Rest`].
    pub(crate) fn base(self) -> &'static str {
        match self {
            Pattern::Exactly(base) | Pattern::Below(base) | Pattern::From(base) => base,
            Pattern::Rest => "",
        }
    }
}

impl std::fmt::Display for Pattern {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Pattern::Exactly(base) => write!(out, "= {base}"),
            Pattern::Below(base) => write!(out, "{base}/"),
            Pattern::From(base) => write!(out, "{base}[/…]"),
            Pattern::Rest => write!(out, "/"),
        }
    }
}

// === impl Route ===

impl Route {
    /// A route that forwards path, query and headers as they came.
    const fn new(name: &'static str, pattern: Pattern, access: Access, to: To) -> Route {
        let edits = Edits {
            authorization: true,
            encoding: true,
            host: true,
            upgrade: false,
            no_store: false,
            location: false,
            credential: false,
        };
        Route { name, pattern, access, to, becomes: None, edits, pace: Pace::Plain }
    }

    const fn exactly(name: &'static str, path: &'static str, access: Access, to: To) -> Route {
        Route::new(name, Pattern::Exactly(path), access, to)
    }

    const fn below(name: &'static str, path: &'static str, access: Access, to: To) -> Route {
        Route::new(name, Pattern::Below(path), access, to)
    }

    const fn from(name: &'static str, path: &'static str, access: Access, to: To) -> Route {
        Route::new(name, Pattern::From(path), access, to)
    }

    const fn becomes(mut self, path: &'static str) -> Route {
        self.becomes = Some(path);
        self
    }

    const fn without_authorization(mut self) -> Route {
        self.edits.authorization = false;
        self
    }

    const fn without_encoding(mut self) -> Route {
        self.edits.encoding = false;
        self
    }

    const fn own_host(mut self) -> Route {
        self.edits.host = false;
        self
    }

    const fn upgradable(mut self) -> Route {
        self.edits.upgrade = true;
        self
    }

    const fn no_store(mut self) -> Route {
        self.edits.no_store = true;
        self
    }

    const fn mapped(mut self) -> Route {
        self.edits.location = true;
        self
    }

    const fn with_credential(mut self) -> Route {
        self.edits.credential = true;
        self
    }

    const fn pace(mut self, pace: Pace) -> Route {
        self.pace = pace;
        self
    }
}
