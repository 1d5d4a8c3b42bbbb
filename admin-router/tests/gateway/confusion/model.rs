//! What should become of a request, said independently of the gateway's own code: no type and no
//! function of it is used here.

/// Who has what. Everybody else has nothing.
pub(super) const USERS: [&str; 3] = ["admin", "dev", "ops"];

/// What a route needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    Public,
    Token,
    Rid(&'static str),
    SelfOr(&'static str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Exactly,
    Below,
    From,
}

/// Where a request should end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// At this upstream, with this path (decoded).
    Upstream {
        name: &'static str,
        path: String,
        need: Need,
    },
    /// The path is none.
    Wrong(&'static str),
    Unauthenticated,
    Forbidden,
    /// The gateway answers itself.
    Own,
}

/// Base, what it needs, the upstream (empty: the gateway itself), what the base becomes.
type Route = (Kind, &'static str, Need, &'static str, Option<&'static str>);

const MESOS: Need = Need::Rid("ops:mesos");
const PACKAGE: Need = Need::Rid("package");

const ROUTES: &[Route] = &[
    (Kind::Below, "/mesos", MESOS, "mesos", Some("")),
    (Kind::Below, "/cache/master", MESOS, "mesos", Some("/master")),
    (Kind::From, "/agent", Need::Rid("ops:slave"), "agent", None),
    (Kind::From, "/slave", Need::Rid("ops:slave"), "agent", None),
    (Kind::Below, "/service", Need::Token, "service", None),
    (Kind::Exactly, "/marathon", Need::Public, "", None),
    (Kind::Below, "/marathon", Need::Rid("service:marathon"), "marathon", Some("")),
    (Kind::Below, "/package", PACKAGE, "cosmos", None),
    (Kind::Below, "/cosmos/service", PACKAGE, "cosmos", Some("/service")),
    (Kind::From, "/capabilities", Need::Token, "cosmos", None),
    (Kind::From, "/acs/api/v1/internal", Need::Public, "", None),
    (Kind::Below, "/acs/api/v1/auth", Need::Public, "iam", None),
    (Kind::From, "/acs/api/v1", Need::SelfOr("acs"), "iam", None),
    (Kind::Below, "/auth", Need::Public, "iam", Some("/acs/api/v1/auth")),
    (Kind::Exactly, "/ca/dcos-ca.crt", Need::Public, "iam", None),
    (Kind::Exactly, "/ca/api/v2/info", Need::Rid("ops:ca:ro"), "iam", None),
    (Kind::Below, "/ca/api/v2", Need::Rid("ops:ca:rw"), "iam", None),
    (Kind::Below, "/exhibitor", Need::Rid("ops:exhibitor"), "exhibitor", Some("")),
    (
        Kind::Exactly,
        "/exhibitor/exhibitor/v1/cluster/status",
        Need::Public,
        "exhibitor",
        Some("/exhibitor/v1/cluster/status"),
    ),
];

/// The services: their names, and whether they are asked for the rest of the path alone.
pub(super) const SERVICES: [(&str, &str, bool); 4] = [
    ("app", "app", true),
    ("other", "other", false),
    ("team/db", "db", true),
    ("marathon", "marathon", true),
];

/// The only agent that there is.
pub(super) const AGENT: &str = "a1-S0";

/// Whether a user has `full` on a resource of the gateway.
pub(super) fn may(user: &str, rid: &str) -> bool {
    match user {
        "admin" => true,
        "dev" => rid == "service:app",
        "ops" => rid == "ops:mesos",
        _ => false,
    }
}

/// Decodes once and resolves: the path as text, and the query.
pub(super) fn read<'a>(
    target: &'a [u8],
    host: &str,
) -> Result<(String, Option<&'a [u8]>), &'static str> {
    if !target.iter().all(u8::is_ascii_graphic) {
        return Err("a byte that is not to be seen");
    }
    if target.contains(&b'#') {
        return Err("a fragment");
    }
    let mut target = target;
    if target.first() != Some(&b'/') {
        target = without_authority(target, host).ok_or("an authority")?;
    }
    let (raw, query) = match target.iter().position(|byte| *byte == b'?') {
        Some(at) => (&target[..at], Some(&target[at + 1..])),
        None => (target, None),
    };
    let decoded = decode(raw).ok_or("a percent sign")?;
    if decoded.iter().any(u8::is_ascii_control) {
        return Err("a control character");
    }
    if decoded.contains(&b'\\') {
        return Err("a backslash");
    }
    let parts: Vec<&[u8]> = decoded.split(|byte| *byte == b'/').collect();
    let mut kept: Vec<&[u8]> = Vec::new();
    for part in &parts {
        match *part {
            b"" | b"." => {}
            b".." => {
                kept.pop().ok_or("above the root")?;
            }
            part if part.starts_with(b".;") || part.starts_with(b"..;") => {
                return Err("dots with parameters");
            }
            part => {
                std::str::from_utf8(part).map_err(|_| "not UTF-8")?;
                kept.push(part);
            }
        }
    }
    let open = matches!(parts.last(), Some(&b"" | &b"." | &b".."));
    let mut path = vec![b'/'];
    path.extend(kept.join(&b'/'));
    if open && !kept.is_empty() {
        path.push(b'/');
    }
    Ok((String::from_utf8(path).unwrap(), query))
}

/// The errors of [`read`].
pub(super) const ERRORS: [&str; 9] = [
    "a byte that is not to be seen",
    "a fragment",
    "an authority",
    "a percent sign",
    "a control character",
    "a backslash",
    "above the root",
    "dots with parameters",
    "not UTF-8",
];

fn without_authority<'a>(target: &'a [u8], host: &str) -> Option<&'a [u8]> {
    let text = std::str::from_utf8(target).unwrap();
    let (scheme, rest) = text.split_once("://")?;
    if !["http", "https"].contains(&scheme.to_ascii_lowercase().as_str()) {
        return None;
    }
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let same = authority.eq_ignore_ascii_case(host);
    match path.as_bytes() {
        _ if !same => None,
        b"" => Some(b"/"),
        [b'/', ..] => Some(path.as_bytes()),
        _ => None,
    }
}

/// Percent-decodes once.
pub(super) fn decode(raw: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::new();
    let mut rest = raw;
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'%' {
            decoded.push(*first);
            continue;
        }
        let [high, low, after @ ..] = after else { return None };
        let digit = |byte: &u8| char::from(*byte).to_digit(16);
        decoded.push(u8::try_from(digit(high)? * 16 + digit(low)?).ok()?);
        rest = after;
    }
    Some(decoded)
}

/// Where a path leads a caller.
pub(super) fn end(path: &str, caller: Option<&str>, foreign: bool) -> End {
    let Some((route, rest)) = find(path) else { return End::Own };
    let (kind, base, need, upstream, becomes) = *route;
    // These are redirected to the form with a slash, whoever asks.
    let slash = kind == Kind::Below && rest.is_empty()
        || base == "/service" && matches!(&rest[1..], "app" | "other" | "team" | "marathon");
    if slash || upstream.is_empty() {
        return End::Own;
    }
    let (name, target, need) = match upstream {
        "service" => match service(path, rest) {
            Some(found) => found,
            // Who may see that there is nothing is not told here.
            None => return End::Own,
        },
        "agent" => match agent(rest) {
            Some(target) => (upstream, target, need),
            None if refusal(need, caller, path, foreign).is_none() => return End::Own,
            None => (upstream, String::new(), need),
        },
        _ => {
            (upstream, becomes.map_or(path.to_owned(), |becomes| format!("{becomes}{rest}")), need)
        }
    };
    match refusal(need, caller, path, foreign) {
        Some(refusal) => refusal,
        None => End::Upstream { name, path: target, need },
    }
}

fn find(path: &str) -> Option<(&'static Route, &str)> {
    let mut best: Option<(&Route, &str)> = None;
    for route in ROUTES {
        let Some(rest) = path.strip_prefix(route.1) else { continue };
        let within = match route.0 {
            Kind::Exactly => rest.is_empty(),
            Kind::Below | Kind::From => rest.is_empty() || rest.starts_with('/'),
        };
        let rank = |route: &Route| (route.0 == Kind::Exactly, route.1.len());
        if within && best.is_none_or(|(known, _)| rank(known) < rank(route)) {
            best = Some((route, rest));
        }
    }
    best
}

fn refusal(need: Need, caller: Option<&str>, path: &str, foreign: bool) -> Option<End> {
    let Some(user) = caller else {
        return (need != Need::Public).then_some(End::Unauthenticated);
    };
    let fine = match need {
        Need::Public => return None,
        _ if foreign => false,
        Need::Token => true,
        Need::Rid(rid) => may(user, rid),
        Need::SelfOr(rid) => {
            let own = format!("/acs/api/v1/users/{user}");
            let rest = path.strip_prefix(&own);
            may(user, rid) || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        }
    };
    (!fine).then_some(End::Forbidden)
}

fn service(path: &str, rest: &str) -> Option<(&'static str, String, Need)> {
    let below = |name: &str| {
        let rest = rest.strip_prefix('/')?.strip_prefix(name)?;
        (rest.is_empty() || rest.starts_with('/')).then_some(rest)
    };
    let (upstream, rid, rest, alone) = SERVICES.iter().find_map(|(name, upstream, alone)| {
        let rid = match *name {
            "app" => "service:app",
            "other" => "service:other",
            "team/db" => "service:team/db",
            _ => "service:marathon",
        };
        Some((*upstream, rid, below(name)?, *alone))
    })?;
    let target = match (alone, rest) {
        (false, _) => path.to_owned(),
        (true, "") => "/".to_owned(),
        (true, rest) => rest.to_owned(),
    };
    Some((upstream, target, Need::Rid(rid)))
}

fn agent(rest: &str) -> Option<String> {
    let rest = rest.strip_prefix('/')?.strip_prefix(AGENT)?;
    match rest {
        "" => Some("/".to_owned()),
        _ => rest.starts_with('/').then(|| rest.to_owned()),
    }
}
