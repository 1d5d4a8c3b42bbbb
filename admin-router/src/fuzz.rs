//! Entry points for fuzzing: what clients send that this crate reads itself.

use std::sync::Arc;

use http::{Method, Version};
use proxy::{Path, RequestHead, Scheme};

use crate::Role;
use crate::access::credentials::{self, Presented};
use crate::access::origin;
use crate::pages::{Style, target};
use crate::routes::{self, Found, Table};

/// Tokens, cookies, origins, and places to go after a login. The first byte says which header
/// has the rest.
pub fn gateway_fields(data: &[u8]) {
    let Some((which, value)) = data.split_first() else { return };
    let name: &[u8] = match which % 5 {
        0 => b"authorization",
        1 => b"cookie",
        2 => b"origin",
        3 => b"accept",
        _ => b"host",
    };
    let headers = [(name, value), (b"host", b"gate:8443")];
    let head = RequestHead::new(Method::POST, Version::HTTP_11, b"/", headers);
    let Ok(head) = head.map(Arc::new) else { return };
    let tokens = match credentials::presented(&head) {
        Presented::Header(token) => vec![token],
        Presented::Cookie(candidates) => candidates.to_vec(),
        Presented::Nothing | Presented::Unusable => Vec::new(),
    };
    for token in tokens {
        // It goes on in a header of its own.
        assert!(token.bytes().all(|byte| byte.is_ascii_graphic()), "{token:?}");
        assert!(token.len() <= identity::MAX_TOKEN_LENGTH);
    }
    if origin::is_own(&head, Scheme::Https) {
        assert!(value.get(8..).is_some_and(|at| at.eq_ignore_ascii_case(b"gate:8443")));
    }
    let _ = Style::of(Some(&head));
    let Ok(text) = std::str::from_utf8(value) else { return };
    if let Some(place) = target::local(text) {
        assert!(place.starts_with('/') && !place.starts_with("//") && !place.contains('\\'));
        assert!(place.bytes().all(|byte| byte.is_ascii_graphic()), "{place:?}");
        assert_eq!(target::local(&place).as_deref(), Some(place.as_str()));
    }
}

/// Paths: the route of a path is that of its normal form, and lies where the path lies.
pub fn gateway_path(data: &[u8]) {
    let Ok(path) = Path::parse(data) else { return };
    let Ok(again) = Path::parse(path.as_bytes()) else { panic!("{path} is not normal") };
    for role in [Role::Master, Role::Agent] {
        let table = Table::new(routes::of(role));
        let (Some(first), Some(second)) = (table.find(&path), table.find(&again)) else {
            panic!("every path has a route")
        };
        match (first, second) {
            (Found::Route { route, id }, Found::Route { id: same, .. }) => {
                assert_eq!(id, same);
                assert!(path.as_str().starts_with(route.pattern.base()));
            }
            (Found::Slash, Found::Slash) => {}
            _ => panic!("{path} leads to two places"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn fields_of_any_bytes(data in proptest::collection::vec(any::<u8>(), 0..64)) {
            super::gateway_fields(&data);
        }

        #[test]
        fn places_of_any_text(text in "[/\\\\a-z.%:?#@0-9 ]{0,32}", which in 0u8..5) {
            super::gateway_fields(&[&[which], text.as_bytes()].concat());
        }

        #[test]
        fn paths_of_any_text(path in "/(mesos|acs|service|x|%6desos|)[/a-z.%;2fF0-9]{0,32}") {
            super::gateway_path(path.as_bytes());
        }
    }
}
