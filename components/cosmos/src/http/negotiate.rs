//! What a request must say of itself before it is looked at: `Accept`, `Host`, `Content-Type`
//! and a body. Everything that is wrong is told at once.

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName};
use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use serde_json::Value;
use universe::resource::Origin;
use universe::{Accept, MediaType};

use crate::error::Failure;

const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The media types of a call.
#[derive(Clone, Debug)]
pub(crate) struct Types {
    /// Any of them; none where there is no body.
    pub(crate) requests: Vec<MediaType>,
    /// The newest first.
    pub(crate) responses: Vec<MediaType>,
}

/// Who asks, and how they reached us.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) origin: Origin,
    /// Handed on to whoever is asked on the client's behalf.
    pub(crate) authorization: Option<HeaderValue>,
}

/// The head of a request; the errors are in the order in which the original tells them.
pub(super) fn head(
    head: &Parts,
    types: &Types,
    prefix: String,
) -> Result<(Session, usize), Vec<Failure>> {
    let chosen = accept(&head.headers, &types.responses);
    let origin = origin(head, prefix);
    let content_type = match types.requests.as_slice() {
        [] => Ok(()),
        expected => content_type(&head.headers, expected),
    };
    match (chosen, origin, content_type) {
        (Ok(chosen), Ok(origin), Ok(())) => {
            let authorization = head.headers.get(AUTHORIZATION).cloned();
            Ok((Session { origin, authorization }, chosen))
        }
        (chosen, origin, content_type) => {
            let failures = [chosen.err(), origin.err(), content_type.err()];
            Err(failures.into_iter().flatten().collect())
        }
    }
}

/// Head and body together, or everything that is wrong with either.
pub(super) fn together<T>(
    head: Result<(Session, usize), Vec<Failure>>,
    body: Result<T, Failure>,
) -> Result<(Session, usize, T), Failure> {
    match (head, body) {
        (Ok((session, chosen)), Ok(body)) => Ok((session, chosen, body)),
        (Ok(_), Err(failure)) => Err(failure),
        (Err(failures), Ok(_)) => Err(Failure::several(failures)),
        (Err(mut failures), Err(failure)) => {
            failures.push(failure);
            Err(Failure::several(failures))
        }
    }
}

/// A body's JSON.
pub(super) fn body(bytes: &[u8]) -> Result<Value, Failure> {
    if bytes.is_empty() {
        return Err(Failure::not_present("body"));
    }
    serde_json::from_slice(bytes).map_err(|error| Failure::not_parsed("body", &error.to_string()))
}

fn header<'a>(headers: &'a HeaderMap, name: &HeaderName, shown: &str) -> Result<&'a str, Failure> {
    let item = format!("header '{shown}'");
    let value = headers.get(name).ok_or_else(|| Failure::not_present(&item))?;
    value.to_str().map_err(|error| Failure::not_parsed(&item, &error.to_string()))
}

fn accept(headers: &HeaderMap, offered: &[MediaType]) -> Result<usize, Failure> {
    let text = header(headers, &ACCEPT, "Accept")?;
    let wrong = |error: universe::media_type::MediaTypeError| {
        Failure::not_parsed("header 'Accept'", &error.to_string())
    };
    let accept = Accept::parse(text).map_err(wrong)?;
    accept.choose(offered).ok_or_else(|| {
        let offered: Vec<String> = offered.iter().map(ToString::to_string).collect();
        let rule =
            format!("Media type was [{accept}] but should be one of [{}]", offered.join(", "));
        Failure::not_valid("header 'Accept'", &rule)
    })
}

fn content_type(headers: &HeaderMap, expected: &[MediaType]) -> Result<(), Failure> {
    let text = header(headers, &CONTENT_TYPE, "Content-Type")?;
    let item = "header 'Content-Type'";
    let wrong =
        |error: universe::media_type::MediaTypeError| Failure::not_parsed(item, &error.to_string());
    let actual = MediaType::parse(text).map_err(wrong)?;
    if expected.iter().any(|expected| expected.admits(&actual)) {
        return Ok(());
    }
    let expected: Vec<String> = expected.iter().map(ToString::to_string).collect();
    Err(Failure::not_valid(item, &format!("should match one of {}", expected.join(", "))))
}

/// How the client reached us: what its answers' URLs begin with.
fn origin(head: &Parts, prefix: String) -> Result<Origin, Failure> {
    let host = match head.uri.authority() {
        Some(authority) => authority.as_str(),
        None => header(&head.headers, &HOST, "Host")?,
    };
    let scheme = match head.headers.get(FORWARDED_PROTO) {
        None => "http",
        Some(value) => value.to_str().unwrap_or("?"),
    };
    if !matches!(scheme, "http" | "https") {
        let rule = format!("Unable to determine scheme used to contact service: [{scheme}]");
        return Err(Failure::not_valid("header 'X-Forwarded-Proto'", &rule));
    }
    Ok(Origin { scheme: scheme.to_owned(), host: host.to_owned(), prefix })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn types() -> Types {
        Types {
            requests: vec![MediaType::vendor("vnd.dcos.package.install-request", 1)],
            responses: [2, 1]
                .map(|v| MediaType::vendor("vnd.dcos.package.install-response", v))
                .to_vec(),
        }
    }

    fn check(headers: &[(&str, &str)]) -> Result<(Session, usize), Vec<Failure>> {
        let mut request = http::Request::post("/package/install");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        head(&request.body(()).unwrap().into_parts().0, &types(), String::new())
    }

    fn messages(headers: &[(&str, &str)]) -> Vec<String> {
        check(headers).unwrap_err().into_iter().map(|failure| failure.message).collect()
    }

    const REQUEST: &str =
        "application/vnd.dcos.package.install-request+json;charset=utf-8;version=v1";
    const RESPONSE: &str =
        "application/vnd.dcos.package.install-response+json;charset=utf-8;version=v1";

    #[test]
    fn everything_missing_is_told_at_once() {
        assert_eq!(
            messages(&[("Host", "h")]),
            [
                "Item header 'Accept' not present but required",
                "Item header 'Content-Type' not present but required",
            ]
        );
    }

    #[test]
    fn wrong_types_are_named() {
        let accept = "application/vnd.dcos.package.describe-response+json;charset=utf-8;version=v2;q=0.1,\
                      application/vnd.dcos.package.describe-response+json;charset=utf-8;version=v3;q=0.9";
        let found = messages(&[
            ("Host", "h"),
            ("Accept", accept),
            ("Content-Type", "application/json"),
            ("X-Forwarded-Proto", "ftp"),
        ]);
        assert_eq!(
            found,
            [
                "Item header 'Accept' deemed invalid by rule: Media type was \
                 [application/vnd.dcos.package.describe-response+json;charset=utf-8;version=v2;q=0.1, \
                 application/vnd.dcos.package.describe-response+json;charset=utf-8;version=v3;q=0.9] \
                 but should be one of \
                 [application/vnd.dcos.package.install-response+json;charset=utf-8;version=v2, \
                 application/vnd.dcos.package.install-response+json;charset=utf-8;version=v1]",
                "Item header 'X-Forwarded-Proto' deemed invalid by rule: Unable to determine scheme \
                 used to contact service: [ftp]",
                "Item header 'Content-Type' deemed invalid by rule: should match one of \
                 application/vnd.dcos.package.install-request+json;charset=utf-8;version=v1",
            ]
        );
    }

    #[test]
    fn a_good_request_says_how_it_came() {
        let headers = [
            ("Host", "h:81"),
            ("Accept", RESPONSE),
            ("Content-Type", REQUEST),
            ("X-Forwarded-Proto", "https"),
            ("Authorization", "token=x"),
        ];
        let (session, chosen) = check(&headers).unwrap();
        assert_eq!(chosen, 1);
        assert_eq!(session.origin.through("u"), "https://h:81/package/resource?url=u");
        assert_eq!(session.authorization.unwrap(), "token=x");
    }
}
