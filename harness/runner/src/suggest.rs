//! Names that somebody may have meant.

use strsim::osa_distance;

/// The one of `names` that `wanted` is most probably a misspelling of: at most a third of its letters
/// differ, of either case. Among equals the first.
pub fn nearest<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Hostile input: the distance takes time by the square of the length.
    const LONGEST: usize = 200;
    let letters = wanted.chars().count();
    if letters > LONGEST {
        return None;
    }
    let wanted = wanted.to_lowercase();
    let near = |name: &'a str| {
        let distance = osa_distance(&wanted, &name.to_lowercase());
        (distance <= letters.div_ceil(3)).then_some((distance, name))
    };
    names.into_iter().filter_map(near).min_by_key(|(distance, _)| *distance).map(|(_, name)| name)
}

/// What to do about an unknown `wanted`: the nearest of `names`, or `otherwise`.
pub fn remedy<S: AsRef<str>>(wanted: &str, names: &[S], otherwise: &str) -> String {
    match nearest(wanted, names.iter().map(AsRef::as_ref)) {
        Some(name) => format!("did you mean `{name}`?"),
        None => otherwise.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_a_stranger_is_not() {
        let names = ["red-first", "mute", "K1-LED-002", "K1-LED-003"];
        assert_eq!(nearest("red-frist", names), Some("red-first"));
        assert_eq!(nearest("k1-led-02", names), Some("K1-LED-002"));
        assert_eq!(nearest("mue", names), Some("mute"));
        assert_eq!(nearest("gremlins", names), None);
        assert_eq!(nearest("", names), None);
        assert_eq!(nearest("mute", []), None);
        assert_eq!(nearest(&"m".repeat(1_000_000), names), None);
    }

    #[test]
    fn the_remedy_is_the_name_or_the_place_to_look() {
        assert_eq!(remedy("mut", &["mute"], "look there"), "did you mean `mute`?");
        assert_eq!(remedy("gremlins", &["mute"], "look there"), "look there");
    }
}
