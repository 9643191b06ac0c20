//! The formats of names and values that Kubernetes' `format` library checks.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Names by which `format.named` finds a format.
const NAMES: [(&str, NamedFormat); 13] = [
    ("dns1123Label", NamedFormat::Dns1123Label),
    ("dns1123Subdomain", NamedFormat::Dns1123Subdomain),
    ("dns1035Label", NamedFormat::Dns1035Label),
    ("qualifiedName", NamedFormat::QualifiedName),
    ("dns1123LabelPrefix", NamedFormat::Dns1123LabelPrefix),
    ("dns1123SubdomainPrefix", NamedFormat::Dns1123SubdomainPrefix),
    ("dns1035LabelPrefix", NamedFormat::Dns1035LabelPrefix),
    ("labelValue", NamedFormat::LabelValue),
    ("uri", NamedFormat::Uri),
    ("uuid", NamedFormat::Uuid),
    ("byte", NamedFormat::Byte),
    ("date", NamedFormat::Date),
    ("datetime", NamedFormat::Datetime),
];

/// A format that a text may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cel) enum NamedFormat {
    Dns1123Label,
    Dns1123Subdomain,
    Dns1035Label,
    QualifiedName,
    Dns1123LabelPrefix,
    Dns1123SubdomainPrefix,
    Dns1035LabelPrefix,
    LabelValue,
    Uri,
    Uuid,
    Byte,
    Date,
    Datetime,
}

impl NamedFormat {
    pub(super) fn named(name: &str) -> Option<Self> {
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, format)| *format)
    }

    pub(super) fn name(self) -> &'static str {
        NAMES.iter().find(|(_, format)| *format == self).map_or("", |(name, _)| *name)
    }

    /// Errors of a text; none when it has the format.
    pub(super) fn violations(self, text: &str) -> Vec<String> {
        let mut found = Vec::new();
        let longest = match self {
            Self::Dns1123Label | Self::Dns1035Label | Self::LabelValue => 63,
            Self::Dns1123LabelPrefix | Self::Dns1035LabelPrefix => 64,
            Self::Dns1123Subdomain => 253,
            Self::Dns1123SubdomainPrefix => 254,
            _ => usize::MAX,
        };
        if text.len() > longest {
            found.push(format!("must be no more than {longest} bytes"));
        }
        if !self.fits(text) {
            found.push(format!("is no {}", self.name()));
        }
        found
    }

    fn fits(self, text: &str) -> bool {
        let without_dash = text.strip_suffix('-').unwrap_or(text);
        match self {
            Self::Dns1123Label => is_label(text),
            Self::Dns1123Subdomain => text.split('.').all(is_label),
            Self::Dns1035Label => is_label(text) && starts_with_letter(text),
            Self::Dns1123LabelPrefix => is_label(without_dash),
            Self::Dns1123SubdomainPrefix => without_dash.split('.').all(is_label),
            Self::Dns1035LabelPrefix => is_label(without_dash) && starts_with_letter(text),
            Self::QualifiedName => match text.split_once('/') {
                Some((prefix, name)) => {
                    prefix.len() <= 253 && prefix.split('.').all(is_label) && name.len() <= 63 && is_word(name)
                }
                None => text.len() <= 63 && is_word(text),
            },
            Self::LabelValue => text.is_empty() || is_word(text),
            Self::Uri => super::url::Url::parse(text).is_some(),
            Self::Uuid => is_uuid(text),
            Self::Byte => STANDARD.decode(text).is_ok(),
            Self::Date => is_date(text),
            Self::Datetime => is_datetime(text),
        }
    }
}

fn is_label(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('-')
        && !text.ends_with('-')
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn starts_with_letter(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
}

fn is_word(text: &str) -> bool {
    let edge = |c: char| c.is_ascii_alphanumeric();
    text.starts_with(edge)
        && text.ends_with(edge)
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

fn is_uuid(text: &str) -> bool {
    let hex = text.strip_prefix("urn:uuid:").unwrap_or(text);
    hex.len() == 36
        && hex.bytes().enumerate().all(|(i, b)| match i {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_hexdigit(),
        })
}

fn digits(text: &str, range: std::ops::Range<usize>) -> Option<u32> {
    text.get(range).filter(|part| part.bytes().all(|b| b.is_ascii_digit())).and_then(|part| part.parse().ok())
}

fn is_date(text: &str) -> bool {
    let parts = (digits(text, 0..4), digits(text, 5..7), digits(text, 8..10));
    let (Some(year), Some(month), Some(day)) = parts else { return false };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    text.len() == 10 && text.as_bytes()[4] == b'-' && text.as_bytes()[7] == b'-' && (1..=days).contains(&day)
}

/// RFC 3339.
fn is_datetime(text: &str) -> bool {
    let Some((date, time)) = text.split_at_checked(10) else { return false };
    let Some(time) = time.strip_prefix(['T', 't', ' ']) else { return false };
    let clock = |text: &str| {
        let (hour, minute) = (digits(text, 0..2), digits(text, 3..5));
        hour.is_some_and(|hour| hour < 24) && minute.is_some_and(|minute| minute < 60) && text.as_bytes()[2] == b':'
    };
    let Some((of_day, zone)) = time.split_at_checked(8) else { return false };
    let seconds = clock(of_day) && of_day.as_bytes()[5] == b':' && digits(of_day, 6..8).is_some_and(|s| s <= 60);
    let zone = match zone.strip_prefix('.') {
        Some(rest) => {
            let zone = rest.trim_start_matches(|c: char| c.is_ascii_digit());
            if zone.len() == rest.len() {
                return false;
            }
            zone
        }
        None => zone,
    };
    let offset = zone.strip_prefix(['+', '-']).is_some_and(|offset| offset.len() == 5 && clock(offset));
    is_date(date) && seconds && (matches!(zone, "Z" | "z") || offset)
}
