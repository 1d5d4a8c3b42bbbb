//! Reading: walks the text once and hands each field to the code of its message.
use super::lexer::{Kind, Lexer};
use super::scalar::{Scalar, mismatch, unexpected};
use super::{JsonEnum, JsonError};
use crate::required::budget;
use std::collections::BTreeMap;

/// How a read goes: what was read is in place already.
pub(super) type Outcome = Result<(), JsonError>;

/// What the code of a message offers to the reader.
pub trait Fields {
    /// Names of the required fields, in the order of their bits.
    fn required(&self) -> &'static [&'static str];
    /// Reads the value of one field.
    fn field(&mut self, name: &str, reader: &mut Reader<'_>) -> Outcome;
}

impl<T: Fields> Fields for Box<T> {
    fn required(&self) -> &'static [&'static str] {
        (**self).required()
    }

    fn field(&mut self, name: &str, reader: &mut Reader<'_>) -> Outcome {
        (**self).field(name, reader)
    }
}

/// One level of the way to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Step {
    number: i32,
    index: usize,
    repeated: bool,
    name: &'static str,
}

/// Missing fields beyond this many are not named: a short body can hold very many empty messages.
const MAX_MISSING: usize = 1000;

/// The text, where in the message we are, and what was found to be missing.
pub struct Reader<'a> {
    lexer: Lexer<'a>,
    /// Bits of the required fields seen in the message being read.
    seen: u32,
    path: Vec<Step>,
    missing: Vec<(Vec<Step>, &'static str)>,
    /// How much memory the elements of lists may take yet.
    budget: usize,
    length: usize,
}

/// Reads a text that is one message.
pub(super) fn message(text: &[u8], into: &mut dyn Fields) -> Outcome {
    document(text, Kind::Object, |reader| {
        reader.object(into)?;
        reader.complete()
    })
}

/// Reads a text that is an array of messages.
pub(super) fn list<T: Fields + Default>(text: &[u8], into: &mut Vec<T>) -> Outcome {
    document(text, Kind::Array, |reader| {
        let mut more = reader.lexer.open_array()?;
        while more {
            if reader.lexer.kind() != Kind::Object {
                return mismatch("Expecting a JSON object".to_owned());
            }
            reader.spend(size_of::<T>())?;
            let mut element = T::default();
            reader.object(&mut element)?;
            reader.complete()?;
            into.push(element);
            more = reader.lexer.more_elements()?;
        }
        Ok(())
    })
}

fn document(text: &[u8], kind: Kind, read: impl FnOnce(&mut Reader<'_>) -> Outcome) -> Outcome {
    let lexer = Lexer::new(text)?;
    let mut reader = Reader {
        lexer,
        seen: 0,
        path: Vec::new(),
        missing: Vec::new(),
        budget: budget(text.len()),
        length: text.len(),
    };
    let outcome = match reader.lexer.kind() {
        found if found == kind => read(&mut reader),
        _ if kind == Kind::Array => mismatch("Expecting a JSON array".to_owned()),
        _ => mismatch("Expecting a JSON object".to_owned()),
    };
    match outcome {
        Ok(()) => reader.lexer.end(),
        Err(JsonError::Mismatch(text)) => {
            // What is no JSON at all is said first, wherever in the text it stands.
            reader.lexer.rewind();
            reader.lexer.skip()?;
            reader.lexer.end()?;
            Err(JsonError::Mismatch(text))
        }
        Err(error) => Err(error),
    }
}

/// A value of a map.
pub trait MapValue: Default {
    /// Reads the value; its key is known.
    fn read(&mut self, reader: &mut Reader<'_>) -> Outcome;
}

impl MapValue for String {
    fn read(&mut self, reader: &mut Reader<'_>) -> Outcome {
        *self = reader.scalar("value")?.unwrap_or_default();
        Ok(())
    }
}

impl<T: Fields + Default> MapValue for T {
    fn read(&mut self, reader: &mut Reader<'_>) -> Outcome {
        match reader.lexer.kind() {
            Kind::Null => reader.lexer.null(),
            _ => reader.nested(Step { number: 2, index: 0, repeated: false, name: "value" }, self),
        }
    }
}

impl Reader<'_> {
    /// Passes over the value of a field that the message does not have.
    pub fn skip(&mut self) -> Outcome {
        self.lexer.skip()
    }

    /// Accounts for an element of a list: `{},` may stand for two thousand bytes in memory.
    fn spend(&mut self, size: usize) -> Outcome {
        match self.budget.checked_sub(size) {
            Some(rest) => {
                self.budget = rest;
                Ok(())
            }
            None => mismatch(format!("Too many elements for a body of {} bytes", self.length)),
        }
    }

    /// Reads the fields of the object that comes next.
    fn object(&mut self, into: &mut dyn Fields) -> Outcome {
        let outer = std::mem::take(&mut self.seen);
        let mut more = self.lexer.open_object()?;
        while more {
            let key = self.lexer.key()?;
            into.field(&key, self)?;
            more = self.lexer.more_fields()?;
        }
        let required = into.required();
        let all = ((1u64 << required.len().min(32)) - 1) as u32;
        if self.seen & all != all {
            self.note_missing(required);
        }
        self.seen = outer;
        Ok(())
    }

    #[cold]
    fn note_missing(&mut self, required: &'static [&'static str]) {
        for (bit, name) in required.iter().enumerate().take(32) {
            if self.seen & (1 << bit) == 0 && self.missing.len() < MAX_MISSING {
                self.missing.push((self.path.clone(), name));
            }
        }
    }

    fn complete(&mut self) -> Outcome {
        if self.missing.is_empty() {
            return Ok(());
        }
        // The order of the original: a message's own fields, then those within it by number and index.
        self.missing.sort_by(|a, b| a.0.cmp(&b.0));
        let mut text = "Missing required fields: ".to_owned();
        for (at, (path, name)) in self.missing.iter().enumerate() {
            text.push_str(if at > 0 { ", " } else { "" });
            for step in path {
                text.push_str(step.name);
                if step.repeated {
                    text.push_str(&format!("[{}]", step.index));
                }
                text.push('.');
            }
            text.push_str(name);
        }
        mismatch(text)
    }

    /// Reads a message in its place. `null` has been dealt with.
    fn nested(&mut self, step: Step, into: &mut dyn Fields) -> Outcome {
        match self.lexer.kind() {
            Kind::Object => {}
            other => return unexpected(word(other, &mut self.lexer)?, step.name),
        }
        self.path.push(step);
        let outcome = self.object(into);
        self.path.pop();
        outcome
    }

    /// A key that comes twice counts with its last value: what its first value lacked is forgotten.
    fn begin(&mut self, number: i32) {
        if !self.missing.is_empty() {
            let path = &self.path;
            self.missing.retain(|(other, _)| {
                !(other.starts_with(path)
                    && other.get(path.len()).is_some_and(|step| step.number == number))
            });
        }
    }

    fn scalar<T: Scalar>(&mut self, name: &str) -> Result<Option<T>, JsonError> {
        match self.lexer.kind() {
            Kind::String => {
                let text = self.lexer.string()?;
                T::from_text(&text, name).map(Some)
            }
            Kind::Number => {
                let number = self.lexer.number()?;
                T::from_number(number)
                    .map_or_else(|| unexpected("number", name), |value| Ok(Some(value)))
            }
            Kind::Boolean => {
                let value = self.lexer.boolean()?;
                T::from_boolean(value)
                    .map_or_else(|| unexpected("boolean", name), |value| Ok(Some(value)))
            }
            Kind::Null => self.lexer.null().map(|()| None),
            other => unexpected(word(other, &mut self.lexer)?, name),
        }
    }

    pub fn optional_scalar<T: Scalar>(
        &mut self,
        name: &'static str,
        into: &mut Option<T>,
    ) -> Outcome {
        *into = self.scalar(name)?;
        Ok(())
    }

    pub fn implicit_scalar<T: Scalar>(&mut self, name: &'static str, into: &mut T) -> Outcome {
        *into = self.scalar(name)?.unwrap_or_default();
        Ok(())
    }

    pub fn required_scalar<T: Scalar>(
        &mut self,
        bit: u32,
        name: &'static str,
        into: &mut T,
    ) -> Outcome {
        let value = self.scalar(name)?;
        self.saw(bit, value.is_some());
        *into = value.unwrap_or_default();
        Ok(())
    }

    fn saw(&mut self, bit: u32, present: bool) {
        self.seen = self.seen & !(1 << bit) | u32::from(present) << bit;
    }

    pub fn repeated_scalar<T: Scalar>(&mut self, name: &'static str, into: &mut Vec<T>) -> Outcome {
        into.clear();
        self.elements(&mut |reader| {
            into.extend(reader.scalar(name)?);
            Ok(())
        })
    }

    /// Hands each element of an array to `read`; a value that is no array counts as its only element.
    fn elements(&mut self, read: &mut dyn FnMut(&mut Self) -> Outcome) -> Outcome {
        match self.lexer.kind() {
            Kind::Array => {
                let mut more = self.lexer.open_array()?;
                while more {
                    self.elements(read)?;
                    more = self.lexer.more_elements()?;
                }
                Ok(())
            }
            Kind::Null => self.lexer.null(),
            _ => read(self),
        }
    }

    /// The number of an enum: `Some(None)` stands for a name that is not known here.
    fn enumerator<E: JsonEnum>(
        &mut self,
        name: &'static str,
    ) -> Result<Option<Result<i32, String>>, JsonError> {
        match self.lexer.kind() {
            Kind::String => {
                let text = self.lexer.string()?;
                Ok(Some(E::number_of(&text).ok_or_else(|| text.into_owned())))
            }
            Kind::Null => self.lexer.null().map(|()| None),
            other => unexpected(word(other, &mut self.lexer)?, name),
        }
    }

    pub fn optional_enum<E: JsonEnum>(
        &mut self,
        name: &'static str,
        into: &mut Option<i32>,
    ) -> Outcome {
        *into = self.enumerator::<E>(name)?.and_then(Result::ok);
        Ok(())
    }

    pub fn required_enum<E: JsonEnum>(
        &mut self,
        bit: u32,
        name: &'static str,
        into: &mut i32,
    ) -> Outcome {
        let value = self.enumerator::<E>(name)?;
        self.saw(bit, value.is_some());
        *into = match value {
            Some(Err(unknown)) => return mismatch(format!("Failed to find enum for '{unknown}'")),
            Some(Ok(number)) => number,
            None => 0,
        };
        Ok(())
    }

    pub fn repeated_enum<E: JsonEnum>(
        &mut self,
        name: &'static str,
        into: &mut Vec<i32>,
    ) -> Outcome {
        into.clear();
        self.elements(&mut |reader| {
            into.extend(reader.enumerator::<E>(name)?.and_then(Result::ok));
            Ok(())
        })
    }

    pub fn optional_message<T: Fields + Default>(
        &mut self,
        name: &'static str,
        number: i32,
        into: &mut Option<T>,
    ) -> Outcome {
        self.begin(number);
        *into = None;
        if self.lexer.kind() == Kind::Null {
            return self.lexer.null();
        }
        self.nested(Step { number, index: 0, repeated: false, name }, into.insert(T::default()))
    }

    pub fn required_message<T: Fields + Default>(
        &mut self,
        bit: u32,
        name: &'static str,
        number: i32,
        into: &mut T,
    ) -> Outcome {
        self.begin(number);
        *into = T::default();
        if self.lexer.kind() == Kind::Null {
            self.saw(bit, false);
            return self.lexer.null();
        }
        self.saw(bit, true);
        self.nested(Step { number, index: 0, repeated: false, name }, into)
    }

    pub fn repeated_message<T: Fields + Default>(
        &mut self,
        name: &'static str,
        number: i32,
        into: &mut Vec<T>,
    ) -> Outcome {
        self.begin(number);
        into.clear();
        self.elements(&mut |reader| {
            let step = Step { number, index: into.len(), repeated: true, name };
            reader.spend(size_of::<T>())?;
            let mut element = T::default();
            reader.nested(step, &mut element)?;
            into.push(element);
            Ok(())
        })
    }

    pub fn map<V: MapValue>(
        &mut self,
        name: &'static str,
        number: i32,
        into: &mut BTreeMap<String, V>,
    ) -> Outcome {
        self.begin(number);
        into.clear();
        self.elements(&mut |reader| {
            if reader.lexer.kind() != Kind::Object {
                let kind = reader.lexer.kind();
                return unexpected(word(kind, &mut reader.lexer)?, name);
            }
            let mut more = reader.lexer.open_object()?;
            while more {
                let key = reader.lexer.key()?.into_owned();
                let mut value = V::default();
                reader.path.push(Step { number, index: into.len(), repeated: true, name });
                let outcome = value.read(reader);
                reader.path.pop();
                outcome?;
                into.insert(key, value);
                more = reader.lexer.more_fields()?;
            }
            Ok(())
        })
    }
}

/// What the original calls a kind of value; an error where no value is.
fn word(kind: Kind, lexer: &mut Lexer<'_>) -> Result<&'static str, JsonError> {
    Ok(match kind {
        Kind::Object => "object",
        Kind::Array => "array",
        Kind::String => "string",
        Kind::Number => "number",
        Kind::Boolean => "boolean",
        Kind::Null => "null",
        Kind::Nothing => {
            lexer.skip()?;
            "value"
        }
    })
}
