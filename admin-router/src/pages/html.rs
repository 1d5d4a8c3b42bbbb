//! The frame of every page. No script stands on any.

use std::borrow::Cow;

/// The one style of all pages. Its digest stands in the Content-Security-Policy.
pub(crate) const STYLE: &str = "\
:root{color-scheme:light dark;--line:#8886;--accent:#4a5fd0}\
body{font:16px/1.5 system-ui,sans-serif;margin:0;min-height:100vh;display:flex;\
justify-content:center;align-items:flex-start}\
main{width:100%;max-width:26rem;margin:12vh 1rem 4rem;padding:2rem;border:1px solid var(--line);\
border-radius:12px}\
h1{font-size:1.35rem;margin:0 0 1rem}\
p{margin:.5rem 0}\
label{display:block;margin:1rem 0 .25rem}\
input{font:inherit;box-sizing:border-box;width:100%;padding:.55rem .7rem;\
border:1px solid var(--line);border-radius:8px}\
button{font:inherit;width:100%;margin-top:1.5rem;padding:.6rem;border:0;border-radius:8px;\
background:var(--accent);color:#fff;cursor:pointer}\
a{color:var(--accent)}\
ul{padding-left:1.2rem;margin:.5rem 0}\
table{border-collapse:collapse;width:100%}\
td,th{text-align:left;padding:.2rem .5rem .2rem 0;border-bottom:1px solid var(--line)}\
code,textarea{font:13px/1.4 ui-monospace,monospace;word-break:break-all}\
textarea{width:100%;box-sizing:border-box;height:12rem}\
.error{border-left:4px solid #d33;padding:.4rem .7rem;margin:1rem 0}";

pub(crate) const UNAUTHORIZED: &str =
    "<p>A valid authentication token is needed here.</p><p><a href=\"/login\">Log in</a></p>";

pub(crate) const FORBIDDEN: &str = "<p>You are logged in, but this needs a permission that you \
     do not have.</p><p><a href=\"/login\">Log in as somebody else</a></p>";

/// A whole page. `title` is text, `body` is HTML.
pub(crate) fn page(title: &str, body: &str) -> String {
    let title = escape(title);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>{title}</title><style>{STYLE}</style></head>\n\
         <body><main><h1>{title}</h1>\n{body}\n</main></body></html>\n"
    )
}

/// Text as it may stand in HTML, between tags and in quoted attributes.
pub(crate) fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(['&', '<', '>', '"', '\'']) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    Cow::Owned(safe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_cannot_become_tags() {
        assert_eq!(escape("plain"), "plain");
        assert_eq!(
            escape("<a href=\"x\" b='&'>"),
            "&lt;a href=&quot;x&quot; b=&#39;&amp;&#39;&gt;"
        );
        assert!(!page("<script>", "").contains("<script>"));
    }

    #[test]
    fn no_page_holds_a_script_or_a_style_attribute() {
        for text in [page("t", UNAUTHORIZED), page("t", FORBIDDEN)] {
            assert!(
                !text.contains("<script") && !text.contains(" style=") && !text.contains(" on")
            );
        }
    }
}
