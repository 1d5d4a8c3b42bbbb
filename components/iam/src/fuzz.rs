//! Entry points for fuzzing: what clients send, and what is read from disk.

use http::{HeaderMap, HeaderValue};
use serde_json::Value;

use crate::audit;
use crate::http::call;
use crate::http::route::Route;
use crate::http::schema;
use crate::model::{Command, Credential, NewUser, PasswordHash, State, Wish};
use crate::store::records;

/// A path, a kind and a body, each on a line. What is taken can be stored and read back.
pub fn request(data: &[u8]) {
    let mut parts = data.splitn(3, |b| *b == b'\n');
    let [path, kind, body] = [(); 3].map(|()| parts.next().unwrap_or_default());
    if let Ok(path) = std::str::from_utf8(path) {
        address(path);
    }
    let mut headers = HeaderMap::new();
    if let Ok(kind) = HeaderValue::from_bytes(kind) {
        headers.insert(http::header::CONTENT_TYPE, kind.clone());
        headers.insert("x-forwarded-for", kind);
    }
    call::fuzz_forwarded(&headers);
    let Ok(body) = call::parse(&headers, body) else { return };
    for schema in
        [&schema::LOGIN, &schema::USER_UPDATE, &schema::GROUP_CREATE, &schema::DESCRIPTION]
    {
        if let Err(refusal) = schema.read(body.clone()) {
            assert!(refusal.status.is_client_error());
        }
    }
    user(body);
}

fn address(path: &str) {
    let Some(route) = Route::find(path) else { return };
    for method in route.methods() {
        let _ = route.access(method);
    }
    if let Route::Acl(rid) = route {
        stored_again(&Command::CreateAcl { rid, description: String::new() });
    }
}

fn user(body: Option<Value>) {
    let Ok(mut fields) = schema::USER_CREATE.read(body) else { return };
    let description = fields.take("description").unwrap_or_default();
    let wish = Wish {
        password: fields.take("password"),
        public_key: fields.take("public_key"),
        description: None,
        provider_type: fields.take("provider_type"),
        provider_id: fields.take("provider_id"),
    };
    let Ok(means) = wish.means("user") else { return };
    let credential = match means {
        crate::model::Means::Password(text) => Credential::Password(PasswordHash(text)),
        crate::model::Means::PublicKey(pem) => Credential::PublicKey(pem),
        crate::model::Means::Remote { provider_type, provider_id } => {
            Credential::Remote { provider_type, provider_id }
        }
    };
    let uid = "user".to_owned();
    stored_again(&Command::CreateUser(NewUser { uid, description, credential }));
}

fn stored_again(command: &Command) {
    let Ok(writes) = command.run(&State::default()) else { return };
    for write in writes {
        let stored = records::write(&write);
        assert!(matches!(stored, Ok((_, Some(_)))), "what was decided cannot be stored");
        let Ok((key, value)) = stored else { return };
        assert!(cluster_state::limits::check_key(&key).is_ok(), "{key}");
        assert_eq!(records::read(&key, value.as_deref()), Ok(Some(write)));
    }
}

/// A key and its value on lines, as the cluster's state holds them; and a line of an audit log.
pub fn stored(data: &[u8]) {
    let mut parts = data.splitn(2, |b| *b == b'\n');
    let [key, value] = [(); 2].map(|()| parts.next().unwrap_or_default());
    if let Ok(key) = std::str::from_utf8(key)
        && let Ok(Some(write)) = records::read(key, Some(value))
    {
        let again = records::write(&write).map(|(key, _)| key);
        assert_eq!(again.as_deref(), Ok(key));
    }
    let _ = records::read_revision(value);
    audit::fuzz_line(data);
}

/// A certificate signing request, as PEM or as its content, with a host on the line before.
pub fn certificate_request(data: &[u8]) {
    let mut parts = data.splitn(2, |b| *b == b'\n');
    let [host, csr] = [(); 2].map(|()| parts.next().unwrap_or_default());
    let hosts = std::str::from_utf8(host).ok().map(|host| vec![host.to_owned()]);
    if let Ok(pem) = std::str::from_utf8(csr) {
        crate::ca::fuzz(pem, hosts.as_deref());
    }
    let content = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, csr);
    let label = "CERTIFICATE REQUEST";
    let pem = format!("-----BEGIN {label}-----\n{content}\n-----END {label}-----\n");
    crate::ca::fuzz(&pem, None);
}

/// What an OpenID Connect provider, or a browser on its way back from one, sends.
pub fn oidc(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        crate::oidc::fuzz(text);
    }
}

#[cfg(test)]
mod tests {
    /// What each entry point is for gets through to its end.
    #[test]
    fn the_entry_points_take_good_input() {
        for body in [
            "{\"password\":\"secret\",\"description\":\"d\"}",
            "{\"public_key\":\"k\"}",
            "{\"provider_type\":\"oidc\",\"provider_id\":\"i\"}",
            "[]",
            "{",
        ] {
            let text = format!("/acs/api/v1/acls/a:%252Fb\napplication/json\n{body}");
            super::request(text.as_bytes());
        }
        super::request(b"");
        super::stored(b"/iam/users/u\n{\"uid\":\"u\",\"generation\":1}");
        super::stored(b"/iam/acls/a%2Fb\n{\"rid\":\"a/b\",\"users\":{\"u\":[\"read\"]}}");
    }

    #[test]
    fn what_providers_send_gets_through() {
        let good = [
            "{\"issuer\":\"https://idp.example.com\",\"authorization_endpoint\":\"https://a/b\",\
             \"token_endpoint\":\"https://a/c\",\"jwks_uri\":\"https://a/d\"}",
            "{\"iss\":\"https://idp.example.com\",\"aud\":\"dcos\",\"nonce\":\"nonce\",\
             \"sub\":\"ann\",\"exp\":1700000300,\"iat\":1700000000}",
            "/service/x",
            "https://cluster.example.com/a",
        ];
        for text in good {
            super::oidc(text.as_bytes());
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read(data in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..600)) {
            super::certificate_request(&data);
            super::oidc(&data);
        }

        #[test]
        fn anything_is_taken_or_refused(
            path in "(/acs/api/v1/)?[a-z/%0-9:]{0,30}",
            body in "[\\[\\]{}\",:a-z0-9._]{0,60}",
            bytes in proptest::collection::vec(0_u8.., 0..200),
        ) {
            super::request(format!("{path}\napplication/json\n{body}").as_bytes());
            super::request(&bytes);
            super::stored(format!("/iam/users/{path}\n{body}").as_bytes());
            super::stored(&bytes);
        }
    }
}
