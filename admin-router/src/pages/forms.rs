//! The pages of a login: the form, a notice, a token to copy.

use std::fmt::Write;

use super::html::{escape, page};
use super::target;

/// What the form was opened for, and what it shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Form {
    /// Where to go afterwards; checked.
    pub(crate) target: Option<String>,
    /// Whether the token is to be shown, to be copied into a program.
    pub(crate) copy: bool,
    pub(crate) uid: String,
    /// What went wrong with the last try.
    pub(crate) error: Option<&'static str>,
}

/// The login form. `providers` are their descriptions and where their logins begin.
pub(crate) fn login_page(form: &Form, providers: &[(String, String)]) -> String {
    let mut body = String::new();
    if form.copy {
        body.push_str("<p>After the login you get a token to copy into your program.</p>");
    }
    if let Some(error) = form.error {
        let _ = write!(body, "<p class=\"error\" role=\"alert\">{}</p>", escape(error));
    }
    body.push_str("<form method=\"post\" action=\"/login\">");
    if let Some(target) = &form.target {
        let _ =
            write!(body, "<input type=\"hidden\" name=\"redirect\" value=\"{}\">", escape(target));
    }
    if form.copy {
        body.push_str("<input type=\"hidden\" name=\"copy\" value=\"1\">");
    }
    let _ = write!(
        body,
        "<label for=\"uid\">User</label>\
         <input id=\"uid\" name=\"uid\" value=\"{}\" autocomplete=\"username\" \
         autocapitalize=\"none\" spellcheck=\"false\" maxlength=\"96\" required autofocus>\
         <label for=\"password\">Password</label>\
         <input id=\"password\" name=\"password\" type=\"password\" \
         autocomplete=\"current-password\" maxlength=\"1024\" required>\
         <button type=\"submit\">Log in</button></form>",
        escape(&form.uid)
    );
    if !providers.is_empty() {
        body.push_str("<p>or with</p><ul>");
        for (name, url) in providers {
            let url = with_target(url, form);
            let _ = write!(body, "<li><a href=\"{}\">{}</a></li>", escape(&url), escape(name));
        }
        body.push_str("</ul>");
    }
    page("Log in", &body)
}

/// A provider's address with the way back, in place of one that it names for programs.
fn with_target(url: &str, form: &Form) -> String {
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let mut rest: Vec<&str> = query.split('&').filter(|pair| !pair.is_empty()).collect();
    let all = rest.len();
    rest.retain(|pair| !pair.starts_with("target="));
    let named = rest.len() < all;
    let target = match &form.target {
        _ if form.copy => "/login/token",
        Some(target) => target,
        None if named => "/",
        None => return url.to_owned(),
    };
    let target = format!("target={}", target::value(target));
    rest.push(&target);
    format!("{path}?{}", rest.join("&"))
}

/// The token of a login, to be copied.
pub(crate) fn token_page(token: &str) -> String {
    let body = format!(
        "<p>Copy this token into the program that asked for it, and show it to nobody else.</p>\
         <textarea readonly autofocus>{}</textarea>",
        escape(token)
    );
    page("Authentication token", &body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_from_outside_is_shown_as_text() {
        let form = Form {
            target: Some("/a?b=\"><script>".to_owned()),
            copy: false,
            uid: "\"><img src=x>".to_owned(),
            error: Some("No"),
        };
        let evil = ("<b>".to_owned(), "/x?y=\"".to_owned());
        let text = login_page(&form, &[evil]);
        assert!(!text.contains("<script>") && !text.contains("<img") && !text.contains("<b>"));
        assert!(text.contains("href=\"/x?y=&quot;&amp;target=/a%3Fb%3D%22%3E%3Cscript%3E\""));
        assert!(text.contains("role=\"alert\">No</p>"));
    }

    #[test]
    fn the_way_back_and_the_wish_to_copy_are_kept() {
        let form = Form { target: Some("/mesos/".to_owned()), ..Form::default() };
        assert!(login_page(&form, &[]).contains("name=\"redirect\" value=\"/mesos/\""));
        let form = Form { copy: true, ..Form::default() };
        let text = login_page(&form, &[("X".to_owned(), "/go".to_owned())]);
        assert!(text.contains("name=\"copy\" value=\"1\""));
        assert!(text.contains("href=\"/go?target=/login/token\""));
    }

    #[test]
    fn what_a_provider_names_for_programs_is_not_for_this_page() {
        let url = "/go?p=x&target=dcos:authenticationresponse:html";
        let back = |target: Option<&str>| {
            let form = Form { target: target.map(str::to_owned), ..Form::default() };
            with_target(url, &form)
        };
        assert_eq!(back(None), "/go?p=x&target=/");
        assert_eq!(back(Some("/mesos/")), "/go?p=x&target=/mesos/");
        assert_eq!(with_target("/go", &Form::default()), "/go");
    }
}
