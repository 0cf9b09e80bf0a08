//! One JSON object per line, for programs.

use serde::Serialize;

use super::RenderError;

pub fn write<T: Serialize>(rows: &[T]) -> Result<String, RenderError> {
    let mut out = String::new();
    for row in rows {
        out += &serde_json::to_string(row)?;
        out.push('\n');
    }
    Ok(out)
}
