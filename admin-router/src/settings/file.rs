//! The file: lines `name: value`, in YAML's way of writing single values and short lists.

/// The settings of a text with the numbers of their lines, or the number of a line that is none.
pub(super) fn parse(text: &str) -> impl Iterator<Item = Result<(usize, String, String), usize>> {
    (1..).zip(text.lines()).filter_map(|(number, line)| {
        let bare = line.trim();
        if bare.is_empty() || bare.starts_with('#') || bare == "---" {
            return None;
        }
        // An indented line belongs to a structure, and no setting has any.
        let pair = bare.split_once(':').filter(|_| !line.starts_with([' ', '\t']));
        Some(match pair {
            Some((name, value)) => Ok((number, name.trim().replace('-', "_"), scalar(value))),
            None => Err(number),
        })
    })
}

/// A value without quotes, comments and brackets.
fn scalar(text: &str) -> String {
    let text = text.trim();
    for quote in ['"', '\''] {
        if let Some((value, _)) = text.strip_prefix(quote).and_then(|rest| rest.split_once(quote)) {
            return value.to_owned();
        }
    }
    let text = text.split(" #").next().unwrap_or_default().trim();
    match text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(list) => list.split(',').map(scalar).collect::<Vec<_>>().join(","),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_in_yaml() {
        let text = "---\n# c\na: 1\nb-c: \"x # y\" # z\nd: [e, 'f']\ng: http://h:1 # i\nj:\n";
        let values: Vec<_> = parse(text)
            .map(|line| line.map(|(_, name, value)| format!("{name}={value}")))
            .collect();
        let expected = ["a=1", "b_c=x # y", "d=e,f", "g=http://h:1", "j="];
        assert_eq!(values, expected.map(|line| Ok(line.to_owned())));
        assert_eq!(parse("a:\n  b: c\n").last(), Some(Err(2)));
    }
}
