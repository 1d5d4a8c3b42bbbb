//! The cookies of a login: one with the token, which no script sees, and one that says who it
//! is, for pages.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::{HeaderValue, SET_COOKIE};
use serde_json::json;

const AUTH: &str = "dcos-acs-auth-cookie";
const INFO: &str = "dcos-acs-info-cookie";
/// Browsers send neither along with what another site's pages ask for.
const SAME_SITE: &str = "SameSite=Lax";

/// What the cookies of a login say.
pub(crate) struct Login<'a> {
    pub(crate) token: &'a str,
    pub(crate) uid: &'a str,
    pub(crate) description: &'a str,
    pub(crate) is_remote: bool,
    /// Whether the browser speaks TLS: then it never sends the token without.
    pub(crate) tls: bool,
    pub(crate) lifetime: Duration,
    pub(crate) info_lifetime: Duration,
}

/// Sets both.
pub(crate) fn set(headers: &mut HeaderMap, login: &Login<'_>) {
    let secure = if login.tls { "; Secure" } else { "" };
    let age = login.lifetime.as_secs();
    let token = login.token;
    append(
        headers,
        format!("{AUTH}={token}; HttpOnly; Max-Age={age}; Path=/; {SAME_SITE}{secure}"),
    );
    let info = json!({
        "uid": login.uid,
        "description": login.description,
        "is_remote": login.is_remote,
    });
    // Browsers decode it into Latin-1: what is not ASCII is escaped within the JSON.
    let info = STANDARD.encode(ascii(&info.to_string()));
    let age = login.info_lifetime.as_secs();
    append(headers, format!("{INFO}={info}; Max-Age={age}; Path=/; {SAME_SITE}{secure}"));
}

/// Makes the browser forget both.
pub(crate) fn clear(headers: &mut HeaderMap) {
    const PAST: &str = "expires=Sat, 01 Jan 2000 00:00:00 GMT";
    append(headers, format!("{AUTH}=; {PAST}; HttpOnly; Max-Age=0; Path=/; {SAME_SITE}"));
    append(headers, format!("{INFO}=; {PAST}; Max-Age=0; Path=/; {SAME_SITE}"));
}

fn append(headers: &mut HeaderMap, cookie: String) {
    // Tokens, base64 and the rest are plain ASCII.
    if let Ok(value) = HeaderValue::from_str(&cookie) {
        headers.append(SET_COOKIE, value);
    }
}

fn ascii(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let mut units = [0_u16; 2];
    for c in json.chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookies(tls: bool) -> Vec<String> {
        let mut headers = HeaderMap::new();
        let login = Login {
            token: "a.b.c",
            uid: "u",
            description: "Zoë 🦀",
            is_remote: false,
            tls,
            lifetime: Duration::from_secs(432_000),
            info_lifetime: Duration::from_secs(60),
        };
        set(&mut headers, &login);
        headers.get_all(SET_COOKIE).iter().map(|v| v.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn the_token_is_for_no_script_and_over_tls_only_where_there_is_tls() {
        let [auth, info] = cookies(true).try_into().unwrap();
        assert_eq!(
            auth,
            "dcos-acs-auth-cookie=a.b.c; HttpOnly; Max-Age=432000; Path=/; SameSite=Lax; Secure"
        );
        assert!(!info.contains("HttpOnly"));
        assert!(!cookies(false).iter().any(|cookie| cookie.contains("Secure")));
    }

    #[test]
    fn the_other_tells_pages_who_it_is() {
        let info = cookies(false).remove(1);
        let value = info.split(';').next().unwrap().strip_prefix("dcos-acs-info-cookie=").unwrap();
        let text = String::from_utf8(STANDARD.decode(value).unwrap()).unwrap();
        assert!(text.is_ascii());
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read, json!({ "uid": "u", "description": "Zoë 🦀", "is_remote": false }));
    }

    #[test]
    fn logging_out_clears_both() {
        let mut headers = HeaderMap::new();
        clear(&mut headers);
        let all: Vec<_> = headers.get_all(SET_COOKIE).iter().collect();
        assert_eq!(all.len(), 2);
        assert!(all.iter().all(|c| c.to_str().unwrap().contains("expires=Sat, 01 Jan 2000")));
    }
}
