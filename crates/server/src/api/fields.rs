//! The fields of a request: read one by one, each with an error that names it; what is left is known to nobody.

use serde_json::{Map, Value};

use super::ApiError;

/// What a count must be. The end is said too: JSON has whole numbers beyond it, such as 1e20.
pub const COUNT: &str = "must be a whole number from 0 to 18446744073709551615";

/// An object of a request, of which each field is taken once.
#[derive(Clone, Debug)]
pub struct Fields {
    left: Map<String, Value>,
    /// Stands before the names in errors: `messages[0].`, or nothing.
    place: String,
}

impl Fields {
    /// The object that a request is.
    ///
    /// # Errors
    /// It is no JSON, or no object; an integer that would be written otherwise in a prompt.
    pub fn of_body(body: &[u8]) -> Result<Self, ApiError> {
        match serde_json::from_slice(body) {
            Ok(Value::Object(left)) => {
                let read = |error| ApiError::bad_request(format!("the body is not read: {error}"));
                glass_json::check_integers(body).map_err(read)?;
                Ok(Self { left, place: String::new() })
            }
            Ok(_) => Err(ApiError::bad_request("the body is JSON, but no object {...}")),
            Err(error) => Err(ApiError::bad_request(format!("the body is not JSON: {error}"))),
        }
    }

    /// An object within a request; `place` is its name.
    ///
    /// # Errors
    /// It is no object.
    pub fn of_value(value: Value, place: &str) -> Result<Self, ApiError> {
        match value {
            Value::Object(left) => Ok(Self { left, place: format!("{place}.") }),
            _ => Err(ApiError::invalid(place, "must be an object")),
        }
    }

    /// The name of a field in errors.
    pub fn name(&self, field: &str) -> String {
        format!("{}{field}", self.place)
    }

    pub fn invalid(&self, field: &str, message: impl Into<String>) -> ApiError {
        ApiError::invalid(self.name(field), message)
    }

    /// A field as it is; null is as good as nothing.
    pub fn take(&mut self, field: &str) -> Option<Value> {
        self.left.shift_remove(field).filter(|value| !value.is_null())
    }

    /// A field as it is, which stays.
    pub fn peek(&self, field: &str) -> Option<&Value> {
        self.left.get(field).filter(|value| !value.is_null())
    }

    /// A field that has several names, with the one that it was given by.
    ///
    /// # Errors
    /// Two are there and say different things; as `read`.
    pub fn either<T: PartialEq>(
        &mut self,
        names: &[&'static str],
        read: fn(&mut Self, &str) -> Result<Option<T>, ApiError>,
    ) -> Result<Option<(&'static str, T)>, ApiError> {
        let mut found: Option<(&str, T)> = None;
        for &name in names {
            match (&found, read(self, name)?) {
                (Some((first, one)), Some(two)) if *one != two => {
                    let why = format!("{first} means the same and has another value: give one of them");
                    return Err(self.invalid(name, why));
                }
                (None, Some(one)) => found = Some((name, one)),
                _ => {}
            }
        }
        Ok(found)
    }

    /// A field that must be there.
    ///
    /// # Errors
    /// It is not.
    pub fn need<T>(&self, field: &str, value: Option<T>) -> Result<T, ApiError> {
        value.ok_or_else(|| ApiError { code: Some("missing_required_parameter"), ..self.invalid(field, "is missing") })
    }

    /// # Errors
    /// Something else than a text.
    pub fn text(&mut self, field: &str) -> Result<Option<String>, ApiError> {
        self.read(field, "must be a text", |value| match value {
            Value::String(text) => Some(text),
            _ => None,
        })
    }

    /// # Errors
    /// Something else than true or false.
    pub fn flag(&mut self, field: &str) -> Result<Option<bool>, ApiError> {
        self.read(field, "must be true or false", |value| value.as_bool())
    }

    /// # Errors
    /// Something else than a number of float32.
    pub fn number(&mut self, field: &str) -> Result<Option<f32>, ApiError> {
        self.read(field, "must be a number", |value| {
            value.as_f64().map(|number| number as f32).filter(|number| number.is_finite())
        })
    }

    /// A limit; -1 says that there is none, as of llama-server.
    ///
    /// # Errors
    /// Something else than a [`COUNT`].
    pub fn limit(&mut self, field: &str) -> Result<Option<usize>, ApiError> {
        match self.peek(field).and_then(Value::as_i64) {
            Some(-1) => Ok(self.take(field).and(Some(usize::MAX))),
            _ => self.count(field),
        }
    }

    /// # Errors
    /// Something else than a [`COUNT`].
    pub fn count(&mut self, field: &str) -> Result<Option<usize>, ApiError> {
        self.read(field, COUNT, |value| value.as_u64().and_then(|number| usize::try_from(number).ok()))
    }

    /// # Errors
    /// Something else than a list.
    pub fn list(&mut self, field: &str) -> Result<Option<Vec<Value>>, ApiError> {
        self.read(field, "must be a list", |value| match value {
            Value::Array(items) => Some(items),
            _ => None,
        })
    }

    /// # Errors
    /// Something else than an object.
    pub fn object(&mut self, field: &str) -> Result<Option<Fields>, ApiError> {
        let name = self.name(field);
        self.take(field).map(|value| Fields::of_value(value, &name)).transpose()
    }

    fn read<T>(
        &mut self,
        field: &str,
        rule: &str,
        read: impl FnOnce(Value) -> Option<T>,
    ) -> Result<Option<T>, ApiError> {
        match self.take(field) {
            None => Ok(None),
            Some(value) => read(value).map(Some).ok_or_else(|| self.invalid(field, rule)),
        }
    }

    /// Takes a field that is known and not honoured; at one of these values it asks for nothing.
    ///
    /// # Errors
    /// It asks for something.
    pub fn refuse(&mut self, field: &str, neutral: &[Value], why: &str) -> Result<(), ApiError> {
        match self.take(field) {
            Some(value) if !neutral.contains(&value) => Err(ApiError::unsupported(self.name(field), why)),
            _ => Ok(()),
        }
    }

    /// Takes fields that decide nothing of an answer.
    pub fn pass_over(&mut self, fields: &[&str]) {
        for field in fields {
            self.left.shift_remove(*field);
        }
    }

    /// The names of what nobody took; null is as good as nothing.
    pub fn unknown(self) -> Vec<String> {
        let left = self.left.iter().filter(|(_, value)| !value.is_null());
        left.map(|(name, _)| format!("{}{name}", self.place)).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(value: Value) -> Fields {
        Fields::of_body(value.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn each_field_is_read_once_and_named_in_errors() {
        let mut request = fields(json!({"a": "text", "b": 3, "c": 0.5, "d": null, "e": [1], "f": {"g": 7}, "h": 0}));
        assert_eq!(request.text("a").unwrap().as_deref(), Some("text"));
        assert_eq!(request.text("a").unwrap(), None);
        assert_eq!(request.count("b").unwrap(), Some(3));
        assert_eq!(request.number("c").unwrap(), Some(0.5));
        assert_eq!(request.flag("d").unwrap(), None);
        assert_eq!(request.text("e").unwrap_err().message, "e: must be a text");
        let mut inner = request.object("f").unwrap().unwrap();
        let error = inner.text("g").unwrap_err();
        assert_eq!((error.status, error.param.as_deref()), (400, Some("f.g")));
        assert_eq!(request.unknown(), ["h"]);
        for (value, rule) in [
            (json!(1.5), "whole"),
            (json!(-1), "whole"),
            (json!("1"), "whole"),
            (json!(1e20), "to 18446744073709551615"),
        ] {
            assert!(fields(json!({ "n": value })).count("n").unwrap_err().message.contains(rule));
        }
        assert_eq!(fields(json!({"n": -1})).limit("n").unwrap(), Some(usize::MAX));
        assert!(fields(json!({"n": -2})).limit("n").is_err());
        assert!(fields(json!({"x": 1e300})).number("x").is_err());
    }

    #[test]
    fn two_names_of_one_field_say_the_same() {
        let read = |value: Value| fields(value).either(&["most", "limit", "end"], Fields::count);
        for (value, name) in [
            (json!({"most": 3}), "most"),
            (json!({"limit": 3}), "limit"),
            (json!({"end": 3, "most": null}), "end"),
            (json!({"most": 3, "limit": 3, "other": null}), "most"),
        ] {
            assert_eq!(read(value.clone()).unwrap(), Some((name, 3)), "{value}");
        }
        assert_eq!(read(json!({"most": null})).unwrap(), None);
        let error = read(json!({"most": 3, "limit": 4})).unwrap_err();
        assert_eq!((error.status, error.param.as_deref()), (400, Some("limit")));
    }

    #[test]
    fn what_asks_for_nothing_is_not_refused() {
        let mut request = fields(json!({"best_of": 1, "suffix": "end"}));
        request.refuse("best_of", &[json!(1)], "no").unwrap();
        let error = request.refuse("suffix", &[json!("")], "no model here fills gaps").unwrap_err();
        assert_eq!(error.code, Some("unsupported_parameter"));
        assert_eq!(error.message, "suffix: no model here fills gaps");
    }

    #[test]
    fn integers_stay_what_they_are() {
        for body in [r#"{"a": [18446744073709551616]}"#, r#"{"a": {"b": -0}}"#] {
            let error = Fields::of_body(body.as_bytes()).unwrap_err();
            assert!(error.status == 400 && error.message.contains("would become a float"), "{}", error.message);
        }
        fields(json!({"a": [u64::MAX, i64::MIN, 1e30, -0.0, "99999999999999999999"]}));
    }

    #[test]
    fn bodies_that_are_no_objects() {
        for body in ["", "[1]", "{\"a\": ", "\u{1}", "nul", &"[".repeat(10_000)] {
            assert_eq!(Fields::of_body(body.as_bytes()).unwrap_err().status, 400, "{body:.10}");
        }
    }
}
