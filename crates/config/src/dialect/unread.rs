//! Fields of a RoPE that the family's class in transformers does not read, though most classes do
//! (`convert_rope_params_to_dict` of each).

use serde_json::{Map, Value};

use super::{OLD_ROPE, ORIGINAL, ROPE, equal, says_nothing};
use crate::families::ModelType;
use crate::fields::IgnoredField;
use crate::rope::{KINDS, SLIDING_THETA};

/// Takes them out of the file. Listed are those whose values differ from what holds without them.
pub(super) fn take(top: &mut Map<String, Value>, family: ModelType) -> Vec<IgnoredField> {
    let rule = &family.family().rope;
    let mut file = File { top, unread: Vec::new() };
    // It has a field of its own for it, which goes over the one inside.
    if let Some(absent) = rule.original_max_position_embeddings
        && !file.top.contains_key(ORIGINAL)
    {
        for object in [ROPE, OLD_ROPE] {
            let why = format!("{family} reads it outside of {object}, and takes {absent} where it is not there");
            file.take(&[object], ORIGINAL, &absent.into(), &why);
        }
    }
    // The class fills in a whole object, and only one without θ takes that of the file.
    if says_nothing(file.top)
        && let Some(theta) = (rule.absent)().get("rope_theta")
    {
        let why = format!("{family} reads it only beside rope_scaling, and has {theta} without; say it in {ROPE}");
        file.take(&[], "rope_theta", theta, &why);
    }
    if rule.sliding_theta.is_none() {
        return file.unread;
    }

    // With a RoPE for each kind of layer: version 5's object has one for each, and version 4's is of full layers.
    let [full, sliding] = KINDS;
    let outer = file.top.get(ROPE).and_then(Value::as_object);
    let names: Vec<String> = match outer {
        Some(outer) if KINDS.iter().any(|kind| outer.contains_key(*kind)) => {
            ["rope_theta", SLIDING_THETA].map(str::to_owned).into()
        }
        outer => outer.into_iter().flat_map(Map::keys).cloned().collect(),
    };
    let why = format!("{family} reads only the objects {full} and {sliding} of {ROPE}");
    for name in names {
        let without = if name == "rope_type" { "default".into() } else { Value::from(rule.theta) };
        file.take(&[ROPE], &name, &without, &why);
    }
    for kind in KINDS {
        file.take(&[OLD_ROPE], kind, &Value::Null, &format!("{family} has one for each kind of layer in {ROPE}"));
    }
    for path in [&[ROPE, full][..], &[ROPE, sliding], &[OLD_ROPE]] {
        file.take(path, "truncate", &true.into(), &format!("{family} always rounds the ends of the ramp"));
    }
    let old = file.top.get(OLD_ROPE);
    if old.is_some_and(|old| old.get("rope_type").is_none()) {
        file.take(&[OLD_ROPE], "type", &"default".into(), &format!("{family} goes by rope_type"));
    }
    file.take(&[], ORIGINAL, &Value::Null, &format!("{family} reads it inside of the RoPE's object"));
    if !rule.sliding_theta_in_file {
        let why = format!("{family} has no such field; {ROPE}.{sliding} may have a rope_theta");
        file.take(&[], SLIDING_THETA, &Value::Null, &why);
    }
    file.unread
}

struct File<'a> {
    top: &'a mut Map<String, Value>,
    unread: Vec<IgnoredField>,
}

impl File<'_> {
    /// Takes a field out of the object that `path` leads to. `without` is what holds without it.
    fn take(&mut self, path: &[&str], name: &str, without: &Value, why: &str) {
        let mut object = Some(&mut *self.top);
        for step in path {
            object = object.and_then(|object| object.get_mut(*step)?.as_object_mut());
        }
        if let Some(value) = object.and_then(|object| object.shift_remove(name))
            && !value.is_null()
            && !equal(&value, without)
        {
            let name = [path, &[name]].concat().join(".");
            self.unread.push(IgnoredField { name, value: glass_json::shown(&value), why: why.to_owned() });
        }
    }
}
