use super::{Value, equal};
use crate::error::{Result, type_error};

/// A dict: items in the order in which their keys came. What templates hold is small, so keys are searched for one by one.
#[derive(Clone, Default)]
pub struct Dict {
    items: Vec<(Value, Value)>,
}

impl Dict {
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    pub(crate) fn get(&self, key: &Value) -> Option<&Value> {
        self.items.iter().find(|(found, _)| equal(found, key)).map(|(_, value)| value)
    }

    pub(crate) fn get_str(&self, key: &str) -> Option<&Value> {
        self.items.iter().find(|(found, _)| found.as_str() == Some(key)).map(|(_, value)| value)
    }

    /// Sets a value under a text.
    pub fn set(&mut self, key: &str, value: Value) {
        match self.items.iter_mut().find(|(found, _)| found.as_str() == Some(key)) {
            Some((_, old)) => *old = value,
            None => self.items.push((Value::str(key), value)),
        }
    }

    /// # Errors
    /// A list or a dict as the key.
    pub(crate) fn insert(&mut self, key: Value, value: Value) -> Result<()> {
        check_hashable(&key)?;
        match self.items.iter_mut().find(|(found, _)| equal(found, &key)) {
            Some((_, old)) => *old = value,
            None => self.items.push((key, value)),
        }
        Ok(())
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = (&Value, &Value)> + ExactSizeIterator {
        self.items.iter().map(|(key, value)| (key, value))
    }

    pub(crate) fn keys(&self) -> impl DoubleEndedIterator<Item = &Value> + ExactSizeIterator {
        self.items.iter().map(|(key, _)| key)
    }

    /// From `dict(pairs)`: a dict, or an iterable of pairs.
    pub(crate) fn extend(&mut self, from: &Value) -> Result<()> {
        if let Value::Dict(dict) = from {
            for (key, value) in dict.iter() {
                self.insert(key.clone(), value.clone())?;
            }
            return Ok(());
        }
        for (index, pair) in super::iterate(from)?.into_iter().enumerate() {
            let Ok(pair) = super::iterate(&pair) else {
                return type_error(format!("cannot convert dictionary update sequence element #{index} to a sequence"));
            };
            let [key, value] = pair.as_slice() else {
                return crate::error::value_error(format!(
                    "dictionary update sequence element #{index} has length {}; 2 is required",
                    pair.len()
                ));
            };
            self.insert(key.clone(), value.clone())?;
        }
        Ok(())
    }
}

impl FromIterator<(String, Value)> for Dict {
    fn from_iter<T: IntoIterator<Item = (String, Value)>>(pairs: T) -> Self {
        let mut dict = Self::new();
        for (key, value) in pairs {
            dict.set(&key, value);
        }
        dict
    }
}

pub(crate) fn check_hashable(key: &Value) -> Result<()> {
    match key {
        Value::List(_) | Value::Dict(_) | Value::View(..) => {
            type_error(format!("unhashable type: '{}'", key.type_name()))
        }
        Value::Tuple(items) | Value::Group(items) => items.iter().try_for_each(check_hashable),
        _ => Ok(()),
    }
}
