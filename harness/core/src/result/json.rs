//! The layout of `results.json`: indented as far as people read it, and dense below, where evidence
//! would otherwise spend a line on every number.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::{Formatter, PrettyFormatter};

/// What is nested deeper is dense: the members of a case's evidence have a line each.
const INDENTED_LEVELS: usize = 4;

#[derive(Default)]
struct Layout {
    pretty: PrettyFormatter<'static>,
    depth: usize,
}

impl Layout {
    fn dense(&self) -> bool {
        self.depth > INDENTED_LEVELS
    }
}

macro_rules! where_people_read {
    ($($name:ident($($argument:ident: $type:ty),*);)*) => {$(
        fn $name<W: ?Sized + Write>(&mut self, writer: &mut W, $($argument: $type),*) -> io::Result<()> {
            if self.dense() {
                serde_json::ser::CompactFormatter.$name(writer, $($argument),*)
            } else {
                self.pretty.$name(writer, $($argument),*)
            }
        }
    )*};
}

macro_rules! brackets {
    ($($begin:ident $end:ident;)*) => {$(
        fn $begin<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
            self.depth += 1;
            if self.dense() {
                serde_json::ser::CompactFormatter.$begin(writer)
            } else {
                self.pretty.$begin(writer)
            }
        }

        fn $end<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
            let dense = self.dense();
            self.depth -= 1;
            if dense {
                serde_json::ser::CompactFormatter.$end(writer)
            } else {
                self.pretty.$end(writer)
            }
        }
    )*};
}

impl Formatter for Layout {
    brackets! {
        begin_array end_array;
        begin_object end_object;
    }
    where_people_read! {
        begin_array_value(first: bool);
        end_array_value();
        begin_object_key(first: bool);
        end_object_key();
        begin_object_value();
        end_object_value();
    }
}

/// `value` as text.
///
/// # Errors
/// As [`Serialize`].
pub(super) fn write(value: &impl Serialize) -> serde_json::Result<String> {
    let mut bytes = Vec::new();
    value.serialize(&mut Serializer::with_formatter(&mut bytes, Layout::default()))?;
    String::from_utf8(bytes).map_err(|error| serde::ser::Error::custom(error.to_string()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn the_upper_levels_are_for_people_and_the_rest_is_dense() {
        let value = json!({"cases": [{"name": "a", "evidence": {"lanes": [{"m": [1, 2]}], "none": [], "o": {}}}], "n": 1});
        let text = super::write(&value).unwrap();
        assert!(text.contains("\n      \"evidence\": {\n        \"lanes\": [{\"m\":[1,2]}]"), "{text}");
        assert!(text.contains("\"none\": []") && text.contains("\n        \"o\": {}\n"), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }
}
