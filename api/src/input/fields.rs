//! Checking a request's fields one by one and reporting all flaws at once.

use crate::problem::{FieldError, Problem};

/// Why a value cannot be accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Flaw {
    /// For programs: stable.
    pub(crate) code: &'static str,
    /// For people.
    pub(crate) message: String,
}

impl Flaw {
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// The problem of this one field.
    pub(crate) fn of(self, field: &str) -> Problem {
        let mut fields = Fields::default();
        fields.reject(field, self);
        fields.into_problem()
    }
}

/// Collects the flaws of a request, so that a person can mend a form in one go: check every field, then
/// `let (Some(a), Some(b)) = … else { return Err(fields.into_problem()) }`.
#[derive(Default)]
pub(crate) struct Fields {
    errors: Vec<FieldError>,
}

impl Fields {
    /// The value, or `None` with its flaw remembered.
    pub(crate) fn check<T>(&mut self, field: &str, value: Result<T, Flaw>) -> Option<T> {
        value.map_err(|flaw| self.reject(field, flaw)).ok()
    }

    /// Remembers a flaw.
    pub(crate) fn reject(&mut self, field: &str, flaw: Flaw) {
        self.errors.push(FieldError { field: field.into(), code: flaw.code, message: flaw.message });
    }

    /// All the flaws found.
    pub(crate) fn into_problem(self) -> Problem {
        Problem::invalid(self.errors)
    }
}

/// A value that has to be there.
pub(crate) fn required<T>(value: Option<T>) -> Result<T, Flaw> {
    value.ok_or_else(|| Flaw::new("required", "is missing"))
}

/// One of a few words, as serde names them.
pub(crate) fn one_of<'a, T: serde::Deserialize<'a>>(word: &'a str, words: &str) -> Result<T, Flaw> {
    let word: serde::de::value::StrDeserializer<'a, serde::de::value::Error> =
        serde::de::IntoDeserializer::into_deserializer(word);
    T::deserialize(word).map_err(|_| Flaw::new("unknown", format!("is one of {words}")))
}
