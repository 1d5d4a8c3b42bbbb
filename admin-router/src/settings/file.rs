//! The file: lines `name: value`, in YAML's way of writing single values and short lists.

const NO_PAIR: &str = "expected 'name: value'";
const OPEN_QUOTE: &str = "a quote is not closed";
const AFTER_QUOTE: &str = "something stands after the closing quote; a list of several values is \
                           written [\"one\", \"two\"]";

/// A line that is no setting: its number, and what is wrong with it.
pub(super) type Bad = (usize, &'static str);

/// The settings of a text with the numbers of their lines.
pub(super) fn parse(text: &str) -> impl Iterator<Item = Result<(usize, String, String), Bad>> {
    (1..).zip(text.lines()).filter_map(|(number, line)| {
        let bare = line.trim();
        if bare.is_empty() || bare.starts_with('#') || bare == "---" {
            return None;
        }
        // An indented line belongs to a structure, and no setting has any.
        let pair = bare.split_once(':').filter(|_| !line.starts_with([' ', '\t']));
        let pair = pair
            .ok_or(NO_PAIR)
            .and_then(|(name, value)| Ok((number, name.trim().replace('-', "_"), scalar(value)?)));
        Some(pair.map_err(|what| (number, what)))
    })
}

/// A value without quotes, comments and brackets.
fn scalar(text: &str) -> Result<String, &'static str> {
    let text = text.trim();
    for quote in ['"', '\''] {
        if let Some(rest) = text.strip_prefix(quote) {
            let (value, after) = rest.split_once(quote).ok_or(OPEN_QUOTE)?;
            let is_comment = after.starts_with([' ', '\t']) && after.trim_start().starts_with('#');
            return match after.trim().is_empty() || is_comment {
                true => Ok(value.to_owned()),
                false => Err(AFTER_QUOTE),
            };
        }
    }
    let text = text.split(" #").next().unwrap_or_default().trim();
    match text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(list) => {
            let values = list.split(',').map(scalar).collect::<Result<Vec<_>, _>>();
            Ok(values?.join(","))
        }
        None => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_cut_off_silently() {
        for (text, what) in [
            ("names: \"a.example\", \"b.example\"", AFTER_QUOTE),
            ("trusted_proxies: '10.0.0.0/8' , '::1'", AFTER_QUOTE),
            ("a: \"b\"#c", AFTER_QUOTE),
            ("a: [\"b\" c, d]", AFTER_QUOTE),
            ("a: \"b", OPEN_QUOTE),
        ] {
            assert_eq!(parse(text).last(), Some(Err((1, what))), "{text}");
        }
    }

    #[test]
    fn values_are_read_as_in_yaml() {
        let text = "---\n# c\na: 1\nb-c: \"x # y\" # z\nd: [e, 'f']\ng: http://h:1 # i\nj:\n";
        let values: Vec<_> = parse(text)
            .map(|line| line.map(|(_, name, value)| format!("{name}={value}")))
            .collect();
        let expected = ["a=1", "b_c=x # y", "d=e,f", "g=http://h:1", "j="];
        assert_eq!(values, expected.map(|line| Ok(line.to_owned())));
        assert_eq!(parse("a:\n  b: c\n").last(), Some(Err((2, NO_PAIR))));
    }
}
