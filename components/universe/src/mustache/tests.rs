//! The dialect, case by case.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn render(template: &str, context: Value) -> String {
    let context = context.as_object().unwrap().clone();
    Template::parse(template).unwrap().render(&context).unwrap()
}

fn refusal(template: &str) -> String {
    Template::parse(template).unwrap_err().to_string()
}

#[test]
fn values_print_as_in_the_original() {
    let context = json!({
        "text": "a \"b\" \\ <&> \n\u{1}é", "int": 5, "neg": -7, "whole": 1.0, "frac": 0.1, "small": 0.00012,
        "large": 12345678.5, "limit": 1234567.25, "huge": 1e20, "yes": true, "no": false, "null": null,
        "list": ["a", "b\"c"], "mixed": [1, 2.0, null, true, ["x"], {"k": "v", "n": [1]}],
        "object": {"k": "v", "l": ["w"]}, "empty": "", "none": [], "zero": 0, "nzero": -0.0,
    });
    for (template, expected) in [
        ("{{text}}", "a \\\"b\\\" \\\\ <&> \\n\\u0001é"),
        ("{{int}} {{neg}} {{zero}} {{nzero}}", "5 -7 0 0"),
        ("{{whole}} {{frac}} {{small}}", "1 0.1 1.2E-4"),
        ("{{large}} {{limit}} {{huge}}", "1.23456785E7 1234567.25 100000000000000000000"),
        ("{{yes}} {{no}} [{{null}}] [{{missing}}]", "true false [] []"),
        ("{{list}} {{{list}}} {{&list}}", r#"["a", "b\"c"] ["a", "b\"c"] ["a", "b\"c"]"#),
        ("{{mixed}}", r#"[1, 2, null, true, ["x"], {k=v, n=[1]}]"#),
        ("{{object}}", r#"{k=v, l=["w"]}"#),
        ("[{{empty}}] {{none}}", "[] []"),
    ] {
        assert_eq!(render(template, context.clone()), expected, "{template}");
    }
}

#[test]
fn sections_follow_truth() {
    let context = json!({
        "yes": true, "no": false, "null": null, "empty": "", "text": "t", "zero": 0, "none": [],
        "list": ["a", "b"], "object": {"k": "v"}, "hollow": {},
    });
    for (name, truthy) in [
        ("yes", true),
        ("no", false),
        ("null", false),
        ("missing", false),
        ("a.b", false),
        ("empty", false),
        ("text", true),
        ("zero", true),
        ("none", false),
        ("object", true),
        ("hollow", true),
    ] {
        let template = format!("{{{{#{name}}}}}+{{{{/{name}}}}}{{{{^{name}}}}}-{{{{/{name}}}}}");
        assert_eq!(render(&template, context.clone()), if truthy { "+" } else { "-" }, "{name}");
    }
    assert_eq!(render("{{#list}}<{{.}}>{{/list}}", context.clone()), r#"<"a"><"b">"#);
    assert_eq!(render("{{#text}}<{{.}}>{{/text}}", context), "<t>");
}

#[test]
fn names_are_looked_up_from_the_inside_out() {
    let context = json!({
        "a": {"b": {"c": 1}, "x": "inner"}, "b": {"c": 2, "d": 3}, "x": "outer", "y": "only",
        "dotted.name": "whole", "items": [{"n": 1}, {"n": null}, {}, null], "n": "top",
    });
    for (template, expected) in [
        ("{{a.b.c}}", "1"),
        ("{{dotted.name}}", "whole"),
        ("{{#a}}{{x}} {{y}}{{/a}}", "inner only"),
        // `b` is found in `a`, which decides, though it has no `d`.
        ("{{#a}}[{{b.d}}] {{b.c}}{{/a}}", "[] 1"),
        // No `b.e` to go through in `a`: the outer scope is asked, in vain.
        ("{{#a}}[{{b.e.f}}]{{/a}}", "[]"),
        ("{{#items}}<{{n}}>{{/items}}", "<1><><top><top>"),
        ("{{#a}}{{#b}}{{c}}{{x}}{{/b}}{{/a}}", "1inner"),
        ("{{#a.b}}{{c}}{{/a.b}}", "1"),
    ] {
        assert_eq!(render(template, context.clone()), expected, "{template}");
    }
}

#[test]
fn blank_lines_go_where_they_go_in_the_original() {
    let context = json!({"yes": true, "x": 1});
    for (template, expected) in [
        ("a\n  {{#yes}}\n  b\n  {{/yes}}\nc\n", "a\n  b\nc\n"),
        ("a {{#yes}}b{{/yes}} c\n", "a b c\n"),
        ("a\n  {{x}}\nb", "a\n  1\nb"),
        ("  {{#yes}}b{{/yes}}\nc", "  b\nc"),
        ("{{! note }}\na", "\na"),
        ("a,{{#yes}}\n b{{/yes}}\n,c", "a, b\n,c"),
        ("a\r\n{{#yes}}\r\nb\r\n{{/yes}}\r\nc", "a\r\nb\r\nc"),
        ("{ {{x}} }", "{ 1 }"),
        ("{{^no}}\n{{#yes}}\nb\n{{/yes}}\n{{/no}}\n", "b\n"),
    ] {
        assert_eq!(render(template, context.clone()), expected, "{template:?}");
    }
}

#[test]
fn tags_of_other_kinds() {
    let context = json!({"x": 1, "y": "<y>"});
    for (template, expected) in [
        ("{{{y}}}{{&y}}{{ y }}", "<y><y><y>"),
        ("{{! a comment with {{ in it }}b", "b"),
        ("{{=<% %>=}}<%x%> {{x}}<%={{ }}=%>{{x}}", "1 {{x}}1"),
        // A blank before the sign makes a name of it, which nothing has.
        ("{x}{{ #x}}", "{x}"),
    ] {
        assert_eq!(render(template, context.clone()), expected, "{template}");
    }
}

#[test]
fn as_json_takes_text_as_it_is() {
    let context = json!({"json": "{\"a\": {{x}}}", "x": 1, "number": 5});
    for (template, expected) in [
        ("{{#asJson}}json{{/asJson}}", "{\"a\": 1}"),
        ("{{#asJson}}number{{/asJson}}", "null"),
        ("{{#asJson}}missing{{/asJson}}", "null"),
        ("{{asJson}}{{^asJson}}x{{/asJson}}", "null"),
    ] {
        assert_eq!(render(template, context.clone()), expected, "{template}");
    }
    let endless = json!({"a": "{{#asJson}}a{{/asJson}}"});
    let template = Template::parse("{{#asJson}}a{{/asJson}}").unwrap();
    assert_eq!(template.render(endless.as_object().unwrap()), Err(RenderError::Endless));
}

#[test]
fn what_is_no_template_is_refused() {
    for (template, expected) in [
        ("{{}}", "Empty mustache in line 1"),
        ("a\n{{x", "Improperly closed variable in line 2"),
        ("{{{x}}", "Improperly closed variable: x"),
        ("{{#a}}\n", "Failed to close 'a' tag in line 1"),
        ("{{/a}}", "Mismatched start/end tags: null != a"),
        ("{{#a}}{{/b}}", "Mismatched start/end tags: a != b"),
        ("{{>part}}", "Partials are not supported"),
        ("{{$a}}{{/a}}", "Inheritance is not supported"),
        ("{{%x}}", "Unimplemented pragma"),
        ("{{=a=}}", "Invalid delimiter string"),
    ] {
        let error = refusal(template);
        assert!(error.contains(expected), "{template}: {error}");
    }
    assert!(refusal(&"{{#a}}".repeat(200)).contains("nested deeper"));
}

#[test]
fn lists_within_lists_end() {
    let list: Vec<u8> = vec![0; 200];
    let context = json!({"l": list});
    let template = format!("{}x{}", "{{#l}}".repeat(5), "{{/l}}".repeat(5));
    let done = Template::parse(&template).unwrap().render(context.as_object().unwrap());
    assert_eq!(done, Err(RenderError::TooLong));
    let context = json!({"l": list, "t": "x".repeat(1 << 20)});
    let done = Template::parse("{{#l}}{{t}}{{/l}}").unwrap().render(context.as_object().unwrap());
    assert_eq!(done, Err(RenderError::TooLarge));
}

proptest! {
    #[test]
    fn text_without_tags_stays(text in "[^{\r]{0,80}") {
        prop_assert_eq!(render(&text, json!({})), text);
    }

    #[test]
    fn any_text_is_read_or_refused(text in r"([{}#^/!&=\n a.]|\{\{|\}\}){0,60}") {
        if let Ok(template) = Template::parse(&text) {
            let _ = template.render(json!({"a": ["a", {"a": 1}]}).as_object().unwrap());
        }
    }

    #[test]
    fn a_printed_string_is_what_it_was(text in any::<String>()) {
        let rendered = render("\"{{t}}\"", json!({"t": text}));
        prop_assert_eq!(serde_json::from_str::<String>(&rendered).unwrap(), text);
    }
}

#[test]
fn texts_read_again_and_again_end() {
    let context = json!({"text": "x".repeat(100_000)});
    let render = |times: usize| {
        let template = "{{#asJson}}text{{/asJson}}".repeat(times);
        Template::parse(&template).unwrap().render(context.as_object().unwrap())
    };
    assert!(render(3).is_ok());
    assert_eq!(render(30), Err(RenderError::TooLong));
}
