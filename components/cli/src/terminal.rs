//! Standard input and output, the environment, and what the terminal can show.

use crate::table::Table;
use nix::sys::termios::{self, LocalFlags, SetArg, Termios};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, BufRead, BufReader, BufWriter, IsTerminal, Read, Write};

/// Environment variables, of the process or of a test.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    given: Option<BTreeMap<String, String>>,
}

/// What a command reads and writes.
pub struct Io {
    stdin: BufReader<Box<dyn Read + Send>>,
    stdout: Box<dyn Write + Send>,
    stderr: Box<dyn Write + Send>,
    stdin_terminal: bool,
    stdout_terminal: bool,
    stderr_terminal: bool,
    environment: Environment,
}

/// Colours, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Style {
    colours: bool,
}

/// A colour with a meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Colour {
    Added,
    Removed,
    Changed,
    Strong,
}

// === impl Environment ===

impl Environment {
    /// The variables of this process.
    pub fn system() -> Environment {
        Environment { given: None }
    }

    /// These variables and no others.
    pub fn of<'a>(variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Environment {
        let pairs = variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        Environment { given: Some(pairs.collect()) }
    }

    /// A variable's value; one that is set to nothing counts as not set.
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        let value = match &self.given {
            Some(given) => given.get(name).cloned(),
            None => std::env::var(name).ok(),
        };
        value.filter(|value| !value.is_empty())
    }

    /// The first of several variables that is set.
    pub(crate) fn first(&self, names: &[&str]) -> Option<String> {
        names.iter().find_map(|name| self.get(name))
    }
}

// === impl Io ===

impl fmt::Debug for Io {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Io").field("environment", &self.environment).finish_non_exhaustive()
    }
}

impl Io {
    /// Those of this process.
    pub fn system() -> Io {
        Io {
            stdin: BufReader::new(Box::new(io::stdin())),
            stdout: Box::new(BufWriter::new(io::stdout())),
            stderr: Box::new(io::stderr()),
            stdin_terminal: io::stdin().is_terminal(),
            stdout_terminal: io::stdout().is_terminal(),
            stderr_terminal: io::stderr().is_terminal(),
            environment: Environment::system(),
        }
    }

    /// Pipes, and an environment of their own: for tests.
    pub fn pipes(
        stdin: impl Read + Send + 'static,
        stdout: impl Write + Send + 'static,
        stderr: impl Write + Send + 'static,
        environment: Environment,
    ) -> Io {
        Io {
            stdin: BufReader::new(Box::new(stdin)),
            stdout: Box::new(stdout),
            stderr: Box::new(stderr),
            stdin_terminal: false,
            stdout_terminal: false,
            stderr_terminal: false,
            environment,
        }
    }

    pub(crate) fn environment(&self) -> &Environment {
        &self.environment
    }

    /// Whether somebody sits there and reads: then it pays to show progress.
    pub(crate) fn is_watched(&self) -> bool {
        self.stdout_terminal && self.stderr_terminal
    }

    /// Whether a person types what is read.
    pub(crate) fn is_typed(&self) -> bool {
        self.stdin_terminal
    }

    /// Whether lines on standard error may be redrawn.
    pub(crate) fn can_redraw(&self) -> bool {
        self.stderr_terminal && self.environment.get("TERM").is_none_or(|term| term != "dumb")
    }

    /// How standard output may look.
    pub(crate) fn style(&self) -> Style {
        let plain = self.environment.get("NO_COLOR").is_some()
            || self.environment.get("TERM").is_some_and(|term| term == "dumb");
        Style { colours: self.stdout_terminal && !plain }
    }

    /// A line on standard output; what it has from others cannot steer the terminal.
    pub(crate) fn line(&mut self, text: impl AsRef<str>) -> io::Result<()> {
        writeln!(self.stdout, "{}", printable(text.as_ref()))
    }

    /// A line on standard output with colours in it: text of others in it is printable already.
    pub(crate) fn painted_line(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.stdout, "{text}")
    }

    /// Bytes on standard output, as they are.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stdout.write_all(bytes)
    }

    /// A line on standard error; what it has from others cannot steer the terminal.
    pub(crate) fn note(&mut self, text: impl AsRef<str>) -> io::Result<()> {
        self.stdout.flush()?;
        writeln!(self.stderr, "{}", printable(text.as_ref()))
    }

    /// A value, indented as the dcos CLI does it.
    pub(crate) fn json(&mut self, value: &Value) -> io::Result<()> {
        self.indented(value, b"    ")
    }

    /// A value, indented by two: packages and lists of versions.
    pub(crate) fn narrow_json(&mut self, value: &Value) -> io::Result<()> {
        self.indented(value, b"  ")
    }

    fn indented(&mut self, value: &Value, indent: &[u8]) -> io::Result<()> {
        let format = serde_json::ser::PrettyFormatter::with_indent(indent);
        let mut serializer = serde_json::Serializer::with_formatter(&mut self.stdout, format);
        serde::Serialize::serialize(value, &mut serializer).map_err(io::Error::from)?;
        writeln!(self.stdout)
    }

    pub(crate) fn table(&mut self, table: &Table) -> io::Result<()> {
        let style = self.style();
        self.stdout.write_all(table.render(style).as_bytes())
    }

    /// Hands everything over before something is waited for.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.stdout.flush()?;
        self.stderr.flush()
    }

    /// All of standard input; `example` tells a person at a terminal what belongs there.
    pub(crate) fn read_stdin(&mut self, example: &str) -> anyhow::Result<Vec<u8>> {
        if self.stdin_terminal {
            let text = "a file, or the JSON on standard input, is needed; for example:";
            return Err(crate::failure::usage(format!("{text}\n  {example}")));
        }
        let mut bytes = Vec::new();
        self.stdin.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Asks, and takes one line as the answer; nothing at the end of the input.
    pub(crate) fn ask(&mut self, question: &str) -> io::Result<Option<String>> {
        self.stdout.flush()?;
        write!(self.stderr, "{}", printable(question))?;
        self.stderr.flush()?;
        let mut line = String::new();
        let read = self.stdin.read_line(&mut line)?;
        Ok((read > 0).then(|| line.trim_end_matches(['\n', '\r']).to_owned()))
    }

    /// Asks for something that the terminal does not show; one line, or nothing at the end.
    pub(crate) fn secret(&mut self, question: &str) -> anyhow::Result<Option<String>> {
        if !self.stdin_terminal {
            return Ok(self.ask(question)?);
        }
        self.stdout.flush()?;
        write!(self.stderr, "{}", printable(question))?;
        self.stderr.flush()?;
        let answer = {
            let _unseen = Unseen::begin()?;
            unseen_line(&mut self.stdin)
        };
        writeln!(self.stderr)?;
        answer
    }

    /// Asks for yes or no, three times at most, as the dcos CLI does.
    pub(crate) fn confirm(&mut self, question: &str, default: &str) -> anyhow::Result<()> {
        for _ in 0..3 {
            let Some(answer) = self.ask(question)? else {
                // The question stands without an end of line.
                self.note("")?;
                break;
            };
            let answer = if answer.is_empty() { default } else { &answer };
            match answer.to_ascii_lowercase().as_str() {
                "y" | "yes" => return Ok(()),
                "n" | "no" => break,
                _ => {}
            }
        }
        anyhow::bail!("couldn't get confirmation (--yes answers every question with yes)")
    }
}

/// While it lives, the terminal shows nothing of what is typed, and Ctrl-C is a character like
/// others: nobody is left with a terminal that stays blind.
struct Unseen(Termios);

impl Unseen {
    fn begin() -> io::Result<Unseen> {
        let before = termios::tcgetattr(io::stdin())?;
        let mut blind = before.clone();
        blind.local_flags &= !(LocalFlags::ECHO | LocalFlags::ICANON | LocalFlags::ISIG);
        termios::tcsetattr(io::stdin(), SetArg::TCSAFLUSH, &blind)?;
        Ok(Unseen(before))
    }
}

impl Drop for Unseen {
    fn drop(&mut self) {
        // There is nothing else to try.
        let _ = termios::tcsetattr(io::stdin(), SetArg::TCSAFLUSH, &self.0);
    }
}

/// A line typed at a terminal that hands over each key.
fn unseen_line(input: &mut impl Read) -> anyhow::Result<Option<String>> {
    const INTERRUPT: u8 = 3;
    const END: u8 = 4;
    const ERASE_LINE: u8 = 21;
    let mut line: Vec<u8> = Vec::new();
    loop {
        let mut key = [0];
        if input.read(&mut key)? == 0 {
            break;
        }
        match key {
            [b'\n' | b'\r'] => return Ok(Some(String::from_utf8(line)?)),
            [INTERRUPT] => {
                return Err(anyhow::Error::new(crate::failure::Ended(crate::failure::INTERRUPTED)));
            }
            [END] if line.is_empty() => return Ok(None),
            [END] => return Ok(Some(String::from_utf8(line)?)),
            [ERASE_LINE] => line.clear(),
            // Backspace takes a whole character.
            [8 | 127] => while line.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {},
            [key] => line.push(key),
        }
    }
    Ok((!line.is_empty()).then(|| String::from_utf8(line)).transpose()?)
}

// === impl Style ===

impl Style {
    pub(crate) const fn of(colours: bool) -> Style {
        Style { colours }
    }

    /// Text in a colour, where there are colours.
    pub(crate) fn paint(self, colour: Colour, text: &str) -> String {
        let code = match colour {
            Colour::Added => "32",
            Colour::Removed => "31",
            Colour::Changed => "33",
            Colour::Strong => "1",
        };
        if self.colours { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Text from elsewhere without what would steer the terminal.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_control) {
        return Cow::Borrowed(text);
    }
    let shown = text.chars().map(|c| if is_control(c) { char::REPLACEMENT_CHARACTER } else { c });
    Cow::Owned(shown.collect())
}

fn is_control(c: char) -> bool {
    c.is_control() && c != '\n' && c != '\t'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn io(input: &'static str, environment: Environment) -> Io {
        Io::pipes(input.as_bytes(), io::sink(), io::sink(), environment)
    }

    #[test]
    fn colours_need_a_terminal_and_no_objection() {
        let style = |environment| {
            let mut io = io("", environment);
            io.stdout_terminal = true;
            io.style()
        };
        assert_eq!(style(Environment::of([])), Style::of(true));
        assert_eq!(style(Environment::of([("NO_COLOR", "1")])), Style::of(false));
        assert_eq!(style(Environment::of([("NO_COLOR", "")])), Style::of(true));
        assert_eq!(style(Environment::of([("TERM", "dumb")])), Style::of(false));
        assert_eq!(io("", Environment::of([])).style(), Style::of(false));
    }

    #[test]
    fn confirmation_is_asked_for_three_times() {
        let confirm =
            |input, default| io(input, Environment::default()).confirm("sure? ", default).is_ok();
        assert!(confirm("yes\n", "no"));
        assert!(confirm("\n", "Yes"));
        assert!(confirm("what\n\n", "Yes"));
        assert!(!confirm("\n", "no"));
        assert!(!confirm("a\nb\nc\nyes\n", "Yes"));
        assert!(!confirm("", "Yes"), "the end of the input is no answer");
    }

    #[test]
    fn what_is_typed_unseen_can_be_corrected() {
        let line = |keys: &[u8]| unseen_line(&mut &keys[..]);
        assert_eq!(line(b"secret\r").unwrap().as_deref(), Some("secret"));
        assert_eq!(line("aü\x7fb\n".as_bytes()).unwrap().as_deref(), Some("ab"));
        assert_eq!(line(b"wrong\x15right\n").unwrap().as_deref(), Some("right"));
        assert_eq!(line(b"\x7f\n").unwrap().as_deref(), Some(""));
        assert_eq!(line(b"\x04").unwrap(), None);
        assert_eq!(line(b"").unwrap(), None);
        let interrupted = line(b"ab\x03").unwrap_err();
        assert_eq!(crate::failure::status(&interrupted), (crate::failure::INTERRUPTED, false));
    }

    #[test]
    fn text_of_others_cannot_steer_the_terminal() {
        assert_eq!(printable("a\x1b[2Jb"), "a\u{fffd}[2Jb");
        assert_eq!(printable("plain ü\n"), "plain ü\n");
    }
}
