//! Writes markup in which nothing can be forgotten: text is escaped because there is no other way to
//! put it in, and every element is closed because its content is a closure.
//!
//! Names of elements and attributes, and what goes in as it is, are `&'static str`: constants of this
//! crate. What a device, a rig file or a network sent is none, so the compiler keeps it out of there.

use std::fmt::Write;

use crate::text::visible;

/// HTML or SVG in the making.
#[derive(Default)]
pub(crate) struct Markup {
    text: String,
}

impl Markup {
    /// An element with attributes and content.
    pub(crate) fn element(
        &mut self,
        name: &'static str,
        attributes: &[(&'static str, &str)],
        content: impl FnOnce(&mut Markup),
    ) {
        self.open(name, attributes);
        content(self);
        self.text.push_str("</");
        self.text.push_str(name);
        self.text.push('>');
    }

    /// An element that holds nothing but `text`.
    pub(crate) fn leaf(&mut self, name: &'static str, attributes: &[(&'static str, &str)], text: &str) {
        self.element(name, attributes, |page| page.text(text));
    }

    /// An element of a certain class that holds nothing but `text`.
    pub(crate) fn classed(&mut self, name: &'static str, class: &'static str, text: &str) {
        self.leaf(name, &[("class", class)], text);
    }

    /// An element without content: `<br>`, `<input>`, or in SVG a mark, for which it is closed.
    pub(crate) fn mark(&mut self, name: &'static str, attributes: &[(&'static str, &str)]) {
        self.open(name, attributes);
        let void = matches!(name, "br" | "input" | "meta" | "img" | "wbr");
        if !void {
            self.text.truncate(self.text.len() - 1);
            self.text.push_str("/>");
        }
    }

    fn open(&mut self, name: &'static str, attributes: &[(&'static str, &str)]) {
        self.text.push('<');
        self.text.push_str(name);
        for (attribute, value) in attributes {
            self.text.push(' ');
            self.text.push_str(attribute);
            self.text.push_str("=\"");
            escape(&mut self.text, value);
            self.text.push('"');
        }
        self.text.push('>');
    }

    /// Text: what could garble a page is made [`visible`], what means something in HTML is escaped.
    pub(crate) fn text(&mut self, text: &str) {
        escape(&mut self.text, text);
    }

    /// Text in which what stands between grave accents is code, as catalogues and reasons write it.
    pub(crate) fn prose(&mut self, text: &str) {
        let parts: Vec<&str> = text.split('`').collect();
        // An accent without a partner is one that was meant.
        let paired = parts.len() % 2 == 1;
        for (place, part) in parts.into_iter().enumerate() {
            if place % 2 == 1 && paired {
                self.leaf("code", &[], part);
            } else {
                self.text(if place > 0 && !paired { "`" } else { "" });
                self.text(part);
            }
        }
    }

    /// A constant of this crate, as it is.
    pub(crate) fn constant(&mut self, markup: &'static str) {
        self.text.push_str(markup);
    }

    /// `json` as the content of a data block. Every `<`, `>` and `&` becomes an escape of JSON, so that no
    /// text in it can end the block or begin a comment; the separators that old JavaScript takes for line
    /// ends are escaped as well.
    pub(crate) fn data(&mut self, id: &str, json: &str) {
        self.element("script", &[("type", "application/json"), ("id", id)], |page| {
            for character in json.chars() {
                match character {
                    '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                        // Writing to a string cannot fail.
                        let _ = write!(page.text, "\\u{:04x}", u32::from(character));
                    }
                    plain => page.text.push(plain),
                }
            }
        });
    }

    /// What was written.
    pub(crate) fn finish(self) -> String {
        self.text
    }

    /// Bytes written so far.
    pub(crate) fn len(&self) -> usize {
        self.text.len()
    }
}

fn escape(page: &mut String, text: &str) {
    for character in visible(text).chars() {
        match character {
            '<' => page.push_str("&lt;"),
            '>' => page.push_str("&gt;"),
            '&' => page.push_str("&amp;"),
            '"' => page.push_str("&quot;"),
            '\'' => page.push_str("&#39;"),
            plain => page.push(plain),
        }
    }
}

/// A coordinate or a length of a drawing, to a tenth: finer is not seen.
pub(crate) fn place(value: f64) -> String {
    let rounded = (value * 10.0).round() / 10.0;
    // Minus zero would be a character more, and `inf` no number at all.
    if rounded.is_finite() { format!("{}", rounded + 0.0) } else { "0".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_leave_its_element_nor_a_value_its_quotes() {
        let mut page = Markup::default();
        page.leaf("p", &[("title", "\"><script>alert('1')</script>")], "</p><script>\u{202e}\0\u{1b}[2J&");
        assert_eq!(
            page.finish(),
            "<p title=\"&quot;&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;\">\
             &lt;/p&gt;&lt;script&gt;\\u{202e}\\u{0}\\u{1b}[2J&amp;</p>"
        );
    }

    #[test]
    fn data_cannot_leave_its_block_and_stays_what_it_was() {
        let hostile = "</script><!--<script>\u{2028}&]]>\u{1b}\0";
        let json = serde_json::to_string(hostile).unwrap();
        let mut page = Markup::default();
        page.data("e0", &json);
        let page = page.finish();
        let inner = page.strip_prefix("<script type=\"application/json\" id=\"e0\">").unwrap();
        let inner = inner.strip_suffix("</script>").unwrap();
        assert!(!inner.contains(['<', '>', '&', '\u{2028}']), "{inner}");
        assert_eq!(serde_json::from_str::<String>(inner).unwrap(), hostile);
    }

    #[test]
    fn prose_sets_code_apart() {
        let mut page = Markup::default();
        page.prose("a `must <b>` holds");
        page.prose(" and ` too");
        assert_eq!(page.finish(), "a <code>must &lt;b&gt;</code> holds and ` too");
    }

    #[test]
    fn every_element_is_closed() {
        let mut page = Markup::default();
        page.element("svg", &[], |page| page.mark("rect", &[("x", "1")]));
        page.mark("br", &[]);
        assert_eq!(page.finish(), "<svg><rect x=\"1\"/></svg><br>");
    }

    #[test]
    fn places_are_short_and_always_numbers() {
        assert_eq!([0.04, -0.04, 12.345, f64::NAN, f64::INFINITY].map(place), ["0", "0", "12.3", "0", "0"]);
    }
}
