//! Comma-separated values (RFC 4180, with newlines as Unix has them), for spreadsheets and data frames.

use serde::Serialize;

use super::RenderError;

/// A head with the fields' names, and a line for each row.
pub fn write<T: Serialize>(rows: &[T]) -> Result<String, RenderError> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.serialize(row).map_err(failed)?;
    }
    let bytes = writer.into_inner().map_err(failed)?;
    String::from_utf8(bytes).map_err(failed)
}

fn failed(error: impl ToString) -> RenderError {
    RenderError::Csv(error.to_string())
}
