//! JSON that a person hands over: from a file, a URL, standard input, or as key=value.

use crate::context::Context;
use crate::failure::usage;
use anyhow::{Context as _, bail};
use http::Request;
use serde_json::{Map, Value};
use std::fs;

/// What to read when a file argument is absent.
const STDIN: &str = "-";

impl Context {
    /// The JSON of a file or a URL, or of standard input when there is none or it is `-`.
    pub(crate) async fn read_json(
        &mut self,
        place: Option<&str>,
        example: &str,
    ) -> anyhow::Result<Value> {
        let place = place.filter(|place| *place != STDIN);
        let bytes = match place {
            None => self.io.read_stdin(example)?,
            Some(url) if url.starts_with("http://") || url.starts_with("https://") => {
                self.download(url).await?
            }
            Some(file) => fs::read(file).with_context(|| {
                format!("can't read from resource: {file}. Please check that it exists")
            })?,
        };
        parse(&bytes).with_context(|| match place {
            Some(place) => format!("error loading JSON of {place}"),
            None => "error loading JSON of standard input".to_owned(),
        })
    }

    /// The properties of the command line, or a JSON object from standard input.
    pub(crate) async fn read_properties(
        &mut self,
        properties: &[String],
        example: &str,
    ) -> anyhow::Result<Value> {
        if properties.is_empty() {
            return self.read_json(None, example).await;
        }
        Ok(Value::Object(object_of(properties)?))
    }

    async fn download(&self, url: &str) -> anyhow::Result<Vec<u8>> {
        let request = Request::get(url).body(http_body_util::Full::default());
        let request = request.with_context(|| format!("{url} is not a valid URL"))?;
        let answer = self.client()?.fetch(request).await?;
        if !answer.status().is_success() {
            bail!("can't read from resource: {url} answered {}", answer.status());
        }
        Ok(answer.into_body().to_vec())
    }
}

fn parse(bytes: &[u8]) -> anyhow::Result<Value> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        bail!("it is empty");
    }
    Ok(serde_json::from_slice(bytes)?)
}

/// An object from `key=value` each.
fn object_of(properties: &[String]) -> anyhow::Result<Map<String, Value>> {
    let mut object = Map::new();
    for property in properties {
        let Some((key, value)) = property.split_once('=').filter(|(key, _)| !key.is_empty()) else {
            return Err(usage(format!(
                "{property:?} is not a property; expected <key>=<value>, as in cpus=2.0"
            )));
        };
        if object.insert(key.to_owned(), value_of(value)).is_some() {
            return Err(usage(format!("key '{key}' was specified more than once")));
        }
    }
    Ok(object)
}

/// JSON where the text is JSON, and the text itself where it is not.
fn value_of(text: &str) -> Value {
    let quoted = text.strip_prefix('\'').and_then(|text| text.strip_suffix('\''));
    if let Some(quoted) = quoted {
        return Value::String(quoted.to_owned());
    }
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(properties: &[&str]) -> anyhow::Result<Value> {
        let owned: Vec<String> = properties.iter().map(|&text| text.to_owned()).collect();
        object_of(&owned).map(Value::Object)
    }

    #[test]
    fn properties_become_json() {
        let given = ["cpus=2.0", "cmd=sleep 5", "instances=3", "env={\"A\":\"b=c\"}", "x='7'"];
        let expected = json!({"cpus": 2.0, "cmd": "sleep 5", "instances": 3,
            "env": {"A": "b=c"}, "x": "7"});
        assert_eq!(object(&given).unwrap(), expected);
    }

    #[test]
    fn what_is_no_property_is_named() {
        let error = object(&["cpus"]).unwrap_err().to_string();
        assert!(error.contains("\"cpus\""), "{error}");
        let error = object(&["a=1", "a=2"]).unwrap_err().to_string();
        assert!(error.contains("'a' was specified more than once"), "{error}");
        assert!(object(&["=1"]).is_err());
    }

    #[test]
    fn faults_of_json_have_a_place() {
        let error = parse(b"{\"a\":\n 1,}").unwrap_err().to_string();
        assert!(error.contains("line 2"), "{error}");
        assert_eq!(parse(b" \n").unwrap_err().to_string(), "it is empty");
    }
}
