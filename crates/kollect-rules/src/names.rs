//! Valid Kubernetes names, and suggestions for mistyped ones.

/// At most 63 lower-case letters, digits and `-`, with a letter or digit at both ends: a namespace.
pub(crate) fn is_dns_label(text: &str) -> bool {
    let bytes = text.as_bytes();
    let fits = |c: &u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    (1..=63).contains(&bytes.len())
        && [bytes.first(), bytes.last()].into_iter().flatten().all(fits)
        && bytes.iter().all(|c| fits(c) || *c == b'-')
}

/// Labels of any length with dots between them, at most 253 characters: an object.
pub(crate) fn is_dns_subdomain(text: &str) -> bool {
    let fits = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let label = |part: &str| {
        let bytes = part.as_bytes();
        let ends = [bytes.first(), bytes.last()];
        !bytes.is_empty()
            && ends.into_iter().flatten().all(|c| fits(*c))
            && bytes.iter().all(|c| fits(*c) || *c == b'-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

/// Longest name that is compared with others.
const MAX_COMPARED: usize = 64;

/// The known name that is most similar to a mistyped one.
pub(crate) fn nearest<'a>(text: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if text.is_empty() || text.len() > MAX_COMPARED {
        return None;
    }
    let lower = text.to_ascii_lowercase();
    let allowed = text.chars().count().div_ceil(3).min(3);
    known
        .map(|name| (distance(&lower, &name.to_ascii_lowercase()), name))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Number of letters to add, remove or replace.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, c) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for j in 0..b.len() {
            let replaced = diagonal + usize::from(c != b[j]);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_differ_from_labels() {
        for (text, label, subdomain) in [
            ("team-a", true, true),
            ("a.b", false, true),
            ("", false, false),
            ("A", false, false),
            ("-a", false, false),
            ("a..b", false, false),
            (&"a".repeat(64), false, true),
            (&"a".repeat(254), false, false),
        ] {
            assert_eq!((is_dns_label(text), is_dns_subdomain(text)), (label, subdomain), "{text}");
        }
    }

    #[test]
    fn a_mistyped_name_finds_its_neighbour_and_another_word_none() {
        let known = ["attributes", "export", "metrics", "targetGVK"];
        for (text, expected) in [
            ("atributes", Some("attributes")),
            ("targetGvk", Some("targetGVK")),
            ("exports", Some("export")),
            ("schedule", None),
            ("", None),
        ] {
            assert_eq!(nearest(text, known.into_iter()), expected, "{text}");
        }
        assert_eq!(nearest(&"a".repeat(1 << 20), known.into_iter()), None);
    }
}
