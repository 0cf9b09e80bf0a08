//! Pictures are read as text: what they say, and where they draw it.

mod bars;
mod curves;
mod heat_map;
mod loss;
mod svg;
